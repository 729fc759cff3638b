//! Deterministic worlds for [`carrick_core`]: virtual time, seeded chance, and oracles that look at every step.
//!
//! * [`Scene`] is one real endpoint against one scripted peer: the script says what the peer sends and what it
//!   expects, and a failing script prints the exchange as tcpdump would.
//! * [`Pair`] is two real hosts over links that lose, duplicate, delay, reorder and corrupt, with applications
//!   that write, read, half-close, close and abort. Each conversation is byte-exact or ends with an honest
//!   error, and every run can be repeated from its seed.
//! * [`Network`] is many flows over one bottleneck: who gets how much, how soon, and what was sent in vain. Its oracles
//!   sleep unless they are asked for, so that a minute at 100 Mbit/s takes seconds.
//! * [`Link`] is what lies between, as its [`LinkConfig`] says: all that real paths do, with a seed.
//! * [`Host`] is the reference driver that all of them share: how an endpoint and its connections are driven by the
//!   contract at the top of `carrick-core`.
//! * [`oracles`] says what is true of every run, and [`Fault`] shows that the oracles would notice.
//!
//! Nothing here reads a clock or asks the system for randomness.

mod app;
mod capture;
mod device;
mod fault;
mod host;
mod link;
mod network;
mod offload;
pub mod oracles;
mod packet;
mod pair;
mod rng;
mod scene;
mod segment;
mod situations;
mod time;
mod world;

pub use app::{End, Ending, Plan};
pub use capture::Capture;
pub use carrick_core::TcpState;
pub use fault::Fault;
pub use host::{Host, HostConfig};
pub use link::{
    Aqm, Blackouts, Bottleneck, Bursts, CoDel, Link, LinkConfig, LinkCounters, PathMtu, Policer, QueueLimit,
    QueueState, Router,
};
pub use network::{
    Flow, FlowReport, FlowSample, Network, NetworkReport, PacketKind, PacketNote, QueueSample, Ranges,
};
pub use offload::join;
pub use packet::{Offload, Packet, SegmentView, Trace, put};
pub use pair::{Failure, Pair, Report};
pub use rng::Rng;
pub use scene::{Builder, Scene};
pub use segment::{Seg, pattern, seg};
pub use situations::{Occurrences, Situation};
pub use time::{Span, at};
pub use world::{Conversation, Opening, Side, World};
