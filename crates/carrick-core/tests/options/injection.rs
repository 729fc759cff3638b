//! What somebody who does not see the packets can do to a connection: nothing, by RFC 5961 §3-5.

use crate::common::*;
use crate::stage::{Stage, Variant};
use carrick_core::{ConnectionError, DiscardReason, TcpState};
use carrick_covers::covers;
use carrick_sim::{Scene, Span, seg};

/// The states with a receive window, and some with the window closed.
const SYNCHRONIZED: [&str; 12] =
    ["ES", "F1", "F2", "CW", "CG", "LA", "ES+zw", "F1+zw", "F2+zw", "CW+zw", "CG+zw", "LA+zw"];

fn stage(situation: &'static str) -> Stage {
    Stage::new(situation, Variant::all(situation)[0])
}

#[test]
fn t_bld_1_only_the_exact_number_resets() {
    for situation in SYNCHRONIZED {
        let Stage { rcv, edge, .. } = stage(situation);
        let edge = edge.max(rcv);
        for seq in [rcv.wrapping_sub(1), rcv, rcv + 1, edge - 1, edge, edge + 1] {
            let mut stage = stage(situation);
            let s = &mut stage.scene;
            let before = s.state();
            s.inject(seg().rst().seq(seq));
            let in_window = seq.wrapping_sub(rcv) <= edge - rcv;
            let expected = if seq == rcv { TcpState::Closed } else { before };
            assert_eq!(s.state(), expected, "{situation} {seq}");
            let challenged = in_window && seq != rcv;
            assert_eq!(sent(s).len(), usize::from(challenged), "{situation} {seq}");
        }
    }
    // Guessing in steps of a window meets the window once, and resets nothing unless it meets its first number.
    for (situation, window) in [("ES", 4000u32), ("F2", 4000), ("TW", 4000)] {
        let mut stage = stage(situation);
        let (rcv, edge) = (stage.rcv, stage.edge);
        let before = stage.scene.state();
        let mut in_window = 0;
        for step in 0..=u32::MAX / window {
            let seq = rcv.wrapping_add(1).wrapping_add(step * window);
            in_window += u32::from(seq.wrapping_sub(rcv) <= edge - rcv);
            // Most of them are far away: what happens there is told by a few.
            if step % 997 == 0 || seq.wrapping_sub(rcv) <= edge - rcv {
                stage.scene.inject(seg().rst().seq(seq));
                assert_eq!(stage.scene.state(), before, "{seq}");
            }
        }
        assert!((1..=2).contains(&in_window));
    }
    covers!("T-BLD-1");
}

#[test]
fn t_bld_2_a_syn_changes_nothing_but_the_throttle() {
    for situation in SYNCHRONIZED {
        for seq in [0, 1, 2, 700, 1 << 20, 1 << 31] {
            for ack in [None, Some(1), Some(2), Some(9)] {
                let mut stage = stage(situation);
                let s = &mut stage.scene;
                // The throttle counts no further than this.
                for _ in 0..300 {
                    s.inject_packet(&s.packet(&seg().syn().seq(700)));
                }
                sent(s);
                let before = digest(s);
                let syn = seg().syn().seq(seq);
                let packet = s.packet(&if let Some(ack) = ack { syn.ack(ack) } else { syn });
                s.inject_packet(&packet);
                s.expect_nothing();
                assert_eq!(digest(s), before, "{situation} {seq} {ack:?}");
            }
        }
        let mut stage = stage(situation);
        stage.scene.inject(seg().syn().seq(700));
        assert_eq!(sent(&mut stage.scene).len(), 1);
    }
    covers!("T-BLD-2");
}

#[test]
fn inj_1_text_needs_an_acceptable_ack() {
    // 20 bytes of ours are acknowledged, the largest window was 8.
    let Stage { una, nxt, rcv, .. } = stage("ES+old");
    for (ack, taken) in [
        (una - 9, false),
        (una - 8, true),
        (una, true),
        (nxt + 1, false),
        (nxt.wrapping_add(1 << 31), false),
        (una.wrapping_sub(1 << 31), false),
    ] {
        let mut stage = stage("ES+old");
        let s = &mut stage.scene;
        s.inject(seg().seq(rcv).ack(ack).len(5));
        s.expect(seg().seq(nxt).ack(if taken { rcv + 5 } else { rcv }));
        assert_eq!(s.read().len(), if taken { 5 } else { 0 }, "ACK {ack}");
        assert_eq!(counters(s).discarded(DiscardReason::BadAck), u64::from(!taken));
    }
    covers!("INJ-1", "MAY-12");
}

