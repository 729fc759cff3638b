//! Text of a segment: where it lies, who owns it, what keeping it costs.

use crate::queue::ChunkQueue;
use bytes::Bytes;

/// Pieces from this size on are kept as slices of the buffer that they came in.
const KEEP: usize = 16 << 10;

/// Text of a segment: some bytes beside the headers, then buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'f> {
    head: &'f [u8],
    /// Who owns the head, where it starts there, and what keeping it costs.
    owner: Option<(&'f Bytes, usize, usize)>,
    parts: &'f [Bytes],
    /// What keeping one of the parts costs.
    pinned: usize,
    /// Bytes to leave out at the front of the parts.
    skip: usize,
    len: usize,
}

impl<'f> Text<'f> {
    pub(crate) fn new(
        head: &'f [u8],
        owner: Option<(&'f Bytes, usize, usize)>,
        (parts, pinned): (&'f [Bytes], usize),
    ) -> Self {
        let len = parts.iter().fold(head.len(), |sum, part| sum.saturating_add(part.len()));
        Self { head, owner, parts, pinned, skip: 0, len }
    }

    #[cfg(test)]
    pub(crate) fn copied(bytes: &'f [u8]) -> Self {
        Self::new(bytes, None, (&[], 0))
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All but the first `n` bytes.
    pub(crate) fn from(self, n: usize) -> Self {
        let n = n.min(self.len);
        let of_head = n.min(self.head.len());
        Self {
            head: self.head.get(of_head..).unwrap_or_default(),
            owner: self.owner.map(|(owner, at, cost)| (owner, at.saturating_add(of_head), cost)),
            skip: self.skip.saturating_add(n.saturating_sub(of_head)),
            len: self.len.saturating_sub(n),
            ..self
        }
    }

    /// The first `n` bytes at most.
    pub(crate) fn up_to(self, n: usize) -> Self {
        Self { head: self.head.get(..n).unwrap_or(self.head), len: self.len.min(n), ..self }
    }

    /// The pieces in order: bytes, the buffer that they are a range of, what keeping it costs.
    fn pieces(&self) -> impl Iterator<Item = (&'f [u8], Option<(&'f Bytes, usize, usize)>)> {
        let Self { head, owner, parts, pinned, mut skip, len } = *self;
        let mut left = len.saturating_sub(head.len());
        let parts = parts.iter().filter_map(move |part| {
            let at = skip.min(part.len());
            skip = skip.saturating_sub(at);
            let bytes = part.get(at..)?;
            let bytes = bytes.get(..left).unwrap_or(bytes);
            left = left.saturating_sub(bytes.len());
            Some((bytes, Some((part, at, pinned))))
        });
        core::iter::once((head, owner)).chain(parts).filter(|(bytes, _)| !bytes.is_empty())
    }

    pub(crate) fn push_to(&self, queue: &mut ChunkQueue) {
        if self.is_small() {
            return queue.push(self.head);
        }
        for (bytes, owner) in self.pieces() {
            // Beside what is kept a copy gets a buffer of its own size: the rest of a chunk would be lost.
            let (bytes, cost) =
                kept(bytes, owner).unwrap_or_else(|| (Bytes::copy_from_slice(bytes), bytes.len()));
            queue.push_shared(bytes, cost);
        }
    }

    /// Whether it is copied into the queue's chunk, as text of one segment is.
    const fn is_small(&self) -> bool {
        self.parts.is_empty() && self.head.len() < KEEP
    }

    /// What `push_to` would add to what the queue holds, at most.
    pub(crate) fn cost(&self, queue: &ChunkQueue) -> usize {
        if self.is_small() {
            return queue.cost(self.head.len());
        }
        let cost = |(bytes, owner): (&[u8], Option<(&Bytes, usize, usize)>)| match owner {
            Some((.., cost)) if bytes.len() >= KEEP => cost,
            _ => bytes.len(),
        };
        self.pieces().map(cost).fold(0, usize::saturating_add)
    }
}

/// The bytes as a slice of their owner, if they are worth keeping, and what that costs.
fn kept(bytes: &[u8], owner: Option<(&Bytes, usize, usize)>) -> Option<(Bytes, usize)> {
    let (owner, at, cost) = owner.filter(|_| bytes.len() >= KEEP)?;
    let end = at.checked_add(bytes.len()).filter(|end| *end <= owner.len())?;
    Some((owner.slice(at..end), cost))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn large_text_stays_where_it_came_to_the_last_byte_and_small_text_is_copied() {
        let frame = Bytes::from(std::vec![7; 40 + KEEP]);
        for (len, stays) in [(KEEP, true), (KEEP - 1, false)] {
            let text = &frame[40..40 + len];
            let mut queue = ChunkQueue::default();
            Text::new(text, Some((&frame, 40, 65_536)), (&[], 0)).push_to(&mut queue);
            let there: Vec<&[u8]> = queue.iter().collect();
            assert_eq!(there, [text]);
            assert_eq!(there[0].as_ptr() == text.as_ptr(), stays, "{len} bytes");
        }
    }

    /// Every cut of a text made of every mix of small and large pieces.
    #[test]
    fn every_cut_gives_the_bytes_between() {
        let bytes =
            |n: usize, salt: u8| -> Bytes { (0..n).map(|i| (i as u8).wrapping_mul(7) ^ salt).collect() };
        let (large, small) = (bytes(20_000, 1), bytes(100, 2));
        let frame = bytes(30_000, 3);
        let parts = [large.clone(), small.clone(), large];
        for head in [0..0, 0..50, 9_000..29_000] {
            for parts in [&parts[..0], &parts[..1], &parts[..]] {
                let text =
                    Text::new(&frame[head.clone()], Some((&frame, head.start, 65_536)), (parts, 65_536));
                let whole: Vec<u8> =
                    frame[head.clone()].iter().chain(parts.iter().flatten()).copied().collect();
                assert_eq!(text.len(), whole.len());
                for from in [0, 1, 49, 50, 51, 19_999, 20_000, 20_050, whole.len()] {
                    for len in [0, 1, 50, 100, 16_384, 25_000, whole.len()] {
                        let from = from.min(whole.len());
                        let cut = text.from(from).up_to(len);
                        let until = (from + len).min(whole.len());
                        let mut queue = ChunkQueue::default();
                        let cost = cut.cost(&queue);
                        cut.push_to(&mut queue);
                        let pushed: Vec<u8> = queue.iter().flatten().copied().collect();
                        assert_eq!(pushed, whole[from..until]);
                        // The list of pieces comes on top.
                        assert!(queue.memory() <= cost + 2048, "{} > {cost}", queue.memory());
                    }
                }
            }
        }
    }
}
