//! What the application says about the packets below: DiffServ, time to live (RFC 9293 §3.9.1.9, §3.9.2).

use carrick_core::Connection;
use carrick_covers::covers;
use carrick_sim::{Packet, Scene, Span, seg};
use std::num::NonZeroU8;

/// The type of service or traffic class, and the time to live or hop limit.
fn of(packet: &Packet) -> (u8, u8) {
    let bytes = &packet.bytes;
    if bytes[0] >> 4 == 4 { (bytes[1], bytes[8]) } else { (bytes[0] << 4 | bytes[1] >> 4, bytes[7]) }
}

fn all(s: &mut Scene) -> Vec<(u8, u8)> {
    std::iter::from_fn(|| s.take()).map(|packet| of(&packet)).collect()
}

/// Text, ACKs, repetitions, a FIN.
fn talk(s: &mut Scene) -> Vec<(u8, u8)> {
    s.send([1; 3000]);
    s.advance_to_next_timer();
    s.inject(seg().seq(1).ack(3001).len(100));
    s.inject(seg().seq(201).ack(3001).len(100));
    s.finish();
    let seen = all(s);
    assert!(seen.len() >= 6, "{seen:?}");
    seen
}

#[test]
fn must_48_and_49_every_segment_carries_what_was_asked_for() {
    for v6 in [false, true] {
        let builder = || {
            let builder = Scene::builder().config(|c| {
                c.dscp = 46;
                c.hop_limit = NonZeroU8::new(17);
            });
            if v6 { builder.v6() } else { builder }
        };
        let mut s = builder().build();
        s.connect();
        s.inject(seg().syn().seq(0).ack(1));
        assert!(talk(&mut s).iter().all(|seen| *seen == (46 << 2, 17)));
        s.abort();
        assert_eq!(all(&mut s), [(46 << 2, 17)]);
        // The same for one that a listener made, its SYN,ACKs included.
        let mut s = builder().listening();
        s.inject(seg().syn().seq(0));
        s.advance(1.secs());
        s.inject(seg().seq(1).ack(1));
        assert!(s.accept());
        assert!(talk(&mut s).iter().all(|seen| *seen == (46 << 2, 17)));
    }
    // The endpoint's, where a connection has no wish.
    let mut s = Scene::builder().endpoint(|e| e.hop_limit = 99).established();
    assert!(talk(&mut s).iter().all(|seen| *seen == (0, 99)));
    covers!("MUST-48", "MUST-49", "SHLD-22", "SHLD-23");
}

#[test]
fn shld_21_it_may_change_at_any_time() {
    let mut s = Scene::builder().config(|c| c.nodelay = true).established();
    s.send(b"a");
    s.with("dscp 8, ttl 1", |c, _| {
        c.set_dscp(8);
        c.set_hop_limit(NonZeroU8::MIN);
    });
    s.send(b"b");
    s.inject(seg().seq(1).ack(3));
    s.with("dscp 200", |c, _| c.set_dscp(200));
    s.send(b"c");
    assert_eq!(all(&mut s), [(0, 64), (8 << 2, 1), (63 << 2, 1)]);
    covers!("SHLD-21");
}

#[test]
fn may_9_the_last_received_value_is_told() {
    let mut s = Scene::established();
    let received = |s: &Scene| s.connection().map(Connection::received_dscp);
    assert_eq!(received(&s), Some(0));
    let mut bytes = s.packet(&seg().seq(1).ack(1).data(b"x")).bytes.to_vec();
    bytes[1] = 46 << 2 | 1;
    let mut sum = carrick_wire::Checksum::new();
    bytes[10..12].fill(0);
    sum.add(&bytes[..20]);
    let sum = sum.finish().to_be_bytes();
    bytes[10..12].copy_from_slice(&sum);
    s.inject_bytes(bytes);
    assert_eq!(s.read(), b"x");
    assert_eq!(received(&s), Some(46));
    covers!("MAY-9");
}
