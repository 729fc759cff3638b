//! One direction of a link: what happens to packets between one host's device and the other's.

use crate::packet::Packet;
use crate::rng::Rng;
use bytes::Bytes;
use carrick_core::{Checksum, Instant};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What a link does to packets. The default is a perfect link without delay.
///
/// Chances are per million and independent of each other.
///
/// # Examples
/// ```
/// use carrick_sim::LinkConfig;
/// use std::time::Duration;
///
/// // One packet of a hundred is lost, and as many overtake others by up to 30 ms.
/// let bad = LinkConfig {
///     delay: Duration::from_millis(20),
///     loss: 10_000,
///     reorder: 10_000,
///     reorder_by: Duration::from_millis(30),
///     ..LinkConfig::default()
/// };
/// assert_eq!(bad.corrupt, 0);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkConfig {
    /// How long every packet takes.
    pub delay: Duration,
    /// At most so much longer, uniformly; packets do not overtake each other for it.
    pub jitter: Duration,
    /// How often a packet is lost. A super-segment is lost whole.
    pub loss: u32,
    /// How often a packet arrives twice.
    pub duplicate: u32,
    /// How often a packet is held back, so that those after it overtake it.
    pub reorder: u32,
    /// For how long at most.
    pub reorder_by: Duration,
    /// How often a byte is changed.
    pub corrupt: u32,
    /// How often a packet that says it is ECN-capable is marked as having met congestion (RFC 3168 §5).
    pub mark: u32,
    /// The receiving device vouches for checksums. Only for links that do not corrupt.
    pub verified: bool,
    /// Most bytes under way, each packet counting 128 more than it has; a packet beyond that is dropped, unless nothing
    /// else is under way. Default 64 MiB.
    pub capacity: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0,
            duplicate: 0,
            reorder: 0,
            reorder_by: Duration::ZERO,
            corrupt: 0,
            mark: 0,
            verified: false,
            capacity: 64 << 20,
        }
    }
}

/// What a packet counts besides its bytes, so that tiny ones are bounded too.
const OVERHEAD: usize = 128;

impl LinkConfig {
    /// A perfect link that takes `delay`.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{Link, LinkConfig, Packet, Rng, Span, at};
    ///
    /// let mut link = Link::new(LinkConfig::delayed(20.ms()), Rng::new(7));
    /// link.send(at(1.ms()), Packet::new(vec![0; 40]));
    /// assert_eq!(link.next_arrival(), Some(at(21.ms())));
    /// ```
    #[must_use]
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// A link with some mixture of all faults, from none to hopeless, drawn from `rng`.
    #[must_use]
    pub fn random(rng: &mut Rng) -> Self {
        let bad = |rng: &mut Rng, worst: u64| match rng.below(3) {
            0 => 0,
            // Mostly mild: the cube of a uniform number.
            _ => {
                let x = rng.below(1000);
                u32::try_from(worst * x * x * x / 1_000_000_000).unwrap_or(0)
            }
        };
        let corrupt = bad(rng, 100_000);
        Self {
            delay: rng.up_to(Duration::from_millis(80)),
            jitter: if rng.chance(500_000) { rng.up_to(Duration::from_millis(20)) } else { Duration::ZERO },
            loss: bad(rng, 300_000),
            duplicate: bad(rng, 200_000),
            reorder: bad(rng, 300_000),
            reorder_by: rng.up_to(Duration::from_millis(150)),
            corrupt,
            verified: corrupt == 0 && rng.chance(300_000),
            ..Self::default()
        }
    }
}

/// One direction of a link, with the packets under way.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    rng: Rng,
    /// Apart, so that worlds are as they were before there were marks.
    marks: Rng,
    under_way: BinaryHeap<Reverse<Delivery>>,
    serial: u64,
    /// When the last packet that was not held back arrives: later ones do not overtake it.
    last: Instant,
    /// Bytes under way, as [`LinkConfig::capacity`] counts them.
    held: usize,
    counters: LinkCounters,
}

/// What a link has done so far.
///
/// # Examples
/// ```
/// use carrick_sim::{Link, LinkConfig, Packet, Rng, at};
/// use std::time::Duration;
///
/// let mut link = Link::new(LinkConfig { loss: 1_000_000, ..LinkConfig::default() }, Rng::new(7));
/// link.send(at(Duration::ZERO), Packet::new(vec![0; 40]));
/// assert_eq!((link.counters().sent, link.counters().lost), (1, 1));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LinkCounters {
    /// Packets that set out.
    pub sent: u64,
    /// Copies that were lost.
    pub lost: u64,
    /// Copies that were dropped because too much was [under way](LinkConfig::capacity).
    pub dropped: u64,
    /// Packets of which a second copy was made.
    pub duplicated: u64,
    /// Copies of which a byte was changed.
    pub corrupted: u64,
    /// Copies that were marked as having met congestion.
    pub marked: u64,
    /// What came to an end of the link and not beyond it, as whoever uses the link [says](Link::note_refused).
    pub refused: u64,
}

#[derive(Debug)]
struct Delivery {
    due: Instant,
    serial: u64,
    packet: Packet,
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
        Self {
            config,
            marks: rng.clone().fork(),
            rng,
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

    /// A packet sets out; how many copies of it will arrive.
    pub fn send(&mut self, now: Instant, packet: Packet) -> u64 {
        let before = self.serial;
        let copies = if self.rng.chance(self.config.duplicate) { 2 } else { 1 };
        self.counters.sent += 1;
        self.counters.duplicated += copies - 1;
        for _ in 0..copies {
            if self.rng.chance(self.config.loss) {
                self.counters.lost += 1;
                continue;
            }
            let mut due = now + self.config.delay + self.rng.up_to(self.config.jitter);
            if self.rng.chance(self.config.reorder) {
                due += self.rng.up_to(self.config.reorder_by);
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
            self.under_way.push(Reverse(Delivery { due, serial: self.serial, packet }));
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

    /// When the next packet arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(delivery)| delivery.due)
    }

    /// Takes a packet that has arrived.
    pub fn receive(&mut self, now: Instant) -> Option<Packet> {
        if self.next_arrival()? > now {
            return None;
        }
        let Reverse(Delivery { packet, .. }) = self.under_way.pop()?;
        self.held -= packet.bytes.len() + OVERHEAD;
        Some(packet)
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
}
