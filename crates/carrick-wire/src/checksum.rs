//! The Internet checksum (RFC 1071), by lanes of 64 bits that compilers turn into vector code.
//!
//! The sum is taken over 64-bit words in the machine's own byte order and turned into network order once, at
//! the end (RFC 1071 §2 B). Two wrapping sums are kept, of whole words and of their upper halves; that of the
//! lower halves follows by subtraction, so a word costs two additions and a shift, and no carry is ever lost.
//!
//! A [`Checksum`] takes any number of slices of any length, as if they were one: a slice that starts at an
//! odd position is summed like any other and has its bytes swapped (RFC 1071 §2 B again).

use core::net::IpAddr;

use crate::ip::Protocol;

/// A running Internet checksum, exact over up to 16 GiB.
///
/// # Examples
/// ```
/// use carrick_wire::Checksum;
///
/// let mut sum = Checksum::new();
/// sum.add(&[0x45, 0x00]);
/// sum.add_u16(0xbaff);
/// assert_eq!(sum.finish(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum {
    /// Congruent, modulo 2^16 - 1, to the sum of the 16-bit words so far, in the machine's byte order.
    sum: u64,
    odd: bool,
}

impl Checksum {
    /// The sum of nothing.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Checksum;
    ///
    /// let mut sum = Checksum::new();
    /// assert_eq!(sum.fold(), 0);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// The sum of the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1).
    ///
    /// `len` is the length of header and payload of the upper layer in bytes. Folded, this is the partial
    /// form that goes into the checksum field of a packet whose checksum is completed later.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{Checksum, Protocol};
    ///
    /// let (src, dst) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
    /// let partial = Checksum::pseudo_header(src, dst, Protocol::TCP, 20).fold();
    /// assert_ne!(partial, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: Protocol, len: usize) -> Self {
        let mut sum = Self::new();
        sum.add_address(src);
        sum.add_address(dst);
        sum.add_u16(u16::from(protocol.0));
        // No packet is that long; the low 32 bits are all the pseudo-header has room for.
        sum.add_u32(len as u32);
        sum
    }

    /// Adds `bytes`, which follow what was added before.
    ///
    /// Of a copy just made, add the source: reading back what was just written waits for the stores.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Checksum;
    ///
    /// let mut sum = Checksum::new();
    /// sum.add(&[0x12, 0x34]);
    /// assert_eq!(sum.fold(), 0x1234);
    /// ```
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        let mut sum = sum(bytes);
        if self.odd {
            sum = u64::from(fold(sum).swap_bytes());
        }
        self.sum = self.sum.wrapping_add(sum);
        self.odd ^= bytes.len() & 1 == 1;
    }

    /// Adds the two bytes of `value`, most significant first.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Checksum;
    ///
    /// let mut sum = Checksum::new();
    /// sum.add_u16(0x1234);
    /// assert_eq!(sum.fold(), 0x1234);
    /// ```
    #[inline]
    pub fn add_u16(&mut self, value: u16) {
        let word = value.to_be();
        self.sum = self.sum.wrapping_add(u64::from(if self.odd { word.swap_bytes() } else { word }));
    }

    /// Adds the four bytes of `value`, most significant first.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Checksum;
    ///
    /// let mut sum = Checksum::new();
    /// sum.add_u32(0x0001_0002);
    /// assert_eq!(sum.fold(), 3);
    /// ```
    #[inline]
    pub fn add_u32(&mut self, value: u32) {
        let word = value.to_be();
        // Swapping within both halves is a swap of all four bytes with the halves exchanged, which sums the
        // same.
        self.sum = self.sum.wrapping_add(u64::from(if self.odd { word.swap_bytes() } else { word }));
    }

    fn add_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.add_u32(address.to_bits()),
            IpAddr::V6(address) => {
                for word in address.octets().as_chunks().0 {
                    self.add_u32(u32::from_be_bytes(*word));
                }
            }
        }
    }

    /// The sum in 16 bits, not inverted: 0xffff over data that carries a right checksum.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Checksum;
    ///
    /// let mut sum = Checksum::new();
    /// sum.add_u16(0x1234);
    /// assert_eq!(sum.fold(), 0x1234);
    /// ```
    #[must_use]
    #[inline]
    pub const fn fold(self) -> u16 {
        u16::from_be(fold(self.sum))
    }

    /// The checksum to put on the wire: the inverted sum.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Checksum;
    ///
    /// let mut sum = Checksum::new();
    /// sum.add_u16(0x1234);
    /// assert_eq!(sum.finish(), !0x1234);
    /// ```
    #[must_use]
    #[inline]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }
}

/// Adds the upper half to the lower one, twice; each carry comes around and finds room, for it leaves a sum below
/// the maximum.
const fn fold(sum: u64) -> u16 {
    let (sum, carry) = ((sum >> 32) as u32).overflowing_add(sum as u32);
    let sum = sum.wrapping_add(carry as u32);
    let (sum, carry) = ((sum >> 16) as u16).overflowing_add(sum as u16);
    sum.wrapping_add(carry as u16)
}

/// The sum of `bytes` as 32-bit words in the machine's byte order, padded with zeros.
#[inline]
fn sum(bytes: &[u8]) -> u64 {
    // Two wrapping sums, of whole words and of their upper halves; the lower halves' follows by subtraction.
    // The loop is left plain: how many lanes and how far to unroll is the compiler's to choose, and it
    // chooses well.
    let (mut whole, mut upper) = (0u64, 0u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_ne_bytes(*word);
        whole = whole.wrapping_add(word);
        upper = upper.wrapping_add(word >> 32);
    }
    let lower = whole.wrapping_sub(upper << 32);
    let mut total = lower.wrapping_add(upper);

    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        total = total.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
    }
    let (words, rest) = rest.as_chunks::<2>();
    for word in words {
        total = total.wrapping_add(u64::from(u16::from_ne_bytes(*word)));
    }
    for byte in rest {
        total = total.wrapping_add(u64::from(u16::from_ne_bytes([*byte, 0])));
    }
    total
}
