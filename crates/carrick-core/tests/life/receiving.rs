//! What is taken, what is trimmed, what is offered (RFC 9293 §3.8.6, §3.10.7.4).

use carrick_core::{Connection, DiscardReason};
use carrick_covers::covers;
use carrick_sim::{Rng, Scene, Span, TcpState, pattern, seg};

#[test]
fn must_39_the_right_edge_moves_in_useful_steps() {
    // A buffer larger than two segments, and one that is smaller.
    for (buffer, step) in [(8000, 1460), (2000, 1000)] {
        let mut s = Scene::builder().config(|c| c.receive_buffer = buffer).established();
        let mut next = 1;
        while next <= buffer {
            let len = 1460.min(buffer + 1 - next);
            s.inject(seg().seq(next).ack(1).len(len as usize));
            next += len;
        }
        s.advance(1.secs());
        let edge = |s: &Scene| s.connection().unwrap().sequence_numbers().unwrap()[3].get() - 2_000_000;
        while s.take().is_some() {}
        let mut last = edge(&s);
        assert_eq!(last, buffer + 1);
        for _ in 0..buffer {
            assert_eq!(s.read_up_to(1).len(), 1);
            let now = edge(&s);
            assert!(now == last || now - last >= step, "a step of {}", now - last);
            last = now;
        }
        assert!(last + step > 2 * buffer + 1);
    }
    covers!("MUST-39");
}

#[test]
fn shld_14_the_right_edge_never_moves_left() {
    // The scene's oracles compare the edges of all that is sent; here memory runs out and text comes at random.
    for shift in [0, 7] {
        let mut random = Rng::new(14);
        let mut s = Scene::builder().window_scale(shift).budget(40 << 10).sack(true).established();
        let (mut edge, mut taken) = (0, 0);
        for _ in 0..3000 {
            let numbers = s.connection().unwrap().sequence_numbers().unwrap();
            assert!(numbers[3].get() >= edge);
            edge = numbers[3].get();
            let next = numbers[2].get() - 2_000_000;
            s.inject(seg().seq(next + random.below(5000) as u32).ack(1).len(random.size(1, 1460)));
            s.inject(seg().seq(next).ack(1).len(random.size(1, 1460)));
            if random.chance(300_000) {
                taken += s.read_up_to(random.size(1, 20_000)).len();
            }
            s.advance(random.up_to(100.ms()));
            while s.take().is_some() {}
        }
        assert!(taken > 100_000);
    }
    covers!("SHLD-14");
}

#[test]
fn t_rcv_3_text_is_trimmed_at_both_edges() {
    const WINDOW: u32 = 3000;
    // Each segment around the edges, with and without FIN; the part in the window is taken, no more.
    for fin in [false, true] {
        for start in [-2_i64, -1, 0, 1, 2998, 2999, 3000, 3001] {
            for len in [1_usize, 2, 3, 2998, 2999, 3000, 3001, 3003] {
                let mut s = Scene::builder().config(|c| c.receive_buffer = WINDOW).mtu(9000).established();
                s.inject(seg().seq(1).ack(1).len(10));
                s.read();
                while s.take().is_some() {}
                // RCV.NXT is 11, the window ends before 3011 or where reading has moved it.
                let edge = s.connection().unwrap().sequence_numbers().unwrap()[3].get() - 2_000_000;
                let seq = (11 + start) as u32;
                let segment = seg().seq(seq).ack(1).len(len);
                let end = seq + len as u32;
                s.inject(if fin { segment.fin() } else { segment });
                let numbers = s.connection().unwrap().sequence_numbers().unwrap();
                let nxt = numbers[2].get() - 2_000_000;
                let in_order = seq <= 11 && end > 11;
                let text_end = if in_order { end.min(edge) } else { 11 };
                let has_fin = fin && in_order && end <= edge || fin && end == 11;
                assert_eq!(nxt, text_end + u32::from(has_fin), "{seq}+{len} fin {fin} edge {edge}");
                if in_order {
                    let (from, to) = ((11 - seq) as usize, (text_end - seq) as usize);
                    assert_eq!(s.read(), pattern(u64::from(seq), len)[from..to]);
                }
                assert_eq!(s.read(), []);
            }
        }
    }
    // With SYN nothing is taken.
    let mut s = Scene::established();
    s.inject(seg().syn().seq(1).ack(1).len(10));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(s.read().len(), 0);
    covers!("T-RCV-3");
}

