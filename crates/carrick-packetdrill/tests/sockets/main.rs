//! The sockets layer without the tool: the same calls and packets in the same virtual time.

mod basics;
mod errors;
mod options;
mod peer;
mod polling;
mod waiting;
