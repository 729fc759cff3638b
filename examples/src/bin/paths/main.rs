//! Congestion controllers over named paths, in virtual time: goodput against what the path can carry, completion times,
//! queueing delay, what was sent again and how much of it in vain, and how fair it was.
//!
//! ```text
//! cargo run --release -p carrick-examples --bin paths
//! cargo run --release -p carrick-examples --bin paths -- --only two-flows --csv results.csv --plots pictures
//! ```
//!
//! The table is Markdown. Each picture shows one run: packets as they pass the sender (or, of several flows, what each has
//! delivered), windows, and round-trip times over the queue's delay. The same seed gives the same table.

mod controllers;
mod named;
mod plot;
mod row;

use clap::Parser;
use controllers::Named as Controller;
use named::Named;
use row::Row;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Congestion controllers over named paths, in virtual time.
#[derive(Parser)]
struct Arguments {
    /// Only paths whose names contain this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Only this controller; may be given several times.
    #[arg(long)]
    controller: Vec<String>,
    /// How long endless flows last, in seconds of virtual time.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Seeds all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes all figures there, as comma-separated values.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Draws each run there, as `PATH-CONTROLLER.svg`.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Where pictures begin, in seconds.
    #[arg(long, default_value_t = 0.0)]
    from: f64,
    /// Where they end. Default: where the run does.
    #[arg(long, default_value_t = f64::INFINITY)]
    to: f64,
    /// Says what paths and controllers there are, and ends.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let wanted = |name: &str, list: &[String]| list.is_empty() || list.iter().any(|part| name.contains(part));
    let paths: Vec<Named> = named::all(arguments.seed, arguments.seconds);
    let paths: Vec<_> = paths.into_iter().filter(|path| wanted(path.name, &arguments.only)).collect();
    let controllers = controllers::ALL.iter().filter(|one| wanted(one.name, &arguments.controller));
    let controllers: Vec<&Controller> = controllers.collect();
    if arguments.list {
        for path in &paths {
            println!("{:<14} {}", path.name, path.what);
        }
        for controller in controllers {
            println!("{:<14} controller", controller.name);
        }
        return Ok(());
    }
    if paths.is_empty() || controllers.is_empty() {
        return Err("there is no such path or controller; see --list".into());
    }
    if let Some(directory) = &arguments.plots {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let runs: Vec<_> =
        paths.iter().flat_map(|path| controllers.iter().map(move |one| (path, *one))).collect();
    let rows = play_all(&runs, arguments)?;
    print!("{}", row::table(&rows));
    if let Some(file) = &arguments.csv {
        fs::write(file, row::csv(&rows, arguments.seed))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// All runs, as many at once as there are processors; their results in order.
fn play_all(runs: &[(&Named, &Controller)], arguments: &Arguments) -> Result<Vec<Row>, String> {
    let results: Mutex<Vec<_>> = Mutex::new(runs.iter().map(|_| None).collect());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some((path, controller)) = runs.get(place) else { break };
                    let result = play(path, controller, arguments);
                    if let Ok(mut results) = results.lock() {
                        results[place] = Some(result);
                    }
                }
            });
        }
    });
    let results = results.into_inner().map_err(|_| "a run has panicked")?;
    results.into_iter().map(|result| result.unwrap_or_else(|| Err("a run has panicked".into()))).collect()
}

fn play(path: &Named, controller: &Controller, arguments: &Arguments) -> Result<Row, String> {
    let Arguments { plots, from, to, .. } = arguments;
    let network = path.network_with(controller, plots.is_some());
    let report = network.run(path.longest).map_err(|error| format!("{}: {error}", path.name))?;
    if let Some(directory) = plots {
        let file = directory.join(format!("{}-{}.svg", path.name, controller.name));
        let title = format!("{} ({}), {}", path.name, path.what, controller.name);
        let svg = plot::draw(&title, &report, path.rate, &(*from..*to))?;
        fs::write(&file, svg).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(Row::of(path, controller.name, &report))
}
