//! A listener as the application sees it.

use crate::error::{Failure, not_connected};
use crate::kernel::Popped;
use crate::shared::{Handle, Listening, contain};
use crate::stream::options::hop_limit;
use crate::{Stack, TcpStream};
use carrick_core::{ConnectionConfig, ListenAddr, ListenConfig};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::net::{ToSocketAddrs, lookup_host};
use tokio::task::coop::{consume_budget, poll_proceed};

/// How many connections wait to be accepted unless the caller says otherwise.
const BACKLOG: u32 = 1024;

/// Accepts connections to one of a stack's addresses and ports.
///
/// From the moment [`bind`](Self::bind) returns no SYN to it is refused. Dropping it resets the connections
/// that nobody has accepted.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, client) = stacks()?;
/// use carrick::TcpListener;
///
/// let listener = TcpListener::bind(&server, "192.0.2.1:7").await?;
/// # let mut guest = carrick::TcpStream::connect(&client, "192.0.2.1:7").await?;
/// # tokio::io::AsyncWriteExt::write_all(&mut guest, b"hi").await?;
/// loop {
///     let (mut stream, _peer) = listener.accept().await?;
///     tokio::spawn(async move {
///         let (mut from, mut to) = stream.split();
///         tokio::io::copy(&mut from, &mut to).await // all that is said is said again
///     });
///     # break;
/// }
/// # tokio::io::AsyncReadExt::read_exact(&mut guest, &mut [0; 2]).await?;
/// # Ok(())
/// # }
/// ```
pub struct TcpListener {
    listening: Arc<Listening>,
    stack: Handle,
}

