//! T-DEV-8 as a property: two hosts that are the same but for the device live through the same, one with whole
//! super-segments both ways, the other with single packets, and stay the same.
//!
//! Two such pairs of twins talk across links that lose, duplicate, delay, reorder and mark wire packets. What arrives
//! within one tick is a batch, which one twin gets packet by packet and the other joined, at boundaries drawn at random.
//! Now the one twin's packets set out and now the other's; the peer's twins get the same either way.

use carrick_core::{
    Cidr, ConnectionConfig, ConnectionId, EcnPolicy, EndpointConfig, Instant, ListenAddr, ListenConfig,
    ListenerId, TcpState,
};
use carrick_covers::covers;
use carrick_sim::{
    Host, HostConfig, Link, LinkConfig, Offload, Packet, Rng, SegmentView, Span, Trace, join, pattern,
};
use carrick_wire::{Ecn, SackBlocks, TcpFlags, TcpHeader};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const PORT: u16 = 80;
const WORLDS: u64 = 600;
const PARTS: u64 = 4;

/// One side twice.
struct Twins {
    /// Cut on the way out, single on the way in.
    plain: Host,
    /// Whole both ways.
    whole: Host,
    listener: Option<ListenerId>,
    id: Option<ConnectionId>,
    /// Whose packets set out.
    whole_leads: bool,
    app: App,
    /// What the twin with super-segments was given last.
    last: Vec<Packet>,
}

/// Writes and reads at random.
struct App {
    /// Where its stream begins in the pattern, and its peer's.
    streams: [u64; 2],
    to_write: u64,
    written: u64,
    read: u64,
    finished: bool,
    closed: bool,
    next: Instant,
    rest: Duration,
}

/// Packets that stand for one another are equal in this.
#[derive(Debug, PartialEq)]
struct Seen<'a> {
    tcp: TcpHeader,
    ecn: Ecn,
    text: &'a [u8],
}

fn seen(packet: &Packet) -> Seen<'_> {
    let SegmentView { tcp, ecn, payload, .. } = packet.segment().expect("TCP");
    Seen { tcp, ecn, text: payload }
}

/// Whether a packet carries more than an acknowledgment.
fn is_telling(seen: &Seen<'_>) -> bool {
    !seen.text.is_empty() || seen.tcp.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST)
}

/// What the seed decides.
struct World {
    v6: bool,
    mtu: [u16; 2],
    configs: [ConnectionConfig; 2],
    link: LinkConfig,
    tick: Duration,
    to_write: [u64; 2],
    rest: Duration,
}

impl World {
    fn random(rng: &mut Rng) -> Self {
        let v6 = rng.chance(400_000);
        let ecn = rng.chance(300_000);
        let [sack, timestamps, window_scale] = [600_000, 600_000, 800_000].map(|often| rng.chance(often));
        let mtu = [(); 2].map(|()| rng.pick(&[if v6 { 1280 } else { 576 }, 1500, 1500, 9000]));
        let configs = [(); 2].map(|()| ConnectionConfig {
            sack,
            timestamps,
            window_scale,
            ecn: if ecn { EcnPolicy::Ask } else { EcnPolicy::Off },
            nodelay: rng.chance(300_000),
            receive_buffer: rng.between(1, 16) as u32 * rng.pick(&[4 << 10, 64 << 10]),
            send_buffer: rng.between(1, 16) as u32 * rng.pick(&[4 << 10, 64 << 10]),
            min_rto: rng.pick(&[1, 200]).ms(),
            delayed_ack: if rng.chance(200_000) { Duration::ZERO } else { 40.ms() },
            ..ConnectionConfig::default()
        });
        let bad = |rng: &mut Rng, worst| if rng.chance(600_000) { rng.below(worst) as u32 } else { 0 };
        let link = LinkConfig {
            delay: rng.up_to(20.ms()),
            jitter: rng.up_to(2.ms()),
            loss: bad(rng, 80_000),
            duplicate: bad(rng, 60_000),
            reorder: bad(rng, 60_000),
            reorder_by: rng.up_to(15.ms()),
            mark: if ecn { bad(rng, 30_000) } else { 0 },
            ..LinkConfig::default()
        };
        Self {
            v6,
            mtu,
            configs,
            link,
            tick: rng.pick(&[100.us(), 1.ms(), 5.ms()]),
            to_write: [(); 2].map(|()| rng.pick(&[20_000, 1_000_000]) / rng.between(1, 20)),
            rest: rng.pick(&[0.ms(), 1.ms(), 30.ms()]),
        }
    }

