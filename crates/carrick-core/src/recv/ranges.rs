//! Received text that waits for a hole to be filled.
//!
//! Ranges are disjoint, do not touch, and lie above RCV.NXT. Of a byte that arrives twice the first copy
//! stays. Finding a place costs the logarithm of the number of ranges, which is bounded.

use super::Text;
use crate::queue::ChunkQueue;
use alloc::collections::BTreeMap;
use carrick_wire::{SackBlock, SackBlocks};

/// So many ranges may be as small as they like: each takes a chunk, however little it holds.
const ISLANDS: usize = 1024;
/// Most ranges of one connection. Slow start that goes too far loses every second segment of a round trip: at 1 Gbit/s
/// and 100 ms, with as much again in a queue, about 4,000 of 1,448 bytes.
const MOST: usize = 16_384;
/// Beyond [`ISLANDS`] they must hold more than so many bytes on average, as segments of RFC 9293's default MSS do.
const LEAST_TEXT: u64 = 512;
/// What a leaf of the tree takes; every one but the root is at least five entries full.
const LEAF: usize = 11 * (size_of::<u64>() + size_of::<ChunkQueue>()) + 16;
const LEAF_LEAST: usize = 5;
/// So many ranges that changed are remembered: as many as a batch brings.
const RECENT: usize = 16;

/// Why text was not kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    NoMemory,
    TooManyRanges,
    /// Wholly behind the FIN.
    BehindFin,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    /// By the offset in the stream at which they start.
    map: BTreeMap<u64, ChunkQueue>,
    /// What the queues hold.
    queues: usize,
    /// Bytes of text in them.
    text: u64,
    /// Where text arrived last, most recent first: the order of SACK blocks (RFC 2018 §4).
    recent: [u64; RECENT],
    /// The first so many of these no ACK has told of.
    untold: usize,
}

impl Ranges {
    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(crate) fn memory(&self) -> usize {
        self.map.len().div_ceil(LEAF_LEAST).saturating_mul(LEAF).saturating_add(self.queues)
    }

    /// Where the first range starts.
    pub(crate) fn first_start(&self) -> Option<u64> {
        self.map.first_key_value().map(|(start, _)| *start)
    }

    /// Where the last range ends; 0 if there is none.
    pub(crate) fn end(&self) -> u64 {
        self.map.last_key_value().map_or(0, |(start, queue)| start.saturating_add(queue.len() as u64))
    }

    pub(crate) fn pop_first(&mut self) -> Option<ChunkQueue> {
        let (_, queue) = self.map.pop_first()?;
        self.queues = self.queues.saturating_sub(queue.memory());
        self.text = self.text.saturating_sub(queue.len() as u64);
        if self.map.is_empty() {
            // An empty map keeps its last node: more than an idle connection may hold.
            self.map = BTreeMap::new();
        }
        Some(queue)
    }

    /// Keeps what is new of `text`, whose first byte is number `start` of the stream. Says whether anything
    /// was. `permits` answers whether so many bytes more may be held.
    pub(crate) fn insert(
        &mut self,
        start: u64,
        text: Text<'_>,
        permits: impl Fn(usize) -> bool,
    ) -> Result<bool, Refused> {
        let end = start.saturating_add(text.len() as u64);
        let before = self.map.range(..=start).next_back();
        let before = before.map(|(key, queue)| (*key, key.saturating_add(queue.len() as u64)));
        // The range that the text continues or overlaps, or a new one.
        let (key, reached) = match before {
            Some((_, reached)) if reached >= end => {
                self.note_recent(start);
                return Ok(false);
            }
            Some((key, reached)) if reached >= start => (key, reached),
            _ if self.map.len() >= self.most() => return Err(Refused::TooManyRanges),
            _ => (start, start),
        };
        let mut queue = self.map.remove(&key).unwrap_or_default();
        let overhead = if reached == start { LEAF } else { 0 };
        let held = self.queues;
        self.queues = self.queues.saturating_sub(queue.memory());
        let mut reached = reached;
        let (mut changed, mut refused) = (false, false);
        while reached < end {
            // The gap up to the next range, or to the end of the text.
            let next = self.map.range(key..).next().map(|(next, _)| *next);
            let until = next.map_or(end, |next| next.min(end));
            let skip = usize::try_from(reached.saturating_sub(start)).unwrap_or(usize::MAX);
            let gap = usize::try_from(until.saturating_sub(reached)).unwrap_or(usize::MAX);
            let piece = text.from(skip).up_to(gap);
            // Behind a range the text goes on in another chunk, so each piece asks for its own room.
            let grown = self.queues.saturating_add(queue.memory()).saturating_sub(held);
            if !permits(grown.saturating_add(piece.cost(&queue)).saturating_add(overhead)) {
                refused = true;
                break;
            }
            piece.push_to(&mut queue);
            self.text = self.text.saturating_add(piece.len() as u64);
            changed = true;
            reached = until;
            self.absorb(&mut queue, &mut reached);
        }
        self.absorb(&mut queue, &mut reached);
        self.queues = self.queues.saturating_add(queue.memory());
        if !queue.is_empty() {
            self.map.insert(key, queue);
        }
        if refused && !changed {
            return Err(Refused::NoMemory);
        }
        self.note_recent(start);
        Ok(changed)
    }