#[test]
fn inj_2_the_largest_window_ever_counts() {
    let mut s = Scene::builder().window_scale(2).window(100).established();
    // 40,000 bytes go out into a window that was 400, then 40,000, then 40.
    s.inject(seg().seq(1).ack(1).window(10_000));
    let mut acked = 1;
    for _ in 0..10 {
        s.send([7; 10_000]);
        while let Some(packet) = s.take() {
            acked += packet.segment().expect("a segment").payload.len() as u32;
        }
        s.inject(seg().seq(1).ack(acked).window(10_000));
    }
    while let Some(packet) = s.take() {
        acked += packet.segment().expect("a segment").payload.len() as u32;
        s.inject(seg().seq(1).ack(acked).window(10_000));
    }
    assert!(acked > 50_000, "{acked}");
    s.inject(seg().seq(1).ack(acked).window(10));
    s.inject(seg().seq(1).ack(acked - 40_001).len(5));
    s.expect(seg().ack(1));
    s.inject(seg().seq(1).ack(acked - 40_000).len(5));
    s.expect(seg().ack(6));
    covers!("INJ-2");
}

#[test]
fn inj_3_a_fin_needs_it_too() {
    for situation in ["ES+old", "F1+old", "F2+old"] {
        let mut stage = stage(situation);
        let s = &mut stage.scene;
        let before = s.state();
        s.inject(seg().fin().seq(stage.rcv).ack(stage.una - 9));
        s.expect(seg().seq(stage.nxt).ack(stage.rcv));
        assert_eq!(s.state(), before);
    }
    covers!("INJ-3");
}

#[test]
fn inj_4_the_documentation_names_the_limit() {
    let page = include_str!("../../src/lib.rs");
    assert!(page.contains("whoever can see the packets can forge them"));
    covers!("INJ-4");
}

/// Of all ACK numbers just those in the acceptable range, one window and what is in flight, get text through.
#[test]
fn t_bld_3_the_share_of_guesses_that_pass_is_the_window() {
    let Stage { una, nxt, rcv, .. } = stage("ES+old");
    // Every number near the range, and 4096 over the rest of the circle.
    let near = (0..64).map(|n| una.wrapping_sub(32).wrapping_add(n));
    let far = (0..4096u32).map(|n| nxt.wrapping_add(64).wrapping_add(n * ((1 << 20) - 1)));
    let mut passed = Vec::new();
    for ack in near.chain(far) {
        let mut stage = stage("ES+old");
        stage.scene.inject(seg().seq(rcv).ack(ack).len(1));
        if !stage.scene.read().is_empty() {
            passed.push(ack);
        }
    }
    // From SND.UNA less the largest window, 8, to SND.NXT.
    assert_eq!(passed, (una - 8..=nxt).collect::<Vec<_>>());
    covers!("T-BLD-3");
}

#[test]
fn t_bld_4_nothing_below_our_first_number_is_acceptable() {
    for n in [1u32, 2, 100, 65_534, 65_535, 70_000, 1 << 30, 1 << 31] {
        let mut s = Scene::established();
        // SND.UNA is ISS+1, the window 65,535: without the later bound ISS-n would be acceptable.
        s.inject(seg().seq(1).ack(1u32.wrapping_sub(n)).len(5));
        s.expect(seg().seq(1).ack(1));
        assert_eq!(s.read().len(), 0, "ISS+1-{n}");
        s.inject(seg().seq(1).ack(1).len(5));
        s.expect(seg().seq(1).ack(6));
    }
    covers!("T-BLD-4");
}

