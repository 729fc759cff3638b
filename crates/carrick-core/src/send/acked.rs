//! What an acknowledgment says: how far the text has come, what of it was lost, and how long it took.

use super::Sender;
use crate::Instant;
use crate::congestion::{Acked, Spurious};
use crate::connection::handshake::ts_clock;
use crate::recovery::board::{Cause, Delivery, Detected};
use crate::recovery::{Kind, Probe, Recovery, THRESHOLD};
use carrick_wire::{SackBlocks, SeqNum};
use core::time::Duration;

/// An acceptable acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'s> {
    pub(crate) seq: SeqNum,
    /// The window that comes with it, and is taken after it.
    pub(crate) window: u32,
    pub(crate) now: Instant,
    /// Text of a full segment of ours.
    pub(crate) smss: u32,
    /// The echoed timestamp, where timestamps were agreed on.
    pub(crate) echo: Option<u32>,
    pub(crate) ts_offset: u32,
    /// Empty where SACK was not agreed on.
    pub(crate) blocks: &'s SackBlocks,
    /// The [duplicate](Sender::reported) that they report.
    pub(crate) duplicate: Option<(SeqNum, SeqNum)>,
    /// It is a duplicate in the sense of RFC 5681 §2.
    pub(crate) repeats: bool,
    /// It echoes congestion.
    pub(crate) ece: bool,
    /// There is text that has never been sent.
    pub(crate) unsent: bool,
}

/// What the controller is to be told, in the order in which it is told.
#[derive(Default)]
pub(super) struct News {
    spurious: Option<bool>,
    /// A repair is over; so many bytes arrived after they had been sent again.
    recovered: Option<u32>,
    pub(super) lost: bool,
    /// Some of another window is lost that has been repaired with the last one.
    beyond: bool,
}

impl Sender {
    /// The duplicate that an acknowledgment of `ack` with these blocks reports (RFC 2883 §4): below what it
    /// acknowledges, or inside its second block, where that is one of what has been sent.
    pub(crate) fn reported(&self, ack: SeqNum, blocks: &SackBlocks) -> Option<(SeqNum, SeqNum)> {
        let mut blocks = blocks.iter().map(|block| (block.left(), block.right()));
        let (left, right) = blocks.next()?;
        let inside = |(from, to): (SeqNum, SeqNum)| {
            ack.before(from) && from.at_or_before(left) && right.at_or_before(to) && to.at_or_before(self.nxt)
        };
        (right.at_or_before(ack) || blocks.next().is_some_and(inside)).then_some((left, right))
    }

    /// Takes an acknowledgment between SND.UNA - MAX.SND.WND and SND.NXT. True if the retransmission timer starts anew
    /// (RFC 6298 §5.3).
    pub(crate) fn on_ack(&mut self, ack: &Ack<'_>) -> bool {
        let advanced = ack.seq.after(self.una);
        let acked = if advanced { ack.seq.distance_from(self.una) } else { 0 };
        let Some(mut recovery) = self.recovery.take() else { return false };
        let restart = self.take_ack(&mut recovery, ack, acked);
        if advanced && !self.outstanding() {
            self.idle_since = ts_clock(ack.now, 0);
        }
        // With more to send nothing has come to an end: neither its turn nor that it is not the application that limits
        // it.
        self.recovery = (ack.unsent || !recovery.is_idle()).then_some(recovery);
        restart
    }

