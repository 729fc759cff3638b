//! The pictures in the documentation are the ones that the programs print.

use carrick_examples::{diagram, ladder};

#[test]
fn the_state_diagram_of_the_documentation_is_the_generated_one() {
    let page = include_str!("../../docs/state-machine.md");
    let (_, rest) =
        page.split_once("<!-- generated: state_diagram -->\n```mermaid\n").expect("the first marker");
    let (shown, _) = rest.split_once("```\n<!-- end -->").expect("the second marker");
    let hint = "cargo run -p carrick-examples --bin state_diagram prints what belongs between the markers";
    assert_eq!(shown, diagram::mermaid(), "{hint}");
}

#[test]
fn both_forms_of_the_diagram_have_every_transition() {
    let arrows = |text: &str, arrow: &str| text.matches(arrow).count();
    let mermaid = diagram::mermaid();
    let drawn = arrows(&mermaid, "-->") + arrows(&mermaid, "-.->");
    assert_eq!(drawn, arrows(&diagram::dot(), " -> "));
    let pairs = carrick_core::TcpState::transitions().map(|(from, _, to)| (from, to));
    let pairs: std::collections::BTreeSet<_> = pairs.collect();
    assert!(drawn >= pairs.len(), "{drawn} arrows for {} pairs of states", pairs.len());
    for (from, to) in pairs {
        assert!(diagram::dot().contains(&format!("\"{from}\" -> \"{to}\"")), "{from} to {to}");
    }
}

#[test]
fn the_ladders_are_those_of_the_last_look_and_fit_the_page() {
    let hint =
        "cargo run -p carrick-examples --bin handshake > examples/tests/handshake.txt, after a look at it";
    let drawn = ladder::all();
    assert_eq!(drawn, include_str!("handshake.txt"), "{hint}");
    assert!(drawn.lines().all(|line| line.len() <= 100));
}

/// What the teaching material tells, number for number.
#[test]
fn the_first_ladder_is_the_textbooks_conversation() {
    let drawn = ladder::textbook();
    let words = |line: &str| {
        let arrow = line.split('|').nth(1).unwrap_or_default();
        arrow.trim_matches(|c| "<>- ".contains(c)).to_string()
    };
    let seen: Vec<_> = drawn.lines().map(words).filter(|line| line.contains("S=")).collect();
    let expected = [
        "SYN S=100",
        "SYN,ACK S=2000 A=101",
        "ACK S=101 A=2001",
        "PSH,ACK S=101 A=2001 100 bytes",
        "PSH,ACK S=2001 A=201 500 bytes",
        "ACK S=201 A=2501",
        "FIN,ACK S=201 A=2501",
        "ACK S=2501 A=202",
        "FIN,ACK S=2501 A=202",
        "ACK S=202 A=2502",
    ];
    assert_eq!(seen, expected);
    for state in ["FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "LAST-ACK", "TIME-WAIT"] {
        assert!(drawn.contains(state), "{state}");
    }
}
