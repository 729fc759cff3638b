//! SEGMENT ARRIVES in SYN-RECEIVED (RFC 9293 §3.10.7.4), in which there is no sender and no receiver yet.
//!
//! The endpoint's half-open records and the connections of a simultaneous open ask the same function, and differ
//! in how they carry out what it says.

use super::handshake::{self, Peer};
use crate::recv::{acceptable, check_timestamp};
use crate::{ConnectionConfig, DiscardReason, Segment};
use carrick_wire::{SeqNum, TcpFlags};

/// What a segment does to SYN-RECEIVED.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It is dropped without a word.
    Drop(DiscardReason),
    /// It is dropped and draws an ACK, under the throttle.
    Challenge(DiscardReason),
    /// It draws the reset that answers it (§3.5.2, group 2); the handshake goes on.
    Stray,
    /// The peer's SYN once more: it draws the SYN,ACK once more, under the throttle (SA-SYNDUP-SR).
    RepeatedSyn,
    /// Another SYN: a passive open returns to LISTEN, an active one challenges it.
    OtherSyn,
    /// The peer gives the handshake up.
    Reset,
    /// Our SYN is acknowledged: ESTABLISHED, and the segment's text and FIN are to be taken.
    Established,
    /// The same, by the SYN,ACK of a peer that opened at the same time (§3.5, figure 7).
    EstablishedBySyn,
}

/// The steps, for a handshake of our `iss` and the peer's SYN.
pub(crate) fn segment_arrives(
    iss: SeqNum,
    peer: &Peer,
    config: &ConnectionConfig,
    segment: &Segment<'_>,
) -> Verdict {
    // What our SYN,ACK offered.
    let window = u32::from(handshake::initial_window(config).get());
    let rcv_nxt = peer.irs + 1;
    let [reset, syn, ack] = [TcpFlags::RST, TcpFlags::SYN, TcpFlags::ACK].map(|flag| segment.has(flag));
    let acks_syn = ack && segment.ack == iss + 1;
    // Before the first, the timestamp (RFC 7323 §5.3 R1).
    match check_timestamp(peer.ts_recent.is_some(), peer.ts_recent, segment) {
        Ok(()) => {}
        Err(DiscardReason::OldTimestamp) => return Verdict::Challenge(DiscardReason::OldTimestamp),
        Err(_) if config.tolerate_missing_timestamps => {}
        Err(missing) => return Verdict::Drop(missing),
    }
    // RCV.NXT is past the peer's SYN, so that by its number it would only draw an ACK, which a peer in SYN-SENT
    // has no use for (§A.2).
    if syn && !reset && segment.seq == peer.irs {
        return match (ack, acks_syn) {
            (false, _) => Verdict::RepeatedSyn,
            (true, true) => Verdict::EstablishedBySyn,
            (true, false) => Verdict::Challenge(DiscardReason::UnexpectedSyn),
        };
    }
    // First, the sequence number. Of text against a closed window the ACK counts (SA-SEQ-3).
    let len = if reset { 0 } else { segment.len() };
    let refused_probe = window == 0 && segment.seq == rcv_nxt && !syn;
    if !acceptable(rcv_nxt, window, segment.seq, len) && !refused_probe {
        let reason = DiscardReason::OutOfWindow;
        return if reset { Verdict::Drop(reason) } else { Verdict::Challenge(reason) };
    }
    // Second, the RST bit (RFC 5961 §3.2).
    if reset {
        let exact = segment.seq == rcv_nxt;
        return if exact { Verdict::Reset } else { Verdict::Challenge(DiscardReason::InexactReset) };
    }
    // Third, security: no such thing (§A.1). Fourth, the SYN bit.
    if syn {
        return Verdict::OtherSyn;
    }
    // Fifth, the ACK field. SND.NXT is ISS+1: our SYN carries no text.
    match (ack, acks_syn) {
        (false, _) => Verdict::Drop(DiscardReason::Unexpected),
        (true, false) => Verdict::Stray,
        (true, true) => Verdict::Established,
    }
}
