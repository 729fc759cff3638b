//! Who is who: four-tuples to connections, half-open records and TIME-WAIT records.
//!
//! The hash is keyed, so that nobody can choose tuples that collide (T-FLD-8). An entry of the table is a
//! number; the record that it names holds the tuple.

use super::half_open::HalfOpen;
use super::keys::Keys;
use crate::Tuple;
use crate::event::TimeWaitRecord;
use crate::slab::{Fifo, Slab};
use crate::{EndpointConfig, Instant};
use alloc::collections::BTreeSet;
use core::net::{IpAddr, Ipv6Addr};
use hashbrown::{HashMap, HashTable};

/// SYN,ACKs of records in list `n` have been repeated `n` times; those repeated more often share the last.
pub(super) const RETRY_LISTS: usize = 8;
/// Parked SYNs of which nobody has heard yet.
pub(super) const PARKED: usize = RETRY_LISTS;
/// Parked SYNs that wait for a decision.
pub(super) const UNDECIDED: usize = PARKED + 1;
const LISTS: usize = UNDECIDED + 1;

/// A connection's place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) tuple: Tuple,
    pub(super) generation: u32,
}

/// What a tuple belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Entry {
    Connection(u32),
    HalfOpen(u32),
    TimeWait(u32),
}

/// An entry in 32 bits: two for the kind, the rest for the index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Packed(u32);

const INDEX_BITS: u32 = 30;

impl Packed {
    const fn new(entry: Entry) -> Self {
        Self(match entry {
            Entry::Connection(index) => index,
            Entry::HalfOpen(index) => index | 1 << INDEX_BITS,
            Entry::TimeWait(index) => index | 2 << INDEX_BITS,
        })
    }

