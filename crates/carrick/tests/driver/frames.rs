//! Devices that deliver what is no packet, cut packets into fragments, or lead to a narrower path.

use crate::common::*;
use carrick::TcpStream;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::device::{Capabilities, Checksum, Device, Inbox, Meta, Packet};
use carrick_covers::covers;
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWriteExt;

/// Delivers odd frames between the others: empty, short, of every version, as long as the buffer, and with
/// metadata that cannot be true.
struct Odd<D> {
    device: D,
    count: Arc<AtomicUsize>,
}

impl<D: Device> Device for Odd<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }
    fn description(&self) -> String {
        "odd".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.device.poll_recv(cx, inbox))?;
        let largest = inbox.buffer().len();
        for len in [0, 1, 2, 19, 20, 39, 40, 60, 1501, 65_535.min(largest), largest] {
            let turn = self.count.fetch_add(1, Ordering::Relaxed);
            inbox.buffer()[..len].fill((turn % 256) as u8);
            let sizes = [None, NonZeroU16::new(1), NonZeroU16::new(u16::MAX)];
            let checksum = [Checksum::Unknown, Checksum::Verified][turn % 2];
            let segment_size = sizes[turn % 3].map(NonZeroU16::get);
            if inbox.received(len, Meta { checksum, segment_size, received_at: None }).is_break() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.device.send(packet)
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn tun_1_t_mal_18_odd_frames_are_counted_and_the_loop_goes_on() {
    let (a, b) = pair(MemoryConfig::plain(1500));
    let server = builder(1).device(a).build().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let client = builder(2).device(Odd { device: b, count: Arc::clone(&count) }).build().unwrap();
    let mut c = connect(server, client.clone()).await;
    let writing = async {
        write_pattern(&mut c.accepted, 3_000_000).await.unwrap();
        c.accepted.shutdown().await.unwrap();
    };
    let (read, ()) = within(60, async { tokio::join!(read_pattern(&mut c.connected), writing) }).await;
    assert_eq!(read.unwrap(), 3_000_000);
    let odd = count.load(Ordering::Relaxed);
    assert!(odd > 100, "{odd}");
    let counters = client.counters().endpoint;
    // Those that arrived in time are counted; an empty read is no packet.
    assert!(counters.discarded_by_endpoint() > 60, "{counters:?}");
    check_counters(&client);
    covers!("TUN-1", "T-MAL-18");
}

/// What stands behind a device: a link that carries less.
struct Narrow<D> {
    device: D,
    mtu: usize,
    /// It cuts packets, as IPv4 routers may where DF is not set, or says that they are too big.
    cuts: bool,
    back: Mutex<(VecDeque<Vec<u8>>, Option<Waker>)>,
    narrowed: Arc<AtomicUsize>,
    /// What those were cut into.
    pieces: Arc<AtomicUsize>,
}

impl<D: Device> Device for Narrow<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }
    fn description(&self) -> String {
        "narrow".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let message = {
            let mut back = self.back.lock().unwrap();
            back.1 = Some(cx.waker().clone());
            back.0.pop_front()
        };
        match message {
            Some(message) => {
                inbox.buffer()[..message.len()].copy_from_slice(&message);
                let _ = inbox.received(message.len(), Meta::default());
                Poll::Ready(Ok(()))
            }
            None => self.device.poll_recv(cx, inbox),
        }
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        if packet.total_len() <= self.mtu {
            return self.device.send(packet);
        }
        self.narrowed.fetch_add(1, Ordering::Relaxed);
        let bytes = [&[packet.header], packet.payload].concat().concat();
        if !self.cuts {
            let mut back = self.back.lock().unwrap();
            back.0.push_back(too_big(&bytes, self.mtu));
            if let Some(waker) = back.1.take() {
                waker.wake();
            }
            return Ok(());
        }
        let step = (self.mtu - 20) / 8 * 8;
        let pieces = bytes[20..].chunks(step).enumerate();
        // The last first: order is nobody's promise.
        for (i, piece) in pieces.rev() {
            let field = (i * step / 8) as u16 | if (i + 1) * step < bytes.len() - 20 { 0x2000 } else { 0 };
            let mut fragment = bytes[..20].to_vec();
            fragment[2..4].copy_from_slice(&((20 + piece.len()) as u16).to_be_bytes());
            // Each packet needs a number of its own once it is cut.
            let id = self.narrowed.load(Ordering::Relaxed) as u16;
            fragment[4..6].copy_from_slice(&id.to_be_bytes());
            fragment[6..8].copy_from_slice(&field.to_be_bytes());
            fragment[10..12].fill(0);
            let sum = sum(&fragment);
            fragment[10..12].copy_from_slice(&sum.to_be_bytes());
            self.pieces.fetch_add(1, Ordering::Relaxed);
            self.device.send(&Packet::new(&fragment, &[piece], None))?;
        }
        Ok(())
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }
}

