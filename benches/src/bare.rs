//! The bare responder: what it costs to keep a kernel's TCP going through a TUN, with no TCP in between.
//!
//! It knows who talks to it and how far, no more: headers of 20 bytes, no options but MSS and window scale. Receiving, it
//! acknowledges once per drained batch. Sending, it fills the peer's window with headers made for each packet, and looks for
//! acknowledgments after every 16. There is no congestion control, no reassembly, no timer but one that starts again after
//! what was acknowledged if all stands still. Whatever a stack costs less than this, it saves on correctness; whatever it
//! costs more is its own.
//!
//! *Copying*, it moves each byte once more, as `AsyncRead` and `AsyncWrite` make everybody do: into a buffer of the
//! application when receiving, from one into a send buffer when sending.

use crate::session::{CHUNK, Job, Work, chunk};
use crate::tun::{self, Family, Link};
use carrick_wire::{Checksum, Protocol, offload};
use rustix::io::Errno;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// A way to respond.
#[derive(Clone, Copy, Debug)]
pub struct Bare {
    /// Whether the device takes and gives super-segments with unfinished checksums; else packets of the MTU are summed.
    pub offload: bool,
    /// Whether each byte is moved once more.
    pub copying: bool,
}

const MTU: u16 = 1500;
const PORT: u16 = 5001;
/// The window that is offered, in bytes.
const WINDOW: u32 = 512 << 10;
const SHIFT: u8 = 4;
/// Where sent bytes lie until they are acknowledged; the peer's window is used no further.
const SEND_BUFFER: u32 = 512 << 10;
/// Packets that are read before they are answered, and written before acknowledgments are looked for.
const READS: usize = 64;
const WRITES: usize = 16;
/// Segments in the largest super-segment.
const MOST_SEGMENTS: u32 = 44;
/// Segments worth sending while others are under way.
const WORTHWHILE: u32 = 16;
/// How long everything may stand still before what is not acknowledged is sent again.
const STANDSTILL: Duration = Duration::from_millis(20);

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;

/// Responds on a TUN of its own, from a task on a current-thread runtime.
///
/// # Errors
/// What the kernel said.
pub async fn respond(job: Arc<Job>, how: Bare) -> io::Result<()> {
    let link = Link::next(job.family);
    let fd = tun::register(tun::open(link, MTU, how.offload)?)?;
    job.ready(SocketAddr::from((link.far, PORT)));
    let mut responder = Responder::new(Arc::clone(&job), how, link.far);
    while !job.is_over() {
        tokio::select! {
            biased;
            ready = fd.readable() => {
                let mut ready = ready?;
                while !job.is_over() {
                    let dry = responder.read(fd.as_fd())?;
                    if dry {
                        ready.clear_ready();
                    }
                    let sent = responder.send(fd.as_fd())?;
                    if dry && !sent {
                        break;
                    }
                }
            }
            () = tokio::time::sleep(STANDSTILL), if responder.is_sending() => {
                responder.send_again();
                responder.send(fd.as_fd())?;
            }
            () = job.over() => {}
        }
    }
    Ok(())
}

struct Responder {
    job: Arc<Job>,
    how: Bare,
    address: IpAddr,
    mss: u16,
    peers: Vec<Peer>,
    /// What a packet is read into.
    packet: Vec<u8>,
    /// The application's buffer, and where in it the next byte belongs.
    application: Vec<u8>,
    at: usize,
    /// Which peer is sent to next.
    turn: usize,
}

struct Peer {
    address: IpAddr,
    port: u16,
    /// What it may send next, and whether it has been told so.
    rcv_nxt: u32,
    owed: bool,
    snd_una: u32,
    snd_nxt: u32,
    window: u32,
    shift: u8,
    send_buffer: Vec<u8>,
}

impl Responder {
    fn new(job: Arc<Job>, how: Bare, address: IpAddr) -> Self {
        let packet = vec![0; usize::from(u16::MAX) + offload::LEN];
        let mss = job.family.mss(MTU);
        Self { job, how, address, mss, peers: Vec::new(), packet, application: chunk(), at: 0, turn: 0 }
    }

    fn is_sending(&self) -> bool {
        self.job.work == Work::Send && self.peers.iter().any(|peer| peer.snd_nxt != peer.snd_una)
    }

