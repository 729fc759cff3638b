//! Addresses and ports that are kept for somebody.

use crate::support::*;
use carrick_core::{BindError, ConnectionConfig, Cx, EndpointConfig, ListenAddr, ListenConfig};
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::Arc;

fn port(port: u16) -> ListenAddr {
    ListenAddr { address: None, port: NonZeroU16::new(port) }
}

#[test]
fn what_is_reserved_is_nobody_elses() {
    let mut node = Node::new(config(), 1);
    node.endpoint.reserve(port(80), false).unwrap();
    for shared in [false, true] {
        assert_eq!(node.endpoint.reserve(port(80), shared), Err(BindError::AddrInUse));
    }
    assert_eq!(node.endpoint.listen(port(80), ListenConfig::default()), Err(BindError::AddrInUse));
    node.endpoint.reserve(port(81), false).unwrap();
    node.endpoint.unreserve(port(80));
    let listener = node.endpoint.listen(port(80), ListenConfig::default()).unwrap();
    for shared in [false, true] {
        assert_eq!(node.endpoint.reserve(port(80), shared), Err(BindError::AddrInUse));
    }
    node.endpoint.unlisten(listener);
    node.endpoint.reserve(port(80), false).unwrap();
}

#[test]
fn those_who_share_do_so_until_the_last_has_gone() {
    let mut node = Node::new(config(), 1);
    node.endpoint.reserve(port(80), true).unwrap();
    node.endpoint.reserve(port(80), true).unwrap();
    assert_eq!(node.endpoint.reserve(port(80), false), Err(BindError::AddrInUse));
    node.endpoint.unreserve(port(80));
    assert_eq!(node.endpoint.reserve(port(80), false), Err(BindError::AddrInUse));
    // To connect from a port is no reason against listening on it.
    let listener = node.endpoint.listen(port(80), ListenConfig::default()).unwrap();
    node.endpoint.unlisten(listener);
    node.endpoint.unreserve(port(80));
    node.endpoint.reserve(port(80), false).unwrap();
    // One too many takes nothing from others.
    node.endpoint.unreserve(port(79));
    assert_eq!(node.endpoint.reserve(port(80), true), Err(BindError::AddrInUse));
}

#[test]
fn only_what_can_be_ours_is_reserved() {
    let mut node = Node::new(config(), 1);
    let elsewhere = ListenAddr { address: Some([203, 0, 113, 77].into()), port: NonZeroU16::new(80) };
    assert_eq!(node.endpoint.reserve(elsewhere, false), Err(BindError::AddrNotAvailable));
}

#[test]
fn nobody_connects_from_a_reserved_port_by_chance() {
    let endpoint = EndpointConfig { ephemeral_ports: 5000..=5003, ..config() };
    let mut node = Node::new(endpoint, 1);
    node.endpoint.reserve(port(5001), false).unwrap();
    let mut ports = Vec::new();
    for _ in 0..3 {
        let settings = Arc::new(ConnectionConfig::default());
        let made = node.endpoint.connect(&Cx::new(start()), None, addr("203.0.113.1:80"), settings);
        ports.push(made.unwrap().1.local_addr().port());
    }
    ports.sort_unstable();
    assert_eq!(ports, [5000, 5002, 5003]);
}

/// One free port after the other, until there is none.
fn free_ports(node: &mut Node, address: Option<&str>) -> Vec<u16> {
    let mut ports = Vec::new();
    while let Some(port) = node.endpoint.free_port(address.map(ip)) {
        let local = ListenAddr { address: address.map(ip), port: Some(port) };
        node.endpoint.reserve(local, false).unwrap();
        ports.push(port.get());
    }
    ports
}

#[test]
fn a_free_port_is_one_that_nobody_has() {
    let small = || {
        let addresses = ["192.0.2.2/24", "192.0.2.3/24"].map(|text| text.parse().unwrap()).to_vec();
        let mut node = Node::new(EndpointConfig { addresses, ephemeral_ports: 5000..=5009, ..config() }, 1);
        node.listen(5001, ListenConfig::default());
        node.endpoint.reserve(port(5002), true).unwrap();
        let other = ListenAddr { address: Some(ip("192.0.2.3")), port: NonZeroU16::new(5003) };
        node.endpoint.reserve(other, false).unwrap();
        for local in ["192.0.2.2:5004", "192.0.2.3:5005"] {
            let settings = Arc::new(ConnectionConfig::default());
            let remote = addr("203.0.113.1:80");
            node.endpoint.connect(&Cx::new(start()), Some(addr(local)), remote, settings).unwrap();
        }
        node
    };
    for (address, taken) in [
        (None, &[5001, 5002, 5003, 5004, 5005][..]),
        (Some("192.0.2.2"), &[5001, 5002, 5004]),
        (Some("192.0.2.3"), &[5001, 5002, 5003, 5005]),
    ] {
        let mut ports = free_ports(&mut small(), address);
        ports.sort_unstable();
        let free: Vec<u16> = (5000..=5009).filter(|port| !taken.contains(port)).collect();
        assert_eq!(ports, free, "{address:?}");
    }
}

#[test]
fn a_half_open_records_port_is_not_free() {
    let endpoint = EndpointConfig { ephemeral_ports: 80..=80, ..config() };
    let mut node = Node::new(endpoint, 1);
    // A listener on any port keeps none.
    let any = ListenAddr { address: None, port: None };
    let listener = node.endpoint.listen(any, ListenConfig::default()).unwrap();
    assert_eq!(node.endpoint.free_port(None), NonZeroU16::new(80));
    let handshake = syn(addr("203.0.113.9:1"), addr("192.0.2.2:80"), 1, carrick_wire::TcpOptions::default());
    node.receive(start(), &handshake);
    assert_eq!((node.endpoint.half_open(), node.endpoint.free_port(None)), (1, None));
    node.endpoint.unlisten(listener);
    assert_eq!((node.endpoint.half_open(), node.endpoint.free_port(None)), (0, NonZeroU16::new(80)));
}

#[test]
fn a_free_port_cannot_be_foreseen() {
    // Neither from those before it nor from another stack's: everywhere in the range, and not in order.
    let mut octiles = [0; 8];
    let mut near = 0;
    let mut node = Node::new(config(), 1);
    let mut before = 0;
    for _ in 0..800 {
        let port = node.endpoint.free_port(None).unwrap().get();
        octiles[usize::from(port - 1024) * 8 / 64_512] += 1;
        near += u32::from(port.abs_diff(before) <= 8);
        before = port;
    }
    assert!(octiles.iter().all(|count| (60..140).contains(count)), "{octiles:?}");
    assert!(near < 8, "{near} of 800 are next to the one before");
    let firsts: std::collections::BTreeSet<u16> =
        (0..50).map(|seed| Node::new(config(), seed).endpoint.free_port(None).unwrap().get()).collect();
    assert!(firsts.len() >= 48, "{firsts:?}");
}

#[test]
fn a_listeners_hop_limit_is_that_of_connections_to_come() {
    let mut node = Node::new(config(), 1);
    let listener = node.listen(80, ListenConfig::default());
    assert_eq!(node.endpoint.listener_hop_limit(listener), Some(64));
    node.endpoint.set_listener_hop_limit(listener, NonZeroU8::new(5).unwrap());
    assert_eq!(node.endpoint.listener_hop_limit(listener), Some(5));
    node.endpoint.unlisten(listener);
    assert_eq!(node.endpoint.listener_hop_limit(listener), None);
}
