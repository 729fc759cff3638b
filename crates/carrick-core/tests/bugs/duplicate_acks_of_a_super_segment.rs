//! Seen: without SACK, a super-segment behind a hole drew one duplicate ACK, however many segments it stood for. A
//! peer that waits for three before it repeats what was lost (RFC 5681 §3.2) waited for its timeout.

use carrick_sim::{Scene, seg};

#[test]
fn each_segment_behind_a_hole_draws_its_ack_though_they_came_as_one() {
    let mut s = Scene::established();
    s.inject(seg().seq(1001).ack(1).len(3500).segment_size(1000));
    for _ in 0..4 {
        s.expect(seg().seq(1).ack(1).len(0));
    }
    s.expect_nothing();
    // As if it came by itself.
    s.inject(seg().seq(5001).ack(1).len(1000));
    s.expect(seg().seq(1).ack(1).len(0));
    s.expect_nothing();
    // What was there already tells of the hole as well.
    s.inject(seg().seq(1001).ack(1).len(2000).segment_size(1000));
    for _ in 0..2 {
        s.expect(seg().seq(1).ack(1).len(0));
    }
    s.inject(seg().seq(1).ack(1).len(1000));
    s.expect(seg().seq(1).ack(4501).len(0));
    s.expect_nothing();
}

#[test]
fn with_sack_one_says_as_much_as_all() {
    let mut s = Scene::builder().sack(true).established();
    s.inject(seg().seq(1001).ack(1).len(3500).segment_size(1000));
    s.expect(seg().seq(1).ack(1).sack(&[(1001, 4501)]));
    s.expect_nothing();
}

#[test]
fn a_segment_without_text_draws_one_whatever_its_segment_size() {
    let mut s = Scene::established();
    s.inject(seg().seq(0).ack(1).fin().segment_size(1000));
    s.expect(seg().seq(1).ack(1).len(0));
    s.expect_nothing();
}
