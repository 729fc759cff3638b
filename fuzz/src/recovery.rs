//! A connection that sends, and a peer that says anything about what has arrived: acknowledgments with any blocks,
//! windows, echoes of congestion and of timestamps, time; and a router that says how large packets may be. After each
//! step what is in flight is no more than what is outstanding, and while something is in flight and the window open a
//! deadline exists; in a second there are few.
//!
//! As bytes: the first says what was agreed on (see [`Terms::of`]), then an operation takes eight.

use carrick_core::congestion::NewReno;
use carrick_core::{EcnPolicy, RecoveryState, TcpState};
use carrick_sim::{Offload, Packet, Scene, Seg, pattern, seg};
use carrick_wire::icmp::{Envelope, emit_packet_too_big};
use std::time::Duration;

/// What was agreed on, and what we use.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub sack: bool,
    pub timestamps: bool,
    /// The device carries super-segments whole.
    pub offload: bool,
    /// NewReno instead of CUBIC.
    pub new_reno: bool,
}

impl Terms {
    /// Read off bits, from the lowest on: no SACK, timestamps, offload, NewReno.
    pub const fn of(bits: u8) -> Self {
        Self {
            sack: bits & 1 == 0,
            timestamps: bits & 2 != 0,
            offload: bits & 4 != 0,
            new_reno: bits & 8 != 0,
        }
    }
}

/// What happens next. All numbers are taken modulo what makes sense.
#[derive(Clone, Debug)]
pub enum Op {
    Write(u16),
    /// Acknowledges so much of what is out, or what lies so far beyond or below it; where there are timestamps, with
    /// the echo of the last that we sent, or of one so many hundredths of a second before or after it.
    Ack(i8, i8),
    /// The same, with blocks from and to so many hundred bytes above SND.UNA, or below it.
    Sack(i8, [(i8, i8); 3]),
    Window(u16),
    Echo(u8),
    Wait(u16),
    Finish,
    /// The last packet with text was too big: so many bytes.
    TooBig(u16),
    /// All is acknowledged, and then nothing happens for so many seconds.
    Rest(u16),
}

/// Deadlines in a second that are more than any rule asks for.
const MOST: u32 = 3000;

