//! What the network says of our packets: ICMP errors and path MTU (RFC 9293 §3.9.2.2, RFC 5927, RFC 1191 §6,
//! RFC 8201 §5, RFC 2923 §2.1).
//!
//! ```text
//!   128 or 1280        acknowledged       sent             link
//!   ─────┼──────────────────┼──────────────┼────────────────┼────
//!   floor    held until the     applied at     larger than what
//!            segment times out  once           we sent: a lie
//! ```
//!
//! A "packet too big" with an MTU that packets of ours have passed with is held back: while acknowledgments come
//! it is forged, and only when the segment that it quotes has timed out is it believed (RFC 5927 §7.2). One
//! that is believed makes the size smaller, never larger, and the text is cut anew and sent again: one segment,
//! then, once that is acknowledged, as much as the congestion window says, which stays as it was. Ten minutes
//! later the size is that of the link again, for paths get better too.
//!
//! Where the errors themselves get lost, large segments vanish without a word. After some timeouts of full
//! segments, two if none has ever got through, or one that comes late and after a probe of the tail, the size falls to
//! one that has proved good, and then by half for each further timeout. A peer that is
//! silent for other reasons looks alike, so this is a suspicion: it ends with the smallest size in vain, and with an
//! acknowledgment of large segments; and where those had gone through before, with the first of a small one: then a
//! large one has another chance, and if it has not used it after two timeouts, the size is what was suspected.

use super::{Connection, Opening, State};
use crate::endpoint::path_mtu::{LEAST_V6, LIFETIME, SAFE_V4};
use crate::event::EndpointEvent;
use crate::send::Sendable;
use crate::{ConnectionError, Cx, DiscardReason, IcmpError, IcmpErrorKind, Instant, MtuChange, Outcome};
use alloc::boxed::Box;
use carrick_wire::SeqNum;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// After so many timeouts of a full segment in a row its size is suspected (R1, RFC 9293 §3.8.3).
const SUSPICIOUS: u8 = 3;
/// The same for a size that has never got through: small ones, those of the handshake at least, have.
const SUSPICIOUS_UNPROVED: u8 = 2;
/// For a size that has never got through a full segment in vain that asked for a tail is as good as a timeout, where
/// the next one is so far away: there nothing but the size is likely to be silent for so long, and waiting hurts most.
const FAR: Duration = Duration::from_secs(1);
/// The same while the peer says to have others like it.
const SUSPICIOUS_BESIDE: u8 = 6;
/// The size that is tried then, where none has proved good (RFC 4821 §7.7).
const FALL_BACK_V4: u16 = 1024;

