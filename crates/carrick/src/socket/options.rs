//! What is set on a socket before it connects or listens.

use super::TcpSocket;
use crate::KeepAlive;
use crate::stream::options::{dscp, hop_limit};
use carrick_core::ConnectionConfig;
use carrick_core::congestion::Controller;
use std::io;
use std::time::Duration;

/// The least that a buffer may be set to, in bytes: about a segment.
const LEAST_BUFFER: u32 = 2048;
/// The largest window that there is (RFC 7323 §2.3).
const LARGEST_BUFFER: u32 = (1 << 30) - 1;

impl TcpSocket {
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

    /// As [`TcpStream::set_keep_alive`](crate::TcpStream::set_keep_alive).
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

    /// Most bytes that are written and not acknowledged. 2 KiB at least. The buffer then no longer follows the
    /// congestion window ([`tune_send_buffer`](crate::ConnectionConfig::tune_send_buffer)). Memory is taken only as
    /// bytes are written; it is not doubled, as Linux does.
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
        self.set(|c| {
            c.send_buffer = size.clamp(LEAST_BUFFER, LARGEST_BUFFER);
            c.tune_send_buffer = false;
        })
    }

    /// Most bytes that are written and not acknowledged, if the path asks for so many. Default 16 MiB.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.send_buffer_size()?, 16 << 20);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.get(|c| c.send_buffer)
    }

    /// Most bytes that are received and not read, which the window that the peer is offered never exceeds. 2 KiB at
    /// least, 1 GiB at most. The window then no longer grows with what the path needs
    /// ([`tune_receive_buffer`](crate::ConnectionConfig::tune_receive_buffer)). Memory is taken only as bytes arrive;
    /// it is not doubled, as Linux does.
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
        self.set(|c| {
            c.receive_buffer = size.clamp(LEAST_BUFFER, LARGEST_BUFFER);
            c.tune_receive_buffer = false;
        })
    }

    /// Most bytes that are received and not read, if path and reader need so many. Default 15 MiB.
    ///
    /// # Errors
    /// None.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # fn main() { with_socket(carrick::TcpSocket::new_v4, |socket| {
    /// assert_eq!(socket.recv_buffer_size()?, 15 << 20);
    /// # Ok(())
    /// # }) }
    /// ```
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.get(|c| c.receive_buffer)
    }

    /// As [`TcpStream::set_linger`](crate::TcpStream::set_linger).
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

    /// As [`TcpStream::set_zero_linger`](crate::TcpStream::set_zero_linger).
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

    /// As [`TcpStream::linger`](crate::TcpStream::linger).
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

    /// As [`TcpStream::set_nodelay`](crate::TcpStream::set_nodelay).
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

    /// As [`TcpStream::set_ttl`](crate::TcpStream::set_ttl).
    ///
    /// # Errors
    /// As [`TcpStream::set_ttl`](crate::TcpStream::set_ttl).
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

    /// As [`TcpStream::set_tos`](crate::TcpStream::set_tos).
    ///
    /// # Errors
    /// As [`TcpStream::set_tos`](crate::TcpStream::set_tos).
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

    /// As [`TcpStream::tos`](crate::TcpStream::tos).
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

    /// As [`TcpStream::set_user_timeout`](crate::TcpStream::set_user_timeout); it holds for the handshake too.
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

    /// As [`TcpStream::user_timeout`](crate::TcpStream::user_timeout).
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

    /// As [`TcpStream::set_notsent_lowat`](crate::TcpStream::set_notsent_lowat).
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

    /// As [`TcpStream::notsent_lowat`](crate::TcpStream::notsent_lowat).
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

    /// Chooses how much may be in flight; each connection starts from a copy of this controller. A socket begins with
    /// the stack's ([`ConnectionConfig::congestion`]); none is [`Cubic`](crate::congestion::Cubic).
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
}
