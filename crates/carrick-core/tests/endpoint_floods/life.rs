//! One side is started anew.

use crate::support::*;
use carrick_core::{
    ConnectionConfig, ConnectionError, ConnectionId, Event, Instant, ListenAddr, ListenConfig, ListenerId,
    SendError, TcpState,
};
use carrick_covers::covers;
use carrick_sim::{Host, HostConfig, Span};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

const SERVER: &str = "203.0.113.1:80";
const CLIENT: &str = "203.0.113.2:5000";

/// Two hosts on a wire that takes no time.
struct Wire {
    client: Host,
    server: Host,
    listener: ListenerId,
    now: Instant,
}

fn host(address: &str, seed: u64) -> Host {
    let addresses = vec![format!("{}/24", addr(address).ip()).parse().unwrap()];
    Host::new(HostConfig::new(carrick_core::EndpointConfig { addresses, ..config() }, seed))
}

fn serve(seed: u64) -> (Host, ListenerId) {
    let mut server = host(SERVER, seed);
    let local = ListenAddr { address: None, port: NonZeroU16::new(80) };
    let listener = server.listen(local, ListenConfig::default()).unwrap();
    (server, listener)
}

impl Wire {
    fn new() -> Self {
        let (server, listener) = serve(1);
        Self { client: host(CLIENT, 2), server, listener, now: start() }
    }

    fn shuttle(&mut self) {
        loop {
            let (out, back) = (self.client.take_packets(), self.server.take_packets());
            if out.is_empty() && back.is_empty() {
                break;
            }
            out.iter().for_each(|packet| self.server.receive(self.now, packet));
            back.iter().for_each(|packet| self.client.receive(self.now, packet));
        }
        assert_eq!((self.client.violation(), self.server.violation()), (None, None));
    }

    fn connect(&mut self, local: Option<SocketAddr>) -> ConnectionId {
        let settings = Arc::new(ConnectionConfig::default());
        let id = self.client.connect(self.now, local, addr(SERVER), settings).unwrap();
        self.shuttle();
        id
    }

    fn wait(&mut self, seconds: u64) {
        let end = self.now + seconds.secs();
        while let Some(due) = [self.client.poll_timeout(), self.server.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
            .filter(|due| *due <= end)
        {
            self.now = due;
            self.client.expire(due);
            self.server.expire(due);
            self.shuttle();
        }
        self.now = end;
    }
}

#[test]
fn t_lif_1_a_peer_that_was_started_anew_resets_and_both_halves_hear_it() {
    let mut wire = Wire::new();
    let id = wire.connect(None);
    assert_eq!(wire.client.state(id), TcpState::Established);
    wire.client.take_events(id);
    (wire.server, wire.listener) = serve(77);
    let now = wire.now;
    assert_eq!(wire.client.send(now, id, b"still there?"), Ok(12));
    wire.shuttle();
    let events = wire.client.take_events(id);
    assert_eq!(events.iter().filter(|event| **event == Event::Closed).count(), 1, "{events:?}");
    assert_eq!(events.iter().filter(|event| **event == Event::Readable).count(), 1, "{events:?}");
    // And so it stays, for the writer and for the reader.
    for _ in 0..3 {
        assert_eq!(wire.client.send(now, id, b"x"), Err(SendError::Closed(ConnectionError::Reset)));
        assert_eq!(wire.client.read(now, id, 10), b"");
        assert_eq!(wire.client.error(id), Some(ConnectionError::Reset));
        assert_eq!(wire.client.state(id), TcpState::Closed);
    }
    assert!(wire.client.take_events(id).is_empty());
    covers!("T-LIF-1");
}

#[test]
fn t_lif_2_a_peer_that_was_started_anew_connects_on_its_old_tuple() {
    let mut wire = Wire::new();
    let local = Some(addr(CLIENT));
    wire.connect(local);
    let old = wire.server.accept(wire.listener).unwrap();
    assert_eq!(wire.server.state(old), TcpState::Established);
    wire.wait(10);
    wire.client = host(CLIENT, 99);
    // Its SYN is challenged, the answer is a reset, and that ends the old connection.
    let id = wire.connect(local);
    assert_eq!(wire.client.state(id), TcpState::SynSent);
    assert_eq!(wire.server.error(old), Some(ConnectionError::Reset));
    // The next SYN meets a listener.
    wire.wait(1);
    assert_eq!(wire.client.state(id), TcpState::Established);
    let new = wire.server.accept(wire.listener).unwrap();
    assert_ne!(new, old);
    let now = wire.now;
    wire.client.send(now, id, b"again").unwrap();
    wire.shuttle();
    assert_eq!(wire.server.read(now, new, 100), b"again");
    assert_eq!(wire.server.read(now, old, 100), b"");
    covers!("T-LIF-2");
}

#[test]
fn t_lif_3_after_our_restart_old_segments_are_reset_and_our_numbers_are_others() {
    let mut wire = Wire::new();
    wire.connect(None);
    let served = wire.server.accept(wire.listener).unwrap();
    let port = wire.server.connection(served).unwrap().remote_addr().port();
    wire.client = host(CLIENT, 1234);
    // What the peer sends to our former life is reset.
    let now = wire.now;
    wire.server.send(now, served, b"for somebody who is no more").unwrap();
    wire.shuttle();
    assert_eq!(wire.server.error(served), Some(ConnectionError::Reset));
    assert_eq!(wire.client.endpoint().counters().resets, 1);
    // The new life begins elsewhere, in ports as in numbers: over many lives neither comes again nearby.
    let (mut near_ports, mut near_numbers) = (0, 0);
    let number = |seed: u64| {
        let mut client = host(CLIENT, seed);
        let settings = Arc::new(ConnectionConfig::default());
        let id = client.connect(now, Some(addr(CLIENT)), addr(SERVER), settings.clone()).unwrap();
        let isn = client.take_packets()[0].segment().unwrap().tcp.seq.get();
        client.close(now, id);
        let mut client = host(CLIENT, seed);
        let id = client.connect(now, None, addr(SERVER), settings).unwrap();
        (isn, client.connection(id).unwrap().local_addr().port())
    };
    let (first, _) = number(2);
    for seed in 100..200 {
        let (isn, new_port) = number(seed);
        near_numbers += usize::from(isn.wrapping_sub(first).wrapping_add(1 << 24) < 1 << 25);
        near_ports += usize::from(new_port.abs_diff(port) < 100);
    }
    assert!(near_numbers <= 4, "{near_numbers} of 100 numbers are near");
    assert!(near_ports <= 4, "{near_ports} of 100 ports are near");
    covers!("T-LIF-3");
}