impl TcpListener {
    /// Listens on an address; the first that works if there are several. An unspecified address (`0.0.0.0` or
    /// `::`) means any of the stack's, of both families; port 0 means any free one. Up to 1,024 connections
    /// wait to be accepted.
    ///
    /// # Cancel safety
    /// A future that is dropped has not begun to listen.
    ///
    /// # Errors
    /// What the resolver said, or the last address's: [`AddrInUse`](io::ErrorKind::AddrInUse),
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if it is not one of the stack's addresses,
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the stack has ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpListener;
    /// use std::io::ErrorKind;
    ///
    /// let listener = TcpListener::bind(&server, "192.0.2.1:80").await?;
    /// let any = TcpListener::bind(&server, "0.0.0.0:0").await?; // any of the stack's addresses, any free port
    /// assert_ne!(any.local_addr()?.port(), 0);
    ///
    /// let taken = TcpListener::bind(&server, "192.0.2.1:80").await;
    /// assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bind<A: ToSocketAddrs>(stack: &Stack, addr: A) -> io::Result<Self> {
        Self::bind_with_backlog(stack, addr, BACKLOG).await
    }

    /// As [`bind`](Self::bind), with room for `backlog` connections (at least one) that nobody has accepted
    /// yet; what comes beyond waits on the peer's side.
    ///
    /// # Cancel safety
    /// As [`bind`](Self::bind).
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpListener;
    ///
    /// // Beyond 16 that nobody has accepted, clients ask again later.
    /// let listener = TcpListener::bind_with_backlog(&server, ("192.0.2.1", 80), 16).await?;
    /// # drop(listener);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bind_with_backlog<A: ToSocketAddrs>(
        stack: &Stack,
        addr: A,
        backlog: u32,
    ) -> io::Result<Self> {
        let connection = ConnectionConfig::clone(&stack.handle().connection_config);
        let config = ListenConfig { backlog, connection, ..ListenConfig::default() };
        let mut last = None;
        for addr in lookup_host(addr).await? {
            match stack.handle().listen(addr, &config, None) {
                Ok(listening) => return Ok(Self::new(listening, stack.handle())),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on")))
    }

    /// Listens on any address or any port or both, whichever of `local` is none. The connection's
    /// [`local_addr`](TcpStream::local_addr) says which the peer meant. Of several listeners the most exact gets it:
    /// address and port, any port of an address, a port of any address, both.
    ///
    /// With [`StackBuilder::any_address`](crate::StackBuilder::any_address) any address is any that packets come for,
    /// as on a gateway that ends other hosts' connections; without it, any of the stack's own.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use carrick::device::memory::{MemoryConfig, pair};
    /// use carrick::{ListenAddr, Stack, TcpListener, TcpStream};
    ///
    /// let (left, right) = pair(MemoryConfig::default());
    /// let gateway = Stack::builder().address("192.0.2.1/24".parse().unwrap()).any_address(true).device(left).build()?;
    /// let client = Stack::builder().address("192.0.2.2/24".parse().unwrap()).device(right).build()?;
    ///
    /// let listener = TcpListener::bind_any(&gateway, ListenAddr { address: None, port: None })?;
    /// let (accepted, _stream) =
    ///     tokio::join!(listener.accept(), TcpStream::connect(&client, "203.0.113.7:443"));
    /// let (stream, _peer) = accepted?;
    /// assert_eq!(stream.local_addr()?, "203.0.113.7:443".parse().unwrap());
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind_any(stack: &Stack, local: ListenAddr) -> io::Result<Self> {
        let connection = ConnectionConfig::clone(&stack.handle().connection_config);
        let config = ListenConfig { backlog: BACKLOG, connection, ..ListenConfig::default() };
        Ok(Self::new(stack.handle().listen_any(local, config)?, stack.handle()))
    }

    pub(crate) fn new(listening: Arc<Listening>, stack: &Handle) -> Self {
        Self { listening, stack: stack.clone() }
    }

    /// Waits for a connection. Any number of tasks may wait.
    ///
    /// # Cancel safety
    /// A future that is dropped takes no connection with it.
    ///
    /// # Errors
    /// Why the stack has failed or ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpListener;
    ///
    /// let listener = TcpListener::bind(&server, "192.0.2.1:80").await?;
    /// # let _stream = carrick::TcpStream::connect(&client, "192.0.2.1:80").await?;
    /// let (stream, peer) = listener.accept().await?;
    /// println!("{peer} asks {}", stream.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        consume_budget().await;
        loop {
            let mut pushed = std::pin::pin!(self.listening.notify.notified());
            pushed.as_mut().enable();
            match self.take(None) {
                Poll::Ready(result) => return result,
                Poll::Pending => pushed.await,
            }
        }
    }

    /// As [`accept`](Self::accept); only the waker of the latest call is kept.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::{TcpListener, TcpStream};
    /// use std::future::poll_fn;
    ///
    /// let listener = TcpListener::bind(&server, "192.0.2.1:80").await?;
    /// let _stream = TcpStream::connect(&client, "192.0.2.1:80").await?;
    /// let (_stream, peer) = poll_fn(|cx| listener.poll_accept(cx)).await?;
    /// assert_eq!(peer.ip(), std::net::Ipv4Addr::new(192, 0, 2, 2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let coop = ready!(poll_proceed(cx));
        let result = ready!(self.take(Some(cx.waker())));
        coop.made_progress();
        Poll::Ready(result)
    }

    fn take(&self, waker: Option<&Waker>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            let (cell, more) = match self.listening.queue.pop(waker) {
                Popped::Item(cell, more) => (cell, more),
                Popped::Empty => return Poll::Pending,
                Popped::Closed => {
                    let failure = self.stack.failure().unwrap_or(&Failure::Ended);
                    return Poll::Ready(Err(failure.to_io()));
                }
            };
            if more {
                // One notification may stand for several connections.
                contain(|| self.listening.notify.notify_one());
            }
            self.stack.accepted(&self.listening);
            let stream = TcpStream::new(cell, self.stack.clone());
            // A connection that broke so badly that it has no address any more is dropped here.
            if let Ok(peer) = stream.peer_addr() {
                return Poll::Ready(Ok((stream, peer)));
            }
        }
    }

    /// The address and port it listens on.
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
    /// use carrick::TcpListener;
    ///
    /// let listener = TcpListener::bind(&server, "192.0.2.1:0").await?;
    /// println!("listening on {}", listener.local_addr()?); // the port that was free
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.listening.local_addr)
    }

    /// The time to live (hop limit) of connections that are accepted from now on, 1 to 255.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the stack is being shut down.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// let listener = carrick::TcpListener::bind(&server, "192.0.2.1:80").await?;
    /// assert_eq!(listener.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        let cx = self.stack.cx(self.stack.now());
        let hop_limit = self.stack.net(&cx).endpoint.listener_hop_limit(self.listening.id);
        hop_limit.map(u32::from).ok_or_else(not_connected)
    }

    /// Sets the time to live (hop limit) of connections that are accepted from now on, 1 to 255, from their handshakes
    /// on.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for another number.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::TcpListener;
    ///
    /// let listener = TcpListener::bind(&server, "192.0.2.1:179").await?;
    /// listener.set_ttl(255)?; // as the peers of a router expect (RFC 5082)
    /// assert_eq!(listener.ttl()?, 255);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = hop_limit(ttl)?;
        let cx = self.stack.cx(self.stack.now());
        self.stack.net(&cx).endpoint.set_listener_hop_limit(self.listening.id, hop_limit);
        Ok(())
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.stack.unlisten(&self.listening);
    }
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpListener").field("local_addr", &self.listening.local_addr).finish_non_exhaustive()
    }
}
