//! One run: one sender, one receiver, one path, one seed.

use crate::ends::{self, End, Role, Traffic};
use crate::paths::Path;
use crate::splice::{Splice, Tap, Watch};
use carrick::device::impaired::{Impaired, LinkCounters};
use clap::ValueEnum;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Who sends, and who receives.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Pairing {
    CarrickKernel,
    KernelKernel,
    KernelCarrick,
    CarrickCarrick,
}

impl Pairing {
    pub(crate) const ALL: [Self; 4] =
        [Self::CarrickKernel, Self::KernelKernel, Self::KernelCarrick, Self::CarrickCarrick];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CarrickKernel => "carrick-kernel",
            Self::KernelKernel => "kernel-kernel",
            Self::KernelCarrick => "kernel-carrick",
            Self::CarrickCarrick => "carrick-carrick",
        }
    }

    fn end(self, role: Role, traffic: &Arc<Traffic>) -> io::Result<End> {
        let (sender, receiver) = match self {
            Self::CarrickKernel => (true, false),
            Self::KernelKernel => (false, false),
            Self::KernelCarrick => (false, true),
            Self::CarrickCarrick => (true, true),
        };
        let ours = if role == Role::Sender { sender } else { receiver };
        if ours { ends::carrick(role, traffic) } else { ends::kernel(role, traffic) }
    }
}

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) path: Path,
    pub(crate) pairing: Pairing,
    pub(crate) seed: u64,
    pub(crate) lasts: Duration,
    pub(crate) trace: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Bytes that the receiving application had read when the time was over, counted from the call to connect.
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    /// Bytes of text that were sent, sent again, and sent again in vain, probes for a lost tail apart.
    pub(crate) sent: u64,
    pub(crate) again: u64,
    pub(crate) needless: u64,
    pub(crate) needless_probes: u64,
    /// What the link that carries the text has done.
    pub(crate) link: LinkCounters,
}

impl Outcome {
    /// Bits per second.
    pub(crate) fn goodput(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.seconds
    }

    /// The share of what was sent that was sent in vain.
    pub(crate) fn in_vain(&self, bytes: u64) -> f64 {
        bytes as f64 / self.sent.max(1) as f64
    }
}

impl Trial {
    pub(crate) fn run(&self) -> io::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(self.play());
        runtime.shutdown_background();
        outcome
    }

    async fn play(&self) -> io::Result<Outcome> {
        let watch = Watch::new(self.trace.is_some());
        let traffic = Arc::new(Traffic {
            received: AtomicU64::new(0),
            over: AtomicBool::new(false),
            ecn: self.path.ecn,
            watch: Arc::clone(&watch),
        });
        let mut sender = self.pairing.end(Role::Sender, &traffic)?;
        let mut receiver = self.pairing.end(Role::Receiver, &traffic)?;
        let device = receiver.device.take().expect("nobody has taken it");
        let tap = Tap { device, watch: Arc::clone(&watch) };
        let link = Impaired::asymmetric(tap, self.path.there.clone(), self.path.back.clone(), self.seed);
        let control = link.control();
        let device = sender.device.take().expect("nobody has taken it");
        let splice = tokio::spawn(Splice::new(device, link, Arc::clone(&watch)));

        receiver.start().await?;
        let began = Instant::now();
        sender.start().await?;
        tokio::time::sleep_until(began + self.lasts).await;
        let (bytes, took) = (traffic.received.load(Ordering::Relaxed), began.elapsed());
        let (outcome, trace) = {
            let mut watch = watch.lock().expect("nobody panics holding it");
            let outcome = Outcome {
                bytes,
                seconds: took.as_secs_f64(),
                sent: watch.sent.bytes,
                again: watch.sent.again,
                needless: watch.arrived.needless,
                needless_probes: watch.arrived.needless_probes,
                link: control.outward(),
            };
            (outcome, watch.take_trace())
        };
        if let (Some(directory), Some(trace)) = (&self.trace, trace) {
            fs::create_dir_all(directory)?;
            let name = format!("{}-{}-{}.csv", self.path.name, self.pairing.name(), self.seed);
            fs::write(directory.join(name), trace)?;
        }
        traffic.over.store(true, Ordering::Relaxed);
        if splice.is_finished() {
            return Err(splice.await.map_err(io::Error::other)?);
        }
        // The receiver first: a sender's reset would be an error to it.
        receiver.end().await?;
        sender.end().await?;
        if bytes == 0 { Err(io::Error::other("nothing arrived")) } else { Ok(outcome) }
    }
}