    fn send_again(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.snd_nxt = peer.snd_una);
    }

    /// Reads a batch and answers it. True if there is no more to read now.
    fn read(&mut self, fd: BorrowedFd<'_>) -> io::Result<bool> {
        let mut dry = false;
        for _ in 0..READS {
            match rustix::io::read(fd, self.packet.as_mut_slice()) {
                Ok(length) => self.packet(fd, length)?,
                Err(Errno::AGAIN) => {
                    dry = true;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.owed) {
            peer.owed = false;
            put_on_wire(fd, self.how, self.address, peer, ACK, &[])?;
        }
        Ok(dry)
    }

    fn packet(&mut self, fd: BorrowedFd<'_>, length: usize) -> io::Result<()> {
        let before = if self.how.offload { offload::LEN } else { 0 };
        let Some(packet) = self.packet.get(before..length) else { return Ok(()) };
        // The kernel's own multicasts come too.
        let Some((address, tcp)) = read_ip(packet, self.job.family) else { return Ok(()) };
        if !self.how.offload {
            let mut sum = Checksum::pseudo_header(address, self.address, Protocol::TCP, tcp.len());
            sum.add(tcp);
            if sum.finish() != 0 {
                return Ok(());
            }
        }
        let (port, flags) = (half(tcp, 0), tcp[13]);
        let (seq, ack, window) = (word(tcp, 4), word(tcp, 8), u32::from(half(tcp, 14)));
        let options = usize::from(tcp[12] >> 4) * 4;
        let Some(payload) = tcp.get(options..) else { return Ok(()) };
        let place = self.peers.iter().position(|peer| peer.port == port);
        if flags & SYN != 0 {
            let shift = window_scale(tcp.get(TCP_HEADER..options).unwrap_or_default());
            let send_buffer = match (self.how.copying, self.job.work) {
                (true, Work::Send) => vec![1; SEND_BUFFER as usize],
                _ => Vec::new(),
            };
            let rcv_nxt = seq.wrapping_add(1);
            let mut peer = Peer {
                address,
                port,
                rcv_nxt,
                owed: false,
                snd_una: 0,
                snd_nxt: 0,
                window,
                shift,
                send_buffer,
            };
            put_on_wire(fd, self.how, self.address, &peer, SYN | ACK, &[])?;
            (peer.snd_una, peer.snd_nxt) = (1, 1);
            match place {
                Some(place) => self.peers[place] = peer,
                None => self.peers.push(peer),
            }
            return Ok(());
        }
        let Some(place) = place else { return Ok(()) };
        if flags & (RST | FIN) != 0 {
            self.peers.swap_remove(place);
            return Ok(());
        }
        let peer = &mut self.peers[place];
        if ack.wrapping_sub(peer.snd_una) <= peer.snd_nxt.wrapping_sub(peer.snd_una) {
            peer.snd_una = ack;
        }
        peer.window = window << peer.shift;
        if payload.is_empty() {
            return Ok(());
        }
        // What is not next in line is answered all the same, so that the peer sends it again.
        peer.owed = true;
        if seq != peer.rcv_nxt {
            return Ok(());
        }
        peer.rcv_nxt = peer.rcv_nxt.wrapping_add(payload.len() as u32);
        if self.job.work == Work::Echo {
            peer.owed = false;
            put_on_wire(fd, self.how, self.address, peer, PSH | ACK, &[payload])?;
            peer.snd_nxt = peer.snd_nxt.wrapping_add(payload.len() as u32);
            return Ok(());
        }
        if self.how.copying {
            let mut rest = payload;
            while !rest.is_empty() {
                let free = self.application.len() - self.at;
                let (now, later) = rest.split_at(free.min(rest.len()));
                self.application[self.at..][..now.len()].copy_from_slice(now);
                self.at = (self.at + now.len()) % self.application.len();
                rest = later;
            }
        }
        self.job.received(payload.len());
        Ok(())
    }

    /// Sends up to 16 packets of what windows permit, to one peer after the other: the kernel wakes a reader once for many
    /// then. True if there may be more.
    fn send(&mut self, fd: BorrowedFd<'_>) -> io::Result<bool> {
        if self.job.work != Work::Send {
            return Ok(false);
        }
        let mut left = WRITES;
        for _ in 0..self.peers.len() {
            while left > 0 && self.send_one(fd, self.turn % self.peers.len())? {
                left -= 1;
            }
            self.turn = self.turn.wrapping_add(1);
        }
        Ok(left == 0)
    }

    /// Sends a packet if the peer's window permits one worth sending.
    fn send_one(&mut self, fd: BorrowedFd<'_>, place: usize) -> io::Result<bool> {
        let Some(peer) = self.peers.get_mut(place) else { return Ok(false) };
        let under_way = peer.snd_nxt.wrapping_sub(peer.snd_una);
        let room = peer.window.min(SEND_BUFFER).saturating_sub(under_way);
        let most = if self.how.offload { MOST_SEGMENTS } else { 1 };
        let segments = (room / u32::from(self.mss)).min(most);
        if segments < if under_way > 0 { WORTHWHILE.min(most) } else { 1 } {
            return Ok(false);
        }
        let length = (segments * u32::from(self.mss)) as usize;
        if self.at + length > self.application.len() {
            self.at = 0;
        }
        let fresh = &self.application[self.at..][..length];
        self.at = (self.at + length) % CHUNK;
        if self.how.copying {
            let (first, second) = fresh.split_at(length.min(peer.room_to_end()));
            let at = peer.place();
            peer.send_buffer[at..][..first.len()].copy_from_slice(first);
            peer.send_buffer[..second.len()].copy_from_slice(second);
            let parts = [&peer.send_buffer[at..][..first.len()], &peer.send_buffer[..second.len()]];
            put_on_wire(fd, self.how, self.address, peer, PSH | ACK, &parts)?;
        } else {
            put_on_wire(fd, self.how, self.address, peer, PSH | ACK, &[fresh])?;
        }
        peer.snd_nxt = peer.snd_nxt.wrapping_add(length as u32);
        Ok(true)
    }
}

impl Peer {
    /// Where in the send buffer the next byte belongs.
    fn place(&self) -> usize {
        (self.snd_nxt % SEND_BUFFER) as usize
    }

    fn room_to_end(&self) -> usize {
        SEND_BUFFER as usize - self.place()
    }
}

/// Makes the headers and writes the packet.
fn put_on_wire(
    fd: BorrowedFd<'_>,
    how: Bare,
    from: IpAddr,
    to: &Peer,
    flags: u8,
    payload: &[&[u8]],
) -> io::Result<()> {
    let (ip_len, family) = match from {
        IpAddr::V4(_) => (IPV4_HEADER, Family::V4),
        IpAddr::V6(_) => (IPV6_HEADER, Family::V6),
    };
    let mss = family.mss(MTU);
    // MSS, a no-op, window scale.
    let [high, low] = mss.to_be_bytes();
    let options: &[u8] = if flags & SYN != 0 { &[2, 4, high, low, 1, 3, 3, SHIFT] } else { &[] };
    let payload_len: usize = payload.iter().map(|part| part.len()).sum();
    let tcp_len = TCP_HEADER + options.len() + payload_len;
    let mut header = [0; IPV6_HEADER + TCP_HEADER + 8];
    let header = &mut header[..ip_len + TCP_HEADER + options.len()];
    let (ip, tcp) = header.split_at_mut(ip_len);
    write_ip(ip, from, to.address, tcp_len);

    tcp[0..2].copy_from_slice(&PORT.to_be_bytes());
    tcp[2..4].copy_from_slice(&to.port.to_be_bytes());
    tcp[4..8].copy_from_slice(&to.snd_nxt.to_be_bytes());
    tcp[8..12].copy_from_slice(&to.rcv_nxt.to_be_bytes());
    tcp[12] = ((TCP_HEADER + options.len()) as u8 / 4) << 4;
    tcp[13] = flags;
    tcp[14..16].copy_from_slice(&((WINDOW >> SHIFT) as u16).to_be_bytes());
    tcp[20..].copy_from_slice(options);
    let mut sum = Checksum::pseudo_header(from, to.address, Protocol::TCP, tcp_len);
    let checksum = if how.offload {
        sum.fold()
    } else {
        sum.add(tcp);
        payload.iter().for_each(|part| sum.add(part));
        sum.finish()
    };
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());

    let size = NonZeroU16::new(mss).filter(|mss| payload_len > usize::from(mss.get()));
    let mut before = [0; offload::LEN];
    let mut slices = [IoSlice::new(&[]); 4];
    if how.offload {
        before = offload::emit(header, size).map_err(io::Error::other)?;
    }
    let parts = [&before[..], header].into_iter().chain(payload.iter().copied());
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    let slices = &slices[usize::from(!how.offload)..2 + payload.len()];
    match rustix::io::writev(fd, slices) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Source and TCP segment of a packet of the kernel's, which has neither options nor extension headers.
fn read_ip(packet: &[u8], family: Family) -> Option<(IpAddr, &[u8])> {
    let (first, mask, length, protocol_at) = match family {
        Family::V4 => (0x45, 0xff, IPV4_HEADER, 9),
        Family::V6 => (0x60, 0xf0, IPV6_HEADER, 6),
    };
    let (ip, tcp) = packet.split_at_checked(length).filter(|(_, tcp)| tcp.len() >= TCP_HEADER)?;
    let is_tcp = ip[0] & mask == first && ip[protocol_at] == Protocol::TCP.0;
    let src = match family {
        Family::V4 => Ipv4Addr::from(*ip[12..].first_chunk::<4>()?).into(),
        Family::V6 => Ipv6Addr::from(*ip[8..].first_chunk::<16>()?).into(),
    };
    is_tcp.then_some((src, tcp))
}

/// Writes an IP header, of 64 hops and not to be fragmented.
fn write_ip(ip: &mut [u8], from: IpAddr, to: IpAddr, tcp_len: usize) {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ip[0] = 0x45;
            ip[2..4].copy_from_slice(&((IPV4_HEADER + tcp_len) as u16).to_be_bytes());
            ip[6] = 0x40;
            ip[8..10].copy_from_slice(&[64, Protocol::TCP.0]);
            ip[12..16].copy_from_slice(&from.octets());
            ip[16..20].copy_from_slice(&to.octets());
            let mut sum = Checksum::new();
            sum.add(ip);
            ip[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ip[0] = 0x60;
            ip[4..6].copy_from_slice(&(tcp_len as u16).to_be_bytes());
            ip[6..8].copy_from_slice(&[Protocol::TCP.0, 64]);
            ip[8..24].copy_from_slice(&from.octets());
            ip[24..40].copy_from_slice(&to.octets());
        }
        _ => unreachable!("both ends are of one family"),
    }
}

