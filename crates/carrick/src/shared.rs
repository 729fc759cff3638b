//! What the handles, the streams and the device task of one stack share, and how a connection is settled.
//!
//! After anything that acted on a connection it is *settled*, still under its lock: due packets leave, events
//! become wakers to wake, the change of its memory is booked, its deadline is queued. Then the lock is
//! dropped and the rest is *applied*: the endpoint hears of its end, wakers fire. In the steady state neither
//! half allocates.

use crate::cell::{Cell, CellGuard, End, State, held};
use crate::counters::Lives;
use crate::deadlines::Deadlines;
use crate::error::{Failure, io_error};
use crate::held::Requests;
use crate::kernel::{AcceptQueue, Retiring, Signal};
use crate::outlet::{Outlet, Sent};
use crate::watch::{TellUnlocked, Watch, tells};
use carrick_core::{
    BindError, Budget, Connection, ConnectionConfig, ConnectionId, Cx, Endpoint, EndpointEvent, Event, Input,
    Instant, ListenAddr, ListenConfig, ListenerId, Outcome, Pressure, TcpState,
};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Notify;
use tracing::Level;
use tracing::field::display;

/// Most super-segments that leave during one hold of a connection's lock; the rest is the device task's.
pub(crate) const FRAMES_PER_HOLD: usize = 2;
/// How many leave when the device task serves a connection that had to wait.
pub(crate) const FRAMES_WHEN_SERVED: usize = 1;
/// How many connections are looked at when memory is scarce and one of them is to go.
const LOOKED_AT: usize = 64;

pub(crate) struct Shared {
    net: Mutex<Net>,
    work: Mutex<Work>,
    pub(crate) outlet: Outlet,
    /// Wakes the device task.
    pub(crate) signal: Signal,
    retiring: Retiring<(ConnectionId, EndpointEvent)>,
    origin: tokio::time::Instant,
    budget: Budget,
    /// Bytes that all connections hold.
    used: AtomicUsize,
    /// Where in the table of connections to look next for one that holds on for too long.
    hand: AtomicUsize,
    pub(crate) connection_config: Arc<ConnectionConfig>,
    /// Stacks, listeners and streams in the application's hands.
    handles: AtomicUsize,
    closing: AtomicBool,
    failure: OnceLock<Failure>,
    ended: AtomicBool,
    pub(crate) ended_notify: Notify,
    pub(crate) lives: Lives,
    /// How long the device may take no packet before everything ends.
    pub(crate) outage_limit: Option<Duration>,
    pub(crate) internal_errors: AtomicU64,
    /// What the device received and could make nothing of.
    pub(crate) device_refused: AtomicU64,
    /// Packets that were put together with the one before them.
    pub(crate) merged: AtomicU64,
}

/// The endpoint and the driver's own tables beside it.
pub(crate) struct Net {
    pub(crate) endpoint: Endpoint,
    cells: Vec<Option<Arc<Cell>>>,
    pub(crate) live: usize,
    pub(crate) listeners: BTreeMap<ListenerId, Arc<Listening>>,
}

/// What there is for the device task to do.
pub(crate) struct Work {
    /// Connections with packets due that could not leave at once.
    pub(crate) unsent: VecDeque<Arc<Cell>>,
    pub(crate) deadlines: Deadlines,
    /// When the device task will look again by itself; zero while it is looking.
    pub(crate) sleeping_until: Instant,
}

/// A listener, as the device task and its owner share it.
pub(crate) struct Listening {
    pub(crate) id: ListenerId,
    pub(crate) local_addr: SocketAddr,
    pub(crate) queue: AcceptQueue<Arc<Cell>>,
    /// Instead of the queue, where each request is decided about first.
    pub(crate) requests: Option<Requests>,
    pub(crate) notify: Notify,
}

/// What settling leaves to do once the lock is dropped.
#[derive(Default)]
#[must_use = "wakers are lost and the endpoint is not told"]
pub(crate) struct Settled {
    reader: Option<Waker>,
    writer: Option<Waker>,
    watchers: Option<Arc<Notify>>,
    retired: bool,
    /// The endpoint is to hear of the path, and the device task to tell others.
    path_changed: bool,
    /// The device task has something to do, or earlier than it thinks.
    raise: bool,
    /// What kept packets back, if any were.
    pub(crate) kept_back: Option<Sent>,
}

