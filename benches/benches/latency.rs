//! How long one byte takes there and back, with a blocking kernel socket as the client: carrick across an offloading TUN, on both
//! kinds of tokio runtime, beside the kernel's loopback with the same service on the same runtime, and the bare responder.
//!
//! ```text
//! cargo bench -p carrick-benches --bench latency -- --help
//! ```
//!
//! Contestants take turns. What decides most is where the scheduler puts the two sides: a wake-up on the other CPU costs several
//! times what everything else does. `--placement same` and `--placement apart` take that out of its hands. CPU time per round
//! trip is that of both sides. It needs `/dev/net/tun` and makes a user and network namespace of its own.

use carrick_benches::bare::{Bare, respond};
use carrick_benches::options::{self, Options};
use carrick_benches::service::{self, Workers};
use carrick_benches::session::{Contestant, Measured, Session, Work};
use carrick_benches::statistics::{median, quantile, range};
use clap::Parser;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

/// Latency of one byte across a TUN.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// One measurement: microseconds.
#[derive(Clone, Copy, Debug)]
struct Round {
    p50: f64,
    p99: f64,
    stack: f64,
    client: f64,
    trips: u64,
}

struct Row {
    contestant: Arc<Contestant>,
    /// Whose p50 its own is compared with.
    against: &'static str,
    rounds: Vec<io::Result<Round>>,
}

fn main() -> ExitCode {
    let options = Arguments::parse().options.in_earnest_or_not();
    if let Err(code) = options::enter() {
        return code;
    }
    let mut rows: Vec<_> = rows().into_iter().filter(|row| options.selects(row.contestant.name)).collect();
    println!("{}", options.describe());
    for round in 0..options.rounds as usize {
        for turn in 0..rows.len() {
            // Nobody always follows the same one.
            let place = (turn + round) % rows.len();
            let row = &mut rows[place];
            row.rounds.push(measure(&row.contestant, &options));
        }
    }
    print(&rows);
    println!("at the end: {}", options::load());
    if let Some(path) = &options.csv
        && let Err(error) = write_csv(&rows, path)
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if rows.iter().flat_map(|row| &row.rounds).any(Result::is_err) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn rows() -> Vec<Row> {
    let row = |against, contestant| Row { contestant, against, rounds: Vec::new() };
    let mut rows = Vec::new();
    for (workers, loopback, carrick) in [
        (Workers::Current, "loopback/current", "carrick/offload/current"),
        (Workers::Threads(2), "loopback/multi", "carrick/offload/multi"),
    ] {
        rows.push(row(loopback, Contestant::new(loopback, move |job| service::loopback(job, workers))));
        let carrick = Contestant::new(carrick, move |job| service::carrick(job, workers, 1500, true));
        rows.push(row(loopback, carrick));
    }
    let bare = Contestant::new("bare/offload/current", |job| {
        let how = Bare { offload: true, copying: false };
        service::run(job, Workers::Current, move |job| respond(job, how))
    });
    rows.push(row("loopback/current", bare));
    rows
}

fn measure(contestant: &Arc<Contestant>, options: &Options) -> io::Result<Round> {
    let session = Session::start(contestant, Work::Echo, 1, options.setting())?;
    thread::sleep(options.before());
    let Measured { bytes: trips, stack, client, .. } = session.measure(options.duration())?;
    let mut times = session.end()?;
    times.sort_unstable();
    let each = |seconds: f64| seconds * 1e6 / trips as f64;
    Ok(Round {
        p50: quantile(&times, 0.5) / 1e3,
        p99: quantile(&times, 0.99) / 1e3,
        stack: each(stack.total),
        client: each(client.total),
        trips,
    })
}

fn print(rows: &[Row]) {
    println!(
        "\n{:<24} {:>7} {:>13} {:>7}  {:>6} {:>8} {:>6}  {:>13}",
        "microseconds", "p50", "range", "p99", "CPU", "client's", "both", "p50/loopback"
    );
    for row in rows {
        let name = row.contestant.name;
        let good = || row.rounds.iter().flatten();
        let (least, most) = range(good().map(|round| round.p50));
        let against = rows.iter().find(|other| other.contestant.name == row.against);
        let ratio = against.map(|other| {
            let pairs = row.rounds.iter().zip(&other.rounds);
            median(pairs.filter_map(|(one, other)| Some(one.as_ref().ok()?.p50 / other.as_ref().ok()?.p50)))
        });
        println!(
            "{name:<24} {:>7.1} {:>13} {:>7.1}  {:>6.1} {:>8.1} {:>6.1}  {:>13}",
            median(good().map(|round| round.p50)),
            format!("{least:.1}-{most:.1}"),
            median(good().map(|round| round.p99)),
            median(good().map(|round| round.stack)),
            median(good().map(|round| round.client)),
            median(good().map(|round| round.stack + round.client)),
            ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
        );
        if let Some(error) = row.rounds.iter().find_map(|round| round.as_ref().err()) {
            println!("{name:<24} failed: {error}");
        }
    }
}

fn write_csv(rows: &[Row], path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "round,contestant,round_trips,p50_us,p99_us,stack_cpu_us,client_cpu_us")?;
    for row in rows {
        for (place, round) in row.rounds.iter().enumerate() {
            if let Ok(Round { p50, p99, stack, client, trips }) = round {
                writeln!(file, "{place},{},{trips},{p50},{p99},{stack},{client}", row.contestant.name)?;
            }
        }
    }
    file.flush()
}
