//! When text is acknowledged (RFC 9293 §3.8.6.3, §3.10.7.4; RFC 5681 §4.2; RFC 7323 §4.3).

use super::settled;
use carrick_covers::covers;
use carrick_sim::{Scene, Span, pattern, seg};

#[test]
fn ack_2_a_lone_segment_is_acknowledged_by_the_timer() {
    let mut s = settled(Scene::builder());
    s.inject(seg().seq(17).ack(1).len(1460));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), Some(40.ms()));
    s.expect(seg().seq(1).ack(1477));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), None);
    covers!("SHLD-18");

    // However long the application asks for.
    let mut s = settled(Scene::builder().config(|c| c.delayed_ack = 3600.secs()));
    s.inject(seg().seq(17).ack(1).len(1460));
    s.expect_nothing();
    assert_eq!(s.advance_to_next_timer(), Some(499.ms()));
    s.expect(seg().seq(1).ack(1477));
    covers!("ACK-2", "MUST-40");

    let mut s = settled(Scene::builder().config(|c| c.delayed_ack = 0.ms()));
    s.inject(seg().seq(17).ack(1).len(1460));
    s.expect(seg().seq(1).ack(1477));
}

#[test]
fn ack_1_every_second_segment_is_acknowledged_at_once() {
    for len in [1460, 730, 1] {
        let mut s = settled(Scene::builder());
        for pair in 0..10 {
            let seq = 17 + 2 * pair * len;
            s.inject(seg().seq(seq).ack(1).len(len as usize));
            s.expect_nothing();
            s.inject(seg().seq(seq + len).ack(1).len(len as usize));
            s.expect(seg().seq(1).ack(seq + 2 * len));
            s.expect_nothing();
        }
    }
    covers!("ACK-1", "SHLD-19");
}

#[test]
fn a_super_segment_is_acknowledged_at_once_and_with_one_ack() {
    let mut s = settled(Scene::builder());
    s.inject(seg().seq(17).ack(1).len(44 * 1460).segment_size(1460));
    s.expect(seg().seq(1).ack(17 + 44 * 1460));
    s.expect_nothing();
    // Two bytes in two segments are two segments too.
    s.read();
    while s.take().is_some() {}
    s.inject(seg().seq(17 + 44 * 1460).ack(1).len(2).segment_size(1));
    s.expect(seg().seq(1).ack(19 + 44 * 1460));
}

#[test]
fn the_first_segments_are_acknowledged_at_once_and_so_are_the_first_after_idleness() {
    let mut s = Scene::established();
    for i in 0..16 {
        s.inject(seg().seq(1 + 1460 * i).ack(1).len(1460));
        s.expect(seg().seq(1).ack(1461 + 1460 * i));
    }
    s.inject(seg().seq(23_361).ack(1).len(1460));
    s.expect_nothing();
    s.advance_to_next_timer();
    s.expect(seg().seq(1).ack(24_821));
    s.read();
    while s.take().is_some() {}
    // The peer begins anew with a small window, which our ACKs open.
    s.advance(10.secs());
    s.inject(seg().seq(24_821).ack(1).len(1460));
    s.expect(seg().seq(1).ack(26_281));
}

#[test]
fn in_an_interactive_conversation_the_answer_carries_the_acknowledgment() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).data(b"q"));
    s.expect(seg().seq(1).ack(2));
    s.send(b"a");
    s.expect(seg().seq(1).ack(2).data(b"a"));
    // From now on the question waits for its answer, also after idleness.
    for i in 1..5 {
        s.inject(seg().seq(1 + i).ack(1 + i).data(b"q"));
        s.expect_nothing();
        s.send(b"a");
        s.expect(seg().seq(1 + i).ack(2 + i).data(b"a"));
        s.advance(5.secs());
        while s.take().is_some() {}
    }
    s.inject(seg().seq(6).ack(6).data(b"q"));
    s.expect_nothing();
    // An answer that does not come in time ends that.
    s.advance(40.ms());
    s.expect(seg().seq(6).ack(7));
    s.inject(seg().seq(7).ack(6).data(b"q"));
    s.expect(seg().seq(6).ack(8));
    s.expect_nothing();
}

#[test]
fn data_carries_the_acknowledgment_and_stops_its_timer() {
    let mut s = settled(Scene::builder());
    s.inject(seg().seq(17).ack(1).len(100));
    s.expect_nothing();
    s.send(b"data");
    s.expect(seg().seq(1).ack(117).data(b"data"));
    s.inject(seg().seq(117).ack(5));
    assert_eq!(s.advance_to_next_timer(), None, "neither timer runs");
    s.expect_nothing();
}

#[test]
fn ack_3_and_4_holes_are_reported_at_once() {
    let mut s = settled(Scene::builder().sack(true));
    s.inject(seg().seq(117).ack(1).len(100));
    s.expect(seg().seq(1).ack(17).sack(&[(117, 217)]));
    covers!("ACK-3", "MAY-13");
    s.inject(seg().seq(317).ack(1).len(100));
    s.expect(seg().seq(1).ack(17).sack(&[(317, 417), (117, 217)]));
    // Part of a gap: the first of the two holes, then half of the other.
    s.inject(seg().seq(17).ack(1).len(100));
    s.expect(seg().seq(1).ack(217).sack(&[(317, 417)]));
    s.inject(seg().seq(217).ack(1).len(50));
    s.expect(seg().seq(1).ack(267).sack(&[(317, 417)]));
    s.inject(seg().seq(267).ack(1).len(50));
    s.expect(seg().seq(1).ack(417).sack(&[]));
    covers!("ACK-4", "SHLD-31");
    // After trouble the next sixteen are acknowledged at once.
    for i in 0..11 {
        s.inject(seg().seq(417 + i).ack(1).len(1));
        s.expect(seg().seq(1).ack(418 + i));
    }
}

