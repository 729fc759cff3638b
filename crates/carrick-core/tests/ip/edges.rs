//! Where the rules about what is below TCP begin and end, each from both sides.

use crate::common::too_big;
use carrick_core::Connection;
use carrick_sim::{Scene, Span, seg};

/// The peer acknowledges all that was sent, until nothing more is.
fn acknowledge(s: &mut Scene) {
    while let Some([una, nxt, ..]) = s.connection().and_then(Connection::sequence_numbers)
        && una != nxt
    {
        s.inject(seg().seq(1).ack(nxt.get() - 1_000_000));
    }
    while s.take().is_some() {}
}

#[test]
fn what_is_known_of_a_path_is_counted_as_memory_until_it_is_forgotten() {
    let memory = |s: &Scene| s.connection().map_or(0, Connection::memory);
    let mut s = Scene::established();
    assert_eq!(memory(&s), 0);
    s.send([1; 2000]);
    let first = s.take().expect("a segment").bytes;
    s.inject_bytes(too_big(&s, 1400, &first));
    s.inject(seg().seq(1).ack(2001));
    for (wait, known) in [(0.secs(), true), (599.secs(), true), (1.secs(), false)] {
        s.advance(wait);
        // What recovery remembers goes with new text.
        s.send([2]);
        acknowledge(&mut s);
        assert_eq!(memory(&s) > 0, known, "after another {wait:?}");
    }
}

/// What another connection finds of the path holds for ten minutes, also where that was known to be small before.
#[test]
fn what_another_connection_finds_of_the_path_is_heeded_each_time() {
    let mut s = Scene::builder().accepted();
    s.send([1; 2000]);
    let first = s.take().expect("a segment").bytes;
    while s.take().is_some() {}
    s.inject(seg().syn().seq(0).ports(40_001, 80));
    s.inject(seg().seq(1).ack(1).ports(40_001, 80));
    assert!(s.accept());
    for mtu in [1400, 1300] {
        s.inject_bytes(too_big(&s, u32::from(mtu), &first));
        assert_eq!(s.connection().map(Connection::path_mtu), Some(mtu));
    }
    s.inject(seg().seq(1).ack(2001).ports(40_000, 80));
    while s.take().is_some() {}
    for (wait, mtu) in [(600.secs() - 1.ns(), 1300), (1.ns(), 1500)] {
        s.advance(wait);
        s.send([2; 1460]);
        let sizes: Vec<usize> = std::iter::from_fn(|| s.take()).map(|packet| packet.bytes.len()).collect();
        assert_eq!(sizes.iter().max(), Some(&mtu), "after another {wait:?}");
        acknowledge(&mut s);
    }
}
