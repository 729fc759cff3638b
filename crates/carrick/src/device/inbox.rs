//! The receiving end of a device: a buffer to read into, and somewhere to put what was read.
//!
//! Frames are handled as they are delivered, so the buffer is free again after each. A large frame may be kept
//! by reference: then its whole buffer is handed over and another takes its place, most recently freed first,
//! so that the same few stay in cache. Invariant: a buffer's bytes are initialised once, when it is allocated.

use super::{Checksum, Meta};
use bytes::{Bytes, BytesMut};
use std::ops::ControlFlow;

/// Size of a read buffer: the largest IP packet and some room for a device's own header.
const BUFFER: usize = 65_536 + 512;
/// From this size on a frame is offered by reference; its payload may still be small enough to be copied.
const KEEP_FROM: usize = 16_384;
/// Most handed-over buffers that are remembered for reuse.
const REMEMBERED: usize = 8;

/// Whoever handles frames.
pub(crate) trait Sink {
    /// A frame in a buffer that is the device's again after the call.
    fn borrowed(&mut self, frame: &[u8], meta: Meta) -> ControlFlow<()>;
    /// A frame that may be kept, at the cost of `pinned` bytes.
    fn shared(&mut self, frame: &Bytes, pinned: usize, meta: Meta) -> ControlFlow<()>;
    /// A frame of which only the head is in one piece; the parts may be kept, at the cost of `pinned` bytes
    /// each.
    fn in_parts(&mut self, head: &[u8], parts: &[Bytes], pinned: usize, meta: Meta) -> ControlFlow<()>;
    /// A frame that the device could make nothing of.
    fn refused(&mut self) -> ControlFlow<()>;
}

/// Where a device puts what it received.
///
/// Read a packet into [`buffer`](Self::buffer), then tell its length with [`received`](Self::received); or
/// hand over a frame that exists already with [`received_frame`](Self::received_frame). Each packet is
/// handled at once.
pub struct Inbox<'a> {
    buffers: &'a mut Buffers,
    sink: &'a mut dyn Sink,
}

impl<'a> Inbox<'a> {
    pub(crate) fn new(buffers: &'a mut Buffers, sink: &'a mut dyn Sink) -> Self {
        Self { buffers, sink }
    }

    /// A buffer of at least 65,536 bytes to read one packet into; what is in it means nothing.
    pub fn buffer(&mut self) -> &mut [u8] {
        self.buffers.current()
    }

    /// Delivers the packet in the first `len` bytes of [`buffer`](Self::buffer).
    ///
    /// [`Break`](ControlFlow::Break) asks the device to stop here and return `Ready(Ok)`: it will be called
    /// again soon.
    pub fn received(&mut self, len: usize, meta: Meta) -> ControlFlow<()> {
        let len = len.min(self.buffer().len());
        if len < KEEP_FROM {
            let frame = self.buffers.current().get(..len).unwrap_or_default();
            return self.sink.borrowed(frame, meta);
        }
        let whole = self.buffers.hand_over();
        let flow = self.sink.shared(&whole.slice(..len), whole.len(), meta);
        self.buffers.remember(whole);
        flow
    }

    /// Delivers a packet that owns its buffer, without a copy where it is large. The buffer should be little
    /// larger than the packet: keeping any of it is charged as if it were the packet alone.
    ///
    /// [`Break`](ControlFlow::Break) as for [`received`](Self::received).
    pub fn received_frame(&mut self, frame: Bytes, meta: Meta) -> ControlFlow<()> {
        if frame.len() < KEEP_FROM {
            return self.sink.borrowed(&frame, meta);
        }
        self.sink.shared(&frame, frame.len(), meta)
    }

    /// Delivers a TCP packet of which only the head, its headers and perhaps some payload, is in one piece, and
    /// the rest of the payload in at most [`MAX_PARTS`](carrick_core::MAX_PARTS) buffers, as
    /// [`Packet::keep_payload`](super::Packet::keep_payload) gives them. Keeping one of those is charged with
    /// `pinned` bytes.
    ///
    /// [`Break`](ControlFlow::Break) as for [`received`](Self::received).
    pub fn received_in_parts(
        &mut self,
        head: &[u8],
        parts: &[Bytes],
        pinned: usize,
        meta: Meta,
    ) -> ControlFlow<()> {
        self.sink.in_parts(head, parts, pinned, meta)
    }

    /// Counts something that the device received and could make nothing of, so that it is not a packet.
    ///
    /// [`Break`](ControlFlow::Break) as for [`received`](Self::received).
    pub fn refuse(&mut self) -> ControlFlow<()> {
        self.sink.refused()
    }
}

