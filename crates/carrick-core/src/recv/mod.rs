//! The receiving half of an open connection: RCV.NXT, the window, what arrived out of order.
//!
//! RFC 9293 §3.4 and §3.10.7.4 (first and seventh step), RFC 7323 §2 and §5, RFC 2018 §4, RFC 2883 §4.
//!
//! ```text
//!            RCV.NXT                       edge
//!   ───────────┼────────┼──────┼─────────────┼───────
//!    delivered    hole    kept    may be sent   not yet
//! ```
//!
//! Invariant: RCV.NXT never steps back; `edge`, the right edge that has been advertised, never moves left,
//! except by less than the granularity of the window scale.

pub(crate) mod ack_policy;
mod ranges;
mod text;
pub(crate) mod tuning;

use crate::ecn::Echo;
use crate::queue::ChunkQueue;
use crate::{Cx, DiscardReason, Instant, Pressure, Segment};
use ack_policy::AckPolicy;
use alloc::boxed::Box;
use alloc::vec::Vec;
use carrick_wire::{SackBlock, SackBlocks, SeqNum, TcpFlags, WindowScale, WireWindow};
use core::time::Duration;
pub(crate) use ranges::{Ranges, Refused};
pub(crate) use text::Text;
use tuning::Tuning;

/// After so long without a segment TS.Recent says nothing any more (RFC 7323 §5.5): 24 days, in nanoseconds.
const TS_RECENT_LIFE: u64 = 24 * 24 * 3600 * 1_000_000_000;

/// A number comes around again after 2^32 bytes, with a window of less than 2^30 on both sides: what was current so
/// many bytes ago is newer than whatever had such a number then.
const LAP: u64 = 1 << 30;
/// No shorter than any retransmission timeout that is left at its default.
const IDLE: Duration = Duration::from_secs(120);
/// Most duplicates of one batch that are reported (RFC 2883 §4): each needs an ACK of its own.
const MAX_DUPLICATES: usize = 16;
/// No stream is so long.
const NOT_YET: u64 = u64::MAX;

/// What became of text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    /// RCV.NXT moved.
    Advanced {
        /// By so much.
        bytes: u32,
        /// A hole was there before.
        filled: bool,
    },
    /// It waits for a hole to be filled, or was there already.
    Held,
    Refused(Refused),
}

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) irs: SeqNum,
    pub(crate) nxt: SeqNum,
    /// The greatest right edge that has been advertised.
    pub(crate) edge: SeqNum,
    /// Number of the text byte at RCV.NXT, counted from the first.
    offset: u64,
    /// Where the FIN stands in the stream; [`NOT_YET`] until one has come.
    fin: u64,
    /// Nothing of what waits behind a hole has come after it.
    fin_last: bool,
    /// What only a connection needs to which text has come twice or out of order.
    disorder: Option<Box<Disorder>>,
    pub(crate) acks: AckPolicy,
    /// When text last came in order.
    pub(crate) heard: Instant,
    /// What the windows that we send are shifted by.
    pub(crate) scale: WindowScale,
    /// Whether SACK was agreed on.
    pub(crate) sack: bool,
    /// TS.Recent and when it was taken, if timestamps were agreed on.
    pub(crate) ts_recent: Option<(u32, Instant)>,
    /// Last.ACK.sent (RFC 7323 §4.3).
    pub(crate) last_ack_sent: SeqNum,
    /// The segment size that we advertised: the right edge moves by that much at least.
    pub(crate) mss: u16,
    pub(crate) echo: Echo,
    pub(crate) tuning: Tuning,
}

/// Text behind a hole, and text that came twice and is to be reported.
#[derive(Clone, Debug, Default)]
struct Disorder {
    ranges: Ranges,
    /// In the order of arrival, each to be reported once (RFC 2883 §4).
    duplicates: Vec<SackBlock>,
    /// TS.Recent before a hole was filled, and the stream's number of RCV.NXT then. Kept as long as there are holes.
    passed: Option<(u32, u64)>,
}

