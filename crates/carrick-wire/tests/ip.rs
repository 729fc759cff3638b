//! IPv4 and IPv6 headers, byte by byte.

mod support;

use std::net::IpAddr;

use carrick_wire::{BuildError, Ecn, IpHeader, IpView, ParseError, Protocol, TcpView};
use support::{
    DST_V4, DST_V6, FAMILIES, SRC_V4, SRC_V6, data_header, fix_v4_checksum, ip_packet, samples, tcp_packet,
    v6_chain,
};

const UDP: u8 = 17;

#[test]
fn t_mal_1_every_prefix_of_a_packet() {
    for packet in samples() {
        assert!(IpView::parse(&packet[..]).is_ok());
        for len in 0..packet.len() {
            let expected = match (packet[0] >> 4, len) {
                (4, 0..20) | (6, 0..40) => ParseError::Truncated,
                (4, _) => ParseError::Ipv4TotalLength,
                _ => ParseError::Ipv6PayloadLength,
            };
            assert_eq!(IpView::parse(&packet[..len]).unwrap_err(), expected);
        }
    }
    carrick_covers::covers!("T-MAL-1", "V6-1");
}

#[test]
fn t_mal_2_v4_1_v4_2_every_first_byte_and_length() {
    for first in 0..=255u8 {
        for len in 0..=80usize {
            let mut packet = vec![0; len];
            if let Some(byte) = packet.first_mut() {
                *byte = first;
            }
            let header_len = usize::from(first & 0xf) * 4;
            let expected = match (first >> 4, len) {
                (_, 0) => Err(ParseError::Truncated),
                (4, 1..20) | (6, 1..40) => Err(ParseError::Truncated),
                (4, _) if header_len < 20 || header_len > len => Err(ParseError::Ipv4HeaderLength),
                (4, _) => {
                    packet[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
                    packet[9] = UDP;
                    fix_v4_checksum(&mut packet);
                    Ok((4, header_len))
                }
                (6, _) => {
                    packet[4..6].copy_from_slice(&u16::try_from(len - 40).unwrap().to_be_bytes());
                    packet[6] = UDP;
                    Ok((6, 40))
                }
                _ => Err(ParseError::Version),
            };
            let outcome = IpView::parse(&packet[..]).map(|view| (view.version(), view.header_len()));
            assert_eq!(outcome, expected, "{first:#x} {len}");
        }
    }
    carrick_covers::covers!("T-MAL-2", "V4-1", "V4-2");
}

#[test]
fn t_mal_3_v4_3_v6_2_every_length_field() {
    const FRAME: usize = 100;
    for (src, dst) in FAMILIES {
        for said in 0..=u16::MAX {
            let mut frame = ip_packet(src, dst, Protocol::UDP, &[0xaa; FRAME]);
            frame.truncate(FRAME);
            let (field, fixed, error) = if src.is_ipv4() {
                (2, 20, ParseError::Ipv4TotalLength)
            } else {
                (4, 40, ParseError::Ipv6PayloadLength)
            };
            frame[field..field + 2].copy_from_slice(&said.to_be_bytes());
            if src.is_ipv4() {
                fix_v4_checksum(&mut frame);
            }
            let total = usize::from(said) + if src.is_ipv4() { 0 } else { 40 };
            let expected = if (fixed..=FRAME).contains(&total) { Ok(total) } else { Err(error) };
            match IpView::parse(&frame[..]) {
                Err(error) => assert_eq!(Err(error), expected),
                Ok(view) => {
                    assert_eq!(Ok(view.total_len()), expected);
                    assert_eq!(view.payload().len(), total - fixed);
                    assert_eq!(view.payload_slice(), view.payload());
                    assert_eq!(view.as_bytes(), &frame[..total], "what follows is cut off");
                }
            }
        }
    }
    carrick_covers::covers!("T-MAL-3", "V4-3", "V6-2");
}

#[test]
fn t_mal_3_trailing_bytes_reach_no_reader() {
    for packet in samples() {
        let mut padded = packet.clone();
        padded.extend_from_slice(&[0xff; 6]);
        let (view, whole) = (IpView::parse(&padded[..]).unwrap(), IpView::parse(&packet[..]).unwrap());
        assert_eq!(view.payload(), whole.payload());
        let segment = TcpView::parse(view.payload()).unwrap();
        assert!(segment.verify_checksum(view.src(), view.dst()));
    }
}

#[test]
fn t_mal_12_every_bit_flip_is_noticed() {
    for packet in samples() {
        let v6 = packet[0] >> 4 == 6;
        for bit in 0..packet.len() * 8 {
            let mut flipped = packet.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(view) = IpView::parse(&flipped[..]) else { continue };
            let unnoticed = view.protocol() == Protocol::TCP
                && TcpView::parse(view.payload())
                    .is_ok_and(|tcp| tcp.verify_checksum(view.src(), view.dst()));
            // The only bits that no checksum covers: IPv6 traffic class, flow label and hop limit.
            let from_left = bit / 8 * 8 + 7 - bit % 8;
            let uncovered = v6 && ((4..32).contains(&from_left) || bit / 8 == 7);
            assert_eq!(unnoticed, uncovered, "byte {} bit {}", bit / 8, bit % 8);
        }
    }
    carrick_covers::covers!("T-MAL-12");
}

#[test]
fn v4_4_a_wrong_header_checksum_is_refused() {
    let packet = tcp_packet(SRC_V4, DST_V4, &data_header(), b"x");
    for bit in 4 * 8..160 {
        let mut flipped = packet.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(IpView::parse(&flipped[..]).unwrap_err(), ParseError::Ipv4Checksum);
    }
    carrick_covers::covers!("V4-4");
}

#[test]
fn v4_7_v6_18_any_hop_limit_is_accepted() {
    for (src, dst) in FAMILIES {
        for hop_limit in 0..=255 {
            let header = IpHeader { hop_limit, ..IpHeader::new(src, dst, Protocol::UDP) };
            let mut packet = vec![0; header.header_len()];
            header.emit(&mut packet).unwrap();
            assert_eq!(IpView::parse(&packet[..]).unwrap().hop_limit(), hop_limit);
        }
        assert_eq!(IpHeader::new(src, dst, Protocol::TCP).hop_limit, 64);
    }
}

#[test]
fn v4_18_dscp_and_ecn_pass_unchanged() {
    for (src, dst) in FAMILIES {
        for tos in 0..=255 {
            let header = IpHeader { tos, flow_label: 0xfffff, ..IpHeader::new(src, dst, Protocol::UDP) };
            let mut packet = vec![0; header.header_len()];
            header.emit(&mut packet).unwrap();
            let view = IpView::parse(&packet[..]).unwrap();
            assert_eq!((view.tos(), view.ecn().bits()), (tos, tos & 3));
            assert_eq!(view.ecn(), [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce][usize::from(tos & 3)]);
        }
    }
    carrick_covers::covers!("V4-18");
}

#[test]
fn v4_14_v4_16_v4_17_what_we_emit_carries_df_and_nothing_reserved() {
    let header = IpHeader { identification: 0xabcd, ..IpHeader::new(SRC_V4, DST_V4, Protocol::TCP) };
    let mut packet = [0xff; 20];
    header.emit(&mut packet).unwrap();
    assert_eq!(packet[6..8], [0x40, 0]);
    let IpView::V4(view) = IpView::parse(&packet[..]).unwrap() else { panic!("version 4") };
    assert!(view.dont_fragment() && view.fragment().is_none());
    assert_eq!(view.identification(), 0xabcd);

    packet[6] |= 0x80;
    fix_v4_checksum(&mut packet);
    let view = IpView::parse(&packet[..]).unwrap();
    assert!(view.fragment().is_none(), "the reserved bit has no effect");
    carrick_covers::covers!("V4-16", "V4-17");
}

/// A UDP packet with `area` as IPv4 options.
fn with_options(area: &[u8]) -> Vec<u8> {
    let mut packet = ip_packet(SRC_V4, DST_V4, Protocol::UDP, &[area, &[0xaa; 8]].concat());
    packet[0] = 0x40 | u8::try_from(5 + area.len() / 4).unwrap();
    fix_v4_checksum(&mut packet);
    packet
}

/// What walking `area` by the RFC's rule leads to.
fn walk(area: &[u8]) -> Result<(), ParseError> {
    let mut at = 0;
    while at < area.len() && area[at] != 0 {
        if area[at] == 1 {
            at += 1;
            continue;
        }
        let len = area.get(at + 1).map_or(0, |len| usize::from(*len));
        if len < 2 || at + len > area.len() {
            return Err(ParseError::Ipv4OptionLength);
        }
        if matches!(area[at], 131 | 137) {
            return Err(ParseError::Ipv4SourceRoute);
        }
        at += len;
    }
    Ok(())
}

#[test]
fn t_mal_16_v4_9_v4_11_every_ipv4_option_at_every_position() {
    for at in 0..40 {
        for kind in 0..=255u8 {
            for len in (0..=44).chain([64, 128, 255]) {
                let mut area = [1; 40];
                area[at] = kind;
                if let Some(place) = area.get_mut(at + 1) {
                    *place = len;
                }
                let packet = with_options(&area);
                assert_eq!(IpView::parse(&packet[..]).map(|_| ()), walk(&area), "{kind} {len} at {at}");
            }
        }
    }
    carrick_covers::covers!("T-MAL-16", "V4-9");
}

#[test]
fn v4_9_v4_12_unknown_options_do_not_hide_the_payload() {
    for area in [[136, 4, 0, 1], [30, 4, 9, 9], [0, 131, 7, 7], [7, 3, 4, 0]] {
        let packet = with_options(&area);
        let view = IpView::parse(&packet[..]).unwrap();
        assert_eq!((view.header_len(), view.payload()), (24, &[0xaa; 8][..]));
    }
}

#[test]
fn v6_1_v6_5_v6_6_v6_14_what_the_fixed_header_may_announce() {
    for next in 0..=255u8 {
        let outcome = IpView::parse(&v6_chain(Protocol(next), &[])[..]).map(|view| view.protocol());
        let expected = match next {
            6 | 17 | 58 => Ok(Protocol(next)),
            0 | 43 | 44 | 60 => Err(ParseError::Ipv6ExtensionLength),
            59 => Err(ParseError::Ipv6NoNextHeader),
            _ => Err(ParseError::Ipv6NextHeader { pointer: 6 }),
        };
        assert_eq!(outcome, expected);
    }
    carrick_covers::covers!("V6-5", "V6-6", "V6-14");
}

const PAD6: [u8; 6] = [1, 4, 0, 0, 0, 0];

/// An extension header of 8 bytes.
fn extension(next: u8, body: [u8; 6]) -> Vec<u8> {
    [&[next, 0][..], &body].concat()
}

fn parse_chain(first: Protocol, headers: &[Vec<u8>]) -> Result<(Protocol, usize), ParseError> {
    let payload = [headers.concat(), vec![0x55; 20]].concat();
    let packet = v6_chain(first, &payload);
    let view = IpView::parse(&packet[..])?;
    assert_eq!(view.payload(), &packet[view.header_len()..]);
    assert_eq!(view.fragment(), None);
    Ok((view.protocol(), view.header_len()))
}

#[test]
fn v6_3_v6_4_extension_headers_in_any_order() {
    let (hbh, dst, routing) = (Protocol::HOP_BY_HOP, Protocol::DESTINATION_OPTIONS, Protocol::ROUTING);
    let pad = |next| extension(next, PAD6);
    let atomic = |next| extension(next, [0, 0, 0, 0, 0, 9]);
    let done = |next| extension(next, [0, 0, 0, 0, 0, 0]);
    let table: [(Protocol, Vec<Vec<u8>>); 6] = [
        (hbh, vec![pad(6)]),
        (dst, vec![pad(60), pad(6)]),
        (Protocol::FRAGMENT, vec![atomic(43), done(6)]),
        (hbh, vec![pad(60), pad(43), done(44), atomic(60), pad(6)]),
        (routing, vec![done(43), done(6)]),
        (Protocol::FRAGMENT, vec![atomic(44), atomic(6)]),
    ];
    for (first, headers) in table {
        let len = 40 + 8 * headers.len();
        assert_eq!(parse_chain(first, &headers), Ok((Protocol::TCP, len)));
    }
    carrick_covers::covers!("V6-3", "V6-4");
}

#[test]
fn v6_5_v6_6_v6_19_pointers_name_the_next_header_field() {
    let dst = Protocol::DESTINATION_OPTIONS;
    let pad = |next| extension(next, PAD6);
    let outcome = parse_chain(dst, &[pad(0), pad(6)]).unwrap_err();
    assert_eq!(outcome, ParseError::Ipv6HopByHopPosition { pointer: 40 });
    let answer = outcome.icmp_answer().unwrap();
    assert_eq!((answer.code, answer.pointer, answer.even_if_multicast), (1, 40, false));

    for unknown in [50, 51, 135, 253, 1, 4] {
        let outcome = parse_chain(dst, &[pad(60), pad(unknown)]).unwrap_err();
        assert_eq!(outcome, ParseError::Ipv6NextHeader { pointer: 48 });
        assert_eq!(outcome.icmp_answer().unwrap().code, 1);
    }
    assert_eq!(parse_chain(dst, &[pad(59)]), Err(ParseError::Ipv6NoNextHeader));
    assert_eq!(ParseError::Ipv6NoNextHeader.icmp_answer(), None);
    carrick_covers::covers!("V6-5", "V6-6", "V6-19");
}

#[test]
fn v6_7_to_v6_10_unknown_options_by_their_top_bits() {
    for first in [Protocol::HOP_BY_HOP, Protocol::DESTINATION_OPTIONS] {
        for kind in 2..=255u8 {
            let outcome = parse_chain(first, &[extension(6, [1, 0, kind, 2, 0, 0])]);
            let expected = match kind >> 6 {
                0 => Ok((Protocol::TCP, 48)),
                1 => Err(ParseError::Ipv6OptionSilent),
                2 => Err(ParseError::Ipv6OptionAnswer { pointer: 44 }),
                _ => Err(ParseError::Ipv6OptionAnswerUnicast { pointer: 44 }),
            };
            assert_eq!(outcome, expected);
        }
    }
    let answer = |error: ParseError| error.icmp_answer().map(|a| (a.code, a.pointer, a.even_if_multicast));
    assert_eq!(answer(ParseError::Ipv6OptionSilent), None);
    assert_eq!(answer(ParseError::Ipv6OptionAnswer { pointer: 44 }), Some((2, 44, true)));
    assert_eq!(answer(ParseError::Ipv6OptionAnswerUnicast { pointer: 44 }), Some((2, 44, false)));
    carrick_covers::covers!("V6-7", "V6-8", "V6-9", "V6-10");
}

#[test]
fn v6_11_options_that_overrun_their_header() {
    let dst = Protocol::DESTINATION_OPTIONS;
    for len in 0..=255u8 {
        let outcome = parse_chain(dst, &[extension(6, [0x1e, len, 0, 0, 0, 0])]);
        let expected = match len {
            4 => Ok((Protocol::TCP, 48)),
            // What remains is Pad1, once, or up to four times.
            0..4 => Ok((Protocol::TCP, 48)),
            _ => Err(ParseError::Ipv6OptionLength { pointer: 43 }),
        };
        assert_eq!(outcome, expected);
    }
    let outcome = parse_chain(dst, &[extension(6, [1, 3, 0, 0, 0, 0x1e])]);
    assert_eq!(outcome, Err(ParseError::Ipv6OptionLength { pointer: 47 }), "no length at all");
    let answer = outcome.unwrap_err().icmp_answer().unwrap();
    assert_eq!((answer.code, answer.pointer), (0, 47));
    carrick_covers::covers!("V6-11");
}

#[test]
fn v6_12_v6_13_routing_headers_by_segments_left() {
    for kind in 0..=255u8 {
        for segments_left in [0, 1, 255] {
            let outcome = parse_chain(Protocol::ROUTING, &[extension(6, [kind, segments_left, 0, 0, 0, 0])]);
            let expected = match segments_left {
                0 => Ok((Protocol::TCP, 48)),
                _ => Err(ParseError::Ipv6RoutingType { pointer: 42 }),
            };
            assert_eq!(outcome, expected);
        }
    }
    let answer = ParseError::Ipv6RoutingType { pointer: 42 }.icmp_answer().unwrap();
    assert_eq!((answer.code, answer.pointer), (0, 42));
    carrick_covers::covers!("V6-12", "V6-13");
}

#[test]
fn v6_15_limits_at_their_edges() {
    let dst = Protocol::DESTINATION_OPTIONS;
    let header = |options: &[u8]| {
        let mut bytes = vec![6, 0];
        bytes.extend_from_slice(options);
        let units = bytes.len().div_ceil(8);
        bytes[1] = u8::try_from(units - 1).unwrap();
        // An option of its own fills the rest, so that padding here is only what the test put there.
        let missing = units * 8 - bytes.len();
        if missing > 0 {
            assert!(missing >= 2);
            bytes.extend_from_slice(&[0x1e, u8::try_from(missing - 2).unwrap()]);
            bytes.resize(units * 8, 0);
        }
        bytes
    };
    let outcome = |options: &[u8]| parse_chain(dst, &[header(options)]).map(|(protocol, _)| protocol);
    let refused = Err(ParseError::Ipv6ChainLimit);
    assert_eq!(outcome(&[0; 7]), Ok(Protocol::TCP), "seven Pad1 in a row");
    assert_eq!(outcome(&[0; 8]), refused);
    let apart = [&[0; 5][..], &[0x1e, 0], &[0; 5], &[1, 1, 0], &[0; 7]].concat();
    assert_eq!(outcome(&apart), Ok(Protocol::TCP), "no seven in a row");
    assert_eq!(outcome(&[1, 5, 0, 0, 0, 0, 0]), Ok(Protocol::TCP), "a PadN of seven bytes");
    assert_eq!(outcome(&[1, 6, 0, 0, 0, 0, 0, 0]), refused);
    assert_eq!(
        outcome(&[[0x1e, 1, 0].repeat(6), [0x1e, 0].repeat(2)].concat()),
        Ok(Protocol::TCP),
        "eight options"
    );
    assert_eq!(outcome(&[0x1e, 0].repeat(9)), refused);
    carrick_covers::covers!("V6-15");
}

#[test]
fn t_mal_16_long_ipv6_chains_are_bounded() {
    const HEADERS: usize = 16;
    const HEADER_LEN: usize = 512;
    for units in 0..=255u8 {
        let len = (usize::from(units) + 1) * 8;
        // One header of skippable options that fill it exactly.
        let mut header = vec![60, units];
        while header.len() < len {
            let rest = (len - header.len() - 2).min(255);
            // Never leave a single byte, which would hold no option.
            let rest = if len - header.len() - 2 - rest == 1 { rest - 1 } else { rest };
            header.extend_from_slice(&[0x1e, u8::try_from(rest).unwrap()]);
            header.resize(header.len() + rest, 0);
        }
        let most = (65_535 - 20) / len;
        let mut packet =
            v6_chain(Protocol::DESTINATION_OPTIONS, &[header.repeat(most.min(200)), vec![0; 20]].concat());
        for count in 1..=most.min(200) {
            let last = 40 + (count - 1) * len;
            packet[last] = 6;
            let payload_len = u16::try_from(count * len + 20).unwrap();
            packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
            let outcome = IpView::parse(&packet[..]).map(|view| (view.protocol(), view.header_len()));
            let expected = if count <= HEADERS && len <= HEADER_LEN {
                Ok((Protocol::TCP, 40 + count * len))
            } else {
                Err(ParseError::Ipv6ChainLimit)
            };
            assert_eq!(outcome, expected, "{count} headers of {len}");
            packet[last] = 60;
        }
    }
    carrick_covers::covers!("T-MAL-16");
}

#[test]
fn t_mal_16_extension_headers_past_the_packet() {
    for units in 0..=255u8 {
        for len in 0..=64usize {
            let mut payload = vec![0; len];
            if let Some([next, ext_len, ..]) = payload.get_mut(..2) {
                (*next, *ext_len) = (6, units);
            }
            let outcome = IpView::parse(&v6_chain(Protocol::ROUTING, &payload)[..]).map(|_| ());
            let header_len = (usize::from(units) + 1) * 8;
            let expected = match len {
                0..2 => Err(ParseError::Ipv6ExtensionLength),
                _ if header_len > 512 => Err(ParseError::Ipv6ChainLimit),
                _ if header_len > len => Err(ParseError::Ipv6ExtensionLength),
                _ => Ok(()),
            };
            assert_eq!(outcome, expected);
        }
    }
}

#[test]
fn t_mal_19_every_alignment() {
    for packet in samples() {
        let mut buf = vec![0xff; packet.len() + 16];
        for offset in 0..8 {
            buf[offset..offset + packet.len()].copy_from_slice(&packet);
            let view = IpView::parse(&buf[offset..offset + packet.len()]).unwrap();
            let segment = TcpView::parse(view.payload()).unwrap();
            assert!(segment.verify_checksum(view.src(), view.dst()));
        }
    }
    carrick_covers::covers!("T-MAL-19");
}

#[test]
fn emit_refuses_what_it_cannot_say() {
    let mixed = IpHeader::new(SRC_V4, DST_V6, Protocol::TCP);
    assert_eq!(mixed.emit(&mut [0; 60]), Err(BuildError::MixedFamilies));
    for (src, dst, most) in [(SRC_V4, DST_V4, 65_515), (SRC_V6, DST_V6, 65_535)] {
        let header = |payload_len| IpHeader { payload_len, ..IpHeader::new(src, dst, Protocol::TCP) };
        assert!(header(most).emit(&mut [0; 60]).is_ok());
        assert_eq!(header(most + 1).emit(&mut [0; 60]), Err(BuildError::TooLong));
        assert_eq!(header(usize::MAX).emit(&mut [0; 60]), Err(BuildError::TooLong));
        for short in 0..header(0).header_len() {
            assert_eq!(header(0).emit(&mut vec![0; short]), Err(BuildError::BufferTooShort));
        }
    }
}

#[test]
fn v6_17_flow_label_is_20_bits() {
    let header = IpHeader { flow_label: 0xfff1_2345, ..IpHeader::new(SRC_V6, DST_V6, Protocol::UDP) };
    let mut packet = [0; 40];
    header.emit(&mut packet).unwrap();
    let IpView::V6(view) = IpView::parse(&packet[..]).unwrap() else { panic!("version 6") };
    assert_eq!((view.flow_label(), view.tos()), (0x12345, 0));
}

#[test]
fn reasons_have_distinct_stable_numbers() {
    let reasons = [
        ParseError::Truncated,
        ParseError::Version,
        ParseError::Ipv4HeaderLength,
        ParseError::Ipv4TotalLength,
        ParseError::Ipv4Checksum,
        ParseError::Ipv4OptionLength,
        ParseError::Ipv4SourceRoute,
        ParseError::Ipv6PayloadLength,
        ParseError::Ipv6ExtensionLength,
        ParseError::Ipv6ChainLimit,
        ParseError::Ipv6HopByHopPosition { pointer: 1 },
        ParseError::Ipv6NextHeader { pointer: 2 },
        ParseError::Ipv6NoNextHeader,
        ParseError::Ipv6OptionSilent,
        ParseError::Ipv6OptionAnswer { pointer: 3 },
        ParseError::Ipv6OptionAnswerUnicast { pointer: 4 },
        ParseError::Ipv6OptionLength { pointer: 5 },
        ParseError::Ipv6RoutingType { pointer: 6 },
        ParseError::Ipv4FragmentLength,
        ParseError::Ipv6FragmentLength,
        ParseError::Ipv4FragmentEnd,
        ParseError::Ipv6FragmentEnd { pointer: 7 },
        ParseError::FragmentEmpty,
        ParseError::FragmentTiny,
        ParseError::Ipv6FragmentChain,
        ParseError::TcpTruncated,
        ParseError::TcpDataOffset,
        ParseError::TcpOptionLength,
        ParseError::IcmpTruncated,
        ParseError::IcmpChecksum,
        ParseError::IcmpQuoteTruncated,
        ParseError::IcmpQuoteInvalid,
    ];
    assert_eq!(reasons.len(), ParseError::COUNT);
    let mut texts = std::collections::HashSet::new();
    for (index, reason) in reasons.iter().enumerate() {
        assert_eq!(reason.index(), index);
        assert!(texts.insert(reason.to_string()), "{reason} says what another says");
    }
}

#[test]
fn mart_1_to_mart_5_mart_9_martian_addresses() {
    use carrick_wire::martian::{is_group, is_martian_destination, is_martian_source};
    let table = [
        // address, as source, as destination, group
        ("0.0.0.0", true, true, false),
        ("0.1.2.3", true, true, false),
        ("127.0.0.1", true, true, false),
        ("127.255.255.255", true, true, false),
        ("126.255.255.255", false, false, false),
        ("128.0.0.0", false, false, false),
        ("223.255.255.255", false, false, false),
        ("224.0.0.1", true, false, true),
        ("239.255.255.255", true, false, true),
        ("240.0.0.1", true, false, false),
        ("255.255.255.255", true, true, true),
        ("10.0.0.1", false, false, false),
        ("100.64.0.1", false, false, false),
        ("192.0.2.1", false, false, false),
        ("198.18.0.1", false, false, false),
        ("::", true, true, false),
        ("::1", true, true, false),
        ("::2", false, false, false),
        ("::ffff:192.0.2.1", true, true, false),
        ("::fffe:192.0.2.1", false, false, false),
        ("ff02::1", true, false, true),
        ("fe80::1", false, false, false),
        ("2001:db8::1", false, false, false),
    ];
    for (text, source, destination, group) in table {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(is_martian_source(address), source, "{text} as source");
        assert_eq!(is_martian_destination(address), destination, "{text} as destination");
        assert_eq!(is_group(address), group, "{text} as group");
    }
}
