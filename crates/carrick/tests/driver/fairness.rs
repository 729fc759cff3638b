//! T-ASY-8: many streams share one device.

use crate::common::*;
use carrick::device::memory::MemoryConfig;
use carrick::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Barrier;

const STREAMS: usize = 100;

async fn index_of(config: MemoryConfig, writes: impl Fn(usize) -> usize) -> f64 {
    let (server, client) = stacks(config);
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    let counts: Arc<[AtomicU64; STREAMS]> = Arc::new([const { AtomicU64::new(0) }; STREAMS]);
    let mut tasks = Vec::new();
    let start = Arc::new(Barrier::new(STREAMS));
    for stream in 0..STREAMS {
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, SERVER));
        let (mut accepted, mut connected) = (accepted.unwrap().0, connected.unwrap());
        let data = vec![0; writes(stream)];
        let start = Arc::clone(&start);
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            while connected.write_all(&data).await.is_ok() {}
        }));
        let counts = Arc::clone(&counts);
        tasks.push(tokio::spawn(async move {
            let mut buf = vec![0; 64 << 10];
            while let Ok(n @ 1..) = accepted.read(&mut buf).await {
                counts[stream].fetch_add(n as u64, Ordering::Relaxed);
            }
        }));
    }
    let total = || counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
    while total() < 200 << 20 {
        tokio::task::yield_now().await;
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    // Jain's index: 1 if all got the same, 1/n if one got all.
    let shares: Vec<f64> = counts.iter().map(|count| count.load(Ordering::Relaxed) as f64).collect();
    let sum: f64 = shares.iter().sum();
    sum * sum / (STREAMS as f64 * shares.iter().map(|share| share * share).sum::<f64>())
}

#[tokio::test(start_paused = true)]
async fn t_asy_8_a_hundred_streams_get_equal_shares() {
    for config in [MemoryConfig::default(), MemoryConfig::plain(1500)] {
        let equal = index_of(config, |_| 64 << 10).await;
        assert!(equal >= 0.95, "{equal}");
        // Half of them write in pieces sixteen times as large as the others'.
        let mixed = index_of(config, |stream| if stream % 2 == 0 { 16 << 10 } else { 256 << 10 }).await;
        assert!(mixed >= 0.90, "{mixed}");
    }
    carrick_covers::covers!("T-ASY-8");
}

#[tokio::test(start_paused = true)]
async fn t_asy_8_a_greedy_stream_does_not_hold_up_a_small_one() {
    let mut c = connected(MemoryConfig::default()).await;
    let (small, other) = tokio::join!(c.listener.accept(), TcpStream::connect(&c.client, SERVER));
    let (mut small, mut other) = (small.unwrap().0, other.unwrap());
    let greedy = tokio::spawn(async move {
        let data = vec![0; 1 << 20];
        while c.connected.write_all(&data).await.is_ok() {}
    });
    let reader = tokio::spawn(async move {
        let mut buf = vec![0; 1 << 20];
        let mut total = 0u64;
        while let Ok(n @ 1..) = c.accepted.read(&mut buf).await {
            total += n as u64;
            if total > 1 << 30 {
                break;
            }
        }
    });
    let echo = tokio::spawn(async move {
        let mut byte = [0];
        while small.read_exact(&mut byte).await.is_ok() {
            small.write_all(&byte).await.unwrap();
        }
    });
    for i in 0..200u8 {
        other.write_all(&[i]).await.unwrap();
        let mut back = [0];
        let mut reading = Box::pin(other.read_exact(&mut back));
        let mut turns = 0;
        while poll_once(&mut reading).await.is_pending() {
            tokio::task::yield_now().await;
            turns += 1;
            assert!(turns < 200, "a byte there and back took {turns} turns of the scheduler");
        }
    }
    assert!(!reader.is_finished(), "there was no load to compare with");
    for task in [greedy, reader, echo] {
        task.abort();
    }
    carrick_covers::covers!("T-ASY-8");
}
