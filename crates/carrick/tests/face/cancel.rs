//! T-ASY-1: every await, dropped at every poll; then the job is finished in another way. Nothing is lost or doubled, no
//! other waiter stays behind, nothing is left over in the end.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{
    BufferedReadHalf, ConnectionConfig, ListenAddr, OwnedReadHalf, OwnedWriteHalf, ReadHalf, Stack,
    TcpListener, TcpSocket, TcpStream, WriteHalf,
};
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, Interest};

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls a future up to `polls` times, letting the world go on for `turns` between them, as an executor would: again only
/// after it was woken. Gives the result if there was one; else the future is dropped, however it stands.
async fn poll_and_drop<T>(future: impl Future<Output = T>, polls: usize, turns: usize) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let wakes = Arc::new(Wakes::default());
    let waker: Waker = Arc::clone(&wakes).into();
    for _ in 0..polls {
        let seen = wakes.0.load(Ordering::Relaxed);
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(result);
        }
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if wakes.0.load(Ordering::Relaxed) == seen {
            // It is dropped while it waits, or, if the caller's turns were too few, before it is woken.
            return None;
        }
    }
    None
}

/// How often to poll, and how far the world goes in between.
fn every_poll() -> impl Iterator<Item = (usize, usize)> {
    (0..6).flat_map(|polls| [0, 1, 2, 3, 5, 8, 40].map(|turns| (polls, turns)))
}

/// All awaits of a stream that read, write or wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Op {
    Read,
    ReadBuf,
    ReadExact,
    Peek,
    ReadChunk,
    FillBuf,
    ReadLine,
    Readable,
    Writable,
    Ready,
    AsyncIo,
    Write,
    WriteVectored,
    Flush,
    Shutdown,
    Closed,
}

const OPS: [Op; 16] = [
    Op::Read,
    Op::ReadBuf,
    Op::ReadExact,
    Op::Peek,
    Op::ReadChunk,
    Op::FillBuf,
    Op::ReadLine,
    Op::Readable,
    Op::Writable,
    Op::Ready,
    Op::AsyncIo,
    Op::Write,
    Op::WriteVectored,
    Op::Flush,
    Op::Shutdown,
    Op::Closed,
];

/// Through what an operation is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Via {
    Stream,
    BorrowedHalves,
    OwnedHalves,
    BufferedHalf,
}

impl Via {
    fn has(self, op: Op) -> bool {
        match self {
            Self::Stream => op != Op::FillBuf && op != Op::ReadLine,
            Self::BorrowedHalves | Self::OwnedHalves => {
                !matches!(op, Op::AsyncIo | Op::Closed | Op::FillBuf | Op::ReadLine)
            }
            Self::BufferedHalf => {
                matches!(op, Op::Read | Op::ReadBuf | Op::ReadExact | Op::FillBuf | Op::ReadLine)
            }
        }
    }
}

/// What an operation that completed has moved.
#[derive(Default)]
struct Moved {
    read: Vec<u8>,
    written: usize,
    shut: bool,
}

/// The bytes from `at` on that the stream is to carry.
fn text(at: usize, len: usize) -> Vec<u8> {
    (at..at + len).map(|i| pattern(i as u64)).collect()
}

/// Does an operation on what reads and what writes; `$whole` is for what only a stream can do.
macro_rules! act {
    ($op:ident, $begin:ident, $read:expr, $write:expr, |$moved:ident, $buf:ident| $whole:expr) => {{
        let mut buf = vec![0; 700];
        let mut moved = Moved::default();
        match $op {
            Op::Read => {
                let n = $read.read(&mut buf).await.unwrap();
                moved.read.extend_from_slice(&buf[..n]);
            }
            Op::ReadBuf => {
                $read.read_buf(&mut moved.read).await.unwrap();
            }
            // Not safe to drop where several reads are needed; one byte needs one.
            Op::ReadExact => {
                $read.read_exact(&mut buf[..1]).await.unwrap();
                moved.read.push(buf[0]);
            }
            Op::Peek => {
                let n = $read.peek(&mut buf).await.unwrap();
                assert_eq!(buf[..n], text(0, n));
            }
            Op::ReadChunk => {
                let chunk = $read.read_chunk(700).await.unwrap();
                moved.read.extend_from_slice(&chunk.unwrap_or_default());
            }
            Op::Readable => $read.readable().await.unwrap(),
            Op::Ready => drop($read.ready(Interest::READABLE | Interest::ERROR).await.unwrap()),
            Op::Writable => $write.writable().await.unwrap(),
            Op::Write => moved.written = $write.write(&text($begin, 5000)).await.unwrap(),
            Op::WriteVectored => {
                let parts = [text($begin, 1000), text($begin + 1000, 4000)];
                let parts = [IoSlice::new(&parts[0]), IoSlice::new(&parts[1])];
                moved.written = $write.write_vectored(&parts).await.unwrap();
            }
            Op::Flush => $write.flush().await.unwrap(),
            Op::Shutdown => {
                $write.shutdown().await.unwrap();
                moved.shut = true;
            }
            Op::AsyncIo | Op::Closed | Op::FillBuf | Op::ReadLine => {
                let ($moved, $buf) = (&mut moved, &mut buf);
                $whole
            }
        }
        moved
    }};
}

