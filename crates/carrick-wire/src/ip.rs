//! What IPv4 and IPv6 have in common: [`IpView`] reads either, [`IpHeader`] writes either.

use core::fmt;
use core::net::IpAddr;

use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{Ipv4Flags, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;

use crate::checksum::Checksum;
use crate::error::{BuildError, ParseError};
use crate::ipv4::{self, Ipv4View};
use crate::ipv6::{self, Ipv6View};
use crate::{put, tcp};

/// A received IP packet of either version, validated (RFC 791, RFC 8200).
///
/// # Examples
/// ```
/// use carrick_wire::IpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
/// let view = IpView::parse(&packet[..])?;
/// assert_eq!(view.payload(), b"hello");
/// assert!(IpView::parse(&packet[..10]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum IpView<B> {
    /// Version 4.
    V4(Ipv4View<B>),
    /// Version 6.
    V6(Ipv6View<B>),
}

impl<B: AsRef<[u8]>> IpView<B> {
    /// Takes `buffer`, which starts with an IP header; what follows the packet is cut off.
    ///
    /// # Errors
    /// The reason for refusal; see [`ParseError`].
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.payload(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(buffer: B) -> Result<Self, ParseError> {
        Self::parse_head(buffer, 0)
    }

    /// As [`parse`](Self::parse), for a packet whose last `following` bytes lie elsewhere, as between two stacks
    /// in one process that pass payload by reference. The view is of what is here: its lengths and its payload
    /// are those of the head.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); the packet's own length fields count what lies elsewhere.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let head = &packet[..packet.len() - 5];
    /// let view = IpView::parse_head(head, 5)?;
    /// assert!(view.payload().is_empty(), "it lies elsewhere");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse_head(buffer: B, following: u16) -> Result<Self, ParseError> {
        match buffer.as_ref().first().map(|first| first >> 4) {
            None => Err(ParseError::Truncated),
            Some(4) => Ipv4View::parse_head(buffer, following).map(Self::V4),
            Some(6) => Ipv6View::parse_head(buffer, following).map(Self::V6),
            Some(_) => Err(ParseError::Version),
        }
    }

    /// 4 or 6.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// assert_eq!(IpView::parse(&packet[..])?.version(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn version(&self) -> u8 {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 6,
        }
    }

    /// Source address.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// println!("from {}", view.src());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn src(&self) -> IpAddr {
        match self {
            Self::V4(view) => view.src().into(),
            Self::V6(view) => view.src().into(),
        }
    }

    /// Destination address.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// println!("to {}", view.dst());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        match self {
            Self::V4(view) => view.dst().into(),
            Self::V6(view) => view.dst().into(),
        }
    }

    /// The upper layer, behind all extension headers.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.protocol(), carrick_wire::Protocol::UDP);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::V4(view) => view.protocol(),
            Self::V6(view) => view.protocol(),
        }
    }

    /// Time to live or hop limit.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.hop_limit(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        match self {
            Self::V4(view) => view.hop_limit(),
            Self::V6(view) => view.hop_limit(),
        }
    }

    /// Type of service or traffic class: DSCP and ECN.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.tos() >> 2, 0, "default forwarding");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tos(&self) -> u8 {
        match self {
            Self::V4(view) => view.tos(),
            Self::V6(view) => view.tos(),
        }
    }

    /// The ECN field (RFC 3168 §5).
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{Ecn, IpView};
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// assert_eq!(IpView::parse(&packet[..])?.ecn(), Ecn::NotEct);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ecn(&self) -> Ecn {
        Ecn::from_tos(self.tos())
    }

    /// Which part of a packet this is; `None` for a whole one, an atomic fragment among them.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert!(view.fragment().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        match self {
            Self::V4(view) => view.fragment(),
            Self::V6(view) => view.fragment(),
        }
    }

    /// The upper layer's bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.payload(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::V4(view) => view.payload(),
            Self::V6(view) => view.payload(),
        }
    }

    /// Length of the packet in bytes: what follows in the buffer is not part of it.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.total_len(), 25);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn total_len(&self) -> usize {
        match self {
            Self::V4(view) => view.total_len(),
            Self::V6(view) => view.total_len(),
        }
    }

    /// Length of all headers before the payload in bytes, options and extension headers included.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.header_len(), 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self {
            Self::V4(view) => view.header_len(),
            Self::V6(view) => view.header_len(),
        }
    }

    /// The packet without what followed it in the buffer.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.as_bytes(), packet);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(view) => view.as_bytes(),
            Self::V6(view) => view.as_bytes(),
        }
    }

    /// The buffer that the view was made from.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.into_inner(), packet);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_inner(self) -> B {
        match self {
            Self::V4(view) => view.into_inner(),
            Self::V6(view) => view.into_inner(),
        }
    }
}

