//! Seen: the application had dropped its stream, our FIN was on its way, and text crossed it. The reset that says that
//! nobody will read the text had the number that the text acknowledged. The peer had taken the FIN by then, so the
//! reset was too old for it, and it waited for a retransmission to be refused.

use carrick_sim::{Scene, TcpState, seg};

#[test]
fn a_reset_for_text_that_crossed_our_fin_has_the_number_after_the_fin() {
    let mut s = Scene::established();
    s.close();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().seq(1).ack(1).len(100));
    s.expect(seg().rst().seq(2).ack(1));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Closed);
}
