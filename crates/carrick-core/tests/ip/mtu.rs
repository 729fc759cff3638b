//! Path MTU: found, shared, believed with care, raised again; black holes; a link that changes.

use crate::common::{assert_dropped, icmp, too_big};
use carrick_core::{
    Cidr, Connection, ConnectionConfig, ConnectionId, Cx, DiscardReason, Endpoint, EndpointConfig,
    EndpointEvent, Event, Instant, ListenAddr, ListenConfig, TcpState,
};
use carrick_covers::covers;
use carrick_sim::{Builder, Host, HostConfig, Offload, Packet, Rng, Scene, Span, pattern, seg};
use carrick_wire::IpView;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

fn builder(v6: bool) -> Builder {
    if v6 { Scene::builder().v6() } else { Scene::builder() }
}

/// What was sent since the last time: sequence number, text, bytes of the packet.
fn flight(s: &mut Scene) -> Vec<(u32, usize, usize)> {
    let mut all = Vec::new();
    while let Some(packet) = s.take() {
        let segment = packet.segment().unwrap();
        let seq = segment.tcp.seq.distance_from(carrick_wire::SeqNum::new(1_000_000));
        all.push((seq, segment.payload.len(), packet.bytes.len()));
    }
    all
}

/// Sends text, looks at the flight, and gives it and its first packet.
fn first_flight(s: &mut Scene, len: usize) -> (Vec<u8>, u32) {
    s.send(pattern(0, len));
    let first = s.take().unwrap().bytes.to_vec();
    let rest = flight(s);
    let end = rest.last().map_or(0, |(seq, len, _)| seq + *len as u32);
    (first, end)
}

fn path_mtu(s: &Scene) -> u16 {
    s.connection().unwrap().path_mtu()
}

#[test]
fn pmtu_1_pmtu_2_the_size_follows_the_path() {
    for (v6, offload) in [(false, Offload::Cut), (false, Offload::Whole), (true, Offload::Cut)] {
        let headers = if v6 { 72 } else { 52 };
        let mut s = builder(v6).timestamps(true).offload(offload).established();
        s.send(pattern(0, 60_000));
        let first = s.take().unwrap();
        if offload == Offload::Cut {
            assert_eq!(first.bytes.len(), 1500, "the link's MTU");
        } else {
            assert_eq!(first.segment_size.unwrap().get(), 1448);
        }
        let sent = flight(&mut s);
        assert!(offload == Offload::Whole || sent.iter().all(|(.., size)| *size == 1500));
        // PMTU-10, 11: one segment, and once that is acknowledged the congestion window as it was.
        s.inject_bytes(too_big(&s, 1400, &first.bytes));
        assert_eq!(path_mtu(&s), 1400);
        assert_eq!(flight(&mut s), [(1, 1400 - headers, 1400)]);
        let in_flight = |s: &Scene| {
            let [una, nxt, ..] = s.connection().unwrap().sequence_numbers().unwrap();
            nxt.distance_from(una)
        };
        let before = in_flight(&s);
        s.inject(seg().seq(1).ack(1 + 1400 - headers as u32));
        let again = flight(&mut s);
        if offload == Offload::Cut {
            assert!(again.iter().all(|(_, len, size)| *size <= 1400 && *len <= 1400 - headers), "PMTU-12");
        }
        let text: usize = again.iter().map(|(_, len, _)| len).sum();
        assert!(text >= before as usize - 1400, "{text} of {before}");
        assert!(in_flight(&s) + 1400 > before);
    }
    covers!("PMTU-1", "PMTU-2", "PMTU-10", "PMTU-11", "PMTU-12", "V4-16");
}

#[test]
fn pmtu_9_icv_5_one_retransmission_for_each_real_decrease() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let (first, _) = first_flight(&mut s, 60_000);
        for _ in 0..20 {
            s.inject_bytes(too_big(&s, 1400, &first));
        }
        assert_eq!(flight(&mut s).len(), 1, "the first full segment: at once, and once");
        let ignored = s.host().endpoint().counters().discarded(DiscardReason::IcmpIgnored);
        assert_eq!(ignored, 19);
    }
    covers!("PMTU-9");
}

#[test]
fn pmtu_3_an_old_router_does_not_say() {
    let mut s = Scene::established();
    let (first, _) = first_flight(&mut s, 20_000);
    s.inject_bytes(too_big(&s, 0, &first));
    assert_eq!(flight(&mut s), [(1, 536, 576)]);
    covers!("PMTU-3");
}

