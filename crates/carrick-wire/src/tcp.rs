//! The TCP header (RFC 9293 §3.1): [`TcpView`] reads a segment, [`TcpHeader`] writes one.
//!
//! A view is made only if the data offset lies within the segment and the options are well formed; they are
//! walked once and kept. The checksum is a separate question, because a device may vouch for it.

use core::fmt;
use core::net::IpAddr;
use core::ops::{BitOr, BitOrAssign};

use pnet_packet::tcp::{MutableTcpPacket, TcpPacket};

use crate::checksum::Checksum;
use crate::error::{BuildError, ParseError};
use crate::ip::Protocol;
use crate::options::TcpOptions;
use crate::put;
use crate::seq::SeqNum;
use crate::window::WireWindow;

/// The header without options, in bytes.
pub const MIN_HEADER_LEN: usize = 20;
const CHECKSUM_AT: usize = 16;

/// A received segment: header and payload, validated.
///
/// # Examples
/// ```
/// use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
///
/// let header = TcpHeader {
///     src_port: 49_152,
///     dst_port: 80,
///     seq: SeqNum::new(7),
///     flags: TcpFlags::SYN,
///     window: WireWindow::new(512),
///     ..TcpHeader::default()
/// };
/// let mut segment = [0; 25];
/// header.emit(&mut segment)?;
/// segment[20..].copy_from_slice(b"hello");
/// let view = TcpView::parse(&segment[..])?;
/// assert_eq!((view.seq(), view.payload()), (SeqNum::new(7), &b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TcpView<B> {
    buffer: B,
    header_len: u8,
    options: TcpOptions,
}

impl<B: AsRef<[u8]>> TcpView<B> {
    /// Takes `buffer`, a whole segment, if its lengths agree and its options are well formed.
    ///
    /// # Errors
    /// [`ParseError::TcpTruncated`], [`ParseError::TcpDataOffset`] or [`ParseError::TcpOptionLength`].
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.dst_port(), 80);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(buffer: B) -> Result<Self, ParseError> {
        let bytes = buffer.as_ref();
        let header = TcpPacket::new(bytes).ok_or(ParseError::TcpTruncated)?;
        // Four bits times four: at most 60.
        let header_len = header.get_data_offset() << 2;
        let area = bytes.get(MIN_HEADER_LEN..usize::from(header_len)).ok_or(ParseError::TcpDataOffset)?;
        let options = if area.is_empty() { TcpOptions::default() } else { TcpOptions::parse(area)? };
        Ok(Self { buffer, header_len, options })
    }

    /// Source port; 0 is not refused here.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.src_port(), 49_152);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn src_port(&self) -> u16 {
        self.header().map_or(0, |header| header.get_source())
    }

    /// Destination port; 0 is not refused here.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.dst_port(), 80);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn dst_port(&self) -> u16 {
        self.header().map_or(0, |header| header.get_destination())
    }

    /// Sequence number of the first payload byte, or of SYN if there is one.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.seq(), SeqNum::new(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        SeqNum::new(self.header().map_or(0, |header| header.get_sequence()))
    }

    /// Acknowledgment number; meaningful only with ACK.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.ack(), SeqNum::new(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ack(&self) -> SeqNum {
        SeqNum::new(self.header().map_or(0, |header| header.get_acknowledgement()))
    }

    /// The flags; the three bits that are still reserved are left out.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.flags(), TcpFlags::SYN);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn flags(&self) -> TcpFlags {
        let Some(header) = self.header() else { return TcpFlags::EMPTY };
        TcpFlags((u16::from(header.get_reserved()) & 1) << 8 | u16::from(header.get_flags()))
    }

    /// The window, not scaled.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.window(), WireWindow::new(512));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn window(&self) -> WireWindow {
        WireWindow::new(self.header().map_or(0, |header| header.get_window()))
    }

    /// The urgent pointer; meaningful only with URG.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.urgent(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn urgent(&self) -> u16 {
        self.header().map_or(0, |header| header.get_urgent_ptr())
    }

    /// The checksum as carried.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.checksum(), 0, "nobody has filled it in");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.header().map_or(0, |header| header.get_checksum())
    }

    /// The options.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.options().mss, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn options(&self) -> &TcpOptions {
        &self.options
    }

    /// Length of the header with options in bytes: 20..=60.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.header_len(), 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.header_len)
    }

    /// What follows the header.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.payload(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.buffer.as_ref().get(self.header_len()..).unwrap_or_default()
    }

    /// Whether the checksum is right for a segment from `src` to `dst` (RFC 9293 §3.1).
    ///
    /// A field of 0x0000 and one of 0xffff are the same number in this arithmetic and are both accepted.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// let (src, dst) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
    /// assert!(!view.verify_checksum(src, dst), "nobody has filled it in");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn verify_checksum(&self, src: IpAddr, dst: IpAddr) -> bool {
        let bytes = self.buffer.as_ref();
        let mut sum = Checksum::pseudo_header(src, dst, Protocol::TCP, bytes.len());
        sum.add(bytes);
        sum.fold() == 0xffff
    }

    /// The buffer that the view was made from.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.into_inner(), segment);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_inner(self) -> B {
        self.buffer
    }

    /// `None` only for a buffer that has shrunk since `parse`, which would be its own fault.
    #[inline]
    fn header(&self) -> Option<TcpPacket<'_>> {
        TcpPacket::new(self.buffer.as_ref())
    }
}