impl Settled {
    /// Whether somebody is going to be woken.
    pub(crate) fn wakes(&self) -> bool {
        self.reader.is_some() || self.writer.is_some() || self.watchers.is_some()
    }
}

impl Shared {
    pub(crate) fn new(
        endpoint: Endpoint,
        outlet: Outlet,
        memory_limit: usize,
        connection_config: ConnectionConfig,
        outage_limit: Option<Duration>,
    ) -> Self {
        Self {
            net: Mutex::new(Net { endpoint, cells: Vec::new(), live: 0, listeners: BTreeMap::new() }),
            work: Mutex::new(Work {
                unsent: VecDeque::new(),
                deadlines: Deadlines::default(),
                sleeping_until: Instant::ZERO,
            }),
            outlet,
            signal: Signal::new(),
            retiring: Retiring::new(),
            origin: tokio::time::Instant::now(),
            budget: Budget::new(memory_limit),
            used: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            connection_config: Arc::new(connection_config),
            handles: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            failure: OnceLock::new(),
            ended: AtomicBool::new(false),
            ended_notify: Notify::new(),
            lives: Lives::default(),
            outage_limit,
            internal_errors: AtomicU64::new(0),
            device_refused: AtomicU64::new(0),
            merged: AtomicU64::new(0),
        }
    }

    // Time and memory.

    pub(crate) fn now(&self) -> Instant {
        self.instant(tokio::time::Instant::now())
    }

    /// A moment of tokio's clock as the core counts it.
    pub(crate) fn instant(&self, at: tokio::time::Instant) -> Instant {
        Instant::ZERO + at.saturating_duration_since(self.origin)
    }

    /// A moment of the core's as tokio's clock counts it; None if it is too far off ever to come.
    pub(crate) fn tokio_instant(&self, at: Instant) -> Option<tokio::time::Instant> {
        if at == Instant::NEVER {
            return None;
        }
        self.origin.checked_add(at.since(Instant::ZERO))
    }

    /// What a call at `now` is told.
    pub(crate) fn cx(&self, now: Instant) -> Cx {
        Cx { now, memory: self.budget.allowance(self.used.load(Ordering::Relaxed)) }
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.outlet.watch
    }

    pub(crate) fn memory_used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    // Connections.

    /// Lets `f` act on a connection, then settles it. The way in for the application's tasks.
    pub(crate) fn enter<R>(&self, cell: &Arc<Cell>, f: impl FnOnce(&mut State, &Cx) -> R) -> R {
        self.enter_locked(cell, cell.lock(), f)
    }

    /// As [`enter`](Self::enter), for whoever has looked at the connection already.
    pub(crate) fn enter_locked<R>(
        &self,
        cell: &Arc<Cell>,
        mut state: CellGuard<'_>,
        f: impl FnOnce(&mut State, &Cx) -> R,
    ) -> R {
        let cx = self.cx(self.now());
        let result = f(&mut state, &cx);
        let settled = state.acted.then(|| self.settle(cell, &mut state, &cx, FRAMES_PER_HOLD));
        drop(state);
        if let Some(settled) = settled
            && self.apply(settled, &cx)
        {
            self.signal.raise();
        }
        result
    }

    /// Gives a connection a packet; it is settled later. None if it has ended, and the packet is to be
    /// dispatched anew.
    pub(crate) fn handle_input(&self, cell: &Cell, cx: &Cx, input: Input<'_>) -> Option<Outcome> {
        let mut state = cell.lock();
        if state.retired {
            return None;
        }
        let handled = state.run(|connection| (connection.handle_input(cx, input), connection.memory()));
        self.observe(&mut state);
        // A connection that panics on a packet has used it.
        let (outcome, memory) = handled.unwrap_or((Outcome::Accepted, 0));
        // Booked at once, so that the next packet's allowance knows of this one.
        self.book(&mut state, memory);
        Some(outcome)
    }

