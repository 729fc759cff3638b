//! Records in pages, with first-in-first-out lists through them.
//!
//! A page holds 64 records, so a table grows without copying what it has and without ever being more than
//! a page larger than needed; that is what makes a record cost its own size. A [`Fifo`] threads a list
//! through the records: whatever has the same time to live expires in the order in which it came.

use alloc::boxed::Box;
use alloc::vec::Vec;

const PAGE: usize = 64;
const PAGE_LEN: u32 = 64;
const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Links {
    previous: u32,
    next: u32,
}

#[derive(Clone, Debug)]
enum Slot<T> {
    /// The next vacant slot.
    Vacant(u32),
    Occupied(T, Links),
}

#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    pages: Vec<Box<[Slot<T>]>>,
    vacant: u32,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), vacant: NIL, len: 0 }
    }
}

impl<T> Slab<T> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all pages and their list.
    pub(crate) fn memory(&self) -> usize {
        let pages = self.pages.len().saturating_mul(PAGE).saturating_mul(size_of::<Slot<T>>());
        pages.saturating_add(self.pages.capacity().saturating_mul(size_of::<Box<[Slot<T>]>>()))
    }

    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let index = index as usize;
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let index = index as usize;
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        match self.slot(index)? {
            Slot::Occupied(value, _) => Some(value),
            Slot::Vacant(_) => None,
        }
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slot_mut(index)? {
            Slot::Occupied(value, _) => Some(value),
            Slot::Vacant(_) => None,
        }
    }

    fn links_mut(&mut self, index: u32) -> Option<&mut Links> {
        match self.slot_mut(index)? {
            Slot::Occupied(_, links) => Some(links),
            Slot::Vacant(_) => None,
        }
    }

    /// Stores a value; gives it back if there are 2^32 - 64 already.
    pub(crate) fn insert(&mut self, value: T) -> Result<u32, T> {
        if self.vacant == NIL && !self.grow() {
            return Err(value);
        }
        let index = self.vacant;
        let Some(slot) = self.slot_mut(index) else { return Err(value) };
        let Slot::Vacant(next) = *slot else { return Err(value) };
        *slot = Slot::Occupied(value, Links { previous: NIL, next: NIL });
        self.vacant = next;
        self.len = self.len.saturating_add(1);
        Ok(index)
    }

    fn grow(&mut self) -> bool {
        let Ok(first) = u32::try_from(self.pages.len().saturating_mul(PAGE)) else { return false };
        let Some(end) = first.checked_add(PAGE_LEN).filter(|end| *end < NIL) else { return false };
        let slots = (first..end).map(|i| i.saturating_add(1)).map(|i| if i == end { NIL } else { i });
        self.pages.push(slots.map(Slot::Vacant).collect());
        self.vacant = first;
        true
    }

    /// Takes a value out. It must be in no list.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let vacant = self.vacant;
        let slot = self.slot_mut(index)?;
        if matches!(slot, Slot::Vacant(_)) {
            return None;
        }
        let taken = core::mem::replace(slot, Slot::Vacant(vacant));
        self.vacant = index;
        self.len = self.len.saturating_sub(1);
        if self.len == 0 {
            *self = Self::default();
        }
        match taken {
            Slot::Occupied(value, _) => Some(value),
            Slot::Vacant(_) => None,
        }
    }

    /// All values with their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let slots = self.pages.iter().flat_map(|page| page.iter());
        slots.zip(0u32..).filter_map(|(slot, index)| match slot {
            Slot::Occupied(value, _) => Some((index, value)),
            Slot::Vacant(_) => None,
        })
    }
}

/// A list through the records of one slab, oldest first. A record is in one list at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fifo {
    head: u32,
    tail: u32,
}

impl Default for Fifo {
    fn default() -> Self {
        Self { head: NIL, tail: NIL }
    }
}

impl Fifo {
    /// The oldest.
    pub(crate) const fn front(&self) -> Option<u32> {
        if self.head == NIL { None } else { Some(self.head) }
    }

    /// The youngest.
    pub(crate) const fn back(&self) -> Option<u32> {
        if self.tail == NIL { None } else { Some(self.tail) }
    }

    pub(crate) fn push_back<T>(&mut self, slab: &mut Slab<T>, index: u32) {
        let Some(links) = slab.links_mut(index) else { return };
        *links = Links { previous: self.tail, next: NIL };
        match slab.links_mut(self.tail) {
            Some(tail) => tail.next = index,
            None => self.head = index,
        }
        self.tail = index;
    }

    /// Takes a record out of the list that it is in, which must be this one.
    pub(crate) fn unlink<T>(&mut self, slab: &mut Slab<T>, index: u32) {
        let Some(Links { previous, next }) = slab.links_mut(index).copied() else { return };
        match slab.links_mut(previous) {
            Some(links) => links.next = next,
            None => self.head = next,
        }
        match slab.links_mut(next) {
            Some(links) => links.previous = previous,
            None => self.tail = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, VecDeque};

    proptest! {
        #[test]
        fn behaves_like_a_map_and_a_queue(ops in proptest::collection::vec((0..4u8, any::<usize>()), 1..400)) {
            let mut slab = Slab::default();
            let mut fifo = Fifo::default();
            let mut map = BTreeMap::new();
            let mut queue = VecDeque::new();
            for (i, (op, pick)) in ops.into_iter().enumerate() {
                match op {
                    0 | 1 => {
                        let index = slab.insert(i).unwrap();
                        prop_assert!(map.insert(index, i).is_none());
                        fifo.push_back(&mut slab, index);
                        queue.push_back(index);
                    }
                    2 if !queue.is_empty() => {
                        let index = queue.remove(pick % queue.len()).unwrap();
                        fifo.unlink(&mut slab, index);
                        prop_assert_eq!(slab.remove(index), map.remove(&index));
                    }
                    3 if !queue.is_empty() => {
                        let index = queue.remove(pick % queue.len()).unwrap();
                        fifo.unlink(&mut slab, index);
                        fifo.push_back(&mut slab, index);
                        queue.push_back(index);
                    }
                    _ => {}
                }
                prop_assert_eq!(fifo.front(), queue.front().copied());
                prop_assert_eq!(slab.len(), map.len());
                prop_assert!(slab.iter().map(|(i, v)| (i, *v)).eq(map.iter().map(|(i, v)| (*i, *v))));
            }
        }
    }
}
