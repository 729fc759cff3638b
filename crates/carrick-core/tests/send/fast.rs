//! Fast retransmit, NewReno recovery and limited transmit (RFC 5681 §3.2, RFC 6582, RFC 3042).
//!
//! Segments of 1,000 bytes, an initial window of ten and half of it after a loss, so that numbers can be counted on fingers: segment n
//! begins at 1000 n + 1.

use carrick_core::ConnectionConfig;
use carrick_core::congestion::NewReno;
use carrick_covers::covers;
use carrick_sim::{Builder, LinkConfig, Offload, Pair, Plan, Scene, Span, World, pattern, seg};

const SMSS: usize = 1000;

fn builder() -> Builder {
    Scene::builder().mss(1000).config(|config| config.congestion = Some(Box::new(NewReno::default())))
}

const fn start(segment: u32) -> u32 {
    1000 * segment + 1
}

/// Ten segments are out, and `more` bytes are written beyond.
fn ten_out(builder: Builder, more: usize) -> Scene {
    let mut s = builder.established();
    s.send(pattern(0, 10 * SMSS + more));
    expect_segments(&mut s, 0..10);
    s.expect_nothing();
    s
}

#[track_caller]
fn expect_segments(s: &mut Scene, segments: std::ops::Range<u32>) {
    for n in segments {
        s.expect(seg().seq(start(n)).ack(1).len(SMSS));
    }
}

/// A duplicate ACK for the start of a segment.
#[track_caller]
fn duplicate(s: &mut Scene, segment: u32) {
    s.inject(seg().seq(1).ack(start(segment)));
}

#[test]
fn fr_2_to_6_the_third_duplicate_repairs_and_the_later_ones_keep_data_flowing() {
    let mut s = ten_out(builder(), 30 * SMSS);
    // Limited transmit: one new segment for each of the first two.
    duplicate(&mut s, 0);
    expect_segments(&mut s, 10..11);
    duplicate(&mut s, 0);
    expect_segments(&mut s, 11..12);
    s.expect_nothing();
    duplicate(&mut s, 0);
    s.expect(seg().seq(1).ack(1).data(pattern(0, SMSS)));
    s.expect_nothing();
    // ssthresh is 5 segments, half of the ten that are not limited transmit's: a segment for each two that arrive, of which
    // the repetition was the first.
    duplicate(&mut s, 0);
    s.expect_nothing();
    duplicate(&mut s, 0);
    s.expect_nothing();
    duplicate(&mut s, 0);
    expect_segments(&mut s, 12..13);
    // Until five are in flight: then one for each.
    duplicate(&mut s, 0);
    s.expect_nothing();
    duplicate(&mut s, 0);
    s.expect_nothing();
    for new in 13..15 {
        duplicate(&mut s, 0);
        expect_segments(&mut s, new..new + 1);
    }
    // Ten were in flight: more duplicates are not believed.
    duplicate(&mut s, 0);
    s.expect_nothing();
    // Everything up to `recover` is acknowledged: cwnd = min(ssthresh, 3 + 1), and three are out.
    s.inject(seg().seq(1).ack(start(12)));
    expect_segments(&mut s, 15..16);
    s.expect_nothing();
    covers!("FR-2", "FR-3", "FR-6", "LT-1");
}

#[test]
fn fr_1_only_the_full_set_of_conditions_makes_a_duplicate() {
    type Vary = fn(carrick_sim::Seg, u16) -> carrick_sim::Seg;
    let changes: [(&str, Vary, bool); 5] = [
        ("the full set", |seg, _| seg, true),
        ("text", |seg, n| seg.len(usize::from(n)), false),
        ("another window", |seg, n| seg.window(60_000 + n), false),
        ("FIN", |seg, _| seg.fin(), false),
        ("progress", |seg, n| seg.ack(1 + u32::from(n)), false),
    ];
    for (what, vary, counts) in changes {
        let mut s = ten_out(builder(), 0);
        for n in 1..=5 {
            let packet = s.packet(&vary(seg().seq(1).ack(1), n));
            s.inject_packet(&packet);
        }
        let mut again = 0;
        while let Some(packet) = s.take() {
            let segment = packet.segment().expect("a segment");
            again += usize::from(!segment.payload.is_empty());
        }
        assert_eq!(again, usize::from(counts), "{what}");
    }
    // Nothing outstanding.
    let mut s = builder().established();
    for _ in 0..5 {
        duplicate(&mut s, 0);
    }
    s.send([1; 500]);
    s.expect(seg().seq(1).ack(1).len(500));
    duplicate(&mut s, 0);
    duplicate(&mut s, 0);
    s.expect_nothing();
    covers!("FR-1");
}

