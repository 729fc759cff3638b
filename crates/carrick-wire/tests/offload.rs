//! The header of an offloading TUN: what is taken from it, what is refused, what is written.

mod support;

use carrick_wire::offload::{self, LEN, Received};
use carrick_wire::{BuildError, IpHeader, Protocol, TcpFlags, TcpHeader};
use proptest::prelude::*;
use std::net::IpAddr;
use std::num::NonZeroU16;
use support::{FAMILIES, data_header, ip_packet, segment};

/// flags, type, hdr_len, gso_size, csum_start, csum_offset.
fn header(flags: u8, kind: u8, lens: [u16; 4]) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..2].copy_from_slice(&[flags, kind]);
    for (field, value) in bytes[2..].chunks_exact_mut(2).zip(lens) {
        field.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

fn packet((src, dst): (IpAddr, IpAddr), tcp: &TcpHeader, len: usize) -> Vec<u8> {
    ip_packet(src, dst, Protocol::TCP, &segment(src, dst, tcp, &vec![7; len]))
}

const UNKNOWN: Option<Received> = Some(Received { intact: false, segment_size: None });
const INTACT: Option<Received> = Some(Received { intact: true, segment_size: None });

#[test]
fn t_mal_18_an_offload_header_is_checked_against_its_packet() {
    let [v4, v6] = FAMILIES.map(|family| packet(family, &data_header(), 3000));
    let sized = |size| Some(Received { intact: true, segment_size: NonZeroU16::new(size) });
    let end = v4.len() as u16;
    type Case<'a> = (&'a str, &'a [u8], [u8; LEN], Option<Received>);
    let cases: &[Case<'_>] = &[
        ("nothing is said", &v4, header(0, 0, [0; 4]), UNKNOWN),
        ("the sum was verified", &v4, header(2, 0, [0; 4]), INTACT),
        ("unfinished", &v4, header(1, 0, [0, 0, 20, 16]), INTACT),
        ("an unfinished datagram", &v6, header(1, 0, [0, 0, 40, 6]), INTACT),
        ("flags that nobody knows", &v4, header(0xfc, 0, [0; 4]), UNKNOWN),
        ("the sum is the last of the packet", &v4, header(1, 0, [0, 0, end - 2, 0]), INTACT),
        ("it is one beyond", &v4, header(1, 0, [0, 0, end - 2, 1]), None),
        ("it begins beyond", &v4, header(1, 0, [0, 0, u16::MAX, 0]), None),
        ("it wraps", &v4, header(1, 0, [0, 0, u16::MAX, u16::MAX]), None),
        ("places mean nothing where the sum is finished", &v4, header(0, 0, [0, 0, u16::MAX, 9]), UNKNOWN),
        ("a super-segment", &v4, header(1, 1, [40, 1460, 20, 16]), sized(1460)),
        ("another", &v6, header(1, 4, [60, 1440, 40, 16]), sized(1440)),
        ("with CWR", &v4, header(1, 0x81, [40, 1460, 20, 16]), sized(1460)),
        ("CWR alone makes none", &v4, header(1, 0x80, [40, 1460, 20, 16]), INTACT),
        ("forwarded ones have any header length", &v4, header(1, 1, [9999, 1460, 20, 16]), sized(1460)),
        ("the size may be more than there is", &v4, header(1, 1, [40, u16::MAX, 20, 16]), sized(u16::MAX)),
        ("without a size", &v4, header(1, 1, [40, 0, 20, 16]), None),
        ("of the other family", &v4, header(1, 4, [40, 1460, 20, 16]), None),
        ("of the other family", &v6, header(1, 1, [40, 1440, 40, 16]), None),
        ("of datagrams", &v4, header(1, 3, [40, 1460, 20, 16]), None),
        ("of datagrams", &v4, header(1, 5, [40, 1460, 20, 16]), None),
        ("of no IP at all", &[0x50; 60], header(1, 1, [40, 1460, 20, 16]), None),
        ("without a packet", &[], header(0, 1, [40, 1460, 20, 16]), None),
        ("without a packet", &[], header(1, 0, [0; 4]), None),
        ("nothing of nothing", &[], header(0, 0, [0; 4]), UNKNOWN),
    ];
    for (what, packet, header, expected) in cases {
        assert_eq!(offload::parse(*header, packet), *expected, "{what}");
    }
    carrick_covers::covers!("T-MAL-18");
}

#[test]
fn what_is_written_says_where_the_sum_goes_and_how_to_cut() {
    let cases = [
        (FAMILIES[0], TcpFlags::ACK, None, header(1, 0, [0, 0, 20, 16])),
        (FAMILIES[1], TcpFlags::ACK, None, header(1, 0, [0, 0, 40, 16])),
        (FAMILIES[0], TcpFlags::ACK, Some(1460), header(1, 1, [40, 1460, 20, 16])),
        (FAMILIES[1], TcpFlags::ACK, Some(1440), header(1, 4, [60, 1440, 40, 16])),
        (FAMILIES[0], TcpFlags::ACK | TcpFlags::CWR, Some(1460), header(1, 0x81, [40, 1460, 20, 16])),
        (FAMILIES[1], TcpFlags::ACK | TcpFlags::CWR, Some(1440), header(1, 0x84, [60, 1440, 40, 16])),
        // There is nothing to cut, so nobody needs to know.
        (FAMILIES[0], TcpFlags::ACK | TcpFlags::CWR, None, header(1, 0, [0, 0, 20, 16])),
    ];
    for (family, flags, size, expected) in cases {
        let packet = packet(family, &TcpHeader { flags, ..data_header() }, 0);
        let written = offload::emit(&packet, size.and_then(NonZeroU16::new)).unwrap();
        assert_eq!(written, expected);
    }
    let (src, dst) = FAMILIES[0];
    let echo = ip_packet(src, dst, Protocol::ICMP, &[0; 8]);
    assert_eq!(offload::emit(&echo, None), Ok([0; LEN]), "finished already");
}

#[test]
fn what_is_no_packet_gets_no_header() {
    for (src, dst) in FAMILIES {
        let whole = packet((src, dst), &data_header(), 0);
        let ip = IpHeader::new(src, dst, Protocol::TCP).header_len();
        for len in 0..ip + 14 {
            assert_eq!(offload::emit(&whole[..len], None), Err(BuildError::SuperSegmentHeader), "{len}");
        }
        assert!(offload::emit(&whole[..ip + 14], None).is_ok());
    }
    assert_eq!(offload::emit(&[0x50; 60], None), Err(BuildError::SuperSegmentHeader));
}

proptest! {
    #[test]
    fn t_mal_18_no_header_and_no_packet_panics(header: [u8; LEN], packet: Vec<u8>, size: Option<NonZeroU16>) {
        if let Some(Received { segment_size: Some(_), .. }) = offload::parse(header, &packet) {
            prop_assert!(matches!(packet[0] >> 4, 4 | 6));
        }
        if let Ok(written) = offload::emit(&packet, size) {
            // What we write, we would take.
            let known = offload::parse(written, &[&packet[..], &[0; 80]].concat());
            prop_assert!(known.is_some());
        }
    }
}
