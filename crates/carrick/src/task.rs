//! The device task: reads packets, serves connections that had to wait, expires timers, sleeps.
//!
//! Each turn does a bounded amount of work and then lets others run. A turn reads the device first and
//! expires timers after it: an acknowledgement that waits in the device's queue must beat the retransmission
//! timer that it stops. Only a device that never runs dry cannot put timers off for longer than
//! [`MOST_LATE`].
//!
//! Where packets come one at a time and there is but one worker, most turns are cut down to *visits*: a visit takes one
//! packet and lets those run whom it has woken, before the device is asked for more. Their answer leaves earlier by
//! what the rest of a turn takes; and if it draws the next packet at once, there is no asking in vain. A deadline, or
//! whoever has raised the signal, gets a turn.

use crate::cell::Cell;
use crate::device::{Buffers, Inbox, Meta, Popped, Queued, Sink};
use crate::error::Failure;
use crate::held;
use crate::outlet::{Outlet, Sent};
use crate::shared::{FRAMES_PER_HOLD, FRAMES_WHEN_SERVED, Net, Shared, contain, wake};
use crate::watch::{self, Ends, tells};
use bytes::Bytes;
use carrick_core::{
    Connection, Cx, DiscardReason, Dispatch, Endpoint, Frame, Input, Instant, MAX_CHUNK, Outcome, Pressure,
};
use std::future::Future;
use std::io;
use std::iter;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Sleep;
use tracing::Level;
use tracing::field::display;

/// Most packets and bytes that one turn reads from the device, and as much again that a stack sent to itself.
const FRAMES_PER_TURN: usize = 64;
const BYTES_PER_TURN: usize = 256 << 10;
/// After so many packets the connections they touched are settled.
const FRAMES_PER_SETTLING: usize = 16;
/// After a turn that brought no more than this, in packets of so much text at least, nothing is put off or merged: who
/// sends it hears of every second segment.
const FEW_FRAMES: usize = 16;
const FEW_BYTES: usize = 32 << 10;
const LEAST_TEXT: usize = 512;
/// How many packets that come one at a time are taken by visits before a turn looks whether they still do.
const VISITS: usize = 16;
/// Most waiting connections that one turn serves, one packet each, and most timers that it expires.
const SERVED_PER_TURN: usize = 64;
const EXPIRED_PER_TURN: usize = 256;
/// Most connections that one turn tells of a changed MTU.
const TOLD_PER_TURN: usize = 256;
/// Most replies of the endpoint that leave in one turn.
const REPLIES_PER_TURN: usize = 64;
/// At most once in so long there is a warning that connections are turned away.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);
/// How late timers may be when the device never runs dry.
const MOST_LATE: Duration = Duration::from_millis(20);

pub(crate) struct DeviceTask {
    shared: Arc<Shared>,
    buffers: Buffers,
    batch: Batch,
    sleep: Pin<Box<Sleep>>,
    /// When `sleep` ends; never if it is not set.
    sleep_ends: Instant,
    /// The device had no room, and has not said yet that there is some.
    blocked: bool,
    /// When the last turn wanted another.
    until: Instant,
    /// Connections are to be told of the paths of others.
    mtu_changes: bool,
    /// So many more packets may be taken by visits.
    visits: usize,
    /// The last turn that brought anything brought little, and text.
    few: bool,
    /// Whether the runtime has one worker, so that nobody else runs what is ready.
    alone: bool,
    /// What has been told of memory, and when.
    pressure: (Pressure, Instant),
    /// When there was a warning of an outage.
    outage_told: Option<tokio::time::Instant>,
}

/// What is remembered between packets and settling.
#[derive(Default)]
struct Batch {
    touched: Vec<Arc<Cell>>,
    /// Of packets that went to connections, to be told to the endpoint.
    outcomes: Vec<Outcome>,
    /// Handshakes for which there was no room, and when there was a warning.
    turned_away: (u64, Option<Instant>),
}

