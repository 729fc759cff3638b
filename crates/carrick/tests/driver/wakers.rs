//! Wakers that change, panic and come back in.

use crate::common::*;
use carrick::TcpStream;
use carrick::device::memory::MemoryConfig;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Counts its wake-ups, and does something at each.
pub(crate) struct Probe<F: Fn() + Send + Sync>(AtomicUsize, F);

impl<F: Fn() + Send + Sync + 'static> Probe<F> {
    pub(crate) fn new(f: F) -> (Arc<Self>, Waker) {
        let probe = Arc::new(Self(AtomicUsize::new(0), f));
        (probe.clone(), probe.into())
    }
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for Probe<F> {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        (self.1)();
    }
}

fn poll_read(stream: &mut TcpStream, waker: &Waker) -> Poll<usize> {
    let mut bytes = [0; 100];
    let mut buf = ReadBuf::new(&mut bytes);
    match Pin::new(stream).poll_read(&mut Context::from_waker(waker), &mut buf) {
        Poll::Ready(result) => {
            result.unwrap();
            Poll::Ready(buf.filled().len())
        }
        Poll::Pending => Poll::Pending,
    }
}

fn poll_write(stream: &mut TcpStream, waker: &Waker) -> Poll<usize> {
    Pin::new(stream).poll_write(&mut Context::from_waker(waker), &[0; 100_000]).map(Result::unwrap)
}

#[tokio::test(start_paused = true)]
async fn t_asy_5_the_latest_waker_of_each_direction_fires() {
    let mut c = connected(MemoryConfig::default()).await;
    let (old, old_waker) = Probe::new(|| ());
    let (new, new_waker) = Probe::new(|| ());
    let (writing, write_waker) = Probe::new(|| ());
    assert!(poll_read(&mut c.accepted, &old_waker).is_pending());
    assert!(poll_read(&mut c.accepted, &new_waker).is_pending());
    while poll_write(&mut c.accepted, &write_waker).is_ready() {
        settle().await;
    }
    c.connected.write_all(b"x").await.unwrap();
    settle().await;
    assert_eq!((old.count(), new.count(), writing.count()), (0, 1, 0));
    assert_eq!(poll_read(&mut c.accepted, &new_waker), Poll::Ready(1));
    assert_eq!(writing.count(), 0);
    let mut buf = vec![0; 2 << 20];
    while writing.count() == 0 {
        let _ = within(5, c.connected.read(&mut buf)).await.unwrap();
        settle().await;
    }
    assert_eq!((old.count(), new.count(), writing.count()), (0, 1, 1));
    carrick_covers::covers!("T-ASY-5");
}

#[tokio::test(start_paused = true)]
async fn t_asy_5_split_halves_in_two_tasks() {
    let c = connected(MemoryConfig::default()).await;
    let (mut read, mut write) = c.connected.into_split();
    let reader = tokio::spawn(async move { read_pattern(&mut read).await.unwrap() });
    let writer = tokio::spawn(async move { write_pattern(&mut write, 3_000_000).await.unwrap() });
    let (mut read, mut write) = c.accepted.into_split();
    let other = tokio::spawn(async move {
        write_pattern(&mut write, 3_000_000).await.unwrap();
    });
    assert_eq!(within(60, read_pattern(&mut read)).await.unwrap(), 3_000_000);
    within(60, writer).await.unwrap();
    within(60, other).await.unwrap();
    assert_eq!(within(60, reader).await.unwrap(), 3_000_000);
    carrick_covers::covers!("T-ASY-5");
}

#[tokio::test(start_paused = true)]
async fn t_asy_6_a_waker_that_comes_back_in_and_panics() {
    let mut c = connected(MemoryConfig::default()).await;
    let (second, other) = tokio::join!(c.listener.accept(), TcpStream::connect(&c.client, SERVER));
    let (second, mut other) = (second.unwrap().0, other.unwrap());
    // Being woken, it drops a stream of the same stack, opens another one, and panics.
    let held = Mutex::new(Some(second));
    let server = c.server.clone();
    let (probe, waker) = Probe::new(move || {
        drop(held.lock().unwrap().take());
        let _ = server.counters();
        let opening = std::pin::pin!(TcpStream::connect(&server, "192.0.2.77:1"));
        let _ = opening.poll(&mut Context::from_waker(Waker::noop()));
        panic!("planted: a waker panics");
    });
    assert!(poll_read(&mut c.accepted, &waker).is_pending());
    c.connected.write_all(b"x").await.unwrap();
    settle().await;
    assert_eq!(probe.count(), 1);
    assert_eq!(within(5, other.read(&mut [0; 1])).await.unwrap(), 0, "the dropped stream said FIN");
    // The device task goes on.
    c.accepted.write_all(b"y").await.unwrap();
    assert_eq!(within(5, c.connected.read(&mut [0; 1])).await.unwrap(), 1);
    carrick_covers::covers!("T-ASY-6");
}

#[tokio::test(start_paused = true)]
async fn t_asy_6_the_last_waker_of_a_task_owns_a_stream() {
    // Dropping a waker may drop what it owns, under whatever lock that happens.
    struct Owner(#[expect(dead_code, reason = "only to be dropped")] Mutex<Option<TcpStream>>);
    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }
    let mut c = connected(MemoryConfig::default()).await;
    let (second, other) = tokio::join!(c.listener.accept(), TcpStream::connect(&c.client, SERVER));
    let mut other = other.unwrap();
    let waker: Waker = Arc::new(Owner(Mutex::new(Some(second.unwrap().0)))).into();
    assert!(poll_read(&mut c.accepted, &waker).is_pending());
    drop(waker);
    assert!(poll_read(&mut c.accepted, Waker::noop()).is_pending(), "the old waker is replaced here");
    assert_eq!(within(5, other.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn reads_and_writes_share_the_scheduler() {
    // A task with always-ready I/O is made to yield by tokio's budget.
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.write_all(&[1; 100_000]).await.unwrap();
    settle().await;
    let mut forced = 0;
    let mut read = 0;
    while read < 10_000 {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        match std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut c.accepted).poll_read(cx, &mut buf))).await
        {
            Poll::Ready(result) => {
                result.unwrap();
                read += 1;
            }
            Poll::Pending => {
                forced += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(forced >= 10, "{forced} yields in 10,000 reads");
}
