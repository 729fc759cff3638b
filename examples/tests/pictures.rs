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
