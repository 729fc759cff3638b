//! The runner judges nothing where there is nothing to judge, and what a run has started ends with it.
//!
//! A shell script stands for the tool. It tells the runner's trial from a script by the name.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long what is left in the background lives if nobody ends it, in seconds.
const LONG: u64 = 30;

/// A directory of the test's own, with a script to judge, and a FIFO.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("judged-v4.pkt"), "--ip_version=ipv4\n").unwrap();
    assert!(Command::new("mkfifo").arg(directory.join("alive")).status().unwrap().success());
    directory
}

/// A tool that passes the trial, and does this with a script. It holds the FIFO open, and so does what it starts.
fn tool(directory: &Path, does: &str) -> PathBuf {
    let path = directory.join("tool");
    let alive = directory.join("alive");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in --dry_run*) exit 0 ;; *judged*) ;; *) exit 0 ;; esac\nexec 3>'{}'\n{does}\n",
        alive.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn runner(directory: &Path, tool: &Path) -> Command {
    let mut runner = Command::new(env!("CARGO_BIN_EXE_runner"));
    runner.arg("--verbose").arg("--packetdrill").arg(tool).arg(directory);
    runner
}

/// Whether runs may have namespaces here, and keep their memory in place, in a directory that has a script.
///
/// # Panics
/// Without that, unless `CARRICK_SKIP_TUN` is 1.
fn has_namespaces(directory: &Path) -> bool {
    let mut trial = Command::new("unshare");
    trial.args(["--user", "--map-root-user", "--net", "true"]);
    for mut trial in [trial, runner(directory, Path::new("/bin/true"))] {
        let output = trial.output();
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            continue;
        }
        let skip = std::env::var_os("CARRICK_SKIP_TUN").is_some_and(|value| value == "1");
        assert!(skip, "runs cannot be made here (CARRICK_SKIP_TUN=1 skips this test): {trial:?}: {output:?}");
        println!("skipped: CARRICK_SKIP_TUN=1");
        return false;
    }
    true
}

/// Reads until nobody holds the FIFO open for writing any more, that is until who did has ended.
fn until_gone(mut alive: impl Read) {
    alive.read_to_end(&mut Vec::new()).unwrap();
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn no_script_is_no_success() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-scripts");
    fs::create_dir_all(&directory).unwrap();
    let (status, _, error) = said(&runner(&directory, Path::new("/bin/true")).output().unwrap());
    assert_eq!(status, Some(2));
    assert_eq!(error, "runner: there is no script to run\n");
}

#[test]
fn links_to_directories_count_unless_they_lead_back() {
    let (directory, elsewhere) = (directory("has-links"), directory("is-linked"));
    if !has_namespaces(&directory) {
        return;
    }
    symlink(&elsewhere, directory.join("linked")).unwrap();
    symlink(&directory, elsewhere.join("back")).unwrap();
    symlink("..", directory.join("above")).unwrap();
    let output = runner(&directory, Path::new("/bin/true")).output().unwrap();
    let (status, table, error) = said(&output);
    assert_eq!(status, Some(0), "{table}{error}");
    let rows: Vec<_> =
        table.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>()).collect();
    assert_eq!(rows[1..], [[".", "1", "1"], ["linked", "1", "1"], ["all", "2", "2"]], "{table}");
}

#[test]
fn a_limit_that_is_no_time_is_refused() {
    for limit in ["0", "18446744073709551615"] {
        let output = runner(Path::new("."), Path::new("/bin/true")).arg("--limit").arg(limit).output();
        let (status, _, error) = said(&output.unwrap());
        assert_eq!(status, Some(2), "{error}");
        assert!(error.contains("'--limit <LIMIT>'"), "{error}");
    }
}

