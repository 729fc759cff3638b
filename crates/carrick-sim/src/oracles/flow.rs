//! One connection as its packets show it: what O-5 to O-8 say of a conversation.
//!
//! Positions of ours are counted from our initial sequence number (SYN is 0, the first byte 1), as 64 bits, so
//! that a long conversation does not wrap.

use super::{Broken, Oracle, Progress, Sender};
use crate::packet::SegmentView;
use carrick_wire::{Ecn, Mss, SeqNum, TcpFlags, TcpOptions, WindowScale, WireWindow};
use std::net::SocketAddr;
use std::num::NonZeroU16;

/// So many bytes may be acknowledged before they are forgotten.
const FORGET: u64 = 1 << 20;

/// A SYN that was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syn {
    seq: SeqNum,
    options: TcpOptions,
    window: WireWindow,
    /// It asks for ECN, or agrees to it.
    ecn: bool,
}

impl Syn {
    pub(super) fn of(segment: &SegmentView<'_>) -> Self {
        let tcp = &segment.tcp;
        let ecn = segment.has(TcpFlags::ECE) && segment.has(TcpFlags::CWR) != segment.has(TcpFlags::ACK);
        Self { seq: tcp.seq, options: tcp.options, window: tcp.window, ecn }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Flow {
    iss: SeqNum,
    ours: TcpOptions,
    /// The window of our SYN, which counts from the first number after the peer's.
    first_window: WireWindow,
    peer: Option<Syn>,
    /// Every byte sent (O-7), but for those that were acknowledged long ago; the first ever has position 1.
    bytes: Vec<u8>,
    /// How many bytes before those are gone.
    forgotten: u64,
    /// One past the greatest position that the peer has acknowledged.
    settled: u64,
    fin: Option<u64>,
    /// One past the greatest position sent.
    max: u64,
    /// Right edge of the peer's window, as a position, the greatest ever.
    peer_edge: u64,
    /// One past the greatest sequence number received.
    received: Option<SeqNum>,
    /// The last acknowledgment and the greatest right edge that we sent.
    acknowledged: Option<SeqNum>,
    edge: Option<SeqNum>,
    synchronized: bool,
    /// A reset that ends the connection was sent or received.
    reset: bool,
    /// A connection has spoken; until then it is a half-open record or a cookie.
    connected: bool,
    /// Some SYN of ours asked for ECN or agreed to it, some did not, and some of the peer's did.
    ecn: [bool; 3],
    /// How many segments without news may be sent before all that is due has been (O-5).
    pub(super) credit: u64,
}

impl Flow {
    /// A flow that begins with our SYN or SYN,ACK, which answers the peer's `syn` if it acknowledges it.
    pub(super) fn new(segment: &SegmentView<'_>, syn: Option<&Syn>) -> Self {
        let tcp = &segment.tcp;
        let answers = |syn: &&Syn| segment.has(TcpFlags::ACK) && tcp.ack == syn.seq + 1;
        let mut flow = Self {
            iss: tcp.seq,
            ours: tcp.options,
            first_window: tcp.window,
            peer: None,
            bytes: Vec::new(),
            forgotten: 0,
            settled: 0,
            fin: None,
            max: 0,
            peer_edge: 0,
            received: None,
            acknowledged: None,
            edge: None,
            synchronized: false,
            reset: false,
            connected: false,
            ecn: [false; 3],
            credit: 0,
        };
        if let Some(syn) = syn.filter(answers) {
            flow.note_syn(*syn);
        }
        flow
    }

    /// Whether a SYN of ours belongs to this flow, and does not begin another one.
    pub(super) fn continues(&self, segment: &SegmentView<'_>) -> bool {
        let same_peer = match (self.peer, segment.has(TcpFlags::ACK)) {
            (Some(syn), true) => segment.tcp.ack == syn.seq + 1,
            _ => true,
        };
        segment.tcp.seq == self.iss && same_peer
    }

    /// Whether the connection has ended, as far as packets show it. A cookie for a late copy of its SYN has its
    /// numbers, and begins anew all the same.
    pub(super) fn is_over(&self) -> bool {
        self.reset || self.fin.is_some_and(|fin| self.settled > fin)
    }

    fn note_syn(&mut self, syn: Syn) {
        self.peer = Some(syn);
        self.ecn[2] |= syn.ecn;
        self.received = Some(syn.seq + 1);
        self.edge = Some(syn.seq + 1 + u32::from(self.first_window.get()));
        self.peer_edge = self.peer_edge.max(1 + u64::from(syn.window.get()));
    }

    /// A number of ours as a position.
    fn position(&self, seq: SeqNum) -> Option<u64> {
        let near = self.max as u32;
        let distance = i64::from(seq - (self.iss + near));
        u64::try_from(i64::try_from(self.max).ok()? + distance).ok()
    }

    pub(super) fn received(&mut self, segment: &SegmentView<'_>, wire_packets: u64) {
        self.credit += wire_packets;
        let tcp = &segment.tcp;
        // A reset ends nothing unless its number is RCV.NXT. A half-open record takes no text; what a connection has
        // taken, and not acknowledged yet, does not show.
        let next = |ack: SeqNum| {
            let most = self.received.filter(|_| self.connected).unwrap_or(ack);
            tcp.seq.at_or_after(ack) && tcp.seq.at_or_before(most)
        };
        self.reset |= segment.has(TcpFlags::RST) && self.acknowledged.is_none_or(next);
        if segment.has(TcpFlags::SYN) {
            let ours = !segment.has(TcpFlags::ACK) || tcp.ack == self.iss + 1;
            // Once we have acknowledged one, another is not the conversation's.
            let same = self.peer.is_none_or(|syn| syn.seq == tcp.seq);
            if ours && same && !self.synchronized {
                let mut syn = Syn::of(segment);
                if let Some(first) = self.peer {
                    // A SYN that comes again may take options back; the MSS stays what it was.
                    syn.options.mss = first.options.mss;
                }
                self.note_syn(syn);
            }
            if self.synchronized {
                // Of another life of the peer, perhaps: its numbers are no part of this one.
                return;
            }
        }
        let Some(received) = self.received else { return };
        self.synchronized |= segment.has(TcpFlags::ACK) && tcp.ack == self.iss + 1 && tcp.seq == received;
        let count = segment.payload.len() as u32
            + u32::from(segment.has(TcpFlags::SYN))
            + u32::from(segment.has(TcpFlags::FIN));
        self.received = Some(received.max(tcp.seq + count));
        if segment.has(TcpFlags::ACK)
            && let Some(ack) = self.position(tcp.ack)
        {
            if ack <= self.max {
                self.settled = self.settled.max(ack);
                self.forget_settled();
            }
            let scale = if segment.has(TcpFlags::SYN) { WindowScale::ZERO } else { self.scale(Side::Peer) };
            self.peer_edge = self.peer_edge.max(ack + u64::from(tcp.window.scaled(scale).get()));
        }
    }

    /// The scale of the windows that a side sends: both must have offered one (RFC 7323 §2.2).
    fn scale(&self, side: Side) -> WindowScale {
        let peer = self.peer.and_then(|syn| syn.options.window_scale);
        match (self.ours.window_scale, peer) {
            (Some(ours), Some(peer)) => WindowScale::clamped(if side == Side::Ours { ours } else { peer }),
            _ => WindowScale::ZERO,
        }
    }

    /// The scale of the window in a segment of ours.
    fn scale_of(&self, segment: &SegmentView<'_>) -> WindowScale {
        if segment.has(TcpFlags::SYN) { WindowScale::ZERO } else { self.scale(Side::Ours) }
    }

    /// The right edge that a segment of ours advertises.
    fn edge_of(&self, segment: &SegmentView<'_>) -> SeqNum {
        segment.tcp.ack + segment.tcp.window.scaled(self.scale_of(segment)).get()
    }

    pub(super) fn sent(
        &mut self,
        segment: &SegmentView<'_>,
        segment_size: Option<NonZeroU16>,
        sender: Sender,
    ) -> Result<(), Broken> {
        let news = segment.has(TcpFlags::SYN | TcpFlags::FIN) || !segment.payload.is_empty();
        self.connected |= sender == Sender::Connection;
        // What the endpoint says is counted against the frames it was given.
        if !news && sender == Sender::Connection {
            // A window may also open because others have given memory back.
            let opens = self.edge.is_some_and(|edge| self.edge_of(segment).after(edge));
            if self.credit == 0 && !(opens && segment.has(TcpFlags::ACK)) {
                let what = format!("{} without anything to answer or to say", segment.tcp.flags);
                return Err((Oracle::O5, what));
            }
            self.credit = self.credit.saturating_sub(1);
        }
        self.check_ecn(segment)?;
        if segment.has(TcpFlags::RST) {
            // With another number it answers what is not of this connection, which goes on.
            self.reset |= self.position(segment.tcp.seq) == Some(self.max);
            return Ok(());
        }
        self.check_options(segment, segment_size)?;
        self.check_text(segment)?;
        self.check_receiver(segment)?;
        self.synchronized |= !segment.has(TcpFlags::SYN);
        Ok(())
    }

    /// O-8: options only as negotiated, segments no larger than the peer takes.
    fn check_options(&self, segment: &SegmentView<'_>, size: Option<NonZeroU16>) -> Result<(), Broken> {
        let broken = |what: String| Err((Oracle::O8, what));
        let options = &segment.tcp.options;
        let syn = segment.has(TcpFlags::SYN);
        if syn {
            if let (Some(peer), true) = (self.peer, segment.has(TcpFlags::ACK)) {
                let granted = |ours: bool, theirs: bool| !ours || theirs;
                if !granted(options.window_scale.is_some(), peer.options.window_scale.is_some())
                    || !granted(options.sack_permitted, peer.options.sack_permitted)
                    || !granted(options.timestamps.is_some(), peer.options.timestamps.is_some())
                {
                    return broken("SYN,ACK with an option that the SYN did not offer".into());
                }
            }
            return Ok(());
        }
        let Some(peer) = self.peer else {
            return broken(format!("{} before the peer's SYN", segment.tcp.flags));
        };
        let timestamps = self.ours.timestamps.is_some() && peer.options.timestamps.is_some();
        if options.timestamps.is_some() != timestamps {
            return broken(format!("timestamps {:?}, agreed: {timestamps}", options.timestamps));
        }
        let sack = self.ours.sack_permitted && peer.options.sack_permitted;
        if !sack && !options.sack.is_empty() {
            return broken("SACK without permission".into());
        }
        let default = if segment.dst.is_ipv4() { Mss::DEFAULT_V4 } else { Mss::DEFAULT_V6 };
        let mss = peer.options.mss.map_or(default, Mss::clamped);
        let text = size.map_or(usize::MAX, |size| usize::from(size.get())).min(segment.payload.len());
        // MSS counts text and options (RFC 6691).
        if text > 0 && text + options.encoded_len() > usize::from(mss.get()) {
            return broken(format!("{text} bytes of text and options for an MSS of {}", mss.get()));
        }
        Ok(())
    }

    /// O-8: of congestion only those speak who have agreed to, and only new text may be marked (RFC 3168 §6.1).
    fn check_ecn(&mut self, segment: &SegmentView<'_>) -> Result<(), Broken> {
        let [ours, plain, peer] = &mut self.ecn;
        let [syn, ack, ece, cwr] =
            [TcpFlags::SYN, TcpFlags::ACK, TcpFlags::ECE, TcpFlags::CWR].map(|flag| segment.has(flag));
        let legal = if syn {
            *ours |= ece;
            *plain |= !ece;
            segment.ecn == Ecn::NotEct && if ack { !cwr && (!ece || *peer) } else { ece == cwr }
        } else {
            let agreed = *ours && *peer;
            let capable = agreed && !*plain;
            let new_text = !segment.payload.is_empty() && self.position(segment.tcp.seq) >= Some(self.max);
            let marked = match segment.ecn {
                Ecn::NotEct => !cwr,
                Ecn::Ect0 => capable && new_text,
                Ecn::Ect1 | Ecn::Ce => false,
            };
            marked && (!ece || agreed)
        };
        if legal && !segment.has(TcpFlags::AE) {
            return Ok(());
        }
        Err((Oracle::O8, format!("{} with {:?} at {:?}", segment.tcp.flags, segment.ecn, self.ecn)))
    }

    /// O-6 and O-7 for the sending side: what we say stays said.
    fn check_text(&mut self, segment: &SegmentView<'_>) -> Result<(), Broken> {
        let Some(start) = self.position(segment.tcp.seq) else {
            return Err((Oracle::O6, format!("SEG.SEQ {} is before ISS {}", segment.tcp.seq, self.iss)));
        };
        let syn = segment.has(TcpFlags::SYN);
        if syn && start != 0 {
            return Err((Oracle::O7, format!("SYN at position {start}")));
        }
        let first = start + u64::from(syn);
        let end = first + segment.payload.len() as u64;
        if start > self.max {
            return Err((Oracle::O6, format!("position {start} is beyond SND.NXT {}", self.max)));
        }
        if !segment.payload.is_empty() {
            self.check_bytes(first, segment.payload)?;
        }
        match (self.fin, segment.has(TcpFlags::FIN)) {
            (None, true) if end < self.max => {
                return Err((Oracle::O7, format!("FIN at {end}, bytes went to {}", self.max)));
            }
            (None, true) => self.fin = Some(end),
            (Some(fin), true) if fin != end => {
                return Err((Oracle::O7, format!("FIN at {end}, and earlier at {fin}")));
            }
            (Some(fin), false) if end > fin && !segment.payload.is_empty() => {
                return Err((Oracle::O7, format!("text to {end} beyond FIN at {fin}")));
            }
            _ => {}
        }
        let end = end + u64::from(segment.has(TcpFlags::FIN));
        // One byte or a FIN may probe a closed window (RFC 9293 §3.8.6.1).
        if self.peer.is_some() && !syn && end > self.peer_edge + 1 {
            let what =
                format!("position {end} is beyond the peer's window, which ends at {}", self.peer_edge);
            return Err((Oracle::O6, what));
        }
        self.max = self.max.max(end);
        Ok(())
    }

    fn check_bytes(&mut self, first: u64, payload: &[u8]) -> Result<(), Broken> {
        let Some(at) = first.checked_sub(1) else {
            return Err((Oracle::O7, "text in the place of SYN".into()));
        };
        // What was acknowledged a megabyte ago is not remembered.
        let skip = usize::try_from(self.forgotten.saturating_sub(at)).unwrap_or(usize::MAX);
        let Some(payload) = payload.get(skip..) else { return Ok(()) };
        let at = usize::try_from(at.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        if at > self.bytes.len() {
            let sent = self.forgotten + self.bytes.len() as u64;
            return Err((Oracle::O6, format!("a gap: text at {first}, sent to {sent}")));
        }
        let known = (self.bytes.len() - at).min(payload.len());
        if self.bytes[at..at + known] != payload[..known] {
            return Err((Oracle::O7, format!("other bytes from {first} on, or {skip} later")));
        }
        self.bytes.extend_from_slice(&payload[known..]);
        Ok(())
    }

    /// Long conversations do not fill the memory.
    fn forget_settled(&mut self) {
        let settled = self.settled.saturating_sub(1).saturating_sub(self.forgotten);
        if settled > FORGET {
            let count = usize::try_from(settled).unwrap_or(usize::MAX).min(self.bytes.len());
            self.bytes.drain(..count);
            self.forgotten += count as u64;
        }
    }

    /// O-6 for the receiving side: acknowledgments and edges never step back, blocks lie where they may.
    fn check_receiver(&mut self, segment: &SegmentView<'_>) -> Result<(), Broken> {
        if !segment.has(TcpFlags::ACK) {
            return Ok(());
        }
        let broken = |what: String| Err((Oracle::O6, what));
        let ack = segment.tcp.ack;
        if let Some(before) = self.acknowledged
            && ack.before(before)
        {
            return broken(format!("RCV.NXT stepped back by {}", before - ack));
        }
        match self.received {
            Some(received) if ack.after(received) => {
                return broken(format!("ACK of {} bytes never received", ack - received));
            }
            None => return broken("ACK of a peer never heard".into()),
            Some(_) => {}
        }
        let edge = self.edge_of(segment);
        // In units of the scale a window cannot always say what it said before (RFC 7323 §2.4): less than a unit
        // below the greatest edge is rounding, more is a promise taken back.
        let unit = 1 << self.scale_of(segment).get();
        if let Some(before) = self.edge
            && before - edge >= unit
        {
            return broken(format!("the right edge retreated by {}", before - edge));
        }
        self.acknowledged = Some(ack);
        self.edge = Some(self.edge.map_or(edge, |before| before.max(edge)));
        self.check_blocks(segment)
    }

    fn check_blocks(&self, segment: &SegmentView<'_>) -> Result<(), Broken> {
        let ack = segment.tcp.ack;
        let blocks: Vec<_> = segment.tcp.options.sack.iter().collect();
        for (i, block) in blocks.iter().enumerate() {
            // The first may report a duplicate, below the ACK or inside the second (RFC 2883 §4).
            let duplicate = i == 0
                && (block.right().at_or_before(ack)
                    || blocks.get(1).is_some_and(|next| {
                        block.left().at_or_after(next.left()) && block.right().at_or_before(next.right())
                    }));
            if duplicate {
                continue;
            }
            let beyond = self.received.is_none_or(|received| block.right().after(received));
            if block.left().at_or_before(ack) || beyond {
                return Err((Oracle::O6, format!("SACK block {block:?} outside what was received")));
            }
            let overlaps = blocks.iter().enumerate().any(|(j, other)| {
                j > i && block.left().before(other.right()) && other.left().before(block.right())
            });
            if overlaps {
                return Err((Oracle::O6, format!("SACK blocks overlap: {blocks:?}")));
            }
        }
        Ok(())
    }

    pub(super) fn progress(&self, local: SocketAddr, remote: SocketAddr) -> Progress {
        let irs = self.peer.map_or(SeqNum::new(0), |syn| syn.seq);
        let relative = |seq: Option<SeqNum>| seq.map_or(0, |seq| seq.distance_from(irs));
        Progress {
            local,
            remote,
            sent: self.max,
            acknowledged: relative(self.acknowledged),
            edge: relative(self.edge),
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Side {
    Ours,
    Peer,
}