impl Receiver {
    /// After a SYN numbered `irs`, with `window` bytes advertised.
    pub(crate) fn new(
        irs: SeqNum,
        window: u32,
        scale: WindowScale,
        mss: u16,
        now: Instant,
        tuning: Tuning,
    ) -> Self {
        let nxt = irs + 1;
        Self {
            irs,
            nxt,
            edge: nxt + window,
            offset: 0,
            fin: NOT_YET,
            fin_last: false,
            disorder: None,
            acks: AckPolicy::new(),
            heard: now,
            scale,
            sack: false,
            ts_recent: None,
            last_ack_sent: nxt,
            mss,
            echo: Echo::Off,
            tuning,
        }
    }

    const fn fin(&self) -> Option<u64> {
        if self.fin == NOT_YET { None } else { Some(self.fin) }
    }

    /// RCV.WND: what of the advertised window is left.
    pub(crate) fn window(&self) -> u32 {
        u32::try_from(self.edge - self.nxt).unwrap_or(0)
    }

    /// Bytes of text received in order.
    pub(crate) fn text_received(&self) -> u64 {
        self.offset.min(self.fin)
    }

    pub(crate) fn memory(&self) -> usize {
        self.disorder.as_ref().map_or(0, |disorder| {
            let Disorder { ranges, duplicates, passed: _ } = &**disorder;
            let duplicates = duplicates.capacity().saturating_mul(size_of::<SackBlock>());
            let ranges = if ranges.is_empty() { 0 } else { ranges.memory() };
            size_of::<Disorder>().saturating_add(duplicates).saturating_add(ranges)
        })
    }

    pub(crate) fn has_holes(&self) -> bool {
        self.disorder.as_ref().is_some_and(|disorder| !disorder.ranges.is_empty())
    }

    fn ranges(&mut self) -> Option<&mut Ranges> {
        self.disorder.as_mut().map(|disorder| &mut disorder.ranges)
    }

    /// An orderly connection holds nothing for disorder.
    fn tidy(&mut self) {
        self.disorder.take_if(|disorder| disorder.ranges.is_empty() && disorder.duplicates.is_empty());
    }

    /// Whether a segment of length `len` at `seq` is acceptable.
    pub(crate) fn acceptable(&self, seq: SeqNum, len: u32) -> bool {
        acceptable(self.nxt, self.window(), seq, len)
    }

    /// Whether a FIN numbered `seq` can be taken: in the window, or right at its edge (note 12).
    pub(crate) fn fin_fits(&self, seq: SeqNum) -> bool {
        seq.distance_from(self.nxt) <= self.window()
    }

    /// PAWS (RFC 7323 §5.3 R1). A TS.Recent that is too old itself says nothing.
    ///
    /// What fills a hole may have overtaken text that left before it. That is no older than what was TS.Recent when the
    /// hole was there, "and the Timestamps option must not result in discarding this data" (§5.2).
    pub(crate) fn check_timestamp(&self, segment: &Segment<'_>, now: Instant) -> Result<(), DiscardReason> {
        let recent =
            self.ts_recent.filter(|(_, at)| now.nanos_since(*at) < TS_RECENT_LIFE).map(|(recent, _)| recent);
        let checked = check_timestamp(self.ts_recent.is_some(), recent, segment);
        let overtaken = || {
            let (passed, at) = self.disorder.as_ref()?.passed?;
            let age = recent?.wrapping_sub(segment.options.timestamps?.val);
            let near = self.offset.saturating_sub(at) < LAP;
            (near && age <= recent?.wrapping_sub(passed)).then_some(())
        };
        if checked == Err(DiscardReason::OldTimestamp) {
            overtaken().ok_or(DiscardReason::OldTimestamp)
        } else {
            checked
        }
    }

    /// RFC 7323 §4.3, for a segment that passed every check.
    pub(crate) fn note_timestamp(&mut self, val: u32, seq: SeqNum, now: Instant) {
        let Some((recent, at)) = &mut self.ts_recent else { return };
        let stale = now.nanos_since(*at) >= TS_RECENT_LIFE;
        if seq.after(self.last_ack_sent) || !stale && is_before(val, *recent) {
            return;
        }
        if let Some(Disorder { ranges, passed, .. }) = self.disorder.as_deref_mut() {
            passed.take_if(|(_, at)| stale || self.offset.saturating_sub(*at) >= LAP);
            if !stale && !ranges.is_empty() && passed.is_none() {
                *passed = Some((*recent, self.offset));
            }
        }
        (*recent, *at) = (val, now);
    }

