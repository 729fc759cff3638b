//! SEGMENT ARRIVES (RFC 9293 §3.10.7), with the answers of RFC 5961 and the tests of RFC 7323.
//!
//! To be read beside the RFC: [`segment_arrives`](Connection::segment_arrives) chooses by state, and for each group of
//! states one short function calls the RFC's steps in its order; a step is a method named after it. A step that
//! ends the matter gives the outcome, which `?` returns.
//!
//! | RFC 9293 | where |
//! |---|---|
//! | §3.10.7.1 CLOSED, §3.10.7.2 LISTEN | the endpoint: `Endpoint::no_connection` |
//! | §3.10.7.3 SYN-SENT | [`in_syn_sent`](Connection::in_syn_sent) |
//! | §3.10.7.4 SYN-RECEIVED | [`syn_received::segment_arrives`], which half-open records of the endpoint ask too |
//! | §3.10.7.4 ESTABLISHED to LAST-ACK | [`in_open`](Connection::in_open) |
//! | §3.10.7.4 TIME-WAIT | [`time_wait::segment_arrives`], which records of the endpoint ask too |

use super::handshake::{self, Peer, ts_clock};
use super::syn_received::{self, Verdict};
use super::timers::Timer;
use super::{Connection, End, Last, Opening, State, Stray};
use crate::endpoint::time_wait;
use crate::recv::ack_policy::{Arrival, MAX_DELAY};
use crate::recv::tuning::News;
use crate::recv::{Refused, Taken};
use crate::state::{Next, Phase};
use crate::{ConnectionError, Cx, DiscardReason, Event, Instant, Outcome, Segment};
use carrick_wire::{SeqNum, TcpFlags};

/// Whether the steps go on.
type Step = Result<(), Outcome>;

impl Connection {
    pub(super) fn segment_arrives(&mut self, cx: &Cx, segment: &Segment<'_>) -> Outcome {
        let done = match &self.state {
            State::SynSent(_) => self.in_syn_sent(cx, segment),
            State::SynReceived(..) => self.in_syn_received(cx, segment),
            State::Open(_) => self.in_open(cx, segment),
            State::TimeWait(_) => self.in_time_wait(cx, segment),
            State::Closed(_) => Err(Outcome::Discarded(DiscardReason::Gone)),
        };
        done.err().unwrap_or(Outcome::Accepted)
    }

    /// §3.10.7.3. There is no first step about numbers: RCV.NXT is not known yet.
    fn in_syn_sent(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        let acks_syn = self.syn_sent_first_ack(segment)?;
        self.syn_sent_second_reset(segment, acks_syn)?;
        // Third, security: no such thing (§A.1).
        self.syn_sent_fourth_syn(cx, segment, acks_syn)?;
        // Fifth, neither SYN nor RST: it was dropped by the fourth.
        self.sixth_and_later(cx, segment)
    }

    /// §3.10.7.4 for SYN-RECEIVED: the steps are those of a half-open record.
    fn in_syn_received(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        let State::SynReceived(opening, peer) = &mut self.state else { return Ok(()) };
        match syn_received::segment_arrives(opening.iss, peer, &self.config, segment) {
            Verdict::Drop(reason) => Err(Outcome::Discarded(reason)),
            Verdict::Challenge(reason) => self.challenge(cx.now, reason),
            Verdict::OtherSyn => self.challenge(cx.now, DiscardReason::UnexpectedSyn),
            Verdict::Stray => {
                opening.stray_reset = Some(Stray::of(segment));
                Err(Outcome::Answered(DiscardReason::BadAck))
            }
            Verdict::RepeatedSyn => {
                peer.repeated(segment);
                if !self.challenges.permits(cx.now, self.link.ts_offset) {
                    return Err(Outcome::Discarded(DiscardReason::UnexpectedSyn));
                }
                opening.due = true;
                Err(Outcome::Answered(DiscardReason::UnexpectedSyn))
            }
            Verdict::Reset => {
                let error = if opening.passive { ConnectionError::Reset } else { ConnectionError::Refused };
                self.end(Some(error), None);
                Ok(())
            }
            Verdict::Established => {
                let (opening, peer) = (opening.clone(), *peer);
                self.establish(&opening, peer, cx.now);
                self.set_first_window(segment, true);
                self.note_timestamp(segment, cx.now);
                self.sixth_and_later(cx, segment)
            }
            Verdict::EstablishedBySyn => {
                let opening = opening.clone();
                let peer = Peer { ecn: peer.ecn && handshake::ecn_setup(segment), ..*peer };
                self.established_by_syn(cx, segment, &opening, peer);
                self.note_timestamp(segment, cx.now);
                self.sixth_and_later(cx, segment)
            }
        }
    }

