//! A stack: its addresses, its device, its limits.

use crate::capture::Capture;
use crate::counters::{Counters, Departed, TcpCounters};
use crate::device::Device;
use crate::error::Failure;
use crate::outage::DeviceStatus;
use crate::outlet::Outlet;
use crate::shared::{Handle, Shared};
use crate::task::DeviceTask;
use carrick_core::{Cidr, ConnectionConfig, Endpoint, EndpointConfig};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A TCP/IP stack on a device. A handle: cloning it is cheap.
///
/// Building one starts its device task on the current tokio runtime. Listeners and streams keep it alive: the
/// task ends when the last of all handles is gone and what was written has been delivered and closed.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use carrick::Stack;
/// use carrick::device::memory::{MemoryConfig, pair};
///
/// let (device, _other_end) = pair(MemoryConfig::default());
/// let stack = Stack::builder()
///     .address("192.0.2.1/24".parse()?)
///     .device(device)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Stack {
    handle: Handle,
}

impl Stack {
    /// Starts to describe a stack.
    ///
    /// # Examples
    /// ```
    /// let builder = carrick::Stack::builder();
    /// assert!(builder.build().is_err(), "it needs a device and an address");
    /// ```
    #[must_use]
    pub fn builder() -> StackBuilder {
        StackBuilder {
            endpoint: EndpointConfig::default(),
            connection: ConnectionConfig::default(),
            device: None,
            memory_limit: 256 << 20,
            outage_limit: None,
            seed: None,
            entropy,
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What the device says of itself, for example `memory pair (with offload, MTU 1500)`.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// assert_eq!(stack.device_description(), "memory pair (with offload, MTU 1500)");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn device_description(&self) -> String {
        self.handle.outlet.device.description()
    }

    /// Whether the device takes packets. An outage ends nothing by itself (see
    /// [`device_outage_limit`](StackBuilder::device_outage_limit)); it is told here from the first packet on that was
    /// not taken, and by a warning through `tracing` after half a second.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// use carrick::DeviceStatus;
    ///
    /// assert_eq!(stack.device_status(), DeviceStatus::Up);
    /// stack.abort();
    /// assert_eq!(stack.device_status(), DeviceStatus::Ended);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn device_status(&self) -> DeviceStatus {
        if self.handle.failure().is_some() {
            return DeviceStatus::Ended;
        }
        self.handle.outlet.outages.now().map_or(DeviceStatus::Up, DeviceStatus::Down)
    }

