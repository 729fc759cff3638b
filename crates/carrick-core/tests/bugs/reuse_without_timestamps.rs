//! A listener without timestamps let every SYN that offers them end TIME-WAIT, however old its number: RFC 6191 §2
//! allows that for the sake of the timestamps that the new connection would use, and it was not going to use any. Old
//! text could then have landed in the new connection.

use crate::support::*;
use carrick_core::{ConnectionConfig, ListenConfig};
use carrick_sim::Span;
use carrick_wire::{TcpFlags, TcpOptions};

const PEER: &str = "203.0.113.7:4000";

fn reopens(held: bool, seq: u32) -> bool {
    let connection = ConnectionConfig { timestamps: false, ..ConnectionConfig::default() };
    let (mut node, _) = Node::listening(config(), ListenConfig { connection, ..ListenConfig::default() });
    let offered = options(Some(100), None, false, None);
    let iss = node.handshake(start(), addr(PEER), addr(HTTP), offered).unwrap();
    let (_, id) = node.opened[0];
    // Either the record is the endpoint's, or the application still holds the stream.
    node.act(start(), id, |connection, cx| if held { connection.finish(cx) } else { connection.close(cx) });
    let (flags, ack) = (TcpFlags::FIN | TcpFlags::ACK, iss.wrapping_add(2));
    node.receive(start(), &segment(addr(PEER), addr(HTTP), flags, 5001, ack, TcpOptions::default(), b""));
    node.sent.clear();
    assert_eq!(node.endpoint.time_wait(), usize::from(!held));
    let later = start() + 10.secs();
    let request = syn(addr(PEER), addr(HTTP), seq, options(Some(200), None, false, None));
    // A connection in TIME-WAIT hands the SYN back.
    node.receive(later, &request);
    if held && node.endpoint.connections() == 0 {
        node.receive(later, &request);
    }
    let reopened = node.endpoint.half_open() == 1;
    assert_eq!(node.sent.len(), usize::from(reopened));
    reopened
}

#[test]
fn a_timestamp_that_will_not_be_used_proves_nothing() {
    for held in [false, true] {
        for (seq, newer) in [(5002, true), (9000, true), (5001, false), (5000, false), (1, false)] {
            assert_eq!(reopens(held, seq), newer, "SYN {seq}, held: {held}");
        }
    }
}
