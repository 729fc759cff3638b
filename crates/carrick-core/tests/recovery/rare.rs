//! Rare sequences in which a repair did too much, too little or nothing.

use super::*;
use carrick_core::Instant;
use carrick_sim::{Bottleneck, Flow, LinkConfig, Network, QueueLimit};

fn until_timeout(s: &mut Scene) {
    let before = info(s).timeouts;
    while info(s).timeouts == before {
        s.advance_to_next_timer();
    }
}

/// Ten segments are out, and `unsent` more are written. The first and the ninth are lost; for the first a repair has
/// begun, in which two new ones have left.
fn lost_twice(unsent: usize) -> Scene {
    lose_twice(out(builder(), 10, unsent))
}

fn lose_twice(s: Scene) -> Scene {
    let mut s = begin_repair(s);
    s.advance(10.ms());
    s.inject(sack(0, &[(9, 10), (1, 8)]));
    s
}

/// 0 has been sent again, and two new ones have left.
fn begin_repair(mut s: Scene) -> Scene {
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 5)]));
    assert_eq!(taken(&mut s), [0]);
    s.advance(10.ms());
    s.inject(sack(0, &[(1, 8)]));
    assert_eq!(taken(&mut s), [10, 11]);
    s
}

/// FRTO-3: it waited until the next timeout.
#[test]
fn frto_3_no_new_text_is_waited_for_that_may_not_leave() {
    for sack in [false, true] {
        // The window has room, but for less than a segment.
        let mut s = over(plain().sack(sack).v6().window(10_000), 100.ms());
        s.send(pattern(0, 30_000));
        until_timeout(&mut s);
        taken(&mut s);
        s.advance(100.ms());
        s.inject(ack(1).window(9_100));
        assert_eq!(taken(&mut s), [1, 2], "silly window, sack {sack}");
    }
}

#[test]
fn frto_3_new_text_that_is_to_tell_does_not_wait_for_more() {
    for sack in [false, true] {
        let mut s = over(plain().sack(sack).v6(), 100.ms());
        s.send(pattern(0, 9_500));
        if sack {
            while info(&s).segments_sent < 13 {
                s.advance_to_next_timer();
            }
        }
        s.send(pattern(9_500, 300));
        until_timeout(&mut s);
        taken(&mut s);
        s.advance(100.ms());
        s.inject(ack(1));
        let sent = taken(&mut s);
        assert!(!sent.is_empty(), "nagle, sack {sack}: nothing leaves before the next timeout");
    }
}

/// Each segment was sent four times, for ever: a probe and undone timeouts left none that could be timed.
#[test]
fn rto_19_tlp_5_a_path_that_became_longer_is_measured() {
    let mut s = over(builder(), 100.ms());
    write(&mut s, 0, 1);
    expect_segments(&mut s, [0]);
    s.advance(100.ms());
    s.inject(ack(1));
    let mut again = vec![];
    for n in 1..30u32 {
        write(&mut s, n as usize, 1);
        // Each copy is answered two seconds later, the later ones as duplicates.
        let mut answers: Vec<Instant> = vec![];
        let mut copies = 0;
        loop {
            for _ in taken(&mut s) {
                answers.push(s.now() + 2.secs());
                copies += 1;
            }
            let Some(&at) = answers.first() else { break };
            if s.host().poll_timeout().is_some_and(|timer| timer < at) {
                s.advance_to_next_timer();
                continue;
            }
            s.advance(at.since(s.now()));
            if answers.len() == copies {
                s.inject(ack(n + 1));
            } else {
                s.inject(sack(n + 1, &[(n, n + 1)]));
            }
            answers.remove(0);
        }
        again.push(copies - 1);
    }
    assert!(again.iter().skip(2).all(|copies| *copies == 0), "{again:?}");
    assert!(info(&s).rtt > Some(1.secs()), "{:?}", info(&s).rtt);
}

#[test]
fn fr_14_what_is_lost_after_a_reduction_was_taken_back_costs_another() {
    let mut s = out(builder(), 10, 60);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 4)]));
    assert_eq!(taken(&mut s), [0]);
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
    // It had been overtaken only: the repetition is a duplicate.
    s.inject(ack(4));
    s.inject(sack(4, &[(0, 1)]));
    assert_eq!(info(&s).slow_start_threshold, None);
    // Of the same flight 4 is lost.
    s.inject(sack(4, &[(5, 10)]));
    s.advance(60.ms());
    assert!(taken(&mut s).contains(&4));
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
}

/// It was not: the window was as large as before the first.
#[test]
fn fr_14_and_a_loss_that_is_found_with_the_very_acknowledgment_that_takes_a_reduction_back() {
    let mut s = begin_repair(out(builder(), 10, 60));
    s.advance(110.ms());
    // 0 came twice, and 10 before 8.
    s.inject(sack(8, &[(0, 1), (10, 11)]));
    assert!(taken(&mut s).contains(&8));
    assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Recovery, Some(2000)));
}

