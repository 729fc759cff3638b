//! Tables and files made of measurements.

use crate::Case;
use carrick_benches::session::{Measured, Work};
use carrick_benches::statistics::{median, range};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// All that has been measured: by case, contestant and round.
pub(crate) struct Report {
    names: Vec<&'static str>,
    cases: Vec<Case>,
    rounds: Vec<Vec<Vec<Result<Measured, String>>>>,
}

/// What a measurement says.
#[derive(Clone, Copy, Debug)]
enum Quantity {
    /// Gbit/s.
    Goodput,
    /// CPU seconds of the contestant per GB.
    Stack,
    /// CPU seconds of everybody per GB.
    Everybody,
}

impl Quantity {
    fn of(self, measured: &Measured) -> f64 {
        let gigabytes = measured.bytes as f64 / 1e9;
        match self {
            Self::Goodput => gigabytes * 8.0 / measured.seconds,
            Self::Stack => measured.stack.total / gigabytes,
            Self::Everybody => {
                (measured.stack.total + measured.client.total + measured.far.total) / gigabytes
            }
        }
    }
}

/// Who a contestant is measured by: the least that its kind of device admits.
fn bare_for(name: &str) -> Option<&'static str> {
    match name.split('/').nth(1) {
        Some("offload") => Some("bare/offload/copying"),
        Some("1500") => Some("bare/1500/copying"),
        _ => None,
    }
}

