//! Path MTUs by destination (RFC 1191 §3 and §6.3, RFC 8201 §5.2-5.3).
//!
//! A connection finds that its packets are too big for a path; what it found is kept here for ten minutes, so
//! that others to the same destination, those that there are and those to come, need not find it again. It
//! never raises anything, and of many destinations the oldest is forgotten.
//!
//! Who is to be told is worked out as the driver asks for it, one connection at a time: a list of names could
//! be as long as the table. Connections are told in rounds, each of which goes through the table once for all
//! destinations that have changed before it began, and a call looks at a bounded number of places: on a host with
//! very many connections whose peers are all behind tunnels, each new one changes something.

use super::Endpoint;
use super::keys::Keys;
use crate::event::ConnectionId;
use crate::{Instant, MtuChange};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use carrick_wire::Mss;
use core::net::IpAddr;
use core::time::Duration;
use hashbrown::HashMap;

/// How long a lowered path MTU is believed (RFC 1191 §6.3 and RFC 8201 §4 recommend ten minutes).
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);
/// Most destinations.
const MAX_PATHS: usize = 1024;
/// How many places of the table one call looks at.
const LOOKED_AT: usize = 1024;

/// What every IPv6 link carries (RFC 8200 §5).
pub(crate) const LEAST_V6: u16 = 1280;
/// What every IPv4 host takes (RFC 1122 §3.3.3): for paths of which nothing is to be found out.
pub(crate) const SAFE_V4: u16 = 576;

#[derive(Clone, Debug)]
pub(super) struct Paths {
    mtus: HashMap<IpAddr, Known, Keys>,
    /// Each destination once, with when it was to end as it was put here; it may have been renewed since.
    order: VecDeque<(IpAddr, Instant)>,
    rounds: Rounds,
}

/// What is known of the path to a destination.
#[derive(Clone, Copy, Debug)]
struct Known {
    mtu: u16,
    until: Instant,
    /// The round in which its connections are told.
    round: u32,
}

/// Rounds through the table of connections.
#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    /// The one that goes on, or was the last.
    number: u32,
    /// The next place to look at; none between rounds.
    next: Option<u32>,
    /// Another is to follow.
    another: bool,
    /// In the rounds up to this everybody is told.
    everybody: u32,
}

impl Rounds {
    /// Something is to be told: the round in which everybody concerned will have heard of it.
    fn call(&mut self) -> u32 {
        if self.next.is_some() {
            // Some of those have been passed by.
            self.another = true;
            return self.number.saturating_add(1);
        }
        self.number = self.number.saturating_add(1);
        self.next = Some(0);
        self.number
    }

    fn end(&mut self) {
        self.next = None;
        if core::mem::take(&mut self.another) {
            self.call();
        }
    }
}

impl Paths {
    pub(super) fn new(keys: Keys) -> Self {
        Self { mtus: HashMap::with_hasher(keys), order: VecDeque::new(), rounds: Rounds::default() }
    }

    /// The MTU known for that destination, and until when it holds.
    fn get(&self, remote: IpAddr, now: Instant) -> Option<(u16, Instant)> {
        self.mtus.get(&remote).map(|known| (known.mtu, known.until)).filter(|(_, until)| *until > now)
    }

    fn lower(&mut self, remote: IpAddr, mtu: u16, now: Instant) {
        if self.get(remote, now).is_some_and(|(known, _)| known <= mtu) {
            return;
        }
        let until = now + LIFETIME;
        let known = Known { mtu, until, round: self.rounds.call() };
        if self.mtus.insert(remote, known).is_none() {
            self.order.push_back((remote, until));
        }
        while self.order.len() > MAX_PATHS {
            let Some((oldest, was)) = self.order.pop_front() else { break };
            match self.mtus.get(&oldest) {
                Some(known) if known.until > was => self.order.push_back((oldest, known.until)),
                _ => drop(self.mtus.remove(&oldest)),
            }
        }
    }

    /// Whether connections to that destination are told in this round.
    fn is_news(&self, remote: IpAddr) -> bool {
        let Rounds { number, everybody, .. } = self.rounds;
        everybody >= number || self.mtus.get(&remote).is_some_and(|known| known.round >= number)
    }

    pub(super) fn memory(&self) -> usize {
        let order = self.order.capacity().saturating_mul(size_of::<(IpAddr, Instant)>());
        self.mtus.allocation_size().saturating_add(order)
    }

    pub(super) fn digest(&self, now: Instant, state: &mut impl core::hash::Hasher) {
        use core::hash::Hash as _;
        for (remote, _) in &self.order {
            (remote, self.get(*remote, now).map(|(mtu, until)| (mtu, until.since(now)))).hash(state);
        }
    }
}

