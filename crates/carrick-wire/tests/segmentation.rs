//! Super-segments cut by reference, and checksums completed.

mod support;

use std::net::IpAddr;
use std::num::NonZeroU16;

use carrick_wire::segmentation::{MAX_SLICES, SegmentBuf, Segmenter, complete_checksum};
use carrick_wire::{
    BuildError, Checksum, IpHeader, IpView, Protocol, SeqNum, TcpFlags, TcpHeader, TcpOptions, TcpView,
    Timestamps, tcp,
};
use proptest::prelude::*;
use support::{DST_V4, DST_V6, FAMILIES, SRC_V4, SRC_V6, data_header};

/// A super-segment's header as it leaves the core: the TCP checksum field holds the pseudo-header's sum.
fn super_header(src: IpAddr, dst: IpAddr, tcp: &TcpHeader, payload_len: usize) -> Vec<u8> {
    let tcp_len = tcp.header_len() + payload_len;
    let ip =
        IpHeader { payload_len: tcp_len, identification: 0xfffe, ..IpHeader::new(src, dst, Protocol::TCP) };
    let mut header = vec![0; ip.header_len() + tcp.header_len()];
    let at = ip.emit(&mut header).unwrap();
    tcp.emit(&mut header[at..]).unwrap();
    let partial = Checksum::pseudo_header(src, dst, Protocol::TCP, tcp_len).fold();
    tcp::set_checksum(&mut header[at..], partial).unwrap();
    header
}

fn size(bytes: u16) -> NonZeroU16 {
    NonZeroU16::new(bytes).unwrap()
}

/// Every packet of the cut, put together.
fn cut(header: &[u8], payload: &[&[u8]], segment_size: u16) -> Result<Vec<Vec<u8>>, BuildError> {
    let mut segmenter = Segmenter::new(header, payload, size(segment_size))?;
    let mut packet = SegmentBuf::new();
    let mut packets = Vec::new();
    while segmenter.next_segment(&mut packet) {
        assert!(packet.parts().iter().all(|part| !part.is_empty()));
        packets.push([packet.header(), &packet.parts().concat()].concat());
    }
    assert!(!segmenter.next_segment(&mut packet), "it stays at the end");
    Ok(packets)
}

fn data_options() -> TcpOptions {
    TcpOptions { timestamps: Some(Timestamps { val: 5, ecr: 6 }), ..TcpOptions::default() }
}

#[test]
fn flags_sit_where_they_belong() {
    let flags = TcpFlags::ACK | TcpFlags::FIN | TcpFlags::PSH | TcpFlags::CWR | TcpFlags::ECE;
    for (src, dst) in FAMILIES {
        let tcp = TcpHeader { flags, options: data_options(), ..data_header() };
        let payload = [7; 10];
        let packets = cut(&super_header(src, dst, &tcp, 10), &[&payload], 4).unwrap();
        let flags: Vec<String> = packets
            .iter()
            .map(|packet| {
                let ip = IpView::parse(&packet[..]).unwrap();
                TcpView::parse(ip.payload()).unwrap().flags().to_string()
            })
            .collect();
        assert_eq!(flags, ["[.EW]", "[.E]", "[FP.E]"]);
    }
}

#[test]
fn identification_counts_up_and_wraps() {
    let header = super_header(SRC_V4, DST_V4, &data_header(), 3);
    let ids: Vec<u16> =
        cut(&header, &[&[1, 2, 3]], 1).unwrap().iter().map(|p| u16::from_be_bytes([p[4], p[5]])).collect();
    assert_eq!(ids, [0xfffe, 0xffff, 0]);
}

#[test]
fn t_mal_17_the_urgent_mark_stays_on_its_byte() {
    let tcp = TcpHeader { flags: TcpFlags::ACK | TcpFlags::URG, urgent: 5, ..data_header() };
    let packets = cut(&super_header(SRC_V4, DST_V4, &tcp, 10), &[&[0; 10]], 4).unwrap();
    let marks: Vec<_> = packets
        .iter()
        .map(|packet| {
            let ip = IpView::parse(&packet[..]).unwrap();
            let view = TcpView::parse(ip.payload()).unwrap();
            (view.flags().contains(TcpFlags::URG), view.urgent())
        })
        .collect();
    assert_eq!(marks, [(true, 5), (true, 1), (false, 0)]);
}

