//! What kept a sender waiting, and for how long: the figures that `TCP_INFO` has beside its counts.

use carrick_sim::{Scene, Span, seg};
use std::time::Duration;

/// Busy in all, for want of a window, for want of room in the send buffer; at present.
fn times(s: &mut Scene) -> [Duration; 3] {
    s.with("look", |connection, cx| {
        let info = connection.tcp_info_at(cx.now).unwrap();
        [info.busy_time, info.rwnd_limited, info.sndbuf_limited]
    })
}

#[test]
fn a_sender_is_busy_from_the_write_to_the_last_acknowledgment() {
    let mut s = Scene::builder().mss(1000).established();
    s.advance(5.secs());
    assert_eq!(times(&mut s), [0, 0, 0].map(Span::ms));
    s.send([1; 1500]);
    s.expect(seg().seq(1).ack(1).len(1000));
    s.expect(seg().seq(1001).ack(1).len(500));
    s.advance(70.ms());
    assert_eq!(times(&mut s), [70, 0, 0].map(Span::ms));
    s.inject(seg().seq(1).ack(1001));
    s.advance(20.ms());
    s.inject(seg().seq(1).ack(1501));
    for wait in [0, 3000] {
        s.advance(wait.ms());
        assert_eq!(times(&mut s), [90, 0, 0].map(Span::ms), "idle");
    }
    // As of the last call that told it the time.
    s.send([1; 10]);
    s.expect(seg().seq(1501).ack(1).len(10));
    s.advance(7.ms());
    let stale = s.connection().unwrap().tcp_info().unwrap().busy_time;
    assert!(stale <= 97.ms(), "{stale:?}");
    assert_eq!(times(&mut s), [97, 0, 0].map(Span::ms));
}

#[test]
fn a_window_that_is_closed_or_too_small_limits() {
    let mut s = Scene::builder().mss(1000).window(0).established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send([1; 1000]);
    s.advance(100.ms());
    assert_eq!(times(&mut s), [100, 100, 0].map(Span::ms));
    s.inject(seg().seq(1).ack(1).window(2000));
    s.expect(seg().seq(1).ack(1).len(1000));
    s.advance(30.ms());
    // Acknowledged, and nothing to do.
    s.inject(seg().seq(1).ack(1001).window(10));
    s.advance(1.secs());
    s.send([1; 1000]);
    s.expect_nothing();
    s.advance(50.ms());
    assert_eq!(times(&mut s), [180, 150, 0].map(Span::ms));
}

#[test]
fn the_congestion_window_is_no_limit_of_the_peers() {
    let mut s = Scene::builder().mss(1000).window(10_000).established();
    s.send([1; 20_000]);
    while s.take().is_some() {}
    s.advance(40.ms());
    assert_eq!(times(&mut s), [40, 0, 0].map(Span::ms), "both are full");
}

#[test]
fn a_send_buffer_limits_once_all_of_it_has_been_sent() {
    let builder = Scene::builder().mss(1000).window(60_000).config(|c| {
        (c.send_buffer, c.tune_send_buffer) = (4000, false);
    });
    let mut s = builder.established();
    s.send([1; 4000]);
    while s.take().is_some() {}
    s.advance(10.ms());
    assert_eq!(times(&mut s), [10, 0, 0].map(Span::ms), "nobody has asked for more");
    assert!(s.try_send(&[1; 10]).is_err());
    s.advance(25.ms());
    assert_eq!(times(&mut s), [35, 0, 25].map(Span::ms));
    s.inject(seg().seq(1).ack(3001));
    s.advance(5.ms());
    assert_eq!(times(&mut s), [40, 0, 25].map(Span::ms), "there is room");
}
