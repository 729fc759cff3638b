//! T-PER-3: peers that connect and then say nothing cost little.
//!
//! One test in a program of its own: the allocator counts for the whole process.

use cap::Cap;
use carrick_core::{
    Cidr, ConnectionConfig, Cx, Dispatch, Endpoint, EndpointConfig, Frame, Instant, KeepAlive, Outcome,
    Taken, TcpState,
};
use carrick_covers::covers;
use carrick_wire::{Checksum, IpHeader, Protocol, SeqNum, TcpFlags, TcpHeader, TcpOptions, WireWindow};
use std::alloc::System;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

#[test]
fn t_per_3_an_idle_connection_stays_within_a_kilobyte() {
    const COUNT: u16 = 1000;
    let config =
        EndpointConfig { addresses: vec![Cidr::new([192, 0, 2, 2].into(), 24)], ..EndpointConfig::default() };
    let mut endpoint = Endpoint::new(Arc::new(config), [3; 32]);
    let config = Arc::new(ConnectionConfig {
        keep_alive: Some(KeepAlive::default()),
        initial_sequence: Some(SeqNum::new(5)),
        ..ConnectionConfig::default()
    });
    let cx = Cx::new(Instant::from_nanos(1));
    let before = ALLOCATOR.allocated();
    let mut connections = Vec::with_capacity(COUNT.into());
    for port in 0..COUNT {
        let remote = SocketAddr::new([192, 0, 2, 1].into(), 1000 + port);
        let (id, mut connection) =
            endpoint.connect(&cx, Some("192.0.2.2:0".parse().unwrap()), remote, Arc::clone(&config)).unwrap();
        connection.poll_transmit(&cx, NonZeroUsize::MAX).expect("a SYN").sent(Taken::All);
        let iss = (SeqNum::new(5), connection.local_addr().port());
        let answer = syn_ack(remote, iss);
        match endpoint.handle_frame(&cx, Frame::new(&answer)) {
            Dispatch::Existing(found, input) => {
                assert_eq!(found, id);
                assert_eq!(connection.handle_input(&cx, input), Outcome::Accepted);
            }
            other => panic!("{other:?}"),
        }
        while let Some(transmit) = connection.poll_transmit(&cx, NonZeroUsize::MAX) {
            transmit.sent(Taken::All);
        }
        assert_eq!((connection.state(), connection.memory()), (TcpState::Established, 0));
        connections.push(connection);
    }
    let each = (ALLOCATOR.allocated() - before) / usize::from(COUNT);
    assert!(each <= 1024, "{each} bytes for an idle connection");
    covers!("T-PER-3");
}

fn syn_ack(from: SocketAddr, (iss, port): (SeqNum, u16)) -> Vec<u8> {
    let tcp = TcpHeader {
        src_port: from.port(),
        dst_port: port,
        seq: SeqNum::new(9),
        ack: iss + 1,
        flags: TcpFlags::SYN | TcpFlags::ACK,
        window: WireWindow::new(60_000),
        options: TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            ..TcpOptions::default()
        },
        ..TcpHeader::default()
    };
    let to = [192, 0, 2, 2].into();
    let mut segment = vec![0; tcp.header_len()];
    tcp.emit(&mut segment).unwrap();
    let mut sum = Checksum::pseudo_header(from.ip(), to, Protocol::TCP, segment.len());
    sum.add(&segment);
    segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    let ip = IpHeader { payload_len: segment.len(), ..IpHeader::new(from.ip(), to, Protocol::TCP) };
    let mut bytes = vec![0; ip.header_len()];
    ip.emit(&mut bytes).unwrap();
    bytes.append(&mut segment);
    bytes
}
