//! The four numbers that name a connection on the wire.

use core::net::{IpAddr, SocketAddr};

/// Local and remote address and port.
///
/// # Examples
/// ```
/// use carrick_core::Tuple;
///
/// let (local, remote) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
/// let tuple = Tuple { local, remote, local_port: 80, remote_port: 4000 };
/// assert_eq!(tuple.remote_addr(), "192.0.2.2:4000".parse().unwrap());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tuple {
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub remote: IpAddr,
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
}

impl Tuple {
    /// The local address and port.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::Tuple;
    ///
    /// let (local, remote) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
    /// let tuple = Tuple { local, remote, local_port: 80, remote_port: 4000 };
    /// assert_eq!(tuple.local_addr().port(), 80);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(self.local, self.local_port)
    }

    /// The remote address and port.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::Tuple;
    ///
    /// let (local, remote) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
    /// let tuple = Tuple { local, remote, local_port: 80, remote_port: 4000 };
    /// assert_eq!(tuple.remote_addr().port(), 4000);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub const fn remote_addr(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.remote_port)
    }
}
