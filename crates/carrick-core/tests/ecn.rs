//! Explicit congestion notification (RFC 3168): the handshake, marks that come in, echoes that come in, whole
//! conversations over links that mark.
//!
//! Segments of 1,000 bytes, an initial window of ten and half of it after a mark, as in the tests of recovery: segment n
//! begins at 1000 n + 1.

use carrick_core::congestion::{Acked, Controller, NewReno};
use carrick_core::{EcnPolicy, EndpointConfig, Instant, SynCookies};
use carrick_covers::covers;
use carrick_sim::{
    Builder, LinkConfig, Offload, Pair, Plan, Scene, Seg, Span, TcpState, World, pattern, seg,
};
use carrick_wire::{Ecn, TcpFlags};
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SMSS: usize = 1000;
/// 200 ms beyond a round trip that took no time, which counts as a microsecond.
const RTO: Duration = Duration::from_micros(200_001);
const POLICIES: [EcnPolicy; 3] = [EcnPolicy::Off, EcnPolicy::Accept, EcnPolicy::Ask];

const fn start(segment: u32) -> u32 {
    1000 * segment + 1
}

fn builder(policy: EcnPolicy) -> Builder {
    Scene::builder().mss(1000).config(|config| {
        config.ecn = policy;
        config.congestion = Some(Box::new(NewReno::default()));
    })
}

/// Every setting of the three flags beside ACK.
fn flag_settings() -> impl Iterator<Item = TcpFlags> {
    (0..8u16).map(|bits| TcpFlags::from_bits(bits << 6))
}

/// ESTABLISHED with ECN, by our own SYN.
fn asked(change: impl FnOnce(Builder) -> Builder) -> Scene {
    let mut s = change(builder(EcnPolicy::Ask)).build();
    s.connect();
    s.expect(seg().syn().ece().cwr().seq(0).ecn(Ecn::NotEct));
    s.inject(seg().syn().ece().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1).ecn(Ecn::NotEct));
    s
}

/// Segment `n` of ours for the first time.
fn new(n: u32) -> Seg {
    seg().seq(start(n)).ack(1).len(SMSS).ecn(Ecn::Ect0)
}

/// Segment `n` of ours again.
fn again(n: u32) -> Seg {
    seg().seq(start(n)).ack(1).len(SMSS).ecn(Ecn::NotEct)
}

/// The peer acknowledges all before segment `n`.
fn ack(n: u32) -> Seg {
    seg().seq(1).ack(start(n))
}

/// Ten segments are out, and `more` bytes are written beyond.
fn ten_out(change: impl FnOnce(Builder) -> Builder, more: usize) -> Scene {
    let mut s = asked(change);
    s.send(pattern(0, 10 * SMSS + more));
    for n in 0..10 {
        s.expect(new(n));
    }
    s.expect_nothing();
    s
}

/// Whether the next text of ours is ECN-capable, and whether a mark on the peer's is echoed.
#[track_caller]
fn uses(s: &mut Scene) -> (bool, bool) {
    s.send(b"x");
    let packet = s.take().expect("text");
    let capable = packet.segment().unwrap().ecn == Ecn::Ect0;
    s.inject(seg().seq(1).ack(2).data(b"y").ecn(Ecn::Ce));
    let echo = s.take().expect("an ACK");
    (capable, echo.segment().unwrap().has(TcpFlags::ECE))
}

#[test]
fn ecn_1_a_listener_agrees_to_a_syn_with_both_flags_and_to_no_other() {
    for policy in POLICIES {
        for flags in flag_settings() {
            let mut s = builder(policy).listening();
            s.inject(seg().flags(TcpFlags::SYN | flags).seq(0));
            // What the bit beside them means only those know who speak accurate ECN.
            let agreed = policy != EcnPolicy::Off && flags.contains(TcpFlags::ECE | TcpFlags::CWR);
            let expected = seg().syn().seq(0).ack(1).ecn(Ecn::NotEct);
            s.expect(if agreed { expected.ece() } else { expected });
            s.inject(seg().seq(1).ack(1));
            assert!(s.accept());
            assert_eq!(uses(&mut s), (agreed, agreed), "{policy:?} {flags}");
        }
    }
    covers!("ECN-1", "ECN-2");
}

