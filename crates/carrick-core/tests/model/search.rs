//! Every interleaving of a small world: breadth first, each situation once.
//!
//! A state is two sides, the packets between them (a multiset: any may arrive next) and what may still go wrong.
//! Sides and packets are numbered as they are met, told apart by their digests and bytes, so a state is 28 bytes; and
//! what a side does with an input is worked out once, by the real core, and looked up ever after.
//!
//! Of every state that is reached three things are asked: what each side and the two together may never show
//! ([`Side::take`], [`agree`]); that with a network that loses nothing more and timers served in order everything
//! comes to its end; and the same where both applications hang up right there.

use crate::side::{FORGERIES, Input, Life, Over, Setup, Side, receiver_of};
use carrick_sim::{Packet, Trace};
use hashbrown::HashTable;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Most packets between the sides at a time; what would be more is not explored, and counted.
const NET: usize = 8;
/// Timers that are due so soon may come before any packet that is under way. Longer ones (2 MSL and the like) are
/// longer than packets live: they wait until nothing is under way and the other side has nothing due before.
const SOON: Duration = Duration::from_secs(5);
/// No run to the end takes more steps.
const LONGEST: usize = 3000;

/// What may go wrong in one history, at most.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Bounds {
    /// Packets lost.
    pub(crate) lose: u8,
    /// Packets that arrive and stay under way, to arrive again.
    pub(crate) repeat: u8,
    /// Forged segments.
    pub(crate) forge: u8,
    /// Timers that expire.
    pub(crate) timers: u8,
}

/// What happens before anything can go wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Begin {
    /// So many ops of both sides, and nothing arrives.
    Ops(usize),
    /// So many ops of both sides, and everything arrives.
    Quiet(usize),
}

/// A small world.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) sides: [Setup; 2],
    pub(crate) bounds: Bounds,
    pub(crate) begin: Begin,
    /// Most states; beyond that the shallower half is what was seen.
    pub(crate) most: usize,
    /// Nothing but a clean end on both sides is right: nobody aborts, and no connection may give up.
    pub(crate) strict: bool,
    /// The clock shows in packets (timestamps, sequence numbers that follow it).
    pub(crate) clock_shows: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct State {
    sides: [u32; 2],
    /// Packets by number, from 1 on, sorted, zeros last.
    net: [u16; NET],
    left: Bounds,
}

/// What a step does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Deliver(u16),
    Lose(u16),
    Repeat(u16),
    Act(usize, Code),
}

/// An input other than a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Code {
    Timer,
    Op,
    Read,
    HangUp,
    Forged(u8),
}

/// What a side does with an input.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    side: u32,
    /// Range of the packets in `Search::sent`.
    sent: (u32, u32),
}

/// What was found out about a world.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// States, and situations: what differs only in what may still go wrong counts once.
    pub(crate) states: usize,
    pub(crate) situations: usize,
    /// Different sides of either kind, packets, and steps of the real core.
    pub(crate) sides: [usize; 2],
    pub(crate) packets: usize,
    pub(crate) core_steps: usize,
    /// The longest shortest way to a state.
    pub(crate) depth: usize,
    /// Whether there would have been more states.
    pub(crate) cut: bool,
    /// Steps left out because too many packets would be under way.
    pub(crate) crowded: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { states, situations, sides: [a, b], packets, core_steps, depth, cut, crowded } = self;
        write!(f, "{states} states in {situations} situations of {a} and {b} sides and {packets} packets, ")?;
        write!(f, "{core_steps} steps of the core, depth {depth}")?;
        write!(f, "{}", if *cut { ", cut off" } else { "" })?;
        if *crowded > 0 { write!(f, ", {crowded} steps with too many packets") } else { Ok(()) }
    }
}

/// A violation, and the shortest way there.
#[derive(Clone, Debug)]
pub(crate) struct Counterexample {
    pub(crate) world: &'static str,
    pub(crate) what: String,
    pub(crate) steps: usize,
    pub(crate) transcript: String,
}

impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}, {} steps from the beginning\n{}",
            self.world, self.what, self.steps, self.transcript
        )
    }
}

