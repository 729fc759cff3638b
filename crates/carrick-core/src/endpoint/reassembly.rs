//! Packets in parts (RFC 791 §3.2, RFC 1122 §3.3.2, RFC 8200 §4.5).
//!
//! A part is kept until the others have come or 60 s have passed since the first of them. Whoever sends parts
//! that overlap with others gets nothing delivered: the key stays closed until those 60 s are over (RFC 5722 §4).
//! A part that came already is dropped alone.
//!
//! Nothing here needs more than [`ReassemblyLimits`](crate::ReassemblyLimits) allow: bytes and packets in all and
//! of one source, parts of one packet. At a limit the oldest goes, of the source whose limit it is: parts of an
//! honest packet come close behind each other, while a flood has to outrun itself.
//!
//! Invariant: parts of a packet are in order, do not touch each other's bytes, and end at or before its end.

use super::demux::source;
use super::keys::Keys;
use crate::slab::{Fifo, Slab};
use crate::{Instant, ReassemblyLimits};
use alloc::vec::Vec;
use bytes::Bytes;
use carrick_wire::reassembly::{FragmentKey, combine_ecn, emit_whole_header, whole_header_len};
use carrick_wire::{Ecn, IpView};
use core::net::IpAddr;
use core::time::Duration;
use hashbrown::HashMap;

/// How long parts are kept (RFC 1122 §3.3.2: 60 to 120 s; RFC 8200 §4.5: 60 s).
const LIFETIME: Duration = Duration::from_secs(60);
/// What a part costs beside its bytes: its place in the list, and what an allocation takes.
const PART_COST: usize = 80;

/// What became of a part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kept {
    /// It waits for others.
    Waits,
    /// It was the last one missing: the whole packet.
    Whole(Bytes),
    /// It is here already.
    Duplicate,
    /// It overlaps, or contradicts what is known of the end; or its packet was given up for that before.
    Overlap,
    /// There is no room for it, or for so many.
    Limit,
}

#[derive(Clone, Debug)]
struct Partial {
    key: FragmentKey,
    deadline: Instant,
    /// None once it has been given up.
    parts: Option<Parts>,
    /// What it is charged with.
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    /// The first fragment with its headers.
    first: Option<Bytes>,
    /// Offset and bytes of each part, in order.
    list: Vec<(usize, Bytes)>,
    /// Where the data ends, once the last part has told.
    end: Option<usize>,
    /// None if the ECN fields contradict each other.
    ecn: Option<Ecn>,
}

/// What one source has here.
#[derive(Clone, Debug, Default)]
struct Source {
    bytes: usize,
    /// Its packets, oldest first.
    packets: Vec<u32>,
}

#[derive(Clone, Debug)]
pub(super) struct Reassembly {
    limits: ReassemblyLimits,
    by_key: HashMap<FragmentKey, u32, Keys>,
    sources: HashMap<IpAddr, Source, Keys>,
    partials: Slab<Partial>,
    /// All live equally long, so the oldest is the next to go.
    oldest: Fifo,
    bytes: usize,
}

impl Reassembly {
    pub(super) fn new(limits: ReassemblyLimits, keys: Keys) -> Self {
        Self {
            limits,
            by_key: HashMap::with_hasher(keys.clone()),
            sources: HashMap::with_hasher(keys),
            partials: Slab::default(),
            oldest: Fifo::default(),
            bytes: 0,
        }
    }

    /// Whether parts are kept at all.
    pub(super) const fn is_on(&self) -> bool {
        self.limits.bytes > 0
    }

