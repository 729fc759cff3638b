//! Wire formats beside other crates': IPv4 and TCP with timestamps and one SACK block, 0 and 1,460 bytes of
//! payload.
//!
//! *Parse* is: lengths, both checksums, every field and option of the headers. *Emit* is: both headers, the
//! options, a copy of the payload, both checksums. *Both* parses a packet and emits another with the same
//! contents. Every contestant of a group runs in the same process, so ratios come from one run.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SRC: [u8; 4] = [192, 0, 2, 1];
const DST: [u8; 4] = [192, 0, 2, 2];
const PAYLOADS: [usize; 2] = [0, 1460];

mod ours {
    use super::{DST, SRC};
    use carrick_wire::{
        Checksum, IpHeader, IpView, Protocol, SackBlock, SeqNum, TcpFlags, TcpHeader, TcpOptions, TcpView,
        Timestamps, WireWindow, tcp,
    };

    pub(super) struct Parsed<'a> {
        ip: IpHeader,
        tcp: TcpHeader,
        payload: &'a [u8],
    }

    pub(super) fn sample(payload: &[u8]) -> Parsed<'_> {
        let mut options = TcpOptions {
            timestamps: Some(Timestamps { val: 123_456, ecr: 654_321 }),
            ..TcpOptions::default()
        };
        options.sack.push(SackBlock::new(SeqNum::new(10_000), SeqNum::new(11_460)).expect("not empty"));
        let tcp = TcpHeader {
            src_port: 49152,
            dst_port: 80,
            seq: SeqNum::new(1_000_000),
            ack: SeqNum::new(2_000_000),
            flags: TcpFlags::ACK | TcpFlags::PSH,
            window: WireWindow::new(4096),
            urgent: 0,
            options,
        };
        let payload_len = tcp.header_len() + payload.len();
        Parsed {
            ip: IpHeader { payload_len, ..IpHeader::new(SRC.into(), DST.into(), Protocol::TCP) },
            tcp,
            payload,
        }
    }

    pub(super) fn parse(packet: &[u8]) -> Parsed<'_> {
        let ip = IpView::parse(packet).expect("valid");
        assert!(ip.fragment().is_none() && ip.protocol() == Protocol::TCP);
        let (src, dst) = (ip.src(), ip.dst());
        let tcp = TcpView::parse(ip.payload_slice()).expect("valid");
        assert!(tcp.verify_checksum(src, dst));
        Parsed {
            ip: IpHeader {
                src,
                dst,
                protocol: Protocol::TCP,
                hop_limit: ip.hop_limit(),
                tos: ip.tos(),
                flow_label: 0,
                identification: 0,
                payload_len: ip.payload().len(),
            },
            tcp: TcpHeader {
                src_port: tcp.src_port(),
                dst_port: tcp.dst_port(),
                seq: tcp.seq(),
                ack: tcp.ack(),
                flags: tcp.flags(),
                window: tcp.window(),
                urgent: tcp.urgent(),
                options: *tcp.options(),
            },
            payload: tcp.payload_slice(),
        }
    }

    pub(super) fn emit(parsed: &Parsed<'_>, buf: &mut [u8]) -> usize {
        let at = parsed.ip.emit(buf).expect("room");
        let segment = &mut buf[at..at + parsed.ip.payload_len];
        let header_len = parsed.tcp.emit(segment).expect("room");
        segment[header_len..].copy_from_slice(parsed.payload);
        let mut sum = Checksum::pseudo_header(parsed.ip.src, parsed.ip.dst, Protocol::TCP, segment.len());
        // The payload's source, not its copy: no waiting for the stores.
        sum.add(&segment[..header_len]);
        sum.add(parsed.payload);
        tcp::set_checksum(segment, sum.finish()).expect("room");
        at + parsed.ip.payload_len
    }

    pub(super) fn checksum(bytes: &[u8]) -> u16 {
        let mut sum = Checksum::new();
        sum.add(bytes);
        sum.finish()
    }
}

mod theirs_smoltcp {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv4Repr, TcpPacket, TcpRepr};

    pub(super) struct Parsed<'a> {
        ip: Ipv4Repr,
        tcp: TcpRepr<'a>,
    }

    pub(super) fn parse(packet: &[u8]) -> Parsed<'_> {
        let caps = ChecksumCapabilities::default();
        let packet = Ipv4Packet::new_checked(packet).expect("valid");
        let ip = Ipv4Repr::parse(&packet, &caps).expect("valid");
        let segment = TcpPacket::new_checked(packet.payload()).expect("valid");
        let (src, dst) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
        let tcp = TcpRepr::parse(&segment, &src, &dst, &caps).expect("valid");
        Parsed { ip, tcp }
    }

    pub(super) fn emit(parsed: &Parsed<'_>, buf: &mut [u8]) -> usize {
        let caps = ChecksumCapabilities::default();
        let Parsed { ip, tcp } = parsed;
        let (src, dst) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
        let ip = Ipv4Repr { payload_len: tcp.buffer_len(), ..*ip };
        let len = ip.buffer_len() + ip.payload_len;
        let mut packet = Ipv4Packet::new_unchecked(&mut buf[..len]);
        ip.emit(&mut packet, &caps);
        tcp.emit(&mut TcpPacket::new_unchecked(packet.payload_mut()), &src, &dst, &caps);
        len
    }

    pub(super) fn checksum(bytes: &[u8]) -> u16 {
        !smoltcp::wire::checksum::data(bytes)
    }
}

