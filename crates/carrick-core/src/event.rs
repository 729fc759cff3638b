//! Names of connections and listeners, and what the parts tell each other and the driver.

use crate::tuple::Tuple;
use crate::{DiscardReason, Instant};
use carrick_wire::{SeqNum, WindowScale};
use core::hash::{Hash, Hasher};

/// Names a connection. The index is small and reused, the generation tells its users apart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnectionId {
    /// A small number, unique among the connections alive: the place in the driver's own table.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{Connection, ConnectionId};
    /// /// A driver's own table.
    /// fn of(table: &[Option<Box<Connection>>], id: ConnectionId) -> Option<&Connection> {
    ///     table.get(id.index())?.as_deref()
    /// }
    /// ```
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// Names a listener.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ListenerId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// What a connection tells its driver.
///
/// # Examples
/// ```
/// # use carrick_core::{Connection, Event};
/// fn wake(connection: &mut Connection, mut reader: impl FnMut(), mut writer: impl FnMut()) {
///     while let Some(event) = connection.poll_event() {
///         match event {
///             Event::Readable | Event::Urgent => reader(),
///             Event::Connected | Event::Writable => writer(),
///             Event::Closed => {
///                 reader();
///                 writer();
///             }
///             Event::SoftError => println!("{:?}", connection.soft_error()),
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// The handshake is complete.
    Connected,
    /// There are bytes to read, or the end of the stream or an error can be seen.
    Readable,
    /// After [`SendError::Full`](crate::SendError::Full): a useful amount of room is there again.
    Writable,
    /// Nothing more will be sent or received; bytes that have arrived can still be read.
    Closed,
    /// The peer has announced urgent text, or more of it (RFC 9293 §3.8.5): see
    /// [`Connection::urgent_len`](crate::Connection::urgent_len).
    Urgent,
    /// The network, or a lasting silence of the peer's, gives reason to doubt: see
    /// [`Connection::soft_error`](crate::Connection::soft_error). Nothing has ended.
    SoftError,
}

/// What a connection tells its endpoint. The driver carries it, without the connection's lock.
///
/// # Examples
/// ```
/// use carrick_core::EndpointEvent;
///
/// assert!(EndpointEvent::Closed.is_end());
/// assert!(!EndpointEvent::PathMtu(1400).is_end());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EndpointEvent {
    /// The connection is over and its addresses are free.
    Closed,
    /// The application has let go of a connection in TIME-WAIT: a record takes its place.
    TimeWait(TimeWaitRecord),
    /// The path to the peer takes packets of at most so many bytes. The connection goes on.
    PathMtu(u16),
}

impl EndpointEvent {
    /// Whether it is the connection's last.
    ///
    /// # Examples
    /// ```
    /// assert!(carrick_core::EndpointEvent::Closed.is_end());
    /// ```
    #[must_use]
    pub const fn is_end(&self) -> bool {
        match self {
            Self::Closed | Self::TimeWait(_) => true,
            Self::PathMtu(_) => false,
        }
    }
}

/// How large packets to a connection's peer may be from now on:
/// [`Endpoint::poll_mtu_change`](crate::Endpoint::poll_mtu_change).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MtuChange {
    /// What the link takes, in bytes.
    pub(crate) link: u16,
    /// What the path is known to take, at most that.
    pub(crate) path: u16,
    /// Until when that is to be believed.
    pub(crate) until: Instant,
}

/// What is kept of a connection in TIME-WAIT (RFC 9293 §3.3.2, RFC 6191).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TimeWaitRecord {
    pub(crate) tuple: Tuple,
    /// SND.NXT: one past our FIN.
    pub(crate) snd_nxt: SeqNum,
    /// RCV.NXT: one past the peer's FIN.
    pub(crate) rcv_nxt: SeqNum,
    /// What was left of the advertised window, and its shift.
    pub(crate) window: u32,
    pub(crate) scale: WindowScale,
    /// How far below SND.NXT an ACK is acceptable (RFC 5961 §5.2).
    pub(crate) max_age: u32,
    /// Answers given to anything but a FIN; bounded, so that no two can answer each other for ever.
    pub(crate) answers: u8,
    /// Whether timestamps were in use. Apart from TS.Recent, which leaves room for the next two.
    pub(crate) timestamps: bool,
    pub(crate) ts_recent: u32,
    /// Whether segments that lack them are taken.
    pub(crate) tolerant: bool,
    /// As in the connection's packets.
    pub(crate) dscp: u8,
    pub(crate) hop_limit: u8,
    pub(crate) deadline: Instant,
}

const _: () = assert!(size_of::<TimeWaitRecord>() <= 72, "there may be a quarter of a million");

impl TimeWaitRecord {
    /// TS.Recent, if timestamps were in use.
    pub(crate) fn ts_recent(&self) -> Option<u32> {
        self.timestamps.then_some(self.ts_recent)
    }

    pub(crate) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        // All other numbers are where the digest counts from.
        let Self { tuple, snd_nxt: _, rcv_nxt: _, window, scale, max_age, answers, .. } = self;
        let Self { timestamps: _, ts_recent: _, tolerant, dscp, hop_limit, deadline, .. } = self;
        (tuple, window, scale, max_age, answers, self.ts_recent(), tolerant).hash(state);
        (dscp, hop_limit, deadline.since(now)).hash(state);
    }
}

/// What became of an input that [`Dispatch::Existing`](crate::Dispatch::Existing) named a connection for.
///
/// # Examples
/// ```
/// use carrick_core::{DiscardReason, Outcome};
///
/// fn describe(outcome: Outcome) -> &'static str {
///     match outcome {
///         Outcome::Accepted => "used",
///         Outcome::Answered(reason) | Outcome::Discarded(reason) => reason.name(),
///         Outcome::HandedBack => "for the next connection",
///     }
/// }
/// assert_eq!(describe(Outcome::Discarded(DiscardReason::Gone)), "discarded_gone");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "count it: every packet has exactly one outcome"]
pub enum Outcome {
    /// It was used, wholly or in part.
    Accepted,
    /// It was answered (an ACK, a challenge ACK), and nothing of it used but perhaps its ACK field.
    Answered(DiscardReason),
    /// It was dropped without a word.
    Discarded(DiscardReason),
    /// It is a SYN that ends the wait of a connection in TIME-WAIT (RFC 6191 §2), which has given way: drain the
    /// connection, hand its event to [`Endpoint::handle_event`](crate::Endpoint::handle_event), and give the same
    /// frame to [`Endpoint::handle_frame`](crate::Endpoint::handle_frame) once more. It is counted twice, the
    /// first time as [`DiscardReason::Gone`].
    HandedBack,
}
