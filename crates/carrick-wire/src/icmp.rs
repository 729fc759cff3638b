//! ICMP and ICMPv6 (RFC 792, RFC 4443): read into one enum, written as whole packets.
//!
//! What an error quotes is parsed as carefully as a packet, for it came from a stranger just the same; the
//! one thing allowed is that it ends early, though not before 8 bytes of its transport, which hold ports and
//! sequence number. Extensions behind a quote (RFC 4884) are not told apart from it.
//!
//! Errors are about packets that may be answered: [`may_answer`] for one that was parsed,
//! [`answer_to_refused`] for one that was not. How many leave per second is for the stack to bound.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::Checksum;
use crate::error::{BuildError, ParameterProblem, ParseError};
use crate::ip::{IpHeader, IpView, Protocol};
use crate::ipv6::Chain;
use crate::martian::{is_group, is_martian_source};
use crate::seq::SeqNum;
use crate::{be16, be32, ipv4, ipv6, put};

const HEADER_LEN: usize = 8;
/// A quote holds at least this much of the transport header.
const MIN_QUOTED_TRANSPORT: usize = 8;
/// The longest error in all, IPv4 (RFC 1812 §4.3.2.3) and IPv6 (RFC 4443 §2.4 c).
const MAX_ERROR_LEN_V4: usize = 576;
const MAX_ERROR_LEN_V6: usize = 1280;

mod v4 {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const FRAGMENTATION_NEEDED: u8 = 4;
    pub(super) const SOURCE_QUENCH: u8 = 4;
    pub(super) const REDIRECT: u8 = 5;
    pub(super) const ECHO_REQUEST: u8 = 8;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
}

mod v6 {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const PACKET_TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    pub(super) const ECHO_REQUEST: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
    pub(super) const REDIRECT: u8 = 137;
}

/// A received message of either version.
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// let to = Envelope { src: "192.0.2.1".parse()?, dst: "192.0.2.2".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_echo_reply(&mut packet, to, 7, 1, b"hello")?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(matches!(icmp::parse_v4(packet.payload())?, IcmpMessage::EchoReply { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IcmpMessage<'a> {
    /// Echo request.
    EchoRequest {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// Data to send back.
        data: &'a [u8],
    },
    /// Echo reply.
    EchoReply {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// The request's data.
        data: &'a [u8],
    },
    /// Destination unreachable, apart from IPv4's "fragmentation needed".
    Unreachable {
        /// Why; the numbers differ between IPv4 and IPv6.
        code: u8,
        /// The packet that was not delivered.
        quote: Quote<'a>,
    },
    /// IPv6 Packet Too Big, or IPv4 "fragmentation needed and DF set".
    PacketTooBig {
        /// MTU of the next hop in bytes; 0 from an IPv4 router older than RFC 1191.
        mtu: u32,
        /// The packet that did not fit.
        quote: Quote<'a>,
    },
    /// Time exceeded: in transit (0) or in reassembly (1).
    TimeExceeded {
        /// Which.
        code: u8,
        /// The packet that expired.
        quote: Quote<'a>,
    },
    /// Parameter problem.
    ParameterProblem {
        /// Why; the numbers differ between IPv4 and IPv6.
        code: u8,
        /// Offset of the offending byte within the original packet.
        pointer: u32,
        /// The packet in question.
        quote: Quote<'a>,
    },
    /// An ICMPv6 error (type below 128) that RFC 4443 does not define; it goes to whom its quote names all the
    /// same (RFC 4443 §2.4 b).
    UnknownError {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// The packet in question.
        quote: Quote<'a>,
    },
    /// Any other message: its checksum is right, its body unread.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

