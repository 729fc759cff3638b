//! TCP headers and options, byte by byte.

mod support;

use carrick_wire::{
    BuildError, FastOpenCookie, MAX_OPTIONS_LEN, ParseError, SackBlock, SeqNum, TcpFlags, TcpHeader,
    TcpOptions, TcpView, Timestamps, UserTimeout, WireWindow, tcp,
};
use support::{DST_V4, FAMILIES, SRC_V4, data_header, sack, samples, segment, syn_options};

const KNOWN: [u8; 7] = [2, 3, 4, 5, 8, 28, 34];

/// A header with `area` as options and `payload` behind it.
fn raw(area: &[u8], payload: &[u8]) -> Vec<u8> {
    assert_eq!(area.len() % 4, 0);
    let mut bytes = vec![0; 20];
    data_header().emit(&mut bytes).unwrap();
    bytes[12] = u8::try_from((20 + area.len()) / 4).unwrap() << 4;
    bytes.extend_from_slice(area);
    bytes.extend_from_slice(payload);
    bytes
}

/// Whether a walk of `area` by the RFC's rule meets an illegal length.
fn walk_is_legal(area: &[u8]) -> bool {
    let mut at = 0;
    while at < area.len() {
        match area[at] {
            0 => return true,
            1 => at += 1,
            _ => {
                let Some(&len) = area.get(at + 1) else { return false };
                if len < 2 || at + usize::from(len) > area.len() {
                    return false;
                }
                at += usize::from(len);
            }
        }
    }
    true
}

#[test]
fn t_mal_1_every_prefix_of_a_segment() {
    for packet in samples() {
        let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
        let segment = &packet[at..];
        let header_len = usize::from(segment[12] >> 4) * 4;
        for len in 0..segment.len() {
            let outcome = TcpView::parse(&segment[..len]).map(|_| ());
            let expected = match len {
                0..20 => Err(ParseError::TcpTruncated),
                _ if len < header_len => Err(ParseError::TcpDataOffset),
                _ => Ok(()),
            };
            assert_eq!(outcome, expected, "{len} of {}", segment.len());
        }
    }
    carrick_covers::covers!("T-MAL-1");
}

#[test]
fn t_mal_4_opt_1_every_data_offset_and_length() {
    for offset in 0..16u8 {
        for len in 0..=80 {
            let mut bytes = vec![0; len];
            if let Some(field) = bytes.get_mut(12) {
                *field = offset << 4;
            }
            let header_len = usize::from(offset) * 4;
            let expected = match len {
                0..20 => Err(ParseError::TcpTruncated),
                _ if header_len < 20 || header_len > len => Err(ParseError::TcpDataOffset),
                _ => Ok(header_len),
            };
            let view = TcpView::parse(&bytes[..]);
            assert_eq!(view.map(|view| view.header_len()), expected);
            if let Ok(view) = view {
                assert_eq!(view.payload().len(), len - header_len);
            }
        }
    }
    carrick_covers::covers!("T-MAL-4");
}

#[test]
fn t_mal_5_t_mal_6_every_option_at_every_position() {
    // A payload that reads on as options: what is left of a cut one, and a timestamp.
    let poison = [10, 10, 10, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 5, 180, 3, 3, 7];
    for at in 0..MAX_OPTIONS_LEN {
        for kind in 0..=255u8 {
            for len in 0..=255u8 {
                let mut area = [1; MAX_OPTIONS_LEN];
                area[at] = kind;
                if let Some(place) = area.get_mut(at + 1) {
                    *place = len;
                }
                let bytes = raw(&area, &poison);
                match TcpView::parse(&bytes[..]) {
                    Err(error) => {
                        assert_eq!(error, ParseError::TcpOptionLength);
                        assert!(!walk_is_legal(&area), "{kind} {len} at {at}");
                    }
                    Ok(view) => {
                        assert!(walk_is_legal(&area), "{kind} {len} at {at}");
                        assert_eq!(view.payload(), poison);
                        if at + usize::from(len) > MAX_OPTIONS_LEN && kind > 1 {
                            panic!("an option past the header");
                        }
                    }
                }
                if at + 1 == MAX_OPTIONS_LEN {
                    break; // no place for a length: all are alike
                }
            }
        }
    }
    carrick_covers::covers!("T-MAL-5", "T-MAL-6");
}