/// Probes of a closed window are answered with what looks like duplicates, and nothing is lost.
#[test]
fn answers_to_probes_are_no_duplicates() {
    let mut s = builder().established();
    s.send([1; 20_000]);
    while s.take().is_some() {}
    s.inject(seg().seq(1).ack(5001).window(0));
    for _ in 0..6 {
        s.advance_to_next_timer();
        s.expect(seg().seq(5001).ack(1).len(1));
        s.inject(seg().seq(1).ack(5001).window(0));
        s.expect_nothing();
    }
    // The window opens, and all of cwnd is still there: ten segments and those acknowledged meanwhile.
    s.inject(seg().seq(1).ack(5001).window(65_535));
    expect_segments(&mut s, 5..20);
    s.expect_nothing();
}

#[test]
fn fr_5_forged_duplicates_inflate_by_no_more_than_was_outstanding() {
    let mut s = ten_out(builder(), 400 * SMSS);
    for _ in 0..10_000 {
        duplicate(&mut s, 0);
    }
    let mut bytes = 0;
    while let Some(packet) = s.take() {
        bytes += packet.segment().unwrap().payload.len();
    }
    // Two by limited transmit, the repetition, and half of the seven that can have arrived besides.
    assert_eq!(bytes, (2 + 1 + 3) * SMSS);
}

#[test]
fn fr_8_and_12_after_a_timeout_duplicates_mean_nothing_until_it_is_repaired() {
    let mut s = builder().established();
    s.send([1; 5000]);
    expect_segments(&mut s, 0..5);
    s.advance_to_next_timer();
    expect_segments(&mut s, 0..1);
    for _ in 0..5 {
        duplicate(&mut s, 0);
    }
    s.expect_nothing();
    s.inject(seg().seq(1).ack(start(1)));
    expect_segments(&mut s, 1..3);
    for _ in 0..5 {
        duplicate(&mut s, 1);
    }
    s.expect_nothing();
    // All that was sent before the timeout is acknowledged, and not a byte more.
    s.inject(seg().seq(1).ack(start(5)));
    s.send([2; 15_000]);
    expect_segments(&mut s, 5..7);
    for _ in 0..5 {
        duplicate(&mut s, 5);
    }
    s.expect_nothing();
    // Now it is more.
    s.inject(seg().seq(1).ack(start(6)));
    expect_segments(&mut s, 7..9);
    duplicate(&mut s, 6);
    expect_segments(&mut s, 9..10);
    duplicate(&mut s, 6);
    expect_segments(&mut s, 10..11);
    duplicate(&mut s, 6);
    expect_segments(&mut s, 6..7);
    covers!("FR-8", "FR-12");
}

#[test]
fn fr_9_a_full_ack_with_nothing_in_flight_leaves_two_segments() {
    let mut s = ten_out(builder(), 0);
    for _ in 0..9 {
        duplicate(&mut s, 0);
    }
    expect_segments(&mut s, 0..1);
    s.inject(seg().seq(1).ack(start(10)));
    s.send([1; 20_000]);
    expect_segments(&mut s, 10..12);
    s.expect_nothing();
    covers!("FR-9");
}

#[test]
fn fr_10_two_losses_are_repaired_in_two_round_trips_and_cost_one_reduction() {
    let mut s = ten_out(builder(), 0);
    // Segments 0 and 4 are lost.
    for _ in 0..3 {
        duplicate(&mut s, 0);
    }
    expect_segments(&mut s, 0..1);
    for _ in 0..5 {
        duplicate(&mut s, 0);
    }
    s.expect_nothing();
    s.inject(seg().seq(1).ack(start(4)));
    expect_segments(&mut s, 4..5);
    s.expect_nothing();
    s.inject(seg().seq(1).ack(start(10)));
    s.expect_nothing();
    // ssthresh is 5: slow start from 2 to 5, then a segment for each round trip.
    s.send([1; 60_000]);
    let mut next = 10;
    for window in [2, 4, 5, 6, 7] {
        expect_segments(&mut s, next..next + window);
        s.expect_nothing();
        next += window;
        s.inject(seg().seq(1).ack(start(next)));
    }
    covers!("FR-10");
}

