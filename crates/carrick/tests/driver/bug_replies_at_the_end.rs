//! Seen: a stack whose shutdown reset more half-open connections than one turn of the device task sends replies, or than
//! the endpoint queues at a time, ended before the rest had left.

use crate::common::*;
use carrick::device::Packet;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{TcpListener, TcpStream};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SYN: u8 = 2;
const RST: u8 = 4;

/// The flags of the TCP header behind an IPv4 header without options.
fn flags(packet: &Packet<'_>) -> u8 {
    packet.header[20 + 13]
}

/// Lets nothing but SYNs pass, so that the other end never gets beyond half open.
struct OnlySyns;
impl Fault for OnlySyns {
    fn on_send(&self, packet: &Packet<'_>) -> io::Result<()> {
        if flags(packet) & SYN != 0 { Ok(()) } else { Err(ErrorKind::Other.into()) }
    }
}

#[derive(Default)]
struct CountsResets(AtomicUsize);
impl Fault for CountsResets {
    fn on_send(&self, packet: &Packet<'_>) -> io::Result<()> {
        if flags(packet) & RST != 0 {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn t_lif_12_every_half_open_connection_is_reset_before_the_stack_ends() {
    const HALF_OPEN: usize = 700;
    let (a, b) = pair(MemoryConfig::default());
    let resets = Arc::new(CountsResets::default());
    let server = builder(1).device(Faulty { device: a, fault: Arc::clone(&resets) }).build().unwrap();
    let client = builder(2).device(Faulty { device: b, fault: Arc::new(OnlySyns) }).build().unwrap();
    let _listener = TcpListener::bind(&server, SERVER).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..HALF_OPEN {
        streams.push(within(5, TcpStream::connect(&client, SERVER)).await.unwrap());
    }
    assert_eq!((server.connections(), resets.0.load(Ordering::Relaxed)), (0, 0), "all are half open");
    within(5, server.shutdown()).await;
    assert_eq!(resets.0.load(Ordering::Relaxed), HALF_OPEN);
}