    /// The stream's number for a sequence number near the window.
    fn offset_of(&self, seq: SeqNum) -> Option<u64> {
        self.offset.checked_add_signed(i64::from(seq - self.nxt))
    }

    fn seq_of(&self, offset: u64) -> SeqNum {
        let ahead = offset.wrapping_sub(self.offset) & u64::from(u32::MAX);
        self.nxt + u32::try_from(ahead).unwrap_or(0)
    }

    /// Text wholly below RCV.NXT has come once more.
    pub(crate) fn note_old_text(&mut self, seq: SeqNum, len: u32) {
        if let Some(duplicate) = self.duplicate_in(seq, len) {
            self.note_duplicate(duplicate);
        }
    }

    /// What of the text at `seq` has come before: below RCV.NXT, or else the first part of it that lies in text
    /// kept behind a hole (RFC 2883 §4).
    fn duplicate_in(&self, seq: SeqNum, len: u32) -> Option<SackBlock> {
        // Below the stream's first byte there was nothing that could have come before.
        let start = self.offset_of(seq)?;
        let end = start.saturating_add(len.into());
        let (start, end) = if start < self.offset {
            (start, end.min(self.offset))
        } else {
            self.disorder.as_ref()?.ranges.first_overlap(start, end)?
        };
        SackBlock::new(self.seq_of(start), self.seq_of(end))
    }

    /// The same for a super-segment: of each of the `segments` on the wire the first part may be told.
    fn duplicates_in(&self, seq: SeqNum, len: u32, segments: usize) -> Vec<SackBlock> {
        let mut found = Vec::new();
        let mut seen = 0;
        while found.len() < segments.min(MAX_DUPLICATES)
            && let Some(block) = self.duplicate_in(seq + seen, len.saturating_sub(seen))
        {
            seen = block.right().distance_from(seq);
            found.push(block);
        }
        found
    }

    fn note_duplicate(&mut self, block: SackBlock) {
        self.acks.on_trouble();
        if !self.sack {
            return;
        }
        let duplicates = &mut self.disorder.get_or_insert_default().duplicates;
        if duplicates.len() < MAX_DUPLICATES {
            duplicates.push(block);
        }
    }

    /// Whether a duplicate waits to be reported.
    pub(crate) fn owes_duplicate(&self) -> bool {
        self.disorder.as_ref().is_some_and(|disorder| !disorder.duplicates.is_empty())
    }

    /// An ACK has left, and has reported the first duplicate if there was one. `timeout` as for
    /// [`sack_blocks`](Self::sack_blocks).
    pub(crate) fn on_ack_sent(&mut self, answering: bool, timeout: bool) {
        self.last_ack_sent = self.nxt;
        self.acks.on_sent(answering && self.offset > 0);
        let (duplicate, room) = (self.owes_duplicate(), self.room_for_ranges(timeout));
        if let Some(disorder) = &mut self.disorder {
            disorder.ranges.on_told(room);
            if duplicate {
                disorder.duplicates.remove(0);
                self.tidy();
            }
        }
    }

    /// So many ranges an ACK tells of for certain, next to timestamps, or to a duplicate and the block around it.
    /// Timestamps and a user timeout take the place of two.
    fn room_for_ranges(&self, timeout: bool) -> usize {
        let room = match self.ts_recent {
            _ if self.owes_duplicate() => 1,
            Some(_) => SackBlocks::MAX - 1,
            None => SackBlocks::MAX,
        };
        let taken = [timeout && self.ts_recent.is_some(), self.first_fin().is_some()];
        room.saturating_sub(taken.into_iter().filter(|taken| *taken).count())
    }

    /// Whether text behind a hole has come that no ACK has told of, though one could.
    pub(crate) fn has_untold(&self) -> bool {
        self.sack && self.disorder.as_ref().is_some_and(|disorder| disorder.ranges.has_untold())
    }