#[test]
fn ecn_1_and_14_a_syn_ack_agrees_with_ece_alone_and_only_if_we_asked() {
    for policy in POLICIES {
        for flags in flag_settings() {
            let mut s = builder(policy).build();
            s.connect();
            let syn = seg().syn().seq(0).ecn(Ecn::NotEct);
            s.expect(if policy == EcnPolicy::Ask { syn.ece().cwr() } else { syn });
            s.inject(seg().flags(TcpFlags::SYN | flags).seq(0).ack(1));
            s.expect(seg().seq(1).ack(1).ecn(Ecn::NotEct));
            let agreed =
                policy == EcnPolicy::Ask && flags.contains(TcpFlags::ECE) && !flags.contains(TcpFlags::CWR);
            assert_eq!(uses(&mut s), (agreed, agreed), "{policy:?} {flags}");
        }
    }
    covers!("ECN-14");
}

#[test]
fn ecn_3_and_12_the_third_syn_does_not_ask_and_then_marks_are_echoed_and_not_asked_for() {
    let mut s = builder(EcnPolicy::Ask).build();
    s.connect();
    s.expect(seg().syn().ece().cwr().seq(0));
    s.advance_to_next_timer();
    s.expect(seg().syn().ece().cwr().seq(0));
    s.advance_to_next_timer();
    s.expect(seg().syn().seq(0));
    s.advance_to_next_timer();
    s.expect(seg().syn().seq(0));
    // The answer to the first.
    s.inject(seg().syn().ece().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(uses(&mut s), (false, true));
    // What is not ECN-capable is not marked: an echo of it is nobody's.
    s.send(pattern(1, 30 * SMSS));
    // SYNs were lost: it begins with one segment (RFC 6928 §2), and slow start goes on whatever is echoed.
    let mut next = 0;
    for window in [1, 2, 4, 8] {
        for n in next..next + window {
            s.expect(seg().seq(start(n) + 1).ece().ack(2).len(SMSS).ecn(Ecn::NotEct));
        }
        s.expect_nothing();
        next += window;
        s.inject(seg().seq(2).ack(start(next) + 1).ece());
    }
    covers!("ECN-3", "ECN-12");
}

#[test]
fn ecn_1_a_listener_forgets_what_a_repeated_syn_no_longer_asks_for() {
    let mut s = builder(EcnPolicy::Accept).listening();
    s.inject(seg().syn().ece().cwr().seq(0));
    s.expect(seg().syn().ece().seq(0).ack(1));
    // Our own SYN,ACK, sent again, says the same.
    s.advance_to_next_timer();
    s.expect(seg().syn().ece().seq(0).ack(1).ecn(Ecn::NotEct));
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    // An old duplicate.
    s.inject(seg().syn().ece().cwr().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1));
    assert!(s.accept());
    assert_eq!(uses(&mut s), (false, false));
}

/// A cookie has no room for it.
#[test]
fn ecn_1_a_cookie_agrees_to_nothing() {
    for timestamps in [false, true] {
        let cookies = |endpoint: &mut EndpointConfig| endpoint.syn_cookies = SynCookies::Always;
        let mut s = builder(EcnPolicy::Ask).timestamps(timestamps).endpoint(cookies).build();
        s.listen();
        s.inject(seg().syn().ece().cwr().seq(0));
        let cookie = s.take().expect("a SYN,ACK");
        let tcp = cookie.segment().unwrap().tcp;
        assert_eq!(tcp.flags, TcpFlags::SYN | TcpFlags::ACK);
    }
}

#[test]
fn ecn_1_simultaneous_open() {
    for (policy, syn, ours, syn_ack, agreed) in [
        (EcnPolicy::Ask, seg().syn().ece().cwr(), true, seg().syn().ece(), true),
        (EcnPolicy::Ask, seg().syn().ece().cwr(), true, seg().syn(), false),
        (EcnPolicy::Ask, seg().syn(), false, seg().syn().ece(), false),
        (EcnPolicy::Accept, seg().syn().ece().cwr(), false, seg().syn().ece(), false),
    ] {
        let mut s = builder(policy).build();
        s.connect();
        assert!(s.take().is_some());
        s.inject(syn.seq(0));
        let expected = seg().syn().seq(0).ack(1).ecn(Ecn::NotEct);
        s.expect(if ours { expected.ece() } else { expected });
        s.inject(syn_ack.seq(0).ack(1));
        s.expect(seg().seq(1).ack(1));
        assert_eq!(s.state(), TcpState::Established);
        assert_eq!(uses(&mut s), (agreed, agreed), "{policy:?}");
    }
}

