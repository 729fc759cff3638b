//! What was seen to go wrong inside a connection, each with the exchange that showed it.

mod cork_and_probes;
mod islands_joined;
mod patience_without_waiting;
mod pointer_of_empty_segments;
mod reports_for_strangers;
