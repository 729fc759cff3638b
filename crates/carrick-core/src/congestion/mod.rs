//! How much may be in flight.
//!
//! A [`Controller`] sees amounts and times, never the connection, and answers with a window. What was lost
//! is found elsewhere. Amounts are bytes; growth counts bytes newly acknowledged, so that one ACK for a
//! super-segment grows the window as many ACKs would (RFC 3465) and dividing ACKs gains nothing.

mod new_reno;

pub use new_reno::NewReno;

use crate::Instant;
use alloc::boxed::Box;
use core::fmt::Debug;
use core::hash::Hasher;
use core::time::Duration;

/// What an acknowledgement delivered.
///
/// # Examples
/// ```
/// use carrick_core::Instant;
/// use carrick_core::congestion::{Acked, Controller, NewReno};
///
/// let mut reno = NewReno::default();
/// reno.on_start(1_000);
/// let before = reno.window();
/// // A window that was used grows in slow start by what arrived.
/// reno.on_ack(Acked { now: Instant::ZERO, bytes: 2_000, in_flight: before, srtt: None });
/// assert_eq!(reno.window(), before + 2_000);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Acked {
    /// When it arrived.
    pub now: Instant,
    /// Bytes newly acknowledged.
    pub bytes: u32,
    /// Bytes in flight before it arrived.
    pub in_flight: u32,
    /// Smoothed round-trip time, once known.
    pub srtt: Option<Duration>,
}

/// A congestion control algorithm for one connection.
///
/// Object-safe, so that one can be chosen per connection and users can bring their own. All amounts are
/// bytes; `mss` is the payload of a full-sized segment.
///
/// # Examples
/// A window that stays as it is, for a link of one's own whose rate and delay are known:
/// ```
/// use carrick_core::congestion::{Acked, Controller};
/// use carrick_core::{ConnectionConfig, Instant};
/// use std::hash::Hasher;
///
/// #[derive(Clone, Debug)]
/// struct Fixed {
///     window: u32,
/// }
///
/// impl Controller for Fixed {
///     fn clone_box(&self) -> Box<dyn Controller> {
///         Box::new(self.clone())
///     }
///
///     fn window(&self) -> u32 {
///         self.window
///     }
///
///     fn on_start(&mut self, mss: u32) {
///         self.window = self.window.max(mss);
///     }
///
///     fn on_ack(&mut self, _acked: Acked) {}
///
///     fn on_loss(&mut self, _now: Instant, _in_flight: u32) {}
///
///     fn on_timeout(&mut self, _now: Instant, _in_flight: u32, _first: bool) {}
///
///     fn digest(&self, state: &mut dyn Hasher) {
///         state.write_u32(self.window);
///     }
/// }
///
/// // 100 Mbit/s and 20 ms.
/// let fixed = Fixed { window: 250_000 };
/// let config = ConnectionConfig { congestion: Some(Box::new(fixed)), ..ConnectionConfig::default() };
/// # assert_eq!(config.congestion.unwrap().window(), 250_000);
/// ```
pub trait Controller: Debug + Send + Sync {
    /// A copy in the same state.
    fn clone_box(&self) -> Box<dyn Controller>;

    /// Bytes that may be in flight; at least one segment.
    fn window(&self) -> u32;

    /// The slow-start threshold in bytes, once there is one; for people who look. None by default.
    fn threshold(&self) -> Option<u32> {
        None
    }

    /// The connection is established with this segment size; also called when it changes.
    fn on_start(&mut self, mss: u32);

    /// New data was acknowledged, outside recovery and without an echo of congestion.
    fn on_ack(&mut self, acked: Acked);

    /// A loss was found otherwise than by a timeout, with `in_flight` bytes outstanding by the sender's own choice
    /// (RFC 5681 §3.2, without what limited transmit added): once for a window of data. Recovery begins, and until it
    /// is over the window is what may be in flight, not counting what is known to have left the network.
    fn on_loss(&mut self, now: Instant, in_flight: u32);

    /// All that was outstanding when the loss was found has been acknowledged, and `in_flight` bytes sent since
    /// have not. Does nothing by default.
    fn on_recovered(&mut self, now: Instant, in_flight: u32) {
        let _ = (now, in_flight);
    }

    /// The peer has echoed a router's mark (ECE, RFC 3168 §6.1.2), with `in_flight` bytes outstanding by the sender's
    /// own choice: once for a window of data, and there is nothing to repair. A loss found in a window of data for
    /// which this was called is not reported once more, only the end of its repair. By default, as a loss that is
    /// repaired at once.
    fn on_ecn(&mut self, now: Instant, in_flight: u32) {
        self.on_loss(now, in_flight);
        self.on_recovered(now, in_flight);
    }

    /// The retransmission timer expired with `in_flight` bytes outstanding. `first` says that it is the
    /// first time for this data (RFC 5681 §3.1: the threshold is lowered once).
    fn on_timeout(&mut self, now: Instant, in_flight: u32, first: bool);

    /// Feeds the state to a hash, for replay and model checking.
    fn digest(&self, state: &mut dyn Hasher);
}

impl Clone for Box<dyn Controller> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

/// The built-in controllers in place, others behind a pointer.
#[derive(Clone, Debug)]
pub(crate) enum Congestion {
    NewReno(NewReno),
    Custom(Box<dyn Controller>),
}

impl Congestion {
    pub(crate) fn new(chosen: Option<&dyn Controller>) -> Self {
        chosen.map_or_else(|| Self::NewReno(NewReno::default()), |c| Self::Custom(c.clone_box()))
    }

    pub(crate) fn get(&self) -> &dyn Controller {
        match self {
            Self::NewReno(c) => c,
            Self::Custom(c) => &**c,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut dyn Controller {
        match self {
            Self::NewReno(c) => c,
            Self::Custom(c) => &mut **c,
        }
    }
}