#[test]
fn pmtu_4_pmtu_5_icv_6_floors() {
    for (floor, least) in [(552, 552), (0, 128), (68, 128), (300, 300), (9000, 576)] {
        let mut s = Scene::builder().endpoint(|endpoint| endpoint.min_path_mtu = floor).established();
        let (first, _) = first_flight(&mut s, 20_000);
        s.inject_bytes(too_big(&s, 20, &first));
        // Less than every host takes is only believed when the segment times out.
        if least < 576 {
            assert_eq!((path_mtu(&s), flight(&mut s).len()), (1500, 0));
            s.advance_to_next_timer();
        }
        assert_eq!(path_mtu(&s), least);
        assert_eq!(flight(&mut s), [(1, usize::from(least) - 40, usize::from(least))]);
    }
    let mut s = builder(true).established();
    let (first, _) = first_flight(&mut s, 20_000);
    for mtu in [0, 20, 68, 1000, 1279] {
        let message = too_big(&s, mtu, &first);
        assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
    }
    s.inject_bytes(too_big(&s, 1280, &first));
    assert_eq!(flight(&mut s), [(1, 1220, 1280)]);
    covers!("PMTU-4", "PMTU-5", "ICV-6");
}

#[test]
fn t_icm_4_pmtu_6_nothing_raises_it() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let (first, _) = first_flight(&mut s, 20_000);
        for mtu in [1500, 1501, 9000, 65_535, 65_536, u32::MAX] {
            // In IPv4 the field has 16 bits.
            let mtu = if v6 { mtu } else { mtu & 0xffff };
            if mtu > 1000 {
                let message = too_big(&s, mtu, &first);
                assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
            }
        }
        s.inject_bytes(too_big(&s, 1300, &first));
        for mtu in [1300, 1301, 1499, 1500, 9000] {
            let message = too_big(&s, mtu, &first);
            s.take();
            assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
        }
        assert_eq!(path_mtu(&s), 1300);
    }
    covers!("PMTU-6", "ICV-6");
}

#[test]
fn t_icm_3_icv_5_while_acknowledgments_come_a_smaller_size_is_held() {
    for v6 in [false, true] {
        let headers = if v6 { 60 } else { 40 };
        let mss = 1500 - headers;
        let open = || {
            let mut s = builder(v6).established();
            s.send(pattern(0, 4 * mss));
            let first = s.take().unwrap().bytes.to_vec();
            flight(&mut s);
            (s, first)
        };
        // Larger than anything sent: a lie.
        let mut s = builder(v6).established();
        s.send([1; 1300]);
        let small = s.take().unwrap().bytes.to_vec();
        let message = too_big(&s, 1450, &small);
        assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);

        // A full segment has been acknowledged: smaller sizes wait for a timeout of what they quote.
        let (mut s, _) = open();
        s.inject(seg().seq(1).ack(1 + mss as u32));
        s.send(pattern(0, 20_000));
        let quoted = s.take().unwrap().bytes.to_vec();
        flight(&mut s);
        s.inject_bytes(too_big(&s, 1400, &quoted));
        assert_eq!((path_mtu(&s), flight(&mut s).len()), (1500, 0), "held");
        // Acknowledged: it was forged, and is forgotten. A timeout later changes nothing.
        s.inject(seg().seq(1).ack(1 + 5 * mss as u32));
        flight(&mut s);
        s.advance_to_next_timer();
        assert_eq!(path_mtu(&s), 1500, "forgotten");
        assert!(flight(&mut s).iter().all(|(.., size)| *size == 1500));

        // Timed out: it was true.
        let (mut s, _) = open();
        s.inject(seg().seq(1).ack(1 + mss as u32));
        s.send(pattern(0, 20_000));
        let quoted = s.take().unwrap().bytes.to_vec();
        flight(&mut s);
        s.inject_bytes(too_big(&s, 1400, &quoted));
        s.inject_bytes(too_big(&s, 1300, &quoted));
        s.advance_to_next_timer();
        assert_eq!(path_mtu(&s), 1300, "the smallest of them");
        let sent = flight(&mut s);
        assert_eq!(sent.iter().map(|(.., size)| *size).collect::<Vec<_>>(), [1300]);
    }
    covers!("ICV-5", "PMTU-14");
}

#[test]
fn t_icm_3_whatever_is_said_packets_per_megabyte_are_bounded() {
    for v6 in [false, true] {
        for mtu in (0..=1500).step_by(7) {
            let mut s = builder(v6).established();
            let (first, _) = first_flight(&mut s, 14_000);
            s.inject_bytes(too_big(&s, mtu, &first));
            s.advance_to_next_timer();
            let sent = flight(&mut s);
            let least = if v6 { 1220 } else { 512 };
            assert!(!sent.is_empty() && sent.iter().all(|(_, len, _)| *len >= least), "{mtu}: {sent:?}");
        }
    }
    covers!("T-ICM-3");
}

