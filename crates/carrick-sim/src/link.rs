//! One direction of a link: what happens to packets between one host's device and the other's.
//!
//! ```text
//!           router                                      wire
//!   send -> mtu -> policer -> queue, one by one -> blackouts, copies, losses -> delay, marks, corruption -> receive
//! ```
//!
//! The router's part is skipped where there is none. Chance is drawn in the order in which packets come to the wire,
//! and by each later addition from a generator of its own, so that what a seed gives stays what it was.

mod blackouts;
mod bottleneck;
mod bursts;
mod codel;
mod config;
mod path_mtu;
mod policer;

pub use blackouts::Blackouts;
pub use bottleneck::{Aqm, Bottleneck, QueueLimit, QueueState};
pub use bursts::Bursts;
pub use codel::CoDel;
pub use config::{LinkConfig, LinkCounters};
pub use path_mtu::{PathMtu, Router};
pub use policer::Policer;

use crate::packet::Packet;
use crate::rng::Rng;
use bottleneck::Queue;
use bursts::Weather;
use bytes::Bytes;
use carrick_core::{Checksum, Instant};
use policer::Bucket;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// What a packet counts besides its bytes, so that tiny ones are bounded too.
const OVERHEAD: usize = 128;
/// Most answers of a router that wait to be taken.
const MOST_ANSWERS: usize = 1024;

/// One direction of a link, with the packets under way.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    rng: Rng,
    /// Apart, so that worlds are as they were before there were marks.
    marks: Rng,
    weather: Weather,
    bucket: Bucket,
    queue: Queue,
    /// What the router has to say to senders.
    answers: VecDeque<Packet>,
    under_way: BinaryHeap<Reverse<Delivery>>,
    serial: u64,
    /// When the last packet that was not held back arrives: later ones do not overtake it.
    last: Instant,
    /// Bytes in the queue and under way, as [`LinkConfig::capacity`] counts them.
    held: usize,
    counters: LinkCounters,
}

#[derive(Debug)]
struct Delivery {
    due: Instant,
    serial: u64,
    packet: Packet,
    /// The second of two.
    copy: bool,
}

impl PartialEq for Delivery {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.serial) == (other.due, other.serial)
    }
}

impl Eq for Delivery {}

impl PartialOrd for Delivery {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delivery {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.serial).cmp(&(other.due, other.serial))
    }
}

impl Link {
    /// A link with nothing under way.
    #[must_use]
    pub fn new(config: LinkConfig, rng: Rng) -> Self {
        let mut apart = rng.clone();
        Self {
            config,
            marks: apart.fork(),
            weather: Weather::new(apart.fork()),
            rng,
            bucket: Bucket::default(),
            queue: Queue::new(),
            answers: VecDeque::new(),
            under_way: BinaryHeap::new(),
            serial: 0,
            last: Instant::ZERO,
            held: 0,
            counters: LinkCounters::default(),
        }
    }

