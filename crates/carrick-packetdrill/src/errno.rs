//! Why a call failed, as `errno` says it.

use carrick_core::{BindError, ConnectError, ConnectionError};
use std::fmt;

/// The number that a failed call leaves in `errno`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Errno(pub i32);

/// What a call gives.
pub type Result<T> = std::result::Result<T, Errno>;

macro_rules! names {
    ($($name:ident)*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Self = Self(libc::$name);)*

            const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

names! {
    EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNABORTED ECONNREFUSED ECONNRESET EDEADLK
    EDESTADDRREQ EDOM EEXIST EFAULT EHOSTUNREACH EINPROGRESS EINVAL EISCONN ELOOP EMSGSIZE ENETUNREACH ENOBUFS ENOENT
    ENOMEM ENOPROTOOPT ENOSYS ENOTCONN ENOTSOCK EOPNOTSUPP EPERM EPIPE EPROTO EPROTONOSUPPORT ESOCKTNOSUPPORT
    ETIMEDOUT
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl From<BindError> for Errno {
    fn from(error: BindError) -> Self {
        match error {
            BindError::AddrInUse => Self::EADDRINUSE,
            BindError::AddrNotAvailable => Self::EADDRNOTAVAIL,
        }
    }
}

impl From<ConnectError> for Errno {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::AddrNotAvailable | ConnectError::AddrInUse => Self::EADDRNOTAVAIL,
            ConnectError::InvalidRemote => Self::ENETUNREACH,
            ConnectError::Limit => Self::ENOMEM,
        }
    }
}

impl From<ConnectionError> for Errno {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Reset => Self::ECONNRESET,
            ConnectionError::Refused => Self::ECONNREFUSED,
            ConnectionError::TimedOut => Self::ETIMEDOUT,
            ConnectionError::HostUnreachable => Self::EHOSTUNREACH,
            ConnectionError::NetworkUnreachable => Self::ENETUNREACH,
            ConnectionError::Protocol => Self::EPROTO,
            ConnectionError::Aborted | ConnectionError::Internal => Self::ECONNABORTED,
            ConnectionError::OutOfMemory => Self::ENOMEM,
        }
    }
}
