//! Paths that swallow large packets without a word (RFC 2923 §2.1, RFC 4821), with all settings at their defaults.

use carrick_core::ConnectionConfig;
use carrick_covers::covers;
use carrick_sim::{Blackouts, Bottleneck, Flow, LinkConfig, Network, PathMtu, QueueLimit, Span};
use std::time::Duration;

const RATE: u64 = 10_000_000;

/// 10 Mbit/s, a queue of one round trip, and all settings at their defaults.
fn network(v6: bool, rtt: Duration, bytes: Option<u64>) -> Network {
    let queue = QueueLimit::bdp(RATE, rtt, 1.0);
    let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(RATE) });
    let link = LinkConfig { bottleneck, ..LinkConfig::delayed(rtt / 2) };
    let config = ConnectionConfig::default();
    let flow = Flow { bytes, sender: config.clone(), receiver: config, ..Flow::endless() };
    Network { v6, flows: vec![flow], sample: 100.ms(), ..Network::new(7, link) }
}

#[test]
fn pmtu_15_a_path_that_swallows_packets_over_1400_bytes_carries_all() {
    for v6 in [false, true] {
        for rtt in [1.ms(), 20.ms(), 100.ms(), 200.ms()] {
            let mut network = network(v6, rtt, Some(10_000_000));
            network.there.mtu = Some(PathMtu::silent(1400));
            let report = network.run(60.secs()).unwrap();
            let flow = &report.flows[0];
            let first = flow.first_byte.unwrap() - flow.connected.unwrap();
            assert!(first <= 3.secs(), "{v6} {rtt:?}: the first byte after {first:?}");
            let completed =
                flow.completed.unwrap_or_else(|| panic!("{v6} {rtt:?}: {} bytes", flow.delivered));
            let steady = completed - flow.first_byte.unwrap();
            let packet = f64::from(if v6 { 1280 - 72u16 } else { 1024 - 52 });
            let text = packet / (packet + if v6 { 72.0 } else { 52.0 });
            let share = flow.delivered as f64 * 8.0 / steady.as_secs_f64() / (RATE as f64 * text);
            assert!(share >= 0.85, "{v6} {rtt:?}: {share} of what small packets could carry");
            let mtu = flow.samples.last().unwrap().path_mtu;
            assert!((1024..=1400).contains(&mtu), "{mtu}");
        }
    }
    covers!("PMTU-15");
}

#[test]
fn losses_alone_make_packets_no_smaller() {
    for v6 in [false, true] {
        let mut network = network(v6, 20.ms(), None);
        (network.there.loss, network.back.loss) = (50_000, 50_000);
        for seed in 0..20 {
            network.seed = seed;
            let report = network.run(60.secs()).unwrap();
            let least = report.flows[0].samples.iter().map(|sample| sample.path_mtu).min();
            assert_eq!(least, Some(1500), "{v6} {seed}");
        }
    }
}

/// Seen beside the kernel: after a second in the dark segments were 1,024 bytes long for a minute, though thousands of full ones
/// had gone through.
#[test]
fn a_path_that_was_dark_carries_full_segments_again() {
    for length in [1.secs(), 5.secs()] {
        let mut network = network(false, 40.ms(), None);
        network.there.blackouts = Blackouts::Every { first: 2.secs(), period: 3600.secs(), length };
        let report = network.run(2.secs() + length * 3).unwrap();
        let samples = &report.flows[0].samples;
        assert!(samples.iter().any(|sample| sample.path_mtu == 1024), "{length:?}: the size was suspected");
        assert_eq!(samples.last().unwrap().path_mtu, 1500, "{length:?}");
    }
}
