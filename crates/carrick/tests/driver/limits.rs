//! Memory: bounded while it is scarce, given back when all is over.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{TcpListener, TcpStream};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn t_asy_7_a_slow_reader_bounds_memory_and_loses_nothing() {
    let mut c = connected(MemoryConfig::default()).await;
    let len = 8_000_000;
    let writer = tokio::spawn(async move {
        write_pattern(&mut c.connected, len).await.unwrap();
        c.connected.shutdown().await.unwrap();
        c.connected
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(c.server.memory_used() <= 1280 << 10, "{}", c.server.memory_used());
    assert!(c.client.memory_used() <= 640 << 10, "{}", c.client.memory_used());
    assert_eq!(within(600, read_pattern(&mut c.accepted)).await.unwrap(), len);
    drop(within(60, writer).await.unwrap());
    carrick_covers::covers!("T-ASY-7");
}

#[tokio::test(start_paused = true)]
async fn t_rcv_6_one_budget_for_many_connections() {
    const LIMIT: usize = 4 << 20;
    for connections in [10, 100] {
        let (a, b) = pair(MemoryConfig::default());
        let server = builder(1).device(a).memory_limit(LIMIT).build().unwrap();
        let client = builder(2).device(b).build().unwrap();
        let listener = TcpListener::bind(&server, SERVER).await.unwrap();
        let mut accepted = Vec::new();
        let mut writers = Vec::new();
        let len = 600_000;
        for _ in 0..connections {
            let (stream, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, SERVER));
            accepted.push(stream.unwrap().0);
            let mut connected = connected.unwrap();
            writers.push(async move {
                write_pattern(&mut connected, len).await.unwrap();
                connected.shutdown().await.unwrap();
                connected
            });
        }
        let writers: Vec<_> = writers.into_iter().map(tokio::spawn).collect();
        // Nobody reads: what has arrived stays within the limit.
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(server.memory_used() <= LIMIT, "{} with {connections}", server.memory_used());
        }
        assert!(server.memory_used() > LIMIT / 4, "there was no pressure");
        // Everybody reads: all of it arrives.
        let readers: Vec<_> = accepted
            .into_iter()
            .map(|mut stream| tokio::spawn(async move { (read_pattern(&mut stream).await, stream) }))
            .collect();
        for reader in readers {
            assert_eq!(within(3600, reader).await.unwrap().0.unwrap(), len);
        }
        for writer in writers {
            drop(within(60, writer).await.unwrap());
        }
        settle().await;
        assert_eq!((server.memory_used(), client.memory_used()), (0, 0), "O-4");
    }
}

#[tokio::test(start_paused = true)]
async fn t_per_1_who_holds_on_for_longest_goes_when_memory_is_scarce() {
    const LIMIT: usize = 1 << 20;
    let (a, b) = pair(MemoryConfig::default());
    let server = builder(1).device(a).memory_limit(LIMIT).build().unwrap();
    let client = builder(2).device(b).build().unwrap();
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    // Peers that take nothing, and answer every probe: their windows fill, then the server's memory.
    let mut held = Vec::new();
    for _ in 0..4 {
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, SERVER));
        let (mut accepted, connected) = (accepted.unwrap().0, connected.unwrap());
        while let Ok(written) =
            tokio::time::timeout(Duration::from_secs(1), accepted.write(&[7; 64 << 10])).await
        {
            written.expect("the server's side goes on");
        }
        held.push((accepted, connected));
        if server.memory_used() > LIMIT * 3 / 4 {
            break;
        }
    }
    assert!(server.memory_used() > LIMIT * 3 / 4, "{}", server.memory_used());
    let refused = TcpStream::connect(&server, "192.0.2.2:9").await.unwrap_err();
    assert_ne!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "memory is scarce");
    // That may last for a minute. Then whoever comes finds room.
    tokio::time::sleep(Duration::from_secs(200)).await;
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, SERVER));
    let mut fresh = (accepted.unwrap().0, connected.unwrap());
    fresh.1.write_all(b"hello").await.unwrap();
    fresh.0.read_exact(&mut [0; 5]).await.unwrap();
    let mut ended = 0;
    for (accepted, _) in &mut held {
        if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(1), accepted.write(b"x")).await {
            assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
            ended += 1;
        }
    }
    assert!(ended >= 1, "nobody had to go");
    assert!(server.memory_used() < LIMIT * 3 / 4);
}

#[tokio::test(start_paused = true)]
async fn o_4_memory_is_back_when_all_is_over() {
    let (server, client) = stacks(MemoryConfig::default());
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    for round in 0..60u64 {
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, SERVER));
        let (mut accepted, mut connected) = (accepted.unwrap().0, connected.unwrap());
        connected.write_all(&vec![1; 1000 * round as usize]).await.unwrap();
        settle().await;
        match round % 5 {
            // Unread, unsent, read, half closed, both closed.
            0 => drop((accepted, connected)),
            1 => drop((connected, accepted)),
            2 => {
                accepted.read_exact(&mut vec![0; 1000 * round as usize]).await.unwrap();
                drop((accepted, connected));
            }
            3 => {
                connected.shutdown().await.unwrap();
                assert_eq!(within(5, read_all(&mut accepted)).await.unwrap().len() as u64, 1000 * round);
                drop((accepted, connected));
            }
            _ => {
                connected.shutdown().await.unwrap();
                read_all(&mut accepted).await.unwrap();
                accepted.shutdown().await.unwrap();
                within(5, accepted.closed()).await.unwrap();
                drop((accepted, connected));
            }
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!((server.memory_used(), client.memory_used()), (0, 0), "round {round}");
        assert_eq!((server.connections(), client.connections()), (0, 0), "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_stack_wakes_for_nothing() {
    let c = connected(MemoryConfig::default()).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let frames = c.server.counters().endpoint.frames;
    tokio::time::sleep(Duration::from_secs(100_000)).await;
    assert_eq!(c.server.counters().endpoint.frames, frames);
    assert_eq!((c.server.connections(), c.client.connections()), (1, 1), "idle is no reason to end");
    drop(c.accepted);
}
