//! Moves data between the kernel's TCP and carrick, checks every byte and says what it cost.
//!
//! ```text
//! cargo run --release -p carrick-examples
//! ```
//!
//! No root needed: it runs in a user and network namespace of its own. Where that or `/dev/net/tun` is missing
//! it says so, and moves the data between two stacks in memory.

use carrick::device::Tun;
use carrick::{TcpListener, TcpStream};
use carrick_examples::meter::{Tally, thread_cpu};
use carrick_examples::{link, namespace, pattern};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Moves data between the kernel's TCP and carrick, checks every byte and says what it cost.
#[derive(Parser)]
struct Arguments {
    /// How much to move each way over each of IPv4 and IPv6, in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    size: u64,
    /// Largest packet of the TUN interface, in bytes: 1,280 to 65,535.
    #[arg(long, default_value_t = 1500)]
    mtu: u16,
    /// Exchange only finished packets up to the MTU with the kernel, no super-segments.
    #[arg(long)]
    plain: bool,
    /// Exit with code 3 where no TUN can be had, instead of running in memory.
    #[arg(long)]
    require_tun: bool,
    /// Run between two stacks in memory.
    #[arg(long, conflicts_with = "require_tun")]
    memory: bool,
}

/// The exit code that says that this machine does not permit a TUN.
const MISSING: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bytes = arguments.size << 20;
    let mut memory = arguments.memory;
    // Before the runtime and its first thread: a process with threads cannot enter a user namespace.
    if !memory && let Err(missing) = namespace::enter() {
        eprintln!("{missing}");
        if arguments.require_tun {
            return ExitCode::from(MISSING);
        }
        memory = true;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.and_then(|runtime| {
        runtime.block_on(async {
            if memory {
                return in_memory(bytes).await;
            }
            match link::tun(Tun::builder().mtu(arguments.mtu).offload(!arguments.plain)) {
                Ok(tun) => on_tun(tun, bytes).await,
                Err(error) if arguments.require_tun => {
                    eprintln!("{error}");
                    Ok(ExitCode::from(MISSING))
                }
                Err(error) => {
                    eprintln!("{error}");
                    in_memory(bytes).await
                }
            }
        })
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("failed: {error}");
        ExitCode::FAILURE
    })
}

/// The kernel's TCP on its own thread, carrick on this one.
async fn on_tun(tun: Tun, bytes: u64) -> io::Result<ExitCode> {
    let stack = link::far(tun)?;
    println!("device: {}", stack.device_description());
    let mut report = Report::new(bytes, ["carrick", "kernel's socket"]);
    for address in [link::FAR_V4, link::FAR_V6] {
        let listener = TcpListener::bind(&stack, (address, 0)).await?;
        let to = listener.local_addr()?;
        for sender in [Sender::Near, Sender::Far] {
            let bar = report.bar();
            let start = Instant::now();
            let near = thread::spawn({
                let bar = bar.clone();
                move || {
                    let cpu = thread_cpu();
                    let received = kernel_side(to, sender == Sender::Near, bytes, &bar)?;
                    Ok::<_, io::Error>((thread_cpu() - cpu, received))
                }
            });
            let cpu = thread_cpu();
            let (stream, _) = listener.accept().await?;
            let far_received = carrick_side(stream, sender == Sender::Far, bytes, &bar).await?;
            let far_cpu = thread_cpu() - cpu;
            let (near_cpu, near_received) =
                near.join().map_err(|_| io::Error::other("the kernel's side panicked"))??;
            let took = start.elapsed();
            bar.finish_and_clear();
            let costs = [far_cpu - far_received.hashing(), near_cpu - near_received.hashing()];
            let (route, received) = match sender {
                Sender::Near => ("kernel -> carrick", far_received),
                Sender::Far => ("carrick -> kernel", near_received),
            };
            report.leg(address, route, took, &costs, received);
        }
    }
    stack.shutdown().await;
    Ok(report.verdict())
}

