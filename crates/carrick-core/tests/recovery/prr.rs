//! The flight comes down in proportion to what is delivered (RFC 9937).

use super::*;

/// Twenty segments are out: a window of ten, all of it used and acknowledged once.
fn twenty(builder: Builder) -> Scene {
    twenty_of(out(builder, 10, 90))
}

pub(super) fn twenty_of(mut s: Scene) -> Scene {
    s.advance(100.ms());
    s.inject(ack(10));
    // Half of them at once, and the others by their turn.
    let mut next = 10;
    while next < 30 {
        for n in taken(&mut s) {
            assert_eq!(n, next);
            next += 1;
        }
        if next < 30 {
            s.advance_to_next_timer();
        }
    }
    s
}

#[test]
fn prr_1_and_5_seven_of_ten_leave_evenly_as_ten_are_delivered() {
    // Half of twenty: ten of twenty.
    let mut s = twenty(builder());
    s.advance(100.ms());
    s.inject(sack(10, &[(11, 14)]));
    let mut sent = taken(&mut s);
    assert_eq!(sent.first(), Some(&10));
    assert_eq!(info(&s).slow_start_threshold, Some(10_000));
    for to in 15..=30 {
        s.inject(sack(10, &[(11, to)]));
        sent.extend(taken(&mut s));
        // Of what has been delivered the half, in whole segments; and the first repetition.
        let delivered = to - 11;
        let in_flight = info(&s).in_flight;
        if in_flight > 10_000 {
            assert_eq!(sent.len() as u32, (delivered / 2).max(1), "after {delivered}");
        }
        // In flight: twenty, less what has arrived, and what was sent.
        assert_eq!(in_flight, (20 - 1 - delivered) * 1000 + sent.len() as u32 * 1000);
    }
    assert_eq!(info(&s).in_flight / 1000, 10);
    covers!("PRR-1", "PRR-2", "PRR-5", "PRR-9", "PRR-10", "PRR-13");
}

#[test]
fn prr_1_a_mark_comes_down_in_proportion_too() {
    let mut s = out_with_ecn(10, 30);
    s.advance(100.ms());
    let mut sent = 0;
    for n in 1..=7 {
        s.inject(ack(n).ece());
        sent += taken(&mut s).len();
        assert_eq!(sent as u32, n / 2, "{}", s.transcript());
    }
    assert_eq!((info(&s).slow_start_threshold, info(&s).in_flight), (Some(5000), 6000));
    covers!("PRR-1");
}

/// RFC 3168 §6.1.2: one reduction for both.
#[test]
fn prr_1_a_loss_after_a_mark_comes_down_by_the_share_that_the_mark_began() {
    let mut s = twenty_of(out_with_ecn(10, 90));
    s.advance(100.ms());
    let mut sent = 0;
    for n in 11..=18 {
        s.inject(ack(n).ece());
        sent += taken(&mut s).len() as u32;
    }
    assert_eq!((sent, info(&s).slow_start_threshold), (4, Some(10_000)));
    // 18 is lost.
    for to in 20..=30 {
        s.inject(sack(18, &[(19, to)]).ece());
        sent += taken(&mut s).len() as u32;
        let (delivered, in_flight) = (to - 11, info(&s).in_flight);
        if in_flight > 10_000 {
            assert_eq!(sent, delivered / 2, "after {delivered}: {}", s.transcript());
        }
    }
    assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Recovery, Some(10_000)));
}

#[test]
fn prr_2_what_was_reported_before_does_not_count_as_in_flight() {
    let mut s = over(builder(), 100.ms());
    write(&mut s, 0, 60);
    assert_eq!(taken(&mut s).len(), 10);
    s.advance(100.ms());
    // Two reported, and the repair begins with the third and fourth: RecoverFS is twelve less the first two.
    s.inject(sack(0, &[(6, 8)]));
    let limited = taken(&mut s).len() as u32;
    assert_eq!(limited, 2);
    s.inject(sack(0, &[(6, 10)]));
    let sent = taken(&mut s);
    // Lost are six, under way the two new ones: below the threshold of five what was delivered may leave.
    assert_eq!(sent, [0, 1]);
    covers!("PRR-2");
}

#[test]
fn prr_4_an_ack_that_delivers_nothing_sends_nothing_and_the_last_one_ends_it() {
    let mut s = twenty(builder());
    s.advance(100.ms());
    s.inject(sack(10, &[(11, 14)]));
    assert_eq!(taken(&mut s), [10]);
    for n in 0..10 {
        s.inject(sack(10, &[(11, 14)]).window(60_000 + n));
    }
    s.expect_nothing();
    s.inject(ack(30));
    assert_eq!(info(&s).recovery, RecoveryState::Open);
    covers!("PRR-4");
}

