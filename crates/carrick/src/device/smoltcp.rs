//! Devices of smoltcp for carrick, and devices of carrick for smoltcp (feature `smoltcp`).
//!
//! [`PhyDevice`] lets a stack use anything that implements [`smoltcp::phy::Device`], its tracers and fault injectors
//! included; [`DevicePhy`] lets a smoltcp interface use a [`Device`] of carrick, such as one end of a
//! [memory pair](super::memory). Both move bare IP packets ([`Medium::Ip`]) with finished checksums.

use super::{Capabilities, Checksum, Collected, Device, Inbox, Meta, Packet};
use bytes::Bytes;
use parking_lot::Mutex;
use smoltcp::phy::{self, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as PhyInstant;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// How soon a device that had no room is asked again: smoltcp's devices cannot say when they have some.
const ASK_AGAIN: Duration = Duration::from_millis(1);
/// How often a device that says it has packets and has none is believed before others may run.
const BELIEVED: usize = 16;
/// Most packets that are taken from a device before smoltcp has seen them.
const FRAMES_PER_BATCH: usize = 64;

/// A smoltcp device as a device of carrick.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use carrick::Stack;
/// use carrick::device::smoltcp::PhyDevice;
/// use smoltcp::phy::{Loopback, Medium};
/// use std::task::Poll;
///
/// // What is sent comes back; nothing comes by itself.
/// let device = PhyDevice::new(Loopback::new(Medium::Ip), |_cx| Poll::Pending)?;
/// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
/// # drop(stack);
/// # Ok(())
/// # }
/// ```
pub struct PhyDevice<P, F> {
    phy: Mutex<P>,
    ready: Mutex<F>,
    full: Mutex<Option<Pin<Box<Sleep>>>>,
    began: Instant,
    mtu: u16,
    checksum: Checksum,
}

impl<P, F> PhyDevice<P, F>
where
    P: phy::Device + Send + 'static,
    F: FnMut(&mut Context<'_>) -> Poll<io::Result<()>> + Send + 'static,
{
    /// Takes over `phy`. Its devices cannot be waited for, so `ready` has to say when to look for packets: it is called
    /// after `phy` had none, and either keeps the waker and says [`Pending`](Poll::Pending), or says that there may be
    /// some now. An error means that the device has ended.
    ///
    /// For a device with a descriptor that is `AsyncFd::poll_read_ready` and `clear_ready`; for others the two ends of
    /// a channel, or a `tokio::time::Interval`.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if its medium is not [`Medium::Ip`].
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::smoltcp::PhyDevice;
    /// use smoltcp::phy::{Loopback, Medium};
    /// use std::task::Poll;
    ///
    /// // What is sent comes back; nothing comes by itself.
    /// let device = PhyDevice::new(Loopback::new(Medium::Ip), |_cx| Poll::Pending)?;
    /// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
    /// # drop(stack);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(phy: P, ready: F) -> io::Result<Self> {
        let capabilities = phy.capabilities();
        if capabilities.medium != Medium::Ip {
            let what = format!("a device for {:?}, not for IP packets", capabilities.medium);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        // Whoever need not verify has it from a device that vouches for it.
        let verify = capabilities.checksum.tcp.rx();
        Ok(Self {
            phy: Mutex::new(phy),
            ready: Mutex::new(ready),
            full: Mutex::new(None),
            began: Instant::now(),
            mtu: u16::try_from(capabilities.ip_mtu()).unwrap_or(u16::MAX),
            checksum: if verify { Checksum::Unknown } else { Checksum::Verified },
        })
    }

    fn now(&self) -> PhyInstant {
        let micros = self.began.elapsed().as_micros();
        PhyInstant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl<P, F> Device for PhyDevice<P, F>
where
    P: phy::Device + Send + 'static,
    F: FnMut(&mut Context<'_>) -> Poll<io::Result<()>> + Send + 'static,
{
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.mtu)
    }

    fn description(&self) -> String {
        format!("smoltcp device (MTU {})", self.mtu)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let meta = Meta { checksum: self.checksum, ..Meta::default() };
        let mut delivered = false;
        for _ in 0..BELIEVED {
            loop {
                // The packet is handled without the lock: the answer to it leaves through the same device.
                let len = {
                    let mut phy = self.phy.lock();
                    let Some((packet, _answer)) = phy.receive(self.now()) else { break };
                    packet.consume(|bytes| {
                        let to = inbox.buffer().get_mut(..bytes.len());
                        to.map(|to| to.copy_from_slice(bytes)).map(|()| bytes.len())
                    })
                };
                delivered = true;
                let flow = match len {
                    Some(len) => inbox.received(len, meta),
                    None => inbox.refuse(),
                };
                if flow.is_break() {
                    return Poll::Ready(Ok(()));
                }
            }
            if delivered {
                return Poll::Ready(Ok(()));
            }
            ready!((self.ready.lock())(cx))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        let mut phy = self.phy.lock();
        let now = self.now();
        let token = phy.transmit(now).ok_or(io::ErrorKind::WouldBlock)?;
        token.consume(packet.total_len(), |mut to| {
            for part in [packet.header].iter().chain(packet.payload) {
                let (here, rest) = to.split_at_mut(part.len());
                here.copy_from_slice(part);
                to = rest;
            }
        });
        Ok(())
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut full = self.full.lock();
        let waits = full.get_or_insert_with(|| Box::pin(sleep(ASK_AGAIN)));
        ready!(waits.as_mut().poll(cx));
        *full = None;
        Poll::Ready(Ok(()))
    }
}

impl<P, F> fmt::Debug for PhyDevice<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhyDevice").field("mtu", &self.mtu).finish_non_exhaustive()
    }
}

/// A device of carrick as a smoltcp device.
///
/// smoltcp's interface is polled, so the loop around it waits for whichever comes first, its own next deadline or
/// [`poll_ready`](Self::poll_ready).
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use carrick::device::memory::{MemoryConfig, pair};
/// use carrick::device::smoltcp::DevicePhy;
/// use smoltcp::phy::Device;
///
/// let (_carricks, smoltcps) = pair(MemoryConfig::plain(1500));
/// let mut phy = DevicePhy::new(smoltcps)?;
/// assert_eq!(phy.capabilities().max_transmission_unit, 1500);
/// # Ok(())
/// # }
/// ```
pub struct DevicePhy<D> {
    device: D,
    batch: Collected,
    received: VecDeque<Bytes>,
    /// Sent, and not taken yet.
    waiting: Option<Vec<u8>>,
    ended: Option<io::ErrorKind>,
}

impl<D: Device> DevicePhy<D> {
    /// Takes over a device.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it leaves checksums or segmentation to others, of which smoltcp
    /// knows nothing.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use carrick::device::memory::{MemoryConfig, pair};
    /// use carrick::device::smoltcp::DevicePhy;
    /// use smoltcp::phy::Device;
    ///
    /// let (_carricks, smoltcps) = pair(MemoryConfig::plain(1500));
    /// let mut phy = DevicePhy::new(smoltcps)?;
    /// assert_eq!(phy.capabilities().max_transmission_unit, 1500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(device: D) -> io::Result<Self> {
        let capabilities = device.capabilities();
        if capabilities.completes_checksums || capabilities.segmentation_v4 || capabilities.segmentation_v6 {
            let what = format!("{} has offloads", device.description());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let batch = Collected { limit: FRAMES_PER_BATCH, ..Collected::default() };
        Ok(Self { device, batch, received: VecDeque::new(), waiting: None, ended: None })
    }

    /// Ready when there may be something for the interface to do with the device: a packet, or room to send.
    ///
    /// # Errors
    /// Why the device has ended. What it had received is still handed out.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use carrick::device::memory::{MemoryConfig, pair};
    /// use carrick::device::{Device as _, Packet};
    /// use carrick::device::smoltcp::DevicePhy;
    ///
    /// let (carricks, smoltcps) = pair(MemoryConfig::plain(1500));
    /// let mut phy = DevicePhy::new(smoltcps)?;
    /// carricks.send(&Packet::new(&[0x45; 40], &[], None))?;
    /// std::future::poll_fn(|cx| phy.poll_ready(cx)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.is_some() {
            // Until it has left, smoltcp is given no packet that it might answer.
            return self.device.poll_send_ready(cx);
        }
        self.fill(cx);
        match self.ended {
            _ if !self.received.is_empty() => Poll::Ready(Ok(())),
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Poll::Pending,
        }
    }

    fn fill(&mut self, cx: &mut Context<'_>) {
        if !self.received.is_empty() || self.ended.is_some() {
            return;
        }
        if let Poll::Ready(Err(error)) = self.batch.collect(|inbox| self.device.poll_recv(cx, inbox)) {
            self.ended = Some(error.kind());
        }
        self.received.extend(self.batch.frames.drain(..).map(|(packet, ..)| packet));
    }

    /// Sends what waits. True if nothing does any more.
    fn has_room(&mut self) -> bool {
        drop(self.waiting.take_if(|packet| send(&self.device, packet)));
        self.waiting.is_none()
    }
}

