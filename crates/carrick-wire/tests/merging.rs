//! Packets of a stream put together: what is, what is not, and that cutting gives them back.

mod support;

use std::net::IpAddr;
use std::num::NonZeroU16;

use carrick_wire::merging::{MAX_HEADER_LEN, MAX_PACKETS, Run};
use carrick_wire::segmentation::{SegmentBuf, Segmenter};
use carrick_wire::{
    Checksum, IpHeader, IpView, Protocol, SeqNum, TcpFlags, TcpHeader, TcpOptions, TcpView, Timestamps, tcp,
};
use proptest::prelude::*;
use support::{DST_V4, FAMILIES, SRC_V4, data_header, fix_tcp_checksum, fix_v4_checksum, tcp_packet};

const SIZE: usize = 100;

fn options() -> TcpOptions {
    TcpOptions { timestamps: Some(Timestamps { val: 5, ecr: 6 }), ..TcpOptions::default() }
}

/// A header of a stream in full swing.
fn header() -> TcpHeader {
    TcpHeader { flags: TcpFlags::ACK, options: options(), ..data_header() }
}

fn after(tcp: TcpHeader, bytes: usize) -> TcpHeader {
    TcpHeader { seq: tcp.seq + u32::try_from(bytes).unwrap(), ..tcp }
}

fn payload(len: usize, salt: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31) ^ salt).collect()
}

/// Makes checksums right again where bytes of the headers were changed.
fn repaired((src, dst): (IpAddr, IpAddr), mut packet: Vec<u8>) -> Vec<u8> {
    let tcp_at = if src.is_ipv4() { 20 } else { 40 };
    fix_tcp_checksum(src, dst, &mut packet[tcp_at..]);
    if src.is_ipv4() {
        fix_v4_checksum(&mut packet);
    }
    packet
}

/// The super-segment that a run of these packets is.
fn whole(run: &Run, packets: &[&[u8]]) -> Vec<u8> {
    let mut whole = vec![0; run.header_len()];
    run.emit(&mut whole).unwrap();
    packets.iter().for_each(|packet| whole.extend_from_slice(&packet[run.header_len()..]));
    assert_eq!(whole.len(), run.total_len());
    whole
}

/// Cuts a super-segment.
fn cut(whole: &[u8], header_len: usize, size: u16) -> Vec<Vec<u8>> {
    let parts = [&whole[header_len..]];
    let mut segmenter = Segmenter::new(&whole[..header_len], &parts, NonZeroU16::new(size).unwrap()).unwrap();
    let mut packet = SegmentBuf::new();
    let mut packets = Vec::new();
    while segmenter.next_segment(&mut packet) {
        packets.push([packet.header(), &packet.parts().concat()].concat());
    }
    packets
}

#[test]
fn segments_in_a_row_become_one() {
    for (src, dst) in FAMILIES {
        let first = tcp_packet(src, dst, &header(), &payload(SIZE, 1));
        let second = tcp_packet(src, dst, &after(header(), SIZE), &payload(SIZE, 2));
        let pushed = TcpHeader { flags: TcpFlags::ACK | TcpFlags::PSH, ..after(header(), 2 * SIZE) };
        let last = tcp_packet(src, dst, &pushed, &payload(7, 3));

        let mut run = Run::begin(&first).unwrap();
        assert!(!run.has_ended());
        assert!(run.take(&second) && !run.has_ended());
        assert!(run.take(&last) && run.has_ended());
        assert_eq!((run.packets(), usize::from(run.segment_size())), (3, SIZE));

        let whole = whole(&run, &[&first, &second, &last]);
        let ip = IpView::parse(&whole[..]).unwrap();
        let view = TcpView::parse(ip.payload_slice()).unwrap();
        assert_eq!((ip.src(), ip.dst(), ip.hop_limit()), (src, dst, 64));
        assert_eq!((view.seq(), view.ack(), view.flags()), (header().seq, header().ack, pushed.flags));
        assert_eq!((view.window(), *view.options()), (header().window, options()));
        assert_eq!(view.payload(), [payload(SIZE, 1), payload(SIZE, 2), payload(7, 3)].concat());
        let partial = Checksum::pseudo_header(src, dst, Protocol::TCP, ip.payload().len());
        assert_eq!(view.checksum(), partial.fold());
    }
}

