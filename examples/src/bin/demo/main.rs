//! Shows what carrick does, with the kernel's TCP on the other side, and checks every byte of it: bulk transfers over IPv4
//! and IPv6, one conversation drawn packet by packet, 1,000 connections at once, and a summary of what it cost.
//!
//! ```text
//! cargo run --release -p carrick-examples
//! ```
//!
//! No root needed: it runs in a user and network namespace of its own. Where that or `/dev/net/tun` is missing
//! it says so, and plays between two stacks in memory. The exit code is not 0 if anything differs from what it should be.

mod bulk;
mod conversation;
mod crowd;
mod kernel;
mod summary;
mod tap;

use carrick::Stack;
use carrick::device::Tun;
use carrick::device::memory::{self, MemoryConfig};
use carrick_examples::{link, namespace};
use clap::Parser;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tap::{Tap, Tapped};
use tokio::time::timeout;

/// Shows what carrick does, with the kernel's TCP on the other side, and checks every byte of it.
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
/// A part that moves little and takes this long does not move at all.
const LIMIT: Duration = Duration::from_secs(30);

/// Both ends: the stack that is shown is the far one.
struct Link {
    far: Stack,
    tap: Tap,
    near: Near,
}

/// Whom it talks to.
enum Near {
    /// The kernel's TCP, across a TUN interface.
    Kernel,
    /// Another stack, in memory.
    Stack(Stack, Tap),
}

impl Link {
    fn tun(tun: Tun) -> io::Result<Self> {
        let (device, tap) = Tapped::new(tun);
        Ok(Self { far: link::far(device)?, tap, near: Near::Kernel })
    }

    fn memory() -> io::Result<Self> {
        let (near, far) = memory::pair(MemoryConfig::default());
        let ((near, near_tap), (far, tap)) = (Tapped::new(near), Tapped::new(far));
        Ok(Self { far: link::far(far)?, tap, near: Near::Stack(link::near(near)?, near_tap) })
    }

    /// What the sides are called, the near one first.
    const fn names(&self) -> [&'static str; 2] {
        match self.near {
            Near::Kernel => ["kernel", "carrick"],
            Near::Stack(..) => ["near", "far"],
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
                return show(&Link::memory()?, arguments.size << 20).await;
            }
            match link::tun(Tun::builder().mtu(arguments.mtu).offload(!arguments.plain)) {
                Ok(tun) => show(&Link::tun(tun)?, arguments.size << 20).await,
                Err(error) if arguments.require_tun => {
                    eprintln!("{error}");
                    Ok(ExitCode::from(MISSING))
                }
                Err(error) => {
                    eprintln!("{error}");
                    show(&Link::memory()?, arguments.size << 20).await
                }
            }
        })
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("failed: {error}");
        ExitCode::FAILURE
    })
}

async fn show(link: &Link, bytes: u64) -> io::Result<ExitCode> {
    let began = Instant::now();
    println!("device: {}\n", link.far.device_description());
    let transfers = bulk::run(link, bytes).await?;
    println!();
    print!("{}", limited(conversation::play(link)).await?);
    println!("Each packet waited until both sides had told their states; that is in the times.\n");
    let crowd = limited(crowd::gather(link)).await?;
    println!("{}", crowd.line());
    let shutdown = async {
        link.far.shutdown().await;
        if let Near::Stack(near, _) = &link.near {
            near.shutdown().await;
        }
        Ok(())
    };
    limited(shutdown).await?;
    Ok(summary::print(link, &transfers, &crowd, began.elapsed()))
}

async fn limited<T>(part: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(LIMIT, part).await.unwrap_or_else(|_| Err(io::Error::other(format!("no end after {LIMIT:?}"))))
}

/// Something is not what it should be.
fn differs(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not what it should be"))
}
