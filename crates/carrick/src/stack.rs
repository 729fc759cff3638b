//! A stack: its addresses, its device, its limits.

use crate::capture::Capture;
use crate::device::Device;
use crate::error::Failure;
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
#[derive(Clone)]
pub struct Stack {
    handle: Handle,
}

/// What a stack has counted since it was built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Counters {
    /// Packets received and what became of them.
    pub endpoint: carrick_core::Counters,
    /// Packets that the device failed to send and that count as lost on the way.
    pub device_lost: u64,
    /// What the device received and could make nothing of: an offload header at odds with its packet.
    pub device_refused: u64,
    /// Packets that the device received one by one and that were put together with the one before them, which
    /// they followed in its stream. `endpoint` counts what came of it as one packet.
    pub merged: u64,
    /// Connections given up because of a defect of this library. Please report any.
    pub internal_errors: u64,
}

impl Stack {
    /// Starts to describe a stack.
    #[must_use]
    pub fn builder() -> StackBuilder {
        StackBuilder {
            endpoint: EndpointConfig::default(),
            connection: ConnectionConfig::default(),
            device: None,
            memory_limit: 256 << 20,
            seed: None,
            entropy,
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What the device says of itself, for example `memory pair (with offload, MTU 1500)`.
    #[must_use]
    pub fn device_description(&self) -> String {
        self.handle.outlet.device.description()
    }

    /// The bytes that connections hold now: received and unread, written and unacknowledged.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.handle.memory_used()
    }

    /// How many connections there are, those on their way out included, records in TIME-WAIT not.
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

    /// Writes every packet that comes or goes from now on to `writer`, as a pcapng file, until the [`Capture`] is dropped.
    ///
    /// The writer is called by whichever task moves the packet, which waits for it: let it be quick, a
    /// [`BufWriter`](io::BufWriter) around a file or a `Vec`, and let it not use the stack itself. When it fails or panics the
    /// capture stops, and nothing else does. While there is one, also of a single connection, the stack's packets leave one at a time;
    /// while there is none a packet pays for one look at a flag.
    ///
    /// # Errors
    /// What the writer said to the beginning of the file.
    pub fn capture(&self, writer: impl io::Write + Send + 'static) -> io::Result<Capture> {
        self.handle.outlet.captures.begin(None, Box::new(writer))
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let cx = self.handle.cx(self.handle.now());
        let endpoint = self.handle.net(&cx).endpoint.counters().clone();
        Counters {
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
    pub async fn shutdown(&self) {
        self.handle.close();
        let _why = self.ended().await;
    }

    /// Waits until the stack has ended, and says why: [`shutdown`](Self::shutdown) (then
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe)), [`abort`](Self::abort), a device that has ended or failed for good, or
    /// the end of its runtime. It ends nothing itself; any number of tasks may wait.
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
pub struct StackBuilder {
    endpoint: EndpointConfig,
    connection: ConnectionConfig,
    device: Option<Box<dyn Device>>,
    memory_limit: usize,
    seed: Option<[u8; 32]>,
    entropy: fn() -> io::Result<[u8; 32]>,
}

impl StackBuilder {
    /// Adds an address of the stack's own, with its network's prefix, for example
    /// `"192.0.2.2/24".parse()?`. At least one is needed.
    #[must_use]
    pub fn address(mut self, address: Cidr) -> Self {
        self.endpoint.addresses.push(address);
        self
    }

    /// Sets where packets come from and go to. Needed.
    #[must_use]
    pub fn device(mut self, device: impl Device) -> Self {
        self.device = Some(Box::new(device));
        self
    }

    /// Most bytes that all connections together may hold. Default 256 MiB. As they come near it windows stop
    /// growing, then new connections are refused; what was promised to a peer is kept. A connection that holds
    /// memory then and has made no progress for a minute (20 s when it is spent) is reset, the longest first:
    /// its stream gets [`OutOfMemory`](io::ErrorKind::OutOfMemory).
    #[must_use]
    pub fn memory_limit(self, bytes: usize) -> Self {
        Self { memory_limit: bytes, ..self }
    }

    /// Maximum segment lifetime; TIME-WAIT lasts twice as long (RFC 9293 §3.4.2). Default 120 s.
    #[must_use]
    pub fn msl(mut self, msl: Duration) -> Self {
        self.endpoint.msl = msl;
        self
    }

    /// Whether resets are ignored in TIME-WAIT (RFC 1337 §3). With false an exact one ends it, as RFC 9293 has it.
    /// Default true.
    #[must_use]
    pub fn rfc1337(mut self, ignore: bool) -> Self {
        self.endpoint.rfc1337 = ignore;
        self
    }

    /// Whether packets to any unicast address are for this stack, as on a gateway that ends other hosts' connections;
    /// see [`TcpListener::bind_any`](crate::TcpListener::bind_any). Segments to ports where nobody listens are then
    /// reset in the name of the address that they were for. Default false: only those to the stack's own addresses.
    #[must_use]
    pub fn any_address(mut self, any: bool) -> Self {
        self.endpoint.any_address = any;
        self
    }

    /// Changes the settings that concern the host and no single connection: half-open records and cookies, connections per
    /// source, ephemeral ports, reassembly, rates of resets and ICMP errors. What `set` says of the MTU is overridden by
    /// the device. Default: [`EndpointConfig::default`].
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
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.endpoint.park_for = timeout;
        self
    }

    /// Settings of the connections. Default: the core's.
    #[must_use]
    pub fn connection_config(self, connection: ConnectionConfig) -> Self {
        Self { connection, ..self }
    }

    /// Fixes all randomness, so that the same packets at the same times give the same answers. For tests
    /// alone: whoever knows the seed can forge packets. Default: from the operating system.
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
        let shared = Arc::new(Shared::new(endpoint, outlet, self.memory_limit, self.connection));
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
