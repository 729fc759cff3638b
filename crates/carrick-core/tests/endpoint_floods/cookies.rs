//! SYN cookies, one rule at a time.

use crate::support::*;
use carrick_core::{Cx, DiscardReason, EndpointConfig, Instant, ListenConfig, SynCookies, TcpState};
use carrick_covers::covers;
use carrick_sim::{LinkConfig, Pair, Plan, Rng, Span, World};
use carrick_wire::{TcpFlags, TcpOptions, Timestamps};

fn with(syn_cookies: SynCookies) -> EndpointConfig {
    EndpointConfig { syn_cookies, ..config() }
}

/// A node that answers every SYN with a cookie.
fn baker() -> Node {
    Node::listening(with(SynCookies::Always), ListenConfig::default()).0
}

#[test]
fn synf_6_cookies_are_for_what_comes_beyond_the_limit_and_are_sent_once() {
    let (mut node, _) =
        Node::listening(EndpointConfig { max_half_open: 1, ..config() }, ListenConfig::default());
    let first = addr(CLIENT);
    let second = addr("198.51.100.8:4000");
    node.receive(start(), &syn(first, addr(HTTP), 1, TcpOptions::default()));
    assert_eq!((node.endpoint.half_open(), node.endpoint.counters().syn_cookies_sent), (1, 0));
    node.receive(start(), &syn(second, addr(HTTP), 1, TcpOptions::default()));
    assert_eq!((node.endpoint.half_open(), node.endpoint.counters().syn_cookies_sent), (1, 1));
    assert_eq!(node.replies().len(), 2);
    // The record's SYN,ACK is repeated, the cookie is not.
    node.wait_until(start() + 100.secs());
    let repeated = node.replies();
    assert_eq!(repeated.len(), 5);
    assert!(repeated.iter().all(|reply| reply.dst == first));
    assert_eq!(node.endpoint.half_open(), 0);
    covers!("SYNF-6");
}

/// A cookie does not tell when it was sent, so nothing has been measured; nor has it been sent again.
#[test]
fn after_a_cookie_the_first_timeout_is_a_second() {
    let mut node = baker();
    node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 5000, TcpOptions::default()));
    let iss = node.only().tcp.seq.get();
    let now = start() + 50.ms();
    assert_eq!(node.receive(now, &completing(iss, b"")), Seen::Opened);
    let (_, id) = node.opened[0];
    assert_eq!(node.act(now, id, |connection, cx| connection.send(cx, b"text")), Some(Ok(4)));
    assert_eq!(node.cells[&id].poll_timeout(), Some(now + 1.secs()));
}

#[test]
fn synf_3_nothing_is_kept_until_the_ack_and_then_there_is_a_connection() {
    let mut node = baker();
    let before = node.endpoint.memory();
    // Text on the SYN is not acknowledged.
    let syn = segment(
        addr(CLIENT),
        addr(HTTP),
        TcpFlags::SYN,
        5000,
        0,
        options(Some(1), Some(7), true, Some(1460)),
        b"early",
    );
    assert_eq!(node.receive(start(), &syn), Seen::Answered);
    let reply = node.only();
    assert!(reply.is(TcpFlags::SYN | TcpFlags::ACK));
    assert_eq!(reply.tcp.ack.get(), 5001);
    assert_eq!((node.endpoint.half_open(), node.endpoint.connections()), (0, 0));
    assert_eq!(node.endpoint.memory(), before);

    let ack = segment(
        addr(CLIENT),
        addr(HTTP),
        TcpFlags::ACK | TcpFlags::FIN,
        5001,
        reply.tcp.seq.get().wrapping_add(1),
        echo(&reply.tcp, 2),
        b"all at once",
    );
    assert_eq!(node.receive(start() + 50.ms(), &ack), Seen::Opened);
    let (_, id) = node.opened[0];
    let answer = node.only();
    assert!(answer.is(TcpFlags::ACK));
    assert_eq!(answer.tcp.ack.get(), 5001 + 12);
    assert_eq!(node.cells[&id].state(), TcpState::CloseWait);
    let text: Vec<u8> = node.cells[&id].readable().flat_map(|chunk| chunk.to_vec()).collect();
    assert_eq!(text, b"all at once");
    let counters = node.endpoint.counters();
    assert_eq!((counters.syn_cookies_accepted, counters.passive_opens), (1, 1));
    covers!("SYNF-3");
}

