//! What a [`Pair`](crate::Pair) plays: two sides, their links, and conversations; chosen, or drawn from a seed.

use crate::app::{Ending, Plan};
use crate::fault::Fault;
use crate::link::{LinkConfig, PathMtu};
use crate::packet::Offload;
use crate::rng::Rng;
use carrick_core::congestion::NewReno;
use carrick_core::{ConnectionConfig, EcnPolicy, KeepAlive, SynCookies, UserTimeoutOption};
use carrick_wire::SeqNum;
use std::time::Duration;

/// Where conversations that name the client's port begin; where two connect to each other the second uses the next.
pub(crate) const FIRST_PORT: u16 = 20_000;

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
    /// When that link stops to carry anything.
    pub link_dies: Option<Duration>,
    /// MTU of its device.
    pub mtu: u16,
    /// What its device does with super-segments.
    pub offload: Offload,
    /// Most bytes that its connections may hold together.
    pub budget: usize,
    /// How often, per million, its device is [moody](crate::HostConfig::moody).
    pub moody: u32,
    /// By how much its driver may be late for a timer, if nothing else wakes it before.
    pub late: Duration,
    /// Whether its endpoint answers SYNs with cookies.
    pub syn_cookies: SynCookies,
    /// Most connections that wait to be accepted.
    pub backlog: u32,
    /// How long its server takes between accepting two.
    pub accept_pause: Duration,
    /// Its listener parks SYNs, and decides about each after so long, mostly in its favour.
    pub park: Option<Duration>,
    /// When its listener goes away.
    pub unlistens: Option<Duration>,
    /// Most connections with the other side beyond which it accepts none.
    pub max_per_source: Option<u32>,
    /// It is there for all addresses of its network.
    pub any_address: bool,
    /// From when on a router takes no larger packets of what it sends, and says so.
    pub narrows: Option<(Duration, u16)>,
    /// How often, per million, a router tells it that a packet that got lost did not arrive.
    pub unreachable: u32,
    /// A fault to be found.
    pub fault: Option<Fault>,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            connection: ConnectionConfig::default(),
            link: LinkConfig::default(),
            link_dies: None,
            mtu: 1500,
            offload: Offload::Cut,
            budget: 64 << 20,
            moody: 0,
            late: Duration::ZERO,
            syn_cookies: SynCookies::default(),
            backlog: 1024,
            accept_pause: Duration::ZERO,
            park: None,
            unlistens: None,
            max_per_source: None,
            any_address: false,
            narrows: None,
            unreachable: 0,
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
    /// How the client connects.
    pub opening: Opening,
    /// What the client does.
    pub ask: Plan,
    /// What the server does.
    pub answer: Plan,
}

/// How a conversation begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Opening {
    /// From a port of the stack's choice to the server's.
    #[default]
    Any,
    /// From this port, which an earlier conversation may have used.
    From(u16),
    /// Both sides connect at once, each to the port that the other connects from.
    Crossing,
    /// To a port where nobody listens.
    Nowhere,
    /// To an address of the other side's network that nobody has.
    Elsewhere,
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
        let (at, opening) = (Duration::ZERO, Opening::Any);
        self.conversations.push(Conversation { at, client: 0, opening, ask, answer });
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
        // Apart: worlds are as they were before there was ECN, and a choice of controllers.
        let mut ecn = rng.clone().fork();
        let v6 = rng.chance(400_000);
        let mtu = match rng.below(6) {
            0 => 1280,
            1 if !v6 => 576,
            2 => 9000,
            3 => 65_535,
            _ => 1500,
        };
        let mut sides: [Side; 2] = std::array::from_fn(|_| Side::random(&mut rng, mtu));
        if rng.chance(200_000) {
            // Links with two ends of different size are rare, and still links.
            sides[1].mtu = rng.between(if v6 { 1280 } else { 576 }, 9000) as u16;
        }
        for side in &mut sides {
            side.connection.ecn =
                ecn.pick(&[EcnPolicy::Off, EcnPolicy::Accept, EcnPolicy::Ask, EcnPolicy::Ask]);
            side.link.mark = ecn.pick(&[0, 1000, 20_000, 500_000]);
            side.connection.pacing = ecn.chance(700_000);
            if ecn.chance(300_000) {
                side.connection.congestion = Some(Box::new(NewReno::default()));
            }
        }
        let most = rng.pick(&[1_000, 8_000, 8_000, 40_000, 100_000]);
        let mut conversations: Vec<_> =
            (0..rng.between(1, 4)).map(|_| Conversation::random(&mut rng, most)).collect();
        let twist = Twist::random(&mut rng);
        twist.apply(&mut rng, &mut sides, &mut conversations, most);
        for side in &mut sides {
            // No router may be narrower than that.
            let least = if v6 { 1280 } else { 576 };
            side.narrows = side.narrows.map(|(at, mtu)| (at, mtu.max(least)));
        }
        Self { seed, v6, sides, conversations }
    }
}

