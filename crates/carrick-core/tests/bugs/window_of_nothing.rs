//! Seen, by reading: a controller of the user's that answered with a window of nothing kept text back for good; the
//! persist timer fired and found nothing to probe, for the peer's window was open.

use carrick_core::Instant;
use carrick_core::congestion::{Acked, Controller};
use carrick_sim::{Scene, pattern, seg};
use std::hash::Hasher;

#[derive(Debug)]
struct Stingy;

impl Controller for Stingy {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self)
    }

    fn window(&self) -> u32 {
        0
    }

    fn on_start(&mut self, _mss: u32) {}

    fn on_ack(&mut self, _acked: Acked) {}

    fn on_loss(&mut self, _now: Instant, _in_flight: u32) {}

    fn on_timeout(&mut self, _now: Instant, _in_flight: u32, _first: bool) {}

    fn digest(&self, _state: &mut dyn Hasher) {}
}

#[test]
fn a_segment_at_a_time_leaves_whatever_the_controller_says() {
    let mut s = Scene::builder().mss(1000).config(|c| c.congestion = Some(Box::new(Stingy))).established();
    s.send(pattern(0, 2500));
    for n in 0..2 {
        s.expect(seg().seq(1 + 1000 * n).ack(1).len(1000));
        s.expect_nothing();
        s.inject(seg().seq(1).ack(1001 + 1000 * n));
    }
    s.expect(seg().seq(2001).ack(1).len(500));
}