impl Batch {
    /// There was no room for a handshake. Warns at most once in a while.
    #[cold]
    fn turned_away(&mut self, shared: &Shared, now: Instant, frame: Frame<'_>) {
        let (count, warned) = &mut self.turned_away;
        *count += 1;
        if warned.is_some_and(|at| now < at + BETWEEN_WARNINGS) || !tells(Level::WARN) {
            return;
        }
        *warned = Some(now);
        let (count, Ends { src, dst }) = (std::mem::take(count), Ends::of(frame.head(), 0));
        shared.watch().later(move || {
            let (local, remote) = (dst.map(display), src.map(display));
            tracing::warn!(
                target: "carrick::stack", local, remote, count, "no room for more connections"
            );
        });
    }

    fn tell_outcomes(&mut self, net: &mut Net) {
        self.outcomes.drain(..).for_each(|outcome| net.endpoint.record_outcome(outcome));
    }
}

impl DeviceTask {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            buffers: Buffers::default(),
            batch: Batch::default(),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            sleep_ends: Instant::NEVER,
            blocked: false,
            until: Instant::ZERO,
            mtu_changes: false,
            visits: 0,
            few: false,
            alone: Handle::current().metrics().num_workers() == 1,
            pressure: (Pressure::None, Instant::ZERO),
            outage_told: None,
        }
    }

    /// A visit where that is enough, else a turn. Ready when the stack has nothing more to do for good.
    fn visit_or_turn(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Failure> {
        let began = self.shared.now();
        let mut received = Received::default();
        if self.visits > 0 && began < self.until && !self.shared.signal.is_raised() {
            self.visits -= 1;
            let mut share = Share { frames: 1, ..Share::default() };
            received = self.read(cx, &mut share, Some(began)).map_err(|error| Failure::device(&error))?;
            if received.woke && !received.raised {
                // Whoever looks at the counters now finds the packet there.
                self.batch.tell_outcomes(&mut self.shared.net(&self.shared.cx(began)));
                // In the queue of those who are ready they are before us.
                cx.waker().wake_by_ref();
                return Ok(Poll::Pending);
            }
        }
        self.turn(cx, began, received)
    }

    /// One turn. Ready when the stack has nothing more to do for good.
    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        began: Instant,
        received: Received,
    ) -> Result<Poll<()>, Failure> {
        // From here on nobody needs to wake us for a deadline; raises are seen at the end.
        self.shared.signal.lower();
        self.shared.work().sleeping_until = Instant::ZERO;

        let Received { dry, frames, .. } =
            self.receive(cx, began, received).map_err(|error| Failure::device(&error))?;
        let mut more = !dry;
        more |= self.expire(began, dry);
        if self.mtu_changes {
            more |= self.tell_mtu(began);
        }
        self.shared.reclaim();
        more |= self.serve(cx).map_err(|error| Failure::device(&error))?;
        if self.is_over() {
            self.say_the_rest();
            return Ok(Poll::Ready(()));
        }

        self.shared.signal.register(cx.waker());
        more |= self.serve_endpoint(began, dry);
        let shared = &*self.shared;
        if shared.outlet.outages.are_any()
            && let Some(at) =
                shared.outlet.outages.look(shared.outage_limit, &mut self.outage_told, shared.watch())?
        {
            self.until = self.until.min(shared.instant(at));
        }
        watch::tell();
        self.visits = match frames {
            _ if more || self.blocked => 0,
            0 => self.visits,
            1 if self.alone => VISITS,
            _ => 0,
        };
        if more || self.shared.signal.is_raised() || self.until <= began || !self.sleep_until(self.until, cx)
        {
            cx.waker().wake_by_ref();
        }
        Ok(Poll::Pending)
    }

    /// Reads the device once, and settles whom that concerned.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        share: &mut Share,
        now: Option<Instant>,
    ) -> io::Result<Received> {
        let Self { shared, buffers, batch, few, .. } = self;
        let before = share.frames;
        let mut handler = Handler::new(shared, batch, share, now);
        if *few {
            handler.per_settling = 1;
        }
        // A visit takes one packet, not one and whatever follows it.
        let merges = before > 1 && !*few && !shared.outlet.captures.are_any();
        let mut inbox = Inbox::new(buffers, &mut handler).merging(merges);
        let result = shared.outlet.device.poll_recv(cx, &mut inbox);
        // What waits for more to come has waited long enough.
        let _ = inbox.flush();
        handler.settle();
        let Handler { woke, raised, .. } = handler;
        let dry = result.is_pending();
        if let Poll::Ready(result) = result {
            result?;
        }
        Ok(Received { dry, frames: before - share.frames, woke, raised })
    }

    /// Reads until the device has no more or the turn's share is used up. What `received` says has been done.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        began: Instant,
        mut received: Received,
    ) -> io::Result<Received> {
        let mut now = Some(began).filter(|_| received.frames == 0);
        let mut share = Share::default();
        while !received.dry && share.is_left() {
            let read = self.read(cx, &mut share, now.take())?;
            received.dry = read.dry;
            received.frames += read.frames;
            // A device that says Ready and delivers nothing must not hold us.
            share.frames = share.frames.saturating_sub(1);
        }
        let (frames, bytes) = (received.frames, BYTES_PER_TURN.saturating_sub(share.bytes));
        if bytes > 0 {
            let text = frames.saturating_mul(LEAST_TEXT);
            self.few = frames <= FEW_FRAMES && (text..=FEW_BYTES).contains(&bytes);
        }
        let Self { shared, batch, .. } = self;
        // Its own share: a device with ever more to read must not keep a stack from talking to itself.
        let mut share = Share::default();
        let mut own_dry = false;
        while !own_dry && share.is_left() {
            let mut handler = Handler::new(shared, batch, &mut share, None);
            loop {
                match shared.outlet.own_ring.pop(Some(cx.waker())) {
                    Popped::Packet(Queued { head, parts, len, checksum, segment_size }) => {
                        let meta = Meta { checksum, segment_size, received_at: None };
                        handler.spend(len);
                        let frame = Frame::in_parts(&head, &parts, MAX_CHUNK);
                        if handler.frame(frame.looped(), meta).is_break() {
                            break;
                        }
                    }
                    Popped::Empty | Popped::Closed => {
                        own_dry = true;
                        break;
                    }
                }
            }
            handler.settle();
        }
        received.dry &= own_dry;
        Ok(received)
    }

    /// Expires timers that were due when the turn began. True if some are left.
    fn expire(&mut self, began: Instant, dry: bool) -> bool {
        let shared = &*self.shared;
        let cx = shared.cx(began);
        for _ in 0..EXPIRED_PER_TURN {
            let id = {
                let mut work = shared.work();
                match work.deadlines.next() {
                    Some(due) if !may_wait(due, began, dry) => work.deadlines.pop_due(began),
                    _ => None,
                }
            };
            let Some(id) = id else { return false };
            let cell = shared.net(&cx).cell(id).cloned();
            let Some(cell) = cell else { continue };
            let settled = {
                let mut state = cell.lock();
                state.armed = Instant::NEVER;
                state.run(|connection| {
                    if connection.poll_timeout().is_some_and(|due| due <= began) {
                        let before = connection.timeouts();
                        connection.handle_timeout(&cx);
                        if connection.timeouts() > before && tells(Level::DEBUG) {
                            tell_timeout(shared, connection);
                        }
                    }
                });
                shared.settle(&cell, &mut state, &cx, FRAMES_PER_HOLD)
            };
            let _we_are_awake = shared.apply(settled, &cx);
        }
        true
    }

    /// Tells connections what others have found of their path. True if some are left.
    fn tell_mtu(&self, began: Instant) -> bool {
        let shared = &*self.shared;
        let cx = shared.cx(began);
        for _ in 0..TOLD_PER_TURN {
            let (cell, change) = {
                let mut net = shared.net(&cx);
                let Some((id, change)) = net.endpoint.poll_mtu_change() else {
                    // The rest of the table is looked at in other turns.
                    return net.endpoint.has_mtu_changes();
                };
                (net.cell(id).cloned(), change)
            };
            let Some(cell) = cell else { continue };
            let settled = {
                let mut state = cell.lock();
                state.run(|connection| connection.handle_mtu_change(&cx, change));
                shared.settle(&cell, &mut state, &cx, FRAMES_PER_HOLD)
            };
            let _we_are_awake = shared.apply(settled, &cx);
        }
        true
    }

    /// Tells of a change of what memory is left, at most once a second while it is scarce.
    #[cold]
    fn pressure_changed(&mut self, cx: &Cx) {
        let now = cx.memory.pressure;
        let (before, since) = self.pressure;
        if before != Pressure::None && cx.now < since + Duration::from_secs(1) {
            return;
        }
        self.pressure = (now, cx.now);
        let (used, watch) = (self.shared.memory_used(), self.shared.watch());
        if now >= Pressure::High && tells(Level::WARN) {
            watch.later(move || {
                tracing::warn!(target: "carrick::stack", used, pressure = ?now, "memory is scarce");
            });
        } else if tells(Level::DEBUG) {
            watch.later(move || tracing::debug!(target: "carrick::stack", used, pressure = ?now, "memory"));
        }
    }

    /// Expires the endpoint's timers and sends its own packets, of which it queues a bounded number. True if there is
    /// more to do at once; else `until` says when. From here on whoever arms an earlier deadline raises the signal.
    fn serve_endpoint(&mut self, began: Instant, dry: bool) -> bool {
        let cx = self.shared.cx(began);
        if cx.memory.pressure != self.pressure.0 {
            self.pressure_changed(&cx);
        }
        let Self { shared, batch, .. } = self;
        let mut net = shared.net(&cx);
        batch.tell_outcomes(&mut net);
        if net.endpoint.poll_timeout().is_some_and(|due| due <= began && !may_wait(due, began, dry)) {
            net.endpoint.handle_timeout(&cx);
        }
        let told = net.tell_requests();
        let mut more = false;
        if !self.blocked {
            let kept_back = reply(&shared.outlet, &mut net.endpoint, &cx, REPLIES_PER_TURN);
            // The next turn asks a device without room to tell us when it has some.
            self.blocked = kept_back == Some(Sent::DeviceFull);
            more = kept_back.is_some();
        }
        self.mtu_changes = net.endpoint.has_mtu_changes();
        more |= self.mtu_changes;
        let mut work = shared.work();
        let of_endpoint = net.endpoint.poll_timeout().unwrap_or(Instant::NEVER);
        let of_connections = work.deadlines.next().unwrap_or(Instant::NEVER);
        work.sleeping_until = of_endpoint.min(of_connections);
        self.until = work.sleeping_until;
        drop(work);
        drop(net);
        told.wake();
        more
    }

    /// Resets of half-open connections, more perhaps than a turn sends, or than the endpoint queues at a time.
    fn say_the_rest(&mut self) {
        let Self { shared, batch, blocked, .. } = self;
        loop {
            let cx = shared.cx(shared.now());
            let mut net = shared.net(&cx);
            batch.tell_outcomes(&mut net);
            if *blocked
                || reply(&shared.outlet, &mut net.endpoint, &cx, usize::MAX).is_some()
                || net.endpoint.poll_timeout().is_none_or(|due| due > cx.now)
            {
                return;
            }
            net.endpoint.handle_timeout(&cx);
        }
    }

    /// Gives waiting connections a packet each. True if some are left that the device may have room for.
    fn serve(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let shared = &*self.shared;
        let mut core_cx = None;
        for _ in 0..SERVED_PER_TURN {
            if self.blocked {
                match shared.outlet.device.poll_send_ready(cx)? {
                    Poll::Pending => return Ok(false),
                    // The endpoint's replies wait too.
                    Poll::Ready(()) => {
                        self.blocked = false;
                        return Ok(true);
                    }
                }
            }
            let cell = {
                let mut work = shared.work();
                if work.unsent.is_empty() {
                    shared.outlet.clear_congestion();
                }
                work.unsent.pop_front()
            };
            let Some(cell) = cell else {
                shared.outlet.outages.nothing_waits(shared.watch());
                return Ok(false);
            };
            let core_cx = core_cx.get_or_insert_with(|| shared.cx(shared.now()));
            let settled = {
                let mut state = cell.lock();
                state.queued = false;
                shared.settle(&cell, &mut state, core_cx, FRAMES_WHEN_SERVED)
            };
            match settled.kept_back {
                Some(Sent::DeviceFull) => self.blocked = true,
                Some(Sent::OwnRingFull) => {
                    let _we_are_awake = shared.apply(settled, core_cx);
                    return Ok(true);
                }
                Some(Sent::All) | None => {}
            }
            let _we_are_awake = shared.apply(settled, core_cx);
        }
        Ok(true)
    }

    fn is_over(&self) -> bool {
        let shared = &*self.shared;
        if shared.failure().is_some() {
            return true;
        }
        shared.may_end() && {
            let net = shared.net(&shared.cx(shared.now()));
            // Whoever closes the stack ends its listeners one after the other, on another thread perhaps.
            net.live == 0 && net.listeners.is_empty() && shared.work().unsent.is_empty()
        }
    }

    /// Sees to it that we are woken at `until`. False if that has come already.
    ///
    /// A sleep that ends earlier is left to end: a wake-up too many now and then is cheaper than moving the
    /// timer with every acknowledgement.
    fn sleep_until(&mut self, until: Instant, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.shared.tokio_instant(until) else { return true };
        if until < self.sleep_ends {
            self.sleep_ends = until;
            self.sleep.as_mut().reset(at);
        }
        if self.sleep.as_mut().poll(cx).is_pending() {
            return true;
        }
        self.sleep_ends = Instant::NEVER;
        false
    }
}

