//! The read buffers of a device task, and packets put together where they were read.
//!
//! A buffer that was handed over is used again when nobody refers to it any more, most recently freed first, so
//! that the same few stay in cache. Invariant: a buffer's bytes are initialised once, when it is allocated.
//!
//! Of a stream that comes in single packets each is read to where its payload follows that of the one before, so that
//! the payload never moves. The packet's headers then lie over the end of what came before, which is put aside until
//! they have been looked at.
//!
//! ```text
//!   headers | payload | payload | pay[load]              what is in brackets is put aside
//!                                    headers | payload   the next packet
//! ```

use bytes::{Bytes, BytesMut};
use carrick_wire::merging::{MAX_HEADER_LEN, Run};

/// Size of a read buffer: the largest IP packet and some room for a device's own header.
pub(super) const BUFFER: usize = 65_536 + 512;
/// Most handed-over buffers that are remembered for reuse.
pub(super) const REMEMBERED: usize = 16;

/// The read buffers of one device task.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    current: Option<BytesMut>,
    pub(super) handed_over: Vec<Bytes>,
    /// What the current buffer begins with.
    merging: Option<Merging>,
}

/// Packets of a stream.
#[derive(Debug)]
struct Merging {
    run: Run,
    /// Payload that is put aside, and where it belongs if it is.
    covered: [u8; MAX_HEADER_LEN],
    covered_at: Option<usize>,
}

/// What a packet is to those before it.
#[derive(Debug)]
pub(super) enum Next {
    /// It may be the first or the next of several.
    Waits,
    /// It is the last of those that wait.
    Whole,
    /// It is at the start of the buffer, so many bytes long, and nothing can follow it.
    Alone(usize),
    /// It is not of those that wait: to be given to [`Buffers::begin`] when they are dealt with.
    Other(BytesMut, usize),
}

/// What waited, at the start of the buffer.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) len: usize,
    pub(super) packets: usize,
    pub(super) segment_size: u16,
}

impl Merging {
    /// Where the next packet is to be read to: its headers are as long as those that the buffer begins with.
    const fn next_at(&self) -> usize {
        self.run.total_len().saturating_sub(self.run.header_len())
    }

    fn cover<'b>(&mut self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let (at, len) = (self.next_at(), self.run.header_len());
        if self.covered_at.replace(at).is_none() {
            self.covered[..len].copy_from_slice(&buffer[at..][..len]);
        }
        &mut buffer[at..]
    }

    fn uncover(&mut self, buffer: &mut [u8]) {
        let len = self.run.header_len();
        if let Some(at) = self.covered_at.take() {
            buffer[at..][..len].copy_from_slice(&self.covered[..len]);
        }
    }
}

impl Buffers {
    /// The whole of the current buffer. Nothing must wait in it.
    pub(super) fn current(&mut self) -> &mut [u8] {
        let Self { current, handed_over, .. } = self;
        current.get_or_insert_with(|| fresh(handed_over))
    }

    /// Gives the current buffer away.
    pub(super) fn hand_over(&mut self) -> Bytes {
        self.current();
        self.current.take().unwrap_or_default().freeze()
    }

    /// Keeps an eye on a buffer that was given away.
    pub(super) fn remember(&mut self, whole: Bytes) {
        if self.handed_over.len() >= REMEMBERED {
            self.handed_over.remove(0);
        }
        self.handed_over.push(whole);
    }

    /// Whether a packet of so many bytes can be read behind those that wait.
    pub(super) fn has_room(&self, largest: usize) -> bool {
        self.merging.as_ref().is_none_or(|merging| merging.next_at().saturating_add(largest) <= BUFFER)
    }

    /// Where the next packet is to be read to.
    pub(super) fn behind(&mut self) -> &mut [u8] {
        let Self { current, handed_over, merging } = self;
        let buffer = current.get_or_insert_with(|| fresh(handed_over));
        match merging {
            Some(merging) => merging.cover(buffer),
            None => buffer,
        }
    }

    /// Looks at the packet in the first `len` bytes of [`behind`](Self::behind).
    pub(super) fn take(&mut self, len: usize) -> Next {
        let Self { current, handed_over, merging } = self;
        let buffer = current.get_or_insert_with(|| fresh(handed_over));
        let Some(merging) = merging else { return self.first(len) };
        let packet = &buffer[merging.next_at()..];
        let packet = packet.get(..len).unwrap_or(packet);
        let taken = merging.run.take(packet);
        let other = (!taken).then(|| {
            let mut other = fresh(handed_over);
            other[..packet.len()].copy_from_slice(packet);
            (other, packet.len())
        });
        merging.uncover(buffer);
        match other {
            Some((other, len)) => Next::Other(other, len),
            None if merging.run.has_ended() => Next::Whole,
            None => Next::Waits,
        }
    }

    /// Goes on with the buffer of a packet that nothing before it had to do with.
    pub(super) fn begin(&mut self, other: BytesMut, len: usize) -> Next {
        if let Some(old) = self.current.replace(other) {
            self.remember(old.freeze());
        }
        self.first(len)
    }

