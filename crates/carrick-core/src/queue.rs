//! Bytes in a row, in chunks that are taken as bytes come and given back as they leave.
//!
//! One queue serves both directions: unacknowledged data that waits to be sent (again), and received data
//! that waits to be read or for a hole to be filled. Small pushes are copied into a chunk of 2, 16 or
//! 64 KiB; large buffers can be taken as they are.
//!
//! ```text
//!   pieces (immutable, reference-counted)              tail (still being filled)
//!  ├──────────────┼──────┼──────────────────────────┤├───────────┄┄┄┄┄┄┄┤
//!  front                                                        len    capacity
//! ```
//!
//! Invariant: `memory` is the sum of the charges of all pieces and the tail, that is, of every allocation
//! that the queue keeps alive; an empty queue holds none.

use alloc::collections::VecDeque;
use bytes::{Buf, Bytes, BytesMut};
use core::iter;

const SMALL: usize = 2 << 10;
const MEDIUM: usize = 16 << 10;
const LARGE: usize = MAX_CHUNK;

/// The largest chunk, in bytes: what a buffer of [`Transmit::shared`](crate::Transmit::shared) pins at most.
pub const MAX_CHUNK: usize = 64 << 10;

#[derive(Clone, Debug)]
struct Piece {
    /// Where it starts, counted from the queue's first byte ever.
    start: u64,
    bytes: Bytes,
    /// What is given back when this piece is gone. A chunk cut into several pieces is charged to the last.
    charge: usize,
}

/// Bytes in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkQueue {
    pieces: VecDeque<Piece>,
    tail: BytesMut,
    /// Charge of the tail's chunk.
    tail_charge: usize,
    /// Where the first byte is, counted from the queue's first byte ever.
    start: u64,
    len: usize,
    memory: usize,
}

impl ChunkQueue {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes have been let go of since the queue was made.
    pub(crate) const fn taken(&self) -> u64 {
        self.start
    }

    /// Bytes of every allocation that the queue keeps alive, and of the list of pieces.
    pub(crate) fn memory(&self) -> usize {
        let list = self.pieces.capacity().saturating_mul(size_of::<Piece>());
        self.memory.saturating_add(list)
    }

    fn tail_spare(&self) -> usize {
        self.tail.capacity().saturating_sub(self.tail.len())
    }

    /// How much `memory` would grow at most if `n` bytes were copied in.
    pub(crate) fn cost(&self, n: usize) -> usize {
        let missing = n.saturating_sub(self.tail_spare());
        if missing == 0 {
            return 0;
        }
        let chunk = chunk_size(self.len, n);
        missing.div_ceil(chunk).saturating_mul(chunk)
    }

    /// How many bytes can be copied in while `memory` grows by at most `room`.
    pub(crate) fn fits(&self, n: usize, room: usize) -> usize {
        if self.cost(n) <= room {
            return n;
        }
        let chunk = chunk_size(self.len, n);
        let whole = room.checked_div(chunk).unwrap_or(0).saturating_mul(chunk);
        self.tail_spare().saturating_add(whole).min(n)
    }

