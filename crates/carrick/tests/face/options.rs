//! What is set on a stream, and what it tells of itself.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{ConnectionConfig, KeepAlive, TcpState};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn what_is_set_can_be_asked_for() {
    let c = connected(MemoryConfig::default()).await;
    let s = &c.connected;
    assert_eq!((s.nodelay().unwrap(), s.ttl().unwrap(), s.tos().unwrap()), (false, 64, 0));
    assert_eq!((s.linger().unwrap(), s.keep_alive().unwrap()), (None, None));
    assert_eq!((s.user_timeout().unwrap(), s.notsent_lowat().unwrap()), (None, None));
    assert!(s.quickack().unwrap());
    let (second, keep_alive) = (Duration::from_secs(1), KeepAlive { retries: 2, ..KeepAlive::default() });
    s.set_nodelay(true).unwrap();
    s.set_ttl(255).unwrap();
    s.set_tos(0xff).unwrap();
    s.set_linger(Some(second)).unwrap();
    s.set_keep_alive(Some(keep_alive)).unwrap();
    s.set_user_timeout(Some(second)).unwrap();
    s.set_notsent_lowat(Some(1)).unwrap();
    s.set_quickack(false).unwrap();
    assert_eq!((s.nodelay().unwrap(), s.ttl().unwrap(), s.tos().unwrap()), (true, 255, 0xfc));
    assert_eq!((s.linger().unwrap(), s.keep_alive().unwrap()), (Some(second), Some(keep_alive)));
    assert_eq!((s.user_timeout().unwrap(), s.notsent_lowat().unwrap()), (Some(second), Some(1)));
    assert!(!s.quickack().unwrap());
    for ttl in [0, 256, u32::MAX] {
        assert_eq!(s.set_ttl(ttl).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for tos in [256, u32::MAX] {
        assert_eq!(s.set_tos(tos).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    // Another stream's settings are its own.
    assert_eq!((c.accepted.ttl().unwrap(), c.accepted.nodelay().unwrap()), (64, false));
}

#[tokio::test(start_paused = true)]
async fn zero_linger_resets() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.write_all(b"lost perhaps").await.unwrap();
    c.connected.set_zero_linger().unwrap();
    assert_eq!(c.connected.linger().unwrap(), Some(Duration::ZERO));
    drop(c.connected);
    settle().await;
    let error = within(1, read_all(&mut c.accepted)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(c.client.connections(), 0, "no TIME-WAIT either");
}

#[tokio::test(start_paused = true)]
async fn linger_bounds_how_long_what_is_left_may_take() {
    let (a, b) = pair(MemoryConfig::default());
    let config = ConnectionConfig { receive_buffer: 4096, ..ConnectionConfig::default() };
    let server = builder(1).connection_config(config).device(a).build().unwrap();
    let client = builder(2).device(b).build().unwrap();
    let mut c = connect(server, client).await;
    c.connected.write_all(&[1; 100_000]).await.unwrap();
    c.connected.set_linger(Some(Duration::from_secs(3))).unwrap();
    let began = tokio::time::Instant::now();
    drop(c.connected);
    assert_eq!(began.elapsed(), Duration::ZERO, "dropping never waits");
    tokio::time::sleep(Duration::from_millis(2900)).await;
    assert_eq!(c.client.connections(), 1, "nobody reads there");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((c.client.connections(), c.client.memory_used()), (0, 0));
    let error = within(1, read_all(&mut c.accepted)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn how_a_connection_is_doing() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.write_all(&[1; 5000]).await.unwrap();
    c.accepted.write_all(&[1; 300]).await.unwrap();
    settle().await;
    let info = c.connected.tcp_info().unwrap();
    assert_eq!((info.state, info.unread, info.bytes_received), (TcpState::Established, 300, 300));
    assert_eq!((info.bytes_acknowledged, info.unacknowledged, info.unsent), (5000, 0, 0));
    assert!(info.timestamps && info.sack && !info.ecn);
    assert_eq!((info.send_mss, info.path_mtu, info.retransmitted), (1448, 1500, 0));
    assert_eq!(c.accepted.tcp_info().unwrap().unread, 5000);
    let _ = c.connected.read(&mut [0; 300]).await.unwrap();
    c.connected.shutdown().await.unwrap();
    settle().await;
    assert_eq!(c.connected.tcp_info().unwrap().state, TcpState::FinWait2);
    assert_eq!(c.accepted.tcp_info().unwrap().state, TcpState::CloseWait);
    c.accepted.set_zero_linger().unwrap();
    drop(c.accepted);
    settle().await;
    assert_eq!(c.connected.tcp_info().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_taken_once_and_told_always() {
    let mut c = connected(MemoryConfig::default()).await;
    assert!(c.connected.take_error().unwrap().is_none());
    c.accepted.set_zero_linger().unwrap();
    drop(c.accepted);
    settle().await;
    assert_eq!(c.connected.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionReset);
    assert!(c.connected.take_error().unwrap().is_none());
    for _ in 0..2 {
        assert_eq!(c.connected.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(c.connected.write(&[0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    // What has ended can still be asked; what is set has no effect.
    assert_eq!(c.connected.ttl().unwrap(), 64);
    c.connected.set_nodelay(true).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cork_holds_back_what_fills_no_packet_until_it_is_pulled_or_200_ms_have_passed() {
    let mut c = connected(MemoryConfig::plain(1500)).await;
    // That small writes need not wait for each other does not matter to it.
    c.connected.set_nodelay(true).unwrap();
    assert!(!c.connected.cork().unwrap());
    c.connected.set_cork(true).unwrap();
    assert!(c.connected.cork().unwrap());
    settle().await;
    let before = c.server.counters().endpoint.frames;
    for _ in 0..3 {
        c.connected.write_all(b"some").await.unwrap();
    }
    settle().await;
    assert_eq!(c.server.counters().endpoint.frames, before);
    c.connected.set_cork(false).unwrap();
    assert_eq!(within(1, c.accepted.read(&mut [0; 100])).await.unwrap(), 12);
    assert_eq!(c.server.counters().endpoint.frames, before + 1);
    // What fills packets leaves; the rest later.
    c.connected.set_cork(true).unwrap();
    c.connected.write_all(&[7; 2000]).await.unwrap();
    settle().await;
    let began = tokio::time::Instant::now();
    assert_eq!(within(1, c.accepted.read(&mut [0; 3000])).await.unwrap(), 1448);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(within(1, c.accepted.read(&mut [0; 3000])).await.unwrap(), 552);
    assert_eq!(began.elapsed(), Duration::from_millis(200));
    // The end leaves with what is before it.
    c.connected.write_all(b"the end").await.unwrap();
    c.connected.shutdown().await.unwrap();
    assert_eq!(within(1, read_all(&mut c.accepted)).await.unwrap(), b"the end");
    assert_eq!(began.elapsed(), Duration::from_millis(200));
}
