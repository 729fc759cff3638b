//! What simulations ask after every step, beside what any user may know.

use super::timers::Timer;
use super::{Connection, State};
use crate::Instant;

impl Connection {
    /// Whether the sender agrees with itself: its board of what was sent, which is walked if it has at most `most`
    /// ranges; what is in flight; its window; and a timer while something is outstanding or waits to be sent. For
    /// tests.
    ///
    /// # Errors
    /// What does not hold.
    #[doc(hidden)]
    pub fn check_sender(&self, most: usize) -> Result<(), &'static str> {
        let State::Open(open) = &self.state else { return Ok(()) };
        let smss = open.segment_size(self.tuple.local, self.path.mtu, 0);
        open.snd.check(smss.into(), most)?;
        // At the end of time no timer can be set.
        let ends = self.clock + self.config.max_rto == Instant::NEVER;
        let waits = open.snd.outstanding() || open.snd.pending(self.to_send.len());
        let runs = [Timer::Retransmit, Timer::Persist].iter().any(|timer| self.timers.is_running(*timer));
        if waits && !ends && !runs {
            return Err(
                "something is outstanding or waits, and neither retransmission nor persist timer runs",
            );
        }
        Ok(())
    }

    /// Whether what is to leave next is a probe, which windows do not hold back. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn is_probing(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.snd.is_probing())
    }
}
