//! A link in memory: two devices, what one sends the other receives.
//!
//! By default it carries super-segments whole and vouches for its packets, as fast as memory goes; with
//! [`MemoryConfig::offload`] off it behaves like a plain network card, so every packet fits the MTU and every
//! checksum is made and verified. It works on any platform, needs no privileges, and runs on tokio's paused
//! clock: two stacks on a pair are a deterministic test of a protocol over real TCP. Nothing is lost on it:
//! a full ring makes the sender wait.

use super::ring::{Popped, Queued, Ring};
use super::{Capabilities, Checksum, Device, Inbox, Meta, Packet};
use carrick_core::MAX_CHUNK;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Settings of a memory link.
///
/// # Examples
/// ```
/// use carrick::device::memory::MemoryConfig;
///
/// let config = MemoryConfig::default().mtu(9000).ring_bytes(64 << 10);
/// assert!(config.offload);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MemoryConfig {
    /// Largest IP packet in bytes, 576 (1,280 with IPv6) to 65,535. Default 1,500.
    pub mtu: u16,
    /// Bytes that wait in each direction before the sender has to. Default 1 MiB; one packet always fits.
    pub ring_bytes: usize,
    /// Carry super-segments whole, without checksums. Default true.
    pub offload: bool,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { mtu: 1500, ring_bytes: 1 << 20, offload: true }
    }
}

impl MemoryConfig {
    /// A link without any offload and with this MTU.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::memory::MemoryConfig;
    ///
    /// let config = MemoryConfig::plain(1500);
    /// assert!(!config.offload);
    /// ```
    #[must_use]
    pub fn plain(mtu: u16) -> Self {
        Self { mtu, offload: false, ..Self::default() }
    }

    /// Sets the MTU.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::memory::MemoryConfig;
    ///
    /// assert_eq!(MemoryConfig::default().mtu(9000).mtu, 9000);
    /// ```
    #[must_use]
    pub fn mtu(self, mtu: u16) -> Self {
        Self { mtu, ..self }
    }

    /// Sets how many bytes may wait in each direction.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::memory::MemoryConfig;
    ///
    /// assert_eq!(MemoryConfig::default().ring_bytes(64 << 10).ring_bytes, 64 << 10);
    /// ```
    #[must_use]
    pub fn ring_bytes(self, ring_bytes: usize) -> Self {
        Self { ring_bytes, ..self }
    }
}

/// One end of a link in memory.
///
/// # Examples
/// ```
/// use carrick::device::Device;
/// use carrick::device::memory::{MemoryConfig, pair};
///
/// let (device, _other_end) = pair(MemoryConfig::plain(1500));
/// assert_eq!(device.description(), "memory pair (plain, MTU 1500)");
/// ```
#[derive(Debug)]
pub struct MemoryDevice {
    kind: &'static str,
    config: MemoryConfig,
    incoming: Arc<Ring>,
    outgoing: Arc<Ring>,
}

/// Makes a link and gives its two ends.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use carrick::Stack;
/// use carrick::device::memory::{MemoryConfig, pair};
///
/// let (left, right) = pair(MemoryConfig::default());
/// let server = Stack::builder().address("192.0.2.1/24".parse()?).device(left).build()?;
/// let client = Stack::builder().address("192.0.2.2/24".parse()?).device(right).build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn pair(config: MemoryConfig) -> (MemoryDevice, MemoryDevice) {
    let a = Arc::new(Ring::new(config.ring_bytes));
    let b = Arc::new(Ring::new(config.ring_bytes));
    let end = |incoming: &Arc<Ring>, outgoing: &Arc<Ring>| {
        MemoryDevice::new("memory pair", config, Arc::clone(incoming), Arc::clone(outgoing))
    };
    (end(&a, &b), end(&b, &a))
}

impl MemoryDevice {
    pub(super) const fn new(
        kind: &'static str,
        config: MemoryConfig,
        incoming: Arc<Ring>,
        outgoing: Arc<Ring>,
    ) -> Self {
        Self { kind, config, incoming, outgoing }
    }
}

impl Device for MemoryDevice {
    fn capabilities(&self) -> Capabilities {
        let plain = Capabilities { keeps_payloads: true, ..Capabilities::plain(self.config.mtu) };
        if !self.config.offload {
            return plain;
        }
        Capabilities {
            largest_frame: usize::from(u16::MAX),
            segmentation_v4: true,
            segmentation_v6: true,
            completes_checksums: true,
            ..plain
        }
    }

    fn description(&self) -> String {
        let offload = if self.config.offload { "with offload" } else { "plain" };
        format!("{} ({offload}, MTU {})", self.kind, self.config.mtu)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let mut delivered = false;
        loop {
            // The waker is left only by the call that finds nothing at all.
            match self.incoming.pop((!delivered).then_some(cx.waker())) {
                Popped::Packet(Queued { head, parts, checksum, segment_size, .. }) => {
                    delivered = true;
                    let meta = Meta { checksum, segment_size, received_at: None };
                    if inbox.received_in_parts(&head, &parts, MAX_CHUNK, meta).is_break() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Popped::Empty if delivered => return Poll::Ready(Ok(())),
                Popped::Empty => return Poll::Pending,
                Popped::Closed if delivered => return Poll::Ready(Ok(())),
                Popped::Closed => {
                    let error = "the other end of the link in memory is gone";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, error)));
                }
            }
        }
    }

    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        let checksum = if self.config.offload { Checksum::Verified } else { Checksum::Unknown };
        if self.outgoing.push(packet, checksum) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(if self.outgoing.has_room(cx.waker()) { Poll::Ready(()) } else { Poll::Pending });
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryDevice {
    fn drop(&mut self) {
        self.incoming.close();
        self.outgoing.close();
    }
}
