//! The device task: reads packets, serves connections that had to wait, expires timers, sleeps.
//!
//! Each turn does a bounded amount of work and then lets others run. A turn reads the device first and
//! expires timers after it: an acknowledgement that waits in the device's queue must beat the retransmission
//! timer that it stops. Only a device that never runs dry cannot put timers off for longer than
//! [`MOST_LATE`].

use crate::cell::Cell;
use crate::device::{Buffers, Inbox, Meta, Popped, Queued, Sink};
use crate::error::Failure;
use crate::outlet::Sent;
use crate::shared::{FRAMES_PER_HOLD, FRAMES_WHEN_SERVED, Shared, contain, wake};
use bytes::Bytes;
use carrick_core::{Connection, Cx, DiscardReason, Dispatch, Frame, Input, Instant, MAX_CHUNK, Outcome};
use std::future::Future;
use std::io;
use std::iter;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// Most packets and bytes that one turn reads from the device, and as much again that a stack sent to itself.
const FRAMES_PER_TURN: usize = 64;
const BYTES_PER_TURN: usize = 256 << 10;
/// After so many packets the connections they touched are settled.
const FRAMES_PER_SETTLING: usize = 16;
/// Most waiting connections that one turn serves, one packet each, and most timers that it expires.
const SERVED_PER_TURN: usize = 64;
const EXPIRED_PER_TURN: usize = 256;
/// Most connections that one turn tells of a changed MTU.
const TOLD_PER_TURN: usize = 256;
/// Most replies of the endpoint that leave in one turn.
const REPLIES_PER_TURN: usize = 64;
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
}

