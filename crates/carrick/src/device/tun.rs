//! A TUN interface of the Linux kernel as a device (Linux only).
//!
//! The plain kind: one packet per call, finished checksums both ways, packets up to the MTU, which may be as
//! large as 65,535 where the other end is this host. [`tokio_tun`] opens the interface; the routing socket
//! configures it; packets move through a duplicate of its descriptor, since its own reads have no form to
//! poll through a shared reference and its vectored write allocates.
//!
//! Opening `/dev/net/tun` and configuring an interface needs `CAP_NET_ADMIN` in the network namespace, which
//! an ordinary user has in a namespace of their own (`unshare -Urn`).
//!
//! Invariant: nothing unfinished is ever received. The offload setting belongs to the interface, not to the
//! descriptor, and an interface that outlived another program may have it on; it is switched off here.

mod ioctl;
mod netlink;

use super::{Capabilities, Device, Inbox, Meta, Packet};
use carrick_core::Cidr;
use netlink::Netlink;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A plain TUN interface; it disappears when this is dropped, unless it was made persistent elsewhere.
///
/// ```no_run
/// use carrick::device::Tun;
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let tun = Tun::builder().name("carrick0").host("192.0.2.1/24".parse()?).build()?;
/// # Ok(()) }
/// ```
pub struct Tun {
    fd: Arc<AsyncFd<OwnedFd>>,
    deleted: Mutex<Option<Deleted>>,
    name: String,
    mtu: u16,
}

/// Completes when the interface is deleted, and is then dropped. The kernel signals that as an error alone, neither readable nor
/// closed, and `AsyncFd` has no form of waiting for an error that could be polled through a reference.
type Deleted = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Tun {
    /// Starts with a name chosen by the kernel (`carrick0`, `carrick1`, ...), no address, an MTU of 1,500 bytes
    /// and a queue of 10,000 packets.
    pub const fn builder() -> TunBuilder {
        TunBuilder { name: None, hosts: Vec::new(), mtu: 1500, queue_len: 10_000 }
    }

    /// The interface's name, as `ip link` shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Largest IP packet in bytes.
    #[must_use]
    pub const fn mtu(&self) -> u16 {
        self.mtu
    }

    fn ended(&self) -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, format!("the TUN interface {} was deleted", self.name))
    }
}

/// Settings of a [`Tun`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct TunBuilder {
    name: Option<String>,
    hosts: Vec<Cidr>,
    mtu: u16,
    queue_len: u32,
}

impl TunBuilder {
    /// The interface's name: 1 to 15 bytes without `/`, white space or `:`; the kernel replaces one `%d` by the
    /// first free number. Default: `carrick%d`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// An address of the kernel's side of the link, with the length of the prefix that is reached through it;
    /// repeatable, IPv4 and IPv6. The stack's own address is another one of the same network. IPv6 addresses
    /// are usable at once: nobody else is on the link, so duplicate address detection is off for them.
    /// Default: none.
    pub fn host(mut self, address: Cidr) -> Self {
        self.hosts.push(address);
        self
    }

    /// Largest IP packet in bytes, 576 (1,280 with an IPv6 address) to 65,535. Default 1,500.
    ///
    /// Most of what a TUN costs is per packet. Where the other end is this host's own kernel, a large MTU
    /// moves the same bytes in a fraction of the time; packets that are forwarded to another host meet that
    /// host's smaller links.
    pub const fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// How many packets the kernel queues for us before it drops, 1 or more; each takes the memory of a packet
    /// while it is queued. Default 10,000: with the kernel's own default of 500 a window of a few megabytes
    /// overruns the queue at an MTU of 1,500.
    pub const fn queue_len(mut self, packets: u32) -> Self {
        self.queue_len = packets;
        self
    }

    /// Opens and configures the interface, and brings it up. Blocks for a few milliseconds where it has IPv6
    /// addresses, until the kernel has taken them into use.
    ///
    /// # Errors
    /// `InvalidInput` for a name, MTU or queue length outside its range. Otherwise what the kernel said, with
    /// the step that failed: `/dev/net/tun` is absent (`NotFound`) or not open to this user
    /// (`PermissionDenied`), the user may not configure interfaces here (`PermissionDenied`), another program
    /// has the interface (`ResourceBusy`), IPv6 is switched off, an IPv6 address was not taken into use within a
    /// second (`TimedOut`). `Other` outside a tokio runtime.
    ///
    /// # Panics
    /// In a tokio runtime that was built without its I/O driver.
    pub fn build(self) -> io::Result<Tun> {
        let name = self.check()?;
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let opened = tokio_tun::Tun::builder()
            .name(name)
            .build()
            .map_err(|error| match error {
                tokio_tun::Error::IoError(error) => at("opening /dev/net/tun", error),
                tokio_tun::Error::NixError(error) => at(format_args!("creating interface {name}"), error),
            })?
            .pop()
            .ok_or(io::ErrorKind::NotFound)?;
        let mut tun = Tun::try_from(opened)?;
        self.configure(&tun.name).map_err(|error| at(format_args!("configuring {}", tun.name), error))?;
        tun.mtu = self.mtu;
        Ok(tun)
    }

    fn check(&self) -> io::Result<&str> {
        let refuse = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        let name = self.name.as_deref().unwrap_or("carrick%d");
        let fits = (1..=15).contains(&name.len()) && name != "." && name != "..";
        if !fits || name.bytes().any(|byte| matches!(byte, b'/' | b':' | 0) || byte.is_ascii_whitespace()) {
            return refuse(format!(
                "{name:?} is no name for an interface: 1 to 15 bytes without '/', ':' or space"
            ));
        }
        let smallest = if self.hosts.iter().any(|host| host.address.is_ipv6()) { 1280 } else { 576 };
        if self.mtu < smallest {
            return refuse(format!("an MTU of {} is below the smallest, {smallest}", self.mtu));
        }
        if self.queue_len == 0 {
            return refuse("a queue of 0 packets passes none".into());
        }
        Ok(name)
    }

