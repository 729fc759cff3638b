//! Time as the core sees it: nanoseconds since an origin that the caller chose.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A moment: nanoseconds since an origin of the caller's. All arithmetic saturates.
///
/// # Examples
/// ```
/// use carrick_core::Instant;
/// use std::time::Duration;
///
/// let start = Instant::ZERO;
/// let later = start + Duration::from_millis(30);
/// assert_eq!(later.since(start), Duration::from_millis(30));
/// assert_eq!(start.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::Instant;
    ///
    /// assert!(Instant::ZERO < Instant::NEVER);
    /// ```
    pub const ZERO: Self = Self(0);
    /// The end of time; a deadline here never comes.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::Instant;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
    /// ```
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the origin.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::Instant;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Instant::from_nanos(1_500), Instant::ZERO + Duration::from_nanos(1_500));
    /// ```
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Instant::from_nanos(1_500).as_nanos(), 1_500);
    /// ```
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Instant::from_nanos(2_999_999).as_millis(), 2);
    /// ```
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The same as [`since`](Self::since), in nanoseconds.
    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// How long after `earlier` this is; zero if it is not.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::Instant;
    /// use std::time::Duration;
    ///
    /// let (sent, acknowledged) = (Instant::from_nanos(100), Instant::from_nanos(400));
    /// assert_eq!(acknowledged.since(sent), Duration::from_nanos(300));
    /// ```
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in nanoseconds, as far as 64 bits reach (584 years).
pub(crate) const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(nanos(rhs)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        self.since(rhs)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER { f.write_str("never") } else { Duration::from_nanos(self.0).fmt(f) }
    }
}
