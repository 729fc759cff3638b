//! Where the sending half's rules begin and end, each from both sides.

use carrick_core::{Connection, Event, Instant};
use carrick_sim::{Builder, Scene, Span, TcpState, seg};

fn progress(s: &Scene) -> Option<Instant> {
    s.connection().map(Connection::last_progress)
}

#[test]
fn an_empty_write_is_no_progress_and_marks_nothing() {
    let mut s = Scene::established();
    let before = progress(&s);
    s.advance(1.secs());
    s.send(b"");
    assert_eq!(progress(&s), before);
    s.send(b"text");
    s.expect(seg().seq(1).ack(1).data(b"text"));
    assert_eq!(progress(&s), Some(s.now()));
    s.send_urgent(b"");
    s.expect_nothing();
}

/// However much is written meanwhile, and also where all before has been sent.
#[test]
fn the_wait_for_an_acknowledgment_counts_from_the_first_that_waits() {
    let mut s =
        Scene::builder().config(|c| (c.nodelay, c.user_timeout) = (true, Some(10.secs()))).established();
    s.send(b"a");
    let begin = s.now();
    while s.state() == TcpState::Established {
        s.advance(1.secs());
        let _ = s.try_send(b"more");
        assert!(s.now().since(begin) <= 10.secs());
    }
    assert_eq!(s.now().since(begin), 10.secs());
}

#[test]
fn finishing_twice_is_finishing_once() {
    let mut s = Scene::established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().seq(1).ack(2));
    let before = progress(&s);
    s.advance(1.secs());
    s.finish();
    assert_eq!((s.state(), progress(&s)), (TcpState::FinWait2, before));
}

#[test]
fn what_is_unsent_is_what_was_never_sent() {
    let unsent = |s: &Scene| s.connection().map(Connection::unsent);
    let mut s = Scene::builder().mss(1000).window(1500).connecting();
    s.send([1; 3000]);
    assert_eq!(unsent(&s), Some(3000));
    s.inject(seg().syn().seq(0).ack(1));
    // Half the largest window fills no segment, but is worth sending.
    s.expect(seg().seq(1).ack(1).len(1000));
    s.expect_nothing();
    assert_eq!(unsent(&s), Some(2000));
    s.inject(seg().seq(1).ack(1001));
    s.expect(seg().seq(1001).ack(1).len(1000));
    assert_eq!(unsent(&s), Some(1000));
    s.advance_to_next_timer();
    s.expect(seg().seq(1001).ack(1).len(1000));
    assert_eq!(unsent(&s), Some(1000), "sent again is sent");
    s.inject(seg().seq(1).ack(2001));
    s.expect(seg().seq(2001).ack(1).len(1000));
    s.finish();
    s.expect(seg().fin().seq(3001).ack(1));
    assert_eq!(unsent(&s), Some(0), "a FIN is no text");
}

#[test]
fn nagle_s_rule_is_on_until_it_is_switched_off() {
    let off = |s: &Scene| s.connection().map(Connection::nodelay);
    let mut s = Scene::established();
    assert_eq!(off(&s), Some(false));
    s.set_nodelay(true);
    assert_eq!(off(&s), Some(true));
    s.set_nodelay(false);
    assert_eq!(off(&s), Some(false));
}

#[test]
fn a_cork_taken_out_of_an_empty_queue_lets_nothing_go() {
    let mut s = Scene::established();
    s.send(b"a");
    s.expect(seg().seq(1).ack(1).data(b"a"));
    s.set_cork(true);
    s.set_cork(false);
    s.send(b"b");
    s.expect_nothing();
    s.inject(seg().seq(1).ack(2));
    s.expect(seg().seq(2).ack(1).data(b"b"));
}

/// A window of 400 bytes, which is not worth using at once, and a timeout of 3 s.
fn small_window(builder: Builder) -> Scene {
    let mut s = builder.mss(1000).connecting();
    s.advance(1.secs());
    s.expect(seg().syn().seq(0));
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.inject(seg().seq(1).ack(1).window(400));
    s
}

#[test]
fn the_override_timeout_is_the_retransmission_timeout_within_bounds() {
    let mut s = small_window(Scene::builder());
    s.send([1; 1000]);
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), Some(1.secs()), "no longer than a second");
    s.expect(seg().seq(1).ack(1).len(400));

    let mut s = Scene::builder().mss(1000).config(|c| c.min_rto = 1.ms()).established();
    s.inject(seg().seq(1).ack(1).window(400));
    s.send([1; 1000]);
    assert_eq!(s.advance_to_next_timer(), Some(100.ms()), "no shorter than a tenth");
    s.expect(seg().seq(1).ack(1).len(400));
}

