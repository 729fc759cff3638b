//! Passive handshakes: a record from the SYN to the ACK that completes it (RFC 9293 §3.10.7.2, §3.10.7.4).
//!
//! A record has no lock, no queue and no timer of its own: records whose SYN,ACK has been sent equally often
//! wait in one list, which is ordered by deadline because the wait is the same for all of them.

use super::demux::RETRY_LISTS;
use super::{Dispatch, Endpoint, stray};
use crate::connection::handshake::{self, Peer, ts_clock};
use crate::connection::{Connection, HalfDone, emit_header};
use crate::event::{ConnectionId, ListenerId};
use crate::{ConnectionConfig, Cx, DiscardReason, Instant, Pressure, Segment, Tuple};
use alloc::boxed::Box;
use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};
use core::hash::{Hash, Hasher};
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
}

impl HalfOpen {
    /// The list that it waits in.
    pub(super) fn list(&self) -> usize {
        usize::from(self.retries).min(RETRY_LISTS.saturating_sub(1))
    }

    pub(super) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        let Self { tuple, listener, iss: _, peer, sent_at, deadline, retries } = self;
        let peer = Peer { irs: SeqNum::new(0), ..*peer };
        (tuple, listener, peer, now.since(*sent_at), deadline.since(now), retries).hash(state);
    }

    fn wait(&self) -> Duration {
        let doublings = u32::try_from(self.list()).unwrap_or(0);
        INITIAL_RTO.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX))
    }
}

impl Endpoint {
    /// A SYN that a listener wants, on a tuple that nobody has. `choose_iss` is what a previous incarnation
    /// demands of our sequence number.
    pub(super) fn syn_to_listener<'f>(
        &mut self,
        cx: &Cx,
        id: ListenerId,
        tuple: Tuple,
        segment: &Segment<'f>,
        choose_iss: impl FnOnce(SeqNum) -> SeqNum,
    ) -> Dispatch<'f> {
        if let Some(reason) = self.refuses_syn(cx, id) {
            return self.discard(reason);
        }
        let Some(listener) = self.listeners.get(id) else { return self.stray(tuple, segment) };
        let config = listener.connection.clone();
        let iss = config.initial_sequence.unwrap_or_else(|| choose_iss(self.keys.isn(&tuple, cx.now)));
        let iss = if fault!(self.config, IsnConstant) { SeqNum::new(1) } else { iss };
        let record = HalfOpen {
            tuple,
            listener: id,
            iss,
            peer: Peer::of(segment, tuple.local, &config),
            sent_at: cx.now,
            deadline: cx.now + INITIAL_RTO,
            retries: 0,
        };
        self.send_syn_ack(cx, &record);
        if self.demux.insert_half_open(&self.keys, record).is_none() {
            return self.discard(DiscardReason::NoRoom);
        }
        self.answered()
    }

    /// Why a SYN to that listener is dropped, if it is: the peer will ask again.
    pub(super) fn refuses_syn(&self, cx: &Cx, id: ListenerId) -> Option<DiscardReason> {
        let unbounded = fault!(self.config, BacklogUnbounded);
        let full = self.listeners.get(id).is_some_and(|l| l.pending >= l.config.backlog.max(1) && !unbounded)
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
        self.reply_tcp(&record.tuple, tcp);
    }

    /// An empty ACK: what a segment outside the window is told.
    fn send_half_open_ack(&mut self, cx: &Cx, record: &HalfOpen, config: &ConnectionConfig) {
        let ts_now = ts_clock(cx.now, self.keys.ts_offset(&record.tuple));
        let timestamps = record.peer.ts_recent.map(|ecr| Timestamps { val: ts_now, ecr });
        let tcp = TcpHeader {
            seq: record.iss + 1,
            ack: record.peer.irs + 1,
            flags: TcpFlags::ACK,
            window: handshake::first_window(config, &record.peer),
            options: TcpOptions { timestamps, ..TcpOptions::default() },
            ..TcpHeader::default()
        };
        self.reply_tcp(&record.tuple, tcp);
    }

    /// SEGMENT ARRIVES in SYN-RECEIVED, of passive origin.
    pub(super) fn half_open_segment<'f>(
        &mut self,
        cx: &Cx,
        index: u32,
        segment: Segment<'f>,
    ) -> Dispatch<'f> {
        let Some(record) = self.demux.half_open.get(index).cloned() else {
            return self.discard(DiscardReason::Gone);
        };
        let Some(listener) = self.listeners.get(record.listener) else {
            self.demux.remove_half_open(&self.keys, index);
            return self.stray(record.tuple, &segment);
        };
        let config = listener.connection.clone();
        let accept_queue_full =
            listener.pending >= listener.config.backlog.max(1) && !fault!(self.config, BacklogUnbounded);
        let peer = &record.peer;
        if segment.seq == peer.irs && segment.has(TcpFlags::SYN) && !segment.intersects_rst_ack() {
            // A repeated SYN: our SYN,ACK was lost, or is still under way.
            self.send_syn_ack(cx, &record);
            return self.answered();
        }
        // First, the sequence number.
        let ahead = segment.seq.distance_from(peer.irs + 1);
        if ahead > u32::from(handshake::initial_window(&config).get()) {
            if segment.has(TcpFlags::RST) {
                return self.discard(DiscardReason::OutOfWindow);
            }
            self.send_half_open_ack(cx, &record, &config);
            return self.answered();
        }
        // Second, the RST bit: back to LISTEN without a word (RFC 5961 §3.2 for the inexact ones).
        if segment.has(TcpFlags::RST) {
            if fault!(self.config, HalfOpenResetIgnored) {
                return self.discard(DiscardReason::StrayReset);
            }
            if ahead > 0 {
                self.send_half_open_ack(cx, &record, &config);
                return self.answered();
            }
            self.demux.remove_half_open(&self.keys, index);
            return self.answered();
        }
        // Fourth, the SYN bit: a passive open returns to LISTEN.
        if segment.has(TcpFlags::SYN) {
            self.demux.remove_half_open(&self.keys, index);
            return self.answered();
        }
        // Fifth, the ACK field.
        if !segment.has(TcpFlags::ACK) {
            return self.discard(DiscardReason::Unexpected);
        }
        if segment.ack != record.iss + 1 {
            let reset = stray::reset_for(&segment);
            self.counters.resets = self.counters.resets.saturating_add(1);
            self.reply_tcp(&record.tuple, reset);
            return self.answered();
        }
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
                let Some(mut record) = self.demux.remove_half_open(&self.keys, index) else { break };
                let Some(listener) = self.listeners.get(record.listener) else { continue };
                if record.retries >= listener.connection.syn_retries.saturating_sub(2) {
                    continue;
                }
                record.retries = record.retries.saturating_add(1);
                record.deadline = cx.now + record.wait();
                if !fault!(self.config, SynAckNotRepeated) {
                    self.send_syn_ack(cx, &record);
                }
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
        let header = emit_header(tuple, self.config.hop_limit, self.keys.flow_label(tuple), tcp, 0);
        self.push_reply(header, bytes::Bytes::new(), true);
    }
}
