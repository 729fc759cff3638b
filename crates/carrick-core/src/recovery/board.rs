//! What is in flight: when it was sent, what of it has arrived, what is lost (RFC 2018 §5, RFC 8985 §6).
//!
//! ```text
//!    una                                                              nxt
//!   ──┼───────┼─────────────┼────────┼──────────────┼──────────────────┼──
//!      resent   sacked        lost     sacked         fresh
//! ```
//!
//! Numbers are counted from the first byte that this board has seen, so that they never wrap. Text that left at one
//! time is one range, however many packets carried it; ranges are cut where a repetition or a block begins or ends,
//! and blocks count in whole segments only: a block for a part of one brings nothing (RFC 8985 §10). What was SACKed
//! side by side is one range again.
//!
//! Everything that an acknowledgment does costs the logarithm of the number of ranges, for each range that it changes.
//! Of most flights nothing is lost: what was sent once waits in a plain queue, and comes into the tree when something
//! beyond it has arrived, or it is to be repeated.
//!
//! Invariants: the ranges lie side by side from `una` to `nxt`, those of the tree before those of the queue, which are
//! fresh, left in their order, and begin where nothing beyond has arrived; `sacked` and `lost_bytes` are the sums of
//! theirs; `lost` and `resent` hold exactly the ranges in those states; a fresh range before `fresh` does not exist in
//! the tree.

mod check;

use super::rate::{Meter, Snapshot};
use crate::Instant;
use crate::connection::handshake::ts_clock;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// So many ranges are remembered: blocks that would make more of them are forgotten, which costs a repetition. They
/// are no more than segments in flight, 41,500 at 1 Gbit/s and 200 ms with as much again in a queue.
pub(super) const MOST: usize = 65_536;
/// A round trip may be shorter by so much of the least one that was measured: a short segment is quicker.
const QUICKER: u64 = 16;
/// With so many ranges no new one begins for what fills no segment together with the last.
const CRUMBS: usize = 8;
/// Longest range that text is added to.
const LONGEST: u64 = 1 << 20;
/// A queue of so many keeps its room.
const KEPT: usize = 64;
/// Lost ranges that are looked at for one packet.
const MOST_AT_ONCE: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) una: u64,
    pub(crate) nxt: u64,
    ranges: BTreeMap<u64, Sent>,
    /// What lies behind those.
    queue: VecDeque<(u64, Sent)>,
    /// Bytes that the peer has said to have.
    sacked: u32,
    /// Segments of those, for RFC 8985's threshold.
    sacked_segments: u32,
    /// Bytes that are lost and not sent again yet.
    lost_bytes: u32,
    lost: BTreeSet<u64>,
    /// In the order of sending.
    resent: BTreeSet<(u64, u64)>,
    fresh: u64,
    /// The end of our FIN, once it has been sent: blocks may end before it.
    pub(crate) fin: Option<u64>,
    /// The highest number that has been delivered (RACK.fack).
    fack: u64,
    /// How often something has been sent. Times alone do not tell what was sent later: several may be the same.
    serial: u64,
    /// The latest sent of what was delivered, and its end: RACK.xmit_ts and RACK.end_seq.
    newest: Option<(u64, u64)>,
    /// RACK.rtt: its round trip, in nanoseconds.
    rtt: u64,
    pub(crate) meter: Meter,
    /// How many ranges were looked up.
    #[cfg(test)]
    pub(super) visits: core::cell::Cell<u64>,
}

/// What left at one time, or has arrived.
#[derive(Clone, Copy, Debug)]
struct Sent {
    end: u64,
    /// When it was last sent, and as what number of all that was.
    at: Instant,
    serial: u64,
    snapshot: Snapshot,
    /// Text of its segments but the last; the segments of what is SACKed.
    mss: u32,
    fate: Fate,
    /// It was sent more than once, or at several times: what it measures is doubtful.
    again: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Fate {
    /// Its first copy is under way.
    Fresh,
    /// A later copy is under way.
    Resent,
    Lost,
    Sacked,
}

impl Fate {
    const fn under_way(again: bool) -> Self {
        if again { Self::Resent } else { Self::Fresh }
    }
}

/// What the rules for doubtful round trips look at (RFC 8985 §6.2, step 2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) now: Instant,
    /// The least round trip that was measured, in nanoseconds; 0 before.
    pub(crate) min_rtt: u64,
    /// The echoed timestamp, where timestamps were agreed on.
    pub(crate) echo: Option<u32>,
    pub(crate) ts_offset: u32,
}

