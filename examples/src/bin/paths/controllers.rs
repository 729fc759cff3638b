//! The controllers that can be asked for by name.

use carrick_core::congestion::{Controller, NewReno};

/// A controller.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    /// A new one.
    pub(crate) new: fn() -> Box<dyn Controller>,
}

pub(crate) const ALL: &[Named] = &[Named { name: "new-reno", new: || Box::<NewReno>::default() }];
