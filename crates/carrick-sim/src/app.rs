//! One side of a conversation: an application that writes, reads and leaves as its plan says.
//!
//! It acts only when its connection tells it to or its own pauses are over, so an event that is owed and not
//! given is found out: the conversation stands still.

use crate::host::Host;
use crate::rng::Rng;
use crate::segment::pattern;
use carrick_core::{Connection, ConnectionError, ConnectionId, Event, Instant, SendError};
use std::time::Duration;

/// What one side of a conversation does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// How many bytes it writes.
    pub write: u64,
    /// At most so many at a time.
    pub chunk: usize,
    /// It reads at most so many at a time.
    pub read_chunk: usize,
    /// It pauses for at most so long between two writes, and between two reads.
    pub pause: Duration,
    /// How often, per million, a write is marked urgent.
    pub urgent: u32,
    /// How it ends.
    pub ending: Ending,
}

/// How one side of a conversation ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It finishes, reads to the peer's end, and closes.
    Patient,
    /// It first reads to the peer's end, then writes, finishes and closes.
    AfterPeer,
    /// It closes right after its last write, whatever the peer still says.
    Hasty,
    /// It aborts as soon as it has written and read so many bytes together.
    Abort(u64),
}

impl Plan {
    /// Writes that much, in a hurry, and is patient with the peer.
    #[must_use]
    pub const fn patient(write: u64) -> Self {
        let (chunk, read_chunk) = (64 << 10, 64 << 10);
        Self { write, chunk, read_chunk, pause: Duration::ZERO, urgent: 0, ending: Ending::Patient }
    }

    /// Some plan of at most `most` bytes.
    #[must_use]
    pub fn random(rng: &mut Rng, most: u64) -> Self {
        let write = match rng.below(8) {
            0 => 0,
            1 | 2 => rng.between(1, 200),
            3..7 => rng.below(most / 8),
            _ => rng.below(most),
        };
        let ending = match rng.below(16) {
            0 => Ending::Hasty,
            1 => Ending::Abort(rng.below(most / 4)),
            2..5 => Ending::AfterPeer,
            _ => Ending::Patient,
        };
        let size = |rng: &mut Rng| match rng.below(4) {
            0 => rng.size(1, 300),
            _ => rng.size(300, 20_000),
        };
        // Tiny chunks of a long stream would only cost time.
        let least = usize::try_from(write / 64).unwrap_or(0).max(1);
        let pause = match rng.below(3) {
            0 => rng.up_to(Duration::from_millis(300)),
            _ => Duration::ZERO,
        };
        Self {
            write,
            chunk: size(rng).max(least),
            read_chunk: size(rng).max(usize::try_from(most / 256).unwrap_or(0)),
            pause,
            urgent: if rng.chance(50_000) { 200_000 } else { 0 },
            ending,
        }
    }
}

/// How it ended for one side.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum End {
    /// It wrote everything, read to the peer's end, and closed.
    Complete,
    /// It left early, as it had planned to.
    Left,
    /// The connection failed, and said so.
    Failed(ConnectionError),
    /// Nothing more would ever have happened, its peer being gone; it gave up.
    Stranded,
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) id: ConnectionId,
    plan: Plan,
    rng: Rng,
    /// Both sides' streams are [`pattern`]s that begin at different places.
    write_from: u64,
    read_from: u64,
    pub(crate) written: u64,
    pub(crate) read: u64,
    pub(crate) finished: bool,
    pub(crate) eof: bool,
    connected: bool,
    readable: bool,
    blocked: bool,
    next_write: Instant,
    next_read: Instant,
    pub(crate) end: Option<End>,
}

impl App {
    pub(crate) fn new(id: ConnectionId, plan: Plan, rng: Rng, streams: (u64, u64), accepted: bool) -> Self {
        Self {
            id,
            plan,
            rng,
            write_from: streams.0,
            read_from: streams.1,
            written: 0,
            read: 0,
            finished: false,
            eof: false,
            connected: accepted,
            readable: false,
            blocked: false,
            next_write: Instant::ZERO,
            next_read: Instant::ZERO,
            end: None,
        }
    }

