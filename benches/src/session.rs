//! A contestant serving connections of the kernel's TCP, measured while they are in full swing.
//!
//! The contestant runs on a thread of its own, called `stack`, and every thread that it starts must be called so too. Each
//! connection has a thread, called `client`, that uses a blocking socket of the kernel. What is measured lies between two moments at
//! which all connections are established and warm; opening and closing them does not count.
//!
//! Bytes are counted where an application receives them.

use crate::cpu::{Cpu, Snapshot};
use crate::options::{Placement, Side};
use crate::tun::Family;
use clap::ValueEnum;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What applications read and write at a time, in bytes.
pub const CHUNK: usize = 64 << 10;
/// Name of the contestant's threads.
pub const STACK: &str = "stack";
/// Name of the threads of the client's kernel sockets.
pub const CLIENT: &str = "client";
/// Name of the threads of a kernel that serves behind a contestant that only passes packets on.
pub const FAR: &str = "far";

/// How long a contestant may take to get going.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the connections are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Work {
    /// The kernel sends, the contestant receives.
    #[value(name = "in")]
    Receive,
    /// The contestant sends, the kernel receives.
    #[value(name = "out")]
    Send,
    /// The contestant returns each byte.
    #[value(skip)]
    Echo,
}

impl Work {
    /// Short, for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "in",
            Self::Send => "out",
            Self::Echo => "echo",
        }
    }
}

/// What a contestant is to do, and how it tells what it has done.
#[derive(Debug)]
pub struct Job {
    /// What the connections are for.
    pub work: Work,
    /// How many connections there will be.
    pub connections: usize,
    /// Which IP they use.
    pub family: Family,
    received: AtomicU64,
    over: AtomicBool,
    told: Notify,
    address: mpsc::SyncSender<io::Result<SocketAddr>>,
}

impl Job {
    /// The contestant accepts connections at this address.
    pub fn ready(&self, address: SocketAddr) {
        // Nobody hears of it if it comes too late.
        let _ = self.address.try_send(Ok(address));
    }

    /// An application has received so many bytes.
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether the contestant is to end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Waits until the contestant is to end.
    pub async fn over(&self) {
        let told = self.told.notified();
        if !self.is_over() {
            told.await;
        }
    }
}

/// Someone to be measured.
pub struct Contestant {
    /// Kind, device and variant, parted by `/`.
    pub name: &'static str,
    /// Serves a job on the calling thread, which is called [`STACK`], until the job is over.
    pub serve: Box<Serve>,
}

/// What a contestant does.
pub type Serve = dyn Fn(&Arc<Job>) -> io::Result<()> + Send + Sync;

impl Contestant {
    /// A contestant of this name.
    pub fn new(
        name: &'static str,
        serve: impl Fn(&Arc<Job>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { name, serve: Box::new(serve) })
    }
}

/// What a run needs to know besides.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Which CPUs to use.
    pub placement: Placement,
    /// Buffers of the client's sockets in bytes; 0 lets the kernel choose.
    pub client_buffer: usize,
    /// Which IP to use.
    pub family: Family,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Bytes received by applications.
    pub bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// CPU time of the contestant.
    pub stack: Cpu,
    /// CPU time of the client's kernel sockets.
    pub client: Cpu,
    /// CPU time of the kernel behind a contestant that only passes packets on.
    pub far: Cpu,
}

/// Connections at work.
#[derive(Debug)]
pub struct Session {
    job: Arc<Job>,
    stack: Option<JoinHandle<io::Result<()>>>,
    clients: Vec<Client>,
    measuring: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Client {
    socket: TcpStream,
    thread: JoinHandle<Vec<u32>>,
}

impl Session {
    /// Starts the contestant, connects to it and sets everything to work.
    ///
    /// # Errors
    /// The contestant failed, or did not get going within some seconds.
    pub fn start(
        contestant: &Arc<Contestant>,
        work: Work,
        connections: usize,
        setting: Setting,
    ) -> io::Result<Self> {
        setting.placement.check()?;
        let (address, addresses) = mpsc::sync_channel(1);
        let job = Arc::new(Job {
            work,
            connections,
            family: setting.family,
            received: AtomicU64::new(0),
            over: AtomicBool::new(false),
            told: Notify::new(),
            address,
        });
        let stack = {
            let (contestant, job) = (Arc::clone(contestant), Arc::clone(&job));
            thread::Builder::new().name(STACK.into()).spawn(move || {
                let outcome = setting.placement.apply(Side::Stack).and_then(|()| (contestant.serve)(&job));
                if let Err(error) = &outcome {
                    let _ = job.address.try_send(Err(io::Error::new(error.kind(), error.to_string())));
                }
                outcome
            })?
        };
        let mut session = Self {
            job,
            stack: Some(stack),
            clients: Vec::new(),
            measuring: Arc::new(AtomicBool::new(false)),
        };
        let failed = |what: &str| io::Error::new(io::ErrorKind::TimedOut, what.to_owned());
        let address = addresses.recv_timeout(PATIENCE).map_err(|_| failed("it does not start"))??;
        for _ in 0..connections {
            let client = session.connect(address, setting)?;
            session.clients.push(client);
        }
        session.wait(1).map_err(|_| failed("nothing arrives"))?;
        Ok(session)
    }