    /// Seventh step: takes what of the text, which came in so many segments, is in the window (and before a FIN already
    /// seen).
    pub(crate) fn take_text(
        &mut self,
        cx: &Cx,
        seq: SeqNum,
        text: Text<'_>,
        segments: usize,
        queue: &mut ChunkQueue,
    ) -> Taken {
        let duplicates = self.duplicates_in(seq, u32::try_from(text.len()).unwrap_or(u32::MAX), segments);
        let taken = self.take_new_text(cx, seq, text, queue);
        duplicates.into_iter().for_each(|duplicate| self.note_duplicate(duplicate));
        self.tidy();
        taken
    }

    fn take_new_text(&mut self, cx: &Cx, seq: SeqNum, text: Text<'_>, queue: &mut ChunkQueue) -> Taken {
        let behind = usize::try_from(self.nxt - seq).unwrap_or(0);
        let text = text.from(behind);
        let start = if behind > 0 { self.nxt } else { seq };
        let room = u32::try_from(self.edge - start).unwrap_or(0);
        let mut text = text.up_to(room as usize);
        let Some(offset) = self.offset_of(start) else { return Taken::Held };
        if let Some(fin) = self.fin() {
            if fin <= offset && !text.is_empty() {
                return Taken::Refused(Refused::BehindFin);
            }
            text = text.up_to(usize::try_from(fin.saturating_sub(offset)).unwrap_or(usize::MAX));
        }
        if text.is_empty() {
            return Taken::Held;
        }
        let held = queue.memory().saturating_add(self.memory());
        if offset > self.offset {
            // What is left then is for text in order: if text behind a hole took it, the hole could not be
            // filled.
            if cx.memory.pressure >= Pressure::High {
                return Taken::Refused(Refused::NoMemory);
            }
            let permits = |more| cx.memory.permits(more, held);
            let ranges = &mut self.disorder.get_or_insert_default().ranges;
            return match ranges.insert(offset, text, permits) {
                Ok(_) => {
                    self.fin_last = false;
                    Taken::Held
                }
                Err(refused) => Taken::Refused(refused),
            };
        }
        self.take_in_order(cx, text, queue, held)
    }

    /// Takes as much of the text as there is memory for. Bytes that are there already stay (T-RCV-2), so the
    /// text may come to lie in many gaps, each of which needs a chunk and asks for it.
    fn take_in_order(&mut self, cx: &Cx, mut text: Text<'_>, queue: &mut ChunkQueue, held: usize) -> Taken {
        let before = self.offset;
        let filled = self.has_holes() || self.lone_fin().is_some();
        loop {
            let first = self.ranges().and_then(|ranges| ranges.first_start());
            let gap = first.map(|start| start.saturating_sub(self.offset));
            let gap = gap.and_then(|gap| usize::try_from(gap).ok()).unwrap_or(usize::MAX);
            let now = text.up_to(gap);
            let grown = queue.memory().saturating_add(self.memory()).saturating_sub(held);
            if !now.is_empty() && !cx.memory.permits(grown.saturating_add(now.cost(queue)), held) {
                break;
            }
            now.push_to(queue);
            self.advance(now.len());
            text = text.from(now.len());
            if first != Some(self.offset) {
                break;
            }
            let Some(range) = self.ranges().and_then(Ranges::pop_first) else { break };
            self.advance(range.len());
            text = text.from(range.len());
            queue.append(range);
        }
        let bytes = u32::try_from(self.offset.saturating_sub(before)).unwrap_or(u32::MAX);
        if bytes == 0 { Taken::Refused(Refused::NoMemory) } else { Taken::Advanced { bytes, filled } }
    }

    fn advance(&mut self, n: usize) {
        self.offset = self.offset.saturating_add(n as u64);
        // Text lies inside the window, which is below 2^30.
        self.nxt += u32::try_from(n).unwrap_or(0);
    }

    /// Eighth step, first half: remembers where the stream ends. The first FIN fixes it (T-RCV-4), unless text
    /// behind it has been kept already, which only a peer that contradicts itself can have sent. Says whether this
    /// FIN is in that place.
    pub(crate) fn note_fin(&mut self, seq: SeqNum) -> bool {
        if self.fin().is_none() && self.fin_fits(seq) {
            self.fin = self.offset_of(seq).filter(|fin| self.kept_end() <= *fin).unwrap_or(NOT_YET);
        }
        let fits = self.fin().is_some() && self.fin() == self.offset_of(seq);
        if let Some(fin) = self.fin().filter(|fin| fits && *fin > self.offset) {
            self.fin_last = true;
            self.acks.on_trouble();
            if let Some(ranges) = self.ranges().filter(|ranges| ranges.end() == fin) {
                // The block that it ends is the latest.
                ranges.note_recent(fin.saturating_sub(1));
            }
        }
        fits
    }

