//! The two ends of a link: addresses, and stacks on a TUN interface or in memory.

use carrick::Stack;
use carrick::device::memory::{self, MemoryConfig};
use carrick::device::{Device, Tun, TunBuilder};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The near end's IPv4 address: the kernel's on a TUN, the first stack's in memory.
pub const NEAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The near end's IPv6 address.
pub const NEAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// The far end's IPv4 address: carrick's on a TUN.
pub const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
/// The far end's IPv6 address.
pub const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));

const NEAR: [&str; 2] = ["192.0.2.1/24", "2001:db8::1/64"];
const FAR: [&str; 2] = ["192.0.2.2/24", "2001:db8::2/64"];

/// A TUN interface with the near addresses on the kernel's side.
///
/// # Errors
/// As [`TunBuilder::build`](carrick::device::TunBuilder::build).
pub fn tun(settings: TunBuilder) -> io::Result<Tun> {
    NEAR.into_iter().fold(settings, |tun, host| tun.host(cidr(host))).build()
}

/// A stack with the far addresses, on the given device.
///
/// # Errors
/// As [`StackBuilder::build`](carrick::StackBuilder::build).
pub fn far(device: impl Device) -> io::Result<Stack> {
    stack(device, FAR)
}

/// A stack with the near addresses, on the given device.
///
/// # Errors
/// As [`StackBuilder::build`](carrick::StackBuilder::build).
pub fn near(device: impl Device) -> io::Result<Stack> {
    stack(device, NEAR)
}

/// Two stacks joined in memory, the near one first.
///
/// # Errors
/// As [`StackBuilder::build`](carrick::StackBuilder::build).
pub fn in_memory() -> io::Result<(Stack, Stack)> {
    let (near, far) = memory::pair(MemoryConfig::default());
    Ok((stack(near, NEAR)?, stack(far, FAR)?))
}

fn stack(device: impl Device, addresses: [&str; 2]) -> io::Result<Stack> {
    addresses
        .into_iter()
        .fold(Stack::builder(), |stack, address| stack.address(cidr(address)))
        .device(device)
        .build()
}

fn cidr(text: &str) -> carrick::Cidr {
    text.parse().expect("an address and a prefix length")
}