impl Cause {
    /// Whether the echoed timestamp is older than what left at `at`.
    pub(crate) fn is_older(&self, at: Instant) -> bool {
        self.echo
            .is_some_and(|echo| ts_clock(at, self.ts_offset).wrapping_sub(echo).wrapping_sub(1) < 1 << 31)
    }
}

/// What one acknowledgment has newly delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) bytes: u32,
    /// Of those, what had been sent more than once.
    pub(crate) repaired: u32,
    /// Of that, what had arrived before it was sent again.
    pub(crate) needless: u32,
    /// The latest sent of it.
    pub(crate) newest: Option<Newest>,
    /// When the first of what it cumulatively acknowledges was sent, if that was sent once.
    pub(crate) oldest: Option<Instant>,
    /// It cumulatively acknowledges what was sent more than once.
    pub(crate) ambiguous: bool,
    /// The end of the highest that had been sent once.
    pub(crate) original: Option<u64>,
    /// How far beyond the first byte of something that was sent once its overtaker reached; 0 if nothing was overtaken.
    pub(crate) overtaken: u32,
    /// How much longer it took at most than what had overtaken it.
    pub(crate) late: Duration,
    /// The highest number that had been delivered before.
    fack: u64,
}

/// The latest sent of what an acknowledgment has delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    /// When it left, and its place among all that was sent.
    pub(crate) at: Instant,
    order: (u64, u64),
    /// It was sent more than once.
    pub(crate) again: bool,
    /// What was known then.
    pub(super) snapshot: Snapshot,
}

impl Board {
    pub(crate) fn new(meter: Meter) -> Self {
        Self {
            una: 0,
            nxt: 0,
            ranges: BTreeMap::new(),
            // Of most flights one segment is all.
            queue: VecDeque::with_capacity(1),
            sacked: 0,
            sacked_segments: 0,
            lost_bytes: 0,
            lost: BTreeSet::new(),
            resent: BTreeSet::new(),
            fresh: 0,
            fin: None,
            fack: 0,
            serial: 0,
            newest: None,
            rtt: 0,
            meter,
            #[cfg(test)]
            visits: core::cell::Cell::new(0),
        }
    }

    /// Bytes believed to be under way (RFC 8985's inflight, RFC 6675's pipe).
    pub(crate) fn pipe(&self) -> u32 {
        let outstanding = u32::try_from(self.nxt.saturating_sub(self.una)).unwrap_or(u32::MAX);
        outstanding.saturating_sub(self.sacked).saturating_sub(self.lost_bytes)
    }

    pub(crate) const fn sacked(&self) -> u32 {
        self.sacked
    }

    pub(crate) const fn sacked_segments(&self) -> u32 {
        self.sacked_segments
    }

    /// Bytes that are lost and not sent again yet.
    pub(crate) const fn lost(&self) -> u32 {
        self.lost_bytes
    }

    /// Bytes that were sent again and are under way.
    pub(crate) fn resent(&self) -> u32 {
        let found =
            self.resent.iter().filter_map(|(_, start)| Some(bytes(*start, self.ranges.get(start)?.end)));
        found.fold(0, u32::saturating_add)
    }

    fn put(&mut self, start: u64, sent: Sent) {
        let len = bytes(start, sent.end);
        match sent.fate {
            Fate::Fresh => {}
            Fate::Resent => {
                self.resent.insert((sent.serial, start));
            }
            Fate::Lost => {
                self.lost.insert(start);
                self.lost_bytes = self.lost_bytes.saturating_add(len);
            }
            Fate::Sacked => {
                self.sacked = self.sacked.saturating_add(len);
                self.sacked_segments = self.sacked_segments.saturating_add(sent.mss);
            }
        }
        self.ranges.insert(start, sent);
    }

    fn take(&mut self, start: u64) -> Option<Sent> {
        #[cfg(test)]
        self.visits.set(self.visits.get().saturating_add(1));
        let sent = self.ranges.remove(&start)?;
        let len = bytes(start, sent.end);
        match sent.fate {
            Fate::Fresh => {}
            Fate::Resent => {
                self.resent.remove(&(sent.serial, start));
            }
            Fate::Lost => {
                self.lost.remove(&start);
                self.lost_bytes = self.lost_bytes.saturating_sub(len);
            }
            Fate::Sacked => {
                self.sacked = self.sacked.saturating_sub(len);
                self.sacked_segments = self.sacked_segments.saturating_sub(sent.mss);
            }
        }
        Some(sent)
    }

