//! Super-segments: one header and up to 64 KiB of payload that stand for many packets, and how to cut them.
//!
//! The header is an IP and a TCP header as for one large packet; its TCP checksum field holds the *partial*
//! form, the folded and not inverted sum of the pseudo-header. A device that segments takes it as it is; for
//! one that does not, [`Segmenter`] cuts it into packets, and [`complete_checksum`] serves where it leaves as
//! one.
//!
//! ```text
//!   header | ======payload slice======|==slice==|=====slice=====          segment_size 4:
//!   h'0 ====   h'1 ====   h'2 ====   h'3 ====   ...   h'n ==               every payload by reference
//! ```
//!
//! Invariant: the payloads of the cut, put together, are the payload given, and each packet is one that a
//! receiver accepts by itself: its own lengths, identification, sequence number and whole checksums (unless the
//! partial form is asked for); FIN and PSH on the last alone, CWR on the first alone (RFC 3168 §6.1.2), the urgent
//! pointer moved along.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU16;

use crate::checksum::Checksum;
use crate::error::BuildError;
use crate::ip::Protocol;
use crate::tcp::{self, TcpFlags};
use crate::{be16, be32, ipv4, ipv6, put};

/// The most payload slices of a super-segment.
///
/// # Examples
/// ```
/// use carrick_wire::segmentation::{MAX_SLICES, Segmenter};
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (header, payload) = doc::segment();
/// let parts = [&payload[..1]; MAX_SLICES + 1];
/// assert!(Segmenter::new(&header, &parts, 1448.try_into()?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const MAX_SLICES: usize = 7;
/// An IPv4 and a TCP header, both with all options.
const MAX_HEADER_LEN: usize = 120;

/// Turns the partial checksum of a packet that leaves as one into the whole one.
///
/// # Errors
/// [`BuildError::SuperSegmentHeader`] if `header` is not an IP and a TCP header that agree with `payload`.
///
/// # Examples
/// ```
/// use carrick_wire::segmentation::complete_checksum;
/// use carrick_wire::TcpView;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (src, dst) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
/// # let (mut header, payload) = doc::segment();
/// complete_checksum(&mut header, &[&payload])?;
/// let segment = [&header[20..], &payload].concat();
/// assert!(TcpView::parse(&segment[..])?.verify_checksum(src, dst));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn complete_checksum(header: &mut [u8], payload: &[&[u8]]) -> Result<(), BuildError> {
    let Layout { tcp_at, .. } = Layout::of(header, payload)?;
    let tcp = header.get_mut(tcp_at..).ok_or(BuildError::SuperSegmentHeader)?;
    // The pseudo-header's sum stands in the field, so it is part of what is summed.
    let mut sum = Checksum::new();
    sum.add(tcp);
    for slice in payload {
        sum.add(slice);
    }
    tcp::set_checksum(tcp, sum.finish())
}

/// Cuts a super-segment into packets.
///
/// # Examples
/// ```
/// use carrick_wire::segmentation::{SegmentBuf, Segmenter};
///
/// // `header` is an IP and a TCP header, the checksum partial, and `payload` 2,000 bytes.
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (header, payload) = doc::segment();
/// let parts = [&payload[..]];
/// let mut segmenter = Segmenter::new(&header, &parts, 1448.try_into()?)?;
/// let mut segment = SegmentBuf::new();
/// let mut lengths = vec![];
/// while segmenter.next_segment(&mut segment) {
///     lengths.push(segment.parts().concat().len());
/// }
/// assert_eq!(lengths, [1448, 552]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Segmenter<'a> {
    header: &'a [u8],
    layout: Layout,
    segment_size: usize,
    /// What is left: the rest of a slice, then the slices after it.
    current: &'a [u8],
    slices: core::slice::Iter<'a, &'a [u8]>,
    /// Payload bytes cut so far.
    done: usize,
    /// Packets cut so far.
    count: u16,
    finished: bool,
    partial_checksums: bool,
}

