//! The peer's window: shrunk, closed, opened a byte at a time (RFC 9293 §3.8.6).

use carrick_covers::covers;
use carrick_sim::{LinkConfig, Pair, Plan, Scene, Span, TcpState, World, pattern, seg};
use std::time::Duration;

/// 200 ms beyond a round trip that took no time, which counts as a microsecond.
const RTO: Duration = Duration::from_micros(200_001);

/// Four segments of 1,000 bytes out, the first acknowledged with a window of `window`.
fn shrunk_to(window: u16) -> Scene {
    // Over IPv6 such packets are never too large for a path, however often they are lost.
    let mut s = Scene::builder().v6().mss(1000).window(4000).established();
    s.send(pattern(0, 10_000));
    for n in 0..4 {
        s.expect(seg().seq(1 + 1000 * n).ack(1).len(1000));
    }
    s.inject(seg().seq(1).ack(1001).window(window));
    s
}

#[test]
fn must_34_a_shrunken_window_stops_new_text_and_nothing_else() {
    for window in [2999, 1500, 1000, 999, 1] {
        let mut s = shrunk_to(window);
        // More is written, and other segments come and go.
        s.send([1; 100]);
        s.inject(seg().seq(1).ack(1001).window(window));
        s.expect_nothing();
        // Repeated is what the window still holds, and no byte beyond it.
        let again = usize::from(window).min(1000);
        s.advance_to_next_timer();
        s.expect(seg().seq(1001).ack(1).data(pattern(1000, again)));
        s.expect_nothing();
        // What is acknowledged may have arrived before the window shrank.
        s.inject(seg().seq(1).ack(4001).window(4000));
        s.expect(seg().seq(4001).ack(1).len(1000));
    }
    covers!("MUST-34", "SHLD-15", "SHLD-16");
}

/// Of what MAY-7 allows nothing is done, and of WS-7's exceptions none is needed: repetitions keep to the window
/// as first transmissions do, by timer and by duplicates.
#[test]
fn ws_7_nothing_is_sent_beyond_the_latest_window() {
    for window in [700, 1700] {
        let mut s = shrunk_to(window);
        for _ in 0..3 {
            s.inject(seg().seq(1).ack(1001).window(window));
        }
        let first = usize::from(window).min(1000);
        s.expect(seg().seq(1001).ack(1).data(pattern(1000, first)));
        s.expect_nothing();
        for _ in 0..5 {
            s.advance_to_next_timer();
            s.expect(seg().seq(1001).ack(1).data(pattern(1000, first)));
            s.expect_nothing();
        }
    }
    // With a scale the edge retreats by rounding: what lies beyond waits for an ACK.
    let mut s = Scene::builder().mss(1000).window_scale(7).window(16).established();
    s.inject(seg().seq(1).ack(1).window(16));
    s.send(pattern(0, 2000));
    s.expect(seg().seq(1).ack(1).len(1000));
    s.expect(seg().seq(1001).ack(1).len(1000));
    s.inject(seg().seq(1).ack(101).window(14));
    s.advance_to_next_timer();
    s.expect(seg().seq(101).ack(1).len(1000));
    // Silly windows are for repetitions too; the timer overrides.
    s.inject(seg().seq(1).ack(1101).window(6));
    s.expect_nothing();
    s.advance_to_next_timer();
    s.expect(seg().seq(1101).ack(1).len(768));
    s.expect_nothing();
    s.inject(seg().seq(1).ack(1869).window(2));
    s.expect(seg().seq(1869).ack(1).len(132));
    covers!("WS-7", "MAY-7");
}

#[test]
fn must_35_a_window_shrunk_to_nothing_is_probed_and_nobody_gives_up() {
    let mut s = shrunk_to(0);
    s.expect_nothing();
    let mut waits: Vec<Duration> = Vec::new();
    // Far longer than R2 would be, for bytes that lie beyond the edge.
    for _ in 0..40 {
        waits.push(s.advance_to_next_timer().expect("the persist timer"));
        s.expect(seg().seq(1001).ack(1).data(pattern(1000, 1)));
        s.expect_nothing();
        s.inject(seg().seq(1).ack(1001).window(0));
        s.expect_nothing();
    }
    assert_eq!(waits[..4], [1, 2, 4, 8].map(|n| RTO * n));
    assert!(waits.iter().sum::<Duration>() > 3600.secs());
    assert_eq!(s.state(), TcpState::Established);
    // It opens: all that was in doubt is sent again.
    s.inject(seg().seq(1).ack(1001).window(4000));
    for n in 1..5 {
        s.expect(seg().seq(1 + 1000 * n).ack(1).data(pattern(1000 * u64::from(n), 1000)));
    }
    covers!("MUST-35", "SHLD-17");
}

#[test]
fn must_36_and_37_a_closed_window_is_probed_for_as_long_as_probes_are_answered() {
    let mut s = Scene::connecting();
    s.advance(1.secs() / 2);
    s.inject(seg().syn().seq(0).ack(1).window(0));
    s.expect(seg().seq(1).ack(1));
    s.send([5; 100]);
    s.expect_nothing();
    // SRTT 500 ms, RTTVAR 250 ms: a timeout of 1.5 s, then doubling to the ceiling.
    let mut expected = 1500.ms();
    let mut hours = Duration::ZERO;
    while hours < (6 * 3600).secs() {
        assert_eq!(s.advance_to_next_timer(), Some(expected));
        s.expect(seg().seq(1).ack(1).data([5]));
        s.expect_nothing();
        s.inject(seg().seq(1).ack(1).window(0));
        hours += expected;
        expected = (expected * 2).min(120.secs());
    }
    assert_eq!(s.state(), TcpState::Established);
    s.inject(seg().seq(1).ack(1).window(1000));
    s.expect(seg().seq(1).ack(1).len(100));
    s.inject(seg().seq(1).ack(101));
    assert_eq!(s.advance_to_next_timer(), None);
    covers!("MUST-36", "MUST-37", "SHLD-29", "SHLD-30");
}

