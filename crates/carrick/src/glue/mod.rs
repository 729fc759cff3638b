//! What joins listeners and streams to axum, hyper-util and tonic, each behind the feature of that name.
//!
//! Here is what the rule of orphans lets nobody else write, and the types that go with it, under the names that the
//! same things have there.

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "hyper")]
pub use self::hyper::HttpConnector;
#[cfg(feature = "tonic")]
pub use self::tonic::TcpIncoming;

#[cfg(any(feature = "axum", feature = "hyper"))]
use std::net::SocketAddr;

/// The addresses of the connection that an HTTP request or response came over (feature `axum` or `hyper`).
///
/// A handler of axum's asks for it as `ConnectInfo<HttpInfo>`; hyper-util's pooled client puts it among the extensions
/// of every response. The local address is the one that the peer meant, also with [`TcpListener::bind_any`].
///
/// [`TcpListener::bind_any`]: crate::TcpListener::bind_any
///
/// # Examples
/// ```
/// # #[cfg(feature = "axum")]
/// # fn example(listener: carrick::TcpListener) {
/// use axum::extract::ConnectInfo;
/// use axum::{Router, routing::get};
/// use carrick::HttpInfo;
///
/// let app = Router::new()
///     .route("/", get(async |ConnectInfo(info): ConnectInfo<HttpInfo>| format!("You are {}.", info.remote_addr())));
/// # let _serve =
/// axum::serve(listener, app.into_make_service_with_connect_info::<HttpInfo>())
/// # ; }
/// ```
#[cfg(any(feature = "axum", feature = "hyper"))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct HttpInfo {
    local_addr: SocketAddr,
    remote_addr: SocketAddr,
}

#[cfg(any(feature = "axum", feature = "hyper"))]
impl HttpInfo {
    /// The address and port on the stack's side.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # mod example {
    /// use axum::extract::ConnectInfo;
    /// use carrick::HttpInfo;
    ///
    /// async fn handler(ConnectInfo(info): ConnectInfo<HttpInfo>) -> String {
    ///     format!("You have reached {}.", info.local_addr())
    /// }
    /// # pub fn handled() -> axum::Router { axum::Router::new().route("/", axum::routing::get(handler)) }
    /// # }
    /// # #[cfg(feature = "axum")]
    /// # let _router = example::handled();
    /// ```
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The peer's address and port.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # mod example {
    /// use axum::extract::ConnectInfo;
    /// use carrick::HttpInfo;
    ///
    /// async fn handler(ConnectInfo(info): ConnectInfo<HttpInfo>) -> String {
    ///     format!("You are {}.", info.remote_addr())
    /// }
    /// # pub fn handled() -> axum::Router { axum::Router::new().route("/", axum::routing::get(handler)) }
    /// # }
    /// # #[cfg(feature = "axum")]
    /// # let _router = example::handled();
    /// ```
    #[must_use]
    pub const fn remote_addr(&self) -> SocketAddr {
        self.remote_addr
    }
}