    /// Sends what is due (at most `frames` packets), and collects whom to wake and what to tell. Called with
    /// the cell's lock held.
    pub(crate) fn settle(&self, cell: &Arc<Cell>, state: &mut State, cx: &Cx, frames: usize) -> Settled {
        let mut settled = Settled::default();
        let mut path = None;
        let tell = |event: EndpointEvent| {
            match event {
                EndpointEvent::PathMtu(mtu) => path = Some(mtu),
                EndpointEvent::Closed | EndpointEvent::TimeWait(_) => settled.retired = true,
            }
            self.retiring.push((cell.id, event));
        };
        let drained = state.run(|connection| drain(connection, &self.outlet, cx, frames, tell));
        let mut drained = drained.unwrap_or_default();
        if state.ended == Some(End::Panicked) {
            state.ended = Some(End::Internal);
            self.internal_errors.fetch_add(1, Ordering::Relaxed);
            if tells(Level::ERROR) {
                let id = cell.id;
                self.watch().later(move || {
                    tracing::error!(
                        target: "carrick::connection",
                        ?id,
                        "a connection's state machine panicked; it was given up"
                    );
                });
            }
        }
        self.observe(state);
        settled.path_changed = path.is_some();
        if let Some(mtu) = path
            && tells(Level::DEBUG)
        {
            self.tell_path(state, mtu);
        }
        settled.raise = self.outlet.outages.take_news();
        let over = state.connection().is_none();
        if over && !state.retired && !settled.retired {
            settled.retired = true;
            self.retiring.push((cell.id, EndpointEvent::Closed));
        }
        state.acted = false;
        state.connected |= drained.connected;
        state.retired |= settled.retired;
        settled.kept_back = drained.kept_back;
        if state.retired && state.released && drained.kept_back.is_none() {
            state.discard();
            state.acted = false;
            drained.memory = 0;
            drained.deadline = None;
        }
        if drained.readable || over {
            settled.reader = state.read_waker.take();
        }
        if drained.writable || over {
            settled.writer = state.write_waker.take();
        }
        if drained.readable || drained.writable || drained.over || over {
            settled.watchers.clone_from(&state.watchers);
        }
        self.book(state, drained.memory);
        let deadline = drained.deadline.filter(|at| *at < state.armed);
        let queue = drained.kept_back.is_some() && !state.queued;
        if queue || deadline.is_some() {
            let mut work = self.work.lock();
            if queue {
                state.queued = true;
                work.unsent.push_back(Arc::clone(cell));
                settled.raise = true;
            }
            if let Some(at) = deadline {
                state.armed = at;
                work.deadlines.arm(cell.id, at);
                settled.raise |= at < work.sleeping_until;
            }
        }
        settled
    }

    /// Does what settling left to do; under no lock. True if the device task should be woken.
    #[must_use]
    pub(crate) fn apply(&self, settled: Settled, cx: &Cx) -> bool {
        let mut raise = settled.raise;
        if settled.retired || settled.path_changed {
            raise |= self.with_net(cx, |_| ()).1 || self.may_end() || settled.path_changed;
        }
        if let Some(waker) = settled.reader {
            wake(waker);
        }
        if let Some(waker) = settled.writer {
            wake(waker);
        }
        if let Some(watchers) = settled.watchers {
            contain(|| watchers.notify_waiters());
        }
        raise
    }

    /// Counts and tells of a change of a connection's state since it was last looked at.
    #[inline]
    fn observe(&self, state: &mut State) {
        let now = state.connection().map_or(TcpState::Closed, Connection::state);
        // With the stack's end all connections were counted as closed.
        if now != state.seen && state.ended != Some(End::Stack) {
            self.changed(state, now);
        }
    }

    #[cold]
    fn changed(&self, state: &mut State, now: TcpState) {
        let before = std::mem::replace(&mut state.seen, now);
        let connection = state.connection();
        let from = connection.and_then(Connection::closed_from).unwrap_or(before);
        self.lives.changed(before, from, now);
        if !tells(Level::DEBUG) {
            return;
        }
        let ends = connection.map(|connection| (connection.local_addr(), connection.remote_addr()));
        let error = state.error(self.failure()).filter(|_| now == TcpState::Closed);
        self.watch().later(move || {
            let (local, remote) = ends.map(|(local, remote)| (display(local), display(remote))).unzip();
            let error = error.as_ref().map(display);
            tracing::debug!(
                target: "carrick::connection", local, remote, %from, to = %now, error, "state"
            );
        });
    }

