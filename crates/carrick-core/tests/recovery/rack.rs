//! Losses are found by time (RFC 8985 §6).

use super::*;

#[test]
fn rack_1_without_sack_nothing_is_found_by_time() {
    let mut s = out(plain(), 10, 0);
    s.advance(100.ms());
    s.inject(ack(1));
    for to in 3..6 {
        s.inject(sack(1, &[(2, to)]).window(60_000 + to as u16));
    }
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), Some(300.ms()));
    expect_segments(&mut s, [1]);
    covers!("RACK-1");
}

/// A wait for what may have been overtaken, where that is known to happen.
fn overtaken(s: &mut Scene, rtt: Duration) {
    write(s, 0, 10);
    expect_segments(s, 0..10);
    s.advance(rtt);
    // Segment 0 comes last of three.
    s.inject(sack(0, &[(1, 3)]));
    s.inject(ack(3));
    s.expect_nothing();
}

#[test]
fn rack_2_times_are_finer_than_a_quarter_of_a_short_round_trip() {
    let rtt = Duration::from_micros(100);
    let mut s = over(builder(), rtt);
    overtaken(&mut s, rtt);
    s.inject(sack(3, &[(4, 10)]));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), Some(Duration::from_micros(25)));
    expect_segments(&mut s, [3]);
    covers!("RACK-2");
}

#[test]
fn rack_8_three_segments_reported_leave_no_doubt_and_two_do() {
    let two_reported = || {
        let mut s = out(builder(), 10, 0);
        s.advance(100.ms());
        s.inject(sack(0, &[(1, 2)]));
        s.inject(sack(0, &[(1, 3)]));
        s.expect_nothing();
        s
    };
    let mut s = two_reported();
    s.inject(sack(0, &[(1, 4)]));
    expect_segments(&mut s, [0]);
    let mut waiting = two_reported();
    // A quarter of the least round trip.
    assert_eq!(waiting.advance_to_next_timer(), Some(25.ms()));
    expect_segments(&mut waiting, [0]);
    assert_eq!(info(&waiting).recovery, RecoveryState::Recovery);
    covers!("RACK-8");
}

#[test]
fn rack_9_where_segments_are_overtaken_a_quarter_of_the_least_round_trip_is_waited() {
    for millis in [40, 100, 200] {
        let rtt = Duration::from_millis(millis);
        let mut s = over(builder(), rtt);
        overtaken(&mut s, rtt);
        s.inject(sack(3, &[(4, 10)]));
        s.expect_nothing();
        assert_eq!(s.advance_to_next_timer(), Some(rtt / 4));
        expect_segments(&mut s, [3]);
    }
    // By counting (RFC 6675) it would have been lost with the fourth.
    covers!("RACK-9", "RACK-17");
}

#[test]
fn rack_10_duplicates_reported_widen_it_once_in_a_round_trip_and_never_beyond_one() {
    // Two reports of one round trip count once; the next one counts in the next.
    let reported = || {
        let mut s = over(builder(), 100.ms());
        overtaken(&mut s, 100.ms());
        for _ in 0..2 {
            s.inject(sack(3, &[(0, 1)]));
        }
        s
    };
    let mut twice = reported();
    twice.inject(sack(3, &[(4, 10)]));
    assert_eq!(twice.advance_to_next_timer(), Some(50.ms()));
    expect_segments(&mut twice, [3]);
    let mut s = reported();
    write(&mut s, 10, 1);
    s.inject(ack(10));
    for n in 11..20 {
        // Something is always under way, so that rounds have an end.
        write(&mut s, n, 1);
        s.advance(100.ms());
        s.inject(sack(n as u32, &[(0, 1)]));
    }
    s.inject(ack(20));
    write(&mut s, 20, 2);
    taken(&mut s);
    s.advance(100.ms());
    let next = 20;
    s.inject(sack(next, &[(next + 1, next + 2)]));
    s.expect_nothing();
    // Eleven quarters would be more.
    let srtt = info(&s).rtt;
    assert!(srtt < Some(200.ms()), "{srtt:?}");
    assert_eq!(s.advance_to_next_timer(), srtt);
    expect_segments(&mut s, [next]);
    covers!("RACK-10", "T-CCX-5");
}

