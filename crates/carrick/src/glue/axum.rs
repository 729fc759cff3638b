//! `axum::serve` on a listener.

use super::HttpInfo;
use crate::{TcpListener, TcpStream};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener, TapIo};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// `axum::serve(listener, app)` (feature `axum`).
///
/// This `accept` cannot say that the stack has ended: it logs the error and then waits for ever. A server that is to
/// end with its stack waits for [`Stack::ended`](crate::Stack::ended) too.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (stack, _client) = stacks()?;
/// use axum::{Router, routing::get};
/// use carrick::TcpListener;
///
/// let app = Router::new().route("/", get(async || "Hello, world"));
/// let listener = TcpListener::bind(&stack, "192.0.2.1:80").await?;
/// let ended = stack.clone();
/// let server = axum::serve(listener, app).with_graceful_shutdown(async move {
///     let why = ended.ended().await;
///     println!("no more requests: {why}");
/// });
/// # stack.abort();
/// server.await
/// # }
/// ```
impl Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match Self::accept(self).await {
            Ok(accepted) => accepted,
            // No error of ours passes: the stack has ended, and asking again would give the same at once, for ever.
            Err(error) => {
                tracing::debug!(target: "carrick::stack", %error, "axum's server gets no more connections");
                std::future::pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl HttpInfo {
    fn of_accepted(stream: &TcpStream, remote_addr: SocketAddr) -> Self {
        // Only a connection that has met a defect of ours since it was accepted does not know its address.
        let local_addr = stream.local_addr().unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        Self { local_addr, remote_addr }
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for HttpInfo {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self::of_accepted(stream.io(), *stream.remote_addr())
    }
}

impl<F> Connected<IncomingStream<'_, TapIo<TcpListener, F>>> for HttpInfo
where
    F: FnMut(&mut TcpStream) + Send + 'static,
{
    fn connect_info(stream: IncomingStream<'_, TapIo<TcpListener, F>>) -> Self {
        Self::of_accepted(stream.io(), *stream.remote_addr())
    }
}
