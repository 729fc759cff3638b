//! Where the FIN left alone, behind text that was lost, the probe of the tail (RFC 8985 §7) was the FIN alone. A peer that
//! reports text only has nothing to say to it, and the text waited for the retransmission timer.

use carrick_sim::{Builder, Scene, Span, pattern, seg};

/// Four segments are out, and a FIN, over 100 ms.
fn closing(builder: Builder) -> Scene {
    let mut s = builder.mss(1000).sack(true).connecting();
    s.advance(100.ms());
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.send(pattern(0, 3500));
    for n in 0..3 {
        s.expect(seg().seq(1 + 1000 * n).ack(1).data(pattern(1000 * u64::from(n), 1000)));
    }
    s.expect(seg().seq(3001).ack(1).data(pattern(3000, 500)));
    s.finish();
    s.expect(seg().fin().seq(3501).ack(1));
    s
}

#[test]
fn the_probe_of_a_tail_is_text_with_its_fin() {
    let mut s = closing(Scene::builder());
    s.advance(100.ms());
    s.inject(seg().seq(1).ack(1001));
    s.advance(200.ms());
    s.expect(seg().fin().seq(3001).ack(1).data(pattern(3000, 500)));
    // What the peer has of it tells what is lost.
    s.advance(100.ms());
    s.inject(seg().seq(1).ack(1001).sack(&[(3001, 3501)]));
    s.advance(25.ms());
    s.expect(seg().seq(1001).ack(1).data(pattern(1000, 1000)));
}

#[test]
fn where_only_the_fin_is_missing_the_fin_is_the_tail() {
    let mut s = closing(Scene::builder().config(|config| config.min_rto = 1.secs()));
    s.advance(100.ms());
    s.inject(seg().seq(1).ack(3501));
    // The probe, before any timeout.
    assert_eq!(s.advance_to_next_timer(), Some(400.ms()));
    s.expect(seg().fin().seq(3501).ack(1));
}