/// What RFC 8985 §6.2, step 5, names: found without any other acknowledgment, long before the retransmission timer.
#[test]
fn rack_13_each_loss_is_found_when_its_wait_is_over() {
    let mut s = over(builder(), 100.ms());
    overtaken(&mut s, 100.ms());
    s.inject(ack(10));
    for n in 10..14 {
        write(&mut s, n, 1);
        expect_segments(&mut s, [n as u32]);
        s.advance(5.ms());
    }
    // Sent at 0, 5, 10 and 15 ms.
    s.advance(100.ms() - 5.ms());
    s.inject(sack(10, &[(13, 14)]));
    s.expect_nothing();
    // RACK.rtt is 100 ms, the window 25: the first is lost at 125 ms, the others 5 and 10 ms later.
    for (n, wait) in [(10, 10), (11, 5), (12, 5)] {
        assert_eq!(s.advance_to_next_timer(), Some(Duration::from_millis(wait)));
        expect_segments(&mut s, [n]);
        s.expect_nothing();
    }
}

/// In a repair that an acknowledgment begins nothing is waited for any more; in one that the timer began the rest was.
#[test]
fn rack_13_what_was_sent_later_is_found_with_the_first_where_a_timer_begins_the_repair() {
    let mut s = over(builder(), 100.ms());
    for first in [0, 2, 4] {
        write(&mut s, first, 2);
        expect_segments(&mut s, first as u32..first as u32 + 2);
        s.advance(10.ms());
    }
    s.advance(90.ms());
    // Of those that left 20 ms after the first, too few to leave no doubt.
    s.inject(sack(0, &[(4, 6)]));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), Some(5.ms()));
    expect_segments(&mut s, [0]);
    assert_eq!((info(&s).resent, info(&s).lost), (1000, 3000));
}

#[test]
fn rack_14_what_was_sent_just_before_a_timeout_is_not_lost_with_it() {
    let mut s = out(builder(), 2, 0);
    // The tail is asked for after 200 ms; then the timer runs anew.
    assert_eq!(s.advance_to_next_timer(), Some(200.ms()));
    expect_segments(&mut s, [1]);
    s.advance(250.ms());
    write(&mut s, 2, 2);
    expect_segments(&mut s, 2..4);
    s.advance(50.ms());
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    expect_segments(&mut s, [0]);
    s.expect_nothing();
    // The first once more, and the fresh two; what was sent 300 ms ago is lost.
    assert_eq!(info(&s).in_flight, 3000);
    s.advance(50.ms());
    s.inject(ack(4));
    s.expect_nothing();
    covers!("RACK-14");
}

#[test]
fn rack_15_what_is_lost_is_sent_again_as_the_window_allows() {
    let mut s = out(builder(), 10, 0);
    s.advance(100.ms());
    s.inject(sack(0, &[(7, 10)]));
    // Seven are lost, three have arrived: as many may leave.
    expect_segments(&mut s, 0..3);
    s.expect_nothing();
    assert_eq!(info(&s).in_flight, 3000);
    covers!("RACK-15");
}

#[test]
fn rack_16_a_lost_repetition_is_found_and_costs_another_reduction() {
    let mut s = out(builder(), 10, 20);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 5)]));
    expect_segments(&mut s, [0]);
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
    s.advance(10.ms());
    s.inject(sack(0, &[(1, 10)]));
    let new = taken(&mut s);
    assert!(new.first() == Some(&10), "{new:?}");
    // What left after the repetition arrives, and that does not.
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 10 + new.len() as u32)]));
    assert!(taken(&mut s).contains(&0), "{}", s.transcript());
    assert_eq!(info(&s).recovery, RecoveryState::Recovery);
    assert_eq!(info(&s).slow_start_threshold, Some(2500));
    assert_eq!(info(&s).timeouts, 0);
    covers!("RACK-16");
}

#[test]
fn rack_19_parts_of_a_segment_bring_nothing() {
    let [mut s, mut whole] = [(); 2].map(|()| out(builder(), 10, 20));
    s.advance(100.ms());
    whole.advance(100.ms());
    for part in 1..1000 {
        s.inject(ack(0).sack(&[(start(1), start(1) + part)]));
    }
    assert_eq!(info(&s).sacked, 0);
    s.expect_nothing();
    for s in [&mut s, &mut whole] {
        s.inject(sack(0, &[(1, 2)]));
        expect_segments(s, [10]);
        s.expect_nothing();
    }
    assert_eq!(info(&s).sacked, info(&whole).sacked);
    covers!("RACK-19");
}
