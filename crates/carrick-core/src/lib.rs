//! TCP itself.
