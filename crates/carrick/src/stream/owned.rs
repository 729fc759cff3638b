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
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The writing half of a [`TcpStream`], from [`TcpStream::into_split`]. Dropping it closes the sending
/// direction.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    /// None only once the half has been taken apart.
    stream: Option<Arc<TcpStream>>,
}

/// The halves given to [`OwnedReadHalf::reunite`] are not of one stream. They are in the error.
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
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        reunite(self, other)
    }

    /// Makes it an [`AsyncBufRead`](tokio::io::AsyncBufRead), which reads from the received buffers themselves.
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
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops the half without closing the sending direction.
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

read_half!(OwnedReadHalf);
write_half!(OwnedWriteHalf);
