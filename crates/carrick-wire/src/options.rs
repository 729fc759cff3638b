//! TCP options: what they mean, how they are read and laid out (RFC 9293 §3.2, 7323, 2018, 7413, 5482).
//!
//! Reading takes one walk and makes one decision for each oddity, the same in every state:
//!
//! - an option of length 0 or 1, or one that runs past the header, refuses the whole segment (MUST-7);
//! - a known option with a length or value that its RFC does not allow is skipped like an unknown one;
//! - of several valid options of a kind, the first counts;
//! - everything after End of Option List is ignored.
//!
//! Values are kept as carried: a window scale of 200 is 200 here, and clamped where it is used.
//!
//! Writing lays options out as Linux does, so that parsers with a fast path for that layout take it.

use core::fmt;

use crate::error::{BuildError, ParseError};
use crate::seq::SeqNum;

/// The most bytes of options that a header holds (RFC 9293 §3.1).
pub const MAX_OPTIONS_LEN: usize = 40;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const USER_TIMEOUT: u8 = 28;
const FAST_OPEN: u8 = 34;

/// The options of one segment, as carried.
///
/// # Examples
/// ```
/// use carrick_wire::TcpOptions;
///
/// let options = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
/// let mut area = [0; 40];
/// let len = options.emit(&mut area)?;
/// assert_eq!(TcpOptions::parse(&area[..len])?, options);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpOptions {
    /// Maximum segment size in bytes, any value (RFC 9293 §3.7.1); see
    /// [`Mss::clamped`](crate::Mss::clamped).
    pub mss: Option<u16>,
    /// Window scale, any value (RFC 7323 §2); see
    /// [`WindowScale::clamped`](crate::WindowScale::clamped).
    pub window_scale: Option<u8>,
    /// SACK-permitted (RFC 2018 §2).
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323 §3).
    pub timestamps: Option<Timestamps>,
    /// Selective acknowledgments (RFC 2018 §3); empty blocks are left out when read.
    pub sack: SackBlocks,
    /// Fast Open cookie or request for one (RFC 7413 §4.1.1).
    pub fast_open: Option<FastOpenCookie>,
    /// User timeout (RFC 5482 §3).
    pub user_timeout: Option<UserTimeout>,
}

