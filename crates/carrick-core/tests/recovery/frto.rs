//! Timeouts and repairs that were needless (RFC 5682, RFC 3522, RFC 4015).

use super::*;

/// The timer has expired with ten segments out, or so many, and the first has been sent again.
fn timed_out(builder: Builder, segments: u32, more: usize) -> Scene {
    let mut s = out(builder, segments, more);
    while info(&s).timeouts == 0 {
        s.advance_to_next_timer();
    }
    let sent = taken(&mut s);
    assert_eq!(sent.last(), Some(&0), "{}", s.transcript());
    assert_eq!(info(&s).congestion_window, 1000);
    s.advance(50.ms());
    s
}

#[test]
fn frto_1_and_6_only_the_first_segment_and_no_doubt_the_second_time() {
    // Over IPv6, where no path is suspected to swallow packets as small as these.
    let mut s = timed_out(plain().v6(), 10, 20);
    s.advance_to_next_timer();
    expect_segments(&mut s, [0]);
    s.expect_nothing();
    assert_eq!(info(&s).timeouts, 2);
    // Conventional: the first hole, not new text.
    s.inject(ack(1));
    expect_segments(&mut s, [1, 2]);
    s.expect_nothing();
    // During the steps it begins anew, by sending the first.
    let mut s = timed_out(plain(), 10, 20);
    s.inject(ack(1));
    expect_segments(&mut s, [10, 11]);
    s.advance_to_next_timer();
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    expect_segments(&mut s, [1]);
    s.expect_nothing();
    covers!("FRTO-1", "FRTO-6");
}

#[test]
fn frto_2_no_doubt_after_a_duplicate_or_when_all_is_acknowledged_or_the_repetition_is_not() {
    // A duplicate comes first.
    let mut s = timed_out(plain(), 10, 20);
    s.inject(ack(0));
    s.inject(ack(1));
    expect_segments(&mut s, [1, 2]);
    s.expect_nothing();
    // It covers exactly what was out: the repetition was the only hole.
    let mut s = timed_out(plain(), 10, 20);
    s.inject(ack(10));
    assert_eq!(info(&s).recovery, RecoveryState::Open);
    expect_segments(&mut s, [10, 11]);
    // Less than what was sent again.
    let mut s = timed_out(plain(), 10, 20);
    s.inject(seg().seq(1).ack(501));
    assert!(!taken(&mut s).contains(&10), "{}", s.transcript());
    covers!("FRTO-2");
}

#[test]
fn frto_3_and_5_acknowledgments_of_what_was_late_bring_new_text_and_no_repetition() {
    for sack in [false, true] {
        let mut s = timed_out(plain().sack(sack), 10, 20);
        let from = if sack { 11 } else { 10 };
        s.inject(ack(1));
        expect_segments(&mut s, [from, from + 1]);
        s.expect_nothing();
        s.inject(ack(2));
        assert_eq!((info(&s).recovery, info(&s).timeouts), (RecoveryState::Open, 0));
        // All that was out is thought to be under way again, and is acknowledged in time.
        for n in 3..=10 {
            s.inject(ack(n));
            let sent = taken(&mut s);
            assert!(sent.iter().all(|n| *n > from), "{sent:?}");
        }
    }
    covers!("FRTO-3", "FRTO-5");
}

#[test]
fn frto_3_without_new_text_or_a_window_for_it_there_is_no_telling() {
    let mut s = timed_out(plain(), 10, 0);
    s.inject(ack(1));
    expect_segments(&mut s, [1, 2]);
    let mut s = over(plain().window(10_000), 100.ms());
    write(&mut s, 0, 30);
    taken(&mut s);
    s.advance_to_next_timer();
    expect_segments(&mut s, [0]);
    s.inject(ack(1).window(9_000));
    expect_segments(&mut s, [1, 2]);
    covers!("FRTO-3");
}

#[test]
fn frto_4_a_duplicate_after_the_new_text_means_that_it_was_lost() {
    let mut s = timed_out(plain(), 10, 20);
    s.inject(ack(1));
    expect_segments(&mut s, [10, 11]);
    s.inject(ack(1));
    assert!(info(&s).congestion_window <= 3000);
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    s.advance(50.ms());
    s.inject(ack(1));
    s.inject(ack(2));
    assert!(taken(&mut s).contains(&2), "{}", s.transcript());
    covers!("FRTO-4");
}

#[test]
fn frto_7_and_8_with_sack_what_was_sent_once_and_before_tells() {
    // A duplicate before the repetition is acknowledged only says what has arrived.
    let mut s = timed_out(builder(), 10, 20);
    let probe = 10;
    s.inject(sack(0, &[(4, 5)]));
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    s.inject(sack(1, &[(4, 5)]));
    // Of what is new so much as the window lets leave.
    expect_segments(&mut s, [probe + 1, probe + 2]);
    // Something that was sent before the timeout, and once, has arrived.
    s.inject(sack(1, &[(4, 6)]));
    assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Disorder, None));

    // What was new has arrived, and nothing else: a loss.
    let mut s = timed_out(builder(), 10, 20);
    s.inject(ack(1));
    expect_segments(&mut s, [probe + 1, probe + 2]);
    s.inject(sack(1, &[(11, 12)]));
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    assert!(info(&s).congestion_window <= 3000);
    assert!(taken(&mut s).contains(&1), "{}", s.transcript());

    // So is a duplicate that tells nothing.
    let mut s = timed_out(builder(), 10, 20);
    s.inject(ack(1));
    taken(&mut s);
    s.inject(ack(1));
    s.inject(sack(1, &[(4, 5)]));
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    s.inject(sack(1, &[(11, 12), (4, 5)]));
    assert!(taken(&mut s).contains(&1), "{}", s.transcript());

    // All is acknowledged that was out.
    let mut s = timed_out(builder(), 10, 20);
    s.inject(ack(11));
    assert_eq!(info(&s).recovery, RecoveryState::Open);
    assert!(info(&s).congestion_window <= 2000);

    // A repair was under way: there is no telling.
    let mut s = out(builder(), 10, 20);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 4)]));
    while info(&s).timeouts == 0 {
        s.advance_to_next_timer();
    }
    taken(&mut s);
    s.inject(sack(1, &[(1, 4)]));
    s.inject(ack(5));
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    covers!("FRTO-7", "FRTO-8");
}

