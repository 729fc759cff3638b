//! Two real endpoints: chosen links and chosen conversations.

use carrick_sim::{End, Ending, LinkConfig, Offload, Pair, Plan, Report, Scene, Span, World, pattern, seg};

fn run(world: &World) -> Report {
    Pair::run_twice(world).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn a_perfect_link_needs_no_packet_twice() {
    let world = World::new(1).link(&LinkConfig::delayed(5.ms()));
    let report = run(&world.talk(Plan::patient(1 << 20), Plan::patient(1 << 20)));
    assert_eq!(report.complete(), 1);
    assert_eq!(report.bytes, 2 << 20);
    assert_eq!(report.lost, 0);
    let least = 2 * (1u64 << 20).div_ceil(1448);
    // Every segment once, at most one acknowledgment for each, some window updates, handshake and FINs.
    assert!(report.packets <= 2 * least + 60, "{} packets, text needs {least}", report.packets);
}

/// What recognises situations does not see them where they are not.
#[test]
fn a_perfect_link_comes_to_none_of_the_bad_situations() {
    use carrick_sim::Situation::{
        DelayedAck, HalfCloseClientTalks, HalfCloseServerTalks, SimultaneousClose, TextCrossedFin,
    };
    let world = World::new(1).link(&LinkConfig::delayed(5.ms()));
    let report = run(&world.talk(Plan::patient(100_000), Plan::patient(50_000)));
    let ordinary =
        [DelayedAck, HalfCloseClientTalks, HalfCloseServerTalks, SimultaneousClose, TextCrossedFin];
    for situation in carrick_sim::Situation::ALL {
        let count = report.situations.of(*situation);
        assert!(count == 0 || ordinary.contains(situation), "{situation:?}: {count}");
    }
}

/// How far both sides have come; how much of a window was open last hangs on when an application read.
fn sent_and_acknowledged(report: &Report) -> Vec<(u64, u32)> {
    report.progress.iter().flatten().map(|progress| (progress.sent, progress.acknowledged)).collect()
}

#[test]
fn t_dev_8_offload_changes_nothing_that_a_peer_or_an_application_sees() {
    for verified in [false, true] {
        for seed in 0..20 {
            let link = LinkConfig { verified, ..LinkConfig::delayed(7.ms()) };
            let base = World::new(seed).link(&link).talk(Plan::patient(200_000), Plan::patient(77_777));
            let with = |offloads: [Offload; 2]| {
                let mut world = base.clone();
                for (side, offload) in world.sides.iter_mut().zip(offloads) {
                    side.offload = offload;
                }
                run(&world)
            };
            let plain = with([Offload::Cut, Offload::Cut]);
            assert_eq!((plain.complete(), plain.bytes), (1, 277_777));
            for offloads in [
                [Offload::Whole, Offload::Whole],
                [Offload::Whole, Offload::Cut],
                [Offload::Cut, Offload::Whole],
            ] {
                let other = with(offloads);
                assert_eq!(other.ends, plain.ends);
                assert_eq!(other.bytes, plain.bytes);
                assert_eq!(sent_and_acknowledged(&other), sent_and_acknowledged(&plain), "seed {seed}");
                assert!(other.packets < plain.packets, "super-segments are fewer packets");
            }
        }
    }
}

#[test]
fn t_dev_8_at_quiet_points_sequence_variables_and_edges_are_the_same() {
    let play = |whole: bool, sizes: &[usize]| {
        let mut s = Scene::builder().offload(if whole { Offload::Whole } else { Offload::Cut }).established();
        let (mut next, mut written) = (1u32, 1u32);
        let mut seen = Vec::new();
        for size in sizes {
            let text = pattern(u64::from(next), *size);
            if whole {
                s.inject(seg().seq(next).ack(1).data(&text).segment_size(1460));
            } else {
                for (i, part) in text.chunks(1460).enumerate() {
                    s.inject(seg().seq(next + 1460 * i as u32).ack(1).data(part));
                }
            }
            next += *size as u32;
            assert_eq!(s.read(), text);
            s.send(vec![7; *size]);
            written += *size as u32;
            s.inject(seg().seq(next).ack(written.min(1 + 10 * 1460)));
            seen.push(s.connection().and_then(|connection| connection.sequence_numbers()));
            s.inject(seg().seq(next).ack(written));
            seen.push(s.connection().and_then(|connection| connection.sequence_numbers()));
            assert!(seen.last().is_some_and(Option::is_some));
        }
        seen
    };
    let sizes = [1, 1460, 1461, 2920, 14_600, 10_000, 20_001, 5];
    assert_eq!(play(true, &sizes), play(false, &sizes));
}

#[test]
fn a_device_that_takes_packets_in_parts_changes_nothing_either() {
    let link = LinkConfig::delayed(7.ms());
    let base = World::new(9).link(&link).talk(Plan::patient(300_000), Plan::patient(300_000));
    let plain = run(&base);
    let mut moody = base;
    for side in &mut moody.sides {
        side.moody = 400_000;
    }
    let moody = run(&moody);
    assert_eq!((moody.complete(), moody.bytes), (1, 600_000));
    assert_eq!(sent_and_acknowledged(&moody), sent_and_acknowledged(&plain));
}

#[test]
fn a_link_that_loses_every_third_packet_is_only_slow() {
    let link = LinkConfig {
        loss: 333_333,
        duplicate: 100_000,
        reorder: 200_000,
        reorder_by: 50.ms(),
        corrupt: 50_000,
        ..LinkConfig::delayed(10.ms())
    };
    let mut complete = 0;
    for seed in 0..20 {
        let mut world = World::new(seed).link(&link).talk(Plan::patient(20_000), Plan::patient(20_000));
        for side in &mut world.sides {
            // Ten losses in a row happen here, and the last words are said by orphans.
            side.connection.orphan_timeout = 3600.secs();
        }
        let report = run(&world);
        complete += report.complete();
        assert!(report.lost * 4 > report.packets);
    }
    assert_eq!(complete, 20);
}

#[test]
fn a_dead_link_is_an_honest_error() {
    let dead = LinkConfig { loss: 1_000_000, ..LinkConfig::default() };
    let report = run(&World::new(4).link(&dead).talk(Plan::patient(10), Plan::patient(10)));
    assert!(matches!(report.ends[..], [[Some(End::Failed(_)), None]]), "{:?}", report.ends);
}

#[test]
fn half_closed_either_way_the_other_half_flows_on() {
    let link = LinkConfig { loss: 50_000, ..LinkConfig::delayed(20.ms()) };
    let after = |write| Plan { ending: Ending::AfterPeer, ..Plan::patient(write) };
    for seed in 0..10 {
        let report = run(&World::new(seed).link(&link).talk(Plan::patient(50_000), after(120_000)));
        assert_eq!((report.complete(), report.bytes), (1, 170_000));
        let report = run(&World::new(seed).link(&link).talk(after(120_000), Plan::patient(50_000)));
        assert_eq!((report.complete(), report.bytes), (1, 170_000));
    }
}

#[test]
fn many_conversations_share_a_host_without_mixing() {
    let link = LinkConfig { loss: 20_000, ..LinkConfig::delayed(3.ms()) };
    let mut world = World::new(11).link(&link);
    for i in 0..60 {
        world = world.talk(Plan::patient(1000 + 37 * i), Plan::patient(5000 - 61 * i));
        world.conversations.last_mut().unwrap().client = (i % 2) as usize;
    }
    let report = run(&world);
    assert_eq!(report.complete(), 60);
}

/// Seen: text behind a hole took the memory that the text in the hole needed, until both sides gave up; and a
/// writer turned away for want of memory, with nothing of its own outstanding, never heard that there was
/// memory again.
#[test]
fn a_small_budget_is_never_exceeded_and_everybody_gets_through() {
    let link = LinkConfig { loss: 20_000, ..LinkConfig::delayed(3.ms()) };
    for seed in 0..20 {
        let mut world = World::new(seed).link(&link);
        for side in &mut world.sides {
            side.budget = 128 << 10;
        }
        for _ in 0..8 {
            world = world.talk(Plan::patient(60_000), Plan::patient(60_000));
        }
        let report = run(&world);
        assert_eq!(report.complete(), 8, "seed {seed}: {:?}", report.ends);
    }
}

#[test]
fn the_digest_tells_worlds_apart() {
    let talk = |seed| run(&World::new(seed).talk(Plan::patient(1000), Plan::patient(1000))).digest;
    assert_eq!(talk(1), talk(1));
    assert_ne!(talk(1), talk(2));
}
