//! Segments for nobody, and ICMP (RFC 9293 §3.10.7.1, RFC 1122 §3.2.2, RFC 4443).

use super::demux::Entry;
use super::{Dispatch, Endpoint};
use crate::event::ConnectionId;
use crate::transmit::HeaderBytes;
use crate::{DiscardReason, IcmpError, IcmpErrorKind, Input, Segment, Tuple};
use bytes::Bytes;
use carrick_wire::icmp::{self, Envelope, IcmpMessage, Quote};
use carrick_wire::{IpView, Protocol, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};
use core::net::IpAddr;

/// Room for an ICMP message of ours: an echo reply as large as any packet.
const ICMP_ROOM: usize = 65_535;

/// The reset that answers a segment (RFC 9293 §3.10.7.1). It carries the segment's timestamp back (RFC 7323
/// §5.2).
pub(super) fn reset_for(segment: &Segment<'_>) -> TcpHeader {
    let timestamps = segment.options.timestamps.map(|ts| Timestamps { val: 0, ecr: ts.val });
    let options = TcpOptions { timestamps, ..TcpOptions::default() };
    if segment.has(TcpFlags::ACK) {
        return TcpHeader { seq: segment.ack, flags: TcpFlags::RST, options, ..TcpHeader::default() };
    }
    TcpHeader {
        seq: SeqNum::new(0),
        ack: segment.seq + segment.len(),
        flags: TcpFlags::RST | TcpFlags::ACK,
        options,
        ..TcpHeader::default()
    }
}

