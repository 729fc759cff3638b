//! Requests for connections, which the application decides about before the peer hears anything.

use crate::error::{Failure, io_error};
use crate::held::{Held, Outcome};
use crate::kernel::Popped;
use crate::shared::{Handle, Listening, contain};
use crate::{Stack, TcpStream};
use carrick_core::{
    Connection, ConnectionConfig, ConnectionError, ListenAddr, ListenConfig, Refusal, SynOffer,
};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{ToSocketAddrs, lookup_host};
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

/// How many requests are held unless the caller says otherwise.
const LIMIT: u32 = 1024;

/// Holds each request for a connection, a SYN, until the application has decided about it: a peer whose request is
/// refused never saw an open port.
///
/// This is what a proxy wants that dials before it answers: whoever asks for a target that is dead hears "connection
/// refused", and not of a connection that opens and closes.
///
/// It holds up to 1,024 requests, see [`set_limit`](Self::set_limit); what comes beyond waits on the peer's side, for
/// its next SYN. There are no SYN cookies here: who floods it with SYNs keeps others waiting. A peer that repeats its
/// SYN makes no second request. Dropping the listener resets all that it holds, also what the application has been
/// given and has not accepted.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # async fn dial(target: std::net::SocketAddr) -> std::io::Result<()> {
/// #     if target.port() == 443 { Ok(()) } else { Err(std::io::ErrorKind::ConnectionRefused.into()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use carrick::device::memory::{MemoryConfig, pair};
/// use carrick::{ListenAddr, Refusal, RequestListener, Stack, TcpStream};
///
/// let (left, right) = pair(MemoryConfig::default());
/// let gateway = Stack::builder().address("192.0.2.1/24".parse().unwrap()).any_address(true).device(left).build()?;
/// let client = Stack::builder().address("192.0.2.2/24".parse().unwrap()).device(right).build()?;
///
/// let listener = RequestListener::bind_any(&gateway, ListenAddr { address: None, port: None })?;
/// tokio::spawn(async move {
///     while let Ok(request) = listener.accept_request().await {
///         tokio::spawn(async move {
///             match dial(request.local_addr()).await {
///                 Ok(_upstream) => request.accept().await.map(|_stream| ()), // copy both ways
///                 Err(_) => Ok(request.reject(Refusal::Reset)),
///             }
///         });
///     }
/// });
///
/// assert!(TcpStream::connect(&client, "203.0.113.7:443").await.is_ok());
/// let error = TcpStream::connect(&client, "203.0.113.7:80").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
/// # Ok(())
/// # }
/// ```
pub struct RequestListener {
    listening: Arc<Listening>,
    stack: Handle,
}

impl RequestListener {
    /// Listens on an address, as [`TcpListener::bind`](crate::TcpListener::bind).
    ///
    /// # Cancel safety
    /// A future that is dropped has not begun to listen.
    ///
    /// # Errors
    /// As [`TcpListener::bind`](crate::TcpListener::bind).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// # let _client = client;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:0").await?;
    /// assert_ne!(listener.local_addr()?.port(), 0, "one that was free");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bind<A: ToSocketAddrs>(stack: &Stack, addr: A) -> io::Result<Self> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            match stack.handle().listen(addr, &config(stack), None) {
                Ok(listening) => return Ok(Self::new(listening, stack.handle())),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on")))
    }

    /// Listens on any address or any port or both, as [`TcpListener::bind_any`](crate::TcpListener::bind_any).
    ///
    /// # Errors
    /// As [`TcpListener::bind_any`](crate::TcpListener::bind_any).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::{ListenAddr, RequestListener};
    ///
    /// // Any port of any of the stack's addresses.
    /// let listener = RequestListener::bind_any(&server, ListenAddr { address: None, port: None })?;
    /// # tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:4711").await });
    /// let request = listener.accept_request().await?;
    /// assert_eq!(request.local_addr().port(), 4711);
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind_any(stack: &Stack, local: ListenAddr) -> io::Result<Self> {
        Ok(Self::new(stack.handle().listen_any(local, config(stack))?, stack.handle()))
    }

    pub(crate) fn new(listening: Arc<Listening>, stack: &Handle) -> Self {
        Self { listening, stack: stack.clone() }
    }

    /// Waits for a request. Any number of tasks may wait. One whose peer has given up meanwhile is not given out.
    ///
    /// # Cancel safety
    /// A future that is dropped takes no request with it.
    ///
    /// # Errors
    /// Why the stack has failed or ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// # let connecting = tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:80").await });
    /// let request = listener.accept_request().await?;
    /// assert_eq!(request.local_addr(), listener.local_addr()?);
    /// assert!(request.accept().await.is_ok());
    /// # connecting.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accept_request(&self) -> io::Result<Request> {
        consume_budget().await;
        let Some(requests) = &self.listening.requests else { return Err(Failure::Ended.to_io()) };
        loop {
            let mut pushed = std::pin::pin!(self.listening.notify.notified());
            pushed.as_mut().enable();
            match requests.pop() {
                Popped::Item(held, more) => {
                    if more {
                        // One notification may stand for several requests.
                        contain(|| self.listening.notify.notify_one());
                    }
                    let (listening, stack) = (Arc::clone(&self.listening), self.stack.clone());
                    return Ok(Request { held, listening, stack, decided: false });
                }
                Popped::Empty => pushed.await,
                Popped::Closed => return Err(self.stack.failure().unwrap_or(&Failure::Ended).to_io()),
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
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// # let _client = client;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// assert_eq!(listener.local_addr()?.to_string(), "192.0.2.1:80");
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.listening.local_addr)
    }

    /// Sets how many requests are held at once, at least 1: those that nobody has decided about, and those accepted
    /// whose handshake is not complete. Default 1,024. None that is held already is dropped for it. All handshakes of
    /// the stack together are bounded too, by [`EndpointConfig::max_half_open`](crate::EndpointConfig::max_half_open).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// # let _client = client;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// listener.set_limit(16); // as many as are dialled for at once
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_limit(&self, most: u32) {
        let cx = self.stack.cx(self.stack.now());
        self.stack.net(&cx).endpoint.set_listener_max_half_open(self.listening.id, most);
    }
}