#[test]
fn a_window_that_closes_again_is_probed_from_the_first_interval_on() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send([1; 5000]);
    for _ in 0..6 {
        s.advance_to_next_timer();
        while s.take().is_some() {}
        s.inject(seg().seq(1).ack(1).window(0));
    }
    s.inject(seg().seq(1).ack(1).window(1460));
    s.expect(seg().seq(1).ack(1).len(1460));
    s.inject(seg().seq(1).ack(1461).window(0));
    assert_eq!(s.advance_to_next_timer(), Some(RTO));
    s.expect(seg().seq(1461).ack(1).len(1));
}

/// The window opens, but not by enough to be worth using: the override timeout counts from there, and not from
/// when the window closed.
#[test]
fn must_38_silly_windows_wait_for_a_segment_or_half_the_window_or_the_override_timeout() {
    let mut s = Scene::builder().mss(1000).window(3000).established();
    s.send([1; 3000]);
    while s.take().is_some() {}
    s.inject(seg().seq(1).ack(3001).window(0));
    s.send([2; 10_000]);
    for _ in 0..8 {
        s.advance_to_next_timer();
        s.expect(seg().seq(3001).ack(1).len(1));
        s.inject(seg().seq(1).ack(3001).window(0));
    }
    for window in [1, 2, 500, 999] {
        s.inject(seg().seq(1).ack(3001).window(window));
        s.expect_nothing();
        s.advance(10.ms());
    }
    let wait = s.advance_to_next_timer().expect("the override timeout");
    assert!(wait <= 1.secs(), "{wait:?}");
    s.expect(seg().seq(3001).ack(1).len(999));
    s.inject(seg().seq(1).ack(4000).window(0));
    // A whole segment needs no timeout.
    s.inject(seg().seq(1).ack(4000).window(999));
    s.expect_nothing();
    s.inject(seg().seq(1).ack(4000).window(1000));
    s.expect(seg().seq(4000).ack(1).len(1000));
    // Nor does half the largest window there was, where a segment is more than that.
    let mut s = Scene::builder().window(1200).established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send([1; 5000]);
    s.inject(seg().seq(1).ack(1).window(599));
    s.expect_nothing();
    s.inject(seg().seq(1).ack(1).window(600));
    s.expect(seg().seq(1).ack(1).len(600));
    covers!("MUST-38");
}

/// A window that opens a byte at a time: never a silly segment but by the override timeout, progress all the same,
/// and few events.
#[test]
fn t_per_2_a_window_opened_a_byte_at_a_time() {
    let mut s = Scene::builder().mss(1000).window(4000).established();
    s.send([1; 4000]);
    while s.take().is_some() {}
    s.inject(seg().seq(1).ack(4001).window(0));
    s.send([2; 20_000]);
    let start = s.now();
    let (mut una, mut window, mut segments) = (4001u32, 0u16, 0u64);
    while una < 4001 + 5000 {
        window += 1;
        s.inject(seg().seq(1).ack(una).window(window));
        s.advance(10.ms());
        let mut sent = 0;
        while let Some(packet) = s.take() {
            let len = packet.segment().unwrap().payload.len() as u16;
            sent += len;
            segments += 1;
            assert!(len >= 1 && len <= window);
        }
        una += u32::from(sent);
        window -= sent;
    }
    let elapsed = s.now().since(start);
    // Without the rules it would be 5,000 segments in 50 s; at most ten a second are the override's.
    assert!(u128::from(segments) <= elapsed.as_millis() / 100 + 2, "{segments} segments in {elapsed:?}");
    assert!(elapsed < 60.secs(), "the window opened by a byte in 10 ms, and all of it was used: {elapsed:?}");
    // How far it has come can be seen.
    s.inject(seg().seq(1).ack(una).window(window));
    assert_eq!(s.connection().unwrap().unacknowledged(), 20_000 - (una - 4001) as usize);
    covers!("T-PER-2");
}

#[test]
fn t_per_4_a_lost_window_update_is_found_by_a_probe() {
    let mut s = Scene::established();
    s.send([1; 1460]);
    s.expect(seg().seq(1).ack(1).len(1460));
    s.inject(seg().seq(1).ack(1461).window(0));
    s.send([2; 5000]);
    s.expect_nothing();
    // The peer opens its window, and the segment that says so is lost. It answers the probe truthfully.
    s.advance_to_next_timer();
    s.expect(seg().seq(1461).ack(1).len(1));
    s.inject(seg().seq(1).ack(1462));
    let mut next = 1462;
    while let Some(packet) = s.take() {
        next += packet.segment().unwrap().payload.len() as u32;
    }
    assert_eq!(next, 6461);
    s.inject(seg().seq(1).ack(6461));
    assert_eq!(s.advance_to_next_timer(), None);

    // The same with a real peer that reads slowly, on a link that loses any one packet or several.
    for seed in 0..40 {
        let link = LinkConfig { loss: 100_000, ..LinkConfig::delayed(10.ms()) };
        let slow = Plan { read_chunk: 700, pause: 50.ms(), ..Plan::patient(0) };
        let mut world = World::new(seed).link(&link).talk(Plan::patient(30_000), slow);
        world.sides[1].connection.receive_buffer = 3000;
        let report = Pair::run_twice(&world).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((report.complete(), report.bytes), (1, 30_000), "seed {seed}");
    }
    covers!("T-PER-4");
}