/// RFC 1071 over an even number of bytes.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !sum as u16
}

/// ICMP 3/4 about an IPv4 packet, from a router.
fn too_big(packet: &[u8], mtu: usize) -> Vec<u8> {
    let mut message = vec![3, 4, 0, 0, 0, 0, 0, 0];
    message[6..8].copy_from_slice(&(mtu as u16).to_be_bytes());
    message.extend_from_slice(&packet[..28]);
    let icmp_sum = sum(&message);
    message[2..4].copy_from_slice(&icmp_sum.to_be_bytes());
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 203, 0, 113, 254];
    bytes.extend_from_slice(&packet[12..16]);
    let len = (bytes.len() + message.len()) as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    let ip_sum = sum(&bytes);
    bytes[10..12].copy_from_slice(&ip_sum.to_be_bytes());
    bytes.append(&mut message);
    bytes
}

async fn send(from: &mut TcpStream, to: &mut TcpStream, len: u64) {
    let writing = async {
        write_pattern(from, len).await.unwrap();
        from.shutdown().await.unwrap();
    };
    let (read, ()) = within(60, async { tokio::join!(read_pattern(to), writing) }).await;
    assert_eq!(read.unwrap(), len);
}

#[tokio::test(start_paused = true)]
async fn frag_1_segments_that_come_in_fragments_are_put_together() {
    let (a, b) = pair(MemoryConfig::plain(1500));
    let server = builder(1).device(a).build().unwrap();
    let narrowed = Arc::new(AtomicUsize::new(0));
    let pieces = Arc::new(AtomicUsize::new(0));
    let device = Narrow {
        device: b,
        mtu: 576,
        cuts: true,
        back: Mutex::default(),
        narrowed: narrowed.clone(),
        pieces: pieces.clone(),
    };
    let client = builder(2).device(device).build().unwrap();
    let mut c = connect(server.clone(), client).await;
    send(&mut c.connected, &mut c.accepted, 200_000).await;
    let cut = narrowed.load(Ordering::Relaxed) as u64;
    assert!(cut >= 130, "{cut}");
    // All pieces of a packet but one wait, and that one brings the whole packet, which is counted once more.
    assert_eq!(server.counters().endpoint.held, pieces.load(Ordering::Relaxed) as u64);
    check_counters(&server);
    covers!("FRAG-1");
}

#[tokio::test(start_paused = true)]
async fn pmtu_8_a_narrower_path_is_found_and_the_others_are_told() {
    let (a, b) = pair(MemoryConfig::plain(1500));
    let server = builder(1).device(a).build().unwrap();
    let narrowed = Arc::new(AtomicUsize::new(0));
    let device = Narrow {
        device: b,
        mtu: 1300,
        cuts: false,
        back: Mutex::default(),
        narrowed: narrowed.clone(),
        pieces: Arc::default(),
    };
    let client = builder(2).device(device).build().unwrap();
    let listener = carrick::TcpListener::bind(&server, SERVER).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..3 {
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, SERVER));
        open.push((connected.unwrap(), accepted.unwrap().0));
    }
    let began = tokio::time::Instant::now();
    let (mut connected, mut accepted) = open.pop().unwrap();
    send(&mut connected, &mut accepted, 200_000).await;
    let found = narrowed.load(Ordering::Relaxed);
    assert!(found > 0);
    for (mut connected, mut accepted) in open {
        send(&mut connected, &mut accepted, 200_000).await;
    }
    assert_eq!(narrowed.load(Ordering::Relaxed), found, "told: nothing that is too big any more");
    assert!(began.elapsed() < std::time::Duration::from_millis(400), "no timer was needed");
    check_counters(&client);
    covers!("PMTU-8");
}
