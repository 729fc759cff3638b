//! Opening: active and passive, with each option and without, refused, lost and repeated.

use carrick_core::{ConnectionError, Event};
use carrick_sim::{Offload, Scene, Span, TcpState, seg};

#[test]
fn an_active_open_offers_everything_and_uses_what_comes_back() {
    let mut s = Scene::builder().window_scale(7).timestamps(true).sack(true).build();
    s.connect();
    assert_eq!(s.state(), TcpState::SynSent);
    let syn = seg().syn().seq(0).mss(1460).window_scale(4).sack_permitted(true).window(65_535);
    s.expect(syn);
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(s.state(), TcpState::Established);
    assert_eq!(s.events(), [Event::Connected, Event::Writable]);
    // Timestamps take 12 bytes of each segment.
    s.send([7; 3000]);
    s.expect(seg().seq(1).ack(1).len(1448));
    s.expect(seg().seq(1449).ack(1).len(1448));
    s.expect(seg().seq(2897).ack(1).len(104));
}

#[test]
fn an_active_open_uses_nothing_that_did_not_come_back() {
    let mut s = Scene::connecting();
    s.inject(seg().syn().seq(0).ack(1).bare());
    s.expect(seg().seq(1).ack(1).window(65_535).no_ts());
    // RFC 9293 MUST-15: 536 bytes, if the peer does not say.
    s.send([7; 1000]);
    s.expect(seg().seq(1).ack(1).len(536).no_ts());
    s.expect(seg().seq(537).ack(1).len(464).no_ts());
}

#[test]
fn a_passive_open_agrees_to_what_was_offered() {
    let mut s = Scene::builder().window_scale(3).timestamps(true).sack(true).listening();
    assert_eq!(s.state(), TcpState::Listen);
    s.inject(seg().syn().seq(0));
    assert_eq!(s.state(), TcpState::SynReceived);
    s.expect(seg().syn().seq(0).ack(1).mss(1460).window_scale(4).sack_permitted(true));
    assert!(!s.accept());
    s.inject(seg().seq(1).ack(1));
    s.expect_nothing();
    assert!(s.accept());
    assert_eq!(s.state(), TcpState::Established);
}

#[test]
fn a_passive_open_agrees_to_no_more_than_was_offered() {
    for (scale, timestamps, sack) in [
        (None, false, false),
        (Some(2), false, false),
        (None, true, false),
        (None, false, true),
        (Some(14), true, true),
    ] {
        let mut builder = Scene::builder().timestamps(timestamps).sack(sack);
        if let Some(shift) = scale {
            builder = builder.window_scale(shift);
        }
        let mut s = builder.listening();
        s.inject(seg().syn().seq(0));
        // The oracle would object to any option that the SYN did not carry.
        s.expect(seg().syn().seq(0).ack(1).sack_permitted(sack));
        s.inject(seg().seq(1).ack(1).data(b"x"));
        s.expect(seg().seq(1).ack(2));
        assert!(s.accept());
        assert_eq!(s.read(), b"x");
    }
}

#[test]
fn the_segment_that_completes_a_handshake_may_carry_text_and_fin() {
    let mut s = Scene::listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().fin().seq(1).ack(1).data(b"all I have to say"));
    s.expect(seg().seq(1).ack(19));
    assert!(s.accept());
    assert_eq!(s.state(), TcpState::CloseWait);
    assert_eq!(s.read(), b"all I have to say");
    assert!(s.at_end());
}

#[test]
fn a_lost_syn_is_repeated_with_doubled_timeouts_until_it_is_given_up() {
    let mut s = Scene::connecting();
    for wait in [1, 2, 4, 8, 16, 32, 64] {
        assert_eq!(s.advance_to_next_timer(), Some(wait.secs()));
        s.expect(seg().syn().seq(0));
    }
    assert_eq!(s.advance_to_next_timer(), Some(120.secs()), "the interval is capped");
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.error(), Some(ConnectionError::TimedOut));
    assert!(s.events().contains(&Event::Closed));
}

#[test]
fn a_lost_syn_ack_is_repeated_and_then_forgotten() {
    let mut s = Scene::listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    for wait in [1, 2, 4, 8, 16] {
        assert_eq!(s.advance_to_next_timer(), Some(wait.secs()));
        s.expect(seg().syn().seq(0).ack(1));
    }
    assert_eq!(s.advance_to_next_timer(), Some(32.secs()));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Listen);
    assert_eq!(s.host().endpoint().half_open(), 0);
}