    fn take_ack(&mut self, recovery: &mut Recovery, ack: &Ack<'_>, acked: u32) -> bool {
        let now = ack.now;
        let advanced = acked > 0;
        let window = self.congestion.get().window();
        let in_flight = recovery.pipe();
        let outstanding = self.nxt.distance_from(self.una);
        self.note_app_limited(recovery, ack.unsent);
        let echoed = ack.echo.and_then(|ecr| self.echoed(ts_clock(now, ack.ts_offset), ecr));
        let echo = ack.echo.filter(|_| echoed.is_some());
        let cause = Cause { now, min_rtt: self.rtt.least_nanos(), echo, ts_offset: ack.ts_offset };
        let orderly = self.is_orderly(recovery, ack);
        let mut delivery = recovery.board.delivery();
        let delivered = self.deliver(recovery, ack, acked, &cause, &mut delivery);
        if advanced {
            self.advance(recovery, ack.seq);
            let mut timed = delivery.oldest.filter(|_| !delivery.ambiguous);
            if fault!(self, KarnIgnored) {
                timed = delivery.newest.map(|newest| newest.at);
            }
            let timed = timed.map(|at| u32::try_from(now.nanos_since(at) / 1000).unwrap_or(u32::MAX));
            // What reports a duplicate answers that one, though its echo may be of the copy before.
            let echoed = echoed.filter(|_| ack.duplicate.is_none());
            if let Some(rtt) = timed.or_else(|| echoed.map(|millis| millis.saturating_mul(1000))) {
                self.asked = false;
                // There is a sample with every ACK: one for two segments (RFC 7323 §4.2), or for a super-segment.
                let apart = ack.smss.saturating_mul(2).max(acked).max(1);
                self.rtt.sample_micros(rtt, outstanding.div_ceil(apart), now);
            }
            if !orderly && recovery.board.has_reneged() && !fault!(self, MarksKept) {
                recovery.board.on_reneging();
            }
        }
        // Of nearly all acknowledgments this is all that there is to find out.
        let (was_free, mut partial) = (is_free(recovery), false);
        // What it acknowledges counts once.
        let mut undone = false;
        if orderly {
            recovery.reorder = None;
            self.tell_of_delivery(recovery, now, &delivery, 0);
        } else {
            (partial, undone) = self.take_disorder(recovery, ack, acked, &delivery, delivered);
        }
        let round = recovery.board.una >= recovery.round;
        if round {
            recovery.round = recovery.board.nxt.max(recovery.board.una.saturating_add(1));
        }
        // A window that is too large already does not grow (RFC 3168 §6.1.2).
        if advanced && !undone && was_free && is_free(recovery) && !(ack.ece && self.ecn.on) {
            let limited = self.is_window_limited(recovery.peak, window, ack.smss);
            let newest = delivery.newest.as_ref().filter(|newest| !newest.again);
            let rtt = newest.map(|newest| now.since(newest.at));
            let acked = Acked { now, bytes: acked, in_flight, rtt, srtt: self.rtt.srtt(), round, limited };
            self.congestion.get_mut().on_ack(acked);
        }
        if round {
            recovery.peak = [recovery.pipe(), recovery.peak[0]];
        }
        if advanced {
            self.arm_probe(recovery, recovery.pipe() <= ack.smss, now);
        } else if !self.may_probe(recovery) {
            recovery.pto = None;
        }
        // The impatient variant (RFC 6582 §4): the first partial acknowledgment alone starts the timer anew.
        advanced && (self.sack || !partial)
    }

    /// Whether it can tell of nothing but that what was sent has arrived: in order, once, and with nothing to repair or
    /// to find out about a repair.
    fn is_orderly(&self, recovery: &Recovery, ack: &Ack<'_>) -> bool {
        self.sack
            && ack.blocks.is_empty()
            && recovery.episode.is_none()
            && recovery.undo.is_none()
            && recovery.probe == Probe::None
            && recovery.board.is_orderly()
    }