impl<'a> IpView<&'a [u8]> {
    /// The payload for as long as the bytes that were parsed live.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = IpView::parse(&packet[..])?;
    /// assert_eq!(view.payload_slice(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload_slice(&self) -> &'a [u8] {
        match self {
            Self::V4(view) => view.payload_slice(),
            Self::V6(view) => view.payload_slice(),
        }
    }
}

/// Whether a first fragment that starts with `segment` leaves part of the TCP header to the next (RFC 1858,
/// RFC 3128).
pub(crate) fn splits_tcp_header(segment: &[u8]) -> bool {
    let header_len = segment.get(12).map_or(0, |byte| usize::from(byte >> 4).saturating_mul(4));
    segment.len() < header_len.max(tcp::MIN_HEADER_LEN)
}

/// An IP protocol or Next Header number.
///
/// # Examples
/// ```
/// use carrick_wire::Protocol;
///
/// assert_eq!(Protocol::TCP.0, 6);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Protocol(pub u8);

impl Protocol {
    /// IPv6 Hop-by-Hop Options.
    pub const HOP_BY_HOP: Self = Self(0);
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// IPv6 Routing.
    pub const ROUTING: Self = Self(43);
    /// IPv6 Fragment.
    pub const FRAGMENT: Self = Self(44);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// IPv6 No Next Header.
    pub const NO_NEXT_HEADER: Self = Self(59);
    /// IPv6 Destination Options.
    pub const DESTINATION_OPTIONS: Self = Self(60);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.write_str("ICMP"),
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::ICMPV6 => f.write_str("ICMPv6"),
            Self(number) => write!(f, "protocol {number}"),
        }
    }
}

/// The ECN field of an IP header (RFC 3168 §5).
///
/// # Examples
/// ```
/// use carrick_wire::Ecn;
///
/// assert_eq!(Ecn::from_tos(0b11), Ecn::Ce);
/// assert_eq!(Ecn::Ect0.bits(), 0b10);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Ecn {
    /// Not ECN-capable.
    #[default]
    NotEct = 0b00,
    /// ECT(1).
    Ect1 = 0b01,
    /// ECT(0).
    Ect0 = 0b10,
    /// Congestion experienced.
    Ce = 0b11,
}

impl Ecn {
    /// The field in the two low bits of a type of service or traffic class.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ecn;
    ///
    /// assert_eq!(Ecn::from_tos(0b11), Ecn::Ce);
    /// assert_eq!(Ecn::Ect0.bits(), 0b10);
    /// ```
    #[must_use]
    pub const fn from_tos(tos: u8) -> Self {
        match tos & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ecn;
    ///
    /// assert_eq!(Ecn::from_tos(0b11), Ecn::Ce);
    /// assert_eq!(Ecn::Ect0.bits(), 0b10);
    /// ```
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// Which part of a fragmented packet a fragment is (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fragment {
    /// Where its data belongs, in bytes; a multiple of 8.
    pub offset: u16,
    /// Whether more of the packet follows it.
    pub more: bool,
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
}

/// An IP header to write; the addresses decide the version.
///
/// # Examples
/// ```
/// use carrick_wire::{IpHeader, Protocol};
///
/// let header = IpHeader::new("192.0.2.1".parse()?, "192.0.2.2".parse()?, Protocol::UDP);
/// let header = IpHeader { payload_len: 5, hop_limit: 255, ..header };
/// let mut packet = [0; 25];
/// assert_eq!(header.emit(&mut packet)?, 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpHeader {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Upper layer.
    pub protocol: Protocol,
    /// Time to live or hop limit; never send 0 (RFC 1122 §3.2.1.7).
    pub hop_limit: u8,
    /// Type of service or traffic class: DSCP and ECN.
    pub tos: u8,
    /// IPv6 flow label: the low 20 bits are used; IPv4 has none.
    pub flow_label: u32,
    /// IPv4 identification; without meaning as Don't Fragment is always set (RFC 6864 §4.1); IPv6 has none.
    pub identification: u16,
    /// Bytes after this header.
    pub payload_len: usize,
}

