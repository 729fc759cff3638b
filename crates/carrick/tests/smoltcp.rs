//! smoltcp as a peer in memory, each on the other's devices.
#![cfg(feature = "smoltcp")]
#![allow(missing_docs, reason = "tests")]

use carrick::device::memory::{MemoryConfig, pair};
use carrick::device::smoltcp::{DevicePhy, PhyDevice};
use carrick::device::{Device, PacketFd};
use carrick::{Stack, TcpListener, TcpStream};
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Loopback, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as PhyInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

const LEN: usize = 64 << 20;

/// The byte at that place of a stream; neither a segment nor a buffer is a multiple of its period.
fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

fn fill(buf: &mut [u8], at: usize) {
    buf.iter_mut().zip(at..).for_each(|(to, at)| *to = byte(at));
}

fn check(buf: &[u8], at: usize) {
    for (got, at) in buf.iter().zip(at..) {
        assert_eq!(*got, byte(at), "at {at}");
    }
}

/// smoltcp's interface, one socket, and the loop around them.
struct Smoltcp<D: Device> {
    iface: Interface,
    sockets: SocketSet<'static>,
    phy: DevicePhy<D>,
    began: Instant,
    handle: smoltcp::iface::SocketHandle,
    sent: usize,
    received: usize,
}

impl<D: Device> Smoltcp<D> {
    fn new(device: D, address: IpAddr) -> Self {
        let mut phy = DevicePhy::new(device).expect("a plain device");
        let began = Instant::now();
        let mut iface = Interface::new(Config::new(HardwareAddress::Ip), &mut phy, PhyInstant::ZERO);
        let prefix = if address.is_ipv4() { 24 } else { 64 };
        iface.update_ip_addrs(|addrs| addrs.push(IpCidr::new(IpAddress::from(address), prefix)).unwrap());
        let buffer = || tcp::SocketBuffer::new(vec![0; 256 << 10]);
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
        Self { iface, sockets, phy, began, handle, sent: 0, received: 0 }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn connect(&mut self, to: SocketAddr) {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.handle);
        socket.connect(self.iface.context(), to, 50_000).expect("an unused socket");
    }

    /// Polls, and waits until there is something to do.
    async fn turn(&mut self, waits: bool) {
        let now = || PhyInstant::from_micros(i64::try_from(self.began.elapsed().as_micros()).unwrap());
        let polled = self.iface.poll(now(), &mut self.phy, &mut self.sockets);
        let delay = self.iface.poll_delay(now(), &self.sockets);
        if !waits || polled == PollResult::SocketStateChanged {
            return tokio::task::yield_now().await;
        }
        let ready = poll_fn(|cx| self.phy.poll_ready(cx));
        match delay {
            Some(delay) => drop(tokio::time::timeout(delay.into(), ready).await),
            None => ready.await.expect("the other end lives"),
        }
    }

    /// Sends and receives `LEN` bytes, closes, and waits until all of it is over.
    async fn exchange(mut self) {
        while self.socket().is_open() {
            let (sent, received) = (self.sent, self.received);
            let socket = self.socket();
            let mut put = 0;
            if socket.can_send() && sent < LEN {
                put = socket
                    .send(|room| {
                        let room_len = room.len().min(LEN - sent);
                        fill(&mut room[..room_len], sent);
                        (room_len, room_len)
                    })
                    .unwrap();
            }
            let mut got = 0;
            if socket.can_recv() {
                got = socket
                    .recv(|text| {
                        check(text, received);
                        (text.len(), text.len())
                    })
                    .unwrap();
            }
            if sent == LEN && received == LEN && socket.may_send() {
                socket.close();
                put = 1;
            }
            if put == 0 || sent < LEN {
                self.sent += put;
            }
            self.received += got;
            self.turn(put + got == 0).await;
        }
        assert_eq!((self.sent, self.received), (LEN, LEN));
    }
}

/// Sends and receives `LEN` bytes at once, closes, and waits until all of it is over.
async fn exchange(stream: TcpStream) {
    let (mut read, mut write) = stream.into_split();
    let writes = tokio::spawn(async move {
        let mut buf = vec![0; 100_000];
        let mut at = 0;
        while at < LEN {
            let len = buf.len().min(LEN - at);
            fill(&mut buf[..len], at);
            write.write_all(&buf[..len]).await.unwrap();
            at += len;
        }
        write.shutdown().await.unwrap();
        write
    });
    let mut buf = vec![0; 100_000];
    let mut at = 0;
    loop {
        let len = read.read(&mut buf).await.unwrap();
        if len == 0 {
            break;
        }
        check(&buf[..len], at);
        at += len;
    }
    assert_eq!(at, LEN);
    let stream = read.reunite(writes.await.unwrap()).unwrap();
    stream.closed().await.unwrap();
}

fn addresses(v6: bool) -> [IpAddr; 2] {
    let text = if v6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
    text.map(|text| text.parse().unwrap())
}