/// Reads an ICMP message for IPv4 (RFC 792) and verifies its checksum.
///
/// # Errors
/// [`ParseError::IcmpTruncated`], [`ParseError::IcmpChecksum`], [`ParseError::IcmpQuoteTruncated`] or
/// [`ParseError::IcmpQuoteInvalid`].
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// let to = Envelope { src: "192.0.2.1".parse()?, dst: "192.0.2.2".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_echo_reply(&mut packet, to, 7, 1, b"hello")?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(matches!(icmp::parse_v4(packet.payload())?, IcmpMessage::EchoReply { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse_v4(bytes: &[u8]) -> Result<IcmpMessage<'_>, ParseError> {
    let message = Message::split(bytes, Checksum::new())?;
    let Message { kind, code, body, .. } = message;
    Ok(match kind {
        v4::ECHO_REQUEST => message.echo_request(),
        v4::ECHO_REPLY => message.echo_reply(),
        v4::UNREACHABLE if code == v4::FRAGMENTATION_NEEDED => {
            IcmpMessage::PacketTooBig { mtu: message.word & 0xffff, quote: Quote::parse_v4(body)? }
        }
        v4::UNREACHABLE => IcmpMessage::Unreachable { code, quote: Quote::parse_v4(body)? },
        v4::TIME_EXCEEDED => IcmpMessage::TimeExceeded { code, quote: Quote::parse_v4(body)? },
        v4::PARAMETER_PROBLEM => {
            IcmpMessage::ParameterProblem { code, pointer: message.word >> 24, quote: Quote::parse_v4(body)? }
        }
        _ => IcmpMessage::Other { kind, code },
    })
}

/// Reads an ICMP message for IPv6 (RFC 4443) and verifies its checksum, which covers the addresses.
///
/// # Errors
/// As [`parse_v4`].
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
/// use std::net::Ipv6Addr;
///
/// let (src, dst): (Ipv6Addr, Ipv6Addr) = ("2001:db8::1".parse()?, "2001:db8::2".parse()?);
/// let to = Envelope { src: src.into(), dst: dst.into(), hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_echo_reply(&mut packet, to, 7, 1, b"hello")?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(matches!(icmp::parse_v6(packet.payload(), src, dst)?, IcmpMessage::EchoReply { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse_v6(bytes: &[u8], src: Ipv6Addr, dst: Ipv6Addr) -> Result<IcmpMessage<'_>, ParseError> {
    let sum = Checksum::pseudo_header(src.into(), dst.into(), Protocol::ICMPV6, bytes.len());
    let message = Message::split(bytes, sum)?;
    let Message { kind, code, body, word } = message;
    Ok(match kind {
        v6::ECHO_REQUEST => message.echo_request(),
        v6::ECHO_REPLY => message.echo_reply(),
        v6::UNREACHABLE => IcmpMessage::Unreachable { code, quote: Quote::parse_v6(body)? },
        v6::PACKET_TOO_BIG => IcmpMessage::PacketTooBig { mtu: word, quote: Quote::parse_v6(body)? },
        v6::TIME_EXCEEDED => IcmpMessage::TimeExceeded { code, quote: Quote::parse_v6(body)? },
        v6::PARAMETER_PROBLEM => {
            IcmpMessage::ParameterProblem { code, pointer: word, quote: Quote::parse_v6(body)? }
        }
        ..128 => IcmpMessage::UnknownError { kind, code, quote: Quote::parse_v6(body)? },
        _ => IcmpMessage::Other { kind, code },
    })
}

/// A message taken apart, its checksum verified.
struct Message<'a> {
    kind: u8,
    code: u8,
    /// The second word of the header.
    word: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn split(bytes: &'a [u8], mut sum: Checksum) -> Result<Self, ParseError> {
        let (header, body) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(ParseError::IcmpTruncated)?;
        sum.add(bytes);
        if sum.fold() != 0xffff {
            return Err(ParseError::IcmpChecksum);
        }
        let [kind, code, _, _, a, b, c, d] = *header;
        Ok(Self { kind, code, word: u32::from_be_bytes([a, b, c, d]), body })
    }

    const fn echo_request(self) -> IcmpMessage<'a> {
        IcmpMessage::EchoRequest { ident: (self.word >> 16) as u16, seq: self.word as u16, data: self.body }
    }

    const fn echo_reply(self) -> IcmpMessage<'a> {
        IcmpMessage::EchoReply { ident: (self.word >> 16) as u16, seq: self.word as u16, data: self.body }
    }
}

/// The start of one of our packets, as an ICMP error brought it back.
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let offender = doc::segment().0;
/// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
/// let packet = IpView::parse(&packet[..len])?;
/// let IcmpMessage::Unreachable { quote, .. } = icmp::parse_v4(packet.payload())? else { panic!("it is one") };
/// assert_eq!(quote.src(), to.dst, "it was ours");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quote<'a> {
    src: IpAddr,
    dst: IpAddr,
    protocol: Protocol,
    transport: &'a [u8],
}

