//! What was lost, and when to give up waiting.

pub(crate) mod fast;
pub(crate) mod rtt;
