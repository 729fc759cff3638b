//! The sending half of an open connection: SND.UNA, SND.NXT, the peer's window, what may go out now.
//!
//! RFC 9293 §3.4, §3.8.6 (window, probes, silly windows), RFC 6298 §5, RFC 5961 §5.
//!
//! ```text
//!            SND.UNA        next          SND.NXT          UNA+WND
//!   ───────────┼──────────────┼──────────────┼────────────────┼───────
//!   acknowledged   sent again     to be sent      usable          not yet
//!                                 again
//! ```
//!
//! `nxt` is the highest number ever sent plus one, also while older data is sent again; `next` is where
//! sending goes on. The send queue starts at `una` and holds every byte until it is acknowledged
//! cumulatively, so a number carries the same byte each time. The FIN's number is the end of the queue.
//!
//! Invariant: una <= next <= nxt.

use crate::congestion::{Acked, Congestion};
use crate::recovery::rtt::Rtt;
use crate::{ConnectionConfig, Instant};
use carrick_wire::{SeqNum, Window, WindowScale};
use core::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) iss: SeqNum,
    pub(crate) una: SeqNum,
    pub(crate) nxt: SeqNum,
    pub(crate) next: SeqNum,
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
    /// Something is to be sent although the window or silly-window avoidance forbids it: a probe.
    pub(crate) probe_due: bool,
    /// Zero-window probes sent since the window closed; what they carried is sent again once it opens.
    pub(crate) probes: u8,
    pub(crate) rtt: Rtt,
    pub(crate) congestion: Congestion,
    /// A segment being timed: the number that acknowledges it, and when it left (RFC 6298 §3).
    timed: Option<(SeqNum, Instant)>,
    /// Timeouts in a row without an answer.
    pub(crate) retries: u8,
    /// SND.UNA is still near ISS, below which nothing was ever sent.
    young: bool,
}

/// No window is larger (RFC 7323 §2.3): this far beyond ISS, SND.UNA - MAX.SND.WND is the later bound for good.
const YOUTH: u32 = 1 << 30;

/// What may go out now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sendable {
    pub(crate) seq: SeqNum,
    pub(crate) len: usize,
    pub(crate) fin: bool,
}

impl Sender {
    /// After the handshake: our SYN, numbered `iss`, is acknowledged.
    pub(crate) fn new(iss: SeqNum, peer_mss: u16, scale: WindowScale, config: &ConnectionConfig) -> Self {
        let una = iss + 1;
        Self {
            iss,
            una,
            nxt: una,
            next: una,
            wnd: 0,
            wl1: SeqNum::new(0),
            wl2: una,
            max_wnd: 0,
            scale,
            peer_mss,
            fin: false,
            fin_done: false,
            probe_due: false,
            probes: 0,
            rtt: Rtt::new(config.min_rto, config.max_rto),
            congestion: Congestion::new(config.congestion.as_deref()),
            timed: None,
            retries: 0,
            young: true,
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

    /// Bytes believed to be in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.next.distance_from(self.una)
    }

    /// Whether there is anything, text or FIN, that has not been sent, or is to be sent again.
    pub(crate) fn pending(&self, queued: usize) -> bool {
        let end = self.fin_seq(queued) + u32::from(self.fin && !self.fin_done);
        self.next.before(end)
    }

    /// What may go out, by window and congestion window, in full segments of `mss` or to the end of what
    /// is written; at least an octet if a probe is due.
    pub(crate) fn sendable(&self, queued: usize, mss: u32) -> Option<Sendable> {
        let probe = self.probe_due;
        let queued = u32::try_from(queued).unwrap_or(u32::MAX);
        let mut seq = self.next;
        if probe && self.wnd == 0 {
            seq = self.una;
        }
        let offset = seq.distance_from(self.una);
        let unsent = queued.saturating_sub(offset);
        let fin = self.fin && offset <= queued && !self.fin_done;
        if unsent == 0 && !fin {
            return None;
        }
        let window = self.wnd.saturating_sub(offset);
        let allowed = window.min(self.congestion.get().window().saturating_sub(offset));
        let mut len = unsent.min(allowed);
        let whole = len == unsent;
        // A FIN is an octet of sequence space: it waits for a window like text.
        let fin_fits = fin && whole && len < window;
        if !probe {
            // Silly windows (RFC 9293 §3.8.6.2.1): full segments, all there is, or half the largest window.
            let worth = len >= mss || whole || len >= self.max_wnd / 2;
            if !worth || (len == 0 && !fin_fits) {
                return None;
            }
        } else if len == 0 && !fin_fits {
            len = unsent.min(1);
            let fin = fin && unsent == 0;
            return Some(Sendable { seq, len: len as usize, fin });
        }
        if !whole && len > mss {
            len = len.saturating_sub(len.checked_rem(mss).unwrap_or(0));
        }
        Some(Sendable { seq, len: len as usize, fin: fin_fits })
    }

    /// A segment has left.
    pub(crate) fn on_sent(&mut self, sent: Sendable, now: Instant) {
        self.probe_due = false;
        let end = sent.seq + u32::try_from(sent.len).unwrap_or(0) + u32::from(sent.fin);
        if end.after(self.nxt) {
            if self.timed.is_none() && sent.seq == self.nxt {
                self.timed = Some((end, now));
            }
            self.nxt = end;
        }
        if end.after(self.next) {
            self.next = end;
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
            self.next = self.una;
            self.probes = 0;
            self.timed = None;
        }
    }

    /// SND.UNA moves to `ack`. `ts_rtt` is what the echoed timestamp says.
    pub(crate) fn on_ack(&mut self, ack: SeqNum, now: Instant, ts_rtt: Option<Duration>) {
        let in_flight = self.in_flight();
        let acked = ack.distance_from(self.una);
        let was_retransmitting = self.retries > 0 || self.next != self.nxt;
        self.una = ack;
        self.young &= ack.distance_from(self.iss + 1) < YOUTH;
        self.next = self.next.max(ack);
        self.retries = 0;
        let sample = match self.timed {
            Some((end, at)) if ack.at_or_after(end) => {
                self.timed = None;
                Some(now.since(at))
            }
            // Karn: of what was sent twice, only a timestamp tells which copy was meant (RFC 6298 §3).
            None if was_retransmitting => ts_rtt,
            _ => None,
        };
        if let Some(rtt) = sample {
            self.rtt.sample(rtt);
        }
        let srtt = self.rtt.srtt();
        self.congestion.get_mut().on_ack(Acked { now, bytes: acked, in_flight, srtt });
    }

    /// The retransmission timer has expired (RFC 6298 §5.4-5.6): everything is sent again from SND.UNA on,
    /// beginning with one segment.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.congestion.get_mut().on_timeout(now, self.nxt.distance_from(self.una), self.retries == 0);
        self.retries = self.retries.saturating_add(1);
        self.rtt.back_off();
        self.next = self.una;
        self.probe_due = true;
        self.timed = None;
    }