impl Endpoint {
    /// Largest IP packet of the link, in bytes.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// assert_eq!(endpoint.mtu(), 1500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.config.mtu
    }

    /// The link's MTU has changed (576, or 1,280 with IPv6, to 65,535 bytes). Every connection is to be told: see
    /// [`poll_mtu_change`](Self::poll_mtu_change). The MSS that new connections advertise follows the least MTU
    /// that there has been (RFC 9293 SHLD-6), for a link that changes once may change again.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// endpoint.set_mtu(1280);
    /// assert_eq!(endpoint.mtu(), 1280);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_mtu(&mut self, mtu: u16) {
        if mtu == self.config.mtu {
            return;
        }
        self.least_mtu = self.least_mtu.min(mtu);
        Arc::make_mut(&mut self.config).mtu = mtu;
        self.paths.rounds.everybody = self.paths.rounds.call();
    }

    /// Whether connections are to be told of a changed MTU, after [`handle_event`](Self::handle_event) and
    /// [`set_mtu`](Self::set_mtu): call [`poll_mtu_change`](Self::poll_mtu_change) until it says no.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// assert!(!endpoint.has_mtu_changes());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn has_mtu_changes(&self) -> bool {
        self.paths.rounds.next.is_some()
    }

    /// A connection that is to be told of a changed MTU, with
    /// [`Connection::handle_mtu_change`](crate::Connection::handle_mtu_change). A call looks at 1,024 connections at
    /// most, and gives nothing if none of them is concerned, though others may be: see
    /// [`has_mtu_changes`](Self::has_mtu_changes).
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Connection, ConnectionId, Cx, Endpoint};
    /// # use std::collections::HashMap;
    /// fn tell_all(endpoint: &mut Endpoint, all: &mut HashMap<ConnectionId, Connection>, cx: &Cx) {
    ///     while let Some((id, change)) = endpoint.poll_mtu_change() {
    ///         if let Some(connection) = all.get_mut(&id) {
    ///             connection.handle_mtu_change(cx, change);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn poll_mtu_change(&mut self) -> Option<(ConnectionId, MtuChange)> {
        for _ in 0..LOOKED_AT {
            let index = self.paths.rounds.next?;
            if index >= self.demux.connections.end() {
                self.paths.rounds.end();
                continue;
            }
            self.paths.rounds.next = Some(index.saturating_add(1));
            let Some(place) = self.demux.connections.get(index) else { continue };
            let to = place.tuple.remote;
            if self.paths.is_news(to) {
                let id = ConnectionId { index, generation: place.generation };
                return Some((id, self.mtu_to(to)));
            }
        }
        None
    }

    /// What a connection has found of the path to `remote`.
    pub(super) fn path_lowered(&mut self, remote: IpAddr, mtu: u16) {
        self.paths.lower(remote, mtu, self.clock);
    }

    /// What may be sent to that destination now.
    pub(super) fn mtu_to(&self, remote: IpAddr) -> MtuChange {
        let link = match remote {
            _ if self.config.path_mtu_discovery => self.config.mtu,
            IpAddr::V6(_) => self.config.mtu.min(LEAST_V6),
            IpAddr::V4(_) if self.on_link(remote) => self.config.mtu,
            IpAddr::V4(_) => self.config.mtu.min(SAFE_V4),
        };
        let known = self.paths.get(remote, self.clock).filter(|(mtu, _)| *mtu < link);
        let (path, until) = known.unwrap_or((link, Instant::NEVER));
        MtuChange { link, path, until }
    }

    fn on_link(&self, remote: IpAddr) -> bool {
        self.config.addresses.iter().any(|cidr| {
            cidr.address.is_ipv4() == remote.is_ipv4() && cidr.common_bits(remote) >= u32::from(cidr.prefix)
        })
    }

    /// The least path MTU that is believed: what IPv6 demands, or a setting of ours.
    pub(super) fn min_path_mtu(&self, remote: IpAddr) -> u16 {
        match remote {
            IpAddr::V6(_) => LEAST_V6,
            // Below that, headers with all options would leave less than the least text of a segment.
            IpAddr::V4(_) => self.config.min_path_mtu.clamp(Mss::FLOOR.saturating_add(40), SAFE_V4),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4((0xc633_0000 + n).into())
    }

    #[test]
    fn t_icm_4_the_oldest_of_many_destinations_is_forgotten() {
        let mut paths = Paths::new(Keys::new([1; 32]));
        let now = Instant::ZERO;
        for n in 0..100_000 {
            paths.lower(address(n), 1400, now);
            // One that is found anew again and again stays.
            paths.lower(
                address(7),
                1399 - u16::try_from(n / 1000).unwrap(),
                now + Duration::from_millis(u64::from(n)),
            );
            assert!(paths.order.len() <= MAX_PATHS && paths.mtus.len() == paths.order.len());
        }
        assert!(paths.memory() < 256 << 10, "{}", paths.memory());
        assert_eq!(paths.get(address(99_999), now).map(|(mtu, _)| mtu), Some(1400));
        assert_eq!(paths.get(address(90_000), now), None);
        carrick_covers::covers!("T-ICM-4");
    }

    #[test]
    fn a_path_is_believed_for_ten_minutes_and_only_lowered() {
        let mut paths = Paths::new(Keys::new([1; 32]));
        let now = Instant::ZERO;
        paths.lower(address(1), 1400, now);
        paths.lower(address(1), 1450, now + Duration::from_secs(60));
        assert_eq!(paths.get(address(1), now), Some((1400, now + LIFETIME)));
        paths.lower(address(1), 1300, now + Duration::from_secs(60));
        assert_eq!(paths.get(address(1), now + LIFETIME).map(|(mtu, _)| mtu), Some(1300));
        assert_eq!(paths.get(address(1), now + LIFETIME + Duration::from_secs(60)), None);
        paths.lower(address(1), 1450, now + LIFETIME + Duration::from_secs(61));
        assert_eq!(
            paths.get(address(1), now + LIFETIME + Duration::from_secs(61)).map(|(mtu, _)| mtu),
            Some(1450)
        );
    }
}
