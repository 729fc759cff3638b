//! One flow: two hosts, the application on each, and what lies between the sender and the router.

use super::meter::Meter;
use super::{Flow, FlowReport, FlowSample, Network, PacketKind, PacketNote, Text};
use crate::host::{Host, HostConfig};
use crate::link::{Link, LinkConfig};
use crate::oracles::{Oracle, Violation};
use crate::packet::Packet;
use crate::rng::Rng;
use crate::segment::pattern;
use carrick_core::{
    Cidr, Connection, ConnectionId, EndpointConfig, Instant, ListenAddr, ListenConfig, ListenerId,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 80;
/// All streams repeat the first so many bytes of a pattern; a prime, so that no two places that could be mixed up are
/// the same.
const PERIOD: usize = 65_521;
/// How often a slow receiver reads.
const SLOW: Duration = Duration::from_millis(100);
/// Nobody is short of memory.
const BUDGET: usize = 1 << 40;

pub(super) struct Talk {
    config: Flow,
    noting: bool,
    sender: Host,
    receiver: Host,
    local: SocketAddr,
    remote: SocketAddr,
    listener: ListenerId,
    /// From the sender to the router, and from there to the sender.
    access: [Link; 2],
    /// Once they are there.
    ends: [Option<ConnectionId>; 2],
    /// What streams consist of, twice, so that every place has a period behind it.
    text: Arc<[u8]>,
    written: u64,
    blocked: bool,
    /// When a slow receiver reads next.
    next_read: Instant,
    meter: Meter,
    report: FlowReport,
    /// When something is to be done without anything arriving.
    next: Instant,
}

impl Talk {
    pub(super) fn new(network: &Network, index: usize, text: Arc<[u8]>, rng: &mut Rng) -> Self {
        let config = network.flows[index].clone();
        let addresses = addresses(network.v6, index);
        let [sender, mut receiver] = addresses.map(|address| {
            let prefix = if network.v6 { 64 } else { 24 };
            let addresses = vec![Cidr::new(address, prefix)];
            let endpoint = EndpointConfig { addresses, mtu: config.mtu, ..EndpointConfig::default() };
            Host::new(HostConfig {
                budget: BUDGET,
                watched: network.watched,
                ..HostConfig::new(endpoint, rng.bits())
            })
        });
        let listen = ListenConfig { connection: config.receiver.clone(), ..ListenConfig::default() };
        let local = ListenAddr { address: None, port: NonZeroU16::new(PORT) };
        let listener = receiver.listen(local, listen).expect("a host of its own has all ports");
        let access = [(); 2].map(|()| Link::new(LinkConfig::delayed(config.access), rng.fork()));
        // Ports are the same each time, so that captures are easy to read.
        let (local, remote) = (SocketAddr::new(addresses[0], 20_000), SocketAddr::new(addresses[1], PORT));
        Self {
            next: Instant::ZERO + config.at,
            config,
            noting: network.packets,
            sender,
            receiver,
            local,
            remote,
            listener,
            access,
            ends: [None, None],
            text,
            written: 0,
            blocked: false,
            next_read: Instant::NEVER,
            meter: Meter::default(),
            report: FlowReport::default(),
        }
    }

    /// It has delivered all, or failed.
    pub(super) fn is_done(&self) -> bool {
        self.report.completed.is_some() || self.report.error.is_some()
    }

    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// A packet comes to the receiver.
    pub(super) fn arrived(&mut self, now: Instant, packet: &Packet, copy: bool) {
        if let Some(text) = Text::of(packet) {
            self.meter.arrived(text, copy);
        }
        self.receiver.receive(now, packet);
        self.next = now;
    }

    /// A packet comes to the sender's router.
    pub(super) fn came_back(&mut self, now: Instant, packet: Packet) {
        self.access[1].send(now, packet);
        self.next = self.next.min(self.access[1].next_arrival().unwrap_or(Instant::NEVER));
    }

    /// Does what is due, and gives what the sender has to send. `see` is told what comes to it.
    pub(super) fn act(
        &mut self,
        now: Instant,
        see: &mut dyn FnMut(&Packet),
    ) -> Result<Vec<Packet>, Violation> {
        while let Some(packet) = self.access[1].receive(now) {
            see(&packet);
            let before = self.acknowledged();
            self.sender.receive(now, &packet);
            let after = self.acknowledged();
            if self.noting && after > before {
                let kind = PacketKind::Acknowledged;
                self.report.packets.push(PacketNote { at: now, kind, from: before, to: after });
            }
        }
        for host in [&mut self.sender, &mut self.receiver] {
            if host.poll_timeout().is_some_and(|due| due <= now) {
                host.expire(now);
            }
        }
        self.connect(now);
        self.write(now);
        self.read(now)?;
        let violation = self.sender.violation().or_else(|| self.receiver.violation()).cloned();
        violation.map_or_else(|| Ok(self.sender.take_packets()), Err)
    }

    fn connect(&mut self, now: Instant) {
        if self.ends[0].is_none() && now >= Instant::ZERO + self.config.at {
            let config = Arc::new(self.config.sender.clone());
            let id = self.sender.connect(now, Some(self.local), self.remote, config);
            self.ends[0] = Some(id.expect("a port of its own, and room"));
        }
        if self.ends[1].is_none() {
            self.ends[1] = self.receiver.accept(self.listener);
        }
    }

    fn write(&mut self, now: Instant) {
        let Some(id) = self.ends[0] else { return };
        if !self.sender.take_events(id).is_empty() {
            self.blocked = false;
        }
        self.report.error = self.report.error.or_else(|| self.sender.error(id));
        if self.report.connected.is_none() {
            if self.sender.state(id) < carrick_core::TcpState::Established {
                return;
            }
            self.report.connected = Some(self.since_start(now));
        }
        while !self.blocked {
            let left = self.config.bytes.map_or(u64::MAX, |bytes| bytes - self.written);
            if left == 0 {
                self.sender.finish(now, id);
                self.blocked = true;
                return;
            }
            let text = text(&self.text, self.written, left);
            match self.sender.send(now, id, text) {
                Ok(taken) if taken > 0 => self.written += taken as u64,
                _ => self.blocked = true,
            }
        }
    }

    fn read(&mut self, now: Instant) -> Result<(), Violation> {
        let Some(id) = self.ends[1] else { return Ok(()) };
        let waits = self.next_read != Instant::NEVER;
        if if waits { now < self.next_read } else { !self.receiver.has_events(id) } {
            return Ok(());
        }
        self.receiver.take_events(id);
        let before = self.report.delivered;
        let mut left = self.config.reads.map_or(usize::MAX, |most| most as usize);
        let mut next = |host: &mut Host| {
            let bytes = host.read_chunk(now, id, PERIOD.min(left)).filter(|bytes| !bytes.is_empty())?;
            left -= bytes.len();
            Some(bytes)
        };
        while let Some(bytes) = next(&mut self.receiver) {
            let from = self.report.delivered;
            self.report.delivered += bytes.len() as u64;
            if bytes != text(&self.text, from, bytes.len() as u64) {
                let what = format!("wrong bytes in {from}..{}", self.report.delivered);
                return Err(Violation { oracle: Oracle::O2, at: now, what });
            }
            self.report.first_byte.get_or_insert(now.since(Instant::ZERO + self.config.at));
        }
        let slow = self.config.reads.is_some() && self.report.delivered > before;
        self.next_read = if slow { now + SLOW } else { Instant::NEVER };
        if self.config.bytes == Some(self.report.delivered) && self.report.completed.is_none() {
            self.report.completed = Some(self.since_start(now));
        }
        if self.receiver.connection(id).is_some_and(Connection::at_end) {
            self.receiver.close(now, id);
        }
        Ok(())
    }

    /// The sender has sent a packet.
    pub(super) fn leaves(&mut self, now: Instant, packet: Packet) {
        if let Some(text) = Text::of(&packet)
            && let Some((from, to, again)) = self.meter.sent(text)
            && self.noting
        {
            let kind = if again > 0 { PacketKind::Resent } else { PacketKind::Sent };
            self.report.packets.push(PacketNote { at: now, kind, from, to });
        }
        self.access[0].send(now, packet);
    }

    /// Gives what has come to the router.
    pub(super) fn reach_router(&mut self, now: Instant, mut each: impl FnMut(Packet)) {
        while let Some(packet) = self.access[0].receive(now) {
            each(packet);
        }
    }

    /// Takes what the receiver has to send.
    pub(super) fn answers(&mut self) -> Vec<Packet> {
        self.receiver.take_packets()
    }

    /// All that was due has been done.
    pub(super) fn served(&mut self) {
        let begins = self.ends[0].is_none().then_some(Instant::ZERO + self.config.at);
        let timers = [self.sender.poll_timeout(), self.receiver.poll_timeout()];
        let links = self.access.each_ref().map(Link::next_arrival);
        let due = timers.into_iter().chain(links).chain([begins]).flatten();
        self.next = due.fold(self.next_read, Instant::min);
    }

    pub(super) fn sample(&mut self, now: Instant) {
        let sender = self.ends[0].and_then(|id| self.sender.connection(id));
        let receiver = self.ends[1].and_then(|id| self.receiver.connection(id));
        let holds = |connection: Option<&Connection>| connection.map_or(0, Connection::memory);
        let receive_window = receiver.and_then(Connection::tcp_info).map_or(0, |info| info.receive_window);
        let info = sender.and_then(Connection::tcp_info);
        self.report.samples.extend(info.map(|info| FlowSample {
            at: now,
            congestion_window: info.congestion_window,
            slow_start_threshold: info.slow_start_threshold,
            in_flight: info.in_flight,
            rtt: info.rtt,
            delivered: self.report.delivered,
            path_mtu: info.path_mtu,
            sender_holds: holds(sender),
            receiver_holds: holds(receiver),
            receive_window,
        }));
    }

    pub(super) fn report(self, now: Instant) -> FlowReport {
        let Meter { sent, resent, resent_packets, needless, .. } = self.meter;
        let lasted = self.report.completed.unwrap_or(now.since(Instant::ZERO + self.config.at));
        FlowReport { lasted, sent, resent, resent_packets, needless, ..self.report }
    }

    fn since_start(&self, now: Instant) -> Duration {
        now.since(Instant::ZERO + self.config.at)
    }

    fn acknowledged(&self) -> u64 {
        let info = || self.sender.connection(self.ends[0]?)?.tcp_info();
        if self.noting { info().map_or(0, |info| info.bytes_acknowledged) } else { 0 }
    }
}

/// The text of all streams.
pub(super) fn texts() -> Arc<[u8]> {
    pattern(0, PERIOD).repeat(2).into()
}

/// Up to `most` bytes of a stream, from that place on.
fn text(texts: &[u8], from: u64, most: u64) -> &[u8] {
    let at = (from % PERIOD as u64) as usize;
    &texts[at..at + usize::try_from(most).unwrap_or(PERIOD).min(PERIOD)]
}

/// Sender and receiver of a flow. The last byte says which flow it is.
fn addresses(v6: bool, index: usize) -> [IpAddr; 2] {
    let last = u8::try_from(index + 1).expect("not so many flows");
    if v6 {
        [1, 2].map(|net| Ipv6Addr::new(0x2001, 0xdb8, 0, net, 0, 0, 0, last.into()).into())
    } else {
        [Ipv4Addr::new(198, 51, 100, last).into(), Ipv4Addr::new(203, 0, 113, last).into()]
    }
}
