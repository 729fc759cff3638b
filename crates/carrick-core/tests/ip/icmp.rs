//! Echo, and the errors that strangers are told: what, to whom, how many.

use crate::common::{assert_dropped, echo, icmp, ip, mend, read, read_raw, to_us};
use carrick_core::{Cidr, DiscardReason, Rate};
use carrick_covers::covers;
use carrick_sim::{Builder, Packet, Scene, Span, pattern, seg};
use carrick_wire::icmp::IcmpMessage;
use carrick_wire::{Checksum, IpView, ParseError, Protocol};
use std::net::IpAddr;
use std::time::Duration;

fn builder(v6: bool) -> Builder {
    let builder = if v6 { Scene::builder().v6() } else { Scene::builder() };
    builder.endpoint(|endpoint| {
        endpoint.icmp_errors = Rate::UNLIMITED;
        endpoint.echo_replies = Rate::UNLIMITED;
    })
}

/// A UDP datagram with its checksum.
fn udp(src: IpAddr, dst: IpAddr, len: usize) -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40, 0, 53];
    datagram.extend_from_slice(&u16::try_from(8 + len).unwrap().to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(&pattern(0, len));
    let mut sum = Checksum::pseudo_header(src, dst, Protocol::UDP, datagram.len());
    sum.add(&datagram);
    datagram[6..8].copy_from_slice(&sum.finish().to_be_bytes());
    ip(src, dst, Protocol::UDP, &datagram)
}

#[test]
fn icmp_7_echo_of_every_size_from_the_address_that_was_asked() {
    for v6 in [false, true] {
        let most = if v6 { 1452 } else { 1472 };
        let mut s = builder(v6)
            .endpoint(|endpoint| {
                let of = |text: &str| text.parse::<Cidr>().unwrap();
                endpoint.addresses = match v6 {
                    false => vec![of("192.0.2.2/24"), of("198.51.100.2/24")],
                    true => vec![of("2001:db8::2/64"), of("2001:db8:5::2/64")],
                };
            })
            .build();
        let addresses: Vec<IpAddr> =
            s.host().endpoint().local_addresses().iter().map(|cidr| cidr.address).collect();
        for len in 0..=most {
            let asked = addresses[len % 2];
            let data = pattern(len as u64, len);
            s.inject_bytes(echo(s.remote().ip(), asked, &data));
            let reply = s.take().unwrap_or_else(|| panic!("no reply to {len} bytes"));
            assert_eq!(read(&reply), IcmpMessage::EchoReply { ident: 0x1234, seq: 7, data: &data });
            let view = IpView::parse(&reply.bytes[..]).unwrap();
            assert_eq!((view.src(), view.dst(), view.tos()), (asked, s.remote().ip(), 0));
            s.expect_nothing();
        }
        // The source of an error is the address that the offender was sent to.
        for asked in addresses {
            s.inject_bytes(udp(s.remote().ip(), asked, 4));
            let said = s.take().unwrap();
            assert_eq!(IpView::parse(&said.bytes[..]).unwrap().src(), asked);
        }
    }
    covers!("ICMP-7", "ICMP-19", "V4-13");
}

#[test]
fn icmp_1_a_wrong_checksum_is_dropped() {
    for v6 in [false, true] {
        let mut s = builder(v6).build();
        let request = echo(s.remote().ip(), s.local().ip(), b"data");
        let at = if v6 { 40 } else { 20 };
        for bit in 0..(request.len() - at) * 8 {
            let mut spoiled = request.clone();
            spoiled[at + bit / 8] ^= 1 << (bit % 8);
            assert_dropped(&mut s, &spoiled, DiscardReason::Malformed(ParseError::IcmpChecksum));
        }
    }
    covers!("ICMP-1");
}

