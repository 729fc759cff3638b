//! Stacks on a bad link: exact streams, the same each time, and what becomes of the device behind it.
#![cfg(feature = "sim")]
#![allow(missing_docs, reason = "tests")]

#[allow(dead_code, reason = "the driver's tests need more of it")]
#[path = "driver/common.rs"]
mod common;

use carrick::device::impaired::{
    Blackouts, Bottleneck, Bursts, Impaired, LinkConfig, LinkControl, PathMtu, Policer, QueueLimit, pair,
};
use carrick::device::memory::{self, MemoryConfig};
use carrick::device::{Capabilities, Collected, Device, Inbox, Meta, Packet};
use carrick::{ConnectionConfig, DeviceStatus, EcnPolicy, Stack, TcpStream};
use carrick_core::DiscardReason;
use common::*;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

/// Some of everything.
fn bad() -> LinkConfig {
    LinkConfig {
        jitter: 5 * MS,
        loss: 50_000,
        duplicate: 30_000,
        reorder: 50_000,
        reorder_by: 30 * MS,
        corrupt: 20_000,
        ..LinkConfig::delayed(10 * MS)
    }
}

/// Runs a world of its own, whose clock was paused before it began.
fn paused<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

async fn over(left: impl Device, right: impl Device) -> Connected {
    let (server, client) =
        (builder(1).device(left).build().unwrap(), builder(2).device(right).build().unwrap());
    within(600, connect(server, client)).await
}

/// So many bytes each way at once, exact to the end.
async fn both_ways(accepted: TcpStream, connected: TcpStream, len: u64) {
    let both = |stream: TcpStream| async move {
        let (mut read, mut write) = stream.into_split();
        let writing = async {
            write_pattern(&mut write, len).await.unwrap();
            write.shutdown().await.unwrap();
        };
        assert_eq!(tokio::join!(read_pattern(&mut read), writing).0.unwrap(), len);
    };
    within(3600, async { tokio::join!(both(accepted), both(connected)) }).await;
}

/// The same; then both stacks end, and what they held is given back.
///
/// Where the last acknowledgment is lost, and the stack that sent it has ended, the other one waits for minutes.
async fn exchange(c: Connected, len: u64) {
    let Connected { accepted, connected, server, client, listener } = c;
    both_ways(accepted, connected, len).await;
    drop(listener);
    within(3600, async { tokio::join!(server.shutdown(), client.shutdown()) }).await;
    assert_eq!((server.memory_used(), client.memory_used()), (0, 0));
    check_counters(&server);
    check_counters(&client);
}

