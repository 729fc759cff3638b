//! One real endpoint and one scripted peer, in virtual time.
//!
//! ```
//! use carrick_sim::{Scene, Span, TcpState, seg};
//!
//! let mut s = Scene::established(); // sequence numbers below are relative to ISS and IRS
//! s.inject(seg().seq(1).ack(1).data(b"hello"));
//! s.expect(seg().seq(1).ack(6));
//! assert_eq!(s.read(), b"hello");
//! s.finish();
//! s.expect(seg().fin().seq(1).ack(6));
//! s.expect_nothing();
//! assert_eq!(s.state(), TcpState::FinWait1);
//! s.advance(10.ms());
//! ```
//!
//! Time moves only by [`advance`](Scene::advance) and [`advance_to_next_timer`](Scene::advance_to_next_timer). The
//! oracles look at every step; a script that fails prints the exchange so far.

mod builder;

use crate::host::{Host, HostConfig};
use crate::oracles::Violation;
use crate::packet::{Packet, SegmentView, Trace};
use crate::segment::{Seg, Text, pattern};
use crate::time::Span;
pub use builder::Builder;
use carrick_core::{
    Checksum, Cidr, Connection, ConnectionError, ConnectionId, Cx, Event, Instant, ListenAddr, ListenConfig,
    ListenerId, SendError, TcpState,
};
use carrick_wire::{Ecn, SackBlock, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps, WireWindow};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

/// The port that the scene's server side listens on, whichever side that is.
const SERVER_PORT: u16 = 80;
const CLIENT_PORT: u16 = 40_000;

/// One endpoint of ours against one scripted peer.
#[derive(Debug)]
pub struct Scene {
    settings: Builder,
    host: Host,
    now: Instant,
    trace: Trace,
    sent: VecDeque<Packet>,
    listener: Option<ListenerId>,
    id: Option<ConnectionId>,
    /// Our address and the peer's, as they are in the conversation on stage.
    local: SocketAddr,
    remote: SocketAddr,
    iss: SeqNum,
    irs: SeqNum,
    /// One past the greatest number that the peer has sent, relative.
    peer_next: u32,
    /// Our SYN's options, once it was seen.
    offered: Option<TcpOptions>,
    /// The peer's SYN's options.
    answered: Option<TcpOptions>,
    /// The last timestamp we sent.
    ts_recent: u32,
    failed: std::cell::Cell<bool>,
}

impl Scene {
    /// Settings as said at each of the builder's methods.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// [`Builder::listening`] with the default settings.
    #[must_use]
    pub fn listening() -> Self {
        Self::builder().listening()
    }

    /// [`Builder::connecting`] with the default settings.
    #[must_use]
    #[track_caller]
    pub fn connecting() -> Self {
        Self::builder().connecting()
    }

    /// [`Builder::established`] with the default settings.
    #[must_use]
    #[track_caller]
    pub fn established() -> Self {
        Self::builder().established()
    }

    fn new(mut settings: Builder) -> Self {
        let (ours, theirs, prefix): (IpAddr, IpAddr, u8) = if settings.v6 {
            let address = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into();
            (address(2), address(1), 64)
        } else {
            (Ipv4Addr::new(192, 0, 2, 2).into(), Ipv4Addr::new(192, 0, 2, 1).into(), 24)
        };
        let (iss, irs) = (SeqNum::new(settings.isn.0), SeqNum::new(settings.isn.1));
        settings.endpoint.mtu = settings.mtu;
        if settings.endpoint.addresses.is_empty() {
            settings.endpoint.addresses.push(Cidr::new(ours, prefix));
        }
        settings.connection.initial_sequence = Some(iss);
        let mut config = HostConfig::new(settings.endpoint.clone(), settings.seed);
        config.budget = settings.budget;
        config.offload = settings.offload;
        Self {
            host: Host::new(config),
            now: Instant::ZERO + 1.secs(),
            trace: Trace::default(),
            sent: VecDeque::new(),
            listener: None,
            id: None,
            local: SocketAddr::new(ours, SERVER_PORT),
            remote: SocketAddr::new(theirs, CLIENT_PORT),
            iss,
            irs,
            peer_next: 0,
            offered: None,
            answered: None,
            ts_recent: 0,
            failed: std::cell::Cell::new(false),
            settings,
        }
    }

    // The application.

    /// Listens on port 80.
    #[track_caller]
    pub fn listen(&mut self) {
        let port = NonZeroU16::new(SERVER_PORT);
        let config = ListenConfig {
            backlog: self.settings.backlog,
            connection: self.settings.connection.clone(),
            ..self.settings.listen.clone()
        };
        match self.host.listen(ListenAddr { address: None, port }, config) {
            Ok(id) => self.listener = Some(id),
            Err(error) => self.fail(&format!("listen: {error}")),
        }
        self.pin();
    }

