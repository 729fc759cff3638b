//! Two real hosts over two links, and applications that talk across them: whole conversations, byte-exact or an
//! honest error.
//!
//! ```
//! use carrick_sim::{Pair, World};
//!
//! let report = Pair::replay(7).unwrap(); // a random world; run twice, the same bit for bit
//! assert_eq!(report, Pair::new(World::random(7)).run().unwrap());
//! ```

use crate::app::{App, End, Ending, Plan};
use crate::fault::{Fault, Planted};
use crate::host::{Host, HostConfig};
use crate::link::{Link, LinkConfig};
use crate::oracles::{Oracle, Progress, Violation};
use crate::packet::{Offload, Trace};
use crate::rng::Rng;
use carrick_core::{
    Cidr, ConnectionConfig, ConnectionId, Counters, EndpointConfig, Instant, ListenAddr, ListenConfig,
    ListenerId, SynCookies,
};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 80;
/// No world takes longer: R2 is about 15 minutes, twice 2 MSL is eight.
const LONGEST: Duration = Duration::from_secs(3 * 3600);
const MOST_STEPS: u64 = 20_000_000;

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub struct World {
    /// Seeds both hosts, both links and all applications.
    pub seed: u64,
    /// Over IPv6 instead of IPv4.
    pub v6: bool,
    /// The two sides.
    pub sides: [Side; 2],
    /// What is said.
    pub conversations: Vec<Conversation>,
}

/// One side of a world.
#[derive(Clone, Debug)]
pub struct Side {
    /// Settings of its connections.
    pub connection: ConnectionConfig,
    /// The link that carries what it sends.
    pub link: LinkConfig,
    /// MTU of its device.
    pub mtu: u16,
    /// What its device does with super-segments.
    pub offload: Offload,
    /// Most bytes that its connections may hold together.
    pub budget: usize,
    /// How often, per million, its device is [moody](HostConfig::moody).
    pub moody: u32,
    /// By how much its driver may be late for a timer, if nothing else wakes it before.
    pub late: Duration,
    /// Whether its endpoint answers SYNs with cookies.
    pub syn_cookies: SynCookies,
    /// A fault to be found.
    pub fault: Option<Fault>,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            connection: ConnectionConfig::default(),
            link: LinkConfig::default(),
            mtu: 1500,
            offload: Offload::Cut,
            budget: 64 << 20,
            moody: 0,
            late: Duration::ZERO,
            syn_cookies: SynCookies::default(),
            fault: None,
        }
    }
}

/// One conversation between two applications.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conversation {
    /// When the client connects.
    pub at: Duration,
    /// Which side is the client.
    pub client: usize,
    /// What the client does.
    pub ask: Plan,
    /// What the server does.
    pub answer: Plan,
}

impl World {
    /// Two default sides with nothing to say yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, v6: false, sides: [Side::default(), Side::default()], conversations: Vec::new() }
    }

    /// The same link in both directions.
    #[must_use]
    pub fn link(mut self, link: &LinkConfig) -> Self {
        for side in &mut self.sides {
            side.link = link.clone();
        }
        self
    }

    /// One more conversation, which side 0 begins at once.
    #[must_use]
    pub fn talk(mut self, ask: Plan, answer: Plan) -> Self {
        self.conversations.push(Conversation { at: Duration::ZERO, client: 0, ask, answer });
        self
    }

    /// Gives a side a fault.
    #[must_use]
    pub fn fault(mut self, side: usize, fault: Fault) -> Self {
        self.sides[side].fault = Some(fault);
        self
    }

    /// A world drawn from `seed`: settings, links from good to hopeless, one to four conversations.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let v6 = rng.chance(400_000);
        let mtu = match rng.below(6) {
            0 => 1280,
            1 if !v6 => 576,
            2 => 9000,
            3 => 65_535,
            _ => 1500,
        };
        let mut sides = std::array::from_fn(|_| Side::random(&mut rng, mtu));
        if rng.chance(200_000) {
            // Links with two ends of different size are rare, and still links.
            sides[1].mtu = rng.between(if v6 { 1280 } else { 576 }, 9000) as u16;
        }
        let most = rng.pick(&[1_000, 8_000, 8_000, 40_000, 100_000]);
        let conversations = (0..rng.between(1, 4)).map(|_| Conversation::random(&mut rng, most)).collect();
        Self { seed, v6, sides, conversations }
    }
}

impl Conversation {
    fn random(rng: &mut Rng, most: u64) -> Self {
        let mut conversation = Self {
            at: rng.up_to(Duration::from_millis(500)),
            client: rng.size(0, 1),
            ask: Plan::random(rng, most),
            answer: Plan::random(rng, most),
        };
        // Two who each wait for the other to finish would wait for ever.
        if conversation.ask.ending == Ending::AfterPeer && conversation.answer.ending == Ending::AfterPeer {
            conversation.ask.ending = Ending::Patient;
        }
        conversation
    }
}