    /// What else an acknowledgment may tell of, which has brought the board up to date: what overtook what, losses, and
    /// what a repair or a probe was good for. Whether the repair goes on after more than one partial acknowledgment,
    /// and whether it was taken back.
    #[inline(never)]
    fn take_disorder(
        &mut self,
        recovery: &mut Recovery,
        ack: &Ack<'_>,
        acked: u32,
        delivery: &Delivery,
        delivered: u32,
    ) -> (bool, bool) {
        let (now, advanced) = (ack.now, acked > 0);
        if delivery.overtaken > 0 {
            self.reordering.on_overtaken(delivery.late, self.rtt.least());
            let tally = self.tally.get_or_insert_default();
            tally.reorderings = tally.reorderings.wrapping_add(1);
            tally.overtaken = tally.overtaken.max(delivery.overtaken);
        }
        let mut news = News::default();
        if let Some(episode) = &mut recovery.episode {
            episode.repaired = episode.repaired.saturating_add(delivery.repaired);
        }
        if self.is_spurious(recovery, ack, advanced, delivery) {
            news.spurious = self.take_back(recovery);
        }
        if recovery.probe == Probe::Due && (advanced || recovery.board.sacked() > 0) {
            // What it would have asked for has come before the device has taken it.
            recovery.probe = Probe::None;
        }
        self.check_probe(recovery, ack, advanced, now);
        let partial = advanced && self.check_end(recovery, ack.smss, now, delivered, &mut news);
        let detected = self.find_losses(recovery, ack, advanced, now, delivered, &mut news);
        let undone = news.spurious.is_some();
        self.tell_of_delivery(recovery, now, delivery, detected.bytes);
        self.tell(recovery, ack, acked, news);
        if recovery.episode.is_some_and(|episode| !matches!(episode.kind, Kind::Timeout(_))) {
            self.proportion(recovery, delivered, advanced && detected.bytes == 0, ack.smss, detected.bytes);
            let pipe = recovery.pipe();
            let next_hole = advanced && !self.sack && recovery.board.lost() > 0;
            if let (true, Some(episode)) = (next_hole, &mut recovery.episode) {
                // The next hole is filled at once (RFC 6582 §3.2).
                episode.window = episode.window.max(pipe.saturating_add(ack.smss));
            }
        }
        (partial, undone)
    }

    /// The application is about to write behind `queued` bytes, or has not for so long that a timer has expired.
    pub(crate) fn note_idleness(&mut self, queued: usize) {
        let unsent = self.has_unsent(queued);
        if let Some(mut recovery) = self.recovery.take() {
            self.note_app_limited(&mut recovery, unsent);
            self.recovery = Some(recovery);
        }
    }

    /// Whether the application has left the path idle (draft-ietf-ccwg-bbr §4.2).
    pub(super) fn note_app_limited(&self, recovery: &mut Recovery, unsent: bool) {
        if unsent || recovery.board.lost() > 0 {
            return;
        }
        let pipe = recovery.pipe();
        if pipe < self.congestion.get().window() {
            recovery.board.meter.on_app_limited(pipe);
        }
    }

    /// Brings the board up to date, and notes what was newly delivered. How many bytes that are in the sense of
    /// RFC 9937 §6.2.
    fn deliver(
        &self,
        recovery: &mut Recovery,
        ack: &Ack<'_>,
        acked: u32,
        cause: &Cause,
        delivery: &mut Delivery,
    ) -> u32 {
        let board = &mut recovery.board;
        let una = board.una;
        if !ack.blocks.is_empty() {
            let from = |seq: SeqNum| una.saturating_add(seq.distance_from(self.una).into());
            let reported = ack.duplicate.is_some();
            for block in ack.blocks.iter().skip(reported.into()) {
                let (left, right) = (block.left(), block.right());
                if left.after(self.una) && left.before(right) && right.at_or_before(self.nxt) {
                    board.on_sack(from(left), from(right), cause, delivery);
                }
            }
        }
        if acked > 0 {
            board.on_ack(una.saturating_add(acked.into()), cause, delivery);
        }
        if self.sack { delivery.bytes } else { self.count_duplicates(recovery, ack, acked) }
    }