    /// The bytes that connections hold now: received and unread, written and unacknowledged.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let listener = carrick::TcpListener::bind(&server, "192.0.2.1:7").await?;
    /// let mut stream = carrick::TcpStream::connect(&stack, "192.0.2.1:7").await?;
    /// assert_eq!(stack.memory_used(), 0);
    /// stream.write_all(b"not acknowledged yet").await?;
    /// assert!(stack.memory_used() > 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.handle.memory_used()
    }

    /// How many connections there are, those on their way out included, records in TIME-WAIT not.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// let _listener = carrick::TcpListener::bind(&server, "192.0.2.1:7").await?;
    /// let _stream = carrick::TcpStream::connect(&stack, "192.0.2.1:7").await?;
    /// assert_eq!(stack.connections(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn connections(&self) -> usize {
        let cx = self.handle.cx(self.handle.now());
        self.handle.net(&cx).live
    }

    /// How many handshakes that peers have begun are not complete, and so not among the
    /// [`connections`](Self::connections); those answered with cookies are not counted.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, _client) = stacks()?;
    /// // A number that stays high tells of a SYN flood, or of a path on which answers get lost.
    /// assert_eq!(server.half_open(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn half_open(&self) -> usize {
        let cx = self.handle.cx(self.handle.now());
        self.handle.net(&cx).endpoint.half_open()
    }

    /// Writes every packet that comes or goes from now on to `writer`, as a pcapng file, until the [`Capture`] is
    /// dropped.
    ///
    /// The writer is called by whichever task moves the packet, which waits for it: let it be quick, a
    /// [`BufWriter`](io::BufWriter) around a file or a `Vec`, and let it not use the stack itself. When it fails or
    /// panics the capture stops, and nothing else does. While there is one, also of a single connection, the stack's
    /// packets leave one at a time; while there is none a packet pays for one look at a flag.
    ///
    /// # Errors
    /// What the writer said to the beginning of the file.
    ///
    /// # Examples
    /// ```no_run
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// let file = std::io::BufWriter::new(std::fs::File::create("stack.pcapng")?);
    /// let capture = stack.capture(file)?;
    /// // What happens now is in the file.
    /// println!("{} packets", capture.finish()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn capture(&self, writer: impl io::Write + Send + 'static) -> io::Result<Capture> {
        self.handle.outlet.captures.begin(None, Box::new(writer))
    }

    /// What has been counted so far.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// let refused = carrick::TcpStream::connect(&stack, "192.0.2.1:9").await;
    /// assert!(refused.is_err());
    /// print!("{}", stack.counters()); // all that is not zero, as a table
    /// assert_eq!(server.counters().tcp.out_rsts, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters {
        let cx = self.handle.cx(self.handle.now());
        let endpoint = self.handle.net(&cx).endpoint.counters().clone();
        let Departed { segments, again, resets } = self.handle.outlet.departures.sum();
        let lives = &self.handle.lives;
        let settings = &self.handle.connection_config;
        let tcp = TcpCounters {
            rto_algorithm: 5,
            rto_min: settings.min_rto,
            rto_max: settings.max_rto,
            active_opens: endpoint.active_opens,
            passive_opens: endpoint.passive_opens_begun,
            attempt_fails: endpoint.passive_opens_failed + lives.attempt_fails.load(Ordering::Relaxed),
            estab_resets: lives.estab_resets.load(Ordering::Relaxed),
            curr_estab: lives.established.load(Ordering::Relaxed) as u64,
            in_segs: endpoint.in_segments,
            out_segs: segments,
            retrans_segs: again,
            in_errs: endpoint.in_errors,
            out_rsts: resets,
        };
        Counters {
            tcp,
            endpoint,
            device_lost: self.handle.outlet.lost(),
            device_refused: self.handle.device_refused.load(Ordering::Relaxed),
            merged: self.handle.merged.load(Ordering::Relaxed),
            internal_errors: self.handle.internal_errors.load(Ordering::Relaxed),
        }
    }

    /// Closes every listener and every connection, as if all had been dropped, and waits until what was
    /// written has been delivered and the peers have closed, or have been silent for too long.
    ///
    /// From now on nothing new can be opened. Call it before the process ends: the stack dies with it.
    ///
    /// # Cancel safety
    /// Everything is closed at the first poll; dropping the future afterwards ends the waiting, not the closing.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// let _listener = carrick::TcpListener::bind(&server, "192.0.2.1:7").await?;
    /// stack.shutdown().await;
    /// let error = carrick::TcpStream::connect(&stack, "192.0.2.1:7").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self) {
        self.handle.close();
        let _why = self.ended().await;
    }

    /// Waits until the stack has ended, and says why: [`shutdown`](Self::shutdown) (then
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe)), [`abort`](Self::abort), a device that has ended or failed for good,
    /// or the end of its runtime. It ends nothing itself; any number of tasks may wait. Whoever waits holds a handle,
    /// as a listener does, so a stack does not end by itself while somebody waits for it.
    ///
    /// # Cancel safety
    /// Waiting changes nothing; it may be dropped and begun again.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (stack, _client) = stacks()?;
    /// let watched = stack.clone();
    /// let watch = tokio::spawn(async move { println!("{}", watched.ended().await) });
    /// stack.shutdown().await;
    /// watch.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ended(&self) -> io::Error {
        loop {
            let mut ended = std::pin::pin!(self.handle.ended_notify.notified());
            ended.as_mut().enable();
            if self.handle.has_ended() {
                return self.handle.failure().unwrap_or(&Failure::Ended).to_io();
            }
            ended.await;
        }
    }

    /// Ends everything at once: every connection is reset, every stream, accept and connect gets
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// stack.abort();
    /// let error = carrick::TcpStream::connect(&stack, "192.0.2.1:7").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort(&self) {
        self.handle.fail(Failure::Aborted);
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("device", &self.device_description()).finish_non_exhaustive()
    }
}

/// Describes a [`Stack`], from [`Stack::builder`].
///
/// # Examples
/// ```
/// let builder = carrick::Stack::builder().address("192.0.2.1/24".parse()?).memory_limit(64 << 20);
/// # let _ = builder;
/// # Ok::<(), carrick::CidrParseError>(())
/// ```
pub struct StackBuilder {
    endpoint: EndpointConfig,
    connection: ConnectionConfig,
    device: Option<Box<dyn Device>>,
    memory_limit: usize,
    outage_limit: Option<Duration>,
    seed: Option<[u8; 32]>,
    entropy: fn() -> io::Result<[u8; 32]>,
}

