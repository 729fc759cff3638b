//! What loss recovery owes, over a path of 100 ms in segments of 1,000 bytes: ten are out, and 20 are written beyond.

use carrick_core::congestion::NewReno;
use carrick_core::{RecoveryState, TcpInfo};
use carrick_sim::{Builder, Scene, Seg, Span, pattern, seg};

fn over(builder: Builder) -> Scene {
    let mut s = builder
        .mss(1000)
        .config(|config| config.congestion = Some(Box::new(NewReno::default())))
        .connecting();
    s.advance(100.ms());
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s
}

fn out(builder: Builder, segments: usize) -> Scene {
    let mut s = over(builder);
    s.send(pattern(0, 1000 * segments));
    assert_eq!(taken(&mut s).len(), segments.min(10));
    s
}

fn with_sack(builder: Builder) -> Scene {
    let mut s = out(builder.sack(true), 30);
    s.advance(100.ms());
    s
}

fn ack(segment: u32) -> Seg {
    seg().seq(1).ack(1000 * segment + 1)
}

fn sack(segment: u32, left: u32, right: u32) -> Seg {
    ack(segment).sack(&[(1000 * left + 1, 1000 * right + 1)])
}

fn taken(s: &mut Scene) -> Vec<u32> {
    std::iter::from_fn(|| s.take())
        .map(|packet| packet.segment().expect("a segment").tcp.seq.get().wrapping_sub(1_000_001) / 1000)
        .collect()
}

fn info(s: &Scene) -> TcpInfo {
    s.connection().expect("a connection").tcp_info().expect("an open one")
}

/// The timer has expired, and what that sent is known.
fn time_out(s: &mut Scene) {
    for _ in 0..10 {
        if info(s).timeouts > 0 {
            break;
        }
        s.advance_to_next_timer();
    }
    assert_eq!(info(s).timeouts, 1);
    taken(s);
}

pub(super) fn a_lost_repetition_is_found(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(sack(0, 1, 5));
    s.inject(sack(0, 1, 10));
    let new = taken(&mut s);
    assert_eq!(new[0], 0);
    s.advance(100.ms());
    s.inject(sack(0, 1, 9 + new.len() as u32));
    assert!(taken(&mut s).contains(&0));
}

pub(super) fn what_is_overtaken_is_waited_for(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(sack(0, 1, 3));
    s.inject(ack(3));
    taken(&mut s);
    s.inject(sack(3, 4, 10));
    assert!(!taken(&mut s).contains(&3));
}

pub(super) fn one_probe_and_then_the_timer(builder: Builder) {
    let mut s = out(builder.sack(true), 2);
    s.advance(1.secs());
    assert!(info(&s).timeouts > 0);
}

pub(super) fn a_needless_repair_is_taken_back(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(sack(0, 1, 4));
    s.inject(ack(4));
    s.inject(sack(4, 0, 1));
    assert_eq!(info(&s).slow_start_threshold, None);
}

pub(super) fn a_repair_that_was_needed_is_not(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(sack(0, 1, 4));
    s.advance(100.ms());
    s.inject(ack(4));
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
}

pub(super) fn a_repair_sends_in_proportion(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(sack(0, 1, 4));
    assert_eq!(taken(&mut s), [0]);
}

pub(super) fn a_repetition_measures_nothing(builder: Builder) {
    let mut s = out(builder, 1);
    time_out(&mut s);
    s.advance(1.ms());
    s.inject(ack(1));
    assert_eq!(info(&s).rtt, Some(100.ms()));
}

pub(super) fn the_window_is_spread(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(ack(10));
    assert!(taken(&mut s).len() <= 12);
}

pub(super) fn a_peer_may_drop_what_it_reported(builder: Builder) {
    let mut s = out(builder.sack(true), 10);
    s.advance(100.ms());
    s.inject(sack(0, 1, 10));
    time_out(&mut s);
    let mut next = 1;
    for _ in 0..8 {
        s.advance(100.ms());
        s.inject(ack(next));
        next = taken(&mut s).into_iter().max().map_or(next, |last| last + 1);
    }
    assert_eq!(next, 10);
}

pub(super) fn a_timeout_that_was_one_stays_one(builder: Builder) {
    let mut s = out(builder, 30);
    time_out(&mut s);
    s.inject(ack(1));
    s.inject(ack(1));
    assert_eq!(info(&s).recovery, RecoveryState::Loss);
}

pub(super) fn a_report_must_be_of_what_was_repeated(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(ack(3));
    s.inject(sack(3, 4, 7));
    s.inject(ack(7));
    // Segment 3 was sent again, of thirteen; and this is another.
    s.inject(sack(7, 0, 1));
    assert_eq!(info(&s).slow_start_threshold, Some(6500));
}

pub(super) fn a_repair_ends(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(sack(0, 1, 4));
    s.inject(ack(10));
    assert_eq!(info(&s).recovery, RecoveryState::Open);
}

pub(super) fn forged_duplicates_release_little(builder: Builder) {
    let mut s = out(builder, 200);
    s.advance(100.ms());
    for _ in 0..1000 {
        s.inject(ack(0));
    }
    s.advance(100.ms());
    assert!(taken(&mut s).len() <= 7);
}

pub(super) fn a_probe_heeds_the_window(builder: Builder) {
    let mut s = out(builder.sack(true).window(10_000), 30);
    s.advance(200.ms());
    assert_eq!(taken(&mut s), [9]);
}

pub(super) fn a_loss_lowers_the_window(builder: Builder) {
    let mut s = with_sack(builder);
    s.inject(sack(0, 1, 4));
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
}

pub(super) fn a_lost_tail_is_asked_for(builder: Builder) {
    let mut s = out(builder.sack(true), 2);
    s.advance(200.ms());
    assert_eq!((taken(&mut s), info(&s).timeouts), (vec![1], 0));
}
