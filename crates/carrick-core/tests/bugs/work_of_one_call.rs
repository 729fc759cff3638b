//! Seen: one call of `handle_timeout` ended all TIME-WAIT records, parked SYNs and half-open records that were due, a
//! quarter of a million perhaps, and `unlisten` walked through all half-open records there may be: nobody else was
//! served meanwhile. Besides, of more than 256 peers of such a listener the rest was not reset.

use crate::support::*;
use carrick_core::{Cx, Instant, ListenConfig, Refusal};
use carrick_sim::Span;
use carrick_wire::{TcpFlags, TcpOptions};
use std::net::SocketAddr;

/// What a call may end.
const MOST: usize = 256;

fn client(n: usize) -> SocketAddr {
    addr(&format!("203.0.113.{}:{}", 1 + n % 250, 10_000 + n / 250))
}

fn unlimited() -> ListenConfig {
    ListenConfig { max_half_open: u32::MAX, ..ListenConfig::default() }
}

fn ask(node: &mut Node, now: Instant, n: usize) -> Seen {
    node.sent.clear();
    node.receive(now, &syn(client(n), addr(HTTP), 5000, TcpOptions::default()))
}

/// Calls until nothing is due any more; each ends some, and none too many. Says how many calls that were.
fn ends_bit_by_bit(node: &mut Node, now: Instant, count: fn(&Node) -> usize) -> usize {
    let mut calls = 0;
    while node.endpoint.poll_timeout().is_some_and(|due| due <= now) {
        let before = count(node);
        node.endpoint.handle_timeout(&Cx::new(now));
        let ended = before - count(node);
        assert!(ended <= MOST && (ended > 0 || before == 0), "{ended} of {before} in a call");
        node.drain(now);
        calls += 1;
    }
    calls
}

#[test]
fn time_waits_that_are_due_together_end_bit_by_bit() {
    let (mut node, listener) = Node::listening(config(), ListenConfig::default());
    for n in 0..2000 {
        let iss = node.handshake(start(), client(n), addr(HTTP), TcpOptions::default()).unwrap();
        node.endpoint.accepted(listener);
        let (_, id) = node.opened.pop().unwrap();
        node.act(start(), id, |connection, cx| connection.close(cx));
        let flags = TcpFlags::FIN | TcpFlags::ACK;
        let ack = iss.wrapping_add(2);
        let fin = segment(client(n), addr(HTTP), flags, 5001, ack, TcpOptions::default(), b"");
        node.receive(start(), &fin);
    }
    assert_eq!(node.endpoint.time_wait(), 2000);
    let calls = ends_bit_by_bit(&mut node, start() + 240.secs(), |node| node.endpoint.time_wait());
    assert_eq!((calls, node.endpoint.time_wait()), (2000usize.div_ceil(MOST), 0));
}

#[test]
fn handshakes_that_come_to_nothing_together_end_bit_by_bit() {
    for park in [false, true] {
        let (mut node, _) = Node::listening(config(), ListenConfig { park, ..unlimited() });
        for n in 0..2000 {
            ask(&mut node, start(), n);
        }
        assert_eq!(node.endpoint.half_open(), 2000);
        node.sent.clear();
        // Repetitions of all those that are due are due at once, too.
        for seconds in [1, 3, 7, 15, 31] {
            node.wait_until(start() + seconds.secs());
            assert!(park || node.sent.len() == 2000, "{} SYN,ACKs", node.sent.len());
            node.sent.clear();
        }
        let end = if park { 60 } else { 63 };
        node.wait_until(start() + (end - 1).secs());
        assert_eq!(node.endpoint.half_open(), 2000);
        let calls = ends_bit_by_bit(&mut node, start() + end.secs(), |node| node.endpoint.half_open());
        assert_eq!((calls, node.endpoint.half_open()), (2000usize.div_ceil(MOST), 0));
    }
}

#[test]
fn a_listener_that_goes_resets_all_its_peers_bit_by_bit() {
    for park in [false, true] {
        let (mut node, listener) = Node::listening(config(), ListenConfig { park, ..unlimited() });
        let other = node.listen(81, unlimited());
        for n in 0..3000 {
            ask(&mut node, start(), n);
        }
        node.receive(start(), &syn(client(7000), addr("192.0.2.2:81"), 1, TcpOptions::default()));
        node.sent.clear();
        node.endpoint.unlisten(listener);
        assert!(node.endpoint.half_open() >= 3001 - MOST, "{} are left", node.endpoint.half_open());
        node.drain(start());
        // Who comes now comes to whoever listens now, or to nobody.
        assert!(node.sent.iter().all(|packet| packet.segment().unwrap().has(TcpFlags::RST)));
        let resets = node.sent.len();
        assert_eq!(ask(&mut node, start(), 2998), Seen::Answered);
        assert!(node.only().is(TcpFlags::RST | TcpFlags::ACK));
        node.listen(80, ListenConfig::default());
        assert_eq!(ask(&mut node, start(), 2999), Seen::Answered);
        assert!(node.only().is(TcpFlags::SYN | TcpFlags::ACK));
        assert_eq!(node.endpoint.half_open(), 3000 - resets);
        while node.endpoint.poll_timeout().is_some_and(|due| due <= start()) {
            node.endpoint.handle_timeout(&Cx::new(start()));
            node.drain(start());
        }
        assert_eq!(node.sent.len(), 2998 - resets, "resets");
        assert_eq!(node.endpoint.half_open(), 2);
        assert_eq!(node.endpoint.counters().half_open_failed, 3000);
        node.endpoint.unlisten(other);
        assert_eq!(node.endpoint.half_open(), 1);
    }
}

#[test]
fn nobody_decides_about_what_a_listener_that_has_gone_had_parked() {
    let (mut node, listener) = Node::listening(config(), ListenConfig { park: true, ..unlimited() });
    for n in 0..3000 {
        assert_eq!(ask(&mut node, start(), n), Seen::Held);
    }
    let parked: Vec<_> = std::iter::from_fn(|| node.endpoint.poll_parked()).collect();
    assert_eq!(parked.len(), 3000);
    node.endpoint.unlisten(listener);
    let cx = Cx::new(start());
    assert!(node.endpoint.half_open() > 2000);
    for request in parked {
        assert!(!node.endpoint.accept_parked(&cx, request.id));
        assert!(!node.endpoint.refuse_parked(&cx, request.id, Refusal::Silent));
    }
}

#[test]
fn a_device_that_takes_nothing_holds_the_resets_back() {
    let (mut node, listener) = Node::listening(config(), unlimited());
    for n in 0..1000 {
        ask(&mut node, start(), n);
    }
    node.sent.clear();
    node.endpoint.unlisten(listener);
    for _ in 0..10 {
        assert!(node.endpoint.poll_timeout().is_none_or(|due| due > start()), "nothing can be done");
        node.endpoint.handle_timeout(&Cx::new(start()));
    }
    assert_eq!(node.endpoint.half_open(), 1000 - MOST);
    node.drain(start());
    assert!(node.endpoint.poll_timeout().is_some_and(|due| due <= start()));
    ends_bit_by_bit(&mut node, start(), |node| node.endpoint.half_open());
    assert_eq!((node.endpoint.half_open(), node.sent.len()), (0, 1000));
}
