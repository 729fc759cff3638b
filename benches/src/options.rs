//! What the benches ask of a run, and whether this machine permits one.

use crate::session::Setting;
use crate::tun::Family;
use carrick_examples::namespace;
use clap::{Args, ValueEnum};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Options that the benches across a TUN have in common.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How often each contestant is measured, in turn with the others.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// How long a measurement lasts.
    #[arg(long, default_value_t = 0.6)]
    pub seconds: f64,
    /// How long a contestant works before.
    #[arg(long, default_value_t = 0.15)]
    pub warm_up: f64,
    /// Which CPUs contestant and client run on.
    #[arg(long, value_enum, default_value_t = Placement::Apart)]
    pub placement: Placement,
    /// Buffers of the client's sockets in KiB, as for SO_SNDBUF and SO_RCVBUF; 0 lets the kernel choose.
    #[arg(long, default_value_t = 256)]
    pub client_buffer: usize,
    /// IPv6 instead of IPv4.
    #[arg(long)]
    pub ipv6: bool,
    /// Only contestants whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Write each single measurement to this file as comma-separated values.
    #[arg(long)]
    pub csv: Option<PathBuf>,
    /// Run everything once and briefly, to see that it works; figures mean nothing then.
    #[arg(long)]
    pub test: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    pub bench: bool,
    /// As `--only`.
    pub filter: Option<String>,
}

impl Options {
    /// The same, or what is left of it for a smoke test.
    #[must_use]
    pub fn in_earnest_or_not(self) -> Self {
        let brief =
            Self { rounds: 1, seconds: 0.03, warm_up: 0.0, placement: Placement::Free, ..self.clone() };
        if self.test { brief } else { self }
    }

    /// Whether a contestant of this name takes part.
    #[must_use]
    pub fn selects(&self, name: &str) -> bool {
        let mut wanted = self.only.iter().chain(&self.filter).peekable();
        wanted.peek().is_none() || wanted.any(|part| name.contains(part.as_str()))
    }

    /// What a run needs to know.
    #[must_use]
    pub const fn setting(&self) -> Setting {
        let Self { placement, client_buffer, .. } = *self;
        Setting { placement, client_buffer: client_buffer << 10, family: self.family() }
    }

    /// Which IP to use.
    #[must_use]
    pub const fn family(&self) -> Family {
        if self.ipv6 { Family::V6 } else { Family::V4 }
    }

    /// How long to measure.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// How long to work before that.
    #[must_use]
    pub fn before(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// What has been set, in a line.
    #[must_use]
    pub fn describe(&self) -> String {
        let ip = if self.ipv6 { "IPv6" } else { "IPv4" };
        let buffer = match self.client_buffer {
            0 => "as the kernel likes".to_owned(),
            kib => format!("{kib} KiB"),
        };
        format!(
            "{ip}; {} rounds of {} s; CPUs: {:?}; client's buffers: {buffer}; {}",
            self.rounds,
            self.seconds,
            self.placement,
            load()
        )
    }
}

/// Enters a namespace where TUN interfaces can be made; to be called before the first thread.
///
/// # Errors
/// The exit code to end with, after what is missing has been said: success only if `CARRICK_SKIP_TUN` is 1.
pub fn enter() -> Result<(), ExitCode> {
    let may_skip = std::env::var_os("CARRICK_SKIP_TUN").is_some_and(|value| value == "1");
    if may_skip {
        eprintln!("left out: CARRICK_SKIP_TUN is set");
        return Err(ExitCode::SUCCESS);
    }
    namespace::enter().map_err(|missing| {
        eprintln!("{missing}");
        ExitCode::FAILURE
    })
}

/// Which CPUs the two sides run on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Placement {
    /// Wherever the scheduler puts them: now on one, now on two.
    Free,
    /// Both on CPU 0.
    Same,
    /// The contestant on CPU 0, the client on CPU 1.
    Apart,
}

/// Who a thread works for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The contestant.
    Stack,
    /// The kernel's TCP.
    Client,
}

impl Placement {
    /// Puts the calling thread, and those that it starts, where it belongs.
    ///
    /// # Errors
    /// There is no such CPU, or it is not ours.
    pub fn apply(self, side: Side) -> io::Result<()> {
        let cpu = match (self, side) {
            (Self::Free, _) => return Ok(()),
            (Self::Same, _) | (Self::Apart, Side::Stack) => 0,
            (Self::Apart, Side::Client) => 1,
        };
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set).map_err(|error| {
            let what = format!("CPU {cpu} is not to be had ({error}); `--placement free` does without");
            io::Error::new(io::Error::from(error).kind(), what)
        })
    }

    /// Sees whether [`apply`](Self::apply) can work.
    ///
    /// # Errors
    /// As there.
    pub fn check(self) -> io::Result<()> {
        let check = move || [Side::Stack, Side::Client].into_iter().try_for_each(|side| self.apply(side));
        // On a thread of its own, which stays there.
        std::thread::spawn(check).join().map_err(|_| io::Error::other("the check panicked"))?
    }
}

/// From this load average on figures are not to be trusted.
const BUSY: f64 = 3.0;

/// A word on how busy the machine is, to be printed with any figures.
#[must_use]
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let average: f64 =
        load.split_ascii_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN);
    let warning = if average < BUSY { "" } else { ": busy, do not trust absolute figures" };
    format!("load average {average}{warning}")
}