/// What is remembered between packets and settling.
#[derive(Default)]
struct Batch {
    touched: Vec<Arc<Cell>>,
    /// Of packets that went to connections, to be told to the endpoint.
    outcomes: Vec<Outcome>,
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
        }
    }

    /// One turn. Ready when the stack has nothing more to do for good.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Failure> {
        // From here on nobody needs to wake us for a deadline; raises are seen at the end.
        self.shared.signal.lower();
        self.shared.work().sleeping_until = Instant::ZERO;
        let began = self.shared.now();

        let dry = self.receive(cx).map_err(|error| Failure::device(&error))?;
        let mut more = !dry;
        more |= self.expire(began, dry);
        more |= self.tell_mtu();
        self.shared.reclaim();
        more |= self.reply(REPLIES_PER_TURN);
        more |= self.serve(cx).map_err(|error| Failure::device(&error))?;
        if self.is_over() {
            self.say_the_rest();
            return Ok(Poll::Ready(()));
        }

        self.shared.signal.register(cx.waker());
        let until = self.deadline();
        if more || self.shared.signal.is_raised() || until <= began || !self.sleep_until(until, cx) {
            cx.waker().wake_by_ref();
        }
        Ok(Poll::Pending)
    }

    /// Reads until the device has no more (then true) or the turn's share is used up.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Self { shared, buffers, batch, .. } = self;
        let mut share = Share::default();
        let mut device_dry = false;
        while !device_dry && share.is_left() {
            let mut handler = Handler::new(shared, batch, &mut share);
            let mut inbox = Inbox::new(buffers, &mut handler).merging(!shared.outlet.captures.are_any());
            let received = shared.outlet.device.poll_recv(cx, &mut inbox);
            // What waits for more to come has waited long enough.
            let _ = inbox.flush();
            handler.settle();
            match received {
                Poll::Pending => device_dry = true,
                Poll::Ready(result) => {
                    // A device that says Ready and delivers nothing must not hold us.
                    share.frames = share.frames.saturating_sub(1);
                    result?;
                }
            }
        }
        // Its own share: a device with ever more to read must not keep a stack from talking to itself.
        let mut share = Share::default();
        let mut own_dry = false;
        while !own_dry && share.is_left() {
            let mut handler = Handler::new(shared, batch, &mut share);
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
        Ok(device_dry && own_dry)
    }

    /// Expires timers that were due when the turn began. True if some are left.
    fn expire(&mut self, began: Instant, dry: bool) -> bool {
        let shared = &*self.shared;
        let cx = shared.cx(began);
        let may_wait = |due: Instant| !dry && due + MOST_LATE > began;
        for _ in 0..EXPIRED_PER_TURN {
            let id = {
                let mut work = shared.work();
                match work.deadlines.next() {
                    Some(due) if !may_wait(due) => work.deadlines.pop_due(began),
                    _ => None,
                }
            };
            let Some(id) = id else {
                self.expire_endpoint(&cx, may_wait);
                return false;
            };
            let cell = shared.net(&cx).cell(id).cloned();
            let Some(cell) = cell else { continue };
            let settled = {
                let mut state = cell.lock();
                state.armed = Instant::NEVER;
                state.run(|connection| {
                    if connection.poll_timeout().is_some_and(|due| due <= began) {
                        connection.handle_timeout(&cx);
                    }
                });
                shared.settle(&cell, &mut state, &cx, FRAMES_PER_HOLD)
            };
            let _we_are_awake = shared.apply(settled, &cx);
        }
        true
    }

    /// Tells connections what others have found of their path. True if some are left.
    fn tell_mtu(&self) -> bool {
        let shared = &*self.shared;
        let cx = shared.cx(shared.now());
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

    fn expire_endpoint(&self, cx: &Cx, may_wait: impl Fn(Instant) -> bool) {
        let mut net = self.shared.net(cx);
        if net.endpoint.poll_timeout().is_some_and(|due| due <= cx.now && !may_wait(due)) {
            net.endpoint.handle_timeout(cx);
        }
    }

    /// Sends the endpoint's own packets, of which it queues a bounded number. True if some are left that the
    /// device may have room for.
    fn reply(&mut self, at_most: usize) -> bool {
        let shared = &*self.shared;
        let cx = shared.cx(shared.now());
        let mut net = shared.net(&cx);
        for outcome in self.batch.outcomes.drain(..) {
            net.endpoint.record_outcome(outcome);
        }
        if self.blocked {
            return false;
        }
        for _ in 0..at_most {
            let Some(transmit) = net.endpoint.poll_transmit(&cx) else { return false };
            match shared.outlet.send(transmit) {
                Sent::All => {}
                Sent::OwnRingFull => return true,
                Sent::DeviceFull => {
                    self.blocked = true;
                    return false;
                }
            }
        }
        true
    }

    /// Resets of half-open connections, more perhaps than a turn sends, or than the endpoint queues at a time.
    fn say_the_rest(&mut self) {
        while !self.reply(usize::MAX) && !self.blocked {
            let shared = &*self.shared;
            let cx = shared.cx(shared.now());
            let mut net = shared.net(&cx);
            if net.endpoint.poll_timeout().is_none_or(|due| due > cx.now) {
                return;
            }
            net.endpoint.handle_timeout(&cx);
        }
    }

    /// Gives waiting connections a packet each. True if some are left that the device may have room for.
    fn serve(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let shared = &*self.shared;
        let core_cx = shared.cx(shared.now());
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
            let Some(cell) = cell else { return Ok(false) };
            let settled = {
                let mut state = cell.lock();
                state.queued = false;
                shared.settle(&cell, &mut state, &core_cx, FRAMES_WHEN_SERVED)
            };
            match settled.kept_back {
                Some(Sent::DeviceFull) => self.blocked = true,
                Some(Sent::OwnRingFull) => {
                    let _we_are_awake = shared.apply(settled, &core_cx);
                    return Ok(true);
                }
                Some(Sent::All) | None => {}
            }
            let _we_are_awake = shared.apply(settled, &core_cx);
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

    /// When there is something to do next. From here on whoever arms an earlier deadline raises the signal.
    fn deadline(&self) -> Instant {
        let shared = &*self.shared;
        let net = shared.net(&shared.cx(shared.now()));
        let mut work = shared.work();
        let of_endpoint = net.endpoint.poll_timeout().unwrap_or(Instant::NEVER);
        let of_connections = work.deadlines.next().unwrap_or(Instant::NEVER);
        work.sleeping_until = of_endpoint.min(of_connections);
        work.sleeping_until
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

impl Future for DeviceTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.turn(cx) {
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
    /// When the batch was read.
    now: Instant,
    since_settling: usize,
}

impl<'a> Handler<'a> {
    fn new(shared: &'a Shared, batch: &'a mut Batch, share: &'a mut Share) -> Self {
        Self { now: shared.now(), shared, batch, share, since_settling: 0 }
    }

    fn spend(&mut self, len: usize) {
        self.share.bytes = self.share.bytes.saturating_sub(len);
    }

    fn frame(&mut self, frame: Frame<'_>, meta: Meta) -> ControlFlow<()> {
        let now = meta.received_at.map_or(self.now, |at| self.shared.instant(at));
        let cx = self.shared.cx(now);
        let frame = frame.with_checksum(meta.checksum).with_segment_size(meta.segment_size);
        // A connection that has ended, or gives way, hands its segment back. It is gone from the endpoint's table by the
        // time we look again, so twice is enough. If the whole stack has failed it is not, but then nothing
        // matters any more.
        if !self.dispatch(&cx, frame) {
            self.dispatch(&cx, frame);
        }
        self.since_settling += 1;
        if self.since_settling >= FRAMES_PER_SETTLING {
            self.settle();
        }
        self.share.frames = self.share.frames.saturating_sub(1);
        if self.share.is_left() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Finds out whose the packet is, and gives it to them. False if they have ended meanwhile, or have given way.
    fn dispatch(&mut self, cx: &Cx, frame: Frame<'_>) -> bool {
        let mut net = self.shared.net(cx);
        for outcome in self.batch.outcomes.drain(..) {
            net.endpoint.record_outcome(outcome);
        }
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
                let cell = net.insert(id, connection);
                let listening = net.listener(listener).cloned();
                drop(net);
                let outcome = self.shared.handle_input(&cell, cx, Input::Segment(segment));
                self.batch.outcomes.push(outcome.unwrap_or(Outcome::Discarded(DiscardReason::Gone)));
                self.batch.touched.push(Arc::clone(&cell));
                let refused = match &listening {
                    Some(listening) => match listening.queue.push(cell) {
                        Ok(waker) => {
                            waker.into_iter().for_each(wake);
                            contain(|| listening.notify.notify_one());
                            None
                        }
                        Err(cell) => Some(cell),
                    },
                    None => Some(cell),
                };
                // The listener ended between the two steps.
                if let Some(cell) = refused {
                    self.shared.release(&cell, Connection::abort);
                }
                true
            }
            Dispatch::Reassembled(whole) => {
                drop(net);
                let frame = || Frame::shared(&whole, whole.len());
                if !self.dispatch(cx, frame()) {
                    self.dispatch(cx, frame());
                }
                true
            }
            Dispatch::Answered | Dispatch::Held | Dispatch::Discard(_) => true,
        }
    }

    /// Settles every connection that was touched since the last time.
    fn settle(&mut self) {
        self.since_settling = 0;
        let cx = self.shared.cx(self.now);
        let mut touched = std::mem::take(&mut self.batch.touched);
        for cell in touched.drain(..) {
            self.settle_one(&cell, &cx);
        }
        self.batch.touched = touched;
    }

    fn settle_one(&self, cell: &Arc<Cell>, cx: &Cx) {
        let settled = {
            let mut state = cell.lock();
            self.shared.settle(cell, &mut state, cx, FRAMES_PER_HOLD)
        };
        let _we_are_awake = self.shared.apply(settled, cx);
    }
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
