//! A device whose other end is the application: packets come out of one channel and go into another.
//!
//! For programs that have packets from elsewhere and want connections, such as a VPN's client: what the tunnel
//! decrypts goes into the [`PacketSender`], what the [`PacketReceiver`] yields is encrypted. Each packet is whole:
//! no larger than the MTU, with finished checksums, beginning with its IP header.
//!
//! Both channels are bounded by bytes. A stack whose receiver is slow waits, and its writers with it; nothing is lost.

use super::Checksum;
use super::memory::{MemoryConfig, MemoryDevice};
use super::ring::{Popped, Pushed, Queued, Ring};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Mutex;
use tokio::sync::mpsc::error::{SendError, TryRecvError, TrySendError};

/// Makes a device and the two ends that the application keeps. The device is plain, whatever the settings say of
/// offload.
///
/// A router of packets between two stacks, which could be an encrypted tunnel:
///
/// ```
/// use carrick::device::channel::channel;
/// use carrick::device::memory::MemoryConfig;
/// use carrick::{Stack, TcpListener, TcpStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (left, to_left, mut from_left) = channel(MemoryConfig::default());
/// let (right, to_right, mut from_right) = channel(MemoryConfig::default());
/// tokio::spawn(async move {
///     while let Some(packet) = from_left.recv().await {
///         to_right.send(packet).await.ok();
///     }
/// });
/// tokio::spawn(async move {
///     while let Some(packet) = from_right.recv().await {
///         to_left.send(packet).await.ok();
///     }
/// });
///
/// let server = Stack::builder().address("192.0.2.1/24".parse()?).device(left).build()?;
/// let client = Stack::builder().address("192.0.2.2/24".parse()?).device(right).build()?;
/// let listener = TcpListener::bind(&server, "192.0.2.1:7").await?;
/// let mut stream = TcpStream::connect(&client, "192.0.2.1:7").await?;
/// stream.write_all(b"through the tunnel").await?;
/// stream.shutdown().await?;
/// let mut text = String::new();
/// listener.accept().await?.0.read_to_string(&mut text).await?;
/// assert_eq!(text, "through the tunnel");
/// # Ok(()) }
/// ```
#[must_use]
pub fn channel(config: MemoryConfig) -> (MemoryDevice, PacketSender, PacketReceiver) {
    let config = MemoryConfig { offload: false, ..config };
    let (received, sent) = (Arc::new(Ring::new(config.ring_bytes)), Arc::new(Ring::new(config.ring_bytes)));
    let device = MemoryDevice::new("packet channel", config, Arc::clone(&received), Arc::clone(&sent));
    let sender = Sender { ring: received, waiting: Mutex::new(()) };
    (device, PacketSender { inner: Arc::new(sender) }, PacketReceiver { ring: sent })
}

/// Hands packets to a stack. Cloning it is cheap; when the last one is dropped the device has ended, and every stream
/// of its stack gets [`BrokenPipe`](std::io::ErrorKind::BrokenPipe).
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use carrick::device::channel::channel;
/// use carrick::device::memory::MemoryConfig;
/// use carrick::{Stack, TcpStream};
///
/// let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
/// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
/// let another = to_stack.clone();
/// another.try_send(vec![0; 40])?;
/// # let _ = (from_stack.try_recv(), stack);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PacketSender {
    inner: Arc<Sender>,
}

struct Sender {
    ring: Arc<Ring>,
    /// Whose turn it is to wait for room: the ring knows one waker.
    waiting: Mutex<()>,
}

