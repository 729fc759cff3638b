//! TIME-WAIT records: who may reopen a tuple, how long they stay, how many there are.

use crate::support::*;
use carrick_core::{ConnectionId, DiscardReason, EndpointConfig, Instant, ListenConfig};
use carrick_covers::covers;
use carrick_sim::Span;
use carrick_wire::{TcpFlags, TcpOptions, Timestamps};
use std::net::SocketAddr;

const PEER: &str = "203.0.113.7:4000";
/// The peer's FIN has the number 5,001, its last timestamp is this.
const LAST_TS: u32 = 100;

fn ts(val: u32) -> TcpOptions {
    options(Some(val), None, false, None)
}

/// A connection that the peer opened, with or without timestamps, and its ISS.
fn opened(node: &mut Node, now: Instant, peer: SocketAddr, timestamps: bool) -> (ConnectionId, u32) {
    let offered = if timestamps { ts(LAST_TS - 50) } else { TcpOptions::default() };
    let iss = node.handshake(now, peer, addr(HTTP), offered).unwrap();
    let (listener, id) = *node.opened.last().unwrap();
    node.endpoint.accepted(listener);
    node.sent.clear();
    (id, iss)
}

/// The peer's FIN, which acknowledges ours.
fn fin(peer: SocketAddr, iss: u32, timestamps: bool) -> Vec<u8> {
    let timestamps = timestamps.then_some(Timestamps { val: LAST_TS, ecr: 0 });
    let options = TcpOptions { timestamps, ..TcpOptions::default() };
    segment(peer, addr(HTTP), TcpFlags::FIN | TcpFlags::ACK, 5001, iss.wrapping_add(2), options, b"")
}

/// A node with a record of a connection with `PEER`, and our old ISS.
fn waiting(timestamps: bool) -> (Node, u32) {
    waiting_in(config(), timestamps)
}

fn waiting_in(config: EndpointConfig, timestamps: bool) -> (Node, u32) {
    let (mut node, _) = Node::listening(config, ListenConfig::default());
    let (id, iss) = opened(&mut node, start(), addr(PEER), timestamps);
    node.act(start(), id, |connection, cx| connection.close(cx));
    node.receive(start(), &fin(addr(PEER), iss, timestamps));
    assert_eq!((node.endpoint.time_wait(), node.endpoint.connections()), (1, 0));
    node.sent.clear();
    (node, iss)
}

/// Whether a SYN reopens the tuple; if it does not, nothing is sent and the record stays.
fn reopens(old_timestamps: bool, seq: u32, offered: TcpOptions) -> bool {
    let (mut node, _) = waiting(old_timestamps);
    node.receive(start() + 10.secs(), &syn(addr(PEER), addr(HTTP), seq, offered));
    let accepted = node.endpoint.half_open() == 1;
    if accepted {
        assert!(node.only().is(TcpFlags::SYN | TcpFlags::ACK));
    } else {
        node.nothing();
        assert_eq!(node.endpoint.time_wait(), 1);
    }
    accepted
}

#[test]
fn tw_1_to_6_who_may_reopen_a_tuple() {
    // RFC 6191 §2; the peer's FIN has the number 5,001.
    for seq in [0, 5001, 5002, 1 << 31] {
        assert!(reopens(true, seq, ts(LAST_TS + 1)), "newer timestamp, SYN {seq}");
        assert!(reopens(false, seq, ts(1)), "the old connection had none, SYN {seq}");
        assert!(!reopens(true, seq, ts(LAST_TS - 1)), "older timestamp, SYN {seq}");
        assert!(!reopens(true, seq, ts(LAST_TS.wrapping_sub(1 << 30))), "older timestamp, SYN {seq}");
    }
    for (seq, newer) in [(5002, true), (5003, true), (5001, false), (5000, false), (1, false)] {
        assert_eq!(reopens(true, seq, ts(LAST_TS)), newer, "equal timestamp, SYN {seq}");
        assert_eq!(reopens(true, seq, TcpOptions::default()), newer, "timestamps no more, SYN {seq}");
        assert_eq!(reopens(false, seq, TcpOptions::default()), newer, "never timestamps, SYN {seq}");
    }
    covers!("TW-1", "TW-2", "TW-3", "TW-4", "TW-5", "TW-6", "SHLD-4");
}

