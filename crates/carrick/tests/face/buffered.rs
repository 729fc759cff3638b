//! The reading half that is `AsyncBufRead`.

use crate::common::*;
use carrick::device::memory::MemoryConfig;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn lines_across_segments() {
    for config in [MemoryConfig::default(), MemoryConfig::plain(1280)] {
        let mut c = connected(config).await;
        let lines: Vec<String> = (0..3000).map(|i| "x".repeat(i % 150)).collect();
        let text = lines.join("\n");
        let writing = tokio::spawn(async move {
            c.connected.write_all(text.as_bytes()).await.unwrap();
            c.connected.shutdown().await.unwrap();
            c.connected
        });
        let (read, _write) = c.accepted.into_split();
        let mut reading = read.buffered().lines();
        for line in lines {
            assert_eq!(within(5, reading.next_line()).await.unwrap().as_ref(), Some(&line));
        }
        assert_eq!(within(5, reading.next_line()).await.unwrap(), None);
        writing.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_between_buffer_and_half() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.write_all(b"0123456789").await.unwrap();
    settle().await;
    let (read, _write) = c.accepted.into_split();
    let mut buffered = read.buffered();
    assert_eq!(buffered.buffer(), b"");
    assert_eq!(buffered.fill_buf().await.unwrap(), b"0123456789");
    buffered.consume(2);
    let mut byte = [0; 1];
    buffered.read_exact(&mut byte).await.unwrap();
    assert_eq!((&byte, buffered.buffer()), (b"2", &b"3456789"[..]));
    c.connected.write_all(b"abc").await.unwrap();
    let mut rest = [0; 5];
    buffered.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"34567");
    assert!(buffered.get_ref().peer_addr().is_ok());
    let (mut half, left) = buffered.into_parts();
    assert_eq!(left, "89");
    let mut more = [0; 3];
    half.read_exact(&mut more).await.unwrap();
    assert_eq!(&more, b"abc");
    // More than there is may be consumed, and the end is an empty buffer.
    let mut buffered = half.buffered();
    c.connected.write_all(b"x").await.unwrap();
    assert_eq!(buffered.fill_buf().await.unwrap(), b"x");
    buffered.consume(100);
    c.connected.shutdown().await.unwrap();
    for _ in 0..2 {
        assert_eq!(within(1, buffered.fill_buf()).await.unwrap(), b"");
    }
}
