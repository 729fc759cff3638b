//! The initial window, slow start and Reno's rules, and HyStart++ as CUBIC uses it.

use super::*;
use carrick_covers::covers;

#[test]
fn cc_3_ten_segments_or_14600_bytes_or_two() {
    for (mss, window) in [
        (1460, 14_600),
        (536, 5_360),
        (9_000, 18_000),
        (1, 10),
        (7_300, 14_600),
        (7_301, 14_602),
        (65_495, 130_990),
    ] {
        for mut controller in
            [Box::new(NewReno::default()) as Box<dyn Controller>, Box::new(Cubic::default())]
        {
            controller.on_start(mss);
            assert_eq!((controller.window(), controller.threshold()), (window, None));
            covers!("CC-3", "CC-11");
        }
    }
}

#[test]
fn cc_5_one_segment_after_a_handshake_that_lost_twice() {
    for mut controller in [Box::new(NewReno::default()) as Box<dyn Controller>, Box::new(Cubic::default())] {
        controller.on_start(1460);
        controller.on_handshake_loss();
        assert_eq!((controller.window(), controller.threshold()), (1460, None));
        controller.on_ack(ack(Instant::ZERO, 1460));
        assert_eq!(controller.window(), 2920, "slow start goes on from there");
    }
    covers!("CC-5");
}

#[test]
fn cc_9_a_segment_for_each_window_and_no_more() {
    let mut reno = started(NewReno::default(), 20);
    reno.on_loss(Instant::ZERO, 20_000);
    // However the acknowledgements are cut.
    for bytes in [1, 100, 2000, 10_000] {
        let mut reno = reno.clone();
        for _ in 0..10_000 / bytes {
            assert_eq!(reno.window(), 10_000);
            reno.on_ack(ack(Instant::ZERO, bytes));
        }
        assert_eq!(reno.window(), 11_000);
        // What is over is kept: 3,500 of the next 12,000.
        reno.on_ack(ack(Instant::ZERO, 14_500));
        assert_eq!(reno.window(), 12_000);
        reno.on_ack(ack(Instant::ZERO, 8_499));
        assert_eq!(reno.window(), 12_000);
        reno.on_ack(ack(Instant::ZERO, 1));
        assert_eq!(reno.window(), 13_000);
        // One ACK may stand for several windows.
        reno.on_ack(ack(Instant::ZERO, 13_000 + 14_000 + 14_999));
        assert_eq!(reno.window(), 15_000);
    }
    covers!("CC-9");
}

#[test]
fn cc_12_cc_13_cc_14_timeouts() {
    for (mut controller, tenths) in both(100) {
        controller.on_timeout(Instant::ZERO, 10_000, true);
        assert_eq!((controller.window(), controller.threshold()), (1000, Some(tenths * 1000)));
        for _ in 0..3 {
            controller.on_timeout(Instant::ZERO, 1000, false);
            assert_eq!((controller.window(), controller.threshold()), (1000, Some(tenths * 1000)));
        }
        // Then slow start up to the threshold.
        controller.on_ack(ack(Instant::ZERO, 1000));
        controller.on_ack(ack(Instant::ZERO, 2000));
        assert_eq!(controller.window(), 4000);
        controller.on_timeout(Instant::ZERO, 3000, true);
        assert_eq!(
            controller.threshold(),
            Some(tenths.max(6) / 7 * 100 + 2000),
            "of 3,000, and at least two segments"
        );
    }
    covers!("CC-12", "CC-13", "CC-14");
}

#[test]
fn cc_16_as_many_segments_when_they_get_smaller() {
    for mut controller in [Box::new(NewReno::default()) as Box<dyn Controller>, Box::new(Cubic::default())] {
        controller.on_start(1460);
        controller.on_start(536);
        assert_eq!(controller.window(), 5360);
        controller.on_start(1460);
        assert_eq!(controller.window(), 5360, "larger ones do not make it larger");
        controller.on_timeout(Instant::ZERO, 0, true);
        controller.on_start(9000);
        assert_eq!(controller.window(), 9000, "than one of them");
    }
    covers!("CC-16");
}

#[test]
fn cc_17_a_window_that_kept_nothing_back_does_not_grow() {
    for (mut controller, tenths) in both(20) {
        for stage in 0..2 {
            let before = controller.window();
            for n in 0..50 {
                controller.on_ack(Acked {
                    limited: false,
                    round: true,
                    ..ack(at(f64::from(n) / 100.0), before)
                });
            }
            assert_eq!(controller.window(), before, "stage {stage}");
            controller.on_loss(at(1.0), before);
            assert_eq!(controller.window(), before / 10 * tenths);
        }
    }
    covers!("CC-17");
}

#[test]
fn cc_2_cc_18_after_a_loss_in_the_initial_window_later_ones_are_smaller() {
    // The window after six minutes of idleness is never less than the initial one.
    let later = |mss: u32, doubled: bool, in_flight: u32| {
        let mut reno = NewReno::default();
        reno.on_start(mss);
        let initial = reno.window();
        reno.on_ack(ack(Instant::ZERO, if doubled { initial } else { initial - 1 }));
        reno.on_timeout(Instant::ZERO, in_flight, true);
        assert_eq!(reno.window(), mss, "the loss window stays what it is");
        for _ in 0..6 {
            reno.on_ack(ack(Instant::ZERO, reno.window()));
        }
        reno.on_ack(ack(Instant::ZERO, 20 * initial));
        for n in 1..400u32 {
            let now = at(f64::from(n) * 360.0);
            reno.on_restart(now, seconds(360.0));
        }
        reno.window()
    };
    for (mss, window) in [
        (500, 2_000),
        (1_095, 4_380),
        (1_096, 3_288),
        (1_460, 4_380),
        (2_190, 6_570),
        (2_191, 4_382),
        (9_000, 18_000),
    ] {
        let initial = (10 * mss).min(14_600.max(2 * mss));
        assert_eq!(later(mss, false, 4097), window);
        assert_eq!(later(mss, false, 4096), initial, "little had been sent");
        assert_eq!(later(mss, true, 20_000), initial, "it was not the first");
    }
    covers!("CC-2", "CC-18");
}