#[test]
fn fr_14_and_after_a_timeout_that_was_none() {
    let mut s = out(builder().v6(), 10, 60);
    until_timeout(&mut s);
    taken(&mut s);
    s.advance(50.ms());
    s.inject(ack(1));
    taken(&mut s);
    s.inject(ack(2));
    assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Open, None));
    s.inject(sack(2, &[(3, 10)]));
    s.advance(100.ms());
    assert!(taken(&mut s).contains(&2));
    assert!(info(&s).slow_start_threshold.is_some());
}

/// RFC 5681 §4.3.
#[test]
fn fr_14_losses_in_two_windows_are_two_though_the_second_is_found_during_the_first_repair() {
    let mut s = lost_twice(60);
    assert_eq!(taken(&mut s), [8, 12]);
    s.advance(80.ms());
    s.inject(sack(8, &[(9, 10)]));
    taken(&mut s);
    s.advance(10.ms());
    // Of what was sent during the repair the first is lost.
    s.inject(sack(8, &[(11, 12), (9, 10)]));
    assert!(taken(&mut s).contains(&10));
    s.advance(10.ms());
    // All is acknowledged that was out when the repair began: the next one begins, which nothing is to take back.
    s.inject(sack(10, &[(11, 13)]));
    taken(&mut s);
    // It comes down from five in flight: two are delivered, of which the half may leave.
    assert_eq!((info(&s).recovery, info(&s).congestion_window), (RecoveryState::Recovery, 4000));
    s.inject(sack(10, &[(11, 14)]));
    taken(&mut s);
    assert_eq!(info(&s).recovery, RecoveryState::Recovery);
    s.advance(90.ms());
    s.inject(ack(14));
    assert_eq!(info(&s).retransmitted, 3);
    assert_eq!(info(&s).slow_start_threshold, Some(2500));
}

#[test]
fn prr_losses_that_a_timer_finds_are_no_burst() {
    for pacing in [false, true] {
        let mut s = over(builder().config(|c| c.pacing = pacing), 100.ms());
        write(&mut s, 0, 10);
        expect_segments(&mut s, 0..10);
        s.advance(100.ms());
        // Overtaken.
        s.inject(sack(0, &[(1, 3)]));
        s.inject(ack(3));
        s.inject(ack(10));
        for first in [10, 30, 50] {
            write(&mut s, first, 20);
            s.advance(20.ms());
            taken(&mut s);
            s.advance(80.ms());
            s.inject(ack(first as u32 + 20));
        }
        assert_eq!(info(&s).congestion_window, 40_000);
        write(&mut s, 70, 1);
        s.advance(10.ms());
        write(&mut s, 71, 100);
        s.advance(40.ms());
        let sent = taken(&mut s);
        let last = *sent.last().unwrap();
        s.advance(90.ms());
        // One of the flight has arrived.
        s.inject(sack(70, &[(last, last + 1)]));
        taken(&mut s);
        let mut again = vec![];
        let end = s.now() + 90.ms();
        while s.host().poll_timeout().is_some_and(|at| at < end) {
            s.advance_to_next_timer();
            again.extend(taken(&mut s));
        }
        // Each finds the next, so that they go out one by one.
        assert!((1..=16).contains(&again.len()), "pacing {pacing}: {} of {}", again.len(), sent.len());
    }
}

/// The window update is their answer. Its text was taken for what times out again and again.
#[test]
fn probes_of_a_window_do_not_count_for_the_text_after_them() {
    let mut s = over(builder(), 100.ms());
    write(&mut s, 0, 10);
    taken(&mut s);
    s.advance(100.ms());
    s.inject(ack(10).window(0));
    write(&mut s, 10, 30);
    for _ in 0..3 {
        s.advance_to_next_timer();
        taken(&mut s);
    }
    s.advance(1.ms());
    // An answer: the window is open.
    s.inject(ack(10).window(60_000));
    assert_eq!(info(&s).recovery, RecoveryState::Open);
    s.advance(20.ms());
    taken(&mut s);
    s.advance_to_next_timer();
    while !taken(&mut s).contains(&10) {
        s.advance_to_next_timer();
    }
    assert_eq!((info(&s).timeouts, info(&s).path_mtu), (1, 1500));
    assert!(info(&s).slow_start_threshold.is_some());
}

