//! What the core does for a segment, in instructions: the same number on every run, however busy the machine is.
//!
//! Two endpoints talk over a path with a delay and nothing else, in virtual time. The bench runs itself under
//! `valgrind --tool=callgrind` once for each line of its table, which counts what happens inside of [`counted`], the
//! standard library and the allocator included, and divides that by how often it was called.
//!
//! Not a criterion bench: instructions need no statistics, and no quiet machine.

use carrick_core::congestion::{Controller, NewReno};
use carrick_core::{
    Checksum, Cidr, Connection, ConnectionConfig, ConnectionId, Cx, Dispatch, Endpoint, EndpointConfig,
    Frame, Input, Instant, ListenAddr, ListenConfig, MAX_PARTS, Taken,
};
use std::collections::VecDeque;
use std::hint::black_box;
use std::num::{NonZeroU16, NonZeroUsize};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Text of a full segment, with timestamps.
const MSS: usize = 1448;
/// What is in flight when it is counted: 360 segments.
const FLIGHT: usize = 360 * MSS;
/// A packet takes so long to leave, so that no two leave at one time.
const GAP: Duration = Duration::from_micros(1);
/// What an application writes and reads at a time.
const CHUNK: usize = 64 << 10;
/// With timestamps alone.
const ACK_LEN: usize = 52;

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// An acknowledgment of two segments, in order: who it is for, and what it says.
    FindAck,
    Ack,
    /// A segment of new text: what it is to be, and that it has left.
    Plan,
    Commit,
    /// A segment that comes in order, and every second time the acknowledgment that it draws.
    FindText,
    Text,
    PlanAck,
    CommitAck,
    /// An acknowledgment with one block: most of them of a flight whose first segment is lost.
    Sack,
    /// Early, with nothing due: the timers, what is to be sent, the next deadline.
    Idle,
}

/// Where it is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Path {
    /// Shorter than a timer's tick, in slow start: nothing is paced.
    Short,
    /// In congestion avoidance, paced.
    Long,
    /// The same with [`NewReno`].
    LongNewReno,
}

