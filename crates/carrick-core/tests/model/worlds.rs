//! The worlds that are explored: two scripts, and what may go wrong.

use crate::search::{Begin, Bounds, World};
use crate::side::{Op, Setup};
use Op::{Abort, Accept, Close, Connect, Finish, Pause, ReadEnd, Unlisten, Write};
use carrick_core::congestion::{Acked, Controller};
use carrick_core::{ConnectionConfig, EndpointConfig, Instant};
use carrick_sim::Span;
use carrick_wire::SeqNum;
use std::hash::Hasher;
use std::num::NonZeroU16;

/// Settings under which times take few values: no timeout is less than a second, and the probes of a window are one
/// apart.
fn side(script: &[Op], listens: bool, iss: u32) -> Setup {
    let connection = ConnectionConfig {
        min_rto: 1.secs(),
        max_rto: 1.secs(),
        timestamps: false,
        sack: false,
        window_scale: false,
        initial_sequence: Some(SeqNum::new(iss)),
        congestion: Some(Box::new(Ample)),
        ..ConnectionConfig::default()
    };
    let endpoint = EndpointConfig { msl: 10.secs(), ..EndpointConfig::default() };
    Setup { script: script.to_vec(), listens, connection, endpoint }
}

/// A window that never binds and remembers nothing: moments and measurements would make situations differ that are one.
#[derive(Clone, Debug)]
struct Ample;

impl Controller for Ample {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self)
    }
    fn window(&self) -> u32 {
        10_000
    }
    fn on_start(&mut self, _: u32) {}
    fn on_ack(&mut self, _: Acked) {}
    fn on_loss(&mut self, _: Instant, _: u32) {}
    fn on_timeout(&mut self, _: Instant, _: u32, _: bool) {}
    fn digest(&self, _: &mut dyn Hasher) {}
}

/// Side A connects, side B accepts; two connections of one circle wrap on the way.
fn world(name: &'static str, a: &[Op], b: &[Op], bounds: Bounds) -> World {
    let sides = [side(a, false, 0u32.wrapping_sub(3)), side(b, true, 5000)];
    World { name, sides, bounds, begin: Begin::Quiet(0), most: 4_000_000, strict: true, clock_shows: false }
}

/// Sequence numbers follow the clock, as between one connection and the next they must.
fn with_clock(mut world: World) -> World {
    for side in &mut world.sides {
        side.connection.initial_sequence = None;
    }
    World { clock_shows: true, ..world }
}

const NONE: Bounds = Bounds { lose: 0, repeat: 0, forge: 0, timers: 0 };

/// The handshake and the first bytes, from the first SYN on.
pub(crate) fn opening() -> World {
    let bounds = Bounds { lose: 1, timers: 1, ..NONE };
    let (a, b) = ([Connect, Write(1), Finish, ReadEnd, Close], [Accept, ReadEnd, Finish, Close]);
    with_clock(world("opening", &a, &b, bounds))
}

/// Both connect, and both SYNs are under way.
pub(crate) fn simultaneous_open() -> World {
    let script = [Connect, Finish, ReadEnd, Close];
    let bounds = Bounds { lose: 1, timers: 1, ..NONE };
    let sides = [side(&script, false, 0u32.wrapping_sub(3)), side(&script, false, 5000)];
    World { sides, begin: Begin::Ops(1), ..world("simultaneous open", &[], &[], bounds) }
}

/// Text both ways, written in two pieces.
pub(crate) fn transfer() -> World {
    let bounds = Bounds { lose: 1, ..NONE };
    let a = [Connect, Write(1), Write(1), Finish, ReadEnd, Close];
    World {
        begin: Begin::Quiet(1),
        ..world("transfer", &a, &[Accept, Write(1), ReadEnd, Finish, Close], bounds)
    }
}

/// Three segments at once, of which one is lost, late, or comes twice, and selective acknowledgments of them: what
/// RACK finds lost, reports of duplicates, and what is taken back for them. Nothing takes any time before all else has
/// happened: then a tail is asked for, and timers expire.
pub(crate) fn three_segments() -> World {
    let bounds = Bounds { lose: 1, repeat: 1, ..NONE };
    let (a, b) = ([Connect, Write(250), Finish, ReadEnd, Close], [Accept, ReadEnd, Close]);
    let mut world = World { begin: Begin::Quiet(1), ..world("three segments", &a, &b, bounds) };
    for side in &mut world.sides {
        side.connection.sack = true;
        // No multiple of the pattern's length, else one segment would look like another.
        side.connection.max_segment = NonZeroU16::new(90);
    }
    world
}