/// Plays them on those terms; whether a repair was seen, a timeout, something reported, a smaller size, and text
/// after a rest.
///
/// # Panics
///
/// If the core does, or one of its oracles finds something.
pub fn play(terms: Terms, ops: &[Op]) -> [bool; 5] {
    let mut seen = [false; 5];
    let mut last = None;
    let mut rested = false;
    let Terms { sack, timestamps, offload, new_reno } = terms;
    let builder = Scene::builder().mss(1000).sack(sack).timestamps(timestamps).config(|config| {
        config.ecn = EcnPolicy::Ask;
        if new_reno {
            config.congestion = Some(Box::new(NewReno::default()));
        }
    });
    let mut s = builder.offload(if offload { Offload::Whole } else { Offload::Cut }).build();
    s.connect();
    s.inject(seg().syn().ece().seq(0).ack(1));
    let mut clock = None;
    while let Some(packet) = s.take() {
        clock = clock_of(&packet);
    }
    let (mut written, mut window) = (0u64, 60_000u16);
    let mut finished = false;
    for op in ops {
        let Some(before) = s.connection().and_then(|connection| connection.tcp_info()) else { break };
        if s.state() == TcpState::Closed {
            break;
        }
        let una = u32::try_from(before.bytes_acknowledged).expect("little is sent") + 1;
        let out = u32::try_from(before.unacknowledged - before.unsent).expect("little is sent");
        let place = |n: i8| una.wrapping_add_signed(i32::from(n) * 100);
        let ack = |n: i8| {
            if n >= 0 { una + u32::from(n.unsigned_abs()).wrapping_mul(500) % (out + 1) } else { place(n) }
        };
        let say = |seg: Seg| seg.seq(1).window(window);
        match op {
            Op::Write(len) if !finished => {
                written += s.try_send(&pattern(written, usize::from(*len) % 20_000)).unwrap_or(0) as u64;
            }
            Op::Write(_) => {}
            Op::Ack(n, echo) => {
                let said = say(seg().ack(ack(*n)));
                let millis = u32::try_from(s.now().as_millis()).unwrap_or(u32::MAX);
                let ts =
                    |clock: u32| said.clone().ts(millis, clock.wrapping_add_signed(i32::from(*echo) * 10));
                s.inject(clock.map_or_else(|| said.clone(), ts));
            }
            Op::Sack(n, blocks) => {
                let blocks: Vec<_> =
                    blocks.iter().map(|(left, right)| (place(*left), place(*right))).collect();
                s.inject(say(seg().ack(ack(*n))).sack(&blocks));
            }
            Op::Window(bytes) => {
                window = *bytes;
                s.inject(seg().seq(1).ack(una).window(window));
            }
            Op::Echo(n) => s.inject(say(seg().ack(ack((*n >> 1) as i8))).ece()),
            Op::Wait(millis) => wait(&mut s, Duration::from_millis(u64::from(*millis) % 1000)),
            Op::Rest(seconds) => {
                s.inject(say(seg().ack(una + out)));
                wait(&mut s, Duration::from_secs(u64::from(*seconds) % 900));
                rested |= before.unsent == 0;
            }
            Op::TooBig(mtu) => {
                if let Some(packet) = &last {
                    s.inject_packet(&too_big(&s, packet, u32::from(*mtu) % 1600));
                }
            }
            Op::Finish if !finished => {
                s.finish();
                finished = true;
            }
            Op::Finish => {}
        }
        while let Some(packet) = s.take() {
            clock = clock_of(&packet).or(clock);
            if packet.segment().is_some_and(|segment| !segment.payload.is_empty()) {
                seen[4] |= rested;
                last = Some(packet);
            }
        }
        let Some(now) = s.connection().and_then(|connection| connection.tcp_info()) else { break };
        let out = now.unacknowledged - now.unsent + 1;
        assert!(now.in_flight as usize <= out, "{} of {out}\n{}", now.in_flight, s.transcript());
        assert!(now.sacked as usize <= out, "{} of {out}\n{}", now.sacked, s.transcript());
        seen[0] |= now.recovery == RecoveryState::Recovery;
        seen[1] |= now.timeouts > 0;
        seen[2] |= now.sacked > 0;
        seen[3] |= now.path_mtu < 1500;
        if now.in_flight > 0 && now.send_window > 0 {
            assert!(s.host().poll_timeout().is_some(), "no deadline\n{}", s.transcript());
        }
    }
    seen
}

/// The timestamp that a packet carries.
fn clock_of(packet: &Packet) -> Option<u32> {
    packet.segment()?.tcp.options.timestamps.map(|timestamps| timestamps.val)
}

fn wait(s: &mut Scene, time: Duration) {
    let end = s.now() + time;
    let mut served = 0;
    while s.host().poll_timeout().is_some_and(|at| at <= end) {
        s.advance_to_next_timer();
        served += 1;
        assert!(served < MOST, "{served} deadlines in {time:?}\n{}", s.transcript());
        if s.state() == TcpState::Closed {
            break;
        }
    }
    s.advance(end.since(s.now()));
}

/// A router says that of `packet`.
fn too_big(s: &Scene, packet: &Packet, mtu: u32) -> Packet {
    let to = Envelope { src: s.remote().ip(), dst: s.local().ip(), hop_limit: 64 };
    let mut bytes = vec![0; 1500];
    let len = emit_packet_too_big(&mut bytes, to, mtu, &packet.bytes).expect("there is room");
    bytes.truncate(len);
    Packet::new(bytes)
}

/// Reads them off bytes.
pub fn run(data: &[u8]) -> [bool; 5] {
    let Some((first, rest)) = data.split_first() else { return [false; 5] };
    let ops: Vec<Op> = rest
        .chunks_exact(8)
        .take(400)
        .map(|c| {
            let word = u16::from_le_bytes([c[1], c[2]]);
            let signed = |n: usize| c[n] as i8;
            match c[0] % 16 {
                _ if c[0] >= 248 => Op::Rest(word),
                _ if c[0] >= 240 => Op::TooBig(word),
                0..=3 => Op::Write(word),
                4..=5 => Op::Ack(signed(1), if c[2] < 128 { 0 } else { signed(3) }),
                6..=9 => Op::Sack(
                    signed(1),
                    [(signed(2), signed(3)), (signed(4), signed(5)), (signed(6), signed(7))],
                ),
                10 => Op::Window(word),
                11 => Op::Echo(c[1]),
                12..=14 => Op::Wait(word),
                _ => Op::Finish,
            }
        })
        .collect();
    play(Terms::of(*first), &ops)
}
