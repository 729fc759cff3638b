//! Seen: text that covered many small ranges behind a hole was asked room for once, as one piece, and then kept in
//! the gaps between the ranges, each in a chunk of its own of up to 64 KiB: a peer could make a connection hold
//! many times what it was allowed. Now each gap asks for room, and what finds none is not acknowledged.

use carrick_sim::{Scene, pattern, seg};

#[test]
fn text_that_covers_many_ranges_stays_inside_the_budget() {
    let mut s = Scene::builder().budget(128 << 10).established();
    for i in 0..14 {
        s.inject(seg().seq(4001 + 4000 * i).ack(1).len(10));
    }
    while s.take().is_some() {}
    // O-4 is asked after every step.
    let mut read = Vec::new();
    for _ in 0..200 {
        let next = 1 + read.len() as u32;
        s.inject(
            seg().seq(next).ack(1).data(pattern(u64::from(next), 60_000 - read.len())).segment_size(1460),
        );
        while s.take().is_some() {}
        read.extend(s.read());
        while s.take().is_some() {}
        if read.len() == 60_000 {
            assert_eq!(read, pattern(1, 60_000));
            assert_eq!(s.host().used(), 0);
            return;
        }
    }
    panic!("stuck after {} bytes", read.len());
}