#[test]
fn fr_11_only_the_first_partial_ack_restarts_the_timer() {
    let mut s = ten_out(builder().config(|c: &mut ConnectionConfig| c.min_rto = 1.secs()), 0);
    s.advance(100.ms());
    for _ in 0..3 {
        duplicate(&mut s, 0);
    }
    expect_segments(&mut s, 0..1);
    s.advance(300.ms());
    s.inject(seg().seq(1).ack(start(2)));
    expect_segments(&mut s, 2..3);
    s.advance(300.ms());
    s.inject(seg().seq(1).ack(start(4)));
    expect_segments(&mut s, 4..5);
    s.advance(300.ms());
    s.inject(seg().seq(1).ack(start(6)));
    expect_segments(&mut s, 6..7);
    // A second and a round trip, which took no time, after the first partial ACK.
    assert_eq!(s.advance_to_next_timer(), Some(400_001.us()));
    expect_segments(&mut s, 6..7);
    s.expect_nothing();
    covers!("FR-11");
}

#[test]
fn the_timer_counts_from_the_fast_retransmission() {
    let mut s = ten_out(builder().config(|c: &mut ConnectionConfig| c.min_rto = 1.secs()), 0);
    s.advance(900.ms());
    for _ in 0..3 {
        duplicate(&mut s, 0);
    }
    expect_segments(&mut s, 0..1);
    // RTO-18: not 100 ms after it has left.
    assert_eq!(s.advance_to_next_timer(), Some(1_000_001.us()));
    expect_segments(&mut s, 0..1);
    covers!("SACK-19");
}

#[test]
fn fr_13_a_round_trip_of_recovery_sends_at_most_half_of_what_was_out() {
    let mut s = ten_out(builder(), 100 * SMSS);
    duplicate(&mut s, 0);
    duplicate(&mut s, 0);
    expect_segments(&mut s, 10..12);
    // Segments 0, 3 and 6 are lost: a round trip for each, in which all else arrives.
    let mut expected = 9 - 2;
    for (hole, next) in [(0, 3), (3, 6), (6, 12)] {
        let mut sent = 0;
        for _ in 0..expected {
            duplicate(&mut s, hole);
            while let Some(packet) = s.take() {
                sent += packet.segment().unwrap().payload.len();
            }
        }
        if hole > 0 {
            // The repetition left with the partial ACK.
            sent += SMSS;
        }
        assert!(sent > 0 && sent <= 5 * SMSS, "{sent} bytes while {hole} was missing");
        s.inject(seg().seq(1).ack(start(next)));
        // The new segments of one round trip are the duplicates of the next.
        expected = sent / SMSS - 1;
        if next < 12 {
            expect_segments(&mut s, next..next + 1);
        }
        while let Some(packet) = s.take() {
            expected += packet.segment().unwrap().payload.len() / SMSS;
        }
    }
    covers!("FR-13");
}

#[test]
fn fr_14_a_lost_repetition_lowers_the_window_again() {
    let mut s = ten_out(builder(), 0);
    for _ in 0..9 {
        duplicate(&mut s, 0);
    }
    expect_segments(&mut s, 0..1);
    s.advance_to_next_timer();
    expect_segments(&mut s, 0..1);
    s.inject(seg().seq(1).ack(start(10)));
    s.send([1; 60_000]);
    // ssthresh went from 5 segments to 2.5: slow start ends there.
    let mut next = 10;
    for window in [2, 2, 3, 4] {
        expect_segments(&mut s, next..next + window);
        s.expect_nothing();
        next += window;
        s.inject(seg().seq(1).ack(start(next)));
    }
    covers!("FR-14");
}

