//! Local addresses and ephemeral ports (RFC 6056, RFC 9293 MUST-44).

use super::demux::Entry;
use super::keys::Keys;
use super::{Endpoint, time_wait};
use crate::{ConnectError, ListenAddr, Tuple};
use alloc::vec;
use carrick_wire::SeqNum;
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;

/// RFC 6056 §3.3.4: a counter steps on with every port chosen. There are many, and a keyed hash of the
/// destination says which is its own, so that nobody learns from his own ports how many others there are.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    connects: [u64; 64],
    /// Of ports that were chosen without a destination.
    binds: u64,
}

impl Counters {
    pub(super) fn new(keys: &Keys) -> Self {
        Self { connects: core::array::from_fn(|counter| u64::from(keys.noise(counter))), binds: 0 }
    }
}

impl Endpoint {
    /// The tuple of an active open: what `local` leaves open is chosen.
    pub(super) fn choose_local(
        &mut self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Result<Tuple, ConnectError> {
        let wanted = local.map(|local| local.ip()).filter(|address| !address.is_unspecified());
        let address = match wanted {
            Some(address) if !self.is_local(address) || address.is_ipv4() != remote.is_ipv4() => {
                return Err(ConnectError::AddrNotAvailable);
            }
            Some(address) => address,
            None => self.source_for(remote.ip()).ok_or(ConnectError::AddrNotAvailable)?,
        };
        let tuple = |local_port| Tuple {
            local: address,
            remote: remote.ip(),
            local_port,
            remote_port: remote.port(),
        };
        match local.map_or(0, |local| local.port()) {
            0 => self.ephemeral(tuple),
            port if self.is_free(&tuple(port)) => Ok(tuple(port)),
            _ => Err(ConnectError::AddrInUse),
        }
    }

    /// Our address that shares most leading bits with the destination; the first of equals.
    pub(super) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        let of_family =
            self.config.addresses.iter().filter(|cidr| cidr.address.is_ipv4() == remote.is_ipv4());
        let best = of_family.rev().max_by_key(|cidr| cidr.common_bits(remote));
        best.map(|cidr| cidr.address)
    }

    /// RFC 6056 §3.3.4: a counter plus a keyed offset for the destination, and on from there to a free one.
    fn ephemeral(&mut self, tuple: impl Fn(u16) -> Tuple) -> Result<Tuple, ConnectError> {
        let (first, count) = self.ephemeral_range();
        let any = tuple(0);
        let offset = self.keys.port_offset(any.local, any.remote, any.remote_port);
        let which = self.keys.port_counter(any.local, any.remote, any.remote_port) as usize;
        let which = which.checked_rem(self.next_ports.connects.len()).unwrap_or(0);
        for _ in 0..count {
            let Some(counter) = self.next_ports.connects.get_mut(which) else { break };
            // 64 bits do not come around, so that as many steps as there are ports meet each of them.
            let place = u64::from(offset).wrapping_add(*counter).checked_rem(u64::from(count)).unwrap_or(0);
            *counter = counter.wrapping_add(1);
            let Ok(port) = u16::try_from(place.saturating_add(u64::from(first))) else { continue };
            let tuple = tuple(port);
            if self.is_free(&tuple) && !self.listeners.uses_port(tuple.local, port) {
                return Ok(tuple);
            }
        }
        Err(ConnectError::AddrInUse)
    }

    /// The first of the ephemeral ports, and how many there are.
    fn ephemeral_range(&self) -> (u32, u32) {
        let range = &self.config.ephemeral_ports;
        let first = u32::from((*range.start()).max(1));
        (first, u32::from(*range.end()).saturating_add(1).saturating_sub(first))
    }

    /// A port for a [`listen`](Self::listen) or [`reserve`](Self::reserve) that does not care which, of
    /// [`EndpointConfig::ephemeral_ports`](crate::EndpointConfig::ephemeral_ports): one that on this address, none
    /// being any, no listener, no reservation and no connection has, be it in TIME-WAIT. None if there is none. It
    /// cannot be foreseen (RFC 6056 §3.3.1). Each connection is looked at once.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// let port = endpoint.free_port(None).expect("nearly all are free");
    /// assert!(port.get() >= 1024);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn free_port(&mut self, address: Option<IpAddr>) -> Option<NonZeroU16> {
        let mut used = vec![false; 1 << 16];
        let ends = self.demux.local_ends().map(|(of, port)| (Some(of), port));
        for (of, port) in ends.chain(self.listeners.ports()) {
            if (of == address || of.is_none() || address.is_none())
                && let Some(used) = used.get_mut(usize::from(port))
            {
                *used = true;
            }
        }
        let (first, count) = self.ephemeral_range();
        let offset = u64::from(self.keys.bound_port(self.next_ports.binds));
        self.next_ports.binds = self.next_ports.binds.wrapping_add(1);
        (0..u64::from(count)).find_map(|step| {
            let place = offset.wrapping_add(step).checked_rem(u64::from(count))?;
            let port = u16::try_from(place.saturating_add(u64::from(first))).ok()?;
            let free = used.get(usize::from(port)) == Some(&false);
            NonZeroU16::new(port).filter(|_| free)
        })
    }

    /// Whether a connection has this local address, half-open or in TIME-WAIT as well; without an address, any of that
    /// port. A [`ListenAddr`] without a port is nobody's. What sockets without SO_REUSEADDR ask before they are bound;
    /// each connection is looked at once.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// let local = "192.0.2.1:4000".parse()?;
    /// let _connected = endpoint.connect(&cx, Some(local), "192.0.2.2:80".parse()?, Default::default())?;
    /// assert!(endpoint.has_connections(ListenAddr { address: None, port: 4000.try_into().ok() }));
    /// assert!(!endpoint.has_connections(ListenAddr { address: None, port: 80.try_into().ok() }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn has_connections(&self, local: ListenAddr) -> bool {
        let Some(port) = local.port else { return false };
        let mut ends = self.demux.local_ends();
        ends.any(|(of, used)| used == port.get() && local.address.is_none_or(|address| address == of))
    }

    /// Whether a new connection may use the tuple: nobody has it, or a TIME-WAIT record with timestamps
    /// that is at least a second old, so that the new one's are greater (RFC 6191).
    fn is_free(&self, tuple: &Tuple) -> bool {
        match self.demux.find(&self.keys, tuple) {
            None => true,
            Some(Entry::TimeWait(index)) => self.demux.time_waits.get(index).is_some_and(|record| {
                let began = record.deadline.as_nanos();
                let whole = crate::time::nanos(self.config.msl.saturating_mul(2));
                let age = self.clock.as_nanos().saturating_sub(began.saturating_sub(whole));
                record.timestamps && age >= 1_000_000_000
            }),
            Some(Entry::Connection(_) | Entry::HalfOpen(_)) => false,
        }
    }

    /// Removes the TIME-WAIT record of a tuple that is opened anew; our numbers go on beyond its own.
    pub(super) fn take_over_time_wait(&mut self, tuple: &Tuple, iss: SeqNum) -> SeqNum {
        let Some(Entry::TimeWait(index)) = self.demux.find(&self.keys, tuple) else { return iss };
        let record = self.demux.remove_time_wait(&self.keys, index);
        record.map_or(iss, |record| time_wait::reopened_iss(&record, iss))
    }
}