#[test]
fn ecn_5_only_new_text_is_capable() {
    let mut s = asked(|builder| builder);
    s.send(pattern(0, SMSS));
    s.expect(new(0));
    // A retransmission by the timer.
    s.advance_to_next_timer();
    s.expect(again(0));
    // A pure ACK.
    s.inject(ack(1).len(10));
    s.expect(seg().seq(start(1)).ack(11).ecn(Ecn::NotEct));
    // A probe of a closed window, of a byte that has never been sent: not even with CWR due.
    s.inject(seg().seq(11).ack(start(1)).window(0).ece());
    s.send(pattern(1000, SMSS));
    s.expect_nothing();
    s.advance_to_next_timer();
    s.expect(seg().seq(start(1)).ack(11).len(1).ecn(Ecn::NotEct));
    s.inject(seg().seq(11).ack(start(1)));
    // What the probe carried is sent again, with more behind it.
    s.expect(seg().seq(start(1)).ack(11).len(SMSS).ecn(Ecn::NotEct));
    s.inject(seg().seq(11).ack(start(2)));
    // A FIN is no text.
    s.finish();
    s.expect(seg().fin().seq(start(2)).ack(11).ecn(Ecn::NotEct));
    covers!("ECN-4", "ECN-5");
}

#[test]
fn ecn_6_a_mark_is_echoed_until_cwr() {
    for v6 in [false, true] {
        let mut s = asked(|builder| if v6 { builder.v6() } else { builder });
        s.inject(seg().seq(1).ack(1).data(b"a").ecn(Ecn::Ect0));
        s.expect(seg().seq(1).ack(2));
        s.inject(seg().seq(2).ack(1).data(b"b").ecn(Ecn::Ce));
        s.expect(seg().seq(1).ack(3).ece());
        for n in 3..6 {
            s.inject(seg().seq(n).ack(1).data(b"c").ecn(Ecn::Ect0));
            s.expect(seg().seq(1).ack(n + 1).ece().ecn(Ecn::NotEct));
        }
        // Text of ours carries it too.
        s.send(b"x");
        s.expect(seg().seq(1).ack(6).ece().data(b"x").ecn(Ecn::Ect0));
        s.inject(seg().seq(6).ack(2).cwr().data(b"d").ecn(Ecn::Ect0));
        s.expect(seg().seq(2).ack(7));
        // CWR speaks of what was before the packet that carries it, which may be marked itself.
        s.inject(seg().seq(7).ack(2).cwr().data(b"e").ecn(Ecn::Ce));
        s.expect(seg().seq(2).ack(8).ece());
        s.inject(seg().seq(8).ack(2).data(b"f").ecn(Ecn::Ect1));
        // Text goes both ways by now, so that this ACK waits for some.
        s.advance(40.ms());
        s.expect(seg().seq(2).ack(9).ece());
    }
    covers!("SHLD-8", "ECN-6");
}

#[test]
fn ecn_7_a_super_segment_that_is_marked_counts_once_and_cwr_on_it_comes_first() {
    let mut s = asked(|builder| builder);
    s.inject(seg().seq(1).ack(1).len(5000).segment_size(1000).ecn(Ecn::Ce));
    s.expect(seg().seq(1).ack(5001).ece());
    s.inject(seg().seq(5001).ack(1).len(5000).segment_size(1000).cwr().ecn(Ecn::Ect0));
    s.expect(seg().seq(1).ack(10_001));
    s.inject(seg().seq(10_001).ack(1).len(5000).segment_size(1000).cwr().ecn(Ecn::Ce));
    s.expect(seg().seq(1).ack(15_001).ece());
}

