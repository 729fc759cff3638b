//! Segments for nobody (RFC 9293 §3.10.7.1).

use super::{Dispatch, Endpoint};
use crate::{DiscardReason, Segment, Tuple};
use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};

/// The reset that answers a segment (RFC 9293 §3.10.7.1). It carries the segment's timestamp back (RFC 7323
/// §5.2).
pub(super) fn reset_for(segment: &Segment<'_>) -> TcpHeader {
    let timestamps = segment.options.timestamps.map(|ts| Timestamps { val: 0, ecr: ts.val });
    let options = TcpOptions { timestamps, ..TcpOptions::default() };
    if segment.has(TcpFlags::ACK) {
        return TcpHeader { seq: segment.ack, flags: TcpFlags::RST, options, ..TcpHeader::default() };
    }
    TcpHeader {
        seq: SeqNum::new(0),
        ack: segment.seq + segment.len(),
        flags: TcpFlags::RST | TcpFlags::ACK,
        options,
        ..TcpHeader::default()
    }
}

impl Endpoint {
    /// A segment whose connection does not exist.
    pub(super) fn stray<'f>(&mut self, tuple: Tuple, segment: &Segment<'_>) -> Dispatch<'f> {
        if segment.has(TcpFlags::RST) && !fault!(self.config, ResetAnswered) {
            return self.discard(DiscardReason::StrayReset);
        }
        if self.replies_full() {
            return self.discard(DiscardReason::ReplyQueueFull);
        }
        let permitted = self.resets.permits(&self.keys, tuple.remote, self.clock);
        if !permitted && !fault!(self.config, RateUnlimited) {
            return self.discard(DiscardReason::RateLimited);
        }
        self.counters.resets = self.counters.resets.saturating_add(1);
        self.reply_tcp(&tuple, reset_for(segment));
        self.answered()
    }
}
