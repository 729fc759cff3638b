//! Passive handshakes: a record from the SYN to the ACK that completes it (RFC 9293 §3.10.7.2, §3.10.7.4).
//!
//! A record has no lock, no queue and no timer of its own: records whose SYN,ACK has been sent equally often
//! wait in one list, which is ordered by deadline because the wait is the same for all of them.

use super::demux::RETRY_LISTS;
use super::{Dispatch, Endpoint, time_wait};
use crate::connection::handshake::{self, Peer, ts_clock};
use crate::connection::syn_received::{self, Verdict};
use crate::connection::{Connection, HalfDone, Throttle, emit_header};
use crate::event::{ConnectionId, ListenerId, TimeWaitRecord};
use crate::{Cx, DiscardReason, Instant, Pressure, Segment, Tuple};
use alloc::boxed::Box;
use carrick_wire::{SeqNum, TcpFlags, TcpHeader};
use core::hash::{Hash, Hasher};
use core::num::NonZeroU8;
use core::time::Duration;

/// The first SYN,ACK is repeated after this long, later ones after twice the time before (RFC 6298 §2.1).
const INITIAL_RTO: Duration = Duration::from_secs(1);

/// A passive handshake under way.
#[derive(Clone, Debug)]
pub(super) struct HalfOpen {
    pub(super) tuple: Tuple,
    pub(super) listener: ListenerId,
    pub(super) iss: SeqNum,
    pub(super) peer: Peer,
    /// When the first SYN,ACK left.
    sent_at: Instant,
    deadline: Instant,
    retries: u8,
    challenges: Throttle,
    /// The TIME-WAIT that the SYN ended.
    old: Option<Box<TimeWaitRecord>>,
}

impl HalfOpen {
    /// The list that it waits in.
    pub(super) fn list(&self) -> usize {
        usize::from(self.retries).min(RETRY_LISTS.saturating_sub(1))
    }

    pub(super) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        let Self { tuple, listener, iss: _, peer, sent_at, deadline, retries, challenges, old } = self;
        let peer = Peer { irs: SeqNum::new(0), ..*peer };
        (tuple, listener, peer, now.since(*sent_at), deadline.since(now), retries).hash(state);
        challenges.digest(now, state);
        if let Some(old) = old {
            old.digest(now, state);
        }
    }

    fn wait(&self) -> Duration {
        let doublings = u32::try_from(self.list()).unwrap_or(0);
        INITIAL_RTO.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX))
    }
}

