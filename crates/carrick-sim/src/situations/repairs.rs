//! What senders did about losses, and what they took back: seen in what they tell of themselves before and after.

use super::{Ends, Situation, Witness, ends};
use crate::host::Host;
use crate::packet::SegmentView;
use carrick_core::{Connection, Instant, RecoveryState, TcpInfo};
use carrick_wire::{SeqNum, TcpFlags};
use std::net::SocketAddr;

/// A sender before a step.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    info: TcpInfo,
    una: SeqNum,
    nxt: SeqNum,
}

/// The repair that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repair {
    /// SND.NXT when it began.
    point: SeqNum,
    /// [`TcpInfo::retransmitted`] then.
    before: u32,
}

/// Connections whose timers are about to be served.
pub(crate) struct Due(Vec<((SocketAddr, SocketAddr), Sending)>);

impl Sending {
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        let [una, nxt, ..] = connection.sequence_numbers()?;
        Some(Self { info: connection.tcp_info()?, una, nxt })
    }

    fn repairs(&self) -> bool {
        matches!(self.info.recovery, RecoveryState::Recovery | RecoveryState::Loss)
    }

    fn threshold(&self) -> u32 {
        self.info.slow_start_threshold.unwrap_or(u32::MAX)
    }
}

impl Due {
    pub(crate) fn of(host: &Host, now: Instant) -> Self {
        let due = host.live().filter(|connection| connection.poll_timeout().is_some_and(|at| at <= now));
        let ends = |it: &Connection| (it.local_addr(), it.remote_addr());
        Self(due.filter_map(|it| Some((ends(it), Sending::of(it)?))).collect())
    }
}

impl Witness {
    /// Timers have been served.
    pub(crate) fn expired(&mut self, due: Due, host: &Host) {
        for ((local, remote), before) in due.0 {
            let Some(after) = host.find(local, remote).and_then(Sending::of) else { continue };
            let (b, a) = (&before.info, &after.info);
            let conversation = ends(local, remote);
            let probed = a.sack && a.timeouts == b.timeouts && a.retransmitted != b.retransmitted;
            if probed && !before.repairs() && !after.repairs() {
                self.saw(conversation, Situation::TailProbe);
            }
            if !before.repairs() && a.recovery == RecoveryState::Recovery {
                self.saw(conversation, Situation::ReorderingWait);
            }
            if a.path_mtu < b.path_mtu {
                self.saw(conversation, Situation::BlackHole);
            }
            self.follow(conversation, (local, remote), &before, &after);
        }
    }

    /// A segment has come to whoever was `before` like that.
    pub(super) fn answered(&mut self, segment: &SegmentView<'_>, before: &Sending, host: &Host) {
        let (local, remote) = (segment.dst, segment.src);
        let Some(after) = host.find(local, remote).and_then(Sending::of) else { return };
        let conversation = ends(local, remote);
        let (b, a) = (&before.info, &after.info);
        let recovery = (b.recovery, a.recovery);
        let calm = |state| matches!(state, RecoveryState::Open | RecoveryState::Disorder);
        if segment.has(TcpFlags::ECE) && calm(b.recovery) && a.recovery == RecoveryState::Reduced {
            self.saw(conversation, Situation::MarkAnswered);
        }
        if !a.sack
            && recovery == (RecoveryState::Recovery, RecoveryState::Recovery)
            && after.una != before.una
        {
            self.saw(conversation, Situation::PartialAck);
        }
        let beyond = a.unacknowledged - a.unsent > a.congestion_window as usize;
        let waits = after.una == before.una && a.recovery == RecoveryState::Disorder;
        if !a.sack && waits && beyond && a.unsent < b.unsent {
            self.saw(conversation, Situation::LimitedTransmit);
        }
        let undone = after.threshold() > before.threshold();
        let repair = self.repairs.get(&(local, remote)).copied();
        if undone && !(calm(b.recovery) && duplicate(segment).is_none()) {
            let again = repair.is_some_and(|repair| repair.before != b.retransmitted);
            let witness = match b.recovery {
                _ if duplicate(segment).is_some() => Some(Situation::UndoneByDuplicate),
                // Where there are timestamps they may have told as well.
                RecoveryState::Loss => (!b.timestamps).then_some(Situation::UndoneByNewText),
                // Else all that was thought lost has come before any of it was sent again.
                RecoveryState::Recovery => (again && b.timestamps).then_some(Situation::UndoneByTimestamp),
                _ => None,
            };
            if let Some(witness) = witness {
                self.saw(conversation, witness);
            }
        }
        self.follow(conversation, (local, remote), before, &after);
    }

    /// What any step may come to.
    fn follow(
        &mut self,
        conversation: Ends,
        way: (SocketAddr, SocketAddr),
        before: &Sending,
        after: &Sending,
    ) {
        let repair = self.repairs.get(&way).copied();
        let goes_on = repair.is_some_and(|repair| after.una.before(repair.point));
        let both = [before, after].iter().all(|it| it.info.recovery == RecoveryState::Recovery);
        // Reduced once more, in one repair.
        if both && goes_on && after.threshold() < before.threshold() {
            self.saw(conversation, Situation::RepetitionLost);
        }
        if !after.repairs() {
            self.repairs.remove(&way);
        } else if !before.repairs() || !goes_on {
            let repair = Repair { point: before.nxt, before: before.info.retransmitted };
            self.repairs.insert(way, repair);
        }
    }
}

/// The duplicate that a segment reports (RFC 2883 §4).
fn duplicate(segment: &SegmentView<'_>) -> Option<(SeqNum, SeqNum)> {
    let mut blocks = segment.tcp.options.sack.iter();
    let first = blocks.next()?;
    let inside = blocks.next().is_some_and(|second| {
        second.left().at_or_before(first.left()) && first.right().at_or_before(second.right())
    });
    (first.right().at_or_before(segment.tcp.ack) || inside).then_some((first.left(), first.right()))
}
