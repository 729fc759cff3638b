//! CUBIC (RFC 9438) with HyStart++ (RFC 9406) and validation of the window (RFC 7661).
//!
//! Beside the window it remembers little until the first slow start has ended, since most connections never get there.

use super::curve::Curve;
use super::hystart::{HyStart, Pace, QUARTER};
use super::window::{Saved, Window};
use super::{Acked, Controller, MAX_WINDOW, Spurious};
use crate::Instant;
use alloc::boxed::Box;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// beta: what congestion leaves of the window, in tenths.
const BETA: u32 = 7;

/// CUBIC, the default: after a loss the window returns quickly to where it was, stays there for a while, and then looks
/// for more ever faster, in a time that does not depend on the round trip (RFC 9438). Where that is slower than
/// [`NewReno`](super::NewReno), it is as fast. The first slow start ends when round trips grow (HyStart++, RFC 9406). A
/// window that is not used is kept for five minutes (RFC 7661), and a needless reduction is taken back.
///
/// # Examples
/// ```
/// use carrick_core::Instant;
/// use carrick_core::congestion::{Controller, Cubic};
///
/// let mut cubic = Cubic::default();
/// cubic.on_start(1_460);
/// assert_eq!(cubic.window(), 14_600); // ten segments
///
/// cubic.on_loss(Instant::ZERO, 14_600);
/// assert_eq!(cubic.window(), 10_220); // seven tenths of what was in flight
/// ```
#[derive(Clone, Debug)]
pub struct Cubic {
    window: Window,
    start: HyStart,
    /// Once slow start has ended.
    past: Option<Box<Past>>,
}

#[derive(Clone, Debug, Hash)]
struct Past {
    curve: Curve,
    /// What the last reduction replaced.
    saved: Option<Box<(Saved, Curve)>>,
}

impl Default for Cubic {
    fn default() -> Self {
        Self { window: Window::new(), start: HyStart::new(), past: None }
    }
}

impl Cubic {
    fn past(&mut self) -> &mut Past {
        self.past.get_or_insert_with(|| Box::new(Past { curve: Curve::flat(), saved: None }))
    }

    fn end_stage(&mut self) {
        if let Some(past) = &mut self.past {
            past.curve.end_stage();
        }
    }

    fn keep(&mut self, saved: Saved) {
        let past = self.past();
        past.saved = Some(Box::new((saved, past.curve)));
    }

    /// How fast slow start may be, and its end.
    fn pace(&mut self, acked: &Acked) -> Pace {
        // HyStart++ is for a threshold that nobody has found yet (RFC 9406 §4.3).
        if !self.window.is_first() {
            return Pace::Full;
        }
        let pace = self.start.on_ack(acked.round, acked.rtt);
        if pace == Pace::Over {
            let cwnd = self.window.cwnd;
            self.window.ssthresh = cwnd;
            self.past().curve = Curve::flat();
        }
        pace
    }
}

impl Controller for Cubic {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn window(&self) -> u32 {
        self.window.cwnd
    }

    fn threshold(&self) -> Option<u32> {
        self.window.threshold()
    }

    fn on_start(&mut self, mss: u32) {
        if self.window.on_start(mss)
            && let Some(past) = &mut self.past
        {
            past.curve.end_stage();
            past.saved = None;
        }
    }

    fn on_handshake_loss(&mut self) {
        self.window.on_handshake_loss();
    }

    fn on_ack(&mut self, acked: Acked) {
        if self.window.mss == 0 {
            return;
        }
        if self.window.on_ack(&acked) {
            self.end_stage();
        }
        let pace = self.pace(&acked);
        if let Some(past) = &mut self.past {
            past.saved.take_if(|saved| !saved.0.on_ack(&acked));
            if !acked.limited {
                past.curve.hold(acked.now);
            }
        }
        if !acked.limited {
            return;
        }
        // What was not in flight any more says nothing: one ACK that fills a hole after a timeout may cover hundreds of
        // segments that the path carried long ago.
        let bytes = acked.bytes.min(acked.in_flight);
        let bytes = if pace == Pace::Quarter { bytes / QUARTER } else { bytes };
        let rest = self.window.slow_start(bytes);
        if rest > 0 {
            let (Window { mss, cwnd, .. }, srtt) = (self.window, acked.srtt.unwrap_or_default());
            self.window.cwnd = self.past().curve.grow(rest, cwnd, mss, acked.now, srtt).min(MAX_WINDOW);
        }
    }

    fn on_loss(&mut self, _now: Instant, in_flight: u32) {
        let cwnd = self.window.cwnd;
        let saved = self.window.on_loss(in_flight, BETA);
        self.keep(saved);
        self.past().curve.on_congestion(saved.used.unwrap_or(cwnd));
    }

    fn on_recovered(&mut self, _now: Instant, _in_flight: u32, repaired: u32) {
        let saved = self.past.as_ref().and_then(|past| past.saved.as_ref());
        if let Some(used) = saved.and_then(|saved| saved.0.used) {
            self.window.on_recovered(used, repaired);
        }
    }

    fn on_ecn(&mut self, _now: Instant, _in_flight: u32) {
        let cwnd = self.window.cwnd;
        let past = self.past();
        past.curve.on_congestion(cwnd);
        past.saved = None;
        self.window.on_mark(BETA);
    }

    fn on_timeout(&mut self, _now: Instant, in_flight: u32, first: bool) {
        if let Some(saved) = self.window.on_timeout(in_flight, first, BETA) {
            self.keep(saved);
            self.past().curve = Curve::flat();
        }
        self.end_stage();
    }

    fn on_spurious(&mut self, spurious: Spurious) {
        let Some(past) = &mut self.past else { return };
        let Some(saved) = past.saved.take() else { return };
        if self.window.undo(&saved.0, &spurious) {
            past.curve = saved.1;
        }
    }

    fn on_restart(&mut self, now: Instant, idle: Duration) {
        if self.window.on_restart(now, idle) {
            self.end_stage();
        } else if let Some(past) = &mut self.past {
            past.curve.skip(idle);
        }
    }

    fn digest(&self, mut state: &mut dyn Hasher) {
        let Self { window, start, past } = self;
        (window, start, past).hash(&mut state);
    }
}
