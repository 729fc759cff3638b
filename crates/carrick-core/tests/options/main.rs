//! TCP options and what hostile segments get: MSS, window scale, timestamps and PAWS, SACK-permitted, challenge ACKs,
//! injection, malformed flags and numbers. Names begin with the requirement or threat that a test shows.

mod challenge;
mod common;
mod flags;
mod generated;
mod injection;
mod life;
mod mss;
mod parsing;
mod paws;
mod scale;
mod snapshot;
#[path = "../cells/stage.rs"]
mod stage;
mod timestamps;
