//! Strangers, echo, unreadable packets, and what is left when all is over.

use carrick_core::DiscardReason;
use carrick_sim::{Fault, Packet, Scene, Span, TcpState, pattern, seg};
use carrick_wire::icmp::{self, IcmpMessage};
use carrick_wire::{Checksum, IpHeader, IpView, Protocol, TcpFlags};
use std::net::IpAddr;

#[test]
fn a_stranger_is_reset_as_the_rfc_says() {
    // RFC 9293 §3.10.7.1: with ACK <SEQ=SEG.ACK><CTL=RST>, else <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.
    let mut s = Scene::builder().isn(0, 0).build();
    s.inject(seg().seq(500).ack(77).data(b"text"));
    s.expect(seg().rst().seq(77));
    s.inject(seg().seq(500).data(b"text"));
    s.expect(seg().rst().seq(0).ack(504));
    s.inject(seg().syn().seq(500));
    s.expect(seg().rst().seq(0).ack(501));
    s.inject(seg().syn().fin().seq(500).data(b"ab"));
    s.expect(seg().rst().seq(0).ack(504));
    s.inject(seg().rst().seq(500));
    s.inject(seg().rst().seq(500).ack(9));
    s.expect_nothing();
    assert_eq!(s.host().endpoint().counters().resets, 4);
    assert_eq!(s.host().endpoint().counters().discarded(DiscardReason::StrayReset), 2);
}

