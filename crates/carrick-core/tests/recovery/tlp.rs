//! The probe of a tail loss (RFC 8985 §7).

use super::*;

/// With a retransmission timer that is far away.
fn patient(builder: Builder) -> Builder {
    builder.config(|config| config.min_rto = 1.secs())
}

#[test]
fn tlp_2_no_probe_where_something_was_reported_or_is_repaired() {
    let mut s = out(patient(builder()), 4, 0);
    s.advance(100.ms());
    s.inject(sack(1, &[(2, 3)]));
    // The wait for what was overtaken comes, and its repair; then only the timer is left.
    assert_eq!(s.advance_to_next_timer(), Some(25.ms()));
    expect_segments(&mut s, [1]);
    let waited = s.advance_to_next_timer();
    assert_eq!(waited, Some(1100.ms()));
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
    // Nor without SACK.
    let mut s = out(patient(plain()), 4, 0);
    assert_eq!(s.advance_to_next_timer(), Some(1100.ms()));
    covers!("TLP-2");
}

#[test]
fn tlp_3_after_two_round_trips_and_what_a_lone_segment_may_wait_for_its_ack() {
    for (segments, wait) in [(2, 200), (1, 400)] {
        let mut s = out(patient(builder()), segments, 0);
        assert_eq!(s.advance_to_next_timer(), Some(Duration::from_millis(wait)));
        expect_segments(&mut s, [segments - 1]);
    }
    // Closed, and the FIN not sent yet.
    let mut s = over(patient(builder()).window(1000), 100.ms());
    s.send(pattern(0, 2500));
    s.finish();
    assert_eq!(taken(&mut s), [0]);
    s.advance(100.ms());
    s.inject(ack(1));
    assert_eq!(taken(&mut s), [1]);
    assert_eq!(s.advance_to_next_timer(), Some(400.ms()));
    expect_segments(&mut s, [1]);
    // An acknowledgment that leaves one of two.
    let mut s = out(patient(builder()), 2, 0);
    s.advance(100.ms());
    s.inject(ack(1));
    assert_eq!(s.advance_to_next_timer(), Some(400.ms()));
    // Nothing measured, since the SYN was lost.
    let mut s = patient(builder()).connecting();
    s.advance(1.secs());
    s.expect(seg().syn().seq(0));
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    write(&mut s, 0, 2);
    expect_segments(&mut s, 0..2);
    assert_eq!(s.advance_to_next_timer(), Some(1.secs()));
    expect_segments(&mut s, [1]);
    covers!("TLP-3");
}

#[test]
fn tlp_4_and_7_no_later_than_the_timer_which_then_runs_anew() {
    // 300 ms after the first round trip, where a lone segment would be asked for after 400.
    let mut s = out(builder(), 1, 0);
    assert_eq!(s.advance_to_next_timer(), Some(300.ms()));
    expect_segments(&mut s, [0]);
    assert_eq!((info(&s).timeouts, info(&s).recovery), (0, RecoveryState::Open));
    assert_eq!(s.advance_to_next_timer(), Some(300.ms()));
    assert_eq!((info(&s).timeouts, info(&s).recovery), (1, RecoveryState::Loss));
    covers!("TLP-4", "TLP-7");
}

#[test]
fn tlp_5_one_probe_until_a_round_trip_is_measured() {
    let mut s = out(builder(), 2, 0);
    s.advance(200.ms());
    expect_segments(&mut s, [1]);
    // However often something is written: the timer runs.
    for n in 2..5 {
        s.advance(75.ms());
        write(&mut s, n, 1);
        expect_segments(&mut s, [n as u32]);
        assert_eq!(info(&s).timeouts, 0);
    }
    assert_eq!(s.advance_to_next_timer(), Some(75.ms()));
    expect_segments(&mut s, [0]);
    assert_eq!(info(&s).timeouts, 1);
    covers!("TLP-5");
}

#[test]
fn tlp_6_new_text_if_there_is_some_or_else_the_last_once_more() {
    // The window is full: one segment beyond it.
    let mut s = out(builder(), 10, 2);
    s.advance(200.ms());
    expect_segments(&mut s, [10]);
    s.expect_nothing();
    assert_eq!(info(&s).in_flight, 11_000);
    // The peer's window lets nothing more through.
    let mut s = over(builder().window(10_000), 100.ms());
    write(&mut s, 0, 12);
    expect_segments(&mut s, 0..10);
    s.advance(200.ms());
    expect_segments(&mut s, [9]);
    s.expect_nothing();
    // What does not fill a segment is the last as well.
    let mut s = over(builder(), 100.ms());
    s.send(pattern(0, 2300));
    expect_segments(&mut s, 0..2);
    s.expect(seg().seq(2001).ack(1).data(pattern(2000, 300)));
    s.advance(200.ms());
    s.expect(seg().seq(2001).ack(1).data(pattern(2000, 300)));
    covers!("TLP-6");
}

/// Ten segments, of which the last was asked for; all is acknowledged up to that.
fn probed() -> Scene {
    let mut s = out(builder(), 10, 0);
    s.advance(200.ms());
    expect_segments(&mut s, [9]);
    s
}

#[test]
fn tlp_8_and_9_only_a_probe_that_repaired_something_costs_a_reduction() {
    let window = |s: &Scene| info(s).congestion_window;
    // A probe with new text tells nothing by being acknowledged.
    let mut s = out(builder(), 10, 1);
    s.advance(200.ms());
    expect_segments(&mut s, [10]);
    s.advance(100.ms());
    s.inject(ack(11));
    write(&mut s, 11, 1);
    taken(&mut s);
    s.advance(100.ms());
    s.inject(ack(12));
    assert_eq!(info(&s).slow_start_threshold, None);

    // The original has arrived, and then the probe: a duplicate.
    let mut s = probed();
    s.advance(100.ms());
    s.inject(ack(10));
    s.inject(sack(10, &[(9, 10)]));
    write(&mut s, 10, 1);
    taken(&mut s);
    s.advance(100.ms());
    s.inject(ack(11));
    assert_eq!(info(&s).slow_start_threshold, None);

    // Both in one: what was sent later is acknowledged, and the duplicate reported.
    let mut s = probed();
    write(&mut s, 10, 1);
    taken(&mut s);
    s.advance(100.ms());
    s.inject(sack(11, &[(9, 10)]));
    assert_eq!(info(&s).slow_start_threshold, None);

    // The probe has been of use: acknowledged, then more than that, and no duplicate was reported.
    let mut s = probed();
    s.advance(100.ms());
    s.inject(ack(10));
    assert_eq!(info(&s).slow_start_threshold, None);
    let before = window(&s);
    write(&mut s, 10, 1);
    taken(&mut s);
    s.advance(100.ms());
    s.inject(ack(11));
    assert_eq!(window(&s), before / 2, "{}", s.transcript());

    // A duplicate from a peer that reports none: both have arrived.
    let mut s = probed();
    write(&mut s, 10, 1);
    taken(&mut s);
    s.advance(50.ms());
    s.inject(ack(10));
    s.inject(ack(10));
    s.advance(50.ms());
    s.inject(ack(11));
    assert_eq!(info(&s).slow_start_threshold, None);
    covers!("TLP-8", "TLP-9");
}
