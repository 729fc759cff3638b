//! carrick against the kernel over bad paths, in real time: goodput of carrick's CUBIC to the kernel, of the kernel's
//! to the kernel, and of the kernel's to carrick, all over the same links, with the same seeds.
//!
//! ```text
//! cargo bench -p carrick-benches --bench impaired_goodput -- --help
//! ```
//!
//! Between the two ends is an [`Impaired`](carrick::device::impaired::Impaired) device, whoever they are. The kernel's ends
//! have a network namespace and a plain TUN each, which cuts what the kernel sends into packets of 1,500 bytes; carrick's have
//! a memory device. What was sent in vain is counted where packets come out of the link, by sequence numbers, for both in
//! the same way. It needs `/dev/net/tun` and makes user and network namespaces of its own.

mod ends;
mod paths;
mod report;
mod splice;
mod trial;

use carrick_benches::options;
use clap::Parser;
use paths::Path;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use trial::{Pairing, Trial};

/// carrick against the kernel over bad paths.
#[derive(Parser)]
struct Arguments {
    /// Only paths whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    paths: Vec<String>,
    /// Only these pairs of sender and receiver. Default: all but carrick to carrick.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Pairing::CarrickKernel, Pairing::KernelKernel, Pairing::KernelCarrick])]
    pairs: Vec<Pairing>,
    /// How many runs there are of each, with as many seeds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// How long a run lasts from the connection's beginning. Default: as long as its path needs, 8 to 15 s.
    #[arg(long)]
    seconds: Option<f64>,
    /// How many runs go on at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    parallel: u32,
    /// Writes each run's figures to this file as comma-separated values.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Writes what passes the senders to this directory, a file for each run.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Says what paths there are, and ends.
    #[arg(long)]
    list: bool,
    /// Runs one path once and briefly, to see that it works; figures mean nothing then.
    #[arg(long)]
    test: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
    /// As `--paths`.
    filter: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let wanted: Vec<_> = arguments.paths.drain(..).chain(arguments.filter.take()).collect();
    let wants =
        |path: &Path| wanted.is_empty() || wanted.iter().any(|part| path.name.contains(part.as_str()));
    let mut paths: Vec<_> = paths::all().into_iter().filter(wants).collect();
    if arguments.list {
        paths.iter().for_each(|path| println!("{:<16} {}", path.name, path.what));
        return ExitCode::SUCCESS;
    }
    if arguments.test {
        paths.truncate(1);
        // A busy machine may not let anybody run for a while.
        (arguments.seeds, arguments.seconds) = (1, Some(0.8));
    }
    if paths.is_empty() {
        eprintln!("there is no such path; see --list");
        return ExitCode::FAILURE;
    }
    if let Err(code) = options::enter() {
        return code;
    }
    println!("{} seeds, {} runs at once; {}", arguments.seeds, arguments.parallel, options::load());
    let report = run(&paths, &arguments);
    print!("{}", report.table());
    println!("at the end: {}", options::load());
    let written = arguments.csv.as_ref().map_or(Ok(()), |file| report.write_csv(file));
    if let Err(error) = &written {
        eprintln!("{error}");
    }
    for failure in report.failures() {
        eprintln!("{failure}");
    }
    if written.is_err() || report.failures().next().is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All trials, some at once. Those that are compared follow each other, so that they meet the same load.
fn run(paths: &[Path], arguments: &Arguments) -> Report {
    let mut trials = Vec::new();
    for path in paths {
        for seed in 0..arguments.seeds {
            trials.extend(arguments.pairs.iter().map(|&pairing| Trial {
                path: path.clone(),
                pairing,
                seed: arguments.first_seed + seed,
                lasts: arguments.seconds.map_or(path.lasts, Duration::from_secs_f64),
                trace: arguments.trace.clone(),
            }));
        }
    }
    let report = Mutex::new(Report::new(paths, trials.len()));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..arguments.parallel {
            scope.spawn(|| {
                while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = trial.run();
                    report.lock().expect("nobody panics holding it").add(trial, outcome);
                }
            });
        }
    });
    report.into_inner().expect("nobody panicked holding it")
}
