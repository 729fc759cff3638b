//! The retransmission timer (RFC 6298), as packets show it. Its arithmetic is tested where it is.

use carrick_core::{ConnectionError, Instant};
use carrick_covers::covers;
use carrick_sim::{Builder, Rng, Scene, Span, TcpState, pattern, seg};
use std::collections::BTreeMap;
use std::time::Duration;

/// A connection whose handshake took that long.
fn handshake_of(builder: Builder, round_trip: Duration) -> Scene {
    let mut s = builder.connecting();
    s.advance(round_trip);
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s
}

/// How long the timer waits for what is sent now, without waiting for it.
fn timeout(s: &Scene) -> Duration {
    let deadline = s.connection().and_then(|connection| connection.poll_timeout());
    deadline.expect("a timer").since(s.now())
}

#[test]
fn rto_1_a_syn_is_sent_again_after_1_3_7_and_15_seconds() {
    let mut s = Scene::connecting();
    let start = s.now();
    for seconds in [1, 3, 7, 15, 31, 63] {
        s.advance_to_next_timer();
        assert_eq!(s.now().since(start), seconds.secs());
        s.expect(seg().syn().seq(0));
        s.expect_nothing();
    }
    covers!("RTO-1", "RTO-15", "RTO-16");
}

#[test]
fn rto_2_3_and_8_each_round_trip_is_measured() {
    let mut s = handshake_of(Scene::builder(), 400.ms());
    let (mut srtt, mut rttvar) = (400_000u64, 200_000u64);
    let mut next = 1;
    for round_trip in [800, 300, 500, 250, 1000, 90, 90, 90] {
        s.send([1; 10]);
        s.expect(seg().seq(next).ack(1).len(10));
        assert_eq!(timeout(&s), (srtt + 4 * rttvar).us(), "before a round trip of {round_trip} ms");
        s.advance(round_trip.ms());
        next += 10;
        s.inject(seg().seq(1).ack(next));
        let sample = round_trip * 1000;
        rttvar = (3 * rttvar + srtt.abs_diff(sample)) / 4;
        srtt = (7 * srtt + sample) / 8;
    }
    covers!("RTO-2", "RTO-3", "RTO-8", "MUST-18");
}

/// RTO-5 asks for a second, which is what `min_rto` can be set to (`docs/decisions/timeouts.md`).
#[test]
fn the_floor_is_200_ms_or_the_rfcs_second_beyond_the_round_trip() {
    for trip in [10.ms(), 40.ms()] {
        for floor in [200.ms(), 1.secs()] {
            let mut s = handshake_of(Scene::builder().config(|c| c.min_rto = floor), trip);
            s.send(b"?");
            s.expect(seg().seq(1).ack(1).len(1));
            assert_eq!(s.advance_to_next_timer(), Some(trip + floor));
            s.expect(seg().seq(1).ack(1).len(1));
        }
    }
}

#[test]
fn rto_7_and_19_an_ambiguous_round_trip_is_no_sample_and_the_back_off_stays() {
    for timestamps in [false, true] {
        let mut s = handshake_of(Scene::builder().timestamps(timestamps), 100.ms());
        s.send([1; 10]);
        s.expect(seg().seq(1).ack(1).len(10));
        assert_eq!(s.advance_to_next_timer(), Some(300.ms()));
        s.expect(seg().seq(1).ack(1).len(10));
        s.advance(100.ms());
        // With timestamps it names the copy.
        s.inject(seg().seq(1).ack(11));
        s.send([2; 10]);
        s.expect(seg().seq(11).ack(1).len(10));
        // RTTVAR 37.5 ms after a sample of 100 ms, which counts as 50 ms; else the doubled timeout.
        let expected = if timestamps { 300.ms() } else { 600.ms() };
        assert_eq!(timeout(&s), expected, "timestamps: {timestamps}");
        s.advance(100.ms());
        s.inject(seg().seq(1).ack(21));
        s.send([3; 10]);
        s.expect(seg().seq(21).ack(1).len(10));
        assert_eq!(timeout(&s), 300.ms(), "a valid sample ends it");
    }
    covers!("RTO-7", "RTO-19", "MUST-18");
}

#[test]
fn rto_9_an_echo_counts_only_where_something_is_acknowledged() {
    let mut s = handshake_of(Scene::builder().timestamps(true), 100.ms());
    s.advance(100.secs());
    // Text after a long pause echoes what we said long ago.
    s.inject(seg().seq(1).ack(1).len(10));
    s.advance(1.secs());
    while s.take().is_some() {}
    s.send([1; 10]);
    s.expect(seg().seq(1).ack(11).len(10));
    assert_eq!(timeout(&s), 300.ms());
    covers!("RTO-9");
}

