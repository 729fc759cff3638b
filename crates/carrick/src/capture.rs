//! Captures: packets of a stack or of one connection, written to a file that Wireshark and tshark open.

use crate::device::Packet;
use crate::watch::{Watch, tells};
use carrick_wire::Protocol;
use carrick_wire::pcapng::{self, Direction, PacketBlock};
use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tracing::Level;

/// A capture that runs, from [`Stack::capture`](crate::Stack::capture) or
/// [`TcpStream::capture`](crate::TcpStream::capture); it ends when this is dropped.
///
/// The file is pcapng, with times to the nanosecond on tokio's clock and each packet's direction. Packets are as the
/// device sees them: on one with offload, super-segments whole and checksums unfinished, which Wireshark does not mind
/// unless told to verify them. Packets to the stack's own addresses are there once, as sent.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, stack) = stacks()?;
/// let capture = stack.capture(Vec::new())?;
/// let _refused = carrick::TcpStream::connect(&stack, "192.0.2.1:9").await;
/// drop(capture); // ends it, and flushes the writer
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it ends the capture"]
pub struct Capture {
    recorder: Arc<Recorder>,
    captures: Arc<Captures>,
}

impl Capture {
    /// Ends the capture, flushes the writer and tells how many packets were written.
    ///
    /// # Errors
    /// What the writer said, now or at the packet with which the capture stopped.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// let capture = stack.capture(Vec::new())?;
    /// let _refused = carrick::TcpStream::connect(&stack, "192.0.2.1:9").await;
    /// assert_eq!(capture.finish()?, 2, "a SYN and a reset");
    /// # Ok(())
    /// # }
    /// ```
    pub fn finish(self) -> io::Result<u64> {
        self.captures.remove(&self.recorder);
        let mut file = self.recorder.file.lock();
        match file.failed.take() {
            Some(error) => Err(error),
            None => contained(|| file.writer.flush()).map(|()| file.packets),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.captures.remove(&self.recorder);
        let mut file = self.recorder.file.lock();
        if file.failed.is_none() {
            let _nobody_to_tell = contained(|| file.writer.flush());
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("packets", &self.recorder.file.lock().packets).finish_non_exhaustive()
    }
}

/// The captures of a stack.
pub(crate) struct Captures {
    watch: Arc<Watch>,
    /// Whether there are any: all that a packet pays for while there are none.
    any: AtomicBool,
    all: Mutex<Vec<Arc<Recorder>>>,
}

struct Recorder {
    /// The addresses of one connection, ours first; all packets if there are none.
    of: Option<(SocketAddr, SocketAddr)>,
    /// What the clocks said at the beginning.
    began: (Instant, Duration),
    file: Mutex<File>,
}

struct File {
    writer: Box<dyn Write + Send>,
    packets: u64,
    failed: Option<io::Error>,
}

impl Captures {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self { watch, any: AtomicBool::new(false), all: Mutex::default() }
    }

    /// Begins one.
    pub(crate) fn begin(
        self: &Arc<Self>,
        of: Option<(SocketAddr, SocketAddr)>,
        mut writer: Box<dyn Write + Send>,
    ) -> io::Result<Capture> {
        writer.write_all(&pcapng::section())?;
        writer.write_all(&pcapng::interface())?;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let recorder = Arc::new(Recorder {
            of,
            began: (Instant::now(), since_1970),
            file: Mutex::new(File { writer, packets: 0, failed: None }),
        });
        self.all.lock().push(Arc::clone(&recorder));
        self.any.store(true, Ordering::Relaxed);
        Ok(Capture { recorder, captures: Arc::clone(self) })
    }

    fn remove(&self, recorder: &Arc<Recorder>) {
        let mut all = self.all.lock();
        all.retain(|other| !Arc::ptr_eq(other, recorder));
        self.any.store(!all.is_empty(), Ordering::Relaxed);
    }

    /// Whether packets are to be seen as they are on the wire.
    pub(crate) fn are_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// To be called before a packet is offered to the device. While the result lives nothing else is captured, so that
    /// the answer to a packet never comes before it.
    pub(crate) fn before_sending(&self) -> Sending<'_> {
        Sending(&self.watch, self.are_any().then(|| self.all.lock()))
    }

