//! IP headers, options, extension headers and addresses, as far as an endpoint has a say in them.

use crate::common::{assert_dropped, ip, mend, read_raw, to_us};
use carrick_core::{Cidr, DiscardReason, TcpState};
use carrick_covers::covers;
use carrick_sim::{Packet, Scene, Span, pattern, seg};
use carrick_wire::{Checksum, Ecn, IpView, ParseError, Protocol};
use std::net::IpAddr;

/// A SYN from the scene's peer as bytes.
fn syn(s: &Scene) -> Vec<u8> {
    s.packet(&seg().syn().seq(0)).bytes.to_vec()
}

/// The same segment between other addresses.
fn between(packet: &[u8], src: IpAddr, dst: IpAddr) -> Vec<u8> {
    let view = IpView::parse(packet).unwrap();
    let mut tcp = view.payload().to_vec();
    tcp[16..18].fill(0);
    let mut sum = Checksum::pseudo_header(src, dst, Protocol::TCP, tcp.len());
    sum.add(&tcp);
    tcp[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    ip(src, dst, Protocol::TCP, &tcp)
}

/// With an IPv4 option area, a multiple of 4 bytes.
fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet.splice(20..20, options.iter().copied());
    packet[0] = 0x45 + u8::try_from(options.len() / 4).unwrap();
    let len = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    mend(&mut packet);
    packet
}

/// With extension headers, each beginning with its own number instead of the next one's.
fn with_headers(packet: &[u8], headers: &[&[u8]]) -> Vec<u8> {
    let mut bytes = packet[..40].to_vec();
    let mut named_at = 6;
    for header in headers {
        bytes[named_at] = header[0];
        named_at = bytes.len();
        bytes.extend_from_slice(header);
    }
    bytes[named_at] = packet[6];
    bytes.extend_from_slice(&packet[40..]);
    let len = u16::try_from(bytes.len() - 40).unwrap();
    bytes[4..6].copy_from_slice(&len.to_be_bytes());
    bytes
}

#[track_caller]
fn assert_answered(s: &mut Scene, packet: &[u8]) {
    let before = s.host().endpoint().half_open();
    s.inject_bytes(packet.to_vec());
    s.expect(seg().syn().seq(0).ack(1));
    s.expect_nothing();
    // The peer changes its mind, so that the next one finds everything as it was.
    s.inject(seg().rst().seq(1));
    assert_eq!((before, s.host().endpoint().half_open()), (0, 0));
}

#[test]
fn must_50_v4_9_v4_10_v4_12_may_10_may_11_unknown_options_are_ignored() {
    let mut s = Scene::listening();
    let packet = syn(&s);
    for options in [
        &[1u8, 1, 1, 1][..],                      // no operation
        &[0, 0, 0, 0],                            // end of list
        &[136, 4, 0, 7],                          // stream identifier
        &[68, 8, 5, 0, 0, 0, 0, 0],               // timestamp
        &[7, 7, 4, 0, 0, 0, 0, 0],                // record route
        &[0x5e, 4, 1, 2],                         // nobody's
        &[0xde, 3, 9, 0xff, 2, 1, 1, 1],          // behind one that ends early
        &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // security
    ] {
        let packet = with_options(&packet, options);
        match IpView::parse(&packet[..]) {
            Ok(_) => assert_answered(&mut s, &packet),
            Err(error) => {
                // Of these only the one whose length runs past the header.
                assert_eq!((error, options[0]), (ParseError::Ipv4OptionLength, 0xde));
                assert_dropped(&mut s, &packet, DiscardReason::Malformed(error));
            }
        }
    }
    for bad in [[0x5e, 0, 1, 2], [0x5e, 1, 1, 2], [0x5e, 5, 1, 2], [1, 1, 1, 0x5e]] {
        let packet = with_options(&packet, &bad);
        assert_dropped(&mut s, &packet, DiscardReason::Malformed(ParseError::Ipv4OptionLength));
    }
    covers!("MUST-50", "MAY-10", "MAY-11", "V4-9", "V4-10", "V4-12");
}

