//! Packets as strangers make them, and reading what is said in return.

use carrick_core::DiscardReason;
use carrick_sim::{Packet, Scene};
use carrick_wire::icmp::{self, IcmpMessage};
use carrick_wire::{Checksum, IpHeader, IpView, ParseError, Protocol};
use std::net::IpAddr;

/// An IP packet without options or extension headers.
pub(crate) fn ip(src: IpAddr, dst: IpAddr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let header = IpHeader { payload_len: payload.len(), ..IpHeader::new(src, dst, protocol) };
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes).unwrap();
    bytes.extend_from_slice(payload);
    bytes
}

/// From the scene's peer to us.
pub(crate) fn to_us(s: &Scene, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    ip(s.remote().ip(), s.local().ip(), protocol, payload)
}

/// Makes an IPv4 header's checksum right.
pub(crate) fn mend(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 0xf) * 4;
    packet[10..12].fill(0);
    let mut sum = Checksum::new();
    sum.add(&packet[..header_len]);
    packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
}

/// An ICMP message with its checksum, in a packet.
pub(crate) fn icmp(src: IpAddr, dst: IpAddr, kind: u8, code: u8, word: u32, body: &[u8]) -> Vec<u8> {
    let protocol = if src.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&word.to_be_bytes());
    message.extend_from_slice(body);
    let mut sum = match src {
        IpAddr::V4(_) => Checksum::new(),
        IpAddr::V6(_) => Checksum::pseudo_header(src, dst, protocol, message.len()),
    };
    sum.add(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    ip(src, dst, protocol, &message)
}

/// An echo request to `dst`.
pub(crate) fn echo(src: IpAddr, dst: IpAddr, data: &[u8]) -> Vec<u8> {
    icmp(src, dst, if src.is_ipv4() { 8 } else { 128 }, 0, 0x1234_0007, data)
}

/// An error from a router about a packet of ours, with as much of it as routers quote at least.
pub(crate) fn error(s: &Scene, kind: u8, code: u8, word: u32, quoted: &[u8]) -> Vec<u8> {
    let router: IpAddr =
        if s.local().is_ipv4() { [203, 0, 113, 254].into() } else { "2001:db8:f::1".parse().unwrap() };
    let headers = if s.local().is_ipv4() { 28 } else { 48 };
    icmp(router, s.local().ip(), kind, code, word, &quoted[..headers])
}

/// "Packet too big" about `quoted`.
pub(crate) fn too_big(s: &Scene, mtu: u32, quoted: &[u8]) -> Vec<u8> {
    let (kind, code) = if s.local().is_ipv4() { (3, 4) } else { (2, 0) };
    error(s, kind, code, mtu, quoted)
}

/// Reads an ICMP packet of ours.
pub(crate) fn read(packet: &Packet) -> IcmpMessage<'_> {
    let view = IpView::parse(&packet.bytes[..]).unwrap();
    match (view.src(), view.dst()) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => icmp::parse_v6(view.payload_slice(), src, dst).unwrap(),
        _ => icmp::parse_v4(view.payload_slice()).unwrap(),
    }
}

/// As [`read`], also where the quote is of a packet that nobody could have sent whole: type, code, the second
/// word and the quote.
pub(crate) fn read_raw(packet: &Packet) -> (u8, u8, u32, &[u8]) {
    let view = IpView::parse(&packet.bytes[..]).unwrap();
    let message = view.payload_slice();
    if let (IpAddr::V6(src), IpAddr::V6(dst)) = (view.src(), view.dst()) {
        assert_ne!(icmp::parse_v6(message, src, dst), Err(ParseError::IcmpChecksum));
    } else {
        assert_ne!(icmp::parse_v4(message), Err(ParseError::IcmpChecksum));
    }
    let word = u32::from_be_bytes(message[4..8].try_into().unwrap());
    (message[0], message[1], word, &message[8..])
}

/// Says what happens when a packet is dropped: one counter, nothing else.
#[track_caller]
pub(crate) fn assert_dropped(s: &mut Scene, packet: &[u8], reason: DiscardReason) {
    let count = |s: &Scene| (s.host().endpoint().counters().discarded(reason), s.host().digest(s.now()));
    let before = count(s);
    s.inject_bytes(packet.to_vec());
    s.expect_nothing();
    assert_eq!(count(s), (before.0 + 1, before.1), "{reason:?}\n{}", s.transcript());
}
