//! Super-segments that lie across an edge: of each part becomes what would become of it alone.

use carrick_core::{Event, TcpState};
use carrick_covers::covers;
use carrick_sim::{Builder, Packet, Scene, Seg, pattern, seg};
use carrick_wire::{SeqNum, TcpFlags};

/// What the application and the numbers show.
#[derive(Debug, PartialEq)]
struct Outcome {
    numbers: Option<[SeqNum; 4]>,
    state: TcpState,
    text: Vec<u8>,
    urgent: Option<usize>,
    events: Vec<Event>,
    at_end: bool,
    /// The last ACK: its number, its window, its blocks but for D-SACK.
    ack: Option<(SeqNum, u16, usize)>,
    /// What was told to have come twice, piece by piece.
    twice: Vec<(u32, u32)>,
}

fn builder() -> Builder {
    Scene::builder().mss(1000).sack(true)
}

/// A super-segment of 1,000 bytes to a segment.
fn frame(seq: u32, len: usize) -> Seg {
    seg().seq(seq).ack(1).len(len).segment_size(1000)
}

fn outcome(mut s: Scene, batch: &[Packet], irs: SeqNum) -> Outcome {
    let now = s.now();
    let before = s.connection().and_then(|connection| connection.sequence_numbers());
    s.host_mut().receive_batch(now, batch);
    let sent = s.host_mut().take_packets();
    let mut twice = Vec::new();
    for packet in &sent {
        let tcp = packet.segment().expect("TCP").tcp;
        let blocks: Vec<_> = tcp.options.sack.iter().collect();
        if let Some(first) = blocks.first() {
            let inside = blocks.iter().skip(1).any(|block| {
                block.left().at_or_before(first.left()) && block.right().at_or_after(first.right())
            });
            if first.right().at_or_before(tcp.ack) || inside {
                twice.push((first.left().distance_from(irs), first.right().distance_from(irs)));
            }
        }
    }
    let last = sent.iter().rev().find_map(Packet::segment).map(|segment| segment.tcp);
    let blocks = |tcp: &carrick_wire::TcpHeader| {
        tcp.options.sack.iter().filter(|block| block.left().after(tcp.ack)).count()
    };
    s.check();
    Outcome {
        numbers: s.connection().and_then(|connection| connection.sequence_numbers()).or(before),
        urgent: s.connection().and_then(|connection| connection.urgent_len()),
        state: s.state(),
        events: s.events(),
        ack: last.map(|tcp| (tcp.ack, tcp.window.get(), blocks(&tcp))),
        text: s.read(),
        at_end: s.at_end(),
        twice,
    }
}

/// What becomes of it whole, after seeing that the same becomes of it in pieces.
#[track_caller]
fn alike(scene: impl Fn() -> Scene, frame: Seg) -> Outcome {
    let (whole, pieces) = (scene(), scene());
    let packet = whole.packet(&frame);
    let irs = whole.packet(&seg().seq(0)).segment().expect("TCP").tcp.seq;
    let wire = packet.cut();
    assert!(wire.len() > 1);
    let whole = outcome(whole, &[packet], irs);
    let mut pieces = outcome(pieces, &wire, irs);
    // Pieces that touch are told of as one.
    pieces.twice.dedup_by(|next, before| {
        let touch = before.1 == next.0;
        if touch {
            before.1 = next.1;
        }
        touch
    });
    assert_eq!(whole, pieces);
    whole
}

/// 5,000 bytes have been taken, and read.
fn five_taken() -> Scene {
    let mut s = builder().established();
    s.inject(frame(1, 5000));
    s.read();
    while s.take().is_some() {}
    s
}

#[test]
fn of_a_head_that_is_old_the_rest_is_new() {
    for head in [1, 999, 1000, 1001, 2500, 4999, 5000] {
        let seen = alike(five_taken, frame(5001 - head, 8000));
        let new = 8000 - head as usize;
        assert_eq!(seen.text, pattern(5001, new));
        assert_eq!(seen.twice, [(5001 - head, 5001)], "and said so");
    }
}

/// Seen: a window counted as old because the head of its frame was, and the peer waited for a probe.
#[test]
fn a_window_is_as_new_as_the_last_segment_that_carries_it() {
    let closed = || {
        let mut s = five_taken();
        s.inject(seg().seq(5001).ack(1).window(0));
        s.send([1; 3000]);
        s
    };
    let seen = alike(closed, frame(4001, 2000));
    let [una, nxt, ..] = seen.numbers.expect("established");
    assert_eq!(nxt - una, 3000, "what was written has left");
}

#[test]
fn of_a_tail_beyond_the_window_what_is_inside_is_taken() {
    for buffer in [4000, 4500, 4999, 5000, 7000] {
        let scene = move || builder().config(|config| config.receive_buffer = buffer).established();
        let seen = alike(scene, frame(1, 8000));
        assert_eq!(seen.text, pattern(1, buffer as usize));
        let [.., nxt, edge] = seen.numbers.expect("established");
        assert_eq!(nxt, edge, "to the last byte");
    }
    // All of it beyond, and right at the edge.
    for seq in [4001, 4002, 9000] {
        let scene = || builder().config(|config| config.receive_buffer = 4000).established();
        let seen = alike(scene, frame(seq, 3000));
        assert!(seen.text.is_empty() && seen.events.is_empty());
        assert!(seen.ack.is_some(), "whoever sends beyond the window is told where it is");
    }
}