impl Endpoint {
    /// A segment whose connection does not exist.
    pub(super) fn stray<'f>(&mut self, tuple: Tuple, segment: &Segment<'_>) -> Dispatch<'f> {
        if segment.has(TcpFlags::RST) && !fault!(self.config, ResetAnswered) {
            return self.discard(DiscardReason::StrayReset);
        }
        if self.replies_full() {
            return self.discard(DiscardReason::ReplyQueueFull);
        }
        if !self.resets.permits(&self.keys, tuple.remote, self.clock) {
            return self.discard(DiscardReason::RateLimited);
        }
        self.counters.resets = self.counters.resets.saturating_add(1);
        self.reply_tcp(&tuple, reset_for(segment));
        self.answered()
    }

    /// An IPv6 packet that was refused and whose sender is to be told why (RFC 8200 §4).
    pub(super) fn malformed<'f>(&mut self, packet: &[u8], error: carrick_wire::ParseError) -> Dispatch<'f> {
        let answer = icmp::answer_to_refused(packet, error)
            .filter(|answer| self.is_local(answer.sent_to.into()) && !self.replies_full());
        if let Some(answer) = answer
            && self.icmp_errors.permits(&self.keys, answer.to.into(), self.clock)
        {
            let to = self.envelope(answer.sent_to.into(), answer.to.into());
            let problem = answer.problem;
            self.reply_icmp(|buf| {
                icmp::emit_parameter_problem(buf, to, problem.code, problem.pointer, packet)
            });
        }
        self.discard(DiscardReason::Malformed(error))
    }

    /// A protocol that nobody here speaks: IPv4 3/2; IPv6 was answered by the header walk already.
    pub(super) fn unknown_protocol<'f>(&mut self, packet: &IpView<&'f [u8]>) -> Dispatch<'f> {
        if !self.replies_full()
            && icmp::may_answer(packet)
            && self.icmp_errors.permits(&self.keys, packet.src(), self.clock)
        {
            let to = self.envelope(packet.dst(), packet.src());
            // RFC 792: protocol unreachable is code 2; RFC 4443 §3.4: unrecognized next header is code 1.
            match packet.dst() {
                IpAddr::V4(_) => self.reply_icmp(|buf| icmp::emit_unreachable(buf, to, 2, packet.as_bytes())),
                IpAddr::V6(_) => {
                    self.reply_icmp(|buf| icmp::emit_parameter_problem(buf, to, 1, 6, packet.as_bytes()));
                }
            }
        }
        self.discard(DiscardReason::UnknownProtocol)
    }

    pub(super) fn icmp<'f>(&mut self, packet: &IpView<&'f [u8]>) -> Dispatch<'f> {
        let message = match (packet.src(), packet.dst()) {
            (IpAddr::V6(src), IpAddr::V6(dst)) if packet.protocol() == Protocol::ICMPV6 => {
                icmp::parse_v6(packet.payload_slice(), src, dst)
            }
            (IpAddr::V4(_), IpAddr::V4(_)) if packet.protocol() == Protocol::ICMP => {
                icmp::parse_v4(packet.payload_slice())
            }
            _ => return self.unknown_protocol(packet),
        };
        let v4 = packet.dst().is_ipv4();
        let (kind, quote) = match message {
            Err(error) => return self.discard(DiscardReason::Malformed(error)),
            Ok(IcmpMessage::EchoRequest { ident, seq, data }) => {
                if !self.is_local(packet.dst()) {
                    return self.discard(DiscardReason::IcmpIgnored);
                }
                if self.replies_full() {
                    return self.discard(DiscardReason::ReplyQueueFull);
                }
                if !self.echo_replies.permits(&self.keys, packet.src(), self.clock) {
                    return self.discard(DiscardReason::RateLimited);
                }
                let to = self.envelope(packet.dst(), packet.src());
                self.reply_icmp(|buf| icmp::emit_echo_reply(buf, to, ident, seq, data));
                return self.answered();
            }
            Ok(IcmpMessage::Unreachable { code, quote }) => match unreachable(v4, code) {
                Some(kind) => (kind, quote),
                None => return self.discard(DiscardReason::IcmpIgnored),
            },
            Ok(IcmpMessage::PacketTooBig { mtu, quote }) => (IcmpErrorKind::PacketTooBig(mtu), quote),
            Ok(IcmpMessage::TimeExceeded { quote, .. }) => (IcmpErrorKind::TimeExceeded, quote),
            Ok(IcmpMessage::ParameterProblem { quote, .. }) => (IcmpErrorKind::ParameterProblem, quote),
            Ok(IcmpMessage::EchoReply { .. } | IcmpMessage::Other { .. }) => {
                return self.discard(DiscardReason::IcmpIgnored);
            }
        };
        self.icmp_error(kind, &quote)
    }

    /// An error goes to the connection that its quote names (RFC 5927 §4).
    fn icmp_error<'f>(&mut self, kind: IcmpErrorKind, quote: &Quote<'_>) -> Dispatch<'f> {
        let Some(tcp) = quote.tcp() else { return self.discard(DiscardReason::IcmpIgnored) };
        let tuple = Tuple {
            local: quote.src(),
            remote: quote.dst(),
            local_port: tcp.src_port,
            remote_port: tcp.dst_port,
        };
        let error = IcmpError { kind, seq: tcp.seq };
        match self.demux.find(&self.keys, &tuple) {
            Some(Entry::Connection(index)) => self.existing(index, Input::Icmp(error)),
            Some(Entry::HalfOpen(index)) => self.half_open_error(index, error),
            Some(Entry::TimeWait(_)) | None => self.discard(DiscardReason::IcmpIgnored),
        }
    }

    pub(super) fn existing<'f>(&mut self, index: u32, input: Input<'f>) -> Dispatch<'f> {
        let Some(place) = self.demux.connections.get(index) else { return self.discard(DiscardReason::Gone) };
        let id = ConnectionId { index, generation: place.generation };
        self.counters.to_connections = self.counters.to_connections.saturating_add(1);
        Dispatch::Existing(id, input)
    }

    pub(super) fn envelope(&self, src: IpAddr, dst: IpAddr) -> Envelope {
        Envelope { src, dst, hop_limit: self.config.hop_limit }
    }

    /// Queues an ICMP packet that `emit` writes; one that does not fit is not sent.
    pub(super) fn reply_icmp(
        &mut self,
        emit: impl FnOnce(&mut [u8]) -> Result<usize, carrick_wire::BuildError>,
    ) {
        let room = usize::from(self.config.mtu).min(ICMP_ROOM);
        let mut packet = alloc::vec![0; room];
        let Ok(len) = emit(&mut packet) else { return };
        let (header, rest) = HeaderBytes::split(packet.get(..len).unwrap_or_default());
        self.push_reply(header, Bytes::copy_from_slice(rest), false);
    }
}

/// IPv4 type 3 (RFC 1122 §3.2.2.1) and IPv6 type 1 (RFC 4443 §3.1) by what they mean to TCP.
const fn unreachable(v4: bool, code: u8) -> Option<IcmpErrorKind> {
    Some(match (v4, code) {
        (true, 2 | 3) | (false, 1 | 4) => IcmpErrorKind::Refused,
        (true, 0 | 6 | 8 | 9 | 11) | (false, 0 | 2) => IcmpErrorKind::NetworkUnreachable,
        (true, 1 | 5 | 7 | 10 | 12 | 13) | (false, 3 | 5 | 6) => IcmpErrorKind::HostUnreachable,
        _ => return None,
    })
}
