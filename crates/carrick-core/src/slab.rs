//! Records in pages, with first-in-first-out lists through them.
//!
//! A page holds 64 records, so a table grows without copying what it has and without ever being more than
//! a page larger than needed; that is what makes a record cost its own size. A page that has become empty goes, and
//! a new record takes the lowest place that is free: after a peak the few that stay hold back a page each at most,
//! and those that come draw together at the beginning (T-CAP-2).
//!
//! A [`Fifo`] threads a list through the records: whatever has the same time to live expires in the order in which
//! it came.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

const PAGE: usize = 64;
const PAGE_LEN: u32 = 64;
const MOST_PAGES: u32 = u32::MAX / PAGE_LEN;
const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Links {
    previous: u32,
    next: u32,
}

#[derive(Clone, Debug)]
enum Slot<T> {
    /// The next vacant slot of the page.
    Vacant(u8),
    Occupied(T, Links),
}

#[derive(Clone, Debug)]
struct Page<T> {
    slots: [Slot<T>; PAGE],
    /// The first vacant slot; `PAGE` if there is none.
    vacant: u8,
    len: u8,
}

impl<T> Page<T> {
    fn new() -> Box<Self> {
        let mut next = 0u8;
        let slots = core::array::from_fn(|_| {
            next = next.saturating_add(1);
            Slot::Vacant(next)
        });
        Box::new(Self { slots, vacant: 0, len: 0 })
    }

    const fn is_full(&self) -> bool {
        self.len as usize == PAGE
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    /// The last one is there, if any is.
    pages: Vec<Option<Box<Page<T>>>>,
    /// Those that have room, or are not there.
    open: BTreeSet<u32>,
    /// An empty page that was kept: who comes and goes at the edge of a page would make and free one each time.
    spare: Option<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), open: BTreeSet::new(), spare: None, len: 0 }
    }
}