    /// Changes what the link does to packets sent from now on.
    pub fn set(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// A packet sets out; how many copies of it are in the queue or under way. Of a queue that is managed it may be
    /// dropped later.
    pub fn send(&mut self, now: Instant, packet: Packet) -> u64 {
        if !self.config.has_router() && self.config.bursts.is_none() && self.queue.is_empty() {
            self.counters.sent += 1;
            return self.set_out(now, packet);
        }
        self.advance(now);
        let mut copies = 0;
        let mut enter = |packet| {
            self.counters.sent += 1;
            copies += self.enter(now, packet);
        };
        if packet.segment_size.is_some() {
            packet.cut().into_iter().for_each(enter);
        } else {
            enter(packet);
        }
        copies
    }

    /// A packet that is one on the wire comes to the router.
    fn enter(&mut self, now: Instant, packet: Packet) -> u64 {
        let len = packet.bytes.len();
        if let Some(path) = self.config.mtu.filter(|path| len > usize::from(path.mtu)) {
            self.counters.too_big += 1;
            if self.answers.len() < MOST_ANSWERS {
                self.answers.extend(path.answer(&packet));
            }
            return 0;
        }
        if self.config.policer.is_some_and(|policer| !self.bucket.passes(now, len, policer)) {
            self.counters.policed += 1;
            return 0;
        }
        if self.config.bottleneck.is_none() && self.queue.is_empty() {
            return self.set_out(now, packet);
        }
        let held = self.held.saturating_add(len + OVERHEAD);
        if held > self.config.capacity && self.held > 0 {
            self.counters.dropped += 1;
            return 0;
        }
        if !self.queue.push(now, packet, self.bottleneck(), &mut self.counters) {
            return 0;
        }
        self.held = held;
        self.advance(now);
        1
    }

    /// What there is; where it is gone, what waits in its queue leaves at once.
    fn bottleneck(&self) -> Bottleneck {
        let queue = QueueLimit::Packets(usize::MAX);
        self.config.bottleneck.unwrap_or(Bottleneck { queue, ..Bottleneck::new(u64::MAX) })
    }

    /// Lets those leave the queue whose turn has come.
    fn advance(&mut self, now: Instant) {
        while let Some((left, packet)) = self.queue.pop(now, self.bottleneck(), &mut self.counters) {
            self.held -= packet.bytes.len() + OVERHEAD;
            if let Some(left) = left {
                self.set_out(left, packet);
            }
        }
    }

    /// A packet comes to the wire; how many copies of it will arrive.
    fn set_out(&mut self, now: Instant, packet: Packet) -> u64 {
        let before = self.serial;
        if self.config.blackouts.cover(now) {
            self.counters.blacked_out += 1;
            return 0;
        }
        let copies = if self.rng.chance(self.config.duplicate) { 2 } else { 1 };
        self.counters.duplicated += copies - 1;
        for copy in 0..copies {
            let bad = self.config.bursts.is_some_and(|bursts| self.weather.loses(bursts));
            if self.rng.chance(self.config.loss) || bad {
                self.counters.lost += 1;
                continue;
            }
            let mut due = now + self.config.delay + self.rng.up_to(self.config.jitter);
            if self.rng.chance(self.config.reorder) {
                let least = self.config.reorder_least.min(self.config.reorder_by);
                due += least + self.rng.up_to(self.config.reorder_by - least);
            } else {
                due = due.max(self.last);
                self.last = due;
            }
            let packet = self.carry(packet.clone());
            let held = self.held.saturating_add(packet.bytes.len() + OVERHEAD);
            if held > self.config.capacity && self.held > 0 {
                self.counters.dropped += 1;
                continue;
            }
            self.held = held;
            self.serial += 1;
            self.under_way.push(Reverse(Delivery { due, serial: self.serial, packet, copy: copy > 0 }));
        }
        self.serial - before
    }

    fn carry(&mut self, mut packet: Packet) -> Packet {
        if self.marks.chance(self.config.mark)
            && let Some(marked) = packet.marked()
        {
            self.counters.marked += 1;
            packet = marked;
        }
        if self.rng.chance(self.config.corrupt) && !packet.bytes.is_empty() {
            self.counters.corrupted += 1;
            let mut bytes = packet.bytes.to_vec();
            // One changed byte is always seen by the sum of RFC 1071; two might cancel.
            let at = self.rng.size(0, bytes.len() - 1);
            bytes[at] ^= self.rng.between(1, 255) as u8;
            return Packet { bytes: Bytes::from(bytes), checksum: Checksum::Unknown, ..packet };
        }
        let checksum = if self.config.verified { Checksum::Verified } else { Checksum::Unknown };
        Packet { checksum, ..packet }
    }

    /// Before when nothing arrives, and when [`receive`](Self::receive) is to be called next: when a packet arrives, or
    /// one that waits in the queue could.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        let under_way = self.under_way.peek().map(|Reverse(delivery)| delivery.due);
        let waiting = self.queue.next().map(|turn| turn + self.config.delay);
        under_way.into_iter().chain(waiting).min()
    }

