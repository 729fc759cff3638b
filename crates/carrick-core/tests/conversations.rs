//! Random conversations over bad links: byte-exact or an honest error, every oracle at every step.
//!
//! `CARRICK_SOAK=50` runs fifty times as many worlds. A failure names its seed; `Pair::replay(seed)` plays it
//! again.

use carrick_sim::{End, Pair, Report};

/// Conversations over all parts of the ordinary test run.
const CONVERSATIONS: u64 = 20_000;
const PARTS: u64 = 4;

fn soak() -> u64 {
    std::env::var("CARRICK_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[derive(Debug, Default)]
struct Sum {
    worlds: u64,
    conversations: u64,
    complete: u64,
    failed: u64,
    stranded: u64,
    lost: u64,
    packets: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        let count = |wanted: fn(&End) -> bool| {
            report.ends.iter().flatten().flatten().filter(|end| wanted(end)).count() as u64
        };
        self.worlds += 1;
        self.conversations += report.ends.len() as u64;
        self.complete += report.complete() as u64;
        self.failed += count(|end| matches!(end, End::Failed(_)));
        self.stranded += count(|end| matches!(end, End::Stranded));
        self.lost += report.lost;
        self.packets += report.packets;
        self.bytes += report.bytes;
    }
}

/// Runs a share of the worlds, each twice, to compare the two runs bit for bit.
fn converse(part: u64) {
    let mut sum = Sum::default();
    for seed in (part..).step_by(PARTS as usize) {
        if sum.conversations >= CONVERSATIONS / PARTS * soak() {
            break;
        }
        match Pair::replay(seed) {
            Ok(report) => sum.add(&report),
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{sum:?}");
    // The worlds are bad ones, and still most conversations get through; errors and losses do occur.
    assert!(sum.complete * 10 > sum.conversations * 6, "{sum:?}");
    assert!(sum.failed > 0 && sum.lost * 100 > sum.packets, "{sum:?}");
}

#[test]
fn random_conversations_part_1_of_4() {
    converse(0);
}

#[test]
fn random_conversations_part_2_of_4() {
    converse(1);
}

#[test]
fn random_conversations_part_3_of_4() {
    converse(2);
}

#[test]
fn random_conversations_part_4_of_4() {
    converse(3);
}