    fn set_fate(&mut self, start: u64, fate: Fate) {
        if let Some(sent) = self.take(start) {
            self.put(start, Sent { fate, ..sent });
        }
    }

    /// Brings what begins before `at` into the tree.
    #[cold]
    fn plant(&mut self, at: u64) {
        while let Some((start, sent)) = self.queue.pop_front_if(|(start, _)| *start < at) {
            self.put(start, sent);
        }
        // Beside a tree that has grown no queue stands that is nearly empty.
        self.give_back(0);
    }

    /// Gives back what room the queue no longer needs, beyond so much.
    #[inline]
    fn give_back(&mut self, least: usize) {
        let left = self.queue.len();
        if left.saturating_mul(3).max(least) < self.queue.capacity() {
            self.queue.shrink_to(left.saturating_mul(2));
        }
    }

    /// Makes `at` a border between ranges, and brings what lies before it into the tree.
    #[cold]
    fn cut(&mut self, at: u64) {
        self.plant(at);
        let found = self.ranges.range(..at).next_back().map(|(start, sent)| (*start, sent.end));
        let Some((start, _)) = found.filter(|(_, end)| *end > at) else { return };
        let Some(sent) = self.take(start) else { return };
        let (before, after) = sent.parted(start, at);
        self.put(start, before);
        self.put(at, after);
    }

    /// The numbers from `start` to `end` have left, in segments of `mss` bytes; `start` is at most `nxt`.
    pub(crate) fn on_sent(&mut self, start: u64, end: u64, now: Instant, mss: u32) {
        let pipe = self.pipe();
        if pipe == 0 {
            self.meter.restart(now);
        }
        let snapshot = self.meter.snapshot(pipe.saturating_add(bytes(start, end)));
        self.serial = self.serial.saturating_add(1);
        let sent = Sent {
            end,
            at: now,
            serial: self.serial,
            snapshot,
            mss: mss.max(1),
            fate: Fate::Fresh,
            again: false,
        };
        let border = end.min(self.nxt);
        if start < border {
            self.cut(start);
            self.cut(border);
            let mut at = start;
            while at < border {
                let Some(old) = self.take(at) else { break };
                at = old.end;
            }
            self.put(start, Sent { end: border, fate: Fate::Resent, again: true, ..sent });
        }
        if end > self.nxt {
            let start = start.max(self.nxt);
            self.nxt = end;
            if !self.extend(start, &sent) {
                self.queue.push_back((start, sent));
            }
        }
    }

    /// Adds to the last range what leaves together with it.
    fn extend(&mut self, start: u64, new: &Sent) -> bool {
        let many = self.count() >= CRUMBS;
        let last = match self.queue.back_mut() {
            Some((first, sent)) => Some((*first, sent)),
            None => self.ranges.last_entry().map(|last| (*last.key(), last.into_mut())),
        };
        let Some((first, sent)) = last else { return false };
        let len = start.saturating_sub(first);
        if sent.fate != Fate::Fresh || sent.mss != new.mss {
            return false;
        }
        // What left in between is older than this, and newer than what the range holds.
        let together = sent.serial.saturating_add(1) == new.serial
            && sent.at == new.at
            && sent.snapshot.delivered == new.snapshot.delivered
            && len < LONGEST
            && len.checked_rem(sent.mss.into()) == Some(0);
        if together {
            (sent.end, sent.serial, sent.snapshot) = (new.end, new.serial, new.snapshot);
            return true;
        }
        // Of what fills no segment, and goes without waiting for more, there may be much: no range for each.
        let crumbs = many && new.end.saturating_sub(first) <= u64::from(sent.mss);
        if crumbs {
            *sent = Sent { again: true, ..*new };
        }
        crumbs
    }

    pub(super) fn count(&self) -> usize {
        self.ranges.len().saturating_add(self.queue.len())
    }

    /// What its memory can come to with `len` bytes in flight, in segments of `mss`.
    pub(crate) fn most_memory(len: usize, mss: usize) -> usize {
        let ranges = len.checked_div(mss).unwrap_or(0).saturating_add(CRUMBS);
        // A queue has room for twice as many at most; see `plant`.
        ranges.saturating_mul(size_of::<(u64, Sent)>()).saturating_mul(3)
    }

