//! One received packet, and what it means to a connection.

use crate::recv::Text;
use bytes::Bytes;
use carrick_wire::{Ecn, SeqNum, TcpFlags, TcpOptions, WireWindow};

/// Whether somebody has verified a packet's checksums already.
///
/// # Examples
/// ```
/// use carrick_core::{Checksum, Frame};
///
/// let packet = [0x45, 0, 0, 40];
/// // From a device that has verified it.
/// let frame = Frame::new(&packet).with_checksum(Checksum::Verified);
/// # let _ = frame;
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checksum {
    /// The device vouches for them (it checked, or the packet never left memory).
    Verified,
    /// Nobody knows: verify.
    #[default]
    Unknown,
}

/// One received IP packet, perhaps a super-segment that stands for many wire segments.
///
/// # Examples
/// ```
/// use carrick_core::{Checksum, Frame};
///
/// let packet = [0x45, 0, 0, 40];
/// let frame = Frame::new(&packet).with_checksum(Checksum::Verified);
/// assert_eq!((frame.head(), frame.following()), (&packet[..], 0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    pub(crate) bytes: &'f [u8],
    pub(crate) shared: Option<(&'f Bytes, usize)>,
    /// The rest of the payload, and what keeping one of these buffers costs.
    pub(crate) parts: (&'f [Bytes], usize),
    pub(crate) checksum: Checksum,
    pub(crate) segment_size: Option<u16>,
    pub(crate) looped: bool,
    pub(crate) again: bool,
}

impl<'f> Frame<'f> {
    /// A packet in a buffer that is the caller's again after the call: payload is copied.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Frame::new(&[0x45]).head(), [0x45]);
    /// ```
    #[must_use]
    pub const fn new(bytes: &'f [u8]) -> Self {
        Self {
            bytes,
            shared: None,
            parts: (&[], 0),
            checksum: Checksum::Unknown,
            segment_size: None,
            looped: false,
            again: false,
        }
    }

    /// A packet in a buffer that may be kept: large payloads become slices of it. Keeping any part of it
    /// is charged with `pinned` bytes, the size of the allocation behind it.
    ///
    /// # Examples
    /// ```
    /// let packet = bytes::Bytes::from_static(&[0x45]);
    /// let frame = carrick_core::Frame::shared(&packet, 65_536); // a slice of 64 KiB
    /// assert_eq!(frame.head(), [0x45]);
    /// ```
    #[must_use]
    pub fn shared(bytes: &'f Bytes, pinned: usize) -> Self {
        Self { shared: Some((bytes, pinned.max(bytes.len()))), ..Self::new(bytes) }
    }

    /// A TCP packet of which only the head, headers and perhaps some payload, is in one piece; the rest of the
    /// payload is in `parts`, at most [`MAX_PARTS`](crate::MAX_PARTS) buffers that may be kept. Keeping any
    /// part of one of them is charged with `pinned` bytes. The head's length fields count everything.
    ///
    /// # Examples
    /// ```
    /// let rest = [bytes::Bytes::from_static(b"hello"), bytes::Bytes::from_static(b" world")];
    /// let frame = carrick_core::Frame::in_parts(&[0x45], &rest, carrick_core::MAX_CHUNK);
    /// assert_eq!(frame.following(), 11);
    /// ```
    #[must_use]
    pub const fn in_parts(head: &'f [u8], parts: &'f [Bytes], pinned: usize) -> Self {
        Self { parts: (parts, pinned), ..Self::new(head) }
    }

    /// Says what is known of the checksums. Default: nothing.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::{Checksum, Frame};
    ///
    /// let frame = Frame::new(&[0x45]).with_checksum(Checksum::Verified);
    /// # let _ = frame;
    /// ```
    #[must_use]
    pub const fn with_checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }

    /// Says that the packet is our own, to an address of our own, and never was on a link. From a link such
    /// a packet is dropped: somebody forged it, or sent ours back.
    ///
    /// # Examples
    /// ```
    /// let frame = carrick_core::Frame::new(&[0x45]).looped();
    /// # let _ = frame;
    /// ```
    #[must_use]
    pub const fn looped(self) -> Self {
        Self { looped: true, ..self }
    }

    /// Says that it has been handed in before, for a connection that has ended or given way since: it has been counted
    /// as received.
    ///
    /// # Examples
    /// ```
    /// let frame = carrick_core::Frame::new(&[0x45]);
    /// // The connection that it was for has handed it back.
    /// let frame = frame.again();
    /// # let _ = frame;
    /// ```
    #[must_use]
    pub const fn again(self) -> Self {
        Self { again: true, ..self }
    }

    /// The packet's headers and perhaps some payload; all of it unless it is [in parts](Self::in_parts).
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Frame::new(&[0x45]).head(), [0x45]);
    /// ```
    #[must_use]
    pub const fn head(&self) -> &'f [u8] {
        self.bytes
    }

    /// How many bytes follow the head, in [parts](Self::in_parts).
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Frame::new(&[0x45]).following(), 0);
    /// ```
    #[must_use]
    pub fn following(&self) -> usize {
        self.parts.0.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()))
    }

    /// Says how much payload each wire segment carried, if the packet stands for several.
    ///
    /// # Examples
    /// ```
    /// let super_segment = [0x45; 40]; // and more
    /// let frame = carrick_core::Frame::new(&super_segment).with_segment_size(Some(1448));
    /// # let _ = frame;
    /// ```
    #[must_use]
    pub const fn with_segment_size(self, segment_size: Option<u16>) -> Self {
        Self { segment_size, ..self }
    }
}