#[test]
fn streams_are_exact_whatever_the_link_does() {
    let mut sum = [0; 6];
    for seed in 0..300 {
        paused(async {
            let (left, right) = pair(&bad(), seed);
            let control = left.control();
            exchange(over(left, right).await, 60_000).await;
            for way in [control.outward(), control.inward()] {
                let counts = [way.sent, way.lost, way.duplicated, way.corrupted, way.dropped, way.marked];
                sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        });
    }
    let [sent, lost, duplicated, corrupted, dropped, marked] = sum;
    assert!(sent > 300 * 2 * 40, "{sum:?}");
    assert!(lost > sent / 25 && duplicated > sent / 50 && corrupted > sent / 100, "{sum:?}");
    assert_eq!((dropped, marked), (0, 0));
}

/// A file that can be read afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The captures of both stacks, times counted from the first packet's.
fn traces(seed: u64) -> [Vec<u8>; 2] {
    paused(async {
        let (left, right) = pair(&bad(), seed);
        let (server, client) =
            (builder(1).device(left).build().unwrap(), builder(2).device(right).build().unwrap());
        let files = [Shared::default(), Shared::default()];
        let captures = [server.capture(files[0].clone()).unwrap(), client.capture(files[1].clone()).unwrap()];
        exchange(within(600, connect(server, client)).await, 100_000).await;
        for capture in captures {
            assert!(capture.finish().unwrap() > 100);
        }
        files.map(|file| {
            let mut file = std::mem::take(&mut *file.0.lock().unwrap());
            since_the_first(&mut file);
            file
        })
    })
}

/// Captures say which day it was.
fn since_the_first(file: &mut [u8]) {
    const ENHANCED_PACKET: u32 = 6;
    let mut first = None;
    let mut at = 0;
    while at < file.len() {
        let field = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let (kind, len) = (field(at), field(at + 4) as usize);
        if kind == ENHANCED_PACKET {
            let time = u64::from(field(at + 12)) << 32 | u64::from(field(at + 16));
            let since = time - *first.get_or_insert(time);
            file[at + 12..at + 20].copy_from_slice(&since.to_le_bytes());
        }
        at += len;
    }
    assert!(first.is_some());
}

#[test]
fn the_same_seed_gives_the_same_packets_at_the_same_times() {
    for seed in 0..5 {
        let once = traces(seed);
        assert!(once == traces(seed), "seed {seed} gave another trace");
        assert!(once != traces(seed + 1000), "seeds {seed} and {} gave the same", seed + 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn delays_are_what_was_asked_for() {
    for micros in [0, 20_000, 20_400, 300] {
        let delay = Duration::from_micros(micros);
        let (left, right) = pair(&LinkConfig::delayed(delay), 1);
        let began = Instant::now();
        let mut c = over(left, right).await;
        // Each way ends with a tick of the clock.
        let way = Duration::from_millis(micros.div_ceil(1000));
        // The client's attempt is over after one round trip, the accept another way later.
        assert_eq!(began.elapsed(), 3 * way);
        c.connected.write_all(b"x").await.unwrap();
        within(5, c.accepted.read_exact(&mut [0])).await.unwrap();
        c.accepted.write_all(b"y").await.unwrap();
        within(5, c.connected.read_exact(&mut [0])).await.unwrap();
        assert_eq!(began.elapsed(), 5 * way);
        for stream in [&c.accepted, &c.connected] {
            let rtt = stream.tcp_info().unwrap().rtt.expect("there were round trips");
            // Less than a microsecond is not measured.
            let most = (2 * way).max(Duration::from_micros(1));
            assert!((2 * delay..=most).contains(&rtt), "{rtt:?} of {delay:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn jitter_keeps_the_order_and_a_link_without_delay_needs_no_time() {
    let began = Instant::now();
    let (left, right) = pair(&LinkConfig::default(), 1);
    exchange(over(left, right).await, 3_000_000).await;
    assert_eq!(began.elapsed(), Duration::ZERO);

    let (left, right) = pair(&LinkConfig { jitter: 7 * MS, ..LinkConfig::delayed(5 * MS) }, 1);
    let c = over(left, right).await;
    let (server, client) = (c.server.clone(), c.client.clone());
    exchange(c, 1_000_000).await;
    for stack in [server, client] {
        assert_eq!(stack.counters().endpoint.discarded_by_connections(), 0, "{:?}", stack.counters());
    }
}

/// What passes whole between two devices is on the link in packets.
#[test]
fn super_segments_are_packets_on_the_link() {
    for (seed, link) in [(1, LinkConfig::delayed(5 * MS)), (2, bad()), (3, bad())] {
        paused(async {
            const LEN: u64 = 1_000_000;
            let (left, right) = memory::pair(MemoryConfig::default());
            assert!(right.capabilities().segmentation_v4);
            let left = Impaired::new(left, &link, seed);
            assert_eq!(left.capabilities(), Capabilities::plain(1500));
            assert_eq!(left.description(), "memory pair (with offload, MTU 1500) behind a bad link");
            let control = left.control();
            let c = over(left, right).await;
            let (server, client) = (c.server.clone(), c.client.clone());
            exchange(c, LEN).await;
            let (outward, inward) = (control.outward(), control.inward());
            assert!(outward.sent > LEN / 1460 && inward.sent > LEN / 1460, "{outward:?} {inward:?}");
            // What was broken on the way to where nobody looks does not arrive there.
            let bad_sums = |stack: &Stack| stack.counters().endpoint.discarded(DiscardReason::BadChecksum);
            assert_eq!(bad_sums(&client), 0);
            assert_eq!(bad_sums(&server) > 0, inward.corrupted > 0);
            assert_eq!(outward.corrupted > 0, link.corrupt > 0);
            assert_eq!(outward.refused > 0, link.corrupt > 0);
            assert!(outward.refused <= outward.corrupted && inward.refused == 0, "{outward:?} {inward:?}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_dropped_and_sending_never_waits() {
    let link = LinkConfig { capacity: 20_000, ..LinkConfig::delayed(20 * MS) };
    let (left, right) = pair(&link, 1);
    let control = left.control();
    exchange(over(left, right).await, 1_000_000).await;
    assert!(control.outward().dropped > 0 && control.inward().dropped > 0, "{control:?}");
}

#[tokio::test(start_paused = true)]
async fn packets_that_can_be_are_marked() {
    let (left, right) = pair(&LinkConfig { mark: 200_000, ..LinkConfig::delayed(5 * MS) }, 1);
    let control = left.control();
    let asks = || ConnectionConfig { ecn: EcnPolicy::Ask, ..ConnectionConfig::default() };
    let server = builder(1).device(left).connection_config(asks()).build().unwrap();
    let client = builder(2).device(right).connection_config(asks()).build().unwrap();
    exchange(connect(server, client).await, 300_000).await;
    assert!(control.outward().marked > 10 && control.inward().marked > 10, "{control:?}");
    assert_eq!((control.outward().lost, control.inward().lost), (0, 0));
}

/// Timers come to the millisecond; what a rate does is exact all the same.
#[tokio::test(start_paused = true)]
async fn a_rate_is_exact_though_packets_come_in_heaps() {
    for (rate, count) in [(1_000_000_000, 30_000), (20_000_000, 1000)] {
        let queue = QueueLimit::Packets(count - 1);
        let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(rate) });
        let (left, right) = memory::pair(MemoryConfig::plain(1500));
        let left = Impaired::new(left, &LinkConfig { bottleneck, ..LinkConfig::delayed(5 * MS) }, 1);
        let began = Instant::now();
        let mut received = Collected::default();
        let nothing =
            poll_fn(|cx| Poll::Ready(received.collect(|inbox| left.poll_recv(cx, inbox)).is_pending()));
        assert!(nothing.await);
        for n in 0..count + 10 {
            let last = if n >= count { b"too many" } else { b"in turn." };
            left.send(&Packet::new(&[7; 40], &[&[7; 1452], last], None)).unwrap();
        }
        assert_eq!(left.control().outward().overflowed, 10);
        let mut seen = 0;
        while seen < count {
            poll_fn(|cx| received.collect(|inbox| right.poll_recv(cx, inbox))).await.unwrap();
            for (frame, ..) in received.frames.drain(..) {
                seen += 1;
                assert!(frame.ends_with(b"in turn."));
                let due = 5 * MS + Duration::from_nanos(seen as u64 * 12_000 * 1_000_000_000 / rate);
                let late = began.elapsed().checked_sub(due).expect("it is never early");
                assert!(late < MS, "packet {seen} is {late:?} late");
            }
        }
    }
}

/// 100 Mbit/s and 20 ms, with a queue of 1,000 packets.
async fn fill(ways: usize, len: u64, least: f64) {
    let bottleneck = Some(Bottleneck::new(100_000_000));
    let (left, right) = pair(&LinkConfig { bottleneck, ..LinkConfig::delayed(10 * MS) }, 1);
    let control = left.control();
    let Connected { mut accepted, mut connected, .. } = over(left, right).await;
    let began = Instant::now();
    if ways == 1 {
        let sending = async {
            write_pattern(&mut connected, len).await.unwrap();
            connected.shutdown().await.unwrap();
        };
        assert_eq!(tokio::join!(read_pattern(&mut accepted), sending).0.unwrap(), len);
    } else {
        both_ways(accepted, connected, len).await;
    }
    let share = len as f64 * 8.0 / 100e6 / began.elapsed().as_secs_f64();
    assert!((least..1448.0 / 1500.0).contains(&share), "{share} of the rate");
    for way in [control.inward(), control.outward()].iter().take(ways) {
        // The queue fills, and overflows as slow start ends, by less than it holds; nothing else takes anything.
        assert!(way.gone() == way.overflowed && way.overflowed < 1000, "{way:?}");
        assert!(way.longest_wait > 10 * MS && way.longest_wait < 150 * MS, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_fills_a_bottleneck() {
    fill(1, 60_000_000, 0.94).await;
}

/// Each way's acknowledgments wait in the other's queue, so that a round trip takes longer than its own queue makes it:
/// the one whose slow start ends at that (RFC 9406) fills the rest as slowly as CUBIC grows.
#[tokio::test(start_paused = true)]
async fn streams_both_ways_nearly_fill_a_bottleneck() {
    fill(2, 30_000_000, 0.8).await;
}

#[tokio::test(start_paused = true)]
async fn routers_on_the_way_are_heard() {
    let narrow = LinkConfig { mtu: Some(PathMtu::told(1300)), ..LinkConfig::delayed(10 * MS) };
    let (left, right) = pair(&narrow, 1);
    let control = left.control();
    let c = over(left, right).await;
    let (server, client) = (c.server.clone(), c.client.clone());
    let began = Instant::now();
    exchange(c, 300_000).await;
    assert!(began.elapsed() < 2 * Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(control.outward().too_big > 0 && control.inward().too_big > 0);
    for stack in [server, client] {
        assert!(stack.counters().endpoint.discarded_by_endpoint() == 0, "{:?}", stack.counters());
    }
}

#[tokio::test(start_paused = true)]
async fn tunnels_and_policers_cost_time_and_no_bytes() {
    for link in [
        LinkConfig {
            blackouts: Blackouts::Every { first: 200 * MS, period: 3000 * MS, length: 500 * MS },
            bottleneck: Some(Bottleneck::new(5_000_000)),
            ..LinkConfig::delayed(10 * MS)
        },
        LinkConfig {
            policer: Some(Policer { rate: 5_000_000, burst: 30_000 }),
            ..LinkConfig::delayed(10 * MS)
        },
        LinkConfig { bursts: Some(Bursts::new(20_000, 5)), ..LinkConfig::delayed(10 * MS) },
    ] {
        let (left, right) = pair(&link, 1);
        let control = left.control();
        exchange(over(left, right).await, 1_000_000).await;
        for way in [control.outward(), control.inward()] {
            assert_eq!(way.blacked_out > 0, link.blackouts != Blackouts::Never, "{way:?}");
            assert_eq!(way.policed > 0, link.policer.is_some(), "{way:?}");
            assert_eq!(way.lost > 0, link.bursts.is_some(), "{way:?}");
        }
    }
}

/// A device that can be stopped and ended.
struct Gate {
    shut: AtomicBool,
    ended: AtomicBool,
    /// Whoever waits for it to open, and whoever reads.
    wakers: Mutex<[Option<Waker>; 2]>,
    dropped: Arc<AtomicBool>,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            shut: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            wakers: Mutex::default(),
            dropped: Arc::default(),
        })
    }

    fn set(&self, what: &AtomicBool, to: bool) {
        what.store(to, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap());
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

struct Gated<D>(D, Arc<Gate>);

impl<D: Device> Device for Gated<D> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn description(&self) -> String {
        self.0.description()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        self.1.wakers.lock().unwrap()[1] = Some(cx.waker().clone());
        let received = self.0.poll_recv(cx, inbox);
        if received.is_pending() && self.1.ended.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::Error::new(
                ErrorKind::NotConnected,
                "planted: the device has ended",
            )));
        }
        received
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        if self.1.shut.load(Ordering::SeqCst) {
            Err(ErrorKind::WouldBlock.into())
        } else {
            self.0.send(packet)
        }
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.1.wakers.lock().unwrap()[0] = Some(cx.waker().clone());
        if self.1.shut.load(Ordering::SeqCst) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl<D> Drop for Gated<D> {
    fn drop(&mut self) {
        self.1.dropped.store(true, Ordering::SeqCst);
    }
}

fn gated() -> (Arc<Gate>, Impaired, LinkControl, memory::MemoryDevice) {
    let (left, right) = memory::pair(MemoryConfig::plain(1500));
    let gate = Gate::new();
    let left = Impaired::new(Gated(left, Arc::clone(&gate)), &LinkConfig::delayed(20 * MS), 1);
    let control = left.control();
    (gate, left, control, right)
}

#[tokio::test(start_paused = true)]
async fn a_device_that_blocks_gets_everything_in_order_once_it_has_room() {
    let (gate, left, control, right) = gated();
    let mut c = over(left, right).await;
    c.accepted.set_nodelay(true).unwrap();
    gate.set(&gate.shut, true);
    c.accepted.write_all(b"one ").await.unwrap();
    c.accepted.write_all(b"two ").await.unwrap();
    tokio::time::sleep(100 * MS).await;
    let before = c.client.counters().endpoint.frames;
    tokio::time::sleep(100 * MS).await;
    assert_eq!(c.client.counters().endpoint.frames, before, "the gate is shut");
    assert!(control.outward().sent > 2);
    gate.set(&gate.shut, false);
    c.accepted.write_all(b"three").await.unwrap();
    c.accepted.shutdown().await.unwrap();
    assert_eq!(within(5, read_all(&mut c.connected)).await.unwrap(), b"one two three");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_blocks_for_ever_keeps_nothing_alive() {
    let (gate, left, _control, right) = gated();
    let c = over(left, right).await;
    gate.set(&gate.shut, true);
    c.server.abort();
    drop(c);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(gate.dropped.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_device_comes_after_what_it_had_received_and_reaches_every_stream() {
    let (gate, left, _control, right) = gated();
    let mut c = over(left, right).await;
    c.connected.write_all(b"last words").await.unwrap();
    gate.set(&gate.ended, true);
    let mut text = [0; 10];
    within(1, c.accepted.read_exact(&mut text)).await.unwrap();
    assert_eq!(&text, b"last words");
    let error = within(1, c.accepted.read(&mut text)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(error.to_string().contains("planted: the device has ended"), "{error}");
    let error = within(1, TcpStream::connect(&c.server, "192.0.2.2:9")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(gate.dropped.load(Ordering::SeqCst), "nothing keeps it");
}

/// Receives one packet, and ends at once.
#[derive(Default)]
struct OnePacket(AtomicBool);

impl Device for OnePacket {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(1500)
    }
    fn description(&self) -> String {
        "one packet".into()
    }
    fn poll_recv(&self, _cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        if self.0.swap(true, Ordering::SeqCst) {
            return Poll::Ready(Err(io::Error::new(ErrorKind::NotConnected, "planted: the only reason")));
        }
        let _ = inbox.received_frame(vec![0x45; 40].into(), Meta::default());
        Poll::Ready(Ok(()))
    }
    fn send(&self, _packet: &Packet<'_>) -> io::Result<()> {
        Ok(())
    }
    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Fails to send, and receives nothing that is a packet.
struct Broken(AtomicBool);

impl Device for Broken {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(1500)
    }
    fn description(&self) -> String {
        "broken".into()
    }
    fn poll_recv(&self, _cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        if self.0.swap(true, Ordering::SeqCst) {
            return Poll::Pending;
        }
        let _ = inbox.refuse();
        Poll::Ready(Ok(()))
    }
    fn send(&self, _packet: &Packet<'_>) -> io::Result<()> {
        Err(io::Error::other("planted: it is broken"))
    }
    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_device_behind_refuses_is_counted_and_the_stack_knows_of_the_link_alone() {
    let device = Impaired::new(Broken(AtomicBool::new(false)), &LinkConfig::delayed(20 * MS), 1);
    let control = device.control();
    let stack = builder(1).device(device).build().unwrap();
    let attempt = TcpStream::connect(&stack, "192.0.2.9:9");
    assert!(tokio::time::timeout(Duration::from_secs(2), attempt).await.is_err());
    // The SYN and its repetition.
    let (outward, inward) = (control.outward(), control.inward());
    assert_eq!((outward.sent, outward.lost, outward.refused), (2, 0, 2));
    assert_eq!((inward.sent, inward.refused), (0, 1));
    assert_eq!(stack.device_status(), DeviceStatus::Up);
}

/// Seen: the reason was lost where the last packet and the end were found by the same call.
#[tokio::test(start_paused = true)]
async fn the_reason_of_an_end_is_told_right_behind_the_last_packet() {
    let device = Impaired::new(OnePacket::default(), &LinkConfig::delayed(20 * MS), 1);
    let mut received = Collected::default();
    let mut next = async || poll_fn(|cx| received.collect(|inbox| device.poll_recv(cx, inbox))).await;
    next().await.unwrap();
    let error = next().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::NotConnected, "planted: the only reason")
    );
    assert_eq!(received.frames.len(), 1);
}

/// The last acknowledgment is under way when its stack ends; without it the peer would wait for minutes.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_arrives_though_its_stack_has_ended() {
    for keeps_handle in [false, true] {
        let (left, right) = pair(&LinkConfig::delayed(Duration::from_secs(1)), 1);
        let mut c = over(left, right).await;
        c.connected.shutdown().await.unwrap();
        assert_eq!(within(5, c.accepted.read(&mut [0])).await.unwrap(), 0);
        c.accepted.write_all(b"bye").await.unwrap();
        let Connected { accepted, connected, listener, server, client } = c;
        drop((accepted, connected, listener));
        let handle = keeps_handle.then(|| server.clone());
        within(20, async { tokio::join!(server.shutdown(), client.shutdown()) }).await;
        drop(handle);
        // The device behind goes when nothing is under way.
        drop((server, client));
    }
    let (left, right) = pair(&LinkConfig::delayed(Duration::from_secs(1)), 1);
    left.send(&Packet::new(b"header", &[b"payload"], None)).unwrap();
    let mut received = Collected::default();
    let nothing = poll_fn(|cx| Poll::Ready(received.collect(|inbox| left.poll_recv(cx, inbox)).is_pending()));
    assert!(nothing.await);
    drop(left);
    poll_fn(|cx| received.collect(|inbox| right.poll_recv(cx, inbox))).await.unwrap();
    assert_eq!(received.frames[0].0, b"headerpayload"[..]);
    let end = within(1, poll_fn(|cx| received.collect(|inbox| right.poll_recv(cx, inbox)))).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn outside_a_runtime_it_is_an_error_and_no_panic() {
    let (left, _right) = pair(&LinkConfig::default(), 1);
    let mut received = Collected::default();
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = received.collect(|inbox| left.poll_recv(&mut cx, inbox)) else {
        panic!("an error");
    };
    assert_eq!(error.kind(), ErrorKind::Other);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_packet_is_carried_and_counted_at_its_end() {
    use carrick::device::channel::channel;
    let (device, sender, _receiver) = channel(MemoryConfig::default());
    let device = Impaired::new(device, &LinkConfig { corrupt: 500_000, ..LinkConfig::default() }, 1);
    let stack = builder(1).device(device).build().unwrap();
    for len in [0, 1, 19, 20, 40, 1500] {
        for fill in [0, 0x45, 0x60, 0xff] {
            sender.send(vec![fill; len]).await.unwrap();
        }
    }
    settle().await;
    assert_eq!(stack.counters().endpoint.frames, 24);
    check_counters(&stack);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_and_real_time_move_the_same_bytes() {
    let link = LinkConfig { delay: MS, jitter: MS, reorder_by: 2 * MS, ..bad() };
    let (left, right) = pair(&link, 1);
    let Connected { accepted, connected, server: _server, client: _client, .. } = over(left, right).await;
    both_ways(accepted, connected, 200_000).await;
}
