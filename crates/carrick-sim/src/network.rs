//! Several flows over one bottleneck, each between two hosts of its own, in virtual time: who gets how much, how soon,
//! and at what price.
//!
//! ```text
//!   sender 0 ── access ──┐                                     ┌── receiver 0
//!   sender 1 ── access ──┼── router ════ there, back ════ router ──┼── receiver 1
//!   sender 2 ── access ──┘                                     └── receiver 2
//! ```
//!
//! Every byte is compared with what was written. The oracles of [`Host`](crate::Host) look at every packet only if they
//! are [asked to](Network::watched), for they take more time than all the rest.

mod meter;
mod ranges;
mod report;
mod talk;

pub use ranges::Ranges;
pub use report::{FlowReport, FlowSample, NetworkReport, PacketKind, PacketNote, QueueSample};

use crate::capture::Capture;
use crate::link::{Link, LinkConfig};
use crate::oracles::{Oracle, Violation};
use crate::packet::Packet;
use crate::rng::Rng;
use carrick_core::{ConnectionConfig, Instant};
use carrick_wire::IpView;
use carrick_wire::pcapng::Direction;
use meter::Text;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use talk::Talk;

/// No run takes more steps.
const MOST_STEPS: u64 = 2_000_000_000;
/// Most flows: each has an address of a network of 254.
const MOST_FLOWS: usize = 250;

/// Flows over a link that they share.
///
/// # Examples
/// Two flows over 10 Mbit/s and 20 ms, with a queue of one bandwidth-delay product; the second begins a second later.
/// ```
/// use carrick_sim::{Bottleneck, Flow, LinkConfig, Network, QueueLimit, Span};
///
/// let queue = QueueLimit::bdp(10_000_000, 20.ms(), 1.0);
/// let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(10_000_000) });
/// let mut network = Network::new(7, LinkConfig { bottleneck, ..LinkConfig::delayed(10.ms()) });
/// network.flows = vec![Flow::endless(), Flow { at: 1.secs(), ..Flow::endless() }];
/// let report = network.run(10.secs()).unwrap();
/// assert!((8e6..10e6).contains(&report.goodput()), "{} bit/s", report.goodput());
/// println!("{:?} at most waited for its turn", report.there.longest_wait);
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    /// Seeds all hosts and both links.
    pub seed: u64,
    /// Over IPv6 instead of IPv4. Default false.
    pub v6: bool,
    /// What carries the text of all flows.
    pub there: LinkConfig,
    /// What carries the acknowledgments.
    pub back: LinkConfig,
    /// The flows; 250 at most.
    pub flows: Vec<Flow>,
    /// How often windows and queues are looked at, for the samples of the report. Default never (zero).
    pub sample: Duration,
    /// Whether each flow's packets are noted in the report, about 40 bytes for each. Default false.
    pub packets: bool,
    /// Whether the oracles look at each packet. Default false.
    pub watched: bool,
}

/// One sender and its receiver.
#[derive(Clone, Debug)]
pub struct Flow {
    /// When it connects. Default at once.
    pub at: Duration,
    /// How many bytes it sends; none (the default) for as many as it can until the run ends.
    pub bytes: Option<u64>,
    /// How long packets take between the sender and the router, each way. Default zero.
    pub access: Duration,
    /// Most bytes that the receiver's application reads every 100 ms; none (the default) for all that there are, at
    /// once.
    pub reads: Option<u32>,
    /// The sender's settings.
    pub sender: ConnectionConfig,
    /// The receiver's settings.
    pub receiver: ConnectionConfig,
    /// MTU of both devices, in bytes. Default 1,500.
    pub mtu: u16,
}

impl Flow {
    /// Sends as much as it can, with buffers of 32 MiB on both sides, so that it is the network that decides.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_sim::Flow::endless().bytes, None);
    /// ```
    #[must_use]
    pub fn endless() -> Self {
        let config = ConnectionConfig {
            send_buffer: 32 << 20,
            tune_send_buffer: false,
            receive_buffer: 32 << 20,
            tune_receive_buffer: false,
            ..ConnectionConfig::default()
        };
        let (at, access) = (Duration::ZERO, Duration::ZERO);
        Self { at, bytes: None, access, reads: None, sender: config.clone(), receiver: config, mtu: 1500 }
    }