#[test]
fn v4_11_source_routes_are_dropped_completed_or_not() {
    let mut s = Scene::listening();
    let packet = syn(&s);
    for kind in [131, 137] {
        for pointer in [4, 8] {
            let packet = with_options(&packet, &[kind, 7, pointer, 203, 0, 113, 7, 0]);
            assert_dropped(&mut s, &packet, DiscardReason::Malformed(ParseError::Ipv4SourceRoute));
        }
    }
    covers!("V4-11");
}

#[test]
fn v4_5_what_is_for_others_is_dropped() {
    for v6 in [false, true] {
        let mut s = if v6 { Scene::builder().v6().build() } else { Scene::builder().build() };
        let other: IpAddr = if v6 { "2001:db8::3".parse().unwrap() } else { "192.0.2.3".parse().unwrap() };
        let packet = between(&syn(&s), s.remote().ip(), other);
        assert_dropped(&mut s, &packet, DiscardReason::NotOurs);
        for protocol in [Protocol::UDP, Protocol(253)] {
            let packet = ip(s.remote().ip(), other, protocol, &[0; 20]);
            let reason = match IpView::parse(&packet[..]) {
                Ok(_) => DiscardReason::NotOurs,
                Err(error) => DiscardReason::Malformed(error),
            };
            assert_dropped(&mut s, &packet, reason);
        }
    }
    covers!("V4-5");
}