    /// What an acknowledgment delivers is to be noted.
    pub(crate) fn delivery(&self) -> Delivery {
        Delivery { fack: self.fack, ..Delivery::default() }
    }

    /// Everything below `una` is acknowledged.
    pub(crate) fn on_ack(&mut self, una: u64, cause: &Cause, delivery: &mut Delivery) {
        let una = una.min(self.nxt);
        if !self.ranges.is_empty() {
            self.take_planted(una, cause, delivery);
        }
        while let Some((start, first_at, sent)) = self.take_queued(una) {
            if start == self.una && !sent.again {
                delivery.oldest = Some(first_at);
            }
            delivery.ambiguous |= sent.again;
            self.deliver(start, &sent, cause, delivery);
        }
        self.una = self.una.max(una);
        self.fresh = self.fresh.max(una);
        self.fack = self.fack.max(una);
    }

    /// Takes off the queue what stands first in it, or what of it lies below `una`, and says when that was sent. All in
    /// a row that went once is one, as if it had left with the last of it: it left in this order, and nothing beyond
    /// has arrived.
    fn take_queued(&mut self, una: u64) -> Option<(u64, Instant, Sent)> {
        let (start, at) = match self.queue.front() {
            Some((start, sent)) if *start < una => (*start, sent.at),
            _ => return None,
        };
        let joins = |next: &(u64, Sent)| next.0 < una && !next.1.again;
        while self.queue.get(1).is_some_and(joins) && !self.queue.front()?.1.again {
            self.queue.pop_front();
        }
        let (from, last) = self.queue.front_mut()?;
        let taken = Sent { end: last.end.min(una), ..*last };
        if last.end > una {
            *from = una;
        } else {
            self.queue.pop_front();
            self.give_back(KEPT);
        }
        Some((start, at, taken))
    }

    /// Takes off the tree what lies below `una`.
    #[cold]
    fn take_planted(&mut self, una: u64, cause: &Cause, delivery: &mut Delivery) {
        while let Some((&start, _)) = self.ranges.first_key_value()
            && start < una
            && let Some(mut sent) = self.take(start)
        {
            if sent.end > una {
                let (before, after) = sent.parted(start, una);
                self.put(una, after);
                sent = before;
            }
            if start == self.una && !sent.again && sent.fate != Fate::Sacked {
                delivery.oldest = Some(sent.at);
            }
            delivery.ambiguous |= sent.again;
            // Only what comes in order is told of by the echo (RFC 7323 §4.3).
            if sent.fate == Fate::Resent && cause.is_older(sent.at) {
                delivery.needless = delivery.needless.saturating_add(bytes(start, sent.end));
            }
            if sent.fate != Fate::Sacked {
                self.deliver(start, &sent, cause, delivery);
            }
        }
    }

    /// The peer has the numbers from `left` to `right`, which lie between `una` and `nxt`.
    #[cold]
    pub(crate) fn on_sack(&mut self, left: u64, right: u64, cause: &Cause, delivery: &mut Delivery) {
        self.plant(right);
        let mut at = left;
        while at < right {
            #[cfg(test)]
            self.visits.set(self.visits.get().saturating_add(1));
            let found = self.ranges.range(..=at).next_back().map(|(start, sent)| (*start, *sent));
            let Some((start, sent)) = found.filter(|(_, sent)| sent.end > at) else { break };
            if sent.fate != Fate::Sacked {
                let (from, to) = sent.whole_segments(start, left, right, self.fin);
                let cuts = usize::from(from > start).saturating_add((to < sent.end).into());
                if from < to && (cuts == 0 || self.count().saturating_add(cuts) <= MOST) {
                    self.cut(from);
                    self.cut(to);
                    self.sack(from, cause, delivery);
                }
            }
            at = sent.end;
        }
    }

    /// The range at `start` has arrived.
    #[cold]
    fn sack(&mut self, start: u64, cause: &Cause, delivery: &mut Delivery) {
        let Some(sent) = self.take(start) else { return };
        // The echo is of what came in order last, and says nothing of this (RFC 7323 §4.3).
        self.deliver(start, &sent, &Cause { echo: None, ..*cause }, delivery);
        let segments = bytes(start, sent.end).div_ceil(sent.mss.max(1));
        let mut start = start;
        let mut sent = Sent { fate: Fate::Sacked, mss: segments, ..sent };
        let before = self.ranges.range(..start).next_back();
        if let Some(before) =
            before.filter(|(_, before)| before.fate == Fate::Sacked).map(|(start, _)| *start)
            && let Some(old) = self.take(before)
        {
            start = before;
            sent.mss = sent.mss.saturating_add(old.mss);
            sent.again |= old.again;
        }
        if self.ranges.get(&sent.end).is_some_and(|after| after.fate == Fate::Sacked)
            && let Some(old) = self.take(sent.end)
        {
            sent.end = old.end;
            sent.mss = sent.mss.saturating_add(old.mss);
            sent.again |= old.again;
        }
        self.put(start, sent);
    }

