//! A socket that is not yet a listener or a stream.

use crate::request::{RequestListener, holding};
use crate::shared::{Handle, Listening};
use crate::stream::options::{dscp, hop_limit};
use crate::{KeepAlive, Stack, TcpListener, TcpStream};
use carrick_core::congestion::Controller;
use carrick_core::{ConnectionConfig, ListenAddr, ListenConfig};
use parking_lot::Mutex;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The least that a buffer may be set to, in bytes: about a segment.
const LEAST_BUFFER: u32 = 2048;
/// The largest window that there is (RFC 7323 §2.3).
const LARGEST_BUFFER: u32 = (1 << 30) - 1;

/// A socket on which things are set before it connects or listens.
///
/// It begins with the settings of [`StackBuilder::connection_config`](crate::StackBuilder::connection_config). What is
/// set holds for the one connection, or for all that the listener accepts.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, client) = stacks()?;
/// use carrick::TcpSocket;
///
/// let socket = TcpSocket::new_v4(&server)?;
/// socket.set_recv_buffer_size(1 << 20)?;
/// socket.bind("192.0.2.1:7".parse().unwrap())?;
/// let listener = socket.listen(128)?;
///
/// let socket = TcpSocket::new_v4(&client)?;
/// socket.bind("192.0.2.2:5000".parse().unwrap())?;
/// let (stream, accepted) =
///     tokio::join!(socket.connect("192.0.2.1:7".parse().unwrap()), listener.accept());
/// assert_eq!(accepted?.1.port(), 5000);
/// # drop(stream);
/// # Ok(())
/// # }
/// ```
pub struct TcpSocket {
    stack: Handle,
    v6: bool,
    settings: Mutex<Settings>,
}

struct Settings {
    connection: ConnectionConfig,
    reuseaddr: bool,
    /// What is reserved, and what it is called.
    bound: Option<(ListenAddr, SocketAddr)>,
}

