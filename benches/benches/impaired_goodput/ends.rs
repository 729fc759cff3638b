//! The two ends of a path: the kernel's TCP in a namespace of its own, or a stack of carrick's.

use crate::splice::Watch;
use carrick::Stack;
use carrick::device::memory::{self, MemoryConfig};
use carrick::device::{Device, Tun};
use carrick_benches::session::{CHUNK, chunk};
use carrick_benches::tun::leave_network;
use carrick_core::{ConnectionConfig, EcnPolicy};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;

const MTU: u16 = 1500;
const SENDER: &str = "192.0.2.1";
const RECEIVER: &str = "192.0.2.2";
const PORT: u16 = 5001;
/// How long a call may wait before it looks whether all is over.
const TICK: Duration = Duration::from_millis(100);
/// How often a trace looks at the sender.
const SAMPLE: Duration = Duration::from_millis(10);

/// Which end of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Sender,
    Receiver,
}

impl Role {
    const fn address(self) -> &'static str {
        match self {
            Self::Sender => SENDER,
            Self::Receiver => RECEIVER,
        }
    }
}

/// What both ends work on.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Bytes that the receiving application has read.
    pub(crate) received: AtomicU64,
    pub(crate) over: AtomicBool,
    /// Whether both ends use explicit congestion notification.
    pub(crate) ecn: bool,
    /// What passes the sender, and how carrick's sender is, if that is to be known.
    pub(crate) watch: Arc<Mutex<Watch>>,
}

impl Traffic {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn read(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// An end with a device that waits to be joined to the other's.
pub(crate) struct End {
    role: Role,
    traffic: Arc<Traffic>,
    pub(crate) device: Option<Box<dyn Device>>,
    work: Work,
}

/// Who works there.
enum Work {
    /// A sender begins when it is told to.
    Kernel(mpsc::Sender<()>, JoinHandle<io::Result<()>>),
    Carrick(Stack, Option<tokio::task::JoinHandle<io::Result<()>>>),
}

impl End {
    /// The receiver is ready for the sender, or the sender begins.
    pub(crate) async fn start(&mut self) -> io::Result<()> {
        match &mut self.work {
            Work::Kernel(begin, _) => {
                // A receiver does not wait for it.
                let _ = begin.send(());
            }
            Work::Carrick(stack, task) => {
                let traffic = Arc::clone(&self.traffic);
                *task = Some(if self.role == Role::Sender {
                    let stack = stack.clone();
                    tokio::spawn(async move { write(&stack, &traffic).await })
                } else {
                    let listener = carrick::TcpListener::bind(stack, receiver()).await?;
                    tokio::spawn(async move { read(&listener, &traffic).await })
                });
            }
        }
        Ok(())
    }

    /// Ends, once all is over; why it had ended before.
    pub(crate) async fn end(self) -> io::Result<()> {
        match self.work {
            Work::Kernel(begin, thread) => {
                drop(begin);
                thread.join().map_err(|_| io::Error::other("its thread panicked"))?
            }
            Work::Carrick(stack, task) => {
                let Some(task) = task else { return Ok(()) };
                let outcome = if task.is_finished() { task.await.map_err(io::Error::other)? } else { Ok(()) };
                stack.abort();
                outcome
            }
        }
    }
}

fn receiver() -> SocketAddr {
    SocketAddr::from((RECEIVER.parse::<IpAddr>().expect("an address"), PORT))
}

/// The kernel's TCP, on a thread in a network namespace of its own.
pub(crate) fn kernel(role: Role, traffic: &Arc<Traffic>) -> io::Result<End> {
    let (made, makes) = mpsc::channel();
    let (begin, begins) = mpsc::channel();
    let (runtime, shared) = (Handle::current(), Arc::clone(traffic));
    let thread = thread::Builder::new().name(format!("{role:?}")).spawn(move || {
        let (_entered, traffic) = (runtime.enter(), shared);
        let opened = open(role, &traffic).and_then(|tun| {
            let socket = socket()?;
            if role == Role::Receiver {
                net::bind(&socket, &receiver())?;
                net::listen(&socket, 1)?;
            }
            Ok((tun, socket))
        });
        let socket = match opened {
            Ok((tun, socket)) => {
                let _ = made.send(Ok(tun));
                socket
            }
            Err(error) => {
                let _ = made.send(Err(error));
                return Ok(());
            }
        };
        match role {
            // Told by nobody, it ends.
            Role::Sender if begins.recv().is_err() => Ok(()),
            Role::Sender => send(socket, &traffic),
            Role::Receiver => receive(&TcpListener::from(socket), &traffic),
        }
    })?;
    let device = makes.recv().map_err(io::Error::other)??;
    let work = Work::Kernel(begin, thread);
    Ok(End { role, traffic: Arc::clone(traffic), device: Some(Box::new(device)), work })
}

/// A namespace, its settings, and the interface.
fn open(role: Role, traffic: &Traffic) -> io::Result<Tun> {
    leave_network()?;
    let set = |name: &str, value: &str| {
        let file = format!("/proc/sys/net/ipv4/{name}");
        fs::write(&file, value).map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))
    };
    // Four megabytes by default, of which packets of 1,500 bytes are little more than half: less than two
    // bandwidth-delay products of the longest path. carrick's may grow as large.
    set("tcp_wmem", "4096 16384 16777216")?;
    if traffic.ecn {
        set("tcp_ecn", "1")?;
    }
    let host = format!("{}/24", role.address()).parse().expect("an address and a prefix length");
    Tun::builder().host(host).mtu(MTU).offload(false).build()
}

