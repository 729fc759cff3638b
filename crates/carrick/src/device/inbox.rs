//! The receiving end of a device: a buffer to read into, and somewhere to put what was read.
//!
//! Frames are handled as they are delivered, so the buffer is free again after each. A large frame may be kept
//! by reference: then its whole buffer is handed over and another takes its place. Packets that a device reads one
//! by one wait until it is known whether the next one goes on where they end, and are handled together if it does.

use super::buffers::{Buffers, Next};
use super::{Checksum, Meta};
use bytes::Bytes;
use std::ops::ControlFlow;

/// From this size on a frame is offered by reference; its payload may still be small enough to be copied.
const KEEP_FROM: usize = 16_384;

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
    /// The next frame is so many packets that the device read.
    fn merged(&mut self, packets: usize);
}

/// Where a device puts what it received.
///
/// Read a packet into [`buffer`](Self::buffer), then tell its length with [`received`](Self::received); or
/// hand over a frame that exists already with [`received_frame`](Self::received_frame). Each packet is
/// handled at once.
///
/// # Examples
/// ```
/// use carrick::device::{Inbox, Meta};
///
/// /// Delivers what `read` gives until it gives nothing, or the stack has enough.
/// fn deliver(inbox: &mut Inbox<'_>, mut read: impl FnMut(&mut [u8]) -> usize) {
///     loop {
///         let len = read(inbox.buffer());
///         if len == 0 || inbox.received(len, Meta::default()).is_break() {
///             return;
///         }
///     }
/// }
/// # let mut into = carrick::device::Collected::default();
/// # let mut left = 3;
/// # into.collect(|inbox| deliver(inbox, |_| { left -= 1; left }));
/// # assert_eq!(into.frames.len(), 2);
/// ```
pub struct Inbox<'a> {
    buffers: &'a mut Buffers,
    sink: &'a mut dyn Sink,
    merges: bool,
    /// What was flushed before the device had anything to be told: it is to stop.
    stops: bool,
}

impl<'a> Inbox<'a> {
    pub(crate) fn new(buffers: &'a mut Buffers, sink: &'a mut dyn Sink) -> Self {
        Self { buffers, sink, merges: true, stops: false }
    }

    /// Whether packets of a stream may be put together. Default: yes.
    pub(crate) fn merging(self, merges: bool) -> Self {
        Self { merges, ..self }
    }

    /// A buffer of at least 65,536 bytes to read one packet into; what is in it means nothing.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::{Collected, Meta};
    ///
    /// let mut into = Collected::default();
    /// let flow = into.collect(|inbox| {
    ///     inbox.buffer()[..3].copy_from_slice(b"abc");
    ///     inbox.received(3, Meta::default())
    /// });
    /// assert!(flow.is_continue());
    /// assert_eq!(into.frames[0].0, "abc");
    /// ```
    pub fn buffer(&mut self) -> &mut [u8] {
        self.flush_first();
        self.buffers.current()
    }

    /// Delivers the packet in the first `len` bytes of [`buffer`](Self::buffer).
    ///
    /// [`Break`](ControlFlow::Break) asks the device to stop here and return `Ready(Ok)`: it will be called
    /// again soon.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::{Collected, Meta};
    ///
    /// let mut into = Collected::default();
    /// let flow = into.collect(|inbox| {
    ///     inbox.buffer()[..3].copy_from_slice(b"abc");
    ///     inbox.received(3, Meta::default())
    /// });
    /// assert!(flow.is_continue());
    /// assert_eq!(into.frames[0].0, "abc");
    /// ```
    pub fn received(&mut self, len: usize, meta: Meta) -> ControlFlow<()> {
        let len = len.min(self.buffer().len());
        self.deliver(len, meta)
    }

    /// A buffer to read one packet of at most `largest` bytes into, for a device that reads packets one by one and
    /// knows nothing of them. What is in it means nothing.
    pub(crate) fn packet_buffer(&mut self, largest: usize) -> &mut [u8] {
        if !self.buffers.has_room(largest) {
            self.flush_first();
        }
        self.buffers.behind()
    }

    /// Delivers the packet in the first `len` bytes of [`packet_buffer`](Self::packet_buffer), by itself or with
    /// those before and behind it in its stream.
    ///
    /// [`Break`](ControlFlow::Break) as for [`received`](Self::received).
    pub(crate) fn received_packet(&mut self, len: usize) -> ControlFlow<()> {
        let flow = match self.buffers.take(len) {
            Next::Waits if self.merges => ControlFlow::Continue(()),
            Next::Waits | Next::Whole => self.flush(),
            Next::Alone(len) => self.deliver(len, Meta::default()),
            Next::Other(buffer, len) => {
                let before = self.flush();
                let then = match self.buffers.begin(buffer, len) {
                    Next::Alone(len) => self.deliver(len, Meta::default()),
                    _ => ControlFlow::Continue(()),
                };
                if before.is_break() { before } else { then }
            }
        };
        if self.stops { ControlFlow::Break(()) } else { flow }
    }

