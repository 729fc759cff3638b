//! Peers that lie about what has arrived, and windows that come and go.

use super::*;

#[test]
fn t_snd_2_the_smallest_segments_and_the_largest_buffer() {
    let config = |config: &mut carrick_core::ConnectionConfig| config.send_buffer = 1 << 20;
    let mut s = over(builder().config(config).mss(1).window_scale(14), 100.ms());
    s.inject(seg().seq(1).ack(1));
    s.send(pattern(0, 1 << 20));
    let size = info(&s).send_mss;
    let size = u32::from(size);
    let (mut una, mut reported) = (1, 0);
    for round in 0..40 {
        s.advance(100.ms());
        let mut nxt = una;
        while let Some(packet) = s.take() {
            let segment = packet.segment().expect("a segment");
            assert!(segment.payload.len() <= size as usize);
            nxt = nxt.max(segment.tcp.seq.get().wrapping_sub(1_000_000) + segment.payload.len() as u32);
        }
        // Every second segment has arrived, reported from the highest down, three at a time.
        let blocks: Vec<_> =
            (una + size..nxt).step_by(2 * size as usize).map(|left| (left, (left + size).min(nxt))).collect();
        for three in blocks.rchunks(3) {
            s.inject(seg().seq(1).ack(una).sack(three));
            reported = reported.max(info(&s).sacked);
            assert!(u64::from(info(&s).sacked) <= info(&s).unacknowledged as u64);
        }
        if round % 3 == 2 {
            una = nxt.max(una);
            s.inject(seg().seq(1).ack(una));
        }
    }
    assert!(reported >= 3 * size, "{reported}");
    covers!("T-SND-2");
}

#[test]
fn t_snd_6_a_window_that_shrinks_below_what_is_out_and_opens_again() {
    for sack in [false, true] {
        let mut s = out(plain().sack(sack), 10, 10);
        s.advance(100.ms());
        // Below what is in flight, then to nothing.
        s.inject(ack(1).window(3000));
        s.inject(ack(2).window(0));
        taken(&mut s);
        let mut probes = 0;
        for _ in 0..5 {
            assert!(s.advance_to_next_timer().is_some());
            probes += taken(&mut s).len();
            s.inject(ack(2).window(0));
        }
        assert_eq!(probes, 5);
        assert_eq!(info(&s).recovery, RecoveryState::Open);
        // All that was out is sent again, and then the rest.
        s.inject(ack(2).window(60_000));
        let mut next = 2;
        for _ in 0..100 {
            s.advance(100.ms());
            if let Some(highest) = taken(&mut s).into_iter().max() {
                next = next.max(highest + 1);
            }
            s.inject(ack(next).window(60_000));
        }
        assert_eq!((next, info(&s).unacknowledged), (20, 0), "{}", s.transcript());
    }
    covers!("T-SND-6");
}

/// Acknowledgments byte by byte, and a window of one: no more than so many packets and timers in a second.
#[test]
fn t_snd_9_slivers_make_nobody_spin() {
    for sack in [false, true] {
        let mut s = out(plain().sack(sack), 10, 30);
        let mut packets = 0;
        let mut timers = 0;
        for n in 0..3000u32 {
            let acked = 1 + n.min(10_000);
            s.inject(seg().seq(1).ack(acked).window((n % 2) as u16));
            packets += std::iter::from_fn(|| s.take()).count();
            let end = s.now() + 1.ms();
            while s.host().poll_timeout().is_some_and(|at| at <= end) {
                s.advance_to_next_timer();
                timers += 1;
                packets += std::iter::from_fn(|| s.take()).count();
            }
            s.advance(end.since(s.now()));
        }
        // In three seconds.
        assert!(packets < 60 && timers < 60, "{sack}: {packets} {timers}");
    }
    covers!("T-SND-9");
}

#[test]
fn t_ccx_5_reports_of_what_was_not_sent_again_undo_nothing() {
    let mut s = out(builder(), 10, 20);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 4)]));
    taken(&mut s);
    assert_eq!(info(&s).slow_start_threshold, Some(5000));
    // Of before the repair, and of beyond what was sent.
    s.inject(ack(4));
    for blocks in [(start(0).wrapping_sub(5000), start(0) - 1), (1 << 31, (1 << 31) + 1000)] {
        s.inject(ack(4).sack(&[blocks]));
        assert_eq!(info(&s).slow_start_threshold, Some(5000), "{blocks:?}");
    }
    // The repetition was a duplicate: the reduction is taken back.
    s.inject(sack(4, &[(0, 1)]));
    assert_eq!(info(&s).slow_start_threshold, None, "{}", s.transcript());
    covers!("T-CCX-5");
}

/// Of the flight that is repaired, and each a thousand times; but only two segments were sent again.
#[test]
fn t_ccx_5_a_storm_of_reports_of_what_was_sent_once_undoes_nothing() {
    let mut s = out(builder(), 10, 20);
    s.advance(100.ms());
    s.inject(sack(0, &[(1, 3), (4, 10)]));
    let sent = taken(&mut s);
    assert!(sent.contains(&0), "{sent:?}");
    s.inject(sack(3, &[(4, 10)]));
    s.inject(ack(10));
    assert_eq!(info(&s).retransmitted, 2);
    let reduced = info(&s).slow_start_threshold;
    assert!(reduced.is_some());
    for n in 0..1000 {
        for segment in [1, 2, 4, 5, 6, 7, 8, 9] {
            s.inject(sack(10, &[(segment, segment + 1)]));
        }
        // Half of one is not all of both, however often it is told.
        s.inject(ack(10).sack(&[(start(0), start(0) + 500)]));
        assert_eq!(info(&s).slow_start_threshold, reduced, "{n}");
        while s.take().is_some() {}
    }
    s.inject(sack(10, &[(3, 4)]));
    assert_eq!(info(&s).slow_start_threshold, reduced);
    s.inject(ack(10).sack(&[(start(0) + 500, start(1))]));
    assert_eq!(info(&s).slow_start_threshold, None, "all of it was needless");
    covers!("T-CCX-5");
}
