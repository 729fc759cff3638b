//! The endpoint's own business: floods, SYN cookies, listeners, parked SYNs, TIME-WAIT records, ports, initial
//! sequence numbers, answers to strangers. Statistical tests run 10^5 to 10^6 packets; `CARRICK_SOAK=n` makes them
//! `n` times as long.

mod any_address;
mod cookies;
mod edges;
mod floods;
mod life;
mod listeners;
mod numbers;
mod parked;
mod ports;
mod reserved;
mod strangers;
mod support;
mod time_wait;
