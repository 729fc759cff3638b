//! The Internet checksum against a slow reference.

mod support;

use carrick_wire::{Checksum, Protocol};
use proptest::prelude::*;
use support::{DST_V4, DST_V6, Rng, SRC_V4, SRC_V6, naive_sum};

fn sum_of(slices: &[&[u8]]) -> u16 {
    let mut sum = Checksum::new();
    for slice in slices {
        sum.add(slice);
    }
    sum.fold()
}

#[test]
fn v4_20_vectors() {
    assert_eq!(sum_of(&[]), 0);
    assert_eq!(sum_of(&[&[0; 64]]), 0, "only zeros sum to zero");
    assert_eq!(Checksum::new().finish(), 0xffff);
    assert_eq!(sum_of(&[&[0xff; 2]]), 0xffff);
    assert_eq!(sum_of(&[&[0xff; 20_000]]), 0xffff);
    assert_eq!(sum_of(&[&[0xab]]), 0xab00, "an odd byte is the upper half of a word");
    assert_eq!(sum_of(&[&[0xff, 0xff, 0x00, 0x01]]), 1, "the carry comes around");
    // RFC 1071 §3.
    assert_eq!(sum_of(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), 0xddf2);
    // A real IPv4 header with its checksum in place.
    let header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0,
        0xa8, 0x00, 0xc7,
    ];
    assert_eq!(sum_of(&[&header]), 0xffff);
    carrick_covers::covers!("V4-20");
}

#[test]
fn v4_20_t_mal_19_every_alignment_and_length() {
    let mut rng = Rng(1);
    let bytes: Vec<u8> = (0..400).map(|_| rng.next() as u8).collect();
    for start in 0..16 {
        for end in start..=bytes.len() {
            let slice = &bytes[start..end];
            assert_eq!(sum_of(&[slice]), naive_sum(slice), "{start}..{end}");
        }
    }
    for len in [65_535, 65_536, 1 << 20, (1 << 20) + 7] {
        for fill in [0xff, 0x80, 0x01] {
            let slice = vec![fill; len];
            assert_eq!(sum_of(&[&slice]), naive_sum(&slice));
        }
    }
}

#[test]
fn v4_20_every_split_in_three() {
    let mut rng = Rng(2);
    let bytes: Vec<u8> = (0..90).map(|_| rng.next() as u8).collect();
    let whole = naive_sum(&bytes);
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            assert_eq!(sum_of(&[&bytes[..first], &bytes[first..second], &bytes[second..]]), whole);
        }
    }
    carrick_covers::covers!("V4-20");
}

#[test]
fn v4_20_integers_are_their_bytes() {
    for prefix in [&b""[..], b"x", b"xy", b"xyz"] {
        let mut sum = Checksum::new();
        sum.add(prefix);
        sum.add_u16(0x1234);
        sum.add_u32(0x5678_9abc);
        sum.add(b"!");
        let bytes = [prefix, &[0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc], b"!"].concat();
        assert_eq!(sum.fold(), naive_sum(&bytes));
    }
}

#[test]
fn v6_16_pseudo_headers() {
    let mut v4 = vec![192, 0, 2, 1, 198, 51, 100, 2, 0, 6];
    v4.extend_from_slice(&1480u16.to_be_bytes());
    assert_eq!(Checksum::pseudo_header(SRC_V4, DST_V4, Protocol::TCP, 1480).fold(), naive_sum(&v4));

    let mut v6 = Vec::new();
    for address in [SRC_V6, DST_V6] {
        let std::net::IpAddr::V6(address) = address else { unreachable!() };
        v6.extend_from_slice(&address.octets());
    }
    v6.extend_from_slice(&70_000u32.to_be_bytes());
    v6.extend_from_slice(&[0, 0, 0, 58]);
    assert_eq!(Checksum::pseudo_header(SRC_V6, DST_V6, Protocol::ICMPV6, 70_000).fold(), naive_sum(&v6));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn v4_20_any_slices_sum_as_one(slices in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8)) {
        let borrowed: Vec<&[u8]> = slices.iter().map(Vec::as_slice).collect();
        let whole = slices.concat();
        prop_assert_eq!(sum_of(&borrowed), naive_sum(&whole));
        prop_assert_eq!(sum_of(&borrowed), smoltcp::wire::checksum::data(&whole));
    }
}
