//! Each look at what was due froze the text that the packet would have had. A device that was full, while the application
//! wrote 4 KiB at a time, was left with a queue in pieces of 4 KiB; a packet has seven at most, so that none was longer
//! than 28 KiB from then on. Devices that keep nothing, as a TUN, paid for it with every packet.

use crate::support::*;
use carrick_core::{Connection, Cx, ListenConfig, MAX_PARTS, Transmit};
use carrick_wire::TcpOptions;
use std::num::NonZeroUsize;

fn stalled() -> (Box<Connection>, Cx) {
    let (mut node, _) = Node::listening(config(), ListenConfig::default());
    node.handshake(
        start(),
        addr(CLIENT),
        addr(HTTP),
        TcpOptions { mss: Some(1460), ..TcpOptions::default() },
    );
    let (_, id) = node.opened[0];
    (node.cells.remove(&id).unwrap(), Cx::new(start()))
}

fn due<'c>(connection: &'c mut Connection, cx: &Cx) -> Transmit<'c> {
    connection.poll_transmit(cx, NonZeroUsize::MAX).expect("something to send")
}

#[test]
fn looking_leaves_the_queue_as_it_is() {
    let (mut connection, cx) = stalled();
    let mut first = None;
    for _ in 0..3 {
        assert_eq!(connection.send(&cx, &[7; 4096]), Ok(4096));
        let transmit = due(&mut connection, &cx);
        let mut parts = [&[][..]; MAX_PARTS];
        assert_eq!(transmit.payload(&mut parts), 1);
        assert_eq!(*first.get_or_insert(parts[0].as_ptr()), parts[0].as_ptr());
    }
}

#[test]
fn what_is_prepared_is_shared_without_a_copy() {
    for prepared in [false, true] {
        let (mut connection, cx) = stalled();
        assert_eq!(connection.send(&cx, &[7; 8192]), Ok(8192));
        let mut transmit = due(&mut connection, &cx);
        if prepared {
            transmit.share();
        }
        let mut parts = [&[][..]; MAX_PARTS];
        let count = transmit.payload(&mut parts);
        let shared: Vec<_> = transmit.shared().collect();
        assert_eq!((count, shared.len()), (1, 1));
        assert_eq!(shared[0], parts[0]);
        assert_eq!(shared[0].as_ptr() == parts[0].as_ptr(), prepared);
    }
}
