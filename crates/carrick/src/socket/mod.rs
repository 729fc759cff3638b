//! A socket that is not yet a listener or a stream.

mod options;

use crate::request::{RequestListener, holding};
use crate::shared::{Handle, Listening};
use crate::{Stack, TcpListener, TcpStream};
use carrick_core::{ConnectionConfig, ListenAddr, ListenConfig};
use parking_lot::Mutex;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

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
    /// not the stack's. [`InvalidInput`](io::ErrorKind::InvalidInput) if it is of the other family, or the socket is
    /// bound already. Why the stack has failed or ended.
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
