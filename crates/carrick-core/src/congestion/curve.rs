//! CUBIC's function of time (RFC 9438 §4.1 to §4.4): where the window is to be, so long after the last reduction.
//!
//! ```text
//!  W_max ┤          ·····───·····        W(t) = C (t - K)^3 + W_max
//!        │      ·                 ·
//!        │   ·                      ·    concave up to K, then convex
//!  epoch ┤ ·
//!        └─┬───────────────┬──────────── t
//!          0               K
//! ```
//!
//! Integers only: bytes, and 2^-20 s for time, so that the same comes out everywhere. Fractions of a byte add up.

use crate::Instant;
use core::time::Duration;

use super::MAX_WINDOW;

/// Binary places of a second.
const PLACES: u32 = 20;
/// Beyond this long every curve is above every window. It keeps products within 64 bits.
const LATEST: u64 = 1 << 43;
/// So far from K, in 2^-20 s, the same is true. It keeps a square within 64 bits.
const FAR: u64 = (1 << 32) - 1;

#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Curve {
    time: Time,
    /// K, in 2^-20 s.
    k: u32,
    w_max: u32,
    /// cwnd_prior: the window when congestion was met.
    prior: u32,
    w_est: u32,
    /// What has not made a byte of W_est yet, in parts of the window, and of the window itself.
    est_rest: u64,
    rest: u64,
}

/// How long this stage of congestion avoidance has lasted, without the time when the window was not the limit.
#[derive(Clone, Copy, Debug, Hash)]
enum Time {
    /// It has not begun.
    None,
    /// It counts from here.
    Since(Instant),
    /// It stands still at so many nanoseconds.
    At(u64),
}

impl Curve {
    /// The next stage begins on its plateau, wherever the window is then (RFC 9438 §4.8, §4.10): where congestion was
    /// met before says nothing any more.
    pub(super) const fn flat() -> Self {
        Self { time: Time::None, k: 0, w_max: 0, prior: 0, w_est: 0, est_rest: 0, rest: 0 }
    }

    /// Congestion was met at a window of `cwnd`. Who had less than the last time leaves room for others (fast
    /// convergence, RFC 9438 §4.7): 0.85 of it.
    pub(super) fn on_congestion(&mut self, cwnd: u32) {
        self.w_max = if cwnd < self.w_max { share(cwnd, 17, 20) } else { cwnd };
        self.prior = cwnd;
        self.end_stage();
    }

    /// The next acknowledgement in congestion avoidance begins a new stage.
    pub(super) fn end_stage(&mut self) {
        self.time = Time::None;
    }

    /// The window is not the limit: time stands still (RFC 9438 §4.2).
    pub(super) fn hold(&mut self, now: Instant) {
        if let Time::Since(start) = self.time {
            self.time = Time::At(now.as_nanos().saturating_sub(start.as_nanos()));
        }
    }

    /// The last `idle` does not count.
    pub(super) fn skip(&mut self, idle: Duration) {
        if let Time::Since(start) = &mut self.time {
            *start += idle;
        }
    }

    /// The window after `bytes` were acknowledged with a window of `cwnd`: no less.
    pub(super) fn grow(&mut self, bytes: u32, cwnd: u32, mss: u32, now: Instant, srtt: Duration) -> u32 {
        let t = self.elapsed(now, cwnd, mss);
        let (window, bytes) = (u64::from(cwnd.max(1)), u64::from(bytes));
        // RFC 9438 §4.3: alpha is 3 (1 - beta) / (1 + beta) = 9/17, and 1 from cwnd_prior on.
        let alpha = if self.w_est < self.prior { 9 } else { 17 };
        let parts = bytes.saturating_mul(mss.into()).saturating_mul(alpha);
        let est = divide(parts, window.saturating_mul(17), &mut self.est_rest);
        self.w_est = clip(est.saturating_add(self.w_est.into()));
        if self.at(t, mss) < self.w_est {
            return self.w_est.max(cwnd);
        }
        let later = t.saturating_add(ticks(crate::time::nanos(srtt)));
        let most = clip(window.saturating_mul(3) / 2);
        let target = self.at(later, mss).min(most).max(cwnd);
        let parts = bytes.saturating_mul(target.saturating_sub(cwnd).into());
        clip(window.saturating_add(divide(parts, window, &mut self.rest))).min(target)
    }

    /// t at `now`; a stage begins here if none has.
    fn elapsed(&mut self, now: Instant, cwnd: u32, mss: u32) -> u64 {
        let nanos = match self.time {
            Time::Since(start) => now.as_nanos().saturating_sub(start.as_nanos()),
            Time::At(nanos) => {
                self.time = Time::Since(Instant::from_nanos(now.as_nanos().saturating_sub(nanos)));
                nanos
            }
            Time::None => {
                self.w_max = self.w_max.max(cwnd);
                self.k = inflection(self.w_max.saturating_sub(cwnd), mss);
                (self.w_est, self.est_rest, self.rest) = (cwnd, 0, 0);
                self.time = Time::Since(now);
                0
            }
        };
        ticks(nanos)
    }

