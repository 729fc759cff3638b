//! Conversations between two real endpoints in virtual time, drawn as ladders: each segment with its numbers, and
//! both sides' states.

use crate::rungs::{self, Part, Rungs};
use carrick_core::{
    Cidr, Connection, ConnectionConfig, ConnectionId, Cx, EndpointConfig, Instant, ListenAddr, ListenConfig,
    ListenerId, TcpState,
};
use carrick_sim::{Host, HostConfig, Packet, Span};
use carrick_wire::{SeqNum, TcpHeader};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

/// How long every segment is under way.
const DELAY: Duration = Duration::from_millis(10);
/// A uses this port, B the next.
const PORT: u16 = 4000;

/// Two hosts, A on the left and B on the right, and what has been drawn of their conversation.
#[derive(Debug)]
pub struct Ladder {
    hosts: [Host; 2],
    config: ConnectionConfig,
    listener: Option<ListenerId>,
    connections: [Option<ConnectionId>; 2],
    now: Instant,
    /// In the order in which they left, which is the order of arrival.
    under_way: VecDeque<UnderWay>,
    /// Acknowledgments may wait for text to ride on, as in a conversation that has lasted for a while.
    unhurried: [bool; 2],
    rungs: Rungs,
}

#[derive(Debug)]
struct UnderWay {
    from: usize,
    due: Instant,
    packet: Packet,
    /// The sender's state when it left.
    state: TcpState,
    /// Another is under way in the other direction: setting out and arriving are drawn by themselves.
    crossed: bool,
}

impl Ladder {
    /// Nobody has said anything yet. A's initial sequence number is 100, B's 2000.
    #[must_use]
    pub fn new(title: &str) -> Self {
        let host = |side: usize| {
            let addresses = vec![Cidr::new(address(side).ip(), 24)];
            Host::new(HostConfig::new(
                EndpointConfig { addresses, ..EndpointConfig::default() },
                side as u64 + 1,
            ))
        };
        Self {
            hosts: [host(0), host(1)],
            // No larger than a SYN can say: reading would be told of otherwise.
            config: ConnectionConfig { receive_buffer: 65_535, ..ConnectionConfig::default() },
            listener: None,
            connections: [None; 2],
            now: Instant::ZERO,
            under_way: VecDeque::new(),
            unhurried: [false; 2],
            rungs: Rungs::new(title, ["A", "B"]),
        }
    }

    fn config(&self, side: usize) -> ConnectionConfig {
        let iss = SeqNum::new([100, 2000][side]);
        ConnectionConfig { initial_sequence: Some(iss), ..self.config.clone() }
    }

    /// B listens.
    pub fn listen(&mut self) {
        let connection = self.config(1);
        let local = ListenAddr { address: None, port: NonZeroU16::new(address(1).port()) };
        let config = ListenConfig { connection, ..ListenConfig::default() };
        self.listener = self.hosts[1].listen(local, config).ok();
        self.note(1, "listens");
    }

    /// One side connects to the other.
    pub fn connect(&mut self, side: usize) {
        let (config, local) = (Arc::new(self.config(side)), Some(address(side)));
        self.connections[side] = self.hosts[side].connect(self.now, local, address(1 - side), config).ok();
        self.note(side, "connects");
    }

    /// One side writes so many bytes.
    pub fn write(&mut self, side: usize, len: usize) {
        self.act(side, &format!("writes {len} bytes"), |host, now, id| {
            assert_eq!(host.send(now, id, &vec![b'.'; len]), Ok(len));
        });
    }

    /// One side says that it writes no more.
    pub fn finish(&mut self, side: usize) {
        self.act(side, "closes its side", Host::finish);
    }

    /// One side aborts.
    pub fn abort(&mut self, side: usize) {
        self.act(side, "aborts", Host::abort);
    }

    fn act(&mut self, side: usize, what: &str, act: impl FnOnce(&mut Host, Instant, ConnectionId)) {
        if let Some(id) = self.connections[side] {
            act(&mut self.hosts[side], self.now, id);
        }
        self.note(side, what);
    }

    /// Lets everything arrive that is under way, and what answers it.
    pub fn flow(&mut self) {
        self.collect();
        while let Some(next) = self.under_way.front() {
            self.advance_to(next.due);
        }
    }

