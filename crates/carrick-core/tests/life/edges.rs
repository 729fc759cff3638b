//! Where the rules of receiving, of timers and of the end begin and end, each from both sides.

use super::settled;
use carrick_core::{Connection, ConnectionError, DiscardReason, KeepAlive};
use carrick_sim::{Scene, Span, TcpState, pattern, seg};

fn unacknowledged(s: &Scene) -> Option<usize> {
    s.connection().map(Connection::unacknowledged)
}

#[test]
fn each_piece_of_a_gap_is_acknowledged_at_once_however_many_there_are() {
    let mut s = settled(Scene::builder());
    s.inject(seg().seq(67).ack(1).len(10));
    s.expect(seg().seq(1).ack(17));
    for i in 17..66 {
        s.inject(seg().seq(i).ack(1).len(1));
        s.expect(seg().seq(1).ack(i + 1));
    }
    s.inject(seg().seq(66).ack(1).len(1));
    s.expect(seg().seq(1).ack(77));
}

/// The first byte that came twice may lie behind the end of the range that the text continues.
#[test]
fn what_came_twice_is_reported_to_the_byte() {
    for (seq, len, twice) in [
        (111, 20, (121, 131)),
        (110, 20, (110, 111)),
        (111, 11, (121, 122)),
        (112, 9, (0, 0)),
        (131, 1, (0, 0)),
    ] {
        let mut s = Scene::builder().sack(true).established();
        s.inject(seg().seq(101).ack(1).len(10));
        s.expect(seg().seq(1).ack(1).sack(&[(101, 111)]));
        s.inject(seg().seq(121).ack(1).len(10));
        s.expect(seg().seq(1).ack(1).sack(&[(121, 131), (101, 111)]));
        s.inject(seg().seq(seq).ack(1).len(len));
        let packet = s.take().expect("an ACK");
        let sack = packet.segment().expect("a segment").tcp.options.sack;
        let first =
            sack.iter().next().map(|block| [block.left(), block.right()].map(|n| n.get() - 2_000_000));
        let holds = |block: [u32; 2]| block[0] <= seq && seq < block[1];
        match twice {
            (0, 0) => assert!(first.is_some_and(holds), "{first:?} for {seq}+{len}"),
            (left, right) => assert_eq!(first, Some([left, right]), "{seq}+{len}"),
        }
    }
}

#[test]
fn what_lies_in_a_row_can_be_taken_as_one_buffer() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).urg(8).data(b"hello world"));
    s.expect(seg().seq(1).ack(12));
    let mut take =
        |max| s.with("take a chunk", |c, cx| (c.take_chunk(cx, max), c.readable_len(), c.urgent_len()));
    assert_eq!(take(5), (Some("hello".into()), 6, Some(3)));
    assert_eq!(take(usize::MAX), (Some(" world".into()), 0, None));
    assert_eq!(take(usize::MAX), (None, 0, None));
}

/// The window of an ACK, too, grows in useful steps only (RFC 9293 §3.8.6.2.2).
#[test]
fn an_ack_offers_what_was_read_once_it_is_a_segment() {
    let mut s = Scene::builder().config(|c| c.receive_buffer = 8000).established();
    s.inject(seg().seq(1).ack(1).len(4000));
    s.expect(seg().seq(1).ack(4001).window(4000));
    s.read_up_to(1459);
    s.inject(seg().seq(4001).ack(1).len(1));
    s.expect(seg().seq(1).ack(4002).window(3999));
    s.read_up_to(1);
    s.expect_nothing();
    s.inject(seg().seq(4002).ack(1).len(1));
    s.expect(seg().seq(1).ack(4003).window(5458));
}

#[test]
fn a_window_update_is_due_for_a_quarter_of_the_buffer_or_twice_the_window() {
    for (filled, read) in [
        // A quarter, of which less than the window would not do.
        (2000, 2000),
        (6000, 2000),
        // As much again as the peer knows of, if that is a segment.
        (6001, 1999),
        (6540, 1460),
        (6541, 1460),
        (8000, 1460),
    ] {
        let mut s = Scene::builder().config(|c| c.receive_buffer = 8000).established();
        s.inject(seg().seq(1).ack(1).len(filled));
        while s.take().is_some() {}
        s.read_up_to(read - 1);
        s.expect_nothing();
        s.read_up_to(1);
        let window = (8000 - filled + read) as u16;
        s.expect(seg().seq(1).ack(1 + filled as u32).window(window));
    }
}

