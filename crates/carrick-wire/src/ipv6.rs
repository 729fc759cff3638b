//! The IPv6 header and its extension headers on receipt (RFC 8200 §3 and §4, RFC 8504 §5.3).
//!
//! Extension headers are processed strictly in packet order, each once, at most [`MAX_EXTENSIONS`] of them,
//! and what the chain means is decided here: the upper layer and where it starts, or the reason for refusal
//! with the pointer that an ICMPv6 answer needs.
//!
//! ```text
//!   fixed 40 | Hop-by-Hop? | Destination*, Routing* (segments left 0), atomic Fragment* | upper layer
//!   fixed 40 | ...         | Fragment | a part of the rest: handed on from behind the Fragment header
//! ```

use core::net::Ipv6Addr;

use pnet_packet::ipv6::Ipv6Packet;

use crate::error::ParseError;
use crate::ip::{Fragment, Protocol, splits_tcp_header};
use crate::{be16, be32};

/// The fixed header in bytes.
pub(crate) const HEADER_LEN: usize = 40;
/// Where the fixed header says what follows it.
const NEXT_HEADER_AT: usize = 6;
const FRAGMENT_HEADER_LEN: usize = 8;

// RFC 8504 §5.3 lets a host set limits like these; beyond them a packet is dropped in silence.
/// Extension headers in a chain.
const MAX_EXTENSIONS: usize = 16;
/// Bytes of one extension header.
const MAX_EXTENSION_LEN: usize = 512;
/// Options in one header, padding not counted.
const MAX_OPTIONS: usize = 8;
/// Bytes of one PadN option, and Pad1 options in a row.
const MAX_PADDING: usize = 7;

/// A received IPv6 packet, validated up to its upper layer; bytes after its payload length are cut off.
///
/// # Examples
/// ```
/// use carrick_wire::Ipv6View;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
/// let view = Ipv6View::parse(&packet[..])?;
/// assert_eq!(view.payload(), b"hello");
/// assert!(Ipv6View::parse(&packet[..10]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ipv6View<B> {
    buffer: B,
    total_len: usize,
    chain: Chain,
}

