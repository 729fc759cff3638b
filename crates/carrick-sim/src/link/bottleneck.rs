//! The narrowest place of a path: packets leave one after the other, and wait until they may.

use super::LinkCounters;
use super::codel::{self, CoDel, Turn, Verdict};
use crate::packet::Packet;
use carrick_core::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// A link of some rate with a queue before it. Each packet takes its bits' time; a super-segment is the packets that it
/// is on a wire.
///
/// # Examples
/// A megabit per second with 20 ms each way, and a queue of one bandwidth-delay product:
/// ```
/// use carrick_sim::{Bottleneck, Link, LinkConfig, Packet, QueueLimit, Rng, Span, at};
///
/// let queue = QueueLimit::bdp(1_000_000, 40.ms(), 1.0);
/// assert_eq!(queue, QueueLimit::Bytes(5_000));
/// let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(1_000_000) });
/// let mut link = Link::new(LinkConfig { bottleneck, ..LinkConfig::delayed(20.ms()) }, Rng::new(7));
/// for _ in 0..10 {
///     link.send(at(1.ms()), Packet::new(vec![0; 1000]));
/// }
/// assert_eq!(link.counters().overflowed, 4, "one is being sent and five wait");
/// assert_eq!(link.queue().bytes, 5_000);
/// assert!(link.receive(at(28.ms())).is_none());
/// assert!(link.receive(at(29.ms())).is_some(), "8 ms and 20 ms after it set out");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Bottleneck {
    /// Bits per second, IP headers included; at least 1.
    pub rate: u64,
    /// How much may wait besides the packet that is being sent; what comes then is dropped. One packet may always.
    /// Default 1,000 packets, as an interface of Linux has them.
    pub queue: QueueLimit,
    /// Whether senders are told before the queue is full. Default [`Aqm::None`].
    pub aqm: Aqm,
}

impl Bottleneck {
    /// So many bits per second, all else as said above.
    ///
    /// # Examples
    /// ```
    /// let slow = carrick_sim::Bottleneck::new(1_000_000);
    /// assert_eq!(slow.aqm, carrick_sim::Aqm::None);
    /// ```
    #[must_use]
    pub const fn new(rate: u64) -> Self {
        Self { rate, queue: QueueLimit::Packets(1000), aqm: Aqm::None }
    }
}

/// How much may wait in a queue.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum QueueLimit {
    /// So many bytes.
    Bytes(usize),
    /// So many packets, whatever their size.
    Packets(usize),
}

impl QueueLimit {
    /// `factor` times what a path of that rate (bits per second) and round trip holds: its bandwidth-delay product.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{QueueLimit, Span};
    ///
    /// assert_eq!(QueueLimit::bdp(100_000_000, 20.ms(), 0.1), QueueLimit::Bytes(25_000));
    /// ```
    #[must_use]
    pub fn bdp(rate: u64, round_trip: Duration, factor: f64) -> Self {
        Self::Bytes((rate as f64 / 8.0 * round_trip.as_secs_f64() * factor).round() as usize)
    }

    const fn exceeded_by(self, queue: QueueState) -> bool {
        match self {
            Self::Bytes(most) => queue.bytes > most,
            Self::Packets(most) => queue.packets > most,
        }
    }
}

/// How a queue is managed (RFC 7567).
///
/// # Examples
/// ```
/// use carrick_sim::{Aqm, Bottleneck, QueueLimit};
///
/// // A switch in a data centre.
/// let marking = Aqm::Mark(QueueLimit::Packets(20));
/// let port = Bottleneck { queue: QueueLimit::Packets(200), aqm: marking, ..Bottleneck::new(1_000_000_000) };
/// # let _ = port;
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Aqm {
    /// It is not: packets are dropped when it is full.
    #[default]
    None,
    /// By CoDel.
    CoDel(CoDel),
    /// ECN-capable packets that find more waiting than this are marked (as switches mark for RFC 8257 §3.1).
    Mark(QueueLimit),
}