    /// Copies `data` to the end.
    pub(crate) fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.tail_spare() == 0 {
                self.seal();
                let chunk = chunk_size(self.len, data.len());
                self.tail = BytesMut::with_capacity(chunk);
                self.tail_charge = self.tail.capacity();
                self.memory = self.memory.saturating_add(self.tail_charge);
            }
            let (now, later) = data.split_at(self.tail_spare().min(data.len()));
            self.tail.extend_from_slice(now);
            self.len = self.len.saturating_add(now.len());
            data = later;
        }
    }

    /// Puts a buffer at the end as it is. Keeping it is charged with `charge` bytes: what its allocation has. That
    /// is charged once for all of a buffer that comes in a row.
    pub(crate) fn push_shared(&mut self, bytes: Bytes, charge: usize) {
        if bytes.is_empty() {
            return;
        }
        self.seal();
        let continues = self.continues(&bytes, charge);
        if let Some(last) = self.pieces.back_mut().filter(|_| continues) {
            self.memory = self.memory.saturating_sub(core::mem::take(&mut last.charge));
        }
        self.memory = self.memory.saturating_add(charge);
        let start = self.end();
        self.len = self.len.saturating_add(bytes.len());
        self.pieces.push_back(Piece { start, bytes, charge });
    }

    /// Whether the buffer goes on in the last piece's allocation. Buffers do not tell. That they touch does not
    /// either, since allocations can lie side by side; so both must cost the same, and what touches may not be longer
    /// than one allocation. Of two that lie side by side and are used in part one may still go uncharged, but
    /// never more than one in two.
    fn continues(&self, bytes: &Bytes, charge: usize) -> bool {
        if self.pieces.back().is_none_or(|last| last.charge != charge) {
            return false;
        }
        let (mut begin, mut run) = (bytes.as_ptr(), bytes.len());
        for (n, piece) in self.pieces.iter().rev().enumerate() {
            // One that is charged has nothing to do with those behind it.
            if piece.bytes.as_ptr_range().end != begin || (n > 0 && piece.charge > 0) {
                return n > 0;
            }
            (begin, run) = (piece.bytes.as_ptr(), run.saturating_add(piece.bytes.len()));
            if run > charge {
                return false;
            }
        }
        true
    }

    /// Puts another queue's bytes at the end: few bytes into the chunk that is there, rather than keep theirs.
    pub(crate) fn append(&mut self, mut other: Self) {
        if other.len <= self.tail_spare().min(MEDIUM) {
            return other.iter().for_each(|part| self.push(part));
        }
        self.close();
        self.memory = self.memory.saturating_add(other.memory);
        let shift = self.end().wrapping_sub(other.start);
        self.len = self.len.saturating_add(other.len);
        for mut piece in other.pieces.drain(..) {
            piece.start = piece.start.wrapping_add(shift);
            self.pieces.push_back(piece);
        }
        self.tail = other.tail;
        self.tail_charge = other.tail_charge;
    }

    /// Both in a row, as a queue that begins anew: of the two lists of pieces the shorter moves.
    pub(crate) fn followed_by(mut self, mut other: Self) -> Self {
        if other.len <= self.tail_spare().min(MEDIUM) || other.pieces.len() <= self.pieces.len() {
            self.append(other);
            return self;
        }
        self.close();
        other.memory = other.memory.saturating_add(self.memory);
        let shift = other.start.wrapping_sub(self.end());
        other.start = other.start.wrapping_sub(self.len as u64);
        other.len = other.len.saturating_add(self.len);
        for mut piece in self.pieces.into_iter().rev() {
            piece.start = piece.start.wrapping_add(shift);
            other.pieces.push_front(piece);
        }
        other
    }

    /// Nothing more is copied into the tail: what fills little of its chunk gets a buffer of its own size.
    fn close(&mut self) {
        let (charge, len) = (self.tail_charge, self.tail.len());
        // Of a chunk of which a part is a piece that part would stay.
        if self.tail.capacity() == charge && len > 0 && len <= charge / 4 {
            self.tail = BytesMut::from(&*self.tail);
            self.tail_charge = self.tail.capacity();
            self.memory = self.memory.saturating_sub(charge).saturating_add(self.tail_charge);
        }
        self.seal();
    }

    fn end(&self) -> u64 {
        self.start.wrapping_add(self.len as u64)
    }

    fn tail_start(&self) -> u64 {
        self.end().wrapping_sub(self.tail.len() as u64)
    }

    /// Makes the tail a piece, so that something else can follow.
    fn seal(&mut self) {
        let charge = core::mem::take(&mut self.tail_charge);
        let start = self.tail_start();
        let tail = core::mem::take(&mut self.tail);
        if !tail.is_empty() {
            self.pieces.push_back(Piece { start, bytes: tail.freeze(), charge });
        } else if let Some(last) = self.pieces.back_mut() {
            // Everything in the chunk is in pieces already; the last of them is the last to go.
            last.charge = last.charge.saturating_add(charge);
        } else {
            self.memory = self.memory.saturating_sub(charge);
        }
    }

    /// Makes the bytes before `offset` reference-counted, so that [`shared`](Self::shared) need not copy.
    pub(crate) fn freeze(&mut self, offset: usize) {
        let before_tail = self.len.saturating_sub(self.tail.len());
        let n = offset.saturating_sub(before_tail).min(self.tail.len());
        if n > 0 {
            let start = self.tail_start();
            let bytes = self.tail.split_to(n).freeze();
            self.pieces.push_back(Piece { start, bytes, charge: 0 });
        }
    }

    /// Lets go of the first `n` bytes, at most all.
    pub(crate) fn advance(&mut self, n: usize) {
        let mut left = n.min(self.len);
        self.start = self.start.wrapping_add(left as u64);
        self.len = self.len.saturating_sub(left);
        while left > 0 {
            let Some(front) = self.pieces.front_mut() else {
                self.tail.advance(left.min(self.tail.len()));
                break;
            };
            if front.bytes.len() > left {
                front.bytes.advance(left);
                front.start = front.start.wrapping_add(left as u64);
                break;
            }
            left = left.saturating_sub(front.bytes.len());
            self.memory = self.memory.saturating_sub(front.charge);
            self.pieces.pop_front();
        }
        self.release_if_empty();
    }

    fn release_if_empty(&mut self) {
        if self.len == 0 {
            *self = Self { start: self.start, ..Self::default() };
        }
    }

    /// Takes up to `max` bytes off the front as one buffer, without copying: at most what lies in a row.
    pub(crate) fn take(&mut self, max: usize) -> Option<Bytes> {
        let max = max.min(self.len);
        if max == 0 {
            return None;
        }
        let first = match self.pieces.front() {
            Some(piece) => piece.bytes.slice(..max.min(piece.bytes.len())),
            None => {
                self.freeze(max);
                self.pieces.front()?.bytes.clone()
            }
        };
        self.advance(first.len());
        Some(first)
    }

    /// The bytes, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let tail = (!self.tail.is_empty()).then_some(&*self.tail);
        self.pieces.iter().map(|piece| &*piece.bytes).chain(tail)
    }

    /// The piece that the byte at `offset` lies in; their number, if that is the tail.
    fn piece_of(&self, offset: usize) -> usize {
        self.pieces.partition_point(|piece| {
            piece.start.wrapping_sub(self.start).saturating_add(piece.bytes.len() as u64) <= offset as u64
        })
    }

    /// How many of the `len` bytes from `offset` on lie in `parts` slices, which is at least one.
    pub(crate) fn in_parts(&self, offset: usize, len: usize, parts: usize) -> usize {
        let end = match self.pieces.get(self.piece_of(offset)) {
            Some(piece) => piece.start.wrapping_add(piece.bytes.len() as u64),
            None => self.end(),
        };
        let in_a_row = end.wrapping_sub(self.start.wrapping_add(offset as u64));
        if len as u64 <= in_a_row && offset <= self.len {
            return len;
        }
        self.range(offset, len).take(parts).map(<[u8]>::len).sum()
    }

    /// The `len` bytes from `offset` on, in order.
    pub(crate) fn range(&self, offset: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let from = self.start.wrapping_add(offset as u64);
        let index = self.piece_of(offset);
        let tail = iter::once((self.tail_start(), &*self.tail));
        let pieces = self.pieces.iter().skip(index).map(|piece| (piece.start, &*piece.bytes));
        let mut left = len;
        pieces.chain(tail).map_while(move |(start, bytes)| {
            let skip =
                usize::try_from(from.wrapping_sub(start)).ok().filter(|n| *n <= bytes.len()).unwrap_or(0);
            let bytes = bytes.get(skip..)?;
            let bytes = bytes.get(..left.min(bytes.len()))?;
            left = left.saturating_sub(bytes.len());
            (!bytes.is_empty()).then_some(bytes)
        })
    }

    /// The `len` bytes from `offset` on as buffers that may be kept; what is not frozen is copied.
    pub(crate) fn shared(&self, offset: usize, len: usize) -> impl Iterator<Item = Bytes> {
        self.range(offset, len).map(move |part| {
            let owner = self.pieces.iter().find(|piece| {
                let range = piece.bytes.as_ptr_range();
                range.contains(&part.as_ptr())
            });
            owner.map_or_else(|| Bytes::copy_from_slice(part), |piece| piece.bytes.slice_ref(part))
        })
    }
}

