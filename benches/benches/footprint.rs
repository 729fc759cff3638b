//! What connections cost in memory while nothing happens, counted by the allocator, not computed.
//!
//! Prints bytes of heap per idle established connection (everything: the core's state, cell, lock, table slot,
//! deadline, wakers), per half-open record and per TIME-WAIT record, IPv6, at several sizes of the table, since hash
//! tables grow in steps. Fails if a bar is missed.
//!
//! Not a criterion bench: bytes need no statistics.

#![allow(
    unsafe_code,
    reason = "a counting allocator has to implement `GlobalAlloc`; it only adds and forwards"
)]

use carrick::device::memory::{MemoryConfig, pair};
use carrick::{Stack, TcpListener, TcpStream};
use carrick_core::{
    Checksum, Cidr, Connection, ConnectionConfig, ConnectionId, Cx, Dispatch, Endpoint, EndpointConfig,
    Frame, Input, Instant, ListenAddr, ListenConfig, Taken,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use tokio::io::{AsyncRead, ReadBuf};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// What glibc's allocator makes of a request: a header of 8 bytes, rounded up to 16, at least 32.
const fn chunk(size: usize) -> usize {
    let size = (size + 8 + 15) & !15;
    if size < 32 { 32 } else { size }
}

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(chunk(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(chunk(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIZES: [usize; 3] = [60_000, 100_000, 140_000];
const PER_PORT: usize = 20_000;

fn address(n: u8) -> IpAddr {
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)].into()
}

fn main() {
    // `cargo bench -- --test` asks for a smoke run; one size shows that all works.
    let smoke = std::env::args().any(|argument| argument == "--test");
    let sizes = if smoke { &SIZES[..1] } else { &SIZES[..] };
    println!("{:>9} {:>22} {:>11} {:>11}", "entries", "established, per side", "half-open", "TIME-WAIT");
    let mut missed = false;
    for &n in sizes {
        let (established, half_open, time_wait) = (established(n), half_open(n), time_wait(n));
        println!("{n:>9} {established:>22.1} {half_open:>11.1} {time_wait:>11.1}");
        missed |= established > 1024.0 || half_open > 200.0 || time_wait > 120.0;
    }
    println!("bytes of heap per entry; bars: 1024, 200, 120");
    assert!(!missed, "a bar is missed");
}

/// Bytes per idle connection of a stack, both sides of each being in this process, a reader waiting on each.
fn established(n: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (left, right) = pair(MemoryConfig::default());
        let stack = |n: u8, device| {
            let builder = Stack::builder().address(Cidr::new(address(n), 64)).memory_limit(1 << 30);
            builder.device(device).build().expect("a stack")
        };
        let (client, server) = (stack(1, left), stack(2, right));
        let mut streams: Vec<TcpStream> = Vec::with_capacity(2 * n);
        let mut listeners = Vec::new();
        for port in 0..n.div_ceil(PER_PORT) {
            let addr = SocketAddr::new(address(2), 80 + port as u16);
            listeners.push(TcpListener::bind(&server, addr).await.expect("a listener"));
        }
        // The first connections also pay for what is there once.
        let mut before = 0;
        for i in 0..n + 1 {
            let listener = &listeners[i.saturating_sub(1) / PER_PORT];
            let addr = listener.local_addr().expect("bound");
            let (connected, accepted) = tokio::join!(TcpStream::connect(&client, addr), listener.accept());
            streams.push(connected.expect("connects"));
            streams.push(accepted.expect("accepts").0);
            if i == 0 {
                before = HELD.load(Ordering::Relaxed);
            }
        }
        let mut cx = Context::from_waker(Waker::noop());
        for stream in &mut streams {
            let mut buffer = [0; 1];
            assert!(Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut buffer)).is_pending());
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        (HELD.load(Ordering::Relaxed) - before) as f64 / (2 * n) as f64
    })
}

struct Host {
    endpoint: Endpoint,
    connections: Vec<(ConnectionId, Box<Connection>)>,
}

