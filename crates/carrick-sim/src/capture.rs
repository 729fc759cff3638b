//! Exchanges in virtual time as a capture file.

use crate::packet::Packet;
use carrick_core::Instant;
use carrick_wire::pcapng::{self, Direction, PacketBlock};
use std::io::{self, Write};

/// Writes packets as pcapng, which Wireshark, tshark and tcpdump read. The beginning of the world is that of 1970.
///
/// # Examples
/// ```
/// use carrick_sim::{Capture, Packet, Span, at};
/// use carrick_wire::pcapng::Direction;
///
/// let mut capture = Capture::new(Vec::new())?;
/// # let header = carrick_wire::TcpHeader::default();
/// let packet = Packet::tcp([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 0, &header, b"hello");
/// capture.packet(at(3.ms()), Direction::Outbound, &packet)?;
/// assert!(capture.into_inner().windows(5).any(|bytes| bytes == b"hello"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Capture<W> {
    writer: W,
}

impl<W: Write> Capture<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut writer: W) -> io::Result<Self> {
        writer.write_all(&pcapng::section())?;
        writer.write_all(&pcapng::interface())?;
        Ok(Self { writer })
    }

    /// Writes a packet; a super-segment whole.
    ///
    /// # Errors
    /// What the writer says.
    pub fn packet(&mut self, now: Instant, direction: Direction, packet: &Packet) -> io::Result<()> {
        let len = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        let block = PacketBlock { time: now.as_nanos(), direction, len };
        let (tail, tail_len) = block.tail();
        self.writer.write_all(&block.head())?;
        self.writer.write_all(&packet.bytes)?;
        self.writer.write_all(&tail[..tail_len])
    }

    /// The writer, with all that was written.
    pub fn into_inner(self) -> W {
        self.writer
    }
}
