//! Round-trip time and retransmission timeout (RFC 6298).
//!
//! Samples are the caller's business, Karn's rule included (§3): it hands over only what can be trusted.
//! The timeout is the smoothed round trip and at least the configured floor on top of it, up to the ceiling, and stays
//! backed off until a new sample comes (§5). With timestamps there are many samples in a round trip, and each weighs
//! less (RFC 7323 §4.2).

use crate::Instant;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// Clock granularity G (RFC 6298 §2) of a driver whose timers tick in milliseconds: what the floor is at least.
const GRANULARITY: Duration = Duration::from_millis(1);
/// The timeout before the first sample (§2.1).
const INITIAL_RTO: Duration = Duration::from_secs(1);
/// The timeout for data when a SYN had to be sent again (§5.7).
const RTO_AFTER_SYN_LOSS: Duration = Duration::from_secs(3);
/// The least that the ceiling may be (§2.5).
const LEAST_CEILING: Duration = Duration::from_secs(60);
/// For so long the least round trip is believed, in seconds: five minutes, as in Linux.
const LEAST_HOLDS: u16 = 300;
/// After so many timeouts in a row the next sample is the first of another path (§5).
const FORGET_AFTER: u8 = 4;

/// All times in microseconds: up to 71 minutes, and small, since every connection has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    /// SRTT and RTTVAR; SRTT is 0 until there has been a sample.
    srtt: u32,
    rttvar: u32,
    rto: u32,
    /// What the variance term is at least: where G is (§2.3), so that the timeout leaves the peer time to answer on a
    /// path of any length.
    min_rto: u32,
    max_rto: u32,
    /// The least sample of the last minutes (RFC 8985 §6.2), and when it was taken, in seconds modulo 2^16.
    least: u32,
    least_at: u16,
    /// How often the timeout has been doubled since the last sample or progress.
    backoff: u8,
    /// A timeout was none: what was known before it counts as much as the next sample (RFC 4015 §3.1).
    doubted: bool,
}

impl Hash for Rtt {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { srtt, rttvar, rto, min_rto, max_rto, least, least_at: _, backoff, doubted } = *self;
        (srtt, rttvar, rto, min_rto, max_rto, least, backoff, doubted).hash(state);
    }
}

fn micros(duration: Duration) -> u32 {
    let micros = duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into());
    u32::try_from(micros).unwrap_or(u32::MAX)
}

const fn duration(micros: u32) -> Duration {
    Duration::from_micros(micros as u64)
}

impl Rtt {
    pub(crate) fn new(min_rto: Duration, max_rto: Duration) -> Self {
        let max_rto = micros(max_rto).max(micros(LEAST_CEILING));
        let min_rto = micros(min_rto).clamp(micros(GRANULARITY), max_rto);
        Self {
            srtt: 0,
            rttvar: 0,
            rto: micros(INITIAL_RTO),
            min_rto,
            max_rto,
            least: u32::MAX,
            least_at: 0,
            backoff: 0,
            doubted: false,
        }
    }

