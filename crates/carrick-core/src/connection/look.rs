//! What can be asked of a connection without touching it; the figures of `tcp_info` are in `info`.

use super::{Connection, State};
use crate::{ConnectionError, Pressure, TcpState, Tuple};
use carrick_wire::SeqNum;
use core::net::SocketAddr;

impl Connection {
    /// The state by its RFC name.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use carrick_core::TcpState;
    ///
    /// assert_eq!(connection.state(), TcpState::Established);
    /// # });
    /// ```
    #[must_use]
    pub fn state(&self) -> TcpState {
        match &self.state {
            State::SynSent(_) => TcpState::SynSent,
            State::SynReceived(..) => TcpState::SynReceived,
            State::Open(open) => open.phase.state(),
            State::TimeWait(_) => TcpState::TimeWait,
            State::Closed(_) => TcpState::Closed,
        }
    }

    /// Addresses and ports.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.tuple().local_addr(), connection.local_addr());
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    /// Our address and port.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// println!("{} to {}", connection.local_addr(), connection.remote_addr());
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.tuple.local_addr()
    }

    /// The peer's address and port.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// println!("{} to {}", connection.local_addr(), connection.remote_addr());
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn remote_addr(&self) -> SocketAddr {
        self.tuple.remote_addr()
    }

    /// Why the connection ended, if not by both sides closing.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.error(), None);
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn error(&self) -> Option<ConnectionError> {
        match &self.state {
            State::Closed(closed) => closed.error,
            _ => None,
        }
    }

    /// The state from which it was closed, once it is.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use carrick_core::TcpState;
    ///
    /// assert_eq!(connection.closed_from(), None);
    /// connection.abort(cx);
    /// assert_eq!(connection.closed_from(), Some(TcpState::Established));
    /// # });
    /// ```
    #[must_use]
    pub const fn closed_from(&self) -> Option<TcpState> {
        match &self.state {
            State::Closed(closed) => Some(closed.from),
            _ => None,
        }
    }

    /// How many timeouts in a row nobody has answered: of our SYN, of text, of probes of a closed window.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.timeouts(), 0);
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn timeouts(&self) -> u8 {
        match &self.state {
            State::SynSent(opening) | State::SynReceived(opening, _) => opening.retries,
            State::Open(open) => open.snd.retries,
            State::TimeWait(_) | State::Closed(_) => 0,
        }
    }

    /// What the network has said of our segments without ending the connection (RFC 9293 MUST-47).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.soft_error(), None, "the network has not complained");
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn soft_error(&self) -> Option<ConnectionError> {
        self.soft_error
    }

    /// How many bytes may be written now, memory permitting.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// let before = connection.send_room();
    /// connection.send(cx, b"hello")?;
    /// assert_eq!(connection.send_room(), before - 5);
    /// # Ok::<(), carrick_core::SendError>(())
    /// # });
    /// ```
    #[must_use]
    pub fn send_room(&self) -> usize {
        self.send_room_under(Pressure::None)
    }

    /// How many bytes have been written and not acknowledged, sent or not.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.send(cx, b"hello")?;
    /// assert_eq!(connection.unacknowledged(), 5);
    /// # Ok::<(), carrick_core::SendError>(())
    /// # });
    /// ```
    #[must_use]
    pub const fn unacknowledged(&self) -> usize {
        self.to_send.len()
    }

    /// How many bytes have been written and never been sent.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.send(cx, b"hello")?;
    /// assert_eq!(connection.unsent(), 5, "it has not been asked for packets");
    /// # Ok::<(), carrick_core::SendError>(())
    /// # });
    /// ```
    #[must_use]
    pub fn unsent(&self) -> usize {
        match &self.state {
            State::Open(open) => {
                self.to_send.len().saturating_sub(open.snd.nxt.distance_from(open.snd.una) as usize)
            }
            _ => self.to_send.len(),
        }
    }

    /// SND.UNA, SND.NXT, RCV.NXT and the right edge that was advertised, once there are any; for tests and
    /// oracles.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// let [una, nxt, _rcv_nxt, _right_edge] = connection.sequence_numbers().expect("it is open");
    /// assert_eq!(una, nxt, "nothing is under way");
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub fn sequence_numbers(&self) -> Option<[SeqNum; 4]> {
        let State::Open(open) = &self.state else { return None };
        Some([open.snd.una, open.snd.nxt, open.rcv.nxt, open.rcv.edge])
    }
}
