//! A reading half that lends out what it has received.

use super::OwnedReadHalf;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// A reading half with [`AsyncBufRead`], from [`OwnedReadHalf::buffered`]: lines and records are looked for in the
/// buffer that they arrived in, where a `tokio::io::BufReader` copies everything once more.
///
/// It holds at most one received buffer, of up to 64 KiB.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (stream, mut peer) = connected().await?;
/// use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
///
/// peer.write_all(b"one\ntwo\n").await?;
/// let (read, _write) = stream.into_split();
/// let mut lines = read.buffered().lines();
/// assert_eq!(lines.next_line().await?.as_deref(), Some("one"));
/// assert_eq!(lines.next_line().await?.as_deref(), Some("two"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BufferedReadHalf {
    half: OwnedReadHalf,
    /// Taken from the stream and not consumed.
    chunk: Bytes,
}

impl BufferedReadHalf {
    pub(super) fn new(half: OwnedReadHalf) -> Self {
        Self { half, chunk: Bytes::new() }
    }

    /// What has been received and not consumed, as far as it is in the buffer.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"one\ntwo\n").await?;
    /// use tokio::io::AsyncBufReadExt;
    ///
    /// let (read, _write) = stream.into_split();
    /// let mut lines = read.buffered();
    /// let mut line = String::new();
    /// lines.read_line(&mut line).await?;
    /// assert_eq!(lines.buffer(), b"two\n");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        &self.chunk
    }

    /// The half without its buffer, and what is left in that: the stream goes on behind it.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"one\ntwo\n").await?;
    /// use tokio::io::AsyncBufReadExt;
    ///
    /// let (read, write) = stream.into_split();
    /// let mut lines = read.buffered();
    /// let mut line = String::new();
    /// lines.read_line(&mut line).await?;
    ///
    /// let (read, left) = lines.into_parts();
    /// assert_eq!(&left[..], b"two\n");
    /// let stream = read.reunite(write).unwrap();
    /// # drop(stream);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn into_parts(self) -> (OwnedReadHalf, Bytes) {
        (self.half, self.chunk)
    }

    /// The half, to ask and set things; who reads from it takes what comes after the buffer.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// let (read, _write) = stream.into_split();
    /// let lines = read.buffered();
    /// assert_eq!(lines.get_ref().peer_addr()?.port(), 7);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn get_ref(&self) -> &OwnedReadHalf {
        &self.half
    }
}

impl AsyncBufRead for BufferedReadHalf {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let Self { half, chunk } = self.get_mut();
        if chunk.is_empty() {
            let stream: &super::TcpStream = (*half).as_ref();
            *chunk = ready!(stream.poll_read_chunk(cx, usize::MAX))?.unwrap_or_default();
        }
        Poll::Ready(Ok(chunk))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let chunk = &mut self.get_mut().chunk;
        chunk.advance(n.min(chunk.len()));
        if chunk.is_empty() {
            // Its memory goes back now, not when more comes.
            *chunk = Bytes::new();
        }
    }
}

impl AsyncRead for BufferedReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.chunk.is_empty() {
            return Pin::new(&mut self.half).poll_read(cx, buf);
        }
        let n = buf.remaining().min(self.chunk.len());
        buf.put_slice(&self.chunk[..n]);
        self.consume(n);
        Poll::Ready(Ok(()))
    }
}
