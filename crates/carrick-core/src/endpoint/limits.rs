//! How much strangers are told: token buckets for resets, ICMP errors and echo replies (RFC 1122 §3.2.2,
//! RFC 4443 §2.4 (f)).
//!
//! One count for all would be an instrument: who sends segments in a victim's name, and then counts how many
//! answers to his own are missing, learns whether the victim has a connection. So there are many buckets; a
//! keyed hash, other after each minute, says whose answers share one; and an answer costs between a half and
//! one and a half tokens, so that whoever does share one cannot count in it either (T-BLD-6).

use super::keys::Keys;
use crate::{Instant, Rate};
use core::net::IpAddr;
use core::time::Duration;

/// How many buckets there are.
const CLASSES: usize = 64;
/// How long addresses stay in their buckets.
const MINGLE: Duration = Duration::from_secs(64);

/// The limit of one kind of answers.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Nanoseconds in which one class earns a token.
    interval: u64,
    burst: u64,
    /// When each class will have all its tokens again.
    full_at: [u64; CLASSES],
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        let classes = u64::try_from(CLASSES).unwrap_or(u64::MAX);
        let earned_in = classes.saturating_mul(1_000_000_000).checked_div(u64::from(rate.per_second));
        // Without tokens to earn there is nothing to spend.
        let burst = earned_in.map_or(0, |_| u64::from(rate.burst).max(1));
        let interval = earned_in.unwrap_or(u64::MAX);
        Self { interval, burst, full_at: [0; CLASSES] }
    }

    /// Whether `to` may be sent an answer now; if so, it is taken as sent.
    pub(super) fn permits(&mut self, keys: &Keys, to: IpAddr, now: Instant) -> bool {
        let slot = now.as_nanos().checked_div(crate::time::nanos(MINGLE)).unwrap_or(0);
        let class = keys.class(to, slot) as usize % CLASSES;
        let Some(full_at) = self.full_at.get_mut(class) else { return false };
        // The price stays until it is paid, or asking often enough would find the cheap ones.
        let share = u64::from(keys.noise((class, *full_at)) & 0xffff);
        let half = self.interval / 2;
        let cost = half.saturating_add((self.interval >> 16).saturating_mul(share));
        let now = now.as_nanos();
        let after = now.max(*full_at).saturating_add(cost);
        // The half lets a class that has rested give its whole burst.
        let most = self.interval.saturating_mul(self.burst).saturating_add(half);
        if self.burst == 0 || after.saturating_sub(now) > most {
            return false;
        }
        *full_at = after;
        true
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4((0xc633_6400 + n).into())
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_rested_bucket_gives_about_its_burst_and_then_what_it_earns() {
        let keys = Keys::new([7; 32]);
        let mut bucket = Bucket::new(Rate { per_second: 6400, burst: 50 });
        let now = at(1_000_000);
        let first = (0..1000).filter(|_| bucket.permits(&keys, address(1), now)).count();
        assert!((34..=101).contains(&first), "{first}");
        // 100 tokens a second for each of the 64 classes.
        let second =
            (0..10_000).filter(|i| bucket.permits(&keys, address(1), now + at(*i).since(at(0)))).count();
        assert!((950..=1050).contains(&second), "{second}");
    }

    #[test]
    fn all_destinations_together_get_what_the_rate_says() {
        let keys = Keys::new([7; 32]);
        let mut bucket = Bucket::new(Rate { per_second: 1000, burst: 5 });
        let given =
            (0..100_000u32).filter(|i| bucket.permits(&keys, address(i % 251), at(u64::from(i / 10))));
        let given = given.count();
        // 10 s of 1,000, and 64 bursts of 5.
        assert!((9_000..=10_900).contains(&given), "{given}");
    }

    #[test]
    fn the_number_of_answers_is_no_exact_count() {
        let counts: Vec<usize> = (0..40u8)
            .map(|seed| {
                let keys = Keys::new([seed; 32]);
                let mut bucket = Bucket::new(Rate { per_second: 1000, burst: 50 });
                (0..1000).filter(|_| bucket.permits(&keys, address(1), at(5))).count()
            })
            .collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert_ne!(least, most, "{counts:?}");
    }

    #[test]
    fn a_rate_of_nothing_permits_nothing_and_no_limit_all() {
        let keys = Keys::new([7; 32]);
        let mut none = Bucket::new(Rate { per_second: 0, burst: 9 });
        assert!(!(0..10).any(|i| none.permits(&keys, address(1), at(i * 100_000))));
        let mut all = Bucket::new(Rate::UNLIMITED);
        assert!((0..100_000).all(|_| all.permits(&keys, address(1), at(1))));
        let mut late = Bucket::new(Rate { per_second: 1, burst: 1 });
        assert!(late.permits(&keys, address(1), Instant::NEVER), "the end of time is no overflow");
    }
}
