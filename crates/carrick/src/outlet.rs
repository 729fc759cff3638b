//! The way out of a stack: every packet of every connection and of the endpoint leaves through here.
//!
//! What the device cannot do is done here and nowhere else: super-segments are cut for devices without
//! segmentation (or that refuse what they should take), partial checksums completed for devices that do not complete
//! them, and packets to one of the stack's own addresses go into a ring that the device task reads, never to the
//! device.

use crate::capture::Captures;
use crate::counters::{Departed, Departures};
use crate::device::{Capabilities, Checksum, Device, Packet, Ring};
use crate::outage::Outages;
use crate::watch::{Ends, Watch, tells};
use carrick_core::{MAX_PARTS, Taken, Transmit};
use carrick_wire::Protocol;
use carrick_wire::segmentation::{SegmentBuf, Segmenter, complete_checksum};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tracing::Level;
use tracing::field::display;

/// Bytes of the ring for packets to ourselves: a few full windows.
const OWN_RING: usize = 2 << 20;
/// The longest IP and TCP header.
const LONGEST_HEADER: usize = 120;
/// After so many super-segments that the device refused, none is offered it any more.
const REFUSALS: u32 = 3;
/// How often an interrupted call is repeated before the packet counts as lost.
const INTERRUPTIONS: usize = 8;

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sent {
    /// It left, or the device lost it.
    All,
    /// The device has no room now; what it did not take is still due.
    DeviceFull,
    /// The ring of packets to ourselves has no room until the device task has read from it.
    OwnRingFull,
}

pub(crate) struct Outlet {
    pub(crate) device: Box<dyn Device>,
    pub(crate) own_ring: Ring,
    pub(crate) captures: Arc<Captures>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) departures: Departures,
    pub(crate) outages: Outages,
    capabilities: Capabilities,
    own_addresses: Vec<IpAddr>,
    lost: AtomicU64,
    /// Super-segments that the device refused although it should have taken them.
    refused: AtomicU32,
    /// The device had no room, and connections wait for it in the device task's list: all others queue behind
    /// them, since whoever just received something would else always be first.
    congested: AtomicBool,
}

impl Outlet {
    pub(crate) fn new(device: Box<dyn Device>, own_addresses: Vec<IpAddr>) -> Self {
        let capabilities = device.capabilities();
        let watch = Watch::new(&device.description(), &own_addresses);
        Self {
            device,
            own_ring: Ring::new(OWN_RING),
            captures: Arc::new(Captures::new(Arc::clone(&watch))),
            watch,
            departures: Departures::default(),
            outages: Outages::new(),
            capabilities,
            own_addresses,
            lost: AtomicU64::new(0),
            refused: AtomicU32::new(0),
            congested: AtomicBool::new(false),
        }
    }

    /// The largest packet worth making, headers included.
    pub(crate) fn largest(&self) -> NonZeroUsize {
        let Capabilities { mtu, largest_frame, segmentation_v4, segmentation_v6, .. } = self.capabilities;
        let cut_here = !segmentation_v4 && !segmentation_v6;
        let largest = if cut_here { usize::from(u16::MAX) } else { largest_frame.max(usize::from(mtu)) };
        NonZeroUsize::new(largest).unwrap_or(NonZeroUsize::MIN)
    }