#[test]
fn no_payload_is_one_packet() {
    for flags in [TcpFlags::SYN, TcpFlags::RST, TcpFlags::ACK] {
        for (src, dst) in FAMILIES {
            let tcp = TcpHeader { flags, ..data_header() };
            for payload in [&[][..], &[&b""[..], b""][..]] {
                let packets = cut(&super_header(src, dst, &tcp, 0), payload, 1).unwrap();
                assert_eq!(packets.len(), 1);
                let ip = IpView::parse(&packets[0][..]).unwrap();
                let view = TcpView::parse(ip.payload()).unwrap();
                assert!(view.verify_checksum(src, dst));
                assert_eq!(view.flags(), flags);
            }
        }
    }
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let header = super_header(SRC_V4, DST_V4, &data_header(), 8);
    let refused = |header: &[u8], payload: &[&[u8]]| cut(header, payload, 4).unwrap_err();
    assert_eq!(refused(&header, &[&[0; 7]]), BuildError::SuperSegmentHeader);
    assert_eq!(refused(&header, &[&[0; 9]]), BuildError::SuperSegmentHeader);
    assert_eq!(refused(&header, &[&b"x"[..]; MAX_SLICES + 1]), BuildError::TooManySlices);
    for len in 0..header.len() {
        assert_eq!(refused(&header[..len], &[&[0; 8]]), BuildError::SuperSegmentHeader);
    }
    for (at, value) in [(0, 0x46), (0, 0x44), (0, 0x55), (9, 17), (32, 0x60), (32, 0x40)] {
        let mut bad = header.clone();
        bad[at] = value;
        assert_eq!(refused(&bad, &[&[0; 8]]), BuildError::SuperSegmentHeader, "byte {at}");
        assert_eq!(complete_checksum(&mut bad, &[&[0; 8]]), Err(BuildError::SuperSegmentHeader));
    }
    for flags in [TcpFlags::SYN, TcpFlags::RST | TcpFlags::ACK] {
        let header = super_header(SRC_V6, DST_V6, &TcpHeader { flags, ..data_header() }, 8);
        assert_eq!(refused(&header, &[&[0; 8]]), BuildError::NotDivisible);
        assert_eq!(cut(&header, &[&[0; 8]], 8).unwrap().len(), 1);
    }
}

#[test]
fn the_largest_super_segments_are_cut() {
    for (src, dst, most) in [(SRC_V4, DST_V4, 65_535 - 40), (SRC_V6, DST_V6, 65_535 - 20)] {
        let payload = vec![0xa5; most];
        let header = super_header(src, dst, &data_header(), most);
        for segment_size in [1, 536, 1460, u16::MAX] {
            let packets = cut(&header, &[&payload], segment_size).unwrap();
            assert_eq!(packets.len(), most.div_ceil(usize::from(segment_size)));
        }
    }
}

fn slices() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..=MAX_SLICES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn t_mal_20_o_8_packets_of_a_cut_are_whole_and_add_up(
        slices in slices(),
        segment_size in 1..400u16,
        v6 in any::<bool>(),
        seq in any::<u32>(),
        bits in prop::sample::subsequence(vec![0u16, 3, 4, 6, 7, 8], 0..6),
    ) {
        let (src, dst) = FAMILIES[usize::from(v6)];
        let flags = TcpFlags::from_bits(bits.iter().map(|bit| 1 << bit).sum());
        let tcp = TcpHeader { flags, seq: SeqNum::new(seq), options: data_options(), ..data_header() };
        let borrowed: Vec<&[u8]> = slices.iter().map(Vec::as_slice).collect();
        let whole = slices.concat();
        let mut header = super_header(src, dst, &tcp, whole.len());
        let packets = cut(&header, &borrowed, segment_size).unwrap();
        prop_assert_eq!(packets.len(), whole.len().div_ceil(usize::from(segment_size)).max(1));

        let mut seen = Vec::new();
        for packet in &packets {
            let ip = IpView::parse(&packet[..]).unwrap();
            prop_assert_eq!(ip.total_len(), packet.len());
            let view = TcpView::parse(ip.payload()).unwrap();
            prop_assert!(view.verify_checksum(src, dst));
            prop_assert!(support_smoltcp::accepts(packet));
            prop_assert_eq!(view.seq(), SeqNum::new(seq) + u32::try_from(seen.len()).unwrap());
            prop_assert_eq!(view.options(), &tcp.options);
            prop_assert_eq!((view.ack(), view.window()), (tcp.ack, tcp.window));
            prop_assert!(view.payload().len() <= usize::from(segment_size));
            seen.extend_from_slice(view.payload());
        }
        prop_assert_eq!(&seen, &whole);

        // Sent as one instead, the completed checksum is right.
        complete_checksum(&mut header, &borrowed).unwrap();
        let packet = [&header[..], &whole].concat();
        let ip = IpView::parse(&packet[..]).unwrap();
        let view = TcpView::parse(ip.payload()).unwrap();
        prop_assert!(view.verify_checksum(src, dst));
        prop_assert_eq!(view.flags(), flags);
    }
}

/// A second opinion.
mod support_smoltcp {
    use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv6Packet, TcpPacket};

    pub(super) fn accepts(packet: &[u8]) -> bool {
        if packet[0] >> 4 == 4 {
            let ip = Ipv4Packet::new_checked(packet).unwrap();
            let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
            let (src, dst) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
            ip.verify_checksum() && tcp.verify_checksum(&src, &dst)
        } else {
            let ip = Ipv6Packet::new_checked(packet).unwrap();
            let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
            tcp.verify_checksum(&IpAddress::Ipv6(ip.src_addr()), &IpAddress::Ipv6(ip.dst_addr()))
        }
    }
}
