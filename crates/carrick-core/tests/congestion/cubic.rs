//! CUBIC's rules one by one, with the numbers of RFC 9438.

use super::*;
use carrick_covers::covers;

/// Congestion avoidance since `at(0.0)`, after a loss at a window of so many segments, all in flight.
fn after_loss(segments: u32) -> Cubic {
    let mut cubic = started(Cubic::default(), segments);
    cubic.on_loss(Instant::ZERO, segments * MSS);
    cubic.on_recovered(Instant::ZERO, 0, MSS);
    begin(&mut cubic, 0.0);
    cubic
}

/// A stage begins with an ACK of next to nothing.
fn begin(cubic: &mut Cubic, time: f64) {
    let before = cubic.window();
    cubic.on_ack(ack(at(time), 1));
    assert!(cubic.window() <= before + 1);
}

/// The window after one ACK for all of it, which leads to what the curve says for `srtt` later.
fn later(cubic: &Cubic, time: f64, srtt: f64) -> u32 {
    let mut cubic = cubic.clone();
    cubic.on_ack(Acked { srtt: Some(seconds(srtt)), ..ack(at(time), cubic.window()) });
    cubic.window()
}

#[test]
fn cubic_1_cubic_2_cubic_7_the_curve_of_a_window_of_100() {
    let cubic = after_loss(100);
    assert_eq!(cubic.window(), 70_000);
    // K is 4.217 s.
    for (t, segments) in
        [(0.5, 79.4575), (2.0, 95.6417), (3.217, 99.6), (4.217, 100.0), (5.217, 100.4), (6.0, 102.2673)]
    {
        assert_near(later(&cubic, t, 0.0), segments);
        // What counts is where the curve is a round trip later.
        assert_near(later(&cubic, t - 0.4, 0.4), segments);
    }
    // A part of the window goes that part of the way.
    let mut cubic = cubic;
    cubic.on_ack(ack(at(4.217), 7_000));
    assert_near(cubic.window(), 73.0);
    covers!("CUBIC-1", "CUBIC-2", "CUBIC-7");
}

#[test]
fn cubic_3_time_when_the_window_was_not_the_limit_does_not_count() {
    let mut steady = after_loss(100);
    begin(&mut steady, 1.5);
    // From 1.5 s to 11.5 s, heard of by acknowledgements that say so,
    let mut limited = steady.clone();
    for time in [1.5, 4.0, 9.0, 11.5] {
        let before = limited.window();
        limited.on_ack(Acked { limited: false, ..ack(at(time), 10_000) });
        assert_eq!(limited.window(), before);
    }
    begin(&mut limited, 11.5);
    // or of idleness.
    let mut idle = steady.clone();
    idle.on_restart(at(11.5), seconds(10.0));
    // One after the other.
    let mut both = limited.clone();
    both.on_ack(Acked { limited: false, ..ack(at(11.5), 10_000) });
    both.on_restart(at(21.5), seconds(10.0));
    begin(&mut both, 21.5);
    for (t, srtt) in [(0.0, 0.0), (0.5, 0.1), (3.0, 0.0)] {
        let expected = later(&steady, 1.5 + t, srtt);
        assert_eq!(later(&limited, 11.5 + t, srtt), expected);
        assert_eq!(later(&idle, 11.5 + t, srtt), expected);
        assert_eq!(later(&both, 21.5 + t, srtt), expected);
    }
    covers!("CUBIC-3");
}

#[test]
fn cubic_4_half_of_the_window_more_in_a_round_trip_at_most() {
    let cubic = after_loss(100);
    for time in [10.0, 1e4, 1e9] {
        assert_eq!(later(&cubic, time, 0.0), 105_000);
        assert_eq!(later(&cubic, 0.1, time), 105_000);
    }
    covers!("CUBIC-4");
}

#[test]
fn cubic_5_cubic_6_on_a_short_path_it_grows_as_reno_would() {
    let mut cubic = after_loss(20);
    let (mut now, mut est) = (0.0, 14.0);
    let mut reached = 0;
    for window in 0..40 {
        // An ACK for each segment, a round trip of 1 ms, in which the curve does not move.
        let mut left = cubic.window();
        while left > 0 {
            now += 0.001 / 20.0;
            let bytes = left.min(MSS);
            cubic.on_ack(Acked { srtt: Some(seconds(0.001)), ..ack(at(now), bytes) });
            // RFC 9438 §4.3, with the window that it makes.
            est += if est < 20.0 { 9.0 / 17.0 } else { 1.0 } * f64::from(bytes) / f64::from(MSS) / est;
            left -= bytes;
        }
        assert!(
            (f64::from(cubic.window()) / 1000.0 - est).abs() <= 1.0,
            "{} and {est} after {window}",
            cubic.window()
        );
        if reached == 0 && cubic.window() >= 20_000 {
            reached = window;
        }
    }
    // 6 segments more at 9/17 of one for each round trip, and then a whole one.
    assert!((11..=13).contains(&reached), "{reached}");
    assert!(
        cubic.window().abs_diff(20_000 + (39 - reached) * 1000) <= 1000,
        "{} since {reached}",
        cubic.window()
    );
    covers!("CUBIC-5", "CUBIC-6");
}

