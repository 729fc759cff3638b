//! Seen: what the endpoint said for a connection, ACKs of TIME-WAIT records and of passive handshakes, had neither its hop
//! limit nor its DSCP. Where hop limits are checked (RFC 5082) the peer's FIN would never have been acknowledged. And a
//! TIME-WAIT record that a half-open one keeps was not counted as memory.

use crate::support::*;
use carrick_core::{ConnectionConfig, ListenConfig};
use carrick_sim::{Packet, Span};
use carrick_wire::{IpView, TcpFlags, TcpOptions};
use std::num::NonZeroU8;

const OTHER: (&str, &str) = ("[2001:db8:9::7]:4000", "[2001:db8::2]:80");

fn marked() -> ListenConfig {
    let connection = ConnectionConfig { dscp: 46, hop_limit: NonZeroU8::new(255), ..Default::default() };
    ListenConfig { connection, ..ListenConfig::default() }
}

/// Of the only packet: its DSCP, its hop limit, and whether it is an ACK and no more.
#[track_caller]
fn look(node: &mut Node) -> (u8, u8, bool) {
    let [packet]: [Packet; 1] = std::mem::take(&mut node.sent).try_into().expect("one packet");
    let ip = IpView::parse(&packet.bytes[..]).unwrap();
    let hop_limit = if ip.src().is_ipv4() { packet.bytes[8] } else { packet.bytes[7] };
    let flags = packet.segment().unwrap().tcp.flags;
    (ip.tos() >> 2, hop_limit, flags == TcpFlags::ACK)
}

#[test]
fn acks_for_a_connection_have_its_hop_limit_and_dscp() {
    for (src, dst) in [(CLIENT, HTTP), OTHER] {
        let (src, dst) = (addr(src), addr(dst));
        let none = TcpOptions::default();
        let (mut node, _) = Node::listening(config(), marked());
        node.receive(start(), &syn(src, dst, 5000, none));
        let iss = node.replies().pop().unwrap().tcp.seq.get();
        let ack = iss.wrapping_add(1);
        // A segment out of the window draws an ACK from the half-open record.
        node.receive(start(), &segment(src, dst, TcpFlags::ACK, 4000, ack, none, b""));
        assert_eq!(look(&mut node), (46, 255, true));
        node.receive(start(), &segment(src, dst, TcpFlags::ACK, 5001, ack, none, b""));
        let (_, id) = node.opened[0];
        // What the application has changed meanwhile holds too.
        node.act(start(), id, |connection, _| {
            connection.set_hop_limit(NonZeroU8::new(200).unwrap());
            connection.set_dscp(10);
        });
        node.act(start(), id, |connection, cx| connection.close(cx));
        let fin = segment(src, dst, TcpFlags::FIN | TcpFlags::ACK, 5001, ack.wrapping_add(1), none, b"");
        node.receive(start(), &fin);
        assert_eq!((node.endpoint.time_wait(), node.endpoint.connections()), (1, 0));
        node.sent.clear();
        node.receive(start(), &fin);
        assert_eq!(look(&mut node), (10, 200, true));
        // To strangers the endpoint speaks for itself.
        node.wait_until(start() + 240.secs());
        node.receive(start() + 240.secs(), &fin);
        assert_eq!(look(&mut node), (0, 64, false));
    }
}

#[test]
fn a_record_within_a_record_is_memory() {
    let (src, dst, none) = (addr(CLIENT), addr(HTTP), TcpOptions::default());
    let (mut node, _) = Node::listening(config(), ListenConfig::default());
    let empty = node.endpoint.memory();
    node.receive(start(), &syn(src, dst, 9000, none));
    let fresh = node.endpoint.memory();
    node.receive(start(), &segment(src, dst, TcpFlags::RST, 9001, 0, none, b""));
    assert_eq!(node.endpoint.memory(), empty);
    let iss = node.handshake(start(), src, dst, none).unwrap();
    let (_, id) = node.opened[0];
    node.act(start(), id, |connection, cx| connection.close(cx));
    let fin = TcpFlags::FIN | TcpFlags::ACK;
    node.receive(start(), &segment(src, dst, fin, 5001, iss.wrapping_add(2), none, b""));
    node.receive(start(), &syn(src, dst, 9000, none));
    assert_eq!((node.endpoint.half_open(), node.endpoint.time_wait()), (1, 0));
    assert_eq!(node.endpoint.memory(), fresh + size_of::<carrick_core::TimeWaitRecord>());
    node.receive(start(), &segment(src, dst, TcpFlags::RST, 9001, 0, none, b""));
    node.wait_until(start() + 240.secs());
    assert_eq!(node.endpoint.memory(), empty);
}
