//! The sending half of an open connection: SND.UNA, SND.NXT, the peer's window; what may go out now is in
//! `sendable`, how fast it goes in `pace`, what it waits for in `limit`; what acknowledgments say is in `acked`,
//! whether a repair was needless in `undo`, what comes before the retransmission timer in `early`.
//!
//! RFC 9293 §3.4, §3.8.6 (window and probes), RFC 6298 §5, RFC 5961 §5.
//!
//! ```text
//!            SND.UNA                      SND.NXT          UNA+WND
//!   ───────────┼────────────────────────────┼────────────────┼───────
//!   acknowledged   in flight, arrived, lost      usable          not yet
//! ```
//!
//! `nxt` is the highest number ever sent plus one, also while older data is sent again; what has become of the numbers
//! below is written on the board of `recovery`. The send queue starts at `una` and holds every byte until it is
//! acknowledged cumulatively, so a number carries the same byte each time. The FIN's number is the end of the queue.
//!
//! Invariant: una <= nxt, una <= small <= nxt; with una < nxt there is a `recovery`, whose board says the same.

mod acked;
mod check;
mod early;
mod limit;
mod pace;
mod sendable;
mod undo;

use crate::congestion::Congestion;
use crate::connection::handshake::ts_clock;
use crate::ecn::Response;
use crate::recovery::rate::DeliveryRate;
use crate::recovery::rtt::Rtt;
use crate::recovery::{Episode, Frto, Kind, Probe, Recovery, Reordering};
use crate::{ConnectionConfig, Instant, RecoveryState};
pub(crate) use acked::Ack;
use alloc::boxed::Box;
use carrick_wire::{SeqNum, Window, WindowScale};
use core::hash::Hash;
use core::time::Duration;
use limit::Limit;
pub(crate) use sendable::{Sendable, Terms};

/// How long text that does not fill a segment is held while corked, as Linux does.
pub(crate) const CORK: Duration = Duration::from_millis(200);
/// The override timeout of silly-window avoidance lies between these (RFC 9293 §3.8.6.2.1).
const OVERRIDE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) iss: SeqNum,
    pub(crate) una: SeqNum,
    pub(crate) nxt: SeqNum,
    /// SND.WND, SND.WL1, SND.WL2 and MAX.SND.WND.
    pub(crate) wnd: u32,
    wl1: SeqNum,
    wl2: SeqNum,
    pub(crate) max_wnd: u32,
    /// What the peer's windows are shifted by.
    pub(crate) scale: WindowScale,
    /// The peer's MSS: text and options of one segment.
    pub(crate) peer_mss: u16,
    /// No more will be written: a FIN follows the queue.
    pub(crate) fin: bool,
    /// Our FIN is acknowledged.
    pub(crate) fin_done: bool,
    /// Something is to be sent although a rule forbids it.
    forced: Forced,
    /// Zero-window probes sent since the window closed; what they carried is sent again once it opens.
    pub(crate) probes: u8,
    pub(crate) rtt: Rtt,
    pub(crate) congestion: Congestion,
    /// Whether it is paced.
    paced: bool,
    /// What became of what was sent, while that matters.
    recovery: Option<Box<Recovery>>,
    reordering: Reordering,
    /// When all was acknowledged last, in milliseconds modulo 2^32.
    idle_since: u32,
    /// Exists once there is something in it.
    tally: Option<Box<Tally>>,
    /// Whether SACK was agreed on.
    pub(crate) sack: bool,
    /// The end of the last segment that was not full; SND.UNA, once that is acknowledged.
    small: SeqNum,
    pub(crate) ecn: Response,
    /// Our timestamp clock when the SYN left: older echoes are not ours.
    pub(crate) born: u32,
    /// Timeouts in a row without an answer.
    pub(crate) retries: u8,
    /// SND.UNA is still near ISS, below which nothing was ever sent.
    young: bool,
    /// The tail has been asked for, and no round trip measured since (RFC 8985 §7.3).
    asked: bool,
    /// What it waits for, and how long it has been busy: see `limit`.
    limit: Limit,
    busy: u32,
    #[cfg(carrick_faults)]
    fault: Option<crate::Fault>,
}

/// What was amiss since the connection was made, for whoever asks. Counts are modulo 2^32.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    /// Bytes sent again.
    pub(crate) bytes_again: u64,
    /// Reports of duplicates (RFC 2883).
    pub(crate) duplicates: u32,
    /// Acknowledgments that told of reordering (RFC 8985 §6.2, step 4).
    pub(crate) reorderings: u32,
    /// Most bytes from the beginning of what was overtaken to the end of what had come before it.
    pub(crate) overtaken: u32,
    /// Milliseconds for want of a window, and of room for the application: see `limit`.
    no_window: u32,
    no_room: u32,
}