    /// RFC 8985 §6.2, steps 2 and 3, for what has been delivered for the first time.
    fn deliver(&mut self, start: u64, sent: &Sent, cause: &Cause, delivery: &mut Delivery) {
        let len = bytes(start, sent.end);
        let rtt = cause.now.nanos_since(sent.at);
        delivery.bytes = delivery.bytes.saturating_add(len);
        self.meter.on_delivered(len, cause.now);
        let order = (sent.serial, sent.end);
        if delivery.newest.as_ref().is_none_or(|newest| newest.order < order) {
            let Sent { at, again, snapshot, .. } = *sent;
            delivery.newest = Some(Newest { at, order, again, snapshot });
        }
        if sent.again {
            delivery.repaired = delivery.repaired.saturating_add(len);
        } else {
            delivery.original = delivery.original.max(Some(sent.end));
            if sent.end < delivery.fack {
                delivery.overtaken = delivery.overtaken.max(bytes(start, delivery.fack));
                delivery.late = delivery.late.max(Duration::from_nanos(rtt.saturating_sub(self.rtt)));
            }
        }
        self.fack = self.fack.max(sent.end);
        // What was sent more than once may have arrived before it was sent again.
        let early = || rtt < cause.min_rtt.saturating_sub(cause.min_rtt / QUICKER);
        let doubtful = sent.again && (early() || cause.is_older(sent.at));
        if !doubtful && self.newest.is_none_or(|newest| newest < order) {
            self.newest = Some(order);
            self.rtt = rtt;
        }
    }

    /// Whether all that was sent went once, and nothing of it before anything that has arrived.
    pub(crate) fn is_orderly(&self) -> bool {
        self.ranges.is_empty() && !self.newest.is_some_and(|newest| self.is_behind(newest))
    }

    /// Whether what stands first in the queue was sent before `newest`.
    fn is_behind(&self, newest: (u64, u64)) -> bool {
        self.queue.front().is_some_and(|(_, sent)| (sent.serial, sent.end) < newest)
    }

    /// RFC 8985 §6.2, step 5: what was sent so long before something that has arrived is lost. How many bytes newly
    /// are, how many of them had been sent again after `since`, and when more will be.
    pub(crate) fn detect(&mut self, now: Instant, reo_wnd: Duration, since: Instant) -> Detected {
        let mut detected = Detected::default();
        let Some(newest) = self.newest else { return detected };
        // It may be lost.
        while self.is_behind(newest)
            && let Some(&(start, _)) = self.queue.front()
        {
            self.plant(start.saturating_add(1));
        }
        let wait = Duration::from_nanos(self.rtt).saturating_add(reo_wnd);
        while let Some(&(serial, start)) = self.resent.first() {
            let Some(sent) = self.ranges.get(&start) else { break };
            if (serial, sent.end) >= newest {
                break;
            }
            let at = sent.at;
            if at + wait > now {
                detected.wait_until(at + wait);
                break;
            }
            let len = bytes(start, sent.end);
            detected.bytes = detected.bytes.saturating_add(len);
            detected.again |= at >= since;
            detected.end = detected.end.max(sent.end);
            self.lose(start);
        }
        while let Some((&start, sent)) = self.ranges.range(self.fresh..).next() {
            #[cfg(test)]
            self.visits.set(self.visits.get().saturating_add(1));
            let Sent { end, at, serial, fate, .. } = *sent;
            if fate == Fate::Fresh {
                if (serial, end) >= newest {
                    break;
                }
                if at + wait > now {
                    detected.wait_until(at + wait);
                    break;
                }
                detected.bytes = detected.bytes.saturating_add(bytes(start, end));
                detected.end = detected.end.max(end);
                self.lose(start);
            }
            self.fresh = end;
        }
        detected
    }

