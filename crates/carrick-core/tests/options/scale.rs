//! Window scale (RFC 7323 §2).

use crate::common::*;
use carrick_covers::covers;
use carrick_sim::{Builder, Scene, seg};

/// Windows that are multiples of a segment are filled to the last byte: a part of a segment would wait.
fn builder() -> Builder {
    Scene::builder().mss(512)
}

/// Lets the congestion window grow far beyond the windows that are tested, and says what is acknowledged.
fn grown(s: &mut Scene) -> u32 {
    let mut acked = 1;
    for _ in 0..8 {
        s.send([7; 20_000]);
        for packet in sent(s) {
            acked += packet.segment().expect("a segment").payload.len() as u32;
        }
        s.inject(seg().seq(1).ack(acked));
        for packet in sent(s) {
            acked += packet.segment().expect("a segment").payload.len() as u32;
        }
        s.inject(seg().seq(1).ack(acked));
    }
    loop {
        let more: u32 = sent(s).iter().map(|p| p.segment().expect("a segment").payload.len() as u32).sum();
        if more == 0 {
            return acked;
        }
        acked += more;
        s.inject(seg().seq(1).ack(acked));
    }
}

/// How many bytes we send into a window of this field.
fn into_window(s: &mut Scene, field: u16) -> usize {
    let acked = grown(s);
    s.inject(seg().seq(1).ack(acked).window(field));
    s.send(vec![7; 300_000]);
    sent(s).iter().map(|packet| packet.segment().expect("a segment").payload.len()).sum()
}

#[test]
fn ws_1_scaling_is_off_unless_both_offered_it() {
    let mut s = builder().established();
    assert_eq!(into_window(&mut s, 5120), 5120);
    let mut s = builder().window_scale(3).config(|config| config.window_scale = false).connecting();
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1).window(65_535));
    assert_eq!(into_window(&mut s, 5120), 5120);
    covers!("WS-1");
}

#[test]
fn ws_2_a_shift_above_14_is_14_and_counted() {
    for shift in 13..=255u8 {
        let mut s = builder().window_scale(shift).accepted();
        let expected = if shift == 13 { 8192 } else { 16_384 };
        assert_eq!(into_window(&mut s, 1), expected, "shift {shift}");
        assert_eq!(counters(&s).excess_scales, u64::from(shift > 14));
    }
    for shift in [15, 255] {
        let mut s = builder().window_scale(shift).established();
        assert_eq!(into_window(&mut s, 1), 16_384, "shift {shift}");
        assert_eq!(counters(&s).excess_scales, 1);
    }
    covers!("WS-2", "T-MAL-10");
}

#[test]
fn ws_3_the_windows_of_syns_are_not_scaled() {
    let mut s = Scene::builder().mss(500).window_scale(7).connecting();
    s.inject(seg().syn().seq(0).ack(1).window(1000));
    s.expect(seg().seq(1).ack(1));
    s.send([7; 5000]);
    s.expect(seg().seq(1).ack(1).len(500));
    s.expect(seg().seq(501).ack(1).len(500));
    s.expect_nothing();
    // Ours neither: the field is all of it, though the buffer is larger.
    let mut s = builder().window_scale(7).listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1).window(65_535).window_scale(4));
    covers!("WS-3");
}

#[test]
fn ws_4_all_other_windows_are_scaled_both_ways() {
    for (shift, field, bytes) in [(0, 9216, 9216), (7, 80, 10_240), (14, 1, 16_384), (14, 2, 32_768)] {
        let mut s = builder().window_scale(shift).established();
        assert_eq!(into_window(&mut s, field), bytes);
    }
    for (buffer, shift) in [(60_000, 0), (8 << 20, 8), (65_535 << 7, 8), ((1 << 30) - 1, 14)] {
        let mut s = builder().window_scale(0).config(|config| config.receive_buffer = buffer).build();
        s.connect();
        s.expect(seg().syn().seq(0).window_scale(shift));
        s.inject(seg().syn().seq(0).ack(1));
        s.inject(seg().seq(1).ack(1).len(1000));
        let ack = sent(&mut s).pop().expect("an ACK");
        let field = ack.segment().expect("a segment").tcp.window.get();
        let [_, _, nxt, edge] = s.connection().and_then(|c| c.sequence_numbers()).expect("open");
        assert_eq!(u32::from(field), edge.distance_from(nxt) >> shift, "buffer {buffer}");
        assert!(edge.distance_from(nxt) > buffer / 2, "buffer {buffer}");
    }
    covers!("WS-4");
}

#[test]
fn ws_5_no_window_reaches_2_to_the_30() {
    for buffer in [(1 << 30) - 1, 1 << 30, u32::MAX] {
        let mut s = builder().window_scale(0).config(|config| config.receive_buffer = buffer).established();
        for i in 0..5 {
            s.inject(seg().seq(1 + 1000 * i).ack(1).len(1000));
            let [_, _, nxt, edge] = s.connection().and_then(|c| c.sequence_numbers()).expect("open");
            assert!(edge.distance_from(nxt) < 1 << 30);
        }
    }
    covers!("WS-5");
}

/// The numbers of RFC 7323 appendix F: a receiver with a shift of 2 offers 1 KiB, gets 1 byte that fits no unit, and
/// has room for the old right edge all the same.
#[test]
fn ws_6_what_was_once_offered_is_taken_although_rounding_took_it_back() {
    let config = |config: &mut carrick_core::ConnectionConfig| config.receive_buffer = 200_000;
    for first in 1..9u32 {
        let mut s = builder().window_scale(0).config(config).established();
        s.inject(seg().seq(1).ack(1).len(1000));
        sent(&mut s);
        let offered = || -> fn(&Scene) -> [u32; 2] {
            |s| {
                let [_, _, nxt, edge] = s.connection().and_then(|c| c.sequence_numbers()).expect("open");
                [nxt.get().wrapping_sub(2_000_000), edge.get().wrapping_sub(2_000_000)]
            }
        };
        let [nxt, edge] = offered()(&s);
        // A few bytes that make the next offer one that the field cannot say exactly.
        s.inject(seg().seq(nxt).ack(1).len(first as usize));
        let mut at = nxt + first;
        while at < edge {
            let len = (edge - at).min(1460);
            s.inject(seg().seq(at).ack(1).len(len as usize));
            at += len;
        }
        sent(&mut s);
        assert_eq!(offered()(&s)[0], edge, "all up to the first right edge was taken");
        assert_eq!(s.read().len() as u32, edge - 1);
    }
    covers!("WS-6");
}

#[test]
fn ws_8_a_syn_that_comes_again_without_options_turns_them_off() {
    let mut s = builder().window_scale(7).timestamps(true).sack(true).listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1).window_scale(4).sack_permitted(true));
    s.inject(seg().syn().seq(0).bare());
    let answer = s.take().expect("a SYN,ACK");
    let options = answer.segment().expect("a segment").tcp.options;
    assert_eq!((options.window_scale, options.timestamps, options.sack_permitted), (None, None, false));
    s.inject(seg().seq(1).ack(1).no_ts());
    assert!(s.accept());
    assert_eq!(into_window(&mut s, 5120), 5120);
    s.inject(seg().len(10).ack(1).no_ts());
    // Neither is ours shifted.
    let field = sent(&mut s).pop().expect("an ACK").segment().expect("a segment").tcp.window.get();
    assert!(field > 60_000, "{field}");
    covers!("WS-8");
}
