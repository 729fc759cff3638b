//! Explicit congestion notification (RFC 3168): what the two halves of an open connection remember of it.
//!
//! Routers mark packets of new text (CE) rather than drop them. The receiving half echoes a mark in every segment
//! that it sends (ECE) until the sending half of the peer says that it has slowed down (CWR). What the SYNs agree on
//! is in `connection::handshake`; nothing of all this exists before both have, whatever the bits of a packet say.

use crate::Segment;
use carrick_wire::{Ecn, SeqNum, TcpFlags};
use core::hash::Hasher;

/// The receiving half (RFC 3168 §6.1.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Echo {
    /// Not agreed on: a mark means nothing.
    #[default]
    Off,
    /// No mark has come since the last CWR.
    Quiet,
    /// What is sent carries ECE.
    Echoing,
}

impl Echo {
    /// Text has come that reaches beyond `nxt`, RCV.NXT, in the window, or probes a closed one. True if the peer should
    /// have its ACK at once: it is to slow down, or has done so and may have to wait for every ACK.
    pub(crate) fn on_text(&mut self, segment: &Segment<'_>, nxt: SeqNum) -> bool {
        if *self == Self::Off || segment.has(TcpFlags::SYN) {
            return false;
        }
        // Of a super-segment CWR is the first segment's, which may be old: then it answers nothing that we echo now.
        let (before, cwr) = (*self, segment.has(TcpFlags::CWR) && segment.new_seq(nxt) == segment.seq);
        if segment.ecn == Ecn::Ce {
            // One that says CWR as well was marked after the peer had slowed down.
            *self = Self::Echoing;
        } else if cwr {
            *self = Self::Quiet;
        }
        cwr || *self != before
    }
}

/// The sending half (RFC 3168 §6.1.2).
///
/// Invariant: `reduced` lies between SND.UNA - 1 and SND.NXT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response {
    /// SND.NXT when the window was last reduced, for whatever reason: an ECE that acknowledges no more than that is
    /// about the same window of data, or the peer has not seen our CWR.
    reduced: SeqNum,
    /// Agreed on: new text is ECN-capable, and ECE means something.
    pub(crate) on: bool,
    /// The next new text carries CWR.
    pub(crate) cwr: bool,
    /// The window is as small as it gets and still there is congestion: no new text until the retransmission timer
    /// expires.
    pub(crate) held: bool,
}

impl Response {
    pub(crate) const fn new(iss: SeqNum) -> Self {
        Self { reduced: iss, on: false, cwr: false, held: false }
    }

    /// The window has been reduced.
    pub(crate) fn on_reduced(&mut self, nxt: SeqNum) {
        self.reduced = nxt;
        self.cwr = self.on;
    }

    /// The last reduction has been taken back, `before` which this was known. A CWR that has not left is for an earlier
    /// one, or for none.
    pub(crate) fn on_undone(&mut self, before: &Self, una: SeqNum) {
        self.reduced = before.reduced.max(una - 1);
        self.cwr &= before.cwr;
    }

    /// Whether the window was reduced for what is still outstanding.
    pub(crate) fn is_reducing(&self, una: SeqNum) -> bool {
        self.on && self.reduced.after(una)
    }

    /// SND.UNA has moved.
    pub(crate) fn on_advance(&mut self, una: SeqNum) {
        self.reduced = self.reduced.max(una - 1);
    }

    /// Whether an ECE that acknowledges `ack` tells of congestion since the last reduction.
    pub(crate) fn is_news(&self, ack: SeqNum) -> bool {
        self.on && ack.after(self.reduced)
    }

    /// Whether the window has been reduced since the byte at `seq` was first sent.
    pub(crate) fn reduced_since(&self, seq: SeqNum) -> bool {
        seq.before(self.reduced)
    }

    pub(crate) fn digest(&self, iss: SeqNum, state: &mut impl Hasher) {
        let Self { reduced, on, cwr, held } = self;
        state.write_u32(reduced.distance_from(iss));
        state.write(&[u8::from(*on), u8::from(*cwr), u8::from(*held)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much has been acknowledged since the last reduction: numbers are compared on a circle.
    #[test]
    fn an_echo_is_news_whenever_una_passes_the_last_reduction_again() {
        let mut response = Response { on: true, ..Response::new(SeqNum::new(77)) };
        let mut una = SeqNum::new(78);
        response.on_reduced(una + 1000);
        for _ in 0..10 {
            una += 1 << 30;
            response.on_advance(una);
            assert!(response.is_news(una) && !response.is_news(una - 1));
            assert!(!response.reduced_since(una));
        }
    }

    #[test]
    fn also_where_a_reduction_was_taken_back_long_after_the_one_before_it() {
        let mut response = Response { on: true, ..Response::new(SeqNum::new(77)) };
        let before = response;
        let una = SeqNum::new(78) + (1 << 30);
        response.on_advance(una);
        response.on_reduced(una + 1000);
        response.on_undone(&before, una);
        assert!(response.is_news(una + (1 << 30)));
    }
}