#[test]
fn synf_4_a_cookie_is_good_for_two_slots_whatever_key_is_in_use() {
    // The slot began at 960 s; the one after next begins at 1,088 s.
    for (millis, good) in [
        (0, true),
        (23_999, true),
        (24_000, true),
        (87_999, true),
        (88_000, false),
        (120_000, false),
        (300_000, false),
    ] {
        let mut node = baker();
        node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 5000, TcpOptions::default()));
        let cookie = node.only().tcp.seq.get();
        let later = start() + millis.ms();
        // Others keep cookies outstanding.
        node.receive(later, &syn(addr("198.51.100.9:1"), addr(HTTP), 1, TcpOptions::default()));
        node.sent.clear();
        let seen = node.receive(later, &completing(cookie, b""));
        if good {
            assert_eq!(seen, Seen::Opened, "after {millis} ms");
        } else {
            assert_eq!(seen, Seen::Answered, "after {millis} ms");
            let reset = node.only();
            assert!(reset.is(TcpFlags::RST));
            assert_eq!(reset.tcp.seq.get(), cookie.wrapping_add(1));
            assert_eq!(node.endpoint.counters().syn_cookies_refused, 1);
        }
    }
    covers!("SYNF-4");
}

#[test]
fn a_cookie_is_good_to_the_end_of_its_slots_if_it_was_the_only_one() {
    let mut node = baker();
    node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 5000, TcpOptions::default()));
    let acknowledgment = node.only().tcp.seq.get().wrapping_add(1);
    let none = TcpOptions::default();
    let ack = segment(addr(CLIENT), addr(HTTP), TcpFlags::ACK, 5001, acknowledgment, none, b"");
    assert_eq!(node.receive(start() + 87.secs(), &ack), Seen::Opened);
}

#[test]
fn a_cookie_is_asked_for_only_where_there_may_be_one() {
    let (mut node, _) = Node::listening(config(), ListenConfig::default());
    let ack = segment(addr(CLIENT), addr(HTTP), TcpFlags::ACK, 1, 1, TcpOptions::default(), b"");
    node.receive(start(), &ack);
    assert!(node.only().is(TcpFlags::RST));
    assert_eq!(node.endpoint.counters().syn_cookies_refused, 0);
}

#[test]
fn synf_5_options_survive_with_timestamps_and_only_with_them() {
    for (scale, sack, mss, size) in [
        (Some(0), true, Some(1460), 1460),
        (Some(7), false, Some(1400), 1360),
        (None, true, Some(1459), 1440),
        (Some(14), true, None, 536),
        (None, false, Some(20), 88),
        (Some(3), true, Some(65_495), 1460),
    ] {
        for timestamps in [false, true] {
            let mut node = baker();
            let offered = options(timestamps.then_some(77), scale, sack, mss);
            node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 5000, offered));
            let reply = node.only();
            let agreed = reply.tcp.options;
            assert_eq!(agreed.window_scale.is_some(), timestamps && scale.is_some());
            assert_eq!(agreed.sack_permitted, timestamps && sack);
            assert_eq!(agreed.timestamps.map(|ts| ts.ecr), timestamps.then_some(77));
            assert_eq!(agreed.mss, Some(1460));

            // Ours is 128 KiB, shifted by 8. The window is 60,000 as carried: with a shift it lets more out.
            let acknowledgment = reply.tcp.seq.get().wrapping_add(1);
            let ack = segment(
                addr(CLIENT),
                addr(HTTP),
                TcpFlags::ACK,
                5001,
                acknowledgment,
                echo(&reply.tcp, 78),
                b"",
            );
            assert_eq!(node.receive(start() + 20.ms(), &ack), Seen::Opened);
            let (_, id) = node.opened[0];
            node.act(start() + 21.ms(), id, |connection, cx| connection.send(cx, &[7; 8000]));
            let first = &node.replies()[0];
            let less = if timestamps { 12 } else { 0 };
            assert_eq!(first.text.len(), size - less, "{mss:?} {timestamps}");
            let scaled = timestamps && scale.is_some();
            assert_eq!(first.tcp.window.get(), if scaled { 512 } else { 65_535 });

            // A hole is told of with SACK blocks, if so agreed.
            let behind_hole = segment(
                addr(CLIENT),
                addr(HTTP),
                TcpFlags::ACK,
                6001,
                acknowledgment,
                echo(&first.tcp, 79),
                b"later",
            );
            node.receive(start() + 22.ms(), &behind_hole);
            let duplicate = node.replies().pop().unwrap();
            assert_eq!(duplicate.tcp.options.sack.iter().count(), usize::from(timestamps && sack));
            assert_eq!(duplicate.tcp.options.timestamps.is_some(), timestamps);
        }
    }
    covers!("SYNF-5");
}

