//! Sending: what leaves when, and what happens when it is lost.

mod basics;
mod congestion;
mod edges;
mod fast;
mod limits;
mod long;
mod nagle;
mod push;
mod room;
mod timer;
mod urgent;
mod window;
