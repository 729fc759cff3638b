//! A device between a stack and its device: counts what leaves, and on request lets packets in one by one and shows
//! each.

use bytes::Bytes;
use carrick::device::{Capabilities, Checksum, Collected, Device, Inbox, Meta, Packet};
use carrick_wire::{IpView, SeqNum, TcpFlags, TcpView};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tokio::sync::Notify;

/// The device: whatever the other one can do, and is called, this one can do and is called.
pub(crate) struct Tapped<D> {
    device: D,
    tap: Tap,
}

/// What is seen and decided from outside.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was seen.
    seen: Notify,
}

#[derive(Default)]
struct State {
    sent: Sent,
    /// Where each stream of ours has got to, by both ends.
    ends: HashMap<(SocketAddr, SocketAddr), SeqNum>,
    /// Packets are let in one by one.
    stepping: bool,
    /// The next one may come in.
    admit: bool,
    held: VecDeque<(Bytes, Checksum, Option<u16>)>,
    seen: VecDeque<Segment>,
    /// The device task's.
    waker: Option<Waker>,
}

/// What has left.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sent {
    /// Packets on the wire; a super-segment stands for several.
    pub(crate) packets: u64,
    /// How many times the device was called for that.
    pub(crate) calls: u64,
    /// Segments that were there before, retransmissions and probes.
    pub(crate) again: u64,
}

/// A TCP segment that was seen.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) at: Instant,
    /// Our stack has sent it.
    pub(crate) ours: bool,
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) seq: SeqNum,
    pub(crate) ack: SeqNum,
    pub(crate) flags: TcpFlags,
    pub(crate) payload: usize,
}

impl<D: Device> Tapped<D> {
    pub(crate) fn new(device: D) -> (Self, Tap) {
        let tap = Tap::default();
        (Self { device, tap: tap.clone() }, tap)
    }
}

impl Tap {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has left so far.
    pub(crate) fn sent(&self) -> Sent {
        self.lock().sent
    }

    /// From now on nothing comes in but by [`next`](Self::next), or everything does again.
    pub(crate) fn step(&self, stepping: bool) {
        let mut state = self.lock();
        state.stepping = stepping;
        state.seen.clear();
        wake(&mut state);
    }

    /// A segment that has been seen and not been asked for yet.
    pub(crate) fn seen(&self) -> Option<Segment> {
        self.lock().seen.pop_front()
    }

    /// The next segment, either way. On a runtime with one thread the stack has done with it, for it has done with what its
    /// device brought before any other task runs.
    pub(crate) async fn next(&self) -> Segment {
        loop {
            {
                let mut state = self.lock();
                state.admit = state.seen.is_empty();
                if let Some(segment) = state.seen.pop_front() {
                    return segment;
                }
                wake(&mut state);
            }
            self.0.seen.notified().await;
        }
    }
}

fn wake(state: &mut State) {
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
}

impl<D: Device> Device for Tapped<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn description(&self) -> String {
        self.device.description()
    }

    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let mut state = self.tap.lock();
        if !state.stepping && state.held.is_empty() {
            drop(state);
            return self.device.poll_recv(cx, inbox);
        }
        if state.held.is_empty() {
            let mut arrived = Collected::default();
            match arrived.collect(|inbox| self.device.poll_recv(cx, inbox)) {
                Poll::Ready(Ok(())) => state.held.extend(arrived.frames),
                other => {
                    state.waker = Some(cx.waker().clone());
                    return other;
                }
            }
        }
        let segment = state.held.front().and_then(|(frame, ..)| segment(frame, 0, false));
        // What is no TCP passes at any time.
        if state.stepping && segment.is_some() && !std::mem::take(&mut state.admit) {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(segment) = segment.filter(|_| state.stepping) {
            state.seen.push_back(segment);
            self.tap.0.seen.notify_one();
        }
        let Some((frame, checksum, segment_size)) = state.held.pop_front() else {
            return Poll::Ready(Ok(()));
        };
        drop(state);
        let _ = inbox.received_frame(frame, Meta { checksum, segment_size, received_at: None });
        Poll::Ready(Ok(()))
    }

    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.device.send(packet)?;
        let payload = packet.payload_len();
        let mut state = self.tap.lock();
        state.sent.calls += 1;
        state.sent.packets +=
            packet.segment_size.map_or(1, |size| payload.div_ceil(size.get().into()) as u64);
        let Some(segment) = segment(packet.header, payload, true) else { return Ok(()) };
        let one = |flag| usize::from(segment.flags.contains(flag));
        let len = payload + one(TcpFlags::SYN) + one(TcpFlags::FIN);
        if len > 0 {
            let end = segment.seq + len as u32;
            let before = state.ends.insert((segment.src, segment.dst), end);
            let begins = segment.flags.contains(TcpFlags::SYN) && before != Some(end);
            if let Some(before) = before.filter(|before| segment.seq.before(*before) && !begins) {
                state.sent.again += 1;
                state.ends.insert((segment.src, segment.dst), before.max(end));
            }
        }
        if state.stepping {
            state.seen.push_back(segment);
            self.tap.0.seen.notify_one();
        }
        Ok(())
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }
}

/// The TCP segment in a packet, of which the last `following` bytes are elsewhere.
fn segment(packet: &[u8], following: usize, ours: bool) -> Option<Segment> {
    let ip = IpView::parse_head(packet, u16::try_from(following).ok()?).ok()?;
    if ip.protocol() != carrick_wire::Protocol::TCP {
        return None;
    }
    let tcp = TcpView::parse(ip.payload()).ok()?;
    Some(Segment {
        at: Instant::now(),
        ours,
        src: SocketAddr::new(ip.src(), tcp.src_port()),
        dst: SocketAddr::new(ip.dst(), tcp.dst_port()),
        seq: tcp.seq(),
        ack: tcp.ack(),
        flags: tcp.flags(),
        payload: tcp.payload().len() + following,
    })
}
