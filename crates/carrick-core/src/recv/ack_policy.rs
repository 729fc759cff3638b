//! When text is acknowledged: at once, or with what we send next (RFC 9293 §3.8.6.3, RFC 5681 §4.2).
//!
//! At once: every second segment of any size, or two of full size in bytes; text that fills a gap; the first
//! segments of a connection, after idleness and after trouble, while the peer's window grows by the ACKs that it
//! gets. Everything else waits for text of our own to ride on, or for the timer. PSH changes nothing.
//!
//! A conversation in which our text follows the peer's within the delay is *interactive*: then text is not
//! acknowledged early, because the answer will do it. The first ACK that had to wait in vain ends that.

use core::time::Duration;

/// Segments acknowledged at once at the beginning of a connection, after idleness and after trouble: as many as
/// Linux does, a sender's first few windows.
const QUICK: u8 = 16;

/// What has been taken in order and not been acknowledged, and how eager we are.
#[derive(Clone, Debug, Hash)]
pub(crate) struct AckPolicy {
    bytes: u32,
    /// Segments on the wire: a super-segment counts for all that it stands for.
    segments: u8,
    /// How many more segments are acknowledged at once.
    quick: u8,
    interactive: bool,
    /// There was trouble since the last ACK: the one that tells of it is none of the quick ones.
    trouble: bool,
}

/// Text that has just been taken in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) bytes: u32,
    /// How many segments on the wire brought it.
    pub(crate) segments: usize,
    /// It filled a gap, or a part of one.
    pub(crate) filled: bool,
    /// No text had come for at least a retransmission timeout.
    pub(crate) after_idle: bool,
}

impl AckPolicy {
    pub(crate) const fn new() -> Self {
        Self { bytes: 0, segments: 0, quick: QUICK, interactive: false, trouble: false }
    }

    /// Whether the text is to be acknowledged at once; `mss` is the RFC's RMSS.
    pub(crate) fn at_once(&mut self, arrival: Arrival, mss: u16) -> bool {
        self.bytes = self.bytes.saturating_add(arrival.bytes);
        self.segments = self.segments.saturating_add(u8::try_from(arrival.segments).unwrap_or(u8::MAX));
        if arrival.after_idle && !self.interactive {
            self.quick = QUICK;
        }
        let two_full = self.bytes >= u32::from(mss).saturating_mul(2);
        arrival.filled || self.segments >= 2 || two_full || self.is_quick()
    }

    /// Whether the next segment is acknowledged at once, whatever it brings.
    pub(crate) const fn is_quick(&self) -> bool {
        self.quick > 0 && !self.interactive
    }

    /// Text came twice or out of order: the peer has lost something, and recovers by our ACKs.
    pub(crate) const fn on_trouble(&mut self) {
        self.quick = QUICK;
        self.interactive = false;
        self.trouble = true;
    }

    /// An ACK has left; `answering` says that it went with text of ours soon after the peer's.
    pub(crate) fn on_sent(&mut self, answering: bool) {
        if !core::mem::take(&mut self.trouble) {
            self.quick = self.quick.saturating_sub(self.segments);
        }
        self.bytes = 0;
        self.segments = 0;
        self.interactive |= answering;
    }

    /// The ACK waited in vain for something to ride on.
    pub(crate) const fn on_delay_over(&mut self) {
        self.interactive = false;
    }

    /// The application knows better, for now.
    pub(crate) const fn set(&mut self, quick: bool) {
        self.quick = if quick { QUICK } else { 0 };
        self.interactive = !quick;
    }

    /// Whether anything taken has not been acknowledged.
    pub(crate) const fn owes(&self) -> bool {
        self.bytes > 0
    }
}

/// The longest that an ACK may wait: less than half a second (RFC 9293 MUST-40).
pub(crate) const MAX_DELAY: Duration = Duration::from_millis(499);

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> AckPolicy {
        AckPolicy { quick: 0, ..AckPolicy::new() }
    }

    fn text(bytes: u32, segments: usize) -> Arrival {
        Arrival { bytes, segments, filled: false, after_idle: false }
    }

    #[test]
    fn every_second_segment_whatever_its_size() {
        for bytes in [1, 730, 1460] {
            let mut policy = policy();
            for _ in 0..5 {
                assert!(!policy.at_once(text(bytes, 1), 1460));
                assert!(policy.at_once(text(bytes, 1), 1460));
                policy.on_sent(false);
            }
        }
    }

    #[test]
    fn a_super_segment_counts_for_what_it_stands_for() {
        assert!(policy().at_once(text(44 * 1460, 44), 1460));
        assert!(policy().at_once(text(2920, 1), 1460), "also where its segment size is not known");
        assert!(!policy().at_once(text(2919, 1), 1460));
    }

    #[test]
    fn sixteen_segments_are_acknowledged_at_once() {
        let mut policy = AckPolicy::new();
        for _ in 0..16 {
            assert!(policy.at_once(text(1460, 1), 1460));
            policy.on_sent(false);
        }
        assert!(!policy.at_once(text(1460, 1), 1460));
    }
}
