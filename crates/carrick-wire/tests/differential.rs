//! Second opinions: smoltcp's and pnet's parsers on generated and mutated packets.
//!
//! Where smoltcp accepts a packet, so do we, with the same meaning, except for what we refuse on purpose
//! (IPv4 source routes and broken IPv4 options). Where we accept and smoltcp does not, the reason is one of
//! four: it refuses port 0, flag combinations such as SYN with FIN, known options of a wrong length, which we
//! skip, and fragments. pnet checks nothing by itself; on whatever we accept, its fields and sums are ours.

mod support;

use std::net::IpAddr;

use carrick_wire::{
    FastOpenCookie, IpView, ParseError, Protocol, SeqNum, TcpFlags, TcpHeader, TcpOptions, TcpView,
};
use carrick_wire::{Timestamps, UserTimeout, WireWindow};
use pnet_packet::ipv4::Ipv4Packet as PnetIpv4;
use pnet_packet::ipv6::Ipv6Packet as PnetIpv6;
use pnet_packet::tcp::TcpPacket as PnetTcp;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
    TcpTimestampRepr,
};
use support::{DST_V4, FAMILIES, Rng, SRC_V4, fix_tcp_checksum, fix_v4_checksum, sack, tcp_packet};

const ROUNDS: u64 = 400_000;

fn random_header(rng: &mut Rng) -> TcpHeader {
    let mut options = TcpOptions::default();
    let set = rng.next();
    if set & 1 != 0 {
        options.mss = Some(rng.next() as u16);
    }
    if set & 2 != 0 {
        options.window_scale = Some(rng.next() as u8 % 20);
    }
    options.sack_permitted = set & 4 != 0;
    if set & 8 != 0 {
        options.timestamps = Some(Timestamps { val: rng.next() as u32, ecr: rng.next() as u32 });
    }
    if set & 0x30 == 0x30 {
        let left = rng.next() as u32;
        options.sack = sack(&[(left, left.wrapping_add(9)), (1, 2), (5, 9), (20, 22)][..1 + rng.below(4)]);
    }
    if set & 0xc0 == 0xc0 {
        options.fast_open = FastOpenCookie::new(&[7; 8]);
    }
    if set & 0x300 == 0x300 {
        options.user_timeout = UserTimeout::from_raw(rng.next() as u16);
    }
    let flags = match rng.below(8) {
        0 => TcpFlags::SYN,
        1 => TcpFlags::SYN | TcpFlags::ACK,
        2 => TcpFlags::FIN | TcpFlags::ACK,
        3 => TcpFlags::RST,
        4 => TcpFlags::from_bits(rng.next() as u16),
        _ => TcpFlags::ACK | TcpFlags::PSH,
    };
    TcpHeader {
        src_port: rng.next() as u16,
        dst_port: rng.next() as u16,
        seq: SeqNum::new(rng.next() as u32),
        ack: SeqNum::new(rng.next() as u32),
        flags,
        window: WireWindow::new(rng.next() as u16),
        urgent: rng.next() as u16,
        options,
    }
}

/// A generated packet, in most rounds with some bytes changed and the checksums made right again.
fn random_packet(rng: &mut Rng) -> Vec<u8> {
    let (src, dst) = FAMILIES[rng.below(2)];
    let payload: Vec<u8> = (0..rng.below(64)).map(|_| rng.next() as u8).collect();
    let header = random_header(rng);
    let mut packet = tcp_packet(src, dst, &header, &payload);
    let ip_len = if src.is_ipv4() { 20 } else { 40 };
    if src.is_ipv4() && rng.below(16) == 0 {
        // A source route, a broken length, harmless ones.
        let area = [[131, 3, 4, 0], [7, 1, 0, 0], [136, 4, 0, 1], [1, 1, 0, 9]][rng.below(4)];
        packet.splice(20..20, area);
        packet[0] += 1;
        let len = u16::try_from(packet.len()).unwrap();
        packet[2..4].copy_from_slice(&len.to_be_bytes());
    }
    for _ in 0..rng.below(4) {
        // Headers are where meaning is; mostly change those.
        let bound = if rng.below(4) == 0 { packet.len() } else { ip_len + header.header_len() };
        let at = rng.below(bound);
        packet[at] = match rng.below(3) {
            0 => rng.next() as u8,
            1 => packet[at] ^ 1 << rng.below(8),
            _ => rng.below(12) as u8,
        };
    }
    if rng.below(8) == 0 {
        packet.truncate(rng.below(packet.len() + 1));
    }
    if rng.below(8) == 0 {
        packet.extend_from_slice(&[0xee; 7]);
    }
    if rng.below(16) != 0 && packet.len() > ip_len + 20 && src.is_ipv4() {
        fix_v4_checksum(&mut packet);
    }
    if rng.below(16) != 0
        && let Ok(view) = IpView::parse(&packet[..])
        && view.protocol() == Protocol::TCP
        && view.payload().len() >= 20
    {
        let (src, dst, at, end) = (view.src(), view.dst(), view.header_len(), view.total_len());
        fix_tcp_checksum(src, dst, &mut packet[at..end]);
    }
    packet
}