#[test]
fn a_cork_bounds_the_wait_of_what_does_not_fill_a_segment_and_of_nothing_else() {
    for (corked, written, finished, wait) in [
        (true, 999, false, 200.ms()),
        (true, 1000, false, 1.secs()),
        (true, 1001, false, 1.secs()),
        (true, 999, true, 1.secs()),
        (false, 999, false, 1.secs()),
    ] {
        let mut s = small_window(Scene::builder());
        s.inject(seg().seq(1).ack(1).window(0));
        s.set_cork(corked);
        s.send(vec![1; written]);
        if finished {
            s.finish();
        }
        s.inject(seg().seq(1).ack(1).window(400));
        s.expect_nothing();
        assert_eq!(s.advance_to_next_timer(), Some(wait), "{written} bytes, finished: {finished}");
        s.expect(seg().seq(1).ack(1).len(400));
    }
    // A closed window is probed as it is without a cork.
    let mut s = small_window(Scene::builder());
    s.inject(seg().seq(1).ack(1).window(0));
    s.set_cork(true);
    s.send([1; 100]);
    assert_eq!(s.advance_to_next_timer(), Some(3.secs()));
    s.expect(seg().seq(1).ack(1).len(1));
}

#[test]
fn what_nagle_s_rule_holds_back_waits_for_the_acknowledgment_however_long() {
    let mut s = Scene::builder().config(|c| c.min_rto = 1.secs()).established();
    s.send(b"a");
    s.expect(seg().seq(1).ack(1).data(b"a"));
    s.send(b"b");
    s.advance(1.secs() - 1.ns());
    s.expect_nothing();
    s.inject(seg().seq(1).ack(2));
    s.expect(seg().seq(2).ack(1).data(b"b"));
}

/// Nothing was ever sent below ISS+1, also once SND.UNA has left it (RFC 5961 §5.2).
#[test]
fn an_acknowledgment_from_before_the_connection_is_refused_later_too() {
    let mut s = Scene::established();
    for (written, ack) in [(1, 2), (100, 102), (1000, 1102)] {
        s.send(vec![1; written]);
        while s.take().is_some() {}
        s.inject(seg().seq(1).ack(ack));
        s.inject(seg().seq(1).ack(0).len(5));
        s.expect(seg().ack(1));
        s.expect_nothing();
    }
    s.inject(seg().seq(1).ack(1).len(5));
    s.expect(seg().ack(6));
}

#[test]
fn the_override_timeout_is_not_put_off_by_what_the_peer_repeats() {
    let mut s = small_window(Scene::builder());
    s.send([1; 1000]);
    for _ in 0..9 {
        s.advance(100.ms());
        s.inject(seg().seq(1).ack(1).window(400));
        s.expect_nothing();
    }
    assert_eq!(s.advance_to_next_timer(), Some(100.ms()));
    s.expect(seg().seq(1).ack(1).len(400));
}

#[test]
fn a_window_that_closes_is_probed_a_whole_interval_later() {
    let mut s = small_window(Scene::builder());
    s.send([1; 1000]);
    s.advance(900.ms());
    s.inject(seg().seq(1).ack(1).window(0));
    assert_eq!(s.advance_to_next_timer(), Some(3.secs()));
    s.expect(seg().seq(1).ack(1).len(1));
}

/// An empty segment beyond the window would be refused, and with it what it acknowledges. Less than a unit of the
/// window scale is rounding.
#[test]
fn empty_segments_keep_to_a_window_that_was_taken_back() {
    for (shift, window, seq) in
        [(0, 2000, 2001), (0, 1999, 2000), (0, 1, 2), (0, 0, 1), (7, 15, 2001), (7, 14, 1793), (7, 0, 1)]
    {
        let mut s = Scene::builder().mss(1000).window_scale(shift).established();
        s.send([1; 2000]);
        s.expect(seg().seq(1).ack(1).len(1000));
        s.expect(seg().seq(1001).ack(1).len(1000));
        s.inject(seg().seq(1).ack(1).window(window));
        s.inject(seg().seq(1).ack(1).window(window).len(1));
        s.expect(seg().seq(seq).ack(2));
    }
    // A refused probe.
    let mut s = Scene::builder().window_scale(7).established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send([1; 100]);
    s.advance_to_next_timer();
    s.expect(seg().seq(1).ack(1).len(1));
    s.inject(seg().seq(1).ack(1).window(0).len(1));
    s.expect(seg().seq(1).ack(2));
}

/// Of two segments with the same acknowledgment the one with the greater number was sent later.
#[test]
fn a_segment_that_was_overtaken_brings_no_window() {
    for (window, late, usable) in [(2000, 1000, 2000), (1000, 2000, 1000)] {
        let mut s = Scene::builder().mss(1000).established();
        s.inject(seg().seq(101).ack(1).len(10).window(window));
        s.inject(seg().seq(1).ack(1).len(100).window(late));
        while s.take().is_some() {}
        s.send([1; 5000]);
        for n in 0..usable / 1000 {
            s.expect(seg().seq(1 + 1000 * n).ack(111).len(1000));
        }
        s.expect_nothing();
    }
}

