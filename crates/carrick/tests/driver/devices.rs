//! Devices that block, lose, fail and panic.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::device::{Capabilities, Device, Inbox, Meta, Packet};
use carrick::{Stack, TcpListener, TcpStream};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

fn faulty<F: Fault>(config: MemoryConfig, fault: F) -> (Stack, Stack, Arc<F>) {
    let (a, b) = pair(config);
    let fault = Arc::new(fault);
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Faulty { device: b, fault: Arc::clone(&fault) }).build().unwrap();
    (server, client, fault)
}

/// Sends both ways until `len` bytes have gone each way.
async fn exchange(c: Connected, len: u64) {
    let both = |mut stream: TcpStream| async move {
        let (mut read, mut write) = stream.split();
        let writing = async {
            write_pattern(&mut write, len).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let (read, ()) = tokio::join!(read_pattern(&mut read), writing);
        assert_eq!(read.unwrap(), len);
    };
    within(3600, async { tokio::join!(both(c.accepted), both(c.connected)) }).await;
}

/// Says `WouldBlock` for `refused` of every `of` packets, and takes its time to be ready again.
struct Blocking {
    refused: usize,
    of: usize,
    sends: AtomicUsize,
    refusals: AtomicUsize,
    asked: AtomicUsize,
}

impl Fault for Blocking {
    fn on_send(&self, _: &Packet<'_>) -> io::Result<()> {
        if self.sends.fetch_add(1, Ordering::Relaxed) % self.of < self.refused {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn t_dev_1_would_block_anywhere() {
    for config in [MemoryConfig::default(), MemoryConfig::plain(1500)] {
        for (refused, of) in [(1, 2), (1, 3), (3, 4), (5, 47), (44, 45)] {
            let counts = [0; 3].map(AtomicUsize::new);
            let [sends, refusals, asked] = counts;
            let (server, client, fault) = faulty(config, Blocking { refused, of, sends, refusals, asked });
            let c = connect(server, client.clone()).await;
            let began = tokio::time::Instant::now();
            exchange(c, 1_000_000).await;
            assert!(began.elapsed() < Duration::from_millis(200), "nothing had to be sent twice");
            assert_eq!(client.counters().device_lost, 0);
            let refusals = fault.refusals.load(Ordering::Relaxed);
            assert!(refusals > 0);
            let sends = fault.sends.load(Ordering::Relaxed);
            assert!(refusals <= (sends - refusals + 1) * refused, "{refusals} of {sends}");
        }
    }
    carrick_covers::covers!("TUN-3");
}

/// Takes nothing until it is told to.
#[derive(Default)]
struct Stuck {
    stuck: AtomicBool,
    refusals: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Fault for Stuck {
    fn on_send(&self, _: &Packet<'_>) -> io::Result<()> {
        if !self.stuck.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refusals.fetch_add(1, Ordering::Relaxed);
        Err(ErrorKind::WouldBlock.into())
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.stuck.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn t_dev_1_a_device_stuck_for_long_costs_nothing_and_then_goes_on() {
    let (server, client, fault) = faulty(MemoryConfig::plain(1500), Stuck::default());
    let mut c = connect(server, client.clone()).await;
    fault.stuck.store(true, Ordering::Relaxed);
    let writer = tokio::spawn(async move {
        write_pattern(&mut c.connected, 3_000_000).await.unwrap();
        c.connected.shutdown().await.unwrap();
        c.connected
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    let refusals = fault.refusals.load(Ordering::Relaxed);
    assert!(refusals < 20, "it was tried {refusals} times in vain");
    assert!(client.memory_used() < 1 << 20);
    fault.stuck.store(false, Ordering::Relaxed);
    fault.waker.lock().unwrap().take().expect("somebody waits").wake();
    assert_eq!(within(60, read_pattern(&mut c.accepted)).await.unwrap(), 3_000_000);
    within(60, writer).await.unwrap();
    carrick_covers::covers!("T-DEV-1");
}

/// Fails one send.
struct FailsOnce {
    at: usize,
    kind: ErrorKind,
    sends: AtomicUsize,
}

impl Fault for FailsOnce {
    fn on_send(&self, _: &Packet<'_>) -> io::Result<()> {
        if self.sends.fetch_add(1, Ordering::Relaxed) == self.at {
            return Err(self.kind.into());
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn t_dev_2_each_passing_error_at_each_call() {
    for kind in [ErrorKind::Interrupted, ErrorKind::OutOfMemory, ErrorKind::NetworkDown, ErrorKind::Other] {
        for at in 0..25 {
            let (server, client, fault) =
                faulty(MemoryConfig::plain(1500), FailsOnce { at, kind, sends: AtomicUsize::new(0) });
            let c = connect(server, client.clone()).await;
            exchange(c, 20_000).await;
            let lost = client.counters().device_lost;
            // An interrupted call is repeated; a packet the device could not send is a lost packet.
            let failed = fault.sends.load(Ordering::Relaxed) > at && kind != ErrorKind::Interrupted;
            assert_eq!(lost, u64::from(failed), "{kind:?} at {at}");
            assert!(failed || kind == ErrorKind::Interrupted || at > 10);
        }
    }
    carrick_covers::covers!("T-DEV-2");
}

#[tokio::test(start_paused = true)]
async fn t_dev_2_interrupted_for_ever_is_no_hang() {
    struct Always;
    impl Fault for Always {
        fn on_send(&self, _: &Packet<'_>) -> io::Result<()> {
            Err(ErrorKind::Interrupted.into())
        }
    }
    let (_server, client, _) = faulty(MemoryConfig::default(), Always);
    let error = within(600, TcpStream::connect(&client, SERVER)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "it timed out, and not for want of an answer");
}

/// Ends, by error or panic, when told to.
#[derive(Default)]
struct Ends {
    ended: AtomicBool,
    panics: bool,
    waker: Mutex<Option<Waker>>,
}

impl Ends {
    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        let waker = self.waker.lock().unwrap().take();
        waker.expect("the device task has read").wake();
    }
}

impl Fault for Ends {
    fn on_send(&self, _: &Packet<'_>) -> io::Result<()> {
        Ok(())
    }

    fn on_recv(&self, cx: &mut Context<'_>) -> io::Result<()> {
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        if !self.ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        assert!(!self.panics, "planted: the device panics");
        Err(io::Error::new(ErrorKind::NotFound, "unplugged"))
    }
}

async fn everyone_is_told(panics: bool, kind: ErrorKind) {
    let (server, client, fault) = faulty(MemoryConfig::default(), Ends { panics, ..Ends::default() });
    let Connected { accepted: _accepted, mut connected, listener, server: _server, client } =
        connect(server, client).await;
    let own = TcpListener::bind(&client, "192.0.2.2:99").await.unwrap();
    let mut full = within(5, TcpStream::connect(&client, SERVER)).await.unwrap();
    let _accepted_too = listener.accept().await.unwrap();
    let waiting = {
        let client = client.clone();
        let connecting =
            tokio::spawn(async move { TcpStream::connect(&client, "192.0.2.77:1").await.map(drop) });
        let reading = tokio::spawn(async move { connected.read(&mut [0; 1]).await.map(drop) });
        let writing = tokio::spawn(async move {
            loop {
                full.write_all(&[0; 10_000]).await?;
            }
        });
        let accepting = tokio::spawn(async move { own.accept().await.map(drop) });
        [connecting, reading, writing, accepting]
    };
    settle().await;
    fault.end();
    for task in waiting {
        assert_eq!(within(1, task).await.unwrap().unwrap_err().kind(), kind);
    }
    assert_eq!(TcpStream::connect(&client, SERVER).await.unwrap_err().kind(), kind);
    assert_eq!(TcpListener::bind(&client, "192.0.2.2:98").await.unwrap_err().kind(), kind);
    within(1, client.shutdown()).await;
    assert_eq!(client.memory_used(), 0);
}

#[tokio::test(start_paused = true)]
async fn t_dev_3_the_device_ends() {
    everyone_is_told(false, ErrorKind::NotFound).await;
}

#[tokio::test(start_paused = true)]
async fn t_dev_7_the_device_panics() {
    everyone_is_told(true, ErrorKind::Other).await;
    carrick_covers::covers!("T-DEV-7");
}

#[tokio::test(start_paused = true)]
async fn the_other_end_of_a_memory_link_is_dropped() {
    let mut c = connected(MemoryConfig::default()).await;
    drop((c.accepted, c.listener));
    assert_eq!(within(5, c.connected.read(&mut [0; 1])).await.unwrap(), 0);
    c.server.abort();
    drop(c.server);
    within(5, async {
        while c.connected.write(b"x").await.is_ok() {
            settle().await;
        }
    })
    .await;
}

/// A device that always has more garbage to read.
pub(crate) struct Flooding<D>(pub(crate) D);

impl<D: Device> Device for Flooding<D> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn description(&self) -> String {
        "flooding".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        if self.0.poll_recv(cx, inbox)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            inbox.buffer()[..40].fill(0x45);
            if inbox.received(40, Meta::default()).is_break() {
                return Poll::Ready(Ok(()));
            }
        }
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.0.send(packet)
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }
}

struct Counts(AtomicUsize);
impl Fault for Counts {
    fn on_send(&self, _: &Packet<'_>) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn t_fld_11_a_flood_starves_neither_timers_nor_applications() {
    let (a, b) = pair(MemoryConfig::default());
    let sent = Arc::new(Counts(AtomicUsize::new(0)));
    let server = builder(1).device(a).build().unwrap();
    let flooded = Flooding(Faulty { device: b, fault: Arc::clone(&sent) });
    let client = builder(2).device(flooded).build().unwrap();
    // Timers: the second SYN is due after 1 s, and may be 20 ms late.
    let silent = client.clone();
    let attempt = tokio::spawn(async move { TcpStream::connect(&silent, "192.0.2.77:1").await });
    settle().await;
    assert_eq!(sent.0.load(Ordering::Relaxed), 1);
    let mut late = None;
    for ms in 1..1100 {
        tokio::time::advance(Duration::from_millis(1)).await;
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if sent.0.load(Ordering::Relaxed) == 2 {
            late = Some(ms - 1000);
            break;
        }
    }
    let late = late.expect("the SYN was sent again");
    assert!((0..=22).contains(&late), "{late} ms late");
    attempt.abort();
    // Applications: a conversation goes on through the flood.
    let c = connect(server, client.clone()).await;
    let mut turns = 0;
    let mut exchange = Box::pin(exchange(c, 300_000));
    while poll_once(&mut exchange).await.is_pending() {
        tokio::task::yield_now().await;
        turns += 1;
        assert!(turns < 100_000, "stalled");
    }
    assert!(client.counters().endpoint.discarded_by_endpoint() > 10_000, "there was a flood");
    check_counters(&client);
}

/// What was said to be worth a warning, on this thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| {
            text += &format!("{field}: {value:?} ");
        });
        self.0.lock().unwrap().push(text);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Says that no super-segment is valid, although its link takes them.
#[derive(Default)]
struct Refusing {
    refused: AtomicUsize,
    taken: AtomicUsize,
}

impl Fault for Refusing {
    fn on_send(&self, packet: &Packet<'_>) -> io::Result<()> {
        if packet.segment_size.is_some() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(ErrorKind::InvalidInput.into());
        }
        assert!(packet.total_len() <= 1500);
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn super_segments_that_the_device_refuses_are_cut_and_soon_no_longer_offered() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let (server, client, fault) = faulty(MemoryConfig::default(), Refusing::default());
    let c = connect(server, client.clone()).await;
    exchange(c, 1 << 20).await;
    assert_eq!(fault.refused.load(Ordering::Relaxed), 3);
    let said = warnings.0.lock().unwrap();
    assert!(matches!(&said[..], [one] if one.contains("refuses super-segments")), "once: {said:?}");
    assert!(fault.taken.load(Ordering::Relaxed) > (1 << 20) / 1460);
    assert_eq!(client.counters().device_lost, 0, "refused is not lost");
}

/// Receives something now and then that is no packet.
struct Babbling<D> {
    device: D,
    calls: AtomicUsize,
}

impl<D: Device> Device for Babbling<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }
    fn description(&self) -> String {
        "babbling".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            let _ = inbox.refuse();
            return Poll::Ready(Ok(()));
        }
        self.device.poll_recv(cx, inbox)
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.device.send(packet)
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn t_mal_18_what_is_no_packet_is_counted_and_the_loop_goes_on() {
    let (a, b) = pair(MemoryConfig::default());
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Babbling { device: b, calls: AtomicUsize::new(0) }).build().unwrap();
    let c = connect(server, client.clone()).await;
    exchange(c, 1 << 20).await;
    assert!(client.counters().device_refused > 10, "{:?}", client.counters());
}
