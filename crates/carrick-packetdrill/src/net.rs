//! The host under test: an endpoint, its connections, its clock, and the packets that it has sent.
//!
//! Time is what the caller says it is. After any change a connection is *settled* as the contract of `carrick-core`
//! asks: what is due leaves, the endpoint hears of ends, events are collected.

use carrick_core::{
    BindError, ConnectError, Connection, ConnectionConfig, ConnectionId, Cx, Dispatch, Endpoint,
    EndpointConfig, Event, Frame, Instant, ListenAddr, ListenConfig, ListenerId, MAX_PARTS, Outcome, Taken,
    TcpInfo, TcpState, Transmit,
};
use carrick_wire::segmentation::{SegmentBuf, Segmenter, complete_checksum};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// The longest packet that a connection is asked for; longer than the link's are cut.
const MAX_FRAME: NonZeroUsize = NonZeroUsize::new(65_535).unwrap();
/// Length of the timestamps option, padded, in bytes.
const TIMESTAMPS: usize = 12;
/// So often the timers of one moment are served before something must be wrong.
const MOST_CALLS: usize = 10_000;

/// A connection, and what the sockets layer knows of it beside.
#[derive(Debug)]
pub struct Cell {
    /// The connection.
    pub connection: Box<Connection>,
    /// Changes whenever somebody who waits for the descriptor may have something to see.
    pub news: u64,
    /// When text last arrived; before that, when the connection was opened.
    pub heard: Instant,
    /// Its greatest window so far, in bytes.
    pub max_window: u32,
    /// The handshake has been completed.
    pub opened: bool,
    live: bool,
    released: bool,
    /// The state before the last that was seen, and that.
    before: TcpState,
    state: TcpState,
    readable: usize,
    ended: bool,
}

/// The host. See the module.
#[derive(Debug)]
pub struct Net {
    endpoint: Endpoint,
    cells: BTreeMap<ConnectionId, Cell>,
    waiting: BTreeMap<ListenerId, VecDeque<ConnectionId>>,
    wire: VecDeque<(Instant, Vec<u8>)>,
    now: Instant,
    arrivals: u64,
    /// Segments of a packet that leaves uncut, where there are as many.
    least_burst: u32,
}

impl Net {
    /// A host with these settings. The same seed and calls give the same packets.
    #[must_use]
    pub fn new(config: EndpointConfig, seed: [u8; 32], now: Instant) -> Self {
        let endpoint = Endpoint::new(Arc::new(config), seed);
        Self {
            endpoint,
            cells: BTreeMap::new(),
            waiting: BTreeMap::new(),
            wire: VecDeque::new(),
            now,
            arrivals: 0,
            least_burst: 2,
        }
    }

    /// Packets stand for so many segments, where there are as many and the window is twice as large
    /// (`tcp_min_tso_segs`).
    pub fn set_least_burst(&mut self, segments: u32) {
        self.least_burst = segments;
    }