    /// Takes a part. A whole packet is none.
    pub(super) fn insert(&mut self, now: Instant, packet: &IpView<&[u8]>) -> Kept {
        let Some((key, fragment)) = FragmentKey::of(packet) else { return Kept::Limit };
        let start = usize::from(fragment.offset);
        let end = start.saturating_add(packet.payload().len());
        let index = match self.by_key.get(&key).copied() {
            Some(index) => index,
            None => match self.begin(now, key) {
                Some(index) => index,
                None => return Kept::Limit,
            },
        };
        let Some(partial) = self.partials.get_mut(index) else { return Kept::Limit };
        let Some(parts) = &mut partial.parts else { return Kept::Overlap };
        let at = parts.list.partition_point(|(other, _)| *other < start);
        if parts.list.get(at).is_some_and(|(other, data)| *other == start && data == packet.payload())
            && parts.agrees(end, fragment.more)
        {
            return Kept::Duplicate;
        }
        if !parts.agrees(end, fragment.more) || parts.overlaps(at, start, end) {
            self.give_up(index);
            return Kept::Overlap;
        }
        if parts.list.len() >= usize::from(self.limits.parts) {
            return Kept::Limit;
        }
        let first = if start == 0 { Bytes::copy_from_slice(packet.as_bytes()) } else { Bytes::new() };
        let data = if start == 0 {
            first.slice(packet.header_len().min(first.len())..)
        } else {
            Bytes::copy_from_slice(packet.payload())
        };
        if start == 0 {
            parts.first = Some(first);
        }
        if !fragment.more {
            parts.end = Some(end);
        }
        parts.ecn = match parts.list.is_empty() {
            true => Some(packet.ecn()),
            // The first fragment's field counts where both are good.
            false if start == 0 => parts.ecn.and_then(|ecn| combine_ecn(packet.ecn(), ecn)),
            false => parts.ecn.and_then(|ecn| combine_ecn(ecn, packet.ecn())),
        };
        parts.list.insert(at, (start, data));
        if parts.is_complete() {
            let whole = parts.whole();
            self.remove(index);
            return whole.map_or(Kept::Overlap, Kept::Whole);
        }
        let cost = packet.as_bytes().len().saturating_add(PART_COST);
        partial.bytes = partial.bytes.saturating_add(cost);
        self.bytes = self.bytes.saturating_add(cost);
        let source = self.sources.entry(source(key.src)).or_default();
        source.bytes = source.bytes.saturating_add(cost);
        self.keep_limits(key.src);
        if self.by_key.contains_key(&key) { Kept::Waits } else { Kept::Limit }
    }

    fn begin(&mut self, now: Instant, key: FragmentKey) -> Option<u32> {
        let parts = Some(Parts::default());
        let partial = Partial { key, deadline: now + LIFETIME, parts, bytes: PART_COST };
        let index = self.partials.insert(partial).ok()?;
        self.oldest.push_back(&mut self.partials, index);
        self.by_key.insert(key, index);
        self.bytes = self.bytes.saturating_add(PART_COST);
        let source = self.sources.entry(source(key.src)).or_default();
        source.bytes = source.bytes.saturating_add(PART_COST);
        source.packets.push(index);
        self.keep_limits(key.src);
        // A limit of nothing keeps nothing.
        self.by_key.get(&key).copied()
    }

    /// Lets the oldest go while there is too much, of the source first.
    fn keep_limits(&mut self, src: IpAddr) {
        let limits = self.limits;
        while let Some(source) = self.sources.get(&source(src))
            && (source.bytes > limits.bytes_per_source
                || source.packets.len() > usize::from(limits.packets_per_source))
        {
            let Some(&oldest) = source.packets.first() else { break };
            self.remove(oldest);
        }
        while self.bytes > limits.bytes || self.partials.len() > usize::from(limits.packets) {
            let Some(oldest) = self.oldest.front() else { break };
            self.remove(oldest);
        }
    }

    /// Forgets the parts of a packet, and keeps its key closed.
    fn give_up(&mut self, index: u32) {
        let Some(partial) = self.partials.get_mut(index) else { return };
        partial.parts = None;
        let freed = partial.bytes.saturating_sub(PART_COST);
        partial.bytes = PART_COST;
        let src = partial.key.src;
        self.bytes = self.bytes.saturating_sub(freed);
        if let Some(source) = self.sources.get_mut(&source(src)) {
            source.bytes = source.bytes.saturating_sub(freed);
        }
    }

