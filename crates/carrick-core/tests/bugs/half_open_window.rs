//! Seen: a half-open record answered a segment outside its window, or a reset not exactly at its edge, with an ACK
//! that carried a window of 0, and so took back the window that its SYN,ACK had offered.

use carrick_sim::{Scene, TcpState, seg};

#[test]
fn an_ack_from_a_half_open_record_keeps_the_offered_window() {
    for scale in [None, Some(7)] {
        let mut builder = Scene::builder();
        if let Some(shift) = scale {
            builder = builder.window_scale(shift);
        }
        let mut s = builder.listening();
        s.inject(seg().syn().seq(0));
        s.expect(seg().syn().seq(0).ack(1).window(65_535));
        // 1,000 KiB of receive buffer make a shift of 4 where the peer scales.
        let window = if scale.is_some() { 65_535 >> 4 } else { 65_535 };
        s.inject(seg().rst().seq(2));
        s.expect(seg().seq(1).ack(1).window(window));
        s.inject(seg().seq(70_000).ack(1));
        s.expect(seg().seq(1).ack(1).window(window));
        assert_eq!(s.state(), TcpState::SynReceived);
    }
}