/// With timestamps, which begin at some number and count milliseconds.
fn stamped(sack: bool) -> Builder {
    plain().sack(sack).timestamps(true)
}

fn stamp(s: &mut Scene) -> u32 {
    let mut last = None;
    while let Some(packet) = s.take() {
        let segment = packet.segment().expect("a segment");
        last = segment.tcp.options.timestamps;
    }
    last.expect("a timestamp").val
}

#[test]
fn frto_9_an_echo_older_than_the_first_repetition_tells_at_once() {
    for (back, needless) in [(1, true), (0, false)] {
        let mut s = over(stamped(true), 100.ms());
        s.send(pattern(0, 20_000));
        stamp(&mut s);
        while info(&s).timeouts == 0 {
            s.advance_to_next_timer();
        }
        let again = stamp(&mut s);
        let val = u32::try_from(s.now().as_millis()).unwrap();
        // It leaves something outstanding.
        s.inject(seg().seq(1).ack(989).ts(val, again - back));
        let expected = if needless { RecoveryState::Open } else { RecoveryState::Loss };
        assert_eq!(info(&s).recovery, expected, "{back}: {}", s.transcript());
    }
    // A fast retransmission as well, and its reduction is taken back.
    for (back, threshold) in [(1, None), (0, Some(4940))] {
        let mut s = over(stamped(true), 100.ms());
        s.send(pattern(0, 9880));
        stamp(&mut s);
        s.advance(100.ms());
        let val = u32::try_from(s.now().as_millis()).unwrap();
        s.inject(seg().seq(1).ack(1).sack(&[(989, 989 + 3 * 988)]));
        let again = stamp(&mut s);
        s.advance(10.ms());
        s.inject(seg().seq(1).ack(989 + 3 * 988).ts(val, again - back));
        assert_eq!(info(&s).slow_start_threshold, threshold, "{}", s.transcript());
    }
    // All is acknowledged, and this peer has never reported a duplicate: it may be one that answers with what came last.
    let mut s = over(stamped(true), 100.ms());
    s.send(pattern(0, 988));
    let first = stamp(&mut s);
    while info(&s).timeouts == 0 {
        s.advance_to_next_timer();
    }
    stamp(&mut s);
    let val = u32::try_from(s.now().as_millis()).unwrap();
    s.inject(seg().seq(1).ack(989).ts(val, first));
    assert_eq!(info(&s).congestion_window, 1000.max(info(&s).congestion_window.min(2000)));
    covers!("FRTO-9");
}

#[test]
fn frto_10_and_12_what_is_in_flight_may_be_and_slow_start_goes_on_to_where_it_was() {
    let ask = |config: &mut carrick_core::ConnectionConfig| config.ecn = carrick_core::EcnPolicy::Ask;
    for marked in [false, true] {
        let mut s = plain().config(ask).build();
        s.connect();
        s.expect(seg().syn().ece().cwr().seq(0));
        s.advance(100.ms());
        s.inject(seg().syn().ece().seq(0).ack(1));
        taken(&mut s);
        write(&mut s, 0, 30);
        taken(&mut s);
        s.advance_to_next_timer();
        assert_eq!((info(&s).timeouts, info(&s).slow_start_threshold), (1, Some(5000)));
        s.advance(50.ms());
        s.inject(ack(1));
        taken(&mut s);
        s.inject(if marked { ack(2).ece() } else { ack(2) });
        if marked {
            // Congestion is what it says: the reduction stays.
            assert!(info(&s).congestion_window <= 3000);
        } else {
            // Ten in flight, and what was acknowledged; the threshold is what it was.
            assert_eq!((info(&s).congestion_window, info(&s).slow_start_threshold), (11_000, None));
        }
    }
    covers!("FRTO-10", "FRTO-12");
}

/// Seen across a path that holds 5 % back by 4 ms: three segments overtook one, whose repetition waited for its turn until
/// the segment had come; the reduction stayed, and a connection just begun spent ten seconds growing out of it.
#[test]
fn a_loss_that_was_none_is_taken_back_before_anything_was_sent_again() {
    for sack_agreed in [true, false] {
        let mut s = out(if sack_agreed { builder() } else { plain() }, 10, 40);
        s.advance(100.ms());
        s.inject(ack(5));
        // Ten have left at once, so that the next must wait for its turn.
        expect_segments(&mut s, 10..20);
        for to in 7..10 {
            s.inject(if sack_agreed { sack(5, &[(6, to)]) } else { ack(5) });
        }
        assert_eq!(info(&s).recovery, RecoveryState::Recovery, "{}", s.transcript());
        assert!(info(&s).slow_start_threshold.is_some());
        s.advance(1.ms());
        s.inject(ack(9));
        assert!(taken(&mut s).iter().all(|segment| *segment > 9), "{}", s.transcript());
        assert_eq!(info(&s).recovery, RecoveryState::Open, "{}", s.transcript());
        assert_eq!(info(&s).slow_start_threshold, None, "{}", s.transcript());
        assert!(info(&s).congestion_window >= 15_000);
    }
}
