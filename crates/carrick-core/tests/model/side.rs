//! One side of a world: a real host, the application on it, and a clock of its own.
//!
//! A side changes only by an [`Input`], and what it does depends on nothing else, so that whoever has seen it take
//! an input once knows what comes of it for good. Time stands still but for timers and pauses.

use carrick_core::{
    Cidr, ConnectionConfig, ConnectionError, ConnectionId, EndpointConfig, Event, Instant, ListenAddr,
    ListenConfig, ListenerId, SendError, TcpState,
};
use carrick_sim::{Host, HostConfig, Packet, Span};
use carrick_wire::{SeqNum, TcpFlags, TcpHeader, WireWindow};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// What an application does next, once it can.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Op {
    /// Connects to the other side; gives up if the addresses are taken.
    Connect,
    /// Takes a connection that waits.
    Accept,
    /// Writes so many bytes, as they fit.
    Write(u8),
    /// Writes no more.
    Finish,
    /// Waits for the end of what the peer says, having read all of it, or for an error.
    ReadEnd,
    /// Lets go.
    Close,
    /// Resets.
    Abort,
    /// Stops listening.
    Unlisten,
    /// Lets a little more than a second pass, if no timer is due before.
    Pause,
}

/// What a side is made of.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) script: Vec<Op>,
    pub(crate) listens: bool,
    pub(crate) connection: ConnectionConfig,
    pub(crate) endpoint: EndpointConfig,
}

/// What can happen to a side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'p> {
    /// A packet arrives.
    Packet(&'p Packet),
    /// Time passes until the next timer, which is served.
    Timer,
    /// The application does what is next in its script.
    Op,
    /// The application reads what there is.
    Read,
    /// The application gives up the rest of its script and lets go.
    HangUp,
    /// A forged segment arrives.
    Forged(Forgery),
}

/// A segment from somebody who knows the addresses and not the numbers; where it misses by one it misses. None of
/// these may do any harm (RFC 5961).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Forgery {
    pub(crate) name: &'static str,
    flags: TcpFlags,
    seq: Place,
    ack: Place,
    text: &'static [u8],
}

/// Numbers as the victim sees them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// RCV.NXT and so much.
    Next(i32),
    /// The right edge and so much.
    Edge(i32),
    /// SND.UNA and so much.
    Una(i32),
    /// SND.NXT and so much.
    Sent(i32),
}

const RST: TcpFlags = TcpFlags::RST;
const SYN: TcpFlags = TcpFlags::SYN;
const FIN: TcpFlags = TcpFlags::FIN;
const ACK: TcpFlags = TcpFlags::ACK;

/// The forgeries, at the edges.
pub(crate) const FORGERIES: [Forgery; 15] = {
    use Place::{Edge, Next, Sent, Una};
    const fn forgery(
        name: &'static str,
        flags: TcpFlags,
        seq: Place,
        ack: Place,
        text: &'static [u8],
    ) -> Forgery {
        Forgery { name, flags, seq, ack, text }
    }
    const FIN_ACK: TcpFlags = TcpFlags::from_bits(FIN.bits() | ACK.bits());
    const SYN_ACK: TcpFlags = TcpFlags::from_bits(SYN.bits() | ACK.bits());
    const RST_ACK: TcpFlags = TcpFlags::from_bits(RST.bits() | ACK.bits());
    [
        forgery("RST just ahead", RST, Next(1), Una(0), b""),
        forgery("RST just behind", RST, Next(-1), Una(0), b""),
        forgery("RST at the edge", RST_ACK, Edge(0), Sent(0), b""),
        forgery("RST past the edge", RST, Edge(1), Una(0), b""),
        forgery("SYN at RCV.NXT", SYN, Next(0), Una(0), b""),
        forgery("SYN far away", SYN, Edge(1 << 20), Una(0), b""),
        forgery("SYN,ACK at RCV.NXT", SYN_ACK, Next(0), Sent(0), b""),
        forgery("ACK of the future", ACK, Next(0), Sent(1), b""),
        forgery("ACK of the past", ACK, Next(0), Una(-100_000), b""),
        forgery("text with an ACK of the future", ACK, Next(0), Sent(1), b"?"),
        forgery("text with an ACK of the past", ACK, Next(0), Una(-100_000), b"?"),
        forgery("text past the edge", ACK, Edge(1), Una(0), b"?"),
        forgery("garbage before RCV.NXT", ACK, Next(-1), Una(0), b"?"),
        forgery("FIN with an ACK of the future", FIN_ACK, Next(0), Sent(1), b""),
        forgery("FIN past the edge", FIN_ACK, Edge(1), Una(0), b""),
    ]
};

