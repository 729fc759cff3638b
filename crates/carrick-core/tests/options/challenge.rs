//! Challenge ACKs and their throttle (RFC 5961 §3, §4, §7).

use crate::common::*;
use carrick_core::{ConnectionError, TcpState};
use carrick_covers::covers;
use carrick_sim::{Scene, Span, seg};

#[test]
fn chal_1_a_reset_in_the_window_is_challenged() {
    for seq in [2, 100, 65_536] {
        let mut s = Scene::established();
        s.inject(seg().rst().seq(seq));
        s.expect(seg().seq(1).ack(1));
        s.expect_nothing();
        assert_eq!(s.state(), TcpState::Established);
    }
    covers!("CHAL-1");
}

#[test]
fn chal_2_a_syn_is_challenged_whatever_its_number() {
    for seq in [0, 1, 2, 65_536, 65_537, 1 << 20] {
        for with_ack in [false, true] {
            let mut s = Scene::established();
            s.inject(if with_ack { seg().syn().seq(seq).ack(1) } else { seg().syn().seq(seq) });
            s.expect(seg().seq(1).ack(1));
            s.expect_nothing();
            assert_eq!(s.state(), TcpState::Established);
        }
    }
    covers!("CHAL-2");
}

/// The peer has crashed and comes back: with or without timestamps its SYN, our challenge and its reset clear the way.
#[test]
fn chal_3_a_restarted_peer_gets_through() {
    for (before, after) in [(false, false), (true, true), (true, false), (false, true)] {
        let mut s = Scene::builder().timestamps(before).accepted();
        s.advance(1.secs());
        let syn = seg().syn().seq(5_000_000);
        let syn = if after { syn.ts(9, 0) } else { syn.no_ts() };
        s.inject(syn.clone());
        s.expect(seg().seq(1).ack(1));
        // It knows nothing of what our ACK says: a reset with the number that the ACK acknowledges.
        s.inject(seg().rst().seq(1).no_ts());
        assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::Reset)));
        s.close();
        s.inject(syn);
        s.expect(seg().syn().ack(5_000_001));
        assert_eq!(s.host().endpoint().half_open(), 1);
    }
    covers!("CHAL-3");
}

#[test]
fn chal_4_ten_in_five_to_ten_seconds() {
    let mut s = Scene::established();
    for n in 0..30 {
        s.inject(seg().rst().seq(2));
        assert_eq!(sent(&mut s).len(), usize::from(n < 10), "the {n}th");
    }
    s.advance(4999.ms());
    s.inject(seg().syn().seq(2));
    s.expect_nothing();
    s.advance(5001.ms());
    for n in 0..30 {
        s.inject(seg().seq(1).ack(2));
        assert_eq!(sent(&mut s).len(), usize::from(n < 10), "the {n}th");
    }
    // Text in order is acknowledged all the same.
    s.inject(seg().seq(1).ack(1).len(5));
    s.expect(seg().seq(1).ack(6));
    covers!("CHAL-4");
}

/// Were it known when there are ten again, an attacker could spend them first (T-BLD-5, T-BLD-6).
#[test]
fn t_bld_5_when_there_are_ten_again_is_a_secret() {
    let wait = |seed| {
        let mut s = Scene::builder().seed(seed).established();
        for _ in 0..10 {
            s.inject(seg().rst().seq(2));
        }
        assert_eq!(sent(&mut s).len(), 10);
        (1..=100u64).find(|_| {
            s.advance(100.ms());
            s.inject(seg().rst().seq(2));
            sent(&mut s).len() == 1
        })
    };
    let waits: Vec<u64> = (0..20).map(|seed| wait(seed).unwrap()).collect();
    let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!((50..65).contains(least) && (85..=100).contains(most), "{waits:?}");
}

/// What an attacker's own connection is told does not hang on what happens to another one.
#[test]
fn chal_5_each_connection_has_a_budget_of_its_own() {
    let told = |guesses: usize| -> Vec<usize> {
        let mut s = Scene::listening();
        for port in [40_000, 50_000] {
            s.inject(seg().syn().seq(0).ports(port, 80));
            s.inject(seg().seq(1).ack(1).ports(port, 80));
            assert!(s.accept());
        }
        sent(&mut s);
        for _ in 0..guesses {
            s.inject(seg().rst().seq(2).ports(40_000, 80));
        }
        let to_victim = sent(&mut s).len();
        assert_eq!(to_victim, guesses.min(10));
        (0..20)
            .map(|_| {
                s.inject(seg().rst().seq(2).ports(50_000, 80));
                sent(&mut s).len()
            })
            .collect()
    };
    let undisturbed = told(0);
    assert_eq!(undisturbed.iter().sum::<usize>(), 10);
    assert_eq!(told(5), undisturbed);
    assert_eq!(told(500), undisturbed);
    covers!("CHAL-5");
}

#[test]
fn chal_6_never_more_than_one_answer_for_a_segment() {
    let mut s = Scene::builder().timestamps(true).established();
    s.send([7; 10]);
    s.expect(seg().seq(1).ack(1).len(10));
    for bad in [
        seg().rst().seq(2),
        seg().syn().seq(70),
        seg().syn().seq(0).ack(1),
        seg().seq(90_000).ack(1).len(10),
        seg().seq(90_000).ack(1),
        seg().seq(1).ack(99).len(10),
        seg().fin().seq(1).ack(99),
        seg().seq(1).ack(1).ts(1, 1),
        seg().fin().syn().rst().seq(2).ack(99),
    ] {
        s.inject(bad);
        assert!(sent(&mut s).len() <= 1);
    }
    covers!("CHAL-6");
}

/// A known corner of RFC 5961 §4.2: the SYN of a restarted peer whose number is RCV.NXT-1 by chance gets an ACK that
/// acknowledges just that SYN. The peer in SYN-SENT has no use for an ACK without SYN, so no reset comes and each
/// SYN gets the same ACK, until the peer gives up; no state changes on the way, on either side.
#[test]
fn chal_7_the_corner_of_a_syn_one_before_the_window() {
    let mut s = Scene::established();
    for _ in 0..3 {
        s.inject(seg().syn().seq(0));
        s.expect(seg().seq(1).ack(1));
        s.advance(5.secs());
    }
    assert_eq!(s.state(), TcpState::Established);
    // We as that peer: the ACK is dropped, the SYN goes out again, and the attempt ends by its own timeout.
    let mut s = Scene::connecting();
    s.inject(seg().seq(77).ack(1));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::SynSent);
    s.advance(300.secs());
    assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::TimedOut)));
    let known = include_str!("../../../../docs/decisions/contract.md");
    assert!(known.contains("RFC 5961 §4.2"), "the limitation is written down");
    covers!("CHAL-7");
}

#[test]
fn chal_8_out_of_window_acks_are_answered_ten_times() {
    for seq in [0, 90_000] {
        let mut s = Scene::established();
        for _ in 0..100 {
            s.inject(seg().seq(seq).ack(1));
        }
        assert_eq!(sent(&mut s).len(), 10);
    }
    // In SYN-RECEIVED and TIME-WAIT too.
    let mut s = Scene::listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    for _ in 0..100 {
        s.inject(seg().seq(90_000).ack(1));
    }
    assert_eq!(sent(&mut s).len(), 10);
    covers!("CHAL-8");
}
