//! D-SACK (RFC 2883 §4) and SACK (RFC 2018 §4): what is reported is true, and reported once.

use carrick_covers::covers;
use carrick_sim::{Scene, pattern, seg};

fn scene() -> Scene {
    Scene::builder().sack(true).established()
}

#[test]
fn sack_7_text_that_comes_again_is_reported_exactly_and_once() {
    let mut s = scene();
    s.inject(seg().seq(1).ack(1).len(300));
    s.expect(seg().seq(1).ack(301).sack(&[]));
    s.inject(seg().seq(101).ack(1).len(100));
    s.expect(seg().seq(1).ack(301).sack(&[(101, 201)]));
    s.expect_nothing();
    // Part old, part new: the old part.
    s.inject(seg().seq(201).ack(1).len(200));
    s.expect(seg().seq(1).ack(401).sack(&[(201, 301)]));
    // Once: what is sent next says nothing of it.
    s.send(b"x");
    s.expect(seg().seq(1).ack(401).data(b"x").sack(&[]));
    s.inject_batch([seg().seq(401).ack(2).len(50), seg().seq(451).ack(2).len(50)]);
    s.expect(seg().seq(2).ack(501).sack(&[]));
    covers!("SACK-7");
}

#[test]
fn sack_8_text_kept_behind_a_hole_and_come_again_lies_in_the_second_block() {
    let mut s = scene();
    s.inject(seg().seq(201).ack(1).len(300));
    s.expect(seg().seq(1).ack(1).sack(&[(201, 501)]));
    s.inject(seg().seq(701).ack(1).len(100));
    s.expect(seg().seq(1).ack(1).sack(&[(701, 801), (201, 501)]));
    s.inject(seg().seq(301).ack(1).len(100));
    s.expect(seg().seq(1).ack(1).sack(&[(301, 401), (201, 501), (701, 801)]));
    // The whole of a block.
    s.inject(seg().seq(701).ack(1).len(100));
    s.expect(seg().seq(1).ack(1).sack(&[(701, 801), (701, 801), (201, 501)]));
    // Over two of them: the first piece alone (RFC 2883 §4).
    s.inject(seg().seq(401).ack(1).len(500));
    s.expect(seg().seq(1).ack(1).sack(&[(401, 501), (201, 901)]));
    // The hole is filled by what reaches over it: below the ACK by now.
    s.inject(seg().seq(1).ack(1).len(250));
    s.expect(seg().seq(1).ack(901).sack(&[(201, 251)]));
    assert_eq!(s.read().len(), 900);
    covers!("SACK-8");
}

#[test]
fn duplicates_of_a_batch_are_each_reported() {
    let mut s = scene();
    s.inject(seg().seq(1).ack(1).len(300));
    s.expect(seg().seq(1).ack(301));
    s.send([7; 4000]);
    while s.take().is_some() {}
    // With text of our own waiting too: a report must not ride on what may be cut or sent again.
    s.inject_batch([
        seg().seq(1).ack(1461).len(100),
        seg().seq(101).ack(1461).len(100),
        seg().seq(301).ack(1461).len(100),
        seg().seq(1).ack(1461).len(100),
    ]);
    s.expect(seg().ack(401).sack(&[(1, 101)]));
    s.expect(seg().ack(401).sack(&[(101, 201)]));
    s.expect(seg().ack(401).sack(&[(1, 101)]));
    s.inject(seg().seq(401).ack(4001));
    while let Some(packet) = s.take() {
        assert!(packet.segment().unwrap().tcp.options.sack.is_empty());
    }
    // A flood in one batch is bounded.
    s.inject_batch((0..100).map(|_| seg().seq(1).ack(4001).len(10)));
    let reports = std::iter::from_fn(|| s.take()).count();
    assert_eq!(reports, 16);
    s.read();
    while s.take().is_some() {}
    assert_eq!(s.host().used(), 0);
}

#[test]
fn nothing_is_reported_that_has_not_come() {
    let mut s = scene();
    s.inject(seg().seq(1).ack(1).len(100));
    s.expect(seg().seq(1).ack(101));
    // From before the stream began.
    let early = s.packet(&seg().seq(0u32.wrapping_sub(50)).ack(1).len(100));
    s.inject_packet(&early);
    s.expect(seg().seq(1).ack(101).sack(&[]));
    // Without permission no block at all.
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).len(100));
    s.expect(seg().seq(1).ack(101));
    s.inject(seg().seq(1).ack(1).len(100));
    s.expect(seg().seq(1).ack(101).sack(&[]));
    s.inject(seg().seq(201).ack(1).len(100));
    s.expect(seg().seq(1).ack(101).sack(&[]));
}

/// The right edge is the number after the last of the block (RFC 2018 §3), and a FIN has a number.
#[test]
fn sack_4_a_block_over_the_last_text_reaches_over_the_fin_behind_it() {
    let mut s = scene();
    s.inject(seg().fin().seq(201).ack(1).len(100));
    s.expect(seg().seq(1).ack(1).sack(&[(201, 302)]));
    // With more text before it, and a hole between.
    s.inject(seg().seq(51).ack(1).len(50));
    s.expect(seg().seq(1).ack(1).sack(&[(51, 101), (201, 302)]));
    s.inject(seg().seq(101).ack(1).len(100));
    s.expect(seg().seq(1).ack(1).sack(&[(51, 302)]));
    s.inject(seg().seq(1).ack(1).len(50));
    s.expect(seg().seq(1).ack(302).sack(&[]));
    // One that came before the text in front of it is a block, and a part of another once that is there.
    let mut s = scene();
    s.inject(seg().fin().seq(301).ack(1));
    s.expect(seg().seq(1).ack(1).sack(&[(301, 302)]));
    s.inject(seg().seq(201).ack(1).len(50));
    s.expect(seg().seq(1).ack(1).sack(&[(201, 251), (301, 302)]));
    s.inject(seg().seq(251).ack(1).len(50));
    s.expect(seg().seq(1).ack(1).sack(&[(201, 302)]));
    covers!("SACK-4");
}