#[cold]
fn tell_timeout(shared: &Shared, connection: &Connection) {
    let (local, remote) = (connection.local_addr(), connection.remote_addr());
    let (state, timeouts) = (connection.state(), connection.timeouts());
    let rto = connection.tcp_info().map(|info| info.rto);
    shared.watch().later(move || {
        let rto = rto.map(tracing::field::debug);
        tracing::debug!(target: "carrick::connection", %local, %remote, %state, timeouts, rto, "timeout");
    });
}

/// Whether a timer that is due may wait until the device is dry.
fn may_wait(due: Instant, began: Instant, dry: bool) -> bool {
    !dry && due + MOST_LATE > began
}

/// Sends at most so many of the endpoint's own packets, and says what kept back the rest, if there may be a rest.
fn reply(outlet: &Outlet, endpoint: &mut Endpoint, cx: &Cx, at_most: usize) -> Option<Sent> {
    for _ in 0..at_most {
        match outlet.send(endpoint.poll_transmit(cx)?) {
            Sent::All => {}
            kept_back => return Some(kept_back),
        }
    }
    Some(Sent::All)
}

impl Future for DeviceTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.visit_or_turn(cx) {
            Ok(poll) => poll,
            Err(failure) => {
                self.shared.fail(failure);
                Poll::Ready(())
            }
        }
    }
}