    /// Sends so many bytes, else as [`endless`](Self::endless) says.
    ///
    /// # Examples
    /// ```
    /// let short = carrick_sim::Flow::of(100_000);
    /// assert_eq!(short.bytes, Some(100_000));
    /// ```
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..Self::endless() }
    }

    /// The least time from its beginning until all that it sends has arrived, over a link of `rate` bits per second
    /// that it has for itself and a round trip of `round_trip`: one for the handshake, one for each time that its
    /// window doubles, from RFC 6928's initial one until it fills the path, the way there, and the bits of what is sent
    /// last. Packets are full, over IPv4 and with timestamps. None for a flow without end; more than a year is no
    /// longer told apart.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{Flow, Span};
    ///
    /// // The handshake, the way there, and seven packets at 50 Mbit/s.
    /// let least = Flow::of(10_000).least_time(50_000_000, 40.ms()).unwrap();
    /// assert_eq!(least.as_micros(), 40_000 + 20_000 + 1657);
    /// // Before the last 56,560 bytes two windows are acknowledged.
    /// let least = Flow::of(100_000).least_time(50_000_000, 40.ms()).unwrap();
    /// assert_eq!(least.as_micros(), 3 * 40_000 + 20_000 + 9374);
    /// ```
    #[must_use]
    pub fn least_time(&self, rate: u64, round_trip: Duration) -> Option<Duration> {
        const HEADERS: u64 = 52;
        const MOST: f64 = 365.0 * 86_400.0;
        let packet = u64::from(self.mtu).max(HEADERS + 1);
        let text = packet - HEADERS;
        let time_of = |bytes: u64| {
            let bits = bytes as f64 * packet as f64 / text as f64 * 8.0;
            Duration::from_secs_f64((bits / rate.max(1) as f64).min(MOST))
        };
        let mut left = self.bytes?;
        let mut window = (10 * text).min((2 * text).max(14_600));
        let mut took = round_trip;
        while left > window && time_of(window) < round_trip {
            took = took.saturating_add(round_trip);
            left -= window;
            window = window.saturating_mul(2);
        }
        Some(took.saturating_add(round_trip / 2).saturating_add(time_of(left)))
    }
}

impl Network {
    /// The same link both ways, and no flow yet.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{LinkConfig, Network, Span};
    ///
    /// let nothing = Network::new(7, LinkConfig::delayed(10.ms())).run(1.secs()).unwrap();
    /// assert_eq!(nothing.steps, 0);
    /// ```
    #[must_use]
    pub fn new(seed: u64, both_ways: LinkConfig) -> Self {
        Self {
            seed,
            v6: false,
            there: both_ways.clone(),
            back: both_ways,
            flows: Vec::new(),
            sample: Duration::ZERO,
            packets: false,
            watched: false,
        }
    }

    /// Runs until all flows are done, or so long if that is before.
    ///
    /// # Errors
    /// Text that did not arrive as it was written, or what an oracle saw.
    ///
    /// # Panics
    /// If there are more than 250 flows.
    ///
    /// # Examples
    /// See [`Network`].
    pub fn run(&self, longest: Duration) -> Result<NetworkReport, Violation> {
        Run::new(self, None).run(longest).map(|(report, _)| report)
    }

    /// As [`run`](Self::run), with what all senders send and receive as a capture file (pcapng) for `writer`. Outbound
    /// is what they send.
    ///
    /// # Errors
    /// What the writer says; as [`run`](Self::run), as [`io::ErrorKind::Other`].
    ///
    /// # Panics
    /// If there are more than 250 flows.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{Flow, LinkConfig, Network, Span};
    ///
    /// let mut network = Network::new(7, LinkConfig::delayed(10.ms()));
    /// network.flows = vec![Flow::of(10_000)];
    /// let mut file = Vec::new();
    /// network.capture(1.secs(), &mut file)?;
    /// assert!(file.len() > 10_000);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn capture(&self, longest: Duration, mut writer: impl Write) -> io::Result<NetworkReport> {
        let capture = Capture::new(&mut writer as &mut dyn Write)?;
        let (report, failed) = Run::new(self, Some(capture)).run(longest).map_err(io::Error::other)?;
        failed.map_or(Ok(report), Err)
    }
}

/// A run, as far as it has come.
struct Run<'a, 'w> {
    network: &'a Network,
    there: Link,
    back: Link,
    talks: Vec<Talk>,
    now: Instant,
    next_sample: Instant,
    queues: Vec<QueueSample>,
    steps: u64,
    capture: Option<Capture<&'w mut dyn Write>>,
    failed: Option<io::Error>,
}

