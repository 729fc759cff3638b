//! What TCP counts, it counts in bytes and in segments on the wire: never in frames.
//!
//! Segments of 1,000 bytes and an initial window of ten: segment n begins at 1000 n + 1.

use carrick_core::EcnPolicy;
use carrick_covers::covers;
use carrick_sim::{Builder, Offload, Scene, Seg, Span, pattern, seg};
use carrick_wire::Ecn;

fn builder(offload: Offload) -> Builder {
    Scene::builder().mss(1000).offload(offload)
}

const fn start(segment: u32) -> u32 {
    1000 * segment + 1
}

/// Segments of ours in one frame.
fn out(segments: std::ops::Range<u32>) -> Seg {
    let len = segments.len();
    seg().seq(start(segments.start)).ack(1).len(1000 * len).segment_size(if len > 1 { 1000 } else { 0 })
}

/// Segments of the peer's in one frame.
fn come(segments: std::ops::Range<u32>) -> Seg {
    seg().seq(start(segments.start)).ack(1).len(1000 * segments.len()).segment_size(1000)
}

fn ack(segment: u32) -> Seg {
    seg().seq(1).ack(start(segment))
}

/// Seen: the last segment of a super-segment was timed, so that a flight in one frame gave its first sample when all of
/// it was acknowledged, and a flight in ten packets with the first.
#[test]
fn rto_8_what_is_timed_is_a_segment() {
    for offload in [Offload::Whole, Offload::Cut] {
        let mut s = builder(offload).config(|config| config.min_rto = 1.ms()).connecting();
        s.advance(100.ms());
        s.inject(seg().syn().seq(0).ack(1));
        s.send(pattern(0, 10_000));
        while s.take().is_some() {}
        s.advance(100.ms());
        s.inject(ack(2));
        // The second sample, one of five in a round trip: RTTVAR is nineteen twentieths of 50 ms.
        assert_eq!(s.advance_to_next_timer(), Some(290.ms()), "{offload:?}");
    }
    covers!("RTO-8");
}

/// Seen: a frame that begins with text sent again went on with text that was new, which then was neither ECN-capable nor
/// timed, and carried no CWR.
#[test]
fn new_text_shares_no_frame_with_what_is_sent_again() {
    let mut s = builder(Offload::Whole).config(|config| config.ecn = EcnPolicy::Ask).build();
    s.connect();
    s.expect(seg().syn().ece().cwr().seq(0));
    s.inject(seg().syn().ece().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.send(pattern(0, 3000));
    s.expect(out(0..3).ecn(Ecn::Ect0));
    s.advance_to_next_timer();
    s.expect(out(0..1).ecn(Ecn::NotEct));
    s.send(pattern(3000, 5000));
    s.expect_nothing();
    s.inject(ack(2));
    // New text first (RFC 5682), then what is lost.
    s.expect(out(3..5).cwr().ecn(Ecn::Ect0));
    s.expect_nothing();
    s.inject(ack(2));
    s.advance_to_next_timer();
    s.expect(out(2..3).ecn(Ecn::NotEct));
    s.expect_nothing();
}

/// Seen: CWR, which belongs to the first segment of a frame, ended the echo although that segment was an old duplicate,
/// sent before the mark was echoed.
#[test]
fn cwr_of_a_segment_that_is_old_ends_no_echo() {
    let mut s = builder(Offload::Whole).config(|config| config.ecn = EcnPolicy::Ask).build();
    s.connect();
    s.expect(seg().syn().ece().cwr().seq(0));
    s.inject(seg().syn().ece().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.inject(seg().seq(1).ack(1).len(1000).cwr().ecn(Ecn::Ce));
    s.expect(seg().ece().seq(1).ack(1001));
    s.inject(come(0..3).cwr().ecn(Ecn::Ect0));
    s.expect(seg().ece().seq(1).ack(3001));
    s.inject(come(3..5).cwr().ecn(Ecn::Ect0));
    s.expect(seg().seq(1).ack(5001));
    s.expect_nothing();
}

/// Seen: the timestamp of a frame was echoed because its head was old, in place of that of the earliest text that is not
/// acknowledged (RFC 7323 §4.3).
#[test]
fn ack_6_the_timestamp_of_an_old_head_is_not_echoed() {
    for offload in [Offload::Whole, Offload::Cut] {
        let mut s = builder(offload).timestamps(true).established();
        let again = come(0..2).ts(2001, 0);
        let again = if offload == Offload::Whole {
            vec![again]
        } else {
            vec![come(0..1).ts(2001, 0), come(1..2).ts(2001, 0)]
        };
        s.inject_batch([come(0..1).ts(2000, 0)].into_iter().chain(again));
        let ack = s.take().expect("an ACK");
        let tcp = ack.segment().expect("TCP").tcp;
        assert_eq!(tcp.options.timestamps.map(|timestamps| timestamps.ecr), Some(2000), "{offload:?}");
    }
    covers!("ACK-6");
}

/// Seen: one duplicate for a super-segment behind a hole, and the peer waited for its timer.
#[test]
fn ack_3_without_sack_each_segment_behind_a_hole_draws_a_duplicate() {
    let mut s = builder(Offload::Whole).established();
    s.inject(come(1..6));
    for _ in 1..6 {
        s.expect(seg().seq(1).ack(1));
    }
    s.expect_nothing();
    // The hole is filled: one ACK, whatever was owed.
    s.inject_batch([come(6..9), come(0..1)]);
    s.expect(seg().seq(1).ack(start(9)));
    s.expect_nothing();
    // With SACK one tells all.
    let mut s = builder(Offload::Whole).sack(true).established();
    s.inject(come(1..6));
    s.expect(seg().seq(1).ack(1).sack(&[(start(1), start(6))]));
    s.expect_nothing();
    covers!("ACK-3");
}

/// A device may say anything of the size.
#[test]
fn duplicates_for_one_frame_are_bounded() {
    let mut s = builder(Offload::Whole).established();
    s.inject(seg().seq(1001).ack(1).len(60_000).segment_size(1));
    let mut acks = 0;
    while s.take().is_some() {
        acks += 1;
    }
    assert_eq!(acks, 255);
    s.inject(seg().seq(1).ack(1).len(1000).segment_size(0));
    s.expect(seg().seq(1).ack(61_001));
    s.expect_nothing();
}

/// The first two bytes of a super-segment may have come before.
#[test]
fn text_that_comes_again_in_a_super_segment_is_trouble_and_no_progress() {
    let mut s = builder(Offload::Whole).sack(true).established();
    for n in 0..17 {
        s.inject(come(n..n + 1));
    }
    while s.take().is_some() {}
    s.read();
    while s.take().is_some() {}
    s.inject(come(16..19));
    s.expect(seg().seq(1).ack(start(19)).sack(&[(start(16), start(17))]));
    // Beginning with the next, as many are acknowledged at once as after any loss.
    for n in 19..35 {
        s.inject(come(n..n + 1));
        s.expect(seg().seq(1).ack(start(n + 1)));
    }
    s.inject(come(35..36));
    s.expect_nothing();
}

#[test]
fn fr_2_a_super_segment_with_holes_is_repaired_hole_by_hole() {
    let mut s = builder(Offload::Whole).sack(true).established();
    s.send(pattern(0, 10_000));
    s.expect(out(0..10));
    s.inject(ack(0).sack(&[(start(5), start(10)), (start(1), start(4))]));
    s.expect(out(0..1));
    s.expect(seg().seq(start(4)).ack(1).data(pattern(4000, 1000)).segment_size(0));
    s.expect_nothing();
    s.inject(ack(4).sack(&[(start(5), start(10))]));
    s.expect_nothing();
    s.inject(ack(10));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), None);
    covers!("FR-2");
}

