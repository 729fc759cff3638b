//! O-4: what a connection says it holds is what the allocator handed out for it, within a small slack, and both
//! return to where they were.
//!
//! Seen: a connection that once had a hole kept 1,160 bytes for ever, the last node of an empty map.
//!
//! A program of its own, without the test harness: the allocator counts for the whole process, and the harness's thread
//! allocates while a test runs. (Seen: now and then 900 bytes too many, what it notes of a test that it has begun.)

use cap::Cap;
use carrick_core::{
    Cidr, Connection, ConnectionConfig, ConnectionId, Cx, Dispatch, Endpoint, EndpointConfig, Frame, Input,
    Instant, ListenAddr, ListenConfig, MAX_PARTS, Taken,
};
use carrick_sim::pattern;
use carrick_wire::segmentation::complete_checksum;
use std::alloc::System;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const MOST: NonZeroUsize = NonZeroUsize::new(1500).unwrap();

fn cx() -> Cx {
    Cx::new(Instant::from_nanos(1_000_000_000))
}

struct Side {
    endpoint: Endpoint,
    connection: Option<(ConnectionId, Box<Connection>)>,
}

impl Side {
    fn new(last: u8) -> Self {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let config = EndpointConfig { addresses: vec![Cidr::new(address, 24)], ..EndpointConfig::default() };
        Self { endpoint: Endpoint::new(Arc::new(config), [last; 32]), connection: None }
    }

    fn connection(&mut self) -> &mut Connection {
        &mut self.connection.as_mut().expect("connected").1
    }

    /// All that is due, as packets.
    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut put = |transmit: carrick_core::Transmit<'_>| {
            let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
            let count = transmit.payload(&mut parts);
            let mut header = transmit.header().to_vec();
            complete_checksum(&mut header, &parts[..count]).expect("a TCP packet");
            packets.push([&[&header[..]], &parts[..count]].concat().concat());
            transmit.sent(Taken::All);
        };
        while let Some(transmit) = self.endpoint.poll_transmit(&cx()) {
            put(transmit);
        }
        while let Some((_, connection)) = &mut self.connection
            && let Some(transmit) = connection.poll_transmit(&cx(), MOST)
        {
            put(transmit);
        }
        while let Some((_, connection)) = &mut self.connection
            && connection.poll_event().is_some()
        {}
        packets
    }

    fn receive(&mut self, packet: &[u8]) {
        match self.endpoint.handle_frame(&cx(), Frame::new(packet)) {
            Dispatch::Existing(_, input) => {
                let outcome = self.connection().handle_input(&cx(), input);
                self.endpoint.record_outcome(outcome);
            }
            Dispatch::Opened(_, id, mut connection, segment) => {
                let outcome = connection.handle_input(&cx(), Input::Segment(segment));
                self.endpoint.record_outcome(outcome);
                self.connection = Some((id, connection));
            }
            Dispatch::Answered | Dispatch::Held | Dispatch::Reassembled(_) | Dispatch::Discard(_) => {}
        }
    }
}

fn exchange(a: &mut Side, b: &mut Side) {
    loop {
        let (out, back) = (a.drain(), b.drain());
        if out.is_empty() && back.is_empty() {
            return;
        }
        out.iter().for_each(|packet| b.receive(packet));
        back.iter().for_each(|packet| a.receive(packet));
    }
}

/// Runs `change` and compares what the allocator says with what the connection says.
#[track_caller]
fn accounted(side: &mut Side, what: &str, change: impl FnOnce(&mut Side)) {
    let (allocated, memory) = (ALLOCATOR.allocated() as i64, side.connection().memory() as i64);
    change(side);
    let allocated = ALLOCATOR.allocated() as i64 - allocated;
    let memory = side.connection().memory() as i64 - memory;
    // Reference counts of shared chunks, and the first range of a map, are not counted: 1/32 and 1 KiB.
    let slack = memory.abs() / 32 + 1024;
    assert!((allocated - memory).abs() <= slack, "{what}: allocator {allocated}, connection {memory}");
}

fn main() {
    let (mut a, mut b) = (Side::new(1), Side::new(2));
    let listen = ListenAddr { address: None, port: NonZeroU16::new(80) };
    b.endpoint.listen(listen, ListenConfig::default()).expect("nobody else listens");
    let remote = SocketAddr::from(([192, 0, 2, 2], 80));
    let config = Arc::new(ConnectionConfig { tune_send_buffer: false, ..ConnectionConfig::default() });
    a.connection = Some(a.endpoint.connect(&cx(), None, remote, config).expect("a free port"));
    exchange(&mut a, &mut b);

    for size in [1, 100, 2000, 3000, 10_000, 20_000, 100_000, 300_000] {
        let before = ALLOCATOR.allocated() as i64;
        let text = pattern(0, size);
        accounted(&mut a, &format!("{size} bytes written"), |a| {
            assert_eq!(a.connection().send(&cx(), &text), Ok(size));
        });
        // What the congestion window allows now, received once in order and once the other way round.
        let mut packets = a.drain();
        let held = a.connection().memory();
        assert!(held >= size, "{held} bytes held for {size}");
        if size > 10_000 {
            packets.reverse();
        }
        accounted(&mut b, &format!("{size} bytes received"), |b| {
            packets.iter().for_each(|packet| b.receive(packet));
        });
        let read = b.connection().readable_len();
        assert!(read > 0);
        accounted(&mut b, &format!("{read} bytes read"), |b| b.connection().consume(&cx(), read));
        drop(packets);
        // The rest, until all has been received, read and acknowledged.
        while a.connection().unacknowledged() > 0 {
            exchange(&mut a, &mut b);
            let read = b.connection().readable_len();
            b.connection().consume(&cx(), read);
        }
        exchange(&mut a, &mut b);
        drop(text);
        assert_eq!((a.connection().memory(), b.connection().memory()), (0, 0));
        let left = ALLOCATOR.allocated() as i64 - before;
        assert!(left.abs() <= 256, "{left} bytes left over after {size}");
    }
}
