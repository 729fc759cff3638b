//! Segments of a stream that arrive in a row, put together into a super-segment: the way back from
//! [`segmentation`](crate::segmentation).
//!
//! A [`Run`] takes what a cut could have made, and nothing else, so that no information is lost with the headers that
//! go: packets that follow each other without a gap, all with as much payload as the first but for the last, which may
//! have less. All that a header says but lengths, identification, sequence number and checksums is the same in each,
//! and the checksums are right. Flags are ACK alone, and PSH on the last. There are no IP options, extension headers
//! or fragments.
//!
//! A packet that a run does not take is to be handled by itself, after the run.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

use crate::checksum::Checksum;
use crate::error::BuildError;
use crate::ip::Protocol;
use crate::tcp::{self, TcpFlags};
use crate::{be16, be32, ipv4, ipv6, put};

/// The longest headers of a run: IPv6, and TCP with all options.
pub const MAX_HEADER_LEN: usize = 100;
/// The most packets of a run. A super-segment of 64 KiB in packets for Ethernet has 45.
pub const MAX_PACKETS: usize = 64;

/// A super-segment in the making.
///
/// # Examples
/// ```
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (first, second) = doc::two_segments();
/// use carrick_wire::merging::Run;
///
/// // Two packets of 1,000 bytes of text each, one after the other.
/// let mut run = Run::begin(&first).expect("it could go on");
/// assert!(run.take(&second), "it does");
/// assert_eq!((run.packets(), run.total_len(), run.segment_size()), (2, 2040, 1000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Run {
    /// The headers of the first packet.
    header: [u8; MAX_HEADER_LEN],
    layout: Layout,
    segment_size: u16,
    /// Payload bytes.
    len: usize,
    packets: usize,
    ended: bool,
}

