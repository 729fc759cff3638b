//! Memory as an argument.
//!
//! The core holds no pool and no shared counter. Whoever drives it keeps one number, the bytes that all
//! connections of a stack hold, turns it into an [`Allowance`] with [`Budget::allowance`] before a call, and
//! adds the change of [`Connection::memory`](crate::Connection::memory) afterwards.

use core::time::Duration;

/// How scarce memory is.
///
/// # Examples
/// ```
/// use carrick_core::{Budget, Pressure};
///
/// let budget = Budget::new(1600);
/// assert_eq!(budget.limit(), 1600);
/// let left = budget.allowance(800);
/// assert_eq!((left.room, left.reserve, left.pressure), (700, 100, Pressure::Low));
/// ```
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Pressure {
    /// Less than half of the budget is used.
    None,
    /// Half is used: offered windows stop growing.
    Low,
    /// Three quarters are used: the right window edge moves one segment at a time, and new connections
    /// are refused.
    High,
    /// All but the reserve is used: nothing more is stored, except one segment for a connection that holds
    /// nothing.
    Limit,
}

impl Pressure {
    /// How long a connection that holds memory may make no progress before it is given up for others.
    pub(crate) const fn patience(self) -> Option<Duration> {
        match self {
            Self::None | Self::Low => None,
            Self::High => Some(Duration::from_secs(60)),
            Self::Limit => Some(Duration::from_secs(20)),
        }
    }
}

/// How much more one call may hold.
///
/// # Examples
/// ```
/// use carrick_core::{Budget, Pressure};
///
/// let budget = Budget::new(1600);
/// assert_eq!(budget.limit(), 1600);
/// let left = budget.allowance(800);
/// assert_eq!((left.room, left.reserve, left.pressure), (700, 100, Pressure::Low));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// Bytes that any connection may still take.
    pub room: usize,
    /// Bytes beyond `room`, for one segment of a connection that holds nothing.
    pub reserve: usize,
    /// How scarce memory is.
    pub pressure: Pressure,
}

impl Allowance {
    /// No limit.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::{Allowance, Cx, Instant};
    ///
    /// assert_eq!(Cx::new(Instant::ZERO).memory, Allowance::UNLIMITED);
    /// ```
    pub const UNLIMITED: Self = Self { room: usize::MAX, reserve: 0, pressure: Pressure::None };

    /// Whether `bytes` more may be held by a connection that holds `held` now.
    pub(crate) const fn permits(&self, bytes: usize, held: usize) -> bool {
        bytes <= self.room || (held == 0 && bytes <= self.room.saturating_add(self.reserve))
    }
}

/// A limit on the bytes that all connections of a stack may hold together.
///
/// # Examples
/// ```
/// use carrick_core::{Budget, Pressure};
///
/// let budget = Budget::new(1600);
/// assert_eq!(budget.limit(), 1600);
/// let left = budget.allowance(800);
/// assert_eq!((left.room, left.reserve, left.pressure), (700, 100, Pressure::Low));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    limit: usize,
}

impl Budget {
    /// A budget of `limit` bytes, one sixteenth of which is the reserve.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Budget::new(1600).limit(), 1600);
    /// ```
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// The limit in bytes.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Budget::new(1600).limit(), 1600);
    /// ```
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// What a call may take when `used` bytes are held already.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::{Budget, Pressure};
    ///
    /// assert_eq!(Budget::new(1600).allowance(1520).pressure, Pressure::Limit);
    /// ```
    #[must_use]
    pub const fn allowance(&self, used: usize) -> Allowance {
        let reserve = self.limit / 16;
        let open = self.limit.saturating_sub(reserve);
        let pressure = if used >= open {
            Pressure::Limit
        } else if used >= self.limit.saturating_sub(self.limit / 4) {
            Pressure::High
        } else if used >= self.limit / 2 {
            Pressure::Low
        } else {
            Pressure::None
        };
        let room = open.saturating_sub(used);
        let reserve = self.limit.saturating_sub(used).saturating_sub(room);
        Allowance { room, reserve, pressure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_with_use_and_the_reserve_is_kept_for_the_empty_handed() {
        let budget = Budget::new(1600);
        assert_eq!(budget.allowance(0), Allowance { room: 1500, reserve: 100, pressure: Pressure::None });
        assert_eq!(budget.allowance(800).pressure, Pressure::Low);
        assert_eq!(budget.allowance(1200).pressure, Pressure::High);
        let limit = budget.allowance(1520);
        assert_eq!(limit, Allowance { room: 0, reserve: 80, pressure: Pressure::Limit });
        assert!(limit.permits(80, 0));
        assert!(!limit.permits(80, 1));
        assert!(!limit.permits(81, 0));
        assert_eq!(budget.allowance(9999), Allowance { room: 0, reserve: 0, pressure: Pressure::Limit });
    }
}
