//! Seen: a SYN that asked for ECN was parked, and the peer, hearing nothing, repeated it without, as RFC 3168 §6.1.1.1 has
//! it do. The SYN,ACK, when it came, agreed to ECN all the same.

use crate::support::*;
use carrick_core::{ConnectionConfig, Cx, EcnPolicy, ListenConfig};
use carrick_wire::{TcpFlags, TcpOptions};

#[test]
fn a_parked_syn_that_comes_again_without_ecn_is_not_agreed_with() {
    let asking = TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR;
    for again in [asking, TcpFlags::SYN] {
        let connection = ConnectionConfig { ecn: EcnPolicy::Accept, ..ConnectionConfig::default() };
        let listen = ListenConfig { park: true, connection, ..ListenConfig::default() };
        let (mut node, _) = Node::listening(config(), listen);
        for flags in [asking, again] {
            let request = segment(addr(CLIENT), addr(HTTP), flags, 5000, 0, TcpOptions::default(), b"");
            assert_eq!(node.receive(start(), &request), Seen::Held);
        }
        let parked = node.endpoint.poll_parked().unwrap();
        assert!(node.endpoint.accept_parked(&Cx::new(start()), parked.id));
        node.drain(start());
        assert_eq!(node.only().tcp.flags.contains(TcpFlags::ECE), again == asking);
    }
}