    fn address(&self, side: usize) -> IpAddr {
        let last = side as u16 + 1;
        match self.v6 {
            true => [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(),
            false => [192, 0, 2, last as u8].into(),
        }
    }

    fn twins(&self, side: usize, rng: &mut Rng) -> Twins {
        let prefix = if self.v6 { 64 } else { 24 };
        let seed = rng.bits();
        let host = |offload, max_frame| {
            let endpoint = EndpointConfig {
                addresses: vec![Cidr::new(self.address(side), prefix)],
                mtu: self.mtu[side],
                ..EndpointConfig::default()
            };
            Host::new(HostConfig { offload, max_frame, ..HostConfig::new(endpoint, seed) })
        };
        let stream = |side: usize| (side as u64) << 40;
        Twins {
            plain: host(Offload::Cut, usize::from(self.mtu[side])),
            whole: host(Offload::Whole, 65_535),
            listener: None,
            id: None,
            whole_leads: rng.chance(500_000),
            last: Vec::new(),
            app: App {
                streams: [stream(side), stream(1 - side)],
                to_write: self.to_write[side],
                written: 0,
                read: 0,
                finished: false,
                closed: false,
                next: Instant::ZERO,
                rest: self.rest,
            },
        }
    }
}

impl Twins {
    /// Does the same to both; what comes of it must be the same.
    #[track_caller]
    fn both<T: PartialEq + std::fmt::Debug>(&mut self, act: impl Fn(&mut Host) -> T) -> T {
        let [plain, whole] = [&mut self.plain, &mut self.whole].map(act);
        assert_eq!(plain, whole, "what the application sees");
        plain
    }

    fn receive(&mut self, now: Instant, batch: &[Packet], rng: &mut Rng) {
        if !batch.is_empty() {
            self.plain.receive_batch(now, batch);
            let most = rng.pick(&[1, 3, 8, 64, 64]);
            self.last = join(batch, || rng.size(1, most));
            self.whole.receive_batch(now, &self.last);
        }
        if let (Some(listener), None) = (self.listener, self.id) {
            self.id = self.both(|host| host.accept(listener));
        }
    }

    fn act(&mut self, now: Instant, rng: &mut Rng) {
        let Some(id) = self.id.filter(|_| !self.app.closed) else { return };
        if matches!(self.both(|host| host.state(id)), TcpState::SynSent | TcpState::SynReceived) {
            return;
        }
        let most = rng.pick(&[100, 5000, 100_000]);
        let size = rng.size(1, most);
        let read = self.both(|host| host.read(now, id, size));
        assert_eq!(read, pattern(self.app.streams[1] + self.app.read, read.len()));
        self.app.read += read.len() as u64;
        if now >= self.app.next {
            let most = rng.pick(&[100, 5000, 100_000]);
            let size = rng.size(1, most).min((self.app.to_write - self.app.written) as usize);
            if size > 0 {
                let text = pattern(self.app.streams[0] + self.app.written, size);
                let sent = self.both(|host| host.send(now, id, &text));
                self.app.written += sent.unwrap_or(0) as u64;
            }
            self.app.next = now + rng.up_to(self.app.rest);
        }
        if self.app.written == self.app.to_write && !self.app.finished {
            self.app.finished = true;
            self.both(|host| host.finish(now, id));
        }
        if self.app.finished && self.both(|host| host.connection(id).is_none_or(|c| c.at_end())) {
            self.app.closed = true;
            self.both(|host| host.close(now, id));
        }
    }

