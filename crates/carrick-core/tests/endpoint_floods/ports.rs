//! Local addresses and ports of connections that this side opens (RFC 6056, RFC 9293 §3.9.1.1).

use crate::support::*;
use carrick_core::{
    ConnectError, Connection, ConnectionConfig, ConnectionId, Cx, EndpointConfig, EndpointEvent, Instant,
    ListenConfig,
};
use carrick_covers::covers;
use carrick_sim::Span;
use carrick_wire::{TcpFlags, TcpOptions, Timestamps};
use std::net::SocketAddr;
use std::sync::Arc;

fn connect(
    node: &mut Node,
    now: Instant,
    local: Option<SocketAddr>,
    remote: &str,
) -> Result<(ConnectionId, Box<Connection>), ConnectError> {
    node.endpoint.connect(&Cx::new(now), local, addr(remote), Arc::new(ConnectionConfig::default()))
}

fn port(node: &mut Node, remote: &str) -> Result<u16, ConnectError> {
    connect(node, start(), None, remote).map(|(_, connection)| connection.local_addr().port())
}

const REMOTE: &str = "203.0.113.1:80";

#[test]
fn port_1_and_3_all_ports_are_used_but_those_of_listeners_and_then_there_is_an_error() {
    let mut node = Node::new(config(), 1);
    for service in [1024, 8080, 65_535] {
        node.listen(service, ListenConfig::default());
    }
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..64_512 - 3 {
        let port = port(&mut node, REMOTE).unwrap_or_else(|error| panic!("port {n}: {error}"));
        assert!(seen.insert(port), "port {port} twice");
    }
    assert!(seen.iter().all(|port| *port >= 1024 && ![1024, 8080, 65_535].contains(port)));
    assert_eq!(port(&mut node, REMOTE), Err(ConnectError::AddrInUse));
    // Another destination has all of them.
    assert!(port(&mut node, "203.0.113.2:80").is_ok());
    covers!("PORT-1", "PORT-3");
}

#[test]
fn t_lif_6_ports_that_are_used_up_come_back() {
    let endpoint = EndpointConfig { ephemeral_ports: 5000..=5009, ..config() };
    let mut node = Node::new(endpoint, 1);
    let ids: Vec<_> = (0..10).map(|_| connect(&mut node, start(), None, REMOTE).unwrap().0).collect();
    assert_eq!(port(&mut node, REMOTE), Err(ConnectError::AddrInUse));
    assert_eq!(port(&mut node, REMOTE), Err(ConnectError::AddrInUse));
    node.endpoint.handle_event(&Cx::new(start()), ids[3], EndpointEvent::Closed);
    assert!(port(&mut node, REMOTE).is_ok());
    assert_eq!(port(&mut node, REMOTE), Err(ConnectError::AddrInUse));
    covers!("T-LIF-6");
}

#[test]
fn port_2_ports_are_unforeseeable_and_do_not_count_others_connections() {
    // First ports to many destinations are everywhere in the range.
    let mut node = Node::new(config(), 1);
    let mut octiles = [0; 8];
    for n in 0..800 {
        let first = port(&mut node, &format!("203.0.113.{}:{}", n % 200, 80 + n / 200)).unwrap();
        octiles[usize::from(first - 1024) * 8 / 64_512] += 1;
    }
    assert!(octiles.iter().all(|count| (60..140).contains(count)), "{octiles:?}");
    // Between two connections of his own an observer sees the next port, however many others there were; of 100
    // stacks only in those where both destinations share one of 64 counters he does not.
    let told = (0..100u8)
        .filter(|seed| {
            let mut node = Node::new(config(), *seed);
            let first = port(&mut node, "198.51.100.66:80").unwrap();
            for _ in 0..10 {
                port(&mut node, REMOTE).unwrap();
            }
            port(&mut node, "198.51.100.66:80").unwrap().wrapping_sub(first) > 1
        })
        .count();
    assert!(told <= 6, "{told} of 100 stacks tell");
    let firsts: std::collections::BTreeSet<u16> =
        (0..50).map(|seed| port(&mut Node::new(config(), seed), REMOTE).unwrap()).collect();
    assert!(firsts.len() >= 48, "{firsts:?}");
    covers!("PORT-2");
}

