//! Packets that come one at a time: what they ask for is answered before the device is asked for more, and nothing else
//! waits for them to end.

use crate::common::*;
use carrick::device::{Capabilities, Checksum, Device, Inbox, Meta, Packet};
use carrick::{TcpListener, TcpStream};
use carrick_wire::{IpHeader, Protocol, SeqNum, TcpFlags, TcpHeader, TcpView, WireWindow};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const PEER: [u8; 4] = [192, 0, 2, 2];
const NOBODY: [u8; 4] = [192, 0, 2, 77];

/// What happened at the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Seen {
    /// A read that gave so many packets.
    Read(usize),
    Answer,
    /// A SYN to somebody who does not exist.
    Syn(Instant),
}

/// A device with a peer right behind it, who has its next byte ready as soon as the last one was answered, as one does who
/// runs on the same CPU.
#[derive(Clone)]
struct Link(Arc<Mutex<Peer>>);

struct Peer {
    incoming: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
    /// How many bytes it is going to send yet.
    left: usize,
    seen: Vec<Seen>,
}

impl Link {
    fn new(bytes: usize) -> Self {
        let syn = packet(TcpFlags::SYN, 1000, 0, &[]);
        let incoming = VecDeque::from([syn]);
        Self(Arc::new(Mutex::new(Peer { incoming, reader: None, left: bytes, seen: Vec::new() })))
    }

    fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().seen.clone()
    }
}

/// A packet of the peer's.
pub(crate) fn packet(flags: TcpFlags, seq: u32, ack: u32, text: &[u8]) -> Vec<u8> {
    let tcp = TcpHeader {
        src_port: 5000,
        dst_port: 80,
        seq: SeqNum::new(seq),
        ack: SeqNum::new(ack),
        flags,
        window: WireWindow::new(u16::MAX),
        ..TcpHeader::default()
    };
    let to: IpAddr = [192, 0, 2, 1].into();
    let payload_len = tcp.header_len() + text.len();
    let ip = IpHeader { payload_len, ..IpHeader::new(PEER.into(), to, Protocol::TCP) };
    let mut bytes = vec![0; 40];
    let at = ip.emit(&mut bytes).unwrap();
    tcp.emit(&mut bytes[at..]).unwrap();
    bytes.extend_from_slice(text);
    bytes
}

impl Device for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities { completes_checksums: true, ..Capabilities::plain(1500) }
    }
    fn description(&self) -> String {
        "a peer".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let mut count = 0;
        loop {
            let next = self.0.lock().unwrap().incoming.pop_front();
            let Some(packet) = next else { break };
            inbox.buffer()[..packet.len()].copy_from_slice(&packet);
            count += 1;
            let meta = Meta { checksum: Checksum::Verified, ..Meta::default() };
            if inbox.received(packet.len(), meta).is_break() {
                break;
            }
        }
        let mut peer = self.0.lock().unwrap();
        peer.seen.push(Seen::Read(count));
        if count > 0 {
            return Poll::Ready(Ok(()));
        }
        peer.reader = Some(cx.waker().clone());
        Poll::Pending
    }
    fn send(&self, sent: &Packet<'_>) -> io::Result<()> {
        let mut peer = self.0.lock().unwrap();
        let tcp = TcpView::parse(&sent.header[20..]).unwrap();
        let syn = tcp.flags().contains(TcpFlags::SYN);
        if sent.header[16..20] == NOBODY {
            peer.seen.push(Seen::Syn(Instant::now()));
            return Ok(());
        }
        if !syn && sent.payload_len() == 0 {
            return Ok(());
        }
        peer.seen.push(Seen::Answer);
        if peer.left > 0 {
            peer.left -= 1;
            let (seq, ack) = (tcp.ack().get(), tcp.seq().get().wrapping_add(1));
            peer.incoming.push_back(packet(TcpFlags::ACK, seq, ack, b"x"));
            peer.reader.take().into_iter().for_each(Waker::wake);
        }
        Ok(())
    }
    fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Answers `bytes` bytes one by one, each after a while, in a task of its own.
async fn answer(listener: TcpListener, bytes: usize, each: Duration) {
    let answering = tokio::spawn(async move {
        let mut stream: TcpStream = listener.accept().await.unwrap().0;
        for _ in 0..bytes {
            let byte = stream.read_u8().await.unwrap();
            if !each.is_zero() {
                // The clock moves at once; waiting for others to notice would let the device run dry.
                let _ = poll_once(&mut Box::pin(tokio::time::advance(each))).await;
            }
            stream.write_u8(byte).await.unwrap();
        }
        stream
    });
    within(60, answering).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lone_packet_is_answered_before_the_device_is_asked_for_more() {
    const BYTES: usize = 200;
    let link = Link::new(BYTES);
    let stack = builder(1).device(link.clone()).build().unwrap();
    answer(TcpListener::bind(&stack, SERVER).await.unwrap(), BYTES, Duration::ZERO).await;
    settle().await;
    let seen = link.seen();
    assert_eq!(seen.iter().filter(|seen| **seen == Seen::Answer).count(), BYTES + 1);
    let at_once = seen.windows(2).filter(|pair| *pair == [Seen::Read(1), Seen::Answer]).count();
    assert!(at_once > BYTES * 9 / 10, "{at_once}: {seen:?}");
    // Now and then a turn looks whether they still come one at a time.
    let looked = seen.iter().filter(|seen| **seen == Seen::Read(0)).count();
    assert!((BYTES / 20..BYTES / 10).contains(&looked), "{looked}: {seen:?}");
    check_counters(&stack);
}

#[tokio::test(start_paused = true)]
async fn timers_are_served_while_lone_packets_never_end() {
    const BYTES: usize = 1000;
    let link = Link::new(BYTES);
    let stack = builder(1).device(link.clone()).build().unwrap();
    let listener = TcpListener::bind(&stack, SERVER).await.unwrap();
    let connecting = tokio::spawn({
        let stack = stack.clone();
        async move { TcpStream::connect(&stack, (IpAddr::from(NOBODY), 80)).await }
    });
    answer(listener, BYTES, Duration::from_millis(2)).await;
    connecting.abort();
    let seen = link.seen();
    let syns: Vec<_> =
        seen.iter().filter_map(|seen| if let Seen::Syn(at) = seen { Some(*at) } else { None }).collect();
    assert!(syns.len() >= 2, "{syns:?}");
    // The initial timeout of one second, and one round more.
    let late = syns[1] - syns[0] - Duration::from_secs(1);
    assert!(late <= Duration::from_millis(4), "{late:?} late");
}
