//! Floods of SYNs: who is served meanwhile, and what is left afterwards.

use crate::support::*;
use carrick_core::{Cx, DiscardReason, EndpointConfig, Frame, Instant, ListenConfig, SynCookies};
use carrick_covers::covers;
use carrick_sim::{Rng, Span};
use carrick_wire::{TcpFlags, TcpOptions};

/// A client from somewhere, with a tuple that no other has.
fn client(n: usize) -> std::net::SocketAddr {
    addr(&format!("203.0.113.{}:{}", 1 + n % 250, 10_000 + n / 250))
}

#[test]
fn t_fld_1_legitimate_clients_connect_amid_a_flood_and_memory_is_flat() {
    let mut rng = Rng::new(1);
    let endpoint = EndpointConfig { max_half_open: 2_000, ..config() };
    let (mut node, listener) = Node::listening(endpoint, ListenConfig::default());
    let empty = node.endpoint.memory();
    // Somebody who was there before.
    let old = addr("203.0.113.251:7");
    let iss = node.handshake(start(), old, addr(HTTP), TcpOptions::default()).unwrap();
    node.endpoint.accepted(listener);

    let floods = 500_000 * soak();
    let (mut now, mut asked, mut served, mut full) = (start(), 0, 0, 0);
    for n in 0..floods {
        // 100,000 a second.
        now += std::time::Duration::from_micros(10);
        let offered = options(Some(n as u32), Some(7), true, Some(1460));
        node.receive(now, &syn(stranger(&mut rng), addr(HTTP), rng.bits() as u32, offered));
        node.sent.clear();
        if n % 100 == 50 {
            asked += 1;
            served += usize::from(node.handshake(now, client(n / 100), addr(HTTP), offered).is_some());
            let (_, id) = *node.opened.last().unwrap();
            node.endpoint.accepted(listener);
            node.act(now, id, |connection, cx| connection.abort(cx));
            node.wait_until(now);
        }
        if n % 1000 == 999 {
            // The one from before is served at once.
            let sequel = segment(
                old,
                addr(HTTP),
                TcpFlags::ACK,
                5001 + (n / 1000) as u32,
                iss.wrapping_add(1),
                TcpOptions::default(),
                b"x",
            );
            node.sent.clear();
            assert_eq!(node.receive(now, &sequel), Seen::Existing);
            full = full.max(node.endpoint.memory());
        }
        assert!(node.endpoint.half_open() <= 2_000);
    }
    assert!(served * 1000 >= asked * 999, "{served} of {asked}");
    assert!(node.endpoint.counters().syn_cookies_sent > floods as u64 / 2);
    // About 130 bytes for each half-open record, and 16 for each cookie that has opened a connection lately; nothing
    // for what floods.
    assert!(full < empty + 2_000 * 200 + served * 32, "{full} bytes");
    // After the last repetition nothing is left of it.
    node.wait_until(now + 64.secs());
    assert_eq!(node.endpoint.half_open(), 0);
    let (_, id) = node.opened[0];
    node.act(now, id, |connection, cx| connection.abort(cx));
    assert_eq!(node.endpoint.connections(), 0);
    // Cookies that opened a connection are remembered while they would be good.
    node.wait_until(now + 200.secs());
    assert_eq!(node.endpoint.memory(), empty);
    covers!("T-FLD-1", "SYNF-1", "SYNF-2", "SYNF-8");
}

/// Pages of records went only when all were empty: a few peers that stayed held on to what the flood had taken.
#[test]
fn t_cap_2_memory_is_back_after_a_flood_although_a_few_stay() {
    let listen = ListenConfig { max_half_open: u32::MAX, ..ListenConfig::default() };
    let (mut node, _) = Node::listening(config(), listen);
    let empty = node.endpoint.memory();
    for n in 0..60_000 {
        node.receive(start(), &syn(client(n), addr(HTTP), 5000, TcpOptions::default()));
        node.sent.clear();
    }
    let full = node.endpoint.memory();
    assert_eq!(node.endpoint.half_open(), 60_000);
    for n in (0..60_000).filter(|n| n % 5000 != 4000) {
        let reset = segment(client(n), addr(HTTP), TcpFlags::RST, 5001, 0, TcpOptions::default(), b"");
        node.receive(start(), &reset);
    }
    assert_eq!(node.endpoint.half_open(), 12);
    let left = node.endpoint.memory();
    println!("{empty} bytes, {full} with 60,000 records, {left} with 12");
    assert!(left < empty + full / 20, "{left} bytes of {full}");
    // They are still who they were.
    for n in (4000..60_000).step_by(5000) {
        node.receive(start(), &syn(client(n), addr(HTTP), 5000, TcpOptions::default()));
        let ack = node.only().tcp.seq.get().wrapping_add(1);
        let last = segment(client(n), addr(HTTP), TcpFlags::ACK, 5001, ack, TcpOptions::default(), b"");
        assert_eq!(node.receive(start(), &last), Seen::Opened);
    }
    for (_, id) in node.opened.clone() {
        node.act(start(), id, |connection, cx| connection.abort(cx));
    }
    assert_eq!(node.endpoint.memory(), empty);
}