#[test]
fn t_bld_8_a_forged_window_is_not_taken() {
    // Wanted: the window stays 1000 although something says 0, or more.
    let room = |forged: carrick_sim::Seg| {
        let mut s = Scene::builder().mss(500).window(1000).established();
        s.inject(seg().seq(1).ack(1).len(50));
        s.inject(seg().seq(51).ack(1).len(50));
        s.inject_packet(&s.packet(&forged));
        sent(&mut s);
        s.send([7; 5000]);
        sent(&mut s).iter().map(|packet| packet.segment().expect("a segment").payload.len()).sum::<usize>()
    };
    for window in [0, 1, 60_000] {
        // Older than what set the window; an ACK of the future, of long ago; outside the window; no ACK; a SYN, a RST.
        for forged in [
            seg().seq(1).ack(1).len(50),
            seg().seq(101).ack(5),
            seg().seq(101).ack(0u32.wrapping_sub(5)),
            seg().seq(90_000).ack(1),
            seg().seq(101).len(5),
            seg().syn().seq(101).ack(1),
            seg().rst().seq(102).ack(1),
        ] {
            assert_eq!(room(forged.clone().window(window)), 1000, "{forged}");
        }
    }
    assert_eq!(room(seg().seq(101).ack(1).window(3000)), 3000, "an honest one is");
    covers!("T-BLD-8");
}

#[test]
fn t_bld_9_a_timestamp_from_outside_the_window_poisons_nothing() {
    let mut s = Scene::builder().timestamps(true).established();
    for forged in [
        seg().seq(90_000).ack(1).len(5),
        seg().seq(90_000).ack(1),
        seg().seq(1).ack(77).len(5),
        seg().seq(5).len(5),
        seg().rst().seq(2),
        seg().syn().seq(1),
    ] {
        s.inject(forged.ts(1_000_000_000, 0));
    }
    sent(&mut s);
    s.inject(seg().seq(1).ack(1).len(5));
    s.expect(seg().seq(1).ack(6));
    assert_eq!(s.read().len(), 5);
    covers!("T-BLD-9");
}

#[test]
fn t_bld_10_forgeries_in_syn_sent() {
    // No guess at our number, no effect; the true answer still counts.
    let mut s = Scene::connecting();
    for ack in [0, 2, 1 << 31, u32::MAX] {
        for forged in [seg().syn().seq(9).ack(ack), seg().rst().seq(9).ack(ack), seg().seq(9).ack(ack)] {
            let reset = !forged.to_string().contains('R');
            s.inject(forged);
            assert_eq!(sent(&mut s).len(), usize::from(reset));
            assert_eq!(s.state(), TcpState::SynSent);
        }
    }
    for forged in [seg().rst().seq(9), seg().fin().seq(9).len(5), seg().seq(9).len(5), seg().urg(3).seq(9)] {
        s.inject(forged);
        s.expect_nothing();
        assert_eq!(s.state(), TcpState::SynSent);
    }
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(s.state(), TcpState::Established);

    // A forged plain SYN looks like a simultaneous open. The true peer's SYN,ACK is then another one's: our challenge
    // makes the peer reset, and the open fails with an honest error.
    let mut s = Scene::connecting();
    s.inject(seg().syn().seq(5_000_000));
    s.expect(seg().syn().seq(0).ack(5_000_001));
    assert_eq!(s.state(), TcpState::SynReceived);
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(5_000_001));
    s.inject(seg().rst().seq(5_000_001));
    assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::Refused)));
    // With the number guessed right it is the peer's own SYN, and all goes on.
    let mut s = Scene::connecting();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    assert_eq!(s.state(), TcpState::Established);
    // And where nobody answers any more, the attempt ends.
    let mut s = Scene::connecting();
    s.inject(seg().syn().seq(5_000_000));
    s.advance(600.secs());
    assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::TimedOut)));
    covers!("T-BLD-10");
}

#[test]
fn t_bld_11_a_keep_alive_with_a_garbage_byte() {
    for situation in ["ES", "F1", "F2", "CW", "ES+text"] {
        let mut stage = stage(situation);
        let s = &mut stage.scene;
        let readable = s.connection().map(|connection| connection.readable_len());
        s.inject(seg().seq(stage.rcv - 1).ack(stage.una).data(b"\0"));
        s.expect(seg().seq(stage.nxt).ack(stage.rcv));
        s.expect_nothing();
        assert_eq!(s.connection().map(|connection| connection.readable_len()), readable);
    }
    covers!("T-BLD-11");
}
