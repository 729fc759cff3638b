//! What both kinds of halves can do.

/// The methods and traits of a half that reads; it has `AsRef<TcpStream>` and comes from the method named by `$split`.
macro_rules! read_half {
    ($half:ty, $split:literal) => {
        impl $half {
            /// As [`TcpStream::poll_peek`].
            ///
            /// # Errors
            /// As [`TcpStream::peek`].
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
            #[doc = concat!("let (mut read, _write) = stream.", $split, "();")]
            /// let mut first = [0; 3];
            /// let mut buf = ReadBuf::new(&mut first);
            /// poll_fn(|cx| read.poll_peek(cx, &mut buf)).await?;
            /// assert_eq!(buf.filled(), b"GET");
            /// # Ok(())
            /// # }
            /// ```
            pub fn poll_peek(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                self.as_ref().poll_peek(cx, buf)
            }

            /// As [`TcpStream::peek`].
            ///
            /// # Cancel safety
            /// As [`TcpStream::peek`].
            ///
            /// # Errors
            /// As [`TcpStream::peek`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"GET").await?;
            #[doc = concat!("let (mut read, _write) = stream.", $split, "();")]
            /// let mut first = [0; 3];
            /// assert_eq!(read.peek(&mut first).await?, 3);
            /// assert_eq!(&first, b"GET"); // it is still there to be read
            /// # Ok(())
            /// # }
            /// ```
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.as_ref().peek(buf).await
            }

            /// As [`TcpStream::ready`].
            ///
            /// # Cancel safety
            /// As [`TcpStream::ready`].
            ///
            /// # Errors
            /// As [`TcpStream::ready`].
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
            #[doc = concat!("let (read, _write) = stream.", $split, "();")]
            /// let ready = read.ready(Interest::READABLE).await?;
            /// assert!(ready.is_readable() && !ready.is_read_closed());
            /// # Ok(())
            /// # }
            /// ```
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.as_ref().ready(interest).await
            }

            /// As [`TcpStream::readable`].
            ///
            /// # Cancel safety
            /// As [`TcpStream::readable`].
            ///
            /// # Errors
            /// As [`TcpStream::readable`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"hi").await?;
            #[doc = concat!("let (read, _write) = stream.", $split, "();")]
            /// read.readable().await?;
            /// assert_eq!(read.try_read(&mut [0; 8])?, 2);
            /// # Ok(())
            /// # }
            /// ```
            pub async fn readable(&self) -> io::Result<()> {
                self.as_ref().readable().await
            }

            /// As [`TcpStream::try_read`].
            ///
            /// # Errors
            /// As [`TcpStream::try_read`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            /// use std::io::ErrorKind;
            ///
            #[doc = concat!("let (read, _write) = stream.", $split, "();")]
            /// let error = read.try_read(&mut [0; 8]).unwrap_err();
            /// assert_eq!(error.kind(), ErrorKind::WouldBlock); // nothing has been said
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.as_ref().try_read(buf)
            }

            /// As [`TcpStream::try_read_vectored`].
            ///
            /// # Errors
            /// As [`TcpStream::try_read`].
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
            #[doc = concat!("let (read, _write) = stream.", $split, "();")]
            /// read.readable().await?;
            /// let (mut head, mut body) = ([0; 4], [0; 4]);
            /// let n = read.try_read_vectored(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)])?;
            /// assert_eq!((n, &body), (8, b"body"));
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.as_ref().try_read_vectored(bufs)
            }

            /// As [`TcpStream::try_read_buf`].
            ///
            /// # Errors
            /// As [`TcpStream::try_read`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"more").await?;
            #[doc = concat!("let (read, _write) = stream.", $split, "();")]
            /// let mut buf = Vec::with_capacity(64);
            /// read.readable().await?;
            /// assert_eq!(read.try_read_buf(&mut buf)?, 4);
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.as_ref().try_read_buf(buf)
            }

            /// As [`TcpStream::try_read_chunk`].
            ///
            /// # Errors
            /// As [`TcpStream::try_read`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"in one piece").await?;
            #[doc = concat!("let (read, _write) = stream.", $split, "();")]
            /// read.readable().await?;
            /// let chunk = read.try_read_chunk(usize::MAX)?.unwrap();
            /// assert_eq!(&chunk[..], b"in one piece");
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_read_chunk(&self, max: usize) -> io::Result<Option<Bytes>> {
                self.as_ref().try_read_chunk(max)
            }

            /// As [`TcpStream::read_chunk`].
            ///
            /// # Cancel safety
            /// As [`TcpStream::read_chunk`].
            ///
            /// # Errors
            /// As [`TcpStream::read_chunk`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            /// # tokio::io::AsyncWriteExt::write_all(&mut peer, b"in one piece").await?;
            #[doc = concat!("let (mut read, _write) = stream.", $split, "();")]
            /// let chunk = read.read_chunk(usize::MAX).await?.unwrap();
            /// assert_eq!(&chunk[..], b"in one piece");
            /// # Ok(())
            /// # }
            /// ```
            pub async fn read_chunk(&mut self, max: usize) -> io::Result<Option<Bytes>> {
                poll_fn(|cx| self.as_ref().poll_read_chunk(cx, max)).await
            }

            /// As [`TcpStream::peer_addr`].
            ///
            /// # Errors
            /// As [`TcpStream::peer_addr`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            #[doc = concat!("let (read, _write) = stream.", $split, "();")]
            /// assert_eq!(read.peer_addr()?.port(), 7);
            /// # Ok(())
            /// # }
            /// ```
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().peer_addr()
            }

            /// As [`TcpStream::local_addr`].
            ///
            /// # Errors
            /// As [`TcpStream::local_addr`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            #[doc = concat!("let (read, _write) = stream.", $split, "();")]
            /// assert_eq!(read.local_addr()?, peer.peer_addr()?);
            /// # Ok(())
            /// # }
            /// ```
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().local_addr()
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.as_ref().get_ref().as_ref().poll_read_shared(cx, buf)
            }
        }
    };
}