    /// The device has delivered a packet.
    pub(crate) fn received<'p>(&self, head: &'p [u8], parts: impl Iterator<Item = &'p [u8]> + Clone) {
        if self.are_any() {
            record(&self.watch, &self.all.lock(), Direction::Inbound, head, parts);
        }
    }
}

/// A packet is being offered to the device.
pub(crate) struct Sending<'a>(&'a Arc<Watch>, Option<MutexGuard<'a, Vec<Arc<Recorder>>>>);

impl Sending<'_> {
    /// The device has taken it.
    pub(crate) fn sent(self, packet: &Packet<'_>) {
        if let Some(all) = self.1 {
            record(self.0, &all, Direction::Outbound, packet.header, packet.payload.iter().copied());
        }
    }
}

#[cold]
fn record<'p>(
    watch: &Arc<Watch>,
    recorders: &[Arc<Recorder>],
    direction: Direction,
    head: &'p [u8],
    parts: impl Iterator<Item = &'p [u8]> + Clone,
) {
    let ends = ends(head);
    for recorder in recorders {
        let wanted = recorder.of.is_none_or(|(ours, theirs)| match direction {
            Direction::Inbound => ends == Some((theirs, ours)),
            // What both ends within this stack send is never received.
            Direction::Outbound => ends == Some((ours, theirs)) || ends == Some((theirs, ours)),
        });
        if wanted {
            recorder.record(watch, direction, head, parts.clone());
        }
    }
}

impl Recorder {
    fn record<'p>(
        &self,
        watch: &Arc<Watch>,
        direction: Direction,
        head: &[u8],
        parts: impl Iterator<Item = &'p [u8]> + Clone,
    ) {
        let mut file = self.file.lock();
        if file.failed.is_some() {
            return;
        }
        let (began, since_1970) = self.began;
        let time = u64::try_from((since_1970 + began.elapsed()).as_nanos()).unwrap_or(u64::MAX);
        let len = parts.clone().fold(head.len(), |sum, part| sum + part.len());
        let block = PacketBlock { time, direction, len: u32::try_from(len).unwrap_or(u32::MAX) };
        let (tail, tail_len) = block.tail();
        let write = || {
            file.writer.write_all(&block.head())?;
            file.writer.write_all(head)?;
            for part in parts {
                file.writer.write_all(part)?;
            }
            file.writer.write_all(tail.get(..tail_len).unwrap_or_default())
        };
        match contained(write) {
            Ok(()) => file.packets += 1,
            Err(error) => {
                if tells(Level::WARN) {
                    let (error, packets) = (error.to_string(), file.packets);
                    watch.later(move || {
                        tracing::warn!(target: "carrick::capture", error, packets, "capture stopped");
                    });
                }
                file.failed = Some(error);
            }
        }
    }
}

/// Lets the writer do something. Its panic is an error, and none of whoever moves the packet, under whose locks it
/// happens.
fn contained(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let written = catch_unwind(AssertUnwindSafe(write));
    written.unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
}

/// Source and destination of a TCP packet without extension headers.
fn ends(packet: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let first = packet.first()?;
    let (protocol, src, dst, tcp) = if first >> 4 == 4 {
        let address = |at: usize| Some(IpAddr::from(*packet.get(at..)?.first_chunk::<4>()?));
        (packet.get(9)?, address(12)?, address(16)?, usize::from(first & 15) * 4)
    } else {
        let address = |at: usize| Some(IpAddr::from(*packet.get(at..)?.first_chunk::<16>()?));
        (packet.get(6)?, address(8)?, address(24)?, 40)
    };
    let port = |at: usize| Some(u16::from_be_bytes(*packet.get(tcp + at..)?.first_chunk()?));
    (*protocol == Protocol::TCP.0).then_some((SocketAddr::new(src, port(0)?), SocketAddr::new(dst, port(2)?)))
}