impl<'a> Quote<'a> {
    /// The header checksum is not looked at: routers lower the hop limit, and not all of them mend the copy.
    fn parse_v4(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, _) =
            bytes.split_first_chunk::<{ ipv4::MIN_HEADER_LEN }>().ok_or(ParseError::IcmpQuoteTruncated)?;
        let [version_ihl, _, l0, l1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            *fixed;
        let header_len = usize::from(version_ihl & 0xf).saturating_mul(4);
        let total_len = usize::from(u16::from_be_bytes([l0, l1]));
        let offset = u16::from_be_bytes([f0, f1]) & 0x1fff;
        if version_ihl >> 4 != 4
            || header_len < ipv4::MIN_HEADER_LEN
            || total_len < header_len.saturating_add(MIN_QUOTED_TRANSPORT)
            || offset != 0
        {
            return Err(ParseError::IcmpQuoteInvalid);
        }
        let transport = bytes.get(header_len..total_len.min(bytes.len())).unwrap_or_default();
        let src = Ipv4Addr::new(s0, s1, s2, s3).into();
        let dst = Ipv4Addr::new(d0, d1, d2, d3).into();
        Self { src, dst, protocol: Protocol(protocol), transport }.long_enough()
    }

    fn parse_v6(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, _) =
            bytes.split_first_chunk::<{ ipv6::HEADER_LEN }>().ok_or(ParseError::IcmpQuoteTruncated)?;
        if fixed[0] >> 4 != 6 {
            return Err(ParseError::IcmpQuoteInvalid);
        }
        let total_len =
            ipv6::HEADER_LEN.saturating_add(usize::from(u16::from_be_bytes([fixed[4], fixed[5]])));
        let packet = bytes.get(..total_len).unwrap_or(bytes);
        let chain = Chain::walk(packet).map_err(|error| match error {
            ParseError::Ipv6ExtensionLength => ParseError::IcmpQuoteTruncated,
            _ => ParseError::IcmpQuoteInvalid,
        })?;
        if chain.fragment.is_some_and(|fragment| fragment.offset != 0) {
            return Err(ParseError::IcmpQuoteInvalid);
        }
        let transport = packet.get(chain.payload_at..).unwrap_or_default();
        let [_, _, _, _, _, _, _, _, addresses @ ..] = fixed;
        let (src, dst) = addresses.split_at(16);
        let (Some(src), Some(dst)) = (src.first_chunk::<16>(), dst.first_chunk::<16>()) else {
            return Err(ParseError::IcmpQuoteTruncated);
        };
        let (src, dst) = (Ipv6Addr::from(*src).into(), Ipv6Addr::from(*dst).into());
        Self { src, dst, protocol: chain.protocol, transport }.long_enough()
    }

    fn long_enough(self) -> Result<Self, ParseError> {
        if self.transport.len() < MIN_QUOTED_TRANSPORT {
            return Err(ParseError::IcmpQuoteTruncated);
        }
        Ok(self)
    }

    /// Source of the quoted packet: one of our addresses, if it is ours.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let offender = doc::segment().0;
    /// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
    /// let mut packet = [0; 128];
    /// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
    /// let packet = IpView::parse(&packet[..len])?;
    /// let IcmpMessage::Unreachable { quote, .. } = icmp::parse_v4(packet.payload())? else { panic!("it is one") };
    /// assert_eq!(quote.src(), to.dst, "it was ours");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn src(&self) -> IpAddr {
        self.src
    }

    /// Destination of the quoted packet.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let offender = doc::segment().0;
    /// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
    /// let mut packet = [0; 128];
    /// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
    /// let packet = IpView::parse(&packet[..len])?;
    /// let IcmpMessage::Unreachable { quote, .. } = icmp::parse_v4(packet.payload())? else { panic!("it is one") };
    /// println!("{} cannot be reached", quote.dst());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn dst(&self) -> IpAddr {
        self.dst
    }

    /// Upper layer of the quoted packet, behind all extension headers.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let offender = doc::segment().0;
    /// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
    /// let mut packet = [0; 128];
    /// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
    /// let packet = IpView::parse(&packet[..len])?;
    /// let IcmpMessage::Unreachable { quote, .. } = icmp::parse_v4(packet.payload())? else { panic!("it is one") };
    /// assert_eq!(quote.protocol(), carrick_wire::Protocol::TCP);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What is left of the upper layer: at least 8 bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let offender = doc::segment().0;
    /// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
    /// let mut packet = [0; 128];
    /// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
    /// let packet = IpView::parse(&packet[..len])?;
    /// let IcmpMessage::Unreachable { quote, .. } = icmp::parse_v4(packet.payload())? else { panic!("it is one") };
    /// assert_eq!(quote.transport().len(), 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn transport(&self) -> &'a [u8] {
        self.transport
    }

    /// Ports and sequence number, if the quoted packet is TCP.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
    /// use carrick_wire::IpView;
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let offender = doc::segment().0;
    /// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
    /// let mut packet = [0; 128];
    /// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
    /// let packet = IpView::parse(&packet[..len])?;
    /// let IcmpMessage::Unreachable { quote, .. } = icmp::parse_v4(packet.payload())? else { panic!("it is one") };
    /// assert_eq!(quote.tcp().map(|tcp| tcp.dst_port), Some(80));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tcp(&self) -> Option<QuotedTcp> {
        if self.protocol != Protocol::TCP {
            return None;
        }
        Some(QuotedTcp {
            src_port: be16(self.transport, 0)?,
            dst_port: be16(self.transport, 2)?,
            seq: SeqNum::new(be32(self.transport, 4)?),
        })
    }
}