#[test]
fn t_fld_2_a_flood_on_one_listener_leaves_the_other_its_records() {
    let mut rng = Rng::new(2);
    let endpoint = EndpointConfig { max_half_open: 1_000, ..config() };
    let (mut node, flooded) =
        Node::listening(endpoint, ListenConfig { max_half_open: 100, ..ListenConfig::default() });
    let quiet = node.listen(81, ListenConfig::default());
    let mut now = start();
    let mut burst = Vec::new();
    for n in 0..300 * soak() {
        // A batch as a device gives it: replies wait until its end.
        for _ in 0..64 {
            let flood = syn(stranger(&mut rng), addr(HTTP), rng.bits() as u32, TcpOptions::default());
            let _ = node.endpoint.handle_frame(&Cx::new(now), Frame::new(&flood));
        }
        node.drain(now);
        burst.append(&mut node.sent);
        now += 1.ms();
        node.wait_until(now);
        let before = node.endpoint.counters().syn_cookies_sent;
        // One SYN, one SYN,ACK, one ACK, as on a quiet day, and with a record.
        let opened = node.handshake(now, client(n), addr("192.0.2.2:81"), TcpOptions::default());
        assert!(opened.is_some(), "attempt {n}");
        assert_eq!(node.endpoint.counters().syn_cookies_sent, before);
        let (listener, id) = *node.opened.last().unwrap();
        assert_eq!(listener, quiet);
        node.endpoint.accepted(quiet);
        node.act(now, id, |connection, cx| connection.abort(cx));
        assert!(node.endpoint.half_open() <= 100);
    }
    assert!(node.endpoint.counters().syn_cookies_sent > 10_000);
    assert_ne!(flooded, quiet);
    covers!("T-FLD-2");
}

#[test]
fn the_half_open_of_a_listener_are_counted_to_the_end() {
    // Each way in which a record ends gives its place back.
    let endpoint = EndpointConfig { syn_cookies: SynCookies::Never, ..config() };
    let listen = ListenConfig { max_half_open: 1, ..ListenConfig::default() };
    let (mut node, listener) = Node::listening(endpoint, listen);
    let http = addr(HTTP);
    let ask = |node: &mut Node, now: Instant, n: usize| {
        node.sent.clear();
        let seen = node.receive(now, &syn(client(n), http, 5000, TcpOptions::default()));
        assert_eq!(seen, Seen::Answered, "client {n}");
        let other = node.receive(now, &syn(client(99), http, 1, TcpOptions::default()));
        assert_eq!(other, Seen::Discarded(DiscardReason::NoRoom));
        node.replies().pop().unwrap().tcp.seq.get().wrapping_add(1)
    };
    let mut now = start();
    // Reset.
    ask(&mut node, now, 0);
    node.receive(now, &segment(client(0), http, TcpFlags::RST, 5001, 0, TcpOptions::default(), b""));
    // Another SYN inside the window.
    ask(&mut node, now, 1);
    node.receive(now, &segment(client(1), http, TcpFlags::SYN, 5001, 0, TcpOptions::default(), b""));
    // Time.
    ask(&mut node, now, 2);
    now += 64.secs();
    node.wait_until(now);
    // Success.
    let ack = ask(&mut node, now, 3);
    node.receive(now, &segment(client(3), http, TcpFlags::ACK, 5001, ack, TcpOptions::default(), b""));
    assert_eq!(node.opened.len(), 1);
    node.endpoint.accepted(listener);
    ask(&mut node, now, 4);
    assert_eq!(node.endpoint.counters().half_open_failed, 3);
}