    /// Where what is kept behind a hole ends; 0 if there is nothing.
    fn kept_end(&self) -> u64 {
        self.disorder.as_ref().map_or(0, |disorder| disorder.ranges.end())
    }

    /// The FIN, where it waits for text that is missing right before it.
    fn lone_fin(&self) -> Option<SackBlock> {
        let fin = self.fin().filter(|fin| *fin > self.offset && *fin > self.kept_end())?;
        SackBlock::new(self.seq_of(fin), self.seq_of(fin) + 1)
    }

    /// Eighth step, second half: whether all before the FIN has arrived; RCV.NXT steps over it.
    pub(crate) fn take_fin(&mut self) -> bool {
        if self.fin != self.offset {
            return false;
        }
        self.nxt += 1;
        self.offset = self.offset.saturating_add(1);
        true
    }

    /// The window field to send, and the right edge that it advertises, with `queued` bytes unread.
    ///
    /// The edge moves right in useful steps only (RFC 9293 §3.8.6.2.2) and as memory allows. It is kept by
    /// rounding up where that promises less than one unit of the scale beyond the buffer.
    pub(crate) fn offer(&self, pressure: Pressure, queued: usize) -> (WireWindow, SeqNum) {
        let limit = self.tuning.limit();
        let unit = 1u32.checked_shl(u32::from(self.scale.get())).unwrap_or(1);
        let free = limit.saturating_sub(u32::try_from(queued).unwrap_or(u32::MAX));
        let current = self.window();
        let target = match pressure {
            Pressure::None | Pressure::Low => free,
            Pressure::High => free.min(current.saturating_add(u32::from(self.mss))),
            Pressure::Limit => current,
        };
        let shift = u32::from(self.scale.get());
        let down = |bytes: u32| bytes.checked_shr(shift).unwrap_or(0);
        let up = |bytes: u32| down(bytes.saturating_add(unit.saturating_sub(1)));
        let field = if target.saturating_sub(current) >= self.step(limit) && down(target) > down(current) {
            down(target)
        } else if up(current).saturating_mul(unit) <= free.saturating_add(unit.saturating_sub(1)) {
            up(current)
        } else {
            down(current)
        };
        let field = u16::try_from(field).unwrap_or(u16::MAX);
        (WireWindow::new(field), self.nxt + u32::from(field).checked_shl(shift).unwrap_or(0))
    }

    /// The least that the right edge moves by.
    fn step(&self, limit: u32) -> u32 {
        u32::from(self.mss).min(limit / 2).max(1)
    }

    /// Whether reading has opened the window enough to say so: by a quarter of the buffer, or to twice what
    /// the peer knows of.
    pub(crate) fn update_due(&self, pressure: Pressure, queued: usize) -> bool {
        let limit = self.tuning.limit();
        let (_, edge) = self.offer(pressure, queued);
        let gain = u32::try_from(edge - self.edge).unwrap_or(0);
        gain >= self.step(limit) && (gain >= limit / 4 || gain >= self.window())
    }

