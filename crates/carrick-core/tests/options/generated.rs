//! Every state, every kind of segment, every place of its numbers (T-LIF-14): a generated table of more than a thousand
//! cases, against a snapshot that was read through, and against the rules that hold for all of them.

use crate::flags::{SITUATIONS, outcome};
use crate::snapshot;
use crate::stage::{Stage, Variant};
use carrick_covers::covers;
use carrick_sim::{Seg, seg};
use std::fmt::Write as _;

const KINDS: [&str; 9] = ["ACK", "text", "FIN,ACK", "no ACK", "SYN", "SYN,ACK", "RST", "RST,ACK", "SYN,RST"];

fn segment(kind: &str, seq: u32, ack: u32) -> Seg {
    let seg = seg().seq(seq);
    match kind {
        "ACK" => seg.ack(ack),
        "text" => seg.ack(ack).len(5),
        "FIN,ACK" => seg.fin().ack(ack),
        "no ACK" => seg.fin().len(5),
        "SYN" => seg.syn(),
        "SYN,ACK" => seg.syn().ack(ack),
        "RST" => seg.rst(),
        "RST,ACK" => seg.rst().ack(ack),
        _ => seg.syn().rst(),
    }
}

#[test]
fn t_lif_14_every_state_and_every_segment() {
    let mut page = String::from(
        "State afterwards and replies. Columns: SEG.SEQ is 10 before RCV.NXT, 1 before it, on it, 1 behind it, on the right\n\
         edge, 1 behind that, half the circle away. Rows with an ACK: of one less than SND.UNA, of SND.NXT, of one more.\n",
    );
    let mut cases = 0;
    for situation in SITUATIONS {
        let _ = writeln!(page, "\n{situation}");
        for kind in KINDS {
            let acks: &[&str] = if kind.contains("ACK") && kind != "no ACK" || kind == "text" {
                &["una-1", "nxt", "nxt+1"]
            } else {
                &["-"]
            };
            for name in acks {
                let _ = write!(page, "  {kind:8} {name:6}");
                for place in 0..7 {
                    let mut stage = Stage::new(situation, Variant::all(situation)[0]);
                    let Stage { una, nxt, rcv, edge, .. } = stage;
                    let edge = edge.max(rcv);
                    let seq = [
                        rcv.wrapping_sub(10),
                        rcv.wrapping_sub(1),
                        rcv,
                        rcv + 1,
                        edge,
                        edge + 1,
                        rcv.wrapping_add(1 << 31),
                    ][place];
                    let ack = match *name {
                        "una-1" => una.wrapping_sub(1),
                        "nxt+1" => nxt + 1,
                        _ => nxt,
                    };
                    let before = crate::stage::code(stage.scene.state());
                    let packet = stage.scene.packet(&segment(kind, seq, ack));
                    let after = outcome(&mut stage, &packet);
                    check(situation, kind, before, place, &after);
                    let _ = write!(page, " | {after:7}");
                    cases += 1;
                }
                page.truncate(page.trim_end().len());
                page.push('\n');
            }
        }
    }
    assert!(cases >= 1000, "{cases}");
    snapshot::check("generated.txt", include_str!("generated.txt"), &page);
    covers!("T-LIF-14");
}

/// What holds for every cell.
fn check(situation: &str, kind: &str, before: &str, place: usize, after: &str) {
    let at = format!("{situation}, {kind}, place {place}: {after}");
    let (state, reply) = after.split_once(' ').unwrap_or((after, ""));
    let reset = kind.contains("RST");
    let synchronized = !["CL", "LI", "SS", "SR"].contains(&before);
    assert!(reply.split_whitespace().count() <= 1, "one answer at most: {at}");
    if reset {
        assert!(!reply.contains('R'), "no reset is answered with one: {at}");
        assert!(state == before || place == 2 || before == "SS", "only the exact number resets: {at}");
    }
    if synchronized {
        assert!(!reply.contains('R'), "a synchronized connection resets nobody for a number: {at}");
        assert!(
            state != "CL" || reset || before == "LA",
            "nothing but a reset or our own FIN's ACK ends it: {at}"
        );
    }
    if place == 6 && before != "SS" && before != "CL" && before != "LI" {
        let reopened = before == "TW" && state == "SR";
        assert!(state == before || reopened, "half the circle away nothing is taken: {at}");
    }
}
