//! What was seen to go wrong inside a connection, each with the exchange that showed it.

mod cork_and_probes;
mod pointer_of_empty_segments;
