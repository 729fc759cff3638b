//! ICMP both ways (RFC 1122 §3.2.2, RFC 4443): errors about our segments find their connection, what strangers
//! are told is bounded.
//!
//! An error is believed as far as the segment that it quotes is one of ours: the tuple is looked up here, the
//! sequence number by the connection (RFC 5927 §4). What it means is one table for both families. Redirects,
//! neighbour discovery, source quench, queries for masks and times: nobody on this link can mean us, so they
//! are dropped. Errors that we send come from one bucket, echo replies from another.

use super::demux::Entry;
use super::{Dispatch, Endpoint, checksum_is_right};
use crate::event::ConnectionId;
use crate::transmit::HeaderBytes;
use crate::{DiscardReason, IcmpError, IcmpErrorKind, Input, Tuple};
use bytes::Bytes;
use carrick_wire::icmp::{self, Envelope, IcmpMessage, Quote};
use carrick_wire::{BuildError, IpView, ParseError, Protocol};
use core::net::{IpAddr, Ipv6Addr};

/// IP and ICMP header bytes, at most.
const HEADERS: usize = 48;
/// The longest error in all (RFC 4443 §2.4 c); those of IPv4 are shorter.
pub(super) const MAX_ERROR: usize = 1280;

/// An error about a packet.
#[derive(Clone, Copy)]
enum Complaint {
    Unreachable(u8),
    TimeExceeded(u8),
    ParameterProblem(u8, u32),
}

impl Endpoint {
    /// A packet that was refused; over IPv6 its sender may have to be told why (RFC 8200 §4).
    pub(super) fn malformed<'f>(&mut self, packet: &[u8], error: ParseError) -> Dispatch<'f> {
        if let Some(answer) = icmp::answer_to_refused(packet, error) {
            let (sent_to, to) = (answer.sent_to.into(), answer.to.into());
            let from =
                if self.is_local(sent_to) { Some(sent_to) } else { self.source_for_group(sent_to, to) };
            if let Some(from) = from.filter(|_| !self.is_local(to)) {
                let problem = answer.problem;
                self.complain(from, to, Complaint::ParameterProblem(problem.code, problem.pointer), packet);
            }
        }
        self.discard(DiscardReason::Malformed(error))
    }