impl Endpoint {
    /// A SYN that a listener wants, on a tuple that nobody has. `old` is what was kept of the incarnation before.
    pub(super) fn syn_to_listener<'f>(
        &mut self,
        cx: &Cx,
        id: ListenerId,
        tuple: Tuple,
        segment: &Segment<'f>,
        old: Option<TimeWaitRecord>,
    ) -> Dispatch<'f> {
        if let Some(reason) = self.refuses_syn(cx, id) {
            return self.discard(reason);
        }
        let Some(listener) = self.listeners.get(id) else { return self.stray(tuple, segment) };
        let config = listener.connection.clone();
        let iss = config.initial_sequence.unwrap_or_else(|| self.keys.isn(&tuple, cx.now));
        let iss = old.as_ref().map_or(iss, |old| time_wait::reopened_iss(old, iss));
        let record = HalfOpen {
            tuple,
            listener: id,
            iss,
            peer: Peer::of(segment, tuple.local, &config),
            sent_at: cx.now,
            deadline: cx.now + INITIAL_RTO,
            retries: 0,
            challenges: Throttle::default(),
            old: old.map(Box::new),
        };
        self.send_syn_ack(cx, &record);
        if self.demux.insert_half_open(&self.keys, record).is_none() {
            return self.discard(DiscardReason::NoRoom);
        }
        self.answered()
    }

    /// Why a SYN to that listener is dropped, if it is: the peer will ask again.
    pub(super) fn refuses_syn(&self, cx: &Cx, id: ListenerId) -> Option<DiscardReason> {
        let full = self.listeners.get(id).is_some_and(|l| l.pending >= l.config.backlog.max(1))
            || self.demux.half_open.len() >= self.config.max_half_open
            || cx.memory.pressure >= Pressure::High;
        if full {
            return Some(DiscardReason::NoRoom);
        }
        self.replies_full().then_some(DiscardReason::ReplyQueueFull)
    }

    fn send_syn_ack(&mut self, cx: &Cx, record: &HalfOpen) {
        let Some(listener) = self.listeners.get(record.listener) else { return };
        let config = &listener.connection;
        let ts_now = ts_clock(cx.now, self.keys.ts_offset(&record.tuple));
        let mss = handshake::local_mss(record.tuple.local, self.config.mtu);
        let tcp = TcpHeader {
            seq: record.iss,
            ack: record.peer.irs + 1,
            flags: TcpFlags::SYN | TcpFlags::ACK,
            window: handshake::initial_window(config),
            options: handshake::syn_options(config, mss, ts_now, Some(&record.peer)),
            ..TcpHeader::default()
        };
        let hop_limit = config.hop_limit.map_or(self.config.hop_limit, NonZeroU8::get);
        let tos = config.dscp.min(63).wrapping_shl(2);
        let label = self.keys.flow_label(&record.tuple);
        let header = emit_header(&record.tuple, tos, hop_limit, label, tcp, 0);
        self.push_reply(header, bytes::Bytes::new(), true);
    }

    /// A segment that cannot be used draws an ACK, under the throttle.
    fn challenge_half_open<'f>(&mut self, cx: &Cx, index: u32, reason: DiscardReason) -> Dispatch<'f> {
        let Some(record) = self.demux.half_open.get_mut(index) else {
            return self.discard(DiscardReason::Gone);
        };
        if !record.challenges.permits(cx.now) {
            return self.discard(reason);
        }
        let (tuple, iss, peer, listener) = (record.tuple, record.iss, record.peer, record.listener);
        if let Some(listener) = self.listeners.get(listener) {
            let ts_now = ts_clock(cx.now, self.keys.ts_offset(&tuple));
            let tcp = handshake::ack(&listener.connection, iss, &peer, ts_now);
            self.reply_tcp(&tuple, tcp);
        }
        self.answered()
    }

    /// The peer's SYN has come again: our SYN,ACK was lost, or is still under way.
    fn repeat_syn_ack<'f>(&mut self, cx: &Cx, index: u32, segment: &Segment<'f>) -> Dispatch<'f> {
        let Some(record) = self.demux.half_open.get_mut(index) else {
            return self.discard(DiscardReason::Gone);
        };
        record.peer.repeated(segment);
        if !record.challenges.permits(cx.now) {
            return self.discard(DiscardReason::UnexpectedSyn);
        }
        let record = record.clone();
        self.send_syn_ack(cx, &record);
        self.answered()
    }

    /// The handshake has come to nothing: back to LISTEN, or to the TIME-WAIT that the SYN ended (RFC 9293 §3.6.1
    /// MAY-2), which begins anew.
    fn forget_half_open(&mut self, cx: &Cx, index: u32) -> Option<HalfOpen> {
        let mut record = self.demux.remove_half_open(&self.keys, index)?;
        if let Some(old) = record.old.take() {
            let deadline = cx.now + self.config.msl.saturating_mul(2);
            self.keep_time_wait(TimeWaitRecord { deadline, ..*old });
        }
        Some(record)
    }

    /// SEGMENT ARRIVES in SYN-RECEIVED, of passive origin.
    pub(super) fn half_open_segment<'f>(
        &mut self,
        cx: &Cx,
        index: u32,
        segment: Segment<'f>,
    ) -> Dispatch<'f> {
        let Some(record) = self.demux.half_open.get(index) else {
            return self.discard(DiscardReason::Gone);
        };
        let Some(listener) = self.listeners.get(record.listener) else {
            let tuple = record.tuple;
            self.demux.remove_half_open(&self.keys, index);
            return self.stray(tuple, &segment);
        };
        let config = listener.connection.clone();
        let accept_queue_full = listener.pending >= listener.config.backlog.max(1);
        let window = u32::from(handshake::initial_window(&config).get());
        match syn_received::segment_arrives(record.iss, &record.peer, window, &segment) {
            Verdict::Drop(reason) => return self.discard(reason),
            Verdict::Challenge(reason) => return self.challenge_half_open(cx, index, reason),
            Verdict::Stray => {
                let tuple = record.tuple;
                return self.stray(tuple, &segment);
            }
            Verdict::RepeatedSyn => return self.repeat_syn_ack(cx, index, &segment),
            // A passive open returns to LISTEN without a word.
            Verdict::OtherSyn | Verdict::Reset => {
                self.forget_half_open(cx, index);
                return self.answered();
            }
            Verdict::Established | Verdict::EstablishedBySyn => {}
        }
        let record = record.clone();
        // Until the application accepts, the handshake is not completed; the peer will ask again.
        if accept_queue_full || self.demux.connections.len() >= self.config.max_connections {
            return self.discard(DiscardReason::NoRoom);
        }
        self.demux.remove_half_open(&self.keys, index);
        let generation = self.next_generation();
        let Some(index) = self.demux.insert_connection(&self.keys, record.tuple, generation) else {
            return self.discard(DiscardReason::NoRoom);
        };
        if let Some(listener) = self.listeners.get_mut(record.listener) {
            listener.pending = listener.pending.saturating_add(1);
        }
        let done =
            HalfDone { iss: record.iss, peer: record.peer, sent_at: record.sent_at, retries: record.retries };
        let link = self.link_of(&record.tuple);
        let connection = Connection::accept(record.tuple, config, link, done, cx.now);
        self.counters.passive_opens = self.counters.passive_opens.saturating_add(1);
        self.counters.to_connections = self.counters.to_connections.saturating_add(1);
        let id = ConnectionId { index, generation };
        Dispatch::Opened(record.listener, id, Box::new(connection), segment)
    }

    /// Repeats SYN,ACKs that are due, and gives up on those repeated often enough.
    pub(super) fn half_open_timeouts(&mut self, cx: &Cx) {
        for list in 0..RETRY_LISTS {
            while let Some(index) = self.demux.half_open_lists.get(list).and_then(|list| list.front()) {
                let Some(record) = self.demux.half_open.get(index) else { break };
                // A reply queue that is full takes the rest at the next call.
                if record.deadline > cx.now || self.replies_full() {
                    break;
                }
                let listener = self.listeners.get(record.listener);
                if listener.is_none_or(|l| record.retries >= l.connection.syn_retries.saturating_sub(2)) {
                    self.forget_half_open(cx, index);
                    continue;
                }
                let Some(mut record) = self.demux.remove_half_open(&self.keys, index) else { break };
                record.retries = record.retries.saturating_add(1);
                record.deadline = cx.now + record.wait();
                self.send_syn_ack(cx, &record);
                self.demux.insert_half_open(&self.keys, record);
            }
        }
    }

    /// When the next SYN,ACK is due. While the reply queue is full none can be sent: the time to come back is
    /// when the device has taken something.
    pub(super) fn half_open_deadline(&self) -> Option<Instant> {
        if self.replies_full() {
            return None;
        }
        let heads = self.demux.half_open_lists.iter().filter_map(|list| list.front());
        heads.filter_map(|index| self.demux.half_open.get(index)).map(|record| record.deadline).min()
    }

    /// The listener has gone: its half-open records are reset.
    pub(super) fn drop_half_open_of(&mut self, listener: ListenerId) {
        let of_it = self.demux.half_open.iter().filter(|(_, record)| record.listener == listener);
        let indices: alloc::vec::Vec<u32> = of_it.map(|(index, _)| index).collect();
        for index in indices {
            let Some(record) = self.demux.remove_half_open(&self.keys, index) else { continue };
            let tcp = TcpHeader {
                seq: record.iss + 1,
                ack: record.peer.irs + 1,
                flags: TcpFlags::RST | TcpFlags::ACK,
                ..TcpHeader::default()
            };
            // Beyond what the reply queue takes, the peer's next segment meets a reset as a stranger's.
            if !self.replies_full() {
                self.reply_tcp(&record.tuple, tcp);
            }
        }
    }

    /// An ICMP error about a SYN,ACK of ours: a hard one ends the attempt.
    pub(super) fn half_open_error(&mut self, index: u32, error: crate::IcmpError) -> Dispatch<'static> {
        let matches = self.demux.half_open.get(index).is_some_and(|record| record.iss == error.seq);
        if matches && error.kind == crate::IcmpErrorKind::Refused {
            self.demux.remove_half_open(&self.keys, index);
            return self.answered();
        }
        self.discard(DiscardReason::IcmpIgnored)
    }

    /// Queues a segment without text.
    pub(super) fn reply_tcp(&mut self, tuple: &Tuple, tcp: TcpHeader) {
        let header = emit_header(tuple, 0, self.config.hop_limit, self.keys.flow_label(tuple), tcp, 0);
        self.push_reply(header, bytes::Bytes::new(), true);
    }
}
