//! What a connection tells of itself.

use carrick_core::{Connection, EcnPolicy, KeepAlive, RecoveryState, TcpInfo, TcpState};
use carrick_sim::{Scene, Span, seg};
use std::num::NonZeroU8;
use std::time::Duration;

fn info(s: &mut Scene) -> Option<TcpInfo> {
    s.with("tcp_info", |connection, _| connection.tcp_info())
}

#[test]
fn numbers_agree_with_what_happened() {
    let builder = Scene::builder().mss(1000).timestamps(true).sack(true).window_scale(3).window(8000);
    let mut s = builder.config(|c| c.nodelay = true).established();
    let first = info(&mut s).unwrap();
    assert_eq!(first.state, TcpState::Established);
    assert!(first.timestamps && first.sack && !first.ecn);
    assert_eq!((first.send_window_scale, first.receive_mss, first.path_mtu), (3, 1460, 1500));
    // RFC 6691: the MSS is without options, a segment's text is not.
    assert_eq!(first.send_mss, 988);
    assert_eq!((first.bytes_acknowledged, first.bytes_received, first.retransmitted), (0, 0, 0));
    assert_eq!(first.slow_start_threshold, None);

    s.send([1; 2500]);
    for _ in 0..3 {
        assert!(s.take().is_some());
    }
    s.inject(seg().seq(1).ack(989).data(b"hello").window(4000));
    let now = info(&mut s).unwrap();
    assert_eq!((now.in_flight, now.unacknowledged, now.unsent, now.unread), (1512, 1512, 0, 5));
    assert_eq!((now.bytes_acknowledged, now.bytes_received, now.send_window), (988, 5, 32_000));
    assert_eq!(now.congestion_window, first.congestion_window, "it was not used");
    assert_eq!(s.read(), b"hello");
    while s.take().is_some() {}

    // The tail is asked for, then a timeout: three segments are sent again, one when the other is acknowledged.
    s.advance_to_next_timer();
    assert!(s.take().is_some());
    assert_eq!(info(&mut s).unwrap().timeouts, 0);
    let rto = now.rto;
    s.advance(rto);
    assert!(s.take().is_some());
    let late = info(&mut s).unwrap();
    assert_eq!((late.timeouts, late.retransmitted), (1, 2));
    assert_eq!(late.rto, rto * 2);
    assert_eq!(late.slow_start_threshold, Some(1976), "two segments at least");
    s.inject(seg().seq(6).ack(1977).window(4000));
    assert!(s.take().is_some());
    s.inject(seg().seq(6).ack(2501).window(4000));
    let end = info(&mut s).unwrap();
    assert_eq!((end.retransmitted, end.timeouts, end.in_flight), (3, 0, 0));
    assert_eq!((end.bytes_acknowledged, end.unread), (2500, 0));

    // A FIN is no byte.
    s.inject(seg().fin().seq(6).ack(2501));
    let closing = info(&mut s).unwrap();
    assert_eq!((closing.state, closing.bytes_received), (TcpState::CloseWait, 5));
    while s.take().is_some() {}
    s.finish();
    s.inject(seg().seq(7).ack(2502));
    assert_eq!(s.state(), TcpState::Closed);
}

/// Also where the overtaken segment is the last that was missing, so that nothing is left to be found out.
#[test]
fn what_fills_the_only_hole_was_overtaken() {
    for end in [3001, 4001] {
        let mut s = Scene::builder().mss(1000).sack(true).window(60_000).established();
        s.send([1; 4000]);
        while s.take().is_some() {}
        s.advance(1.ms());
        s.inject(seg().seq(1).ack(1).sack(&[(1001, 3001)]));
        s.inject(seg().seq(1).ack(end));
        let late = info(&mut s).unwrap();
        assert_eq!((late.reorderings, late.reordering_distance, late.retransmitted), (1, 3000, 0), "{end}");
    }
}

