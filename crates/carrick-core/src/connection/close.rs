//! Closing: by the application, by both sides, by force (RFC 9293 §3.6, §3.10.4, §3.10.5).

use super::timers::{Timer, Timers};
use super::{Closed, Connection, End, Last, Push, State};
use crate::event::TimeWaitRecord;
use crate::queue::ChunkQueue;
use crate::state::Phase;
use crate::{ConnectionError, Cx, Event, Instant};
use carrick_wire::{TcpFlags, WireWindow};
use core::time::Duration;

impl Connection {
    /// No more will be written: a FIN follows what has been. Reading goes on. Calling it again does
    /// nothing. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.send(cx, b"that is all")?;
    /// connection.finish(cx);
    /// assert!(connection.send(cx, b"more").is_err());
    /// # Ok::<(), carrick_core::SendError>(())
    /// # });
    /// ```
    pub fn finish(&mut self, cx: &Cx) {
        let cx = self.advance_clock(cx);
        self.push = Push::Yes;
        match &mut self.state {
            // Remembered until ESTABLISHED: the FIN follows what has been written meanwhile.
            State::SynSent(opening) | State::SynReceived(opening, _) => opening.finish = true,
            State::Open(open) if open.phase.sends() => {
                self.note_waiting(cx.now);
                let State::Open(open) = &mut self.state else { return };
                open.phase = open.phase.on_close();
                open.snd.fin = true;
            }
            State::Open(_) | State::TimeWait(_) | State::Closed(_) => {}
        }
        // Whoever waits to write has nothing to wait for any more.
        if core::mem::take(&mut self.wants_room) {
            self.note(Event::Writable);
        }
        self.rearm(cx.now);
    }

    /// The application lets go of both directions: what was written still goes out, with a FIN behind it;
    /// what was received and not read is lost, which the peer learns from a reset (RFC 9293 §3.6.1), as it
    /// does if it sends more. [`ConnectionConfig::linger`](crate::ConnectionConfig::linger) and
    /// [`orphan_timeout`](crate::ConnectionConfig::orphan_timeout) bound how long that takes; memory that becomes
    /// scarce may end it sooner ([`is_stuck`](Self::is_stuck)). Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use carrick_core::TcpState;
    ///
    /// connection.close(cx);
    /// assert_eq!(connection.state(), TcpState::FinWait1);
    /// # });
    /// ```
    pub fn close(&mut self, cx: &Cx) {
        if self.released {
            return;
        }
        self.released = true;
        let now = self.advance_clock(cx).now;
        let lost = !self.received.is_empty() && !fault!(self.config, UnreadLost);
        self.received = ChunkQueue::default();
        let linger = self.config.linger;
        match &self.state {
            State::TimeWait(_) => self.end = End::TimeWait,
            _ if linger == Some(Duration::ZERO) => self.abort(cx),
            // The text deletes the record without a word; text already written stays due.
            State::SynSent(_) if self.to_send.is_empty() => self.end(Some(ConnectionError::Aborted), None),
            State::Open(open) if lost && open.phase != Phase::LastAck && open.phase != Phase::Closing => {
                self.abort(cx);
            }
            _ => {
                // From here on the wait is an orphan's, and begins now.
                self.moved = now;
                self.finish(cx);
                let waits = !matches!(&self.state, State::Open(open) if open.phase == Phase::FinWait2);
                let linger = linger.filter(|_| !fault!(self.config, LingerEndless));
                if let (Some(linger), true, End::NotYet) = (linger, waits, self.end) {
                    self.timers.set(Timer::Life, now + linger);
                }
            }
        }
        self.rearm(now);
    }

    /// Ends the connection at once with a reset; what was written and not sent is lost (§3.10.5).
    /// Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use carrick_core::TcpState;
    ///
    /// connection.abort(cx);
    /// assert_eq!(connection.state(), TcpState::Closed);
    /// # });
    /// ```
    pub fn abort(&mut self, cx: &Cx) {
        self.abort_with(cx, ConnectionError::Aborted);
    }