    #[cold]
    fn lose(&mut self, start: u64) {
        if let Some(sent) = self.ranges.get(&start) {
            self.meter.on_lost(bytes(start, sent.end));
        }
        self.set_fate(start, Fate::Lost);
    }

    /// The first `len` bytes are lost, unless that is known. True if they were not.
    pub(crate) fn lose_first(&mut self, len: u32) -> bool {
        self.cut(self.una.saturating_add(len.into()));
        let first = self.una;
        let new = self.ranges.get(&first).is_some_and(|sent| sent.fate != Fate::Lost);
        if new {
            self.lose(first);
        }
        new
    }

    /// Whether the first range has been sent again and may still arrive.
    pub(crate) fn first_is_resent(&self) -> bool {
        self.ranges.first_key_value().is_some_and(|(_, sent)| sent.fate == Fate::Resent)
    }

    /// The retransmission timer has expired (RFC 8985 §6.3): the first segment is lost, and what was sent so long ago
    /// that it should have been acknowledged. `srtt` counts where nothing that is known here has arrived yet.
    pub(crate) fn on_timeout(&mut self, now: Instant, srtt: Duration, reo_wnd: Duration, mss: u32) {
        let rtt = if self.newest.is_some() { Duration::from_nanos(self.rtt) } else { srtt };
        let wait = rtt.saturating_add(reo_wnd);
        self.lose_where(|sent| sent.at + wait <= now);
        self.lose_first(mss);
    }

    /// All that was not SACKed is to be sent again.
    pub(crate) fn lose_all(&mut self) {
        self.lose_where(|_| true);
    }

    fn lose_where(&mut self, is_lost: impl Fn(&Sent) -> bool) {
        self.plant(self.nxt);
        let lost: alloc::vec::Vec<u64> = self
            .ranges
            .iter()
            .filter(|(_, sent)| matches!(sent.fate, Fate::Fresh | Fate::Resent) && is_lost(sent))
            .map(|(start, _)| *start)
            .collect();
        for start in lost {
            self.lose(start);
        }
    }

    /// The peer has dropped what it said to have (RFC 2018 §8): that is lost.
    #[cold]
    pub(crate) fn on_reneging(&mut self) {
        let gone = |(start, sent): (&u64, &Sent)| (sent.fate == Fate::Sacked).then_some(*start);
        let gone: alloc::vec::Vec<u64> = self.ranges.iter().filter_map(gone).collect();
        // It counts among what was delivered since it was sent.
        let snapshot = self.meter.snapshot(self.pipe());
        for start in gone {
            if let Some(sent) = self.take(start) {
                // Where its segments began is not known any more, but how many they were.
                let mss = bytes(start, sent.end).div_ceil(sent.mss.max(1)).max(1);
                self.put(start, Sent { fate: Fate::Lost, again: true, mss, snapshot, ..sent });
            }
        }
    }

    /// Whether the peer has acknowledged up to text that it said to have, and not that: it has dropped it.
    pub(crate) fn has_reneged(&self) -> bool {
        self.ranges.first_key_value().is_some_and(|(_, sent)| sent.fate == Fate::Sacked)
    }

    /// What was thought lost and not sent again is under way after all.
    pub(crate) fn forgive(&mut self) {
        while let Some(&start) = self.lost.first() {
            let again = self.ranges.get(&start).is_some_and(|sent| sent.again);
            self.set_fate(start, Fate::under_way(again));
        }
        self.fresh = self.una;
    }

    /// Where the first of what is lost and not sent again begins.
    pub(crate) fn lost_start(&self) -> Option<u64> {
        self.lost.first().copied()
    }

    /// The first of what is lost and not sent again, as far as it lies in a row and one packet may carry it.
    pub(crate) fn first_lost(&self) -> Option<(u64, u64)> {
        let start = self.lost_start()?;
        let mut end = start;
        let lost = self.ranges.range(start..).take_while(|(_, sent)| sent.fate == Fate::Lost);
        for (_, sent) in lost.take(MOST_AT_ONCE) {
            end = sent.end;
            if end.saturating_sub(start) >= u64::from(u16::MAX) {
                break;
            }
        }
        Some((start, end))
    }

    /// Where the last segment that was sent begins.
    pub(crate) fn last_segment(&self) -> Option<u64> {
        let last = self.queue.back().map(|(start, sent)| (start, sent));
        let (start, sent) = last.or_else(|| self.ranges.last_key_value())?;
        let whole = sent.end.saturating_sub(*start).saturating_sub(1).checked_div(sent.mss.into())?;
        Some(start.saturating_add(whole.saturating_mul(sent.mss.into())))
    }

