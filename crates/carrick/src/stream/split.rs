//! Halves that borrow their stream.

use super::TcpStream;
use super::half::{read_half, write_half};
use bytes::{BufMut, Bytes};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

/// The reading half of a [`TcpStream`], from [`TcpStream::split`].
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (mut stream, mut peer) = connected().await?;
/// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"hi").await?;
/// use tokio::io::AsyncReadExt;
///
/// let (mut read, _write) = stream.split();
/// let mut buf = [0; 8];
/// assert_eq!(read.read(&mut buf).await?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The writing half of a [`TcpStream`], from [`TcpStream::split`].
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (mut stream, mut peer) = connected().await?;
/// use tokio::io::AsyncWriteExt;
///
/// let (_read, mut write) = stream.split();
/// write.write_all(b"hello").await?;
/// write.shutdown().await?; // the peer reads the end of the stream; this side may go on reading
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

pub(super) fn split(stream: &TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf(stream), WriteHalf(stream))
}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

read_half!(ReadHalf<'_>, "split");
write_half!(WriteHalf<'_>, "split");