#[test]
fn icmp_8_echo_to_groups() {
    // IPv4: not answered, as RFC 1122 §3.2.2.6 allows.
    let mut s = builder(false).build();
    for group in ["192.0.2.255", "255.255.255.255", "224.0.0.1"] {
        let request = echo(s.remote().ip(), group.parse().unwrap(), b"?");
        s.inject_bytes(request);
        s.expect_nothing();
    }
    // IPv6: all nodes of the link are meant, and each answers from its own address; other groups are not ours.
    let mut s = builder(true).build();
    s.inject_bytes(echo(s.remote().ip(), "ff02::1".parse().unwrap(), b"?"));
    let reply = s.take().expect("an answer");
    assert_eq!(IpView::parse(&reply.bytes[..]).unwrap().src(), s.local().ip());
    assert_eq!(read(&reply), IcmpMessage::EchoReply { ident: 0x1234, seq: 7, data: b"?" });
    for group in ["ff02::2", "ff02::1:ff00:2", "ff0e::1", "ff01::1"] {
        let request = echo(s.remote().ip(), group.parse().unwrap(), b"?");
        assert_dropped(&mut s, &request, DiscardReason::NotOurs);
    }
    covers!("ICMP-8");
}

#[test]
fn icmp_10_v4_19_v6_6_what_is_not_spoken_here_is_said_so() {
    for v6 in [false, true] {
        let mut s = builder(v6).build();
        let (src, dst) = (s.remote().ip(), s.local().ip());
        // UDP has ports, and none of them is open.
        let datagram = udp(src, dst, 40);
        s.inject_bytes(datagram.clone());
        let said = s.take().expect("port unreachable");
        let (kind, code) = if v6 { (1, 4) } else { (3, 3) };
        assert_eq!(read_raw(&said), (kind, code, 0, &datagram[..]));
        // A bad checksum, or none in IPv6: as if nothing had come.
        let at = if v6 { 40 } else { 20 };
        let mut spoiled = datagram.clone();
        *spoiled.last_mut().unwrap() ^= 1;
        assert_dropped(&mut s, &spoiled, DiscardReason::BadChecksum);
        let mut without = datagram.clone();
        without[at + 6..at + 8].fill(0);
        if v6 {
            assert_dropped(&mut s, &without, DiscardReason::BadChecksum);
        } else {
            s.inject_bytes(without);
            assert!(s.take().is_some());
        }
        // A protocol that nobody speaks.
        let packet = to_us(&s, Protocol(253), &[5; 30]);
        s.inject_bytes(packet.clone());
        let said = s.take().expect("protocol unreachable");
        let expected = if v6 { (4, 1, 6) } else { (3, 2, 0) };
        let (kind, code, word, quote) = read_raw(&said);
        assert_eq!(((kind, code, word), quote), (expected, &packet[..]));
        assert_eq!(IpView::parse(&said.bytes[..]).unwrap().tos(), 0);
        // TCP has its own way to refuse.
        s.inject(seg().syn().seq(0));
        s.expect(seg().rst().ack(1).ports(80, 40_000));
        s.expect_nothing();
    }
    covers!("ICMP-10", "ICMP-20", "V4-19", "V6-6", "V6-21");
}

#[test]
fn icmp_3_icmp_4_quotes_are_as_long_as_allowed() {
    for v6 in [false, true] {
        let mut s = builder(v6).build();
        let most = if v6 { 1280 } else { 576 };
        for len in [0, 1, 500, 1400] {
            let packet = to_us(&s, Protocol(253), &pattern(0, len));
            s.inject_bytes(packet.clone());
            let said = s.take().unwrap();
            let headers = if v6 { 48 } else { 28 };
            assert_eq!(said.bytes.len(), most.min(packet.len() + headers));
            assert_eq!(read_raw(&said).3, &packet[..packet.len().min(most - headers)]);
        }
    }
    covers!("ICMP-3", "ICMP-4");
}