#[test]
fn t_mal_5_option_length_zero_or_one() {
    for kind in 2..=255u8 {
        for len in 0..=1 {
            assert_eq!(TcpOptions::parse(&[kind, len, 0, 0]), Err(ParseError::TcpOptionLength));
        }
        assert_eq!(
            TcpOptions::parse(&[1, 1, 1, kind]),
            Err(ParseError::TcpOptionLength),
            "cut after its kind"
        );
        assert!(TcpOptions::parse(&[1, 0, kind, 0]).is_ok(), "nothing counts after the end");
    }
    carrick_covers::covers!("T-MAL-5");
}

#[test]
fn t_mal_7_opt_3_known_options_of_every_length() {
    let legal = |kind: u8, len: u8| match kind {
        2 | 28 => len == 4,
        3 => len == 3,
        4 => len == 2,
        5 => matches!(len, 10 | 18 | 26 | 34),
        8 => len == 10,
        _ => matches!(len, 2 | 6 | 8 | 10 | 12 | 14 | 16 | 18),
    };
    for kind in KNOWN {
        for len in 2..=40u8 {
            // The bytes 1, 2, 3, .. make SACK blocks whose right edge is after the left one.
            let mut area: Vec<u8> = (1..=40).collect();
            area[0] = kind;
            area[1] = len;
            area[usize::from(len)..].fill(0);
            let options = TcpOptions::parse(&area).unwrap();
            let empty = TcpOptions::default();
            if legal(kind, len) {
                assert_ne!(options, empty, "{kind} {len}");
            } else {
                assert_eq!(options, empty, "{kind} {len}");
            }
        }
    }
    // An illegal one does not stop a legal one of its kind from counting.
    let area = [2, 3, 9, 2, 4, 5, 180, 3, 2, 3, 3, 9];
    let options = TcpOptions::parse(&area).unwrap();
    assert_eq!((options.mss, options.window_scale), (Some(1460), Some(9)));
    carrick_covers::covers!("T-MAL-7");
}

#[test]
fn t_mal_8_opt_6_the_first_valid_option_counts() {
    let area = [
        2, 4, 1, 1, 2, 4, 2, 2, 3, 3, 5, 3, 3, 6, 4, 2, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 8, 10, 0, 0, 0,
        3, 0, 0, 0, 4, 0,
    ];
    let options = TcpOptions::parse(&area).unwrap();
    assert_eq!(options.mss, Some(0x101));
    assert_eq!(options.window_scale, Some(5));
    assert!(options.sack_permitted);
    assert_eq!(options.timestamps, Some(Timestamps { val: 1, ecr: 2 }));

    let area = [28, 4, 0, 0, 28, 4, 0, 7, 28, 4, 0, 8, 34, 2, 34, 6, 1, 2, 3, 4];
    let options = TcpOptions::parse(&area).unwrap();
    assert_eq!(options.user_timeout.map(UserTimeout::raw), Some(7), "zero is no valid timeout");
    assert_eq!(options.fast_open, Some(FastOpenCookie::REQUEST));

    let area = [5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4];
    assert_eq!(TcpOptions::parse(&area).unwrap().sack, sack(&[(1, 2)]));
}

#[test]
fn sack_blocks_are_never_empty_and_at_most_four() {
    let new = |left, right| SackBlock::new(SeqNum::new(left), SeqNum::new(right));
    assert!(new(5, 5).is_none() && new(6, 5).is_none() && new(0, 1 << 31).is_none());
    let block = new(u32::MAX, 3).unwrap();
    assert_eq!((block.left().get(), block.right().get()), (u32::MAX, 3));

    let mut blocks = sack(&[(1, 2), (3, 4), (5, 6), (7, 8)]);
    assert!(!blocks.push(block), "the fifth has no place");
    assert_eq!(blocks.len(), 4);
    // The empty block of a received option is left out, the others stay.
    let area = [5, 26, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 6];
    assert_eq!(TcpOptions::parse(&area).unwrap().sack, sack(&[(1, 2), (5, 6)]));
}

#[test]
fn tfo_1_cookie_lengths() {
    for len in 0..=40 {
        let cookie = FastOpenCookie::new(&[7; 40][..len]);
        assert_eq!(cookie.is_some(), len == 0 || (4..=16).contains(&len) && len % 2 == 0);
        if let Some(cookie) = cookie {
            assert_eq!((cookie.as_bytes().len(), cookie.is_request()), (len, len == 0));
        }
    }
}

