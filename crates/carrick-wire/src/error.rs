//! Why bytes were refused, and why a packet could not be written.

use core::fmt;

/// Why received bytes are not a packet we take; one variant per reason, each worth its own counter.
///
/// Variants with a `pointer` give its offset in bytes from the start of the IPv6 header.
///
/// # Examples
/// ```
/// use carrick_wire::IpView;
///
/// let error = IpView::parse(&[0x45, 0, 0][..]).unwrap_err();
/// println!("refused: {error}");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ParseError {
    /// Shorter than the fixed IP header (RFC 791 §3.1, RFC 8200 §3).
    Truncated,
    /// Neither version 4 nor 6 (RFC 1122 §3.2.1.1).
    Version,
    /// IPv4 header length under 20 bytes or past the packet.
    Ipv4HeaderLength,
    /// IPv4 total length smaller than the header or larger than what arrived.
    Ipv4TotalLength,
    /// IPv4 header checksum wrong (RFC 1122 §3.2.1.2).
    Ipv4Checksum,
    /// IPv4 option of length 0 or 1, or running past the header.
    Ipv4OptionLength,
    /// IPv4 loose or strict source route: refused by policy (RFC 1122 §3.2.1.8c).
    Ipv4SourceRoute,
    /// IPv6 payload length larger than what arrived.
    Ipv6PayloadLength,
    /// IPv6 extension header running past the packet.
    Ipv6ExtensionLength,
    /// More or larger IPv6 extension headers, options or padding than a host need bear (RFC 8504 §5.3).
    Ipv6ChainLimit,
    /// Hop-by-Hop header anywhere but directly after the fixed header (RFC 8200 §4).
    Ipv6HopByHopPosition {
        /// Of the Next Header field that announced it.
        pointer: u32,
    },
    /// Next Header of a kind we do not know, AH and ESP included (RFC 8200 §4).
    Ipv6NextHeader {
        /// Of the Next Header field.
        pointer: u32,
    },
    /// No Next Header (59): there is nothing to process (RFC 8200 §4.7).
    Ipv6NoNextHeader,
    /// Unknown option whose type asks for silence (RFC 8200 §4.2, bits 01).
    Ipv6OptionSilent,
    /// Unknown option whose type asks for an answer, to a multicast packet as well (RFC 8200 §4.2, bits 10).
    Ipv6OptionAnswer {
        /// Of the option's type.
        pointer: u32,
    },
    /// Unknown option whose type asks for an answer to unicast packets (RFC 8200 §4.2, bits 11).
    Ipv6OptionAnswerUnicast {
        /// Of the option's type.
        pointer: u32,
    },
    /// Option running past its extension header.
    Ipv6OptionLength {
        /// Of the option's length, or of its type where even the length is missing.
        pointer: u32,
    },
    /// Routing header that has segments left, of a type we do not know, which type 0 is too (RFC 8200 §4.4,
    /// RFC 5095).
    Ipv6RoutingType {
        /// Of the routing type.
        pointer: u32,
    },
    /// IPv4 fragment, not the last, whose length is not a multiple of 8 (RFC 791 §3.2).
    Ipv4FragmentLength,
    /// IPv6 fragment, not the last, whose length is not a multiple of 8 (RFC 8200 §4.5).
    Ipv6FragmentLength,
    /// IPv4 fragment that ends beyond 65,535 bytes.
    Ipv4FragmentEnd,
    /// IPv6 fragment that ends beyond 65,535 bytes (RFC 8200 §4.5).
    Ipv6FragmentEnd {
        /// Of the Fragment Offset field.
        pointer: u32,
    },
    /// Fragment without data.
    FragmentEmpty,
    /// First IPv4 fragment that splits the TCP header, or a TCP fragment at offset 8 (RFC 1858, RFC 3128).
    FragmentTiny,
    /// First IPv6 fragment without the whole header chain (RFC 8200 §4.5, RFC 7112 §5).
    Ipv6FragmentChain,
    /// Shorter than a TCP header (RFC 9293 §3.1).
    TcpTruncated,
    /// TCP data offset under 5 or past the segment (RFC 9293 §3.1).
    TcpDataOffset,
    /// TCP option of length 0 or 1, or running past the header (RFC 9293 §3.1, MUST-7).
    TcpOptionLength,
    /// Shorter than an ICMP header.
    IcmpTruncated,
    /// ICMP checksum wrong.
    IcmpChecksum,
    /// ICMP error whose quoted packet is cut before 8 bytes of its transport.
    IcmpQuoteTruncated,
    /// ICMP error whose quoted packet is not one we could have sent whole.
    IcmpQuoteInvalid,
}