#[test]
fn tw_7_a_reopened_tuple_has_greater_numbers_and_falls_back_to_time_wait() {
    let later = start() + 10.secs();
    let reopening = syn(addr(PEER), addr(HTTP), 9000, ts(LAST_TS + 1));
    let reset = segment(addr(PEER), addr(HTTP), TcpFlags::RST, 9001, 0, TcpOptions::default(), b"");
    for by_reset in [true, false] {
        let (mut node, old_iss) = waiting(true);
        node.receive(later, &reopening);
        let iss = node.only().tcp.seq.get();
        let ahead = iss.wrapping_sub(old_iss.wrapping_add(2));
        assert!(ahead > 0 && ahead < 1 << 31, "{iss} after {old_iss}");
        assert_eq!(node.endpoint.time_wait(), 0);
        // It was an old duplicate: the peer knows nothing of it, or nobody is there.
        if by_reset {
            node.receive(later, &reset);
        } else {
            node.wait_until(later + 64.secs());
        }
        node.sent.clear();
        assert_eq!((node.endpoint.half_open(), node.endpoint.time_wait()), (0, 1));
        node.receive(
            later + 65.secs(),
            &segment(addr(PEER), addr(HTTP), TcpFlags::ACK, 5001, 0, ts(LAST_TS), b"old"),
        );
        let answer = node.only();
        assert_eq!((answer.tcp.seq.get(), answer.tcp.ack.get()), (old_iss.wrapping_add(2), 5002));
        // The wait ends when it would have: only a FIN begins it anew.
        node.wait_until(start() + (240.secs() - std::time::Duration::from_nanos(1)));
        assert_eq!(node.endpoint.time_wait(), 1);
        node.wait_until(start() + 240.secs());
        assert_eq!(node.endpoint.time_wait(), 0);
    }
    // The handshake completes, and the record is gone for good.
    let (mut node, _) = waiting(true);
    node.receive(later, &reopening);
    let reply = node.only();
    let acknowledgment = reply.tcp.seq.get().wrapping_add(1);
    let ack =
        segment(addr(PEER), addr(HTTP), TcpFlags::ACK, 9001, acknowledgment, echo(&reply.tcp, 102), b"");
    assert_eq!(node.receive(later, &ack), Seen::Opened);
    assert_eq!((node.endpoint.time_wait(), node.endpoint.connections()), (0, 1));
    // Nobody listens: nothing is said, TIME-WAIT stays.
    let (mut node, _) = {
        let (mut node, listener) = Node::listening(config(), ListenConfig::default());
        let (id, iss) = opened(&mut node, start(), addr(PEER), true);
        node.endpoint.unlisten(listener);
        node.act(start(), id, |connection, cx| connection.close(cx));
        node.receive(start(), &fin(addr(PEER), iss, true));
        node.sent.clear();
        (node, iss)
    };
    node.receive(later, &reopening);
    node.nothing();
    assert_eq!(node.endpoint.time_wait(), 1);
    covers!("TW-7", "MAY-2");
}

#[test]
fn a_tuple_in_time_wait_is_reopened_even_beyond_the_half_open_limit() {
    // A cookie could not be beyond the old numbers, so a record is made, in the old one's place.
    let endpoint = EndpointConfig { max_half_open: 0, ..config() };
    let (mut node, old_iss) = waiting_in(endpoint, true);
    node.receive(start() + 2.secs(), &syn(addr(PEER), addr(HTTP), 1, ts(LAST_TS + 1)));
    let ahead = node.only().tcp.seq.get().wrapping_sub(old_iss);
    assert!(ahead > 2 && ahead < 1 << 31);
    assert_eq!((node.endpoint.half_open(), node.endpoint.time_wait()), (1, 0));
}

