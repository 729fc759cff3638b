//! The programs as they are for `tokio::net`.

pub mod chat;
pub mod http;
pub mod proxy;