    fn remove(&mut self, index: u32) -> Option<Partial> {
        self.oldest.unlink(&mut self.partials, index);
        let partial = self.partials.remove(index)?;
        self.by_key.remove(&partial.key);
        self.bytes = self.bytes.saturating_sub(partial.bytes);
        let src = source(partial.key.src);
        if let Some(source) = self.sources.get_mut(&src) {
            source.bytes = source.bytes.saturating_sub(partial.bytes);
            source.packets.retain(|other| *other != index);
            if source.packets.is_empty() {
                self.sources.remove(&src);
            }
        }
        if self.partials.len() == 0 {
            let keys = self.by_key.hasher().clone();
            *self = Self::new(self.limits, keys);
        }
        Some(partial)
    }

    /// The next packet whose time is over: its first fragment, if that has come.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Option<Bytes>> {
        if self.deadline()? > now {
            return None;
        }
        let partial = self.remove(self.oldest.front()?)?;
        Some(partial.parts.and_then(|parts| parts.first))
    }

    /// When the oldest expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.partials.get(self.oldest.front()?).map(|partial| partial.deadline)
    }

    /// Bytes of everything held.
    pub(super) fn memory(&self) -> usize {
        let lists = self.sources.values().fold(0usize, |sum, source| {
            sum.saturating_add(source.packets.capacity().saturating_mul(size_of::<u32>()))
        });
        self.bytes
            .saturating_add(lists)
            .saturating_add(self.partials.memory())
            .saturating_add(self.by_key.allocation_size())
            .saturating_add(self.sources.allocation_size())
    }

    /// How many packets there are parts of, closed keys among them.
    pub(super) const fn len(&self) -> usize {
        self.partials.len()
    }

    pub(super) fn digest(&self, now: Instant, state: &mut impl core::hash::Hasher) {
        use core::hash::Hash as _;
        for (_, partial) in self.partials.iter() {
            (partial.key, partial.deadline.since(now), partial.bytes, partial.parts.is_some()).hash(state);
            for (start, data) in partial.parts.iter().flat_map(|parts| &parts.list) {
                (start, data).hash(state);
            }
        }
    }
}

impl Parts {
    /// Whether a part that ends there, with or without more behind it, fits what is known of the end.
    fn agrees(&self, end: usize, more: bool) -> bool {
        let held = self.list.last().map_or(0, |(start, data)| start.saturating_add(data.len()));
        match (self.end, more) {
            (Some(known), true) => end < known,
            (Some(known), false) => end == known,
            (None, true) => true,
            // Bytes that end there and are said to have more behind them contradict.
            (None, false) => held < end || self.list.is_empty(),
        }
    }

    /// Whether bytes from `start` to `end`, to be put at `at` in the list, overlap with its neighbours.
    fn overlaps(&self, at: usize, start: usize, end: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.list.get(before));
        before.is_some_and(|(other, data)| other.saturating_add(data.len()) > start)
            || self.list.get(at).is_some_and(|(other, _)| *other < end)
    }

    fn is_complete(&self) -> bool {
        let held = self.list.iter().fold(0usize, |sum, (_, data)| sum.saturating_add(data.len()));
        // They do not overlap, so as many bytes as there are to be are all.
        self.end == Some(held)
    }

    fn whole(&self) -> Option<Bytes> {
        let first = IpView::parse(self.first.as_deref()?).ok()?;
        let len = whole_header_len(&first);
        let mut bytes = alloc::vec![0; len];
        emit_whole_header(&first, self.end?, self.ecn?, &mut bytes).ok()?;
        bytes.reserve_exact(self.end?);
        self.list.iter().for_each(|(_, data)| bytes.extend_from_slice(data));
        Some(bytes.into())
    }
}
