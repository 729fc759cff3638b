//! CUBIC under a sender.

use super::*;
use carrick_core::EcnPolicy;
use carrick_covers::covers;
use carrick_sim::{Builder, Scene, pattern, seg};

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