/// The report of a duplicate comes with the echo of the copy before: the timeout grew fivefold each time.
#[test]
fn rto_an_acknowledgment_that_was_lost_is_no_round_trip() {
    let mut s = over(builder().timestamps(true), 100.ms());
    for n in 0..6u32 {
        write(&mut s, n as usize, 1);
        let packet = s.take().unwrap();
        let echo = packet.segment().unwrap().tcp.options.timestamps.unwrap().val;
        until_timeout(&mut s);
        taken(&mut s);
        s.advance(100.ms());
        let val = u32::try_from(s.now().as_millis()).unwrap();
        s.inject(sack(n + 1, &[(n, n + 1)]).ts(val, echo));
        s.advance(1.ms());
    }
    assert!(info(&s).rtt < Some(200.ms()), "{:?}", info(&s).rtt);
}

/// It is shorter than what the least round trip was measured with.
#[test]
fn tlp_a_fin_that_asks_for_the_tail_is_believed() {
    for timestamps in [true, false] {
        let bottleneck = Some(Bottleneck { queue: QueueLimit::Packets(2), ..Bottleneck::new(5_000_000) });
        let mut network = Network::new(1, LinkConfig { bottleneck, ..LinkConfig::delayed(100.ms()) });
        network.back.bottleneck = None;
        let mut flow = Flow::of(10_000);
        flow.sender.timestamps = timestamps;
        network.flows = vec![flow];
        let report = network.run(10.secs()).expect("nothing to complain of");
        let took = report.flows[0].completed.expect("it is complete");
        assert!(took < 1_600.ms(), "timestamps {timestamps}: {took:?}");
    }
}

#[test]
fn fr_14_and_after_a_timeout() {
    let mut s = out(builder().v6(), 10, 60);
    until_timeout(&mut s);
    assert_eq!(taken(&mut s), [10, 0]);
    s.advance(100.ms());
    s.inject(ack(1));
    assert_eq!(taken(&mut s), [11, 12]);
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
    s.advance(100.ms());
    // What was sent since the timeout: the first has arrived, the second is lost.
    s.inject(sack(1, &[(11, 12)]));
    let mut sent = taken(&mut s);
    let mut una = 1;
    let mut lost_once = false;
    while una < 11 {
        s.advance(100.ms());
        for n in std::mem::take(&mut sent) {
            lost_once |= n == 12;
            if n == una {
                una += 1;
                s.inject(sack(una, &[(11, 12)]));
                sent.extend(taken(&mut s));
            }
        }
        s.advance(5.ms());
        sent.extend(taken(&mut s));
        if sent.is_empty() {
            break;
        }
    }
    assert!(lost_once);
    assert_eq!(info(&s).slow_start_threshold, Some(3000));
}

/// The last acknowledgment of a repair may leave nothing in flight, of which no share is to be taken.
#[test]
fn fr_14_a_second_reduction_is_of_the_window_though_nothing_is_in_flight() {
    let mut s = lost_twice(2);
    taken(&mut s);
    s.advance(80.ms());
    s.inject(sack(8, &[(11, 12), (9, 10)]));
    s.advance(30.ms());
    let again = taken(&mut s);
    assert!(again.contains(&10), "{again:?}");
    s.advance(100.ms());
    s.inject(ack(12));
    assert_eq!((info(&s).in_flight, info(&s).slow_start_threshold), (0, Some(2500)));
    // That all which was sent again came twice tells nothing of the second.
    for n in [0, 8, 10] {
        s.inject(sack(12, &[(n, n + 1)]));
    }
    assert_eq!(info(&s).slow_start_threshold, Some(2500));
}

#[test]
fn fr_14_a_reduction_for_a_repetition_answers_all_that_is_lost_by_then() {
    for at_once in [false, true] {
        let mut s = lost_twice(60);
        assert_eq!(taken(&mut s), [8, 12]);
        s.advance(90.ms());
        s.inject(sack(8, &[(9, 10)]));
        taken(&mut s);
        // 10 was sent during the repair; the repetition of 8 left before 12.
        for to in if at_once { 13..14 } else { 12..14 } {
            s.inject(sack(8, &[(11, to), (9, 10)]));
            taken(&mut s);
        }
        assert_eq!(info(&s).slow_start_threshold, Some(2500), "{at_once}");
        s.advance(10.ms());
        s.inject(sack(10, &[(11, 13)]));
        assert_eq!(info(&s).recovery, RecoveryState::Recovery, "{at_once}");
        s.inject(ack(13));
        assert_eq!(info(&s).slow_start_threshold, Some(2500), "{at_once}");
        // Nor was it a mistake.
        for n in [0, 8, 10] {
            s.inject(sack(13, &[(n, n + 1)]));
        }
        assert_eq!(info(&s).slow_start_threshold, Some(2500), "{at_once}");
    }
}

/// Whether a segment has left since that carries CWR.
fn says_cwr(s: &mut Scene) -> bool {
    std::iter::from_fn(|| s.take()).any(|packet| packet.segment().unwrap().has(carrick_wire::TcpFlags::CWR))
}

