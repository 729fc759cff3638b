//! What frames are on a wire: packets of their own, with finished checksums; and back, for a device that finishes them.

use crate::device::{Checksum, Meta};
use bytes::Bytes;
use carrick_wire::segmentation::{SegmentBuf, Segmenter};
use carrick_wire::tcp::set_checksum;
use carrick_wire::{Checksum as Sum, IpView, Protocol, TcpView};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::Range;

/// A whole TCP segment in a packet.
struct Segment {
    src: IpAddr,
    dst: IpAddr,
    at: Range<usize>,
    /// Of IP and TCP together.
    header_len: usize,
    /// Whether its checksum is right.
    intact: bool,
}

impl Segment {
    fn of(packet: &[u8]) -> Option<Self> {
        let ip = IpView::parse(packet).ok()?;
        if ip.protocol() != Protocol::TCP || ip.fragment().is_some() {
            return None;
        }
        let (src, dst, end) = (ip.src(), ip.dst(), ip.total_len());
        let tcp = TcpView::parse(ip.payload()).ok()?;
        let at = end.checked_sub(ip.payload().len())?..end;
        let header_len = at.start + tcp.header_len();
        Some(Self { src, dst, intact: tcp.verify_checksum(src, dst), at, header_len })
    }

    /// Writes the checksum anew, or its partial form.
    fn write_checksum(&self, packet: &mut [u8], partial: bool) -> Option<()> {
        let segment = packet.get_mut(self.at.clone())?;
        let mut sum = Sum::pseudo_header(self.src, self.dst, Protocol::TCP, segment.len());
        if partial {
            return set_checksum(segment, sum.fold()).ok();
        }
        set_checksum(segment, 0).ok()?;
        sum.add(segment);
        set_checksum(segment, sum.finish()).ok()
    }
}

/// Gives each packet that a received frame is on a wire, with a checksum that is right if the frame's was. What cannot
/// be made anything of is left as it is.
pub(super) fn unpacked(frame: &[u8], meta: &Meta, mut each: impl FnMut(Bytes)) {
    if cut(frame, meta, &mut each).is_none() {
        each(Bytes::copy_from_slice(frame));
    }
}

fn cut(frame: &[u8], meta: &Meta, each: &mut impl FnMut(Bytes)) -> Option<()> {
    let size = meta.segment_size.and_then(NonZeroU16::new);
    if meta.checksum == Checksum::Unknown && size.is_none() {
        return None;
    }
    let Some(segment) = Segment::of(frame) else {
        each(finished_datagram(frame).filter(|_| meta.checksum == Checksum::Verified)?);
        return Some(());
    };
    if meta.checksum == Checksum::Unknown && !segment.intact {
        // To cut it would make a wrong checksum right.
        return None;
    }
    let (header, text) = frame.get(..segment.at.end)?.split_at_checked(segment.header_len)?;
    if let Some(size) = size.filter(|size| text.len() > usize::from(size.get())) {
        let text = [text];
        let mut segmenter = Segmenter::new(header, &text, size).ok()?;
        let mut packet = SegmentBuf::new();
        while segmenter.next_segment(&mut packet) {
            each([&[packet.header()], packet.parts()].concat().concat().into());
        }
        return Some(());
    }
    let mut packet = frame.get(..segment.at.end)?.to_vec();
    segment.write_checksum(&mut packet, false)?;
    each(packet.into());
    Some(())
}

/// A UDP datagram with its checksum, if it has one at all. Of what uses checksums and is not TCP it is the only one
/// that comes unfinished.
fn finished_datagram(packet: &[u8]) -> Option<Bytes> {
    let ip = IpView::parse(packet).ok()?;
    if ip.protocol() != Protocol::UDP || ip.fragment().is_some() {
        return None;
    }
    let (src, dst, end) = (ip.src(), ip.dst(), ip.total_len());
    let at = end.checked_sub(ip.payload().len())?..end;
    let mut packet = packet.get(..end)?.to_vec();
    let datagram = packet.get_mut(at)?;
    if datagram.get(6..8)? == [0, 0] {
        return None;
    }
    datagram.get_mut(6..8)?.fill(0);
    let mut sum = Sum::pseudo_header(src, dst, Protocol::UDP, datagram.len());
    sum.add(datagram);
    // Zero would be none (RFC 768).
    let sum = NonZeroU16::new(sum.finish()).unwrap_or(NonZeroU16::MAX);
    datagram.get_mut(6..8)?.copy_from_slice(&sum.get().to_be_bytes());
    Some(packet.into())
}

/// The packet as a device wants it that completes checksums; none if it is broken, which nobody behind such a device
/// would notice.
pub(super) fn unfinished(packet: Bytes) -> Option<Bytes> {
    let Some(segment) = Segment::of(&packet) else {
        let ip = IpView::parse(&packet[..]).ok()?;
        return (ip.protocol() != Protocol::TCP || ip.fragment().is_some()).then(|| packet.clone());
    };
    if !segment.intact {
        return None;
    }
    let mut packet = packet.to_vec();
    segment.write_checksum(&mut packet, true)?;
    Some(packet.into())
}

