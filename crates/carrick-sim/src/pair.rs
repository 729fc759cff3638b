//! Two real hosts over two links, and applications that talk across them: whole conversations, byte-exact or an
//! honest error.
//!
//! ```
//! use carrick_sim::{Pair, World};
//!
//! let report = Pair::replay(7).unwrap(); // a random world; run twice, the same bit for bit
//! assert_eq!(report, Pair::new(World::random(7)).run().unwrap());
//! ```

use crate::app::{App, End};
use crate::fault::{Fault, Planted};
use crate::host::{Host, HostConfig};
use crate::link::{Link, LinkConfig};
use crate::oracles::{Oracle, Progress, Violation};
use crate::packet::{Packet, Trace};
use crate::rng::Rng;
use crate::situations::{Before, Due, Occurrences, Prompt, Situation, Witness};
use crate::world::{Conversation, FIRST_PORT, Opening, Side, World};
use carrick_core::{
    Cidr, ConnectionId, Counters, DiscardReason, EndpointConfig, Instant, ListenAddr, ListenConfig,
    ListenerId, ParkedSyn, Refusal,
};
use carrick_wire::BuildError;
use carrick_wire::icmp::{self, Envelope};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 80;
/// The last byte of the router's address, and of one that nobody has.
const ROUTER: u8 = 254;
const NOBODY_HAS: u8 = 77;
/// No world takes longer: R2 is about 15 minutes, twice 2 MSL is eight.
const LONGEST: Duration = Duration::from_secs(3 * 3600);
const MOST_STEPS: u64 = 20_000_000;

/// What a run came to. Two runs of one world are equal (O-10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// How each conversation ended, for the client and for the server; `None` for a server that never met its
    /// client, and for a client without a free port.
    pub ends: Vec<[Option<End>; 2]>,
    /// Bytes read by all applications.
    pub bytes: u64,
    /// Packets sent by both hosts.
    pub packets: u64,
    /// Packets that the links lost and corrupted.
    pub lost: u64,
    /// Packets that the links marked as having met congestion.
    pub marked: u64,
    /// Steps of the simulation.
    pub steps: u64,
    /// When the last timer was served.
    pub finished: Instant,
    /// What both endpoints counted.
    pub counters: [Counters; 2],
    /// Which situations the conversations came to.
    pub situations: Occurrences,
    /// How far each connection came, as seen from both hosts.
    pub progress: [Vec<Progress>; 2],
    /// A hash over every packet and its time, the counters, and the final state of both hosts.
    pub digest: u64,
}

impl Report {
    /// How many conversations were complete on both sides.
    #[must_use]
    pub fn complete(&self) -> usize {
        self.ends.iter().filter(|ends| **ends == [Some(End::Complete); 2]).count()
    }
}

/// An oracle was violated.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The world's seed.
    pub seed: u64,
    /// Which oracle, when and how.
    pub violation: Violation,
    /// The exchange, as tcpdump would print it.
    pub transcript: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.transcript {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.violation)
    }
}

impl std::error::Error for Failure {}

/// Two hosts over a link, ready to run.
#[derive(Debug)]
pub struct Pair {
    world: World,
    hosts: [Host; 2],
    listeners: [Option<ListenerId>; 2],
    links: [Link; 2],
    rng: Rng,
    now: Instant,
    steps: u64,
    packets: u64,
    digest: DefaultHasher,
    talks: Vec<Talk>,
    /// Which conversation a client's address belongs to, by the client's side.
    clients: BTreeMap<(usize, SocketAddr), usize>,
    /// When each side's server accepts again.
    accepts_at: [Instant; 2],
    /// SYNs that each side has parked, and when it decides about them.
    parked: [VecDeque<(Instant, ParkedSyn)>; 2],
    /// What each side has sent in this step, and why.
    sent: [Vec<(Prompt, Packet)>; 2],
    witness: Witness,
    trace: Option<Trace>,
}

#[derive(Debug, Default)]
struct Talk {
    begun: bool,
    /// Client, server.
    apps: [Option<App>; 2],
}