#[test]
fn tw_8_and_9_resets_are_ignored_and_only_a_fin_begins_anew() {
    for timestamps in [false, true] {
        let (mut node, iss) = waiting(timestamps);
        let (peer, http) = (addr(PEER), addr(HTTP));
        let opt = |val| if timestamps { ts(val) } else { TcpOptions::default() };
        let mut now = start() + 100.secs();
        let ack = iss.wrapping_add(2);
        for seq in [5000, 5001, 5002, 5003, 60_000] {
            node.receive(now, &segment(peer, http, TcpFlags::RST, seq, 0, opt(LAST_TS), b""));
            node.receive(
                now,
                &segment(peer, http, TcpFlags::RST | TcpFlags::ACK, seq, ack, opt(LAST_TS), b""),
            );
        }
        node.nothing();
        assert_eq!(node.endpoint.time_wait(), 1);
        // Old data and ACKs are answered, or not, and begin nothing.
        for (seq, text) in [(5001, b"x".as_slice()), (4000, b"older"), (5002, b""), (70_000, b"")] {
            node.receive(now, &segment(peer, http, TcpFlags::ACK, seq, ack, opt(LAST_TS), text));
            node.sent.clear();
        }
        assert_eq!(node.endpoint.poll_timeout(), Some(start() + 240.secs()));
        // The FIN once more does, and is answered.
        node.receive(now, &fin(peer, iss, timestamps));
        assert_eq!(node.only().tcp.ack.get(), 5002);
        assert_eq!(node.endpoint.poll_timeout(), Some(now + 240.secs()));
        now += 240.secs();
        node.wait_until(now);
        assert_eq!(node.endpoint.time_wait(), 0);
    }
    covers!("TW-8", "TW-9");
}

#[test]
fn tw_10_it_lasts_two_maximum_segment_lifetimes_to_the_nanosecond() {
    for msl in [120.secs(), 30.secs(), 1.ms()] {
        let (mut node, _) = waiting_in(EndpointConfig { msl, ..config() }, true);
        node.wait_until(start() + (msl * 2 - std::time::Duration::from_nanos(1)));
        assert_eq!(node.endpoint.time_wait(), 1);
        node.wait_until(start() + msl * 2);
        assert_eq!(node.endpoint.time_wait(), 0);
    }
    assert_eq!(EndpointConfig::default().msl, 120.secs());
    covers!("TW-10", "MUST-13");
}

fn peer(n: u32) -> SocketAddr {
    SocketAddr::new(std::net::Ipv4Addr::from_bits(0xcb00_7100 + n % 256).into(), 1024 + (n / 256) as u16)
}

/// So many records, one each millisecond.
fn fill(node: &mut Node, from: u32, count: u32) -> Instant {
    let mut now = start();
    for n in from..from + count {
        now = start() + u64::from(n).ms();
        let (id, iss) = opened(node, now, peer(n), n % 2 == 0);
        node.act(now, id, |connection, cx| connection.close(cx));
        node.receive(now, &fin(peer(n), iss, n % 2 == 0));
        node.opened.clear();
        node.sent.clear();
    }
    now
}

#[test]
fn tw_11_records_are_small_and_capped_and_the_oldest_goes_first() {
    let (mut node, _) =
        Node::listening(EndpointConfig { max_time_wait: 1000, ..config() }, ListenConfig::default());
    fill(&mut node, 0, 1000);
    let (memory, counters) = (node.endpoint.memory(), node.endpoint.counters());
    assert_eq!((node.endpoint.time_wait(), counters.time_wait_recycled), (1000, 0));
    assert!(memory < 1000 * 140, "{memory} bytes");
    let now = fill(&mut node, 1000, 300);
    assert_eq!((node.endpoint.time_wait(), node.endpoint.counters().time_wait_recycled), (1000, 300));
    // Of those that went, an old segment is a stranger's; of the others it is not.
    for (n, known) in [(0, false), (299, false), (300, true), (1299, true)] {
        let options = if n % 2 == 0 { ts(1) } else { TcpOptions::default() };
        node.receive(now, &segment(peer(n), addr(HTTP), TcpFlags::ACK, 1, 1, options, b""));
        assert_eq!(!node.only().is(TcpFlags::RST), known, "{n}");
    }
    node.wait_until(now + 240.secs());
    assert_eq!(node.endpoint.time_wait(), 0);
    covers!("TW-11");
}

