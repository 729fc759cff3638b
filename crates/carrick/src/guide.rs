//! A guide for each task. What has a `main` in them is a whole program, and is compiled as it stands.

#[doc = include_str!("../guides/moving.md")]
pub mod moving {}

#[doc = include_str!("../guides/serve.md")]
pub mod serve {}

#[doc = include_str!("../guides/dial.md")]
pub mod dial {}

#[doc = include_str!("../guides/accept-any.md")]
pub mod accept_any {}

#[doc = include_str!("../guides/bad-link.md")]
#[cfg(feature = "sim")]
pub mod bad_link {}

#[doc = include_str!("../guides/tune.md")]
pub mod tune {}

#[doc = include_str!("../guides/debug.md")]
pub mod debug {}