    pub(super) fn abort_with(&mut self, cx: &Cx, error: ConnectionError) {
        let now = self.advance_clock(cx).now;
        self.released = true;
        self.received = ChunkQueue::default();
        let reset = match &self.state {
            State::SynSent(_) => None,
            State::SynReceived(opening, peer) => Some(Last {
                flags: TcpFlags::RST | TcpFlags::ACK,
                seq: opening.iss + 1,
                ack: peer.irs + 1,
                window: WireWindow::new(0),
                ts_recent: peer.ts_recent,
            }),
            State::Open(open) => match open.phase {
                Phase::Established | Phase::FinWait1 | Phase::FinWait2 | Phase::CloseWait => {
                    Some(Last::reset(open))
                }
                Phase::Closing | Phase::LastAck => None,
            },
            State::TimeWait(_) => None,
            State::Closed(_) => return,
        };
        self.end(Some(error), reset);
        self.rearm(now);
    }

    /// Text or a FIN is about to wait for its acknowledgment; if it is the first, the wait begins now.
    pub(super) fn note_waiting(&mut self, now: Instant) {
        let waiting = match &self.state {
            State::Open(open) => open.snd.outstanding() || open.snd.pending(self.to_send.len()),
            State::SynSent(_) | State::SynReceived(..) => true,
            State::TimeWait(_) | State::Closed(_) => false,
        };
        if !waiting {
            self.moved = now;
        }
    }

    /// Nobody has waited for what this connection could still do for too long. What the peer has acknowledged
    /// in full needs no word (RFC 9293 §3.6, note 9), anything else a reset.
    pub(super) fn life_is_over(&mut self) {
        let (error, reset) = match &self.state {
            State::Open(open) if open.phase != Phase::FinWait2 => {
                (Some(ConnectionError::Aborted), Some(Last::reset(open)))
            }
            State::SynSent(_) | State::SynReceived(..) => (Some(ConnectionError::Aborted), None),
            State::Open(_) | State::TimeWait(_) | State::Closed(_) => (None, None),
        };
        self.end(error, reset);
    }

    /// The end, for whatever reason. What was received can still be read; what was to be sent is gone.
    pub(super) fn end(&mut self, error: Option<ConnectionError>, last: Option<Last>) {
        let from = self.closed_from().unwrap_or_else(|| self.state());
        self.state = State::Closed(Closed { from, error, last });
        self.to_send = ChunkQueue::default();
        self.timers = Timers::default();
        self.acks_due = 0;
        if self.end == End::NotYet {
            self.end = End::Closed;
        }
        self.note(Event::Readable);
        self.note(Event::Closed);
    }

    /// The peer's FIN has come again: an ACK, and the wait begins anew.
    pub(super) fn restart_time_wait(&mut self, now: Instant) {
        let State::TimeWait(record) = &mut self.state else { return };
        record.deadline = now + self.link.time_wait();
        self.timers.set(Timer::Life, record.deadline);
        self.acks_due = 1;
    }

    /// Both sides have closed, and the peer may have to hear it again.
    pub(super) fn enter_time_wait(&mut self, now: Instant) {
        let State::Open(open) = &self.state else { return };
        let ts_recent = open.rcv.ts_recent.map(|(recent, _)| recent);
        let record = TimeWaitRecord {
            tuple: self.tuple,
            snd_nxt: open.snd.nxt,
            rcv_nxt: open.rcv.nxt,
            window: open.rcv.window(),
            max_age: open.snd.acceptable_age(),
            scale: open.rcv.scale,
            answers: 0,
            timestamps: ts_recent.is_some(),
            ts_recent: ts_recent.unwrap_or(0),
            tolerant: self.config.tolerate_missing_timestamps,
            dscp: self.link.dscp,
            hop_limit: self.link.hop_limit,
            deadline: now + self.link.time_wait(),
        };
        self.timers = Timers::default();
        self.timers.set(Timer::Life, record.deadline);
        self.state = State::TimeWait(record);
        if self.released {
            self.end = End::TimeWait;
        }
    }
}
