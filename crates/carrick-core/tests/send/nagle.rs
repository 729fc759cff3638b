//! Nagle's rule (RFC 9293 §3.7.4) in Minshall's form, and the cork.

use carrick_covers::covers;
use carrick_sim::{LinkConfig, Offload, Pair, Plan, Scene, Span, World, pattern, seg};

#[test]
fn shld_7_small_text_waits_for_small_text() {
    let mut s = Scene::established();
    s.send(b"a");
    s.expect(seg().seq(1).ack(1).psh().data(b"a"));
    s.send(b"b");
    s.send(b"c");
    s.expect_nothing();
    // The acknowledgment lets it go, as one segment with one PSH.
    s.inject(seg().seq(1).ack(2));
    s.expect(seg().seq(2).ack(1).psh().data(b"bc"));
    // What fills a segment does not wait, what is left over does.
    s.send([1; 1459]);
    s.expect_nothing();
    s.send([1; 2]);
    s.expect(seg().seq(4).ack(1).len(1460));
    s.expect_nothing();
    s.inject(seg().seq(1).ack(4));
    s.expect(seg().seq(1464).ack(1).psh().len(1));
    covers!("SHLD-7", "MUST-60", "SHLD-27");
}

#[test]
fn the_end_of_a_large_write_does_not_wait_for_its_beginning() {
    for offload in [Offload::Cut, Offload::Whole] {
        let mut s = Scene::builder().offload(offload).established();
        s.send(pattern(0, 2000));
        s.send(pattern(2000, 2000));
        let mut sent = 0;
        while let Some(packet) = s.take() {
            sent += packet.segment().expect("a segment").payload.len();
        }
        // The end of the first write, of 540 bytes, is small; the second one's start fills a segment.
        assert_eq!(sent, 2000 + 1460);
        s.inject(seg().seq(1).ack(2001));
        s.expect(seg().seq(3461).ack(1).psh().len(540));
    }
}

#[test]
fn must_17_nagle_is_off_for_the_connection_that_says_so() {
    let mut s = Scene::builder().isn(1000, 2000).accepted();
    s.send(b"a");
    s.expect(seg().seq(1).data(b"a").ack(1));
    s.send(b"held");
    s.expect_nothing();
    // Another connection of the same listener.
    s.inject(seg().syn().seq(0).ports(40_001, 80));
    s.expect(seg().syn().seq(0).ack(1).ports(80, 40_001));
    s.inject(seg().seq(1).ack(1).ports(40_001, 80));
    assert!(s.accept());
    s.send(b"x");
    s.expect(seg().seq(1).data(b"x").ack(1));
    s.send(b"y");
    s.expect_nothing();
    s.set_nodelay(true);
    assert!(s.connection().unwrap().nodelay());
    s.expect(seg().seq(2).data(b"y").ack(1));
    s.send(b"z");
    s.expect(seg().seq(3).data(b"z").ack(1));
    s.set_nodelay(false);
    s.send(b"!");
    s.expect_nothing();
    s.inject(seg().seq(1).ack(2).ports(40_000, 80));
    s.expect(seg().seq(2).data(b"held").ack(1).ports(80, 40_000));
    covers!("MUST-17");
}

#[test]
fn nodelay_can_be_set_beforehand() {
    let mut s = Scene::builder().config(|c| c.nodelay = true).established();
    for i in 0..5 {
        s.send(b"-");
        s.expect(seg().seq(1 + i).ack(1).psh().data(b"-"));
    }
}

#[test]
fn a_fin_takes_along_what_waits() {
    let mut s = Scene::established();
    s.send(b"a");
    s.expect(seg().seq(1).ack(1).data(b"a"));
    s.send(b"b");
    s.expect_nothing();
    s.finish();
    s.expect(seg().fin().seq(2).ack(1).data(b"b"));
}

#[test]
fn what_was_sent_before_does_not_wait() {
    let mut s = Scene::established();
    s.send(b"a");
    s.expect(seg().seq(1).ack(1).data(b"a"));
    s.send(b"b");
    s.advance_to_next_timer();
    // The repetition takes the new text along.
    s.expect(seg().seq(1).ack(1).data(b"ab"));
    s.expect_nothing();
}

