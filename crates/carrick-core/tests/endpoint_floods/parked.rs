//! SYNs that wait for a decision.

use crate::support::*;
use carrick_core::{
    ConnectionError, Cx, DiscardReason, EndpointConfig, ListenConfig, ParkedSyn, Refusal, SynCookies,
    SynOffer, TcpState,
};
use carrick_sim::{Scene, Span, seg};
use carrick_wire::icmp::{self, IcmpMessage};
use carrick_wire::{IpView, TcpFlags, TcpOptions};
use std::net::IpAddr;

const PEER: &str = "203.0.113.7:4000";
const V6: (&str, &str) = ("[2001:db8:9::7]:4000", "[2001:db8::2]:80");

fn parking(config: EndpointConfig) -> Node {
    Node::listening(config, ListenConfig { park: true, ..ListenConfig::default() }).0
}

/// A node with one parked SYN that somebody has heard of.
fn parked(src: &str, dst: &str) -> (Node, ParkedSyn) {
    let mut node = parking(config());
    let packet = syn(addr(src), addr(dst), 5000, options(Some(9), Some(7), true, Some(1400)));
    assert_eq!(node.receive(start(), &packet), Seen::Held);
    node.nothing();
    let request = node.endpoint.poll_parked().unwrap();
    assert_eq!((request.tuple.remote_addr(), request.tuple.local_addr()), (addr(src), addr(dst)));
    assert_eq!(request.until, start() + 60.secs());
    let offer = SynOffer { mss: 1400, window_scale: Some(7), sack: true, timestamps: true, ecn: false };
    assert_eq!(request.offer, offer);
    assert!(node.endpoint.poll_parked().is_none(), "told twice");
    (node, request)
}

#[test]
fn a_parked_syn_is_accepted_when_somebody_says_so() {
    let mut s = Scene::builder()
        .timestamps(true)
        .sack(true)
        .window_scale(3)
        .listener(|listen| listen.park = true)
        .listening();
    s.inject(seg().syn().seq(0));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::SynReceived);
    let now = s.now();
    let request = s.host_mut().poll_parked().unwrap();
    // The peer asks again; that changes nothing.
    s.advance(3.secs());
    s.inject(seg().syn().seq(0));
    s.expect_nothing();
    assert!(s.host_mut().poll_parked().is_none());
    assert!(s.host_mut().accept_parked(now + 3.secs(), request.id));
    s.check();
    s.expect(seg().syn().seq(0).ack(1).window_scale(4).sack_permitted(true));
    assert!(!s.host_mut().accept_parked(now + 3.secs(), request.id), "accepted twice");
    s.check();
    // From here on it is a handshake like any other.
    s.advance(1.secs());
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1).data(b"at last"));
    s.expect(seg().seq(1).ack(8));
    assert!(s.accept());
    assert_eq!(s.read(), b"at last");
}

#[test]
fn a_parked_syn_is_refused_with_a_reset_or_without_a_word() {
    for (src, dst) in [(PEER, HTTP), V6] {
        let (mut node, request) = parked(src, dst);
        assert!(node.endpoint.refuse_parked(&Cx::new(start()), request.id, Refusal::Reset));
        node.drain(start());
        let reset = node.only();
        assert!(reset.is(TcpFlags::RST | TcpFlags::ACK));
        assert_eq!((reset.tcp.seq.get(), reset.tcp.ack.get()), (0, 5001));
        assert_eq!(node.endpoint.half_open(), 0);

        let (mut node, request) = parked(src, dst);
        assert!(node.endpoint.refuse_parked(&Cx::new(start()), request.id, Refusal::Silent));
        assert!(!node.endpoint.refuse_parked(&Cx::new(start()), request.id, Refusal::Reset), "refused twice");
        node.drain(start());
        node.nothing();
        assert_eq!(node.endpoint.half_open(), 0);
        // The peer's next SYN is a new request.
        node.receive(start(), &syn(addr(src), addr(dst), 5000, TcpOptions::default()));
        let again = node.endpoint.poll_parked().unwrap();
        assert_ne!(again.id, request.id);
        assert!(!node.endpoint.accept_parked(&Cx::new(start()), request.id), "the old name is nobody's");
        assert!(node.endpoint.accept_parked(&Cx::new(start()), again.id));
    }
}

