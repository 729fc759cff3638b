//! What devices with segmentation and receive offload do to TCP packets: one is cut into many, many are joined to one.

use crate::packet::Packet;
use carrick_wire::segmentation::{SegmentBuf, Segmenter, complete_checksum};
use carrick_wire::{Checksum, IpView, Protocol, TcpFlags};
use std::num::NonZeroU16;

impl Packet {
    /// The packets that this one is on a wire, in order: itself if it is no super-segment.
    ///
    /// # Panics
    ///
    /// If it says that it is one, and is no TCP packet that can be cut.
    #[must_use]
    pub fn cut(&self) -> Vec<Self> {
        let (Some(size), Some(segment)) = (self.segment_size, self.segment()) else {
            return vec![self.clone()];
        };
        let (header, text) = self.bytes.split_at(self.bytes.len() - segment.payload.len());
        let text = [text];
        let mut segmenter = Segmenter::new(header, &text, size).expect("its header fits its text");
        let mut out = Vec::new();
        let mut buffer = SegmentBuf::new();
        while segmenter.next_segment(&mut buffer) {
            let bytes = [&[buffer.header()], buffer.parts()].concat().concat();
            out.push(Self { checksum: self.checksum, ..Self::new(bytes) });
        }
        out
    }
}

/// Joins neighbours among `packets` as a device with receive offload does: text that follows on text, with headers that
/// differ in nothing but the number, FIN and PSH of the last, and CWR of the first. All but the last carry as much as
/// the first. `most` is asked for each packet to come how many it may stand for.
#[must_use]
pub fn join(packets: &[Packet], mut most: impl FnMut() -> usize) -> Vec<Packet> {
    let mut out = Vec::new();
    let mut rest = packets;
    while !rest.is_empty() {
        let run = run_of(rest, most().max(1));
        out.push(joined(&rest[..run]));
        rest = &rest[run..];
    }
    out
}

/// How many of the first packets can be one.
fn run_of(packets: &[Packet], most: usize) -> usize {
    let mut run = 1;
    let mut len = packets[0].bytes.len();
    while run < packets.len().min(most) {
        let Some(more) = follows(&packets[0], &packets[run - 1], &packets[run]) else { break };
        len += more;
        if len > usize::from(u16::MAX) {
            break;
        }
        run += 1;
    }
    run
}

/// How much text `next` adds to a packet that begins with `first` and ends with `last`, if it can.
fn follows(first: &Packet, last: &Packet, next: &Packet) -> Option<usize> {
    let ends = TcpFlags::FIN | TcpFlags::PSH;
    let alone = TcpFlags::SYN | TcpFlags::RST | TcpFlags::URG;
    let [a, b, c] = [first.segment()?, last.segment()?, next.segment()?];
    let of_ip = |packet: &Packet| {
        let ip = IpView::parse(&packet.bytes[..]).ok()?;
        Some((ip.src(), ip.dst(), ip.tos(), ip.hop_limit(), ip.header_len()))
    };
    let of_tcp =
        |tcp: carrick_wire::TcpHeader| (tcp.src_port, tcp.dst_port, tcp.ack, tcp.window, tcp.options);
    let same = of_ip(first)? == of_ip(next)?
        && of_tcp(a.tcp) == of_tcp(c.tcp)
        && a.tcp.flags.difference(TcpFlags::CWR | ends) == c.tcp.flags.difference(ends)
        && first.checksum == next.checksum
        && [first, next].iter().all(|packet| packet.segment_size.is_none());
    let in_turn = c.tcp.seq == b.tcp.seq + b.payload.len() as u32
        && b.payload.len() == a.payload.len()
        && (1..=a.payload.len()).contains(&c.payload.len())
        && !b.has(ends)
        && !a.has(alone);
    (same && in_turn).then_some(c.payload.len())
}

