//! What the tests share.

use carrick_core::Counters;
use carrick_sim::{Packet, Scene};
use carrick_wire::Checksum;

/// A hash over everything that our side knows.
pub(crate) fn digest(s: &Scene) -> u64 {
    s.host().digest(s.now())
}

pub(crate) fn counters(s: &Scene) -> &Counters {
    s.host().endpoint().counters()
}

/// How many packets the endpoint has discarded by itself.
pub(crate) fn discarded(s: &Scene) -> u64 {
    counters(s).discarded_by_endpoint()
}

/// All that we have sent and the script has not looked at.
pub(crate) fn sent(s: &mut Scene) -> Vec<Packet> {
    std::iter::from_fn(|| s.take()).collect()
}

/// The packet with exactly these option bytes, padded with zeros to whole words.
pub(crate) fn with_options(packet: &Packet, options: &[u8]) -> Packet {
    let bytes = &packet.bytes;
    let ip_len = ip_header_len(bytes);
    let header_len = usize::from(bytes[ip_len + 12] >> 4) * 4;
    let mut tcp = bytes[ip_len..ip_len + 20].to_vec();
    tcp.extend_from_slice(options);
    tcp.resize(20 + options.len().div_ceil(4) * 4, 0);
    tcp[12] = tcp[12] & 0x0f | (tcp.len() as u8 / 4) << 4;
    tcp.extend_from_slice(&bytes[ip_len + header_len..]);
    rebuilt(&bytes[..ip_len], &tcp)
}

pub(crate) fn ip_header_len(bytes: &[u8]) -> usize {
    if bytes[0] >> 4 == 6 { 40 } else { usize::from(bytes[0] & 15) * 4 }
}

/// The packet of this IP header and this TCP segment, lengths and checksums made right.
pub(crate) fn rebuilt(ip: &[u8], tcp: &[u8]) -> Packet {
    let mut ip = ip.to_vec();
    let mut tcp = tcp.to_vec();
    let v6 = ip[0] >> 4 == 6;
    let (addresses, protocol) = if v6 { (ip[8..40].to_vec(), 6u16) } else { (ip[12..20].to_vec(), 6) };
    let total = tcp.len() as u16 + if v6 { 0 } else { ip.len() as u16 };
    if v6 {
        ip[4..6].copy_from_slice(&total.to_be_bytes());
    } else {
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip[10..12].fill(0);
        let mut sum = Checksum::new();
        sum.add(&ip);
        let sum = sum.finish();
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    tcp[16..18].fill(0);
    let mut sum = Checksum::new();
    sum.add(&addresses);
    sum.add(&protocol.to_be_bytes());
    sum.add(&(tcp.len() as u16).to_be_bytes());
    sum.add(&tcp);
    let sum = sum.finish();
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    Packet::new([ip, tcp].concat())
}
