//! One host: an endpoint, its connections, its listeners' queues, its memory. The reference driver of the
//! contract at the top of `carrick-core`.
//!
//! After any change a connection is *settled*: what is due is taken by the device, the endpoint hears of
//! its end, events are collected, memory is accounted. Every step is checked: O-3 (quiet), O-4 (memory), O-11
//! (outcomes), O-12 (senders), and by the [`Monitor`] O-5 to O-8 on every packet.

use crate::device::{Device, ask_twice};
use crate::fault::{Fault, Planted};
use crate::oracles::sender::{self, Leaving};
use crate::oracles::{self, Monitor, Oracle, Sender, Violation};
use crate::packet::{Offload, Packet};
use crate::rng::Rng;
use crate::situations::{Note, Noted};
use carrick_core::{
    BindError, Budget, ConnectError, Connection, ConnectionConfig, ConnectionError, ConnectionId, Cx,
    Dispatch, Endpoint, EndpointConfig, Event, Input, Instant, ListenAddr, ListenConfig, ListenerId, Outcome,
    ParkedId, ParkedSyn, Refusal, SendError, TcpState,
};
use carrick_wire::SeqNum;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Most packets without text that may be due at once: each answers a frame, or ends something.
const MAX_ANSWERS: usize = 300;
/// By how much one connection may exceed the budget, beside a sixteenth of it for all: what lists of chunks take.
const LIST_SLACK: usize = 1 << 10;
/// So often the endpoint's timers may be served before nothing is due.
const MOST_CALLS: usize = 10_000;
/// Text in the smallest segment that any peer may ask for.
const LEAST_TEXT: usize = 48;

/// How a host is made.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Addresses, MTU and limits.
    pub endpoint: EndpointConfig,
    /// Seeds the endpoint and the device's moods.
    pub seed: u64,
    /// Most bytes that all connections may hold. Default 64 MiB.
    pub budget: usize,
    /// What the device does with super-segments. Default: cuts them.
    pub offload: Offload,
    /// The largest packet the device takes, headers included. Default 65,535.
    pub max_frame: usize,
    /// How often, per million, the device takes only a part of a super-segment, or is asked for a packet
    /// and then not ready to take it. Default 0.
    pub moody: u32,
    /// Whether the [oracles](crate::oracles) look at every packet (O-5 to O-8) and sender (O-12, else seldom). Default
    /// true; they take most of the time.
    pub watched: bool,
}

impl HostConfig {
    /// A host of that endpoint, all else as said above.
    #[must_use]
    pub const fn new(endpoint: EndpointConfig, seed: u64) -> Self {
        Self {
            endpoint,
            seed,
            budget: 64 << 20,
            offload: Offload::Cut,
            max_frame: 65_535,
            moody: 0,
            watched: true,
        }
    }
}

/// An endpoint and what it serves. A clone goes its own way, and does the same when the same is done to it.
#[derive(Clone, Debug)]
pub struct Host {
    endpoint: Endpoint,
    cells: BTreeMap<ConnectionId, Cell>,
    /// What became of connections that are gone, for whoever still asks.
    ended: BTreeMap<ConnectionId, (TcpState, Option<ConnectionError>)>,
    backlog: BTreeMap<ListenerId, VecDeque<ConnectionId>>,
    budget: Budget,
    used: usize,
    offload: Offload,
    max_frame: NonZeroUsize,
    moody: u32,
    rng: Rng,
    outbox: Vec<Packet>,
    monitor: Monitor,
    watched: bool,
    tally: Tally,
    planted: Option<Planted>,
    /// What has happened to connections, if somebody watches.
    notes: Option<Vec<Note>>,
}

#[derive(Clone, Debug)]
struct Cell {
    connection: Box<Connection>,
    /// Memory when it was last looked at.
    held: usize,
    /// The endpoint still knows it.
    live: bool,
    /// The application has let go of it.
    released: bool,
    events: Vec<Event>,
    /// The state when it was last looked at.
    state: TcpState,
    /// SND.UNA, SND.NXT, RCV.NXT and the advertised right edge when they were last looked at.
    numbers: Option<[SeqNum; 4]>,
    /// How often it was looked at.
    looks: u32,
}

