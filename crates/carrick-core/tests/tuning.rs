//! Buffers that tune themselves, at their defaults: a long fast path fills, a slow one holds little, and so does a slow
//! reader.

use carrick_core::ConnectionConfig;
use carrick_sim::{Bottleneck, Flow, FlowReport, LinkConfig, Network, QueueLimit, Span};
use std::time::Duration;

const MEGABIT: u64 = 1_000_000;

/// Some bits a second, a round trip of 100 ms and a queue of that.
fn path(rate: u64, bdp: f64) -> LinkConfig {
    let queue = QueueLimit::bdp(rate, 100.ms(), bdp);
    LinkConfig {
        bottleneck: Some(Bottleneck { queue, ..Bottleneck::new(rate) }),
        ..LinkConfig::delayed(50.ms())
    }
}

/// All settings at their defaults.
fn flow() -> Flow {
    Flow { sender: ConnectionConfig::default(), receiver: ConnectionConfig::default(), ..Flow::endless() }
}

fn run(link: LinkConfig, flow: Flow, longest: Duration) -> FlowReport {
    let flows = vec![flow];
    let network = Network { flows, sample: 100.ms(), ..Network::new(7, link) };
    network.run(longest).unwrap().flows.remove(0)
}

/// Bits of text per second from `since` on.
fn goodput(flow: &FlowReport, since: Duration) -> f64 {
    let first = flow.samples.iter().find(|sample| sample.at >= carrick_sim::at(since)).unwrap();
    let last = flow.samples.last().unwrap();
    (last.delivered - first.delivered) as f64 * 8.0 / last.at.since(first.at).as_secs_f64()
}

/// Most that sender and receiver hold, and the largest window that was offered.
fn most(flow: &FlowReport) -> [usize; 3] {
    let of = |what: &dyn Fn(&carrick_sim::FlowSample) -> usize| flow.samples.iter().map(what).max().unwrap();
    [of(&|s| s.sender_holds), of(&|s| s.receiver_holds), of(&|s| s.receive_window as usize)]
}

#[test]
fn a_gigabit_at_100_ms_fills() {
    for timestamps in [true, false] {
        let mut flow = flow();
        flow.sender.timestamps = timestamps;
        let flow = run(path(1000 * MEGABIT, 1.0), flow, 5.secs());
        let text = if timestamps { 1448.0 } else { 1460.0 };
        let share = goodput(&flow, 3.secs()) / (1e9 * text / 1500.0);
        assert!(share >= 0.95, "{share}");
    }
}

#[test]
fn a_megabit_at_100_ms_holds_little() {
    // Behind a deep queue a round trip takes half a second, and so does what waits behind a loss.
    for (bdp, most_held) in [(1.0, 256 << 10), (4.0, 512 << 10)] {
        let flow = run(path(MEGABIT, bdp), flow(), 60.secs());
        let share = goodput(&flow, 5.secs()) / (1e6 * 1448.0 / 1500.0);
        assert!(share >= 0.95, "{share}");
        let [sender, receiver, window] = most(&flow);
        assert!(sender <= most_held && receiver <= most_held, "{sender} {receiver}");
        assert!(window <= 1 << 20, "{window}");
    }
}

#[test]
fn a_slow_reader_is_offered_little() {
    let slow = Flow { reads: Some(1000), ..flow() };
    let flow = run(path(100 * MEGABIT, 1.0), slow, 60.secs());
    assert!((590_000..=600_000).contains(&flow.delivered), "{} bytes in 60 s", flow.delivered);
    let [sender, receiver, window] = most(&flow);
    assert!(receiver <= 256 << 10 && window <= 128 << 10, "{:?}", most(&flow));
    assert!(sender <= 512 << 10, "{sender}");
}

/// What slow start has made of the congestion window is no reason to hold what the peer has no room for.
#[test]
fn a_small_window_of_the_peer_is_held_twice() {
    let mut narrow = flow();
    narrow.receiver.receive_buffer = 256 << 10;
    narrow.receiver.tune_receive_buffer = false;
    let flow = run(LinkConfig::delayed(5.ms()), narrow, 5.secs());
    let used = goodput(&flow, 1.secs()) * 10e-3 / 8.0;
    assert!(used >= 0.95 * 256e3, "{used} bytes in a round trip");
    let [sender, ..] = most(&flow);
    assert!(sender <= 640 << 10, "{sender}");
}

/// A path that becomes ten times as long is not taken for a slow one.
#[test]
fn the_window_follows_a_path_that_becomes_slower_to_answer() {
    // A queue of ten round trips: what the handshake has measured is far from what text takes.
    let flow = run(path(20 * MEGABIT, 10.0), flow(), 20.secs());
    let share = goodput(&flow, 5.secs()) / (20e6 * 1448.0 / 1500.0);
    assert!(share >= 0.95, "{share}");
}
