//! The controllers that can be asked for by name.

use carrick_core::congestion::{Controller, Cubic, NewReno};

/// A controller.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    /// A new one.
    pub(crate) new: fn() -> Box<dyn Controller>,
}

pub(crate) const ALL: &[Named] = &[
    Named { name: "cubic", new: || Box::<Cubic>::default() },
    Named { name: "new-reno", new: || Box::<NewReno>::default() },
];