impl Pair {
    /// Two hosts at the beginning of that world.
    #[must_use]
    pub fn new(world: World) -> Self {
        let mut rng = Rng::new(world.seed);
        let host = |side: usize, rng: &mut Rng| {
            let Side { mtu, offload, budget, moody, syn_cookies, fault, .. } = world.sides[side];
            let Side { max_per_source, any_address, .. } = world.sides[side];
            let limits = EndpointConfig { max_per_source, any_address, ..EndpointConfig::default() };
            let addresses = vec![address(world.v6, side)];
            let endpoint = EndpointConfig { addresses, mtu, syn_cookies, ..limits };
            let mut seed = rng.bits();
            if fault == Some(Fault::Whim) {
                seed ^= Planted::whim();
            }
            let mut host =
                Host::new(HostConfig { budget, offload, moody, ..HostConfig::new(endpoint, seed) });
            if let Some(fault) = fault {
                host.plant(fault);
            }
            host.watch();
            host
        };
        let hosts = [host(0, &mut rng), host(1, &mut rng)];
        let mut link = |side: usize| Link::new(world.sides[side].link.clone(), rng.fork());
        let links = [link(0), link(1)];
        let talks = world.conversations.iter().map(|_| Talk::default()).collect();
        Self {
            hosts,
            listeners: [None, None],
            links,
            rng,
            now: Instant::ZERO,
            steps: 0,
            packets: 0,
            digest: DefaultHasher::new(),
            talks,
            clients: BTreeMap::new(),
            accepts_at: [Instant::ZERO; 2],
            parked: [VecDeque::new(), VecDeque::new()],
            sent: [Vec::new(), Vec::new()],
            witness: Witness::default(),
            trace: None,
            world,
        }
    }

    /// Runs the random world of that seed twice and compares (O-10).
    ///
    /// # Errors
    /// The first violation of an oracle.
    pub fn replay(seed: u64) -> Result<Report, Box<Failure>> {
        Self::run_twice(&World::random(seed))
    }

    /// Runs a world twice and compares (O-10).
    ///
    /// # Errors
    /// The first violation of an oracle.
    pub fn run_twice(world: &World) -> Result<Report, Box<Failure>> {
        let first = Self::new(world.clone()).run()?;
        let second = Self::new(world.clone()).run()?;
        if first == second {
            return Ok(first);
        }
        let what = format!("two runs differ:\n{first:?}\n{second:?}");
        let violation = Violation { oracle: Oracle::O10, at: first.finished, what };
        Err(Box::new(Failure { seed: world.seed, violation, transcript: Vec::new() }))
    }