#[test]
fn pmtu_14_forged_reports_change_nothing() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let (first, end) = first_flight(&mut s, 20_000);
        let at = if v6 { 40 } else { 20 };
        let with = |at: usize, bytes: &[u8]| {
            let mut quoted = first.clone();
            quoted[at..at + bytes.len()].copy_from_slice(bytes);
            quoted
        };
        let seq = |seq: u32| with(at + 4, &(1_000_000 + seq).to_be_bytes());
        for quoted in [with(at, &[0, 1]), with(at + 2, &[0, 1]), seq(0), seq(end), seq(end + 1)] {
            let message = too_big(&s, 1300, &quoted);
            assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
        }
        let mut bad_sum = too_big(&s, 1300, &first);
        *bad_sum.last_mut().unwrap() ^= 1;
        s.inject_bytes(bad_sum);
        assert_eq!((path_mtu(&s), flight(&mut s).len()), (1500, 0));
        s.inject_bytes(too_big(&s, 1300, &seq(end - 1)));
        assert_eq!(path_mtu(&s), 1300);
        // In other states nothing is too big.
        let mut s = builder(v6).build();
        s.connect();
        let syn = s.take().unwrap().bytes.to_vec();
        let message = too_big(&s, 1280, &syn);
        assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
        assert_eq!(s.state(), TcpState::SynSent);
    }
    covers!("PMTU-14");
}

/// Sends 6,000 bytes from number `next` on, all acknowledged, and says how large the packets were at most.
fn send(s: &mut Scene, mut next: u32) -> usize {
    s.send(pattern(0, 6000));
    let end = next + 6000;
    let mut largest = 0;
    while next < end {
        for (seq, len, size) in flight(s) {
            next = next.max(seq + len as u32);
            largest = largest.max(size);
        }
        s.inject(seg().seq(1).ack(next));
    }
    largest
}

#[test]
fn pmtu_7_ten_minutes_later_it_is_tried_again() {
    for v6 in [false, true] {
        let headers = if v6 { 60 } else { 40 };
        let mut s = builder(v6).established();
        assert_eq!(send(&mut s, 1), 1500);
        s.send(pattern(0, 6000));
        let first = s.take().unwrap().bytes.to_vec();
        flight(&mut s);
        // The full size was acknowledged before: it takes a timeout, then the ten minutes begin.
        s.inject_bytes(too_big(&s, 1400, &first));
        s.advance_to_next_timer();
        let began = s.now();
        assert_eq!(flight(&mut s), [(6001, 1400 - headers, 1400)]);
        s.inject(seg().seq(1).ack(12_001));
        let mut next = 12_001u32;
        let mut send = |s: &mut Scene| {
            next += 6000;
            send(s, next - 6000)
        };
        for minute in 0..10u64 {
            s.advance((began + (minute * 60).secs()).since(s.now()));
            assert_eq!(send(&mut s), 1400, "after {minute} minutes");
        }
        s.advance((began + 599_999.ms()).since(s.now()));
        assert_eq!(send(&mut s), 1400);
        s.advance(1.ms());
        assert_eq!(send(&mut s), 1500, "after ten");
    }
    covers!("PMTU-7");
}

#[test]
fn pmtu_19_without_discovery_packets_are_small() {
    let local = |text: &str| vec![text.parse::<Cidr>().unwrap()];
    for (v6, addresses, size) in [
        (false, local("192.0.2.2/24"), 1500), // the peer is on the link
        (false, local("192.0.2.2/32"), 576),
        (true, local("2001:db8::2/64"), 1280),
        (true, local("2001:db8::2/128"), 1280),
    ] {
        let mut s = builder(v6)
            .endpoint(|endpoint| {
                endpoint.path_mtu_discovery = false;
                endpoint.addresses = addresses;
            })
            .established();
        s.send(pattern(0, 5000));
        assert_eq!(flight(&mut s)[0].2, size);
        s.advance(700.secs());
        assert!(flight(&mut s).iter().all(|(.., bytes)| *bytes <= size));
    }
    covers!("PMTU-19");
}

#[test]
fn tun_4_a_link_that_changes() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let send = |s: &mut Scene| {
            let [_, nxt, ..] = s.connection().unwrap().sequence_numbers().unwrap();
            s.send(pattern(0, 6000));
            let sent = flight(s);
            let end = nxt.distance_from(carrick_wire::SeqNum::new(1_000_000)) + 6000;
            s.inject(seg().seq(1).ack(end));
            sent.iter().map(|(.., size)| *size).max().unwrap()
        };
        assert_eq!(send(&mut s), 1500);
        for mtu in [1300, 1500, 1280, 9000, 1400] {
            let now = s.now();
            s.host_mut().set_mtu(now, mtu);
            // The peer's MSS is what it was.
            assert_eq!(send(&mut s), usize::from(mtu.min(1500)), "{mtu}");
            assert_eq!(s.host().endpoint().mtu(), mtu);
        }
        // What is in flight when the link becomes smaller leaves in smaller pieces when it is sent again.
        s.send(pattern(0, 6000));
        flight(&mut s);
        let now = s.now();
        s.host_mut().set_mtu(now, 1290);
        s.advance_to_next_timer();
        assert!(flight(&mut s).iter().all(|(.., size)| *size == 1290));
    }
    covers!("TUN-4");
}

