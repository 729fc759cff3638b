//! Virtual time as scripts write it: `3.ms()`, `at(200.ms())`.

use carrick_core::Instant;
use std::time::Duration;

/// Short spellings of durations.
pub trait Span {
    /// So many nanoseconds.
    fn ns(self) -> Duration;
    /// So many microseconds.
    fn us(self) -> Duration;
    /// So many milliseconds.
    fn ms(self) -> Duration;
    /// So many seconds.
    fn secs(self) -> Duration;
}

impl Span for u64 {
    fn ns(self) -> Duration {
        Duration::from_nanos(self)
    }

    fn us(self) -> Duration {
        Duration::from_micros(self)
    }

    fn ms(self) -> Duration {
        Duration::from_millis(self)
    }

    fn secs(self) -> Duration {
        Duration::from_secs(self)
    }
}

/// The moment `since_start` after a world began.
#[must_use]
pub fn at(since_start: Duration) -> Instant {
    Instant::ZERO + since_start
}
