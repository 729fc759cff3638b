//! Runs a test's body inside a network namespace of its own.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Set for the process that runs inside: the name of its one test.
const INSIDE: &str = "CARRICK_INSIDE";

/// Runs `body` in a namespace of its own, within `limit`; `test` is the name of the calling test, `tools` are
/// programs that it starts.
///
/// The test harness has threads, and a process with threads cannot enter a user namespace. So the same
/// binary is started again inside, for this one test. `CARRICK_SKIP_TUN=1` skips; a machine that permits no
/// TUN is otherwise a failure that says what is missing. A missing tool skips the test, or is a failure with
/// `CARRICK_REQUIRE_TOOLS=1`.
#[track_caller]
pub(crate) fn inside(test: &str, tools: &[&str], limit: Duration, body: impl Future<Output = ()>) {
    if env::var_os(INSIDE).is_some_and(|name| name == test) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let done = runtime.expect("a runtime").block_on(async { tokio::time::timeout(limit, body).await });
        assert!(done.is_ok(), "not done within {limit:?}");
        return;
    }
    if is_set("CARRICK_SKIP_TUN") {
        println!("skipped: CARRICK_SKIP_TUN=1");
        return;
    }
    for tool in tools {
        let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if let Err(error) = found {
            assert!(!is_set("CARRICK_REQUIRE_TOOLS"), "this test needs {tool}: {error}");
            println!("skipped: this test needs {tool}: {error}");
            return;
        }
    }
    let this = env::current_exe().expect("the path of this test");
    let output = Command::new(env!("CARGO_BIN_EXE_namespace"))
        .arg(this)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, test)
        .output()
        .expect("the namespace example starts");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    println!("{text}");
    assert_ne!(output.status.code(), Some(3), "no TUN here (CARRICK_SKIP_TUN=1 skips this test): {text}");
    // A name that matches nothing would run no test and succeed.
    assert!(output.status.success() && text.contains("1 passed"), "failed inside the namespace");
}

/// Whether a variable asks for something.
pub(crate) fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| value == "1")
}
