//! Fragments: recognised, and refused where no honest sender makes them.

mod support;

use carrick_wire::{Fragment, IpView, ParseError, Protocol, SeqNum, TcpHeader, TcpView};
use support::{
    DST_V4, DST_V6, SRC_V4, SRC_V6, data_header, fix_v4_checksum, ip_packet, segment, syn_options, v6_chain,
};

fn v4_fragment(protocol: Protocol, offset: u16, more: bool, data: &[u8]) -> Vec<u8> {
    let mut packet = ip_packet(SRC_V4, DST_V4, protocol, data);
    let field = (offset / 8) | if more { 0x2000 } else { 0 };
    packet[4..6].copy_from_slice(&0x1234u16.to_be_bytes());
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    fix_v4_checksum(&mut packet);
    packet
}

fn v6_fragment(protocol: Protocol, offset: u16, more: bool, data: &[u8]) -> Vec<u8> {
    let mut payload = vec![protocol.0, 0xff];
    payload.extend_from_slice(&(offset | u16::from(more) | 0b110).to_be_bytes());
    payload.extend_from_slice(&0x8765_4321u32.to_be_bytes());
    payload.extend_from_slice(data);
    v6_chain(Protocol::FRAGMENT, &payload)
}

fn outcome(packet: &[u8]) -> Result<Option<Fragment>, ParseError> {
    IpView::parse(packet).map(|view| view.fragment())
}

#[test]
fn t_frg_1_fragments_are_told_apart_from_whole_packets() {
    let data = [0x50; 24]; // as TCP: a data offset of 5
    for (offset, more) in [(0, true), (16, true), (24, false), (65_000, false)] {
        let packet = v4_fragment(Protocol::TCP, offset, more, &data);
        let view = IpView::parse(&packet[..]).unwrap();
        assert_eq!(view.fragment(), Some(Fragment { offset, more, id: 0x1234 }));
        assert_eq!(view.payload(), data);

        let packet = v6_fragment(Protocol::TCP, offset, more, &data);
        let view = IpView::parse(&packet[..]).unwrap();
        assert_eq!(view.fragment(), Some(Fragment { offset, more, id: 0x8765_4321 }));
        assert_eq!((view.protocol(), view.payload(), view.header_len()), (Protocol::TCP, &data[..], 48));
    }
}

#[test]
fn t_frg_1_frag_12_an_atomic_fragment_is_a_whole_packet() {
    let tcp = segment(SRC_V6, DST_V6, &TcpHeader { options: syn_options(), ..data_header() }, b"data");
    let packet = v6_fragment(Protocol::TCP, 0, false, &tcp);
    let view = IpView::parse(&packet[..]).unwrap();
    assert_eq!(view.fragment(), None);
    let segment = TcpView::parse(view.payload()).unwrap();
    assert!(segment.verify_checksum(SRC_V6, DST_V6));
    assert_eq!(segment.seq(), SeqNum::new(0xffff_fff0));
}

#[test]
fn t_frg_3_frag_7_frag_13_first_fragments_hold_the_tcp_header() {
    let header = TcpHeader { options: syn_options(), ..data_header() };
    let tcp_v4 = segment(SRC_V4, DST_V4, &header, &[0; 80]);
    let tcp_v6 = segment(SRC_V6, DST_V6, &header, &[0; 80]);
    assert_eq!(header.header_len(), 40);
    for len in (8..=80).step_by(8) {
        let whole = len >= 40;
        let v4 = outcome(&v4_fragment(Protocol::TCP, 0, true, &tcp_v4[..len]));
        assert_eq!(v4.err(), (!whole).then_some(ParseError::FragmentTiny));
        let v6 = outcome(&v6_fragment(Protocol::TCP, 0, true, &tcp_v6[..len]));
        assert_eq!(v6.err(), (!whole).then_some(ParseError::Ipv6FragmentChain));
    }
    let answer = ParseError::Ipv6FragmentChain.icmp_answer().unwrap();
    assert_eq!((answer.code, answer.pointer), (3, 0));
    // Offset 1, in units of 8, would rewrite the flags.
    assert_eq!(outcome(&v4_fragment(Protocol::TCP, 8, true, &[0; 64])), Err(ParseError::FragmentTiny));
    assert_eq!(outcome(&v6_fragment(Protocol::TCP, 8, false, &[0; 64])), Err(ParseError::FragmentTiny));
    assert!(outcome(&v4_fragment(Protocol::UDP, 8, true, &[0; 64])).is_ok(), "UDP's header is 8 bytes");
    assert!(outcome(&v4_fragment(Protocol::UDP, 0, true, &[0; 8])).is_ok());
    assert!(outcome(&v6_fragment(Protocol::UDP, 0, true, &[0; 8])).is_ok());
}