fn config(stack: &Stack) -> ListenConfig {
    holding(ConnectionConfig::clone(&stack.handle().connection_config), LIMIT)
}

/// Settings of a listener that holds requests.
pub(crate) fn holding(connection: ConnectionConfig, limit: u32) -> ListenConfig {
    ListenConfig { backlog: limit, max_half_open: limit, park: true, connection }
}

impl Drop for RequestListener {
    fn drop(&mut self) {
        self.stack.unlisten(&self.listening);
    }
}

impl std::fmt::Debug for RequestListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestListener")
            .field("local_addr", &self.listening.local_addr)
            .finish_non_exhaustive()
    }
}

/// A request for a connection, from [`RequestListener::accept_request`]. The peer has heard nothing yet.
///
/// Dropping it is to reject it with a reset. It keeps its stack running.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, client) = stacks()?;
/// # let listener = carrick::RequestListener::bind(&server, "192.0.2.1:80").await?;
/// # let connecting = tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:80").await });
/// let request = listener.accept_request().await?;
/// println!("{} asks for {}", request.peer_addr(), request.local_addr());
/// let stream = request.accept().await?;
/// # drop(stream);
/// # connecting.await??;
/// # Ok(())
/// # }
/// ```
pub struct Request {
    held: Arc<Held>,
    listening: Arc<Listening>,
    stack: Handle,
    decided: bool,
}