#[test]
fn the_peer_sees_our_timestamps_rise_from_the_cookie_on() {
    for millis in 0..200 {
        let mut node = baker();
        let now = start() + millis.ms();
        node.receive(now, &syn(addr(CLIENT), addr(HTTP), 5000, options(Some(1), None, true, None)));
        let reply = node.only();
        let Some(Timestamps { val: first, .. }) = reply.tcp.options.timestamps else {
            panic!("no timestamps")
        };
        let acknowledgment = reply.tcp.seq.get().wrapping_add(1);
        let ack =
            segment(addr(CLIENT), addr(HTTP), TcpFlags::ACK, 5001, acknowledgment, echo(&reply.tcp, 2), b"x");
        node.receive(now, &ack);
        let Some(Timestamps { val: second, .. }) = node.only().tcp.options.timestamps else {
            panic!("no timestamps")
        };
        assert!(second.wrapping_sub(first) < 64, "{first} and then {second}");
    }
}

#[test]
fn synf_7_data_repairs_a_lost_ack_and_a_probe_learns_that_nobody_is_there() {
    let mut node = baker();
    let offered = options(Some(77), Some(7), true, Some(1460));
    node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 5000, offered));
    let reply = node.only();
    let acknowledgment = reply.tcp.seq.get().wrapping_add(1);
    // The ACK is lost. Whoever waits for the server to speak, and then probes, is told the truth.
    let probe =
        segment(addr(CLIENT), addr(HTTP), TcpFlags::ACK, 5000, acknowledgment, echo(&reply.tcp, 80), b"");
    node.receive(start() + 10.secs(), &probe);
    assert!(node.only().is(TcpFlags::RST));
    // Whoever speaks first is understood, the second time too.
    let text = segment(
        addr(CLIENT),
        addr(HTTP),
        TcpFlags::ACK | TcpFlags::PSH,
        5001,
        acknowledgment,
        echo(&reply.tcp, 90),
        b"GET",
    );
    assert_eq!(node.receive(start() + 11.secs(), &text), Seen::Opened);
    assert_eq!(node.only().tcp.ack.get(), 5004);
    assert_eq!(node.receive(start() + 12.secs(), &text), Seen::Existing);
    assert_eq!(node.only().tcp.ack.get(), 5004);
    covers!("SYNF-7");
}

