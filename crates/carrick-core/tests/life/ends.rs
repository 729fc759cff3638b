//! How a connection ends when the application lets go: linger, orphans, resets (RFC 9293 §3.6, §3.9.1.4, §3.10.4).

use carrick_core::{ConnectionError, Event};
use carrick_covers::covers;
use carrick_sim::{Scene, Span, TcpState, seg};
use std::time::Duration;

/// Scenes in each state that a connection can be in, by name.
fn states() -> Vec<(TcpState, Scene)> {
    let fin = |s: &mut Scene| s.inject(seg().seq(1).ack(1).fin());
    let build = |state: TcpState| {
        let mut s = if state == TcpState::SynSent || state == TcpState::SynReceived {
            Scene::connecting()
        } else {
            Scene::established()
        };
        match state {
            TcpState::SynReceived => s.inject(seg().syn().seq(0)),
            TcpState::FinWait1 => s.finish(),
            TcpState::FinWait2 => {
                s.finish();
                s.inject(seg().seq(1).ack(2));
            }
            TcpState::CloseWait => fin(&mut s),
            TcpState::Closing => {
                s.finish();
                fin(&mut s);
            }
            TcpState::LastAck => {
                fin(&mut s);
                s.finish();
            }
            TcpState::TimeWait => {
                s.finish();
                s.inject(seg().seq(1).ack(2).fin());
            }
            _ => {}
        }
        while s.take().is_some() {}
        s.events();
        assert_eq!(s.state(), state);
        (state, s)
    };
    [
        TcpState::SynSent,
        TcpState::SynReceived,
        TcpState::Established,
        TcpState::FinWait1,
        TcpState::FinWait2,
        TcpState::CloseWait,
        TcpState::Closing,
        TcpState::LastAck,
        TcpState::TimeWait,
    ]
    .map(build)
    .into()
}

#[test]
fn t_lif_11_each_state_and_each_way_to_end_it() {
    // Abort: a reset from the states in which the peer could still say something, and CLOSED once.
    for (state, mut s) in states() {
        s.abort();
        let resets = std::iter::from_fn(|| s.take()).count();
        let expected = match state {
            TcpState::SynReceived
            | TcpState::Established
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::CloseWait => 1,
            _ => 0,
        };
        assert_eq!((resets, s.state()), (expected, TcpState::Closed), "abort in {state}");
        assert_eq!(s.events(), [Event::Readable, Event::Closed], "abort in {state}");
        s.abort();
        s.expect_nothing();
        assert_eq!(s.events(), [], "abort twice in {state}");
        s.close();
        s.expect_nothing();
        assert_eq!(s.host().connections(), 0, "{state}");
    }
    // Close, twice: the FIN where there has been none; and silence ends every state.
    for (state, mut s) in states() {
        s.close();
        s.close();
        let packets: Vec<_> = std::iter::from_fn(|| s.take()).collect();
        let fins =
            packets.iter().filter(|p| p.segment().unwrap().tcp.flags.contains(carrick_wire::TcpFlags::FIN));
        let expected = matches!(state, TcpState::Established | TcpState::CloseWait);
        assert_eq!(fins.count(), usize::from(expected), "close in {state}");
        s.advance(2000.secs());
        assert_eq!(s.state(), TcpState::Closed, "silence after close in {state}");
        let endpoint = s.host().endpoint();
        assert_eq!(
            (s.host().connections(), endpoint.connections(), endpoint.time_wait()),
            (0, 0, 0),
            "{state}"
        );
        assert_eq!(s.host().used(), 0);
    }
    covers!("T-LIF-11");
}