/// Each of these bytes alone keeps a packet out of a run that it would have belonged to.
#[test]
fn headers_must_agree() {
    for family in FAMILIES {
        let (src, dst) = family;
        let first = tcp_packet(src, dst, &header(), &payload(SIZE, 1));
        let next = tcp_packet(src, dst, &after(header(), SIZE), &payload(SIZE, 2));
        assert!(Run::begin(&first).unwrap().take(&next));
        let tcp_at = if src.is_ipv4() { 20 } else { 40 };
        let header_len = tcp_at + header().header_len();
        let free: &[usize] = if src.is_ipv4() { &[4, 5] } else { &[] };
        for at in 0..header_len {
            for bit in 0..8 {
                let mut other = next.clone();
                other[at] ^= 1 << bit;
                let broken = other.clone();
                let other = repaired(family, other);
                // Identification says nothing, PSH may end a run, and repairing undoes a change of the checksum.
                let may = free.contains(&at)
                    || (at, bit) == (tcp_at + 13, 3)
                    || (tcp_at + 16..tcp_at + 18).contains(&at)
                    || (src.is_ipv4() && (10..12).contains(&at));
                assert_eq!(Run::begin(&first).unwrap().take(&other), may, "byte {at}, bit {bit}");
                assert!(!Run::begin(&first).unwrap().take(&broken), "byte {at}, bit {bit}, not repaired");
            }
        }
        for at in header_len..next.len() {
            let mut broken = next.clone();
            broken[at] ^= 1;
            assert!(!Run::begin(&first).unwrap().take(&broken), "a wrong checksum, byte {at}");
        }
    }
}

/// What the bytes above mean, one by one.
#[test]
fn what_goes_by_itself() {
    let (src, dst) = (SRC_V4, DST_V4);
    let first = tcp_packet(src, dst, &header(), &payload(SIZE, 1));
    let follows = after(header(), SIZE);
    let takes = |packet: &[u8]| Run::begin(&first).unwrap().take(packet);
    let with = |tcp: &TcpHeader, len: usize| tcp_packet(src, dst, tcp, &payload(len, 2));
    let ip = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = with(&follows, SIZE);
        change(&mut packet);
        fix_v4_checksum(&mut packet);
        packet
    };
    assert!(takes(&with(&follows, SIZE)));
    for (what, packet) in [
        ("a gap", with(&after(follows, 1), SIZE)),
        ("an overlap", with(&header(), SIZE)),
        ("more than the first had", with(&follows, SIZE + 1)),
        ("nothing", with(&follows, 0)),
        ("FIN", with(&TcpHeader { flags: TcpFlags::ACK | TcpFlags::FIN, ..follows }, SIZE)),
        ("SYN", with(&TcpHeader { flags: TcpFlags::ACK | TcpFlags::SYN, ..follows }, SIZE)),
        ("RST", with(&TcpHeader { flags: TcpFlags::ACK | TcpFlags::RST, ..follows }, SIZE)),
        ("URG", with(&TcpHeader { flags: TcpFlags::ACK | TcpFlags::URG, urgent: 1, ..follows }, SIZE)),
        ("ECE", with(&TcpHeader { flags: TcpFlags::ACK | TcpFlags::ECE, ..follows }, SIZE)),
        ("CWR", with(&TcpHeader { flags: TcpFlags::ACK | TcpFlags::CWR, ..follows }, SIZE)),
        ("another acknowledgment", with(&TcpHeader { ack: follows.ack + 1, ..follows }, SIZE)),
        ("a timestamp of another time", {
            let timestamps = Some(Timestamps { val: 4, ecr: 6 });
            with(&TcpHeader { options: TcpOptions { timestamps, ..options() }, ..follows }, SIZE)
        }),
        ("no options", with(&TcpHeader { options: TcpOptions::default(), ..follows }, SIZE)),
        ("another port", with(&TcpHeader { src_port: 1, ..follows }, SIZE)),
        ("congestion experienced", ip(&|packet| packet[1] |= 0b11)),
        ("another class", ip(&|packet| packet[1] |= 0x20)),
        ("Don't Fragment", ip(&|packet| packet[6] ^= 0x40)),
        ("more fragments", ip(&|packet| packet[6] |= 0x20)),
        ("an offset", ip(&|packet| packet[7] = 1)),
        ("another time to live", ip(&|packet| packet[8] = 63)),
        ("bytes behind it", [&with(&follows, SIZE)[..], b"x"].concat()),
        ("a byte too few", with(&follows, SIZE)[..40 + 12 + SIZE - 1].to_vec()),
        ("IP options", {
            let mut packet = with(&follows, SIZE);
            packet.splice(20..20, [1, 1, 1, 0]);
            packet[0] = 0x46;
            let len = u16::try_from(packet.len()).unwrap();
            packet[2..4].copy_from_slice(&len.to_be_bytes());
            fix_v4_checksum(&mut packet);
            packet
        }),
    ] {
        assert!(!takes(&packet), "{what}");
    }
}

