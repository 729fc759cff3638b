//! Parked SYNs: requests for a connection that wait until somebody decides, while no SYN,ACK is sent.
//!
//! A parked SYN is a half-open record like others: it counts, it is bounded, it ends. A peer that repeats its SYN
//! meanwhile may take offers back, as ever, and it gives up when it likes.

use super::demux::{PARKED, UNDECIDED};
use super::half_open::{HalfOpen, INITIAL_RTO, Stage};
use super::icmp;
use super::{Dispatch, ENDED_PER_CALL, Endpoint};
use crate::connection::emit_header;
use crate::event::ListenerId;
use crate::{ConnectionError, Cx, DiscardReason, Instant, Segment, Tuple};
use alloc::collections::VecDeque;
use carrick_wire::icmp as wire;
use carrick_wire::{SeqNum, TcpFlags, TcpHeader, WindowScale};

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
    /// What it offers.
    pub offer: SynOffer,
}

/// What a SYN offers, as far as our settings agree to it. A SYN that comes again without an option takes that back.
///
/// # Examples
/// ```
/// use carrick_core::SynOffer;
///
/// fn describe(offer: &SynOffer) -> String {
///     format!("segments of {} bytes, {} selective acknowledgments", offer.mss, if offer.sack { "with" } else { "no" })
/// }
/// let offer = SynOffer { mss: 1460, window_scale: Some(7), sack: true, timestamps: true, ecn: false };
/// assert_eq!(describe(&offer), "segments of 1460 bytes, with selective acknowledgments");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SynOffer {
    /// Largest segment that the peer takes, in bytes: what it says, or the default of its family (RFC 9293 §3.7.1).
    pub mss: u16,
    /// Shift of the peer's windows, 0 to 14, if they will be scaled (RFC 7323 §2).
    pub window_scale: Option<u8>,
    /// Whether there will be selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Whether there will be timestamps (RFC 7323 §3).
    pub timestamps: bool,
    /// Whether there will be explicit congestion notification (RFC 3168).
    pub ecn: bool,
}

/// The end of what began with a parked SYN, before there was a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParkedEnd {
    /// Names the parked SYN.
    pub id: ParkedId,
    /// The listener that parked it.
    pub listener: ListenerId,
    /// From whom it was, and to whom.
    pub tuple: Tuple,
    /// [`TimedOut`](ConnectionError::TimedOut) if nobody decided in time or the peer did not answer the SYN,ACK,
    /// [`Reset`](ConnectionError::Reset) if the peer gave up, or as it says.
    pub why: ConnectionError,
}

/// How a parked SYN is refused.
///
/// # Examples
/// ```
/// use carrick_core::Refusal;
/// use std::io::ErrorKind;
///
/// /// What a proxy's client hears when the proxy could not reach the target.
/// fn refusal(dialling: ErrorKind) -> Refusal {
///     match dialling {
///         ErrorKind::ConnectionRefused => Refusal::Reset,
///         ErrorKind::NetworkUnreachable => Refusal::NetworkUnreachable,
///         _ => Refusal::HostUnreachable,
///     }
/// }
/// assert_eq!(refusal(ErrorKind::TimedOut), Refusal::HostUnreachable);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// With a reset, as by a closed port.
    Reset,
    /// With an ICMP error: host unreachable (IPv4 3/1, IPv6 1/3).
    HostUnreachable,
    /// With an ICMP error: network unreachable (IPv4 3/0), no route to destination (IPv6 1/0).
    NetworkUnreachable,
    /// With an ICMP error: administratively prohibited (IPv4 3/13, IPv6 1/1).
    Prohibited,
    /// Without a word.
    Silent,
}

