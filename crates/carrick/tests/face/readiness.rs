//! Readiness is true when it is told, for any number of waiters; what is done without waiting.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::device::{Capabilities, Device, Inbox, Packet};
use carrick::{ConnectionConfig, TcpStream};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};

/// Both ends of a connection whose buffers hold 4 KiB.
async fn small() -> Connected {
    let (a, b) = pair(MemoryConfig::default());
    let config =
        || ConnectionConfig { send_buffer: 4096, receive_buffer: 4096, ..ConnectionConfig::default() };
    let server = builder(1).connection_config(config()).device(a).build().unwrap();
    let client = builder(2).connection_config(config()).device(b).build().unwrap();
    connect(server, client).await
}

/// Writes until there is no room, and says how much that was.
fn fill(stream: &TcpStream) -> usize {
    let mut written = 0;
    loop {
        match stream.try_write(&[7; 1000]) {
            Ok(n) => written += n,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return written;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_number_of_tasks_wait_to_read() {
    let mut c = connected(MemoryConfig::default()).await;
    let stream = Arc::new(c.accepted);
    let waiting: Vec<_> = (0..10)
        .map(|i| {
            let stream = Arc::clone(&stream);
            tokio::spawn(async move {
                match i % 3 {
                    0 => stream.readable().await.unwrap(),
                    1 => assert!(stream.ready(Interest::READABLE).await.unwrap().is_readable()),
                    _ => assert_eq!(stream.peek(&mut [0; 9]).await.unwrap(), 1),
                }
            })
        })
        .collect();
    settle().await;
    assert_eq!(stream.try_read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(waiting.iter().all(|task| !task.is_finished()));
    c.connected.write_all(b"x").await.unwrap();
    for task in waiting {
        within(1, task).await.unwrap();
    }
    assert_eq!(stream.try_read(&mut [0; 9]).unwrap(), 1);
    // What was told before is not true any more, and is not told again.
    assert!(poll_once(&mut Box::pin(stream.readable())).await.is_pending());
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_write_learns_of_the_shutdown() {
    let c = small().await;
    let (read, write) = c.connected.into_split();
    let stream: &TcpStream = read.as_ref();
    while {
        settle().await;
        poll_once(&mut Box::pin(stream.writable())).await.is_ready()
    } {
        fill(stream);
    }
    let ready = async {
        let (ready, writable) = tokio::join!(stream.ready(Interest::WRITABLE), stream.writable());
        writable.unwrap();
        ready.unwrap()
    };
    let mut ready = Box::pin(ready);
    assert!(poll_once(&mut ready).await.is_pending());
    drop(write);
    assert!(within(1, ready).await.is_write_closed());
    assert_eq!(stream.try_write(&[0]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(c.accepted);
}

#[tokio::test(start_paused = true)]
async fn any_number_of_tasks_wait_to_write() {
    let mut c = small().await;
    let stream = Arc::new(c.connected);
    let mut written = 0;
    while {
        settle().await;
        poll_once(&mut Box::pin(stream.writable())).await.is_ready()
    } {
        written += fill(&stream);
    }
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let stream = Arc::clone(&stream);
            tokio::spawn(async move { stream.writable().await.unwrap() })
        })
        .collect();
    settle().await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    c.accepted.read_exact(&mut vec![0; written]).await.unwrap();
    for task in waiting {
        within(5, task).await.unwrap();
    }
    assert!(stream.try_write(b"x").is_ok(), "writable is no guess");
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_write_need_not_have_been_turned_away() {
    let mut c = small().await;
    // The peer's window, and then our buffer to the last byte, so that no write was ever cut short.
    let mut written = 0;
    while written < 8192 {
        written += c.connected.try_write(&vec![7; (8192 - written).min(1024)]).unwrap_or_default();
        settle().await;
    }
    let mut waiting = Box::pin(c.connected.writable());
    assert!(poll_once(&mut waiting).await.is_pending());
    c.accepted.read_exact(&mut vec![0; 8192]).await.unwrap();
    within(5, waiting).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_closed_is_told() {
    let mut c = connected(MemoryConfig::default()).await;
    let both = Interest::READABLE | Interest::WRITABLE;
    let ready = c.accepted.ready(both).await.unwrap();
    assert!(ready.is_writable() && !ready.is_readable());
    assert!(!ready.is_read_closed() && !ready.is_write_closed());
    // Bytes, and the end behind them.
    c.connected.write_all(b"last words").await.unwrap();
    c.connected.shutdown().await.unwrap();
    settle().await;
    let ready = c.accepted.ready(both | Interest::ERROR).await.unwrap();
    assert!(ready.is_readable() && ready.is_read_closed() && !ready.is_write_closed() && !ready.is_error());
    let mut buf = [0; 100];
    assert_eq!(c.accepted.try_read(&mut buf).unwrap(), 10);
    c.accepted.readable().await.unwrap();
    assert_eq!(c.accepted.try_read(&mut buf).unwrap(), 0, "the end is readable");
    let ready = c.connected.ready(Interest::WRITABLE).await.unwrap();
    assert!(ready.is_writable() && ready.is_write_closed(), "a write would not wait but fail");
    assert_eq!(c.connected.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_to_those_who_wait_for_it() {
    let c = connected(MemoryConfig::default()).await;
    let stream = Arc::new(c.connected);
    let waiting = tokio::spawn({
        let stream = Arc::clone(&stream);
        async move { stream.ready(Interest::ERROR).await.unwrap() }
    });
    settle().await;
    c.accepted.set_zero_linger().unwrap();
    drop(c.accepted);
    assert!(within(1, waiting).await.unwrap().is_error());
    let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap();
    assert!(ready.is_readable() && ready.is_writable() && ready.is_read_closed() && ready.is_write_closed());
    assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// Announces an urgent byte in the next ACK that it sends, when told to.
struct Urgent<D>(D, Arc<AtomicBool>);

impl<D: Device> Device for Urgent<D> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn description(&self) -> String {
        self.0.description()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv(cx, inbox)
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        if packet.payload_len() > 0 || !self.1.swap(false, Ordering::Relaxed) {
            return self.0.send(packet);
        }
        let mut header = packet.header.to_vec();
        header[20 + 13] |= 0x20;
        header[20 + 18..20 + 20].copy_from_slice(&1u16.to_be_bytes());
        self.0.send(&Packet::new(&header, packet.payload, packet.segment_size))
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn urgent_text_is_a_matter_of_priority() {
    let (a, b) = pair(MemoryConfig::default());
    let announce = Arc::new(AtomicBool::new(false));
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Urgent(b, Arc::clone(&announce))).build().unwrap();
    let mut c = connect(server, client).await;
    settle().await;
    announce.store(true, Ordering::Relaxed);
    c.accepted.write_all(b"?").await.unwrap();
    // The announcement comes before the text.
    let ready = within(1, c.accepted.ready(Interest::PRIORITY)).await.unwrap();
    assert!(ready.is_priority() && !ready.is_readable() && !announce.load(Ordering::Relaxed));
    c.connected.write_all(b"!and so on").await.unwrap();
    let mut buf = [0; 10];
    within(1, c.accepted.read_exact(&mut buf)).await.unwrap();
    assert_eq!(&buf, b"!and so on", "in line");
    assert!(poll_once(&mut Box::pin(c.accepted.ready(Interest::PRIORITY))).await.is_pending());
}

/// Counts its wake-ups.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting() -> (Arc<Counting>, Waker) {
    let counting = Arc::new(Counting::default());
    (Arc::clone(&counting), counting.into())
}

#[tokio::test(start_paused = true)]
async fn polls_of_one_direction_share_one_waker() {
    let mut c = connected(MemoryConfig::default()).await;
    let wakers: Vec<_> = (0..3).map(|_| counting()).collect();
    let mut bytes = [0; 9];
    let mut buf = ReadBuf::new(&mut bytes);
    let [first, second, third] = &wakers[..] else { unreachable!() };
    assert!(c.accepted.poll_read_ready(&mut Context::from_waker(&first.1)).is_pending());
    assert!(c.accepted.poll_peek(&mut Context::from_waker(&second.1), &mut buf).is_pending());
    assert!(Pin::new(&mut c.accepted).poll_read(&mut Context::from_waker(&third.1), &mut buf).is_pending());
    c.connected.write_all(b"abc").await.unwrap();
    settle().await;
    let counts: Vec<_> = wakers.iter().map(|(count, _)| count.0.load(Ordering::Relaxed)).collect();
    assert_eq!(counts, [0, 0, 1]);
    assert!(c.accepted.poll_read_ready(&mut Context::from_waker(&first.1)).is_ready());
    assert!(matches!(c.accepted.poll_peek(&mut Context::from_waker(&first.1), &mut buf), Poll::Ready(Ok(3))));
    assert_eq!(buf.filled(), b"abc");
}

#[tokio::test(start_paused = true)]
async fn who_polls_for_room_is_woken() {
    let mut c = small().await;
    let mut written = 0;
    while {
        settle().await;
        poll_once(&mut Box::pin(c.connected.writable())).await.is_ready()
    } {
        written += fill(&c.connected);
    }
    let (count, waker) = counting();
    assert!(c.connected.poll_write_ready(&mut Context::from_waker(&waker)).is_pending());
    c.accepted.read_exact(&mut vec![0; written]).await.unwrap();
    settle().await;
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(c.connected.poll_write_ready(&mut Context::from_waker(&waker)).is_ready());
}

#[tokio::test(start_paused = true)]
async fn peeking_takes_nothing() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.write_all(b"abcdef").await.unwrap();
    for len in [1, 6, 100] {
        let mut buf = vec![0; len];
        let n = within(1, c.accepted.peek(&mut buf)).await.unwrap();
        assert_eq!(&buf[..n], &b"abcdef"[..len.min(6)]);
    }
    assert_eq!(c.accepted.peek(&mut []).await.unwrap(), 0);
    c.connected.shutdown().await.unwrap();
    let (mut read, _write) = c.accepted.split();
    let mut buf = [0; 9];
    let mut filled = ReadBuf::new(&mut buf);
    filled.put_slice(b">");
    let n = std::future::poll_fn(|cx| read.poll_peek(cx, &mut filled)).await.unwrap();
    assert_eq!((n, filled.filled()), (6, &b">abcdef"[..]));
    assert_eq!(read.peek(&mut [0; 3]).await.unwrap(), 3);
    assert_eq!(within(1, read_all(&mut read)).await.unwrap(), b"abcdef");
    assert_eq!(read.peek(&mut [0; 3]).await.unwrap(), 0, "the end");
}

#[tokio::test(start_paused = true)]
async fn peeking_touches_only_what_it_fills() {
    let mut c = connected(MemoryConfig::default()).await;
    let mut bytes = [std::mem::MaybeUninit::uninit(); 100];
    let mut buf = ReadBuf::uninit(&mut bytes);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(c.accepted.poll_peek(&mut cx, &mut buf).is_pending());
    assert_eq!(buf.initialized().len(), 0);
    c.connected.write_all(b"abcdef").await.unwrap();
    settle().await;
    assert!(matches!(c.accepted.poll_peek(&mut cx, &mut buf), Poll::Ready(Ok(6))));
    assert_eq!((buf.filled(), buf.initialized().len()), (&b"abcdef"[..], 6));
    let mut few = [0; 4];
    let mut few = ReadBuf::new(&mut few);
    few.put_slice(b">");
    assert!(matches!(c.accepted.poll_peek(&mut cx, &mut few), Poll::Ready(Ok(3))));
    assert!(matches!(c.accepted.poll_peek(&mut cx, &mut few), Poll::Ready(Ok(0))));
    assert_eq!(few.filled(), b">abc");
}

#[tokio::test(start_paused = true)]
async fn several_buffers_are_filled_in_turn() {
    let mut c = connected(MemoryConfig::plain(1280)).await;
    // Several segments, so that the bytes lie in several places.
    let sent: Vec<u8> = (0..20_000).map(pattern).collect();
    c.connected.write_all(&sent).await.unwrap();
    settle().await;
    let mut got: Vec<u8> = Vec::new();
    while got.len() < sent.len() {
        let (mut a, mut b, mut d) = ([0; 3], [0; 0], vec![0; 7000]);
        let mut bufs = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b), IoSliceMut::new(&mut d)];
        match c.accepted.try_read_vectored(&mut bufs) {
            Ok(n) => got.extend(a.iter().chain(&d).take(n)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                within(1, c.accepted.readable()).await.unwrap();
            }
        }
    }
    assert_eq!(got, sent);
    assert_eq!(c.accepted.try_read(&mut []).unwrap(), 0);
    assert_eq!(c.accepted.try_write(&[]).unwrap(), 0);
    let parts = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
    assert_eq!(c.accepted.try_write_vectored(&parts).unwrap(), 7);
    let mut buf = [0; 7];
    within(1, c.connected.read_exact(&mut buf)).await.unwrap();
    assert_eq!(&buf, b"one two");
}

#[tokio::test(start_paused = true)]
async fn a_buffer_is_filled_as_far_as_it_has_room() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.write_all(&[b'x'; 1000]).await.unwrap();
    settle().await;
    let mut exact = Vec::with_capacity(10);
    let room = exact.capacity();
    assert_eq!(c.accepted.try_read_buf(&mut exact).unwrap(), room);
    assert_eq!(exact.capacity(), room);
    assert!(c.accepted.try_read_buf(&mut exact).unwrap() > 0, "a full vector grows");
    assert_eq!(c.accepted.try_read_buf(&mut &mut [0; 7][..]).unwrap(), 7);
    assert_eq!(c.accepted.try_read_buf(&mut &mut [0; 0][..]).unwrap(), 0);
    let mut rest = Vec::with_capacity(2000);
    assert_eq!(c.accepted.try_read_buf(&mut rest).unwrap(), 1000 - exact.len() - 7);
    assert_eq!(c.accepted.try_read_buf(&mut rest).unwrap_err().kind(), ErrorKind::WouldBlock);
    // Also where what has been received lies in several buffers.
    c.connected.write_all(&[b'y'; 200_000]).await.unwrap();
    settle().await;
    assert!(c.accepted.tcp_info().unwrap().unread > 100_000);
    let mut exact = vec![0; 90_000];
    assert_eq!(c.accepted.try_read_buf(&mut &mut exact[..]).unwrap(), 90_000);
    assert!(exact.iter().all(|byte| *byte == b'y'));
}

#[tokio::test(start_paused = true)]
async fn chunks_are_taken_as_they_are() {
    let mut c = connected(MemoryConfig::default()).await;
    let sent: Vec<u8> = (0..300_000).map(pattern).collect();
    let writing = {
        let sent = sent.clone();
        tokio::spawn(async move {
            c.connected.write_all(&sent).await.unwrap();
            c.connected.shutdown().await.unwrap();
            c.connected
        })
    };
    let mut got = Vec::new();
    let mut chunks = 0;
    while let Some(chunk) = within(5, c.accepted.read_chunk(usize::MAX)).await.unwrap() {
        got.extend_from_slice(&chunk);
        chunks += 1;
    }
    assert!(got == sent);
    assert!(chunks < 30, "{chunks} chunks of {} bytes", sent.len() / chunks);
    assert_eq!(c.accepted.read_chunk(0).await.unwrap().unwrap().len(), 0);
    assert_eq!(c.accepted.try_read_chunk(9).unwrap(), None, "the end");
    // A chunk that is kept is the application's memory.
    let peer = writing.await.unwrap();
    c.accepted.write_all(&[1; 100]).await.unwrap();
    settle().await;
    assert_eq!(peer.try_read_chunk(30).unwrap().unwrap().len(), 30);
    let kept = peer.try_read_chunk(usize::MAX).unwrap().unwrap();
    assert_eq!((kept.len(), c.client.memory_used()), (70, 0));
    assert_eq!(peer.try_read_chunk(1).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test(start_paused = true)]
async fn an_operation_of_the_callers_own() {
    let mut c = connected(MemoryConfig::default()).await;
    let would_block = c.accepted.try_io(Interest::READABLE, || -> io::Result<()> { unreachable!() });
    assert_eq!(would_block.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(c.accepted.try_io(Interest::WRITABLE, || c.accepted.try_write(b"ab")).unwrap(), 2);
    within(1, c.connected.read_exact(&mut [0; 2])).await.unwrap();
    // It wants three bytes in all, which come one by one.
    let stream = &c.accepted;
    let mut got = Vec::new();
    let mut calls = 0;
    let reading = stream.async_io(Interest::READABLE, || {
        calls += 1;
        stream.try_read_buf(&mut got)?;
        if got.len() < 3 { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    let writing = async {
        for _ in 0..3 {
            c.connected.write_all(b"x").await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    within(10, async { tokio::join!(reading, writing) }).await.0.unwrap();
    assert!(calls <= 4, "{calls} calls for three bytes");
    let failed = stream.async_io(Interest::WRITABLE, || Err::<(), _>(ErrorKind::InvalidData.into())).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::InvalidData);
}

/// A task that counts how often it runs.
fn another_task() -> (Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let count = Arc::new(AtomicUsize::new(0));
    let task = tokio::spawn({
        let count = Arc::clone(&count);
        async move {
            loop {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    (count, task)
}

#[tokio::test(start_paused = true)]
async fn who_is_always_ready_lets_others_run() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.write_all(b"x").await.unwrap();
    settle().await;
    let (others, counting) = another_task();
    for _ in 0..10_000 {
        c.accepted.readable().await.unwrap();
    }
    assert!(others.load(Ordering::Relaxed) > 10);
    counting.abort();
}

#[tokio::test(start_paused = true)]
async fn who_accepts_one_after_the_other_lets_others_run() {
    const CONNECTIONS: usize = 600;
    let c = connected(MemoryConfig::default()).await;
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        streams.push(TcpStream::connect(&c.client, SERVER).await.unwrap());
    }
    settle().await;
    let (others, counting) = another_task();
    for polled in [false, true] {
        let before = others.load(Ordering::Relaxed);
        for _ in 0..CONNECTIONS / 2 {
            let accepted = if polled {
                poll_fn(|cx| c.listener.poll_accept(cx)).await
            } else {
                c.listener.accept().await
            };
            accepted.unwrap();
        }
        assert!(others.load(Ordering::Relaxed) > before, "polled: {polled}");
    }
    counting.abort();
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_learn_of_a_shutdown() {
    let c = small().await;
    while {
        settle().await;
        poll_once(&mut Box::pin(c.connected.writable())).await.is_ready()
    } {
        fill(&c.connected);
    }
    let stream = Arc::new(c.connected);
    let waiting = tokio::spawn({
        let stream = Arc::clone(&stream);
        async move { stream.writable().await.unwrap() }
    });
    settle().await;
    let ending = tokio::spawn(async move { c.client.shutdown().await });
    within(1, waiting).await.unwrap();
    assert_eq!(stream.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(c.accepted);
    within(5, ending).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn halves_do_what_the_stream_does() {
    let mut c = connected(MemoryConfig::default()).await;
    let (mut read, write) = c.accepted.into_split();
    let (peer, own) = (write.peer_addr().unwrap(), write.local_addr().unwrap());
    assert_eq!((read.peer_addr().unwrap(), read.local_addr().unwrap()), (peer, own));
    assert_eq!(read.as_ref().nodelay().unwrap(), write.as_ref().nodelay().unwrap());
    write.writable().await.unwrap();
    assert!(write.ready(Interest::WRITABLE).await.unwrap().is_writable());
    assert_eq!(write.try_write(b"ab").unwrap() + write.try_write_vectored(&[IoSlice::new(b"c")]).unwrap(), 3);
    let (mut r, w) = c.connected.split();
    r.readable().await.unwrap();
    assert!(r.ready(Interest::READABLE).await.unwrap().is_readable());
    settle().await;
    assert_eq!(r.peek(&mut [0; 1]).await.unwrap(), 1);
    assert_eq!(r.try_read(&mut [0; 1]).unwrap(), 1);
    assert_eq!(r.try_read_vectored(&mut [IoSliceMut::new(&mut [0; 1])]).unwrap(), 1);
    assert_eq!(r.try_read_buf(&mut Vec::new()).unwrap(), 1);
    assert_eq!(w.try_write(b"12345").unwrap(), 5);
    w.writable().await.unwrap();
    settle().await;
    assert_eq!(read.read_chunk(2).await.unwrap().unwrap(), "12");
    assert_eq!(read.try_read_chunk(9).unwrap().unwrap(), "345");
    // Taking a half apart closes nothing; dropping the writing one does.
    write.forget();
    settle().await;
    assert!(poll_once(&mut Box::pin(r.readable())).await.is_pending());
    let (_read, write) = {
        let (second, other) = tokio::join!(c.listener.accept(), TcpStream::connect(&c.client, SERVER));
        let (read, write) = second.unwrap().0.into_split();
        let (other_read, other_write) = other.unwrap().into_split();
        let error = read.reunite(other_write).unwrap_err();
        assert_eq!(error.to_string(), "the halves are not of one stream");
        let whole = error.1.reunite(other_read).unwrap();
        let whole = whole.into_split();
        drop((error.0, write));
        whole
    };
    assert_eq!(within(1, _read.as_ref().peek(&mut [0])).await.unwrap(), 0);
    drop(write);
}
