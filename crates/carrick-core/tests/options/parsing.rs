//! Options as bytes: in any order, at any place, of any kind and length (RFC 9293 §3.1-3.2).

use crate::common::*;
use carrick_core::{DiscardReason, TcpState};
use carrick_covers::covers;
use carrick_sim::{Rng, Scene, Span, seg};
use carrick_wire::TcpFlags;

#[test]
fn opt_1_a_header_length_outside_the_segment_has_no_effect() {
    for v6 in [false, true] {
        let builder = if v6 { Scene::builder().v6() } else { Scene::builder() };
        let mut s = builder.established();
        let packet = s.packet(&seg().seq(1).ack(1).len(10));
        let ip_len = ip_header_len(&packet.bytes);
        let before = digest(&s);
        for (n, words) in (0..5u8).chain(8..16).enumerate() {
            let mut tcp = packet.bytes[ip_len..].to_vec();
            tcp[12] = tcp[12] & 0x0f | words << 4;
            s.inject_packet(&rebuilt(&packet.bytes[..ip_len], &tcp));
            s.expect_nothing();
            assert_eq!(discarded(&s), n as u64 + 1, "{words} words");
        }
        assert_eq!(digest(&s), before);
    }
    covers!("OPT-1");
}

#[test]
fn opt_2_any_bytes_at_all_are_walked_to_the_end() {
    let mut rng = Rng::new(1);
    let mut s = Scene::established();
    let syn = s.packet(&seg().syn().seq(0).ports(41_000, 80));
    let text = s.packet(&seg().seq(1).ack(1).len(3));
    for _ in 0..20_000 {
        let mut options = vec![0u8; rng.size(0, 40)];
        for byte in &mut options {
            // Known kinds and small lengths more often than chance has them.
            *byte = if rng.chance(700_000) { rng.below(12) as u8 } else { rng.bits() as u8 };
        }
        // O-1 and O-11 look at every step: no panic, and one outcome for each.
        s.inject_packet(&with_options(rng.pick(&[&syn, &text]), &options));
        sent(&mut s);
    }
    assert_eq!(s.state(), TcpState::Established);
    assert!(discarded(&s) > 1000);
    covers!("OPT-2");
}

#[test]
fn must_7_an_illegal_length_drops_the_segment() {
    for options in [&[8, 0][..], &[8, 1], &[2, 200], &[1, 1, 253, 0], &[3, 3, 7, 8, 9], &[5]] {
        let mut s = Scene::established();
        let before = digest(&s);
        let packet = with_options(&s.packet(&seg().seq(1).ack(1).len(3)), options);
        s.inject_packet(&packet);
        s.expect_nothing();
        assert_eq!((discarded(&s), digest(&s)), (1, before), "{options:?}");
        let mut s = Scene::listening();
        let packet = with_options(&s.packet(&seg().syn().seq(0)), options);
        s.inject_packet(&packet);
        s.expect_nothing();
        assert_eq!((discarded(&s), s.state()), (1, TcpState::Listen), "{options:?}");
    }
    covers!("MUST-7", "OPT-3");
}

/// Listens, gets a SYN with these options, and says how much text a full segment to that peer has.
fn segment_size_after(options: &[u8]) -> usize {
    let mut s = Scene::listening();
    let syn = with_options(&s.packet(&seg().syn().seq(0)), options);
    s.inject_packet(&syn);
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1).no_ts());
    assert!(s.accept());
    s.send([7; 3000]);
    let first = s.take().expect("text");
    first.segment().expect("a segment").payload.len()
}

#[test]
fn must_4_end_no_operation_and_mss() {
    assert_eq!(segment_size_after(&[1, 1, 2, 4, 0x02, 0xbc, 0]), 700);
    assert_eq!(segment_size_after(&[2, 4, 0x02, 0xbc]), 700);
    // Behind the end nothing is read.
    assert_eq!(segment_size_after(&[0, 2, 4, 0x02, 0xbc]), 536);
    covers!("MUST-4");
}

#[test]
fn must_6_unknown_options_are_skipped_by_their_length() {
    assert_eq!(segment_size_after(&[253, 8, 2, 4, 1, 1, 9, 9, 2, 4, 0x02, 0xbc]), 700);
    assert_eq!(segment_size_after(&[253, 2, 254, 3, 0, 2, 4, 0x02, 0xbc]), 700);
    covers!("MUST-6");
}

