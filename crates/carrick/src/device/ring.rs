//! A queue of packets bounded by bytes, with a waker at each end.
//!
//! Large payload is passed on by reference, small packets are copied.

use super::{Checksum, Packet};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::task::Waker;

/// What a packet is charged besides its bytes, so that tiny ones are bounded too.
const OVERHEAD: usize = 128;

/// From this much payload on it is kept by reference.
const KEEP_FROM: usize = 16_384;

/// A packet in a ring.
#[derive(Debug)]
pub(crate) struct Queued {
    /// The whole packet, or its headers.
    pub(crate) head: Bytes,
    /// The payload, if it is not in the head.
    pub(crate) parts: Vec<Bytes>,
    /// Of the whole packet, in bytes.
    pub(crate) len: usize,
    pub(crate) checksum: Checksum,
    pub(crate) segment_size: Option<u16>,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Ring {
    inner: Mutex<Inner>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Inner {
    packets: VecDeque<Queued>,
    bytes: usize,
    closed: bool,
    /// A push has been refused since the last time there was room.
    refused: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What [`Ring::pop`] found.
#[derive(Debug)]
pub(crate) enum Popped {
    Packet(Queued),
    Empty,
    Closed,
}

/// What [`Ring::push_with`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pushed {
    Taken,
    Full,
    Closed,
}

impl Ring {
    /// A ring for `limit` bytes; one packet always fits an empty one.
    pub(crate) fn new(limit: usize) -> Self {
        Self { inner: Mutex::new(Inner::default()), limit }
    }

    /// Adds a packet and wakes the reader. False if there is no room; a ring that was closed swallows it.
    pub(crate) fn push(&self, packet: &Packet<'_>, checksum: Checksum) -> bool {
        let len = packet.total_len();
        let pushed = self.push_with(len, || {
            let (head, parts) = if packet.payload_len() >= KEEP_FROM {
                (Bytes::copy_from_slice(packet.header), packet.keep_payload())
            } else {
                let mut whole = BytesMut::with_capacity(len);
                packet.copy_to(&mut whole);
                (whole.freeze(), Vec::new())
            };
            let segment_size = packet.segment_size.map(std::num::NonZeroU16::get);
            Queued { head, parts, len, checksum, segment_size }
        });
        pushed != Pushed::Full
    }

    /// Adds a packet of `len` bytes, which is made only if there is room, and wakes the reader.
    pub(crate) fn push_with(&self, len: usize, make: impl FnOnce() -> Queued) -> Pushed {
        {
            let mut inner = self.inner.lock();
            if inner.closed {
                return Pushed::Closed;
            }
            if inner.bytes > 0 && inner.bytes.saturating_add(len + OVERHEAD) > self.limit {
                inner.refused = true;
                return Pushed::Full;
            }
            inner.bytes += len + OVERHEAD;
        }
        // It is made outside the lock; the room is taken already.
        let queued = make();
        let reader = {
            let mut inner = self.inner.lock();
            inner.packets.push_back(queued);
            inner.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        Pushed::Taken
    }

    /// Takes the oldest packet. If there is none, leaves the waker, if one is given, for the next push.
    pub(crate) fn pop(&self, waker: Option<&Waker>) -> Popped {
        let mut inner = self.inner.lock();
        let Some(packet) = inner.packets.pop_front() else {
            if inner.closed {
                return Popped::Closed;
            }
            let old = waker.and_then(|waker| replace(&mut inner.reader, waker));
            drop(inner);
            drop(old);
            return Popped::Empty;
        };
        inner.bytes -= packet.len + OVERHEAD;
        let writer = if inner.refused && inner.bytes <= self.limit / 2 {
            inner.refused = false;
            inner.writer.take()
        } else {
            None
        };
        drop(inner);
        if let Some(writer) = writer {
            writer.wake();
        }
        Popped::Packet(packet)
    }

    /// Whether a push that was refused may be tried again; if not, leaves the waker.
    pub(crate) fn has_room(&self, waker: &Waker) -> bool {
        let mut inner = self.inner.lock();
        if !inner.refused || inner.closed {
            return true;
        }
        let old = replace(&mut inner.writer, waker);
        drop(inner);
        drop(old);
        false
    }

    /// Ends the ring and forgets what is in it: nobody will take it.
    pub(crate) fn abandon(&self) {
        self.close();
        let forgotten = {
            let mut inner = self.inner.lock();
            inner.bytes = 0;
            std::mem::take(&mut inner.packets)
        };
        drop(forgotten);
    }

    /// Ends the ring: what is in it can still be taken, what comes later is dropped.
    pub(crate) fn close(&self) {
        let (reader, writer) = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            (inner.reader.take(), inner.writer.take())
        };
        for waker in [reader, writer].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// Puts a waker in its place, and gives the old one so that it is dropped under no lock.
fn replace(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    if slot.as_ref().is_some_and(|old| old.will_wake(waker)) { None } else { slot.replace(waker.clone()) }
}