    /// Takes a packet that has arrived.
    pub fn receive(&mut self, now: Instant) -> Option<Packet> {
        self.receive_copy(now).map(|(_, packet, _)| packet)
    }

    /// As [`receive`](Self::receive), with when the packet arrived; that may be long ago.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{Link, LinkConfig, Packet, Rng, Span, at};
    ///
    /// let mut link = Link::new(LinkConfig::delayed(20.ms()), Rng::new(7));
    /// link.send(at(1.ms()), Packet::new(vec![0; 40]));
    /// assert_eq!(link.receive_due(at(2.secs())).map(|(due, _)| due), Some(at(21.ms())));
    /// ```
    pub fn receive_due(&mut self, now: Instant) -> Option<(Instant, Packet)> {
        self.receive_copy(now).map(|(due, packet, _)| (due, packet))
    }

    /// The same, with whether it is the second of two.
    pub(crate) fn receive_copy(&mut self, now: Instant) -> Option<(Instant, Packet, bool)> {
        self.advance(now);
        if self.under_way.peek()?.0.due > now {
            return None;
        }
        let Reverse(Delivery { due, packet, copy, .. }) = self.under_way.pop()?;
        self.held -= packet.bytes.len() + OVERHEAD;
        Some((due, packet, copy))
    }

    /// Takes what a router has to say to the sender of a packet that was [too large](PathMtu): a packet for the way
    /// back. At most 1,024 wait; those beyond are never said.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{Link, LinkConfig, Packet, PathMtu, Rng, at};
    /// use std::time::Duration;
    ///
    /// let config = LinkConfig { mtu: Some(PathMtu::told(1400)), ..LinkConfig::default() };
    /// let (mut there, mut back) = (Link::new(config.clone(), Rng::new(1)), Link::new(config, Rng::new(2)));
    /// let now = at(Duration::ZERO);
    /// # let header = carrick_wire::TcpHeader::default();
    /// let packet = Packet::tcp([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 0, &header, &[0; 1460]);
    /// assert_eq!(there.send(now, packet), 0);
    /// while let Some(answer) = there.take_answer() {
    ///     back.send(now, answer);
    /// }
    /// assert!(back.receive(now).is_some());
    /// ```
    pub fn take_answer(&mut self) -> Option<Packet> {
        self.answers.pop_front()
    }

    /// What waits in the queue.
    ///
    /// # Examples
    /// See [`QueueState`].
    #[must_use]
    pub fn queue(&self) -> QueueState {
        self.queue.state()
    }

    /// Counts a packet that the host at one of its ends has not let on the link, or not taken from it.
    pub const fn note_refused(&mut self) {
        self.counters.refused += 1;
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// How many packets were lost so far.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.counters.lost
    }

    /// How many packets were marked so far.
    #[must_use]
    pub const fn marked(&self) -> u64 {
        self.counters.marked
    }

    /// How many packets were corrupted so far.
    #[must_use]
    pub const fn corrupted(&self) -> u64 {
        self.counters.corrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Span, at};
    use carrick_wire::{Ecn, IpHeader, IpView, Protocol};
    use std::time::Duration;

    fn packet(ecn: Ecn) -> Packet {
        let [src, dst] = [1, 2].map(|last| [192, 0, 2, last].into());
        let header = IpHeader { tos: ecn.bits(), ..IpHeader::new(src, dst, Protocol::UDP) };
        let mut bytes = [0; 20];
        header.emit(&mut bytes).unwrap();
        Packet::new(bytes.to_vec())
    }

    fn run(config: LinkConfig, count: u8) -> Vec<(Instant, Packet)> {
        let mut link = Link::new(config, Rng::new(1));
        for n in 0..count {
            link.send(at(u64::from(n).us()), Packet::new(vec![n; 40]));
        }
        let mut arrived = Vec::new();
        while let Some(due) = link.next_arrival() {
            let before = Instant::from_nanos(due.as_nanos().saturating_sub(1));
            assert!(before == due || link.receive(before).is_none());
            arrived.extend(link.receive(due).map(|packet| (due, packet)));
        }
        arrived
    }

