//! A TUN interface of the Linux kernel as a device (Linux only).
//!
//! There are two kinds, which differ in what a call moves. An *offloading* interface carries a header before
//! each packet ([`offload`]), by which super-segments of up to 64 KiB pass both ways whole and with unfinished
//! checksums: the kernel cuts or finishes them only where they leave the host. A *plain* one carries finished
//! packets up to the MTU, which may be as large as 65,535 where the other end is this host.
//!
//! An offloading interface is opened here, since [`tokio_tun`] cannot ask for the header; it opens the plain
//! ones. The routing socket configures both. Packets of a plain one move through a duplicate of its descriptor,
//! since tokio-tun's own reads have no form to poll through a shared reference and its vectored write allocates.
//!
//! Opening `/dev/net/tun` and configuring an interface needs `CAP_NET_ADMIN` in the network namespace, which
//! an ordinary user has in a namespace of their own (`unshare -Urn`).
//!
//! Invariant: nothing unfinished is received without a header that says so. What the kernel may leave unfinished
//! is a setting of the interface, not of the descriptor, and an interface that outlived another program may have
//! it on; it is switched off on plain ones.

mod ioctl;
mod netlink;
#[cfg(test)]
mod tests;

use super::fd::Descriptor;
use super::{Capabilities, Device, Inbox, Meta, Packet};
use carrick_core::{Checksum, Cidr};
use carrick_wire::offload;
use netlink::Netlink;
use rustix::io::Errno;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A TUN interface; it disappears when this is dropped, unless it was made persistent elsewhere.
///
/// ```no_run
/// use carrick::device::Tun;
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let tun = Tun::builder().name("carrick0").host("192.0.2.1/24".parse()?).build()?;
/// # Ok(()) }
/// ```
pub struct Tun {
    fd: Descriptor,
    name: String,
    mtu: u16,
    /// What the kernel hands over unfinished, if there is a header that says so.
    offloads: Option<u32>,
}

impl Tun {
    /// Starts with a name chosen by the kernel (`carrick0`, `carrick1`, ...), no address, an MTU of 1,500 bytes,
    /// a queue of 10,000 packets, and offloading.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().host("192.0.2.1/24".parse()?).build()?;
    /// println!("{} is up", tun.name());
    /// # Ok(())
    /// # }
    /// ```
    pub const fn builder() -> TunBuilder {
        TunBuilder { name: None, hosts: Vec::new(), mtu: 1500, queue_len: 10_000, offload: true }
    }

    /// The interface's name, as `ip link` shows it.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().build()?;
    /// assert!(tun.name().starts_with("carrick"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Largest IP packet in bytes.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().mtu(9000).build()?;
    /// assert_eq!(tun.mtu(), 9000);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Whether packets are handed over unfinished and as super-segments, as [`TunBuilder::offload`] says.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().offload(false).build()?;
    /// assert!(!tun.is_offloading());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn is_offloading(&self) -> bool {
        self.offloads.is_some()
    }

    fn open_plain(name: &str) -> io::Result<Self> {
        let opened = tokio_tun::Tun::builder()
            .name(name)
            .build()
            .map_err(|error| match error {
                tokio_tun::Error::IoError(error) => at("opening /dev/net/tun", error),
                tokio_tun::Error::NixError(error) => at(format_args!("creating interface {name}"), error),
            })?
            .pop()
            .ok_or(io::ErrorKind::NotFound)?;
        Self::try_from(opened)
    }

    fn open_offloading(name: &str) -> io::Result<Self> {
        let fd = ioctl::open(name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)?;
        // An interface that outlived another program may have a longer one.
        ioctl::set_header_len(&fd, OFFLOAD_HEADER_LEN)
            .map_err(|error| at("setting the header's length", error))?;
        let granted = granted_offloads(|offloads| ioctl::set_offloads(&fd, *offloads).is_ok());
        let name = ioctl::interface(&fd)?.name;
        // The MTU is about to be set.
        Self::new(fd, name, 1500, Some(granted))
    }

    fn new(fd: OwnedFd, name: String, mtu: u16, offloads: Option<u32>) -> io::Result<Self> {
        Ok(Self { fd: Descriptor::new(fd)?, name, mtu, offloads })
    }

    /// Reads one packet.
    fn read(&self, fd: &OwnedFd, inbox: &mut Inbox<'_>) -> Result<ControlFlow<()>, Errno> {
        if self.offloads.is_none() {
            let len = rustix::io::read(fd, inbox.packet_buffer(usize::from(self.mtu)))?;
            return Ok(inbox.received_packet(len));
        }
        let mut before = [0; offload::LEN];
        let mut slices = [IoSliceMut::new(&mut before), IoSliceMut::new(inbox.buffer())];
        let len = rustix::io::readv(fd, &mut slices)?.checked_sub(offload::LEN);
        let known = len.and_then(|len| offload::parse(before, inbox.buffer().get(..len)?));
        let (Some(len), Some(known)) = (len, known) else { return Ok(inbox.refuse()) };
        let meta = Meta {
            checksum: if known.intact { Checksum::Verified } else { Checksum::Unknown },
            segment_size: known.segment_size.map(NonZeroU16::get),
            received_at: None,
        };
        Ok(inbox.received(len, meta))
    }

    fn ended(&self) -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, format!("the TUN interface {} was deleted", self.name))
    }
}

