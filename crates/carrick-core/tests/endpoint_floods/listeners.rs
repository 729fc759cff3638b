//! Listeners: who gets a SYN, from when to when, and whose SYNs nobody gets.

use crate::support::*;
use carrick_core::{
    BindError, ConnectionConfig, Cx, DiscardReason, EndpointEvent, Frame, ListenAddr, ListenConfig,
    SynCookies,
};
use carrick_covers::covers;
use carrick_sim::Span;
use carrick_wire::{TcpFlags, TcpOptions};
use std::num::NonZeroU16;

const PEER: &str = "203.0.113.7:4000";

fn any(port: u16) -> ListenAddr {
    ListenAddr { address: None, port: NonZeroU16::new(port) }
}

fn bare_syn(src: &str, dst: &str) -> Vec<u8> {
    syn(addr(src), addr(dst), 5000, TcpOptions::default())
}

#[test]
fn must_41_a_second_listener_fails_and_the_first_is_untouched() {
    let (mut node, first) = Node::listening(config(), ListenConfig::default());
    assert_eq!(node.endpoint.listen(any(80), ListenConfig::default()), Err(BindError::AddrInUse));
    assert!(node.handshake(start(), addr(PEER), addr(HTTP), TcpOptions::default()).is_some());
    assert_eq!(node.opened[0].0, first);
    // Narrower ones are others, and are asked first: exact, any port, any address, both.
    let address = Some(ip(HOST));
    let exact =
        node.endpoint.listen(ListenAddr { address, port: NonZeroU16::new(80) }, ListenConfig::default());
    let all_ports = node.endpoint.listen(ListenAddr { address, port: None }, ListenConfig::default());
    let everything = node.endpoint.listen(ListenAddr { address: None, port: None }, ListenConfig::default());
    for (n, to, listener) in [
        (1, HTTP, exact),
        (2, "192.0.2.2:81", all_ports),
        (3, "[2001:db8::2]:80", Ok(first)),
        (4, "[2001:db8::2]:81", everything),
    ] {
        let src =
            if to.starts_with('[') { format!("[2001:db8:9::1]:{n}") } else { format!("203.0.113.8:{n}") };
        assert!(node.handshake(start(), addr(&src), addr(to), TcpOptions::default()).is_some());
        assert_eq!(node.opened.last().map(|(id, _)| *id), listener.ok(), "{to}");
    }
    let elsewhere = ListenAddr { address: Some(ip("192.0.2.3")), port: NonZeroU16::new(80) };
    assert_eq!(node.endpoint.listen(elsewhere, ListenConfig::default()), Err(BindError::AddrNotAvailable));
    covers!("MUST-41");
}

#[test]
fn t_lif_15_a_syn_meets_a_listener_exactly_while_there_is_one() {
    // Every order of listening, a SYN, and listening no more.
    for order in ["s", "ls", "lsu", "lus", "sls", "lsus", "lusls", "slsuslsu"] {
        for syn_cookies in [SynCookies::BeyondLimit, SynCookies::Always] {
            let mut node = Node::new(carrick_core::EndpointConfig { syn_cookies, ..config() }, 1);
            let mut listener = None;
            for step in order.chars() {
                match step {
                    'l' => listener = Some(node.listen(80, ListenConfig::default())),
                    'u' => node.endpoint.unlisten(listener.take().unwrap()),
                    _ => {
                        node.receive(start(), &bare_syn(PEER, HTTP));
                        let flags = if listener.is_some() { TcpFlags::SYN } else { TcpFlags::RST };
                        assert!(node.only().is(flags | TcpFlags::ACK), "{order}");
                    }
                }
                node.drain(start());
                node.sent.clear();
            }
        }
    }
    // Two SYNs of one tuple are one handshake, and two of its last ACKs one connection.
    let (mut node, _) = Node::listening(config(), ListenConfig::default());
    let cx = Cx::new(start());
    for _ in 0..2 {
        let _ = node.endpoint.handle_frame(&cx, Frame::new(&bare_syn(PEER, HTTP)));
    }
    node.drain(start());
    let replies = node.replies();
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[0].tcp.seq, replies[1].tcp.seq);
    assert_eq!(node.endpoint.half_open(), 1);
    let ack = replies[0].tcp.seq.get().wrapping_add(1);
    let last = segment(addr(PEER), addr(HTTP), TcpFlags::ACK, 5001, ack, TcpOptions::default(), b"");
    assert_eq!(node.receive(start(), &last), Seen::Opened);
    assert_eq!(node.receive(start(), &last), Seen::Existing);
    assert_eq!((node.opened.len(), node.endpoint.connections()), (1, 1));
    covers!("T-LIF-15");
}

