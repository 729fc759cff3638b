//! An attacker on the way of the acknowledgments, who knows what has been sent and what has arrived: he delays them, drops
//! them, cuts them into parts, sends them many times, and forges some.
//!
//! A whole sender and a whole receiver, 10 Mbit/s and 20 ms with a queue of one round trip between them. 5,000 decisions of the
//! attacker for each of eight senders; with `CARRICK_SOAK` 125,000, a million in all.

use super::*;
use carrick_core::congestion::RateSample;
use carrick_core::{
    Cidr, ConnectionConfig, ConnectionId, EcnPolicy, EndpointConfig, ListenAddr, ListenConfig, ListenerId,
};
use carrick_covers::covers;
use carrick_sim::{
    Bottleneck, Host, HostConfig, Link, LinkConfig, Packet, QueueLimit, Ranges, Rng, Span, pattern,
};
use carrick_wire::{SackBlock, SackBlocks, SeqNum, TcpFlags, TcpHeader, WireWindow};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

const RATE: u64 = 10_000_000;
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// The sender's buffer: no more than that is ever under way.
const BUFFER: u32 = 256 << 10;
/// A window grows by what is acknowledged while more than half of it was used.
const CAP: u32 = 3 * BUFFER;

/// What the attacker says beside what is true.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lies {
    /// Nothing that could pass for the receiver's word: numbers never sent or long acknowledged, echoes, windows, marks.
    Outside,
    /// Also that what is still under way has arrived.
    Any,
}

/// A controller whose window is looked at whenever it may have changed. What [`TcpInfo`](carrick_core::TcpInfo) tells is less
/// while the flight comes down to it.
#[derive(Debug)]
struct Watched {
    controller: Box<dyn Controller>,
    mss: u32,
}

impl Watched {
    fn look(&mut self, what: impl FnOnce(&mut dyn Controller)) {
        what(&mut *self.controller);
        let window = self.controller.window();
        assert!((self.mss..=CAP).contains(&window), "a window of {window}");
    }
}

impl Controller for Watched {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { controller: self.controller.clone(), mss: self.mss })
    }

    fn window(&self) -> u32 {
        self.controller.window()
    }

    fn threshold(&self) -> Option<u32> {
        self.controller.threshold()
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.controller.pacing_rate()
    }

    fn on_start(&mut self, mss: u32) {
        self.mss = mss;
        self.look(|controller| controller.on_start(mss));
    }

    fn on_handshake_loss(&mut self) {
        self.look(|controller| controller.on_handshake_loss());
    }

    fn on_sample(&mut self, sample: &RateSample) {
        self.look(|controller| controller.on_sample(sample));
    }

    fn on_ack(&mut self, acked: Acked) {
        self.look(|controller| controller.on_ack(acked));
    }

    fn on_loss(&mut self, now: Instant, in_flight: u32) {
        self.look(|controller| controller.on_loss(now, in_flight));
    }

    fn on_recovered(&mut self, now: Instant, in_flight: u32, repaired: u32) {
        self.look(|controller| controller.on_recovered(now, in_flight, repaired));
    }

    fn on_ecn(&mut self, now: Instant, in_flight: u32) {
        self.look(|controller| controller.on_ecn(now, in_flight));
    }

    fn on_timeout(&mut self, now: Instant, in_flight: u32, first: bool) {
        self.look(|controller| controller.on_timeout(now, in_flight, first));
    }

    fn on_spurious(&mut self, spurious: Spurious) {
        self.look(|controller| controller.on_spurious(spurious));
    }

    fn on_restart(&mut self, now: Instant, idle: Duration) {
        self.look(|controller| controller.on_restart(now, idle));
    }

    fn digest(&self, state: &mut dyn std::hash::Hasher) {
        self.controller.digest(state);
    }
}