#[test]
fn fr_14_losses_in_two_windows_lower_it_twice() {
    let mut s = ten_out(builder(), 0);
    for _ in 0..3 {
        duplicate(&mut s, 0);
    }
    expect_segments(&mut s, 0..1);
    s.inject(seg().seq(1).ack(start(10)));
    s.send([1; 60_000]);
    let mut next = 10;
    for window in [2, 4] {
        expect_segments(&mut s, next..next + window);
        next += window;
        s.inject(seg().seq(1).ack(start(next)));
    }
    // Five are out (ssthresh), the first is lost.
    expect_segments(&mut s, 16..21);
    for new in [21, 22] {
        duplicate(&mut s, 16);
        expect_segments(&mut s, new..new + 1);
    }
    duplicate(&mut s, 16);
    expect_segments(&mut s, 16..17);
    s.inject(seg().seq(1).ack(start(23)));
    // Nothing in flight: two segments, and ssthresh of 2.5 ends slow start there.
    let mut next = 23;
    for window in [2, 2, 3] {
        expect_segments(&mut s, next..next + window);
        s.expect_nothing();
        next += window;
        s.inject(seg().seq(1).ack(start(next)));
    }
    covers!("FR-14");
}

#[test]
fn lt_1_a_small_window_is_repaired_without_a_timeout() {
    let mut s = builder().established();
    s.send([1; 3000]);
    expect_segments(&mut s, 0..3);
    s.advance_to_next_timer();
    expect_segments(&mut s, 0..1);
    s.inject(seg().seq(1).ack(start(3)));
    // cwnd is 2 segments now, and so is ssthresh.
    s.send([2; 30_000]);
    expect_segments(&mut s, 3..5);
    s.inject(seg().seq(1).ack(start(4)));
    expect_segments(&mut s, 5..6);
    s.expect_nothing();
    // Segment 4 is lost; segment 5 gives the only duplicate, but for limited transmit.
    duplicate(&mut s, 4);
    expect_segments(&mut s, 6..7);
    duplicate(&mut s, 4);
    expect_segments(&mut s, 7..8);
    s.expect_nothing();
    duplicate(&mut s, 4);
    expect_segments(&mut s, 4..5);
    s.expect_nothing();
    covers!("LT-1");
}

#[test]
fn lt_2_limited_transmit_leaves_the_window_as_it_is() {
    for duplicates in 0..=2 {
        let mut s = ten_out(builder(), 200 * SMSS);
        for _ in 0..duplicates {
            duplicate(&mut s, 0);
        }
        expect_segments(&mut s, 10..10 + duplicates);
        // It was reordering. Ten segments are acknowledged, and the window is twenty.
        s.inject(seg().seq(1).ack(start(10)));
        expect_segments(&mut s, 10 + duplicates..30);
        s.expect_nothing();
    }
    covers!("LT-2");
}

#[test]
fn limited_transmit_keeps_to_the_peers_window() {
    let mut s = ten_out(builder().window(10_000), 20 * SMSS);
    duplicate(&mut s, 0);
    duplicate(&mut s, 0);
    s.expect_nothing();
}

#[test]
fn lt_3_with_sack_only_news_counts() {
    let mut s = ten_out(builder().sack(true), 30 * SMSS);
    for _ in 0..20 {
        duplicate(&mut s, 0);
    }
    s.expect_nothing();
    // The same block twice is news once.
    for _ in 0..5 {
        s.inject(seg().seq(1).ack(1).sack(&[(1001, 2001)]));
    }
    expect_segments(&mut s, 10..11);
    s.expect_nothing();
    // Blocks outside what is outstanding, and D-SACKs, are no news.
    for blocks in [(1, 1001), (11_001, 12_002), (500, 400), (1501, 1701)] {
        s.inject(seg().seq(1).ack(1).sack(&[blocks]));
    }
    s.expect_nothing();
    s.inject(seg().seq(1).ack(1).sack(&[(1001, 3001)]));
    expect_segments(&mut s, 11..12);
    s.inject(seg().seq(1).ack(1).sack(&[(1001, 4001)]));
    expect_segments(&mut s, 0..1);
    s.expect_nothing();
    covers!("LT-3");
}

#[test]
fn with_sack_a_duplicate_may_carry_text_and_another_window() {
    let mut s = ten_out(builder().sack(true), 0);
    for n in 1..=3u32 {
        s.inject(seg().seq(n).ack(1).window(60_000 - n as u16).len(1).sack(&[(1001, 1001 + 1000 * n)]));
    }
    let mut again = 0;
    while let Some(packet) = s.take() {
        again += usize::from(!packet.segment().unwrap().payload.is_empty());
    }
    assert_eq!(again, 1);
    covers!("SACK-21");
}

