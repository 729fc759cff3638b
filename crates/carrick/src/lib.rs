//! The tokio driver.

mod cell;
mod deadlines;
pub mod device;
mod error;
mod kernel;
mod listener;
mod outlet;
mod shared;
mod stack;
mod stream;
mod sync;
mod task;

pub use carrick_core::{Cidr, CidrParseError, ConnectionConfig};
pub use listener::TcpListener;
pub use stack::{Counters, Stack, StackBuilder};
pub use stream::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpStream, WriteHalf};