async fn act_on_stream(op: Op, stream: &mut TcpStream, begin: usize) -> Moved {
    act!(op, begin, stream, stream, |moved, buf| match op {
        Op::AsyncIo => {
            let n = stream.async_io(Interest::READABLE, || stream.try_read(buf)).await.unwrap();
            moved.read.extend_from_slice(&buf[..n]);
        }
        Op::Closed => stream.closed().await.unwrap(),
        _ => unreachable!("not on a stream"),
    })
}

async fn act_on_borrowed(op: Op, read: &mut ReadHalf<'_>, write: &mut WriteHalf<'_>, begin: usize) -> Moved {
    act!(op, begin, read, write, |_moved, _buf| unreachable!("not on halves"))
}

async fn act_on_owned(op: Op, read: &mut OwnedReadHalf, write: &mut OwnedWriteHalf, begin: usize) -> Moved {
    act!(op, begin, read, write, |_moved, _buf| unreachable!("not on halves"))
}

/// What is looked at and not consumed counts as read: it is left in the buffer, and taken out of it afterwards.
async fn act_on_buffered(op: Op, buffered: &mut BufferedReadHalf) -> Moved {
    let mut buf = vec![0; 700];
    let mut moved = Moved::default();
    match op {
        Op::Read => {
            let n = buffered.read(&mut buf).await.unwrap();
            moved.read.extend_from_slice(&buf[..n]);
        }
        Op::ReadBuf => {
            buffered.read_buf(&mut moved.read).await.unwrap();
        }
        Op::ReadExact => {
            buffered.read_exact(&mut buf[..1]).await.unwrap();
            moved.read.push(buf[0]);
        }
        Op::FillBuf => {
            let filled = buffered.fill_buf().await.unwrap().len();
            assert_eq!(buffered.buffer(), text(0, filled));
        }
        _ => unreachable!("not on a buffered half"),
    }
    moved
}