#[test]
fn t_mal_13_mart_1_to_5_v4_6_addresses_that_cannot_be() {
    let of = |text: &str| text.parse::<IpAddr>().unwrap();
    let sources = [
        (false, vec!["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "224.0.0.1", "239.1.1.1"]),
        (false, vec!["240.0.0.1", "255.255.255.254", "255.255.255.255", "192.0.2.255"]),
        (true, vec!["::", "::1", "ff02::1", "ff0e::5", "::ffff:192.0.2.1"]),
    ];
    for (v6, addresses) in sources {
        let mut s = if v6 { Scene::builder().v6().listening() } else { Scene::listening() };
        for address in addresses {
            let packet = between(&syn(&s), of(address), s.local().ip());
            assert_dropped(&mut s, &packet, DiscardReason::Martian);
        }
    }
    let destinations = [
        (false, vec!["0.0.0.0", "0.1.2.3", "127.0.0.1", "255.255.255.255"], DiscardReason::Martian),
        (false, vec!["224.0.0.1", "239.1.1.1", "192.0.2.255"], DiscardReason::NotOurs),
        (true, vec!["::", "::1", "::ffff:192.0.2.2"], DiscardReason::Martian),
        (true, vec!["ff02::1", "ff0e::5"], DiscardReason::NotOurs),
    ];
    for (v6, addresses, reason) in destinations {
        // Under a listener for any address, which takes SYNs for all that can be.
        let mut s = if v6 { Scene::builder().v6().listening() } else { Scene::listening() };
        for address in addresses {
            let packet = between(&syn(&s), s.remote().ip(), of(address));
            assert_dropped(&mut s, &packet, reason);
        }
    }
    covers!("T-MAL-13", "V4-6", "MART-1", "MART-2", "MART-3", "MART-4", "MART-5");
}

#[test]
fn mart_6_our_own_address_as_source() {
    for v6 in [false, true] {
        let mut s = if v6 { Scene::builder().v6().listening() } else { Scene::listening() };
        let packet = between(&syn(&s), s.local().ip(), s.local().ip());
        assert_dropped(&mut s, &packet, DiscardReason::OwnSource);
    }
    covers!("MART-6");
}

#[test]
fn mart_9_private_shared_and_documentation_addresses_are_ordinary() {
    for address in
        ["100.64.0.1", "192.0.2.9", "10.1.2.3", "172.16.0.9", "192.168.7.7", "198.18.0.1", "169.254.3.3"]
    {
        let mut s = Scene::listening();
        s.inject_bytes(between(&syn(&s), address.parse().unwrap(), s.local().ip()));
        assert!(s.take().is_some(), "{address}");
    }
    for address in ["2001:db8:77::1", "fd00::1", "fe80::1"] {
        let mut s = Scene::builder().v6().listening();
        s.inject_bytes(between(&syn(&s), address.parse().unwrap(), s.local().ip()));
        assert!(s.take().is_some(), "{address}");
    }
    covers!("MART-9");
}

#[test]
fn mart_7_v4_13_we_speak_as_ourselves_alone() {
    for v6 in [false, true] {
        let mut s = if v6 { Scene::builder().v6().established() } else { Scene::established() };
        s.send(pattern(0, 5000));
        s.inject_bytes(crate::common::echo(s.remote().ip(), s.local().ip(), b"?"));
        s.inject(seg().seq(9000).ack(1).ports(1, 2));
        s.inject_bytes(to_us(&s, Protocol(253), b"?"));
        let sent: Vec<Packet> = std::iter::from_fn(|| s.take()).collect();
        assert!(sent.len() > 5);
        for packet in sent {
            assert_eq!(IpView::parse(&packet.bytes[..]).unwrap().src(), s.local().ip());
        }
        let (bad, local): (&[&str], &str) = if v6 {
            (&["[::]:80", "[ff02::1]:80", "[::1]:80", "[::ffff:192.0.2.1]:80"], "[2001:db8::99]:0")
        } else {
            (
                &["0.0.0.0:80", "127.0.0.1:80", "224.0.0.1:80", "255.255.255.255:80", "192.0.2.255:80"],
                "192.0.2.99:0",
            )
        };
        let now = s.now();
        for remote in bad {
            let remote = remote.parse().unwrap();
            let result = s.host_mut().connect(now, None, remote, std::sync::Arc::default());
            assert_eq!(result, Err(carrick_core::ConnectError::InvalidRemote), "{remote}");
        }
        let remote = s.remote();
        let result = s.host_mut().connect(now, local.parse().ok(), remote, std::sync::Arc::default());
        assert_eq!(result, Err(carrick_core::ConnectError::AddrNotAvailable));
    }
    covers!("MART-7", "V4-13");
}

#[test]
fn v4_7_v6_18_v4_17_received_fields_that_do_not_matter() {
    for v6 in [false, true] {
        let mut s = if v6 { Scene::builder().v6().listening() } else { Scene::listening() };
        let packet = syn(&s);
        for hops in [0, 1, 2, 255] {
            let mut packet = packet.clone();
            packet[if v6 { 7 } else { 8 }] = hops;
            if !v6 {
                mend(&mut packet);
            }
            assert_answered(&mut s, &packet);
        }
        if !v6 {
            // The reserved flag, DF or not, any identification, the same one twice.
            for (flags, id) in [(0x80, 7u16), (0xc0, 7), (0, 7), (0x40, 0)] {
                let mut packet = packet.clone();
                packet[6] = flags;
                packet[4..6].copy_from_slice(&id.to_be_bytes());
                mend(&mut packet);
                assert_answered(&mut s, &packet);
            }
        } else {
            for label in [[0, 0, 1], [0xf, 0xff, 0xff]] {
                let mut packet = packet.clone();
                packet[1] = packet[1] & 0xf0 | label[0];
                packet[2..4].copy_from_slice(&label[1..]);
                assert_answered(&mut s, &packet);
            }
        }
    }
    covers!("V4-7", "V4-14", "V4-17", "V6-18", "V6-17");
}

#[test]
fn v4_8_v6_18_hop_limits_sent() {
    for v6 in [false, true] {
        for (setting, expected) in [(None, 64), (Some(1), 1), (Some(200), 200)] {
            let builder = if v6 { Scene::builder().v6() } else { Scene::builder() };
            let builder =
                builder.endpoint(|endpoint| endpoint.hop_limit = setting.unwrap_or(endpoint.hop_limit));
            let mut s = builder.build();
            s.connect();
            s.inject(seg().seq(1).ack(1).ports(7, 8));
            s.inject_bytes(crate::common::echo(s.remote().ip(), s.local().ip(), b"?"));
            let sent: Vec<Packet> = std::iter::from_fn(|| s.take()).collect();
            assert_eq!(sent.len(), 3);
            for packet in sent {
                assert_eq!(IpView::parse(&packet.bytes[..]).unwrap().hop_limit(), expected);
            }
        }
    }
    covers!("V4-8", "V6-18");
}

#[test]
fn v4_18_the_ecn_field_reaches_the_segment() {
    use carrick_core::{Cx, Dispatch, Endpoint, EndpointConfig, Frame, Input, Instant};
    for ecn in [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
        let addresses = vec![Cidr::new([192, 0, 2, 2].into(), 24)];
        let config = EndpointConfig { addresses, ..EndpointConfig::default() };
        let mut endpoint = Endpoint::new(config.into(), [1; 32]);
        let cx = Cx::new(Instant::ZERO);
        let remote = "192.0.2.1:80".parse().unwrap();
        let (_, connection) = endpoint.connect(&cx, None, remote, Default::default()).unwrap();
        let scene = Scene::builder().build();
        let port = connection.local_addr().port();
        let segment = seg().syn().seq(0).ack(1).ports(80, port).ecn(ecn);
        let packet = scene.packet(&segment);
        match endpoint.handle_frame(&cx, Frame::new(&packet.bytes)) {
            Dispatch::Existing(_, Input::Segment(segment)) => assert_eq!(segment.ecn(), ecn),
            other => panic!("{other:?}"),
        }
    }
    // All 256 values of the field: nothing depends on them.
    for v6 in [false, true] {
        let mut s = if v6 { Scene::builder().v6().listening() } else { Scene::listening() };
        for tos in 0..=255u8 {
            let mut packet = syn(&s);
            if v6 {
                packet[0] = 0x60 | tos >> 4;
                packet[1] = tos << 4;
            } else {
                packet[1] = tos;
                mend(&mut packet);
            }
            assert_eq!(IpView::parse(&packet[..]).unwrap().tos(), tos);
            if tos % 16 < 4 {
                assert_answered(&mut s, &packet);
            }
        }
    }
    covers!("V4-18");
}

#[test]
fn v6_17_one_flow_label_for_each_connection() {
    let labels = |seed: u64| -> Vec<u32> {
        let mut s = Scene::builder().v6().seed(seed).established();
        s.send(pattern(0, 3000));
        s.inject(seg().seq(1).ack(3001).data(b"text"));
        s.advance(10.secs());
        s.abort();
        let sent: Vec<Packet> = std::iter::from_fn(|| s.take()).collect();
        assert!(sent.len() >= 4);
        let label = |packet: &Packet| {
            u32::from_be_bytes([0, packet.bytes[1] & 0xf, packet.bytes[2], packet.bytes[3]])
        };
        sent.iter().map(label).collect()
    };
    let mut firsts: Vec<u32> = (0..50)
        .map(|seed| {
            let all = labels(seed);
            assert!(all.iter().all(|label| *label == all[0]));
            all[0]
        })
        .collect();
    // Spread over 20 bits: of 50 draws hardly two are equal, and the halves are filled alike.
    let low = firsts.iter().filter(|label| **label < 1 << 19).count();
    assert!((10..=40).contains(&low), "{low}");
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() >= 48);
    covers!("V6-17");
}

#[test]
fn v6_4_v6_7_v6_12_v6_16_a_syn_behind_extension_headers() {
    let mut s = Scene::builder().v6().listening();
    let packet = syn(&s);
    let hop_by_hop: &[u8] = &[0, 0, 1, 4, 0, 0, 0, 0];
    let options: &[u8] = &[60, 0, 0x1e, 4, 9, 9, 9, 9]; // an unknown one, to be skipped
    let routing: &[u8] = &[43, 0, 0, 0, 0, 0, 0, 0]; // type 0, nothing left
    let unknown_routing: &[u8] = &[43, 0, 77, 0, 0, 0, 0, 0];
    let atomic: &[u8] = &[44, 0, 0, 0, 0, 0, 0, 9];
    for headers in [
        &[options][..],
        &[options, options],
        &[hop_by_hop, routing, options],
        &[atomic, routing],
        &[routing, options, atomic, unknown_routing, options],
    ] {
        let packet = with_headers(&packet, headers);
        assert_answered(&mut s, &packet);
    }
    // With something left: code 0, pointing at the type.
    for kind in [0, 77] {
        let left = with_headers(&packet, &[options, &[43, 0, kind, 1, 0, 0, 0, 0]]);
        s.inject_bytes(left.clone());
        let said = s.take().expect("a parameter problem");
        assert_eq!(read_raw(&said), (4, 0, 50, &left[..]));
    }
    // Hop-by-Hop elsewhere; AH and ESP, which are nothing we know.
    for (first, headers) in [(60, [options, hop_by_hop]), (60, [options, &[51, 0, 0, 0, 0, 0, 0, 0]])] {
        let wrong = with_headers(&packet, &headers);
        assert_eq!(wrong[6], first);
        s.inject_bytes(wrong.clone());
        let said = s.take().expect("a parameter problem");
        assert_eq!(read_raw(&said), (4, 1, 40, &wrong[..]));
    }
    // Nothing behind: nothing said.
    let none = to_us(&s, Protocol::NO_NEXT_HEADER, b"whatever");
    assert_dropped(&mut s, &none, DiscardReason::Malformed(ParseError::Ipv6NoNextHeader));
    // Silence where the option asks for it, an answer where it overruns.
    let silent = with_headers(&packet, &[&[60, 0, 0x5e, 4, 0, 0, 0, 0]]);
    assert_dropped(&mut s, &silent, DiscardReason::Malformed(ParseError::Ipv6OptionSilent));
    let overrun = with_headers(&packet, &[&[60, 0, 0x1e, 5, 0, 0, 0, 0]]);
    s.inject_bytes(overrun);
    let said = s.take().expect("a parameter problem");
    let (kind, code, ..) = read_raw(&said);
    assert_eq!((kind, code), (4, 0));
    assert_eq!(s.state(), TcpState::Listen);
    covers!("V6-3", "V6-4", "V6-5", "V6-7", "V6-8", "V6-11", "V6-12", "V6-13", "V6-14", "V6-16", "V6-19");
}

#[test]
fn t_bld_7_no_counter_is_shared_between_destinations() {
    // Identification is without meaning where DF is set (RFC 6864 §4.1): the same for all, or counted within one
    // super-segment.
    let mut s = Scene::builder().listening();
    for last in 1..=200u8 {
        s.inject_bytes(between(&syn(&s), [203, 0, 113, last].into(), s.local().ip()));
        s.inject_bytes(crate::common::echo([203, 0, 113, last].into(), s.local().ip(), b"?"));
        s.inject_bytes(ip([203, 0, 113, last].into(), s.local().ip(), Protocol(253), b"?"));
        while let Some(packet) = s.take() {
            let IpView::V4(view) = IpView::parse(&packet.bytes[..]).unwrap() else { panic!("IPv6") };
            assert_eq!((view.identification(), view.dont_fragment()), (0, true));
        }
    }
    covers!("T-BLD-7", "V4-14", "V4-15");
}
