//! Windows that are not used (RFC 7661).

use super::*;
use carrick_covers::covers;

/// A flow that acknowledges whole round trips, 100 ms each.
#[derive(Clone)]
struct Flow {
    controller: Box<dyn Controller>,
    now: f64,
}

impl Flow {
    /// A window of 100 segments, none of it measured.
    fn all() -> [(Self, u32); 2] {
        both(100).map(|(controller, tenths)| (Self { controller, now: 0.0 }, tenths))
    }

    /// Rounds that acknowledge so much each, with room in the window.
    fn rounds(&mut self, rounds: u32, bytes: u32) {
        for _ in 0..rounds {
            self.now += 0.1;
            let srtt = Some(seconds(0.1));
            self.controller.on_ack(Acked { round: true, limited: false, srtt, ..ack(at(self.now), bytes) });
        }
    }

    /// The window after a loss with so much in flight.
    fn loses(&self, in_flight: u32) -> u32 {
        let mut controller = self.controller.clone();
        controller.on_loss(at(self.now), in_flight);
        assert_eq!(controller.threshold(), Some(controller.window()));
        controller.window()
    }

    fn idle(&mut self, time: f64) {
        self.now += time;
        self.controller.on_restart(at(self.now), seconds(time));
    }
}

#[test]
fn cwv_1_cwv_3_validated_while_nothing_is_known_or_half_of_it_is_used() {
    for (flow, tenths) in Flow::all() {
        assert_eq!(flow.loses(10_000), tenths * 1000, "nothing is known");
        let mut flow = flow;
        flow.rounds(1, 10_000);
        assert_eq!(flow.loses(10_000), tenths * 1000, "the first round is not counted from its beginning");
        for (bytes, window) in [(50_000, tenths * 1000), (49_999, 49_999 / 2)] {
            let mut flow = flow.clone();
            flow.rounds(20, bytes);
            assert_eq!(flow.loses(10_000), window, "{bytes}");
        }
    }
    covers!("CWV-1", "CWV-3");
}

#[test]
fn cwv_2_the_most_that_a_round_trip_acknowledged_within_a_second() {
    for (mut flow, tenths) in Flow::all() {
        flow.rounds(2, 50_000);
        flow.rounds(5, 10_000);
        assert_eq!(flow.loses(20_000), tenths * 2000, "half a second ago");
        flow.rounds(6, 10_000);
        assert_eq!(flow.loses(4_000), 5_000, "more than a second ago");
        // The acknowledgements of a round add up.
        for _ in 0..5 {
            flow.controller.on_ack(Acked { limited: false, ..ack(at(flow.now), 10_000) });
        }
        assert_eq!(flow.loses(4_000), 5_000, "it is not over");
        flow.rounds(1, 0);
        assert_eq!(flow.loses(20_000), tenths * 2000);
        // After a pause what was before it does not count.
        flow.idle(1.0);
        assert_eq!(flow.loses(4_000), 2_000);
        // Of a long round trip three.
        let mut slow = flow;
        let rounds = [(0, 2000), (60_000, tenths * 400), (10_000, tenths * 400), (10_000, tenths * 400)];
        for (n, (bytes, window)) in
            rounds.into_iter().chain([(10_000, tenths * 400), (10_000, 5000)]).enumerate()
        {
            let srtt = Some(seconds(2.0));
            let now = at(slow.now + 2.0 * n as f64);
            slow.controller.on_ack(Acked { round: true, limited: false, srtt, ..ack(now, bytes) });
            assert_eq!(slow.loses(4_000), window, "{n}");
        }
    }
    covers!("CWV-2");
}

#[test]
fn cwv_4_it_does_not_grow_unless_it_is_the_limit() {
    for (mut flow, _) in Flow::all() {
        flow.rounds(20, 10_000);
        assert_eq!(flow.controller.window(), 100_000);
        flow.controller.on_ack(ack(at(flow.now), 5_000));
        assert_eq!(flow.controller.window(), 105_000);
    }
    covers!("CWV-4");
}

