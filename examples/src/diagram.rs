//! The state diagram of TCP, drawn from the functions that carrick's connections run on.

use carrick_core::{Cause, TcpState};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An arrow of the picture: all that leads from one state to another for reasons of one kind.
struct Arrow {
    from: TcpState,
    to: TcpState,
    labels: Vec<&'static str>,
    /// Resets, aborts and giving up, which the RFC leaves out of its figure 5.
    dashed: bool,
}

/// What happens, and behind the slash what is sent, as in RFC 9293 figure 5.
const fn label(cause: Cause, to: TcpState) -> &'static str {
    match cause {
        Cause::PassiveOpen => "passive OPEN",
        Cause::ActiveOpen => "active OPEN / SYN",
        Cause::Syn => "SYN / SYN,ACK",
        Cause::SynAck => "SYN,ACK / ACK",
        Cause::SynAcked => "ACK of SYN",
        Cause::Close if matches!(to, TcpState::Closed) => "CLOSE",
        Cause::Close => "CLOSE / FIN",
        Cause::FinAcked => "ACK of FIN",
        Cause::Fin => "FIN / ACK",
        Cause::TimeWaitOver => "2 MSL",
        Cause::Reset => "RST",
        Cause::Abort => "ABORT",
        Cause::GiveUp => "no answer",
    }
}

fn arrows() -> Vec<Arrow> {
    let mut arrows: BTreeMap<_, Arrow> = BTreeMap::new();
    for (from, cause, to) in TcpState::transitions() {
        let dashed = matches!(cause, Cause::Reset | Cause::Abort | Cause::GiveUp);
        let arrow = arrows.entry((dashed, from, to));
        let arrow = arrow.or_insert(Arrow { from, to, labels: Vec::new(), dashed });
        arrow.labels.push(label(cause, to));
    }
    arrows.into_values().collect()
}

/// The diagram as a Mermaid flowchart.
#[must_use]
pub fn mermaid() -> String {
    let id = |state: TcpState| state.name().replace('-', "");
    let mut text = String::from("flowchart TD\n");
    for state in TcpState::ALL {
        let _ = writeln!(text, "    {}[\"{state}\"]", id(state));
    }
    for Arrow { from, to, labels, dashed } in arrows() {
        let line = if dashed { "-.->" } else { "-->" };
        let _ = writeln!(text, "    {} {line}|\"{}\"| {}", id(from), labels.join("<br>"), id(to));
    }
    text
}

/// The diagram for Graphviz.
#[must_use]
pub fn dot() -> String {
    let mut text = String::from("digraph tcp {\n    node [shape=box, fontname=\"sans-serif\"];\n");
    text.push_str("    edge [fontname=\"sans-serif\", fontsize=10];\n");
    for Arrow { from, to, labels, dashed } in arrows() {
        let style = if dashed { ", style=dashed, color=gray, fontcolor=gray" } else { "" };
        let _ = writeln!(text, "    \"{from}\" -> \"{to}\" [label=\"{}\"{style}];", labels.join("\\n"));
    }
    text.push_str("}\n");
    text
}