    /// The blocks to report, if SACK was agreed on: a duplicate, then the block that it lies in if it is above
    /// RCV.NXT, then the rest, most recent first (RFC 2018 §4, RFC 2883 §4). A FIN belongs to the block before it, and
    /// one that came alone is a block: a number as any other, and what a probe of the tail may be answered by.
    /// `timeout` says that the ACK carries a user timeout too.
    pub(crate) fn sack_blocks(&self, timeout: bool) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        if !self.sack || self.disorder.is_none() && self.fin == NOT_YET {
            return blocks;
        }
        let first = self.first_fin();
        if let Some(fin) = first {
            blocks.push(fin);
        }
        if let Some(disorder) = &self.disorder {
            let duplicate = disorder.duplicates.first();
            let around = duplicate.and_then(|block| {
                blocks.push(*block);
                self.offset_of(block.left())
            });
            disorder.ranges.sack_blocks(around, self.room_for_ranges(timeout), &mut blocks, |start, end| {
                SackBlock::new(self.seq_of(start), self.seq_of(end) + u32::from(self.fin == end))
            });
        }
        if let Some(fin) = self.lone_fin().filter(|_| first.is_none()) {
            blocks.push(fin);
        }
        blocks
    }

    /// The lone FIN, where it is told of first: it came last, and no duplicate has to be told of.
    fn first_fin(&self) -> Option<SackBlock> {
        self.lone_fin().filter(|_| self.fin_last && !self.owes_duplicate())
    }

    pub(crate) fn digest(&self, now: Instant, state: &mut impl core::hash::Hasher) {
        let Self {
            irs,
            nxt,
            edge,
            offset,
            fin: _,
            fin_last,
            disorder,
            acks,
            heard,
            scale,
            sack,
            ts_recent,
            last_ack_sent,
            mss,
            echo,
            tuning,
        } = self;
        for seq in [nxt, edge, last_ack_sent] {
            state.write_u32(seq.distance_from(*irs));
        }
        state.write_u64(self.fin().map_or(NOT_YET, |fin| fin.wrapping_sub(*offset)));
        if let Some(disorder) = disorder {
            disorder.ranges.digest(*offset, state);
            for block in &disorder.duplicates {
                state.write_u32(block.left().distance_from(*irs));
                state.write_u32(block.right().distance_from(*irs));
            }
            // How much was received since then matters to no two states that a search could tell apart.
            state.write_u64(disorder.passed.map_or(u64::MAX, |(passed, _)| passed.into()));
        }
        core::hash::Hash::hash(acks, state);
        tuning.digest(state);
        // No timeout is longer: beyond it the peer counts as idle.
        state.write_u64(crate::time::nanos(now.since(*heard).min(IDLE)));
        state.write_u8(scale.get());
        state.write_u8(u8::from(*sack));
        state.write_u8(u8::from(*fin_last && self.lone_fin().is_some()));
        state.write_u8(*echo as u8);
        state.write_u16(*mss);
        if let Some((recent, at)) = ts_recent {
            state.write_u32(*recent);
            state.write_u64(crate::time::nanos(now.since(*at)));
        }
    }
}

/// Whether a segment of length `len` at `seq` is acceptable where `window` bytes from `nxt` on may come (RFC 9293
/// §3.10.7.4, first step; SA-SEQ-1..5). The right edge itself counts for an empty segment, and a segment that
/// reaches over both edges is taken.
pub(crate) fn acceptable(nxt: SeqNum, window: u32, seq: SeqNum, len: u32) -> bool {
    if len == 0 {
        return seq.distance_from(nxt) <= window;
    }
    let last = seq + len.saturating_sub(1);
    window > 0
        && (seq.in_window(nxt, window) || last.in_window(nxt, window) || (seq.before(nxt) && last.after(nxt)))
}

/// Whether a segment has the timestamp that was agreed on (RFC 7323 §3.2), and none older than `recent`, TS.Recent
/// while that is valid (§5.3 R1). A reset is exempt (§5.2). A SYN may lack it: from a peer that has restarted
/// without timestamps it is to be challenged, or the old connection would stand in its way for ever.
pub(crate) fn check_timestamp(
    agreed: bool,
    recent: Option<u32>,
    segment: &Segment<'_>,
) -> Result<(), DiscardReason> {
    if !agreed || segment.has(TcpFlags::RST) {
        return Ok(());
    }
    match segment.options.timestamps {
        None if segment.has(TcpFlags::SYN) => Ok(()),
        None => Err(DiscardReason::MissingTimestamp),
        Some(timestamps) if recent.is_some_and(|recent| is_before(timestamps.val, recent)) => {
            Err(DiscardReason::OldTimestamp)
        }
        Some(_) => Ok(()),
    }
}

/// Whether timestamp `s` is older than `t` (RFC 7323 §5.2).
pub(crate) const fn is_before(s: u32, t: u32) -> bool {
    let distance = t.wrapping_sub(s);
    distance > 0 && distance < 1 << 31
}
