//! Plays a row and says what came of it.
//!
//! Calls of the application: `listen`, `connect`, `nowhere` (connect without a remote address), `accept`, `unlisten`,
//! `send` n, `read`, `finish` (no more from us), `close` (let go), `abort`, `state`. Time: `tick` n milliseconds, `timer`
//! (to the next one).

use crate::row::{Likeness, Next, Number, Reply, Row, Step};
use crate::stage::{Stage, Variant, code};
use carrick_core::{ConnectionConfig, Event, Instant, ListenAddr, ListenConfig, TcpState};
use carrick_sim::{Packet, Scene, Seg, Span, seg};
use carrick_wire::TcpFlags;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

/// What came of a row's steps.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    before: &'static str,
    after: &'static str,
    replies: Vec<Sent>,
    tells: Vec<String>,
    /// How often the last segment is answered if it comes twenty times, once that has been asked.
    answers: Option<usize>,
    numbers: [u32; 4],
    isn: (u32, u32),
    pub(crate) transcript: String,
}

/// A segment of ours: numbers and window as they are on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Sent {
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    len: u32,
    window: u16,
}

/// What can be seen from outside.
struct Look {
    state: TcpState,
    text: usize,
    una: Option<u32>,
    rcv: Option<u32>,
    at_end: bool,
    error: Option<String>,
    wait: Option<Instant>,
}

/// Plays a row in one of its situations.
pub(crate) fn play(row: &Row, situation: &'static str, variant: Variant) -> Seen {
    let mut stage = Stage::new(situation, variant);
    let before = Look::at(&stage.scene);
    let mut results = Vec::new();
    for step in &row.steps {
        match step {
            Step::Segment(likeness) => inject(&mut stage, likeness),
            Step::Call(name, argument) => results.extend(call(&mut stage.scene, name, *argument)),
        }
    }
    let replies = stage.take();
    let mut tells = results;
    let waiting = before.state != TcpState::Listen || !tells.iter().any(|tell| tell == "none");
    if waiting && matches!(before.state, TcpState::SynReceived | TcpState::Listen) && stage.scene.accept() {
        tells.push("accept".into());
    }
    let after = Look::at(&stage.scene);
    tells.extend(before.changes(&after, &stage.scene.events()));
    let throttled = row.reply.iter().any(|reply| reply.throttled);
    let answers = row.steps.iter().rev().find_map(|step| match step {
        Step::Segment(likeness) if throttled => Some(answers_to(&mut stage, likeness) + replies.len()),
        _ => None,
    });
    Seen {
        before: code(before.state),
        after: code(after.state),
        replies,
        tells,
        answers,
        numbers: [stage.una, stage.nxt, stage.rcv, stage.edge],
        isn: stage.isn,
        transcript: stage.scene.transcript(),
    }
}

/// The same segment nineteen times more, in the same moment.
fn answers_to(stage: &mut Stage, likeness: &Likeness) -> usize {
    for _ in 1..20 {
        inject(stage, likeness);
    }
    stage.take().len()
}

impl Stage {
    fn value(numbers: [u32; 4], number: Number) -> u32 {
        let [una, nxt, rcv, edge] = numbers;
        let base = match number.0 {
            "una" => una,
            "nxt" => nxt,
            "rcv" => rcv,
            "edge" => edge,
            "first" | "zero" => 0,
            other => panic!("no number: {other}"),
        };
        base.wrapping_add(number.1 as u32)
    }

    fn take(&mut self) -> Vec<Sent> {
        let mut seen = Vec::new();
        while let Some(packet) = self.scene.take() {
            let view = packet.segment().expect("a TCP segment");
            let flags = view.tcp.flags.difference(TcpFlags::PSH);
            let ack = if flags.contains(TcpFlags::ACK) { view.tcp.ack.get() } else { 0 };
            let (seq, window) = (view.tcp.seq.get(), view.tcp.window.get());
            seen.push(Sent { flags, seq, ack, len: view.payload.len() as u32, window });
        }
        seen
    }
}

