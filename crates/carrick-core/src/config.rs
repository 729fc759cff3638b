//! Settings of an endpoint, a listener, a connection.

use crate::congestion::Controller;
use alloc::boxed::Box;
use alloc::vec::Vec;
use carrick_wire::SeqNum;
use core::net::IpAddr;
use core::num::NonZeroU16;
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;

/// An address and the length of its network's prefix, in bits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Cidr {
    /// The address itself.
    pub address: IpAddr,
    /// Bits of the prefix: at most 32 for IPv4, 128 for IPv6; longer counts as that.
    pub prefix: u8,
}

impl Cidr {
    /// An address in a network with a prefix of `prefix` bits.
    #[must_use]
    pub const fn new(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix }
    }

    /// How many leading bits `other` shares with this address; 0 for the other family.
    pub(crate) fn common_bits(&self, other: IpAddr) -> u32 {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => 0,
        }
    }

    /// The directed broadcast address of an IPv4 network with room for one (RFC 1122 §3.2.1.3).
    pub(crate) fn broadcast(&self) -> Option<IpAddr> {
        let IpAddr::V4(address) = self.address else { return None };
        if self.prefix >= 31 {
            return None;
        }
        let host_bits = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        Some(IpAddr::V4((address.to_bits() | host_bits).into()))
    }
}

/// `address/prefix`, or an address alone, which stands for itself.
impl FromStr for Cidr {
    type Err = CidrParseError;

    fn from_str(text: &str) -> Result<Self, CidrParseError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrParseError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // `u8` would take a sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            Some(_) => None,
            None => Some(most),
        };
        prefix.filter(|bits| *bits <= most).map(|prefix| Self { address, prefix }).ok_or(CidrParseError)
    }
}

/// A text is no address with a prefix length, such as `192.0.2.2/24` or `2001:db8::2/64`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an address with a prefix length, such as 192.0.2.2/24")]
pub struct CidrParseError;

/// Settings of an endpoint; they hold for its life.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The addresses that are ours. Default: none.
    pub addresses: Vec<Cidr>,
    /// Largest IP packet of the link, in bytes: 576 (1280 with IPv6) to 65,535. Default 1,500.
    pub mtu: u16,
    /// Time to live of what we send, 1 to 255. Default 64.
    pub hop_limit: u8,
    /// Maximum segment lifetime; TIME-WAIT lasts twice as long (RFC 9293 §3.4.2). Default 120 s.
    pub msl: Duration,
    /// Ignore resets in TIME-WAIT, so that an old one does not end the wait (RFC 1337 §3). With false an exact
    /// reset ends it, as RFC 9293 §3.10.7.4 has it. Default true.
    pub rfc1337: bool,
    /// Most half-open records (passive handshakes) of all listeners together. Default 65,536.
    pub max_half_open: usize,
    /// Most connections. Default 1,048,576.
    pub max_connections: usize,
    /// Most TIME-WAIT records; beyond that the oldest goes. Default 262,144.
    pub max_time_wait: usize,
    /// Ports for connections that do not name one (RFC 6056). Default 32,768 to 60,999.
    pub ephemeral_ports: RangeInclusive<u16>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            mtu: 1500,
            hop_limit: 64,
            msl: Duration::from_secs(120),
            rfc1337: true,
            max_half_open: 65_536,
            max_connections: 1 << 20,
            max_time_wait: 1 << 18,
            ephemeral_ports: 32_768..=60_999,
        }
    }
}

/// What a listener listens on. Look-up order: exact, any port of an address, any address, both.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ListenAddr {
    /// One of the stack's addresses, or any.
    pub address: Option<IpAddr>,
    /// A port, or any.
    pub port: Option<NonZeroU16>,
}

/// Settings of a listener.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// Most connections that wait to be accepted; at least 1. Default 1,024.
    pub backlog: u32,
    /// Settings of the connections that come of it.
    pub connection: ConnectionConfig,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self { backlog: 1024, connection: ConnectionConfig::default() }
    }
}