#[test]
fn may_16_a_cork_holds_back_what_does_not_fill_a_segment_for_200_ms() {
    let mut s = Scene::builder().config(|c| c.min_rto = 1.secs()).established();
    s.set_cork(true);
    s.send([1; 100]);
    s.expect_nothing();
    s.send([2; 1400]);
    s.expect(seg().seq(1).ack(1).len(1460));
    s.inject(seg().seq(1).ack(1461));
    s.expect_nothing();
    s.advance(200.ms() - 1.ns());
    s.expect_nothing();
    s.advance(1.ns());
    s.expect(seg().seq(1461).ack(1).psh().len(40));
    // And again, with something outstanding.
    s.send([3; 10]);
    s.advance(200.ms() - 1.ns());
    s.expect_nothing();
    s.advance(1.ns());
    s.expect(seg().seq(1501).ack(1).psh().len(10));
    s.inject(seg().seq(1).ack(1511));
    assert_eq!(s.advance_to_next_timer(), None);
    covers!("MAY-16", "MUST-60");
}

#[test]
fn a_cork_holds_back_nothing_that_the_window_has_cut() {
    let mut s = Scene::builder().mss(1000).window(600).established();
    s.set_cork(true);
    // Not even a whole segment would do.
    s.send([1; 999]);
    s.expect_nothing();
    s.send([1; 1001]);
    s.expect(seg().seq(1).ack(1).len(600));
    s.expect_nothing();
    s.inject(seg().seq(1).ack(601).window(600));
    s.expect(seg().seq(601).ack(1).len(600));
    // What is left fills no segment.
    s.inject(seg().seq(1).ack(1201).window(600));
    s.expect_nothing();
    // Silly windows stay unused.
    s.inject(seg().seq(1).ack(1201).window(299));
    s.send([1; 1000]);
    s.expect_nothing();
}

#[test]
fn uncorked_or_finished_the_rest_leaves_at_once() {
    let mut s = Scene::established();
    s.set_cork(true);
    s.send(b"head");
    s.send(b"body");
    s.expect_nothing();
    s.set_cork(false);
    s.expect(seg().seq(1).ack(1).psh().data(b"headbody"));
    // Although a small segment is outstanding.
    s.set_cork(true);
    s.send(b"more");
    s.set_cork(false);
    s.expect(seg().seq(9).ack(1).psh().data(b"more"));
    // The override was for that alone.
    s.send(b"held");
    s.expect_nothing();
    s.inject(seg().seq(1).ack(13));
    s.expect(seg().seq(13).ack(1).data(b"held"));
    s.inject(seg().seq(1).ack(17));
    s.set_cork(true);
    s.send(b"last");
    s.finish();
    s.expect(seg().fin().seq(17).ack(1).data(b"last"));
}

#[test]
fn a_cork_keeps_super_segments_to_full_segments() {
    let mut s = Scene::builder().offload(Offload::Whole).established();
    s.set_cork(true);
    s.send(pattern(0, 5000));
    s.expect(seg().seq(1).ack(1).len(4380).segment_size(1460));
    s.expect_nothing();
    s.set_cork(false);
    s.expect(seg().seq(4381).ack(1).len(620));
}

#[test]
fn a_corked_connection_probes_a_closed_window_like_any_other() {
    let mut s = Scene::established();
    s.set_cork(true);
    s.inject(seg().seq(1).ack(1).window(0));
    s.send([1; 100]);
    s.advance_to_next_timer();
    s.expect(seg().seq(1).ack(1).len(1));
    s.inject(seg().seq(1).ack(2).window(5000));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), Some(200.ms()));
    s.expect(seg().seq(2).ack(1).len(99));
}

#[test]
fn small_writes_both_ways_get_through_whatever_waits_for_what() {
    let link = LinkConfig { loss: 30_000, ..LinkConfig::delayed(20.ms()) };
    for seed in 0..20 {
        let plan = Plan { chunk: 7, pause: 3.ms(), ..Plan::patient(2000) };
        let world = World::new(seed).link(&link).talk(plan.clone(), plan);
        let report = Pair::run_twice(&world).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((report.complete(), report.bytes), (1, 4000));
    }
}