/// False if there was no room. A packet that failed in another way is lost.
fn send(device: &impl Device, packet: &[u8]) -> bool {
    let result = device.send(&Packet::new(packet, &[], None));
    !result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl<D: Device> phy::Device for DevicePhy<D> {
    type RxToken<'a> = Received;
    type TxToken<'a> = ToSend<'a, D>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(self.device.capabilities().mtu);
        capabilities
    }

    fn receive(&mut self, _: PhyInstant) -> Option<(Received, ToSend<'_, D>)> {
        self.fill(&mut Context::from_waker(Waker::noop()));
        if !self.has_room() {
            // An answer to the packet could not leave.
            return None;
        }
        let packet = self.received.pop_front()?;
        Some((Received(packet), ToSend(self)))
    }

    fn transmit(&mut self, _: PhyInstant) -> Option<ToSend<'_, D>> {
        self.has_room().then_some(ToSend(self))
    }
}

impl<D: Device> fmt::Debug for DevicePhy<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevicePhy").field("device", &self.device.description()).finish_non_exhaustive()
    }
}

/// A packet that a [`DevicePhy`] has received.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use carrick::device::memory::{MemoryConfig, pair};
/// use carrick::device::smoltcp::DevicePhy;
/// use smoltcp::phy::Device;
///
/// let (_carricks, smoltcps) = pair(MemoryConfig::plain(1500));
/// let mut phy = DevicePhy::new(smoltcps)?;
/// let token = phy.receive(smoltcp::time::Instant::ZERO);
/// assert!(token.is_none(), "nothing has come");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Received(Bytes);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for one packet in a [`DevicePhy`].
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use carrick::device::memory::{MemoryConfig, pair};
/// use carrick::device::smoltcp::DevicePhy;
/// use smoltcp::phy::Device;
///
/// let (_carricks, smoltcps) = pair(MemoryConfig::plain(1500));
/// let mut phy = DevicePhy::new(smoltcps)?;
/// let token = phy.transmit(smoltcp::time::Instant::ZERO);
/// assert!(token.is_some(), "there is room");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ToSend<'a, D: Device>(&'a mut DevicePhy<D>);

impl<D: Device> TxToken for ToSend<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        if !send(&self.0.device, &packet) {
            self.0.waiting = Some(packet);
        }
        result
    }
}
