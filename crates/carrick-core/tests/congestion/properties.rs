//! What holds whatever a controller is told: round trips of a nanosecond to ten minutes, segments of a byte to 64 KiB.

use super::*;
use carrick_core::congestion::RateSample;
use carrick_covers::covers;
use proptest::prelude::*;

const CAP: u32 = 1 << 30;

#[derive(Clone, Debug)]
enum Op {
    Ack { bytes: u32, more: u32, rtt: Option<Duration>, srtt: Option<Duration>, round: bool, limited: bool },
    Loss { part: u8 },
    Recovered { in_flight: u32, repaired: u32 },
    Mark { part: u8 },
    Timeout { in_flight: u32, first: bool },
    Spurious { in_flight: u32, acked: u32, timeout: bool },
    Restart { idle: Duration },
    Size { mss: u32 },
    Sample,
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1u64..1_000_000).prop_map(Duration::from_nanos),
        (1u64..1_000_000).prop_map(Duration::from_micros),
        (1u64..=600).prop_map(Duration::from_secs),
    ]
}

fn bytes() -> impl Strategy<Value = u32> {
    (0u32..=32, any::<u32>()).prop_map(|(bits, value)| if bits == 0 { 0 } else { value >> (32 - bits) })
}

fn mss() -> impl Strategy<Value = u32> {
    prop_oneof![Just(1), Just(65_495), 1u32..=65_495, 500u32..1500]
}

fn op() -> impl Strategy<Value = Op> {
    let some = || proptest::option::of(time());
    prop_oneof![
        12 => (bytes(), bytes(), some(), some(), any::<bool>(), any::<bool>())
            .prop_map(|(bytes, more, rtt, srtt, round, limited)| Op::Ack { bytes, more, rtt, srtt, round, limited }),
        2 => any::<u8>().prop_map(|part| Op::Loss { part }),
        1 => (bytes(), bytes()).prop_map(|(in_flight, repaired)| Op::Recovered { in_flight, repaired }),
        1 => any::<u8>().prop_map(|part| Op::Mark { part }),
        1 => (bytes(), any::<bool>()).prop_map(|(in_flight, first)| Op::Timeout { in_flight, first }),
        1 => (bytes(), bytes(), any::<bool>())
            .prop_map(|(in_flight, acked, timeout)| Op::Spurious { in_flight, acked, timeout }),
        1 => time().prop_map(|idle| Op::Restart { idle }),
        1 => mss().prop_map(|mss| Op::Size { mss }),
        1 => Just(Op::Sample),
    ]
}

/// Tells it, and looks at what it answers.
fn play(controller: &mut dyn Controller, mut mss: u32, now: &mut Instant, step: Duration, op: &Op) -> u32 {
    *now += step;
    let now = *now;
    let before = controller.window();
    let part = |part: u8| (u64::from(before) * (u64::from(part) + 1) / 256) as u32;
    let mut least = mss;
    let mut most = CAP;
    match *op {
        Op::Ack { bytes, more, rtt, srtt, round, limited } => {
            let in_flight = bytes.saturating_add(more);
            controller.on_ack(Acked { now, bytes, in_flight, rtt, srtt, round, limited });
            // Only five minutes without use take something away, at the end of a round.
            least = if round { before / 2 } else { before };
            most = if limited { CAP } else { before };
        }
        Op::Loss { part: p } => {
            controller.on_loss(now, part(p));
            most = before.max(mss.saturating_mul(2));
        }
        Op::Recovered { in_flight, repaired } => {
            controller.on_recovered(now, in_flight, repaired);
            most = before;
        }
        Op::Mark { part: p } => {
            controller.on_ecn(now, part(p));
            (least, most) = (before / 2, before);
        }
        Op::Timeout { in_flight, first } => {
            controller.on_timeout(now, in_flight, first);
            most = mss;
        }
        Op::Spurious { in_flight, acked, timeout } => {
            controller.on_spurious(Spurious { now, in_flight, acked, timeout });
            least = before;
        }
        Op::Restart { idle } => {
            controller.on_restart(now, idle);
            (least, most) = (before / 2, before);
        }
        Op::Size { mss: new } => {
            controller.on_start(new);
            most = before.max(new);
            least = new;
            mss = new;
        }
        Op::Sample => {
            controller.on_sample(&RateSample { now, ..RateSample::default() });
            (least, most) = (before, before);
        }
    }
    let window = controller.window();
    assert!(
        (least.max(mss).min(before.max(mss))..=most.max(mss)).contains(&window),
        "{before} to {window}: {op:?}"
    );
    if let Some(threshold) = controller.threshold() {
        assert!((mss.min(1000).min(threshold)..CAP).contains(&threshold) && threshold > 0, "{threshold}");
    }
    mss
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn t_ccx_8_windows_are_between_a_segment_and_the_cap_whatever_happens(
        mss_at_first in mss(),
        ops in proptest::collection::vec((time(), op()), 1..200),
    ) {
        for controller in [Box::new(NewReno::default()) as Box<dyn Controller>, Box::new(Cubic::default())] {
            let mut controller = controller;
            controller.on_start(mss_at_first);
            let mut now = Instant::ZERO;
            let mut mss = mss_at_first;
            for (step, op) in &ops {
                mss = play(&mut *controller, mss, &mut now, *step, op);
            }
        }
        covers!("T-CCX-8");
    }

    #[test]
    fn t_ccx_1_an_ack_in_parts_gains_nothing(
        mss in 100u32..9_000,
        ops in proptest::collection::vec((time(), op()), 0..30),
        bytes in 1u32..1_000_000,
        parts in 1u32..200,
    ) {
        for controller in [Box::new(NewReno::default()) as Box<dyn Controller>, Box::new(Cubic::default())] {
            let mut whole = controller;
            whole.on_start(mss);
            let mut now = Instant::ZERO;
            for (step, op) in ops.iter().filter(|(_, op)| !matches!(op, Op::Size { .. })) {
                play(&mut *whole, mss, &mut now, *step, op);
            }
            let mut divided = whole.clone();
            let bytes = bytes.min(whole.window());
            whole.on_ack(ack(now, bytes));
            let mut left = bytes;
            for n in (1..=parts).rev() {
                let part = left / n;
                divided.on_ack(Acked { in_flight: bytes, ..ack(now, part) });
                left -= part;
            }
            // Where the curve meets Reno's line either may be ahead, by less than a segment.
            prop_assert!(divided.window() <= whole.window() + mss, "{} and {}", divided.window(), whole.window());
        }
        covers!("T-CCX-1");
    }

    /// The copy that a connection starts from is a copy.
    #[test]
    fn a_copy_goes_the_same_way(ops in proptest::collection::vec((time(), op()), 1..60), cut in 0usize..60) {
        let mut original: Box<dyn Controller> = Box::new(Cubic::default());
        original.on_start(MSS);
        let (first, second) = ops.split_at(cut.min(ops.len()));
        let (mut now, mut mss) = (Instant::ZERO, MSS);
        for (step, op) in first {
            mss = play(&mut *original, mss, &mut now, *step, op);
        }
        let digest = |controller: &dyn Controller| {
            let mut state = std::hash::DefaultHasher::new();
            controller.digest(&mut state);
            std::hash::Hasher::finish(&state)
        };
        let mut copy = original.clone();
        prop_assert_eq!(digest(&*copy), digest(&*original));
        let mut then = now;
        let mut same = mss;
        for (step, op) in second {
            mss = play(&mut *original, mss, &mut now, *step, op);
            same = play(&mut *copy, same, &mut then, *step, op);
        }
        prop_assert_eq!(digest(&*copy), digest(&*original));
    }
}
