//! The programs as they are for `carrick`.

pub mod chat;
pub mod http;
pub mod proxy;
