//! A packet between two hosts, how a device makes one of a [`Transmit`], and how it is read and printed.

use bytes::Bytes;
use carrick_core::{Frame, Instant, MAX_PARTS, Transmit};
use carrick_wire::segmentation::{SegmentBuf, Segmenter, complete_checksum};
use carrick_wire::{
    BuildError, Checksum, Ecn, IpHeader, IpView, ParseError, Protocol, SeqNum, TcpHeader, TcpView,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

/// A whole IP packet as a device carries it, checksums complete, perhaps a super-segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// The bytes, from the IP header on.
    pub bytes: Bytes,
    /// How much payload each wire segment carries, if the packet stands for several.
    pub segment_size: Option<NonZeroU16>,
    /// Whether the receiving device vouches for the checksums.
    pub checksum: carrick_core::Checksum,
}

impl Packet {
    /// A packet that is one packet on the wire too, for whose checksums nobody vouches.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), segment_size: None, checksum: carrick_core::Checksum::Unknown }
    }

    /// A TCP packet of these headers and this text, its checksums complete. Ports are those of `tcp`; `tos` is the
    /// type of service or traffic class.
    ///
    /// # Panics
    ///
    /// If the addresses are not of one family, or the text fits no packet.
    #[must_use]
    pub fn tcp(src: IpAddr, dst: IpAddr, tos: u8, tcp: &TcpHeader, text: &[u8]) -> Self {
        let mut segment = vec![0; tcp.header_len()];
        tcp.emit(&mut segment).expect("the buffer was made for it");
        segment.extend_from_slice(text);
        let mut sum = Checksum::pseudo_header(src, dst, Protocol::TCP, segment.len());
        sum.add(&segment);
        segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        let ip = IpHeader { tos, payload_len: segment.len(), ..IpHeader::new(src, dst, Protocol::TCP) };
        let mut bytes = vec![0; ip.header_len()];
        ip.emit(&mut bytes).expect("both addresses are of one family and the text fits a packet");
        bytes.append(&mut segment);
        Self::new(bytes)
    }

    /// What the endpoint is given: bytes it may keep.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame::shared(&self.bytes, self.bytes.len())
            .with_checksum(self.checksum)
            .with_segment_size(self.segment_size.map(NonZeroU16::get))
    }

    /// The TCP segment inside, if the packet is a whole, correct one.
    #[must_use]
    pub fn segment(&self) -> Option<SegmentView<'_>> {
        SegmentView::parse(&self.bytes).ok().flatten()
    }

    /// The same packet as a router passes it on that is congested, if the packet says that it is ECN-capable
    /// (RFC 3168 §5).
    #[must_use]
    pub fn marked(&self) -> Option<Self> {
        if self.is_ecn_capable() { self.with_ecn(Ecn::Ce) } else { None }
    }

    /// Whether a router may mark it.
    pub(crate) fn is_ecn_capable(&self) -> bool {
        IpView::parse(&self.bytes[..]).is_ok_and(|ip| matches!(ip.ecn(), Ecn::Ect0 | Ecn::Ect1))
    }

    /// The same packet with that ECN field, if it is a packet at all.
    pub(crate) fn with_ecn(&self, ecn: Ecn) -> Option<Self> {
        let ip = IpView::parse(&self.bytes[..]).ok()?;
        let mut bytes = self.bytes.to_vec();
        if ip.src().is_ipv6() {
            bytes[1] = bytes[1] & !(0b11 << 4) | ecn.bits() << 4;
        } else {
            bytes[1] = bytes[1] & !0b11 | ecn.bits();
            let header = &mut bytes[..ip.header_len()];
            header[10..12].fill(0);
            let mut sum = Checksum::new();
            sum.add(header);
            header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        }
        Some(Self { bytes: bytes.into(), ..self.clone() })
    }

    /// The largest packet that this is on a wire, in bytes.
    pub(crate) fn wire_len(&self) -> usize {
        let (Some(size), Some(segment)) = (self.segment_size, self.segment()) else {
            return self.bytes.len();
        };
        let excess = segment.payload.len().saturating_sub(usize::from(size.get()));
        self.bytes.len() - excess
    }

    /// How many packets this is on a wire.
    #[must_use]
    pub fn wire_packets(&self) -> u64 {
        let (Some(size), Some(segment)) = (self.segment_size, self.segment()) else { return 1 };
        segment.payload.len().div_ceil(usize::from(size.get())).max(1) as u64
    }
}