/// The part of a quoted TCP header that every error brings back.
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let offender = doc::segment().0;
/// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
/// let packet = IpView::parse(&packet[..len])?;
/// let IcmpMessage::Unreachable { quote, .. } = icmp::parse_v4(packet.payload())? else { panic!("it is one") };
/// assert_eq!(quote.tcp().map(|tcp| tcp.dst_port), Some(80));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct QuotedTcp {
    /// Source port: ours.
    pub src_port: u16,
    /// Destination port: the peer's.
    pub dst_port: u16,
    /// Sequence number of the segment.
    pub seq: SeqNum,
}

/// Whether an error about `offender` may be sent (RFC 1122 §3.2.2, RFC 4443 §2.4 e).
///
/// Not about an ICMP error or redirect, a packet to a multicast or broadcast address, a fragment other than
/// the first, or a source that is not one host. A subnet's own broadcast address is for the caller to know.
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope};
/// use carrick_wire::IpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let offender = doc::segment().0;
/// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(!icmp::may_answer(&packet), "an error is not answered with an error");
/// assert!(icmp::may_answer(&IpView::parse_head(&offender[..], 2000)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn may_answer<B: AsRef<[u8]>>(offender: &IpView<B>) -> bool {
    !is_group(offender.dst())
        && !is_martian_source(offender.src())
        && offender.fragment().is_none_or(|fragment| fragment.offset == 0)
        && !is_error(offender.protocol(), offender.payload())
}

/// Whether a message is one that must not be answered with an error; one too short to tell counts as such.
fn is_error(protocol: Protocol, payload: &[u8]) -> bool {
    let kind = payload.first().copied();
    match protocol {
        Protocol::ICMP => kind.is_none_or(|kind| {
            matches!(
                kind,
                v4::UNREACHABLE
                    | v4::SOURCE_QUENCH
                    | v4::REDIRECT
                    | v4::TIME_EXCEEDED
                    | v4::PARAMETER_PROBLEM
            )
        }),
        Protocol::ICMPV6 => kind.is_none_or(|kind| kind < 128 || kind == v6::REDIRECT),
        _ => false,
    }
}

/// What to say about an IPv6 packet that [`IpView::parse`] refused with `error`, and to whom.
///
/// # Examples
/// ```
/// use carrick_wire::{IpView, icmp};
///
/// let short = [0x60, 0, 0];
/// let error = IpView::parse(&short[..]).unwrap_err();
/// assert!(icmp::answer_to_refused(&short, error).is_none(), "nobody is told");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The refused packet's source: where the answer goes.
    pub to: Ipv6Addr,
    /// The refused packet's destination: the answer's source, if it is a unicast address of ours.
    pub sent_to: Ipv6Addr,
    /// What the answer says.
    pub problem: ParameterProblem,
}

