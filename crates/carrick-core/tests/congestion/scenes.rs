//! CUBIC under a sender.

use super::*;
use carrick_core::EcnPolicy;
use carrick_covers::covers;
use carrick_sim::{Builder, Rng, Scene, pattern, seg};

fn builder() -> Builder {
    Scene::builder().mss(1000).config(|config| config.congestion = Some(Box::new(Cubic::default())))
}

fn window(s: &Scene) -> u32 {
    s.connection().unwrap().tcp_info().unwrap().congestion_window
}

#[test]
fn cc_1_no_more_than_either_window_lets_be_in_flight() {
    for (peer, allowed) in [(5_000, 5_000), (10_000, 10_000), (30_000, 10_000)] {
        let mut s = builder().established();
        s.inject(seg().seq(1).ack(1).window(peer));
        s.send(pattern(0, 40_000));
        let mut sent = 0usize;
        while let Some(packet) = s.take() {
            sent += packet.segment().unwrap().payload.len();
        }
        assert_eq!(sent, allowed, "{peer}");
    }
    covers!("CC-1");
}

/// Each new segment of a long conversation: windows of any size, parts of what is out acknowledged, timeouts. What is a
/// repetition or the probe of a closed window is allowed.
#[test]
fn cc_1_no_new_segment_goes_beyond_either_window() {
    let (mut new, mut limited) = (0, [0; 2]);
    for seed in 0..10 {
        let mut rng = Rng::new(seed);
        let mut s = builder().config(|config| config.pacing = seed % 2 == 0).established();
        let (mut una, mut nxt, mut written) = (1, 1, 0u64);
        let mut look = |s: &mut Scene, una: u32, nxt: &mut u32| {
            let (cwnd, wnd) = (window(s), s.connection().unwrap().tcp_info().unwrap().send_window);
            while let Some(packet) = s.take() {
                let segment = packet.segment().unwrap();
                let end = segment.tcp.seq.get() - 1_000_000 + segment.payload.len() as u32;
                if end > *nxt && !(wnd == 0 && segment.payload.len() == 1) {
                    assert!(end <= una + cwnd.min(wnd), "{end} {una} {cwnd} {wnd}\n{}", s.transcript());
                    new += 1;
                    limited[usize::from(wnd < cwnd)] += 1;
                }
                *nxt = end.max(*nxt);
            }
        };
        for _ in 0..400 {
            una += rng.below(u64::from(nxt - una) + 1) as u32;
            let peer = rng.pick(&[0, 1000, 3000, 10_000, 30_000, 60_000]) + rng.below(500) as u16;
            s.inject(seg().seq(1).ack(una).window(peer));
            look(&mut s, una, &mut nxt);
            written += s.try_send(&pattern(written, rng.size(1, 20_000))).unwrap_or(0) as u64;
            look(&mut s, una, &mut nxt);
            let end = s.now() + rng.up_to(Duration::from_millis(60));
            while s.host().poll_timeout().is_some_and(|at| at <= end) {
                s.advance_to_next_timer();
                look(&mut s, una, &mut nxt);
            }
            s.advance(end.since(s.now()));
        }
    }
    assert!(new > 10_000 && limited.iter().all(|n| *n > 300), "{new} {limited:?}");
    covers!("CC-1");
}

/// A receiver who acknowledges at once whatever was sent, long before it can have arrived, and besides what was not: he is
/// believed for a shorter path, and gets what the send buffer holds in a round trip of that, as any receiver does who is so
/// near. What was never sent counts for nothing. There is no option to skip a segment that an honest receiver would ask for.
#[test]
fn t_ccx_3_who_acknowledges_all_at_once_gets_a_send_buffer_in_a_round_trip() {
    const BUFFER: u32 = 64_000;
    for controller in [Box::new(Cubic::default()) as Box<dyn Controller>, Box::new(NewReno::default())] {
        let builder = Scene::builder().mss(1000).window_scale(4).config(|config| {
            (config.send_buffer, config.congestion) = (BUFFER, Some(controller));
        });
        let mut s = builder.connecting();
        s.advance(Duration::from_millis(100));
        s.inject(seg().syn().seq(0).ack(1));
        let (mut sent, mut written, mut most) = (0u32, 0u64, 0);
        for round in 0..1000 {
            let mut in_round = 0;
            let end = s.now() + Duration::from_millis(5);
            loop {
                while let Ok(taken) = s.try_send(&pattern(written, 4000)) {
                    written += taken as u64;
                }
                let mut burst = 0;
                while let Some(packet) = s.take() {
                    burst += packet.segment().unwrap().payload.len() as u32;
                }
                let info = s.connection().unwrap().tcp_info().unwrap();
                // What leaves within a millisecond, and as much or ten segments for having been kept waiting.
                let turn = info.pacing_rate.expect("it is paced") / 1000;
                let quantum = turn + turn.max(10_000) + 2000;
                assert!(u64::from(burst) <= quantum, "{burst} at once\n{}", s.transcript());
                assert!((1000..=3 * BUFFER).contains(&info.congestion_window), "{info:?}");
                in_round += burst;
                if s.host().poll_timeout().is_none_or(|at| at >= end) {
                    break;
                }
                s.advance_to_next_timer();
            }
            s.advance(end.since(s.now()));
            sent += in_round;
            assert!(in_round <= BUFFER, "{in_round} in 5 ms");
            most = most.max(in_round);
            // What was not sent, first: answered, if not too often.
            if round % 10 == 0 {
                let before = window(&s);
                s.inject(seg().seq(1).ack(sent + 1 + 50_000));
                while let Some(packet) = s.take() {
                    assert!(packet.segment().unwrap().payload.is_empty(), "{}", s.transcript());
                }
                let info = s.connection().unwrap().tcp_info().unwrap();
                let now = (info.congestion_window, info.bytes_acknowledged, info.in_flight);
                assert_eq!(now, (before, u64::from(sent - in_round), in_round));
            }
            s.inject(seg().seq(1).ack(sent + 1));
        }
        assert_eq!(most, BUFFER, "the buffer is the limit in the end");
    }
    covers!("T-CCX-3");
}

#[test]
fn cc_6_the_handshake_grows_nothing() {
    let mut s = builder().established();
    assert_eq!(window(&s), 10_000);
    // Nor does an ACK of nothing.
    s.inject(seg().seq(1).ack(1));
    assert_eq!(window(&s), 10_000);
    covers!("CC-6");
}

#[test]
fn cubic_10_at_one_segment_marks_slow_down_by_the_timer() {
    let mut s = builder().config(|config| config.ecn = EcnPolicy::Ask).build();
    s.connect();
    s.expect(seg().syn().ece().cwr().seq(0));
    s.inject(seg().syn().ece().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    let mut windows = Vec::new();
    let mut n = 0;
    while !windows.ends_with(&[1000, 1000]) {
        s.send(pattern(1000 * n, 1000));
        assert!(s.take().is_some());
        n += 1;
        s.inject(seg().seq(1).ack(1000 * n as u32 + 1).ece());
        windows.push(window(&s));
    }
    assert_eq!(windows, [7000, 4900, 3430, 2401, 1680, 1176, 1000, 1000]);
    for _ in 0..3 {
        s.send(pattern(1000 * n, 1000));
        s.expect_nothing();
        let waited = s.advance_to_next_timer().unwrap();
        assert!(waited >= Duration::from_millis(200), "{waited:?}");
        assert!(s.take().is_some());
        n += 1;
        s.inject(seg().seq(1).ack(1000 * n as u32 + 1).ece());
        assert_eq!(window(&s), 1000);
    }
    covers!("CUBIC-10");
}