impl TcpOptions {
    /// Reads the option area of a header.
    ///
    /// # Errors
    /// [`ParseError::TcpOptionLength`] if an option's length is 0, 1, missing, or runs past `area`.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::TcpOptions;
    ///
    /// let options = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
    /// assert_eq!(TcpOptions::parse(&[2, 4, 0x05, 0xb4])?, options);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(area: &[u8]) -> Result<Self, ParseError> {
        let mut options = Self::default();
        let mut rest = area;
        // Every turn takes at least one byte off `rest`, so there are at most 40.
        while let Some((&kind, after_kind)) = rest.split_first() {
            match kind {
                END => break,
                NOP => rest = after_kind,
                _ => {
                    let len = usize::from(*after_kind.first().ok_or(ParseError::TcpOptionLength)?);
                    let (option, after) = rest.split_at_checked(len).ok_or(ParseError::TcpOptionLength)?;
                    let value = option.get(2..).ok_or(ParseError::TcpOptionLength)?;
                    options.take(kind, value);
                    rest = after;
                }
            }
        }
        Ok(options)
    }

    /// Notes one option if its kind is known, its length right, and no valid one of the kind came before.
    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                let val = u32::from_be_bytes([a, b, c, d]);
                let ecr = u32::from_be_bytes([e, f, g, h]);
                self.timestamps.get_or_insert(Timestamps { val, ecr });
            }
            (SACK, blocks) if blocks.len() % 8 == 0 && self.sack.is_empty() => {
                for &[a, b, c, d, e, f, g, h] in blocks.as_chunks().0 {
                    let left = SeqNum::new(u32::from_be_bytes([a, b, c, d]));
                    let right = SeqNum::new(u32::from_be_bytes([e, f, g, h]));
                    // An option area holds at most four blocks, so there is always room.
                    SackBlock::new(left, right).map(|block| self.sack.push(block));
                }
            }
            (MSS, &[a, b]) => {
                self.mss.get_or_insert(u16::from_be_bytes([a, b]));
            }
            (WINDOW_SCALE, &[shift]) => {
                self.window_scale.get_or_insert(shift);
            }
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (FAST_OPEN, cookie) => self.fast_open = self.fast_open.or_else(|| FastOpenCookie::new(cookie)),
            (USER_TIMEOUT, &[a, b]) => {
                let raw = u16::from_be_bytes([a, b]);
                self.user_timeout = self.user_timeout.or_else(|| UserTimeout::from_raw(raw));
            }
            _ => {}
        }
    }

    /// How many bytes [`TcpOptions::emit`] writes: a multiple of 4, at most [`MAX_OPTIONS_LEN`].
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::TcpOptions;
    ///
    /// let options = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
    /// assert_eq!(options.encoded_len(), 4);
    /// ```
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.layout().len
    }

    /// Writes the options, padded to a multiple of 4, and returns their length.
    ///
    /// SYN options, timestamps and cookie always fit. A user timeout is left out where it does not, and SACK
    /// blocks are left out from the end.
    ///
    /// # Errors
    /// [`BuildError::BufferTooShort`] if `buf` is shorter than [`TcpOptions::encoded_len`].
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::TcpOptions;
    ///
    /// let options = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
    /// let mut area = [0; 40];
    /// assert_eq!(options.emit(&mut area)?, 4);
    /// assert_eq!(area[..4], [2, 4, 0x05, 0xb4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, BuildError> {
        let layout = self.layout();
        let mut out = Writer(buf.get_mut(..layout.len).ok_or(BuildError::BufferTooShort)?);
        if let Some(mss) = self.mss {
            out.put([MSS, 4])?;
            out.put(mss.to_be_bytes())?;
        }
        if let Some(timestamps) = self.timestamps {
            out.put(if self.sack_permitted { [SACK_PERMITTED, 2] } else { [NOP, NOP] })?;
            out.put([TIMESTAMPS, 10])?;
            out.put(timestamps.val.to_be_bytes())?;
            out.put(timestamps.ecr.to_be_bytes())?;
        } else if self.sack_permitted {
            out.put([NOP, NOP, SACK_PERMITTED, 2])?;
        }
        if let Some(shift) = self.window_scale {
            out.put([NOP, WINDOW_SCALE, 3, shift])?;
        }
        if layout.sack_blocks > 0 {
            // 2 + 8 * 4 at most: the cast is exact.
            let len = 2usize.wrapping_add(layout.sack_blocks.wrapping_mul(8)) as u8;
            out.put([NOP, NOP, SACK, len])?;
            for block in self.sack.iter().take(layout.sack_blocks) {
                out.put(block.left.get().to_be_bytes())?;
                out.put(block.right.get().to_be_bytes())?;
            }
        }
        if let Some(cookie) = self.fast_open {
            out.put([FAST_OPEN, cookie.len.wrapping_add(2)])?;
            out.put_slice(cookie.as_bytes())?;
            if cookie.len % 4 == 0 {
                out.put([NOP, NOP])?;
            }
        }
        if let (Some(timeout), true) = (self.user_timeout, layout.user_timeout) {
            out.put([USER_TIMEOUT, 4])?;
            out.put(timeout.raw().to_be_bytes())?;
        }
        Ok(layout.len)
    }

    /// Decides what fits; every group is padded to a multiple of 4 by itself.
    fn layout(&self) -> Layout {
        let cookie =
            self.fast_open.map_or(0, |cookie| usize::from(cookie.len).wrapping_add(2).next_multiple_of(4));
        let fixed = [
            if self.mss.is_some() { 4 } else { 0 },
            if self.timestamps.is_some() {
                12
            } else if self.sack_permitted {
                4
            } else {
                0
            },
            if self.window_scale.is_some() { 4 } else { 0 },
            cookie,
        ];
        // At most 4 + 12 + 4 + 20 = 40.
        let mut len = fixed.iter().sum::<usize>();
        let user_timeout = self.user_timeout.is_some() && len.wrapping_add(4) <= MAX_OPTIONS_LEN;
        if user_timeout {
            len = len.wrapping_add(4);
        }
        let room = MAX_OPTIONS_LEN.saturating_sub(len).saturating_sub(4) / 8;
        let sack_blocks = self.sack.len().min(room);
        if sack_blocks > 0 {
            len = len.wrapping_add(4).wrapping_add(sack_blocks.wrapping_mul(8));
        }
        Layout { len, sack_blocks, user_timeout }
    }
}

struct Layout {
    len: usize,
    sack_blocks: usize,
    user_timeout: bool,
}

/// Appends to a slice.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), BuildError> {
        let (to, rest) =
            core::mem::take(&mut self.0).split_first_chunk_mut().ok_or(BuildError::BufferTooShort)?;
        *to = bytes;
        self.0 = rest;
        Ok(())
    }

    fn put_slice(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        let (to, rest) = core::mem::take(&mut self.0)
            .split_at_mut_checked(bytes.len())
            .ok_or(BuildError::BufferTooShort)?;
        to.copy_from_slice(bytes); // the split made them equally long
        self.0 = rest;
        Ok(())
    }
}

