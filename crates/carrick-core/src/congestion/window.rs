//! What NewReno and CUBIC have in common: the initial window, slow start, the size of segments, a window that is not
//! used, reductions and taking them back.

use super::curve::share;
use super::validation::Validation;
use super::{Acked, MAX_WINDOW, Spurious};
use crate::Instant;
use core::time::Duration;

/// After a loss among this much the initial window was too large (RFC 6928 §2).
const SMALL: u32 = 4096;
/// Round trips after which nobody says any more that a reduction was needless. A duplicate that was sent in recovery is
/// reported a round trip later.
const ROUNDS: u8 = 3;

#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Window {
    /// Zero until the connection is established.
    pub(super) mss: u32,
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
    validation: Validation,
    /// There was a loss in the initial window.
    cautious: bool,
}

/// What a reduction has replaced, while it may still turn out to be needless.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Saved {
    cwnd: u32,
    ssthresh: u32,
    /// What was in use, where the window was not validated.
    pub(super) used: Option<u32>,
    /// Round trips since.
    rounds: u8,
}

impl Saved {
    /// True while it is worth keeping.
    pub(super) fn on_ack(&mut self, acked: &Acked) -> bool {
        self.rounds = self.rounds.saturating_add(u8::from(acked.round));
        self.rounds < ROUNDS
    }
}

impl Window {
    pub(super) const fn new() -> Self {
        Self { mss: 0, cwnd: 0, ssthresh: MAX_WINDOW, validation: Validation::new(), cautious: false }
    }

    /// Segments are `mss` bytes long from now on. True if it was another size.
    pub(super) fn on_start(&mut self, mss: u32) -> bool {
        let before = core::mem::replace(&mut self.mss, mss.clamp(1, 65_535));
        if before == 0 {
            self.cwnd = self.initial();
            return false;
        }
        // As many segments, so that bursts do not grow (RFC 5681 §3.1). What the path can hold, the threshold, stays.
        if self.mss < before {
            self.cwnd = share(self.cwnd, self.mss, before);
        }
        self.cwnd = self.cwnd.max(self.mss);
        self.mss != before
    }

    /// RFC 6928 §2, or RFC 5681 §3.1 after a loss in the first.
    fn initial(&self) -> u32 {
        let segments = match self.mss {
            _ if !self.cautious => {
                return self.mss.saturating_mul(10).min(self.mss.saturating_mul(2).max(14_600));
            }
            2191.. => 2,
            1096.. => 3,
            _ => 4,
        };
        self.mss.saturating_mul(segments)
    }

    /// RFC 6928 §2.
    pub(super) fn on_handshake_loss(&mut self) {
        self.cwnd = self.mss.max(1);
    }

    pub(super) fn threshold(&self) -> Option<u32> {
        (!self.is_first()).then_some(self.ssthresh)
    }

    /// There is no threshold yet.
    pub(super) fn is_first(&self) -> bool {
        self.ssthresh >= MAX_WINDOW
    }

    /// True if the window has been given up because it was not used.
    pub(super) fn on_ack(&mut self, acked: &Acked) -> bool {
        let due = self.validation.on_ack(acked, self.cwnd);
        due && self.give_up()
    }

    /// The same.
    pub(super) fn on_restart(&mut self, now: Instant, idle: Duration) -> bool {
        let due = self.mss > 0 && self.validation.on_restart(now, idle, self.cwnd);
        due && self.give_up()
    }

    /// RFC 7661 §4.4.3. True if it made a difference.
    fn give_up(&mut self) -> bool {
        let less = (self.cwnd / 2).max(self.initial());
        let lowered = less < self.cwnd;
        if lowered {
            self.ssthresh = self.ssthresh.max(share(self.cwnd, 3, 4));
            self.cwnd = less;
        }
        lowered
    }

    /// Slow start takes what it can of `bytes`, and the rest is for congestion avoidance.
    pub(super) fn slow_start(&mut self, bytes: u32) -> u32 {
        let taken = bytes.min(self.ssthresh.saturating_sub(self.cwnd));
        self.cwnd = self.cwnd.saturating_add(taken);
        bytes.saturating_sub(taken)
    }

    /// A loss leaves `tenths` of what was in flight (RFC 5681 §3.2, RFC 9438 §4.6), at least two segments; where the
    /// window was not in use, half of what was (RFC 7661 §4.4.1), at least one.
    pub(super) fn on_loss(&mut self, in_flight: u32, tenths: u32) -> Saved {
        let used = self.validation.used(self.cwnd, in_flight);
        let saved = self.reduce(self.ssthresh, in_flight, used);
        self.ssthresh = match used {
            Some(used) => (used / 2).max(self.mss),
            None => share(in_flight, tenths, 10).max(self.mss.saturating_mul(2)),
        };
        self.cwnd = self.ssthresh;
        saved
    }

    /// All is repaired that was lost: where the window was not in use, what had to be sent again fitted the path
    /// neither (RFC 7661 §4.4.1).
    pub(super) fn on_recovered(&mut self, used: u32, repaired: u32) {
        self.cwnd = (used.saturating_sub(repaired) / 2).max(self.mss).min(self.cwnd);
        self.ssthresh = self.cwnd;
    }

    /// A mark leaves `tenths` of the window (RFC 3168 §6.1.2), not of what happens to be in flight: a request that was
    /// marked must not cost more than a window of data that was. The window has at least one segment, the threshold
    /// two.
    pub(super) fn on_mark(&mut self, tenths: u32) {
        self.validation.forget();
        self.cwnd = share(self.cwnd, tenths, 10).max(self.mss);
        self.ssthresh = self.cwnd.max(self.mss.saturating_mul(2));
    }

    /// One segment, and a threshold of `tenths` of what was in flight when this text timed out first (RFC 5681 §3.1).
    pub(super) fn on_timeout(&mut self, in_flight: u32, first: bool, tenths: u32) -> Option<Saved> {
        let saved = first.then(|| {
            // RFC 4015 §3.2: pipe_prev.
            let saved = self.reduce(self.ssthresh.max(in_flight).min(MAX_WINDOW), in_flight, None);
            self.ssthresh = share(in_flight, tenths, 10).max(self.mss.saturating_mul(2));
            saved
        });
        self.cwnd = self.mss;
        saved
    }

    fn reduce(&mut self, ssthresh: u32, in_flight: u32, used: Option<u32>) -> Saved {
        // What is lost of the initial window is found before all of it is acknowledged, which would double the window.
        self.cautious |= self.is_first() && in_flight > SMALL && self.cwnd < self.initial().saturating_mul(2);
        self.validation.forget();
        Saved { cwnd: self.cwnd, ssthresh, used, rounds: 0 }
    }

    /// The reduction was needless. After a loss all is as it was (RFC 9438 §4.9.2); after a timeout what is in flight
    /// may be, and slow start goes up to where it was (RFC 4015 §3.2). False if the window is as large by now.
    pub(super) fn undo(&mut self, saved: &Saved, spurious: &Spurious) -> bool {
        let cwnd = if spurious.timeout {
            spurious.in_flight.saturating_add(spurious.acked.min(self.initial())).min(MAX_WINDOW)
        } else {
            saved.cwnd
        };
        let lower = self.cwnd < cwnd;
        if lower {
            self.cwnd = cwnd;
            self.ssthresh = saved.ssthresh;
        }
        lower
    }
}
