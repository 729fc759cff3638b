//! What goes over the wire for one direction of a connection: what is sent again, and what of it was needless.

use super::Ranges;
use crate::packet::Packet;
use carrick_wire::{IpView, Protocol, SeqNum, TcpFlags, TcpView};

/// Where the text of a packet is in its stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Text {
    seq: SeqNum,
    len: u64,
    syn: bool,
}

impl Text {
    /// None of what is no TCP packet. The checksum is not looked at.
    pub(super) fn of(packet: &Packet) -> Option<Self> {
        let ip = IpView::parse(&packet.bytes[..]).ok()?;
        if ip.protocol() != Protocol::TCP || ip.fragment().is_some() {
            return None;
        }
        let tcp = TcpView::parse(ip.payload_slice()).ok()?;
        let len = tcp.payload_slice().len() as u64;
        Some(Self { seq: tcp.seq(), len, syn: tcp.flags().intersects(TcpFlags::SYN) })
    }
}

/// Sees what leaves the sender and what comes to the receiver.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The number of the stream's first byte.
    start: Option<SeqNum>,
    /// Bytes of the stream that have been sent.
    highest: u64,
    /// Bytes of text that were sent, each as often as it was.
    pub(super) sent: u64,
    /// Of those, what had been sent before.
    pub(super) resent: u64,
    /// Packets with text that had been sent before, at least in part.
    pub(super) resent_packets: u64,
    had: Ranges,
    /// Bytes of text that came to the receiver, which had them already, copies made by the network apart.
    pub(super) needless: u64,
}

impl Meter {
    /// A packet leaves the sender; from where to where in the stream its text is, and how much of it was sent before.
    pub(super) fn sent(&mut self, text: Text) -> Option<(u64, u64, u64)> {
        if text.syn {
            self.start = Some(text.seq + 1);
        }
        let from = self.offset(text, self.highest)?;
        let again = self.highest.saturating_sub(from).min(text.len);
        self.highest = self.highest.max(from + text.len);
        self.sent += text.len;
        self.resent += again;
        self.resent_packets += u64::from(again > 0);
        Some((from, from + text.len, again))
    }

    /// A packet comes to the receiver. A `copy` is the second of two.
    pub(super) fn arrived(&mut self, text: Text, copy: bool) {
        let Some(from) = self.offset(text, self.had.first()) else { return };
        let fresh = self.had.insert(from, from + text.len);
        if !copy {
            self.needless += text.len - fresh;
        }
    }

    /// Where in the stream the text begins, which is not far from `near`.
    fn offset(&self, text: Text, near: u64) -> Option<u64> {
        let start = self.start.filter(|_| text.len > 0)?;
        let expected = start + near as u32;
        near.checked_add_signed(i64::from(text.seq - expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_and_needless_is_counted_round_the_seam() {
        let text = |seq: u32, len| Text { seq: SeqNum::new(seq), len, syn: false };
        let mut meter = Meter::default();
        assert_eq!(meter.sent(text(5, 10)), None, "nobody knows where that is");
        meter.sent(Text { seq: SeqNum::new(u32::MAX - 1000), len: 0, syn: true });
        assert_eq!(meter.sent(text(u32::MAX - 999, 600)), Some((0, 600, 0)));
        assert_eq!(meter.sent(text(u32::MAX - 399, 600)), Some((600, 1200, 0)));
        assert_eq!(meter.sent(text(u32::MAX - 499, 600)), Some((500, 1100, 600)));
        assert_eq!(meter.sent(text(100, 300)), Some((1100, 1400, 100)));
        assert_eq!((meter.sent, meter.resent, meter.resent_packets), (2100, 700, 2));
        meter.arrived(text(u32::MAX - 399, 600), false);
        meter.arrived(text(u32::MAX - 399, 600), true);
        assert_eq!(meter.needless, 0);
        meter.arrived(text(u32::MAX - 499, 600), false);
        assert_eq!(meter.needless, 500);
        meter.arrived(text(u32::MAX - 999, 600), false);
        assert_eq!((meter.needless, meter.had.first()), (600, 1200));
    }
}
