//! What the core's errors look like as [`io::Error`]: the kinds that the operating system's sockets would show.

use carrick_core::{BindError, ConnectError, ConnectionError, SendError};
use std::io;

/// Any of the core's errors; the source of the [`io::Error`] that carries it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum Error {
    Connection(#[from] ConnectionError),
    Bind(#[from] BindError),
    Connect(#[from] ConnectError),
    Send(#[from] SendError),
}

impl Error {
    fn kind(self) -> io::ErrorKind {
        use io::ErrorKind as Kind;
        match self {
            Self::Connection(error) | Self::Send(SendError::Closed(error)) => match error {
                ConnectionError::Reset => Kind::ConnectionReset,
                ConnectionError::Refused => Kind::ConnectionRefused,
                ConnectionError::TimedOut => Kind::TimedOut,
                ConnectionError::HostUnreachable => Kind::HostUnreachable,
                ConnectionError::NetworkUnreachable => Kind::NetworkUnreachable,
                ConnectionError::Aborted => Kind::ConnectionAborted,
                ConnectionError::OutOfMemory => Kind::OutOfMemory,
                ConnectionError::Internal => Kind::Other,
            },
            Self::Bind(BindError::AddrInUse) | Self::Connect(ConnectError::AddrInUse) => Kind::AddrInUse,
            Self::Bind(BindError::AddrNotAvailable) | Self::Connect(ConnectError::AddrNotAvailable) => {
                Kind::AddrNotAvailable
            }
            Self::Connect(ConnectError::InvalidRemote) => Kind::InvalidInput,
            Self::Connect(ConnectError::Limit) => Kind::OutOfMemory,
            Self::Send(SendError::Full) => Kind::WouldBlock,
            Self::Send(SendError::Finished) => Kind::BrokenPipe,
        }
    }
}

/// Turns one of the core's errors into what callers see.
pub(crate) fn io_error(error: impl Into<Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), error)
}

/// Why a whole stack stopped working.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Its runtime has ended, or it was shut down.
    Ended,
    /// [`Stack::abort`](crate::Stack::abort).
    Aborted,
    /// The device ended or failed for good.
    Device(io::ErrorKind, String),
    /// The device task panicked.
    Panicked,
}

impl Failure {
    pub(crate) fn device(error: &io::Error) -> Self {
        Self::Device(error.kind(), error.to_string())
    }

    pub(crate) fn to_io(&self) -> io::Error {
        match self {
            Self::Ended => io::Error::new(io::ErrorKind::BrokenPipe, "the stack has ended"),
            Self::Aborted => io::Error::new(io::ErrorKind::ConnectionAborted, "the stack was aborted"),
            Self::Device(kind, text) => io::Error::new(*kind, format!("the stack's device failed: {text}")),
            Self::Panicked => io::Error::other("the stack's device task panicked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn the_whole_table() {
        use ConnectionError as E;
        let mut table = String::new();
        let mut row = |error: io::Error| writeln!(table, "{:?}: {error}", error.kind()).unwrap();
        let ends = [
            E::Reset,
            E::Refused,
            E::TimedOut,
            E::HostUnreachable,
            E::NetworkUnreachable,
            E::Aborted,
            E::Internal,
        ];
        ends.into_iter().for_each(|error| row(io_error(error)));
        [BindError::AddrInUse, BindError::AddrNotAvailable]
            .into_iter()
            .for_each(|error| row(io_error(error)));
        use ConnectError as C;
        [C::AddrNotAvailable, C::AddrInUse, C::InvalidRemote, C::Limit]
            .into_iter()
            .for_each(|error| row(io_error(error)));
        [SendError::Full, SendError::Finished, SendError::Closed(E::Reset)]
            .into_iter()
            .for_each(|error| row(io_error(error)));
        let gone = Failure::device(&io::Error::new(io::ErrorKind::NotFound, "unplugged"));
        [Failure::Ended, Failure::Aborted, gone, Failure::Panicked].iter().for_each(|f| row(f.to_io()));
        assert_eq!(
            table,
            "ConnectionReset: connection reset by peer\n\
             ConnectionRefused: connection refused\n\
             TimedOut: connection timed out\n\
             HostUnreachable: no route to host\n\
             NetworkUnreachable: network is unreachable\n\
             ConnectionAborted: connection aborted\n\
             Other: internal error\n\
             AddrInUse: address already in use\n\
             AddrNotAvailable: address not available on this stack\n\
             AddrNotAvailable: no local address for that destination\n\
             AddrInUse: address already in use\n\
             InvalidInput: invalid destination address\n\
             OutOfMemory: too many connections for the stack's limits\n\
             WouldBlock: send buffer is full\n\
             BrokenPipe: sending side is closed\n\
             ConnectionReset: connection reset by peer\n\
             BrokenPipe: the stack has ended\n\
             ConnectionAborted: the stack was aborted\n\
             NotFound: the stack's device failed: unplugged\n\
             Other: the stack's device task panicked\n"
        );
    }
}
