//! Passive handshakes: a record from the SYN to the ACK that completes it (RFC 9293 §3.10.7.2, §3.10.7.4).
//!
//! A record has no lock, no queue and no timer of its own: records whose SYN,ACK has been sent equally often
//! wait in one list, which is ordered by deadline because the wait is the same for all of them.
//!
//! Records are bounded, for each listener and for all together (RFC 4987 §3); what comes beyond is
//! [`cookies`](super::cookies)' business. A record that took the place of a TIME-WAIT record keeps that, and gives
//! it back if the SYN was an old duplicate (RFC 9293 §3.6.1).

use super::demux::{PARKED, RETRY_LISTS, UNDECIDED};
use super::{Dispatch, ENDED_PER_CALL, Endpoint, SWEPT_PER_CALL, stray, time_wait};
use crate::connection::handshake::{self, Peer, ts_clock};
use crate::connection::syn_received::{self, Verdict};
use crate::connection::{Connection, HalfDone, Throttle, emit_header};
use crate::counters::bump;
use crate::event::{ConnectionId, ListenerId, TimeWaitRecord};
use crate::{
    ConnectionConfig, ConnectionError, Cx, DiscardReason, Instant, Pressure, Segment, SynCookies, Tuple,
};
use alloc::boxed::Box;
use alloc::sync::Arc;
use carrick_wire::{SeqNum, TcpFlags, TcpHeader};
use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::num::NonZeroU8;
use core::time::Duration;

/// The first SYN,ACK is repeated after this long, later ones after twice the time before (RFC 6298 §2.1).
pub(super) const INITIAL_RTO: Duration = Duration::from_secs(1);

/// A passive handshake under way.
#[derive(Clone, Debug)]
pub(super) struct HalfOpen {
    pub(super) tuple: Tuple,
    pub(super) listener: ListenerId,
    pub(super) iss: SeqNum,
    pub(super) peer: Peer,
    /// When the first SYN,ACK left; of a parked SYN, when it came.
    pub(super) sent_at: Instant,
    pub(super) deadline: Instant,
    pub(super) retries: u8,
    answered: Answered,
    challenges: Throttle,
    /// Somebody decides, or has decided: no SYN,ACK was sent before that.
    pub(super) parked: Option<Parked>,
    /// The TIME-WAIT that the SYN ended.
    pub(super) old: Option<Box<TimeWaitRecord>>,
}

/// A SYN that waits for a decision, or has waited for it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Parked {
    pub(super) generation: u32,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Stage {
    /// Nobody has heard of it.
    Untold,
    Undecided,
    Accepted,
}

/// Whether the SYN,ACK has been sent.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Answered {
    NotYet,
    Yes,
    /// Also because the peer's SYN came again: the ACK does not tell which it answers.
    Again,
}

/// What shows that the peer has had our SYN,ACK.
#[derive(Clone, Copy, Debug)]
enum Proof {
    /// It acknowledges the one of that record.
    Record(u32),
    /// It acknowledges a cookie; a copy of the SYN may have made that record meanwhile.
    Cookie(Option<u32>),
}

/// What becomes of a SYN.
enum Admission {
    Record,
    Cookie,
    Refused(DiscardReason),
}

const _: () = assert!(size_of::<HalfOpen>() <= 112, "there may be thousands");

impl HalfOpen {
    /// The list that it waits in.
    pub(super) fn list(&self) -> usize {
        match self.parked.map(|parked| parked.stage) {
            None | Some(Stage::Accepted) => self.doublings(),
            Some(Stage::Untold) => PARKED,
            Some(Stage::Undecided) => UNDECIDED,
        }
    }

    /// Whether no SYN,ACK has been sent, until somebody decides.
    pub(super) fn is_parked(&self) -> bool {
        self.parked.is_some_and(|parked| parked.stage != Stage::Accepted)
    }

    fn doublings(&self) -> usize {
        usize::from(self.retries).min(RETRY_LISTS.saturating_sub(1))
    }

