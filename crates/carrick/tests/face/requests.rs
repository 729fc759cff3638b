//! Requests that are decided about before the peer hears anything.

use crate::common::*;
use carrick::device::channel::{PacketReceiver, PacketSender, channel};
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{ListenAddr, Refusal, Request, RequestListener, Stack, TcpSocket, TcpStream};
use carrick_wire::{IpHeader, Protocol, SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
use std::collections::HashMap;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

struct World {
    server: Stack,
    client: Stack,
    listener: RequestListener,
}

async fn world() -> World {
    let (server, client) = stacks(MemoryConfig::default());
    let listener = RequestListener::bind(&server, SERVER).await.unwrap();
    World { server, client, listener }
}

fn connecting(client: &Stack) -> JoinHandle<io::Result<TcpStream>> {
    let client = client.clone();
    tokio::spawn(async move { TcpStream::connect(&client, SERVER).await })
}

impl World {
    async fn request(&self) -> (Request, JoinHandle<io::Result<TcpStream>>) {
        let connecting = connecting(&self.client);
        (within(5, self.listener.accept_request()).await.unwrap(), connecting)
    }

    /// Nothing is left, of connections and of what they held.
    async fn end(self) {
        let Self { server, client, listener } = self;
        drop(listener);
        within(300, async { tokio::join!(server.shutdown(), client.shutdown()) }).await;
        assert_eq!((server.connections(), server.memory_used(), client.memory_used()), (0, 0, 0));
        check_counters(&server);
        check_counters(&client);
    }
}

async fn outcome(connecting: JoinHandle<io::Result<TcpStream>>) -> Result<TcpStream, ErrorKind> {
    within(300, connecting).await.unwrap().map_err(|error| error.kind())
}

async fn talk(mut a: TcpStream, mut b: TcpStream) {
    a.write_all(b"ping").await.unwrap();
    b.write_all(b"pong").await.unwrap();
    let mut text = [0; 4];
    within(5, b.read_exact(&mut text)).await.unwrap();
    assert_eq!(&text, b"ping");
    within(5, a.read_exact(&mut text)).await.unwrap();
    assert_eq!(&text, b"pong");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_anything_before_it_is_decided() {
    let w = world().await;
    assert_eq!(w.listener.local_addr().unwrap(), addr(SERVER));
    let (request, connecting) = w.request().await;
    assert_eq!(request.local_addr(), addr(SERVER));
    assert_eq!(request.peer_addr().ip(), "192.0.2.2".parse::<IpAddr>().unwrap());
    assert_eq!(request.offer().mss, 1460);
    assert!(request.offer().sack && request.offer().timestamps && !request.offer().ecn);
    assert_eq!(request.offer().window_scale, Some(8));
    // The peer asks again after 1, 3 and 7 s; that is the same request.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!connecting.is_finished());
    assert_eq!(w.client.counters().endpoint.frames, 0);
    let another = w.listener.accept_request();
    assert!(tokio::time::timeout(Duration::from_secs(10), another).await.is_err());
    let accepted = within(5, request.accept()).await.unwrap();
    let connected = outcome(connecting).await.unwrap();
    assert_eq!(accepted.peer_addr().unwrap(), connected.local_addr().unwrap());
    talk(accepted, connected).await;
    w.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_original_destination_is_known_over_both_families() {
    let (a, b) = pair(MemoryConfig::default());
    let server = builder(1).any_address(true).device(a).build().unwrap();
    let client = builder(2).device(b).build().unwrap();
    let listener = RequestListener::bind_any(&server, ListenAddr { address: None, port: None }).unwrap();
    for target in ["203.0.113.7:443", "[2001:db8:9::1]:53"] {
        let deciding = async {
            let request = listener.accept_request().await.unwrap();
            assert_eq!(request.local_addr(), addr(target));
            request.accept().await.unwrap()
        };
        let (accepted, connected) =
            within(5, async { tokio::join!(deciding, TcpStream::connect(&client, target)) }).await;
        assert_eq!(accepted.local_addr().unwrap(), addr(target));
        talk(accepted, connected.unwrap()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_with_a_reset_or_dropped_is_refused() {
    let w = world().await;
    for dropped in [false, true] {
        let (request, connecting) = w.request().await;
        if dropped {
            drop(request);
        } else {
            request.reject(Refusal::Reset);
        }
        assert_eq!(outcome(connecting).await.unwrap_err(), ErrorKind::ConnectionRefused);
    }
    w.end().await;
}

/// What an ICMP error means to a peer is the peer's to say: ours tries again, and hears of it in the end.
#[tokio::test(start_paused = true)]
async fn rejected_otherwise_the_peers_next_syn_is_another_request() {
    let w = world().await;
    for how in [Refusal::HostUnreachable, Refusal::NetworkUnreachable, Refusal::Prohibited, Refusal::Silent] {
        let (request, connecting) = w.request().await;
        request.reject(how);
        let began = Instant::now();
        let again = within(5, w.listener.accept_request()).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 1);
        let heard = w.client.counters().endpoint.frames;
        again.reject(Refusal::Reset);
        assert_eq!(outcome(connecting).await.unwrap_err(), ErrorKind::ConnectionRefused);
        assert_eq!(w.client.counters().endpoint.frames, heard + 1);
    }
    w.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_has_a_deadline() {
    let (a, b) = pair(MemoryConfig::default());
    let server = builder(1).device(a).request_timeout(Duration::from_secs(5)).build().unwrap();
    let client = builder(2).device(b).build().unwrap();
    let listener = RequestListener::bind(&server, SERVER).await.unwrap();
    let w = World { server, client, listener };
    let (request, connecting) = w.request().await;
    let began = Instant::now();
    assert_eq!(request.deadline(), Some(began + Duration::from_secs(5)));
    within(10, request.gone()).await;
    assert_eq!(began.elapsed().as_secs(), 5);
    request.gone().await;
    assert_eq!(request.accept().await.unwrap_err().kind(), ErrorKind::TimedOut);
    // The peer asks once more, and that is another request.
    let request = within(5, w.listener.accept_request()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 7);
    let accepted = within(5, request.accept()).await.unwrap();
    talk(accepted, outcome(connecting).await.unwrap()).await;
    w.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_gone_answers_the_handshake_with_a_reset() {
    let w = world().await;
    let (request, connecting) = w.request().await;
    connecting.abort();
    settle().await;
    let error = within(5, request.accept()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    w.end().await;
}

#[tokio::test(start_paused = true)]
async fn so_many_are_held_and_the_others_ask_again() {
    let (server, client) = stacks(MemoryConfig::default());
    let socket = TcpSocket::new_v4(&server).unwrap();
    socket.bind(addr(SERVER)).unwrap();
    let listener = socket.listen_requests(3).unwrap();
    let w = World { server, client, listener };
    let attempts: Vec<_> = (0..5).map(|_| connecting(&w.client)).collect();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(within(1, w.listener.accept_request()).await.unwrap());
    }
    let more = tokio::time::timeout(Duration::from_secs(5), w.listener.accept_request()).await;
    assert!(more.is_err(), "three is the limit");
    // Accepted is decided: there is room for others. The streams are kept.
    let mut streams = Vec::new();
    for request in held {
        streams.push(within(5, request.accept()).await.unwrap());
    }
    w.listener.set_limit(1);
    let request = within(30, w.listener.accept_request()).await.unwrap();
    let more = tokio::time::timeout(Duration::from_secs(5), w.listener.accept_request()).await;
    assert!(more.is_err(), "one is the limit now");
    streams.push(within(5, request.accept()).await.unwrap());
    let request = within(60, w.listener.accept_request()).await.unwrap();
    streams.push(within(5, request.accept()).await.unwrap());
    for attempt in attempts {
        streams.push(outcome(attempt).await.unwrap());
    }
    drop(streams);
    w.end().await;
}

#[tokio::test(start_paused = true)]
async fn any_number_may_wait_for_requests() {
    let w = Arc::new(world().await);
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let w = Arc::clone(&w);
            tokio::spawn(async move { w.listener.accept_request().await.unwrap().accept().await.unwrap() })
        })
        .collect();
    settle().await;
    let attempts: Vec<_> = (0..5).map(|_| connecting(&w.client)).collect();
    for (waiting, attempt) in waiting.into_iter().zip(attempts) {
        within(5, waiting).await.unwrap();
        outcome(attempt).await.unwrap();
    }
}

/// Whoever is notified and goes passes it on.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_goes_when_it_is_its_turn_leaves_the_request_to_the_next() {
    let w = Arc::new(world().await);
    let mut first = Box::pin(w.listener.accept_request());
    assert!(poll_once(&mut first.as_mut()).await.is_pending());
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let w = Arc::clone(&w);
            tokio::spawn(async move { w.listener.accept_request().await.map(drop) })
        })
        .collect();
    settle().await;
    let attempt = connecting(&w.client);
    settle().await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()), "it is the first one's turn");
    drop(first);
    settle().await;
    assert_eq!(waiting.iter().filter(|waiting| waiting.is_finished()).count(), 1);
    assert_eq!(outcome(attempt).await.unwrap_err(), ErrorKind::ConnectionRefused);
}