    /// What both are to show, and what of it sets out.
    fn compare(&mut self, now: Instant) -> Result<Vec<Packet>, String> {
        for host in [&self.plain, &self.whole] {
            if let Some(violation) = host.violation() {
                return Err(violation.to_string());
            }
        }
        let plain = self.plain.take_packets();
        let whole = self.whole.take_packets();
        let wire: Vec<_> = whole.iter().flat_map(Packet::cut).collect();
        let differ = |what: String| {
            let mut trace = Trace::default();
            trace.note(now, &what);
            for (who, packets) in [("in  ", &self.last), ("single", &plain), ("whole ", &whole)] {
                packets.iter().for_each(|packet| trace.packet(now, who, packet));
            }
            Err(trace.lines().join("\n"))
        };
        let telling = |packets| -> Vec<_> {
            let all = <[Packet]>::iter(packets).map(seen).filter(is_telling);
            // Which of several old blocks still have room is no matter.
            all.map(|mut seen| {
                seen.tcp.options.sack = SackBlocks::default();
                seen
            })
            .collect()
        };
        if telling(&plain) != telling(&wire) {
            return differ("they send different text".into());
        }
        let look = |host: &Host| {
            let connection = self.id.and_then(|id| host.connection(id));
            (
                connection.map(|c| (c.sequence_numbers(), c.state(), c.readable_len(), c.unacknowledged())),
                connection.map(|c| (c.send_room(), c.error())),
                host.poll_timeout(),
            )
        };
        if look(&self.plain) != look(&self.whole) {
            let [a, b] = [&self.plain, &self.whole].map(look);
            return differ(format!("single {a:?}\nwhole {b:?}"));
        }
        Ok(if self.whole_leads { wire } else { plain })
    }
}

/// What a run came to, to see that there was something to be the same.
#[derive(Debug, Default)]
struct Sum {
    packets: u64,
    bytes: u64,
    lost: u64,
    marked: u64,
    joined: u64,
    complete: u64,
}

fn play(seed: u64, sum: &mut Sum) {
    let mut rng = Rng::new(seed);
    let world = World::random(&mut rng);
    let mut sides = [0, 1].map(|side| world.twins(side, &mut rng));
    let mut links = [(); 2].map(|()| Link::new(world.link.clone(), rng.fork()));
    let mut now = Instant::ZERO;
    let [client, server] = [0, 1].map(|side| SocketAddr::new(world.address(side), PORT));
    let listen = ListenAddr { address: None, port: NonZeroU16::new(PORT) };
    let config = ListenConfig { connection: world.configs[1].clone(), ..ListenConfig::default() };
    sides[1].listener =
        Some(sides[1].both(|host| host.listen(listen, config.clone()).expect("the port is free")));
    let config = Arc::new(world.configs[0].clone());
    let connect = |host: &mut Host| host.connect(now, Some(client), server, config.clone()).expect("a port");
    sides[0].id = Some(sides[0].both(connect));
    loop {
        for side in 0..2 {
            let mut batch = Vec::new();
            while let Some(packet) = links[1 - side].receive(now) {
                batch.push(packet);
            }
            let twins = &mut sides[side];
            let frames = twins.whole.endpoint().counters().frames;
            twins.receive(now, &batch, &mut rng);
            sum.joined += batch.len() as u64 - (twins.whole.endpoint().counters().frames - frames);
            let sent = twins.compare(now).and_then(|mut sent| {
                twins.both(|host| host.expire(now));
                sent.extend(twins.compare(now)?);
                twins.act(now, &mut rng);
                sent.extend(twins.compare(now)?);
                Ok(sent)
            });
            let sent = sent.unwrap_or_else(|what| panic!("seed {seed}, side {side}, at {now:?}:\n{what}"));
            sum.packets += sent.len() as u64;
            for packet in sent {
                links[side].send(now, packet);
            }
        }
        let arrivals = links.iter().filter_map(Link::next_arrival);
        let timers = sides.iter().filter_map(|twins| twins.plain.poll_timeout());
        let busy = |twins: &&Twins| {
            let app = &twins.app;
            let connection = twins.id.and_then(|id| twins.plain.connection(id));
            let unread = connection.is_some_and(|connection| connection.readable_len() > 0);
            connection.is_some() && !app.closed && (unread || !app.finished)
        };
        let apps = sides.iter().filter(busy).map(|twins| twins.app.next.max(now + world.tick));
        let Some(due) = arrivals.chain(timers).chain(apps).min() else { break };
        let tick = world.tick.as_nanos() as u64;
        now = now.max(Instant::from_nanos(due.as_nanos().next_multiple_of(tick)));
        assert!(now < Instant::ZERO + 3600.secs(), "seed {seed} has no end");
    }
    for side in 0..2 {
        let (app, peer) = (&sides[side].app, &sides[1 - side].app);
        sum.bytes += app.read;
        sum.complete += u64::from(app.closed && app.read == peer.to_write && app.written == app.to_write);
    }
    sum.lost += links.iter().map(Link::lost).sum::<u64>();
    sum.marked += links.iter().map(Link::marked).sum::<u64>();
}

#[test]
fn t_dev_8_twins_with_and_without_offload_stay_the_same() {
    let soak: u64 = std::env::var("CARRICK_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let part = move |part: u64| {
        let mut sum = Sum::default();
        (part..WORLDS * soak).step_by(PARTS as usize).for_each(|seed| play(seed, &mut sum));
        sum
    };
    let parts: Vec<_> = (0..PARTS).map(|n| thread::spawn(move || part(n))).collect();
    for part in parts {
        let sum = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        println!("{sum:?}");
        let Sum { packets, bytes, lost, marked, joined, complete } = sum;
        let worlds = WORLDS * soak / PARTS;
        assert!(complete * 10 > worlds * 2 * 9, "most conversations get through");
        assert!(joined * 5 > packets, "there is much to join");
        assert!(lost > worlds && marked > 0 && bytes > worlds * 10_000);
    }
    covers!("T-DEV-8");
}