impl<'a> TcpView<&'a [u8]> {
    /// The payload for as long as the bytes that were parsed live.
    ///
    /// # Examples
    /// ```
    /// # use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
    /// #
    /// # let header = TcpHeader {
    /// #     src_port: 49_152,
    /// #     dst_port: 80,
    /// #     seq: SeqNum::new(7),
    /// #     flags: TcpFlags::SYN,
    /// #     window: WireWindow::new(512),
    /// #     ..TcpHeader::default()
    /// # };
    /// # let mut segment = [0; 25];
    /// # header.emit(&mut segment)?;
    /// # segment[20..].copy_from_slice(b"hello");
    /// let view = TcpView::parse(&segment[..])?;
    /// assert_eq!(view.payload_slice(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload_slice(&self) -> &'a [u8] {
        self.buffer.get(self.header_len()..).unwrap_or_default()
    }
}

/// A TCP header to write; the default is all zeros without options.
///
/// # Examples
/// ```
/// use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
///
/// let header = TcpHeader {
///     src_port: 49_152,
///     dst_port: 80,
///     seq: SeqNum::new(7),
///     flags: TcpFlags::SYN,
///     window: WireWindow::new(512),
///     ..TcpHeader::default()
/// };
/// let mut segment = [0; 25];
/// header.emit(&mut segment)?;
/// segment[20..].copy_from_slice(b"hello");
/// assert_eq!(TcpView::parse(&segment[..])?.flags(), TcpFlags::SYN);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpHeader {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: SeqNum,
    /// Acknowledgment number.
    pub ack: SeqNum,
    /// Flags.
    pub flags: TcpFlags,
    /// Window as carried.
    pub window: WireWindow,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options.
    pub options: TcpOptions,
}

impl TcpHeader {
    /// Length with options in bytes: 20..=60.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_wire::TcpHeader::default().header_len(), 20);
    /// ```
    #[must_use]
    pub fn header_len(&self) -> usize {
        MIN_HEADER_LEN.saturating_add(self.options.encoded_len())
    }