    pub(super) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        let Self { tuple, listener, iss: _, peer, sent_at, deadline, retries, .. } = self;
        let Self { answered, challenges, parked, old, .. } = self;
        let peer = Peer { irs: SeqNum::new(0), ..*peer };
        let stage = parked.map(|parked| parked.stage);
        (tuple, listener, peer, now.since(*sent_at), deadline.since(now), retries).hash(state);
        (answered, stage).hash(state);
        challenges.digest(now, state);
        if let Some(old) = old {
            old.digest(now, state);
        }
    }

    /// The reset that ends it: in answer to the SYN, where that has had no other.
    pub(super) fn reset(&self) -> TcpHeader {
        let seq = if self.is_parked() { SeqNum::new(0) } else { self.iss + 1 };
        let flags = TcpFlags::RST | TcpFlags::ACK;
        TcpHeader { seq, ack: self.peer.irs + 1, flags, ..TcpHeader::default() }
    }

    fn wait(&self) -> Duration {
        let doublings = u32::try_from(self.doublings()).unwrap_or(0);
        INITIAL_RTO.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX))
    }
}

impl Endpoint {
    /// A SYN that a listener wants, on a tuple that nobody has, or whose TIME-WAIT record `old` it may take over.
    pub(super) fn syn_to_listener<'f>(
        &mut self,
        cx: &Cx,
        id: ListenerId,
        tuple: Tuple,
        segment: &Segment<'f>,
        old: Option<u32>,
    ) -> Dispatch<'f> {
        match self.admit(cx, id, tuple.remote, old.is_some()) {
            Admission::Record => {}
            Admission::Cookie => return self.send_cookie(cx, id, tuple, segment),
            Admission::Refused(DiscardReason::SourceLimit) => return self.refuse_source(&tuple, segment),
            Admission::Refused(reason) => return self.discard(reason),
        }
        let Some(listener) = self.listeners.get(id) else { return self.stray(tuple, segment) };
        let (config, park) = (listener.connection.clone(), listener.config.park);
        let old = old.and_then(|index| self.demux.remove_time_wait(&self.keys, index));
        let iss = config.initial_sequence.unwrap_or_else(|| self.keys.isn(&tuple, cx.now));
        let beyond = old.as_ref().filter(|_| !fault!(self.config, ReopenedLow));
        let iss = beyond.map_or(iss, |old| time_wait::reopened_iss(old, iss));
        let iss = if fault!(self.config, IsnConstant) { SeqNum::new(1) } else { iss };
        let parked = park.then(|| Parked { generation: self.next_generation(), stage: Stage::Untold });
        let record = HalfOpen {
            tuple,
            listener: id,
            iss,
            peer: Peer::of(segment, tuple.local, &config),
            sent_at: cx.now,
            deadline: cx.now + if park { self.config.park_for } else { INITIAL_RTO },
            retries: 0,
            answered: Answered::NotYet,
            challenges: Throttle::default(),
            parked,
            old: old.map(Box::new),
        };
        let Some(index) = self.demux.insert_half_open(&self.keys, record) else {
            return self.discard(DiscardReason::NoRoom);
        };
        if !park {
            self.send_syn_ack(cx, index);
            bump(&mut self.counters.passive_opens_begun);
        }
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.half_open = listener.half_open.saturating_add(1);
        }
        if park { self.held() } else { self.answered() }
    }

    /// Whether a SYN to that listener may have a record. One that is dropped comes again.
    fn admit(&self, cx: &Cx, id: ListenerId, remote: IpAddr, takes_over: bool) -> Admission {
        let Some(listener) = self.listeners.get(id) else {
            return Admission::Refused(DiscardReason::NoRoom);
        };
        let full = listener.is_full() && !fault!(self.config, BacklogUnbounded);
        if full || cx.memory.pressure >= Pressure::High {
            return Admission::Refused(DiscardReason::NoRoom);
        }
        if self.source_is_full(remote) {
            return Admission::Refused(DiscardReason::SourceLimit);
        }
        if self.replies_full() {
            return Admission::Refused(DiscardReason::ReplyQueueFull);
        }
        // A cookie cannot be beyond the numbers of the connection before; and one record takes the other's room.
        if takes_over {
            return Admission::Record;
        }
        let full = listener.half_open >= listener.config.max_half_open.max(1)
            || self.demux.half_open.len() >= self.config.max_half_open;
        let full = full && !fault!(self.config, HalfOpenUnlimited);
        let cookie = !listener.config.park
            && match self.config.syn_cookies {
                SynCookies::Never => false,
                SynCookies::BeyondLimit => full,
                SynCookies::Always => true,
            };
        match cookie {
            true if self.cookies.is_full(cx.now) => Admission::Refused(DiscardReason::NoRoom),
            true => Admission::Cookie,
            false if full => Admission::Refused(DiscardReason::NoRoom),
            false => Admission::Record,
        }
    }

    fn source_is_full(&self, remote: IpAddr) -> bool {
        let most = self.config.max_per_source.filter(|_| !fault!(self.config, SourceUnlimited));
        most.is_some_and(|most| self.demux.source_count(remote) >= most)
    }

    /// The address has as many connections as it may: it is told so.
    fn refuse_source<'f>(&mut self, tuple: &Tuple, segment: &Segment<'_>) -> Dispatch<'f> {
        if !self.replies_full() && self.resets.permits(&self.keys, tuple.remote, self.clock) {
            bump(&mut self.counters.resets);
            self.reply_tcp(tuple, stray::reset_for(segment));
        }
        self.discard(DiscardReason::SourceLimit)
    }

    /// Answers a SYN and forgets it (RFC 4987 §3.6).
    fn send_cookie<'f>(
        &mut self,
        cx: &Cx,
        id: ListenerId,
        tuple: Tuple,
        segment: &Segment<'_>,
    ) -> Dispatch<'f> {
        let Some(listener) = self.listeners.get(id) else { return self.stray(tuple, segment) };
        let config = listener.connection.clone();
        let peer = Peer::of(segment, tuple.local, &config);
        let ts_now = ts_clock(cx.now, self.keys.ts_offset(&tuple));
        let cookie = self.cookies.make(&tuple, peer, ts_now, cx.now);
        self.push_syn_ack(&tuple, &config, cookie.iss, &cookie.peer, cookie.ts_val);
        bump(&mut self.counters.syn_cookies_sent);
        self.answered()
    }

    /// An ACK to a listener while cookies are outstanding: it may complete a handshake that nothing is known
    /// of, or only the `record` that a copy of the SYN has made. A peer's first data does as well as the ACK before
    /// it, which may have been lost.
    pub(super) fn cookie_segment<'f>(
        &mut self,
        cx: &Cx,
        id: ListenerId,
        tuple: Tuple,
        record: Option<u32>,
        segment: Segment<'f>,
    ) -> Dispatch<'f> {
        if self.listeners.get(id).is_none_or(|listener| listener.config.park) {
            // Nobody has decided yet; the cookie is of a listener before this one.
            return self.stray(tuple, &segment);
        }
        let Some((iss, peer)) = self.cookies.check(&tuple, &segment, cx.now) else {
            bump(&mut self.counters.syn_cookies_refused);
            return self.stray(tuple, &segment);
        };
        if cx.memory.pressure >= Pressure::High {
            return self.discard(DiscardReason::NoRoom);
        }
        let done = HalfDone { iss, peer, sent_at: None, retries: 0 };
        self.open(cx, id, tuple, Proof::Cookie(record), done, segment)
    }

    /// The handshake is complete, by a record or by a cookie, if there is room for one more connection; else the
    /// peer will ask again.
    fn open<'f>(
        &mut self,
        cx: &Cx,
        id: ListenerId,
        tuple: Tuple,
        proof: Proof,
        done: HalfDone,
        segment: Segment<'f>,
    ) -> Dispatch<'f> {
        let Some(listener) = self.listeners.get(id) else { return self.stray(tuple, &segment) };
        let full = listener.is_full() && !fault!(self.config, BacklogUnbounded);
        if full || self.demux.connections.len() >= self.config.max_connections {
            return self.discard(DiscardReason::NoRoom);
        }
        let config = listener.connection.clone();
        let record = match proof {
            Proof::Record(index) | Proof::Cookie(Some(index)) => {
                self.remove_half_open(index).map(|record| (index, record))
            }
            Proof::Cookie(None) => None,
        };
        if self.source_is_full(tuple.remote) {
            self.not_opened(record, ConnectionError::Reset);
            return self.refuse_source(&tuple, &segment);
        }
        if let Proof::Cookie(_) = proof {
            if !self.cookies.spend(&tuple, done.iss, done.peer.irs) {
                self.not_opened(record, ConnectionError::Reset);
                return self.stray(tuple, &segment);
            }
            bump(&mut self.counters.syn_cookies_accepted);
        }
        let generation = self.next_generation();
        let Some(index) = self.demux.insert_connection(&self.keys, tuple, generation) else {
            self.not_opened(record, ConnectionError::OutOfMemory);
            return self.discard(DiscardReason::NoRoom);
        };
        if record.is_none() {
            bump(&mut self.counters.passive_opens_begun);
        }
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.pending = listener.pending.saturating_add(1);
        }
        let mut connection = Connection::accept(tuple, config, self.link_of(&tuple), done, cx.now);
        connection.start_path(self.mtu_to(tuple.remote));
        bump(&mut self.counters.passive_opens);
        bump(&mut self.counters.to_connections);
        Dispatch::Opened(id, ConnectionId { index, generation }, Box::new(connection), segment)
    }

    /// Sends the SYN,ACK of a record, if there is room for a reply.
    pub(super) fn send_syn_ack(&mut self, cx: &Cx, index: u32) {
        if self.replies_full() {
            return;
        }
        let Some(record) = self.demux.half_open.get_mut(index) else { return };
        let Some(listener) = self.listeners.get(record.listener) else { return };
        let again = record.answered != Answered::NotYet;
        if !again {
            record.answered = Answered::Yes;
        }
        let (tuple, iss, peer) = (record.tuple, record.iss, record.peer);
        let config = listener.connection.clone();
        let ts_now = ts_clock(cx.now, self.keys.ts_offset(&tuple));
        self.push_syn_ack(&tuple, &config, iss, &peer, ts_now);
        if let Some(reply) = self.replies.back_mut() {
            reply.again = again;
        }
    }

    /// A handshake has come to nothing.
    fn count_failed(&mut self, record: &HalfOpen) {
        bump(&mut self.counters.half_open_failed);
        if !record.is_parked() {
            bump(&mut self.counters.passive_opens_failed);
        }
    }

    /// A handshake whose record is gone has come to nothing; whoever decided about it hears why.
    fn not_opened(&mut self, record: Option<(u32, HalfOpen)>, why: ConnectionError) {
        if let Some((index, record)) = record {
            self.count_failed(&record);
            self.parked_ended(index, &record, why);
        }
    }

    fn push_syn_ack(
        &mut self,
        tuple: &Tuple,
        config: &Arc<ConnectionConfig>,
        iss: SeqNum,
        peer: &Peer,
        ts_val: u32,
    ) {
        let mss = handshake::offered_mss(config, tuple.local, self.least_mtu);
        let tcp = TcpHeader {
            seq: iss,
            ack: peer.irs + 1,
            flags: peer.syn_ack_flags(),
            window: handshake::initial_window(config),
            options: handshake::syn_options(config, mss, ts_val, Some(peer)),
            ..TcpHeader::default()
        };
        self.reply_for(tuple, config, tcp);
    }

    /// Takes a record out.
    pub(super) fn remove_half_open(&mut self, index: u32) -> Option<HalfOpen> {
        let record = self.demux.remove_half_open(&self.keys, index)?;
        if let Some(listener) = self.listeners.get_mut(record.listener) {
            listener.half_open = listener.half_open.saturating_sub(1);
        }
        Some(record)
    }

    /// The handshake has come to nothing: back to LISTEN, or to the TIME-WAIT that the SYN ended (RFC 9293 §3.6.1
    /// MAY-2). That ends when it would have: only the peer's FIN begins it anew (§3.10.7.4).
    pub(super) fn forget_half_open(&mut self, index: u32) -> Option<HalfOpen> {
        let mut record = self.remove_half_open(index)?;
        self.count_failed(&record);
        if let Some(old) = record.old.take() {
            self.keep_time_wait(*old);
        }
        Some(record)
    }

    /// As [`forget_half_open`](Self::forget_half_open), and whoever decided about it hears why.
    pub(super) fn end_half_open(&mut self, index: u32, why: ConnectionError) {
        if let Some(record) = self.forget_half_open(index) {
            self.parked_ended(index, &record, why);
        }
    }

    /// A segment that cannot be used draws an ACK, under the throttle.
    fn challenge_half_open<'f>(&mut self, cx: &Cx, index: u32, reason: DiscardReason) -> Dispatch<'f> {
        let Some(record) = self.demux.half_open.get_mut(index) else {
            return self.discard(DiscardReason::Gone);
        };
        if !record.challenges.permits(cx.now, self.keys.ts_offset(&record.tuple)) {
            return self.discard(reason);
        }
        let (tuple, iss, peer, listener) = (record.tuple, record.iss, record.peer, record.listener);
        if self.replies_full() {
            return self.discard(DiscardReason::ReplyQueueFull);
        }
        if let Some(listener) = self.listeners.get(listener) {
            let ts_now = ts_clock(cx.now, self.keys.ts_offset(&tuple));
            let config = listener.connection.clone();
            let tcp = handshake::ack(&config, iss, &peer, ts_now);
            self.reply_for(&tuple, &config, tcp);
        }
        self.answered()
    }

    /// The peer's SYN has come again: our SYN,ACK was lost, or is still under way.
    fn repeat_syn_ack<'f>(&mut self, cx: &Cx, index: u32, segment: &Segment<'f>) -> Dispatch<'f> {
        let Some(record) = self.demux.half_open.get_mut(index) else {
            return self.discard(DiscardReason::Gone);
        };
        record.peer.repeated(segment);
        if !record.challenges.permits(cx.now, self.keys.ts_offset(&record.tuple)) {
            return self.discard(DiscardReason::UnexpectedSyn);
        }
        if self.replies_full() {
            return self.discard(DiscardReason::ReplyQueueFull);
        }
        self.send_syn_ack(cx, index);
        if let Some(record) = self.demux.half_open.get_mut(index) {
            record.answered = Answered::Again;
        }
        self.answered()
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
        let tuple = record.tuple;
        let Some(listener) = self.listeners.get(record.listener) else {
            // Not swept yet, and as good as gone.
            if let Some(record) = self.remove_half_open(index) {
                self.count_failed(&record);
            }
            return self.segment(cx, tuple, segment);
        };
        if record.is_parked() {
            let irs = record.peer.irs;
            return self.parked_segment(index, irs, &tuple, &segment);
        }
        match syn_received::segment_arrives(record.iss, &record.peer, &listener.connection, &segment) {
            Verdict::Drop(reason) => return self.discard(reason),
            Verdict::Challenge(reason) => return self.challenge_half_open(cx, index, reason),
            Verdict::Stray if self.cookies.outstanding(cx.now) => {
                let id = record.listener;
                return self.cookie_segment(cx, id, tuple, Some(index), segment);
            }
            Verdict::Stray => return self.stray(tuple, &segment),
            Verdict::RepeatedSyn => return self.repeat_syn_ack(cx, index, &segment),
            // A passive open returns to LISTEN without a word.
            Verdict::Reset if fault!(self.config, HalfOpenResetIgnored) => {
                return self.discard(DiscardReason::StrayReset);
            }
            Verdict::OtherSyn | Verdict::Reset => {
                self.end_half_open(index, ConnectionError::Reset);
                return self.answered();
            }
            Verdict::Established | Verdict::EstablishedBySyn => {}
        }
        let &HalfOpen { listener, iss, peer, sent_at, retries, answered, .. } = record;
        // Karn's rule (RFC 6298 §3).
        let sent_at = Some(sent_at).filter(|_| answered != Answered::Again);
        let done = HalfDone { iss, peer, sent_at, retries };
        self.open(cx, listener, tuple, Proof::Record(index), done, segment)
    }

    /// Repeats SYN,ACKs that are due, and gives up on those repeated often enough.
    pub(super) fn half_open_timeouts(&mut self, cx: &Cx) {
        let mut left = ENDED_PER_CALL;
        for list in 0..RETRY_LISTS {
            // A reply queue that is full takes the rest at the next call.
            while let Some((index, record)) = self.demux.first_half_open(list)
                && record.deadline <= cx.now
                && !self.replies_full()
                && left > 0
            {
                left = left.saturating_sub(1);
                let retries = record.retries;
                let listener = self.listeners.get(record.listener);
                if listener.is_none_or(|l| retries >= l.connection.syn_ack_retries()) {
                    self.end_half_open(index, ConnectionError::TimedOut);
                    continue;
                }
                self.demux.requeue_half_open(index, |record| {
                    record.retries = record.retries.saturating_add(1);
                    record.deadline = cx.now + record.wait();
                });
                if !fault!(self.config, SynAckNotRepeated) {
                    self.send_syn_ack(cx, index);
                }
            }
        }
    }

    /// When the next SYN,ACK is due. While the reply queue is full none can be sent: the time to come back is
    /// when the device has taken something.
    pub(super) fn half_open_deadline(&self) -> Option<Instant> {
        if self.replies_full() {
            return None;
        }
        let first = (0..RETRY_LISTS).filter_map(|list| self.demux.first_half_open(list));
        first.map(|(_, record)| record.deadline).min()
    }

    /// Resets half-open records whose listener has gone, as many as one call may.
    pub(super) fn sweep_half_open(&mut self) {
        let Some(from) = self.unswept else { return };
        for index in (from..self.demux.half_open.end()).take(SWEPT_PER_CALL) {
            if self.replies_full() {
                return;
            }
            self.unswept = Some(index.saturating_add(1));
            let listener = self.demux.half_open.get(index).map(|record| record.listener);
            if listener.is_some_and(|listener| self.listeners.get(listener).is_none())
                && let Some(record) = self.remove_half_open(index)
            {
                self.count_failed(&record);
                bump(&mut self.counters.resets);
                self.reply_tcp(&record.tuple, record.reset());
            }
        }
        self.unswept = self.unswept.filter(|next| *next < self.demux.half_open.end());
    }

    /// When the sweep is to go on: at once, but not before the device has taken something.
    pub(super) fn sweep_deadline(&self) -> Option<Instant> {
        self.unswept.filter(|_| !self.replies_full()).map(|_| self.clock)
    }

    /// An ICMP error about a SYN,ACK of ours: a hard one ends the attempt.
    pub(super) fn half_open_error(&mut self, index: u32, error: crate::IcmpError) -> Dispatch<'static> {
        let record = self.demux.half_open.get(index);
        let matches = record.is_some_and(|record| record.iss == error.seq && !record.is_parked());
        if matches && error.kind == crate::IcmpErrorKind::Refused {
            self.end_half_open(index, ConnectionError::Refused);
            return self.answered();
        }
        self.discard(DiscardReason::IcmpIgnored)
    }

    /// Queues a segment without text, as the endpoint's own.
    pub(super) fn reply_tcp(&mut self, tuple: &Tuple, tcp: TcpHeader) {
        self.reply_as(tuple, 0, self.config.hop_limit, tcp);
    }

    /// Queues a segment of a connection with those settings.
    fn reply_for(&mut self, tuple: &Tuple, config: &ConnectionConfig, tcp: TcpHeader) {
        let hop_limit = config.hop_limit.map_or(self.config.hop_limit, NonZeroU8::get);
        self.reply_as(tuple, config.dscp.min(63), hop_limit, tcp);
    }

    /// Queues a segment that looks like a connection's.
    pub(super) fn reply_as(&mut self, tuple: &Tuple, dscp: u8, hop_limit: u8, tcp: TcpHeader) {
        let label = self.keys.flow_label(tuple);
        let header = emit_header(tuple, dscp.wrapping_shl(2), hop_limit, label, tcp, 0);
        self.push_reply(header, bytes::Bytes::new(), true);
    }
}