    #[cold]
    fn tell_path(&self, state: &State, mtu: u16) {
        let Some(connection) = state.connection() else { return };
        let (local, remote) = (connection.local_addr(), connection.remote_addr());
        self.watch().later(move || {
            tracing::debug!(target: "carrick::path", %local, %remote, mtu, "path MTU");
        });
    }

    fn book(&self, state: &mut State, memory: usize) {
        let before = std::mem::replace(&mut state.accounted, memory);
        if memory > before {
            self.used.fetch_add(memory - before, Ordering::Relaxed);
        } else if memory < before {
            self.used.fetch_sub(before - memory, Ordering::Relaxed);
        }
    }

    /// If memory is scarce, gives up a connection that is stuck: of the next few in the table the one that has
    /// made no progress for longest. Bounded work, under one lock at a time; whoever needs more comes again.
    pub(crate) fn reclaim(&self) {
        if self.budget.allowance(self.memory_used()).pressure < Pressure::High {
            return;
        }
        let cx = self.cx(self.now());
        let hand = self.hand.fetch_add(LOOKED_AT, Ordering::Relaxed);
        let (cells, _) = self.with_net(&cx, |net| {
            let len = net.cells.len();
            let places = (0..len.min(LOOKED_AT)).map(|i| hand.wrapping_add(i) % len);
            places.filter_map(|place| net.cells[place].clone()).collect::<Vec<_>>()
        });
        let stuck = cells.iter().filter_map(|cell| {
            let state = cell.lock();
            let connection = state.connection().filter(|connection| connection.is_stuck(&cx))?;
            Some((connection.last_progress(), cell))
        });
        let Some((_, cell)) = stuck.min_by_key(|(since, _)| *since) else { return };
        self.enter(cell, |state, cx| {
            state.run(|connection| {
                // Something may have moved since we looked.
                if connection.is_stuck(cx) {
                    connection.abort_for_memory(cx);
                }
            });
        });
    }

    /// The application has let go of a stream.
    pub(crate) fn release(&self, cell: &Arc<Cell>, how: impl FnOnce(&mut Connection, &Cx)) {
        // Dropped when the lock is: the last waker of a task may take streams with it.
        let _wakers = self.enter(cell, |state, cx| {
            state.released = true;
            if state.ended == Some(End::Stack) {
                state.discard();
            } else {
                state.run(|connection| how(connection, cx));
            }
            (state.read_waker.take(), state.write_waker.take(), state.watchers.take())
        });
    }

    // The endpoint.