    /// §3.10.7.4 from ESTABLISHED to LAST-ACK.
    fn in_open(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        self.timestamps(cx, segment)?;
        self.first_sequence_number(cx, segment)?;
        self.second_reset(cx, segment)?;
        // Third, security: no such thing (§A.1).
        self.fourth_syn(cx, segment)?;
        self.fifth_ack(cx, segment)?;
        if fault!(self.config, AckForAck) {
            self.acks_due = self.acks_due.max(1);
        }
        self.sixth_and_later(cx, segment)
    }

    /// §3.10.7.4 for TIME-WAIT: the steps are those of a record of the endpoint's.
    fn in_time_wait(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        let State::TimeWait(record) = &mut self.state else { return Ok(()) };
        let rfc1337 = self.link.rfc1337 && !fault!(self.config, TimeWaitAssassinated);
        match time_wait::segment_arrives(record, segment, rfc1337) {
            time_wait::Verdict::Drop(reason) => Err(Outcome::Discarded(reason)),
            time_wait::Verdict::Answer => self.challenge(cx.now, DiscardReason::Unexpected),
            time_wait::Verdict::Restart if fault!(self.config, TimeWaitSilent) => {
                Err(Outcome::Discarded(DiscardReason::Unexpected))
            }
            time_wait::Verdict::Restart if fault!(self.config, TimeWaitNotRestarted) => {
                self.challenge(cx.now, DiscardReason::Unexpected)
            }
            time_wait::Verdict::Restart => {
                self.restart_time_wait(cx.now);
                Err(Outcome::Answered(DiscardReason::Unexpected))
            }
            time_wait::Verdict::Close => {
                self.end(None, None);
                Ok(())
            }
            time_wait::Verdict::Reopen => {
                // A listener may want the SYN: a record of the endpoint's takes our place, and the endpoint looks
                // again. The ACK of the peer's FIN is overtaken if it has not left yet.
                self.acks_due = 0;
                self.end = End::TimeWait;
                Err(Outcome::HandedBack)
            }
        }
    }

    /// SYN-SENT, first: whether the segment acknowledges our SYN. SND.NXT is ISS+1: a SYN of ours carries no text.
    fn syn_sent_first_ack(&mut self, segment: &Segment<'_>) -> Result<bool, Outcome> {
        let State::SynSent(opening) = &mut self.state else { return Ok(false) };
        let acks_syn = segment.has(TcpFlags::ACK)
            && (segment.ack == opening.iss + 1 || fault!(self.config, AnyAckOpens))
            && opening.sent_at.is_some();
        if acks_syn || !segment.has(TcpFlags::ACK) {
            return Ok(acks_syn);
        }
        if segment.has(TcpFlags::RST) {
            return Err(Outcome::Discarded(DiscardReason::BadAck));
        }
        opening.stray_reset = Some(Stray::of(segment));
        Err(Outcome::Answered(DiscardReason::BadAck))
    }

    /// SYN-SENT, second: only a reset that acknowledges our SYN counts.
    fn syn_sent_second_reset(&mut self, segment: &Segment<'_>, acks_syn: bool) -> Step {
        if !segment.has(TcpFlags::RST) {
            return Ok(());
        }
        if !acks_syn {
            return Err(Outcome::Discarded(DiscardReason::StrayReset));
        }
        self.end(Some(ConnectionError::Refused), None);
        Err(Outcome::Accepted)
    }

    /// SYN-SENT, fourth: the peer's SYN, with an ACK of ours or without.
    fn syn_sent_fourth_syn(&mut self, cx: &Cx, segment: &Segment<'_>, acks_syn: bool) -> Step {
        let State::SynSent(opening) = &mut self.state else { return Ok(()) };
        if !segment.has(TcpFlags::SYN) {
            return Err(Outcome::Discarded(DiscardReason::Unexpected));
        }
        let mut opening = opening.clone();
        let peer = Peer::of(segment, self.tuple.local, &self.config);
        if acks_syn {
            self.established_by_syn(cx, segment, &opening, peer);
            return Ok(());
        }
        if fault!(self.config, NoSimultaneousOpen) {
            return Err(Outcome::Discarded(DiscardReason::UnexpectedSyn));
        }
        let peer = Peer { ecn: peer.ecn && handshake::asks_for_ecn(&self.config, opening.retries), ..peer };
        // A simultaneous open: our SYN goes out again, as a SYN,ACK. Text and FIN come again too.
        opening.due = true;
        self.state = State::SynReceived(opening, peer);
        Err(Outcome::Accepted)
    }