/// Sizes of packets to the peer, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Most that we send.
    pub(super) mtu: u16,
    /// The largest packet sent since `mtu` changed.
    sent: u16,
    /// The largest that has been acknowledged; what every host takes counts as that.
    acked: u16,
    /// What is not always there.
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Rare {
    /// The first segment larger than `acked`: one past its last number, and the packet's size.
    watched: Option<(SeqNum, u16)>,
    /// An MTU that is believed once the segment with that number has timed out.
    held: Option<(u16, SeqNum)>,
    /// When `mtu` becomes the link's again.
    raise_at: Option<Instant>,
    /// The first segment is sent again, and nothing else until it is acknowledged.
    one_segment: bool,
    /// The endpoint is to be told.
    tell: bool,
    /// Others found the path to be smaller while packets of ours of that size were under way, up to that number.
    overtaken: Option<(SeqNum, u16)>,
    /// What held until timeouts made the size suspicious, and will again if it was not the size.
    suspended: Option<Suspended>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Suspended {
    mtu: u16,
    acked: u16,
    raise_at: Option<Instant>,
    /// Packets as large had been acknowledged.
    proved: bool,
}

impl Path {
    pub(super) const fn new(link: u16, v6: bool) -> Self {
        Self { mtu: link, sent: 0, acked: if v6 { LEAST_V6 } else { SAFE_V4 }, rare: None }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Gives the box back when nothing is in it.
    fn tidy(&mut self) {
        self.rare.take_if(|rare| **rare == Rare::default());
    }

    fn lower(&mut self, mtu: u16, until: Instant) {
        self.believe(mtu, until);
        self.sent = mtu;
        let rare = self.rare();
        rare.watched = None;
        rare.held = None;
        rare.overtaken = None;
        rare.suspended = None;
    }

    /// From now until then the path takes `mtu` bytes.
    fn believe(&mut self, mtu: u16, until: Instant) {
        self.mtu = mtu;
        self.rare().raise_at = (until != Instant::NEVER).then_some(until);
    }

    /// Takes the suspicion back.
    fn restore(&mut self) -> bool {
        let suspended = self.rare.as_mut().and_then(|rare| rare.suspended.take());
        let Some(Suspended { mtu, acked, raise_at, .. }) = suspended else { return false };
        (self.mtu, self.acked) = (mtu, acked);
        self.rare().raise_at = raise_at;
        true
    }

    /// Bytes on the heap.
    pub(super) const fn memory(&self) -> usize {
        if self.rare.is_some() { size_of::<Rare>() } else { 0 }
    }

    pub(super) fn digest(&self, iss: SeqNum, now: Instant, state: &mut impl Hasher) {
        let Self { mtu, sent, acked, rare } = self;
        (mtu, sent, acked).hash(state);
        let Some(rare) = rare else { return };
        let Rare { watched, held, raise_at, one_segment, tell, overtaken, suspended } = &**rare;
        (watched.map(|(end, size)| (end.distance_from(iss), size)), one_segment, tell).hash(state);
        (held.map(|(mtu, seq)| (mtu, seq.distance_from(iss))), raise_at.map(|at| at.since(now))).hash(state);
        overtaken.map(|(end, size)| (end.distance_from(iss), size)).hash(state);
        suspended
            .map(|was| (was.mtu, was.acked, was.raise_at.map(|at| at.since(now)), was.proved))
            .hash(state);
    }
}

impl Connection {
    /// Most bytes of a packet to the peer, as far as is known of the path (RFC 1191, RFC 8201).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.path_mtu(), 1500);
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn path_mtu(&self) -> u16 {
        self.path.mtu
    }

    /// What others have found of the path before this connection was made.
    pub(crate) fn start_path(&mut self, change: MtuChange) {
        if change.path < self.path.mtu {
            self.path.believe(change.path, change.until);
        }
    }

    /// The link's MTU has changed, or another connection has found that of the path: what
    /// [`Endpoint::poll_mtu_change`](crate::Endpoint::poll_mtu_change) says. Afterwards, drain.
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
    pub fn handle_mtu_change(&mut self, cx: &Cx, change: MtuChange) {
        let cx = self.advance_clock(cx);
        let MtuChange { link, path, until } = change;
        // A suspicion begins anew with what is known now.
        self.path.restore();
        let as_link = self.path.mtu >= self.link.mtu;
        self.link.mtu = link;
        if path < self.path.mtu {
            let overtaken = match &self.state {
                State::Open(open) => Some((open.snd.nxt, self.path.sent)),
                _ => None,
            };
            self.path.lower(path, until);
            self.path.rare().overtaken = overtaken.filter(|(_, size)| *size > path);
        } else if as_link {
            self.path.believe(path, until);
        }
        self.path.tidy();
        self.size_changed();
        self.rearm(cx.now);
    }

    /// An ICMP error whose quote names this connection.
    pub(super) fn icmp_arrives(&mut self, cx: &Cx, error: IcmpError) -> Outcome {
        let opening = matches!(self.state, State::SynSent(_) | State::SynReceived(..));
        // Of a segment in flight, SND.UNA =< SEG.SEQ < SND.NXT (RFC 5927 §4.1).
        let in_flight = match &self.state {
            State::SynSent(Opening { iss, sent_at, .. })
            | State::SynReceived(Opening { iss, sent_at, .. }, _) => error.seq == *iss && sent_at.is_some(),
            State::Open(open) => {
                error.seq.distance_from(open.snd.una) < open.snd.nxt.distance_from(open.snd.una)
            }
            State::TimeWait(_) | State::Closed(_) => false,
        };
        if !in_flight && !fault!(self.config, QuoteUnchecked) {
            return Outcome::Discarded(DiscardReason::IcmpIgnored);
        }
        let reason = match error.kind {
            IcmpErrorKind::PacketTooBig(mtu) => return self.packet_too_big(cx.now, mtu, error.seq),
            IcmpErrorKind::Refused => ConnectionError::Refused,
            IcmpErrorKind::NetworkUnreachable => ConnectionError::NetworkUnreachable,
            IcmpErrorKind::HostUnreachable | IcmpErrorKind::TimeExceeded => ConnectionError::HostUnreachable,
            IcmpErrorKind::ParameterProblem | IcmpErrorKind::Unknown => ConnectionError::Protocol,
        };
        // A hard error ends an attempt. Once both sides have spoken it is a hint like the others: whoever can
        // reset a connection can do so with a reset (RFC 5927 §5.2).
        let ends = opening || fault!(self.config, UnreachableEnds);
        if ends && error.kind == IcmpErrorKind::Refused {
            self.end(Some(reason), None);
        } else {
            self.note_soft_error(reason);
        }
        Outcome::Accepted
    }

    /// RFC 5927 §7.2, with the records beginning at what every host takes.
    fn packet_too_big(&mut self, now: Instant, said: u32, seq: SeqNum) -> Outcome {
        let ignored = Outcome::Discarded(DiscardReason::IcmpIgnored);
        if !matches!(self.state, State::Open(_)) || (self.is_v6() && said < u32::from(LEAST_V6)) {
            return ignored;
        }
        // An old router does not say (RFC 1191 §5).
        let said = if said == 0 { u32::from(SAFE_V4) } else { said };
        let Ok(mtu) = u16::try_from(said) else { return ignored };
        let mtu = mtu.max(self.link.min_path_mtu);
        let path = &mut self.path;
        if mtu >= path.mtu {
            // Too big when it left, and small enough by now.
            let news = |(end, size): &mut (SeqNum, u16)| seq.before(*end) && mtu < *size;
            if path.rare.as_mut().and_then(|rare| rare.overtaken.take_if(news)).is_none() {
                return ignored;
            }
            self.send_one_again();
            return Outcome::Accepted;
        }
        if mtu > path.sent {
            return ignored;
        }
        if mtu >= path.acked {
            self.apply(now, mtu);
            return Outcome::Accepted;
        }
        let held = &mut path.rare().held;
        if held.is_none_or(|(other, _)| other > mtu) {
            *held = Some((mtu, seq));
        }
        Outcome::Accepted
    }

    /// The path takes packets of `mtu` bytes and no larger.
    fn apply(&mut self, now: Instant, mtu: u16) {
        self.path.lower(mtu, now + LIFETIME);
        self.path.rare().tell = true;
        self.send_one_again();
        self.size_changed();
    }

    fn send_one_again(&mut self) {
        self.path.rare().one_segment = true;
        if let State::Open(open) = &mut self.state {
            open.snd.send_again();
        }
    }

    /// The congestion controller counts in segments.
    fn size_changed(&mut self) {
        let mtu = self.path.mtu;
        if let State::Open(open) = &mut self.state {
            let size = open.segment_size(self.tuple.local, mtu, 0);
            open.snd.congestion.get_mut().on_start(u32::from(size));
        }
    }

    fn is_v6(&self) -> bool {
        self.tuple.local.is_ipv6()
    }

    /// Ten minutes are over: perhaps the path has become better (RFC 1191 §6.3).
    pub(super) fn raise_path(&mut self, now: Instant) {
        let due = |rare: &Rare| rare.raise_at.is_some_and(|at| at <= now);
        if self.path.rare.as_deref().is_some_and(due) {
            // While nothing is heard of the peer, a suspicion is just that.
            self.path.restore();
            self.path.believe(self.link.mtu, Instant::NEVER);
            self.path.tidy();
            self.size_changed();
        }
    }

    /// What may be sent now that text is to be sent again because it was too big.
    pub(super) fn within_path(&self, sendable: Option<Sendable>, mss: u16) -> Option<Sendable> {
        let State::Open(open) = &self.state else { return sendable };
        if !self.path.rare.as_ref().is_some_and(|rare| rare.one_segment) {
            return sendable;
        }
        let sendable = sendable.filter(|sendable| sendable.seq == open.snd.una)?;
        let len = sendable.len.min(usize::from(mss));
        Some(Sendable { len, fin: sendable.fin && len == sendable.len, ..sendable })
    }

    /// A packet has left, `size` bytes long, with text up to `end`.
    pub(super) fn note_size(&mut self, size: u16, end: SeqNum, again: bool) {
        self.path.sent = self.path.sent.max(size);
        if size > self.path.acked && !again && self.path.rare.as_ref().is_none_or(|r| r.watched.is_none()) {
            self.path.rare().watched = Some((end, size));
        }
    }

    /// SND.UNA has moved, `beyond` what has been sent since the last timeout.
    pub(super) fn path_acked(&mut self, beyond: bool) {
        let State::Open(open) = &self.state else { return };
        let una = open.snd.una;
        if beyond && self.path.restore() {
            self.size_changed();
        }
        let State::Open(open) = &mut self.state else { return };
        let Some(rare) = &mut self.path.rare else { return };
        rare.one_segment = false;
        let mut chance = false;
        match rare.suspended.take() {
            // The peer was silent: that was seldom for the size, and a large segment tells.
            Some(Suspended { mtu, raise_at, proved: true, .. }) => {
                (self.path.mtu, rare.raise_at) = (mtu, raise_at);
                chance = true;
            }
            // It was the size, and no congestion.
            Some(_) => {
                let smss = open.segment_size(self.tuple.local, self.path.mtu, 0);
                open.snd.on_too_big(&self.config, smss.into());
            }
            None => {}
        }
        rare.overtaken.take_if(|(end, _)| una.at_or_after(*end));
        if let Some((_, size)) = rare.watched.take_if(|(end, _)| una.at_or_after(*end)) {
            self.path.acked = self.path.acked.max(size);
        }
        rare.held.take_if(|(_, seq)| una.after(*seq));
        self.path.tidy();
        if chance {
            self.size_changed();
        }
    }

    /// The retransmission timer has expired, `asked` with a full segment for the tail before.
    pub(super) fn path_timeout(&mut self, now: Instant, asked: bool) {
        let State::Open(open) = &self.state else { return };
        let mss = open.segment_size(self.tuple.local, self.path.mtu, 0);
        let full = open.snd.nxt.distance_from(open.snd.una) >= u32::from(mss);
        let unproved = self.path.acked < self.path.sent.min(self.path.mtu);
        let soon = u8::from(asked && open.snd.rtt.rto() >= FAR);
        let enough = if unproved { SUSPICIOUS_UNPROVED.saturating_sub(soon) } else { SUSPICIOUS };
        // Where packets arrive that are larger than what would be tried, it is not the size: mostly.
        let fall_back = if self.is_v6() { LEAST_V6 } else { FALL_BACK_V4 };
        let large = u32::from(open.segment_size(self.tuple.local, fall_back, 0));
        let enough = if open.snd.mean_sacked() > large { SUSPICIOUS_BESIDE } else { enough };
        let suspicious = full && open.snd.retries >= enough;
        if let Some(rare) = &mut self.path.rare {
            // What is acknowledged from here on may have been sent in other pieces.
            rare.watched = None;
            rare.overtaken = None;
            if let Some((mtu, _)) = rare.held {
                self.path.acked = mtu;
                self.apply(now, mtu);
                return;
            }
        }
        if suspicious {
            self.suspect(now);
        }
        self.path.tidy();
    }

    /// A full segment has timed out again and again: perhaps it is too big.
    fn suspect(&mut self, now: Instant) {
        let (floor, fall_back) = (self.link.min_path_mtu, if self.is_v6() { LEAST_V6 } else { FALL_BACK_V4 });
        let Path { mtu, acked, sent, .. } = self.path;
        // The peer's MSS may allow less than the path.
        let size = sent.min(mtu);
        let lower = if acked < size && acked > fall_back { acked } else { fall_back };
        let lower = if lower < size { lower } else { size / 2 }.max(floor);
        if lower < size {
            let Rare { raise_at, suspended, .. } = *self.path.rare();
            let suspended = suspended.unwrap_or(Suspended { mtu, acked, raise_at, proved: acked >= sent });
            self.path.acked = acked.min(lower);
            self.path.lower(lower, now + LIFETIME);
            self.path.rare().suspended = Some(suspended);
        } else {
            self.path.restore();
        }
        self.size_changed();
    }

    pub(super) fn path_event(&mut self) -> Option<EndpointEvent> {
        let rare = self.path.rare.as_deref_mut()?;
        core::mem::take(&mut rare.tell).then_some(EndpointEvent::PathMtu(self.path.mtu))
    }
}
