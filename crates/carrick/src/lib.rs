//! The tokio driver.

pub mod device;
