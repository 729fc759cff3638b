//! What is told to a subscriber of `tracing`, and what a subscriber may do.

use crate::common::*;
use carrick::device::channel::channel;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{ConnectionConfig, Stack, TcpListener, TcpStream};
use std::collections::HashMap;
use std::fmt::Debug;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// One event as it was told: `target level span: text field=value ...`.
type Told = String;

/// A subscriber that keeps what it is told, and does something at each event.
#[derive(Clone)]
struct Listener(Arc<Inner>);

struct Inner {
    level: Level,
    told: Mutex<Vec<Told>>,
    spans: Mutex<HashMap<u64, String>>,
    /// Those that have been entered.
    entered: Mutex<Vec<u64>>,
    does: Box<dyn Fn() + Send + Sync>,
}

impl Listener {
    /// Listens on this thread until the guard is dropped.
    fn begin(level: Level, does: impl Fn() + Send + Sync + 'static) -> (Self, DefaultGuard) {
        let (told, spans, entered) = Default::default();
        let listener = Self(Arc::new(Inner { level, told, spans, entered, does: Box::new(does) }));
        let guard = tracing::subscriber::set_default(listener.clone());
        (listener, guard)
    }

    /// What has been told that contains all of `parts`.
    fn with(&self, parts: &[&str]) -> Vec<Told> {
        let told = self.0.told.lock().unwrap();
        told.iter().filter(|told| parts.iter().all(|part| told.contains(part))).cloned().collect()
    }

    #[track_caller]
    fn once(&self, parts: &[&str]) {
        assert_eq!(self.with(parts).len(), 1, "{parts:?} of {:#?}", self.0.told.lock().unwrap());
    }
}

fn fields(record: impl FnOnce(&mut dyn FnMut(&Field, &dyn Debug))) -> String {
    let mut text = String::new();
    record(&mut |field, value| match field.name() {
        "message" => text.insert_str(0, &format!("{value:?}")),
        name => text += &format!(" {name}={value:?}"),
    });
    text
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("carrick::") && *metadata.level() <= self.0.level
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let text = fields(|mut visit| attributes.record(&mut visit));
        let mut spans = self.0.spans.lock().unwrap();
        let id = spans.len() as u64 + 1;
        let span = format!("{}{{{}}}", attributes.metadata().name(), text.trim());
        spans.insert(id, span.clone());
        self.0.told.lock().unwrap().push(format!("new span {span}"));
        Id::from_u64(id)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let span = self.0.entered.lock().unwrap().last().map(|id| self.0.spans.lock().unwrap()[id].clone());
        let text = fields(|mut visit| event.record(&mut visit));
        let metadata = event.metadata();
        let told = format!("{} {} {}: {text}", metadata.target(), metadata.level(), span.unwrap_or_default());
        self.0.told.lock().unwrap().push(told);
        (self.0.does)();
    }
    fn enter(&self, id: &Id) {
        self.0.entered.lock().unwrap().push(id.into_u64());
    }
    fn exit(&self, id: &Id) {
        assert_eq!(self.0.entered.lock().unwrap().pop(), Some(id.into_u64()));
    }
}

/// Of the client's stack.
const CLIENT: &str = "addresses=[192.0.2.2";

