//! Urgent text, in line with its mark (RFC 9293 §3.8.5).

use carrick_covers::covers;
use carrick_sim::{LinkConfig, Offload, Pair, Plan, Scene, Span, World, seg};
use carrick_wire::TcpFlags;

#[test]
fn must_62_the_pointer_names_the_byte_after_the_last_urgent_one() {
    let mut s = Scene::established();
    s.send([0; 999]);
    s.expect(seg().seq(1).ack(1).len(999));
    s.inject(seg().seq(1).ack(1000));
    s.send_urgent(b"int");
    s.expect(seg().urg(3).psh().seq(1000).ack(1).data(b"int"));
    // It does not wait for Nagle's rule, and neither does what is written behind it.
    s.send(b"more");
    s.expect(seg().seq(1003).ack(1).data(b"more"));
    // Sent again it is marked again; acknowledged it is not urgent any more.
    s.advance_to_next_timer();
    s.expect(seg().urg(3).seq(1000).ack(1).data(b"intmore"));
    s.inject(seg().seq(1).ack(1007));
    s.send([0; 1460]);
    s.expect(seg().seq(1007).ack(1).len(1460));
    covers!("MUST-62", "MUST-30");
}

#[test]
fn must_31_urgent_text_may_be_long() {
    for offload in [Offload::Cut, Offload::Whole] {
        let mut s = Scene::builder().offload(offload).established();
        s.send_urgent(vec![7; 100_000]);
        let (mut next, mut segments) = (1u32, 0);
        while next < 100_001 {
            let mut got = 0;
            while let Some(packet) = s.take() {
                let segment = packet.segment().expect("a segment");
                let ahead = (100_001 - next).min(65_535);
                assert!(segment.has(TcpFlags::URG));
                assert_eq!(segment.tcp.seq, carrick_wire::SeqNum::new(1_000_000) + next);
                assert_eq!(u32::from(segment.tcp.urgent), ahead);
                assert!(segment.payload.len() <= 1460, "each segment has its own pointer");
                next += segment.payload.len() as u32;
                got += segment.payload.len();
                segments += 1;
            }
            assert!(got > 0, "stalled at {next}");
            s.inject(seg().seq(1).ack(next));
        }
        assert_eq!(segments, 100_000usize.div_ceil(1460));
        // And the rest is as ever.
        s.send(vec![8; 10_000]);
        let packet = s.take().unwrap();
        assert!(!packet.segment().unwrap().has(TcpFlags::URG));
        assert_eq!(packet.segment_size.is_some(), offload == Offload::Whole);
    }
    covers!("MUST-31");
}

#[test]
fn the_pointer_is_told_through_a_closed_window() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send_urgent(b"stop");
    s.expect(seg().urg(4).seq(1).ack(1));
    s.expect_nothing();
    // More urgent text moves it.
    s.send_urgent(b"now");
    s.expect(seg().urg(7).seq(1).ack(1));
    s.expect_nothing();
    s.advance_to_next_timer();
    s.expect(seg().urg(7).seq(1).ack(1).data(b"s"));
    s.inject(seg().seq(1).ack(2).window(100));
    s.expect(seg().urg(6).seq(2).ack(1).data(b"topnow"));
}

#[test]
fn urgent_text_written_before_the_handshake_is_marked_after_it() {
    let mut s = Scene::connecting();
    s.send(b"hello ");
    s.send_urgent(b"you");
    s.expect_nothing();
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().urg(9).seq(1).ack(1).data(b"hello you"));
}

#[test]
fn acknowledgments_before_the_mark_carry_it() {
    let mut s = Scene::builder().window(1).established();
    s.send_urgent([9; 50]);
    let packet = s.take().expect("the pointer");
    assert!(packet.segment().unwrap().has(TcpFlags::URG));
    while s.take().is_some() {}
    // Two full segments are acknowledged without delay.
    s.inject(seg().seq(1).ack(1).len(1460).window(0));
    s.inject(seg().seq(1461).ack(1).len(1460).window(0));
    let packet = s.take().expect("an ACK");
    let segment = packet.segment().unwrap();
    let ahead = 51 - (segment.tcp.seq - carrick_wire::SeqNum::new(1_000_000));
    assert!(segment.has(TcpFlags::URG) && i32::from(segment.tcp.urgent) == ahead);
}

/// The stack itself never marks anything, and says on the call that new programs had better not.
#[test]
fn shld_13_urgent_text_is_discouraged_and_nothing_of_ours_sends_it() {
    let source = include_str!("../../src/connection/text.rs");
    let docs = source.split("pub fn send_urgent").next().unwrap().rsplit("\n\n").next().unwrap();
    assert!(docs.contains("/// Discouraged:"), "{docs}");

    let mut s = Scene::established();
    for i in 0..20 {
        s.send([1; 700]);
        s.advance_to_next_timer();
        s.inject(seg().seq(1 + i).ack(701 + 700 * i).data(b"x"));
        while let Some(packet) = s.take() {
            assert!(!packet.segment().unwrap().has(TcpFlags::URG));
        }
    }
    let world = World::new(3).link(&LinkConfig { loss: 50_000, ..LinkConfig::delayed(5.ms()) });
    let report = Pair::new(world.talk(Plan::patient(50_000), Plan::patient(50_000))).run().unwrap();
    assert_eq!(report.complete(), 1);
    covers!("SHLD-13");
}
