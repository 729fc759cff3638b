//! Closing: FINs in every order, simultaneous, lost and repeated; TIME-WAIT; resets; abort.

use carrick_core::{ConnectionError, Event, SendError};
use carrick_sim::{Scene, Span, TcpState, seg};

const MSL: u64 = 120;

#[test]
fn sa_fin_f1_simultaneous_close() {
    let mut s = Scene::established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(1));
    assert_eq!(s.state(), TcpState::Closing);
    s.expect(seg().seq(2).ack(2));
    s.expect_nothing();
    s.inject(seg().seq(2).ack(2));
    assert_eq!(s.state(), TcpState::TimeWait);
    s.advance((2 * MSL).secs());
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.error(), None);
}

#[test]
fn the_peers_fin_may_acknowledge_ours() {
    let mut s = Scene::established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(2));
    assert_eq!(s.state(), TcpState::TimeWait);
    s.expect(seg().seq(2).ack(2));
}

#[test]
fn a_fin_waits_for_the_text_before_it() {
    let mut s = Scene::established();
    s.inject(seg().fin().seq(101).ack(1).len(50));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(s.state(), TcpState::Established);
    s.inject(seg().seq(1).ack(1).len(100));
    s.expect(seg().seq(1).ack(152));
    assert_eq!(s.state(), TcpState::CloseWait);
    assert!(!s.at_end());
    assert_eq!(s.read().len(), 150);
    assert!(s.at_end());
}

#[test]
fn our_fin_follows_all_text_and_is_repeated_with_it() {
    let mut s = Scene::builder().window(1000).established();
    s.send([1; 1500]);
    s.finish();
    assert_eq!(s.try_send(b"more"), Err(SendError::Finished));
    s.expect(seg().seq(1).ack(1).len(1000));
    assert_eq!(s.state(), TcpState::FinWait1);
    s.inject(seg().seq(1).ack(1001));
    s.expect(seg().fin().seq(1001).ack(1).len(500));
    s.advance_to_next_timer();
    s.expect(seg().fin().seq(1001).ack(1).len(500));
    s.inject(seg().seq(1).ack(1501));
    assert_eq!(s.state(), TcpState::FinWait1, "text acknowledged, FIN not");
    s.advance_to_next_timer();
    s.expect(seg().fin().seq(1501).ack(1));
    s.inject(seg().seq(1).ack(1502));
    assert_eq!(s.state(), TcpState::FinWait2);
}

#[test]
fn finish_twice_is_finish_once() {
    let mut s = Scene::established();
    s.finish();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.expect_nothing();
}

#[test]
fn a_lost_fin_is_repeated() {
    let mut s = Scene::established();
    s.inject(seg().fin().seq(1).ack(1));
    s.expect(seg().seq(1).ack(2));
    s.finish();
    s.expect(seg().fin().seq(1).ack(2));
    assert!(s.advance_to_next_timer().is_some());
    s.expect(seg().fin().seq(1).ack(2));
    assert_eq!(s.state(), TcpState::LastAck);
    s.inject(seg().seq(2).ack(2));
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.error(), None);
    assert_eq!(s.events().last(), Some(&Event::Closed));
}

#[test]
fn text_after_the_peers_fin_is_not_taken() {
    let mut s = Scene::established();
    s.inject(seg().fin().seq(1).ack(1).data(b"end"));
    s.expect(seg().seq(1).ack(5));
    s.inject(seg().seq(5).ack(1).data(b"beyond"));
    while s.take().is_some() {}
    assert_eq!(s.read(), b"end");
    assert!(s.at_end());
}

/// Into TIME-WAIT with nothing left to read.
fn time_wait() -> Scene {
    let mut s = Scene::established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(2));
    s.expect(seg().seq(2).ack(2));
    assert_eq!(s.state(), TcpState::TimeWait);
    s
}

#[test]
fn a_repeated_fin_is_answered_in_time_wait_and_the_wait_begins_anew() {
    for released in [false, true] {
        let mut s = time_wait();
        if released {
            // The application lets go: a record of the endpoint's takes over, and answers the same.
            s.close();
            assert_eq!(s.host().connections(), 0);
            assert_eq!(s.host().endpoint().time_wait(), 1);
        }
        s.expect_nothing();
        s.advance((2 * MSL - 1).secs());
        s.inject(seg().fin().seq(1).ack(2));
        s.expect(seg().seq(2).ack(2));
        s.advance((2 * MSL - 1).secs());
        assert_eq!(s.state(), TcpState::TimeWait);
        s.advance(1.secs());
        assert_eq!(s.state(), TcpState::Closed);
        assert_eq!(s.host().endpoint().time_wait(), 0);
        s.expect_nothing();
    }
}

#[test]
fn no_reset_ends_time_wait() {
    for released in [false, true] {
        let mut s = time_wait();
        if released {
            s.close();
        }
        s.inject(seg().rst().seq(2));
        s.inject(seg().rst().seq(2).ack(2));
        s.expect_nothing();
        assert_eq!(s.state(), TcpState::TimeWait);
    }
}

#[test]
fn closing_with_unread_text_resets() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).data(b"unread"));
    s.expect(seg().seq(1).ack(7));
    s.close();
    s.expect(seg().rst().seq(1).ack(7));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.host().used(), 0);
    assert_eq!(s.host().endpoint().connections(), 0);
}

#[test]
fn text_for_an_application_that_has_let_go_is_answered_with_a_reset() {
    let mut s = Scene::established();
    s.close();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().seq(1).ack(2));
    assert_eq!(s.state(), TcpState::FinWait2);
    s.inject(seg().seq(1).ack(2).data(b"hello?"));
    s.expect(seg().rst().seq(2).ack(1));
    s.expect_nothing();
    assert_eq!(s.host().endpoint().connections(), 0);
}

#[test]
fn fin_wait_2_ends_once_the_application_has_let_go() {
    let mut s = Scene::established();
    s.close();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().seq(1).ack(2));
    s.advance(60.secs());
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.host().endpoint().connections(), 0);
    // And not before: with the application there it may last.
    let mut s = Scene::established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().seq(1).ack(2));
    s.advance(100_000.secs());
    assert_eq!(s.state(), TcpState::FinWait2);
}

#[test]
fn abort_resets_and_forgets() {
    let mut s = Scene::established();
    s.send([1; 100]);
    s.expect(seg().seq(1).ack(1).len(100));
    s.abort();
    s.expect(seg().rst().seq(101).ack(1));
    s.expect_nothing();
    assert_eq!(s.error(), Some(ConnectionError::Aborted));
    assert_eq!(s.try_send(b"x"), Err(SendError::Closed(ConnectionError::Aborted)));
    s.inject(seg().seq(1).ack(101));
    s.expect(seg().rst().seq(101));
}

#[test]
fn only_the_exact_number_resets() {
    let mut s = Scene::established();
    s.inject(seg().rst().seq(2));
    s.expect(seg().seq(1).ack(1));
    s.inject(seg().rst().seq(70_000));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Established);
    s.inject(seg().rst().seq(1));
    s.expect_nothing();
    assert_eq!(s.error(), Some(ConnectionError::Reset));
}

#[test]
fn a_syn_on_a_connection_is_challenged() {
    let mut s = Scene::established();
    s.inject(seg().syn().seq(50));
    s.expect(seg().seq(1).ack(1));
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(s.state(), TcpState::Established);
}