    /// Locks the endpoint, which hears first of the connections that have ended.
    pub(crate) fn net(&self, cx: &Cx) -> NetGuard<'_> {
        held::enter_net();
        let mut net = NetGuard(self.net.lock(), TellUnlocked);
        let Net { endpoint, cells, live, .. } = &mut *net.0;
        self.retiring.take(|(id, event)| {
            let ends = event.is_end();
            endpoint.handle_event(cx, id, event);
            if !ends {
                return;
            }
            if let Some(slot) = cells.get_mut(id.index())
                && slot.take_if(|cell| cell.id == id).is_some()
            {
                *live -= 1;
            }
            self.work.lock().deadlines.disarm(id);
        });
        net
    }

    /// Lets `f` act on the endpoint. The second result says whether the device task should be woken.
    pub(crate) fn with_net<R>(&self, cx: &Cx, f: impl FnOnce(&mut Net) -> R) -> (R, bool) {
        let mut net = self.net(cx);
        let result = f(&mut net);
        let deadline = net.endpoint.poll_timeout().unwrap_or(Instant::NEVER);
        let raise = deadline < self.work.lock().sleeping_until;
        (result, raise)
    }

    pub(crate) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock()
    }

    /// Starts a listener on an address, the unspecified one being any, and port 0 any that is free. `reserved` is given
    /// back for it.
    pub(crate) fn listen(
        &self,
        addr: SocketAddr,
        config: &ListenConfig,
        reserved: Option<ListenAddr>,
    ) -> io::Result<Arc<Listening>> {
        self.start_listening(config.park, |net| {
            reserved.into_iter().for_each(|local| net.endpoint.unreserve(local));
            let (id, port) = net.find_port(addr, |endpoint, local| endpoint.listen(local, config.clone()))?;
            Ok((id, SocketAddr::new(addr.ip(), port)))
        })
    }

    /// Starts a listener on what may be any address and any port.
    pub(crate) fn listen_any(&self, local: ListenAddr, config: ListenConfig) -> io::Result<Arc<Listening>> {
        let address = local.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let addr = SocketAddr::new(address, local.port.map_or(0, NonZeroU16::get));
        self.start_listening(config.park, |net| Ok((net.endpoint.listen(local, config)?, addr)))
    }

    fn start_listening(
        &self,
        holds: bool,
        listen: impl FnOnce(&mut Net) -> Result<(ListenerId, SocketAddr), BindError>,
    ) -> io::Result<Arc<Listening>> {
        let cx = self.cx(self.now());
        let (listening, raise) = self.with_net(&cx, |net| {
            self.check()?;
            let (id, local_addr) = listen(net).map_err(io_error)?;
            let (queue, notify) = (AcceptQueue::new(), Notify::new());
            let requests = holds.then(Requests::default);
            let listening = Arc::new(Listening { id, local_addr, queue, requests, notify });
            net.listeners.insert(id, Arc::clone(&listening));
            Ok(listening)
        });
        if raise {
            self.signal.raise();
        }
        listening
    }

    /// Keeps an address, the unspecified one being any, and a port, 0 being any that is free, for a socket.
    pub(crate) fn reserve(&self, addr: SocketAddr, shared: bool) -> io::Result<(ListenAddr, SocketAddr)> {
        let cx = self.cx(self.now());
        let (reserved, _) = self.with_net(&cx, |net| {
            self.check()?;
            let found =
                net.find_port(addr, |endpoint, local| endpoint.reserve(local, shared).map(|()| local));
            found.map_err(io_error)
        });
        reserved.map(|(local, port)| (local, SocketAddr::new(addr.ip(), port)))
    }

    pub(crate) fn unreserve(&self, local: ListenAddr) {
        let cx = self.cx(self.now());
        let ((), _) = self.with_net(&cx, |net| net.endpoint.unreserve(local));
    }

    /// Ends a listener: half-open connections and those that nobody has accepted are reset.
    pub(crate) fn unlisten(&self, listening: &Listening) {
        let cx = self.cx(self.now());
        // Dropped after the lock, with whatever its wakers hold.
        let _removed = self.with_net(&cx, |net| {
            let removed = net.listeners.remove(&listening.id);
            if removed.is_some() {
                net.endpoint.unlisten(listening.id);
            }
            removed
        });
        let (unaccepted, waker) = listening.queue.close();
        for cell in &unaccepted {
            self.release(cell, Connection::abort);
        }
        listening.requests.iter().for_each(Requests::close);
        waker.into_iter().for_each(wake);
        contain(|| listening.notify.notify_waiters());
        // Resets of half-open connections are due from the endpoint.
        self.signal.raise();
    }

    /// A connection has left a listener's queue: its place is free.
    pub(crate) fn accepted(&self, listening: &Listening) {
        let cx = self.cx(self.now());
        if self.with_net(&cx, |net| net.endpoint.accepted(listening.id)).1 {
            self.signal.raise();
        }
    }

    /// Starts a connection attempt; its SYN has left when this returns. `reserved` is given back for it.
    pub(crate) fn connect(
        &self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: Arc<ConnectionConfig>,
        reserved: Option<ListenAddr>,
    ) -> io::Result<Arc<Cell>> {
        self.reclaim();
        let cx = self.cx(self.now());
        let (cell, raise) = self.with_net(&cx, |net| {
            reserved.into_iter().for_each(|local| net.endpoint.unreserve(local));
            self.check()?;
            let (id, connection) = net.endpoint.connect(&cx, local, remote, config).map_err(io_error)?;
            Ok::<_, io::Error>(net.insert(id, connection))
        });
        if raise {
            self.signal.raise();
        }
        let cell = cell?;
        self.enter(&cell, |_, _| ());
        Ok(cell)
    }

    // The stack's own life.

    /// An error if nothing new can be opened.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.failure() {
            Some(failure) => Err(failure.to_io()),
            None if self.closing.load(Ordering::Acquire) => Err(Failure::Ended.to_io()),
            None => Ok(()),
        }
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Whether the device task has nothing to live for but connections on their way out.
    pub(crate) fn may_end(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0 || self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Takes no new connections and closes those there are, as if every stream had been dropped.
    pub(crate) fn close(&self) {
        let cx = self.cx(self.now());
        self.closing.store(true, Ordering::Release);
        let (listeners, _) = self.with_net(&cx, |net| net.listeners.values().cloned().collect::<Vec<_>>());
        listeners.iter().for_each(|listening| self.unlisten(listening));
        // Only now: until its listener ended, a new connection could still be accepted.
        let (cells, _) = self.with_net(&cx, |net| net.cells.iter().flatten().cloned().collect::<Vec<_>>());
        for cell in &cells {
            let (wakers, watchers) = self.enter(cell, |state, cx| {
                state.run(|connection| connection.close(cx));
                ([state.read_waker.take(), state.write_waker.take()], state.watchers.clone())
            });
            wakers.into_iter().flatten().for_each(wake);
            if let Some(watchers) = watchers {
                contain(|| watchers.notify_waiters());
            }
        }
        self.signal.raise();
    }

    /// Ends everything at once: every stream, accept and connect gets the reason.
    pub(crate) fn fail(&self, failure: Failure) {
        let reset = matches!(failure, Failure::Aborted);
        let defect = matches!(failure, Failure::Panicked);
        let lost = matches!(failure, Failure::Device(..));
        if self.failure.set(failure).is_err() {
            return;
        }
        if tells(Level::ERROR)
            && let Some(failure) = self.failure()
        {
            let why = failure.to_io();
            self.watch().later(move || {
                if defect {
                    tracing::error!(target: "carrick::stack", %why, "stack ends");
                } else if lost {
                    tracing::warn!(target: "carrick::stack", %why, "stack ends");
                } else {
                    tracing::info!(target: "carrick::stack", %why, "stack ends");
                }
            });
        }
        let cx = self.cx(self.now());
        let ((cells, listeners), _) = self.with_net(&cx, |net| {
            net.live = 0;
            (std::mem::take(&mut net.cells), std::mem::take(&mut net.listeners))
        });
        for cell in cells.into_iter().flatten() {
            let (wakers, watchers) = {
                let mut state = cell.lock();
                if reset {
                    state.run(|connection| {
                        connection.abort(&cx);
                        drain(connection, &self.outlet, &cx, 1, drop);
                    });
                }
                self.observe(&mut state);
                // What had ended properly before stays so.
                if !state
                    .connection()
                    .is_some_and(|connection| is_over(connection) && connection.error().is_none())
                {
                    state.ended.get_or_insert(End::Stack);
                    if state.seen != TcpState::Closed {
                        self.changed(&mut state, TcpState::Closed);
                    }
                }
                state.retired = true;
                if state.released {
                    state.discard();
                }
                let memory = state.connection().map_or(0, Connection::memory);
                self.book(&mut state, memory);
                ([state.read_waker.take(), state.write_waker.take()], state.watchers.clone())
            };
            wakers.into_iter().flatten().for_each(wake);
            if let Some(watchers) = watchers {
                contain(|| watchers.notify_waiters());
            }
        }
        for listening in listeners.into_values() {
            let (unaccepted, waker) = listening.queue.close();
            unaccepted.iter().for_each(|cell| self.release(cell, |_, _| ()));
            listening.requests.iter().for_each(Requests::close);
            waker.into_iter().for_each(wake);
            contain(|| listening.notify.notify_waiters());
        }
        let unsent = std::mem::take(&mut self.work.lock().unsent);
        for cell in unsent {
            let mut state = cell.lock();
            if state.released {
                state.discard();
                self.book(&mut state, 0);
            }
        }
        self.signal.raise();
    }

    /// The device task is no more.
    pub(crate) fn end(&self, failure: Failure) {
        self.fail(failure);
        self.ended.store(true, Ordering::Release);
        contain(|| self.ended_notify.notify_waiters());
    }
}

