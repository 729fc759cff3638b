//! What is emitted is parsed back equal; what was parsed is emitted with the same meaning (T-MAL-20).

mod support;

use carrick_wire::{
    FastOpenCookie, IpHeader, IpView, Protocol, SackBlock, SackBlocks, SeqNum, TcpFlags, TcpHeader,
    TcpOptions, TcpView, Timestamps, UserTimeout, WireWindow,
};
use proptest::prelude::*;
use support::{segment, tcp_packet};

prop_compose! {
    fn sack_block()(left: u32, len in 1..=0x7fff_ffffu32) -> SackBlock {
        SackBlock::new(SeqNum::new(left), SeqNum::new(left) + len).unwrap()
    }
}

prop_compose! {
    fn options()(
        mss: Option<u16>,
        window_scale: Option<u8>,
        sack_permitted: bool,
        timestamps in prop::option::of(any::<(u32, u32)>()),
        blocks in prop::collection::vec(sack_block(), 0..=4),
        cookie in prop::option::of(prop::collection::vec(any::<u8>(), 0..=16)),
        user_timeout: Option<u16>,
    ) -> TcpOptions {
        let mut sack = SackBlocks::default();
        for block in blocks {
            sack.push(block);
        }
        TcpOptions {
            mss,
            window_scale,
            sack_permitted,
            timestamps: timestamps.map(|(val, ecr)| Timestamps { val, ecr }),
            sack,
            fast_open: cookie.and_then(|cookie| FastOpenCookie::new(&cookie)),
            user_timeout: user_timeout.and_then(UserTimeout::from_raw),
        }
    }
}

prop_compose! {
    fn header()(
        ports: (u16, u16), seq: u32, ack: u32, bits in 0..512u16, window: u16, urgent: u16, options in options(),
    ) -> TcpHeader {
        TcpHeader {
            src_port: ports.0,
            dst_port: ports.1,
            seq: SeqNum::new(seq),
            ack: SeqNum::new(ack),
            flags: TcpFlags::from_bits(bits),
            window: WireWindow::new(window),
            urgent,
            options,
        }
    }
}

fn ip_header() -> impl Strategy<Value = IpHeader> {
    let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(src, dst)| (src.into(), dst.into()));
    let v6 = any::<([u8; 16], [u8; 16])>().prop_map(|(src, dst)| (src.into(), dst.into()));
    (prop_oneof![v4, v6], any::<(u8, u8, u16)>(), 0..1u32 << 20, 0..2000usize).prop_map(
        |((src, dst), (hop_limit, tos, identification), flow_label, payload_len)| IpHeader {
            hop_limit,
            tos,
            flow_label,
            identification,
            payload_len,
            ..IpHeader::new(src, dst, Protocol::UDP)
        },
    )
}

