//! The runner judges nothing where there is nothing to judge.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn no_script_is_no_success() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-scripts");
    fs::create_dir_all(&directory).unwrap();
    let runner = Command::new(env!("CARGO_BIN_EXE_runner"))
        .arg("--packetdrill")
        .arg("/bin/true")
        .arg(&directory)
        .output();
    let output = runner.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "runner: there is no script to run\n");
}
