//! A SYN was answered with a cookie, and its copy, for which there was a record again, with another number. The peer
//! acknowledged the cookie, which came first; the record knew nothing of it, and a reset ended the peer's connection.

use crate::support::*;
use carrick_core::{EndpointConfig, ListenConfig};
use carrick_sim::Span;
use carrick_wire::{TcpFlags, TcpOptions};

#[test]
fn the_ack_of_a_cookie_counts_where_there_is_a_record_too() {
    let endpoint = EndpointConfig { max_half_open: 1, ..config() };
    let (mut node, _) = Node::listening(endpoint, ListenConfig::default());
    let other = addr("198.51.100.8:4000");
    node.receive(start(), &syn(other, addr(HTTP), 1, TcpOptions::default()));
    node.sent.clear();
    let request = syn(addr(CLIENT), addr(HTTP), 5000, TcpOptions::default());
    node.receive(start(), &request);
    let cookie = node.only();
    assert_eq!(node.endpoint.counters().syn_cookies_sent, 1);
    // The other one gives up, and there is room for a record when the copy arrives.
    node.receive(start(), &segment(other, addr(HTTP), TcpFlags::RST, 2, 0, TcpOptions::default(), b""));
    node.receive(start() + 1.secs(), &request);
    assert_eq!(node.endpoint.half_open(), 1);
    let record = node.only();
    assert_ne!(record.tcp.seq, cookie.tcp.seq);

    let ack = |of: &Reply| completing(of.tcp.seq.get(), b"hello");
    assert_eq!(node.receive(start() + 1.secs(), &ack(&cookie)), Seen::Opened);
    assert_eq!(node.endpoint.half_open(), 0);
    let answer = node.only();
    assert!(answer.is(TcpFlags::ACK));
    assert_eq!(answer.tcp.ack.get(), 5006);
    assert_eq!(node.endpoint.counters().syn_cookies_accepted, 1);
}

#[test]
fn what_acknowledges_neither_is_reset_and_the_record_stays() {
    let endpoint = EndpointConfig { max_half_open: 1, ..config() };
    let (mut node, _) = Node::listening(endpoint, ListenConfig::default());
    node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 5000, TcpOptions::default()));
    node.receive(start(), &syn(addr("198.51.100.8:4000"), addr(HTTP), 1, TcpOptions::default()));
    assert_eq!(node.endpoint.counters().syn_cookies_sent, 1);
    node.sent.clear();
    let ack = segment(addr(CLIENT), addr(HTTP), TcpFlags::ACK, 5001, 77, TcpOptions::default(), b"");
    assert_eq!(node.receive(start(), &ack), Seen::Answered);
    assert!(node.only().is(TcpFlags::RST));
    assert_eq!(node.endpoint.half_open(), 1);
}