/// What a device does with super-segments.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Offload {
    /// It carries them whole.
    Whole,
    /// It cuts them into packets that fit the wire.
    #[default]
    Cut,
}

/// Makes packets of what is due, as a device does, and appends them to `out`.
///
/// # Errors
/// What the splitter says of a header that does not fit its payload: a defect of whoever made it.
pub fn put(transmit: &Transmit<'_>, offload: Offload, out: &mut Vec<Packet>) -> Result<(), BuildError> {
    let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
    let count = transmit.payload(&mut parts);
    let parts = &parts[..count];
    if protocol(transmit.header()) != Some(Protocol::TCP) {
        out.push(Packet::new([&[transmit.header()], parts].concat().concat()));
        return Ok(());
    }
    match (offload, transmit.segment_size()) {
        (Offload::Cut, Some(size)) => {
            let mut segmenter = Segmenter::new(transmit.header(), parts, size)?;
            let mut segment = SegmentBuf::new();
            while segmenter.next_segment(&mut segment) {
                out.push(Packet::new([&[segment.header()], segment.parts()].concat().concat()));
            }
        }
        (_, segment_size) => {
            let mut header = transmit.header().to_vec();
            complete_checksum(&mut header, parts)?;
            let bytes = [&[header.as_slice()], parts].concat().concat();
            out.push(Packet { segment_size, ..Packet::new(bytes) });
        }
    }
    Ok(())
}

/// The upper protocol that the fixed IP header names.
fn protocol(header: &[u8]) -> Option<Protocol> {
    match header.first()? >> 4 {
        4 => header.get(9).copied().map(Protocol),
        _ => header.get(6).copied().map(Protocol),
    }
}

/// A TCP segment read from a packet: addresses, header and text.
#[derive(Clone, Copy, Debug)]
pub struct SegmentView<'a> {
    /// Sender.
    pub src: SocketAddr,
    /// Receiver.
    pub dst: SocketAddr,
    /// Header.
    pub tcp: TcpHeader,
    /// Text.
    pub payload: &'a [u8],
    /// The IP header's ECN field.
    pub ecn: Ecn,
}

impl<'a> SegmentView<'a> {
    /// Reads a packet; `None` for one that is whole and correct but not TCP, or a fragment, or whose TCP
    /// checksum is wrong.
    ///
    /// # Errors
    /// What the parser refuses.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, ParseError> {
        let ip = IpView::parse(bytes)?;
        if ip.protocol() != Protocol::TCP || ip.fragment().is_some() {
            return Ok(None);
        }
        let view = TcpView::parse(ip.payload_slice())?;
        if !view.verify_checksum(ip.src(), ip.dst()) {
            return Ok(None);
        }
        let tcp = TcpHeader {
            src_port: view.src_port(),
            dst_port: view.dst_port(),
            seq: view.seq(),
            ack: view.ack(),
            flags: view.flags(),
            window: view.window(),
            urgent: view.urgent(),
            options: *view.options(),
        };
        Ok(Some(Self {
            src: SocketAddr::new(ip.src(), tcp.src_port),
            dst: SocketAddr::new(ip.dst(), tcp.dst_port),
            tcp,
            payload: view.payload_slice(),
            ecn: ip.ecn(),
        }))
    }

    /// Whether any of `flags` is set.
    #[must_use]
    pub fn has(&self, flags: carrick_wire::TcpFlags) -> bool {
        self.tcp.flags.intersects(flags)
    }
}

/// An exchange as tcpdump would print it, numbers relative to the first of each direction.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    isn: BTreeMap<(SocketAddr, SocketAddr), SeqNum>,
    lines: Vec<String>,
}

