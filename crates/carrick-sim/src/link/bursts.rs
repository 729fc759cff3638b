//! Losses that come in bursts.

use crate::rng::Rng;

/// A link that is good or bad, and loses packets while it is bad (Gilbert and Elliott's model, after E. N. Gilbert,
/// "Capacity of a burst-noise channel", 1960).
///
/// Before each packet the link may change from one to the other. What is lost in the good state is
/// [`LinkConfig::loss`](crate::LinkConfig::loss)'s business, as it is without bursts.
///
/// # Examples
/// ```
/// use carrick_sim::{Bursts, Link, LinkConfig, Packet, Rng, Span, at};
///
/// // One packet of a hundred is lost, in bursts of five on average.
/// let bursts = Some(Bursts::new(10_000, 5));
/// let mut link = Link::new(LinkConfig { bursts, ..LinkConfig::default() }, Rng::new(7));
/// for n in 0..100_000 {
///     link.send(at(n.us()), Packet::new(vec![0; 40]));
/// }
/// assert!((800..1200).contains(&link.counters().lost));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Bursts {
    /// How often, per million packets, a good link turns bad.
    pub enter: u32,
    /// How often, per million packets, a bad link turns good.
    pub leave: u32,
    /// How often, per million, a bad link loses a packet.
    pub loss: u32,
}

impl Bursts {
    /// Loses `share` packets of a million in the long run, all of them in bursts of `length` packets on average; at
    /// least 1.
    ///
    /// # Examples
    /// ```
    /// let bursts = carrick_sim::Bursts::new(20_000, 10);
    /// assert_eq!((bursts.leave, bursts.loss), (100_000, 1_000_000));
    /// ```
    #[must_use]
    pub fn new(share: u32, length: u32) -> Self {
        let share = u64::from(share.min(1_000_000));
        let leave = 1_000_000 / u64::from(length.max(1));
        // The share of time in the bad state is enter / (enter + leave).
        let enter = (leave * share).checked_div(1_000_000 - share).unwrap_or(1_000_000).min(1_000_000);
        let per_million = |n: u64| u32::try_from(n).unwrap_or(1_000_000);
        Self { enter: per_million(enter), leave: per_million(leave), loss: 1_000_000 }
    }
}

/// Whether a link is good or bad at the moment.
#[derive(Debug)]
pub(super) struct Weather {
    rng: Rng,
    bad: bool,
}

impl Weather {
    pub(super) const fn new(rng: Rng) -> Self {
        Self { rng, bad: false }
    }

    /// Whether the next packet is lost.
    pub(super) fn loses(&mut self, bursts: Bursts) -> bool {
        let changes = if self.bad { bursts.leave } else { bursts.enter };
        self.bad ^= self.rng.chance(changes);
        self.bad && self.rng.chance(bursts.loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_lost_and_in_bursts_of_that_length() {
        for (share, length) in [(10_000, 1), (10_000, 5), (50_000, 20), (500_000, 2)] {
            let mut weather = Weather::new(Rng::new(7));
            let bursts = Bursts::new(share, length);
            let lost: Vec<bool> = (0..1_000_000).map(|_| weather.loses(bursts)).collect();
            let total = lost.iter().filter(|lost| **lost).count() as f64;
            let bursts = lost.windows(2).filter(|pair| pair[1] && !pair[0]).count() as f64;
            let (share, length) = (f64::from(share), f64::from(length));
            // Within a tenth: a hundred bursts and more on average, at least.
            assert!((total / share - 1.0).abs() < 0.1, "{total} lost of a million, not {share}");
            // Two bursts without a packet between them are one.
            let seen = length / (1.0 - share / 1e6 / length).max(0.5);
            assert!(
                (total / bursts / seen - 1.0).abs() < 0.35,
                "{} in a burst, not {length}",
                total / bursts
            );
        }
    }

    #[test]
    fn all_or_nothing_are_shares_too() {
        for (share, lost) in [(0, false), (1_000_000, true)] {
            let mut weather = Weather::new(Rng::new(7));
            let bursts = Bursts::new(share, 1_000_000);
            assert!((0..1000).all(|_| weather.loses(bursts) == lost), "{share}");
        }
        assert_eq!(Bursts::new(u32::MAX, 0), Bursts::new(1_000_000, 1));
    }
}
