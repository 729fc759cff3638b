//! Replays the fuzzers' corpus through the functions that the fuzz targets call.

#[path = "../../../fuzz/src/wire.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets see it as a library")]
mod wire;

use std::path::PathBuf;

/// Every file as it is, and cut short at every byte.
fn replay(target: &str, check: fn(&[u8])) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(&directory).expect("the corpus is part of the repository") {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        check(&bytes);
        for len in 0..bytes.len().min(256) {
            check(&bytes[..len]);
        }
        files += 1;
    }
    assert!(files >= 10, "{} holds too little to prove anything", directory.display());
}

#[test]
fn t_mal_19_corpus_ip() {
    replay("ip", wire::ip);
    carrick_covers::covers!("T-MAL-19");
}

#[test]
fn t_mal_19_corpus_tcp() {
    replay("tcp", wire::tcp);
}

#[test]
fn t_mal_19_corpus_icmp() {
    replay("icmp", wire::icmp);
}

#[test]
fn t_mal_19_corpus_segmentation() {
    replay("segmentation", wire::segmentation);
}

#[test]
fn t_mal_19_corpus_offload() {
    replay("offload", wire::offload);
}