#[test]
fn cwv_5_a_loss_is_answered_by_what_was_in_use() {
    for (mut flow, tenths) in Flow::all() {
        flow.rounds(20, 10_000);
        // pipeACK or the flight, whichever is more; half, without what had to be sent again, and a segment at least.
        for (in_flight, repaired, during, after) in [
            (8_000, 2_000, 5_000, 4_000),
            (10_001, 0, 5_000, 5_000),
            (12_000, 4_000, 6_000, 4_000),
            (12_000, 50_000, 6_000, 1_000),
        ] {
            let mut flow = flow.clone();
            flow.controller.on_loss(at(flow.now), in_flight);
            assert_eq!((flow.controller.window(), flow.controller.threshold()), (during, Some(during)));
            flow.controller.on_recovered(at(flow.now), 100_000, repaired);
            assert_eq!((flow.controller.window(), flow.controller.threshold()), (after, Some(after)));
            // pipeACK is undefined: an ordinary loss.
            assert_eq!(flow.loses(6_000), tenths * 600);
            let mut counted = flow.clone();
            counted.rounds(1, 100);
            assert_eq!(counted.loses(6_000), tenths * 600);
            // Taken back, it is the window that it was.
            flow.controller.on_spurious(needless(false, 0, 0));
            assert_eq!(flow.controller.window(), 100_000);
        }
        let mut small = flow.clone();
        small.rounds(20, 500);
        assert_eq!(small.loses(0), 1000, "a segment at least");
        // CUBIC comes back to what was in use.
        flow.controller.on_loss(at(flow.now), 20_000);
        flow.controller.on_recovered(at(flow.now), 100_000, 0);
        assert_eq!(flow.controller.window(), 10_000);
        if tenths == 7 {
            flow.controller.on_ack(ack(at(flow.now), 1));
            flow.controller.on_ack(ack(at(flow.now + (10.0f64 / 0.4).cbrt()), 5_000));
            assert_near(flow.controller.window(), 12.5);
        }
    }
    covers!("CWV-5");
}

#[test]
fn cwv_6_after_five_minutes_half_of_it_is_given_up() {
    for (flow, _) in Flow::all() {
        // Rounds that use little of it,
        let mut little = flow.clone();
        little.rounds(2, 60_000);
        little.controller.on_loss(at(little.now), 80_000);
        little.controller.on_spurious(needless(false, 0, 0));
        little.rounds(2999, 10_000);
        assert_eq!(little.controller.window(), 100_000);
        little.rounds(25, 10_000);
        assert_eq!(little.controller.window(), 50_000, "after five minutes");
        little.rounds(2950, 10_000);
        assert_eq!(little.controller.window(), 50_000);
        little.rounds(100, 10_000);
        assert_eq!(little.controller.window(), 25_000, "after five more");

        // or none: the threshold is three quarters of it.
        let mut idle = flow.clone();
        idle.controller.on_loss(at(0.0), 40_000);
        let before = idle.controller.window();
        for (time, window) in [(299.9, before), (299.9, before), (300.0, before / 2), (10_000.0, before / 2)]
        {
            let mut idle = idle.clone();
            idle.idle(time);
            assert_eq!(idle.controller.window(), window.max(10_000), "{time}");
            assert_eq!(idle.controller.threshold(), Some(before));
        }
        // Twice two and a half minutes with little between them are five.
        idle.rounds(2, 1);
        idle.idle(150.0);
        idle.rounds(2, 1);
        assert_eq!(idle.controller.window(), before);
        idle.idle(150.0);
        assert_eq!(idle.controller.window(), (before / 2).max(10_000));
        // While it is used the time does not run.
        let mut used = flow.clone();
        for _ in 0..10 {
            used.rounds(2, 60_000);
            used.idle(200.0);
        }
        assert_eq!(used.controller.window(), 100_000);
        // The threshold becomes three quarters where it was less.
        let mut grown = flow;
        grown.controller.on_timeout(at(0.0), 40_000, true);
        let threshold = grown.controller.threshold().unwrap();
        for n in 1..2000u32 {
            let window = grown.controller.window();
            grown.controller.on_ack(ack(at(f64::from(n) / 10.0), window));
        }
        let window = grown.controller.window();
        assert!(window > 4 * threshold);
        grown.now = 200.0;
        grown.idle(400.0);
        assert_eq!(
            (grown.controller.window(), grown.controller.threshold()),
            (window / 2, Some(window / 4 * 3 + window % 4 * 3 / 4))
        );
    }
    covers!("CWV-6");
}
