//! A TUN interface as a bare descriptor, for contestants other than carrick.
//!
//! carrick's own device does not lend its descriptor, and a stack's price includes what its device does; so the others
//! get the least there is: one system call for a packet.
#![allow(unsafe_code, reason = "ioctls on interfaces have no safe wrapper; each use says why it is sound")]

use carrick_examples::netlink;
use rustix::fs::{self, Mode, OFlags};
use rustix::ioctl::{self, IntegerSetter, Opcode, Updater};
use rustix::net::{self, AddressFamily, SocketType};
use rustix::thread::UnshareFlags;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Packets that the kernel queues for us.
const QUEUE_LEN: u32 = 10_000;

const TUN_SET_INTERFACE: Opcode = 0x4004_54ca;
const TUN_SET_OFFLOAD: Opcode = 0x4004_54d0;

/// IFF_TUN, IFF_NO_PI.
const BARE_PACKETS: u16 = 0x1001;
/// IFF_VNET_HDR.
const OFFLOAD_HEADER: u16 = 0x4000;
/// TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN.
const OFFLOADS: usize = 0b1111;

const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const RTM_NEWADDR: u16 = 20;
/// NLM_F_CREATE.
const CREATE: u16 = 0x400;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// No duplicate address detection.
const IFA_F_NODAD: u8 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// RTF_LOCAL: the route leads to this host itself.
const LOCAL: u32 = 1 << 31;

/// Which IP the two ends speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The largest TCP payload without options in a packet of `mtu` bytes.
    #[must_use]
    pub const fn mss(self, mtu: u16) -> u16 {
        mtu - 20
            - match self {
                Self::V4 => 20,
                Self::V6 => 40,
            }
    }

    /// The loopback's address.
    #[must_use]
    pub const fn loopback(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        }
    }
}

/// The two ends of a link: a network of its own within 192.0.2.0/24 or 2001:db8::/32, so that what an earlier run left
/// behind is not in the way.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The kernel's end.
    pub near: IpAddr,
    /// The contestant's.
    pub far: IpAddr,
    /// Length of the network's prefix.
    pub prefix: u8,
}

impl Link {
    /// The next one, after 64 the first again.
    #[must_use]
    pub fn next(family: Family) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % 64;
        match family {
            Family::V4 => {
                let end = |last| Ipv4Addr::new(192, 0, 2, number * 4 + last).into();
                Self { near: end(1), far: end(2), prefix: 30 }
            }
            Family::V6 => {
                let end = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, number.into(), 0, 0, 0, last).into();
                Self { near: end(1), far: end(2), prefix: 64 }
            }
        }
    }

    /// The same, seen from the other end.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { near: self.far, far: self.near, ..self }
    }
}

/// struct ifreq.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

/// Opens an interface, gives it the near end's address and brings it up; reads and writes do not wait. With `offload`
/// packets carry a header of 10 bytes and are unfinished.
///
/// # Errors
/// What the kernel said.
pub fn open(link: Link, mtu: u16, offload: bool) -> io::Result<OwnedFd> {
    let fd = fs::open("/dev/net/tun", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    let flags = if offload { BARE_PACKETS | OFFLOAD_HEADER } else { BARE_PACKETS };
    let mut made = Request { name: *b"bench%d\0\0\0\0\0\0\0\0\0", value: [0; 24] };
    made.value[..2].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: TUNSETIFF reads a struct ifreq and writes back nothing but that.
    let request = unsafe { Updater::<TUN_SET_INTERFACE, Request>::new(&mut made) };
    // SAFETY: as above.
    unsafe { ioctl::ioctl(&fd, request) }?;
    // SAFETY: TUNSETOFFLOAD takes an integer by value, and touches no memory of ours.
    let request = unsafe { IntegerSetter::<TUN_SET_OFFLOAD>::new_usize(if offload { OFFLOADS } else { 0 }) };
    // SAFETY: as above.
    unsafe { ioctl::ioctl(&fd, request) }?;
    let socket = net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let name = String::from_utf8_lossy(&made.name);
    let index = net::netdevice::name_to_index(&socket, name.trim_end_matches('\0'))?;
    let mut body = netlink::link(index, netlink::UP);
    netlink::attribute(&mut body, IFLA_MTU, &u32::from(mtu).to_ne_bytes());
    netlink::attribute(&mut body, IFLA_TXQLEN, &QUEUE_LEN.to_ne_bytes());
    netlink::request(netlink::NEW_LINK, 0, &body)?;
    add_address(index, link)?;
    Ok(fd)
}

fn add_address(index: u32, link: Link) -> io::Result<()> {
    let (family, address) = match link.near {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
    };
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut body = vec![family, link.prefix, IFA_F_NODAD, 0];
    body.extend(index.to_ne_bytes());
    netlink::attribute(&mut body, IFA_LOCAL, &address);
    netlink::attribute(&mut body, IFA_ADDRESS, &address);
    netlink::request(RTM_NEWADDR, CREATE, &body)?;
    let IpAddr::V6(address) = link.near else { return Ok(()) };
    // The route to it comes a moment later, and what arrives before is dropped.
    for _ in 0..1000 {
        if is_local(address)? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Whether the kernel delivers packets to this address.
fn is_local(address: Ipv6Addr) -> io::Result<bool> {
    let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route")?;
    let wanted = format!("{:032x} 80 ", u128::from(address));
    // Destination, source and their prefixes, next hop, metric, two counts, flags, interface.
    let flags = |line: &str| u32::from_str_radix(line.split_ascii_whitespace().nth(8)?, 16).ok();
    let mut routes = routes.lines().filter(|line| line.starts_with(&wanted));
    Ok(routes.any(|line| flags(line).is_some_and(|flags| flags & LOCAL != 0)))
}

/// Registers the descriptor with the current runtime.
///
/// # Errors
/// What the kernel said.
pub fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, stays the same number for its life and closes only when dropped.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// Moves the calling thread, and those it starts, into a network namespace of its own.
///
/// # Errors
/// What the kernel said.
pub fn leave_network() -> io::Result<()> {
    // SAFETY: the call is unsafe for `FILES`, which would part threads from their descriptors. Not asked for.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}
