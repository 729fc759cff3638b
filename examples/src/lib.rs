//! What the example programs share (Linux).
//!
//! `state_diagram` and `handshake` draw pictures, `paths` tables and plots. `fetch`, `tls`, `chat` and `grpc` show what runs on top, between two
//! stacks joined in memory. Each of the other programs runs in a user and network namespace of its own, where a TUN
//! interface joins the kernel to a carrick stack, or, without any privilege, in memory too.

pub mod diagram;
pub mod ladder;
pub mod link;
pub mod meter;
pub mod moving;
pub mod namespace;
pub mod netlink;
pub mod pattern;
pub mod proxy;
pub mod rungs;
pub mod shell;
pub mod tls;
pub mod web;