/// Settings of a connection.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// Most bytes received and not read yet; the offered window never exceeds it. At least one segment,
    /// at most 2^30 - 1. Default 512 KiB. Memory is taken only as bytes arrive.
    pub receive_buffer: u32,
    /// Most bytes written and not acknowledged yet. At least one segment. Default 512 KiB.
    pub send_buffer: u32,
    /// Offer window scaling (RFC 7323 §2). Default true.
    pub window_scale: bool,
    /// Offer timestamps (RFC 7323 §3). Default true.
    pub timestamps: bool,
    /// Offer selective acknowledgements (RFC 2018). Default true.
    pub sack: bool,
    /// Explicit congestion notification (RFC 3168). Default: where the peer asks for it.
    pub ecn: EcnPolicy,
    /// Send what does not fill a segment at once, even while such a segment is not acknowledged yet (Nagle's rule,
    /// RFC 9293 §3.7.4, off). Default false: small writes wait for up to a round trip, and share packets.
    pub nodelay: bool,
    /// Least retransmission timeout. RFC 6298 asks for 1 s; the default is 200 ms, as in Linux, because the
    /// variance term already covers the peer's delayed acknowledgement.
    pub min_rto: Duration,
    /// Greatest retransmission timeout, at least 60 s (RFC 6298 §2.5). Default 120 s.
    pub max_rto: Duration,
    /// How often a SYN or SYN,ACK is sent again before giving up. Default 7 for a SYN: with timeouts of
    /// 1, 2, 4 .. s the attempt lasts 255 s (RFC 9293 MUST-23 asks for 3 min). A passive opener
    /// uses two fewer (63 s).
    pub syn_retries: u8,
    /// How often data or a FIN is sent again, without any answer, before the connection is given up (R2).
    /// Default 15: at least 100 s (RFC 9293 SHLD-11), about 15 min. 255 means without end (MUST-21).
    pub retries: u8,
    /// How long FIN-WAIT-2 may last once the application has let go of the stream. Default 60 s.
    pub fin_wait_2: Duration,
    /// The congestion controller that connections start from. Default NewReno.
    pub congestion: Option<Box<dyn Controller>>,
    /// Fixes the initial sequence number, for tests and teaching. Default none: RFC 6528.
    pub initial_sequence: Option<SeqNum>,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            receive_buffer: 512 << 10,
            send_buffer: 512 << 10,
            window_scale: true,
            timestamps: true,
            sack: true,
            ecn: EcnPolicy::default(),
            nodelay: false,
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(120),
            syn_retries: 7,
            retries: 15,
            fin_wait_2: Duration::from_secs(60),
            congestion: None,
            initial_sequence: None,
        }
    }
}

/// When a connection uses explicit congestion notification (RFC 3168): routers then mark packets rather than drop
/// them, and the sender slows down without having lost anything. Both sides must agree to it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum EcnPolicy {
    /// Never.
    Off,
    /// If the peer's SYN asks for it; ours does not.
    #[default]
    Accept,
    /// Our SYN asks for it too. A third SYN no longer does, in case something on the path drops those that ask
    /// (RFC 3168 §6.1.1.1).
    Ask,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidr_texts() {
        let v4 = Cidr::new([192, 0, 2, 2].into(), 24);
        assert_eq!("192.0.2.2/24".parse(), Ok(v4));
        assert_eq!("192.0.2.2".parse(), Ok(Cidr { prefix: 32, ..v4 }));
        assert_eq!("::1/0".parse(), Ok(Cidr::new(core::net::Ipv6Addr::LOCALHOST.into(), 0)));
        assert_eq!("::1".parse::<Cidr>().map(|cidr| cidr.prefix), Ok(128));
        for wrong in
            ["", "/", "192.0.2.2/", "192.0.2.2/33", "::1/129", "192.0.2.2/+8", "192.0.2/24", "::1/8/8"]
        {
            assert_eq!(wrong.parse::<Cidr>(), Err(CidrParseError), "{wrong}");
        }
    }
}