    /// ESTABLISHED by a segment with a SYN, whose window is not scaled and which is owed an ACK.
    fn established_by_syn(&mut self, cx: &Cx, segment: &Segment<'_>, opening: &Opening, peer: Peer) {
        self.establish(opening, peer, cx.now);
        self.set_first_window(segment, false);
        self.acks_due = 1;
    }

    /// RFC 7323 §3.2 and §5.3 R1.
    fn timestamps(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        let State::Open(open) = &self.state else { return Ok(()) };
        match open.rcv.check_timestamp(segment, cx.now) {
            Ok(()) => Ok(()),
            Err(DiscardReason::OldTimestamp) if fault!(self.config, PawsOff) => Ok(()),
            Err(DiscardReason::OldTimestamp) => self.challenge(cx.now, DiscardReason::OldTimestamp),
            Err(_) if self.config.tolerate_missing_timestamps => Ok(()),
            Err(missing) => Err(Outcome::Discarded(missing)),
        }
    }

    /// First, the sequence number.
    fn first_sequence_number(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        let State::Open(open) = &self.state else { return Ok(()) };
        let rcv = &open.rcv;
        let reset = segment.has(TcpFlags::RST);
        let len = if reset { 0 } else { segment.len() };
        // A FIN needs no buffer: it is taken right at the edge, if all before it fits (note 12).
        let text_end = segment.seq + segment.text_seqs();
        let text_fits = rcv.fin_fits(segment.seq) && rcv.fin_fits(text_end);
        if rcv.acceptable(segment.seq, len) || text_fits {
            return Ok(());
        }
        if reset {
            return Err(Outcome::Discarded(DiscardReason::OutOfWindow));
        }
        if segment.has(TcpFlags::SYN) {
            return self.challenge(cx.now, DiscardReason::UnexpectedSyn);
        }
        self.unacceptable(cx, segment)
    }

    /// A segment that is unacceptable by its number draws an ACK, and its own ACK may be needed (note 6, and a probe
    /// of a closed window).
    fn unacceptable(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let (rcv, len) = (&open.rcv, segment.len());
        let nxt = rcv.nxt;
        let probe_answer = segment.seq == nxt + 1 && rcv.window() == 0;
        let use_ack = if len > 0 {
            segment.seq + len == nxt || segment.seq == nxt
        } else {
            segment.seq + 1 == nxt || probe_answer
        };
        let answer = Last::ack(open);
        if segment.seq == nxt && rcv.window() == 0 {
            // Of a probe the mark counts, though not the text (RFC 3168 §6.1.6).
            let _ = open.rcv.echo.on_text(segment, open.rcv.nxt);
        }
        if use_ack && segment.has(TcpFlags::ACK) {
            self.fifth_ack_alone(cx, segment)?;
            self.hear();
            if segment.seq == nxt {
                // A closed window is no reason to miss it (MUST-66).
                self.sixth_urgent(segment);
            }
        }
        match &mut self.state {
            // It ended LAST-ACK, and the peer still waits for the ACK of its own FIN.
            State::Closed(closed) => closed.last = Some(Last { seq: segment.ack, ..answer }),
            // A FIN of the peer's that comes again begins TIME-WAIT with an ACK, however many were sent before.
            State::TimeWait(_) => self.acks_due = 1,
            State::Open(open) if len > 0 => {
                // Strangers know no number to acknowledge.
                let believable = segment.has(TcpFlags::ACK) && open.snd.acceptable_ack(segment.ack);
                let text_end = segment.seq + segment.text_seqs();
                if believable && text_end.at_or_before(nxt) && !segment.text.is_empty() {
                    let untrue = u32::from(fault!(self.config, DuplicateUntrue));
                    open.rcv.note_old_text(segment.seq - untrue, segment.text_seqs());
                }
                self.owe_ack(segment);
            }
            // A keep-alive probe, whose ACK has been found good.
            State::Open(_) if segment.seq + 1 == nxt && segment.has(TcpFlags::ACK) => {
                if self.challenges.permits_probe(cx.now, self.link.ts_offset) {
                    self.acks_due = self.acks_due.max(1);
                }
            }
            _ => return self.challenge(cx.now, DiscardReason::OutOfWindow),
        }
        Err(Outcome::Answered(DiscardReason::OutOfWindow))
    }

