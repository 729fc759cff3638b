//! Three programs twice: written for `tokio::net`, and moved to carrick. `carrick::guide::moving` shows what changed.

pub mod carrick;
pub mod tokio;