    /// What time it is.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    const fn cx(&self) -> Cx {
        Cx::new(self.now)
    }

    /// Listens.
    ///
    /// # Errors
    /// As [`Endpoint::listen`].
    pub fn listen(&mut self, local: ListenAddr, config: ListenConfig) -> Result<ListenerId, BindError> {
        let id = self.endpoint.listen(local, config)?;
        self.waiting.insert(id, VecDeque::new());
        Ok(id)
    }

    /// Gives a listener's connections to come these settings, as [`Endpoint::set_listener_connection`].
    pub fn set_listener_connection(&mut self, id: ListenerId, connection: ConnectionConfig) {
        self.endpoint.set_listener_connection(id, connection);
    }

    /// Keeps a port for whoever is bound to it, as [`Endpoint::reserve`].
    ///
    /// # Errors
    /// As [`Endpoint::reserve`].
    pub fn reserve(&mut self, local: ListenAddr, shared: bool) -> Result<(), BindError> {
        self.endpoint.reserve(local, shared)
    }

    /// Whether a connection has a local address, as [`Endpoint::has_connections`].
    #[must_use]
    pub fn has_connections(&self, local: ListenAddr) -> bool {
        self.endpoint.has_connections(local)
    }

    /// Gives a kept port back.
    pub fn unreserve(&mut self, local: ListenAddr) {
        self.endpoint.unreserve(local);
    }

    /// A port that nobody has.
    pub fn free_port(&mut self, local: &SocketAddr) -> Option<u16> {
        let address = Some(local.ip()).filter(|address| !address.is_unspecified());
        self.endpoint.free_port(address).map(Into::into)
    }

    /// Stops listening; connections that nobody has accepted are reset.
    pub fn unlisten(&mut self, listener: ListenerId) {
        self.endpoint.unlisten(listener);
        for id in self.waiting.remove(&listener).unwrap_or_default() {
            self.act(id, Connection::abort);
            self.release(id);
        }
        self.settle_endpoint();
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    pub fn connect(
        &mut self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: ConnectionConfig,
    ) -> Result<ConnectionId, ConnectError> {
        let (id, connection) = self.endpoint.connect(&self.cx(), local, remote, Arc::new(config))?;
        self.insert(id, connection);
        self.settle(id);
        Ok(id)
    }

    /// The next connection that waits at a listener.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnectionId> {
        let id = self.waiting.get_mut(&listener)?.pop_front()?;
        self.endpoint.accepted(listener);
        Some(id)
    }

    /// How many connections wait at a listener.
    #[must_use]
    pub fn waiting(&self, listener: ListenerId) -> usize {
        self.waiting.get(&listener).map_or(0, VecDeque::len)
    }

    /// How many connections listeners have ever had.
    #[must_use]
    pub const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// A connection, until both the application and the endpoint have let go of it.
    #[must_use]
    pub fn cell(&self, id: ConnectionId) -> Option<&Cell> {
        self.cells.get(&id)
    }

    /// Does something to a connection and settles it; none if it is gone.
    pub fn act<T>(&mut self, id: ConnectionId, act: impl FnOnce(&mut Connection, &Cx) -> T) -> Option<T> {
        let cx = self.cx();
        let result = act(&mut self.cells.get_mut(&id)?.connection, &cx);
        self.settle(id);
        Some(result)
    }

    /// The application holds the connection no more.
    pub fn release(&mut self, id: ConnectionId) {
        if let Some(cell) = self.cells.get_mut(&id) {
            cell.released = true;
        }
        self.drop_if_gone(id);
    }

    /// A packet arrives.
    pub fn receive(&mut self, packet: &[u8]) {
        let mut found = self.take(packet);
        if let Some((id, Outcome::HandedBack)) = found {
            self.settle(id);
            found = self.take(packet);
        }
        self.settle_endpoint();
        if let Some((id, _)) = found {
            self.settle(id);
        }
    }

    fn take(&mut self, packet: &[u8]) -> Option<(ConnectionId, Outcome)> {
        let cx = self.cx();
        match self.endpoint.handle_frame(&cx, Frame::new(packet)) {
            Dispatch::Existing(id, input) => {
                let outcome = self.cells.get_mut(&id)?.connection.handle_input(&cx, input);
                self.endpoint.record_outcome(outcome);
                Some((id, outcome))
            }
            Dispatch::Opened(listener, id, mut connection, segment) => {
                let outcome = connection.handle_input(&cx, carrick_core::Input::Segment(segment));
                self.endpoint.record_outcome(outcome);
                self.insert(id, connection);
                self.arrivals += 1;
                match self.waiting.get_mut(&listener) {
                    Some(queue) => queue.push_back(id),
                    None => self.release(id),
                }
                Some((id, outcome))
            }
            Dispatch::Reassembled(whole) => self.take(&whole),
            Dispatch::Answered | Dispatch::Held | Dispatch::Discard(_) => None,
        }
    }

    fn insert(&mut self, id: ConnectionId, connection: Box<Connection>) {
        let state = connection.state();
        let cell = Cell {
            connection,
            news: 0,
            heard: self.now,
            max_window: 0,
            opened: false,
            live: true,
            released: false,
            before: state,
            state,
            readable: 0,
            ended: false,
        };
        self.cells.insert(id, cell);
    }

    /// When a timer is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let connections = self.cells.values().filter_map(|cell| cell.connection.poll_timeout());
        connections.chain(self.endpoint.poll_timeout()).min()
    }

    /// It is `now`, if that is later than it was: serves the timers that are due by then, all at that time. To serve
    /// each at its own, go to [`poll_timeout`](Self::poll_timeout) first.
    pub fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        for _ in 0..MOST_CALLS {
            let due = self.cells.iter().filter(|(_, cell)| is_due(cell.connection.poll_timeout()));
            let due: Vec<_> = due.map(|(id, _)| *id).collect();
            if due.is_empty() && !is_due(self.endpoint.poll_timeout()) {
                return;
            }
            for id in due {
                self.act(id, Connection::handle_timeout);
            }
            self.endpoint.handle_timeout(&self.cx());
            self.settle_endpoint();
        }
        eprintln!("carrick: timers stay due at {now:?}: a defect of the stack's");
    }

    /// The next packet that has been sent, and when.
    pub fn next_packet(&mut self) -> Option<(Instant, Vec<u8>)> {
        self.wire.pop_front()
    }

    /// Whether a packet has been sent that nobody has taken.
    #[must_use]
    pub fn has_packets(&self) -> bool {
        !self.wire.is_empty()
    }

    fn settle(&mut self, id: ConnectionId) {
        let cx = self.cx();
        let Some(cell) = self.cells.get_mut(&id) else { return };
        let mut packets = Vec::new();
        loop {
            let most = cell.longest_packet(self.least_burst);
            let Some(transmit) = cell.connection.poll_transmit(&cx, most) else { break };
            put(transmit, &mut packets);
        }
        self.wire.extend(packets.into_iter().map(|packet| (cx.now, packet)));
        let mut ends = Vec::new();
        while let Some(event) = cell.connection.poll_endpoint_event() {
            cell.live &= !event.is_end();
            ends.push(event);
        }
        cell.look(cx.now);
        for event in ends {
            self.endpoint.handle_event(&cx, id, event);
        }
        self.settle_endpoint();
        while self.endpoint.has_mtu_changes() {
            let Some((id, change)) = self.endpoint.poll_mtu_change() else { continue };
            self.act(id, |connection, cx| connection.handle_mtu_change(cx, change));
        }
        self.drop_if_gone(id);
    }

    fn settle_endpoint(&mut self) {
        let cx = self.cx();
        let mut packets = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(&cx) {
            put(transmit, &mut packets);
        }
        self.wire.extend(packets.into_iter().map(|packet| (cx.now, packet)));
    }

    fn drop_if_gone(&mut self, id: ConnectionId) {
        if self.cells.get(&id).is_some_and(|cell| cell.released && !cell.live) {
            self.cells.remove(&id);
        }
    }
}

