//! Deadlines: one of each kind at most (RFC 9293 §3.10.8, RFC 6298 §5).

use super::{Connection, Opening, State};
use crate::send::CORK;
use crate::{ConnectionError, Cx, Instant};
use core::hash::{Hash, Hasher};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Timer {
    /// Something sent is not acknowledged.
    Retransmit,
    /// The window is closed, or too small to be worth using; or the application holds back what does not fill a
    /// segment.
    Persist,
    /// The application has gone and the peer does not close.
    FinWait2,
    /// Two maximum segment lifetimes.
    TimeWait,
    /// A writer was turned away for want of memory.
    Room,
}

impl Timer {
    const ALL: [Self; 5] = [Self::Retransmit, Self::Persist, Self::FinWait2, Self::TimeWait, Self::Room];
}

#[derive(Clone, Debug)]
pub(super) struct Timers([Instant; Timer::ALL.len()]);

impl Default for Timers {
    fn default() -> Self {
        Self([Instant::NEVER; Timer::ALL.len()])
    }
}

impl Timers {
    fn get(&self, timer: Timer) -> Instant {
        self.0.get(timer as usize).copied().unwrap_or(Instant::NEVER)
    }

    pub(super) fn set(&mut self, timer: Timer, deadline: Instant) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = deadline;
        }
    }

    fn start(&mut self, timer: Timer, deadline: Instant) {
        if self.get(timer) == Instant::NEVER {
            self.set(timer, deadline);
        }
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.set(timer, Instant::NEVER);
    }

    /// New data has been acknowledged: what is left gets a full timeout (RFC 6298 §5.3). `rearm` starts it.
    pub(super) fn restart_retransmission(&mut self) {
        self.stop(Timer::Retransmit);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.iter().min().copied().filter(|at| *at != Instant::NEVER)
    }

    pub(super) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        for at in self.0 {
            if at == Instant::NEVER { None } else { Some(at.since(now)) }.hash(state);
        }
    }
}

impl Connection {
    /// Does what is due, once for each timer, however late it is.
    pub(super) fn timers_expire(&mut self, cx: &Cx) {
        for timer in Timer::ALL {
            let deadline = self.timers.get(timer);
            if deadline > cx.now || deadline == Instant::NEVER {
                continue;
            }
            self.timers.stop(timer);
            match timer {
                Timer::Retransmit => self.retransmission_timeout(cx),
                Timer::Persist => self.persist_timeout(),
                // Nobody is left who could be told, and nothing is due to the peer (RFC 9293 §3.6, note 9).
                Timer::FinWait2 | Timer::TimeWait => self.end(None, None),
                Timer::Room => self.offer_room(),
            }
        }
    }

    fn retransmission_timeout(&mut self, cx: &Cx) {
        let gave_up = match &mut self.state {
            State::SynSent(opening) | State::SynReceived(opening, _) => {
                let Opening { retries, rtt, due, .. } = opening;
                *retries = retries.saturating_add(1);
                rtt.back_off();
                *due = true;
                *retries > self.config.syn_retries
            }
            State::Open(open) => {
                if open.snd.release() {
                    return;
                }
                open.snd.on_timeout(cx.now);
                open.snd.retries > self.config.retries
            }
            State::TimeWait(_) | State::Closed(_) => false,
        };
        if gave_up {
            self.end(Some(self.soft_error.unwrap_or(ConnectionError::TimedOut)), None);
        }
    }

    fn persist_timeout(&mut self) {
        let State::Open(open) = &mut self.state else { return };
        open.snd.on_persist();
        if open.snd.retries > self.config.retries {
            self.end(Some(self.soft_error.unwrap_or(ConnectionError::TimedOut)), None);
        }
    }

    /// Starts and stops the timers that follow from the state. Exactly one of retransmission and persist
    /// runs while anything is outstanding or held back.
    pub(super) fn rearm(&mut self, now: Instant) {
        let queued = self.to_send.len();
        match &self.state {
            State::SynSent(opening) | State::SynReceived(opening, _) => {
                if opening.sent_at.is_some() && !opening.due {
                    self.timers.start(Timer::Retransmit, now + opening.rtt.rto());
                }
            }
            State::Open(open) => {
                let snd = &open.snd;
                let rto = snd.rtt.rto();
                let segment_size = || u32::from(open.segment_size(self.tuple.local, &self.link, 0));
                let corked = self.corked && snd.wnd > 0 && snd.only_partial(queued, segment_size());
                if (snd.outstanding() || snd.ecn.held) && snd.wnd > 0 {
                    self.timers.start(Timer::Retransmit, now + rto);
                    if corked {
                        self.timers.start(Timer::Persist, now + CORK);
                    } else {
                        self.timers.stop(Timer::Persist);
                    }
                } else if corked {
                    self.timers.start(Timer::Persist, now + CORK);
                    self.timers.stop(Timer::Retransmit);
                } else if snd.outstanding() || snd.pending(queued) {
                    self.timers.start(Timer::Persist, now + snd.persist_interval(self.config.max_rto));
                    self.timers.stop(Timer::Retransmit);
                } else {
                    self.timers.stop(Timer::Retransmit);
                    self.timers.stop(Timer::Persist);
                }
                if self.released && open.phase == crate::state::Phase::FinWait2 {
                    self.timers.start(Timer::FinWait2, now + self.config.fin_wait_2);
                } else {
                    self.timers.stop(Timer::FinWait2);
                }
            }
            State::TimeWait(_) | State::Closed(_) => {}
        }
    }
}