    /// Writes the header to the start of `buf` with a checksum of zero, and returns its length.
    ///
    /// # Errors
    /// [`BuildError::BufferTooShort`] if `buf` is shorter than [`TcpHeader::header_len`].
    ///
    /// # Examples
    /// ```
    /// let header = carrick_wire::TcpHeader::default();
    /// assert_eq!(header.emit(&mut [0; 20])?, 20);
    /// assert!(header.emit(&mut [0; 19]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, BuildError> {
        let (fixed, area) = buf.split_at_mut_checked(MIN_HEADER_LEN).ok_or(BuildError::BufferTooShort)?;
        let options_len = self.options.emit(area)?;
        let header_len = MIN_HEADER_LEN.saturating_add(options_len);
        let mut header = MutableTcpPacket::new(fixed).ok_or(BuildError::BufferTooShort)?;
        header.set_source(self.src_port);
        header.set_destination(self.dst_port);
        header.set_sequence(self.seq.get());
        header.set_acknowledgement(self.ack.get());
        header.set_data_offset((header_len >> 2) as u8); // 5..=15
        header.set_reserved((self.flags.0 >> 8) as u8); // AE alone
        header.set_flags(self.flags.0 as u8); // the lower eight
        header.set_window(self.window.get());
        header.set_checksum(0);
        header.set_urgent_ptr(self.urgent);
        Ok(header_len)
    }
}

/// Stores `checksum` in the header at the start of `segment`.
///
/// # Errors
/// [`BuildError::BufferTooShort`] if there is no whole header.
///
/// # Examples
/// ```
/// let mut segment = [0; 20];
/// carrick_wire::tcp::set_checksum(&mut segment, 0xabcd)?;
/// assert_eq!(segment[16..18], [0xab, 0xcd]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_checksum(segment: &mut [u8], checksum: u16) -> Result<(), BuildError> {
    put(segment, CHECKSUM_AT, checksum.to_be_bytes())
}

/// The control bits, AE among them (RFC 9293 §3.1, RFC 9768 §3.1).
///
/// # Examples
/// ```
/// use carrick_wire::TcpFlags;
///
/// let flags = TcpFlags::SYN | TcpFlags::ACK;
/// assert!(flags.contains(TcpFlags::ACK));
/// assert_eq!(flags.to_string(), "[S.]");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TcpFlags(u16);

impl TcpFlags {
    /// No flag.
    pub const EMPTY: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(1);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(1 << 1);
    /// Reset the connection.
    pub const RST: Self = Self(1 << 2);
    /// Push.
    pub const PSH: Self = Self(1 << 3);
    /// The acknowledgment number is meaningful.
    pub const ACK: Self = Self(1 << 4);
    /// The urgent pointer is meaningful.
    pub const URG: Self = Self(1 << 5);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(1 << 6);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(1 << 7);
    /// Accurate ECN (RFC 9768).
    pub const AE: Self = Self(1 << 8);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::FIN, "F"),
        (Self::SYN, "S"),
        (Self::RST, "R"),
        (Self::PSH, "P"),
        (Self::ACK, "."),
        (Self::URG, "U"),
        (Self::ECE, "E"),
        (Self::CWR, "W"),
        (Self::AE, "e"),
    ];

    /// The flags in `bits`: FIN is bit 0, CWR bit 7, AE bit 8; other bits are left out.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::TcpFlags;
    ///
    /// let flags = TcpFlags::SYN | TcpFlags::ACK;
    /// assert_eq!(TcpFlags::from_bits(0x12), flags);
    /// ```
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0x1ff)
    }

    /// FIN is bit 0, CWR bit 7, AE bit 8.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::TcpFlags;
    ///
    /// let flags = TcpFlags::SYN | TcpFlags::ACK;
    /// assert_eq!(flags.bits(), 0x12);
    /// ```
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other` are set.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::TcpFlags;
    ///
    /// let flags = TcpFlags::SYN | TcpFlags::ACK;
    /// assert!(flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::FIN));
    /// ```
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::TcpFlags;
    ///
    /// let flags = TcpFlags::SYN | TcpFlags::ACK;
    /// assert!(flags.intersects(TcpFlags::SYN | TcpFlags::FIN));
    /// ```
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags without `other`.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::TcpFlags;
    ///
    /// let flags = TcpFlags::SYN | TcpFlags::ACK;
    /// assert_eq!(flags.difference(TcpFlags::ACK), TcpFlags::SYN);
    /// ```
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for TcpFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// As tcpdump prints them: `[S.]`, `[FP.]`, `[none]`.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::EMPTY {
            return f.write_str("[none]");
        }
        f.write_str("[")?;
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                f.write_str(name)?;
            }
        }
        f.write_str("]")
    }
}