/// What the host has seen happen to frames, to compare with what the endpoint counted (O-11).
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    frames: u64,
    to_connections: u64,
    answered: u64,
    held: u64,
    discarded: u64,
    /// Outcomes that connections gave.
    outcomes: u64,
}

impl Host {
    /// A host at the beginning of its world.
    #[must_use]
    pub fn new(config: HostConfig) -> Self {
        let HostConfig { endpoint, seed, budget, offload, max_frame, moody, watched } = config;
        let mut rng = Rng::new(seed);
        let mtu = endpoint.mtu;
        Self {
            endpoint: Endpoint::new(Arc::new(endpoint), rng.seed()),
            cells: BTreeMap::new(),
            ended: BTreeMap::new(),
            backlog: BTreeMap::new(),
            budget: Budget::new(budget),
            used: 0,
            offload,
            max_frame: NonZeroUsize::new(max_frame).unwrap_or(NonZeroUsize::MIN),
            moody,
            rng,
            outbox: Vec::new(),
            monitor: Monitor::new(mtu),
            watched,
            tally: Tally::default(),
            planted: None,
            notes: None,
        }
    }

    /// Gives the host a fault, to see which oracle notices.
    pub fn plant(&mut self, fault: Fault) {
        self.planted = Some(Planted::new(fault));
    }

    fn faulty(&self, fault: Fault) -> bool {
        self.planted.as_ref().is_some_and(|planted| planted.fault == fault)
    }

    fn cx(&self, now: Instant) -> Cx {
        Cx { now, memory: self.budget.allowance(self.used) }
    }

    // What the application does.

    /// Listens.
    ///
    /// # Errors
    /// As [`Endpoint::listen`].
    pub fn listen(&mut self, local: ListenAddr, config: ListenConfig) -> Result<ListenerId, BindError> {
        let retries = config.connection.syn_retries;
        let id = self.endpoint.listen(local, config)?;
        self.monitor.allow_retries(retries);
        self.backlog.insert(id, VecDeque::new());
        Ok(id)
    }

    /// Stops listening; connections nobody accepted are aborted.
    pub fn unlisten(&mut self, now: Instant, listener: ListenerId) {
        self.monitor.prompted_endpoint(self.endpoint.half_open() as u64);
        self.endpoint.unlisten(listener);
        for id in self.backlog.remove(&listener).unwrap_or_default() {
            self.abort(now, id);
            self.release(now, id);
        }
        self.settle_endpoint(now);
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    pub fn connect(
        &mut self,
        now: Instant,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: Arc<ConnectionConfig>,
    ) -> Result<ConnectionId, ConnectError> {
        self.reclaim(now);
        let (id, connection) = self.endpoint.connect(&self.cx(now), local, remote, config)?;
        self.insert(id, connection);
        self.settle(now, id);
        Ok(id)
    }

    /// The next connection that waits at a listener.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnectionId> {
        let id = self.backlog.get_mut(&listener)?.pop_front()?;
        self.endpoint.accepted(listener);
        Some(id)
    }

    /// The next parked SYN, as [`Endpoint::poll_parked`].
    pub fn poll_parked(&mut self) -> Option<ParkedSyn> {
        self.endpoint.poll_parked()
    }

    /// Accepts a parked SYN, as [`Endpoint::accept_parked`].
    pub fn accept_parked(&mut self, now: Instant, id: ParkedId) -> bool {
        let found = self.endpoint.accept_parked(&self.cx(now), id);
        self.settle_endpoint(now);
        found
    }

    /// Refuses a parked SYN, as [`Endpoint::refuse_parked`].
    pub fn refuse_parked(&mut self, now: Instant, id: ParkedId, how: Refusal) -> bool {
        let found = self.endpoint.refuse_parked(&self.cx(now), id, how);
        self.monitor.prompted_endpoint(u64::from(found));
        self.settle_endpoint(now);
        found
    }

