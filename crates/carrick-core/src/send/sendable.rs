//! What may leave now.
//!
//! RFC 9293 §3.7.4 (Nagle), §3.8.6 (the window), §3.8.6.2.1 (silly windows, the sender's side); the congestion
//! window, and a segment that recovery wants repeated.
//!
//! What was lost goes before what is new.
//!
//! Nagle's rule is used in Minshall's form: text that does not fill a segment waits while *such a segment* is not
//! acknowledged, rather than any. The two agree where the application writes little at a time. Where it writes
//! much, the plain rule would keep the end of every write back until all before it is acknowledged, which a peer
//! that delays acknowledgments makes long, and would cut the end off every super-segment.

use super::{Forced, Sender};
use crate::Instant;
use crate::recovery::{Episode, Kind, Probe, Recovery};

/// What may go out now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sendable {
    pub(crate) seq: carrick_wire::SeqNum,
    pub(crate) len: usize,
    pub(crate) fin: bool,
}

/// What the application has written, and how it wants it sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Bytes from SND.UNA on.
    pub(crate) queued: usize,
    /// There is urgent text among them.
    pub(crate) urgent: bool,
    pub(crate) nodelay: bool,
    pub(crate) corked: bool,
}

impl Sender {
    /// Whether nothing could go out, whatever the windows.
    pub(crate) fn is_idle(&self, queued: usize) -> bool {
        let probe = self.recovery.as_ref().is_some_and(|recovery| recovery.probe == Probe::Due);
        !probe && self.forced != Forced::Probe && !self.pending(queued)
    }