/// What waits in a queue, without the packet that is being sent.
///
/// # Examples
/// ```
/// use carrick_sim::{Bottleneck, Link, LinkConfig, Packet, QueueState, Rng, Span, at};
///
/// let bottleneck = Some(Bottleneck::new(1_000_000));
/// let mut link = Link::new(LinkConfig { bottleneck, ..LinkConfig::default() }, Rng::new(7));
/// for _ in 0..3 {
///     link.send(at(1.ms()), Packet::new(vec![0; 1000]));
/// }
/// assert_eq!(link.queue(), QueueState { packets: 2, bytes: 2000 });
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct QueueState {
    /// Packets.
    pub packets: usize,
    /// Bytes of them.
    pub bytes: usize,
}

/// What waits, and how far the packet has got that is being sent.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<(Instant, Packet)>,
    bytes: usize,
    /// When the last bit of the last packet has left.
    free: Instant,
    /// What that is less than it should be, in parts of a nanosecond: so many of the rate's.
    rest: u128,
    codel: codel::State,
    /// The largest packet so far, in bytes.
    largest: usize,
}

impl Queue {
    pub(super) fn new() -> Self {
        let (waiting, codel) = (VecDeque::new(), codel::State::default());
        Self { waiting, bytes: 0, free: Instant::ZERO, rest: 0, codel, largest: 0 }
    }

    pub(super) fn state(&self) -> QueueState {
        QueueState { packets: self.waiting.len(), bytes: self.bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first that waits is next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|(since, _)| self.free.max(*since))
    }

    /// A packet comes; whether it stays.
    pub(super) fn push(
        &mut self,
        now: Instant,
        packet: Packet,
        config: Bottleneck,
        counters: &mut LinkCounters,
    ) -> bool {
        let QueueState { packets, bytes } = self.state();
        let len = packet.bytes.len();
        let with_it = QueueState { packets: packets + 1, bytes: bytes.saturating_add(len) };
        if packets > 0 && config.queue.exceeded_by(with_it) {
            counters.overflowed += 1;
            return false;
        }
        let mark = match config.aqm {
            Aqm::Mark(above) => above.exceeded_by(self.state()),
            Aqm::None | Aqm::CoDel(_) => false,
        };
        self.largest = self.largest.max(len);
        self.bytes = with_it.bytes;
        self.waiting.push_back((now, if mark { marked(packet, counters) } else { packet }));
        true
    }

    /// The next packet whose turn has come by `now`, and when its last bit leaves; never, if it is dropped.
    pub(super) fn pop(
        &mut self,
        now: Instant,
        config: Bottleneck,
        counters: &mut LinkCounters,
    ) -> Option<(Option<Instant>, Packet)> {
        let turn = self.next().filter(|turn| *turn <= now)?;
        let (since, packet) = self.waiting.pop_front()?;
        self.bytes -= packet.bytes.len();
        let sojourn = turn.since(since);
        let verdict = match config.aqm {
            Aqm::CoDel(codel) => {
                let (backlog, largest) = (self.bytes, self.largest);
                let capable = codel.ecn && packet.is_ecn_capable();
                self.codel.judge(codel, Turn { now: turn, sojourn, backlog, largest, capable })
            }
            Aqm::None | Aqm::Mark(_) => Verdict::Pass,
        };
        let packet = match verdict {
            Verdict::Pass => packet,
            Verdict::Mark => marked(packet, counters),
            Verdict::Drop => {
                counters.managed += 1;
                return Some((None, packet));
            }
        };
        counters.waited += sojourn;
        counters.longest_wait = counters.longest_wait.max(sojourn);
        self.free = turn + self.time_of(&packet, config.rate);
        Some((Some(self.free), packet))
    }

    /// How long it takes to send the packet.
    fn time_of(&mut self, packet: &Packet, rate: u64) -> Duration {
        let rate = u128::from(rate.max(1));
        let due = packet.bytes.len() as u128 * 8 * 1_000_000_000 + self.rest.min(rate);
        self.rest = due % rate;
        Duration::from_nanos(u64::try_from(due / rate).unwrap_or(u64::MAX))
    }
}

fn marked(packet: Packet, counters: &mut LinkCounters) -> Packet {
    let Some(marked) = packet.marked() else { return packet };
    counters.marked += 1;
    marked
}
