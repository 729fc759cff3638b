//! Path MTU: several connections to one destination, and paths that swallow packets without a word.

use crate::common::{icmp, too_big};
use crate::mtu::{builder, flight, path_mtu};
use carrick_core::{
    Cidr, Connection, ConnectionConfig, ConnectionId, Cx, Endpoint, EndpointConfig, EndpointEvent, Event,
    Instant, ListenAddr, ListenConfig,
};
use carrick_covers::covers;
use carrick_sim::{Host, HostConfig, Packet, Rng, Scene, Span, pattern, seg};
use carrick_wire::IpView;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

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
    accepted: Vec<ConnectionId>,
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
            accepted: Vec::new(),
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
                self.accepted.push(id);
            }
            for id in &self.accepted {
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
        // It is back while a small one is tried. The full size had proved good, and gets its chance at once.
        assert_eq!(timeouts(&mut s, 1), small[..1]);
        acknowledge(&mut s, small[0] - headers);
        assert_eq!(deliver(&mut s), 1500);
        s.send(&text[..]);
        assert_eq!(deliver(&mut s), 1500);

        // A peer that acknowledges what was not sent again has got it as it was.
        s.send(&text[..]);
        flight(&mut s);
        assert_eq!(timeouts(&mut s, 3), [1500, 1500, small[0]]);
        assert_eq!(deliver(&mut s), 1500);

        // A black hole: found a second time, it counts for ten minutes.
        for first in [true, false, false] {
            s.send(&text[..]);
            assert_eq!(flight(&mut s)[0].2, 1500);
            if first {
                assert_eq!(timeouts(&mut s, 3), [1500, 1500, small[0]]);
                acknowledge(&mut s, small[0] - headers);
                assert_eq!(flight(&mut s)[0].2, 1500);
            }
            // Once it has failed, less is enough to doubt it again.
            assert_eq!(timeouts(&mut s, 2), [1500, small[0]]);
            let began = s.now();
            acknowledge(&mut s, small[0] - headers);
            assert_eq!(deliver(&mut s), small[0]);
            s.advance((began + 599_999.ms()).since(s.now()));
            s.send(&text[..]);
            assert_eq!(deliver(&mut s), small[0]);
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
