//! The demo as a visitor runs it: what it says is there, and is so.

mod common;

use common::is_set;
use std::process::{Command, Output};

/// Runs the demo; a mebibyte each way is enough to see that it works.
fn demo(arguments: &[&str]) -> Output {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    demo.args(["--size", "1"]).args(arguments).output().expect("the demo starts")
}

#[test]
fn across_a_tun() {
    if is_set("CARRICK_SKIP_TUN") {
        println!("skipped: CARRICK_SKIP_TUN=1");
        return;
    }
    for arguments in [&[][..], &["--plain"], &["--mtu", "65535"]] {
        let output = demo(&[arguments, &["--require-tun"]].concat());
        assert_ne!(
            output.status.code(),
            Some(3),
            "no TUN here (CARRICK_SKIP_TUN=1 skips this test): {output:?}"
        );
        check(&output, ["carrick", "kernel"]);
    }
}

#[test]
fn in_memory() {
    let said = check(&demo(&["--memory"]), ["far", "near"]);
    assert!(said.starts_with("device: memory pair (with offload, MTU 1500)\n"), "{said}");
    // Nothing is lost there, and nobody else is heard. Where a thousand are busy at once a tail may be asked for that was
    // only late (RFC 8985 §7): it has arrived before, and that is all that is discarded.
    let between = |before: &str, after: &str| {
        let (_, rest) = said.split_once(before).expect("it is said");
        rest.split_once(after).expect("it is said").0.to_owned()
    };
    let twice = between(" calls of the device; ", " segments twice");
    let discarded = between("near received ", "\n");
    let (_, discarded) = discarded.split_once("discarded: ").expect("what was discarded");
    let expected = if twice == "0" { "none".into() } else { format!("{twice} out of window") };
    assert_eq!(discarded, expected, "{said}");
}

/// All parts, in order.
#[track_caller]
fn check(output: &Output, [far, near]: [&str; 2]) -> String {
    let said = String::from_utf8(output.stdout.clone()).expect("text");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(!said.contains('\x1b'), "there is no terminal: {said}");

    let mut rest = said.as_str();
    let mut after = |part: &str| {
        let (_, then) =
            rest.split_once(part).unwrap_or_else(|| panic!("{part} is not there, or not in order: {said}"));
        rest = then;
        then
    };
    for family in ["IPv4", "IPv6"] {
        for (from, to) in [(near, far), (far, near)] {
            after(&format!("{family} {from} -> {to}: 1 MiB, sha256 equal, "));
        }
    }
    let ladder = after("\nOne conversation between ");
    let (ladder, _) = ladder.split_once("\n\nEach packet waited").expect("the end of the ladder");
    check_ladder(ladder);
    after("\n1,000 connections, all open after ");
    after("on each 4,096 bytes asked and 4,096 answered, all right, and closed");
    after("\nsummary\n");
    after("4 MiB, by SHA-256 what was sent\n");
    after("1,000 connections; their buffers: 0 bytes while idle, ");
    // One for each transfer.
    after("1,004 accepted, 1 opened\n");
    after("zero, as it must be");
    after("verdict                  all as it should be\n");
    said
}

/// The states that both sides must pass through, the packets that there must be, and time that does not run back.
#[track_caller]
fn check_ladder(ladder: &str) {
    let mut states = [Vec::new(), Vec::new()];
    let mut segments = Vec::new();
    let mut last = 0.0;
    for line in ladder.lines().skip(3) {
        assert!(line.len() <= 100, "{line}");
        let (time, rest) = line.split_once(" ms  ").expect("a time");
        let time: f64 = time.trim().parse().expect("a number");
        assert!(time >= last, "{line} comes after {last} ms: {ladder}");
        last = time;
        let mut words = rest.split_ascii_whitespace();
        for (states, state) in states.iter_mut().zip([words.next(), words.next_back()]) {
            let state = state.expect("a state").to_owned();
            if states.last() != Some(&state) {
                states.push(state);
            }
        }
        if let Some(arrow) = rest.split('|').nth(1) {
            let direction = if arrow.ends_with('>') { ">" } else { "<" };
            segments.push(format!("{direction} {}", arrow.trim_matches(|c| "<>- ".contains(c))));
        }
    }
    let [far, near] = states;
    assert_eq!(
        far,
        ["CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"],
        "{ladder}"
    );
    assert_eq!(
        near,
        ["LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
        "{ladder}"
    );
    let handshake = ["> SYN S=0", "< SYN,ACK S=0 A=1", "> ACK S=1 A=1"];
    assert_eq!(segments[..3], handshake, "{ladder}");
    // Which of the others there are is for both sides to choose.
    let rest = [
        "> PSH,ACK S=1 A=1 100 bytes",
        "> FIN,ACK S=101 A=1",
        "< PSH,ACK S=1 A=102 500 bytes",
        "> ACK S=102 A=501",
        "< PSH,ACK S=501 A=102 500 bytes",
        "> ACK S=102 A=1001",
        "< FIN,ACK S=1001 A=102",
        "> ACK S=102 A=1002",
    ];
    let mut seen = segments.iter();
    for segment in rest {
        assert!(seen.any(|seen| seen == segment), "{segment} is not there, or not in order: {ladder}");
    }
}