#[test]
fn t_icm_7_icmp_5_mart_10_who_is_told_nothing() {
    for v6 in [false, true] {
        let mut s = builder(v6).build();
        let (src, dst) = (s.remote().ip(), s.local().ip());
        let mut silent = Vec::new();
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        // About an error: an unknown protocol is not at its end, so let a fragment of one expire.
        let kinds: &[u8] = if v6 { &[1, 2, 3, 4, 100, 137] } else { &[3, 4, 5, 11, 12] };
        for &kind in kinds {
            let message = icmp(src, dst, kind, 0, 0, &[0; 60]);
            silent.push(message);
        }
        // To many, from many, from nobody.
        let (groups, nobodies) = match v6 {
            false => (
                vec!["192.0.2.255", "255.255.255.255", "224.0.0.1"],
                vec!["0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.255"],
            ),
            true => (vec!["ff02::1", "ff02::2", "ff0e::1"], vec!["::", "::1", "ff02::1", "::ffff:192.0.2.1"]),
        };
        for group in groups {
            silent.push(ip(src, of(group), Protocol(253), &[1; 20]));
            silent.push(udp(src, of(group), 20));
        }
        for nobody in nobodies {
            silent.push(ip(of(nobody), dst, Protocol(253), &[1; 20]));
            silent.push(udp(of(nobody), dst, 20));
            silent.push(echo(of(nobody), dst, b"?"));
        }
        // Ourselves.
        silent.push(ip(dst, dst, Protocol(253), &[1; 20]));
        for packet in silent {
            s.inject_bytes(packet.clone());
            s.expect_nothing();
        }
        // Fragments but the first: only that one is quoted when its time is over.
        let whole = to_us(&s, Protocol(253), &[1; 64]);
        if !v6 {
            let mut second = whole.clone();
            second[6..8].copy_from_slice(&2u16.to_be_bytes());
            mend(&mut second);
            s.inject_bytes(second);
            s.advance(61.secs());
            s.expect_nothing();
            // The first fragment of an ICMP error is about an error.
            let mut about_error = icmp(src, dst, 3, 0, 0, &[0; 56]);
            about_error[6..8].copy_from_slice(&0x2000u16.to_be_bytes());
            mend(&mut about_error);
            s.inject_bytes(about_error);
            assert_eq!(s.host().endpoint().reassemblies(), 1);
            s.advance(61.secs());
            s.expect_nothing();
        }
    }
    covers!("T-ICM-7", "ICMP-5", "MART-10");
}

#[test]
fn v6_9_v6_10_options_and_groups() {
    let mut s = builder(true).build();
    let all: IpAddr = "ff02::1".parse().unwrap();
    for (kind, to_group) in [(0x9e, true), (0xde, false)] {
        let chain = [6, 0, kind, 4, 0, 0, 0, 0];
        let unicast = to_us(&s, Protocol::DESTINATION_OPTIONS, &chain);
        s.inject_bytes(unicast.clone());
        let said = s.take().expect("a parameter problem");
        assert_eq!(read_raw(&said), (4, 2, 42, &unicast[..]));
        s.inject_bytes(ip(s.remote().ip(), all, Protocol::DESTINATION_OPTIONS, &chain));
        let said = s.take();
        assert_eq!(said.is_some(), to_group, "{kind:#x}");
        if let Some(said) = said {
            assert_eq!(IpView::parse(&said.bytes[..]).unwrap().src(), s.local().ip());
        }
        // A group that we are not in.
        s.inject_bytes(ip(
            s.remote().ip(),
            "ff02::2".parse().unwrap(),
            Protocol::DESTINATION_OPTIONS,
            &chain,
        ));
        s.expect_nothing();
    }
    covers!("V6-9", "V6-10");
}