#[test]
fn t_fld_5_a_backlog_of_n_gives_n_streams_and_the_rest_later() {
    let (mut node, listener) =
        Node::listening(config(), ListenConfig { backlog: 3, ..ListenConfig::default() });
    let http = addr(HTTP);
    let empty = node.endpoint.memory();
    let mut acks = Vec::new();
    for n in 0..8 {
        node.receive(start(), &syn(client(n), http, 5000, TcpOptions::default()));
        let ack = node.only().tcp.seq.get().wrapping_add(1);
        acks.push(segment(client(n), http, TcpFlags::ACK, 5001, ack, TcpOptions::default(), b""));
    }
    for ack in &acks {
        node.receive(start(), ack);
        node.nothing();
    }
    assert_eq!((node.opened.len(), node.endpoint.half_open()), (3, 5));
    // A SYN now has no hope either.
    let late = node.receive(start(), &syn(client(9), http, 1, TcpOptions::default()));
    assert_eq!(late, Seen::Discarded(DiscardReason::NoRoom));
    // The SYN,ACK comes again, and with it the peers' ACKs; one place is free each time.
    let mut now = start();
    for round in 0..5 {
        node.endpoint.accepted(listener);
        now += 1.secs();
        node.wait_until(now);
        for ack in &acks {
            node.receive(now, ack);
        }
        node.sent.clear();
        assert_eq!(node.opened.len(), 4 + round);
    }
    assert_eq!(node.endpoint.half_open(), 0);
    for (_, id) in node.opened.clone() {
        node.endpoint.accepted(listener);
        node.act(now, id, |connection, cx| connection.abort(cx));
    }
    assert_eq!(node.endpoint.memory(), empty);
    covers!("T-FLD-5");
}

#[test]
fn a_half_open_record_answers_so_often_and_no_more() {
    let (mut node, _) = Node::listening(config(), ListenConfig::default());
    let (peer, http) = (client(0), addr(HTTP));
    node.receive(start(), &syn(peer, http, 5000, TcpOptions::default()));
    let ack = node.only().tcp.seq.get().wrapping_add(1);
    let ask = |node: &mut Node, now: Instant| {
        for n in 0..50u32 {
            // Out of the window; a reset beside the edge; the SYN again.
            let out = segment(peer, http, TcpFlags::ACK, 5000 - n - 1, ack, TcpOptions::default(), b"");
            node.receive(now, &out);
            let beside = segment(peer, http, TcpFlags::RST, 5002 + n, 0, TcpOptions::default(), b"");
            node.receive(now, &beside);
            node.receive(now, &syn(peer, http, 5000, TcpOptions::default()));
        }
        node.replies().len()
    };
    assert_eq!(ask(&mut node, start()), 10);
    assert_eq!(ask(&mut node, start() + 4999.ms()), 0);
    let later = start() + 10.secs();
    assert_eq!(ask(&mut node, later), 10, "after ten seconds at most, as many again");
    // ACKs of what was never sent meet resets, from the bucket that is for all.
    for n in 0..1000 {
        let wrong = segment(peer, http, TcpFlags::ACK, 5001, ack + 1 + n, TcpOptions::default(), b"");
        node.receive(later, &wrong);
    }
    assert!(node.replies().len() < 201);
    assert!(node.endpoint.counters().discarded(DiscardReason::RateLimited) > 800);
    // It still completes.
    let last = segment(peer, http, TcpFlags::ACK, 5001, ack, TcpOptions::default(), b"");
    assert_eq!(node.receive(later, &last), Seen::Opened);
}

#[test]
fn t_fld_9_a_source_with_enough_connections_is_refused_and_keeps_those() {
    for syn_cookies in [SynCookies::Never, SynCookies::Always] {
        let endpoint = EndpointConfig { max_per_source: Some(2), syn_cookies, ..config() };
        let (mut node, _) = Node::listening(endpoint, ListenConfig::default());
        let http = addr(HTTP);
        let from = |n: u16| addr(&format!("203.0.113.9:{}", 4000 + n));
        // Three handshakes at once: the last is refused at its end.
        let acks: Vec<_> = (0..3)
            .map(|n| {
                node.receive(start(), &syn(from(n), http, 5000, TcpOptions::default()));
                let ack = node.only().tcp.seq.get().wrapping_add(1);
                segment(from(n), http, TcpFlags::ACK, 5001, ack, TcpOptions::default(), b"")
            })
            .collect();
        assert_eq!(node.receive(start(), &acks[0]), Seen::Opened);
        assert_eq!(node.receive(start(), &acks[1]), Seen::Opened);
        assert_eq!(node.receive(start(), &acks[2]), Seen::Discarded(DiscardReason::SourceLimit));
        assert!(node.only().is(TcpFlags::RST));
        // A fourth is refused at its beginning; others are not.
        let fourth = syn(from(3), http, 5000, TcpOptions::default());
        assert_eq!(node.receive(start(), &fourth), Seen::Discarded(DiscardReason::SourceLimit));
        assert!(node.only().is(TcpFlags::RST | TcpFlags::ACK));
        assert!(node.handshake(start(), client(1), http, TcpOptions::default()).is_some());
        assert_eq!(node.endpoint.connections(), 3);
        // The first one ends, and there is a place.
        let (_, id) = node.opened[0];
        node.act(start(), id, |connection, cx| connection.abort(cx));
        assert!(node.handshake(start(), from(3), http, TcpOptions::default()).is_some());
    }
}
