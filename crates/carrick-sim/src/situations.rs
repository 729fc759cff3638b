//! Which situations a run has come to: seen in the packets, in what the links did to them and in the states of the
//! connections, never taken from the plan.

mod repairs;

use crate::host::Host;
use crate::packet::{Packet, SegmentView};
use carrick_core::{ConnectionError, Counters, DiscardReason, TcpState};
use carrick_wire::{SeqNum, TcpFlags};
pub(crate) use repairs::Due;
use repairs::{Repair, Sending};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Declares the situations with their descriptions.
macro_rules! situations {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Something that a run can come to, which code may get wrong.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Situation {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Situation {
            /// Every situation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

situations! {
    /// Text went out again because a timer said so.
    RetransmissionTimeout,
    /// Text went out again after three duplicate ACKs.
    FastRetransmit,
    /// The last segment was sent again because nothing had answered for two round trips (RFC 8985 §7).
    TailProbe,
    /// A timer found a loss, after a wait for what might only have been overtaken (RFC 8985 §6.2).
    ReorderingWait,
    /// What had been sent again in recovery was lost once more, and the window was reduced once more.
    RepetitionLost,
    /// A reduction was taken back because the peer reported what was sent again as a duplicate (RFC 2883).
    UndoneByDuplicate,
    /// A reduction was taken back because the peer's timestamps told of first copies (RFC 3522).
    UndoneByTimestamp,
    /// A timeout was taken back because what came was none of what it had sent again (RFC 5682), without timestamps.
    UndoneByNewText,
    /// The window was reduced because the peer echoed a mark (RFC 3168 §6.1.2).
    MarkAnswered,
    /// New text was sent beyond the window because of a duplicate ACK (RFC 3042), without SACK.
    LimitedTransmit,
    /// A partial acknowledgment in fast recovery, without SACK (RFC 6582).
    PartialAck,
    /// Packets were made smaller because large ones timed out (RFC 4821).
    BlackHole,
    /// A closed window was offered.
    ZeroWindow,
    /// A closed window was probed with text.
    ZeroWindowProbe,
    /// The ACK that opened a closed window was lost.
    WindowUpdateLost,
    /// Text crossed the seam of the sequence space.
    SequenceWrap,
    /// SYNs crossed: SYN-SENT became SYN-RECEIVED.
    SimultaneousOpen,
    /// FINs crossed: CLOSING.
    SimultaneousClose,
    /// The client sent new text after the server's FIN had reached it.
    HalfCloseClientTalks,
    /// The server sent new text after the client's FIN had reached it.
    HalfCloseServerTalks,
    /// A SYN reopened a tuple in TIME-WAIT (RFC 6191).
    TimeWaitReopened,
    /// `connect` took over a tuple in TIME-WAIT.
    TimeWaitTakenOver,
    /// A reset ended a connection on which text had flowed, before both had finished.
    ResetInMidTransfer,
    /// A segment was refused for an old timestamp (PAWS).
    OldTimestamp,
    /// A SYN was lost.
    SynLost,
    /// A SYN,ACK was lost.
    SynAckLost,
    /// A FIN was lost.
    FinLost,
    /// The ACK that ends the peer's LAST-ACK was lost.
    LastAckLost,
    /// An application aborted a synchronized connection.
    Abort,
    /// An application closed with text unread, which became a reset.
    ClosedUnread,
    /// Text came before the text in front of it.
    OutOfOrder,
    /// Text came that was there already.
    DuplicateText,
    /// A packet was dropped for its checksum or its form.
    Corrupted,
    /// Text in the window was refused for want of memory.
    MemoryRefused,
    /// New text crossed a FIN.
    TextCrossedFin,
    /// A silent peer was probed (keep-alive).
    KeepAlive,
    /// An ACK waited for company in vain, and went alone.
    DelayedAck,
    /// A handshake was completed with a cookie.
    SynCookie,
    /// Text was marked urgent.
    Urgent,
    /// There was no room for a connection: backlog or half-open records.
    NoRoom,
    /// A connection was given up for want of an answer.
    TimedOut,
    /// A connection that was refused.
    Refused,
    /// A SYN that was parked was accepted in the end.
    ParkedAccepted,
    /// A SYN that was parked was refused.
    ParkedRefused,
    /// A listener went while a handshake with it was under way, or a connection waited there.
    ListenerGone,
    /// A source had as many connections as it may have.
    SourceLimit,
    /// A packet was too large for the path, and its sender was told.
    PacketTooBig,
    /// A sender was told that a packet did not arrive.
    Unreachable,
    /// A connection was accepted for an address that nobody has.
    AnyAddress,
}

/// In how many conversations each situation occurred.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Occurrences(BTreeMap<Situation, u64>);

impl Occurrences {
    /// In how many conversations that situation occurred.
    #[must_use]
    pub fn of(&self, situation: Situation) -> u64 {
        self.0.get(&situation).copied().unwrap_or(0)
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (situation, count) in &other.0 {
            *self.0.entry(*situation).or_default() += count;
        }
    }
}

/// Why a host sent something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Prompt {
    Packet,
    Timer,
    Application,
}

/// What a host notes of its connections for whoever watches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Noted {
    State(TcpState, TcpState),
    Aborted,
    ClosedUnread,
    Ended(ConnectionError),
}

/// A note, and the two ends of the connection that it is about.
pub(crate) type Note = ((SocketAddr, SocketAddr), Noted);

/// Both ends of a conversation, the lesser first: its name whoever speaks.
type Ends = (SocketAddr, SocketAddr);

/// What has been seen of one direction of a conversation.
#[derive(Debug, Default)]
struct Way {
    iss: Option<SeqNum>,
    /// The SYN did not acknowledge another.
    client: bool,
    /// One past the greatest number sent.
    max: Option<SeqNum>,
    /// One past the FIN that was sent, and whether it has arrived.
    fin: Option<SeqNum>,
    fin_arrived: bool,
    text: bool,
    /// The last acknowledgment and window that were sent.
    ack: Option<SeqNum>,
    window: u16,
    /// The last acknowledgment that arrived, its window, and how often it came again.
    ack_arrived: Option<SeqNum>,
    window_arrived: u16,
    duplicates: u32,
}

/// Watches both hosts of a pair.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    ways: BTreeMap<Ends, Way>,
    seen: BTreeSet<(Ends, Situation)>,
    /// Repairs that are under way, by who sends to whom.
    repairs: BTreeMap<(SocketAddr, SocketAddr), Repair>,
}