/// Both close, at once or one after the other.
pub(crate) fn closing() -> World {
    let bounds = Bounds { lose: 2, repeat: 1, timers: 2, ..NONE };
    let (a, b) = ([Connect, Finish, ReadEnd, Close], [Accept, Finish, ReadEnd, Close]);
    World { begin: Begin::Quiet(1), ..world("closing", &a, &b, bounds) }
}

/// One side is done and the other goes on.
pub(crate) fn half_close() -> World {
    let bounds = Bounds { lose: 1, timers: 1, ..NONE };
    let (a, b) = ([Connect, Finish, ReadEnd, Close], [Accept, Write(1), ReadEnd, Write(1), Finish, Close]);
    World { begin: Begin::Quiet(1), ..world("half-close", &a, &b, bounds) }
}

/// The receiver has room for two bytes, and reads when it likes.
pub(crate) fn zero_window() -> World {
    let bounds = Bounds { lose: 1, timers: 1, ..NONE };
    let (a, b) = ([Connect, Write(3), Finish, ReadEnd, Close], [Accept, ReadEnd, Finish, Close]);
    let mut world = World { begin: Begin::Quiet(1), ..world("zero window", &a, &b, bounds) };
    for side in &mut world.sides {
        side.connection.receive_buffer = 2;
        side.connection.send_buffer = 2;
    }
    world
}

/// One side resets whenever it likes.
pub(crate) fn abort() -> World {
    let bounds = Bounds { lose: 1, timers: 1, ..NONE };
    let (a, b) = ([Connect, Write(1), Abort], [Accept, Write(1), ReadEnd, Close]);
    with_clock(World { strict: false, ..world("abort", &a, &b, bounds) })
}

/// Somebody else sends segments, while text and FINs are exchanged.
pub(crate) fn forgery() -> World {
    let bounds = Bounds { forge: 2, timers: 1, ..NONE };
    let (a, b) = ([Connect, Write(1), Finish, ReadEnd, Close], [Accept, ReadEnd, Finish, Close]);
    World { begin: Begin::Quiet(1), ..world("forgery", &a, &b, bounds) }
}

/// A second connection of the same addresses, while packets of the first are under way.
pub(crate) fn next_life() -> World {
    let bounds = NONE;
    let a = [Connect, Write(1), Abort, Pause, Connect, Write(2), Finish, ReadEnd, Close];
    let b = [Accept, ReadEnd, Close, Accept, ReadEnd, Finish, Close];
    with_clock(World { strict: false, ..world("next life", &a, &b, bounds) })
}

/// A second connection of the same addresses while the first one's end is remembered in TIME-WAIT.
pub(crate) fn time_wait() -> World {
    let bounds = Bounds { lose: 1, ..NONE };
    let a = [Connect, ReadEnd, Finish, Close, Pause, Connect, Write(1), Finish, ReadEnd, Close];
    let b = [Accept, Finish, ReadEnd, Close, Accept, ReadEnd, Finish, Close];
    let begin = Begin::Quiet(1);
    let mut world = with_clock(World { begin, strict: false, ..world("TIME-WAIT", &a, &b, bounds) });
    for side in &mut world.sides {
        side.connection.timestamps = true;
    }
    world
}

/// The listener goes away whenever it likes.
pub(crate) fn unlisten() -> World {
    let bounds = Bounds { lose: 1, repeat: 1, timers: 1, ..NONE };
    let a = [Connect, Write(1), Finish, ReadEnd, Close];
    World { strict: false, ..world("unlisten", &a, &[Unlisten], bounds) }
}

/// A peer that hears nothing is given up.
pub(crate) fn giving_up() -> World {
    let bounds = Bounds { lose: 3, repeat: 1, timers: 4, ..NONE };
    let (a, b) = ([Connect, Write(1), Close], [Accept, ReadEnd, Close]);
    let mut world = World { strict: false, begin: Begin::Quiet(1), ..world("giving up", &a, &b, bounds) };
    for side in &mut world.sides {
        side.connection.retries = 1;
    }
    world
}
