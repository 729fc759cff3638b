//! HyStart++ (RFC 9406): the first slow start ends when round trips grow, before the queue overflows.
//!
//! The window grows by all that is acknowledged (L is infinite, since the sender paces). Once the least round trip of a
//! round exceeds that of the round before by an eighth of it, 4 to 16 ms, *conservative slow start* begins: a quarter
//! of the growth, for five rounds. If the round trips turn out shorter again it was jitter, and slow start goes on.
//!
//! Other than the RFC, which takes the least of all of a round so far, this takes the least of each eight in a row: a
//! window that is more than half of what the path holds builds a queue towards the end of each round, and its begin
//! finds none. With the least of the round the growth is slowed a round later, at twice the window, which a queue of
//! one bandwidth-delay product does not hold any more.
//!
//! And eight in a round of which none is shorter than the one before are a queue that fills, and no jitter. Of those an
//! eighth more is enough also where that is less than 4 ms (§4.3 leaves the threshold to what is known of the path),
//! and enough if the last three exceed it: small windows have no more samples than that between the first that is
//! longer and the first that is lost.

use core::time::Duration;

/// N_RTT_SAMPLE, CSS_ROUNDS, MIN_RTT_THRESH and MAX_RTT_THRESH in microseconds, MIN_RTT_DIVISOR, CSS_GROWTH_DIVISOR.
const SAMPLES: u8 = 8;
/// Of those that do not fall so many must exceed the threshold, which is this at least: less may be the hosts' doing.
const LAST: u8 = 3;
const LEAST_RISE: u32 = 100;
const ROUNDS: u8 = 5;
const LEAST: u32 = 4_000;
const MOST: u32 = 16_000;
const SHARE: u32 = 8;
pub(super) const QUARTER: u32 = 4;

/// Round trips in microseconds.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct HyStart {
    /// lastRoundMinRTT, what will be that of the next round, and the least of the present block; the greatest number is
    /// "infinite".
    last: u32,
    whole: u32,
    current: u32,
    /// In slow start the latest, in conservative slow start cssBaselineMinRtt.
    level: u32,
    /// Of this block.
    samples: u8,
    /// So many in a row, of this round, are no shorter than the one before; so many exceed the threshold.
    rising: u8,
    above: u8,
    /// Rounds of conservative slow start, this one included; none in slow start.
    conservative: u8,
}

