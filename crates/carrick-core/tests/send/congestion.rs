//! The congestion window, as packets show it, and controllers of one's own.

use carrick_core::congestion::{Acked, Controller, NewReno};
use carrick_core::{ConnectionConfig, Instant};
use carrick_covers::covers;
use carrick_sim::{Scene, Span, seg};
use std::hash::Hasher;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many bytes leave now.
fn burst(s: &mut Scene) -> u32 {
    let mut bytes = 0;
    while let Some(packet) = s.take() {
        bytes += packet.segment().unwrap().payload.len() as u32;
    }
    bytes
}

#[test]
fn must_19_the_window_doubles_then_grows_by_a_segment_for_each_round_trip() {
    let reno = |config: &mut ConnectionConfig| config.congestion = Some(Box::new(NewReno::default()));
    let mut s = Scene::builder().mss(1000).window_scale(4).config(reno).established();
    s.send(vec![1; 500_000]);
    let mut next = 1;
    let mut bursts = Vec::new();
    for _ in 0..4 {
        let bytes = burst(&mut s);
        bursts.push(bytes / 1000);
        next += bytes;
        s.inject(seg().seq(1).ack(next));
    }
    assert_eq!(bursts, [10, 20, 40, 80]);
    // 160 are out; a timeout halves that for ssthresh, and begins anew with one segment.
    assert_eq!(burst(&mut s), 160_000);
    s.advance_to_next_timer();
    assert_eq!(burst(&mut s), 1000);
    next += 160_000;
    s.inject(seg().seq(1).ack(next));
    bursts.clear();
    for _ in 0..9 {
        let bytes = burst(&mut s);
        bursts.push(bytes / 1000);
        next += bytes;
        s.inject(seg().seq(1).ack(next));
        let _ = s.try_send(&vec![1; 200_000]);
    }
    assert_eq!(bursts, [2, 4, 8, 16, 32, 64, 80, 81, 82]);
    covers!("MUST-19");
}

/// A window that never changes, and a list of what was told.
#[derive(Clone, Debug)]
struct Fixed(u32, Arc<Mutex<Vec<String>>>);

impl Fixed {
    fn note(&self, what: String) {
        self.1.lock().unwrap().push(what);
    }
}

impl Controller for Fixed {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn window(&self) -> u32 {
        self.0
    }

    fn on_start(&mut self, mss: u32) {
        self.note(format!("start {mss}"));
    }

    fn on_ack(&mut self, acked: Acked) {
        self.note(format!("ack {} of {}", acked.bytes, acked.in_flight));
    }

    fn on_loss(&mut self, _: Instant, in_flight: u32) {
        self.note(format!("loss {in_flight}"));
    }

    fn on_recovered(&mut self, _: Instant, in_flight: u32, _: u32) {
        self.note(format!("recovered {in_flight}"));
    }

    fn on_timeout(&mut self, _: Instant, in_flight: u32, first: bool) {
        self.note(format!("timeout {in_flight} {first}"));
    }

    fn on_restart(&mut self, _: Instant, idle: Duration) {
        self.note(format!("restart {idle:?}"));
    }

    fn digest(&self, state: &mut dyn Hasher) {
        state.write_u32(self.0);
    }
}

/// RFC 5681 §4.1: a pause longer than a retransmission timeout, counted from when all was acknowledged.
#[test]
fn a_pause_is_told_before_what_is_sent_after_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let fixed = Fixed(3000, Arc::clone(&told));
    let mut s = Scene::builder().mss(1000).config(|c| c.congestion = Some(Box::new(fixed))).established();
    let mut next = 1;
    for pause in [0, 200, 201, 5000] {
        s.advance(pause.ms());
        s.send([1; 1000]);
        assert_eq!(burst(&mut s), 1000);
        next += 1000;
        s.inject(seg().seq(1).ack(next));
    }
    let told = told.lock().unwrap();
    let restarts: Vec<_> = told.iter().filter(|what| what.starts_with("restart")).collect();
    assert_eq!(restarts, ["restart 201ms", "restart 5s"], "{told:?}");
}

#[test]
fn may_18_another_controller_can_be_chosen_and_hears_of_everything_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let fixed = Fixed(3000, Arc::clone(&told));
    let mut s = Scene::builder().mss(1000).config(|c| c.congestion = Some(Box::new(fixed))).established();
    s.send([1; 20_000]);
    assert_eq!(burst(&mut s), 3000);
    s.inject(seg().seq(1).ack(1001));
    assert_eq!(burst(&mut s), 1000);
    // Two by limited transmit, which the controller does not see, and the loss.
    for _ in 0..3 {
        s.inject(seg().seq(1).ack(1001));
    }
    assert_eq!(burst(&mut s), 2000 + 1000);
    s.inject(seg().seq(1).ack(2001));
    burst(&mut s);
    s.inject(seg().seq(1).ack(7001));
    assert_eq!(burst(&mut s), 3000);
    s.advance_to_next_timer();
    s.advance_to_next_timer();
    assert_eq!(
        *told.lock().unwrap(),
        [
            "start 1000",
            "ack 1000 of 3000",
            "loss 3000",
            "recovered 0",
            "timeout 3000 true",
            "timeout 3000 false"
        ]
    );
    covers!("MAY-18");
}

/// The peer acknowledges ten segments after 100 ms, and there is more to send than the window takes.
fn second_flight(pacing: bool) -> u32 {
    let mut s = Scene::builder().mss(1000).config(|config| config.pacing = pacing).established();
    s.send(vec![1; 100_000]);
    assert_eq!(burst(&mut s), 10_000);
    s.advance(100.ms());
    s.inject(seg().seq(1).ack(10_001));
    burst(&mut s)
}

#[test]
fn without_pacing_a_window_leaves_at_once() {
    assert_eq!(second_flight(false), 20_000);
    let paced = second_flight(true);
    assert!((1000..20_000).contains(&paced), "{paced}");
}

/// In slow start a window grows that was more than half used: one that may still be so after an ACK has doubled what is
/// sent (RFC 7661 §4.2 asks for half of it at least).
#[test]
fn a_window_of_which_half_was_used_does_not_grow() {
    for (segments, expected) in [(5, [10, 10]), (6, [12, 12]), (9, [12, 14])] {
        let mut s = Scene::builder().mss(1000).established();
        s.send(vec![1; segments * 1000]);
        assert_eq!(burst(&mut s), 1000 * segments as u32);
        let windows = [2001, 4001].map(|ack| {
            s.inject(seg().seq(1).ack(ack));
            s.connection().unwrap().tcp_info().unwrap().congestion_window / 1000
        });
        assert_eq!(windows, expected, "{segments}");
    }
}

/// Seen: a FIN behind a full window waited for an acknowledgment, a round trip for nothing.
#[test]
fn a_fin_alone_does_not_wait_for_the_congestion_window() {
    let mut s = Scene::builder().mss(1000).established();
    s.send(vec![1; 10_000]);
    assert_eq!(burst(&mut s), 10_000);
    s.finish();
    s.expect(seg().fin().seq(10_001).ack(1));
    s.expect_nothing();
}
