//! ICMP and ICMPv6: messages, quotes, answers.

mod support;

use std::net::{IpAddr, Ipv6Addr};

use carrick_wire::icmp::{
    self, Envelope, IcmpMessage, answer_to_refused, emit_echo_reply, emit_packet_too_big,
    emit_parameter_problem, emit_time_exceeded, emit_unreachable, may_answer,
};
use carrick_wire::{BuildError, Checksum, IpView, ParseError, Protocol, SeqNum};
use support::{
    DST_V4, DST_V6, FAMILIES, SRC_V4, SRC_V6, data_header, fix_v4_checksum, ip_packet, samples, tcp_packet,
    v6_chain,
};

fn v6(address: IpAddr) -> Ipv6Addr {
    let IpAddr::V6(address) = address else { panic!("IPv6") };
    address
}

/// A message with its checksum, for the family of `SRC_V4` or `SRC_V6`.
fn message(v4: bool, kind: u8, code: u8, word: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend_from_slice(&word.to_be_bytes());
    bytes.extend_from_slice(body);
    let mut sum = if v4 {
        Checksum::new()
    } else {
        Checksum::pseudo_header(SRC_V6, DST_V6, Protocol::ICMPV6, bytes.len())
    };
    sum.add(&bytes);
    bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    bytes
}

fn parse(v4: bool, bytes: &[u8]) -> Result<IcmpMessage<'_>, ParseError> {
    if v4 { icmp::parse_v4(bytes) } else { icmp::parse_v6(bytes, v6(SRC_V6), v6(DST_V6)) }
}

/// A TCP packet as an error would bring it back.
fn quoted(v4: bool) -> Vec<u8> {
    let (src, dst) = FAMILIES[usize::from(!v4)];
    tcp_packet(src, dst, &data_header(), b"the rest of the packet")
}

#[test]
fn icmp_1_every_bit_flip_fails_the_checksum() {
    for v4 in [true, false] {
        let bytes = message(v4, if v4 { 8 } else { 128 }, 0, 0x0001_0002, b"ping");
        assert!(parse(v4, &bytes).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(v4, &flipped), Err(ParseError::IcmpChecksum));
        }
        for len in 0..8 {
            assert_eq!(parse(v4, &bytes[..len]), Err(ParseError::IcmpTruncated));
        }
    }
    // The pseudo-header counts: the same bytes from another address are wrong.
    let bytes = message(false, 128, 0, 0, b"");
    let other = "2001:db8::bad".parse().unwrap();
    assert_eq!(icmp::parse_v6(&bytes, other, v6(DST_V6)), Err(ParseError::IcmpChecksum));
    carrick_covers::covers!("ICMP-1");
}

#[test]
fn icmp_2_every_type_without_a_quote_has_one_outcome() {
    for v4 in [true, false] {
        for kind in 0..=255u8 {
            let bytes = message(v4, kind, 3, 7 << 16 | 9, b"");
            let outcome = parse(v4, &bytes);
            let (request, reply) = if v4 { (8, 0) } else { (128, 129) };
            let quotes = if v4 { matches!(kind, 3 | 11 | 12) } else { kind < 128 };
            let expected = if kind == request {
                Ok(IcmpMessage::EchoRequest { ident: 7, seq: 9, data: b"" })
            } else if kind == reply {
                Ok(IcmpMessage::EchoReply { ident: 7, seq: 9, data: b"" })
            } else if quotes {
                Err(ParseError::IcmpQuoteTruncated)
            } else {
                Ok(IcmpMessage::Other { kind, code: 3 })
            };
            assert_eq!(outcome, expected, "{kind}");
        }
    }
}