    /// How many connections wait at a listener.
    #[must_use]
    pub fn waiting(&self, listener: ListenerId) -> usize {
        self.backlog.get(&listener).map_or(0, VecDeque::len)
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// As [`Connection::send`]; [`SendError::Finished`] for a connection that is gone.
    pub fn send(&mut self, now: Instant, id: ConnectionId, data: &[u8]) -> Result<usize, SendError> {
        self.act(now, id, Prompts::No, |connection, cx| connection.send(cx, data))
            .unwrap_or(Err(SendError::Finished))
    }

    /// Writes what fits as urgent.
    ///
    /// # Errors
    /// As [`Connection::send_urgent`]; [`SendError::Finished`] for a connection that is gone.
    pub fn send_urgent(&mut self, now: Instant, id: ConnectionId, data: &[u8]) -> Result<usize, SendError> {
        self.act(now, id, Prompts::Yes, |connection, cx| connection.send_urgent(cx, data))
            .unwrap_or(Err(SendError::Finished))
    }

    /// Switches Nagle's rule off or on.
    pub fn set_nodelay(&mut self, now: Instant, id: ConnectionId, nodelay: bool) {
        self.act(now, id, Prompts::No, |connection, cx| connection.set_nodelay(cx, nodelay));
    }

    /// Holds back what does not fill a segment, or lets it go.
    pub fn set_cork(&mut self, now: Instant, id: ConnectionId, corked: bool) {
        self.act(now, id, Prompts::No, |connection, cx| connection.set_cork(cx, corked));
    }

    /// Reads up to `max` bytes.
    pub fn read(&mut self, now: Instant, id: ConnectionId, max: usize) -> Vec<u8> {
        let misread = self.faulty(Fault::Misread);
        let mut bytes = self
            .act(now, id, Prompts::Yes, |connection, cx| {
                let mut bytes = Vec::new();
                for chunk in connection.readable() {
                    bytes.extend_from_slice(&chunk[..chunk.len().min(max - bytes.len())]);
                }
                connection.consume(cx, bytes.len());
                bytes
            })
            .unwrap_or_default();
        if let (true, Some(first)) = (misread, bytes.first_mut()) {
            *first ^= 1;
        }
        bytes
    }

    /// Reads one chunk of up to `max` bytes, without a copy where the connection can do that.
    pub fn read_chunk(&mut self, now: Instant, id: ConnectionId, max: usize) -> Option<bytes::Bytes> {
        self.act(now, id, Prompts::Yes, |connection, cx| connection.take_chunk(cx, max)).flatten()
    }

    /// Says that no more is written.
    pub fn finish(&mut self, now: Instant, id: ConnectionId) {
        self.act(now, id, Prompts::Yes, |connection, cx| connection.finish(cx));
    }

    /// Lets go of the connection, in both directions.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        let unread = self.connection(id).is_some_and(|connection| connection.readable_len() > 0);
        if unread && self.state(id) >= TcpState::Established && self.is_live(id) {
            self.note(id, Noted::ClosedUnread);
        }
        self.act(now, id, Prompts::Yes, |connection, cx| connection.close(cx));
        self.release(now, id);
    }