impl Endpoint {
    /// The next parked SYN that this call has not told of yet. Call it until it gives nothing, after each
    /// [`Dispatch::Held`]. Whose listener has gone meanwhile cannot be decided about any more.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, Refusal};
    /// /// What becomes of SYNs that a listener with [`ListenConfig::park`](carrick_core::ListenConfig::park) holds.
    /// fn decide(endpoint: &mut Endpoint, cx: &Cx) {
    ///     while let Some(syn) = endpoint.poll_parked() {
    ///         if syn.tuple.local_port == 80 {
    ///             endpoint.accept_parked(cx, syn.id);
    ///         } else {
    ///             endpoint.refuse_parked(cx, syn.id, Refusal::Reset);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn poll_parked(&mut self) -> Option<ParkedSyn> {
        let (index, record) = self.demux.first_half_open(PARKED)?;
        let generation = record.parked?.generation;
        let (listener, tuple, until) = (record.listener, record.tuple, record.deadline);
        let peer = record.peer;
        let offer = SynOffer {
            mss: peer.mss.get(),
            window_scale: peer.scale.map(WindowScale::get),
            sack: peer.sack,
            timestamps: peer.ts_recent.is_some(),
            ecn: peer.ecn,
        };
        self.set_stage(index, Stage::Undecided, |_| ());
        Some(ParkedSyn { id: ParkedId { index, generation }, listener, tuple, until, offer })
    }

    /// The next end of what [`poll_parked`](Self::poll_parked) has told of, accepted or not, that came to nothing; not
    /// that of what was [refused](Self::refuse_parked), or whose listener has gone. Call it until it gives nothing,
    /// after each [`handle_frame`](Self::handle_frame) and [`handle_timeout`](Self::handle_timeout), where a listener
    /// parks.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// while let Some(end) = endpoint.poll_parked_end() {
    ///     println!("{} came to nothing: {}", end.tuple.remote_addr(), end.why);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_parked_end(&mut self) -> Option<ParkedEnd> {
        let end = self.parked_ends.pop_front();
        if self.parked_ends.is_empty() {
            self.parked_ends = VecDeque::new();
        }
        end
    }

    pub(super) fn parked_ended(&mut self, index: u32, record: &HalfOpen, why: ConnectionError) {
        if let Some(parked) = record.parked
            && parked.stage != Stage::Untold
        {
            let id = ParkedId { index, generation: parked.generation };
            let &HalfOpen { listener, tuple, .. } = record;
            self.parked_ends.push_back(ParkedEnd { id, listener, tuple, why });
        }
    }

    fn set_stage(&mut self, index: u32, stage: Stage, also: impl FnOnce(&mut HalfOpen)) {
        self.demux.requeue_half_open(index, |record| {
            if let Some(parked) = &mut record.parked {
                parked.stage = stage;
            }
            also(record);
        });
    }

    /// Accepts a parked SYN: the SYN,ACK is due, and from now on it is a handshake like any other. False if
    /// it is not there any more. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, Refusal};
    /// /// What becomes of SYNs that a listener with [`ListenConfig::park`](carrick_core::ListenConfig::park) holds.
    /// fn decide(endpoint: &mut Endpoint, cx: &Cx) {
    ///     while let Some(syn) = endpoint.poll_parked() {
    ///         if syn.tuple.local_port == 80 {
    ///             endpoint.accept_parked(cx, syn.id);
    ///         } else {
    ///             endpoint.refuse_parked(cx, syn.id, Refusal::Reset);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn accept_parked(&mut self, cx: &Cx, id: ParkedId) -> bool {
        let cx = self.advance_clock(cx);
        if !self.parked(id).is_some_and(HalfOpen::is_parked) {
            return false;
        }
        if fault!(self.config, ParkedForgotten) {
            self.forget_half_open(id.index);
        }
        self.set_stage(id.index, Stage::Accepted, |record| {
            record.sent_at = cx.now;
            record.deadline = cx.now + INITIAL_RTO;
        });
        if self.demux.half_open.get(id.index).is_none() {
            return false;
        }
        crate::counters::bump(&mut self.counters.passive_opens_begun);
        // Where no reply fits any more, the SYN,ACK leaves when it would be repeated.
        self.send_syn_ack(&cx, id.index);
        true
    }

    /// Refuses a parked SYN, or takes back that it was accepted, while the handshake is not complete. False if it is
    /// not there any more. An answer that no longer fits the queue of
    /// replies is lost, and the peer's next SYN asks again. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, Refusal};
    /// /// What becomes of SYNs that a listener with [`ListenConfig::park`](carrick_core::ListenConfig::park) holds.
    /// fn decide(endpoint: &mut Endpoint, cx: &Cx) {
    ///     while let Some(syn) = endpoint.poll_parked() {
    ///         if syn.tuple.local_port == 80 {
    ///             endpoint.accept_parked(cx, syn.id);
    ///         } else {
    ///             endpoint.refuse_parked(cx, syn.id, Refusal::Reset);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn refuse_parked(&mut self, cx: &Cx, id: ParkedId, how: Refusal) -> bool {
        self.advance_clock(cx);
        if self.parked(id).is_none() {
            return false;
        }
        let Some(record) = self.forget_half_open(id.index) else { return false };
        let v4 = record.tuple.local.is_ipv4();
        match how {
            Refusal::Reset if self.replies_full() => {}
            Refusal::Reset => {
                crate::counters::bump(&mut self.counters.resets);
                self.reply_tcp(&record.tuple, record.reset());
            }
            Refusal::NetworkUnreachable => self.reply_unreachable(&record, 0),
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
            self.end_half_open(index, ConnectionError::Reset);
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
            self.end_half_open(index, ConnectionError::TimedOut);
        }
    }

    /// When the next parked SYN is forgotten.
    pub(super) fn parked_deadline(&self) -> Option<Instant> {
        let first = [PARKED, UNDECIDED].into_iter().filter_map(|list| self.demux.first_half_open(list));
        first.map(|(_, record)| record.deadline).min()
    }
}
