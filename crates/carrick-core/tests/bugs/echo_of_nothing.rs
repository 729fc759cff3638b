//! Seen: all that had left was acknowledged, and what came next waited for its turn, when an acknowledgment of the same number
//! came with ECE. A way down to the reduced window began with nothing in flight: nothing could leave, so nothing was
//! acknowledged, and only the retransmission timer got it going again, two or three times.

use carrick_core::EcnPolicy;
use carrick_sim::{Scene, Span, pattern, seg};

#[test]
fn an_echo_with_nothing_under_way_lowers_the_window_and_no_further() {
    for sack in [false, true] {
        let builder = Scene::builder().mss(1000).sack(sack).config(|config| config.ecn = EcnPolicy::Ask);
        let mut s = builder.build();
        s.connect();
        s.expect(seg().syn().ece().cwr().seq(0));
        s.advance(500.ms());
        s.inject(seg().syn().ece().seq(0).ack(1));
        s.expect(seg().seq(1).ack(1));
        s.send(pattern(0, 40_000));
        let mut sent = 0;
        let mut count = |s: &mut Scene| {
            let before = sent;
            while let Some(packet) = s.take() {
                sent += packet.segment().unwrap().payload.len() as u32;
            }
            (sent, sent - before)
        };
        let (all, _) = count(&mut s);
        // What may leave at once has left; the next has its turn later.
        s.inject(seg().seq(1).ack(all + 1));
        let (all, _) = count(&mut s);
        s.inject(seg().seq(1).ack(all + 1));
        let (all, more) = count(&mut s);
        assert_eq!(more, 0, "sack: {sack}");
        s.inject(seg().seq(1).ack(all + 1).ece());
        let info = |s: &Scene| s.connection().unwrap().tcp_info().unwrap();
        assert_eq!(info(&s).in_flight, 0);
        assert!(info(&s).congestion_window >= 1000, "{:?}", info(&s));
        let waited = s.advance_to_next_timer().unwrap();
        assert!(waited < 200.ms(), "sack: {sack}: {waited:?}");
        assert_eq!(count(&mut s).1, 1000);
    }
}