struct World {
    hosts: [Host; 2],
    id: ConnectionId,
    listener: ListenerId,
    receiver: Option<ConnectionId>,
    there: Link,
    /// Acknowledgments by when they arrive.
    back: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, Packet>,
    serial: u64,
    rng: Rng,
    lies: Lies,
    now: Instant,
    written: u64,
    /// The sender's first number, the text that has arrived, the most that was sent and what the attacker last passed on.
    iss: SeqNum,
    arrived: Ranges,
    nxt: u64,
    passed: u64,
    /// What he has said to have arrived and may not have.
    claimed: u64,
    /// Bytes of text that left, each as often as it did.
    left: u64,
    decisions: u64,
    largest: u32,
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn host(last: u8, seed: u64) -> Host {
    let addresses = vec![Cidr::new(address(last), 24)];
    Host::new(HostConfig::new(EndpointConfig { addresses, ..EndpointConfig::default() }, seed))
}

impl World {
    fn new(seed: u64, controller: Box<dyn Controller>, sack: bool, lies: Lies) -> Self {
        let mut rng = Rng::new(seed);
        let mut hosts = [host(1, rng.bits()), host(2, rng.bits())];
        let receiver = ConnectionConfig { sack, ecn: EcnPolicy::Ask, ..ConnectionConfig::default() };
        let sender = ConnectionConfig {
            send_buffer: BUFFER,
            tune_send_buffer: false,
            congestion: Some(Box::new(Watched { controller, mss: 0 })),
            // Else a peer whose receiver never hears the rest would be given up after a while.
            retries: u8::MAX,
            ..receiver.clone()
        };
        let local = ListenAddr { address: None, port: NonZeroU16::new(80) };
        let listening = ListenConfig { connection: receiver, ..ListenConfig::default() };
        let listener = hosts[1].listen(local, listening).expect("the port is free");
        let remote = SocketAddr::new(address(2), 80);
        let id = hosts[0].connect(Instant::ZERO, None, remote, Arc::new(sender)).expect("a port is free");
        let queue = QueueLimit::bdp(RATE, ROUND_TRIP, 1.0);
        let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(RATE) });
        let there = Link::new(LinkConfig { bottleneck, ..LinkConfig::delayed(ROUND_TRIP / 2) }, rng.fork());
        Self {
            hosts,
            id,
            listener,
            receiver: None,
            there,
            back: BinaryHeap::new(),
            packets: BTreeMap::new(),
            serial: 0,
            rng,
            lies,
            now: Instant::ZERO,
            written: 0,
            iss: SeqNum::new(0),
            arrived: Ranges::default(),
            nxt: 0,
            passed: 0,
            claimed: 0,
            left: 0,
            decisions: 0,
            largest: 0,
        }
    }

    /// Where in the stream a number stands.
    fn place(&self, seq: SeqNum) -> u64 {
        // The stream is short enough.
        u64::from((seq - (self.iss + 1)) as u32)
    }

    fn number(&self, place: u64) -> SeqNum {
        self.iss + 1 + place as u32
    }

    /// What is due next happens, and then all that follows from it.
    fn step(&mut self) {
        let back = self.back.peek().map(|Reverse((at, _))| *at);
        let timers = self.hosts.iter().filter_map(Host::poll_timeout);
        let due = timers.chain(self.there.next_arrival()).chain(back).min().expect("something is to come");
        self.now = self.now.max(due);
        while let Some(packet) = self.there.receive(self.now) {
            let segment = packet.segment().expect("a segment");
            let from = segment.tcp.seq;
            let len = segment.payload.len() as u64;
            if len > 0 {
                let from = self.place(from);
                self.arrived.insert(from, from + len);
            }
            self.hosts[1].receive(self.now, &packet);
        }
        while self.back.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
            let Some(Reverse((_, serial))) = self.back.pop() else { break };
            let packet = self.packets.remove(&serial).expect("it is under way");
            self.hosts[0].receive(self.now, &packet);
        }
        for host in &mut self.hosts {
            host.expire(self.now);
        }
        self.act();
        for packet in self.hosts[0].take_packets() {
            let segment = packet.segment().expect("a segment");
            if segment.has(TcpFlags::SYN) {
                self.iss = segment.tcp.seq;
            }
            let len = segment.payload.len() as u64;
            self.left += len;
            if len > 0 {
                self.nxt = self.nxt.max(self.place(segment.tcp.seq) + len);
            }
            self.there.send(self.now, packet);
        }
        for packet in self.hosts[1].take_packets() {
            self.attack(&packet);
        }
        for host in &self.hosts {
            assert!(host.violation().is_none(), "{:?}", host.violation());
        }
    }

    /// Both applications: one writes what fits, the other reads what is there.
    fn act(&mut self) {
        let text = pattern(self.written, 16 << 10);
        if let Ok(taken) = self.hosts[0].send(self.now, self.id, &text) {
            self.written += taken as u64;
        }
        self.receiver = self.receiver.or_else(|| self.hosts[1].accept(self.listener));
        if let Some(id) = self.receiver {
            while !self.hosts[1].read(self.now, id, 1 << 20).is_empty() {}
        }
    }

    /// What becomes of an acknowledgment.
    fn attack(&mut self, packet: &Packet) {
        let segment = packet.segment().expect("a segment");
        let (mut tcp, mut late) = (segment.tcp, Duration::ZERO);
        if segment.has(TcpFlags::SYN) {
            return self.pass(&tcp, late);
        }
        self.decisions += 1;
        let mut ack = self.place(tcp.ack);
        // Whoever has once said that all has arrived must go on saying so.
        if self.claimed > ack {
            if self.rng.chance(700_000) {
                self.claimed = self.rng.between(self.claimed, self.nxt);
            }
            ack = self.claimed;
            tcp.ack = self.number(ack);
        }
        match self.rng.below(100) {
            0..12 => {}
            12..22 => {
                late = self.rng.up_to(200.ms());
                self.pass(&tcp, late);
            }
            22..30 => {
                let parts = self.rng.between(2, 20);
                let (from, all) = (self.passed.min(ack), ack.saturating_sub(self.passed));
                for n in 1..=parts {
                    self.pass(&TcpHeader { ack: self.number(from + all * n / parts), ..tcp }, late);
                }
            }
            30..36 => (0..self.rng.between(2, 12)).for_each(|_| self.pass(&tcp, late)),
            36..52 => {
                let forged = self.forge(tcp);
                self.pass(&forged, late);
            }
            _ => self.pass(&tcp, late),
        }
        self.passed = self.passed.max(ack);
    }

    fn forge(&mut self, mut tcp: TcpHeader) -> TcpHeader {
        let (ack, nxt) = (self.place(tcp.ack), self.nxt);
        let far = self.rng.between(1, 1 << 20);
        // Not sent either when this arrives.
        let beyond = nxt + u64::from(BUFFER);
        match self.rng.below(if self.lies == Lies::Any { 8 } else { 6 }) {
            0 => tcp.ack = self.number(beyond + far),
            1 => tcp.ack = self.number(ack.wrapping_sub(far)),
            2 => {
                // What was never sent, or what came twice.
                let from = if self.rng.chance(500_000) { beyond + far } else { ack.saturating_sub(far) };
                // Below SND.UNA it is told of as a duplicate.
                let to = if from < beyond { (from + far).min(ack) } else { from + far };
                tcp.options.sack = self.block(from, to);
            }
            3 => {
                if let Some(echo) = &mut tcp.options.timestamps {
                    let far = self.rng.pick(&[1, 10, 1000, 1 << 20, u32::MAX / 2, u32::MAX]);
                    echo.ecr = if self.rng.chance(100_000) { 0 } else { echo.ecr.wrapping_add(far) };
                }
            }
            4 => tcp.window = WireWindow::new(self.rng.below(1 << 16) as u16),
            5 if self.rng.chance(50_000) => tcp.flags |= TcpFlags::ECE,
            5 => {}
            6 => {
                self.claimed = self.rng.between(ack.min(nxt), nxt);
                tcp.ack = self.number(self.claimed);
            }
            _ => {
                let from = self.rng.between(ack.min(nxt), nxt);
                let to = self.rng.between(from, nxt) + 1;
                tcp.options.sack = self.block(from, to);
            }
        }
        tcp
    }

    fn block(&self, from: u64, to: u64) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        let block = SackBlock::new(self.number(from), self.number(to.max(from + 1)));
        blocks.push(block.expect("it is not empty"));
        blocks
    }

    fn pass(&mut self, tcp: &TcpHeader, late: Duration) {
        self.serial += 1;
        self.back.push(Reverse((self.now + ROUND_TRIP / 2 + late, self.serial)));
        self.packets.insert(self.serial, Packet::tcp(address(2), address(1), 0, tcp, &[]));
    }

    fn check(&mut self) {
        let Some(info) = self.hosts[0].connection(self.id).expect("it lives").tcp_info() else { return };
        let out = info.unacknowledged - info.unsent;
        assert!(out <= BUFFER as usize && info.in_flight as usize <= out, "{info:?}");
        // What was never sent is never taken for acknowledged,
        assert!(info.bytes_acknowledged <= self.nxt, "of {}: {info:?}", self.nxt);
        let (left, time) = (self.left as f64, self.now.since(Instant::ZERO).as_secs_f64());
        if self.lies == Lies::Outside {
            // nor what has not arrived; and no more leaves than the link carries, beside what the buffers hold.
            let (arrived, known) = (&self.arrived, info.bytes_acknowledged + u64::from(info.sacked));
            assert!(info.bytes_acknowledged <= arrived.first(), "of {arrived:?}: {info:?}");
            assert!(known <= arrived.bytes(), "of {arrived:?}: {info:?}");
            let most = RATE as f64 / 8.0 * time + f64::from(BUFFER);
            assert!(left <= most, "{left} of {most} left");
        } else {
            // An acknowledgment takes half a round trip, whatever it says.
            let most = f64::from(BUFFER) * (time / (ROUND_TRIP / 2).as_secs_f64() + 1.0);
            assert!(left <= most, "{left} of {most} left");
        }
        self.largest = self.largest.max(info.congestion_window);
        assert!(info.congestion_window <= CAP, "{info:?}");
    }
}

