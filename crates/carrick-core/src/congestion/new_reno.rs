//! Slow start and congestion avoidance (RFC 5681 §3.1) with byte counting and an initial window of ten
//! segments (RFC 6928); half of it after a loss (RFC 5681 §3.2) or a mark (RFC 3168 §6.1.2), and no burst after
//! recovery (RFC 6582 §3.2). A window that is not used is validated (RFC 7661).

use super::window::{Saved, Window};
use super::{Acked, Controller, MAX_WINDOW, Spurious};
use crate::Instant;
use alloc::boxed::Box;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// What congestion leaves of the window, in tenths.
const HALF: u32 = 5;

/// The textbook controller: the window doubles per round trip up to a threshold, then grows by a segment (RFC 5681). A
/// window that is not used is kept for five minutes (RFC 7661), and a needless reduction is taken back.
///
/// # Examples
/// ```
/// use carrick_core::Instant;
/// use carrick_core::congestion::{Controller, NewReno};
///
/// let mut reno = NewReno::default();
/// reno.on_start(1_460);
/// assert_eq!(reno.window(), 14_600); // ten segments
///
/// reno.on_loss(Instant::ZERO, 14_600);
/// assert_eq!(reno.window(), 7_300);
/// ```
#[derive(Clone, Debug)]
pub struct NewReno {
    window: Window,
    /// Bytes acknowledged in congestion avoidance that have not grown the window yet.
    acked: u32,
    /// What the last reduction replaced.
    saved: Option<Box<Saved>>,
}

impl Default for NewReno {
    fn default() -> Self {
        Self { window: Window::new(), acked: 0, saved: None }
    }
}

impl Controller for NewReno {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn window(&self) -> u32 {
        self.window.cwnd
    }

    fn threshold(&self) -> Option<u32> {
        self.window.threshold()
    }

    fn on_start(&mut self, mss: u32) {
        if self.window.on_start(mss) {
            self.saved = None;
            self.acked = 0;
        }
    }

    fn on_handshake_loss(&mut self) {
        self.window.on_handshake_loss();
    }

    fn on_ack(&mut self, acked: Acked) {
        if self.window.mss == 0 {
            return;
        }
        if self.window.on_ack(&acked) {
            self.acked = 0;
        }
        self.saved.take_if(|saved| !saved.on_ack(&acked));
        if !acked.limited {
            return;
        }
        // What was not in flight any more says nothing: one ACK that fills a hole after a timeout may cover hundreds of
        // segments that the path carried long ago.
        let rest = self.window.slow_start(acked.bytes.min(acked.in_flight));
        self.acked = self.acked.saturating_add(rest);
        let Window { mss, cwnd, .. } = &mut self.window;
        // One ACK may stand for several windows. Each turn takes one off, and a window is at least a segment.
        while self.acked >= *cwnd {
            self.acked = self.acked.saturating_sub(*cwnd);
            *cwnd = cwnd.saturating_add(*mss).min(MAX_WINDOW);
        }
    }

    fn on_loss(&mut self, _now: Instant, in_flight: u32) {
        self.saved = Some(Box::new(self.window.on_loss(in_flight, HALF)));
        self.acked = 0;
    }

    fn on_recovered(&mut self, _now: Instant, in_flight: u32, repaired: u32) {
        if let Some(used) = self.saved.as_ref().and_then(|saved| saved.used) {
            self.window.on_recovered(used, repaired);
        }
        let Window { mss, cwnd, .. } = &mut self.window;
        *cwnd = (*cwnd).min(in_flight.max(*mss).saturating_add(*mss));
        self.acked = 0;
    }

    fn on_ecn(&mut self, _now: Instant, _in_flight: u32) {
        self.window.on_mark(HALF);
        self.saved = None;
        self.acked = 0;
    }

    fn on_timeout(&mut self, _now: Instant, in_flight: u32, first: bool) {
        if let Some(saved) = self.window.on_timeout(in_flight, first, HALF) {
            self.saved = Some(Box::new(saved));
        }
        self.acked = 0;
    }

    fn on_spurious(&mut self, spurious: Spurious) {
        if let Some(saved) = self.saved.take() {
            self.window.undo(&saved, &spurious);
        }
    }

