//! How fast data is delivered, and how fast it leaves (draft-ietf-ccwg-bbr §4.1, RFC 7661 §4.4.2).

use super::*;
use carrick_core::Instant;
use carrick_core::congestion::{Acked, Controller, RateSample};
use std::hash::Hasher;
use std::sync::{Arc, Mutex};

/// A window that stays as it is, and what it is told.
#[derive(Clone, Debug)]
struct Watcher {
    window: u32,
    rate: Option<u64>,
    samples: Arc<Mutex<Vec<RateSample>>>,
}

impl Controller for Watcher {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn window(&self) -> u32 {
        self.window
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.rate
    }

    fn on_start(&mut self, _mss: u32) {}

    fn on_sample(&mut self, sample: &RateSample) {
        self.samples.lock().unwrap().push(*sample);
    }

    fn on_ack(&mut self, _acked: Acked) {}

    fn on_loss(&mut self, _now: Instant, _in_flight: u32) {}

    fn on_timeout(&mut self, _now: Instant, _in_flight: u32, _first: bool) {}

    fn digest(&self, _state: &mut dyn Hasher) {}
}

type Samples = Arc<Mutex<Vec<RateSample>>>;

/// A window of so many segments, with a rate at which nothing waits.
fn watched(sack: bool, segments: u32, rate: u64) -> (Builder, Samples) {
    let samples = Samples::default();
    let watcher = Watcher { window: segments * 1000, rate: Some(rate), samples: samples.clone() };
    let builder =
        plain().sack(sack).window_scale(4).config(|config| config.congestion = Some(Box::new(watcher)));
    (builder, samples)
}

const FAST: u64 = 1_000_000_000;

fn last(samples: &Samples) -> RateSample {
    *samples.lock().unwrap().last().expect("a sample")
}

#[test]
fn rate_1_2_5_7_and_10_what_is_delivered_counts_once_and_a_stretch_ack_is_one_sample() {
    let (builder, samples) = watched(true, 20, FAST);
    let mut s = out(builder, 20, 80);
    s.advance(100.ms());
    s.inject(sack(0, &[(4, 8)]));
    let sample = last(&samples);
    assert_eq!((sample.newly_acked, sample.total_delivered, sample.delivered), (4000, 4000, 4000));
    assert_eq!((sample.prior_delivered, sample.interval, sample.tx_in_flight), (0, 100.ms(), 20_000));
    // Four lost, found with three that were reported after them.
    assert_eq!((sample.newly_lost, sample.lost, sample.in_flight), (4000, 4000, 12_000));
    assert_eq!(sample.rate(), Some(40_000));
    let count = samples.lock().unwrap().len();
    s.inject(sack(0, &[(4, 8)]));
    assert_eq!(samples.lock().unwrap().len(), count);
    taken(&mut s);
    s.advance(100.ms());
    // What was reported does not count again. The newest of it was sent with 4,000 delivered.
    s.inject(ack(8));
    let sample = last(&samples);
    assert_eq!((sample.newly_acked, sample.total_delivered), (4000, 8000));
    assert_eq!((sample.prior_delivered, sample.delivered), (4000, 4000));
    covers!("RATE-1", "RATE-2", "RATE-5", "RATE-7", "RATE-10");
}

/// What it told of a second time had been delivered since it was sent, and so counted twice.
#[test]
fn rate_1_text_that_was_dropped_and_reported_again_is_no_rate_of_before() {
    let (builder, samples) = watched(true, 20, FAST);
    let mut s = out(builder, 10, 0);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 10)]));
    expect_segments(&mut s, [0]);
    s.advance(100.ms());
    s.inject(ack(1).window(0));
    assert_eq!(taken(&mut s), []);
    // All of it is there after all.
    s.inject(ack(10));
    let sample = last(&samples);
    assert_eq!((sample.newly_acked, sample.delivered, sample.rate()), (9000, 9000, None));
}

