//! What comes before the retransmission timer: a tail that is asked for (RFC 8985 §7), the end of a wait for what was
//! overtaken (§6.2), the turn of what is paced.

use super::Sender;
use super::acked::{Ack, News};
use crate::Instant;
use crate::recovery::{Kind, Probe, Recovery};
use carrick_wire::SeqNum;

/// How long a peer may hold back the acknowledgment of a lone segment (RFC 8985 §7.2), as Linux assumes. In
/// microseconds.
const MAX_ACK_DELAY: u64 = 200_000;
/// Less is not to be told from a peer that was busy: neither end need be a kernel. In microseconds.
const LEAST_PTO: u64 = 10_000;
/// When a lost tail is asked for before a round trip was measured (RFC 8985 §7.2), in microseconds.
const FIRST_PTO: u64 = 1_000_000;

impl Sender {
    /// Whether the probe of a tail loss has repaired one (RFC 8985 §7.4.2): then the window is reduced as for any loss.
    pub(super) fn check_probe(
        &mut self,
        recovery: &mut Recovery,
        ack: &Ack<'_>,
        advanced: bool,
        now: Instant,
    ) {
        let Probe::Sent { end, again } = recovery.probe else { return };
        if recovery.board.una < end {
            return;
        }
        let beyond = recovery.board.una > end;
        let matches = |(_, right): (SeqNum, SeqNum)| {
            let back = u32::try_from(recovery.board.una.saturating_sub(end)).unwrap_or(u32::MAX);
            right == self.una - back
        };
        let duplicate = ack.duplicate.is_some_and(matches);
        if again && beyond && !duplicate && recovery.episode.is_none() {
            let flight = self.congestion.get().window();
            self.congestion.get_mut().on_ecn(now, flight);
            self.ecn.on_reduced(self.nxt);
        } else if again && !beyond && !duplicate && (advanced || !ack.blocks.is_empty()) {
            return;
        }
        recovery.probe = Probe::None;
    }

    /// Whether the tail may be asked for: not twice before a round trip is measured (RFC 8985 §7.3), or a path that
    /// became longer is never measured, since what was sent twice is not timed.
    pub(super) fn may_probe(&self, recovery: &Recovery) -> bool {
        !self.asked && recovery.may_probe()
    }

    /// Sets when the tail is asked for, with one segment in flight at most if it is a `lone` one.
    pub(super) fn arm_probe(&self, recovery: &mut Recovery, lone: bool, now: Instant) {
        recovery.pto = if self.may_probe(recovery) { self.probe_at(lone, now) } else { None };
    }

    /// When the tail is asked for, if nothing is acknowledged from now on (RFC 8985 §7.2).
    pub(super) fn probe_at(&self, lone: bool, now: Instant) -> Option<Instant> {
        if !self.sack || fault!(self, TailForgotten) {
            return None;
        }
        let delay = if lone { MAX_ACK_DELAY } else { 0 };
        let pto = match u64::from(self.rtt.srtt_micros()) {
            0 => FIRST_PTO,
            srtt => srtt.saturating_mul(2).max(LEAST_PTO).saturating_add(delay),
        };
        Some(Instant::from_nanos(now.as_nanos().saturating_add(pto.saturating_mul(1000))))
    }

    /// What may come before the retransmission timer: the end of a wait for what was overtaken, a tail that is asked
    /// for, the turn of what is paced.
    pub(crate) fn early_deadline(&self) -> Option<Instant> {
        let recovery = self.recovery.as_ref()?;
        [recovery.reorder, recovery.pto, recovery.turn].into_iter().flatten().min()
    }

    /// Keeps those deadlines true, after whatever may have changed: none without a window, the probe no later than the
    /// retransmission timer (RFC 8985 §7.2), and the [`turn`](Self::turn).
    pub(crate) fn arm_early(&mut self, turn: Option<Instant>, rto_at: Instant) {
        let open = self.wnd > 0;
        if let Some(recovery) = &mut self.recovery {
            recovery.turn = turn;
            recovery.reorder = recovery.reorder.filter(|_| open);
            recovery.pto = recovery.pto.filter(|_| open).map(|at| at.min(rto_at));
        }
    }

    /// That deadline has come. True if the retransmission timer starts anew.
    pub(crate) fn on_early(&mut self, now: Instant, smss: u32, unsent: bool) -> bool {
        let Some(mut recovery) = self.recovery.take() else { return false };
        self.note_app_limited(&mut recovery, unsent);
        if recovery.reorder.is_some_and(|at| at <= now) {
            let mut news = News::default();
            let detected = self.find_by_time(&mut recovery, now, 0, &mut news);
            if news.lost {
                self.tell_of_loss(now);
            }
            if recovery.episode.is_some_and(|episode| episode.kind == Kind::Loss) {
                self.proportion(&mut recovery, 0, false, smss, detected.bytes);
            }
        }
        let due = recovery.pto.is_some_and(|at| at <= now);
        if due {
            recovery.pto = None;
            if self.may_probe(&recovery) {
                recovery.probe = Probe::Due;
            }
        }
        self.recovery = Some(recovery);
        due
    }
}
