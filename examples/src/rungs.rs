//! Draws a conversation as a ladder: one line for each segment, between both sides' states.

use carrick_core::TcpState;
use carrick_wire::TcpFlags;
use std::fmt::Write as _;

/// Columns between the two sides.
const WIDTH: usize = 50;

/// A ladder that is being drawn. Side 0 stands on the left, side 1 on the right.
#[derive(Debug)]
pub struct Rungs {
    names: [&'static str; 2],
    /// The states on the last line.
    shown: [TcpState; 2],
    text: String,
}

/// How much of a segment's way a line shows.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// All of it.
    Whole,
    /// Setting out.
    First,
    /// Arriving.
    Last,
}

impl Rungs {
    /// A title, and what the sides are called.
    #[must_use]
    pub fn new(title: &str, names: [&'static str; 2]) -> Self {
        let mut text = format!("{title}\n\n");
        let _ = writeln!(text, "{:26}{:<width$}{}", "", names[0], names[1], width = WIDTH + 1);
        Self { names, shown: [TcpState::Closed; 2], text }
    }

    /// What one side does.
    pub fn note(&mut self, time: &str, states: [TcpState; 2], side: usize, what: &str) {
        let what = format!("{} {what}", self.names[side]);
        let between = if side == 0 { format!(" {what:<WIDTH$}") } else { format!("{what:>WIDTH$} ") };
        self.line(time, states, &between);
    }

    /// A segment, with the states of its sender when it left and of its receiver once it has arrived.
    pub fn segment(&mut self, time: &str, states: [TcpState; 2], from: usize, what: &str, part: Part) {
        let width = if matches!(part, Part::Whole) { WIDTH } else { WIDTH / 2 };
        let what = format!(" {what} ");
        let middle = format!("{what:-^0$}", width - 1);
        let arrow = if from == 0 { format!("{middle}>") } else { format!("<{middle}") };
        let starts_left = matches!((from, part), (0, Part::First) | (1, Part::Last));
        let between = if starts_left { format!("|{arrow:<WIDTH$}|") } else { format!("|{arrow:>WIDTH$}|") };
        self.line(time, states, &between);
    }

    /// The states, if they have changed since the last line.
    pub fn states(&mut self, time: &str, states: [TcpState; 2]) {
        if states != self.shown {
            self.line(time, states, &format!("|{:WIDTH$}|", ""));
        }
    }

    fn line(&mut self, time: &str, states: [TcpState; 2], between: &str) {
        self.shown = states;
        let line = format!("{time:>11}  {:<12} {between} {}", states[0].name(), states[1].name());
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// All that was drawn.
    #[must_use]
    pub fn draw(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

/// A segment in words: its flags, its numbers, its length.
#[must_use]
pub fn describe(flags: TcpFlags, seq: u32, ack: u32, len: usize) -> String {
    let names = [
        (TcpFlags::SYN, "SYN"),
        (TcpFlags::RST, "RST"),
        (TcpFlags::FIN, "FIN"),
        (TcpFlags::PSH, "PSH"),
        (TcpFlags::ACK, "ACK"),
    ];
    let set: Vec<_> = names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect();
    let mut text = format!("{} S={seq}", set.join(","));
    if flags.contains(TcpFlags::ACK) {
        let _ = write!(text, " A={ack}");
    }
    if len > 0 {
        let _ = write!(text, " {len} bytes");
    }
    text
}