impl StackBuilder {
    /// Adds an address of the stack's own, with its network's prefix, for example
    /// `"192.0.2.2/24".parse()?`. At least one is needed.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .address("2001:db8::1/64".parse()?)
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn address(mut self, address: Cidr) -> Self {
        self.endpoint.addresses.push(address);
        self
    }

    /// Sets where packets come from and go to. Needed.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn device(mut self, device: impl Device) -> Self {
        self.device = Some(Box::new(device));
        self
    }

    /// Most bytes that all connections together may hold. Default 256 MiB. As they come near it windows stop
    /// growing, then new connections are refused; what was promised to a peer is kept. A connection that holds
    /// memory then and has made no progress for a minute (20 s when it is spent) is reset, the longest first:
    /// its stream gets [`OutOfMemory`](io::ErrorKind::OutOfMemory).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .memory_limit(16 << 20)
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn memory_limit(self, bytes: usize) -> Self {
        Self { memory_limit: bytes, ..self }
    }

    /// After how long an outage everything ends: the device has taken none of the packets that it was offered for so
    /// long, be it that it fails for each or that it has no room. Every stream, accept and connect then gets
    /// [`NetworkDown`](io::ErrorKind::NetworkDown), as if the device had ended. Default never: packets are lost as on a
    /// cut cable, and connections wait for as long as their own timeouts let them, to go on when the device does.
    ///
    /// While packets wait for room, time alone counts. Failures count only if they go on: the last one came at least a
    /// third of the limit after the first. One packet that the device lost, and nothing to send after it, ends nothing.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .device_outage_limit(Duration::from_secs(30))
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn device_outage_limit(self, limit: Duration) -> Self {
        Self { outage_limit: Some(limit), ..self }
    }

    /// Maximum segment lifetime; TIME-WAIT lasts twice as long (RFC 9293 §3.4.2). Default 120 s.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .msl(Duration::from_secs(30))
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn msl(mut self, msl: Duration) -> Self {
        self.endpoint.msl = msl;
        self
    }

    /// Whether resets are ignored in TIME-WAIT (RFC 1337 §3). With false an exact one ends it, as RFC 9293 has it.
    /// Default true.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .rfc1337(false)
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn rfc1337(mut self, ignore: bool) -> Self {
        self.endpoint.rfc1337 = ignore;
        self
    }

    /// Whether packets to any unicast address are for this stack, as on a gateway that ends other hosts' connections;
    /// see [`TcpListener::bind_any`](crate::TcpListener::bind_any). Segments to ports where nobody listens are then
    /// reset in the name of the address that they were for. Default false: only those to the stack's own addresses.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .any_address(true)
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn any_address(mut self, any: bool) -> Self {
        self.endpoint.any_address = any;
        self
    }

    /// Changes the settings that concern the host and no single connection: half-open records and cookies, connections
    /// per source, ephemeral ports, reassembly, rates of resets and ICMP errors. What `set` says of the MTU is
    /// overridden by the device. Default: [`EndpointConfig::default`].
    ///
    /// # Examples
    /// ```
    /// # use carrick::device::memory::{MemoryConfig, pair};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = carrick::Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .endpoint_config(|endpoint| {
    ///         endpoint.max_per_source = Some(64);
    ///         endpoint.ephemeral_ports = 49_152..=65_535;
    ///     })
    ///     .device(device)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn endpoint_config(mut self, set: impl FnOnce(&mut EndpointConfig)) -> Self {
        set(&mut self.endpoint);
        self
    }

    /// How long a request that a [`RequestListener`](crate::RequestListener) holds can be decided about. Default 60 s.
    /// With zero each one ends as it comes; with [`Duration::MAX`] none does by itself.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    /// use std::time::Duration;
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .request_timeout(Duration::from_secs(10)) // nobody dials longer than that
    ///     .device(device)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.endpoint.park_for = timeout;
        self
    }

    /// Settings of the connections. Default: the core's.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::ConnectionConfig;
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .connection_config(ConnectionConfig { nodelay: true, ..ConnectionConfig::default() })
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn connection_config(self, connection: ConnectionConfig) -> Self {
        Self { connection, ..self }
    }

    /// Fixes all randomness, so that the same packets at the same times give the same answers. For tests
    /// alone: whoever knows the seed can forge packets. Default: from the operating system.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .seed_for_tests([7; 32])
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn seed_for_tests(self, seed: [u8; 32]) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Starts the stack on the current tokio runtime, whose time driver must be enabled.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) without a device, without a usable address, or with an
    /// MTU below 576 (1,280 with IPv6). Outside a tokio runtime, or if the operating system has no randomness:
    /// an error that says so.
    ///
    /// # Panics
    /// In a tokio runtime that was built without its time driver.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (device, _other_end) = pair(MemoryConfig::default());
    /// let stack = Stack::builder()
    ///     .address("192.0.2.1/24".parse()?)
    ///     .device(device)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn build(mut self) -> io::Result<Stack> {
        let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| io::Error::other("a stack can be built only inside a tokio runtime"))?;
        let device = self.device.take().ok_or_else(|| invalid("a stack needs a device"))?;
        let addresses: Vec<IpAddr> = self.endpoint.addresses.iter().map(|cidr| cidr.address).collect();
        if addresses.is_empty() {
            return Err(invalid("a stack needs an address"));
        }
        if addresses.iter().any(|address| address.is_unspecified() || address.is_multicast()) {
            return Err(invalid("a stack's address is a unicast address"));
        }
        self.endpoint.mtu = device.capabilities().mtu;
        let least = if addresses.iter().any(IpAddr::is_ipv6) { 1280 } else { 576 };
        if self.endpoint.mtu < least {
            return Err(invalid("the device's MTU is below what IP needs"));
        }
        let seed = match self.seed {
            Some(seed) => seed,
            None => (self.entropy)()?,
        };
        keep_freed_chunks();
        let endpoint = Endpoint::new(Arc::new(self.endpoint), seed);
        let outlet = Outlet::new(device, addresses);
        let shared =
            Arc::new(Shared::new(endpoint, outlet, self.memory_limit, self.connection, self.outage_limit));
        let handle = Handle::new(Arc::clone(&shared));
        runtime.spawn(DeviceTask::new(shared));
        Ok(Stack { handle })
    }
}