    /// Looks at the packet in the first `len` bytes of the buffer, in which nothing waits.
    fn first(&mut self, len: usize) -> Next {
        let buffer = self.current();
        let len = len.min(buffer.len());
        let Some(run) = Run::begin(&buffer[..len]) else { return Next::Alone(len) };
        self.merging = Some(Merging { run, covered: [0; MAX_HEADER_LEN], covered_at: None });
        Next::Waits
    }

    /// Makes one packet of those that wait.
    pub(super) fn finish(&mut self) -> Option<Merged> {
        let mut merging = self.merging.take()?;
        let buffer = self.current();
        merging.uncover(buffer);
        let Merging { run, .. } = merging;
        if run.packets() > 1 {
            // It has the room of the first packet's headers.
            let _ = run.emit(buffer);
        }
        Some(Merged { len: run.total_len(), packets: run.packets(), segment_size: run.segment_size() })
    }
}

/// The buffer that was freed last, or a new one.
fn fresh(handed_over: &mut Vec<Bytes>) -> BytesMut {
    reclaim(handed_over).unwrap_or_else(|| BytesMut::zeroed(BUFFER))
}

/// Takes back the most recently handed-over buffer that nobody refers to any more.
fn reclaim(handed_over: &mut Vec<Bytes>) -> Option<BytesMut> {
    let free = handed_over.iter().rposition(Bytes::is_unique)?;
    handed_over.remove(free).try_into_mut().ok().filter(|buffer| buffer.len() == BUFFER)
}

#[cfg(test)]
mod tests {
    use super::super::{Checksum, Collected};
    use super::*;
    use carrick_wire::segmentation::{SegmentBuf, Segmenter};
    use carrick_wire::{IpHeader, Protocol, SeqNum, TcpFlags, TcpHeader, tcp};
    use std::num::NonZeroU16;

    const MTU: usize = 1500;
    const HEADERS: usize = 40;

    /// A packet of the stream to that port, with the text of its place.
    fn packet(port: u16, at: usize, len: usize, flags: TcpFlags) -> Vec<u8> {
        let (src, dst) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let seq = SeqNum::new(u32::MAX - 1000) + at as u32;
        let tcp = TcpHeader { src_port: 9, dst_port: port, seq, flags, ..TcpHeader::default() };
        let ip = IpHeader {
            payload_len: 20 + len,
            identification: at as u16,
            ..IpHeader::new(src, dst, Protocol::TCP)
        };
        let mut packet = vec![0; HEADERS];
        ip.emit(&mut packet).unwrap();
        tcp.emit(&mut packet[20..]).unwrap();
        packet.extend((at..at + len).map(|i| ((i * 7) >> 3) as u8 ^ port as u8));
        let mut sum = carrick_wire::Checksum::pseudo_header(src, dst, Protocol::TCP, 20 + len);
        sum.add(&packet[20..]);
        tcp::set_checksum(&mut packet[20..], sum.finish()).unwrap();
        packet
    }

    fn text(at: usize, len: usize) -> Vec<u8> {
        packet(80, at, len, TcpFlags::ACK)
    }

    /// What a device that reads these packets delivers.
    fn deliver(packets: &[Vec<u8>]) -> Vec<(Bytes, Checksum, Option<u16>)> {
        let mut into = Collected { merges: true, ..Collected::default() };
        into.collect(|inbox| {
            for packet in packets {
                // Nothing to read at first, and somebody has written into the buffer.
                inbox.packet_buffer(MTU).fill(0xee);
                inbox.packet_buffer(MTU)[..packet.len()].copy_from_slice(packet);
                assert!(inbox.received_packet(packet.len()).is_continue());
            }
        });
        into.frames
    }

    /// The packets that a frame stands for; the identification and the IP checksum are not compared.
    fn packets_of((frame, checksum, size): &(Bytes, Checksum, Option<u16>)) -> Vec<Vec<u8>> {
        let Some(size) = size else { return vec![frame.to_vec()] };
        assert_eq!(*checksum, Checksum::Verified);
        let parts = [&frame[HEADERS..]];
        let mut segmenter =
            Segmenter::new(&frame[..HEADERS], &parts, NonZeroU16::new(*size).unwrap()).unwrap();
        let (mut segment, mut packets) = (SegmentBuf::new(), Vec::new());
        while segmenter.next_segment(&mut segment) {
            packets.push([segment.header(), &segment.parts().concat()].concat());
        }
        assert!(packets.len() > 1);
        packets
    }

    fn without_names(packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        let mut packets: Vec<_> = packets.into_iter().collect();
        for packet in &mut packets {
            for at in [4, 5, 10, 11] {
                packet.get_mut(at).into_iter().for_each(|byte| *byte = 0);
            }
        }
        packets
    }