#[test]
fn sack_2_and_3_the_newest_first_and_as_many_as_fit() {
    let mut s = scene();
    for seq in [3001, 5001, 4001] {
        s.inject(seg().seq(seq).ack(1).len(100));
    }
    s.expect(seg().ack(1).sack(&[(3001, 3101)]));
    s.expect(seg().ack(1).sack(&[(5001, 5101), (3001, 3101)]));
    s.expect(seg().ack(1).sack(&[(4001, 4101), (5001, 5101), (3001, 3101)]));
    s.inject(seg().seq(6001).ack(1).len(100));
    s.expect(seg().ack(1).sack(&[(6001, 6101), (4001, 4101), (5001, 5101), (3001, 3101)]));
    s.inject(seg().seq(7001).ack(1).len(100));
    s.expect(seg().ack(1).sack(&[(7001, 7101), (6001, 6101), (4001, 4101), (5001, 5101)]));

    let mut s = Scene::builder().sack(true).timestamps(true).established();
    for seq in [3001, 5001, 4001, 6001] {
        s.inject(seg().seq(seq).ack(1).len(100));
    }
    let last = std::iter::from_fn(|| s.take()).last().expect("ACKs");
    let tcp = last.segment().unwrap().tcp;
    assert_eq!(tcp.options.sack.len(), 3);
    assert_eq!(tcp.header_len(), 20 + 12 + 4 + 24);
    covers!("SACK-2", "SACK-3");
}

/// T-RCV-2 and T-RCV-8: text comes at random, with other bytes each time; each block of each ACK is held against
/// a list of what has come.
#[test]
fn t_rcv_8_blocks_are_true_whatever_comes() {
    const SPAN: usize = 4000;
    let mut random = carrick_sim::Rng::new(8);
    for round in 0..30u64 {
        let mut s = Scene::builder().sack(true).established();
        // The first copy of each byte, from relative number 1 on.
        let mut first: Vec<Option<u8>> = vec![None; SPAN];
        for step in 0..150u64 {
            let start = random.size(0, SPAN - 1);
            let len = random.size(1, 300).min(SPAN - start);
            let text = pattern(round * 1000 + step, len);
            let before = first.clone();
            for (at, byte) in first[start..start + len].iter_mut().zip(&text) {
                at.get_or_insert(*byte);
            }
            let in_order = first.iter().take_while(|byte| byte.is_some()).count();
            s.inject(seg().seq(1 + start as u32).ack(1).data(&text));
            while let Some(packet) = s.take() {
                let tcp = packet.segment().unwrap().tcp;
                assert_eq!(tcp.ack.get() as usize, 2_000_001 + in_order);
                let place = |seq: carrick_wire::SeqNum| (seq.get() - 2_000_001) as usize;
                for (i, block) in tcp.options.sack.iter().enumerate() {
                    let (left, right) = (place(block.left()), place(block.right()));
                    assert!(first[left..right].iter().all(Option::is_some), "{left}..{right}");
                    let above = left > in_order;
                    if i > 0 || above {
                        continue;
                    }
                    assert!(before[left..right].iter().all(Option::is_some), "a duplicate it was not");
                    assert!(start <= left && right <= start + len);
                }
            }
        }
        let in_order = first.iter().map_while(|byte| *byte).collect::<Vec<_>>();
        s.advance(carrick_sim::Span::secs(1));
        assert_eq!(s.read(), in_order);
    }
    covers!("T-RCV-2", "T-RCV-8");
}

/// Seen beside the kernel: where every second packet of a burst had been dropped, and eight came at once, one ACK told of the
/// last three, and the peer sent again what it had not been told of.
#[test]
fn each_range_that_came_with_a_batch_is_reported() {
    for (stamped, room) in [(false, 4), (true, 3)] {
        for ranges in [1, 3, 4, 8, 9, 16] {
            let mut s = Scene::builder().sack(true).timestamps(stamped).established();
            let mut from = |n: u32| {
                let segment = seg().seq(201 + 200 * n).ack(1).len(100);
                if stamped { segment.ts(2000, 0) } else { segment }
            };
            s.inject_batch((0..ranges).map(&mut from));
            let mut told = std::collections::BTreeSet::new();
            let mut acks = 0;
            while let Some(packet) = s.take() {
                acks += 1;
                let options = packet.segment().expect("a segment").tcp.options;
                told.extend(options.sack.iter().map(|block| block.left().get()));
                // The one that came last of those it tells of leads (RFC 2018 §4).
                let blocks: Vec<_> = options.sack.iter().map(|block| block.left().get()).collect();
                assert!(blocks.iter().take(room).is_sorted_by(|one, other| one > other), "{blocks:?}");
            }
            assert_eq!(told.len(), ranges as usize, "{stamped}\n{}", s.transcript());
            assert_eq!(acks, ranges.div_ceil(room as u32), "no more than it takes\n{}", s.transcript());
            s.expect_nothing();
            // What has been told is not told again by ACKs of their own.
            s.inject_batch([from(ranges)]);
            assert!(s.take().is_some());
            s.expect_nothing();
        }
    }
    // Ranges that a hole parted no more need no ACK.
    let mut s = scene();
    let from = |n: u32| seg().seq(1 + 100 * n).ack(1).len(100);
    s.inject_batch((1..9).rev().step_by(2).chain([1, 3, 5, 7, 0]).map(from));
    s.expect(seg().seq(1).ack(901).sack(&[]));
    s.expect_nothing();
}
