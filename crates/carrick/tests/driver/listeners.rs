//! Backlogs, and listeners that go.

use crate::common::*;
use carrick::device::memory::MemoryConfig;
use carrick::{TcpListener, TcpStream};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn a_dropped_listener_resets_what_nobody_accepted() {
    let (server, client) = stacks(MemoryConfig::default());
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(within(5, TcpStream::connect(&client, SERVER)).await.unwrap());
    }
    settle().await;
    let (mut accepted, _) = listener.accept().await.unwrap();
    drop(listener);
    let mut first = streams.remove(0);
    for mut stream in streams {
        let error = within(1, stream.read(&mut [0; 1])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    // The one that was accepted lives on.
    first.write_all(b"x").await.unwrap();
    assert_eq!(within(1, accepted.read(&mut [0; 1])).await.unwrap(), 1);
    let late = within(1, TcpStream::connect(&client, SERVER)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ConnectionRefused);
    drop((first, accepted));
    settle().await;
    assert_eq!((server.connections(), server.memory_used()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_n_then_more() {
    let (server, client) = stacks(MemoryConfig::default());
    let listener = TcpListener::bind_with_backlog(&server, SERVER, 3).await.unwrap();
    let mut attempts = Vec::new();
    for _ in 0..5 {
        let client = client.clone();
        attempts.push(tokio::spawn(async move { TcpStream::connect(&client, SERVER).await.unwrap() }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.connections(), 3, "no more than the backlog");
    // As they are accepted, the others get their turn with their next SYN.
    let mut accepted = Vec::new();
    for _ in 0..5 {
        accepted.push(within(60, listener.accept()).await.unwrap());
    }
    for (attempt, (_, peer)) in attempts.into_iter().zip(&accepted) {
        let _ = peer;
        within(60, attempt).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn any_number_may_wait_to_accept() {
    let (server, client) = stacks(MemoryConfig::default());
    let listener = std::sync::Arc::new(TcpListener::bind(&server, SERVER).await.unwrap());
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let listener = listener.clone();
            tokio::spawn(async move { listener.accept().await.unwrap().1 })
        })
        .collect();
    let polling = {
        let listener = listener.clone();
        tokio::spawn(async move { poll_fn(|cx| listener.poll_accept(cx)).await.unwrap().1 })
    };
    settle().await;
    let mut ours = Vec::new();
    for _ in 0..21 {
        ours.push(within(5, TcpStream::connect(&client, SERVER)).await.unwrap());
    }
    let mut theirs = vec![within(5, polling).await.unwrap()];
    for task in waiting {
        theirs.push(within(5, task).await.unwrap());
    }
    let mut ours: Vec<_> = ours.iter().map(|stream| stream.local_addr().unwrap()).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs, "each was accepted once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_lif_15_listeners_come_and_go_under_a_storm_of_connects() {
    let (server, client) = stacks(MemoryConfig::default());
    let storm: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut ends = [0; 2];
                for _ in 0..200 {
                    match TcpStream::connect(&client, SERVER).await {
                        Ok(mut stream) => {
                            // Accepted and closed, or reset with its listener: never silence.
                            let _ = stream.read(&mut [0; 1]).await;
                            ends[0] += 1;
                        }
                        Err(error) => {
                            let kind = error.kind();
                            assert!(
                                matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset),
                                "{kind:?}"
                            );
                            ends[1] += 1;
                        }
                    }
                }
                ends
            })
        })
        .collect();
    let mut rounds = 0;
    while storm.iter().any(|task| !task.is_finished()) {
        let listener = TcpListener::bind(&server, SERVER).await.unwrap();
        for _ in 0..rounds % 4 {
            if let Ok(accepted) = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await {
                drop(accepted.unwrap());
            }
        }
        rounds += 1;
    }
    let mut connected = 0;
    for task in storm {
        connected += task.await.unwrap()[0];
    }
    assert!(connected > 0);
    tokio::join!(server.shutdown(), client.shutdown());
    assert_eq!((server.memory_used(), client.memory_used()), (0, 0));
    check_counters(&server);
    check_counters(&client);
}
