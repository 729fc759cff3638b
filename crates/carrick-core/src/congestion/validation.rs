//! Congestion window validation (RFC 7661): how much of the window has been in use.
//!
//! pipeACK is the most that a round trip has acknowledged lately. While it reaches half of the window, or is not known
//! yet, the window is *validated*. A window that is not has been seen to fit the path once and is kept, but a loss is
//! answered by what was in use, and after five minutes it is given up by halves. That such a window does not grow needs
//! nothing here: no window does that keeps nothing back ([`Acked::limited`]).

use super::Acked;
use crate::Instant;
use core::time::Duration;

/// No value yet.
const UNKNOWN: u32 = u32::MAX;
/// The shortest sampling period (RFC 7661 §4.2).
const SAMPLING: Duration = Duration::from_secs(1);
/// The non-validated period (RFC 7661 §4.4.3).
const PATIENCE: Duration = Duration::from_secs(300);

/// What has been in use. Moments are in units of 2^20 ns, modulo 2^32 (52 days).
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Validation {
    /// Acknowledged in this round trip, if that is counted.
    round: u32,
    /// The most in this half of the sampling period, and in the one before.
    pipe: [u32; 2],
    /// When this half began.
    half_at: u32,
    /// When the window was last validated.
    valid_at: u32,
}

impl Validation {
    pub(super) const fn new() -> Self {
        Self { round: UNKNOWN, pipe: [UNKNOWN, 0], half_at: 0, valid_at: 0 }
    }

    /// pipeACK, or the greatest number there is.
    fn pipe(&self) -> u32 {
        let [now, before] = self.pipe;
        now.max(before)
    }

    fn is_valid(&self, cwnd: u32) -> bool {
        self.pipe() >= cwnd / 2
    }

    /// What has been in use, if that is less than half of the window; `in_flight` was, when a loss was found.
    pub(super) fn used(&self, cwnd: u32, in_flight: u32) -> Option<u32> {
        (!self.is_valid(cwnd)).then(|| self.pipe().max(in_flight))
    }

    /// Congestion was met: what was measured before says nothing any more.
    pub(super) fn forget(&mut self) {
        self.pipe = [UNKNOWN, 0];
        self.round = UNKNOWN;
    }

    /// True if the window has been kept for too long without being used.
    pub(super) fn on_ack(&mut self, acked: &Acked, cwnd: u32) -> bool {
        let counted = self.round != UNKNOWN;
        if counted {
            self.round = self.round.saturating_add(acked.bytes).min(UNKNOWN - 1);
        }
        if !acked.round {
            return false;
        }
        let now = units(acked.now);
        if counted {
            // Where the window was the limit all of it was used. By what is acknowledged slow start would always lag
            // behind.
            let least = if acked.limited { cwnd } else { 0 };
            self.sample(self.round.max(least), now, acked.srtt.unwrap_or_default());
        }
        self.round = 0;
        self.is_due(now, cwnd)
    }

    fn sample(&mut self, bytes: u32, now: u32, srtt: Duration) {
        let half = length(srtt.saturating_mul(3).max(SAMPLING)) / 2;
        let age = now.wrapping_sub(self.half_at);
        let [most, _] = self.pipe;
        if most != UNKNOWN && age < half {
            self.pipe = [most.max(bytes), self.pipe[1]];
            return;
        }
        let before = if most == UNKNOWN || age / 2 >= half { 0 } else { most };
        self.pipe = [bytes, before];
        self.half_at = now;
    }

    /// Nothing was in flight for `idle`. True if the window has been kept for too long.
    pub(super) fn on_restart(&mut self, now: Instant, idle: Duration, cwnd: u32) -> bool {
        let now = units(now);
        if self.is_valid(cwnd) {
            self.valid_at = now.wrapping_sub(length(idle));
        }
        if idle >= SAMPLING && self.pipe() != UNKNOWN {
            self.pipe = [0, 0];
            self.round = UNKNOWN;
        }
        if idle < PATIENCE {
            return self.is_due_since(now);
        }
        self.valid_at = now;
        true
    }

    fn is_due(&mut self, now: u32, cwnd: u32) -> bool {
        if self.is_valid(cwnd) {
            self.valid_at = now;
        }
        self.is_due_since(now)
    }

    fn is_due_since(&mut self, now: u32) -> bool {
        let due = now.wrapping_sub(self.valid_at) >= length(PATIENCE);
        if due {
            self.valid_at = now;
        }
        due
    }
}

fn units(at: Instant) -> u32 {
    length(Duration::from_nanos(at.as_nanos()))
}

#[allow(clippy::cast_possible_truncation, reason = "moments are counted modulo 2^32")]
fn length(duration: Duration) -> u32 {
    (duration.as_nanos() >> 20) as u32
}
