//! The link between two devices: what one sends goes through an [`Impaired`] that is around the other.

use bytes::Bytes;
use carrick::device::impaired::Impaired;
use carrick::device::{Capabilities, Collected, Device, Inbox, Packet};
use carrick_benches::meter::{Arrived, Segment, Sent};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Instant;

/// Most packets that are moved before others run.
const PER_TURN: usize = 64;

/// What is seen at both ends of the link.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) sent: Sent,
    pub(crate) arrived: Arrived,
    trace: Option<Trace>,
}

#[derive(Debug)]
struct Trace {
    since: Instant,
    text: String,
}

impl Watch {
    pub(crate) fn new(tracing: bool) -> Arc<Mutex<Self>> {
        let trace = tracing.then(|| Trace { since: Instant::now(), text: "seconds,what,from,to\n".into() });
        Arc::new(Mutex::new(Self { trace, ..Self::default() }))
    }

    pub(crate) const fn is_tracing(&self) -> bool {
        self.trace.is_some()
    }

    /// All that was traced.
    pub(crate) fn take_trace(&mut self) -> Option<String> {
        self.trace.take().map(|trace| trace.text)
    }

    fn leaves(&mut self, packet: &[u8]) {
        let Some(segment) = Segment::of(packet) else { return };
        let before = self.sent.again;
        let place = self.sent.packet(segment);
        let what = if self.sent.again > before { "again" } else { "sent" };
        if let Some((from, to)) = place {
            self.note(what, from, to);
        }
    }

    fn answered(&mut self, packet: &[u8]) {
        if self.trace.is_some()
            && let Some(segment) = Segment::of(packet)
        {
            let to = self.sent.acknowledged(segment);
            self.note("ack", u64::from(segment.len), to);
        }
    }

    /// Something to remember, if there is a trace.
    pub(crate) fn note(&mut self, what: &str, from: u64, to: u64) {
        if let Some(Trace { since, text }) = &mut self.trace {
            let _ = writeln!(text, "{:.6},{what},{from},{to}", since.elapsed().as_secs_f64());
        }
    }
}

fn locked(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().expect("nobody panics holding it")
}

/// The receiver's device: looks at what comes out of the link.
pub(crate) struct Tap {
    pub(crate) device: Box<dyn Device>,
    pub(crate) watch: Arc<Mutex<Watch>>,
}

impl Device for Tap {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn description(&self) -> String {
        self.device.description()
    }

    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        self.device.poll_recv(cx, inbox)
    }

    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.device.send(packet)?;
        let whole = [&[packet.header], packet.payload].concat().concat();
        locked(&self.watch).arrived.packet(&whole);
        Ok(())
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }
}

/// Moves packets between the sender's device and the link, until one of them ends.
pub(crate) struct Splice {
    sender: Box<dyn Device>,
    link: Impaired,
    watch: Arc<Mutex<Watch>>,
    frames: Collected,
    /// They have come back, and the sender's device had no room.
    back: VecDeque<Bytes>,
}

impl Splice {
    pub(crate) fn new(sender: Box<dyn Device>, link: Impaired, watch: Arc<Mutex<Watch>>) -> Self {
        let mut frames = Collected::default();
        frames.limit = PER_TURN;
        Self { sender, link, watch, frames, back: VecDeque::new() }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Self { sender, link, watch, frames, back } = self;
        let there = frames.collect(|inbox| sender.poll_recv(cx, inbox));
        for (frame, ..) in frames.frames.drain(..) {
            locked(watch).leaves(&frame);
            link.send(&Packet::new(&frame, &[], None))?;
        }
        let mut more = there?.is_ready();
        if back.is_empty() {
            let here = frames.collect(|inbox| link.poll_recv(cx, inbox));
            back.extend(frames.frames.drain(..).map(|(frame, ..)| frame));
            more |= here?.is_ready();
        }
        while let Some(frame) = back.pop_front() {
            match sender.send(&Packet::new(&frame, &[], None)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    back.push_front(frame);
                    more |= sender.poll_send_ready(cx)?.is_ready();
                    break;
                }
                sent => sent?,
            }
            locked(watch).answered(&frame);
        }
        if more {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }
}

impl Future for Splice {
    type Output = io::Error;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self.turn(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error),
        }
    }
}
