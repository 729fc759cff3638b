//! Slow start and congestion avoidance (RFC 5681 §3.1) with byte counting and an initial window of ten
//! segments (RFC 6928); half of it after a loss (RFC 5681 §3.2) or a mark (RFC 3168 §6.1.2), and no burst after
//! recovery (RFC 6582 §3.2).

use super::{Acked, Controller};
use crate::Instant;
use alloc::boxed::Box;
use core::hash::Hasher;

/// The window never exceeds what a connection can have outstanding.
const MAX_WINDOW: u32 = 1 << 30;

/// The textbook controller: the window doubles per round trip up to a threshold, then grows by a segment.
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
#[derive(Clone, Debug, Default)]
pub struct NewReno {
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged in congestion avoidance that have not grown the window yet.
    acked: u32,
}

impl Controller for NewReno {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn window(&self) -> u32 {
        self.cwnd
    }

    fn threshold(&self) -> Option<u32> {
        (self.mss > 0 && self.ssthresh < MAX_WINDOW).then_some(self.ssthresh)
    }

    fn on_start(&mut self, mss: u32) {
        if self.mss == 0 {
            self.ssthresh = MAX_WINDOW;
            // RFC 6928 §2: min(10*MSS, max(2*MSS, 14600)).
            self.cwnd = mss.saturating_mul(10).min(mss.saturating_mul(2).max(14_600));
        }
        self.mss = mss.max(1);
        self.cwnd = self.cwnd.max(self.mss);
    }

    fn on_ack(&mut self, acked: Acked) {
        // A window that was not used says nothing about the path (RFC 7661 §4.3).
        if self.mss == 0 || acked.in_flight.saturating_mul(2) < self.cwnd {
            return;
        }
        // What was not in flight any more says nothing either: one ACK that fills a hole after a timeout may cover
        // hundreds of segments that the path carried long ago.
        let bytes = acked.bytes.min(acked.in_flight);
        let slow_start = bytes.min(self.ssthresh.saturating_sub(self.cwnd));
        self.cwnd = self.cwnd.saturating_add(slow_start).min(MAX_WINDOW);
        self.acked = self.acked.saturating_add(bytes.saturating_sub(slow_start));
        // One ACK may stand for several windows. Each turn takes one off, and a window is at least a segment.
        while self.acked >= self.cwnd {
            self.acked = self.acked.saturating_sub(self.cwnd);
            self.cwnd = self.cwnd.saturating_add(self.mss).min(MAX_WINDOW);
        }
    }

    fn on_loss(&mut self, _now: Instant, in_flight: u32) {
        self.ssthresh = (in_flight / 2).max(self.mss.saturating_mul(2));
        self.cwnd = self.ssthresh;
        self.acked = 0;
    }

    fn on_recovered(&mut self, _now: Instant, in_flight: u32, _repaired: u32) {
        self.cwnd = self.ssthresh.min(in_flight.max(self.mss).saturating_add(self.mss));
    }

    fn on_ecn(&mut self, _now: Instant, _in_flight: u32) {
        // The congestion window is halved (RFC 3168 §6.1.2), not what happens to be in flight: a request that was
        // marked must not cost more than a window of data that was. It is bounded by one segment, the threshold by two.
        self.cwnd = (self.cwnd / 2).max(self.mss);
        self.ssthresh = self.cwnd.max(self.mss.saturating_mul(2));
        self.acked = 0;
    }

    fn on_timeout(&mut self, _now: Instant, in_flight: u32, first: bool) {
        if first {
            self.ssthresh = (in_flight / 2).max(self.mss.saturating_mul(2));
        }
        self.cwnd = self.mss;
        self.acked = 0;
    }

    fn digest(&self, state: &mut dyn Hasher) {
        let Self { mss, cwnd, ssthresh, acked } = self;
        for field in [mss, cwnd, ssthresh, acked] {
            state.write_u32(*field);
        }
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
        assert_eq!((reno.window(), reno.ssthresh), (1000, 10_000));
        reno.on_timeout(Instant::ZERO, 1000, false);
        assert_eq!(reno.ssthresh, 10_000);
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
        reno.on_ack(ack(1000, 4000));
        assert_eq!(reno.window(), 10_000);
    }

    #[test]
    fn fr_3_and_9_half_after_a_loss_and_no_burst_after_recovery() {
        for (in_flight, window) in [(0, 2000), (3000, 4000), (4500, 5000), (20_000, 5000)] {
            let mut reno = NewReno::default();
            reno.on_start(1000);
            reno.on_loss(Instant::ZERO, 10_000);
            assert_eq!((reno.window(), reno.ssthresh), (5000, 5000));
            reno.on_recovered(Instant::ZERO, in_flight, 0);
            assert_eq!((reno.window(), reno.ssthresh), (window, 5000));
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
            (reno.window(), reno.ssthresh)
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
