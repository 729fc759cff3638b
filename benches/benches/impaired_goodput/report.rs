//! Tables and files made of runs.

use crate::paths::Path;
use crate::trial::{Outcome, Pairing, Trial};
use carrick_benches::statistics::{median, range};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal as _};

/// What carrick is to reach: as sender on each path and in the geometric mean, in vain, as receiver.
const SENDER: f64 = 0.95;
const SENDER_MEAN: f64 = 1.0;
const NEEDLESS: f64 = 0.001;
const RECEIVER: f64 = 0.98;

/// All that was run.
pub(crate) struct Report {
    paths: Vec<Path>,
    runs: Vec<(Trial, Result<Outcome, String>)>,
    expected: usize,
}

impl Report {
    pub(crate) fn new(paths: &[Path], expected: usize) -> Self {
        Self { paths: paths.to_vec(), runs: Vec::new(), expected }
    }

    pub(crate) fn add(&mut self, trial: &Trial, outcome: io::Result<Outcome>) {
        if io::stderr().is_terminal() {
            eprint!("\r{} of {} ", self.runs.len() + 1, self.expected);
        }
        self.runs.push((trial.clone(), outcome.map_err(|error| error.to_string())));
    }

    /// What has failed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        self.runs.iter().filter_map(|(trial, outcome)| {
            let error = outcome.as_ref().err()?;
            Some(format!("{}, {}, seed {}: {error}", trial.path.name, trial.pairing.name(), trial.seed))
        })
    }

    fn of(&self, path: &Path, pairing: Pairing) -> impl Iterator<Item = &Outcome> {
        let wanted = move |trial: &Trial| trial.path.name == path.name && trial.pairing == pairing;
        self.runs
            .iter()
            .filter(move |(trial, _)| wanted(trial))
            .filter_map(|(_, outcome)| outcome.as_ref().ok())
    }

    fn goodput(&self, path: &Path, pairing: Pairing) -> f64 {
        median(self.of(path, pairing).map(Outcome::goodput))
    }

    /// The share of what was sent that was sent in vain, in per cent.
    fn needless(&self, path: &Path, pairing: Pairing) -> f64 {
        median(self.of(path, pairing).map(|run| run.in_vain(run.needless)))
    }

    /// As a table in Markdown, and what it comes to.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let head = "| path | which is | carrick to kernel | kernel to kernel | kernel to carrick | as sender | as receiver | \
            in vain: carrick | kernel | probes: carrick | kernel |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
        text.push_str(head);
        let (mut product, mut paths, mut missed) = (0.0, 0, Vec::new());
        for path in &self.paths {
            use Pairing::{CarrickKernel, KernelCarrick, KernelKernel};
            let goodput = |pairing| self.goodput(path, pairing);
            let cell = |pairing| {
                let (least, most) = range(self.of(path, pairing).map(Outcome::goodput));
                let share = goodput(pairing) / path.capacity * 100.0;
                format!("{:.2} ({:.2}-{:.2}), {share:.1} %", goodput(pairing) / 1e6, least / 1e6, most / 1e6)
            };
            let sends = goodput(CarrickKernel) / goodput(KernelKernel);
            let receives = goodput(KernelCarrick) / goodput(KernelKernel);
            let probes = |pairing| median(self.of(path, pairing).map(|run| run.in_vain(run.needless_probes)));
            let [ours, kernels] = [CarrickKernel, KernelKernel].map(|pairing| self.needless(path, pairing));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {sends:.3} | {receives:.3} | {:.3} | {:.3} | {:.3} | {:.3} |",
                path.name,
                path.what,
                cell(CarrickKernel),
                cell(KernelKernel),
                cell(KernelCarrick),
                ours * 100.0,
                kernels * 100.0,
                probes(CarrickKernel) * 100.0,
                probes(KernelKernel) * 100.0,
            );
            if sends.is_finite() {
                product += sends.ln();
                paths += 1;
            }
            let mut miss = |is: bool, what: String| {
                if is {
                    missed.push(format!("{}: {what}", path.name));
                }
            };
            miss(sends < SENDER, format!("{sends:.3} of the kernel's goodput as sender"));
            miss(receives < RECEIVER, format!("{receives:.3} of the kernel's goodput as receiver"));
            miss(ours > NEEDLESS, format!("{:.3} % in vain", ours * 100.0));
        }
        if paths > 0 {
            let mean = f64::exp(product / f64::from(paths));
            let _ = writeln!(text, "\nas sender, geometric mean of {paths} paths: {mean:.3}");
            if mean < SENDER_MEAN {
                missed.push(format!("geometric mean: {mean:.3}"));
            }
        }
        for miss in missed {
            let _ = writeln!(text, "missed: {miss}");
        }
        text
    }

    /// A line for each run.
    pub(crate) fn write_csv(&self, file: &std::path::Path) -> io::Result<()> {
        let mut text =
            "path,pair,seed,bytes,seconds,sent,again,needless,needless_probes,link_sent,lost,overflowed,\
            managed,policed,marked,waited,longest_wait,error\n"
                .to_owned();
        let mut runs: Vec<_> = self.runs.iter().collect();
        let place = |trial: &Trial| {
            let path = self.paths.iter().position(|path| path.name == trial.path.name);
            (path, trial.seed, Pairing::ALL.iter().position(|pairing| *pairing == trial.pairing))
        };
        runs.sort_by_key(|(trial, _)| place(trial));
        for (trial, outcome) in runs {
            let _ = write!(text, "{},{},{},", trial.path.name, trial.pairing.name(), trial.seed);
            let _ = match outcome {
                Ok(Outcome { bytes, seconds, sent, again, needless, needless_probes, link }) => writeln!(
                    text,
                    "{bytes},{seconds:.6},{sent},{again},{needless},{needless_probes},{},{},{},{},{},{},{:.6},{:.6},",
                    link.sent,
                    link.lost,
                    link.overflowed,
                    link.managed,
                    link.policed,
                    link.marked,
                    link.waited.as_secs_f64(),
                    link.longest_wait.as_secs_f64(),
                ),
                Err(error) => writeln!(text, ",,,,,,,,,,,,,,{}", error.replace([',', '\n', '"'], " ")),
            };
        }
        fs::write(file, text)
    }
}