    #[test]
    fn a_perfect_link_delivers_everything_in_order_and_on_time() {
        let arrived = run(LinkConfig::delayed(5.ms()), 100);
        assert_eq!(arrived.len(), 100);
        for (n, (due, packet)) in arrived.iter().enumerate() {
            assert_eq!(*due, at(5.ms() + (n as u64).us()));
            assert_eq!(packet.bytes[0], n as u8);
        }
    }

    #[test]
    fn what_is_under_way_is_bounded_and_what_is_beyond_is_dropped() {
        let config =
            LinkConfig { capacity: 10 * (40 + 128), duplicate: 100_000, ..LinkConfig::delayed(5.ms()) };
        let mut link = Link::new(config, Rng::new(1));
        for turn in 0..100u64 {
            let copies: u64 =
                (0..30).map(|_| link.send(at((turn * 10).ms()), Packet::new(vec![0; 40]))).sum();
            assert_eq!(copies, 10);
            assert_eq!(std::iter::from_fn(|| link.receive(at((turn * 10 + 5).ms()))).count(), 10);
        }
        let counters = link.counters();
        assert_eq!((counters.sent, counters.lost), (3000, 0));
        assert_eq!(counters.sent + counters.duplicated, 1000 + counters.dropped);
        // One packet fits, however large.
        assert_eq!(link.send(at(2.secs()), Packet::new(vec![0; 60_000])), 1);
    }

    /// Seen: a packet of no bytes, as a device in an application's hands can deliver it, had no byte to change.
    #[test]
    fn an_empty_packet_is_carried_like_others() {
        let mut link = Link::new(LinkConfig { corrupt: 1_000_000, ..LinkConfig::default() }, Rng::new(1));
        assert_eq!(link.send(at(1.us()), Packet::new(Vec::new())), 1);
        assert_eq!(link.receive(at(1.us())), Some(Packet::new(Vec::new())));
        assert_eq!(link.counters().corrupted, 0);
    }

    #[test]
    fn jitter_alone_does_not_reorder() {
        let config = LinkConfig { jitter: 50.ms(), ..LinkConfig::delayed(5.ms()) };
        let arrived = run(config, 100);
        assert!(arrived.iter().enumerate().all(|(n, (_, packet))| packet.bytes[0] == n as u8));
        assert!(arrived.last().unwrap().0 > at(30.ms()));
    }

    #[test]
    fn each_fault_happens_about_as_often_as_asked_for() {
        let lost = run(LinkConfig { loss: 500_000, ..LinkConfig::default() }, 200);
        assert!((70..130).contains(&lost.len()), "{}", lost.len());
        let doubled = run(LinkConfig { duplicate: 500_000, ..LinkConfig::default() }, 200);
        assert!((270..330).contains(&doubled.len()), "{}", doubled.len());
        let config = LinkConfig { reorder: 500_000, reorder_by: 1.ms(), ..LinkConfig::default() };
        let order: Vec<u8> = run(config, 200).iter().map(|(_, packet)| packet.bytes[0]).collect();
        assert!(!order.is_sorted());
        let mut link = Link::new(LinkConfig { mark: 500_000, ..LinkConfig::default() }, Rng::new(1));
        for ecn in [Ecn::NotEct, Ecn::Ect0, Ecn::Ce] {
            let packet = packet(ecn);
            let before = link.marked();
            for _ in 0..200 {
                link.send(at(1.us()), packet.clone());
                let seen = link.receive(at(1.us())).unwrap();
                let view = IpView::parse(&seen.bytes[..]).expect("its checksum is right");
                assert_eq!(view.ecn() != ecn, seen != packet);
            }
            let marked = link.marked() - before;
            assert_eq!((70..130).contains(&marked), ecn == Ecn::Ect0, "{marked} of {ecn:?}");
        }
        let corrupted = run(LinkConfig { corrupt: 500_000, ..LinkConfig::default() }, 200);
        let changed = corrupted.iter().filter(|(_, packet)| packet.bytes != vec![packet.bytes[0]; 40]);
        assert!((60..140).contains(&changed.count()));
    }