impl Drop for DeviceTask {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        self.shared.end(if panicked { Failure::Panicked } else { Failure::Ended });
    }
}

/// What came of reading the device.
#[derive(Clone, Copy, Default)]
struct Received {
    /// It has no more.
    dry: bool,
    frames: usize,
    /// Somebody was woken who may have an answer.
    woke: bool,
    /// There is something else to do for us.
    raised: bool,
}

/// What is left of a turn's share.
struct Share {
    frames: usize,
    bytes: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { frames: FRAMES_PER_TURN, bytes: BYTES_PER_TURN }
    }
}

impl Share {
    fn is_left(&self) -> bool {
        self.frames > 0 && self.bytes > 0
    }
}

/// Handles packets as they are read.
struct Handler<'a> {
    shared: &'a Shared,
    batch: &'a mut Batch,
    share: &'a mut Share,
    /// When the batch was read, once something has been.
    now: Option<Instant>,
    since_settling: usize,
    per_settling: usize,
    woke: bool,
    raised: bool,
}

impl<'a> Handler<'a> {
    fn new(shared: &'a Shared, batch: &'a mut Batch, share: &'a mut Share, now: Option<Instant>) -> Self {
        let per_settling = FRAMES_PER_SETTLING;
        Self { now, shared, batch, share, since_settling: 0, per_settling, woke: false, raised: false }
    }

    fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(|| self.shared.now())
    }

    fn spend(&mut self, len: usize) {
        self.share.bytes = self.share.bytes.saturating_sub(len);
    }

    fn frame(&mut self, frame: Frame<'_>, meta: Meta) -> ControlFlow<()> {
        if tells(Level::TRACE) {
            self.shared.watch().packet("received", frame.head(), frame.following());
            watch::tell();
        }
        let now = match meta.received_at {
            Some(at) => self.shared.instant(at),
            None => self.now(),
        };
        let cx = self.shared.cx(now);
        let frame = frame.with_checksum(meta.checksum).with_segment_size(meta.segment_size);
        // A connection that has ended, or gives way, hands its segment back. It is gone from the endpoint's table by
        // the time we look again, so twice is enough. If the whole stack has failed it is not, but then nothing
        // matters any more.
        if !self.dispatch(&cx, frame) {
            self.dispatch(&cx, frame.again());
        }
        self.since_settling += 1;
        if self.since_settling >= self.per_settling {
            self.settle();
        }
        self.share.frames = self.share.frames.saturating_sub(1);
        if self.share.is_left() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Finds out whose the packet is, and gives it to them. False if they have ended meanwhile, or have given way.
    fn dispatch(&mut self, cx: &Cx, frame: Frame<'_>) -> bool {
        let mut net = self.shared.net(cx);
        self.batch.tell_outcomes(&mut net);
        match net.endpoint.handle_frame(cx, frame) {
            Dispatch::Existing(id, input) => {
                let touched = self.batch.touched.iter().rposition(|cell| cell.id == id);
                let cell = match touched {
                    Some(place) => &self.batch.touched[place],
                    None => match net.cell(id).cloned() {
                        Some(cell) => self.batch.touched.push_mut(cell),
                        None => {
                            net.endpoint.record_outcome(Outcome::Discarded(DiscardReason::Gone));
                            return true;
                        }
                    },
                };
                drop(net);
                let outcome = self.shared.handle_input(cell, cx, input);
                tell_outcome(self.shared, frame, outcome);
                let taken = outcome.is_some_and(|outcome| outcome != Outcome::HandedBack);
                if outcome == Some(Outcome::HandedBack) {
                    // It gives way to a new incarnation, once the endpoint has heard of it.
                    let cell = Arc::clone(cell);
                    self.settle_one(&cell, cx);
                }
                self.batch.outcomes.push(outcome.unwrap_or(Outcome::Discarded(DiscardReason::Gone)));
                taken
            }
            Dispatch::Opened(listener, id, connection, segment) => {
                let listening = net.listener(listener).cloned();
                let requests = listening.as_ref().and_then(|listening| listening.requests.as_ref());
                // Somebody waits for this one, or did; it takes no place in the backlog.
                let held = requests.map(|requests| requests.opened(connection.tuple()));
                if held.is_some() {
                    net.endpoint.accepted(listener);
                }
                let cell = net.insert(id, connection);
                drop(net);
                let outcome = self.shared.handle_input(&cell, cx, Input::Segment(segment));
                tell_outcome(self.shared, frame, outcome);
                self.batch.outcomes.push(outcome.unwrap_or(Outcome::Discarded(DiscardReason::Gone)));
                self.batch.touched.push(Arc::clone(&cell));
                let refused = match (held, &listening) {
                    (Some(Some(held)), _) => match held.end(held::Outcome::Opened(cell)) {
                        Err(held::Outcome::Opened(cell)) => Some(cell),
                        _ => None,
                    },
                    (None, Some(listening)) => match listening.queue.push(cell) {
                        Ok(waker) => {
                            waker.into_iter().for_each(wake);
                            contain(|| listening.notify.notify_one());
                            None
                        }
                        Err(cell) => Some(cell),
                    },
                    (Some(None) | None, _) => Some(cell),
                };
                // The listener, or whoever waited, ended between the two steps.
                if let Some(cell) = refused {
                    self.shared.release(&cell, Connection::abort);
                }
                true
            }
            Dispatch::Reassembled(whole) => {
                drop(net);
                let frame = || Frame::shared(&whole, whole.len());
                if !self.dispatch(cx, frame()) {
                    self.dispatch(cx, frame().again());
                }
                true
            }
            done @ (Dispatch::Answered | Dispatch::Held | Dispatch::Discard(_)) => {
                let told = net.tell_requests();
                drop(net);
                told.wake();
                if let Dispatch::Discard(reason) = done {
                    if reason == DiscardReason::NoRoom {
                        self.batch.turned_away(self.shared, cx.now, frame);
                    }
                    if tells(Level::DEBUG) {
                        discarded(self.shared, frame, reason);
                    }
                }
                true
            }
        }
    }

    /// Settles every connection that was touched since the last time.
    fn settle(&mut self) {
        self.since_settling = 0;
        if self.batch.touched.is_empty() {
            return;
        }
        let cx = self.shared.cx(self.now());
        let mut touched = std::mem::take(&mut self.batch.touched);
        for cell in touched.drain(..) {
            self.settle_one(&cell, &cx);
        }
        self.batch.touched = touched;
    }

    fn settle_one(&mut self, cell: &Arc<Cell>, cx: &Cx) {
        let settled = {
            let mut state = cell.lock();
            self.shared.settle(cell, &mut state, cx, FRAMES_PER_HOLD)
        };
        self.woke |= settled.wakes();
        self.raised |= self.shared.apply(settled, cx);
    }
}