fn inject(stage: &mut Stage, likeness: &Likeness) {
    let numbers = [stage.una, stage.nxt, stage.rcv, stage.edge];
    let mut seg: Seg = seg().seq(Stage::value(numbers, likeness.seq)).len(likeness.len as usize);
    if likeness.flags.contains(TcpFlags::ACK) {
        seg = seg.ack(Stage::value(numbers, likeness.ack));
    }
    if let Some(window) = likeness.window {
        seg = seg.window(window);
    }
    if likeness.flags.contains(TcpFlags::URG) {
        seg = seg.urg(likeness.urgent);
    }
    if likeness.old {
        seg = seg.ts(1, 0);
    }
    if likeness.bare {
        seg = seg.bare();
    }
    let seg = seg.flags(likeness.flags);
    if likeness.flags.contains(TcpFlags::SYN) {
        return stage.scene.inject(seg);
    }
    let mut packet = stage.scene.packet(&seg);
    if likeness.tos {
        packet = odd_tos(&packet);
    }
    stage.scene.inject_packet(&packet);
}

/// The packet with every bit of the old type of service set that is not ECN's (RFC 9293 §A.1.1), and in IPv4 with a
/// security option (RFC 791 §3.1).
fn odd_tos(packet: &Packet) -> Packet {
    let mut bytes = packet.bytes.to_vec();
    if bytes[0] >> 4 == 6 {
        bytes[0] |= 0x0f;
        bytes[1] |= 0xc0;
        return Packet::new(bytes);
    }
    bytes[1] |= 0xfc;
    let option = [130, 11, 0xd7, 0x88, 1, 2, 3, 4, 5, 6, 7, 0];
    bytes.splice(20..20, option);
    bytes[0] = 0x40 | 8;
    let total = u16::from_be_bytes([bytes[2], bytes[3]]) + 12;
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[10..12].fill(0);
    let mut sum = carrick_wire::Checksum::new();
    sum.add(&bytes[..32]);
    let sum = sum.finish();
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    Packet::new(bytes)
}

/// A call of the application's, and what it said.
fn call(scene: &mut Scene, name: &str, argument: u64) -> Option<String> {
    let result =
        |result: Result<(), String>| Some(result.map_or_else(|e| format!("refuses {e}"), |()| "ok".into()));
    match name {
        "listen" => {
            let port = NonZeroU16::new(scene.local().port());
            let config = ListenConfig { backlog: 4, ..ListenConfig::default() };
            if scene.state() == TcpState::Closed && scene.connection().is_none() {
                scene.listen();
                return result(Ok(()));
            }
            let listened = scene.host_mut().listen(ListenAddr { address: None, port }, config);
            result(listened.map(|_| ()).map_err(|error| format!("{error:?}")))
        }
        "unlisten" => {
            scene.unlisten();
            result(Ok(()))
        }
        "connect" if scene.state() == TcpState::Closed && scene.connection().is_none() => {
            scene.connect();
            result(Ok(()))
        }
        "connect" | "nowhere" => {
            let (local, mut remote, now) = (scene.local(), scene.remote(), scene.now());
            if name == "nowhere" {
                let unspecified: IpAddr =
                    if remote.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
                remote = SocketAddr::new(unspecified, 80);
            }
            let config = Arc::new(ConnectionConfig::default());
            let connected = scene.host_mut().connect(now, Some(local), remote, config);
            scene.check();
            result(connected.map(|_| ()).map_err(|error| format!("{error:?}")))
        }
        "accept" => {
            let accepted = scene.accept();
            Some(if accepted { "accept" } else { "none" }.into())
        }
        "send" => {
            let sent = scene.try_send(&vec![7; argument as usize]);
            Some(sent.map_or_else(|error| format!("refuses {error:?}"), |n| format!("takes {n}")))
        }
        "read" => {
            let n = scene.read().len();
            let connection = scene.connection();
            let end = connection.is_some_and(|connection| connection.at_end());
            let error = connection.and_then(|connection| connection.error());
            Some(match (n, end, error) {
                (0, true, _) => "reads the end".into(),
                (0, false, Some(error)) => format!("reads {error:?}"),
                (0, false, None) => "waits".into(),
                (n, ..) => format!("reads {n}"),
            })
        }
        "finish" => {
            scene.finish();
            None
        }
        "close" => {
            scene.close();
            None
        }
        "abort" => {
            scene.abort();
            None
        }
        "state" => Some(scene.state().name().into()),
        "tick" => {
            scene.advance(argument.ms());
            None
        }
        "timer" => {
            scene.advance_to_next_timer().expect("a timer runs");
            None
        }
        other => panic!("no call: {other}"),
    }
}

