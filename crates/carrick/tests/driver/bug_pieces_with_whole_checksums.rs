//! Seen: a device that completes checksums but does not segment was given pieces with whole checksums, where it is
//! promised partial ones; completing those makes them wrong.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, MemoryDevice, pair};
use carrick::device::{Capabilities, Device, Inbox, Packet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::AsyncWriteExt;

/// Completes checksums and nothing else; checks that it gets what it may expect.
struct Completing {
    device: MemoryDevice,
    pieces: Arc<AtomicUsize>,
    wrong: Arc<AtomicUsize>,
}

/// The sum of the pseudo-header, folded; written down without the stack's own help.
fn partial(header: &[u8], payload_len: usize) -> u16 {
    let six = header[0] >> 4 == 6;
    let (addresses, ip) = if six { (&header[8..40], 40) } else { (&header[12..20], 20) };
    let words = addresses.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum = words.sum::<u32>() + 6 + (header.len() - ip + payload_len) as u32;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

impl Device for Completing {
    fn capabilities(&self) -> Capabilities {
        Capabilities { completes_checksums: true, ..Capabilities::plain(1500) }
    }
    fn description(&self) -> String {
        "completing".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        self.device.poll_recv(cx, inbox)
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        let header = packet.header;
        let at = if header[0] >> 4 == 6 { 40 } else { 20 } + 16;
        if u16::from_be_bytes([header[at], header[at + 1]]) != partial(header, packet.payload_len()) {
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
        self.pieces.fetch_add(usize::from(packet.total_len() == 1500), Ordering::Relaxed);
        self.device.send(packet)
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_completes_checksums_gets_partial_ones_in_pieces_too() {
    for server_addr in [SERVER, SERVER_V6] {
        let (a, b) = pair(MemoryConfig::default());
        let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let [pieces, wrong] = counts.clone();
        let server = builder(1).device(a).build().unwrap();
        let client = builder(2).device(Completing { device: b, pieces, wrong }).build().unwrap();
        let listener = carrick::TcpListener::bind(&server, server_addr).await.unwrap();
        let (accepted, connected) =
            tokio::join!(listener.accept(), carrick::TcpStream::connect(&client, server_addr));
        let (mut accepted, mut connected) = (accepted.unwrap().0, connected.unwrap());
        let writing = async {
            write_pattern(&mut connected, 100_000).await.unwrap();
            connected.shutdown().await.unwrap();
        };
        let (read, ()) = within(60, async { tokio::join!(read_pattern(&mut accepted), writing) }).await;
        assert_eq!(read.unwrap(), 100_000);
        let [pieces, wrong] = counts.map(|count| count.load(Ordering::Relaxed));
        assert!(pieces > 50, "{pieces}");
        assert_eq!(wrong, 0);
    }
    carrick_covers::covers!("TUN-5");
}
