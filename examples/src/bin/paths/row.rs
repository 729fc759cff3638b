//! What a run came to, in figures.

use super::Named;
use carrick_sim::{FlowReport, NetworkReport};
use std::fmt::Write as _;
use std::time::Duration;

/// One run.
#[derive(Debug)]
pub(crate) struct Row {
    path: String,
    what: String,
    controller: String,
    /// Bits of text per second, and how many there could have been.
    goodput: f64,
    capacity: f64,
    /// How long packets waited: on average, and 95 of 100 samples no longer.
    mean_wait: Duration,
    p95_wait: Duration,
    /// Packets that set out, and those that did not arrive.
    packets: u64,
    gone: u64,
    /// Bytes of text that were sent, sent again, and sent in vain.
    sent: u64,
    resent: u64,
    needless: u64,
    flows: usize,
    /// How long the flows took that have an end: in the middle, the longest, and the least that was possible.
    times: Option<[Duration; 2]>,
    least: Option<Duration>,
    unfinished: usize,
    fairness: f64,
}

impl Row {
    pub(crate) fn of(path: &Named, controller: &str, report: &NetworkReport) -> Self {
        let there = report.there;
        let left =
            there.sent.saturating_sub(there.overflowed + there.managed + there.policed + there.too_big);
        let wait = |bytes: usize| Duration::from_secs_f64(bytes as f64 * 8.0 / path.rate as f64);
        let mut queues: Vec<_> = report.queues.iter().map(|sample| sample.there.bytes).collect();
        queues.sort_unstable();
        let p95 = queues.get(queues.len() * 95 / 100).copied().unwrap_or(0);
        let sum = |of: fn(&FlowReport) -> u64| report.flows.iter().map(of).sum();
        let mut times: Vec<_> = report.flows.iter().filter_map(|flow| flow.completed).collect();
        times.sort_unstable();
        let ends = path.least.map_or(0, |_| report.flows.len());
        Self {
            path: path.name.into(),
            what: path.what.clone(),
            controller: controller.into(),
            goodput: report.goodput(),
            capacity: path.capacity,
            mean_wait: there.waited / u32::try_from(left.max(1)).unwrap_or(u32::MAX),
            p95_wait: wait(p95),
            packets: there.sent,
            gone: there.gone(),
            sent: sum(|flow| flow.sent),
            resent: sum(|flow| flow.resent),
            needless: sum(|flow| flow.needless),
            flows: report.flows.len(),
            times: times.last().map(|worst| [times[times.len() / 2], *worst]),
            least: path.least,
            unfinished: ends.saturating_sub(times.len()),
            fairness: report.fairness(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let share = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let short = self.least.is_some();
        let none = || "–".to_owned();
        let times = match (self.times, self.least) {
            (Some([middle, worst]), Some(least)) => {
                let over = middle.as_secs_f64() / least.as_secs_f64();
                let mut text = format!("{:.0} / {:.0} ms ({over:.2})", ms(middle), ms(worst));
                if self.unfinished > 0 {
                    let _ = write!(text, ", {} not done", self.unfinished);
                }
                text
            }
            _ => none(),
        };
        vec![
            self.path.clone(),
            self.what.clone(),
            self.controller.clone(),
            if short { none() } else { format!("{:.1}", self.goodput / 1e6) },
            if short { none() } else { format!("{:.1}", self.goodput / self.capacity * 100.0) },
            format!("{:.1} / {:.1}", ms(self.mean_wait), ms(self.p95_wait)),
            format!("{:.3}", share(self.gone, self.packets)),
            format!("{:.3}", share(self.resent, self.sent)),
            format!("{:.3}", share(self.needless, self.sent)),
            times,
            if self.flows > 1 && !short { format!("{:.3}", self.fairness) } else { none() },
        ]
    }
}

/// As a table in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    const HEAD: [&str; 11] = [
        "path",
        "which is",
        "controller",
        "Mbit/s",
        "% of capacity",
        "queue, ms (mean / 95 %)",
        "packets gone, %",
        "sent again, %",
        "in vain, %",
        "done after, median / worst (of the least)",
        "Jain",
    ];
    let mut lines = vec![HEAD.map(str::to_owned).to_vec(), HEAD.map(|_| "---".to_owned()).to_vec()];
    lines.extend(rows.iter().map(Row::cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
    }
    text
}

/// As comma-separated values: bits per second, seconds, bytes.
pub(crate) fn csv(rows: &[Row], seed: u64) -> String {
    let mut text =
        "path,controller,seed,flows,goodput,capacity,mean_wait,p95_wait,packets,gone,sent,resent,needless,\
                    median_time,worst_time,least_time,unfinished,fairness\n"
            .to_owned();
    for row in rows {
        let seconds =
            |time: Option<Duration>| time.map_or(String::new(), |time| time.as_secs_f64().to_string());
        let [middle, worst] = [0, 1].map(|which| seconds(row.times.map(|times| times[which])));
        let _ = writeln!(
            text,
            "{},{},{seed},{},{:.0},{:.0},{:.6},{:.6},{},{},{},{},{},{middle},{worst},{},{},{:.4}",
            row.path,
            row.controller,
            row.flows,
            row.goodput,
            row.capacity,
            row.mean_wait.as_secs_f64(),
            row.p95_wait.as_secs_f64(),
            row.packets,
            row.gone,
            row.sent,
            row.resent,
            row.needless,
            seconds(row.least),
            row.unfinished,
            row.fairness,
        );
    }
    text
}