/// Settings of a [`Tun`].
///
/// # Examples
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use carrick::device::Tun;
///
/// let settings = Tun::builder().name("carrick0").mtu(9000);
/// let tun = settings.build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct TunBuilder {
    name: Option<String>,
    hosts: Vec<Cidr>,
    mtu: u16,
    queue_len: u32,
    offload: bool,
}

impl TunBuilder {
    /// The interface's name: 1 to 15 bytes without `/`, white space or `:`; the kernel replaces one `%d` by the
    /// first free number. Default: `carrick%d`.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().name("vpn%d").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// An address of the kernel's side of the link, with the length of the prefix that is reached through it;
    /// repeatable, IPv4 and IPv6. The stack's own address is another one of the same network. IPv6 addresses
    /// are usable at once: nobody else is on the link, so duplicate address detection is off for them.
    /// Default: none.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().host("192.0.2.1/24".parse()?).host("2001:db8::1/64".parse()?).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn host(mut self, address: Cidr) -> Self {
        self.hosts.push(address);
        self
    }

    /// Largest IP packet in bytes, 576 (1,280 with an IPv6 address) to 65,535. Default 1,500.
    ///
    /// Most of what a TUN costs is per packet. Without [offloading](Self::offload) a large MTU moves the same
    /// bytes in a fraction of the time where the other end is this host's own kernel; packets that are forwarded
    /// to another host meet that host's smaller links.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().offload(false).mtu(65_535).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// How many packets the kernel queues for us before it drops, 1 or more; each takes the memory of a packet
    /// while it is queued. Default 10,000: with the kernel's own default of 500 a window of a few megabytes
    /// overruns the queue at an MTU of 1,500.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().queue_len(1000).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn queue_len(mut self, packets: u32) -> Self {
        self.queue_len = packets;
        self
    }

    /// Whether to exchange super-segments and unfinished checksums with the kernel: several times the throughput
    /// at the same cost, whatever the MTU. Where the kernel does not know how, the interface is a plain one;
    /// [`Tun::is_offloading`] and the device's description tell. Default: true.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().offload(false).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn offload(mut self, offload: bool) -> Self {
        self.offload = offload;
        self
    }

    /// Opens and configures the interface, and brings it up. Blocks for a few milliseconds where it has IPv6
    /// addresses, longer on a busy machine, until the kernel has taken them into use.
    ///
    /// # Errors
    /// `InvalidInput` for a name, MTU or queue length outside its range. Otherwise what the kernel said, with
    /// the step that failed: `/dev/net/tun` is absent (`NotFound`) or not open to this user
    /// (`PermissionDenied`), the user may not configure interfaces here (`PermissionDenied`), another program
    /// has the interface (`ResourceBusy`), IPv6 is switched off, an IPv6 address was not taken into use within ten
    /// seconds (`TimedOut`). `Other` outside a tokio runtime.
    ///
    /// # Panics
    /// In a tokio runtime that was built without its I/O driver.
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::Tun;
    ///
    /// let tun = Tun::builder().name("carrick0").host("192.0.2.1/24".parse()?).build()?;
    /// let stack = Stack::builder().address("192.0.2.2/24".parse()?).device(tun).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn build(self) -> io::Result<Tun> {
        let name = self.check()?;
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let mut tun = match self.offload.then(|| Tun::open_offloading(name)) {
            Some(Ok(tun)) => tun,
            // What a kernel says that knows no such interfaces.
            Some(Err(error)) if error.kind() != io::ErrorKind::InvalidInput => return Err(error),
            Some(Err(_)) | None => Tun::open_plain(name)?,
        };
        self.configure(&tun.name).map_err(|error| at(format_args!("configuring {}", tun.name), error))?;
        tun.mtu = self.mtu;
        tracing::debug!(target: "carrick::device", device = tun.description(), "interface opened");
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
        ioctl::set_offloads(&fd, 0).map_err(|error| at("switching offloads off", error))?;
        Self::new(fd, name, u16::try_from(mtu).unwrap_or(u16::MAX), None)
    }
}