    fn connect(&self, address: SocketAddr, setting: Setting) -> io::Result<Client> {
        let socket = connect(address, setting.client_buffer)?;
        let (job, measuring) = (Arc::clone(&self.job), Arc::clone(&self.measuring));
        let stream = socket.try_clone()?;
        let thread = thread::Builder::new().name(CLIENT.into()).spawn(move || {
            setting.placement.apply(Side::Client).expect("the CPU was there");
            let mut times = Vec::new();
            // It ends with an error, when the socket is shut down.
            let _ = match job.work {
                Work::Receive => send(stream),
                Work::Send => receive(stream, &job),
                Work::Echo => echo(stream, &job, &measuring, &mut times),
            };
            times
        })?;
        Ok(Client { socket, thread })
    }

    /// Bytes that applications have received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.job.received.load(Ordering::Relaxed)
    }

    /// Waits until applications have received so many bytes more.
    ///
    /// # Errors
    /// Nothing at all arrived for some seconds.
    pub fn wait(&self, bytes: u64) -> io::Result<()> {
        let (mut seen, mut since) = (self.received(), Instant::now());
        let until = seen + bytes;
        while seen < until {
            thread::sleep(Duration::from_millis(1));
            let now = self.received();
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it has come to a standstill"));
            }
        }
        Ok(())
    }

    /// Measures for a while, and longer if nothing at all arrives.
    ///
    /// # Errors
    /// Nothing arrived, or a connection was lost.
    pub fn measure(&self, duration: Duration) -> io::Result<Measured> {
        let received = self.received();
        self.measure_while(|| {
            thread::sleep(duration);
            // A busy machine may not have let anybody run.
            if self.received() == received { self.wait(1) } else { Ok(()) }
        })
    }

    /// Measures what happens while `f` runs.
    ///
    /// # Errors
    /// A connection was lost, or what `f` says.
    pub fn measure_while(&self, f: impl FnOnce() -> io::Result<()>) -> io::Result<Measured> {
        let (start, before, received) = (Instant::now(), Snapshot::take()?, self.received());
        self.measuring.store(true, Ordering::Relaxed);
        f()?;
        self.measuring.store(false, Ordering::Relaxed);
        let (bytes, after, seconds) =
            (self.received() - received, Snapshot::take()?, start.elapsed().as_secs_f64());
        if self.clients.iter().any(|client| client.thread.is_finished()) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "a connection was lost"));
        }
        let used = |name| after.since(&before, name);
        Ok(Measured { bytes, seconds, stack: used(STACK), client: used(CLIENT), far: used(FAR) })
    }

    /// Ends everything. Tells how long each round trip took that was measured, in nanoseconds.
    ///
    /// # Errors
    /// The contestant failed.
    pub fn end(mut self) -> io::Result<Vec<u32>> {
        self.stop()
    }

    fn stop(&mut self) -> io::Result<Vec<u32>> {
        let mut times = Vec::new();
        for Client { socket, thread } in self.clients.drain(..) {
            // Wakes the thread; when it drops the socket, the contestant is sent a reset.
            let _ = socket.shutdown(Shutdown::Both);
            drop(socket);
            times.append(&mut thread.join().unwrap_or_default());
        }
        self.job.over.store(true, Ordering::Relaxed);
        self.job.told.notify_waiters();
        match self.stack.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome.map(|()| times),
            Some(Err(_)) => Err(io::Error::other("it panicked")),
            None => Ok(times),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// A socket of the kernel's. Some contestants admit only one connection at a time, so it tries again.
fn connect(address: SocketAddr, buffer: usize) -> io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // The default is a setting of the machine's, and may be BBR, which sends by the clock.
        sockopt::set_tcp_congestion(&socket, "cubic")?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        // Bounds the attempt to connect, too.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE))?;
        if buffer > 0 {
            sockopt::set_socket_recv_buffer_size(&socket, buffer)?;
            sockopt::set_socket_send_buffer_size(&socket, buffer)?;
        }
        match net::connect(&socket, &address) {
            Ok(()) => return Ok(socket.into()),
            Err(error) if start.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// The client's end of [`Work::Receive`].
///
/// # Errors
/// Always, in the end: the connection is gone.
pub fn send(mut stream: impl Write) -> io::Result<()> {
    let chunk = chunk();
    loop {
        stream.write_all(&chunk)?;
    }
}

/// The client's end of [`Work::Send`].
///
/// # Errors
/// As for [`send`].
pub fn receive(mut stream: impl Read, job: &Job) -> io::Result<()> {
    let mut buffer = chunk();
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            bytes => job.received(bytes),
        }
    }
}

fn echo(
    mut stream: impl Read + Write,
    job: &Job,
    measuring: &AtomicBool,
    times: &mut Vec<u32>,
) -> io::Result<()> {
    let mut byte = [0x5a];
    loop {
        let start = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        let took = start.elapsed();
        job.received(1);
        if measuring.load(Ordering::Relaxed) {
            times.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }
}

/// What applications write, and read into. Memory that was never written would be all one page of zeros, and too good
/// to be true.
#[must_use]
pub fn chunk() -> Vec<u8> {
    (0..CHUNK).map(|n| (n % 251) as u8).collect()
}