/// A round of ACKs, one for each segment.
fn round(cubic: &mut Cubic, rtt: f64) -> u32 {
    let before = cubic.window();
    for n in 0..before / MSS {
        let rtt = Some(seconds(rtt));
        cubic.on_ack(Acked { rtt, round: n == 0, in_flight: before, ..ack(at(0.0), MSS) });
    }
    before
}

#[test]
fn hspp_2_cubic_14_everything_acknowledged_grows_the_window() {
    let mut cubic = Cubic::default();
    cubic.on_start(MSS);
    for bytes in [1, 1000, 20_000, 64_000] {
        let before = cubic.window();
        cubic.on_ack(ack(Instant::ZERO, bytes));
        assert_eq!(cubic.window(), before + bytes);
    }
    // Up to the threshold, of one ACK too, and from there on the curve.
    let mut cubic = started(Cubic::default(), 100);
    cubic.on_timeout(Instant::ZERO, 100_000, true);
    cubic.on_ack(ack(Instant::ZERO, 68_999));
    assert_eq!(cubic.window(), 69_999);
    cubic.on_ack(ack(Instant::ZERO, 40_000));
    assert!((70_000..71_000).contains(&cubic.window()), "{}", cubic.window());
    covers!("HSPP-2", "CUBIC-14");
}

#[test]
fn hspp_6_hspp_8_cubic_15_slower_when_round_trips_grow_and_then_congestion_avoidance() {
    let mut cubic = Cubic::default();
    cubic.on_start(MSS);
    round(&mut cubic, 0.020);
    assert_eq!(cubic.window(), 20_000);
    // The eighth sample tells: seven segments, and a quarter of thirteen.
    round(&mut cubic, 0.024);
    assert_eq!(cubic.window(), 20_000 + 7_000 + 13 * 250);
    for _ in 0..4 {
        let before = round(&mut cubic, 0.030);
        assert_eq!(cubic.window(), before + before / MSS * 250);
        assert_eq!(cubic.threshold(), None);
    }
    let before = cubic.window();
    cubic.on_ack(Acked { round: true, ..ack(at(0.0), 0) });
    assert_eq!((cubic.window(), cubic.threshold()), (before, Some(before)));
    // K is 0, W_max is here.
    let mut later = cubic.clone();
    later.on_ack(ack(at(0.0), 1));
    later.on_ack(ack(at(3.0), before));
    assert_near(later.window(), f64::from(before) / 1000.0 + 0.4 * 27.0);
    // With nothing lost, alpha is 1 from the beginning: a segment for each window.
    for _ in 0..3 {
        cubic.on_ack(ack(at(0.0), cubic.window()));
    }
    assert_eq!(cubic.window(), before + 3000);
    covers!("HSPP-6", "HSPP-8", "CUBIC-15");
}

#[test]
fn hspp_9_congestion_ends_conservative_slow_start_too() {
    for conservative in [false, true] {
        let mut start = Cubic::default();
        start.on_start(MSS);
        round(&mut start, 0.020);
        round(&mut start, if conservative { 0.030 } else { 0.020 });
        let window = start.window();
        let (mut lost, mut marked) = (start.clone(), start);
        lost.on_loss(at(0.0), window);
        marked.on_ecn(at(0.0), window);
        for cubic in [&mut lost, &mut marked] {
            assert_eq!((cubic.window(), cubic.threshold()), (window * 7 / 10, Some(window * 7 / 10)));
            cubic.on_ack(ack(at(0.0), 1000));
            assert!(cubic.window() < window * 7 / 10 + 1000, "congestion avoidance");
        }
    }
    covers!("HSPP-9");
}

#[test]
fn hspp_10_the_second_slow_start_is_plain() {
    let mut cubic = started(Cubic::default(), 100);
    cubic.on_timeout(Instant::ZERO, 100_000, true);
    cubic.on_ack(ack(Instant::ZERO, 19_000));
    round(&mut cubic, 0.020);
    assert_eq!(cubic.window(), 40_000);
    round(&mut cubic, 0.100);
    assert!((70_000..70_500).contains(&cubic.window()), "up to the threshold");
    covers!("HSPP-10");
}

#[test]
fn t_ccx_1_divided_acks_gain_nothing() {
    for (controller, tenths) in both(100) {
        for lost in [false, true] {
            let [mut one, mut many] = [controller.clone(), controller.clone()];
            for controller in [&mut one, &mut many] {
                if lost {
                    controller.on_loss(Instant::ZERO, 100_000);
                    controller.on_ack(ack(Instant::ZERO, 1));
                }
            }
            one.on_ack(ack(at(3.0), 1460));
            for _ in 0..1460 {
                many.on_ack(Acked { in_flight: 100_000, ..ack(at(3.0), 1) });
            }
            assert!(many.window() <= one.window(), "{tenths}, {lost}");
            assert!(many.window() + 20 >= one.window(), "{tenths}, {lost}");
        }
    }
    covers!("T-CCX-1");
}