#[test]
fn t_rcv_4_the_first_fin_fixes_the_end() {
    // The stream is 40 bytes; a second FIN and text behind the first contradict it.
    let pieces = [
        seg().seq(1).ack(1).len(20),
        seg().seq(21).ack(1).data(pattern(21, 20)).fin(),
        seg().seq(41).ack(1).fin(),
        seg().seq(31).ack(1).data(&pattern(21, 20)[10..]).fin(),
    ];
    let orders = permutations(4);
    assert_eq!(orders.len(), 24);
    for order in &orders {
        let mut s = Scene::builder().sack(true).established();
        for i in order {
            s.inject(pieces[*i].clone());
        }
        assert_eq!(s.state(), TcpState::CloseWait, "{order:?}");
        assert_eq!(s.read(), [pattern(1, 20), pattern(21, 20)].concat(), "{order:?}");
        assert!(s.at_end());
    }
    let liars = [
        seg().seq(1).ack(1).len(10),
        seg().seq(11).ack(1).len(10).fin(),
        seg().seq(41).ack(1).len(10),
        seg().seq(25).ack(1).fin(),
    ];
    for order in &orders {
        let mut s = Scene::builder().sack(true).established();
        for i in order {
            s.inject(liars[*i].clone());
        }
        s.inject(seg().seq(21).ack(1).len(30));
        let text = s.read();
        // Whichever came first counts; nothing behind it is ever read, and nothing out of place.
        let fin = order.iter().position(|i| *i == 1) < order.iter().position(|i| *i == 3);
        let kept = order.iter().position(|i| *i == 2)
            < order.iter().position(|i| *i == 1).min(order.iter().position(|i| *i == 3));
        let expected = [pattern(1, 10), pattern(11, 10)].concat();
        assert!(text.starts_with(&expected), "{order:?}");
        if fin && !kept {
            assert_eq!((text.len(), s.state()), (20, TcpState::CloseWait), "{order:?}");
        }
        let counters = s.host().endpoint().counters();
        let contradictions = [DiscardReason::OutOfWindow, DiscardReason::Unexpected];
        if order[0] + order[1] != 1 {
            // The stream had not ended when the contradiction came.
            assert!(contradictions.iter().any(|reason| counters.discarded(*reason) > 0), "{order:?}");
        }
        if s.state() == TcpState::CloseWait {
            assert!(s.at_end(), "{order:?}");
            s.inject(seg().ack(1).len(100));
            assert_eq!(s.read().len(), 0);
        }
    }
    covers!("T-RCV-4");
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    shorter
        .iter()
        .flat_map(|order| (0..n).map(|at| [&order[..at], &[n - 1], &order[at..]].concat()))
        .collect()
}

#[test]
fn may_8_an_application_that_never_reads_closes_its_window_for_good() {
    let mut s = Scene::builder().config(|c| c.receive_buffer = 2000).established();
    s.inject(seg().seq(1).ack(1).len(1460));
    s.inject(seg().seq(1461).ack(1).len(540));
    while s.take().is_some() {}
    for _ in 0..1000 {
        s.advance(60.secs());
        s.inject(seg().seq(2001).ack(1).len(1));
        s.expect(seg().seq(1).ack(2001).window(0));
        s.expect_nothing();
    }
    assert_eq!(s.connection().map(Connection::readable_len), Some(2000));
    covers!("MAY-8");
}
