//! The states of RFC 9293 §3.3.2, what moves a connection between them, and the phases of an open connection.
//!
//! [`TcpState::on`] is the whole diagram of the RFC's figure 5 as a total function; for open connections it asks
//! the same phase functions that connections run on. The pictures in `docs/state-machine.md` are printed from it,
//! and simulated worlds check every change of a connection's state against it.

use core::fmt;

/// A state by the name that RFC 9293 §3.3.2 gives it.
///
/// # Examples
/// ```
/// use carrick_core::{Cause, TcpState};
///
/// let state = TcpState::Established.on(Cause::Close);
/// assert_eq!(state, TcpState::FinWait1);
/// assert_eq!(state.to_string(), "FIN-WAIT-1");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TcpState {
    /// No connection.
    Closed,
    /// Waiting for a SYN.
    Listen,
    /// A SYN is out.
    SynSent,
    /// A SYN has come and ours is not acknowledged yet.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// We have closed; the peer has neither acknowledged it nor closed.
    FinWait1,
    /// We have closed and the peer knows; it may still send.
    FinWait2,
    /// The peer has closed; we may still send.
    CloseWait,
    /// Both have closed; the peer has not acknowledged our FIN.
    Closing,
    /// The peer closed first and we after it; our FIN is not acknowledged yet.
    LastAck,
    /// All is said; old segments are waited out.
    TimeWait,
}

/// What moves a connection from one state to another (RFC 9293 §3.3.2 and §3.10).
///
/// # Examples
/// ```
/// use carrick_core::{Cause, TcpState};
///
/// // A whole life, of the side that connects and closes first.
/// let causes = [
///     Cause::ActiveOpen,
///     Cause::SynAck,
///     Cause::Close,
///     Cause::FinAcked,
///     Cause::Fin,
///     Cause::TimeWaitOver,
/// ];
/// let end = causes.into_iter().fold(TcpState::Closed, TcpState::on);
/// assert_eq!(end, TcpState::Closed);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// The application listens (§3.10.1).
    PassiveOpen,
    /// The application connects: SYN (§3.10.1).
    ActiveOpen,
    /// A SYN has arrived that does not acknowledge ours: SYN,ACK (§3.10.7.2, §3.10.7.3).
    Syn,
    /// A SYN has arrived that acknowledges ours: ACK (§3.10.7.3).
    SynAck,
    /// Our SYN is acknowledged (§3.10.7.4, fifth).
    SynAcked,
    /// The application sends no more: FIN after what was written (§3.10.4).
    Close,
    /// The peer has acknowledged our FIN (§3.10.7.4, fifth).
    FinAcked,
    /// The peer's FIN has arrived in order: ACK (§3.10.7.4, eighth).
    Fin,
    /// Two maximum segment lifetimes are over (§3.10.8).
    TimeWaitOver,
    /// A reset that is believed (§3.10.7.3, §3.10.7.4, second).
    Reset,
    /// The application aborts: RST, where the peer would not know otherwise (§3.10.5).
    Abort,
    /// Nothing was heard for as long as we were willing to wait (§3.8.3, §3.10.8).
    GiveUp,
}

impl Cause {
    /// Every cause.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::{Cause, TcpState};
    ///
    /// // What ends a connection that is established.
    /// let ends = Cause::ALL.into_iter().filter(|cause| TcpState::Established.on(*cause) == TcpState::Closed);
    /// assert!(ends.eq([Cause::Reset, Cause::Abort, Cause::GiveUp]));
    /// ```
    pub const ALL: [Self; 12] = [
        Self::PassiveOpen,
        Self::ActiveOpen,
        Self::Syn,
        Self::SynAck,
        Self::SynAcked,
        Self::Close,
        Self::FinAcked,
        Self::Fin,
        Self::TimeWaitOver,
        Self::Reset,
        Self::Abort,
        Self::GiveUp,
    ];
}

