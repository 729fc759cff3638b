//! Random conversations over bad links: byte-exact or an honest error, every oracle at every step, and each of the
//! situations that code gets wrong in at least a hundred of them.
//!
//! `CARRICK_SOAK=500` runs five hundred times as many: ten million conversations. A failure names its seed; `Pair::replay(seed)` plays it
//! again.

use carrick_sim::{End, Occurrences, Pair, Report, Situation};
use std::thread;

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
    situations: Occurrences,
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
        self.situations.add(&report.situations);
    }
}

/// Runs a share of the worlds, each twice, to compare the two runs bit for bit.
fn converse(part: u64) -> Sum {
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
    // The worlds are bad ones, and still most conversations get through; errors and losses do occur.
    assert!(sum.complete * 10 > sum.conversations * 6, "{sum:?}");
    assert!(sum.failed > 0 && sum.lost * 100 > sum.packets, "{sum:?}");
    sum
}

#[test]
fn random_conversations_come_to_every_situation_and_through_it() {
    let parts: Vec<_> = (0..PARTS).map(|part| thread::spawn(move || converse(part))).collect();
    let mut situations = Occurrences::default();
    for part in parts {
        let sum = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        println!("{sum:?}");
        situations.add(&sum.situations);
    }
    let rare: Vec<_> = Situation::ALL.iter().map(|it| (*it, situations.of(*it))).collect();
    println!("{rare:?}");
    let rare: Vec<_> = rare.iter().filter(|(_, count)| *count < 100).collect();
    assert!(rare.is_empty(), "in fewer than 100 conversations: {rare:?}");
}