impl<'a> Segmenter<'a> {
    /// Prepares to cut `payload` into pieces of `segment_size` bytes; without payload there is one packet.
    ///
    /// # Errors
    /// - [`BuildError::SuperSegmentHeader`] if `header` is not an IP and a TCP header, or disagrees with
    ///   `payload`;
    /// - [`BuildError::TooManySlices`] if there are more than [`MAX_SLICES`];
    /// - [`BuildError::NotDivisible`] if SYN or RST is set and one packet does not do.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::segmentation::{SegmentBuf, Segmenter};
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (header, payload) = doc::segment();
    /// let parts = [&payload[..]];
    /// let mut segmenter = Segmenter::new(&header, &parts, 1448.try_into()?)?;
    /// let mut segment = SegmentBuf::new();
    /// assert!(segmenter.next_segment(&mut segment));
    /// assert_eq!(segment.header().len(), 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        header: &'a [u8],
        payload: &'a [&'a [u8]],
        segment_size: NonZeroU16,
    ) -> Result<Self, BuildError> {
        if payload.len() > MAX_SLICES {
            return Err(BuildError::TooManySlices);
        }
        let layout = Layout::of(header, payload)?;
        let segment_size = usize::from(segment_size.get());
        let once = TcpFlags::SYN | TcpFlags::RST;
        if layout.payload_len > segment_size && layout.flags.intersects(once) {
            return Err(BuildError::NotDivisible);
        }
        let slices = payload.iter();
        Ok(Self {
            header,
            layout,
            segment_size,
            current: &[],
            slices,
            done: 0,
            count: 0,
            finished: false,
            partial_checksums: false,
        })
    }

    /// Leaves the TCP checksums in the partial form, for a device that completes them but does not segment.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::segmentation::{SegmentBuf, Segmenter};
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (header, payload) = doc::segment();
    /// let parts = [&payload[..]];
    /// let mut segmenter = Segmenter::new(&header, &parts, 1448.try_into()?)?.with_partial_checksums();
    /// let mut segment = SegmentBuf::new();
    /// assert!(segmenter.next_segment(&mut segment));
    /// assert_eq!(segment.header().len(), 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_partial_checksums(self) -> Self {
        Self { partial_checksums: true, ..self }
    }

    /// Writes the next packet to `out`; `false`, with `out` as it was, when there is none left.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::segmentation::{SegmentBuf, Segmenter};
    ///
    /// // `header` is an IP and a TCP header, the checksum partial, and `payload` 2,000 bytes.
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (header, payload) = doc::segment();
    /// let parts = [&payload[..]];
    /// let mut segmenter = Segmenter::new(&header, &parts, 1448.try_into()?)?;
    /// let mut segment = SegmentBuf::new();
    /// let mut lengths = vec![];
    /// while segmenter.next_segment(&mut segment) {
    ///     lengths.push(segment.parts().concat().len());
    /// }
    /// assert_eq!(lengths, [1448, 552]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_segment(&mut self, out: &mut SegmentBuf<'a>) -> bool {
        if self.finished {
            return false;
        }
        let len = self.segment_size.min(self.layout.payload_len.saturating_sub(self.done));
        let last = self.done.saturating_add(len) >= self.layout.payload_len;
        self.take_payload(len, out);
        // The layout was checked at the start, so there is no field that the header does not hold.
        let written = self.write_header(len, last, out).is_ok();
        self.done = self.done.saturating_add(len);
        self.count = self.count.wrapping_add(1);
        self.finished = last || !written;
        written
    }

    fn take_payload(&mut self, mut len: usize, out: &mut SegmentBuf<'a>) {
        out.parts = [&[]; MAX_SLICES];
        out.count = 0;
        while len > 0 {
            if self.current.is_empty() {
                let Some(slice) = self.slices.next() else { return };
                self.current = slice;
                continue;
            }
            let (part, rest) = self.current.split_at_checked(len).unwrap_or((self.current, &[]));
            // Each slice adds at most one part, and there are no more slices than places.
            let Some(place) = out.parts.get_mut(out.count) else { return };
            *place = part;
            out.count = out.count.saturating_add(1);
            self.current = rest;
            len = len.saturating_sub(part.len());
        }
    }

    fn write_header(&self, len: usize, last: bool, out: &mut SegmentBuf<'a>) -> Result<(), BuildError> {
        let Layout { tcp_at, header_len, src, dst, flags, .. } = self.layout;
        let header = out.header.get_mut(..header_len).ok_or(BuildError::SuperSegmentHeader)?;
        header.copy_from_slice(self.header);
        out.header_len = header_len;
        let (ip, tcp) = header.split_at_mut_checked(tcp_at).ok_or(BuildError::SuperSegmentHeader)?;

        let tcp_len = tcp.len().saturating_add(len);
        match src {
            IpAddr::V4(_) => {
                let total_len =
                    u16::try_from(tcp_at.saturating_add(tcp_len)).map_err(|_| BuildError::TooLong)?;
                let id = be16(ip, 4).unwrap_or_default().wrapping_add(self.count);
                put(ip, 2, total_len.to_be_bytes())?;
                put(ip, 4, id.to_be_bytes())?;
                put(ip, 10, [0, 0])?;
                let mut sum = Checksum::new();
                sum.add(ip);
                put(ip, 10, sum.finish().to_be_bytes())?;
            }
            IpAddr::V6(_) => {
                let payload_len = u16::try_from(tcp_len).map_err(|_| BuildError::TooLong)?;
                put(ip, 4, payload_len.to_be_bytes())?;
            }
        }

        // Below 65,536, so the cast is exact.
        let offset = self.done as u32;
        let seq = be32(tcp, 4).unwrap_or_default().wrapping_add(offset);
        put(tcp, 4, seq.to_be_bytes())?;
        let mut segment_flags = flags;
        if !last {
            segment_flags = segment_flags.difference(TcpFlags::FIN | TcpFlags::PSH);
        }
        if self.done > 0 {
            segment_flags = segment_flags.difference(TcpFlags::CWR);
        }
        if flags.contains(TcpFlags::URG) && self.done > 0 {
            let urgent = u32::from(be16(tcp, 18).unwrap_or_default()).saturating_sub(offset);
            put(tcp, 18, (urgent as u16).to_be_bytes())?; // exact: it only shrank
            if urgent == 0 {
                segment_flags = segment_flags.difference(TcpFlags::URG);
            }
        }
        put(tcp, 13, [segment_flags.bits() as u8])?; // the eight flags of this byte; AE stays
        let mut sum = Checksum::pseudo_header(src, dst, Protocol::TCP, tcp_len);
        if self.partial_checksums {
            return tcp::set_checksum(tcp, sum.fold());
        }
        tcp::set_checksum(tcp, 0)?;
        sum.add(tcp);
        for part in out.parts.iter().take(out.count) {
            sum.add(part);
        }
        tcp::set_checksum(tcp, sum.finish())
    }
}

