//! A connection behind its lock, with the wakers of its stream.
//!
//! Lock order, asserted in debug builds: a thread holds at most one connection's lock, and takes the
//! endpoint's under none. The locks of [`kernel`](crate::kernel), that of an outage among them, of the work list and of
//! rings are leaves: nothing is locked under them, except the work list under that of the retired, whose events are
//! applied there.
//! That of the captures is taken under either, and held while the device takes a packet and a writer writes it down.

use crate::error::{Failure, io_error};
use crate::watch::TellUnlocked;
use carrick_core::{Connection, ConnectionError, ConnectionId, Instant, TcpState};
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// One connection. Kept small: an idle connection is little more than this and the core's own state.
pub(crate) struct Cell {
    pub(crate) id: ConnectionId,
    state: Mutex<State>,
}

/// What the lock guards.
pub(crate) struct State {
    /// None once its state has been thrown away: it panicked, or it is over and nobody will ask again.
    connection: Option<Box<Connection>>,
    /// The latest waker of each direction's `poll_*`.
    pub(crate) read_waker: Option<Waker>,
    pub(crate) write_waker: Option<Waker>,
    /// For the methods on `&self` that may have many waiters; made at first use, told of every event.
    pub(crate) watchers: Option<Arc<Notify>>,
    /// When the deadline queue will ask next.
    pub(crate) armed: Instant,
    /// The bytes of this connection that the stack's counter includes.
    pub(crate) accounted: usize,
    /// The state that has been counted and told of.
    pub(crate) seen: TcpState,
    /// Why it is over, if the connection itself does not know.
    pub(crate) ended: Option<End>,
    /// The core has been called since the last settling.
    pub(crate) acted: bool,
    /// The handshake is complete.
    pub(crate) connected: bool,
    /// The endpoint has forgotten it, or will when it next looks: a segment must be dispatched anew.
    pub(crate) retired: bool,
    /// The application has let go.
    pub(crate) released: bool,
    /// It is on the list of connections with packets due.
    pub(crate) queued: bool,
    /// `take_error` has given the error.
    pub(crate) error_taken: bool,
    #[cfg(test)]
    pub(crate) planted_panic: bool,
}

/// Why a connection is over that could not say so itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It panicked, and nobody has been told yet.
    Panicked,
    /// It panicked.
    Internal,
    /// Its stack failed or ended.
    Stack,
}

impl Cell {
    pub(crate) fn new(id: ConnectionId, connection: Box<Connection>) -> Arc<Self> {
        // An active open has just begun; a passive one has been counted by the endpoint.
        let seen = match connection.state() {
            TcpState::SynSent => TcpState::Closed,
            passive => passive,
        };
        let state = State {
            connection: Some(connection),
            read_waker: None,
            write_waker: None,
            watchers: None,
            armed: Instant::NEVER,
            accounted: 0,
            seen,
            ended: None,
            // It was made by the core just now and has not been settled.
            acted: true,
            connected: false,
            retired: false,
            released: false,
            queued: false,
            error_taken: false,
            #[cfg(test)]
            planted_panic: false,
        };
        Arc::new(Self { id, state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> CellGuard<'_> {
        held::enter_cell();
        CellGuard(self.state.lock(), TellUnlocked)
    }
}

impl State {
    /// Lets `f` act on the connection. None if there is none any more, or if `f` panicked: then the
    /// connection's state, whatever it is now, is thrown away.
    pub(crate) fn run<R>(&mut self, f: impl FnOnce(&mut Connection) -> R) -> Option<R> {
        self.acted = true;
        let connection = self.connection.as_deref_mut()?;
        #[cfg(test)]
        let planted = std::mem::take(&mut self.planted_panic);
        let result = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            assert!(!planted, "planted");
            f(connection)
        }));
        if result.is_err() {
            self.ended.get_or_insert(End::Panicked);
            let broken = self.connection.take();
            // Whatever made it panic may do so again.
            drop(catch_unwind(AssertUnwindSafe(|| drop(broken))));
        }
        result.ok()
    }

    /// Looks at the connection without touching it.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.as_deref()
    }

    /// Gives up what is left of a connection that is over.
    pub(crate) fn discard(&mut self) {
        self.connection = None;
        self.acted = true;
    }

    /// Why nothing more will come of this connection, if that is an error.
    pub(crate) fn error(&self, failure: Option<&Failure>) -> Option<io::Error> {
        match self.ended {
            Some(End::Panicked | End::Internal) => Some(io_error(ConnectionError::Internal)),
            Some(End::Stack) => Some(failure.unwrap_or(&Failure::Ended).to_io()),
            None => match self.connection() {
                Some(connection) => connection.error().map(io_error),
                None => Some(io_error(ConnectionError::Internal)),
            },
        }
    }
}

/// Leaves the caller's waker if it has to wait. The second result is the waker that was there before, to be dropped
/// under no lock.
pub(crate) fn or_register<R>(
    result: Poll<R>,
    slot: &mut Option<Waker>,
    cx: &Context<'_>,
) -> (Poll<R>, Option<Waker>) {
    let replaced = if result.is_pending() { register(slot, cx) } else { None };
    (result, replaced)
}

/// Puts the caller's waker in its place and gives the old one, to be dropped under no lock: the last waker of
/// a task may take the task's own streams with it.
#[must_use]
pub(crate) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    if slot.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
        return None;
    }
    slot.replace(cx.waker().clone())
}

/// A locked cell. Its fields are dropped in their order.
pub(crate) struct CellGuard<'a>(MutexGuard<'a, State>, TellUnlocked);

impl Deref for CellGuard<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.0
    }
}

impl DerefMut for CellGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0
    }
}

impl Drop for CellGuard<'_> {
    fn drop(&mut self) {
        held::leave_cell();
    }
}

/// What this thread holds; nothing in release builds.
pub(crate) mod held {
    #[cfg(debug_assertions)]
    thread_local! {
        static CELL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
        static NET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    pub(crate) fn enter_cell() {
        #[cfg(debug_assertions)]
        {
            assert!(!CELL.replace(true), "a thread holds at most one connection's lock");
            assert!(!NET.get(), "no connection is locked under the endpoint's lock");
        }
    }

    pub(crate) fn leave_cell() {
        #[cfg(debug_assertions)]
        CELL.set(false);
    }

    pub(crate) fn enter_net() {
        #[cfg(debug_assertions)]
        {
            assert!(!CELL.get(), "the endpoint's lock is never taken under a connection's");
            assert!(!NET.replace(true), "the endpoint's lock is taken once");
        }
    }

    pub(crate) fn leave_net() {
        #[cfg(debug_assertions)]
        NET.set(false);
    }
}
