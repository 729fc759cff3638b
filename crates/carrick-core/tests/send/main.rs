//! Sending: what leaves when, and what happens when it is lost.

mod fast;
mod nagle;
mod urgent;
