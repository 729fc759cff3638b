//! Urgent text, in line (RFC 9293 §3.8.5, §3.10.7.4 sixth step; RFC 6093).

use carrick_core::{Connection, Event};
use carrick_covers::covers;
use carrick_sim::{Scene, pattern, seg};

fn urgent(s: &Scene) -> Option<usize> {
    s.connection().and_then(Connection::urgent_len)
}

fn raised(s: &mut Scene) -> usize {
    s.events().into_iter().filter(|event| *event == Event::Urgent).count()
}

#[test]
fn must_32_the_mark_is_announced_and_so_is_each_advance() {
    let mut s = Scene::established();
    assert_eq!(urgent(&s), None);
    // The mark may lie ahead of the text.
    s.inject(seg().seq(1).ack(1).urg(200).len(100));
    assert_eq!((raised(&mut s), urgent(&s)), (1, Some(200)));
    s.inject(seg().seq(101).ack(1).urg(100).len(100));
    assert_eq!((raised(&mut s), urgent(&s)), (0, Some(200)), "the same mark");
    s.inject(seg().seq(201).ack(1).urg(105).len(100));
    assert_eq!((raised(&mut s), urgent(&s)), (1, Some(305)));
    covers!("MUST-32", "MUST-30");
    s.inject(seg().seq(301).ack(1).urg(0).len(10));
    assert_eq!((raised(&mut s), urgent(&s)), (0, Some(305)), "a receding one");
    covers!("URGP-2");

    assert_eq!(s.read_up_to(100), pattern(1, 100));
    assert_eq!(urgent(&s), Some(205));
    assert_eq!(s.read_up_to(204).len(), 204);
    assert_eq!(urgent(&s), Some(1));
    assert_eq!(s.read().len(), 6, "reading does not stop at the mark, and skips nothing");
    assert_eq!(urgent(&s), None);
    covers!("MUST-33", "URGP-3");

    // A copy of an old segment announces nothing that has been read.
    s.inject(seg().seq(201).ack(1).urg(50).len(100));
    s.inject(seg().seq(311).ack(1));
    assert_eq!((raised(&mut s), urgent(&s)), (0, None));
    // URG with the mark right behind three bytes (URGP-1): three are urgent, the fourth is not.
    s.inject(seg().seq(311).ack(1).urg(3).data(b"abcd"));
    assert_eq!((raised(&mut s), urgent(&s)), (1, Some(3)));
    covers!("URGP-1");
}

#[test]
fn must_66_with_a_closed_window_urg_and_rst_are_heard() {
    let closed = || {
        let mut s = Scene::builder().config(|c| c.receive_buffer = 1000).established();
        s.inject(seg().seq(1).ack(1).len(1000));
        s.expect(seg().seq(1).ack(1001).window(0));
        s.events();
        s
    };
    for text in [0, 1, 100] {
        let mut s = closed();
        s.inject(seg().seq(1001).ack(1).urg(7).len(text));
        assert_eq!((raised(&mut s), urgent(&s)), (1, Some(1007)));
        assert_eq!(s.read().len(), 1000);
        assert_eq!(urgent(&s), Some(7));
    }
    let mut s = closed();
    s.inject(seg().rst().seq(1001));
    assert_eq!(s.error(), Some(carrick_core::ConnectionError::Reset));
    covers!("MUST-66");
}

#[test]
fn the_mark_outlives_the_connection_as_far_as_there_is_text() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).urg(500).len(10).fin());
    assert_eq!(urgent(&s), Some(10), "no more can come");
    s.finish();
    s.inject(seg().seq(12).ack(2));
    assert_eq!(s.read_up_to(4).len(), 4);
    assert_eq!(urgent(&s), Some(6));
    s.read();
    assert_eq!(urgent(&s), None);
    // After the peer's FIN a mark means nothing.
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).fin());
    s.events();
    s.inject(seg().seq(2).ack(1).urg(5));
    assert_eq!((raised(&mut s), urgent(&s)), (0, None));
}

#[test]
fn t_mal_17_any_pointer_on_any_segment_leaves_the_stream_exact() {
    let mut random = carrick_sim::Rng::new(17);
    // ISNs on the seam, so that marks wrap.
    for (irs, len) in [(u32::MAX - 700, 0), (u32::MAX - 700, 1), (u32::MAX - 700, 1460), (5, 1460)] {
        let mut s = Scene::builder().isn(77, irs).established();
        let mut seq = 1;
        for pointer in (0..=u16::MAX).step_by(211).chain([1, 1459, 1460, 1461, u16::MAX]) {
            let before = urgent(&s);
            s.inject(seg().seq(seq).ack(1).urg(pointer).len(len));
            seq += len as u32;
            let unread = s.connection().map_or(0, Connection::readable_len);
            let mark = (usize::from(pointer) + unread).saturating_sub(len);
            assert_eq!(urgent(&s).unwrap_or(0), mark.max(before.unwrap_or(0)));
            if random.chance(300_000) || unread > 100_000 {
                let at = seq - unread as u32;
                assert_eq!(s.read(), expected(at, seq, len));
            }
            while s.take().is_some() {}
        }
        // Behind a hole, below RCV.NXT, beyond the window, with SYN, with FIN.
        s.read();
        for odd in [
            seg().seq(seq + 500).ack(1).urg(9).len(10),
            seg().seq(seq - 1).ack(1).urg(9).len(1),
            seg().seq(seq + (1 << 30)).ack(1).urg(9).len(1),
            seg().syn().seq(seq).ack(1).urg(9),
        ] {
            s.inject(odd);
            while s.take().is_some() {}
        }
        s.advance(carrick_sim::Span::secs(10));
        while s.take().is_some() {}
        s.inject(seg().seq(seq).ack(1).fin().urg(1));
        s.advance(carrick_sim::Span::secs(1));
    }
    // On the SYN that opens a connection, and on the one that answers ours.
    let mut s = Scene::listening();
    s.inject(seg().syn().seq(0).urg(65_535));
    s.expect(seg().syn().seq(0).ack(1));
    let mut s = Scene::connecting();
    s.inject(seg().syn().seq(0).ack(1).urg(4));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(urgent(&s), Some(3), "counted from the SYN, which is no text");
    covers!("T-MAL-17", "URGP-4");
}

/// Text from relative number `from` to `to`, sent in segments of `len`.
fn expected(from: u32, to: u32, len: usize) -> Vec<u8> {
    (from..to).step_by(len.max(1)).flat_map(|at| pattern(u64::from(at), len)).collect()
}
