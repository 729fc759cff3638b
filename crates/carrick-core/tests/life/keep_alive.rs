//! Keep-alive (RFC 9293 §3.8.4).

use super::text_of_next;
use carrick_core::{ConnectionError, KeepAlive};
use carrick_covers::covers;
use carrick_sim::{Builder, Scene, Span, TcpState, seg};
use std::time::Duration;

const MINUTE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), retries: 3 };

fn minute() -> Builder {
    Scene::builder().config(|c| c.keep_alive = Some(MINUTE))
}

#[test]
fn must_25_off_by_default() {
    let mut s = Scene::established();
    assert_eq!(s.advance_to_next_timer(), None);
    s.advance((100 * 24 * 3600).secs());
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Established);
    covers!("MUST-25");
}

#[test]
fn must_27_and_28_the_interval() {
    let mut s = minute().established();
    s.advance(60.secs() - 1.ns());
    s.expect_nothing();
    s.advance(1.ns());
    // One number below what the peer waits for, and no text.
    s.expect(seg().seq(0).ack(1));
    s.expect_nothing();
    covers!("MUST-27", "SHLD-12", "MAY-5");

    let mut s = Scene::builder().config(|c| c.keep_alive = Some(KeepAlive::default())).established();
    assert_eq!(s.advance_to_next_timer(), Some(7200.secs()));
    s.expect(seg().seq(0).ack(1));
    covers!("MUST-28");
}

#[test]
fn must_24_the_application_turns_it_on_and_off() {
    let mut s = Scene::established();
    s.with("keep-alive on", |c, cx| c.set_keep_alive(cx, Some(MINUTE)));
    s.advance(60.secs());
    s.expect(seg().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1));
    s.with("keep-alive off", |c, cx| c.set_keep_alive(cx, None));
    assert_eq!(s.advance_to_next_timer(), None);
    s.advance(100_000.secs());
    s.expect_nothing();
    // Settings are shared, changes are not: another connection of the same listener never probes.
    let mut s = Scene::listening();
    for port in [1000, 1001] {
        s.inject(seg().syn().seq(0).ports(port, 80));
        s.inject(seg().seq(1).ack(1).ports(port, 80));
        assert!(s.accept());
        if port == 1000 {
            s.with("keep-alive on", |c, cx| c.set_keep_alive(cx, Some(MINUTE)));
        }
    }
    while s.take().is_some() {}
    s.advance(65.secs());
    s.expect(seg().seq(0).ack(1).ports(80, 1000));
    s.expect_nothing();
    covers!("MUST-24");
}

#[test]
fn must_26_only_when_nothing_is_under_way_and_nothing_comes() {
    let mut s = minute().established();
    // A sign of life just before the time: it begins anew.
    for life in [seg().seq(1).ack(1), seg().seq(1).ack(1).len(5), seg().seq(5).ack(1)] {
        s.advance(59.secs());
        s.inject(life);
        while s.take().is_some() {}
    }
    s.advance(59.secs());
    s.expect_nothing();
    // Text under way is sent again; nobody probes.
    s.send(b"data");
    s.expect(seg().seq(1).ack(6).data(b"data"));
    for _ in 0..8 {
        s.advance_to_next_timer();
        s.expect(seg().seq(1).ack(6).data(b"data"));
    }
    s.expect_nothing();
    s.inject(seg().seq(6).ack(5));
    assert_eq!(s.advance_to_next_timer(), Some(60.secs()));
    s.expect(seg().seq(4).ack(6));
    covers!("MUST-26");
}

#[test]
fn must_29_an_unanswered_probe_is_not_the_end() {
    let mut s = minute().established();
    s.advance(70.secs());
    s.expect(seg().seq(0).ack(1));
    s.expect(seg().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1));
    s.advance(59.secs());
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Established);
    // Whatever is asked for.
    let hasty = KeepAlive { retries: 0, ..MINUTE };
    let mut s = Scene::builder().config(|c| c.keep_alive = Some(hasty)).established();
    s.advance(79.secs());
    s.expect(seg().seq(0).ack(1));
    s.expect(seg().seq(0).ack(1));
    assert_eq!(s.state(), TcpState::Established);
    s.advance(1.secs());
    assert_eq!(s.state(), TcpState::Closed);
    covers!("MUST-29");
}

