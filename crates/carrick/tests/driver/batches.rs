//! How often a stack acknowledges what comes many packets at a time.

use crate::common::*;
use crate::visits::packet;
use carrick::TcpListener;
use carrick::device::{Capabilities, Checksum, Device, Inbox, Meta, Packet};
use carrick_wire::{TcpFlags, TcpView};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncReadExt;

const TEXT: usize = 1400;

/// A device with a peer behind it, which sends when the test says so and counts what comes back.
#[derive(Clone, Default)]
struct Link(Arc<Mutex<Peer>>);

#[derive(Default)]
struct Peer {
    incoming: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
    /// The other end's number for its next byte.
    theirs: u32,
    seq: u32,
    sent: usize,
}

impl Link {
    /// So many packets arrive at once. How many were sent in answer, once nothing more happens.
    async fn arrive(&self, packets: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let waker = {
            let mut peer = self.0.lock().unwrap();
            peer.sent = 0;
            peer.incoming.extend(packets);
            peer.reader.take()
        };
        waker.into_iter().for_each(Waker::wake);
        settle().await;
        self.0.lock().unwrap().sent
    }

    /// The same of full segments.
    async fn text(&self, segments: usize) -> usize {
        let packets: Vec<_> = {
            let mut peer = self.0.lock().unwrap();
            let (theirs, first) = (peer.theirs, peer.seq);
            peer.seq += (segments * TEXT) as u32;
            (0..segments)
                .map(|n| packet(TcpFlags::ACK, first + (n * TEXT) as u32, theirs, &[7; TEXT]))
                .collect()
        };
        self.arrive(packets).await
    }
}

impl Device for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities { completes_checksums: true, ..Capabilities::plain(1500) }
    }
    fn description(&self) -> String {
        "a peer".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let mut any = false;
        loop {
            // What is received may be answered at once.
            let Some(packet) = self.0.lock().unwrap().incoming.pop_front() else { break };
            any = true;
            inbox.buffer()[..packet.len()].copy_from_slice(&packet);
            let meta = Meta { checksum: Checksum::Verified, ..Meta::default() };
            if inbox.received(packet.len(), meta).is_break() {
                break;
            }
        }
        if any {
            return Poll::Ready(Ok(()));
        }
        self.0.lock().unwrap().reader = Some(cx.waker().clone());
        Poll::Pending
    }
    fn send(&self, sent: &Packet<'_>) -> io::Result<()> {
        let mut peer = self.0.lock().unwrap();
        let tcp = TcpView::parse(&sent.header[20..]).unwrap();
        peer.theirs = tcp.seq().get().wrapping_add(u32::from(tcp.flags().contains(TcpFlags::SYN)));
        peer.sent += 1;
        Ok(())
    }
    fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// RFC 5681 §4.2: an ACK for every second full-sized segment at least. A peer whose packets come a few at a time gets
/// them; one that sends as fast as it can gets one for each of our reads, which is all that it could use.
#[tokio::test(start_paused = true)]
async fn every_second_segment_is_acknowledged_where_few_come_at_once() {
    let link = Link::default();
    let stack = builder(1).device(link.clone()).build().unwrap();
    let listener = TcpListener::bind(&stack, SERVER).await.unwrap();
    link.arrive([packet(TcpFlags::SYN, 1000, 0, &[])]).await;
    let theirs = {
        let mut peer = link.0.lock().unwrap();
        peer.seq = 1001;
        peer.theirs
    };
    link.arrive([packet(TcpFlags::ACK, 1001, theirs, &[])]).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map(|_| all.len())
    });
    // The first segments are acknowledged one by one.
    for _ in 0..16 {
        assert_eq!(link.text(1).await, 1);
    }
    link.text(8).await;
    for few in [8, 16, 6, 2] {
        assert_eq!(link.text(few).await, few / 2);
    }
    // Who finds much once merges from then on, and acknowledges what it has read.
    link.text(40).await;
    for _ in 0..3 {
        let sent = link.text(40).await;
        assert!((1..=3).contains(&sent), "{sent}");
    }
    // And is as eager as before, once it finds little.
    link.text(8).await;
    assert_eq!(link.text(8).await, 4);
    check_counters(&stack);
    reading.abort();
}