/// What makes some random worlds come to situations that chance alone brings about too seldom.
#[derive(Clone, Copy, Debug)]
enum Twist {
    None,
    /// Sequence numbers cross the seam.
    Seam,
    /// The same two ends meet once more, perhaps while one of them is in TIME-WAIT.
    Again,
    /// Both sides connect to each other at once.
    Crossing,
    /// Much to say, and hardly any memory.
    Crowd,
    /// Windows close, and what opens them gets lost; who leaves in a hurry leaves text behind.
    SlowReaders,
    /// Many come at once, and are accepted late.
    Rush,
    /// After some time nothing arrives any more.
    DeadLink,
    /// Nobody listens there.
    Nowhere,
    /// Somebody decides about each SYN.
    Parking,
    /// The listeners go away, and somebody is at the door.
    Closing,
    /// One client asks for more than it may have.
    Greedy,
    /// A route changes to one with a smaller MTU.
    Narrow,
    /// Routers say what they could not deliver.
    Unreachable,
    /// The server stands for addresses that nobody has.
    Elsewhere,
    /// Large packets vanish, and nobody says so.
    BlackHole,
    /// Much of what is said is lost, what says it again too; or overtaken, and thought lost.
    Repairs,
}

impl Twist {
    fn random(rng: &mut Rng) -> Self {
        match rng.below(40) {
            0..5 => Self::Seam,
            5..12 => Self::Again,
            12..15 => Self::Crossing,
            15..17 => Self::Crowd,
            17..21 => Self::SlowReaders,
            21..23 => Self::Rush,
            23 => Self::DeadLink,
            24..26 => Self::Nowhere,
            26..28 => Self::Parking,
            28..30 => Self::Closing,
            30..32 => Self::Greedy,
            32..34 => Self::Narrow,
            34..36 => Self::Unreachable,
            36 => Self::Elsewhere,
            37 => Self::BlackHole,
            38 => Self::Repairs,
            _ => Self::None,
        }
    }

