//! Who is who: four-tuples to connections, half-open records and TIME-WAIT records.
//!
//! The hash is keyed, so that nobody can choose tuples that collide (T-FLD-8). An entry of the table is a
//! number; the record that it names holds the tuple.

use super::half_open::HalfOpen;
use super::keys::Keys;
use crate::Tuple;
use crate::event::TimeWaitRecord;
use crate::slab::{Fifo, Slab};
use core::hash::BuildHasher;
use hashbrown::HashTable;

/// SYN,ACKs of records in list `n` have been repeated `n` times; those repeated more often share the last.
pub(super) const RETRY_LISTS: usize = 8;

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

#[derive(Clone, Debug, Default)]
pub(super) struct Demux {
    table: HashTable<Packed>,
    pub(super) connections: Slab<Place>,
    pub(super) half_open: Slab<HalfOpen>,
    pub(super) half_open_lists: [Fifo; RETRY_LISTS],
    pub(super) time_waits: Slab<TimeWaitRecord>,
    pub(super) time_wait_list: Fifo,
}

impl Demux {
    /// Bytes of the table and of all records.
    pub(super) fn memory(&self) -> usize {
        self.table
            .allocation_size()
            .saturating_add(self.connections.memory())
            .saturating_add(self.half_open.memory())
            .saturating_add(self.time_waits.memory())
    }

    fn tuple(&self, entry: Entry) -> Option<&Tuple> {
        match entry {
            Entry::Connection(index) => self.connections.get(index).map(|place| &place.tuple),
            Entry::HalfOpen(index) => self.half_open.get(index).map(|record| &record.tuple),
            Entry::TimeWait(index) => self.time_waits.get(index).map(|record| &record.tuple),
        }
    }

    pub(super) fn find(&self, keys: &Keys, tuple: &Tuple) -> Option<Entry> {
        let hash = keys.hash_one(tuple);
        self.table.find(hash, |packed| self.tuple(packed.get()) == Some(tuple)).map(|packed| packed.get())
    }

    fn link(&mut self, keys: &Keys, tuple: &Tuple, entry: Entry) {
        let mut table = core::mem::take(&mut self.table);
        table.insert_unique(keys.hash_one(tuple), Packed::new(entry), |packed| {
            self.tuple(packed.get()).map_or(0, |tuple| keys.hash_one(tuple))
        });
        self.table = table;
    }

    fn unlink(&mut self, keys: &Keys, tuple: &Tuple, entry: Entry) {
        let packed = Packed::new(entry);
        if let Ok(occupied) = self.table.find_entry(keys.hash_one(tuple), |other| *other == packed) {
            occupied.remove();
        }
        if self.table.is_empty() {
            self.table = HashTable::new();
        } else if self.table.len() < self.table.capacity() / 8 {
            let mut table = core::mem::take(&mut self.table);
            table.shrink_to(0, |packed| self.tuple(packed.get()).map_or(0, |tuple| keys.hash_one(tuple)));
            self.table = table;
        }
    }

    pub(super) fn insert_connection(&mut self, keys: &Keys, tuple: Tuple, generation: u32) -> Option<u32> {
        let index = self.connections.insert(Place { tuple, generation }).ok()?;
        self.link(keys, &tuple, Entry::Connection(index));
        Some(index)
    }

    /// Forgets a connection, if the generation is still that.
    pub(super) fn remove_connection(&mut self, keys: &Keys, index: u32, generation: u32) -> Option<Place> {
        self.connections.get(index).filter(|place| place.generation == generation)?;
        let tuple = self.connections.get(index)?.tuple;
        self.unlink(keys, &tuple, Entry::Connection(index));
        self.connections.remove(index)
    }

    pub(super) fn insert_half_open(&mut self, keys: &Keys, record: HalfOpen) -> Option<u32> {
        let tuple = record.tuple;
        let list = record.list();
        let index = self.half_open.insert(record).ok()?;
        self.link(keys, &tuple, Entry::HalfOpen(index));
        self.half_open_lists.get_mut(list)?.push_back(&mut self.half_open, index);
        Some(index)
    }

    pub(super) fn remove_half_open(&mut self, keys: &Keys, index: u32) -> Option<HalfOpen> {
        let record = self.half_open.get(index)?;
        let (tuple, list) = (record.tuple, record.list());
        self.unlink(keys, &tuple, Entry::HalfOpen(index));
        self.half_open_lists.get_mut(list)?.unlink(&mut self.half_open, index);
        self.half_open.remove(index)
    }

    pub(super) fn insert_time_wait(&mut self, keys: &Keys, record: TimeWaitRecord) {
        let tuple = record.tuple;
        let Ok(index) = self.time_waits.insert(record) else { return };
        self.link(keys, &tuple, Entry::TimeWait(index));
        self.time_wait_list.push_back(&mut self.time_waits, index);
    }

    pub(super) fn remove_time_wait(&mut self, keys: &Keys, index: u32) -> Option<TimeWaitRecord> {
        let tuple = self.time_waits.get(index)?.tuple;
        self.unlink(keys, &tuple, Entry::TimeWait(index));
        self.time_wait_list.unlink(&mut self.time_waits, index);
        self.time_waits.remove(index)
    }

    /// The wait has begun anew: the record is the youngest.
    pub(super) fn renew_time_wait(&mut self, index: u32) {
        self.time_wait_list.unlink(&mut self.time_waits, index);
        self.time_wait_list.push_back(&mut self.time_waits, index);
    }
}
