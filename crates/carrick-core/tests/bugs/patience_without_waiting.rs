//! Seen: with ECN the retransmission timer also runs while the sender holds still at a window of one segment, though
//! nothing is unacknowledged. A user timeout shorter than that ended the connection, which had asked the peer nothing.

use carrick_core::EcnPolicy;
use carrick_core::congestion::NewReno;
use carrick_sim::{Scene, Span, TcpState, seg};

#[test]
fn the_user_timeout_counts_from_what_the_peer_was_asked() {
    for text_waits in [false, true] {
        let mut s = Scene::builder()
            .mss(1000)
            .config(|config| {
                config.ecn = EcnPolicy::Ask;
                config.congestion = Some(Box::new(NewReno::default()));
                config.user_timeout = Some(100.ms());
            })
            .build();
        s.connect();
        s.expect(seg().syn().ece().cwr().seq(0));
        s.inject(seg().syn().ece().seq(0).ack(1));
        s.expect(seg().seq(1).ack(1));
        // Each window of data is marked, until the window is a segment and no new text may leave.
        for n in 0..5 {
            s.send([7; 1000]);
            assert_eq!(s.take().unwrap().segment().unwrap().payload.len(), 1000);
            s.inject(seg().ece().seq(1).ack(1001 + 1000 * n));
        }
        if text_waits {
            s.send([7; 1000]);
            s.expect_nothing();
            s.advance_to_next_timer();
            s.expect(seg().cwr().seq(5001).ack(1).len(1000));
            s.inject(seg().seq(1).ack(6001));
        }
        s.advance(10.secs());
        assert_eq!((s.state(), s.error()), (TcpState::Established, None));
    }
}
