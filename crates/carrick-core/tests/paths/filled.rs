//! Endless flows: shares of what the path can carry, and of each other, and what was sent in vain.

use super::*;
use carrick_sim::Span;

/// The share of the payload capacity.
fn share(report: &NetworkReport, megabits: u64) -> f64 {
    report.goodput() / ((megabits * MEGABIT) as f64 * TEXT / PACKET)
}

/// In Mbit/s and milliseconds.
fn clean_paths() -> Vec<(u64, u64)> {
    let mut paths = vec![(50, 1), (50, 10), (50, 100)];
    if soak() {
        paths.extend([(20, 10), (20, 50), (20, 100)]);
        paths.extend([1, 2, 5, 10, 20, 50, 100].map(|rtt| (100, rtt)));
    }
    paths
}

#[test]
fn clean_paths_are_filled_by_97_percent() {
    for (megabits, rtt) in clean_paths() {
        let report = run(&path(megabits, rtt.ms()), 60.secs());
        let share = share(&report, megabits);
        println!("{megabits} Mbit/s, {rtt} ms: {share:.4}");
        assert!(share >= 0.97, "{megabits} Mbit/s, {rtt} ms: {share:.4} of the capacity");
        assert_eq!(needless(&report), 0, "{megabits} Mbit/s, {rtt} ms: bytes sent in vain");
    }
}

/// Also at 100 Mbit/s, where 33 packets overtake each that is held back, and some are repetitions.
///
/// RFC 8985 waits for a quarter of the least round trip, and counts from the latest round trip that it has seen. So what met
/// a longer queue than the packets behind it, and was held back too, is sent again now and then: one segment of 100,000. Of
/// 10 and 20 ms a quarter is not much more than 4 ms, or less, until duplicates are reported.
#[test]
fn what_is_overtaken_costs_5_percent_at_most_and_hardly_a_repetition() {
    // Mbit/s, ms, seconds, and how many segments of 100,000 may be sent in vain.
    let mut paths = vec![(50, 40, 30, 1.0), (100, 100, 20, 1.0)];
    if soak() {
        for rate in [20, 50, 100] {
            paths.extend([
                (rate, 10, 60, 60.0),
                (rate, 20, 60, 10.0),
                (rate, 40, 60, 1.5),
                (rate, 100, 60, 1.5),
            ]);
        }
    }
    for (megabits, rtt, seconds, most) in paths {
        let mut network = path(megabits, rtt.ms());
        let clean = run(&network, seconds.secs()).goodput();
        network.there.reorder = 50_000;
        (network.there.reorder_by, network.there.reorder_least) = (4.ms(), 4.ms());
        let report = run(&network, seconds.secs());
        let share = report.goodput() / clean;
        let vain = needless(&report) as f64 / report.flows[0].sent as f64 * 1e5;
        let what = format!(
            "{megabits} Mbit/s, {rtt} ms: {share:.4} of what it is in order, {vain:.1} of 100,000 in vain"
        );
        println!("{what}");
        assert!(share >= 0.95 && vain <= most, "{what}");
    }
}

#[test]
fn packets_that_come_twice_cost_2_percent_at_most_and_no_repetition() {
    let mut paths = vec![(20, 40)];
    if soak() {
        paths.extend([(20, 10), (50, 20), (50, 100), (100, 10), (100, 40), (100, 100)]);
    }
    for (megabits, rtt) in paths {
        let mut network = path(megabits, rtt.ms());
        let clean = run(&network, 60.secs()).goodput();
        network.there.duplicate = 20_000;
        network.back.duplicate = 20_000;
        let report = run(&network, 60.secs());
        let share = report.goodput() / clean;
        println!("{megabits} Mbit/s, {rtt} ms: {share:.4}");
        assert!(report.there.duplicated > 1000, "{:?}", report.there);
        assert!(share >= 0.98, "{megabits} Mbit/s, {rtt} ms: {share:.4} of what it is otherwise");
        assert_eq!(needless(&report), 0, "{megabits} Mbit/s, {rtt} ms: bytes sent in vain");
    }
}

#[test]
fn two_flows_share_evenly() {
    let mut paths = vec![(20, 10), (50, 40)];
    if soak() {
        paths.extend([20, 50, 100].into_iter().flat_map(|rate| [10, 20, 40, 100].map(|rtt| (rate, rtt))));
    }
    for (megabits, rtt) in paths {
        let mut network = path(megabits, rtt.ms());
        network.flows = vec![cubic(Flow::endless()), cubic(Flow::endless())];
        let report = run(&network, 60.secs());
        let (share, fairness) = (share(&report, megabits), report.fairness());
        println!("{megabits} Mbit/s, {rtt} ms: Jain {fairness:.4}, both {share:.4}");
        assert!(fairness >= 0.95, "{megabits} Mbit/s, {rtt} ms: Jain's index is {fairness:.4}");
        assert!(share >= 0.97, "{megabits} Mbit/s, {rtt} ms: {share:.4} of the capacity");
        assert_eq!(needless(&report), 0, "{megabits} Mbit/s, {rtt} ms: bytes sent in vain");
    }
}