/// One packet of a cut: a header of its own and payload by reference.
///
/// # Examples
/// ```
/// use carrick_wire::segmentation::{SegmentBuf, Segmenter};
///
/// // `header` is an IP and a TCP header, the checksum partial, and `payload` 2,000 bytes.
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (header, payload) = doc::segment();
/// let parts = [&payload[..]];
/// let mut segmenter = Segmenter::new(&header, &parts, 1448.try_into()?)?;
/// let mut segment = SegmentBuf::new();
/// let mut lengths = vec![];
/// while segmenter.next_segment(&mut segment) {
///     lengths.push(segment.parts().concat().len());
/// }
/// assert_eq!(lengths, [1448, 552]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SegmentBuf<'a> {
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    parts: [&'a [u8]; MAX_SLICES],
    count: usize,
}

impl<'a> SegmentBuf<'a> {
    /// An empty packet, to be filled by [`Segmenter::next_segment`].
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::segmentation::{SegmentBuf, Segmenter};
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (header, payload) = doc::segment();
    /// let parts = [&payload[..]];
    /// let mut segmenter = Segmenter::new(&header, &parts, 1448.try_into()?)?;
    /// let mut segment = SegmentBuf::new();
    /// assert!(segmenter.next_segment(&mut segment));
    /// assert_eq!(segment.header().len(), 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { header: [0; MAX_HEADER_LEN], header_len: 0, parts: [&[]; MAX_SLICES], count: 0 }
    }

    /// IP and TCP header.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::segmentation::{SegmentBuf, Segmenter};
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (header, payload) = doc::segment();
    /// let parts = [&payload[..]];
    /// let mut segmenter = Segmenter::new(&header, &parts, 1448.try_into()?)?;
    /// let mut segment = SegmentBuf::new();
    /// assert!(segmenter.next_segment(&mut segment));
    /// assert_eq!(segment.header().len(), 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.header.get(..self.header_len).unwrap_or_default()
    }

    /// The payload, in at most [`MAX_SLICES`] parts, none of them empty.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::segmentation::{SegmentBuf, Segmenter};
    ///
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (header, payload) = doc::segment();
    /// let parts = [&payload[..]];
    /// let mut segmenter = Segmenter::new(&header, &parts, 1448.try_into()?)?;
    /// let mut segment = SegmentBuf::new();
    /// assert!(segmenter.next_segment(&mut segment));
    /// assert_eq!(segment.parts().concat(), [7; 1448]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn parts(&self) -> &[&'a [u8]] {
        self.parts.get(..self.count).unwrap_or_default()
    }
}

