//! A window update and a keep-alive probe were due in one drain, and left as one segment with the probe's number. The peer
//! drops such a segment for its number and its window with it, while we believed the window to be announced: the peer
//! did not learn of the room.

use crate::support::*;
use carrick_core::{ConnectionConfig, Cx, KeepAlive, ListenConfig, Taken, Transmit};
use carrick_sim::Span;
use carrick_wire::{TcpFlags, TcpOptions};
use std::num::NonZeroUsize;

/// SEG.SEQ and SEG.WND of a packet over IPv4.
fn seq_and_window(transmit: &Transmit<'_>) -> (u32, u16) {
    let tcp = &transmit.header()[20..];
    let seq = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
    (seq, u16::from_be_bytes(tcp[14..16].try_into().unwrap()))
}

#[test]
fn the_update_leaves_first_and_by_itself() {
    let connection = ConnectionConfig {
        receive_buffer: 2920,
        keep_alive: Some(KeepAlive { idle: 10.secs(), ..KeepAlive::default() }),
        ..ConnectionConfig::default()
    };
    let (mut node, _) = Node::listening(config(), ListenConfig { connection, ..ListenConfig::default() });
    let (client, mut now) = (addr(CLIENT), start());
    let iss = node.handshake(now, client, addr(HTTP), TcpOptions::default()).unwrap();
    let text = [7; 1460];
    for n in 0..2 {
        let (seq, ack) = (5001 + 1460 * n, iss.wrapping_add(1));
        let bytes = segment(client, addr(HTTP), TcpFlags::ACK, seq, ack, TcpOptions::default(), &text);
        node.receive(now, &bytes);
    }
    let (_, id) = node.opened[0];
    let mut connection = node.cells.remove(&id).unwrap();
    // The device takes nothing while the probe falls due and the application reads.
    now += 10.secs();
    let cx = Cx::new(now);
    connection.handle_timeout(&cx);
    connection.consume(&cx, 2920);
    let mut sent = Vec::new();
    while let Some(transmit) = connection.poll_transmit(&cx, NonZeroUsize::MAX) {
        sent.push(seq_and_window(&transmit));
        transmit.sent(Taken::All);
    }
    assert_eq!(sent, [(iss.wrapping_add(1), 2920), (iss, 2920)]);
}
