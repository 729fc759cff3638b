//! Goodput across a TUN and what it costs, with the kernel's TCP at the other end: carrick, the bare responders, other
//! stacks, and the kernel's own loopback.
//!
//! ```text
//! cargo bench -p carrick-benches --bench tun_goodput -- --help
//! ```
//!
//! Contestants take turns, so that whatever else the machine does meets all of them. The figures to trust are CPU seconds
//! per GB and ratios within a round; Gbit/s are those of this machine at this hour. `--criterion` compares CPU time with the
//! run before instead. It needs `/dev/net/tun` and makes a user and network namespace of its own.

mod peers;
mod relay;
mod report;

use carrick_benches::bare::{Bare, respond};
use carrick_benches::options::{self, Options};
use carrick_benches::service::{self, Workers};
use carrick_benches::session::{Contestant, Measured, Session, Work};
use clap::Parser;
use criterion::{Criterion, Throughput};
use report::Report;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Goodput across a TUN and what it costs.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    connections: Vec<usize>,
    /// Which way data goes.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Work::Receive, Work::Send])]
    direction: Vec<Work>,
    /// Threads of the tokio runtimes; 0 is the current-thread runtime. ipstack always has some.
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Let criterion measure the CPU time of each transfer, and compare it with that of the last run.
    #[arg(long)]
    criterion: bool,
}

/// What contestants are compared in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Case {
    work: Work,
    connections: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = arguments.options.clone().in_earnest_or_not();
    if let Err(code) = options::enter() {
        return code;
    }
    let workers = match arguments.workers {
        0 => Workers::Current,
        threads => Workers::Threads(threads),
    };
    let contestants: Vec<_> =
        contestants(workers).into_iter().filter(|contestant| options.selects(contestant.name)).collect();
    let mut cases = Vec::new();
    for &connections in &arguments.connections {
        cases.extend(arguments.direction.iter().map(|&work| Case { work, connections }));
    }
    if arguments.criterion {
        with_criterion(&contestants, &cases, &options);
        return ExitCode::SUCCESS;
    }
    println!("{}; runtime: {workers:?}", options.describe());
    let names = contestants.iter().map(|contestant| contestant.name).collect();
    let mut report = Report::new(names, cases.clone());
    for round in 0..options.rounds {
        for (place, case) in cases.iter().enumerate() {
            for turn in 0..contestants.len() {
                // Nobody always follows the same one.
                let who = (turn + round as usize) % contestants.len();
                report.add(place, who, measure(&contestants[who], *case, &options));
            }
        }
    }
    report.print();
    println!("at the end: {}", options::load());
    if let Some(path) = &options.csv
        && let Err(error) = report.write_csv(path)
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    // Peers may fail, and the table says so. What is ours may not.
    if report.failed(|name| !name.contains("smoltcp") && !name.contains("ipstack")) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(contestant: &Arc<Contestant>, case: Case, options: &Options) -> io::Result<Measured> {
    let session = Session::start(contestant, case.work, case.connections, options.setting())?;
    thread::sleep(options.before());
    let measured = session.measure(options.duration())?;
    session.end()?;
    Ok(measured)
}

fn contestants(workers: Workers) -> Vec<Arc<Contestant>> {
    let bare = |name, offload, copying| {
        Contestant::new(name, move |job| {
            service::run(job, Workers::Current, move |job| respond(job, Bare { offload, copying }))
        })
    };
    let carrick =
        |name, mtu, offload| Contestant::new(name, move |job| service::carrick(job, workers, mtu, offload));
    // It blocks in place when a stream is dropped, and panics where that is not possible.
    let several = match workers {
        Workers::Current => Workers::Threads(2),
        several => several,
    };
    vec![
        bare("bare/offload", true, false),
        bare("bare/offload/copying", true, true),
        carrick("carrick/offload", 1500, true),
        Contestant::new("relay/offload", relay::relay),
        Contestant::new("loopback", move |job| service::loopback(job, workers)),
        bare("bare/1500/copying", false, true),
        carrick("carrick/1500", 1500, false),
        Contestant::new("smoltcp/1500", |job| peers::smoltcp(job, 1500)),
        Contestant::new("tokio-smoltcp/1500", move |job| peers::tokio_smoltcp(job, workers, 1500)),
        Contestant::new("netstack-smoltcp/1500", move |job| peers::netstack_smoltcp(job, workers, 1500)),
        Contestant::new("ipstack/1500", move |job| peers::ipstack(job, several, 1500)),
        carrick("carrick/65535", 65_535, false),
        Contestant::new("smoltcp/65535", |job| peers::smoltcp(job, 65_535)),
    ]
}

/// Bytes of what criterion takes for one iteration.
const TRANSFER: u64 = 16 << 20;

/// One contestant after the other: for finding out what a change has done to carrick, not for comparing contestants.
fn with_criterion(contestants: &[Arc<Contestant>], cases: &[Case], options: &Options) {
    let mut criterion = Criterion::default();
    let mut group = criterion.benchmark_group("tun_goodput, CPU time of the stack");
    group.throughput(Throughput::Bytes(TRANSFER));
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for case in cases {
        for contestant in contestants {
            let session = match Session::start(contestant, case.work, case.connections, options.setting()) {
                Ok(session) => session,
                Err(error) => {
                    eprintln!("{}: {error}", contestant.name);
                    continue;
                }
            };
            let name = format!("{}/{}/{}", contestant.name, case.work.name(), case.connections);
            group.bench_function(name, |b| {
                b.iter_custom(|iterations| {
                    let measured = session.measure_while(|| session.wait(TRANSFER * iterations));
                    let measured = measured.expect("it goes on");
                    // It ends a little late, by bytes that were paid for too.
                    let part = (TRANSFER * iterations) as f64 / measured.bytes as f64;
                    Duration::from_secs_f64(measured.stack.total * part)
                });
            });
        }
    }
    group.finish();
}