/// What a segment says, in terms both parsers share.
#[derive(Debug, PartialEq)]
struct Meaning {
    ip: (IpAddr, IpAddr, u8),
    ports: (u16, u16),
    seq: u32,
    ack: Option<u32>,
    control: TcpControl,
    window: u16,
    mss: Option<u16>,
    scale: Option<u8>,
    sack_permitted: bool,
    timestamps: Option<(u32, u32)>,
    payload: Vec<u8>,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Accepted(Box<Meaning>),
    NotIp,
    NotTcp,
}

fn smoltcp_says(packet: &[u8]) -> Verdict {
    smoltcp_ip(packet).map_or(Verdict::NotIp, |(src, dst, hop_limit, payload)| {
        let caps = ChecksumCapabilities::default();
        let parsed =
            TcpPacket::new_checked(payload).and_then(|segment| TcpRepr::parse(&segment, &src, &dst, &caps));
        parsed.map_or(Verdict::NotTcp, |tcp| {
            Verdict::Accepted(Box::new(Meaning {
                ip: (src.into(), dst.into(), hop_limit),
                ports: (tcp.src_port, tcp.dst_port),
                seq: tcp.seq_number.0.cast_unsigned(),
                ack: tcp.ack_number.map(|TcpSeqNumber(ack)| ack.cast_unsigned()),
                control: tcp.control,
                window: tcp.window_len,
                mss: tcp.max_seg_size,
                scale: tcp.window_scale,
                sack_permitted: tcp.sack_permitted,
                timestamps: tcp.timestamp.map(|TcpTimestampRepr { tsval, tsecr }| (tsval, tsecr)),
                payload: tcp.payload.to_vec(),
            }))
        })
    })
}

fn smoltcp_ip(packet: &[u8]) -> Option<(IpAddress, IpAddress, u8, &[u8])> {
    let caps = ChecksumCapabilities::default();
    if packet.first()? >> 4 == 4 {
        let view = Ipv4Packet::new_checked(packet).ok()?;
        let ip = Ipv4Repr::parse(&view, &caps).ok()?;
        (u8::from(ip.next_header) == 6).then_some(())?;
        Some((ip.src_addr.into(), ip.dst_addr.into(), ip.hop_limit, view.payload()))
    } else {
        let view = Ipv6Packet::new_checked(packet).ok()?;
        let ip = Ipv6Repr::parse(&view).ok()?;
        (u8::from(ip.next_header) == 6).then_some(())?;
        Some((ip.src_addr.into(), ip.dst_addr.into(), ip.hop_limit, view.payload()))
    }
}

fn we_say(packet: &[u8]) -> Verdict {
    let Ok(ip) = IpView::parse(packet) else { return Verdict::NotIp };
    if ip.protocol() != Protocol::TCP {
        return Verdict::NotIp;
    }
    let Ok(tcp) = TcpView::parse(ip.payload()) else { return Verdict::NotTcp };
    if !tcp.verify_checksum(ip.src(), ip.dst()) {
        return Verdict::NotTcp;
    }
    let flags = tcp.flags();
    let control = if flags.contains(TcpFlags::SYN) {
        TcpControl::Syn
    } else if flags.contains(TcpFlags::FIN) {
        TcpControl::Fin
    } else if flags.contains(TcpFlags::RST) {
        TcpControl::Rst
    } else if flags.contains(TcpFlags::PSH) {
        TcpControl::Psh
    } else {
        TcpControl::None
    };
    let options = tcp.options();
    Verdict::Accepted(Box::new(Meaning {
        ip: (ip.src(), ip.dst(), ip.hop_limit()),
        ports: (tcp.src_port(), tcp.dst_port()),
        seq: tcp.seq().get(),
        ack: flags.contains(TcpFlags::ACK).then_some(tcp.ack().get()),
        control,
        window: tcp.window().get(),
        mss: options.mss,
        scale: options.window_scale.map(|scale| scale.min(14)),
        sack_permitted: options.sack_permitted,
        timestamps: options.timestamps.map(|timestamps| (timestamps.val, timestamps.ecr)),
        payload: tcp.payload().to_vec(),
    }))
}