impl Host {
    fn new(n: u8) -> Self {
        let addresses = vec![Cidr::new(address(n), 64)];
        let config = EndpointConfig {
            addresses,
            max_half_open: usize::MAX,
            max_time_wait: usize::MAX,
            ephemeral_ports: 1024..=65_535,
            ..EndpointConfig::default()
        };
        let mut endpoint = Endpoint::new(Arc::new(config), [n; 32]);
        for port in 80..90 {
            let addr = ListenAddr { address: None, port: NonZeroU16::new(port) };
            let config = ListenConfig { max_half_open: u32::MAX, ..ListenConfig::default() };
            endpoint.listen(addr, config).expect("a free port");
        }
        Self { endpoint, connections: Vec::new() }
    }

    fn connect(&mut self, cx: &Cx, i: usize, config: &Arc<ConnectionConfig>) {
        let remote = SocketAddr::new(address(2), 80 + (i / PER_PORT) as u16);
        let connected = self.endpoint.connect(cx, None, remote, Arc::clone(config));
        self.connections.push(connected.expect("a free port"));
    }

    fn packets(&mut self, cx: &Cx) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(cx) {
            packets.push(transmit.header().to_vec());
            transmit.sent(Taken::All);
        }
        for (_, connection) in &mut self.connections {
            while let Some(transmit) = connection.poll_transmit(cx, NonZeroUsize::MAX) {
                packets.push(transmit.header().to_vec());
                transmit.sent(Taken::All);
            }
        }
        self.connections.retain_mut(|(id, connection)| match connection.poll_endpoint_event() {
            Some(event) => {
                self.endpoint.handle_event(cx, *id, event);
                false
            }
            None => true,
        });
        packets
    }

    fn receive(&mut self, cx: &Cx, packet: &[u8]) {
        let frame = Frame::new(packet).with_checksum(Checksum::Verified);
        match self.endpoint.handle_frame(cx, frame) {
            Dispatch::Existing(id, input) => {
                let connection = self.connections.iter_mut().find(|(other, _)| *other == id);
                let outcome = connection.expect("there").1.handle_input(cx, input);
                self.endpoint.record_outcome(outcome);
            }
            Dispatch::Opened(listener, id, mut connection, segment) => {
                let outcome = connection.handle_input(cx, Input::Segment(segment));
                self.endpoint.record_outcome(outcome);
                self.endpoint.accepted(listener);
                self.connections.push((id, connection));
            }
            Dispatch::Answered | Dispatch::Held | Dispatch::Discard(_) => {}
        }
    }
}

fn exchange(cx: &Cx, a: &mut Host, b: &mut Host) {
    loop {
        let (from_a, from_b) = (a.packets(cx), b.packets(cx));
        if from_a.is_empty() && from_b.is_empty() {
            return;
        }
        from_a.iter().for_each(|packet| b.receive(cx, packet));
        from_b.iter().for_each(|packet| a.receive(cx, packet));
    }
}

fn half_open(n: usize) -> f64 {
    let cx = Cx::new(Instant::from_nanos(1));
    let config = Arc::new(ConnectionConfig::default());
    let mut client = Host::new(1);
    let mut server = Host::new(2);
    for i in 0..n {
        client.connect(&cx, i, &config);
        let packets = client.packets(&cx);
        packets.iter().for_each(|packet| server.receive(&cx, packet));
        drop(server.packets(&cx));
        client.connections.clear();
    }
    assert_eq!(server.endpoint.half_open(), n);
    drop(client);
    let held = HELD.load(Ordering::Relaxed);
    drop(server);
    (held - HELD.load(Ordering::Relaxed)) as f64 / n as f64
}

fn time_wait(n: usize) -> f64 {
    let cx = Cx::new(Instant::from_nanos(1));
    let config = Arc::new(ConnectionConfig::default());
    let (mut client, mut server) = (Host::new(1), Host::new(2));
    for i in 0..n {
        client.connect(&cx, i, &config);
        exchange(&cx, &mut client, &mut server);
        client.connections.iter_mut().for_each(|(_, connection)| connection.close(&cx));
        exchange(&cx, &mut client, &mut server);
        server.connections.iter_mut().for_each(|(_, connection)| connection.close(&cx));
        exchange(&cx, &mut client, &mut server);
    }
    assert_eq!(client.endpoint.time_wait(), n);
    drop(server);
    let held = HELD.load(Ordering::Relaxed);
    drop(client);
    (held - HELD.load(Ordering::Relaxed)) as f64 / n as f64
}
