//! What the core's errors look like as [`io::Error`]: the kinds, texts and numbers that the operating system's sockets
//! would show.
//!
//! Where the system has a number for what happened, the error is that number, so that `raw_os_error` and the text are
//! what a program expects that was written for the system's sockets. What the system has no word for keeps ours. See
//! `docs/decisions/errors.md`.

use carrick_core::{BindError, ConnectError, ConnectionError, SendError};
use std::io;

/// Any of the core's errors.
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
                ConnectionError::Protocol | ConnectionError::Internal => Kind::Other,
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

/// The system's number for what happened.
#[cfg(unix)]
fn number(kind: io::ErrorKind) -> Option<i32> {
    use io::ErrorKind as Kind;
    use rustix::io::Errno;
    let number = match kind {
        Kind::ConnectionReset => Errno::CONNRESET,
        Kind::ConnectionRefused => Errno::CONNREFUSED,
        Kind::ConnectionAborted => Errno::CONNABORTED,
        Kind::NotConnected => Errno::NOTCONN,
        Kind::TimedOut => Errno::TIMEDOUT,
        Kind::HostUnreachable => Errno::HOSTUNREACH,
        Kind::NetworkUnreachable => Errno::NETUNREACH,
        Kind::AddrInUse => Errno::ADDRINUSE,
        Kind::AddrNotAvailable => Errno::ADDRNOTAVAIL,
        Kind::BrokenPipe => Errno::PIPE,
        // Of the others ours say more.
        _ => return None,
    };
    Some(number.raw_os_error())
}

/// Other systems have other numbers, for some of these.
#[cfg(not(unix))]
fn number(_: io::ErrorKind) -> Option<i32> {
    None
}

/// Turns one of the core's errors into what callers see.
pub(crate) fn io_error(error: impl Into<Error>) -> io::Error {
    let error = error.into();
    let kind = error.kind();
    number(kind).map_or_else(|| io::Error::new(kind, error), io::Error::from_raw_os_error)
}

/// There is no connection to ask or to set something on.
pub(crate) fn not_connected() -> io::Error {
    let kind = io::ErrorKind::NotConnected;
    number(kind).map_or_else(|| kind.into(), io::Error::from_raw_os_error)
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

    /// No system has a word for these, and the number of one that has would hide who failed.
    pub(crate) fn to_io(&self) -> io::Error {
        match self {
            Self::Ended => io::Error::new(io::ErrorKind::BrokenPipe, "the stack has ended"),
            Self::Aborted => io::Error::new(io::ErrorKind::ConnectionAborted, "the stack was aborted"),
            Self::Device(kind, text) => io::Error::new(*kind, format!("the stack's device failed: {text}")),
            Self::Panicked => io::Error::other("the stack's device task panicked"),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
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
            E::Protocol,
            E::Aborted,
            E::OutOfMemory,
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
        row(not_connected());
        let gone = Failure::device(&io::Error::new(io::ErrorKind::NotFound, "unplugged"));
        [Failure::Ended, Failure::Aborted, gone, Failure::Panicked].iter().for_each(|f| row(f.to_io()));
        assert_eq!(
            table,
            "ConnectionReset: Connection reset by peer (os error 104)\n\
             ConnectionRefused: Connection refused (os error 111)\n\
             TimedOut: Connection timed out (os error 110)\n\
             HostUnreachable: No route to host (os error 113)\n\
             NetworkUnreachable: Network is unreachable (os error 101)\n\
             Other: protocol error reported by the network\n\
             ConnectionAborted: Software caused connection abort (os error 103)\n\
             OutOfMemory: given up for want of memory\n\
             Other: internal error\n\
             AddrInUse: Address already in use (os error 98)\n\
             AddrNotAvailable: Cannot assign requested address (os error 99)\n\
             AddrNotAvailable: Cannot assign requested address (os error 99)\n\
             AddrInUse: Address already in use (os error 98)\n\
             InvalidInput: invalid destination address\n\
             OutOfMemory: too many connections for the stack's limits\n\
             WouldBlock: send buffer is full\n\
             BrokenPipe: Broken pipe (os error 32)\n\
             ConnectionReset: Connection reset by peer (os error 104)\n\
             NotConnected: Transport endpoint is not connected (os error 107)\n\
             BrokenPipe: the stack has ended\n\
             ConnectionAborted: the stack was aborted\n\
             NotFound: the stack's device failed: unplugged\n\
             Other: the stack's device task panicked\n"
        );
    }
}
