//! One conversation.
//!
//! This file holds the parts and the order of calls; the rules are beside it: opening in `handshake`,
//! "segment arrives" in `segment`, acknowledgements in `ack`, what leaves in `transmit`, closing in
//! `close`, deadlines in `timers`, what the application writes and reads in `text`, what it sets and asks in `settings`
//! and `look`.
//!
//! The two queues belong to the connection and not to a state, because they outlive states: text is
//! written before the handshake is done, and read after the connection is gone.

mod ack;
mod check;
mod close;
pub(crate) mod handshake;
mod info;
mod look;
mod open;
mod path;
mod segment;
mod settings;
pub(crate) mod syn_received;
mod text;
mod timers;
mod transmit;

use crate::event::{EndpointEvent, Event, Outcome, TimeWaitRecord};
use crate::queue::ChunkQueue;
use crate::recovery::rtt::Rtt;
use crate::recv::Receiver;
use crate::send::Sender;
use crate::state::Phase;
use crate::{ConnectionConfig, ConnectionError, Cx, Input, Instant, Segment, TcpState, Tuple};
use alloc::boxed::Box;
use alloc::sync::Arc;
use carrick_wire::{SeqNum, TcpFlags, UserTimeout, Window, WireWindow};
use core::hash::{Hash, Hasher};
use core::num::NonZeroU8;
use core::time::Duration;
use handshake::Peer;
pub use info::{RecoveryState, TcpInfo};
use path::Path;
use timers::Timers;
pub(crate) use transmit::{Plan, emit_header};

/// One conversation: the state machine of RFC 9293 with its queues, windows and timers.
///
/// Made by [`Endpoint::connect`](crate::Endpoint::connect) and
/// [`Dispatch::Opened`](crate::Dispatch::Opened). See the [contract](crate#the-contract): after any change,
/// drain.
///
/// # Examples
/// ```
/// use carrick_core::{ConnectionConfig, Cx, Endpoint, EndpointConfig, Instant, Taken, TcpState};
/// use std::num::NonZeroUsize;
/// use std::sync::Arc;
///
/// let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
/// let mut endpoint = Endpoint::new(Arc::new(config), [7; 32]); // a seed from a good source
/// let cx = Cx::new(Instant::ZERO);
/// let settings = Arc::new(ConnectionConfig::default());
/// let (_id, mut connection) = endpoint.connect(&cx, None, "192.0.2.2:80".parse()?, settings)?;
/// assert_eq!(connection.state(), TcpState::SynSent);
/// while let Some(syn) = connection.poll_transmit(&cx, NonZeroUsize::MAX) {
///     assert_eq!(syn.header().len(), 60, "IPv4, TCP and its options");
///     syn.sent(Taken::All);
/// }
/// assert_eq!(connection.poll_timeout(), Some(Instant::ZERO + std::time::Duration::from_secs(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    tuple: Tuple,
    config: Arc<ConnectionConfig>,
    link: Link,
    path: Path,
    state: State,
    /// Written and not acknowledged: the bytes from SND.UNA on.
    to_send: ChunkQueue,
    /// Received in order and not read.
    received: ChunkQueue,
    timers: Timers,
    /// The latest `now`; an earlier one is taken as this.
    clock: Instant,
    /// When an acknowledgment last moved SND.UNA, or the first of what waits for one was written.
    moved: Instant,
    challenges: Throttle,
    /// What the network said of our segments (RFC 9293 §3.9.2.2); the reason given if the wait is in vain.
    soft_error: Option<ConnectionError>,
    /// RCV.UP: bytes to be read up to the mark.
    urgent_unread: u32,
    /// ACKs to send. In-order ones merge; without SACK a duplicate is owed for each segment.
    acks_due: u8,
    events: u8,
    /// Keep-alive probes in a row that were not answered.
    keep_alive_probes: u8,
    keep_alive_due: bool,
    received_dscp: u8,
    /// The application has let go of the stream.
    released: bool,
    /// A write found the send buffer full.
    wants_room: bool,
    /// The application has read since the last ACK: a window update may be due.
    has_read: bool,
    /// What the endpoint is to be told.
    end: End,
    /// Nagle's rule is off.
    nodelay: bool,
    /// Only full segments are to leave.
    corked: bool,
    /// Whether the end of what was written is to reach the peer's application now.
    push: Push,
    /// SND.UP: how many of the bytes from SND.UNA on lie before it.
    urgent: u32,
    /// Segments sent again since the connection was established, modulo 2^32.
    sent_again: u32,
    /// Segments since the connection was made, modulo 2^32.
    segments_sent: u32,
    segments_received: u32,
}

