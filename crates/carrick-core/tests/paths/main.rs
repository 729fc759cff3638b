//! What CUBIC and the recovery of losses make of a path in virtual time: how much of it they fill, how they answer to losses,
//! how they share, how soon little is there, and that nothing is sent in vain.
//!
//! Runs that take long are left out unless `CARRICK_SOAK` is set.

mod filled;
mod losses;
mod short;

use carrick_core::congestion::Cubic;
use carrick_sim::{Bottleneck, Flow, LinkConfig, Network, NetworkReport, QueueLimit};
use std::time::Duration;

const MEGABIT: u64 = 1_000_000;
/// Text in a full packet of 1,500 bytes, with timestamps.
const TEXT: f64 = 1448.0;
const PACKET: f64 = 1500.0;

/// Whether there is time for all runs.
fn soak() -> bool {
    std::env::var_os("CARRICK_SOAK").is_some()
}

/// A path of so many Mbit/s and that round trip, with a queue of one bandwidth-delay product, and an endless flow.
fn path(megabits: u64, rtt: Duration) -> Network {
    let rate = megabits * MEGABIT;
    let queue = QueueLimit::bdp(rate, rtt, 1.0);
    let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(rate) });
    let link = LinkConfig { bottleneck, ..LinkConfig::delayed(rtt / 2) };
    Network { flows: vec![cubic(Flow::endless())], ..Network::new(1, link) }
}

/// With CUBIC, whatever the default is.
fn cubic(mut flow: Flow) -> Flow {
    flow.sender.congestion = Some(Box::new(Cubic::default()));
    flow
}

fn run(network: &Network, longest: Duration) -> NetworkReport {
    network.run(longest).unwrap_or_else(|violation| panic!("{violation:?}"))
}

/// Bytes that came to receivers which had them: what really was sent in vain, whatever the senders believe.
fn needless(report: &NetworkReport) -> u64 {
    report.flows.iter().map(|flow| flow.needless).sum()
}
