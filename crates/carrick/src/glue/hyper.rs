//! A connector for hyper-util's pooled client, and for what else takes one.

use super::HttpInfo;
use crate::{ConnectionConfig, Stack, TcpStream};
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// Connects HTTP clients through a stack, as hyper-util's connector of the same name does through the system (feature
/// `hyper`).
///
/// It is for hyper-util's pooled client, for tonic's `Endpoint::connect_with_connector`, and for whatever puts TLS
/// around a connector. Names are resolved by the system's resolver, outside the stack, and their addresses are tried
/// one after the other, as [`TcpStream::connect`] does it. Responses have an [`HttpInfo`] among their extensions.
///
/// # Errors
/// As [`TcpStream::connect`]; [`InvalidInput`](io::ErrorKind::InvalidInput) for an address without a host, or without a
/// scheme, or whose scheme [`enforce_http`](Self::enforce_http) forbids.
///
/// # Cancel safety
/// Dropping the future of a call ends the attempt.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, stack) = stacks()?;
/// use carrick::HttpConnector;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
/// # use tower_service::Service as _;
///
/// let mut connector = HttpConnector::new(&stack);
/// # let _listener = carrick::TcpListener::bind(&server, "192.0.2.1:80").await?;
/// let _io = connector.call("http://192.0.2.1/".parse().unwrap()).await?; // what a client does with it
///
/// # fn client(connector: HttpConnector) -> Client<HttpConnector, String> {
/// Client::builder(TokioExecutor::new()).build(connector)
/// # }
/// # let _client = client(connector);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HttpConnector {
    stack: Stack,
    config: Arc<ConnectionConfig>,
    enforce_http: bool,
}

impl HttpConnector {
    /// Connects with the settings of [`StackBuilder::connection_config`](crate::StackBuilder::connection_config).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (_server, stack) = stacks()?;
    /// use carrick::HttpConnector;
    ///
    /// let connector = HttpConnector::new(&stack);
    /// # let _ = connector;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(stack: &Stack) -> Self {
        Self {
            stack: stack.clone(),
            config: Arc::clone(&stack.handle().connection_config),
            enforce_http: true,
        }
    }

    /// Sets Nagle's rule aside for connections to come, as HTTP/2 and gRPC want it. Default: the stack's setting, which
    /// is false unless it was changed.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (_server, stack) = stacks()?;
    /// use carrick::HttpConnector;
    ///
    /// let mut connector = HttpConnector::new(&stack);
    /// connector.set_nodelay(true);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nodelay(&mut self, nodelay: bool) {
        Arc::make_mut(&mut self.config).nodelay = nodelay;
    }

    /// Replaces all settings of connections to come. Default: the stack's.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (_server, stack) = stacks()?;
    /// use carrick::{ConnectionConfig, HttpConnector};
    ///
    /// let mut connector = HttpConnector::new(&stack);
    /// connector.set_connection_config(ConnectionConfig { receive_buffer: 4 << 20, ..ConnectionConfig::default() });
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_connection_config(&mut self, config: ConnectionConfig) {
        self.config = Arc::new(config);
    }

    /// Whether only `http://` is connected to. Default true, so that nothing meant for TLS leaves in the clear; false
    /// is for what puts TLS around this connector.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (_server, stack) = stacks()?;
    /// use carrick::HttpConnector;
    /// use std::io::ErrorKind;
    /// use tower_service::Service;
    ///
    /// let mut connector = HttpConnector::new(&stack);
    /// let error = connector.call("https://192.0.2.1/".parse().unwrap()).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidInput);
    /// connector.enforce_http(false); // and puts a TLS connector around it
    /// # let error = connector.call("https://192.0.2.1/".parse().unwrap()).await.unwrap_err();
    /// # assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enforce_http(&mut self, enforce: bool) {
        self.enforce_http = enforce;
    }

    /// Whom to connect to. An IPv6 address is in brackets.
    fn destination<'a>(&self, uri: &'a Uri) -> io::Result<(&'a str, u16)> {
        let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text);
        let scheme = uri.scheme().ok_or_else(|| invalid("the address has no scheme"))?;
        if self.enforce_http && *scheme != Scheme::HTTP {
            return Err(invalid("the scheme is not http"));
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| invalid("the address has no host"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        Ok((host, uri.port_u16().unwrap_or(default)))
    }
}

impl Service<Uri> for HttpConnector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let destination = connector.destination(&uri)?;
            let stream =
                TcpStream::connect_with(connector.stack.handle(), &connector.config, destination).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

impl std::fmt::Debug for HttpConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpConnector").field("stack", &self.stack).finish_non_exhaustive()
    }
}

/// What hyper-util's client learns of a connection: its [`HttpInfo`] (feature `hyper`).
impl Connection for TcpStream {
    fn connected(&self) -> Connected {
        match (self.local_addr(), self.peer_addr()) {
            (Ok(local_addr), Ok(remote_addr)) => Connected::new().extra(HttpInfo { local_addr, remote_addr }),
            _ => Connected::new(),
        }
    }
}
