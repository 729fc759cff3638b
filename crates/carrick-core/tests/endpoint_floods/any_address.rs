//! Listeners for addresses that are not ours.

use crate::support::*;
use carrick_core::{BindError, ConnectError, Cx, DiscardReason, EndpointConfig, ListenAddr, ListenConfig};
use carrick_sim::Span;
use carrick_wire::icmp::{self, Envelope};
use carrick_wire::{TcpFlags, TcpOptions};
use std::num::NonZeroU16;
use std::sync::Arc;

const PEER: &str = "203.0.113.7:4000";
/// Somebody else's address.
const ELSEWHERE: &str = "198.51.100.44:443";

fn open_gate() -> EndpointConfig {
    EndpointConfig { any_address: true, ..config() }
}

fn bare_syn(src: &str, dst: &str) -> Vec<u8> {
    syn(addr(src), addr(dst), 5000, TcpOptions::default())
}

#[test]
fn a_listener_gets_what_was_meant_for_others_if_the_filter_is_off() {
    let both = ListenAddr { address: None, port: None };
    let mut node = Node::new(open_gate(), 1);
    let id = node.endpoint.listen(both, ListenConfig::default()).unwrap();
    for (src, dst) in [(PEER, ELSEWHERE), (PEER, HTTP), ("[2001:db8:9::7]:1", "[2001:db8:8::8]:22")] {
        assert!(node.handshake(start(), addr(src), addr(dst), TcpOptions::default()).is_some(), "{dst}");
        let (listener, connection) = *node.opened.last().unwrap();
        assert_eq!(listener, id);
        // The connection says whom the peer wanted, and speaks in its name.
        assert_eq!(node.cells[&connection].local_addr(), addr(dst));
        node.act(start(), connection, |connection, cx| connection.send(cx, b"hello"));
        let greeting = node.replies().pop().unwrap();
        assert_eq!((greeting.src, greeting.dst, &greeting.text[..]), (addr(dst), addr(src), &b"hello"[..]));
    }
}

#[test]
fn with_the_filter_on_nobody_gets_it() {
    let mut node = Node::new(config(), 1);
    node.endpoint.listen(ListenAddr { address: None, port: None }, ListenConfig::default()).unwrap();
    for dst in [ELSEWHERE, "192.0.2.3:80"] {
        assert_eq!(node.receive(start(), &bare_syn(PEER, dst)), Seen::Discarded(DiscardReason::NotOurs));
    }
    node.nothing();
    let exact = ListenAddr { address: Some(addr(ELSEWHERE).ip()), port: NonZeroU16::new(443) };
    assert_eq!(node.endpoint.listen(exact, ListenConfig::default()), Err(BindError::AddrNotAvailable));
}

#[test]
fn one_foreign_address_can_be_listened_on() {
    let mut node = Node::new(open_gate(), 1);
    let exact = ListenAddr { address: Some(addr(ELSEWHERE).ip()), port: NonZeroU16::new(443) };
    node.endpoint.listen(exact, ListenConfig::default()).unwrap();
    assert!(node.handshake(start(), addr(PEER), addr(ELSEWHERE), TcpOptions::default()).is_some());
    // Nobody listens beside it: a reset in the name of whom it was for.
    node.sent.clear();
    node.receive(start(), &bare_syn(PEER, "198.51.100.45:443"));
    let reset = node.only();
    assert!(reset.is(TcpFlags::RST | TcpFlags::ACK));
    assert_eq!(reset.src, addr("198.51.100.45:443"));
    for wrong in ["224.0.0.1", "255.255.255.255", "192.0.2.255", "0.0.0.0", "127.0.0.1", "ff02::1"] {
        let local = ListenAddr { address: Some(ip(wrong)), port: NonZeroU16::new(1) };
        assert_eq!(node.endpoint.listen(local, ListenConfig::default()), Err(BindError::AddrNotAvailable));
    }
}

#[test]
fn what_is_for_many_or_from_ourselves_is_still_dropped() {
    let mut node = Node::new(open_gate(), 1);
    node.endpoint.listen(ListenAddr { address: None, port: None }, ListenConfig::default()).unwrap();
    for (src, dst) in [
        (PEER, "224.0.0.1:80"),
        (PEER, "192.0.2.255:80"),
        (PEER, "255.255.255.255:80"),
        ("192.0.2.2:1", ELSEWHERE),
        (ELSEWHERE, ELSEWHERE),
        ("127.0.0.1:1", ELSEWHERE),
    ] {
        assert!(matches!(node.receive(start(), &bare_syn(src, dst)), Seen::Discarded(_)), "{src} {dst}");
        node.nothing();
    }
}

#[test]
fn this_side_still_connects_from_its_own_addresses() {
    let mut node = Node::new(open_gate(), 1);
    node.connect(start(), addr(ELSEWHERE));
    assert_eq!(node.only().src.ip(), ip(HOST));
    let settings = Arc::new(carrick_core::ConnectionConfig::default());
    let foreign = Some(addr("198.51.100.45:0"));
    let refused = node.endpoint.connect(&Cx::new(start()), foreign, addr(PEER), settings).err();
    assert_eq!(refused, Some(ConnectError::AddrNotAvailable));
}

fn echo_request(src: &str, dst: &str) -> Vec<u8> {
    let mut packet = vec![0; 200];
    let to = Envelope { src: ip(src), dst: ip(dst), hop_limit: 64 };
    let len = icmp::emit_echo_reply(&mut packet, to, 1, 1, b"ping").unwrap();
    packet.truncate(len);
    // A reply made a request: the type, and the checksum that knows it.
    packet[20] = 8;
    let sum = u16::from_be_bytes([packet[22], packet[23]]) - (8 << 8);
    packet[22..24].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn an_echo_request_for_others_stays_unanswered() {
    let mut node = Node::new(open_gate(), 1);
    let seen = node.receive(start(), &echo_request("203.0.113.7", HOST));
    assert_eq!((seen, node.sent.len()), (Seen::Answered, 1));
    node.sent.clear();
    let seen = node.receive(start(), &echo_request("203.0.113.7", "198.51.100.44"));
    assert_eq!(seen, Seen::Discarded(DiscardReason::NotOurs));
    node.nothing();
}

#[test]
fn an_icmp_error_about_a_foreign_connection_counts() {
    let mut node = Node::new(open_gate(), 1);
    node.endpoint.listen(ListenAddr { address: None, port: None }, ListenConfig::default()).unwrap();
    node.receive(start(), &bare_syn(PEER, ELSEWHERE));
    let syn_ack = node.sent.pop().unwrap();
    assert_eq!(node.endpoint.half_open(), 1);
    let mut packet = vec![0; 600];
    let to = Envelope { src: ip("203.0.113.7"), dst: addr(ELSEWHERE).ip(), hop_limit: 64 };
    let len = icmp::emit_unreachable(&mut packet, to, 3, &syn_ack.bytes).unwrap();
    assert_eq!(node.receive(start() + 1.ms(), &packet[..len]), Seen::Answered);
    assert_eq!(node.endpoint.half_open(), 0);
}