/// Tells what a connection has dropped; under no lock.
#[inline]
fn tell_outcome(shared: &Shared, frame: Frame<'_>, outcome: Option<Outcome>) {
    if let Some(Outcome::Answered(reason) | Outcome::Discarded(reason)) = outcome
        && tells(Level::DEBUG)
    {
        discarded(shared, frame, reason);
        watch::tell();
    }
}

/// Tells that a packet has been dropped, or answered without being used.
#[cold]
fn discarded(shared: &Shared, frame: Frame<'_>, reason: DiscardReason) {
    let Ends { src, dst } = Ends::of(frame.head(), frame.following());
    shared.watch().later(move || {
        let (src, dst, reason) = (src.map(display), dst.map(display), reason.name());
        tracing::debug!(target: "carrick::discard", reason, src, dst, "packet discarded");
    });
}

impl Sink for Handler<'_> {
    fn borrowed(&mut self, frame: &[u8], meta: Meta) -> ControlFlow<()> {
        self.spend(frame.len());
        self.shared.outlet.captures.received(frame, iter::empty());
        self.frame(Frame::new(frame), meta)
    }

    fn shared(&mut self, frame: &Bytes, pinned: usize, meta: Meta) -> ControlFlow<()> {
        self.spend(frame.len());
        self.shared.outlet.captures.received(frame, iter::empty());
        self.frame(Frame::shared(frame, pinned), meta)
    }

    fn in_parts(&mut self, head: &[u8], parts: &[Bytes], pinned: usize, meta: Meta) -> ControlFlow<()> {
        let len = parts.iter().fold(head.len(), |sum, part| sum.saturating_add(part.len()));
        self.spend(len);
        self.shared.outlet.captures.received(head, parts.iter().map(|part| &part[..]));
        self.frame(Frame::in_parts(head, parts, pinned), meta)
    }

    fn refused(&mut self) -> ControlFlow<()> {
        self.shared.device_refused.fetch_add(1, Ordering::Relaxed);
        self.share.frames = self.share.frames.saturating_sub(1);
        if self.share.is_left() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn merged(&mut self, packets: usize) {
        let more = packets.saturating_sub(1);
        self.shared.merged.fetch_add(more as u64, Ordering::Relaxed);
        self.share.frames = self.share.frames.saturating_sub(more);
    }
}