/// What is to be sent against the rules, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Forced {
    Nothing,
    /// What is held back because it does not fill a segment.
    Partial,
    /// An octet at least: the window is closed, or a timeout asks for it.
    Probe,
}

/// No window is larger (RFC 7323 §2.3): this far beyond ISS, SND.UNA - MAX.SND.WND is the later bound for good.
const YOUTH: u32 = 1 << 30;

impl Sender {
    /// After the handshake: our SYN, numbered `iss`, is acknowledged.
    pub(crate) fn new(iss: SeqNum, peer_mss: u16, scale: WindowScale, config: &ConnectionConfig) -> Self {
        let una = iss + 1;
        Self {
            iss,
            una,
            nxt: una,
            wnd: 0,
            wl1: SeqNum::new(0),
            wl2: una,
            max_wnd: 0,
            scale,
            peer_mss,
            fin: false,
            fin_done: false,
            forced: Forced::Nothing,
            probes: 0,
            rtt: Rtt::new(config.min_rto, config.max_rto),
            congestion: Congestion::new(config.congestion.as_deref()),
            paced: config.pacing,
            recovery: None,
            reordering: Reordering::new(),
            idle_since: 0,
            tally: None,
            sack: false,
            small: una,
            ecn: Response::new(iss),
            born: 0,
            retries: 0,
            young: true,
            asked: false,
            limit: Limit::Idle,
            busy: 0,
            #[cfg(carrick_faults)]
            fault: config.fault,
        }
    }

    /// The number of our FIN, sent or not, while it is not acknowledged; `queued` bytes lie before it.
    fn fin_seq(&self, queued: usize) -> SeqNum {
        self.una + u32::try_from(queued).unwrap_or(0)
    }

    /// Whether an ACK is in the range from the later of SND.UNA - MAX.SND.WND and ISS+1 to SND.NXT (RFC 5961 §5.2).
    pub(crate) fn acceptable_ack(&self, ack: SeqNum) -> bool {
        if ack.at_or_after(self.una) {
            return ack.at_or_before(self.nxt);
        }
        self.una.distance_from(ack) <= self.acceptable_age()
    }

    /// How far below SND.UNA an ACK may be.
    pub(crate) fn acceptable_age(&self) -> u32 {
        let age = if self.young { self.una.distance_from(self.iss + 1) } else { u32::MAX };
        self.max_wnd.min(age)
    }

    /// Whether something sent is not acknowledged.
    pub(crate) fn outstanding(&self) -> bool {
        self.una != self.nxt
    }

    /// Whether what was sent still matters.
    pub(crate) const fn has_recovery(&self) -> bool {
        self.recovery.is_some()
    }