    /// W(t) in bytes.
    fn at(&self, t: u64, mss: u32) -> u32 {
        let far = cubed(t.abs_diff(self.k.into()), mss);
        let w_max = u64::from(self.w_max);
        clip(if t < self.k.into() { w_max.saturating_sub(far) } else { w_max.saturating_add(far) })
    }
}

/// What whole numbers `parts` makes with what was left over before.
fn divide(parts: u64, of: u64, rest: &mut u64) -> u64 {
    let parts = parts.saturating_add(*rest);
    *rest = parts.checked_rem(of).unwrap_or(0);
    parts.checked_div(of).unwrap_or(0)
}

/// Nanoseconds in units of 2^-20 s.
fn ticks(nanos: u64) -> u64 {
    (nanos.min(LATEST) << PLACES) / 1_000_000_000
}

/// C d^3 in bytes, C being 0.4 segments per cubic second.
fn cubed(d: u64, mss: u32) -> u64 {
    let d = d.min(FAR);
    let product = u128::from(d.saturating_mul(d)).saturating_mul(d.saturating_mul(mss.into()).into());
    u64::try_from(product >> (3 * PLACES - 1)).unwrap_or(u64::MAX) / 5
}

/// K, where C K^3 is `bytes`.
fn inflection(bytes: u32, mss: u32) -> u32 {
    let cube = (u128::from(bytes).saturating_mul(5) << (3 * PLACES - 1)).checked_div(mss.into()).unwrap_or(0);
    cube_root(cube)
}

/// The largest number whose cube is no larger.
fn cube_root(cube: u128) -> u32 {
    (0..32).rev().fold(0u32, |root, bit| {
        let more = root | 1 << bit;
        let long = u128::from(more);
        if long.saturating_mul(long).saturating_mul(long) <= cube { more } else { root }
    })
}

/// `bytes` times `part` / `of`.
pub(super) fn share(bytes: u32, part: u32, of: u32) -> u32 {
    clip(u64::from(bytes).saturating_mul(part.into()).checked_div(of.into()).unwrap_or(0))
}

/// A number of bytes, no larger than any window.
fn clip(bytes: u64) -> u32 {
    u32::try_from(bytes).map_or(MAX_WINDOW, |bytes| bytes.min(MAX_WINDOW))
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrick_covers::covers;

    #[test]
    fn the_cube_root_is_the_largest_whole_number() {
        let cube = |n: u128| n * n * n;
        for root in [0, 1, 2, 3, 1000, 1 << 20, 123_456_789, (1 << 31) - 1, 1 << 31, u32::MAX - 1] {
            assert_eq!(cube_root(cube(root.into())), root);
            assert_eq!(cube_root(cube(u128::from(root) + 1) - 1), root);
        }
        assert_eq!(cube_root(u128::MAX), u32::MAX);
    }

    #[test]
    fn cubic_2_the_function_is_within_a_segment_of_the_formula() {
        for mss in [1u32, 536, 1448, 65_495] {
            for w_max in [3u32, 10, 100, 5_000, 100_000, 700_000].map(f64::from) {
                let bytes = w_max * f64::from(mss);
                if bytes > f64::from(MAX_WINDOW) {
                    continue;
                }
                let mut curve = Curve::flat();
                curve.on_congestion(bytes as u32);
                let epoch = share(bytes as u32, 7, 10);
                curve.grow(0, epoch, mss, Instant::ZERO, Duration::ZERO);
                let k = ((w_max - f64::from(epoch) / f64::from(mss)) / 0.4).cbrt();
                for part in 0..=400 {
                    let t = k * f64::from(part) / 200.0;
                    let exact = (0.4 * (t - k).powi(3) + w_max) * f64::from(mss);
                    let ours = f64::from(curve.at(ticks((t * 1e9) as u64), mss));
                    let off = (ours - exact.min(f64::from(MAX_WINDOW))).abs();
                    assert!(off <= f64::from(mss).max(2.0), "{w_max} of {mss} at {t}: {ours}, {exact}");
                }
            }
        }
        covers!("CUBIC-2");
    }

    #[test]
    fn t_ccx_8_far_away_every_curve_is_above_every_window() {
        for mss in [1, 65_535] {
            let mut curve = Curve::flat();
            curve.on_congestion(MAX_WINDOW);
            curve.grow(0, 131_070, mss, Instant::ZERO, Duration::MAX);
            for nanos in [0, 1, LATEST - 1, LATEST, u64::MAX] {
                let now = Instant::from_nanos(nanos);
                let grown = curve.clone().grow(131_070, 131_070, mss, now, Duration::MAX);
                assert!((131_070..=196_605).contains(&grown));
            }
            assert_eq!(curve.at(ticks(u64::MAX), mss), MAX_WINDOW);
        }
    }
}