#[test]
fn a_parked_syn_is_refused_with_an_icmp_error_that_names_it() {
    for (src, dst, how, code) in [
        (PEER, HTTP, Refusal::HostUnreachable, 1),
        (PEER, HTTP, Refusal::NetworkUnreachable, 0),
        (V6.0, V6.1, Refusal::NetworkUnreachable, 0),
        (PEER, HTTP, Refusal::Prohibited, 13),
        (V6.0, V6.1, Refusal::HostUnreachable, 3),
        (V6.0, V6.1, Refusal::Prohibited, 1),
    ] {
        let (mut node, request) = parked(src, dst);
        assert!(node.endpoint.refuse_parked(&Cx::new(start()), request.id, how));
        assert!(node.endpoint.poll_parked_end().is_none(), "whoever refuses knows");
        node.drain(start());
        let [packet] = &node.sent[..] else { panic!("one packet") };
        let view = IpView::parse(&packet.bytes[..]).unwrap();
        assert_eq!((view.src(), view.dst()), (addr(dst).ip(), addr(src).ip()));
        let message = match (view.src(), view.dst()) {
            (IpAddr::V6(src), IpAddr::V6(dst)) => icmp::parse_v6(view.payload(), src, dst),
            _ => icmp::parse_v4(view.payload()),
        };
        let Ok(IcmpMessage::Unreachable { code: seen, quote }) = message else { panic!("{message:?}") };
        assert_eq!(seen, code);
        assert_eq!((quote.src(), quote.dst()), (addr(src).ip(), addr(dst).ip()));
        let tcp = quote.tcp().unwrap();
        assert_eq!((tcp.src_port, tcp.dst_port, tcp.seq.get()), (4000, 80, 5000));
    }
}

#[test]
fn parked_syns_are_bounded_and_end() {
    let endpoint = EndpointConfig { max_half_open: 3, park_for: 5.secs(), ..config() };
    let mut node = parking(endpoint);
    let empty = node.endpoint.memory();
    let ask = |n: u16| syn(addr(&format!("203.0.113.7:{}", 4000 + n)), addr(HTTP), 1, TcpOptions::default());
    for n in 0..3 {
        assert_eq!(node.receive(start() + u64::from(n).secs(), &ask(n)), Seen::Held);
    }
    // No cookies here: nobody has decided.
    let now = start() + 2.secs();
    assert_eq!(node.receive(now, &ask(3)), Seen::Discarded(DiscardReason::NoRoom));
    let first = node.endpoint.poll_parked().unwrap();
    let second = node.endpoint.poll_parked().unwrap();
    assert_eq!(first.until, start() + 5.secs());
    assert!(node.endpoint.accept_parked(&Cx::new(now), second.id));
    node.sent.clear();
    assert_eq!(node.endpoint.poll_timeout(), Some(now + 1.secs()), "the SYN,ACK of the second");
    node.wait_until(start() + 5.secs());
    assert!(!node.endpoint.accept_parked(&Cx::new(start() + 5.secs()), first.id), "its time is over");
    assert_eq!(node.endpoint.half_open(), 2);
    node.wait_until(start() + 7.secs());
    assert_eq!(node.endpoint.half_open(), 1);
    assert!(node.endpoint.poll_parked().is_none(), "nobody had heard of the third");
    node.wait_until(start() + 100.secs());
    let ends: Vec<_> = std::iter::from_fn(|| node.endpoint.poll_parked_end()).map(|end| end.id).collect();
    assert_eq!(ends, [first.id, second.id]);
    assert_eq!((node.endpoint.half_open(), node.endpoint.memory()), (0, empty));
}

#[test]
fn a_peer_that_gives_up_is_forgotten_and_nobody_else_can_do_it_for_him() {
    let (mut node, _) = parked(PEER, HTTP);
    let (src, dst) = (addr(PEER), addr(HTTP));
    for seq in [0, 4999, 5000, 5002, 60_000] {
        node.receive(start(), &segment(src, dst, TcpFlags::RST, seq, 0, TcpOptions::default(), b""));
    }
    node.nothing();
    // Another SYN, and what was never asked for.
    node.receive(start(), &syn(src, dst, 7000, TcpOptions::default()));
    node.nothing();
    node.receive(start(), &segment(src, dst, TcpFlags::ACK, 5001, 1, TcpOptions::default(), b""));
    assert!(node.only().is(TcpFlags::RST));
    assert_eq!(node.endpoint.half_open(), 1);
    node.receive(start(), &segment(src, dst, TcpFlags::RST, 5001, 0, TcpOptions::default(), b""));
    node.nothing();
    assert_eq!(node.endpoint.half_open(), 0);
}

#[test]
fn a_listener_that_goes_resets_what_it_has_parked() {
    let (mut node, request) = parked(PEER, HTTP);
    node.endpoint.unlisten(request.listener);
    node.drain(start());
    let reset = node.only();
    assert!(reset.is(TcpFlags::RST | TcpFlags::ACK));
    assert_eq!((reset.tcp.seq.get(), reset.tcp.ack.get()), (0, 5001));
    assert!(!node.endpoint.accept_parked(&Cx::new(start()), request.id));
}