    /// When it wants to act of its own accord.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.end.is_some() {
            return None;
        }
        let read = self.readable.then_some(self.next_read);
        let write = self.may_write().then_some(self.next_write);
        read.into_iter().chain(write).min()
    }

    fn may_write(&self) -> bool {
        let turn = self.plan.ending != Ending::AfterPeer || self.eof;
        self.connected && !self.blocked && !self.finished && turn
    }

    /// Does what there is to do now.
    ///
    /// # Errors
    /// What is wrong with the bytes that were read (O-2).
    pub(crate) fn act(&mut self, now: Instant, host: &mut Host) -> Result<(), String> {
        if self.end.is_some() {
            return Ok(());
        }
        for event in host.take_events(self.id) {
            match event {
                Event::Connected => self.connected = true,
                Event::Readable => self.readable = true,
                Event::Writable => self.blocked = false,
                Event::Closed | Event::Urgent | Event::SoftError => {}
            }
        }
        while self.readable && self.next_read <= now {
            self.read_some(now, host)?;
        }
        if let Some(error) = host.error(self.id) {
            // What had arrived is still there to be read.
            while host.connection(self.id).is_some_and(|connection| connection.readable_len() > 0) {
                self.read_some(now, host)?;
            }
            self.leave(now, host, End::Failed(error));
            return Ok(());
        }
        if let Ending::Abort(after) = self.plan.ending
            && self.connected
            && self.written + self.read >= after
        {
            host.abort(now, self.id);
            self.leave(now, host, End::Left);
            return Ok(());
        }
        while self.may_write() && self.next_write <= now {
            self.write_some(now, host);
        }
        if self.finished && self.plan.ending == Ending::Hasty {
            self.leave(now, host, End::Left);
            return Ok(());
        }
        if self.finished && self.eof {
            self.leave(now, host, End::Complete);
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self, now: Instant, host: &mut Host, end: End) {
        self.end = Some(end);
        // Whoever gives up says so with a FIN, and the peer may be there after all: a server that answered with a
        // cookie and missed the last ACK.
        self.finished |= end == End::Stranded;
        host.close(now, self.id);
    }

    fn read_some(&mut self, now: Instant, host: &mut Host) -> Result<(), String> {
        let max = self.rng.size(1, self.plan.read_chunk);
        let bytes = if self.rng.chance(300_000) {
            host.read_chunk(now, self.id, max).map(Vec::from).unwrap_or_default()
        } else {
            host.read(now, self.id, max)
        };
        if bytes != pattern(self.read_from + self.read, bytes.len()) {
            return Err(format!("wrong bytes in {}..{}", self.read, self.read + bytes.len() as u64));
        }
        self.read += bytes.len() as u64;
        let connection = host.connection(self.id);
        if connection.is_some_and(Connection::at_end) {
            self.eof = true;
        }
        self.readable = connection.is_some_and(|connection| connection.readable_len() > 0);
        self.next_read = now + self.rng.up_to(self.plan.pause);
        Ok(())
    }

    fn write_some(&mut self, now: Instant, host: &mut Host) {
        let left = usize::try_from(self.plan.write - self.written).unwrap_or(usize::MAX);
        if left == 0 {
            // Hasty ones close instead, which says the same and more.
            if self.plan.ending != Ending::Hasty {
                host.finish(now, self.id);
            }
            self.finished = true;
            return;
        }
        let len = self.rng.size(1, self.plan.chunk).min(left);
        let text = pattern(self.write_from + self.written, len);
        let urgent = self.plan.urgent > 0 && self.rng.chance(self.plan.urgent);
        let sent =
            if urgent { host.send_urgent(now, self.id, &text) } else { host.send(now, self.id, &text) };
        match sent {
            Ok(taken) => self.written += taken as u64,
            Err(SendError::Full) => self.blocked = true,
            // The error shows itself to the next act.
            Err(SendError::Finished | SendError::Closed(_)) => self.blocked = true,
        }
        self.next_write = now + self.rng.up_to(self.plan.pause);
    }
}