#[test]
fn ecn_7_an_ack_that_was_delayed_echoes_any_mark_that_it_covers() {
    let mut s = asked(|builder| builder);
    for n in 1..=16 {
        s.inject(seg().seq(n).ack(1).len(1).ecn(Ecn::Ect0));
        s.expect(seg().seq(1).ack(n + 1));
    }
    s.inject(seg().seq(17).ack(1).len(1).ecn(Ecn::Ect0));
    s.expect_nothing();
    s.inject(seg().seq(18).ack(1).len(1).ecn(Ecn::Ce));
    s.expect(seg().seq(1).ack(19).ece());
    s.inject(seg().seq(19).ack(1).len(1).ecn(Ecn::Ect0));
    s.expect_nothing();
    s.advance(40.ms());
    s.expect(seg().seq(1).ack(20).ece());
    // A peer that has slowed down may have a window of one segment, and one that has to must hear of it.
    s.inject(seg().seq(20).ack(1).len(1).cwr().ecn(Ecn::Ect0));
    s.expect(seg().seq(1).ack(21));
    s.inject(seg().seq(21).ack(1).len(1).ecn(Ecn::Ce));
    s.expect(seg().seq(1).ack(22).ece());
    covers!("ECN-7");
}

#[test]
fn ecn_11_marks_count_only_on_text_in_the_window_and_on_probes() {
    let mut s = asked(|builder| builder.config(|config| config.receive_buffer = 1000));
    // Beyond the window, before it, and no text at all.
    s.inject(seg().seq(5001).ack(1).len(10).ecn(Ecn::Ce));
    s.expect(seg().seq(1).ack(1));
    s.inject(seg().seq(1).ack(1).ecn(Ecn::Ce));
    s.expect_nothing();
    s.inject(seg().seq(1).ack(1).len(1000).ecn(Ecn::Ect0));
    s.expect(seg().seq(1).ack(1001).window(0));
    s.inject(seg().seq(1).ack(1).len(1000).ecn(Ecn::Ce));
    s.expect(seg().seq(1).ack(1001).window(0));
    // A probe at another number is none.
    s.inject(seg().seq(1002).ack(1).len(1).ecn(Ecn::Ce));
    s.expect(seg().seq(1).ack(1001).window(0));
    s.inject(seg().seq(1001).ack(1).len(1).ecn(Ecn::Ce));
    s.expect(seg().seq(1).ack(1001).window(0).ece());
    covers!("ECN-11");
}

#[test]
fn ecn_8_and_10_ten_echoes_of_one_window_reduce_it_once_and_one_cwr_says_so() {
    let mut s = ten_out(|builder| builder, 30 * SMSS);
    // The flight comes down from ten to five by a segment for each two that arrive, and stays there.
    for n in 1..=9 {
        s.inject(ack(n).ece());
        if let Some(at) = [2, 4, 6, 9].iter().position(|at| *at == n) {
            let new = new(10 + at as u32);
            s.expect(if n == 2 { new.cwr() } else { new });
        }
        s.expect_nothing();
    }
    s.inject(ack(10).ece());
    s.expect(new(14));
    s.expect_nothing();
    // The peer has seen our CWR, and tells of another mark: two segments and a half.
    s.inject(ack(11).ece());
    s.expect_nothing();
    s.inject(ack(12));
    s.expect(new(15).cwr());
    s.inject(ack(13));
    s.inject(ack(14));
    s.expect_nothing();
    covers!("SHLD-8", "ECN-8", "ECN-10");
}

#[test]
fn ecn_8_an_echo_grows_no_window() {
    let mut s = ten_out(|builder| builder, 60 * SMSS);
    s.inject(ack(10));
    for n in 10..30 {
        s.expect(new(n));
    }
    s.expect_nothing();
    // Half of twenty, and no more for ten that are acknowledged.
    s.inject(ack(20).ece());
    s.expect_nothing();
    s.inject(ack(30).ece());
    s.expect(new(30).cwr());
    for n in 31..40 {
        s.expect(new(n));
    }
    s.expect_nothing();
}