    #[track_caller]
    fn check(packets: &[Vec<u8>], sizes: &[(usize, Option<u16>)]) {
        let frames = deliver(packets);
        let got: Vec<_> = frames.iter().map(|(frame, _, size)| (frame.len(), *size)).collect();
        assert_eq!(got, sizes);
        let back = without_names(frames.iter().flat_map(packets_of));
        assert!(back == without_names(packets.iter().cloned()), "other bytes came out");
    }

    #[test]
    fn a_stream_becomes_super_segments() {
        let stream: Vec<_> = (0..100).map(|n| text(n * 1460, 1460)).collect();
        check(
            &stream,
            &[
                (HEADERS + 44 * 1460, Some(1460)),
                (HEADERS + 44 * 1460, Some(1460)),
                (HEADERS + 12 * 1460, Some(1460)),
            ],
        );
    }

    #[test]
    fn a_packet_alone_stays_as_it_is() {
        for len in [0, 1, 1460] {
            let packets = [text(0, len)];
            let frames = deliver(&packets);
            assert!(frames.len() == 1 && frames[0].0 == packets[0] && frames[0].2.is_none());
        }
    }

    #[test]
    fn text_shorter_than_the_headers_is_merged_too() {
        let stream: Vec<_> = (0..70).map(|n| text(n * 3, 3)).collect();
        check(&stream, &[(HEADERS + 64 * 3, Some(3)), (HEADERS + 6 * 3, Some(3))]);
    }

    #[test]
    fn order_is_kept_between_streams() {
        let other = |at, len| packet(81, at, len, TcpFlags::ACK);
        let ack = packet(80, 2_500, 0, TcpFlags::ACK);
        let pushed = |at, len| packet(80, at, len, TcpFlags::ACK | TcpFlags::PSH);
        let packets = [
            text(0, 1000),
            text(1000, 1000),
            other(0, 1460),
            text(2000, 500),
            pushed(2500, 500),
            ack,
            pushed(3000, 9),
            text(4000, 1460),
            text(9000, 1460),
            vec![1, 2, 3],
            text(10_460, 1460),
            text(11_920, 1),
            other(1460, 1460),
        ];
        check(
            &packets,
            &[
                (2040, Some(1000)),
                (1500, None),
                (1040, Some(500)),
                (40, None),
                (49, None),
                (1500, None),
                (1500, None),
                (3, None),
                (1501, Some(1460)),
                (1500, None),
            ],
        );
    }

    /// What is kept by reference must not change when the next packets are read.
    #[test]
    fn what_was_delivered_stays_while_more_is_read() {
        let packets: Vec<_> =
            (0..1000).map(|n| packet(80 + n as u16 / 30, n * 1400, 1400, TcpFlags::ACK)).collect();
        let frames = deliver(&packets);
        assert!(frames.iter().any(|(frame, ..)| frame.len() > 16_384));
        let back = without_names(frames.iter().flat_map(packets_of));
        assert!(back == without_names(packets));
    }

    /// Streams in any order, with everything in between that cannot be merged: what comes out is what went in.
    #[test]
    fn whatever_comes_is_delivered_in_order() {
        let mut random = 1_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let mut merged = 0;
        for _ in 0..300 {
            let mut ends = [0; 3];
            let size = [1, 39, 100, 1460][next(4)];
            let mut stream = 0;
            let packets: Vec<_> = (0..next(200))
                .map(|_| {
                    if next(8) == 0 {
                        stream = next(3);
                    }
                    let flags = if next(10) == 0 { TcpFlags::ACK | TcpFlags::PSH } else { TcpFlags::ACK };
                    let len = if next(20) == 0 { next(1461) } else { size };
                    let mut packet = packet(80 + stream as u16, ends[stream], len, flags);
                    ends[stream] += len;
                    if next(20) == 0 {
                        let at = next(packet.len());
                        packet[at] ^= 1 << next(8);
                    }
                    packet
                })
                .collect();
            let frames = deliver(&packets);
            merged += packets.len() - frames.len();
            let back = without_names(frames.iter().flat_map(packets_of));
            assert!(back == without_names(packets));
        }
        assert!(merged > 10_000, "{merged}");
    }

    #[test]
    fn whoever_has_enough_stops_the_device_whatever_the_mtu() {
        for mtu in [1500, 9000, 65_535] {
            for ports in [1, 7] {
                let mut into = Collected { merges: true, limit: 3, ..Collected::default() };
                let mut read = 0;
                into.collect(|inbox| {
                    loop {
                        let packet =
                            packet(80 + read % ports, usize::from(read / ports) * 1000, 1000, TcpFlags::ACK);
                        inbox.packet_buffer(mtu)[..packet.len()].copy_from_slice(&packet);
                        read += 1;
                        assert!(read < 1000, "an MTU of {mtu}, {ports} streams");
                        if inbox.received_packet(packet.len()).is_break() {
                            break;
                        }
                    }
                });
                // What was read last is delivered as well.
                assert!((3..=4).contains(&into.frames.len()), "{} frames", into.frames.len());
            }
        }
    }
}
