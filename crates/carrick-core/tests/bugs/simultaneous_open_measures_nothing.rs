//! In a simultaneous open the SYN leaves again as a SYN,ACK, and once more for each repetition of the peer's SYN, all
//! without the timer. The ACK was taken as the answer to the first: a round trip of 5 ms was measured as 905 ms
//! (Karn's rule, RFC 6298 §3), and text was repeated after 2.7 s.

use carrick_sim::{Scene, Span, seg};

/// When text is sent again once the handshake is done.
fn timeout(s: &mut Scene) -> std::time::Duration {
    s.advance(5.ms());
    while s.take().is_some() {}
    s.send([7; 10]);
    s.expect(seg().seq(1).ack(1).len(10));
    s.advance_to_next_timer().expect("the retransmission timer")
}

#[test]
fn a_syn_that_left_twice_measures_nothing() {
    for (repetitions, by_syn) in [(0, false), (0, true), (1, false), (1, true)] {
        let mut s = Scene::connecting();
        s.advance(900.ms());
        for _ in 0..=repetitions {
            s.inject(seg().syn().seq(0));
            s.expect(seg().syn().seq(0).ack(1));
        }
        s.advance(5.ms());
        s.inject(if by_syn { seg().syn().seq(0).ack(1) } else { seg().seq(1).ack(1) });
        // Without a measurement the first timeout of all (RFC 6298 §2.1).
        assert_eq!(timeout(&mut s), 1.secs(), "{repetitions} {by_syn}");
    }
}

/// The ordinary open has one SYN, and measures.
#[test]
fn a_syn_that_left_once_measures() {
    let mut s = Scene::connecting();
    s.advance(5.ms());
    s.inject(seg().syn().seq(0).ack(1));
    assert_eq!(timeout(&mut s), 205.ms());
}

/// Nor does a SYN,ACK that left twice, for the timer or for a SYN that came again.
#[test]
fn a_syn_ack_is_measured_if_it_left_once() {
    for (by_timer, by_syn, expected) in
        [(false, false, 205.ms()), (false, true, 1.secs()), (true, false, 3.secs()), (true, true, 3.secs())]
    {
        let mut s = Scene::listening();
        s.inject(seg().syn().seq(0));
        s.expect(seg().syn().seq(0).ack(1));
        if by_timer {
            assert_eq!(s.advance_to_next_timer(), Some(1.secs()));
            s.expect(seg().syn().seq(0).ack(1));
        }
        if by_syn {
            s.inject(seg().syn().seq(0));
            s.expect(seg().syn().seq(0).ack(1));
        }
        s.advance(5.ms());
        s.inject(seg().seq(1).ack(1));
        assert!(s.accept());
        // 3 s once the timer has run out (RFC 6298 §5.7).
        assert_eq!(timeout(&mut s), expected, "{by_timer} {by_syn}");
    }
}
