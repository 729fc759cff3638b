//! Where the rules about what is below TCP begin and end, each from both sides.

use crate::common::too_big;
use carrick_core::Connection;
use carrick_sim::{Scene, Span, seg};

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
        let nxt = s.connection().and_then(Connection::sequence_numbers).expect("it is open")[1];
        s.inject(seg().seq(1).ack(nxt.get() - 1_000_000));
        assert_eq!(memory(&s) > 0, known, "after another {wait:?}");
    }
}