#[test]
fn prr_6_and_7_after_a_large_loss_one_more_for_each_ack_that_tells_of_no_other() {
    let mut s = twenty(builder());
    s.advance(100.ms());
    // Sixteen of twenty are lost. Below the threshold what was delivered may leave: four.
    s.inject(sack(10, &[(26, 30)]));
    assert_eq!(taken(&mut s), [10, 11, 12, 13]);
    s.advance(100.ms());
    // Each repetition that arrives in order makes room for itself and one more, as far as ten in flight.
    let mut sent = Vec::new();
    for n in 11..=14 {
        s.inject(sack(n, &[(26, 30)]));
        let new = taken(&mut s);
        assert_eq!(new.len(), 2, "{}", s.transcript());
        sent.extend(new);
    }
    assert_eq!(info(&s).in_flight, 8000);
    s.advance(100.ms());
    for n in 15..=20 {
        s.inject(sack(n, &[(26, 30)]));
        sent.extend(taken(&mut s));
        assert!(info(&s).in_flight <= 10_000);
    }
    assert_eq!(info(&s).in_flight, 10_000);
    covers!("PRR-6", "PRR-7");
}

#[test]
fn prr_8_the_first_repetition_always_leaves() {
    let mut s = out(builder(), 10, 20);
    s.advance(100.ms());
    // Limited transmit has filled what proportion would leave.
    s.inject(sack(0, &[(1, 2)]));
    s.inject(sack(0, &[(1, 3)]));
    assert_eq!(taken(&mut s), [10, 11]);
    s.inject(sack(0, &[(1, 4)]));
    assert_eq!(taken(&mut s), [0]);
    covers!("PRR-8");
}

#[test]
fn prr_11_at_the_end_the_window_is_the_threshold_and_a_timeout_leaves_a_segment() {
    let mut s = twenty(builder());
    s.advance(100.ms());
    s.inject(sack(10, &[(11, 30)]));
    let sent = taken(&mut s);
    assert_eq!(sent.len(), 10, "{sent:?}");
    let mut cut = twenty(builder());
    cut.advance(100.ms());
    cut.inject(sack(10, &[(11, 30)]));
    taken(&mut cut);
    s.inject(ack(30));
    taken(&mut s);
    assert_eq!(info(&s).congestion_window, 10_000);
    assert_eq!(info(&s).recovery, RecoveryState::Open);
    // Without SACK NewReno may still lower it (RFC 6582 §3.2), and a timeout does.
    while info(&cut).timeouts == 0 {
        cut.advance_to_next_timer();
    }
    assert_eq!(info(&cut).congestion_window, 1000);
    covers!("PRR-11");
}

#[test]
fn prr_3_and_12_without_sack_a_duplicate_stands_for_a_segment_and_all_of_them_for_the_flight() {
    let mut s = out(plain(), 10, 400);
    s.advance(100.ms());
    let mut sent = Vec::new();
    for _ in 0..10_000 {
        s.inject(ack(0));
        sent.extend(taken(&mut s));
    }
    s.advance(100.ms());
    sent.extend(taken(&mut s));
    // Two by limited transmit, the repetition, and half of what can have arrived besides.
    assert_eq!(sent, [10, 11, 0, 12, 13, 14]);
    // An advance is less by what duplicates stood for.
    s.inject(ack(10));
    assert!(taken(&mut s).len() <= 3, "{}", s.transcript());
    covers!("PRR-3", "PRR-12", "T-CCX-2");
}

/// What was lost behind the end of a repair was left for after it, when the window grows.
#[test]
fn prr_11_the_repair_goes_on_to_the_end_of_all_that_a_mark_in_it_answers() {
    for at_once in [true, false] {
        let mut s = twenty_of(out_with_ecn(10, 90));
        s.advance(100.ms());
        for n in 11..=14 {
            s.inject(ack(n).ece());
        }
        for to in [19, 22, 25, 28, 30] {
            s.advance(1.ms());
            s.inject(sack(14, &[(15, to)]));
            taken(&mut s);
        }
        s.advance(100.ms());
        s.inject(ack(30));
        assert_eq!(taken(&mut s), [30, 31, 39]);
        // The repair ends with 33, and the mark answers what was sent before 40.
        s.advance(5.ms());
        s.inject(sack(31, &[(32, 33)]).ece());
        s.advance(40.ms());
        s.inject(sack(31, &[(32, 33)]));
        s.advance(100.ms());
        // The repetition of 31 is lost, and what was sent after the repair had begun.
        if !at_once {
            s.inject(sack(31, &[(34, 35), (32, 33)]));
            assert_eq!((info(&s).lost, info(&s).slow_start_threshold), (1000, Some(5000)));
        }
        s.inject(sack(31, &[(39, 40), (32, 33)]));
        assert_eq!((taken(&mut s), info(&s).slow_start_threshold), (vec![31], Some(2500)), "{at_once}");
        // Where 34 has come it is acknowledged with 33.
        for n in (33..39).filter(|n| at_once || *n != 34) {
            s.advance(100.ms());
            s.inject(sack(n, &[(39, 40)]));
            taken(&mut s);
            let now = info(&s);
            assert_eq!(now.recovery, RecoveryState::Recovery, "{at_once}, {n}: {}", s.transcript());
            assert!(now.congestion_window <= 3000 && now.in_flight <= 3000, "{at_once}, {n}: {now:?}");
        }
        s.advance(100.ms());
        s.inject(ack(40));
        assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Open, Some(2500)));
    }
}
