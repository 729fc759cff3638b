//! What was lost, when to give up waiting, and how much of the window may be used meanwhile.
//!
//! With SACK losses are found by time (RACK, RFC 8985), the last of a flight by a probe (TLP); without it by duplicates
//! (NewReno, RFC 5681 §3.2 and RFC 6582), whose timer is the impatient one. A repair of either kind sends in proportion
//! to what is delivered (RFC 9937), one after a timeout by slow start; each may turn out to have been needless
//! (RFC 2883, RFC 3522, RFC 5682).

pub(crate) mod board;
pub(crate) mod prr;
pub(crate) mod rate;
pub(crate) mod rtt;
#[cfg(test)]
mod tests;

use crate::Instant;
use crate::ecn::Response;
use alloc::vec::Vec;
use board::Board;
use carrick_wire::SeqNum;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use prr::Prr;
use rate::{DeliveryRate, Meter};

/// So many duplicates in a row mean that the first segment is lost (RFC 5681 §3.2), so many segments SACKed that there
/// is no need to wait for reordering (RFC 8985 §6.2).
pub(crate) const THRESHOLD: u8 = 3;
/// So many places are remembered at which something was sent again.
const MOST_REPEATED: usize = 256;
/// For so many recoveries a wider reordering window is kept (RFC 8985 §6.2).
const PERSIST: u8 = 16;

/// Exists while something is in flight, or what it was may still matter (see [`is_idle`](Self::is_idle)). Numbers count
/// from the board's first.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) board: Board,
    pub(crate) episode: Option<Episode>,
    /// RFC 6582's `recover`: duplicates of what lies below tell nothing, for they may answer what a timeout sent twice.
    pub(crate) recover: Option<u64>,
    /// Without SACK: duplicates since SND.UNA moved, and bytes that they stand for.
    pub(crate) duplicates: u8,
    pub(crate) duplicate_bytes: u32,
    pub(crate) undo: Option<Undo>,
    pub(crate) probe: Probe,
    /// When the probe of a tail loss is due, and when more will be lost (RFC 8985 §7.2, §6.2).
    pub(crate) pto: Option<Instant>,
    pub(crate) reorder: Option<Instant>,
    /// Until this is acknowledged one duplicate that the peer reports is as good as many.
    pub(crate) widened: u64,
    /// A round trip ends when this is acknowledged.
    pub(crate) round: u64,
    /// The last rate that was measured.
    pub(crate) rate: DeliveryRate,
    /// Most bytes in flight in this round trip and the last one.
    pub(crate) peak: [u32; 2],
    /// When the next packet's turn is.
    pub(crate) pace: Instant,
    /// When something that waits for its turn may leave.
    pub(crate) turn: Option<Instant>,
}

/// What is being done about losses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Episode {
    pub(crate) kind: Kind,
    /// It is over when this is acknowledged: what was SND.NXT when it began (RecoveryPoint), or the end of what else is
    /// lost that a reduction since then has answered.
    pub(crate) point: u64,
    pub(crate) prr: Prr,
    /// When the window was last reduced for it.
    pub(crate) began: Instant,
    /// What may be in flight, but after a timeout, when the controller says it.
    pub(crate) window: u32,
    /// Bytes that arrived after they had been sent again.
    pub(crate) repaired: u32,
    /// Some of it has been acknowledged.
    pub(crate) partial: bool,
    /// The end of what is lost of the text sent since it began, and answered by no reduction; 0 if there is none.
    pub(crate) beyond: u64,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Kind {
    /// A router's mark: nothing is lost.
    Echo,
    /// A loss was found.
    Loss,
    /// The retransmission timer has expired; and what F-RTO makes of it.
    Timeout(Frto),
}

/// RFC 5682: whether the timeout was one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Frto {
    /// There is no doubt, or no way to find out.
    Off,
    /// The first segment has been sent again.
    First,
    /// Its acknowledgment has come: now new text is sent, so many bytes more.
    Second(u32),
}

/// What may show that repetitions were needless.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    /// Where they are, but for what has been reported: in the order of sending, what lies in a row as one.
    pub(crate) repeated: Vec<(u64, u64)>,
    /// When the first of them left.
    pub(crate) first: Option<Instant>,
    /// Bytes sent again that may have been needed.
    pub(crate) bytes: u32,
    /// Bytes of the others that the peer is still to report as duplicates.
    pub(crate) reports: u32,
    pub(crate) timeout: bool,
    /// What was known of reductions before the one for this, but for a CWR that has left since; none if the controller
    /// was not told of a loss, or that reduction answers a mark as well.
    pub(crate) before: Option<Response>,
    /// It is too late when this is acknowledged.
    pub(crate) until: Option<u64>,
}

/// The probe of a tail loss (RFC 8985 §7).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Probe {
    None,
    /// It is to leave.
    Due,
    /// It has left, and ends there; `again` if it was a repetition.
    Sent {
        end: u64,
        again: bool,
    },
}

