//! A timer had asked for a segment against the rules, a probe, and the device would not take it. Then an ACK came that
//! made it needless; yet the next little text left against the rules: a sliver of an opening window was used, a
//! closed window was probed at once, the cork held nothing.

use crate::support::*;
use carrick_core::{Connection, Cx, Dispatch, Instant, KeepAlive, ListenConfig, Taken};
use carrick_sim::Span;
use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions, WireWindow};
use std::num::NonZeroUsize;

struct Stalled {
    node: Node,
    iss: u32,
    connection: Box<Connection>,
    now: Instant,
}

impl Stalled {
    fn new() -> Self {
        Self::with(TcpOptions::default())
    }

    fn with(options: TcpOptions) -> Self {
        let (mut node, _) = Node::listening(config(), ListenConfig::default());
        let now = start();
        let iss = node.handshake(now, addr(CLIENT), addr(HTTP), options).unwrap();
        let (_, id) = node.opened[0];
        let connection = node.cells.remove(&id).unwrap();
        Self { node, iss, connection, now }
    }

    fn cx(&self) -> Cx {
        Cx::new(self.now)
    }

    /// An ACK of so many bytes.
    fn ack(&mut self, bytes: u32, window: u16) {
        let tcp = TcpHeader {
            seq: SeqNum::new(5001),
            ack: SeqNum::new(self.iss) + 1 + bytes,
            flags: TcpFlags::ACK,
            window: WireWindow::new(window),
            ..TcpHeader::default()
        };
        let bytes = packet(addr(CLIENT), addr(HTTP), tcp, b"");
        let cx = self.cx();
        let frame = carrick_core::Frame::new(&bytes);
        let Dispatch::Existing(_, input) = self.node.endpoint.handle_frame(&cx, frame) else { panic!() };
        let _ = self.connection.handle_input(&cx, input);
    }

    fn write(&mut self, bytes: usize) {
        let cx = self.cx();
        assert_eq!(self.connection.send(&cx, &vec![7; bytes]), Ok(bytes));
    }

    /// The device takes what is due: how much text each packet had.
    fn drain(&mut self) -> Vec<usize> {
        let (cx, mut sent) = (self.cx(), Vec::new());
        while let Some(transmit) = self.connection.poll_transmit(&cx, NonZeroUsize::MAX) {
            sent.push(transmit.payload_len());
            transmit.sent(Taken::All);
        }
        sent
    }

    /// The next timer expires, and the device does not take what it asks for.
    fn expire(&mut self) {
        self.now = self.connection.poll_timeout().unwrap();
        let cx = self.cx();
        self.connection.handle_timeout(&cx);
        assert!(self.connection.poll_transmit(&cx, NonZeroUsize::MAX).is_some());
    }
}

#[test]
fn a_window_that_opens_a_crack_is_not_used() {
    let mut s = Stalled::new();
    s.ack(0, 0);
    s.write(1000);
    assert_eq!(s.drain(), []);
    s.expire();
    s.ack(0, 50);
    assert_eq!(s.drain(), []);
}

#[test]
fn a_window_that_was_closed_meanwhile_is_not_probed_at_once() {
    let mut s = Stalled::new();
    s.write(10);
    assert_eq!(s.drain(), [10]);
    s.expire();
    s.ack(10, 0);
    s.write(10);
    assert_eq!(s.drain(), []);
    // It is, once that is due.
    s.expire();
    assert_eq!(s.drain(), [1]);
}

#[test]
fn the_cork_holds() {
    let mut s = Stalled::new();
    s.write(10);
    assert_eq!(s.drain(), [10]);
    s.expire();
    s.ack(10, 60_000);
    let cx = s.cx();
    s.connection.set_cork(&cx, true);
    s.write(10);
    assert_eq!(s.drain(), []);
    s.now += 200.ms();
    let cx = s.cx();
    s.connection.handle_timeout(&cx);
    assert_eq!(s.drain(), [10]);
}

/// The probe of a tail loss (RFC 8985 §7) was not taken back.
#[test]
fn the_cork_holds_what_a_tail_probe_would_have_carried() {
    let mut s = Stalled::with(options(None, None, true, Some(1000)));
    s.write(10);
    assert_eq!(s.drain(), [10]);
    s.expire();
    assert_eq!(s.connection.tcp_info().unwrap().timeouts, 0, "it is the probe that is due");
    let cx = s.cx();
    s.connection.set_cork(&cx, true);
    s.write(10);
    s.ack(10, 60_000);
    assert_eq!(s.drain(), []);
}

/// What the timeout asked for stays due while only some of it is acknowledged.
#[test]
fn what_is_left_is_still_sent_again() {
    let mut s = Stalled::new();
    s.write(30);
    assert_eq!(s.drain(), [30]);
    s.expire();
    s.ack(10, 60_000);
    assert_eq!(s.drain(), [20]);
}

/// A keep-alive probe was taken back before already.
#[test]
fn a_sign_of_life_takes_the_keep_alive_probe_back() {
    for overtaken in [false, true] {
        let mut s = Stalled::new();
        let cx = s.cx();
        s.connection.set_keep_alive(&cx, Some(KeepAlive { idle: 10.secs(), ..KeepAlive::default() }));
        s.expire();
        if overtaken {
            s.ack(0, 60_000);
        }
        assert_eq!(s.drain().len(), usize::from(!overtaken));
    }
}