impl PacketSender {
    /// Hands over one IP packet, waiting until there is room. Whether it is one is for the stack to see: it discards
    /// and counts what it cannot use.
    ///
    /// # Cancel safety
    /// A future that is dropped has not sent the packet. Waiting begins at the end of the queue each time.
    ///
    /// # Errors
    /// The packet, if the stack has ended.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::channel::channel;
    /// use carrick::device::memory::MemoryConfig;
    /// use carrick::{Stack, TcpStream};
    ///
    /// let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
    /// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
    /// to_stack.send(vec![0; 40]).await?;
    /// tokio::task::yield_now().await;
    /// assert_eq!(stack.counters().endpoint.discarded_by_endpoint(), 1, "that was no IP packet");
    /// # let _ = from_stack.try_recv();
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(&self, packet: impl Into<Bytes>) -> Result<(), SendError<Bytes>> {
        let mut packet = packet.into();
        loop {
            match self.try_send(packet) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(packet)) => return Err(SendError(packet)),
                Err(TrySendError::Full(returned)) => packet = returned,
            }
            let _turn = self.inner.waiting.lock().await;
            poll_fn(|cx| if self.inner.ring.has_room(cx.waker()) { Poll::Ready(()) } else { Poll::Pending })
                .await;
        }
    }

    /// Hands over one IP packet if there is room.
    ///
    /// # Errors
    /// The packet, if there is none or the stack has ended.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::channel::channel;
    /// use carrick::device::memory::MemoryConfig;
    /// use carrick::{Stack, TcpStream};
    ///
    /// let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
    /// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
    /// to_stack.try_send(vec![0; 40])?;
    /// # let _ = (from_stack.try_recv(), stack);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send(&self, packet: impl Into<Bytes>) -> Result<(), TrySendError<Bytes>> {
        let head = packet.into();
        let queued = || Queued {
            len: head.len(),
            head: head.clone(),
            parts: Vec::new(),
            checksum: Checksum::Unknown,
            segment_size: None,
        };
        match self.inner.ring.push_with(head.len(), queued) {
            Pushed::Taken => Ok(()),
            Pushed::Full => Err(TrySendError::Full(head)),
            Pushed::Closed => Err(TrySendError::Closed(head)),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.ring.close();
    }
}

impl fmt::Debug for PacketSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketSender").finish_non_exhaustive()
    }
}

/// Yields the packets that a stack sends. Once it is dropped they are lost, as if a cable had been cut; the peers
/// notice in their own time.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use carrick::device::channel::channel;
/// use carrick::device::memory::MemoryConfig;
/// use carrick::{Stack, TcpStream};
///
/// let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
/// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
/// tokio::spawn(async move { TcpStream::connect(&stack, "192.0.2.2:7").await });
/// let syn = from_stack.recv().await.expect("the stack lives");
/// assert_eq!(syn[9], 6, "TCP");
/// # drop(to_stack);
/// # Ok(())
/// # }
/// ```
pub struct PacketReceiver {
    ring: Arc<Ring>,
}

impl PacketReceiver {
    /// The next packet, whole and in the order of sending; `None` once the stack has ended.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken no packet.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::channel::channel;
    /// use carrick::device::memory::MemoryConfig;
    /// use carrick::{Stack, TcpStream};
    ///
    /// let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
    /// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
    /// tokio::spawn(async move { TcpStream::connect(&stack, "192.0.2.2:7").await });
    /// let syn = from_stack.recv().await.expect("the stack lives");
    /// assert_eq!(syn[0] >> 4, 4, "IPv4");
    /// # drop(to_stack);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv); only the waker of the latest call is kept.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::channel::channel;
    /// use carrick::device::memory::MemoryConfig;
    /// use carrick::{Stack, TcpStream};
    ///
    /// let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
    /// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
    /// tokio::spawn(async move { TcpStream::connect(&stack, "192.0.2.2:7").await });
    /// let syn = std::future::poll_fn(|cx| from_stack.poll_recv(cx)).await;
    /// assert!(syn.is_some());
    /// # drop(to_stack);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.take(Some(cx.waker())) {
            Ok(packet) => Poll::Ready(Some(packet)),
            Err(TryRecvError::Empty) => Poll::Pending,
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
        }
    }

    /// The next packet, if there is one.
    ///
    /// # Errors
    /// Whether none is there now, or the stack has ended and none will be.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::channel::channel;
    /// use carrick::device::memory::MemoryConfig;
    /// use carrick::{Stack, TcpStream};
    ///
    /// let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
    /// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
    /// assert!(from_stack.try_recv().is_err(), "nothing has been sent");
    /// # drop((to_stack, stack));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv(&mut self) -> Result<Bytes, TryRecvError> {
        self.take(None)
    }

    fn take(&self, waker: Option<&Waker>) -> Result<Bytes, TryRecvError> {
        match self.ring.pop(waker) {
            Popped::Packet(Queued { head, parts, .. }) if parts.is_empty() => Ok(head),
            Popped::Packet(Queued { head, parts, len, .. }) => {
                let mut whole = BytesMut::with_capacity(len);
                whole.extend_from_slice(&head);
                parts.iter().for_each(|part| whole.extend_from_slice(part));
                Ok(whole.freeze())
            }
            Popped::Empty => Err(TryRecvError::Empty),
            Popped::Closed => Err(TryRecvError::Disconnected),
        }
    }
}