/// What an ICMPv6 Parameter Problem about a refused packet should say (RFC 4443 §3.4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ParameterProblem {
    /// 0 erroneous field, 1 unknown Next Header, 2 unknown option (RFC 4443 §3.4), 3 incomplete header chain in
    /// a first fragment (RFC 7112 §5).
    pub code: u8,
    /// Offset of the offending field from the start of the refused packet, in bytes.
    pub pointer: u32,
    /// Whether to answer even if the refused packet was sent to a multicast address (RFC 4443 §2.4 e).
    pub even_if_multicast: bool,
}

impl ParseError {
    /// How many reasons there are.
    pub const COUNT: usize = 32;

    /// The reasons' names as counters, in the order of [`index`](Self::index); they stay the same.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "malformed_truncated",
        "malformed_version",
        "malformed_ipv4_header_length",
        "malformed_ipv4_total_length",
        "malformed_ipv4_checksum",
        "malformed_ipv4_option_length",
        "malformed_ipv4_source_route",
        "malformed_ipv6_payload_length",
        "malformed_ipv6_extension_length",
        "malformed_ipv6_chain_limit",
        "malformed_ipv6_hop_by_hop_position",
        "malformed_ipv6_next_header",
        "malformed_ipv6_no_next_header",
        "malformed_ipv6_option_silent",
        "malformed_ipv6_option_answer",
        "malformed_ipv6_option_answer_unicast",
        "malformed_ipv6_option_length",
        "malformed_ipv6_routing_type",
        "malformed_ipv4_fragment_length",
        "malformed_ipv6_fragment_length",
        "malformed_ipv4_fragment_end",
        "malformed_ipv6_fragment_end",
        "malformed_fragment_empty",
        "malformed_fragment_tiny",
        "malformed_ipv6_fragment_chain",
        "malformed_tcp_truncated",
        "malformed_tcp_data_offset",
        "malformed_tcp_option_length",
        "malformed_icmp_truncated",
        "malformed_icmp_checksum",
        "malformed_icmp_quote_truncated",
        "malformed_icmp_quote_invalid",
    ];

    /// A stable number below [`ParseError::COUNT`], for arrays of counters.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{IpView, ParseError};
    ///
    /// let mut refused = [0; ParseError::COUNT];
    /// let error = IpView::parse(&[0x45, 0, 0][..]).unwrap_err();
    /// refused[error.index()] += 1;
    /// ```
    #[must_use]
    pub const fn index(&self) -> usize {
        self.describe().0
    }

    /// The Parameter Problem that RFC 8200 asks for, if the reason is one that is answered.
    ///
    /// Whether the offender may be answered at all is for
    /// [`icmp::answer_to_refused`](crate::icmp::answer_to_refused).
    ///
    /// # Examples
    /// ```
    /// let error = carrick_wire::IpView::parse(&[0x45, 0, 0][..]).unwrap_err();
    /// assert!(error.icmp_answer().is_none(), "nobody is told");
    /// ```
    #[must_use]
    pub const fn icmp_answer(&self) -> Option<ParameterProblem> {
        let (code, pointer) = match *self {
            Self::Ipv6OptionLength { pointer }
            | Self::Ipv6RoutingType { pointer }
            | Self::Ipv6FragmentEnd { pointer } => (0, pointer),
            Self::Ipv6FragmentLength => (0, 4), // the Payload Length field
            Self::Ipv6HopByHopPosition { pointer } | Self::Ipv6NextHeader { pointer } => (1, pointer),
            Self::Ipv6OptionAnswer { pointer } | Self::Ipv6OptionAnswerUnicast { pointer } => (2, pointer),
            Self::Ipv6FragmentChain => (3, 0),
            _ => return None,
        };
        let even_if_multicast = matches!(self, Self::Ipv6OptionAnswer { .. });
        Some(ParameterProblem { code, pointer, even_if_multicast })
    }

    const fn describe(&self) -> (usize, &'static str) {
        match self {
            Self::Truncated => (0, "shorter than an IP header"),
            Self::Version => (1, "IP version neither 4 nor 6"),
            Self::Ipv4HeaderLength => (2, "IPv4 header length out of range"),
            Self::Ipv4TotalLength => (3, "IPv4 total length out of range"),
            Self::Ipv4Checksum => (4, "IPv4 header checksum wrong"),
            Self::Ipv4OptionLength => (5, "IPv4 option length out of range"),
            Self::Ipv4SourceRoute => (6, "IPv4 source route refused"),
            Self::Ipv6PayloadLength => (7, "IPv6 payload length past the packet"),
            Self::Ipv6ExtensionLength => (8, "IPv6 extension header past the packet"),
            Self::Ipv6ChainLimit => (9, "IPv6 extension headers over a limit"),
            Self::Ipv6HopByHopPosition { .. } => (10, "IPv6 Hop-by-Hop header not first"),
            Self::Ipv6NextHeader { .. } => (11, "IPv6 Next Header unknown"),
            Self::Ipv6NoNextHeader => (12, "IPv6 No Next Header"),
            Self::Ipv6OptionSilent => (13, "IPv6 unknown option, discarded in silence"),
            Self::Ipv6OptionAnswer { .. } => (14, "IPv6 unknown option, answered always"),
            Self::Ipv6OptionAnswerUnicast { .. } => (15, "IPv6 unknown option, answered unless multicast"),
            Self::Ipv6OptionLength { .. } => (16, "IPv6 option past its header"),
            Self::Ipv6RoutingType { .. } => (17, "IPv6 routing type unknown with segments left"),
            Self::Ipv4FragmentLength => (18, "IPv4 fragment length not a multiple of 8"),
            Self::Ipv6FragmentLength => (19, "IPv6 fragment length not a multiple of 8"),
            Self::Ipv4FragmentEnd => (20, "IPv4 fragment beyond 65,535 bytes"),
            Self::Ipv6FragmentEnd { .. } => (21, "IPv6 fragment beyond 65,535 bytes"),
            Self::FragmentEmpty => (22, "fragment without data"),
            Self::FragmentTiny => (23, "fragment splits the TCP header"),
            Self::Ipv6FragmentChain => (24, "IPv6 first fragment without the whole header chain"),
            Self::TcpTruncated => (25, "shorter than a TCP header"),
            Self::TcpDataOffset => (26, "TCP data offset out of range"),
            Self::TcpOptionLength => (27, "TCP option length out of range"),
            Self::IcmpTruncated => (28, "shorter than an ICMP header"),
            Self::IcmpChecksum => (29, "ICMP checksum wrong"),
            Self::IcmpQuoteTruncated => (30, "ICMP quote too short"),
            Self::IcmpQuoteInvalid => (31, "ICMP quote malformed"),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe().1)
    }
}