#[test]
fn a_repeated_syn_is_answered_like_the_first() {
    let mut s = Scene::listening();
    for _ in 0..3 {
        s.inject(seg().syn().seq(0));
        s.expect(seg().syn().seq(0).ack(1));
    }
    assert_eq!(s.host().endpoint().half_open(), 1);
}

#[test]
fn a_reset_refuses_an_active_open_only_if_it_acknowledges_the_syn() {
    let mut s = Scene::connecting();
    s.inject(seg().rst().seq(0));
    s.inject(seg().rst().seq(0).ack(7));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::SynSent);
    s.inject(seg().rst().seq(0).ack(1));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.error(), Some(ConnectionError::Refused));
}

#[test]
fn an_ack_of_what_was_never_sent_is_reset_and_the_open_goes_on() {
    let mut s = Scene::connecting();
    s.inject(seg().seq(0).ack(70));
    s.expect(seg().rst().seq(70));
    assert_eq!(s.state(), TcpState::SynSent);
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(s.state(), TcpState::Established);
}

#[test]
fn two_syns_that_cross_make_one_connection() {
    let mut s = Scene::builder().window_scale(2).timestamps(true).sack(true).connecting();
    s.inject(seg().syn().seq(0));
    assert_eq!(s.state(), TcpState::SynReceived);
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.inject(seg().seq(1).ack(1).data(b"crossed"));
    s.expect(seg().seq(1).ack(8));
    assert_eq!(s.state(), TcpState::Established);
    assert_eq!(s.read(), b"crossed");
}

#[test]
fn a_listener_answers_an_ack_with_a_reset_and_a_reset_with_silence() {
    let mut s = Scene::listening();
    s.inject(seg().seq(5).ack(9));
    s.expect(seg().rst().seq(9));
    s.inject(seg().rst().seq(5));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Listen);
}

#[test]
fn a_reset_returns_a_half_open_record_to_listen() {
    let mut s = Scene::listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().rst().seq(1));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Listen);
}

#[test]
fn a_full_backlog_lets_no_handshake_complete_until_somebody_is_accepted() {
    let mut s = Scene::builder().backlog(1).listening();
    for port in [40_000, 40_001] {
        s.inject(seg().syn().seq(0).ports(port, 80));
        s.expect(seg().syn().seq(0).ack(1).ports(80, port));
    }
    s.inject(seg().seq(1).ack(1).ports(40_000, 80));
    s.inject(seg().seq(1).ack(1).ports(40_001, 80));
    s.expect_nothing();
    assert_eq!(s.host().endpoint().half_open(), 1);
    assert!(s.accept());
    assert!(!s.accept());
    s.inject(seg().seq(1).ack(1).ports(40_001, 80));
    assert!(s.accept());
    assert_eq!(s.remote().port(), 40_001);
}

#[test]
fn connections_are_accepted_in_the_order_in_which_their_handshakes_ended() {
    let mut s = Scene::listening();
    for port in [40_000, 40_001, 40_002] {
        s.inject(seg().syn().seq(0).ports(port, 80));
        s.expect(seg().syn().seq(0).ack(1).ports(80, port));
    }
    for port in [40_001, 40_002, 40_000] {
        s.inject(seg().seq(1).ack(1).ports(port, 80));
    }
    for port in [40_001, 40_002, 40_000] {
        assert!(s.accept());
        assert_eq!(s.remote().port(), port);
    }
    assert!(!s.accept());
}

#[test]
fn unlisten_resets_the_half_open() {
    let mut s = Scene::listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.unlisten();
    s.expect(seg().rst().seq(1).ack(1));
    assert_eq!(s.host().endpoint().half_open(), 0);
}

#[test]
fn text_written_before_the_handshake_is_done_follows_it() {
    let mut s = Scene::connecting();
    s.send(b"early");
    s.finish();
    s.expect_nothing();
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().fin().seq(1).ack(1).data(b"early"));
    assert_eq!(s.state(), TcpState::FinWait1);
}

#[test]
fn everything_works_the_same_over_ipv6_and_with_offload() {
    let mut s = Scene::builder().v6().offload(Offload::Whole).window_scale(7).established();
    s.send([1; 10_000]);
    s.expect(seg().seq(1).ack(1).len(10_000).segment_size(1440));
    s.inject(seg().seq(1).ack(10_001).len(30_000).segment_size(1440));
    s.expect(seg().seq(10_001).ack(30_001));
    assert_eq!(s.read().len(), 30_000);
}