/// The chunks that `more` bytes behind `len` are copied into: small for a trickle, large for a stream.
const fn chunk_size(len: usize, more: usize) -> usize {
    let total = len.saturating_add(more);
    if total <= SMALL {
        SMALL
    } else if total <= MEDIUM {
        MEDIUM
    } else {
        LARGE
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn contents(queue: &ChunkQueue) -> Vec<u8> {
        queue.iter().flatten().copied().collect()
    }

    /// What the queue must charge: every distinct allocation behind its pieces. With copied pushes only,
    /// that is whole chunks.
    fn check(queue: &ChunkQueue, model: &[u8]) {
        assert_eq!(contents(queue), model);
        assert_eq!(queue.len(), model.len());
        assert!(queue.memory >= queue.len());
        if model.is_empty() {
            assert_eq!(queue.memory(), 0);
        }
    }

    #[test]
    fn an_empty_queue_holds_nothing_and_a_byte_holds_a_small_chunk() {
        let mut queue = ChunkQueue::default();
        assert_eq!(queue.memory(), 0);
        queue.push(b"x");
        assert_eq!(queue.memory, SMALL);
        queue.advance(1);
        assert_eq!(queue.memory(), 0);
    }

    #[test]
    fn a_stream_uses_large_chunks_and_gives_them_back_one_by_one() {
        let mut queue = ChunkQueue::default();
        queue.push(&[7; 3 * LARGE]);
        assert_eq!(queue.memory, 3 * LARGE);
        queue.advance(LARGE);
        assert_eq!(queue.memory, 2 * LARGE);
        queue.advance(LARGE - 1);
        assert_eq!(queue.memory, 2 * LARGE);
        queue.advance(1);
        assert_eq!(queue.memory, LARGE);
    }

    #[test]
    fn a_chunk_cut_into_pieces_is_charged_until_its_last_byte_goes() {
        let mut queue = ChunkQueue::default();
        queue.push(&[1; 1000]);
        queue.freeze(400);
        queue.freeze(700);
        queue.advance(700);
        assert_eq!(queue.memory, SMALL);
        queue.push_shared(Bytes::from_static(&[2; 50]), 64);
        assert_eq!(queue.memory, SMALL + 64);
        queue.advance(300);
        assert_eq!(queue.memory, 64);
    }

    #[test]
    fn two_slices_of_one_buffer_in_a_row_are_charged_once_until_both_are_gone() {
        let buffer = Bytes::from(std::vec![5; 1000]);
        let mut queue = ChunkQueue::default();
        queue.push_shared(buffer.slice(..400), 1000);
        queue.push_shared(buffer.slice(400..), 1000);
        assert_eq!(queue.memory, 1000);
        queue.advance(400);
        assert_eq!(queue.memory, 1000);
        queue.push_shared(buffer.slice(..400), 1000);
        assert_eq!(queue.memory, 2000, "not in a row");
        queue.advance(600);
        assert_eq!(queue.memory, 1000);
    }

    /// Seen: whatever touched was taken for one allocation. With an allocator that puts buffers of one size side by
    /// side a queue of sixteen full ones was charged as one; and a large one, with a small one behind it, as the small.
    #[test]
    fn allocations_that_lie_side_by_side_are_charged_each() {
        let memory = Bytes::from(std::vec![5; 16_000]);
        let mut queue = ChunkQueue::default();
        for place in 0..16 {
            queue.push_shared(memory.slice(place * 1000..(place + 1) * 1000), 1000);
            assert_eq!(queue.memory, (place + 1) * 1000);
        }
        queue.advance(15_999);
        assert_eq!(queue.memory, 1000);

        let mut queue = ChunkQueue::default();
        queue.push_shared(memory.slice(..1000), 1000);
        queue.push_shared(memory.slice(1000..1010), 10);
        assert_eq!(queue.memory, 1010, "of another size");
        queue.push_shared(memory.slice(1010..1020), 10);
        assert_eq!(queue.memory, 1020, "longer than an allocation");

        // Halves of each: here an allocation is in two pieces, and begins in the middle of what touches.
        let mut queue = ChunkQueue::default();
        for place in 0..16 {
            queue.push_shared(memory.slice(place * 500..(place + 1) * 500), 1000);
        }
        assert_eq!(queue.memory, 8000);
    }

    #[test]
    fn a_run_that_fills_its_allocation_is_charged_once() {
        let memory = Bytes::from(std::vec![5; 4000]);
        let mut queue = ChunkQueue::default();
        for place in 0..8 {
            queue.push_shared(memory.slice(place * 500..(place + 1) * 500), 4000);
        }
        assert_eq!(queue.memory, 4000);
        queue.advance(3999);
        assert_eq!(queue.memory, 4000);
        queue.advance(1);
        assert_eq!(queue.memory(), 0);
    }

    #[test]
    fn shared_parts_of_frozen_bytes_are_not_copies() {
        let mut queue = ChunkQueue::default();
        queue.push(&[3; 5000]);
        queue.freeze(5000);
        let shared: Vec<Bytes> = queue.shared(1000, 2000).collect();
        let slices: Vec<&[u8]> = queue.range(1000, 2000).collect();
        assert_eq!(shared.len(), 1);
        assert_eq!(shared[0].as_ptr(), slices[0].as_ptr());
    }

    /// Seen: each hole that was filled below many pieces moved all of them.
    #[test]
    fn of_two_lists_the_shorter_moves_and_a_few_bytes_leave_their_chunk() {
        let pieces = |n: u8| {
            let mut queue = ChunkQueue::default();
            (0..n).for_each(|n| queue.push_shared(Bytes::copy_from_slice(&[n; 3000]), 3000));
            queue
        };
        for (before, after) in [(1, 100), (100, 1)] {
            let (first, second) = (pieces(before), pieces(after));
            let longer = if before > after { &first } else { &second };
            let place: *const Piece = &raw const longer.pieces[70];
            let both = first.followed_by(second);
            assert!(both.pieces.iter().any(|piece| core::ptr::eq(piece, place)), "{before} and {after}");
            assert_eq!(both.len(), 3000 * 101);
        }
        for (len, held) in [(SMALL / 4, SMALL / 4), (SMALL / 4 + 1, SMALL)] {
            let mut queue = ChunkQueue::default();
            queue.push(&std::vec![7; len]);
            let both = queue.followed_by(pieces(100));
            assert_eq!((both.len(), both.memory), (300_000 + len, 300_000 + held));
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(usize),
        Shared(usize),
        Advance(usize),
        Freeze(usize),
        Take(usize),
        Append(usize, usize),
        Prepend(usize, usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..40_000usize).prop_map(Op::Push),
            (0..3000usize).prop_map(Op::Push),
            (0..20_000usize).prop_map(Op::Shared),
            (0..60_000usize).prop_map(Op::Advance),
            (0..100_000usize).prop_map(Op::Freeze),
            (1..70_000usize).prop_map(Op::Take),
            (0..5000usize, 0..5000usize).prop_map(|(a, b)| Op::Append(a, b)),
            (0..5000usize, 0..5000usize).prop_map(|(a, b)| Op::Prepend(a, b)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_vector(ops in proptest::collection::vec(op(), 1..40)) {
            let mut queue = ChunkQueue::default();
            let mut model: Vec<u8> = Vec::new();
            let mut next = 0u8;
            let mut fresh = |n: usize| -> Vec<u8> {
                (0..n).map(|_| { next = next.wrapping_mul(31).wrapping_add(17); next }).collect()
            };
            for op in ops {
                match op {
                    Op::Push(n) => {
                        let data = fresh(n);
                        let (cost, before) = (queue.cost(n), queue.memory);
                        queue.push(&data);
                        prop_assert!(queue.memory <= before + cost);
                        model.extend(data);
                    }
                    Op::Shared(n) => {
                        let data = fresh(n);
                        queue.push_shared(Bytes::copy_from_slice(&data), n);
                        model.extend(data);
                    }
                    Op::Advance(n) => { queue.advance(n); model.drain(..n.min(model.len())); }
                    Op::Freeze(n) => queue.freeze(n),
                    Op::Take(n) => {
                        let taken = queue.take(n);
                        prop_assert_eq!(taken.is_none(), model.is_empty());
                        if let Some(taken) = taken {
                            prop_assert_eq!(&taken[..], &model[..taken.len()]);
                            model.drain(..taken.len());
                        }
                    }
                    Op::Append(a, b) => {
                        let mut other = ChunkQueue::default();
                        let data = fresh(a + b);
                        other.push(&data);
                        other.advance(a);
                        queue.append(other);
                        model.extend(&data[a..]);
                    }
                    Op::Prepend(a, b) => {
                        let mut first = ChunkQueue::default();
                        let data = fresh(a + b);
                        first.push(&data);
                        first.advance(a);
                        queue = first.followed_by(queue);
                        model.splice(..0, data[a..].iter().copied());
                    }
                }
                check(&queue, &model);
                let (from, to) = (model.len() / 3, model.len() / 2);
                let range: Vec<u8> = queue.range(from, to - from).flatten().copied().collect();
                for parts in 1..4 {
                    let held: usize = queue.range(from, to - from).take(parts).map(<[u8]>::len).sum();
                    prop_assert_eq!(queue.in_parts(from, to - from, parts), held);
                }
                prop_assert_eq!(&range[..], &model[from..to]);
                let shared: Vec<u8> = queue.shared(from, to - from).flatten().collect();
                prop_assert_eq!(&shared[..], &model[from..to]);
            }
            queue.advance(usize::MAX);
            prop_assert_eq!(queue.memory(), 0);
        }
    }
}