#[test]
fn what_no_run_begins_with() {
    for family in FAMILIES {
        let (src, dst) = family;
        let with = |flags: TcpFlags, len: usize| {
            tcp_packet(src, dst, &TcpHeader { flags, ..header() }, &payload(len, 1))
        };
        assert!(Run::begin(&with(TcpFlags::ACK, 1)).is_some());
        for flags in [
            TcpFlags::EMPTY,
            TcpFlags::ACK | TcpFlags::PSH,
            TcpFlags::ACK | TcpFlags::FIN,
            TcpFlags::ACK | TcpFlags::URG,
            TcpFlags::ACK | TcpFlags::CWR,
            TcpFlags::ACK | TcpFlags::AE,
            TcpFlags::SYN,
            TcpFlags::RST,
        ] {
            assert!(Run::begin(&with(flags, SIZE)).is_none(), "{flags}");
        }
        assert!(Run::begin(&with(TcpFlags::ACK, 0)).is_none(), "no payload");
        assert!(Run::begin(&with(TcpFlags::ACK, 33_000)).is_none(), "another does not fit");
        let packet = with(TcpFlags::ACK, SIZE);
        for len in 0..packet.len() {
            assert!(Run::begin(&packet[..len]).is_none(), "{len} bytes");
        }
        let at = if src.is_ipv4() { 9 } else { 6 };
        for (at, value) in [(0, 0x55), (0, 0x44), (0, 0x46), (at, 17), (at, 44)] {
            let mut other = packet.clone();
            other[at] = value;
            assert!(Run::begin(&repaired(family, other)).is_none(), "byte {at} {value}");
        }
        let tcp_at = if src.is_ipv4() { 20 } else { 40 };
        for offset in [0, 4, 15] {
            let mut other = tcp_packet(src, dst, &header(), b"0123");
            other[tcp_at + 12] = offset << 4;
            assert!(Run::begin(&repaired(family, other)).is_none(), "data offset {offset}");
        }
    }
}

/// By count, by length, by a short packet and by PSH.
#[test]
fn a_run_ends() {
    let (src, dst) = FAMILIES[1];
    let fill = |size: usize| {
        let bytes = payload(size, 1);
        let mut tcp = header();
        let mut run = Run::begin(&tcp_packet(src, dst, &tcp, &bytes)).unwrap();
        while !run.has_ended() {
            tcp = after(tcp, size);
            assert!(run.take(&tcp_packet(src, dst, &tcp, &bytes)));
        }
        assert!(!run.take(&tcp_packet(src, dst, &after(tcp, size), &bytes)), "it has ended");
        run
    };
    assert_eq!(fill(1).packets(), MAX_PACKETS);
    for size in [1_024, 1_428, 8_928, 32_000] {
        let run = fill(size);
        let most = (65_535 - run.header_len()) / size;
        assert_eq!((run.packets(), run.total_len()), (most, run.header_len() + most * size));
    }
    for (flags, len) in [(TcpFlags::ACK, SIZE - 1), (TcpFlags::ACK | TcpFlags::PSH, SIZE)] {
        let mut run = Run::begin(&tcp_packet(src, dst, &header(), &payload(SIZE, 1))).unwrap();
        let last = TcpHeader { flags, ..after(header(), SIZE) };
        assert!(run.take(&tcp_packet(src, dst, &last, &payload(len, 2))));
        let more = after(header(), SIZE + len);
        assert!(run.has_ended() && !run.take(&tcp_packet(src, dst, &more, &payload(SIZE, 3))));
    }
}

