//! Segments as scripts write them: `seg().seq(1).ack(1).data(b"hello")`.

use carrick_wire::{Ecn, TcpFlags};
use std::fmt;

/// Begins a segment without flags, numbers or text.
///
/// Sequence numbers are relative to the first one of whoever sends the segment, acknowledgments and SACK blocks
/// to the other's. The same words build what a script injects and say what it expects; in an expectation,
/// what is not mentioned (window, options, PSH, ECN) is not looked at, except that flags and text are always
/// compared.
#[must_use]
pub fn seg() -> Seg {
    Seg::default()
}

/// A segment to inject, or the likeness of one that is expected.
#[derive(Clone, Debug, Default)]
pub struct Seg {
    pub(crate) flags: TcpFlags,
    pub(crate) seq: Option<u32>,
    pub(crate) ack: Option<u32>,
    pub(crate) window: Option<u16>,
    pub(crate) urgent: u16,
    pub(crate) text: Text,
    pub(crate) mss: Option<Option<u16>>,
    pub(crate) window_scale: Option<Option<u8>>,
    pub(crate) sack_permitted: Option<bool>,
    pub(crate) timestamps: Option<Option<(u32, u32)>>,
    pub(crate) sack: Option<Vec<(u32, u32)>>,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) segment_size: Option<u16>,
    pub(crate) ports: Option<(u16, u16)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Text {
    #[default]
    None,
    Bytes(Vec<u8>),
    Len(usize),
}

impl Seg {
    fn flag(mut self, flag: TcpFlags) -> Self {
        self.flags |= flag;
        self
    }

    /// With SYN.
    #[must_use]
    pub fn syn(self) -> Self {
        self.flag(TcpFlags::SYN)
    }

    /// With FIN.
    #[must_use]
    pub fn fin(self) -> Self {
        self.flag(TcpFlags::FIN)
    }

    /// With RST.
    #[must_use]
    pub fn rst(self) -> Self {
        self.flag(TcpFlags::RST)
    }

    /// With PSH.
    #[must_use]
    pub fn psh(self) -> Self {
        self.flag(TcpFlags::PSH)
    }

    /// With ECE.
    #[must_use]
    pub fn ece(self) -> Self {
        self.flag(TcpFlags::ECE)
    }

    /// With CWR.
    #[must_use]
    pub fn cwr(self) -> Self {
        self.flag(TcpFlags::CWR)
    }

    /// With URG and an urgent pointer.
    #[must_use]
    pub fn urg(mut self, pointer: u16) -> Self {
        self.urgent = pointer;
        self.flag(TcpFlags::URG)
    }

    /// With exactly these flags.
    #[must_use]
    pub fn flags(mut self, flags: TcpFlags) -> Self {
        self.flags = flags;
        self
    }

    /// SEG.SEQ, relative. Left out: the next number of the peer (injected), any (expected).
    #[must_use]
    pub fn seq(mut self, seq: u32) -> Self {
        self.seq = Some(seq);
        self
    }

    /// With ACK, and SEG.ACK, relative.
    #[must_use]
    pub fn ack(mut self, ack: u32) -> Self {
        self.ack = Some(ack);
        self.flag(TcpFlags::ACK)
    }

    /// SEG.WND as carried, not scaled. Left out: the peer's usual one (injected), any (expected).
    #[must_use]
    pub fn window(mut self, window: u16) -> Self {
        self.window = Some(window);
        self
    }

    /// With that text.
    #[must_use]
    pub fn data(mut self, data: impl AsRef<[u8]>) -> Self {
        self.text = Text::Bytes(data.as_ref().to_vec());
        self
    }

    /// With so many bytes of text: [`pattern`] from the segment's sequence number on (injected), any (expected).
    #[must_use]
    pub fn len(mut self, len: usize) -> Self {
        self.text = Text::Len(len);
        self
    }

