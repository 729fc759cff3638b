//! Makes `docs/requirements.md` of what tests have said, or checks that it is true. See the library.

use clap::Parser;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where what is not covered is listed, with the reason: rows `| id | reason |`.
const EXCEPTIONS: &str = "docs/decisions/exceptions.md";
const PAGE: &str = "docs/requirements.md";
/// More tests than these are counted, not named.
const NAMED: usize = 3;

/// Shows which test covers which requirement.
#[derive(Parser)]
struct Arguments {
    /// The directory that CARRICK_COVERS named when the tests ran; a relative one from the root.
    directory: PathBuf,
    /// Write the page instead of comparing it.
    #[arg(long)]
    write: bool,
    /// Only list what is missing.
    #[arg(long)]
    missing: bool,
}

/// Id to the tests that have shown it.
type Tests = BTreeMap<String, BTreeSet<String>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let root = carrick_covers::root();
    let tests = read_records(&root.join(&arguments.directory))?;
    let exceptions = exceptions(&read(&root.join(EXCEPTIONS))?)?;

    let mut problems = String::new();
    let ids: Vec<[&str; 3]> = carrick_covers::IDS.lines().filter_map(fields).collect();
    for [id, _, title] in &ids {
        match (tests.contains_key(*id), exceptions.contains_key(*id)) {
            (false, false) => _ = writeln!(problems, "{id} is not covered: {title}"),
            (true, true) => _ = writeln!(problems, "{id} is covered, and excepted in {EXCEPTIONS}"),
            _ => {}
        }
    }
    for id in exceptions.keys().filter(|id| !ids.iter().any(|[known, ..]| known == id)) {
        _ = writeln!(problems, "{EXCEPTIONS} excepts {id}, which is no requirement");
    }
    if arguments.missing {
        print!("{problems}");
        return Ok(());
    }

    let page = page(&ids, &tests, &exceptions);
    if arguments.write {
        std::fs::write(root.join(PAGE), page).map_err(|error| format!("{PAGE}: {error}"))?;
    } else if read(&root.join(PAGE))? != page {
        _ = writeln!(problems, "{PAGE} is stale: write it anew with --write");
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn fields(line: &str) -> Option<[&str; 3]> {
    let mut fields = line.splitn(3, '\t');
    Some([fields.next()?, fields.next()?, fields.next()?])
}

fn read_records(directory: &Path) -> Result<Tests, String> {
    let mut tests = Tests::new();
    let entries =
        std::fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", directory.display()))?;
        for line in read(&entry.path())?.lines() {
            let [id, file, test] = fields(line).ok_or_else(|| format!("cannot be read: {line}"))?;
            tests.entry(id.to_owned()).or_default().insert(format!("`{file}` {test}"));
        }
    }
    Ok(tests)
}

/// The rows `| id | reason |` of the page of exceptions; several ids may share a row, separated by commas.
fn exceptions(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut exceptions = BTreeMap::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")) {
        let Some((ids, reason)) = row.split_once(" | ") else { continue };
        if ids == "id" {
            continue;
        }
        for id in ids.split(", ") {
            if exceptions.insert(id.to_owned(), reason.to_owned()).is_some() {
                return Err(format!("{EXCEPTIONS} excepts {id} twice"));
            }
        }
    }
    Ok(exceptions)
}

fn page(ids: &[[&str; 3]], tests: &Tests, exceptions: &BTreeMap<String, String>) -> String {
    let covered = ids.iter().filter(|[id, ..]| tests.contains_key(*id)).count();
    let mut page = format!(
        "# Requirements and the tests that show them\n\n\
         Generated from what the tests say as they run (`covers!`); `docs/testing.md` says how. Of {} requirements {} are \
         shown by a test, {} are excepted, with the reason.\n\n\
         | id | source | rule | shown by |\n|---|---|---|---|\n",
        ids.len(),
        covered,
        ids.iter().filter(|[id, ..]| exceptions.contains_key(*id)).count()
    );
    for [id, source, title] in ids {
        let title = title.replace('|', "\\|");
        let shown = match (tests.get(*id), exceptions.get(*id)) {
            (Some(tests), _) => {
                let named: Vec<&str> = tests.iter().take(NAMED).map(String::as_str).collect();
                let more = tests.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                format!("{}{more}", named.join(", "))
            }
            (None, Some(reason)) => format!("*excepted:* {reason}"),
            (None, None) => "**nothing**".to_owned(),
        };
        _ = writeln!(page, "| {id} | {source} | {title} | {shown} |");
    }
    page
}