#[test]
fn t_mal_11_every_flag_and_reserved_bit() {
    for pattern in 0..4096u16 {
        let mut bytes = raw(&[], b"");
        bytes[12] |= u8::try_from(pattern >> 8).unwrap();
        bytes[13] = pattern as u8;
        let view = TcpView::parse(&bytes[..]).unwrap();
        assert_eq!(view.flags().bits(), pattern & 0x1ff, "the three reserved bits change nothing");
        assert_eq!((view.header_len(), view.seq()), (20, data_header().seq));
    }
    for bits in 0..512 {
        let header = TcpHeader { flags: TcpFlags::from_bits(bits), ..data_header() };
        let mut bytes = [0; 20];
        header.emit(&mut bytes).unwrap();
        assert_eq!(bytes[12] & 0b1110, 0, "reserved bits are sent as zero");
        assert_eq!(TcpView::parse(&bytes[..]).unwrap().flags().bits(), bits);
    }
}

#[test]
fn flags_read_as_tcpdump_prints_them() {
    let table = [
        (TcpFlags::SYN, "[S]"),
        (TcpFlags::SYN | TcpFlags::ACK, "[S.]"),
        (TcpFlags::FIN | TcpFlags::PSH | TcpFlags::ACK, "[FP.]"),
        (TcpFlags::RST, "[R]"),
        (TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR | TcpFlags::AE, "[SEWe]"),
        (TcpFlags::ACK | TcpFlags::URG, "[.U]"),
        (TcpFlags::EMPTY, "[none]"),
    ];
    for (flags, text) in table {
        assert_eq!(flags.to_string(), text);
    }
    let both = TcpFlags::SYN | TcpFlags::ACK;
    assert!(both.contains(TcpFlags::SYN) && !TcpFlags::SYN.contains(both) && both.intersects(TcpFlags::SYN));
    assert_eq!(both.difference(TcpFlags::SYN), TcpFlags::ACK);
}

#[test]
fn t_mal_12_a_zero_sum_is_what_the_arithmetic_says() {
    for (src, dst) in FAMILIES {
        // Choose the payload's last word so that the checksum comes out as zero.
        let mut bytes = segment(src, dst, &data_header(), &[0; 4]);
        let checksum = [bytes[16], bytes[17]];
        bytes[22..24].copy_from_slice(&checksum);
        support::fix_tcp_checksum(src, dst, &mut bytes);
        assert_eq!(bytes[16..18], [0, 0]);
        assert!(TcpView::parse(&bytes[..]).unwrap().verify_checksum(src, dst));
        bytes[16..18].fill(0xff);
        assert!(TcpView::parse(&bytes[..]).unwrap().verify_checksum(src, dst), "the other zero");
        bytes[17] = 0xfe;
        assert!(!TcpView::parse(&bytes[..]).unwrap().verify_checksum(src, dst));
    }
    carrick_covers::covers!("T-MAL-12");
}

#[test]
fn t_mal_14_t_mal_17_ports_and_urgent_pointer_are_only_reported() {
    for urgent in [0, 1, 1460, 65535] {
        let flags = TcpFlags::URG | TcpFlags::ACK;
        let header = TcpHeader { src_port: 0, dst_port: 0, urgent, flags, ..data_header() };
        let bytes = segment(SRC_V4, DST_V4, &header, b"");
        let view = TcpView::parse(&bytes[..]).unwrap();
        assert_eq!((view.src_port(), view.dst_port(), view.urgent()), (0, 0, urgent));
    }
}