/// Seen: a path that was smaller than the link stayed so for good, where the link had been smaller still meanwhile.
#[test]
fn a_link_that_was_smaller_for_a_while_leaves_no_size_for_good() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let (first, end) = first_flight(&mut s, 20_000);
        s.inject_bytes(too_big(&s, 1400, &first));
        flight(&mut s);
        s.inject(seg().seq(1).ack(end));
        flight(&mut s);
        s.inject(seg().seq(1).ack(20_001));
        for (link, path) in [(1300, 1300), (1500, 1400)] {
            let now = s.now();
            s.host_mut().set_mtu(now, link);
            assert_eq!(path_mtu(&s), path, "what is known of the path goes on to hold");
        }
        assert_eq!(send(&mut s, 20_001), 1400);
        s.advance(600.secs());
        assert_eq!(send(&mut s, 26_001), 1500, "ten minutes later");
    }
    covers!("PMTU-7", "TUN-4");
}

#[test]
fn shld_6_the_least_mtu_is_advertised() {
    for (v6, headers) in [(false, 40), (true, 60)] {
        let mut s = builder(v6).build();
        for mtu in [1280, 1500, 1400] {
            let now = s.now();
            s.host_mut().set_mtu(now, mtu);
        }
        s.connect();
        s.expect(seg().syn().seq(0).mss(1280 - headers));
        let mut s = builder(v6).listening();
        for mtu in [1280, 1500] {
            let now = s.now();
            s.host_mut().set_mtu(now, mtu);
        }
        s.inject(seg().syn().seq(0));
        s.expect(seg().syn().seq(0).ack(1).mss(1280 - headers));
        // What we send may be as large as the link takes now.
        s.inject(seg().seq(1).ack(1));
        assert!(s.accept());
        s.send(pattern(0, 5000));
        assert_eq!(flight(&mut s)[0].2, 1500);
    }
    covers!("SHLD-6");
}

/// Two hosts with a router between them.
struct Net {
    hosts: [Host; 2],
    now: Instant,
    /// What the router passes on, and whether it says so when it does not.
    mtu: usize,
    talks: bool,
    /// Sizes of the packets that the first host has sent.
    sizes: Vec<usize>,
    dropped: u32,
    /// Somebody who sees the packets and sends ICMP errors about them at random.
    storm: Option<Rng>,
    addresses: [SocketAddr; 2],
    listener: carrick_core::ListenerId,
}

const TICK: Duration = Duration::from_millis(10);

impl Net {
    fn new(v6: bool, mtu: usize, talks: bool) -> Self {
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        let [a, b] = if v6 {
            [of("2001:db8:1::1"), of("2001:db8:2::1")]
        } else {
            [of("192.0.2.1"), of("203.0.113.1")]
        };
        let mut hosts = [a, b].map(|address| {
            let addresses = vec![Cidr::new(address, if v6 { 64 } else { 24 })];
            Host::new(HostConfig::new(EndpointConfig { addresses, ..EndpointConfig::default() }, 5))
        });
        let local = ListenAddr { address: None, port: NonZeroU16::new(80) };
        let listener = hosts[1].listen(local, ListenConfig::default()).unwrap();
        Self {
            hosts,
            now: Instant::ZERO,
            mtu,
            talks,
            sizes: Vec::new(),
            dropped: 0,
            storm: None,
            addresses: [SocketAddr::new(a, 0), SocketAddr::new(b, 80)],
            listener,
        }
    }

    fn connect(&mut self) -> ConnectionId {
        let config = Arc::new(ConnectionConfig::default());
        let id = self.hosts[0].connect(self.now, None, self.addresses[1], config).unwrap();
        self.step(|host| host.has_events_of(id));
        id
    }