impl core::error::Error for ParseError {}

/// Why a packet could not be written; always the caller's own numbers, never a peer's.
///
/// # Examples
/// ```
/// let error = carrick_wire::TcpHeader::default().emit(&mut [0; 19]).unwrap_err();
/// println!("{error}");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BuildError {
    /// The buffer is shorter than what was to be written.
    BufferTooShort,
    /// Source and destination are of different families.
    MixedFamilies,
    /// Header and payload together exceed what the length field holds.
    TooLong,
    /// The message does not exist in the addresses' family, or a number does not fit its field there.
    NotInFamily,
    /// A super-segment's header is not an IP and a TCP header whose lengths agree with its payload.
    SuperSegmentHeader,
    /// More payload slices than a frame may have.
    TooManySlices,
    /// SYN or RST on a super-segment that needs more than one packet.
    NotDivisible,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferTooShort => "buffer too short",
            Self::MixedFamilies => "source and destination of different families",
            Self::TooLong => "packet longer than its length field can say",
            Self::NotInFamily => "message or number unknown to this IP family",
            Self::SuperSegmentHeader => "super-segment header and payload disagree",
            Self::TooManySlices => "too many payload slices",
            Self::NotDivisible => "SYN or RST on a super-segment",
        })
    }
}

impl core::error::Error for BuildError {}
