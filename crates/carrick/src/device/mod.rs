//! Devices: where packets come from and go to.
//!
//! A [`Device`] moves whole IP packets. The trait is batch-shaped on the way in (one call delivers as many
//! packets as there are) and scatter/gather on the way out (header plus payload slices, no flat copy), and
//! both directions carry super-segments: one packet that stands for many wire segments, with its segment
//! size. A device says in its [`Capabilities`] what it can do; what it cannot, the driver does in software.
//!
//! What a device must keep to: [`Device::send`] takes a packet whole or not at all, keeps or copies it before
//! it returns, never waits and never calls into a stack; [`Device::poll_recv`] and [`Device::poll_send_ready`]
//! register the waker they are given before they say `Pending`.

mod buffers;
pub mod channel;
#[cfg(unix)]
mod fd;
#[cfg(feature = "sim")]
pub mod impaired;
mod inbox;
pub mod memory;
mod ring;
#[cfg(feature = "smoltcp")]
pub mod smoltcp;
#[cfg(target_os = "linux")]
mod tun;

pub(crate) use buffers::Buffers;
#[cfg(unix)]
pub use fd::PacketFd;
pub(crate) use inbox::Sink;
pub use inbox::{Collected, Inbox};
pub(crate) use ring::{Popped, Queued, Ring};
#[cfg(target_os = "linux")]
pub use tun::{Tun, TunBuilder};

use bytes::{Bytes, BytesMut};
use carrick_core::Transmit;
use std::io;
use std::num::NonZeroU16;
use std::task::{Context, Poll};

pub use carrick_core::Checksum;

/// Something that moves IP packets.
///
/// # Examples
/// A device that loses every tenth packet that it is to send, around any other:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use carrick::device::memory::{MemoryConfig, pair};
/// use carrick::device::{Capabilities, Device, Inbox, Packet};
/// use carrick::Stack;
/// use std::io;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::task::{Context, Poll};
///
/// struct Lossy<D>(D, AtomicUsize);
///
/// impl<D: Device> Device for Lossy<D> {
///     fn capabilities(&self) -> Capabilities {
///         self.0.capabilities()
///     }
///     fn description(&self) -> String {
///         format!("{}, lossy", self.0.description())
///     }
///     fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
///         self.0.poll_recv(cx, inbox)
///     }
///     fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
///         if self.1.fetch_add(1, Ordering::Relaxed) % 10 == 9 {
///             return Ok(());
///         }
///         self.0.send(packet)
///     }
///     fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
///         self.0.poll_send_ready(cx)
///     }
/// }
///
/// let (device, _other_end) = pair(MemoryConfig::default());
/// let lossy = Lossy(device, AtomicUsize::new(0));
/// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(lossy).build()?;
/// assert!(stack.device_description().ends_with(", lossy"));
/// # Ok(())
/// # }
/// ```
pub trait Device: Send + Sync + 'static {
    /// What the device can do; it stays the same for the device's life.
    fn capabilities(&self) -> Capabilities;

    /// One line for people, for example `tun0 (plain TUN, MTU 1500)`.
    fn description(&self) -> String;

    /// Reads packets into `inbox` until the device would block or the inbox says
    /// [`Break`](std::ops::ControlFlow::Break).
    ///
    /// `Ready(Ok)` if at least one packet was delivered, `Pending` (waker registered) if none. Called by the
    /// device task alone, which may call [`send`](Self::send) from within the inbox: a lock that `send` takes must not
    /// be held while a packet is handed over.
    ///
    /// # Errors
    /// The device has ended, or fails for good: every stream gets the error. A passing failure (interface
    /// down, no buffer space, an interrupted call) is not reported here but counts as lost packets.
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>>;

    /// Takes one packet, all of it or none. Never waits, never enters a stack. May be called from any
    /// thread, and from several at once.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room now; the packet will be offered again
    /// after [`poll_send_ready`](Self::poll_send_ready). [`InvalidInput`](io::ErrorKind::InvalidInput) for a packet
    /// with a segment size: the device refuses it although it should not; it comes again in pieces, and after the
    /// third all do. Any other error: the packet is taken for lost, and
    /// if the device is gone for good, `poll_recv` says so.
    fn send(&self, packet: &Packet<'_>) -> io::Result<()>;

    /// Ready when a send that would have blocked may be tried again. Called by the device task alone.
    ///
    /// # Errors
    /// As for [`poll_recv`](Self::poll_recv).
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// What a device can do.
///
/// # Examples
/// ```
/// use carrick::device::Capabilities;
///
/// let card = Capabilities { completes_checksums: true, ..Capabilities::plain(9000) };
/// assert_eq!((card.largest_frame, card.segmentation_v4), (9000, false));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// Largest IP packet of the link in bytes, 576 (1,280 with IPv6) to 65,535.
    pub mtu: u16,
    /// Largest packet that [`Device::send`] takes, in bytes: the MTU, or with segmentation up to 65,535.
    pub largest_frame: usize,
    /// Whether IPv4 TCP packets with a segment size are cut (or carried whole) by the device.
    pub segmentation_v4: bool,
    /// Whether IPv6 TCP packets with a segment size are cut (or carried whole) by the device.
    pub segmentation_v6: bool,
    /// Whether the device completes TCP checksums: then packets come with the partial form, the sum of the
    /// pseudo-header alone.
    pub completes_checksums: bool,
    /// Whether the device keeps payloads, by [`Packet::keep_payload`], instead of writing them out. They are copied
    /// if it keeps them without saying so here.
    pub keeps_payloads: bool,
    /// How many queues may be read independently; 1 unless said otherwise.
    pub queues: usize,
}