/// An echo request from the scene's peer, as it comes off the wire.
fn echo_request(s: &Scene, data: &[u8]) -> Vec<u8> {
    let (src, dst) = (s.remote().ip(), s.local().ip());
    let mut message = vec![if src.is_ipv4() { 8 } else { 128 }, 0, 0, 0, 0x12, 0x34, 0, 7];
    message.extend_from_slice(data);
    let protocol = if src.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
    let mut sum = match src {
        IpAddr::V4(_) => Checksum::new(),
        IpAddr::V6(_) => Checksum::pseudo_header(src, dst, protocol, message.len()),
    };
    sum.add(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let ip = IpHeader { payload_len: message.len(), ..IpHeader::new(src, dst, protocol) };
    let mut bytes = vec![0; ip.header_len()];
    ip.emit(&mut bytes).unwrap();
    bytes.append(&mut message);
    bytes
}

fn assert_echo_reply(packet: &Packet, data: &[u8]) {
    let ip = IpView::parse(&packet.bytes[..]).unwrap();
    let message = match (ip.src(), ip.dst()) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => icmp::parse_v6(ip.payload(), src, dst),
        _ => icmp::parse_v4(ip.payload()),
    };
    match message.unwrap() {
        IcmpMessage::EchoReply { ident: 0x1234, seq: 7, data: seen } => assert_eq!(seen, data),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_echo_request_is_answered_with_its_own_data() {
    for builder in [Scene::builder(), Scene::builder().v6()] {
        let mut s = builder.build();
        for len in [0, 1, 56, 1400] {
            let data = pattern(0, len);
            s.inject_bytes(echo_request(&s, &data));
            let reply = s.take().unwrap_or_else(|| panic!("no reply to {len} bytes"));
            assert_echo_reply(&reply, &data);
            s.expect_nothing();
        }
    }
}

#[test]
fn a_changed_byte_anywhere_changes_nothing_but_a_counter() {
    let base = Scene::builder().timestamps(true).established();
    let packet = base.packet(&seg().seq(1).ack(1).data(b"to be spoiled"));
    for at in 0..packet.bytes.len() {
        let mut s = Scene::builder().timestamps(true).established();
        let before = (s.host().endpoint().counters().frames, s.host().endpoint().counters().to_connections);
        let mut bytes = packet.bytes.to_vec();
        bytes[at] ^= 0x5a;
        s.inject_bytes(bytes);
        let counters = s.host().endpoint().counters();
        assert_eq!(counters.frames, before.0 + 1);
        assert_eq!(counters.to_connections, before.1, "byte {at} went unnoticed");
        assert_eq!(s.read(), b"");
    }
}

#[test]
fn every_prefix_of_a_packet_is_discarded() {
    let mut s = Scene::established();
    let packet = s.packet(&seg().seq(1).ack(1).data(b"whole"));
    for len in 0..packet.bytes.len() {
        s.inject_bytes(packet.bytes.slice(..len));
        s.expect_nothing();
    }
    s.inject_packet(&packet);
    s.expect(seg().seq(1).ack(6));
}

#[test]
fn memory_is_back_where_it_was_when_all_is_over() {
    let mut s = Scene::builder().sack(true).established();
    assert_eq!(s.host().used(), 0, "an idle connection holds nothing");
    s.send([1; 100_000]);
    s.inject(seg().seq(1001).ack(1).len(1000));
    s.inject(seg().seq(1).ack(1).len(500));
    let peak = s.host().used();
    assert!(peak >= 101_500, "{peak}");
    while s.take().is_some() {}
    s.inject(seg().seq(501).ack(1).len(500));
    assert_eq!(s.read().len(), 2000);
    // The peer acknowledges whatever comes.
    while let Some(packet) = s.take() {
        let segment = packet.segment().unwrap();
        let next = segment.tcp.seq.get() - 1_000_000 + segment.payload.len() as u32;
        s.inject(seg().seq(2001).ack(next));
    }
    assert_eq!(s.connection().map(|c| c.unacknowledged()), Some(0));
    assert_eq!(s.host().used(), 0);
    s.close();
    let fin = s.take().unwrap();
    assert!(fin.segment().unwrap().tcp.flags.contains(TcpFlags::FIN));
    s.inject(seg().fin().seq(2001).ack(100_002));
    s.advance(240.secs());
    assert_eq!(s.state(), TcpState::Closed);
    let endpoint = s.host().endpoint();
    assert_eq!((endpoint.connections(), endpoint.half_open(), endpoint.time_wait()), (0, 0, 0));
    assert_eq!(s.host().used(), 0);
}

#[test]
fn a_spent_budget_stores_nothing_more_and_says_nothing_false() {
    // Two chunks' worth: text out of order is refused, not acknowledged, and comes again.
    let mut s = Scene::builder().budget(8 << 10).config(|c| c.delayed_ack = 0.ms()).established();
    for i in 0..40u32 {
        s.inject(seg().seq(1 + 1000 * i).ack(1).len(1000));
    }
    while s.take().is_some() {}
    assert!(s.host().used() <= 8 << 10);
    let taken = s.read().len();
    assert!((1000..=8 << 10).contains(&taken), "{taken}");
    assert!(s.host().endpoint().counters().discarded(DiscardReason::NoMemory) > 0);
    while s.take().is_some() {}
    // What was not acknowledged comes again, and now there is room for it.
    let mut next = 1 + taken as u32;
    while next < 40_001 {
        s.inject(seg().seq(next).ack(1).data(pattern(u64::from(next), 1000)));
        let ack = s.take().expect("an acknowledgment");
        let acknowledged = ack.segment().unwrap().tcp.ack.get() - 2_000_000;
        assert!(acknowledged > next);
        s.read();
        while s.take().is_some() {}
        next = acknowledged;
    }
    assert_eq!(s.host().used(), 0);
}

#[test]
fn a_clone_of_an_endpoint_goes_its_own_way_and_the_digest_tells() {
    let mut s = Scene::established();
    let before = s.host().digest(s.now());
    assert_eq!(before, s.host().digest(s.now()));
    s.inject(seg().seq(1).ack(1).data(b"x"));
    assert_ne!(before, s.host().digest(s.now()));
}

#[test]
#[should_panic(expected = "O-11 violated")]
fn an_outcome_that_nobody_counts_is_found() {
    let mut s = Scene::established();
    s.host_mut().plant(Fault::Forget);
    for i in 0..10 {
        s.inject(seg().seq(1 + i).ack(1).data(b"x"));
    }
}