/// The answer that `packet`, refused with `error`, deserves; `None` if it deserves silence.
///
/// The same rules as [`may_answer`], apart from fragments, whose errors RFC 8200 §4.5 wants answered; the chain
/// is followed as far as it goes to see whether an ICMP error is at its end.
///
/// # Examples
/// ```
/// use carrick_wire::{IpView, icmp};
///
/// let short = [0x60, 0, 0];
/// let error = IpView::parse(&short[..]).unwrap_err();
/// assert!(icmp::answer_to_refused(&short, error).is_none(), "nobody is told");
/// ```
#[must_use]
pub fn answer_to_refused(packet: &[u8], error: ParseError) -> Option<Answer> {
    let problem = error.icmp_answer()?;
    let fixed = packet.first_chunk::<{ ipv6::HEADER_LEN }>()?;
    if fixed[0] >> 4 != 6 {
        return None;
    }
    let to = Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?);
    let sent_to = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
    let about_error = ipv6::upper_layer_of_refused(packet)
        .is_some_and(|(protocol, payload)| protocol == Protocol::ICMPV6 && is_error(protocol, payload));
    let silent =
        about_error || is_martian_source(to.into()) || sent_to.is_multicast() && !problem.even_if_multicast;
    (!silent).then_some(Answer { to, sent_to, problem })
}

/// Writes an echo reply with the request's `ident`, `seq` and `data`: a whole packet. Returns its length.
///
/// # Errors
/// As [`IpHeader::emit`].
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// let to = Envelope { src: "192.0.2.1".parse()?, dst: "192.0.2.2".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_echo_reply(&mut packet, to, 7, 1, b"hello")?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(matches!(icmp::parse_v4(packet.payload())?, IcmpMessage::EchoReply { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn emit_echo_reply(
    buf: &mut [u8],
    to: Envelope,
    ident: u16,
    seq: u16,
    data: &[u8],
) -> Result<usize, BuildError> {
    let kind = if to.src.is_ipv4() { v4::ECHO_REPLY } else { v6::ECHO_REPLY };
    to.emit(buf, kind, 0, u32::from(ident) << 16 | u32::from(seq), data)
}

/// Writes a Destination Unreachable with `code`, which is the family's own, about `offender`, a whole packet.
///
/// # Errors
/// As [`IpHeader::emit`].
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let offender = doc::segment().0;
/// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_unreachable(&mut packet, to, 1, &offender)?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(matches!(icmp::parse_v4(packet.payload())?, IcmpMessage::Unreachable { code: 1, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn emit_unreachable(
    buf: &mut [u8],
    to: Envelope,
    code: u8,
    offender: &[u8],
) -> Result<usize, BuildError> {
    let kind = if to.src.is_ipv4() { v4::UNREACHABLE } else { v6::UNREACHABLE };
    to.emit(buf, kind, code, 0, to.quote(offender))
}

/// Writes a Time Exceeded with `code`: 0 in transit, 1 in reassembly.
///
/// # Errors
/// As [`IpHeader::emit`].
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let offender = doc::segment().0;
/// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_time_exceeded(&mut packet, to, 0, &offender)?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(matches!(icmp::parse_v4(packet.payload())?, IcmpMessage::TimeExceeded { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn emit_time_exceeded(
    buf: &mut [u8],
    to: Envelope,
    code: u8,
    offender: &[u8],
) -> Result<usize, BuildError> {
    let kind = if to.src.is_ipv4() { v4::TIME_EXCEEDED } else { v6::TIME_EXCEEDED };
    to.emit(buf, kind, code, 0, to.quote(offender))
}