#[test]
fn one_ack_that_reports_many_segments_is_as_good_as_many() {
    let mut s = ten_out(builder().sack(true), 30 * SMSS);
    // A receiver that merges: all but the first have arrived.
    s.inject(seg().seq(1).ack(1).sack(&[(1001, 10_001)]));
    expect_segments(&mut s, 0..1);
    // ssthresh 5 and nine that have left the network, ten out: four new ones.
    expect_segments(&mut s, 10..14);
    s.expect_nothing();
    s.inject(seg().seq(1).ack(start(10)));
    expect_segments(&mut s, 14..15);
    s.expect_nothing();
}

#[test]
fn with_sack_all_holes_are_repaired_at_once() {
    let mut s = ten_out(builder().sack(true), 0);
    s.inject(seg().seq(1).ack(1).sack(&[(5001, 10_001), (1001, 4001)]));
    expect_segments(&mut s, 0..1);
    expect_segments(&mut s, 4..5);
    s.inject(seg().seq(1).ack(start(4)).sack(&[(5001, 10_001)]));
    s.expect_nothing();
    s.inject(seg().seq(1).ack(start(10)));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), None);
}

/// A super-segment is many segments to recovery, and one of them is repeated, not all.
#[test]
fn a_super_segment_is_repaired_segment_by_segment() {
    let mut s = builder().offload(Offload::Whole).established();
    s.send(pattern(0, 10_000));
    s.expect(seg().seq(1).ack(1).len(10_000).segment_size(1000));
    for _ in 0..3 {
        duplicate(&mut s, 0);
    }
    s.expect(seg().seq(1).ack(1).data(pattern(0, 1000)).segment_size(0));
    s.expect_nothing();
    // One ACK for what is left of it.
    s.inject(seg().seq(1).ack(10_001));
    s.send([1; 20_000]);
    s.expect(seg().seq(10_001).ack(1).len(2000).segment_size(1000));
    s.expect_nothing();
}

#[test]
fn a_lost_fin_is_repaired_like_text() {
    let mut s = builder().established();
    s.set_cork(true);
    s.send([1; 3500]);
    s.finish();
    expect_segments(&mut s, 0..3);
    s.expect(seg().fin().seq(3001).ack(1).len(500));
    s.inject(seg().seq(1).ack(start(3)));
    for _ in 0..3 {
        duplicate(&mut s, 3);
    }
    s.expect(seg().fin().seq(3001).ack(1).len(500));
    // Without its text the FIN is taken back by nobody.
    s.inject(seg().seq(1).ack(3501));
    s.expect(seg().fin().seq(3501).ack(1));
    s.inject(seg().seq(1).ack(3502));
    s.expect_nothing();
}

#[test]
fn recovery_holds_no_memory_once_it_is_over() {
    let mut s = ten_out(builder().sack(true), 0);
    s.inject(seg().seq(1).ack(1).sack(&[(1001, 10_001)]));
    let held = s.connection().unwrap().memory();
    s.inject(seg().seq(1).ack(start(10)));
    s.send([1; 10]);
    s.inject(seg().seq(1).ack(start(10) + 10));
    // But for the counts of what was amiss.
    assert!(held > 32);
    assert_eq!(s.connection().unwrap().memory(), 32);
}

/// What it is all for: on a path that loses one packet in a hundred, few losses wait for a timeout.
#[test]
fn transfers_over_a_lossy_path_need_few_timeouts() {
    for sack in [false, true] {
        let link = LinkConfig { loss: 10_000, ..LinkConfig::delayed(20.ms()) };
        let mut world =
            World::new(5).link(&LinkConfig::delayed(20.ms())).talk(Plan::patient(2 << 20), Plan::patient(0));
        world.sides[0].link = link;
        for side in &mut world.sides {
            side.connection.sack = sack;
            side.connection.min_rto = 10.secs();
        }
        let report = Pair::run_twice(&world).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.complete(), 1);
        assert!(report.lost >= 10, "{}", report.lost);
        // The last thing to happen is the end of TIME-WAIT. A timeout for each loss would be ten seconds each.
        let millis = report.finished.as_millis() - 240_000;
        assert!(millis < 2_000 * report.lost, "{millis} ms, {} lost", report.lost);
    }
}
