//! Path MTUs by destination (RFC 1191 §3 and §6.3, RFC 8201 §5.2-5.3).
//!
//! A connection finds that its packets are too big for a path; what it found is kept here for ten minutes, so
//! that others to the same destination, those that there are and those to come, need not find it again. It
//! never raises anything, and of many destinations the oldest is forgotten.
//!
//! Who is to be told is worked out as the driver asks for it, one connection at a time: a list of names could
//! be as long as the table.

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
/// Most destinations whose connections wait to be told; beyond that everybody is told.
const MAX_NOTICES: usize = 64;

/// What every IPv6 link carries (RFC 8200 §5).
pub(crate) const LEAST_V6: u16 = 1280;
/// What every IPv4 host takes (RFC 1122 §3.3.3): for paths of which nothing is to be found out.
pub(crate) const SAFE_V4: u16 = 576;

#[derive(Clone, Debug)]
pub(super) struct Paths {
    mtus: HashMap<IpAddr, (u16, Instant), Keys>,
    /// Each destination once, with when it was to end as it was put here; it may have been renewed since.
    order: VecDeque<(IpAddr, Instant)>,
    notices: VecDeque<Notice>,
}

/// Connections that are to be told, from `next` on.
#[derive(Clone, Copy, Debug)]
struct Notice {
    /// Those to one destination, or all.
    remote: Option<IpAddr>,
    next: u32,
}

impl Paths {
    pub(super) fn new(keys: Keys) -> Self {
        Self { mtus: HashMap::with_hasher(keys), order: VecDeque::new(), notices: VecDeque::new() }
    }

    /// The MTU known for that destination, and until when it holds.
    fn get(&self, remote: IpAddr, now: Instant) -> Option<(u16, Instant)> {
        self.mtus.get(&remote).copied().filter(|(_, until)| *until > now)
    }

    fn lower(&mut self, remote: IpAddr, mtu: u16, now: Instant) {
        if self.get(remote, now).is_some_and(|(known, _)| known <= mtu) {
            return;
        }
        let until = now + LIFETIME;
        if self.mtus.insert(remote, (mtu, until)).is_none() {
            self.order.push_back((remote, until));
        }
        while self.order.len() > MAX_PATHS {
            let Some((oldest, was)) = self.order.pop_front() else { break };
            match self.mtus.get(&oldest) {
                Some((_, until)) if *until > was => self.order.push_back((oldest, *until)),
                _ => drop(self.mtus.remove(&oldest)),
            }
        }
    }

    fn tell(&mut self, remote: Option<IpAddr>) {
        let remote = remote.filter(|_| self.notices.len() < MAX_NOTICES);
        self.notices.retain(|notice| remote.is_some() && notice.remote != remote);
        self.notices.push_back(Notice { remote, next: 0 });
    }

    pub(super) fn memory(&self) -> usize {
        let order = self.order.capacity().saturating_mul(size_of::<(IpAddr, Instant)>());
        let notices = self.notices.capacity().saturating_mul(size_of::<Notice>());
        self.mtus.allocation_size().saturating_add(order).saturating_add(notices)
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
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.config.mtu
    }

    /// The link's MTU has changed (576, or 1,280 with IPv6, to 65,535 bytes). Every connection is to be told: see
    /// [`poll_mtu_change`](Self::poll_mtu_change). The MSS that new connections advertise follows the least MTU
    /// that there has been (RFC 9293 SHLD-6), for a link that changes once may change again.
    pub fn set_mtu(&mut self, mtu: u16) {
        if mtu == self.config.mtu {
            return;
        }
        self.least_mtu = self.least_mtu.min(mtu);
        Arc::make_mut(&mut self.config).mtu = mtu;
        self.paths.tell(None);
    }

    /// A connection that is to be told of a changed MTU, with
    /// [`Connection::handle_mtu_change`](crate::Connection::handle_mtu_change). Call it until it gives nothing,
    /// after [`handle_event`](Self::handle_event) and [`set_mtu`](Self::set_mtu).
    pub fn poll_mtu_change(&mut self) -> Option<(ConnectionId, MtuChange)> {
        loop {
            let notice = self.paths.notices.front_mut()?;
            let Notice { remote, next: index } = *notice;
            if index >= self.demux.connections.end() {
                self.paths.notices.pop_front();
                continue;
            }
            notice.next = index.saturating_add(1);
            let Some(place) = self.demux.connections.get(index) else { continue };
            let to = place.tuple.remote;
            if remote.is_none_or(|remote| remote == to) {
                let id = ConnectionId { index, generation: place.generation };
                return Some((id, self.mtu_to(to)));
            }
        }
    }

    /// What a connection has found of the path to `remote`.
    pub(super) fn path_lowered(&mut self, remote: IpAddr, mtu: u16) {
        self.paths.lower(remote, mtu, self.clock);
        self.paths.tell(Some(remote));
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
            paths.tell(Some(address(n)));
            assert!(paths.order.len() <= MAX_PATHS && paths.mtus.len() == paths.order.len());
            assert!(paths.notices.len() <= MAX_NOTICES);
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
