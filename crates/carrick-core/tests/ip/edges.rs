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
        // The counts of what was sent again stay.
        assert_eq!(memory(&s) > 32, known, "after another {wait:?}");
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

/// A size is proved good by the acknowledgment of the packet that had it, not by that of one before.
#[test]
fn an_acknowledgment_proves_the_size_of_what_it_acknowledges() {
    for (acknowledged, believed) in [(101, true), (1560, true), (1561, false)] {
        let mut s = Scene::builder().config(|c| c.nodelay = true).established();
        s.send([1; 100]);
        s.send([2; 1460]);
        s.send([3; 1460]);
        let last = std::iter::from_fn(|| s.take()).last().expect("three segments").bytes;
        s.inject(seg().seq(1).ack(acknowledged));
        s.inject_bytes(too_big(&s, 1400, &last));
        let mtu = s.connection().map(Connection::path_mtu);
        assert_eq!(mtu, Some(if believed { 1400 } else { 1500 }), "ACK {acknowledged}");
    }
}

#[test]
fn a_black_hole_is_left_by_halves_down_to_the_least_size() {
    let to_552 = &[1500, 1024, 552][..];
    for (least, proved, expected) in
        [(552, false, to_552), (552, true, to_552), (128, false, &[1500, 1024, 512, 256, 128])]
    {
        let mut s = Scene::builder().endpoint(|endpoint| endpoint.min_path_mtu = least).established();
        s.send([1; 3000]);
        if proved {
            // The full size has passed once, and does no more.
            s.inject(seg().seq(1).ack(2921));
            s.send([1; 3000]);
        }
        let mut sizes = Vec::new();
        while sizes.last() != Some(&least) {
            let mtu = s.connection().map_or(0, Connection::path_mtu);
            if sizes.last() != Some(&mtu) {
                sizes.push(mtu);
            }
            s.advance_to_next_timer().expect("a timer");
        }
        assert_eq!(sizes, expected);
    }
}

#[test]
fn what_was_too_big_is_sent_again_with_its_fin_if_that_is_its_end() {
    for (len, first, fin) in [(2000, 1360, false), (1361, 1360, false), (1360, 1360, true)] {
        let mut s = Scene::established();
        s.set_cork(true);
        s.send(vec![1; len]);
        s.finish();
        let large = s.take().expect("a segment").bytes;
        while s.take().is_some() {}
        s.inject_bytes(too_big(&s, 1400, &large));
        let again = seg().seq(1).ack(1).len(first);
        s.expect(if fin { again.fin() } else { again });
        s.expect_nothing();
        if !fin {
            s.inject(seg().seq(1).ack(1361));
            s.expect(seg().fin().seq(1361).ack(1).len(len - 1360));
        }
    }
}
