//! The paths: the way there is bad, the way back only as slow and as far.

use carrick::device::impaired::{Aqm, Blackouts, Bottleneck, Bursts, CoDel, LinkConfig, Policer, QueueLimit};
use std::time::Duration;

const MEGABIT: u64 = 1_000_000;
/// Text in a full packet of 1,500 bytes, with timestamps.
const TEXT: f64 = 1448.0 / 1500.0;

/// A path between the two ends.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    /// What carries the text.
    pub(crate) there: LinkConfig,
    /// What carries the acknowledgments.
    pub(crate) back: LinkConfig,
    /// Bits of text per second that it could carry at best.
    pub(crate) capacity: f64,
    /// How long a run lasts.
    pub(crate) lasts: Duration,
    /// Whether both ends use explicit congestion notification.
    pub(crate) ecn: bool,
}

impl Path {
    fn there(mut self, change: impl FnOnce(&mut LinkConfig)) -> Self {
        change(&mut self.there);
        self
    }

    fn bottleneck(self, change: impl FnOnce(&mut Bottleneck)) -> Self {
        self.there(|link| link.bottleneck.as_mut().map_or((), change))
    }

    /// The share of the capacity that is left by what the path does.
    fn of_capacity(mut self, share: f64) -> Self {
        self.capacity *= share;
        self
    }
}

/// A path of that many Mbit/s and milliseconds there and back, with a queue of so many bandwidth-delay products.
fn path(
    name: &'static str,
    what: &str,
    (megabits, round_trip, queue): (u64, u64, f64),
    seconds: u64,
) -> Path {
    let rate = megabits * MEGABIT;
    let trip = Duration::from_millis(round_trip);
    let comma = if what.is_empty() { "" } else { ", " };
    let limit = QueueLimit::bdp(rate, trip, queue);
    let there = Bottleneck { queue: limit, ..Bottleneck::new(rate) };
    let link = |bottleneck| LinkConfig { bottleneck: Some(bottleneck), ..LinkConfig::delayed(trip / 2) };
    Path {
        name,
        what: format!("{megabits} Mbit/s, {round_trip} ms{comma}{what}"),
        there: link(there),
        back: link(Bottleneck::new(rate)),
        capacity: rate as f64 * TEXT,
        lasts: Duration::from_secs(seconds),
        ecn: false,
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Path> {
    let usual = (50, 40, 1.0);
    let near = (50, 20, 1.0);
    let share = |lost: u32| 1.0 - f64::from(lost) / 1e6;
    let lossy = |name, what, like, seconds, lost: u32| {
        path(name, what, like, seconds).there(|it| it.loss = lost).of_capacity(share(lost))
    };
    let codel = |name, what, ecn| {
        path(name, what, usual, 10).bottleneck(|it| {
            (it.aqm, it.queue) = (Aqm::CoDel(CoDel { ecn, ..CoDel::default() }), QueueLimit::Packets(1000));
        })
    };
    // When and for how long, in milliseconds.
    let dark = |name, what, times: &[(u64, u64)]| {
        let times =
            times.iter().map(|&(at, length)| Duration::from_millis(at)..Duration::from_millis(at + length));
        let times: Vec<_> = times.collect();
        let left = 1.0 - times.iter().map(|dark| (dark.end - dark.start).as_secs_f64()).sum::<f64>() / 15.0;
        path(name, what, usual, 15).there(|it| it.blackouts = Blackouts::At(times)).of_capacity(left)
    };
    vec![
        path("clean-20ms", "", (100, 20, 1.0), 8),
        path("clean-1ms", "", (100, 1, 1.0), 8),
        path("clean-100ms", "", (50, 100, 1.0), 12),
        path("clean-200ms", "", (50, 200, 1.0), 15),
        path("shallow", "a queue of 0.1 BDP", (50, 40, 0.1), 10),
        path("deep", "a queue of 4 BDP", (20, 40, 4.0), 10),
        lossy("loss-0.1%-20ms", "1 of 1,000 lost", near, 12, 1000),
        lossy("loss-1%-20ms", "1 of 100 lost", near, 12, 10_000),
        lossy("loss-1%-100ms", "1 of 100 lost", (20, 100, 1.0), 15, 10_000),
        path("bursts", "1 of 1,000 lost, 8 at a time", usual, 12)
            .there(|it| it.bursts = Some(Bursts::new(1000, 8)))
            .of_capacity(share(1000)),
        path("reordering", "5 % held back by 4 ms", usual, 10).there(|it| {
            let late = Duration::from_millis(4);
            (it.reorder, it.reorder_by, it.reorder_least) = (50_000, late, late);
        }),
        path("jitter", "up to 5 ms more", usual, 10).there(|it| it.jitter = Duration::from_millis(5)),
        path("policer", "policed to 20 Mbit/s, 64 KiB at once", usual, 12)
            .there(|it| it.policer = Some(Policer { rate: 20 * MEGABIT, burst: 64 << 10 }))
            .of_capacity(20.0 / 50.0),
        dark("blackout", "dark for 1 s after 4 s", &[(4000, 1000)]),
        dark("blackouts", "dark for 0.5 s, 0.75 s and 1.25 s", &[(3000, 500), (6000, 750), (9000, 1250)]),
        codel("codel", "CoDel", false),
        Path { ecn: true, ..codel("ecn", "CoDel that marks", true) },
        path("duplicates", "2 % come twice", usual, 10).there(|it| it.duplicate = 20_000),
    ]
}