#[test]
fn must_64_options_need_no_alignment() {
    for pad in 0..4usize {
        let mut s = Scene::listening();
        let mut options = vec![1; pad];
        options.extend([2, 4, 5, 0xb4, 1, 8, 10, 0, 0, 0, 77, 0, 0, 0, 0]);
        let syn = with_options(&s.packet(&seg().syn().seq(0)), &options);
        s.inject_packet(&syn);
        let answer = s.take().expect("a SYN,ACK");
        let timestamps = answer.segment().and_then(|view| view.tcp.options.timestamps);
        assert_eq!(timestamps.map(|ts| ts.ecr), Some(77), "after {pad} bytes");
    }
    covers!("MUST-64");
}

#[test]
fn must_5_an_option_may_come_in_any_segment() {
    let unknown = [253, 4, 9, 9];
    let mut s = Scene::listening();
    for seg in [
        seg().syn().seq(0).bare(),
        seg().seq(1).ack(1),
        seg().seq(1).ack(1).len(5),
        seg().fin().seq(6).ack(1),
    ] {
        let packet = with_options(&s.packet(&seg), &unknown);
        s.inject_packet(&packet);
    }
    assert!(s.accept());
    assert_eq!((s.state(), s.read().len()), (TcpState::CloseWait, 5));
    let packet = with_options(&s.packet(&seg().rst().seq(7)), &unknown);
    s.inject_packet(&packet);
    assert_eq!(s.state(), TcpState::Closed);
    covers!("MUST-5");
}

#[test]
fn opt_4_what_a_syn_agrees_on_changes_on_no_other_segment() {
    let after = |options: &[u8]| {
        let mut s = Scene::builder().window_scale(2).sack(true).established();
        let packet = with_options(&s.packet(&seg().seq(1).ack(1).len(100)), options);
        s.inject_packet(&packet);
        s.expect(seg().seq(1).ack(101));
        (digest(&s), discarded(&s))
    };
    let plain = after(&[]);
    for options in [&[2, 4, 0, 99][..], &[3, 3, 9], &[4, 2], &[2, 4, 0, 99, 3, 3, 9, 4, 2]] {
        assert_eq!(after(options), plain, "{options:?}");
    }
    covers!("OPT-4");
}

#[test]
fn opt_5_a_syn_ack_carries_only_what_the_syn_offered() {
    for scale in [None, Some(3)] {
        for (timestamps, sack) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut builder = Scene::builder().timestamps(timestamps).sack(sack);
            if let Some(shift) = scale {
                builder = builder.window_scale(shift);
            }
            let mut s = builder.listening();
            s.inject(seg().syn().seq(0));
            let answer = s.take().expect("a SYN,ACK");
            let options = answer.segment().expect("a segment").tcp.options;
            assert_eq!(options.window_scale.is_some(), scale.is_some());
            assert_eq!((options.timestamps.is_some(), options.sack_permitted), (timestamps, sack));
        }
    }
    covers!("OPT-5");
}

#[test]
fn opt_6_of_an_option_that_comes_twice_the_first_valid_one_counts() {
    assert_eq!(segment_size_after(&[2, 4, 0x02, 0xbc, 2, 4, 0x03, 0xe8]), 700);
    // A known option of a wrong length is none.
    assert_eq!(segment_size_after(&[2, 3, 9, 2, 4, 0x02, 0xbc]), 700);
    assert_eq!(segment_size_after(&[2, 6, 1, 1, 1, 1]), 536);
    // Scale: with the first, a window field of 1 is 8 bytes; with the second it would be 2.
    let mut s = Scene::builder().window_scale(1).listening();
    let syn = with_options(&s.packet(&seg().syn().seq(0)), &[3, 3, 3, 3, 3, 1]);
    s.inject_packet(&syn);
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1).window(1));
    assert!(s.accept());
    s.send([7; 100]);
    s.expect(seg().seq(1).ack(1).len(8));
    covers!("OPT-6", "T-MAL-8");
}

