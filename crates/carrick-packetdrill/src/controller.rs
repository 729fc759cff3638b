//! Congestion controllers by Linux's names: carrick's, with two things around them that scripts take for granted.

use carrick_core::Instant;
use carrick_core::congestion::{Acked, Controller, Cubic, NewReno, RateSample, Spurious};
use std::hash::Hasher;
use std::time::Duration;

/// A controller that starts anew after a pause, where the namespace asks for it, and in slow start grows by what an
/// acknowledgement delivers rather than by what it covers.
///
/// After a pause of a timeout the window is the initial one, as RFC 5681 §4.1 has it (SHOULD); carrick's own validate
/// theirs by RFC 7661. Linux comes to the same in steps, a half for each timeout that has passed.
#[derive(Clone, Debug)]
struct AsLinux {
    inner: Box<dyn Controller>,
    /// `tcp_slow_start_after_idle`.
    restarts: bool,
    mss: u32,
    initial: u32,
    /// The window since the last pause, while it is smaller than the other's.
    restarted: Option<u32>,
    /// Bytes that the latest acknowledgement has delivered.
    delivered: u32,
}

/// Controllers that there are, by Linux's names.
pub const NAMES: [&str; 2] = [CUBIC, RENO];
/// What a namespace gets that names another.
pub const CUBIC: &str = "cubic";
const RENO: &str = "reno";

/// The controller of this name, one of [`NAMES`].
#[must_use]
pub fn controller(name: &str, restarts: bool) -> Box<dyn Controller> {
    let inner: Box<dyn Controller> =
        if name == RENO { Box::new(NewReno::default()) } else { Box::new(Cubic::default()) };
    Box::new(AsLinux { inner, restarts, mss: 1, initial: 0, restarted: None, delivered: 0 })
}

impl AsLinux {
    /// Where slow start ends that began after a pause (`tcp_current_ssthresh()`).
    fn goal(&self) -> u32 {
        self.inner.threshold().unwrap_or(u32::MAX).max(self.inner.window() / 4 * 3)
    }

    /// The restarted window grows by slow start, then by a segment for each window, until it meets the other's.
    fn grow(&self, window: u32, acked: &Acked) -> Option<u32> {
        let bytes = acked.bytes.min(acked.in_flight);
        let more = match acked.limited {
            false => 0,
            true if window < self.goal() => bytes,
            true => {
                u32::try_from(u64::from(self.mss) * u64::from(bytes) / u64::from(window.max(1))).unwrap_or(0)
            }
        };
        Some(window.saturating_add(more)).filter(|window| *window < self.inner.window())
    }
}

impl Controller for AsLinux {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn window(&self) -> u32 {
        self.restarted.unwrap_or_else(|| self.inner.window())
    }

    fn threshold(&self) -> Option<u32> {
        match self.restarted {
            Some(_) => Some(self.goal()).filter(|goal| *goal < u32::MAX),
            None => self.inner.threshold(),
        }
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.inner.pacing_rate()
    }

    fn on_start(&mut self, mss: u32) {
        let first = self.inner.window() == 0;
        self.inner.on_start(mss);
        self.mss = mss;
        if first {
            self.initial = self.inner.window();
        }
    }

    fn on_handshake_loss(&mut self) {
        self.inner.on_handshake_loss();
    }

    fn on_sample(&mut self, sample: &RateSample) {
        self.delivered = sample.newly_acked;
        self.inner.on_sample(sample);
    }

    fn on_ack(&mut self, acked: Acked) {
        let acked = Acked { bytes: acked.bytes.min(self.delivered), ..acked };
        match self.restarted {
            Some(window) => {
                self.restarted = self.grow(window, &acked);
                self.inner.on_ack(Acked { limited: false, ..acked });
            }
            None => self.inner.on_ack(acked),
        }
    }

    fn on_loss(&mut self, now: Instant, in_flight: u32) {
        self.restarted = None;
        self.inner.on_loss(now, in_flight);
    }

    fn on_recovered(&mut self, now: Instant, in_flight: u32, repaired: u32) {
        self.inner.on_recovered(now, in_flight, repaired);
    }

    fn on_ecn(&mut self, now: Instant, in_flight: u32) {
        self.restarted = self.restarted.map(|window| (window / 2).max(self.mss));
        self.inner.on_ecn(now, in_flight);
    }

    fn on_timeout(&mut self, now: Instant, in_flight: u32, first: bool) {
        self.restarted = None;
        self.inner.on_timeout(now, in_flight, first);
    }

    fn on_spurious(&mut self, spurious: Spurious) {
        self.inner.on_spurious(spurious);
    }

    fn on_restart(&mut self, now: Instant, idle: Duration) {
        self.inner.on_restart(now, idle);
        if self.restarts && self.initial < self.window() {
            self.restarted = Some(self.initial);
        }
    }

    fn digest(&self, state: &mut dyn Hasher) {
        self.inner.digest(state);
        state.write_u32(self.restarted.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(restarts: bool) -> Box<dyn Controller> {
        let mut controller = controller("cubic", restarts);
        controller.on_start(1000);
        ack(&mut *controller, 10_000);
        ack(&mut *controller, 16_000);
        assert_eq!(controller.window(), 36_000);
        controller
    }

    fn ack(controller: &mut dyn Controller, bytes: u32) {
        let in_flight = controller.window();
        controller.on_sample(&RateSample { newly_acked: bytes, ..RateSample::default() });
        controller.on_ack(Acked { bytes, in_flight, limited: true, ..Acked::default() });
    }

    #[test]
    fn a_pause_ends_in_slow_start_where_the_namespace_asks_for_that() {
        for (restarts, window) in [(false, 36_000), (true, 10_000)] {
            let mut controller = grown(restarts);
            controller.on_restart(Instant::ZERO + Duration::from_secs(2), Duration::from_secs(2));
            assert_eq!(controller.window(), window);
        }
    }

    #[test]
    fn after_a_pause_the_window_grows_to_where_it_was() {
        let mut controller = grown(true);
        controller.on_restart(Instant::ZERO + Duration::from_secs(2), Duration::from_secs(2));
        let mut windows = Vec::new();
        for _ in 0..3 {
            let window = controller.window();
            ack(&mut *controller, window);
            windows.push(controller.window());
        }
        // The third acknowledgement is the path's again.
        assert_eq!(windows, [20_000, 36_000, 72_000]);
    }

    #[test]
    fn a_reduction_is_the_others() {
        for lost in [true, false] {
            let mut controller = grown(true);
            controller.on_restart(Instant::ZERO + Duration::from_secs(2), Duration::from_secs(2));
            if lost {
                controller.on_loss(Instant::ZERO, 10_000);
                assert_eq!(controller.window(), 7_000);
            } else {
                controller.on_ecn(Instant::ZERO, 10_000);
                assert_eq!(controller.window(), 5_000);
            }
        }
    }

    #[test]
    fn what_had_been_delivered_before_it_was_acknowledged_does_not_grow_the_window() {
        let mut controller = controller("cubic", false);
        controller.on_start(1000);
        controller.on_sample(&RateSample { newly_acked: 1000, ..RateSample::default() });
        controller.on_ack(Acked { bytes: 3000, in_flight: 10_000, limited: true, ..Acked::default() });
        assert_eq!(controller.window(), 11_000);
    }
}
