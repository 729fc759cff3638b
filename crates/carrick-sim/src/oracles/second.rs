//! A second opinion on a packet's form (O-8): written from the RFCs by hand, with nothing of the parser under
//! test in it, byte for byte and slow.

use std::ops::Range;

/// Says what is wrong with a packet that a host sent.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => check_v4(bytes),
        Some(6) => check_v6(bytes),
        _ => Err("neither IPv4 nor IPv6".into()),
    }
}

fn check_v4(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() < 20 {
        return Err("shorter than an IPv4 header".into());
    }
    let header_len = usize::from(bytes[0] & 0xf) * 4;
    if header_len != 20 {
        return Err(format!("IPv4 header of {header_len} bytes: we send no options"));
    }
    if usize::from(be16(bytes, 2)) != bytes.len() {
        return Err(format!("total length {} on {} bytes", be16(bytes, 2), bytes.len()));
    }
    // DF set, reserved bit and MF clear, offset zero.
    if be16(bytes, 6) != 0x4000 {
        return Err(format!("fragment field {:#06x}", be16(bytes, 6)));
    }
    if bytes[8] == 0 {
        return Err("time to live of 0".into());
    }
    if sum(0, &bytes[..20]) != 0xffff {
        return Err("IPv4 header checksum".into());
    }
    let pseudo = sum(0, &bytes[12..20]);
    check_upper(bytes[9], &bytes[20..], pseudo, 1)
}

fn check_v6(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() < 40 {
        return Err("shorter than an IPv6 header".into());
    }
    if usize::from(be16(bytes, 4)) + 40 != bytes.len() {
        return Err(format!("payload length {} on {} bytes", be16(bytes, 4), bytes.len()));
    }
    if bytes[7] == 0 {
        return Err("hop limit of 0".into());
    }
    let pseudo = sum(0, &bytes[8..40]);
    check_upper(bytes[6], &bytes[40..], pseudo, 58)
}

fn check_upper(protocol: u8, upper: &[u8], addresses: u32, icmp: u8) -> Result<(), String> {
    // The pseudo-header: addresses, length, protocol (RFC 9293 §3.1, RFC 8200 §8.1).
    let pseudo = addresses + upper.len() as u32 + u32::from(protocol);
    if protocol == 6 {
        if sum(pseudo, upper) != 0xffff {
            return Err("TCP checksum".into());
        }
        return check_tcp(upper);
    }
    if protocol != icmp {
        return Err(format!("protocol {protocol}"));
    }
    // ICMP for IPv4 has no pseudo-header (RFC 792), ICMPv6 has (RFC 4443 §2.3).
    let start = if icmp == 1 { 0 } else { pseudo };
    if upper.len() < 8 || sum(start, upper) != 0xffff {
        return Err("ICMP checksum or length".into());
    }
    Ok(())
}

fn check_tcp(segment: &[u8]) -> Result<(), String> {
    if segment.len() < 20 {
        return Err("shorter than a TCP header".into());
    }
    let header_len = usize::from(segment[12] >> 4) * 4;
    if header_len < 20 || header_len > segment.len() {
        return Err(format!("data offset {header_len} in {} bytes", segment.len()));
    }
    if segment[12] & 0xe != 0 {
        return Err("reserved bits".into());
    }
    if be16(segment, 0) == 0 || be16(segment, 2) == 0 {
        return Err("port 0".into());
    }
    let flags = segment[13];
    let has = |flag: u8| flags & flag != 0;
    let (fin, syn, rst, ack) = (has(1), has(2), has(4), has(16));
    if u8::from(syn) + u8::from(rst) + u8::from(fin) > 1 {
        return Err(format!("flags {flags:#04x}: more than one of SYN, FIN and RST"));
    }
    if !ack && !syn && !rst {
        return Err(format!("flags {flags:#04x}: no ACK"));
    }
    if !ack && segment[8..12] != [0; 4] {
        return Err("acknowledgment number without ACK".into());
    }
    if rst && header_len != segment.len() {
        return Err("RST with text".into());
    }
    check_options(&segment[20..header_len], syn)
}