impl<B: AsRef<[u8]>> Ipv6View<B> {
    /// Takes `buffer` if version, lengths and extension headers are in order.
    ///
    /// # Errors
    /// [`ParseError::Truncated`], [`ParseError::Version`], or one of the `Ipv6` and `Fragment` reasons.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.payload(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(buffer: B) -> Result<Self, ParseError> {
        Self::parse_head(buffer, 0)
    }

    /// As [`parse`](Self::parse), for a packet whose last `following` bytes lie elsewhere; the view is of what is
    /// here.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); the payload length counts what lies elsewhere.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let head = &packet[..packet.len() - 5];
    /// let view = Ipv6View::parse_head(head, 5)?;
    /// assert!(view.payload().is_empty(), "it lies elsewhere");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse_head(buffer: B, following: u16) -> Result<Self, ParseError> {
        let bytes = buffer.as_ref();
        let header = Ipv6Packet::new(bytes).ok_or(ParseError::Truncated)?;
        if header.get_version() != 6 {
            return Err(ParseError::Version);
        }
        let payload_len = header.get_payload_length().checked_sub(following);
        let payload_len = payload_len.ok_or(ParseError::Ipv6PayloadLength)?;
        let total_len = HEADER_LEN.saturating_add(usize::from(payload_len));
        let packet = bytes.get(..total_len).ok_or(ParseError::Ipv6PayloadLength)?;
        let chain = Chain::walk(packet)?;
        Ok(Self { buffer, total_len, chain })
    }

    /// Source address.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// println!("from {}", view.src());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn src(&self) -> Ipv6Addr {
        self.address(8)
    }

    /// Destination address.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// println!("to {}", view.dst());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn dst(&self) -> Ipv6Addr {
        self.address(24)
    }

    /// By hand: the type of pnet's addresses depends on how it was compiled.
    #[inline]
    fn address(&self, at: usize) -> Ipv6Addr {
        let bytes = self.buffer.as_ref().get(at..).and_then(<[u8]>::first_chunk::<16>);
        bytes.map_or(Ipv6Addr::UNSPECIFIED, |bytes| Ipv6Addr::from(*bytes))
    }

    /// The upper layer behind all extension headers; of a fragment, what its Fragment header names.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.protocol(), carrick_wire::Protocol::UDP);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.chain.protocol
    }

    /// Hop limit; any value is accepted.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.hop_limit(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.header().map_or(0, |header| header.get_hop_limit())
    }

    /// Traffic class: DSCP and ECN.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.tos() >> 2, 0, "default forwarding");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tos(&self) -> u8 {
        self.header().map_or(0, |header| header.get_traffic_class())
    }

    /// Flow label, 20 bits.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// assert_eq!(Ipv6View::parse(&packet[..])?.flow_label(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        self.header().map_or(0, |header| header.get_flow_label())
    }

    /// Which part of a packet this is; `None` for a whole one, an atomic fragment among them (RFC 6946).
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert!(view.fragment().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn fragment(&self) -> Option<Fragment> {
        self.chain.fragment
    }

    /// Where the Next Header field is that announces the Fragment header, which of a fragment is the last header
    /// before the payload; in a whole packet the field of the fixed header.
    pub(crate) fn fragment_named_at(&self) -> usize {
        let bytes = self.as_bytes();
        let fragment_at = self.chain.payload_at.saturating_sub(FRAGMENT_HEADER_LEN);
        let mut named_at = NEXT_HEADER_AT;
        let mut at = HEADER_LEN;
        // The chain was walked when the view was made, so every turn moves on to a header that is there.
        while at < fragment_at {
            let kind = bytes.get(named_at).map(|kind| Protocol(*kind));
            let units = if kind == Some(Protocol::FRAGMENT) {
                Some(0)
            } else {
                bytes.get(at.saturating_add(1)).copied()
            };
            named_at = at;
            at = at.saturating_add(usize::from(units.unwrap_or(0)).saturating_add(1).saturating_mul(8));
        }
        named_at
    }

    /// The upper layer's bytes; of a fragment, what follows the Fragment header.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.payload(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.buffer.as_ref().get(self.header_len()..self.total_len).unwrap_or_default()
    }

    /// Length of the fixed and the extension headers in bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.header_len(), 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.chain.payload_at
    }

    /// Length of the packet in bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.total_len(), 45);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn total_len(&self) -> usize {
        self.total_len
    }

    /// The packet without what followed it in the buffer.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.as_bytes(), packet);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.as_ref().get(..self.total_len).unwrap_or_default()
    }

    /// The buffer that the view was made from.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.into_inner(), packet);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_inner(self) -> B {
        self.buffer
    }

    #[inline]
    fn header(&self) -> Option<Ipv6Packet<'_>> {
        Ipv6Packet::new(self.buffer.as_ref())
    }
}

impl<'a> Ipv6View<&'a [u8]> {
    /// The payload for as long as the bytes that were parsed live.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv6View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("2001:db8::1", "2001:db8::2");
    /// let view = Ipv6View::parse(&packet[..])?;
    /// assert_eq!(view.payload_slice(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload_slice(&self) -> &'a [u8] {
        self.buffer.get(self.header_len()..self.total_len).unwrap_or_default()
    }
}

/// What the chain of extension headers leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub(crate) protocol: Protocol,
    pub(crate) payload_at: usize,
    pub(crate) fragment: Option<Fragment>,
}

