//! Seen: a SYN that RFC 6191 lets reopen a tuple in TIME-WAIT removed the record before anybody asked whether there was
//! room for a new connection. There was none, so both were gone, and old segments met a reset.

use carrick_sim::{Scene, TcpState, seg};

#[test]
fn tw_a_syn_that_is_refused_for_want_of_room_leaves_time_wait_as_it_was() {
    let mut s = Scene::builder().timestamps(true).backlog(1).accepted();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(2));
    s.expect(seg().seq(2).ack(2));
    s.close();
    assert_eq!(s.state(), TcpState::TimeWait);
    // Another connection fills the backlog.
    s.inject(seg().syn().seq(0).ports(40_001, 80));
    assert!(s.take().is_some());
    s.inject(seg().seq(1).ack(1).ports(40_001, 80));

    s.advance(std::time::Duration::from_secs(2));
    s.inject(seg().syn().seq(1000));
    s.expect_nothing();
    assert_eq!(s.host().endpoint().time_wait(), 1);
    s.inject(seg().fin().seq(1).ack(2));
    s.expect(seg().seq(2).ack(2));
}