#[test]
fn t_lif_12_a_listener_that_goes_takes_its_half_open_with_it() {
    let (mut node, listener) = Node::listening(config(), ListenConfig::default());
    let other = node.listen(81, ListenConfig::default());
    let empty = node.endpoint.memory();
    for n in 0..20 {
        node.receive(start(), &bare_syn(&format!("203.0.113.9:{}", 1000 + n), HTTP));
    }
    node.receive(start(), &bare_syn(PEER, "192.0.2.2:81"));
    assert!(node.handshake(start(), addr("203.0.113.10:1"), addr(HTTP), TcpOptions::default()).is_some());
    let iss: Vec<u32> = node.replies().iter().map(|reply| reply.tcp.seq.get()).collect();
    assert!(iss.is_empty(), "taken by the handshake");
    node.endpoint.unlisten(listener);
    node.drain(start());
    let resets = node.replies();
    assert_eq!(resets.len(), 20);
    assert!(
        resets.iter().all(|reply| reply.is(TcpFlags::RST | TcpFlags::ACK) && reply.tcp.ack.get() == 5001)
    );
    assert_eq!((node.endpoint.half_open(), node.endpoint.connections()), (1, 1));
    // The queue is the caller's: it aborts, the peer hears it, all is freed.
    let (_, id) = node.opened[0];
    node.act(start(), id, |connection, cx| connection.abort(cx));
    assert!(node.only().tcp.flags.contains(TcpFlags::RST));
    node.endpoint.unlisten(other);
    node.drain(start());
    assert_eq!(node.endpoint.memory(), empty);
    // What still comes for them is a stranger's.
    let late =
        segment(addr("203.0.113.9:1000"), addr(HTTP), TcpFlags::ACK, 5001, 1, TcpOptions::default(), b"");
    node.sent.clear();
    node.receive(start(), &late);
    assert!(node.only().is(TcpFlags::RST));
    covers!("T-LIF-12");
}

#[test]
fn t_lif_13_a_name_used_again_is_another() {
    let (mut node, listener) = Node::listening(config(), ListenConfig::default());
    let mut old = Vec::new();
    for n in 0..100u16 {
        let now = start() + u64::from(n).ms();
        let src = addr(&format!("203.0.113.9:{}", 1000 + n));
        assert!(node.handshake(now, src, addr(HTTP), TcpOptions::default()).is_some());
        node.endpoint.accepted(listener);
        let (_, id) = *node.opened.last().unwrap();
        assert!(!old.contains(&id));
        // Whoever still has an old name changes nothing with it.
        for gone in &old {
            node.endpoint.handle_event(&Cx::new(now), *gone, EndpointEvent::Closed);
            assert!(node.act(now, *gone, |_, _| ()).is_none());
        }
        assert_eq!(node.endpoint.connections(), 1);
        node.act(now, id, |connection, cx| connection.abort(cx));
        assert_eq!(node.endpoint.connections(), 0);
        old.push(id);
    }
    assert!(old.iter().all(|id| id.index() == old[0].index()), "the place is used again");
    // So it is with listeners.
    node.endpoint.unlisten(listener);
    let heir = node.listen(80, ListenConfig { backlog: 1, ..ListenConfig::default() });
    assert_ne!(heir, listener);
    node.endpoint.unlisten(listener);
    assert!(node.handshake(start(), addr(PEER), addr(HTTP), TcpOptions::default()).is_some());
    node.endpoint.accepted(listener);
    let second = node.receive(start(), &bare_syn("203.0.113.8:1", HTTP));
    assert_eq!(second, Seen::Discarded(DiscardReason::NoRoom), "the old name freed no place");
    covers!("T-LIF-13");
}