#[test]
fn a_listener_that_parks_gives_no_cookies_and_takes_none() {
    let endpoint = EndpointConfig { syn_cookies: SynCookies::Always, ..config() };
    let (mut node, other) = Node::listening(endpoint, ListenConfig::default());
    // A cookie from before the listener parked.
    node.receive(start(), &syn(addr(PEER), addr(HTTP), 5000, TcpOptions::default()));
    let cookie = node.only().tcp.seq.get();
    node.endpoint.unlisten(other);
    node.listen(80, ListenConfig { park: true, ..ListenConfig::default() });
    let ack = segment(
        addr(PEER),
        addr(HTTP),
        TcpFlags::ACK,
        5001,
        cookie.wrapping_add(1),
        TcpOptions::default(),
        b"",
    );
    assert_eq!(node.receive(start(), &ack), Seen::Answered);
    assert!(node.only().is(TcpFlags::RST));
    let second = syn(addr("203.0.113.8:1"), addr(HTTP), 5000, TcpOptions::default());
    assert_eq!(node.receive(start(), &second), Seen::Held);
    node.nothing();
}

#[test]
fn a_reply_queue_that_is_full_delays_the_answer() {
    let (mut node, request) = parked(PEER, HTTP);
    let cx = Cx::new(start());
    // 256 answers that the device has not taken.
    for n in 0..400u32 {
        let src = addr(&format!("198.51.{}.{}:1", n / 200, 1 + n % 200));
        let stray = segment(src, addr("192.0.2.2:9"), TcpFlags::ACK, 1, 1, TcpOptions::default(), b"");
        let _ = node.endpoint.handle_frame(&cx, carrick_core::Frame::new(&stray));
    }
    assert!(node.endpoint.accept_parked(&cx, request.id));
    node.drain(start());
    assert!(node.replies().iter().all(|reply| reply.is(TcpFlags::RST)));
    node.wait_until(start() + 1.secs());
    assert!(node.only().is(TcpFlags::SYN | TcpFlags::ACK));
}

/// Whoever has heard of a parked SYN hears of its end, if that is not of his own doing.
#[test]
fn the_end_of_a_parked_syn_is_told_once() {
    let (src, dst) = (addr(PEER), addr(HTTP));
    let reset = |seq| segment(src, dst, TcpFlags::RST, seq, 0, TcpOptions::default(), b"");
    for accepted in [false, true] {
        // Gives the number of the SYN,ACK.
        let accept = |node: &mut Node, request: ParkedSyn| {
            accepted.then(|| {
                assert!(node.endpoint.accept_parked(&Cx::new(start()), request.id));
                node.drain(start());
                let reply = node.only();
                assert!(reply.is(TcpFlags::SYN | TcpFlags::ACK));
                reply.tcp.seq.get()
            })
        };
        let ends =
            |node: &mut Node| std::iter::from_fn(|| node.endpoint.poll_parked_end()).collect::<Vec<_>>();
        // The peer gives up.
        let (mut node, request) = parked(PEER, HTTP);
        accept(&mut node, request);
        assert!(ends(&mut node).is_empty());
        node.receive(start(), &reset(5001));
        let [end] = ends(&mut node)[..] else { panic!("one end") };
        assert_eq!((end.id, end.tuple, end.why), (request.id, request.tuple, ConnectionError::Reset));
        assert!(ends(&mut node).is_empty(), "told twice");
        // Time passes.
        let (mut node, request) = parked(PEER, HTTP);
        accept(&mut node, request);
        node.wait_until(start() + if accepted { 62.secs() } else { 59.secs() });
        assert!(ends(&mut node).is_empty());
        node.wait_until(start() + 64.secs());
        let [end] = ends(&mut node)[..] else { panic!("one end") };
        assert_eq!((end.id, end.why), (request.id, ConnectionError::TimedOut));
        // It is taken back, or refused.
        let (mut node, request) = parked(PEER, HTTP);
        let iss = accept(&mut node, request);
        assert!(node.endpoint.refuse_parked(&Cx::new(start()), request.id, Refusal::Reset));
        node.drain(start());
        let reset = node.only();
        assert!(reset.is(TcpFlags::RST | TcpFlags::ACK));
        assert_eq!(
            (reset.tcp.seq.get(), reset.tcp.ack.get()),
            (iss.map_or(0, |iss| iss.wrapping_add(1)), 5001)
        );
        assert_eq!((ends(&mut node).len(), node.endpoint.half_open()), (0, 0));
    }
    // Of whom nobody has heard nobody hears the end.
    let mut node = parking(config());
    node.receive(start(), &syn(src, dst, 5000, TcpOptions::default()));
    node.receive(start(), &reset(5001));
    assert!(node.endpoint.poll_parked_end().is_none() && node.endpoint.half_open() == 0);
}

#[test]
fn how_many_are_parked_can_be_changed() {
    let (mut node, first) = parked(PEER, HTTP);
    node.endpoint.set_listener_max_half_open(first.listener, 1);
    let other = syn(addr("203.0.113.8:1"), addr(HTTP), 5000, TcpOptions::default());
    assert_eq!(node.receive(start(), &other), Seen::Discarded(DiscardReason::NoRoom));
    node.endpoint.set_listener_max_half_open(first.listener, 2);
    assert_eq!(node.receive(start(), &other), Seen::Held);
}
