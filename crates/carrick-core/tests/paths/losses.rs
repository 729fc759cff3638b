//! Random losses where nothing else is in the way: what a window comes to, beside what the RFCs say it should be.

use super::*;
use carrick_sim::{FlowSample, Span, at};

const SEEDS: u64 = 20;
/// The first slow start, in which nothing is in the way either, and what comes of it are over by then.
const SETTLED: u64 = 30;
const END: u64 = 90;

/// Segments in flight on average, where one of 1/p is lost (RFC 9438 §5.1, figure 5, and §4.3, with alpha 9/17).
fn responses(rtt: f64, p: f64) -> [f64; 2] {
    let (c, beta) = (0.4_f64, 0.7);
    let cubic = (c * (3.0 + beta) / (4.0 * (1.0 - beta))).powf(0.25) * (rtt / p).powf(0.75);
    let alpha = 3.0 * (1.0 - beta) / (1.0 + beta);
    let reno = (alpha * (1.0 + beta) / (2.0 * (1.0 - beta) * p)).sqrt();
    [reno, cubic]
}

/// What is delivered in a round trip, in segments, on average over all seeds.
fn window(rtt: u64, lost: u32) -> f64 {
    let mut network = Network::new(1, LinkConfig::delayed(rtt.ms() / 2));
    network.flows = vec![cubic(Flow::endless())];
    // Some times what it should come to: without end slow start would go on until the first loss.
    let most = 4.0 * responses(rtt as f64 / 1e3, f64::from(lost) / 1e6).into_iter().fold(0.0, f64::max);
    network.flows[0].receiver.receive_buffer = (most * TEXT) as u32;
    network.there.loss = lost;
    network.sample = 1.secs();
    let windows = (0..SEEDS).map(|seed| {
        network.seed = seed;
        let report = run(&network, END.secs());
        let samples = &report.flows[0].samples;
        let from = |sample: &&FlowSample| sample.at >= at(SETTLED.secs());
        let (first, last) = (samples.iter().find(from).unwrap(), samples.last().unwrap());
        let seconds = last.at.since(first.at).as_secs_f64();
        (last.delivered - first.delivered) as f64 / TEXT * (rtt as f64 / 1e3) / seconds
    });
    windows.sum::<f64>() / SEEDS as f64
}

#[test]
fn cubic_answers_to_random_losses_as_its_formulas_say() {
    // In ms, and of a million: where Reno's response is larger, and where CUBIC's is.
    let mut paths = vec![(40, 10_000), (200, 1000)];
    if soak() {
        paths.extend([
            (10, 10_000),
            (20, 10_000),
            (20, 1000),
            (40, 5000),
            (100, 1000),
            (100, 100),
            (200, 100),
        ]);
    }
    for (rtt, lost) in paths {
        let [reno, cubic] = responses(rtt as f64 / 1e3, f64::from(lost) / 1e6);
        let ratio = window(rtt, lost) / reno.max(cubic);
        let what =
            format!("{rtt} ms, {lost} of a million lost: {ratio:.3} of {:.1} segments", reno.max(cubic));
        println!("{what}");
        assert!((0.85..=1.3).contains(&ratio), "{what}");
    }
}

#[test]
fn the_formulas_come_to_what_the_rfc_prints() {
    // RFC 9438 §5.1, tables 1 and 2: average windows of 0.1 s and of 0.01 s; Reno's by the formula of CUBIC's own estimate.
    for (rtt, p, cubic) in
        [(0.1, 1e-2, 6.0), (0.1, 1e-4, 187.0), (0.1, 1e-8, 187_473.0), (0.01, 1e-6, 1054.0)]
    {
        let [_, ours] = responses(rtt, p);
        assert!((ours / cubic - 1.0).abs() < 0.02, "{ours} instead of {cubic}");
    }
    assert!((responses(1.0, 1e-2)[0] - 12.25).abs() < 0.01);
}
