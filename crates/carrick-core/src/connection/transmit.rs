//! What leaves: planned first, committed when the device has taken it.

use super::handshake::{self, ts_clock};
use super::timers::Timer;
use super::{Closed, Connection, Last, Push, State};
use crate::ecn::Echo;
use crate::recv::ack_policy::MAX_DELAY;
use crate::send::{Sendable, Terms};
use crate::time::nanos;
use crate::transmit::{HeaderBytes, MAX_PARTS, Taken, Transmit};
use crate::{Cx, Instant, Pressure, Tuple};
use bytes::Bytes;
use carrick_wire::{
    Checksum, Ecn, IpHeader, Protocol, SackBlocks, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps,
    UserTimeout, WireWindow,
};
use core::num::{NonZeroU16, NonZeroUsize};

/// Payloads from this size on can be made of reference-counted slices, for devices that keep frames.
const SHARE: usize = 4 << 10;

/// What a [`Transmit`] carries and will commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    kind: Kind,
    seq: SeqNum,
    /// Where the payload starts in the send queue.
    offset: usize,
    pub(crate) len: usize,
    fin: bool,
    pub(crate) segment_size: Option<NonZeroU16>,
    header_len: usize,
    /// Text of a full segment.
    mss: u16,
    /// The right edge that it advertises.
    edge: SeqNum,
    now: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// A SYN or SYN,ACK.
    Syn,
    /// Text, a FIN, or just an ACK.
    Segment,
    /// A reset to a stranger during the handshake.
    Stray,
    /// What ends the connection.
    Last,
    /// An ACK in SYN-RECEIVED or TIME-WAIT.
    Ack,
}

