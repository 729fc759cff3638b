//! The table: a file for each group of events, in the order of RFC 9293 §3.10.

use crate::play::play;
use crate::row::Row;
use crate::stage::Variant;
use carrick_covers::covers;
use std::collections::BTreeSet;

const FILES: [(&str, &str); 8] = [
    ("user.txt", include_str!("table/user.txt")),
    ("sequence.txt", include_str!("table/sequence.txt")),
    ("syn.txt", include_str!("table/syn.txt")),
    ("ack.txt", include_str!("table/ack.txt")),
    ("text.txt", include_str!("table/text.txt")),
    ("fin.txt", include_str!("table/fin.txt")),
    ("rst.txt", include_str!("table/rst.txt")),
    ("others.txt", include_str!("table/others.txt")),
];

/// Every state by its code.
pub(crate) const CODES: [&str; 11] = ["CL", "LI", "SS", "SR", "ES", "F1", "F2", "CW", "CG", "LA", "TW"];

const EVENTS: [&str; 30] = [
    "OPENP", "OPENA", "SEND", "RECV", "CLOSE", "ABORT", "STATUS", "SYN", "SYNDUP", "SYNACK", "ACKOK",
    "ACKDUP", "ACKOLD", "ACKFUT", "NOACK", "DATA", "OOO", "DATAOUT", "ZWIN", "FIN", "FINOOO", "FINOLD",
    "RSTX", "RSTW", "RSTO", "URG", "SEC", "UTO", "RTO", "TWTO",
];

/// Cells that the interface cannot express; `docs/decisions/exceptions.md` says why.
const EXCEPTIONS: [&str; 3] = ["SA-OPENA-LI", "SA-SEND-LI", "SA-UTO-TW"];

/// Every row of every file.
pub(crate) fn rows() -> Vec<Row> {
    let lines = FILES
        .into_iter()
        .flat_map(|(file, text)| text.lines().enumerate().map(move |(n, line)| (file, n + 1, line)));
    lines
        .filter(|(.., line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(file, n, line)| Row::parse(file, n, line))
        .collect()
}

#[test]
fn every_row_holds() {
    let mut objections = Vec::new();
    for row in rows() {
        for situation in &row.situations {
            let variants = Variant::all(situation);
            assert!(!variants.is_empty(), "{row}: {situation} cannot be played");
            let objection = variants.into_iter().find_map(|variant| {
                let seen = std::panic::catch_unwind(|| play(&row, situation, variant));
                match seen {
                    Ok(seen) => seen.objection(&row).map(|what| (what, variant, seen.transcript)),
                    Err(_) => Some(("a panic, see above".into(), variant, String::new())),
                }
            });
            match objection {
                None => covers!(row.id(situation).as_str()),
                Some((what, variant, transcript)) => {
                    let id = row.id(situation);
                    objections.push(format!("{id} ({row}, {situation}, {variant:?}): {what}\n{transcript}"));
                }
            }
        }
    }
    assert!(objections.is_empty(), "{}\n{} rows do not hold", objections.join("\n"), objections.len());
}

#[test]
fn every_cell_has_a_row() {
    let rows = rows();
    let have: BTreeSet<String> =
        rows.iter().flat_map(|row| row.situations.iter().map(|situation| row.id(situation))).collect();
    let cells = EVENTS.iter().flat_map(|event| CODES.map(|state| format!("SA-{event}-{state}")));
    let missing: Vec<String> =
        cells.filter(|id| !have.contains(id) && !EXCEPTIONS.contains(&id.as_str())).collect();
    assert!(missing.is_empty(), "{} cells without a row: {missing:?}", missing.len());
    // The page's own list of cells is the same.
    let page: BTreeSet<&str> = carrick_covers::IDS
        .lines()
        .filter_map(|line| line.split('\t').next())
        .filter(|id| id.starts_with("SA-"))
        .collect();
    let unknown: Vec<&str> =
        page.iter().copied().filter(|id| !have.contains(*id) && !EXCEPTIONS.contains(id)).collect();
    assert!(unknown.is_empty(), "not here: {unknown:?}");
    assert_eq!(page.len(), 30 * 11 + 6);
    for id in EXCEPTIONS {
        assert!(!have.contains(id), "{id} has a row and is an exception");
    }
}