/// The packet leads to nothing at all.
#[track_caller]
fn silence(packet: &[u8], reason: DiscardReason) {
    let (mut node, _) = Node::listening(config(), ListenConfig::default());
    let empty = node.endpoint.memory();
    assert_eq!(node.receive(start(), packet), Seen::Discarded(reason));
    node.nothing();
    assert_eq!((node.endpoint.half_open(), node.endpoint.memory()), (0, empty));
}

#[test]
fn must_57_a_syn_to_many_is_dropped() {
    for (to, reason) in [
        ("224.0.0.1:80", DiscardReason::NotOurs),
        ("239.255.255.250:80", DiscardReason::NotOurs),
        ("255.255.255.255:80", DiscardReason::Martian),
        ("192.0.2.255:80", DiscardReason::NotOurs),
    ] {
        for flags in [TcpFlags::SYN, TcpFlags::ACK, TcpFlags::EMPTY, TcpFlags::FIN | TcpFlags::ACK] {
            silence(&segment(addr(PEER), addr(to), flags, 1, 1, TcpOptions::default(), b""), reason);
        }
    }
    silence(&bare_syn("[2001:db8::9]:1", "[ff02::1]:80"), DiscardReason::NotOurs);
    covers!("MUST-57");
}

#[test]
fn must_63_a_syn_from_no_host_is_dropped() {
    for from in
        ["255.255.255.255:1", "224.0.0.1:1", "0.0.0.0:1", "192.0.2.255:1", "127.0.0.1:1", "240.0.0.1:1"]
    {
        silence(&bare_syn(from, HTTP), DiscardReason::Martian);
    }
    for from in ["[::]:1", "[ff02::1]:1", "[::1]:1", "[::ffff:203.0.113.1]:1"] {
        silence(&bare_syn(from, "[2001:db8::2]:80"), DiscardReason::Martian);
    }
    covers!("MUST-63");
}

#[test]
fn mart_6_a_packet_from_ourselves_is_dropped() {
    silence(&bare_syn(HTTP, HTTP), DiscardReason::OwnSource);
    silence(&bare_syn("192.0.2.2:1", HTTP), DiscardReason::OwnSource);
    silence(&bare_syn("[2001:db8::2]:80", "[2001:db8::2]:80"), DiscardReason::OwnSource);
    covers!("MART-6");
}

#[test]
fn mart_8_port_zero_is_dropped() {
    silence(&bare_syn("203.0.113.7:0", HTTP), DiscardReason::PortZero);
    silence(&bare_syn(PEER, "192.0.2.2:0"), DiscardReason::PortZero);
    // Not even a listener on all ports gets it.
    let mut node = Node::new(config(), 1);
    node.endpoint.listen(ListenAddr { address: None, port: None }, ListenConfig::default()).unwrap();
    node.receive(start(), &bare_syn(PEER, "192.0.2.2:0"));
    node.nothing();
    covers!("MART-8");
}

#[test]
fn a_listener_s_settings_change_for_what_comes_of_it_from_then_on() {
    let (mut node, listener) = Node::listening(config(), ListenConfig::default());
    let mss_of = |node: &mut Node, src: &str| {
        let syn = bare_syn(src, HTTP);
        let _ = node.receive(start(), &syn);
        let answer = node.only();
        (answer.tcp.options.mss, answer.tcp.window.get())
    };
    assert_eq!(mss_of(&mut node, "203.0.113.7:1"), (Some(1460), 65_535));
    let changed = ConnectionConfig {
        max_segment: NonZeroU16::new(1000),
        // Peers have been told of the old one, and of the scale that goes with it.
        receive_buffer: 5000,
        ..ConnectionConfig::default()
    };
    node.endpoint.set_listener_connection(listener, changed);
    assert_eq!(mss_of(&mut node, "203.0.113.7:2"), (Some(1000), 65_535));
    node.endpoint.unlisten(listener);
    node.endpoint.set_listener_connection(listener, ConnectionConfig::default());
}
