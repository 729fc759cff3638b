//! The header of a packet that was put together from fragments (RFC 791 §3.2, RFC 8200 §4.5, RFC 3168 §5.3).
//!
//! What a stack keeps of fragments, for how long, and which of them fit together is its own business; here are
//! the rules without state: the key that fragments of one packet share, what their ECN fields come to, and the
//! header of the whole, made from the first fragment's.

use core::net::IpAddr;

use crate::checksum::Checksum;
use crate::error::BuildError;
use crate::ip::{Ecn, Fragment, IpView, Protocol};
use crate::put;

/// What the fragments of one packet have in common (RFC 791 §3.2, RFC 8200 §4.5).
///
/// # Examples
/// ```
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let fragment = doc::fragment();
/// use carrick_wire::{IpView, reassembly::FragmentKey};
///
/// let first = IpView::parse(&fragment[..])?;
/// let (key, part) = FragmentKey::of(&first).expect("it is a fragment");
/// assert_eq!((key.src, part.offset, part.more), (first.src(), 0, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FragmentKey {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// IPv4: the upper layer. IPv6 does not look at it: none.
    pub protocol: Option<Protocol>,
    /// Identification.
    pub id: u32,
}

impl FragmentKey {
    /// The key of a packet, and which part of it this is; none for a whole packet.
    ///
    /// # Examples
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
    /// # let fragment = doc::fragment();
    /// use carrick_wire::{IpView, reassembly::FragmentKey};
    ///
    /// let first = IpView::parse(&fragment[..])?;
    /// let (key, part) = FragmentKey::of(&first).expect("it is a fragment");
    /// assert_eq!((key.src, part.offset, part.more), (first.src(), 0, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of<B: AsRef<[u8]>>(packet: &IpView<B>) -> Option<(Self, Fragment)> {
        let fragment = packet.fragment()?;
        let protocol = Some(packet.protocol()).filter(|_| packet.version() == 4);
        Some((Self { src: packet.src(), dst: packet.dst(), protocol, id: fragment.id }, fragment))
    }
}

/// The ECN field of a whole whose parts carried `a` and `b` (RFC 3168 §5.3); none if it must be dropped.
///
/// Congestion experienced anywhere is experienced by all, unless a part was not ECN-capable: somebody has
/// tampered with it then. Between the two ECN-capable fields the first fragment's stays.
///
/// # Examples
/// ```
/// use carrick_wire::Ecn;
/// use carrick_wire::reassembly::combine_ecn;
///
/// assert_eq!(combine_ecn(Ecn::Ect0, Ecn::Ce), Some(Ecn::Ce));
/// assert_eq!(combine_ecn(Ecn::NotEct, Ecn::Ce), None, "somebody has tampered with it");
/// ```
#[must_use]
pub const fn combine_ecn(first: Ecn, other: Ecn) -> Option<Ecn> {
    match (first, other) {
        (Ecn::NotEct, Ecn::NotEct) => Some(Ecn::NotEct),
        (Ecn::NotEct, Ecn::Ce) | (Ecn::Ce, Ecn::NotEct) => None,
        (Ecn::NotEct, Ecn::Ect0 | Ecn::Ect1) | (Ecn::Ect0 | Ecn::Ect1, Ecn::NotEct) => Some(Ecn::NotEct),
        (Ecn::Ce, _) | (_, Ecn::Ce) => Some(Ecn::Ce),
        (Ecn::Ect0 | Ecn::Ect1, Ecn::Ect0 | Ecn::Ect1) => Some(first),
    }
}

/// How long the header of the whole is: `first`'s without the Fragment header.
///
/// # Examples
/// ```
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let fragment = doc::fragment();
/// use carrick_wire::{IpView, reassembly::whole_header_len};
///
/// let first = IpView::parse(&fragment[..])?;
/// assert_eq!(whole_header_len(&first), 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn whole_header_len<B: AsRef<[u8]>>(first: &IpView<B>) -> usize {
    match first {
        IpView::V4(view) => view.header_len(),
        IpView::V6(view) => view.header_len().saturating_sub(FRAGMENT_HEADER_LEN),
    }
}

const FRAGMENT_HEADER_LEN: usize = 8;

/// Writes the header of the packet of which `first` is the first fragment, with `data_len` bytes of data behind
/// it, and returns its length: without offset, flags and Fragment header, with its own length and checksum.
///
/// # Errors
/// - [`BuildError::TooLong`] if the length field cannot say so much;
/// - [`BuildError::BufferTooShort`] if `buf` is shorter than [`whole_header_len`].
///
/// # Examples
/// ```
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); }
/// # let fragment = doc::fragment();
/// use carrick_wire::{Ecn, IpView, reassembly::emit_whole_header};
///
/// let first = IpView::parse(&fragment[..])?;
/// let mut whole = [0; 20];
/// assert_eq!(emit_whole_header(&first, 16, Ecn::NotEct, &mut whole)?, 20);
/// assert_eq!(whole[2..4], [0, 36]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn emit_whole_header<B: AsRef<[u8]>>(
    first: &IpView<B>,
    data_len: usize,
    ecn: Ecn,
    buf: &mut [u8],
) -> Result<usize, BuildError> {
    let len = whole_header_len(first);
    let buf = buf.get_mut(..len).ok_or(BuildError::BufferTooShort)?;
    buf.copy_from_slice(first.as_bytes().get(..len).ok_or(BuildError::BufferTooShort)?);
    let total_len = len.checked_add(data_len).ok_or(BuildError::TooLong)?;
    match first {
        IpView::V4(view) => {
            let total_len = u16::try_from(total_len).map_err(|_| BuildError::TooLong)?;
            put(buf, 1, [view.tos() & !0b11 | ecn.bits()])?;
            put(buf, 2, total_len.to_be_bytes())?;
            put(buf, 6, [0, 0])?;
            put(buf, 10, [0, 0])?;
            let mut sum = Checksum::new();
            sum.add(buf);
            put(buf, 10, sum.finish().to_be_bytes())?;
        }
        IpView::V6(view) => {
            let payload_len = total_len.saturating_sub(crate::ipv6::HEADER_LEN);
            let payload_len = u16::try_from(payload_len).map_err(|_| BuildError::TooLong)?;
            let class = view.tos() & !0b11 | ecn.bits();
            let label = buf.get(1).copied().unwrap_or_default() & 0xf;
            put(buf, 0, [0x60 | class >> 4, class << 4 | label])?;
            put(buf, 4, payload_len.to_be_bytes())?;
            // The field that named the Fragment header names what that named.
            put(buf, view.fragment_named_at(), [view.protocol().0])?;
        }
    }
    Ok(len)
}
