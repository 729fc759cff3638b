//! What can go wrong, per operation.
//!
//! Each variant says what happened; its text says who can do something about it.

/// Why a listener could not be made.
///
/// # Examples
/// ```
/// use carrick_core::BindError;
///
/// println!("listening: {}", BindError::AddrInUse);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BindError {
    /// Another listener has that address and port. Another port helps.
    #[error("address already in use")]
    AddrInUse,
    /// The address is not one of the stack's. A configured one helps.
    #[error("address not available on this stack")]
    AddrNotAvailable,
}

/// Why a connection attempt could not start.
///
/// # Examples
/// ```
/// use carrick_core::ConnectError;
///
/// println!("connecting: {}", ConnectError::Limit);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConnectError {
    /// The local address is not one of the stack's, or it has none of the remote's family.
    #[error("no local address for that destination")]
    AddrNotAvailable,
    /// The local port is taken for that destination, or all ephemeral ports are. Trying later helps.
    #[error("address already in use")]
    AddrInUse,
    /// The remote address is unspecified, broadcast or multicast, or its port is 0 (RFC 9293 MUST-46).
    #[error("invalid destination address")]
    InvalidRemote,
    /// Memory is scarce, or the stack holds as many connections as it may. Trying later helps.
    #[error("too many connections for the stack's limits")]
    Limit,
}

/// Why no byte was taken for sending.
///
/// # Examples
/// ```
/// use carrick_core::SendError;
///
/// println!("writing: {}", SendError::Full);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SendError {
    /// The send buffer is full; an [`Event::Writable`](crate::Event::Writable) follows when there is room.
    #[error("send buffer is full")]
    Full,
    /// The application has closed its side.
    #[error("sending side is closed")]
    Finished,
    /// The connection has ended.
    #[error(transparent)]
    Closed(#[from] ConnectionError),
}

/// Why a connection ended other than by both sides closing.
///
/// # Examples
/// ```
/// use carrick_core::ConnectionError;
///
/// /// Whether it may be worth while to try again.
/// fn is_passing(error: ConnectionError) -> bool {
///     matches!(error, ConnectionError::TimedOut | ConnectionError::HostUnreachable | ConnectionError::OutOfMemory)
/// }
/// assert!(!is_passing(ConnectionError::Refused));
/// assert_eq!(ConnectionError::Refused.to_string(), "connection refused");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum ConnectionError {
    /// The peer reset it.
    #[error("connection reset by peer")]
    Reset,
    /// The peer refused it: a reset, or an ICMP unreachable, in answer to our SYN.
    #[error("connection refused")]
    Refused,
    /// The peer did not answer for as long as we were willing to wait.
    #[error("connection timed out")]
    TimedOut,
    /// The network said that the host cannot be reached.
    #[error("no route to host")]
    HostUnreachable,
    /// The network said that the network cannot be reached.
    #[error("network is unreachable")]
    NetworkUnreachable,
    /// The network said that it cannot make sense of a header of ours, or something that this stack has no
    /// name for.
    #[error("protocol error reported by the network")]
    Protocol,
    /// This side aborted it.
    #[error("connection aborted")]
    Aborted,
    /// Memory ran out, and of all connections that held some this one had made no progress for longest. A
    /// larger budget helps, or a peer that reads.
    #[error("given up for want of memory")]
    OutOfMemory,
    /// A defect of this stack was caught, and the connection given up.
    #[error("internal error")]
    Internal,
}