#[test]
fn icmp_6_icmp_21_errors_are_limited_and_can_be_switched_off() {
    for v6 in [false, true] {
        let make = |rate: Rate| {
            let builder = if v6 { Scene::builder().v6() } else { Scene::builder() };
            builder.endpoint(move |endpoint| endpoint.icmp_errors = rate).build()
        };
        // One class of destinations gets its share: 640 a second are 10 for each of the 64 classes.
        let mut s = make(Rate { per_second: 640, burst: 10 });
        let packet = to_us(&s, Protocol(253), &[1; 20]);
        let flood = |s: &mut Scene, count: usize| {
            let mut said = 0;
            for _ in 0..count {
                s.inject_bytes(packet.clone());
                said += usize::from(s.take().is_some());
            }
            said
        };
        let burst = flood(&mut s, 1000);
        assert!((5..=21).contains(&burst), "{burst}");
        let mut later = 0;
        for _ in 0..100 {
            s.advance(100.ms());
            later += flood(&mut s, 20);
        }
        assert!((70..=140).contains(&later), "{later} in ten seconds");
        let mut s = make(Rate { per_second: 0, burst: 0 });
        assert_eq!(flood(&mut s, 100), 0, "switched off");
        assert_eq!(s.host().endpoint().counters().discarded_by_endpoint(), 100, "and counted");
    }
    covers!("ICMP-6", "ICMP-21");
}

#[test]
fn icmp_23_a_flood_of_echo_requests_does_not_delay_text() {
    for v6 in [false, true] {
        let builder = if v6 { Scene::builder().v6() } else { Scene::builder() };
        let mut s = builder.config(|config| config.delayed_ack = Duration::ZERO).established();
        let mut replies = 0;
        for i in 0..200u32 {
            for _ in 0..50 {
                s.inject_bytes(echo(s.remote().ip(), s.local().ip(), &[0; 1000]));
            }
            s.inject(seg().seq(1 + i * 10).ack(1).data([b'x'; 10]));
            let answers: Vec<_> = std::iter::from_fn(|| s.take()).collect();
            let acks = answers.iter().filter_map(Packet::segment);
            let acked = acks.map(|segment| segment.tcp.ack.distance_from(2_000_000.into_seq())).max();
            assert_eq!(acked, Some(11 + i * 10), "in the same instant");
            replies += answers.len() - 1;
            s.read();
        }
        assert!(replies < 250, "{replies} replies to 10,000 requests");
        let limited = s.host().endpoint().counters().discarded(DiscardReason::RateLimited);
        assert_eq!(limited as usize + replies, 10_000);
    }
    covers!("ICMP-23");
}

trait IntoSeq {
    fn into_seq(self) -> carrick_wire::SeqNum;
}

impl IntoSeq for u32 {
    fn into_seq(self) -> carrick_wire::SeqNum {
        carrick_wire::SeqNum::new(self)
    }
}

#[test]
fn icmp_18_icmp_22_queries_and_neighbours_are_ignored() {
    let mut s = builder(false).build();
    for kind in [13, 15, 17, 9, 10, 14, 16, 18] {
        let query = icmp(s.remote().ip(), s.local().ip(), kind, 0, 7, &[0; 16]);
        assert_dropped(&mut s, &query, DiscardReason::IcmpIgnored);
    }
    let mut s = builder(true).build();
    for kind in [130, 131, 132, 133, 134, 135, 136, 137, 143, 200] {
        for dst in [s.local().ip(), "ff02::1".parse().unwrap()] {
            let message = icmp(s.remote().ip(), dst, kind, 0, 0, &[0; 24]);
            assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
        }
    }
    covers!("ICMP-18", "ICMP-22", "ICMP-2");
}

#[test]
fn an_echo_reply_follows_the_path() {
    // What a path is known not to take is not sent into it: cut off in IPv4, nothing in IPv6.
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        s.send(pattern(0, 5000));
        let first = s.take().unwrap();
        while s.take().is_some() {}
        s.inject_bytes(crate::common::too_big(&s, 1300, &first.bytes));
        while s.take().is_some() {}
        s.inject_bytes(echo(s.remote().ip(), s.local().ip(), &[1; 1400]));
        match s.take() {
            Some(reply) => assert_eq!((reply.bytes.len(), v6), (1300, false)),
            None => assert!(v6),
        }
    }
    covers!("ICMP-9");
}