mod theirs_etherparse {
    use etherparse::checksum::Sum16BitWords;
    use etherparse::{Ipv4Header, Ipv4HeaderSlice, TcpHeader, TcpOptionElement, TcpSlice};

    pub(super) struct Parsed<'a> {
        ip: Ipv4Header,
        tcp: TcpHeader,
        options: [TcpOptionElement; 8],
        count: usize,
        payload: &'a [u8],
    }

    pub(super) fn parse(packet: &[u8]) -> Parsed<'_> {
        let slice = Ipv4HeaderSlice::from_slice(packet).expect("valid");
        let ip = slice.to_header();
        assert_eq!(ip.calc_header_checksum(), ip.header_checksum);
        let segment = &packet[ip.header_len()..usize::from(slice.total_len())];
        let tcp = TcpSlice::from_slice(segment).expect("valid");
        assert_eq!(tcp.calc_checksum_ipv4(ip.source, ip.destination).expect("short"), tcp.checksum());
        let mut options = [const { TcpOptionElement::Noop }; 8];
        let mut count = 0;
        for (place, option) in options.iter_mut().zip(tcp.options_iterator()) {
            *place = option.expect("valid");
            count += 1;
        }
        Parsed { tcp: tcp.to_header(), ip, options, count, payload: tcp.payload() }
    }

    pub(super) fn emit(parsed: &Parsed<'_>, buf: &mut [u8]) -> usize {
        let mut ip = parsed.ip.clone();
        let mut tcp = parsed.tcp.clone();
        tcp.set_options(&parsed.options[..parsed.count]).expect("fits");
        ip.set_payload_len(tcp.header_len() + parsed.payload.len()).expect("fits");
        ip.header_checksum = ip.calc_header_checksum();
        tcp.checksum = tcp.calc_checksum_ipv4_raw(ip.source, ip.destination, parsed.payload).expect("short");
        let ip_bytes = ip.to_bytes();
        let tcp_bytes = tcp.to_bytes();
        let tcp_at = ip_bytes.len();
        let payload_at = tcp_at + tcp_bytes.len();
        let end = payload_at + parsed.payload.len();
        buf[..tcp_at].copy_from_slice(&ip_bytes);
        buf[tcp_at..payload_at].copy_from_slice(&tcp_bytes);
        buf[payload_at..end].copy_from_slice(parsed.payload);
        end
    }

    pub(super) fn checksum(bytes: &[u8]) -> u16 {
        u16::from_be(Sum16BitWords::new().add_slice(bytes).ones_complement())
    }
}

mod theirs_pnet {
    use pnet_packet::Packet;
    use pnet_packet::ip::IpNextHeaderProtocols;
    use pnet_packet::ipv4::{self, Ipv4Packet, MutableIpv4Packet};
    use pnet_packet::tcp::{self, MutableTcpPacket, TcpOption, TcpOptionPacket, TcpPacket};
    use std::hint::black_box;
    use std::net::Ipv4Addr;