impl Net {
    /// Puts a connection the endpoint has just made into the table: one step with its making, so that no
    /// packet can come between.
    pub(crate) fn insert(&mut self, id: ConnectionId, connection: Box<Connection>) -> Arc<Cell> {
        let cell = Cell::new(id, connection);
        if self.cells.len() <= id.index() {
            self.cells.resize(id.index() + 1, None);
        }
        self.cells[id.index()] = Some(Arc::clone(&cell));
        self.live += 1;
        cell
    }

    pub(crate) fn cell(&self, id: ConnectionId) -> Option<&Arc<Cell>> {
        self.cells.get(id.index())?.as_ref().filter(|cell| cell.id == id)
    }

    pub(crate) fn listener(&self, id: ListenerId) -> Option<&Arc<Listening>> {
        self.listeners.get(&id)
    }

    /// Does something with the port of `addr`, or with a free one if that is 0.
    fn find_port<R>(
        &mut self,
        addr: SocketAddr,
        with: impl FnOnce(&mut Endpoint, ListenAddr) -> Result<R, BindError>,
    ) -> Result<(R, u16), BindError> {
        let address = Some(addr.ip()).filter(|ip| !ip.is_unspecified());
        let named = NonZeroU16::new(addr.port());
        let port = named.or_else(|| self.endpoint.free_port(address)).ok_or(BindError::AddrInUse)?;
        with(&mut self.endpoint, ListenAddr { address, port: Some(port) }).map(|found| (found, port.get()))
    }
}