#[test]
fn icmp_12_errors_bring_back_ports_and_sequence_number() {
    for v4 in [true, false] {
        let (src, dst) = FAMILIES[usize::from(!v4)];
        let packet = quoted(v4);
        let kinds: &[(u8, u8)] =
            if v4 { &[(3, 1), (3, 4), (11, 0), (12, 0)] } else { &[(1, 4), (2, 0), (3, 0), (4, 0)] };
        for &(kind, code) in kinds {
            let bytes = message(v4, kind, code, if v4 { 0x1234_05dc } else { 1400 }, &packet);
            let quote = match parse(v4, &bytes).unwrap() {
                IcmpMessage::Unreachable { code: said, quote } => {
                    assert_eq!(said, code);
                    quote
                }
                IcmpMessage::PacketTooBig { mtu, quote } => {
                    assert_eq!(mtu, if v4 { 0x05dc } else { 1400 }, "PMTU-2: the low half");
                    quote
                }
                IcmpMessage::TimeExceeded { code: said, quote } => {
                    assert_eq!(said, code);
                    quote
                }
                IcmpMessage::ParameterProblem { code: said, pointer, quote } => {
                    assert_eq!((said, pointer), (code, if v4 { 0x12 } else { 1400 }));
                    quote
                }
                other => panic!("{other:?}"),
            };
            assert_eq!((quote.src(), quote.dst(), quote.protocol()), (src, dst, Protocol::TCP));
            let tcp = quote.tcp().unwrap();
            assert_eq!((tcp.src_port, tcp.dst_port, tcp.seq), (49152, 80, SeqNum::new(0xffff_fff0)));
        }
    }
}

#[test]
fn icmp_12_quotes_may_end_after_8_bytes_of_transport_and_not_before() {
    for v4 in [true, false] {
        let packet = quoted(v4);
        let header_len = if v4 { 20 } else { 40 };
        for len in 0..=packet.len() {
            let bytes = message(v4, if v4 { 11 } else { 3 }, 0, 0, &packet[..len]);
            match parse(v4, &bytes) {
                Ok(IcmpMessage::TimeExceeded { quote, .. }) => {
                    assert!(len >= header_len + 8);
                    assert_eq!(quote.transport(), &packet[header_len..len]);
                }
                other => {
                    assert!(len < header_len + 8, "{other:?}");
                    assert_eq!(other, Err(ParseError::IcmpQuoteTruncated));
                }
            }
        }
    }
    carrick_covers::covers!("ICMP-12", "T-ICM-6");
}

#[test]
fn icmp_12_quotes_are_parsed_as_carefully_as_packets() {
    let refuse = |v4: bool, change: &dyn Fn(&mut Vec<u8>), expected: ParseError| {
        let mut packet = quoted(v4);
        change(&mut packet);
        let bytes = message(v4, if v4 { 3 } else { 1 }, 3, 0, &packet);
        assert_eq!(parse(v4, &bytes), Err(expected));
    };
    let invalid = ParseError::IcmpQuoteInvalid;
    for first in (0..=255u8).filter(|first| *first >> 4 != 4 || *first & 0xf < 5) {
        refuse(true, &|packet| packet[0] = first, invalid);
    }
    refuse(true, &|packet| packet[2..4].fill(0), invalid);
    refuse(true, &|packet| packet[2..4].copy_from_slice(&27u16.to_be_bytes()), invalid);
    refuse(true, &|packet| packet[7] = 1, invalid); // not the first fragment
    refuse(true, &|packet| packet[0] = 0x4f, invalid); // options that leave no transport
    let cut_in_options = |packet: &mut Vec<u8>| {
        packet[0] = 0x4f;
        packet[2] = 1;
    };
    refuse(true, &cut_in_options, ParseError::IcmpQuoteTruncated);
    refuse(false, &|packet| packet[0] = 0x45, invalid);
    refuse(false, &|packet| packet[6] = 59, invalid);
    refuse(false, &|packet| packet[6] = 253, invalid);
    refuse(false, &|packet| packet[4..6].fill(0), ParseError::IcmpQuoteTruncated);

    // A stale header checksum and a lowered hop limit are what routers leave behind.
    let mut packet = quoted(true);
    packet[8] = 1;
    packet[10] ^= 0xff;
    assert!(parse(true, &message(true, 11, 0, 0, &packet)).is_ok());
}