    /// Second, the RST bit (RFC 5961 §3.2): only the exact number resets.
    fn second_reset(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        let State::Open(open) = &self.state else { return Ok(()) };
        if !segment.has(TcpFlags::RST) {
            return Ok(());
        }
        if fault!(self.config, ResetIgnored) {
            return Err(Outcome::Discarded(DiscardReason::StrayReset));
        }
        if segment.seq != open.rcv.nxt && !fault!(self.config, ResetInWindow) {
            return self.challenge(cx.now, DiscardReason::InexactReset);
        }
        self.end(Some(ConnectionError::Reset), None);
        Err(Outcome::Accepted)
    }

    /// Fourth, the SYN bit (RFC 5961 §4.2).
    fn fourth_syn(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        if segment.has(TcpFlags::SYN) {
            if fault!(self.config, SynEnds) {
                self.end(Some(ConnectionError::Reset), None);
                return Err(Outcome::Accepted);
            }
            return self.challenge(cx.now, DiscardReason::UnexpectedSyn);
        }
        Ok(())
    }

    /// Sixth to eighth: the urgent pointer, text, FIN. What comes this far is the peer's own.
    fn sixth_and_later(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        self.hear();
        self.received_dscp = segment.dscp;
        if let (State::Open(open), Some(timeout)) = (&mut self.state, segment.options.user_timeout)
            && self.config.user_timeout_option.is_some()
        {
            open.remote_timeout = Some(timeout);
        }
        self.sixth_urgent(segment);
        let text = self.seventh_text(cx, segment);
        let fin = self.eighth_fin(cx, segment);
        text.and(fin)
    }

    /// Sixth, the URG bit (MUST-32): RCV.UP is kept as the distance from what the application has read.
    fn sixth_urgent(&mut self, segment: &Segment<'_>) {
        let State::Open(open) = &self.state else { return };
        if !segment.has(TcpFlags::URG) || !open.phase.receives() {
            return;
        }
        let mark = i64::from(segment.seq + u32::from(segment.urgent) - open.rcv.nxt);
        let unread = i64::try_from(self.received.len()).unwrap_or(i64::MAX);
        let ahead = u32::try_from(mark.saturating_add(unread)).unwrap_or(0);
        if ahead > self.urgent_unread {
            self.urgent_unread = ahead;
            self.note(Event::Urgent);
        }
    }

    /// Seventh, the text.
    fn seventh_text(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        if segment.text.is_empty() || !open.phase.receives() {
            return Ok(());
        }
        let ack_now = open.rcv.echo.on_text(segment, open.rcv.nxt);
        let seq = segment.seq + u32::from(segment.has(TcpFlags::SYN));
        let new_text = (seq + segment.text_seqs()).after(open.rcv.nxt);
        if self.released && new_text && !fault!(self.config, LateTextTaken) {
            // The application will never read it: half-duplex close (RFC 9293 §3.6.1, SHLD-3). The reset has the
            // number after all that we sent: if our FIN is on its way, the peer will have taken it by then, and a
            // reset with the segment's ACK number would be too old to be believed. Where that has timed out the peer
            // tells that it has not come: then it is answered as by a connection that is gone (§3.10.7.1), with what it
            // believes.
            let reset = Last::reset(open);
            let unheard = Last { flags: TcpFlags::RST, seq: open.snd.una, ack: SeqNum::new(0), ..reset };
            let reset = if open.snd.retries > 0 { unheard } else { reset };
            self.end(Some(ConnectionError::Aborted), Some(reset));
            return Ok(());
        }
        let seq = if fault!(self.config, OrderIgnored) { open.rcv.nxt } else { seq };
        let unlimited = Cx::new(cx.now);
        let cx = if fault!(self.config, MemoryIgnored) { &unlimited } else { cx };
        let taken = open.rcv.take_text(cx, seq, segment.text, segment.wire_segments(), &mut self.received);
        match taken {
            Taken::Advanced { bytes, filled } => {
                let after_idle = cx.now.since(open.rcv.heard) >= open.snd.rtt.rto();
                open.rcv.heard = cx.now;
                let news = News {
                    now: ts_clock(cx.now, self.link.ts_offset),
                    echo: segment
                        .options
                        .timestamps
                        .filter(|_| open.rcv.ts_recent.is_some())
                        .map(|ts| ts.ecr),
                    srtt: open.snd.rtt.srtt(),
                    read: self.received.taken(),
                    pressure: cx.memory.pressure,
                };
                open.rcv.tuning.on_text(self.config.receive_buffer, &news);
                let arrival = Arrival { bytes, segments: segment.wire_segments(), filled, after_idle };
                let at_once = open.rcv.acks.at_once(arrival, open.rcv.mss)
                    && (filled || !fault!(self.config, SecondSegmentWaits));
                // Duplicates still owed would carry the new number and tell of a loss that there is not.
                self.acks_due = self.acks_due.min(1);
                if at_once || ack_now || self.config.delayed_ack.is_zero() {
                    self.acks_due = 1;
                } else {
                    let delay = self.config.delayed_ack.min(MAX_DELAY);
                    self.timers.start(Timer::DelayedAck, cx.now + delay);
                }
                self.note(Event::Readable);
                Ok(())
            }
            Taken::Held => {
                open.rcv.acks.on_trouble();
                self.owe_ack(segment);
                Ok(())
            }
            // Not acknowledged, so the peer sends it again when there may be memory.
            Taken::Refused(Refused::NoMemory) => Err(Outcome::Discarded(DiscardReason::NoMemory)),
            Taken::Refused(Refused::BehindFin) => {
                self.owe_ack(segment);
                Err(Outcome::Answered(DiscardReason::OutOfWindow))
            }
            Taken::Refused(Refused::TooManyRanges) => {
                self.owe_ack(segment);
                Err(Outcome::Answered(DiscardReason::TooManyRanges))
            }
        }
    }