impl Side {
    fn random(rng: &mut Rng, mtu: u16) -> Self {
        let buffer = |rng: &mut Rng| match rng.below(4) {
            0 => u32::from(mtu) * 2,
            1 => 16 << 10,
            2 => 64 << 10,
            _ => 512 << 10,
        };
        let connection = ConnectionConfig {
            min_rto: Duration::from_millis(rng.pick(&[1, 200, 200, 1000])),
            retries: rng.pick(&[5, 15, 15, 15]),
            receive_buffer: buffer(rng),
            send_buffer: buffer(rng),
            window_scale: rng.chance(700_000),
            timestamps: rng.chance(600_000),
            sack: rng.chance(600_000),
            ..ConnectionConfig::default()
        };
        Self {
            connection,
            link: LinkConfig::random(rng),
            mtu,
            offload: rng.pick(&[Offload::Cut, Offload::Whole]),
            budget: match rng.below(20) {
                0 => 128 << 10,
                1 => 512 << 10,
                _ => 64 << 20,
            },
            moody: if rng.chance(300_000) { 50_000 } else { 0 },
            late: if rng.chance(200_000) { rng.up_to(Duration::from_secs(2)) } else { Duration::ZERO },
            syn_cookies: if rng.chance(100_000) { SynCookies::Always } else { SynCookies::default() },
            fault: None,
        }
    }
}

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
    /// Steps of the simulation.
    pub steps: u64,
    /// When the last timer was served.
    pub finished: Instant,
    /// What both endpoints counted.
    pub counters: [Counters; 2],
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
            let addresses = vec![address(world.v6, side)];
            let endpoint = EndpointConfig { addresses, mtu, syn_cookies, ..EndpointConfig::default() };
            let mut seed = rng.bits();
            if fault == Some(Fault::Whim) {
                seed ^= Planted::whim();
            }
            let mut host =
                Host::new(HostConfig { budget, offload, moody, ..HostConfig::new(endpoint, seed) });
            if let Some(fault) = fault {
                host.plant(fault);
            }
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
        let connection = self.world.sides[side].connection.clone();
        let local = ListenAddr { address: None, port: NonZeroU16::new(PORT) };
        let listener = self.hosts[side].listen(local, ListenConfig { connection, ..ListenConfig::default() });
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
        links.chain(hosts).chain(apps).chain(begins).min()
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
        for (side, arrow) in ["A<  ", "  >B"].into_iter().enumerate() {
            while let Some(packet) = self.links[1 - side].receive(now) {
                if let Some(trace) = &mut self.trace {
                    trace.packet(now, arrow, &packet);
                }
                self.hosts[side].receive(now, &packet);
            }
            self.hosts[side].expire(now);
            self.accept(side);
        }
        self.begin_conversations();
        self.act()?;
        for (side, arrow) in ["A>  ", "  <B"].into_iter().enumerate() {
            for packet in self.hosts[side].take_packets() {
                self.packets += 1;
                (side, now.as_nanos(), &packet.bytes[..], packet.segment_size).hash(&mut self.digest);
                if let Some(trace) = &mut self.trace {
                    trace.packet(now, arrow, &packet);
                }
                self.links[side].send(now, packet);
            }
            if let Some(violation) = self.hosts[side].violation() {
                return Err(violation.clone());
            }
        }
        Ok(())
    }

    fn begin_conversations(&mut self) {
        for talk in 0..self.talks.len() {
            let Conversation { at, client, ref ask, .. } = self.world.conversations[talk];
            if self.talks[talk].begun || Instant::ZERO + at > self.now {
                continue;
            }
            self.talks[talk].begun = true;
            let remote = SocketAddr::new(address(self.world.v6, 1 - client).address, PORT);
            let config = Arc::new(self.world.sides[client].connection.clone());
            let Ok(id) = self.hosts[client].connect(self.now, None, remote, config) else { continue };
            if let Some(connection) = self.hosts[client].connection(id) {
                self.clients.insert((client, connection.local_addr()), talk);
            }
            let app = App::new(id, ask.clone(), self.rng.fork(), streams(talk, true), false);
            self.talks[talk].apps[0] = Some(app);
        }
    }

    fn accept(&mut self, side: usize) {
        while let Some(id) = self.listeners[side].and_then(|listener| self.hosts[side].accept(listener)) {
            let talk = self.talk_of(side, id);
            match talk.filter(|talk| self.talks[*talk].apps[1].is_none()) {
                Some(talk) => {
                    let plan = self.world.conversations[talk].answer.clone();
                    let app = App::new(id, plan, self.rng.fork(), streams(talk, false), true);
                    self.talks[talk].apps[1] = Some(app);
                }
                // A SYN that came late, for a conversation that is over.
                None => self.hosts[side].close(self.now, id),
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
            steps: self.steps,
            finished: self.now,
            counters,
            progress: [0, 1].map(|side| self.hosts[side].monitor().progress()),
            digest: digest.finish(),
        }
    }
}

fn address(v6: bool, side: usize) -> Cidr {
    let last = if side == 0 { 1 } else { 2 };
    let address: IpAddr = match v6 {
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into(),
        false => Ipv4Addr::new(192, 0, 2, last as u8).into(),
    };
    Cidr::new(address, if v6 { 64 } else { 24 })
}

/// Where in the pattern the streams of a conversation begin: what this side writes, and what it reads.
fn streams(talk: usize, client: bool) -> (u64, u64) {
    let base = (talk as u64 + 1) << 40;
    let (asks, answers) = (base, base + (1 << 39) + 3);
    if client { (asks, answers) } else { (answers, asks) }
}