/// As far as it goes without remembering every segment: an echo is from this connection's life. One of another segment of that is
/// taken, so who lies may move the timeout, but not out of its bounds.
#[test]
fn t_ccx_6_an_echo_from_before_the_connection_or_from_the_future_is_not_believed() {
    for offset in [1, 101, 5000, 1 << 20, 1 << 30, (1 << 31) - 1, 1 << 31, u32::MAX - 5000] {
        let mut s = handshake_of(Scene::builder().timestamps(true), 100.ms());
        s.send([1; 10]);
        let ours = s.take().unwrap().segment().unwrap().tcp.options.timestamps.unwrap().val;
        assert_eq!(s.advance_to_next_timer(), Some(300.ms()));
        let again = s.take().unwrap().segment().unwrap().tcp.options.timestamps.unwrap().val;
        assert_eq!(again.wrapping_sub(ours), 300);
        // The SYN left 100 ms before `ours`.
        s.inject(seg().seq(1).ack(11).ts(1500, ours.wrapping_sub(100).wrapping_sub(offset)));
        s.send([2; 10]);
        s.expect(seg().seq(11).ack(1).len(10));
        assert_eq!(timeout(&s), 600.ms(), "{offset} too old");
        let mut s = handshake_of(Scene::builder().timestamps(true), 100.ms());
        s.send([1; 10]);
        s.advance_to_next_timer();
        s.inject(seg().seq(1).ack(11).ts(1500, again.wrapping_add(offset)));
        while s.take().is_some() {}
        s.send([2; 10]);
        let timeout = timeout(&s);
        assert!((200.ms()..=120.secs()).contains(&timeout), "{timeout:?}");
    }
    // Nor is zero, which an honest peer echoes by chance only.
    let mut s = handshake_of(Scene::builder().timestamps(true), 100.ms());
    s.send([1; 10]);
    s.advance_to_next_timer();
    while s.take().is_some() {}
    s.inject(seg().seq(1).ack(11).ts(1500, 0));
    s.send([2; 10]);
    s.expect(seg().seq(11).ack(1).len(10));
    assert_eq!(timeout(&s), 600.ms());
    covers!("T-CCX-6");
}

#[test]
fn rto_11_the_first_of_two_sends_starts_the_timer() {
    let mut s = handshake_of(Scene::builder().config(|c| c.nodelay = true), 100.ms());
    s.send([1; 10]);
    s.advance(100.ms());
    s.send([2; 10]);
    assert_eq!(timeout(&s), 200.ms());
    // A FIN and a repetition start it too.
    let mut s = handshake_of(Scene::builder(), 100.ms());
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    assert_eq!(s.advance_to_next_timer(), Some(300.ms()));
    s.expect(seg().fin().seq(1).ack(1));
    assert_eq!(s.advance_to_next_timer(), Some(600.ms()));
    s.expect(seg().fin().seq(1).ack(1));
    covers!("RTO-11", "RTO-15", "RTO-16");
}

#[test]
fn rto_12_with_everything_acknowledged_no_timer_runs() {
    let mut s = handshake_of(Scene::builder(), 100.ms());
    s.send([1; 4000]);
    s.inject(seg().seq(1).ack(4001));
    assert_eq!(s.advance_to_next_timer(), None);
    covers!("RTO-12");
}

#[test]
fn rto_13_progress_restarts_the_timer_and_a_duplicate_does_not() {
    let mut s = handshake_of(Scene::builder(), 100.ms());
    s.send([1; 4380]);
    s.advance(250.ms());
    assert_eq!(timeout(&s), 50.ms());
    s.inject(seg().seq(1).ack(1461));
    // The ACK is a sample too, one of two in a round trip: SRTT 109.375 ms, RTTVAR 62.5.
    assert_eq!(timeout(&s), 359_375.us());
    s.advance(100.ms());
    s.inject(seg().seq(1).ack(1461));
    assert_eq!(timeout(&s), 259_375.us());
    s.inject(seg().seq(1).ack(1461));
    assert_eq!(timeout(&s), 259_375.us());
    covers!("RTO-13");
}

