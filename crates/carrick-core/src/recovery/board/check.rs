//! Whether a board agrees with itself: the invariants at the top of `board`, for tests here and in crates above.

use super::{Board, Fate, bytes};

/// What ranges come to.
#[derive(Default)]
struct Sums {
    end: u64,
    sacked: u32,
    segments: u32,
    lost: u32,
    under_way: u32,
    /// How many are lost, and how many were sent again.
    losses: usize,
    repetitions: usize,
}

impl Board {
    /// How many ranges there are.
    pub(crate) fn ranges(&self) -> usize {
        self.count()
    }

    /// The invariants, by a walk over all ranges.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let mut sums = Sums { end: self.una, ..Sums::default() };
        for (&start, sent) in &self.ranges {
            self.check_place(&mut sums, start, sent.end, sent.serial)?;
            let len = bytes(start, sent.end);
            match sent.fate {
                Fate::Fresh if start < self.fresh => return Err("a fresh range before `fresh`"),
                Fate::Fresh => sums.under_way = sums.under_way.saturating_add(len),
                Fate::Resent => {
                    sums.under_way = sums.under_way.saturating_add(len);
                    sums.repetitions = sums.repetitions.saturating_add(1);
                    ensure(
                        self.resent.contains(&(sent.serial, start)),
                        "a repetition is not in the order of sending",
                    )?;
                }
                Fate::Lost => {
                    sums.lost = sums.lost.saturating_add(len);
                    sums.losses = sums.losses.saturating_add(1);
                    ensure(self.lost.contains(&start), "a lost range is not among the lost")?;
                }
                Fate::Sacked => {
                    sums.sacked = sums.sacked.saturating_add(len);
                    sums.segments = sums.segments.saturating_add(sent.mss);
                }
            }
        }
        let mut serial = 0;
        for (start, sent) in &self.queue {
            self.check_place(&mut sums, *start, sent.end, sent.serial)?;
            ensure(sent.fate == Fate::Fresh, "a range in the queue is not fresh")?;
            ensure(*start >= self.fack, "a range in the queue, beyond which something has arrived")?;
            ensure(sent.serial > serial, "the queue is not in the order of sending")?;
            serial = sent.serial;
            sums.under_way = sums.under_way.saturating_add(bytes(*start, sent.end));
        }
        ensure(sums.end == self.nxt, "the ranges do not reach SND.NXT")?;
        ensure(sums.sacked == self.sacked, "the sum of what is SACKed")?;
        ensure(sums.segments == self.sacked_segments, "the sum of segments that are SACKed")?;
        ensure(sums.lost == self.lost_bytes, "the sum of what is lost")?;
        ensure(sums.under_way == self.pipe(), "what is under way is not what is neither SACKed nor lost")?;
        ensure(sums.losses == self.lost.len(), "something among the lost is not")?;
        ensure(sums.repetitions == self.resent.len(), "something among the repetitions is not")?;
        ensure(self.fack <= self.nxt, "something has arrived that was not sent")?;
        ensure(self.fin.is_none_or(|fin| fin <= self.nxt), "the FIN lies beyond SND.NXT")
    }

    fn check_place(&self, sums: &mut Sums, start: u64, end: u64, serial: u64) -> Result<(), &'static str> {
        ensure(start == sums.end, "the ranges do not lie side by side")?;
        ensure(start < end && end <= self.nxt, "a range is empty, or beyond SND.NXT")?;
        ensure(serial <= self.serial, "a range was sent later than the last")?;
        sums.end = end;
        Ok(())
    }
}

fn ensure(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}