/// Seen: the list of records was in the order in which connections were handed over. A connection whose
/// application had held on to its stream came behind younger ones and stayed up to 2 MSL too long.
#[test]
fn bug_a_record_handed_over_late_stayed_too_long() {
    let (mut node, _) = Node::listening(config(), ListenConfig::default());
    let held: Vec<_> = (0..3u32)
        .map(|n| {
            let now = start() + u64::from(n).secs();
            let (id, iss) = opened(&mut node, now, peer(n), true);
            // The application has only finished: it still holds the stream.
            node.act(now, id, |connection, cx| connection.finish(cx));
            node.receive(now, &fin(peer(n), iss, true));
            (id, iss)
        })
        .collect();
    assert_eq!(node.endpoint.time_wait(), 0);
    let late = start() + 100.secs();
    let (id, iss) = opened(&mut node, late, peer(9), true);
    node.act(late, id, |connection, cx| connection.close(cx));
    node.receive(late, &fin(peer(9), iss, true));
    // Now it lets go, in another order than they came.
    for n in [2, 0, 1] {
        let (id, _) = held[n];
        node.act(late + 10.secs(), id, |connection, cx| connection.close(cx));
    }
    assert_eq!(node.endpoint.time_wait(), 4);
    for (gone, left) in [(240, 3), (241, 2), (242, 1), (339, 1), (340, 0)] {
        node.wait_until(start() + gone.secs());
        assert_eq!(node.endpoint.time_wait(), left, "after {gone} s");
    }
}

#[test]
fn a_late_record_can_be_renewed_recycled_and_reopened() {
    let (mut node, _) =
        Node::listening(EndpointConfig { max_time_wait: 2, ..config() }, ListenConfig::default());
    let finished = |node: &mut Node, n: u32, now: Instant| {
        let (id, iss) = opened(node, now, peer(n), true);
        node.act(now, id, |connection, cx| connection.finish(cx));
        node.receive(now, &fin(peer(n), iss, true));
        (id, iss)
    };
    let (old, old_iss) = finished(&mut node, 1, start());
    let (young, young_iss) = finished(&mut node, 2, start() + 5.secs());
    let at = start() + 9.secs();
    node.act(at, young, |connection, cx| connection.close(cx));
    node.act(at, old, |connection, cx| connection.close(cx));
    assert_eq!(node.endpoint.poll_timeout(), Some(start() + 240.secs()));
    // Renewed, the older is the younger.
    node.receive(at, &fin(peer(1), old_iss, true));
    assert_eq!(node.endpoint.poll_timeout(), Some(start() + 245.secs()));
    // A third one drives out the oldest, which is now the other.
    let (third, _) = finished(&mut node, 3, at);
    node.act(at, third, |connection, cx| connection.close(cx));
    node.sent.clear();
    node.receive(at, &fin(peer(2), young_iss, true));
    assert!(node.only().is(TcpFlags::RST));
    node.wait_until(at + 240.secs());
    assert_eq!(node.endpoint.time_wait(), 0);
}