/// Name, step, path, and what is printed.
const LINES: [(&str, Step, Path, &str); 13] = [
    ("find-ack", Step::FindAck, Path::Long, "an ACK of two segments: `handle_frame`"),
    ("ack", Step::Ack, Path::Long, "the same: `handle_input`, paced CUBIC"),
    ("ack-short", Step::Ack, Path::Short, "the same, less than a millisecond away, in slow start"),
    ("ack-new-reno", Step::Ack, Path::LongNewReno, "the same, paced NewReno"),
    ("plan", Step::Plan, Path::Long, "a segment of new text: `poll_transmit`"),
    ("commit", Step::Commit, Path::Long, "the same: `sent`, paced CUBIC"),
    ("commit-short", Step::Commit, Path::Short, "the same, less than a millisecond away"),
    ("find-text", Step::FindText, Path::Long, "a segment in order: `handle_frame`"),
    ("text", Step::Text, Path::Long, "the same: `handle_input`"),
    ("plan-ack", Step::PlanAck, Path::Long, "the ACK of two segments: `poll_transmit`"),
    ("commit-ack", Step::CommitAck, Path::Long, "the same: `sent`"),
    ("sack", Step::Sack, Path::Long, "an ACK with one SACK block: `handle_input`"),
    ("idle", Step::Idle, Path::Long, "an idle connection: `handle_timeout`, `poll_transmit`, `poll_timeout`"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    if let Some(name) = value("--line") {
        let (_, step, path, _) = LINES.iter().find(|line| line.0 == name).expect("a line of that name");
        println!("{}", play(*step, *path));
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--test") {
        for (name, step, path, _) in LINES {
            println!("{name}: counted {} times", play(step, path));
        }
        return ExitCode::SUCCESS;
    }
    let keep = value("--keep");
    let only = value("--only");
    println!("{:>12} | what", "instructions");
    for (name, _, _, what) in
        LINES.into_iter().filter(|line| only.as_deref().is_none_or(|only| only == line.0))
    {
        match count(name, keep.as_deref()) {
            Ok(each) => println!("{each:>12} | {what}"),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Runs one line in a process of its own. `keep` is a directory for what callgrind_annotate reads.
fn count(name: &str, keep: Option<&str>) -> Result<u64, String> {
    let out =
        keep.map_or_else(|| "/dev/null".to_owned(), |directory| format!("{directory}/callgrind.{name}"));
    let this =
        std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*instructions::counted*"])
        .arg(format!("--callgrind-out-file={out}"))
        .arg(this)
        .args(["--line", name])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            format!("valgrind does not run ({error}): Debian has it in the package of that name")
        })?;
    let (said, printed) = (String::from_utf8_lossy(&run.stderr), String::from_utf8_lossy(&run.stdout));
    let total = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    let times = printed.trim().parse::<u64>().ok().filter(|times| *times > 0);
    match (run.status.success(), total, times) {
        (true, Some(total), Some(times)) if total > 0 => Ok(total / times),
        _ => Err(format!("callgrind has counted nothing of {name}:\n{said}")),
    }
}

/// What callgrind counts.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Counts a step, and how often.
struct Counter {
    step: Step,
    on: bool,
    times: u64,
}

impl Counter {
    fn run<T>(&mut self, step: Step, work: impl FnOnce() -> T) -> T {
        if !self.on || step != self.step {
            return work();
        }
        self.times += 1;
        counted(work)
    }
}

/// One end: an endpoint and its connection.
struct Host {
    endpoint: Endpoint,
    connection: Option<(ConnectionId, Box<Connection>)>,
}

impl Host {
    fn new(n: u8, config: &ConnectionConfig) -> Self {
        let addresses = vec![Cidr::new([192, 0, 2, n].into(), 24)];
        let mut endpoint =
            Endpoint::new(Arc::new(EndpointConfig { addresses, ..EndpointConfig::default() }), [n; 32]);
        let addr = ListenAddr { address: None, port: NonZeroU16::new(80) };
        let config = ListenConfig { connection: config.clone(), ..ListenConfig::default() };
        endpoint.listen(addr, config).expect("a free port");
        Self { endpoint, connection: None }
    }

    fn connection(&mut self) -> &mut Connection {
        &mut self.connection.as_mut().expect("open").1
    }

    fn deadline(&self) -> Option<Instant> {
        let connection = self.connection.as_ref().and_then(|(_, connection)| connection.poll_timeout());
        connection.into_iter().chain(self.endpoint.poll_timeout()).min()
    }
}

/// Two hosts: the first sends, the second receives.
struct World {
    now: Instant,
    hosts: [Host; 2],
    /// What is under way from each, and when it arrives.
    ways: [VecDeque<(Instant, Vec<u8>)>; 2],
    delay: Duration,
    /// The next packet with text is lost.
    lose: bool,
    writes: bool,
    counter: Counter,
}

impl World {
    fn new(step: Step, path: Path) -> Self {
        let delay = if path == Path::Short { Duration::from_micros(300) } else { Duration::from_millis(10) };
        let config = ConnectionConfig {
            congestion: (path == Path::LongNewReno)
                .then(|| -> Box<dyn Controller> { Box::new(NewReno::default()) }),
            receive_buffer: 4 << 20,
            tune_receive_buffer: false,
            ..ConnectionConfig::default()
        };
        let mut hosts = [1, 2].map(|n| Host::new(n, &config));
        let remote = "192.0.2.2:80".parse().expect("an address");
        let connected = hosts[0].endpoint.connect(&Cx::new(Instant::ZERO), None, remote, Arc::new(config));
        hosts[0].connection = Some(connected.expect("a free port"));
        let counter = Counter { step, on: false, times: 0 };
        Self {
            now: Instant::ZERO,
            hosts,
            ways: Default::default(),
            delay,
            lose: false,
            writes: true,
            counter,
        }
    }

    /// Bytes that were sent and are not acknowledged.
    fn flight(&mut self) -> usize {
        let connection = self.hosts[0].connection();
        connection.unacknowledged() - connection.unsent()
    }

    fn cx(&self) -> Cx {
        Cx::new(self.now)
    }

    /// The next thing that happens.
    fn advance(&mut self) {
        for from in [0, 1] {
            self.drain(from);
        }
        let arrivals = self.ways.iter().filter_map(|way| way.front().map(|(at, _)| *at));
        let deadlines = self.hosts.iter().filter_map(Host::deadline);
        let next = arrivals.chain(deadlines).min().expect("something is due");
        self.now = self.now.max(next);
        for from in [0, 1] {
            while self.ways[from].front().is_some_and(|(at, _)| *at <= self.now) {
                let (_, packet) = self.ways[from].pop_front().expect("there is one");
                self.receive(1 - from, &packet);
                self.drain(1 - from);
            }
        }
        let cx = self.cx();
        for host in &mut self.hosts {
            host.endpoint.handle_timeout(&cx);
            if let Some((_, connection)) = &mut host.connection
                && connection.poll_timeout().is_some_and(|at| at <= cx.now)
            {
                connection.handle_timeout(&cx);
            }
        }
    }

    fn receive(&mut self, to: usize, packet: &[u8]) {
        let (cx, host) = (self.cx(), &mut self.hosts[to]);
        let (find, take) = match (to, packet.len()) {
            (0, ACK_LEN) => (Step::FindAck, Step::Ack),
            (0, _) => (Step::Sack, Step::Sack),
            _ => (Step::FindText, Step::Text),
        };
        let find = if find == take { None } else { Some(find) };
        let frame = Frame::new(packet).with_checksum(Checksum::Verified);
        let endpoint = &mut host.endpoint;
        let dispatch = match find {
            Some(find) => self.counter.run(find, || endpoint.handle_frame(&cx, frame)),
            None => endpoint.handle_frame(&cx, frame),
        };
        match dispatch {
            Dispatch::Existing(_, input) => {
                let (_, connection) = host.connection.as_mut().expect("open");
                let outcome = self.counter.run(take, || connection.handle_input(&cx, input));
                host.endpoint.record_outcome(outcome);
            }
            Dispatch::Opened(listener, id, mut connection, segment) => {
                let outcome = connection.handle_input(&cx, Input::Segment(segment));
                host.endpoint.record_outcome(outcome);
                host.endpoint.accepted(listener);
                host.connection = Some((id, connection));
            }
            Dispatch::Answered | Dispatch::Held | Dispatch::Reassembled(_) | Dispatch::Discard(_) => {}
        }
    }

    /// Writes, reads, and sends what is due.
    fn drain(&mut self, from: usize) {
        let cx = self.cx();
        while let Some(transmit) = self.hosts[from].endpoint.poll_transmit(&cx) {
            self.ways[from].push_back((self.now + self.delay, transmit.header().to_vec()));
            transmit.sent(Taken::All);
        }
        if self.hosts[from].connection.is_none() {
            return;
        }
        let connection = self.hosts[from].connection();
        let read = connection.readable_len();
        if read > 0 {
            connection.consume(&cx, read);
        }
        if from == 0 && self.writes {
            while connection.send(&cx, &[0x5a; CHUNK]).is_ok() {}
        }
        let (plan, commit) =
            if from == 0 { (Step::Plan, Step::Commit) } else { (Step::PlanAck, Step::CommitAck) };
        loop {
            let cx = self.cx();
            let (connection, counter) =
                (&mut self.hosts[from].connection.as_mut().expect("open").1, &mut self.counter);
            // What finds nothing costs less, and is not counted.
            if connection.poll_transmit(&cx, NonZeroUsize::new(1500).expect("not 0")).is_none() {
                break;
            }
            let most = NonZeroUsize::new(1500).expect("not 0");
            let transmit = counter.run(plan, || connection.poll_transmit(&cx, most)).expect("as before");
            let mut packet = transmit.header().to_vec();
            let mut parts = [&[][..]; MAX_PARTS];
            let count = transmit.payload(&mut parts);
            parts.iter().take(count).for_each(|part| packet.extend_from_slice(part));
            let text = transmit.payload_len() > 0;
            counter.run(commit, || transmit.sent(Taken::All));
            if !(text && std::mem::take(&mut self.lose)) {
                self.ways[from].push_back((self.now + self.delay, packet));
            }
            self.now += GAP;
        }
    }

    fn run_until(&mut self, done: impl Fn(&mut Self) -> bool) {
        while !done(self) {
            self.advance();
        }
    }
}

/// Plays what leads to it, then what is counted. How often that was.
fn play(step: Step, path: Path) -> u64 {
    let mut world = World::new(step, path);
    world.run_until(|world| world.hosts.iter().all(|host| host.connection.is_some()));
    if path == Path::Short {
        world.run_until(|world| world.flight() >= FLIGHT);
    } else {
        // CUBIC leaves seven tenths after a loss, NewReno half; until it is found slow start doubles what there is.
        let most = if path == Path::Long { FLIGHT * 5 / 7 } else { FLIGHT };
        world.run_until(|world| world.flight() >= most);
        world.lose = true;
        let begun = world.now;
        world.run_until(|world| world.now.since(begun) >= Duration::from_millis(200));
    }
    if step == Step::Idle {
        world.writes = false;
        world.run_until(|world| world.hosts[0].connection().unacknowledged() == 0);
        let cx = world.cx();
        world.counter.on = true;
        for _ in 0..100 {
            let connection = &mut world.hosts[0].connection.as_mut().expect("open").1;
            let most = NonZeroUsize::new(1500).expect("not 0");
            world.counter.run(step, || {
                connection.handle_timeout(&cx);
                black_box(connection.poll_transmit(&cx, most)).is_none()
                    && connection.poll_timeout().is_none()
            });
        }
        return world.counter.times;
    }
    world.lose = step == Step::Sack;
    world.counter.on = true;
    let begun = world.now;
    // So long as that the loss is seen, and no longer.
    let round_trips = if step == Step::Sack { 2 } else { 10 };
    let least = world.delay * 2 * round_trips;
    world.run_until(|world| world.now.since(begun) >= least);
    world.counter.times
}