#[test]
fn cubic_8_seven_tenths() {
    for (cwnd, in_flight, window) in
        [(10, 10_000, 7_000), (100, 10_000, 7_000), (10, 2_900, 2_030), (10, 2_857, 2_000), (10, 0, 2_000)]
    {
        let mut cubic = started(Cubic::default(), cwnd);
        cubic.on_loss(Instant::ZERO, in_flight);
        assert_eq!((cubic.window(), cubic.threshold()), (window, Some(window)));
        cubic.on_recovered(Instant::ZERO, 0, 1000);
        assert_eq!(cubic.window(), window, "PRR-11: the window is ssthresh from the loss on");
    }
    // A mark: of the window, and down to one segment, while the threshold stays at two.
    let mut cubic = started(Cubic::default(), 10);
    let seen = [(); 7].map(|()| {
        cubic.on_ecn(Instant::ZERO, 100);
        (cubic.window(), cubic.threshold().unwrap())
    });
    assert_eq!(seen[..4], [(7000, 7000), (4900, 4900), (3430, 3430), (2401, 2401)]);
    assert_eq!(seen[4..], [(1680, 2000), (1176, 2000), (1000, 2000)]);
    covers!("CUBIC-8");
}

#[test]
fn cubic_9_a_window_that_was_not_used_gains_nothing() {
    let mut cubic = started(Cubic::default(), 10);
    for n in 0..100 {
        cubic.on_ack(Acked { limited: false, ..ack(at(f64::from(n)), 3000) });
    }
    assert_eq!(cubic.window(), 10_000);
    cubic.on_loss(at(100.0), 3000);
    assert_eq!((cubic.window(), cubic.threshold()), (2100, Some(2100)));
    covers!("CUBIC-9");
}

#[test]
fn cubic_11_cubic_17_who_has_less_than_last_time_leaves_room() {
    let mut cubic = after_loss(100);
    // W(0.533) is 80.
    cubic.on_ack(ack(at(0.533_17), cubic.window()));
    assert_near(cubic.window(), 80.0);
    cubic.on_loss(at(1.0), cubic.window());
    assert_near(cubic.window(), 56.0);
    begin(&mut cubic, 1.0);
    // W_max is 68, K from the window that is, 3.107 s.
    for (t, segments) in [(2.107, 67.6), (3.107, 68.0), (4.107, 68.4)] {
        assert_near(later(&cubic, 1.0 + t, 0.0), segments);
    }
    // At the same window once more there is nothing to leave.
    let mut again = after_loss(100);
    again.on_ack(ack(at(4.217_2), again.window()));
    assert_eq!(again.window(), 100_000);
    again.on_loss(at(5.0), 100_000);
    begin(&mut again, 5.0);
    assert_near(later(&again, 5.0 + 4.217, 0.0), 100.0);
    covers!("CUBIC-11");
}

#[test]
fn cubic_12_a_timeout_and_the_stage_after_it() {
    let mut cubic = started(Cubic::default(), 100);
    cubic.on_timeout(Instant::ZERO, 10_000, true);
    assert_eq!((cubic.window(), cubic.threshold()), (1000, Some(7000)));
    // Again, for the same text.
    cubic.on_timeout(at(1.0), 1000, false);
    assert_eq!((cubic.window(), cubic.threshold()), (1000, Some(7000)));
    cubic.on_ack(ack(at(2.0), 6000));
    assert_eq!(cubic.window(), 7000);
    begin(&mut cubic, 2.0);
    // The plateau is where it begins: K is 0, W_max is 7.
    for (t, segments) in [(1.5, 8.35), (2.0, 10.2), (5.0, 10.5)] {
        assert_near(later(&cubic, 2.0 + t, 0.0), segments);
    }
    // Where congestion was met before is forgotten: alpha is 1, a segment for each window.
    for _ in 0..3 {
        cubic.on_ack(ack(at(2.0), cubic.window()));
    }
    assert_eq!(cubic.window(), 10_000);
    covers!("CUBIC-12");
}

