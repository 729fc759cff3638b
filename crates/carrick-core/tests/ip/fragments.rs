//! Reassembly: what is put together, what is given up, what it may cost.

use crate::common::{assert_dropped, echo, mend, read, read_raw, to_us};
use carrick_core::{DiscardReason, Rate, ReassemblyLimits, TcpState};
use carrick_covers::covers;
use carrick_sim::{Packet, Rng, Scene, Span, pattern, seg};
use carrick_wire::icmp::IcmpMessage;
use carrick_wire::{Ecn, IpView, ParseError, Protocol};
use std::net::IpAddr;

const ID: u32 = 0x0102;

/// One fragment of `packet`, which has no options or extension headers: payload bytes `from..to`.
fn part(packet: &[u8], id: u32, from: usize, to: usize) -> Vec<u8> {
    let view = IpView::parse(packet).unwrap();
    let (at, more) = (view.header_len(), to < view.payload().len());
    raw(packet, id, from, more, &packet[at + from..at + to])
}

/// A fragment with that data, its header taken from `packet`.
fn raw(packet: &[u8], id: u32, offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
    let field = u16::try_from(offset).unwrap();
    let mut bytes;
    if packet[0] >> 4 == 4 {
        bytes = packet[..20].to_vec();
        bytes.extend_from_slice(data);
        let len = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes[4..6].copy_from_slice(&(id as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&((field / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
        mend(&mut bytes);
    } else {
        bytes = packet[..40].to_vec();
        bytes.extend_from_slice(&[packet[6], 0]);
        bytes.extend_from_slice(&(field & !7 | u16::from(more)).to_be_bytes());
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(data);
        let len = u16::try_from(bytes.len() - 40).unwrap();
        bytes[4..6].copy_from_slice(&len.to_be_bytes());
        bytes[6] = Protocol::FRAGMENT.0;
    }
    bytes
}

/// Sets the ECN field.
fn with_ecn(mut packet: Vec<u8>, ecn: Ecn) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        packet[1] = packet[1] & !3 | ecn.bits();
        mend(&mut packet);
    } else {
        packet[1] = packet[1] & !0x30 | ecn.bits() << 4;
    }
    packet
}

fn scenes() -> [Scene; 2] {
    [false, true].map(|v6| {
        let builder = Scene::builder().endpoint(|endpoint| {
            endpoint.icmp_errors = Rate::UNLIMITED;
            endpoint.echo_replies = Rate::UNLIMITED;
        });
        if v6 { builder.v6().listening() } else { builder.listening() }
    })
}

fn request(s: &Scene, len: usize) -> Vec<u8> {
    echo(s.remote().ip(), s.local().ip(), &pattern(0, len))
}

fn held(s: &Scene) -> usize {
    s.host().endpoint().reassemblies()
}

/// Whether the packet of `parts` is put together and answered.
fn is_answered(s: &mut Scene, parts: &[Vec<u8>]) -> bool {
    parts.iter().for_each(|part| s.inject_bytes(part.clone()));
    let answered = s.take().is_some();
    s.expect_nothing();
    answered
}

#[test]
fn frag_1_a_syn_in_two_fragments_is_answered_in_either_order() {
    for reversed in [false, true] {
        for mut s in scenes() {
            // The TCP header in the first, text in the second.
            let syn = s.packet(&seg().syn().seq(0).data(b"some text")).bytes;
            let whole = IpView::parse(&syn[..]).unwrap().payload().len();
            let mut parts = [part(&syn, ID, 0, 24), part(&syn, ID, 24, whole)];
            if reversed {
                parts.reverse();
            }
            s.inject_bytes(parts[0].clone());
            s.expect_nothing();
            assert_eq!((held(&s), s.host().endpoint().counters().held), (1, 1));
            s.inject_bytes(parts[1].clone());
            s.expect(seg().syn().seq(0).ack(1));
            assert_eq!(held(&s), 0);
            assert_eq!(s.state(), TcpState::SynReceived);
        }
    }
    covers!("FRAG-1", "V6-20");
}

#[test]
fn frag_2_frag_14_frag_15_every_size_byte_for_byte() {
    for mut s in scenes() {
        let mut rng = Rng::new(7);
        for len in [548, 576, 1452, 1472, 1500, 4000, 20_000, 60_000] {
            let packet = request(&s, len);
            let payload = IpView::parse(&packet[..]).unwrap().payload().to_vec();
            let mut cuts = vec![0];
            while *cuts.last().unwrap() < payload.len() {
                let step = rng.size(64, 190) * 8;
                cuts.push((cuts.last().unwrap() + step).min(payload.len()));
            }
            let mut parts: Vec<_> =
                cuts.windows(2).map(|cut| part(&packet, len as u32, cut[0], cut[1])).collect();
            for i in (1..parts.len()).rev() {
                parts.swap(i, rng.size(0, i));
            }
            parts.iter().for_each(|part| s.inject_bytes(part.clone()));
            // The reply is what the link takes: whole, cut off in IPv4, none in IPv6.
            let room = 1500 - if s.local().is_ipv4() { 28 } else { 48 };
            let reply = s.take();
            match reply.as_ref().map(read) {
                Some(IcmpMessage::EchoReply { data, .. }) => assert_eq!(data, pattern(0, len.min(room))),
                None => assert!(len > room && s.local().is_ipv6(), "{len}"),
                other => panic!("{other:?}"),
            }
            assert_eq!(held(&s), 0);
        }
    }
    covers!("FRAG-2", "FRAG-14", "ICMP-9");
}

#[test]
fn frag_15_the_header_of_the_whole_is_rebuilt() {
    use carrick_wire::reassembly::{emit_whole_header, whole_header_len};
    let s = Scene::builder().v6().listening();
    let upper = &to_us(&s, Protocol::UDP, &[7; 24])[40..];
    // Destination options, an atomic fragment, routing with nothing left, then the fragment that counts.
    let chain = |last: u8, rest: &[u8]| {
        let mut bytes = vec![44, 0, 1, 4, 0, 0, 0, 0];
        bytes.extend_from_slice(&[43, 0, 0, 0, 0, 0, 0, 9]);
        bytes.extend_from_slice(&[last, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(rest);
        to_us(&s, Protocol::DESTINATION_OPTIONS, &bytes)
    };
    let whole = chain(Protocol::UDP.0, upper);
    let mut fragment = vec![Protocol::UDP.0, 0, 0, 1, 0, 0, 0, 5];
    fragment.extend_from_slice(&upper[..16]);
    let mut first = chain(Protocol::FRAGMENT.0, &fragment);
    first[1] |= 0x20 | 0x05;
    let first = IpView::parse(&first[..]).unwrap();
    let mut header = vec![0; whole_header_len(&first)];
    assert_eq!(emit_whole_header(&first, upper.len(), Ecn::NotEct, &mut header), Ok(64));
    let mut expected = whole[..64].to_vec();
    // PL.orig = PL.first - FL.first - 8 + 8 * FO.last + FL.last = 48 - 16 - 8 + 16 + 8; the label stays.
    expected[1] |= 0x05;
    assert_eq!(header, expected);
    assert_eq!(u16::from_be_bytes([header[4], header[5]]), 48);

    // IPv4 with options: no offset, no flags, a new checksum, the reserved bit gone too.
    let mut packet = to_us(&Scene::listening(), Protocol::UDP, &[7; 24]);
    packet.splice(20..20, [0x44, 4, 5, 0]);
    packet[0] = 0x46;
    packet[2..4].copy_from_slice(&48u16.to_be_bytes());
    packet[6..8].copy_from_slice(&0xa000u16.to_be_bytes());
    mend(&mut packet);
    let first = IpView::parse(&packet[..]).unwrap();
    let mut header = vec![0; 24];
    assert_eq!(emit_whole_header(&first, 100, Ecn::Ce, &mut header), Ok(24));
    header.extend_from_slice(&[0; 100]);
    let whole = IpView::parse(&header[..]).unwrap();
    assert_eq!((whole.fragment(), whole.total_len(), whole.ecn()), (None, 124, Ecn::Ce));
    assert_eq!(header[20..24], [0x44, 4, 5, 0]);
    assert!(emit_whole_header(&first, 65_512, Ecn::Ce, &mut header).is_err());
    assert!(emit_whole_header(&first, 100, Ecn::Ce, &mut [0; 23]).is_err());
    covers!("FRAG-15");
}

#[test]
fn frag_3_frag_9_frag_20_sixty_seconds_and_what_is_said_then() {
    for mut s in scenes() {
        let packet = request(&s, 100);
        let parts = [part(&packet, ID, 0, 48), part(&packet, ID, 48, 108)];
        // Just in time: 60 s from the first to arrive, whatever comes later.
        s.inject_bytes(parts[1].clone());
        s.advance(59_999.ms());
        assert!(is_answered(&mut s, &parts[..1]));
        // Too late without the first fragment: silence.
        s.inject_bytes(parts[1].clone());
        s.advance(60.secs());
        assert_eq!(held(&s), 0);
        s.expect_nothing();
        // Too late with it: time exceeded, code 1, quoting it as it came.
        s.inject_bytes(parts[0].clone());
        s.advance(59_999.ms());
        assert_eq!(held(&s), 1);
        s.expect_nothing();
        s.advance(1.ms());
        let said = s.take().expect("time exceeded");
        let kind = if s.local().is_ipv4() { 11 } else { 3 };
        assert_eq!(read_raw(&said), (kind, 1, 0, &parts[0][..]));
        s.expect_nothing();
        // The late part begins anew.
        assert!(!is_answered(&mut s, &parts[1..]));
        assert_eq!(held(&s), 1);
    }
    covers!("FRAG-3", "FRAG-9", "FRAG-20");
}

#[test]
fn t_frg_5_frag_4_frag_5_frag_10_impossible_lengths() {
    for mut s in scenes() {
        let v6 = s.local().is_ipv6();
        let packet = request(&s, 100);
        let problem = |s: &mut Scene, code: u8, pointer: u32| {
            let said = v6.then(|| s.take().expect("a parameter problem"));
            assert!(said.is_none_or(|said| {
                let (kind, is, at, _) = read_raw(&said);
                (kind, is, at) == (4, code, pointer)
            }));
            s.expect_nothing();
        };
        let digest = s.host().digest(s.now());
        // Not a multiple of 8, with more to come.
        s.inject_bytes(raw(&packet, ID, 0, true, &[0xff; 12]));
        problem(&mut s, 0, 4);
        // Ends beyond 65,535.
        for (offset, len) in [(65_528, 8), (65_528, 16), (65_000, 1000)] {
            s.inject_bytes(raw(&packet, ID, offset, false, &vec![0xff; len]));
            problem(&mut s, 0, 42);
        }
        // Without any data.
        s.inject_bytes(raw(&packet, ID, 64, false, &[]));
        s.expect_nothing();
        assert_eq!(s.host().digest(s.now()), digest);
        let counters = s.host().endpoint().counters();
        let counted = |reason| counters.discarded(DiscardReason::Malformed(reason));
        assert_eq!(counted(ParseError::FragmentEmpty), 1);
        if v6 {
            assert_eq!(counted(ParseError::Ipv6FragmentLength), 1);
        } else {
            assert_eq!(
                (counted(ParseError::Ipv4FragmentLength), counted(ParseError::Ipv4FragmentEnd)),
                (1, 3)
            );
        }
        // One that fits by itself, but not behind the first one's longer headers, is the end of its packet.
        if !v6 {
            let mut first = raw(&packet, ID, 0, true, &packet[20..60]);
            first.splice(20..20, [1; 40]);
            first[0] = 0x4f;
            first[2..4].copy_from_slice(&100u16.to_be_bytes());
            mend(&mut first);
            s.inject_bytes(first);
            let text = vec![0; 65_535 - 20 - 40];
            for (at, chunk) in text.chunks(1400).enumerate() {
                let offset = 40 + at * 1400;
                s.inject_bytes(raw(&packet, ID, offset, offset + chunk.len() < 65_515, chunk));
            }
            s.expect_nothing();
            assert_eq!(held(&s), 0);
        }
    }
    covers!("T-FRG-5", "FRAG-4", "FRAG-5", "FRAG-10");
}

#[test]
fn t_frg_2_frag_6_frag_11_all_overlaps_of_three_fragments() {
    for mut s in scenes() {
        let packet = request(&s, 40); // 48 bytes of payload: six units
        let mut delivered = 0;
        let mut id = 0;
        let units: Vec<(usize, usize)> = (0..6)
            .flat_map(|from| (from + 1..=6).map(move |to| (from, to)))
            .filter(|unit| *unit != (0, 6)) // that is no fragment
            .collect();
        for a in &units {
            for b in &units {
                for c in &units {
                    id += 1;
                    let three = [a, b, c];
                    let apart = |x: &(usize, usize), y: &(usize, usize)| x == y || x.1 <= y.0 || y.1 <= x.0;
                    let clean = apart(a, b) && apart(a, c) && apart(b, c);
                    let covered =
                        (0..6).all(|unit| three.iter().any(|(from, to)| (*from..*to).contains(&unit)));
                    let parts = three.map(|(from, to)| part(&packet, id, from * 8, to * 8));
                    let answered = is_answered(&mut s, &parts);
                    // Exact copies after the whole was put together begin another packet and do no harm.
                    let complete_before = clean && covered;
                    assert_eq!(answered, complete_before || first_two_do(a, b), "{three:?}");
                    delivered += usize::from(answered);
                    if id % 50 == 0 {
                        // Nothing comes of what is left, but perhaps a word about first fragments.
                        s.advance(60.secs());
                        while s.take().is_some() {}
                    }
                }
            }
        }
        assert!(delivered > 30, "{delivered}");
    }
    covers!("T-FRG-2", "FRAG-6");
}

/// Whether the first two are the whole, so that the third is of another packet.
fn first_two_do(a: &(usize, usize), b: &(usize, usize)) -> bool {
    let halves = |x: &(usize, usize), y: &(usize, usize)| x.0 == 0 && x.1 == y.0 && y.1 == 6;
    halves(a, b) || halves(b, a)
}

#[test]
fn frag_11_after_an_overlap_the_key_stays_closed_until_it_expires() {
    for mut s in scenes() {
        let packet = request(&s, 100);
        let good = [part(&packet, ID, 0, 48), part(&packet, ID, 48, 108)];
        let mut other = good[0].clone();
        *other.last_mut().unwrap() ^= 1;
        // The same place with other bytes; a part that reaches into its neighbour; an end before the end; one
        // behind it; two different ends.
        let bad = [
            vec![good[0].clone(), other],
            vec![good[0].clone(), part(&packet, ID, 40, 108)],
            vec![good[1].clone(), raw(&packet, ID, 64, false, &[1; 20])],
            vec![good[1].clone(), raw(&packet, ID, 112, true, &[1; 16])],
            vec![raw(&packet, ID, 64, true, &[1; 64]), raw(&packet, ID, 48, false, &[1; 16])],
        ];
        for bad in bad {
            for part in &bad {
                s.inject_bytes(part.clone());
            }
            let memory = s.host().endpoint().memory();
            assert!(!is_answered(&mut s, &good), "closed");
            assert_eq!(held(&s), 1);
            assert_eq!(s.host().endpoint().memory(), memory, "nothing is kept");
            s.advance(59.secs());
            assert!(!is_answered(&mut s, &good), "still closed");
            s.advance(1.secs());
            s.expect_nothing(); // RFC 8200 §4.5: no ICMP for it
            assert!(is_answered(&mut s, &good), "open again");
        }
        let overlaps = s.host().endpoint().counters().discarded(DiscardReason::FragmentOverlap);
        assert_eq!(overlaps, 5 * 5);
        // An exact copy is dropped alone.
        s.inject_bytes(good[0].clone());
        assert_dropped(&mut s, &good[0], DiscardReason::FragmentDuplicate);
        assert!(is_answered(&mut s, &good[1..]));
    }
    covers!("FRAG-11");
}

#[test]
fn t_frg_3_frag_7_tiny_first_fragments_and_offset_one() {
    for mut s in scenes() {
        let v6 = s.local().is_ipv6();
        let syn = s.packet(&seg().syn().seq(0).ts(1, 0)).bytes;
        for cut in [8, 16, 24] {
            let first = part(&syn, ID, 0, cut);
            if v6 {
                // RFC 7112 §5: the chain is not whole, which is told.
                s.inject_bytes(first);
                let said = s.take().expect("a parameter problem");
                let (kind, code, pointer, _) = read_raw(&said);
                assert_eq!((kind, code, pointer), (4, 3, 0));
            } else {
                assert_dropped(&mut s, &first, DiscardReason::Malformed(ParseError::FragmentTiny));
            }
        }
        assert_dropped(&mut s, &part(&syn, ID, 8, 24), DiscardReason::Malformed(ParseError::FragmentTiny));
        assert_eq!(held(&s), 0);
    }
    covers!("T-FRG-3", "FRAG-7", "FRAG-13");
}

#[test]
fn frag_8_the_key_and_whose_next_header_counts() {
    // IPv6: source, destination, identification; the first fragment says what it is.
    let [mut v4, mut v6] = scenes();
    let packet = request(&v6, 100);
    let mut second = part(&packet, ID, 48, 108);
    second[40] = Protocol::UDP.0;
    assert!(is_answered(&mut v6, &[second, part(&packet, ID, 0, 48)]));
    // IPv4: the protocol is part of it.
    let packet = request(&v4, 100);
    let mut second = part(&packet, ID, 48, 108);
    second[9] = Protocol::UDP.0;
    mend(&mut second);
    assert!(!is_answered(&mut v4, &[second, part(&packet, ID, 0, 48)]));
    assert_eq!(held(&v4), 2);
    for s in [&mut v4, &mut v6] {
        // Another identification, another source: another packet.
        let packet = request(s, 100);
        assert!(!is_answered(s, &[part(&packet, 7, 0, 48), part(&packet, 8, 48, 108)]));
        let elsewhere: IpAddr =
            if s.local().is_ipv4() { [203, 0, 113, 9].into() } else { "2001:db8:9::9".parse().unwrap() };
        let other = echo(elsewhere, s.local().ip(), &pattern(0, 100));
        assert!(!is_answered(s, &[part(&packet, 9, 0, 48), part(&other, 9, 48, 108)]));
        assert!(is_answered(s, &[part(&packet, 7, 48, 108)]));
    }
    covers!("FRAG-8");
}

#[test]
fn t_frg_1_frag_12_atomic_fragments_and_reassembly_switched_off() {
    let mut s =
        Scene::builder().v6().endpoint(|endpoint| endpoint.echo_replies = Rate::UNLIMITED).listening();
    let packet = request(&s, 100);
    s.inject_bytes(part(&packet, ID, 0, 48));
    // Offset 0 and nothing more: a whole packet, whatever else waits under that number.
    let atomic = raw(&packet, ID, 0, false, &packet[40..]);
    assert!(is_answered(&mut s, std::slice::from_ref(&atomic)));
    assert_eq!(held(&s), 1);
    assert!(is_answered(&mut s, &[part(&packet, ID, 48, 108)]));

    for v6 in [false, true] {
        let builder = Scene::builder().endpoint(|endpoint| endpoint.reassembly = ReassemblyLimits::OFF);
        let mut s = if v6 { builder.v6().listening() } else { builder.listening() };
        let packet = request(&s, 100);
        assert_dropped(&mut s, &part(&packet, ID, 0, 48), DiscardReason::Fragment);
        assert_dropped(&mut s, &part(&packet, ID, 48, 108), DiscardReason::Fragment);
        if v6 {
            assert!(is_answered(&mut s, std::slice::from_ref(&atomic)));
        }
    }
    covers!("T-FRG-1", "FRAG-12");
}

#[test]
fn frag_17_ecn_fields_are_combined() {
    let ect = [Ecn::Ect0, Ecn::Ect1];
    let all = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];
    for first in all {
        for second in all {
            let combined = carrick_wire::reassembly::combine_ecn(first, second);
            let expected = match (first, second) {
                (a, b) if a == b => Some(a),
                (Ecn::NotEct, Ecn::Ce) | (Ecn::Ce, Ecn::NotEct) => None,
                (Ecn::Ce, _) | (_, Ecn::Ce) => Some(Ecn::Ce),
                (a, b) if ect.contains(&a) && ect.contains(&b) => Some(a),
                _ => Some(Ecn::NotEct),
            };
            assert_eq!(combined, expected, "{first:?} {second:?}");
            for reversed in [false, true] {
                for mut s in scenes() {
                    let packet = request(&s, 100);
                    let mut parts = [
                        with_ecn(part(&packet, ID, 0, 48), first),
                        with_ecn(part(&packet, ID, 48, 108), second),
                    ];
                    if reversed {
                        parts.reverse();
                    }
                    assert_eq!(is_answered(&mut s, &parts), expected.is_some(), "{first:?} {second:?}");
                }
            }
        }
    }
    covers!("FRAG-17", "ECN-13");
}

fn small_limits() -> ReassemblyLimits {
    ReassemblyLimits {
        bytes: 64 << 10,
        bytes_per_source: 8 << 10,
        packets: 50,
        packets_per_source: 8,
        parts: 16,
    }
}

#[test]
fn t_frg_4_frag_16_a_flood_of_fragments_costs_what_is_allowed() {
    let parts_of = |source: u32, id: u32, s: &Scene| {
        let src = IpAddr::V4((0xcb00_7100 + source).into());
        let packet = echo(src, s.local().ip(), &[0; 1300]);
        part(&packet, id, 0, 1304)
    };
    for (limits, most, flood) in
        [(ReassemblyLimits::default(), 2 << 20, 1_000_000), (small_limits(), 200 << 10, 60_000)]
    {
        let mut s = Scene::builder()
            .endpoint(|endpoint| {
                endpoint.reassembly = limits;
                endpoint.echo_replies = Rate::UNLIMITED;
            })
            .listening();
        let start = s.host().endpoint().memory();
        let (mut greatest, mut honest) = (0, 0);
        for i in 0..flood {
            // Its own packets, first fragments that never complete, a part for a known packet now and then.
            let host = s.host_mut();
            let now = carrick_core::Instant::ZERO + 1.secs();
            let packet = Packet::new(if i % 7 == 0 {
                let packet = echo([203, 0, 113, 1].into(), [192, 0, 2, 2].into(), &[0; 1300]);
                part(&packet, i / 70, 8 + (i as usize % 10) * 64, 8 + (i as usize % 10) * 64 + 64)
            } else {
                let src = IpAddr::V4((0xc633_6400 + i % 200).into());
                part(&echo(src, [192, 0, 2, 2].into(), &[0; 1300]), i, 0, 1304)
            });
            host.receive(now, &packet);
            host.take_packets();
            greatest = greatest.max(host.endpoint().memory());
            if i % 1000 == 999 {
                let packet = request(&s, 1000);
                honest +=
                    u32::from(is_answered(&mut s, &[part(&packet, i, 504, 1008), part(&packet, i, 0, 504)]));
            }
        }
        assert!(greatest <= most, "{greatest} bytes");
        assert_eq!(honest, flood / 1000, "honest packets pass all the time");
        assert!(held(&s) <= usize::from(limits.packets));
        // One source alone gets no more than its share.
        for id in 0..200 {
            let part = parts_of(7, id, &s);
            s.inject_bytes(part);
        }
        let before = held(&s);
        for id in 0..200 {
            let part = parts_of(7, id, &s);
            s.inject_bytes(part);
        }
        assert_eq!(held(&s), before);
        s.advance(60.secs());
        while s.take().is_some() {}
        assert_eq!(held(&s), 0);
        assert!(s.host().endpoint().memory() <= start + 1024, "all is given back");
    }
    covers!("T-FRG-4", "FRAG-16");
}

/// Seen: a host that used the many addresses of its IPv6 network had no limit of its own, and drove out the fragments
/// of all others.
#[test]
fn frag_16_a_network_is_one_source() {
    let [_, mut s] = scenes();
    let packet = request(&s, 1000);
    s.inject_bytes(part(&packet, ID, 0, 504));
    for i in 0..2000u16 {
        let src = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, i, 0, 0, 1);
        let flood = part(&echo(src.into(), s.local().ip(), &[0; 1000]), ID, 0, 504);
        s.inject_bytes(flood);
    }
    assert_eq!(held(&s), 1 + usize::from(ReassemblyLimits::default().packets_per_source));
    assert!(is_answered(&mut s, &[part(&packet, ID, 504, 1008)]));
    covers!("FRAG-16", "T-FRG-4");
}

#[test]
fn frag_16_parts_of_one_packet_are_bounded_and_connections_go_on() {
    let mut s = Scene::builder().endpoint(|endpoint| endpoint.reassembly = small_limits()).established();
    let packet = request(&s, 1200);
    for i in 0..16 {
        s.inject_bytes(part(&packet, ID, i * 16, i * 16 + 8));
    }
    assert_dropped(&mut s, &part(&packet, ID, 16 * 16, 16 * 16 + 8), DiscardReason::FragmentLimit);
    // A packet longer than its source may have here is never whole.
    let long = request(&s, 9000);
    for from in (0..9008).step_by(1000) {
        s.inject_bytes(part(&long, 9, from, (from + 1000).min(9008)));
    }
    s.expect_nothing();
    // Text goes on, in one piece or in fragments.
    s.inject(seg().seq(1).ack(1).data(b"whole"));
    s.expect(seg().seq(1).ack(6));
    let text = s.packet(&seg().seq(6).ack(1).data([b'x'; 100])).bytes;
    s.inject_bytes(part(&text, 10, 64, 120));
    s.inject_bytes(part(&text, 10, 0, 64));
    s.expect(seg().seq(1).ack(106));
    assert_eq!(s.read().len(), 105);
    covers!("FRAG-16");
}

#[test]
fn fragments_for_others_are_not_kept() {
    for v6 in [false, true] {
        for any in [false, true] {
            let builder = if v6 { Scene::builder().v6() } else { Scene::builder() };
            let mut s = builder.endpoint(|endpoint| endpoint.any_address = any).listening();
            let other: IpAddr = if v6 { "2001:db8:3::3".parse().unwrap() } else { [198, 51, 100, 3].into() };
            let packet = part(&echo(s.remote().ip(), other, &[0; 100]), ID, 0, 48);
            if any {
                s.inject_bytes(packet);
                assert_eq!(held(&s), 1);
            } else {
                assert_dropped(&mut s, &packet, DiscardReason::NotOurs);
            }
        }
    }
}

#[test]
fn frag_18_frag_19_what_we_send_is_never_a_fragment() {
    // The oracle that watches every packet refuses any fragment field but DF alone, and Fragment headers.
    for v6 in [false, true] {
        let builder = Scene::builder().mtu(1280);
        let mut s = if v6 { builder.v6().established() } else { builder.established() };
        s.send(pattern(0, 12_000));
        let mut text = 0;
        while let Some(packet) = s.take() {
            let view = IpView::parse(&packet.bytes[..]).unwrap();
            assert!(view.fragment().is_none() && packet.bytes.len() <= 1280);
            if let IpView::V4(view) = view {
                assert!(view.dont_fragment());
            }
            text += packet.segment().unwrap().payload.len();
        }
        assert!(text >= 10_000, "{text}");
    }
    covers!("FRAG-18", "V4-14", "V4-15", "V4-16");
}
