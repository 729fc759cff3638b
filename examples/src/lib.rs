//! What the example programs share (Linux).
//!
//! `state_diagram` and `handshake` draw pictures. Each of the other programs runs in a user and network namespace
//! of its own, where a TUN interface joins the kernel to a carrick stack, or, without any privilege, on two stacks
//! joined in memory.

pub mod diagram;
pub mod ladder;
pub mod link;
pub mod meter;
pub mod namespace;
pub mod netlink;
pub mod pattern;
pub mod proxy;
pub mod shell;
pub mod web;