#[test]
fn rto_14_a_timeout_sends_the_first_segment_again_and_no_other() {
    // Over IPv6 such packets are never too large for a path, however often they are lost.
    let mut s = Scene::builder().v6().mss(1000).established();
    s.send(pattern(0, 5000));
    for n in 0..5 {
        s.expect(seg().seq(1 + 1000 * n).ack(1).len(1000));
    }
    let mut last = Duration::ZERO;
    for _ in 0..6 {
        let wait = s.advance_to_next_timer().unwrap();
        assert!(last.is_zero() || wait == last * 2);
        last = wait;
        s.expect(seg().seq(1).ack(1).data(pattern(0, 1000)));
        s.expect_nothing();
    }
    covers!("RTO-14", "RTO-15", "RTO-16", "MUST-19");
}

#[test]
fn rto_17_after_a_lost_syn_the_first_timeout_is_three_seconds() {
    let mut s = Scene::connecting();
    s.advance(1.secs());
    s.expect(seg().syn().seq(0));
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.send(b"!");
    s.expect(seg().seq(1).ack(1).len(1));
    assert_eq!(s.advance_to_next_timer(), Some(3.secs()));
    covers!("RTO-17");
}

/// A peer that acknowledges when and what it likes, but never twice the same, so that only the timer repeats.
#[test]
fn rto_18_no_timeout_repeats_what_left_less_than_a_timeout_ago() {
    let mut repeated = 0;
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let floor = rng.pick(&[1, 200, 1000]).ms();
        let builder =
            Scene::builder().config(|c| c.min_rto = floor).window(rng.pick(&[3000, 20_000, 65_535]));
        let mut s = handshake_of(builder, rng.up_to(50.ms()));
        // When each byte left last, by the segment's number.
        let mut left: BTreeMap<u32, (u32, Instant)> = BTreeMap::new();
        let (mut una, mut nxt) = (1u32, 1u32);
        for _ in 0..60 {
            let waits = s.connection().and_then(|connection| connection.poll_timeout());
            let timer = match rng.below(4) {
                0 => {
                    let _ = s.try_send(&vec![1; rng.size(1, 10_000)]);
                    false
                }
                1 if una < nxt => {
                    una = rng.between(u64::from(una) + 1, u64::from(nxt)) as u32;
                    s.inject(seg().seq(1).ack(una));
                    false
                }
                2 => {
                    let pause = rng.up_to(400.ms());
                    let due = waits.is_some_and(|due| due <= s.now() + pause);
                    if !due {
                        s.advance(pause);
                    }
                    false
                }
                _ => s.advance_to_next_timer().is_some(),
            };
            let mut first = true;
            while let Some(packet) = s.take() {
                let segment = packet.segment().unwrap();
                let seq = (segment.tcp.seq - carrick_wire::SeqNum::new(1_000_000)) as u32;
                let len = segment.payload.len() as u32;
                if timer
                    && first
                    && len > 0
                    && seq == una
                    && let Some((_, (_, before))) =
                        left.range(..=seq).next_back().filter(|(_, (end, _))| *end > seq)
                {
                    let apart = s.now().since(*before);
                    assert!(apart >= floor, "{seq} again after {apart:?}, seed {seed}\n{}", s.transcript());
                    repeated += 1;
                }
                first = false;
                left.retain(|at, _| *at < seq || *at >= seq + len.max(1));
                left.insert(seq, (seq + len, s.now()));
                nxt = nxt.max(seq + len);
            }
            if s.state() != TcpState::Established {
                break;
            }
        }
    }
    assert!(repeated > 1000, "{repeated}");
    covers!("RTO-18");
}

#[test]
fn t_tim_1_a_thousand_timeouts_double_to_the_ceiling_and_no_further() {
    // Over IPv6 such packets are never too large for a path, however often they are lost.
    let patient = Scene::builder().v6().mss(1000).config(|c| c.retries = u8::MAX);
    let mut s = handshake_of(patient, 100.ms());
    s.send([1; 5000]);
    while s.take().is_some() {}
    let mut expected = 300.ms();
    for _ in 0..1000 {
        assert_eq!(s.advance_to_next_timer(), Some(expected));
        s.expect(seg().seq(1).ack(1).len(1000));
        s.expect_nothing();
        expected = (expected * 2).min(120.secs());
    }
    assert_eq!((s.state(), expected), (TcpState::Established, 120.secs()));
    // And it comes back to life.
    s.inject(seg().seq(1).ack(5001));
    assert_eq!(s.advance_to_next_timer(), None);
    assert_eq!(s.error(), None::<ConnectionError>);
    covers!("T-TIM-1");
}