#[test]
fn ack_5_no_more_acks_than_segments() {
    let mut s = Scene::builder().sack(true).established();
    let mut acks = 0;
    let mut segments = 0;
    // In order, behind holes, twice, and with FIN.
    for seq in [1, 1, 101, 301, 301, 201, 51, 401, 601, 501, 401] {
        s.inject(seg().seq(seq).ack(1).len(100));
        segments += 1;
        while s.take().is_some() {
            acks += 1;
        }
        assert!(acks <= segments);
    }
    // A pure ACK is not answered, however often it comes.
    for _ in 0..1000 {
        s.inject(seg().seq(701).ack(1));
        s.expect_nothing();
    }
    for i in 0..1000 {
        s.inject(seg().seq(701 + i).ack(1).len(1));
        segments += 1;
        while s.take().is_some() {
            acks += 1;
        }
    }
    assert!(acks <= segments / 2 + 30, "{acks} ACKs for {segments} segments");
    covers!("ACK-5", "T-RCV-7");
}

#[test]
fn ack_6_the_timestamp_that_is_echoed() {
    let mut s = settled(Scene::builder().timestamps(true));
    // Delayed: the oldest segment that is not acknowledged.
    s.inject(seg().seq(17).ack(1).len(100).ts(5000, 1));
    s.inject(seg().seq(117).ack(1).len(100).ts(5001, 1));
    assert_eq!(echo(&mut s), (217, 5000));
    // Behind a hole: the last segment in order.
    s.inject(seg().seq(317).ack(1).len(100).ts(5002, 1));
    assert_eq!(echo(&mut s), (217, 5000));
    // What fills the hole: itself.
    s.inject(seg().seq(217).ack(1).len(100).ts(5003, 1));
    assert_eq!(echo(&mut s), (417, 5003));
    covers!("ACK-6");
}

fn echo(s: &mut Scene) -> (u32, u32) {
    let packet = s.take().expect("an ACK");
    let tcp = packet.segment().expect("a segment").tcp;
    (tcp.ack.get() - 2_000_000, tcp.options.timestamps.expect("timestamps").ecr)
}

#[test]
fn must_58_and_59_a_batch_has_one_ack_behind_it() {
    let mut s = Scene::established();
    s.inject_batch((0..10).map(|i| seg().seq(1 + 100 * i).ack(1).len(100)));
    s.expect(seg().seq(1).ack(1001));
    s.expect_nothing();
    covers!("MUST-58");
    // A hole opens and is filled: what was owed for it is not said any more.
    s.inject_batch([
        seg().seq(1101).ack(1).len(100),
        seg().seq(1201).ack(1).len(100),
        seg().seq(1001).ack(1).len(100),
    ]);
    s.expect(seg().seq(1).ack(1301));
    s.expect_nothing();
    assert_eq!(s.read().len(), 1300);
    covers!("MUST-59");
    // Without SACK the peer counts duplicates, so each has its own.
    s.inject_batch((0..3).map(|i| seg().seq(1401 + 100 * i).ack(1).len(100)));
    for _ in 0..3 {
        s.expect(seg().seq(1).ack(1301));
    }
    s.expect_nothing();
}

#[test]
fn quick_acknowledgments_on_demand() {
    let mut s = settled(Scene::builder());
    s.inject(seg().seq(17).ack(1).len(1));
    s.expect_nothing();
    s.with("quickack on", |c, cx| c.set_quickack(cx, true));
    s.expect(seg().seq(1).ack(18));
    for i in 0..15 {
        s.inject(seg().seq(18 + i).ack(1).len(1));
        s.expect(seg().seq(1).ack(19 + i));
    }
    s.inject(seg().seq(33).ack(1).len(1));
    s.expect_nothing();
    s.advance(40.ms());
    s.expect(seg().seq(1).ack(34));

    let mut s = Scene::established();
    s.with("quickack off", |c, cx| c.set_quickack(cx, false));
    s.inject(seg().seq(1).ack(1).len(1));
    s.expect_nothing();
    s.with("quickack off", |c, cx| c.set_quickack(cx, false));
    s.expect_nothing();
}

#[test]
fn may_17_psh_makes_no_difference() {
    let run = |psh: bool| {
        let mut s = settled(Scene::builder());
        for i in 0..5 {
            let segment = seg().seq(17 + 10 * i).ack(1).data(pattern(u64::from(i), 10));
            s.inject(if psh { segment.psh() } else { segment });
        }
        s.advance(1.secs());
        let acks: Vec<_> = std::iter::from_fn(|| s.take()).map(|p| p.segment().unwrap().tcp.ack).collect();
        (acks, s.read(), s.events())
    };
    let (with, without) = (run(true), run(false));
    assert_eq!(with, without);
    assert_eq!(with.1.len(), 50);
    covers!("MAY-17");
}
