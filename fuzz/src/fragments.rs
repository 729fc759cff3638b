//! Reassembly of any fragments: what comes out is what a map of bytes says, and memory stays bounded.
//!
//! Shared with the test of `carrick-core` that replays the corpus.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use carrick_core::{Cidr, Cx, Dispatch, Endpoint, EndpointConfig, Frame, Instant, ReassemblyLimits};
use carrick_wire::{Checksum, IpHeader, IpView, Protocol};

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const LIMITS: ReassemblyLimits = ReassemblyLimits {
    bytes: 16 << 10,
    bytes_per_source: 8 << 10,
    packets: 4,
    packets_per_source: 4,
    parts: 8,
};

/// What the model knows of a packet; `None` once it was given up.
type Model = Option<BTreeMap<usize, u8>>;

/// Five bytes a fragment: which packet, offset, length, what is in it, whether more follows.
pub fn reassembly(data: &[u8]) {
    let mut endpoint = Endpoint::new(Arc::new(config()), [7; 32]);
    let cx = Cx::new(Instant::ZERO);
    let mut models: BTreeMap<u16, (Model, Option<usize>, usize)> = BTreeMap::new();
    for chunk in data.chunks_exact(5) {
        let &[id, offset, len, content, more] = chunk else { return };
        // Few packets, so that none is forgotten to make room.
        let (id, more) = (u16::from(id % 3), more % 4 != 0);
        let (offset, units) = (usize::from(offset % 16) * 8, usize::from(len % 6) + 1);
        let len = if more { units * 8 } else { units * 8 - usize::from(content % 8) };
        let bytes: Vec<u8> = (offset..offset + len).map(|at| (at as u8) ^ (content & 1)).collect();
        let packet = fragment(id, offset, more, &bytes);
        let whole = match endpoint.handle_frame(&cx, Frame::new(&packet)) {
            Dispatch::Reassembled(whole) => Some(whole),
            _ => None,
        };
        assert!(endpoint.memory() < 64 << 10);

        if offset == 0 && !more {
            continue; // a whole packet
        }
        let (model, end, parts) = models.entry(id).or_insert_with(|| (Some(BTreeMap::new()), None, 0));
        let Some(held) = model else {
            assert!(whole.is_none(), "given up");
            continue;
        };
        let same = bytes.iter().enumerate().all(|(i, byte)| held.get(&(offset + i)) == Some(byte));
        let none = !bytes.iter().enumerate().any(|(i, _)| held.contains_key(&(offset + i)));
        let last = held.keys().next_back().map_or(0, |at| at + 1);
        let fits = match (*end, more) {
            (Some(end), true) => offset + len < end,
            (Some(end), false) => offset + len == end,
            (None, true) => true,
            (None, false) => last < offset + len,
        };
        if same && whole.is_none() {
            // A copy, or parts of several, which is an overlap: both deliver nothing. Which one it was the
            // model does not tell, so it begins anew.
            endpoint = Endpoint::new(Arc::new(config()), [7; 32]);
            models.clear();
            continue;
        }
        if !none || !fits {
            assert!(whole.is_none(), "overlap");
            *model = None;
            continue;
        }
        if *parts == usize::from(LIMITS.parts) {
            assert!(whole.is_none(), "limit");
            continue;
        }
        *parts += 1;
        held.extend(bytes.iter().enumerate().map(|(i, byte)| (offset + i, *byte)));
        if !more {
            *end = Some(offset + len);
        }
        let complete = end.is_some_and(|end| held.len() == end);
        assert_eq!(whole.is_some(), complete);
        if let Some(whole) = whole {
            let view = IpView::parse(&whole[..]).expect("what is put together is a packet");
            assert!(view.fragment().is_none());
            let expected: Vec<u8> = held.values().copied().collect();
            assert_eq!(view.payload(), expected);
            models.remove(&id);
        }
    }
}

fn config() -> EndpointConfig {
    EndpointConfig {
        addresses: vec![Cidr::new(LOCAL.into(), 24)],
        reassembly: LIMITS,
        ..EndpointConfig::default()
    }
}

fn fragment(id: u16, offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
    let header =
        IpHeader { payload_len: data.len(), ..IpHeader::new(PEER.into(), LOCAL.into(), Protocol::UDP) };
    let mut packet = vec![0; 20];
    header.emit(&mut packet).unwrap();
    packet.extend_from_slice(data);
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    let field = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    packet[10..12].fill(0);
    let mut sum = Checksum::new();
    sum.add(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    packet
}