/// What a connection asked for while it was drained.
#[derive(Default)]
struct Drained {
    kept_back: Option<Sent>,
    connected: bool,
    readable: bool,
    writable: bool,
    over: bool,
    memory: usize,
    deadline: Option<Instant>,
}

/// Asks a connection for all it wants of the world, in the order that the core's contract gives.
fn drain(
    connection: &mut Connection,
    outlet: &Outlet,
    cx: &Cx,
    frames: usize,
    tell: impl FnMut(EndpointEvent),
) -> Drained {
    let kept_back = flush(connection, outlet, cx, frames);
    let mut drained = Drained { kept_back, ..Drained::default() };
    std::iter::from_fn(|| connection.poll_endpoint_event()).for_each(tell);
    while let Some(event) = connection.poll_event() {
        match event {
            Event::Connected => {
                drained.connected = true;
                drained.writable = true;
            }
            Event::Readable => drained.readable = true,
            Event::Writable => drained.writable = true,
            Event::Closed => {
                drained.readable = true;
                drained.writable = true;
            }
            // Whoever waits for priority.
            Event::Urgent => drained.readable = true,
            // It can be asked for.
            Event::SoftError => {}
        }
    }
    drained.over = is_over(connection);
    drained.memory = connection.memory();
    drained.deadline = connection.poll_timeout();
    drained
}

/// Sends at most `frames` packets, and says what kept the rest back, if there is a rest.
fn flush(connection: &mut Connection, outlet: &Outlet, cx: &Cx, frames: usize) -> Option<Sent> {
    let largest = outlet.largest();
    // The device task serves those who wait one packet at a time; everybody else queues behind them.
    if frames != FRAMES_WHEN_SERVED && outlet.is_congested() {
        return connection.poll_transmit(cx, largest).map(|_not_yet| Sent::DeviceFull);
    }
    for _ in 0..frames {
        match outlet.send(connection.poll_transmit(cx, largest)?) {
            Sent::All => {}
            kept_back => return Some(kept_back),
        }
    }
    connection.poll_transmit(cx, largest).map(|_not_yet| Sent::All)
}

/// Whether both sides have closed and all that was written is acknowledged, or an error ended it.
pub(crate) fn is_over(connection: &Connection) -> bool {
    matches!(connection.state(), TcpState::Closed | TcpState::TimeWait)
}

/// Wakes a task; if that panics, it is that task's affair.
pub(crate) fn wake(waker: Waker) {
    contain(|| waker.wake());
}

/// Wakes tasks, as [`wake`] does one.
pub(crate) fn contain(wake: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(wake)));
}

/// The endpoint's lock. Its fields are dropped in their order.
pub(crate) struct NetGuard<'a>(MutexGuard<'a, Net>, TellUnlocked);

impl Deref for NetGuard<'_> {
    type Target = Net;
    fn deref(&self) -> &Net {
        &self.0
    }
}

impl DerefMut for NetGuard<'_> {
    fn deref_mut(&mut self) -> &mut Net {
        &mut self.0
    }
}

impl Drop for NetGuard<'_> {
    fn drop(&mut self) {
        held::leave_net();
    }
}

/// Keeps a stack's device task running.
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.handles.fetch_add(1, Ordering::AcqRel);
        Self(shared)
    }
}

impl Deref for Handle {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.signal.raise();
        }
    }
}
