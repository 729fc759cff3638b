//! A descriptor that carries one IP packet per read and write: an Android VPN's, a TUN's that another process opened, a
//! Unix socket that keeps packets apart.

use super::{Capabilities, Device, Inbox, Packet};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::SocketType;
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Most payload slices of one packet, and two headers.
const MOST_SLICES: usize = 10;

/// A descriptor as a device.
///
/// Each read gives a whole packet and each write takes one, beginning with its IP header, with finished checksums. So
/// do the descriptor of Android's `VpnService`, a TUN interface opened elsewhere with `IFF_TUN | IFF_NO_PI`, and Unix
/// sockets of the kinds `SOCK_SEQPACKET` and `SOCK_DGRAM`. The device ends when an interface is deleted or the other
/// end of a `SOCK_SEQPACKET` closed; that the other end of a `SOCK_DGRAM` is gone, nobody tells. A pair of those joins
/// two processes:
///
/// ```
/// use carrick::device::PacketFd;
/// use carrick::{Stack, TcpListener, TcpStream};
/// use std::os::unix::net::UnixDatagram;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (left, right) = UnixDatagram::pair()?;
/// let left = PacketFd::new(left.into(), 1500)?;
/// let right = PacketFd::new(right.into(), 1500)?;
/// let server = Stack::builder().address("192.0.2.1/24".parse()?).device(left).build()?;
/// let client = Stack::builder().address("192.0.2.2/24".parse()?).device(right).build()?;
/// let listener = TcpListener::bind(&server, "192.0.2.1:7").await?;
/// let mut stream = TcpStream::connect(&client, "192.0.2.1:7").await?;
/// stream.write_all(b"between processes").await?;
/// stream.shutdown().await?;
/// let mut text = String::new();
/// listener.accept().await?.0.read_to_string(&mut text).await?;
/// assert_eq!(text, "between processes");
/// # Ok(()) }
/// ```
pub struct PacketFd {
    fd: Descriptor,
    mtu: u16,
    /// A packet of no bytes is one like any other.
    datagrams: bool,
}

impl PacketFd {
    /// Takes over `fd`, which carries packets of up to `mtu` bytes, 576 (1,280 with IPv6) to 65,535. It is made
    /// non-blocking, for all who share it.
    ///
    /// # Errors
    /// `Other` outside a tokio runtime; otherwise what the system said, for example that this kind of descriptor cannot
    /// be waited for.
    ///
    /// # Panics
    /// In a tokio runtime that was built without its I/O driver.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use carrick::device::{Device, PacketFd};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// let device = PacketFd::new(ours.into(), 1500)?;
    /// assert_eq!(device.capabilities().mtu, 1500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(fd: OwnedFd, mtu: u16) -> io::Result<Self> {
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?;
        let datagrams = rustix::net::sockopt::socket_type(&fd) == Ok(SocketType::DGRAM);
        Ok(Self { fd: Descriptor::new(fd)?, mtu, datagrams })
    }
}

impl Device for PacketFd {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.mtu)
    }

    fn description(&self) -> String {
        format!("packet descriptor (MTU {})", self.mtu)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_recv(cx, |fd| match rustix::io::read(fd, inbox.packet_buffer(usize::from(self.mtu)))? {
            0 if self.datagrams => Ok(inbox.refuse()),
            0 => Err(Errno::NOTCONN),
            len => Ok(inbox.received_packet(len)),
        })
    }

    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.fd.send([packet.header].into_iter().chain(packet.payload.iter().copied()))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_send_ready(cx)
    }
}

impl fmt::Debug for PacketFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketFd").field("mtu", &self.mtu).finish_non_exhaustive()
    }
}

/// A registered descriptor, and a watch for its end.
pub(super) struct Descriptor {
    fd: Arc<AsyncFd<OwnedFd>>,
    failed: Mutex<Option<Failed>>,
}

