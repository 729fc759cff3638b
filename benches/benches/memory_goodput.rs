//! Goodput between two stacks in one process: carrick through its tokio API, smoltcp driven directly.
//!
//! Both ends of each contestant run on one thread. carrick moves super-segments over its memory pair, or packets of
//! 1,500 bytes with full checksums; smoltcp moves packets over plain queues, with and without checksums. All copy the
//! data in at one end and out at the other. One iteration is one transfer over an established connection.

use carrick::device::memory::{MemoryConfig, pair};
use carrick::{ConnectionConfig, Stack, TcpListener, TcpStream};
use carrick_core::Cidr;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BYTES: usize = 32 << 20;
/// What the application writes and reads at a time.
const CHUNK: usize = 64 << 10;

struct Carrick {
    runtime: tokio::runtime::Runtime,
    sender: Option<TcpStream>,
    receiver: Option<TcpStream>,
    _stacks: [Stack; 2],
}

impl Carrick {
    fn new(config: MemoryConfig, buffer: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (sender, receiver, stacks) = runtime.block_on(async {
            let (left, right) = pair(config);
            let stack = |n: u8, device| {
                let connection = ConnectionConfig {
                    send_buffer: buffer,
                    receive_buffer: buffer,
                    ..ConnectionConfig::default()
                };
                let builder = Stack::builder()
                    .address(Cidr::new([192, 0, 2, n].into(), 24))
                    .connection_config(connection);
                builder.device(device).build().expect("a stack")
            };
            let stacks = [stack(1, left), stack(2, right)];
            let listener = TcpListener::bind(&stacks[1], "192.0.2.2:80").await.expect("a listener");
            let (sender, accepted) =
                tokio::join!(TcpStream::connect(&stacks[0], "192.0.2.2:80"), listener.accept());
            (sender.expect("connects"), accepted.expect("accepts").0, stacks)
        });
        Self { runtime, sender: Some(sender), receiver: Some(receiver), _stacks: stacks }
    }

    fn transfer(&mut self) {
        let mut sender = self.sender.take().expect("put back");
        let mut receiver = self.receiver.take().expect("put back");
        let ends = self.runtime.block_on(async move {
            let sending = tokio::spawn(async move {
                let chunk = vec![0x5a; CHUNK];
                for _ in 0..BYTES / CHUNK {
                    sender.write_all(&chunk).await.expect("writes");
                }
                sender
            });
            let mut buffer = vec![0; CHUNK];
            let mut left = BYTES;
            while left > 0 {
                left -= black_box(receiver.read(&mut buffer).await.expect("reads"));
            }
            (sending.await.expect("no panic"), receiver)
        });
        (self.sender, self.receiver) = (Some(ends.0), Some(ends.1));
    }
}

/// One end of a wire of plain queues; buffers go round.
struct Wire {
    mtu: usize,
    checksums: bool,
    incoming: Rc<RefCell<VecDeque<Vec<u8>>>>,
    outgoing: Rc<RefCell<VecDeque<Vec<u8>>>>,
    spare: Rc<RefCell<Vec<Vec<u8>>>>,
}

const QUEUE: usize = 256;

