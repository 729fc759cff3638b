//! A listener as the application sees it.

use crate::error::Failure;
use crate::kernel::Popped;
use crate::shared::{Handle, Listening, contain};
use crate::{Stack, TcpStream};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::net::{ToSocketAddrs, lookup_host};

/// How many connections wait to be accepted unless the caller says otherwise.
const BACKLOG: u32 = 1024;

/// Accepts connections to one of a stack's addresses and ports.
///
/// From the moment [`bind`](Self::bind) returns no SYN to it is refused. Dropping it resets the connections
/// that nobody has accepted.
pub struct TcpListener {
    listening: Arc<Listening>,
    stack: Handle,
}

impl TcpListener {
    /// Listens on an address; the first that works if there are several. An unspecified address (`0.0.0.0` or
    /// `::`) means any of the stack's, of both families; port 0 means any free one. Up to 1,024 connections
    /// wait to be accepted.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse), [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if it
    /// is not one of the stack's addresses, [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the stack has ended.
    pub async fn bind<A: ToSocketAddrs>(stack: &Stack, addr: A) -> io::Result<Self> {
        Self::bind_with_backlog(stack, addr, BACKLOG).await
    }

    /// As [`bind`](Self::bind), with room for `backlog` connections (at least one) that nobody has accepted
    /// yet; what comes beyond waits on the peer's side.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_with_backlog<A: ToSocketAddrs>(
        stack: &Stack,
        addr: A,
        backlog: u32,
    ) -> io::Result<Self> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            match stack.handle().listen(addr, backlog) {
                Ok(listening) => return Ok(Self { listening, stack: stack.handle().clone() }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on")))
    }

    /// Waits for a connection. Any number of tasks may wait; a future that is dropped takes no connection
    /// with it.
    ///
    /// # Errors
    /// Why the stack has failed or ended.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
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
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.take(Some(cx.waker()))
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
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.listening.local_addr)
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