    /// As [`flush`](Self::flush), before the device reads; whether it is to stop it hears with what it has read.
    fn flush_first(&mut self) {
        self.stops |= self.flush().is_break();
    }

    /// Delivers what waits for more to come.
    pub(crate) fn flush(&mut self) -> ControlFlow<()> {
        let Some(run) = self.buffers.finish() else { return ControlFlow::Continue(()) };
        let mut meta = Meta { checksum: Checksum::Verified, ..Meta::default() };
        if run.packets > 1 {
            meta.segment_size = Some(run.segment_size);
            self.sink.merged(run.packets);
        }
        self.deliver(run.len, meta)
    }

    /// The packet in the first `len` bytes of the buffer.
    fn deliver(&mut self, len: usize, meta: Meta) -> ControlFlow<()> {
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
    ///
    /// # Examples
    /// ```
    /// use carrick::device::{Collected, Meta};
    ///
    /// let mut into = Collected::default();
    /// let _flow = into.collect(|inbox| inbox.received_frame("abc".into(), Meta::default()));
    /// assert_eq!(into.frames[0].0, "abc");
    /// ```
    pub fn received_frame(&mut self, frame: Bytes, meta: Meta) -> ControlFlow<()> {
        self.flush_first();
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
    ///
    /// # Examples
    /// ```
    /// use carrick::device::{Collected, Meta};
    ///
    /// let mut into = Collected::default();
    /// let parts = ["b".into(), "c".into()];
    /// let _flow = into.collect(|inbox| inbox.received_in_parts(b"a", &parts, 1, Meta::default()));
    /// assert_eq!(into.frames[0].0, "abc");
    /// ```
    pub fn received_in_parts(
        &mut self,
        head: &[u8],
        parts: &[Bytes],
        pinned: usize,
        meta: Meta,
    ) -> ControlFlow<()> {
        self.flush_first();
        self.sink.in_parts(head, parts, pinned, meta)
    }

    /// Counts something that the device received and could make nothing of, so that it is not a packet.
    ///
    /// [`Break`](ControlFlow::Break) as for [`received`](Self::received).
    ///
    /// # Examples
    /// ```
    /// use carrick::device::Collected;
    ///
    /// let mut into = Collected::default();
    /// let _flow = into.collect(|inbox| inbox.refuse());
    /// assert_eq!((into.frames.len(), into.refused), (0, 1));
    /// ```
    pub fn refuse(&mut self) -> ControlFlow<()> {
        self.sink.refused()
    }
}

impl std::fmt::Debug for Inbox<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// Collects frames instead of handling them, for using a device without a stack.
///
/// # Examples
/// ```
/// use carrick::device::{Collected, Meta};
///
/// let mut into = Collected::default();
/// let _flow = into.collect(|inbox| inbox.received_frame("abc".into(), Meta::default()));
/// assert_eq!(into.frames.len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Collected {
    /// What has been received: packet, checksum, segment size.
    pub frames: Vec<(Bytes, Checksum, Option<u16>)>,
    /// How often the device [refused](Inbox::refuse) what it received.
    pub refused: usize,
    /// Stop after this many frames. Default 0: never.
    pub limit: usize,
    /// Put packets of a stream together, as for a stack.
    pub(super) merges: bool,
    pub(super) buffers: Buffers,
}

impl Collected {
    /// Lets `receive` fill an inbox that puts its frames here.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use carrick::device::memory::{MemoryConfig, pair};
    /// use carrick::device::{Collected, Device, Packet};
    /// use std::future::poll_fn;
    ///
    /// let (near, far) = pair(MemoryConfig::default());
    /// near.send(&Packet::new(&[0x45; 40], &[], None))?;
    /// let mut into = Collected::default();
    /// poll_fn(|cx| into.collect(|inbox| far.poll_recv(cx, inbox))).await?;
    /// assert_eq!(into.frames[0].0.len(), 40);
    /// # Ok(())
    /// # }
    /// ```
    pub fn collect<R>(&mut self, receive: impl FnOnce(&mut Inbox<'_>) -> R) -> R {
        struct Into<'a>(&'a mut Vec<(Bytes, Checksum, Option<u16>)>, &'a mut usize, usize);
        impl Sink for Into<'_> {
            fn borrowed(&mut self, frame: &[u8], meta: Meta) -> ControlFlow<()> {
                self.shared(&Bytes::copy_from_slice(frame), frame.len(), meta)
            }
            fn shared(&mut self, frame: &Bytes, _pinned: usize, meta: Meta) -> ControlFlow<()> {
                self.0.push((frame.clone(), meta.checksum, meta.segment_size));
                if self.2 > 0 && self.0.len() >= self.2 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
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
            fn merged(&mut self, _packets: usize) {}
        }
        let mut sink = Into(&mut self.frames, &mut self.refused, self.limit);
        let mut inbox = Inbox::new(&mut self.buffers, &mut sink).merging(self.merges);
        let result = receive(&mut inbox);
        let _ = inbox.flush();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffers::{BUFFER, REMEMBERED};
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