#[test]
fn losses_repetitions_and_rates_are_told() {
    let mut s = Scene::builder().mss(1000).sack(true).window(60_000).established();
    let first = info(&mut s).unwrap();
    assert_eq!((first.delivered, first.delivery_rate, first.reorderings), (0, None, 0));
    let before = (first.segments_sent, first.segments_received);
    s.send([1; 10_000]);
    while s.take().is_some() {}
    s.advance(1.ms());
    s.inject(seg().seq(1).ack(1).sack(&[(7001, 10_001)]));
    for seq in [1, 1001, 2001] {
        s.expect(seg().seq(seq).ack(1).len(1000));
    }
    s.expect_nothing();
    let lost = info(&mut s).unwrap();
    assert_eq!(lost.recovery, RecoveryState::Recovery);
    assert_eq!((lost.in_flight, lost.resent, lost.sacked, lost.lost), (3000, 3000, 3000, 4000));
    assert_eq!(lost.congestion_window, 3000, "it comes down with what is delivered");
    assert_eq!((lost.delivered, lost.bytes_retransmitted, lost.retransmitted), (3000, 3000, 3));
    let counted = (lost.segments_sent - before.0, lost.segments_received - before.1);
    assert_eq!(counted, (13, 1));
    // Three segments in a millisecond, and the application had no more to send.
    assert_eq!((lost.delivery_rate, lost.delivery_rate_app_limited), (Some(3_000_000), true));

    // What was thought lost was late: it had been overtaken by seven segments.
    s.inject(seg().seq(1).ack(1).sack(&[(3001, 4001), (7001, 10_001)]));
    let late = info(&mut s).unwrap();
    assert_eq!((late.reorderings, late.reordering_distance), (1, 7000));
    while s.take().is_some() {}
    s.inject(seg().seq(1).ack(10_001).sack(&[(1, 1001)]));
    let end = info(&mut s).unwrap();
    assert_eq!((end.delivered, end.duplicate_reports), (10_000, 1));
    assert_eq!((end.in_flight, end.resent, end.sacked, end.lost), (0, 0, 0, 0));
}

#[test]
fn the_pacing_rate_is_told_where_there_is_pacing() {
    for pacing in [true, false] {
        let mut s = Scene::builder().mss(1000).config(|config| config.pacing = pacing).established();
        s.send([1; 1000]);
        assert!(s.take().is_some());
        s.advance(100.ms());
        s.inject(seg().seq(1).ack(1001));
        let info = info(&mut s).unwrap();
        // Twice the window in a round trip, during slow start.
        let rtt = info.rtt.unwrap().as_micros() as u64;
        let rate = u64::from(info.congestion_window) * 2_000_000 / rtt;
        assert_eq!(info.pacing_rate, pacing.then_some(rate));
    }
}

#[test]
fn a_round_trip_is_measured() {
    let mut s = Scene::builder().config(|c| c.nodelay = true).established();
    s.send(b"x");
    assert!(s.take().is_some());
    s.advance(80.ms());
    s.inject(seg().seq(1).ack(2));
    let info = info(&mut s).unwrap();
    let rtt = info.rtt.unwrap();
    assert!(rtt > Duration::ZERO && rtt <= 80.ms(), "{rtt:?}");
    assert!(info.rtt_variation.is_some());
}

#[test]
fn before_and_after_there_is_nothing_to_tell() {
    let mut s = Scene::connecting();
    assert_eq!(info(&mut s), None);
    let mut s = Scene::established();
    s.finish();
    s.inject(seg().fin().seq(1).ack(2));
    assert_eq!(s.state(), TcpState::TimeWait);
    assert_eq!(info(&mut s), None);
    assert!(s.with("look", |connection, _| connection.receive_closed() && connection.send_closed()));
}

#[test]
fn what_was_set_can_be_asked_for() {
    let mut s = Scene::established();
    let defaults = |c: &mut Connection| {
        (c.keep_alive(), c.linger(), c.dscp(), c.hop_limit(), c.receive_closed(), c.send_closed())
    };
    assert_eq!(s.with("look", |c, _| defaults(c)), (None, None, 0, 64, false, false));
    let keep_alive = KeepAlive { retries: 3, ..KeepAlive::default() };
    s.with("set", |c, cx| {
        c.set_keep_alive(cx, Some(keep_alive));
        c.set_linger(Some(Duration::ZERO));
        c.set_dscp(46);
        c.set_hop_limit(NonZeroU8::new(7).unwrap());
    });
    let set = (Some(keep_alive), Some(Duration::ZERO), 46, 7, false, false);
    assert_eq!(s.with("look", |c, _| defaults(c)), set);
}

