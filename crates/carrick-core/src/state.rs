//! The states of RFC 9293 §3.3.2, and the phases of an open connection.

use core::fmt;

/// A state by the name that RFC 9293 §3.3.2 gives it.
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

impl TcpState {
    /// The RFC's name, for example `FIN-WAIT-1`.
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

impl Phase {
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
