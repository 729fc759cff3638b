//! TIME-WAIT (RFC 9293 §3.10.7.4, RFC 1337, RFC 6191): what is left of a connection after both sides closed.
//!
//! The same functions serve the endpoint's records and a connection whose application has not let go yet.

use crate::event::TimeWaitRecord;
use crate::recv::is_before;
use crate::{Instant, Segment};
use carrick_wire::{SackBlocks, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps, Window};
use core::time::Duration;

/// Most answers to anything but a FIN, in the life of one record.
const MAX_ANSWERS: u8 = 10;

/// What a segment does to TIME-WAIT.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Verdict {
    /// An ACK is due.
    pub(crate) answer: bool,
    /// The wait has begun anew.
    pub(crate) restart: bool,
}

/// A segment that opens no new incarnation.
pub(crate) fn segment_arrives(
    record: &mut TimeWaitRecord,
    segment: &Segment<'_>,
    now: Instant,
    lasts: Duration,
) -> Verdict {
    // RFC 1337: no reset ends TIME-WAIT. A bare SYN that opens nothing is an old duplicate.
    if segment.has(TcpFlags::RST) || (segment.has(TcpFlags::SYN) && !segment.has(TcpFlags::ACK)) {
        return Verdict::default();
    }
    let end = segment.seq + segment.len();
    let repeated_fin = segment.has(TcpFlags::FIN) && end == record.rcv_nxt;
    let old = record.ts_recent.is_some_and(|recent| {
        segment.options.timestamps.is_none_or(|timestamps| is_before(timestamps.val, recent))
    });
    let in_window = segment.seq.distance_from(record.rcv_nxt) <= record.window;
    let good_ack = segment.has(TcpFlags::ACK) && segment.ack == record.snd_nxt;
    if (repeated_fin || (in_window && segment.has(TcpFlags::FIN) && good_ack)) && !old {
        record.deadline = now + lasts;
        return Verdict { answer: true, restart: true };
    }
    let silent =
        !old && in_window && (good_ack || !segment.has(TcpFlags::ACK)) && !segment.has(TcpFlags::SYN);
    if silent || record.answers >= MAX_ANSWERS {
        return Verdict::default();
    }
    record.answers = record.answers.saturating_add(1);
    Verdict { answer: true, restart: false }
}

/// Whether a SYN may open a new incarnation of the tuple (RFC 6191 §2).
pub(crate) fn may_reopen(record: &TimeWaitRecord, syn: &Segment<'_>) -> bool {
    let newer_seq = syn.seq.at_or_after(record.rcv_nxt);
    match (record.ts_recent, syn.options.timestamps) {
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
pub(crate) fn answer(record: &TimeWaitRecord, ts_now: u32) -> TcpHeader {
    let timestamps = record.ts_recent.map(|ecr| Timestamps { val: ts_now, ecr });
    TcpHeader {
        seq: record.snd_nxt,
        ack: record.rcv_nxt,
        flags: TcpFlags::ACK,
        window: Window::new(record.window).to_wire(record.scale),
        options: TcpOptions { timestamps, sack: SackBlocks::default(), ..TcpOptions::default() },
        ..TcpHeader::default()
    }
}