impl Connection {
    /// The next packet that is due, of at most `max` bytes with its headers: a packet longer than the MTU is
    /// a super-segment, which stands for segments of [`Transmit::segment_size`] each. Call it until it gives
    /// nothing.
    ///
    /// Text is cut to fit `max`, into segments smaller than the path would take if need be. Headers are never
    /// cut: they take up to 120 bytes, and where they leave no room text waits.
    ///
    /// Nothing has changed until [`Transmit::sent`].
    ///
    /// # Examples
    /// ```
    /// use carrick_core::Taken;
    /// use std::num::NonZeroUsize;
    ///
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.send(cx, b"hello")?;
    /// let transmit = connection.poll_transmit(cx, NonZeroUsize::MAX).expect("there is text to send");
    /// assert_eq!(transmit.payload_len(), 5);
    /// // Header and payload go to the device here.
    /// transmit.sent(Taken::All);
    /// assert!(connection.poll_transmit(cx, NonZeroUsize::MAX).is_none());
    /// # Ok::<(), carrick_core::SendError>(())
    /// # });
    /// ```
    pub fn poll_transmit<'c>(&'c mut self, cx: &Cx, max: NonZeroUsize) -> Option<Transmit<'c>> {
        let cx = self.advance_clock(cx);
        self.raise_path(cx.now);
        let (header, plan) = self.plan(&cx, max)?;
        Some(Transmit::from_connection(header, self, plan))
    }

    fn plan(&self, cx: &Cx, max: NonZeroUsize) -> Option<(HeaderBytes, Plan)> {
        match &self.state {
            State::SynSent(_) | State::SynReceived(..) => self.plan_opening(cx),
            State::Open(_) => self.plan_segment(cx, max),
            State::TimeWait(record) => {
                if self.acks_due == 0 {
                    return None;
                }
                let tcp = crate::endpoint::time_wait::ack(record, ts_clock(cx.now, self.link.ts_offset));
                Some(self.finish_plan(
                    cx,
                    tcp,
                    Kind::Ack,
                    Sendable { seq: record.snd_nxt, len: 0, fin: false },
                ))
            }
            State::Closed(Closed { last, .. }) => {
                let Last { flags, seq, ack, window, ts_recent } = (*last)?;
                let options = self.segment_options(cx.now, ts_recent, SackBlocks::default());
                let tcp = TcpHeader { seq, ack, flags, window, options, ..TcpHeader::default() };
                Some(self.finish_plan(cx, tcp, Kind::Last, Sendable { seq, len: 0, fin: false }))
            }
        }
    }

    fn plan_opening(&self, cx: &Cx) -> Option<(HeaderBytes, Plan)> {
        let (opening, peer) = match &self.state {
            State::SynSent(opening) => (opening, None),
            State::SynReceived(opening, peer) => (opening, Some(peer)),
            _ => return None,
        };
        let empty = |tcp: TcpHeader, kind| {
            let nothing = Sendable { seq: tcp.seq, len: 0, fin: false };
            Some(self.finish_plan(cx, tcp, kind, nothing))
        };
        if let Some(stray) = opening.stray_reset {
            let timestamps = stray.ts_val.map(|ecr| Timestamps { val: 0, ecr });
            let options = TcpOptions { timestamps, ..TcpOptions::default() };
            let tcp = TcpHeader { seq: stray.ack, flags: TcpFlags::RST, options, ..TcpHeader::default() };
            return empty(tcp, Kind::Stray);
        }
        if let Some(peer) = peer.filter(|_| self.acks_due > 0 && !opening.due) {
            let tcp = handshake::ack(&self.config, opening.iss, peer, ts_clock(cx.now, self.link.ts_offset));
            return empty(tcp, Kind::Ack);
        }
        if !opening.due {
            return None;
        }
        let mss = handshake::offered_mss(&self.config, self.tuple.local, self.link.least_mtu);
        let ts_now = ts_clock(cx.now, self.link.ts_offset);
        let flags = match peer {
            Some(peer) => peer.syn_ack_flags(),
            None if handshake::asks_for_ecn(&self.config, opening.retries) => {
                TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR
            }
            None => TcpFlags::SYN,
        };
        let tcp = TcpHeader {
            seq: opening.iss,
            ack: peer.map_or(SeqNum::new(0), |peer| peer.irs + 1),
            flags,
            window: handshake::initial_window(&self.config),
            options: handshake::syn_options(&self.config, mss, ts_now, peer),
            ..TcpHeader::default()
        };
        empty(tcp, Kind::Syn)
    }

    fn plan_segment(&self, cx: &Cx, max: NonZeroUsize) -> Option<(HeaderBytes, Plan)> {
        let State::Open(open) = &self.state else { return None };
        let snd = &open.snd;
        let queued = self.to_send.len();
        // A duplicate is reported once, so it does not ride on what may be sent in several segments or again.
        let duplicate = open.rcv.owes_duplicate();
        let reads = self.has_read && open.phase.receives();
        let update_due = reads
            && !fault!(self.config, NoWindowUpdate)
            && (open.rcv.update_due(cx.memory.pressure, self.received.len())
                || fault!(self.config, SillyReceiver));
        // The peer does not take the window of a keep-alive probe: an update is an ACK of its own.
        let ack_due = self.acks_due > 0 || duplicate || (self.keep_alive_due && update_due);
        let empty_due = ack_due || self.keep_alive_due || update_due;
        // Most calls find nothing due: that is told before anything is worked out.
        if !empty_due && snd.is_idle(queued) {
            return None;
        }

        let sack = open.rcv.sack_blocks(self.due_timeout().is_some());
        let ts_recent = open.rcv.ts_recent.map(|(recent, _)| recent);
        let options = self.segment_options(cx.now, ts_recent, sack);
        let sack_len = u16::try_from(sack.len().saturating_mul(8).saturating_add(4)).unwrap_or(u16::MAX);
        let sack_len = if sack.is_empty() { 0 } else { sack_len };
        let timeout_len = if options.user_timeout.is_some() { 4 } else { 0 };
        let mut mss =
            open.segment_size(self.tuple.local, self.path.mtu, sack_len.saturating_add(timeout_len));
        if fault!(self.config, MssIgnored) {
            mss = handshake::local_mss(self.tuple.local, self.path.mtu);
        }

        let terms = self.terms();
        let worth = if fault!(self.config, SillySender) { 1 } else { mss };
        let sendable = self.within_path(snd.sendable(&terms, u32::from(worth), cx.now), mss);
        let sendable = sendable.filter(|_| !duplicate).and_then(|mut sendable| {
            let fixed: usize = if self.tuple.local.is_ipv4() { 40 } else { 60 };
            let headers = fixed.saturating_add(options.encoded_len());
            let mut limit = max.get().min(usize::from(u16::MAX)).saturating_sub(headers);
            if terms.urgent {
                // Each segment has a pointer of its own.
                limit = limit.min(usize::from(mss));
            }
            self.shorten(&mut sendable, limit, usize::from(mss));
            (sendable.len > 0 || sendable.fin).then_some(sendable)
        });
        if sendable.is_none() && !empty_due {
            return None;
        }
        // A number just below the peer's window makes it answer (RFC 9293 §3.8.4).
        let empty_seq = if self.keep_alive_due && !ack_due { snd.nxt - 1 } else { snd.ack_seq() };
        let sendable = sendable.unwrap_or(Sendable { seq: empty_seq, len: 0, fin: false });

        // After the peer's FIN nothing can come any more: the edge stays where it is.
        let pressure = if open.phase.receives() { cx.memory.pressure } else { Pressure::Limit };
        let (mut window, edge) = open.rcv.offer(pressure, self.received.len());
        if fault!(self.config, WindowTakenBack) && !self.received.is_empty() {
            window = WireWindow::new(0);
        }
        let mut offset = sendable.seq.distance_from(snd.una) as usize;
        if fault!(self.config, TextShifted)
            && sendable.seq.before(snd.nxt)
            && offset.saturating_add(sendable.len) < queued
        {
            offset = offset.saturating_add(1);
        }
        let last = sendable.len > 0 && offset.saturating_add(sendable.len) == queued;
        let mut flags = TcpFlags::ACK;
        if self.push == Push::Yes && (last || self.config.push_bursts && sendable.len > usize::from(mss)) {
            flags |= TcpFlags::PSH;
        }
        if sendable.fin {
            flags |= TcpFlags::FIN;
        }
        if open.rcv.echo == Echo::Echoing {
            flags |= TcpFlags::ECE;
        }
        if snd.ecn.cwr && snd.is_new_text(&sendable) {
            flags |= TcpFlags::CWR;
        }
        // What urgent text lies ahead of this segment's number (RFC 9293 §3.8.5).
        let ahead = (self.urgent as usize).saturating_sub(offset);
        if ahead > 0 {
            flags |= TcpFlags::URG;
        }
        let ahead = ahead.saturating_sub(usize::from(fault!(self.config, UrgentShifted)));
        let tcp = TcpHeader {
            seq: sendable.seq,
            ack: open.rcv.nxt,
            flags,
            window,
            urgent: u16::try_from(ahead).unwrap_or(u16::MAX),
            options,
            ..TcpHeader::default()
        };
        let (header, mut plan) = self.finish_plan(cx, tcp, Kind::Segment, sendable);
        plan.offset = offset;
        plan.mss = mss;
        plan.edge = edge;
        plan.segment_size = NonZeroU16::new(mss).filter(|_| sendable.len > usize::from(mss));
        Some((header, plan))
    }

    /// How the application wants what it has written to be sent.
    pub(super) fn terms(&self) -> Terms {
        let nodelay = self.nodelay;
        let corked = self.holds_back() && !fault!(self.config, CorkIgnored);
        Terms { queued: self.to_send.len(), urgent: self.urgent > 0, nodelay, corked }
    }

    /// Cuts what may be sent to `limit` bytes and to [`MAX_PARTS`] slices, in full segments.
    fn shorten(&self, sendable: &mut Sendable, limit: usize, mss: usize) {
        let State::Open(open) = &self.state else { return };
        let offset = sendable.seq.distance_from(open.snd.una) as usize;
        let whole = sendable.len;
        let wanted = whole.min(limit);
        let fits = self.to_send.in_parts(offset, wanted, MAX_PARTS);
        if fits < whole {
            let rest = fits.checked_rem(mss).unwrap_or(0);
            sendable.len = if fits > mss { fits.saturating_sub(rest) } else { fits };
            sendable.fin = false;
        }
    }

    fn segment_options(&self, now: Instant, ts_recent: Option<u32>, sack: SackBlocks) -> TcpOptions {
        let timestamps = ts_recent.map(|ecr| Timestamps { val: ts_clock(now, self.link.ts_offset), ecr });
        TcpOptions { timestamps, sack, user_timeout: self.due_timeout(), ..TcpOptions::default() }
    }

    /// The user timeout that the next segment tells of (RFC 5482).
    fn due_timeout(&self) -> Option<UserTimeout> {
        let State::Open(open) = &self.state else { return None };
        self.config.user_timeout_option.filter(|_| open.timeout_due).and_then(|option| option.advertised())
    }

    fn finish_plan(&self, cx: &Cx, tcp: TcpHeader, kind: Kind, sent: Sendable) -> (HeaderBytes, Plan) {
        // Text that is new, and nothing else, is ECN-capable (RFC 3168 §6.1.2, §6.1.4 to §6.1.6).
        let ecn = match &self.state {
            State::Open(open) if open.snd.ecn.on && open.snd.is_new_text(&sent) => Ecn::Ect0,
            _ => Ecn::NotEct,
        };
        let tos = self.link.dscp.wrapping_shl(2) | ecn.bits();
        let header = emit_header(&self.tuple, tos, self.link.hop_limit, self.link.flow_label, tcp, sent.len);
        let Sendable { seq, len, fin } = sent;
        let (header_len, now) = (header.as_slice().len(), cx.now);
        let plan =
            Plan { kind, seq, offset: 0, len, fin, segment_size: None, header_len, mss: 0, edge: seq, now };
        (header, plan)
    }

    pub(crate) fn payload_parts<'a>(&'a self, plan: &Plan, parts: &mut [&'a [u8]; MAX_PARTS]) -> usize {
        let slices = self.to_send.range(plan.offset, plan.len);
        parts.iter_mut().zip(slices).map(|(part, slice)| *part = slice).count()
    }

    /// Makes a large payload reference-counted.
    pub(crate) fn share_payload(&mut self, plan: &Plan) {
        if plan.len >= SHARE {
            self.to_send.freeze(plan.offset.saturating_add(plan.len));
        }
    }

    pub(crate) fn payload_shared(&self, plan: &Plan, parts: &mut [Bytes; MAX_PARTS]) -> usize {
        let slices = self.to_send.shared(plan.offset, plan.len);
        parts.iter_mut().zip(slices).map(|(part, slice)| *part = slice).count()
    }

    /// How many of the sequence numbers have been sent before.
    pub(crate) fn sent_before(&self, plan: &Plan) -> usize {
        match (&self.state, plan.kind) {
            (State::SynSent(opening) | State::SynReceived(opening, _), Kind::Syn) => {
                opening.sent_at.is_some().into()
            }
            (State::Open(open), Kind::Segment) if plan.seq != open.snd.nxt => {
                let old = usize::try_from(open.snd.nxt - plan.seq).unwrap_or(0);
                old.min(plan.len.saturating_add(plan.fin.into()))
            }
            _ => 0,
        }
    }

    pub(crate) fn commit(&mut self, plan: &Plan, taken: Taken) {
        let tells_timeout = self.due_timeout().is_some();
        let (len, fin) = match taken {
            Taken::All => (plan.len, plan.fin),
            Taken::Payload(0) => return,
            Taken::Payload(n) => (n.min(plan.len), false),
        };
        let segments = u32::try_from(len.div_ceil(usize::from(plan.mss.max(1))).max(1)).unwrap_or(1);
        self.segments_sent = self.segments_sent.wrapping_add(segments);
        match (&mut self.state, plan.kind) {
            (State::SynSent(opening) | State::SynReceived(opening, _), Kind::Syn) => {
                opening.due = false;
                // A SYN,ACK says what an ACK would.
                self.acks_due = 0;
                opening.again = opening.sent_at.is_some();
                if opening.sent_at.is_none() {
                    self.timers.restart_retransmission();
                }
                opening.sent_at.get_or_insert(plan.now);
            }
            (State::SynSent(opening) | State::SynReceived(opening, _), Kind::Stray) => {
                opening.stray_reset = None;
            }
            (State::Open(open), Kind::Segment) => {
                let again = plan.seq != open.snd.nxt;
                if again && (len > 0 || fin) {
                    self.sent_again = self.sent_again.wrapping_add(segments);
                }
                let sent = Sendable { seq: plan.seq, len, fin };
                // What nothing was under way before it may have waited for the device.
                let first = !open.snd.outstanding() && (len > 0 || fin);
                if open.snd.on_sent(sent, plan.mss.into(), plan.now, self.to_send.taken()) || first {
                    self.timers.restart_retransmission();
                }
                if open.rcv.edge.before(plan.edge) {
                    open.rcv.edge = plan.edge;
                }
                let delay = || nanos(self.config.delayed_ack.min(MAX_DELAY));
                let answering = len > 0 && plan.now.nanos_since(open.rcv.heard) < delay();
                open.rcv.on_ack_sent(answering, tells_timeout);
                open.timeout_due = false;
                self.timers.stop(Timer::DelayedAck);
                // An ACK that was due anyway asks for no answer: the probe is still to come.
                self.keep_alive_due &= len == 0 && plan.seq != open.snd.nxt - 1;
                // What came at once may have left more ranges than one ACK tells of.
                self.acks_due = self.acks_due.saturating_sub(1).max(open.rcv.has_untold().into());
                self.has_read = false;
                let text = plan.segment_size.map_or(len, |size| len.min(usize::from(size.get())));
                let size = u16::try_from(plan.header_len.saturating_add(text)).unwrap_or(u16::MAX);
                self.note_size(size, plan.seq + u32::try_from(text).unwrap_or(0), again);
                if self.config.notsent_lowat.is_some() {
                    self.offer_room();
                }
            }
            (State::SynReceived(..) | State::TimeWait(_), Kind::Ack) => self.acks_due = 0,
            (State::Closed(closed), Kind::Last) => closed.last = None,
            _ => {}
        }
        self.rearm(plan.now);
    }
}

