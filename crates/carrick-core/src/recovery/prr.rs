//! Proportional rate reduction (RFC 9937): how the flight comes down to the window that the controller names after a
//! loss, over a round trip and in step with what is delivered.

/// One reduction. All amounts are bytes.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Prr {
    /// RecoverFS: what was in flight when it began, losses included.
    flight: u32,
    delivered: u64,
    out: u64,
}

impl Prr {
    /// A reduction begins with `flight` bytes in flight, losses included, and what the acknowledgment that began it has
    /// delivered.
    pub(crate) fn new(flight: u32) -> Self {
        Self { flight: flight.max(1), delivered: 0, out: 0 }
    }

    /// RecoverFS.
    pub(crate) const fn flight(&self) -> u32 {
        self.flight
    }

    /// Whether nothing has happened since it began.
    pub(crate) const fn is_new(&self) -> bool {
        self.delivered == 0 && self.out == 0
    }

    /// RFC 9937 §6.3.
    pub(crate) fn on_sent(&mut self, len: u32) {
        self.out = self.out.saturating_add(len.into());
    }

    /// RFC 9937 §6.2: the window after an acknowledgment that delivered so much, with `pipe` bytes in flight; `safe`
    /// says that it advanced SND.UNA and told of no further loss. Where there is something to repair the first
    /// repetition always goes, as a whole segment: the RFC forces one only where nothing could leave, but a part of one
    /// would not leave either.
    pub(crate) fn on_ack(
        &mut self,
        delivered: u32,
        pipe: u32,
        ssthresh: u32,
        safe: bool,
        repair: bool,
        smss: u32,
    ) -> u32 {
        self.delivered = self.delivered.saturating_add(delivered.into());
        let count = if pipe > ssthresh {
            let share = u128::from(self.delivered).saturating_mul(ssthresh.into());
            let share = share.div_ceil(u128::from(self.flight.max(1)));
            u64::try_from(share).unwrap_or(u64::MAX).saturating_sub(self.out)
        } else {
            let conserve = self.delivered.saturating_sub(self.out).max(delivered.into());
            let more = if safe { conserve.saturating_add(smss.into()) } else { conserve };
            more.min(ssthresh.saturating_sub(pipe).into())
        };
        let count = if repair && self.out == 0 { count.max(smss.into()) } else { count };
        pipe.saturating_add(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