impl<T> Slab<T> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// One past the greatest index that there may be.
    pub(crate) fn end(&self) -> u32 {
        u32::try_from(self.pages.len().saturating_mul(PAGE)).unwrap_or(NIL)
    }

    /// Bytes of all pages and their lists.
    pub(crate) fn memory(&self) -> usize {
        let pages = self.pages.iter().flatten().count().saturating_mul(size_of::<Page<T>>());
        let list = self.pages.capacity().saturating_mul(size_of::<Option<Box<Page<T>>>>());
        // A node of a B-tree is filled by half at least.
        let open = self.open.len().saturating_mul(size_of::<[u32; 2]>());
        pages.saturating_add(list).saturating_add(open)
    }

    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let index = index as usize;
        self.pages.get(index / PAGE)?.as_ref()?.slots.get(index % PAGE)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let index = index as usize;
        self.pages.get_mut(index / PAGE)?.as_mut()?.slots.get_mut(index % PAGE)
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
        let Some(number) = self.open.first().copied().or_else(|| self.grow()) else { return Err(value) };
        let Some(place) = self.pages.get_mut(number as usize) else { return Err(value) };
        let page = place.get_or_insert_with(Page::new);
        let at = page.vacant;
        let Some(slot) = page.slots.get_mut(usize::from(at)) else { return Err(value) };
        let Slot::Vacant(next) = *slot else { return Err(value) };
        *slot = Slot::Occupied(value, Links { previous: NIL, next: NIL });
        page.vacant = next;
        page.len = page.len.saturating_add(1);
        if page.is_full() {
            self.open.remove(&number);
        }
        self.spare.take_if(|spare| *spare == number);
        self.len = self.len.saturating_add(1);
        Ok(number.saturating_mul(PAGE_LEN).saturating_add(u32::from(at)))
    }

    /// A place for one more page.
    fn grow(&mut self) -> Option<u32> {
        let number = u32::try_from(self.pages.len()).ok().filter(|number| *number < MOST_PAGES)?;
        self.pages.push(None);
        self.open.insert(number);
        Some(number)
    }

    /// Takes a value out. It must be in no list.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let number = index / PAGE_LEN;
        let page = self.pages.get_mut(number as usize)?.as_mut()?;
        let at = index as usize % PAGE;
        let slot = page.slots.get_mut(at)?;
        if matches!(slot, Slot::Vacant(_)) {
            return None;
        }
        let taken = core::mem::replace(slot, Slot::Vacant(page.vacant));
        page.vacant = u8::try_from(at).unwrap_or(u8::MAX);
        page.len = page.len.saturating_sub(1);
        let empty = page.len == 0;
        self.open.insert(number);
        self.len = self.len.saturating_sub(1);
        if self.len == 0 {
            *self = Self::default();
        } else if empty {
            self.on_empty(number);
        }
        match taken {
            Slot::Occupied(value, _) => Some(value),
            Slot::Vacant(_) => None,
        }
    }

    /// Of two empty pages the lower stays.
    fn on_empty(&mut self, number: u32) {
        let Some(other) = self.spare.replace(number) else { return };
        self.spare = Some(number.min(other));
        if let Some(place) = self.pages.get_mut(number.max(other) as usize) {
            *place = None;
        }
        while let Some(None) = self.pages.last() {
            self.pages.pop();
            self.open.remove(&u32::try_from(self.pages.len()).unwrap_or(NIL));
        }
        if self.pages.len() < self.pages.capacity() / 4 {
            self.pages.shrink_to_fit();
        }
    }

    /// All values with their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let pages = self.pages.iter().zip((0u32..).step_by(PAGE));
        let pages = pages.filter_map(|(page, first)| Some((page.as_ref()?, first)));
        pages.flat_map(|(page, first)| page.slots.iter().zip(first..)).filter_map(
            |(slot, index)| match slot {
                Slot::Occupied(value, _) => Some((index, value)),
                Slot::Vacant(_) => None,
            },
        )
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
                prop_assert!(slab.end() % 64 == 0 && map.keys().all(|i| *i < slab.end()));
            }
        }
    }

    fn pages_held<T>(slab: &Slab<T>) -> usize {
        slab.pages.iter().flatten().count()
    }

    #[test]
    fn t_cap_2_after_a_peak_a_few_records_hold_a_few_pages() {
        const PEAK: u32 = 1000 * 64;
        for stay in [0, 1, 10] {
            let mut slab = Slab::default();
            assert!((0..PEAK).all(|n| slab.insert(n) == Ok(n)));
            let full = slab.memory();
            let stays = |n: u32| stay > 0 && n % (PEAK / stay) == 777;
            // In the order in which they came, and in the reverse order.
            let order: Vec<u32> = if stay == 1 { (0..PEAK).collect() } else { (0..PEAK).rev().collect() };
            order.into_iter().filter(|n| !stays(*n)).for_each(|n| assert_eq!(slab.remove(n), Some(n)));
            assert_eq!(slab.len(), stay as usize);
            // One empty page may be kept.
            assert!(pages_held(&slab) <= stay as usize + usize::from(stay > 0), "{stay} stay");
            assert!(slab.memory() <= full * (stay as usize + 1) / 1000 + full / 50, "{}", slab.memory());
            // What comes draws together in front, and where the others go their pages go too.
            let new: Vec<u32> = (0..640).map(|n| slab.insert(n).unwrap()).collect();
            assert!(new.iter().all(|index| *index < 11 * 64), "{new:?}");
            (0..PEAK).filter(|n| stays(*n)).for_each(|n| assert_eq!(slab.remove(n), Some(n)));
            assert!(slab.end() <= 13 * 64, "{}", slab.end());
        }
    }

    #[test]
    fn who_comes_and_goes_at_the_edge_of_a_page_frees_none() {
        let mut slab = Slab::default();
        (0..64).for_each(|n| assert_eq!(slab.insert(n), Ok(n)));
        for n in 0..10 {
            assert_eq!(slab.insert(n), Ok(64));
            assert_eq!(slab.remove(64), Some(n));
            assert_eq!(pages_held(&slab), 2);
        }
        assert!((0..64).all(|n| slab.remove(n) == Some(n)));
        assert_eq!((slab.memory(), slab.end()), (0, 0));
    }
}