    /// Packets move, timers fire, the far side reads, until `done`.
    fn step(&mut self, done: impl Fn(&Watch<'_>) -> bool) {
        let deadline = self.now + 3600.secs();
        let mut accepted = Vec::new();
        while !done(&Watch(&self.hosts[0])) {
            assert!(self.now < deadline, "nothing comes of it");
            let mut moved = false;
            for side in [0, 1] {
                for packet in self.hosts[side].take_packets() {
                    moved = true;
                    if side == 0 {
                        self.sizes.push(packet.bytes.len());
                    }
                    if let Some(message) = self.weather(&packet.bytes) {
                        self.hosts[side].receive(self.now, &Packet::new(message));
                    }
                    if packet.bytes.len() > self.mtu {
                        self.dropped += 1;
                        if self.talks {
                            let message = self.report(&packet.bytes);
                            self.hosts[side].receive(self.now, &Packet::new(message));
                        }
                        continue;
                    }
                    self.hosts[1 - side].receive(self.now, &packet);
                }
            }
            while let Some(id) = self.hosts[1].accept(self.listener) {
                accepted.push(id);
            }
            for id in &accepted {
                self.hosts[1].read(self.now, *id, usize::MAX);
            }
            let due = self.hosts.iter().filter_map(Host::poll_timeout).min();
            self.now = if moved { self.now + TICK } else { due.map_or(deadline, |due| due.max(self.now)) };
            for host in &mut self.hosts {
                if host.poll_timeout().is_some_and(|due| due <= self.now) {
                    host.expire(self.now);
                }
            }
        }
        for host in &self.hosts {
            assert!(host.violation().is_none(), "{}", host.violation().unwrap());
        }
    }

    fn report(&self, packet: &[u8]) -> Vec<u8> {
        let (kind, code) = if packet[0] >> 4 == 4 { (3, 4) } else { (2, 0) };
        from_router(kind, code, self.mtu as u32, packet)
    }

    /// An error of any kind about a packet that is on its way, or loses it.
    fn weather(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let rng = self.storm.as_mut()?;
        if !rng.chance(300_000) || packet.len() < 48 {
            return None;
        }
        let v4 = packet[0] >> 4 == 4;
        let (kind, code) = match (rng.below(3), v4) {
            (0, true) => (rng.pick(&[3, 11, 12]), rng.below(16) as u8),
            (0, false) => (rng.pick(&[1, 3, 4, 99]), rng.below(8) as u8),
            (_, true) => (3, 4),
            (_, false) => (2, 0),
        };
        Some(from_router(kind, code, rng.below(1600) as u32, packet))
    }

    /// Transfers so many bytes, and says how large the packets were at most.
    fn transfer(&mut self, id: ConnectionId, len: usize) -> usize {
        self.sizes.clear();
        let mut left = len;
        while left > 0 {
            left -= self.hosts[0].send(self.now, id, &vec![7; left]).unwrap();
            self.step(|host| host.unacknowledged(id) == 0);
        }
        *self.sizes.iter().max().unwrap()
    }

    fn path_mtu(&self, id: ConnectionId) -> u16 {
        self.hosts[0].connection(id).unwrap().path_mtu()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        for host in &mut self.hosts {
            host.expire(self.now);
        }
    }
}

fn from_router(kind: u8, code: u8, word: u32, packet: &[u8]) -> Vec<u8> {
    let view = IpView::parse(packet).unwrap();
    let router: IpAddr = match view.src() {
        IpAddr::V4(_) => [198, 51, 100, 1].into(),
        IpAddr::V6(_) => "2001:db8:f::1".parse().unwrap(),
    };
    icmp(router, view.src(), kind, code, word, &packet[..48])
}

struct Watch<'a>(&'a Host);

impl Watch<'_> {
    fn has_events_of(&self, id: ConnectionId) -> bool {
        self.0.has_events(id)
    }

    fn unacknowledged(&self, id: ConnectionId) -> usize {
        self.0.connection(id).map_or(0, |connection| connection.unacknowledged())
    }
}

#[test]
fn pmtu_8_pmtu_13_others_to_that_destination_are_told() {
    for v6 in [false, true] {
        let mut net = Net::new(v6, 1400, true);
        let (one, other) = (net.connect(), net.connect());
        assert!(net.hosts[0].take_events(one).contains(&Event::Connected));
        assert_eq!((net.path_mtu(one), net.path_mtu(other)), (1500, 1500));
        net.transfer(one, 100_000);
        assert!(net.dropped > 0);
        assert_eq!((net.path_mtu(one), net.path_mtu(other)), (1400, 1400), "told");
        assert_eq!(net.transfer(other, 100_000), 1400);
        // New ones begin with it; the MSS in their SYN is the link's.
        net.sizes.clear();
        let third = net.connect();
        assert_eq!(net.path_mtu(third), 1400);
        assert_eq!(net.transfer(third, 100_000), 1400);
        let config = Arc::new(ConnectionConfig::default());
        net.hosts[0].connect(net.now, None, net.addresses[1], config).unwrap();
        let syn = net.hosts[0].take_packets().pop().unwrap();
        assert_eq!(syn.segment().unwrap().tcp.options.mss, Some(if v6 { 1440 } else { 1460 }));
        // To others nothing has changed.
        let elsewhere: SocketAddr =
            if v6 { "[2001:db8:2::9]:80".parse().unwrap() } else { "203.0.113.9:80".parse().unwrap() };
        let config = Arc::new(ConnectionConfig::default());
        let id = net.hosts[0].connect(net.now, None, elsewhere, config).unwrap();
        assert_eq!(net.path_mtu(id), 1500);
        // Ten minutes later all is forgotten.
        net.wait(601.secs());
        net.hosts[0].take_packets();
        let late = net.connect();
        assert_eq!(net.path_mtu(late), 1500);
    }
    covers!("PMTU-8", "PMTU-13");
}