/// The methods and traits of a half that writes; it has `AsRef<TcpStream>` and comes from the method named by `$split`.
macro_rules! write_half {
    ($half:ty, $split:literal) => {
        impl $half {
            /// As [`TcpStream::ready`].
            ///
            /// # Cancel safety
            /// As [`TcpStream::ready`].
            ///
            /// # Errors
            /// As [`TcpStream::ready`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            /// use tokio::io::Interest;
            ///
            #[doc = concat!("let (_read, write) = stream.", $split, "();")]
            /// let ready = write.ready(Interest::WRITABLE).await?;
            /// assert!(ready.is_writable() && !ready.is_write_closed());
            /// # Ok(())
            /// # }
            /// ```
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.as_ref().ready(interest).await
            }

            /// As [`TcpStream::writable`].
            ///
            /// # Cancel safety
            /// As [`TcpStream::writable`].
            ///
            /// # Errors
            /// As [`TcpStream::writable`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            #[doc = concat!("let (_read, write) = stream.", $split, "();")]
            /// write.writable().await?;
            /// assert_eq!(write.try_write(b"hello")?, 5);
            /// # Ok(())
            /// # }
            /// ```
            pub async fn writable(&self) -> io::Result<()> {
                self.as_ref().writable().await
            }

            /// As [`TcpStream::try_write`].
            ///
            /// # Errors
            /// As [`TcpStream::try_write`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            #[doc = concat!("let (_read, write) = stream.", $split, "();")]
            /// // As much as there is room for: the rest is for the next time.
            /// let n = write.try_write(&[0; 1 << 20])?;
            /// assert!(n > 0 && n < 1 << 20);
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.as_ref().try_write(buf)
            }

            /// As [`TcpStream::try_write_vectored`].
            ///
            /// # Errors
            /// As [`TcpStream::try_write`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            /// use std::io::IoSlice;
            ///
            #[doc = concat!("let (_read, write) = stream.", $split, "();")]
            /// assert_eq!(write.try_write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")])?, 8);
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.as_ref().try_write_vectored(bufs)
            }

            /// As [`TcpStream::peer_addr`].
            ///
            /// # Errors
            /// As [`TcpStream::peer_addr`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            #[doc = concat!("let (_read, write) = stream.", $split, "();")]
            /// assert_eq!(write.peer_addr()?.port(), 7);
            /// # Ok(())
            /// # }
            /// ```
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().peer_addr()
            }

            /// As [`TcpStream::local_addr`].
            ///
            /// # Errors
            /// As [`TcpStream::local_addr`].
            ///
            /// # Examples
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            /// # let (mut stream, mut peer) = connected().await?;
            #[doc = concat!("let (_read, write) = stream.", $split, "();")]
            /// assert_eq!(write.local_addr()?, peer.peer_addr()?);
            /// # Ok(())
            /// # }
            /// ```
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().local_addr()
            }
        }

        impl AsyncWrite for $half {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.poll_write_vectored(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.as_ref().get_ref().as_ref().poll_write_shared(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.as_ref().get_ref().as_ref().shutdown_write())
            }
        }
    };
}

pub(super) use {read_half, write_half};
