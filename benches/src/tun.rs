//! A TUN interface as a bare descriptor, for contestants other than carrick.
//!
//! carrick's own device does not lend its descriptor, and a stack's price includes what its device does; so the others
//! get the least there is: one system call for a packet.
#![allow(unsafe_code, reason = "ioctls on interfaces have no safe wrapper; each use says why it is sound")]

use rustix::fs::{self, Mode, OFlags};
use rustix::ioctl::{self, IntegerSetter, Opcode, Updater};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::unix::AsyncFd;

/// Packets that the kernel queues for us.
const QUEUE_LEN: u32 = 10_000;

const TUN_SET_INTERFACE: Opcode = 0x4004_54ca;
const TUN_SET_OFFLOAD: Opcode = 0x4004_54d0;
const SET_ADDRESS: Opcode = 0x8916;
const SET_NETMASK: Opcode = 0x891c;

/// IFF_TUN, IFF_NO_PI.
const BARE_PACKETS: u16 = 0x1001;
/// IFF_VNET_HDR.
const OFFLOAD_HEADER: u16 = 0x4000;
const RTM_NEWLINK: u16 = 16;
/// NLM_F_REQUEST, NLM_F_ACK.
const WITH_ANSWER: u16 = 5;
const IFF_UP: u32 = 1;
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
/// TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN.
const OFFLOADS: usize = 0b1111;

/// The two ends of a link: four addresses of 192.0.2.0/24, so that what an earlier run left behind is not in the way.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The kernel's end.
    pub near: Ipv4Addr,
    /// The contestant's.
    pub far: Ipv4Addr,
}

/// Length of a link's prefix.
pub const PREFIX: u8 = 30;

impl Link {
    /// The next one, after 64 the first again.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let first = (NEXT.fetch_add(1, Ordering::Relaxed) % 64) * 4;
        Self { near: Ipv4Addr::new(192, 0, 2, first + 1), far: Ipv4Addr::new(192, 0, 2, first + 2) }
    }
}

/// struct ifreq.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

impl Request {
    fn new(name: [u8; 16], value: &[u8]) -> Self {
        let mut request = Self { name, value: [0; 24] };
        request.value[..value.len()].copy_from_slice(value);
        request
    }

    /// struct sockaddr_in.
    fn address(name: [u8; 16], address: Ipv4Addr) -> Self {
        let mut value = [0; 16];
        value[..2].copy_from_slice(&2_u16.to_ne_bytes());
        value[4..8].copy_from_slice(&address.octets());
        Self::new(name, &value)
    }

    fn send<const OPCODE: Opcode>(&mut self, to: impl AsFd) -> io::Result<()> {
        // SAFETY: each of the requests above reads a struct ifreq and writes back nothing but that.
        let updater = unsafe { Updater::<OPCODE, Self>::new(self) };
        // SAFETY: as above.
        unsafe { ioctl::ioctl(to, updater) }.map_err(io::Error::from)
    }
}

/// Opens an interface, gives it `address` and brings it up; reads and writes do not wait. With `offload` packets carry a
/// header of 10 bytes and are unfinished.
///
/// # Errors
/// What the kernel said.
pub fn open(address: Ipv4Addr, mtu: u16, offload: bool) -> io::Result<OwnedFd> {
    let fd = fs::open("/dev/net/tun", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    let flags = if offload { BARE_PACKETS | OFFLOAD_HEADER } else { BARE_PACKETS };
    let mut made = Request::new(*b"bench%d\0\0\0\0\0\0\0\0\0", &flags.to_ne_bytes());
    made.send::<TUN_SET_INTERFACE>(&fd)?;
    let name = made.name;
    // SAFETY: TUNSETOFFLOAD takes an integer by value, and touches no memory of ours.
    let request = unsafe { IntegerSetter::<TUN_SET_OFFLOAD>::new_usize(if offload { OFFLOADS } else { 0 }) };
    // SAFETY: as above.
    unsafe { ioctl::ioctl(&fd, request) }?;
    let socket = net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Request::address(name, address).send::<SET_ADDRESS>(&socket)?;
    Request::address(name, Ipv4Addr::from(!0 << (32 - PREFIX))).send::<SET_NETMASK>(&socket)?;
    let text = String::from_utf8_lossy(&name);
    let index = net::netdevice::name_to_index(&socket, text.trim_end_matches('\0'))?;
    bring_up(index, mtu)?;
    Ok(fd)
}

/// Sets MTU and queue length and brings the interface up, through the kernel's routing socket: the ioctl for the queue is
/// for the host's root alone.
fn bring_up(index: u32, mtu: u16) -> io::Result<()> {
    const LENGTH: u32 = 48;
    let mut request = Vec::with_capacity(LENGTH as usize);
    // struct nlmsghdr: length, type, flags, sequence number, port.
    request.extend(LENGTH.to_ne_bytes());
    request.extend(RTM_NEWLINK.to_ne_bytes());
    request.extend(WITH_ANSWER.to_ne_bytes());
    request.extend([0; 8]);
    // struct ifinfomsg: family and device type unspecified, index, flags, which flags change.
    request.extend([0; 4]);
    request.extend(index.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes());
    for (attribute, value) in [(IFLA_MTU, u32::from(mtu)), (IFLA_TXQLEN, QUEUE_LEN)] {
        request.extend(8_u16.to_ne_bytes());
        request.extend(attribute.to_ne_bytes());
        request.extend(value.to_ne_bytes());
    }
    let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    net::sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0_u8; 1024];
    let (length, _) = net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // struct nlmsgerr follows the header: 0, or an error number negated.
    let code = answer[..length].get(16..).and_then(|rest| rest.first_chunk());
    match code.map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
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
