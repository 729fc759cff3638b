//! A policer: who sends faster than was agreed loses packets instead of waiting.

use carrick_core::Instant;

/// A token bucket that drops what it has no tokens for, as providers police what was bought. There is no queue.
///
/// # Examples
/// ```
/// use carrick_sim::{Link, LinkConfig, Packet, Policer, Rng, Span, at};
///
/// // 8 Mbit/s are a byte each microsecond, of which ten packets of 1,500 bytes may come at once.
/// let policer = Some(Policer { rate: 8_000_000, burst: 15_000 });
/// let mut link = Link::new(LinkConfig { policer, ..LinkConfig::default() }, Rng::new(7));
/// let passed = |link: &mut Link, now| (0..12).map(|_| link.send(now, Packet::new(vec![0; 1500]))).sum::<u64>();
/// assert_eq!(passed(&mut link, at(1.ms())), 10);
/// assert_eq!(passed(&mut link, at(4.ms())), 2);
/// assert_eq!(link.counters().policed, 2 + 10);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Policer {
    /// Bits per second in the long run, IP headers included.
    pub rate: u64,
    /// Bytes that may come at once after a pause; what is larger than that never passes.
    pub burst: u32,
}

/// What is left of the tokens.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Bits and parts of 10^-9 of them that are used up.
    used: u128,
    at: Option<Instant>,
}

impl Bucket {
    /// Whether a packet of `len` bytes passes.
    pub(super) fn passes(&mut self, now: Instant, len: usize, policer: Policer) -> bool {
        let bits = |bytes: u128| bytes.saturating_mul(8 * 1_000_000_000);
        let elapsed = self.at.map_or(0, |at| now.since(at).as_nanos());
        self.at = self.at.max(Some(now));
        self.used = self.used.saturating_sub(elapsed.saturating_mul(u128::from(policer.rate)));
        let used = self.used.saturating_add(bits(len as u128));
        let passes = used <= bits(policer.burst.into());
        if passes {
            self.used = used;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::time::{Span, at};

    #[test]
    fn the_rate_holds_in_the_long_run_and_the_burst_at_any_time() {
        let policer = Policer { rate: 10_000_000, burst: 20_000 };
        let mut bucket = Bucket::default();
        let mut rng = Rng::new(7);
        let mut passed: Vec<(u64, u64)> = Vec::new();
        // Offered is 1,020 bytes each 200 us on average, which is four times as much.
        for us in (0..10_000_000u64).step_by(200) {
            let len = rng.size(40, 2000);
            if bucket.passes(at(us.us()), len, policer) {
                passed.push((us, len as u64));
            }
        }
        let total: u64 = passed.iter().map(|(_, len)| len).sum();
        let fair = 10_000_000 / 8 * 10;
        assert!((fair..=fair + 20_000).contains(&total), "{total} bytes in 10 s");
        for (from, window) in passed.windows(200).map(|window| (window[0].0, window)) {
            let bytes: u64 = window.iter().map(|(_, len)| len).sum();
            let elapsed = window[199].0 - from;
            assert!(bytes <= 20_000 + elapsed * 10 / 8, "{bytes} bytes in {elapsed} us");
        }
    }

    #[test]
    fn clocks_that_step_back_and_packets_that_are_too_large_do_no_harm() {
        let policer = Policer { rate: 1_000_000, burst: 1000 };
        let mut bucket = Bucket::default();
        assert!(!bucket.passes(at(1.secs()), 1001, policer));
        assert!(bucket.passes(at(1.secs()), 1000, policer));
        assert!(!bucket.passes(at(0.secs()), 1, policer));
        assert!(!bucket.passes(at(1.secs()), 1, policer));
        assert!(bucket.passes(at(2.secs()), 1000, policer));
        assert!(bucket.passes(Instant::NEVER, 1000, policer));
        assert!(!bucket.passes(Instant::NEVER, usize::MAX, policer));
    }
}
