//! What a run came to.

use crate::link::{LinkCounters, QueueState};
use carrick_core::{ConnectionError, Instant};
use std::time::Duration;

/// What became of flows over a [`Network`](crate::Network). Two runs of one network are equal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NetworkReport {
    /// Each flow, in the network's order.
    pub flows: Vec<FlowReport>,
    /// What the link did that carries the text.
    pub there: LinkCounters,
    /// What the link did that carries the acknowledgments.
    pub back: LinkCounters,
    /// What waited in their queues, as often as [`Network::sample`](crate::Network::sample) says.
    pub queues: Vec<QueueSample>,
    /// When the run ended.
    pub finished: Instant,
    /// Steps of the simulation.
    pub steps: u64,
}

impl NetworkReport {
    /// Bits of text per second of the run that all flows together have brought to their readers.
    ///
    /// # Examples
    /// See [`Network`](crate::Network).
    #[must_use]
    pub fn goodput(&self) -> f64 {
        let delivered: u64 = self.flows.iter().map(|flow| flow.delivered).sum();
        delivered as f64 * 8.0 / self.finished.since(Instant::ZERO).as_secs_f64().max(1e-9)
    }

    /// How evenly the flows' goodputs are spread: from one flow's share of all (1/n) to 1, where all are equal (Jain's
    /// index, RFC 5166 §2.3).
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{Flow, LinkConfig, Network, Span};
    ///
    /// let mut network = Network::new(7, LinkConfig::delayed(10.ms()));
    /// network.flows = vec![Flow::of(10_000), Flow::of(10_000), Flow { at: 9.secs(), ..Flow::endless() }];
    /// let report = network.run(9.secs()).unwrap();
    /// assert!((report.fairness() - 2.0 / 3.0).abs() < 1e-9);
    /// ```
    #[must_use]
    pub fn fairness(&self) -> f64 {
        let shares = || self.flows.iter().map(|flow| flow.goodput());
        let squares = shares().map(|share| share * share).sum::<f64>() * self.flows.len() as f64;
        if squares == 0.0 { 1.0 } else { shares().sum::<f64>().powi(2) / squares }
    }
}

/// What became of one flow.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FlowReport {
    /// Bytes that the receiver's application has read.
    pub delivered: u64,
    /// How long it took to connect, as the sender sees it.
    pub connected: Option<Duration>,
    /// How long until the receiver's application had read the first byte, counted from the beginning of the flow.
    pub first_byte: Option<Duration>,
    /// How long until it had read the last.
    pub completed: Option<Duration>,
    /// For how long the flow was there: until it was complete, or the run ended.
    pub lasted: Duration,
    /// Bytes of text that left the sender, each as often as it did.
    pub sent: u64,
    /// Of those, what had been sent before.
    pub resent: u64,
    /// Packets with text that had been sent before, at least in part.
    pub resent_packets: u64,
    /// Of the text that came to the receiver, bytes that it had already, without what the network made two of: what was
    /// sent again and need not have been.
    pub needless: u64,
    /// Why the sender's connection ended, if it did by an error.
    pub error: Option<ConnectionError>,
    /// The sender, as often as [`Network::sample`](crate::Network::sample) says.
    pub samples: Vec<FlowSample>,
    /// What went over the wire, if [`Network::packets`](crate::Network::packets) wants to know.
    pub packets: Vec<PacketNote>,
}

impl FlowReport {
    /// Bits of text per second that came to the reader, as long as the flow was there.
    ///
    /// # Examples
    /// ```
    /// use carrick_sim::{Flow, LinkConfig, Network, Span};
    ///
    /// let mut network = Network::new(7, LinkConfig::delayed(10.ms()));
    /// network.flows = vec![Flow { at: 5.secs(), ..Flow::of(10_000) }];
    /// let flow = &network.run(60.secs()).unwrap().flows[0];
    /// assert!(flow.goodput() > 2.5e6, "10 KB in 30 ms: {}", flow.goodput());
    /// ```
    #[must_use]
    pub fn goodput(&self) -> f64 {
        if self.lasted.is_zero() { 0.0 } else { self.delivered as f64 * 8.0 / self.lasted.as_secs_f64() }
    }
}

/// A sender at some moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FlowSample {
    /// When.
    pub at: Instant,
    /// The congestion window, in bytes.
    pub congestion_window: u32,
    /// The slow-start threshold, in bytes, once there is one.
    pub slow_start_threshold: Option<u32>,
    /// Bytes in flight, as the sender counts them.
    pub in_flight: u32,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Bytes that the receiver's application has read so far.
    pub delivered: u64,
    /// The largest packet that the sender believes the path to carry, in bytes.
    pub path_mtu: u16,
    /// Bytes of memory that the sender's connection holds.
    pub sender_holds: usize,
    /// Bytes of memory that the receiver's connection holds.
    pub receiver_holds: usize,
    /// Bytes that the receiver is ready to take.
    pub receive_window: u32,
}

/// What waits at some moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct QueueSample {
    /// When.
    pub at: Instant,
    /// Before the link that carries the text.
    pub there: QueueState,
    /// Before the link that carries the acknowledgments.
    pub back: QueueState,
}

/// A packet, as it passes the sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PacketNote {
    /// When.
    pub at: Instant,
    /// What it does.
    pub kind: PacketKind,
    /// Where in the stream its text begins; of an acknowledgment, what was acknowledged before it.
    pub from: u64,
    /// Where its text ends; of an acknowledgment, what it acknowledges.
    pub to: u64,
}

/// What a packet does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PacketKind {
    /// It carries text for the first time.
    Sent,
    /// It carries text that has been sent before, at least in part.
    Resent,
    /// It acknowledges.
    Acknowledged,
}