#[test]
fn shld_3_what_nobody_reads_is_answered_with_a_reset() {
    // Unread at the time of the close, in each state that can hold text.
    for finished in [false, true] {
        let mut s = Scene::established();
        if finished {
            s.finish();
            s.expect(seg().fin().seq(1).ack(1));
            s.inject(seg().seq(1).ack(2));
        }
        s.inject(seg().seq(1).ack(1 + u32::from(finished)).data(b"unread"));
        s.take();
        s.close();
        s.expect(seg().rst().seq(1 + u32::from(finished)).ack(7));
        assert_eq!(s.state(), TcpState::Closed);
    }
    // It comes after the close: the application that has closed reads no more (half-duplex close).
    let mut s = Scene::established();
    s.close();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().seq(1).ack(1).data(b"late"));
    s.expect(seg().rst().seq(2).ack(1));
    assert_eq!(s.state(), TcpState::Closed);
    covers!("SHLD-3", "MAY-1");
}

/// What was sent behind the close has timed out: a peer that still acknowledges nothing of it has not got it, and believes
/// no reset with a number beyond it (RFC 5961 §3.2).
#[test]
fn shld_3_the_reset_has_the_number_that_the_peer_awaits() {
    // Also where its text was delayed, and with it what it knew then.
    for (acknowledged, told, late) in [(0, 0, 1), (3, 3, 4), (3, 0, 4)] {
        let mut s = Scene::established();
        s.send(b"one");
        s.expect(seg().seq(1).ack(1).len(3));
        s.inject(seg().seq(1).ack(1 + acknowledged));
        s.close();
        s.take();
        for _ in 0..2 {
            assert!(s.advance_to_next_timer().is_some());
            while s.take().is_some() {}
        }
        s.inject(seg().seq(1).ack(1 + told).data(b"late"));
        s.expect(seg().rst().seq(late));
        assert_eq!(s.state(), TcpState::Closed);
    }
    // It has got the text at last; of the FIN behind that nobody knows.
    let mut s = Scene::established();
    s.send(b"one");
    s.expect(seg().seq(1).ack(1).len(3));
    s.close();
    s.take();
    s.advance_to_next_timer();
    while s.take().is_some() {}
    s.inject(seg().seq(1).ack(4).data(b"late"));
    s.expect(seg().rst().seq(5).ack(1));
}

#[test]
fn linger_zero_resets() {
    let mut s = Scene::established();
    s.with("linger 0", |c, _| c.set_linger(Some(Duration::ZERO)));
    s.send([1; 100]);
    s.expect(seg().seq(1).ack(1).len(100));
    s.close();
    s.expect(seg().rst().seq(101).ack(1));
    s.expect_nothing();
    assert_eq!((s.state(), s.host().connections()), (TcpState::Closed, 0));
    // Also with nothing to lose; TIME-WAIT alone goes its way.
    for (state, mut s) in states() {
        s.with("linger 0", |c, _| c.set_linger(Some(Duration::ZERO)));
        s.close();
        let expected = if state == TcpState::TimeWait { state } else { TcpState::Closed };
        assert_eq!(s.state(), expected, "{state}");
    }
}

#[test]
fn linger_delivers_as_long_as_it_lasts() {
    let lingering = || {
        let mut s = Scene::builder().window(1000).config(|c| c.linger = Some(30.secs())).established();
        s.send([1; 3000]);
        s.close();
        s.expect(seg().seq(1).ack(1).len(1000));
        s
    };
    // Time enough.
    let mut s = lingering();
    for i in 1..3 {
        s.advance(10.secs());
        while s.take().is_some() {}
        s.inject(seg().seq(1).ack(1 + 1000 * i));
        assert!(s.take().is_some());
    }
    s.inject(seg().seq(1).ack(3001));
    s.expect(seg().fin().seq(3001).ack(1));
    s.inject(seg().seq(1).ack(3002));
    assert_eq!(s.state(), TcpState::FinWait2);
    // FIN-WAIT-2 has its own limit.
    s.advance(59.secs());
    assert_eq!(s.state(), TcpState::FinWait2);
    s.advance(1.secs());
    assert_eq!((s.state(), s.error()), (TcpState::Closed, None));
    // Not enough, though the peer takes some.
    let mut s = lingering();
    s.advance(29.secs());
    s.inject(seg().seq(1).ack(1001));
    while s.take().is_some() {}
    s.advance(1.secs());
    s.expect(seg().rst().seq(2001).ack(1));
    assert_eq!((s.state(), s.host().connections(), s.host().used()), (TcpState::Closed, 0, 0));
    // Not even connected yet.
    let mut s = Scene::builder().config(|c| c.linger = Some(30.secs())).connecting();
    s.send(b"text");
    s.close();
    s.advance(29.secs());
    assert_eq!(s.state(), TcpState::SynSent);
    s.advance(1.secs());
    assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::Aborted)));
}

