//! A FIN that came alone, behind text that was lost, was acknowledged without a block of its own, so that the probe of
//! a lost tail (RFC 8985 §7), where that was the FIN, had no answer, and the tail waited for the retransmission timer: 10 KB
//! over a queue that holds four packets took 216 ms on a path of 1 ms.

use carrick_sim::{Bottleneck, Flow, LinkConfig, Network, QueueLimit, Scene, Seg, Span, pattern, seg};

fn text(n: u64) -> Seg {
    seg().seq(1 + 100 * n as u32).ack(1).data(pattern(100 * n, 100))
}

/// RFC 2018 §4: the first block tells of the segment that the ACK answers.
#[test]
fn a_fin_that_came_alone_has_a_block() {
    let mut s = Scene::builder().sack(true).established();
    s.inject(seg().fin().seq(501).ack(1));
    s.expect(seg().seq(1).ack(1).sack(&[(501, 502)]));
    s.inject(text(2));
    s.expect(seg().seq(1).ack(1).sack(&[(201, 301), (501, 502)]));
    s.inject(seg().fin().seq(501).ack(1));
    s.expect(seg().seq(1).ack(1).sack(&[(501, 502), (201, 301)]));
    s.inject(text(4));
    s.expect(seg().seq(1).ack(1).sack(&[(401, 502), (201, 301)]));
    s.inject(text(0));
    s.expect(seg().seq(1).ack(101).sack(&[(401, 502), (201, 301)]));
}

/// RFC 2883 §4: a duplicate, then the block that it is in.
#[test]
fn a_duplicate_comes_before_the_fin() {
    let mut s = Scene::builder().sack(true).established();
    s.inject(text(2));
    s.expect(seg().seq(1).ack(1).sack(&[(201, 301)]));
    s.inject(seg().fin().seq(501).ack(1));
    s.expect(seg().seq(1).ack(1).sack(&[(501, 502), (201, 301)]));
    s.inject(text(2));
    s.expect(seg().seq(1).ack(1).sack(&[(201, 301), (201, 301), (501, 502)]));
}

#[test]
fn a_lost_tail_costs_no_timeout() {
    let rate = 50_000_000;
    let queue = QueueLimit::bdp(rate, 1.ms(), 1.0);
    let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(rate) });
    let mut network = Network::new(1, LinkConfig { bottleneck, ..LinkConfig::delayed(500.us()) });
    network.flows = vec![Flow::of(10_000)];
    let report = network.run(1.secs()).expect("nothing to complain of");
    let took = report.flows[0].completed.expect("it is complete");
    assert_eq!(report.there.overflowed, 3);
    assert!(took < 10.ms(), "{took:?}");
}

/// RFC 2018 §4 again: it was reported after blocks that had changed before it, or not at all.
#[test]
fn a_fin_makes_the_block_that_it_ends_the_latest() {
    let mut s = Scene::builder().sack(true).timestamps(true).established();
    let text = |n: u32| seg().seq(1 + 100 * n).ack(1).data(pattern(u64::from(100 * n), 100));
    for n in [7, 1, 3, 5] {
        s.inject(text(n));
        while s.take().is_some() {}
    }
    s.inject(seg().fin().seq(801).ack(1));
    s.expect(seg().seq(1).ack(1).sack(&[(701, 802), (501, 601), (301, 401)]));
}

/// RFC 5681 §4.2.
#[test]
fn text_in_a_hole_before_a_lone_fin_is_acknowledged_at_once() {
    let mut s = Scene::builder().sack(true).established();
    for n in 0..21 {
        s.inject(seg().seq(1 + 100 * n).ack(1).len(100));
    }
    s.inject(seg().seq(2101).ack(1).len(100));
    while s.take().is_some() {}
    s.inject(seg().fin().seq(2501).ack(1));
    s.expect(seg().seq(1).ack(2201).sack(&[(2501, 2502)]));
    s.inject(seg().seq(2201).ack(1).len(100));
    s.expect(seg().seq(1).ack(2301).sack(&[(2501, 2502)]));
}