/// The headers of a segment with `payload_len` bytes of text; the TCP checksum is the pseudo-header's sum.
pub(crate) fn emit_header(
    tuple: &Tuple,
    tos: u8,
    hop_limit: u8,
    flow_label: u32,
    mut tcp: TcpHeader,
    payload_len: usize,
) -> HeaderBytes {
    (tcp.src_port, tcp.dst_port) = (tuple.local_port, tuple.remote_port);
    let tcp_len = tcp.header_len().saturating_add(payload_len);
    let ip = IpHeader {
        tos,
        hop_limit,
        flow_label,
        payload_len: tcp_len,
        ..IpHeader::new(tuple.local, tuple.remote, Protocol::TCP)
    };
    let partial = Checksum::pseudo_header(tuple.local, tuple.remote, Protocol::TCP, tcp_len).fold();
    let mut header = HeaderBytes::new();
    // Both addresses are of one family and lengths were bounded before, so neither can fail; if a defect
    // made one fail, the packet would be empty and a device refuse it.
    let ip_len = ip.emit(header.spare()).unwrap_or(0);
    header.advance(ip_len);
    let tcp_header_len = tcp.emit(header.spare()).unwrap_or(0);
    let _ = carrick_wire::tcp::set_checksum(header.spare(), partial);
    header.advance(tcp_header_len);
    header
}
