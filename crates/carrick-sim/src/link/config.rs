//! What a link does to packets, and what it has done.

use super::{Aqm, Blackouts, Bottleneck, Bursts, CoDel, PathMtu, Policer, QueueLimit};
use crate::rng::Rng;
use std::time::Duration;

/// What a link does to packets. The default is a perfect link without delay.
///
/// A packet meets, in this order: a router that takes packets up to a size ([`mtu`](Self::mtu)), drops what comes too
/// fast ([`policer`](Self::policer)), and holds what cannot leave yet ([`bottleneck`](Self::bottleneck)); then the
/// wire, which is dark at times ([`blackouts`](Self::blackouts)), repeats, loses, delays, holds back, marks and
/// corrupts. Chances are per million and independent of each other.
///
/// A super-segment goes through all of that as one, unless there is a router or are [`bursts`](Self::bursts): then it
/// is cut before, and what arrives are the packets that it is on a wire.
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
    /// How often a packet is lost.
    pub loss: u32,
    /// Losses in bursts, besides. Default none.
    pub bursts: Option<Bursts>,
    /// When everything is lost. Default never.
    pub blackouts: Blackouts,
    /// How often a packet arrives twice.
    pub duplicate: u32,
    /// How often a packet is held back, so that those after it overtake it.
    pub reorder: u32,
    /// For how long at most.
    pub reorder_by: Duration,
    /// For how long at least, if that is not longer. Default zero: any time up to `reorder_by` is as likely.
    pub reorder_least: Duration,
    /// How often a byte is changed.
    pub corrupt: u32,
    /// How often a packet that says it is ECN-capable is marked as having met congestion (RFC 3168 §5).
    pub mark: u32,
    /// The receiving device vouches for checksums. Only for links that do not corrupt.
    pub verified: bool,
    /// The narrowest place: a rate, and a queue before it. Default none: all that is sent is under way at once.
    pub bottleneck: Option<Bottleneck>,
    /// Drops what comes faster than was agreed. Default none.
    pub policer: Option<Policer>,
    /// How large packets may be. Default none: as large as they like.
    pub mtu: Option<PathMtu>,
    /// Most bytes in the queue and under way, each packet counting 128 more than it has; a packet beyond that is
    /// dropped, unless nothing else is there. Default 64 MiB.
    pub capacity: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0,
            bursts: None,
            blackouts: Blackouts::Never,
            duplicate: 0,
            reorder: 0,
            reorder_by: Duration::ZERO,
            reorder_least: Duration::ZERO,
            corrupt: 0,
            mark: 0,
            verified: false,
            bottleneck: None,
            policer: None,
            mtu: None,
            capacity: 64 << 20,
        }
    }
}

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
    /// Like [`random`](Self::random), with all that real paths have besides: a bottleneck with some queue, bursts of
    /// loss, blackouts, a policer, a smaller MTU of which somebody tells; none of them much of the time, nor for long.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{LinkConfig, Rng};
    ///
    /// let path = LinkConfig::random_path(&mut Rng::new(7));
    /// assert_eq!(path, LinkConfig::random_path(&mut Rng::new(7)));
    /// ```
    #[must_use]
    pub fn random_path(rng: &mut Rng) -> Self {
        let rate = 1 << rng.between(16, 30);
        let queue = match rng.below(2) {
            0 => QueueLimit::Bytes(rng.size(0, 200_000)),
            _ => QueueLimit::Packets(rng.size(0, 200)),
        };
        let aqm = match rng.below(4) {
            0 => Aqm::None,
            1 => Aqm::Mark(QueueLimit::Packets(rng.size(0, 50))),
            _ => Aqm::CoDel(CoDel { ecn: rng.chance(500_000), ..CoDel::default() }),
        };
        let (first, length) = (rng.up_to(Duration::from_secs(5)), rng.up_to(Duration::from_secs(2)));
        let period = length + rng.up_to(Duration::from_secs(60)) + Duration::from_secs(5);
        let policer = Policer { rate: 1 << rng.between(16, 30), burst: rng.between(1500, 100_000) as u32 };
        let path = Self {
            bursts: Some(Bursts::new(rng.between(0, 50_000) as u32, rng.between(1, 20) as u32)),
            blackouts: Blackouts::Every { first, period, length },
            bottleneck: Some(Bottleneck { rate, queue, aqm }),
            policer: Some(policer),
            mtu: Some(PathMtu::told(rng.between(1280, 1500) as u16)),
            ..Self::random(rng)
        };
        Self {
            bursts: path.bursts.filter(|_| rng.chance(300_000)),
            blackouts: if rng.chance(100_000) { path.blackouts } else { Blackouts::Never },
            bottleneck: path.bottleneck.filter(|_| rng.chance(700_000)),
            policer: path.policer.filter(|_| rng.chance(200_000)),
            mtu: path.mtu.filter(|_| rng.chance(200_000)),
            ..path
        }
    }

    /// Whether there is a router before the wire.
    pub(super) const fn has_router(&self) -> bool {
        self.bottleneck.is_some() || self.policer.is_some() || self.mtu.is_some()
    }
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
    /// Copies that were lost, one by one or in bursts.
    pub lost: u64,
    /// Packets that were lost to [`LinkConfig::blackouts`].
    pub blacked_out: u64,
    /// Copies that were dropped because too much was [under way](LinkConfig::capacity).
    pub dropped: u64,
    /// Packets that found a [queue](Bottleneck::queue) full.
    pub overflowed: u64,
    /// Packets that were dropped by the queue's [management](Bottleneck::aqm).
    pub managed: u64,
    /// Packets that came [faster](LinkConfig::policer) than was agreed.
    pub policed: u64,
    /// Packets that were [too large](LinkConfig::mtu).
    pub too_big: u64,
    /// Packets of which a second copy was made.
    pub duplicated: u64,
    /// Copies of which a byte was changed.
    pub corrupted: u64,
    /// Copies that were marked as having met congestion.
    pub marked: u64,
    /// What came to an end of the link and not beyond it, as whoever uses the link [says](super::Link::note_refused).
    pub refused: u64,
    /// How long the packets that have left the queue had waited there, all together.
    pub waited: Duration,
    /// How long the one of them that waited longest.
    pub longest_wait: Duration,
}

impl LinkCounters {
    /// Copies of packets that set out and will not arrive, for whatever reason but [`refused`](Self::refused).
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_sim::LinkCounters::default().gone(), 0);
    /// ```
    #[must_use]
    pub const fn gone(&self) -> u64 {
        let Self { lost, blacked_out, dropped, overflowed, managed, policed, too_big, .. } = *self;
        lost + blacked_out + dropped + overflowed + managed + policed + too_big
    }
}
