//! Capture files: blocks are what they say.
#![allow(missing_docs, reason = "tests")]

use carrick_wire::pcapng::{Direction, PacketBlock, interface, section};

/// Reads blocks back: type and body of each, both lengths compared.
fn blocks(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let len = word(bytes, 4) as usize;
        assert_eq!(len % 4, 0);
        assert_eq!(word(bytes, len - 4) as usize, len);
        found.push((word(bytes, 0), bytes[8..len - 4].to_vec()));
        bytes = &bytes[len..];
    }
    found
}

#[test]
fn blocks_are_as_long_as_they_say_whatever_the_packet() {
    let mut file = [&section()[..], &interface()].concat();
    let packets: Vec<Vec<u8>> = (20..28).map(|len| vec![len; usize::from(len)]).collect();
    for packet in &packets {
        let len = packet.len() as u32;
        let block = PacketBlock { time: 0x1_0000_0002, direction: Direction::Outbound, len };
        let (tail, tail_len) = block.tail();
        file.extend([&block.head()[..], packet, &tail[..tail_len]].concat());
    }
    let blocks = blocks(&file);
    assert_eq!(
        blocks.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [0x0a0d_0d0a, 1, 6, 6, 6, 6, 6, 6, 6, 6]
    );
    for ((_, body), packet) in blocks[2..].iter().zip(&packets) {
        let len = packet.len() as u8;
        assert_eq!(body[..20], [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, len, 0, 0, 0, len, 0, 0, 0]);
        assert_eq!(body[20..20 + packet.len()], packet[..]);
        assert_eq!(body[body.len() - 12..], [2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
}
