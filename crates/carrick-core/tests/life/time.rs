//! Clocks that leap, stand still, run backwards, and timers that are served late.

use carrick_core::{ConnectionError, Cx, Instant, KeepAlive};
use carrick_covers::covers;
use carrick_sim::{LinkConfig, Pair, Plan, Rng, Scene, Span, TcpState, World, seg};
use std::time::Duration;

/// Lets the clock leap: all timers that came due meanwhile are served once, afterwards.
fn leap(s: &mut Scene, by: Duration) {
    let now = s.now() + by;
    s.host_mut().expire(now);
    s.check();
}

#[test]
fn t_tim_2_a_leap_serves_each_timer_once() {
    let alive = KeepAlive { idle: 60.secs(), interval: 10.secs(), retries: 3 };
    for leapt in [1.secs(), 100.secs(), 3600.secs(), (365 * 24 * 3600).secs()] {
        // Text under way: one repetition, no burst, and time for the peer to answer.
        let mut s = Scene::builder().config(|c| c.user_timeout = Some(50.secs())).established();
        s.send([1; 10_000]);
        while s.take().is_some() {}
        leap(&mut s, leapt);
        assert_eq!(s.state(), TcpState::Established);
        let repeated: Vec<_> = std::iter::from_fn(|| s.take()).collect();
        assert_eq!(repeated.len(), 1, "after {leapt:?}");
        // A closed window: one probe.
        let mut s = Scene::builder().config(|c| c.user_timeout = Some(50.secs())).established();
        s.inject(seg().seq(1).ack(1).window(0));
        s.send(b"data");
        leap(&mut s, leapt);
        assert_eq!((s.state(), std::iter::from_fn(|| s.take()).count()), (TcpState::Established, 1));
        // Nothing under way: one probe, whose answer counts.
        let mut s = Scene::builder().config(|c| c.keep_alive = Some(alive)).established();
        leap(&mut s, leapt.max(60.secs()));
        s.expect(seg().seq(0).ack(1));
        s.expect_nothing();
        assert_eq!(s.state(), TcpState::Established);
        s.inject(seg().seq(1).ack(1));
        assert_eq!(s.state(), TcpState::Established);
        // A SYN.
        let mut s = Scene::builder().config(|c| c.user_timeout = Some(50.secs())).connecting();
        leap(&mut s, leapt);
        s.expect(seg().syn().seq(0));
        s.expect_nothing();
        assert_eq!(s.state(), TcpState::SynSent);
    }
    // After the leap the peer stays silent: the end comes then.
    let mut s = Scene::builder().config(|c| c.user_timeout = Some(50.secs())).established();
    s.send(b"data");
    leap(&mut s, 3600.secs());
    s.advance(3700.secs());
    assert_eq!(s.error(), Some(ConnectionError::TimedOut));
    covers!("T-TIM-2");
}

#[test]
fn t_tim_3_and_4_the_past_is_the_present_and_the_end_of_time_is_no_trap() {
    let mut random = Rng::new(3);
    for round in 0..200u64 {
        let extreme = [Duration::ZERO, 1.ns(), Duration::MAX, Duration::from_nanos(u64::MAX)];
        let mut s = Scene::builder()
            .timestamps(round % 2 == 0)
            .config(|c| {
                c.keep_alive = Some(KeepAlive {
                    idle: random.pick(&extreme),
                    interval: random.pick(&extreme),
                    retries: random.bits() as u8,
                });
                c.user_timeout = Some(random.pick(&extreme)).filter(|_| round % 3 == 0);
                c.delayed_ack = random.pick(&extreme);
                c.min_rto = random.pick(&extreme);
                c.max_rto = random.pick(&extreme);
                c.fin_wait_2 = random.pick(&extreme);
                c.orphan_timeout = random.pick(&extreme);
                c.linger = Some(random.pick(&extreme)).filter(|_| round % 5 == 0);
                if let Some(alive) = &mut c.keep_alive {
                    // A probe in every nanosecond would be what was asked for.
                    alive.interval = alive.interval.max(1.ms());
                    alive.idle = alive.idle.max(1.ms());
                }
            })
            .established();
        let id = s.host().connections();
        assert_eq!(id, 1);
        let nanos = [0, 1, 1_000_000_000, u64::MAX / 2, u64::MAX - 1, u64::MAX];
        for _ in 0..30 {
            // Earlier or later than all before, without order.
            let at = Instant::from_nanos(random.pick(&nanos).wrapping_add(random.below(1000)));
            if s.connection().is_none() {
                break;
            }
            let what = random.below(6);
            s.with("any time", |c, cx| {
                let cx = Cx { now: at, ..*cx };
                match what {
                    0 => c.handle_timeout(&cx),
                    1 => drop(c.send(&cx, b"text")),
                    2 => c.consume(&cx, 1),
                    3 => c.set_user_timeout(&cx, Some(Duration::MAX)),
                    4 => c.set_keep_alive(&cx, Some(KeepAlive::default())),
                    _ => c.finish(&cx),
                }
                // The clock never runs back: what is due is due once.
                let due = c.poll_timeout();
                c.handle_timeout(&cx);
                assert!(c.poll_timeout().is_none_or(|next| next == Instant::NEVER || Some(next) >= due));
            });
            while s.take().is_some() {}
        }
    }
    covers!("T-TIM-3", "T-TIM-4");
}