#[test]
fn opt_7_everything_fits_40_bytes_and_sack_makes_room() {
    let mut s = Scene::builder().timestamps(true).sack(true).window_scale(7).established();
    for hole in 0..6u32 {
        s.inject(seg().seq(101 + 200 * hole).ack(1).len(100));
    }
    let last = sent(&mut s).pop().expect("duplicate ACKs");
    let view = last.segment().expect("a segment");
    let header_len = view.tcp.header_len();
    assert!(header_len <= 60 && header_len.is_multiple_of(4), "{header_len}");
    assert!(view.tcp.options.timestamps.is_some());
    assert_eq!(view.tcp.options.sack.len(), 3, "three blocks beside timestamps");
    covers!("OPT-7", "SACK-4");
}

/// A conversation with all that there is: text both ways, holes, losses, FINs.
fn conversation(timestamps: bool) -> Vec<carrick_sim::Packet> {
    let mut s = Scene::builder().timestamps(timestamps).sack(true).window_scale(7).connecting();
    let mut all = Vec::new();
    s.inject(seg().syn().seq(0).ack(1));
    s.send([7; 5000]);
    s.inject(seg().seq(101).ack(1).len(100));
    s.inject(seg().seq(1).ack(1001).len(100));
    s.advance(5.secs());
    s.inject(seg().seq(201).ack(5001));
    s.inject(seg().rst().seq(205));
    s.inject(seg().syn().seq(0));
    s.finish();
    s.inject(seg().fin().seq(201).ack(5002));
    all.append(&mut sent(&mut s));
    assert_eq!(s.state(), TcpState::TimeWait);
    let mut s = Scene::builder().timestamps(timestamps).established();
    s.abort();
    all.append(&mut sent(&mut s));
    all
}

#[test]
fn must_65_handshake_options_are_on_syns_alone_and_the_rest_is_zero() {
    for timestamps in [false, true] {
        for packet in conversation(timestamps) {
            let view = packet.segment().expect("a segment");
            let (tcp, options) = (&view.tcp, &view.tcp.options);
            assert!(!tcp.flags.contains(TcpFlags::SYN));
            assert_eq!((options.mss, options.window_scale, options.sack_permitted), (None, None, false));
            padding_is_zero(&packet.bytes);
        }
    }
    for builder in [Scene::builder(), Scene::builder().v6()] {
        let mut s = builder.build();
        s.connect();
        padding_is_zero(&s.take().expect("a SYN").bytes);
    }
    covers!("MUST-65", "MUST-68", "MUST-69", "WS-1", "SP-1");
}

/// Every option but END and NOP has a length; behind END all is zero (RFC 9293 §3.1).
fn padding_is_zero(packet: &[u8]) {
    let tcp = &packet[ip_header_len(packet)..];
    let mut options = &tcp[20..usize::from(tcp[12] >> 4) * 4];
    while let [kind, rest @ ..] = options {
        options = match kind {
            0 => {
                assert!(rest.iter().all(|byte| *byte == 0), "{rest:?}");
                &[]
            }
            1 => rest,
            _ => options.get(usize::from(rest[0])..).expect("a length inside the header"),
        };
    }
}

#[test]
fn sp_2_without_permission_no_block_is_sent() {
    for (ours, theirs) in [(true, false), (false, true), (false, false)] {
        let mut s = Scene::builder().sack(theirs).config(|config| config.sack = ours).established();
        s.inject(seg().seq(101).ack(1).len(100));
        s.expect(seg().seq(1).ack(1).sack(&[]));
    }
    covers!("SP-2");
}

#[test]
fn must_3_a_wrong_checksum_has_no_effect_at_all() {
    for v6 in [false, true] {
        let builder = if v6 { Scene::builder().v6() } else { Scene::builder() };
        let mut s = builder.established();
        let packet = s.packet(&seg().fin().seq(1).ack(1).len(10));
        let ip_len = ip_header_len(&packet.bytes);
        let before = digest(&s);
        // IPv4 checks its addresses by a sum of its own, so those bits are flipped in IPv6 alone.
        let from = if v6 { 8 } else { ip_len };
        for bit in from * 8..packet.bytes.len() * 8 {
            let mut bytes = packet.bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            s.inject_bytes(bytes);
            s.expect_nothing();
            assert_eq!(digest(&s), before, "bit {bit}");
        }
        assert!(counters(&s).discarded(DiscardReason::BadChecksum) > 200);
        s.inject_packet(&packet);
        s.expect(seg().seq(1).ack(12));
    }
    covers!("MUST-3");
}