    /// How many ranges there may be.
    fn most(&self) -> usize {
        usize::try_from(self.text / LEAST_TEXT).unwrap_or(MOST).clamp(ISLANDS, MOST)
    }

    /// Joins the range that starts where `queue` has come to.
    fn absorb(&mut self, queue: &mut ChunkQueue, reached: &mut u64) {
        if let Some(next) = self.map.remove(reached) {
            self.queues = self.queues.saturating_sub(next.memory());
            *reached = reached.saturating_add(next.len() as u64);
            *queue = core::mem::take(queue).followed_by(next);
        }
    }

    pub(super) fn note_recent(&mut self, offset: u64) {
        let here = self.containing(offset);
        // Where text came that has become one range with it is told of with it, and what has been delivered by every
        // ACK.
        let mut apart = 0;
        for at in 0..self.untold.min(RECENT) {
            let other = self.recent.get(at).and_then(|other| self.containing(*other));
            if other.is_some() && other != here {
                self.recent.swap(apart, at);
                apart = apart.saturating_add(1);
            }
        }
        let known = self.recent.get(apart).is_some_and(|other| self.containing(*other) == here);
        let moved = if known { apart.saturating_add(1) } else { RECENT };
        if let Some(moved) = self.recent.get_mut(..moved) {
            moved.rotate_right(1);
        }
        if let Some(first) = self.recent.first_mut() {
            *first = offset;
        }
        self.untold = apart.saturating_add(1).min(RECENT);
    }

    /// Whether a range has changed that no ACK has told of.
    pub(crate) fn has_untold(&self) -> bool {
        self.recent.iter().take(self.untold).any(|offset| self.containing(*offset).is_some())
    }

    /// An ACK has left that told of so many.
    pub(crate) const fn on_told(&mut self, ranges: usize) {
        self.untold = self.untold.saturating_sub(ranges);
    }

    fn containing(&self, offset: u64) -> Option<(u64, u64)> {
        let (start, queue) = self.map.range(..=offset).next_back()?;
        let end = start.saturating_add(queue.len() as u64);
        (offset < end).then_some((*start, end))
    }

    /// What of the text from `start` to `end` is there already: the first piece of it.
    pub(crate) fn first_overlap(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let before = self.containing(start).map(|(_, reached)| (start, reached.min(end)));
        before.or_else(|| {
            let (next, queue) = self.map.range(start..end).next()?;
            Some((*next, next.saturating_add(queue.len() as u64).min(end)))
        })
    }

    /// Adds SACK blocks while there is room: the one around the offset `first`, if there is such a one, then
    /// the one that changed last and so on; `block` turns offsets into sequence numbers. Where more than `room` have
    /// changed since the last ACK, those that came first are told of first, as if each had been acknowledged when it
    /// came.
    pub(crate) fn sack_blocks(
        &self,
        first: Option<u64>,
        room: usize,
        blocks: &mut SackBlocks,
        block: impl Fn(u64, u64) -> Option<SackBlock>,
    ) {
        if self.map.is_empty() {
            return;
        }
        let mut reported = [None; SackBlocks::MAX];
        let recent = self.recent.iter().skip(self.untold.saturating_sub(room));
        let recent = first.iter().chain(recent).filter_map(|offset| self.containing(*offset));
        let rest = self.map.iter().map(|(start, queue)| (*start, start.saturating_add(queue.len() as u64)));
        for range in recent.chain(rest) {
            if blocks.len() >= SackBlocks::MAX {
                break;
            }
            if reported.contains(&Some(range)) {
                continue;
            }
            if let Some(place) = reported.iter_mut().find(|place| place.is_none()) {
                *place = Some(range);
            }
            if let Some(block) = block(range.0, range.1) {
                blocks.push(block);
            }
        }
    }

