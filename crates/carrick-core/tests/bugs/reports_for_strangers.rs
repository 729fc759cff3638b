//! Seen: old text drew a D-SACK and eager ACKs whatever it acknowledged. Anybody who knew addresses and ports could have
//! us tell the peer that it repeats itself, by a guess that is right every other time.

use carrick_sim::{Scene, seg};

#[test]
fn old_text_is_reported_only_where_its_ack_is_believable() {
    let mut s = Scene::builder().sack(true).established();
    s.inject(seg().seq(1).ack(1).len(300));
    s.expect(seg().seq(1).ack(301));
    // Still answered (RFC 9293 §3.10.7.4), but nothing is made of it.
    for ack in [500_000, 2_000_000_000] {
        s.inject(seg().seq(1).ack(ack).len(100));
        s.expect(seg().seq(1).ack(301).sack(&[]));
    }
    s.inject(seg().seq(1).ack(1).len(100));
    s.expect(seg().seq(1).ack(301).sack(&[(1, 101)]));
}
