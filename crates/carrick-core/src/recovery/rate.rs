//! How fast data is delivered (draft-ietf-ccwg-bbr §4.1): a sample with every acknowledgment, from what was known when
//! the newest of what it delivers was sent.

use super::board::{Delivery, Newest};
use crate::Instant;
use crate::congestion::RateSample;
use core::time::Duration;

/// C of the draft: counts since the connection began, of losses since something was last in flight at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    pub(crate) delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    lost: u64,
    /// What is sent until so much has been delivered is limited by the application; 0, if it is not.
    app_limited: u64,
}

/// P of the draft: what was known when a segment was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(super) delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    lost: u64,
    in_flight: u32,
    app_limited: bool,
}

/// So much was delivered in so many nanoseconds; no time where it is not plausible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate<'d> {
    newest: &'d Newest,
    delivered: u64,
    interval: u64,
}

/// What a rate was measured from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeliveryRate {
    bytes: u32,
    /// Twice the time in microseconds, and one more if the application was the limit.
    time: u32,
}

impl DeliveryRate {
    /// Takes a newer one, unless it is less because the application was slower.
    pub(crate) fn update(&mut self, rate: &Rate<'_>) {
        let Ok(twice) = u32::try_from((rate.interval / 1000).saturating_mul(2)) else { return };
        let app_limited = rate.newest.snapshot.app_limited;
        let new = Self {
            bytes: u32::try_from(rate.delivered).unwrap_or(u32::MAX),
            time: twice | u32::from(app_limited),
        };
        let less = u64::from(new.bytes).saturating_mul(self.micros().into())
            < u64::from(self.bytes).saturating_mul(new.micros().into());
        if new.micros() > 0 && !(app_limited && less) {
            *self = new;
        }
    }

    /// Bytes per second.
    pub(crate) fn per_second(&self) -> Option<u64> {
        u64::from(self.bytes).saturating_mul(1_000_000).checked_div(self.micros().into())
    }

    /// Whether it is the application's rather than the path's.
    pub(crate) const fn is_app_limited(&self) -> bool {
        self.time & 1 == 1
    }

    const fn micros(&self) -> u32 {
        self.time >> 1
    }
}

impl Meter {
    /// After `delivered` bytes, with nothing in flight: what comes next the application has kept us waiting for.
    pub(crate) fn new(delivered: u64, now: Instant) -> Self {
        Self { delivered, delivered_at: now, first_sent: now, lost: 0, app_limited: delivered.max(1) }
    }

    /// Something is sent with nothing in flight.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.delivered_at, self.first_sent) = (now, now);
    }

    /// What is sent now, which makes `in_flight` bytes.
    pub(super) fn snapshot(&self, in_flight: u32) -> Snapshot {
        let Self { delivered, delivered_at, first_sent, lost, app_limited } = *self;
        Snapshot { delivered, delivered_at, first_sent, lost, in_flight, app_limited: app_limited > 0 }
    }

    pub(super) fn on_delivered(&mut self, len: u32, now: Instant) {
        self.delivered = self.delivered.saturating_add(len.into());
        self.delivered_at = now;
    }

    pub(super) fn on_lost(&mut self, len: u32) {
        self.lost = self.lost.saturating_add(len.into());
    }

    /// The application has nothing more to send, with `in_flight` bytes under way.
    pub(crate) fn on_app_limited(&mut self, in_flight: u32) {
        self.app_limited = self.delivered.saturating_add(in_flight.into()).max(1);
    }

    /// How fast what an acknowledgment has delivered was; nothing if it has delivered nothing. No round trip was
    /// shorter than `min_rtt` nanoseconds.
    pub(crate) fn measure<'d>(
        &mut self,
        delivery: &'d Delivery,
        now: Instant,
        min_rtt: u64,
    ) -> Option<Rate<'d>> {
        if self.delivered > self.app_limited {
            self.app_limited = 0;
        }
        let newest = delivery.newest.as_ref()?;
        let Snapshot { delivered, delivered_at, first_sent, .. } = newest.snapshot;
        let interval = newest.at.nanos_since(first_sent).max(now.nanos_since(delivered_at));
        self.first_sent = newest.at;
        // A repetition whose first copy has arrived just now.
        let interval = if interval >= min_rtt { interval } else { 0 };
        Some(Rate { newest, delivered: self.delivered.saturating_sub(delivered), interval })
    }

    /// The same in full; `newly_lost` bytes are newly lost, `in_flight` are under way after it.
    pub(crate) fn sample(
        &self,
        rate: &Rate<'_>,
        delivery: &Delivery,
        now: Instant,
        newly_lost: u32,
        in_flight: u32,
    ) -> RateSample {
        let Newest { at, again, snapshot, .. } = rate.newest;
        RateSample {
            now,
            newly_acked: delivery.bytes,
            newly_lost,
            in_flight,
            total_delivered: self.delivered,
            prior_delivered: snapshot.delivered,
            delivered: rate.delivered,
            lost: self.lost.saturating_sub(snapshot.lost),
            tx_in_flight: snapshot.in_flight,
            interval: Duration::from_nanos(rate.interval),
            rtt: (!again).then(|| now.since(*at)),
            app_limited: snapshot.app_limited,
        }
    }
}
