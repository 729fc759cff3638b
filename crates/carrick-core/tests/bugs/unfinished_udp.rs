//! Seen: the kernel sends UDP through an offloading TUN with checksums that it leaves to the device, which vouches for
//! them. A datagram to a port of ours was discarded as broken; its sender waited, instead of hearing that nobody is there.

use crate::support::*;
use carrick_core::{Checksum, Cx, DiscardReason, Dispatch, Frame};
use carrick_wire::icmp::{self, IcmpMessage};
use carrick_wire::{Checksum as Sum, IpHeader, IpView, Protocol};
use std::net::IpAddr;

/// A datagram whose checksum is that of the pseudo header alone.
fn unfinished(src: IpAddr, dst: IpAddr) -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
    let sum = Sum::pseudo_header(src, dst, Protocol::UDP, datagram.len());
    datagram[6..8].copy_from_slice(&sum.fold().to_be_bytes());
    let ip = IpHeader { payload_len: datagram.len(), ..IpHeader::new(src, dst, Protocol::UDP) };
    let mut packet = vec![0; ip.header_len()];
    ip.emit(&mut packet).unwrap();
    packet.append(&mut datagram);
    packet
}

#[test]
fn a_datagram_that_the_device_vouches_for_is_answered() {
    for (src, dst, code) in [("198.51.100.7", HOST, 3), ("2001:db8:9::7", "2001:db8::2", 4)] {
        let (src, dst) = (ip(src), ip(dst));
        let packet = unfinished(src, dst);
        let mut node = Node::new(config(), 7);
        let mut receive = |frame| match node.endpoint.handle_frame(&Cx::new(start()), frame) {
            Dispatch::Discard(reason) => {
                node.drain(start());
                (reason, std::mem::take(&mut node.sent))
            }
            other => panic!("{other:?}"),
        };
        // Nobody vouches: it is broken.
        let (reason, sent) = receive(Frame::new(&packet));
        assert_eq!((reason, sent.len()), (DiscardReason::BadChecksum, 0));
        let (reason, sent) = receive(Frame::new(&packet).with_checksum(Checksum::Verified));
        assert_eq!((reason, sent.len()), (DiscardReason::UnknownProtocol, 1));
        let said = IpView::parse(&sent[0].bytes[..]).unwrap();
        let message = match (said.src(), said.dst()) {
            (IpAddr::V6(src), IpAddr::V6(dst)) => icmp::parse_v6(said.payload(), src, dst),
            _ => icmp::parse_v4(said.payload()),
        };
        assert!(
            matches!(message, Ok(IcmpMessage::Unreachable { code: said, .. }) if said == code),
            "{message:?}"
        );
    }
}