#[test]
fn t_per_6_an_orphan_before_a_closed_window_is_bounded() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send(b"text");
    // For a day the peer answers every probe: that may last, while somebody waits for it.
    let answer = |s: &mut Scene, times: usize| {
        for _ in 0..times {
            s.advance_to_next_timer();
            while s.take().is_some() {}
            if s.state() != TcpState::Closed {
                s.inject(seg().seq(1).ack(1).window(0));
            }
        }
    };
    answer(&mut s, 800);
    assert_eq!(s.state(), TcpState::Established);
    covers!("MAY-8");
    s.close();
    let begin = s.now();
    while s.host().connections() > 0 {
        answer(&mut s, 1);
    }
    assert_eq!(s.now().since(begin), 300.secs());
    assert_eq!(s.host().used(), 0);
    // The FIN alone against a closed window.
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.close();
    let begin = s.now();
    let mut reset = false;
    while s.host().connections() > 0 {
        s.advance_to_next_timer().expect("a timer");
        while let Some(packet) = s.take() {
            reset |= packet.segment().unwrap().tcp.flags.contains(carrick_wire::TcpFlags::RST);
        }
        if s.host().connections() > 0 {
            s.inject(seg().seq(1).ack(1).window(0));
        }
    }
    assert_eq!(s.now().since(begin), 300.secs());
    assert!(reset, "the peer, who is there, is told");
    covers!("T-PER-6");
}

#[test]
fn t_lif_7_silence_ends_every_closing_state() {
    for released in [false, true] {
        for (state, mut s) in states() {
            let closing = [TcpState::FinWait1, TcpState::FinWait2, TcpState::Closing, TcpState::LastAck];
            if !closing.contains(&state) {
                continue;
            }
            if released {
                s.close();
            }
            let begin = s.now();
            while s.state() != TcpState::Closed && s.advance_to_next_timer().is_some() {}
            let took = s.now().since(begin);
            if state == TcpState::FinWait2 && !released {
                // Half-closed for as long as the application likes.
                assert_eq!(s.state(), state);
                continue;
            }
            assert_eq!(s.state(), TcpState::Closed, "{state}");
            let limit = match (state, released) {
                (TcpState::FinWait2, _) => 60.secs(),
                (_, true) => 300.secs(),
                (_, false) => 1200.secs(),
            };
            assert!(took <= limit, "{state}, released {released}: {took:?}");
        }
    }
    covers!("T-LIF-7");
}

#[test]
fn res_6_orphans_are_bounded_in_time_and_number() {
    // Sixty of each kind, then silence.
    let mut s = Scene::builder().backlog(1000).endpoint(|e| e.max_connections = 120).listening();
    for port in 1000..1120 {
        s.inject(seg().syn().seq(0).ports(port, 80));
        s.inject(seg().seq(1).ack(1).ports(port, 80));
        assert!(s.accept());
        if port % 2 == 0 {
            s.inject(seg().seq(1).ack(1).fin().ports(port, 80));
        }
        s.close();
        if port % 2 == 1 {
            s.inject(seg().seq(1).ack(2).ports(port, 80));
        }
        while s.take().is_some() {}
    }
    assert_eq!(s.host().endpoint().connections(), 120);
    // No more than the endpoint allows, orphans included.
    s.inject(seg().syn().seq(0).ports(5000, 80));
    s.inject(seg().seq(1).ack(1).ports(5000, 80));
    assert!(!s.accept());
    s.advance(60.secs());
    assert_eq!(s.host().endpoint().connections(), 60, "FIN-WAIT-2 is over");
    s.advance(240.secs());
    assert_eq!(s.host().endpoint().connections(), 0, "LAST-ACK too");
    covers!("RES-6");
}
