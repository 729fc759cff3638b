//! What came of all runs, as a table, as JUnit's XML, as JSON.

use crate::run::{Outcome, Result};
use crate::script::Script;
use std::fmt::Write;

/// A run, and what the kernel made of the same, if it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) script: Script,
    pub(crate) result: Result,
    pub(crate) kernel: Option<Outcome>,
}

#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) verbose: bool,
}

/// How many runs came to what.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    runs: usize,
    passed: usize,
    failed: usize,
    not_applicable: usize,
    not_parsable: usize,
    kernel: usize,
    /// Of what the kernel passes and is applicable here.
    of_kernel: usize,
    of_kernel_passed: usize,
}

impl Score {
    fn add(&mut self, row: &Row) {
        self.runs += 1;
        match row.result.outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::NotApplicable => self.not_applicable += 1,
            Outcome::NotParsable => self.not_parsable += 1,
        }
        if row.kernel == Some(Outcome::Passed) {
            self.kernel += 1;
            self.of_kernel += usize::from(row.result.outcome != Outcome::NotApplicable);
            self.of_kernel_passed += usize::from(row.result.outcome == Outcome::Passed);
        }
    }

    fn line(&self, name: &str, beside: bool) -> String {
        let Self { runs, passed, failed, not_applicable, not_parsable, .. } = self;
        let mut line =
            format!("{name:<28} {runs:>5} {passed:>7} {failed:>7} {not_applicable:>15} {not_parsable:>13}");
        if beside {
            let Self { kernel, of_kernel, of_kernel_passed, .. } = self;
            let _ = write!(line, " {kernel:>7} {:>12}", format!("{of_kernel_passed}/{of_kernel}"));
        }
        line + "\n"
    }
}

impl Report {
    /// Whether all passed that is applicable.
    pub(crate) fn all_passed(&self) -> bool {
        self.rows.iter().all(|row| matches!(row.result.outcome, Outcome::Passed | Outcome::NotApplicable))
    }

    /// The runs that failed, and the score of each directory.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let wrong = |row: &&Row| matches!(row.result.outcome, Outcome::Failed | Outcome::NotParsable);
        for row in self.rows.iter().filter(wrong) {
            let word = if row.result.outcome == Outcome::Failed { "failed" } else { "not parsable" };
            let kernel = match row.kernel {
                Some(Outcome::Passed) => " (the kernel passes)",
                Some(_) => " (so does the kernel)",
                None => "",
            };
            let _ = writeln!(text, "{word}: {} [{}]{kernel}", row.script.name, row.script.variant.name());
            for line in row.result.text.lines().filter(|_| self.verbose) {
                let _ = writeln!(text, "    {line}");
            }
        }
        let beside = self.rows.iter().any(|row| row.kernel.is_some());
        let mut all = Score::default();
        let mut directories: Vec<(&str, Score)> = Vec::new();
        for row in &self.rows {
            all.add(row);
            let directory = row.script.directory();
            match directories.iter_mut().find(|(name, _)| *name == directory) {
                Some((_, score)) => score.add(row),
                None => {
                    let mut score = Score::default();
                    score.add(row);
                    directories.push((directory, score));
                }
            }
        }
        let _ = write!(
            text,
            "{:<28} {:>5} {:>7} {:>7} {:>15} {:>13}",
            "directory", "runs", "passed", "failed", "not applicable", "not parsable"
        );
        text += if beside { "  kernel  of kernel's\n" } else { "\n" };
        for (name, score) in directories {
            text += &score.line(name, beside);
        }
        text += &all.line("all", beside);
        if all.not_applicable * 10 > all.runs {
            text += "more than one run in ten is said to be not applicable\n";
        }
        text
    }

    pub(crate) fn junit(&self) -> String {
        let count = |outcome| self.rows.iter().filter(|row| row.result.outcome == outcome).count();
        let [failed, errors, skipped] =
            [Outcome::Failed, Outcome::NotParsable, Outcome::NotApplicable].map(count);
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            text,
            "<testsuite name=\"packetdrill\" tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\" \
             skipped=\"{skipped}\">",
            self.rows.len()
        );
        for Row { script, result, .. } in &self.rows {
            let (name, variant) = (xml(&script.name), script.variant.name());
            let seconds = result.took.as_secs_f64();
            let _ = write!(text, "<testcase classname=\"{name}\" name=\"{variant}\" time=\"{seconds:.3}\">");
            let said = xml(&result.text);
            let _ = match result.outcome {
                Outcome::Passed => Ok(()),
                Outcome::Failed => write!(text, "<failure>{said}</failure>"),
                Outcome::NotApplicable => write!(text, "<skipped message=\"{said}\"/>"),
                Outcome::NotParsable => write!(text, "<error>{said}</error>"),
            };
            text += "</testcase>\n";
        }
        text + "</testsuite>\n"
    }

    pub(crate) fn json(&self) -> String {
        let word = |outcome| match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::NotApplicable => "not applicable",
            Outcome::NotParsable => "not parsable",
        };
        let rows = self.rows.iter().map(|Row { script, result, kernel }| {
            let kernel = kernel.map_or_else(|| "null".to_owned(), |kernel| quoted(word(kernel)));
            format!(
                "{{\"script\":{},\"variant\":{},\"outcome\":{},\"kernel\":{kernel},\"text\":{}}}",
                quoted(&script.name),
                quoted(script.variant.name()),
                quoted(word(result.outcome)),
                quoted(&result.text)
            )
        });
        format!("[\n{}\n]\n", rows.collect::<Vec<_>>().join(",\n"))
    }
}

/// Text in XML: what has a meaning there is written out, what may not stand there left out.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}