/// What a host looked like before a packet came.
pub(crate) struct Before {
    counters: Counters,
    time_wait: usize,
    state: Option<TcpState>,
    rcv_nxt: Option<SeqNum>,
    sending: Option<Sending>,
}

impl Before {
    pub(crate) fn of(host: &Host, packet: &Packet) -> Self {
        let segment = packet.segment();
        let connection = segment.and_then(|segment| host.find(segment.dst, segment.src));
        Self {
            counters: host.endpoint().counters().clone(),
            time_wait: host.endpoint().time_wait(),
            state: connection.map(carrick_core::Connection::state),
            rcv_nxt: connection.and_then(|it| it.sequence_numbers()).map(|[_, _, rcv_nxt, _]| rcv_nxt),
            sending: connection.and_then(Sending::of),
        }
    }
}

const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn ends(src: SocketAddr, dst: SocketAddr) -> Ends {
    (src.min(dst), src.max(dst))
}

impl Witness {
    pub(crate) fn occurrences(&self) -> Occurrences {
        let mut counts = Occurrences::default();
        for (_, situation) in &self.seen {
            *counts.0.entry(*situation).or_default() += 1;
        }
        counts
    }

    fn saw(&mut self, ends: Ends, situation: Situation) {
        self.seen.insert((ends, situation));
    }

    /// The pair has done, or seen, something to whoever is between these two ends.
    pub(crate) fn noticed(&mut self, one: SocketAddr, other: SocketAddr, situation: Situation) {
        self.saw(ends(one, other), situation);
    }

    /// The same, of whoever it was.
    pub(crate) fn noticed_of_somebody(&mut self, situation: Situation) {
        self.saw((NOBODY, NOBODY), situation);
    }

    /// A host has begun a connection, and had so many TIME-WAIT records before and after.
    pub(crate) fn connected(&mut self, local: SocketAddr, remote: SocketAddr, records: [usize; 2]) {
        if records[1] < records[0] {
            self.saw(ends(local, remote), Situation::TimeWaitTakenOver);
        }
    }

