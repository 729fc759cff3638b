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
