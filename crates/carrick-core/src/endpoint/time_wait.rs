//! TIME-WAIT (RFC 9293 §3.10.7.4, RFC 1337, RFC 6191): what is left of a connection after both sides closed.
//!
//! The same functions serve the endpoint's records and a connection whose application has not let go yet.

use crate::event::TimeWaitRecord;
use crate::recv::{acceptable, check_timestamp, is_before};
use crate::{DiscardReason, Segment};
use carrick_wire::{SackBlocks, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps, Window};

/// Most answers to anything but a FIN, in the life of one record.
const MAX_ANSWERS: u8 = 10;

/// What a segment does to TIME-WAIT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It is dropped without a word.
    Drop(DiscardReason),
    /// It is dropped, and draws an ACK.
    Answer,
    /// The peer's FIN: it draws an ACK, and the wait begins anew.
    Restart,
    /// A reset ends the wait, where it may.
    Close,
    /// A SYN that opens a new incarnation, if a listener wants it (RFC 6191).
    Reopen,
}

/// The steps. `rfc1337`: no reset ends the wait (RFC 1337 §3, fix F1).
pub(crate) fn segment_arrives(record: &mut TimeWaitRecord, segment: &Segment<'_>, rfc1337: bool) -> Verdict {
    let [reset, syn, ack, fin] =
        [TcpFlags::RST, TcpFlags::SYN, TcpFlags::ACK, TcpFlags::FIN].map(|flag| segment.has(flag));
    let (nxt, window) = (record.rcv_nxt, record.window);
    // In place of timestamp and number: a SYN opens anew, or is an old duplicate (RFC 6191 §2).
    if syn && !ack && !reset {
        let reopens = may_reopen(record, segment.seq, segment.options.timestamps);
        return if reopens { Verdict::Reopen } else { Verdict::Drop(DiscardReason::UnexpectedSyn) };
    }
    match check_timestamp(record.timestamps, record.ts_recent(), segment) {
        Ok(()) => {}
        Err(DiscardReason::OldTimestamp) => return answer(record),
        Err(_) if record.tolerant => {}
        Err(missing) => return Verdict::Drop(missing),
    }
    // First, the sequence number. By it a FIN that comes again would draw an ACK and no more; by the eighth step
    // it begins the wait anew, which is why it comes again (§A.2).
    let len = if reset { 0 } else { segment.len() };
    if fin && !reset && !syn && segment.seq + len == nxt {
        return Verdict::Restart;
    }
    let fin_at_edge = segment.text.is_empty() && segment.seq == nxt;
    if !acceptable(nxt, window, segment.seq, len) && !fin_at_edge {
        return if reset { Verdict::Drop(DiscardReason::OutOfWindow) } else { answer(record) };
    }
    // Second, the RST bit.
    if reset {
        return match (rfc1337, segment.seq == nxt) {
            (true, _) => Verdict::Drop(DiscardReason::StrayReset),
            (false, true) => Verdict::Close,
            (false, false) => answer(record),
        };
    }
    // Third, security: no such thing (§A.1). Fourth, the SYN bit.
    if syn {
        return answer(record);
    }
    // Fifth, the ACK field.
    if !ack {
        return Verdict::Drop(DiscardReason::Unexpected);
    }
    if record.snd_nxt.distance_from(segment.ack) > record.max_age {
        return answer(record);
    }
    // Sixth and seventh: nothing is left to be urgent or read. Eighth, the FIN bit, in order.
    if fin && segment.seq.at_or_before(nxt) {
        return Verdict::Restart;
    }
    Verdict::Drop(DiscardReason::Unexpected)
}

/// An answer, of which there is a bounded number, so that no two can answer each other for ever.
fn answer(record: &mut TimeWaitRecord) -> Verdict {
    if record.answers >= MAX_ANSWERS {
        return Verdict::Drop(DiscardReason::Unexpected);
    }
    record.answers = record.answers.saturating_add(1);
    Verdict::Answer
}

/// Whether a SYN of that number may open a new incarnation of the tuple, which would use those timestamps
/// (RFC 6191 §2).
pub(crate) fn may_reopen(record: &TimeWaitRecord, seq: SeqNum, timestamps: Option<Timestamps>) -> bool {
    let newer_seq = seq.at_or_after(record.rcv_nxt);
    match (record.ts_recent(), timestamps) {
        (Some(recent), Some(timestamps)) if timestamps.val == recent => newer_seq,
        (Some(recent), Some(timestamps)) => is_before(recent, timestamps.val),
        (None, Some(_)) => true,
        (_, None) => newer_seq,
    }
}

/// The least initial sequence number of a new incarnation: beyond everything that the old one sent.
pub(crate) fn reopened_iss(record: &TimeWaitRecord, iss: SeqNum) -> SeqNum {
    if iss.after(record.snd_nxt) { iss } else { record.snd_nxt + 0x1_0000 }
}

/// The ACK that answers.
pub(crate) fn ack(record: &TimeWaitRecord, ts_now: u32) -> TcpHeader {
    let timestamps = record.ts_recent().map(|ecr| Timestamps { val: ts_now, ecr });
    TcpHeader {
        seq: record.snd_nxt,
        ack: record.rcv_nxt,
        flags: TcpFlags::ACK,
        window: Window::new(record.window).to_wire(record.scale),
        options: TcpOptions { timestamps, sack: SackBlocks::default(), ..TcpOptions::default() },
        ..TcpHeader::default()
    }
}
