//! Answers to strangers: how many, and what they must not tell.

use crate::support::*;
use carrick_core::{DiscardReason, EndpointConfig, ListenConfig, Rate};
use carrick_covers::covers;
use carrick_sim::{Rng, Scene, Span, TcpState, seg};
use carrick_wire::{TcpFlags, TcpOptions};
use std::time::Duration;

#[test]
fn t_fld_6_a_flood_for_nobody_is_answered_from_the_bucket() {
    let mut rng = Rng::new(6);
    let resets = Rate { per_second: 1000, burst: 10 };
    let mut node = Node::new(EndpointConfig { resets, ..config() }, 1);
    let flags = [TcpFlags::ACK, TcpFlags::ACK | TcpFlags::FIN, TcpFlags::SYN | TcpFlags::ACK, TcpFlags::SYN];
    let packets = 500_000 * soak() as u64;
    let mut now = start();
    let mut answers = 0;
    for n in 0..packets {
        now += Duration::from_micros(10);
        let flags = flags[n as usize % 4];
        let packet =
            segment(stranger(&mut rng), addr("192.0.2.2:9"), flags, 1, 1, TcpOptions::default(), b"x");
        node.receive(now, &packet);
        let replies = node.replies();
        assert!(replies.iter().all(|reply| reply.tcp.flags.contains(TcpFlags::RST)));
        answers += replies.len() as u64;
    }
    // 1,000 a second, and the bursts of 64 classes.
    let seconds = packets.div_ceil(100_000);
    assert!(answers <= (seconds * 1000 + 64 * 10) * 11 / 10, "{answers} answers");
    assert!(answers >= seconds * 1000 * 9 / 10, "{answers} answers");
    let counters = node.endpoint.counters();
    assert_eq!(counters.resets, answers);
    assert_eq!(counters.discarded(DiscardReason::RateLimited), packets - answers);
    covers!("RES-5");
}

#[test]
fn t_fld_6_no_reset_is_answered_with_a_reset_in_any_state() {
    for state in [
        TcpState::Closed,
        TcpState::Listen,
        TcpState::SynSent,
        TcpState::SynReceived,
        TcpState::Established,
        TcpState::FinWait1,
        TcpState::CloseWait,
        TcpState::TimeWait,
    ] {
        for seq in [0, 1, 2, 3, 1000, 65_536, 70_000, 1 << 31] {
            for ack in [None, Some(0), Some(1), Some(2), Some(70_000)] {
                let mut s = scene_in(state);
                assert_eq!(s.state(), state);
                let reset = seg().rst().seq(seq);
                s.inject(ack.map_or(reset.clone(), |ack| reset.ack(ack)));
                while let Some(packet) = s.take() {
                    let answer = packet.segment().unwrap();
                    assert!(!answer.has(TcpFlags::RST), "{state} seq {seq} ack {ack:?}\n{}", s.transcript());
                }
            }
        }
    }
    covers!("T-FLD-6");
}

fn scene_in(state: TcpState) -> Scene {
    match state {
        TcpState::Closed => Scene::builder().build(),
        TcpState::Listen => Scene::listening(),
        TcpState::SynSent => Scene::connecting(),
        TcpState::SynReceived => {
            let mut s = Scene::listening();
            s.inject(seg().syn().seq(0));
            s.expect(seg().syn().seq(0).ack(1));
            s
        }
        TcpState::FinWait1 => {
            let mut s = Scene::established();
            s.finish();
            s.expect(seg().fin().seq(1).ack(1));
            s
        }
        TcpState::CloseWait => {
            let mut s = Scene::established();
            s.inject(seg().fin().seq(1).ack(1));
            s.expect(seg().seq(1).ack(2));
            s
        }
        TcpState::TimeWait => {
            let mut s = Scene::established();
            s.finish();
            s.expect(seg().fin().seq(1).ack(1));
            s.inject(seg().fin().seq(1).ack(2));
            s.expect(seg().seq(2).ack(2));
            s.close();
            s
        }
        _ => Scene::established(),
    }
}

/// What an attacker with a connection of his own sees of its answers, while he sends segments in a victim's name.
fn own_answers(seed: u8, right_guess: bool) -> Vec<usize> {
    let (mut node, _) = {
        let mut node = Node::new(config(), seed);
        let id = node.listen(80, ListenConfig::default());
        (node, id)
    };
    let (victim, attacker, http) = (addr("203.0.113.5:5000"), addr("198.51.100.66:6666"), addr(HTTP));
    let iss = node.handshake(start(), attacker, http, TcpOptions::default()).unwrap();
    node.handshake(start(), victim, http, TcpOptions::default()).unwrap();
    let name = if right_guess { victim } else { addr("203.0.113.5:5001") };
    let mut now = start();
    (0..300)
        .map(|_| {
            now += 20.ms();
            node.receive(now, &segment(name, http, TcpFlags::SYN, 9, 0, TcpOptions::default(), b""));
            node.receive(now, &segment(name, http, TcpFlags::RST, 5100, 0, TcpOptions::default(), b""));
            node.sent.clear();
            // His own connection, challenged.
            let challenge = segment(attacker, http, TcpFlags::SYN, 9, iss, TcpOptions::default(), b"");
            node.receive(now, &challenge);
            node.replies().len()
        })
        .collect()
}

#[test]
fn t_bld_5_challenge_acks_are_counted_for_each_connection_alone() {
    for seed in 1..4 {
        let (right, wrong) = (own_answers(seed, true), own_answers(seed, false));
        assert_eq!(right, wrong);
        assert!(right.contains(&0) && right.contains(&1), "the throttle was never reached: {right:?}");
    }
    covers!("T-BLD-5");
}

/// How many resets an attacker gets to segments of his own, while he spends resets in a victim's name, who has a
/// connection or has not.
fn own_resets(seed: u8, connected: bool) -> usize {
    let resets = Rate { per_second: 640, burst: 10 };
    let mut node = Node::new(EndpointConfig { resets, ..config() }, seed);
    node.listen(80, ListenConfig::default());
    let (victim, attacker, http) = (addr("203.0.113.5:5000"), addr("198.51.100.66:6666"), addr(HTTP));
    if connected {
        node.handshake(start(), victim, http, TcpOptions::default()).unwrap();
    }
    let mut now = start();
    for _ in 0..100 {
        now += 1.ms();
        node.receive(now, &segment(victim, http, TcpFlags::ACK, 77, 77, TcpOptions::default(), b""));
        node.receive(now, &segment(attacker, http, TcpFlags::ACK, 77, 77, TcpOptions::default(), b""));
    }
    node.replies().iter().filter(|reply| reply.dst == attacker).count()
}

#[test]
fn t_bld_6_own_resets_tell_nothing_of_others_connections() {
    // Of all secrets that a stack may have, in about one of 64 do the two share a bucket, and even then the count
    // is blurred by the price of each answer.
    let worlds: Vec<[usize; 2]> =
        (0..=255).map(|seed| [own_resets(seed, true), own_resets(seed, false)]).collect();
    let differ = worlds.iter().filter(|[connected, free]| connected != free).count();
    assert!(differ <= 12, "{differ} of 256 worlds tell");
    // The counts are spread, so one of them alone says nothing.
    let mut seen: Vec<usize> = worlds.iter().map(|[connected, _]| *connected).collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() >= 4, "{seen:?}");
    covers!("T-BLD-6");
}
