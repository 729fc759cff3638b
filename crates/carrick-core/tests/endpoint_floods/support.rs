//! A server without oracles, which keep every flow that they see, and peers whose packets are made by hand.

use carrick_core::{
    Cidr, Connection, ConnectionConfig, ConnectionId, Cx, Dispatch, Endpoint, EndpointConfig, Frame, Input,
    Instant, ListenAddr, ListenConfig, ListenerId, Taken,
};
use carrick_sim::{Packet, Rng, SegmentView, Span};
use carrick_wire::{
    Checksum, IpHeader, Protocol, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps, WireWindow,
};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;

pub(crate) const HOST: &str = "192.0.2.2";
pub(crate) const HTTP: &str = "192.0.2.2:80";
pub(crate) const CLIENT: &str = "198.51.100.7:4000";

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// How much longer than usual statistical tests run.
pub(crate) fn soak() -> usize {
    std::env::var("CARRICK_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// A time that is not the origin.
pub(crate) fn start() -> Instant {
    Instant::ZERO + 1000.secs()
}

pub(crate) fn config() -> EndpointConfig {
    let addresses = vec![Cidr::new(ip(HOST), 24), Cidr::new(ip("2001:db8::2"), 64)];
    EndpointConfig { addresses, ..EndpointConfig::default() }
}

/// A whole TCP packet.
pub(crate) fn packet(src: SocketAddr, dst: SocketAddr, tcp: TcpHeader, text: &[u8]) -> Vec<u8> {
    let tcp = TcpHeader { src_port: src.port(), dst_port: dst.port(), ..tcp };
    let mut segment = vec![0; tcp.header_len()];
    tcp.emit(&mut segment).unwrap();
    segment.extend_from_slice(text);
    let mut sum = Checksum::pseudo_header(src.ip(), dst.ip(), Protocol::TCP, segment.len());
    sum.add(&segment);
    segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    let ip = IpHeader { payload_len: segment.len(), ..IpHeader::new(src.ip(), dst.ip(), Protocol::TCP) };
    let mut bytes = vec![0; ip.header_len()];
    ip.emit(&mut bytes).unwrap();
    bytes.append(&mut segment);
    bytes
}

/// What a peer's SYN offers.
pub(crate) fn options(ts_val: Option<u32>, scale: Option<u8>, sack: bool, mss: Option<u16>) -> TcpOptions {
    TcpOptions {
        mss,
        window_scale: scale,
        sack_permitted: sack,
        timestamps: ts_val.map(|val| Timestamps { val, ecr: 0 }),
        ..TcpOptions::default()
    }
}

pub(crate) fn syn(src: SocketAddr, dst: SocketAddr, irs: u32, options: TcpOptions) -> Vec<u8> {
    segment(src, dst, TcpFlags::SYN, irs, 0, options, b"")
}

pub(crate) fn segment(
    src: SocketAddr,
    dst: SocketAddr,
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    options: TcpOptions,
    text: &[u8],
) -> Vec<u8> {
    let tcp = TcpHeader {
        seq: SeqNum::new(seq),
        ack: SeqNum::new(ack),
        flags,
        window: WireWindow::new(60_000),
        options,
        ..TcpHeader::default()
    };
    packet(src, dst, tcp, text)
}

/// The ACK, perhaps with text, by which [`CLIENT`], whose SYN had the number 5000 and no option, completes its
/// handshake with [`HTTP`], where our SYN,ACK had `iss`.
pub(crate) fn completing(iss: u32, text: &[u8]) -> Vec<u8> {
    let (src, dst) = (addr(CLIENT), addr(HTTP));
    segment(src, dst, TcpFlags::ACK, 5001, iss.wrapping_add(1), TcpOptions::default(), text)
}

/// Timestamps that answer those of `of`.
pub(crate) fn echo(of: &TcpHeader, val: u32) -> TcpOptions {
    let timestamps = of.options.timestamps.map(|ts| Timestamps { val, ecr: ts.val });
    TcpOptions { timestamps, ..TcpOptions::default() }
}

/// A random address outside the host's network.
pub(crate) fn stranger(rng: &mut Rng) -> SocketAddr {
    let address = 0x1000_0000 + rng.below(1 << 28) as u32;
    SocketAddr::new(IpAddr::V4(address.into()), rng.between(1, 65_535) as u16)
}

/// An endpoint and its connections, served as the contract says, in a world whose links are the caller.
pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) cells: HashMap<ConnectionId, Box<Connection>>,
    /// In the order in which they were opened, with the listener's name.
    pub(crate) opened: Vec<(ListenerId, ConnectionId)>,
    pub(crate) sent: Vec<Packet>,
}

impl Node {
    pub(crate) fn new(config: EndpointConfig, seed: u8) -> Self {
        let endpoint = Endpoint::new(Arc::new(config), [seed; 32]);
        Self { endpoint, cells: HashMap::new(), opened: Vec::new(), sent: Vec::new() }
    }

    /// With a listener on port 80 of any address.
    pub(crate) fn listening(config: EndpointConfig, listen: ListenConfig) -> (Self, ListenerId) {
        let mut node = Self::new(config, 7);
        let id = node.listen(80, listen);
        (node, id)
    }

    pub(crate) fn listen(&mut self, port: u16, config: ListenConfig) -> ListenerId {
        self.endpoint.listen(ListenAddr { address: None, port: NonZeroU16::new(port) }, config).unwrap()
    }

