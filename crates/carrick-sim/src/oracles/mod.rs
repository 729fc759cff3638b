//! What is true of every run: the oracles.
//!
//! | oracle | always true | looked at by |
//! |---|---|---|
//! | O-1 | no panic, no overflow, no call or run beyond its step bound | [`Host`](crate::Host), [`Pair`](crate::Pair) |
//! | O-2 | bytes read are a prefix of bytes written; all of them, or an error | [`Pair`](crate::Pair) |
//! | O-3 | quiet: nothing to do means nothing sent, no deadline in the past, asking changes nothing | [`Host`](crate::Host) |
//! | O-4 | memory is accounted, inside the budget, and given back | [`Host`](crate::Host) |
//! | O-5 | no more answers than questions, and no amplifier | [`Monitor`] |
//! | O-6 | acknowledgments and window edges never step back, ranges are sane; states follow the diagram | [`Monitor`], [`Host`](crate::Host) |
//! | O-7 | a sequence number carries the same byte every time | [`Monitor`] |
//! | O-8 | every packet sent is legal, in our eyes and in another's | [`Monitor`] |
//! | O-9 | every connection ends in bounded time | [`Pair`](crate::Pair) |
//! | O-10 | the same seed gives the same bytes, counters and digest | [`Pair`](crate::Pair) |
//! | O-11 | every packet has one counted outcome | [`Host`](crate::Host) |
//! | O-12 | a sender's board, timers and windows agree; no more is in flight, but probes | [`Host`](crate::Host) |
//!
//! A violation is kept, the first one wins, and whoever runs the world reports it with the exchange that
//! led to it.

mod flow;
mod second;
pub(crate) mod sender;

use crate::packet::{Packet, SegmentView};
use carrick_core::{Cause, Instant, TcpState};
use carrick_wire::{IpView, TcpFlags};
use flow::Flow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Names an oracle.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "the table above says what each is")]
pub enum Oracle {
    O1,
    O2,
    O3,
    O4,
    O5,
    O6,
    O7,
    O8,
    O9,
    O10,
    O11,
    O12,
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "O-{}", *self as u8 + 1)
    }
}

/// An oracle was found to be violated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which.
    pub oracle: Oracle,
    /// When.
    pub at: Instant,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated at {:?}: {}", self.oracle, self.at, self.what)
    }
}

impl std::error::Error for Violation {}

/// Who sent a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// A connection.
    Connection,
    /// The endpoint: handshakes, resets, echo, TIME-WAIT.
    Endpoint,
}

/// Watches what goes in and out of one host, and checks O-5 to O-8.
///
/// It keeps every byte sent on every connection until it has been acknowledged for a megabyte.
#[derive(Clone, Debug)]
pub struct Monitor {
    mtu: usize,
    /// Most bytes sent per byte received to an address that has not completed a handshake.
    amplification: u64,
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
    /// SYNs that may become flows.
    syns: BTreeMap<(SocketAddr, SocketAddr), flow::Syn>,
    strangers: BTreeMap<IpAddr, Stranger>,
    /// What the endpoint may answer before all that is due has been sent: one packet per frame received.
    answers: u64,
    violation: Option<Violation>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stranger {
    bytes_in: u64,
    bytes_out: u64,
    known: bool,
}

impl Monitor {
    /// Watches a host whose link carries packets of up to `mtu` bytes.
    #[must_use]
    pub fn new(mtu: u16) -> Self {
        Self {
            mtu: usize::from(mtu),
            amplification: 3,
            flows: BTreeMap::new(),
            syns: BTreeMap::new(),
            strangers: BTreeMap::new(),
            answers: 0,
            violation: None,
        }
    }

    /// The link carries packets of up to `mtu` bytes from now on.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = usize::from(mtu);
    }

    /// A listener sends a SYN,ACK again up to `retries` times: more bytes may go to a stranger.
    pub fn allow_retries(&mut self, retries: u8) {
        self.amplification = self.amplification.max(u64::from(retries) + 3);
    }

