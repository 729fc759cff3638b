//! However large the device's frames may be, what is in flight is what congestion window and peer allow.

use carrick_core::Instant;
use carrick_core::congestion::{Acked, Controller};
use carrick_sim::{Offload, Scene, seg};
use proptest::prelude::*;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A congestion window that is set from outside.
#[derive(Clone, Debug)]
struct Set(Arc<AtomicU32>);

impl Controller for Set {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn window(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn on_start(&mut self, _: u32) {}

    fn on_ack(&mut self, _: Acked) {}

    fn on_loss(&mut self, _: Instant, _: u32) {}

    fn on_timeout(&mut self, _: Instant, _: u32, _: bool) {}

    fn digest(&self, state: &mut dyn Hasher) {
        state.write_u32(self.window());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write(usize),
    /// The congestion window becomes so large.
    Allow(u32),
    /// The peer acknowledges so much of what is out, in per cent, and offers that window.
    Ack(u32, u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (1..100_000usize).prop_map(Op::Write),
        prop_oneof![1..3000u32, 1..200_000u32].prop_map(Op::Allow),
        (0..=100u32, prop_oneof![Just(0), 1..3000u16, any::<u16>()])
            .prop_map(|(part, window)| Op::Ack(part, window)),
    ]
}

proptest! {
    #[test]
    fn no_frame_exceeds_the_congestion_window_or_the_peers(
        ops in proptest::collection::vec(op(), 1..40),
        mss in 100..=1440u16,
        scale in 0..5u8,
        timestamps: bool,
        v6: bool,
    ) {
        let cwnd = Arc::new(AtomicU32::new(10_000));
        let set = Set(Arc::clone(&cwnd));
        let scene = Scene::builder().mss(mss).window_scale(scale).timestamps(timestamps).offload(Offload::Whole);
        let scene = if v6 { scene.v6() } else { scene };
        let mut s = scene.config(|config| {
            config.congestion = Some(Box::new(set));
            config.send_buffer = 1 << 20;
            config.nodelay = true;
        }).established();
        let iss = s.connection().unwrap().sequence_numbers().unwrap()[0] - 1;
        let (mut una, mut nxt, mut edge) = (1, 1, 65_536);
        let mut whole = 0;
        // Duplicates would tell of loss, and inflate the window.
        let mut last = (1, 65_535_u32.div_ceil(1 << scale));
        for op in [Op::Write(50_000)].into_iter().chain(ops) {
            match op {
                Op::Write(len) => drop(s.try_send(&vec![1; len])),
                Op::Allow(window) => cwnd.store(window, Ordering::Relaxed),
                Op::Ack(part, window) => {
                    una += u32::try_from(u64::from(nxt - una) * u64::from(part) / 100).unwrap();
                    // A peer does not take its window back.
                    let window = u32::from(window).max((edge - una).div_ceil(1 << scale)).min(65_535);
                    edge = edge.max(una + (window << scale));
                    if (una, window) != std::mem::replace(&mut last, (una, window)) {
                        s.inject(seg().seq(1).ack(una).window(window as u16));
                    }
                }
            }
            let mss = u32::from(mss) - if timestamps { 12 } else { 0 };
            // A segment may always be out.
            let allowed = una + cwnd.load(Ordering::Relaxed).max(mss);
            while let Some(packet) = s.take() {
                let segment = packet.segment().expect("TCP");
                let from = segment.tcp.seq.distance_from(iss);
                let end = from + segment.payload.len() as u32;
                if end == from {
                    continue;
                }
                prop_assert!(packet.bytes.len() <= 65_535);
                prop_assert!(end <= allowed.max(nxt), "{end}, {allowed} allowed");
                prop_assert!(end <= edge, "{end} beyond {edge}");
                if let Some(size) = packet.segment_size {
                    prop_assert_eq!(u32::from(size.get()), mss);
                    whole += 1;
                }
                nxt = nxt.max(end);
            }
        }
        s.check();
        prop_assert!(whole > 0);
    }
}