#[test]
fn rate_3_a_pause_counts_for_nothing() {
    let (builder, samples) = watched(true, 20, FAST);
    let mut s = out(builder, 10, 0);
    s.advance(100.ms());
    s.inject(ack(10));
    s.advance(10.secs());
    write(&mut s, 10, 10);
    taken(&mut s);
    s.advance(100.ms());
    s.inject(ack(20));
    let sample = last(&samples);
    assert_eq!((sample.interval, sample.delivered), (100.ms(), 10_000));
    covers!("RATE-3");
}

#[test]
fn rate_4_6_and_8_a_burst_of_acks_is_no_faster_than_what_was_sent() {
    // A segment in 10 ms.
    let (builder, samples) = watched(true, 100, 100_000);
    let mut s = over(builder, 100.ms());
    write(&mut s, 0, 40);
    let mut sent = taken(&mut s).len() as u32;
    assert!((1..=11).contains(&sent), "{sent}");
    while sent < 40 {
        s.advance_to_next_timer();
        sent += taken(&mut s).len() as u32;
    }
    s.advance(100.ms());
    // All at once, the latest first: the span is that of the sending, and each tells of the latest sent.
    s.inject(sack(0, &[(39, 40)]));
    let late = last(&samples);
    s.inject(ack(40));
    let all = last(&samples);
    for sample in [late, all] {
        assert!(sample.rate().unwrap() <= 145_000, "{sample:?}");
    }
    assert_eq!(all.total_delivered, 40_000);
    covers!("RATE-4", "RATE-6", "RATE-8");
}

#[test]
fn rate_9_and_11_a_repetition_that_came_too_early_tells_no_rate_and_no_round_trip() {
    let (builder, samples) = watched(true, 20, FAST);
    let mut s = out(builder, 10, 0);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 10)]));
    expect_segments(&mut s, [0]);
    assert_eq!(last(&samples).rtt, Some(100.ms()));
    s.advance(10.ms());
    s.inject(ack(10));
    let sample = last(&samples);
    assert_eq!((sample.rate(), sample.rtt, sample.total_delivered), (None, None, 10_000));
    covers!("RATE-9", "RATE-11");
}

#[test]
fn rate_12_14_and_15_what_the_application_leaves_idle_is_said_and_what_a_window_does_is_not() {
    // The window is full: not the application's doing.
    let (builder, samples) = watched(true, 10, FAST);
    let mut s = out(builder, 10, 200);
    let mut acked = 0;
    for round in 0..5 {
        s.advance(100.ms());
        acked += 10;
        s.inject(ack(acked));
        taken(&mut s);
        // What was sent before there was anything to tell counts as limited.
        assert_eq!(last(&samples).app_limited, round == 0, "round {round}");
    }
    // Nor is the peer's window.
    let (builder, samples) = watched(true, 100, FAST);
    let mut s = over(builder, 100.ms());
    s.inject(seg().seq(1).ack(1).window(625));
    write(&mut s, 0, 60);
    assert_eq!(taken(&mut s).len(), 10);
    for round in 1..5 {
        s.advance(100.ms());
        s.inject(ack(10 * round).window(625));
        taken(&mut s);
        assert_eq!(last(&samples).app_limited, round == 1, "round {round}");
    }
    // Now it runs dry: what is written next is marked, until all of it that left during the bubble is acknowledged.
    s.advance(100.ms());
    s.inject(ack(50).window(625));
    taken(&mut s);
    s.advance(100.ms());
    s.inject(ack(55).window(6250));
    write(&mut s, 60, 100);
    taken(&mut s);
    s.advance(100.ms());
    s.inject(ack(70).window(6250));
    assert!(last(&samples).app_limited);
    taken(&mut s);
    s.advance(100.ms());
    s.inject(ack(155).window(6250));
    assert!(last(&samples).app_limited);
    // What left after that is not: the window held it back.
    s.inject(ack(160).window(6250));
    assert!(!last(&samples).app_limited);
    covers!("RATE-12", "RATE-14", "RATE-15");
}