#[test]
fn icmp_13_quoted_extension_headers_are_walked() {
    let tcp = support::segment(SRC_V6, DST_V6, &data_header(), b"");
    let payload = [&[6, 0, 1, 4, 0, 0, 0, 0], &tcp[..]].concat();
    let packet = v6_chain(Protocol::DESTINATION_OPTIONS, &payload);
    let bytes = message(false, 1, 4, 0, &packet);
    let Ok(IcmpMessage::Unreachable { quote, .. }) = parse(false, &bytes) else { panic!("an unreachable") };
    assert_eq!(quote.tcp().unwrap().src_port, 49152);

    // A quoted UDP packet has no TCP numbers.
    let packet = ip_packet(SRC_V4, DST_V4, Protocol::UDP, &[0; 12]);
    let bytes = message(true, 3, 3, 0, &packet);
    let Ok(IcmpMessage::Unreachable { quote, .. }) = parse(true, &bytes) else { panic!("an unreachable") };
    assert_eq!((quote.protocol(), quote.tcp()), (Protocol::UDP, None));
}

fn envelope(v4: bool) -> Envelope {
    let (src, dst) = FAMILIES[usize::from(!v4)];
    Envelope { src, dst, hop_limit: 64 }
}

/// The ICMP message in a packet that we wrote.
fn read_back(packet: &[u8]) -> IcmpMessage<'_> {
    match IpView::parse(packet).unwrap() {
        IpView::V4(view) => icmp::parse_v4(view.payload_slice()).unwrap(),
        IpView::V6(view) => icmp::parse_v6(view.payload_slice(), view.src(), view.dst()).unwrap(),
    }
}

#[test]
fn icmp_7_echo_replies_carry_everything_back() {
    for v4 in [true, false] {
        for len in (0..=1472).step_by(23) {
            let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut buf = [0xee; 1600];
            let written = emit_echo_reply(&mut buf, envelope(v4), 7, 9, &data).unwrap();
            let view = IpView::parse(&buf[..written]).unwrap();
            assert_eq!((view.src(), view.dst(), view.hop_limit()), (envelope(v4).src, envelope(v4).dst, 64));
            assert_eq!(view.tos(), 0, "ICMP-20");
            assert_eq!(read_back(&buf[..written]), IcmpMessage::EchoReply { ident: 7, seq: 9, data: &data });
        }
    }
}

#[test]
fn icmp_3_icmp_4_errors_quote_what_fits() {
    for v4 in [true, false] {
        let (src, dst) = FAMILIES[usize::from(!v4)];
        let (most, headers) = if v4 { (576, 28) } else { (1280, 48) };
        for len in [0, 8, 500, 508, 509, 1200, 1192, 1193, 1400] {
            let offender = tcp_packet(src, dst, &data_header(), &vec![0x33; len]);
            let mut buf = [0; 1500];
            let written = emit_unreachable(&mut buf, envelope(v4), 3, &offender).unwrap();
            assert_eq!(written, most.min(headers + offender.len()));
            assert_eq!(buf[headers..written], offender[..written - headers], "unmodified");
            let IcmpMessage::Unreachable { code: 3, quote } = read_back(&buf[..written]) else {
                panic!("unreachable")
            };
            assert_eq!(quote.tcp().unwrap().seq, data_header().seq);
        }
    }
}

#[test]
fn every_builder_is_read_back() {
    for v4 in [true, false] {
        let offender = quoted(v4);
        let mut buf = [0; 600];
        let len = emit_time_exceeded(&mut buf, envelope(v4), 1, &offender).unwrap();
        assert!(matches!(read_back(&buf[..len]), IcmpMessage::TimeExceeded { code: 1, .. }));
        let len = emit_parameter_problem(&mut buf, envelope(v4), 0, 6, &offender).unwrap();
        assert!(matches!(read_back(&buf[..len]), IcmpMessage::ParameterProblem { code: 0, pointer: 6, .. }));
        let len = emit_packet_too_big(&mut buf, envelope(v4), 1400, &offender).unwrap();
        assert!(matches!(read_back(&buf[..len]), IcmpMessage::PacketTooBig { mtu: 1400, .. }));

        for short in 0..len {
            let outcome = emit_packet_too_big(&mut buf[..short], envelope(v4), 1400, &offender);
            assert_eq!(outcome, Err(BuildError::BufferTooShort));
        }
        let large = emit_packet_too_big(&mut buf, envelope(v4), 65_536, &offender);
        let far = emit_parameter_problem(&mut buf, envelope(v4), 0, 256, &offender);
        if v4 {
            assert_eq!((large, far), (Err(BuildError::NotInFamily), Err(BuildError::NotInFamily)));
        } else {
            assert!(large.is_ok() && far.is_ok());
        }
    }
    let mixed = Envelope { dst: DST_V6, ..envelope(true) };
    assert_eq!(emit_echo_reply(&mut [0; 200], mixed, 0, 0, b""), Err(BuildError::MixedFamilies));
}