/// A socket that uses CUBIC; what it accepts does too.
fn socket() -> io::Result<OwnedFd> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_tcp_congestion(&socket, "cubic")?;
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(TICK))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(TICK))?;
    Ok(socket)
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn send(socket: OwnedFd, traffic: &Traffic) -> io::Result<()> {
    // A handshake that lost a packet takes a second.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(Duration::from_secs(5)))?;
    net::connect(&socket, &receiver())?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(TICK))?;
    let (mut stream, chunk) = (TcpStream::from(socket), chunk());
    while !traffic.is_over() {
        match stream.write(&chunk) {
            Err(error) if !waits(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn receive(listener: &TcpListener, traffic: &Traffic) -> io::Result<()> {
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if waits(&error) && !traffic.is_over() => {}
            Err(error) => return Err(error),
        }
    };
    stream.set_read_timeout(Some(TICK))?;
    let mut buffer = vec![0; CHUNK];
    while !traffic.is_over() {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => traffic.read(bytes),
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A stack of carrick's with its default settings, joined to what it returns by memory.
pub(crate) fn carrick(role: Role, traffic: &Arc<Traffic>) -> io::Result<End> {
    let (ours, device) = memory::pair(MemoryConfig::plain(MTU));
    let mut config = ConnectionConfig::default();
    if traffic.ecn {
        config.ecn = EcnPolicy::Ask;
    }
    let address = format!("{}/24", role.address()).parse().expect("an address and a prefix length");
    let stack = Stack::builder().address(address).connection_config(config).device(ours).build()?;
    let work = Work::Carrick(stack, None);
    Ok(End { role, traffic: Arc::clone(traffic), device: Some(Box::new(device)), work })
}

async fn write(stack: &Stack, traffic: &Traffic) -> io::Result<()> {
    let mut stream = carrick::TcpStream::connect(stack, receiver()).await?;
    let chunk = chunk();
    if !traffic.watch.lock().expect("nobody panics holding it").is_tracing() {
        loop {
            stream.write_all(&chunk).await?;
        }
    }
    let mut ticks = tokio::time::interval(SAMPLE);
    loop {
        tokio::select! {
            written = stream.write(&chunk) => drop(written?),
            _ = ticks.tick() => {
                let info = stream.tcp_info()?;
                let mut watch = traffic.watch.lock().expect("nobody panics holding it");
                watch.note("window", info.in_flight.into(), info.congestion_window.into());
                watch.note("threshold", info.unsent as u64, info.slow_start_threshold.unwrap_or(0).into());
                let rtt = info.rtt.unwrap_or_default();
                watch.note("rtt", u64::from(info.lost), rtt.as_micros() as u64);
            }
        }
    }
}

async fn read(listener: &carrick::TcpListener, traffic: &Traffic) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            bytes => traffic.read(bytes),
        }
    }
}
