//! Packets to test with, and slow but obvious references.

#![allow(dead_code, reason = "no test file uses all of it")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use carrick_wire::{
    Checksum, FastOpenCookie, IpHeader, Protocol, SackBlock, SeqNum, TcpFlags, TcpHeader, TcpOptions,
    Timestamps, UserTimeout, WireWindow, tcp,
};

pub(crate) const SRC_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(crate) const DST_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));
pub(crate) const SRC_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
pub(crate) const DST_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2));
pub(crate) const FAMILIES: [(IpAddr, IpAddr); 2] = [(SRC_V4, DST_V4), (SRC_V6, DST_V6)];

/// An IP packet around `payload`, without options or extension headers.
pub(crate) fn ip_packet(src: IpAddr, dst: IpAddr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let header = IpHeader { payload_len: payload.len(), ..IpHeader::new(src, dst, protocol) };
    let mut packet = vec![0; header.header_len()];
    header.emit(&mut packet).unwrap();
    packet.extend_from_slice(payload);
    packet
}

/// A TCP segment with its checksum.
pub(crate) fn segment(src: IpAddr, dst: IpAddr, header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; header.header_len()];
    header.emit(&mut segment).unwrap();
    segment.extend_from_slice(payload);
    fix_tcp_checksum(src, dst, &mut segment);
    segment
}

/// A whole TCP packet.
pub(crate) fn tcp_packet(src: IpAddr, dst: IpAddr, header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
    ip_packet(src, dst, Protocol::TCP, &segment(src, dst, header, payload))
}

/// An IPv6 packet whose payload starts with extension headers.
pub(crate) fn v6_chain(first: Protocol, payload: &[u8]) -> Vec<u8> {
    ip_packet(SRC_V6, DST_V6, first, payload)
}

pub(crate) fn fix_tcp_checksum(src: IpAddr, dst: IpAddr, segment: &mut [u8]) {
    tcp::set_checksum(segment, 0).unwrap();
    let mut sum = Checksum::pseudo_header(src, dst, Protocol::TCP, segment.len());
    sum.add(segment);
    tcp::set_checksum(segment, sum.finish()).unwrap();
}

/// Makes the IPv4 header checksum right for whatever header length the packet claims.
pub(crate) fn fix_v4_checksum(packet: &mut [u8]) {
    if packet.len() < 20 {
        return;
    }
    let header_len = (usize::from(packet[0] & 0xf) * 4).min(packet.len());
    packet[10] = 0;
    packet[11] = 0;
    let sum = !naive_sum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 1071 by the book: big-endian words one after the other, folded after each.
pub(crate) fn naive_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

pub(crate) fn data_header() -> TcpHeader {
    TcpHeader {
        src_port: 49152,
        dst_port: 80,
        seq: SeqNum::new(0xffff_fff0),
        ack: SeqNum::new(0x1234_5678),
        flags: TcpFlags::ACK | TcpFlags::PSH,
        window: WireWindow::new(502),
        ..TcpHeader::default()
    }
}

/// Options as on a SYN of ours.
pub(crate) fn syn_options() -> TcpOptions {
    TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { val: 1, ecr: 0 }),
        ..TcpOptions::default()
    }
}

pub(crate) fn sack(blocks: &[(u32, u32)]) -> carrick_wire::SackBlocks {
    let mut list = carrick_wire::SackBlocks::default();
    for &(left, right) in blocks {
        assert!(list.push(SackBlock::new(SeqNum::new(left), SeqNum::new(right)).unwrap()));
    }
    list
}

/// A dozen valid TCP packets of both families: bare, every option, data of odd and even length.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let bare = data_header();
    let syn = TcpHeader { flags: TcpFlags::SYN, options: syn_options(), ..bare };
    let timestamps = Some(Timestamps { val: 77, ecr: 88 });
    let acks = TcpOptions { timestamps, sack: sack(&[(1, 9), (20, 30), (40, 50)]), ..TcpOptions::default() };
    let sacks = TcpHeader { flags: TcpFlags::ACK, options: acks, ..bare };
    let rare = TcpOptions {
        fast_open: FastOpenCookie::new(&[1, 2, 3, 4, 5, 6, 7, 8]),
        user_timeout: UserTimeout::from_seconds(300),
        ..TcpOptions::default()
    };
    let rare = TcpHeader { flags: TcpFlags::SYN, options: rare, ..bare };
    let mut samples = Vec::new();
    for (src, dst) in FAMILIES {
        for (header, payload) in [
            (bare, &b""[..]),
            (bare, b"odd"),
            (syn, b""),
            (sacks, b"even"),
            (rare, b"x"),
            (bare, &[0x5a; 600]),
        ] {
            samples.push(tcp_packet(src, dst, &header, payload));
        }
    }
    samples
}

/// A small generator: the same sequence for the same seed on every machine.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}