/// Two stacks on this thread, whose cost is counted together.
async fn in_memory(bytes: u64) -> io::Result<ExitCode> {
    let (near, far) = link::in_memory()?;
    println!("device: {}", far.device_description());
    let mut report = Report::new(bytes, ["both stacks"]);
    for address in [link::FAR_V4, link::FAR_V6] {
        let listener = TcpListener::bind(&far, (address, 0)).await?;
        let to = listener.local_addr()?;
        for sender in [Sender::Near, Sender::Far] {
            let bar = report.bar();
            let start = Instant::now();
            let cpu = thread_cpu();
            let (near_received, far_received) = tokio::try_join!(
                async {
                    let stream = TcpStream::connect(&near, to).await?;
                    carrick_side(stream, sender == Sender::Near, bytes, &bar).await
                },
                async {
                    let (stream, _) = listener.accept().await?;
                    carrick_side(stream, sender == Sender::Far, bytes, &bar).await
                },
            )?;
            let took = start.elapsed();
            let cost = thread_cpu() - cpu - near_received.hashing() - far_received.hashing();
            bar.finish_and_clear();
            let (route, received) = match sender {
                Sender::Near => ("near -> far", far_received),
                Sender::Far => ("far -> near", near_received),
            };
            report.leg(address, route, took, &[cost], received);
        }
    }
    near.shutdown().await;
    far.shutdown().await;
    Ok(report.verdict())
}

/// Which end sends. The near end is the kernel on a TUN; the far end is carrick.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sender {
    Near,
    Far,
}

/// One transfer over the kernel's TCP: sends all, or receives until the end.
fn kernel_side(to: SocketAddr, sends: bool, bytes: u64, bar: &ProgressBar) -> io::Result<Tally> {
    let mut stream = std::net::TcpStream::connect(to)?;
    let mut received = Tally::default();
    if sends {
        let mut sent = 0;
        while sent < bytes {
            sent += stream.write(pattern::from(sent, bytes - sent))? as u64;
        }
        stream.shutdown(Shutdown::Write)?;
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(received);
        }
        received.take(&buffer[..length]);
        bar.inc(length as u64);
    }
}

/// One transfer over carrick: sends all, or receives until the end.
async fn carrick_side(
    mut stream: TcpStream,
    sends: bool,
    bytes: u64,
    bar: &ProgressBar,
) -> io::Result<Tally> {
    let mut received = Tally::default();
    if sends {
        let mut sent = 0;
        while sent < bytes {
            sent += stream.write(pattern::from(sent, bytes - sent)).await? as u64;
        }
        stream.shutdown().await?;
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        received.take(&buffer[..length]);
        bar.inc(length as u64);
    }
    // The receiver ends its own direction too: nobody is left waiting for it.
    stream.shutdown().await?;
    Ok(received)
}

/// Small enough to stay in the processor's cache.
const BUFFER: usize = 64 << 10;

/// Prints a line for each transfer and remembers whether all of them were right.
struct Report<const SIDES: usize> {
    bytes: u64,
    digest: String,
    sides: [&'static str; SIDES],
    wrong: bool,
}

impl<const SIDES: usize> Report<SIDES> {
    fn new(bytes: u64, sides: [&'static str; SIDES]) -> Self {
        Self { bytes, digest: pattern::digest(bytes), sides, wrong: false }
    }

    /// A bar for the next transfer; the receiver moves it.
    fn bar(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec}");
        ProgressBar::new(self.bytes).with_style(style.expect("the template is well formed"))
    }

    fn leg(
        &mut self,
        address: IpAddr,
        route: &str,
        took: Duration,
        costs: &[Duration; SIDES],
        received: Tally,
    ) {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let gigabits = received.bytes() as f64 * 8.0 / 1e9 / took.as_secs_f64();
        let gigabytes = received.bytes() as f64 / 1e9;
        let (count, digest) = (received.bytes(), received.digest());
        let right = count == self.bytes && digest == self.digest;
        self.wrong |= !right;
        let verdict = if right { "sha256 equal" } else { "sha256 DIFFERS" };
        print!("{family} {route}: {} MiB, {verdict}, {gigabits:.2} Gbit/s; CPU seconds per GB:", count >> 20);
        for (side, cost) in self.sides.iter().zip(costs) {
            print!(" {side} {:.3}", cost.as_secs_f64() / gigabytes);
        }
        println!();
        if !right {
            println!("  expected {} bytes, {}", self.bytes, self.digest);
            println!("  received {count} bytes, {digest}");
        }
    }

    fn verdict(&self) -> ExitCode {
        if self.wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