    const fn get(self) -> Entry {
        let index = self.0 & ((1 << INDEX_BITS) - 1);
        match self.0 >> INDEX_BITS {
            0 => Entry::Connection(index),
            1 => Entry::HalfOpen(index),
            _ => Entry::TimeWait(index),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Demux {
    table: HashTable<Packed>,
    pub(super) connections: Slab<Place>,
    /// How many connections each remote address has, if that is limited.
    sources: Option<HashMap<IpAddr, u32, Keys>>,
    pub(super) half_open: Slab<HalfOpen>,
    /// How many of them keep a TIME-WAIT record.
    old: usize,
    /// Each in the order of its deadlines.
    pub(super) half_open_lists: [Fifo; LISTS],
    pub(super) time_waits: Slab<TimeWaitRecord>,
    /// Records in the order of their deadlines.
    time_wait_list: Fifo,
    /// Records that came too late for their place in the list: of connections that their applications have
    /// held on to.
    time_wait_late: BTreeSet<(Instant, u32)>,
}

impl Demux {
    pub(super) fn new(config: &EndpointConfig, keys: &Keys) -> Self {
        Self {
            table: HashTable::new(),
            connections: Slab::default(),
            sources: config.max_per_source.map(|_| HashMap::with_hasher(keys.clone())),
            half_open: Slab::default(),
            old: 0,
            half_open_lists: [Fifo::default(); LISTS],
            time_waits: Slab::default(),
            time_wait_list: Fifo::default(),
            time_wait_late: BTreeSet::new(),
        }
    }

    /// Bytes of the table and of all records.
    pub(super) fn memory(&self) -> usize {
        self.table
            .allocation_size()
            .saturating_add(self.connections.memory())
            .saturating_add(self.half_open.memory())
            .saturating_add(self.old.saturating_mul(size_of::<TimeWaitRecord>()))
            .saturating_add(self.time_waits.memory())
            // A node of a B-tree is filled by half at least.
            .saturating_add(self.time_wait_late.len().saturating_mul(size_of::<[(Instant, u32); 2]>()))
            .saturating_add(self.sources.as_ref().map_or(0, HashMap::allocation_size))
    }

    /// How many connections a remote address has; 0 if that is not limited.
    pub(super) fn source_count(&self, remote: IpAddr) -> u32 {
        let sources = self.sources.as_ref();
        sources.and_then(|sources| sources.get(&source(remote))).copied().unwrap_or(0)
    }

    /// Our side of each tuple.
    pub(super) fn local_ends(&self) -> impl Iterator<Item = (IpAddr, u16)> {
        let connections = self.connections.iter().map(|(_, place)| &place.tuple);
        let half_open = self.half_open.iter().map(|(_, record)| &record.tuple);
        let time_waits = self.time_waits.iter().map(|(_, record)| &record.tuple);
        connections.chain(half_open).chain(time_waits).map(|tuple| (tuple.local, tuple.local_port))
    }

    fn tuple(&self, entry: Entry) -> Option<&Tuple> {
        match entry {
            Entry::Connection(index) => self.connections.get(index).map(|place| &place.tuple),
            Entry::HalfOpen(index) => self.half_open.get(index).map(|record| &record.tuple),
            Entry::TimeWait(index) => self.time_waits.get(index).map(|record| &record.tuple),
        }
    }

    pub(super) fn find(&self, keys: &Keys, tuple: &Tuple) -> Option<Entry> {
        let hash = keys.place(tuple);
        self.table.find(hash, |packed| self.tuple(packed.get()) == Some(tuple)).map(|packed| packed.get())
    }

    fn link(&mut self, keys: &Keys, tuple: &Tuple, entry: Entry) {
        let mut table = core::mem::take(&mut self.table);
        table.insert_unique(keys.place(tuple), Packed::new(entry), |packed| {
            self.tuple(packed.get()).map_or(0, |tuple| keys.place(tuple))
        });
        self.table = table;
    }

    fn unlink(&mut self, keys: &Keys, tuple: &Tuple, entry: Entry) {
        let packed = Packed::new(entry);
        if let Ok(occupied) = self.table.find_entry(keys.place(tuple), |other| *other == packed) {
            occupied.remove();
        }
        if self.table.is_empty() {
            self.table = HashTable::new();
        } else if self.table.len() < self.table.capacity() / 8 {
            let mut table = core::mem::take(&mut self.table);
            table.shrink_to(0, |packed| self.tuple(packed.get()).map_or(0, |tuple| keys.place(tuple)));
            self.table = table;
        }
    }

    pub(super) fn insert_connection(&mut self, keys: &Keys, tuple: Tuple, generation: u32) -> Option<u32> {
        let index = self.connections.insert(Place { tuple, generation }).ok()?;
        self.link(keys, &tuple, Entry::Connection(index));
        if let Some(sources) = &mut self.sources {
            let count = sources.entry(source(tuple.remote)).or_insert(0);
            *count = count.saturating_add(1);
        }
        Some(index)
    }

    /// Forgets a connection, if the generation is still that.
    pub(super) fn remove_connection(&mut self, keys: &Keys, index: u32, generation: u32) -> Option<Place> {
        self.connections.get(index).filter(|place| place.generation == generation)?;
        let tuple = self.connections.get(index)?.tuple;
        self.unlink(keys, &tuple, Entry::Connection(index));
        if let Some(sources) = &mut self.sources
            && let Some(count) = sources.get_mut(&source(tuple.remote))
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                sources.remove(&source(tuple.remote));
                if sources.len() < sources.capacity() / 8 {
                    sources.shrink_to_fit();
                }
            }
        }
        self.connections.remove(index)
    }

    pub(super) fn insert_half_open(&mut self, keys: &Keys, record: HalfOpen) -> Option<u32> {
        let tuple = record.tuple;
        let (list, old) = (record.list(), usize::from(record.old.is_some()));
        let index = self.half_open.insert(record).ok()?;
        self.old = self.old.saturating_add(old);
        self.link(keys, &tuple, Entry::HalfOpen(index));
        self.half_open_lists.get_mut(list)?.push_back(&mut self.half_open, index);
        Some(index)
    }

    pub(super) fn remove_half_open(&mut self, keys: &Keys, index: u32) -> Option<HalfOpen> {
        let record = self.half_open.get(index)?;
        let (tuple, list) = (record.tuple, record.list());
        self.old = self.old.saturating_sub(usize::from(record.old.is_some()));
        self.unlink(keys, &tuple, Entry::HalfOpen(index));
        self.half_open_lists.get_mut(list)?.unlink(&mut self.half_open, index);
        self.half_open.remove(index)
    }

    /// Changes a record, which may then belong in another list, at its end.
    pub(super) fn requeue_half_open(&mut self, index: u32, change: impl FnOnce(&mut HalfOpen)) {
        let Some(list) = self.half_open.get(index).map(HalfOpen::list) else { return };
        if let Some(list) = self.half_open_lists.get_mut(list) {
            list.unlink(&mut self.half_open, index);
        }
        let Some(record) = self.half_open.get_mut(index) else { return };
        change(record);
        let list = record.list();
        if let Some(list) = self.half_open_lists.get_mut(list) {
            list.push_back(&mut self.half_open, index);
        }
    }

    /// The first of a list of half-open records.
    pub(super) fn first_half_open(&self, list: usize) -> Option<(u32, &HalfOpen)> {
        let index = self.half_open_lists.get(list)?.front()?;
        Some((index, self.half_open.get(index)?))
    }

    pub(super) fn insert_time_wait(&mut self, keys: &Keys, record: TimeWaitRecord) {
        let (tuple, deadline) = (record.tuple, record.deadline);
        let Ok(index) = self.time_waits.insert(record) else { return };
        self.link(keys, &tuple, Entry::TimeWait(index));
        let youngest = self.time_wait_list.back().and_then(|index| self.time_waits.get(index));
        if youngest.is_some_and(|youngest| youngest.deadline > deadline) {
            self.time_wait_late.insert((deadline, index));
        } else {
            self.time_wait_list.push_back(&mut self.time_waits, index);
        }
    }

    pub(super) fn remove_time_wait(&mut self, keys: &Keys, index: u32) -> Option<TimeWaitRecord> {
        let (tuple, deadline) = self.time_waits.get(index).map(|record| (record.tuple, record.deadline))?;
        self.unlink(keys, &tuple, Entry::TimeWait(index));
        self.take_from_line(index, deadline);
        self.time_waits.remove(index)
    }

    fn take_from_line(&mut self, index: u32, deadline: Instant) {
        if !self.time_wait_late.remove(&(deadline, index)) {
            self.time_wait_list.unlink(&mut self.time_waits, index);
        }
    }

    /// The wait has begun anew, and would have ended at `before`: the record is the youngest.
    pub(super) fn renew_time_wait(&mut self, index: u32, before: Instant) {
        self.take_from_line(index, before);
        self.time_wait_list.push_back(&mut self.time_waits, index);
    }

    /// The record whose wait ends first, and when.
    pub(super) fn oldest_time_wait(&self) -> Option<(Instant, u32)> {
        let first = self.time_wait_list.front();
        let first = first.and_then(|index| Some((self.time_waits.get(index)?.deadline, index)));
        let late = self.time_wait_late.first().copied();
        [first, late].into_iter().flatten().min()
    }
}

/// Whose connections, and whose fragments, are counted together: a host may have all addresses of an IPv6 network.
pub(super) fn source(remote: IpAddr) -> IpAddr {
    match remote {
        IpAddr::V4(_) => remote,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
