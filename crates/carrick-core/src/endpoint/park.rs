//! Parked SYNs: requests for a connection that wait until somebody decides, while no SYN,ACK is sent.
//!
//! A parked SYN is a half-open record like others: it counts, it is bounded, it ends. A peer that repeats its SYN
//! meanwhile may take offers back, as ever, and it gives up when it likes.

use super::demux::{PARKED, UNDECIDED};
use super::half_open::{HalfOpen, INITIAL_RTO, Parked};
use super::icmp;
use super::{Dispatch, ENDED_PER_CALL, Endpoint};
use crate::connection::emit_header;
use crate::event::ListenerId;
use crate::{Cx, DiscardReason, Instant, Segment, Tuple};
use carrick_wire::icmp as wire;
use carrick_wire::{SeqNum, TcpFlags, TcpHeader};

/// Names a parked SYN.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ParkedId {
    index: u32,
    generation: u32,
}

/// A SYN that waits for a decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParkedSyn {
    /// Names it.
    pub id: ParkedId,
    /// The listener that parks.
    pub listener: ListenerId,
    /// From whom it is, and to whom.
    pub tuple: Tuple,
    /// When it is forgotten without a word.
    pub until: Instant,
}

/// How a parked SYN is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// With a reset, as by a closed port.
    Reset,
    /// With an ICMP error: host unreachable (IPv4 3/1, IPv6 1/3).
    HostUnreachable,
    /// With an ICMP error: administratively prohibited (IPv4 3/13, IPv6 1/1).
    Prohibited,
    /// Without a word.
    Silent,
}

impl Endpoint {
    /// The next parked SYN that this call has not told of yet. Call it until it gives nothing, after each
    /// [`Dispatch::Held`]. Whose listener has gone meanwhile cannot be decided about any more.
    pub fn poll_parked(&mut self) -> Option<ParkedSyn> {
        let (index, record) = self.demux.first_half_open(PARKED)?;
        let generation = record.parked?.generation;
        let (listener, tuple, until) = (record.listener, record.tuple, record.deadline);
        self.demux.requeue_half_open(index, |record| record.parked = Some(Parked { generation, seen: true }));
        Some(ParkedSyn { id: ParkedId { index, generation }, listener, tuple, until })
    }

    /// Accepts a parked SYN: the SYN,ACK is due, and from now on it is a handshake like any other. False if
    /// it is not there any more. Afterwards, drain.
    pub fn accept_parked(&mut self, cx: &Cx, id: ParkedId) -> bool {
        let cx = self.advance_clock(cx);
        if self.parked(id).is_none() {
            return false;
        }
        if fault!(self.config, ParkedForgotten) {
            self.forget_half_open(id.index);
        }
        self.demux.requeue_half_open(id.index, |record| {
            record.parked = None;
            record.sent_at = cx.now;
            record.deadline = cx.now + INITIAL_RTO;
        });
        let Some(record) = self.demux.half_open.get(id.index).cloned() else { return false };
        crate::counters::bump(&mut self.counters.passive_opens_begun);
        // Where no reply fits any more, the SYN,ACK leaves with its first repetition.
        self.send_syn_ack(&cx, &record);
        true
    }

    /// Refuses a parked SYN. False if it is not there any more. An answer that no longer fits the queue of
    /// replies is lost, and the peer's next SYN asks again. Afterwards, drain.
    pub fn refuse_parked(&mut self, cx: &Cx, id: ParkedId, how: Refusal) -> bool {
        self.advance_clock(cx);
        if self.parked(id).is_none() {
            return false;
        }
        let Some(record) = self.forget_half_open(id.index) else { return false };
        let v4 = record.tuple.local.is_ipv4();
        match how {
            Refusal::Reset => {
                crate::counters::bump(&mut self.counters.resets);
                self.reply_tcp(&record.tuple, record.reset());
            }
            Refusal::HostUnreachable => self.reply_unreachable(&record, if v4 { 1 } else { 3 }),
            Refusal::Prohibited => self.reply_unreachable(&record, if v4 { 13 } else { 1 }),
            Refusal::Silent => {}
        }
        true
    }

    fn parked(&self, id: ParkedId) -> Option<&HalfOpen> {
        let record = self.demux.half_open.get(id.index)?;
        self.listeners.get(record.listener)?;
        record.parked.filter(|parked| parked.generation == id.generation).map(|_| record)
    }

    /// An ICMP error that quotes the SYN. Of that only what names it has been kept, which is what an error has
    /// to quote (RFC 792).
    fn reply_unreachable(&mut self, record: &HalfOpen, code: u8) {
        let Tuple { local, remote, local_port, remote_port } = record.tuple;
        let reversed =
            Tuple { local: remote, remote: local, local_port: remote_port, remote_port: local_port };
        let window = record.peer.window;
        let syn = TcpHeader { seq: record.peer.irs, flags: TcpFlags::SYN, window, ..TcpHeader::default() };
        let quote = emit_header(&reversed, 0, self.config.hop_limit, 0, syn, 0);
        self.reply_icmp(local, remote, icmp::MAX_ERROR, |buf, to| {
            wire::emit_unreachable(buf, to, code, quote.as_slice())
        });
    }

    /// A segment for a tuple whose SYN is parked: to the peer we are still in LISTEN.
    pub(super) fn parked_segment<'f>(
        &mut self,
        index: u32,
        irs: SeqNum,
        tuple: &Tuple,
        segment: &Segment<'f>,
    ) -> Dispatch<'f> {
        if segment.has(TcpFlags::RST) {
            if segment.seq != irs + 1 {
                return self.discard(DiscardReason::StrayReset);
            }
            self.forget_half_open(index);
            return self.answered();
        }
        if segment.has(TcpFlags::ACK) {
            return self.stray(*tuple, segment);
        }
        if segment.has(TcpFlags::SYN) && segment.seq == irs {
            if let Some(record) = self.demux.half_open.get_mut(index) {
                record.peer.repeated(segment);
            }
            return self.held();
        }
        self.discard(DiscardReason::Unexpected)
    }

    /// Forgets parked SYNs whose time is over, as many as one call may.
    pub(super) fn parked_timeouts(&mut self, cx: &Cx) {
        for _ in 0..ENDED_PER_CALL {
            let first = [PARKED, UNDECIDED].into_iter().filter_map(|list| self.demux.first_half_open(list));
            let due = first.filter(|(_, record)| record.deadline <= cx.now).map(|(index, _)| index).next();
            let Some(index) = due else { break };
            self.forget_half_open(index);
        }
    }

    /// When the next parked SYN is forgotten.
    pub(super) fn parked_deadline(&self) -> Option<Instant> {
        let first = [PARKED, UNDECIDED].into_iter().filter_map(|list| self.demux.first_half_open(list));
        first.map(|(_, record)| record.deadline).min()
    }
}
