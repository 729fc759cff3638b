//! Faults planted on purpose, to show that each oracle sees the kind it looks for.
//!
//! They sit between a host's protocol code and the oracles, so the code under test is never touched.

use crate::packet::{Packet, SegmentView};
use bytes::Bytes;
use carrick_wire::{Checksum, Ecn, IpView, Protocol, TcpFlags};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// A fault that a [`Host`](crate::Host) can be given.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// Panics at the tenth packet received (O-1).
    Panic,
    /// The application reads a wrong byte (O-2).
    Misread,
    /// Packets are sent and the protocol is not told, so they stay due (O-3).
    Restless,
    /// A timer that was handled is still due (O-3).
    StaleDeadline,
    /// A byte of memory is never given back (O-4).
    Leak,
    /// Every acknowledgment is sent twice (O-5).
    Echo,
    /// One acknowledgment of many is sent twice (O-5).
    Stutter,
    /// The right edge of the window steps back (O-6).
    Shrink,
    /// A byte sent again is another one (O-7).
    Flip,
    /// Checksums are wrong (O-8).
    BadSum,
    /// Acknowledgments without text say that they are ECN-capable (O-8).
    Capable,
    /// Timers are never served (O-9).
    Deaf,
    /// The host's secrets differ from run to run (O-10).
    Whim,
    /// One outcome is not counted (O-11).
    Forget,
    /// The congestion window is a segment, and more is sent (O-12).
    Overdraw,
}

/// A fault at work.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    pub(crate) fault: Fault,
    sent: BTreeSet<(SocketAddr, SocketAddr, u32)>,
    pub(crate) received: u32,
    acknowledgments: u32,
}

static WHIM: AtomicU64 = AtomicU64::new(1);

impl Planted {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, sent: BTreeSet::new(), received: 0, acknowledgments: 0 }
    }

    /// Something that is different whenever it is asked for.
    pub(crate) fn whim() -> u64 {
        WHIM.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether this acknowledgment is sent twice.
    fn echoes(&mut self) -> bool {
        self.acknowledgments += 1;
        self.fault == Fault::Echo || self.acknowledgments == 20
    }

    /// Alters what a host sends.
    pub(crate) fn alter(&mut self, packets: &mut Vec<Packet>) {
        let mut altered = Vec::with_capacity(packets.len());
        for packet in packets.drain(..) {
            let Some(SegmentView { src, dst, tcp, payload, .. }) = packet.segment() else {
                altered.push(packet);
                continue;
            };
            let payload_at = packet.bytes.len() - payload.len();
            let tcp_at = payload_at - tcp.header_len();
            let plain =
                !tcp.flags.intersects(TcpFlags::SYN | TcpFlags::RST | TcpFlags::FIN) && payload.is_empty();
            let echoes = plain && self.echoes();
            match self.fault {
                Fault::Echo | Fault::Stutter if echoes => {
                    altered.push(packet.clone());
                    altered.push(packet);
                }
                Fault::Shrink if !tcp.flags.contains(TcpFlags::SYN) => {
                    altered.push(rewrite(&packet, |bytes| bytes[tcp_at + 14..tcp_at + 16].fill(0)));
                }
                Fault::Flip if !payload.is_empty() => {
                    let again = !self.sent.insert((src, dst, tcp.seq.get()));
                    altered.push(if again {
                        rewrite(&packet, |bytes| bytes[payload_at] ^= 1)
                    } else {
                        packet
                    });
                }
                Fault::BadSum => {
                    let mut bytes = packet.bytes.to_vec();
                    bytes[tcp_at + 17] ^= 1;
                    altered.push(Packet { bytes: Bytes::from(bytes), ..packet });
                }
                Fault::Capable if plain => altered.extend(packet.with_ecn(Ecn::Ect0)),
                _ => altered.push(packet),
            }
        }
        *packets = altered;
    }
}

/// A changed copy of a TCP packet, with its checksum right again.
fn rewrite(packet: &Packet, change: impl FnOnce(&mut [u8])) -> Packet {
    let mut bytes = packet.bytes.to_vec();
    change(&mut bytes);
    if let Ok(ip) = IpView::parse(&packet.bytes[..]) {
        let at = bytes.len() - ip.payload().len();
        bytes[at + 16..at + 18].fill(0);
        let mut sum = Checksum::pseudo_header(ip.src(), ip.dst(), Protocol::TCP, bytes.len() - at);
        sum.add(&bytes[at..]);
        bytes[at + 16..at + 18].copy_from_slice(&sum.finish().to_be_bytes());
    }
    Packet { bytes: Bytes::from(bytes), ..packet.clone() }
}
