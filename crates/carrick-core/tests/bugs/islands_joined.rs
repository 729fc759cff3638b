//! Seen: a byte that had waited behind a hole kept its chunk of 2 KiB when the hole was filled, and so did the next: a
//! peer that sent every other byte first made a reader that was late hold a thousand times what it had to read, and one
//! connection took what memory the stack had. The same where the highest holes were filled first, and more was there above than a
//! chunk holds.

use carrick_core::Connection;
use carrick_sim::{Scene, pattern, seg};

#[test]
fn what_waited_behind_holes_holds_no_more_than_its_text() {
    let mut s = Scene::builder().sack(true).config(|c| c.receive_buffer = 60_000).established();
    let mut most = 0;
    for round in 0..50u32 {
        let start = 1 + 1200 * round;
        // Every other byte, then those between.
        for offset in (1..1200).step_by(2).chain((0..1200).step_by(2)) {
            let seq = start + offset;
            s.inject(seg().seq(seq).ack(1).data(pattern(u64::from(seq) - 1, 1)));
            while s.take().is_some() {}
        }
        most = most.max(s.connection().map_or(0, Connection::memory));
    }
    assert_eq!(s.connection().map(Connection::readable_len), Some(60_000));
    assert!(most < 150_000, "{most} bytes are held for 60,000");
    assert_eq!(s.read(), pattern(0, 60_000));
    assert_eq!(s.host().used(), 0);
}

#[test]
fn what_is_joined_from_above_holds_little_more_than_its_text() {
    let mut s = Scene::builder().sack(true).config(|c| c.receive_buffer = 60_000).established();
    for round in (1..50u32).rev() {
        let start = 1 + 1200 * round;
        // Every other byte, then those between, the last first.
        for offset in (1..1200).step_by(2).chain((0..1200).step_by(2).rev()) {
            let seq = start + offset;
            s.inject(seg().seq(seq).ack(1).data(pattern(u64::from(seq) - 1, 1)));
            while s.take().is_some() {}
        }
    }
    let held = s.connection().map_or(0, Connection::memory);
    // A pointer and a length for each piece.
    assert!(held < 60_000 * 40, "{held} bytes are held for 58,800");
    s.inject(seg().seq(1).ack(1).data(pattern(0, 1200)));
    assert_eq!(s.read(), pattern(0, 60_000));
    while s.take().is_some() {}
    assert_eq!(s.host().used(), 0);
}
