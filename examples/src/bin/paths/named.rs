//! The paths: what each is like, who uses it, and what it could carry at best.

use super::Controller;
use carrick_core::EcnPolicy;
use carrick_sim::{
    Aqm, Blackouts, Bottleneck, Bursts, CoDel, Flow, LinkConfig, Network, PathMtu, Policer, QueueLimit, Span,
};
use std::time::Duration;

const MEGABIT: u64 = 1_000_000;
/// Text in a full packet of 1,500 bytes, with timestamps.
const TEXT: f64 = 1448.0;
const PACKET: f64 = 1500.0;

/// A path, and who uses it.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    network: Network,
    /// Bits per second of the bottleneck.
    pub(crate) rate: u64,
    /// Bits of text per second that it could carry at best.
    pub(crate) capacity: f64,
    /// The least that a flow can take, if all are of one size.
    pub(crate) least: Option<Duration>,
    pub(crate) longest: Duration,
}

impl Named {
    /// The network with that controller for all its senders; `drawn` keeps what pictures need.
    pub(crate) fn network_with(&self, controller: &Controller, drawn: bool) -> Network {
        let mut network = self.network.clone();
        for flow in &mut network.flows {
            flow.sender.congestion = Some((controller.new)());
        }
        network.packets = drawn && network.flows.len() == 1;
        network
    }

    /// Changes the link that carries the text.
    fn there(mut self, change: impl FnOnce(&mut LinkConfig)) -> Self {
        change(&mut self.network.there);
        self
    }

    /// Changes the bottleneck before it.
    fn bottleneck(self, change: impl FnOnce(&mut Bottleneck)) -> Self {
        self.there(|link| link.bottleneck.as_mut().map_or((), change))
    }

    /// The share that is left of the capacity by what the path does.
    fn of_capacity(mut self, share: f64) -> Self {
        self.capacity *= share;
        self
    }

    fn flows(mut self, flows: impl IntoIterator<Item = Flow>) -> Self {
        self.network.flows = flows.into_iter().collect();
        self
    }
}

/// A path of that rate and round trip with a queue of so many bandwidth-delay products, and one endless flow.
fn path(
    seed: u64,
    seconds: u64,
    name: &'static str,
    what: &str,
    (megabits, round_trip, queue): (u64, u64, f64),
) -> Named {
    let (rate, round_trip) = (megabits * MEGABIT, round_trip.ms());
    let limit = QueueLimit::bdp(rate, round_trip, queue);
    let bottleneck = Some(Bottleneck { queue: limit, ..Bottleneck::new(rate) });
    let mut network = Network::new(seed, LinkConfig { bottleneck, ..LinkConfig::delayed(round_trip / 2) });
    // Acknowledgments are not what these paths are about.
    network.back.bottleneck = Some(Bottleneck::new(rate));
    network.sample = 10.ms();
    network.flows = vec![Flow::endless()];
    let what = format!(
        "{megabits} Mbit/s, {} ms{}{what}",
        round_trip.as_millis(),
        if what.is_empty() { "" } else { ", " }
    );
    let capacity = rate as f64 * TEXT / PACKET;
    Named { name, what, network, rate, capacity, least: None, longest: seconds.secs() }
}

/// Flows of that size, one after the other: how long each takes is what counts.
fn short(seed: u64, name: &'static str, what: &str, bytes: u64, loss: u32) -> Named {
    const EVERY: u64 = 10;
    let flows = if loss > 0 { 40 } else { 5 };
    let like = (50, 40, 1.0);
    let mut path = path(seed, EVERY * flows, name, what, like).there(|link| link.loss = loss);
    path.least = Flow::of(bytes).least_time(path.rate, 40.ms());
    path.flows((0..flows).map(|n| Flow { at: (n * EVERY).secs(), ..Flow::of(bytes) }))
}