#[test]
fn rate_13_what_is_written_after_a_silence_is_limited_by_the_application() {
    let (builder, samples) = watched(true, 20, FAST);
    let mut s = out(builder, 20, 10);
    s.advance(100.ms());
    s.inject(ack(20));
    assert_eq!(taken(&mut s).len(), 10);
    // Half of the window is used, and nothing is left; then something is written.
    s.advance(50.ms());
    write(&mut s, 30, 5);
    assert_eq!(taken(&mut s).len(), 5);
    s.advance(50.ms());
    s.inject(ack(30));
    assert!(!last(&samples).app_limited);
    s.advance(50.ms());
    s.inject(ack(35));
    assert!(last(&samples).app_limited);
    covers!("RATE-13");
}

#[test]
fn rate_17_and_18_parts_of_a_segment_and_of_a_super_segment() {
    let (builder, samples) = watched(true, 20, FAST);
    let mut s = out(builder.offload(carrick_sim::Offload::Whole), 0, 0);
    write(&mut s, 0, 10);
    assert!(s.take().is_some());
    s.expect_nothing();
    s.advance(100.ms());
    for (at, total) in [(400, 400), (1000, 1000), (2500, 2500), (3000, 3000)] {
        s.inject(seg().seq(1).ack(1 + at));
        let sample = last(&samples);
        assert_eq!((sample.total_delivered, sample.prior_delivered), (total, 0));
        assert_eq!(sample.interval, 100.ms());
    }
    s.inject(seg().seq(1).ack(3001).sack(&[(start(5), start(8))]));
    let sample = last(&samples);
    assert_eq!((sample.newly_acked, sample.total_delivered, sample.tx_in_flight), (3000, 6000, 10_000));
    covers!("RATE-17", "RATE-18");
}

#[test]
fn pace_1_and_2_the_window_is_spread_over_the_round_trip() {
    // Ten at once; then, in slow start, twice as fast as the window turns over.
    let mut s = out(builder(), 10, 90);
    s.advance(100.ms());
    s.inject(ack(10));
    // A window of twenty in 50 ms: one each 2.5 ms, and what it is owed for having waited.
    let first = taken(&mut s).len();
    assert!((10..=12).contains(&first), "{first}");
    // Each may leave a millisecond early, that of the burst too.
    let mut sent = first;
    let mut gap = Duration::from_micros(1500);
    while sent < 20 {
        assert_eq!(s.advance_to_next_timer(), Some(gap), "{sent}");
        gap = Duration::from_micros(2500);
        sent += taken(&mut s).len();
    }
    // A repetition by the timer waits for no turn.
    while info(&s).timeouts == 0 {
        s.advance_to_next_timer();
    }
    assert!(taken(&mut s).contains(&10));
    covers!("PACE-1", "PACE-2");
}

#[test]
fn pace_3_no_burst_is_larger_than_ten_segments_or_a_millisecond() {
    // 100 segments in 100 ms, after any pause.
    for (rate, most) in [(1_000_000, 12), (100_000_000, 202)] {
        let (builder, _) = watched(true, 1000, rate);
        let mut s = over(builder, 100.ms());
        s.inject(ack(0));
        s.advance(10.secs());
        write(&mut s, 0, 500);
        let burst = taken(&mut s).len();
        assert!(burst <= most && burst >= most / 2 - 2, "{rate}: {burst}");
        // And from then on what the rate lets leave in a millisecond, and one more.
        while s.advance_to_next_timer().is_some_and(|waited| waited < 100.ms()) {
            let more = taken(&mut s).len() as u64;
            assert!(more <= rate / 1_000_000 + 2, "{rate}: {more}");
        }
    }
    covers!("PACE-3", "T-CCX-7");
}