#[test]
fn ecn_9_at_one_segment_new_text_waits_for_the_timer() {
    let mut s = asked(|builder| builder);
    let mut n = 0;
    let mut exchange = |s: &mut Scene, cwr: bool| {
        s.send(pattern(1000 * u64::from(n), SMSS));
        s.expect(if cwr { new(n).cwr() } else { new(n) });
        n += 1;
        s.inject(ack(n).ece());
        n
    };
    // 10, 5, 2.5, 1.25, 1.
    for echo in 0..4 {
        exchange(&mut s, echo > 0);
        assert_eq!(s.connection().unwrap().poll_timeout(), None);
    }
    // From here on each echo costs a retransmission timeout.
    exchange(&mut s, true);
    for n in 5..8 {
        s.send(pattern(1000 * u64::from(n), SMSS));
        s.expect_nothing();
        assert_eq!(s.advance_to_next_timer(), Some(RTO));
        s.expect(new(n).cwr());
        s.inject(ack(n + 1).ece());
    }
    // With nothing to send the wait just ends.
    assert_eq!(s.advance_to_next_timer(), Some(RTO));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), None);
    s.send(pattern(8000, SMSS));
    s.expect(new(8).cwr());
    s.inject(ack(9));
    s.send(pattern(9000, SMSS));
    s.expect(new(9));
    covers!("ECN-9");
}

/// What is lost while new text waits is repaired when its own timer says so.
#[test]
fn ecn_9_a_loss_during_the_wait_is_a_timeout() {
    let mut s = asked(|builder| builder.config(|config| config.nodelay = true));
    for n in 0..4 {
        s.send(pattern(1000 * u64::from(n), SMSS));
        s.expect(if n > 0 { new(n).cwr() } else { new(n) });
        s.inject(ack(n + 1).ece());
    }
    s.send(pattern(4000, 500));
    s.send(pattern(4500, 500));
    s.expect(seg().seq(4001).ack(1).len(500).cwr().ecn(Ecn::Ect0));
    s.expect(seg().seq(4501).ack(1).len(500).ecn(Ecn::Ect0));
    s.inject(seg().seq(1).ack(4501).ece());
    s.send(pattern(5000, 500));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), Some(RTO));
    s.expect(seg().seq(4501).ack(1).len(1000).ecn(Ecn::NotEct));
    s.expect_nothing();
}

#[test]
fn ecn_10_after_a_loss_the_first_new_text_carries_cwr() {
    let mut s = ten_out(|builder| builder, 30 * SMSS);
    for dup in 0..3 {
        s.inject(ack(0));
        if dup < 2 {
            // Limited transmit, before the window was reduced.
            s.expect(new(10 + dup));
        }
    }
    s.expect(again(0));
    for dup in 4..=9 {
        s.inject(ack(0));
        if dup >= 8 {
            s.expect(if dup == 8 { new(12).cwr() } else { new(13) });
        }
    }
    s.expect_nothing();
}

#[test]
fn ecn_10_after_a_timeout_the_first_new_text_carries_cwr() {
    let mut s = ten_out(|builder| builder, 30 * SMSS);
    s.advance_to_next_timer();
    s.expect(again(0));
    s.inject(ack(10));
    s.expect(new(10).cwr());
    s.expect(new(11));
    s.expect_nothing();
}

#[test]
fn ecn_10_a_super_segment_says_cwr_once_on_the_wire() {
    for offload in [Offload::Whole, Offload::Cut] {
        let mut s = asked(|builder| builder.offload(offload));
        s.send(pattern(0, 30 * SMSS));
        while s.take().is_some() {}
        s.inject(ack(10).ece());
        if offload == Offload::Whole {
            s.expect(new(10).len(5000).cwr().segment_size(1000));
        } else {
            s.expect(new(10).cwr());
            for n in 11..15 {
                s.expect(new(n));
            }
        }
        s.expect_nothing();
    }
}

