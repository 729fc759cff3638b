//! The resets with which a listener's end answers its half-open records were counted nowhere, nor were the handshakes
//! that came to nothing by it (RFC 4022 `tcpOutRsts`, `tcpAttemptFails`).

use crate::support::*;
use carrick_core::ListenConfig;
use carrick_wire::{TcpFlags, TcpOptions};

#[test]
fn the_end_of_a_listener_is_counted() {
    let (mut node, listener) = Node::listening(config(), ListenConfig::default());
    for port in [4000, 4001] {
        node.receive(start(), &syn((ip("198.51.100.7"), port).into(), addr(HTTP), 1, TcpOptions::default()));
    }
    node.sent.clear();
    node.endpoint.unlisten(listener);
    node.drain(start());
    assert!(node.replies().iter().all(|reply| reply.is(TcpFlags::RST | TcpFlags::ACK)));
    let counters = node.endpoint.counters();
    assert_eq!((counters.resets, counters.half_open_failed), (2, 2));
}