impl TcpSocket {
    /// A socket for IPv4 on that stack.
    ///
    /// # Errors
    /// None; the result is for likeness with `tokio::net`.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpSocket;
    ///
    /// let socket = TcpSocket::new_v4(&client)?;
    /// assert_eq!(socket.local_addr()?, "0.0.0.0:0".parse().unwrap());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_v4(stack: &Stack) -> io::Result<Self> {
        Ok(Self::new(stack, false))
    }

    /// A socket for IPv6 on that stack. A listener on `::` gets both families, as one on `0.0.0.0` does.
    ///
    /// # Errors
    /// None; the result is for likeness with `tokio::net`.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpSocket;
    ///
    /// let socket = TcpSocket::new_v6(&client)?;
    /// assert_eq!(socket.local_addr()?, "[::]:0".parse().unwrap());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_v6(stack: &Stack) -> io::Result<Self> {
        Ok(Self::new(stack, true))
    }

    fn new(stack: &Stack, v6: bool) -> Self {
        let connection = ConnectionConfig::clone(&stack.handle().connection_config);
        let settings = Settings { connection, reuseaddr: false, bound: None };
        Self { stack: stack.handle().clone(), v6, settings: Mutex::new(settings) }
    }

    fn get<R>(&self, get: impl FnOnce(&ConnectionConfig) -> R) -> io::Result<R> {
        Ok(get(&self.settings.lock().connection))
    }

    fn set(&self, set: impl FnOnce(&mut ConnectionConfig)) -> io::Result<()> {
        set(&mut self.settings.lock().connection);
        Ok(())
    }

    /// Probes a silent peer as [`KeepAlive::default`] says, or does not (the default).
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_keepalive(true)?;
    /// assert!(socket.keepalive()?);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.set(|c| c.keep_alive = keepalive.then(|| c.keep_alive.unwrap_or_default()))
    }

    /// Whether a silent peer is probed.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert!(!socket.keepalive()?);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn keepalive(&self) -> io::Result<bool> {
        self.get(|c| c.keep_alive.is_some())
    }

    /// As [`TcpStream::set_keep_alive`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// use carrick::KeepAlive;
    /// use std::time::Duration;
    ///
    /// let idle = Duration::from_secs(60);
    /// socket.set_keep_alive(Some(KeepAlive { idle, ..KeepAlive::default() }))?;
    /// assert!(socket.keepalive()?);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) -> io::Result<()> {
        self.set(|c| c.keep_alive = keep_alive)
    }

    /// When a silent peer is probed, if it is.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_keepalive(true)?;
    /// assert_eq!(socket.keep_alive()?, Some(carrick::KeepAlive::default()));
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn keep_alive(&self) -> io::Result<Option<KeepAlive>> {
        self.get(|c| c.keep_alive)
    }

    /// Lets other sockets that say so too be bound to the same address and port before any of them connects, for
    /// connections from one port to several peers. One of them may listen.
    ///
    /// For what it is mostly used elsewhere it is not needed: a port can be listened on at once after another listener
    /// on it has gone, whatever connections and TIME-WAITs are left.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpSocket;
    ///
    /// // Two connections from one port.
    /// let sockets = [TcpSocket::new_v4(&client)?, TcpSocket::new_v4(&client)?];
    /// for socket in &sockets {
    ///     socket.set_reuseaddr(true)?;
    ///     socket.bind("192.0.2.2:5000".parse().unwrap())?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.settings.lock().reuseaddr = reuseaddr;
        Ok(())
    }

    /// Whether [`set_reuseaddr`](Self::set_reuseaddr) has been called with true.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert!(!socket.reuseaddr()?);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.settings.lock().reuseaddr)
    }

    /// Several listeners on one address and port are not possible here, and not needed: any number of tasks, on any
    /// threads, may wait for one listener's connections.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) for true.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::{TcpListener, TcpSocket};
    /// use std::io::ErrorKind;
    /// use std::sync::Arc;
    ///
    /// let socket = TcpSocket::new_v4(&server)?;
    /// assert_eq!(socket.set_reuseport(true).unwrap_err().kind(), ErrorKind::Unsupported);
    ///
    /// // Instead:
    /// let listener = Arc::new(TcpListener::bind(&server, "192.0.2.1:80").await?);
    /// for _ in 0..4 {
    ///     let listener = Arc::clone(&listener);
    ///     tokio::spawn(async move { listener.accept().await });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        if reuseport {
            let text = "listeners do not share a port; tasks share a listener";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(())
    }

    /// False; see [`set_reuseport`](Self::set_reuseport).
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert!(!socket.reuseport()?);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn reuseport(&self) -> io::Result<bool> {
        Ok(false)
    }

    /// Most bytes that are written and not acknowledged. 2 KiB at least. Memory is taken only as bytes are written; it
    /// is not doubled, as Linux does.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_send_buffer_size(4 << 20)?; // for a path that is fast and long
    /// assert_eq!(socket.send_buffer_size()?, 4 << 20);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set(|c| c.send_buffer = size.clamp(LEAST_BUFFER, LARGEST_BUFFER))
    }

    /// Most bytes that are written and not acknowledged.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.send_buffer_size()?, 512 << 10);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.get(|c| c.send_buffer)
    }

    /// Most bytes that are received and not read, which the window that the peer is offered never exceeds. 2 KiB at
    /// least, 1 GiB at most. Memory is taken only as bytes arrive; it is not doubled, as Linux does.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_recv_buffer_size(64 << 10)?; // no peer makes us hold more than that
    /// assert_eq!(socket.recv_buffer_size()?, 64 << 10);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set(|c| c.receive_buffer = size.clamp(LEAST_BUFFER, LARGEST_BUFFER))
    }

    /// Most bytes that are received and not read.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.recv_buffer_size()?, 1000 << 10);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.get(|c| c.receive_buffer)
    }

    /// As [`TcpStream::set_linger`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// use std::time::Duration;
    ///
    /// socket.set_linger(Some(Duration::from_secs(5)))?;
    /// assert_eq!(socket.linger()?, Some(Duration::from_secs(5)));
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set(|c| c.linger = linger)
    }

    /// As [`TcpStream::set_zero_linger`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// use std::time::Duration;
    ///
    /// socket.set_zero_linger()?;
    /// assert_eq!(socket.linger()?, Some(Duration::ZERO));
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// As [`TcpStream::linger`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.linger()?, None);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.get(|c| c.linger)
    }

    /// As [`TcpStream::set_nodelay`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_nodelay(true)?;
    /// assert!(socket.nodelay()?);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set(|c| c.nodelay = nodelay)
    }

    /// Whether Nagle's rule is off.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert!(!socket.nodelay()?);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.get(|c| c.nodelay)
    }

    /// As [`TcpStream::set_ttl`].
    ///
    /// # Errors
    /// As [`TcpStream::set_ttl`].
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_ttl(255)?;
    /// assert!(socket.set_ttl(0).is_err());
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = hop_limit(ttl)?;
        self.set(|c| c.hop_limit = Some(hop_limit))
    }

    /// As [`TcpStream::set_tos`].
    ///
    /// # Errors
    /// As [`TcpStream::set_tos`].
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_tos(46 << 2)?; // expedited forwarding (RFC 3246), from the SYN on
    /// assert_eq!(socket.tos()?, 0xb8);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        let dscp = dscp(tos)?;
        self.set(|c| c.dscp = dscp)
    }

    /// As [`TcpStream::tos`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.tos()?, 0);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn tos(&self) -> io::Result<u32> {
        self.get(|c| u32::from(c.dscp) << 2)
    }

    /// As [`set_tos`](Self::set_tos).
    ///
    /// # Errors
    /// As [`set_tos`](Self::set_tos).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_tos_v4(8 << 2)?; // what may wait (RFC 3662)
    /// assert_eq!(socket.tos_v4()?, 0x20);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        self.set_tos(tos)
    }

    /// As [`tos`](Self::tos).
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.tos_v4()?, 0);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.tos()
    }

    /// As [`set_tos`](Self::set_tos).
    ///
    /// # Errors
    /// As [`set_tos`](Self::set_tos).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v6, |socket| {
    /// socket.set_tclass_v6(8 << 2)?; // what may wait (RFC 3662)
    /// assert_eq!(socket.tclass_v6()?, 0x20);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.set_tos(tclass)
    }

    /// As [`tos`](Self::tos).
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v6, |socket| {
    /// assert_eq!(socket.tclass_v6()?, 0);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.tos()
    }

    /// As [`TcpStream::set_user_timeout`]; it holds for the handshake too.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// # let socket = carrick::TcpSocket::new_v4(&client)?;
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// socket.set_user_timeout(Some(Duration::from_millis(50)))?;
    /// let nobody = socket.connect("192.0.2.99:80".parse().unwrap()).await;
    /// assert_eq!(nobody.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(|c| c.user_timeout = timeout.filter(|timeout| !timeout.is_zero()))
    }

    /// As [`TcpStream::user_timeout`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.user_timeout()?, None);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        self.get(|c| c.user_timeout)
    }

    /// As [`TcpStream::set_notsent_lowat`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_notsent_lowat(Some(16 << 10))?;
    /// assert_eq!(socket.notsent_lowat()?, Some(16 << 10));
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_notsent_lowat(&self, most: Option<u32>) -> io::Result<()> {
        self.set(|c| c.notsent_lowat = most)
    }

    /// As [`TcpStream::notsent_lowat`].
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.notsent_lowat()?, None);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn notsent_lowat(&self) -> io::Result<Option<u32>> {
        self.get(|c| c.notsent_lowat)
    }

    /// Chooses how much may be in flight; each connection starts from a copy of this controller. None is the stack's
    /// default.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// use carrick::congestion::NewReno;
    ///
    /// socket.set_congestion(Some(Box::new(NewReno::default())))?;
    /// assert!(socket.connection_config().congestion.is_some());
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_congestion(&self, controller: Option<Box<dyn Controller>>) -> io::Result<()> {
        self.set(|c| c.congestion = controller)
    }

    /// All settings of the connections to come.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.set_nodelay(true)?;
    /// assert!(socket.connection_config().nodelay);
    /// # Ok(())
    /// # }) }
    /// ```
    #[must_use]
    pub fn connection_config(&self) -> ConnectionConfig {
        self.settings.lock().connection.clone()
    }

    /// Replaces all settings of the connections to come, those included that have a method here.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// use carrick::{ConnectionConfig, EcnPolicy};
    ///
    /// // What has no method here.
    /// socket.set_connection_config(ConnectionConfig { ecn: EcnPolicy::Ask, ..socket.connection_config() });
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn set_connection_config(&self, config: ConnectionConfig) {
        self.settings.lock().connection = config;
    }

    /// None: nothing has happened yet that could fail.
    ///
    /// # Errors
    /// None; the result is for likeness with `tokio::net`.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert!(socket.take_error()?.is_none());
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// The address and port that it is bound to; unspecified before [`bind`](Self::bind).
    ///
    /// # Errors
    /// None; the result is for likeness with `tokio::net`.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// socket.bind("192.0.2.2:5000".parse().unwrap())?;
    /// assert_eq!(socket.local_addr()?.port(), 5000);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let bound = self.settings.lock().bound.map(|(_, addr)| addr);
        let any = if self.v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        Ok(bound.unwrap_or(SocketAddr::new(any, 0)))
    }

    /// Keeps an address and port for this socket, to listen on or to connect from. Port 0 is one that no
    /// listener, socket or connection has, 1,024 or more. They are kept until it connects or listens, or is dropped: a
    /// connection keeps its port for itself only towards its peer.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if a listener or another socket has them, see
    /// [`set_reuseaddr`](Self::set_reuseaddr). [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the address is
    /// not the stack's. [`InvalidInput`](io::ErrorKind::InvalidInput) if it is of the other family, or the socket is bound
    /// already. Why the stack has failed or ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpSocket;
    /// use std::io::ErrorKind;
    ///
    /// let socket = TcpSocket::new_v4(&client)?;
    /// socket.bind("192.0.2.2:5000".parse().unwrap())?;
    ///
    /// let other = TcpSocket::new_v4(&client)?;
    /// let taken = other.bind("192.0.2.2:5000".parse().unwrap());
    /// assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.check_family(addr)?;
        let mut settings = self.settings.lock();
        if settings.bound.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket is bound already"));
        }
        settings.bound = Some(self.stack.reserve(addr, settings.reuseaddr)?);
        Ok(())
    }

    /// Opens a connection.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    ///
    /// # Errors
    /// As [`TcpStream::connect`]; also [`AddrInUse`](io::ErrorKind::AddrInUse) if there is a connection from the bound
    /// address and port to that peer, and [`InvalidInput`](io::ErrorKind::InvalidInput) if the address is of the other
    /// family.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// # let _listener = carrick::TcpListener::bind(&server, "192.0.2.1:80").await?;
    /// use carrick::TcpSocket;
    ///
    /// let socket = TcpSocket::new_v4(&client)?;
    /// socket.set_nodelay(true)?;
    /// let stream = socket.connect("192.0.2.1:80".parse().unwrap()).await?;
    /// assert!(stream.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(mut self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.check_family(addr)?;
        let settings = self.settings.get_mut();
        let config = Arc::new(settings.connection.clone());
        let (reserved, local) = settings.bound.take().unzip();
        let cell = self.stack.connect(local, addr, config, reserved)?;
        TcpStream::when_connected(cell, &self.stack, addr).await
    }

    /// Listens, on any free port if the socket is not bound, with room for `backlog` connections (at least one) that
    /// nobody has accepted yet.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another socket that shared the address and port listens already.
    /// Why the stack has failed or ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpSocket;
    ///
    /// let socket = TcpSocket::new_v4(&server)?;
    /// socket.bind("192.0.2.1:80".parse().unwrap())?;
    /// let listener = socket.listen(1024)?;
    /// assert_eq!(listener.local_addr()?.port(), 80);
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen(mut self, backlog: u32) -> io::Result<TcpListener> {
        let connection = self.settings.get_mut().connection.clone();
        let config = ListenConfig { backlog, connection, ..ListenConfig::default() };
        Ok(TcpListener::new(self.start_listening(&config)?, &self.stack))
    }

    /// As [`listen`](Self::listen), holding up to `limit` requests (at least one) until they are decided about. All
    /// handshakes of the stack together are bounded too, by
    /// [`EndpointConfig::max_half_open`](crate::EndpointConfig::max_half_open).
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::{TcpSocket, TcpStream};
    ///
    /// let socket = TcpSocket::new_v4(&server)?;
    /// socket.set_recv_buffer_size(1 << 20)?;
    /// socket.bind("192.0.2.1:80".parse().unwrap())?;
    /// let listener = socket.listen_requests(16)?;
    /// let connecting = tokio::spawn(async move { TcpStream::connect(&client, "192.0.2.1:80").await });
    /// let stream = listener.accept_request().await?.accept().await?;
    /// # connecting.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen_requests(mut self, limit: u32) -> io::Result<RequestListener> {
        let config = holding(self.settings.get_mut().connection.clone(), limit);
        Ok(RequestListener::new(self.start_listening(&config)?, &self.stack))
    }

    fn start_listening(&mut self, config: &ListenConfig) -> io::Result<Arc<Listening>> {
        let addr = self.local_addr()?;
        let reserved = self.settings.get_mut().bound.take().map(|(local, _)| local);
        self.stack.listen(addr, config, reserved)
    }

    fn check_family(&self, addr: SocketAddr) -> io::Result<()> {
        if addr.is_ipv6() == self.v6 {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the address is of the other family"))
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        if let Some((local, _)) = self.settings.get_mut().bound.take() {
            self.stack.unreserve(local);
        }
    }
}

impl std::fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bound = self.settings.lock().bound.map(|(_, addr)| addr);
        f.debug_struct("TcpSocket").field("v6", &self.v6).field("bound", &bound).finish_non_exhaustive()
    }
}
