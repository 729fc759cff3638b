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
