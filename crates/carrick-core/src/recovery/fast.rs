//! Fast retransmit and fast recovery: what duplicate acknowledgments tell of loss.
//!
//! RFC 5681 §3.2 and §4.3, RFC 6582 (NewReno, the impatient variant of §4), RFC 3042; on connections with SACK a
//! duplicate is what RFC 6675 §2 says, and blocks are believed within RFC 6675 §5's bounds only. What was lost is
//! found here, how much may be in flight is the congestion controller's: its window is ssthresh during recovery,
//! and what RFC 5681 calls inflating it is kept here, for it says how much has left the network.
//!
//! Amounts are bytes. Without SACK a duplicate stands for one segment, with it for the bytes that it newly covers,
//! so that neither merged nor divided ACKs are mistaken.
//!
//! Invariant: nothing is inflated by more than what was outstanding when SND.UNA last moved.

use alloc::vec::Vec;
use carrick_wire::SeqNum;
use core::hash::Hasher;

/// So many duplicates in a row mean that the segment at SND.UNA is lost (RFC 5681 §3.2).
const THRESHOLD: u8 = 3;

/// Exists while duplicates have come, or while what they may mean is open (see [`is_idle`](Self::is_idle)).
#[derive(Clone, Debug)]
pub(crate) struct FastRecovery {
    /// RFC 6582's `recover`, moved by one: the number after the highest one sent when recovery began or the timer
    /// expired. Starts as ISS, so that a loss in the first flight is repaired too.
    recover: SeqNum,
    stage: Stage,
    duplicates: u8,
    /// What the window is inflated by, less what partial ACKs take back. With SACK `sacked` says it.
    inflation: i64,
    /// By how much duplicates may still inflate it until SND.UNA moves.
    room: u32,
    /// The segment at SND.UNA is to be sent again.
    pub(crate) due: bool,
    /// The peer has sent blocks.
    sack: bool,
    sacked: Sacked,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Watching,
    /// Until `recover` is acknowledged.
    Recovering,
    /// The same, and some of it has been.
    Partial,
}

/// What an ACK of new data is to recovery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Advance {
    /// There is none.
    Normal,
    /// There is more to repair (RFC 6582 §3.2); whether the timer starts anew.
    Partial { restart: bool },
    /// It is over.
    Full,
}

impl FastRecovery {
    pub(crate) fn new(una: SeqNum) -> Self {
        Self {
            recover: una - 1,
            stage: Stage::Watching,
            duplicates: 0,
            inflation: 0,
            room: 0,
            due: false,
            sack: false,
            sacked: Sacked(Vec::new()),
        }
    }

    pub(crate) fn recovering(&self) -> bool {
        self.stage != Stage::Watching
    }

    /// Bytes that the peer has said to have beyond SND.UNA.
    pub(crate) fn sacked(&self) -> u32 {
        self.sacked.len()
    }

    /// Whether something suggests that segments were lost or overtaken.
    pub(crate) fn suspects(&self) -> bool {
        self.duplicates > 0 || self.sacked() > 0
    }

    /// Whether the retransmission timer stays as the first partial ACK set it (RFC 6582 §4).
    pub(crate) fn impatient(&self) -> bool {
        self.stage == Stage::Partial
    }

    /// Whether duplicates of `una` may be believed (RFC 6582 §3.2): they might answer what a timeout sent twice.
    /// Those with news of SACK's cannot (RFC 6675 §5.1).
    fn eligible(&self, una: SeqNum) -> bool {
        una.after(self.recover) || (self.sack && una == self.recover)
    }

    /// Whether there is nothing to remember, now that SND.UNA has moved or a block has come: recovery lasts until
    /// `recover`, and duplicates are forgotten or have brought blocks.
    pub(crate) fn is_idle(&self, una: SeqNum) -> bool {
        self.sacked.0.is_empty() && una.after(self.recover)
    }

    /// The congestion window `cwnd` with what has left the network: during recovery inflated, before it for
    /// limited transmit (RFC 3042), which leaves it as it is.
    pub(crate) fn window(&self, cwnd: u32, una: SeqNum, smss: u32) -> u32 {
        let most = smss.saturating_mul(u32::from(THRESHOLD).saturating_sub(1));
        let extra = match (self.recovering(), self.sack) {
            (true, true) => i64::from(self.sacked.len()),
            (true, false) => self.inflation,
            (false, _) if !self.eligible(una) => 0,
            (false, true) => i64::from(self.sacked.len().min(most)),
            (false, false) => i64::from(smss.saturating_mul(self.duplicates.into()).min(most)),
        };
        let window = i64::from(cwnd).saturating_add(extra).max(smss.into());
        u32::try_from(window).unwrap_or(u32::MAX)
    }