    /// Sends a packet of 1,000 bytes every so often for `total`; when each arrived that did, and the link.
    fn load(config: LinkConfig, every: Duration, total: Duration) -> (Vec<Instant>, Link) {
        let mut link = Link::new(config, Rng::new(7));
        let (mut arrived, mut sends) = (Vec::new(), at(Duration::ZERO));
        loop {
            let arrival = link.next_arrival().unwrap_or(Instant::NEVER);
            let sending = sends < at(total);
            if sending && sends <= arrival {
                link.send(sends, Packet::new(vec![0; 1000]));
                sends += every;
            } else if arrival != Instant::NEVER {
                while let Some((due, ..)) = link.receive_copy(arrival) {
                    assert!(due <= arrival);
                    arrived.push(due);
                }
                assert!(link.next_arrival().is_none_or(|next| next > arrival), "and nothing more by then");
            } else {
                assert_eq!((link.held, link.queue()), (0, QueueState::default()));
                return (arrived, link);
            }
        }
    }

    fn narrow(bottleneck: Bottleneck) -> LinkConfig {
        LinkConfig { bottleneck: Some(bottleneck), ..LinkConfig::delayed(5.ms()) }
    }

    #[test]
    fn the_rate_is_exact_in_the_long_run_whatever_it_is() {
        for rate in [64_000, 999_983, 3_000_000_017, 1_000_000_000_000] {
            let mut link = Link::new(narrow(Bottleneck::new(rate)), Rng::new(7));
            for _ in 0..1000 {
                link.send(at(1.ms()), Packet::new(vec![0; 1000]));
            }
            let arrived: Vec<_> = std::iter::from_fn(|| link.receive_copy(Instant::NEVER)).collect();
            let took = arrived.last().unwrap().0.since(at(6.ms())).as_nanos();
            assert_eq!(took, 8_000_000 * 1_000_000_000 / u128::from(rate), "at {rate} bit/s");
            assert_eq!(link.counters().overflowed, 0);
        }
        let mut link = Link::new(narrow(Bottleneck::new(0)), Rng::new(7));
        link.send(at(1.ms()), Packet::new(vec![0; 1000]));
        assert!(link.receive(at(7999.secs())).is_none());
        assert!(link.receive(at(8001.secs())).is_some(), "a bit per second is the least");
    }

    #[test]
    fn a_full_queue_drops_what_comes_and_what_waits_is_as_late_as_it_is_long() {
        for (queue, longest) in
            [(QueueLimit::Bytes(20_500), 20), (QueueLimit::Packets(7), 7), (QueueLimit::Bytes(0), 1)]
        {
            // 8 Mbit/s are a packet each millisecond; twice as many come.
            let (arrived, link) =
                load(narrow(Bottleneck { queue, ..Bottleneck::new(8_000_000) }), 500.us(), 1.secs());
            let counters = link.counters();
            assert_eq!(counters.sent, 2000);
            assert_eq!(arrived.len() as u64, 1000 + longest);
            assert_eq!((counters.overflowed, counters.gone()), (1000 - longest, 1000 - longest));
            assert!(arrived.windows(2).all(|pair| pair[1].since(pair[0]) == 1.ms()));
            assert!(counters.longest_wait > longest.ms() - 1.ms() && counters.longest_wait <= longest.ms());
            assert!(counters.waited < counters.longest_wait * u32::try_from(arrived.len()).unwrap());
        }
    }

    #[test]
    fn a_link_that_is_not_full_delays_nobody() {
        let (arrived, link) = load(narrow(Bottleneck::new(8_000_000)), 1.ms(), 1.secs());
        assert_eq!(link.counters().waited, Duration::ZERO);
        for (n, due) in arrived.iter().enumerate() {
            assert_eq!(*due, at((n as u64 + 1).ms() + 5.ms()));
        }
    }