/// One conversation with small buffers, in which one operation is dropped at one of its polls.
async fn world(op: Op, via: Via, polls: usize, turns: usize) {
    let (a, b) = pair(MemoryConfig::default());
    let config =
        || ConnectionConfig { send_buffer: 4096, receive_buffer: 4096, ..ConnectionConfig::default() };
    let server = builder(1).connection_config(config()).device(a).build().unwrap();
    let client = builder(2).connection_config(config()).device(b).build().unwrap();
    let Connected { mut accepted, mut connected, listener, server, client } = connect(server, client).await;

    // For the operations that wait to write there is no room at first.
    let mut begin = 0;
    if matches!(op, Op::Writable | Op::Write | Op::WriteVectored) {
        loop {
            match connected.try_write(&text(begin, 3000)) {
                Ok(n) => begin += n,
                Err(_) if poll_once(&mut Box::pin(connected.writable())).await.is_pending() => break,
                Err(_) => {}
            }
            settle().await;
        }
    }
    // The peer talks, and reads, while the operation is under way.
    let peer = tokio::spawn(async move {
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        let (mut read, mut write) = accepted.split();
        let writing = async {
            write_pattern(&mut write, 9000).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let (got, ()) = tokio::join!(read_pattern(&mut read), writing);
        (got.unwrap(), accepted)
    });

    let mut got = Vec::new();
    let moved = match via {
        Via::Stream => poll_and_drop(act_on_stream(op, &mut connected, begin), polls, turns).await,
        Via::BorrowedHalves => {
            let (mut read, mut write) = connected.split();
            poll_and_drop(act_on_borrowed(op, &mut read, &mut write, begin), polls, turns).await
        }
        Via::OwnedHalves => {
            let (mut read, mut write) = connected.into_split();
            let moved = poll_and_drop(act_on_owned(op, &mut read, &mut write, begin), polls, turns).await;
            connected = read.reunite(write).unwrap();
            moved
        }
        Via::BufferedHalf => {
            let (read, write) = connected.into_split();
            let mut buffered = read.buffered();
            let moved = if op == Op::ReadLine {
                // It keeps what it has read in the caller's vector, also when it is dropped.
                let _end =
                    poll_and_drop(buffered.read_until(text(0, 600)[599], &mut got), polls, turns).await;
                None
            } else {
                poll_and_drop(act_on_buffered(op, &mut buffered), polls, turns).await
            };
            got.extend(moved.into_iter().flat_map(|moved| moved.read));
            let (read, rest) = buffered.into_parts();
            got.extend_from_slice(&rest);
            connected = read.reunite(write).unwrap();
            None
        }
    };
    if let Some(moved) = moved {
        got = moved.read;
        begin += moved.written;
        if moved.shut {
            assert_eq!(connected.try_write(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
        }
    }

    // Another way: all that is left is read and written with the usual calls.
    let stream = Arc::new(connected);
    let waiting = tokio::spawn({
        let stream = Arc::clone(&stream);
        async move { stream.readable().await.unwrap() }
    });
    within(60, waiting).await.unwrap();
    let mut connected = Arc::into_inner(stream).unwrap();
    let (mut read, mut write) = connected.split();
    let writing = async {
        if write.ready(Interest::WRITABLE).await.unwrap().is_write_closed() {
            return;
        }
        write.write_all(&text(begin, 5000)).await.unwrap();
        begin += 5000;
        write.shutdown().await.unwrap();
    };
    let (rest, ()) = within(60, async { tokio::join!(read_all(&mut read), writing) }).await;
    got.extend(rest.unwrap());
    assert!(got == text(0, 9000), "{op:?} {via:?}: {} bytes read", got.len());
    within(60, connected.closed()).await.unwrap();
    let (read_by_peer, accepted) = within(60, peer).await.unwrap();
    assert_eq!(read_by_peer, begin as u64, "{op:?} {via:?}");
    drop((accepted, connected, listener));
    nothing_is_left(&[server, client]).await;
}

async fn nothing_is_left(stacks: &[Stack]) {
    for stack in stacks {
        within(300, stack.shutdown()).await;
    }
    for stack in stacks {
        assert_eq!((stack.connections(), stack.memory_used()), (0, 0));
        check_counters(stack);
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_every_await_of_a_stream_and_its_halves() {
    for via in [Via::Stream, Via::BorrowedHalves, Via::OwnedHalves, Via::BufferedHalf] {
        for op in OPS.into_iter().filter(|op| via.has(*op)) {
            for (polls, turns) in every_poll() {
                world(op, via, polls, turns).await;
            }
        }
    }
    carrick_covers::covers!("T-ASY-1");
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_every_await_of_a_socket_that_connects() {
    for (polls, turns) in every_poll() {
        let (server, client) = stacks(MemoryConfig::default());
        let listener = TcpListener::bind(&server, SERVER).await.unwrap();
        let socket = TcpSocket::new_v4(&client).unwrap();
        socket.bind(addr("192.0.2.2:4000")).unwrap();
        let stream = poll_and_drop(socket.connect(addr(SERVER)), polls, turns).await;
        // The port is free again, be it for another peer while the attempt is being undone.
        let again = TcpSocket::new_v4(&client).unwrap();
        again.bind(addr("192.0.2.2:4000")).unwrap();
        let other = TcpListener::bind(&server, "192.0.2.1:81").await.unwrap();
        let _second = within(5, again.connect(addr("192.0.2.1:81"))).await.unwrap();
        if let Some(stream) = stream {
            let (accepted, peer) = within(1, listener.accept()).await.unwrap();
            assert_eq!(peer, stream.unwrap().local_addr().unwrap());
            drop(accepted);
        }
        drop((listener, other, _second));
        nothing_is_left(&[server, client]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_every_await_of_a_listener() {
    for (polls, turns) in every_poll() {
        // Binding: what was dropped has not begun to listen, or has ceased to.
        let (server, client) = stacks(MemoryConfig::default());
        drop(poll_and_drop(TcpListener::bind(&server, SERVER), polls, turns).await);
        let listener = within(1, TcpListener::bind(&server, SERVER)).await.unwrap();
        // Accepting: another waiter gets what the dropped one was woken for.
        let connecting = tokio::spawn({
            let client = client.clone();
            async move { TcpStream::connect(&client, SERVER).await.unwrap() }
        });
        let other = Arc::new(listener);
        let first = poll_and_drop(other.accept(), polls, turns).await;
        let accepted = match first {
            Some(accepted) => accepted.unwrap(),
            None => within(5, other.accept()).await.unwrap(),
        };
        let stream = within(5, connecting).await.unwrap();
        assert_eq!(accepted.1, stream.local_addr().unwrap());
        drop((accepted, stream, other));
        nothing_is_left(&[server, client]).await;
    }
    carrick_covers::covers!("T-ASY-1");
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_every_await_of_a_listener_for_any_address() {
    for (polls, turns) in every_poll() {
        let (a, b) = pair(MemoryConfig::default());
        let server = builder(1).any_address(true).device(a).build().unwrap();
        let client = builder(2).device(b).build().unwrap();
        let any = ListenAddr { address: None, port: None };
        let listener = TcpListener::bind_any(&server, any).unwrap();
        let connecting = tokio::spawn({
            let client = client.clone();
            async move { TcpStream::connect(&client, "203.0.113.7:443").await.unwrap() }
        });
        let first = poll_and_drop(listener.accept(), polls, turns).await;
        let (accepted, peer) = match first {
            Some(accepted) => accepted.unwrap(),
            None => within(5, listener.accept()).await.unwrap(),
        };
        let stream = within(5, connecting).await.unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        assert_eq!(accepted.local_addr().unwrap(), addr("203.0.113.7:443"));
        drop((accepted, stream, listener));
        nothing_is_left(&[server, client]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_connecting_to_several_addresses() {
    // The first refuses, the second is not one that can be connected to, the third answers.
    let addresses = [addr("192.0.2.1:9"), addr("224.0.0.1:80"), addr(SERVER), addr("192.0.2.1:81")];
    let mut ended = [0, 0];
    for (polls, turns) in every_poll() {
        let (server, client) = stacks(MemoryConfig::default());
        let listener = TcpListener::bind(&server, SERVER).await.unwrap();
        let last = TcpListener::bind(&server, "192.0.2.1:81").await.unwrap();
        match poll_and_drop(TcpStream::connect(&client, &addresses[..]), polls, turns).await {
            Some(stream) => {
                let mut stream = stream.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), addresses[2]);
                let (mut accepted, peer) = within(1, listener.accept()).await.unwrap();
                assert_eq!(peer, stream.local_addr().unwrap());
                stream.write_all(b"x").await.unwrap();
                within(1, accepted.read_exact(&mut [0])).await.unwrap();
                ended[0] += 1;
            }
            // Whatever attempt was under way is undone, and no other begun.
            None => {
                let opens = client.counters().tcp.active_opens;
                settle().await;
                assert_eq!(client.counters().tcp.active_opens, opens);
                assert_eq!(client.counters().tcp.curr_estab, 0);
                ended[1] += 1;
            }
        }
        assert!(poll_once(&mut Box::pin(last.accept())).await.is_pending(), "it was not its turn");
        drop((listener, last));
        nothing_is_left(&[server, client]).await;
    }
    assert!(ended.iter().all(|times| *times > 3), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_every_await_of_a_stack() {
    for (polls, turns) in every_poll() {
        let mut c = connected(MemoryConfig::default()).await;
        c.connected.write_all(&[1; 20_000]).await.unwrap();
        let peer = tokio::spawn(async move {
            let got = read_all(&mut c.accepted).await.unwrap();
            got.len()
        });
        let _ = poll_and_drop(c.client.shutdown(), polls, turns).await;
        if polls > 0 {
            // It closes at the first poll; only the waiting was dropped.
            assert_eq!(within(5, peer).await.unwrap(), 20_000);
        } else {
            assert_eq!(c.connected.write(b"x").await.unwrap(), 1);
            drop(c.connected);
            assert_eq!(within(5, peer).await.unwrap(), 20_001);
        }
        drop(c.listener);
        nothing_is_left(&[c.client, c.server]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_5_waiters_that_are_dropped_do_not_take_others_with_them() {
    // Ten wait for the same thing; those that are dropped, at whatever moment, are nobody's loss.
    for dropped in 0..10 {
        let mut c = connected(MemoryConfig::default()).await;
        let stream = Arc::new(c.accepted);
        let mut waiting: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for i in 0..10 {
            let stream = Arc::clone(&stream);
            waiting.push(Box::pin(async move {
                if i % 2 == 0 {
                    stream.readable().await.unwrap();
                } else {
                    stream.peek(&mut [0]).await.unwrap();
                }
            }));
        }
        for future in &mut waiting {
            assert!(poll_once(future).await.is_pending());
        }
        if dropped % 2 == 0 {
            drop(waiting.remove(dropped));
        }
        c.connected.write_all(b"x").await.unwrap();
        settle().await;
        if dropped % 2 == 1 {
            drop(waiting.remove(dropped));
        }
        for future in waiting {
            within(1, future).await;
        }
    }
}