/// Seen: what was under way when another connection found the path to be smaller waited for its timeout, for the
/// report about it came after the size had changed, and changed nothing any more.
#[test]
fn pmtu_8_what_was_too_big_is_sent_again_whoever_hears_of_it_first() {
    for v6 in [false, true] {
        let mut net = Net::new(v6, 1400, true);
        let ids = [net.connect(), net.connect()];
        let [first, second] = ids.map(|id| {
            net.hosts[0].take_packets();
            net.hosts[0].send(net.now, id, &[7; 20_000]).unwrap();
            net.hosts[0].take_packets()
        });
        let mut hear = |packet: &Packet| {
            let message = net.report(&packet.bytes);
            net.hosts[0].receive(net.now, &Packet::new(message));
            net.hosts[0].take_packets()
        };
        let again = [hear(&first[0]), hear(&second[1])].concat();
        assert_eq!(again.iter().map(|packet| packet.bytes.len()).collect::<Vec<_>>(), [1400; 2], "at once");
        for packet in first.iter().chain(&second) {
            assert!(hear(packet).is_empty(), "and once");
        }
        assert_eq!(ids.map(|id| net.path_mtu(id)), [1400; 2]);
        let began = net.now;
        net.hosts[1].receive_batch(net.now, &again);
        net.step(|host| ids.iter().all(|id| host.unacknowledged(*id) == 0));
        assert!(net.now.since(began) < 200.ms(), "without a timeout");
    }
    covers!("PMTU-8", "PMTU-9");
}

/// Once the size has fallen for another reason, a report counts once more for what left before, if it was larger than the
/// report says.
#[test]
fn pmtu_8_only_what_left_too_big_before_is_sent_again() {
    for v6 in [false, true] {
        for (which, said, again) in [(1, 1400, 1), (1, 1499, 1), (1, 1500, 0), (1, 65_535, 0), (2, 1400, 0)] {
            let mut s = builder(v6).established();
            s.send(pattern(0, 60_000));
            let first = s.take().unwrap().bytes.to_vec();
            let (_, len, size) = *flight(&mut s).last().unwrap();
            assert_eq!(size, 1500);
            let now = s.now();
            s.host_mut().set_mtu(now, 1400);
            assert!(flight(&mut s).is_empty());
            // Of the first flight only the first segment arrives, and makes room.
            s.inject(seg().seq(1).ack(1 + len as u32));
            let second = s.take().expect("there is more to send").bytes.to_vec();
            flight(&mut s);
            assert_eq!(second.len(), 1400);
            let mut quoted = if which == 1 { first } else { second };
            if which == 1 {
                // The second segment of the first flight.
                let at = if v6 { 40 } else { 20 } + 4;
                let seq = u32::from_be_bytes(*quoted[at..].first_chunk().unwrap()) + len as u32;
                quoted[at..at + 4].copy_from_slice(&seq.to_be_bytes());
            }
            s.inject_bytes(too_big(&s, said, &quoted));
            assert_eq!(flight(&mut s).len(), again, "{which} {said}");
            s.inject_bytes(too_big(&s, said, &quoted));
            assert!(flight(&mut s).is_empty(), "once");
        }
    }
    covers!("PMTU-8");
}

type Connections = [(ConnectionId, Box<Connection>)];

/// Tells connections of changes, in so many calls at most; says how many it took.
fn tell(endpoint: &mut Endpoint, connections: &mut Connections, told: &mut [u32], most: usize) -> usize {
    let mut calls = 0;
    while calls < most && endpoint.has_mtu_changes() {
        calls += 1;
        let Some((id, change)) = endpoint.poll_mtu_change() else { continue };
        let place = connections.iter().position(|(other, _)| *other == id).unwrap();
        told[place] += 1;
        connections[place].1.handle_mtu_change(&Cx::new(Instant::ZERO), change);
    }
    calls
}

