//! Whole conversations between two stacks on a memory link.

use crate::common::*;
use carrick::device::memory::MemoryConfig;
use carrick::{TcpListener, TcpStream};
use std::io::{ErrorKind, IoSlice};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn echo_over_both_families() {
    let (server, client) = stacks(MemoryConfig::default());
    for address in [SERVER, SERVER_V6] {
        let listener = TcpListener::bind(&server, address).await.unwrap();
        let echo = tokio::spawn(async move {
            let (mut stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, stream.peer_addr().unwrap());
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
            stream.closed().await.unwrap();
        });
        let mut stream = TcpStream::connect(&client, address).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr(address));
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
        stream.write_all(b", world").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(within(5, read_all(&mut stream)).await.unwrap(), b", world");
        within(5, stream.closed()).await.unwrap();
        within(5, echo).await.unwrap();
    }
}

/// Nothing else runs between the writes, so no acknowledgment comes between them either.
#[tokio::test(start_paused = true)]
async fn small_writes_share_packets_unless_the_stream_says_otherwise() {
    let mut packets = Vec::new();
    for nodelay in [false, true] {
        let mut c = connected(MemoryConfig::default()).await;
        c.connected.set_nodelay(nodelay).unwrap();
        assert_eq!(c.connected.nodelay().unwrap(), nodelay);
        let before = c.server.counters().endpoint.frames;
        for _ in 0..10 {
            c.connected.write_all(b"-").await.unwrap();
        }
        let mut text = [0; 10];
        within(1, c.accepted.read_exact(&mut text)).await.unwrap();
        packets.push(c.server.counters().endpoint.frames - before);
    }
    assert!(packets[0] <= 3 && packets[1] >= 10, "{packets:?}");
}

#[tokio::test(start_paused = true)]
async fn half_close_both_ways() {
    for server_first in [false, true] {
        let mut c = connected(MemoryConfig::default()).await;
        let (first, second) = if server_first {
            (&mut c.accepted, &mut c.connected)
        } else {
            (&mut c.connected, &mut c.accepted)
        };
        first.write_all(b"all I have").await.unwrap();
        first.shutdown().await.unwrap();
        first.shutdown().await.expect("shutdown is idempotent");
        assert_eq!(first.write_all(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(within(5, read_all(second)).await.unwrap(), b"all I have");
        // The other direction works for as long as it likes.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(600)).await;
            second.write_all(b"still here").await.unwrap();
            let mut buf = [0; 10];
            within(5, first.read_exact(&mut buf)).await.unwrap();
            assert_eq!(&buf, b"still here");
        }
        second.shutdown().await.unwrap();
        assert_eq!(within(5, first.read(&mut [0; 10])).await.unwrap(), 0);
        assert_eq!(first.read(&mut [0; 10]).await.unwrap(), 0, "the end stays the end");
        within(5, first.closed()).await.unwrap();
        within(5, second.closed()).await.unwrap();
    }
}

async fn both_ways(config: MemoryConfig, len: u64) {
    let Connected { accepted, connected, server, client, listener } = connected(config).await;
    let (start_server, start_client) = (0, 0);
    let both = |stream: TcpStream| async move {
        let (mut read, mut write) = stream.into_split();
        let writer = tokio::spawn(async move {
            write_pattern(&mut write, len).await.unwrap();
            write.shutdown().await.unwrap();
            write
        });
        let read_len = read_pattern(&mut read).await.unwrap();
        let stream = read.reunite(writer.await.unwrap()).unwrap();
        stream.closed().await.unwrap();
        read_len
    };
    let (a, b) = within(120, async { tokio::join!(both(accepted), both(connected)) }).await;
    assert_eq!((a, b), (len, len));
    drop(listener);
    within(300, async { tokio::join!(server.shutdown(), client.shutdown()) }).await;
    // O-4: memory is back to where it was.
    assert_eq!((server.memory_used(), client.memory_used()), (start_server, start_client));
    check_counters(&server);
    check_counters(&client);
}

#[tokio::test(start_paused = true)]
async fn sixty_four_mebibytes_each_way() {
    both_ways(MemoryConfig::default(), 64 << 20).await;
}

#[tokio::test(start_paused = true)]
async fn sixty_four_mebibytes_each_way_over_a_plain_device() {
    both_ways(MemoryConfig::plain(1500), 64 << 20).await;
}

#[tokio::test(start_paused = true)]
async fn mtus_and_ring_sizes() {
    for (mtu, ring) in [(1280, 1 << 20), (9000, 64 << 10), (65_535, 1), (1500, 1)] {
        both_ways(MemoryConfig::default().mtu(mtu).ring_bytes(ring), 3_000_001).await;
        both_ways(MemoryConfig::plain(mtu).ring_bytes(ring), 3_000_001).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_move_the_same_bytes() {
    both_ways(MemoryConfig::default(), 32 << 20).await;
    both_ways(MemoryConfig::plain(1500), 8 << 20).await;
}

#[tokio::test(start_paused = true)]
async fn vectored_writes_keep_their_order() {
    let mut c = connected(MemoryConfig::default()).await;
    let parts = [&b"one "[..], b"", b"two ", b"three"];
    let slices = parts.map(IoSlice::new);
    assert_eq!(c.connected.write_vectored(&slices).await.unwrap(), 13);
    c.connected.shutdown().await.unwrap();
    assert_eq!(within(5, read_all(&mut c.accepted)).await.unwrap(), b"one two three");
    let more = c.accepted.write_vectored(&[IoSlice::new(b"")]).await.unwrap();
    assert_eq!(more, 0, "nothing to write is nothing written");
}

#[tokio::test(start_paused = true)]
async fn a_stack_talks_to_itself_without_its_device() {
    let (server, _client) = stacks(MemoryConfig::default());
    for address in [SERVER, SERVER_V6] {
        let listener = TcpListener::bind(&server, address).await.unwrap();
        let (accepted, stream) =
            within(5, async { tokio::join!(listener.accept(), TcpStream::connect(&server, address)) }).await;
        let (mut accepted, mut stream) = (accepted.unwrap().0, stream.unwrap());
        let len = 5_000_000;
        let send = async {
            write_pattern(&mut stream, len).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let (read, ()) = within(60, async { tokio::join!(read_pattern(&mut accepted), send) }).await;
        assert_eq!(read.unwrap(), len);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_listens_there() {
    let (_server, client) = stacks(MemoryConfig::default());
    let refused = within(5, TcpStream::connect(&client, SERVER)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let silent = within(600, TcpStream::connect(&client, "192.0.2.77:80")).await.unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn addresses_and_ports() {
    let (server, client) = stacks(MemoryConfig::default());
    let any = TcpListener::bind(&server, "0.0.0.0:0").await.unwrap();
    let port = any.local_addr().unwrap().port();
    assert_ne!(port, 0);
    let taken = TcpListener::bind(&server, ("0.0.0.0", port)).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let foreign = TcpListener::bind(&server, "198.51.100.1:80").await.unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::AddrNotAvailable);
    for ip in ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse::<std::net::IpAddr>().unwrap()] {
        let (accepted, stream) =
            within(5, async { tokio::join!(any.accept(), TcpStream::connect(&client, (ip, port))) }).await;
        let ((accepted, peer), stream) = (accepted.unwrap(), stream.unwrap());
        assert_eq!(accepted.local_addr().unwrap(), (ip, port).into());
        assert_eq!(peer, stream.local_addr().unwrap());
    }
    drop(any);
    TcpListener::bind(&server, ("0.0.0.0", port)).await.expect("a dropped listener frees its port");
}
