//! Seen: a segment that is unacceptable by its number, but whose ACK field is used (a keep-alive, or text that has
//! been received already), moved TS.Recent too. With a timestamp from the future it made PAWS refuse all that the
//! peer really sent.

use carrick_sim::{Scene, seg};

#[test]
fn t_bld_9_only_an_acceptable_segment_moves_ts_recent() {
    let mut s = Scene::builder().timestamps(true).established();
    s.inject(seg().seq(1).ack(1).len(10));
    s.expect(seg().seq(1).ack(11));
    for old in [seg().seq(10).ack(1), seg().seq(1).ack(1).len(10)] {
        s.inject(old.ts(1_000_000, 0));
        s.expect(seg().seq(1).ack(11));
    }
    s.inject(seg().seq(11).ack(1).len(10));
    s.expect(seg().seq(1).ack(21));
}
