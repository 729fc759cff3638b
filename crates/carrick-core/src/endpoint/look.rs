//! What an endpoint counts and holds.

use super::{Endpoint, ParkedEnd, Reply};
use crate::counters::bump;
use crate::event::Outcome;
use crate::{Counters, DiscardReason};

impl Endpoint {
    /// What has been counted.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// println!("{} segments, {} resets sent", endpoint.counters().in_segments, endpoint.counters().resets);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Adds what became of an input that [`Dispatch::Existing`](crate::Dispatch::Existing) or
    /// [`Dispatch::Opened`](crate::Dispatch::Opened) gave out.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// use carrick_core::Outcome;
    ///
    /// endpoint.record_outcome(Outcome::Accepted); // what a connection's `handle_input` gave
    /// assert_eq!(endpoint.counters().accepted, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => bump(&mut self.counters.accepted),
            Outcome::Answered(reason) | Outcome::Discarded(reason) => {
                self.counters.connection_discard(reason);
            }
            Outcome::HandedBack => self.counters.connection_discard(DiscardReason::Gone),
        }
    }

    /// How many connections there are.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// assert_eq!(endpoint.connections(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.demux.connections.len()
    }

    /// How many passive handshakes are under way.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// assert_eq!(endpoint.half_open(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn half_open(&self) -> usize {
        self.demux.half_open.len()
    }

    /// How many TIME-WAIT records there are.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// assert_eq!(endpoint.time_wait(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn time_wait(&self) -> usize {
        self.demux.time_waits.len()
    }

    /// How many packets there are fragments of.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// assert_eq!(endpoint.reassemblies(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn reassemblies(&self) -> usize {
        self.reassembly.len()
    }

    /// Bytes of the table, of all records, of fragments, of known paths and of the replies that wait.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Cx, Endpoint, EndpointConfig, Instant, ListenAddr, ListenConfig};
    /// # let config = EndpointConfig { addresses: vec!["192.0.2.1/24".parse()?], ..EndpointConfig::default() };
    /// # let mut endpoint = Endpoint::new(config.into(), [7; 32]);
    /// # let cx = Cx::new(Instant::ZERO);
    /// # let http = ListenAddr { address: None, port: 80.try_into().ok() };
    /// println!("{} bytes", endpoint.memory());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn memory(&self) -> usize {
        let replies = self.replies.capacity().saturating_mul(size_of::<Reply>());
        let ends = self.parked_ends.capacity().saturating_mul(size_of::<ParkedEnd>());
        let payloads: usize = self.replies.iter().map(|reply| reply.payload.len()).sum();
        let parts = self.reassembly.memory().saturating_add(self.paths.memory());
        let others = self.cookies.memory().saturating_add(parts);
        self.demux
            .memory()
            .saturating_add(others)
            .saturating_add(replies)
            .saturating_add(ends)
            .saturating_add(payloads)
    }
}