#[test]
fn t_fld_4_whoever_guesses_gets_nowhere() {
    let mut node = baker();
    let offered = options(Some(77), Some(7), true, Some(1460));
    node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 5000, offered));
    let reply = node.only();
    let right = reply.tcp.seq.get().wrapping_add(1);
    let memory = node.endpoint.memory();
    let ts = echo(&reply.tcp, 80);
    // Whatever the cookie stands for cannot be changed: its bits, the options, the number, the tuple.
    let (src, dst) = (addr(CLIENT), addr(HTTP));
    let mut forged: Vec<Vec<u8>> = (0..32)
        .map(|bit| segment(src, dst, TcpFlags::ACK, 5001, ((right - 1) ^ (1 << bit)) + 1, ts, b""))
        .collect();
    forged.extend((0..5).map(|bit| {
        let timestamps = ts.timestamps.map(|ts| Timestamps { ecr: ts.ecr ^ 1 << bit, ..ts });
        segment(src, dst, TcpFlags::ACK, 5001, right, TcpOptions { timestamps, ..ts }, b"")
    }));
    forged.push(segment(src, dst, TcpFlags::ACK, 5001, right, TcpOptions::default(), b""));
    forged.push(segment(src, dst, TcpFlags::ACK, 5002, right, ts, b""));
    forged.push(segment(addr("198.51.100.7:4001"), dst, TcpFlags::ACK, 5001, right, ts, b""));
    forged.push(segment(addr("198.51.100.6:4000"), dst, TcpFlags::ACK, 5001, right, ts, b""));
    for packet in &forged {
        let seen = node.receive(start(), packet);
        assert!(matches!(seen, Seen::Answered | Seen::Discarded(DiscardReason::RateLimited)), "{seen:?}");
    }
    assert_eq!(node.endpoint.counters().syn_cookies_refused, forged.len() as u64);
    node.sent.clear();

    // 28 bits have to be right: of n guesses about n / 2^28.
    let guesses = 1_000_000 * soak() as u64;
    let mut rng = Rng::new(4);
    for _ in 0..guesses {
        let guess = segment(src, dst, TcpFlags::ACK, rng.bits() as u32, rng.bits() as u32, ts, b"");
        node.receive(start(), &guess);
    }
    assert!(node.opened.len() as u64 <= guesses.div_ceil(1 << 28), "{} opened", node.opened.len());
    assert_eq!(node.endpoint.memory(), memory);
    let last = segment(src, dst, TcpFlags::ACK, 5001, right, ts, b"");
    assert_eq!(node.receive(start(), &last), Seen::Opened);
    covers!("T-FLD-4");
}

#[test]
fn two_stacks_make_different_cookies_and_one_different_ones_for_each_tuple() {
    let cookie = |seed: u8, src: &str| {
        let mut node = Node::new(with(SynCookies::Always), seed);
        node.listen(80, ListenConfig::default());
        node.receive(start(), &syn(addr(src), addr(HTTP), 5000, TcpOptions::default()));
        node.only().tcp.seq.get() >> 4
    };
    let all = [
        cookie(1, CLIENT),
        cookie(2, CLIENT),
        cookie(1, "198.51.100.7:4001"),
        cookie(1, "198.51.100.8:4000"),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one), "{all:?}");
    }
    assert_eq!(cookie(1, CLIENT), all[0]);
}

#[test]
fn a_full_accept_queue_takes_no_cookie_and_the_peer_tries_again() {
    let (mut node, listener) =
        Node::listening(with(SynCookies::Always), ListenConfig { backlog: 1, ..ListenConfig::default() });
    let second = addr("198.51.100.8:4000");
    node.receive(start(), &syn(second, addr(HTTP), 5000, TcpOptions::default()));
    let cookie = node.only().tcp.seq.get();
    assert!(node.handshake(start(), addr(CLIENT), addr(HTTP), TcpOptions::default()).is_some());
    let ack =
        segment(second, addr(HTTP), TcpFlags::ACK, 5001, cookie.wrapping_add(1), TcpOptions::default(), b"");
    assert_eq!(node.receive(start(), &ack), Seen::Discarded(DiscardReason::NoRoom));
    node.nothing();
    // Nor is another SYN answered.
    let third = syn(addr("198.51.100.9:4000"), addr(HTTP), 1, TcpOptions::default());
    assert_eq!(node.receive(start(), &third), Seen::Discarded(DiscardReason::NoRoom));
    node.endpoint.accepted(listener);
    assert_eq!(node.receive(start() + 1.secs(), &ack), Seen::Opened);
}

#[test]
fn without_cookies_a_syn_beyond_the_limit_is_dropped() {
    let endpoint = EndpointConfig { max_half_open: 1, ..with(SynCookies::Never) };
    let (mut node, _) = Node::listening(endpoint, ListenConfig::default());
    node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 1, TcpOptions::default()));
    let second = syn(addr("198.51.100.8:4000"), addr(HTTP), 1, TcpOptions::default());
    assert_eq!(node.receive(start(), &second), Seen::Discarded(DiscardReason::NoRoom));
    assert_eq!(node.replies().len(), 1);
}