/// All paths. Endless flows last for so many seconds.
pub(crate) fn all(seed: u64, seconds: u64) -> Vec<Named> {
    let path = |name, what, like| path(seed, seconds, name, what, like);
    let clean = |name, like| path(name, "", like);
    let usual = (50, 40, 1.0);
    let share = |lost: u32| 1.0 - f64::from(lost) / 1e6;
    vec![
        clean("lan", (100, 1, 1.0)),
        clean("clean-20ms", (100, 20, 1.0)),
        clean("clean-100ms", (100, 100, 1.0)),
        clean("clean-200ms", (50, 200, 1.0)),
        clean("clean-600ms", (10, 600, 1.0)),
        path("shallow", "a queue of 0.1 BDP", (50, 40, 0.1)),
        path("deep", "a queue of 8 BDP", (20, 40, 8.0)),
        path("codel", "CoDel", usual).bottleneck(|it| {
            (it.aqm, it.queue) = (Aqm::CoDel(CoDel::default()), QueueLimit::Packets(1000));
        }),
        ecn(path("ecn", "CoDel that marks", usual)),
        path("rare-loss", "1 of 10,000 lost", usual).there(|it| it.loss = 100).of_capacity(share(100)),
        path("heavy-loss", "1 of 100 lost", usual).there(|it| it.loss = 10_000).of_capacity(share(10_000)),
        path("bursts", "1 of 1,000 lost, 8 at a time", usual)
            .there(|it| it.bursts = Some(Bursts::new(1000, 8)))
            .of_capacity(share(1000)),
        path("reordering", "5 % held back by 4 ms", usual).there(|it| {
            (it.reorder, it.reorder_by, it.reorder_least) = (50_000, 4.ms(), 4.ms());
        }),
        path("jitter", "up to 10 ms more", usual).there(|it| it.jitter = 10.ms()),
        path("duplicates", "2 % come twice", usual).there(|it| it.duplicate = 20_000),
        path("policer", "policed to 20 Mbit/s, 64 KiB at once", usual)
            .there(|it| it.policer = Some(Policer { rate: 20 * MEGABIT, burst: 64 << 10 }))
            .of_capacity(20.0 / 50.0),
        path("blackout", "dark for 1 s of every 10", usual)
            .there(|it| {
                it.blackouts = Blackouts::Every { first: 5.secs(), period: 10.secs(), length: 1.secs() };
            })
            .of_capacity(0.9),
        path("narrow", "packets of 1,400 bytes, told by ICMP", usual)
            .there(|it| it.mtu = Some(PathMtu::told(1400)))
            .of_capacity(1348.0 / 1400.0 * PACKET / TEXT),
        path("two-flows", "two flows", usual).flows([Flow::endless(), Flow::endless()]),
        path("two-distances", "flows of 40 and 120 ms", usual)
            .flows([0, 40].map(|more: u64| Flow { access: more.ms(), ..Flow::endless() })),
        path("late-comer", "a second flow after a third of the time", usual)
            .flows([0, seconds * 1000 / 3].map(|at| Flow { at: at.ms(), ..Flow::endless() })),
        path("eight-flows", "eight flows", usual).flows((0..8).map(|_| Flow::endless())),
        short(seed, "10-KB", "flows of 10 KB", 10_000, 0),
        short(seed, "100-KB", "flows of 100 KB", 100_000, 0),
        short(seed, "1-MB", "flows of 1 MB", 1_000_000, 0),
        short(seed, "100-KB-lossy", "flows of 100 KB, 2 of 100 lost", 100_000, 20_000),
    ]
}

fn ecn(path: Named) -> Named {
    let mut path = path.bottleneck(|it| {
        let codel = CoDel { ecn: true, ..CoDel::default() };
        (it.aqm, it.queue) = (Aqm::CoDel(codel), QueueLimit::Packets(1000));
    });
    path.network.flows[0].sender.ecn = EcnPolicy::Ask;
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_there_are_enough() {
        let names: std::collections::BTreeSet<_> = all(1, 30).iter().map(|path| path.name).collect();
        assert_eq!(names.len(), all(1, 30).len());
        assert!(names.len() >= 16);
    }
}