#[test]
fn ecn_8_marks_and_losses_of_one_window_reduce_it_once() {
    let mut s = ten_out(|builder| builder, 30 * SMSS);
    s.inject(ack(1).ece());
    s.expect_nothing();
    // Segment 1 is lost, and segments 2 to 9 arrive: the reduction that the mark has begun goes on, a segment for each two.
    let mut sent = Vec::new();
    for _ in 2..=9 {
        s.inject(ack(1).ece());
        sent.extend(
            std::iter::from_fn(|| s.take()).map(|packet| packet.segment().unwrap().tcp.seq.get() - 1_000_000),
        );
    }
    assert_eq!(sent.iter().filter(|seq| **seq == 1001).count(), 1, "{sent:?}");
    assert!((4..=5).contains(&sent.len()), "{sent:?}");
    let window = |s: &Scene| s.connection().unwrap().tcp_info().unwrap().congestion_window;
    assert_eq!(window(&s), 5000);
    s.inject(ack(10).ece());
    assert_eq!(window(&s), 5000);
}

/// What the peer says came twice, below what it acknowledges.
fn again_came(acked: u32, n: u32) -> Seg {
    ack(acked).sack(&[(start(n), start(n + 1))])
}

fn threshold(s: &Scene) -> Option<u32> {
    s.connection().unwrap().tcp_info().unwrap().slow_start_threshold
}

/// It was wiped together with the timeout's: the mark cost another half of the window.
#[test]
fn ecn_8_a_timeout_that_was_none_leaves_the_reduction_before_it() {
    let mut s = ten_out(|builder| builder.config(|config| config.pacing = false), 30 * SMSS);
    s.inject(ack(1).ece());
    s.expect_nothing();
    s.advance_to_next_timer();
    s.expect(again(1));
    s.inject(ack(2));
    s.expect(new(10).cwr());
    s.expect(new(11));
    // The first copies are acknowledged: the timer was too early.
    s.inject(ack(3));
    let window = |s: &Scene| s.connection().unwrap().tcp_info().unwrap().congestion_window;
    let before = window(&s);
    for n in 4..=10 {
        // These echo the mark until the CWR has arrived, which is not sent again.
        s.inject(ack(n).ece());
        assert_eq!(window(&s), before, "{n}");
        while let Some(packet) = s.take() {
            assert!(!packet.segment().unwrap().has(TcpFlags::CWR), "{n}: {}", s.transcript());
        }
    }
    // A mark that is newer.
    s.inject(ack(11).ece());
    s.inject(ack(20));
    s.expect(new(20).cwr());
}

#[test]
fn ecn_10_a_reduction_that_was_taken_back_before_new_text_left_is_told_to_nobody() {
    let mut s = ten_out(|builder| builder.sack(true), 0);
    s.inject(ack(0).sack(&[(start(1), start(4))]));
    s.expect(again(0));
    s.inject(ack(4));
    assert_eq!(threshold(&s), Some(5000));
    s.inject(again_came(4, 0));
    assert_eq!(threshold(&s), None);
    s.send(pattern(10_000, SMSS));
    s.expect(new(10));
}

/// The peer is still to hear of the mark, though not of the timeout.
#[test]
fn ecn_10_a_cwr_from_before_a_reduction_that_was_taken_back_still_leaves() {
    let mut s = asked(|builder| builder.timestamps(true).mss(1012));
    s.send(pattern(0, 10 * SMSS));
    let old = s.take().unwrap().segment().unwrap().tcp.options.timestamps.unwrap().val;
    while s.take().is_some() {}
    s.inject(ack(1).ece().ts(1000, old));
    s.advance_to_next_timer();
    s.expect(again(1));
    // Eifel: the echo is of before the repetition.
    s.inject(ack(2).ts(1000, old));
    s.send(pattern(10_000, SMSS));
    s.expect(new(10).cwr());
    s.inject(ack(11).ts(1000, old));
    s.send(pattern(11_000, SMSS));
    s.expect(new(11));
}

/// Two timeouts are taken back, between which the CWR has left.
#[test]
fn ecn_10_a_cwr_that_has_left_does_not_come_back() {
    let mut s = asked(|builder| builder.sack(true).v6().window(10_000));
    s.send(pattern(0, 40 * SMSS));
    for n in 0..10 {
        s.expect(new(n));
    }
    // The window is full: CWR waits.
    s.inject(ack(1).ece().window(9_000));
    s.expect_nothing();
    // The tail is asked for, then the first is sent again.
    s.advance_to_next_timer();
    s.expect(again(9));
    s.advance_to_next_timer();
    s.expect(again(1));
    s.inject(ack(2).window(60_000));
    s.expect(new(10).cwr());
    s.expect(new(11));
    s.advance_to_next_timer();
    s.expect(again(2));
    s.inject(again_came(2, 1).window(60_000));
    s.expect_nothing();
    s.inject(again_came(3, 2).window(60_000));
    s.expect(new(12));
}