impl Drop for PacketReceiver {
    fn drop(&mut self) {
        self.ring.abandon();
    }
}

impl fmt::Debug for PacketReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketReceiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Device, Packet};
    use std::task::Waker;

    fn small() -> (MemoryDevice, PacketSender, PacketReceiver) {
        channel(MemoryConfig::default().ring_bytes(100))
    }

    #[test]
    fn the_device_is_plain_and_says_what_it_is() {
        let (device, ..) = small();
        assert_eq!(device.description(), "packet channel (plain, MTU 1500)");
        assert!(!device.capabilities().segmentation_v4 && !device.capabilities().completes_checksums);
    }

    #[test]
    fn large_payload_comes_out_in_one_piece() {
        let (device, _sender, mut receiver) = channel(MemoryConfig::plain(65_535));
        let payload = vec![7; 40_000];
        device.send(&Packet::new(b"header", &[&payload], None)).expect("there is room");
        let packet = receiver.try_recv().expect("there is one");
        assert_eq!((packet.len(), &packet[..7]), (40_006, &b"header\x07"[..]));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }

    #[tokio::test]
    async fn many_senders_wait_for_room_and_all_get_it() {
        let (device, sender, _receiver) = small();
        sender.try_send(vec![0; 60]).expect("one packet always fits");
        assert!(matches!(sender.try_send(vec![0; 60]), Err(TrySendError::Full(_))));
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                tokio::spawn({
                    let sender = sender.clone();
                    async move { sender.send(vec![0; 60]).await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let mut received = crate::device::Collected::default();
        while received.frames.len() < 6 {
            poll_fn(|cx| received.collect(|inbox| device.poll_recv(cx, inbox))).await.expect("senders live");
        }
        for sent in waiting {
            sent.await.expect("no panic").expect("the stack lives");
        }
    }

    #[tokio::test]
    async fn either_side_learns_that_the_other_is_gone() {
        let (device, sender, mut receiver) = small();
        drop(device);
        assert_eq!(receiver.recv().await, None);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(sender.send(vec![1]).await.expect_err("the stack has ended").0, vec![1]);

        let (device, sender, receiver) = small();
        let another = sender.clone();
        drop(sender);
        let mut inbox = crate::device::Collected::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(inbox.collect(|inbox| device.poll_recv(&mut cx, inbox)).is_pending());
        drop(another);
        assert!(matches!(inbox.collect(|inbox| device.poll_recv(&mut cx, inbox)), Poll::Ready(Err(_))));
        // Nobody takes packets out: they are lost, and nobody waits for room.
        drop(receiver);
        for _ in 0..3 {
            device.send(&Packet::new(&[0; 60], &[], None)).expect("lost on the way");
        }
    }
}
