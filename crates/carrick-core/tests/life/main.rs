//! Receiving, timers, the life and the end of a connection, on a scripted peer in virtual time.

mod acks;
mod duplicates;
mod edges;
mod ends;
mod info;
mod keep_alive;
mod memory;
mod packets;
mod receiving;
mod time;
mod timeouts;
mod urgent;

use carrick_sim::{Scene, seg};

/// Past the first segments, which are acknowledged at once: RCV.NXT is 17, all is read.
fn settled(builder: carrick_sim::Builder) -> Scene {
    let mut s = builder.established();
    for i in 1..17 {
        s.inject(seg().seq(i).ack(1).len(1));
        s.expect(seg().seq(1).ack(i + 1));
    }
    assert_eq!(s.read().len(), 16);
    s.events();
    s
}

/// The next packet of ours, which must not be a reset or a FIN; how much text it has.
#[track_caller]
fn text_of_next(s: &mut Scene) -> usize {
    s.take().expect("a packet").segment().expect("a segment").payload.len()
}
