//! Wire formats: IPv4, IPv6, TCP with its options, ICMP and ICMPv6; bytes to meaning and back, without state.
//!
//! *Validate, then read.* A view ([`IpView`], [`TcpView`], [`icmp::IcmpMessage`]) exists only for bytes whose
//! lengths agree with each other and with the buffer; after that its accessors cannot fail. Everything that
//! is refused has a reason of its own, [`ParseError`], so that a stack can count refusals one by one. Headers
//! to send are plain structs with an `emit` that writes into the caller's buffer.
//!
//! ```
//! use carrick_wire::{Checksum, IpHeader, IpView, Protocol, SeqNum, TcpFlags, TcpHeader, TcpView};
//!
//! let (src, dst) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
//! let seq = SeqNum::new(100);
//! let tcp = TcpHeader { src_port: 49152, dst_port: 80, seq, flags: TcpFlags::SYN, ..TcpHeader::default() };
//! let ip = IpHeader { payload_len: tcp.header_len(), ..IpHeader::new(src, dst, Protocol::TCP) };
//! let mut buf = [0; 120];
//! let at = ip.emit(&mut buf)?;
//! let end = at + tcp.emit(&mut buf[at..])?;
//! let mut sum = Checksum::pseudo_header(src, dst, Protocol::TCP, end - at);
//! sum.add(&buf[at..end]);
//! carrick_wire::tcp::set_checksum(&mut buf[at..end], sum.finish())?;
//!
//! let packet = IpView::parse(&buf[..end])?;
//! let segment = TcpView::parse(packet.payload())?;
//! assert!(segment.verify_checksum(packet.src(), packet.dst()));
//! assert_eq!(segment.flags().to_string(), "[S]");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Views are generic over `AsRef<[u8]>` and need no alignment. The fixed headers are read and written through
//! `pnet_packet`'s layouts, always behind the validation here. The crate is `no_std`, never allocates,
//! holds no unsafe code, and no input makes it panic.

#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod checksum;
mod error;
pub mod icmp;
mod ip;
mod ipv4;
mod ipv6;
pub mod martian;
pub mod merging;
pub mod offload;
mod options;
pub mod pcapng;
pub mod reassembly;
pub mod segmentation;
mod seq;
pub mod tcp;
mod window;

pub use checksum::Checksum;
pub use error::{BuildError, ParameterProblem, ParseError};
pub use ip::{Ecn, Fragment, IpHeader, IpView, Protocol};
pub use ipv4::Ipv4View;
pub use ipv6::Ipv6View;
pub use options::{
    FastOpenCookie, MAX_OPTIONS_LEN, SackBlock, SackBlocks, TcpOptions, Timestamps, UserTimeout,
};
pub use seq::SeqNum;
pub use tcp::{TcpFlags, TcpHeader, TcpView};
pub use window::{Mss, Window, WindowScale, WireWindow};

/// Reads two bytes at `at`, most significant first.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|field| u16::from_be_bytes(*field))
}

/// Reads four bytes at `at`, most significant first.
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_be_bytes(*field))
}

/// Writes `value` at `at`.
fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) -> Result<(), BuildError> {
    let field = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut).ok_or(BuildError::BufferTooShort)?;
    *field = value;
    Ok(())
}