#[test]
fn cubic_13_a_needless_reduction_is_taken_back() {
    let before = after_loss(100);
    let mut cubic = before.clone();
    cubic.on_loss(at(1.0), cubic.window());
    assert_eq!(cubic.window(), 49_000);
    let lost = cubic.clone();
    cubic.on_spurious(needless(false, 70_000, 1000));
    assert_eq!((cubic.window(), cubic.threshold()), (70_000, Some(70_000)));
    for (t, srtt) in [(2.0, 0.0), (4.217, 0.1), (8.0, 0.0)] {
        assert_eq!(later(&cubic, t, srtt), later(&before, t, srtt), "as if nothing had been");
    }
    // Once.
    cubic.on_ecn(at(1.0), 0);
    cubic.on_spurious(needless(false, 70_000, 1000));
    assert_eq!(cubic.window(), 49_000, "a mark is true whatever else was not");

    // Where the window is as large by now it stays as it is.
    let mut grown = lost.clone();
    begin(&mut grown, 1.0);
    grown.on_ack(ack(at(100.0), grown.window()));
    assert_eq!(grown.window(), 73_500);
    grown.on_spurious(needless(false, 0, 0));
    assert_eq!((grown.window(), grown.threshold()), (73_500, Some(49_000)));

    // After three round trips nobody says so any more.
    for (rounds, window) in [(2, 70_000), (3, 49_000)] {
        let mut late = lost.clone();
        for _ in 0..rounds {
            late.on_ack(Acked { round: true, limited: false, ..ack(at(1.0), 1000) });
        }
        late.on_spurious(needless(false, 0, 0));
        assert_eq!(late.window(), window);
    }

    // In the first slow start, which goes on.
    let mut first = started(Cubic::default(), 100);
    first.on_loss(at(1.0), 100_000);
    first.on_spurious(needless(false, 0, 0));
    assert_eq!((first.window(), first.threshold()), (100_000, None));
    first.on_spurious(needless(false, 0, 0));
    assert_eq!((first.window(), first.threshold()), (100_000, None));
    covers!("CUBIC-13");
}

/// FRTO-10: the response of RFC 4015 to a timeout that was none.
#[test]
fn frto_10_after_a_needless_timeout_slow_start_leads_back() {
    for (mut controller, _) in both(100) {
        controller.on_loss(Instant::ZERO, 100_000);
        let threshold = controller.window();
        controller.on_timeout(at(1.0), 20_000, true);
        controller.on_timeout(at(3.0), 20_000, false);
        controller.on_spurious(needless(true, 18_000, 2_000));
        assert_eq!((controller.window(), controller.threshold()), (20_000, Some(threshold)));
        // No more than an initial window at once; the flight, if it was above the threshold.
        controller.on_timeout(at(4.0), threshold + 5, true);
        controller.on_spurious(needless(true, 18_000, 50_000));
        assert_eq!((controller.window(), controller.threshold()), (28_000, Some(threshold + 5)));
    }
}

#[test]
fn cubic_16_time_alone_changes_nothing() {
    let mut cubic = after_loss(100);
    let before = cubic.window();
    for time in [1.0, 10.0, 100.0] {
        cubic.on_sample(&carrick_core::congestion::RateSample {
            now: at(time),
            delivered: 9,
            ..Default::default()
        });
        cubic.on_ack(ack(at(time), 0));
        assert_eq!(cubic.window(), before);
    }
    covers!("CUBIC-16");
}

#[test]
fn cubic_17_no_root_of_a_negative_number() {
    // Two segments are no less than W_max was: the plateau is here.
    let mut cubic = started(Cubic::default(), 10);
    cubic.on_timeout(Instant::ZERO, 0, true);
    cubic.on_loss(Instant::ZERO, 1000);
    assert_eq!(cubic.window(), 2000);
    begin(&mut cubic, 0.0);
    cubic.on_ack(ack(at(1.0), 200));
    assert_near(cubic.window(), 2.04);
    covers!("CUBIC-17");
}

#[test]
fn cubic_18_fractions_add_up() {
    // 10,000 segments, near the plateau: the curve is 0.4 segments above it, and grows by 4e-5 of a segment for each.
    let mut cubic = after_loss(10_000);
    let k = (3000.0f64 / 0.4).cbrt();
    for _ in 0..40 {
        cubic.on_ack(ack(at(k), cubic.window()));
    }
    assert_near(cubic.window(), 10_000.0);
    let whole = later(&cubic, k + 1.0, 0.0);
    assert_near(whole, 10_000.4);
    for bytes in [1, 7, 1000] {
        let mut parts = cubic.clone();
        for _ in 0..cubic.window() / bytes {
            parts.on_ack(ack(at(k + 1.0), bytes));
        }
        // Step by step the way that is left gets shorter, 1 - 1/e of it in one window.
        let way = f64::from(parts.window() - cubic.window()) / f64::from(whole - cubic.window());
        assert!((way - 0.632).abs() < 0.02, "{way} of the way in steps of {bytes}");
    }
    covers!("CUBIC-18");
}

#[test]
fn smaller_segments_make_a_smaller_window_of_as_many() {
    for (mut controller, tenths) in both(100) {
        controller.on_loss(Instant::ZERO, 100_000);
        controller.on_start(500);
        assert_eq!(controller.window(), tenths * 10_000 / 2);
        controller.on_spurious(needless(false, 0, 0));
        assert_eq!(controller.window(), tenths * 10_000 / 2, "that was the window of other segments");
        controller.on_start(5000);
        assert_eq!(controller.window(), tenths * 10_000 / 2);
    }
    // Slow start leads back to the threshold, and the curve to the bytes that there were.
    let mut cubic = after_loss(100);
    cubic.on_start(500);
    cubic.on_ack(ack(at(50.0), 35_000));
    assert_eq!(cubic.window(), 70_000);
    begin(&mut cubic, 50.0);
    assert_near(later(&cubic, 50.0 + (60.0f64 / 0.4).cbrt(), 0.0), 100.0);
}
