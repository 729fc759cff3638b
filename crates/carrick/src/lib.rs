//! TCP/IP for tokio in user space: [`TcpListener`] and [`TcpStream`] over a TUN interface, over memory, or over
//! any [device](device::Device) that moves IP packets. The operating system never sees the connections.
//!
//! ```text
//!  your tasks      TcpListener, TcpStream          as in tokio::net, plus the stack as first argument
//!  ─────────────────────────────┬──────────────────────────────────────────────────────────────────
//!       writes leave at once,   │        ▲ wakes readers and writers
//!       from the caller's task  │        │
//!                               ▼        │
//!  Stack      connections, each behind its own lock  ◄── one device task: reads, retries, timers
//!                               │        ▲
//!  ─────────────────────────────┼────────┼─────────────────────────────────────────────────────────
//!  Device                       ▼        │         TUN · memory pair · channel · descriptor · your own
//! ```
//!
//! There is TCP, over IPv4 and IPv6, and what a host owes besides: ICMP, fragments, path MTU discovery. There is no
//! UDP.
//!
//! Two stacks on a pair of memory devices need no privileges and no network, and on tokio's paused clock they
//! are a deterministic test of a protocol over real TCP:
//!
//! ```
//! use carrick::device::memory::{MemoryConfig, pair};
//! use carrick::{Stack, TcpListener, TcpStream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (left, right) = pair(MemoryConfig::default());
//! let server = Stack::builder().address("192.0.2.1/24".parse()?).device(left).build()?;
//! let client = Stack::builder().address("192.0.2.2/24".parse()?).device(right).build()?;
//!
//! let listener = TcpListener::bind(&server, "192.0.2.1:7").await?;
//! tokio::spawn(async move {
//!     let (mut stream, _peer) = listener.accept().await?;
//!     let (mut read, mut write) = stream.split();
//!     tokio::io::copy(&mut read, &mut write).await
//! });
//!
//! let mut stream = TcpStream::connect(&client, "192.0.2.1:7").await?;
//! stream.write_all(b"hello").await?;
//! stream.shutdown().await?;
//! let mut echo = String::new();
//! stream.read_to_string(&mut echo).await?;
//! assert_eq!(echo, "hello");
//!
//! stream.closed().await?; // all delivered, both sides closed
//! client.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A [TUN interface](device::Tun) joins a stack to the kernel, on Linux, and to whatever the kernel routes there.
//! Making one needs the right to configure the network; everything else needs no privileges, on any operating system.
//!
//! ```no_run
//! # #[cfg(target_os = "linux")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use carrick::device::Tun;
//! use carrick::{Stack, TcpListener};
//!
//! let tun = Tun::builder().host("192.0.2.1/24".parse()?).build()?; // the kernel's end of the link
//! let stack = Stack::builder().address("192.0.2.2/24".parse()?).device(tun).build()?; // ours
//! let listener = TcpListener::bind(&stack, "192.0.2.2:80").await?;
//! let (stream, peer) = listener.accept().await?; // from `curl http://192.0.2.2/`, for example
//! # Ok(())
//! # }
//! ```
//!
//! # A protocol under a bad link
//!
//! With the feature `sim` there is a [bad link](device::impaired) for any device: in memory and on tokio's paused
//! clock, each loss, delay and retransmission is the same at each run with the same seed, and over in milliseconds.
//!
//! ```
//! # #[cfg(not(feature = "sim"))]
//! # fn main() {}
//! # #[cfg(feature = "sim")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> std::io::Result<()> {
//! use carrick::device::impaired::{LinkConfig, stacks};
//! use carrick::{TcpListener, TcpStream};
//! use std::time::Duration;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! // In your crate: #[tokio::test(start_paused = true)]
//! let bad = LinkConfig { loss: 50_000, ..LinkConfig::delayed(Duration::from_millis(20)) }; // 5 %
//! let (server, client, _link) = stacks(&bad, 7)?;
//! let listener = TcpListener::bind(&server, "192.0.2.1:7").await?;
//! tokio::spawn(async move { listener.accept().await?.0.write_all(&[7; 100_000]).await });
//! let mut received = Vec::new();
//! TcpStream::connect(&client, "192.0.2.1:7").await?.read_to_end(&mut received).await?;
//! assert_eq!(received, [7; 100_000]);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | to | there is |
//! |---|---|
//! | serve | [`TcpListener::bind`]; with settings, [`TcpSocket::listen`] |
//! | dial | [`TcpStream::connect`]; from an address of one's own or with settings, [`TcpSocket::connect`] |
//! | take connections to any address, as a gateway does | [`StackBuilder::any_address`] and [`TcpListener::bind_any`] |
//! | carry packets in one's own way | [`device::channel`], [`device::PacketFd`], or the trait [`device::Device`] |
//! | test a protocol without a network | [`device::memory::pair`], `#[tokio::test(start_paused = true)]` |
//! | tune | [`ConnectionConfig`] for a stack or a socket, setters for a stream, [`congestion`] |
//! | see what happens | [`TcpStream::tcp_info`], [`TcpStream::state`], [`Stack::counters`], [`Stack::capture`] |
//! | end without loss | [`TcpStream::closed`], [`Stack::shutdown`] |
//!
//! # What differs from `tokio::net`
//!
//! A program moves over by a change of `use` and one argument: constructors take the stack first. Names, arguments,
//! results, [error kinds and numbers](std::io::Error::raw_os_error), cancel safety and what dropping does are tokio's.
//! What is not:
//!
//! | `tokio::net` | here |
//! |---|---|
//! | the kernel delivers the last bytes of a program that has ended | a stack dies with its process: before it ends, await [`TcpStream::closed`], or [`Stack::shutdown`] for all streams |
//! | readiness may turn out to be stale | it is true when it is told |
//! | `from_std`, `into_std`, `AsFd`, `AsRawFd` | there is no descriptor: set things on [`TcpSocket`] and [`TcpStream`], and hand on the stream itself |
//! | `bind_device` | a stack has one device; build a stack for each |
//! | `0.0.0.0` is any IPv4 address, `::` any of both | an unspecified address is any of the stack's, of both families |
//! | IPv4 peers of a listener on `::` have addresses `::ffff:a.b.c.d`, and one connects to such | they have IPv4 addresses; connecting to `::ffff:a.b.c.d` is `InvalidInput` |
//! | `set_reuseaddr` lets a server start again | not needed: connections that are left keep no port; it is for several connections from one port |
//! | `set_reuseport` lets several listeners share a port | `Unsupported`: any number of tasks may wait for one listener |
//! | `set_linger` blocks the thread that drops the stream | dropping never waits; what is not delivered in time is reset |
//! | buffer sizes are doubled | they are what was asked for, and taken only as bytes come |
//! | a read after an error reads the end | it reads the error, every time |
//!
//! Names are resolved by the system's resolver, outside the stack.
//!
//! A stack whose runtime has ended answers [`BrokenPipe`](std::io::ErrorKind::BrokenPipe) to every call; one
//! whose device has failed answers with the device's error. What had been received before can still be read, up to
//! the end of the stream if the peer had closed. Dropping anything needs no runtime.
//!
//! Beyond tokio: [`TcpStream::read_chunk`] and [`OwnedReadHalf::buffered`] read without a copy, [`TcpStream::tcp_info`]
//! tells how a connection is doing, [`TcpStream::closed`] waits for its end, [`TcpListener::bind_any`] takes
//! connections to any address and port, [`RequestListener`] lets you decide about a connection before its peer hears
//! anything; keep-alive, user timeout, congestion control and the limit of what is not sent yet are settings.
//!
//! # What runs on top
//!
//! What is generic over [`AsyncRead`](tokio::io::AsyncRead) and [`AsyncWrite`](tokio::io::AsyncWrite) needs nothing
//! from here: tokio-rustls on both sides, tokio-util's codecs, hyper's own server and client with `TokioIo`. Where a
//! crate has a trait that only carrick can implement for its types, a feature of the crate's name does, under the names
//! that tokio's have there:
//!
//! | feature | what works |
//! |---|---|
//! | `axum` | `axum::serve(listener, app)`; handlers ask for `ConnectInfo<HttpInfo>` |
//! | `hyper` | `HttpConnector` for hyper-util's pooled client, and for TLS and gRPC clients around it |
//! | `tonic` | `serve_with_incoming(TcpIncoming::from(listener))`; clients take the `HttpConnector` |
//! | `smoltcp` | devices of smoltcp's, [both ways](device) |
//! | `sim` | a [bad link](device::impaired) around any device: losses, delays, a rate with its queue, and what else paths do |
//!
//! The [guides](guide) take a task each: serving, dialling, moving a program, accepting for others, testing, tuning,
//! finding out what is wrong.
//!
//! # Seeing what happens
//!
//! [`Stack::counters`] with RFC 4022's names, [`Stack::device_status`], [`TcpStream::tcp_info`],
//! [captures](Stack::capture), and events through [`tracing`](https://docs.rs/tracing), from stacks that begin (info)
//! to single packets (trace), under the targets `carrick::stack`, `carrick::device`, `carrick::connection`,
//! `carrick::path`, `carrick::discard`, `carrick::packet` and `carrick::capture`. A subscriber may use any stack while
//! it is told something.
//!
//! # How much memory, how many tasks
//!
//! One task per stack, none per connection. An idle connection holds no buffers; bytes under way are counted
//! against [`StackBuilder::memory_limit`]. Buffers come from the global allocator by the dozen and go back to it;
//! building a stack teaches glibc's not to hand up to 8 MiB of them back to the system each time, which costs more than
//! TCP does.
//!
//! The protocol itself is in `carrick-core`, without clock, sockets or threads.