    /// A protocol that nobody here speaks (RFC 1122 §3.2.2.1, RFC 4443 §3.1, §3.4). UDP would have ports.
    pub(super) fn unknown_protocol<'f>(&mut self, packet: &IpView<&'f [u8]>) -> Dispatch<'f> {
        let v4 = packet.version() == 4;
        let udp = packet.protocol() == Protocol::UDP;
        self.complain_about(
            packet,
            match (v4, udp) {
                (true, true) => Complaint::Unreachable(3),
                (true, false) => Complaint::Unreachable(2),
                (false, true) => Complaint::Unreachable(4),
                (false, false) => Complaint::ParameterProblem(1, 6),
            },
        );
        self.discard(DiscardReason::UnknownProtocol)
    }

    /// Parts of a packet have waited in vain for the others; `first` is the first of them.
    pub(super) fn reassembly_failed(&mut self, first: &[u8]) {
        if let Ok(packet) = IpView::parse(first) {
            self.complain_about(&packet, Complaint::TimeExceeded(1));
        }
    }

    fn complain_about(&mut self, packet: &IpView<&[u8]>, complaint: Complaint) {
        if icmp::may_answer(packet) && self.is_local(packet.dst()) {
            self.complain(packet.dst(), packet.src(), complaint, packet.as_bytes());
        }
    }

    /// Sends an error, if there is a token for it.
    fn complain(&mut self, from: IpAddr, to: IpAddr, complaint: Complaint, offender: &[u8]) {
        if self.replies_full() || !self.icmp_errors.permits(&self.keys, to, self.clock) {
            return;
        }
        let room = offender.len().saturating_add(HEADERS).min(MAX_ERROR);
        self.reply_icmp(from, to, room, |buf, to| match complaint {
            Complaint::Unreachable(code) => icmp::emit_unreachable(buf, to, code, offender),
            Complaint::TimeExceeded(code) => icmp::emit_time_exceeded(buf, to, code, offender),
            Complaint::ParameterProblem(code, pointer) => {
                icmp::emit_parameter_problem(buf, to, code, pointer, offender)
            }
        });
    }

    pub(super) fn icmp<'f>(&mut self, packet: &IpView<&'f [u8]>) -> Dispatch<'f> {
        let message = match (packet.src(), packet.dst()) {
            (IpAddr::V6(src), IpAddr::V6(dst)) if packet.protocol() == Protocol::ICMPV6 => {
                icmp::parse_v6(packet.payload_slice(), src, dst)
            }
            (IpAddr::V4(_), IpAddr::V4(_)) if packet.protocol() == Protocol::ICMP => {
                icmp::parse_v4(packet.payload_slice())
            }
            _ if !self.is_local(packet.dst()) => return self.discard(DiscardReason::NotOurs),
            _ => return self.unknown_protocol(packet),
        };
        let v4 = packet.version() == 4;
        let (kind, quote) = match message {
            Err(error) => return self.discard(DiscardReason::Malformed(error)),
            Ok(IcmpMessage::EchoRequest { ident, seq, data }) => return self.echo(packet, ident, seq, data),
            Ok(IcmpMessage::Unreachable { code, quote }) => match unreachable(v4, code) {
                Some(kind) => (kind, quote),
                None => return self.discard(DiscardReason::IcmpIgnored),
            },
            Ok(IcmpMessage::PacketTooBig { mtu, quote }) => (IcmpErrorKind::PacketTooBig(mtu), quote),
            Ok(IcmpMessage::TimeExceeded { quote, .. }) => (IcmpErrorKind::TimeExceeded, quote),
            Ok(IcmpMessage::ParameterProblem { quote, .. }) => (IcmpErrorKind::ParameterProblem, quote),
            Ok(IcmpMessage::UnknownError { quote, .. }) => (IcmpErrorKind::Unknown, quote),
            Ok(IcmpMessage::EchoReply { .. } | IcmpMessage::Other { .. }) => {
                return self.discard(DiscardReason::IcmpIgnored);
            }
        };
        self.icmp_error(packet.dst(), kind, &quote)
    }

    /// Echo (RFC 1122 §3.2.2.6, RFC 4443 §4.2): all data, from the address that was asked. What is too big for
    /// the way back is cut off in IPv4; in IPv6 there is no reply then.
    fn echo<'f>(&mut self, packet: &IpView<&'f [u8]>, ident: u16, seq: u16, data: &[u8]) -> Dispatch<'f> {
        let (dst, to) = (packet.dst(), packet.src());
        let from = if self.is_local(dst) { Some(dst) } else { self.source_for_group(dst, to) };
        let Some(from) = from else { return self.discard(DiscardReason::NotOurs) };
        if self.replies_full() {
            return self.discard(DiscardReason::ReplyQueueFull);
        }
        if !self.echo_replies.permits(&self.keys, to, self.clock) {
            return self.discard(DiscardReason::RateLimited);
        }
        let headers = if from.is_ipv4() { 28 } else { HEADERS };
        let room = usize::from(self.mtu_to(to).path).saturating_sub(headers);
        let data = match data.get(..room) {
            Some(cut) if from.is_ipv4() => cut,
            Some(_) if data.len() > room => return self.discard(DiscardReason::IcmpIgnored),
            _ => data,
        };
        self.reply_icmp(from, to, data.len().saturating_add(headers), |buf, to| {
            icmp::emit_echo_reply(buf, to, ident, seq, data)
        });
        self.answered()
    }

    /// The address from which a message to a group is answered, if we are in it: every IPv6 node is in
    /// all-nodes of its link (RFC 4291 §2.8). IPv4 groups are not answered (RFC 1122 §3.2.2.6 allows it).
    fn source_for_group(&self, group: IpAddr, to: IpAddr) -> Option<IpAddr> {
        const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        self.source_for(to).filter(|_| group == ALL_NODES)
    }

    /// An error goes to the connection that its quote names (RFC 5927 §4). It came to where the quoted packet
    /// came from, which is an address of ours or, under a listener for any address, was one.
    fn icmp_error<'f>(&mut self, dst: IpAddr, kind: IcmpErrorKind, quote: &Quote<'_>) -> Dispatch<'f> {
        let Some(tcp) = quote.tcp().filter(|_| quote.src() == dst) else {
            return self.discard(DiscardReason::IcmpIgnored);
        };
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

    /// Queues an ICMP packet of at most `room` bytes that `emit` writes.
    pub(super) fn reply_icmp(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        room: usize,
        emit: impl FnOnce(&mut [u8], Envelope) -> Result<usize, BuildError>,
    ) {
        let mut packet = alloc::vec![0; room];
        let Ok(len) = emit(&mut packet, Envelope { src, dst, hop_limit: self.config.hop_limit }) else {
            return;
        };
        packet.truncate(len);
        let (header, rest) = HeaderBytes::split(&packet);
        let at = len.saturating_sub(rest.len());
        self.push_reply(header, Bytes::from(packet).slice(at..), false);
    }
}

/// IPv4 type 3 (RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1) and IPv6 type 1 (RFC 4443 §3.1) by what they mean to TCP.
const fn unreachable(v4: bool, code: u8) -> Option<IcmpErrorKind> {
    Some(match (v4, code) {
        (true, 2 | 3) | (false, 1 | 4) => IcmpErrorKind::Refused,
        (true, 0 | 6 | 8 | 9 | 11) | (false, 0 | 2) => IcmpErrorKind::NetworkUnreachable,
        (true, 1 | 5 | 7 | 10 | 12..=15) | (false, 3 | 5 | 6) => IcmpErrorKind::HostUnreachable,
        _ => return None,
    })
}

/// UDP's checksum: none at all is allowed in IPv4 alone (RFC 768, RFC 8200 §8.1). The rest of the datagram is in
/// `parts`.
pub(super) fn udp_checksum_is_right(packet: &IpView<&[u8]>, parts: &[Bytes]) -> bool {
    match packet.payload_slice().get(6..8) {
        Some([0, 0]) => packet.version() == 4,
        _ => checksum_is_right(packet, parts),
    }
}