impl Episode {
    /// What ends at `end` is lost of the text sent since it began, and is `answered` by a reduction since then or not.
    pub(crate) fn on_beyond(&mut self, end: u64, answered: bool) {
        if !answered {
            self.beyond = self.beyond.max(end);
        } else if self.kind == Kind::Loss {
            // No reduction is to come that would begin another repair. After a timeout the controller alone decides,
            // and F-RTO tells by the end what is older.
            self.point = self.point.max(end);
        }
    }

    /// The window has been reduced: that answers all that is lost by now.
    pub(crate) fn on_reduced(&mut self) {
        let end = core::mem::take(&mut self.beyond);
        self.on_beyond(end, true);
    }
}

impl Undo {
    /// The numbers from `start` to `end` have been sent again; there is to be room for so many places.
    pub(crate) fn on_sent_again(&mut self, start: u64, end: u64, now: Instant, places: usize) {
        self.first.get_or_insert(now);
        self.bytes = self.bytes.saturating_add(u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX));
        let many = self.repeated.len() >= places.max(self.repeated.capacity()).min(MOST_REPEATED);
        match self.repeated.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            // What lies in between counts as sent again, too.
            Some((first, last)) if many => (*first, *last) = (start.min(*first), end.max(*last)),
            _ => self.repeated.push((start, end)),
        }
    }

    /// The peer reports the numbers from `start` to `end` as come twice: how many of them had been sent again, and have
    /// not been reported.
    pub(crate) fn on_duplicate(&mut self, start: u64, end: u64) -> u32 {
        let mut known = 0;
        let mut at = 0;
        while let Some(&(first, last)) = self.repeated.get(at) {
            let (from, to) = (first.max(start), last.min(end));
            if from >= to {
                at = at.saturating_add(1);
                continue;
            }
            known = to.saturating_sub(from).saturating_add(known);
            let rest = [(first, from), (to, last)].into_iter().filter(|(from, to)| from < to);
            let left = self.repeated.len();
            // Reports of crumbs take no memory: what there is no room for is forgotten.
            let rest = rest.take(self.repeated.capacity().saturating_sub(left).saturating_add(1));
            self.repeated.splice(at..=at, rest);
            // What is left of it lies outside.
            at = at.saturating_add(1).saturating_add(self.repeated.len()).saturating_sub(left);
        }
        u32::try_from(known).unwrap_or(u32::MAX)
    }
}

impl Recovery {
    pub(crate) fn new(delivered: u64, now: Instant) -> Self {
        Self {
            board: Board::new(Meter::new(delivered, now)),
            episode: None,
            recover: None,
            duplicates: 0,
            duplicate_bytes: 0,
            undo: None,
            probe: Probe::None,
            pto: None,
            reorder: None,
            widened: 0,
            round: 0,
            rate: DeliveryRate::default(),
            peak: [0; 2],
            pace: Instant::ZERO,
            turn: None,
        }
    }

