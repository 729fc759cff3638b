//! Two stacks on a memory link, and what tests do with them.

use carrick::device::memory::{MemoryConfig, pair};
use carrick::device::{Capabilities, Device, Inbox, Packet};
use carrick::{Cidr, Stack, StackBuilder, TcpListener, TcpStream};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) const SERVER: &str = "192.0.2.1:80";
pub(crate) const SERVER_V6: &str = "[2001:db8::1]:80";

/// A stack with host number `host` in the test networks of both families.
pub(crate) fn builder(host: u8) -> StackBuilder {
    let v6 = [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)];
    Stack::builder()
        .address(Cidr::new([192, 0, 2, host].into(), 24))
        .address(Cidr::new(v6.into(), 64))
        .seed_for_tests([host; 32])
}

/// A server's and a client's stack.
pub(crate) fn stacks(config: MemoryConfig) -> (Stack, Stack) {
    let (a, b) = pair(config);
    (builder(1).device(a).build().unwrap(), builder(2).device(b).build().unwrap())
}

/// Both ends of a fresh connection, and the stacks they live in: the accepted one first.
pub(crate) struct Connected {
    pub(crate) accepted: TcpStream,
    pub(crate) connected: TcpStream,
    pub(crate) listener: TcpListener,
    pub(crate) server: Stack,
    pub(crate) client: Stack,
}

pub(crate) async fn connected(config: MemoryConfig) -> Connected {
    let (server, client) = stacks(config);
    connect(server, client).await
}

pub(crate) async fn connect(server: Stack, client: Stack) -> Connected {
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, SERVER));
    Connected { accepted: accepted.unwrap().0, connected: connected.unwrap(), listener, server, client }
}

/// Byte `i` of the test pattern: no period that divides a segment, a chunk or a buffer.
pub(crate) fn pattern(i: u64) -> u8 {
    (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// Writes `len` patterned bytes.
pub(crate) async fn write_pattern(to: &mut (impl AsyncWrite + Unpin), len: u64) -> io::Result<()> {
    let mut buf = vec![0; 64 << 10];
    let mut at = 0;
    while at < len {
        let n = buf.len().min((len - at) as usize);
        for (i, byte) in buf[..n].iter_mut().enumerate() {
            *byte = pattern(at + i as u64);
        }
        to.write_all(&buf[..n]).await?;
        at += n as u64;
    }
    Ok(())
}

/// Reads to the end, checks that it is the pattern, and says how long it was.
pub(crate) async fn read_pattern(from: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let mut buf = vec![0; 100_000];
    let mut at = 0;
    loop {
        let n = from.read(&mut buf).await?;
        if n == 0 {
            return Ok(at);
        }
        for (i, byte) in buf[..n].iter().enumerate() {
            assert_eq!(*byte, pattern(at + i as u64), "byte {}", at + i as u64);
        }
        at += n as u64;
    }
}

/// Reads until end or error.
pub(crate) async fn read_all(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).await?;
    Ok(all)
}

/// Fails the test if `future` is not done within `seconds` of virtual time.
#[track_caller]
pub(crate) fn within<F: Future>(seconds: u64, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(Duration::from_secs(seconds), future)
            .await
            .unwrap_or_else(|_| panic!("not done within {seconds} s, at {caller}"))
    }
}

/// Lets everything that is ready run, without the clock moving.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// O-11: every packet has one outcome. And nothing of ours broke.
#[track_caller]
pub(crate) fn check_counters(stack: &Stack) {
    let counters = stack.counters();
    let endpoint = &counters.endpoint;
    let known =
        endpoint.to_connections + endpoint.answered + endpoint.held + endpoint.discarded_by_endpoint();
    assert_eq!(endpoint.frames, known, "{endpoint:?}");
    assert_eq!(
        endpoint.to_connections,
        endpoint.accepted + endpoint.discarded_by_connections(),
        "{endpoint:?}"
    );
    assert_eq!(counters.internal_errors, 0);
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What a test does to a device's packets.
pub(crate) trait Fault: Send + Sync + 'static {
    /// Asked before each packet is sent; an error is what the device says.
    fn on_send(&self, packet: &Packet<'_>) -> io::Result<()>;
    /// Asked before each read; an error ends the device.
    fn on_recv(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let _ = cx;
        Ok(())
    }
    /// Asked whether sending may be tried again.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}

/// A device with faults.
pub(crate) struct Faulty<D, F> {
    pub(crate) device: D,
    pub(crate) fault: Arc<F>,
}

impl<D: Device, F: Fault> Device for Faulty<D, F> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }
    fn description(&self) -> String {
        format!("faulty {}", self.device.description())
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        self.fault.on_recv(cx)?;
        self.device.poll_recv(cx, inbox)
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.fault.on_send(packet)?;
        self.device.send(packet)
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.fault.poll_ready(cx));
        self.device.poll_send_ready(cx)
    }
}
