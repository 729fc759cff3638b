//! Flows that are over before there is anything to control: as soon as slow start allows.

use super::*;
use carrick_sim::Span;

/// The queue has room for most of the initial window everywhere, with 8 packets at 100 Mbit/s and 1 ms. Where it has not, as at
/// 50 Mbit/s and 1 ms, more of that is lost.
#[test]
fn short_flows_take_a_tenth_more_than_the_least_at_most() {
    let near = [(100, 1), (1000, 1), (100, 2), (50, 5), (100, 5), (20, 10), (50, 10), (100, 10)];
    let far =
        [(10, 20), (50, 20), (100, 20), (20, 40), (50, 40), (100, 40), (20, 100), (50, 100), (100, 100)];
    for (megabits, rtt) in near.into_iter().chain(far) {
        for bytes in [10_000, 30_000, 100_000, 300_000, 1_000_000] {
            let mut network = path(megabits, rtt.ms());
            network.flows = vec![cubic(Flow::of(bytes))];
            let least = network.flows[0].least_time(megabits * MEGABIT, rtt.ms()).expect("it has an end");
            let report = run(&network, 60.secs());
            let took = report.flows[0].completed.expect("it is complete");
            let ratio = took.as_secs_f64() / least.as_secs_f64();
            let what =
                format!("{bytes} bytes at {megabits} Mbit/s, {rtt} ms: {took:?}, {ratio:.3} of the least");
            println!("{what}");
            assert!(ratio <= 1.1, "{what}");
            assert_eq!(needless(&report), 0, "{what}, and bytes sent in vain");
        }
    }
}
