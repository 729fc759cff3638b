//! Seen: without SACK, segments behind a hole and the one that fills it came in one batch. The duplicate ACKs owed for
//! the former left after RCV.NXT had moved, as three ACKs of the new number, which tell a peer that what follows
//! was lost.

use carrick_core::{Cx, Dispatch};
use carrick_sim::{Scene, seg};
use std::num::NonZeroUsize;

#[test]
fn a_filled_hole_owes_one_ack_however_many_were_owed_before() {
    let s = Scene::established();
    let mut endpoint = s.host().endpoint().clone();
    let mut connection = s.connection().cloned().expect("it is established");
    let cx = Cx::new(s.now());
    let mut batch = |starts: &[u32], connection: &mut carrick_core::Connection| {
        for start in starts {
            let packet = s.packet(&seg().seq(*start).ack(1).len(100));
            let Dispatch::Existing(_, input) = endpoint.handle_frame(&cx, packet.frame()) else {
                panic!("the segment is the connection's");
            };
            let _ = connection.handle_input(&cx, input);
        }
        let mut acks = 0;
        while let Some(transmit) = connection.poll_transmit(&cx, NonZeroUsize::MAX) {
            acks += 1;
            transmit.sent(carrick_core::Taken::All);
        }
        acks
    };
    assert_eq!(batch(&[101, 201, 301, 1], &mut connection), 1);
    assert_eq!(connection.readable_len(), 400);
    assert_eq!(batch(&[501, 601, 701], &mut connection), 3, "each is told of while the hole is there");
    assert_eq!(batch(&[401, 901, 1001], &mut connection), 3, "an ACK of the new number and two duplicates");
}
