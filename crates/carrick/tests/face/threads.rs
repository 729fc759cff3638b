//! T-ASY-10: many tasks on one stream, on four threads and real time.

use crate::common::*;
use carrick::TcpStream;
use carrick::device::memory::MemoryConfig;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Tasks that share a stream through readiness and `try_` calls; each byte is read by one of them, and none of them
/// misses the end.
async fn storm(config: MemoryConfig) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 400_000;
    let c = connected(config).await;
    let (to, from) = (Arc::new(c.connected), Arc::new(c.accepted));
    let sum = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let to: Arc<TcpStream> = Arc::clone(&to);
            tokio::spawn(async move {
                let mut left = EACH;
                while left > 0 {
                    to.writable().await.unwrap();
                    let n = left.min(1 + (left * 7 + writer) % 5000);
                    match to.try_write(&vec![writer as u8 + 1; n as usize]) {
                        Ok(n) => left -= n as u64,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                }
            })
        })
        .collect();
    let readers: Vec<_> = (0..6)
        .map(|reader| {
            let (from, sum) = (Arc::clone(&from), Arc::clone(&sum));
            tokio::spawn(async move {
                let mut buf = vec![0; 3000];
                loop {
                    let n = if reader % 2 == 0 {
                        from.readable().await.unwrap();
                        from.try_read(&mut buf)
                    } else {
                        from.async_io(tokio::io::Interest::READABLE, || from.try_read(&mut buf)).await
                    };
                    match n {
                        Ok(0) => return,
                        Ok(n) => {
                            let bytes: u64 = buf[..n].iter().map(|byte| u64::from(*byte)).sum();
                            sum.fetch_add(bytes, Ordering::Relaxed);
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                }
            })
        })
        .collect();
    let all = async {
        for writer in writers {
            writer.await.unwrap();
        }
        // The last handle: what was written is delivered, and then the end.
        drop(to);
        for reader in readers {
            reader.await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("somebody waits in vain");
    assert_eq!(sum.load(Ordering::Relaxed), EACH * (1 + 2 + 3 + 4));
    drop((from, c.listener));
    tokio::join!(c.server.shutdown(), c.client.shutdown());
    assert_eq!((c.server.memory_used(), c.client.memory_used()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t_asy_10_many_tasks_share_a_stream() {
    storm(MemoryConfig::default()).await;
    storm(MemoryConfig::plain(1500).ring_bytes(20_000)).await;
    carrick_covers::covers!("T-ASY-10");
}

#[tokio::test(start_paused = true)]
async fn t_asy_10_the_same_on_one_thread_and_a_paused_clock() {
    storm(MemoryConfig::default()).await;
}
