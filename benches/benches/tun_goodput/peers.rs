//! The other stacks on a plain TUN, with the settings that suit them best.

use carrick_benches::service::{Workers, run, serve};
use carrick_benches::session::{Job, Work, chunk};
use carrick_benches::tun::{self, Link};
use futures_util::{SinkExt, StreamExt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Mutex;

const PORT: u16 = 5001;
/// Buffers of a connection, each way.
const BUFFER: usize = 1 << 20;
/// Packets read before they are answered.
const BURST: usize = 64;

// smoltcp, driven directly.

/// smoltcp with a loop of its own and one buffer for all packets each way; no runtime.
pub(crate) fn smoltcp(job: &Arc<Job>, mtu: u16) -> io::Result<()> {
    let link = Link::next(job.family);
    let packet = || vec![0; usize::from(u16::MAX)];
    let fd = tun::open(link, mtu, false)?;
    let mut wire = Wire { fd, mtu, received: packet(), sent: packet(), left: 0 };
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = 1;
    let now = Instant::now();
    let mut interface = Interface::new(config, &mut wire, now);
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(link.far.into(), link.prefix)).expect("room for one");
    });
    let mut sockets = SocketSet::new(Vec::new());
    let handles: Vec<_> = (0..job.connections)
        .map(|_| {
            let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
            let mut socket = tcp::Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            socket.listen(PORT).expect("a port");
            sockets.add(socket)
        })
        .collect();
    job.ready(SocketAddr::from((link.far, PORT)));
    let mut buffer = chunk();
    while !job.is_over() {
        wire.left = BURST;
        interface.poll(Instant::now(), &mut wire, &mut sockets);
        let mut moved = wire.left == 0;
        for handle in &handles {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
            match job.work {
                Work::Receive => {
                    while socket.can_recv() {
                        let bytes = socket.recv_slice(&mut buffer).map_err(io::Error::other)?;
                        job.received(bytes);
                        moved = true;
                    }
                }
                Work::Send => {
                    while socket.can_send() {
                        moved |= socket.send_slice(&buffer).map_err(io::Error::other)? > 0;
                    }
                }
                Work::Echo => {
                    while socket.can_recv() && socket.can_send() {
                        let bytes = socket.recv_slice(&mut buffer).map_err(io::Error::other)?;
                        socket.send_slice(&buffer[..bytes]).map_err(io::Error::other)?;
                        moved = true;
                    }
                }
            }
        }
        if !moved {
            // Never so long that the end is missed.
            let delay =
                interface.poll_delay(Instant::now(), &sockets).map_or(20_000, |delay| delay.total_micros());
            let timeout = Timespec { tv_sec: 0, tv_nsec: (delay.min(20_000) * 1000) as i64 };
            poll(&mut [PollFd::new(&wire.fd, PollFlags::IN)], Some(&timeout))?;
        }
    }
    Ok(())
}

struct Wire {
    fd: OwnedFd,
    mtu: u16,
    received: Vec<u8>,
    sent: Vec<u8>,
    /// Packets that may still be read in this burst.
    left: usize,
}

struct Received<'a>(&'a [u8]);
struct Sending<'a>(&'a OwnedFd, &'a mut [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let Self(fd, buffer) = self;
        let result = f(&mut buffer[..len]);
        // What the device does not take is lost, and sent again.
        let _ = rustix::io::write(fd, &buffer[..len]);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        self.left = self.left.checked_sub(1)?;
        match rustix::io::read(&self.fd, self.received.as_mut_slice()) {
            Ok(length) => Some((Received(&self.received[..length]), Sending(&self.fd, &mut self.sent))),
            Err(_) => {
                // Dry.
                self.left = usize::MAX;
                None
            }
        }
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&self.fd, &mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(self.mtu);
        capabilities
    }
}

// Stacks on tokio.

/// Buffers of 1 MiB, bursts of 256.
pub(crate) fn tokio_smoltcp(job: &Arc<Job>, workers: Workers, mtu: u16) -> io::Result<()> {
    use tokio_smoltcp::device::{AsyncCapture, DeviceCapabilities};
    use tokio_smoltcp::smoltcp::{iface, phy, wire};

    run(job, workers, move |job| async move {
        let link = Link::next(job.family);
        let fd = tun::open(link, mtu, false)?;
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = phy::Medium::Ip;
        capabilities.max_transmission_unit = usize::from(mtu);
        capabilities.max_burst_size = Some(256);
        let read = move |fd: &mut OwnedFd| {
            let mut packet = vec![0; usize::from(mtu)];
            let length = rustix::io::read(fd, packet.as_mut_slice())?;
            packet.truncate(length);
            Ok(packet)
        };
        let write = |fd: &mut OwnedFd, packet: &[u8]| Ok(rustix::io::write(fd, packet).map(drop)?);
        let device = AsyncCapture::new(fd, read, write, capabilities)?;
        let mut config = iface::Config::new(wire::HardwareAddress::Ip);
        config.random_seed = 1;
        let address = wire::IpCidr::new(link.far.into(), link.prefix);
        let mut config = tokio_smoltcp::NetConfig::new(config, address, Vec::new());
        config.buffer_size.tcp_rx_size = BUFFER;
        config.buffer_size.tcp_tx_size = BUFFER;
        let net = tokio_smoltcp::Net::new(device, config);
        let listener = Mutex::new(net.tcp_bind(SocketAddr::from((link.far, PORT))).await?);
        job.ready(SocketAddr::from((link.far, PORT)));
        let listener = &listener;
        serve(job, || async { Ok(listener.lock().await.accept().await?.0) }).await
    })
}

