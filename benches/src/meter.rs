//! What goes over the wire, by sequence numbers: what is sent again, and what of it comes to somebody who has it.

use carrick_sim::Ranges;
use carrick_wire::{IpView, Protocol, TcpFlags, TcpView};

/// A TCP packet.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Its number.
    pub seq: u32,
    /// What it acknowledges.
    pub ack: u32,
    /// Bytes of text.
    pub len: u32,
    /// Whether the stream begins with it.
    pub syn: bool,
}

impl Segment {
    /// None of what is no TCP packet.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        let ip = IpView::parse(packet).ok()?;
        if ip.protocol() != Protocol::TCP || ip.fragment().is_some() {
            return None;
        }
        let tcp = TcpView::parse(ip.payload()).ok()?;
        Some(Self {
            seq: tcp.seq().get(),
            ack: tcp.ack().get(),
            len: u32::try_from(ip.payload().len() - tcp.header_len()).ok()?,
            syn: tcp.flags().intersects(TcpFlags::SYN),
        })
    }
}

/// Where packets are in their stream: numbers that do not wrap, from the first byte of text on.
#[derive(Debug, Default)]
pub struct Stream {
    /// The number of the first byte.
    start: Option<u32>,
    /// Where the last packet began.
    near: i64,
}

impl Stream {
    /// Where the text of a packet is; none of a packet without any.
    pub fn place(&mut self, segment: Segment) -> Option<(u64, u64)> {
        if segment.syn {
            self.start = Some(segment.seq.wrapping_add(1));
        }
        let start = self.start.filter(|_| segment.len > 0)?;
        self.near += i64::from(segment.seq.wrapping_sub(start).wrapping_sub(self.near as u32).cast_signed());
        let from = u64::try_from(self.near).ok()?;
        Some((from, from + u64::from(segment.len)))
    }
}

/// What has left the sender.
#[derive(Debug, Default)]
pub struct Sent {
    stream: Stream,
    highest: u64,
    /// Bytes of text, each as often as it was sent.
    pub bytes: u64,
    /// Of those, what had been sent before.
    pub again: u64,
}

impl Sent {
    /// A packet leaves; where its text is.
    pub fn packet(&mut self, segment: Segment) -> Option<(u64, u64)> {
        let (from, to) = self.stream.place(segment)?;
        self.bytes += to - from;
        self.again += self.highest.min(to).saturating_sub(from);
        self.highest = self.highest.max(to);
        Some((from, to))
    }

    /// How many bytes a packet from the receiver acknowledges.
    #[must_use]
    pub fn acknowledged(&self, segment: Segment) -> u64 {
        let Some(start) = self.stream.start else { return 0 };
        let behind = start.wrapping_add(self.highest as u32).wrapping_sub(segment.ack);
        self.highest.saturating_sub(behind.into())
    }
}

/// What has come out of the link, on its way to the receiver.
#[derive(Debug, Default)]
pub struct Arrived {
    stream: Stream,
    /// The packet before.
    last: Vec<u8>,
    there: Ranges,
    highest: u64,
    /// Bytes that came though they were there, copies that the link had made apart.
    pub needless: u64,
    /// As many besides, which ended where the stream did: probes for a lost tail.
    pub needless_probes: u64,
    /// Packets that the link had made two of.
    pub copies: u64,
}

impl Arrived {
    /// A packet has come.
    pub fn packet(&mut self, packet: &[u8]) {
        let Some((from, to)) = Segment::of(packet).and_then(|segment| self.stream.place(segment)) else {
            return;
        };
        let had = to - from - self.there.insert(from, to);
        // The link's copy comes right behind the packet and is the same, its timestamp and all.
        if self.last == packet {
            self.copies += 1;
        } else if to == self.highest {
            self.needless_probes += had;
        } else {
            self.needless += had;
        }
        self.highest = self.highest.max(to);
        packet.clone_into(&mut self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrick_wire::{SeqNum, TcpHeader};

    /// A packet with `len` bytes of text, of a stream whose first byte is the last before numbers begin anew.
    fn packet(from: u32, len: usize, syn: bool, tag: u16) -> Vec<u8> {
        let seq = SeqNum::new(u32::MAX.wrapping_add(from).wrapping_sub(u32::from(syn)));
        let flags = if syn { TcpFlags::SYN } else { TcpFlags::ACK };
        let tcp =
            TcpHeader { seq, flags, window: carrick_wire::WireWindow::new(tag), ..TcpHeader::default() };
        let ends = [[192, 0, 2, 1], [192, 0, 2, 2]].map(std::net::IpAddr::from);
        let header_len = tcp.header_len();
        let ip = carrick_wire::IpHeader {
            payload_len: header_len + len,
            ..carrick_wire::IpHeader::new(ends[0], ends[1], Protocol::TCP)
        };
        let mut bytes = vec![0; ip.header_len() + header_len + len];
        ip.emit(&mut bytes).expect("room");
        let at = ip.header_len();
        tcp.emit(&mut bytes[at..]).expect("room");
        bytes
    }

    #[test]
    fn what_comes_again_is_needless_unless_the_link_made_it() {
        let mut arrived = Arrived::default();
        let mut sent = Sent::default();
        let mut both = |from, len, syn, tag| {
            let packet = packet(from, len, syn, tag);
            sent.packet(Segment::of(&packet).expect("a segment"));
            arrived.packet(&packet);
        };
        both(0, 0, true, 0);
        both(0, 1000, false, 1);
        both(2000, 1000, false, 2);
        // The link's copy.
        both(2000, 1000, false, 2);
        // Half of it new; a probe of the tail; the hole; all of it again.
        both(2500, 1000, false, 3);
        both(3000, 500, false, 6);
        both(1000, 1000, false, 4);
        both(500, 2000, false, 5);
        assert_eq!((arrived.copies, arrived.needless_probes, arrived.needless), (1, 500, 2500));
        assert_eq!((arrived.there.first(), arrived.there.bytes()), (3500, 3500));
        assert_eq!((sent.bytes, sent.again), (7500, 1000 + 500 + 500 + 1000 + 2000));
        let answer = Segment { seq: 0, ack: u32::MAX.wrapping_add(1000), len: 0, syn: false };
        assert_eq!(sent.acknowledged(answer), 1000);
    }
}