    /// Bytes believed to be in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.recovery.as_ref().map_or(0, |recovery| recovery.pipe())
    }

    /// Bytes that have been sent again and are believed to be in flight.
    pub(crate) fn resent(&self) -> u32 {
        self.recovery.as_ref().map_or(0, |recovery| recovery.board.resent())
    }

    /// What was amiss so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.as_deref().copied().unwrap_or_default()
    }

    /// The last rate that was measured while something was in flight, but for one that the application alone made less.
    pub(crate) fn delivery_rate(&self) -> DeliveryRate {
        self.recovery.as_ref().map_or_else(DeliveryRate::default, |recovery| recovery.rate)
    }

    /// Bytes that the peer has, in order or not, since the connection was made; `acked` bytes of text are acknowledged.
    /// The count of the meter does not go back when the peer drops some.
    pub(crate) fn delivered(&self, acked: u64) -> u64 {
        acked.saturating_add(self.fin_done.into()).saturating_add(self.sacked().into())
    }

    /// Bytes that are lost and to be sent again.
    pub(crate) fn lost(&self) -> u32 {
        self.recovery.as_ref().map_or(0, |recovery| recovery.board.lost())
    }

    /// Whether an acknowledgment of `ack` covers what was thought lost and has not been sent again: of that only the
    /// first copy can have arrived.
    pub(crate) fn covers_lost(&self, ack: SeqNum) -> bool {
        let first = self.recovery.as_ref().and_then(|recovery| {
            let start = recovery.board.lost_start()?;
            u32::try_from(start.saturating_sub(recovery.board.una)).ok()
        });
        first.is_some_and(|offset| ack.after(self.una + offset))
    }

    /// Whether there is anything, text or FIN, that has not been sent, or is to be sent again.
    pub(crate) fn pending(&self, queued: usize) -> bool {
        self.lost() > 0 || self.has_unsent(queued)
    }

    pub(crate) fn has_unsent(&self, queued: usize) -> bool {
        let end = self.fin_seq(queued) + u32::from(self.fin && !self.fin_done);
        self.nxt.before(end)
    }

    /// Whether all that is left to be sent does not fill a segment, and may wait for more.
    pub(crate) fn only_partial(&self, queued: usize, mss: u32) -> bool {
        let may_wait = !self.fin && self.forced == Forced::Nothing && self.lost() == 0;
        may_wait && self.has_unsent(queued) && self.fin_seq(queued).distance_from(self.nxt) < mss
    }

    /// Bytes beyond SND.UNA that the peer has said to have (RFC 2018).
    pub(crate) fn sacked(&self) -> u32 {
        self.recovery.as_ref().map_or(0, |recovery| recovery.board.sacked())
    }

    /// Mean text of the segments that the peer has said to have beyond SND.UNA.
    pub(crate) fn mean_sacked(&self) -> u32 {
        let board = self.recovery.as_ref().map(|recovery| &recovery.board);
        board.and_then(|board| board.sacked().checked_div(board.sacked_segments())).unwrap_or(0)
    }

    /// A full segment that asked for a tail (RFC 8985 §7.3) has not been answered, and nothing else has arrived.
    pub(crate) fn has_asked_in_vain(&self, smss: u32) -> bool {
        let Some(recovery) = &self.recovery else { return false };
        let board = &recovery.board;
        let full =
            board.last_segment().is_some_and(|start| board.nxt.saturating_sub(start) >= u64::from(smss));
        full && matches!(recovery.probe, Probe::Sent { .. }) && board.sacked() == 0
    }

    /// What timed out was too big for the path, which tells nothing of its rate: control begins anew.
    pub(crate) fn on_too_big(&mut self, config: &ConnectionConfig, smss: u32) {
        self.congestion = Congestion::new(config.congestion.as_deref());
        self.congestion.get_mut().on_start(smss);
    }

    /// What is being repaired.
    pub(crate) fn recovery(&self) -> RecoveryState {
        let Some(recovery) = &self.recovery else { return RecoveryState::Open };
        match recovery.episode {
            _ if self.retries > 0 && self.wnd > 0 => RecoveryState::Loss,
            Some(Episode { kind: Kind::Timeout(_), .. }) => RecoveryState::Loss,
            Some(Episode { kind: Kind::Loss, .. }) => RecoveryState::Recovery,
            _ if self.ecn.is_reducing(self.una) => RecoveryState::Reduced,
            _ if recovery.duplicates > 0 || recovery.board.sacked() > 0 => RecoveryState::Disorder,
            _ => RecoveryState::Open,
        }
    }

    /// What was held back because it does not fill a segment leaves at once.
    pub(crate) fn force_partial(&mut self, queued: usize) {
        if self.pending(queued) && self.forced == Forced::Nothing {
            self.forced = Forced::Partial;
        }
    }

    /// A segment has left, or several of `mss` bytes each, after `acked` bytes have been acknowledged. True if it was
    /// what stands first, sent again: the retransmission timer then counts from here (RFC 6298 §5), but for recovery's
    /// own rule (RFC 6582 §4).
    pub(crate) fn on_sent(&mut self, sent: Sendable, mss: u32, now: Instant, acked: u64) -> bool {
        let len = u32::try_from(sent.len).unwrap_or(0).saturating_add(sent.fin.into());
        let end = sent.seq + len;
        if end == sent.seq {
            return false;
        }
        self.forced = Forced::Nothing;
        let new = self.is_new_text(&sent);
        self.ecn.cwr &= !new;
        let again = sent.seq.before(self.nxt);
        self.restart(now);
        let rate = self.pacing_rate(mss);
        let mut recovery = self.recovery.take().unwrap_or_else(|| Recovery::new(acked, now).into());
        let lone = recovery.pipe() == 0 && sent.len <= mss as usize;
        let start = recovery.board.una.saturating_add(sent.seq.distance_from(self.una).into());
        let beyond = recovery.board.nxt;
        let old = beyond.saturating_sub(start).min(len.into());
        if old > 0 {
            let tally = self.tally.get_or_insert_default();
            tally.bytes_again = tally.bytes_again.saturating_add(old);
        }
        recovery.board.on_sent(start, start.saturating_add(len.into()), now, mss);
        if sent.fin {
            recovery.board.fin = Some(start.saturating_add(len.into()));
        }
        recovery.peak[0] = recovery.peak[0].max(recovery.pipe());
        recovery.pay(len, mss, now, rate);
        if let Some(episode) = &mut recovery.episode {
            episode.prr.on_sent(len);
            if let Kind::Timeout(Frto::Second(left)) = &mut episode.kind {
                *left = left.saturating_sub(len);
            }
        }
        if let Some(undo) = &mut recovery.undo {
            if let Some(before) = &mut undo.before {
                before.cwr &= !new;
            }
            if again {
                let outstanding = self.nxt.distance_from(self.una) as usize;
                let places = Recovery::places(outstanding, mss as usize);
                undo.on_sent_again(start, start.saturating_add(len.into()), now, places);
            }
        }
        if recovery.probe == Probe::Due {
            recovery.probe = Probe::Sent { end: recovery.board.nxt, again };
            self.asked = true;
            if fault!(self, ProbesEndless) {
                (recovery.probe, self.asked) = (Probe::None, false);
                recovery.pto = self.probe_at(lone, now);
            }
        } else if recovery.board.nxt > beyond {
            self.arm_probe(&mut recovery, lone, now);
        }
        if end.after(self.nxt) {
            self.nxt = end;
            let text = u32::try_from(sent.len).unwrap_or(0);
            if text.checked_rem(mss) != Some(0) {
                self.small = end;
            }
        }
        let impatient = !self.sack && recovery.episode.as_ref().is_some_and(|episode| episode.partial);
        self.recovery = Some(recovery);
        again && sent.seq == self.una && !impatient
    }

    /// Something is to be sent, perhaps with nothing in flight: after a pause the window may be too large
    /// (RFC 5681 §4.1, RFC 7661).
    pub(crate) fn restart(&mut self, now: Instant) {
        if self.outstanding() || self.nxt == self.iss + 1 {
            return;
        }
        let idle = Duration::from_millis(ts_clock(now, 0).wrapping_sub(self.idle_since).into());
        if idle > self.rtt.rto() {
            self.congestion.get_mut().on_restart(now, idle);
            self.idle_since = ts_clock(now, 0);
        }
    }

    /// Takes the window of an acceptable segment (RFC 9293 §3.10.7.4, fifth step). Beyond the RFC's test a newer
    /// acknowledgment makes a newer segment, also where text that was sent again has an older number: else
    /// SND.UNA would move on and take the old window with it, past what the peer has room for.
    pub(crate) fn update_window(&mut self, seq: SeqNum, ack: SeqNum, window: Window) {
        if ack.before(self.una) {
            return;
        }
        let newer = self.wl1.before(seq) || (self.wl1 == seq && self.wl2.at_or_before(ack));
        if newer || self.wl2.before(ack) {
            self.set_window(self.wl1.max(seq), ack, window);
        }
    }

    pub(crate) fn set_window(&mut self, seq: SeqNum, ack: SeqNum, window: Window) {
        let opened = self.wnd == 0 && window.get() > 0;
        self.wnd = window.get();
        self.max_wnd = self.max_wnd.max(self.wnd);
        self.wl1 = seq;
        self.wl2 = ack;
        if opened && self.probes > 0 {
            (self.probes, self.retries) = (0, 0);
            self.answer_probe();
            self.go_back();
        }
    }

    /// What a probe would have asked for has come, before the device has taken it.
    fn answer_probe(&mut self) {
        if self.forced == Forced::Probe {
            self.forced = Forced::Nothing;
        }
    }

    /// All that was sent and not acknowledged is sent again.
    fn go_back(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            recovery.board.lose_all();
            recovery.recover = Some(recovery.board.nxt);
            (recovery.duplicates, recovery.duplicate_bytes) = (0, 0);
            recovery.pto = None;
        }
    }

    /// The round trip that an echoed timestamp tells of, in milliseconds. Nothing if it is older than the connection,
    /// or from the future.
    pub(crate) fn echoed(&self, ts_now: u32, ecr: u32) -> Option<u32> {
        let elapsed = ts_now.wrapping_sub(ecr);
        let possible = elapsed <= ts_now.wrapping_sub(self.born) && elapsed < 1 << 31;
        possible.then_some(elapsed)
    }

    /// The retransmission timer has expired. True if that only ends a wait for congestion to pass.
    pub(crate) fn release(&mut self) -> bool {
        core::mem::take(&mut self.ecn.held) && !self.outstanding()
    }

    /// How much more recovery may need, if `len` bytes are in flight.
    pub(crate) fn most_memory(&self, len: usize, mss: usize) -> usize {
        Recovery::most_memory(len, mss).saturating_add(size_of::<Tally>()).saturating_sub(self.memory())
    }

    /// Bytes of heap memory that recovery holds.
    pub(crate) fn memory(&self) -> usize {
        let tally = self.tally.as_ref().map_or(0, |_| size_of::<Tally>());
        self.recovery.as_ref().map_or(tally, |recovery| recovery.memory().saturating_add(tally))
    }

    /// The retransmission timer has expired (RFC 6298 §5.4-5.6): the first segment is sent again, and what else was
    /// lost as acknowledgments come.
    pub(crate) fn on_timeout(&mut self, now: Instant, smss: u32) {
        // A window that recovery has lowered already is lowered once more (RFC 5681 §4.3).
        let flight = self.nxt.distance_from(self.una).min(self.congestion.get().window());
        let before = self.ecn;
        self.congestion.get_mut().on_timeout(now, flight, self.retries == 0);
        self.ecn.on_reduced(self.nxt);
        self.retries = self.retries.saturating_add(1);
        self.rtt.back_off();
        self.forced = Forced::Probe;
        let reo_wnd = self.reordering.window(true, self.rtt.least(), self.rtt.srtt());
        let Some(recovery) = &mut self.recovery else { return };
        if self.sack {
            if recovery.board.has_reneged() && !fault!(self, MarksKept) {
                recovery.board.on_reneging();
            }
            let srtt = self.rtt.srtt().unwrap_or_default();
            recovery.board.on_timeout(now, srtt, reo_wnd, smss);
        } else {
            recovery.board.lose_all();
        }
        (recovery.duplicates, recovery.duplicate_bytes) = (0, 0);
        recovery.reorder = None;
        recovery.recover = Some(recovery.board.nxt);
        // F-RTO can tell nothing of what was sent again before (RFC 5682 §2.1, §3.1).
        let doubt = if recovery.is_repairing() { Frto::Off } else { Frto::First };
        let repeated = matches!(recovery.episode, Some(Episode { kind: Kind::Timeout(_), .. }));
        let undo = recovery.undo.take().filter(|_| repeated);
        recovery.begin(Kind::Timeout(doubt), now, 0, Some(before));
        recovery.undo = undo.or(recovery.undo.take());
    }

    /// Text in flight was too big for the path, which is no sign of congestion: it is sent again from SND.UNA on
    /// (RFC 1191 §6.4). Which copy an ACK means nobody can tell.
    pub(crate) fn send_again(&mut self) {
        self.go_back();
    }

    /// The persist timer has expired (RFC 9293 §3.8.6.1).
    pub(crate) fn on_persist(&mut self) {
        if self.wnd == 0 {
            self.probes = self.probes.saturating_add(1);
            self.retries = self.retries.saturating_add(1);
            self.forced = Forced::Probe;
        } else if self.forced == Forced::Nothing {
            self.forced = Forced::Partial;
        }
    }

    /// How long to wait for a closed window before the next probe, doubling from the retransmission timeout on; for
    /// one that is too small to be worth using, the override timeout of silly-window avoidance.
    pub(crate) fn persist_interval(&self, max: Duration) -> Duration {
        if self.wnd > 0 {
            let [least, most] = OVERRIDE;
            return self.rtt.rto().clamp(least, most);
        }
        let factor = 1u32.checked_shl(u32::from(self.probes)).unwrap_or(u32::MAX);
        self.rtt.rto().saturating_mul(factor).min(max)
    }

    /// The number of an empty segment: SND.NXT, or the right edge where SND.NXT lies beyond a window that
    /// the peer has taken back or never opened (a refused probe), since the peer would refuse it there.
    pub(crate) fn ack_seq(&self) -> SeqNum {
        let edge = self.una + self.wnd;
        let excess = u32::try_from(self.nxt - edge).unwrap_or(0);
        let rounding = 1u32.checked_shl(u32::from(self.scale.get())).unwrap_or(1);
        if self.wnd == 0 || excess >= rounding { edge } else { self.nxt }
    }

    /// `irs` is the peer's first number, which WL1 counts from.
    pub(crate) fn digest(&self, irs: SeqNum, now: Instant, state: &mut impl core::hash::Hasher) {
        let Self {
            iss,
            una,
            nxt,
            wnd,
            wl1,
            wl2,
            max_wnd,
            scale,
            peer_mss,
            fin,
            fin_done,
            forced,
            probes,
            rtt,
            congestion,
            paced,
            recovery,
            reordering,
            idle_since,
            tally: _,
            sack,
            small,
            ecn,
            born: _,
            retries,
            young,
            asked,
            limit: _,
            busy: _,
            #[cfg(carrick_faults)]
                fault: _,
        } = self;
        for seq in [una, nxt, wl2, small] {
            state.write_u32(seq.distance_from(*iss));
        }
        state.write_u32(wl1.distance_from(irs));
        state.write_u32(*wnd);
        state.write_u32(*max_wnd);
        state.write_u16(*peer_mss);
        state.write(&[
            scale.get(),
            u8::from(*fin),
            u8::from(*fin_done),
            *forced as u8,
            *probes,
            *retries,
            u8::from(*young),
            u8::from(*asked),
            u8::from(*sack),
            u8::from(*paced),
        ]);
        core::hash::Hash::hash(rtt, state);
        congestion.get().digest(state);
        ecn.digest(*iss, state);
        reordering.hash(state);
        if *una == *nxt {
            ts_clock(now, 0).wrapping_sub(*idle_since).hash(state);
        }
        if let Some(recovery) = recovery {
            recovery.digest(*iss, now, state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen: every 4 GiB SND.UNA passes ISS again, and for a window's length each ACK that came late was taken for
    /// one from before the connection, its segment dropped and challenged.
    #[test]
    fn t_seq_3_a_late_ack_is_acceptable_whenever_una_passes_iss_again() {
        let iss = SeqNum::new(77);
        let mut snd = Sender::new(iss, 1460, WindowScale::ZERO, &ConnectionConfig::default());
        snd.set_window(SeqNum::new(1), snd.una, Window::new(65_535));
        assert!(snd.acceptable_ack(iss + 1) && !snd.acceptable_ack(iss), "nothing was sent below ISS+1");
        for gibibytes in 0..9u32 {
            for _ in 0..2 {
                let now = Instant::ZERO;
                snd.on_sent(Sendable { seq: snd.nxt, len: 1 << 29, fin: false }, 1460, now, 0);
                let seq = snd.nxt;
                let (blocks, echo) = (&carrick_wire::SackBlocks::default(), None);
                let ack = Ack {
                    seq,
                    window: 65_535,
                    now,
                    smss: 1460,
                    echo,
                    ts_offset: 0,
                    blocks,
                    duplicate: None,
                    repeats: false,
                    ece: false,
                    unsent: true,
                };
                snd.on_ack(&ack);
            }
            let una = snd.una;
            assert!(snd.acceptable_ack(una), "after {gibibytes}");
            assert!(snd.acceptable_ack(una - 65_535), "after {gibibytes}");
            assert!(!snd.acceptable_ack(una - 65_536) && !snd.acceptable_ack(una + 1), "after {gibibytes}");
        }
    }

    #[test]
    fn an_echo_older_than_the_connection_or_from_the_future_measures_nothing() {
        let mut snd = Sender::new(SeqNum::new(77), 1460, WindowScale::ZERO, &ConnectionConfig::default());
        snd.born = 5000;
        let now = 7000;
        for (ecr, rtt) in [(7001, None), (7000, Some(0)), (5000, Some(2000)), (4999, None)] {
            assert_eq!(snd.echoed(now, ecr), rtt, "{ecr}");
        }
        // Half the circle is the future.
        let now = u32::MAX;
        for (ecr, rtt) in [(1 << 31, Some((1 << 31) - 1)), ((1 << 31) - 1, None)] {
            assert_eq!(snd.echoed(now, ecr), rtt, "{ecr}");
        }
    }

    #[test]
    fn rec_1_windows_are_kept_in_32_bits() {
        let scale = WindowScale::clamped(14);
        let mut snd = Sender::new(SeqNum::new(77), 1460, scale, &ConnectionConfig::default());
        snd.set_window(SeqNum::new(1), snd.una, carrick_wire::WireWindow::new(u16::MAX).scaled(scale));
        assert_eq!((snd.wnd, snd.max_wnd), (1_073_725_440, 1_073_725_440));
        carrick_covers::covers!("REC-1");
    }
}