    /// The persist timer has expired (RFC 9293 §3.8.6.1).
    pub(crate) fn on_persist(&mut self) {
        if self.wnd == 0 {
            self.probes = self.probes.saturating_add(1);
            self.retries = self.retries.saturating_add(1);
        }
        self.probe_due = true;
    }

    /// How long to wait for the window before the next probe: doubling from the retransmission timeout on.
    pub(crate) fn persist_interval(&self, max: Duration) -> Duration {
        let factor = 1u32.checked_shl(u32::from(self.probes)).unwrap_or(u32::MAX);
        self.rtt.rto().saturating_mul(factor).min(max)
    }

    /// The number of an empty segment: SND.NXT, or the right edge where SND.NXT lies beyond a window that
    /// the peer has taken back or never opened (a refused probe), since the peer would refuse it there.
    pub(crate) fn ack_seq(&self) -> SeqNum {
        let edge = self.una + self.wnd;
        let excess = u32::try_from(self.nxt - edge).unwrap_or(0);
        let rounding = 1u32.checked_shl(u32::from(self.scale.get())).unwrap_or(1);
        if excess > 0 && (self.wnd == 0 || excess >= rounding) { edge } else { self.nxt }
    }

    /// `irs` is the peer's first number, which WL1 counts from.
    pub(crate) fn digest(&self, irs: SeqNum, now: Instant, state: &mut impl core::hash::Hasher) {
        let Self {
            iss,
            una,
            nxt,
            next,
            wnd,
            wl1,
            wl2,
            max_wnd,
            scale,
            peer_mss,
            fin,
            fin_done,
            probe_due,
            probes,
            rtt,
            congestion,
            timed,
            retries,
            young,
        } = self;
        for seq in [una, nxt, next, wl2] {
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
            u8::from(*probe_due),
            *probes,
            *retries,
            u8::from(*young),
        ]);
        core::hash::Hash::hash(rtt, state);
        congestion.get().digest(state);
        if let Some((end, at)) = timed {
            state.write_u32(end.distance_from(*iss));
            state.write_u64(crate::time::nanos(now.since(*at)));
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
                snd.nxt = snd.una + (1 << 29);
                snd.next = snd.nxt;
                snd.on_ack(snd.nxt, Instant::ZERO, None);
            }
            let una = snd.una;
            assert!(snd.acceptable_ack(una), "after {gibibytes}");
            assert!(snd.acceptable_ack(una - 65_535), "after {gibibytes}");
            assert!(!snd.acceptable_ack(una - 65_536) && !snd.acceptable_ack(una + 1), "after {gibibytes}");
        }
    }
}
