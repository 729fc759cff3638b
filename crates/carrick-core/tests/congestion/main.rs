//! The congestion controllers by themselves: told what a sender would tell them, and asked for their windows.
//!
//! Their formulas against floating point are in `reference`, what holds whatever they are told in `properties`, and whatever
//! is done to the acknowledgments of a whole connection in `attacker`.

mod attacker;
mod cubic;
mod properties;
mod reference;
mod scenes;
mod slow_start;
mod unused;

use carrick_core::Instant;
use carrick_core::congestion::{Acked, Controller, Cubic, NewReno, Spurious};
use std::time::Duration;

const MSS: u32 = 1000;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn at(time: f64) -> Instant {
    Instant::ZERO + seconds(time)
}

/// An ACK for `bytes` of a window that was used in full.
fn ack(now: Instant, bytes: u32) -> Acked {
    Acked { now, bytes, in_flight: bytes, limited: true, ..Acked::default() }
}

/// In slow start, with a window of so many segments of [`MSS`].
fn started<C: Controller>(mut controller: C, segments: u32) -> C {
    controller.on_start(MSS);
    controller.on_ack(ack(Instant::ZERO, segments * MSS - controller.window()));
    assert_eq!(controller.window(), segments * MSS);
    controller
}

/// The window in whole bytes is near so many segments.
#[track_caller]
fn assert_near(window: u32, segments: f64) {
    let off = (f64::from(window) / f64::from(MSS) - segments).abs();
    assert!(off < 0.01, "{window} is not {segments} segments");
}

fn needless(timeout: bool, in_flight: u32, acked: u32) -> Spurious {
    Spurious { now: at(1.0), in_flight, acked, timeout }
}

/// Both built-in controllers, and the tenths of a window that they keep.
fn both(segments: u32) -> [(Box<dyn Controller>, u32); 2] {
    [(Box::new(started(Cubic::default(), segments)), 7), (Box::new(started(NewReno::default(), segments)), 5)]
}
