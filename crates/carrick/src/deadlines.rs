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

#[cfg(test)]
mod tests {
    use super::*;
    use carrick_core::{Cidr, Cx, Endpoint, EndpointConfig};
    use std::collections::HashMap;
    use std::sync::Arc;

    /// Names of connections, as an endpoint gives them.
    fn names(n: usize) -> Vec<ConnectionId> {
        let addresses = vec![Cidr::new([192, 0, 2, 1].into(), 24)];
        let config = EndpointConfig { addresses, ..EndpointConfig::default() };
        let mut endpoint = Endpoint::new(Arc::new(config), [1; 32]);
        let cx = Cx::new(Instant::ZERO);
        let remote = "192.0.2.2:80".parse().unwrap();
        (0..n).map(|_| endpoint.connect(&cx, None, remote, Arc::default()).unwrap().0).collect()
    }

    /// The invariant in the module's documentation.
    fn check(deadlines: &Deadlines) {
        for (place, (at, id)) in deadlines.heap.iter().enumerate() {
            assert_eq!(deadlines.places[id.index()] as usize, place);
            assert!(place == 0 || deadlines.heap[(place - 1) / 2].0 <= *at);
        }
        let placed = deadlines.places.iter().filter(|place| **place != NOWHERE).count();
        assert_eq!(placed, deadlines.heap.len());
    }

    #[test]
    fn agrees_with_a_model_on_random_calls() {
        let ids = names(50);
        let mut deadlines = Deadlines::default();
        let mut model: HashMap<ConnectionId, Instant> = HashMap::new();
        let mut random = 1_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..20_000 {
            let id = ids[next(50) as usize];
            let at = Instant::from_nanos(next(1000));
            match next(4) {
                0 | 1 => {
                    deadlines.arm(id, at);
                    let armed = model.entry(id).or_insert(at);
                    *armed = at.min(*armed);
                }
                2 => {
                    deadlines.disarm(id);
                    model.remove(&id);
                }
                _ => {
                    let due = deadlines.pop_due(at);
                    assert_eq!(due.is_some(), model.values().any(|armed| *armed <= at));
                    if let Some(id) = due {
                        let popped = model.remove(&id).unwrap();
                        assert!(model.values().all(|armed| *armed >= popped), "the earliest comes first");
                    }
                }
            }
            assert_eq!(deadlines.next(), model.values().min().copied());
            check(&deadlines);
        }
    }

    /// T-TIM-6: whatever is armed and cancelled, there is one entry for each connection that waits, and an operation
    /// takes no more steps than the heap is deep.
    #[test]
    fn t_tim_6_a_million_timers_leave_nothing_dead_behind() {
        const COUNT: usize = 1000;
        let ids = names(COUNT);
        let mut deadlines = Deadlines::default();
        let mut random = 1_u64;
        for operation in 0..1_000_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = ids[(random >> 33) as usize % COUNT];
            // Set, moved earlier, left behind by later ones, cancelled.
            if operation % 3 == 2 {
                deadlines.disarm(id);
            } else {
                deadlines.arm(id, Instant::from_nanos(random >> 20));
            }
            assert!(deadlines.heap.len() <= COUNT && deadlines.places.len() <= COUNT);
        }
        check(&deadlines);
        for id in ids {
            deadlines.disarm(id);
        }
        assert_eq!((deadlines.next(), deadlines.heap.len()), (None, 0));
        carrick_covers::covers!("T-TIM-6");
    }
}