/// How the window grows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pace {
    Full,
    Quarter,
    /// Slow start is over.
    Over,
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self {
            last: u32::MAX,
            current: u32::MAX,
            whole: u32::MAX,
            level: 0,
            samples: 0,
            rising: 0,
            above: 0,
            conservative: 0,
        }
    }

    /// An acknowledgement in slow start; `round` says that a round ends with it, `rtt` what it measured.
    pub(super) fn on_ack(&mut self, round: bool, rtt: Option<Duration>) -> Pace {
        if round {
            self.last = core::mem::replace(&mut self.whole, u32::MAX);
            self.current = u32::MAX;
            (self.samples, self.rising) = (0, 0);
            match self.conservative {
                0 => {}
                ROUNDS => return Pace::Over,
                _ => self.conservative = self.conservative.saturating_add(1),
            }
        }
        if let Some(rtt) = rtt {
            let rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1);
            self.current = self.current.min(rtt);
            self.whole = self.whole.min(self.current);
            self.samples = self.samples.saturating_add(1);
            if self.conservative == 0 {
                self.look_at(rtt);
            }
        }
        if self.samples >= SAMPLES {
            self.look();
            self.samples = 0;
            self.current = u32::MAX;
        }
        if self.conservative > 0 { Pace::Quarter } else { Pace::Full }
    }

    /// A round trip in slow start: whether a queue fills.
    fn look_at(&mut self, rtt: u32) {
        self.rising = if rtt < self.level { 1 } else { self.rising.saturating_add(1) };
        let threshold = (self.last / SHARE).clamp(LEAST_RISE, MOST);
        let baseline = self.last.saturating_add(threshold);
        self.above = if rtt < baseline { 0 } else { self.above.saturating_add(1) };
        self.level = rtt;
        if self.rising >= SAMPLES && self.above >= LAST {
            self.begin(baseline);
        }
    }

    /// There are samples enough to tell.
    fn look(&mut self) {
        if self.conservative > 0 {
            if self.current < self.level {
                (self.conservative, self.rising, self.above) = (0, 0, 0);
            }
        } else if self.last != u32::MAX {
            let threshold = (self.last / SHARE).clamp(LEAST, MOST);
            if self.current >= self.last.saturating_add(threshold) {
                self.begin(self.current);
            }
        }
    }

    /// Conservative slow start begins, and ends early with later round trips that are shorter than this.
    fn begin(&mut self, baseline: u32) {
        (self.level, self.conservative) = (baseline, 1);
        (self.current, self.samples) = (u32::MAX, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use carrick_covers::covers;

    /// A round of `samples` round trips of `micros`, every second one a little longer, and what the last of its
    /// acknowledgements says.
    fn round(start: &mut HyStart, micros: u64, samples: u32) -> Pace {
        let rtt = |n: u32| Some(Duration::from_micros(micros + u64::from(n % 2)));
        (1..samples).fold(start.on_ack(true, rtt(0)), |_, n| start.on_ack(false, rtt(n)))
    }

    #[test]
    fn hspp_3_hspp_4_hspp_5_an_eighth_more_between_4_and_16_ms_with_eight_samples() {
        for (last, least) in
            [(1_000, 4_000), (20_000, 4_000), (32_000, 4_000), (80_000, 10_000), (400_000, 16_000)]
        {
            for (more, samples, pace) in [
                (least - 1, 20, Pace::Full),
                (least, 7, Pace::Full),
                (least, 8, Pace::Quarter),
                (least + 1, 8, Pace::Quarter),
            ] {
                let mut start = HyStart::new();
                assert_eq!(round(&mut start, last + 500_000, 8), Pace::Full, "no round before");
                assert_eq!(
                    round(&mut start, last, 1),
                    Pace::Full,
                    "one sample suffices for the round before"
                );
                assert_eq!(
                    round(&mut start, last + more, samples),
                    pace,
                    "{last} and {more}, {samples} samples"
                );
            }
        }
        // The least of a round counts, wherever it stands, and an acknowledgement without a sample is none.
        let mut start = HyStart::new();
        round(&mut start, 20_000, 8);
        round(&mut start, 24_000, 7);
        assert_eq!(start.on_ack(false, None), Pace::Full);
        assert_eq!(start.on_ack(false, Some(Duration::from_micros(23_999))), Pace::Full);
        assert_eq!(start.on_ack(false, Some(Duration::from_micros(90_000))), Pace::Full);
        covers!("HSPP-3", "HSPP-4", "HSPP-5");
    }

    /// Not only the next round, whose first samples would be the first to be longer.
    #[test]
    fn hspp_3_a_queue_at_the_end_of_a_round_is_seen_in_that_round() {
        let mut start = HyStart::new();
        round(&mut start, 20_000, 8);
        assert_eq!(round(&mut start, 20_000, 8), Pace::Full);
        let longer = |n: u64| Some(Duration::from_micros(24_000 + n % 2));
        for n in 1..8 {
            assert_eq!(start.on_ack(false, longer(n)), Pace::Full);
        }
        assert_eq!(start.on_ack(false, longer(8)), Pace::Quarter);
        // The round before is still all of it: its least is 20 ms.
        assert_eq!(round(&mut start, 23_999, 8), Pace::Full, "shorter than the baseline");
        covers!("HSPP-3");
    }

    /// Eight that do not fall, and of those three that are an eighth longer: also where that is less than 4 ms.
    #[test]
    fn hspp_7_a_queue_that_fills_is_seen_earlier() {
        let play = |micros: &[u32]| {
            let mut start = HyStart::new();
            round(&mut start, 8_000, 8);
            let rtt = |micros: u32| Some(Duration::from_micros(micros.into()));
            let paces: Vec<_> =
                micros.iter().enumerate().map(|(n, micros)| start.on_ack(n == 0, rtt(*micros))).collect();
            (start, paces.iter().position(|pace| *pace == Pace::Quarter))
        };
        let (mut start, seen) = play(&[8_000, 8_000, 8_300, 8_600, 8_900, 9_000, 9_200, 9_500]);
        assert_eq!(seen, Some(7));
        // It goes on until round trips are shorter than that eighth.
        assert_eq!(round(&mut start, 9_000, 8), Pace::Quarter);
        assert_eq!(round(&mut start, 8_999, 8), Pace::Full);
        for none in [
            [8_000, 8_000, 8_300, 8_600, 8_900, 8_999, 9_200, 9_500],
            // One is shorter; seven do not fall.
            [8_000, 8_000, 8_300, 8_600, 9_100, 9_099, 9_200, 9_500],
            [8_001, 8_000, 8_300, 8_600, 8_900, 9_000, 9_200, 9_500],
            // The last is late, for one reason or another.
            [8_000, 8_000, 8_000, 8_000, 8_000, 8_000, 8_000, 50_000],
        ] {
            assert_eq!(play(&none).1, None, "{none:?}");
        }
        // In the first round there is nothing to compare with, and less than 0.1 ms is nothing.
        let mut start = HyStart::new();
        for round in [true, false] {
            for n in 0..10 {
                let rtt = Some(Duration::from_micros(100 + 10 * n));
                assert_eq!(start.on_ack(round && n == 0, rtt), Pace::Full);
            }
        }
        covers!("HSPP-7");
    }

    #[test]
    fn hspp_1_a_round_without_samples_is_no_measure() {
        let mut start = HyStart::new();
        round(&mut start, 20_000, 8);
        assert_eq!(start.on_ack(true, None), Pace::Full);
        assert_eq!(round(&mut start, 90_000, 8), Pace::Full, "the round before measured nothing");
        assert_eq!(round(&mut start, 110_000, 8), Pace::Quarter);
        covers!("HSPP-1");
    }

    #[test]
    fn hspp_7_shorter_round_trips_resume() {
        let mut start = HyStart::new();
        round(&mut start, 20_000, 8);
        assert_eq!(round(&mut start, 30_000, 8), Pace::Quarter);
        assert_eq!(round(&mut start, 30_000, 8), Pace::Quarter, "no shorter than when it began");
        assert_eq!(round(&mut start, 29_999, 7), Pace::Quarter, "seven samples");
        assert_eq!(round(&mut start, 29_999, 8), Pace::Full);
        // Five rounds count from the next beginning.
        assert_eq!(round(&mut start, 40_000, 8), Pace::Quarter);
        for _ in 0..4 {
            assert_eq!(round(&mut start, 40_000, 8), Pace::Quarter);
        }
        assert_eq!(start.on_ack(true, None), Pace::Over);
        covers!("HSPP-7");
    }

    #[test]
    fn hspp_8_five_rounds_the_partial_first_one_counts() {
        let mut start = HyStart::new();
        round(&mut start, 20_000, 8);
        round(&mut start, 30_000, 20);
        for _ in 0..4 {
            assert_eq!(start.on_ack(true, None), Pace::Quarter);
        }
        assert_eq!(start.on_ack(true, None), Pace::Over);
        covers!("HSPP-8");
    }

    #[test]
    fn t_ccx_8_any_round_trip() {
        let mut start = HyStart::new();
        for rtt in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::MAX,
            Duration::from_secs(4_295),
            Duration::MAX,
        ] {
            for _ in 0..300 {
                start.on_ack(false, Some(rtt));
            }
            start.on_ack(true, Some(rtt));
        }
        assert_eq!(start.samples, 1);
    }
}
