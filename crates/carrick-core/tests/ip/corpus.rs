//! Replays the fuzzer's corpus of fragments through the function that the fuzz target calls.

#[path = "../../../../fuzz/src/fragments.rs"]
#[allow(unreachable_pub, reason = "the fuzz target sees it as a library")]
mod fragments;

use carrick_sim::Rng;
use std::path::PathBuf;

#[test]
fn t_frg_2_corpus_of_fragments() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/reassembly");
    let mut files = 0;
    for entry in std::fs::read_dir(&directory).expect("the corpus is part of the repository") {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for len in 0..=bytes.len().min(256) {
            fragments::reassembly(&bytes[..len]);
        }
        fragments::reassembly(&bytes);
        files += 1;
    }
    assert!(files >= 10, "{} holds too little to prove anything", directory.display());
}

#[test]
fn t_frg_2_random_fragments_agree_with_a_map_of_bytes() {
    let mut rng = Rng::new(11);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..rng.size(0, 60)).map(|_| rng.bits() as u8).collect();
        fragments::reassembly(&bytes);
    }
}