    pub(super) struct Parsed<'a> {
        src: Ipv4Addr,
        dst: Ipv4Addr,
        ttl: u8,
        ports: (u16, u16),
        seq: u32,
        ack: u32,
        flags: u8,
        window: u16,
        payload: &'a [u8],
    }

    pub(super) fn parse(packet: &[u8]) -> Parsed<'_> {
        let ip = Ipv4Packet::new(packet).expect("valid");
        assert_eq!(ipv4::checksum(&ip), ip.get_checksum());
        let segment = &packet[usize::from(ip.get_header_length()) * 4..usize::from(ip.get_total_length())];
        let tcp = TcpPacket::new(segment).expect("valid");
        let (src, dst) = (ip.get_source(), ip.get_destination());
        assert_eq!(tcp::ipv4_checksum(&tcp, &src, &dst), tcp.get_checksum());
        for option in tcp.get_options_iter() {
            black_box(TcpOptionPacket::get_number(&option));
            black_box(option.payload());
        }
        let header_len = usize::from(tcp.get_data_offset()) * 4;
        Parsed {
            src,
            dst,
            ttl: ip.get_ttl(),
            ports: (tcp.get_source(), tcp.get_destination()),
            seq: tcp.get_sequence(),
            ack: tcp.get_acknowledgement(),
            flags: tcp.get_flags(),
            window: tcp.get_window(),
            payload: &segment[header_len..],
        }
    }

    pub(super) fn emit(parsed: &Parsed<'_>, buf: &mut [u8]) -> usize {
        const HEADERS_LEN: usize = 20 + 20 + 24;
        let len = HEADERS_LEN + parsed.payload.len();
        let mut tcp = MutableTcpPacket::new(&mut buf[20..len]).expect("room");
        tcp.set_source(parsed.ports.0);
        tcp.set_destination(parsed.ports.1);
        tcp.set_sequence(parsed.seq);
        tcp.set_acknowledgement(parsed.ack);
        tcp.set_data_offset(11);
        tcp.set_reserved(0);
        tcp.set_flags(parsed.flags);
        tcp.set_window(parsed.window);
        tcp.set_urgent_ptr(0);
        tcp.set_options(&[
            TcpOption::nop(),
            TcpOption::nop(),
            TcpOption::timestamp(123_456, 654_321),
            TcpOption::nop(),
            TcpOption::nop(),
            TcpOption::selective_ack(&[10_000, 11_460]),
        ]);
        tcp.set_payload(parsed.payload);
        let checksum = tcp::ipv4_checksum(&tcp.to_immutable(), &parsed.src, &parsed.dst);
        tcp.set_checksum(checksum);
        let mut ip = MutableIpv4Packet::new(&mut buf[..len]).expect("room");
        ip.set_version(4);
        ip.set_header_length(5);
        ip.set_dscp(0);
        ip.set_ecn(0);
        ip.set_total_length(u16::try_from(len).expect("short"));
        ip.set_identification(0);
        ip.set_flags(ipv4::Ipv4Flags::DontFragment);
        ip.set_fragment_offset(0);
        ip.set_ttl(parsed.ttl);
        ip.set_next_level_protocol(IpNextHeaderProtocols::Tcp);
        ip.set_source(parsed.src);
        ip.set_destination(parsed.dst);
        let checksum = ipv4::checksum(&ip.to_immutable());
        ip.set_checksum(checksum);
        len
    }

    pub(super) fn checksum(bytes: &[u8]) -> u16 {
        pnet_packet::util::checksum(bytes, usize::MAX)
    }
}

/// Evaluates an expression with each module in turn as `contestant`, so that neighbours in time are compared.
macro_rules! in_turn {
    (|$name:ident| $run:expr) => {
        in_turn!(@ $name, $run, "carrick" ours, "smoltcp" theirs_smoltcp, "etherparse" theirs_etherparse,
            "pnet_packet" theirs_pnet)
    };
    (@ $name:ident, $run:expr, $($text:literal $module:ident),+) => {
        $({
            use $module as contestant;
            let $name = $text;
            $run;
        })+
    };
}

fn wire(c: &mut Criterion) {
    for len in PAYLOADS {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let mut packet = vec![0; 2048];
        let packet_len = ours::emit(&ours::sample(&payload), &mut packet);
        packet.truncate(packet_len);
        let mut out = vec![0; 2048];

        in_turn!(|name| {
            let written = contestant::emit(&contestant::parse(&packet), &mut out);
            // smoltcp puts no padding between options.
            assert!(packet_len - written <= 4, "{name} writes what it read");
            ours::parse(&out[..written]);
        });

        let mut group = c.benchmark_group("parse_verify");
        in_turn!(|name| group.bench_function(BenchmarkId::new(name, len), |b| {
            b.iter(|| black_box(contestant::parse(black_box(&packet))));
        }));
        group.finish();

        let mut group = c.benchmark_group("emit");
        in_turn!(|name| {
            let parsed = contestant::parse(&packet);
            group.bench_function(BenchmarkId::new(name, len), |b| {
                b.iter(|| black_box(contestant::emit(black_box(&parsed), black_box(&mut out))));
            })
        });
        group.finish();

        let mut group = c.benchmark_group("parse_verify_emit");
        in_turn!(|name| group.bench_function(BenchmarkId::new(name, len), |b| {
            b.iter(|| {
                black_box(contestant::emit(&contestant::parse(black_box(&packet)), black_box(&mut out)))
            });
        }));
        group.finish();
    }

    let mut group = c.benchmark_group("checksum");
    for len in [64, 1460, 65535] {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        group.throughput(Throughput::Bytes(len as u64));
        in_turn!(|name| {
            assert_eq!(contestant::checksum(&bytes), ours::checksum(&bytes));
            group.bench_function(BenchmarkId::new(name, len), |b| {
                b.iter(|| black_box(contestant::checksum(black_box(&bytes))));
            })
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = wire
}
criterion_main!(benches);
