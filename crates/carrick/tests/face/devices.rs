//! T-DEV-3: what becomes of a device reaches everybody who waits, whatever for, within a second.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::device::{Capabilities, Device, Inbox, Packet};
use carrick::{ConnectionConfig, DeviceStatus, TcpListener, TcpStream};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, Interest};
use tokio::task::JoinHandle;

/// How a device goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wrong {
    /// Reading says so.
    Receiving,
    /// Sending would block, and asking when it may be tried again says so.
    Asking,
    /// Sending fails, every time; reading gives nothing any more.
    Sending,
    /// Nothing moves any more.
    Blocked,
}

#[derive(Default)]
struct State {
    wrong: Option<Wrong>,
    wakers: Vec<Waker>,
}

struct Breaks<D>(D, Arc<Mutex<State>>);

fn gone() -> io::Error {
    io::Error::new(ErrorKind::NotFound, "unplugged")
}

impl<D: Device> Device for Breaks<D> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn description(&self) -> String {
        "breaks".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let mut state = self.1.lock().unwrap();
        state.wakers.push(cx.waker().clone());
        match state.wrong {
            None => self.0.poll_recv(cx, inbox),
            Some(Wrong::Receiving) => Poll::Ready(Err(gone())),
            Some(_) => Poll::Pending,
        }
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        match self.1.lock().unwrap().wrong {
            None => self.0.send(packet),
            Some(Wrong::Sending) => Err(ErrorKind::NetworkDown.into()),
            Some(_) => Err(ErrorKind::WouldBlock.into()),
        }
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.1.lock().unwrap();
        state.wakers.push(cx.waker().clone());
        match state.wrong {
            None => self.0.poll_send_ready(cx),
            Some(Wrong::Asking) => Poll::Ready(Err(gone())),
            Some(_) => Poll::Pending,
        }
    }
}

/// A client's stack whose device goes wrong, and tasks that wait there in every way that there is.
struct Waiting {
    c: Connected,
    tasks: Vec<(&'static str, JoinHandle<io::Error>)>,
    state: Arc<Mutex<State>>,
}

impl Waiting {
    async fn new() -> Self {
        Self::with_limit(None).await
    }

