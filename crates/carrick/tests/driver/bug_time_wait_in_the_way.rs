//! Seen: while the application still held a stream in TIME-WAIT, a SYN for the same addresses and ports was dropped
//! although RFC 6191 §2 admits it; a record of the endpoint's took it.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::device::{Capabilities, Device, Inbox, Packet};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A device that outlives its stack.
struct Kept<D>(Arc<D>);

impl<D: Device> Device for Kept<D> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn description(&self) -> String {
        self.0.description()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv(cx, inbox)
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.0.send(packet)
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn tw_1_a_stream_in_time_wait_gives_way_to_the_next_connection() {
    let (a, b) = pair(MemoryConfig::default());
    let b = Arc::new(b);
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Kept(Arc::clone(&b))).build().unwrap();
    let c = connect(server, client).await;
    let (mut first, mut peer) = (c.accepted, c.connected);
    let from = first.peer_addr().unwrap();
    first.shutdown().await.unwrap();
    assert_eq!(within(5, peer.read(&mut [0; 1])).await.unwrap(), 0);
    peer.shutdown().await.unwrap();
    assert_eq!(within(5, first.read(&mut [0; 1])).await.unwrap(), 0);
    drop((peer, c.client));
    settle().await;

    // The same seed leads to the same port, and a second later to a greater number and timestamp.
    let client = builder(2).device(Kept(b)).build().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut again = within(5, carrick::TcpStream::connect(&client, SERVER)).await.unwrap();
    assert_eq!(again.local_addr().unwrap(), from);
    let (mut second, _) = within(5, c.listener.accept()).await.unwrap();
    again.write_all(b"anew").await.unwrap();
    let mut text = [0; 4];
    second.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"anew");
    assert_eq!(within(5, first.read(&mut [0; 1])).await.unwrap(), 0, "the end stays the end");
    check_counters(&c.server);
}
