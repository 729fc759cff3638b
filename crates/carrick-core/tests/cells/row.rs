//! Rows and how they are written.

use carrick_wire::TcpFlags;
use std::fmt;

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) file: &'static str,
    pub(crate) line: usize,
    pub(crate) event: &'static str,
    pub(crate) situations: Vec<&'static str>,
    pub(crate) steps: Vec<Step>,
    pub(crate) next: Next,
    pub(crate) reply: Vec<Reply>,
    pub(crate) tells: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Segment(Likeness),
    /// A call, and its argument.
    Call(&'static str, u64),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    Same,
    State(&'static str),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    /// Under the throttle of challenge ACKs.
    pub(crate) throttled: bool,
    pub(crate) segment: Likeness,
}

/// A segment as the table writes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Likeness {
    pub(crate) flags: TcpFlags,
    pub(crate) seq: Number,
    pub(crate) ack: Number,
    pub(crate) len: u32,
    pub(crate) window: Option<u16>,
    pub(crate) urgent: u16,
    /// The timestamp is older than any that the peer has sent.
    pub(crate) old: bool,
    /// Carries no timestamp, whatever was agreed on.
    pub(crate) bare: bool,
    /// The IP header's type of service is odd.
    pub(crate) tos: bool,
}

/// A number by name, and how far from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Number(pub(crate) &'static str, pub(crate) i64);

impl Row {
    pub(crate) fn parse(file: &'static str, line: usize, text: &'static str) -> Self {
        let columns: Vec<&str> = text.split('|').map(str::trim).collect();
        let [event, situations, steps, next, reply, tells] = columns[..] else {
            panic!("{file}:{line}: six columns, not {}: {text}", columns.len());
        };
        let list = |text: &'static str, separator: char| -> Vec<&'static str> {
            text.split(separator).map(str::trim).filter(|item| !item.is_empty() && *item != "-").collect()
        };
        Self {
            file,
            line,
            event,
            situations: situations.split_whitespace().collect(),
            steps: list(steps, ';').into_iter().map(Step::parse).collect(),
            next: if next == "=" { Next::Same } else { Next::State(next) },
            reply: list(reply, ';').into_iter().map(Reply::parse).collect(),
            tells: list(tells, ',').into_iter().map(str::to_owned).collect(),
        }
    }

    pub(crate) fn id(&self, situation: &str) -> String {
        // The rules of the first step have numbers instead of states.
        if self.event.starts_with("SEQ-") {
            return format!("SA-{}", self.event);
        }
        format!("SA-{}-{}", self.event, &situation[..2])
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table/{}:{}", self.file, self.line)
    }
}

impl Step {
    fn parse(text: &'static str) -> Self {
        let word = text.split_whitespace().next().unwrap_or_default();
        if word.chars().all(|c| c.is_ascii_lowercase()) && word != "none" {
            let argument = text.split_whitespace().nth(1).map_or(0, |n| n.parse().expect("a number"));
            return Self::Call(word, argument);
        }
        Self::Segment(Likeness::parse(text))
    }
}

impl Reply {
    fn parse(text: &'static str) -> Self {
        match text.strip_prefix("CHAL") {
            Some(rest) => Self { throttled: true, segment: Likeness::with(TcpFlags::ACK, rest) },
            None => Self { throttled: false, segment: Likeness::parse(text) },
        }
    }
}

impl Likeness {
    fn parse(text: &'static str) -> Self {
        let (flags, rest) = text.split_once(' ').unwrap_or((text, ""));
        let flags = flags.split(',').fold(TcpFlags::EMPTY, |all, name| {
            all | match name {
                "SYN" => TcpFlags::SYN,
                "ACK" => TcpFlags::ACK,
                "RST" => TcpFlags::RST,
                "FIN" => TcpFlags::FIN,
                "URG" => TcpFlags::URG,
                "PSH" => TcpFlags::PSH,
                "none" => TcpFlags::EMPTY,
                other => panic!("no flag: {other} in {text}"),
            }
        });
        Self::with(flags, rest)
    }

    /// No flag, no text, only numbers.
    pub(crate) const fn nothing(number: Number) -> Self {
        Self {
            flags: TcpFlags::EMPTY,
            seq: number,
            ack: number,
            len: 0,
            window: None,
            urgent: 0,
            old: false,
            bare: false,
            tos: false,
        }
    }

    fn with(flags: TcpFlags, fields: &'static str) -> Self {
        let mut likeness = Self { flags, ..Self::nothing(Number("zero", 0)) };
        let mut words = fields.split_whitespace();
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} of what: {fields}"));
            match word {
                "seq" => likeness.seq = Number::parse(value()),
                "ack" => likeness.ack = Number::parse(value()),
                "len" => likeness.len = value().parse().expect("a length"),
                "win" => likeness.window = Some(value().parse().expect("a window")),
                "up" => likeness.urgent = value().parse().expect("an urgent pointer"),
                "old" => likeness.old = true,
                "bare" => likeness.bare = true,
                "tos" => likeness.tos = true,
                other => panic!("no field: {other} in {fields}"),
            }
        }
        likeness
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seq {} ack {} len {}", self.flags, self.seq, self.ack, self.len)
    }
}

impl Number {
    fn parse(text: &'static str) -> Self {
        let at = text.find(['+', '-']).unwrap_or(text.len());
        let (name, offset) = text.split_at(at);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return Self("first", name.parse().expect("a number"));
        }
        let offset = if offset.is_empty() { 0 } else { offset.parse().expect("an offset") };
        Self(name, offset)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:+}", self.0, self.1)
    }
}
