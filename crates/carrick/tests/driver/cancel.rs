//! T-ASY-1: futures dropped after every number of polls.

use crate::common::*;
use carrick::device::memory::MemoryConfig;
use carrick::{TcpListener, TcpStream};
use std::pin::pin;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn t_asy_1_a_dropped_connect_ends_its_attempt() {
    for polls in 0..8 {
        for yields in [0, 1, 2, 3, 5, 8, 50] {
            let (server, client) = stacks(MemoryConfig::default());
            let listener = TcpListener::bind(&server, SERVER).await.unwrap();
            let mut done = false;
            {
                let mut connecting = pin!(TcpStream::connect(&client, SERVER));
                for _ in 0..polls {
                    if let Poll::Ready(stream) = poll_once(&mut connecting).await {
                        stream.unwrap();
                        done = true;
                        break;
                    }
                    for _ in 0..yields {
                        tokio::task::yield_now().await;
                    }
                }
            }
            // If the server got as far as accepting, it sees an end or a reset, not silence.
            if let Ok(accepted) =
                tokio::time::timeout(std::time::Duration::from_secs(1), listener.accept()).await
            {
                let _end = within(5, accepted.unwrap().0.read(&mut [0; 1])).await;
            } else {
                assert!(!done);
            }
            drop(listener);
            within(400, async { tokio::join!(server.shutdown(), client.shutdown()) }).await;
            assert_eq!((client.connections(), server.connections()), (0, 0), "{polls} polls");
            assert_eq!((client.memory_used(), server.memory_used()), (0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_a_dropped_accept_leaves_the_connection_queued() {
    for yields in 0..30 {
        let (server, client) = stacks(MemoryConfig::default());
        let listener = TcpListener::bind(&server, SERVER).await.unwrap();
        let connecting = tokio::spawn(async move { TcpStream::connect(&client, SERVER).await });
        // Two wait; the first is dropped, at whatever moment, perhaps after it was woken.
        let mut first = Box::pin(listener.accept());
        let mut second = Box::pin(listener.accept());
        let mut accepted = None;
        if let Poll::Ready(result) = poll_once(&mut first).await {
            accepted = Some(result);
        }
        assert!(accepted.is_some() || poll_once(&mut second).await.is_pending());
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        drop(first);
        let (stream, _) = match accepted {
            Some(result) => result.unwrap(),
            None => within(5, second).await.unwrap(),
        };
        let peer = within(5, connecting).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), peer.local_addr().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_1_dropped_reads_and_writes_lose_and_double_nothing() {
    let mut c = connected(MemoryConfig::default().ring_bytes(20_000)).await;
    let len = 2_000_000;
    let reader = tokio::spawn(async move {
        let mut at = 0;
        let mut buf = vec![0; 3000];
        loop {
            // Each read future is polled once and dropped if it is not ready.
            let n = match poll_once(&mut Box::pin(c.accepted.read(&mut buf))).await {
                Poll::Ready(n) => n.unwrap(),
                Poll::Pending => {
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            if n == 0 {
                return at;
            }
            for (i, byte) in buf[..n].iter().enumerate() {
                assert_eq!(*byte, pattern(at + i as u64));
            }
            at += n as u64;
        }
    });
    let mut at = 0;
    while at < len {
        let chunk: Vec<u8> = (at..len.min(at + 70_000)).map(pattern).collect();
        match poll_once(&mut Box::pin(c.connected.write(&chunk))).await {
            Poll::Ready(n) => at += n.unwrap() as u64,
            Poll::Pending => tokio::task::yield_now().await,
        }
    }
    assert!(poll_once(&mut Box::pin(c.connected.flush())).await.is_ready());
    assert!(poll_once(&mut Box::pin(c.connected.shutdown())).await.is_ready());
    assert_eq!(within(60, reader).await.unwrap(), len);
}
