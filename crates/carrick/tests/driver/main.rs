//! The driver on memory devices, on tokio's paused clock: what an application sees, and what a bad device or a
//! bad moment does to it. Names begin with the threat they cover.

mod batches;
mod bug_abort_in_a_batch;
mod bug_end_stays_end;
mod bug_flood_and_own_ring;
mod bug_pieces_with_whole_checksums;
mod bug_replies_at_the_end;
mod bug_time_wait_in_the_way;
mod bug_waiters_that_panic;
mod cancel;
mod capture;
mod common;
mod counters;
mod devices;
mod drops;
mod echo;
mod events;
mod fairness;
mod frames;
mod limits;
mod listeners;
mod threads;
mod visits;
mod wakers;