impl Cell {
    /// Whether the peer had finished before the connection ended.
    #[must_use]
    pub fn reset_behind_fin(&self) -> bool {
        self.before == TcpState::CloseWait
    }

    /// How long a packet may be that stands for several segments, as Linux has it: what leaves within a millisecond at
    /// the pacing rate that would be right, more where the round trip is short, half a window at most; what is repeated
    /// goes one by one. PSH tells where such packets end, and scripts name it.
    fn longest_packet(&self, least: u32) -> NonZeroUsize {
        let Some(info) = self.connection.tcp_info() else { return MAX_FRAME };
        let mss = u32::from(info.send_mss).max(1);
        let window = info.congestion_window / mss;
        let segments = if info.lost > 0 { 1 } else { (burst(&info) / mss).max(least).min(window / 2).max(1) };
        // No more than that: a tail that does not fill a segment is a packet of its own.
        let fixed = if self.connection.local_addr().is_ipv4() { 40 } else { 60 };
        let headers = if info.timestamps { fixed + TIMESTAMPS } else { fixed };
        let len = headers + segments as usize * mss as usize;
        NonZeroUsize::new(len).map_or(MAX_FRAME, |len| len.min(MAX_FRAME))
    }

    /// Notes what has changed since the last look.
    fn look(&mut self, now: Instant) {
        let connection = &mut self.connection;
        let mut news = false;
        while let Some(event) = connection.poll_event() {
            news |= event != Event::SoftError;
        }
        let (state, readable, ended) =
            (connection.state(), connection.readable_len(), connection.receive_closed());
        if readable > self.readable {
            self.heard = now;
        }
        news |= readable > self.readable || state != self.state || ended != self.ended;
        if let Some(info) = connection.tcp_info() {
            self.max_window = self.max_window.max(info.send_window);
            if !self.opened {
                self.heard = now;
            }
            self.opened = true;
        }
        if state != self.state {
            self.before = self.state;
        }
        (self.state, self.readable, self.ended) = (state, readable, ended);
        self.news += u64::from(news);
    }
}

/// How many bytes Linux would let a packet stand for (`tcp_tso_autosize`).
fn burst(info: &TcpInfo) -> u32 {
    let most = u64::from(u16::MAX) + 1;
    let Some((rtt, least)) = info.rtt.zip(info.min_rtt) else { return u32::from(u16::MAX) };
    let slow_start = info.slow_start_threshold.is_none_or(|threshold| info.congestion_window < threshold / 2);
    let percent = if slow_start { 200 } else { 120 };
    let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1);
    let rate = u64::from(info.congestion_window) * percent * 10_000 / micros;
    // Within so short a round trip no burst is too long.
    let halvings = u32::try_from(least.as_micros() >> 9).unwrap_or(u32::MAX);
    let near = most.checked_shr(halvings).unwrap_or(0);
    u32::try_from((rate / 1024 + near).min(most)).unwrap_or(u32::MAX)
}

/// The packets that a transmit is on the wire, checksums complete.
fn put(transmit: Transmit<'_>, packets: &mut Vec<Vec<u8>>) {
    let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
    let count = transmit.payload(&mut parts);
    let parts = &parts[..count];
    if let Some(size) = transmit.segment_size() {
        match Segmenter::new(transmit.header(), parts, size) {
            Ok(mut segmenter) => {
                let mut buffer = SegmentBuf::new();
                while segmenter.next_segment(&mut buffer) {
                    packets.push([&[buffer.header()], buffer.parts()].concat().concat());
                }
            }
            Err(error) => eprintln!("carrick: a super-segment that cannot be cut: {error}"),
        }
    } else {
        let mut header = transmit.header().to_vec();
        if transmit.checksum_is_partial()
            && let Err(error) = complete_checksum(&mut header, parts)
        {
            eprintln!("carrick: a header that does not fit its payload: {error}");
        }
        packets.push([&[&header[..]], parts].concat().concat());
    }
    transmit.sent(Taken::All);
}