/// How a connection ended, as its application sees it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) enum Over {
    #[default]
    NotYet,
    /// Both sides have closed, and the peer has everything.
    Clean,
    Failed(ConnectionError),
}

/// A connection from its application's side.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Life {
    pub(crate) wrote: u8,
    /// Read, and come in order (read or not) before the application let go.
    pub(crate) read: u8,
    pub(crate) got: u8,
    /// The peer's life that the bytes read say they are of; 0 if none was read.
    pub(crate) of: u8,
    pub(crate) finished: bool,
    /// The end of the stream was seen.
    pub(crate) end: bool,
    pub(crate) released: bool,
    pub(crate) over: Over,
}

/// Most connections of one side, one after the other.
pub(crate) const LIVES: usize = 2;

/// A side.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    me: u8,
    host: Host,
    now: Instant,
    /// The next op, and what of it is left.
    pc: u8,
    left: u8,
    /// A write was turned away.
    full: bool,
    ids: [Option<ConnectionId>; LIVES],
    listener: Option<ListenerId>,
    /// SEG.SEQ and SEG.ACK of the SYNs that it sent and received, one after the other.
    syns: Vec<[SeqNum; 2]>,
    /// How many connections there have been.
    life: u8,
    pub(crate) lives: [Life; LIVES],
}

fn address(side: u8) -> SocketAddr {
    let ip = Ipv4Addr::new(192, 0, 2, side + 1);
    SocketAddr::new(IpAddr::V4(ip), 1000 * (u16::from(side) + 1))
}

/// The side that a packet is for.
pub(crate) fn receiver_of(packet: &Packet) -> usize {
    usize::from(packet.segment().is_some_and(|segment| segment.dst == address(1)))
}

const fn byte(side: u8, life: u8, at: u8) -> u8 {
    side << 7 | life << 4 | (at & 15)
}

impl Side {
    pub(crate) fn new(me: u8, setup: &Setup) -> Self {
        let mut endpoint = setup.endpoint.clone();
        endpoint.addresses.push(Cidr::new(address(me).ip(), 24));
        let mut host = Host::new(HostConfig::new(endpoint, u64::from(me) + 1));
        let listener = setup.listens.then(|| {
            let local = ListenAddr { address: None, port: NonZeroU16::new(address(me).port()) };
            let config = ListenConfig { connection: setup.connection.clone(), ..ListenConfig::default() };
            host.listen(local, config).expect("the port is free")
        });
        Self {
            me,
            host,
            now: Instant::ZERO + 1.secs(),
            pc: 0,
            left: 0,
            full: false,
            ids: [None; LIVES],
            listener,
            syns: Vec::new(),
            life: 0,
            lives: [Life::default(); LIVES],
        }
    }

    fn id(&self) -> Option<ConnectionId> {
        self.ids.get(usize::from(self.life).checked_sub(1)?).copied().flatten()
    }

    fn current(&mut self) -> Option<&mut Life> {
        self.lives.get_mut(usize::from(self.life).checked_sub(1)?)
    }

    fn connection(&self) -> Option<&carrick_core::Connection> {
        self.id().and_then(|id| self.host.connection(id))
    }

    pub(crate) fn state(&self) -> TcpState {
        self.id().map_or(TcpState::Closed, |id| self.host.state(id))
    }

