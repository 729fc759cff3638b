//! Anything, in any order: what the fuzz target plays as well.

use super::operations::{Op, Terms, play, run};
use carrick_sim::pattern;
use proptest::prelude::*;
use std::path::PathBuf;

fn op() -> impl Strategy<Value = Op> {
    // Often near what is true, sometimes not.
    let ack = || prop_oneof![6 => 0i8..4, 2 => Just(0i8), 1 => any::<i8>()];
    let edge = || prop_oneof![8 => 0i8..127, 1 => any::<i8>()];
    let block = move || (edge(), edge());
    prop_oneof![
        4 => any::<u16>().prop_map(Op::Write),
        4 => (ack(), prop_oneof![2 => Just(0i8), 1 => any::<i8>()]).prop_map(|(ack, echo)| Op::Ack(ack, echo)),
        6 => (ack(), [block(), block(), block()]).prop_map(|(ack, blocks)| Op::Sack(ack, blocks)),
        1 => prop_oneof![Just(0), Just(60_000), any::<u16>()].prop_map(Op::Window),
        1 => any::<u8>().prop_map(Op::Echo),
        4 => any::<u16>().prop_map(Op::Wait),
        1 => Just(Op::Finish),
        1 => any::<u16>().prop_map(Op::TooBig),
        1 => prop_oneof![0u16..20, any::<u16>()].prop_map(Op::Rest),
    ]
}

proptest! {
    #[test]
    fn whatever_a_peer_says_of_what_has_arrived(terms in 0u8..16, ops in prop::collection::vec(op(), 1..80)) {
        play(Terms::of(terms), &ops);
    }
}

/// Else it would look at nothing.
#[test]
fn random_bytes_come_to_repairs_and_timeouts() {
    let mut seen = [0; 5];
    for n in 0..300u64 {
        let bytes = pattern(n * 2000, 1601);
        for (count, came) in seen.iter_mut().zip(run(&bytes)) {
            *count += u32::from(came);
        }
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}

/// The fuzzer begins with these: each of them, and all its beginnings.
#[test]
fn corpus_of_conversations_of_recovery() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/recovery");
    let (mut files, mut seen) = (0, [0; 5]);
    for entry in std::fs::read_dir(&directory).expect("the corpus is part of the repository") {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for len in (0..bytes.len()).step_by(97) {
            run(&bytes[..len]);
        }
        for (count, came) in seen.iter_mut().zip(run(&bytes)) {
            *count += u32::from(came);
        }
        files += 1;
    }
    assert!(files >= 10, "{} holds too little to prove anything", directory.display());
    assert!(seen.iter().all(|count| *count >= files / 2), "{seen:?}");
}
