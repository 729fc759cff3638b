//! The blocks of a capture file: pcapng, as Wireshark, tshark and tcpdump read it (draft-ietf-opsawg-pcapng §4).
//!
//! ```text
//!   section | interface | packet: head, the IP packet, tail | packet | ...
//! ```
//!
//! Packets are bare IP (LINKTYPE_RAW), times in nanoseconds since 1970, all numbers little-endian. A packet is written
//! between its [head](PacketBlock::head) and its [tail](PacketBlock::tail), in as many pieces as it comes in.

/// The file's first block.
///
/// # Examples
/// ```
/// use carrick_wire::pcapng::{self, Direction, PacketBlock};
///
/// let packet = [0x45; 20];
/// let block = PacketBlock { time: 0, direction: Direction::Outbound, len: 20 };
/// let mut file = [&pcapng::section()[..], &pcapng::interface(), &block.head(), &packet].concat();
/// let (tail, len) = block.tail();
/// file.extend_from_slice(&tail[..len]);
/// assert_eq!(file.len() % 4, 0);
/// ```
#[must_use]
pub const fn section() -> [u8; 28] {
    let mut block = [0; 28];
    put32(&mut block, 0, 0x0a0d_0d0a);
    put32(&mut block, 4, 28);
    // Tells the byte order.
    put32(&mut block, 8, 0x1a2b_3c4d);
    // Version 1.0, and a section of unknown length.
    put32(&mut block, 12, 1);
    put32(&mut block, 16, u32::MAX);
    put32(&mut block, 20, u32::MAX);
    put32(&mut block, 24, 28);
    block
}

/// The second block: an interface of bare IP packets, captured whole.
///
/// # Examples
/// ```
/// use carrick_wire::pcapng::{self, Direction, PacketBlock};
///
/// let packet = [0x45; 20];
/// let block = PacketBlock { time: 0, direction: Direction::Outbound, len: 20 };
/// let mut file = [&pcapng::section()[..], &pcapng::interface(), &block.head(), &packet].concat();
/// let (tail, len) = block.tail();
/// file.extend_from_slice(&tail[..len]);
/// assert_eq!(file.len() % 4, 0);
/// ```
#[must_use]
pub const fn interface() -> [u8; 32] {
    const LINKTYPE_RAW: u32 = 101;
    const IF_TSRESOL: u32 = 9;
    let mut block = [0; 32];
    put32(&mut block, 0, 1);
    put32(&mut block, 4, 32);
    put32(&mut block, 8, LINKTYPE_RAW);
    // One byte of option: units of 10^-9 s.
    put32(&mut block, 16, IF_TSRESOL | 1 << 16);
    put32(&mut block, 20, 9);
    put32(&mut block, 28, 32);
    block
}

/// Which way a packet went, seen from whoever captures.
///
/// # Examples
/// ```
/// use carrick_wire::pcapng::{self, Direction, PacketBlock};
///
/// let packet = [0x45; 20];
/// let block = PacketBlock { time: 0, direction: Direction::Outbound, len: 20 };
/// let mut file = [&pcapng::section()[..], &pcapng::interface(), &block.head(), &packet].concat();
/// let (tail, len) = block.tail();
/// file.extend_from_slice(&tail[..len]);
/// assert_eq!(file.len() % 4, 0);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Received.
    Inbound,
    /// Sent.
    Outbound,
}

/// What surrounds a packet.
///
/// # Examples
/// ```
/// use carrick_wire::pcapng::{self, Direction, PacketBlock};
///
/// let packet = [0x45; 20];
/// let block = PacketBlock { time: 0, direction: Direction::Outbound, len: 20 };
/// let mut file = [&pcapng::section()[..], &pcapng::interface(), &block.head(), &packet].concat();
/// let (tail, len) = block.tail();
/// file.extend_from_slice(&tail[..len]);
/// assert_eq!(file.len() % 4, 0);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PacketBlock {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Which way it went.
    pub direction: Direction,
    /// Its length in bytes.
    pub len: u32,
}

impl PacketBlock {
    /// Fixed fields before, options and the repeated length after.
    const AROUND: u32 = 28 + 16;

    /// What is written before the packet.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::pcapng::{self, Direction, PacketBlock};
    ///
    /// let packet = [0x45; 20];
    /// let block = PacketBlock { time: 0, direction: Direction::Outbound, len: 20 };
    /// let mut file = [&pcapng::section()[..], &pcapng::interface(), &block.head(), &packet].concat();
    /// let (tail, len) = block.tail();
    /// file.extend_from_slice(&tail[..len]);
    /// assert_eq!(file.len() % 4, 0);
    /// ```
    #[must_use]
    pub const fn head(&self) -> [u8; 28] {
        let mut head = [0; 28];
        put32(&mut head, 0, 6);
        put32(&mut head, 4, self.block_len());
        put32(&mut head, 12, (self.time >> 32) as u32);
        put32(&mut head, 16, self.time as u32);
        put32(&mut head, 20, self.len);
        put32(&mut head, 24, self.len);
        head
    }

    /// What is written after it, in the first so many bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::pcapng::{self, Direction, PacketBlock};
    ///
    /// let packet = [0x45; 20];
    /// let block = PacketBlock { time: 0, direction: Direction::Outbound, len: 20 };
    /// let mut file = [&pcapng::section()[..], &pcapng::interface(), &block.head(), &packet].concat();
    /// let (tail, len) = block.tail();
    /// file.extend_from_slice(&tail[..len]);
    /// assert_eq!(file.len() % 4, 0);
    /// ```
    #[must_use]
    pub fn tail(&self) -> ([u8; 19], usize) {
        const EPB_FLAGS: u32 = 2;
        let direction = match self.direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        let mut words = [0; 16];
        put32(&mut words, 0, EPB_FLAGS | 4 << 16);
        put32(&mut words, 4, direction);
        put32(&mut words, 12, self.block_len());
        let mut tail = [0; 19];
        let padding = self.padding() as usize;
        tail.iter_mut().skip(padding).zip(words).for_each(|(to, byte)| *to = byte);
        (tail, words.len().saturating_add(padding))
    }

    const fn padding(&self) -> u32 {
        self.len.wrapping_neg() % 4
    }

    const fn block_len(&self) -> u32 {
        self.len.saturating_add(self.padding()).saturating_add(Self::AROUND)
    }
}

const fn put32(block: &mut [u8], at: usize, value: u32) {
    if let Some((_, rest)) = block.split_at_mut_checked(at)
        && let Some(place) = rest.first_chunk_mut()
    {
        *place = value.to_le_bytes();
    }
}