    /// Lets time pass.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        self.collect();
        loop {
            let arrival = self.under_way.front().map(|next| next.due);
            let timers = self.hosts.iter().filter_map(Host::poll_timeout);
            match timers.chain(arrival).min().filter(|due| *due <= end) {
                Some(due) => self.advance_to(due),
                None => break,
            }
        }
        self.now = end;
    }

    /// All that was drawn.
    #[must_use]
    pub fn draw(self) -> String {
        self.rungs.draw()
    }

    /// The sides' states.
    #[must_use]
    pub fn states(&self) -> [TcpState; 2] {
        [self.state(0), self.state(1)]
    }

    fn advance_to(&mut self, now: Instant) {
        self.now = now;
        while self.under_way.front().is_some_and(|next| next.due <= now) {
            let Some(UnderWay { from, packet, state, crossed, .. }) = self.under_way.pop_front() else {
                break;
            };
            let to = 1 - from;
            self.hosts[to].receive(now, &packet);
            if let Some(id) = self.listener.and_then(|listener| self.hosts[1].accept(listener)) {
                self.connections[1] = Some(id);
            }
            let part = if crossed { Part::Last } else { Part::Whole };
            let sender = if crossed { self.state(from) } else { state };
            self.line(from, &packet, part, sender);
            self.read(to);
        }
        for side in 0..2 {
            self.hosts[side].expire(now);
        }
        self.collect();
        if self.under_way.is_empty() {
            self.rungs.states(&self.time(), self.states());
        }
    }

    /// Both applications read at once what there is.
    fn read(&mut self, side: usize) {
        let Some(id) = self.connections[side] else { return };
        if !self.unhurried[side] && self.state(side) == TcpState::Established {
            self.unhurried[side] = true;
            let unhurried = |connection: &mut Connection, cx: &Cx| connection.set_quickack(cx, false);
            self.hosts[side].with(self.now, id, unhurried);
        }
        if self.hosts[side].connection(id).is_some_and(|connection| connection.readable_len() > 0) {
            self.hosts[side].read(self.now, id, usize::MAX);
        }
    }

    /// Puts on the way what the hosts have sent.
    fn collect(&mut self) {
        let sent = [0, 1].map(|side| self.hosts[side].take_packets());
        let crossed = sent.iter().all(|packets| !packets.is_empty());
        for (from, packets) in sent.into_iter().enumerate() {
            let state = self.state(from);
            for packet in packets {
                if crossed {
                    self.line(from, &packet, Part::First, state);
                }
                self.under_way.push_back(UnderWay { from, due: self.now + DELAY, packet, state, crossed });
            }
        }
    }

    fn state(&self, side: usize) -> TcpState {
        match (self.connections[side], self.listener.filter(|_| side == 1)) {
            (Some(id), _) => self.hosts[side].state(id),
            (None, Some(_)) if self.hosts[side].endpoint().half_open() > 0 => TcpState::SynReceived,
            (None, Some(_)) => TcpState::Listen,
            (None, None) => TcpState::Closed,
        }
    }

    // Drawing.

    fn note(&mut self, side: usize, what: &str) {
        self.rungs.note(&self.time(), self.states(), side, what);
    }

    fn line(&mut self, from: usize, packet: &Packet, part: Part, sender: TcpState) {
        let mut states = self.states();
        if !matches!(part, Part::Last) {
            states[from] = sender;
        }
        let what = match packet.segment() {
            Some(segment) => {
                let TcpHeader { flags, seq, ack, .. } = segment.tcp;
                rungs::describe(flags, seq.get(), ack.get(), segment.payload.len())
            }
            None => "?".into(),
        };
        self.rungs.segment(&self.time(), states, from, &what, part);
    }

    fn time(&self) -> String {
        format!("{:.3} s", self.now.since(Instant::ZERO).as_secs_f64())
    }
}

const fn address(side: usize) -> SocketAddr {
    let last = if side == 0 { 1 } else { 2 };
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), PORT + last as u16 - 1)
}

/// A and B are connected; the handshake is drawn.
fn connected(title: &str) -> Ladder {
    let mut ladder = Ladder::new(title);
    ladder.listen();
    ladder.connect(0);
    ladder.flow();
    ladder
}

/// Long enough for any acknowledgment that waits for company.
fn pause(ladder: &mut Ladder) {
    ladder.wait(500.ms());
}

/// The conversation that textbooks tell: a handshake, a question of 100 bytes, an answer of 500, four-way close.
#[must_use]
pub fn textbook() -> String {
    let mut ladder = connected("A handshake, a question, an answer, and the four-way close");
    ladder.write(0, 100);
    ladder.flow();
    ladder.write(1, 500);
    pause(&mut ladder);
    ladder.finish(0);
    pause(&mut ladder);
    ladder.finish(1);
    ladder.wait(300.secs());
    assert_eq!(ladder.states(), [TcpState::Closed; 2]);
    ladder.draw()
}

/// One side closes, and the other goes on talking for as long as it likes.
#[must_use]
pub fn half_close() -> String {
    let mut ladder = connected("A half-close: text still flows to the side that has sent its FIN");
    ladder.write(0, 100);
    ladder.finish(0);
    pause(&mut ladder);
    for _ in 0..3 {
        ladder.write(1, 300);
        pause(&mut ladder);
    }
    ladder.finish(1);
    ladder.wait(300.secs());
    assert_eq!(ladder.states(), [TcpState::Closed; 2]);
    ladder.draw()
}

/// Both sides close at the same time, and their FINs cross.
#[must_use]
pub fn simultaneous_close() -> String {
    let mut ladder = connected("A simultaneous close: the FINs cross");
    pause(&mut ladder);
    ladder.finish(0);
    ladder.finish(1);
    ladder.wait(300.secs());
    assert_eq!(ladder.states(), [TcpState::Closed; 2]);
    ladder.draw()
}

/// Both sides connect at the same time, and their SYNs cross: one connection.
#[must_use]
pub fn simultaneous_open() -> String {
    let mut ladder = Ladder::new("A simultaneous open: the SYNs cross, and make one connection");
    ladder.connect(0);
    ladder.connect(1);
    pause(&mut ladder);
    assert_eq!(ladder.states(), [TcpState::Established; 2]);
    ladder.draw()
}

/// One side gives up at once.
#[must_use]
pub fn abort() -> String {
    let mut ladder = connected("An abort: no TIME-WAIT, and the other side learns of it at once");
    ladder.write(0, 100);
    pause(&mut ladder);
    ladder.abort(1);
    ladder.flow();
    assert_eq!(ladder.states(), [TcpState::Closed; 2]);
    ladder.draw()
}

/// All conversations, one after the other.
#[must_use]
pub fn all() -> String {
    [textbook(), half_close(), simultaneous_close(), simultaneous_open(), abort()].concat()
}