impl Look {
    fn at(scene: &Scene) -> Self {
        let connection = scene.connection();
        let numbers = connection.and_then(|connection| connection.sequence_numbers());
        let state = scene.state();
        let wait = match connection {
            Some(connection) if connection.state() == TcpState::TimeWait => connection.poll_timeout(),
            _ => scene.host().endpoint().poll_timeout(),
        };
        Self {
            state,
            text: connection.map_or(0, |connection| connection.readable_len()),
            una: numbers.map(|[una, ..]| una.get()),
            rcv: numbers.map(|[_, _, rcv, _]| rcv.get()),
            at_end: scene.at_end(),
            error: scene.error().map(|error| format!("{error:?}")),
            wait: wait.filter(|_| state == TcpState::TimeWait),
        }
    }

    fn changes(&self, after: &Self, events: &[Event]) -> Vec<String> {
        let mut tells = Vec::new();
        for (event, name) in [
            (Event::Connected, "connected"),
            (Event::Readable, "readable"),
            (Event::Writable, "room"),
            (Event::Closed, "closed"),
        ] {
            if events.contains(&event) {
                tells.push(name.to_owned());
            }
        }
        // Of these each one counts.
        tells.extend(events.iter().filter(|event| **event == Event::Urgent).map(|_| "urgent".to_owned()));
        let moved = |name, before: Option<u32>, after: Option<u32>| match (before, after) {
            (Some(before), Some(after)) if before != after => {
                Some(format!("{name}+{}", after.wrapping_sub(before)))
            }
            _ => None,
        };
        if after.text > self.text {
            tells.push(format!("text {}", after.text - self.text));
        }
        tells.extend(moved("una", self.una, after.una));
        tells.extend(moved("rcv", self.rcv, after.rcv));
        if after.at_end && !self.at_end && after.error.is_none() {
            tells.push("eof".into());
        }
        if after.error != self.error {
            tells.extend(after.error.clone());
        }
        if self.wait.is_some() && after.wait.is_some() && self.wait != after.wait {
            tells.push("wait anew".into());
        }
        tells
    }
}

impl Seen {
    /// How this differs from what the row says, if it does.
    pub(crate) fn objection(&self, row: &Row) -> Option<String> {
        let next = match row.next {
            Next::Same => self.before,
            Next::State(next) => next,
        };
        if self.after != next {
            return Some(format!("state {} instead of {next}", self.after));
        }
        let expected: Vec<Sent> = row
            .reply
            .iter()
            .enumerate()
            .map(|(n, reply)| self.expected(reply, self.replies.get(n)))
            .collect();
        if self.replies != expected {
            return Some(format!("reply {} instead of {}", self.show(&self.replies), self.show(&expected)));
        }
        if self.tells != row.tells {
            return Some(format!("tells {:?} instead of {:?}", self.tells, row.tells));
        }
        if self.answers.is_some_and(|answers| answers == 0 || answers > 10) {
            return Some(format!("{:?} answers to twenty", self.answers));
        }
        None
    }

    /// The segment that a row expects. A window that it does not name may be any.
    fn expected(&self, reply: &Reply, seen: Option<&Sent>) -> Sent {
        let Likeness { flags, seq, ack, len, window, .. } = reply.segment;
        let on_wire = |number: Number, isn: u32| {
            let base = if number.0 == "zero" { 0 } else { isn };
            Stage::value(self.numbers, number).wrapping_add(base)
        };
        let ack = if flags.contains(TcpFlags::ACK) { on_wire(ack, self.isn.1) } else { 0 };
        let window = window.unwrap_or_else(|| seen.map_or(0, |seen| seen.window));
        Sent { flags, seq: on_wire(seq, self.isn.0), ack, len, window }
    }

    fn show(&self, segments: &[Sent]) -> String {
        let (ours, theirs) = self.isn;
        let text = |&Sent { flags, seq, ack, len, window }: &Sent| {
            let (seq, ack) = (seq.wrapping_sub(ours), ack.wrapping_sub(theirs));
            format!("{flags} seq {seq} ack {ack} len {len} win {window}")
        };
        let segments: Vec<String> = segments.iter().map(text).collect();
        format!("{segments:?}")
    }
}