#[test]
fn a_buffer_that_is_too_short_is_left_alone() {
    let run = Run::begin(&tcp_packet(SRC_V4, DST_V4, &header(), &payload(SIZE, 1))).unwrap();
    for len in 0..run.header_len() {
        assert!(run.emit(&mut [0; MAX_HEADER_LEN][..len]).is_err());
    }
}

proptest! {
    /// Cut, then put together: the original, to the last bit of its header.
    #[test]
    fn t_dev_8_a_cut_put_together_is_the_original(
        family in 0usize..2,
        size in 1u16..2_000,
        len in 2usize..60_000,
        pushed: bool,
        stamped: bool,
        seq: u32,
        tos: u8,
        identification: u16,
    ) {
        let (src, dst) = FAMILIES[family];
        let len = len.min(usize::from(size) * MAX_PACKETS);
        prop_assume!(len > usize::from(size));
        let flags = if pushed { TcpFlags::ACK | TcpFlags::PSH } else { TcpFlags::ACK };
        let options = if stamped { options() } else { TcpOptions::default() };
        let tcp = TcpHeader { flags, options, seq: SeqNum::new(seq), ..data_header() };
        let tcp_len = tcp.header_len() + len;
        let ip = IpHeader {
            payload_len: tcp_len,
            tos,
            identification,
            flow_label: seq,
            ..IpHeader::new(src, dst, Protocol::TCP)
        };
        let mut original = vec![0; ip.header_len() + tcp.header_len()];
        let at = ip.emit(&mut original).unwrap();
        tcp.emit(&mut original[at..]).unwrap();
        let partial = Checksum::pseudo_header(src, dst, Protocol::TCP, tcp_len).fold();
        tcp::set_checksum(&mut original[at..], partial).unwrap();
        let header_len = original.len();
        original.extend(payload(len, size as u8));

        let packets = cut(&original, header_len, size);
        let mut run = Run::begin(&packets[0]).unwrap();
        for packet in &packets[1..] {
            prop_assert!(run.take(packet));
        }
        prop_assert_eq!((run.packets(), run.segment_size()), (packets.len(), size));
        let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        prop_assert!(whole(&run, &slices) == original);
    }

    /// Whatever a run takes, cutting gives it back, identifications apart.
    #[test]
    fn what_is_put_together_comes_apart_again(
        family in 0usize..2,
        first in any::<[u8; 6]>(),
        changes in proptest::collection::vec((0usize..220, 0u8..8), 0..3),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let family = FAMILIES[family];
        let (src, dst) = family;
        let begin = tcp_packet(src, dst, &header(), &payload(SIZE, first[0]));
        prop_assert!(Run::begin(&bytes).is_none_or(|run| run.total_len() == bytes.len()));
        let mut next = tcp_packet(src, dst, &after(header(), SIZE), &payload(SIZE, first[1]));
        for (at, bit) in changes {
            if let Some(byte) = next.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        let next = repaired(family, next);
        let mut run = Run::begin(&begin).unwrap();
        if run.take(&next) {
            let whole = whole(&run, &[&begin, &next]);
            let anonymous = |mut packet: Vec<u8>| {
                if src.is_ipv4() {
                    packet[4..6].fill(0);
                    packet[10..12].fill(0);
                }
                packet
            };
            let back = cut(&whole, run.header_len(), run.segment_size());
            prop_assert_eq!(back.into_iter().map(anonymous).collect::<Vec<_>>(), [begin, next].map(anonymous));
        }
        prop_assert!(!run.take(&bytes) || bytes.len() > run.header_len());
    }
}