mod capture;
mod cell;
mod counters;
mod deadlines;
pub mod device;
mod error;
mod glue;
pub mod guide;
mod held;
mod kernel;
mod listener;
mod outage;
mod outlet;
mod request;
mod shared;
mod socket;
mod stack;
mod stream;
mod sync;
mod task;
mod watch;

/// How much may be in flight: the controllers that there are, and what one of your own implements.
///
/// Connections have [`Cubic`](congestion::Cubic) unless another is chosen: for a socket, or a listener that is made
/// from it, with [`TcpSocket::set_congestion`], for a stack with [`ConnectionConfig::congestion`]. See
/// [tuning](guide::tune).
///
/// # Examples
/// ```
/// use carrick::ConnectionConfig;
/// use carrick::congestion::NewReno;
///
/// let congestion = Some(Box::new(NewReno::default()) as _);
/// let config = ConnectionConfig { congestion, ..ConnectionConfig::default() };
/// # assert!(config.congestion.is_some());
/// ```
pub mod congestion {
    pub use carrick_core::Instant;
    pub use carrick_core::congestion::*;
}

/// The halves of a [`TcpStream`], under the path that `tokio::net` has them at.
///
/// # Examples
/// ```
/// use carrick::tcp::{OwnedReadHalf, OwnedWriteHalf}; // before: `tokio::net::tcp`
///
/// async fn relay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<u64> {
///     tokio::io::copy(&mut from, &mut to).await
/// }
/// ```
pub mod tcp {
    pub use crate::stream::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
}

pub use capture::Capture;
pub use carrick_core::{
    Cidr, CidrParseError, ConnectionConfig, ConnectionError, Counters as EndpointCounters, DiscardReason,
    EcnPolicy, EndpointConfig, KeepAlive, ListenAddr, Rate, ReassemblyLimits, RecoveryState, Refusal,
    SynCookies, SynOffer, TcpInfo, TcpState, UserTimeoutOption,
};
pub use counters::{Counters, TcpCounters};
#[cfg(feature = "hyper")]
pub use glue::HttpConnector;
#[cfg(any(feature = "axum", feature = "hyper"))]
pub use glue::HttpInfo;
#[cfg(feature = "tonic")]
pub use glue::TcpIncoming;
pub use listener::TcpListener;
pub use outage::{DeviceStatus, Outage};
pub use request::{Request, RequestListener};
pub use socket::TcpSocket;
pub use stack::{Stack, StackBuilder};
pub use stream::{
    BufferedReadHalf, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpStream, WriteHalf,
};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
