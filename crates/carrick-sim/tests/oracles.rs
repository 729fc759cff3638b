//! Each oracle fires when the fault that it looks for is planted, and none fires without.

use carrick_core::EcnPolicy;
use carrick_sim::oracles::Oracle;
use carrick_sim::{Fault, LinkConfig, Pair, Plan, Scene, Span, World, seg};

/// A conversation over a link that loses so much that there are repetitions and timeouts on both sides.
fn world() -> World {
    let link = LinkConfig { loss: 150_000, ..LinkConfig::delayed(10.ms()) };
    World::new(3).link(&link).talk(Plan::patient(60_000), Plan::patient(60_000))
}

/// The world with that fault, on one side or the other, fails, and by that oracle.
fn caught(fault: Fault, oracle: Oracle) {
    for side in 0..2 {
        match Pair::run_twice(&world().fault(side, fault)) {
            Ok(report) => panic!("{fault:?} on side {side} went unnoticed: {report:?}"),
            Err(failure) => {
                assert_eq!(failure.violation.oracle, oracle, "{fault:?} on side {side}: {failure}");
                assert_eq!(failure.seed, 3);
            }
        }
    }
}

#[test]
fn without_a_fault_no_oracle_fires() {
    let report = Pair::run_twice(&world()).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.complete(), 1);
    assert_eq!(report.bytes, 120_000);
    assert!(report.lost > 0);
}

#[test]
fn o_1_fires_on_a_panic() {
    caught(Fault::Panic, Oracle::O1);
}

#[test]
fn o_2_fires_on_a_wrong_byte() {
    caught(Fault::Misread, Oracle::O2);
}

#[test]
fn o_3_fires_on_packets_that_stay_due() {
    caught(Fault::Restless, Oracle::O3);
}

#[test]
fn o_3_fires_on_a_deadline_in_the_past() {
    caught(Fault::StaleDeadline, Oracle::O3);
}

#[test]
fn o_4_fires_on_a_byte_not_given_back() {
    caught(Fault::Leak, Oracle::O4);
}

#[test]
fn o_5_fires_on_an_answer_too_many() {
    caught(Fault::Echo, Oracle::O5);
    // Though more segments came than were answered.
    caught(Fault::Stutter, Oracle::O5);
}

#[test]
fn o_6_fires_on_a_window_taken_back() {
    caught(Fault::Shrink, Oracle::O6);
}

#[test]
fn o_7_fires_on_another_byte_in_a_repetition() {
    caught(Fault::Flip, Oracle::O7);
}

#[test]
fn o_8_fires_on_a_wrong_checksum() {
    caught(Fault::BadSum, Oracle::O8);
}

#[test]
fn o_8_fires_on_what_may_not_be_ecn_capable() {
    for ecn in [EcnPolicy::Off, EcnPolicy::Ask] {
        let mut world = world().fault(0, Fault::Capable);
        for side in &mut world.sides {
            side.connection.ecn = ecn;
        }
        let failure = Pair::new(world).run().unwrap_err();
        assert_eq!(failure.violation.oracle, Oracle::O8, "{failure}");
        assert!(failure.violation.what.contains("Ect0"), "{failure}");
    }
}

#[test]
fn o_9_fires_on_timers_that_nobody_serves() {
    // Half is lost, and neither side repeats anything.
    let link = LinkConfig { loss: 500_000, ..LinkConfig::delayed(10.ms()) };
    let world = world().link(&link).fault(0, Fault::Deaf).fault(1, Fault::Deaf);
    let failure = Pair::new(world).run().unwrap_err();
    assert_eq!(failure.violation.oracle, Oracle::O9, "{failure}");
}

#[test]
fn o_10_fires_on_secrets_that_differ() {
    caught(Fault::Whim, Oracle::O10);
}

#[test]
fn o_11_fires_on_an_outcome_not_counted() {
    caught(Fault::Forget, Oracle::O11);
}

#[test]
fn o_12_fires_on_more_in_flight_than_the_window() {
    caught(Fault::Overdraw, Oracle::O12);
}

#[test]
#[should_panic(expected = "O-6 violated")]
fn a_scene_asks_the_oracles_too() {
    let mut s = Scene::established();
    s.host_mut().plant(Fault::Shrink);
    s.inject(seg().seq(1).ack(1).data(b"hello"));
}

#[test]
#[should_panic(expected = "instead of 7")]
fn a_scene_compares_what_it_expects() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).data(b"hello"));
    s.expect(seg().seq(1).ack(7));
}

#[test]
#[should_panic(expected = "nothing was sent")]
fn a_scene_misses_what_was_not_sent() {
    Scene::established().expect(seg().seq(1).ack(1));
}

#[test]
#[should_panic(expected = "1 packets more than expected")]
fn a_scene_notices_what_was_not_expected() {
    let mut s = Scene::established();
    s.finish();
    s.expect_nothing();
}

#[test]
fn a_failure_shows_the_exchange_as_tcpdump_would() {
    let failure = Pair::new(world().fault(1, Fault::Shrink)).run().unwrap_err();
    let text = failure.to_string();
    assert!(text.contains(">80 [S] seq 0, win 65535, options [mss 1460,sackOK,TS val "), "{text}");
    assert!(text.ends_with(&format!("seed 3: {}", failure.violation)), "{text}");
}

#[test]
fn a_half_open_record_goes_on_after_resets_that_end_nothing() {
    let mut s = Scene::listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    // A SYN of an earlier life, and the answer to the challenge that it draws, too late to be of this one.
    let before = 0_u32.wrapping_sub(250_000);
    s.inject(seg().syn().seq(before));
    s.expect(seg().seq(1).ack(1));
    s.inject(seg().rst().seq(before + 1));
    s.expect_nothing();
    // Nor do resets beyond RCV.NXT, be it at the end of text, which a record does not take.
    s.inject(seg().seq(1).ack(before).data(b"text"));
    s.expect(seg().rst().seq(before));
    for seq in [5, 5, 2] {
        s.inject(seg().rst().seq(seq));
        s.expect(seg().seq(1).ack(1));
    }
    s.advance_to_next_timer();
    s.expect(seg().syn().seq(0).ack(1));
    // An ACK of that life is answered with a reset, in its own numbers.
    s.inject(seg().seq(1).ack(before));
    s.expect(seg().rst().seq(before));
    s.advance_to_next_timer();
    s.expect(seg().syn().seq(0).ack(1));
}
