//! TCP as a pure state machine: no clock, no sockets, no threads, no randomness but a seed.
//!
//! An [`Endpoint`] knows who is who: listeners, half-open records, TIME-WAIT records, strangers. A
//! [`Connection`] is one conversation. Both are driven from outside by whoever owns the packets:
//!
//! * `handle_*` tells them what happened (a frame arrived, a deadline passed),
//! * commands (`connect`, `send`, `consume`, `finish`, `abort`) say what the application wants,
//! * `poll_*` asks what they want of the world, and
//! * getters look without touching.
//!
//! # The contract
//!
//! **After any change, drain:** call `poll_transmit` until it gives nothing, then `poll_endpoint_event` and
//! hand what it gives to [`Endpoint::handle_event`], then `poll_event`, and last read `poll_timeout`. A time that has
//! passed means that a bounded piece of work was done and more is left: serve others, and call again. Every
//! packet leaves through a `poll_transmit`; `handle_*` and commands only note that something is due. A
//! [`Transmit`] changes nothing until [`Transmit::sent`] says how much of it the device took; dropped
//! before that, it is as if nobody had asked.
//!
//! Time is an argument ([`Cx::now`]) and means *when the packet was read from the device*; so is memory
//! ([`Cx::memory`]): a connection counts what it holds ([`Connection::memory`]) and every call says how
//! much more there may be. There is no shared state, so a clone is independent of its original, and the
//! same seed and the same inputs give the same bytes.
//!
//! Implements RFC 9293 with RFC 6298, 7323 (timestamps, PAWS, window scale), 2018 and 2883 (blocks and duplicates),
//! 3042, 3168, 3522, 4015, 5482, 5681, 5682, 6056, 6191, 6528, 6582, 7661, 8985, 9406, 9438, 9937 and the answers of
//! RFC 5961, over RFC 791/1122 and RFC 8200 with ICMP and ICMPv6.
//! Cryptography is not its business: whoever can see the packets can forge them.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

extern crate alloc;

#[macro_use]
mod fault;

mod config;
pub mod congestion;
mod connection;
mod counters;
mod ecn;
mod endpoint;
mod error;
mod event;
mod frame;
mod memory;
mod queue;
mod recovery;
mod recv;
mod send;
mod slab;
mod state;
mod time;
mod transmit;
mod tuple;

pub use config::{
    Cidr, CidrParseError, ConnectionConfig, EcnPolicy, EndpointConfig, KeepAlive, ListenAddr, ListenConfig,
    Rate, ReassemblyLimits, SynCookies, UserTimeoutOption,
};
pub use connection::{Connection, RecoveryState, TcpInfo};
pub use counters::{Counters, DiscardReason};
pub use endpoint::{Dispatch, Endpoint, ParkedEnd, ParkedId, ParkedSyn, Refusal, SynOffer};
pub use error::{BindError, ConnectError, ConnectionError, SendError};
pub use event::{ConnectionId, EndpointEvent, Event, ListenerId, MtuChange, Outcome, TimeWaitRecord};
#[cfg(carrick_faults)]
pub use fault::Fault;
pub use frame::{Checksum, Frame, IcmpError, IcmpErrorKind, Input, Segment};
pub use memory::{Allowance, Budget, Pressure};
pub use queue::MAX_CHUNK;
pub use state::{Cause, TcpState};
pub use time::Instant;
pub use transmit::{HeaderBytes, MAX_PARTS, Taken, Transmit};
pub use tuple::Tuple;

/// What every call that acts is told: when it is, and how much memory there may be.
///
/// # Examples
/// ```
/// use carrick_core::{Budget, Cx, Instant};
///
/// let budget = Budget::new(64 << 20);
/// let held_by_all = 1 << 20;
/// let cx = Cx { now: Instant::ZERO, memory: budget.allowance(held_by_all) };
/// assert!(cx.memory.room > 32 << 20);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cx {
    /// When the packet was read from the device, or the command was given. A time earlier than one already
    /// seen is taken as the last one.
    pub now: Instant,
    /// How much more may be held.
    pub memory: Allowance,
}

impl Cx {
    /// A context with no limit on memory.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::{Allowance, Cx, Instant};
    ///
    /// assert_eq!(Cx::new(Instant::ZERO).memory, Allowance::UNLIMITED);
    /// ```
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { now, memory: Allowance::UNLIMITED }
    }
}
