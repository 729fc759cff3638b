//! Who is who: dispatch by four-tuple, listeners, half-open and TIME-WAIT records, strangers, ICMP.

mod cookies;
mod demux;
mod half_open;
mod icmp;
mod keys;
mod limits;
mod listener;
mod listening;
mod look;
mod park;
pub(crate) mod path_mtu;
mod ports;
mod reassembly;
mod stray;
pub(crate) mod time_wait;

use crate::connection::handshake::ts_clock;
use crate::connection::{Connection, Link};
use crate::counters::{add, bump};
use crate::event::{ConnectionId, EndpointEvent, ListenerId, TimeWaitRecord};
use crate::frame::{Checksum, Frame, Input, Segment};
use crate::recv::Text;
use crate::transmit::{HeaderBytes, Transmit};
use crate::{
    Cidr, ConnectError, ConnectionConfig, Counters, Cx, DiscardReason, EndpointConfig, Instant, Pressure,
    Tuple,
};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bytes::Bytes;
use carrick_wire::{IpView, Protocol, TcpFlags, TcpView, martian};
use cookies::Cookies;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use demux::{Demux, Entry};
use keys::Keys;
use limits::Bucket;
use listener::Listeners;
pub use park::{ParkedEnd, ParkedId, ParkedSyn, Refusal, SynOffer};
use path_mtu::Paths;
use ports::Counters as PortCounters;
use reassembly::{Kept, Reassembly};
use time_wait::Verdict;

/// Most replies that wait for the device. Beyond that what would be answered is dropped, as a full network
/// queue would.
const MAX_REPLIES: usize = 256;

/// Most records of one kind that one call ends (T-FLD-11). What is left is due at once.
const ENDED_PER_CALL: usize = 256;

/// Most places of half-open records that one call looks at for those whose listener has gone.
const SWEPT_PER_CALL: usize = 4096;

/// Listeners, half-open and TIME-WAIT records, and the table that finds a packet's connection.
///
/// See the [contract](crate#the-contract): after any change, drain.
///
/// # Examples
/// ```
/// use carrick_core::{Cx, Dispatch, Endpoint, EndpointConfig, Frame, Instant, ListenAddr, ListenConfig};
///
/// let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
/// let mut endpoint = Endpoint::new(config.into(), [7; 32]); // a seed from a good source
/// let http = ListenAddr { address: None, port: 80.try_into().ok() };
/// endpoint.listen(http, ListenConfig::default())?;
/// let garbage = Frame::new(&[0x45, 0, 0]);
/// assert!(matches!(endpoint.handle_frame(&Cx::new(Instant::ZERO), garbage), Dispatch::Discard(_)));
/// assert_eq!(endpoint.counters().frames, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    config: Arc<EndpointConfig>,
    keys: Keys,
    demux: Demux,
    listeners: Listeners,
    cookies: Cookies,
    replies: VecDeque<Reply>,
    /// What parked SYNs have come to that somebody has heard of.
    parked_ends: VecDeque<ParkedEnd>,
    resets: Bucket,
    icmp_errors: Bucket,
    echo_replies: Bucket,
    reassembly: Reassembly,
    paths: Paths,
    /// A listener has gone: half-open records from this one on may have been its.
    unswept: Option<u32>,
    /// The least MTU that the link has had: what is advertised.
    least_mtu: u16,
    counters: Counters,
    clock: Instant,
    generation: u32,
    next_ports: PortCounters,
}

/// A packet of the endpoint's own that is due.
#[derive(Clone, Debug)]
struct Reply {
    header: HeaderBytes,
    payload: Bytes,
    tcp: bool,
    /// It has been sent before.
    again: bool,
}

