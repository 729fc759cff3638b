//! What the application says of its listeners, and of ports that it wants kept; the table of them is in `listener`.

use super::Endpoint;
use crate::event::ListenerId;
use crate::{BindError, ConnectionConfig, ListenAddr, ListenConfig};
use alloc::sync::Arc;
use core::num::NonZeroU8;

impl Endpoint {
    /// Listens (RFC 9293 §3.9.1.1, passive OPEN).
    ///
    /// # Errors
    ///
    /// [`BindError::AddrInUse`] if there is such a listener, [`BindError::AddrNotAvailable`] if packets to the
    /// address are not for the endpoint.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// endpoint.listen(http, ListenConfig::default())?;
    /// assert!(endpoint.listen(http, ListenConfig::default()).is_err(), "it is in use");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen(&mut self, local: ListenAddr, config: ListenConfig) -> Result<ListenerId, BindError> {
        if local.address.is_some_and(|address| !self.may_listen_on(address)) {
            return Err(BindError::AddrNotAvailable);
        }
        self.listeners.insert(local, config)
    }

    /// Keeps an address and port for a connection or a listener of the caller's to come: nobody else gets it until
    /// [`unreserve`](Self::unreserve), but those who reserve it too, if all of them say `shared`.
    ///
    /// # Errors
    ///
    /// [`BindError::AddrInUse`] if a listener has it or somebody has reserved it,
    /// [`BindError::AddrNotAvailable`] if packets to the address are not for the endpoint.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// endpoint.reserve(http, false)?;
    /// assert!(endpoint.reserve(http, false).is_err());
    /// endpoint.unreserve(http);
    /// endpoint.listen(http, ListenConfig::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&mut self, local: ListenAddr, shared: bool) -> Result<(), BindError> {
        if local.address.is_some_and(|address| !self.may_listen_on(address)) {
            return Err(BindError::AddrNotAvailable);
        }
        self.listeners.reserve(local, shared)
    }

    /// Takes one [`reserve`](Self::reserve) back: to be called before the listener or connection is made, or when
    /// there will be none.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// endpoint.reserve(http, false)?;
    /// endpoint.unreserve(http);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unreserve(&mut self, local: ListenAddr) {
        self.listeners.unreserve(local);
    }

    /// Sets the time to live of connections that come of a listener from now on.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// let listener = endpoint.listen(http, ListenConfig::default())?;
    /// endpoint.set_listener_hop_limit(listener, 255.try_into()?);
    /// assert_eq!(endpoint.listener_hop_limit(listener), Some(255));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_listener_hop_limit(&mut self, id: ListenerId, hop_limit: NonZeroU8) {
        if let Some(listener) = self.listeners.get_mut(id) {
            Arc::make_mut(&mut listener.connection).hop_limit = Some(hop_limit);
        }
    }

    /// Settings of the connections that come of a listener from now on, handshakes under way included: all but
    /// [`receive_buffer`](ConnectionConfig::receive_buffer), of which their peers have been told. Does nothing if there
    /// is no such listener.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// use carrick_core::ConnectionConfig;
    ///
    /// let listener = endpoint.listen(http, ListenConfig::default())?;
    /// let connection = ConnectionConfig { nodelay: true, ..ConnectionConfig::default() };
    /// endpoint.set_listener_connection(listener, connection);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_listener_connection(&mut self, id: ListenerId, connection: ConnectionConfig) {
        if let Some(listener) = self.listeners.get_mut(id) {
            let receive_buffer = listener.connection.receive_buffer;
            listener.connection = Arc::new(ConnectionConfig { receive_buffer, ..connection });
        }
    }

    /// Sets how many half-open records a listener may have, parked SYNs included: [`ListenConfig::max_half_open`].
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// let listener = endpoint.listen(http, ListenConfig::default())?;
    /// endpoint.set_listener_max_half_open(listener, 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_listener_max_half_open(&mut self, id: ListenerId, most: u32) {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.config.max_half_open = most;
        }
    }

    /// The time to live of connections that come of a listener from now on, 1 to 255; none if there is no such
    /// listener.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// let listener = endpoint.listen(http, ListenConfig::default())?;
    /// assert_eq!(endpoint.listener_hop_limit(listener), Some(64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn listener_hop_limit(&self, id: ListenerId) -> Option<u8> {
        let listener = self.listeners.get(id)?;
        Some(listener.connection.hop_limit.map_or(self.config.hop_limit, NonZeroU8::get))
    }

    /// Stops listening. Half-open records are reset, parked SYNs too, where there are many not all at once: what is
    /// left [`handle_timeout`](Self::handle_timeout) does. Connections already opened are the caller's. Afterwards,
    /// drain.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// let listener = endpoint.listen(http, ListenConfig::default())?;
    /// endpoint.unlisten(listener);
    /// assert_eq!(endpoint.listener_hop_limit(listener), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unlisten(&mut self, id: ListenerId) {
        if self.listeners.remove(id) {
            self.unswept = Some(0);
            self.sweep_half_open();
        }
    }

    /// A connection of [`Dispatch::Opened`](crate::Dispatch::Opened) has been accepted, or thrown away: its place in
    /// the backlog is free.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// # let listener = endpoint.listen(http, ListenConfig::default())?;
    /// // After `Dispatch::Opened(listener, ..)`, when the application has taken the connection:
    /// endpoint.accepted(listener);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accepted(&mut self, id: ListenerId) {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.pending = listener.pending.saturating_sub(1);
        }
    }
}