    /// Packets that the device failed to send: they count as lost on the way.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Relaxed)
    }

    /// Nobody waits for the device any more.
    pub(crate) fn clear_congestion(&self) {
        self.congested.store(false, Ordering::Relaxed);
    }

    /// Sends a packet and tells its owner how much of it left.
    pub(crate) fn send(&self, mut transmit: Transmit<'_>) -> Sent {
        let segment_size = transmit.segment_size().filter(|_| transmit.payload_len() > 0);
        let address = destination(transmit.header());
        let to_ourselves = address.is_some_and(|address| self.own_addresses.contains(&address));
        let cut = segment_size.filter(|_| !to_ourselves && !self.segments(transmit.header()));
        if to_ourselves || cut.is_none() && self.capabilities.keeps_payloads {
            transmit.share();
        }
        let mut parts = [&[][..]; MAX_PARTS];
        let count = transmit.payload(&mut parts);
        let payload = parts.get(..count).unwrap_or_default();
        let header = transmit.header();
        let packet = Packet::of(&transmit, header, payload, segment_size);
        let (sent, taken) = match (cut, segment_size) {
            _ if to_ourselves => self.send_to_ourselves(&packet),
            (Some(size), _) => self.send_in_pieces(header, payload, size),
            (None, Some(size)) => match self.send_whole(&packet) {
                Offered::Refused => self.send_in_pieces(header, payload, size),
                offered => offered.outcome(0),
            },
            (None, None) => self.send_whole(&packet).outcome(0),
        };
        let len = match taken {
            Taken::All => packet.payload_len(),
            Taken::Payload(0) => return sent,
            Taken::Payload(n) => n,
        };
        if transmit.checksum_is_partial() {
            self.departed(&transmit, len, segment_size, taken == Taken::All);
        }
        if tells(Level::TRACE) {
            self.watch.packet("sent", transmit.header(), len);
        }
        transmit.sent(taken);
        sent
    }

    /// Counts a TCP packet with the first `len` bytes of its payload, and its FIN if it left whole.
    fn departed(&self, transmit: &Transmit<'_>, len: usize, segment_size: Option<NonZeroU16>, whole: bool) {
        let header = transmit.header();
        let flags = tcp_flags(header);
        let reset = flags & RST != 0;
        let old = transmit.sent_before();
        let departed = if segment_size.is_none() && old == 0 && !reset {
            Departed::ONE
        } else {
            let seqs = sequence_numbers(flags, len, whole);
            let size = segment_size.map_or(len, |size| size.get().into());
            Departed::new(len, size, seqs, old, reset)
        };
        self.departures.add(departed);
        if reset && tells(Level::DEBUG) {
            let Ends { src, dst } = Ends::of(header, 0);
            self.watch.later(move || {
                let (local, remote) = (src.map(display), dst.map(display));
                tracing::debug!(target: "carrick::connection", local, remote, "reset sent");
            });
        }
    }

    fn segments(&self, header: &[u8]) -> bool {
        let can = match version(header) {
            4 => self.capabilities.segmentation_v4,
            _ => self.capabilities.segmentation_v6,
        };
        can && self.refused.load(Ordering::Relaxed) < REFUSALS
    }

    fn send_to_ourselves(&self, packet: &Packet<'_>) -> (Sent, Taken) {
        let captured = self.captures.before_sending();
        if self.own_ring.push(packet, Checksum::Verified) {
            captured.sent(packet);
            (Sent::All, Taken::All)
        } else {
            (Sent::OwnRingFull, Taken::Payload(0))
        }
    }

    fn send_whole(&self, packet: &Packet<'_>) -> Offered {
        let Packet { header, payload, .. } = *packet;
        if self.capabilities.completes_checksums || !is_tcp(header) {
            return self.offer(packet);
        }
        let mut bytes = [0; LONGEST_HEADER];
        let Some(completed) = bytes.get_mut(..header.len()) else { return self.lose() };
        completed.copy_from_slice(header);
        if complete_checksum(completed, payload).is_err() {
            return self.lose();
        }
        self.offer(&packet.with_header(completed))
    }

    fn send_in_pieces(&self, header: &[u8], payload: &[&[u8]], size: NonZeroU16) -> (Sent, Taken) {
        let Ok(mut segmenter) = Segmenter::new(header, payload, size) else { return self.lose().outcome(0) };
        if self.capabilities.completes_checksums {
            segmenter = segmenter.with_partial_checksums();
        }
        let mut segment = SegmentBuf::new();
        let mut taken = 0;
        while segmenter.next_segment(&mut segment) {
            let packet = Packet::new(segment.header(), segment.parts(), None);
            if let Offered::Full = self.offer(&packet) {
                return Offered::Full.outcome(taken);
            }
            taken += usize::from(size.get());
        }
        (Sent::All, Taken::All)
    }

    fn offer(&self, packet: &Packet<'_>) -> Offered {
        let mut why = io::ErrorKind::Interrupted;
        for _ in 0..INTERRUPTIONS {
            let captured = self.captures.before_sending();
            match self.device.send(packet) {
                Ok(()) => {
                    captured.sent(packet);
                    self.outages.taken(&self.watch);
                    return Offered::Taken;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.congested.store(true, Ordering::Relaxed);
                    self.outages.refused(None);
                    return Offered::Full;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if error.kind() == io::ErrorKind::InvalidInput && packet.segment_size.is_some() =>
                {
                    if self.refused.fetch_add(1, Ordering::Relaxed) == REFUSALS - 1 && tells(Level::WARN) {
                        self.watch.later(|| {
                            tracing::warn!(
                                target: "carrick::device",
                                "the device refuses super-segments; they are cut in software from now on"
                            );
                        });
                    }
                    return Offered::Refused;
                }
                Err(error) => {
                    why = error.kind();
                    if tells(Level::DEBUG) {
                        self.watch.later(move || {
                            tracing::debug!(target: "carrick::device", %error, "packet lost by the device");
                        });
                    }
                    break;
                }
            }
        }
        self.outages.refused(Some(why));
        self.lost.fetch_add(1, Ordering::Relaxed);
        Offered::Taken
    }

    /// A packet that cannot be put on the wire: gone, as if the network had lost it.
    fn lose(&self) -> Offered {
        debug_assert!(false, "the core made a packet that cannot be cut or completed");
        self.lost.fetch_add(1, Ordering::Relaxed);
        Offered::Taken
    }
}