    fn apply(self, rng: &mut Rng, sides: &mut [Side; 2], conversations: &mut Vec<Conversation>, most: u64) {
        let first = conversations[0].clone();
        match self {
            Self::None => {}
            Self::Seam => {
                for side in sides {
                    let before = rng.below(20_000) as u32;
                    side.connection.initial_sequence = Some(SeqNum::new(0u32.wrapping_sub(before)));
                }
            }
            Self::Again => {
                conversations[0].opening = Opening::From(FIRST_PORT);
                conversations.push(Conversation {
                    at: first.at + rng.up_to(Duration::from_secs(30)),
                    client: first.client,
                    opening: Opening::From(FIRST_PORT),
                    ..Conversation::random(rng, most)
                });
            }
            Self::Crossing => conversations[0].opening = Opening::Crossing,
            Self::Crowd => {
                for side in sides {
                    side.budget = 32 << 10;
                    side.connection.receive_buffer = 64 << 10;
                }
                conversations.extend((0..4).map(|_| Conversation::random(rng, 40_000)));
                for conversation in conversations {
                    for plan in [&mut conversation.ask, &mut conversation.answer] {
                        plan.write = plan.write.max(20_000);
                        plan.pause = Duration::from_millis(100);
                    }
                }
            }
            Self::SlowReaders => {
                for side in &mut *sides {
                    side.connection.receive_buffer = u32::from(side.mtu) * 2;
                    side.link.loss = 150_000;
                }
                for conversation in conversations {
                    for plan in [&mut conversation.ask, &mut conversation.answer] {
                        plan.write = plan.write.max(8_000);
                        plan.pause = Duration::from_millis(300);
                    }
                    if rng.chance(500_000) {
                        conversation.answer.ending = Ending::Hasty;
                    }
                }
            }
            Self::Rush => {
                for side in sides {
                    (side.backlog, side.accept_pause) = (1, Duration::from_secs(2));
                }
                let more = (0..3).map(|_| Conversation::random(rng, 1000));
                conversations.extend(more.map(|it| Conversation { client: first.client, ..it }));
            }
            Self::DeadLink => {
                let dies = Some(rng.up_to(Duration::from_secs(1)));
                for side in sides {
                    (side.link_dies, side.connection.retries) = (dies, 5);
                }
            }
            Self::Nowhere => conversations[0].opening = Opening::Nowhere,
            Self::Parking => {
                for side in sides {
                    side.park = Some(rng.up_to(Duration::from_secs(3)));
                }
            }
            Self::Closing => {
                for side in sides {
                    side.unlistens = Some(rng.up_to(Duration::from_millis(600)));
                    side.accept_pause = Duration::from_millis(500);
                }
                let more = (0..2).map(|_| Conversation::random(rng, 1000));
                conversations.extend(more.map(|it| Conversation { client: first.client, ..it }));
            }
            Self::Greedy => {
                for side in sides {
                    side.max_per_source = Some(1);
                }
                let more = (0..2).map(|_| Conversation::random(rng, 1000));
                conversations.extend(more.map(|it| Conversation { client: first.client, ..it }));
            }
            Self::Narrow => {
                for side in sides {
                    let mtu = rng.between(576, u64::from(side.mtu).max(577) - 1) as u16;
                    side.narrows = Some((rng.up_to(Duration::from_millis(500)), mtu));
                }
                let Conversation { ask, answer, .. } = &mut conversations[0];
                (ask.write, answer.write) = (ask.write.max(8_000), answer.write.max(8_000));
            }
            Self::Unreachable => {
                for side in sides {
                    side.unreachable = 500_000;
                    side.link.loss = side.link.loss.max(50_000);
                }
            }
            Self::Elsewhere => {
                for side in sides {
                    side.any_address = true;
                }
                for conversation in conversations {
                    conversation.opening = Opening::Elsewhere;
                }
            }
            Self::BlackHole => {
                for side in sides {
                    // What is tried instead must get through.
                    let mtu = rng.between(1280, u64::from(side.mtu).max(1281) - 1) as u16;
                    side.link.mtu = Some(PathMtu::silent(mtu));
                }
                let Conversation { ask, answer, .. } = &mut conversations[0];
                (ask.write, answer.write) = (ask.write.max(20_000), answer.write.max(20_000));
            }
            Self::Repairs => {
                let overtaken = rng.chance(500_000);
                for side in sides {
                    let ConnectionConfig { sack, timestamps, send_buffer, receive_buffer, .. } =
                        &mut side.connection;
                    (*sack, *timestamps, *send_buffer, *receive_buffer) =
                        (true, overtaken, 256 << 10, 256 << 10);
                    side.mtu = side.mtu.min(1500);
                    (side.link.loss, side.link.reorder) =
                        if overtaken { (1000, 100_000) } else { (150_000, 1000) };
                    side.link.reorder_by = side.link.delay + Duration::from_millis(20);
                }
                for Conversation { ask, answer, .. } in conversations {
                    (ask.write, answer.write) = (ask.write.max(60_000), answer.write.max(60_000));
                }
            }
        }
    }
}

impl Conversation {
    fn random(rng: &mut Rng, most: u64) -> Self {
        let mut conversation = Self {
            at: rng.up_to(Duration::from_millis(500)),
            client: rng.size(0, 1),
            opening: Opening::Any,
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

/// How eager and how patient a side is. Draws from a copy, so that all else stays as the seed had it.
fn patience(rng: &mut Rng) -> ConnectionConfig {
    let mut rng = rng.fork();
    let alive = |rng: &mut Rng| KeepAlive {
        idle: Duration::from_millis(1 + rng.below(2000)),
        interval: Duration::from_millis(500 + rng.below(2000)),
        retries: 100,
    };
    ConnectionConfig {
        delayed_ack: rng.pick(&[Duration::ZERO, Duration::from_millis(40), Duration::from_millis(200)]),
        keep_alive: rng.chance(200_000).then(|| alive(&mut rng)),
        user_timeout: rng.chance(100_000).then(|| Duration::from_secs(60 + rng.below(600))),
        user_timeout_option: rng.chance(200_000).then(UserTimeoutOption::default),
        linger: rng.chance(100_000).then(|| Duration::from_millis(rng.below(100_000))),
        ..ConnectionConfig::default()
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
            nodelay: rng.chance(300_000),
            ..patience(&mut rng.clone())
        };
        Self {
            connection,
            link: LinkConfig::random(rng),
            link_dies: None,
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
            backlog: if rng.chance(200_000) { 1 } else { 1024 },
            accept_pause: if rng.chance(200_000) {
                rng.up_to(Duration::from_secs(2))
            } else {
                Duration::ZERO
            },
            ..Self::default()
        }
    }
}