/// With a scale the right edge is kept by rounding up, as long as that promises less than a unit too much.
#[test]
fn the_scale_s_rounding_keeps_the_right_edge() {
    const UNIT: u32 = 4096;
    let begin = |rest| {
        let mut s = Scene::builder()
            .window_scale(0)
            .config(|c| c.receive_buffer = 40_000 * UNIT + rest)
            .established();
        s.inject(seg().seq(1).ack(1).len(1));
        s.expect(seg().seq(1).ack(2).window(40_000));
        s
    };
    let mut s = begin(100);
    let mut next = 2;
    for (len, window) in [(1460, 40_000), (1460, 40_000), (1274, 40_000), (1, 39_999)] {
        s.inject(seg().seq(next).ack(1).len(len));
        next += len as u32;
        s.expect(seg().seq(1).ack(next).window(window));
    }
    // More than a segment has become free, and less than a unit: stepping down would take the edge back.
    let mut s = begin(1500);
    s.inject(seg().seq(2).ack(1).len(2000).segment_size(1000));
    s.expect(seg().seq(1).ack(2002).window(40_000));
}

/// RFC 9293 §3.10.7.4, first step: of an unacceptable segment nothing is used but the ACK of what answers a probe or
/// probes.
#[test]
fn the_ack_of_a_segment_beyond_the_window_is_not_used() {
    let begin = |filled| {
        let mut s = Scene::builder().config(|c| c.receive_buffer = 2000).mtu(9000).established();
        s.inject(seg().seq(1).ack(1).len(filled));
        s.send(b"text");
        while s.take().is_some() {}
        s
    };
    let next = 2001;
    for (filled, segment, used) in [
        // The window is closed.
        (2000, seg().seq(next - 1).len(2), false),
        (2000, seg().seq(next - 1).len(3), false),
        (2000, seg().seq(next - 1).len(1), true),
        (2000, seg().seq(next).len(1), true),
        (2000, seg().seq(next), true),
        (2000, seg().seq(next + 1).len(1), false),
        (2000, seg().seq(next + 1), true),
        (2000, seg().seq(next + 2), false),
        (2000, seg().seq(next - 1), true),
        (2000, seg().seq(next - 2), false),
        // It is open by 100 bytes.
        (1900, seg().seq(next - 1).len(1), true),
        (1900, seg().seq(next).len(1), false),
        (1900, seg().seq(next), true),
        (1900, seg().seq(next).fin(), true),
        (1900, seg().seq(next + 1).fin(), false),
        (1900, seg().seq(next + 1), false),
        (1900, seg().seq(next - 1).len(1).fin(), true),
        (1900, seg().seq(next - 1).len(2).fin(), true),
        (1900, seg().seq(next).len(1).fin(), false),
    ] {
        let mut s = begin(filled);
        let name = format!("{segment}");
        s.inject(segment.ack(5));
        assert_eq!(unacknowledged(&s), Some(if used { 0 } else { 4 }), "{name} with {filled} bytes unread");
    }
}

/// What ends the wait for our FIN's acknowledgment is the peer's own FIN once more, which must not go unanswered.
#[test]
fn the_last_ack_leaves_whatever_was_answered_before() {
    let mut s = Scene::established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(1));
    s.expect(seg().seq(2).ack(2));
    assert_eq!(s.state(), TcpState::Closing);
    for _ in 0..20 {
        s.inject(seg().syn().seq(2));
    }
    assert_eq!(std::iter::from_fn(|| s.take()).count(), 10);
    s.inject(seg().fin().seq(1).ack(2));
    assert_eq!(s.state(), TcpState::TimeWait);
    s.expect(seg().seq(2).ack(2));
}