/// The timestamps option (RFC 7323 §3.2).
///
/// # Examples
/// ```
/// use carrick_wire::{TcpOptions, Timestamps};
///
/// let timestamps = Some(Timestamps { val: 1000, ecr: 0 });
/// assert_eq!(TcpOptions { timestamps, ..TcpOptions::default() }.encoded_len(), 12);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub val: u32,
    /// TSecr: the echo; meaningful only with ACK.
    pub ecr: u32,
}

/// A range of received sequence numbers, `left..right`, never empty (RFC 2018 §3).
///
/// # Examples
/// ```
/// use carrick_wire::{SackBlock, SackBlocks, SeqNum};
///
/// let block = SackBlock::new(SeqNum::new(10), SeqNum::new(20)).expect("it is not empty");
/// assert_eq!(block.right() - block.left(), 10);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SackBlock {
    left: SeqNum,
    right: SeqNum,
}

impl SackBlock {
    /// The block from `left` to just before `right`; `None` unless `right` is after `left`.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{SackBlock, SeqNum};
    ///
    /// assert!(SackBlock::new(SeqNum::new(10), SeqNum::new(10)).is_none(), "it is empty");
    /// ```
    #[must_use]
    pub const fn new(left: SeqNum, right: SeqNum) -> Option<Self> {
        if right.after(left) { Some(Self { left, right }) } else { None }
    }

    /// The first number of the block.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{SackBlock, SackBlocks, SeqNum};
    ///
    /// let block = SackBlock::new(SeqNum::new(10), SeqNum::new(20)).expect("it is not empty");
    /// assert_eq!(block.left(), SeqNum::new(10));
    /// ```
    #[must_use]
    pub const fn left(self) -> SeqNum {
        self.left
    }

    /// The number just after the block.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{SackBlock, SackBlocks, SeqNum};
    ///
    /// let block = SackBlock::new(SeqNum::new(10), SeqNum::new(20)).expect("it is not empty");
    /// assert_eq!(block.right(), SeqNum::new(20));
    /// ```
    #[must_use]
    pub const fn right(self) -> SeqNum {
        self.right
    }
}

/// Up to four SACK blocks, in the order of the option.
///
/// # Examples
/// ```
/// use carrick_wire::{SackBlock, SackBlocks, SeqNum};
///
/// let block = SackBlock::new(SeqNum::new(10), SeqNum::new(20)).expect("it is not empty");
/// let mut blocks = SackBlocks::default();
/// assert!(blocks.push(block));
/// assert_eq!(blocks.len(), 1);
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct SackBlocks {
    blocks: [SackBlock; Self::MAX],
    len: u8,
}

impl SackBlocks {
    /// The most blocks an option holds.
    pub const MAX: usize = 4;

    /// Places not in use hold this, so that equal lists are equal bytes.
    const UNUSED: SackBlock = SackBlock { left: SeqNum::new(0), right: SeqNum::new(1) };

    /// Appends `block`; `false`, and nothing changed, if four are there already.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{SackBlock, SackBlocks, SeqNum};
    ///
    /// let block = SackBlock::new(SeqNum::new(10), SeqNum::new(20)).expect("it is not empty");
    /// let mut blocks = SackBlocks::default();
    /// assert!(blocks.push(block));
    /// assert_eq!(blocks.len(), 1);
    /// ```
    pub fn push(&mut self, block: SackBlock) -> bool {
        let Some(place) = self.blocks.get_mut(usize::from(self.len)) else { return false };
        *place = block;
        self.len = self.len.wrapping_add(1);
        true
    }

    /// The blocks in order.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{SackBlock, SackBlocks, SeqNum};
    ///
    /// let block = SackBlock::new(SeqNum::new(10), SeqNum::new(20)).expect("it is not empty");
    /// let mut blocks = SackBlocks::default();
    /// assert!(blocks.push(block));
    /// assert!(blocks.iter().eq([block]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = SackBlock> + '_ {
        self.blocks.iter().copied().take(self.len())
    }

    /// How many blocks there are: 0..=4.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{SackBlock, SackBlocks, SeqNum};
    ///
    /// let block = SackBlock::new(SeqNum::new(10), SeqNum::new(20)).expect("it is not empty");
    /// let mut blocks = SackBlocks::default();
    /// assert!(blocks.push(block));
    /// assert_eq!(blocks.len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there are none.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{SackBlock, SackBlocks, SeqNum};
    ///
    /// let block = SackBlock::new(SeqNum::new(10), SeqNum::new(20)).expect("it is not empty");
    /// let mut blocks = SackBlocks::default();
    /// assert!(blocks.push(block));
    /// assert!(!blocks.is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for SackBlocks {
    fn default() -> Self {
        Self { blocks: [Self::UNUSED; Self::MAX], len: 0 }
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|block| block.left.get()..block.right.get())).finish()
    }
}