/// The header that says what `view` says.
fn described<B: AsRef<[u8]>>(view: &TcpView<B>) -> TcpHeader {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn t_mal_20_tcp_emit_then_parse(header in header(), payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let (src, dst) = support::FAMILIES[payload.len() % 2];
        let bytes = segment(src, dst, &header, &payload);
        let view = TcpView::parse(&bytes[..]).unwrap();
        let mut back = described(&view);
        // What did not fit was left out from the end, and nothing else changed.
        let sent = back.options.sack.len();
        prop_assert_eq!(back.options.sack.iter().collect::<Vec<_>>(), header.options.sack.iter().take(sent).collect::<Vec<_>>());
        let full = header.options.encoded_len();
        let one_more = if sent == 0 { 4 + 8 } else { 8 };
        prop_assert!(sent == header.options.sack.len() || full + one_more > 40);
        prop_assert!(back.options.user_timeout == header.options.user_timeout || full == 40);
        back.options.sack = header.options.sack;
        back.options.user_timeout = header.options.user_timeout;
        prop_assert_eq!(back, header);
        prop_assert_eq!((view.payload(), view.header_len()), (&payload[..], header.header_len()));
        prop_assert!(view.verify_checksum(src, dst));
    }

    #[test]
    fn t_mal_20_tcp_parse_then_emit(
        offset in 5..=15u8, fixed: [u8; 20], area in prop::collection::vec(option_bytes(), 0..12), rest: [u8; 48],
    ) {
        let mut bytes = fixed.to_vec();
        bytes[12] = offset << 4 | fixed[12] & 0xf;
        bytes.extend(area.concat());
        bytes.extend_from_slice(&rest);
        if let Ok(view) = TcpView::parse(&bytes[..]) {
            let header = described(&view);
            let mut again = [0; 60];
            let len = header.emit(&mut again).unwrap();
            let mut back = described(&TcpView::parse(&again[..len]).unwrap());
            // Padding and order may take the room of a SACK block or of the user timeout, of nothing else.
            if len > 40 {
                back.options.sack = header.options.sack;
                back.options.user_timeout = header.options.user_timeout;
            }
            prop_assert_eq!(back, header);
        }
    }

    #[test]
    fn t_mal_20_ip_emit_then_parse(header in ip_header()) {
        let mut bytes = vec![0x77; header.header_len() + header.payload_len + 3];
        prop_assert_eq!(header.emit(&mut bytes), Ok(header.header_len()));
        let view = IpView::parse(&bytes[..]).unwrap();
        let (flow_label, identification) = match &view {
            IpView::V4(view) => (header.flow_label, view.identification()),
            IpView::V6(view) => (view.flow_label(), header.identification),
        };
        let back = IpHeader {
            src: view.src(),
            dst: view.dst(),
            protocol: view.protocol(),
            hop_limit: view.hop_limit(),
            tos: view.tos(),
            flow_label,
            identification,
            payload_len: view.payload().len(),
        };
        prop_assert_eq!(back, header);
        prop_assert_eq!((view.header_len(), view.fragment()), (header.header_len(), None));
        prop_assert_eq!(view.into_inner(), &bytes[..]);
    }

    #[test]
    fn t_mal_19_any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(view) = IpView::parse(&bytes[..]) {
            prop_assert!(view.header_len() <= view.total_len() && view.total_len() <= bytes.len());
            prop_assert_eq!(view.payload().len(), view.total_len() - view.header_len());
        }
        if let Ok(view) = TcpView::parse(&bytes[..]) {
            prop_assert_eq!(view.header_len() + view.payload().len(), bytes.len());
        }
    }

    #[test]
    fn t_mal_20_whole_packets(header in header(), payload in prop::collection::vec(any::<u8>(), 0..100), v6: bool) {
        let (src, dst) = support::FAMILIES[usize::from(v6)];
        let packet = tcp_packet(src, dst, &header, &payload);
        let ip = IpView::parse(&packet[..]).unwrap();
        prop_assert_eq!((ip.src(), ip.dst(), ip.protocol()), (src, dst, Protocol::TCP));
        let view = TcpView::parse(ip.payload()).unwrap();
        prop_assert!(view.verify_checksum(ip.src(), ip.dst()));
        prop_assert!(!view.verify_checksum(ip.src(), ip.src()) || src == dst);
    }
}

/// Option bytes of which most are well formed.
fn option_bytes() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        (2u8, 4u8),
        (3, 3),
        (4, 2),
        (5, 10),
        (5, 18),
        (5, 34),
        (8, 10),
        (28, 4),
        (34, 2),
        (34, 10),
        (34, 18),
        (30, 6),
    ]);
    prop_oneof![
        Just(vec![1]),
        (known, any::<[u8; 32]>()).prop_map(|((kind, len), value)| {
            let mut option = vec![kind, len];
            option.extend_from_slice(&value[..usize::from(len) - 2]);
            option
        }),
        (2..=255u8, 2..=8u8).prop_map(|(kind, len)| {
            let mut option = vec![kind, len];
            option.resize(usize::from(len), 0x5a);
            option
        }),
    ]
}