    /// The same where there is no SACK, for which a duplicate stands for a segment.
    #[cold]
    fn count_duplicates(&self, recovery: &mut Recovery, ack: &Ack<'_>, acked: u32) -> u32 {
        let outstanding = self.nxt.distance_from(self.una);
        if acked > 0 {
            // One segment filled the hole, the others have been counted.
            let counted = recovery.duplicate_bytes.min(acked.saturating_sub(ack.smss));
            recovery.duplicates = 0;
            recovery.duplicate_bytes = if recovery.is_repairing() {
                recovery.duplicate_bytes.saturating_sub(counted).min(outstanding.saturating_sub(acked))
            } else {
                0
            };
            return acked.saturating_sub(counted);
        }
        if !ack.repeats {
            return 0;
        }
        recovery.duplicates = recovery.duplicates.saturating_add(1);
        let repaired = recovery.episode.filter(|episode| episode.kind == Kind::Loss);
        let repairing = repaired.is_some();
        // During a repair no more than was outstanding when it began (RFC 9937 §6.2); before there is something to
        // repair as much as limited transmit allows (RFC 3042).
        let most = match repaired {
            Some(_) if fault!(self, DuplicatesUnbounded) => u32::MAX,
            Some(episode) => episode.prr.flight(),
            None if recovery.duplicates >= THRESHOLD => outstanding,
            None => ack.smss.saturating_mul(THRESHOLD.saturating_sub(1).into()),
        };
        let most = if fault!(self, DuplicatesUnbounded) { most } else { most.min(outstanding) };
        let more = ack.smss.min(most.saturating_sub(recovery.duplicate_bytes));
        let more = if recovery.believes_duplicates() || repairing { more } else { 0 };
        recovery.duplicate_bytes = recovery.duplicate_bytes.saturating_add(more);
        more
    }

    fn advance(&mut self, recovery: &mut Recovery, una: SeqNum) {
        self.una = una;
        self.young &= una.distance_from(self.iss + 1) < super::YOUTH;
        self.small = self.small.max(una);
        self.ecn.on_advance(una);
        self.retries = 0;
        self.answer_probe();
        let una = recovery.board.una;
        recovery.undo.take_if(|undo| undo.until.is_some_and(|until| una >= until));
    }

    /// SND.UNA has moved: ends the repair if all is acknowledged that was outstanding when it began. True if an earlier
    /// acknowledgment had moved it since then, and it goes on.
    fn check_end(
        &mut self,
        recovery: &mut Recovery,
        smss: u32,
        now: Instant,
        delivered: u32,
        news: &mut News,
    ) -> bool {
        let (una, nxt) = (recovery.board.una, recovery.board.nxt);
        let Some(episode) = &mut recovery.episode else { return false };
        if una < episode.point || fault!(self, RecoveryEndless) {
            // After a timeout what is sent again has a timeout of its own (RFC 6298 §5.3).
            if episode.kind != Kind::Loss {
                return false;
            }
            if !self.sack {
                recovery.board.lose_first(smss);
            }
            return core::mem::replace(&mut episode.partial, true);
        }
        if episode.kind != Kind::Echo {
            self.reordering.on_recovered();
            // Without SACK duplicates may still answer what was sent twice.
            recovery.recover = recovery.recover.max(Some(episode.point)).filter(|_| !self.sack);
            (recovery.duplicates, recovery.duplicate_bytes) = (0, 0);
            if episode.kind == Kind::Loss {
                news.recovered = Some(episode.repaired);
            }
            // Reports of duplicates follow within a round trip.
            recovery.undo.take_if(|undo| undo.first.is_none());
            if let Some(undo) = &mut recovery.undo {
                undo.until = Some(nxt.max(una.saturating_add(1)));
            }
        }
        // Losses in two windows are two (RFC 5681 §4.3), and it is known that these are some.
        news.beyond = episode.beyond > 0 && !fault!(self, LossUntold);
        recovery.episode = None;
        if news.beyond {
            if una < nxt {
                recovery.begin(Kind::Loss, now, delivered, None);
            }
            recovery.undo = None;
        }
        false
    }

    /// Finds what is lost, and begins to repair it.
    fn find_losses(
        &mut self,
        recovery: &mut Recovery,
        ack: &Ack<'_>,
        advanced: bool,
        now: Instant,
        delivered: u32,
        news: &mut News,
    ) -> Detected {
        if self.sack {
            return self.find_by_time(recovery, now, delivered, news);
        }
        let enough = !advanced && ack.repeats && recovery.duplicates == THRESHOLD;
        let mut detected = Detected::default();
        if enough
            && recovery.believes_duplicates()
            && !recovery.is_repairing()
            && recovery.board.lose_first(ack.smss)
        {
            detected.bytes = ack.smss;
            self.begin_repair(recovery, &detected, now, delivered, news);
        }
        detected
    }