#[test]
fn icmp_5_mart_10_who_is_never_answered() {
    let answer = |packet: &[u8]| may_answer(&IpView::parse(packet).unwrap());
    for packet in samples() {
        assert!(answer(&packet), "an ordinary segment may be answered");
    }
    let udp = |src: &str, dst: &str| {
        answer(&ip_packet(src.parse().unwrap(), dst.parse().unwrap(), Protocol::UDP, &[0; 8]))
    };
    assert!(udp("192.0.2.1", "198.51.100.2"));
    for dst in ["224.0.0.1", "255.255.255.255"] {
        assert!(!udp("192.0.2.1", dst));
    }
    for src in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"] {
        assert!(!udp(src, "198.51.100.2"));
    }
    assert!(!udp("2001:db8::1", "ff02::1"));
    for src in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        assert!(!udp(src, "2001:db8::2"));
    }

    let mut fragment = ip_packet(SRC_V4, DST_V4, Protocol::UDP, &[0; 8]);
    fragment[7] = 2;
    fix_v4_checksum(&mut fragment);
    assert!(!answer(&fragment), "not the first fragment");
    fragment[7] = 0;
    fragment[6] = 0x20;
    fix_v4_checksum(&mut fragment);
    assert!(answer(&fragment), "the first fragment");

    for kind in 0..=255u8 {
        let error_v4 = matches!(kind, 3 | 4 | 5 | 11 | 12);
        assert_eq!(answer(&ip_packet(SRC_V4, DST_V4, Protocol::ICMP, &[kind, 0, 0, 0])), !error_v4);
        let error_v6 = kind < 128 || kind == 137;
        assert_eq!(answer(&ip_packet(SRC_V6, DST_V6, Protocol::ICMPV6, &[kind, 0, 0, 0])), !error_v6);
    }
    assert!(!answer(&ip_packet(SRC_V4, DST_V4, Protocol::ICMP, &[])), "too short to tell");
    carrick_covers::covers!("ICMP-5");
}

#[test]
fn icmp_5_v6_9_v6_10_answers_to_refused_packets() {
    let packet = |src: &str, dst: &str, kind: u8| {
        let payload = [&[6, 0, 1, 0, kind, 2, 0, 0][..], &[0; 20]].concat();
        ip_packet(src.parse().unwrap(), dst.parse().unwrap(), Protocol::DESTINATION_OPTIONS, &payload)
    };
    let answer = |packet: &[u8]| answer_to_refused(packet, IpView::parse(packet).unwrap_err());
    let unicast = answer(&packet("2001:db8::1", "2001:db8::2", 0xde)).unwrap();
    assert_eq!(
        (unicast.to.to_string(), unicast.sent_to.to_string()),
        ("2001:db8::1".into(), "2001:db8::2".into())
    );
    assert_eq!((unicast.problem.code, unicast.problem.pointer), (2, 44));
    assert!(answer(&packet("2001:db8::1", "ff02::1", 0x9e)).is_some(), "bits 10 are answered always");
    assert!(answer(&packet("2001:db8::1", "ff02::1", 0xde)).is_none(), "bits 11 unless multicast");
    assert!(answer(&packet("2001:db8::1", "2001:db8::2", 0x5e)).is_none(), "bits 01 never");
    assert!(answer(&packet("::", "2001:db8::2", 0x9e)).is_none(), "no one to tell");
    // The same unknown option in front of an ICMPv6 error, and of an echo request.
    for (kind, answered) in [(1, false), (127, false), (137, false), (128, true)] {
        let mut packet = packet("2001:db8::1", "2001:db8::2", 0x9e);
        packet[40] = 58;
        packet[48] = kind;
        assert_eq!(answer(&packet).is_some(), answered, "type {kind}");
    }
    assert!(answer_to_refused(&[], ParseError::Ipv6FragmentLength).is_none());
    assert!(answer_to_refused(&[0x60; 40], ParseError::Ipv4Checksum).is_none());
}