struct Known {
    side: Side,
    /// What it does, by input; few of each, so a list.
    outcomes: Vec<(u32, Outcome)>,
}

/// For numbers that are hashes already.
#[derive(Clone, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole numbers are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Numbers<V> = HashMap<u64, V, BuildHasherDefault<AsIs>>;
type Hashes = HashSet<u64, BuildHasherDefault<AsIs>>;

pub(crate) struct Search {
    world: World,
    sides: [Vec<Known>; 2],
    by_digest: [Numbers<u32>; 2],
    /// Number n is at n - 1; beside it for which side it is.
    packets: Vec<(Packet, usize)>,
    packet_numbers: HashMap<bytes::Bytes, u16>,
    sent: Vec<u16>,
    states: Vec<State>,
    parents: Vec<u32>,
    index: HashTable<u32>,
    situations: Hashes,
    /// Situations from which everything comes to its end, left to itself and after both have hung up.
    ends: [Hashes; 2],
    tally: Tally,
}

/// What was wrong, and what led there from the state that was looked at.
#[derive(Debug)]
struct Broken {
    what: String,
    way: Vec<Action>,
}

impl From<String> for Broken {
    fn from(what: String) -> Self {
        Self { what, way: Vec::new() }
    }
}

impl Broken {
    /// It happened some way on.
    fn after(mut self, way: &[Action]) -> Self {
        self.way.splice(0..0, way.iter().copied());
        self
    }
}

impl Search {
    fn new(world: World) -> Self {
        Self {
            world,
            sides: [Vec::new(), Vec::new()],
            by_digest: Default::default(),
            packets: Vec::new(),
            packet_numbers: HashMap::new(),
            sent: Vec::new(),
            states: Vec::new(),
            parents: Vec::new(),
            index: HashTable::new(),
            situations: Hashes::default(),
            ends: Default::default(),
            tally: Tally::default(),
        }
    }

    /// Looks at every state of the world.
    pub(crate) fn run(world: World) -> Result<Tally, Box<Counterexample>> {
        let mut search = Self::new(world);
        let sides = [0, 1].map(|me| {
            let side = Side::new(me, &search.world.sides[usize::from(me)]);
            search.number_of(usize::from(me), side).expect("the first of its kind")
        });
        let mut first = State { sides, net: [0; NET], left: Bounds::default() };
        while let Some(action) = search.beginning(&first) {
            let begun = search.apply(&first, action).expect("a beginning without a fault");
            first = begun.expect("a beginning of few packets");
        }
        first.left = search.world.bounds;
        search.visit(first, 0);
        let mut at = 0;
        let mut next_level = 1;
        while at < search.states.len() {
            if search.states.len() >= search.world.most {
                search.tally.cut = true;
                break;
            }
            if at == next_level {
                search.tally.depth += 1;
                next_level = search.states.len();
            }
            if let Err(broken) = search.expand(at) {
                return Err(search.explain(at, broken));
            }
            at += 1;
        }
        let mut tally = search.tally;
        tally.states = search.states.len();
        tally.situations = search.situations.len();
        tally.sides = [search.sides[0].len(), search.sides[1].len()];
        tally.packets = search.packets.len();
        Ok(tally)
    }

    fn beginning(&self, state: &State) -> Option<Action> {
        let (Begin::Ops(count) | Begin::Quiet(count)) = self.world.begin;
        if state.net[0] != 0 && self.world.begin == Begin::Quiet(count) {
            return Some(Action::Deliver(state.net[0]));
        }
        let first = |me: &usize| {
            let side = self.side(state, *me);
            side.ops() < count && side.can_op(&self.world.sides[*me])
        };
        (0..2).find(first).map(|me| Action::Act(me, Code::Op))
    }

    fn expand(&mut self, at: usize) -> Result<(), Broken> {
        let state = self.states[at];
        for action in self.actions(&state) {
            let after = |broken: Broken| broken.after(&[action]);
            let Some(next) = self.apply(&state, action).map_err(after)? else {
                self.tally.crowded += 1;
                continue;
            };
            if self.visit(next, at) && self.situations.insert(fingerprint(&next)) {
                self.judge(&next).map_err(after)?;
            }
        }
        Ok(())
    }