    /// SRTT, once known.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        (self.srtt > 0).then(|| duration(self.srtt))
    }

    /// SRTT in microseconds; 0 until it is known.
    pub(crate) const fn srtt_micros(&self) -> u32 {
        self.srtt
    }

    /// RTTVAR, once known.
    pub(crate) fn rttvar(&self) -> Option<Duration> {
        (self.srtt > 0).then(|| duration(self.rttvar))
    }

    /// The least round trip that was measured, once there has been one.
    pub(crate) fn least(&self) -> Option<Duration> {
        (self.srtt > 0).then(|| duration(self.least))
    }

    /// The same in nanoseconds; 0 until there has been one.
    pub(crate) fn least_nanos(&self) -> u64 {
        if self.srtt > 0 { u64::from(self.least).saturating_mul(1000) } else { 0 }
    }

    /// How often the timeout has been doubled since the last sample.
    pub(crate) const fn backoff(&self) -> u8 {
        self.backoff
    }

    /// Before the first sample the floor is for the timeout itself.
    fn backed_off(&self) -> u32 {
        let factor = 1u32.checked_shl(u32::from(self.backoff)).unwrap_or(u32::MAX);
        self.rto.max(self.min_rto).saturating_mul(factor).min(self.max_rto)
    }

    /// The current timeout, backed off.
    pub(crate) fn rto(&self) -> Duration {
        duration(self.backed_off())
    }

    /// When the current timeout ends that begins at `now`.
    pub(crate) fn rto_at(&self, now: Instant) -> Instant {
        let nanos = u64::from(self.backed_off()).saturating_mul(1000);
        Instant::from_nanos(now.as_nanos().saturating_add(nanos))
    }

    /// A trusted measurement (§2.2, §2.3), one of about `per_round_trip` (RFC 7323, appendix G); ends the back-off.
    pub(crate) fn sample(&mut self, rtt: Duration, per_round_trip: u32, now: Instant) {
        self.sample_micros(micros(rtt), per_round_trip, now);
    }

    /// The same, of so many microseconds.
    pub(crate) fn sample_micros(&mut self, rtt: u32, per_round_trip: u32, now: Instant) {
        // A peer that holds on for days must not overflow the arithmetic; beyond the ceiling all is one.
        let rtt = rtt.clamp(1, self.max_rto);
        let seconds = u16::try_from(now.as_millis() / 1000 % (1 << 16)).unwrap_or(0);
        if rtt <= self.least || seconds.wrapping_sub(self.least_at) > LEAST_HOLDS {
            (self.least, self.least_at) = (rtt, seconds);
        }
        if core::mem::take(&mut self.doubted) && self.srtt > 0 {
            (self.srtt, self.rttvar) = (self.srtt.max(rtt), self.rttvar.max(rtt / 2));
        } else if self.srtt == 0 || self.backoff >= FORGET_AFTER {
            (self.srtt, self.rttvar) = (rtt, rtt / 2);
        } else {
            let weigh = |old: u32, new: u32, one_in: u64| {
                let sum = u64::from(old).saturating_mul(one_in.saturating_sub(1)).saturating_add(new.into());
                u32::try_from(sum.checked_div(one_in).unwrap_or(0)).unwrap_or(u32::MAX)
            };
            let samples = u64::from(per_round_trip.max(1));
            self.rttvar = weigh(self.rttvar, self.srtt.abs_diff(rtt), samples.saturating_mul(4));
            self.srtt = weigh(self.srtt, rtt, samples.saturating_mul(8)).max(1);
        }
        self.rto = self.srtt.saturating_add(self.rttvar.saturating_mul(4).max(self.min_rto));
        self.backoff = 0;
    }

    /// The timer expired although nothing was lost (RFC 4015 §3.1). It stays backed off until the next sample
    /// (RFC 6298 §5).
    pub(crate) fn on_spurious_timeout(&mut self) {
        self.srtt =
            if self.srtt > 0 { self.srtt.saturating_add(micros(GRANULARITY).saturating_mul(2)) } else { 0 };
        self.doubted = true;
    }

    /// The timer expired (§5.5): twice the timeout, up to the ceiling.
    pub(crate) fn back_off(&mut self) {
        if self.backed_off() < self.max_rto {
            self.backoff = self.backoff.saturating_add(1);
        }
    }

    /// The handshake is done; `syn_lost` says whether the SYN or SYN,ACK timed out (§5.7).
    pub(crate) fn on_established(&mut self, syn_lost: bool) {
        if self.srtt == 0 {
            self.backoff = 0;
            if syn_lost {
                self.rto = micros(RTO_AFTER_SYN_LOSS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn rtt() -> Rtt {
        Rtt::new(ms(200), Duration::from_secs(120))
    }

    #[test]
    fn rto_2_first_sample_and_rto_3_later_ones() {
        let mut rtt = rtt();
        assert_eq!(rtt.srtt(), None);
        rtt.sample(ms(400), 1, Instant::ZERO);
        assert_eq!((rtt.srtt(), rtt.rttvar, rtt.rto()), (Some(ms(400)), 200_000, ms(1200)));
        rtt.sample(ms(800), 1, Instant::ZERO);
        assert_eq!((rtt.srtt, rtt.rttvar, rtt.rto()), (450_000, 250_000, ms(1450)));
        carrick_covers::covers!("RTO-2", "RTO-3");
    }

    #[test]
    fn rto_1_and_15_doubles_from_one_second_to_the_ceiling() {
        let mut rtt = rtt();
        let seconds: [u64; 9] = core::array::from_fn(|_| {
            let now = rtt.rto().as_secs();
            rtt.back_off();
            now
        });
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        carrick_covers::covers!("RTO-1", "RTO-15");
    }

    #[test]
    fn rto_4_the_variance_term_never_falls_below_the_floor_nor_the_granularity() {
        let least = |floor: Duration, trip: Duration| {
            let mut rtt = Rtt::new(floor, Duration::from_secs(120));
            for _ in 0..1000 {
                rtt.sample(trip, 1, Instant::ZERO);
            }
            rtt.rto()
        };
        for trip in [ms(1), ms(20), ms(600), ms(2000)] {
            assert_eq!(least(ms(200), trip), trip + ms(200));
            assert_eq!(least(Duration::ZERO, trip), trip + GRANULARITY);
        }
        carrick_covers::covers!("RTO-4");
    }

    #[test]
    fn rto_17_three_seconds_after_a_lost_syn() {
        let mut rtt = rtt();
        rtt.back_off();
        rtt.on_established(true);
        assert_eq!(rtt.rto(), Duration::from_secs(3));
        carrick_covers::covers!("RTO-17");
    }

    #[test]
    fn rto_19_stays_backed_off_until_a_sample() {
        let mut rtt = rtt();
        rtt.sample(ms(400), 1, Instant::ZERO);
        rtt.back_off();
        assert_eq!(rtt.rto(), ms(2400));
        rtt.sample(ms(400), 1, Instant::ZERO);
        assert_eq!(rtt.rto(), ms(400 + 4 * 150));
        carrick_covers::covers!("RTO-19");
    }

    #[test]
    fn t_tim_1_a_thousand_timeouts_stay_at_the_ceiling() {
        let mut rtt = rtt();
        for _ in 0..1000 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), Duration::from_secs(120));
        rtt.sample(Duration::MAX, 1, Instant::ZERO);
        assert_eq!(rtt.rto(), Duration::from_secs(120));
    }

    #[test]
    fn rto_10_many_samples_per_round_trip_weigh_less() {
        let mut rtt = rtt();
        rtt.sample(ms(400), 1, Instant::ZERO);
        // A flight of 20 segments: ten samples in a round trip, alpha 1/80, beta 1/40.
        rtt.sample(ms(800), 10, Instant::ZERO);
        assert_eq!((rtt.srtt, rtt.rttvar), (405_000, (200_000 * 39 + 400_000) / 40));
        carrick_covers::covers!("RTO-10");
    }

    #[test]
    fn rto_6_the_ceiling_is_at_least_a_minute() {
        let mut rtt = Rtt::new(ms(200), Duration::from_secs(10));
        for _ in 0..20 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), Duration::from_secs(60));
        carrick_covers::covers!("RTO-6");
    }

    #[test]
    fn rto_20_after_four_timeouts_the_next_sample_is_a_first_one() {
        for (timeouts, rttvar) in [(3, 150_000), (4, 200_000)] {
            let mut rtt = rtt();
            rtt.sample(ms(400), 1, Instant::ZERO);
            for _ in 0..timeouts {
                rtt.back_off();
            }
            rtt.sample(ms(400), 1, Instant::ZERO);
            assert_eq!((rtt.srtt, rtt.rttvar), (400_000, rttvar));
        }
        carrick_covers::covers!("RTO-20");
    }
}
