//! `carrick-wire` on any bytes: nothing panics, what is accepted is consistent, what is emitted is accepted.
//!
//! Shared with the test of `carrick-wire` that replays the corpus.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use carrick_wire::icmp::{self, Envelope, IcmpMessage, Quote};
use carrick_wire::merging::Run;
use carrick_wire::offload;
use carrick_wire::segmentation::{SegmentBuf, Segmenter, complete_checksum};
use carrick_wire::{
    Checksum, IpHeader, IpView, ParseError, Protocol, SeqNum, TcpFlags, TcpHeader, TcpOptions, TcpView,
    WireWindow, tcp,
};

const LOCAL_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PEER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));
const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// Any bytes as a packet; where only an IPv4 header checksum is missing, it is mended and they are tried
/// again.
pub fn ip(data: &[u8]) {
    packet(data);
    let mut mended = data.to_vec();
    if IpView::parse(data).is_err_and(|error| error == ParseError::Ipv4Checksum) {
        let header_len = usize::from(mended[0] & 0xf) * 4;
        mended[10..12].fill(0);
        let mut sum = Checksum::new();
        sum.add(&mended[..header_len]);
        mended[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        assert_ne!(IpView::parse(&mended[..]).map(|_| ()), Err(ParseError::Ipv4Checksum));
        packet(&mended);
    }
}

fn packet(data: &[u8]) {
    merge(merge(None, data), data);
    let mut buf = [0; 1280];
    let view = match IpView::parse(data) {
        Ok(view) => view,
        Err(error) => {
            assert!(error.index() < ParseError::COUNT && !error.to_string().is_empty());
            if let Some(answer) = icmp::answer_to_refused(data, error) {
                assert!(answer.to.to_ipv4_mapped().is_none() && !answer.to.is_multicast());
                let envelope = Envelope { src: LOCAL_V6.into(), dst: answer.to.into(), hop_limit: 64 };
                let (code, pointer) = (answer.problem.code, answer.problem.pointer);
                assert!(usize::try_from(pointer).unwrap() < data.len(), "the pointer lies in the packet");
                let len = icmp::emit_parameter_problem(&mut buf, envelope, code, pointer, data).unwrap();
                let IpView::V6(answer) = IpView::parse(&buf[..len]).unwrap() else { panic!("IPv6") };
                // Its quote is of a packet that was refused, so only the checksum is sure to please.
                let read = icmp::parse_v6(answer.payload(), answer.src(), answer.dst());
                assert_ne!(read, Err(ParseError::IcmpChecksum));
            }
            return;
        }
    };
    assert!(view.header_len() <= view.total_len() && view.total_len() <= data.len());
    assert_eq!(view.payload().len(), view.total_len() - view.header_len());
    assert_eq!(view.payload(), view.payload_slice());
    let again = IpView::parse(view.as_bytes()).expect("bytes after the packet decide nothing");
    assert_eq!(
        (again.protocol(), again.header_len(), again.fragment(), again.tos(), again.hop_limit()),
        (view.protocol(), view.header_len(), view.fragment(), view.tos(), view.hop_limit())
    );
    if view.protocol() == Protocol::TCP && view.fragment().is_none() {
        tcp(view.payload());
    }
    if icmp::may_answer(&view) {
        let src = if view.version() == 4 { LOCAL_V4 } else { LOCAL_V6.into() };
        let envelope = Envelope { src, dst: view.src(), hop_limit: 64 };
        let len = icmp::emit_unreachable(&mut buf, envelope, 3, view.as_bytes()).unwrap();
        assert!(IpView::parse(&buf[..len]).is_ok());
        assert!(len <= if view.version() == 4 { 576 } else { 1280 });
    }
}

/// Any bytes as a segment.
pub fn tcp(data: &[u8]) {
    in_a_row(data);
    let Ok(view) = TcpView::parse(data) else { return };
    assert_eq!(view.header_len() + view.payload().len(), data.len());
    let _ = view.verify_checksum(LOCAL_V4, PEER_V4);
    let header = header_of(&view);
    let mut buf = [0; 60];
    let len = header.emit(&mut buf).unwrap();
    assert_eq!(len, header.header_len());
    let mut back = header_of(&TcpView::parse(&buf[..len]).unwrap());
    if len > 40 {
        // Our layout may have taken the room of these.
        assert!(back.options.sack.len() <= header.options.sack.len());
        back.options.sack = header.options.sack;
        back.options.user_timeout = header.options.user_timeout;
    }
    assert_eq!(back, header);
}

/// The segment with its checksum made right, and then one that follows it.
fn in_a_row(segment: &[u8]) {
    let header = IpHeader { payload_len: segment.len(), ..IpHeader::new(LOCAL_V4, PEER_V4, Protocol::TCP) };
    let mut packet = vec![0; header.header_len()];
    if segment.len() < 20 || header.emit(&mut packet).is_err() {
        return;
    }
    let at = packet.len();
    packet.extend_from_slice(segment);
    let make_right = |segment: &mut [u8]| {
        tcp::set_checksum(segment, 0).unwrap();
        let mut sum = Checksum::pseudo_header(LOCAL_V4, PEER_V4, Protocol::TCP, segment.len());
        sum.add(segment);
        tcp::set_checksum(segment, sum.finish()).unwrap();
    };
    make_right(&mut packet[at..]);
    let first = merge(None, &packet);
    let Some(len) = first.as_ref().map(|(_, payload)| payload.len()) else { return };
    let [a, b, c, d] = [4, 5, 6, 7].map(|i| packet[at + i]);
    let next = u32::from_be_bytes([a, b, c, d]).wrapping_add(u32::try_from(len).unwrap());
    packet[at + 4..at + 8].copy_from_slice(&next.to_be_bytes());
    make_right(&mut packet[at..]);
    let (run, _) = merge(first, &packet).expect("what begins a run goes on with it");
    assert_eq!(run.packets(), 2, "the next of the same size is taken");
}

fn header_of(view: &TcpView<&[u8]>) -> TcpHeader {
    TcpHeader {
        src_port: view.src_port(),
        dst_port: view.dst_port(),
        seq: view.seq(),
        ack: view.ack(),
        flags: view.flags(),
        window: view.window(),
        urgent: view.urgent(),
        options: *view.options(),
    }
}

/// Any bytes as a message of both versions, as they are and with their checksum made right.
pub fn icmp(data: &[u8]) {
    let _ = icmp::parse_v4(data).map(message);
    let _ = icmp::parse_v6(data, PEER_V6, LOCAL_V6).map(message);
    if data.len() < 8 {
        return;
    }
    let mut mended = data.to_vec();
    let pseudo = Checksum::pseudo_header(PEER_V6.into(), LOCAL_V6.into(), Protocol::ICMPV6, data.len());
    for (sum, v4) in [(Checksum::new(), true), (pseudo, false)] {
        mended[2..4].fill(0);
        let mut sum = sum;
        sum.add(&mended);
        mended[2..4].copy_from_slice(&sum.finish().to_be_bytes());
        let outcome = if v4 { icmp::parse_v4(&mended) } else { icmp::parse_v6(&mended, PEER_V6, LOCAL_V6) };
        assert_ne!(outcome, Err(ParseError::IcmpChecksum));
        let _ = outcome.map(message);
    }
}

fn message(message: IcmpMessage<'_>) {
    match message {
        IcmpMessage::Unreachable { quote, .. }
        | IcmpMessage::PacketTooBig { quote, .. }
        | IcmpMessage::TimeExceeded { quote, .. }
        | IcmpMessage::ParameterProblem { quote, .. }
        | IcmpMessage::UnknownError { quote, .. } => check_quote(&quote),
        IcmpMessage::EchoRequest { ident, seq, data } => {
            let envelope = Envelope { src: LOCAL_V4, dst: PEER_V4, hop_limit: 64 };
            let mut buf = vec![0; data.len() + 28];
            if let Ok(len) = icmp::emit_echo_reply(&mut buf, envelope, ident, seq, data) {
                let view = IpView::parse(&buf[..len]).unwrap();
                let reply = icmp::parse_v4(view.payload()).unwrap();
                assert_eq!(reply, IcmpMessage::EchoReply { ident, seq, data });
            }
        }
        IcmpMessage::EchoReply { .. } | IcmpMessage::Other { .. } => {}
    }
}

fn check_quote(quote: &Quote<'_>) {
    assert_eq!(quote.src().is_ipv4(), quote.dst().is_ipv4());
    assert!(quote.transport().len() >= 8);
    assert_eq!(quote.tcp().is_some(), quote.protocol() == Protocol::TCP);
}

/// The first bytes choose sizes, the rest is payload, or, in every other case, a header from a stranger.
pub fn segmentation(data: &[u8]) {
    let Some((&[choice, size_high, size_low, bits, cuts], rest)) = data.split_first_chunk() else { return };
    let segment_size = NonZeroU16::new(u16::from_be_bytes([size_high, size_low])).unwrap_or(NonZeroU16::MIN);
    if choice & 1 == 0 {
        let (header, payload) = rest.split_at(rest.len().min(usize::from(cuts)));
        let _ = complete_checksum(&mut header.to_vec(), &[payload]);
        cut(header, &[payload], segment_size);
        return;
    }
    let (src, dst) = if choice & 2 == 0 { (LOCAL_V4, PEER_V4) } else { (LOCAL_V6.into(), PEER_V6.into()) };
    let mut payload: Vec<&[u8]> = rest.chunks(usize::from(cuts) + 1).take(6).collect();
    let taken: usize = payload.iter().map(|slice| slice.len()).sum();
    payload.push(&rest[taken..]);
    let segment = TcpHeader {
        src_port: 1,
        dst_port: 2,
        seq: SeqNum::new(u32::MAX - 5),
        ack: SeqNum::new(7),
        flags: TcpFlags::from_bits(u16::from(bits)),
        window: WireWindow::new(9),
        urgent: u16::from(choice),
        options: TcpOptions::default(),
    };
    let payload_len = segment.header_len() + rest.len();
    let packet = IpHeader { payload_len, ..IpHeader::new(src, dst, Protocol::TCP) };
    let mut header = vec![0; packet.header_len() + segment.header_len()];
    let Ok(at) = packet.emit(&mut header) else { return };
    segment.emit(&mut header[at..]).unwrap();
    let partial = Checksum::pseudo_header(src, dst, Protocol::TCP, payload_len).fold();
    tcp::set_checksum(&mut header[at..], partial).unwrap();
    assert!(complete_checksum(&mut header.clone(), &payload).is_ok());
    if let Some(together) = cut(&header, &payload, segment_size) {
        assert_eq!(together, rest);
    }
}

/// Cuts and puts together again; `None` if the cut was refused.
fn cut(header: &[u8], payload: &[&[u8]], segment_size: NonZeroU16) -> Option<Vec<u8>> {
    let mut segmenter = Segmenter::new(header, payload, segment_size).ok()?;
    let mut together = Vec::new();
    let mut packet = SegmentBuf::new();
    let mut packets = 0;
    let mut run: Option<(Run, Vec<u8>)> = None;
    while segmenter.next_segment(&mut packet) {
        packets += 1;
        let bytes = [packet.header(), &packet.parts().concat()].concat();
        run = merge(run, &bytes);
        // A stranger's header may hold options that the parser refuses, but never wrong lengths or sums.
        match IpView::parse(&bytes[..]) {
            Ok(view) => {
                assert_eq!(view.total_len(), bytes.len());
                if let Ok(segment) = TcpView::parse(view.payload())
                    && view.fragment().is_none()
                {
                    assert!(segment.verify_checksum(view.src(), view.dst()));
                }
            }
            Err(error) => assert!(!matches!(
                error,
                ParseError::Truncated
                    | ParseError::Version
                    | ParseError::Ipv4HeaderLength
                    | ParseError::Ipv4TotalLength
                    | ParseError::Ipv4Checksum
                    | ParseError::Ipv6PayloadLength
            )),
        }
        for part in packet.parts() {
            together.extend_from_slice(part);
        }
    }
    let whole: usize = payload.iter().map(|slice| slice.len()).sum();
    assert_eq!(packets, whole.div_ceil(usize::from(segment_size.get())).max(1));
    Some(together)
}

/// Puts a packet to those before it, or begins anew: what was put together is whole.
fn merge(before: Option<(Run, Vec<u8>)>, packet: &[u8]) -> Option<(Run, Vec<u8>)> {
    if let Some((mut run, mut payload)) = before
        && run.take(packet)
    {
        payload.extend_from_slice(&packet[run.header_len()..]);
        let mut whole = vec![0; run.header_len()];
        run.emit(&mut whole).unwrap();
        whole.extend_from_slice(&payload);
        assert_eq!(whole.len(), run.total_len());
        // It may hold addresses and options that the parsers refuse, each packet like the whole.
        let text =
            |bytes| Some(TcpView::parse(IpView::parse(bytes).ok()?.payload_slice()).ok()?.payload_slice());
        assert_eq!(text(&whole).is_some(), text(packet).is_some());
        assert!(text(&whole).is_none_or(|text| text == payload));
        return Some((run, payload));
    }
    let run = Run::begin(packet)?;
    let payload = packet[run.header_len()..].to_vec();
    Some((run, payload))
}

/// An offload header and the packet behind it, whatever they are.
pub fn offload(data: &[u8]) {
    let Some((header, packet)) = data.split_first_chunk() else { return };
    let known = offload::parse(*header, packet);
    if known.is_some_and(|known| known.segment_size.is_some()) {
        assert!(matches!(packet.first().map(|byte| byte >> 4), Some(4 | 6)));
    }
    for size in [None, known.and_then(|known| known.segment_size)] {
        let Ok(written) = offload::emit(packet, size) else { continue };
        // TCP's sum may lie beyond a packet that was cut short, and is refused then.
        if let Some(again) = offload::parse(written, packet) {
            assert_eq!(again.segment_size.is_some(), size.is_some() && again.intact);
        }
    }
}