    /// Begins a connection to the peer's port 80.
    #[track_caller]
    pub fn connect(&mut self) {
        self.remote.set_port(SERVER_PORT);
        self.note("connect");
        let config = Arc::new(self.settings.connection.clone());
        match self.host.connect(self.now, None, self.remote, config) {
            Ok(id) => self.id = Some(id),
            Err(error) => self.fail(&format!("connect: {error}")),
        }
        if let Some(connection) = self.id.and_then(|id| self.host.connection(id)) {
            self.local = connection.local_addr();
        }
        self.pin();
        self.after();
    }

    fn pin(&mut self) {
        self.trace.pin(self.local, self.remote, self.iss);
        self.trace.pin(self.remote, self.local, self.irs);
    }

    /// Takes a connection off the listener's queue; false if none waits. The conversation goes on with it.
    #[track_caller]
    pub fn accept(&mut self) -> bool {
        let accepted = self.listener.and_then(|listener| self.host.accept(listener));
        self.note(if accepted.is_some() { "accept" } else { "accept: none" });
        if let Some(connection) = accepted.and_then(|id| self.host.connection(id)) {
            self.id = accepted;
            self.local = connection.local_addr();
            self.remote = connection.remote_addr();
        }
        accepted.is_some()
    }

    /// Stops listening.
    #[track_caller]
    pub fn unlisten(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.note("unlisten");
            self.host.unlisten(self.now, listener);
            self.after();
        }
    }

    /// Writes; all of it must fit.
    #[track_caller]
    pub fn send(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        match self.try_send(data) {
            Ok(taken) if taken == data.len() => {}
            other => self.fail(&format!("send of {} bytes: {other:?}", data.len())),
        }
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// As [`Connection::send`].
    #[track_caller]
    pub fn try_send(&mut self, data: &[u8]) -> Result<usize, SendError> {
        let id = self.id();
        self.note(&format!("send {} bytes", data.len()));
        let result = self.host.send(self.now, id, data);
        self.after();
        result
    }

    /// Writes as urgent; all of it must fit.
    #[track_caller]
    pub fn send_urgent(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        match self.try_send_urgent(data) {
            Ok(taken) if taken == data.len() => {}
            other => self.fail(&format!("send of {} urgent bytes: {other:?}", data.len())),
        }
    }

    /// Writes what fits as urgent.
    ///
    /// # Errors
    /// As [`Connection::send_urgent`].
    #[track_caller]
    pub fn try_send_urgent(&mut self, data: &[u8]) -> Result<usize, SendError> {
        let id = self.id();
        self.note(&format!("send {} bytes, urgent", data.len()));
        let result = self.host.send_urgent(self.now, id, data);
        self.after();
        result
    }

    /// Switches Nagle's rule off or on.
    #[track_caller]
    pub fn set_nodelay(&mut self, nodelay: bool) {
        let id = self.id();
        self.note(&format!("nodelay: {nodelay}"));
        self.host.set_nodelay(self.now, id, nodelay);
        self.after();
    }

    /// Holds back what does not fill a segment, or lets it go.
    #[track_caller]
    pub fn set_cork(&mut self, corked: bool) {
        let id = self.id();
        self.note(&format!("cork: {corked}"));
        self.host.set_cork(self.now, id, corked);
        self.after();
    }

    /// Reads everything there is.
    #[track_caller]
    pub fn read(&mut self) -> Vec<u8> {
        self.read_up_to(usize::MAX)
    }

    /// Reads up to `max` bytes.
    #[track_caller]
    pub fn read_up_to(&mut self, max: usize) -> Vec<u8> {
        let id = self.id();
        let bytes = self.host.read(self.now, id, max);
        self.note(&format!("read {} bytes", bytes.len()));
        self.after();
        bytes
    }

    /// Writes no more.
    #[track_caller]
    pub fn finish(&mut self) {
        let id = self.id();
        self.note("finish");
        self.host.finish(self.now, id);
        self.after();
    }

    /// Lets go of the connection.
    #[track_caller]
    pub fn close(&mut self) {
        let id = self.id();
        self.note("close");
        self.host.close(self.now, id);
        self.after();
    }

    /// Resets the connection.
    #[track_caller]
    pub fn abort(&mut self) {
        let id = self.id();
        self.note("abort");
        self.host.abort(self.now, id);
        self.after();
    }

    /// Acts on the connection in a way that has no method here; it must be there.
    #[track_caller]
    pub fn with<T>(&mut self, what: &str, act: impl FnOnce(&mut Connection, &Cx) -> T) -> T {
        let id = self.id();
        self.note(what);
        let Some(result) = self.host.with(self.now, id, act) else { self.fail("the connection is gone") };
        self.after();
        result
    }

    // The peer.

    /// The peer sends a segment. What it does not say is filled in as an honest peer would: the next sequence
    /// number, the usual window, a SYN's options, timestamps where they were agreed on.
    #[track_caller]
    pub fn inject(&mut self, seg: Seg) {
        let packet = self.build(seg);
        self.inject_packet(&packet);
    }

    /// The peer sends segments that arrive together: the connection is asked for packets after the last.
    #[track_caller]
    pub fn inject_batch(&mut self, segs: impl IntoIterator<Item = Seg>) {
        let packets: Vec<_> = segs.into_iter().map(|seg| self.build(seg)).collect();
        for packet in &packets {
            self.trace.packet(self.now, "<", packet);
        }
        self.host.receive_batch(self.now, &packets);
        self.after();
    }

    fn build(&mut self, seg: Seg) -> Packet {
        let packet = self.packet(&seg);
        let count = seg.text.len() as u32
            + u32::from(seg.flags.contains(TcpFlags::SYN))
            + u32::from(seg.flags.contains(TcpFlags::FIN));
        let end = seg.seq.unwrap_or(self.peer_next).wrapping_add(count);
        // Numbers before the first one are no progress.
        if end < 1 << 31 {
            self.peer_next = self.peer_next.max(end);
        }
        if seg.flags.contains(TcpFlags::SYN) {
            self.answered = packet.segment().map(|view| view.tcp.options);
        }
        packet
    }

    /// The peer sends these bytes.
    #[track_caller]
    pub fn inject_bytes(&mut self, bytes: impl Into<bytes::Bytes>) {
        self.inject_packet(&Packet::new(bytes));
    }

    /// The peer's device delivers this packet.
    #[track_caller]
    pub fn inject_packet(&mut self, packet: &Packet) {
        self.trace.packet(self.now, "<", packet);
        self.host.receive(self.now, packet);
        self.after();
    }

    /// The packet that [`inject`](Self::inject) would send.
    #[must_use]
    pub fn packet(&self, seg: &Seg) -> Packet {
        let seq = seg.seq.unwrap_or(self.peer_next);
        let text = match &seg.text {
            Text::None => Vec::new(),
            Text::Bytes(bytes) => bytes.clone(),
            Text::Len(len) => pattern(u64::from(seq), *len),
        };
        let (src_port, dst_port) = seg.ports.unwrap_or((self.remote.port(), self.local.port()));
        let tcp = TcpHeader {
            src_port,
            dst_port,
            seq: self.irs + seq,
            ack: seg.ack.map_or(SeqNum::new(0), |ack| self.iss + ack),
            flags: seg.flags,
            window: WireWindow::new(seg.window.unwrap_or(self.settings.window)),
            urgent: seg.urgent,
            options: self.options_of(seg),
        };
        let tos = seg.ecn.map_or(0, Ecn::bits);
        let packet = Packet::tcp(self.remote.ip(), self.local.ip(), tos, &tcp, &text);
        let segment_size = seg.segment_size.and_then(NonZeroU16::new);
        Packet { segment_size, checksum: Checksum::Unknown, ..packet }
    }

    fn options_of(&self, seg: &Seg) -> TcpOptions {
        let Builder { v6, mtu, mss, window_scale, timestamps, sack, .. } = self.settings;
        let mut options = TcpOptions::default();
        let syn = seg.flags.contains(TcpFlags::SYN);
        // A SYN,ACK agrees only to what our SYN offered; a SYN offers all that the peer can do.
        let allowed = |ours: fn(&TcpOptions) -> bool| match self.offered {
            Some(offered) if seg.flags.contains(TcpFlags::ACK) => ours(&offered),
            _ => true,
        };
        if syn {
            options.mss = mss.or(Some(mtu - if v6 { 60 } else { 40 })).filter(|mss| *mss > 0);
            options.window_scale = window_scale.filter(|_| allowed(|ours| ours.window_scale.is_some()));
            options.sack_permitted = sack && allowed(|ours| ours.sack_permitted);
        }
        let agreed = |side: Option<TcpOptions>| side.is_some_and(|options| options.timestamps.is_some());
        let with_ts = match syn {
            true => timestamps && allowed(|ours| ours.timestamps.is_some()),
            false => agreed(self.offered) && agreed(self.answered),
        };
        if with_ts {
            let val = u32::try_from(self.now.as_millis() % (1 << 32)).unwrap_or(0);
            let ecr = if seg.flags.contains(TcpFlags::ACK) { self.ts_recent } else { 0 };
            options.timestamps = Some(Timestamps { val, ecr });
        }
        if let Some(mss) = seg.mss {
            options.mss = mss;
        }
        if let Some(shift) = seg.window_scale {
            options.window_scale = shift;
        }
        if let Some(permitted) = seg.sack_permitted {
            options.sack_permitted = permitted;
        }
        if let Some(timestamps) = seg.timestamps {
            options.timestamps = timestamps.map(|(val, ecr)| Timestamps { val, ecr });
        }
        for (left, right) in seg.sack.iter().flatten() {
            if let Some(block) = SackBlock::new(self.iss + *left, self.iss + *right) {
                options.sack.push(block);
            }
        }
        options
    }

    /// The next packet of ours must be like this.
    #[track_caller]
    pub fn expect(&mut self, expected: Seg) {
        let Some(packet) = self.sent.pop_front() else {
            self.fail(&format!("expected {expected}, and nothing was sent"));
        };
        let Some(seen) = packet.segment() else {
            self.fail(&format!("expected {expected}, got something that is no TCP segment"));
        };
        if let Some(difference) = self.difference(&expected, &seen, &packet) {
            self.fail(&format!("expected {expected}, got another {difference}"));
        }
    }

    fn difference(&self, expected: &Seg, seen: &SegmentView<'_>, packet: &Packet) -> Option<String> {
        let tcp = &seen.tcp;
        let differs = |name: &str, expected: String, seen: String| {
            (expected != seen).then(|| format!("{name}: {seen} instead of {expected}"))
        };
        let mut flags = tcp.flags;
        if !expected.flags.contains(TcpFlags::PSH) {
            flags = flags.difference(TcpFlags::PSH);
        }
        let ports = expected.ports.unwrap_or((self.local.port(), self.remote.port()));
        let text = match &expected.text {
            Text::Bytes(bytes) => seen.payload == bytes,
            other => seen.payload.len() == other.len(),
        };
        let ts = |ts: Timestamps| (ts.val, ts.ecr);
        let blocks = || -> Vec<(u32, u32)> {
            let relative = |seq: SeqNum| seq.distance_from(self.irs);
            tcp.options.sack.iter().map(|block| (relative(block.left()), relative(block.right()))).collect()
        };
        let as_expected = |expected: Option<u32>, seen: u32| expected.unwrap_or(seen).to_string();
        let seq = tcp.seq.distance_from(self.iss);
        let ack = tcp.ack.distance_from(self.irs);
        let window = tcp.window.get();
        differs("flags", expected.flags.to_string(), flags.to_string())
            .or_else(|| differs("seq", as_expected(expected.seq, seq), seq.to_string()))
            .or_else(|| differs("ack", as_expected(expected.ack, ack), ack.to_string()))
            .or_else(|| differs("window", expected.window.unwrap_or(window).to_string(), window.to_string()))
            .or_else(|| {
                (!text)
                    .then(|| format!("text: {} bytes instead of {}", seen.payload.len(), expected.text.len()))
            })
            .or_else(|| {
                let urgent =
                    if expected.flags.contains(TcpFlags::URG) { expected.urgent } else { tcp.urgent };
                differs("urgent pointer", urgent.to_string(), tcp.urgent.to_string())
            })
            .or_else(|| {
                differs("ports", format!("{ports:?}"), format!("{:?}", (seen.src.port(), seen.dst.port())))
            })
            .or_else(|| differs("mss", show(expected.mss, tcp.options.mss), format!("{:?}", tcp.options.mss)))
            .or_else(|| {
                let seen = tcp.options.window_scale;
                differs("window scale", show(expected.window_scale, seen), format!("{seen:?}"))
            })
            .or_else(|| {
                let seen = tcp.options.sack_permitted;
                differs("SACK-permitted", show(expected.sack_permitted, seen), format!("{seen:?}"))
            })
            .or_else(|| {
                let seen = tcp.options.timestamps.map(ts);
                differs("timestamps", show(expected.timestamps, seen), format!("{seen:?}"))
            })
            .or_else(|| differs("SACK", show(expected.sack.clone(), blocks()), format!("{:?}", blocks())))
            .or_else(|| differs("ECN", show(expected.ecn, seen.ecn), format!("{:?}", seen.ecn)))
            .or_else(|| {
                let seen = packet.segment_size.map(NonZeroU16::get);
                differs(
                    "segment size",
                    show(expected.segment_size, seen.unwrap_or(0)),
                    show(None, seen.unwrap_or(0)),
                )
            })
    }

    /// The next packet of ours, whatever it is.
    pub fn take(&mut self) -> Option<Packet> {
        self.sent.pop_front()
    }

    /// Nothing more was sent than what the script has expected.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        if !self.sent.is_empty() {
            self.fail(&format!("{} packets more than expected", self.sent.len()));
        }
    }

    // Time.

    /// Time passes; timers are served when they are due.
    #[track_caller]
    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        let mut steps = 0;
        while let Some(due) = self.host.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.host.expire(self.now);
            self.after();
            steps += 1;
            if steps > 1_000_000 {
                self.fail("O-1 violated: a million timers in one advance");
            }
        }
        self.now = end;
    }

    /// Time passes; timers that come due meanwhile are served at its end, as by a driver that wakes up late.
    #[track_caller]
    pub fn advance_late(&mut self, by: Duration) {
        self.now += by;
        self.host.expire(self.now);
        self.after();
    }

    /// Time passes until the next timer is due, which is served. Says how long that took; `None` if no timer
    /// runs.
    #[track_caller]
    pub fn advance_to_next_timer(&mut self) -> Option<Duration> {
        let due = self.host.poll_timeout()?.max(self.now);
        let passed = due.since(self.now);
        self.advance(passed);
        Some(passed)
    }

    /// What time it is.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    // Looking.

    /// The conversation's state, by the RFC's name.
    #[must_use]
    pub fn state(&self) -> TcpState {
        let endpoint = self.host.endpoint();
        // What the application still holds of a connection that has ended says nothing of its successors.
        if let Some(connection) = self.connection()
            && (connection.state() != TcpState::Closed || endpoint.time_wait() + endpoint.half_open() == 0)
        {
            return connection.state();
        }
        if endpoint.time_wait() > 0 {
            TcpState::TimeWait
        } else if endpoint.half_open() > 0 {
            TcpState::SynReceived
        } else if self.listener.is_some() && self.id.is_none() {
            TcpState::Listen
        } else {
            TcpState::Closed
        }
    }

    /// Why the connection ended.
    #[must_use]
    pub fn error(&self) -> Option<ConnectionError> {
        self.id.and_then(|id| self.host.error(id))
    }

    /// What has happened to the connection since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        self.id.map(|id| self.host.take_events(id)).unwrap_or_default()
    }

    /// The connection on stage.
    #[must_use]
    pub fn connection(&self) -> Option<&Connection> {
        self.id.and_then(|id| self.host.connection(id))
    }

    /// Whether all that the peer said has been read, its FIN included.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.connection().is_some_and(Connection::at_end)
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The host, to do what a script has no word for. Call [`check`](Self::check) afterwards.
    pub const fn host_mut(&mut self) -> &mut Host {
        &mut self.host
    }

    /// Our address in the conversation.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The peer's address in the conversation.
    #[must_use]
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The exchange so far, one line per packet and per call of the application.
    #[must_use]
    pub fn transcript(&self) -> String {
        let mut text = String::new();
        for line in self.trace.lines() {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// Takes what was sent and asks the oracles.
    #[track_caller]
    pub fn check(&mut self) {
        self.after();
    }

    #[track_caller]
    fn id(&self) -> ConnectionId {
        self.id.unwrap_or_else(|| self.fail("there is no connection yet"))
    }

    fn note(&mut self, text: &str) {
        self.trace.note(self.now, &format!("- {text}"));
    }

    #[track_caller]
    fn after(&mut self) {
        for packet in self.host.take_packets() {
            self.trace.packet(self.now, ">", &packet);
            if let Some(segment) = packet.segment() {
                if segment.has(TcpFlags::SYN) {
                    self.offered = Some(segment.tcp.options);
                }
                self.ts_recent = segment.tcp.options.timestamps.map_or(self.ts_recent, |ts| ts.val);
            }
            self.sent.push_back(packet);
        }
        if let Some(violation) = self.violation() {
            self.fail(&violation.to_string());
        }
    }

    fn violation(&self) -> Option<&Violation> {
        self.host.violation()
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        self.failed.set(true);
        panic!("{what}\n{}", self.transcript());
    }
}

impl Drop for Scene {
    /// A test that fails outside the scene sees the exchange too.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.failed.get() {
            eprintln!("{}", self.transcript());
        }
    }
}

/// What an expectation says, or what was seen if it says nothing.
fn show<T: std::fmt::Debug>(expected: Option<T>, seen: T) -> String {
    format!("{:?}", expected.unwrap_or(seen))
}