#[test]
fn the_last_ack_is_numbered_behind_the_fin_though_the_window_is_closed() {
    let mut s = Scene::established();
    s.inject(seg().fin().seq(1).ack(1).window(0));
    s.expect(seg().seq(1).ack(2));
    s.finish();
    s.advance_to_next_timer();
    s.expect(seg().fin().seq(1).ack(2));
    s.inject(seg().fin().seq(1).ack(2).window(0));
    assert_eq!(s.state(), TcpState::Closed);
    s.expect(seg().seq(2).ack(2));
}

/// A FIN beyond the peer's FIN is bogus; with text that nobody has room for it does not even begin the wait anew.
#[test]
fn a_fin_behind_text_beyond_the_window_leaves_time_wait_as_it_is() {
    for (segment, restarted) in [
        (seg().fin().seq(2001), true),
        (seg().fin().seq(2002), true),
        (seg().fin().seq(2002).len(1), false),
        (seg().fin().seq(2003), false),
        (seg().seq(2002), false),
    ] {
        let mut s = Scene::builder().config(|c| c.receive_buffer = 2000).established();
        s.inject(seg().seq(1).ack(1).len(2000));
        s.finish();
        s.inject(seg().fin().seq(2001).ack(2));
        assert_eq!(s.state(), TcpState::TimeWait);
        let begin = s.now();
        s.advance(1.secs());
        let name = format!("{segment}");
        s.inject(segment.ack(2));
        while s.state() == TcpState::TimeWait {
            s.advance_to_next_timer().expect("the wait ends");
        }
        let wait = s.now().since(begin).as_secs() % 10;
        assert_eq!(wait, u64::from(restarted), "{name}");
    }
}

#[test]
fn memory_takes_nothing_from_whom_has_read_all() {
    for (text, error) in [(0, None), (1, Some(ConnectionError::OutOfMemory))] {
        let mut s = Scene::established();
        s.inject(seg().fin().seq(1).ack(1).len(text));
        s.finish();
        while s.take().is_some() {}
        s.inject(seg().seq(2 + text as u32).ack(2));
        assert_eq!((s.state(), s.error()), (TcpState::Closed, None));
        s.with("abort for memory", Connection::abort_for_memory);
        assert_eq!((s.connection().and_then(Connection::error), s.read().len()), (error, 0));
    }
}

/// A clock that has leapt is no evidence against the peer, but a question that it had left unanswered before is.
#[test]
fn a_leap_of_the_clock_ends_the_wait_of_whom_was_asked_twice() {
    let leap = |s: &mut Scene| {
        let now = s.now() + 3600.secs();
        s.host_mut().expire(now);
        s.check();
        s.state()
    };
    let builder = || Scene::builder().config(|c| c.user_timeout = Some(50.secs()));
    for asked in [false, true] {
        let expected = |state| if asked { TcpState::Closed } else { state };
        let mut s = builder().connecting();
        if asked {
            s.advance_to_next_timer();
        }
        assert_eq!(leap(&mut s), expected(TcpState::SynSent));

        let mut s = builder().established();
        s.send(b"text");
        if asked {
            s.advance_to_next_timer();
        }
        assert_eq!(leap(&mut s), expected(TcpState::Established));

        let mut s = builder().established();
        s.inject(seg().seq(1).ack(1).window(0));
        s.send(b"text");
        if asked {
            s.advance_to_next_timer();
            s.inject(seg().seq(1).ack(1).window(0));
        }
        assert_eq!(leap(&mut s), expected(TcpState::Established));
    }
}

/// The cork's 200 ms are over at the same moment as the user timeout, but the peer has been asked nothing before.
#[test]
fn what_leaves_when_patience_ends_has_its_time_to_be_answered() {
    let mut s = Scene::builder().config(|c| c.user_timeout = Some(200.ms())).established();
    s.set_cork(true);
    s.send(b"text");
    assert_eq!(s.advance_to_next_timer(), Some(200.ms()));
    s.expect(seg().seq(1).ack(1).data(b"text"));
    s.advance(200.ms() - 1.ns());
    assert_eq!(s.state(), TcpState::Established);
    s.inject(seg().seq(1).ack(5));
    assert_eq!(s.advance_to_next_timer(), None);
}

