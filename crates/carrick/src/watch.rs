//! What a stack tells `tracing`, and when.
//!
//! A subscriber is the application's code, so none runs under a lock of ours: what there is to tell is put aside on the
//! thread that has found it, and told as soon as that thread has given up its lock. Whether anybody listens is asked of
//! `tracing`'s greatest level alone, which is one look at a static; the subscriber's own filter is asked later, with
//! the event itself. What a subscriber does with a stack while it is told something is not told in turn.

use crate::shared::contain;
use carrick_wire::{IpView, Protocol, TcpView};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::{Level, Span};

/// Whom a stack's events belong to.
pub(crate) struct Watch {
    span: Span,
}

impl Watch {
    pub(crate) fn new(device: &str, addresses: &[IpAddr]) -> Arc<Self> {
        let span = tracing::info_span!(target: "carrick::stack", parent: None, "carrick", device, ?addresses);
        let watch = Arc::new(Self { span });
        if tells(Level::INFO) {
            watch.later(|| tracing::info!(target: "carrick::stack", "stack begins"));
            tell();
        }
        watch
    }

    /// Puts aside what is to be told, which happens in the stack's span. To be called only where [`tells`] says so.
    #[cold]
    pub(crate) fn later(self: &Arc<Self>, tell: impl FnOnce() + 'static) {
        if TELLING.get() {
            return;
        }
        let watch = Arc::clone(self);
        let put = |waiting: &RefCell<Vec<Box<dyn FnOnce()>>>| {
            waiting.borrow_mut().push(Box::new(move || watch.span.in_scope(tell)));
            WAITS.set(true);
        };
        // A thread on its way out has nobody to tell.
        let _ = WAITING.try_with(put);
    }

    /// A packet was received, or sent.
    #[cold]
    pub(crate) fn packet(self: &Arc<Self>, direction: &'static str, head: &[u8], following: usize) {
        let summary = Summary::of(head, following);
        self.later(move || {
            let Summary { ends: Ends { src, dst }, flags, seq, ack, window, payload } = summary;
            tracing::trace!(
                target: "carrick::packet",
                src = src.map(display),
                dst = dst.map(display),
                flags = flags.map(display),
                seq,
                ack,
                window,
                payload,
                "{direction}"
            );
        });
    }
}

/// Whether somebody may be listening for events of that level.
#[inline]
pub(crate) fn tells(level: Level) -> bool {
    level <= STATIC_MAX_LEVEL && level <= LevelFilter::current()
}

thread_local! {
    /// Whether there is something in `WAITING`: all that giving up a lock pays for while nobody listens.
    static WAITS: Cell<bool> = const { Cell::new(false) };
    static TELLING: Cell<bool> = const { Cell::new(false) };
    static WAITING: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// Tells what has been put aside on this thread. To be called under no lock.
#[inline]
pub(crate) fn tell() {
    if WAITS.get() {
        tell_all();
    }
}

#[cold]
fn tell_all() {
    if TELLING.replace(true) {
        return;
    }
    WAITS.set(false);
    let waiting = WAITING.try_with(RefCell::take).unwrap_or_default();
    // A subscriber that panics loses what it was told, and nobody else anything.
    waiting.into_iter().for_each(contain);
    TELLING.set(false);
}

/// Tells, when it is dropped: to be dropped after a lock.
pub(crate) struct TellUnlocked;

impl Drop for TellUnlocked {
    fn drop(&mut self) {
        tell();
    }
}

/// Source and destination of a packet; with ports where they are known.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) src: Option<End>,
    pub(crate) dst: Option<End>,
}

/// One end of a packet.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Host(IpAddr),
    Port(SocketAddr),
}

impl Ends {
    pub(crate) fn of(head: &[u8], following: usize) -> Self {
        Summary::of(head, following).ends
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => address.fmt(f),
            Self::Port(address) => address.fmt(f),
        }
    }
}

/// What is told of a packet.
struct Summary {
    ends: Ends,
    flags: Option<carrick_wire::TcpFlags>,
    seq: Option<u32>,
    ack: Option<u32>,
    window: Option<u16>,
    /// Bytes behind the IP header, or behind TCP's.
    payload: usize,
}

impl Summary {
    /// Of a packet of which `following` bytes are not in `head`.
    fn of(head: &[u8], following: usize) -> Self {
        let mut summary = Self {
            ends: Ends { src: None, dst: None },
            flags: None,
            seq: None,
            ack: None,
            window: None,
            payload: head.len() + following,
        };
        let Ok(packet) = IpView::parse_head(head, u16::try_from(following).unwrap_or(u16::MAX)) else {
            return summary;
        };
        summary.ends = Ends { src: Some(End::Host(packet.src())), dst: Some(End::Host(packet.dst())) };
        summary.payload = packet.payload_slice().len() + following;
        if packet.protocol() != Protocol::TCP || packet.fragment().is_some() {
            return summary;
        }
        let Ok(tcp) = TcpView::parse(packet.payload_slice()) else { return summary };
        summary.ends = Ends {
            src: Some(End::Port(SocketAddr::new(packet.src(), tcp.src_port()))),
            dst: Some(End::Port(SocketAddr::new(packet.dst(), tcp.dst_port()))),
        };
        summary.flags = Some(tcp.flags());
        summary.seq = Some(tcp.seq().get());
        summary.ack = Some(tcp.ack().get());
        summary.window = Some(tcp.window().get());
        summary.payload = tcp.payload_slice().len() + following;
        summary
    }
}