    /// The same, of what has been under way for too long (RFC 8985 §6.2).
    pub(super) fn find_by_time(
        &mut self,
        recovery: &mut Recovery,
        now: Instant,
        delivered: u32,
        news: &mut News,
    ) -> Detected {
        let mut detected = self.detect(recovery, now);
        let began = !recovery.is_repairing();
        self.begin_repair(recovery, &detected, now, delivered, news);
        if began && recovery.is_repairing() {
            // In a repair nothing waits for what may have been overtaken: the next acknowledgment would say so.
            detected.bytes = detected.bytes.saturating_add(self.detect(recovery, now).bytes);
        }
        detected
    }

    fn detect(&self, recovery: &mut Recovery, now: Instant) -> Detected {
        let hurry = recovery.is_repairing() || recovery.board.sacked_segments() >= THRESHOLD.into();
        let mut reo_wnd = self.reordering.window(hurry, self.rtt.least(), self.rtt.srtt());
        if fault!(self, ReorderingIgnored) {
            reo_wnd = Duration::ZERO;
        }
        if fault!(self, LostAgainUnseen) && recovery.board.first_is_resent() {
            return Detected::default();
        }
        let began = recovery.episode.map_or(Instant::NEVER, |episode| episode.began);
        let detected = recovery.board.detect(now, reo_wnd, began);
        recovery.reorder = detected.at;
        detected
    }

    #[cold]
    fn begin_repair(
        &mut self,
        recovery: &mut Recovery,
        detected: &Detected,
        now: Instant,
        delivered: u32,
        news: &mut News,
    ) {
        if let Some(episode) = &mut recovery.episode
            && episode.kind != Kind::Echo
            && detected.end > episode.point
        {
            let last = u32::try_from(detected.end.saturating_sub(recovery.board.una)).unwrap_or(0);
            let answered = self.ecn.reduced_since(self.una + last - 1);
            episode.on_beyond(detected.end, answered);
        }
        let again = match recovery.episode.map(|episode| episode.kind) {
            _ if detected.bytes == 0 => return,
            Some(Kind::Timeout(_)) => return,
            // A repetition is lost too: once more in a round trip (RFC 5681 §4.3).
            Some(Kind::Loss) if !detected.again => return,
            Some(Kind::Loss) => true,
            Some(Kind::Echo) | None => false,
        };
        // One reduction for a window of data, of which some was marked and some lost (RFC 3168 §6.1.2).
        news.lost = (again || !self.ecn.reduced_since(self.una)) && !fault!(self, LossUntold);
        let echo = recovery.episode.filter(|episode| episode.kind == Kind::Echo && !news.lost);
        // All that is lost by now is answered by this reduction.
        let point = recovery.episode.filter(|_| again).map(|episode| episode.point.max(episode.beyond));
        let repaired = recovery.episode.filter(|_| again).map_or(0, |episode| episode.repaired);
        recovery.begin(Kind::Loss, now, delivered, news.lost.then_some(self.ecn));
        if let Some(episode) = &mut recovery.episode {
            episode.prr = echo.map_or(episode.prr, |echo| echo.prr);
            episode.point = point.unwrap_or(episode.point);
            episode.repaired = repaired;
        }
        if again {
            // It was no mistake.
            recovery.undo = None;
        }
    }

    /// Tells the controller how fast something was delivered, if anything was; `lost` bytes are newly lost.
    fn tell_of_delivery(&mut self, recovery: &mut Recovery, now: Instant, delivery: &Delivery, lost: u32) {
        let Some(rate) = recovery.board.meter.measure(delivery, now, self.rtt.least_nanos()) else { return };
        recovery.rate.update(&rate);
        if let Some(controller) = self.congestion.listener() {
            let in_flight = recovery.pipe();
            controller.on_sample(&recovery.board.meter.sample(&rate, delivery, now, lost, in_flight));
        }
    }

