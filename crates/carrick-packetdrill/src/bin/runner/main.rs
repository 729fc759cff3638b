//! Runs suites of packetdrill scripts against carrick, or against the kernel, and tells what became of each.
//!
//! Each run has a user and a network namespace of its own, with a TUN device where the library is under test. Nothing
//! is judged by what the tool prints: a script has *passed* if the tool says so by its exit status, is *not parsable*
//! if the tool's dry run says so, is *not applicable* if a written list names it, and has *failed* otherwise.

mod report;
mod run;
mod script;

use clap::Parser;
use report::{Report, Row};
use run::{Inside, Isolation, Outcome, Tool};
use script::{NotApplicable, Script, Variant};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

/// Runs suites of packetdrill scripts against carrick, or against the kernel.
#[derive(Debug, Parser)]
struct Args {
    /// The tool: google/packetdrill, built.
    #[arg(long)]
    packetdrill: PathBuf,
    /// The library under test, `libcarrick_packetdrill.so`. Without it the kernel is.
    #[arg(long)]
    so: Option<PathBuf>,
    /// Run each script against the kernel too.
    #[arg(long, requires = "so")]
    beside_kernel: bool,
    /// The congestion controller that sockets begin with, whatever the namespace lets scripts choose.
    #[arg(long, default_value = "cubic")]
    congestion: String,
    /// So many runs at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Most real time of a run, in seconds; at most a day.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit: u64,
    /// Only scripts whose path contains this.
    #[arg(long)]
    only: Option<String>,
    /// Only this variant.
    #[arg(long, value_enum)]
    variant: Option<Variant>,
    /// Scripts that are not applicable, with reasons. Default: the list that comes with the runner.
    #[arg(long)]
    not_applicable: Option<PathBuf>,
    /// Write the results as JUnit's XML.
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Print what the tool said of each run that failed.
    #[arg(long, short)]
    verbose: bool,
    /// Scripts, and directories of them.
    #[arg(required = true)]
    suites: Vec<PathBuf>,
}

fn main() -> ExitCode {
    // Started anew by itself, inside fresh namespaces.
    if let Some(inside) = Inside::from_args(std::env::args_os()) {
        return match inside.play() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(problem) => {
                eprintln!("{problem}");
                ExitCode::from(Inside::NO_RUN)
            }
        };
    }
    match judge(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("runner: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Writes a file anew. A pipe or a terminal holds nothing that would have to go.
fn replace(file: &mut File, text: &str) -> std::io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())
}

/// Whether all passed that is applicable.
fn judge(args: &Args) -> Result<bool, String> {
    let not_applicable = NotApplicable::read(args.not_applicable.as_deref())?;
    let mut scripts = Vec::new();
    for suite in &args.suites {
        script::find(suite, &mut scripts)?;
    }
    let wanted = |script: &Script| {
        let only = args.only.as_ref().is_none_or(|only| script.path.to_string_lossy().contains(only));
        only && args.variant.is_none_or(|variant| variant == script.variant)
    };
    scripts.retain(wanted);
    if scripts.is_empty() {
        return Err("there is no script to run".to_owned());
    }
    let isolation = Isolation::find()?;
    let tool = |so: Option<&PathBuf>| {
        let canonical =
            |path: &PathBuf| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
        Ok::<_, String>(Tool {
            packetdrill: canonical(&args.packetdrill)?,
            so: so.map(canonical).transpose()?,
            congestion: args.congestion.clone(),
            isolation,
            limit: Duration::from_secs(args.limit),
        })
    };
    let subject = tool(args.so.as_ref())?;
    let kernel = if args.beside_kernel { Some(tool(None)?) } else { None };
    for tool in [Some(&subject), kernel.as_ref()].into_iter().flatten() {
        tool.try_out()?;
    }
    // Opened before the runs, which are long to be in vain; what is there stays until there is something better.
    let create = |path: &PathBuf| {
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<_, String>((path.clone(), file))
    };
    let junit = args.junit.as_ref().map(create).transpose()?;
    let json = args.json.as_ref().map(create).transpose()?;

    let queue = Mutex::new(scripts.iter().enumerate());
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some((at, script)) = queue.lock().map_or(None, |mut queue| queue.next()) else {
                        return;
                    };
                    let listed = not_applicable.reason(&script.path);
                    let result = match listed {
                        Some(reason) => run::Result::new(Outcome::NotApplicable, reason),
                        None => subject.run(script),
                    };
                    let kernel = kernel.as_ref().map(|kernel| kernel.run(script).outcome);
                    if let Ok(mut rows) = rows.lock() {
                        rows.push((at, Row { script: script.clone(), result, kernel }));
                    }
                }
            });
        }
    });
    let mut rows = rows.into_inner().map_err(|_| "a thread of the runner's has ended badly")?;
    rows.sort_by_key(|(at, _)| *at);
    let report = Report { rows: rows.into_iter().map(|(_, row)| row).collect(), verbose: args.verbose };
    for (to, text) in [(junit, report.junit()), (json, report.json())] {
        if let Some((path, mut file)) = to {
            replace(&mut file, &text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let table = report.table();
    std::io::stdout().write_all(table.as_bytes()).map_err(|error| format!("cannot print: {error}"))?;
    Ok(report.all_passed())
}
