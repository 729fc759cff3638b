//! The header that precedes packets on an offloading TUN: struct virtio_net_hdr, 10 bytes, in the host's byte
//! order (virtio 1.2 §5.1.6; linux/virtio_net.h).
//!
//! ```text
//!   0     1      2         4          6            8
//!   flags type   hdr_len   gso_size   csum_start   csum_offset   | IP packet, perhaps a super-segment
//! ```
//!
//! It is as untrusted as the packet behind it. Nothing of it is used to find anything in the packet: the two
//! places it names are only checked against the packet's end, and the header's length, which is known to be wrong
//! on forwarded packets, is not looked at.

use core::num::NonZeroU16;

use crate::error::BuildError;
use crate::ip::Protocol;
use crate::tcp::TcpFlags;
use crate::{be16, put};

/// Length of the header in bytes.
///
/// # Examples
/// ```
/// use carrick_wire::offload;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (header, payload) = doc::segment();
/// let packet = [&header[..], &payload].concat();
/// let before = offload::emit(&header, Some(1000.try_into()?))?;
/// let received = offload::parse(before, &packet).expect("they agree");
/// assert_eq!(received.segment_size.map(|size| size.get()), Some(1000));
/// assert!(received.intact, "its checksum is not finished");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const LEN: usize = 10;

/// The checksum is in the partial form, to be completed from `csum_start` on.
const NEEDS_CSUM: u8 = 1;
/// The checksum was verified.
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
/// CWR is set, and belongs to the first wire segment alone.
const GSO_ECN: u8 = 0x80;

/// Where TCP's checksum is in its header.
const TCP_CHECKSUM_AT: u16 = 16;

/// What the header says of a received packet.
///
/// # Examples
/// ```
/// use carrick_wire::offload;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (header, payload) = doc::segment();
/// let packet = [&header[..], &payload].concat();
/// let before = offload::emit(&header, Some(1000.try_into()?))?;
/// let received = offload::parse(before, &packet).expect("they agree");
/// assert_eq!(received.segment_size.map(|size| size.get()), Some(1000));
/// assert!(received.intact, "its checksum is not finished");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// Whether the packet needs no verifying: it was verified, or never left this host and has no finished
    /// checksum that could be. False means that nobody knows.
    pub intact: bool,
    /// How much payload each wire segment carried, if the packet stands for several.
    pub segment_size: Option<NonZeroU16>,
}

/// Reads the header of `packet`.
///
/// None if the two disagree: a checksum beyond the packet's end, a kind of super-segment that is not of its IP
/// version or not TCP's, or one without a segment size. Such a packet is to be discarded.
///
/// # Examples
/// ```
/// use carrick_wire::offload;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (header, payload) = doc::segment();
/// let packet = [&header[..], &payload].concat();
/// let before = offload::emit(&header, Some(1000.try_into()?))?;
/// let received = offload::parse(before, &packet).expect("they agree");
/// assert_eq!(received.segment_size.map(|size| size.get()), Some(1000));
/// assert!(received.intact, "its checksum is not finished");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn parse(header: [u8; LEN], packet: &[u8]) -> Option<Received> {
    let [flags, kind, _, _, size_0, size_1, start_0, start_1, offset_0, offset_1] = header;
    let size = [size_0, size_1];
    let partial = flags & NEEDS_CSUM != 0;
    if partial {
        let start = usize::from(u16::from_ne_bytes([start_0, start_1]));
        let end =
            start.saturating_add(usize::from(u16::from_ne_bytes([offset_0, offset_1]))).saturating_add(2);
        if end > packet.len() {
            return None;
        }
    }
    let version = packet.first().map_or(0, |byte| byte >> 4);
    let segment_size = match (kind & !GSO_ECN, version) {
        (GSO_NONE, _) => None,
        (GSO_TCPV4, 4) | (GSO_TCPV6, 6) => Some(NonZeroU16::new(u16::from_ne_bytes(size))?),
        _ => return None,
    };
    Some(Received { intact: partial || flags & DATA_VALID != 0, segment_size })
}

/// Makes the header of a packet to send, from the packet's own IP and transport header.
///
/// A TCP packet's checksum is taken to be in the partial form and left to the receiver of this header to complete;
/// that of any other packet is taken to be finished. `segment_size` makes a super-segment of a TCP packet.
///
/// # Errors
/// [`BuildError::SuperSegmentHeader`] if `packet` does not begin with an IP header and, for TCP, the fixed part
/// of a TCP header behind it.
///
/// # Examples
/// ```
/// use carrick_wire::offload;
///
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let (header, payload) = doc::segment();
/// let packet = [&header[..], &payload].concat();
/// let before = offload::emit(&header, Some(1000.try_into()?))?;
/// let received = offload::parse(before, &packet).expect("they agree");
/// assert_eq!(received.segment_size.map(|size| size.get()), Some(1000));
/// assert!(received.intact, "its checksum is not finished");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn emit(packet: &[u8], segment_size: Option<NonZeroU16>) -> Result<[u8; LEN], BuildError> {
    let short = BuildError::SuperSegmentHeader;
    let mut header = [0; LEN];
    let first = *packet.first().ok_or(short)?;
    let (protocol, start, kind) = match first >> 4 {
        4 => (*packet.get(9).ok_or(short)?, u16::from(first & 0xf).saturating_mul(4), GSO_TCPV4),
        6 => (*packet.get(6).ok_or(short)?, 40, GSO_TCPV6),
        _ => return Err(short),
    };
    if protocol != Protocol::TCP.0 {
        return Ok(header);
    }
    let tcp = packet.get(usize::from(start)..).ok_or(short)?;
    let offset_and_flags = be16(tcp, 12).ok_or(short)?;
    put(&mut header, 0, [NEEDS_CSUM])?;
    put(&mut header, 6, start.to_ne_bytes())?;
    put(&mut header, 8, TCP_CHECKSUM_AT.to_ne_bytes())?;
    if let Some(size) = segment_size {
        let cwr = offset_and_flags & TcpFlags::CWR.bits() != 0;
        let header_len = start.saturating_add((offset_and_flags >> 12).saturating_mul(4));
        put(&mut header, 1, [if cwr { kind | GSO_ECN } else { kind }])?;
        put(&mut header, 2, header_len.to_ne_bytes())?;
        put(&mut header, 4, size.get().to_ne_bytes())?;
    }
    Ok(header)
}
