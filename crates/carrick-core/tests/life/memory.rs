//! What peers can make us hold, and who goes when it is too much.

use carrick_core::{Connection, ConnectionError, Cx, DiscardReason};
use carrick_covers::covers;
use carrick_sim::{LinkConfig, Pair, Plan, Scene, Span, TcpState, World, seg};
use carrick_wire::TcpFlags;
use std::collections::BTreeSet;

/// Connects peers from port 1000 on to the scene's listener; returns the ports.
fn peers(s: &mut Scene, count: u16) -> Vec<u16> {
    let ports: Vec<u16> = (1000..1000 + count).collect();
    for port in &ports {
        s.inject(seg().syn().seq(0).ports(*port, 80));
        s.inject(seg().seq(1).ack(1).ports(*port, 80));
        assert!(s.accept(), "port {port}");
    }
    while s.take().is_some() {}
    ports
}

/// 2,000 peers; with `CARRICK_SOAK=50` 100,000.
#[test]
fn t_per_1_those_who_hold_on_longest_go_first() {
    let soak: u32 = std::env::var("CARRICK_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (peers, budget) = (2000 * soak, 4 << 20);
    let mut s = Scene::builder().backlog(4000).budget(budget).listening();
    let mut holders = BTreeSet::new();
    for peer in 0..peers {
        // Whoever had the port before has gone long ago.
        let port = 1000 + (peer % 60_000) as u16;
        assert!(!holders.contains(&port), "port {port} is held for too long");
        // Whoever comes while memory is scarce comes again.
        for _ in 0..200 {
            s.inject(seg().syn().seq(0).ports(port, 80));
            s.inject(seg().seq(1).ack(1).window(0).ports(port, 80));
            if s.accept() {
                break;
            }
            s.advance(1.secs());
            answer(&mut s, &mut holders);
        }
        assert_eq!(s.state(), TcpState::Established, "port {port} is turned away for good");
        holders.insert(port);
        // Everybody gets an answer, and nobody reads it; each but asks for it to be kept.
        let _ = s.try_send(&[7; 2000]);
        s.advance(50.ms());
        answer(&mut s, &mut holders);
        assert!(s.host().used() <= budget + budget / 16);
    }
    let live = s.host().endpoint().connections();
    assert!(live < 2000, "{live} are alive, more than the budget holds");
    assert!(s.host().used() > budget / 2, "{live} are alive, fewer than there is room for");
    // The last ones are there, the first have gone.
    assert_eq!(s.error(), None);
    covers!("T-PER-1");
}

/// Each peer that is asked says that it lives, and that its window is closed; one that is reset has gone.
fn answer(s: &mut Scene, holders: &mut BTreeSet<u16>) {
    let mut asked = BTreeSet::new();
    while let Some(packet) = s.take() {
        let Some(segment) = packet.segment() else { continue };
        let port = segment.dst.port();
        if segment.has(TcpFlags::RST) {
            holders.remove(&port);
        } else if holders.contains(&port) {
            asked.insert(port);
        }
    }
    for port in asked {
        s.inject(seg().seq(1).ack(1).window(0).ports(port, 80));
    }
}

#[test]
fn res_1_the_oldest_goes_with_an_error_of_its_own() {
    let mut s = Scene::builder().budget(40 << 10).listening();
    for port in 0..11u16 {
        s.inject(seg().syn().seq(0).ports(1000 + port, 80));
        s.inject(seg().seq(1).ack(1).window(0).ports(1000 + port, 80));
        assert!(s.accept());
        s.send([7; 2000]);
        s.advance(1.secs());
    }
    while s.take().is_some() {}
    // Less than three quarters are used: that may last.
    s.advance(600.secs());
    s.inject(seg().seq(1).ack(1).window(0).ports(1010, 80));
    assert_eq!(s.host().endpoint().connections(), 11);
    // One more: three quarters are used, and the longest without progress goes.
    s.inject(seg().syn().seq(0).ports(2000, 80));
    s.inject(seg().seq(1).ack(1).window(0).ports(2000, 80));
    assert!(s.accept());
    s.send([7; 2000]);
    while s.take().is_some() {}
    assert!(s.host().used() >= 24 << 10, "{}", s.host().used());
    s.inject(seg().seq(1).ack(1).window(0).ports(1010, 80));
    let reset = s.take().expect("a reset").segment().map(|segment| (segment.dst.port(), segment.tcp.flags));
    assert_eq!(reset, Some((1000, carrick_wire::TcpFlags::RST | carrick_wire::TcpFlags::ACK)));
    assert_eq!(s.host().endpoint().connections(), 11, "one is enough");
    s.expect_nothing();

    // What the application of the one that goes is told.
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).len(10));
    s.expect(seg().seq(1).ack(11));
    s.events();
    s.with("no memory", |c, cx| c.abort_for_memory(cx));
    s.expect(seg().rst().seq(1).ack(11));
    assert_eq!(s.error(), Some(ConnectionError::OutOfMemory));
    assert_eq!(s.events(), [carrick_core::Event::Readable, carrick_core::Event::Closed]);
    assert!(s.read().is_empty() && !s.at_end());
    covers!("RES-1");
}

