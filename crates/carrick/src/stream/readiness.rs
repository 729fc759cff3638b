//! Readiness, and what is done without waiting or by many at once.
//!
//! Nothing is cached: readiness is what the connection says under its lock, so that it is true when it is told. The
//! `poll_*` methods keep the waker of their latest caller, one for each direction, which [`AsyncRead`] and
//! [`AsyncWrite`] share; the async methods on `&self` may have any number of waiters.
//!
//! [`AsyncRead`]: tokio::io::AsyncRead
//! [`AsyncWrite`]: tokio::io::AsyncWrite

use super::TcpStream;
use crate::cell::{State, or_register};
use bytes::{BufMut, Bytes};
use carrick_core::{Connection, Cx};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{Interest, ReadBuf, Ready};
use tokio::sync::Notify;
use tokio::task::coop::{consume_budget, poll_proceed};

impl TcpStream {
    /// Waits until one of the things asked for is ready, and says which are. Any number of tasks may wait.
    ///
    /// Readable also means that the end of the stream or an error can be read; `is_read_closed`, that the peer sends no
    /// more; writable, that a write would not wait, be it that it fails; `is_write_closed`, that no more can be
    /// written; an error, that the connection ended with one; priority, that the peer has announced urgent text.
    ///
    /// # Cancel safety
    /// Waiting changes nothing; it may be dropped and begun again.
    ///
    /// # Errors
    /// None: what is wrong with the stream is said by the call that it is ready for. The result is for likeness with
    /// `tokio::net`.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (stream, mut peer) = connected().await?;
    /// use tokio::io::{AsyncWriteExt, Interest};
    ///
    /// let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_writable() && !ready.is_readable());
    ///
    /// peer.write_all(b"hi").await?;
    /// stream.readable().await?;
    /// let mut buf = [0; 16];
    /// assert_eq!(stream.try_read(&mut buf)?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        Ok(self.wait(|state, cx| self.poll_readiness(state, cx, interest)).await)
    }

    /// Waits until there is something to read, the end of the stream or an error included. Any number of tasks may
    /// wait.
    ///
    /// # Cancel safety
    /// As [`ready`](Self::ready).
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"hi").await?;
    /// use std::io::ErrorKind;
    ///
    /// let mut buf = [0; 1024];
    /// let n = loop {
    ///     stream.readable().await?;
    ///     match stream.try_read(&mut buf) {
    ///         // Another task was faster.
    ///         Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
    ///         result => break result?,
    ///     }
    /// };
    /// assert_eq!(&buf[..n], b"hi");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write would not have to wait: there is room, or it would fail. Any number of tasks may wait.
    ///
    /// # Cancel safety
    /// As [`ready`](Self::ready).
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// stream.writable().await?;
    /// assert_eq!(stream.try_write(b"hello")?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// As [`readable`](Self::readable); only the waker of the latest call that waits to read is kept, of this method,
    /// [`poll_peek`](Self::poll_peek) and `poll_read`.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"hi").await?;
    /// use std::future::poll_fn;
    ///
    /// poll_fn(|cx| stream.poll_read_ready(cx)).await?;
    /// assert_eq!(stream.try_read(&mut [0; 8])?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let coop = ready!(poll_proceed(cx));
        let (result, _replaced) = self.stack.enter(&self.cell, |state, _| {
            let result = self.received(state).map(drop);
            or_register(result, &mut state.read_waker, cx)
        });
        ready!(result);
        coop.made_progress();
        Poll::Ready(Ok(()))
    }

    /// As [`writable`](Self::writable); only the waker of the latest call that waits to write is kept, of this method
    /// and `poll_write`.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use std::future::poll_fn;
    ///
    /// poll_fn(|cx| stream.poll_write_ready(cx)).await?;
    /// assert_eq!(stream.try_write(b"hello")?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let coop = ready!(poll_proceed(cx));
        let (result, _replaced) = self.stack.enter(&self.cell, |state, core_cx| {
            let result = poll_room(state, core_cx);
            or_register(result, &mut state.write_waker, cx)
        });
        ready!(result);
        coop.made_progress();
        Poll::Ready(Ok(()))
    }

    fn poll_readiness(&self, state: &mut State, cx: &Cx, interest: Interest) -> Poll<Ready> {
        let mut ready = Ready::EMPTY;
        let read_closed = state.ended.is_some() || state.connection().is_none_or(Connection::receive_closed);
        if interest.is_readable() {
            if self.received(state).is_ready() {
                ready |= Ready::READABLE;
            }
            if read_closed {
                ready |= Ready::READ_CLOSED;
            }
        }
        if interest.is_writable() {
            if poll_room(state, cx).is_ready() {
                ready |= Ready::WRITABLE;
            }
            if state.ended.is_some() || state.connection().is_none_or(Connection::send_closed) {
                ready |= Ready::WRITE_CLOSED;
            }
        }
        if interest.is_error() && state.error(self.stack.failure()).is_some() {
            ready |= Ready::ERROR;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if interest.is_priority() {
            if state.connection().is_some_and(|connection| connection.urgent_len().is_some()) {
                ready |= Ready::PRIORITY;
            }
            if read_closed {
                ready |= Ready::READ_CLOSED;
            }
        }
        if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
    }

    /// Waits until `look` finds what it looks for. It is asked again after whatever happens to the connection.
    pub(super) async fn wait<R>(&self, mut look: impl FnMut(&mut State, &Cx) -> Poll<R>) -> R {
        consume_budget().await;
        // Most often there is no need to wait, or for what waiting takes.
        if let Poll::Ready(found) = self.stack.enter(&self.cell, &mut look) {
            return found;
        }
        let watchers = self.watchers();
        loop {
            // Told of all that happens from here on.
            let changed = watchers.notified();
            if let Poll::Ready(found) = self.stack.enter(&self.cell, &mut look) {
                return found;
            }
            changed.await;
        }
    }

    fn watchers(&self) -> Arc<Notify> {
        let mut state = self.cell.lock();
        Arc::clone(state.watchers.get_or_insert_with(|| Arc::new(Notify::new())))
    }

    /// Reads what is there, without waiting; 0 is the end of the stream (or an empty buffer).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there now; else why the connection ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use std::io::ErrorKind;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let mut buf = [0; 8];
    /// assert_eq!(stream.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    ///
    /// peer.write_all(b"hi").await?;
    /// stream.readable().await?;
    /// assert_eq!(stream.try_read(&mut buf)?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_read_vectored(&mut [IoSliceMut::new(buf)])
    }

    /// As [`try_read`](Self::try_read), into several buffers in turn.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"headbody").await?;
    /// use std::io::IoSliceMut;
    ///
    /// stream.readable().await?;
    /// let (mut head, mut body) = ([0; 4], [0; 16]);
    /// let n = stream.try_read_vectored(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)])?;
    /// assert_eq!((n, &head, &body[..4]), (8, b"head", &b"body"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        let n = self.try_take(|connection, cx| {
            let n = copy_out(connection.readable(), bufs);
            connection.consume(cx, n);
            n
        });
        n.map(Option::unwrap_or_default)
    }

    /// As [`try_read`](Self::try_read), to the end of `buf`, as much as it has room for without growing.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"more").await?;
    /// let mut buf = Vec::with_capacity(64);
    /// stream.readable().await?;
    /// assert_eq!(stream.try_read_buf(&mut buf)?, 4);
    /// assert_eq!(buf, b"more");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        // A vector without room makes some now.
        let room = buf.chunk_mut().len();
        if room == 0 {
            return Ok(0);
        }
        let chunks = self.try_take(|connection, cx| {
            let mut left = room;
            let next = || connection.take_chunk(cx, left).inspect(|chunk| left -= chunk.len());
            iter::from_fn(next).collect::<Vec<_>>()
        })?;
        // The caller's buffer is the caller's code, and runs under no lock of ours.
        let chunks = chunks.unwrap_or_default();
        chunks.iter().for_each(|chunk| buf.put_slice(chunk));
        Ok(chunks.iter().map(Bytes::len).sum())
    }

    /// Takes up to `max` bytes of what has been received, as the buffer that they lie in, without copying and without
    /// waiting; none at the end of the stream. A buffer pins up to 64 KiB of memory, which is the caller's from here on
    /// and no longer counted against the stack's limit.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"in one piece").await?;
    /// stream.readable().await?;
    /// let chunk = stream.try_read_chunk(usize::MAX)?.unwrap();
    /// assert_eq!(&chunk[..], b"in one piece");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_read_chunk(&self, max: usize) -> io::Result<Option<Bytes>> {
        if max == 0 {
            return Ok(Some(Bytes::new()));
        }
        self.try_take(|connection, cx| connection.take_chunk(cx, max)).map(Option::flatten)
    }

    /// Waits for something to read, and takes up to `max` bytes of it as
    /// [`try_read_chunk`](Self::try_read_chunk) does; none at the end of the stream.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing.
    ///
    /// # Errors
    /// Why the connection ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # use tokio::io::AsyncWriteExt;
    /// peer.write_all(b"in one piece").await?;
    /// peer.shutdown().await?;
    /// while let Some(chunk) = stream.read_chunk(usize::MAX).await? {
    ///     assert_eq!(&chunk[..], b"in one piece");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_chunk(&mut self, max: usize) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_read_chunk(cx, max)).await
    }

    pub(super) fn poll_read_chunk(
        &self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<io::Result<Option<Bytes>>> {
        if max == 0 {
            return Poll::Ready(Ok(Some(Bytes::new())));
        }
        let coop = ready!(poll_proceed(cx));
        let (result, _replaced) = self.stack.enter(&self.cell, |state, core_cx| {
            let result = self.take(state, core_cx, |connection, cx| connection.take_chunk(cx, max));
            or_register(result, &mut state.read_waker, cx)
        });
        let chunk = ready!(result);
        coop.made_progress();
        Poll::Ready(chunk.map(Option::flatten))
    }

    fn try_take<R>(&self, take: impl FnOnce(&mut Connection, &Cx) -> R) -> io::Result<Option<R>> {
        or_would_block(self.stack.enter(&self.cell, |state, cx| self.take(state, cx, take)))
    }

    /// Writes as much as there is room for, without waiting, and says how much that was.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room now, [`BrokenPipe`](io::ErrorKind::BrokenPipe)
    /// after this side's shutdown; else why the connection ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (stream, _peer) = connected().await?;
    /// // Any number of tasks may do this on one stream.
    /// stream.writable().await?;
    /// match stream.try_write(b"as much as fits") {
    ///     Ok(n) => println!("{n} bytes"),
    ///     Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => println!("another task was faster"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(buf)])
    }

    /// As [`try_write`](Self::try_write), from several buffers in turn.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use std::io::IoSlice;
    ///
    /// let n = stream.try_write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")])?;
    /// assert_eq!(n, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        or_would_block(self.stack.enter(&self.cell, |state, cx| self.queue_bytes(state, cx, bufs)))
    }

    /// Copies what is there to read and leaves it there, waiting for it first if need be; 0 is the end of the stream.
    /// Any number of tasks may wait.
    ///
    /// # Cancel safety
    /// A future that is dropped has not touched `buf`.
    ///
    /// # Errors
    /// Why the connection ended.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # peer.write_all(b"GET / HTTP/1.1").await?;
    /// let mut first = [0; 3];
    /// stream.peek(&mut first).await?;
    /// assert_eq!(&first, b"GET"); // it is still there to be read
    /// # let mut again = [0; 3];
    /// # stream.read_exact(&mut again).await?;
    /// # assert_eq!(again, first);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait(|state, _| self.poll_look(state, &mut [IoSliceMut::new(buf)])).await
    }

    /// As [`peek`](Self::peek), into what `buf` has not filled yet; only the waker of the latest call that waits to
    /// read is kept, of this method, [`poll_read_ready`](Self::poll_read_ready) and `poll_read`.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"GET").await?;
    /// use std::future::poll_fn;
    /// use tokio::io::ReadBuf;
    ///
    /// let mut first = [0; 3];
    /// let mut buf = ReadBuf::new(&mut first);
    /// assert_eq!(poll_fn(|cx| stream.poll_peek(cx, &mut buf)).await?, 3);
    /// assert_eq!(buf.filled(), b"GET");
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let coop = ready!(poll_proceed(cx));
        let (result, _replaced) = self.stack.enter(&self.cell, |state, _| {
            let result = self.received(state).map_ok(|there| {
                let connection = state.connection().filter(|_| there);
                let before = buf.remaining();
                for part in connection.into_iter().flat_map(Connection::readable) {
                    buf.put_slice(part.get(..buf.remaining()).unwrap_or(part));
                }
                before - buf.remaining()
            });
            or_register(result, &mut state.read_waker, cx)
        });
        let result = ready!(result);
        coop.made_progress();
        Poll::Ready(result)
    }

    fn poll_look(&self, state: &State, bufs: &mut [IoSliceMut<'_>]) -> Poll<io::Result<usize>> {
        let there = ready!(self.received(state))?;
        let connection = state.connection().filter(|_| there);
        Poll::Ready(Ok(connection.map_or(0, |connection| copy_out(connection.readable(), bufs))))
    }

    /// Calls `f` if the stream is ready for what is asked.
    ///
    /// There is no readiness to be cleared here, so `f` may use this stream's own `try_` methods.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if it is not ready; else what `f` says.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use std::io::ErrorKind;
    /// use tokio::io::Interest;
    ///
    /// let mut buf = [0; 8];
    /// let result = stream.try_io(Interest::READABLE, || stream.try_read(&mut buf));
    /// assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let ready = self.stack.enter(&self.cell, |state, cx| self.poll_readiness(state, cx, interest));
        if ready.is_pending() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        f()
    }

    /// Waits until the stream is ready for what is asked, and calls `f`; again, after the next thing that happens to
    /// the connection, as long as `f` says [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// `f` should say that only after one of this stream's `try_` methods has said it, else it may wait in vain.
    ///
    /// # Cancel safety
    /// What `f` has done is done; the waiting may be dropped.
    ///
    /// # Errors
    /// What `f` says.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"hi").await?;
    /// use tokio::io::Interest;
    ///
    /// let mut buf = [0; 8];
    /// let n = stream.async_io(Interest::READABLE, || stream.try_read(&mut buf)).await?;
    /// assert_eq!(&buf[..n], b"hi");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        let watchers = self.watchers();
        loop {
            consume_budget().await;
            let changed = watchers.notified();
            match self.try_io(interest, &mut f) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => changed.await,
                result => return result,
            }
        }
    }
}

/// Whether a write would not have to wait.
fn poll_room(state: &mut State, cx: &Cx) -> Poll<()> {
    match state.run(|connection| connection.ask_room(cx)) {
        Some(false) if state.ended.is_none() => Poll::Pending,
        _ => Poll::Ready(()),
    }
}

fn or_would_block<R>(result: Poll<io::Result<R>>) -> io::Result<R> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Copies as much as fits, and says how much that was.
fn copy_out<'a>(from: impl Iterator<Item = &'a [u8]>, to: &mut [IoSliceMut<'_>]) -> usize {
    let mut n = 0;
    let mut to = to.iter_mut();
    let mut room: &mut [u8] = &mut [];
    for mut part in from {
        while !part.is_empty() {
            if room.is_empty() {
                let Some(next) = to.next() else { return n };
                room = next;
                continue;
            }
            let (now, later) = part.split_at(part.len().min(room.len()));
            let (filled, rest) = room.split_at_mut(now.len());
            filled.copy_from_slice(now);
            (part, room, n) = (later, rest, n + now.len());
        }
    }
    n
}