/// What is below the connection, and what is constant about its packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Most bytes of a packet of ours, whatever the path takes.
    pub(crate) mtu: u16,
    /// The least that the link's MTU has been: what we advertise.
    pub(crate) least_mtu: u16,
    /// Less is not believed of the path.
    pub(crate) min_path_mtu: u16,
    pub(crate) hop_limit: u8,
    pub(crate) dscp: u8,
    pub(crate) flow_label: u32,
    pub(crate) ts_offset: u32,
    /// Maximum segment lifetime in milliseconds.
    pub(crate) msl: u32,
    /// Whether resets are ignored in TIME-WAIT.
    pub(crate) rfc1337: bool,
}

#[derive(Clone, Debug)]
enum State {
    SynSent(Opening),
    SynReceived(Opening, Peer),
    Open(Box<Open>),
    TimeWait(TimeWaitRecord),
    Closed(Closed),
}

/// An active or simultaneous open before it is done.
#[derive(Clone, Debug)]
struct Opening {
    iss: SeqNum,
    /// The SYN or SYN,ACK is to be sent (again).
    due: bool,
    /// When it was sent first; none before that.
    sent_at: Option<Instant>,
    /// It has been sent more than once, by the timer or in answer to the peer's SYN: an ACK does not tell which it
    /// answers.
    again: bool,
    retries: u8,
    rtt: Rtt,
    /// The application has already said that it sends no more.
    finish: bool,
    /// Whether a listener's SYN made it (RFC 9293 MUST-11).
    passive: bool,
    /// A reset is due to a peer that acknowledged what we never sent; this connection goes on.
    stray_reset: Option<Stray>,
}

/// A segment that is to be answered with a reset: what it acknowledged, and its timestamp.
#[derive(Clone, Copy, Debug)]
struct Stray {
    ack: SeqNum,
    ts_val: Option<u32>,
}

impl Stray {
    fn of(segment: &Segment<'_>) -> Self {
        Self { ack: segment.ack, ts_val: segment.options.timestamps.map(|timestamps| timestamps.val) }
    }
}

#[derive(Clone, Debug)]
struct Open {
    phase: Phase,
    snd: Sender,
    rcv: Receiver,
    /// What the peer's user timeout option said, if our settings listen to it (RFC 5482).
    remote_timeout: Option<UserTimeout>,
    /// Ours is to go out with the next segment.
    timeout_due: bool,
}

#[derive(Clone, Debug)]
struct Closed {
    /// The state before this.
    from: TcpState,
    error: Option<ConnectionError>,
    last: Option<Last>,
}

/// The last segment, which is due although the connection is over.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// RST and ACK, or ACK alone.
    flags: TcpFlags,
    seq: SeqNum,
    /// RCV.NXT.
    ack: SeqNum,
    window: WireWindow,
    ts_recent: Option<u32>,
}

impl Last {
    /// The reset of an open connection: after all that was sent, and acknowledging all that came.
    fn reset(open: &Open) -> Self {
        Self {
            flags: TcpFlags::RST | TcpFlags::ACK,
            seq: open.snd.ack_seq(),
            ack: open.rcv.nxt,
            window: WireWindow::new(0),
            ts_recent: open.rcv.ts_recent.map(|(recent, _)| recent),
        }
    }

    /// The ACK that repeats what the peer may have missed.
    fn ack(open: &Open) -> Self {
        let window = Window::new(open.rcv.window()).to_wire(open.rcv.scale);
        Self { flags: TcpFlags::ACK, window, ..Self::reset(open) }
    }
}

/// The PUSH of RFC 9293 §3.9.1.2: whether the last write was one that nothing follows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Push {
    Yes,
    /// More is to follow, and what does not fill a segment waits for it.
    Waits,
    /// More is to follow, and is not waited for any more.
    No,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum End {
    NotYet,
    Closed,
    TimeWait,
    Told,
}

/// At most ten challenge ACKs in five to ten seconds (RFC 5961 §7), counted for each connection by itself. How long it
/// is exactly is a secret of the connection's, so that nobody can know when there are ten again (T-BLD-5).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Throttle {
    /// When the first of them left, in milliseconds modulo 2^32: that they meet again after 50 days costs at most
    /// the answers of one period.
    since: u32,
    /// How many there were since then; 0 before the first.
    count: u8,
    /// When the last one left, in milliseconds since then.
    last: u16,
}

