//! Which segments carry PSH, and what waits because more is about to follow (RFC 9293 §3.9.1.2); the greatest segment.

use carrick_covers::covers;
use carrick_sim::{Scene, Span, seg};
use carrick_wire::TcpFlags;
use std::num::NonZeroU16;

fn psh(s: &mut Scene, segments: usize) -> Vec<bool> {
    let packets = (0..segments).map(|_| s.take().expect("a segment"));
    packets.map(|packet| packet.segment().unwrap().has(TcpFlags::PSH)).collect()
}

#[test]
fn may_15_without_a_push_the_end_waits_and_has_no_psh() {
    let mut s = Scene::established();
    let more = |s: &mut Scene, len: usize| {
        let taken = s.with("send, more to come", |connection, cx| connection.send_more(cx, &vec![1; len]));
        assert_eq!(taken, Ok(len));
    };
    // Full segments leave, the end waits for what follows, and goes with it.
    more(&mut s, 1460 + 100);
    s.expect(seg().seq(1).ack(1).len(1460));
    s.expect_nothing();
    s.send([1; 50]);
    s.expect(seg().seq(1461).ack(1).psh().len(150));
    s.inject(seg().seq(1).ack(1611));
    // It is waited for until something is acknowledged.
    s.send([1; 10]);
    s.expect(seg().seq(1611).ack(1).psh().len(10));
    more(&mut s, 20);
    s.expect_nothing();
    s.inject(seg().seq(1).ack(1621));
    assert_eq!(psh(&mut s, 1), [false]);
    s.inject(seg().seq(1).ack(1641));
    // Or for 200 ms, and who has waited that long is pushed.
    more(&mut s, 30);
    s.advance(199.ms());
    s.expect_nothing();
    s.advance(1.ms());
    s.expect(seg().seq(1641).ack(1).psh().len(30));
    s.inject(seg().seq(1).ack(1671));
    // Or until there is haste, or the end.
    more(&mut s, 40);
    s.set_nodelay(true);
    assert_eq!(psh(&mut s, 1), [false]);
    more(&mut s, 40);
    s.expect_nothing();
    s.finish();
    s.expect(seg().seq(1711).ack(1).fin().psh().len(40));
    covers!("MAY-15");
}

#[test]
fn bursts_are_pushed_where_that_is_asked_for() {
    for push_bursts in [false, true] {
        let mut s = Scene::builder().config(|config| config.push_bursts = push_bursts).established();
        // Ten segments may leave, as one packet cut into ten.
        s.send(vec![1; 20 * 1460]);
        let mut expected = [false; 10];
        expected[9] = push_bursts;
        assert_eq!(psh(&mut s, 10), expected);
        s.expect_nothing();
    }
}

#[test]
fn a_greatest_segment_holds_both_ways() {
    for (asked, told) in [(1100, 1100), (9000, 1460), (1, 88)] {
        let most = NonZeroU16::new(asked);
        let builder = || Scene::builder().config(|config| config.max_segment = most);
        let syn = builder().connecting().transcript();
        assert!(syn.contains(&format!("mss {told},")), "{syn}");
        let mut s = builder().listening();
        s.inject(seg().syn().seq(0).mss(1460));
        s.expect(seg().syn().seq(0).ack(1).mss(told));
        s.inject(seg().seq(1).ack(1));
        assert!(s.accept());
        s.send(vec![1; usize::from(told)]);
        s.send(b"z");
        s.expect(seg().seq(1).ack(1).len(told.into()));
    }
}