impl Device for Tun {
    fn capabilities(&self) -> Capabilities {
        match self.offloads {
            Some(_) => Capabilities {
                largest_frame: usize::from(u16::MAX),
                segmentation_v4: true,
                segmentation_v6: true,
                completes_checksums: true,
                ..Capabilities::plain(self.mtu)
            },
            None => Capabilities::plain(self.mtu),
        }
    }

    fn description(&self) -> String {
        let kind = match self.offloads {
            Some(SEGMENTATION..) => "offloading TUN",
            Some(_) => "TUN that offloads only what is sent",
            None => "plain TUN",
        };
        format!("{} ({kind}, MTU {})", self.name, self.mtu)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_recv(cx, |fd| self.read(fd, inbox)).map_err(|error| match Errno::from_io_error(&error) {
            // The driver says so while an interface is being deleted, and afterwards.
            Some(Errno::BADFD | Errno::IO | Errno::NOTCONN) => self.ended(),
            _ => error,
        })
    }

    /// # Errors
    /// Besides `WouldBlock`: EIO while the interface is down, ENOBUFS or ENOMEM when the kernel has no room,
    /// EBADFD once it is deleted. All of them lose the packet and nothing else.
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        let invalid = io::ErrorKind::InvalidInput;
        let before = match self.offloads {
            Some(_) => offload::emit(packet.header, packet.segment_size).map_err(|_| invalid)?,
            None => [0; offload::LEN],
        };
        let parts = [&before, packet.header].into_iter().chain(packet.payload.iter().copied());
        self.fd.send(parts.skip(usize::from(self.offloads.is_none())))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_send_ready(cx)
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tun").field("name", &self.name).field("mtu", &self.mtu).finish_non_exhaustive()
    }
}

/// A worker of the kernel takes IPv6 addresses into use; beside four busy programs that took more than a second.
const UNTIL_LOCAL: Duration = Duration::from_secs(10);

/// Waits until the kernel delivers to the address: at once for IPv4, within a few milliseconds for IPv6.
fn until_local(netlink: &mut Netlink, address: IpAddr) -> io::Result<()> {
    let IpAddr::V6(address) = address else { return Ok(()) };
    let began = Instant::now();
    while !netlink.is_local(address)? {
        if began.elapsed() > UNTIL_LOCAL {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

const OFFLOAD_HEADER_LEN: i32 = 10;
/// TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 and TUN_F_TSO_ECN: what the kernel may leave undone, in one set. From
/// [`SEGMENTATION`] on it includes super-segments.
const OFFLOADS: [u32; 3] = [0b1111, 0b0111, 0b0001];
const SEGMENTATION: u32 = 0b0111;

/// The first of [`OFFLOADS`] that the kernel takes; 0 if it takes none.
fn granted_offloads(set: impl FnMut(&u32) -> bool) -> u32 {
    OFFLOADS.into_iter().find(set).unwrap_or(0)
}

/// The same error, with what was being done.
fn at(what: impl fmt::Display, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