impl Trace {
    /// Numbers from `src` to `dst` are printed relative to `isn`.
    pub fn pin(&mut self, src: SocketAddr, dst: SocketAddr, isn: SeqNum) {
        self.isn.insert((src, dst), isn);
    }

    /// Notes a packet; `arrow` says where it goes.
    pub fn packet(&mut self, now: Instant, arrow: &str, packet: &Packet) {
        let line = self.describe(packet);
        self.note(now, &format!("{arrow} {line}"));
    }

    /// Notes something that is not a packet.
    pub fn note(&mut self, now: Instant, text: &str) {
        let micros = now.as_nanos() / 1000;
        self.lines.push(format!("{:>6}.{:06} {text}", micros / 1_000_000, micros % 1_000_000));
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    fn describe(&mut self, packet: &Packet) -> String {
        let segment = match SegmentView::parse(&packet.bytes) {
            Ok(Some(segment)) => segment,
            Ok(None) => return describe_other(&packet.bytes),
            Err(error) => return format!("{} bytes, {error}", packet.bytes.len()),
        };
        let SegmentView { src, dst, tcp, payload, ecn } = segment;
        if segment.has(carrick_wire::TcpFlags::SYN) {
            self.isn.insert((src, dst), tcp.seq);
        }
        let start = self.isn.get(&(src, dst)).copied().unwrap_or_default();
        let peer = self.isn.get(&(dst, src)).copied().unwrap_or_default();
        let mut line =
            format!("{}>{} {} seq {}", src.port(), dst.port(), tcp.flags, tcp.seq.distance_from(start));
        if !payload.is_empty() {
            let _ = write!(line, ":{}", tcp.seq.distance_from(start).wrapping_add(payload.len() as u32));
        }
        if segment.has(carrick_wire::TcpFlags::ACK) {
            let _ = write!(line, ", ack {}", tcp.ack.distance_from(peer));
        }
        let _ = write!(line, ", win {}", tcp.window.get());
        if segment.has(carrick_wire::TcpFlags::URG) {
            let _ = write!(line, ", urg {}", tcp.urgent);
        }
        let options = describe_options(&tcp, peer);
        if !options.is_empty() {
            let _ = write!(line, ", options [{options}]");
        }
        if ecn != Ecn::NotEct {
            let _ = write!(line, ", {ecn:?}");
        }
        let _ = write!(line, ", length {}", payload.len());
        if let Some(size) = packet.segment_size {
            let _ = write!(line, " in segments of {size}");
        }
        line
    }
}

fn describe_options(tcp: &TcpHeader, peer: SeqNum) -> String {
    let options = &tcp.options;
    let mut words = Vec::new();
    words.extend(options.mss.map(|mss| format!("mss {mss}")));
    if options.sack_permitted {
        words.push("sackOK".into());
    }
    words.extend(options.timestamps.map(|ts| format!("TS val {} ecr {}", ts.val, ts.ecr)));
    words.extend(options.window_scale.map(|shift| format!("wscale {shift}")));
    let blocks = options.sack.iter();
    words.extend(blocks.map(|block| {
        let relative = |seq: SeqNum| seq.distance_from(peer);
        format!("sack {{{}:{}}}", relative(block.left()), relative(block.right()))
    }));
    words.join(",")
}

fn describe_other(bytes: &[u8]) -> String {
    let Ok(ip) = IpView::parse(bytes) else { return "unreadable".into() };
    let (src, dst, protocol) = (ip.src(), ip.dst(), ip.protocol());
    let what = match protocol {
        Protocol::ICMP => format!("{:?}", carrick_wire::icmp::parse_v4(ip.payload())),
        Protocol::ICMPV6 => match (src, dst) {
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                format!("{:?}", carrick_wire::icmp::parse_v6(ip.payload(), src, dst))
            }
            _ => "ICMPv6 in IPv4".into(),
        },
        Protocol::TCP => "TCP, bad checksum or a fragment".into(),
        Protocol(number) => format!("protocol {number}"),
    };
    format!("{src} > {dst} {what}, {} bytes", bytes.len())
}