    /// The first violation seen.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Keeps a violation, unless there is an earlier one.
    pub fn report(&mut self, oracle: Oracle, at: Instant, what: impl Into<String>) {
        self.violation.get_or_insert_with(|| Violation { oracle, at, what: what.into() });
    }

    /// A packet is about to be handed to the endpoint.
    pub fn received(&mut self, packet: &Packet) {
        let wire_packets = packet.wire_packets();
        self.answers += wire_packets;
        if let Some(src) = source(&packet.bytes) {
            self.strangers.entry(src).or_default().bytes_in += packet.bytes.len() as u64;
        }
        let Some(segment) = packet.segment() else { return };
        let key = (segment.dst, segment.src);
        if let Some(flow) = self.flows.get_mut(&key) {
            flow.received(&segment, wire_packets);
        }
        if segment.has(TcpFlags::SYN) {
            self.syns.insert(key, flow::Syn::of(&segment));
        }
    }

    /// The connection between `local` and `remote` was given a reason to speak that is not a packet: a timer, or
    /// an application that reads, closes or aborts.
    pub fn prompted(&mut self, local: SocketAddr, remote: SocketAddr) {
        if let Some(flow) = self.flows.get_mut(&(local, remote)) {
            flow.credit += 1;
        }
    }

    /// The endpoint may send so many packets more than it has frames to answer.
    pub fn prompted_endpoint(&mut self, packets: u64) {
        self.answers += packets;
    }

    /// The connection has sent all that was due: what it might have answered and did not is forfeit.
    pub fn settled(&mut self, local: SocketAddr, remote: SocketAddr) {
        if let Some(flow) = self.flows.get_mut(&(local, remote)) {
            flow.credit = 0;
        }
    }

    /// The same of the endpoint.
    pub fn settled_endpoint(&mut self) {
        self.answers = 0;
    }

    /// The address has shown that it receives what is sent to it.
    pub fn known(&mut self, address: IpAddr) {
        self.strangers.entry(address).or_default().known = true;
    }

    /// A packet leaves the host.
    pub fn sent(&mut self, now: Instant, packet: &Packet, sender: Sender) {
        if let Err((oracle, what)) = self.check_sent(packet, sender) {
            self.report(oracle, now, what);
        }
    }

    fn check_sent(&mut self, packet: &Packet, sender: Sender) -> Result<(), Broken> {
        self.check_form(packet)?;
        let ip = IpView::parse(&packet.bytes[..]).map_err(|error| (Oracle::O8, error.to_string()))?;
        let segment = SegmentView::parse(&packet.bytes).map_err(|error| (Oracle::O8, error.to_string()))?;
        let to = self.strangers.entry(ip.dst()).or_default();
        if sender == Sender::Endpoint {
            to.bytes_out += packet.bytes.len() as u64;
            let Stranger { bytes_in, bytes_out, known } = *to;
            if !known && bytes_out > bytes_in.saturating_mul(self.amplification) {
                let what = format!("{bytes_out} bytes to {} for {bytes_in} bytes from it", ip.dst());
                return Err((Oracle::O5, what));
            }
            if !segment.is_some_and(|segment| segment.has(TcpFlags::SYN)) {
                self.answers = self
                    .answers
                    .checked_sub(1)
                    .ok_or_else(|| (Oracle::O5, "an answer to no frame".to_string()))?;
            }
        }
        let Some(segment) = segment else { return Ok(()) };
        let key = (segment.src, segment.dst);
        if segment.has(TcpFlags::SYN) {
            let syn = self.syns.get(&key);
            let current = self.flows.get(&key).filter(|flow| flow.continues(&segment));
            let current = current.filter(|flow| sender == Sender::Connection || !flow.is_over());
            if current.is_none() {
                self.flows.insert(key, Flow::new(&segment, syn));
            }
        }
        match self.flows.get_mut(&key) {
            Some(flow) => flow.sent(&segment, packet.segment_size, sender),
            // Whom the endpoint does not know it resets; nobody else speaks without a SYN.
            None if segment.has(TcpFlags::RST) && segment.payload.is_empty() => Ok(()),
            None => Err((Oracle::O8, format!("{} from no connection", segment.tcp.flags))),
        }
    }

