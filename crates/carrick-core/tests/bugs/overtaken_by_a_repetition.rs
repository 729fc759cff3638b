//! Seen: where packets overtake each other and some are lost, a repetition overtook text that had left before it. It moved
//! TS.Recent, and PAWS refused that text, which was then sent again in vain and answered as a loss: with 5 % of packets
//! held back by 4 ms a path of 100 Mbit/s and 100 ms carried two thirds of what it could.
//!
//! RFC 7323 §5.2 has an example with the text that was kept already, and says of a full window that "the Timestamps option
//! must not result in discarding this data".

use carrick_core::ConnectionConfig;
use carrick_sim::{Scene, seg};

/// Bytes 1 to 100 are missing, and 201 to 300; TS.Recent is 5000.
fn with_holes() -> Scene {
    let mut s = Scene::builder().timestamps(true).sack(true).connecting();
    s.inject(seg().syn().seq(0).ack(1).ts(5000, 0));
    s.expect(seg().seq(1).ack(1));
    for (seq, val) in [(101, 5001), (301, 5003)] {
        s.inject(seg().seq(seq).ack(1).len(100).ts(val, 0));
        s.expect(seg().seq(1).ack(1));
    }
    s
}

/// Whether text is taken.
fn takes(s: &mut Scene, seq: u32, val: u32) -> bool {
    s.inject(seg().seq(seq).ack(1).len(100).ts(val, 0));
    assert!(s.take().is_some(), "an ACK in any case");
    while s.take().is_some() {}
    !s.read().is_empty()
}

#[test]
fn text_that_left_before_a_repetition_is_taken_after_it() {
    let mut s = with_holes();
    assert!(takes(&mut s, 1, 6000), "the repetition");
    // Older than all that came in order before the first hole: that is old.
    assert!(!takes(&mut s, 201, 4999));
    assert!(takes(&mut s, 201, 5002), "in between");
}

#[test]
fn once_nothing_is_missing_it_is_compared_with_the_latest() {
    let mut s = with_holes();
    for (seq, val) in [(1, 6000), (201, 6001), (401, 6002)] {
        assert!(takes(&mut s, seq, val));
    }
    assert!(!takes(&mut s, 501, 6001), "nothing has been missing");
    assert!(takes(&mut s, 501, 6002));
}

/// An old number comes around again after 2^32 bytes: what was current 2^30 bytes ago is no measure any more.
#[test]
fn what_was_current_long_ago_says_nothing() {
    const LEN: u32 = 60_000;
    let wide = |config: &mut ConnectionConfig| {
        (config.receive_buffer, config.tune_receive_buffer) = (1 << 20, false);
    };
    let mut s = Scene::builder().timestamps(true).sack(true).window_scale(7).config(wide).connecting();
    s.inject(seg().syn().seq(0).ack(1).ts(5000, 0));
    s.expect(seg().seq(1).ack(1));
    let put = |s: &mut Scene, place: u32, val| {
        s.inject(seg().seq(1 + place * LEN).ack(1).len(LEN as usize).ts(val, 0));
        while s.take().is_some() {}
        s.read().len()
    };
    put(&mut s, 1, 5000);
    // There is always a hole, and what fills it is newer than anything before.
    let last = (1 << 30) / LEN / 2 * 2;
    for place in (0..last).step_by(2) {
        put(&mut s, place + 3, 5001 + place);
        assert_eq!(put(&mut s, place, 5001 + place), 2 * LEN as usize, "{place}");
    }
    // The first hole was filled 2^30 bytes ago, or a little less.
    put(&mut s, last + 3, 6_000_000);
    assert_eq!(put(&mut s, last, 5000), 2 * LEN as usize);
    put(&mut s, last + 5, 6_000_000);
    assert_eq!(put(&mut s, last + 2, 5000), 0);
    assert_eq!(put(&mut s, last + 2, 5001 + last), 2 * LEN as usize);
}