impl Link {
    /// How long TIME-WAIT lasts.
    pub(crate) const fn time_wait(&self) -> Duration {
        Duration::from_millis(self.msl as u64).saturating_mul(2)
    }
}

impl Throttle {
    const LIMIT: u8 = 10;
    /// In milliseconds.
    const LEAST_PERIOD: u32 = 5000;
    /// In milliseconds.
    const BETWEEN_PROBES: u32 = 500;

    /// Whether one may leave now; if so, it is taken as sent. `secret` is the connection's and does not change: the
    /// offset of its timestamps, whose upper half decides.
    pub(crate) fn permits(&mut self, now: Instant, secret: u32) -> bool {
        let age = self.age(now);
        let longer = (secret >> 16).saturating_mul(Self::LEAST_PERIOD) >> 16;
        if self.count == 0 || age >= Self::LEAST_PERIOD.saturating_add(longer) {
            *self = Self { since: handshake::ts_clock(now, 0), ..Self::default() };
        }
        self.count = self.count.saturating_add(1);
        self.count <= Self::LIMIT && self.note_answer(now)
    }

    /// Whether a keep-alive probe may be answered: beyond the limit too if the peer has heard nothing for half a
    /// second. Anybody can spend the limit who knows the addresses, but the number of a probe is known to the peer
    /// alone, and on the path. Without any limit two hosts that disagree about their numbers would answer each
    /// other for ever.
    pub(crate) fn permits_probe(&mut self, now: Instant, secret: u32) -> bool {
        self.permits(now, secret)
            || (self.age(now).saturating_sub(self.last.into()) >= Self::BETWEEN_PROBES
                && self.note_answer(now))
    }

    fn age(&self, now: Instant) -> u32 {
        handshake::ts_clock(now, 0).wrapping_sub(self.since)
    }

    /// One leaves.
    fn note_answer(&mut self, now: Instant) -> bool {
        // No period is longer than ten seconds.
        self.last = u16::try_from(self.age(now)).unwrap_or(u16::MAX);
        true
    }

    /// The count, and how long ago it began.
    pub(crate) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        (if self.count == 0 { 0 } else { self.age(now) }, self.count, self.last).hash(state);
    }
}

impl Connection {
    /// An active open; the SYN is due.
    pub(crate) fn connect(
        tuple: Tuple,
        config: Arc<ConnectionConfig>,
        link: Link,
        iss: SeqNum,
        now: Instant,
    ) -> Self {
        let rtt = Rtt::new(config.min_rto, config.max_rto);
        let opening = Opening {
            iss,
            due: true,
            sent_at: None,
            again: false,
            retries: 0,
            rtt,
            finish: false,
            passive: false,
            stray_reset: None,
        };
        let mut connection = Self::new(tuple, config, link, State::SynSent(opening), now);
        connection.rearm(now);
        connection
    }

    /// A passive open whose SYN,ACK is about to be acknowledged.
    pub(crate) fn accept(
        tuple: Tuple,
        config: Arc<ConnectionConfig>,
        link: Link,
        half_open: HalfDone,
        now: Instant,
    ) -> Self {
        let rtt = Rtt::new(config.min_rto, config.max_rto);
        let HalfDone { iss, peer, sent_at, retries } = half_open;
        let opening = Opening {
            iss,
            due: false,
            sent_at,
            again: retries > 0,
            retries,
            rtt,
            finish: false,
            passive: true,
            stray_reset: None,
        };
        Self::new(tuple, config, link, State::SynReceived(opening, peer), now)
    }

    fn new(tuple: Tuple, config: Arc<ConnectionConfig>, link: Link, state: State, now: Instant) -> Self {
        let nodelay = config.nodelay;
        let link = Link {
            hop_limit: config.hop_limit.map_or(link.hop_limit, NonZeroU8::get),
            dscp: config.dscp.min(63),
            ..link
        };
        Self {
            tuple,
            config,
            path: Path::new(link.mtu, tuple.local.is_ipv6()),
            link,
            state,
            to_send: ChunkQueue::default(),
            received: ChunkQueue::default(),
            timers: Timers::default(),
            clock: now,
            moved: now,
            challenges: Throttle::default(),
            soft_error: None,
            urgent_unread: 0,
            acks_due: 0,
            events: 0,
            keep_alive_probes: 0,
            keep_alive_due: false,
            received_dscp: 0,
            released: false,
            wants_room: false,
            has_read: false,
            end: End::NotYet,
            nodelay,
            corked: false,
            push: Push::Yes,
            urgent: 0,
            sent_again: 0,
            segments_sent: 0,
            segments_received: 0,
        }
    }