    /// With an MSS option.
    #[must_use]
    pub fn mss(mut self, mss: u16) -> Self {
        self.mss = Some(Some(mss));
        self
    }

    /// With a window scale option.
    #[must_use]
    pub fn window_scale(mut self, shift: u8) -> Self {
        self.window_scale = Some(Some(shift));
        self
    }

    /// With or without SACK-permitted.
    #[must_use]
    pub fn sack_permitted(mut self, permitted: bool) -> Self {
        self.sack_permitted = Some(permitted);
        self
    }

    /// With a timestamps option.
    #[must_use]
    pub fn ts(mut self, val: u32, ecr: u32) -> Self {
        self.timestamps = Some(Some((val, ecr)));
        self
    }

    /// Without timestamps, even where they were agreed on.
    #[must_use]
    pub fn no_ts(mut self) -> Self {
        self.timestamps = Some(None);
        self
    }

    /// Without any option that a SYN carries by default.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.mss = Some(None);
        self.window_scale = Some(None);
        self.sack_permitted = Some(false);
        self.no_ts()
    }

    /// With exactly these SACK blocks, relative, in this order.
    #[must_use]
    pub fn sack(mut self, blocks: &[(u32, u32)]) -> Self {
        self.sack = Some(blocks.to_vec());
        self
    }

    /// With this ECN field in the IP header.
    #[must_use]
    pub fn ecn(mut self, ecn: Ecn) -> Self {
        self.ecn = Some(ecn);
        self
    }

    /// As a super-segment of segments of this size.
    #[must_use]
    pub fn segment_size(mut self, size: u16) -> Self {
        self.segment_size = Some(size);
        self
    }

    /// From this port to that one, instead of the conversation's.
    #[must_use]
    pub fn ports(mut self, src: u16, dst: u16) -> Self {
        self.ports = Some((src, dst));
        self
    }
}

impl fmt::Display for Seg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.flags)?;
        let mut word = |name: &str, value: Option<String>| match value {
            Some(value) => write!(f, " {name} {value}"),
            None => Ok(()),
        };
        word("seq", self.seq.map(|n| n.to_string()))?;
        word("ack", self.ack.map(|n| n.to_string()))?;
        word("win", self.window.map(|n| n.to_string()))?;
        word("mss", self.mss.map(|n| format!("{n:?}")))?;
        word("wscale", self.window_scale.map(|n| format!("{n:?}")))?;
        word("sackOK", self.sack_permitted.map(|n| n.to_string()))?;
        word("TS", self.timestamps.map(|n| format!("{n:?}")))?;
        word("sack", self.sack.as_ref().map(|n| format!("{n:?}")))?;
        word("ECN", self.ecn.map(|n| format!("{n:?}")))?;
        word("in segments of", self.segment_size.map(|n| n.to_string()))?;
        word("length", Some(self.text.len().to_string()))
    }
}

impl Text {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Len(len) => *len,
        }
    }
}

/// `len` bytes of a stream in which no two places look alike, from position `start` on.
#[must_use]
pub fn pattern(start: u64, len: usize) -> Vec<u8> {
    let word = |at: u64| crate::rng::mix((at / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes();
    let mut bytes = vec![0; len];
    let within = (start % 8) as usize;
    let (head, rest) = bytes.split_at_mut(((8 - within) % 8).min(len));
    head.copy_from_slice(&word(start)[within..within + head.len()]);
    let (whole, tail) = rest.as_chunks_mut::<8>();
    let mut at = start.next_multiple_of(8);
    for part in whole {
        *part = word(at);
        at += 8;
    }
    tail.copy_from_slice(&word(at)[..tail.len()]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_same_from_wherever_one_looks() {
        let whole = pattern(0, 1000);
        for start in 0..30 {
            for len in 0..40 {
                assert_eq!(pattern(start as u64, len), whole[start..start + len], "{len} from {start}");
            }
        }
        assert_ne!(whole[..8], whole[8..16]);
    }
}