    /// Notes a block of a SACK option, and says how many bytes it newly covers. One that does not lie between
    /// SND.UNA and SND.NXT is ignored (RFC 2018 §5), a D-SACK among them.
    pub(crate) fn note_sacked(&mut self, una: SeqNum, nxt: SeqNum, left: SeqNum, right: SeqNum) -> u32 {
        self.sack = true;
        let valid = left.after(una) && left.before(right) && right.at_or_before(nxt);
        if valid { self.sacked.add(left, right) } else { 0 }
    }

    /// A duplicate ACK. True if it shows the segment at `una` to be lost, for the first time: that is due then,
    /// and the controller is to be told.
    pub(crate) fn on_duplicate(&mut self, una: SeqNum, nxt: SeqNum, smss: u32) -> bool {
        self.duplicates = self.duplicates.saturating_add(1);
        if self.recovering() {
            let more = smss.min(self.room);
            self.room = self.room.saturating_sub(more);
            self.inflation = self.inflation.saturating_add(more.into());
            return false;
        }
        // RFC 6675 §4, IsLost: bytes tell sooner where one ACK reports several segments.
        let many = self.sacked.len() > smss.saturating_mul(2);
        if !self.eligible(una) || (self.duplicates < THRESHOLD && !many) {
            return false;
        }
        let flight = nxt.distance_from(una);
        let left = smss.saturating_mul(THRESHOLD.into()).min(flight);
        self.inflation = left.into();
        self.room = flight.saturating_sub(left);
        self.recover = nxt;
        self.stage = Stage::Recovering;
        self.due = true;
        true
    }

    /// SND.UNA has moved by `acked` bytes to `una`, with `flight` bytes outstanding behind it.
    pub(crate) fn on_advance(&mut self, una: SeqNum, acked: u32, flight: u32, smss: u32) -> Advance {
        self.sacked.forget_before(una);
        self.duplicates = 0;
        if !self.recovering() {
            if self.eligible(una) {
                // Kept near, however long something stays SACKed.
                self.recover = una - 1;
            }
            return Advance::Normal;
        }
        if una.at_or_after(self.recover) {
            self.stage = Stage::Watching;
            self.due = false;
            return Advance::Full;
        }
        let restart = self.stage == Stage::Recovering;
        self.stage = Stage::Partial;
        let again = if acked >= smss { smss } else { 0 };
        self.inflation = self.inflation.saturating_sub(acked.into()).saturating_add(again.into());
        self.room = flight.saturating_sub(u32::try_from(self.inflation).unwrap_or(0));
        self.due = true;
        Advance::Partial { restart }
    }

    /// Everything is sent again from SND.UNA on: duplicates tell nothing until all below `nxt` is acknowledged
    /// (RFC 6582 §3.2), and what was SACKed may be gone (RFC 2018 §8).
    pub(crate) fn on_going_back(&mut self, una: SeqNum, nxt: SeqNum) {
        *self = Self { recover: nxt, ..Self::new(una) };
    }

    /// Bytes of heap memory.
    pub(crate) fn memory(&self) -> usize {
        let ranges = self.sacked.0.capacity().saturating_mul(size_of::<(SeqNum, SeqNum)>());
        size_of::<Self>().saturating_add(ranges)
    }

    pub(crate) fn digest(&self, iss: SeqNum, state: &mut impl Hasher) {
        let Self { recover, stage, duplicates, inflation, room, due, sack, sacked } = self;
        state.write_u32(recover.distance_from(iss));
        state.write(&[*stage as u8, *duplicates, u8::from(*due), u8::from(*sack)]);
        state.write_i64(*inflation);
        state.write_u32(*room);
        for (left, right) in &sacked.0 {
            state.write_u32(left.distance_from(iss));
            state.write_u32(right.distance_from(iss));
        }
    }
}

/// What the peer has reported to have: ranges in order that do not touch. Of more than it remembers nothing is
/// taken for new.
#[derive(Clone, Debug)]
struct Sacked(Vec<(SeqNum, SeqNum)>);

impl Sacked {
    const MOST: usize = 32;

    fn len(&self) -> u32 {
        self.0.iter().fold(0, |sum, (left, right)| sum.saturating_add(right.distance_from(*left)))
    }

    fn add(&mut self, left: SeqNum, right: SeqNum) -> u32 {
        let before = self.len();
        let (mut from, mut to) = (left, right);
        self.0.retain(|&(left, right)| {
            let apart = right.before(from) || left.after(to);
            if !apart {
                (from, to) = (if left.before(from) { left } else { from }, to.max(right));
            }
            apart
        });
        if self.0.len() < Self::MOST {
            let at = self.0.partition_point(|(left, _)| left.before(from));
            self.0.insert(at, (from, to));
        }
        self.len().saturating_sub(before)
    }