/// A node whose connection to [`REMOTE`] from port 5000 is in TIME-WAIT since [`start`], and its last number.
fn after_close(timestamps: bool) -> (Node, u32) {
    let endpoint = EndpointConfig { ephemeral_ports: 5000..=5001, ..config() };
    let mut node = Node::new(endpoint, 1);
    let local = addr("192.0.2.2:5000");
    let (id, connection) = connect(&mut node, start(), Some(local), REMOTE).unwrap();
    node.cells.insert(id, connection);
    node.act(start(), id, |_, _| ());
    let syn = node.only().tcp;
    let with = |val| {
        let timestamps = timestamps.then_some(Timestamps { val, ecr: syn.options.timestamps.unwrap().val });
        TcpOptions { timestamps, ..TcpOptions::default() }
    };
    let ack = syn.seq.get().wrapping_add(1);
    node.receive(
        start(),
        &segment(addr(REMOTE), local, TcpFlags::SYN | TcpFlags::ACK, 100, ack, with(1), b""),
    );
    node.act(start(), id, |connection, cx| connection.close(cx));
    let fin = segment(addr(REMOTE), local, TcpFlags::FIN | TcpFlags::ACK, 101, ack + 1, with(2), b"");
    node.receive(start(), &fin);
    assert_eq!(node.endpoint.time_wait(), 1);
    node.sent.clear();
    (node, ack + 1)
}

#[test]
fn port_4_a_tuple_in_use_is_passed_over_and_time_wait_taken_over_after_a_second() {
    let local = Some(addr("192.0.2.2:5000"));
    // Without timestamps the old connection keeps its tuple for 2 MSL.
    let (mut node, _) = after_close(false);
    assert_eq!(connect(&mut node, start() + 239.secs(), local, REMOTE).err(), Some(ConnectError::AddrInUse));
    assert_eq!(node.endpoint.free_port(None).map(u16::from), Some(5001));
    assert_eq!(connect(&mut node, start() + 239.secs(), None, REMOTE).unwrap().1.local_addr().port(), 5001);
    node.wait_until(start() + 240.secs());
    assert!(connect(&mut node, start() + 240.secs(), local, REMOTE).is_ok());
    // With them, for a second: then ours are greater than any that the peer has seen.
    let (mut node, snd_nxt) = after_close(true);
    assert_eq!(connect(&mut node, start() + 999.ms(), local, REMOTE).err(), Some(ConnectError::AddrInUse));
    assert_eq!(node.endpoint.time_wait(), 1);
    let (id, connection) = connect(&mut node, start() + 1.secs(), local, REMOTE).unwrap();
    assert_eq!(node.endpoint.time_wait(), 0);
    node.cells.insert(id, connection);
    node.act(start() + 1.secs(), id, |_, _| ());
    let ahead = node.only().tcp.seq.get().wrapping_sub(snd_nxt);
    assert!(ahead > 0 && ahead < 1 << 31);
    covers!("PORT-4");
}

#[test]
fn port_5_an_address_without_a_port_is_given_one_at_connect() {
    let mut node = Node::new(config(), 1);
    let local = Some(addr("192.0.2.2:0"));
    let (_, first) = connect(&mut node, start(), local, REMOTE).unwrap();
    let (_, second) = connect(&mut node, start(), local, REMOTE).unwrap();
    let (_, other) = connect(&mut node, start(), local, "203.0.113.2:80").unwrap();
    assert_eq!(first.local_addr().ip(), ip(HOST));
    assert!(first.local_addr().port() >= 1024);
    assert_ne!(first.local_addr(), second.local_addr());
    // The port hangs on the destination, which only connect knows.
    assert_ne!(first.local_addr().port().abs_diff(other.local_addr().port()), 2);
    covers!("PORT-5");
}

fn two_addresses() -> EndpointConfig {
    let addresses = ["192.0.2.2/24", "198.51.100.2/24", "2001:db8::2/64", "2001:db8:1::2/64"];
    EndpointConfig { addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(), ..config() }
}