#[test]
fn a_tool_that_fails_the_trial_judges_nothing() {
    let directory = directory("fails-the-trial");
    if !has_namespaces(&directory) {
        return;
    }
    let tool = tool(&directory, "");
    fs::write(&tool, "#!/bin/sh\nfor last; do :; done\ncat $last\necho no device\nexit 1\n").unwrap();
    let (status, table, error) = said(&runner(&directory, &tool).output().unwrap());
    assert_eq!((status, table.as_str()), (Some(2), ""));
    let why = "runner: a script that only makes a socket fails, so none was judged:\n\
        0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\nno device\n\n";
    assert_eq!(error, why);
}

#[test]
fn what_is_left_in_the_background_ends_with_its_run() {
    let directory = directory("leaves-something");
    if !has_namespaces(&directory) {
        return;
    }
    let tool = tool(&directory, &format!("sleep {LONG} &"));
    let began = Instant::now();
    let results = directory.join("results");
    fs::write(
        &results,
        "of an earlier run, longer than what comes of this one, which is one line of JSON\n".repeat(9),
    )
    .unwrap();
    let mut runner = runner(&directory, &tool);
    let runner = runner.arg("--json").arg(&results).stdout(Stdio::piped()).spawn().unwrap();
    until_gone(fs::File::open(directory.join("alive")).unwrap());
    let (status, table, _) = said(&runner.wait_with_output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(LONG), "it has outlived its run");
    assert_eq!(status, Some(0), "{table}");
    let results = fs::read_to_string(results).unwrap();
    assert!(results.contains("\"outcome\":\"passed\"") && results.ends_with("}\n]\n"), "{results}");
    assert!(!results.contains("earlier"), "{results}");
}

#[test]
fn a_limit_ends_all_that_a_run_has_started() {
    let directory = directory("beyond-the-limit");
    if !has_namespaces(&directory) {
        return;
    }
    let tool = tool(&directory, &format!("echo begun\nsleep {LONG} &\nsleep {LONG}"));
    let began = Instant::now();
    let runner = runner(&directory, &tool).args(["--limit", "5"]).stdout(Stdio::piped()).spawn().unwrap();
    until_gone(fs::File::open(directory.join("alive")).unwrap());
    let (status, table, _) = said(&runner.wait_with_output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(LONG), "what was started has outlived its run");
    assert_eq!(status, Some(1));
    assert!(table.contains("begun\n    not done within 5 s\n"), "{table}");
}

#[test]
fn what_has_left_the_group_holds_nobody() {
    let directory = directory("left-the-group");
    if !has_namespaces(&directory) {
        return;
    }
    // The pipe closes when it has a session of its own.
    let tool = tool(&directory, &format!("exec 3>&-\n: \"$(setsid sh -c 'exec sleep {LONG} >&2' &)\""));
    fs::write(&tool, fs::read_to_string(&tool).unwrap().replace("exec 3>'", "exec 3<>'")).unwrap();
    let began = Instant::now();
    let (status, table, error) = said(&runner(&directory, &tool).output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(LONG), "the runner has waited for it");
    assert_eq!(status, Some(0), "{table}{error}");
}

#[test]
fn a_killed_runner_leaves_nothing() {
    let directory = directory("killed");
    if !has_namespaces(&directory) {
        return;
    }
    let tool = tool(&directory, &format!("sleep {LONG} &\necho begun >&3\nsleep {LONG}"));
    let results = directory.join("results");
    fs::write(&results, "of an earlier run").unwrap();
    let mut runner = runner(&directory, &tool);
    let mut runner = runner.arg("--json").arg(&results).stdout(Stdio::null()).spawn().unwrap();
    let mut alive = BufReader::new(fs::File::open(directory.join("alive")).unwrap());
    let mut line = String::new();
    alive.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    let killed = Instant::now();
    runner.kill().unwrap();
    runner.wait().unwrap();
    until_gone(alive);
    assert!(killed.elapsed() < Duration::from_secs(LONG), "what was started has outlived the runner");
    assert_eq!(fs::read_to_string(results).unwrap(), "of an earlier run");
}
