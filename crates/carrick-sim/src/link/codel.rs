//! CoDel (RFC 8289): drops by how long packets have waited, not by how many wait.

use carrick_core::Instant;
use std::time::Duration;

/// Settings of CoDel.
///
/// # Examples
/// ```
/// use carrick_sim::{Aqm, Bottleneck, CoDel, LinkConfig};
///
/// let queue = Bottleneck { aqm: Aqm::CoDel(CoDel::default()), ..Bottleneck::new(20_000_000) };
/// let link = LinkConfig { bottleneck: Some(queue), ..LinkConfig::default() };
/// # let _ = link;
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CoDel {
    /// How long packets may have to wait for good. Default 5 ms (RFC 8289 §4.2).
    pub target: Duration,
    /// For how long they must have waited longer before one is dropped; about the longest round trip of those who use
    /// the link. Default 100 ms (RFC 8289 §4.3).
    pub interval: Duration,
    /// Whether packets that say they are ECN-capable are marked instead of dropped. Default false.
    pub ecn: bool,
}

impl Default for CoDel {
    fn default() -> Self {
        Self { target: Duration::from_millis(5), interval: Duration::from_millis(100), ecn: false }
    }
}

/// What is to become of a packet whose turn it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It is sent.
    Pass,
    /// It is marked and sent.
    Mark,
    /// It is dropped, and it is the next one's turn.
    Drop,
}

/// What a packet found whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// When it is.
    pub(super) now: Instant,
    /// How long the packet has waited.
    pub(super) sojourn: Duration,
    /// Bytes behind it.
    pub(super) backlog: usize,
    /// Bytes of the largest packet so far.
    pub(super) largest: usize,
    /// It may be marked.
    pub(super) capable: bool,
}

/// The state of RFC 8289 §5, whose names these are.
#[derive(Debug)]
pub(super) struct State {
    first_above_time: Option<Instant>,
    drop_next: Instant,
    count: u64,
    last_count: u64,
    dropping: bool,
    after: After,
}

/// What the drop of one packet leaves to be done when it is the next one's turn, at the same time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum After {
    #[default]
    Nothing,
    /// To enter the dropping state.
    Enter,
    /// To say when the next drop is.
    Schedule,
}

impl Default for State {
    fn default() -> Self {
        let (drop_next, after) = (Instant::ZERO, After::Nothing);
        Self { first_above_time: None, drop_next, count: 0, last_count: 0, dropping: false, after }
    }
}

impl State {
    /// RFC 8289 §5.5, one packet at a time.
    pub(super) fn judge(&mut self, config: CoDel, turn: Turn) -> Verdict {
        let ok_to_drop = self.ok_to_drop(config, turn);
        match std::mem::take(&mut self.after) {
            After::Nothing => {}
            After::Enter => {
                self.enter(config, turn.now);
                return Verdict::Pass;
            }
            After::Schedule if ok_to_drop => {
                self.drop_next = control_law(config, self.drop_next, self.count);
            }
            After::Schedule => {}
        }
        let hit = |this: &mut Self, after: After| {
            if turn.capable && config.ecn {
                return Verdict::Mark;
            }
            this.after = after;
            Verdict::Drop
        };
        if !ok_to_drop {
            self.dropping = false;
        } else if !self.dropping {
            let verdict = hit(self, After::Enter);
            if verdict == Verdict::Mark {
                self.enter(config, turn.now);
            }
            return verdict;
        } else if turn.now >= self.drop_next {
            self.count += 1;
            let verdict = hit(self, After::Schedule);
            if verdict == Verdict::Mark {
                self.drop_next = control_law(config, self.drop_next, self.count);
            }
            return verdict;
        }
        Verdict::Pass
    }

    /// Whether packets have waited too long for too long (RFC 8289 §5.6).
    fn ok_to_drop(&mut self, config: CoDel, turn: Turn) -> bool {
        if turn.sojourn < config.target || turn.backlog <= turn.largest {
            self.first_above_time = None;
            return false;
        }
        turn.now >= *self.first_above_time.get_or_insert(turn.now + config.interval)
    }

    /// Begins to drop; where it stopped, if that was not long ago.
    fn enter(&mut self, config: CoDel, now: Instant) {
        self.dropping = true;
        let delta = self.count.saturating_sub(self.last_count);
        let recent = now.since(self.drop_next) < config.interval.saturating_mul(16);
        self.count = if delta > 1 && recent { delta } else { 1 };
        self.drop_next = control_law(config, now, self.count);
        self.last_count = self.count;
    }
}

/// When the next drop is: ever sooner (RFC 8289 §3.3).
fn control_law(config: CoDel, t: Instant, count: u64) -> Instant {
    let interval = u64::try_from(config.interval.as_nanos()).unwrap_or(u64::MAX);
    let squared = u128::from(interval).pow(2) / u128::from(count.max(1));
    t + Duration::from_nanos(u64::try_from(squared.isqrt()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Span, at};

    /// Judges a packet each millisecond, which has waited so long; when what became of it.
    fn run(
        state: &mut State,
        config: CoDel,
        ms: std::ops::Range<u64>,
        waited: u64,
        capable: bool,
    ) -> Vec<(u64, Verdict)> {
        let mut seen = Vec::new();
        for ms in ms {
            let turn =
                Turn { now: at(ms.ms()), sojourn: waited.ms(), backlog: 30_000, largest: 1500, capable };
            loop {
                let verdict = state.judge(config, turn);
                if verdict != Verdict::Pass {
                    seen.push((ms, verdict));
                }
                if verdict != Verdict::Drop {
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn drops_come_by_the_control_law_and_stop_when_the_queue_is_short() {
        for (ecn, what) in [(false, Verdict::Drop), (true, Verdict::Mark)] {
            let config = CoDel { ecn, ..CoDel::default() };
            let mut state = State::default();
            let mut seen = run(&mut state, config, 0..50, 4, true);
            assert_eq!(seen, [], "4 ms are fine");
            seen = run(&mut state, config, 50..1000, 6, true);
            // 100 ms above the target, and then after 100 ms, 100/sqrt(2), 100/sqrt(3) ...
            let mut next = 150.0;
            let mut expected = vec![(150, what)];
            for count in 1.. {
                next += 100.0 / f64::from(count).sqrt();
                if next >= 1000.0 {
                    break;
                }
                expected.push((next.ceil() as u64, what));
            }
            assert_eq!(seen, expected);
            assert_eq!(run(&mut state, config, 1000..1050, 4, true), []);
            // Soon afterwards it goes on at about the rate at which it stopped.
            let again = run(&mut state, config, 1050..1400, 6, true);
            assert_eq!(again[0].0, 1150);
            assert!(again[1].0 - again[0].0 < 30, "{again:?}");
        }
    }

    #[test]
    fn a_packet_that_cannot_be_marked_is_dropped_and_a_queue_of_one_packet_is_left_alone() {
        let config = CoDel { ecn: true, ..CoDel::default() };
        let seen = run(&mut State::default(), config, 0..300, 6, false);
        assert!(seen.len() > 1 && seen.iter().all(|(_, verdict)| *verdict == Verdict::Drop));
        let mut state = State::default();
        for ms in 0..1000u64 {
            let turn =
                Turn { now: at(ms.ms()), sojourn: 50.ms(), backlog: 1500, largest: 1500, capable: false };
            assert_eq!(state.judge(config, turn), Verdict::Pass);
        }
    }
}