impl std::fmt::Debug for StackBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StackBuilder").field("addresses", &self.endpoint.addresses).finish_non_exhaustive()
    }
}

/// Teaches glibc's allocator that megabytes come and go here.
///
/// Queues take and give back chunks of 64 KiB by the dozen. glibc hands free memory at the top of its heap back to the
/// system from 128 KiB on, and then faults every page in again: measured, half of the time of a bulk transfer in
/// memory. It raises that threshold to twice the size of the largest mapped block that has been freed
/// (mallopt(3), M_MMAP_THRESHOLD), so one such block, never touched, is enough. Other allocators take no notice.
fn keep_freed_chunks() {
    const BLOCK: usize = 4 << 20;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}

/// A seed from the operating system.
fn entropy() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(format!("no randomness: {error}")))?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::memory::{MemoryConfig, pair};

    fn builder() -> StackBuilder {
        let (device, _other) = pair(MemoryConfig::default());
        Stack::builder().address(Cidr::new([192, 0, 2, 1].into(), 24)).device(device)
    }

    #[test]
    fn outside_a_runtime_is_an_error() {
        let error = builder().build().expect_err("there is no runtime");
        assert!(error.to_string().contains("inside a tokio runtime"), "{error}");
    }

    #[tokio::test]
    async fn t_prd_4_no_randomness_no_stack() {
        let mut failing = builder();
        failing.entropy = || Err(io::Error::other("no randomness: test"));
        assert_eq!(failing.build().expect_err("no seed").to_string(), "no randomness: test");
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_named() {
        let no_device = Stack::builder().address(Cidr::new([192, 0, 2, 1].into(), 24));
        let (a, b) = pair(MemoryConfig::default());
        let (small, other) = pair(MemoryConfig::plain(1279));
        let cases = [
            (no_device, "needs a device"),
            (Stack::builder().device(a), "needs an address"),
            (Stack::builder().device(b).address(Cidr::new([0, 0, 0, 0].into(), 0)), "unicast"),
            (
                Stack::builder()
                    .device(small)
                    .address(Cidr::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), 64)),
                "MTU",
            ),
        ];
        for (builder, part) in cases {
            let error = builder.build().expect_err(part);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(part), "{error}");
        }
        drop(other);
    }
}
