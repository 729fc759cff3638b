//! The IPv4 header on receipt (RFC 791 §3.1, RFC 1122 §3.2.1).
//!
//! Options are walked by length and otherwise ignored, apart from source routes, which are refused. Fragments
//! are recognised, and those refused that no honest sender makes; putting them together is the stack's
//! business.

use core::net::Ipv4Addr;

use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet};

use crate::checksum::Checksum;
use crate::error::ParseError;
use crate::ip::{Fragment, Protocol, splits_tcp_header};

/// The header without options, in bytes.
pub(crate) const MIN_HEADER_LEN: usize = 20;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// A received IPv4 packet, validated; bytes after its total length are cut off.
///
/// # Examples
/// ```
/// use carrick_wire::Ipv4View;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
/// let view = Ipv4View::parse(&packet[..])?;
/// assert_eq!(view.payload(), b"hello");
/// assert!(Ipv4View::parse(&packet[..10]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ipv4View<B> {
    buffer: B,
    header_len: u8,
    total_len: u16,
}

impl<B: AsRef<[u8]>> Ipv4View<B> {
    /// Takes `buffer` if version, lengths, header checksum and options are in order.
    ///
    /// # Errors
    /// [`ParseError::Truncated`], [`ParseError::Version`], or one of the `Ipv4` and `Fragment` reasons.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
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
    /// As [`parse`](Self::parse); the total length counts what lies elsewhere.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let head = &packet[..packet.len() - 5];
    /// let view = Ipv4View::parse_head(head, 5)?;
    /// assert!(view.payload().is_empty(), "it lies elsewhere");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse_head(buffer: B, following: u16) -> Result<Self, ParseError> {
        let bytes = buffer.as_ref();
        let header = Ipv4Packet::new(bytes).ok_or(ParseError::Truncated)?;
        if header.get_version() != 4 {
            return Err(ParseError::Version);
        }
        // Four bits times four: at most 60.
        let header_len = header.get_header_length() << 2;
        let header_bytes = bytes.get(..usize::from(header_len)).ok_or(ParseError::Ipv4HeaderLength)?;
        let options = header_bytes.get(MIN_HEADER_LEN..).ok_or(ParseError::Ipv4HeaderLength)?;
        let total_len =
            header.get_total_length().checked_sub(following).ok_or(ParseError::Ipv4TotalLength)?;
        let data_len = total_len.checked_sub(u16::from(header_len)).ok_or(ParseError::Ipv4TotalLength)?;
        if usize::from(total_len) > bytes.len() {
            return Err(ParseError::Ipv4TotalLength);
        }
        let mut sum = Checksum::new();
        sum.add(header_bytes);
        if sum.fold() != 0xffff {
            return Err(ParseError::Ipv4Checksum);
        }
        if !options.is_empty() {
            walk_options(options)?;
        }
        let view = Self { buffer, header_len, total_len };
        if let Some(fragment) = view.fragment() {
            view.check_fragment(fragment, data_len)?;
        }
        Ok(view)
    }

    fn check_fragment(&self, fragment: Fragment, data_len: u16) -> Result<(), ParseError> {
        if data_len == 0 {
            return Err(ParseError::FragmentEmpty);
        }
        if fragment.more && !data_len.is_multiple_of(8) {
            return Err(ParseError::Ipv4FragmentLength);
        }
        let end = usize::from(fragment.offset).saturating_add(usize::from(self.total_len));
        if end > usize::from(u16::MAX) {
            return Err(ParseError::Ipv4FragmentEnd);
        }
        if self.protocol() == Protocol::TCP
            && (fragment.offset == 8 || fragment.offset == 0 && splits_tcp_header(self.payload()))
        {
            return Err(ParseError::FragmentTiny);
        }
        Ok(())
    }

    /// Source address.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// println!("from {}", view.src());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn src(&self) -> Ipv4Addr {
        self.address(12)
    }

    /// Destination address.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// println!("to {}", view.dst());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn dst(&self) -> Ipv4Addr {
        self.address(16)
    }

    /// By hand: the type of pnet's addresses depends on how it was compiled.
    #[inline]
    fn address(&self, at: usize) -> Ipv4Addr {
        let bytes = self.buffer.as_ref().get(at..).and_then(<[u8]>::first_chunk::<4>);
        bytes.map_or(Ipv4Addr::UNSPECIFIED, |bytes| Ipv4Addr::from(*bytes))
    }

    /// The upper layer.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.protocol(), carrick_wire::Protocol::UDP);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        Protocol(self.header().map_or(0, |header| header.get_next_level_protocol().0))
    }

    /// Time to live; any value is accepted (RFC 1122 §3.2.1.7).
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.hop_limit(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.header().map_or(0, |header| header.get_ttl())
    }

    /// DSCP and ECN.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.tos() >> 2, 0, "default forwarding");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tos(&self) -> u8 {
        self.header().map_or(0, |header| header.get_dscp() << 2 | header.get_ecn())
    }

    /// Identification; without meaning unless this is a fragment (RFC 6864 §4.1).
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// println!("{}", Ipv4View::parse(&packet[..])?.identification());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn identification(&self) -> u16 {
        self.header().map_or(0, |header| header.get_identification())
    }

    /// Whether Don't Fragment is set.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// assert!(Ipv4View::parse(&packet[..])?.dont_fragment());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.header().is_some_and(|header| header.get_flags() & Ipv4Flags::DontFragment != 0)
    }

    /// Which part of a packet this is; `None` for a whole one.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert!(view.fragment().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        let header = self.header()?;
        let offset = header.get_fragment_offset() << 3; // 13 bits of 8 bytes
        let more = header.get_flags() & Ipv4Flags::MoreFragments != 0;
        let id = u32::from(header.get_identification());
        (more || offset != 0).then_some(Fragment { offset, more, id })
    }

    /// The upper layer's bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.payload(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.buffer.as_ref().get(self.header_len()..self.total_len()).unwrap_or_default()
    }

    /// Length of the header with options in bytes: 20..=60.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.header_len(), 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.header_len)
    }

    /// Length of the packet in bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.total_len(), 25);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn total_len(&self) -> usize {
        usize::from(self.total_len)
    }

    /// The packet without what followed it in the buffer.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.as_bytes(), packet);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.as_ref().get(..self.total_len()).unwrap_or_default()
    }

    /// The buffer that the view was made from.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.into_inner(), packet);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_inner(self) -> B {
        self.buffer
    }

    #[inline]
    fn header(&self) -> Option<Ipv4Packet<'_>> {
        Ipv4Packet::new(self.buffer.as_ref())
    }
}

impl<'a> Ipv4View<&'a [u8]> {
    /// The payload for as long as the bytes that were parsed live.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Ipv4View;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let packet = doc::packet("192.0.2.1", "192.0.2.2");
    /// let view = Ipv4View::parse(&packet[..])?;
    /// assert_eq!(view.payload_slice(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload_slice(&self) -> &'a [u8] {
        self.buffer.get(self.header_len()..self.total_len()).unwrap_or_default()
    }
}

/// Walks the options (RFC 1122 §3.2.1.8); every turn takes at least one byte off `rest`.
fn walk_options(mut rest: &[u8]) -> Result<(), ParseError> {
    while let Some((&kind, after_kind)) = rest.split_first() {
        match kind {
            0 => break,
            1 => rest = after_kind,
            _ => {
                let len = usize::from(*after_kind.first().ok_or(ParseError::Ipv4OptionLength)?);
                if len < 2 {
                    return Err(ParseError::Ipv4OptionLength);
                }
                rest = rest.get(len..).ok_or(ParseError::Ipv4OptionLength)?;
                if matches!(kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
                    return Err(ParseError::Ipv4SourceRoute);
                }
            }
        }
    }
    Ok(())
}
