//! Requests for connections that a listener holds: what the device task tells of them, and what the application has
//! decided.
//!
//! Which of them there are the endpoint knows. Here is who waits: a request is in the table from the SYN until it is
//! decided against, has become a connection, or has ended, so that there are no more than the endpoint holds.

use crate::cell::Cell;
use crate::kernel::{Popped, Word};
use crate::shared::{Listening, Net, contain};
use carrick_core::{ConnectionError, ParkedEnd, ParkedSyn, Tuple};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;

/// The requests of one listener.
#[derive(Default)]
pub(crate) struct Requests {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    all: HashMap<Tuple, Arc<Held>>,
    /// Those that the application has not been given, oldest first.
    waiting: BTreeMap<u64, Arc<Held>>,
    count: u64,
    closed: bool,
}

/// One request.
pub(crate) struct Held {
    pub(crate) syn: ParkedSyn,
    number: u64,
    outcome: Word<Outcome>,
    changed: Notify,
}

/// What has become of a request.
pub(crate) enum Outcome {
    /// The handshake is complete.
    Opened(Arc<Cell>),
    /// The peer, or time, has ended it.
    Ended(ConnectionError),
    /// Its listener or its stack has ended.
    Closed,
}

impl Requests {
    /// False if nobody will take it.
    fn push(&self, syn: ParkedSyn) -> bool {
        let mut table = self.table.lock();
        if table.closed {
            return false;
        }
        let number = table.count;
        table.count += 1;
        let held = Held { syn, number, outcome: Word::new(), changed: Notify::new() };
        let held = Arc::new(held);
        table.all.insert(syn.tuple, Arc::clone(&held));
        table.waiting.insert(number, held);
        true
    }

    /// The one that has waited longest.
    pub(crate) fn pop(&self) -> Popped<Arc<Held>> {
        let mut table = self.table.lock();
        match table.waiting.pop_first() {
            Some((_, held)) => Popped::Item(held, !table.waiting.is_empty()),
            None if table.closed => Popped::Closed,
            None => Popped::Empty,
        }
    }

    /// Takes a request out that has become a connection.
    pub(crate) fn opened(&self, tuple: &Tuple) -> Option<Arc<Held>> {
        self.table.lock().all.remove(tuple)
    }

    /// Takes a request out, if it is still there.
    pub(crate) fn remove(&self, syn: &ParkedSyn) {
        let _held = self.take(syn.id, &syn.tuple);
    }

    fn take(&self, id: carrick_core::ParkedId, tuple: &Tuple) -> Option<Arc<Held>> {
        let mut table = self.table.lock();
        if table.all.get(tuple)?.syn.id != id {
            return None;
        }
        let held = table.all.remove(tuple)?;
        table.waiting.remove(&held.number);
        Some(held)
    }

    /// Ends all of them, oldest first, so that whoever waits wakes in the same order each time.
    pub(crate) fn close(&self) {
        let all = {
            let mut table = self.table.lock();
            table.closed = true;
            table.waiting.clear();
            std::mem::take(&mut table.all)
        };
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_unstable_by_key(|held| held.number);
        for held in all {
            let _nothing_to_give_back = held.end(Outcome::Closed);
        }
    }
}

impl Held {
    /// Says what has become of it, unless that has been said before: then gives the outcome back.
    pub(crate) fn end(&self, outcome: Outcome) -> Result<(), Outcome> {
        self.outcome.give(outcome)?;
        contain(|| self.changed.notify_waiters());
        Ok(())
    }

    /// What has become of it, if anything has; nobody else learns of that, or of what becomes of it later.
    pub(crate) fn take(&self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// Waits until something has become of it.
    pub(crate) async fn changed(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.outcome.is_settled() {
                return;
            }
            changed.await;
        }
    }
}

/// Whom to wake once no lock is held.
#[derive(Default)]
#[must_use = "nobody is woken"]
pub(crate) struct Told {
    arrived: Vec<Arc<Listening>>,
    ended: Vec<(Arc<Held>, ConnectionError)>,
}

impl Net {
    /// Tells listeners of the requests that the endpoint holds for them, and of those that it no longer does.
    pub(crate) fn tell_requests(&mut self) -> Told {
        let mut told = Told::default();
        while let Some(ParkedEnd { id, listener, tuple, why }) = self.endpoint.poll_parked_end() {
            let held = self.listener(listener).and_then(|l| l.requests.as_ref()?.take(id, &tuple));
            told.ended.extend(held.map(|held| (held, why)));
        }
        while let Some(syn) = self.endpoint.poll_parked() {
            let listening = self.listener(syn.listener).cloned();
            let taken = |listening: &Arc<Listening>| listening.requests.as_ref().is_some_and(|r| r.push(syn));
            told.arrived.extend(listening.filter(taken));
        }
        told
    }
}

impl Told {
    /// Wakes them.
    pub(crate) fn wake(self) {
        for listening in self.arrived {
            contain(|| listening.notify.notify_one());
        }
        for (held, why) in self.ended {
            let _nobody_waits = held.end(Outcome::Ended(why));
        }
    }
}