/// Whether smoltcp refuses this segment for one of the reasons that are not ours.
fn smoltcp_is_stricter(segment: &[u8]) -> bool {
    let view = TcpView::parse(segment).unwrap();
    let controls = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::RST];
    let set = controls.iter().filter(|control| view.flags().contains(**control)).count();
    let port_zero = view.src_port() == 0 || view.dst_port() == 0;
    port_zero || set > 1 || known_option_of_wrong_length(&segment[20..view.header_len()])
}

fn known_option_of_wrong_length(area: &[u8]) -> bool {
    let mut at = 0;
    while at < area.len() && area[at] != 0 {
        if area[at] == 1 {
            at += 1;
            continue;
        }
        let len = usize::from(area[at + 1]);
        let wrong = match area[at] {
            2 => len != 4,
            3 => len != 3,
            4 => len != 2,
            5 => len < 10 || (len - 2) % 8 != 0,
            _ => false,
        };
        if wrong {
            return true;
        }
        at += len;
    }
    false
}

/// Where several options of a kind came, smoltcp takes the last and we the first.
fn repeats_an_option(segment: &[u8]) -> bool {
    let area = &segment[20..usize::from(segment[12] >> 4) * 4];
    let (mut at, mut seen) = (0, [false; 256]);
    while at < area.len() && area[at] != 0 {
        let kind = usize::from(area[at]);
        at += if kind == 1 { 1 } else { usize::from(area[at + 1]) };
        if kind != 1 && std::mem::replace(&mut seen[kind], true) {
            return true;
        }
    }
    false
}

#[test]
fn t_mal_20_smoltcp_reads_what_we_read() {
    let mut rng = Rng(0x5eed);
    let (mut both, mut neither, mut ours_alone, mut theirs_alone) = (0, 0, 0, 0);
    for round in 0..ROUNDS {
        let packet = random_packet(&mut rng);
        match (we_say(&packet), smoltcp_says(&packet)) {
            (Verdict::Accepted(ours), Verdict::Accepted(theirs)) => {
                both += 1;
                let ip = IpView::parse(&packet[..]).unwrap();
                if !repeats_an_option(ip.payload()) {
                    assert_eq!(ours, theirs, "round {round}: {packet:02x?}");
                }
            }
            (Verdict::Accepted(_), _) => {
                ours_alone += 1;
                let ip = IpView::parse(&packet[..]).unwrap();
                let extension_headers = ip.version() == 6 && ip.header_len() > 40;
                let expected =
                    ip.fragment().is_some() || extension_headers || smoltcp_is_stricter(ip.payload());
                assert!(expected, "round {round}: smoltcp refused {packet:02x?}");
            }
            (ours, Verdict::Accepted(_)) => {
                theirs_alone += 1;
                let error = IpView::parse(&packet[..]).map(|_| ()).unwrap_err();
                let on_purpose = [ParseError::Ipv4OptionLength, ParseError::Ipv4SourceRoute];
                assert!(on_purpose.contains(&error), "round {round}: we say {ours:?} to {packet:02x?}");
            }
            _ => neither += 1,
        }
    }
    println!("both {both}, neither {neither}, ours alone {ours_alone}, theirs alone {theirs_alone}");
    // Each kind of case came up; otherwise this test would prove less than it says.
    assert!(both > 10_000 && neither > 1000 && ours_alone > 1000 && theirs_alone > 1000);
    carrick_covers::covers!("T-MAL-20");
}