    /// A hash over all that decides how the side goes on. Times count from now and numbers from the SYNs', but where
    /// the clock itself shows in packets.
    pub(crate) fn digest(&self, clock_shows: bool) -> u64 {
        let Self { me, host, now, pc, left, full, ids: _, listener, syns, life, lives } = self;
        let mut state = DefaultHasher::new();
        host.digest(*now).hash(&mut state);
        (me, pc, left, full, listener.is_some(), life, lives).hash(&mut state);
        if clock_shows {
            now.hash(&mut state);
            syns.hash(&mut state);
        }
        state.finish()
    }

    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    /// How many ops are done.
    pub(crate) fn ops(&self) -> usize {
        usize::from(self.pc)
    }

    /// What the application does next.
    pub(crate) fn next_op(&self, setup: &Setup) -> String {
        setup.script.get(usize::from(self.pc)).map_or_else(String::new, |op| format!("{op:?}"))
    }

    /// How long until the next timer.
    pub(crate) fn next_timer(&self) -> Option<Duration> {
        self.host.poll_timeout().map(|at| at.since(self.now))
    }

    pub(crate) fn can_read(&self) -> bool {
        self.connection().is_some_and(|connection| connection.readable_len() > 0)
    }

    /// Whether the script is done.
    pub(crate) fn done(&self, setup: &Setup) -> bool {
        usize::from(self.pc) == setup.script.len()
    }

    pub(crate) fn can_op(&self, setup: &Setup) -> bool {
        let Some(op) = setup.script.get(usize::from(self.pc)) else { return false };
        match op {
            Op::Accept => self.listener.is_none_or(|listener| self.host.waiting(listener) > 0),
            Op::Write(_) => self.connection().is_none_or(|connection| {
                connection.send_room() > 0 || connection.state() == TcpState::Closed
            }),
            Op::ReadEnd => self.connection().is_none_or(|connection| {
                connection.at_end()
                    || (connection.state() == TcpState::Closed && connection.readable_len() == 0)
            }),
            Op::Pause => self.next_timer().is_none_or(|timer| timer > PAUSE),
            Op::Connect | Op::Finish | Op::Close | Op::Abort | Op::Unlisten => true,
        }
    }

    /// Which forgeries can be made now: the victim must be synchronized, or there is nothing to miss.
    pub(crate) fn can_be_forged(&self, forgery: &Forgery) -> bool {
        let Some([_, _, next, edge]) = self.connection().and_then(|c| c.sequence_numbers()) else {
            return false;
        };
        // At a closed window the edge is RCV.NXT itself, and a reset there would be the true one.
        forgery.seq != Place::Edge(0) || edge != next
    }

    /// Nothing is left of it: no connection, no record, no memory.
    pub(crate) fn is_gone(&self) -> bool {
        let endpoint = self.host.endpoint();
        self.host.connections() == 0
            && endpoint.half_open() == 0
            && endpoint.time_wait() == 0
            && self.host.used() == 0
    }