/// How much of a packet is headers; what is none has few.
pub(super) fn header_len(packet: &[u8]) -> usize {
    let of_ip = || IpView::parse(packet).map_or(20, |ip| ip.header_len());
    Segment::of(packet).map_or_else(of_ip, |segment| segment.header_len).min(packet.len()).min(120)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrick_sim::{Packet, Rng, SegmentView};
    use carrick_wire::{IpHeader, SeqNum, TcpFlags, TcpHeader};

    fn packet(v6: bool, text: &[u8]) -> Bytes {
        let [src, dst] = if v6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
        let tcp = TcpHeader { src_port: 1, dst_port: 2, flags: TcpFlags::ACK, ..TcpHeader::default() };
        Packet::tcp(src.parse().unwrap(), dst.parse().unwrap(), 0, &tcp, text).bytes
    }

    fn all(frame: &[u8], meta: Meta) -> Vec<Bytes> {
        let mut all = Vec::new();
        unpacked(frame, &meta, |packet| all.push(packet));
        all
    }

    fn spoiled(packet: &Bytes) -> Bytes {
        let mut packet = packet.to_vec();
        *packet.last_mut().unwrap() ^= 1;
        packet.into()
    }

    #[test]
    fn finished_and_unfinished_are_each_others_way_back() {
        for v6 in [false, true] {
            let packet = packet(v6, b"some text");
            let partial = unfinished(packet.clone()).unwrap();
            assert_ne!(partial, packet);
            let vouched = Meta { checksum: Checksum::Verified, ..Meta::default() };
            assert_eq!(all(&partial, vouched), [&packet]);
            assert_eq!(all(&packet, Meta::default()), [&packet]);
            assert_eq!(unfinished(spoiled(&packet)), None, "nobody would notice");
            assert_eq!(all(&spoiled(&packet), Meta::default()), [spoiled(&packet)]);
            assert_eq!(header_len(&packet), if v6 { 60 } else { 40 });
        }
    }

    #[test]
    fn super_segments_are_cut_and_broken_ones_are_not_mended() {
        let text: Vec<u8> = (0..4000).map(|n| (n % 251) as u8).collect();
        for v6 in [false, true] {
            let packet = packet(v6, &text);
            for checksum in [Checksum::Verified, Checksum::Unknown] {
                let meta = Meta { checksum, segment_size: Some(1400), received_at: None };
                let cut = all(&packet, meta);
                let segments: Vec<_> = cut
                    .iter()
                    .map(|packet| SegmentView::parse(packet).unwrap().expect("a right checksum"))
                    .collect();
                let seqs: Vec<_> = segments.iter().map(|segment| segment.tcp.seq).collect();
                assert_eq!(seqs, [0, 1400, 2800].map(SeqNum::new));
                assert_eq!(
                    segments.iter().flat_map(|segment| segment.payload).copied().collect::<Vec<_>>(),
                    text
                );
            }
            let meta = Meta { segment_size: Some(1400), ..Meta::default() };
            assert_eq!(all(&spoiled(&packet), meta), [spoiled(&packet)]);
        }
    }

    /// A datagram that ends in `word`, with that checksum.
    fn datagram(v6: bool, word: u16, sum: impl Fn(Sum, &[u8]) -> u16) -> Bytes {
        let [src, dst] = if v6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
        let [src, dst]: [IpAddr; 2] = [src, dst].map(|text| text.parse().unwrap());
        let mut datagram = vec![0x9c, 0x40, 0, 53, 0, 10, 0, 0];
        datagram.extend_from_slice(&word.to_be_bytes());
        let field = sum(Sum::pseudo_header(src, dst, Protocol::UDP, datagram.len()), &datagram);
        datagram[6..8].copy_from_slice(&field.to_be_bytes());
        let ip = IpHeader { payload_len: datagram.len(), ..IpHeader::new(src, dst, Protocol::UDP) };
        let mut packet = vec![0; ip.header_len()];
        ip.emit(&mut packet).unwrap();
        packet.append(&mut datagram);
        packet.into()
    }

    #[test]
    fn datagrams_have_finished_checksums_too() {
        let vouched = || Meta { checksum: Checksum::Verified, ..Meta::default() };
        let partial = |sum: Sum, _: &[u8]| sum.fold();
        let right = |mut sum: Sum, datagram: &[u8]| {
            sum.add(datagram);
            if sum.finish() == 0 { u16::MAX } else { sum.finish() }
        };
        for v6 in [false, true] {
            let mut all_ones = 0;
            for word in 0..=u16::MAX {
                let finished = datagram(v6, word, right);
                all_ones += usize::from(finished[finished.len() - 4..][..2] == [0xff; 2]);
                assert_eq!(all(&datagram(v6, word, partial), vouched()), [finished]);
            }
            assert_eq!(all_ones, 1, "one of them has the sum zero");
            for (unfinished, meta) in [
                (datagram(v6, 1, partial), Meta::default()),
                (datagram(v6, 1, |_, _| 0), vouched()),
                (datagram(v6, 1, right), vouched()),
            ] {
                assert_eq!(all(&unfinished, meta), [&unfinished], "as it is");
            }
        }
    }

    #[test]
    fn any_bytes_are_something_to_carry() {
        let mut rng = Rng::new(1);
        let good = [packet(false, &[7; 3000]), packet(true, &[7; 3000])];
        for _ in 0..50_000 {
            let mut frame = good[rng.size(0, 1)].to_vec();
            frame.truncate(rng.size(0, frame.len()));
            for _ in 0..rng.below(4) {
                if !frame.is_empty() {
                    let at = rng.size(0, (frame.len() - 1).min(80));
                    frame[at] = rng.bits() as u8;
                }
            }
            let checksum = if rng.chance(500_000) { Checksum::Verified } else { Checksum::Unknown };
            let segment_size = rng.chance(500_000).then(|| rng.between(0, 2000) as u16);
            let carried = all(&frame, Meta { checksum, segment_size, received_at: None });
            assert!(!carried.is_empty());
            for packet in carried {
                assert!(header_len(&packet) <= packet.len().min(120));
                let _ = unfinished(packet);
            }
        }
    }
}
