//! The driver on memory devices, on tokio's paused clock: what an application sees, and what a bad device or a
//! bad moment does to it. Names begin with the threat they cover.

mod common;
mod echo;
