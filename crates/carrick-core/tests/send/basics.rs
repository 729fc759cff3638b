//! Segments as such: sizes, windows, sums, PSH.

use carrick_core::{Cx, Dispatch, Input, Taken};
use carrick_covers::covers;
use carrick_sim::{Offload, Packet, Scene, pattern, seg};
use carrick_wire::TcpFlags;
use std::net::IpAddr;
use std::num::NonZeroUsize;

/// A window of 65,535 is that, and not -1: all of it is used. The MSS divides it.
#[test]
fn must_1_the_window_has_no_sign() {
    let mut s = Scene::builder().mss(1285).window(0xffff).established();
    s.send(vec![1; 400_000]);
    let mut next = 1;
    // Until cwnd is larger.
    for _ in 0..3 {
        while let Some(packet) = s.take() {
            next += packet.segment().unwrap().payload.len() as u32;
        }
        s.inject(seg().seq(1).ack(next).window(0xffff));
    }
    let una = next;
    while let Some(packet) = s.take() {
        next += packet.segment().unwrap().payload.len() as u32;
    }
    assert_eq!(next - una, 65_535);
    covers!("MUST-1");
}

/// RFC 1071 by hand, two bytes at a time.
fn sum(bytes: &[u8]) -> u32 {
    let sum = bytes.chunks(2).fold(0u32, |sum, pair| {
        sum + u32::from(pair[0]) * 256 + u32::from(pair.get(1).copied().unwrap_or(0))
    });
    (sum & 0xffff) + (sum >> 16)
}

fn bytes_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn verifies(packet: &Packet) -> bool {
    let segment = packet.segment().expect("a segment");
    let at = if segment.src.is_ipv4() { 20 } else { 40 };
    let tcp = &packet.bytes[at..];
    let mut total = sum(&bytes_of(segment.src.ip())) + sum(&bytes_of(segment.dst.ip())) + 6 + sum(tcp);
    total += tcp.len() as u32;
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total == 0xffff
}

#[test]
fn must_2_every_segment_has_a_right_checksum() {
    for v6 in [false, true] {
        for offload in [Offload::Cut, Offload::Whole] {
            let builder = Scene::builder().offload(offload).timestamps(true);
            let builder = if v6 { builder.v6() } else { builder };
            let mut s = builder.config(|c| c.nodelay = true).established();
            let mut next = 1;
            for len in [1, 2, 3, 100, 101, 1400, 1401, 5000, 5001] {
                s.send(pattern(u64::from(next), len));
                while let Some(packet) = s.take() {
                    assert!(verifies(&packet), "{len} bytes, IPv6: {v6}");
                    next += packet.segment().unwrap().payload.len() as u32;
                }
                s.inject(seg().seq(1).ack(next));
            }
            s.finish();
            assert!(verifies(&s.take().unwrap()));
        }
    }
    covers!("MUST-2");
}

#[test]
fn must_16_the_send_mss_is_what_the_peer_and_the_mtu_leave_less_options() {
    for (mtu, mss, timestamps, expected) in [
        (1500, 1460, false, 1460),
        (1500, 1460, true, 1448),
        (1400, 1460, false, 1360),
        (1400, 1460, true, 1348),
        (1500, 700, false, 700),
        (1500, 700, true, 688),
        (9000, 1460, true, 1448),
    ] {
        let mut s = Scene::builder().mtu(mtu).mss(mss).timestamps(timestamps).established();
        s.send([1; 3000]);
        s.expect(seg().seq(1).ack(1).len(expected));
    }
    // SACK blocks take their place from text.
    let mut s = Scene::builder().sack(true).established();
    s.inject(seg().seq(101).ack(1).len(10));
    s.expect(seg().seq(1).ack(1));
    s.send([1; 3000]);
    s.expect(seg().seq(1).ack(1).len(1460 - 12));
    covers!("MUST-16");
}

#[test]
fn must_61_psh_on_the_last_segment_alone_and_shld_28_all_others_full() {
    let mut s = Scene::established();
    s.send([1; 3 * 1460 + 10]);
    for n in 0..4 {
        let packet = s.take().unwrap();
        let segment = packet.segment().unwrap();
        assert_eq!(segment.payload.len(), if n < 3 { 1460 } else { 10 });
        assert_eq!(segment.has(TcpFlags::PSH), n == 3);
    }
    s.inject(seg().seq(1).ack(4391));
    // Writes that wait together leave together, with one PSH (SHLD-27).
    s.inject(seg().seq(1).ack(4391).window(0));
    for _ in 0..3 {
        s.send([2; 1000]);
    }
    s.inject(seg().seq(1).ack(4391).window(20_000));
    s.expect(seg().seq(4391).ack(1).len(1460));
    s.expect(seg().seq(5851).ack(1).len(1460));
    s.expect(seg().seq(7311).ack(1).psh().len(80));
    s.expect_nothing();
    covers!("MUST-61", "SHLD-27", "SHLD-28");
}

/// All segments of a simulated peer carry the same identification, with DF.
#[test]
fn may_4_a_repeated_identification_says_nothing() {
    let mut s = Scene::established();
    let first = s.packet(&seg().seq(1).ack(1).data(b"one "));
    let second = s.packet(&seg().seq(5).ack(1).data(b"two"));
    assert_eq!(first.bytes[4..6], second.bytes[4..6]);
    s.inject_packet(&first);
    s.inject_packet(&second);
    s.inject_packet(&first);
    assert_eq!(s.read(), b"one two");
    covers!("MAY-4");
}

/// A device whose frames are shorter than the path's segments is served with shorter segments, and one that has
/// hardly room for headers is not served with text, but with acknowledgments still.
#[test]
fn a_packet_is_no_longer_than_asked_for() {
    let mut s = Scene::builder().config(|c| c.nodelay = true).established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send([1; 3000]);
    let original = s.connection().unwrap().clone();
    for max in [1, 39, 40, 41, 100, 1499, 1500, 1501, 3000] {
        let mut connection = original.clone();
        let cx = Cx::new(s.now());
        let packet = s.packet(&seg().seq(1).ack(1));
        let mut endpoint = s.host().endpoint().clone();
        let Dispatch::Existing(_, input) = endpoint.handle_frame(&cx, packet.frame()) else { panic!() };
        let Input::Segment(_) = input else { panic!() };
        let _ = connection.handle_input(&cx, input);
        let mut sent = 0;
        while let Some(transmit) = connection.poll_transmit(&cx, NonZeroUsize::new(max).unwrap()) {
            let len = transmit.header().len() + transmit.payload_len();
            assert!(len <= max.max(transmit.header().len()), "{len} for {max}");
            sent += transmit.payload_len();
            transmit.sent(Taken::All);
        }
        assert_eq!(sent, if max > 40 { 3000 } else { 0 }, "{max}");
        assert!(connection.poll_timeout().is_some());
    }
}
