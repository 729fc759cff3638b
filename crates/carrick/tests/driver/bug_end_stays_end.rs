//! Seen: a stream whose peer had closed properly, all of it received, ended with an error instead of the end of the
//! stream when its stack failed or its runtime ended before the application had read it; and an end that had been
//! seen turned into an error afterwards.

use crate::common::*;
use carrick::device::memory::MemoryConfig;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn t_asy_11_what_was_received_whole_is_read_whole_after_the_link_is_gone() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.shutdown().await.unwrap();
    assert_eq!(within(5, read_all(&mut c.accepted)).await.unwrap(), b"");
    c.accepted.write_all(b"the whole answer").await.unwrap();
    c.accepted.shutdown().await.unwrap();
    within(5, c.accepted.closed()).await.unwrap();
    // The peer's stack ends, and with it the link.
    drop((c.accepted, c.listener, c.server));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(carrick::TcpListener::bind(&c.client, "192.0.2.2:1").await.is_err(), "the stack has failed");
    for expected in [&b"the whole answer"[..], b""] {
        assert_eq!(within(5, read_all(&mut c.connected)).await.unwrap(), expected);
    }
    within(5, c.connected.closed()).await.unwrap();
}

#[test]
fn t_asy_11_an_end_that_was_seen_stays_when_the_runtime_ends() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let driving = runtime();
    let mut c = driving.block_on(async {
        let mut c = connected(MemoryConfig::default()).await;
        c.accepted.shutdown().await.unwrap();
        assert_eq!(within(5, c.connected.read(&mut [0; 1])).await.unwrap(), 0);
        c
    });
    drop(driving);
    runtime().block_on(async {
        assert_eq!(c.connected.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(c.connected.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let error = c.connected.closed().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "this side never closed");
        assert_eq!(c.accepted.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
    carrick_covers::covers!("T-ASY-11");
}