#[test]
fn must_44_an_address_is_chosen_before_the_first_syn_and_must_45_stays() {
    for (remote, local) in [
        ("198.51.100.9:80", "198.51.100.2"),
        ("192.0.2.9:80", "192.0.2.2"),
        ("[2001:db8:1::9]:80", "2001:db8:1::2"),
        ("[2001:db8::9]:80", "2001:db8::2"),
    ] {
        let mut node = Node::new(two_addresses(), 1);
        let id = node.connect(start(), addr(remote));
        let syn = node.replies().pop().unwrap();
        assert_eq!(syn.src.ip(), ip(local));
        // Whatever follows has the same source: the repeated SYN, text, FIN, reset.
        let us = syn.src;
        let later = start() + 1.secs();
        node.act(later, id, |connection, cx| connection.handle_timeout(cx));
        let ack = syn.tcp.seq.get().wrapping_add(1);
        let syn_ack =
            segment(addr(remote), us, TcpFlags::SYN | TcpFlags::ACK, 1, ack, TcpOptions::default(), b"");
        node.receive(later, &syn_ack);
        node.act(later, id, |connection, cx| connection.send(cx, b"text"));
        node.act(later, id, |connection, cx| connection.finish(cx));
        node.act(later, id, |connection, cx| connection.abort(cx));
        let rest = node.replies();
        assert!(rest.len() >= 5, "{rest:?}");
        assert!(rest.iter().all(|reply| reply.src == us && reply.dst == addr(remote)), "{rest:?}");
    }
    covers!("MUST-44", "MUST-45");
}

#[test]
fn must_43_a_local_address_may_be_named() {
    let mut node = Node::new(two_addresses(), 1);
    // Not the one that would be chosen.
    let local = Some(addr("198.51.100.2:0"));
    let (id, connection) = connect(&mut node, start(), local, "192.0.2.9:80").unwrap();
    node.cells.insert(id, connection);
    node.act(start(), id, |_, _| ());
    assert_eq!(node.only().src.ip(), ip("198.51.100.2"));
    for wrong in ["198.51.100.3:0", "[2001:db8::2]:0"] {
        let refused = connect(&mut node, start(), Some(addr(wrong)), "192.0.2.9:80").err();
        assert_eq!(refused, Some(ConnectError::AddrNotAvailable), "{wrong}");
    }
    // A passive one takes only what is for that address.
    let bound =
        carrick_core::ListenAddr { address: Some(ip("198.51.100.2")), port: std::num::NonZeroU16::new(80) };
    node.endpoint.listen(bound, ListenConfig::default()).unwrap();
    let ask = |to: &str| syn(addr("203.0.113.9:1"), addr(to), 1, TcpOptions::default());
    node.receive(start(), &ask("198.51.100.2:80"));
    assert!(node.only().is(TcpFlags::SYN | TcpFlags::ACK));
    node.receive(start(), &ask("192.0.2.2:80"));
    assert!(node.only().is(TcpFlags::RST | TcpFlags::ACK));
    covers!("MUST-43");
}

#[test]
fn must_46_nobody_connects_to_or_from_an_address_that_is_no_host() {
    let mut node = Node::new(config(), 1);
    for wrong in [
        "255.255.255.255:80",
        "224.0.0.1:80",
        "192.0.2.255:80",
        "0.0.0.0:80",
        "127.0.0.1:80",
        "[ff02::1]:80",
        "[::]:80",
        "[::1]:80",
        "203.0.113.1:0",
    ] {
        assert_eq!(
            connect(&mut node, start(), None, wrong).err(),
            Some(ConnectError::InvalidRemote),
            "{wrong}"
        );
    }
    for wrong in ["127.0.0.1:5000", "224.0.0.1:5000", "255.255.255.255:5000", "192.0.2.255:5000"] {
        let refused = connect(&mut node, start(), Some(addr(wrong)), REMOTE).err();
        assert_eq!(refused, Some(ConnectError::AddrNotAvailable), "{wrong}");
    }
    node.drain(start());
    node.nothing();
    assert_eq!((node.endpoint.connections(), node.endpoint.counters().active_opens), (0, 0));
    covers!("MUST-46", "MART-7");
}