/// RFC 6298 §5: the timer is the first segment's.
#[test]
fn the_timer_does_not_start_anew_for_later_segments_that_are_sent_again() {
    let mut s = Scene::builder().mss(1000).window(4000).established();
    s.send([1; 3000]);
    for n in 0..3 {
        s.expect(seg().seq(1 + 1000 * n).ack(1).len(1000));
    }
    assert_eq!(s.advance_to_next_timer(), Some(200_001.us()));
    s.expect(seg().seq(1).ack(1).len(1000));
    s.inject(seg().seq(1).ack(1001).window(1000));
    s.expect(seg().seq(1001).ack(1).len(1000));
    s.advance(100.ms());
    s.inject(seg().seq(1).ack(1001).window(2000));
    s.expect(seg().seq(2001).ack(1).len(1000));
    assert_eq!(s.advance_to_next_timer(), Some(300_002.us()));
    s.expect(seg().seq(1001).ack(1).len(1000));
}

#[test]
fn a_lost_segment_is_repeated_as_far_as_the_window_reaches() {
    for (finished, window, len, fin) in [
        (false, 1001, 1000, false),
        (true, 1001, 1000, true),
        (true, 1000, 1000, false),
        (true, 999, 999, false),
    ] {
        let mut s = Scene::builder().mss(1000).established();
        s.set_cork(true);
        s.send([1; 1000]);
        if finished {
            s.finish();
        }
        while s.take().is_some() {}
        for _ in 0..4 {
            s.expect_nothing();
            s.inject(seg().seq(1).ack(1).window(window));
        }
        let again = seg().seq(1).ack(1).len(len);
        s.expect(if fin { again.fin() } else { again });
        s.expect_nothing();
    }
}

/// What is lost waits for the window, and meanwhile the window is probed.
#[test]
fn a_loss_found_as_the_window_closes_stops_no_probe() {
    let mut s = Scene::builder().mss(1000).sack(true).established();
    s.send([1; 5000]);
    while s.take().is_some() {}
    for n in 1..4 {
        let window = if n < 3 { 65_535 } else { 0 };
        s.inject(seg().seq(1).ack(1).sack(&[(1001, 1001 + 1000 * n)]).window(window));
    }
    s.expect_nothing();
    s.advance_to_next_timer();
    s.expect(seg().seq(1).ack(1).len(1));
    s.inject(seg().seq(1).ack(1).window(4000));
    s.expect(seg().seq(1).ack(1).len(1000));
}

/// RFC 6675 §5.1: until all that was sent before the timeout is acknowledged, and not a segment longer.
#[test]
fn after_a_timeout_blocks_of_what_was_sent_before_it_repair_nothing() {
    let mut s = Scene::builder().mss(1000).sack(true).established();
    s.send([1; 5000]);
    while s.take().is_some() {}
    // The tail is asked for first.
    s.advance_to_next_timer();
    s.expect(seg().seq(4001).ack(1).len(1000));
    s.advance_to_next_timer();
    s.expect(seg().seq(1).ack(1).len(1000));
    for n in 2..6 {
        s.inject(seg().seq(1).ack(1).sack(&[(1001, 1 + 1000 * n)]));
        s.expect_nothing();
    }
    s.inject(seg().seq(1).ack(5001));
    s.send([2; 30_000]);
    while s.take().is_some() {}
    for n in 1..4 {
        s.inject(seg().seq(1).ack(5001).sack(&[(6001, 6001 + 1000 * n)]));
    }
    let sent: Vec<u32> = std::iter::from_fn(|| s.take())
        .map(|packet| packet.segment().expect("a segment").tcp.seq.get() - 1_000_000)
        .collect();
    assert_eq!(sent.last(), Some(&5001), "{sent:?}");
}

#[test]
fn a_writer_is_told_once_a_quarter_of_its_buffer_is_free() {
    let mut s = Scene::builder().mss(1000).config(|c| c.send_buffer = 4002).established();
    assert_eq!(s.try_send(&[1; 5000]), Ok(4002));
    s.inject(seg().seq(1).ack(1000));
    assert_eq!(s.events(), []);
    s.inject(seg().seq(1).ack(1001));
    assert_eq!(s.events(), [Event::Writable]);
    s.inject(seg().seq(1).ack(2001));
    assert_eq!(s.events(), [], "once");
}

#[test]
fn what_recovery_remembers_is_counted_as_memory() {
    let memory = |s: &Scene| s.connection().map_or(0, Connection::memory);
    let mut s = Scene::builder().mss(1000).established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send([1; 3000]);
    let before = memory(&s);
    s.inject(seg().seq(1).ack(1).window(65_535));
    assert!(memory(&s) > before, "three segments in flight");
    s.inject(seg().seq(1).ack(3001));
    assert_eq!(memory(&s), 0);
}

#[test]
fn an_acknowledgment_without_text_asks_for_no_push() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).len(1));
    let packet = s.take().expect("an ACK");
    assert_eq!(packet.segment().expect("a segment").tcp.flags, carrick_wire::TcpFlags::ACK);
}