fn check_options(area: &[u8], syn: bool) -> Result<(), String> {
    let mut seen = [false; 256];
    let mut at = 0;
    while at < area.len() {
        let kind = area[at];
        if kind == 0 {
            return match area[at..].iter().all(|byte| *byte == 0) {
                true => Ok(()),
                false => Err("bytes after End of Option List".into()),
            };
        }
        if kind == 1 {
            at += 1;
            continue;
        }
        let len = area.get(at + 1).copied().map_or(0, usize::from);
        if len < 2 || at + len > area.len() {
            return Err(format!("option {kind} of {len} bytes at {at} of {}", area.len()));
        }
        let (lengths, where_): (Range<usize>, Where) = match kind {
            2 => (4..5, Where::Syn),
            3 => (3..4, Where::Syn),
            4 => (2..3, Where::Syn),
            5 => (10..35, Where::NotSyn),
            8 => (10..11, Where::Any),
            28 => (4..5, Where::Any),
            34 => (2..19, Where::Syn),
            _ => return Err(format!("option {kind}, which we do not know")),
        };
        if !lengths.contains(&len) || (kind == 5 && len % 8 != 2) {
            return Err(format!("option {kind} of {len} bytes"));
        }
        if (where_ == Where::Syn && !syn) || (where_ == Where::NotSyn && syn) {
            return Err(format!("option {kind} {} SYN", if syn { "with" } else { "without" }));
        }
        if kind == 3 && area[at + 2] > 14 {
            return Err(format!("window scale {}", area[at + 2]));
        }
        if std::mem::replace(&mut seen[usize::from(kind)], true) {
            return Err(format!("option {kind} twice"));
        }
        at += len;
    }
    Ok(())
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Where {
    Syn,
    NotSyn,
    Any,
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The sum of RFC 1071, two bytes at a time, folded.
fn sum(start: u32, bytes: &[u8]) -> u32 {
    let mut total = u64::from(start);
    let (pairs, odd) = bytes.as_chunks::<2>();
    for pair in pairs {
        total += u64::from(u16::from_be_bytes(*pair));
    }
    total += odd.first().map_or(0, |last| u64::from(*last) << 8);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN from 192.0.2.1:1 to 192.0.2.2:2 with an MSS of 1460, sums computed on paper with RFC 1071.
    fn syn() -> Vec<u8> {
        let mut bytes = vec![
            0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
            0, 1, 0, 2, 0, 0, 0, 100, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4, // TCP
        ];
        // 4500+002c+0000+4000+4006+c000+0201+c000+0202 = 2_4935 -> 4937 -> ~ = b6c8
        bytes[10..12].copy_from_slice(&[0xb6, 0xc8]);
        // pseudo c000+0201+c000+0202+0006+0018 = 1_8421; TCP 0001+0002+0064+6002+ffff+0204+05b4
        // = 1_6820; together 2_ec41 -> ec43 -> ~ = 13bc
        bytes[36..38].copy_from_slice(&[0x13, 0xbc]);
        bytes
    }

    #[test]
    fn a_right_packet_passes_and_every_changed_byte_but_the_harmless_fails() {
        assert_eq!(check(&syn()), Ok(()));
        for at in 0..44 {
            let mut bytes = syn();
            bytes[at] ^= 0x55;
            assert!(check(&bytes).is_err(), "byte {at} changed and nobody noticed");
        }
    }

    #[test]
    fn cut_and_lengthened_packets_fail() {
        for len in 0..44 {
            assert!(check(&syn()[..len]).is_err(), "{len}");
        }
        let mut longer = syn();
        longer.push(0);
        assert!(check(&longer).is_err());
    }

    #[test]
    fn options_are_held_to_their_lengths_and_places() {
        assert_eq!(check_options(&[2, 4, 5, 180, 4, 2, 1, 1], true), Ok(()));
        assert!(check_options(&[2, 4, 5, 180], false).is_err());
        assert!(check_options(&[2, 3, 5, 1], true).is_err());
        assert!(check_options(&[3, 3, 15, 1], true).is_err());
        assert!(check_options(&[4, 2, 4, 2], true).is_err());
        assert!(check_options(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2], true).is_err());
        assert_eq!(check_options(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2], false), Ok(()));
        assert!(check_options(&[1, 1, 8], false).is_err());
        assert!(check_options(&[0, 0, 0, 1], false).is_err());
        assert!(check_options(&[99, 4, 0, 0], false).is_err());
    }
}