#[test]
fn whom_we_wait_for_is_not_probed() {
    let alive = KeepAlive { idle: 1.secs(), interval: 1.secs(), retries: 3 };
    let mut s =
        Scene::builder().config(|c| (c.keep_alive, c.min_rto) = (Some(alive), 3.secs())).established();
    s.send(b"text");
    s.expect(seg().seq(1).ack(1).data(b"text"));
    s.advance(2999.ms());
    s.expect_nothing();
    s.inject(seg().seq(1).ack(5));
    assert_eq!(s.advance_to_next_timer(), Some(1.secs()));
    s.expect(seg().seq(4).ack(1));
}

#[test]
fn eagerness_acknowledges_what_waits_and_nothing_else() {
    let mut s = settled(Scene::builder());
    s.with("quickack", |c, cx| c.set_quickack(cx, true));
    s.expect_nothing();
    s.with("no quickack", |c, cx| c.set_quickack(cx, false));
    s.inject(seg().seq(17).ack(1).len(1));
    s.expect_nothing();
    s.with("quickack", |c, cx| c.set_quickack(cx, true));
    s.expect(seg().seq(1).ack(18));
    s.expect_nothing();
}

/// An ACK that is due anyway comes first, and is no probe: its number asks for no answer.
#[test]
fn a_probe_leaves_beside_an_acknowledgment_that_is_due_at_the_same_time() {
    let alive = KeepAlive { idle: 1.secs(), interval: 1.secs(), retries: 3 };
    let mut s = settled(Scene::builder().config(|c| c.keep_alive = Some(alive)));
    s.inject(seg().seq(17).ack(1).len(1));
    s.expect_nothing();
    // Both timers are served late, and at once.
    let late = s.now() + 1.secs();
    s.host_mut().expire(late);
    s.check();
    s.expect(seg().seq(1).ack(18));
    s.expect(seg().seq(0).ack(18));
    s.expect_nothing();
}

#[test]
fn a_fin_that_contradicts_the_first_is_counted() {
    let mut s = Scene::established();
    s.inject(seg().fin().seq(11).ack(1).len(10));
    let counted = |s: &Scene| s.host().endpoint().counters().discarded(DiscardReason::Unexpected);
    for (end, count) in [(21, 0), (20, 1), (21, 1), (22, 2)] {
        s.inject(seg().fin().seq(end).ack(1));
        assert_eq!(counted(&s), count, "a FIN at {end}");
    }
    s.inject(seg().seq(1).ack(1).len(10));
    assert_eq!((s.state(), s.read().len()), (TcpState::CloseWait, 20));
}

#[test]
fn an_answer_within_the_delay_makes_the_conversation_interactive() {
    for (thought, waits) in [(40.ms() - 1.ns(), true), (40.ms(), false)] {
        let mut s = Scene::established();
        s.inject(seg().seq(1).ack(1).data(b"q"));
        s.expect(seg().seq(1).ack(2));
        s.advance(thought);
        s.send(b"a");
        s.expect(seg().seq(1).ack(2).data(b"a"));
        s.inject(seg().seq(2).ack(2).data(b"q"));
        assert_eq!(s.take().is_none(), waits, "an answer after {thought:?}");
    }
}

/// For a device that keeps what it is given: buffers with the very bytes, whether they were copied for that or not.
#[test]
fn a_segment_s_text_can_be_had_as_buffers() {
    for len in [1, 1460, 4095, 4096, 50_000] {
        let mut s = Scene::builder().mtu(9000).established();
        let text = pattern(0, len);
        s.with("send and look", |c, cx| {
            assert_eq!(c.send(cx, &text), Ok(len));
            let transmit = c.poll_transmit(cx, 65_535.try_into().expect("not zero")).expect("a segment");
            let parts: Vec<_> = transmit.shared().collect();
            assert!(!parts.is_empty());
            assert_eq!(parts.concat(), text[..transmit.payload_len()]);
        });
    }
}