    pub(crate) fn noted(&mut self, ((local, remote), noted): Note) {
        let situation = match noted {
            Noted::State(TcpState::SynSent, TcpState::SynReceived) => Situation::SimultaneousOpen,
            Noted::State(_, TcpState::Closing) => Situation::SimultaneousClose,
            Noted::Aborted => Situation::Abort,
            Noted::ClosedUnread => Situation::ClosedUnread,
            Noted::Ended(ConnectionError::TimedOut) => Situation::TimedOut,
            Noted::Ended(ConnectionError::Refused) => Situation::Refused,
            Noted::State(..) | Noted::Ended(_) => return,
        };
        self.saw(ends(local, remote), situation);
    }

    /// A packet has left a host, and a link has taken it: how many copies will arrive.
    pub(crate) fn sent(&mut self, prompt: Prompt, packet: &Packet, copies: u64) {
        let Some(segment) = packet.segment() else { return };
        let SegmentView { src, dst, tcp, payload, .. } = segment;
        let (conversation, lost) = (ends(src, dst), copies == 0);
        let has = |flag| tcp.flags.contains(flag);
        let back = self.ways.remove(&(dst, src)).unwrap_or_default();
        let mut way = self.ways.remove(&(src, dst)).unwrap_or_default();
        let mut saw = |situation| self.seen.insert((conversation, situation));
        if has(TcpFlags::SYN) {
            if way.iss != Some(tcp.seq) {
                way = Way { iss: Some(tcp.seq), client: !has(TcpFlags::ACK), ..Way::default() };
            }
            if lost {
                saw(if has(TcpFlags::ACK) { Situation::SynAckLost } else { Situation::SynLost });
            }
        } else if !has(TcpFlags::RST) {
            way.speaks(&segment, &back, prompt, lost, &mut |situation| {
                saw(situation);
            });
        }
        if has(TcpFlags::ACK) && !has(TcpFlags::RST) {
            (way.ack, way.window) = (Some(tcp.ack), tcp.window.get());
        }
        let count = payload.len() as u32 + u32::from(has(TcpFlags::SYN)) + u32::from(has(TcpFlags::FIN));
        let end = tcp.seq + count;
        if count > 0 && way.max.is_none_or(|max| end.after(max)) {
            way.max = Some(end);
        }
        self.ways.insert((src, dst), way);
        self.ways.insert((dst, src), back);
    }

    /// A packet has arrived at a host, which has dealt with it.
    pub(crate) fn arrived(&mut self, packet: &Packet, before: &Before, host: &Host) {
        let segment = packet.segment();
        let conversation = segment.map_or((NOBODY, NOBODY), |segment| ends(segment.src, segment.dst));
        self.counted(conversation, &before.counters, host.endpoint().counters());
        let Some(segment) = segment else { return };
        if let Some(sending) = &before.sending {
            self.answered(&segment, sending, host);
        }
        let SegmentView { src, dst, tcp, payload, .. } = segment;
        let has = |flag| tcp.flags.contains(flag);
        if has(TcpFlags::SYN) && !has(TcpFlags::ACK) && host.endpoint().time_wait() < before.time_wait {
            self.saw(conversation, Situation::TimeWaitReopened);
        }
        let end = tcp.seq + payload.len() as u32;
        if let (Some(rcv_nxt), false) = (before.rcv_nxt, payload.is_empty()) {
            if tcp.seq.after(rcv_nxt) {
                self.saw(conversation, Situation::OutOfOrder);
            } else if end.at_or_before(rcv_nxt) {
                self.saw(conversation, Situation::DuplicateText);
            }
        }
        let to = self.ways.entry((dst, src)).or_default();
        let (text, fin) = (to.text, to.fin);
        // Text that was sent before the FIN was acknowledged.
        let crosses = before.state == Some(TcpState::FinWait1) && fin.is_some_and(|fin| tcp.ack.before(fin));
        if crosses && before.rcv_nxt.is_some_and(|rcv_nxt| end.after(rcv_nxt)) && !payload.is_empty() {
            self.saw(conversation, Situation::TextCrossedFin);
        }
        let way = self.ways.entry((src, dst)).or_default();
        let text = text || way.text;
        way.fin_arrived |= has(TcpFlags::FIN);
        if has(TcpFlags::ACK) && !has(TcpFlags::RST) {
            let again = way.ack_arrived == Some(tcp.ack)
                && payload.is_empty()
                && way.window_arrived == tcp.window.get();
            way.duplicates = if again { way.duplicates + 1 } else { 0 };
            (way.ack_arrived, way.window_arrived) = (Some(tcp.ack), tcp.window.get());
        }
        let ended = host.find(dst, src).is_none_or(|it| it.state() == TcpState::Closed);
        let open = [TcpState::Established, TcpState::FinWait1, TcpState::FinWait2, TcpState::CloseWait];
        if has(TcpFlags::RST) && before.state.is_some_and(|state| open.contains(&state)) && ended && text {
            self.saw(conversation, Situation::ResetInMidTransfer);
        }
    }

