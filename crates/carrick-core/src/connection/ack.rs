//! Fifth step of "segment arrives": the ACK field (RFC 9293 §3.10.7.4, RFC 5961 §5.2).

use super::timers::Timer;
use super::{Connection, State};
use crate::send::Ack;
use crate::{Cx, DiscardReason, Event, Outcome, Pressure, Segment};
use carrick_wire::{SackBlocks, TcpFlags};

impl Connection {
    pub(super) fn fifth_ack(&mut self, cx: &Cx, segment: &Segment<'_>) -> Result<(), Outcome> {
        self.check_ack(cx, segment)?;
        self.note_timestamp(segment, cx.now);
        self.take_ack(cx, segment);
        Ok(())
    }

    /// Of a segment that is unacceptable by its number the ACK field alone: nothing else of it is used, its
    /// timestamp neither.
    pub(super) fn fifth_ack_alone(&mut self, cx: &Cx, segment: &Segment<'_>) -> Result<(), Outcome> {
        self.check_ack(cx, segment)?;
        self.take_ack(cx, segment);
        Ok(())
    }

    fn check_ack(&mut self, cx: &Cx, segment: &Segment<'_>) -> Result<(), Outcome> {
        let State::Open(open) = &self.state else { return Ok(()) };
        if !segment.has(TcpFlags::ACK) {
            return Err(Outcome::Discarded(DiscardReason::Unexpected));
        }
        let refused = !open.snd.acceptable_ack(segment.ack) && !fault!(self.config, FutureAckTaken)
            || fault!(self.config, OldAckRefused) && !segment.ack.after(open.snd.una);
        if refused {
            return self.challenge(cx.now, DiscardReason::BadAck);
        }
        Ok(())
    }

    fn take_ack(&mut self, cx: &Cx, segment: &Segment<'_>) {
        let State::Open(open) = &mut self.state else { return };
        let smss = u32::from(open.segment_size(self.tuple.local, self.path.mtu, 0));
        let snd = &mut open.snd;
        let window = segment.window.scaled(snd.scale);
        let advanced = segment.ack.after(snd.una);
        // RFC 5681 §2. That a closed window is still closed tells of no loss.
        let repeats = segment.ack == snd.una
            && segment.len() == 0
            && window.get() == snd.wnd
            && snd.wnd > 0
            && snd.outstanding();
        let mut fin_acked = false;
        let ece = segment.has(TcpFlags::ECE);
        let beyond = snd.covers_lost(segment.ack);
        let mut restart = ece && snd.on_echo(segment.ack, cx.now, smss);
        let unsent = snd.has_unsent(self.to_send.len());
        if advanced {
            let queued = self.to_send.len();
            let acked = segment.ack.distance_from(snd.una) as usize;
            // Behind what is queued there is only our FIN.
            fin_acked = acked > queued || fault!(self.config, FinAckedByText) && snd.fin && acked == queued;
            snd.fin_done |= fin_acked;
            self.to_send.advance(acked.min(queued));
            self.urgent = self.urgent.saturating_sub(u32::try_from(acked).unwrap_or(u32::MAX));
            self.soft_error = None;
            self.moved = cx.now;
        }
        // With nothing in flight there is nothing to learn.
        if snd.has_recovery() {
            let blind = fault!(self.config, NoFastRetransmit);
            let echo = segment.options.timestamps.filter(|_| open.rcv.ts_recent.is_some());
            let none = SackBlocks::default();
            let blocks = if snd.sack && !blind { &segment.options.sack } else { &none };
            restart |= snd.on_ack(&Ack {
                seq: segment.ack,
                window: window.get(),
                now: cx.now,
                smss,
                echo: echo.map(|timestamps| timestamps.ecr),
                ts_offset: self.link.ts_offset,
                blocks,
                duplicate: snd.reported(segment.ack, blocks),
                repeats: repeats && !blind,
                ece,
                unsent,
            });
        }
        let was_open = snd.wnd > 0;
        if fault!(self.config, StaleWindowTaken) {
            snd.set_window(segment.seq, segment.ack, window);
        } else if advanced || !fault!(self.config, WindowUpdateIgnored) {
            snd.update_window(segment.last_seq(), segment.ack, window);
        }
        if was_open != (snd.wnd > 0) {
            // Waiting for a window is another thing than waiting for it to be worth using.
            self.timers.stop(Timer::Persist);
        }
        if snd.wnd == 0 {
            // The peer lives and keeps its window closed: that may last (MUST-37).
            snd.retries = 0;
        }
        if restart {
            self.timers.restart_retransmission();
        }
        if advanced {
            self.path_acked(beyond);
            self.offer_room();
            self.wait_no_more();
        }
        if fin_acked {
            let State::Open(open) = &self.state else { return };
            let next = open.phase.on_fin_acked();
            self.enter(next, cx.now);
        }
    }

    /// Tells a writer that was turned away, once a quarter of the buffer is free, or half of what may be unsent.
    pub(super) fn offer_room(&mut self) {
        if !self.wants_room {
            return;
        }
        let limit = self.send_limit(Pressure::None);
        let useful = self.config.notsent_lowat.map_or(limit / 4, |most| (limit / 4).min(most / 2));
        if self.send_room_within(limit) >= useful.max(1) as usize {
            self.wants_room = false;
            self.note(Event::Writable);
        }
    }
}