#[test]
fn of_flags_at_the_end_the_last_segment_is_the_bearer() {
    for len in [2000, 2001, 3500] {
        let seen = alike(five_taken, frame(5001, len).psh().fin());
        assert_eq!((seen.state, seen.text.len(), seen.at_end), (TcpState::CloseWait, len, true));
        // Behind a hole it waits.
        let seen = alike(five_taken, frame(6001, len).fin());
        assert_eq!((seen.state, seen.text.len()), (TcpState::Established, 0));
        // Its head is old.
        let seen = alike(five_taken, frame(4001, len).fin());
        assert_eq!((seen.state, seen.text.len()), (TcpState::CloseWait, len - 1000));
    }
    // Beyond the window there is no end yet, right at its edge there is.
    for (buffer, state) in [(2999, TcpState::Established), (3000, TcpState::CloseWait)] {
        let scene = move || builder().config(|config| config.receive_buffer = buffer).established();
        let seen = alike(scene, frame(1, 3000).fin());
        assert_eq!((seen.state, seen.text.len()), (state, buffer as usize));
    }
}

#[test]
fn urgent_text_ends_where_the_pointer_of_all_says() {
    for pointer in [1, 1000, 1001, 2999, 3000, 3500] {
        let seen = alike(five_taken, frame(5001, 3000).urg(pointer));
        assert_eq!(seen.text, pattern(5001, 3000));
        assert!(seen.events.contains(&Event::Urgent));
    }
}

#[test]
fn behind_a_hole_it_waits_whole() {
    let seen = alike(five_taken, frame(6001, 20_500));
    assert!(seen.text.is_empty());
    assert_eq!(seen.ack.map(|ack| ack.2), Some(1), "one block for all of it");
    let filled = || {
        let mut s = five_taken();
        s.inject(frame(6001, 20_500));
        while s.take().is_some() {}
        s
    };
    let seen = alike(filled, frame(4001, 2000));
    assert_eq!(seen.text, pattern(5001, 21_500));
    assert_eq!(seen.twice, [(4001, 5001)]);
}

/// Islands of text behind a hole, and a frame over all of it.
fn islands() -> Scene {
    let mut s = five_taken();
    for island in [7001, 10_001, 12_001] {
        s.inject(seg().seq(island).ack(1).len(1000));
    }
    while s.take().is_some() {}
    s
}

/// Seen: of a super-segment that covered several ranges only the first was reported.
#[test]
fn what_has_come_in_parts_is_reported_part_by_part() {
    let parts = [(7001, 8001), (10_001, 11_001), (12_001, 13_001)];
    let seen = alike(islands, frame(5001, 9000));
    assert_eq!((seen.text.len(), &seen.twice[..]), (9000, &parts[..]));
    // With a head that is old as well.
    let seen = alike(islands, frame(3001, 8000));
    assert_eq!((seen.text.len(), &seen.twice[..]), (6000, &[(3001, 5001), parts[0], parts[1]][..]));
    // Behind the hole still.
    let seen = alike(islands, frame(6001, 5000));
    assert_eq!((seen.text.len(), &seen.twice[..]), (0, &parts[..2]));
    // All of it is old: one block says so.
    let seen = alike(five_taken, frame(1, 5000));
    assert_eq!((seen.text.len(), &seen.twice[..]), (0, &[(1, 5001)][..]));
    // Of one segment the first part alone (RFC 2883 §4).
    let mut s = islands();
    s.inject(seg().seq(5001).ack(1).len(9000));
    s.expect(seg().seq(1).ack(14_001).sack(&[parts[0]]));
    s.expect_nothing();
}

#[test]
fn t_dev_8_however_a_frame_is_cut_on_arrival_the_same_has_come() {
    let text = pattern(1, 30_000);
    for size in [1, 7, 536, 999, 1000, 1460, 29_999] {
        let mut s = builder().established();
        let segment_size = size as u16;
        let whole = s.packet(&seg().fin().psh().seq(1).ack(1).data(&text).segment_size(segment_size));
        let wire = whole.cut();
        assert_eq!(wire.len(), text.len().div_ceil(size));
        for most in [2, 3, 50] {
            let mut turn = 0;
            let frames = carrick_sim::join(&wire, || {
                turn += 1;
                1 + turn % most
            });
            let mut s = builder().established();
            let now = s.now();
            for batch in frames.chunks(5) {
                s.host_mut().receive_batch(now, batch);
                s.check();
            }
            assert_eq!((s.state(), s.read() == text), (TcpState::CloseWait, true));
        }
        s.inject_packet(&whole);
        assert_eq!((s.state(), s.read() == text), (TcpState::CloseWait, true));
        assert!(whole.segment().is_some_and(|view| view.has(TcpFlags::FIN)));
    }
    covers!("T-DEV-8");
}