/// Right at 100 kbit/s and cheap at 40 Gbit/s, with timers that come at whole milliseconds, as tokio's do.
#[test]
fn pace_3_with_timers_that_tick_frames_hold_a_millisecond() {
    for (rate, bytes, most_frames, least, most) in [
        (12_500, 100_000, 90, 7_100.ms(), 7_200.ms()),
        (125_000_000, 12_000_000, 300, 93.ms(), 96.ms()),
        (5_000_000_000, 12_000_000, 200, 1.ms(), 3.ms()),
    ] {
        // Nothing is acknowledged, and nobody asks why.
        let (builder, _) = watched(false, 20_000, rate);
        let builder = builder.window_scale(10).offload(carrick_sim::Offload::Whole);
        let builder = builder.config(|config| (config.send_buffer, config.min_rto) = (16 << 20, 60.secs()));
        let mut s = over(builder, 100.ms());
        s.inject(ack(0));
        s.advance(10.secs());
        let began = s.now();
        let (mut unsent, mut frames) = (bytes, 0);
        s.send(pattern(0, unsent));
        loop {
            while let Some(packet) = s.take() {
                frames += 1;
                unsent -= packet.segment().expect("a segment").payload.len();
            }
            if unsent == 0 {
                break;
            }
            let timer = s.host().poll_timeout().expect("more is to be sent");
            let tick = timer.as_nanos().next_multiple_of(1_000_000);
            s.advance_late(carrick_core::Instant::from_nanos(tick).since(s.now()));
        }
        let took = s.now().since(began);
        assert!((least..=most).contains(&took) && frames <= most_frames, "{rate}: {frames} in {took:?}");
    }
}

#[test]
fn pace_3_a_hundred_kilobits_a_second_are_kept() {
    // 12,500 bytes per second: one segment in 80 ms.
    let (builder, _) = watched(true, 1000, 12_500);
    let mut s = over(builder, 100.ms());
    write(&mut s, 0, 300);
    let mut sent = taken(&mut s).len() as u32;
    assert!((1..=12).contains(&sent), "{sent}");
    let (first, began) = (sent, s.now());
    while sent < 300 {
        s.inject(ack(sent));
        s.advance_to_next_timer();
        let more = taken(&mut s).len() as u32;
        assert!(more <= 1, "{more} at once");
        sent += more;
    }
    let rate = f64::from(sent - first) * 1000.0 / s.now().since(began).as_secs_f64();
    println!("{rate:.0} bytes per second");
    assert!((12_375.0..=12_625.0).contains(&rate), "{rate:.0} bytes per second");
    covers!("PACE-3");
}

/// A window of eighty segments, of which two are used in a round trip for longer than a second: kept, and not sent at once when
/// there is much to send again (RFC 7661 §4.4.2).
#[test]
fn cwv_7_a_window_that_was_not_used_is_spread_over_the_round_trip() {
    let mut s = over(plain().window_scale(4), 100.ms());
    let mut sent = 0;
    let mut round = |s: &mut Scene, segments: u32| {
        write(s, sent as usize, segments as usize);
        let mut bursts = vec![taken(s).len()];
        while bursts.iter().sum::<usize>() < segments as usize {
            s.advance_to_next_timer();
            bursts.push(taken(s).len());
        }
        sent += segments;
        let took = s.now();
        s.advance(100.ms());
        s.inject(ack(sent));
        (bursts, took)
    };
    for segments in [10, 20, 40] {
        round(&mut s, segments);
    }
    assert_eq!(info(&s).congestion_window, 80_000);
    for _ in 0..20 {
        round(&mut s, 2);
    }
    assert_eq!(info(&s).congestion_window, 80_000, "kept, and no larger");
    let (began, rtt) = (s.now(), info(&s).rtt.expect("it is measured"));
    let (bursts, took) = round(&mut s, 80);
    assert!((10..=12).contains(&bursts[0]), "{bursts:?}");
    assert!(bursts[1..].iter().all(|burst| *burst <= 2), "{bursts:?}");
    // Twice as fast as the window turns over, in slow start, less what it is owed.
    let spread = took.since(began);
    assert!(spread >= rtt * 2 / 5 && spread <= rtt / 2, "{spread:?} of {rtt:?}");
    covers!("CWV-7");
}