    #[test]
    fn codel_keeps_the_wait_near_its_target() {
        // Who does not react to drops is dropped ever more often, until the queue is short.
        let config = |aqm| narrow(Bottleneck { aqm, ..Bottleneck::new(8_000_000) });
        let late = |aqm| {
            let (arrived, link) = load(config(aqm), 900.us(), 60.secs());
            let half = arrived.len() / 2;
            (arrived[half..].len(), link)
        };
        let (_, tail) = late(Aqm::None);
        let (_, codel) = late(Aqm::CoDel(CoDel::default()));
        assert_eq!((tail.counters().managed, codel.counters().overflowed), (0, 0));
        assert!(tail.counters().overflowed > 0 && tail.counters().longest_wait > 900.ms());
        assert!(codel.counters().managed > 100);
        let mean = codel.counters().waited / u32::try_from(codel.counters().sent).unwrap();
        assert!((2.ms()..60.ms()).contains(&mean), "{mean:?}");
    }

    #[test]
    fn marks_come_instead_of_drops_and_only_for_who_understands_them() {
        let mark = Aqm::Mark(QueueLimit::Packets(3));
        for (ecn, aqm, marks) in
            [(Ecn::Ect0, mark, 6), (Ecn::Ect1, mark, 6), (Ecn::NotEct, mark, 0), (Ecn::Ect0, Aqm::None, 0)]
        {
            let mut link = Link::new(narrow(Bottleneck { aqm, ..Bottleneck::new(8_000_000) }), Rng::new(7));
            for _ in 0..11 {
                assert_eq!(link.send(at(1.ms()), packet(ecn)), 1);
            }
            // One is being sent, four find no more than three before them, six find more.
            assert_eq!(link.marked(), marks);
            let seen = std::iter::from_fn(|| link.receive(at(1.secs())));
            let marked = seen.filter(|packet| IpView::parse(&packet.bytes[..]).unwrap().ecn() == Ecn::Ce);
            assert_eq!(marked.count() as u64, marks);
        }
    }

    #[test]
    fn the_dark_swallows_what_leaves_the_queue_in_it() {
        let config = LinkConfig {
            blackouts: Blackouts::Every { first: 100.ms(), period: 1.secs(), length: 50.ms() },
            ..narrow(Bottleneck::new(8_000_000))
        };
        let (arrived, link) = load(config, 1.ms(), 10.secs());
        assert_eq!((link.counters().blacked_out, arrived.len()), (500, 9500));
        assert!(arrived.iter().all(|due| !(105..155).contains(&(due.as_millis() % 1000))));
    }

    #[test]
    fn a_share_is_held_back_by_a_fixed_time() {
        let config = LinkConfig {
            reorder: 50_000,
            reorder_by: 4.ms(),
            reorder_least: 4.ms(),
            ..LinkConfig::delayed(10.ms())
        };
        let mut link = Link::new(config, Rng::new(7));
        let mut late = 0;
        for n in 0..10_000u64 {
            let now = at((n * 20).ms());
            link.send(now, Packet::new(vec![0; 40]));
            let took = link.receive_copy(now + 15.ms()).unwrap().0.since(now);
            assert!(took == 10.ms() || took == 14.ms());
            late += u64::from(took == 14.ms());
        }
        assert!((430..570).contains(&late), "{late} of 500");
    }