#[test]
fn lt_1_duplicates_release_a_segment_each_also_in_one_frame() {
    let mut s = builder(Offload::Whole).established();
    s.send(pattern(0, 30_000));
    s.expect(out(0..10));
    s.inject_batch([ack(0), ack(0)]);
    s.expect(out(10..12));
    s.expect_nothing();
    s.inject(ack(0));
    s.expect(out(0..1));
    s.expect_nothing();
    covers!("LT-1");
}

#[test]
fn one_ack_for_a_super_segment_opens_the_window_as_many_would() {
    let flight = |offload, acks: &[u32]| {
        let mut s = builder(offload).window_scale(4).established();
        s.send(pattern(0, 60_000));
        while s.take().is_some() {}
        for n in acks {
            s.inject(ack(*n));
        }
        let [una, nxt, ..] = s.connection().and_then(|c| c.sequence_numbers()).expect("established");
        nxt.distance_from(una)
    };
    for offload in [Offload::Whole, Offload::Cut] {
        for acks in [&[10][..], &[2, 4, 6, 8, 10], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[9, 10]] {
            assert_eq!(flight(offload, acks), 20_000, "{offload:?}, {acks:?}");
        }
        assert_eq!(flight(offload, &[4]), 14_000);
    }
}

#[test]
fn ack_1_two_segments_in_one_frame_are_two() {
    for (frame, at_once) in [(0..1, false), (0..2, true), (0..44, true)] {
        let mut s = builder(Offload::Whole).established();
        // The first sixteen are acknowledged at once in any case.
        for n in 0..16 {
            s.inject(seg().seq(n + 1).ack(1).len(1));
            s.expect(seg().seq(1).ack(n + 2));
        }
        s.read();
        while s.take().is_some() {}
        let len = 1000 * frame.len();
        s.inject(seg().seq(17).ack(1).len(len).segment_size(1000));
        if at_once {
            s.expect(seg().seq(1).ack(17 + len as u32));
        }
        s.expect_nothing();
    }
    covers!("ACK-1");
}