impl Run {
    /// A run that begins with this packet, if there is any that could go on.
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (first, second) = doc::two_segments();
    /// use carrick_wire::merging::Run;
    ///
    /// // Two packets of 1,000 bytes of text each, one after the other.
    /// let mut run = Run::begin(&first).expect("it could go on");
    /// assert!(run.take(&second), "it does");
    /// assert_eq!(run.packets(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn begin(packet: &[u8]) -> Option<Self> {
        let layout = Layout::of(packet)?;
        let headers = packet.get(..layout.header_len)?;
        let size = packet.len().saturating_sub(layout.header_len);
        let fits_twice = packet.len().saturating_add(size) <= usize::from(u16::MAX);
        if flags(headers, &layout)? != TcpFlags::ACK.bits() || size == 0 || !fits_twice {
            return None;
        }
        if !layout.checksums_are_right(packet) {
            return None;
        }
        let mut header = [0; MAX_HEADER_LEN];
        header.get_mut(..headers.len())?.copy_from_slice(headers);
        let segment_size = u16::try_from(size).ok()?;
        Some(Self { header, layout, segment_size, len: size, packets: 1, ended: false })
    }

    /// Whether the packet goes on where the run ends, and belongs to it from now on: its payload is the next of the
    /// run's.
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (first, second) = doc::two_segments();
    /// use carrick_wire::merging::Run;
    ///
    /// // Two packets of 1,000 bytes of text each, one after the other.
    /// let mut run = Run::begin(&first).expect("it could go on");
    /// assert!(run.take(&second), "it does");
    /// assert!(!run.take(&second), "not twice");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn take(&mut self, packet: &[u8]) -> bool {
        let taken = self.goes_on(packet);
        if let Some((len, pushed)) = taken {
            self.len = self.len.saturating_add(len);
            self.packets = self.packets.saturating_add(1);
            self.ended = pushed
                || len < usize::from(self.segment_size)
                || self.packets >= MAX_PACKETS
                || self.total_len().saturating_add(len) > usize::from(u16::MAX);
            if pushed && let Some(flags) = self.header.get_mut(self.layout.tcp_at.saturating_add(13)) {
                *flags |= PSH;
            }
        }
        taken.is_some()
    }

    /// The payload's length and whether PSH is set.
    fn goes_on(&self, packet: &[u8]) -> Option<(usize, bool)> {
        let (headers, payload) = packet.split_at_checked(self.layout.header_len)?;
        let flags = flags(headers, &self.layout)?;
        let pushed = flags & u16::from(PSH) != 0;
        let goes_on = !self.ended
            && (1..=usize::from(self.segment_size)).contains(&payload.len())
            && flags & !u16::from(PSH) == TcpFlags::ACK.bits()
            && self.is_alike(headers)
            && self.seq_at(self.len) == be32(headers, self.layout.tcp_at.saturating_add(4))
            && self.total_len().saturating_add(payload.len()) <= usize::from(u16::MAX)
            && self.layout.checksums_are_right(packet);
        goes_on.then_some((payload.len(), pushed))
    }

    /// Whether all is the same that must be the same, flags apart.
    fn is_alike(&self, headers: &[u8]) -> bool {
        let same = |range: Range<usize>| match (self.header.get(range.clone()), headers.get(range)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => false,
        };
        // Not the length, the identification and the header's checksum.
        let ip = match self.layout.v6 {
            false => same(0..2) && same(6..10) && same(12..20),
            true => same(0..4) && same(6..40),
        };
        let at = |offset: usize| self.layout.tcp_at.saturating_add(offset);
        // Ports; acknowledgment and data offset; window; urgent pointer and options.
        ip && same(at(0)..at(4))
            && same(at(8)..at(13))
            && same(at(14)..at(16))
            && same(at(18)..self.layout.header_len)
    }

    /// The sequence number so many bytes into the payload.
    fn seq_at(&self, offset: usize) -> Option<u32> {
        let first = be32(&self.header, self.layout.tcp_at.saturating_add(4))?;
        // Below 65,536, so the cast is exact.
        Some(first.wrapping_add(offset as u32))
    }

    /// Length of the headers of the run and of each of its packets.
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (first, second) = doc::two_segments();
    /// use carrick_wire::merging::Run;
    ///
    /// // Two packets of 1,000 bytes of text each, one after the other.
    /// let mut run = Run::begin(&first).expect("it could go on");
    /// assert!(run.take(&second), "it does");
    /// assert_eq!(run.header_len(), 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.layout.header_len
    }

    /// Length of the whole, headers included, in bytes: at most 65,535.
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (first, second) = doc::two_segments();
    /// use carrick_wire::merging::Run;
    ///
    /// // Two packets of 1,000 bytes of text each, one after the other.
    /// let mut run = Run::begin(&first).expect("it could go on");
    /// assert!(run.take(&second), "it does");
    /// assert_eq!(run.total_len(), 2040);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn total_len(&self) -> usize {
        self.layout.header_len.saturating_add(self.len)
    }

    /// How much payload each packet carried, the last perhaps less.
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (first, second) = doc::two_segments();
    /// use carrick_wire::merging::Run;
    ///
    /// // Two packets of 1,000 bytes of text each, one after the other.
    /// let mut run = Run::begin(&first).expect("it could go on");
    /// assert!(run.take(&second), "it does");
    /// assert_eq!(run.segment_size(), 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn segment_size(&self) -> u16 {
        self.segment_size
    }

    /// How many packets it has.
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (first, second) = doc::two_segments();
    /// use carrick_wire::merging::Run;
    ///
    /// // Two packets of 1,000 bytes of text each, one after the other.
    /// let mut run = Run::begin(&first).expect("it could go on");
    /// assert!(run.take(&second), "it does");
    /// assert_eq!(run.packets(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn packets(&self) -> usize {
        self.packets
    }

    /// Whether it takes no more packets.
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (first, second) = doc::two_segments();
    /// use carrick_wire::merging::Run;
    ///
    /// // Two packets of 1,000 bytes of text each, one after the other.
    /// let mut run = Run::begin(&first).expect("it could go on");
    /// assert!(run.take(&second), "it does");
    /// assert!(!run.has_ended(), "there may be more");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Writes the headers of the super-segment to the start of `buf`, as [`segmentation`](crate::segmentation) wants
    /// them: those of the first packet with the lengths of the whole, PSH if the last had it, and the TCP checksum in
    /// the partial form.
    ///
    /// # Errors
    /// [`BuildError::BufferTooShort`] if `buf` is shorter than [`Run::header_len`].
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let (first, second) = doc::two_segments();
    /// use carrick_wire::merging::Run;
    ///
    /// // Two packets of 1,000 bytes of text each, one after the other.
    /// let mut run = Run::begin(&first).expect("it could go on");
    /// assert!(run.take(&second), "it does");
    /// let mut header = [0; 40];
    /// run.emit(&mut header)?;
    /// assert_eq!(header[2..4], 2040u16.to_be_bytes());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit(&self, buf: &mut [u8]) -> Result<(), BuildError> {
        let Layout { tcp_at, header_len, v6 } = self.layout;
        let buf = buf.get_mut(..header_len).ok_or(BuildError::BufferTooShort)?;
        let headers = self.header.get(..header_len).ok_or(BuildError::BufferTooShort)?;
        buf.copy_from_slice(headers);
        let (ip, tcp) = buf.split_at_mut_checked(tcp_at).ok_or(BuildError::BufferTooShort)?;
        let total_len = u16::try_from(self.total_len()).map_err(|_| BuildError::TooLong)?;
        let tcp_len = usize::from(total_len).saturating_sub(tcp_at);
        if v6 {
            put(ip, 4, (tcp_len as u16).to_be_bytes())?; // no more than the whole
        } else {
            put(ip, 2, total_len.to_be_bytes())?;
            put(ip, 10, [0, 0])?;
            let mut sum = Checksum::new();
            sum.add(ip);
            put(ip, 10, sum.finish().to_be_bytes())?;
        }
        let sum = self.layout.pseudo_header(ip, tcp_len).ok_or(BuildError::BufferTooShort)?;
        tcp::set_checksum(tcp, sum.fold())
    }
}