    fn on_restart(&mut self, now: Instant, idle: Duration) {
        if self.window.on_restart(now, idle) {
            self.acked = 0;
        }
    }

    fn digest(&self, mut state: &mut dyn Hasher) {
        let Self { window, acked, saved } = self;
        (window, acked, saved).hash(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(bytes: u32, in_flight: u32) -> Acked {
        Acked { bytes, in_flight, limited: true, ..Acked::default() }
    }

    #[test]
    fn must_19_doubles_per_round_trip_then_grows_by_a_segment() {
        let mut reno = NewReno::default();
        reno.on_start(1000);
        assert_eq!(reno.window(), 10_000);
        reno.on_ack(ack(10_000, 10_000));
        assert_eq!(reno.window(), 20_000);
        reno.on_timeout(Instant::ZERO, 20_000, true);
        assert_eq!((reno.window(), reno.window.ssthresh), (1000, 10_000));
        reno.on_timeout(Instant::ZERO, 1000, false);
        assert_eq!(reno.window.ssthresh, 10_000);
        while reno.window() < 10_000 {
            reno.on_ack(ack(reno.window(), reno.window()));
        }
        let before = reno.window();
        reno.on_ack(ack(before, before));
        assert_eq!(reno.window(), before + 1000);
    }

    #[test]
    fn t_ccx_1_divided_acks_gain_nothing() {
        let (mut one, mut many) = (NewReno::default(), NewReno::default());
        one.on_start(1460);
        many.on_start(1460);
        one.on_ack(ack(1460, 14_600));
        for _ in 0..1460 {
            many.on_ack(ack(1, 14_600));
        }
        assert_eq!(one.window(), many.window());
    }

    /// Seen: slow start took all that one ACK acknowledged, 64 KiB for a super-segment, past the threshold.
    #[test]
    fn slow_start_ends_at_the_threshold_whatever_one_ack_acknowledges() {
        let (mut one, mut many) = (NewReno::default(), NewReno::default());
        for reno in [&mut one, &mut many] {
            reno.on_start(1000);
            reno.on_timeout(Instant::ZERO, 20_000, true);
            reno.on_ack(ack(8000, 8000));
        }
        one.on_ack(ack(45_000, 45_000));
        for _ in 0..45 {
            many.on_ack(ack(1000, 45_000));
        }
        assert_eq!((one.window(), many.window()), (13_000, 13_000));
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut reno = NewReno::default();
        reno.on_start(1000);
        reno.on_ack(Acked { limited: false, ..ack(1000, 4000) });
        assert_eq!(reno.window(), 10_000);
    }

    #[test]
    fn fr_3_and_9_half_after_a_loss_and_no_burst_after_recovery() {
        for (in_flight, window) in [(0, 2000), (3000, 4000), (4500, 5000), (20_000, 5000)] {
            let mut reno = NewReno::default();
            reno.on_start(1000);
            reno.on_loss(Instant::ZERO, 10_000);
            assert_eq!((reno.window(), reno.window.ssthresh), (5000, 5000));
            reno.on_recovered(Instant::ZERO, in_flight, 0);
            assert_eq!((reno.window(), reno.window.ssthresh), (window, 5000));
        }
        let mut reno = NewReno::default();
        reno.on_start(1000);
        reno.on_loss(Instant::ZERO, 3000);
        assert_eq!(reno.window(), 2000, "never less than two segments");
    }

    #[test]
    fn ecn_8_half_after_a_mark_and_never_less_than_a_segment() {
        let mut reno = NewReno::default();
        reno.on_start(1000);
        let seen = [(); 5].map(|()| {
            reno.on_ecn(Instant::ZERO, 100);
            (reno.window(), reno.window.ssthresh)
        });
        assert_eq!(seen, [(5000, 5000), (2500, 2500), (1250, 2000), (1000, 2000), (1000, 2000)]);
    }

    /// RFC 3465 §2.3: after a timeout an ACK may cover what arrived long before.
    #[test]
    fn an_ack_grows_the_window_by_no_more_than_was_in_flight() {
        let mut reno = NewReno::default();
        reno.on_start(1000);
        reno.on_timeout(Instant::ZERO, 100_000, true);
        reno.on_ack(ack(100_000, 1000));
        assert_eq!(reno.window(), 2000);
    }
}
