//! gRPC servers on a listener. For clients there is `HttpConnector`, of the feature `hyper`.

use crate::{TcpListener, TcpStream};
use futures_core::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// The connections that a listener accepts, as tonic's `serve_with_incoming` takes them (feature `tonic`).
///
/// The stream ends after the error that says why the stack has ended; a server ends with it. Nagle's rule is best set
/// aside where the listener is made, with [`TcpSocket::set_nodelay`](crate::TcpSocket::set_nodelay).
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (stack, _client) = stacks()?;
/// use carrick::{TcpIncoming, TcpSocket};
/// use tonic::transport::Server;
///
/// let (_reporter, health) = tonic_health::server::health_reporter();
/// let socket = TcpSocket::new_v4(&stack)?;
/// socket.set_nodelay(true)?;
/// socket.bind("192.0.2.1:50051".parse()?)?;
/// let incoming = TcpIncoming::from(socket.listen(1024)?);
/// # stack.abort();
/// Server::builder().add_service(health).serve_with_incoming(incoming).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpIncoming {
    /// None after the error.
    listener: Option<TcpListener>,
}

impl From<TcpListener> for TcpIncoming {
    fn from(listener: TcpListener) -> Self {
        Self { listener: Some(listener) }
    }
}

impl Stream for TcpIncoming {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(listener) = &self.listener else { return Poll::Ready(None) };
        let accepted = ready!(listener.poll_accept(cx));
        // tonic goes on after an error, and this one would come again at once, for ever.
        if accepted.is_err() {
            self.listener = None;
        }
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

/// What requests have among their extensions, and what `Request::remote_addr` asks (feature `tonic`).
impl Connected for TcpStream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo { local_addr: self.local_addr().ok(), remote_addr: self.peer_addr().ok() }
    }
}