const PSH: u8 = 1 << 3;

/// Where things are in a packet's headers.
#[derive(Clone, Copy, Debug)]
struct Layout {
    v6: bool,
    tcp_at: usize,
    header_len: usize,
}

impl Layout {
    /// That of a whole TCP packet without IP options or extension headers.
    fn of(packet: &[u8]) -> Option<Self> {
        let (v6, tcp_at) = match *packet.first()? {
            // Four times five bytes.
            0x45 => (false, ipv4::MIN_HEADER_LEN),
            first if first >> 4 == 6 => (true, ipv6::HEADER_LEN),
            _ => return None,
        };
        let offset = packet.get(tcp_at.saturating_add(12))?;
        let tcp_len = usize::from(offset >> 4).saturating_mul(4);
        let layout = Self { v6, tcp_at, header_len: tcp_at.saturating_add(tcp_len) };
        let plain = if v6 {
            packet.get(6) == Some(&Protocol::TCP.0)
        } else {
            // Neither an offset nor more fragments.
            packet.get(9) == Some(&Protocol::TCP.0) && be16(packet, 6)? & 0x3fff == 0
        };
        let whole = layout.header_len <= packet.len() && tcp_len >= tcp::MIN_HEADER_LEN;
        (plain && whole).then_some(layout)
    }

    /// Whether the packet is as long as it says and its checksums are right.
    fn checksums_are_right(&self, packet: &[u8]) -> bool {
        self.sum(packet) == Some(u16::MAX)
    }

    /// The sum over the segment, if the IP header is in order.
    fn sum(&self, packet: &[u8]) -> Option<u16> {
        let (ip, tcp) = packet.split_at_checked(self.tcp_at)?;
        let said = if self.v6 {
            usize::from(be16(ip, 4)?).saturating_add(self.tcp_at)
        } else {
            usize::from(be16(ip, 2)?)
        };
        if said != packet.len() {
            return None;
        }
        if !self.v6 {
            let mut sum = Checksum::new();
            sum.add(ip);
            if sum.fold() != u16::MAX {
                return None;
            }
        }
        let mut sum = self.pseudo_header(ip, tcp.len())?;
        sum.add(tcp);
        Some(sum.fold())
    }

    fn pseudo_header(&self, ip: &[u8], tcp_len: usize) -> Option<Checksum> {
        let (src, dst): (IpAddr, IpAddr) = if self.v6 {
            let src = Ipv6Addr::from(*ip.get(8..)?.first_chunk::<16>()?);
            let dst = Ipv6Addr::from(*ip.get(24..)?.first_chunk::<16>()?);
            (src.into(), dst.into())
        } else {
            (Ipv4Addr::from(be32(ip, 12)?).into(), Ipv4Addr::from(be32(ip, 16)?).into())
        };
        Some(Checksum::pseudo_header(src, dst, Protocol::TCP, tcp_len))
    }
}

/// Reserved bits and flags.
fn flags(headers: &[u8], layout: &Layout) -> Option<u16> {
    Some(be16(headers, layout.tcp_at.saturating_add(12))? & 0xfff)
}
