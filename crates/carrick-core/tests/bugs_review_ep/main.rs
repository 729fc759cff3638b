//! Bugs of the endpoint's that were found by reading: each module opens with what was seen.

#[path = "../endpoint_floods/support.rs"]
#[allow(dead_code, reason = "shared with the tests of floods, which use all of it")]
mod support;

mod cookie_and_record;
mod cookies_without_time_wait;
mod repeated_syn_ack;
mod resets_of_a_listener;
mod reuse_without_timestamps;