impl Chain {
    /// Follows the chain of `packet`, which is cut to its length and at least a fixed header long.
    pub(crate) fn walk(packet: &[u8]) -> Result<Self, ParseError> {
        let next = packet.get(NEXT_HEADER_AT).copied().ok_or(ParseError::Truncated)?;
        let mut next = Protocol(next);
        let mut named_at = NEXT_HEADER_AT;
        let mut at = HEADER_LEN;
        // Set once a first fragment was met: its chain is still to be checked to the end (RFC 7112 §5).
        let mut first_fragment: Option<Self> = None;
        // One turn more than there may be extension headers: the last is the upper layer's.
        for _ in 0..=MAX_EXTENSIONS {
            let extension = match next {
                Protocol::TCP | Protocol::UDP | Protocol::ICMPV6 => {
                    let Some(fragment) = first_fragment else {
                        return Ok(Self { protocol: next, payload_at: at, fragment: None });
                    };
                    let upper = packet.get(at..).unwrap_or_default();
                    return if holds_upper_header(next, upper) {
                        Ok(fragment)
                    } else {
                        Err(ParseError::Ipv6FragmentChain)
                    };
                }
                Protocol::NO_NEXT_HEADER => return Err(ParseError::Ipv6NoNextHeader),
                Protocol::HOP_BY_HOP if at != HEADER_LEN => {
                    return Err(ParseError::Ipv6HopByHopPosition { pointer: pointer(named_at) });
                }
                Protocol::HOP_BY_HOP
                | Protocol::DESTINATION_OPTIONS
                | Protocol::ROUTING
                | Protocol::FRAGMENT => extension(packet, at, next),
                _ => return Err(ParseError::Ipv6NextHeader { pointer: pointer(named_at) }),
            };
            let extension = match extension {
                // RFC 8200 §4.5: a first fragment that ends within its chain is told so, any other packet is not.
                Err(ParseError::Ipv6ExtensionLength) if first_fragment.is_some() => {
                    return Err(ParseError::Ipv6FragmentChain);
                }
                other => other?,
            };
            match next {
                Protocol::ROUTING => check_routing(extension, at)?,
                Protocol::FRAGMENT => {
                    if let Some(part) = check_fragment(packet, extension, at)? {
                        if first_fragment.is_some() {
                            return Err(ParseError::Ipv6ChainLimit);
                        }
                        if part.fragment.is_some_and(|fragment| fragment.offset != 0) {
                            return Ok(part);
                        }
                        first_fragment = Some(part);
                    }
                }
                _ => check_options(extension, at)?,
            }
            next = Protocol(extension.first().copied().unwrap_or_default());
            named_at = at;
            at = at.saturating_add(extension.len());
        }
        Err(ParseError::Ipv6ChainLimit)
    }
}

/// The upper layer of a packet that was refused, and what there is of it; nothing is checked on the way.
pub(crate) fn upper_layer_of_refused(packet: &[u8]) -> Option<(Protocol, &[u8])> {
    let mut next = Protocol(*packet.get(NEXT_HEADER_AT)?);
    let mut rest = packet.get(HEADER_LEN..)?;
    for _ in 0..=MAX_EXTENSIONS {
        let units = match next {
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS | Protocol::ROUTING => *rest.get(1)?,
            Protocol::FRAGMENT => 0,
            _ => return Some((next, rest)),
        };
        next = Protocol(*rest.first()?);
        rest = rest.get(usize::from(units).saturating_add(1).saturating_mul(8)..)?;
    }
    None
}

/// The extension header at `at`, whole.
fn extension(packet: &[u8], at: usize, kind: Protocol) -> Result<&[u8], ParseError> {
    let rest = packet.get(at..).unwrap_or_default();
    let units = rest.get(1).copied().ok_or(ParseError::Ipv6ExtensionLength)?;
    // The Fragment header's second byte is reserved: its length is fixed.
    let units = if kind == Protocol::FRAGMENT { 0 } else { usize::from(units) };
    let len = units.saturating_add(1).saturating_mul(8);
    if len > MAX_EXTENSION_LEN {
        return Err(ParseError::Ipv6ChainLimit);
    }
    rest.get(..len).ok_or(ParseError::Ipv6ExtensionLength)
}