    /// Eighth, the FIN bit.
    fn eighth_fin(&mut self, cx: &Cx, segment: &Segment<'_>) -> Step {
        if let State::TimeWait(record) = &self.state
            && segment.has(TcpFlags::FIN)
            && segment.seq.at_or_before(record.rcv_nxt)
        {
            self.acks_due = 1;
        }
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let mut fits = true;
        if segment.has(TcpFlags::FIN) && open.phase.receives() {
            let text_end = segment.seq + u32::from(segment.has(TcpFlags::SYN)) + segment.text_seqs();
            fits = open.rcv.note_fin(text_end);
            self.acks_due = self.acks_due.max(1);
        } else if segment.has(TcpFlags::FIN) && segment.seq.at_or_before(open.rcv.nxt) {
            // A second FIN is bogus: it draws an ACK, and RCV.NXT stays.
            self.acks_due = self.acks_due.max(1);
        }
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let early = fault!(self.config, FinBeforeText) && segment.has(TcpFlags::FIN);
        if !open.phase.receives() || !(open.rcv.take_fin() || early) {
            return if fits { Ok(()) } else { Err(Outcome::Answered(DiscardReason::Unexpected)) };
        }
        if fault!(self.config, FinNotCounted) {
            open.rcv.nxt = open.rcv.nxt - 1;
        }
        self.acks_due = self.acks_due.max(1);
        let next = open.phase.on_fin_received();
        self.note(Event::Readable);
        self.enter(next, cx.now);
        Ok(())
    }

    /// Takes the timestamp of a segment that has passed every check.
    pub(super) fn note_timestamp(&mut self, segment: &Segment<'_>, now: Instant) {
        if let (State::Open(open), Some(timestamps)) = (&mut self.state, segment.options.timestamps) {
            open.rcv.note_timestamp(timestamps.val, segment.new_seq(open.rcv.nxt), now);
        }
    }

    /// What the fifth or the eighth step leads to.
    pub(super) fn enter(&mut self, next: Next, now: Instant) {
        let State::Open(open) = &mut self.state else { return };
        match next {
            Next::Phase(phase) => {
                open.phase = phase;
                if phase == Phase::FinWait2 {
                    // All is delivered: what is left of the linger time does not count.
                    self.timers.stop(Timer::Life);
                }
            }
            Next::TimeWait if fault!(self.config, TimeWaitSkipped) => self.end(None, None),
            Next::TimeWait => self.enter_time_wait(now),
            Next::Closed => self.end(None, None),
        }
    }

    /// A duplicate ACK is owed: one for each segment on the wire, unless SACK says all with one.
    fn owe_ack(&mut self, segment: &Segment<'_>) {
        let sack = matches!(&self.state, State::Open(open) if open.rcv.sack);
        let segments = u8::try_from(segment.wire_segments()).unwrap_or(u8::MAX);
        self.acks_due = if sack { 1 } else { self.acks_due.saturating_add(segments) };
    }

    /// The segment is dropped and draws an ACK, under the throttle (RFC 5961 §7).
    pub(super) fn challenge(&mut self, now: Instant, reason: DiscardReason) -> Step {
        if self.challenges.permits(now, self.link.ts_offset) || fault!(self.config, ChallengesUnlimited) {
            self.acks_due = self.acks_due.max(1);
        }
        Err(Outcome::Answered(reason))
    }
}