    /// Whether there is nothing to remember, now that all is acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.board.una == self.board.nxt
            && self.recover.is_none_or(|recover| self.board.una > recover)
            && self.undo.is_none()
            // Whether the probe was of use is told by what acknowledges more than that.
            && !matches!(self.probe, Probe::Sent { again: true, .. })
    }

    /// Bytes under way.
    pub(crate) fn pipe(&self) -> u32 {
        self.board.pipe().saturating_sub(self.duplicate_bytes)
    }

    pub(crate) fn is_repairing(&self) -> bool {
        self.episode.is_some_and(|episode| episode.kind != Kind::Echo)
    }

    /// Whether a lost tail could not be told from one that is late (RFC 8985 §7.2), and has not been asked for (§7.3).
    /// Where it has, the retransmission timer is to run undisturbed, however often something is sent.
    pub(crate) fn may_probe(&self) -> bool {
        self.probe == Probe::None
            && self.board.una != self.board.nxt
            && !self.is_repairing()
            && self.board.sacked() == 0
            && self.board.lost() == 0
    }

    /// Whether duplicates may be believed (RFC 6582 §3.2).
    pub(crate) fn believes_duplicates(&self) -> bool {
        self.recover.is_none_or(|recover| self.board.una > recover)
    }

    /// What is left to send of F-RTO's new text, while it is sent.
    pub(crate) fn frto_room(&self) -> Option<u32> {
        match self.episode {
            Some(Episode { kind: Kind::Timeout(Frto::Second(left)), .. }) => Some(left),
            _ => None,
        }
    }

    /// A repair or reduction begins, with an acknowledgment that has `delivered` so much; `before` is what was known of
    /// reductions, if the controller is told of a loss.
    pub(crate) fn begin(&mut self, kind: Kind, now: Instant, delivered: u32, before: Option<Response>) {
        let Board { una, nxt, .. } = self.board;
        let outstanding = u32::try_from(nxt.saturating_sub(una)).unwrap_or(u32::MAX);
        let unsacked = outstanding.saturating_sub(self.board.sacked()).saturating_sub(self.duplicate_bytes);
        let prr = Prr::new(unsacked.saturating_add(delivered));
        let (began, window) = (now, self.pipe());
        self.episode =
            Some(Episode { kind, point: nxt, prr, began, window, repaired: 0, partial: false, beyond: 0 });
        if kind != Kind::Echo {
            let timeout = matches!(kind, Kind::Timeout(_));
            let repeated = Vec::new();
            self.undo =
                Some(Undo { repeated, first: None, bytes: 0, reports: 0, timeout, before, until: None });
            self.probe = Probe::None;
            self.pto = None;
        }
    }

    /// What that can come to with `len` bytes in flight, in segments of `mss`.
    pub(crate) fn most_memory(len: usize, mss: usize) -> usize {
        // They grow by doubling.
        let repeated = Self::places(len, mss).saturating_mul(2).saturating_mul(size_of::<(u64, u64)>());
        size_of::<Self>().saturating_add(Board::most_memory(len, mss)).saturating_add(repeated)
    }

    /// At how many places something may be sent again, with `len` bytes in flight, so that each is remembered.
    pub(crate) fn places(len: usize, mss: usize) -> usize {
        // A timer may repeat the first some times.
        len.checked_div(mss).unwrap_or(0).saturating_add(16).min(MOST_REPEATED)
    }

    /// Bytes of heap memory.
    pub(crate) fn memory(&self) -> usize {
        let repeated = self.undo.as_ref().map_or(0, |undo| undo.repeated.capacity());
        let repeated = repeated.saturating_mul(size_of::<(u64, u64)>());
        size_of::<Self>().saturating_add(self.board.memory()).saturating_add(repeated)
    }

    pub(crate) fn digest(&self, iss: SeqNum, now: Instant, state: &mut impl Hasher) {
        let Self {
            board,
            episode,
            recover,
            duplicates,
            duplicate_bytes,
            undo,
            probe,
            pto,
            reorder,
            widened,
            round,
            rate: _,
            peak,
            pace,
            turn: _,
        } = self;
        board.digest(now, state);
        let una = board.una;
        if let Some(Episode { kind, point, prr, began, window, repaired, partial, beyond }) = episode {
            beyond.saturating_sub(una).hash(state);
            (*beyond > 0).hash(state);
            (kind, point.saturating_sub(una), prr, now.since(*began), window, repaired, partial).hash(state);
        }
        recover.map(|recover| una.wrapping_sub(recover)).hash(state);
        (duplicates, duplicate_bytes, peak).hash(state);
        (widened.saturating_sub(una), round.saturating_sub(una)).hash(state);
        if let Some(Undo { repeated, first, bytes, reports, timeout, before, until }) = undo {
            (first.map(|at| now.since(at)), bytes, reports, timeout).hash(state);
            before.map(|before| before.digest(iss, state)).hash(state);
            for (start, end) in repeated {
                (una.wrapping_sub(*start), end.wrapping_sub(*start)).hash(state);
            }
            until.map(|until| until.wrapping_sub(una)).hash(state);
        }
        match probe {
            Probe::Sent { end, again } => (end.wrapping_sub(una), again).hash(state),
            Probe::None | Probe::Due => probe.hash(state),
        }
        for at in [pto, reorder] {
            at.map(|at| at.since(now)).hash(state);
        }
        pace.since(now).hash(state);
    }
}

/// How far segments overtake each other (RFC 8985 §6.2, step 4): kept for a connection's life.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Reordering {
    pub(crate) seen: bool,
    /// The peer has reported a duplicate once at least.
    pub(crate) dsack: bool,
    /// In quarters of the least round trip.
    multiplier: u8,
    persist: u8,
}

impl Reordering {
    pub(crate) const fn new() -> Self {
        Self { seen: false, dsack: false, multiplier: 1, persist: 0 }
    }

    /// A duplicate was reported, the first of this round trip.
    pub(crate) fn widen(&mut self) {
        self.multiplier = self.multiplier.saturating_add(1);
        self.persist = PERSIST;
    }

    /// Something was overtaken, and came so `late`: where a narrower window would not have waited for it, this one
    /// stays.
    pub(crate) fn on_overtaken(&mut self, late: Duration, min_rtt: Option<Duration>) {
        self.seen = true;
        let narrower =
            min_rtt.unwrap_or_default().saturating_mul(self.multiplier.saturating_sub(1).into()) / 4;
        if self.persist > 0 && late > narrower {
            self.persist = PERSIST;
        }
    }

    /// A repair is over.
    pub(crate) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.multiplier = 1;
        }
    }

    /// How long to wait for what may have been overtaken; `hurry` where there is no doubt that something is lost.
    pub(crate) fn window(&self, hurry: bool, min_rtt: Option<Duration>, srtt: Option<Duration>) -> Duration {
        if !self.seen && hurry {
            return Duration::ZERO;
        }
        let quarter = min_rtt.unwrap_or_default() / 4;
        quarter.saturating_mul(self.multiplier.into()).min(srtt.unwrap_or(Duration::MAX))
    }
}
