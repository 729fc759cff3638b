//! The task that moves packets between a bad link and the device behind it.

use super::timer::Timer;
use super::wire::{header_len, unfinished, unpacked};
use super::{Next, Ways};
use crate::device::{Buffers, Device, Inbox, Meta, Packet, Sink};
use bytes::Bytes;
use carrick_core::Instant;
use carrick_sim::Packet as Carried;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Most frames that are read, and most packets that are sent, before others run.
const PER_TURN: usize = 64;

pub(super) struct Carrier {
    device: Box<dyn Device>,
    /// Whether the device completes checksums.
    completes: bool,
    ways: Arc<Ways>,
    buffers: Buffers,
    timer: Timer,
    /// It has arrived, and the device had no room.
    stuck: Option<Bytes>,
}

impl Carrier {
    pub(super) fn new(device: Box<dyn Device>, ways: Arc<Ways>) -> Self {
        let completes = device.capabilities().completes_checksums;
        Self { device, completes, ways, buffers: Buffers::default(), timer: Timer::default(), stuck: None }
    }

    /// Lets what the device has received set out. True if there may be more.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut entry = Entry { ways: &self.ways, now: self.ways.now(), left: PER_TURN };
        while entry.left > 0 {
            let mut inbox = Inbox::new(&mut self.buffers, &mut entry).merging(false);
            let received = self.device.poll_recv(cx, &mut inbox);
            let _ = inbox.flush();
            match received {
                Poll::Pending => return Ok(false),
                Poll::Ready(result) => result?,
            }
            // A device that says Ready and delivers nothing must not hold us.
            entry.left = entry.left.saturating_sub(1);
        }
        Ok(true)
    }

    /// Hands what has arrived to the device. Ready when nothing will arrive any more.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut now = self.ways.now();
        for _ in 0..PER_TURN {
            let packet = match self.stuck.take() {
                Some(packet) => packet,
                None => match self.ways.outward.next(now, cx.waker()) {
                    Next::Arrived(_, Carried { bytes, .. }) if self.completes => match unfinished(bytes) {
                        Some(packet) => packet,
                        None => {
                            self.ways.outward.note_refused();
                            continue;
                        }
                    },
                    Next::Arrived(_, Carried { bytes, .. }) => bytes,
                    Next::Nothing => return Poll::Pending,
                    Next::Ended => return Poll::Ready(Ok(())),
                    Next::Due(at) => {
                        ready!(self.timer.poll_until(self.ways.tokio_instant(at), cx));
                        now = self.ways.now();
                        continue;
                    }
                },
            };
            let (header, payload) = packet.split_at(header_len(&packet));
            let parts = [payload];
            let parts = if payload.is_empty() { &[][..] } else { &parts };
            match self.device.send(&Packet::new(header, parts, None)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.stuck = Some(packet),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stuck = Some(packet);
                    if self.device.poll_send_ready(cx)?.is_pending() {
                        // Whoever has let go of the link does not wait for a device that may never have room.
                        let ended = self.ways.outward.has_ended(cx.waker());
                        return if ended { Poll::Ready(Ok(())) } else { Poll::Pending };
                    }
                }
                Err(_) => self.ways.outward.note_refused(),
                Ok(()) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Future for Carrier {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let received = if self.ways.outward.has_ended(cx.waker()) { Ok(false) } else { self.receive(cx) };
        if let Ok(true) = received {
            cx.waker().wake_by_ref();
        }
        let error = match received {
            Err(error) => Some(error),
            Ok(_) => ready!(self.send(cx)).err(),
        };
        self.ways.inward.end(error);
        Poll::Ready(())
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        // Where the runtime has ended, or the device has panicked.
        self.ways.inward.end(None);
        self.ways.outward.abandon();
    }
}

/// Where received frames set out.
struct Entry<'a> {
    ways: &'a Ways,
    now: Instant,
    left: usize,
}

impl Sink for Entry<'_> {
    fn borrowed(&mut self, frame: &[u8], meta: Meta) -> ControlFlow<()> {
        let at = meta.received_at.map_or(self.now, |at| self.ways.instant(at));
        unpacked(frame, &meta, |packet| self.ways.send_inward(at, Carried::new(packet)));
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn shared(&mut self, frame: &Bytes, _pinned: usize, meta: Meta) -> ControlFlow<()> {
        self.borrowed(frame, meta)
    }

    fn in_parts(&mut self, head: &[u8], parts: &[Bytes], _pinned: usize, meta: Meta) -> ControlFlow<()> {
        let parts = parts.iter().map(|part| &part[..]);
        let whole: Vec<&[u8]> = std::iter::once(head).chain(parts).collect();
        self.borrowed(&whole.concat(), meta)
    }

    fn refused(&mut self) -> ControlFlow<()> {
        self.ways.inward.note_refused();
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn merged(&mut self, _packets: usize) {}
}