enum Offered {
    Taken,
    Full,
    /// It takes no such super-segment, although it should.
    Refused,
}

impl Offered {
    /// Nothing, or the first `before` payload bytes, had left when the device was offered the last packet.
    fn outcome(self, before: usize) -> (Sent, Taken) {
        match self {
            Self::Taken | Self::Refused => (Sent::All, Taken::All),
            Self::Full => (Sent::DeviceFull, Taken::Payload(before)),
        }
    }
}

fn version(header: &[u8]) -> u8 {
    header.first().map_or(0, |byte| byte >> 4)
}

/// Whether TCP follows the IP header; the core sends no extension headers.
fn is_tcp(header: &[u8]) -> bool {
    let place = if version(header) == 4 { 9 } else { 6 };
    header.get(place) == Some(&Protocol::TCP.0)
}

/// Bits of what `tcp_flags` gives.
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;

/// The flags of a TCP segment; the core sends no IP options and no extension headers.
fn tcp_flags(header: &[u8]) -> u8 {
    let ip = if version(header) == 4 { 20 } else { 40 };
    header.get(ip + 13).copied().unwrap_or(0)
}

/// How many sequence numbers have left with the first `len` bytes: a FIN stays with the rest of the text.
fn sequence_numbers(flags: u8, len: usize, whole: bool) -> usize {
    len + usize::from(flags & FIN != 0 && whole) + usize::from(flags & SYN != 0)
}

fn destination(header: &[u8]) -> Option<IpAddr> {
    if version(header) == 4 {
        let bytes: [u8; 4] = header.get(16..20)?.try_into().ok()?;
        return Some(IpAddr::from(bytes));
    }
    let bytes: [u8; 16] = header.get(24..40)?.try_into().ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen: of a packet with a FIN the device took only what had been sent before. For the FIN, which stayed, the last
    /// segment counted as one with something new in it as well.
    #[test]
    fn a_fin_that_stays_is_not_counted() {
        let counted = |len, whole| {
            let Departed { segments, again, .. } =
                Departed::new(len, 1000, sequence_numbers(FIN, len, whole), 1000, false);
            (segments, again)
        };
        assert_eq!(counted(1000, false), (0, 1));
        assert_eq!(counted(1000, true), (1, 1), "the FIN is new");
        assert_eq!(counted(2000, false), (1, 1));
        assert_eq!(sequence_numbers(SYN | FIN, 10, true), 12);
    }
}