/// A TCP segment that has been validated and belongs to a connection.
///
/// # Examples
/// ```
/// # use carrick_core::{Input, Segment};
/// # let mut scene = carrick_sim::Scene::established();
/// # let mut endpoint = scene.host().endpoint().clone();
/// # let packet = scene.packet(&carrick_sim::seg().seq(1).ack(1).data("hello"));
/// # let cx = carrick_core::Cx::new(scene.now());
/// let dispatch = endpoint.handle_frame(&cx, packet.frame());
/// let carrick_core::Dispatch::Existing(_, Input::Segment(segment)) = dispatch else {
///     panic!("it is for a connection");
/// };
/// assert_eq!(segment.text_len(), 5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Segment<'f> {
    pub(crate) seq: SeqNum,
    pub(crate) ack: SeqNum,
    pub(crate) flags: TcpFlags,
    pub(crate) window: WireWindow,
    /// SEG.UP; means something only with the URG flag.
    pub(crate) urgent: u16,
    /// The differentiated services field of the packet.
    pub(crate) dscp: u8,
    pub(crate) options: TcpOptions,
    pub(crate) text: Text<'f>,
    pub(crate) segment_size: Option<u16>,
    pub(crate) ecn: Ecn,
}

impl<'f> Segment<'f> {
    /// The ECN field of the packet that it came in (RFC 3168 §5).
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Input, Segment};
    /// # let mut scene = carrick_sim::Scene::established();
    /// # let mut endpoint = scene.host().endpoint().clone();
    /// # let packet = scene.packet(&carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # let cx = carrick_core::Cx::new(scene.now());
    /// let dispatch = endpoint.handle_frame(&cx, packet.frame());
    /// let carrick_core::Dispatch::Existing(_, Input::Segment(segment)) = dispatch else {
    ///     panic!("it is for a connection");
    /// };
    /// assert_eq!(segment.ecn(), carrick_wire::Ecn::NotEct);
    /// ```
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        self.ecn
    }

    /// How much text each wire segment carried, if this one stands for several.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Input, Segment};
    /// # let mut scene = carrick_sim::Scene::established();
    /// # let mut endpoint = scene.host().endpoint().clone();
    /// # let packet = scene.packet(&carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # let cx = carrick_core::Cx::new(scene.now());
    /// let dispatch = endpoint.handle_frame(&cx, packet.frame());
    /// let carrick_core::Dispatch::Existing(_, Input::Segment(segment)) = dispatch else {
    ///     panic!("it is for a connection");
    /// };
    /// assert_eq!(segment.segment_size(), None);
    /// ```
    #[must_use]
    pub const fn segment_size(&self) -> Option<u16> {
        self.segment_size
    }

    /// SEG.SEQ.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Input, Segment};
    /// # let mut scene = carrick_sim::Scene::established();
    /// # let mut endpoint = scene.host().endpoint().clone();
    /// # let packet = scene.packet(&carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # let cx = carrick_core::Cx::new(scene.now());
    /// let dispatch = endpoint.handle_frame(&cx, packet.frame());
    /// let carrick_core::Dispatch::Existing(_, Input::Segment(segment)) = dispatch else {
    ///     panic!("it is for a connection");
    /// };
    /// println!("SEG.SEQ={}", segment.seq().get());
    /// ```
    #[must_use]
    pub const fn seq(&self) -> SeqNum {
        self.seq
    }

    /// SEG.ACK; means something only with the ACK flag.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Input, Segment};
    /// # let mut scene = carrick_sim::Scene::established();
    /// # let mut endpoint = scene.host().endpoint().clone();
    /// # let packet = scene.packet(&carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # let cx = carrick_core::Cx::new(scene.now());
    /// let dispatch = endpoint.handle_frame(&cx, packet.frame());
    /// let carrick_core::Dispatch::Existing(_, Input::Segment(segment)) = dispatch else {
    ///     panic!("it is for a connection");
    /// };
    /// println!("SEG.ACK={}", segment.ack().get());
    /// ```
    #[must_use]
    pub const fn ack(&self) -> SeqNum {
        self.ack
    }

    /// The control bits.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Input, Segment};
    /// # let mut scene = carrick_sim::Scene::established();
    /// # let mut endpoint = scene.host().endpoint().clone();
    /// # let packet = scene.packet(&carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # let cx = carrick_core::Cx::new(scene.now());
    /// let dispatch = endpoint.handle_frame(&cx, packet.frame());
    /// let carrick_core::Dispatch::Existing(_, Input::Segment(segment)) = dispatch else {
    ///     panic!("it is for a connection");
    /// };
    /// assert!(segment.flags().contains(carrick_wire::TcpFlags::ACK));
    /// ```
    #[must_use]
    pub const fn flags(&self) -> TcpFlags {
        self.flags
    }

    /// How many bytes of text it carries.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Input, Segment};
    /// # let mut scene = carrick_sim::Scene::established();
    /// # let mut endpoint = scene.host().endpoint().clone();
    /// # let packet = scene.packet(&carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # let cx = carrick_core::Cx::new(scene.now());
    /// let dispatch = endpoint.handle_frame(&cx, packet.frame());
    /// let carrick_core::Dispatch::Existing(_, Input::Segment(segment)) = dispatch else {
    ///     panic!("it is for a connection");
    /// };
    /// assert_eq!(segment.text_len(), 5);
    /// ```
    #[must_use]
    pub const fn text_len(&self) -> usize {
        self.text.len()
    }

    /// SEG.LEN: text plus one for SYN and one for FIN. Below 2^17, since a packet is below 2^16.
    pub(crate) fn len(&self) -> u32 {
        self.text_seqs()
            .saturating_add(u32::from(self.flags.contains(TcpFlags::SYN)))
            .saturating_add(u32::from(self.flags.contains(TcpFlags::FIN)))
    }

    /// How many segments on the wire it stands for, as far as its text tells.
    pub(crate) fn wire_segments(&self) -> usize {
        let size = self.segment_size.map_or(0, usize::from);
        if size == 0 { 1 } else { self.text.len().div_ceil(size).max(1) }
    }

    /// The sequence numbers that the text takes.
    pub(crate) fn text_seqs(&self) -> u32 {
        u32::try_from(self.text.len()).unwrap_or(u32::MAX >> 1)
    }

    /// SEG.SEQ of the first segment on the wire that reaches beyond `nxt`: those before it would not be acceptable
    /// alone.
    pub(crate) fn new_seq(&self, nxt: SeqNum) -> SeqNum {
        let old = u32::try_from(nxt - self.seq).unwrap_or(0);
        let size = self.segment_size.map_or(0, u32::from);
        self.seq + old.checked_rem(size).map_or(0, |rest| old.saturating_sub(rest))
    }

    /// SEG.SEQ of the last segment on the wire that it stands for.
    pub(crate) fn last_seq(&self) -> SeqNum {
        let size = self.segment_size.map_or(0, usize::from);
        let before = self.wire_segments().saturating_sub(1).saturating_mul(size);
        self.seq + u32::try_from(before).unwrap_or(0)
    }

    /// Whether a flag is set.
    pub(crate) fn has(&self, flag: TcpFlags) -> bool {
        self.flags.contains(flag)
    }
}