#[test]
fn fr_14_a_mark_that_ends_a_repair_answers_the_losses_of_the_second_window() {
    for marked in [false, true] {
        let mut s = lose_twice(out_with_ecn(10, 60));
        assert_eq!(taken(&mut s), [8, 12]);
        s.advance(90.ms());
        s.inject(sack(8, &[(11, 12), (9, 10)]));
        assert!(taken(&mut s).contains(&10));
        assert_eq!(info(&s).slow_start_threshold, Some(5000));
        s.advance(100.ms());
        s.inject(if marked { ack(12).ece() } else { ack(12) });
        // One reduction, of which the peer is told.
        assert_eq!(info(&s).slow_start_threshold, Some(2500), "{marked}");
        let mut told = says_cwr(&mut s);
        for n in 13..16 {
            s.advance(50.ms());
            s.inject(ack(n.min(14)));
            told |= says_cwr(&mut s);
        }
        assert!(told, "{marked}: {}", s.transcript());
    }
}

#[test]
fn fr_14_a_mark_during_a_repair_answers_what_was_sent_before_it() {
    let mut s = out_with_ecn(10, 60);
    s.advance(100.ms());
    // A mark, and two segments in place of four.
    for n in 1..=4 {
        s.inject(ack(n).ece());
    }
    assert_eq!(taken(&mut s), [10, 11]);
    // 4 is lost of what was out when the mark was answered; 12 leaves, after the repair has begun.
    s.inject(sack(4, &[(5, 9)]));
    assert_eq!(taken(&mut s), [4, 12]);
    assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Recovery, Some(5000)));
    s.advance(20.ms());
    s.inject(ack(10));
    assert_eq!(taken(&mut s), [13, 14]);
    s.inject(ack(11).ece());
    assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Recovery, Some(2500)));
    // 12 and 13 are lost of what was out then.
    s.advance(100.ms());
    s.inject(sack(11, &[(14, 15)]));
    s.advance(50.ms());
    assert_eq!(info(&s).lost + info(&s).resent, 3000);
    s.inject(ack(15));
    assert_eq!(info(&s).slow_start_threshold, Some(2500), "{}", s.transcript());
}

/// The repair ended before 12 had come; or, if all came at once, with a second reduction for 12.
#[test]
fn fr_14_a_mark_during_a_repair_answers_also_what_was_lost_before_it() {
    for together in [false, true] {
        let mut s = out_with_ecn(10, 60);
        s.advance(100.ms());
        for n in 1..=4 {
            s.inject(ack(n).ece());
        }
        taken(&mut s);
        s.inject(sack(4, &[(5, 9)]));
        assert_eq!(taken(&mut s), [4, 12]);
        s.advance(20.ms());
        s.inject(ack(10));
        assert_eq!(taken(&mut s), [13, 14]);
        s.advance(80.ms());
        // Of these 12 left after the repair had begun.
        s.inject(sack(11, &[(13, 14)]));
        assert_eq!(taken(&mut s), [11, 12, 15, 16]);
        s.inject(sack(11, &[(13, 15)]).ece());
        assert_eq!(info(&s).slow_start_threshold, Some(2500));
        s.advance(100.ms());
        if !together {
            s.inject(sack(12, &[(13, 15)]));
            assert_eq!(info(&s).recovery, RecoveryState::Recovery, "{}", s.transcript());
        }
        s.inject(ack(17));
        assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Open, Some(2500)));
    }
}

/// Its loss cost nothing: when the repair ended, the mark stood for all that was out.
#[test]
fn fr_14_a_mark_during_a_repair_does_not_answer_what_was_sent_after_it() {
    let mut s = prr::twenty_of(out_with_ecn(10, 90));
    s.advance(100.ms());
    for n in 11..=26 {
        s.inject(ack(n).ece());
    }
    assert_eq!(taken(&mut s).last(), Some(&37));
    s.inject(sack(26, &[(27, 30)]));
    assert_eq!(taken(&mut s), [26, 38]);
    s.advance(20.ms());
    s.inject(ack(30));
    assert_eq!(taken(&mut s), [39]);
    s.advance(80.ms());
    s.inject(ack(31).ece());
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
    for n in 32..=37 {
        s.inject(ack(n));
    }
    assert_eq!(taken(&mut s), [40, 41]);
    // 37 to 40 are lost: the repair ends with the first, and the mark answers the next two.
    s.advance(100.ms());
    s.inject(sack(37, &[(41, 42)]));
    taken(&mut s);
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
    for n in 38..=40 {
        s.advance(100.ms());
        s.inject(sack(n, &[(41, 42)]));
        taken(&mut s);
        assert_eq!(info(&s).recovery, RecoveryState::Recovery, "{n}: {}", s.transcript());
    }
    s.inject(ack(44));
    assert_eq!((info(&s).recovery, info(&s).slow_start_threshold), (RecoveryState::Open, Some(2500)));
}