    /// O-8 as far as one packet shows it: both parsers, and the link's MTU.
    fn check_form(&self, packet: &Packet) -> Result<(), Broken> {
        let broken = |what: String| (Oracle::O8, what);
        second::check(&packet.bytes).map_err(|what| broken(format!("second parser: {what}")))?;
        let ip = IpView::parse(&packet.bytes[..]).map_err(|error| broken(error.to_string()))?;
        if ip.total_len() != packet.bytes.len() {
            return Err(broken("bytes after the packet".into()));
        }
        let largest = match packet.segment_size {
            None => packet.bytes.len(),
            Some(size) => {
                let segment = packet.segment().ok_or_else(|| broken("a super-segment of no TCP".into()))?;
                let header_len = packet.bytes.len() - segment.payload.len();
                header_len + usize::from(size.get()).min(segment.payload.len())
            }
        };
        if largest > self.mtu {
            return Err(broken(format!("{largest} bytes on a link of {}", self.mtu)));
        }
        Ok(())
    }

    /// How far each connection has come, for comparing two runs.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        self.flows.iter().map(|((local, remote), flow)| flow.progress(*local, *remote)).collect()
    }
}

/// Whom a packet says it is from, whatever else is wrong with it.
fn source(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 => Some(IpAddr::from(*bytes.get(12..)?.first_chunk::<4>()?)),
        6 => Some(IpAddr::from(*bytes.get(8..)?.first_chunk::<16>()?)),
        _ => None,
    }
}

/// How far a connection has come, in bytes from either first sequence number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Our side.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Greatest sequence number sent (SND.NXT, or SND.MAX after going back).
    pub sent: u64,
    /// Last acknowledgment sent (RCV.NXT as the peer knows it).
    pub acknowledged: u32,
    /// Right edge of the window last advertised.
    pub edge: u32,
}

/// Whether one segment, timer or command may lead from one state to the other: by one transition, or by several
/// that one segment brings in the RFC's order: our SYN is acknowledged, a CLOSE that waited for it is done, our FIN is
/// acknowledged, the peer's FIN is there.
pub(crate) fn may_lead(from: TcpState, to: TcpState) -> bool {
    let opened = from.on(Cause::SynAck);
    let begun = if opened == from { vec![from] } else { vec![from, opened, opened.on(Cause::Close)] };
    let acked: Vec<_> = begun.iter().flat_map(|state| [*state, state.on(Cause::FinAcked)]).collect();
    let mut ends = acked.iter().flat_map(|state| [*state, state.on(Cause::Fin)]);
    ends.any(|state| state == to) || Cause::ALL.iter().any(|cause| from.on(*cause) == to)
}

/// What was broken, and how.
type Broken = (Oracle, String);

#[cfg(test)]
mod tests {
    use super::may_lead;
    use TcpState::{CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, SynSent, TimeWait};
    use carrick_core::TcpState;

    #[test]
    fn one_segment_may_do_several_steps_but_none_that_the_diagram_has_not() {
        for (from, to) in [(SynSent, CloseWait), (SynSent, FinWait1), (FinWait1, TimeWait), (LastAck, Closed)]
        {
            assert!(may_lead(from, to), "{from} to {to}");
        }
        for (from, to) in [
            (Closed, Established),
            (Established, FinWait2),
            (Established, TimeWait),
            (CloseWait, Closing),
            (FinWait2, Closing),
            (TimeWait, Established),
        ] {
            assert!(!may_lead(from, to), "{from} to {to}");
        }
    }
}