    /// Notes a state; says whether it is new.
    fn visit(&mut self, state: State, parent: usize) -> bool {
        let hash = hash_of(&state);
        let Self { states, index, .. } = self;
        if index.find(hash, |at| states[*at as usize] == state).is_some() {
            return false;
        }
        let number = u32::try_from(states.len()).expect("fewer states than 2^32");
        states.push(state);
        self.parents.push(parent as u32);
        index.insert_unique(hash, number, |at| hash_of(&states[*at as usize]));
        true
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::with_capacity(24);
        let mut last = 0;
        for packet in state.net.into_iter().take_while(|packet| *packet != 0) {
            if packet == last {
                continue;
            }
            last = packet;
            actions.push(Action::Deliver(packet));
            if state.left.lose > 0 {
                actions.push(Action::Lose(packet));
            }
            if state.left.repeat > 0 {
                actions.push(Action::Repeat(packet));
            }
        }
        for me in 0..2 {
            let side = self.side(state, me);
            if side.can_read() {
                actions.push(Action::Act(me, Code::Read));
            }
            if side.can_op(&self.world.sides[me]) {
                actions.push(Action::Act(me, Code::Op));
            }
            if state.left.timers > 0 && self.timer_may_expire(state, me) {
                actions.push(Action::Act(me, Code::Timer));
            }
            if state.left.forge > 0 {
                for (number, forgery) in FORGERIES.iter().enumerate() {
                    if side.can_be_forged(forgery) {
                        actions.push(Action::Act(me, Code::Forged(number as u8)));
                    }
                }
            }
        }
        actions
    }

    fn side(&self, state: &State, me: usize) -> &Side {
        &self.sides[me][state.sides[me] as usize].side
    }

    fn timer_may_expire(&self, state: &State, me: usize) -> bool {
        let Some(due) = self.side(state, me).next_timer() else { return false };
        let other = self.side(state, 1 - me).next_timer();
        due <= SOON || (state.net[0] == 0 && other.is_none_or(|other| other >= due))
    }

    /// The state after an action; none if too many packets would be under way.
    fn apply(&mut self, state: &State, action: Action) -> Result<Option<State>, Broken> {
        let mut next = *state;
        match action {
            Action::Lose(packet) => {
                remove(&mut next.net, packet);
                next.left.lose -= 1;
                Ok(Some(next))
            }
            Action::Deliver(packet) => {
                remove(&mut next.net, packet);
                self.act(next, self.packets[usize::from(packet) - 1].1, u32::from(packet))
            }
            Action::Repeat(packet) => {
                next.left.repeat -= 1;
                self.act(next, self.packets[usize::from(packet) - 1].1, u32::from(packet))
            }
            Action::Act(me, code) => {
                match code {
                    Code::Timer => next.left.timers = next.left.timers.saturating_sub(1),
                    Code::Forged(_) => next.left.forge -= 1,
                    Code::Op | Code::Read | Code::HangUp => {}
                }
                self.act(next, me, code.number())
            }
        }
    }

    fn act(&mut self, mut next: State, me: usize, input: u32) -> Result<Option<State>, Broken> {
        let Outcome { side, sent: (from, to) } = self.outcome(me, next.sides[me], input)?;
        next.sides[me] = side;
        for packet in &self.sent[from as usize..to as usize] {
            if !insert(&mut next.net, *packet) {
                return Ok(None);
            }
        }
        Ok(Some(next))
    }

    /// What a side does with an input: looked up, or worked out by the core.
    fn outcome(&mut self, me: usize, number: u32, input: u32) -> Result<Outcome, Broken> {
        let known = &self.sides[me][number as usize];
        if let Some((_, outcome)) = known.outcomes.iter().find(|(known, _)| *known == input) {
            return Ok(*outcome);
        }
        let (side, packets) = self.take(me, &known.side, input)?;
        self.tally.core_steps += 1;
        let from = self.sent.len() as u32;
        for packet in packets {
            let number = self.number_of_packet(packet);
            self.sent.push(number);
        }
        let side = self.number_of(me, side)?;
        let outcome = Outcome { side, sent: (from, self.sent.len() as u32) };
        self.sides[me][number as usize].outcomes.push((input, outcome));
        Ok(outcome)
    }