/// RFC 3168 §6.1.2: the reduction for a loss is the one for a mark in the same window too.
#[test]
fn ecn_8_a_reduction_that_answers_a_mark_as_well_is_not_taken_back() {
    for (first, second) in [(false, false), (true, false), (false, true)] {
        let mut s = ten_out(|builder| builder.sack(true), 30 * SMSS);
        let echo = |seg: Seg, is: bool| if is { seg.ece() } else { seg };
        s.inject(ack(0).sack(&[(start(1), start(4))]));
        assert_eq!(threshold(&s), Some(5000));
        s.inject(echo(ack(4), first));
        s.inject(echo(again_came(4, 0), second));
        s.inject(ack(5));
        let expected = if first || second { Some(5000) } else { None };
        assert_eq!(threshold(&s), expected, "{first} {second}");
    }
}

#[test]
fn t_ccx_4_an_echo_that_was_not_agreed_on_is_ignored() {
    for policy in POLICIES {
        let mut s = builder(policy).build();
        s.connect();
        assert!(s.take().is_some());
        s.inject(seg().syn().seq(0).ack(1));
        s.expect(seg().seq(1).ack(1));
        s.send(pattern(0, 60 * SMSS));
        for n in 0..10 {
            s.expect(again(n));
        }
        s.inject(ack(10).ece().cwr().ecn(Ecn::Ce));
        for n in 10..30 {
            s.expect(again(n));
        }
        s.expect_nothing();
    }
}

/// An echo is forged as easily as an ACK, and says as little twice.
#[test]
fn t_ccx_4_a_storm_of_echoes_leaves_a_window_of_a_segment_and_moves_nothing_else() {
    let mut s = ten_out(|builder| builder, 30 * SMSS);
    for n in 0..10_000u32 {
        // Old ones, repeated ones, and some beyond what was sent, which are challenged.
        s.inject(seg().seq(1).ack(n % 11_000).window(60_000 + (n % 2) as u16).ece());
    }
    while s.take().is_some() {}
    assert_eq!(s.state(), TcpState::Established);
    let [una, nxt, ..] = s.connection().unwrap().sequence_numbers().unwrap();
    assert!(nxt.distance_from(una) <= 10_000, "{}", nxt.distance_from(una));
    covers!("SHLD-8", "T-CCX-4");
}

/// Whatever the bits say, what becomes of a segment is what becomes of it without them.
#[test]
fn the_bits_of_ecn_decide_nothing_else() {
    let ecn = [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce];
    let bits = TcpFlags::ECE | TcpFlags::CWR | TcpFlags::AE;
    let outcome = |flags: TcpFlags, text: usize, ecn: Ecn| {
        let mut s = asked(|builder| builder);
        s.send(b"x");
        assert!(s.take().is_some());
        let mut segment = seg().seq(1).ack(2).len(text).ecn(ecn);
        segment = if flags.contains(TcpFlags::URG) { segment.urg(1) } else { segment };
        s.inject(segment.flags(flags));
        let replies: Vec<_> = std::iter::from_fn(|| s.take())
            .map(|packet| {
                let segment = packet.segment().unwrap();
                (segment.tcp.seq, segment.tcp.ack, segment.tcp.flags.difference(TcpFlags::ECE))
            })
            .collect();
        let numbers = s.connection().and_then(|connection| connection.sequence_numbers());
        (s.state(), s.error(), replies, numbers, s.events())
    };
    for flags in (0..512).map(TcpFlags::from_bits).filter(|flags| flags.difference(bits) == *flags) {
        for text in [0, 10] {
            let plain = outcome(flags, text, Ecn::NotEct);
            for extra in flag_settings() {
                for ecn in ecn {
                    assert_eq!(outcome(flags | extra, text, ecn), plain, "{flags} and {extra}, {ecn:?}");
                }
            }
        }
    }
}