/// Seen: each path that was found to be smaller made one call look at every connection that there is.
#[test]
fn pmtu_8_telling_connections_takes_bounded_steps_and_one_round_for_all() {
    let addresses = vec!["2001:db8::1/64".parse().unwrap()];
    let config = EndpointConfig { addresses, ..EndpointConfig::default() };
    let mut endpoint = Endpoint::new(Arc::new(config), [7; 32]);
    let cx = Cx::new(Instant::ZERO + 1.secs());
    let settings = Arc::new(ConnectionConfig::default());
    let mut connections: Vec<_> = (0..6000u16)
        .map(|i| {
            let remote = SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, i / 2 + 1).into(), 80);
            endpoint.connect(&cx, None, remote, Arc::clone(&settings)).unwrap()
        })
        .collect();
    assert!(!endpoint.has_mtu_changes());
    let mut told = vec![0; connections.len()];
    let ids: Vec<_> = connections.iter().map(|(id, _)| *id).collect();
    // A destination near the end of the table: nothing is found in what one call looks at.
    endpoint.handle_event(&cx, ids[5990], EndpointEvent::PathMtu(1400));
    assert!(endpoint.poll_mtu_change().is_none() && endpoint.has_mtu_changes());
    // While that goes on others change, which the round has passed by or has still to come to.
    for id in ids.iter().step_by(20) {
        endpoint.handle_event(&cx, *id, EndpointEvent::PathMtu(1400));
    }
    let some = tell(&mut endpoint, &mut connections, &mut told, 100);
    assert_eq!(some, 100);
    endpoint.handle_event(&cx, ids[0], EndpointEvent::PathMtu(1300));
    // What is known already is no news.
    endpoint.handle_event(&cx, ids[1], EndpointEvent::PathMtu(1350));
    let calls = some + tell(&mut endpoint, &mut connections, &mut told, usize::MAX);
    assert!(!endpoint.has_mtu_changes());
    for (i, (_, connection)) in connections.iter().enumerate() {
        let (mtu, count) = match i {
            0 | 1 => (1300, 1..=3),
            5990 | 5991 => (1400, 1..=2),
            _ if i % 20 < 2 => (1400, 1..=3),
            _ => (1500, 0..=0),
        };
        assert_eq!(connection.path_mtu(), mtu, "{i}");
        assert!(count.contains(&told[i]), "{i}: {}", told[i]);
    }
    let found: u32 = told.iter().sum();
    assert!(calls - found as usize <= 20, "{calls} calls for {found} connections in a table of 6,000");
    // A link that changes concerns everybody.
    endpoint.set_mtu(1290);
    tell(&mut endpoint, &mut connections, &mut told, usize::MAX);
    assert!(connections.iter().all(|(_, connection)| connection.path_mtu() == 1290));
    covers!("PMTU-8");
}

#[test]
fn t_icm_5_pmtu_15_black_holes_are_left_and_tried_again() {
    for (v6, hole, falls_to) in
        [(false, 1400, 1024), (false, 1100, 1024), (false, 600, 552), (true, 1300, 1280)]
    {
        let mut net = Net::new(v6, hole, false);
        let id = net.connect();
        net.transfer(id, 200_000);
        assert_eq!(net.path_mtu(id), falls_to);
        assert!(net.dropped > 0);
        assert_eq!(net.transfer(id, 100_000), usize::from(falls_to));
        // Ten minutes later the path may have become better; if it has not, it is left again.
        net.wait(601.secs());
        assert_eq!(net.transfer(id, 50_000), 1500);
        assert_eq!(net.path_mtu(id), falls_to);
        net.mtu = 1500;
        net.wait(601.secs());
        assert_eq!(net.transfer(id, 50_000), 1500);
        assert_eq!(net.path_mtu(id), 1500);
    }
    covers!("T-ICM-5", "PMTU-15");
}

#[test]
fn pmtu_15_the_size_that_has_proved_good_comes_first() {
    let mut net = Net::new(false, 1500, false);
    net.hosts[0].set_mtu(net.now, 1300);
    let id = net.connect();
    net.transfer(id, 50_000);
    net.hosts[0].set_mtu(net.now, 1500);
    net.mtu = 1400;
    net.transfer(id, 50_000);
    assert_eq!(net.path_mtu(id), 1300);
    covers!("PMTU-15");
}

#[test]
fn a_peer_that_is_merely_silent_does_not_lose_small_segments_to_it() {
    // Timeouts of segments that are not full say nothing of sizes.
    let mut s = Scene::established();
    s.send([1; 100]);
    flight(&mut s);
    s.advance(60.secs());
    assert_eq!(path_mtu(&s), 1500);
}

/// Sizes of what leaves with each of so many timeouts.
fn timeouts(s: &mut Scene, count: usize) -> Vec<usize> {
    let one = |s: &mut Scene| {
        s.advance_to_next_timer();
        let sent = flight(s);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent[0].2
    };
    (0..count).map(|_| one(s)).collect()
}

/// Acknowledges all that leaves until all that was written has arrived, and says how large the packets were at most.
fn deliver(s: &mut Scene) -> usize {
    let mut largest = 0;
    for _ in 0..1000 {
        largest = flight(s).iter().map(|(.., size)| *size).fold(largest, usize::max);
        let connection = s.connection().unwrap();
        if connection.unacknowledged() == 0 {
            return largest;
        }
        let [_, nxt, ..] = connection.sequence_numbers().unwrap();
        s.inject(seg().seq(1).ack(nxt.distance_from(carrick_wire::SeqNum::new(1_000_000))));
    }
    panic!("it never ends\n{}", s.transcript());
}