    fn take(&self, me: usize, side: &Side, input: u32) -> Result<(Side, Vec<Packet>), Broken> {
        let input = match Code::of(input) {
            None => Input::Packet(&self.packets[input as usize - 1].0),
            Some(Code::Timer) => Input::Timer,
            Some(Code::Op) => Input::Op,
            Some(Code::Read) => Input::Read,
            Some(Code::HangUp) => Input::HangUp,
            Some(Code::Forged(number)) => Input::Forged(FORGERIES[usize::from(number)]),
        };
        side.take(&self.world.sides[me], input).map_err(Broken::from)
    }

    fn number_of_packet(&mut self, packet: Packet) -> u16 {
        if let Some(number) = self.packet_numbers.get(&packet.bytes) {
            return *number;
        }
        let number = u16::try_from(self.packets.len() + 1).expect("fewer packets than 2^16");
        self.packet_numbers.insert(packet.bytes.clone(), number);
        let to = receiver_of(&packet);
        self.packets.push((packet, to));
        number
    }

    fn number_of(&mut self, me: usize, side: Side) -> Result<u32, Broken> {
        let digest = side.digest(self.world.clock_shows);
        if let Some(number) = self.by_digest[me].get(&digest).copied() {
            // Now and then: two sides with one digest do the same, or the digest leaves something out.
            if digest.is_multiple_of(16) || self.tally.core_steps.is_multiple_of(16) {
                self.compare(me, number, &side)?;
            }
            return Ok(number);
        }
        let number = u32::try_from(self.sides[me].len()).expect("fewer sides than 2^32");
        self.by_digest[me].insert(digest, number);
        self.sides[me].push(Known { side, outcomes: Vec::new() });
        Ok(number)
    }

    fn compare(&self, me: usize, number: u32, other: &Side) -> Result<(), Broken> {
        let known = &self.sides[me][number as usize];
        for input in known.outcomes.iter().map(|(input, _)| *input).chain([Code::HangUp.number()]) {
            let [known, other] = [&known.side, other].map(|side| self.take(me, side, input));
            // What the first one does is looked at when its turn comes.
            let Ok((known, packets)) = known else { continue };
            let (other, others_packets) = other?;
            let digests = [known, other].map(|side| side.digest(self.world.clock_shows));
            if digests[0] != digests[1] || packets != others_packets {
                return Err(
                    format!("the digest leaves something out: {}", self.name_of_input(me, input)).into()
                );
            }
        }
        Ok(())
    }

    // What must be true.

    fn judge(&mut self, state: &State) -> Result<(), Broken> {
        self.sides_agree(state, self.world.strict)?;
        self.comes_to_its_end(*state, false)?;
        let hang_up = [0, 1].map(|me| Action::Act(me, Code::HangUp));
        let mut left = *state;
        for (done, action) in hang_up.into_iter().enumerate() {
            match self.apply(&left, action).map_err(|broken| broken.after(&hang_up[..=done]))? {
                Some(next) => left = next,
                None => return Ok(()),
            }
        }
        self.comes_to_its_end(left, true).map_err(|broken| broken.after(&hang_up))
    }

    fn sides_agree(&self, state: &State, strict: bool) -> Result<(), Broken> {
        let [a, b] = [0, 1].map(|me| self.side(state, me).lives);
        agree(strict, &a, &b)?;
        agree(strict, &b, &a)?;
        Ok(())
    }

