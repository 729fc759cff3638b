//! Whether what was done about losses was right (RFC 2883, RFC 3522, RFC 3708, RFC 5682).

use super::Sender;
use super::acked::Ack;
use crate::recovery::board::Delivery;
use crate::recovery::{Episode, Frto, Kind, Recovery, Undo};
use carrick_wire::SeqNum;

impl Sender {
    /// Whether what was sent again since the repair began had arrived before.
    pub(super) fn is_spurious(
        &mut self,
        recovery: &mut Recovery,
        ack: &Ack<'_>,
        advanced: bool,
        delivery: &Delivery,
    ) -> bool {
        let duplicate = ack.duplicate;
        let known = self.reordering.dsack;
        if duplicate.is_some() {
            self.reordering.dsack = true;
            let tally = self.tally.get_or_insert_default();
            tally.duplicates = tally.duplicates.wrapping_add(1);
            if recovery.board.una >= recovery.widened {
                self.reordering.widen();
                recovery.widened = recovery.board.nxt.max(recovery.board.una.saturating_add(1));
            }
        }
        let (una, repairing) = (recovery.board.una, recovery.is_repairing());
        let Some(undo) = &mut recovery.undo else { return false };
        if fault!(self, UndoNever) || fault!(self, UndoAlways) {
            return fault!(self, UndoAlways) && advanced && repairing;
        }
        if undo.first.is_some() {
            // Eifel (RFC 3522 §3.2), for each repetition by itself: what came is older than that. If all is
            // acknowledged the peer might have answered both copies with one acknowledgment.
            let telling = duplicate.is_none() && (self.una != self.nxt || known);
            if telling && delivery.needless > 0 {
                undo.bytes = undo.bytes.saturating_sub(delivery.needless);
                undo.reports = undo.reports.saturating_add(delivery.needless);
                self.reordering.seen |= !undo.timeout;
                if undo.bytes == 0 && repairing {
                    return true;
                }
            }
            // The peer reports duplicates (RFC 2883; RFC 3708, of what this repair has sent again).
            if let Some((left, right)) = duplicate.filter(|(left, right)| left.before(*right)) {
                let number = |seq: SeqNum| una.saturating_add_signed(i64::from(seq - self.una));
                let len = if fault!(self, ForeignDuplicates) {
                    right.distance_from(left)
                } else {
                    undo.on_duplicate(number(left), number(right))
                };
                let known = len.min(undo.reports);
                undo.reports = undo.reports.saturating_sub(known);
                undo.bytes = undo.bytes.saturating_sub(len.saturating_sub(known));
                if len > 0 && undo.bytes == 0 {
                    return true;
                }
            }
        } else if repairing && !undo.timeout && recovery.board.lost() == 0 {
            // What was thought lost has come, and no part of it had been sent again.
            return true;
        }
        self.check_timeout(recovery, ack, advanced, delivery)
    }

    /// F-RTO (RFC 5682 §2.1, with SACK §3.1): true if the timeout was none.
    #[cold]
    fn check_timeout(
        &self,
        recovery: &mut Recovery,
        ack: &Ack<'_>,
        advanced: bool,
        delivery: &Delivery,
    ) -> bool {
        let again = recovery.board.first_is_resent();
        let gullible = fault!(self, FrtoGullible);
        let Some(Episode { kind: Kind::Timeout(frto), point, .. }) = &mut recovery.episode else {
            return false;
        };
        match *frto {
            Frto::Off => {}
            Frto::First if advanced => {
                // A part of a segment might have to wait, and what waits tells nothing.
                let room =
                    ack.unsent && ack.window >= self.nxt.distance_from(self.una).saturating_add(ack.smss);
                *frto = if room && !again { Frto::Second(ack.smss.saturating_mul(2)) } else { Frto::Off };
            }
            Frto::Second(_) if gullible => return true,
            Frto::First if !self.sack && ack.repeats => *frto = Frto::Off,
            Frto::First => {}
            Frto::Second(_) if self.sack => match delivery.original {
                Some(end) if end <= *point => return true,
                Some(_) => *frto = Frto::Off,
                None if advanced || ack.repeats => *frto = Frto::Off,
                None => {}
            },
            Frto::Second(_) if advanced => return true,
            Frto::Second(_) if ack.repeats => *frto = Frto::Off,
            Frto::Second(_) => {}
        }
        false
    }

    /// The repair was needless: what it thought lost is under way. Whether it began with a timeout, if the controller's
    /// reduction is to be taken back.
    #[cold]
    pub(super) fn take_back(&mut self, recovery: &mut Recovery) -> Option<bool> {
        let Undo { timeout, before, .. } = recovery.undo.take()?;
        recovery.board.forgive();
        recovery.episode = None;
        recovery.recover = None;
        (recovery.duplicates, recovery.duplicate_bytes) = (0, 0);
        if timeout {
            self.rtt.on_spurious_timeout();
        } else {
            // It was overtaken, then.
            self.reordering.seen = true;
        }
        self.ecn.on_undone(&before?, self.una);
        Some(timeout)
    }
}
