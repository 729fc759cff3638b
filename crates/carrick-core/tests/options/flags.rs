//! Every combination of flags, in order, in every state (T-MAL-11).

use crate::common::*;
use crate::snapshot;
use crate::stage::{Stage, Variant, code};
use carrick_covers::covers;
use carrick_sim::{Packet, seg};
use carrick_wire::TcpFlags;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(crate) const SITUATIONS: [&str; 13] =
    ["CL", "LI", "SS", "SR", "SRa", "ES", "F1", "F2", "CW", "CG", "LA", "TW", "TWr"];

/// The state afterwards, and what was sent, in short.
pub(crate) fn outcome(stage: &mut Stage, packet: &Packet) -> String {
    stage.scene.inject_packet(packet);
    let mut text = code(stage.scene.state()).to_owned();
    let mut listener = false;
    if text == "LI" {
        // A listener's connection that is established waits to be accepted.
        listener = stage.scene.accept();
        text = code(stage.scene.state()).to_owned();
    }
    let _ = listener;
    for packet in sent(&mut stage.scene) {
        let tcp = packet.segment().expect("a segment").tcp;
        let flags = TcpFlags::from_bits(tcp.flags.bits() & 0x17);
        let _ = write!(text, " {flags}");
    }
    text
}

/// The low six bits are FIN to URG; above them ECE, CWR and the four that are reserved or were once.
fn outcome_of(situation: &'static str, pattern: u16) -> String {
    let mut stage = Stage::new(situation, Variant::all(situation)[0]);
    let (seq, ack) = if situation == "CL" || situation == "LI" { (5, 9) } else { (stage.rcv, stage.nxt) };
    let packet = stage.scene.packet(&seg().seq(seq).ack(ack).flags(TcpFlags::EMPTY));
    let mut tcp = packet.bytes[20..].to_vec();
    tcp[12] = tcp[12] & 0xf0 | (pattern >> 8) as u8;
    tcp[13] = pattern as u8;
    outcome(&mut stage, &rebuilt(&packet.bytes[..20], &tcp))
}

#[test]
fn t_mal_11_each_combination_of_flags_has_one_outcome_in_each_state() {
    let mut page = String::from(
        "A segment of RCV.NXT and SND.NXT (5 and 9 in CL and LI), without text: state afterwards, replies, and for\n\
         which flags. ECE, CWR and the four reserved bits change none of it.\n",
    );
    for situation in SITUATIONS {
        let mut by_outcome: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for low in 0..64u16 {
            let expected = outcome_of(situation, low);
            for high in 1..64u16 {
                let pattern = high << 6 | low;
                assert_eq!(outcome_of(situation, pattern), expected, "{situation} {pattern:03x}");
            }
            by_outcome.entry(expected).or_default().push(TcpFlags::from_bits(low).to_string());
        }
        let _ = writeln!(page, "\n{situation}");
        for (outcome, flags) in by_outcome {
            let _ = writeln!(page, "  {outcome:12} {}", flags.join(" "));
        }
    }
    snapshot::check("flags.txt", include_str!("flags.txt"), &page);
    covers!("T-MAL-11");
}