/// A conversation from begin to end; nothing is left of either stack.
async fn conversation(server: Stack, client: Stack, len: u64) {
    let mut c = connect(server, client).await;
    let sending = async {
        write_pattern(&mut c.connected, len).await.unwrap();
        c.connected.shutdown().await.unwrap();
    };
    let (got, ()) = within(600, async { tokio::join!(read_pattern(&mut c.accepted), sending) }).await;
    assert_eq!(got.unwrap(), len);
    c.accepted.shutdown().await.unwrap();
    within(60, c.connected.closed()).await.unwrap();
    for stack in [&c.client, &c.server] {
        within(600, stack.shutdown()).await;
        check_counters(stack);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_from_begin_to_end() {
    let (listener, _guard) = Listener::begin(Level::DEBUG, || ());
    let (server, client) = stacks(MemoryConfig::plain(1500));
    conversation(server, client, 50_000).await;
    let stack =
        "new span carrick{device=\"memory pair (plain, MTU 1500)\" addresses=[192.0.2.2, 2001:db8::2]}";
    listener.once(&[stack]);
    listener.once(&["carrick::stack INFO", CLIENT, "stack begins"]);
    listener.once(&["carrick::stack INFO", CLIENT, "stack ends", "the stack has ended"]);
    listener.once(&["new span connect{remote=192.0.2.1:80}"]);
    let states = listener.with(&[
        "carrick::connection DEBUG",
        CLIENT,
        "state local=192.0.2.2:",
        "remote=192.0.2.1:80",
    ]);
    let ways: Vec<_> = states.iter().map(|told| told.split_once("from=").unwrap().1).collect();
    let expected = [
        "CLOSED to=SYN-SENT",
        "SYN-SENT to=ESTABLISHED",
        "ESTABLISHED to=FIN-WAIT-1",
        "FIN-WAIT-1 to=FIN-WAIT-2",
        "FIN-WAIT-2 to=TIME-WAIT",
        "TIME-WAIT to=CLOSED",
    ];
    assert_eq!(ways, expected);
    let told = listener.with(&[]);
    assert!(told.iter().all(|told| !told.contains(" WARN ") && !told.contains(" ERROR ")), "{told:#?}");
    assert!(listener.with(&["carrick::packet"]).is_empty(), "packets are told at TRACE");
}

#[tokio::test(start_paused = true)]
async fn every_packet_at_trace() {
    let (listener, _guard) = Listener::begin(Level::TRACE, || ());
    let (server, client) = stacks(MemoryConfig::plain(1500));
    conversation(server.clone(), client.clone(), 20_000).await;
    let of = |what: &str| listener.with(&["carrick::packet TRACE", CLIENT, what]).len() as u64;
    let counters = client.counters();
    assert_eq!(of(": received"), counters.endpoint.frames);
    // Before a packet is cut, it is one.
    assert!(of(": sent") > 4 && of(": sent") <= counters.tcp.out_segs);
    listener.once(&[CLIENT, ": sent", "dst=192.0.2.1:80", "flags=[S] ", "payload=0"]);
    listener.once(&[CLIENT, ": received", "src=192.0.2.1:80", "flags=[S.] "]);
}

/// A file that is full.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong() {
    let (listener, _guard) = Listener::begin(Level::DEBUG, || ());
    let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
    let connection = ConnectionConfig { syn_retries: 2, ..ConnectionConfig::default() };
    let stack = builder(1).connection_config(connection).device(device).build().unwrap();

    // Nobody answers.
    within(60, TcpStream::connect(&stack, "192.0.2.77:1")).await.unwrap_err();
    let timeouts =
        listener.with(&["carrick::connection DEBUG", "timeout local=192.0.2.1:", "remote=192.0.2.77:1"]);
    assert_eq!(timeouts.len(), 2, "{timeouts:?}");
    assert!(timeouts[1].contains("state=SYN-SENT timeouts=2"), "{timeouts:?}");
    listener.once(&["state local", "from=SYN-SENT to=CLOSED", "error=Connection timed out"]);

    // Packets for nobody, and from nowhere.
    while from_stack.try_recv().is_ok() {}
    to_stack.try_send(vec![0x45; 60]).unwrap();
    settle().await;
    listener.once(&["carrick::discard DEBUG", "packet discarded reason=\"malformed_"]);
    let stranger = segment([192, 0, 2, 2], 7777);
    to_stack.try_send(stranger.clone()).unwrap();
    settle().await;
    listener.once(&["carrick::connection DEBUG", "reset sent local=192.0.2.1:7777 remote=192.0.2.2:5000"]);
    let mut corrupt = stranger;
    corrupt[37] ^= 1;
    to_stack.try_send(corrupt).unwrap();
    settle().await;
    listener.once(&["reason=\"discarded_bad_checksum\" src=192.0.2.2:5000 dst=192.0.2.1:7777"]);

    // A writer that fails ends its capture.
    let capture = stack.capture(Full(150)).unwrap();
    to_stack.try_send(segment([192, 0, 2, 3], 7778)).unwrap();
    settle().await;
    listener.once(&["carrick::capture WARN", "addresses=[192.0.2.1", "capture stopped"]);
    capture.finish().unwrap_err();

    // The device ends.
    drop(to_stack);
    settle().await;
    listener.once(&["carrick::stack WARN", "stack ends"]);
}

/// An ACK that nobody waits for, from a device that is trusted with checksums to be right.
fn segment(from: [u8; 4], dst_port: u16) -> Vec<u8> {
    use carrick_wire::{Checksum, IpHeader, Protocol, SeqNum, TcpFlags, TcpHeader};
    let (from, to) = (from.into(), [192, 0, 2, 1].into());
    let (seq, flags) = (SeqNum::new(1), TcpFlags::ACK);
    let tcp = TcpHeader { src_port: 5000, dst_port, seq, flags, ..TcpHeader::default() };
    let ip = IpHeader { payload_len: tcp.header_len(), ..IpHeader::new(from, to, Protocol::TCP) };
    let mut bytes = vec![0; 40];
    let at = ip.emit(&mut bytes).unwrap();
    tcp.emit(&mut bytes[at..]).unwrap();
    let partial = Checksum::pseudo_header(from, to, Protocol::TCP, 20).fold();
    carrick_wire::tcp::set_checksum(&mut bytes[at..], partial).unwrap();
    carrick_wire::segmentation::complete_checksum(&mut bytes, &[]).unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_must_see() {
    let (listener, _guard) = Listener::begin(Level::WARN, || ());
    // A listener whose backlog is full: one warning, however many are turned away.
    let (server, client) = stacks(MemoryConfig::default());
    let full = TcpListener::bind_with_backlog(&server, "192.0.2.1:81", 1).await.unwrap();
    let attempts: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { TcpStream::connect(&client, "192.0.2.1:81").await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    listener
        .once(&["carrick::stack WARN", "no room for more connections local=192.0.2.1:81 remote=192.0.2.2:"]);
    attempts.iter().for_each(tokio::task::JoinHandle::abort);
    drop(full);

    // Memory: a peer takes nothing of what is written to it.
    let (a, b) = pair(MemoryConfig::default());
    let server = builder(1).device(a).memory_limit(1 << 20).build().unwrap();
    let client = builder(2).device(b).build().unwrap();
    let bound = TcpListener::bind(&server, SERVER).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        let (accepted, connected) = tokio::join!(bound.accept(), TcpStream::connect(&client, SERVER));
        let mut accepted = accepted.unwrap().0;
        while tokio::time::timeout(Duration::from_secs(1), accepted.write(&[7; 64 << 10])).await.is_ok() {}
        held.push((accepted, connected));
        if server.memory_used() > 3 << 18 {
            break;
        }
    }
    assert!(!listener.with(&["carrick::stack WARN", "memory is scarce", "pressure=High"]).is_empty());
}

/// Fails, or has no room, while it is told to.
#[derive(Default)]
struct Down(Mutex<Option<ErrorKind>>);

impl Fault for Down {
    fn on_send(&self, _: &carrick::device::Packet<'_>) -> io::Result<()> {
        self.0.lock().unwrap().map_or(Ok(()), |kind| Err(kind.into()))
    }
}

/// A stream whose connecting side's device can be made to fail.
async fn on_a_device_that_fails() -> (Connected, Arc<Down>) {
    let (a, b) = pair(MemoryConfig::default());
    let fault = Arc::new(Down::default());
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Faulty { device: b, fault: Arc::clone(&fault) }).build().unwrap();
    (connect(server, client).await, fault)
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_lasts_and_its_end() {
    let (listener, _guard) = Listener::begin(Level::INFO, || ());
    let (mut c, fault) = on_a_device_that_fails().await;
    let warnings = || listener.with(&["carrick::device WARN", CLIENT]);
    for (round, lasts) in [(0, 150), (1, 600), (2, 10_000)] {
        *fault.0.lock().unwrap() = Some(ErrorKind::NetworkDown);
        c.connected.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(lasts)).await;
        assert_eq!(warnings().len(), [0, 1, 3][round], "within a second: {:#?}", warnings());
        *fault.0.lock().unwrap() = None;
        within(60, c.accepted.read_exact(&mut [0])).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(warnings().len(), [0, 2, 4][round], "{:#?}", warnings());
    }
    let warnings = warnings();
    assert!(
        warnings[0].contains("the device takes no packets lasted=500ms lost=2 error=network down"),
        "{warnings:#?}"
    );
    assert!(warnings[1].contains("the device takes packets again lasted="), "{warnings:#?}");
}

#[tokio::test(start_paused = true)]
async fn t_fld_12_outages_that_come_and_go_are_told_of_once_in_a_while() {
    let (listener, _guard) = Listener::begin(Level::INFO, || ());
    let (mut c, fault) = on_a_device_that_fails().await;
    let began = tokio::time::Instant::now();
    let mut outages = 0;
    while began.elapsed() < Duration::from_secs(60) {
        *fault.0.lock().unwrap() = Some(ErrorKind::NetworkDown);
        c.connected.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        *fault.0.lock().unwrap() = None;
        within(60, c.accepted.read_exact(&mut [0])).await.unwrap();
        outages += 1;
    }
    assert!(outages > 20, "{outages}");
    let warnings = listener.with(&["carrick::device WARN", CLIENT]);
    assert!((8..=14).contains(&warnings.len()), "{} of {outages} outages: {warnings:#?}", warnings.len());
    assert_eq!(warnings.len(), 2 * listener.with(&["the device takes packets again"]).len(), "pairs");
}

#[tokio::test(start_paused = true)]
async fn t_fld_12_a_flood_is_no_flood_of_events() {
    const FLOOD: u32 = 100_000;
    for level in [Level::WARN, Level::INFO] {
        let (listener, _guard) = Listener::begin(level, || ());
        let (device, to_stack, mut from_stack) = channel(MemoryConfig::default());
        let stack = builder(1).device(device).build().unwrap();
        let bound = TcpListener::bind_with_backlog(&stack, SERVER, 16).await.unwrap();
        let ([syn, stray], before) = ([80, 9].map(|port| segment([192, 0, 2, 2], port)), stack.counters());
        for i in 0..FLOOD {
            let mut packet = if i % 2 == 0 { syn.clone() } else { stray.clone() };
            // Each from another port.
            let [_, _, high, low] = (i / 2 + 1).to_be_bytes();
            from(&mut packet, [high, low], i % 2 == 0);
            while to_stack.try_send(packet.clone()).is_err() {
                settle().await;
            }
            while from_stack.try_recv().is_ok() {}
        }
        settle().await;
        let arrived = stack.counters().tcp.in_segs - before.tcp.in_segs;
        assert_eq!((arrived, stack.counters().tcp.in_errs), (u64::from(FLOOD), 0));
        let told = listener.with(&[]);
        assert!(told.len() <= 10, "{level}: {} events: {:#?}", told.len(), &told[..10]);
        drop(bound);
    }
    carrick_covers::covers!("T-FLD-12");
}

/// Makes a packet one from another port, and a SYN perhaps.
fn from(packet: &mut [u8], port: [u8; 2], syn: bool) {
    use carrick_wire::{Checksum, Protocol, TcpFlags, segmentation, tcp};
    packet[20..22].copy_from_slice(&port);
    if syn {
        packet[33] = TcpFlags::SYN.bits() as u8;
    }
    let [src, dst] = [12, 16].map(|at| <[u8; 4]>::try_from(&packet[at..at + 4]).unwrap().into());
    let partial = Checksum::pseudo_header(src, dst, Protocol::TCP, 20).fold();
    tcp::set_checksum(&mut packet[20..], partial).unwrap();
    segmentation::complete_checksum(packet, &[]).unwrap();
}

/// How often a subscriber did something, and how often it came back from that.
#[derive(Default)]
struct Calls {
    begun: AtomicUsize,
    done: AtomicUsize,
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_may_use_the_stack() {
    // Its own connection, to which it writes whatever it is told, and everything that takes a lock.
    let (server, client) = stacks(MemoryConfig::default());
    let c = connect(server.clone(), client.clone()).await;
    let calls = Arc::new(Calls::default());
    let does = {
        let (calls, server, client, stream) =
            (Arc::clone(&calls), server.clone(), client.clone(), c.connected);
        move || {
            calls.begun.fetch_add(1, Ordering::Relaxed);
            for stack in [&server, &client] {
                let _ = (stack.counters(), stack.connections(), stack.device_status());
            }
            let _ = (stream.try_write(b"told"), stream.tcp_info(), stream.set_nodelay(true));
            calls.done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let (listener, guard) = Listener::begin(Level::TRACE, does);
    let (mut a, b) = {
        let (accepted, connected) = tokio::join!(c.listener.accept(), TcpStream::connect(&client, SERVER));
        (accepted.unwrap().0, connected.unwrap())
    };
    let sending = tokio::spawn(async move {
        let mut b = b;
        write_pattern(&mut b, 200_000).await.unwrap();
        b.shutdown().await.unwrap();
        b
    });
    assert_eq!(within(600, read_pattern(&mut a)).await.unwrap(), 200_000);
    drop((within(60, sending).await.unwrap(), a));
    settle().await;
    drop(guard);
    let told = listener.with(&[]).len();
    let [begun, done] = [&calls.begun, &calls.done].map(|calls| calls.load(Ordering::Relaxed));
    assert!(told > 50 && begun > 50, "{told} told, {begun} begun");
    assert_eq!(begun, done, "every call came back: none met a lock that its own thread held");
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_loses_what_it_was_told_and_nothing_else() {
    let (listener, _guard) = Listener::begin(Level::TRACE, || panic!("planted: the subscriber panics"));
    let (server, client) = stacks(MemoryConfig::plain(1500));
    conversation(server, client, 3000).await;
    assert!(listener.with(&["carrick::packet"]).len() > 10, "it is told of the next thing all the same");
}
