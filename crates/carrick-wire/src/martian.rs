//! Addresses that never belong on a wire, by the address alone (RFC 1122 §3.2.1.3, RFC 4291 §2.5, RFC 6890).
//!
//! Private, shared, benchmark and documentation ranges are ordinary addresses here. A subnet's own broadcast
//! address and "our own address as source" need configuration and are the stack's to know.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a packet from `address` is dropped unanswered: unspecified, loopback, multicast, reserved or
/// v4-mapped.
///
/// # Examples
/// ```
/// use carrick_wire::martian::is_martian_source;
///
/// assert!(is_martian_source("127.0.0.1".parse()?));
/// assert!(!is_martian_source("192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn is_martian_source(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address) || address.octets()[0] >= 224,
        IpAddr::V6(address) => is_local_v6(address) || address.is_multicast(),
    }
}

/// Whether a packet to `address` is dropped unanswered: unspecified, loopback, IPv4 broadcast, or v4-mapped.
///
/// Multicast is not here, for an echo request may be sent to it: see [`is_group`] for what never reaches TCP.
///
/// # Examples
/// ```
/// use carrick_wire::martian::is_martian_destination;
///
/// assert!(is_martian_destination("0.0.0.0".parse()?));
/// assert!(!is_martian_destination("192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn is_martian_destination(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address) || address.is_broadcast(),
        IpAddr::V6(address) => is_local_v6(address),
    }
}

/// Whether `address` stands for many hosts: multicast or the limited broadcast.
///
/// # Examples
/// ```
/// use carrick_wire::martian::is_group;
///
/// assert!(is_group("ff02::1".parse()?));
/// assert!(!is_group("2001:db8::1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

const fn is_local_v4(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 0 | 127)
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    address.is_unspecified() || address.is_loopback() || address.to_ipv4_mapped().is_some()
}
