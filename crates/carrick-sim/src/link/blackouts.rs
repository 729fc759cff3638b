//! Times at which nothing gets through.

use carrick_core::Instant;
use std::ops::Range;
use std::time::Duration;

/// When a link loses all that is sent into it, counted from the world's beginning (of a device around a device: from
/// when that was made). What is under way arrives.
///
/// # Examples
/// ```
/// use carrick_sim::{Blackouts, Span, at};
///
/// // The train enters a tunnel after 10 s and then every minute, for 3 s.
/// let tunnels = Blackouts::Every { first: 10.secs(), period: 60.secs(), length: 3.secs() };
/// assert!(!tunnels.cover(at(9.secs())));
/// assert!(tunnels.cover(at(11.secs())) && tunnels.cover(at(72.secs())));
/// let once = Blackouts::At(vec![5.secs()..6.secs()]);
/// assert!(once.cover(at(5.secs())) && !once.cover(at(6.secs())));
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Blackouts {
    /// Never.
    #[default]
    Never,
    /// Again and again.
    Every {
        /// When the first begins.
        first: Duration,
        /// How long from the beginning of one to that of the next.
        period: Duration,
        /// How long each lasts; one that lasts a period never ends.
        length: Duration,
    },
    /// At these times, the ends not included.
    At(Vec<Range<Duration>>),
}

impl Blackouts {
    /// Whether nothing gets through at that time.
    ///
    /// # Examples
    /// See [`Blackouts`].
    #[must_use]
    pub fn cover(&self, now: Instant) -> bool {
        match self {
            Self::Never => false,
            Self::Every { first, period, length } => {
                let (now, first) = (now.since(Instant::ZERO), *first);
                let since = now.saturating_sub(first).as_nanos();
                now >= first && since.checked_rem(period.as_nanos()).unwrap_or(0) < length.as_nanos()
            }
            Self::At(times) => times.iter().any(|time| time.contains(&now.since(Instant::ZERO))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Span, at};

    #[test]
    fn each_lasts_as_long_as_it_says() {
        let each = Blackouts::Every { first: 3.ms(), period: 10.ms(), length: 2.ms() };
        let list = Blackouts::At((0..20).map(|n: u64| (3 + 10 * n).ms()..(5 + 10 * n).ms()).collect());
        let dark = |blackouts: &Blackouts| (0..200_000u64).filter(|us| blackouts.cover(at(us.us()))).count();
        assert_eq!((dark(&each), dark(&list), dark(&Blackouts::Never)), (40_000, 40_000, 0));
        // Periods of nothing, or shorter than what they hold, are one long night.
        for (period, length) in [(0.ms(), 1.ms()), (5.ms(), 9.ms())] {
            let night = Blackouts::Every { first: 3.ms(), period, length };
            assert_eq!(dark(&night), 197_000);
        }
        assert_eq!(dark(&Blackouts::Every { first: 0.ms(), period: 0.ms(), length: 0.ms() }), 0);
    }
}