/// What carrick is to reach: a quantity of one contestant in one case over that of another, and its bound.
struct Aim {
    case: (Work, usize),
    quantity: Quantity,
    contestant: &'static str,
    other: (&'static str, usize),
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

fn aims() -> Vec<Aim> {
    use Bound::{AtLeast, AtMost};
    use Quantity::{Everybody, Goodput, Stack};
    use Work::{Receive, Send};
    let mut aims = Vec::new();
    let mut aim = |work, connections, quantity, contestant, other, bound| {
        aims.push(Aim { case: (work, connections), quantity, contestant, other, bound });
    };
    for work in [Receive, Send] {
        aim(work, 1, Stack, "carrick/offload", ("bare/offload/copying", 1), AtMost(1.25));
    }
    aim(Receive, 1, Everybody, "carrick/offload", ("bare/offload/copying", 1), AtMost(1.15));
    aim(Send, 1, Everybody, "carrick/offload", ("loopback", 1), AtMost(1.1));
    aim(Receive, 1, Stack, "carrick/1500", ("bare/1500/copying", 1), AtMost(1.3));
    aim(Send, 1, Stack, "carrick/1500", ("bare/1500/copying", 1), AtMost(1.4));
    for work in [Receive, Send] {
        aim(work, 1, Stack, "carrick/1500", ("smoltcp/1500", 1), AtMost(1.0));
        aim(work, 1, Stack, "carrick/1500", ("netstack-smoltcp/1500", 1), AtMost(0.6));
        aim(work, 1, Stack, "carrick/1500", ("ipstack/1500", 1), AtMost(0.4));
        for peer in ["smoltcp/1500", "tokio-smoltcp/1500", "netstack-smoltcp/1500", "ipstack/1500"] {
            aim(work, 1, Goodput, "carrick/offload", (peer, 1), AtLeast(5.0));
        }
        aim(work, 16, Goodput, "carrick/offload", ("relay/offload", 16), AtLeast(1.0));
        aim(work, 16, Stack, "carrick/offload", ("carrick/offload", 1), AtMost(2.0));
    }
    aims
}

impl Report {
    pub(crate) fn new(names: Vec<&'static str>, cases: Vec<Case>) -> Self {
        let rounds = vec![vec![Vec::new(); names.len()]; cases.len()];
        Self { names, cases, rounds }
    }

    pub(crate) fn add(&mut self, case: usize, contestant: usize, measured: io::Result<Measured>) {
        self.rounds[case][contestant].push(measured.map_err(|error| error.to_string()));
    }

    /// Whether a contestant of such a name has failed in any round.
    pub(crate) fn failed(&self, whose: impl Fn(&str) -> bool) -> bool {
        let all = self.rounds.iter().flat_map(|case| case.iter().zip(&self.names));
        all.into_iter().any(|(rounds, name)| whose(name) && rounds.iter().any(Result::is_err))
    }

    pub(crate) fn print(&self) {
        for (place, case) in self.cases.iter().enumerate() {
            self.print_case(place, *case);
        }
        self.print_aims();
    }

    fn print_case(&self, place: usize, case: Case) {
        let towards = match case.work {
            Work::Receive => "kernel -> contestant",
            _ => "contestant -> kernel",
        };
        println!("\n{} ({towards}), connections: {}", case.work.name(), case.connections);
        println!(
            "{:<23} {:>7} {:>13}  {:>9} {:>13} {:>9} {:>7}  {:>6} {:>9}",
            "contestant",
            "Gbit/s",
            "range",
            "CPU s/GB",
            "user+system",
            "client's",
            "all",
            "/bare",
            "/loopback"
        );
        for (who, name) in self.names.iter().enumerate() {
            let rounds = &self.rounds[place][who];
            let good: Vec<_> = rounds.iter().filter_map(|measured| measured.as_ref().ok()).collect();
            let failure = rounds.iter().find_map(|measured| measured.as_ref().err());
            if !good.is_empty() {
                let gigabytes = |measured: &Measured| measured.bytes as f64 / 1e9;
                let of = |quantity: Quantity| median(good.iter().map(|measured| quantity.of(measured)));
                let (least, most) = range(good.iter().map(|measured| Quantity::Goodput.of(measured)));
                let user = median(good.iter().map(|measured| measured.stack.user / gigabytes(measured)));
                let system =
                    median(good.iter().map(|measured| measured.stack.system() / gigabytes(measured)));
                let client = median(good.iter().map(|measured| measured.client.total / gigabytes(measured)));
                let bare = bare_for(name).map(|bare| self.ratio(Quantity::Stack, (place, who), (case, bare)));
                let loopback = self.ratio(Quantity::Everybody, (place, who), (case, "loopback"));
                println!(
                    "{name:<23} {:>7.2} {:>13}  {:>9.3} {:>13} {client:>9.3} {:>7.3}  {:>6} {:>9}",
                    of(Quantity::Goodput),
                    format!("{least:.1}-{most:.1}"),
                    of(Quantity::Stack),
                    format!("{user:.2}+{system:.2}"),
                    of(Quantity::Everybody),
                    figure(bare.unwrap_or(f64::NAN)),
                    figure(loopback),
                );
            }
            if let Some(failure) = failure {
                let failures = rounds.len() - good.len();
                println!("{name:<23} failed {failures} of {}: {failure}", rounds.len());
            }
        }
    }

    fn print_aims(&self) {
        println!("\nWhat carrick is to reach (medians of ratios within a round)");
        for Aim { case, quantity, contestant, other, bound } in aims() {
            let place =
                |work, connections| self.cases.iter().position(|case| *case == Case { work, connections });
            let who = self.names.iter().position(|name| *name == contestant);
            let (Some(of), Some(who)) = (place(case.0, case.1), who) else { continue };
            let other_case = Case { work: case.0, connections: other.1 };
            let ratio = self.ratio(quantity, (of, who), (other_case, other.0));
            if ratio.is_nan() {
                continue;
            }
            let what = match quantity {
                Quantity::Goodput => "goodput",
                Quantity::Stack => "CPU of the stack",
                Quantity::Everybody => "CPU of all",
            };
            let (bound, met) = match bound {
                Bound::AtMost(most) => (format!("<= {most}"), ratio <= most),
                Bound::AtLeast(least) => (format!(">= {least}"), ratio >= least),
            };
            println!(
                "{:<3} {:>2}: {what} of {contestant} / {}{}: {ratio:.2} ({bound}{})",
                case.0.name(),
                case.1,
                other.0,
                if other.1 == case.1 { String::new() } else { format!(" with {}", other.1) },
                if met { "" } else { ", missed" },
            );
        }
    }

    /// The median of the ratios within each round.
    fn ratio(&self, quantity: Quantity, (place, who): (usize, usize), (case, other): (Case, &str)) -> f64 {
        let other_place = self.cases.iter().position(|known| *known == case);
        let other_who = self.names.iter().position(|name| *name == other);
        let (Some(other_place), Some(other_who)) = (other_place, other_who) else { return f64::NAN };
        let pairs = self.rounds[place][who].iter().zip(&self.rounds[other_place][other_who]);
        median(pairs.filter_map(|(one, other)| {
            Some(quantity.of(one.as_ref().ok()?) / quantity.of(other.as_ref().ok()?))
        }))
    }

    pub(crate) fn write_csv(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(
            file,
            "round,direction,connections,contestant,bytes,seconds,stack_user,stack_system,client_user,client_system,\
             far_user,far_system,error"
        )?;
        for (place, case) in self.cases.iter().enumerate() {
            for (who, name) in self.names.iter().enumerate() {
                for (round, measured) in self.rounds[place][who].iter().enumerate() {
                    write!(file, "{round},{},{},{name},", case.work.name(), case.connections)?;
                    match measured {
                        Ok(Measured { bytes, seconds, stack, client, far }) => {
                            write!(file, "{bytes},{seconds}")?;
                            for cpu in [stack, client, far] {
                                write!(file, ",{},{}", cpu.user, cpu.system())?;
                            }
                            writeln!(file, ",")?;
                        }
                        Err(error) => writeln!(file, ",,,,,,,,{}", error.replace([',', '\n', '"'], " "))?,
                    }
                }
            }
        }
        file.flush()
    }
}

/// Two decimals, or nothing.
fn figure(value: f64) -> String {
    if value.is_nan() { "-".into() } else { format!("{value:.2}") }
}