    fn advance_clock(&mut self, cx: &Cx) -> Cx {
        self.clock = self.clock.max(cx.now);
        Cx { now: self.clock, ..*cx }
    }

    /// Takes a segment or an ICMP error that [`Endpoint::handle_frame`](crate::Endpoint::handle_frame) found
    /// to be this connection's (RFC 9293 §3.10.7, §3.9.2.2). Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Connection, ConnectionId, Cx, Dispatch, Endpoint, Frame};
    /// # use std::collections::HashMap;
    /// fn receive(endpoint: &mut Endpoint, all: &mut HashMap<ConnectionId, Connection>, cx: &Cx, packet: &[u8]) {
    ///     if let Dispatch::Existing(id, input) = endpoint.handle_frame(cx, Frame::new(packet))
    ///         && let Some(connection) = all.get_mut(&id)
    ///     {
    ///         let outcome = connection.handle_input(cx, input);
    ///         endpoint.record_outcome(outcome);
    ///     }
    /// }
    /// ```
    pub fn handle_input(&mut self, cx: &Cx, input: Input<'_>) -> Outcome {
        let cx = self.advance_clock(cx);
        let outcome = match &input {
            Input::Segment(segment) => {
                let segments = u32::try_from(segment.wire_segments()).unwrap_or(u32::MAX);
                self.segments_received = self.segments_received.wrapping_add(segments);
                self.segment_arrives(&cx, segment)
            }
            Input::Icmp(error) => self.icmp_arrives(&cx, *error),
        };
        self.rearm(cx.now);
        outcome
    }

    /// Does what is due at `cx.now`. Calling it early or late is harmless. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// if connection.poll_timeout().is_some_and(|due| due <= cx.now) {
    ///     connection.handle_timeout(cx);
    /// }
    /// # });
    /// ```
    pub fn handle_timeout(&mut self, cx: &Cx) {
        let cx = self.advance_clock(cx);
        self.timers_expire(&cx);
        self.rearm(cx.now);
    }

    /// The next thing that the application should know.
    ///
    /// # Examples
    /// ```
    /// # let mut scene = carrick_sim::Scene::established();
    /// # scene.inject(carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # scene.expect(carrick_sim::seg().ack(6));
    /// # scene.with("", |connection, cx| {
    /// use carrick_core::Event;
    ///
    /// # let mut events = vec![];
    /// while let Some(event) = connection.poll_event() {
    ///     match event {
    ///         Event::Readable => { /* wake whoever reads */ }
    ///         Event::Writable => { /* wake whoever writes */ }
    ///         _ => {}
    ///     }
    ///     # events.push(event);
    /// }
    /// # });
    /// ```
    pub fn poll_event(&mut self) -> Option<Event> {
        let bit = self.events.trailing_zeros();
        let event = match bit {
            0 => Event::Connected,
            1 => Event::Readable,
            2 => Event::Writable,
            3 => Event::Closed,
            4 => Event::Urgent,
            5 => Event::SoftError,
            _ => return None,
        };
        self.events &= self.events.wrapping_sub(1);
        Some(event)
    }

    fn note(&mut self, event: Event) {
        self.events |= match event {
            Event::Connected => 1,
            Event::Readable => 2,
            Event::Writable => 4,
            Event::Closed => 8,
            Event::Urgent => 16,
            Event::SoftError => 32,
        };
    }