fn joined(run: &[Packet]) -> Packet {
    let [first, .., last] = run else { return run[0].clone() };
    let segments: Vec<_> = run.iter().filter_map(Packet::segment).collect();
    let text: Vec<&[u8]> = segments.iter().map(|segment| segment.payload).collect();
    let text_len: usize = text.iter().map(|text| text.len()).sum();
    let mut header = first.bytes[..first.bytes.len() - text[0].len()].to_vec();
    let view = IpView::parse(&first.bytes[..]).expect("it has been read before");
    let (ip, len) = (view.header_len(), header.len() + text_len);
    if header[0] >> 4 == 4 {
        header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        header[10..12].fill(0);
        let mut sum = Checksum::new();
        sum.add(&header[..ip]);
        header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    } else {
        header[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
    }
    header[ip + 13] |= last.bytes[ip + 13];
    let partial = Checksum::pseudo_header(view.src(), view.dst(), Protocol::TCP, len - ip).fold();
    header[ip + 16..ip + 18].copy_from_slice(&partial.to_be_bytes());
    complete_checksum(&mut header, &text).expect("a header that fits its text");
    let segment_size = NonZeroU16::new(text[0].len() as u16);
    let bytes = [&[header.as_slice()], text.as_slice()].concat().concat();
    Packet { segment_size, checksum: first.checksum, ..Packet::new(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::segment::pattern;
    use carrick_wire::{Ecn, SackBlock, SeqNum, TcpHeader, TcpOptions, Timestamps, WireWindow};
    use std::net::IpAddr;

    fn packet(rng: &mut Rng, len: usize) -> Packet {
        let [src, dst]: [IpAddr; 2] = match rng.below(2) {
            0 => [1, 2].map(|last| [192, 0, 2, last].into()),
            _ => [1, 2].map(|last| [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into()),
        };
        let mut options = TcpOptions::default();
        if rng.chance(500_000) {
            options.timestamps = Some(Timestamps { val: 7, ecr: 9 });
        }
        if rng.chance(300_000) {
            options.sack.push(SackBlock::new(SeqNum::new(5), SeqNum::new(9)).expect("not empty"));
        }
        let mut flags = TcpFlags::ACK;
        for flag in [TcpFlags::PSH, TcpFlags::FIN, TcpFlags::CWR, TcpFlags::ECE] {
            if rng.chance(300_000) {
                flags |= flag;
            }
        }
        let seq = SeqNum::new(rng.bits() as u32);
        let (ack, window) = (SeqNum::new(77), WireWindow::new(4000));
        let tcp = TcpHeader { src_port: 1, dst_port: 2, seq, ack, flags, window, urgent: 0, options };
        Packet::tcp(src, dst, rng.pick(&[Ecn::NotEct, Ecn::Ect0]).bits(), &tcp, &pattern(3, len))
    }

    #[test]
    fn what_is_cut_and_joined_again_is_what_it_was() {
        let mut rng = Rng::new(1);
        for _ in 0..500 {
            let len = rng.size(2, 60_000);
            let size = NonZeroU16::new(rng.size(len.div_ceil(1000), len - 1) as u16);
            let whole = Packet { segment_size: size, ..packet(&mut rng, len) };
            let wire = whole.cut();
            assert_eq!(wire.len() as u64, whole.wire_packets());
            assert!(wire.iter().all(|packet| packet.segment().is_some()), "each is whole and correct");
            let joined = join(&wire, || usize::MAX);
            assert_eq!(joined.len(), 1, "{len} bytes in {size:?}");
            let differs = joined[0].bytes.iter().zip(&whole.bytes).position(|(a, b)| a != b);
            assert_eq!(
                (differs, joined[0].segment_size),
                (None, whole.segment_size),
                "{len} bytes in {size:?}"
            );
            assert!(joined[0] == whole);
            // However it is joined, it is cut to the same.
            let parts = join(&wire, || rng.size(1, 9));
            assert!(parts.iter().flat_map(Packet::cut).eq(wire));
        }
    }

    #[test]
    fn what_does_not_belong_together_stays_apart() {
        let mut rng = Rng::new(2);
        let whole = loop {
            let whole = Packet { segment_size: NonZeroU16::new(100), ..packet(&mut rng, 350) };
            let segment = whole.segment().unwrap();
            if segment.tcp.options.timestamps.is_some() && segment.src.is_ipv4() && segment.ecn != Ecn::NotEct
            {
                break whole;
            }
        };
        let wire = whole.cut();
        assert_eq!(join(&wire[1..], || 99).len(), 1);
        for odd in 0..8 {
            let segment = wire[2].segment().unwrap();
            let (mut tcp, mut text, mut tos) = (segment.tcp, segment.payload.to_vec(), segment.ecn.bits());
            match odd {
                0 => tcp.ack += 1,
                1 => tcp.window = WireWindow::new(4001),
                2 => tcp.options.timestamps = Some(Timestamps { val: 8, ecr: 9 }),
                3 => tcp.flags |= TcpFlags::CWR,
                4 => tcp.seq += 1,
                5 => text.push(0),
                6 => tos = Ecn::Ce.bits(),
                _ => text.clear(),
            }
            let other = Packet::tcp(segment.src.ip(), segment.dst.ip(), tos, &tcp, &text);
            let joined = join(&[wire[1].clone(), other], || 99);
            assert_eq!(joined.len(), 2, "{odd}");
        }
        // What is shorter, or ends something, is the last.
        let mut last = wire.clone();
        last.rotate_right(1);
        assert_eq!(join(&last, || 99).len(), 2);
    }
}
