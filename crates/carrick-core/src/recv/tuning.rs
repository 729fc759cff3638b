//! How much may be received and not read: as much as the peer needs to keep the path full, as far as the application
//! keeps up.
//!
//! What the application reads in a round trip is what path and reader manage together. Twice that leaves room for a
//! round trip in which something is sent again, and three times as much where it grows, for the peer is in slow start
//! then, and doubles its window before we see what it does with it. A round trip is over when text comes that answers
//! an ACK of ours which left after it began, as its timestamp tells (RFC 7323 §3): that needs no estimate, and follows
//! a path that becomes longer. Without timestamps it is what our own side has measured.
//!
//! The limit is a promise and takes no memory. It falls where memory is scarce; what has been advertised stays
//! advertised.

use crate::Pressure;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// What a connection begins with, in bytes, if that is not more than it may have.
const FIRST: u32 = 128 << 10;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    limit: u32,
    /// Bytes read when this round trip began, modulo 2^32, and in the one before.
    mark: u32,
    last: u32,
    /// When it began, by the clock of our timestamps.
    since: u32,
}

/// Text has come in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    /// The clock of our timestamps.
    pub(crate) now: u32,
    /// The echoed timestamp, where they were agreed on.
    pub(crate) echo: Option<u32>,
    /// The round trip as the sending half knows it.
    pub(crate) srtt: Option<Duration>,
    /// Bytes read since the connection was made.
    pub(crate) read: u64,
    pub(crate) pressure: Pressure,
}

impl Tuning {
    /// The limit is `most` at once unless it is `tuned`.
    pub(crate) fn new(most: u32, tuned: bool, now: u32) -> Self {
        let limit = if tuned { most.min(FIRST) } else { most };
        Self { limit, mark: 0, last: 0, since: now }
    }

    /// Most bytes received and not read.
    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }

    /// What has been found out so far; what is being measured depends on clocks.
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        let Self { limit, last, mark: _, since: _ } = self;
        (limit, last).hash(state);
    }

    /// Measures, and sets the limit anew at the end of a round trip.
    pub(crate) fn on_text(&mut self, most: u32, news: &News) {
        let first = most.min(FIRST);
        if first == most || !self.is_over(news) {
            return;
        }
        let count = u32::try_from(news.read & u64::from(u32::MAX)).unwrap_or(0);
        // More than a window is more than a round trip's: the clock is coarse, or the peer has paused.
        let read = count.wrapping_sub(self.mark).min(self.limit);
        let grows = read > self.last.saturating_add(self.last / 2);
        let wanted = read.saturating_mul(if grows { 6 } else { 2 }).clamp(first, most);
        if news.pressure == Pressure::None {
            self.limit = self.limit.max(wanted);
        } else if news.pressure >= Pressure::High {
            self.limit = self.limit.min(wanted);
        }
        (self.mark, self.last, self.since) = (count, read, news.now);
    }

    fn is_over(&self, news: &News) -> bool {
        let elapsed = news.now.wrapping_sub(self.since);
        match news.echo {
            Some(echo) => (1..=elapsed).contains(&echo.wrapping_sub(self.since)),
            None => {
                let srtt = news.srtt.unwrap_or(Duration::from_millis(1));
                elapsed > 0 && Duration::from_millis(elapsed.into()) >= srtt
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 8 << 20;

    fn news(now: u32, echo: u32, read: u64) -> News {
        News { now, echo: Some(echo), srtt: None, read, pressure: Pressure::None }
    }

    #[test]
    fn a_round_trip_ends_with_the_answer_to_an_ack_of_its_own() {
        let mut tuning = Tuning::new(MOST, true, 1000);
        for (now, echo) in [(1090, 990), (1099, 1000), (1100, 1101)] {
            tuning.on_text(MOST, &news(now, echo, 100_000));
            assert_eq!((tuning.limit(), tuning.since), (FIRST, 1000), "{echo}");
        }
        tuning.on_text(MOST, &news(1101, 1001, 100_000));
        assert_eq!((tuning.limit(), tuning.since), (600_000, 1101));
        // No faster than before: twice that is enough.
        tuning.on_text(MOST, &news(1202, 1102, 200_000));
        assert_eq!(tuning.limit(), 600_000);
        tuning.on_text(MOST, &news(1303, 1203, 700_000));
        assert_eq!(tuning.limit(), 3_000_000);
        // It cannot be more than there was room for.
        tuning.on_text(MOST, &news(1404, 1304, 70_000_000));
        assert_eq!((tuning.limit(), tuning.last), (MOST, 3_000_000));
    }

    #[test]
    fn without_timestamps_the_round_trip_is_ours() {
        let mut tuning = Tuning::new(MOST, true, u32::MAX);
        let at = |now: u32, read| News {
            echo: None,
            srtt: Some(Duration::from_millis(100)),
            ..news(now, 0, read)
        };
        tuning.on_text(MOST, &at(98, 100_000));
        assert_eq!(tuning.limit(), FIRST);
        tuning.on_text(MOST, &at(99, 100_000));
        assert_eq!(tuning.limit(), 600_000);
    }

    #[test]
    fn scarce_memory_stops_growth_and_then_takes_it_back() {
        let mut tuning = Tuning::new(MOST, true, 0);
        tuning.on_text(MOST, &news(10, 1, 100_000));
        for (now, pressure, limit) in
            [(20, Pressure::Low, 600_000), (30, Pressure::High, 200_000), (40, Pressure::Limit, 200_000)]
        {
            let read = u64::from(now) * 10_000;
            tuning.on_text(MOST, &News { pressure, ..news(now, now - 5, read) });
            assert_eq!(tuning.limit(), limit, "{pressure:?}");
        }
    }

    #[test]
    fn what_is_set_or_small_stays_as_it_is() {
        for (most, tuned) in [(MOST, false), (FIRST, true), (3000, true)] {
            let mut tuning = Tuning::new(most, tuned, 0);
            for pressure in [Pressure::None, Pressure::None, Pressure::High] {
                let now = tuning.since + 10;
                tuning.on_text(most, &News { pressure, ..news(now, now - 5, u64::from(now) * 10_000) });
                if tuned || pressure == Pressure::None {
                    assert_eq!(tuning.limit(), most);
                }
            }
        }
    }
}