    /// What [`Endpoint::handle_event`](crate::Endpoint::handle_event) is to be told. Call it until it gives
    /// nothing. One that [ends](EndpointEvent::is_end) it comes once in a connection's life; after it the
    /// connection's addresses are somebody else's.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Connection, ConnectionId, Cx, Endpoint};
    /// /// Part of draining a connection.
    /// fn tell(endpoint: &mut Endpoint, id: ConnectionId, connection: &mut Connection, cx: &Cx) {
    ///     while let Some(event) = connection.poll_endpoint_event() {
    ///         endpoint.handle_event(cx, id, event);
    ///     }
    /// }
    /// ```
    pub fn poll_endpoint_event(&mut self) -> Option<EndpointEvent> {
        if let Some(event) = self.path_event() {
            return Some(event);
        }
        match self.end {
            End::NotYet | End::Told => None,
            // The ACK that the peer waits for leaves first: a record answers only what comes again.
            End::TimeWait if self.acks_due > 0 => None,
            End::Closed => {
                self.end = End::Told;
                Some(EndpointEvent::Closed)
            }
            End::TimeWait => {
                self.end = End::Told;
                let State::TimeWait(record) = &self.state else { return Some(EndpointEvent::Closed) };
                let record = record.clone();
                self.timers = Timers::default();
                self.state = State::Closed(Closed { from: TcpState::TimeWait, error: None, last: None });
                self.note(Event::Closed);
                Some(EndpointEvent::TimeWait(record))
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; none means never.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.poll_timeout(), None, "an idle connection waits for nothing");
    /// # });
    /// ```
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let early = match &self.state {
            State::Open(open) => open.snd.early_deadline(),
            _ => None,
        };
        early.into_iter().chain(self.timers.earliest()).min()
    }

    /// Bytes of heap memory that its queues hold: whole chunks, whole pinned frames, ranges, and what it knows of
    /// losses.
    ///
    /// # Examples
    /// ```
    /// # let mut scene = carrick_sim::Scene::established();
    /// # scene.inject(carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # scene.expect(carrick_sim::seg().ack(6));
    /// # scene.with("", |connection, cx| {
    /// assert!(connection.memory() >= 5, "whole chunks are counted");
    /// connection.consume(cx, 5);
    /// assert_eq!(connection.memory(), 0);
    /// # });
    /// ```
    #[must_use]
    pub fn memory(&self) -> usize {
        let ranges = match &self.state {
            State::Open(open) => open.rcv.memory().saturating_add(open.snd.memory()),
            _ => 0,
        };
        let queues = self.to_send.memory().saturating_add(self.received.memory());
        queues.saturating_add(ranges).saturating_add(self.path.memory())
    }

    /// Feeds all protocol state to a hash: times relative to `now`, sequence numbers to ISS and IRS, so
    /// that two connections in the same situation agree.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use std::hash::{DefaultHasher, Hasher};
    ///
    /// let (mut ours, mut copy) = (DefaultHasher::new(), DefaultHasher::new());
    /// connection.digest(cx.now, &mut ours);
    /// connection.clone().digest(cx.now, &mut copy);
    /// assert_eq!(ours.finish(), copy.finish());
    /// # });
    /// ```
    pub fn digest(&self, now: Instant, state: &mut impl Hasher) {
        let Self {
            tuple,
            config: _,
            link: _,
            path,
            state: protocol,
            to_send,
            received,
            timers,
            clock: _,
            moved,
            challenges,
            soft_error,
            urgent_unread,
            acks_due,
            events,
            keep_alive_probes,
            keep_alive_due,
            received_dscp,
            released,
            wants_room,
            has_read,
            end,
            nodelay,
            corked,
            push,
            urgent,
            // A statistic, which changes nothing.
            sent_again: _,
            segments_sent: _,
            segments_received: _,
        } = self;
        tuple.hash(state);
        self.state().hash(state);
        match protocol {
            State::SynSent(opening) | State::SynReceived(opening, _) => {
                let Opening { iss, due, sent_at, again, retries, rtt, finish, passive, stray_reset } =
                    opening;
                (due, sent_at.map(|at| now.since(at)), again, retries, rtt, finish, passive).hash(state);
                stray_reset.map(|stray| (stray.ack.distance_from(*iss), stray.ts_val)).hash(state);
                if let State::SynReceived(_, peer) = protocol {
                    Peer { irs: SeqNum::new(0), ..*peer }.hash(state);
                }
            }
            State::Open(open) => {
                let Open { phase: _, snd, rcv, remote_timeout, timeout_due } = &**open;
                snd.digest(rcv.irs, now, state);
                path.digest(snd.iss, now, state);
                rcv.digest(now, state);
                (remote_timeout, timeout_due).hash(state);
            }
            State::TimeWait(record) => record.digest(now, state),
            State::Closed(closed) => (closed.error, closed.last.is_some()).hash(state),
        }
        for queue in [to_send, received] {
            queue.len().hash(state);
            for part in queue.iter() {
                state.write(part);
            }
        }
        timers.digest(now, state);
        challenges.digest(now, state);
        (soft_error, acks_due, events, released, wants_room, has_read, end).hash(state);
        (urgent_unread, keep_alive_probes, keep_alive_due, received_dscp).hash(state);
        // Without a limit on the wait it does not matter how long it has lasted.
        self.patience().map(|_| now.since(*moved)).hash(state);
        (nodelay, corked, push, urgent).hash(state);
    }
}

/// What a half-open record hands over when its handshake completes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HalfDone {
    pub(crate) iss: SeqNum,
    pub(crate) peer: Peer,
    /// When the first SYN,ACK left; a cookie does not know.
    pub(crate) sent_at: Option<Instant>,
    pub(crate) retries: u8,
}