impl<'a, 'w> Run<'a, 'w> {
    fn new(network: &'a Network, capture: Option<Capture<&'w mut dyn Write>>) -> Self {
        assert!(network.flows.len() <= MOST_FLOWS, "at most {MOST_FLOWS} flows");
        let mut rng = Rng::new(network.seed);
        let there = Link::new(network.there.clone(), rng.fork());
        let back = Link::new(network.back.clone(), rng.fork());
        let texts = talk::texts();
        let talks =
            (0..network.flows.len()).map(|index| Talk::new(network, index, Arc::clone(&texts), &mut rng));
        let talks = talks.collect();
        Self {
            network,
            there,
            back,
            talks,
            now: Instant::ZERO,
            next_sample: if network.sample.is_zero() { Instant::NEVER } else { Instant::ZERO },
            queues: Vec::new(),
            steps: 0,
            capture,
            failed: None,
        }
    }

    fn run(mut self, longest: Duration) -> Result<(NetworkReport, Option<io::Error>), Violation> {
        let end = Instant::ZERO + longest;
        while !self.talks.iter().all(Talk::is_done) {
            let due = self.next_due().min(end);
            self.now = self.now.max(due);
            if self.now >= end {
                break;
            }
            self.step()?;
        }
        let (now, steps) = (self.now, self.steps);
        let flows = self.talks.into_iter().map(|talk| talk.report(now)).collect();
        let (there, back) = (self.there.counters(), self.back.counters());
        let report = NetworkReport { flows, there, back, queues: self.queues, finished: now, steps };
        Ok((report, self.failed))
    }

    fn next_due(&self) -> Instant {
        let links = [&self.there, &self.back].into_iter().filter_map(Link::next_arrival);
        let talks = self.talks.iter().map(Talk::next);
        links.chain(talks).fold(self.next_sample, Instant::min)
    }

    /// Does all that is due now: packets first, then timers, then applications.
    fn step(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        let now = self.now;
        if self.steps > MOST_STEPS {
            let what = format!("{MOST_STEPS} steps and no end");
            return Err(Violation { oracle: Oracle::O1, at: now, what });
        }
        while let Some((_, packet, copy)) = self.there.receive_copy(now) {
            let Some(talk) = destination(&packet).and_then(|index| self.talks.get_mut(index)) else {
                continue;
            };
            talk.arrived(now, &packet, copy);
        }
        while let Some(packet) = self.back.receive(now) {
            let Some(talk) = destination(&packet).and_then(|index| self.talks.get_mut(index)) else {
                continue;
            };
            talk.came_back(now, packet);
        }
        for index in 0..self.talks.len() {
            if self.talks[index].is_due(now) {
                self.serve(index)?;
            }
        }
        while let Some(answer) = self.there.take_answer() {
            self.back.send(now, answer);
        }
        while let Some(answer) = self.back.take_answer() {
            self.there.send(now, answer);
        }
        if self.next_sample <= now {
            self.next_sample = now + self.network.sample;
            self.queues.push(QueueSample { at: now, there: self.there.queue(), back: self.back.queue() });
            self.talks.iter_mut().for_each(|talk| talk.sample(now));
        }
        Ok(())
    }

    fn serve(&mut self, index: usize) -> Result<(), Violation> {
        let (talk, now) = (&mut self.talks[index], self.now);
        let (there, back) = (&mut self.there, &mut self.back);
        let (capture, failed) = (&mut self.capture, &mut self.failed);
        let mut record = |direction, packet: &Packet| {
            if let Some(file) = capture
                && let Err(error) = file.packet(now, direction, packet)
            {
                *failed = Some(error);
                *capture = None;
            }
        };
        for packet in talk.act(now, &mut |packet| record(Direction::Inbound, packet))? {
            record(Direction::Outbound, &packet);
            talk.leaves(now, packet);
        }
        talk.reach_router(now, |packet| {
            there.send(now, packet);
        });
        for packet in talk.answers() {
            back.send(now, packet);
        }
        talk.served();
        Ok(())
    }
}

/// Which flow a packet belongs to: the last byte of every address says it.
fn destination(packet: &Packet) -> Option<usize> {
    let last = match IpView::parse(&packet.bytes[..]).ok()?.dst() {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    usize::from(last).checked_sub(1)
}
