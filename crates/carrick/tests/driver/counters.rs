//! RFC 4022's counters against an independent count on the link.

use crate::common::*;
use carrick::device::Packet;
use carrick::device::channel::channel;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{ConnectionConfig, Refusal, RequestListener, Stack, TcpCounters, TcpListener, TcpStream};
use carrick_wire::segmentation::complete_checksum;
use carrick_wire::{IpHeader, Protocol, SeqNum, TcpFlags, TcpHeader, TcpView};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What went over a link in one direction, segment by segment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Seen {
    new: u64,
    again: u64,
    resets: u64,
    arrived: u64,
}

/// Counts what a device sends, and loses one packet in so many.
#[derive(Default)]
struct Tap {
    state: Mutex<Watched>,
    lose: usize,
}

#[derive(Default)]
struct Watched {
    seen: Seen,
    packets: usize,
    /// The number after all that was sent, for each pair of ports.
    ends: HashMap<(u16, u16), SeqNum>,
}

impl Tap {
    fn seen(&self) -> Seen {
        self.state.lock().unwrap().seen
    }
}

impl Fault for Tap {
    fn on_send(&self, packet: &Packet<'_>) -> io::Result<()> {
        let ip = if packet.header[0] >> 4 == 4 { 20 } else { 40 };
        let tcp = TcpView::parse(&packet.header[ip..]).unwrap();
        let Watched { seen, packets, ends } = &mut *self.state.lock().unwrap();
        let end = ends.entry((tcp.src_port(), tcp.dst_port())).or_insert(tcp.seq());
        if tcp.flags().contains(TcpFlags::SYN) && !packet_is_old(*end, tcp.seq()) {
            *end = tcp.seq();
        }
        let size = packet.segment_size.map_or(usize::MAX, |size| size.get().into());
        let (mut seq, mut left, mut segments) = (tcp.seq(), packet.payload_len(), 0);
        loop {
            let text = left.min(size);
            left -= text;
            let flags = if left == 0 { tcp.flags() } else { TcpFlags::ACK };
            let one = |flag| u32::from(flags.contains(flag));
            let after = seq + text as u32 + one(TcpFlags::SYN) + one(TcpFlags::FIN);
            let something = after != seq;
            seen.again += u64::from(something && seq.before(*end));
            seen.new += u64::from(!something || after.after(*end));
            seen.resets += u64::from(one(TcpFlags::RST));
            segments += 1;
            if something && after.after(*end) {
                *end = after;
            }
            seq = after;
            if left == 0 {
                break;
            }
        }
        *packets += 1;
        if self.lose > 0 && packets.is_multiple_of(self.lose) {
            return Err(ErrorKind::NetworkDown.into());
        }
        seen.arrived += segments;
        Ok(())
    }
}

/// Whether a SYN is one that has been sent before.
fn packet_is_old(end: SeqNum, seq: SeqNum) -> bool {
    end == seq + 1
}

fn sent(tcp: &TcpCounters) -> (u64, u64, u64) {
    (tcp.out_segs, tcp.retrans_segs, tcp.out_rsts)
}

/// Two stacks with a tap each, the server's first.
fn tapped(config: MemoryConfig, lose: usize) -> ([Stack; 2], [Arc<Tap>; 2]) {
    let (a, b) = pair(config);
    let taps = [(); 2].map(|()| Arc::new(Tap { lose, ..Tap::default() }));
    let stacks = [(1, a), (2, b)].map(|(host, device)| {
        let fault = Arc::clone(&taps[usize::from(host - 1)]);
        builder(host).device(Faulty { device, fault }).build().unwrap()
    });
    (stacks, taps)
}