    /// Runs on with nothing more going wrong, until nothing is left to happen.
    fn comes_to_its_end(&mut self, mut state: State, hung_up: bool) -> Result<(), Broken> {
        state.left = Bounds::default();
        let (mut way, mut passed) = (Vec::new(), Vec::new());
        loop {
            let fingerprint = fingerprint(&state);
            if self.ends[usize::from(hung_up)].contains(&fingerprint) {
                break;
            }
            if passed.contains(&fingerprint) || passed.len() > LONGEST {
                let what = format!("O-9: from here it goes on for ever, at last {}", self.describe(&state));
                return Err(Broken::from(what).after(&way));
            }
            passed.push(fingerprint);
            let Some(action) = self.fair(&state) else {
                self.judge_end(&state).map_err(|broken| broken.after(&way))?;
                break;
            };
            way.push(action);
            match self.apply(&state, action).map_err(|broken| broken.after(&way))? {
                Some(next) => state = next,
                // What is more than the network holds is not explored.
                None => break,
            }
            self.sides_agree(&state, self.world.strict && !hung_up).map_err(|broken| broken.after(&way))?;
        }
        self.ends[usize::from(hung_up)].extend(passed);
        Ok(())
    }

    /// What happens next where nothing goes wrong: packets first, then the applications, then the timer that is due
    /// first; an application that waits in vain gives up.
    fn fair(&self, state: &State) -> Option<Action> {
        if state.net[0] != 0 {
            return Some(Action::Deliver(state.net[0]));
        }
        for me in 0..2 {
            let side = self.side(state, me);
            if side.can_read() {
                return Some(Action::Act(me, Code::Read));
            }
            if side.can_op(&self.world.sides[me]) {
                return Some(Action::Act(me, Code::Op));
            }
        }
        let timers = [0, 1].map(|me| self.side(state, me).next_timer());
        match timers {
            [Some(a), Some(b)] => Some(Action::Act(usize::from(b < a), Code::Timer)),
            [Some(_), None] => Some(Action::Act(0, Code::Timer)),
            [None, Some(_)] => Some(Action::Act(1, Code::Timer)),
            [None, None] => {
                let waits = |me: &usize| !self.side(state, *me).done(&self.world.sides[*me]);
                let me = (0..2).filter(|_| !self.world.strict).find(waits)?;
                Some(Action::Act(me, Code::HangUp))
            }
        }
    }

    /// Nothing is left to happen.
    fn judge_end(&self, state: &State) -> Result<(), Broken> {
        for (me, name) in NAMES.iter().enumerate() {
            let side = self.side(state, me);
            if !side.done(&self.world.sides[me]) {
                return Err(format!("{name} waits for ever: {}", self.describe(state)).into());
            }
            if !side.is_gone() {
                return Err(format!("something of {name} is left: {}", self.describe(state)).into());
            }
        }
        Ok(())
    }

    fn describe(&self, state: &State) -> String {
        let of = |me: usize| self.side(state, me).state();
        format!("{} and {}", of(0), of(1))
    }

    // How it came to that.

    fn name_of_input(&self, me: usize, input: u32) -> String {
        match Code::of(input) {
            None => format!("packet {input}"),
            Some(Code::Op) => format!("op of {}", NAMES[me]),
            Some(code) => format!("{code:?}"),
        }
    }

    fn explain(&mut self, at: usize, broken: Broken) -> Box<Counterexample> {
        let mut way = vec![self.states[at]];
        let mut number = at;
        while number != 0 {
            number = self.parents[number] as usize;
            way.push(self.states[number]);
        }
        way.reverse();
        let mut actions = Vec::new();
        for pair in way.windows(2) {
            let step = self
                .actions(&pair[0])
                .into_iter()
                .find(|action| self.apply(&pair[0], *action).is_ok_and(|next| next == Some(pair[1])));
            actions.extend(step);
        }
        actions.extend(broken.way);
        let transcript = self.transcript(&way[0], &actions);
        let steps = actions.len();
        Box::new(Counterexample { world: self.world.name, what: broken.what, steps, transcript })
    }

