//! How much may be in flight.
//!
//! A [`Controller`] sees amounts and times, never the connection, and answers with a window. What was lost
//! is found elsewhere. Amounts are bytes; growth counts bytes newly acknowledged, so that one ACK for a
//! super-segment grows the window as many ACKs would (RFC 3465) and dividing ACKs gains nothing.

mod cubic;
mod curve;
mod hystart;
mod new_reno;
mod validation;
mod window;

pub use cubic::Cubic;
pub use new_reno::NewReno;

use crate::Instant;
use alloc::boxed::Box;
use core::fmt::Debug;
use core::hash::Hasher;
use core::time::Duration;

/// No window is larger: more a connection cannot have outstanding (RFC 7323 §2.3).
pub(crate) const MAX_WINDOW: u32 = 1 << 30;

/// What an acknowledgement of new data says.
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
/// reno.on_ack(Acked { bytes: 2_000, in_flight: before, limited: true, ..Acked::default() });
/// assert_eq!(reno.window(), before + 2_000);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Acked {
    /// When it arrived.
    pub now: Instant,
    /// Bytes newly acknowledged.
    pub bytes: u32,
    /// Bytes in flight before it arrived.
    pub in_flight: u32,
    /// The round trip that it measured, if it tells for certain which transmission it answers.
    pub rtt: Option<Duration>,
    /// Smoothed round-trip time, once known.
    pub srtt: Option<Duration>,
    /// A round trip ends with it: it is the first that acknowledges something sent after the last one ended.
    pub round: bool,
    /// The window kept something from being sent in the last round trip. If not, the application or the peer's window
    /// did, and a window that was not used says nothing about the path (RFC 7661 §4.3).
    pub limited: bool,
}

/// How fast data is delivered: what one acknowledgement says of the time since the data that it answers was sent
/// (draft-ietf-ccwg-bbr §4.1). All amounts are bytes.
///
/// # Examples
/// ```
/// use carrick_core::congestion::RateSample;
/// use core::time::Duration;
///
/// let sample = RateSample { delivered: 14_480, interval: Duration::from_millis(20), ..RateSample::default() };
/// assert_eq!(sample.rate(), Some(724_000));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RateSample {
    /// When the acknowledgement arrived.
    pub now: Instant,
    /// Newly delivered by it, in order or not.
    pub newly_acked: u32,
    /// Newly found to be lost by it.
    pub newly_lost: u32,
    /// In flight after it.
    pub in_flight: u32,
    /// Delivered since the connection began; what the peer has dropped (RFC 2018 §8) counts once more when it comes
    /// again.
    pub total_delivered: u64,
    /// Of that, what had been delivered when the newest of the newly delivered segments was sent.
    pub prior_delivered: u64,
    /// Delivered between then and now.
    pub delivered: u64,
    /// Found to be lost between then and now.
    pub lost: u64,
    /// In flight when that segment was sent, itself included.
    pub tx_in_flight: u32,
    /// The longer of the times that it took to send and to acknowledge what was delivered; zero if this tells no rate.
    pub interval: Duration,
    /// The round trip of that segment, unless it was sent more than once.
    pub rtt: Option<Duration>,
    /// The application left the path idle meanwhile: the rate is a lower bound.
    pub app_limited: bool,
}

impl RateSample {
    /// Bytes per second, if the sample tells a rate.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::congestion::RateSample;
    ///
    /// assert_eq!(RateSample::default().rate(), None);
    /// ```
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        let bits = u128::from(self.delivered).saturating_mul(1_000_000_000);
        let rate = bits.checked_div(self.interval.as_nanos())?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

/// A reduction that turns out to have been needless: what was thought lost was late.
///
/// # Examples
/// ```
/// use carrick_core::congestion::Spurious;
///
/// /// What the response of RFC 4015 §3.2 makes the window after a timeout that was none.
/// fn window(spurious: Spurious, initial_window: u32) -> u32 {
///     spurious.in_flight + spurious.acked.min(initial_window)
/// }
/// # use carrick_core::Instant;
/// # let spurious = Spurious { now: Instant::ZERO, in_flight: 10_000, acked: 3_000, timeout: true };
/// # assert_eq!(window(spurious, 14_600), 13_000);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spurious {
    /// When that was found.
    pub now: Instant,
    /// Bytes in flight, after the acknowledgement that tells.
    pub in_flight: u32,
    /// Bytes newly acknowledged by it.
    pub acked: u32,
    /// The reduction was a timeout's, not a fast retransmission's.
    pub timeout: bool,
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

