//! The face: what a user of `tokio::net` expects, on tokio's paused clock over a memory link. Names begin with the threat
//! they cover, if they do.

mod any;
mod buffered;
mod cancel;
#[path = "../driver/common.rs"]
#[allow(dead_code, reason = "shared with the driver's tests")]
mod common;
mod devices;
mod drops;
mod errors;
mod options;
mod parity;
mod readiness;
mod requests;
mod sockets;
mod threads;
