//! An endpoint that keeps no TIME-WAIT records (`max_time_wait: 0`) sent cookies and honoured none: the bound on
//! cookies that are remembered was that on records. And where a slot's memory of cookies was full, more of them were
//! sent, whose ACKs were then dropped without a word until they were too old.

use crate::support::*;
use carrick_core::{DiscardReason, EndpointConfig, ListenConfig, SynCookies};
use carrick_sim::Span;
use carrick_wire::{TcpFlags, TcpOptions};
use std::net::SocketAddr;

/// So many cookies of a slot are remembered at least.
const LEAST: u32 = 16_384;

fn baker() -> Node {
    let endpoint = EndpointConfig { max_time_wait: 0, syn_cookies: SynCookies::Always, ..config() };
    Node::listening(endpoint, ListenConfig { backlog: u32::MAX, ..ListenConfig::default() }).0
}

fn client(n: u32) -> SocketAddr {
    SocketAddr::new((0xc633_0000 + n).to_be_bytes().into(), 4000)
}

#[test]
fn cookies_open_connections_without_time_wait_records() {
    let mut node = baker();
    assert!(node.handshake(start(), client(1), addr(HTTP), TcpOptions::default()).is_some());
}

#[test]
fn a_slot_that_is_full_sends_no_cookie_that_it_could_not_honour() {
    let mut node = baker();
    // This one has its cookie in time, and comes back too late.
    node.receive(start(), &syn(client(0), addr(HTTP), 5000, TcpOptions::default()));
    let late = node.only().tcp.seq.get().wrapping_add(1);
    for n in 1..=LEAST {
        assert!(node.handshake(start(), client(n), addr(HTTP), TcpOptions::default()).is_some(), "{n}");
        node.sent.clear();
    }
    let request = syn(client(LEAST + 1), addr(HTTP), 5000, TcpOptions::default());
    assert_eq!(node.receive(start(), &request), Seen::Discarded(DiscardReason::NoRoom));
    node.nothing();
    // A cookie that will never be honoured is refused at once.
    let ack = segment(client(0), addr(HTTP), TcpFlags::ACK, 5001, late, TcpOptions::default(), b"");
    assert_eq!(node.receive(start(), &ack), Seen::Answered);
    assert!(node.only().is(TcpFlags::RST));
    // The next slot has room again.
    let later = start() + 64.secs();
    node.wait_until(later);
    assert!(node.handshake(later, client(LEAST + 1), addr(HTTP), TcpOptions::default()).is_some());
}
