//! Halves that own their stream together.

use super::half::{read_half, write_half};
use super::{BufferedReadHalf, TcpStream};
use bytes::{BufMut, Bytes};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

/// The reading half of a [`TcpStream`], from [`TcpStream::into_split`].
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (mut stream, mut peer) = connected().await?;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let (mut read, mut write) = stream.into_split();
/// let reader = tokio::spawn(async move {
///     let mut all = Vec::new();
///     read.read_to_end(&mut all).await.map(|_| all)
/// });
/// write.write_all(b"as much as there is to say").await?;
/// # peer.write_all(b"ok").await?;
/// # drop((write, peer.shutdown().await?));
/// assert_eq!(reader.await??, b"ok");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The writing half of a [`TcpStream`], from [`TcpStream::into_split`]. Dropping it closes the sending
/// direction.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (mut stream, mut peer) = connected().await?;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let (_read, mut write) = stream.into_split();
/// let writer = tokio::spawn(async move { write.write_all(b"all").await });
/// writer.await??; // and the half is dropped: the peer reads the end of the stream
///
/// let mut heard = Vec::new();
/// peer.read_to_end(&mut heard).await?;
/// assert_eq!(heard, b"all");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedWriteHalf {
    /// None only once the half has been taken apart.
    stream: Option<Arc<TcpStream>>,
}

/// The halves given to [`OwnedReadHalf::reunite`] are not of one stream. They are in the error.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (one, _peer) = connected().await?;
/// # let (other, _other_peer) = connected().await?;
/// use carrick::ReuniteError;
///
/// let (read, write) = one.into_split();
/// let (_read, other_write) = other.into_split();
/// let ReuniteError(read, _other_write) = read.reunite(other_write).unwrap_err();
/// let stream = read.reunite(write).unwrap();
/// # drop(stream);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the halves are not of one stream")]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

pub(super) fn split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    (OwnedReadHalf(Arc::clone(&stream)), OwnedWriteHalf { stream: Some(stream) })
}

fn reunite(read: OwnedReadHalf, mut write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
    if !Arc::ptr_eq(&read.0, write.stream()) {
        return Err(ReuniteError(read, write));
    }
    drop(write.stream.take());
    Arc::try_unwrap(read.0).map_err(|_| unreachable!("a stream has two halves, and one is gone"))
}

impl OwnedReadHalf {
    /// Makes the stream whole again.
    ///
    /// # Errors
    /// The halves, if they are not of one stream.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// let (read, write) = stream.into_split();
    /// let stream = read.reunite(write).unwrap();
    /// assert_eq!(stream.peer_addr()?.port(), 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        reunite(self, other)
    }

    /// Makes it an [`AsyncBufRead`](tokio::io::AsyncBufRead), which reads from the received buffers themselves.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"key=value;").await?;
    /// use tokio::io::AsyncBufReadExt;
    ///
    /// let (read, _write) = stream.into_split();
    /// let mut record = Vec::new();
    /// read.buffered().read_until(b';', &mut record).await?;
    /// assert_eq!(record, b"key=value;");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn buffered(self) -> BufferedReadHalf {
        BufferedReadHalf::new(self)
    }
}

impl OwnedWriteHalf {
    fn stream(&self) -> &Arc<TcpStream> {
        self.stream.as_ref().expect("only `reunite` and `forget`, which consume the half, take its stream")
    }

    /// Makes the stream whole again.
    ///
    /// # Errors
    /// The halves, if they are not of one stream.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// let (read, write) = stream.into_split();
    /// let stream = write.reunite(read).unwrap();
    /// assert_eq!(stream.peer_addr()?.port(), 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops the half without closing the sending direction.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use carrick::TcpState;
    ///
    /// let (read, write) = stream.into_split();
    /// write.forget();
    /// assert_eq!(read.as_ref().state(), TcpState::Established); // no FIN has been sent
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget(mut self) {
        drop(self.stream.take());
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            // There is nobody left to tell of an error.
            let _ = stream.shutdown_write();
        }
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        self.stream()
    }
}

read_half!(OwnedReadHalf, "into_split");
write_half!(OwnedWriteHalf, "into_split");