/// A routing header is skipped if it has nothing left to do; we know no type (RFC 8200 §4.4).
fn check_routing(extension: &[u8], at: usize) -> Result<(), ParseError> {
    match extension.get(3) {
        Some(0) => Ok(()),
        _ => Err(ParseError::Ipv6RoutingType { pointer: pointer(at.saturating_add(2)) }),
    }
}

/// The part of a packet that a Fragment header announces (RFC 8200 §4.5); `None` for an atomic fragment.
fn check_fragment(packet: &[u8], extension: &[u8], at: usize) -> Result<Option<Chain>, ParseError> {
    let protocol = Protocol(extension.first().copied().unwrap_or_default());
    let field = be16(extension, 2).unwrap_or_default();
    let id = be32(extension, 4).unwrap_or_default();
    let fragment = Fragment { offset: field & !7, more: field & 1 == 1, id };
    if fragment.offset == 0 && !fragment.more {
        return Ok(None);
    }
    let payload_at = at.saturating_add(extension.len());
    let data_len = packet.len().saturating_sub(payload_at);
    if data_len == 0 {
        return Err(ParseError::FragmentEmpty);
    }
    if fragment.more && !data_len.is_multiple_of(8) {
        return Err(ParseError::Ipv6FragmentLength);
    }
    // The payload length of the packet to be: other extension headers, then data to the end of this fragment.
    let end =
        at.saturating_sub(HEADER_LEN).saturating_add(usize::from(fragment.offset)).saturating_add(data_len);
    if end > usize::from(u16::MAX) {
        return Err(ParseError::Ipv6FragmentEnd { pointer: pointer(at.saturating_add(2)) });
    }
    if fragment.offset == 8 && protocol == Protocol::TCP {
        return Err(ParseError::FragmentTiny);
    }
    Ok(Some(Chain { protocol, payload_at, fragment: Some(fragment) }))
}

fn holds_upper_header(protocol: Protocol, upper: &[u8]) -> bool {
    match protocol {
        Protocol::TCP => !splits_tcp_header(upper),
        _ => upper.len() >= 8,
    }
}

/// Walks the options of a Hop-by-Hop or Destination header that starts at `at` (RFC 8200 §4.2).
fn check_options(extension: &[u8], at: usize) -> Result<(), ParseError> {
    let mut known_at = 2;
    let mut options = 0usize;
    let mut pad1_run = 0usize;
    // Every turn moves `known_at` forward by at least one byte.
    while let Some(&kind) = extension.get(known_at) {
        let kind_pointer = pointer(at.saturating_add(known_at));
        if kind == 0 {
            pad1_run = pad1_run.saturating_add(1);
            if pad1_run > MAX_PADDING {
                return Err(ParseError::Ipv6ChainLimit);
            }
            known_at = known_at.saturating_add(1);
            continue;
        }
        pad1_run = 0;
        let len_at = known_at.saturating_add(1);
        let Some(&len) = extension.get(len_at) else {
            return Err(ParseError::Ipv6OptionLength { pointer: kind_pointer });
        };
        let end = len_at.saturating_add(1).saturating_add(usize::from(len));
        if end > extension.len() {
            return Err(ParseError::Ipv6OptionLength { pointer: pointer(at.saturating_add(len_at)) });
        }
        if kind == 1 {
            if end.saturating_sub(known_at) > MAX_PADDING {
                return Err(ParseError::Ipv6ChainLimit);
            }
        } else {
            options = options.saturating_add(1);
            if options > MAX_OPTIONS {
                return Err(ParseError::Ipv6ChainLimit);
            }
            match kind >> 6 {
                0b00 => {}
                0b01 => return Err(ParseError::Ipv6OptionSilent),
                0b10 => return Err(ParseError::Ipv6OptionAnswer { pointer: kind_pointer }),
                _ => return Err(ParseError::Ipv6OptionAnswerUnicast { pointer: kind_pointer }),
            }
        }
        known_at = end;
    }
    Ok(())
}

/// Offsets are below 65,575, so the conversion never saturates.
fn pointer(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