    pub(crate) fn connect(&mut self, now: Instant, remote: SocketAddr) -> ConnectionId {
        let config = Arc::new(ConnectionConfig::default());
        let (id, connection) = self.endpoint.connect(&Cx::new(now), None, remote, config).unwrap();
        self.cells.insert(id, connection);
        self.settle(now, id);
        id
    }

    /// A packet arrives; what it leads to is in `sent`. Says what the endpoint made of it.
    pub(crate) fn receive(&mut self, now: Instant, bytes: &[u8]) -> Seen {
        let cx = Cx::new(now);
        let (seen, touched) = match self.endpoint.handle_frame(&cx, Frame::new(bytes)) {
            Dispatch::Existing(id, input) => {
                let outcome = self.cells.get_mut(&id).map(|cell| cell.handle_input(&cx, input));
                (Seen::Existing, outcome.map(|outcome| (id, outcome)))
            }
            Dispatch::Opened(listener, id, mut connection, segment) => {
                let outcome = connection.handle_input(&cx, Input::Segment(segment));
                self.cells.insert(id, connection);
                self.opened.push((listener, id));
                (Seen::Opened, Some((id, outcome)))
            }
            Dispatch::Answered => (Seen::Answered, None),
            Dispatch::Held => (Seen::Held, None),
            Dispatch::Reassembled(_) => unreachable!("nothing here is in fragments"),
            Dispatch::Discard(reason) => (Seen::Discarded(reason), None),
        };
        if let Some((id, outcome)) = touched {
            self.endpoint.record_outcome(outcome);
            self.settle(now, id);
        }
        self.drain(now);
        seen
    }

    pub(crate) fn act<T>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        act: impl FnOnce(&mut Connection, &Cx) -> T,
    ) -> Option<T> {
        let result = act(self.cells.get_mut(&id)?, &Cx::new(now));
        self.settle(now, id);
        Some(result)
    }

    /// Sends what is due, and tells the endpoint what it must know.
    fn settle(&mut self, now: Instant, id: ConnectionId) {
        let cx = Cx::new(now);
        let Some(cell) = self.cells.get_mut(&id) else { return };
        while let Some(transmit) = cell.poll_transmit(&cx, NonZeroUsize::new(1500).unwrap()) {
            carrick_sim::put(&transmit, carrick_sim::Offload::Cut, &mut self.sent).unwrap();
            transmit.sent(Taken::All);
        }
        while let Some(event) = self.cells.get_mut(&id).and_then(|cell| cell.poll_endpoint_event()) {
            if event.is_end() {
                self.cells.remove(&id);
            }
            self.endpoint.handle_event(&cx, id, event);
        }
    }

    pub(crate) fn drain(&mut self, now: Instant) {
        while let Some(transmit) = self.endpoint.poll_transmit(&Cx::new(now)) {
            carrick_sim::put(&transmit, carrick_sim::Offload::Cut, &mut self.sent).unwrap();
            transmit.sent(Taken::All);
        }
    }

    /// Serves the endpoint's timers one after the other until `end`.
    pub(crate) fn wait_until(&mut self, end: Instant) {
        while let Some(due) = self.endpoint.poll_timeout().filter(|due| *due <= end) {
            self.endpoint.handle_timeout(&Cx::new(due));
            self.drain(due);
        }
    }

    /// The one packet that was sent.
    #[track_caller]
    pub(crate) fn only(&mut self) -> Reply {
        assert_eq!(self.sent.len(), 1, "one packet, and no more");
        self.replies().remove(0)
    }

    #[track_caller]
    pub(crate) fn nothing(&self) {
        assert_eq!(self.sent.len(), 0, "nothing is to be sent");
    }

    /// The TCP segments that were sent.
    pub(crate) fn replies(&mut self) -> Vec<Reply> {
        let sent = std::mem::take(&mut self.sent);
        sent.iter().filter_map(|packet| packet.segment().map(|view| Reply::of(&view))).collect()
    }

    /// A peer's whole handshake: `None` if it was not carried through.
    pub(crate) fn handshake(
        &mut self,
        now: Instant,
        src: SocketAddr,
        dst: SocketAddr,
        options: TcpOptions,
    ) -> Option<u32> {
        self.sent.clear();
        self.receive(now, &syn(src, dst, 5000, options));
        let syn_ack = self.replies().pop()?;
        let val = options.timestamps.map_or(0, |ts| ts.val);
        let ack = segment(
            src,
            dst,
            TcpFlags::ACK,
            5001,
            syn_ack.tcp.seq.get().wrapping_add(1),
            echo(&syn_ack.tcp, val),
            b"",
        );
        matches!(self.receive(now, &ack), Seen::Opened).then(|| syn_ack.tcp.seq.get())
    }
}

/// What an endpoint made of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    Existing,
    Opened,
    Answered,
    Held,
    Discarded(carrick_core::DiscardReason),
}

/// A segment that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) tcp: TcpHeader,
    pub(crate) text: Vec<u8>,
}

impl Reply {
    fn of(view: &SegmentView<'_>) -> Self {
        Self { src: view.src, dst: view.dst, tcp: view.tcp, text: view.payload.to_vec() }
    }

    pub(crate) fn is(&self, flags: TcpFlags) -> bool {
        self.tcp.flags == flags
    }
}

/// Carries packets between two nodes until neither has more to say.
pub(crate) fn shuttle(a: &mut Node, b: &mut Node, now: Instant) {
    while !a.sent.is_empty() || !b.sent.is_empty() {
        for packet in std::mem::take(&mut a.sent) {
            b.receive(now, &packet.bytes);
        }
        for packet in std::mem::take(&mut b.sent) {
            a.receive(now, &packet.bytes);
        }
    }
}
