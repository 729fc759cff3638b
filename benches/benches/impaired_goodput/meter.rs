//! What goes over the wire, by sequence numbers.

use carrick_wire::{IpView, Protocol, TcpFlags, TcpView};
use std::collections::BTreeMap;

/// A TCP packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) len: u32,
    pub(crate) syn: bool,
}

impl Segment {
    /// None of what is no TCP packet.
    pub(crate) fn of(packet: &[u8]) -> Option<Self> {
        let ip = IpView::parse(packet).ok()?;
        if ip.protocol() != Protocol::TCP || ip.fragment().is_some() {
            return None;
        }
        let tcp = TcpView::parse(ip.payload()).ok()?;
        Some(Self {
            seq: tcp.seq().get(),
            ack: tcp.ack().get(),
            len: u32::try_from(ip.payload().len() - tcp.header_len()).ok()?,
            syn: tcp.flags().intersects(TcpFlags::SYN),
        })
    }
}

/// Where packets are in their stream: numbers that do not wrap, from the first byte of text on.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The number of the first byte.
    start: Option<u32>,
    /// Where the last packet began.
    near: i64,
}

impl Stream {
    /// Where the text of a packet is; none of a packet without any.
    pub(crate) fn place(&mut self, segment: Segment) -> Option<(u64, u64)> {
        if segment.syn {
            self.start = Some(segment.seq.wrapping_add(1));
        }
        let start = self.start.filter(|_| segment.len > 0)?;
        self.near += i64::from(segment.seq.wrapping_sub(start).wrapping_sub(self.near as u32).cast_signed());
        let from = u64::try_from(self.near).ok()?;
        Some((from, from + u64::from(segment.len)))
    }
}

/// What has left the sender.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    stream: Stream,
    highest: u64,
    /// Bytes of text, each as often as it was sent.
    pub(crate) bytes: u64,
    /// Of those, what had been sent before.
    pub(crate) again: u64,
}

impl Sent {
    /// A packet leaves; where its text is.
    pub(crate) fn packet(&mut self, segment: Segment) -> Option<(u64, u64)> {
        let (from, to) = self.stream.place(segment)?;
        self.bytes += to - from;
        self.again += self.highest.min(to).saturating_sub(from);
        self.highest = self.highest.max(to);
        Some((from, to))
    }

    /// How many bytes a packet from the receiver acknowledges.
    pub(crate) fn acknowledged(&self, segment: Segment) -> u64 {
        let Some(start) = self.stream.start else { return 0 };
        let behind = start.wrapping_add(self.highest as u32).wrapping_sub(segment.ack);
        self.highest.saturating_sub(behind.into())
    }
}

/// What has come out of the link, on its way to the receiver.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    stream: Stream,
    /// The packet before.
    last: Vec<u8>,
    /// All bytes before `first` are there, and these.
    first: u64,
    later: BTreeMap<u64, u64>,
    highest: u64,
    /// Bytes that came though they were there, copies that the link had made apart.
    pub(crate) needless: u64,
    /// As many besides, which ended where the stream did: probes for a lost tail.
    pub(crate) needless_probes: u64,
    /// Packets that the link had made two of.
    pub(crate) copies: u64,
}

impl Arrived {
    pub(crate) fn packet(&mut self, packet: &[u8]) {
        let Some((from, to)) = Segment::of(packet).and_then(|segment| self.stream.place(segment)) else {
            return;
        };
        let had = to - from - self.insert(from, to);
        // The link's copy comes right behind the packet and is the same, its timestamp and all.
        if self.last == packet {
            self.copies += 1;
        } else if to == self.highest {
            self.needless_probes += had;
        } else {
            self.needless += had;
        }
        self.highest = self.highest.max(to);
        packet.clone_into(&mut self.last);
    }

    /// How many bytes were not there before.
    fn insert(&mut self, from: u64, to: u64) -> u64 {
        let from = from.max(self.first);
        if from >= to {
            return 0;
        }
        let (mut begin, mut end, mut there) = (from, to, 0);
        // What touches it becomes part of it.
        while let Some((&left, &right)) =
            self.later.range(..=to).next_back().filter(|(_, right)| **right >= from)
        {
            self.later.remove(&left);
            there += right.min(to).saturating_sub(left.max(from));
            (begin, end) = (begin.min(left), end.max(right));
        }
        if begin <= self.first {
            self.first = end;
        } else {
            self.later.insert(begin, end);
        }
        to - from - there
    }
}