/// Counts how often it is told of marks. It may react as the default of the trait has it.
#[derive(Clone, Debug, Default)]
struct Counting {
    inner: NewReno,
    marks: Arc<AtomicU64>,
    losses: Arc<AtomicU64>,
}

impl Controller for Counting {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
    fn window(&self) -> u32 {
        self.inner.window()
    }
    fn on_start(&mut self, mss: u32) {
        self.inner.on_start(mss);
    }
    fn on_ack(&mut self, acked: Acked) {
        self.inner.on_ack(acked);
    }
    fn on_loss(&mut self, now: Instant, in_flight: u32) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        self.inner.on_loss(now, in_flight);
    }
    fn on_recovered(&mut self, now: Instant, in_flight: u32, repaired: u32) {
        self.inner.on_recovered(now, in_flight, repaired);
    }
    fn on_ecn(&mut self, now: Instant, in_flight: u32) {
        self.marks.fetch_add(1, Ordering::Relaxed);
        let before = self.window();
        self.inner.on_ecn(now, in_flight);
        assert!(self.window() <= before);
    }
    fn on_timeout(&mut self, now: Instant, in_flight: u32, first: bool) {
        self.inner.on_timeout(now, in_flight, first);
    }
    fn digest(&self, state: &mut dyn Hasher) {
        self.inner.digest(state);
    }
}

/// A transfer of 2 MiB over a link that marks: how long it took, packets marked, reductions for marks and losses.
fn transfer(policy: EcnPolicy, v6: bool, offload: Offload, mark: u32) -> (Duration, [u64; 3]) {
    let link = LinkConfig { mark, ..LinkConfig::delayed(10.ms()) };
    let plan = Plan::patient(2 << 20);
    let mut world = World::new(7).link(&LinkConfig::delayed(10.ms())).talk(plan, Plan::patient(0));
    let controller = Counting::default();
    world.v6 = v6;
    world.sides[0].link = link;
    for side in &mut world.sides {
        side.connection.ecn = policy;
        side.connection.congestion = Some(controller.clone_box());
        side.offload = offload;
    }
    let report = Pair::new(world).run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.complete(), 1);
    assert_eq!(report.bytes, 2 << 20);
    let [marks, losses] = [&controller.marks, &controller.losses].map(|count| count.load(Ordering::Relaxed));
    (report.finished.since(Instant::ZERO), [report.marked, marks, losses])
}

#[test]
fn marks_slow_a_transfer_down_and_lose_nothing() {
    for v6 in [false, true] {
        for offload in [Offload::Cut, Offload::Whole] {
            let (clean, counts) = transfer(EcnPolicy::Ask, v6, offload, 0);
            assert_eq!(counts, [0, 0, 0]);
            let mark = if offload == Offload::Cut { 50_000 } else { 500_000 };
            let (slow, [marked, cuts, losses]) = transfer(EcnPolicy::Ask, v6, offload, mark);
            assert!(marked >= cuts && cuts > 3, "{marked} marked, {cuts} cuts");
            assert!(slow > clean && losses == 0, "{slow:?} after {clean:?}, {losses} losses");
            // Without ECN nothing is marked, and nothing is slower for it.
            assert_eq!(transfer(EcnPolicy::Accept, v6, offload, mark), (clean, [0, 0, 0]));
        }
    }
    covers!("SHLD-8");
}

/// Bad links of all kinds that mark on top, every oracle watching.
#[test]
fn conversations_over_bad_links_that_mark() {
    let (mut marked, mut complete, mut conversations) = (0, 0, 0);
    for seed in 0..300 {
        let mut world = World::random(seed);
        for side in &mut world.sides {
            side.connection.ecn = EcnPolicy::Ask;
            side.link.mark = [10_000, 300_000, 1_000_000][seed as usize % 3];
        }
        let report = Pair::run_twice(&world).unwrap_or_else(|failure| panic!("{failure}"));
        marked += report.marked;
        complete += report.complete();
        conversations += report.ends.len();
    }
    assert!(
        marked > 1000 && complete * 10 > conversations * 6,
        "{marked} marked, {complete} of {conversations}"
    );
}
