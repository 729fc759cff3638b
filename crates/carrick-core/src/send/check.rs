//! Whether what is known of losses agrees with itself, for the oracles of simulations.

use super::{Forced, Sender};
use crate::congestion::{Congestion, MAX_WINDOW};
use crate::recovery::{Probe, Recovery};

impl Sender {
    /// What must hold after any call, with full segments of `smss` bytes. The board is walked if it has at most so many
    /// ranges.
    pub(crate) fn check(&self, smss: u32, most: usize) -> Result<(), &'static str> {
        let window = self.congestion.get().window();
        let own = matches!(self.congestion, Congestion::Default(_));
        if own && !(smss..=MAX_WINDOW).contains(&window) {
            return Err("the congestion window is less than a segment, or more than its cap");
        }
        let outstanding = self.nxt.distance_from(self.una);
        let Some(recovery) = &self.recovery else {
            return if outstanding == 0 { Ok(()) } else { Err("nothing is known of what is outstanding") };
        };
        recovery.check(outstanding)?;
        if recovery.board.ranges() <= most { recovery.board.check() } else { Ok(()) }
    }

    /// Whether what is to leave next is a probe: of a tail, of a window, or what a timeout asks for.
    pub(crate) fn is_probing(&self) -> bool {
        let tail = self.recovery.as_ref().is_some_and(|recovery| recovery.probe == Probe::Due);
        tail || self.forced == Forced::Probe
    }
}

impl Recovery {
    fn check(&self, outstanding: u32) -> Result<(), &'static str> {
        let (una, nxt) = (self.board.una, self.board.nxt);
        if nxt.checked_sub(una) != Some(outstanding.into()) {
            return Err("the board does not reach from SND.UNA to SND.NXT");
        }
        if self.board.sacked().saturating_add(self.board.lost()) > outstanding {
            return Err("more is SACKed or lost than is outstanding");
        }
        if self.duplicate_bytes > outstanding {
            return Err("duplicates stand for more than is outstanding");
        }
        if self.episode.is_some_and(|episode| episode.point > nxt || episode.point < una) {
            return Err("a repair ends below SND.UNA, or beyond SND.NXT");
        }
        if matches!(self.probe, Probe::Sent { end, .. } if end > nxt) {
            return Err("a probe has left that ends beyond SND.NXT");
        }
        let repeated = self.undo.iter().flat_map(|undo| &undo.repeated);
        if repeated.into_iter().any(|(start, end)| start >= end || *end > nxt) {
            return Err("something was sent again that is empty, or beyond SND.NXT");
        }
        Ok(())
    }
}