#[test]
fn who_is_stuck() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).window(0));
    let at = |s: &Scene, pressure: carrick_core::Pressure, later: std::time::Duration| {
        let mut cx = Cx::new(s.now() + later);
        cx.memory.pressure = pressure;
        s.connection().unwrap().is_stuck(&cx)
    };
    use carrick_core::Pressure::{High, Limit, Low};
    assert!(!at(&s, Limit, 3600.secs()), "it holds nothing");
    s.send(b"x");
    let begin = s.now();
    assert_eq!(s.connection().unwrap().last_progress(), begin);
    for (pressure, patience) in [(High, 60.secs()), (Limit, 20.secs())] {
        assert!(!at(&s, pressure, patience - 1.ns()));
        assert!(at(&s, pressure, patience));
    }
    assert!(!at(&s, Low, 3600.secs()));
    s.close();
    assert!(at(&s, Limit, 5.secs()), "an orphan goes sooner");
}

#[test]
fn res_2_and_t_rcv_1_islands_are_bounded_and_each_costs_the_same() {
    let mut s = Scene::builder().window_scale(7).sack(true).established();
    // What finding and keeping one more costs follows from how many there are: a balanced tree, which is bounded.
    let mut cost = Vec::new();
    for island in 1..=10_000u32 {
        let before = s.connection().map_or(0, Connection::memory);
        s.inject(seg().seq(1 + 2 * island).ack(1).len(1));
        let sent = s.take().expect("an ACK");
        assert!(sent.segment().unwrap().tcp.options.sack.len() <= 4);
        s.expect_nothing();
        let more = s.connection().map_or(0, Connection::memory) - before;
        assert!(island <= 1024 || more == 0);
        cost.push(more);
    }
    let most = cost.iter().max().copied().unwrap_or(0);
    assert!(
        most <= 4096 && cost[900..1000].iter().max() <= cost[..100].iter().max(),
        "{most} bytes for an island"
    );
    let refused = s.host().endpoint().counters().discarded(DiscardReason::TooManyRanges);
    assert_eq!(refused, 10_000 - 1024, "the newest are refused");
    let held = s.connection().map_or(0, Connection::memory);
    assert!(held < 1024 * 2600, "{held} bytes for 1,024 islands");
    // Text in order is always taken, and fills the holes one by one.
    for next in 1..200u32 {
        s.inject(seg().seq(2 * next - 1).ack(1).len(2));
    }
    s.inject(seg().seq(399).ack(1).len(1));
    assert!(s.read().len() >= 399);
    covers!("RES-2", "T-RCV-1");
}

#[test]
fn t_rcv_5_tiny_segments_hold_no_more_than_their_text_and_a_chunk() {
    let mut s = Scene::builder().config(|c| c.receive_buffer = 60_000).established();
    for i in 0..60_000u32 {
        s.inject(seg().seq(1 + i).ack(1).len(1));
        while s.take().is_some() {}
    }
    let held = s.connection().map_or(0, Connection::memory);
    assert_eq!(s.connection().map(Connection::readable_len), Some(60_000));
    assert!((60_000..90_000).contains(&held), "{held} bytes are charged");
    covers!("T-RCV-5");
}

