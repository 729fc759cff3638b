//! Sequence numbers: positions on a circle of 2^32 (RFC 9293 §3.4).
//!
//! The space has no first and no last number, so [`SeqNum`] is not `Ord`; its tests compare the *signed
//! distance* between two numbers, which is right as long as both lie within half the circle of each other.
//!
//! ```text
//!        behind self          ahead of self
//!   -2^31 ........... -1  0  1 ........... 2^31-1
//!     ^ exactly half the circle: counts as `before`, seen from either side
//! ```
//!
//! Invariant: for any pair exactly one of `before`, `==`, `after` holds, and `at_or_before` is the negation
//! of `after`, `at_or_after` that of `before`. At distance exactly 2^31 `a.before(b)` and `b.before(a)` are
//! both true: no number is ever accepted as *newer* from there.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A position in the sequence space (RFC 9293 §3.4), deliberately not `Ord`: the space is a circle.
///
/// # Examples
/// ```
/// use carrick_wire::SeqNum;
///
/// let last = SeqNum::new(u32::MAX);
/// let next = last + 1;
/// assert!(last.before(next));
/// assert_eq!(next - last, 1);
/// ```
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct SeqNum(u32);

impl SeqNum {
    /// The position `value`.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert_eq!(next.get(), 0, "the space is a circle");
    /// ```
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number as carried on the wire.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert_eq!(next.get(), 0, "the space is a circle");
    /// ```
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether `self` lies 1 to 2^31 behind `other`.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert!(last.before(next) && !last.before(last));
    /// ```
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.signed_distance(other) < 0
    }

    /// Whether `self` lies 1 to 2^31 - 1 ahead of `other`.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert!(next.after(last));
    /// ```
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        self.signed_distance(other) > 0
    }

    /// Whether `self` equals `other` or is before it.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert!(last.at_or_before(last) && last.at_or_before(next));
    /// ```
    #[must_use]
    pub const fn at_or_before(self, other: Self) -> bool {
        self.signed_distance(other) <= 0
    }

    /// Whether `self` equals `other` or is after it.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert!(next.at_or_after(last));
    /// ```
    #[must_use]
    pub const fn at_or_after(self, other: Self) -> bool {
        self.signed_distance(other) >= 0
    }

    /// Whether `start <= self < start + len`; exact for every `len`, and never true for an empty window.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert!(next.in_window(last, 2) && !next.in_window(last, 1));
    /// ```
    #[must_use]
    pub const fn in_window(self, start: Self, len: u32) -> bool {
        self.distance_from(start) < len
    }

    /// How far ahead of `start` this number is, walking the circle forwards: 0..=2^32-1.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert_eq!(next.distance_from(last), 1);
    /// ```
    #[must_use]
    pub const fn distance_from(self, start: Self) -> u32 {
        self.0.wrapping_sub(start.0)
    }

    /// The later of the two; `other` if they are exactly 2^31 apart.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert_eq!(last.max(next), next);
    /// ```
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of the two; `self` if they are exactly 2^31 apart.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::SeqNum;
    ///
    /// let last = SeqNum::new(u32::MAX);
    /// let next = last + 1;
    /// assert_eq!(last.min(next), last);
    /// ```
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if self.after(other) { other } else { self }
    }

    const fn signed_distance(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;

    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, bytes: u32) {
        self.0 = self.0.wrapping_add(bytes);
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;

    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

/// The signed distance: positive if `self` is after `other`, `i32::MIN` at exactly half the circle.
impl Sub for SeqNum {
    type Output = i32;

    fn sub(self, other: Self) -> i32 {
        self.signed_distance(other)
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeqNum({})", self.0)
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
