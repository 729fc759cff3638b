//! Bulk transfers, each way over IPv4 and IPv6, hashed at the receiver.

use crate::{Link, Near};
use carrick::{Stack, TcpListener, TcpStream};
use carrick_examples::meter::{Tally, thread_cpu};
use carrick_examples::{link, pattern};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// What one transfer moved, and what it cost.
pub(crate) struct Transfer {
    /// For example `IPv4 kernel -> carrick`.
    pub(crate) route: String,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    /// CPU time by whom it was spent, hashing left out.
    pub(crate) costs: Vec<(&'static str, Duration)>,
    /// Every byte was right.
    pub(crate) right: bool,
}

/// Which end sends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sender {
    Near,
    Far,
}

pub(crate) async fn run(link: &Link, bytes: u64) -> io::Result<Vec<Transfer>> {
    let digest = pattern::digest(bytes);
    let mut transfers = Vec::new();
    for address in [link::FAR_V4, link::FAR_V6] {
        let listener = TcpListener::bind(&link.far, (address, 0)).await?;
        for sender in [Sender::Near, Sender::Far] {
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec}");
            let style = style.expect("the template is well formed");
            let bar = ProgressBar::new(bytes).with_style(style);
            let start = Instant::now();
            let transfer = async {
                match &link.near {
                    Near::Kernel => with_kernel(&listener, sender, bytes, &bar).await,
                    Near::Stack(near, _) => in_memory(near, &listener, sender, bytes, &bar).await,
                }
            };
            let (received, costs) = tokio::select! {
                done = transfer => done?,
                () = stalled(&bar) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no progress for {PATIENCE:?}")));
                }
            };
            let took = start.elapsed();
            bar.finish_and_clear();
            let [near, far] = link.names();
            let [from, to] = if sender == Sender::Near { [near, far] } else { [far, near] };
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            let (count, found) = (received.bytes(), received.digest());
            let right = count == bytes && found == digest;
            let transfer =
                Transfer { route: format!("{family} {from} -> {to}"), bytes: count, took, costs, right };
            println!("{}", transfer.line());
            if !right {
                println!("  expected {bytes} bytes, {digest}\n  received {count} bytes, {found}");
            }
            transfers.push(transfer);
        }
    }
    Ok(transfers)
}

/// How long a transfer may make no progress.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until there has been no progress for that long.
async fn stalled(bar: &ProgressBar) {
    let mut seen = None;
    while seen.replace(bar.position()) != Some(bar.position()) {
        tokio::time::sleep(PATIENCE).await;
    }
}

type Costs = Vec<(&'static str, Duration)>;

/// The kernel's TCP on its own thread, carrick on this one.
async fn with_kernel(
    listener: &TcpListener,
    sender: Sender,
    bytes: u64,
    bar: &ProgressBar,
) -> io::Result<(Tally, Costs)> {
    let (to, near_bar) = (listener.local_addr()?, bar.clone());
    let (done, near) = oneshot::channel();
    thread::spawn(move || {
        let cpu = thread_cpu();
        let received = kernel_side(to, sender == Sender::Near, bytes, &near_bar);
        let _nobody_waits = done.send(received.map(|received| (thread_cpu() - cpu, received)));
    });
    let cpu = thread_cpu();
    let (stream, _) = listener.accept().await?;
    let far_received = carrick_side(stream, sender == Sender::Far, bytes, bar).await?;
    let far_cpu = thread_cpu() - cpu;
    let (near_cpu, near_received) =
        near.await.map_err(|_| io::Error::other("the kernel's side panicked"))??;
    let costs = vec![
        ("carrick", far_cpu - far_received.hashing()),
        ("kernel's socket", near_cpu - near_received.hashing()),
    ];
    Ok((if sender == Sender::Near { far_received } else { near_received }, costs))
}

/// Two stacks on this thread, whose cost is counted together.
async fn in_memory(
    near: &Stack,
    listener: &TcpListener,
    sender: Sender,
    bytes: u64,
    bar: &ProgressBar,
) -> io::Result<(Tally, Costs)> {
    let cpu = thread_cpu();
    let (near_received, far_received) = tokio::try_join!(
        async {
            let stream = TcpStream::connect(near, listener.local_addr()?).await?;
            carrick_side(stream, sender == Sender::Near, bytes, bar).await
        },
        async {
            let (stream, _) = listener.accept().await?;
            carrick_side(stream, sender == Sender::Far, bytes, bar).await
        },
    )?;
    let cost = thread_cpu() - cpu - near_received.hashing() - far_received.hashing();
    let received = if sender == Sender::Near { far_received } else { near_received };
    Ok((received, vec![("both stacks", cost)]))
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

impl Transfer {
    /// Gbit/s.
    pub(crate) fn rate(&self) -> f64 {
        self.bytes as f64 * 8.0 / 1e9 / self.took.as_secs_f64()
    }

    /// CPU seconds per GB, by whom they were spent.
    pub(crate) fn cost(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let gigabytes = self.bytes as f64 / 1e9;
        self.costs.iter().map(move |(who, cost)| (*who, cost.as_secs_f64() / gigabytes))
    }

    fn line(&self) -> String {
        let verdict = if self.right { "sha256 equal" } else { "sha256 DIFFERS" };
        format!("{}: {} MiB, {verdict}, {:.2} Gbit/s", self.route, self.bytes >> 20, self.rate())
    }
}