#[test]
fn res_3_hostile_sack_blocks_cost_nothing() {
    let mut s = Scene::builder().sack(true).window(60_000).established();
    s.send([1; 40_000]);
    while s.take().is_some() {}
    let before = s.connection().map_or(0, Connection::memory);
    let mut random = carrick_sim::Rng::new(3);
    for _ in 0..5000 {
        let blocks: Vec<(u32, u32)> = (0..4)
            .map(|_| {
                let left = random.below(45_000) as u32;
                (left, left + 1 + random.below(10) as u32)
            })
            .collect();
        s.inject(seg().seq(1).ack(1).sack(&blocks));
        while s.take().is_some() {}
    }
    let after = s.connection().map_or(0, Connection::memory);
    assert!(after <= before + 40_000, "{after} bytes after the flood, {before} before");
    assert_eq!(
        s.connection().map(Connection::unacknowledged),
        Some(40_000),
        "nothing was given up for a block"
    );
    covers!("RES-3");
}

#[test]
fn res_4_a_hostile_mss_does_not_make_tiny_segments() {
    for mss in [1, 2, 47] {
        let mut s = Scene::builder().mss(mss).timestamps(true).established();
        s.send([1; 10_000]);
        let mut packets = 0;
        let mut next = 1;
        while next < 10_001 {
            let packet = s.take().unwrap_or_else(|| panic!("no more after {next}"));
            let segment = packet.segment().unwrap();
            packets += 1;
            next = next.max(segment.tcp.seq.get() - 1_000_000 + segment.payload.len() as u32);
            s.inject(seg().seq(1).ack(next));
        }
        assert!(packets <= 10_000 / 36 + 10, "{packets} packets for 10,000 bytes at an MSS of {mss}");
    }
    covers!("RES-4");
}

#[test]
fn res_7_a_tiny_window_makes_nobody_spin() {
    // The peer opens its window by a byte at a time, at once and for an hour.
    let mut s = Scene::builder().established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send([1; 4000]);
    let (begin, mut timers) = (s.now(), 0);
    while s.now().since(begin) < 3600.secs() {
        let Some(wait) = s.advance_to_next_timer() else { break };
        assert!(wait >= 1.ms(), "a timer after {wait:?}");
        timers += 1;
        let mut last = None;
        while let Some(packet) = s.take() {
            let segment = packet.segment().unwrap();
            last = Some(segment.tcp.seq.get() - 1_000_000 + segment.payload.len() as u32);
        }
        if let Some(ack) = last {
            s.inject(seg().seq(1).ack(ack).window(1));
        }
    }
    // The least timeout is 200 ms.
    assert!(timers <= 5 * 3600, "{timers} timers in an hour");
    covers!("RES-7");
}

#[test]
fn t_rcv_6_one_budget_for_many() {
    let link = LinkConfig { loss: 1000, ..LinkConfig::delayed(5.ms()) };
    for (count, budget) in [(10u64, 256 << 10), (100, 1 << 20), (400, 3 << 20)] {
        let mut world = World::new(count).link(&link);
        for side in &mut world.sides {
            side.budget = budget;
        }
        for i in 0..count {
            world = world.talk(Plan::patient(8000 + i), Plan::patient(8000 + 2 * i));
            // Opened before memory is scarce: who comes later may be turned away, and is told so.
            world.conversations.last_mut().unwrap().at = i.ms();
        }
        // The oracles of both hosts watch the budget and every promised edge.
        let report = Pair::run_twice(&world).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.complete() as u64, count);
    }
    // Under pressure a SYN is dropped and counted, and connect says why.
    let mut s = Scene::builder().budget(32 << 10).listening();
    peers(&mut s, 2);
    s.inject(seg().seq(1).ack(1).len(1400).ports(1001, 80));
    for i in 0..20u32 {
        s.inject(seg().seq(1401 + 1400 * i).ack(1).len(1400).ports(1001, 80));
    }
    while s.take().is_some() {}
    s.inject(seg().syn().seq(0).ports(3000, 80));
    s.expect_nothing();
    assert_eq!(s.host().endpoint().counters().discarded(DiscardReason::NoRoom), 1);
    let now = s.now();
    let refused = s.host_mut().connect(now, None, "192.0.2.1:80".parse().unwrap(), std::sync::Arc::default());
    assert_eq!(refused, Err(carrick_core::ConnectError::Limit));
    // Those that are there go on.
    let readable = s.connection().map_or(0, Connection::readable_len);
    assert!(readable > 10_000);
    assert_eq!(s.read().len(), readable);
    covers!("T-RCV-6");
}