#[test]
fn frag_13_first_fragments_hold_the_whole_chain() {
    let dst = Protocol::DESTINATION_OPTIONS;
    // The Destination header says 16 bytes; the fragment has 8.
    let cut = [6, 1, 1, 4, 0, 0, 0, 0];
    assert_eq!(outcome(&v6_fragment(dst, 0, true, &cut)), Err(ParseError::Ipv6FragmentChain));
    // It ends where the TCP header should begin.
    let bare = [6, 0, 1, 4, 0, 0, 0, 0];
    assert_eq!(outcome(&v6_fragment(dst, 0, true, &bare)), Err(ParseError::Ipv6FragmentChain));
    // Whole: the fragment still starts right behind its Fragment header.
    let mut whole = bare.to_vec();
    whole.extend_from_slice(&segment(SRC_V6, DST_V6, &data_header(), &[0; 4]));
    let packet = v6_fragment(dst, 0, true, &whole);
    let view = IpView::parse(&packet[..]).unwrap();
    assert_eq!((view.protocol(), view.payload()), (dst, &whole[..]));
    // The same cut without a Fragment header is no fragment's fault and stays unanswered.
    let error = IpView::parse(&v6_chain(dst, &cut)[..]).unwrap_err();
    assert_eq!((error, error.icmp_answer()), (ParseError::Ipv6ExtensionLength, None));
    // A fragment within a fragment.
    let nested = v6_fragment(Protocol::FRAGMENT, 0, true, &[6, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(outcome(&nested), Err(ParseError::Ipv6ChainLimit));
}

#[test]
fn t_frg_5_frag_4_frag_10_lengths_are_multiples_of_8_but_for_the_last() {
    for len in 1..=64usize {
        let data = vec![0x50; len];
        let odd = len % 8 != 0;
        let v4 = |more| outcome(&v4_fragment(Protocol::UDP, 16, more, &data)).err();
        let v6 = |more| outcome(&v6_fragment(Protocol::UDP, 16, more, &data)).err();
        assert_eq!((v4(true), v4(false)), (odd.then_some(ParseError::Ipv4FragmentLength), None));
        assert_eq!((v6(true), v6(false)), (odd.then_some(ParseError::Ipv6FragmentLength), None));
    }
    let answer = ParseError::Ipv6FragmentLength.icmp_answer().unwrap();
    assert_eq!((answer.code, answer.pointer), (0, 4));
    assert_eq!(outcome(&v4_fragment(Protocol::UDP, 16, true, &[])), Err(ParseError::FragmentEmpty));
    assert_eq!(outcome(&v6_fragment(Protocol::UDP, 16, false, &[])), Err(ParseError::FragmentEmpty));
}

#[test]
fn t_frg_5_frag_5_nothing_ends_beyond_65535() {
    for len in 1..=40u16 {
        let data = vec![0; usize::from(len)];
        for offset in [65_480, 65_488, 65_496, 65_504, 65_512, 65_520, 65_528] {
            let end = u32::from(offset) + u32::from(len);
            let v4 = outcome(&v4_fragment(Protocol::UDP, offset, false, &data)).err();
            assert_eq!(v4, (end + 20 > 65_535).then_some(ParseError::Ipv4FragmentEnd));
            let v6 = outcome(&v6_fragment(Protocol::UDP, offset, false, &data)).err();
            assert_eq!(v6, (end > 65_535).then_some(ParseError::Ipv6FragmentEnd { pointer: 42 }));
        }
    }
    let answer = ParseError::Ipv6FragmentEnd { pointer: 42 }.icmp_answer().unwrap();
    assert_eq!((answer.code, answer.pointer), (0, 42));
}