    /// Tells the controller what else there is.
    fn tell(&mut self, recovery: &Recovery, ack: &Ack<'_>, acked: u32, news: News) {
        let (now, in_flight) = (ack.now, recovery.pipe());
        let outstanding = self.nxt.distance_from(self.una);
        let window = self.congestion.get().window();
        let controller = self.congestion.get_mut();
        if let Some(timeout) = news.spurious {
            controller.on_spurious(Spurious { now, in_flight, acked, timeout });
        }
        if let Some(repaired) = news.recovered {
            controller.on_recovered(now, outstanding, repaired);
        }
        if news.lost {
            self.tell_of_loss(now);
        } else if news.beyond {
            // What was in flight may all have been acknowledged by now.
            controller.on_loss(now, window);
            self.ecn.on_reduced(self.nxt);
        }
    }

    pub(super) fn tell_of_loss(&mut self, now: Instant) {
        // What is beyond the window limited transmit sent, which does not count (RFC 5681 §3.2).
        let flight = self.nxt.distance_from(self.una).min(self.congestion.get().window());
        self.congestion.get_mut().on_loss(now, flight);
        self.ecn.on_reduced(self.nxt);
    }

    /// What may be in flight while the window comes down (RFC 9937 §6.2).
    #[cold]
    pub(super) fn proportion(
        &self,
        recovery: &mut Recovery,
        delivered: u32,
        safe: bool,
        smss: u32,
        lost: u32,
    ) {
        let pipe = recovery.pipe();
        let ssthresh = self.congestion.get().window();
        if let Some(episode) = &mut recovery.episode {
            let begun = episode.prr.is_new();
            if delivered > 0 || begun {
                let repair = episode.kind != Kind::Echo;
                episode.window = episode.prr.on_ack(delivered, pipe, ssthresh, safe, repair, smss);
                if fault!(self, ReductionUnlimited) {
                    episode.window = episode.prr.flight();
                }
            } else if lost > 0 {
                // What is found to be lost makes no room by itself, but for one.
                let one = pipe.saturating_add(smss).min(episode.window);
                episode.window = episode.window.saturating_sub(lost).max(one);
            }
        }
    }

    /// Whether the window kept something from being sent: in slow start more than half of it must have been used, else
    /// nearly all.
    fn is_window_limited(&self, peak: [u32; 2], window: u32, smss: u32) -> bool {
        let peak = peak[0].max(peak[1]);
        let slow_start = self.congestion.get().threshold().is_none_or(|threshold| window < threshold);
        if slow_start {
            return peak > window / 2;
        }
        peak.saturating_add(smss.saturating_mul(2).max(window / 8)) >= window
    }

    /// `ack` comes with ECE, before SND.UNA moves (RFC 3168 §6.1.2). True if the retransmission timer starts anew:
    /// nothing new is sent until it expires.
    pub(crate) fn on_echo(&mut self, ack: SeqNum, now: Instant, smss: u32) -> bool {
        if let Some(undo) = self.recovery.as_mut().and_then(|recovery| recovery.undo.as_mut()) {
            // The reduction that it might show to be needless is the one for this mark.
            undo.before.take_if(|before| before.is_news(ack));
        }
        if !self.ecn.is_news(ack) {
            return false;
        }
        let window = self.congestion.get().window();
        let flight = self.nxt.distance_from(self.una).min(window);
        self.congestion.get_mut().on_ecn(now, flight);
        self.ecn.on_reduced(self.nxt);
        self.ecn.held = window <= smss;
        if let Some(episode) = self.recovery.as_mut().and_then(|recovery| recovery.episode.as_mut()) {
            episode.on_reduced();
        }
        // With nothing under way there is nothing to bring down, and nothing whose acknowledgment would end it.
        if flight > 0
            && let Some(recovery) = &mut self.recovery
            && recovery.episode.is_none()
        {
            recovery.begin(Kind::Echo, now, 0, None);
        }
        self.ecn.held
    }
}

/// Whether the controller alone decides: what may be in flight is not coming down, nor held down for a repair.
fn is_free(recovery: &Recovery) -> bool {
    recovery.episode.as_ref().is_none_or(|episode| matches!(episode.kind, Kind::Timeout(_)))
}