/// A Fast Open cookie of 4, 6, .. 16 bytes, or the empty request for one (RFC 7413 §4.1.1).
///
/// # Examples
/// ```
/// use carrick_wire::FastOpenCookie;
///
/// let cookie = FastOpenCookie::new(&[7; 8]).expect("4 to 16 bytes");
/// assert!(!cookie.is_request());
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct FastOpenCookie {
    bytes: [u8; 16],
    len: u8,
}

impl FastOpenCookie {
    /// The request for a cookie.
    pub const REQUEST: Self = Self { bytes: [0; 16], len: 0 };

    /// The cookie with these bytes; `None` if their number is odd, 2, or above 16.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::FastOpenCookie;
    ///
    /// let cookie = FastOpenCookie::new(&[7; 8]).expect("4 to 16 bytes");
    /// assert!(FastOpenCookie::new(&[7; 17]).is_none());
    /// ```
    #[must_use]
    pub fn new(cookie: &[u8]) -> Option<Self> {
        if !matches!(cookie.len(), 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16) {
            return None;
        }
        let mut bytes = [0; 16];
        bytes.get_mut(..cookie.len())?.copy_from_slice(cookie);
        Some(Self { bytes, len: u8::try_from(cookie.len()).ok()? })
    }

    /// The cookie; empty for a request.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::FastOpenCookie;
    ///
    /// let cookie = FastOpenCookie::new(&[7; 8]).expect("4 to 16 bytes");
    /// assert_eq!(cookie.as_bytes(), [7; 8]);
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether this asks for a cookie.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::FastOpenCookie;
    ///
    /// let cookie = FastOpenCookie::new(&[7; 8]).expect("4 to 16 bytes");
    /// assert!(FastOpenCookie::REQUEST.is_request() && !cookie.is_request());
    /// ```
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for FastOpenCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FastOpenCookie({:02x?})", self.as_bytes())
    }
}

/// The user timeout option: 1 to 32,767 seconds or minutes, never zero (RFC 5482 §3.3).
///
/// # Examples
/// ```
/// use carrick_wire::UserTimeout;
///
/// let timeout = UserTimeout::from_seconds(90).expect("it is in range");
/// assert_eq!(timeout.seconds(), 90);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct UserTimeout(u16);

impl UserTimeout {
    const MINUTES: u16 = 1 << 15;
    const MAX_UNITS: u32 = 32_767;

    /// The option's value as carried: a bit that says minutes, and 15 bits of time; `None` if the time is
    /// zero.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::UserTimeout;
    ///
    /// let timeout = UserTimeout::from_seconds(90).expect("it is in range");
    /// assert_eq!(UserTimeout::from_raw(timeout.raw()), Some(timeout));
    /// ```
    #[must_use]
    pub const fn from_raw(raw: u16) -> Option<Self> {
        if raw & !Self::MINUTES == 0 { None } else { Some(Self(raw)) }
    }

    /// The option's value as carried.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::UserTimeout;
    ///
    /// let timeout = UserTimeout::from_seconds(90).expect("it is in range");
    /// assert_eq!(UserTimeout::from_raw(timeout.raw()), Some(timeout));
    /// ```
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// A timeout of at least `seconds`: rounded up to minutes above 32,767 s, at most 32,767 min; `None` for
    /// zero.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::UserTimeout;
    ///
    /// let timeout = UserTimeout::from_seconds(90).expect("it is in range");
    /// assert_eq!(timeout.seconds(), 90);
    /// ```
    #[must_use]
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        let raw = if seconds <= Self::MAX_UNITS {
            seconds as u16 // exact by the test
        } else {
            seconds.div_ceil(60).min(Self::MAX_UNITS) as u16 | Self::MINUTES
        };
        Self::from_raw(raw)
    }

    /// The timeout in seconds: 1..=1,966,020.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::UserTimeout;
    ///
    /// let timeout = UserTimeout::from_seconds(90).expect("it is in range");
    /// assert_eq!(timeout.seconds(), 90);
    /// ```
    #[must_use]
    pub const fn seconds(self) -> u32 {
        let units = (self.0 & !Self::MINUTES) as u32;
        if self.0 & Self::MINUTES == 0 { units } else { units.wrapping_mul(60) }
    }
}