    fn counted(&mut self, conversation: Ends, before: &Counters, after: &Counters) {
        let more = |reason| after.discarded(reason) > before.discarded(reason);
        for (reason, situation) in [
            (DiscardReason::BadChecksum, Situation::Corrupted),
            (DiscardReason::OldTimestamp, Situation::OldTimestamp),
            (DiscardReason::NoMemory, Situation::MemoryRefused),
            (DiscardReason::NoRoom, Situation::NoRoom),
            (DiscardReason::SourceLimit, Situation::SourceLimit),
        ] {
            if more(reason) {
                self.saw(conversation, situation);
            }
        }
        if after.syn_cookies_accepted > before.syn_cookies_accepted {
            self.saw(conversation, Situation::SynCookie);
        }
    }
}

impl Way {
    /// A segment of a connection, without SYN and RST.
    fn speaks(
        &mut self,
        segment: &SegmentView<'_>,
        back: &Self,
        prompt: Prompt,
        lost: bool,
        saw: &mut dyn FnMut(Situation),
    ) {
        let (tcp, len) = (&segment.tcp, segment.payload.len() as u32);
        let Some(max) = self.max else { return };
        let news = len > 0 && (tcp.seq + len).after(max);
        if len > 0 && tcp.seq.before(max) {
            match prompt {
                Prompt::Timer if back.window_arrived == 0 => saw(Situation::ZeroWindowProbe),
                Prompt::Timer => saw(Situation::RetransmissionTimeout),
                Prompt::Packet if back.duplicates >= 3 => saw(Situation::FastRetransmit),
                Prompt::Packet | Prompt::Application => {}
            }
        }
        if len > 0 && prompt == Prompt::Timer && back.window_arrived == 0 {
            saw(Situation::ZeroWindowProbe);
        }
        if len > 0 && (tcp.seq + len).get() < tcp.seq.get() {
            saw(Situation::SequenceWrap);
        }
        if news && back.fin_arrived {
            saw(if self.client { Situation::HalfCloseClientTalks } else { Situation::HalfCloseServerTalks });
        }
        self.text |= len > 0;
        if tcp.flags.contains(TcpFlags::URG) {
            saw(Situation::Urgent);
        }
        if tcp.flags.contains(TcpFlags::FIN) {
            self.fin = Some(tcp.seq + len + 1);
            if lost {
                saw(Situation::FinLost);
            }
        }
        if tcp.window.get() == 0 {
            saw(Situation::ZeroWindow);
        }
        if len > 0 || segment.has(TcpFlags::FIN) {
            return;
        }
        // An ACK alone.
        let newer = self.ack.is_some_and(|ack| tcp.ack.after(ack));
        if prompt == Prompt::Timer && newer {
            saw(Situation::DelayedAck);
        }
        if prompt == Prompt::Timer && tcp.seq + 1 == max {
            saw(Situation::KeepAlive);
        }
        if lost && self.window == 0 && tcp.window.get() > 0 && self.ack == Some(tcp.ack) {
            saw(Situation::WindowUpdateLost);
        }
        let both_closed = self.fin.is_some() && back.ack_arrived == self.fin && back.fin == Some(tcp.ack);
        if lost && both_closed && newer {
            saw(Situation::LastAckLost);
        }
    }
}
