//! What may leave now.
//!
//! RFC 9293 §3.7.4 (Nagle), §3.8.6 (the window), §3.8.6.2.1 (silly windows, the sender's side); the congestion
//! window, and a segment that recovery wants repeated.
//!
//! Nagle's rule is used in Minshall's form: text that does not fill a segment waits while *such a segment* is not
//! acknowledged, rather than any. The two agree where the application writes little at a time. Where it writes
//! much, the plain rule would keep the end of every write back until all before it is acknowledged, which a peer
//! that delays acknowledgments makes long, and would cut the end off every super-segment.

use super::{Forced, Sender};

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
        let repeats = self.fast.as_ref().is_some_and(|fast| fast.due) || self.forced == Forced::Probe;
        !repeats && !self.pending(queued)
    }

    /// What may go out, by window and congestion window, in full segments of `mss` or to the end of what is
    /// written; at least an octet if a probe is due.
    pub(crate) fn sendable(&self, terms: &Terms, mss: u32) -> Option<Sendable> {
        let queued = u32::try_from(terms.queued).unwrap_or(u32::MAX);
        if let Some(lost) = self.lost(queued, mss) {
            return Some(lost);
        }
        let probe = self.forced == Forced::Probe;
        if self.ecn.held && self.next == self.nxt && !probe {
            return None;
        }
        let seq = if probe { self.una } else { self.next };
        let offset = seq.distance_from(self.una);
        let unsent = queued.saturating_sub(offset);
        let fin = self.fin && offset <= queued && !self.fin_done;
        if unsent == 0 && !fin {
            return None;
        }
        let window = self.wnd.saturating_sub(offset);
        let allowed = window.min(self.congestion_window(mss).saturating_sub(offset));
        // New text shares no packet with what is sent again, but a segment: it may be ECN-capable, and timed.
        let again = self.nxt.distance_from(seq);
        let most = again.checked_next_multiple_of(mss).filter(|most| *most > 0).unwrap_or(u32::MAX);
        let mut len = unsent.min(allowed).min(most);
        let whole = len == unsent;
        // A FIN is an octet of sequence space: it waits for a window like text.
        let mut fin_fits = fin && whole && len < window;
        if len == 0 && !fin_fits {
            return probe.then(|| Sendable { seq, len: unsent.min(1) as usize, fin: fin && unsent == 0 });
        }
        if len < mss {
            // Silly windows: all there is, or half the largest window.
            let worth = (whole || len >= self.max_wnd / 2) && self.partial_may_leave(terms);
            if !worth && self.forced == Forced::Nothing {
                return None;
            }
        } else if !whole || !(self.forced != Forced::Nothing || self.partial_may_leave(terms)) {
            len = len.saturating_sub(len.checked_rem(mss).unwrap_or(0));
            fin_fits = false;
        }
        Some(Sendable { seq, len: len as usize, fin: fin_fits })
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
        free || self.fin || terms.urgent || self.next != self.nxt
    }

    /// The segment at SND.UNA once more, as far as it has been sent and the window reaches.
    fn lost(&self, queued: u32, mss: u32) -> Option<Sendable> {
        self.fast.as_ref().filter(|fast| fast.due)?;
        let sent = self.nxt.distance_from(self.una);
        let text = queued.min(sent);
        let len = text.min(mss).min(self.wnd);
        // What was sent beyond the text is our FIN.
        let fin = sent > queued && len == queued && len < self.wnd;
        (len > 0 || fin).then_some(Sendable { seq: self.una, len: len as usize, fin })
    }

    /// At least a segment, whatever the controller says: without one nothing would ever be acknowledged.
    fn congestion_window(&self, smss: u32) -> u32 {
        let cwnd = self.congestion.get().window().max(smss);
        self.fast.as_ref().map_or(cwnd, |fast| fast.window(cwnd, self.una, smss))
    }
}