    /// What may go out at `now`, by window, congestion window and rate, in full segments of `mss` or to the end of what
    /// is written; at least an octet if a probe is due.
    pub(crate) fn sendable(&self, terms: &Terms, mss: u32, now: Instant) -> Option<Sendable> {
        let recovery = self.recovery.as_deref();
        if self.forced == Forced::Probe {
            let most =
                self.nxt.distance_from(self.una).checked_next_multiple_of(mss).filter(|most| *most > 0);
            let most = most.unwrap_or(u32::MAX).min(mss);
            return self.piece(self.una, most, most, terms, mss).or_else(|| self.octet(terms));
        }
        let probe = recovery.is_some_and(|recovery| recovery.probe == Probe::Due);
        if probe && let Some(tail) = recovery.and_then(|recovery| self.tail(recovery, terms, mss)) {
            return Some(tail);
        }
        let room = self.pace_room(now, mss);
        if room == 0 {
            return None;
        }
        let pipe = recovery.map_or(0, Recovery::pipe);
        // Without a segment in flight nothing would ever be acknowledged.
        let allowed = self.congestion_window(mss).saturating_sub(pipe).max(if pipe == 0 { mss } else { 0 });
        let new = recovery.and_then(Recovery::frto_room);
        if let Some((start, end)) = recovery.and_then(|recovery| recovery.board.first_lost())
            && new.is_none_or(|left| left == 0)
        {
            if new.is_some() {
                return None;
            }
            let una = recovery.map_or(0, |recovery| recovery.board.una);
            let seq = self.una + u32::try_from(start.saturating_sub(una)).unwrap_or(0);
            let run = u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX);
            return self.again(seq, run, allowed.min(room.max(mss)), terms, mss);
        }
        if self.ecn.held {
            return None;
        }
        let Some(left) = new else { return self.piece(self.nxt, allowed, room, terms, mss) };
        // What is to tell a timeout from a delay does not wait for more.
        let eager = Terms { nodelay: true, corked: false, ..*terms };
        self.piece(self.nxt, allowed.min(left), room, &eager, mss)
    }

    /// What has been written from `seq` on and may leave, as far as `allowed` and the window reach. It may be cut to
    /// `room`, at a segment's end.
    fn piece(
        &self,
        seq: carrick_wire::SeqNum,
        allowed: u32,
        room: u32,
        terms: &Terms,
        mss: u32,
    ) -> Option<Sendable> {
        let queued = u32::try_from(terms.queued).unwrap_or(u32::MAX);
        let offset = seq.distance_from(self.una);
        let unsent = queued.saturating_sub(offset);
        let fin = self.fin && offset <= queued && !self.fin_done;
        if unsent == 0 && !fin {
            return None;
        }
        let window = self.wnd.saturating_sub(offset);
        let allowed = window.min(allowed);
        let mut len = unsent.min(allowed).min(room);
        let whole = len == unsent;
        // A FIN is an octet of sequence space: it waits for the peer's window like text. It makes no congestion.
        let mut fin_fits = fin && whole && len < window;
        if len == 0 && !fin_fits {
            return None;
        }
        if len < mss {
            // What would fill a segment, had the peer room for it, no cork holds back: it would be full no sooner.
            let corked = terms.corked && (unsent < mss || window >= mss);
            // Silly windows: all there is, or half the largest window.
            let worth =
                (whole || len >= self.max_wnd / 2) && self.partial_may_leave(&Terms { corked, ..*terms });
            if !worth && self.forced == Forced::Nothing {
                return None;
            }
        } else if !whole || !(self.forced != Forced::Nothing || self.partial_may_leave(terms)) {
            len = len.saturating_sub(len.checked_rem(mss).unwrap_or(0));
            fin_fits = false;
        }
        Some(Sendable { seq, len: len as usize, fin: fin_fits })
    }

    /// What a timeout asks for where the window lets nothing through: an octet, or our FIN.
    fn octet(&self, terms: &Terms) -> Option<Sendable> {
        let fin = self.fin && !self.fin_done && terms.queued == 0;
        (terms.queued > 0 || fin).then(|| Sendable { seq: self.una, len: terms.queued.min(1), fin })
    }

    /// The first `run` bytes from `seq` on, which are lost, once more.
    fn again(
        &self,
        seq: carrick_wire::SeqNum,
        run: u32,
        allowed: u32,
        terms: &Terms,
        mss: u32,
    ) -> Option<Sendable> {
        let queued = u32::try_from(terms.queued).unwrap_or(u32::MAX);
        let offset = seq.distance_from(self.una);
        let window = self.wnd.saturating_sub(offset);
        if seq + run == self.nxt && run.checked_rem(mss) != Some(0) && run < queued.saturating_sub(offset) {
            // What filled no segment may be filled up with what came after.
            let most = run.checked_next_multiple_of(mss).unwrap_or(run);
            let eager = Terms { nodelay: true, corked: false, ..*terms };
            return self.piece(seq, allowed.min(most), most, &eager, mss);
        }
        let text = run.min(queued.saturating_sub(offset));
        let mut len = text.min(allowed).min(window);
        // What was sent beyond the text is our FIN, which goes with the last of it.
        let last = self.nxt.after(self.una + queued) && offset.saturating_add(len) == queued;
        let fin = last && len == text && len < window;
        if len < text {
            let whole = len.saturating_sub(len.checked_rem(mss).unwrap_or(0));
            // Silly windows: half the largest window, if not a segment; but a fast retransmission is not to wait.
            let hurry = seq == self.una && self.recovery() == crate::RecoveryState::Recovery;
            let worth = window == len && (hurry || len >= self.max_wnd / 2);
            len = if whole > 0 || !worth { whole } else { len };
        }
        (len > 0 || fin).then_some(Sendable { seq, len: len as usize, fin })
    }

    /// The probe of a tail loss (RFC 8985 §7.3): a new segment if there is one, or else the last once more.
    fn tail(&self, recovery: &Recovery, terms: &Terms, mss: u32) -> Option<Sendable> {
        let eager = Terms { nodelay: true, corked: false, ..*terms };
        let beyond = self.nxt.distance_from(self.una);
        if fault!(self, ProbeBeyondWindow) && terms.queued > beyond.saturating_add(mss) as usize {
            return Some(Sendable { seq: self.nxt, len: mss as usize, fin: false });
        }
        if let Some(new) = self.piece(self.nxt, mss, mss, &eager, mss) {
            return Some(new);
        }
        let start = recovery.board.last_segment()?;
        let offset = u32::try_from(start.saturating_sub(recovery.board.una)).ok()?;
        let run = u32::try_from(recovery.board.nxt.saturating_sub(start)).unwrap_or(u32::MAX);
        self.again(self.una + offset, run, mss, terms, mss)
    }

    /// When something that only waits for its turn may leave. `queued` bytes lie from SND.UNA on.
    pub(crate) fn turn(&self, queued: usize, mss: impl FnOnce() -> u32, now: Instant) -> Option<Instant> {
        let recovery = self.recovery.as_deref().filter(|recovery| recovery.waits(now))?;
        let mss = mss();
        let at = self.pace_deadline(recovery, mss)?;
        let fits = self.congestion_window(mss) > recovery.pipe() && !self.is_idle(queued);
        let window = self.wnd > self.nxt.distance_from(self.una) || recovery.board.lost() > 0;
        (fits && window).then_some(at)
    }

    /// Whether it is text that has never been sent before, and no probe of a closed window.
    pub(crate) fn is_new_text(&self, sent: &Sendable) -> bool {
        sent.len > 0 && sent.seq.at_or_after(self.nxt) && self.wnd > 0
    }

    /// Nagle's rule and the cork. Neither holds back what no text can follow any more, what is urgent, or what
    /// has been sent before.
    fn partial_may_leave(&self, terms: &Terms) -> bool {
        let small_outstanding = self.small.after(self.una);
        let free = !terms.corked && (terms.nodelay || !small_outstanding);
        free || self.fin || terms.urgent
    }

    /// At least a segment, whatever the controller says; and during a repair what that has come to.
    pub(crate) fn congestion_window(&self, smss: u32) -> u32 {
        let window = self.congestion.get().window().max(smss);
        match self.recovery.as_ref().and_then(|recovery| recovery.episode) {
            Some(Episode { kind: Kind::Loss | Kind::Echo, window, .. }) => window,
            Some(Episode { kind: Kind::Timeout(_), .. }) | None => window,
        }
    }
}