/// Writes a Parameter Problem with `code` and `pointer` into `offender`.
///
/// # Errors
/// As [`IpHeader::emit`]; besides [`BuildError::NotInFamily`] for a pointer above 255 in IPv4.
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let offender = doc::segment().0;
/// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_parameter_problem(&mut packet, to, 0, 9, &offender)?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(matches!(icmp::parse_v4(packet.payload())?, IcmpMessage::ParameterProblem { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn emit_parameter_problem(
    buf: &mut [u8],
    to: Envelope,
    code: u8,
    pointer: u32,
    offender: &[u8],
) -> Result<usize, BuildError> {
    let (kind, word) = if to.src.is_ipv4() {
        let pointer = u8::try_from(pointer).map_err(|_| BuildError::NotInFamily)?;
        (v4::PARAMETER_PROBLEM, u32::from(pointer) << 24)
    } else {
        (v6::PARAMETER_PROBLEM, pointer)
    };
    to.emit(buf, kind, code, word, to.quote(offender))
}

/// Writes a Packet Too Big, in IPv4 the "fragmentation needed" of RFC 1191, naming `mtu` bytes.
///
/// # Errors
/// As [`IpHeader::emit`]; besides [`BuildError::NotInFamily`] for an MTU above 65,535 in IPv4.
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let offender = doc::segment().0;
/// let to = Envelope { src: "192.0.2.254".parse()?, dst: "192.0.2.1".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_packet_too_big(&mut packet, to, 1400, &offender)?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert!(matches!(icmp::parse_v4(packet.payload())?, IcmpMessage::PacketTooBig { mtu: 1400, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn emit_packet_too_big(
    buf: &mut [u8],
    to: Envelope,
    mtu: u32,
    offender: &[u8],
) -> Result<usize, BuildError> {
    let (kind, code) = if to.src.is_ipv4() {
        if mtu > u32::from(u16::MAX) {
            return Err(BuildError::NotInFamily);
        }
        (v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED)
    } else {
        (v6::PACKET_TOO_BIG, 0)
    };
    to.emit(buf, kind, code, mtu, to.quote(offender))
}

/// From whom to whom a message goes; type of service, flow label and identification are zero.
///
/// # Examples
/// ```
/// use carrick_wire::icmp::{self, Envelope, IcmpMessage};
/// use carrick_wire::IpView;
///
/// let to = Envelope { src: "192.0.2.1".parse()?, dst: "192.0.2.2".parse()?, hop_limit: 64 };
/// let mut packet = [0; 128];
/// let len = icmp::emit_echo_reply(&mut packet, to, 7, 1, b"hello")?;
/// let packet = IpView::parse(&packet[..len])?;
/// assert_eq!(packet.dst(), to.dst);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Envelope {
    /// One of our addresses.
    pub src: IpAddr,
    /// The receiver.
    pub dst: IpAddr,
    /// Time to live or hop limit.
    pub hop_limit: u8,
}

impl Envelope {
    /// As much of `offender` as an error may quote.
    fn quote<'a>(&self, offender: &'a [u8]) -> &'a [u8] {
        let max = match self.src {
            IpAddr::V4(_) => const { MAX_ERROR_LEN_V4 - ipv4::MIN_HEADER_LEN - HEADER_LEN },
            IpAddr::V6(_) => const { MAX_ERROR_LEN_V6 - ipv6::HEADER_LEN - HEADER_LEN },
        };
        offender.get(..max).unwrap_or(offender)
    }

    fn emit(&self, buf: &mut [u8], kind: u8, code: u8, word: u32, body: &[u8]) -> Result<usize, BuildError> {
        let Self { src, dst, hop_limit } = *self;
        let protocol = if src.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
        let len = body.len().checked_add(HEADER_LEN).ok_or(BuildError::TooLong)?;
        let ip = IpHeader { hop_limit, payload_len: len, ..IpHeader::new(src, dst, protocol) };
        let at = ip.emit(buf)?;
        let message =
            buf.get_mut(at..).and_then(|rest| rest.get_mut(..len)).ok_or(BuildError::BufferTooShort)?;
        put(message, 0, [kind, code, 0, 0])?;
        put(message, 4, word.to_be_bytes())?;
        message.get_mut(HEADER_LEN..).ok_or(BuildError::BufferTooShort)?.copy_from_slice(body);
        let mut sum =
            if src.is_ipv4() { Checksum::new() } else { Checksum::pseudo_header(src, dst, protocol, len) };
        sum.add(message);
        put(message, 2, sum.finish().to_be_bytes())?;
        Ok(at.saturating_add(len))
    }
}
