//! Which bytes of a stream are there.

use std::collections::BTreeMap;

/// Which bytes of a stream have come, in whatever order: what of a packet is new.
///
/// # Examples
/// ```
/// let mut arrived = carrick_sim::Ranges::default();
/// assert_eq!(arrived.insert(0, 1000), 1000);
/// assert_eq!(arrived.insert(2000, 3000), 1000);
/// assert_eq!(arrived.insert(500, 2500), 1000, "half of it was there before, on both sides");
/// assert_eq!((arrived.first(), arrived.bytes()), (3000, 3000));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ranges {
    /// All before it are there, and these.
    first: u64,
    later: BTreeMap<u64, u64>,
}

impl Ranges {
    /// The bytes from `from` on and before `to` have come: how many of them were not there before. No more memory is
    /// used than a range for each hole.
    ///
    /// # Examples
    /// See [`Ranges`].
    pub fn insert(&mut self, from: u64, to: u64) -> u64 {
        let from = from.max(self.first);
        if from >= to {
            return 0;
        }
        let (mut begin, mut end, mut there) = (from, to, 0);
        // What touches it becomes part of it.
        while let Some((&left, &right)) =
            self.later.range(..=to).next_back().filter(|(_, right)| **right >= from)
        {
            self.later.remove(&left);
            there += right.min(to).saturating_sub(left.max(from));
            (begin, end) = (begin.min(left), end.max(right));
        }
        if begin <= self.first {
            self.first = end;
        } else {
            self.later.insert(begin, end);
        }
        to - from - there
    }

    /// The first byte that is not there.
    ///
    /// # Examples
    /// ```
    /// let mut arrived = carrick_sim::Ranges::default();
    /// arrived.insert(2000, 3000);
    /// assert_eq!(arrived.first(), 0);
    /// ```
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How many bytes are there.
    ///
    /// # Examples
    /// ```
    /// let mut arrived = carrick_sim::Ranges::default();
    /// arrived.insert(2000, 3000);
    /// assert_eq!(arrived.bytes(), 1000);
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.first + self.later.iter().map(|(from, to)| to - from).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn ranges_are_as_a_list_of_bytes_would_have_them() {
        let mut rng = Rng::new(7);
        for _ in 0..300 {
            let (mut ranges, mut list) = (Ranges::default(), [false; 100]);
            for _ in 0..rng.below(60) {
                let from = rng.size(0, 99);
                let to = rng.size(from, (from + 20).min(100));
                let fresh = list[from..to].iter().filter(|there| !**there).count() as u64;
                assert_eq!(ranges.insert(from as u64, to as u64), fresh);
                list[from..to].fill(true);
                let first = list.iter().position(|there| !there).unwrap_or(100) as u64;
                assert_eq!(ranges.first(), first);
                assert_eq!(ranges.bytes(), list.iter().filter(|there| **there).count() as u64);
            }
        }
    }
}
