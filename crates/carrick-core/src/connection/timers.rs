//! Deadlines: one of each kind at most (RFC 9293 §3.10.8, RFC 6298 §5).

use super::{Connection, Last, Opening, Push, State};
use crate::send::CORK;
use crate::state::Phase;
use crate::{ConnectionError, Cx, Instant};
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// Timers that are served so late tell more of our own sleep than of the peer's.
const LEAP: Duration = Duration::from_secs(1);
/// The least time before and between keep-alive probes: the answers of a healthy peer need some.
const LEAST_SILENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Timer {
    /// Something sent is not acknowledged.
    Retransmit,
    /// The window is closed, or too small to be worth using; or the application holds back what does not fill a
    /// segment.
    Persist,
    /// What ends the connection's life whatever happens, one at a time: two maximum segment lifetimes in
    /// TIME-WAIT; the limit of FIN-WAIT-2 once the application has let go; before that its linger time.
    Life,
    /// Text is not acknowledged yet.
    DelayedAck,
    /// Nothing is under way, and nothing has been heard of the peer.
    KeepAlive,
    /// A writer was turned away for want of memory.
    Room,
}

impl Timer {
    const ALL: [Self; 6] =
        [Self::Life, Self::Retransmit, Self::Persist, Self::DelayedAck, Self::KeepAlive, Self::Room];
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

    pub(super) fn is_running(&self, timer: Timer) -> bool {
        self.get(timer) != Instant::NEVER
    }

