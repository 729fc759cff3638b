//! How long there has been something to send, and what kept it: the peer's window, or an application whose send buffer
//! was full (as Linux's chronographs). In milliseconds modulo 2^32; a sum that is running lacks the moment when it
//! began.

use super::{Sender, Tally};
use crate::Instant;
use crate::connection::handshake::ts_clock;
use core::time::Duration;

/// What a sender waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limit {
    /// There is nothing to send, and nothing is under way.
    Idle,
    /// The path, the congestion window, or the end of a segment.
    Busy,
    /// The peer's window.
    Window,
    /// The application, which waits for room in the send buffer.
    Buffer,
}

impl Sender {
    /// What it waits for, if it may send at present all that other rules let. `queued` bytes lie from SND.UNA on; a
    /// writer may have been turned away.
    fn limit(&self, queued: usize, wants_room: bool) -> Limit {
        if queued == 0 && !self.outstanding() {
            return Limit::Idle;
        }
        let sent = self.nxt.distance_from(self.una);
        let unsent = u32::try_from(queued).unwrap_or(u32::MAX).saturating_sub(sent);
        let (waits, limit) = if unsent == 0 {
            (wants_room, Limit::Buffer)
        } else {
            (self.wnd.saturating_sub(sent) < unsent.min(self.peer_mss.into()), Limit::Window)
        };
        if waits && self.in_flight() < self.congestion.get().window() { limit } else { Limit::Busy }
    }

    /// Something may have changed.
    #[inline]
    pub(crate) fn note_limit(&mut self, queued: usize, wants_room: bool, now: Instant) {
        let limit = self.limit(queued, wants_room);
        if self.limit != limit {
            self.set_limit(limit, now);
        }
    }

    #[inline(never)]
    fn set_limit(&mut self, limit: Limit, now: Instant) {
        let before = core::mem::replace(&mut self.limit, limit);
        let now = ts_clock(now, 0);
        if before == Limit::Idle {
            self.busy = self.busy.wrapping_sub(now);
        }
        if limit == Limit::Idle {
            self.busy = self.busy.wrapping_add(now);
        }
        for (this, now) in [(before, now), (limit, now.wrapping_neg())] {
            if matches!(this, Limit::Window | Limit::Buffer) {
                let tally = self.tally.get_or_insert_default();
                let sum = if this == Limit::Window { &mut tally.no_window } else { &mut tally.no_room };
                *sum = sum.wrapping_add(now);
            }
        }
        // A wait of no length leaves nothing.
        self.tally.take_if(|tally| **tally == Tally::default());
    }

    /// How long it has been busy, for want of a window, and of room for the application, until now.
    pub(crate) fn busy_times(&self, now: Instant) -> [Duration; 3] {
        let (tally, now) = (self.tally(), ts_clock(now, 0));
        let busy = (self.busy, self.limit != Limit::Idle);
        let window = (tally.no_window, self.limit == Limit::Window);
        let room = (tally.no_room, self.limit == Limit::Buffer);
        [busy, window, room].map(|(sum, runs)| {
            let sum = if runs { sum.wrapping_add(now) } else { sum };
            Duration::from_millis(sum.into())
        })
    }
}