    #[test]
    fn a_super_segment_is_what_it_is_on_a_wire() {
        let addresses = [[192, 0, 2, 1], [192, 0, 2, 2]].map(std::net::IpAddr::from);
        let tcp = carrick_wire::TcpHeader::default();
        let text: Vec<u8> = (0..14_600u32).map(|n| (n % 251) as u8).collect();
        let mut whole = Packet::tcp(addresses[0], addresses[1], 0, &tcp, &text);
        whole.segment_size = std::num::NonZeroU16::new(1460);
        // Ten segments of 1,500 bytes: one is being sent, four wait, five are dropped.
        let queue = QueueLimit::Packets(4);
        let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(12_000_000) });
        let mut link = Link::new(LinkConfig { bottleneck, ..LinkConfig::default() }, Rng::new(7));
        assert_eq!(link.send(at(0.ms()), whole.clone()), 5);
        assert_eq!((link.counters().sent, link.counters().overflowed), (10, 5));
        let got: Vec<_> = std::iter::from_fn(|| link.receive_copy(at(1.secs()))).collect();
        for (n, (due, packet, _)) in got.iter().enumerate() {
            assert_eq!(*due, at((n as u64 + 1).ms()));
            assert_eq!(packet, &whole.cut()[n]);
        }
        // A path that is too narrow for one of them is too narrow for each, and says so each time.
        let mtu = Some(PathMtu::told(1400));
        let mut link = Link::new(LinkConfig { mtu, ..LinkConfig::default() }, Rng::new(7));
        assert_eq!(link.send(at(0.ms()), whole.clone()), 0);
        assert_eq!((link.counters().too_big, link.counters().gone()), (10, 10));
        assert_eq!(std::iter::from_fn(|| link.take_answer()).count(), 10);
        for _ in 0..1000 {
            link.send(at(0.ms()), whole.clone());
        }
        assert_eq!(std::iter::from_fn(|| link.take_answer()).count(), MOST_ANSWERS);
    }

    #[test]
    fn what_waits_counts_as_held_and_leaves_when_the_narrow_place_does() {
        let mut config = LinkConfig { capacity: 10 * (1000 + OVERHEAD), ..narrow(Bottleneck::new(1000)) };
        let mut link = Link::new(config.clone(), Rng::new(7));
        let sent: u64 = (0..30).map(|_| link.send(at(1.ms()), Packet::new(vec![0; 1000]))).sum();
        assert_eq!((sent, link.counters().dropped), (10, 20));
        assert_eq!(link.queue(), QueueState { packets: 9, bytes: 9000 });
        (config.bottleneck, config.capacity) = (None, 64 << 20);
        link.set(config);
        // The one that is being sent goes on for eight seconds, and nobody overtakes those behind it.
        link.send(at(2.ms()), Packet::new(vec![1; 999]));
        assert!(link.receive(at(8005.ms())).is_none());
        let arrived: Vec<_> = std::iter::from_fn(|| link.receive(at(8006.ms()))).collect();
        assert_eq!((arrived.len(), arrived[10].bytes.len()), (11, 999));
        assert_eq!((link.queue(), link.held), (QueueState::default(), 0));
    }

    /// Whatever is asked for, each packet is accounted for, and time goes on.
    #[test]
    fn random_paths_lose_track_of_nothing() {
        let mut rng = Rng::new(7);
        let mut sums = LinkCounters::default();
        for _ in 0..2000 {
            let config = LinkConfig::random_path(&mut rng);
            let mut link = Link::new(config, rng.fork());
            let (mut now, mut arrived) = (at(Duration::ZERO), 0);
            for _ in 0..rng.below(200) {
                let mut bytes = packet(rng.pick(&[Ecn::NotEct, Ecn::Ect0])).bytes.to_vec();
                bytes.resize(rng.size(20, 1500), 0);
                link.send(now, Packet::new(bytes));
                if rng.chance(500_000) {
                    now = link
                        .next_arrival()
                        .filter(|_| rng.chance(500_000))
                        .unwrap_or(now + rng.up_to(5.ms()));
                }
                while link.receive(now).is_some() {
                    arrived += 1;
                }
            }
            while let Some(next) = link.next_arrival() {
                assert!(next > now);
                now = next;
                arrived += std::iter::from_fn(|| link.receive(now)).count() as u64;
            }
            let counters = link.counters();
            assert_eq!(counters.sent + counters.duplicated, arrived + counters.gone(), "{counters:?}");
            assert_eq!((link.held, link.queue()), (0, QueueState::default()));
            sums.overflowed += counters.overflowed;
            sums.managed += counters.managed;
            sums.policed += counters.policed;
            sums.blacked_out += counters.blacked_out;
        }
        let LinkCounters { overflowed, managed, policed, blacked_out, .. } = sums;
        assert!([overflowed, managed, policed, blacked_out].iter().all(|count| *count > 0), "{sums:?}");
    }
}