impl TcpState {
    /// Every state.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::TcpState;
    ///
    /// assert!(TcpState::ALL.iter().all(|state| !state.name().is_empty()));
    /// ```
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// Where `cause` leads from this state; the state itself, if nowhere.
    ///
    /// A listener stays in LISTEN whatever becomes of the connections that its SYNs begin, so the RFC's way from
    /// SYN-RECEIVED back to LISTEN ends in CLOSED here. A CLOSE in SYN-RECEIVED is remembered, and done in
    /// ESTABLISHED. No reset ends TIME-WAIT (RFC 1337).
    ///
    /// # Examples
    /// ```
    /// use carrick_core::{Cause, TcpState};
    ///
    /// // The FINs cross.
    /// let state = TcpState::Established.on(Cause::Close).on(Cause::Fin);
    /// assert_eq!(state, TcpState::Closing);
    /// assert_eq!(state.on(Cause::FinAcked), TcpState::TimeWait);
    /// ```
    #[must_use]
    pub const fn on(self, cause: Cause) -> Self {
        use Cause::{
            Abort, ActiveOpen, Close, Fin, FinAcked, GiveUp, PassiveOpen, Reset, Syn, SynAck, SynAcked,
            TimeWaitOver,
        };
        match self {
            Self::Closed => match cause {
                PassiveOpen => Self::Listen,
                ActiveOpen => Self::SynSent,
                Syn | SynAck | SynAcked | Close | FinAcked | Fin | TimeWaitOver | Reset | Abort | GiveUp => {
                    self
                }
            },
            Self::Listen => match cause {
                Syn => Self::SynReceived,
                Close | Abort => Self::Closed,
                PassiveOpen | ActiveOpen | SynAck | SynAcked | FinAcked | Fin | TimeWaitOver | Reset
                | GiveUp => self,
            },
            Self::SynSent => match cause {
                Syn => Self::SynReceived,
                SynAck => Self::Established,
                Close | Reset | Abort | GiveUp => Self::Closed,
                PassiveOpen | ActiveOpen | SynAcked | FinAcked | Fin | TimeWaitOver => self,
            },
            Self::SynReceived => match cause {
                SynAck | SynAcked => Self::Established,
                Reset | Abort | GiveUp => Self::Closed,
                PassiveOpen | ActiveOpen | Syn | Close | FinAcked | Fin | TimeWaitOver => self,
            },
            Self::Established => Phase::Established.on(cause),
            Self::FinWait1 => Phase::FinWait1.on(cause),
            Self::FinWait2 => Phase::FinWait2.on(cause),
            Self::CloseWait => Phase::CloseWait.on(cause),
            Self::Closing => Phase::Closing.on(cause),
            Self::LastAck => Phase::LastAck.on(cause),
            Self::TimeWait => match cause {
                TimeWaitOver | Abort => Self::Closed,
                PassiveOpen | ActiveOpen | Syn | SynAck | SynAcked | Close | FinAcked | Fin | Reset
                | GiveUp => self,
            },
        }
    }

    /// Every change of state that there is: from, why, to.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::TcpState;
    ///
    /// for (from, cause, to) in TcpState::transitions() {
    ///     println!("{from} -> {to} on {cause:?}");
    /// }
    /// # assert!(TcpState::transitions().count() > 18);
    /// ```
    pub fn transitions() -> impl Iterator<Item = (Self, Cause, Self)> {
        Self::ALL.into_iter().flat_map(|from| {
            let to = Cause::ALL.into_iter().map(move |cause| (from, cause, from.on(cause)));
            to.filter(|(from, _, to)| from != to)
        })
    }

    /// The RFC's name, for example `FIN-WAIT-1`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::TcpState::CloseWait.name(), "CLOSE-WAIT");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where an open connection stands: the states that share sender, receiver and timers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Phase {
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
}

/// What an event makes of a phase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    Phase(Phase),
    TimeWait,
    Closed,
}

impl Next {
    const fn state(self) -> TcpState {
        match self {
            Self::Phase(phase) => phase.state(),
            Self::TimeWait => TcpState::TimeWait,
            Self::Closed => TcpState::Closed,
        }
    }
}

impl Phase {
    /// Where `cause` leads from this phase, by the functions below.
    const fn on(self, cause: Cause) -> TcpState {
        match cause {
            Cause::Close => self.on_close().state(),
            Cause::FinAcked => self.on_fin_acked().state(),
            Cause::Fin => self.on_fin_received().state(),
            Cause::Reset | Cause::Abort | Cause::GiveUp => TcpState::Closed,
            Cause::PassiveOpen
            | Cause::ActiveOpen
            | Cause::Syn
            | Cause::SynAck
            | Cause::SynAcked
            | Cause::TimeWaitOver => self.state(),
        }
    }

    pub(crate) const fn state(self) -> TcpState {
        match self {
            Self::Established => TcpState::Established,
            Self::FinWait1 => TcpState::FinWait1,
            Self::FinWait2 => TcpState::FinWait2,
            Self::CloseWait => TcpState::CloseWait,
            Self::Closing => TcpState::Closing,
            Self::LastAck => TcpState::LastAck,
        }
    }