    fn transcript(&self, first: &State, actions: &[Action]) -> String {
        let mut trace = Trace::default();
        let mut sides = [0, 1].map(|me| self.side(first, me).clone());
        for action in actions {
            let (me, input) = match *action {
                Action::Deliver(packet) | Action::Repeat(packet) => {
                    let (bytes, me) = self.packets[usize::from(packet) - 1].clone();
                    let again = if matches!(action, Action::Repeat(_)) { " (and will again)" } else { "" };
                    trace.packet(sides[me].now(), &format!("{} <{again}", NAMES[me]), &bytes);
                    (me, u32::from(packet))
                }
                Action::Lose(packet) => {
                    let (bytes, me) = &self.packets[usize::from(packet) - 1];
                    trace.packet(sides[*me].now(), "lost:", bytes);
                    continue;
                }
                Action::Act(me, code) => {
                    let name = match code {
                        Code::Op => sides[me].next_op(&self.world.sides[me]),
                        Code::Forged(number) => format!("forged: {}", FORGERIES[usize::from(number)].name),
                        code => format!("{code:?}"),
                    };
                    trace.note(sides[me].now(), &format!("{} {name}", NAMES[me]));
                    (me, code.number())
                }
            };
            let Ok((next, packets)) = self.take(me, &sides[me], input) else { break };
            for packet in packets {
                trace.packet(next.now(), &format!("{} >", NAMES[me]), &packet);
            }
            if next.state() != sides[me].state() {
                trace.note(next.now(), &format!("{} is in {}", NAMES[me], next.state()));
            }
            sides[me] = next;
        }
        let mut text = String::new();
        for line in trace.lines() {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

const NAMES: [&str; 2] = ["A", "B"];

/// What `a` has seen of `b`, and the other way round, agrees.
fn agree(strict: bool, a: &[Life], b: &[Life]) -> Result<(), String> {
    for life in a {
        // Whose bytes they are they say themselves; where none came, only one conversation can be meant.
        let of = match life.of {
            0 if b.iter().filter(|life| **life != Life::default()).count() == 1 => 1,
            of => of,
        };
        if let Some(peer) = usize::from(of).checked_sub(1).and_then(|of| b.get(of)) {
            if life.read > peer.wrote {
                return Err(format!("O-2: read {life:?} of {peer:?}"));
            }
            if life.end && (life.read != peer.wrote || !peer.finished) {
                return Err(format!("O-2: the end was read, and it is not the end: {life:?} of {peer:?}"));
            }
        }
        if let Over::Failed(error) = life.over
            && strict
        {
            return Err(format!("failed without a reason: {error}"));
        }
    }
    if let ([one], [peer]) = (alive(a), alive(b))
        && one.over == Over::Clean
        && !peer.released
        && peer.got < one.wrote
    {
        return Err(format!("O-2: closed, and the peer has not got everything: {one:?}, {peer:?}"));
    }
    Ok(())
}

/// Those that there have been.
fn alive(lives: &[Life]) -> &[Life] {
    let count = lives.iter().take_while(|life| **life != Life::default()).count();
    &lives[..count]
}

impl Code {
    const FIRST: u32 = 1 << 16;

    fn number(self) -> u32 {
        Self::FIRST
            + match self {
                Self::Timer => 0,
                Self::Op => 1,
                Self::Read => 2,
                Self::HangUp => 3,
                Self::Forged(number) => 4 + u32::from(number),
            }
    }

    /// None for a packet.
    fn of(number: u32) -> Option<Self> {
        Some(match number.checked_sub(Self::FIRST)? {
            0 => Self::Timer,
            1 => Self::Op,
            2 => Self::Read,
            3 => Self::HangUp,
            forged => Self::Forged((forged - 4) as u8),
        })
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Of the situation, without what may still go wrong.
fn fingerprint(state: &State) -> u64 {
    hash_of(&(state.sides, state.net))
}

fn remove(net: &mut [u16; NET], packet: u16) {
    if let Some(at) = net.iter().position(|other| *other == packet) {
        net.copy_within(at + 1.., at);
        net[NET - 1] = 0;
    }
}

/// Says whether there was room.
fn insert(net: &mut [u16; NET], packet: u16) -> bool {
    if net[NET - 1] != 0 {
        return false;
    }
    let at = net.iter().position(|other| *other == 0 || *other > packet).unwrap_or(NET - 1);
    net.copy_within(at..NET - 1, at + 1);
    net[at] = packet;
    true
}