    /// What becomes of the side, and what it sends.
    pub(crate) fn take(&self, setup: &Setup, input: Input<'_>) -> Result<(Self, Vec<Packet>), String> {
        let mut next = self.clone();
        let done = catch_unwind(AssertUnwindSafe(|| next.step(setup, input)));
        match done {
            Ok(Ok(())) => {}
            Ok(Err(what)) => return Err(what),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                return Err(format!("O-1: panic: {}", text.unwrap_or_default()));
            }
        }
        let packets = next.host.take_packets();
        packets.iter().for_each(|packet| next.note_syn(packet));
        Ok((next, packets))
    }

    fn step(&mut self, setup: &Setup, input: Input<'_>) -> Result<(), String> {
        let (reads, writes, tuples) = (self.has_news(), self.has_room(setup), self.tuples());
        // Whoever has let go, or does something itself, need not be told.
        let mut passive = self.current().is_some_and(|life| !life.released);
        match input {
            Input::Packet(packet) => {
                self.note_syn(packet);
                self.host.receive(self.now, packet);
            }
            Input::Timer => {
                let due = self.host.poll_timeout().ok_or("no timer runs")?;
                self.now = self.now.max(due);
                self.host.expire(self.now);
            }
            Input::Forged(forgery) => {
                let packet = self.forge(&forgery).ok_or("nothing to forge")?;
                self.host.receive(self.now, &packet);
            }
            Input::Read => {
                passive = false;
                self.read()?;
            }
            Input::Op => {
                passive = false;
                self.op(setup);
            }
            Input::HangUp => {
                passive = false;
                self.pc = u8::try_from(setup.script.len()).expect("scripts are short");
                self.close();
                self.unlisten();
            }
        }
        let told = self.id().map(|id| self.host.take_events(id)).unwrap_or_default();
        let heard = |event: Event| told.contains(&event) || told.contains(&Event::Closed);
        if passive && !reads && self.has_news() && !heard(Event::Readable) {
            return Err("there is something to read and nobody was told".into());
        }
        if passive && self.full && !writes && self.has_room(setup) && !heard(Event::Writable) {
            return Err("there is room to write and nobody was told".into());
        }
        if self.has_room(setup) {
            self.full = false;
        }
        self.note_lives();
        if self.tuples() < tuples && self.next_timer().is_none_or(|timer| timer > MOMENT) {
            // Between one connection and the next the clock of the sequence numbers ticks.
            self.now += MOMENT;
        }
        if let Some(violation) = self.host.violation() {
            return Err(violation.to_string());
        }
        self.nobody_waits_for_ever()
    }

    /// How many tuples the endpoint knows.
    fn tuples(&self) -> usize {
        let endpoint = self.host.endpoint();
        endpoint.connections() + endpoint.half_open() + endpoint.time_wait()
    }

    fn note_syn(&mut self, packet: &Packet) {
        let syn = packet.segment().filter(|segment| segment.has(SYN));
        let syn = syn.map(|segment| [segment.tcp.seq, segment.tcp.ack]);
        if syn.is_some() && self.syns.last().copied() != syn {
            self.syns.extend(syn);
        }
    }

    fn has_news(&self) -> bool {
        self.connection().is_some_and(|connection| connection.readable_len() > 0 || connection.at_end())
            || (self.id().is_some() && self.state() == TcpState::Closed)
    }

    fn has_room(&self, setup: &Setup) -> bool {
        let useful = (setup.connection.send_buffer / 4).max(1) as usize;
        self.connection().is_none_or(|connection| {
            connection.send_room() >= useful || connection.state() == TcpState::Closed
        })
    }

    /// A side that waits for its peer has a timer (O-9).
    fn nobody_waits_for_ever(&self) -> Result<(), String> {
        for id in self.ids.iter().flatten() {
            let Some(connection) = self.host.connection(*id) else { continue };
            let waits = match connection.state() {
                TcpState::SynSent | TcpState::SynReceived | TcpState::TimeWait => true,
                TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => true,
                TcpState::Established | TcpState::CloseWait => connection.unacknowledged() > 0,
                TcpState::Closed | TcpState::Listen | TcpState::FinWait2 => false,
            };
            if waits && connection.poll_timeout().is_none() {
                return Err(format!("O-9: {} waits without a timer", connection.state()));
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), String> {
        let (Some(id), me) = (self.id(), self.me) else { return Ok(()) };
        let bytes = self.host.read(self.now, id, usize::MAX);
        let Some(life) = self.current() else { return Ok(()) };
        for seen in bytes {
            if life.read == 0 {
                life.of = seen >> 4 & 7;
            }
            if seen != byte(1 - me, life.of, life.read) {
                return Err(format!("O-2: read {seen:#04x} in place {} of life {}", life.read, life.of));
            }
            life.read += 1;
        }
        Ok(())
    }

    fn op(&mut self, setup: &Setup) {
        let Some(op) = setup.script.get(usize::from(self.pc)).copied() else { return };
        let mut done = true;
        match op {
            Op::Connect => {
                let config = Arc::new(setup.connection.clone());
                let (local, remote) = (address(self.me), address(1 - self.me));
                match self.host.connect(self.now, Some(local), remote, config) {
                    Ok(id) => self.begin(id),
                    // Somebody has the addresses: the rest of the script is for nobody.
                    Err(_) => {
                        self.pc = u8::try_from(setup.script.len()).expect("scripts are short");
                        return;
                    }
                }
            }
            Op::Accept => {
                if let Some(id) = self.listener.and_then(|listener| self.host.accept(listener)) {
                    self.begin(id);
                }
            }
            Op::Write(count) => {
                if self.left == 0 {
                    self.left = count;
                }
                done = self.write();
            }
            Op::Finish => {
                if let Some(id) = self.id() {
                    self.host.finish(self.now, id);
                    let open = !matches!(self.host.state(id), TcpState::Closed);
                    if let Some(life) = self.current().filter(|_| open) {
                        life.finished = true;
                    }
                }
            }
            Op::ReadEnd => {
                let end = self.connection().is_some_and(|connection| connection.at_end());
                if let Some(life) = self.current() {
                    life.end = end;
                }
            }
            Op::Close => self.close(),
            Op::Abort => {
                if let Some(id) = self.id() {
                    self.host.abort(self.now, id);
                }
                self.release();
            }
            Op::Unlisten => self.unlisten(),
            Op::Pause => self.now += PAUSE,
        }
        if done {
            self.pc += 1;
        }
    }

    /// Says whether all that was to be written has been, or never will be.
    fn write(&mut self) -> bool {
        let Some(id) = self.id() else {
            self.left = 0;
            return true;
        };
        let (me, life, at) = (self.me, self.life, self.current().map_or(0, |life| life.wrote));
        let bytes: Vec<u8> = (at..at + self.left).map(|at| byte(me, life, at)).collect();
        let taken = match self.host.send(self.now, id, &bytes) {
            Ok(taken) => u8::try_from(taken).unwrap_or(u8::MAX),
            Err(SendError::Full) => 0,
            Err(_) => {
                self.left = 0;
                return true;
            }
        };
        if let Some(life) = self.current() {
            life.wrote += taken;
        }
        self.left -= taken;
        self.full = self.left > 0;
        self.left == 0
    }

    fn begin(&mut self, id: ConnectionId) {
        if let Some(place) = self.ids.get_mut(usize::from(self.life)) {
            *place = Some(id);
            self.life += 1;
        }
    }

    fn close(&mut self) {
        if let Some(life) = self.current() {
            life.finished = true;
        }
        self.release();
    }

    fn release(&mut self) {
        self.note_lives();
        let Some(id) = self.id() else { return };
        if let Some(life) = self.current() {
            life.released = true;
        }
        self.host.close(self.now, id);
    }

    fn unlisten(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.host.unlisten(self.now, listener);
        }
    }

    fn note_lives(&mut self) {
        for (id, life) in self.ids.iter().zip(&mut self.lives) {
            let Some(id) = *id else { continue };
            if !life.released
                && let Some(connection) = self.host.connection(id)
            {
                let there = u8::try_from(connection.readable_len()).unwrap_or(u8::MAX);
                life.got = life.got.max(life.read + there);
            }
            life.over = match self.host.state(id) {
                TcpState::TimeWait => Over::Clean,
                TcpState::Closed => self.host.error(id).map_or(Over::Clean, Over::Failed),
                _ => Over::NotYet,
            };
        }
    }

    fn forge(&self, forgery: &Forgery) -> Option<Packet> {
        let [una, sent, next, edge] = self.connection()?.sequence_numbers()?;
        let number = |place| -> SeqNum {
            let (base, by) = match place {
                Place::Next(by) => (next, by),
                Place::Edge(by) => (edge, by),
                Place::Una(by) => (una, by),
                Place::Sent(by) => (sent, by),
            };
            base + by as u32
        };
        let (src, dst) = (address(1 - self.me), address(self.me));
        let tcp = TcpHeader {
            src_port: src.port(),
            dst_port: dst.port(),
            seq: number(forgery.seq),
            ack: if forgery.flags.contains(ACK) { number(forgery.ack) } else { SeqNum::new(0) },
            flags: forgery.flags,
            window: WireWindow::new(1),
            ..TcpHeader::default()
        };
        Some(Packet::tcp(src.ip(), dst.ip(), 0, &tcp, forgery.text))
    }
}

const PAUSE: Duration = Duration::from_millis(1100);
const MOMENT: Duration = Duration::from_millis(1);