#[test]
fn memory_that_is_scarce_stops_cookies_too() {
    let mut node = baker();
    let budget = carrick_core::Budget::new(1000);
    let cx = Cx { now: start(), memory: budget.allowance(999) };
    let packet = syn(addr(CLIENT), addr(HTTP), 1, TcpOptions::default());
    let dispatch = node.endpoint.handle_frame(&cx, carrick_core::Frame::new(&packet));
    assert!(matches!(dispatch, carrick_core::Dispatch::Discard(DiscardReason::NoRoom)), "{dispatch:?}");
    node.drain(start());
    node.nothing();
    // And a connection that a good cookie would open; a little later there is room.
    node.receive(start(), &packet);
    let acknowledgment = node.only().tcp.seq.get().wrapping_add(1);
    let ack = segment(addr(CLIENT), addr(HTTP), TcpFlags::ACK, 2, acknowledgment, TcpOptions::default(), b"");
    let dispatch = node.endpoint.handle_frame(&cx, carrick_core::Frame::new(&ack));
    assert!(matches!(dispatch, carrick_core::Dispatch::Discard(DiscardReason::NoRoom)), "{dispatch:?}");
    assert_eq!(node.receive(start(), &ack), Seen::Opened);
}

/// How many milliseconds 300 kB take over a link that loses 1 % of the packets.
fn transfer(syn_cookies: SynCookies, seed: u64) -> u64 {
    let link = LinkConfig { loss: 10_000, ..LinkConfig::delayed(20.ms()) };
    let mut world = World::new(seed).link(&link).talk(Plan::patient(300_000), Plan::patient(0));
    world.sides[1].syn_cookies = syn_cookies;
    let report = Pair::new(world).run().unwrap();
    assert_eq!(report.complete(), 1);
    let cookies = report.counters[1].syn_cookies_accepted;
    assert_eq!(cookies, u64::from(syn_cookies == SynCookies::Always));
    // The last timer is that of TIME-WAIT.
    report.finished.since(Instant::ZERO + 240.secs()).as_millis() as u64
}

#[test]
fn t_fld_3_a_cookie_connection_is_as_fast_as_any() {
    let sum = |syn_cookies| (0..40).map(|seed| transfer(syn_cookies, seed)).sum::<u64>();
    let (records, cookies) = (sum(SynCookies::Never), sum(SynCookies::Always));
    assert!(cookies * 10 <= records * 11, "{cookies} ms with cookies, {records} ms without");
    covers!("T-FLD-3");
}

/// Seen: a cookie connection was opened, used and closed within a second. A copy of the peer's first text, which the
/// network had held back, opened it once more and was delivered twice.
#[test]
fn bug_a_cookie_opened_two_connections() {
    let mut node = baker();
    let empty = node.endpoint.memory();
    node.receive(start(), &syn(addr(CLIENT), addr(HTTP), 5000, TcpOptions::default()));
    let text = completing(node.only().tcp.seq.get(), b"once");
    assert_eq!(node.receive(start(), &text), Seen::Opened);
    let (_, id) = node.opened[0];
    node.act(start(), id, |connection, cx| connection.abort(cx));
    node.sent.clear();
    for later in [0, 1, 87] {
        node.endpoint.handle_timeout(&Cx::new(start() + later.secs()));
        assert_eq!(node.receive(start() + later.secs(), &text), Seen::Answered);
        assert!(node.only().is(TcpFlags::RST));
    }
    // A new SYN of the same client is another matter.
    assert!(
        node.handshake(start() + 2.secs(), addr(CLIENT), addr(HTTP), options(Some(7), None, true, None))
            .is_some()
    );
    let (_, id) = node.opened[1];
    node.act(start() + 2.secs(), id, |connection, cx| connection.abort(cx));
    // And it is all forgotten when its time is over.
    assert!(node.endpoint.memory() > empty);
    node.wait_until(start() + 152.secs());
    assert_eq!(node.endpoint.memory(), empty);
    assert_eq!(node.endpoint.poll_timeout(), None);
}