/// An ICMP error about a segment of ours, its quote validated (RFC 5927 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IcmpError {
    pub(crate) kind: IcmpErrorKind,
    /// The sequence number that the quote carries.
    pub(crate) seq: SeqNum,
}

/// What an ICMP or ICMPv6 error says, the families made one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IcmpErrorKind {
    /// The network cannot be reached (IPv4 3/0 and its kin, IPv6 1/0).
    NetworkUnreachable,
    /// The host cannot be reached (IPv4 3/1 and its kin, IPv6 1/3).
    HostUnreachable,
    /// The port or the protocol is closed (IPv4 3/2 and 3/3, IPv6 1/1 and 1/4).
    Refused,
    /// The packet was too big for a link of this MTU; 0 where an old router does not say.
    PacketTooBig(u32),
    /// The hop limit ran out.
    TimeExceeded,
    /// A header field was not understood.
    ParameterProblem,
    /// An ICMPv6 error of a type that nobody knew when this was written (RFC 4443 §2.4 b).
    Unknown,
}

/// What [`Connection::handle_input`](crate::Connection::handle_input) takes.
///
/// # Examples
/// ```
/// # use carrick_core::{Input, Segment};
/// # let mut scene = carrick_sim::Scene::established();
/// # let mut endpoint = scene.host().endpoint().clone();
/// # let packet = scene.packet(&carrick_sim::seg().seq(1).ack(1).data("hello"));
/// # let cx = carrick_core::Cx::new(scene.now());
/// let dispatch = endpoint.handle_frame(&cx, packet.frame());
/// let carrick_core::Dispatch::Existing(_, Input::Segment(segment)) = dispatch else {
///     panic!("it is for a connection");
/// };
/// assert_eq!(segment.text_len(), 5);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Input<'f> {
    /// A segment.
    Segment(Segment<'f>),
    /// An ICMP error about a segment of ours.
    Icmp(IcmpError),
}