#[test]
fn opt_7_layouts_are_linux_own() {
    let timestamps = Some(Timestamps { val: 0x0102_0304, ecr: 0x0506_0708 });
    let plain = TcpOptions { timestamps, ..TcpOptions::default() };
    let cookie = FastOpenCookie::new(&[9; 8]);
    let table: [(TcpOptions, &[u8]); 8] = [
        (TcpOptions::default(), &[]),
        (plain, &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]),
        (syn_options(), &[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]),
        (TcpOptions { sack_permitted: true, ..TcpOptions::default() }, &[1, 1, 4, 2]),
        (
            TcpOptions { sack: sack(&[(1, 2)]), ..plain },
            &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        ),
        (TcpOptions { fast_open: Some(FastOpenCookie::REQUEST), ..TcpOptions::default() }, &[34, 2, 1, 1]),
        (TcpOptions { fast_open: cookie, ..TcpOptions::default() }, &[34, 10, 9, 9, 9, 9, 9, 9, 9, 9, 1, 1]),
        (TcpOptions { user_timeout: UserTimeout::from_raw(7), ..TcpOptions::default() }, &[28, 4, 0, 7]),
    ];
    for (options, bytes) in table {
        let mut buf = [0xee; 40];
        assert_eq!(options.emit(&mut buf), Ok(bytes.len()));
        assert_eq!(&buf[..bytes.len()], bytes);
        assert_eq!(options.encoded_len(), bytes.len());
        assert!(buf[bytes.len()..].iter().all(|byte| *byte == 0xee));
        assert_eq!(TcpOptions::parse(bytes), Ok(options));
    }
}

#[test]
fn opt_7_what_does_not_fit_is_left_out_from_the_end() {
    let four = sack(&[(1, 2), (3, 4), (5, 6), (7, 8)]);
    let kept = |options: TcpOptions| {
        let mut buf = [0; 40];
        let len = options.emit(&mut buf).unwrap();
        assert!(len <= 40 && len.is_multiple_of(4));
        TcpOptions::parse(&buf[..len]).unwrap()
    };
    let alone = TcpOptions { sack: four, ..TcpOptions::default() };
    assert_eq!(kept(alone), alone);
    let timestamps = Some(Timestamps { val: 1, ecr: 2 });
    let beside = kept(TcpOptions { timestamps, ..alone });
    assert_eq!((beside.timestamps, beside.sack), (timestamps, sack(&[(1, 2), (3, 4), (5, 6)])));
    let crowded = kept(TcpOptions { sack: four, ..syn_options() });
    assert_eq!(crowded, TcpOptions { sack: sack(&[(1, 2), (3, 4)]), ..syn_options() });
    let full = TcpOptions {
        sack: four,
        fast_open: FastOpenCookie::new(&[1; 16]),
        user_timeout: UserTimeout::from_raw(9),
        ..syn_options()
    };
    assert_eq!(kept(full), TcpOptions { sack: sack(&[]), user_timeout: None, ..full });
}

#[test]
fn short_buffers_are_errors() {
    let header = TcpHeader { options: syn_options(), ..data_header() };
    let len = header.header_len();
    for short in 0..len {
        assert_eq!(header.emit(&mut vec![0; short]), Err(BuildError::BufferTooShort));
    }
    assert_eq!(header.emit(&mut vec![0; len]), Ok(len));
    assert_eq!(tcp::set_checksum(&mut [0; 17], 1), Err(BuildError::BufferTooShort));
}

#[test]
fn v6_16_a_view_gives_back_what_it_was_made_of() {
    let header = TcpHeader { options: syn_options(), window: WireWindow::new(9), ..data_header() };
    let bytes = segment(SRC_V4, DST_V4, &header, b"payload");
    let view = TcpView::parse(bytes.clone()).unwrap();
    assert_eq!(view.payload(), b"payload");
    assert_eq!(view.checksum(), u16::from_be_bytes([bytes[16], bytes[17]]));
    assert_eq!(view.into_inner(), bytes);
    assert_eq!(TcpView::parse(&bytes[..]).unwrap().payload_slice(), b"payload");
}

/// A buffer that shows less the second time: its views must stay harmless.
struct Shrinking(std::cell::Cell<usize>, Vec<u8>);

impl AsRef<[u8]> for Shrinking {
    fn as_ref(&self) -> &[u8] {
        let looks = self.0.get();
        self.0.set(looks + 1);
        if looks == 0 { &self.1 } else { &[] }
    }
}

#[test]
fn t_mal_19_a_buffer_that_shrinks_does_no_harm() {
    let bytes = segment(SRC_V4, DST_V4, &data_header(), b"x");
    let view = TcpView::parse(Shrinking(Default::default(), bytes)).unwrap();
    assert_eq!((view.src_port(), view.payload().len(), view.flags()), (0, 0, TcpFlags::EMPTY));
    assert!(!view.verify_checksum(SRC_V4, DST_V4));
}