#[test]
fn t_ccx_9_whatever_is_done_to_acknowledgments() {
    let decisions = if std::env::var_os("CARRICK_SOAK").is_some() { 125_000 } else { 5000 };
    for seed in 0..8u64 {
        let controller: Box<dyn Controller> =
            if seed & 1 == 0 { Box::new(Cubic::default()) } else { Box::new(NewReno::default()) };
        let lies = if seed & 4 == 0 { Lies::Outside } else { Lies::Any };
        let mut world = World::new(seed, controller, seed & 2 == 0, lies);
        while world.decisions < decisions {
            world.step();
            world.check();
        }
        let World { arrived, left, largest, there, .. } = &world;
        let seconds = world.now.since(Instant::ZERO).as_secs_f64();
        println!(
            "{seed}, {lies:?}: in {seconds:.1} s {left} bytes left and {} arrived, {} packets overflowed, {largest} at most",
            arrived.bytes(),
            there.counters().overflowed
        );
        // Else it would have shown nothing. Who lies may have to wait for the timer to hear anything.
        assert!(there.counters().overflowed > 0, "the queue was never full");
        let share = arrived.bytes() as f64 / (RATE as f64 / 8.0 * seconds);
        assert!(lies == Lies::Any || share > 0.3, "he let {share} through");
    }
    covers!("T-CCX-9");
}
