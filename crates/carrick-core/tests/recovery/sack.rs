//! What blocks are believed, and what they are worth (RFC 2018, RFC 2883).

use super::*;

#[test]
fn sack_5_and_6_a_peer_may_drop_what_it_said_to_have() {
    let mut s = out(builder(), 10, 0);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 10)]));
    expect_segments(&mut s, [0]);
    // The repetition is lost too, and with nothing behind it only the timer can tell.
    s.advance_to_next_timer();
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    expect_segments(&mut s, [0]);
    s.expect_nothing();
    // It arrives, and nothing of what was reported is there any more: all of it is sent again, from the bytes kept.
    s.advance(100.ms());
    s.inject(ack(1));
    assert_eq!(info(&s).sacked, 0);
    let mut next = 1;
    while next < 10 {
        let sent = taken_as(&mut s, next);
        assert!(sent > 0, "from {next}: {}", s.transcript());
        next += sent;
        s.advance(100.ms());
        s.inject(ack(next));
    }
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), None);
    covers!("SACK-5", "SACK-6", "T-SND-4");
}

/// So many segments have been sent from that one on, exactly.
fn taken_as(s: &mut Scene, first: u32) -> u32 {
    let mut count = 0;
    while let Some(packet) = s.take() {
        let segment = packet.segment().expect("a segment");
        let at = u64::from(first + count) * 1000;
        assert_eq!(segment.tcp.seq.get().wrapping_sub(1_000_001), at as u32);
        assert_eq!(segment.payload, pattern(at, SMSS));
        count += 1;
    }
    count
}

/// It counted as delivered twice.
#[test]
fn sack_6_what_the_peer_has_dropped_it_does_not_have() {
    let mut s = out(builder(), 10, 0);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 10)]));
    assert_eq!(info(&s).delivered, 9000);
    s.inject(ack(1));
    assert_eq!(info(&s).delivered, 1000);
    s.inject(sack(1, &[(4, 6)]));
    assert_eq!(info(&s).delivered, 3000);
    s.inject(ack(10));
    assert_eq!(info(&s).delivered, 10_000);
    taken(&mut s);
    s.advance(100.ms());
    s.finish();
    s.expect(seg().fin().seq(start(10)).ack(1));
    s.inject(seg().seq(1).ack(start(10) + 1));
    assert_eq!((info(&s).delivered, info(&s).bytes_acknowledged), (10_001, 10_000));
}

/// All but the first reported, and the timer expires before anything else happens: the first is sent, whatever is said of it.
#[test]
fn sack_6_the_timer_repeats_what_stands_first_even_if_it_was_reported() {
    let mut s = out(builder(), 10, 0);
    s.advance(100.ms());
    s.inject(ack(1));
    s.inject(sack(1, &[(2, 4)]));
    // The peer acknowledges as far as the block's beginning and not the block: it has dropped it.
    s.inject(ack(2));
    assert_eq!(info(&s).sacked, 0);
    assert!(taken(&mut s).contains(&2), "{}", s.transcript());
    covers!("SACK-6");
}

#[test]
fn sack_9_an_ack_that_was_overtaken_reports_no_duplicate() {
    // Text came twice, so that it is known to be overtaken: the window is a quarter of the least round trip, or two.
    for (old, waits) in [(sack(0, &[(1, 3)]), 25), (sack(5, &[(1, 2)]), 50)] {
        let mut s = out(builder(), 10, 10);
        s.advance(100.ms());
        // Segment 0 comes after 1 and 2.
        s.inject(sack(0, &[(1, 3)]));
        s.inject(ack(5));
        taken(&mut s);
        s.inject(old);
        s.inject(sack(5, &[(6, 10)]));
        let before = taken(&mut s);
        assert!(!before.contains(&5), "{before:?}");
        s.advance(Duration::from_millis(waits) - Duration::from_nanos(1));
        assert!(!taken(&mut s).contains(&5));
        s.advance(Duration::from_nanos(1));
        assert!(taken(&mut s).contains(&5), "{waits}: {}", s.transcript());
    }
    covers!("SACK-9");
}

#[test]
fn sack_18_a_timeout_ends_a_repair_and_no_other_begins_below_what_was_sent() {
    let mut s = out(builder(), 10, 0);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 4)]));
    expect_segments(&mut s, [0]);
    assert_eq!(info(&s).recovery, RecoveryState::Recovery);
    s.advance_to_next_timer();
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    let threshold = info(&s).slow_start_threshold;
    taken(&mut s);
    s.advance(100.ms());
    for to in 5..10 {
        s.inject(sack(0, &[(1, to)]));
        assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Loss, threshold));
    }
    s.inject(ack(9));
    assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Loss, threshold));
    s.inject(ack(10));
    assert_eq!(info(&s).recovery, RecoveryState::Open);
    covers!("SACK-18");
}

/// Every edge at UNA, at NXT, one less and more, and half the circle away; in every place of four blocks.
#[test]
fn sack_20_blocks_that_cannot_be_true_are_ignored_and_their_neighbours_used() {
    let (una, nxt) = (start(2), start(10));
    let near = |at: u32| [at.wrapping_sub(1), at, at + 1, at.wrapping_add(1 << 31), at.wrapping_sub(1 << 31)];
    let edges: Vec<u32> = [near(0), near(una), near(nxt)].concat();
    let begun = || {
        let mut s = out(builder(), 10, 0);
        s.advance(100.ms());
        s.inject(ack(2));
        s
    };
    for left in &edges {
        for right in &edges {
            let (left, right) = (*left, *right);
            let true_one = (una + 1..nxt).contains(&left) && (left + 1..=nxt).contains(&right);
            if true_one {
                continue;
            }
            for place in 0..4 {
                let mut blocks = vec![(start(5), start(6)), (start(3), start(4)), (start(7), start(8))];
                blocks.insert(place, (left, right));
                // In the first place it may report a duplicate, and does no more than that.
                let mut s = begun();
                s.inject(ack(2).sack(&blocks));
                assert_eq!(info(&s).sacked, 3000, "{left}..{right} in place {place}");
                assert_eq!(info(&s).unacknowledged, 8000);
            }
            let mut s = begun();
            s.inject(ack(2).sack(&[(left, right)]));
            assert_eq!(info(&s).sacked, 0, "{left}..{right}");
            assert_eq!(taken(&mut s), []);
        }
    }
    // A block may reach over our FIN.
    let mut scene = begun();
    scene.finish();
    scene.expect(seg().fin().seq(nxt).ack(1));
    scene.inject(ack(2).sack(&[(start(9), nxt + 1)]));
    assert_eq!(info(&scene).sacked, 1001);
    covers!("SACK-20", "T-SND-1");
}

#[test]
fn sack_1_blocks_are_for_those_who_asked_for_them() {
    for asked in [false, true] {
        let mut s = over(plain().sack(asked), 100.ms());
        for n in 1..4 {
            s.inject(seg().seq(start(2 * n)).ack(1).len(100));
            let blocks = s.take().expect("a duplicate").segment().expect("a segment").tcp.options.sack.len();
            assert_eq!(blocks, if asked { n as usize } else { 0 });
        }
    }
    covers!("SACK-1");
}
