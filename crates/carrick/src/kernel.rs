//! The hand-overs between threads that everything else relies on, small enough to be model-checked whole.
//!
//! * [`Signal`]: whoever makes work for the device task wakes it, however the two race.
//! * [`Retiring`]: a connection that ends says so under its own lock; whoever takes the endpoint's lock next
//!   sees it. So a frame handed back by a retired cell never meets the same cell again.
//! * [`AcceptQueue`]: a connection pushed while its listener ends is taken exactly once, by the application, by
//!   the end of the listener, or by whoever tried to push it.
//! * [`Word`]: what becomes of a request is heard by whoever waits for it, or stays with whoever brings it.
//! * [`Seldom`]: once everybody has let go of something that seldom is there, its flag says whether it is.
//!
//! `tests/loom.rs` includes this file with loom's locks and atomics in place of [`sync`](super::sync).

use super::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use std::collections::VecDeque;
use std::task::Waker;

/// Something that seldom is there, and a flag that says so to those who pass often.
pub(crate) struct Seldom<T> {
    any: AtomicBool,
    inner: Mutex<Option<T>>,
}

impl<T> Seldom<T> {
    pub(crate) fn new() -> Self {
        Self { any: AtomicBool::new(false), inner: Mutex::new(None) }
    }

    /// Without the lock: what other threads do meanwhile may be missed.
    #[inline]
    pub(crate) fn is_there(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Looks at it and may change it. The flag follows under the same hold of the lock: of two changes the later one
    /// sets it.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Option<T>) -> R) -> R {
        let mut inner = self.inner.lock();
        let result = f(&mut inner);
        self.any.store(inner.is_some(), Ordering::Relaxed);
        result
    }
}

/// Wakes one task, from any thread.
///
/// The task lowers the signal, looks for work, registers its waker, and sleeps only if the signal is still
/// low: work that came between looking and registering is seen by that last look.
pub(crate) struct Signal {
    raised: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self { raised: AtomicBool::new(false), waker: Mutex::new(None) }
    }

    /// Says that there is work. To be called after the work can be found, and under no lock.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            let waker = self.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Forgets earlier raises. To be called before looking for work.
    pub(crate) fn lower(&self) {
        self.raised.swap(false, Ordering::AcqRel);
    }

    /// Leaves a waker for the next raise.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut slot = self.waker.lock();
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            let old = slot.replace(waker.clone());
            drop(slot);
            drop(old);
        }
    }

    /// Whether it has been raised since it was lowered. To be asked after registering, before sleeping.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }
}

/// What ended under its own lock and has yet to be told to the endpoint.
pub(crate) struct Retiring<E> {
    waiting: AtomicUsize,
    queue: Mutex<Vec<E>>,
}

impl<E> Retiring<E> {
    pub(crate) fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), queue: Mutex::new(Vec::new()) }
    }

    /// Leaves an event. To be called under the lock of the connection that ends, before others can see there
    /// that it has ended.
    pub(crate) fn push(&self, event: E) {
        let mut queue = self.queue.lock();
        queue.push(event);
        self.waiting.store(queue.len(), Ordering::Release);
    }

    /// Takes all events, in order. To be called first thing under the endpoint's lock.
    pub(crate) fn take(&self, mut apply: impl FnMut(E)) {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut queue = self.queue.lock();
        self.waiting.store(0, Ordering::Release);
        queue.drain(..).for_each(&mut apply);
    }
}

/// Connections that wait to be accepted.
pub(crate) struct AcceptQueue<T> {
    inner: Mutex<Accepting<T>>,
}

struct Accepting<T> {
    waiting: VecDeque<T>,
    closed: bool,
    waker: Option<Waker>,
}

/// What [`AcceptQueue::pop`] found.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Popped<T> {
    /// The one that has waited longest, and whether more wait behind it.
    Item(T, bool),
    Empty,
    Closed,
}

impl<T> AcceptQueue<T> {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Accepting { waiting: VecDeque::new(), closed: false, waker: None }) }
    }

    /// Adds one, and gives the waker to wake; or gives it back if the queue has been closed.
    pub(crate) fn push(&self, item: T) -> Result<Option<Waker>, T> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(item);
        }
        inner.waiting.push_back(item);
        Ok(inner.waker.take())
    }

    /// Takes the oldest. If there is none, leaves the waker, if one is given, for the next push.
    pub(crate) fn pop(&self, waker: Option<&Waker>) -> Popped<T> {
        let mut inner = self.inner.lock();
        if let Some(item) = inner.waiting.pop_front() {
            return Popped::Item(item, !inner.waiting.is_empty());
        }
        if inner.closed {
            return Popped::Closed;
        }
        let old = waker.and_then(|waker| inner.waker.replace(waker.clone()));
        drop(inner);
        drop(old);
        Popped::Empty
    }

    /// Refuses all that comes later, and gives what has not been taken, with the waker to wake.
    pub(crate) fn close(&self) -> (VecDeque<T>, Option<Waker>) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        (std::mem::take(&mut inner.waiting), inner.waker.take())
    }
}

/// What one side waits to be told, and the other one brings: given once, and taken once.
pub(crate) struct Word<T> {
    inner: Mutex<Given<T>>,
}

enum Given<T> {
    NotYet,
    Here(T),
    /// It has been taken, or nobody wants it any more.
    Taken,
}

impl<T> Word<T> {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Given::NotYet) }
    }

    /// Gives it; or gives it back if there has been one, or nobody wants it any more. Then wake who waits.
    pub(crate) fn give(&self, word: T) -> Result<(), T> {
        let mut inner = self.inner.lock();
        if !matches!(*inner, Given::NotYet) {
            return Err(word);
        }
        *inner = Given::Here(word);
        Ok(())
    }

    /// Whether there is no use in waiting for it any longer.
    pub(crate) fn is_settled(&self) -> bool {
        !matches!(*self.inner.lock(), Given::NotYet)
    }

    /// Takes it if it is there; nobody else gets it, and nobody can give it any more.
    pub(crate) fn take(&self) -> Option<T> {
        match std::mem::replace(&mut *self.inner.lock(), Given::Taken) {
            Given::Here(word) => Some(word),
            Given::NotYet | Given::Taken => None,
        }
    }
}