impl std::fmt::Debug for Inbox<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// The read buffers of one device task.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    current: Option<BytesMut>,
    handed_over: Vec<Bytes>,
}

impl Buffers {
    fn current(&mut self) -> &mut [u8] {
        let Self { current, handed_over } = self;
        current.get_or_insert_with(|| reclaim(handed_over).unwrap_or_else(|| BytesMut::zeroed(BUFFER)))
    }

    fn hand_over(&mut self) -> Bytes {
        self.current();
        self.current.take().unwrap_or_default().freeze()
    }

    fn remember(&mut self, whole: Bytes) {
        if self.handed_over.len() >= REMEMBERED {
            self.handed_over.remove(0);
        }
        self.handed_over.push(whole);
    }
}

/// Takes back the most recently handed-over buffer that nobody refers to any more.
fn reclaim(handed_over: &mut Vec<Bytes>) -> Option<BytesMut> {
    let free = handed_over.iter().rposition(Bytes::is_unique)?;
    handed_over.remove(free).try_into_mut().ok().filter(|buffer| buffer.len() == BUFFER)
}

/// Collects frames instead of handling them: for testing a device without a stack.
#[derive(Debug, Default)]
pub struct Collected {
    /// What has been received: packet, checksum, segment size.
    pub frames: Vec<(Bytes, Checksum, Option<u16>)>,
    /// How often the device [refused](Inbox::refuse) what it received.
    pub refused: usize,
    /// Stop after this many frames. Default 0: never.
    pub limit: usize,
    buffers: Buffers,
}

impl Collected {
    /// Lets `receive` fill an inbox that puts its frames here.
    pub fn collect<R>(&mut self, receive: impl FnOnce(&mut Inbox<'_>) -> R) -> R {
        struct Into<'a>(&'a mut Vec<(Bytes, Checksum, Option<u16>)>, &'a mut usize, usize);
        impl Sink for Into<'_> {
            fn borrowed(&mut self, frame: &[u8], meta: Meta) -> ControlFlow<()> {
                self.shared(&Bytes::copy_from_slice(frame), frame.len(), meta)
            }
            fn shared(&mut self, frame: &Bytes, _pinned: usize, meta: Meta) -> ControlFlow<()> {
                self.0.push((frame.clone(), meta.checksum, meta.segment_size));
                if self.0.len() == self.2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            fn in_parts(
                &mut self,
                head: &[u8],
                parts: &[Bytes],
                pinned: usize,
                meta: Meta,
            ) -> ControlFlow<()> {
                let whole: Bytes = head.iter().chain(parts.iter().flatten()).copied().collect();
                self.shared(&whole, pinned, meta)
            }
            fn refused(&mut self) -> ControlFlow<()> {
                *self.1 += 1;
                ControlFlow::Continue(())
            }
        }
        receive(&mut Inbox::new(
            &mut self.buffers,
            &mut Into(&mut self.frames, &mut self.refused, self.limit),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_frame_keeps_its_bytes_while_the_next_is_read_and_its_buffer_comes_back() {
        let mut into = Collected::default();
        let first = into.collect(|inbox| {
            inbox.buffer()[..20_000].fill(1);
            let first = inbox.buffer().as_ptr() as usize;
            assert!(inbox.received(20_000, Meta::default()).is_continue());
            inbox.buffer()[..20_000].fill(2);
            assert_ne!(inbox.buffer().as_ptr() as usize, first, "a kept buffer must not be read into");
            assert!(inbox.received(100, Meta::default()).is_continue());
            first
        });
        assert!(into.frames[0].0.iter().all(|byte| *byte == 1));
        assert_eq!(into.frames[1].0.len(), 100);
        into.frames.clear();
        into.collect(|inbox| {
            assert!(inbox.received(20_000, Meta::default()).is_continue());
            assert_eq!(inbox.buffer().as_ptr() as usize, first, "the freed buffer is used again");
            assert_eq!(inbox.buffer().len(), BUFFER);
        });
    }

    #[test]
    fn remembered_buffers_are_bounded() {
        let mut into = Collected::default();
        into.collect(|inbox| {
            for _ in 0..100 {
                assert!(inbox.received(BUFFER + 1, Meta::default()).is_continue());
            }
        });
        assert_eq!(into.buffers.handed_over.len(), REMEMBERED);
        assert!(into.frames.iter().all(|(frame, ..)| frame.len() == BUFFER));
    }
}
