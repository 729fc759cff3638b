//! The requests to the kernel's routing socket that a fresh interface needs (rtnetlink(7)).
//!
//! The older ioctls cannot do all of it: they replace an IPv4 address instead of adding one, and an IPv6
//! address set through them stays tentative, and so unusable, until duplicate address detection has run.
//! The routing socket needs no `unsafe` either.

use carrick_core::Cidr;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;

const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFF_UP: u32 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// No duplicate address detection: nobody else can be on the link, and the address is usable at once.
const IFA_F_NODAD: u8 = 2;

const RTA_DST: u16 = 1;
const RTN_LOCAL: u8 = 2;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A routing socket.
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens one in the calling thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The number of the interface with this name.
    pub(super) fn index(&self, name: &str) -> io::Result<u32> {
        net::netdevice::name_to_index(&self.socket, name).map_err(io::Error::from)
    }

    /// Sets the largest packet and the length of the transmit queue, in packets.
    pub(super) fn set_link(&mut self, index: u32, mtu: u16, queue_len: u32) -> io::Result<()> {
        let mut body = link_message(index, 0);
        put_attribute(&mut body, IFLA_MTU, &u32::from(mtu).to_ne_bytes());
        put_attribute(&mut body, IFLA_TXQLEN, &queue_len.to_ne_bytes());
        self.request(RTM_NEWLINK, 0, &body)
    }

    /// Brings an interface up.
    pub(super) fn bring_up(&mut self, index: u32) -> io::Result<()> {
        self.request(RTM_NEWLINK, 0, &link_message(index, IFF_UP))
    }

    /// Gives an interface an address, and the host a route to its network.
    pub(super) fn add_address(&mut self, index: u32, address: Cidr) -> io::Result<()> {
        let (family, longest) = match address.address {
            IpAddr::V4(_) => (AF_INET, 32),
            IpAddr::V6(_) => (AF_INET6, 128),
        };
        // struct ifaddrmsg: family, prefix length, flags, scope (0: universe), index.
        let mut body = vec![family, address.prefix.min(longest), IFA_F_NODAD, 0];
        body.extend(index.to_ne_bytes());
        for kind in [IFA_LOCAL, IFA_ADDRESS] {
            match address.address {
                IpAddr::V4(address) => put_attribute(&mut body, kind, &address.octets()),
                IpAddr::V6(address) => put_attribute(&mut body, kind, &address.octets()),
            }
        }
        // An interface that outlived another program may have the address already.
        self.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body)
    }

    /// Whether the kernel delivers packets to this address. A new IPv6 address can be bound at once, but the
    /// kernel inserts its route a moment later, from a work queue, and drops what arrives before.
    pub(super) fn is_local(&mut self, address: Ipv6Addr) -> io::Result<bool> {
        // struct rtmsg: family, destination and source prefix, then all unspecified.
        let mut body = vec![AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        put_attribute(&mut body, RTA_DST, &address.octets());
        self.send(RTM_GETROUTE, NLM_F_REQUEST, &body)?;
        let mut answer = [0_u8; ANSWER];
        let (length, _) = net::recv(&self.socket, &mut answer, RecvFlags::empty())?;
        let answer = answer.get(..length).unwrap_or_default();
        // Its eighth byte is the route's type; an error, such as no route, is no route to us either.
        Ok(message_type(answer) == Some(RTM_NEWROUTE) && answer.get(HEADER + 7) == Some(&RTN_LOCAL))
    }

    /// Sends one request and waits for the kernel's verdict, which is there when the send returns.
    fn request(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.send(kind, NLM_F_REQUEST | NLM_F_ACK | flags, body)?;
        loop {
            let mut answer = [0_u8; ANSWER];
            let (length, _) = net::recv(&self.socket, &mut answer, RecvFlags::empty())?;
            let answer = answer.get(..length).unwrap_or_default();
            if let Some(outcome) = acknowledgement(answer, self.sequence) {
                return outcome;
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::MSGSIZE)?;
        let mut message = Vec::with_capacity(HEADER + body.len());
        // struct nlmsghdr: length, type, flags, sequence number, port (0: the kernel fills it in).
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend(body);
        net::sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }
}

/// Bytes of struct nlmsghdr.
const HEADER: usize = 16;
/// Room for any answer; the kernel keeps them below a page.
const ANSWER: usize = 8192;

fn message_type(message: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(*message.get(4..)?.first_chunk()?))
}

/// What the kernel made of request `sequence`, if this message says so.
fn acknowledgement(message: &[u8], sequence: u32) -> Option<io::Result<()>> {
    let answered = u32::from_ne_bytes(*message.get(8..)?.first_chunk()?);
    let code = i32::from_ne_bytes(*message.get(HEADER..)?.first_chunk()?);
    if message_type(message) != Some(NLMSG_ERROR) || answered != sequence {
        return None;
    }
    Some(match code.checked_neg() {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    })
}

/// struct ifinfomsg: family, padding, device type, index, flags, which flags change.
fn link_message(index: u32, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body
}

/// Appends an attribute of 4 or 16 bytes; both keep the alignment of 4.
fn put_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    debug_assert_eq!(value.len() % 4, 0, "attributes are aligned to 4 bytes");
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u16, sequence: u32, code: i32) -> Vec<u8> {
        let mut message = 36_u32.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(0_u16.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend(code.to_ne_bytes());
        message
    }

    #[test]
    fn acknowledgements_are_told_from_the_rest() {
        assert!(matches!(acknowledgement(&answer(NLMSG_ERROR, 7, 0), 7), Some(Ok(()))));
        let refused =
            acknowledgement(&answer(NLMSG_ERROR, 7, -1), 7).expect("an answer").expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(matches!(acknowledgement(&answer(NLMSG_ERROR, 7, i32::MIN), 7), Some(Err(_))));
        assert!(acknowledgement(&answer(NLMSG_ERROR, 6, 0), 7).is_none(), "another request's");
        assert!(acknowledgement(&answer(RTM_NEWLINK, 7, 0), 7).is_none(), "another kind");
        assert!(acknowledgement(&answer(NLMSG_ERROR, 7, 0)[..18], 7).is_none(), "cut short");
    }

    #[test]
    fn the_kernel_refuses_an_interface_that_is_not_there() {
        let mut netlink = Netlink::open().expect("a routing socket needs no privilege");
        assert!(netlink.bring_up(0x7fff_fff0).is_err());
    }

    #[test]
    fn a_strange_address_is_not_local() {
        let mut netlink = Netlink::open().expect("a routing socket needs no privilege");
        assert!(!netlink.is_local("2001:db8::dead".parse().expect("an address")).expect("an answer"));
    }
}