    /// How fast to send, in bytes per second, at least 1. None, the default, spreads the window over a round trip:
    /// twice as fast while it is below the [threshold](Self::threshold), or there is none, and 1.2 times as fast beyond
    /// it.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// The connection is established with this segment size; also called when it changes.
    fn on_start(&mut self, mss: u32);

    /// The SYN or SYN,ACK of this connection was lost more than once (RFC 6928 §2); after [`on_start`](Self::on_start).
    /// Does nothing by default.
    fn on_handshake_loss(&mut self) {}

    /// How fast data was delivered: of every acknowledgement that delivered something, in recovery too, before any
    /// other call that the acknowledgement causes. Does nothing by default.
    fn on_sample(&mut self, sample: &RateSample) {
        let _ = sample;
    }

    /// New data was acknowledged, outside recovery and without an echo of congestion.
    fn on_ack(&mut self, acked: Acked);

    /// A loss was found otherwise than by a timeout, with `in_flight` bytes outstanding by the sender's own choice
    /// (RFC 5681 §3.2, without what limited transmit added): once for a window of data, and once more if what was sent
    /// again is lost too. Recovery begins: it comes down to the window that is named now in proportion to what is
    /// delivered (RFC 9937), which is not this trait's business.
    fn on_loss(&mut self, now: Instant, in_flight: u32);

    /// All that was outstanding when the loss was found has been acknowledged, `repaired` bytes of it after they were
    /// sent again, and `in_flight` bytes sent since have not. Does nothing by default.
    fn on_recovered(&mut self, now: Instant, in_flight: u32, repaired: u32) {
        let _ = (now, in_flight, repaired);
    }

    /// The peer has echoed a router's mark (ECE, RFC 3168 §6.1.2), with `in_flight` bytes outstanding by the sender's
    /// own choice: once for a window of data, and there is nothing to repair. A loss found in a window of data for
    /// which this was called is not reported once more, only the end of its repair. By default, as a loss that is
    /// repaired at once.
    fn on_ecn(&mut self, now: Instant, in_flight: u32) {
        self.on_loss(now, in_flight);
        self.on_recovered(now, in_flight, 0);
    }

    /// The retransmission timer expired with `in_flight` bytes outstanding. `first` says that it is the
    /// first time for this data (RFC 5681 §3.1: the threshold is lowered once).
    fn on_timeout(&mut self, now: Instant, in_flight: u32, first: bool);

    /// The last [loss](Self::on_loss) or [timeout](Self::on_timeout) was none: all that was sent again had arrived
    /// before (RFC 2883, RFC 3522, RFC 5682). Its reduction may be taken back (RFC 4015 §3.2, RFC 9438 §4.9); by
    /// default it stays. Not called where the peer has echoed a router's mark since, which that reduction answers too.
    fn on_spurious(&mut self, spurious: Spurious) {
        let _ = spurious;
    }

    /// Something is about to be sent, and nothing has been in flight for `idle`, longer than a retransmission timeout
    /// (RFC 5681 §4.1). Does nothing by default.
    fn on_restart(&mut self, now: Instant, idle: Duration) {
        let _ = (now, idle);
    }

    /// Feeds the state to a hash, for replay and model checking.
    fn digest(&self, state: &mut dyn Hasher);
}

impl Clone for Box<dyn Controller> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

/// The default in place, since most connections have it; another behind a pointer.
#[derive(Clone, Debug)]
pub(crate) enum Congestion {
    Default(Cubic),
    Chosen(Box<dyn Controller>),
}

/// Idle connections are many.
const _: () = assert!(size_of::<Congestion>() <= 64);

impl Congestion {
    pub(crate) fn new(chosen: Option<&dyn Controller>) -> Self {
        chosen.map_or_else(|| Self::Default(Cubic::default()), |c| Self::Chosen(c.clone_box()))
    }

    pub(crate) fn get(&self) -> &dyn Controller {
        match self {
            Self::Default(c) => c,
            Self::Chosen(c) => &**c,
        }
    }

    /// Who may want to know how fast something was delivered: CUBIC does not.
    pub(crate) fn listener(&mut self) -> Option<&mut dyn Controller> {
        match self {
            Self::Default(_) => None,
            Self::Chosen(c) => Some(&mut **c),
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut dyn Controller {
        match self {
            Self::Default(c) => c,
            Self::Chosen(c) => &mut **c,
        }
    }
}