/// Whom a frame concerns.
#[derive(Debug)]
#[must_use = "an existing or opened connection needs the input"]
pub enum Dispatch<'f> {
    /// A segment or an ICMP error for that connection: give it to
    /// [`Connection::handle_input`].
    Existing(ConnectionId, Input<'f>),
    /// This segment completed a handshake of that listener's: store the connection, give it the segment,
    /// then hand it to whoever accepts, and say so with [`Endpoint::accepted`].
    Opened(ListenerId, ConnectionId, Box<Connection>, Segment<'f>),
    /// The endpoint dealt with it, and may have a reply due.
    Answered,
    /// Kept for later: a fragment, a parked SYN.
    Held,
    /// The last fragment of this packet: give it to [`Endpoint::handle_frame`], in a frame of its own.
    Reassembled(Bytes),
    /// Dropped, and counted.
    Discard(DiscardReason),
}

impl Endpoint {
    /// An endpoint whose secrets all derive from `seed`, which must come from a good source and be used
    /// once; the same seed and inputs give the same bytes.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// let endpoint = Endpoint::new(EndpointConfig::default().into(), [7; 32]);
    /// assert_eq!(endpoint.connections(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(config: Arc<EndpointConfig>, seed: [u8; 32]) -> Self {
        let keys = Keys::new(seed);
        Self {
            resets: Bucket::new(config.resets),
            icmp_errors: Bucket::new(config.icmp_errors),
            echo_replies: Bucket::new(config.echo_replies),
            reassembly: Reassembly::new(config.reassembly, keys.clone()),
            paths: Paths::new(keys.clone()),
            unswept: None,
            least_mtu: config.mtu,
            demux: Demux::new(&config, &keys),
            cookies: Cookies::new(keys.clone(), &config),
            config,
            listeners: Listeners::new(keys.clone()),
            next_ports: PortCounters::new(&keys),
            keys,
            replies: VecDeque::new(),
            parked_ends: VecDeque::new(),
            counters: Counters::default(),
            clock: Instant::ZERO,
            generation: 0,
        }
    }

    /// Connects (active OPEN); the SYN is due from the connection. Of `local`, an unspecified address and
    /// port 0 mean: choose.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// use carrick_core::{ConnectError, ConnectionConfig};
    ///
    /// let settings = std::sync::Arc::new(ConnectionConfig::default());
    /// let (_id, connection) = endpoint.connect(&cx, None, "192.0.2.2:80".parse()?, settings.clone())?;
    /// assert_eq!(connection.local_addr().ip(), "192.0.2.1".parse::<std::net::IpAddr>()?);
    /// let to_nobody = endpoint.connect(&cx, None, "192.0.2.2:0".parse()?, settings);
    /// assert_eq!(to_nobody.unwrap_err(), ConnectError::InvalidRemote);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(
        &mut self,
        cx: &Cx,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: Arc<ConnectionConfig>,
    ) -> Result<(ConnectionId, Box<Connection>), ConnectError> {
        let now = self.advance_clock(cx).now;
        let address = remote.ip();
        if remote.port() == 0
            || martian::is_martian_destination(address)
            || martian::is_group(address)
            || self.is_broadcast(address)
        {
            return Err(ConnectError::InvalidRemote);
        }
        if cx.memory.pressure >= Pressure::High || self.demux.connections.len() >= self.config.max_connections
        {
            return Err(ConnectError::Limit);
        }
        let tuple = self.choose_local(local, remote)?;
        let iss = config.initial_sequence.unwrap_or_else(|| self.keys.isn(&tuple, now));
        let iss = if fault!(self.config, IsnConstant) { carrick_wire::SeqNum::new(1) } else { iss };
        let iss = self.take_over_time_wait(&tuple, iss);
        let generation = self.next_generation();
        let index = self.demux.insert_connection(&self.keys, tuple, generation).ok_or(ConnectError::Limit)?;
        let mut connection = Connection::connect(tuple, config, self.link_of(&tuple), iss, now);
        connection.start_path(self.mtu_to(tuple.remote));
        bump(&mut self.counters.active_opens);
        Ok((ConnectionId { index, generation }, Box::new(connection)))
    }

    /// Says whom a received frame concerns. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// use carrick_core::{Dispatch, Frame};
    ///
    /// let packet = [0; 40]; // as the device gave it
    /// match endpoint.handle_frame(&cx, Frame::new(&packet)) {
    ///     Dispatch::Existing(_id, _input) => { /* that connection's `handle_input` */ }
    ///     Dispatch::Opened(_listener, _id, _connection, _segment) => { /* store it, then the same */ }
    ///     Dispatch::Reassembled(_whole) => { /* `handle_frame` once more */ }
    ///     Dispatch::Answered | Dispatch::Held | Dispatch::Discard(_) => {}
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_frame<'f>(&mut self, cx: &Cx, frame: Frame<'f>) -> Dispatch<'f> {
        let cx = self.advance_clock(cx);
        bump(&mut self.counters.frames);
        let following = frame.following();
        // Beyond 65,535 no length field can agree, so the packet is refused for that.
        let packet = match IpView::parse_head(frame.bytes, u16::try_from(following).unwrap_or(u16::MAX)) {
            Ok(packet) => packet,
            Err(error) => return self.malformed(frame.bytes, error),
        };
        let (src, dst) = (packet.src(), packet.dst());
        if martian::is_martian_source(src) || martian::is_martian_destination(dst) || self.is_broadcast(src) {
            return self.discard(DiscardReason::Martian);
        }
        if !frame.looped && (src == dst || self.is_local(src)) {
            return self.discard(DiscardReason::OwnSource);
        }
        if martian::is_group(dst) || self.is_broadcast(dst) {
            // Of all that may be sent to a group only an ICMPv6 echo request is answered.
            return match packet.fragment() {
                None if packet.protocol() == Protocol::ICMPV6 => self.icmp(&packet),
                _ => self.discard(DiscardReason::NotOurs),
            };
        }
        if packet.fragment().is_some() {
            return self.fragment(&cx, &frame, &packet);
        }
        match packet.protocol() {
            _ if !self.is_for_us(dst) => self.discard(DiscardReason::NotOurs),
            Protocol::TCP => self.tcp(&cx, &frame, &packet),
            // Whose an error is its quote decides.
            Protocol::ICMP | Protocol::ICMPV6 => self.icmp(&packet),
            _ if !self.is_local(dst) => self.discard(DiscardReason::NotOurs),
            Protocol::UDP
                if frame.checksum == Checksum::Unknown
                    && !icmp::udp_checksum_is_right(&packet, frame.parts.0) =>
            {
                self.discard(DiscardReason::BadChecksum)
            }
            _ => self.unknown_protocol(&packet),
        }
    }

    /// A part of a packet, which is kept until the others have come.
    fn fragment<'f>(&mut self, cx: &Cx, frame: &Frame<'f>, packet: &IpView<&'f [u8]>) -> Dispatch<'f> {
        if !self.reassembly.is_on() || !frame.parts.0.is_empty() {
            return self.discard(DiscardReason::Fragment);
        }
        if !self.is_for_us(packet.dst()) {
            return self.discard(DiscardReason::NotOurs);
        }
        let whole = match self.reassembly.insert(cx.now, packet) {
            Kept::Waits => Dispatch::Held,
            Kept::Whole(whole) => Dispatch::Reassembled(whole),
            Kept::Duplicate => return self.discard(DiscardReason::FragmentDuplicate),
            Kept::Overlap => return self.discard(DiscardReason::FragmentOverlap),
            Kept::Limit => return self.discard(DiscardReason::FragmentLimit),
        };
        bump(&mut self.counters.held);
        whole
    }

    fn tcp<'f>(&mut self, cx: &Cx, frame: &Frame<'f>, packet: &IpView<&'f [u8]>) -> Dispatch<'f> {
        let view = match TcpView::parse(packet.payload_slice()) {
            Ok(view) => view,
            Err(error) => {
                self.count_segments(frame, 0);
                bump(&mut self.counters.in_errors);
                return self.discard(DiscardReason::Malformed(error));
            }
        };
        let text = view.payload_slice().len().saturating_add(frame.following());
        let segments = self.count_segments(frame, text);
        if frame.checksum == Checksum::Unknown && !checksum_is_right(packet, frame.parts.0) {
            add(&mut self.counters.in_errors, segments);
            return self.discard(DiscardReason::BadChecksum);
        }
        if view.src_port() == 0 || view.dst_port() == 0 {
            return self.discard(DiscardReason::PortZero);
        }
        let tuple = Tuple {
            local: packet.dst(),
            remote: packet.src(),
            local_port: view.dst_port(),
            remote_port: view.src_port(),
        };
        let payload = view.payload_slice();
        // The payload is the packet's end, so its place follows from the lengths.
        let at = packet.total_len().saturating_sub(payload.len());
        let segment = Segment {
            seq: view.seq(),
            ack: view.ack(),
            flags: view.flags(),
            window: view.window(),
            urgent: view.urgent(),
            dscp: packet.tos() >> 2,
            options: *view.options(),
            text: Text::new(payload, frame.shared.map(|(owner, pinned)| (owner, at, pinned)), frame.parts),
            segment_size: frame.segment_size,
            ecn: packet.ecn(),
        };
        if segment.has(TcpFlags::SYN) && segment.options.window_scale.is_some_and(|shift| shift > 14) {
            bump(&mut self.counters.excess_scales);
        }
        self.segment(cx, tuple, segment)
    }

    /// Counts what a frame with so much text stands for, unless it has been counted.
    fn count_segments(&mut self, frame: &Frame<'_>, text: usize) -> u64 {
        let segments = match frame.segment_size {
            Some(size) if size > 0 => text.div_ceil(size.into()).max(1) as u64,
            _ => 1,
        };
        if !frame.again {
            add(&mut self.counters.in_segments, segments);
        }
        segments
    }

    fn segment<'f>(&mut self, cx: &Cx, tuple: Tuple, segment: Segment<'f>) -> Dispatch<'f> {
        match self.demux.find(&self.keys, &tuple) {
            Some(Entry::Connection(index)) => self.existing(index, Input::Segment(segment)),
            Some(Entry::HalfOpen(index)) => self.half_open_segment(cx, index, segment),
            Some(Entry::TimeWait(index)) => self.time_wait_segment(cx, index, tuple, &segment),
            None => self.no_connection(cx, tuple, segment),
        }
    }

    /// §3.10.7.1 and §3.10.7.2: CLOSED and LISTEN.
    fn no_connection<'f>(&mut self, cx: &Cx, tuple: Tuple, segment: Segment<'f>) -> Dispatch<'f> {
        let Some(id) = self.listeners.find(tuple.local, tuple.local_port) else {
            return self.stray(tuple, &segment);
        };
        if segment.has(TcpFlags::RST) {
            return self.discard(DiscardReason::StrayReset);
        }
        if segment.has(TcpFlags::ACK) {
            if segment.has(TcpFlags::SYN) || !self.cookies.outstanding(cx.now) {
                return self.stray(tuple, &segment);
            }
            return self.cookie_segment(cx, id, tuple, None, segment);
        }
        if !segment.has(TcpFlags::SYN) {
            return self.discard(DiscardReason::Unexpected);
        }
        self.syn_to_listener(cx, id, tuple, &segment, None)
    }

    fn time_wait_segment<'f>(
        &mut self,
        cx: &Cx,
        index: u32,
        tuple: Tuple,
        segment: &Segment<'f>,
    ) -> Dispatch<'f> {
        let Some(record) = self.demux.time_waits.get_mut(index) else {
            return self.discard(DiscardReason::Gone);
        };
        let rfc1337 = self.config.rfc1337 && !fault!(self.config, TimeWaitAssassinated);
        match time_wait::segment_arrives(record, segment, rfc1337) {
            Verdict::Drop(DiscardReason::UnexpectedSyn) if fault!(self.config, TimeWaitReopened) => {
                return self.reopen_time_wait(cx, index, tuple, segment);
            }
            Verdict::Drop(reason) => return self.discard(reason),
            Verdict::Answer => {}
            Verdict::Restart if fault!(self.config, TimeWaitSilent) => {
                return self.discard(DiscardReason::Unexpected);
            }
            Verdict::Restart => {
                let before = record.deadline;
                record.deadline = cx.now + self.config.msl.saturating_mul(2);
                self.demux.renew_time_wait(index, before);
            }
            Verdict::Close => {
                self.demux.remove_time_wait(&self.keys, index);
                return self.answered();
            }
            Verdict::Reopen => return self.reopen_time_wait(cx, index, tuple, segment),
        }
        if self.replies_full() {
            return self.discard(DiscardReason::ReplyQueueFull);
        }
        let Some(record) = self.demux.time_waits.get(index) else { return self.discard(DiscardReason::Gone) };
        let tcp = time_wait::ack(record, ts_clock(cx.now, self.keys.ts_offset(&tuple)));
        let (dscp, hop_limit) = (record.dscp, record.hop_limit);
        self.reply_as(&tuple, dscp, hop_limit, tcp);
        self.answered()
    }

    /// A SYN that RFC 6191 admits: a half-open record takes the place of the TIME-WAIT record, and keeps it for the
    /// case that the SYN turns out to be an old duplicate (RFC 9293 §3.6.1 MAY-2).
    fn reopen_time_wait<'f>(
        &mut self,
        cx: &Cx,
        index: u32,
        tuple: Tuple,
        segment: &Segment<'f>,
    ) -> Dispatch<'f> {
        let Some(id) = self.listeners.find(tuple.local, tuple.local_port) else {
            return self.discard(DiscardReason::UnexpectedSyn);
        };
        // Timestamps count that the new connection would use, which is the listener's to say.
        let listener = self.listeners.get(id);
        let timestamps = segment.options.timestamps;
        let used = timestamps.filter(|_| listener.is_some_and(|listener| listener.connection.timestamps));
        let record = self.demux.time_waits.get(index);
        let reopens = record.is_some_and(|record| time_wait::may_reopen(record, segment.seq, used));
        if !reopens && !fault!(self.config, TimeWaitReopened) {
            return self.discard(DiscardReason::UnexpectedSyn);
        }
        // A SYN that is turned away leaves the record as it was.
        self.syn_to_listener(cx, id, tuple, segment, Some(index))
    }

    /// Keeps a TIME-WAIT record; the oldest goes where there are too many.
    fn keep_time_wait(&mut self, record: TimeWaitRecord) {
        if self.config.max_time_wait == 0 {
            return;
        }
        while self.demux.time_waits.len() >= self.config.max_time_wait {
            let Some((_, oldest)) = self.demux.oldest_time_wait() else { break };
            self.demux.remove_time_wait(&self.keys, oldest);
            bump(&mut self.counters.time_wait_recycled);
        }
        self.demux.insert_time_wait(&self.keys, record);
    }

    /// What a connection's [`poll_endpoint_event`](Connection::poll_endpoint_event) said. After one that
    /// [ends](EndpointEvent::is_end) `id` is nobody's.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Connection, ConnectionId, Cx, Endpoint};
    /// fn tell(endpoint: &mut Endpoint, id: ConnectionId, connection: &mut Connection, cx: &Cx) {
    ///     while let Some(event) = connection.poll_endpoint_event() {
    ///         endpoint.handle_event(cx, id, event);
    ///     }
    /// }
    /// ```
    pub fn handle_event(&mut self, cx: &Cx, id: ConnectionId, event: EndpointEvent) {
        self.advance_clock(cx);
        if let EndpointEvent::PathMtu(mtu) = event {
            let place = self.demux.connections.get(id.index);
            let remote =
                place.filter(|place| place.generation == id.generation).map(|place| place.tuple.remote);
            if let Some(remote) = remote {
                self.path_lowered(remote, mtu);
            }
            return;
        }
        if self.demux.remove_connection(&self.keys, id.index, id.generation).is_none() {
            return;
        }
        if let EndpointEvent::TimeWait(record) = event {
            self.keep_time_wait(record);
        }
    }

    /// Does what is due at `cx.now`: SYN,ACKs again, parked SYNs and TIME-WAIT over. One call does so much and no
    /// more; if there is more, [`poll_timeout`](Self::poll_timeout) says that it is due. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// if endpoint.poll_timeout().is_some_and(|due| due <= cx.now) {
    ///     endpoint.handle_timeout(&cx);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_timeout(&mut self, cx: &Cx) {
        let cx = self.advance_clock(cx);
        self.sweep_half_open();
        self.half_open_timeouts(&cx);
        for _ in 0..ENDED_PER_CALL {
            let Some(first) = self.reassembly.expire(cx.now) else { break };
            if let Some(first) = first {
                self.reassembly_failed(&first);
            }
        }
        self.parked_timeouts(&cx);
        self.cookies.expire(cx.now);
        for _ in 0..ENDED_PER_CALL {
            let oldest = self.demux.oldest_time_wait().filter(|(deadline, _)| *deadline <= cx.now);
            let Some((_, index)) = oldest else { break };
            self.demux.remove_time_wait(&self.keys, index);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; none means never. A time that has passed: the last call
    /// has left something for the next.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// assert_eq!(endpoint.poll_timeout(), None, "nothing has happened yet");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let time_wait = self.demux.oldest_time_wait().map(|(deadline, _)| deadline);
        let others = [self.sweep_deadline(), self.cookies.deadline(), time_wait, self.reassembly.deadline()];
        // Of their lists there are many, and nearly always all are empty.
        let half_open = if self.demux.half_open.len() == 0 {
            [None; 2]
        } else {
            [self.half_open_deadline(), self.parked_deadline()]
        };
        half_open.into_iter().chain(others).flatten().min()
    }

    /// The next packet of the endpoint's own. Call it until it gives nothing.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// use carrick_core::Taken;
    ///
    /// while let Some(reply) = endpoint.poll_transmit(&cx) {
    ///     // Its header and payload go to the device here.
    ///     reply.sent(Taken::All);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_transmit(&mut self, cx: &Cx) -> Option<Transmit<'_>> {
        self.advance_clock(cx);
        let Reply { header, payload, tcp, again } = self.replies.front()?.clone();
        Some(Transmit::from_endpoint(header, self, payload, tcp, again))
    }

    pub(crate) fn commit_reply(&mut self) {
        self.replies.pop_front();
        if self.replies.is_empty() {
            self.replies = VecDeque::new();
        }
    }

    fn push_reply(&mut self, header: HeaderBytes, payload: Bytes, tcp: bool) {
        if !self.replies_full() {
            self.replies.push_back(Reply { header, payload, tcp, again: false });
        }
    }

    fn replies_full(&self) -> bool {
        self.replies.len() >= MAX_REPLIES
    }

    fn answered<'f>(&mut self) -> Dispatch<'f> {
        bump(&mut self.counters.answered);
        Dispatch::Answered
    }

    fn held<'f>(&mut self) -> Dispatch<'f> {
        bump(&mut self.counters.held);
        Dispatch::Held
    }

    fn discard<'f>(&mut self, reason: DiscardReason) -> Dispatch<'f> {
        self.counters.discard(reason);
        Dispatch::Discard(reason)
    }

    fn advance_clock(&mut self, cx: &Cx) -> Cx {
        self.clock = self.clock.max(cx.now);
        Cx { now: self.clock, ..*cx }
    }

    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    fn link_of(&self, tuple: &Tuple) -> Link {
        Link {
            mtu: self.mtu_to(tuple.remote).link,
            least_mtu: self.least_mtu,
            min_path_mtu: self.min_path_mtu(tuple.remote),
            hop_limit: self.config.hop_limit,
            dscp: 0,
            flow_label: self.keys.flow_label(tuple),
            ts_offset: self.keys.ts_offset(tuple),
            msl: u32::try_from(self.config.msl.as_millis()).unwrap_or(u32::MAX),
            rfc1337: self.config.rfc1337,
        }
    }

    /// The addresses that are ours.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// assert_eq!(endpoint.local_addresses(), ["192.0.2.1/24".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn local_addresses(&self) -> &[Cidr] {
        &self.config.addresses
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.config.addresses.iter().any(|cidr| cidr.address == address)
    }

    /// Whether packets to a unicast address concern us.
    fn is_for_us(&self, address: IpAddr) -> bool {
        self.config.any_address || self.is_local(address)
    }

    fn may_listen_on(&self, address: IpAddr) -> bool {
        let unicast = !martian::is_martian_destination(address) && !martian::is_group(address);
        self.is_local(address) || (self.config.any_address && unicast && !self.is_broadcast(address))
    }

    fn is_broadcast(&self, address: IpAddr) -> bool {
        self.config.addresses.iter().any(|cidr| cidr.broadcast() == Some(address))
    }

    /// Feeds what is known of tuples to a hash; times relative to `now`. What strangers may still be told is not
    /// part of it.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// use std::hash::{DefaultHasher, Hasher};
    ///
    /// let (mut ours, mut copy) = (DefaultHasher::new(), DefaultHasher::new());
    /// endpoint.digest(cx.now, &mut ours);
    /// endpoint.clone().digest(cx.now, &mut copy);
    /// assert_eq!(ours.finish(), copy.finish());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn digest(&self, now: Instant, state: &mut impl Hasher) {
        self.listeners.digest(state);
        for (_, place) in self.demux.connections.iter() {
            place.tuple.hash(state);
        }
        for (_, record) in self.demux.half_open.iter() {
            record.digest(now, state);
        }
        for (_, record) in self.demux.time_waits.iter() {
            record.digest(now, state);
        }
        self.reassembly.digest(now, state);
        self.paths.digest(now, state);
        self.cookies.digest(now, state);
        (self.replies.len(), self.parked_ends.len(), self.unswept.is_some()).hash(state);
    }
}

/// Whether the checksum of a packet of TCP or UDP is right, the rest of its payload being in `parts`.
fn checksum_is_right(packet: &IpView<&[u8]>, parts: &[Bytes]) -> bool {
    let head = packet.payload_slice();
    let len = parts.iter().fold(head.len(), |sum, part| sum.saturating_add(part.len()));
    let mut sum = carrick_wire::Checksum::pseudo_header(packet.src(), packet.dst(), packet.protocol(), len);
    sum.add(head);
    for part in parts {
        sum.add(part);
    }
    sum.fold() == u16::MAX
}