    fn configure(&self, name: &str) -> io::Result<()> {
        let mut netlink = Netlink::open()?;
        let index = netlink.index(name)?;
        netlink
            .set_link(index, self.mtu, self.queue_len)
            .map_err(|error| at(format_args!("MTU {}, queue of {}", self.mtu, self.queue_len), error))?;
        netlink.bring_up(index).map_err(|error| at("bringing it up", error))?;
        for host in &self.hosts {
            netlink
                .add_address(index, *host)
                .and_then(|()| until_local(&mut netlink, host.address))
                .map_err(|error| at(format_args!("address {}/{}", host.address, host.prefix), error))?;
        }
        Ok(())
    }
}

/// Takes over an interface that was opened and configured by other means.
impl TryFrom<tokio_tun::Tun> for Tun {
    type Error = io::Error;

    /// It must have been built without `packet_info`, which the kernel does not tell: with it, nothing that is
    /// received makes sense and nothing that is sent is taken.
    ///
    /// # Errors
    /// `InvalidInput` if it carries Ethernet frames (TAP) or offload headers; `Other` outside a tokio runtime;
    /// otherwise what the kernel said.
    ///
    /// # Panics
    /// In a tokio runtime that was built without its I/O driver.
    fn try_from(opened: tokio_tun::Tun) -> io::Result<Self> {
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let mtu = opened.mtu().map_err(|error| match error {
            tokio_tun::Error::IoError(error) => error,
            tokio_tun::Error::NixError(error) => error.into(),
        })?;
        let fd = ioctl::duplicate(&opened)?;
        drop(opened);
        let ioctl::Interface { name, flags } = ioctl::interface(&fd)?;
        if flags & (IFF_TUN | IFF_VNET_HDR) != IFF_TUN {
            let what = format!("{name} does not carry bare IP packets (flags {flags:#06x})");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        ioctl::clear_offloads(&fd).map_err(|error| at("switching offloads off", error))?;
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        let fd = Arc::new(ioctl::register(fd)?);
        let watched = Arc::clone(&fd);
        let deleted: Deleted = Box::pin(async move {
            // It fails only when the runtime is gone, and the device with it.
            let _ = watched.ready(Interest::ERROR).await;
        });
        Ok(Self { fd, deleted: Mutex::new(Some(deleted)), name, mtu })
    }
}

impl Device for Tun {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.mtu)
    }

    fn description(&self) -> String {
        format!("{} (plain TUN, MTU {})", self.name, self.mtu)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let mut delivered = false;
        loop {
            // After a delivery the caller comes again anyway; registering its waker can wait until then.
            let mut ready = match self.fd.poll_read_ready(cx)? {
                Poll::Ready(ready) => ready,
                Poll::Pending if delivered => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    let mut deleted = self.deleted.lock();
                    if let Some(waits) = &mut *deleted {
                        ready!(waits.as_mut().poll(cx));
                        *deleted = None;
                    }
                    return Poll::Ready(Err(self.ended()));
                }
            };
            loop {
                match rustix::io::read(self.fd.get_ref(), inbox.buffer()) {
                    Ok(length) => {
                        delivered = true;
                        if inbox.received(length, Meta::default()).is_break() {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    Err(Errno::AGAIN) => break,
                    Err(Errno::INTR) => {}
                    // The driver says so while an interface is being deleted, and afterwards.
                    Err(Errno::BADFD | Errno::IO) => return Poll::Ready(Err(self.ended())),
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            ready.clear_ready();
            if delivered {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// # Errors
    /// Besides `WouldBlock`: EIO while the interface is down, ENOBUFS or ENOMEM when the kernel has no room,
    /// EBADFD once it is deleted. All of them lose the packet and nothing else.
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); 9];
        let (head, tail) = slices.split_first_mut().ok_or(io::ErrorKind::InvalidInput)?;
        *head = IoSlice::new(packet.header);
        let tail = tail.get_mut(..packet.payload.len()).ok_or(io::ErrorKind::InvalidInput)?;
        for (slice, part) in tail.iter_mut().zip(packet.payload) {
            *slice = IoSlice::new(part);
        }
        let slices = slices.get(..=packet.payload.len()).ok_or(io::ErrorKind::InvalidInput)?;
        match write(self.fd.get_ref(), slices) {
            // Only a call made through the registration may clear its readiness without losing a wake-up.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.fd.try_io(Interest::WRITABLE, |fd| write(fd, slices))
            }
            outcome => outcome,
        }
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.fd.poll_write_ready(cx))?.retain_ready();
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tun").field("name", &self.name).field("mtu", &self.mtu).finish_non_exhaustive()
    }
}

/// Waits until the kernel delivers to the address: at once for IPv4, within a few milliseconds for IPv6.
fn until_local(netlink: &mut Netlink, address: IpAddr) -> io::Result<()> {
    let IpAddr::V6(address) = address else { return Ok(()) };
    for _ in 0..1000 {
        if netlink.is_local(address)? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(io::ErrorKind::TimedOut.into())
}

const IFF_TUN: u16 = 0x0001;
const IFF_VNET_HDR: u16 = 0x4000;

fn write(fd: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<()> {
    loop {
        match rustix::io::writev(fd, slices) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same error, with what was being done.
fn at(what: impl fmt::Display, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