impl Request {
    /// The address and port that the peer wants to reach: on a gateway, the original destination.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// # let connecting = tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:80").await });
    /// let request = listener.accept_request().await?;
    /// assert_eq!(request.local_addr().to_string(), "192.0.2.1:80");
    /// # connecting.abort();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.held.syn.tuple.local_addr()
    }

    /// The peer's address and port.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// # let connecting = tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:80").await });
    /// let request = listener.accept_request().await?;
    /// assert_eq!(request.peer_addr().ip().to_string(), "192.0.2.2");
    /// # connecting.abort();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.held.syn.tuple.remote_addr()
    }

    /// What the SYN offers, as far as the listener's settings agree to it. A SYN that comes again without an option
    /// takes that back, which is not seen here.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// # let connecting = tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:80").await });
    /// let request = listener.accept_request().await?;
    /// assert!(request.offer().sack && request.offer().timestamps);
    /// # connecting.abort();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn offer(&self) -> SynOffer {
        self.held.syn.offer
    }

    /// Until when it can be decided about: [`StackBuilder::request_timeout`](crate::StackBuilder::request_timeout)
    /// after its SYN came. After that it is forgotten without a word, and the peer's next SYN is another request. None
    /// if that is too far off ever to come.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// # let connecting = tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:80").await });
    /// let request = listener.accept_request().await?;
    /// use tokio::time::{Duration, Instant};
    ///
    /// // In time to say no before the request is forgotten.
    /// let dial_until = request.deadline().map(|deadline| deadline - Duration::from_secs(1));
    /// assert!(dial_until > Some(Instant::now()));
    /// # connecting.abort();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.stack.tokio_instant(self.held.syn.until)
    }

    /// Waits until there is nothing to decide about any more: the peer has given up, the deadline has passed, or the
    /// listener or the stack has ended. Often a peer that gives up does so silently.
    ///
    /// # Cancel safety
    /// Yes; it can be waited for any number of times.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # async fn dial(target: std::net::SocketAddr) { std::future::pending().await }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// # tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:80").await });
    /// let request = listener.accept_request().await?;
    /// tokio::select! {
    ///     upstream = dial(request.local_addr()) => { /* accept, or reject */ }
    ///     () = request.gone() => println!("nobody waits any more"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn gone(&self) {
        self.held.changed().await;
    }

    /// Accepts: the peer gets its SYN,ACK, and the connection is there when the peer has answered that.
    ///
    /// Decide fast: a peer that has repeated its SYN, which most do after a second, takes its path for a bad one, and
    /// begins as slowly as after a loss.
    ///
    /// # Cancel safety
    /// Dropping the future resets the connection.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the deadline has passed, or if the peer does not answer (after 63 s
    /// with the default settings); [`ConnectionReset`](io::ErrorKind::ConnectionReset) if the peer has given up, or if
    /// its address has as many connections as it may ([`max_per_source`](crate::EndpointConfig::max_per_source)) when
    /// it answers;
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if an ICMP error says that nobody takes the SYN,ACK;
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory) if there is no room for the connection;
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) if the listener was dropped; why the stack has failed or
    /// ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::RequestListener;
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// # let connecting = tokio::spawn(async move { carrick::TcpStream::connect(&client, "192.0.2.1:80").await });
    /// let request = listener.accept_request().await?;
    /// # let upstream_answers = true;
    /// if upstream_answers {
    ///     let stream = request.accept().await?;
    ///     assert_eq!(stream.local_addr()?.to_string(), "192.0.2.1:80");
    /// }
    /// # connecting.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accept(mut self) -> io::Result<TcpStream> {
        let cx = self.stack.cx(self.stack.now());
        let (told, _) = self.stack.with_net(&cx, |net| {
            // If it is not there any more, it has an outcome, which says why.
            net.endpoint.accept_parked(&cx, self.held.syn.id);
            net.tell_requests()
        });
        told.wake();
        // The SYN,ACK is due from the endpoint.
        self.stack.signal.raise();
        self.held.changed().await;
        self.decided = true;
        match self.held.take() {
            Some(Outcome::Opened(cell)) => Ok(TcpStream::new(cell, self.stack.clone())),
            Some(Outcome::Ended(why)) => Err(io_error(why)),
            Some(Outcome::Closed) | None => {
                Err(self.stack.check().err().unwrap_or_else(|| io_error(ConnectionError::Aborted)))
            }
        }
    }

    /// Rejects: the peer gets a reset, or an ICMP error, or nothing. A request that is gone cannot be rejected; then
    /// nothing happens.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// use carrick::{Refusal, RequestListener, TcpStream};
    ///
    /// let listener = RequestListener::bind(&server, "192.0.2.1:80").await?;
    /// let connecting = tokio::spawn(async move { TcpStream::connect(&client, "192.0.2.1:80").await });
    /// listener.accept_request().await?.reject(Refusal::Reset);
    /// assert_eq!(connecting.await?.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reject(mut self, how: Refusal) {
        self.turn_away(how);
    }

    fn turn_away(&mut self, how: Refusal) {
        self.decided = true;
        let cx = self.stack.cx(self.stack.now());
        let syn = &self.held.syn;
        let (refused, _) = self.stack.with_net(&cx, |net| net.endpoint.refuse_parked(&cx, syn.id, how));
        if let Some(requests) = &self.listening.requests {
            requests.remove(syn);
        }
        // Accepted, and the future dropped when the handshake was complete.
        if let Some(Outcome::Opened(cell)) = self.held.take() {
            self.stack.release(&cell, Connection::abort);
        }
        if refused {
            self.stack.signal.raise();
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.decided {
            self.turn_away(Refusal::Reset);
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("local_addr", &self.local_addr())
            .field("peer_addr", &self.peer_addr())
            .finish_non_exhaustive()
    }
}