fn stack(device: impl Device, address: IpAddr) -> Stack {
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    Stack::builder().address(carrick::Cidr::new(address, prefix)).device(device).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn smoltcp_connects_and_both_move_64_mib_and_close() {
    for v6 in [false, true] {
        let [ours, theirs] = addresses(v6);
        let (left, right) = pair(MemoryConfig::plain(1500));
        let stack = stack(left, ours);
        let listener = TcpListener::bind(&stack, (ours, 80)).await.unwrap();
        let mut peer = Smoltcp::new(right, theirs);
        peer.connect((ours, 80).into());
        let peer = tokio::spawn(peer.exchange());
        exchange(listener.accept().await.unwrap().0).await;
        peer.await.unwrap();
        assert_eq!(stack.memory_used(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn smoltcp_accepts_and_both_move_64_mib_and_close() {
    let [ours, theirs] = addresses(false);
    let (left, right) = pair(MemoryConfig::plain(1500));
    let stack = stack(left, ours);
    let mut peer = Smoltcp::new(right, theirs);
    peer.socket().listen(80).unwrap();
    let peer = tokio::spawn(peer.exchange());
    exchange(TcpStream::connect(&stack, (theirs, 80)).await.unwrap()).await;
    peer.await.unwrap();
    assert_eq!(stack.memory_used(), 0);
}

#[tokio::test]
async fn smoltcp_gets_packets_one_by_one_from_a_device_that_merges_for_a_stack() {
    let [ours, theirs] = addresses(false);
    let (left, right) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let stack = stack(PacketFd::new(left.into(), 1500).unwrap(), ours);
    let listener = TcpListener::bind(&stack, (ours, 80)).await.unwrap();
    let mut peer = Smoltcp::new(PacketFd::new(right.into(), 1500).unwrap(), theirs);
    peer.connect((ours, 80).into());
    let peer = tokio::spawn(peer.exchange());
    exchange(listener.accept().await.unwrap().0).await;
    peer.await.unwrap();
}

/// One end of a cable, as smoltcp's devices are: nothing says when there are packets.
struct Cable {
    incoming: mpsc::UnboundedReceiver<Vec<u8>>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    rings: mpsc::UnboundedSender<()>,
    /// Says `None` once before each packet sent, as a device with full buffers does.
    shy: bool,
}

/// Both ends, each with what rings when the other has sent.
fn cable() -> [(Cable, mpsc::UnboundedReceiver<()>); 2] {
    let (a, from_a) = mpsc::unbounded_channel();
    let (b, from_b) = mpsc::unbounded_channel();
    let (ring_a, a_rings) = mpsc::unbounded_channel();
    let (ring_b, b_rings) = mpsc::unbounded_channel();
    let a = Cable { incoming: from_b, outgoing: a, rings: ring_b, shy: false };
    let b = Cable { incoming: from_a, outgoing: b, rings: ring_a, shy: false };
    [(a, a_rings), (b, b_rings)]
}

struct Sends<'a>(&'a mut Cable);
struct Took(Vec<u8>);

impl RxToken for Took {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sends<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.outgoing.send(packet).ok();
        self.0.rings.send(()).ok();
        result
    }
}

impl phy::Device for Cable {
    type RxToken<'a> = Took;
    type TxToken<'a> = Sends<'a>;

    fn receive(&mut self, _: PhyInstant) -> Option<(Took, Sends<'_>)> {
        let packet = self.incoming.try_recv().ok()?;
        Some((Took(packet), Sends(self)))
    }

    fn transmit(&mut self, _: PhyInstant) -> Option<Sends<'_>> {
        self.shy = !self.shy;
        if self.shy { None } else { Some(Sends(self)) }
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }
}

#[tokio::test(start_paused = true)]
async fn two_stacks_talk_over_devices_of_smoltcp() {
    let [ours, theirs] = addresses(true);
    let [left, right] = cable().map(|(cable, mut rings)| {
        let ready = move |cx: &mut Context<'_>| match rings.poll_recv(cx) {
            Poll::Ready(Some(())) => Poll::Ready(Ok(())),
            Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Poll::Pending => Poll::Pending,
        };
        PhyDevice::new(cable, ready).unwrap()
    });
    let (server, client) = (stack(left, ours), stack(right, theirs));
    assert_eq!(server.device_description(), "smoltcp device (MTU 1500)");
    let listener = TcpListener::bind(&server, (ours, 80)).await.unwrap();
    let mut stream = TcpStream::connect(&client, (ours, 80)).await.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    let sends = tokio::spawn(async move {
        accepted.write_all(&[1; 300_000]).await.unwrap();
        accepted.shutdown().await.unwrap();
        accepted
    });
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    assert_eq!(text, [1; 300_000]);
    let mut accepted = sends.await.unwrap();
    // The far end goes, and with it the cable.
    client.abort();
    drop((client, stream));
    assert!(accepted.read(&mut [0]).await.is_err());
}

#[test]
fn devices_of_another_kind_are_refused() {
    let ethernet = Loopback::new(Medium::Ethernet);
    let error = PhyDevice::new(ethernet, |_: &mut Context<'_>| Poll::Pending).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let (offloading, _other) = pair(MemoryConfig::default());
    assert_eq!(DevicePhy::new(offloading).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}