    /// Resets the connection. It stays to be looked at until it is closed.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) {
        if self.state(id) >= TcpState::Established && self.is_live(id) {
            self.note(id, Noted::Aborted);
        }
        self.act(now, id, Prompts::Yes, |connection, cx| connection.abort(cx));
    }

    /// The application holds the connection no more; once the endpoint has forgotten it too, it is gone.
    fn release(&mut self, now: Instant, id: ConnectionId) {
        if let Some(cell) = self.cells.get_mut(&id) {
            cell.released = true;
        }
        self.settle(now, id);
    }

    /// Lets the application act on a connection in a way that has no method here; None if it is gone.
    pub fn with<T>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        act: impl FnOnce(&mut Connection, &Cx) -> T,
    ) -> Option<T> {
        self.act(now, id, Prompts::Yes, act)
    }

    fn act<T>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        prompts: Prompts,
        act: impl FnOnce(&mut Connection, &Cx) -> T,
    ) -> Option<T> {
        let cx = self.cx(now);
        let cell = self.cells.get_mut(&id)?;
        for _ in 0..prompts as u8 {
            self.monitor.prompted(cell.connection.local_addr(), cell.connection.remote_addr());
        }
        let result = act(&mut cell.connection, &cx);
        self.check_state(now, id);
        self.settle(now, id);
        Some(result)
    }

    // What the world does.

    /// A packet arrives.
    pub fn receive(&mut self, now: Instant, packet: &Packet) {
        self.receive_batch(now, std::slice::from_ref(packet));
    }

    /// Packets arrive together: connections are settled once, after the last.
    pub fn receive_batch(&mut self, now: Instant, packets: &[Packet]) {
        let mut touched = Vec::new();
        for packet in packets {
            touched.extend(self.take(now, packet).filter(|id| !touched.contains(id)));
        }
        // What the endpoint answered, it did before a handshake ended.
        self.settle_endpoint(now);
        for id in touched {
            self.settle(now, id);
        }
        self.check_counters(now);
        self.reclaim(now);
    }

    /// Gives up the connection that has made no progress for longest, if memory is scarce and it is stuck.
    fn reclaim(&mut self, now: Instant) {
        let cx = self.cx(now);
        let stuck = self.cells.iter().filter(|(_, cell)| cell.connection.is_stuck(&cx));
        let longest = stuck.min_by_key(|(_, cell)| cell.connection.last_progress()).map(|(id, _)| *id);
        if let Some(id) = longest {
            self.act(now, id, Prompts::Yes, |connection, cx| connection.abort_for_memory(cx));
        }
    }

    /// Hands a packet to whom it concerns, and says which connection is to be settled.
    fn take(&mut self, now: Instant, packet: &Packet) -> Option<ConnectionId> {
        if let Some(planted) = &mut self.planted {
            planted.received += 1;
            assert!(planted.fault != Fault::Panic || planted.received < 10, "the planted panic");
        }
        if self.watched {
            self.monitor.received(packet);
        }
        let (mut id, outcome) = self.dispatch(now, packet)?;
        if outcome == Outcome::HandedBack {
            self.settle(now, id);
            (id, _) = self.dispatch(now, packet)?;
        }
        Some(id)
    }

    /// Gives the packet to whom it concerns; what a connection made of it.
    fn dispatch(&mut self, now: Instant, packet: &Packet) -> Option<(ConnectionId, Outcome)> {
        self.tally.frames += 1;
        let cx = self.cx(now);
        match self.endpoint.handle_frame(&cx, packet.frame()) {
            Dispatch::Existing(id, input) => {
                self.tally.to_connections += 1;
                return self.input(now, id, input).map(|outcome| (id, outcome));
            }
            Dispatch::Opened(listener, id, connection, segment) => {
                self.tally.to_connections += 1;
                self.monitor.known(connection.remote_addr().ip());
                self.insert(id, connection);
                let outcome = self.input(now, id, Input::Segment(segment));
                match self.backlog.get_mut(&listener) {
                    Some(queue) => queue.push_back(id),
                    None => self.close(now, id),
                }
                return outcome.map(|outcome| (id, outcome));
            }
            Dispatch::Answered => self.tally.answered += 1,
            Dispatch::Held => self.tally.held += 1,
            Dispatch::Reassembled(whole) => {
                self.tally.held += 1;
                self.receive(now, &Packet::new(whole));
            }
            Dispatch::Discard(_) => self.tally.discarded += 1,
        }
        None
    }

    fn insert(&mut self, id: ConnectionId, connection: Box<Connection>) {
        let state = connection.state();
        let (events, numbers) = (Vec::new(), None);
        let cell =
            Cell { connection, held: 0, live: true, released: false, events, state, numbers, looks: 0 };
        self.cells.insert(id, cell);
    }

    fn input(&mut self, now: Instant, id: ConnectionId, input: Input<'_>) -> Option<Outcome> {
        let cx = self.cx(now);
        let Some(cell) = self.cells.get_mut(&id) else {
            self.monitor.report(Oracle::O11, now, format!("a frame for {id:?}, which does not exist"));
            return None;
        };
        let outcome: Outcome = cell.connection.handle_input(&cx, input);
        self.tally.outcomes += 1;
        if !(self.faulty(Fault::Forget) && self.tally.outcomes == 5) {
            self.endpoint.record_outcome(outcome);
        }
        self.check_state(now, id);
        Some(outcome)
    }

    /// The link's MTU changes.
    pub fn set_mtu(&mut self, now: Instant, mtu: u16) {
        self.endpoint.set_mtu(mtu);
        self.monitor.set_mtu(mtu);
        self.tell_mtu(now);
    }

    /// When a timer is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.faulty(Fault::Deaf) {
            return None;
        }
        let connections = self.cells.values().filter_map(|cell| cell.connection.poll_timeout());
        connections.chain(self.endpoint.poll_timeout()).min()
    }

    /// Serves the timers that are due.
    pub fn expire(&mut self, now: Instant) {
        let cx = self.cx(now);
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let due = self.cells.iter().filter(|(_, cell)| is_due(cell.connection.poll_timeout()));
        let due: Vec<_> = due.map(|(id, _)| *id).collect();
        for id in due {
            // Of those that are due one may be a delayed acknowledgment's and one keep-alive's.
            self.act(now, id, Prompts::Twice, |connection, cx| connection.handle_timeout(cx));
            let deadline = self.cells.get(&id).and_then(|cell| cell.connection.poll_timeout());
            let deadline = if self.faulty(Fault::StaleDeadline) { Some(now) } else { deadline };
            if is_due(deadline) {
                self.monitor.report(Oracle::O3, now, format!("{id:?} is still due at {deadline:?}"));
            }
        }
        // A call does so much and no more.
        for calls in 0.. {
            if !is_due(self.endpoint.poll_timeout()) {
                break;
            }
            if calls >= MOST_CALLS {
                self.monitor.report(Oracle::O3, now, "the endpoint is still due");
                break;
            }
            // Of each packet that stayed in parts its source may be told, and peers of a listener that has gone.
            let prompts = self.endpoint.reassemblies() + self.endpoint.half_open();
            self.monitor.prompted_endpoint(prompts as u64);
            self.endpoint.handle_timeout(&cx);
            self.settle_endpoint(now);
        }
    }

    /// What has been sent since the last call, in order.
    pub fn take_packets(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.outbox)
    }

    // Draining, as the contract says it.

    fn settle(&mut self, now: Instant, id: ConnectionId) {
        let cx = self.cx(now);
        let (overdrawn, watched) = (self.faulty(Fault::Overdraw), self.watched);
        let Some(cell) = self.cells.get_mut(&id) else { return };
        let mut device = Device {
            offload: self.offload,
            moody: self.moody,
            rng: &mut self.rng,
            restless: self.planted.as_ref().is_some_and(|planted| planted.fault == Fault::Restless),
            taken: Vec::new(),
        };
        let most = cell.connection.unacknowledged() / LEAST_TEXT + MAX_ANSWERS;
        let mut due = 0;
        let mut complaint = None;
        while complaint.is_none() {
            if device.changes_its_mind() {
                complaint = ask_twice(&mut cell.connection, &cx, self.max_frame);
            }
            let leaving = if watched { Leaving::of(&cell.connection) } else { None };
            let Some(transmit) = cell.connection.poll_transmit(&cx, self.max_frame) else { break };
            due += 1;
            let text = transmit.payload_len() > 0;
            complaint = complaint.or(device.take(transmit));
            if let Some(leaving) = leaving.filter(|_| text) {
                complaint = complaint.or(leaving.check(&cell.connection, overdrawn).err());
            }
            if due > most {
                complaint = Some((Oracle::O3, format!("{most} packets taken and more are due")));
            }
        }
        let packets = device.taken;
        let endpoint_events: Vec<_> = std::iter::from_fn(|| cell.connection.poll_endpoint_event()).collect();
        cell.state = cell.connection.state();
        while let Some(event) = cell.connection.poll_event() {
            cell.events.push(event);
        }
        complaint = complaint.or(check_numbers(cell));
        cell.looks = cell.looks.wrapping_add(1);
        if watched || cell.looks.is_multiple_of(sender::SELDOM) {
            complaint = complaint.or(sender::check_state(&cell.connection, cell.looks).err());
        }
        let held = cell.connection.memory();
        self.used = self.used - std::mem::replace(&mut cell.held, held) + held;
        if cell.connection.state() >= TcpState::Established {
            self.monitor.known(cell.connection.remote_addr().ip());
        }
        if let Some((oracle, what)) = complaint {
            self.monitor.report(oracle, now, what);
        }
        let ends = (cell.connection.local_addr(), cell.connection.remote_addr());
        self.send_packets(now, packets, Sender::Connection);
        self.monitor.settled(ends.0, ends.1);
        for event in endpoint_events {
            if event.is_end() {
                cell_retired(&mut self.cells, id);
            }
            self.endpoint.handle_event(&cx, id, event);
            self.settle_endpoint(now);
        }
        self.tell_mtu(now);
        self.drop_if_gone(now, id);
        self.check_memory(now);
    }

    /// Tells connections what has become of the MTU.
    fn tell_mtu(&mut self, now: Instant) {
        while self.endpoint.has_mtu_changes() {
            let Some((id, change)) = self.endpoint.poll_mtu_change() else { continue };
            let cx = self.cx(now);
            if let Some(cell) = self.cells.get_mut(&id) {
                cell.connection.handle_mtu_change(&cx, change);
                self.settle(now, id);
            }
        }
    }

    fn settle_endpoint(&mut self, now: Instant) {
        let cx = self.cx(now);
        let mut device = Device {
            offload: self.offload,
            moody: 0,
            rng: &mut self.rng,
            restless: false,
            taken: Vec::new(),
        };
        let mut complaint = None;
        for due in 0.. {
            // What parked SYNs come to is seen on the wire.
            while self.endpoint.poll_parked_end().is_some() {}
            let Some(transmit) = self.endpoint.poll_transmit(&cx) else { break };
            complaint = complaint.or(device.take(transmit));
            if due > MAX_ANSWERS {
                complaint = Some((Oracle::O3, "the endpoint never stops sending".into()));
                break;
            }
        }
        let packets = device.taken;
        if let Some((oracle, what)) = complaint {
            self.monitor.report(oracle, now, what);
        }
        self.send_packets(now, packets, Sender::Endpoint);
        self.monitor.settled_endpoint();
    }

    fn send_packets(&mut self, now: Instant, mut packets: Vec<Packet>, sender: Sender) {
        if let Some(planted) = &mut self.planted {
            planted.alter(&mut packets);
        }
        for packet in packets {
            if self.watched {
                self.monitor.sent(now, &packet, sender);
            }
            self.outbox.push(packet);
        }
    }

    fn drop_if_gone(&mut self, now: Instant, id: ConnectionId) {
        let Some(cell) = self.cells.get(&id).filter(|cell| cell.released && !cell.live) else { return };
        self.ended.insert(id, (cell.connection.state(), cell.connection.error()));
        self.used -= cell.held;
        if self.faulty(Fault::Leak) {
            self.used += 1;
        }
        self.cells.remove(&id);
        self.check_memory(now);
    }

    // Oracles.

    /// States change along the diagram, and nowhere else (O-6).
    fn check_state(&mut self, now: Instant, id: ConnectionId) {
        let Some(cell) = self.cells.get_mut(&id) else { return };
        let to = cell.connection.state();
        let from = std::mem::replace(&mut cell.state, to);
        if from == to {
            return;
        }
        let error = cell.connection.error();
        self.note(id, Noted::State(from, to));
        if let Some(error) = error {
            self.note(id, Noted::Ended(error));
        }
        if !oracles::may_lead(from, to) {
            self.monitor.report(Oracle::O6, now, format!("{id:?} went from {from} to {to}"));
        }
    }

    fn check_memory(&mut self, now: Instant) {
        // Queues count the lists of their chunks too, which grow after the room was asked for: up to 192 bytes
        // for a chunk of 2 KiB.
        let slack = LIST_SLACK * self.cells.len() + self.budget.limit() / 16;
        if self.used > self.budget.limit() + slack {
            let held: Vec<_> = self.cells.values().map(|cell| cell.held).collect();
            let what = format!("{} bytes held, {held:?}, the budget is {}", self.used, self.budget.limit());
            self.monitor.report(Oracle::O4, now, what);
        }
        if self.cells.is_empty() && self.used != 0 {
            self.monitor.report(Oracle::O4, now, format!("{} bytes held by no connection", self.used));
        }
    }

    fn check_counters(&mut self, now: Instant) {
        let counters = self.endpoint.counters();
        let seen = self.tally;
        let agrees = counters.frames == seen.frames
            && counters.to_connections == seen.to_connections
            && counters.answered == seen.answered
            && counters.held == seen.held
            && seen.outcomes == seen.to_connections
            && seen.frames == seen.to_connections + seen.answered + seen.held + seen.discarded
            && counters.discarded_by_endpoint() == seen.discarded
            && counters.accepted + counters.discarded_by_connections() == seen.outcomes;
        if !agrees {
            let what = format!("counted {counters:?}, seen {seen:?}");
            self.monitor.report(Oracle::O11, now, what);
        }
    }

    /// Keeps a violation that was seen from outside.
    pub fn report(&mut self, oracle: Oracle, now: Instant, what: impl Into<String>) {
        self.monitor.report(oracle, now, what);
    }

    /// The first violation of any oracle on this host.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.monitor.violation()
    }

    // Looking.

    /// From now on keeps notes of what happens to connections.
    pub(crate) fn watch(&mut self) {
        self.notes = Some(Vec::new());
    }

    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        self.notes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&mut self, id: ConnectionId, noted: Noted) {
        if let (Some(notes), Some(cell)) = (&mut self.notes, self.cells.get(&id)) {
            notes.push(((cell.connection.local_addr(), cell.connection.remote_addr()), noted));
        }
    }

    fn is_live(&self, id: ConnectionId) -> bool {
        self.cells.get(&id).is_some_and(|cell| cell.live && cell.state != TcpState::Closed)
    }

    /// The connection between these two ends that the endpoint still knows.
    pub(crate) fn find(&self, local: SocketAddr, remote: SocketAddr) -> Option<&Connection> {
        let ends = |connection: &Connection| (connection.local_addr(), connection.remote_addr());
        self.live().find(|connection| ends(connection) == (local, remote))
    }

    /// All of those.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Connection> {
        self.cells.values().filter(|cell| cell.live).map(|cell| &*cell.connection)
    }

    /// What has happened to a connection since the last call.
    pub fn take_events(&mut self, id: ConnectionId) -> Vec<Event> {
        self.cells.get_mut(&id).map(|cell| std::mem::take(&mut cell.events)).unwrap_or_default()
    }

    /// Whether something has happened to a connection since [`take_events`](Self::take_events).
    #[must_use]
    pub fn has_events(&self, id: ConnectionId) -> bool {
        self.cells.get(&id).is_some_and(|cell| !cell.events.is_empty())
    }

    /// The connection, until both the application and the endpoint have let go of it.
    #[must_use]
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.cells.get(&id).map(|cell| &*cell.connection)
    }

    /// The connection's state, also after it is gone.
    #[must_use]
    pub fn state(&self, id: ConnectionId) -> TcpState {
        let gone = || self.ended.get(&id).map_or(TcpState::Closed, |(state, _)| *state);
        self.connection(id).map_or_else(gone, Connection::state)
    }

    /// Why the connection ended, also after it is gone.
    #[must_use]
    pub fn error(&self, id: ConnectionId) -> Option<ConnectionError> {
        let gone = || self.ended.get(&id).and_then(|(_, error)| *error);
        self.connection(id).map_or_else(gone, Connection::error)
    }

    /// How many connections are there, for the application or for the endpoint.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.cells.len()
    }

    /// The endpoint.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Bytes that all connections hold.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// What watches the packets.
    #[must_use]
    pub const fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// A hash over everything that the endpoint and its connections know, and who still holds them.
    #[must_use]
    pub fn digest(&self, now: Instant) -> u64 {
        let mut state = DefaultHasher::new();
        self.endpoint.digest(now, &mut state);
        for cell in self.cells.values() {
            cell.connection.digest(now, &mut state);
            (cell.live, cell.released).hash(&mut state);
        }
        for queue in self.backlog.values() {
            queue.len().hash(&mut state);
        }
        state.finish()
    }
}

/// How often a call is a reason for the connection to say something that carries no news.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Prompts {
    No,
    Yes,
    Twice,
}

fn cell_retired(cells: &mut BTreeMap<ConnectionId, Cell>, id: ConnectionId) {
    if let Some(cell) = cells.get_mut(&id) {
        cell.live = false;
    }
}

/// SND.UNA <= SND.NXT; no number steps back but SND.NXT, which may return to SND.UNA (O-6).
fn check_numbers(cell: &mut Cell) -> Option<(Oracle, String)> {
    let numbers = cell.connection.sequence_numbers();
    let before = std::mem::replace(&mut cell.numbers, numbers);
    let [una, nxt, rcv_nxt, edge] = numbers?;
    let fine = una.at_or_before(nxt) && rcv_nxt.at_or_before(edge + 1);
    let forward = before.is_none_or(|[old_una, _, old_rcv_nxt, old_edge]| {
        una.at_or_after(old_una) && rcv_nxt.at_or_after(old_rcv_nxt) && edge.at_or_after(old_edge)
    });
    (!fine || !forward).then(|| (Oracle::O6, format!("from {before:?} to {numbers:?}")))
}
