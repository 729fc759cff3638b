//! A router whose next link takes smaller packets.

use crate::packet::Packet;
use carrick_wire::IpView;
use carrick_wire::icmp::{Envelope, emit_packet_too_big, may_answer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the next link of a path takes, and whether anybody says so.
///
/// A larger packet is dropped, in IPv4 also one that might be cut on the way, and the router answers with
/// "fragmentation needed" (RFC 792, RFC 1191 §4) or "packet too big" (RFC 4443 §3.2), once for each packet: the answer
/// quotes it, up to 576 and 1,280 bytes in all. Whoever runs the link takes that with
/// [`Link::take_answer`](crate::Link::take_answer) and sends it back. A router that says nothing is a black hole
/// (RFC 2923 §2.1).
///
/// # Examples
/// ```
/// use carrick_sim::{LinkConfig, PathMtu};
///
/// let tunnel = LinkConfig { mtu: Some(PathMtu::told(1400)), ..LinkConfig::default() };
/// let black_hole = LinkConfig { mtu: Some(PathMtu::silent(1400)), ..LinkConfig::default() };
/// # assert_ne!(tunnel, black_hole);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PathMtu {
    /// The largest packet that is taken, in bytes, IP header included.
    pub mtu: u16,
    /// Who tells the sender; nobody by default.
    pub router: Option<Router>,
}

impl PathMtu {
    /// The default [`Router`] tells the sender.
    ///
    /// # Examples
    /// ```
    /// assert!(carrick_sim::PathMtu::told(1400).router.is_some());
    /// ```
    #[must_use]
    pub fn told(mtu: u16) -> Self {
        Self { mtu, router: Some(Router::default()) }
    }

    /// Nobody tells the sender.
    ///
    /// # Examples
    /// ```
    /// assert!(carrick_sim::PathMtu::silent(1400).router.is_none());
    /// ```
    #[must_use]
    pub const fn silent(mtu: u16) -> Self {
        Self { mtu, router: None }
    }

    /// What the router says of a packet that is too large, if it says anything.
    pub(super) fn answer(self, offender: &Packet) -> Option<Packet> {
        let router = self.router?;
        let view = IpView::parse(&offender.bytes[..]).ok().filter(may_answer)?;
        let src = match view.src() {
            IpAddr::V4(_) => router.v4.into(),
            IpAddr::V6(_) => router.v6.into(),
        };
        let to = Envelope { src, dst: view.src(), hop_limit: 64 };
        let mut bytes = vec![0; 1280];
        let len = emit_packet_too_big(&mut bytes, to, self.mtu.into(), &offender.bytes).ok()?;
        bytes.truncate(len);
        Some(Packet::new(bytes))
    }
}

/// The addresses of a router. By default 192.0.2.254 and 2001:db8::fe.
///
/// A kernel that checks where packets come from (`rp_filter`) listens to a router only if it would reach it through the
/// same interface.
///
/// # Examples
/// ```
/// use carrick_sim::{PathMtu, Router};
///
/// let router = Router { v4: [198, 51, 100, 254].into(), ..Router::default() };
/// let path = PathMtu { router: Some(router), ..PathMtu::told(1400) };
/// assert_ne!(path, PathMtu::told(1400));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Router {
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl Default for Router {
    fn default() -> Self {
        Self { v4: Ipv4Addr::new(192, 0, 2, 254), v6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrick_wire::icmp::{IcmpMessage, parse_v4, parse_v6};
    use carrick_wire::{SeqNum, TcpHeader};

    #[test]
    fn the_answer_quotes_the_packet_and_names_the_mtu() {
        let tcp =
            TcpHeader { src_port: 7, dst_port: 80, seq: SeqNum::new(0xffff_fff0), ..TcpHeader::default() };
        for [src, dst] in [["198.51.100.1", "203.0.113.1"], ["2001:db8::1", "2001:db8::2"]] {
            let [src, dst]: [IpAddr; 2] = [src, dst].map(|text| text.parse().unwrap());
            let offender = Packet::tcp(src, dst, 0, &tcp, &[7; 1400]);
            let answer = PathMtu::told(1300).answer(&offender).unwrap();
            let ip = IpView::parse(&answer.bytes[..]).unwrap();
            let Router { v4, v6 } = Router::default();
            let (most, message) = match (ip.src(), ip.dst()) {
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    assert_eq!(from, v6);
                    (1280, parse_v6(ip.payload(), from, to).unwrap())
                }
                (from, _) => {
                    assert_eq!(from, v4);
                    (576, parse_v4(ip.payload()).unwrap())
                }
            };
            assert_eq!((ip.dst(), answer.bytes.len()), (src, most));
            let IcmpMessage::PacketTooBig { mtu: 1300, quote } = message else { panic!("{message:?}") };
            let quoted = quote.tcp().unwrap();
            assert_eq!((quote.src(), quote.dst()), (src, dst));
            assert_eq!((quoted.src_port, quoted.dst_port, quoted.seq), (7, 80, tcp.seq));
            // Nobody is told of an error that did not fit, nor by a router that is silent.
            assert_eq!(PathMtu::told(100).answer(&answer), None);
            assert_eq!(PathMtu::silent(1300).answer(&offender), None);
        }
        assert_eq!(PathMtu::told(0).answer(&Packet::new(vec![0x45; 9])), None);
    }
}
