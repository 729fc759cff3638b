//! The runner can say no: every row with its expectation changed in one place, in every way there is, fails.

use crate::play::play;
use crate::row::{Next, Number, Reply, Row};
use crate::stage::Variant;
use crate::table::{CODES, rows};
use carrick_wire::TcpFlags;

/// Flags that flipping adds or takes away.
const FLAGS: [TcpFlags; 4] = [TcpFlags::SYN, TcpFlags::ACK, TcpFlags::RST, TcpFlags::FIN];

/// The row with one thing changed; what `seen` was is the state that it may not name.
fn flipped(row: &Row, state: &str) -> Vec<(String, Row)> {
    let mut all = Vec::new();
    let mut flip = |what: String, change: &dyn Fn(&mut Row)| {
        let mut other = row.clone();
        change(&mut other);
        all.push((what, other));
    };
    for code in CODES.into_iter().filter(|code| *code != state) {
        flip(format!("state {code}"), &|row| row.next = Next::State(code));
    }
    flip("a reply more".into(), &|row| {
        let nowhere = Number("zero", 7);
        let segment = crate::row::Likeness::nothing(nowhere);
        row.reply.push(Reply { throttled: false, segment });
    });
    for at in 0..row.reply.len() {
        flip("a reply less".into(), &|row| {
            row.reply.remove(at);
        });
        flip("another SEQ".into(), &|row| row.reply[at].segment.seq.1 += 1);
        flip("a length".into(), &|row| row.reply[at].segment.len += 1);
        if let Some(window) = row.reply[at].segment.window {
            flip("another window".into(), &|row| row.reply[at].segment.window = Some(window + 1));
        }
        if row.reply[at].segment.flags.contains(TcpFlags::ACK) {
            flip("another ACK".into(), &|row| row.reply[at].segment.ack.1 += 1);
        }
        for flag in FLAGS {
            flip(format!("flag {flag}"), &|row| {
                let flags = &mut row.reply[at].segment.flags;
                *flags = if flags.contains(flag) { flags.difference(flag) } else { *flags | flag };
            });
        }
    }
    flip("a notification more".into(), &|row| row.tells.push("something".into()));
    for at in 0..row.tells.len() {
        flip("a notification less".into(), &|row| {
            row.tells.remove(at);
        });
        flip("another notification".into(), &|row| row.tells[at].push('x'));
    }
    all
}

#[test]
fn every_changed_expectation_is_refused() {
    let mut flips = 0;
    for row in rows() {
        for situation in &row.situations {
            let variant = Variant::all(situation)[0];
            let seen = play(&row, situation, variant);
            let state = match row.next {
                Next::Same => &situation[..2],
                Next::State(state) => state,
            };
            for (what, other) in flipped(&row, state) {
                flips += 1;
                assert!(seen.objection(&other).is_some(), "{row} in {situation}: {what} was not noticed");
            }
        }
    }
    assert!(flips > 5_000, "{flips}");
}

/// The throttle is looked at too: an answer to each of twenty is no challenge ACK, and neither is none.
#[test]
fn a_challenge_that_is_not_throttled_is_refused() {
    let text = "OOO | ES | ACK seq rcv+10 ack nxt len 5 | = | CHAL seq nxt ack rcv | -";
    let row = Row::parse("here", 1, text);
    let seen = play(&row, "ES", Variant::all("ES")[0]);
    assert!(seen.objection(&row).is_some_and(|what| what.contains("answers to twenty")));
}
