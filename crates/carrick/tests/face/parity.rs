//! Everything here is compiled twice, for `tokio::net` and for `carrick`: the same names, arguments and results, but for
//! the stack that comes first. What is on neither list is at the end.

/// Uses every method of tokio's types. `$stack` is what our constructors take first.
macro_rules! surface {
    ($module:ident, $net:path, ($($stack:ident: $kind:ty)?)) => {
        mod $module {
            #![allow(dead_code, deprecated, reason = "it is compiled, not run")]
            use $net as net;
            use net::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
            use net::{TcpListener, TcpSocket, TcpStream};
            use std::fmt::Debug;
            use std::future::Future;
            use std::io::{Error, IoSlice, IoSliceMut, Result};
            use std::net::SocketAddr;
            use std::task::{Context, Poll};
            use std::time::Duration;
            use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

            fn future<T>(_: impl Future<Output = T> + Send) {}
            fn value<T>(_: T) {}
            fn is_thread_safe<T: Send + Sync + Unpin + Debug + 'static>() {}
            fn is_io<T: AsyncRead + AsyncWrite + Unpin + AsRef<T>>() {}
            fn is_read<T: AsyncRead + Unpin + Debug + AsRef<TcpStream>>() {}
            fn is_write<T: AsyncWrite + Unpin + Debug + AsRef<TcpStream>>() {}

            fn traits() {
                is_thread_safe::<TcpStream>();
                is_thread_safe::<TcpListener>();
                is_thread_safe::<TcpSocket>();
                is_thread_safe::<OwnedReadHalf>();
                is_thread_safe::<OwnedWriteHalf>();
                is_thread_safe::<ReuniteError>();
                is_io::<TcpStream>();
                is_read::<ReadHalf<'_>>();
                is_read::<OwnedReadHalf>();
                is_write::<WriteHalf<'_>>();
                is_write::<OwnedWriteHalf>();
                fn is_error<T: std::error::Error>() {}
                is_error::<ReuniteError>();
            }

            fn stream($($stack: &$kind,)? mut s: TcpStream, cx: &mut Context<'_>, addr: SocketAddr) {
                future::<Result<TcpStream>>(TcpStream::connect($($stack,)? addr));
                future::<Result<TcpStream>>(TcpStream::connect($($stack,)? "localhost:80"));
                future::<Result<TcpStream>>(TcpStream::connect($($stack,)? ("localhost", 80)));
                future::<Result<TcpStream>>(TcpStream::connect($($stack,)? &[addr][..]));
                value::<Result<SocketAddr>>(s.local_addr());
                value::<Result<SocketAddr>>(s.peer_addr());
                value::<Result<Option<Error>>>(s.take_error());
                value::<Poll<Result<usize>>>(s.poll_peek(cx, &mut ReadBuf::new(&mut [])));
                future::<Result<Ready>>(s.ready(Interest::READABLE | Interest::WRITABLE));
                future::<Result<()>>(s.readable());
                value::<Poll<Result<()>>>(s.poll_read_ready(cx));
                value::<Result<usize>>(s.try_read(&mut [0]));
                value::<Result<usize>>(s.try_read_vectored(&mut [IoSliceMut::new(&mut [0])]));
                value::<Result<usize>>(s.try_read_buf(&mut Vec::new()));
                future::<Result<()>>(s.writable());
                value::<Poll<Result<()>>>(s.poll_write_ready(cx));
                value::<Result<usize>>(s.try_write(b"x"));
                value::<Result<usize>>(s.try_write_vectored(&[IoSlice::new(b"x")]));
                value::<Result<u8>>(s.try_io(Interest::READABLE, || Ok(1)));
                future::<Result<u8>>(s.async_io(Interest::READABLE, || Ok(1)));
                future::<Result<usize>>(s.peek(&mut [0]));
                value::<Result<bool>>(s.nodelay());
                value::<Result<()>>(s.set_nodelay(true));
                #[cfg(any(target_os = "linux", target_os = "android"))]
                {
                    value::<Result<bool>>(s.quickack());
                    value::<Result<()>>(s.set_quickack(true));
                }
                value::<Result<Option<Duration>>>(s.linger());
                value::<Result<()>>(s.set_linger(None));
                value::<Result<()>>(s.set_zero_linger());
                value::<Result<u32>>(s.ttl());
                value::<Result<()>>(s.set_ttl(1));
                value::<(ReadHalf<'_>, WriteHalf<'_>)>(s.split());
                value::<(OwnedReadHalf, OwnedWriteHalf)>(s.into_split());
            }

            fn listener($($stack: &$kind,)? l: TcpListener, cx: &mut Context<'_>, addr: SocketAddr) {
                future::<Result<TcpListener>>(TcpListener::bind($($stack,)? addr));
                future::<Result<TcpListener>>(TcpListener::bind($($stack,)? "localhost:80"));
                future::<Result<(TcpStream, SocketAddr)>>(l.accept());
                value::<Poll<Result<(TcpStream, SocketAddr)>>>(l.poll_accept(cx));
                value::<Result<SocketAddr>>(l.local_addr());
                value::<Result<u32>>(l.ttl());
                value::<Result<()>>(l.set_ttl(1));
            }

            fn socket($($stack: &$kind,)? s: TcpSocket, addr: SocketAddr) {
                value::<Result<TcpSocket>>(TcpSocket::new_v4($($stack)?));
                value::<Result<TcpSocket>>(TcpSocket::new_v6($($stack)?));
                value::<Result<()>>(s.set_keepalive(true));
                value::<Result<bool>>(s.keepalive());
                value::<Result<()>>(s.set_reuseaddr(true));
                value::<Result<bool>>(s.reuseaddr());
                #[cfg(unix)]
                {
                    value::<Result<()>>(s.set_reuseport(true));
                    value::<Result<bool>>(s.reuseport());
                }
                value::<Result<()>>(s.set_send_buffer_size(1));
                value::<Result<u32>>(s.send_buffer_size());
                value::<Result<()>>(s.set_recv_buffer_size(1));
                value::<Result<u32>>(s.recv_buffer_size());
                value::<Result<()>>(s.set_linger(None));
                value::<Result<()>>(s.set_zero_linger());
                value::<Result<Option<Duration>>>(s.linger());
                value::<Result<()>>(s.set_nodelay(true));
                value::<Result<bool>>(s.nodelay());
                #[cfg(target_os = "linux")]
                {
                    value::<Result<u32>>(s.tclass_v6());
                    value::<Result<()>>(s.set_tclass_v6(0));
                    value::<Result<u32>>(s.tos_v4());
                    value::<Result<()>>(s.set_tos_v4(0));
                    value::<Result<u32>>(s.tos());
                    value::<Result<()>>(s.set_tos(0));
                }
                value::<Result<SocketAddr>>(s.local_addr());
                value::<Result<Option<Error>>>(s.take_error());
                value::<Result<()>>(s.bind(addr));
                let (a, b): (fn(TcpSocket, SocketAddr) -> _, fn(TcpSocket, u32) -> _) =
                    (TcpSocket::connect, TcpSocket::listen);
                fn connects<F: Future<Output = Result<TcpStream>> + Send>(_: fn(TcpSocket, SocketAddr) -> F) {}
                connects(a);
                value::<fn(TcpSocket, u32) -> Result<TcpListener>>(b);
            }

            /// Both reading halves.
            macro_rules! reading {
                ($name:ident, $half:ty) => {
                    fn $name(mut h: $half, cx: &mut Context<'_>) {
                        value::<Poll<Result<usize>>>(h.poll_peek(cx, &mut ReadBuf::new(&mut [])));
                        future::<Result<usize>>(h.peek(&mut [0]));
                        future::<Result<Ready>>(h.ready(Interest::READABLE));
                        future::<Result<()>>(h.readable());
                        value::<Result<usize>>(h.try_read(&mut [0]));
                        value::<Result<usize>>(h.try_read_vectored(&mut [IoSliceMut::new(&mut [0])]));
                        value::<Result<usize>>(h.try_read_buf(&mut Vec::new()));
                        value::<Result<SocketAddr>>(h.peer_addr());
                        value::<Result<SocketAddr>>(h.local_addr());
                    }
                };
            }
            reading!(read_half, ReadHalf<'_>);
            reading!(owned_read_half, OwnedReadHalf);

            /// Both writing halves.
            macro_rules! writing {
                ($name:ident, $half:ty) => {
                    fn $name(h: $half) {
                        future::<Result<Ready>>(h.ready(Interest::WRITABLE));
                        future::<Result<()>>(h.writable());
                        value::<Result<usize>>(h.try_write(b"x"));
                        value::<Result<usize>>(h.try_write_vectored(&[IoSlice::new(b"x")]));
                        value::<Result<SocketAddr>>(h.peer_addr());
                        value::<Result<SocketAddr>>(h.local_addr());
                    }
                };
            }
            writing!(write_half, WriteHalf<'_>);
            writing!(owned_write_half, OwnedWriteHalf);

            fn reunite(read: OwnedReadHalf, write: OwnedWriteHalf) {
                let whole: std::result::Result<TcpStream, ReuniteError> = read.reunite(write);
                if let Err(ReuniteError(read, write)) = whole {
                    value::<std::result::Result<TcpStream, ReuniteError>>(write.reunite(read));
                }
            }

            fn forget(write: OwnedWriteHalf) {
                write.forget();
            }
        }
    };
}

surface!(tokios, tokio::net, ());
surface!(ours, carrick, (stack: carrick::Stack));

/// A program written for `tokio::net`, moved: only the first line of the module and the stack differ.
macro_rules! echo_server {
    ($name:ident, $net:path, ($($stack:ident: $kind:ty)?)) => {
        #[allow(dead_code, reason = "tokio's is compiled, not run")]
        mod $name {
            use $net::{TcpListener, TcpStream};
            use tokio::io::{AsyncReadExt, AsyncWriteExt};

            pub(super) async fn serve($($stack: $kind)?) -> std::io::Result<()> {
                let listener = TcpListener::bind($(&$stack,)? "192.0.2.1:80").await?;
                let (mut stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await?;
                write.shutdown().await
            }

            pub(super) async fn ask($($stack: $kind)?) -> std::io::Result<String> {
                let mut stream = TcpStream::connect($(&$stack,)? ("192.0.2.1", 80)).await?;
                stream.write_all(b"moved").await?;
                stream.shutdown().await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await?;
                Ok(answer)
            }
        }
    };
}

echo_server!(echo_of_tokio, tokio::net, ());
echo_server!(echo_of_ours, carrick, (stack: carrick::Stack));

#[tokio::test(start_paused = true)]
async fn a_program_moves_over_by_its_use_line_and_the_stack() {
    let (server, client) = crate::common::stacks(carrick::device::memory::MemoryConfig::default());
    let serving = tokio::spawn(echo_of_ours::serve(server));
    tokio::task::yield_now().await;
    assert_eq!(crate::common::within(5, echo_of_ours::ask(client)).await.unwrap(), "moved");
    serving.await.unwrap().unwrap();
}