async fn both_ways(a: TcpStream, b: TcpStream, len: u64) {
    let all = |mut stream: TcpStream| async move {
        let (mut read, mut write) = stream.split();
        let writing = async {
            write_pattern(&mut write, len).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let (read, ()) = tokio::join!(read_pattern(&mut read), writing);
        assert_eq!(read.unwrap(), len);
        stream.closed().await.unwrap();
    };
    within(3600, async { tokio::join!(all(a), all(b)) }).await;
}

#[tokio::test(start_paused = true)]
async fn segments_are_those_that_the_link_has_seen() {
    let mut retransmitted = 0;
    for config in [MemoryConfig::plain(1500), MemoryConfig::default()] {
        for lose in [0, 7, 20, 33] {
            let ([server, client], taps) = tapped(config, lose);
            let c = within(600, connect(server.clone(), client.clone())).await;
            both_ways(c.accepted, c.connected, 400_000).await;
            // What ends by a reset, and what never begins.
            let (accepted, connected) =
                within(600, async { tokio::join!(c.listener.accept(), TcpStream::connect(&client, SERVER)) })
                    .await;
            connected.unwrap().set_zero_linger().unwrap();
            let mut accepted = accepted.unwrap().0;
            // If the reset is lost, this brings another.
            let _ = accepted.write_all(b"!").await;
            within(3600, accepted.read(&mut [0])).await.unwrap_err();
            within(600, TcpStream::connect(&client, "192.0.2.1:9")).await.unwrap_err();
            drop(c.listener);
            for stack in [&client, &server] {
                within(3600, stack.shutdown()).await;
            }
            let counters = [server.counters(), client.counters()];
            let [of_server, of_client] = taps.map(|tap| tap.seen());
            for (counters, seen, received) in
                [(&counters[0], of_server, of_client.arrived), (&counters[1], of_client, of_server.arrived)]
            {
                let tcp = &counters.tcp;
                assert_eq!(sent(tcp), (seen.new, seen.again, seen.resets), "{lose} {config:?}");
                // What the device merges on the way in is one segment then for each that it was.
                assert_eq!(tcp.in_segs, received, "{lose} {config:?}: {counters}");
                assert_eq!((tcp.in_errs, tcp.curr_estab), (0, 0));
                retransmitted += seen.again;
            }
            let [server, client] = counters.map(|counters| counters.tcp);
            assert_eq!((client.active_opens, client.passive_opens), (3, 0));
            assert_eq!((server.active_opens, server.passive_opens), (0, 2));
            assert_eq!((client.attempt_fails, client.estab_resets), (1, 1));
            assert_eq!((server.attempt_fails, server.estab_resets), (0, 1));
        }
    }
    assert!(retransmitted > 100, "{retransmitted} segments were sent again");
}

/// A segment from a peer on a raw link, its checksum right.
fn segment(flags: TcpFlags, seq: u32, ack: u32, dst_port: u16) -> Vec<u8> {
    let (from, to): (IpAddr, IpAddr) = ([192, 0, 2, 2].into(), [192, 0, 2, 1].into());
    let (seq, ack) = (SeqNum::new(seq), SeqNum::new(ack));
    let tcp = TcpHeader { src_port: 5000, dst_port, seq, ack, flags, ..TcpHeader::default() };
    let ip = IpHeader { payload_len: tcp.header_len(), ..IpHeader::new(from, to, Protocol::TCP) };
    let mut bytes = vec![0; 40];
    let at = ip.emit(&mut bytes).unwrap();
    tcp.emit(&mut bytes[at..]).unwrap();
    let partial = carrick_wire::Checksum::pseudo_header(from, to, Protocol::TCP, 20).fold();
    carrick_wire::tcp::set_checksum(&mut bytes[at..], partial).unwrap();
    complete_checksum(&mut bytes, &[]).unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn opens_fails_and_errors_are_the_transitions_that_the_rfc_names() {
    let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
    let connection = ConnectionConfig { syn_retries: 1, ..ConnectionConfig::default() };
    let stack = builder(1).connection_config(connection).device(device).build().unwrap();
    let listener = TcpListener::bind(&stack, SERVER).await.unwrap();
    let push = |packet: Vec<u8>| {
        to_stack.try_send(packet).unwrap();
        settle()
    };
    let tcp = || stack.counters().tcp;
    // LISTEN to SYN-RECEIVED and back.
    push(segment(TcpFlags::SYN, 100, 0, 80)).await;
    assert_eq!((tcp().passive_opens, tcp().attempt_fails, tcp().curr_estab), (1, 0, 0));
    push(segment(TcpFlags::RST, 101, 0, 80)).await;
    assert_eq!((tcp().passive_opens, tcp().attempt_fails), (1, 1));
    // To ESTABLISHED, CLOSE-WAIT and CLOSED.
    push(segment(TcpFlags::SYN, 200, 0, 80)).await;
    let mut iss = None;
    while let Ok(packet) = from_stack.try_recv() {
        iss = Some(TcpView::parse(&packet[20..]).unwrap().seq());
    }
    let next = (iss.unwrap() + 1).get();
    push(segment(TcpFlags::ACK, 201, next, 80)).await;
    let (mut accepted, _) = within(1, listener.accept()).await.unwrap();
    assert_eq!((tcp().passive_opens, tcp().curr_estab, stack.counters().endpoint.passive_opens), (2, 1, 1));
    push(segment(TcpFlags::FIN | TcpFlags::ACK, 201, next, 80)).await;
    assert_eq!(accepted.read(&mut [0]).await.unwrap(), 0);
    assert_eq!((tcp().curr_estab, tcp().estab_resets), (1, 0));
    push(segment(TcpFlags::RST, 202, 0, 80)).await;
    assert_eq!((tcp().curr_estab, tcp().estab_resets, tcp().attempt_fails), (0, 1, 1));
    // SYN-SENT to CLOSED: nobody answers the SYN and its repetition; and an attempt that is dropped.
    let before = tcp();
    let error = within(60, TcpStream::connect(&stack, "192.0.2.77:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let dropped = tokio::time::timeout(Duration::from_millis(10), TcpStream::connect(&stack, "192.0.2.77:1"));
    dropped.await.unwrap_err();
    assert_eq!((tcp().active_opens, tcp().attempt_fails), (2, 3));
    assert_eq!((tcp().out_segs - before.out_segs, tcp().retrans_segs - before.retrans_segs), (2, 1));
    // Errors: a wrong checksum, a header that is longer than its segment.
    let before = tcp();
    let mut wrong = segment(TcpFlags::SYN, 300, 0, 80);
    wrong[36] ^= 1;
    push(wrong).await;
    let mut long = segment(TcpFlags::SYN, 300, 0, 80);
    long[32] = 0xf0;
    push(long).await;
    assert_eq!((tcp().in_segs - before.in_segs, tcp().in_errs - before.in_errs), (2, 2));
    assert_eq!(tcp().passive_opens, before.passive_opens);
    // Resets: for a stranger's segment, and by the application.
    push(segment(TcpFlags::ACK, 1, 1, 9)).await;
    assert_eq!(tcp().out_rsts - before.out_rsts, 1);
    push(segment(TcpFlags::SYN, 400, 0, 80)).await;
    while let Ok(packet) = from_stack.try_recv() {
        iss = Some(TcpView::parse(&packet[20..]).unwrap().seq());
    }
    push(segment(TcpFlags::ACK, 401, (iss.unwrap() + 1).get(), 80)).await;
    let established = tcp();
    assert_eq!((established.curr_estab, established.passive_opens), (1, 3));
    stack.abort();
    settle().await;
    assert_eq!((tcp().curr_estab, tcp().estab_resets - established.estab_resets), (0, 1));
    assert_eq!(tcp().out_rsts - established.out_rsts, 1);
    check_names(&stack);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_an_open_once_it_is_accepted() {
    let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
    let stack = builder(1).device(device).build().unwrap();
    let listener = RequestListener::bind(&stack, SERVER).await.unwrap();
    let push = |packet: Vec<u8>| {
        to_stack.try_send(packet).unwrap();
        settle()
    };
    let mut before = (0, 0);
    // Opens and fails since it was last asked.
    let mut counted = || {
        let tcp = stack.counters().tcp;
        let now = (tcp.passive_opens, tcp.attempt_fails);
        let was = std::mem::replace(&mut before, now);
        (now.0 - was.0, now.1 - was.1)
    };
    let mut irs = 0;
    let mut ask = || {
        irs += 1000;
        (irs, segment(TcpFlags::SYN, irs, 0, 80))
    };

    // Undecided: refused in each way, given up by the peer, not decided about in time.
    for how in [Refusal::Reset, Refusal::HostUnreachable, Refusal::Silent] {
        push(ask().1).await;
        within(1, listener.accept_request()).await.unwrap().reject(how);
        settle().await;
        assert_eq!(counted(), (0, 0), "{how:?}");
    }
    let (irs, syn) = ask();
    push(syn).await;
    let request = within(1, listener.accept_request()).await.unwrap();
    push(segment(TcpFlags::RST, irs + 1, 0, 80)).await;
    within(1, request.gone()).await;
    assert_eq!(counted(), (0, 0), "the peer gave up");
    drop(request);
    push(ask().1).await;
    let request = within(1, listener.accept_request()).await.unwrap();
    within(100, request.gone()).await;
    drop(request);
    assert_eq!(counted(), (0, 0), "out of time");

    // Accepted, and completed.
    let (irs, syn) = ask();
    push(syn).await;
    let request = within(1, listener.accept_request()).await.unwrap();
    let accepting = tokio::spawn(request.accept());
    while from_stack.try_recv().is_ok() {}
    settle().await;
    assert_eq!(counted(), (1, 0), "accepted");
    let syn_ack = from_stack.try_recv().unwrap();
    let next = (TcpView::parse(&syn_ack[20..]).unwrap().seq() + 1).get();
    push(segment(TcpFlags::ACK, irs + 1, next, 80)).await;
    let stream = within(1, accepting).await.unwrap().unwrap();
    assert_eq!((counted(), stack.counters().tcp.curr_estab), ((0, 0), 1), "completed");
    push(segment(TcpFlags::RST, irs + 1, next, 80)).await;
    drop(stream);
    assert_eq!(counted(), (0, 0), "it had been established");

    // Accepted, and come to nothing: no answer, a reset, taken back, the listener gone.
    let (irs, syn) = ask();
    push(syn).await;
    let accepting = tokio::spawn(within(1, listener.accept_request()).await.unwrap().accept());
    assert_eq!(within(600, accepting).await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut, "{irs}");
    assert_eq!(counted(), (1, 1), "no answer");
    let (irs, syn) = ask();
    push(syn).await;
    let accepting = tokio::spawn(within(1, listener.accept_request()).await.unwrap().accept());
    settle().await;
    push(segment(TcpFlags::RST, irs + 1, 0, 80)).await;
    within(1, accepting).await.unwrap().unwrap_err();
    assert_eq!(counted(), (1, 1), "reset");
    push(ask().1).await;
    let accepting = within(1, listener.accept_request()).await.unwrap().accept();
    tokio::time::timeout(Duration::from_millis(10), accepting).await.unwrap_err();
    settle().await;
    assert_eq!(counted(), (1, 1), "taken back");
    push(ask().1).await;
    let accepting = tokio::spawn(within(1, listener.accept_request()).await.unwrap().accept());
    settle().await;

    // Many of which nobody takes any.
    for port in 1..=100_u16 {
        let mut syn = segment(TcpFlags::SYN, 1, 0, 80);
        syn[20..22].copy_from_slice(&port.to_be_bytes());
        // What the port was is added back to the checksum (RFC 1624).
        let sum = u32::from(u16::from_be_bytes([syn[36], syn[37]])) + 5000 + u32::from(!port);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        syn[36..38].copy_from_slice(&(sum as u16).to_be_bytes());
        push(syn).await;
    }
    assert_eq!(stack.counters().tcp.in_errs, 0);
    assert_eq!(counted(), (1, 0), "the one that was accepted");
    drop(listener);
    within(1, accepting).await.unwrap().unwrap_err();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counted(), (0, 1), "the listener has gone");
}

/// Every counter has a name, and the table shows what there is.
fn check_names(stack: &Stack) {
    let counters = stack.counters();
    let of = |name| counters.iter().find(|(other, _)| *other == name).map(|(_, value)| value);
    assert_eq!(of("tcpInSegs"), Some(counters.tcp.in_segs));
    assert_eq!(of("tcpRtoAlgorithm"), Some(5));
    assert_eq!((of("tcpRtoMin"), of("tcpRtoMax")), (Some(200), Some(120_000)));
    assert_eq!(of("frames"), Some(counters.endpoint.frames));
    assert_eq!(of("discarded_bad_checksum"), Some(1));
    assert_eq!(of("malformed_tcp_data_offset"), Some(1));
    assert_eq!(of("internal_errors"), Some(0));
    let (names, values): (Vec<_>, Vec<_>) = counters.iter().unzip();
    let unique: std::collections::HashSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    let table = counters.to_string();
    assert_eq!(table.lines().count(), values.iter().filter(|value| **value != 0).count());
    let line = table.lines().find(|line| line.starts_with("tcpPassiveOpens ")).unwrap();
    assert!(line.ends_with(" 3"), "{table}");
}