/// Completes when the descriptor signals an error, and is then dropped. A TUN interface that is deleted signals that
/// alone, neither readable nor closed, and `AsyncFd` has no form of waiting for an error that could be polled through a
/// reference.
type Failed = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Descriptor {
    /// Registers it with the current runtime.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let fd = Arc::new(registered(fd)?);
        let watched = Arc::clone(&fd);
        let failed: Failed = Box::pin(async move {
            // It fails only when the runtime is gone, and the device with it.
            let _ = watched.ready(Interest::ERROR).await;
        });
        Ok(Self { fd, failed: Mutex::new(Some(failed)) })
    }

    /// Reads packets with `read` until there are none or it says that it is enough; pending if there was none at all.
    ///
    /// # Errors
    /// What `read` or the runtime said; [`Errno::NOTCONN`] when the descriptor has signalled an error.
    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&OwnedFd) -> Result<ControlFlow<()>, Errno>,
    ) -> Poll<io::Result<()>> {
        loop {
            let Poll::Ready(ready) = self.fd.poll_read_ready(cx) else {
                let mut failed = self.failed.lock();
                if let Some(waits) = &mut *failed {
                    ready!(waits.as_mut().poll(cx));
                    *failed = None;
                }
                return Poll::Ready(Err(Errno::NOTCONN.into()));
            };
            let mut ready = ready?;
            let mut delivered = false;
            loop {
                match read(self.fd.get_ref()) {
                    Ok(flow) => {
                        delivered = true;
                        if flow.is_break() {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    Err(Errno::AGAIN) => break,
                    Err(Errno::INTR) => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            ready.clear_ready();
            // After a delivery the caller comes again anyway; registering its waker can wait until then.
            if delivered {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Writes one packet, in at most [`MOST_SLICES`] parts.
    pub(super) fn send<'p>(&self, parts: impl Iterator<Item = &'p [u8]>) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let mut count = 0;
        for part in parts {
            *slices.get_mut(count).ok_or(io::ErrorKind::InvalidInput)? = IoSlice::new(part);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        match write(self.fd.get_ref(), slices) {
            // Only a call made through the registration may clear its readiness without losing a wake-up.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.fd.try_io(Interest::WRITABLE, |fd| write(fd, slices))
            }
            outcome => outcome,
        }
    }

    pub(super) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.fd.poll_write_ready(cx))?.retain_ready();
        Poll::Ready(Ok(()))
    }
}

/// Registers a descriptor with the current runtime; panics if that has no I/O driver.
#[allow(unsafe_code, reason = "AsyncFd cannot know that an arbitrary type keeps its descriptor open")]
pub(super) fn registered(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, stays the same number for its life and closes only when dropped.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

fn write(fd: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<()> {
    loop {
        match rustix::io::writev(fd, slices) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Collected;
    use std::future::poll_fn;
    use std::os::unix::net::UnixDatagram;

    fn device(socket: UnixDatagram) -> PacketFd {
        PacketFd::new(socket.into(), 1500).expect("a socket can be waited for")
    }

    #[tokio::test]
    async fn packets_stay_whole_and_a_full_socket_waits() {
        let (left, right) = UnixDatagram::pair().unwrap();
        let raw = left.try_clone().unwrap();
        let (left, right) = (device(left), device(right));
        assert_eq!(left.description(), "packet descriptor (MTU 1500)");
        let packet = Packet::new(b"head", &[b"pay", b"load"], None);
        let mut sent = 0;
        while left.send(&packet).is_ok() {
            sent += 1;
        }
        assert_eq!(left.send(&packet).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut received = Collected::default();
        while received.frames.len() < sent {
            poll_fn(|cx| received.collect(|inbox| right.poll_recv(cx, inbox))).await.unwrap();
        }
        assert!(received.frames.iter().all(|(frame, ..)| frame == &b"headpayload"[..]));
        poll_fn(|cx| left.poll_send_ready(cx)).await.unwrap();
        left.send(&packet).unwrap();
        // Nothing is a packet too, and not the end.
        raw.send(b"").unwrap();
        while received.refused == 0 {
            poll_fn(|cx| received.collect(|inbox| right.poll_recv(cx, inbox))).await.unwrap();
        }
        assert_eq!(received.frames.len(), sent + 1);
    }

    #[tokio::test]
    async fn it_ends_when_the_other_end_does() {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (left, right) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None).unwrap();
        let left = PacketFd::new(left, 1500).unwrap();
        drop(right);
        let mut received = Collected::default();
        let error = poll_fn(|cx| received.collect(|inbox| left.poll_recv(cx, inbox))).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    }

    #[test]
    fn outside_a_runtime_is_an_error() {
        let (left, _right) = UnixDatagram::pair().unwrap();
        assert_eq!(PacketFd::new(left.into(), 1500).unwrap_err().kind(), io::ErrorKind::Other);
    }
}