    /// With a limit on how long an outage may last.
    async fn with_limit(limit: Option<Duration>) -> Self {
        let (a, b) = pair(MemoryConfig::default());
        let state = Arc::new(Mutex::new(State::default()));
        let config =
            ConnectionConfig { send_buffer: 4096, receive_buffer: 4096, ..ConnectionConfig::default() };
        let server = builder(1).connection_config(config.clone()).device(a).build().unwrap();
        let device = Breaks(b, Arc::clone(&state));
        let mut client = builder(2).connection_config(config).device(device);
        if let Some(limit) = limit {
            client = client.device_outage_limit(limit);
        }
        let client = client.build().unwrap();
        let mut c = connect(server, client).await;
        let mut tasks: Vec<(&'static str, JoinHandle<io::Error>)> = Vec::new();
        macro_rules! waits {
            ($name:literal, $stream:ident, $future:expr) => {
                let (accepted, connected) =
                    tokio::join!(c.listener.accept(), TcpStream::connect(&c.client, SERVER));
                std::mem::forget(accepted.unwrap());
                #[allow(unused_mut, reason = "some need it")]
                let mut $stream = connected.unwrap();
                tasks.push(($name, tokio::spawn(async move { $future })));
            };
        }
        waits!("read", s, s.read(&mut [0]).await.unwrap_err());
        waits!("peek", s, s.peek(&mut [0]).await.unwrap_err());
        waits!("read_chunk", s, s.read_chunk(1).await.unwrap_err());
        waits!("fill_buf", s, s.into_split().0.buffered().fill_buf().await.unwrap_err());
        waits!("closed", s, s.closed().await.unwrap_err());
        waits!("readable", s, {
            s.readable().await.unwrap();
            s.try_read(&mut [0]).unwrap_err()
        });
        waits!("error", s, {
            assert!(s.ready(Interest::ERROR).await.unwrap().is_error());
            s.take_error().unwrap().unwrap()
        });
        waits!("async_io", s, s.async_io(Interest::READABLE, || s.try_read(&mut [0])).await.unwrap_err());
        waits!(
            "write",
            s,
            loop {
                if let Err(error) = s.write(&[0; 1000]).await {
                    break error;
                }
            }
        );
        waits!(
            "writable",
            s,
            loop {
                s.writable().await.unwrap();
                if let Err(error) = s.try_write(&[0; 1000])
                    && error.kind() != ErrorKind::WouldBlock
                {
                    break error;
                }
            }
        );
        let own = TcpListener::bind(&c.client, "192.0.2.2:99").await.unwrap();
        tasks.push(("accept", tokio::spawn(async move { own.accept().await.unwrap_err() })));
        let client = c.client.clone();
        tasks.push((
            "connect",
            tokio::spawn(async move { TcpStream::connect(&client, "192.0.2.77:1").await.unwrap_err() }),
        ));
        settle().await;
        for (name, task) in &tasks {
            assert!(!task.is_finished(), "{name} waits");
        }
        // Something to be sent, so that sending is tried.
        c.connected.write_all(b"x").await.unwrap();
        Self { c, tasks, state }
    }

    async fn go_wrong(&mut self, wrong: Wrong) {
        let wakers = {
            let mut state = self.state.lock().unwrap();
            state.wrong = Some(wrong);
            std::mem::take(&mut state.wakers)
        };
        let _ = self.c.connected.write(b"y").await;
        wakers.into_iter().for_each(Waker::wake);
    }

    fn mend(&self) {
        let wakers = {
            let mut state = self.state.lock().unwrap();
            state.wrong = None;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn all_are_told(self, kind: ErrorKind) {
        for (name, task) in self.tasks {
            let error = within(1, task).await.unwrap();
            assert_eq!(error.kind(), kind, "{name}: {error}");
        }
        within(1, self.c.client.shutdown()).await;
        drop(self.c.connected);
        assert_eq!((self.c.client.connections(), self.c.client.memory_used()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn t_dev_3_a_device_that_ends_is_told_to_everybody_within_a_second() {
    for wrong in [Wrong::Receiving, Wrong::Asking] {
        let mut waiting = Waiting::new().await;
        waiting.go_wrong(wrong).await;
        waiting.all_are_told(ErrorKind::NotFound).await;
    }
    carrick_covers::covers!("T-DEV-3");
}

#[tokio::test(start_paused = true)]
async fn t_dev_3_a_device_that_moves_nothing_is_an_outage_that_can_be_ended_at_once() {
    // That it will never move again nobody can know: until somebody ends it, it is loss.
    for wrong in [Wrong::Sending, Wrong::Blocked] {
        let mut waiting = Waiting::new().await;
        waiting.go_wrong(wrong).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        for (name, task) in &waiting.tasks {
            assert!(!task.is_finished(), "{wrong:?}: {name} waits");
        }
        waiting.c.client.abort();
        waiting.all_are_told(ErrorKind::ConnectionAborted).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t_dev_3_patience_runs_out_also_where_nothing_moves() {
    for wrong in [Wrong::Sending, Wrong::Blocked] {
        let mut waiting = Waiting::new().await;
        waiting.c.connected.set_user_timeout(Some(Duration::from_secs(10))).unwrap();
        waiting.go_wrong(wrong).await;
        let began = tokio::time::Instant::now();
        let error = within(13, waiting.c.connected.read(&mut [0])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{wrong:?}");
        assert!(began.elapsed() >= Duration::from_secs(9));
        waiting.c.client.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn t_dev_3_a_short_outage_is_loss() {
    for wrong in [Wrong::Sending, Wrong::Blocked] {
        let mut waiting = Waiting::new().await;
        waiting.go_wrong(wrong).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        waiting.mend();
        let mut buf = [0; 2];
        within(20, waiting.c.accepted.read_exact(&mut buf)).await.unwrap();
        assert_eq!(&buf, b"xy");
        waiting.c.client.abort();
    }
    carrick_covers::covers!("T-DEV-3");
}

#[tokio::test(start_paused = true)]
async fn t_dev_3_an_outage_is_to_be_seen_at_once_and_until_it_is_over() {
    for wrong in [Wrong::Sending, Wrong::Blocked] {
        let mut waiting = Waiting::new().await;
        let client = waiting.c.client.clone();
        // What has been written is acknowledged, so that more leaves at once.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(client.device_status(), DeviceStatus::Up);
        let began = tokio::time::Instant::now();
        waiting.go_wrong(wrong).await;
        settle().await;
        let DeviceStatus::Down(outage) = client.device_status() else {
            panic!("{:?}", client.device_status())
        };
        let fails = wrong == Wrong::Sending;
        assert_eq!((outage.since, outage.error), (began, fails.then_some(ErrorKind::NetworkDown)));
        tokio::time::sleep(Duration::from_secs(10)).await;
        let DeviceStatus::Down(outage) = client.device_status() else {
            panic!("{:?}", client.device_status())
        };
        assert_eq!(outage.since, began, "one outage, however often it is tried");
        assert_eq!(outage.lost > 2, fails, "{outage:?}");
        for (name, task) in &waiting.tasks {
            assert!(!task.is_finished(), "{wrong:?}: {name} waits");
        }
        waiting.mend();
        within(20, waiting.c.accepted.read_exact(&mut [0; 2])).await.unwrap();
        assert_eq!(client.device_status(), DeviceStatus::Up);
        client.abort();
        assert_eq!(client.device_status(), DeviceStatus::Ended);
    }
    carrick_covers::covers!("T-DEV-3");
}

#[tokio::test(start_paused = true)]
async fn t_dev_3_an_outage_is_to_be_seen_at_each_stream_within_a_second() {
    use carrick::ConnectionError::NetworkUnreachable;
    for wrong in [Wrong::Sending, Wrong::Blocked] {
        let (a, b) = pair(MemoryConfig::default());
        let state = Arc::new(Mutex::new(State::default()));
        let server = builder(1).device(a).build().unwrap();
        let config = ConnectionConfig { syn_retries: 1, ..ConnectionConfig::default() };
        let device = Breaks(b, Arc::clone(&state));
        let client = builder(2).connection_config(config).device(device).build().unwrap();
        let listener = TcpListener::bind(&server, SERVER).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..3 {
            let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, SERVER));
            streams.push((connected.unwrap(), accepted.unwrap().0));
        }
        state.lock().unwrap().wrong = Some(wrong);
        let soft_errors = |streams: &[(TcpStream, TcpStream)]| -> Vec<_> {
            streams.iter().map(|(stream, _)| stream.tcp_info().unwrap().soft_error).collect()
        };
        streams[0].0.write_all(b"x").await.unwrap();
        assert_eq!(soft_errors(&streams), [None; 3]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The others have nothing to send, and stand for nothing less.
        assert_eq!(soft_errors(&streams), [Some(NetworkUnreachable); 3], "{wrong:?}");
        let error = within(60, TcpStream::connect(&client, SERVER)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "{wrong:?}");
        let wakers = {
            let mut state = state.lock().unwrap();
            state.wrong = None;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
        within(60, streams[0].1.read_exact(&mut [0])).await.unwrap();
        settle().await;
        assert_eq!(soft_errors(&streams), [None; 3], "{wrong:?}");
        // With a device that works a peer that is silent is just that.
        let error = within(60, TcpStream::connect(&client, "192.0.2.77:1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
    carrick_covers::covers!("T-DEV-1");
    carrick_covers::covers!("T-DEV-2");
}

/// Seen: where the device only ever said that it had no room, whoever connected waited for ever, and so did a stream that
/// had nothing under way when it began.
#[tokio::test(start_paused = true)]
async fn t_dev_3_an_outage_that_does_not_end_is_a_timeout_to_everybody() {
    for wrong in [Wrong::Sending, Wrong::Blocked] {
        let (a, b) = pair(MemoryConfig::default());
        let state = Arc::new(Mutex::new(State::default()));
        let server = builder(1).device(a).build().unwrap();
        let device = Breaks(b, Arc::clone(&state));
        let client = builder(2).device(device).build().unwrap();
        let Connected { accepted: _accepted, mut connected, .. } = connect(server, client.clone()).await;
        state.lock().unwrap().wrong = Some(wrong);
        let began = tokio::time::Instant::now();
        let attempt = async {
            let error = within(300, TcpStream::connect(&client, SERVER)).await.unwrap_err();
            // As long as an attempt that nobody answers: 1 + 2 + 4 + ... seconds, 60 at most each.
            assert!(began.elapsed() >= Duration::from_secs(127), "{:?}", began.elapsed());
            error
        };
        let stream = async {
            connected.write_all(b"x").await.unwrap();
            let error = within(1500, connected.read(&mut [0])).await.unwrap_err();
            assert!(began.elapsed() >= Duration::from_secs(600), "{:?}", began.elapsed());
            error
        };
        let (attempt, stream) = tokio::join!(attempt, stream);
        assert_eq!(attempt.kind(), ErrorKind::NetworkUnreachable, "{wrong:?}");
        assert_eq!(stream.kind(), ErrorKind::TimedOut, "{wrong:?}");
        drop(connected);
        settle().await;
        assert_eq!((client.connections(), client.memory_used()), (0, 0), "{wrong:?}");
    }
    carrick_covers::covers!("T-DEV-1");
    carrick_covers::covers!("T-DEV-3");
}

/// A SYN that found no room leaves at once when there is some, however long its timer would still run.
#[tokio::test(start_paused = true)]
async fn t_dev_1_who_connects_in_an_outage_is_connected_when_it_is_over() {
    let (a, b) = pair(MemoryConfig::default());
    let state = Arc::new(Mutex::new(State { wrong: Some(Wrong::Blocked), ..State::default() }));
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Breaks(b, Arc::clone(&state))).build().unwrap();
    let _listener = TcpListener::bind(&server, SERVER).await.unwrap();
    let connecting = tokio::spawn(async move { TcpStream::connect(&client, SERVER).await.map(drop) });
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!connecting.is_finished());
    let wakers = {
        let mut state = state.lock().unwrap();
        state.wrong = None;
        std::mem::take(&mut state.wakers)
    };
    wakers.into_iter().for_each(Waker::wake);
    settle().await;
    assert!(connecting.is_finished());
    connecting.await.unwrap().unwrap();
    carrick_covers::covers!("T-DEV-1");
}

/// Seen: a device failed for one packet, nobody had anything to send after it, and the limit ended a healthy stack. And for
/// as long as nobody had, the device was down, and each stream had that as its soft error.
#[tokio::test(start_paused = true)]
async fn t_dev_3_one_lost_packet_and_silence_reach_no_limit() {
    for still_wrong in [false, true] {
        let (a, b) = pair(MemoryConfig::default());
        let state = Arc::new(Mutex::new(State::default()));
        let server = builder(1).device(a).build().unwrap();
        let limit = Duration::from_secs(30);
        let device = Breaks(b, Arc::clone(&state));
        let client = builder(2).device(device).device_outage_limit(limit).build().unwrap();
        let c = connect(server, client).await;
        let bystander = within(1, TcpStream::connect(&c.client, SERVER)).await.unwrap();
        let soft_error = || bystander.tcp_info().unwrap().soft_error;
        // A reset is not sent again.
        state.lock().unwrap().wrong = Some(Wrong::Sending);
        c.connected.set_zero_linger().unwrap();
        drop(c.connected);
        settle().await;
        state.lock().unwrap().wrong = still_wrong.then_some(Wrong::Sending);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let DeviceStatus::Down(outage) = c.client.device_status() else {
            panic!("{:?}", c.client.device_status())
        };
        assert_eq!(outage.lost, 1);
        assert_eq!(soft_error(), Some(carrick::ConnectionError::NetworkUnreachable));
        tokio::time::sleep(Duration::from_secs(99)).await;
        assert_eq!((c.client.device_status(), soft_error()), (DeviceStatus::Up, None));
        let again = within(1, TcpStream::connect(&c.client, SERVER)).await;
        if still_wrong {
            // It has not taken a packet for longer than the limit, and says so again.
            assert_eq!(again.unwrap_err().kind(), ErrorKind::NetworkDown);
            assert_eq!(c.client.device_status(), DeviceStatus::Ended);
        } else {
            again.unwrap();
            assert_eq!(c.client.device_status(), DeviceStatus::Up);
        }
    }
    carrick_covers::covers!("T-DEV-3");
}

#[tokio::test(start_paused = true)]
async fn t_dev_3_with_a_limit_an_outage_reaches_everybody_within_a_second() {
    for wrong in [Wrong::Sending, Wrong::Blocked] {
        let mut waiting = Waiting::with_limit(Some(Duration::from_millis(900))).await;
        // A shorter one is survived.
        waiting.go_wrong(wrong).await;
        tokio::time::sleep(Duration::from_millis(850)).await;
        waiting.mend();
        within(20, waiting.c.accepted.read_exact(&mut [0; 2])).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(waiting.c.client.device_status(), DeviceStatus::Up);
        waiting.go_wrong(wrong).await;
        let client = waiting.c.client.clone();
        waiting.all_are_told(ErrorKind::NetworkDown).await;
        assert_eq!(client.device_status(), DeviceStatus::Ended);
        let error = TcpStream::connect(&client, SERVER).await.unwrap_err();
        assert_eq!(error.to_string(), "the stack's device failed: it has taken no packet for 900ms");
    }
    carrick_covers::covers!("T-DEV-1");
    carrick_covers::covers!("T-DEV-2");
    carrick_covers::covers!("T-DEV-3");
}
