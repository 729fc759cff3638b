//! Seen: a FIN numbered below text that was kept behind a hole. It was taken as the end of the stream; the text
//! stayed for the life of the connection and was reported as a SACK block that the ACK had passed, or, where it lay
//! across the FIN, was delivered, and the stream had no end any more.

use carrick_sim::{Scene, TcpState, pattern, seg};

#[test]
fn t_rcv_4_a_fin_below_kept_text_contradicts_it_and_is_ignored() {
    let mut s = Scene::builder().sack(true).established();
    s.inject(seg().seq(51).ack(1).len(100));
    s.expect(seg().seq(1).ack(1).sack(&[(51, 151)]));
    s.inject(seg().fin().seq(1).ack(1));
    s.expect(seg().seq(1).ack(1).sack(&[(51, 151)]));
    s.inject(seg().fin().seq(101).ack(1));
    s.expect(seg().seq(1).ack(1).sack(&[(51, 151)]));
    s.inject(seg().seq(1).ack(1).len(50));
    s.expect(seg().seq(1).ack(151).sack(&[]));
    assert_eq!(s.state(), TcpState::Established);
    assert_eq!(s.read(), [pattern(1, 50), pattern(51, 100)].concat());
    s.inject(seg().fin().seq(151).ack(1));
    s.expect(seg().seq(1).ack(152));
    assert_eq!(s.state(), TcpState::CloseWait);
}
