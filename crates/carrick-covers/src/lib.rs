//! Which test shows which requirement.
//!
//! A test says `covers!("MUST-13", "TW-10")` where it has shown them. With `CARRICK_COVERS` naming a directory
//! the ids are written there as the tests run; without it nothing happens. Only what a test that ran has said
//! counts: comments and names do not. The binary of this crate makes `docs/requirements.md` of it:
//!
//! ```text
//! CARRICK_COVERS=target/covers cargo test --workspace --all-features
//! cargo run -p carrick-covers -- target/covers          # fails if the page is stale or an id is missing
//! cargo run -p carrick-covers -- target/covers --write  # writes the page
//! ```
//!
//! A relative directory is meant from the root of the repository.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// The environment variable that names the directory for what tests say.
pub const DIRECTORY: &str = "CARRICK_COVERS";

/// Every id with its source and its rule in short, a line for each, separated by tabs.
pub const IDS: &str = include_str!("../ids.tsv");

/// Says which requirements the test around it has shown; each argument is an id. Put it behind the last
/// assertion about them.
///
/// # Panics
///
/// If an id is unknown.
#[macro_export]
macro_rules! covers {
    ($($id:expr),+ $(,)?) => {{
        // The path of a closure is the path of what it stands in, and `::{{closure}}`.
        let here = || ();
        $($crate::record($id, file!(), core::any::type_name_of_val(&here));)+
    }};
}

/// What [`covers!`] calls.
///
/// # Panics
///
/// If the id is unknown, or the file cannot be written.
pub fn record(id: &str, file: &str, path: &str) {
    assert!(ids().contains(id), "{id} is no requirement: see crates/carrick-covers/ids.tsv");
    static SINK: OnceLock<Option<Mutex<Sink>>> = OnceLock::new();
    let Some(sink) = SINK.get_or_init(Sink::open) else { return };
    // A test that failed elsewhere does not matter here: a line is written whole or not at all.
    let mut sink = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let line = format!("{id}\t{file}\t{}\n", test_of(path));
    if !sink.said.contains(&line) {
        sink.file.write_all(line.as_bytes()).expect("what is covered can be written");
        sink.said.insert(line);
    }
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn ids() -> &'static HashSet<&'static str> {
    static KNOWN: OnceLock<HashSet<&'static str>> = OnceLock::new();
    KNOWN.get_or_init(|| IDS.lines().filter_map(|line| line.split('\t').next()).collect())
}

/// The name of the function that a closure's path leads to, without the crate.
fn test_of(path: &str) -> &str {
    let path = path.trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, rest)| rest)
}

struct Sink {
    file: File,
    said: HashSet<String>,
}

impl Sink {
    fn open() -> Option<Mutex<Self>> {
        // Tests run in the directories of their packages.
        let directory = root().join(std::env::var_os(DIRECTORY)?);
        std::fs::create_dir_all(&directory).expect("the directory for what is covered can be made");
        let path = directory.join(format!("{}.tsv", std::process::id()));
        let file = OpenOptions::new().create(true).append(true).open(path);
        Some(Mutex::new(Self { file: file.expect("what is covered can be written"), said: HashSet::new() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_named_by_its_path() {
        let here = || ();
        let path = std::any::type_name_of_val(&here);
        assert_eq!(test_of(path), "tests::a_test_is_named_by_its_path");
    }

    #[test]
    #[should_panic = "MUST-70 is no requirement"]
    fn an_unknown_id_fails() {
        covers!("MUST-70");
    }
}