    /// Runs until nothing is left to happen.
    ///
    /// # Errors
    /// The first violation of an oracle, with the exchange that led to it.
    pub fn run(mut self) -> Result<Report, Box<Failure>> {
        let world = self.world.clone();
        let violation = match catch_unwind(AssertUnwindSafe(|| self.run_to_end())) {
            Ok(Ok(report)) => return Ok(report),
            Ok(Err(violation)) => violation,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                let what = format!("panic: {}", text.unwrap_or_default());
                Violation { oracle: Oracle::O1, at: self.now, what }
            }
        };
        // Once more for the record: what happens is the same, and only failures pay for the trace.
        let mut again = Self::new(world);
        again.trace = Some(Trace::default());
        let _ = catch_unwind(AssertUnwindSafe(|| again.run_to_end()));
        let transcript = again.trace.map(|trace| trace.lines().to_vec()).unwrap_or_default();
        Err(Box::new(Failure { seed: self.world.seed, violation, transcript }))
    }

    fn run_to_end(&mut self) -> Result<Report, Violation> {
        for side in 0..2 {
            self.listen(side)?;
        }
        loop {
            while let Some(due) = self.next_due() {
                self.now = self.now.max(due);
                self.step()?;
            }
            if !self.give_up_stranded()? {
                break;
            }
        }
        self.check_end()?;
        Ok(self.report())
    }

    fn listen(&mut self, side: usize) -> Result<(), Violation> {
        let Side { mut connection, backlog, park, .. } = self.world.sides[side].clone();
        // A late duplicate of a SYN begins what could not be told from the connection that it began first.
        connection.initial_sequence = None;
        let local = ListenAddr { address: None, port: NonZeroU16::new(PORT) };
        let listener = self.hosts[side].listen(
            local,
            ListenConfig { connection, backlog, park: park.is_some(), ..ListenConfig::default() },
        );
        let listener = listener.map_err(|error| self.violated(Oracle::O1, format!("listen: {error}")))?;
        self.listeners[side] = Some(listener);
        Ok(())
    }

    fn violated(&self, oracle: Oracle, what: String) -> Violation {
        Violation { oracle, at: self.now, what }
    }

    fn next_due(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(Link::next_arrival);
        let timers = self.hosts.iter().zip(&self.world.sides);
        let hosts = timers.filter_map(|(host, side)| host.poll_timeout().map(|due| due + side.late));
        let apps = self.talks.iter().flat_map(|talk| talk.apps.iter().flatten()).filter_map(App::next);
        let begins = self.talks.iter().zip(&self.world.conversations).filter(|(talk, _)| !talk.begun);
        let begins = begins.map(|(_, conversation)| Instant::ZERO + conversation.at);
        let waits = |side: &usize| self.listeners[*side].is_some_and(|id| self.hosts[*side].waiting(id) > 0);
        let accepts = (0..2).filter(waits).map(|side| self.accepts_at[side]);
        let decides = self.parked.iter().filter_map(|parked| parked.front().map(|(at, _)| *at));
        let unlistens = (0..2).filter(|side| self.listeners[*side].is_some());
        let unlistens = unlistens.filter_map(|side| Some(Instant::ZERO + self.world.sides[side].unlistens?));
        links.chain(hosts).chain(apps).chain(begins).chain(accepts).chain(decides).chain(unlistens).min()
    }

    /// Does all that is due now: packets first, then timers, then applications.
    fn step(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(self.violated(Oracle::O1, format!("{MOST_STEPS} steps and no end")));
        }
        if self.now > Instant::ZERO + LONGEST {
            return Err(self.violated(Oracle::O9, "still at it after three hours".into()));
        }
        let now = self.now;
        for (side, link) in self.world.sides.iter().zip(&mut self.links) {
            if side.link_dies.is_some_and(|dies| now >= Instant::ZERO + dies) {
                link.set(LinkConfig { loss: 1_000_000, ..side.link.clone() });
            }
        }
        for (side, arrow) in ["A<  ", "  >B"].into_iter().enumerate() {
            while let Some(packet) = self.links[1 - side].receive(now) {
                if let Some(trace) = &mut self.trace {
                    trace.packet(now, arrow, &packet);
                }
                let before = Before::of(&self.hosts[side], &packet);
                self.hosts[side].receive(now, &packet);
                self.witness.arrived(&packet, &before, &self.hosts[side]);
                self.collect(side, Prompt::Packet);
            }
            let due = Due::of(&self.hosts[side], now);
            self.hosts[side].expire(now);
            self.witness.expired(due, &self.hosts[side]);
            self.collect(side, Prompt::Timer);
            self.decide(side);
            self.unlisten(side);
            self.accept(side);
        }
        self.begin_conversations();
        self.act()?;
        for (side, arrow) in ["A>  ", "  <B"].into_iter().enumerate() {
            self.collect(side, Prompt::Application);
            for (prompt, packet) in std::mem::take(&mut self.sent[side]) {
                self.packets += 1;
                (side, now.as_nanos(), &packet.bytes[..], packet.segment_size).hash(&mut self.digest);
                if let Some(trace) = &mut self.trace {
                    trace.packet(now, arrow, &packet);
                }
                let copies = self.carry(side, &packet);
                self.witness.sent(prompt, &packet, copies);
            }
            if let Some(violation) = self.hosts[side].violation() {
                return Err(violation.clone());
            }
        }
        Ok(())
    }

    /// A packet sets out, past a router that may send word of it; how many copies of it will arrive.
    fn carry(&mut self, side: usize, packet: &Packet) -> u64 {
        let now = self.now;
        let Side { narrows, unreachable, .. } = self.world.sides[side];
        let narrow = narrows.filter(|(at, _)| Instant::ZERO + *at <= now).map(|(_, mtu)| mtu);
        if let Some(mtu) = narrow.filter(|mtu| packet.wire_len() > usize::from(*mtu)) {
            self.tell(side, packet, Situation::PacketTooBig, |buf, to, offender| {
                icmp::emit_packet_too_big(buf, to, mtu.into(), offender)
            });
            return 0;
        }
        let copies = self.links[side].send(now, packet.clone());
        while let Some(answer) = self.links[side].take_answer() {
            self.links[1 - side].send(now, answer);
        }
        if copies == 0 && unreachable > 0 && self.rng.chance(unreachable) {
            self.tell(side, packet, Situation::Unreachable, |buf, to, offender| {
                // Host, or address, unreachable.
                icmp::emit_unreachable(buf, to, if to.src.is_ipv4() { 1 } else { 3 }, offender)
            });
        }
        copies
    }

    /// A router sends an ICMP error about a packet to the side that sent it.
    fn tell(
        &mut self,
        side: usize,
        packet: &Packet,
        situation: Situation,
        emit: impl FnOnce(&mut [u8], Envelope, &[u8]) -> Result<usize, BuildError>,
    ) {
        let Some((src, dst)) = packet.segment().map(|segment| (segment.src, segment.dst)) else { return };
        let to = Envelope { src: host_address(self.world.v6, ROUTER), dst: src.ip(), hop_limit: 64 };
        let mut bytes = vec![0; 1280];
        let Ok(len) = emit(&mut bytes, to, &packet.bytes) else { return };
        bytes.truncate(len);
        if self.links[1 - side].send(self.now, Packet::new(bytes)) > 0 {
            self.witness.noticed(src, dst, situation);
        }
    }

    /// Takes what a host has sent, and noted, since it was last asked.
    fn collect(&mut self, side: usize, prompt: Prompt) {
        let packets = self.hosts[side].take_packets();
        self.sent[side].extend(packets.into_iter().map(|packet| (prompt, packet)));
        for note in self.hosts[side].take_notes() {
            self.witness.noted(note);
        }
    }

    fn begin_conversations(&mut self) {
        for talk in 0..self.talks.len() {
            let Conversation { at, client, opening, ref ask, ref answer } = self.world.conversations[talk];
            if self.talks[talk].begun || Instant::ZERO + at > self.now {
                continue;
            }
            let (ask, answer) = (ask.clone(), answer.clone());
            self.talks[talk].begun = true;
            let ports = match opening {
                Opening::Any => (0, PORT),
                Opening::From(port) => (port, PORT),
                Opening::Crossing => (FIRST_PORT, FIRST_PORT + 1),
                Opening::Nowhere => (0, PORT + 1),
                Opening::Elsewhere => (0, PORT),
            };
            let to = match opening {
                Opening::Elsewhere => host_address(self.world.v6, NOBODY_HAS),
                _ => address(self.world.v6, 1 - client).address,
            };
            let Some(id) = self.connect(client, to, ports) else { continue };
            if let Some(connection) = self.hosts[client].connection(id) {
                self.clients.insert((client, connection.local_addr()), talk);
            }
            let app = App::new(id, ask, self.rng.fork(), streams(talk, true), false);
            self.talks[talk].apps[0] = Some(app);
            if opening == Opening::Crossing
                && let Some(id) =
                    self.connect(1 - client, address(self.world.v6, client).address, (ports.1, ports.0))
            {
                let app = App::new(id, answer, self.rng.fork(), streams(talk, false), false);
                self.talks[talk].apps[1] = Some(app);
            }
        }
    }

    fn connect(&mut self, side: usize, whom: IpAddr, (from, to): (u16, u16)) -> Option<ConnectionId> {
        let local = SocketAddr::new(address(self.world.v6, side).address, from);
        let remote = SocketAddr::new(whom, to);
        let config = Arc::new(self.world.sides[side].connection.clone());
        let host = &mut self.hosts[side];
        let before = host.endpoint().time_wait();
        let id = host.connect(self.now, Some(local).filter(|_| from != 0), remote, config).ok()?;
        self.witness.connected(local, remote, [before, host.endpoint().time_wait()]);
        Some(id)
    }

    /// Decides about SYNs that have been parked.
    fn decide(&mut self, side: usize) {
        let Some(wait) = self.world.sides[side].park else { return };
        while let Some(parked) = self.hosts[side].poll_parked() {
            self.parked[side].push_back((self.now + wait, parked));
        }
        while let Some((_, parked)) = self.parked[side].pop_front_if(|(at, _)| *at <= self.now) {
            let how = match self.rng.below(10) {
                0 => Some(Refusal::Reset),
                1 => Some(Refusal::Prohibited),
                2 => Some(Refusal::Silent),
                _ => None,
            };
            let host = &mut self.hosts[side];
            let (found, situation) = match how {
                None => (host.accept_parked(self.now, parked.id), Situation::ParkedAccepted),
                Some(how) => (host.refuse_parked(self.now, parked.id, how), Situation::ParkedRefused),
            };
            if found {
                self.witness.noticed(parked.tuple.local_addr(), parked.tuple.remote_addr(), situation);
            }
        }
    }

    fn unlisten(&mut self, side: usize) {
        let due = self.world.sides[side].unlistens.is_some_and(|at| Instant::ZERO + at <= self.now);
        let Some(listener) = self.listeners[side].take_if(|_| due) else { return };
        let host = &mut self.hosts[side];
        if host.waiting(listener) > 0 || host.endpoint().half_open() > 0 {
            self.witness.noticed_of_somebody(Situation::ListenerGone);
        }
        host.unlisten(self.now, listener);
    }

    fn accept(&mut self, side: usize) {
        let pause = self.world.sides[side].accept_pause;
        while self.accepts_at[side] <= self.now
            && let Some(id) = self.listeners[side].and_then(|listener| self.hosts[side].accept(listener))
        {
            self.accepts_at[side] = if pause.is_zero() { self.now } else { self.now + pause };
            let talk = self.talk_of(side, id);
            if let Some(connection) = self.hosts[side].connection(id)
                && connection.local_addr().ip() != address(self.world.v6, side).address
            {
                let (local, remote) = (connection.local_addr(), connection.remote_addr());
                self.witness.noticed(local, remote, Situation::AnyAddress);
            }
            match talk.filter(|talk| self.talks[*talk].apps[1].is_none()) {
                Some(talk) => {
                    let plan = self.world.conversations[talk].answer.clone();
                    let app = App::new(id, plan, self.rng.fork(), streams(talk, false), true);
                    self.talks[talk].apps[1] = Some(app);
                }
                // Nobody connects twice: a copy of a SYN never comes as far as this.
                None => {
                    let who = self.hosts[side].connection(id).map(|connection| connection.remote_addr());
                    let what = format!("a second connection from {who:?} for conversation {talk:?}");
                    self.hosts[side].report(Oracle::O2, self.now, what);
                    self.hosts[side].close(self.now, id);
                }
            }
        }
    }

    fn talk_of(&self, side: usize, id: ConnectionId) -> Option<usize> {
        let remote = self.hosts[side].connection(id)?.remote_addr();
        self.clients.get(&(1 - side, remote)).copied()
    }

    fn act(&mut self) -> Result<(), Violation> {
        for talk in 0..self.talks.len() {
            let client = self.world.conversations[talk].client;
            for role in 0..2 {
                let side = if role == 0 { client } else { 1 - client };
                let Some(app) = &mut self.talks[talk].apps[role] else { continue };
                let due = app.next().is_some_and(|next| next <= self.now);
                if !due && !self.hosts[side].has_events(app.id) {
                    continue;
                }
                let ended = app.end.is_some();
                let result = app.act(self.now, &mut self.hosts[side]);
                let (end, read) = (app.end, app.read);
                result.map_err(|what| self.violated(Oracle::O2, format!("conversation {talk}: {what}")))?;
                if let (Some(end), false, Some(trace)) = (end, ended, &mut self.trace) {
                    let who = ["client", "server"][role];
                    trace.note(self.now, &format!("- {who} {talk}: {end:?} after reading {read}"));
                }
            }
        }
        Ok(())
    }

    /// Nothing will ever happen again. Whoever waits for a peer that is gone gives up; false if there is
    /// nobody like that.
    fn give_up_stranded(&mut self) -> Result<bool, Violation> {
        let mut gave_up = false;
        for talk in 0..self.talks.len() {
            let client = self.world.conversations[talk].client;
            let running = |app: &Option<App>| app.as_ref().is_some_and(|app| app.end.is_none());
            let [asks, answers] = &self.talks[talk].apps;
            if running(asks) && running(answers) {
                let states = [0, 1].map(|role| {
                    let side = if role == 0 { client } else { 1 - client };
                    let id = self.talks[talk].apps[role].as_ref().map(|app| app.id);
                    (id.map(|id| self.hosts[side].state(id)), &self.talks[talk].apps[role])
                });
                let what = format!("conversation {talk} stands still: {states:?}");
                return Err(self.violated(Oracle::O9, what));
            }
            for role in 0..2 {
                let side = if role == 0 { client } else { 1 - client };
                let peer = self.talks[talk].apps[1 - role].as_ref().and_then(|app| app.end);
                if running(&self.talks[talk].apps[role]) && peer == Some(End::Complete) && !self.adverse() {
                    let what = format!("conversation {talk}: a side waits for one that is done");
                    return Err(self.violated(Oracle::O9, what));
                }
                if let Some(app) = self.talks[talk].apps[role].as_mut().filter(|app| app.end.is_none()) {
                    app.leave(self.now, &mut self.hosts[side], End::Stranded);
                    gave_up = true;
                }
            }
        }
        if gave_up {
            self.step()?;
        }
        Ok(gave_up)
    }

    /// Whether something happened that may keep a side from hearing of its peer's end.
    fn adverse(&self) -> bool {
        let dropped = |host: &Host| {
            let counters = host.endpoint().counters();
            counters.discarded(DiscardReason::NoMemory) + counters.discarded(DiscardReason::NoRoom) > 0
        };
        self.links.iter().any(|link| link.counters().gone() + link.corrupted() > 0)
            || self.hosts.iter().any(dropped)
    }

    fn check_end(&mut self) -> Result<(), Violation> {
        for (side, host) in self.hosts.iter().enumerate() {
            let endpoint = host.endpoint();
            let left =
                [host.connections(), endpoint.connections(), endpoint.half_open(), endpoint.time_wait()];
            if left != [0; 4] {
                let what =
                    format!("host {side} ends with [cells, connections, half-open, TIME-WAIT] {left:?}");
                return Err(self.violated(Oracle::O9, what));
            }
            if host.used() != 0 {
                return Err(self.violated(Oracle::O4, format!("host {side} ends with {} bytes", host.used())));
            }
        }
        for (talk, Talk { apps, .. }) in self.talks.iter().enumerate() {
            if let [Some(App { end: Some(End::Complete), .. }), None] = apps {
                let what = format!("conversation {talk}: complete, and nobody was there");
                return Err(self.violated(Oracle::O2, what));
            }
            let [Some(client), Some(server)] = apps else { continue };
            for (writer, reader) in [(client, server), (server, client)] {
                let all = reader.read == writer.written && writer.finished;
                if reader.read > writer.written || (reader.eof && !all) {
                    let what = format!(
                        "conversation {talk}: read {} of {} written, writer finished: {}, reader at the end: {}",
                        reader.read, writer.written, writer.finished, reader.eof
                    );
                    return Err(self.violated(Oracle::O2, what));
                }
                // A reader without an error and without the end left of its own will.
                if reader.end == Some(End::Complete) && !all {
                    let what = format!("conversation {talk}: complete with {} bytes", reader.read);
                    return Err(self.violated(Oracle::O2, what));
                }
            }
        }
        Ok(())
    }

    fn report(&mut self) -> Report {
        let mut digest = self.digest.clone();
        let counters = [0, 1].map(|side| self.hosts[side].endpoint().counters().clone());
        for host in &self.hosts {
            host.digest(self.now).hash(&mut digest);
        }
        format!("{counters:?}").hash(&mut digest);
        let apps = || self.talks.iter().flat_map(|talk| talk.apps.iter().flatten());
        let ends = self.talks.iter().map(|talk| talk.apps.each_ref().map(|app| app.as_ref()?.end));
        let ends: Vec<_> = ends.collect();
        ends.hash(&mut digest);
        Report {
            ends,
            bytes: apps().map(|app| app.read).sum(),
            packets: self.packets,
            lost: self.links.iter().map(|link| link.lost() + link.corrupted()).sum(),
            marked: self.links.iter().map(Link::marked).sum(),
            steps: self.steps,
            finished: self.now,
            counters,
            situations: self.witness.occurrences(),
            progress: [0, 1].map(|side| self.hosts[side].monitor().progress()),
            digest: digest.finish(),
        }
    }
}

fn address(v6: bool, side: usize) -> Cidr {
    let last = if side == 0 { 1 } else { 2 };
    Cidr::new(host_address(v6, last), if v6 { 64 } else { 24 })
}

fn host_address(v6: bool, last: u8) -> IpAddr {
    match v6 {
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into(),
        false => Ipv4Addr::new(192, 0, 2, last).into(),
    }
}

/// Where in the pattern the streams of a conversation begin: what this side writes, and what it reads.
fn streams(talk: usize, client: bool) -> (u64, u64) {
    let base = (talk as u64 + 1) << 40;
    let (asks, answers) = (base, base + (1 << 39) + 3);
    if client { (asks, answers) } else { (answers, asks) }
}