#[test]
fn quick_is_what_it_says() {
    let mut s = crate::settled(Scene::builder());
    let quick = |s: &mut Scene| s.with("quickack", |connection, _| connection.quickack());
    assert!(!quick(&mut s));
    s.with("set", |connection, cx| connection.set_quickack(cx, true));
    assert!(quick(&mut s));
    s.inject(seg().seq(17).ack(1).len(1));
    s.expect(seg().seq(1).ack(18));
    s.with("set", |connection, cx| connection.set_quickack(cx, false));
    assert!(!quick(&mut s));
    s.inject(seg().seq(18).ack(1).len(1));
    s.expect_nothing();
}

#[test]
fn what_is_repaired_is_told() {
    let mut s = Scene::builder().mss(1000).sack(true).established();
    let recovery = |s: &mut Scene| info(s).unwrap().recovery;
    assert_eq!(recovery(&mut s), RecoveryState::Open);
    s.send([1; 6000]);
    while s.take().is_some() {}
    s.advance(1.ms());
    s.inject(seg().seq(1).ack(1).sack(&[(1001, 2001)]));
    let disorder = info(&mut s).unwrap();
    assert_eq!((disorder.recovery, disorder.sacked), (RecoveryState::Disorder, 1000));
    s.inject(seg().seq(1).ack(1).sack(&[(1001, 3001)]));
    s.inject(seg().seq(1).ack(1).sack(&[(1001, 4001)]));
    let found = info(&mut s).unwrap();
    assert_eq!((found.recovery, found.sacked), (RecoveryState::Recovery, 3000));
    s.expect(seg().seq(1).ack(1).len(1000));
    s.inject(seg().seq(1).ack(6001));
    let end = info(&mut s).unwrap();
    assert_eq!((end.recovery, end.sacked), (RecoveryState::Open, 0));

    s.send([1; 1000]);
    assert!(s.take().is_some());
    // The tail is asked for first.
    s.advance_to_next_timer();
    assert!(s.take().is_some());
    s.advance(end.rto);
    assert!(s.take().is_some());
    let lost = info(&mut s).unwrap();
    assert_eq!((lost.recovery, lost.backoff), (RecoveryState::Loss, 1));
    s.inject(seg().seq(1).ack(7001));
    assert_eq!(recovery(&mut s), RecoveryState::Open);
}

#[test]
fn a_reduced_window_is_told() {
    let mut s = Scene::builder().mss(1000).config(|config| config.ecn = EcnPolicy::Accept).listening();
    s.inject(seg().syn().ece().cwr().seq(0).mss(1000));
    assert!(s.take().is_some());
    s.inject(seg().seq(1).ack(1));
    assert!(s.accept());
    s.send([1; 4000]);
    while s.take().is_some() {}
    s.inject(seg().ece().seq(1).ack(1001));
    assert_eq!(info(&mut s).unwrap().recovery, RecoveryState::Reduced);
    while s.take().is_some() {}
    s.inject(seg().seq(1).ack(4001));
    assert_eq!(info(&mut s).unwrap().recovery, RecoveryState::Open);
}

#[test]
fn the_least_round_trip_and_probes_are_told() {
    let mut s = Scene::builder().config(|c| c.nodelay = true).established();
    for (trip, least) in [(80, 80), (30, 30), (60, 30)] {
        s.send(b"x");
        assert!(s.take().is_some());
        s.advance(trip.ms());
        let acknowledged = info(&mut s).unwrap().bytes_acknowledged as u32;
        s.inject(seg().seq(1).ack(acknowledged + 2));
        let told = info(&mut s).unwrap().min_rtt.unwrap();
        assert!(told <= least.ms(), "{told:?}");
    }
    assert_eq!(info(&mut s).unwrap().window_probes, 0);
    s.inject(seg().seq(1).ack(4).window(0));
    s.send(b"y");
    while s.take().is_none() {
        assert!(s.advance_to_next_timer().is_some());
    }
    assert_eq!(info(&mut s).unwrap().window_probes, 1);
}

#[test]
fn fin_wait_2_can_be_bounded_late() {
    let mut s = Scene::established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().seq(1).ack(2));
    s.with("set", |connection, cx| connection.set_fin_wait_2(cx, Duration::from_secs(1)));
    s.advance(100.secs());
    assert_eq!(s.state(), TcpState::FinWait2, "the application is there");
    s.close();
    s.advance(999.ms());
    assert_eq!(s.state(), TcpState::FinWait2);
    s.advance(1.ms());
    assert_eq!(s.state(), TcpState::Closed);
}