/// What the window is to be shifted by, from the options of a SYN.
fn window_scale(mut options: &[u8]) -> u8 {
    while let [kind, rest @ ..] = options {
        options = match (kind, rest) {
            (0, _) => break,
            (1, _) => rest,
            (3, [_, shift, ..]) => return *shift,
            (_, [length, ..]) => options.get(usize::from(*length).max(2)..).unwrap_or_default(),
            _ => break,
        };
    }
    0
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_headers_that_it_writes_and_they_are_right() {
        for (src, dst, family) in
            [("192.0.2.1", "192.0.2.2", Family::V4), ("2001:db8::1", "2001:db8::2", Family::V6)]
        {
            let [src, dst]: [IpAddr; 2] = [src, dst].map(|address| address.parse().unwrap());
            let length = if src.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
            let mut packet = vec![0; length + TCP_HEADER + 7];
            write_ip(&mut packet[..length], src, dst, TCP_HEADER + 7);
            let view = carrick_wire::IpView::parse(&packet[..]).unwrap();
            assert_eq!((view.src(), view.dst(), view.protocol()), (src, dst, Protocol::TCP));
            assert_eq!((view.header_len(), view.payload().len()), (length, TCP_HEADER + 7));
            assert_eq!(read_ip(&packet, family), Some((src, &packet[length..])));
            assert_eq!(read_ip(&packet[..length + TCP_HEADER - 1], family), None);
            let other = if src.is_ipv4() { Family::V6 } else { Family::V4 };
            assert_eq!(read_ip(&packet, other), None);
        }
    }

    #[test]
    fn finds_the_window_scale() {
        // As Linux orders them: MSS, SACK permitted, timestamps, no-op, window scale.
        let options = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        assert_eq!(window_scale(&options), 7);
        assert_eq!(window_scale(&options[..16]), 0);
        assert_eq!(window_scale(&[8, 0, 3]), 0);
    }
}
