//! A connection as the application sees it.

mod buffered;
mod half;
pub(crate) mod options;
mod owned;
mod readiness;
mod split;

pub use buffered::BufferedReadHalf;
pub use owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use split::{ReadHalf, WriteHalf};

use crate::Stack;
use crate::capture::Capture;
use crate::cell::{Cell, State, register};
use crate::error::{io_error, not_connected};
use crate::shared::{Handle, is_over};
use carrick_core::{Connection, ConnectionConfig, Cx, SendError};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{ToSocketAddrs, lookup_host};
use tokio::task::coop::poll_proceed;
use tracing::Instrument;

/// A TCP connection between this stack and a peer.
///
/// It reads and writes like `tokio::net::TcpStream`: [`AsyncRead`] and [`AsyncWrite`], vectored writes
/// included. Written bytes are segmented and leave before `poll_write` returns, in the caller's task, as far
/// as the peer's window and the network allow; there is no further buffer, so flushing is immediate.
///
/// Dropping it closes both directions: what has been written is still delivered, followed by FIN, unless
/// received bytes have not been read; then the peer gets a reset, so that it learns that they were lost. A
/// stack lives in a process and dies with it: before the process ends, wait for [`closed`](Self::closed) or
/// [`Stack::shutdown`].
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (mut stream, mut peer) = connected().await?;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// stream.write_all(b"a question").await?;
/// # let mut asked = [0; 10];
/// # peer.read_exact(&mut asked).await?;
/// # peer.write_all(b"an answer").await?;
/// # drop(peer);
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer).await?;
/// assert_eq!(answer, "an answer");
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    cell: Arc<Cell>,
    stack: Handle,
}

impl TcpStream {
    pub(crate) fn new(cell: Arc<Cell>, stack: Handle) -> Self {
        Self { cell, stack }
    }