/// Acknowledges so many bytes from SND.UNA on.
fn acknowledge(s: &mut Scene, len: usize) {
    let [una, ..] = s.connection().unwrap().sequence_numbers().unwrap();
    s.inject(seg().seq(1).ack(una.distance_from(carrick_wire::SeqNum::new(1_000_000)) + len as u32));
}

/// Seen: a peer that was gone for two seconds got segments of 1,024 bytes for ten minutes, and of 552 if it was gone
/// for longer, although the full size had gone through before.
#[test]
fn pmtu_15_silence_is_not_mistaken_for_a_black_hole_for_long() {
    for (v6, small) in [(false, &[1024, 552][..]), (true, &[1280])] {
        let headers = if v6 { 60 } else { 40 };
        let text = pattern(0, 20_000);
        let mut s = builder(v6).established();
        s.send(&text[..]);
        assert_eq!(deliver(&mut s), 1500);
        s.send(&text[..]);
        flight(&mut s);
        assert_eq!(timeouts(&mut s, 2), [1500; 2]);
        // Where the smallest size does not help either, it is not the size.
        for _ in 0..2 {
            assert_eq!(timeouts(&mut s, small.len()), small);
            assert_eq!(timeouts(&mut s, 1), [1500]);
        }
        // It is back while a small one is tried.
        assert_eq!(timeouts(&mut s, 1), small[..1]);
        let began = s.now();
        acknowledge(&mut s, small[0] - headers);
        assert_eq!(deliver(&mut s), small[0]);
        // The full size had proved good: it gets its chance soon.
        s.advance((began + 59_999.ms()).since(s.now()));
        s.send(&text[..]);
        assert_eq!(deliver(&mut s), small[0]);
        s.advance(1.ms());
        s.send(&text[..]);
        assert_eq!(deliver(&mut s), 1500);

        // A peer that acknowledges what was not sent again has got it as it was.
        s.send(&text[..]);
        flight(&mut s);
        assert_eq!(timeouts(&mut s, 3), [1500, 1500, small[0]]);
        assert_eq!(deliver(&mut s), 1500);

        // A black hole: found a second time, it counts for ten minutes.
        for seconds in [60, 600, 600] {
            s.send(&text[..]);
            assert_eq!(flight(&mut s)[0].2, 1500);
            assert_eq!(timeouts(&mut s, 3), [1500, 1500, small[0]]);
            let began = s.now();
            acknowledge(&mut s, small[0] - headers);
            assert_eq!(deliver(&mut s), small[0]);
            s.advance((began + (seconds * 1000 - 1).ms()).since(s.now()));
            s.send(&text[..]);
            assert_eq!(deliver(&mut s), small[0], "{seconds}");
            s.advance(1.ms());
        }
    }
    covers!("PMTU-15");
}

/// Seen: on a link that takes more than the peer's MSS the size fell to that of what had just timed out.
#[test]
fn pmtu_15_what_the_peer_takes_is_the_size_that_is_suspected() {
    let mut s = Scene::established();
    let now = s.now();
    s.host_mut().set_mtu(now, 9000);
    s.send(pattern(0, 20_000));
    assert_eq!(deliver(&mut s), 1500);
    s.send(pattern(0, 20_000));
    flight(&mut s);
    assert_eq!(timeouts(&mut s, 5), [1500, 1500, 1024, 552, 1500]);
    covers!("PMTU-15");
}

/// What a suspicion ends with may by then be more than the link takes.
#[test]
fn a_suspicion_that_ends_leaves_no_more_than_the_link_takes() {
    let mut s = Scene::established();
    s.send(pattern(0, 20_000));
    assert_eq!(deliver(&mut s), 1500);
    s.send(pattern(0, 20_000));
    flight(&mut s);
    assert_eq!(timeouts(&mut s, 4), [1500, 1500, 1024, 552]);
    let now = s.now();
    s.host_mut().set_mtu(now, 1300);
    assert_eq!(path_mtu(&s), 1300);
    assert_eq!(timeouts(&mut s, 4), [1024, 552, 1300, 1024]);
}

#[test]
fn t_icm_2_t_icm_3_no_storm_of_errors_stops_a_transfer() {
    for seed in 0..60 {
        let v6 = seed % 2 == 1;
        let hole = [1500, 1450, 1280][seed as usize % 3];
        let mut net = Net::new(v6, hole, seed % 4 < 2);
        let id = net.connect();
        net.storm = Some(Rng::new(seed));
        for _ in 0..3 {
            net.transfer(id, 60_000);
            net.wait(200.secs());
        }
        let least = if v6 { 1280 } else { 552 };
        assert!(net.path_mtu(id) >= least);
        net.storm = None;
        net.wait(601.secs());
        net.transfer(id, 60_000);
    }
    covers!("T-ICM-2", "T-ICM-3");
}
