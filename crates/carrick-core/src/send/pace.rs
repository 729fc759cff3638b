//! How fast it goes: the window is spread over the round trip rather than sent as a burst (RFC 7661 §4.4.2,
//! RFC 9406 §4.3).
//!
//! What may be sent within the next millisecond may be sent now, for timers are no finer: where a round trip takes no
//! longer nothing waits, and nothing is reckoned. Who comes late may make up for ten segments, or for a millisecond
//! where that is more: so a connection may begin with its initial window at once. Nothing waits before the first round
//! trip is measured, nor do probes and what a timeout sends again.

use super::Sender;
use crate::Instant;
use crate::recovery::Recovery;
use crate::time::nanos;
use core::time::Duration;

/// How much earlier than its turn something may leave.
const SLACK: Duration = Duration::from_millis(1);
/// Segments that may leave together after a pause.
const BURST: u32 = 10;

impl Sender {
    /// Bytes per second; none while nothing waits. The window counts as a segment of `mss` at least, since that may
    /// leave.
    pub(crate) fn pacing_rate(&self, mss: u32) -> Option<u64> {
        if !self.paced {
            return None;
        }
        let controller = self.congestion.get();
        if let Some(rate) = controller.pacing_rate() {
            return Some(rate.max(1));
        }
        let micros = u64::from(self.rtt.srtt_micros());
        if micros <= nanos(SLACK) / 1000 {
            return None;
        }
        let window = controller.window().max(mss);
        let slow_start = controller.threshold().is_none_or(|threshold| window < threshold);
        let tenths: u64 = if slow_start { 20 } else { 12 };
        // Less than 2^53.
        let spread = u64::from(window).saturating_mul(tenths.saturating_mul(100_000));
        let wrong = if fault!(self, PaceWrong) { 1000 } else { 1 };
        Some(spread.checked_div(micros).unwrap_or(0).max(1).saturating_mul(wrong))
    }

    /// How many bytes may leave now as far as the rate is concerned.
    pub(super) fn pace_room(&self, now: Instant, mss: u32) -> u32 {
        let Some(rate) = self.pacing_rate(mss) else { return u32::MAX };
        if self.recovery.as_ref().is_some_and(|recovery| recovery.waits(now)) {
            return 0;
        }
        let turn = self.recovery.as_ref().map_or(Instant::ZERO, |recovery| recovery.pace);
        // As many segments as would leave one by one.
        let until = now + SLACK;
        let wait = until.as_nanos().saturating_sub(no_older(turn, now, mss, rate).as_nanos());
        let segments = wait.checked_div(cost(mss, rate).max(1)).unwrap_or(0).saturating_add(1);
        u32::try_from(segments).unwrap_or(u32::MAX).saturating_mul(mss)
    }

    /// When what is waiting for its turn may leave, if there are turns.
    pub(super) fn pace_deadline(&self, recovery: &Recovery, mss: u32) -> Option<Instant> {
        let turn = Instant::from_nanos(recovery.pace.as_nanos().saturating_sub(nanos(SLACK)));
        self.pacing_rate(mss).map(|_| turn)
    }
}

impl Recovery {
    /// Whether the next packet's turn is too far away for it to leave now.
    pub(super) fn waits(&self, now: Instant) -> bool {
        self.pace > now + SLACK
    }

    /// `len` bytes have left, in segments of `mss`: how long that takes at `rate` bytes per second is how long the next
    /// wait.
    pub(super) fn pay(&mut self, len: u32, mss: u32, now: Instant, rate: Option<u64>) {
        let Some(rate) = rate else { return };
        let segments = len.checked_div(mss).unwrap_or(0);
        let rest = len.checked_rem(mss).unwrap_or(0);
        let time = cost(mss, rate).saturating_mul(segments.into()).saturating_add(cost(rest, rate));
        let turn = no_older(self.pace, now, mss, rate);
        self.pace = Instant::from_nanos(turn.as_nanos().saturating_add(time));
    }
}

/// A turn that is not too old.
fn no_older(turn: Instant, now: Instant, mss: u32, rate: u64) -> Instant {
    if turn >= now {
        return turn;
    }
    let credit = cost(mss.saturating_mul(BURST), rate).max(nanos(SLACK));
    turn.max(Instant::from_nanos(now.as_nanos().saturating_sub(credit)))
}

/// Nanoseconds that `len` bytes take.
fn cost(len: u32, rate: u64) -> u64 {
    // Less than 2^62.
    u64::from(len).saturating_mul(1_000_000_000).checked_div(rate).unwrap_or(0)
}
