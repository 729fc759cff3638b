//! What the benches across a TUN share (Linux).
//!
//! A *session* ([`session`]) is one contestant serving the kernel's TCP, which is the client on threads of its own. The
//! contestant's threads and the client's are told apart by name, so that each side's CPU time is known ([`cpu`]). Contestants are
//! a stack behind [`service`]s on tokio, or the *bare responder* ([`bare`]), which is no TCP at all and so the least that
//! anything can cost.

pub mod bare;
pub mod cpu;
pub mod meter;
pub mod options;
pub mod plots;
pub mod service;
pub mod session;
pub mod statistics;
pub mod tun;
