//! Protection against wrapped sequence numbers (RFC 7323 §5).

use crate::common::*;
use carrick_core::{DiscardReason, TcpState};
use carrick_covers::covers;
use carrick_sim::{Scene, Span, seg};
use std::time::Duration;

/// A connection whose TS.Recent is `recent`.
fn recent(recent: u32) -> Scene {
    let mut s = Scene::builder().timestamps(true).connecting();
    s.inject(seg().syn().seq(0).ack(1).ts(recent, 0));
    s.expect(seg().seq(1).ack(1));
    s
}

/// Whether text with this timestamp is taken.
fn takes(s: &mut Scene, val: u32) -> bool {
    s.inject(seg().seq(1).ack(1).len(1).ts(val, 0));
    assert_eq!(sent(s).len(), 1, "an ACK in any case");
    !s.read().is_empty()
}

#[test]
fn paws_1_an_older_timestamp_draws_an_ack_before_anything_else_is_looked_at() {
    let mut s = recent(5000);
    s.inject(seg().seq(1).ack(1).len(5).ts(4999, 0));
    s.expect(seg().seq(1).ack(1));
    // Outside the window, with an ACK of nothing, with a SYN: it is the same.
    for old in [seg().seq(90_000).ack(1), seg().seq(1).ack(77), seg().syn().seq(1), seg().fin().seq(1).ack(1)]
    {
        s.inject(old.ts(4999, 0));
        s.expect(seg().seq(1).ack(1));
    }
    assert_eq!(counters(&s).discarded(DiscardReason::OldTimestamp), 5);
    assert_eq!((s.state(), s.read().len()), (TcpState::Established, 0));
    covers!("PAWS-1");
}

#[test]
fn paws_2_older_is_meant_on_the_circle() {
    for (recent_val, val, taken) in [
        (5000, 5000, true),
        (5000, 4999, false),
        (5000, 5000 + (1 << 31) - 1, true),
        // Exactly half the circle away is not older: 0 < t - s < 2^31.
        (5000, 5000 + (1 << 31), true),
        (5000, 5001 + (1 << 31), false),
        (u32::MAX, 0, true),
        (u32::MAX, 100, true),
        (0, u32::MAX, false),
        (3, u32::MAX - 3, false),
    ] {
        assert_eq!(takes(&mut recent(recent_val), val), taken, "{val} after {recent_val}");
    }
    covers!("PAWS-2");
}

#[test]
fn paws_3_what_has_been_held_is_not_asked_again() {
    let mut s = recent(5000);
    s.inject(seg().seq(101).ack(1).len(100).ts(5001, 0));
    s.expect(seg().seq(1).ack(1));
    s.inject(seg().seq(1).ack(1).len(100).ts(6000, 0));
    s.expect(seg().seq(1).ack(201));
    assert_eq!(s.read().len(), 200);
    covers!("PAWS-3");
}

/// The peer's clock may have gone anywhere on its circle after so long.
#[test]
fn paws_4_after_24_days_of_silence_any_timestamp_is_taken() {
    const DAY: u64 = 24 * 3600;
    // 24.9 days are more than half the circle of a millisecond's clock.
    for silence in [(24 * DAY + 78_000).secs(), (25 * DAY).secs(), (50 * DAY).secs(), (500 * DAY).secs()] {
        let wrapped = |silence: Duration| 5000u32.wrapping_add(silence.as_millis() as u32);
        let mut s = recent(5000);
        s.advance(silence);
        assert!(takes(&mut s, wrapped(silence)), "after {silence:?}");
        // From here on the test holds again.
        s.inject(seg().seq(2).ack(1).len(1).ts(wrapped(silence).wrapping_sub(1), 0));
        s.expect(seg().seq(1).ack(2));
    }
    // Before that it is dropped.
    for (silence, taken) in [((24 * DAY).secs() - 1.ns(), false), ((24 * DAY).secs(), true)] {
        let mut s = recent(5000);
        s.advance(silence);
        assert_eq!(takes(&mut s, 4999), taken);
    }
    covers!("PAWS-4", "T-SEQ-4");
}

#[test]
fn paws_5_only_what_covers_the_last_ack_renews_the_timestamp() {
    let mut s = recent(5000);
    // Out of order, beyond the window, before it, with a bad ACK: TS.Recent stays, so 5000 goes on being taken.
    for newer in [
        seg().seq(101).ack(1).len(10),
        seg().seq(90_000).ack(1).len(10),
        seg().seq(0).ack(1),
        seg().seq(1).ack(99).len(10),
        seg().seq(1).ack(0u32.wrapping_sub(70_000)).len(10),
    ] {
        s.inject_packet(&s.packet(&newer.ts(50_000, 0)));
        let ack = sent(&mut s).pop().expect("an ACK");
        let echo = ack.segment().and_then(|view| view.tcp.options.timestamps).map(|ts| ts.ecr);
        assert_eq!(echo, Some(5000));
    }
    assert!(takes(&mut s, 5000));
    covers!("PAWS-5", "T-BLD-9");
}

#[test]
fn paws_6_packets_are_never_to_be_fragmented_on_the_way() {
    let mut s = Scene::builder().timestamps(true).listening();
    s.inject(seg().syn().seq(0));
    s.inject(seg().seq(1).ack(1));
    assert!(s.accept());
    s.send([7; 5000]);
    s.inject(seg().seq(9).ack(77).ports(50_000, 99));
    s.finish();
    let packets = sent(&mut s);
    assert!(packets.len() > 5);
    for packet in packets {
        let flags = u16::from_be_bytes([packet.bytes[6], packet.bytes[7]]);
        assert_eq!(flags, 0x4000, "DF alone");
    }
    covers!("PAWS-6");
}

#[test]
fn paws_7_a_flood_of_old_timestamps_is_answered_like_any_challenge() {
    let mut s = recent(5000);
    for _ in 0..1000 {
        s.inject(seg().seq(1).ack(1).len(5).ts(4999, 0));
    }
    assert_eq!(sent(&mut s).len(), 10);
    s.advance(10.secs());
    s.inject(seg().seq(1).ack(1).len(5).ts(4999, 0));
    assert_eq!(sent(&mut s).len(), 1);
    covers!("PAWS-7");
}
