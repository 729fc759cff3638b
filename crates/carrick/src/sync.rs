//! The locks and atomics that [`kernel`](super::kernel) is built of; its model tests put loom's in their place.

pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