    /// Bytes of heap memory: three quarters of what the trees hold are entries.
    pub(crate) fn memory(&self) -> usize {
        let queue = self.queue.capacity().saturating_mul(size_of::<(u64, Sent)>());
        if self.ranges.is_empty() {
            return queue;
        }
        let range = size_of::<(u64, Sent)>().saturating_mul(self.ranges.len());
        let resent = size_of::<(u64, u64)>().saturating_mul(self.resent.len());
        let lost = size_of::<u64>().saturating_mul(self.lost.len());
        let entries = range.saturating_add(resent).saturating_add(lost);
        entries.saturating_add(entries / 3).saturating_add(queue)
    }

    pub(crate) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        let Self { una, nxt, ranges, queue, serial, newest, rtt, fack, .. } = self;
        let from_una = |at: u64| at.saturating_sub(*una);
        from_una(*nxt).hash(state);
        from_una(*fack).hash(state);
        newest.map(|(at, end)| (serial.saturating_sub(at), from_una(end), *rtt)).hash(state);
        for (start, sent) in ranges.iter().chain(queue.iter().map(|(start, sent)| (start, sent))) {
            let Sent { end, at, serial: order, snapshot: _, mss, fate, again } = sent;
            (from_una(*start), from_una(*end), now.since(*at), mss, fate, again).hash(state);
            serial.saturating_sub(*order).hash(state);
        }
    }
}

/// What [`Board::detect`] has found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Detected {
    /// Newly lost.
    pub(crate) bytes: u32,
    /// Some of it had been sent again since the last reduction.
    pub(crate) again: bool,
    /// When more will be, if nothing arrives.
    pub(crate) at: Option<Instant>,
    /// The end of the highest of it.
    pub(crate) end: u64,
}

impl Detected {
    fn wait_until(&mut self, at: Instant) {
        self.at = Some(self.at.map_or(at, |other| other.min(at)));
    }
}

impl Sent {
    /// The range that begins at `start`, up to `at` and from there on. Of segments that were SACKed as many lie before
    /// it as fit.
    fn parted(self, start: u64, at: u64) -> (Self, Self) {
        let (before, after) = match self.fate {
            Fate::Sacked => {
                let len = self.end.saturating_sub(start).max(1);
                let share = u64::from(self.mss).saturating_mul(at.saturating_sub(start)).checked_div(len);
                let before = u32::try_from(share.unwrap_or(0)).unwrap_or(0);
                (before, self.mss.saturating_sub(before))
            }
            _ => (self.mss, self.mss),
        };
        (Self { end: at, mss: before, ..self }, Self { mss: after, ..self })
    }

    /// The segments of the range that begins at `start` which lie between `left` and `right`.
    /// `fin` is the end of our FIN: it makes no part of its segment, since there are peers that report text only.
    fn whole_segments(&self, start: u64, left: u64, right: u64, fin: Option<u64>) -> (u64, u64) {
        let mss = u64::from(self.mss.max(1));
        let from = left.saturating_sub(start).div_ceil(mss).saturating_mul(mss);
        let all_but_fin = fin == Some(self.end)
            && right.saturating_add(1) == self.end
            && right.saturating_sub(start).checked_rem(mss) != Some(0);
        let to = if right >= self.end || all_but_fin {
            self.end
        } else {
            let whole = right.saturating_sub(start).checked_div(mss).unwrap_or(0);
            start.saturating_add(whole.saturating_mul(mss))
        };
        (start.saturating_add(from), to)
    }
}

fn bytes(start: u64, end: u64) -> u32 {
    u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX)
}

#[cfg(test)]
impl Board {
    fn fate_of(&self, number: u64) -> Option<Fate> {
        let queued = self.queue.iter().find(|(start, sent)| (*start..sent.end).contains(&number));
        let planted = || self.ranges.range(..=number).next_back().map(|(_, sent)| sent);
        let sent = queued.map(|(_, sent)| sent).or_else(planted)?;
        (number < sent.end).then_some(sent.fate)
    }

    pub(super) fn is_sacked(&self, number: u64) -> bool {
        self.fate_of(number) == Some(Fate::Sacked)
    }

    pub(super) fn is_lost(&self, number: u64) -> bool {
        self.fate_of(number) == Some(Fate::Lost)
    }
}