#[test]
fn t_lif_5_short_connections_to_one_peer_reuse_their_ports() {
    let endpoint = EndpointConfig { ephemeral_ports: 20_000..=21_999, ..config() };
    let mut client = Node::new(endpoint, 3);
    let server_config = EndpointConfig { addresses: vec!["203.0.113.1/24".parse().unwrap()], ..config() };
    let (mut server, listener) = Node::listening(server_config, ListenConfig::default());
    let remote = addr("203.0.113.1:80");
    let count = 20_000 * soak() as u64;
    for n in 0..count {
        // A port comes around every two seconds.
        let now = start() + n.ms();
        client.wait_until(now);
        let id = client.connect(now, remote);
        shuttle(&mut client, &mut server, now);
        let (_, theirs) = server.opened.pop().unwrap_or_else(|| panic!("connection {n} was not accepted"));
        server.endpoint.accepted(listener);
        client.act(now, id, |connection, cx| connection.close(cx));
        shuttle(&mut client, &mut server, now);
        server.act(now, theirs, |connection, cx| connection.close(cx));
        shuttle(&mut client, &mut server, now);
        assert_eq!((client.endpoint.connections(), server.endpoint.connections()), (0, 0), "after {n}");
    }
    assert_eq!(client.endpoint.time_wait(), 2_000);
    assert!(client.endpoint.memory() < 2_000 * 160, "{} bytes", client.endpoint.memory());
    assert_eq!(client.endpoint.counters().resets + server.endpoint.counters().resets, 0);
    covers!("T-LIF-5");
}

#[test]
fn t_lif_9_nothing_of_an_earlier_incarnation_is_ever_delivered() {
    let (peer, http) = (addr(PEER), addr(HTTP));
    for timestamps in [false, true] {
        let with = |val: u32| if timestamps { ts(val) } else { TcpOptions::default() };
        let (mut node, old_iss) = waiting(timestamps);
        let ack = old_iss.wrapping_add(1);
        // What the network still carries of the first life.
        let old = [
            syn(peer, http, 5000, with(LAST_TS - 50)),
            segment(peer, http, TcpFlags::ACK, 5001, ack, with(LAST_TS - 49), b""),
            segment(peer, http, TcpFlags::ACK, 5001, ack, with(LAST_TS - 48), b"old text"),
            segment(peer, http, TcpFlags::FIN | TcpFlags::ACK, 5001, ack, with(LAST_TS), b""),
        ];
        let now = start() + 2.secs();
        for packet in &old {
            node.receive(now, packet);
        }
        assert_eq!((node.endpoint.time_wait(), node.endpoint.half_open()), (1, 0));
        node.sent.clear();
        // The second life begins just beyond the first.
        node.receive(now, &syn(peer, http, 5002, with(LAST_TS + 1)));
        let reply = node.only();
        for packet in &old {
            node.receive(now, packet);
        }
        assert_eq!(node.endpoint.half_open(), 1);
        node.sent.clear();
        let iss = reply.tcp.seq.get();
        let last = segment(peer, http, TcpFlags::ACK, 5003, iss.wrapping_add(1), with(LAST_TS + 2), b"");
        assert_eq!(node.receive(now, &last), Seen::Opened);
        let (_, id) = *node.opened.last().unwrap();
        for packet in &old {
            assert_eq!(node.receive(now, packet), Seen::Existing);
        }
        let text =
            segment(peer, http, TcpFlags::ACK, 5003, iss.wrapping_add(1), with(LAST_TS + 3), b"new text");
        node.receive(now, &text);
        let read: Vec<u8> = node.cells[&id].readable().flat_map(|chunk| chunk.to_vec()).collect();
        assert_eq!(read, b"new text");
        // Its end, and long after: what has nobody left meets a reset, or asks whether it is meant.
        node.act(now, id, |connection, cx| connection.abort(cx));
        node.sent.clear();
        for packet in &old[1..] {
            node.receive(now, packet);
            assert!(node.only().is(TcpFlags::RST));
        }
        node.receive(now, &old[0]);
        let question = node.only();
        assert!(question.is(TcpFlags::SYN | TcpFlags::ACK));
        let no = segment(peer, http, TcpFlags::RST, question.tcp.ack.get(), 0, TcpOptions::default(), b"");
        node.receive(now, &no);
        assert_eq!((node.endpoint.half_open(), node.endpoint.connections()), (0, 0));
        assert_ne!(node.endpoint.counters().discarded(DiscardReason::OldTimestamp) > 0, !timestamps);
    }
    covers!("T-LIF-9");
}