impl Capabilities {
    /// A device without any offload, one queue.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick::device::Capabilities::plain(1500).mtu, 1500);
    /// ```
    #[must_use]
    pub const fn plain(mtu: u16) -> Self {
        Self {
            mtu,
            largest_frame: mtu as usize,
            segmentation_v4: false,
            segmentation_v6: false,
            completes_checksums: false,
            keeps_payloads: false,
            queues: 1,
        }
    }
}

/// One packet to send: IP and TCP (or ICMP) header bytes, then the payload's slices in order.
///
/// The TCP checksum is partial where the device [completes checksums](Capabilities::completes_checksums),
/// else full; IPv4 header and ICMP checksums are always full.
///
/// # Examples
/// ```
/// use carrick::device::Packet;
///
/// let (header, payload) = ([0x45; 40], [&b"some "[..], &b"text"[..]]);
/// let packet = Packet::new(&header, &payload, None);
/// assert_eq!((packet.header.len(), packet.payload.len()), (40, 2));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The headers, at most 120 bytes.
    pub header: &'a [u8],
    /// The payload, at most 8 slices, none empty.
    pub payload: &'a [&'a [u8]],
    /// How much payload each wire segment carries, if the packet stands for several. Only where the device
    /// can segment that family.
    pub segment_size: Option<NonZeroU16>,
    /// Whose payload it is.
    transmit: Option<&'a Transmit<'a>>,
}

impl<'a> Packet<'a> {
    /// A packet of these parts, for calling [`Device::send`] without a stack.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::Packet;
    ///
    /// let packet = Packet::new(&[0x45; 40], &[], None);
    /// assert_eq!(packet.total_len(), 40);
    /// ```
    #[must_use]
    pub const fn new(header: &'a [u8], payload: &'a [&'a [u8]], segment_size: Option<NonZeroU16>) -> Self {
        Self { header, payload, segment_size, transmit: None }
    }

    /// The packet that `transmit` is, its header completed or not.
    pub(crate) const fn of(
        transmit: &'a Transmit<'a>,
        header: &'a [u8],
        payload: &'a [&'a [u8]],
        segment_size: Option<NonZeroU16>,
    ) -> Self {
        Self { header, payload, segment_size, transmit: Some(transmit) }
    }

    /// The same packet with another header.
    pub(crate) const fn with_header<'b>(&'b self, header: &'b [u8]) -> Packet<'b>
    where
        'a: 'b,
    {
        Packet { header, ..*self }
    }

    /// The payload as buffers that may be kept, for a device that passes packets on in memory: payload of
    /// 4 KiB and more without a copy, if the packet leaves as its stack made it. Each buffer pins up to 64 KiB.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::Packet;
    ///
    /// let payload = [&b"text"[..]];
    /// let kept = Packet::new(&[0x45; 40], &payload, None).keep_payload();
    /// assert_eq!(kept, ["text"]);
    /// ```
    #[must_use]
    pub fn keep_payload(&self) -> Vec<Bytes> {
        match self.transmit {
            Some(transmit) => transmit.shared().collect(),
            None => self.payload.iter().map(|part| Bytes::copy_from_slice(part)).collect(),
        }
    }

    /// Length of the payload in bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::Packet;
    ///
    /// let payload = [&b"text"[..]];
    /// assert_eq!(Packet::new(&[0x45; 40], &payload, None).payload_len(), 4);
    /// ```
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.payload.iter().fold(0, |sum, part| sum.saturating_add(part.len()))
    }

    /// Length of the whole packet in bytes, headers included.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::Packet;
    ///
    /// let payload = [&b"text"[..]];
    /// assert_eq!(Packet::new(&[0x45; 40], &payload, None).total_len(), 44);
    /// ```
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.header.len().saturating_add(self.payload_len())
    }

    /// Appends the whole packet to `out`, headers first.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::Packet;
    ///
    /// let payload = [&b"text"[..]];
    /// let mut whole = bytes::BytesMut::new();
    /// Packet::new(&[0x45; 40], &payload, None).copy_to(&mut whole);
    /// assert!(whole.len() == 44 && whole.ends_with(b"text"));
    /// ```
    pub fn copy_to(&self, out: &mut BytesMut) {
        out.reserve(self.total_len());
        out.extend_from_slice(self.header);
        for part in self.payload {
            out.extend_from_slice(part);
        }
    }
}

/// What is known of a received packet besides its bytes.
///
/// # Examples
/// ```
/// use carrick::device::{Checksum, Meta};
///
/// let meta = Meta { checksum: Checksum::Verified, ..Meta::default() };
/// assert!(meta.segment_size.is_none());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// Whether the device vouches for the TCP checksum. Default: unknown, so it is verified.
    pub checksum: Checksum,
    /// How much payload each wire segment carried, if the packet stands for several. Default: it does not.
    pub segment_size: Option<u16>,
    /// When the packet was received. Default: now, by one reading of the clock per batch.
    pub received_at: Option<tokio::time::Instant>,
}