#[test]
fn t_mal_20_we_read_what_smoltcp_writes() {
    let mut rng = Rng(77);
    for _ in 0..5000 {
        let payload: Vec<u8> = (0..rng.below(90)).map(|_| rng.next() as u8).collect();
        let controls = [TcpControl::None, TcpControl::Psh, TcpControl::Syn, TcpControl::Fin, TcpControl::Rst];
        let set = rng.next();
        let left = rng.next() as u32;
        let control = controls[rng.below(5)];
        let syn = control == TcpControl::Syn;
        let tcp = TcpRepr {
            src_port: 1 + rng.next() as u16 % 60_000,
            dst_port: 1 + rng.next() as u16 % 60_000,
            control,
            seq_number: TcpSeqNumber(rng.next() as i32),
            ack_number: Some(TcpSeqNumber(rng.next() as i32)),
            window_len: rng.next() as u16,
            window_scale: (syn && set & 1 != 0).then_some(7),
            max_seg_size: (syn && set & 2 != 0).then_some(1400),
            sack_permitted: syn && set & 4 != 0,
            sack_ranges: [(!syn && set & 8 != 0).then_some((left, left.wrapping_add(5))), None, None],
            timestamp: (set & 16 != 0).then_some(TcpTimestampRepr::new(5, 6)),
            payload: &payload,
        };
        let caps = ChecksumCapabilities::default();
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (SRC_V4, DST_V4) else { unreachable!() };
        let payload_len = tcp.buffer_len();
        let ip = Ipv4Repr { src_addr: src, dst_addr: dst, next_header: 6.into(), payload_len, hop_limit: 64 };
        let mut packet = vec![0; ip.buffer_len() + payload_len];
        let mut view = Ipv4Packet::new_unchecked(&mut packet[..]);
        ip.emit(&mut view, &caps);
        tcp.emit(&mut TcpPacket::new_unchecked(view.payload_mut()), &src.into(), &dst.into(), &caps);

        let Verdict::Accepted(ours) = we_say(&packet) else { panic!("refused {packet:02x?}") };
        assert_eq!(Verdict::Accepted(ours), smoltcp_says(&packet));
        let ip = IpView::parse(&packet[..]).unwrap();
        let blocks = TcpView::parse(ip.payload()).unwrap().options().sack;
        assert_eq!(blocks, tcp.sack_ranges[0].map_or_else(Default::default, |range| sack(&[range])));
    }
    carrick_covers::covers!("T-MAL-20");
}

#[test]
fn t_mal_20_pnet_reads_what_we_read() {
    let mut rng = Rng(4242);
    let (mut accepted, mut verified) = (0, 0);
    for _ in 0..ROUNDS {
        let packet = random_packet(&mut rng);
        let Ok(ip) = IpView::parse(&packet[..]) else { continue };
        match &ip {
            IpView::V4(view) => {
                let theirs = PnetIpv4::new(&packet).unwrap();
                assert_eq!(usize::from(theirs.get_header_length()) * 4, view.header_len());
                assert_eq!(usize::from(theirs.get_total_length()), view.total_len());
                assert_eq!(theirs.get_source().octets(), view.src().octets());
                assert_eq!(theirs.get_destination().octets(), view.dst().octets());
                assert_eq!(pnet_packet::ipv4::checksum(&theirs), theirs.get_checksum(), "V4-4");
            }
            IpView::V6(view) => {
                let theirs = PnetIpv6::new(&packet).unwrap();
                assert_eq!(usize::from(theirs.get_payload_length()) + 40, view.total_len());
                assert_eq!(theirs.get_source().octets(), view.src().octets());
                assert_eq!(theirs.get_destination().octets(), view.dst().octets());
                assert_eq!(theirs.get_flow_label(), view.flow_label());
            }
        }
        if ip.protocol() != Protocol::TCP || ip.fragment().is_some() {
            continue;
        }
        let Ok(tcp) = TcpView::parse(ip.payload()) else { continue };
        accepted += 1;
        let theirs = PnetTcp::new(ip.payload()).unwrap();
        assert_eq!((theirs.get_source(), theirs.get_destination()), (tcp.src_port(), tcp.dst_port()));
        assert_eq!((theirs.get_sequence(), theirs.get_acknowledgement()), (tcp.seq().get(), tcp.ack().get()));
        assert_eq!((theirs.get_window(), theirs.get_urgent_ptr()), (tcp.window().get(), tcp.urgent()));
        assert_eq!(theirs.get_options_raw().len(), tcp.header_len() - 20);
        assert_eq!(pnet_packet::Packet::payload(&theirs), tcp.payload());
        // pnet's sum of a zero field is the field that a sender writes; the other zero it never computes.
        if tcp.checksum() != 0 && tcp.checksum() != 0xffff {
            let sum = match (ip.src(), ip.dst()) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => {
                    pnet_packet::tcp::ipv4_checksum(&theirs, &src.octets().into(), &dst.octets().into())
                }
                (IpAddr::V6(src), IpAddr::V6(dst)) => {
                    pnet_packet::tcp::ipv6_checksum(&theirs, &src.octets().into(), &dst.octets().into())
                }
                _ => unreachable!("one family"),
            };
            assert_eq!(sum == tcp.checksum(), tcp.verify_checksum(ip.src(), ip.dst()));
            verified += 1;
        }
    }
    assert!(accepted > 10_000 && verified > 10_000);
    carrick_covers::covers!("T-MAL-20");
}