    pub(crate) fn digest(&self, base: u64, state: &mut impl core::hash::Hasher) {
        for (start, queue) in &self.map {
            state.write_u64(start.wrapping_sub(base));
            for part in queue.iter() {
                state.write(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use carrick_covers::covers;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        /// T-RCV-2: of overlapping copies with different bytes the first to arrive stays.
        #[test]
        fn first_copy_stays(pieces in proptest::collection::vec((1u64..300, 1usize..60), 1..60)) {
            let mut ranges = Ranges::default();
            let mut model: Vec<Option<u8>> = vec![None; 400];
            for (i, (start, len)) in pieces.into_iter().enumerate() {
                let data = vec![i as u8; len];
                let new = (start as usize..start as usize + len).filter(|at| model[*at].is_none()).count();
                let changed = ranges.insert(start, Text::copied(&data), |_| true).unwrap();
                prop_assert_eq!(changed, new > 0);
                for byte in &mut model[start as usize..start as usize + len] {
                    byte.get_or_insert(i as u8);
                }
                let mut seen: Vec<Option<u8>> = vec![None; 400];
                let mut last_end = 0;
                for (start, queue) in &ranges.map {
                    prop_assert!(*start > last_end || last_end == 0, "ranges touch");
                    for (at, byte) in queue.iter().flatten().enumerate() {
                        seen[*start as usize + at] = Some(*byte);
                    }
                    last_end = start + queue.len() as u64;
                }
                prop_assert_eq!(&seen, &model);
                prop_assert_eq!(ranges.queues, ranges.map.values().map(ChunkQueue::memory).sum::<usize>());
                prop_assert_eq!(ranges.text, seen.iter().flatten().count() as u64);
            }
        }
    }

    /// Ranges of so many bytes, one byte apart: how many of 20,000 are taken.
    fn islands(ranges: &mut Ranges, len: u64) -> u64 {
        let text = vec![0; len as usize];
        let mut place = |at: u64| ranges.insert(at * (len + 1), Text::copied(&text), |_| true);
        let taken =
            (1..=20_000).find(|at| place(*at) == Err(Refused::TooManyRanges)).map_or(20_000, |at| at - 1);
        assert_eq!(place(20_001), Err(Refused::TooManyRanges), "and no other");
        taken
    }

    #[test]
    fn t_rcv_1_the_number_of_ranges_is_bounded() {
        for (len, most) in [(1, ISLANDS), (LEAST_TEXT, ISLANDS), (LEAST_TEXT + 1, MOST), (1448, MOST)] {
            let mut ranges = Ranges::default();
            assert_eq!(islands(&mut ranges, len), most as u64, "of {len} bytes");
            assert!(ranges.memory() < 2300 * most, "{} bytes are charged", ranges.memory());
            assert_eq!(
                ranges.insert(2 * len + 1, Text::copied(b"x"), |_| true),
                Ok(true),
                "a hole can be filled"
            );
        }
        covers!("T-RCV-1");
    }

    /// No more than if all text were in segments, and no more new ones once that has been read.
    #[test]
    fn t_rcv_1_text_in_a_row_makes_room_for_islands_as_segments_would() {
        let mut ranges = Ranges::default();
        ranges.insert(1, Text::copied(&vec![0; 2000 * LEAST_TEXT as usize]), |_| true).unwrap();
        let more = |ranges: &mut Ranges, from: u64| {
            let mut place = |at: u64| ranges.insert((1 << 24) + from + 2 * at, Text::copied(b"x"), |_| true);
            (0..20_000).find(|at| place(*at).is_err())
        };
        // Their own bytes make room for three.
        assert_eq!(more(&mut ranges, 0), Some(2002));
        assert_eq!(ranges.pop_first().map(|range| range.len()), Some(2000 * LEAST_TEXT as usize));
        assert_eq!(more(&mut ranges, 1 << 16), Some(0));
        covers!("T-RCV-1");
    }

    #[test]
    fn refusal_for_memory_changes_nothing() {
        let mut ranges = Ranges::default();
        ranges.insert(10, Text::copied(b"abc"), |_| true).unwrap();
        let before = ranges.memory();
        assert_eq!(ranges.insert(13, Text::copied(&[0; 5000]), |_| false), Err(Refused::NoMemory));
        assert_eq!((ranges.memory(), ranges.containing(12)), (before, Some((10, 13))));
    }

    #[test]
    fn what_there_is_memory_for_is_kept_up_to_the_first_gap_that_there_is_none_for() {
        let mut ranges = Ranges::default();
        ranges.insert(20, Text::copied(b"abc"), |_| true).unwrap();
        let asked = Cell::new(0);
        let once = |_| asked.replace(asked.get() + 1) == 0;
        assert_eq!(ranges.insert(10, Text::copied(&[0; 30]), once), Ok(true));
        assert_eq!((asked.get(), ranges.containing(10), ranges.end()), (2, Some((10, 23)), 23));
    }

    #[test]
    fn an_insertion_asks_for_all_that_it_takes() {
        let mut ranges = Ranges::default();
        for start in [10, 30, 50, 70, 90, 110, 130, 150, 170, 190, 210, 12, 45, 1] {
            let (before, asked) = (ranges.memory(), Cell::new(0));
            let permits = |more| {
                asked.set(more);
                true
            };
            assert_eq!(ranges.insert(start, Text::copied(&[0; 10]), permits), Ok(true));
            let grown = ranges.memory().saturating_sub(before);
            assert!(grown <= asked.get(), "{grown} bytes for {start}, where {asked:?} were asked for");
        }
    }
}