    fn forget_before(&mut self, una: SeqNum) {
        self.0.retain_mut(|(left, right)| {
            *left = left.max(una);
            left.before(*right)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u32 = 1000;

    fn at(n: u32) -> SeqNum {
        SeqNum::new(u32::MAX - 2000) + n
    }

    /// Three duplicates of a flight of ten segments.
    fn recovering() -> FastRecovery {
        let mut fast = FastRecovery::new(at(1));
        assert!(!fast.on_duplicate(at(1), at(10_001), SMSS));
        assert!(!fast.on_duplicate(at(1), at(10_001), SMSS));
        assert!(fast.on_duplicate(at(1), at(10_001), SMSS));
        assert!(fast.due);
        fast
    }

    #[test]
    fn ranges_are_charged() {
        let mut fast = FastRecovery::new(at(1));
        assert_eq!(fast.memory(), size_of::<FastRecovery>());
        fast.note_sacked(at(1), at(10_001), at(1001), at(2001));
        assert!(fast.memory() > size_of::<FastRecovery>());
    }

    #[test]
    fn fr_4_and_5_the_window_is_inflated_at_most_by_what_is_outstanding() {
        let mut fast = recovering();
        assert_eq!(fast.window(5 * SMSS, at(1), SMSS), 8 * SMSS);
        assert!(!fast.on_duplicate(at(1), at(10_001), SMSS));
        assert_eq!(fast.window(5 * SMSS, at(1), SMSS), 9 * SMSS);
        for _ in 0..1000 {
            assert!(!fast.on_duplicate(at(1), at(10_001), SMSS));
        }
        assert_eq!(fast.window(5 * SMSS, at(1), SMSS), 15 * SMSS);
        carrick_covers::covers!("FR-4", "FR-5");
    }

    #[test]
    fn fr_7_recover_starts_as_iss() {
        let iss = at(0);
        let mut fast = FastRecovery::new(iss + 1);
        assert_eq!(fast.recover, iss);
        assert!(fast.eligible(iss + 1), "a loss in the first flight is repaired");
        fast.on_going_back(iss + 1, at(5001));
        assert_eq!(fast.recover, at(5001), "FR-12: all that was sent when the timer expired");
        assert!(!fast.recovering() && !fast.eligible(at(5001)) && fast.eligible(at(5002)));
        carrick_covers::covers!("FR-7", "FR-12");
    }

    #[test]
    fn fr_10_a_partial_ack_deflates_by_what_it_acknowledges_less_a_segment() {
        let mut fast = recovering();
        assert_eq!(fast.on_advance(at(2001), 2000, 8000, SMSS), Advance::Partial { restart: true });
        assert_eq!(fast.window(5 * SMSS, at(2001), SMSS), (8 - 2 + 1) * SMSS);
        assert!(fast.due && fast.impatient());
        assert_eq!(fast.on_advance(at(2101), 100, 7900, SMSS), Advance::Partial { restart: false });
        assert_eq!(
            fast.window(5 * SMSS, at(2101), SMSS),
            7 * SMSS - 100,
            "less than a segment gives none back"
        );
        assert_eq!(fast.on_advance(at(9001), 6900, 1000, SMSS), Advance::Partial { restart: false });
        assert_eq!(fast.window(5 * SMSS, at(9001), SMSS), SMSS, "never less than a segment");
        assert_eq!(fast.on_advance(at(10_001), 1000, 0, SMSS), Advance::Full);
        assert!(!fast.recovering() && !fast.is_idle(at(10_001)) && fast.is_idle(at(10_002)));
    }

    #[test]
    fn blocks_count_once_and_only_inside_what_is_outstanding() {
        let mut fast = FastRecovery::new(at(1));
        let mut note = |left, right| fast.note_sacked(at(1), at(10_001), at(left), at(right));
        assert_eq!(note(2001, 3001), 1000);
        assert_eq!(note(2001, 3001), 0);
        assert_eq!(note(2501, 4001), 1000);
        assert_eq!(note(6001, 7001), 1000);
        assert_eq!(note(1501, 8001), 6500 - 3000);
        assert_eq!((note(1, 500), note(9000, 10_002), note(9000, 9000), note(9001, 9000)), (0, 0, 0, 0));
        fast.sacked.forget_before(at(7001));
        assert_eq!(fast.sacked.0, [(at(7001), at(8001))]);
    }

    #[test]
    fn what_is_remembered_of_blocks_is_bounded() {
        let mut sacked = Sacked(Vec::new());
        for island in 0..1000 {
            sacked.add(at(10 * island), at(10 * island + 1));
        }
        assert_eq!((sacked.0.len(), sacked.len()), (Sacked::MOST, 32));
        assert_eq!(sacked.add(at(0), at(10_000)), 10_000 - 32);
        assert_eq!(sacked.0.len(), 1);
    }
}
