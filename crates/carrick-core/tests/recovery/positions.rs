//! Any one packet of a conversation is lost, of either direction: the handshake's, every segment of text, every
//! acknowledgment, the FIN. All of it arrives as it was written, and what a probe or a report can tell needs no timeout.

use carrick_core::{
    Cidr, ConnectionConfig, ConnectionId, EndpointConfig, Instant, ListenAddr, ListenConfig, ListenerId,
    TcpState,
};
use carrick_covers::covers;
use carrick_sim::{Host, HostConfig, Packet, Span, pattern};
use carrick_wire::TcpFlags;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

const DELAY: u64 = 50;
const TEXT: usize = 40_000;

/// Two hosts, 50 ms apart, and the packets between them.
struct Wire {
    hosts: [Host; 2],
    under_way: BTreeMap<(Instant, u64), (usize, Packet)>,
    sent: [u64; 2],
    drop: (usize, u64),
    dropped: Option<String>,
    now: Instant,
}

/// What became of it.
struct Outcome {
    dropped: Option<String>,
    /// Of both sides together.
    timeouts: u64,
    took: Instant,
    packets: [u64; 2],
}

impl Wire {
    fn new(drop: (usize, u64)) -> Self {
        let host = |last: u8| {
            let address = IpAddr::from(Ipv4Addr::new(192, 0, 2, last));
            let endpoint = EndpointConfig {
                addresses: vec![Cidr::new(address, 24)],
                mtu: 1500,
                ..EndpointConfig::default()
            };
            Host::new(HostConfig::new(endpoint, u64::from(last)))
        };
        Self {
            hosts: [host(1), host(2)],
            under_way: BTreeMap::new(),
            sent: [0; 2],
            drop,
            dropped: None,
            now: Instant::ZERO + 1.secs(),
        }
    }

    fn collect(&mut self) {
        for side in 0..2 {
            for packet in self.hosts[side].take_packets() {
                self.sent[side] += 1;
                if self.drop == (side, self.sent[side]) {
                    let segment = packet.segment().expect("a segment");
                    let kind = if segment.payload.is_empty() { "empty" } else { "text" };
                    let flags = [(TcpFlags::SYN, "SYN"), (TcpFlags::FIN, "FIN")];
                    let flag = flags.iter().find(|(flag, _)| segment.has(*flag));
                    self.dropped = Some(flag.map_or(kind, |(_, name)| *name).to_owned());
                    continue;
                }
                let order = self.sent[0] + self.sent[1];
                self.under_way
                    .insert((self.now + std::time::Duration::from_millis(DELAY), order), (1 - side, packet));
            }
        }
    }

    /// The next arrival or timer; false if there is none.
    fn step(&mut self) -> bool {
        self.collect();
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let timer = self.hosts.iter().filter_map(Host::poll_timeout).min();
        let Some(at) = [arrival, timer].into_iter().flatten().min() else { return false };
        self.now = self.now.max(at);
        if arrival == Some(at)
            && let Some((_, (side, packet))) = self.under_way.pop_first()
        {
            self.hosts[side].receive(self.now, &packet);
        } else {
            for host in &mut self.hosts {
                host.expire(self.now);
            }
        }
        true
    }
}

/// One side writes, both say that it is all, in a world that loses one packet.
fn talk(sack: bool, drop: (usize, u64)) -> Outcome {
    let config = ConnectionConfig { sack, ..ConnectionConfig::default() };
    let mut wire = Wire::new(drop);
    let port = NonZeroU16::new(80);
    let listen = ListenConfig { connection: config.clone(), ..ListenConfig::default() };
    let listener: ListenerId =
        wire.hosts[1].listen(ListenAddr { address: None, port }, listen).expect("a port");
    let to = (Ipv4Addr::new(192, 0, 2, 2), 80).into();
    let client = wire.hosts[0].connect(wire.now, None, to, Arc::new(config)).expect("a connection");
    let mut server: Option<ConnectionId> = None;
    let (mut written, mut read, mut timeouts, mut finished) = (0, Vec::new(), 0u64, [false; 2]);
    let mut steps = 0;
    loop {
        assert!(wire.step(), "{drop:?}: it has come to a halt after {} bytes", read.len());
        steps += 1;
        assert!(steps < 5000, "{drop:?}: no end");
        if wire.hosts[0].state(client) == TcpState::Established && written < TEXT {
            written +=
                wire.hosts[0].send(wire.now, client, &pattern(written as u64, TEXT - written)).unwrap_or(0);
            if written == TEXT {
                wire.hosts[0].finish(wire.now, client);
                finished[0] = true;
            }
        }
        server = server.or_else(|| wire.hosts[1].accept(listener));
        if let Some(id) = server {
            read.extend(wire.hosts[1].read(wire.now, id, usize::MAX));
            if wire.hosts[1].connection(id).is_some_and(carrick_core::Connection::at_end) && !finished[1] {
                wire.hosts[1].finish(wire.now, id);
                finished[1] = true;
            }
        }
        for (side, id) in [(0, Some(client)), (1, server)] {
            let Some(id) = id else { continue };
            let now = wire.hosts[side].connection(id).and_then(|connection| connection.tcp_info());
            timeouts += u64::from(now.is_some_and(|info| info.timeouts > 0));
        }
        let client_done = matches!(wire.hosts[0].state(client), TcpState::TimeWait | TcpState::Closed);
        if client_done && server.is_some_and(|id| wire.hosts[1].state(id) == TcpState::Closed) {
            break;
        }
    }
    assert!(read == pattern(0, TEXT), "{drop:?}: other bytes");
    Outcome { dropped: wire.dropped, timeouts, took: wire.now, packets: wire.sent }
}

#[test]
fn t_snd_11_one_loss_at_every_position_is_repaired_and_text_without_a_timeout() {
    for sack in [true, false] {
        let whole = talk(sack, (2, 0));
        assert_eq!((whole.timeouts, whole.dropped), (0, None));
        let [mut text, mut other] = [0; 2];
        for side in 0..2 {
            for k in 1..=whole.packets[side] {
                let outcome = talk(sack, (side, k));
                let what = outcome.dropped.expect("it was sent");
                if what == "text" || what == "FIN" && side == 0 {
                    text += 1;
                    // With SACK every one of them; without it those with three duplicates behind them.
                    let tail = whole.packets[0] - k < 8;
                    assert!(
                        outcome.timeouts == 0 || !sack && tail,
                        "{sack} {side} {k} {what}: {}",
                        outcome.timeouts
                    );
                } else {
                    other += 1;
                }
                let patience = if what == "SYN" { 4.secs() } else { 2.secs() };
                assert!(outcome.took < whole.took + patience, "{sack} {side} {k} {what}: {:?}", outcome.took);
            }
        }
        assert!(text > TEXT / 1460 && other > 10, "{text} {other}");
    }
    covers!("T-SND-11");
}
