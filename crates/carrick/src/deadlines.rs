//! The deadlines of all connections: a heap with exactly one entry per connection that waits for a time.
//!
//! The queue is lazy: a deadline that moves later is left where it is, and the connection is asked anew when
//! the entry comes up. So a transfer whose retransmission timer restarts with every acknowledgement touches
//! the queue a few times a second. Invariant: `places[index]` is where in `heap` the entry of the connection
//! with that index is, and no entry is earlier than its parent.

use carrick_core::{ConnectionId, Instant};

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: Vec<(Instant, ConnectionId)>,
    places: Vec<u32>,
}

impl Deadlines {
    /// The earliest entry's time.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Sees to it that `id` comes up at `at` or before.
    pub(crate) fn arm(&mut self, id: ConnectionId, at: Instant) {
        if self.places.len() <= id.index() {
            self.places.resize(id.index() + 1, NOWHERE);
        }
        match self.places[id.index()] {
            NOWHERE => {
                self.heap.push((at, id));
                self.rise(self.heap.len() - 1);
            }
            place => {
                let entry = &mut self.heap[place as usize];
                // An entry of an earlier connection with that index means nothing any more.
                let at = if entry.1 == id { at.min(entry.0) } else { at };
                *entry = (at, id);
                self.rise(place as usize);
                self.sink(self.places[id.index()] as usize);
            }
        }
    }

    /// Takes the earliest entry if its time has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<ConnectionId> {
        let (at, id) = *self.heap.first()?;
        if at > now {
            return None;
        }
        self.remove(0);
        Some(id)
    }

    /// Forgets a connection.
    pub(crate) fn disarm(&mut self, id: ConnectionId) {
        if let Some(&place) = self.places.get(id.index())
            && place != NOWHERE
            && self.heap[place as usize].1 == id
        {
            self.remove(place as usize);
        }
    }

    fn remove(&mut self, place: usize) {
        let (_, id) = self.heap.swap_remove(place);
        self.places[id.index()] = NOWHERE;
        if let Some((_, moved)) = self.heap.get(place) {
            let moved = moved.index();
            self.places[moved] = place as u32;
            self.rise(place);
            self.sink(self.places[moved] as usize);
        }
    }

    fn rise(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].0 <= entry.0 {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let left = 2 * place + 1;
            let Some(at) = self.heap.get(left).map(|(at, _)| *at) else { break };
            let right = self.heap.get(left + 1).is_some_and(|(other, _)| *other < at);
            let child = left + usize::from(right);
            if self.heap[child].0 >= entry.0 {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }

    /// Connections number below 2^32, so places fit.
    fn put(&mut self, place: usize, entry: (Instant, ConnectionId)) {
        self.heap[place] = entry;
        self.places[entry.1.index()] = place as u32;
    }
}
