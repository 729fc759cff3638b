//! Seen: text in order that lay across kept ranges asked once for room, for all of it in a row. Behind each range it
//! went on in a new chunk that nobody had asked for, and the connection held more than the budget allowed.

use carrick_sim::{Scene, pattern, seg};

#[test]
fn o_4_text_across_ranges_stays_inside_the_budget() {
    let budget = 122 << 10;
    let mut s = Scene::builder().window_scale(7).budget(budget).established();
    // Kept by reference, so what is copied behind it needs a chunk.
    s.inject(seg().seq(1).ack(1).len(30_000));
    s.expect(seg().seq(1).ack(30_001));
    s.inject(seg().seq(32_001).ack(1).len(1460));
    s.expect(seg().seq(1).ack(30_001));
    s.inject(seg().seq(30_001).ack(1).len(30_000));
    assert!(s.host().used() <= budget, "{} bytes held", s.host().used());
    // What had room is taken, and no more: that is sent again.
    s.expect(seg().seq(1).ack(33_461));
    assert_eq!(s.read(), [pattern(1, 30_000), pattern(30_001, 3460)].concat());
}

#[test]
fn o_4_text_behind_a_hole_across_ranges_stays_inside_the_budget() {
    let mut s = Scene::builder().window_scale(7).budget(64 << 10).established();
    s.inject(seg().seq(17_001).ack(1).len(1));
    s.inject(seg().seq(101).ack(1).len(1460));
    // Large enough to be kept by reference, but for the range in its midst.
    s.inject(seg().seq(1001).ack(1).len(30_000));
    assert!(s.host().used() <= 64 << 10, "{} bytes held", s.host().used());
}
