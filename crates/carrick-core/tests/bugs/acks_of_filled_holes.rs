//! Seen: text that came behind a hole in many places, and then in one batch between them, made one range of all, but was
//! told of once for each place: up to five identical ACKs left. And an ACK that carried a user timeout beside timestamps
//! counted three ranges as told, though two fit it.

use carrick_core::{ConnectionConfig, UserTimeoutOption};
use carrick_sim::{Scene, pattern, seg};
use core::time::Duration;

/// The hundred bytes of a place, counted from 1.
fn place(n: u32) -> carrick_sim::Seg {
    let start = 100 * (n - 1);
    seg().seq(1 + start).ack(1).data(pattern(start.into(), 100))
}

#[test]
fn places_that_have_become_one_range_are_told_of_once() {
    for timestamps in [false, true] {
        let mut s = Scene::builder().sack(true).timestamps(timestamps).established();
        s.inject_batch([2, 4, 6, 8, 10, 12].map(place));
        while s.take().is_some() {}
        s.inject_batch([3, 5, 7, 9, 11].map(place));
        s.expect(seg().seq(1).ack(1).sack(&[(101, 1201)]));
        s.expect_nothing();
        // What lies apart is told of besides.
        s.inject_batch([20, 13, 30, 14, 21].map(place));
        s.expect(seg().seq(1).ack(1).sack(&[(1901, 2101), (101, 1401), (2901, 3001)]));
        s.expect_nothing();
        // In whatever order they come.
        s.inject_batch([40, 42, 44, 46, 48].map(place));
        while s.take().is_some() {}
        s.inject_batch([45, 41, 47, 43].map(place));
        let told = [(3901, 4801), (1901, 2101), (101, 1401), (2901, 3001)];
        s.expect(seg().seq(1).ack(1).sack(&told[..if timestamps { 3 } else { 4 }]));
        s.expect_nothing();
    }
}

/// Places that were filled and delivered within the batch are none that anybody is to be told of.
#[test]
fn what_has_been_delivered_meanwhile_is_told_of_by_the_acknowledgment() {
    let mut s = Scene::builder().sack(true).timestamps(true).established();
    s.inject_batch([20].map(place));
    s.expect(seg().seq(1).ack(1).sack(&[(1901, 2001)]));
    s.inject_batch([2, 4, 6, 1, 3, 5, 22].map(place));
    s.expect(seg().seq(1).ack(601).sack(&[(2101, 2201), (1901, 2001)]));
    s.expect_nothing();
}

#[test]
fn a_user_timeout_leaves_room_for_two_ranges() {
    let ours = |c: &mut ConnectionConfig| c.user_timeout_option = Some(UserTimeoutOption::default());
    let mut s = Scene::builder().sack(true).timestamps(true).config(ours).established();
    let advertise = Duration::from_secs(400);
    let change = UserTimeoutOption { advertise, ..UserTimeoutOption::default() };
    s.with("advertise 400 s", |c, cx| c.set_user_timeout_option(cx, Some(change)));
    s.inject_batch([2, 4, 6].map(place));
    let mut told = Vec::new();
    while let Some(packet) = s.take() {
        let options = packet.segment().expect("a segment").tcp.options;
        told.push((options.user_timeout.is_some(), options.sack.len()));
    }
    assert_eq!(told, [(true, 2), (false, 3)], "the third range is told of by an ACK of its own");
}
