//! The paths as a visitor tries them: a table, the same each time, and pictures.

use std::fs;
use std::process::{Command, Output};

fn paths(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paths")).args(arguments).output().expect("it starts")
}

/// What it says, where it succeeds.
#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = paths(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_table_figures_and_pictures() {
    let directory = std::env::temp_dir().join(format!("carrick-paths-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let csv = directory.join("all.csv");
    let (csv_name, pictures) = (csv.to_str().expect("a name"), directory.to_str().expect("a name"));
    let only = ["--only", "clean-20ms", "--only", "two-flows", "--only", "10-KB", "--controller", "new-reno"];
    let arguments =
        [&only[..], &["--seconds", "3", "--csv", csv_name, "--plots", pictures, "--to", "2"]].concat();
    let table = said(&arguments);
    assert_eq!(table, said(&[&only[..], &["--seconds", "3"]].concat()), "the same seed gives the same table");
    assert_eq!(table.lines().count(), 2 + 3, "{table}");
    let text = fs::read_to_string(&csv).expect("a file");
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().expect("a line");
    let figure = |line: &[&str], name: &str| -> f64 {
        let place = head.iter().position(|field| *field == name).expect("a field of that name");
        line[place].parse().expect("a number")
    };
    let lines: Vec<_> = lines.collect();
    for (line, path) in lines.iter().zip(["clean-20ms", "two-flows", "10-KB"]) {
        assert_eq!((line[0], line.len()), (path, head.len()));
        assert!(figure(line, "goodput") <= figure(line, "capacity"));
        assert!(
            figure(line, "needless") <= figure(line, "resent")
                && figure(line, "resent") < figure(line, "sent")
        );
        let picture = fs::read_to_string(directory.join(format!("{path}-new-reno.svg"))).expect("a picture");
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        assert!(picture.contains(&format!(">\n{path} (")), "its title");
    }
    assert!(figure(&lines[0], "goodput") > 0.3 * figure(&lines[0], "capacity"));
    assert!((0.5..=1.0).contains(&figure(&lines[1], "fairness")));
    let (took, least) = (figure(&lines[2], "worst_time"), figure(&lines[2], "least_time"));
    assert!(took >= least && took < 1.1 * least, "{took} s, at least {least} s");
    fs::remove_dir_all(&directory).expect("what was made here");
}

#[test]
fn what_there_is_not() {
    assert!(said(&["--list"]).lines().count() > 16);
    let output = paths(&["--only", "wormhole"]);
    assert!(!output.status.success() && !output.stderr.is_empty(), "{output:?}");
}
