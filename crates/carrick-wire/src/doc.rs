// Packets for the examples of the documentation, which include it out of sight.

use carrick_wire::segmentation::{SegmentBuf, Segmenter};
use carrick_wire::{Checksum, IpHeader, Protocol, TcpFlags, TcpHeader};

#[allow(dead_code)]
fn header(src: &str, dst: &str, protocol: Protocol, payload_len: usize) -> Vec<u8> {
    let (src, dst) = (src.parse().expect("an address"), dst.parse().expect("an address"));
    let header = IpHeader { payload_len, ..IpHeader::new(src, dst, protocol) };
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes).expect("it fits");
    bytes
}

/// A packet with five bytes of text.
#[allow(dead_code)]
pub fn packet(src: &str, dst: &str) -> Vec<u8> {
    [header(src, dst, Protocol::UDP, 5), b"hello".to_vec()].concat()
}

/// The first 8 bytes of a longer packet.
#[allow(dead_code)]
pub fn fragment() -> Vec<u8> {
    let mut header = header("192.0.2.1", "192.0.2.2", Protocol::UDP, 8);
    header[6..8].copy_from_slice(&[0x20, 0]); // more fragments
    header[10..12].fill(0);
    let mut sum = Checksum::new();
    sum.add(&header);
    header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    [header, vec![0; 8]].concat()
}

/// The headers of a TCP segment, and its text.
#[allow(dead_code)]
pub fn segment() -> (Vec<u8>, [u8; 2000]) {
    let (src, dst) = ("192.0.2.1", "192.0.2.2");
    let mut header = header(src, dst, Protocol::TCP, 2020);
    let mut tcp = [0; 20];
    let segment =
        TcpHeader { src_port: 49_152, dst_port: 80, flags: TcpFlags::ACK, ..TcpHeader::default() };
    segment.emit(&mut tcp).expect("it fits");
    let (src, dst) = (src.parse().expect("an address"), dst.parse().expect("an address"));
    let partial = Checksum::pseudo_header(src, dst, Protocol::TCP, 2020).fold();
    carrick_wire::tcp::set_checksum(&mut tcp, partial).expect("it fits");
    header.extend(tcp);
    (header, [7; 2000])
}

/// The same as two packets.
#[allow(dead_code)]
pub fn two_segments() -> (Vec<u8>, Vec<u8>) {
    let (header, payload) = segment();
    let parts = [&payload[..]];
    let size = 1000.try_into().expect("not zero");
    let mut segmenter = Segmenter::new(&header, &parts, size).expect("it can be cut");
    let mut segment = SegmentBuf::new();
    let mut next = || {
        assert!(segmenter.next_segment(&mut segment));
        [segment.header(), &segment.parts().concat()].concat()
    };
    (next(), next())
}