impl IpHeader {
    /// A header with a hop limit of 64 and everything else zero.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{IpHeader, Protocol};
    ///
    /// let header = IpHeader::new("192.0.2.1".parse()?, "192.0.2.2".parse()?, Protocol::UDP);
    /// assert_eq!(header.hop_limit, 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn new(src: IpAddr, dst: IpAddr, protocol: Protocol) -> Self {
        Self { src, dst, protocol, hop_limit: 64, tos: 0, flow_label: 0, identification: 0, payload_len: 0 }
    }

    /// 20 bytes for IPv4, 40 for IPv6.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{IpHeader, Protocol};
    ///
    /// let header = IpHeader::new("192.0.2.1".parse()?, "192.0.2.2".parse()?, Protocol::UDP);
    /// assert_eq!(header.header_len(), 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn header_len(&self) -> usize {
        match self.src {
            IpAddr::V4(_) => ipv4::MIN_HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        }
    }

    /// Writes the header to the start of `buf` and returns its length; IPv4 with Don't Fragment and checksum.
    ///
    /// # Errors
    /// - [`BuildError::MixedFamilies`] if one address is IPv4 and the other IPv6;
    /// - [`BuildError::TooLong`] if the packet's length does not fit 16 bits;
    /// - [`BuildError::BufferTooShort`] if `buf` is shorter than the header.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{IpHeader, Protocol};
    ///
    /// let header = IpHeader::new("192.0.2.1".parse()?, "192.0.2.2".parse()?, Protocol::UDP);
    /// assert_eq!(header.emit(&mut [0; 20])?, 20);
    /// assert!(header.emit(&mut [0; 19]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, BuildError> {
        let header_len = self.header_len();
        let buf = buf.get_mut(..header_len).ok_or(BuildError::BufferTooShort)?;
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let total_len = self.payload_len.checked_add(header_len).ok_or(BuildError::TooLong)?;
                let total_len = u16::try_from(total_len).map_err(|_| BuildError::TooLong)?;
                put(buf, 12, src.octets())?;
                put(buf, 16, dst.octets())?;
                let mut header = MutableIpv4Packet::new(buf).ok_or(BuildError::BufferTooShort)?;
                header.set_version(4);
                header.set_header_length(5);
                header.set_dscp(self.tos >> 2);
                header.set_ecn(self.tos & 0b11);
                header.set_total_length(total_len);
                header.set_identification(self.identification);
                header.set_flags(Ipv4Flags::DontFragment);
                header.set_fragment_offset(0);
                header.set_ttl(self.hop_limit);
                header.set_next_level_protocol(IpNextHeaderProtocol(self.protocol.0));
                header.set_checksum(0);
                let mut sum = Checksum::new();
                sum.add(buf);
                put(buf, 10, sum.finish().to_be_bytes())?;
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let payload_len = u16::try_from(self.payload_len).map_err(|_| BuildError::TooLong)?;
                put(buf, 8, src.octets())?;
                put(buf, 24, dst.octets())?;
                let mut header = MutableIpv6Packet::new(buf).ok_or(BuildError::BufferTooShort)?;
                header.set_version(6);
                header.set_traffic_class(self.tos);
                header.set_flow_label(self.flow_label & 0x000f_ffff);
                header.set_payload_length(payload_len);
                header.set_next_header(IpNextHeaderProtocol(self.protocol.0));
                header.set_hop_limit(self.hop_limit);
            }
            _ => return Err(BuildError::MixedFamilies),
        }
        Ok(header_len)
    }
}
