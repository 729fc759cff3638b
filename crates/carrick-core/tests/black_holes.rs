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

/// A probe of a full segment that nobody answers is a sign as well, where the next timeout is far away.
#[test]
fn pmtu_15_the_first_byte_comes_within_3_s_also_at_half_a_second() {
    for v6 in [false, true] {
        for (rtt, most) in [(200.ms(), 1200.ms()), (300.ms(), 1700.ms()), (500.ms(), 3.secs())] {
            let mut network = network(v6, rtt, Some(100_000));
            network.there.mtu = Some(PathMtu::silent(1400));
            let report = network.run(60.secs()).unwrap();
            let flow = &report.flows[0];
            let first = flow.first_byte.unwrap() - flow.connected.unwrap();
            println!("{v6} {rtt:?}: the first byte after {first:?}");
            assert!(first <= most, "{v6} {rtt:?}: the first byte after {first:?}");
            assert!(flow.completed.is_some(), "{v6} {rtt:?}");
        }
    }
    covers!("PMTU-15");
}

/// It is the beginning of a connection that is hard to tell from a black hole: 250 of them for each path.
#[test]
fn losses_alone_make_packets_of_new_connections_no_smaller() {
    for (rtt, loss) in [(20.ms(), 50_000), (200.ms(), 50_000), (500.ms(), 50_000), (200.ms(), 100_000)] {
        let mut network = network(false, rtt, Some(20_000));
        (network.there.loss, network.back.loss) = (loss, loss);
        let flow = network.flows[0].clone();
        network.flows = (0..250u64).map(|n| Flow { at: (5 * n).secs(), ..flow.clone() }).collect();
        let report = network.run(1400.secs()).unwrap();
        let small =
            report.flows.iter().filter(|flow| flow.samples.iter().any(|sample| sample.path_mtu < 1500));
        println!("{rtt:?} {loss}: {} of 250", small.clone().count());
        assert_eq!(small.count(), 0, "{rtt:?}: of 250 connections with {loss} of a million lost");
    }
}

/// Seen beside the kernel: after some time in the dark segments were 1,024 bytes long for a minute, though thousands of full ones
/// had gone through.
#[test]
fn a_path_that_was_dark_carries_full_segments_again() {
    for length in [3.secs(), 8.secs()] {
        let mut network = network(false, 40.ms(), None);
        network.there.blackouts = Blackouts::Every { first: 2.secs(), period: 3600.secs(), length };
        let report = network.run(2.secs() + length * 3).unwrap();
        let samples = &report.flows[0].samples;
        assert!(samples.iter().any(|sample| sample.path_mtu == 1024), "{length:?}: the size was suspected");
        assert_eq!(samples.last().unwrap().path_mtu, 1500, "{length:?}");
    }
}
