//! Where the endpoint's rules begin and end, each from both sides.

use crate::support::*;
use carrick_core::{DiscardReason, EndpointConfig, ListenConfig, Rate, TcpState};
use carrick_sim::{Scene, seg};
use carrick_wire::TcpOptions;

#[test]
fn refusals_of_a_source_keep_to_the_rate_of_resets() {
    let resets = Rate { per_second: 1, burst: 10 };
    let endpoint = EndpointConfig { max_per_source: Some(1), resets, ..config() };
    let (mut node, _) = Node::listening(endpoint, ListenConfig::default());
    let from = |n: u16| addr(&format!("203.0.113.9:{}", 4000 + n));
    assert!(node.handshake(start(), from(0), addr(HTTP), TcpOptions::default()).is_some());
    for n in 1..100 {
        let syn = syn(from(n), addr(HTTP), 5000, TcpOptions::default());
        assert_eq!(node.receive(start(), &syn), Seen::Discarded(DiscardReason::SourceLimit));
    }
    // An answer costs between a half and one and a half.
    let told = node.replies().len();
    assert!((6..=21).contains(&told), "{told} were told");
}

/// A half-open record that offers no window takes the ACK of text right where the window would be, and of nothing
/// else (RFC 9293 §3.10.7.4, first step).
#[test]
fn without_a_window_the_handshake_is_completed_at_its_place_only() {
    for (segment, done) in [
        (seg().seq(1), true),
        (seg().seq(1).len(1), true),
        (seg().seq(2), false),
        (seg().seq(2).len(1), false),
        (seg().seq(0), false),
        (seg().seq(0).len(1), false),
    ] {
        let mut s = Scene::builder().config(|c| c.receive_buffer = 0).listening();
        s.inject(seg().syn().seq(0));
        s.expect(seg().syn().seq(0).ack(1).window(0));
        let name = format!("{segment}");
        s.inject(segment.ack(1));
        assert_eq!(s.accept(), done, "{name}");
        assert_eq!(s.state() == TcpState::SynReceived, !done, "{name}");
    }
}
