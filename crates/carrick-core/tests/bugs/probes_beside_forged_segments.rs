//! The answers to a peer's keep-alive probes and the challenge ACKs share one throttle. Somebody who knew addresses and
//! ports alone spent it with ten SYNs every five seconds; a peer that probed every second, as some do, then heard
//! nothing and gave up a connection that was well.

use carrick_covers::covers;
use carrick_sim::{Scene, Span, seg};

/// How many packets of ours there are.
fn count(s: &mut Scene) -> usize {
    std::iter::from_fn(|| s.take()).count()
}

#[test]
fn a_probe_is_answered_however_much_is_forged() {
    let mut s = Scene::established();
    for second in 0..30 {
        for _ in 0..50 {
            s.inject(seg().syn().seq(77));
        }
        assert!(count(&mut s) <= 10);
        s.advance(500.ms());
        s.inject(seg().seq(0).ack(1));
        assert_eq!(count(&mut s), 1, "second {second}");
        s.advance(500.ms());
    }
    covers!("CHAL-4");
}

/// An answer to forged segments goes to the peer too, and says that we live as well.
#[test]
fn the_peer_hears_something_every_second() {
    let mut s = Scene::established();
    for second in 0..30 {
        for _ in 0..50 {
            s.inject(seg().syn().seq(77));
        }
        s.inject(seg().seq(0).ack(1));
        assert!((1..=10).contains(&count(&mut s)), "second {second}");
        s.advance(1.secs());
    }
}

#[test]
fn no_more_than_two_a_second_are() {
    let mut s = Scene::established();
    let mut answers = 0;
    for _ in 0..1000 {
        s.inject(seg().seq(0).ack(1));
        answers += count(&mut s);
        s.advance(20.ms());
    }
    // Ten in each period of five to ten seconds, of which there are at most five, and two a second.
    assert!((40..=5 * 10 + 2 * 20).contains(&answers), "{answers}");
}

/// One that does not know the numbers gets nothing more.
#[test]
fn what_only_looks_like_a_probe_is_not() {
    let mut s = Scene::established();
    for _ in 0..10 {
        s.inject(seg().syn().seq(77));
    }
    assert_eq!(count(&mut s), 10);
    // From now on a probe would be answered, and is at the end.
    s.advance(500.ms());
    for other in [seg().seq(0), seg().seq(0).ack(2), seg().seq(0).ack(0), seg().seq(0).syn().ack(1)] {
        s.inject(other.clone());
        assert_eq!(count(&mut s), 0, "{other}");
    }
    for seq in [2, 100_000] {
        s.inject(seg().seq(seq).ack(1));
        assert_eq!(count(&mut s), 0, "{seq}");
    }
    s.inject(seg().seq(0).ack(1));
    assert_eq!(count(&mut s), 1);
}
