//! Seen: a SYN was parked, and the peer repeated it. The SYN,ACK, when it came, echoed the timestamp of the first, so
//! that the peer measured the time of the decision as a round trip: RTT 10 s, RTO 30 s.

use crate::support::*;
use carrick_core::{Cx, ListenConfig};
use carrick_covers::covers;
use carrick_sim::Span;
use carrick_wire::Timestamps;

fn parking() -> Node {
    Node::listening(config(), ListenConfig { park: true, ..ListenConfig::default() }).0
}

/// The timestamp that is echoed to a peer whose SYN had these, one after the other.
fn echoed(syns: &[Option<u32>]) -> Option<u32> {
    let mut node = parking();
    for (n, val) in syns.iter().enumerate() {
        let request = syn(addr(CLIENT), addr(HTTP), 5000, options(*val, None, false, None));
        assert_eq!(node.receive(start() + (n as u64).secs(), &request), Seen::Held);
    }
    let parked = node.endpoint.poll_parked().unwrap();
    let now = start() + 10.secs();
    assert!(node.endpoint.accept_parked(&Cx::new(now), parked.id));
    node.drain(now);
    node.only().tcp.options.timestamps.map(|Timestamps { ecr, .. }| ecr)
}

#[test]
fn ts_6_the_latest_syn_is_the_one_that_is_echoed() {
    assert_eq!(echoed(&[Some(1000)]), Some(1000));
    assert_eq!(echoed(&[Some(1000), Some(2000), Some(4000), Some(8000)]), Some(8000));
    // Around the end of the numbers, and overtaken by one that is older.
    assert_eq!(echoed(&[Some(u32::MAX - 5), Some(7)]), Some(7));
    assert_eq!(echoed(&[Some(1000), Some(4000), Some(2000)]), Some(4000));
    // Timestamps are used if all of them say so.
    assert_eq!(echoed(&[Some(1000), None, Some(4000)]), None);
    assert_eq!(echoed(&[None, Some(4000)]), None);
    covers!("TS-6");
}

#[test]
fn ts_6_a_syn_that_repeats_itself_under_the_syn_ack_is_echoed_too() {
    let mut node = Node::listening(config(), ListenConfig::default()).0;
    for (seconds, val) in [(0u64, 1000), (1, 2000)] {
        let now = start() + (seconds * 10).secs();
        let request = syn(addr(CLIENT), addr(HTTP), 5000, options(Some(val), None, false, None));
        assert_eq!(node.receive(now, &request), Seen::Answered);
        assert_eq!(node.only().tcp.options.timestamps.map(|ts| ts.ecr), Some(val));
    }
    covers!("TS-6");
}