    pub(super) fn set(&mut self, timer: Timer, deadline: Instant) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = deadline;
        }
    }

    pub(super) fn start(&mut self, timer: Timer, deadline: Instant) {
        self.start_with(timer, || deadline);
    }

    /// Most are running, when they are asked to run.
    fn start_with(&mut self, timer: Timer, deadline: impl FnOnce() -> Instant) {
        if self.get(timer) == Instant::NEVER {
            self.set(timer, deadline());
        }
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.set(timer, Instant::NEVER);
    }

    /// New data has been acknowledged: what is left gets a full timeout (RFC 6298 §5.3). `rearm` starts it.
    pub(super) fn restart_retransmission(&mut self) {
        self.stop(Timer::Retransmit);
    }

    /// A deadline that is set comes no later than this.
    fn bound(&mut self, timer: Timer, latest: Instant) {
        let deadline = self.get(timer);
        if deadline != Instant::NEVER {
            self.set(timer, deadline.min(latest));
        }
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
        self.early_timeout(cx);
        for timer in Timer::ALL {
            let deadline = self.timers.get(timer);
            if deadline > cx.now || deadline == Instant::NEVER {
                continue;
            }
            self.timers.stop(timer);
            match timer {
                Timer::Retransmit | Timer::Persist if self.user_timeout_is_over(cx.now, deadline) => {
                    self.give_up();
                }
                Timer::Retransmit => self.retransmission_timeout(cx),
                Timer::Persist => self.persist_timeout(),
                Timer::Life => self.life_is_over(),
                Timer::DelayedAck => self.delayed_ack_timeout(),
                Timer::KeepAlive => self.keep_alive_timeout(cx),
                Timer::Room => self.offer_room(),
            }
        }
    }

    /// What comes before the retransmission timer (RFC 8985 §6.2, §7.2).
    fn early_timeout(&mut self, cx: &Cx) {
        let queued = self.to_send.len();
        let State::Open(open) = &mut self.state else { return };
        if open.snd.early_deadline().is_none_or(|at| at > cx.now) {
            return;
        }
        let smss = open.segment_size(self.tuple.local, self.path.mtu, 0);
        let unsent = open.snd.has_unsent(queued);
        if open.snd.on_early(cx.now, smss.into(), unsent) {
            self.timers.restart_retransmission();
        }
    }

    fn retransmission_timeout(&mut self, cx: &Cx) {
        let mut asked = false;
        let (retries, limit) = match &mut self.state {
            State::SynSent(opening) | State::SynReceived(opening, _) => {
                let Opening { retries, rtt, due, .. } = opening;
                *retries = retries.saturating_add(1);
                rtt.back_off();
                *due = true;
                (*retries, self.config.syn_retries)
            }
            State::Open(_) if fault!(self.config, NothingRepeated) => return,
            State::Open(_) if fault!(self.config, FinNotRepeated) && self.to_send.is_empty() => return,
            State::Open(open) => {
                if open.snd.release() {
                    return;
                }
                let smss = open.segment_size(self.tuple.local, self.path.mtu, 0);
                open.snd.note_idleness(self.to_send.len());
                asked = open.snd.has_asked_in_vain(smss.into());
                open.snd.on_timeout(cx.now, smss.into());
                if fault!(self.config, NoBackoff) {
                    open.snd.rtt.sample(open.snd.rtt.srtt().unwrap_or_default(), 1, cx.now);
                }
                (open.snd.retries, self.config.retries)
            }
            State::TimeWait(_) | State::Closed(_) => return,
        };
        self.unanswered(retries, limit);
        self.path_timeout(cx.now, asked);
    }

    fn persist_timeout(&mut self) {
        let State::Open(open) = &mut self.state else { return };
        if fault!(self.config, CorkEndless) && self.corked && open.snd.wnd > 0 {
            return;
        }
        open.snd.on_persist();
        // What has waited for more for so long is not followed soon.
        self.push = Push::Yes;
        let retries = open.snd.retries;
        if open.snd.wnd == 0 {
            self.unanswered(retries, self.config.retries);
        }
    }

    /// The thresholds R1 and R2 (RFC 9293 §3.8.3), in repetitions that nobody has answered.
    fn unanswered(&mut self, retries: u8, r2: u8) {
        if retries > r2 && self.user_timeout().is_none() && !fault!(self.config, NeverGivesUp) {
            self.give_up();
        } else if retries == self.config.r1 && self.soft_error.is_none() {
            self.note_soft_error(ConnectionError::TimedOut);
        }
    }

    /// How long the peer may leave us without an acknowledgment, if time decides: the user timeout, and less for
    /// an orphan.
    pub(super) fn patience(&self) -> Option<Duration> {
        let asked = self.user_timeout().filter(|_| !fault!(self.config, UserTimeoutIgnored));
        if self.released && !fault!(self.config, OrphanEndless) {
            Some(asked.map_or(self.config.orphan_timeout, |asked| asked.min(self.config.orphan_timeout)))
        } else {
            asked
        }
    }

    /// Whether the peer has been asked once more at least.
    const fn has_asked_again(&self) -> bool {
        match &self.state {
            State::SynSent(opening) | State::SynReceived(opening, _) => opening.retries > 0,
            State::Open(open) => open.snd.retries > 0 || open.snd.probes > 0,
            State::TimeWait(_) | State::Closed(_) => false,
        }
    }

    /// USER TIMEOUT (RFC 9293 §3.10.8). A clock that has leapt over the deadline is no evidence against the peer:
    /// it is asked once more. Nor is what we have held back ourselves.
    fn user_timeout_is_over(&self, now: Instant, deadline: Instant) -> bool {
        let leapt = now.since(deadline) >= LEAP;
        let has_asked = !matches!(&self.state, State::Open(open) if !open.snd.outstanding());
        (self.has_asked_again() || (has_asked && !leapt))
            && self.patience().is_some_and(|limit| now.since(self.moved) >= limit)
    }

    /// R2, or the user timeout. A peer that answers, but keeps its window closed to an orphan, is told.
    fn give_up(&mut self) {
        let reset = match &self.state {
            State::Open(open) if self.released => Some(Last::reset(open)),
            _ => None,
        };
        self.end(Some(self.soft_error.unwrap_or(ConnectionError::TimedOut)), reset);
    }

    fn delayed_ack_timeout(&mut self) {
        let State::Open(open) = &mut self.state else { return };
        open.rcv.acks.on_delay_over();
        if !fault!(self.config, DelayedAckForgotten) {
            self.acks_due = self.acks_due.max(1);
        }
    }

    /// Nothing has been heard of the peer for long (RFC 9293 §3.8.4). However late the timer is, each probe gets
    /// its time to be answered.
    fn keep_alive_timeout(&mut self, cx: &Cx) {
        let Some(keep_alive) = self.config.keep_alive else { return };
        if self.keep_alive_probes >= keep_alive.retries.max(2) && !fault!(self.config, KeepAliveEndless) {
            return self.give_up();
        }
        self.keep_alive_probes = self.keep_alive_probes.saturating_add(1);
        self.keep_alive_due = !fault!(self.config, KeepAliveSilent);
        self.timers.set(Timer::KeepAlive, cx.now + keep_alive.interval.max(LEAST_SILENCE));
    }

    /// Starts and stops the timers that follow from the state. Exactly one of retransmission and persist
    /// runs while anything is outstanding, due or held back. What is due counts as sent for that: a device that never
    /// has room is a peer that never answers. `commit` starts the timer anew when it leaves.
    pub(super) fn rearm(&mut self, now: Instant) {
        let queued = self.to_send.len();
        // While it lies ahead, the end of patience is a deadline of its own.
        let latest = self.patience().map(|limit| self.moved + limit).filter(|latest| *latest > now);
        match &self.state {
            State::SynSent(opening) | State::SynReceived(opening, _) => {
                self.timers.start(Timer::Retransmit, opening.rtt.rto_at(now));
            }
            State::Open(open) => {
                let snd = &open.snd;
                let rto = || snd.rtt.rto_at(now);
                let segment_size = || u32::from(open.segment_size(self.tuple.local, self.path.mtu, 0));
                let corked = self.holds_back() && snd.wnd > 0 && snd.only_partial(queued, segment_size());
                if (snd.outstanding() || snd.ecn.held) && snd.wnd > 0 {
                    self.timers.start_with(Timer::Retransmit, rto);
                    if corked {
                        self.timers.start(Timer::Persist, now + CORK);
                    } else {
                        self.timers.stop(Timer::Persist);
                    }
                } else if corked {
                    self.timers.start(Timer::Persist, now + CORK);
                    self.timers.stop(Timer::Retransmit);
                } else if snd.wnd > 0
                    && !snd.is_idle(queued)
                    && snd.sendable(&self.terms(), segment_size(), now).is_some()
                {
                    self.timers.start_with(Timer::Retransmit, rto);
                    self.timers.stop(Timer::Persist);
                } else if (snd.outstanding() || snd.pending(queued)) && !fault!(self.config, NoPersist) {
                    self.timers.start(Timer::Persist, now + snd.persist_interval(self.config.max_rto));
                    self.timers.stop(Timer::Retransmit);
                } else {
                    self.timers.stop(Timer::Retransmit);
                    self.timers.stop(Timer::Persist);
                }
                let waiting = snd.outstanding() || snd.pending(queued);
                match self.config.keep_alive {
                    Some(keep_alive) if !waiting => {
                        let least = self.user_timeout().unwrap_or_default().max(LEAST_SILENCE);
                        let idle = keep_alive.idle.max(least);
                        self.timers.start(Timer::KeepAlive, now + idle);
                    }
                    _ => self.timers.stop(Timer::KeepAlive),
                }
                if self.released && open.phase == Phase::FinWait2 {
                    self.timers.start(Timer::Life, now + self.config.fin_wait_2);
                }
            }
            State::TimeWait(_) | State::Closed(_) => {}
        }
        if let State::Open(open) = &mut self.state {
            open.snd.note_limit(queued, self.wants_room, now);
            if open.snd.has_recovery() {
                let segment_size = || open.segment_size(self.tuple.local, self.path.mtu, 0).into();
                let turn = open.snd.turn(queued, segment_size, now);
                open.snd.arm_early(turn, self.timers.get(Timer::Retransmit));
            }
        }
        if let Some(latest) = latest {
            self.timers.bound(Timer::Retransmit, latest);
            self.timers.bound(Timer::Persist, latest);
        }
    }
}
