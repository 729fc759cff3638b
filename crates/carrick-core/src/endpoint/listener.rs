//! Listeners and how a SYN finds one (RFC 9293 §3.9.1.1).

use super::keys::Keys;
use crate::event::ListenerId;
use crate::{BindError, ConnectionConfig, ListenAddr, ListenConfig};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::num::NonZeroU16;
use hashbrown::HashMap;

#[derive(Clone, Debug)]
pub(super) struct Listener {
    address: ListenAddr,
    generation: u32,
    pub(super) config: ListenConfig,
    /// The settings of its connections, shared by all of them.
    pub(super) connection: Arc<ConnectionConfig>,
    /// Opened and not accepted yet.
    pub(super) pending: u32,
    /// Half-open records.
    pub(super) half_open: u32,
}

impl Listener {
    /// Whether no more connections may wait to be accepted.
    pub(super) fn is_full(&self) -> bool {
        self.pending >= self.config.backlog.max(1)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Listeners {
    by_address: HashMap<ListenAddr, u32, Keys>,
    slots: Vec<Option<Listener>>,
    generation: u32,
    /// What is kept for somebody, and for how many who share it; 0 for one who does not.
    reserved: HashMap<ListenAddr, u32, Keys>,
}

impl Listeners {
    pub(super) fn new(keys: Keys) -> Self {
        let reserved = HashMap::with_hasher(keys.clone());
        Self { by_address: HashMap::with_hasher(keys), slots: Vec::new(), generation: 0, reserved }
    }

    pub(super) fn get(&self, id: ListenerId) -> Option<&Listener> {
        let slot = self.slots.get(id.index as usize)?.as_ref();
        slot.filter(|listener| listener.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        let slot = self.slots.get_mut(id.index as usize)?.as_mut();
        slot.filter(|listener| listener.generation == id.generation)
    }

    pub(super) fn insert(
        &mut self,
        address: ListenAddr,
        config: ListenConfig,
    ) -> Result<ListenerId, BindError> {
        // Those who share it are not there to listen.
        if self.by_address.contains_key(&address) || self.reserved.get(&address) == Some(&0) {
            return Err(BindError::AddrInUse);
        }
        let vacant = self.slots.iter().position(Option::is_none);
        let index = vacant.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len().saturating_sub(1)
        });
        let Ok(number) = u32::try_from(index) else { return Err(BindError::AddrInUse) };
        let generation = self.generation;
        self.generation = generation.wrapping_add(1);
        let connection = Arc::new(config.connection.clone());
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Listener { address, generation, config, connection, pending: 0, half_open: 0 });
        }
        self.by_address.insert(address, number);
        Ok(ListenerId { index: number, generation })
    }

    pub(super) fn reserve(&mut self, address: ListenAddr, shared: bool) -> Result<(), BindError> {
        if self.by_address.contains_key(&address) {
            return Err(BindError::AddrInUse);
        }
        match (self.reserved.get_mut(&address), shared) {
            (Some(holders), true) if *holders > 0 => *holders = holders.saturating_add(1),
            (Some(_), _) => return Err(BindError::AddrInUse),
            (None, _) => {
                self.reserved.insert(address, u32::from(shared));
            }
        }
        Ok(())
    }

    pub(super) fn unreserve(&mut self, address: ListenAddr) {
        match self.reserved.get_mut(&address) {
            Some(holders) if *holders > 1 => *holders = holders.saturating_sub(1),
            _ => {
                self.reserved.remove(&address);
            }
        }
    }

    pub(super) fn remove(&mut self, id: ListenerId) -> bool {
        let Some(address) = self.get(id).map(|listener| listener.address) else { return false };
        self.by_address.remove(&address);
        if let Some(slot) = self.slots.get_mut(id.index as usize) {
            *slot = None;
        }
        true
    }

    /// Who gets a SYN for that destination: exact, any port, any address, both.
    pub(super) fn find(&self, address: IpAddr, port: u16) -> Option<ListenerId> {
        let port = NonZeroU16::new(port);
        let candidates = [(Some(address), port), (Some(address), None), (None, port), (None, None)];
        candidates.into_iter().find_map(|(address, port)| {
            let index = *self.by_address.get(&ListenAddr { address, port })?;
            let listener = self.slots.get(index as usize)?.as_ref()?;
            Some(ListenerId { index, generation: listener.generation })
        })
    }

    /// Whether a listener could get SYNs for that local address and port, or somebody keeps them.
    pub(super) fn uses_port(&self, address: IpAddr, port: u16) -> bool {
        let port = NonZeroU16::new(port);
        [Some(address), None].into_iter().any(|address| {
            let local = ListenAddr { address, port };
            self.by_address.contains_key(&local) || self.reserved.contains_key(&local)
        })
    }

    /// What listeners listen on and what is reserved, where that is one port.
    pub(super) fn ports(&self) -> impl Iterator<Item = (Option<IpAddr>, u16)> {
        let all = self.by_address.keys().chain(self.reserved.keys());
        all.filter_map(|local| Some((local.address, local.port?.get())))
    }

    pub(super) fn digest(&self, state: &mut impl Hasher) {
        for listener in self.slots.iter().flatten() {
            (listener.address, listener.pending).hash(state);
        }
        self.reserved.len().hash(state);
    }
}