    /// The application has said that it sends no more (RFC 9293 §3.10.4).
    pub(crate) const fn on_close(self) -> Self {
        match self {
            Self::Established => Self::FinWait1,
            Self::CloseWait => Self::LastAck,
            Self::FinWait1 | Self::FinWait2 | Self::Closing | Self::LastAck => self,
        }
    }

    /// The peer has acknowledged our FIN (§3.10.7.4, fifth step).
    pub(crate) const fn on_fin_acked(self) -> Next {
        match self {
            Self::FinWait1 => Next::Phase(Self::FinWait2),
            Self::Closing => Next::TimeWait,
            Self::LastAck => Next::Closed,
            Self::Established | Self::FinWait2 | Self::CloseWait => Next::Phase(self),
        }
    }

    /// The peer's FIN has arrived in order (§3.10.7.4, eighth step).
    pub(crate) const fn on_fin_received(self) -> Next {
        match self {
            Self::Established => Next::Phase(Self::CloseWait),
            Self::FinWait1 => Next::Phase(Self::Closing),
            Self::FinWait2 => Next::TimeWait,
            Self::CloseWait | Self::Closing | Self::LastAck => Next::Phase(self),
        }
    }

    /// Whether the peer may still send text (its FIN has not arrived).
    pub(crate) const fn receives(self) -> bool {
        match self {
            Self::Established | Self::FinWait1 | Self::FinWait2 => true,
            Self::CloseWait | Self::Closing | Self::LastAck => false,
        }
    }

    /// Whether the application may still send.
    pub(crate) const fn sends(self) -> bool {
        match self {
            Self::Established | Self::CloseWait => true,
            Self::FinWait1 | Self::FinWait2 | Self::Closing | Self::LastAck => false,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::string::String;

    /// RFC 9293 figure 5, drawn out by hand, and what its notes leave out of the drawing.
    #[test]
    fn every_transition_is_one_of_figure_5_or_of_its_notes() {
        use Cause::*;
        use TcpState::*;
        let drawn = [
            (Closed, PassiveOpen, Listen),
            (Closed, ActiveOpen, SynSent),
            (Listen, Syn, SynReceived),
            (Listen, Close, Closed),
            (SynSent, Syn, SynReceived),
            (SynSent, SynAck, Established),
            (SynSent, Close, Closed),
            (SynReceived, SynAck, Established),
            (SynReceived, SynAcked, Established),
            (Established, Close, FinWait1),
            (Established, Fin, CloseWait),
            (FinWait1, FinAcked, FinWait2),
            (FinWait1, Fin, Closing),
            (FinWait2, Fin, TimeWait),
            (CloseWait, Close, LastAck),
            (Closing, FinAcked, TimeWait),
            (LastAck, FinAcked, Closed),
            (TimeWait, TimeWaitOver, Closed),
        ];
        let not_drawn = |cause| matches!(cause, Reset | Abort | GiveUp);
        let shown: std::vec::Vec<_> =
            TcpState::transitions().filter(|(_, cause, _)| !not_drawn(*cause)).collect();
        assert_eq!(shown, drawn);
        for (from, cause, to) in TcpState::transitions().filter(|(_, cause, _)| not_drawn(*cause)) {
            assert_eq!(to, Closed, "{from} on {cause:?}");
        }
        assert!(TcpState::ALL.iter().all(|from| *from == Closed || from.on(Abort) == Closed));
        let spared = |cause| TcpState::ALL.into_iter().filter(move |from| from.on(cause) == *from);
        assert!(spared(Reset).eq([Closed, Listen, TimeWait]));
        assert!(spared(GiveUp).eq([Closed, Listen, TimeWait]));
    }

    #[test]
    fn the_whole_phase_table() {
        use Phase::*;
        let mut table = String::new();
        for phase in [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
            table.push_str(&format!(
                "{:?}: close {:?}, fin acked {:?}, fin received {:?}\n",
                phase,
                phase.on_close(),
                phase.on_fin_acked(),
                phase.on_fin_received()
            ));
        }
        assert_eq!(
            table,
            "Established: close FinWait1, fin acked Phase(Established), fin received Phase(CloseWait)\n\
             FinWait1: close FinWait1, fin acked Phase(FinWait2), fin received Phase(Closing)\n\
             FinWait2: close FinWait2, fin acked Phase(FinWait2), fin received TimeWait\n\
             CloseWait: close LastAck, fin acked Phase(CloseWait), fin received Phase(CloseWait)\n\
             Closing: close Closing, fin acked TimeWait, fin received Phase(Closing)\n\
             LastAck: close LastAck, fin acked Closed, fin received Phase(LastAck)\n"
        );
    }
}