/// Buffers of 1 MiB, channels of 4,096 packets.
pub(crate) fn netstack_smoltcp(job: &Arc<Job>, workers: Workers, mtu: u16) -> io::Result<()> {
    run(job, workers, move |job| async move {
        let link = Link::next(job.family);
        let (stack, runner, _, listener) = netstack_smoltcp::StackBuilder::default()
            .enable_tcp(true)
            .mtu(usize::from(mtu))
            .stack_buffer_size(4096)
            .tcp_buffer_size(4096)
            .tcp_recv_buffer_size(BUFFER as u32)
            .tcp_send_buffer_size(BUFFER as u32)
            .build()?;
        let (Some(runner), Some(listener)) = (runner, listener) else {
            return Err(io::Error::other("TCP was asked for"));
        };
        tokio::spawn(runner);
        let fd = Arc::new(tun::register(tun::open(link, mtu, false)?)?);
        let (mut to_stack, mut from_stack) = stack.split();
        let reader = Arc::clone(&fd);
        tokio::spawn(async move {
            let mut packet = vec![0; usize::from(mtu)];
            loop {
                let mut ready = reader.readable().await?;
                loop {
                    match rustix::io::read(ready.get_inner(), packet.as_mut_slice()) {
                        // Flushed with the next one, or when the device is dry.
                        Ok(length) => to_stack.feed(packet[..length].to_vec()).await?,
                        Err(Errno::AGAIN) => break,
                        Err(error) => return Err::<(), io::Error>(error.into()),
                    }
                }
                ready.clear_ready();
                to_stack.flush().await?;
            }
        });
        tokio::spawn(async move {
            while let Some(Ok(packet)) = from_stack.next().await {
                // A TUN always takes it.
                let _ = rustix::io::write(fd.get_ref(), &packet);
            }
        });
        job.ready(SocketAddr::from((link.far, PORT)));
        let listener = &Mutex::new(listener);
        let ended = || io::Error::other("it has ended");
        serve(job, || async { Ok(listener.lock().await.next().await.ok_or_else(ended)?.0) }).await
    })
}

/// MSS option on; read buffer and unacknowledged limit of 1 MiB, though without window scaling 64 KiB is all it offers.
pub(crate) fn ipstack(job: &Arc<Job>, workers: Workers, mtu: u16) -> io::Result<()> {
    run(job, workers, move |job| async move {
        let link = Link::next(job.family);
        let device = Packets(tun::register(tun::open(link, mtu, false)?)?);
        let mut tcp = ipstack::TcpConfig::default();
        let mss = job.family.mss(mtu);
        tcp.options = Some(vec![ipstack::TcpOptions::MaximumSegmentSize(mss)]);
        tcp.max_unacked_bytes = BUFFER as u32;
        tcp.read_buffer_size = BUFFER;
        let mut config = ipstack::IpStackConfig::default();
        config.mtu(mtu).map_err(io::Error::other)?.with_tcp_config(tcp);
        let stack = Mutex::new(ipstack::IpStack::new(config, device));
        job.ready(SocketAddr::from((link.far, PORT)));
        let stack = &stack;
        let mss = usize::from(mss);
        let accept = || async {
            loop {
                let accepted = stack.lock().await.accept().await.map_err(io::Error::other)?;
                if let ipstack::IpStackStream::Tcp(stream) = accepted {
                    // It hands over what has only just begun, and what is written before the handshake is done leaves
                    // before the SYN,ACK and is never sent again.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return Ok(Segments { stream, mss });
                }
            }
        };
        serve(job, accept).await
    })
}

/// A TUN as a byte stream of which each read and write is a packet.
struct Packets(AsyncFd<OwnedFd>);

impl AsyncRead for Packets {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            match rustix::io::read(ready.get_inner(), buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl AsyncWrite for Packets {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<usize>> {
        // A TUN never has to wait.
        Poll::Ready(rustix::io::write(self.0.get_ref(), packet).map_err(io::Error::from))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// ipstack copies all that it is given to send one segment of it, so it is given no more than that.
struct Segments {
    stream: ipstack::IpStackTcpStream,
    mss: usize,
}

impl AsyncRead for Segments {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Segments {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let segment = &bytes[..bytes.len().min(self.mss)];
        Pin::new(&mut self.stream).poll_write(cx, segment)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