#[test]
fn an_earlier_now_changes_nothing_but_is_taken_as_the_last() {
    let mut s = Scene::established();
    s.send(b"data");
    s.advance(100.ms());
    let before = s.connection().unwrap().poll_timeout();
    s.with("back to the origin", |c, cx| c.handle_timeout(&Cx { now: Instant::ZERO, ..*cx }));
    assert_eq!(s.connection().unwrap().poll_timeout(), before);
    s.with("write at the origin", |c, cx| c.send(&Cx { now: Instant::ZERO, ..*cx }, b"more")).unwrap();
    assert_eq!(s.connection().unwrap().poll_timeout(), before);
}

#[test]
fn t_tim_5_timers_served_late_are_only_slow() {
    let mut bytes = 0;
    for seed in 0..10 {
        let link = LinkConfig { loss: 30_000, ..LinkConfig::delayed(20.ms()) };
        let mut world = World::new(seed).link(&link).talk(Plan::patient(60_000), Plan::patient(60_000));
        for side in &mut world.sides {
            side.late = 10.secs();
            side.connection.user_timeout = Some(600.secs());
        }
        let report = Pair::run_twice(&world).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.complete(), 1, "seed {seed}: {:?}", report.ends);
        bytes += report.bytes;
    }
    assert_eq!(bytes, 10 * 120_000);
    covers!("T-TIM-5");
}

/// Whatever patience and eagerness both sides have, a conversation on a link that loses goes through.
#[test]
fn settings_of_all_kinds_get_along() {
    let mut random = Rng::new(42);
    for seed in 0..40 {
        let link = LinkConfig {
            loss: 20_000,
            duplicate: 20_000,
            reorder: 20_000,
            reorder_by: 30.ms(),
            ..LinkConfig::delayed(10.ms())
        };
        let mut world = World::new(seed).link(&link).talk(Plan::patient(50_000), Plan::patient(70_000));
        for side in &mut world.sides {
            let c = &mut side.connection;
            c.delayed_ack = random.up_to(600.ms());
            c.nodelay = random.chance(500_000);
            c.keep_alive = random.chance(500_000).then(|| KeepAlive {
                idle: 1.ms() + random.up_to(1.secs()),
                interval: 300.ms() + random.up_to(1.secs()),
                retries: 200,
            });
            c.user_timeout = random.chance(500_000).then(|| 600.secs());
            c.user_timeout_option = random
                .chance(500_000)
                .then(|| carrick_core::UserTimeoutOption { advertise: 600.secs(), ..Default::default() });
            c.linger = random.chance(500_000).then(|| 600.secs());
            c.sack = random.chance(500_000);
            c.timestamps = random.chance(500_000);
            c.dscp = random.bits() as u8;
        }
        let report = Pair::run_twice(&world).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((report.complete(), report.bytes), (1, 120_000), "seed {seed}: {:?}", report.ends);
    }
}