impl Default for SegmentBuf<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where things are in a super-segment's header, and what the cut needs of it.
#[derive(Clone, Copy, Debug)]
struct Layout {
    tcp_at: usize,
    header_len: usize,
    payload_len: usize,
    src: IpAddr,
    dst: IpAddr,
    flags: TcpFlags,
}

impl Layout {
    fn of(header: &[u8], payload: &[&[u8]]) -> Result<Self, BuildError> {
        Self::read(header, payload).ok_or(BuildError::SuperSegmentHeader)
    }

    fn read(header: &[u8], payload: &[&[u8]]) -> Option<Self> {
        let payload_len = payload.iter().try_fold(0usize, |sum, slice| sum.checked_add(slice.len()))?;
        let whole_len = header.len().checked_add(payload_len)?;
        let first = *header.first()?;
        let (tcp_at, said_len, protocol, src, dst) = match first >> 4 {
            4 => {
                let tcp_at = usize::from(first & 0xf).saturating_mul(4);
                let src = Ipv4Addr::from(be32(header, 12)?);
                let dst = Ipv4Addr::from(be32(header, 16)?);
                (tcp_at, usize::from(be16(header, 2)?), *header.get(9)?, src.into(), dst.into())
            }
            6 => {
                let said_len = ipv6::HEADER_LEN.saturating_add(usize::from(be16(header, 4)?));
                let src = Ipv6Addr::from(*header.get(8..)?.first_chunk::<16>()?);
                let dst = Ipv6Addr::from(*header.get(24..)?.first_chunk::<16>()?);
                (ipv6::HEADER_LEN, said_len, *header.get(6)?, src.into(), dst.into())
            }
            _ => return None,
        };
        let tcp = header.get(tcp_at..)?;
        let tcp_header_len = usize::from(*tcp.get(12)? >> 4).saturating_mul(4);
        let flags = TcpFlags::from_bits(be16(tcp, 12)?);
        let agrees = tcp_at >= ipv4::MIN_HEADER_LEN
            && said_len == whole_len
            && Protocol(protocol) == Protocol::TCP
            && tcp.len() >= tcp::MIN_HEADER_LEN
            && tcp.len() == tcp_header_len;
        agrees.then_some(Self { tcp_at, header_len: header.len(), payload_len, src, dst, flags })
    }
}