/// Seen: they woke in another order each time, so that nothing after it was the same either.
#[tokio::test(start_paused = true)]
async fn whoever_waits_hears_of_the_end_in_the_order_of_the_requests() {
    type End = fn(Stack, Vec<RequestListener>);
    let ends: [End; 3] = [
        |_, listeners| drop(listeners),
        |server, _| drop(tokio::spawn(async move { server.shutdown().await })),
        |server, _| server.abort(),
    ];
    for end in ends {
        let (server, client) = stacks(MemoryConfig::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut listeners = Vec::new();
        for port in 80..84 {
            let to = SocketAddr::new([192, 0, 2, 1].into(), port);
            let listener = RequestListener::bind(&server, to).await.unwrap();
            for n in 0..4 {
                let client = client.clone();
                tokio::spawn(async move { TcpStream::connect(&client, to).await.map(drop) });
                let request = within(5, listener.accept_request()).await.unwrap();
                let order = Arc::clone(&order);
                tokio::spawn(async move {
                    request.gone().await;
                    order.lock().unwrap().push((port, n));
                });
            }
            listeners.push(listener);
        }
        settle().await;
        end(server, listeners);
        settle().await;
        let expected: Vec<_> = (80..84).flat_map(|port| (0..4).map(move |n| (port, n))).collect();
        assert_eq!(*order.lock().unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_goes_takes_its_requests_along() {
    let w = world().await;
    let (one, first) = w.request().await;
    let (two, second) = w.request().await;
    let third = connecting(&w.client);
    settle().await;
    let World { server, client, listener } = w;
    let accepting = tokio::spawn(two.accept());
    drop(listener);
    // Those that were given out, those that were not.
    within(1, one.gone()).await;
    assert_eq!(one.accept().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    for attempt in [first, third] {
        assert_eq!(outcome(attempt).await.unwrap_err(), ErrorKind::ConnectionRefused);
    }
    // The one that was being accepted had not been polled.
    assert_eq!(within(1, accepting).await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert!(outcome(second).await.is_err());
    within(300, async { tokio::join!(server.shutdown(), client.shutdown()) }).await;
    assert_eq!((server.connections(), server.memory_used()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_ends_tells_all_who_wait() {
    for aborted in [false, true] {
        let w = world().await;
        let (one, _first) = w.request().await;
        let (two, _second) = w.request().await;
        let gone = tokio::spawn(async move { two.gone().await });
        let World { server, client, listener } = w;
        let waiting = tokio::spawn(async move { listener.accept_request().await.map(drop) });
        settle().await;
        let kind = if aborted {
            server.abort();
            ErrorKind::ConnectionAborted
        } else {
            within(1, server.shutdown()).await;
            ErrorKind::BrokenPipe
        };
        within(1, gone).await.unwrap();
        assert_eq!(within(1, waiting).await.unwrap().unwrap_err().kind(), kind);
        assert_eq!(within(1, one.accept()).await.unwrap_err().kind(), kind);
        let late = RequestListener::bind(&server, "192.0.2.1:81").await.unwrap_err();
        assert_eq!(late.kind(), kind);
        drop(client);
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_each_await_dropped_at_each_poll() {
    for polls in 0..6 {
        for turns in [0, 1, 2, 3, 5, 8, 40] {
            let w = world().await;
            // To wait for a request takes none.
            poll_and_drop(w.listener.accept_request(), polls, turns).await;
            let attempt = connecting(&w.client);
            let request = match poll_and_drop(w.listener.accept_request(), polls, turns).await {
                Some(request) => request.unwrap(),
                None => within(5, w.listener.accept_request()).await.unwrap(),
            };
            poll_and_drop(request.gone(), polls, turns).await;
            // To accept is all or nothing.
            match poll_and_drop(request.accept(), polls, turns).await {
                Some(accepted) => talk(accepted.unwrap(), outcome(attempt).await.unwrap()).await,
                None => match outcome(attempt).await {
                    Ok(mut stream) => {
                        let error = within(5, stream.read(&mut [0])).await.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                    }
                    Err(error) => assert_eq!(error, ErrorKind::ConnectionRefused),
                },
            }
            w.end().await;
        }
    }
}

/// Polls a future so often, letting the world go on for `turns` in between, and drops it if it is not ready by then.
async fn poll_and_drop<F: Future>(future: F, polls: usize, turns: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        if let std::task::Poll::Ready(result) = poll_once(&mut future.as_mut()).await {
            return Some(result);
        }
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }
    None
}

// Peers of bare packets.

fn bare() -> (Stack, PacketSender, PacketReceiver) {
    let (device, sender, receiver) = channel(MemoryConfig::default());
    (builder(1).device(device).build().unwrap(), sender, receiver)
}

fn segment(from: SocketAddr, flags: TcpFlags, seq: u32) -> Vec<u8> {
    let to = addr(SERVER);
    let tcp = TcpHeader {
        src_port: from.port(),
        dst_port: to.port(),
        seq: SeqNum::new(seq),
        flags,
        window: WireWindow::new(60_000),
        ..TcpHeader::default()
    };
    let mut text = vec![0; tcp.header_len()];
    tcp.emit(&mut text).unwrap();
    let mut sum = carrick_wire::Checksum::pseudo_header(from.ip(), to.ip(), Protocol::TCP, text.len());
    sum.add(&text);
    carrick_wire::tcp::set_checksum(&mut text, sum.finish()).unwrap();
    let ip = IpHeader { payload_len: text.len(), ..IpHeader::new(from.ip(), to.ip(), Protocol::TCP) };
    let mut packet = vec![0; ip.header_len()];
    ip.emit(&mut packet).unwrap();
    packet.append(&mut text);
    packet
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_gives_up_ends_its_request_wherever_that_is() {
    let (stack, sender, mut receiver) = bare();
    let listener = RequestListener::bind(&stack, SERVER).await.unwrap();
    let from = addr("192.0.2.9:4000");
    let give_up = async || {
        sender.send(segment(from, TcpFlags::RST, 5001)).await.unwrap();
        settle().await;
    };
    let ask = async || {
        sender.send(segment(from, TcpFlags::SYN, 5000)).await.unwrap();
        settle().await;
    };
    // Nobody has taken it, and nobody gets it.
    ask().await;
    give_up().await;
    assert!(poll_and_drop(listener.accept_request(), 5, 10).await.is_none());
    // Somebody looks at it.
    ask().await;
    let request = within(1, listener.accept_request()).await.unwrap();
    give_up().await;
    within(1, request.gone()).await;
    assert_eq!(request.accept().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    // What is gone can be rejected, which does nothing.
    ask().await;
    let request = within(1, listener.accept_request()).await.unwrap();
    give_up().await;
    request.reject(Refusal::Reset);
    settle().await;
    assert!(receiver.try_recv().is_err(), "nobody is there to be told");
    // The same addresses again: the name of the old request is nobody's.
    ask().await;
    let old = within(1, listener.accept_request()).await.unwrap();
    give_up().await;
    ask().await;
    let new = within(1, listener.accept_request()).await.unwrap();
    drop(old);
    settle().await;
    assert!(receiver.try_recv().is_err(), "the new one is not the old one's to reject");
    assert!(poll_and_drop(new.gone(), 2, 2).await.is_none());
    let accepting = tokio::spawn(new.accept());
    let syn_ack = within(1, receiver.recv()).await.unwrap();
    let tcp = TcpView::parse(&syn_ack[20..]).unwrap();
    assert_eq!(tcp.flags(), TcpFlags::SYN | TcpFlags::ACK);
    // Never answered: the handshake ends after its repetitions.
    let began = Instant::now();
    let error = within(100, accepting).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (ErrorKind::TimedOut, 63));
    check_counters(&stack);
}

/// As many as are held, some of them given out and some accepted: each peer hears of the end.
#[tokio::test(start_paused = true)]
async fn every_peer_is_told_when_a_full_listener_or_its_stack_ends() {
    for stack_ends in [false, true] {
        let (stack, sender, mut receiver) = bare();
        let listener = RequestListener::bind(&stack, SERVER).await.unwrap();
        let peer = |n: u16| SocketAddr::new([198, 51, 100, 7].into(), n + 1024);
        for n in 0..1024 {
            sender.send(segment(peer(n), TcpFlags::SYN, 5000)).await.unwrap();
        }
        let mut given = Vec::new();
        for _ in 0..200 {
            given.push(within(5, listener.accept_request()).await.unwrap());
        }
        let accepting: Vec<_> = given.drain(..100).map(|request| tokio::spawn(request.accept())).collect();
        settle().await;
        let mut told = HashMap::new();
        let mut read = |packet: &[u8]| {
            let tcp = TcpView::parse(&packet[20..]).unwrap();
            *told.entry((tcp.dst_port(), tcp.flags())).or_insert(0) += 1;
        };
        while let Ok(packet) = receiver.try_recv() {
            read(&packet);
        }
        let stack = if stack_ends {
            let ending = tokio::spawn(async move { stack.shutdown().await });
            settle().await;
            drop(listener);
            ending
        } else {
            drop(listener);
            tokio::spawn(async move { drop(stack) })
        };
        // What the device carries at once is less than all of it.
        while let Ok(Some(packet)) = tokio::time::timeout(Duration::from_secs(1), receiver.recv()).await {
            read(&packet);
        }
        within(5, stack).await.unwrap();
        let kind = if stack_ends { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionAborted };
        for accepting in accepting {
            assert_eq!(within(5, accepting).await.unwrap().unwrap_err().kind(), kind);
        }
        let heard = |flags| told.iter().filter(|((_, heard), times)| *heard == flags && **times == 1).count();
        assert_eq!(heard(TcpFlags::RST | TcpFlags::ACK), 1024);
        assert_eq!((heard(TcpFlags::SYN | TcpFlags::ACK), told.len()), (100, 1124));
    }
}

/// The peer has its SYN,ACK, and nobody hears its answer any more.
#[tokio::test(start_paused = true)]
async fn a_device_that_fails_ends_what_is_being_accepted() {
    let (stack, sender, mut receiver) = bare();
    let listener = RequestListener::bind(&stack, SERVER).await.unwrap();
    sender.send(segment(addr("192.0.2.9:4000"), TcpFlags::SYN, 5000)).await.unwrap();
    let request = within(1, listener.accept_request()).await.unwrap();
    let accepting = tokio::spawn(request.accept());
    let syn_ack = within(1, receiver.recv()).await.unwrap();
    assert_eq!(TcpView::parse(&syn_ack[20..]).unwrap().flags(), TcpFlags::SYN | TcpFlags::ACK);
    drop(sender);
    assert_eq!(within(1, accepting).await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!((stack.connections(), stack.memory_used()), (0, 0));
    check_counters(&stack);
}

#[test]
fn a_runtime_that_goes_ends_what_is_being_accepted() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (driving, other) = (runtime(), runtime());
    let (stack, accepting, sender) = driving.block_on(async {
        let (stack, sender, mut receiver) = bare();
        let listener = RequestListener::bind(&stack, SERVER).await.unwrap();
        sender.send(segment(addr("192.0.2.9:4000"), TcpFlags::SYN, 5000)).await.unwrap();
        let request = within(5, listener.accept_request()).await.unwrap();
        let mut accepting = Box::pin(request.accept());
        assert!(poll_once(&mut accepting.as_mut()).await.is_pending());
        let syn_ack = within(5, receiver.recv()).await.unwrap();
        assert_eq!(TcpView::parse(&syn_ack[20..]).unwrap().flags(), TcpFlags::SYN | TcpFlags::ACK);
        // The listener stays with the one that waits.
        (stack, async move { (accepting.await, drop(listener)).0 }, sender)
    });
    drop(driving);
    let error = other.block_on(async { within(5, accepting).await }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!((stack.connections(), stack.memory_used()), (0, 0));
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn floods_of_requests_are_bounded() {
    let (stack, sender, mut receiver) = bare();
    let listener = RequestListener::bind(&stack, SERVER).await.unwrap();
    let peer = |n: u32| SocketAddr::new([198, 51, 100, (n % 250) as u8 + 1].into(), (n / 250) as u16 + 1024);
    // Nobody looks at them: the limit.
    for n in 0..20_000 {
        sender.send(segment(peer(n), TcpFlags::SYN, 5000)).await.unwrap();
    }
    settle().await;
    let mut held = Vec::new();
    // More than once, for tokio's budget may be used up.
    while let Some(request) = poll_and_drop(listener.accept_request(), 3, 1).await {
        held.push(request.unwrap());
    }
    assert_eq!(held.len(), 1024);
    assert!(receiver.try_recv().is_err(), "no cookies, since nobody has decided");
    drop(held);
    settle().await;
    // One after the other, each given up at once: none of them stays.
    for n in 0..20_000 {
        sender.send(segment(peer(n), TcpFlags::SYN, 5000)).await.unwrap();
        sender.send(segment(peer(n), TcpFlags::RST, 5001)).await.unwrap();
        while receiver.try_recv().is_ok() {}
    }
    settle().await;
    assert!(poll_and_drop(listener.accept_request(), 3, 1).await.is_none());
    check_counters(&stack);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_decide_about_many() {
    let w = world().await;
    let World { server, client, listener } = w;
    let deciding = tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..400 {
            let request = listener.accept_request().await.unwrap();
            tasks.spawn(async move {
                match n % 4 {
                    0 => request.reject(Refusal::Reset),
                    1 => drop(request),
                    _ => request.accept().await.unwrap().write_all(b"x").await.unwrap(),
                }
            });
        }
        tasks.join_all().await;
    });
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let client = client.clone();
        attempts.spawn(async move {
            match TcpStream::connect(&client, SERVER).await {
                Ok(mut stream) => {
                    assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 1);
                    true
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                    false
                }
            }
        });
    }
    let outcomes = within(60, attempts.join_all()).await;
    within(60, deciding).await.unwrap();
    assert_eq!(outcomes.iter().filter(|accepted| **accepted).count(), 200);
    within(60, async { tokio::join!(server.shutdown(), client.shutdown()) }).await;
    assert_eq!((server.memory_used(), client.memory_used()), (0, 0));
}