    /// Opens a connection. Names are resolved by the system's resolver, not through the stack; their
    /// addresses are tried in turn.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    ///
    /// # Errors
    /// What the resolver said, or the last address's: [`ConnectionRefused`](io::ErrorKind::ConnectionRefused),
    /// [`TimedOut`](io::ErrorKind::TimedOut), [`HostUnreachable`](io::ErrorKind::HostUnreachable) and so on
    /// for an attempt that failed, where nobody answered because the device took nothing what
    /// [`Stack::device_status`] says instead of `TimedOut` ([`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable)),
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an address that nobody can
    /// connect to, [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the stack has no address of that
    /// family, [`AddrInUse`](io::ErrorKind::AddrInUse) if no local port is free,
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory) at the stack's limits,
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) if [`Stack::shutdown`] comes during the attempt, and
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the stack has ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = stacks()?;
    /// # let _listener = carrick::TcpListener::bind(&server, "192.0.2.1:80").await?;
    /// use carrick::TcpStream;
    ///
    /// let stream = TcpStream::connect(&client, ("192.0.2.1", 80)).await?;
    /// assert_eq!(stream.peer_addr()?.port(), 80);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<A: ToSocketAddrs>(stack: &Stack, addr: A) -> io::Result<Self> {
        Self::connect_with(stack.handle(), &stack.handle().connection_config, addr).await
    }

    pub(crate) async fn connect_with<A: ToSocketAddrs>(
        stack: &Handle,
        config: &Arc<ConnectionConfig>,
        addr: A,
    ) -> io::Result<Self> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            let attempt = match stack.connect(None, addr, Arc::clone(config), None) {
                Ok(cell) => Self::when_connected(cell, stack, addr).await,
                Err(error) => Err(error),
            };
            match attempt {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to")))
    }

    /// Waits until the attempt has succeeded; dropped before that, it ends the attempt.
    pub(crate) async fn when_connected(
        cell: Arc<Cell>,
        stack: &Handle,
        remote: SocketAddr,
    ) -> io::Result<Self> {
        let stream = Self::new(cell, stack.clone());
        let span = tracing::debug_span!(target: "carrick::connection", "connect", %remote);
        poll_fn(|cx| stream.poll_connected(cx)).instrument(span).await?;
        Ok(stream)
    }

    fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut replaced = None;
        let mut state = self.cell.lock();
        let result = match state.error(self.stack.failure()) {
            _ if state.connected => Poll::Ready(Ok(())),
            Some(error) => Poll::Ready(Err(error)),
            None => {
                replaced = register(&mut state.write_waker, cx);
                Poll::Pending
            }
        };
        drop(state);
        drop(replaced);
        // Nobody had a chance to answer.
        let why = |error: io::Error| match self.stack.outlet.outages.soft_error() {
            Some(outage) if error.kind() == io::ErrorKind::TimedOut => io_error(outage),
            _ => error,
        };
        result.map_err(why)
    }

    /// The address and port on the stack's side.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// let addr = stream.local_addr()?;
    /// assert_eq!(addr, peer.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.look(Connection::local_addr)
    }

    /// The peer's address and port.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// assert_eq!(stream.peer_addr()?, "192.0.2.1:7".parse().unwrap());
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.look(Connection::remote_addr)
    }

    fn look<R>(&self, f: impl FnOnce(&Connection) -> R) -> io::Result<R> {
        self.cell.lock().connection().map(f).ok_or_else(not_connected)
    }

    /// Waits until both sides have closed and the peer has acknowledged all that was written.
    ///
    /// It closes nothing itself: call `shutdown` first. May be awaited by any number of tasks.
    ///
    /// # Cancel safety
    /// Waiting changes nothing; it may be dropped and begun again.
    ///
    /// # Errors
    /// Why the connection ended, if not in that way.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// stream.write_all(b"goodbye").await?;
    /// stream.shutdown().await?;
    /// # let (mut read, mut write) = peer.split();
    /// # tokio::io::copy(&mut read, &mut write).await?;
    /// # drop(peer);
    /// # let _answer = stream.read_chunk(usize::MAX).await?;
    /// stream.closed().await?; // delivered to the last byte
    /// # Ok(())
    /// # }
    /// ```
    pub async fn closed(&self) -> io::Result<()> {
        self.wait(|state, _| match state.error(self.stack.failure()) {
            Some(error) => Poll::Ready(Err(error)),
            None if state.connection().is_none_or(is_over) => Poll::Ready(Ok(())),
            None => Poll::Pending,
        })
        .await
    }

    /// Writes every packet of this connection that comes or goes from now on to `writer`, as [`Stack::capture`] does.
    ///
    /// # Errors
    /// What the writer said to the beginning of the file; [`NotConnected`](io::ErrorKind::NotConnected) after an
    /// internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # let path = std::env::temp_dir().join(format!("carrick-stream-{}.pcapng", std::process::id()));
    /// use std::fs::File;
    /// use std::io::BufWriter;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let capture = stream.capture(BufWriter::new(File::create(&path)?))?;
    /// stream.write_all(b"hello").await?;
    /// let packets = capture.finish()?; // now Wireshark can open the file
    /// assert!(packets > 0);
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn capture(&self, writer: impl io::Write + Send + 'static) -> io::Result<Capture> {
        let ends = (self.local_addr()?, self.peer_addr()?);
        self.stack.outlet.captures.begin(Some(ends), Box::new(writer))
    }

    /// Splits into halves that borrow the stream.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let (mut read, mut write) = stream.split();
    /// let mut answer = [0; 2];
    /// tokio::try_join!(write.write_all(b"question"), async {
    ///     # peer.write_all(b"ok").await?;
    ///     read.read_exact(&mut answer).await
    /// })?;
    /// assert_eq!(&answer, b"ok");
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Splits into halves that can be moved to different tasks. Dropping the write half closes the sending
    /// direction; the connection is let go of when both are dropped.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (stream, _peer) = connected().await?;
    /// let (read, write) = stream.into_split();
    /// let reading = tokio::spawn(async move {
    ///     // ... read from it in a task of its own, then give it back
    ///     read
    /// });
    /// let stream = write.reunite(reading.await?).expect("two halves of one stream");
    /// # drop(stream);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        owned::split(self)
    }

    fn poll_read_shared(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let coop = ready!(poll_proceed(cx));
        let mut state = self.cell.lock();
        let readable = state.connection().is_some_and(|connection| connection.readable_len() > 0);
        // Bytes that came before an error are still the application's.
        let result = if readable {
            self.stack.enter_locked(&self.cell, state, |state, core_cx| {
                let took = self.take(state, core_cx, |connection, cx| move_into(connection, cx, buf));
                took.map_ok(|_| ())
            })
        } else {
            let result = self.nothing_received(&state);
            let replaced = if result.is_pending() { register(&mut state.read_waker, cx) } else { None };
            drop(state);
            drop(replaced);
            result
        };
        if result.is_ready() {
            coop.made_progress();
        }
        result
    }

    /// Lets `take` have what can be read; none at the end of the stream.
    fn take<R>(
        &self,
        state: &mut State,
        cx: &Cx,
        take: impl FnOnce(&mut Connection, &Cx) -> R,
    ) -> Poll<io::Result<Option<R>>> {
        if !ready!(self.received(state))? {
            return Poll::Ready(Ok(None));
        }
        match state.run(|connection| take(connection, cx)) {
            Some(taken) => Poll::Ready(Ok(Some(taken))),
            // It panicked, and has an error now.
            None => self.nothing_received(state).map_ok(|()| None),
        }
    }

    /// Whether there is something to read (true) or the end of the stream has come (false).
    fn received(&self, state: &State) -> Poll<io::Result<bool>> {
        // Bytes that came before an error are still the application's.
        if state.connection().is_some_and(|connection| connection.readable_len() > 0) {
            return Poll::Ready(Ok(true));
        }
        self.nothing_received(state).map_ok(|()| false)
    }

    /// What a reader is told whom no bytes wait for.
    fn nothing_received(&self, state: &State) -> Poll<io::Result<()>> {
        // The end of the stream comes before an error, once the peer has said it.
        if state.connection().is_some_and(Connection::at_end) {
            return Poll::Ready(Ok(()));
        }
        match state.error(self.stack.failure()) {
            Some(error) => Poll::Ready(Err(error)),
            // Over without an error and without the peer's FIN: this side let go first.
            None if state.connection().is_none_or(is_over) => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    fn poll_write_shared(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let coop = ready!(poll_proceed(cx));
        let (result, _replaced) = self.stack.enter(&self.cell, |state, core_cx| {
            let result = self.queue_bytes(state, core_cx, bufs);
            match result {
                Poll::Ready(_) => (result, None),
                Poll::Pending => (result, register(&mut state.write_waker, cx)),
            }
        });
        if result.is_ready() {
            coop.made_progress();
        }
        result
    }

    fn queue_bytes(&self, state: &mut State, cx: &Cx, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let refused = if state.ended.is_some() {
            None
        } else {
            let mut taken = 0;
            let result = state.run(|connection| {
                for buf in bufs {
                    let n = connection.send(cx, buf)?;
                    taken += n;
                    if n < buf.len() {
                        break;
                    }
                }
                Ok(())
            });
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            result.and_then(Result::err)
        };
        match (refused, state.error(self.stack.failure())) {
            (Some(SendError::Full), _) => Poll::Pending,
            (Some(error), _) => Poll::Ready(Err(io_error(error))),
            (None, Some(error)) => Poll::Ready(Err(error)),
            // No byte was taken and nobody says why.
            (None, None) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stack.enter(&self.cell, |state, cx| {
            if state.ended.is_none() {
                state.run(|connection| connection.finish(cx));
            }
            match state.ended {
                Some(_) => state.error(self.stack.failure()).map_or(Ok(()), Err),
                None => Ok(()),
            }
        })
    }

    #[cfg(test)]
    pub(crate) fn plant_panic(&self) {
        self.cell.lock().planted_panic = true;
    }
}

impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// Moves received bytes into `buf`.
fn move_into(connection: &mut Connection, cx: &Cx, buf: &mut ReadBuf<'_>) {
    let mut n = 0;
    for part in connection.readable() {
        let part = part.get(..buf.remaining()).unwrap_or(part);
        buf.put_slice(part);
        n += part.len();
        if buf.remaining() == 0 {
            break;
        }
    }
    connection.consume(cx, n);
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_read_shared(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_shared(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_shared(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.stack.release(&self.cell, Connection::close);
    }
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("TcpStream");
        if let Some(connection) = self.cell.lock().connection() {
            out.field("local_addr", &connection.local_addr())
                .field("peer_addr", &connection.remote_addr())
                .field("state", &connection.state());
        }
        out.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