#[test]
fn t_per_7_a_peer_that_is_gone_is_found() {
    // Established, half-closed either way.
    for phase in 0..3 {
        let mut s = minute().established();
        match phase {
            1 => {
                s.finish();
                s.inject(seg().seq(1).ack(2));
            }
            2 => s.inject(seg().seq(1).ack(1).fin()),
            _ => {}
        }
        while s.take().is_some() {}
        let state = s.state();
        s.advance(90.secs() - 1.ns());
        assert_eq!(s.state(), state);
        assert_eq!(std::iter::from_fn(|| s.take()).count(), 3);
        s.advance(1.ns());
        assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::TimedOut)));
    }
    covers!("T-PER-7");
}

#[test]
fn t_per_5_nonsense_is_no_sign_of_life() {
    let nonsense = [
        seg().seq(70_000).ack(1),
        seg().seq(70_000).ack(1).len(10),
        seg().seq(1).ack(50_000),
        seg().seq(1),
        seg().rst().seq(99),
        seg().syn().seq(0).ack(1),
    ];
    for odd in nonsense {
        let mut s = minute().established();
        s.advance(60.secs());
        s.expect(seg().seq(0).ack(1));
        s.advance(5.secs());
        s.inject(odd.clone());
        s.advance(25.secs());
        assert_eq!(s.error(), Some(ConnectionError::TimedOut), "{odd}");
    }
    // The same for a probe of a closed window: an answer that does not acknowledge keeps nothing alive.
    let mut s = Scene::builder().config(|c| c.retries = 3).established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send(b"data");
    for _ in 0..3 {
        s.advance_to_next_timer();
        assert!(text_of_next(&mut s) <= 1);
        s.inject(seg().seq(1).ack(50_000).window(0));
        while s.take().is_some() {}
    }
    s.advance_to_next_timer();
    assert_eq!(s.error(), Some(ConnectionError::TimedOut));
    covers!("T-PER-5");
}

#[test]
fn a_probe_of_the_peers_is_answered_and_is_a_sign_of_life() {
    let mut s = minute().established();
    s.advance(59.secs());
    s.inject(seg().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.advance(59.secs());
    s.expect_nothing();
    // With its byte of garbage too, as old hosts send it.
    s.inject(seg().seq(0).ack(1).len(1));
    s.expect(seg().seq(1).ack(1));
    s.advance(59.secs());
    s.expect_nothing();
}

#[test]
fn an_ack_that_is_due_anyway_does_not_stand_for_the_probe() {
    let mut s = minute().established();
    s.advance(60.secs());
    s.expect(seg().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1));
    s.advance(60.secs());
    s.expect(seg().seq(0).ack(1));
    s.expect_nothing();
}

#[test]
fn no_interval_is_shorter_than_a_second() {
    // Zero would be the end of a healthy peer, its answer being under way.
    let mut s = Scene::builder()
        .config(|c| {
            c.keep_alive = Some(KeepAlive { idle: Duration::ZERO, interval: Duration::ZERO, retries: 3 })
        })
        .established();
    for _ in 0..100 {
        for _ in 0..3 {
            assert_eq!(s.advance_to_next_timer(), Some(1.secs()));
            s.expect(seg().seq(0).ack(1));
        }
        s.inject(seg().seq(1).ack(1));
        s.expect_nothing();
        assert_eq!(s.state(), TcpState::Established);
    }
    // Nobody answers.
    for _ in 0..3 {
        assert_eq!(s.advance_to_next_timer(), Some(1.secs()));
        s.expect(seg().seq(0).ack(1));
    }
    assert_eq!(s.advance_to_next_timer(), Some(1.secs()));
    assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::TimedOut)));
}