struct Received(Vec<u8>, Rc<RefCell<Vec<Vec<u8>>>>);
struct Sending<'a>(&'a Wire);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.0);
        self.1.borrow_mut().push(self.0);
        result
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut buffer = self.0.spare.borrow_mut().pop().unwrap_or_default();
        buffer.resize(len, 0);
        let result = f(&mut buffer);
        self.0.outgoing.borrow_mut().push_back(buffer);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let packet = self.incoming.borrow_mut().pop_front()?;
        Some((Received(packet, Rc::clone(&self.spare)), Sending(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        (self.outgoing.borrow().len() < QUEUE).then_some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        if !self.checksums {
            capabilities.checksum = ChecksumCapabilities::ignored();
        }
        capabilities
    }
}

struct Smoltcp {
    ends: [(Wire, Interface, SocketSet<'static>, SocketHandle); 2],
    clock: i64,
}

impl Smoltcp {
    fn new(mtu: usize, checksums: bool, buffer: usize) -> Self {
        let queues = [Rc::default(), Rc::default()];
        let spare = Rc::new(RefCell::new(Vec::new()));
        let end = |n: usize| {
            let mut wire = Wire {
                mtu,
                checksums,
                incoming: Rc::clone(&queues[n]),
                outgoing: Rc::clone(&queues[1 - n]),
                spare: Rc::clone(&spare),
            };
            let mut config = Config::new(HardwareAddress::Ip);
            config.random_seed = n as u64;
            let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
            interface.update_ip_addrs(|addresses| {
                addresses.push(IpCidr::new(IpAddress::v4(192, 0, 2, 1 + n as u8), 24)).expect("room");
            });
            let buffer = || tcp::SocketBuffer::new(vec![0; buffer]);
            let mut socket = tcp::Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            if n == 1 {
                socket.listen(80).expect("a port");
            } else {
                let remote = (IpAddress::v4(192, 0, 2, 2), 80);
                socket.connect(interface.context(), remote, 49_152).expect("connects");
            }
            let mut sockets = SocketSet::new(Vec::new());
            let handle = sockets.add(socket);
            (wire, interface, sockets, handle)
        };
        let mut smoltcp = Self { ends: [end(0), end(1)], clock: 0 };
        while !smoltcp.socket(0).may_send() || !smoltcp.socket(1).may_recv() {
            smoltcp.poll();
        }
        smoltcp
    }

    fn socket(&mut self, n: usize) -> &mut tcp::Socket<'static> {
        let (_, _, sockets, handle) = &mut self.ends[n];
        sockets.get_mut(*handle)
    }

    fn poll(&mut self) {
        self.clock += 1;
        let now = Instant::from_micros(self.clock);
        for (wire, interface, sockets, _) in &mut self.ends {
            interface.poll(now, wire, sockets);
        }
    }

    fn transfer(&mut self) {
        let chunk = vec![0x5a; CHUNK];
        let mut buffer = vec![0; CHUNK];
        let (mut to_write, mut to_read) = (BYTES, BYTES);
        while to_read > 0 {
            while to_write > 0 {
                let n = self.socket(0).send_slice(&chunk[..CHUNK.min(to_write)]).expect("open");
                to_write -= n;
                if n == 0 {
                    break;
                }
            }
            self.poll();
            while self.socket(1).can_recv() {
                to_read -= black_box(self.socket(1).recv_slice(&mut buffer).expect("open"));
            }
        }
    }
}

fn memory_goodput(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory_goodput");
    group.throughput(Throughput::Bytes(BYTES as u64));
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for (name, config, buffer) in [
        ("carrick, super-segments", MemoryConfig::default(), 512 << 10),
        ("carrick, super-segments, buffers of 256 KiB", MemoryConfig::default(), 256 << 10),
        ("carrick, super-segments, buffers of 1 MiB", MemoryConfig::default(), 1 << 20),
        ("carrick, MTU 1500, checksums", MemoryConfig::plain(1500), 512 << 10),
        ("carrick, MTU 65535, checksums", MemoryConfig::plain(65_535), 512 << 10),
    ] {
        let mut carrick = Carrick::new(config, buffer);
        group.bench_function(name, |b| b.iter(|| carrick.transfer()));
    }
    for (name, mtu, checksums, buffer) in [
        ("smoltcp, MTU 1500, checksums, buffers of 1 MiB", 1500, true, 1 << 20),
        ("smoltcp, MTU 65535, checksums, buffers of 1 MiB", 65_535, true, 1 << 20),
        ("smoltcp, MTU 65535, no checksums, buffers of 1 MiB", 65_535, false, 1 << 20),
        ("smoltcp, MTU 65535, no checksums, buffers of 256 KiB", 65_535, false, 256 << 10),
    ] {
        let mut smoltcp = Smoltcp::new(mtu, checksums, buffer);
        group.bench_function(name, |b| b.iter(|| smoltcp.transfer()));
    }
    group.finish();
}

criterion_group!(benches, memory_goodput);
criterion_main!(benches);
