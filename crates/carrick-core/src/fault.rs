//! Mistakes that an author of a TCP could make, planted on purpose to show that the tests find them.
//!
//! Only where the compiler is told `--cfg carrick_faults`; elsewhere `fault!` is `false` and nothing is left of
//! it. A fault is chosen for a connection or an endpoint by its settings.

/// Whether the settings ask for that mistake.
#[cfg(carrick_faults)]
macro_rules! fault {
    ($config:expr, $kind:ident) => {
        $config.fault == Some($crate::Fault::$kind)
    };
}

/// No mistake is planted.
#[cfg(not(carrick_faults))]
macro_rules! fault {
    ($config:expr, $kind:ident) => {
        $crate::fault::none()
    };
}

/// A function and not a literal, so that conditions with a fault in them are not constant.
#[cfg(not(carrick_faults))]
pub(crate) const fn none() -> bool {
    false
}

/// A mistake, in the order of the machine.
#[cfg(carrick_faults)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// Any ACK is taken for that of our SYN.
    AnyAckOpens,
    /// A SYN that meets ours is dropped.
    NoSimultaneousOpen,
    /// The window of a SYN is scaled.
    SynWindowScaled,
    /// Every initial sequence number is the same.
    IsnConstant,
    /// A lost SYN,ACK is not sent again.
    SynAckNotRepeated,
    /// A reset does not end a passive handshake.
    HalfOpenResetIgnored,
    /// More connections wait than the backlog says.
    BacklogUnbounded,
    /// Any ACK is taken for that of a cookie.
    CookieUnchecked,
    /// A cookie is good for ever.
    CookieNeverOld,
    /// What the MSS was that a cookie's peer asked for is not remembered.
    CookieMssIgnored,
    /// There are more half-open records than the limit says.
    HalfOpenUnlimited,
    /// A parked SYN that is accepted is forgotten.
    ParkedForgotten,
    /// A source has more connections than the limit says.
    SourceUnlimited,
    /// Strangers are answered as often as they ask.
    RateUnlimited,
    /// A tuple in TIME-WAIT is reopened with any number.
    ReopenedLow,
    /// A reset for nobody is answered with one.
    ResetAnswered,
    /// A segment with an old timestamp is taken.
    PawsOff,
    /// A reset anywhere in the window is believed.
    ResetInWindow,
    /// Not even the exact reset is.
    ResetIgnored,
    /// A SYN on an open connection ends it.
    SynEnds,
    /// Challenge ACKs are not limited.
    ChallengesUnlimited,
    /// A segment that acknowledges nothing new is dropped.
    OldAckRefused,
    /// An ACK for what was never sent is taken.
    FutureAckTaken,
    /// The ACK of the last byte is taken for that of the FIN.
    FinAckedByText,
    /// A window update that acknowledges nothing new is not seen.
    WindowUpdateIgnored,
    /// A window that was overtaken on the way is taken.
    StaleWindowTaken,
    /// An ACK is answered with an ACK.
    AckForAck,
    /// An ACK that was put off is never sent.
    DelayedAckForgotten,
    /// The second segment waits for its ACK like the first.
    SecondSegmentWaits,
    /// Text that arrives too early is taken for the next.
    OrderIgnored,
    /// Text is reported to have come twice that has not.
    DuplicateUntrue,
    /// Text is kept although there is no memory for it.
    MemoryIgnored,
    /// A FIN is taken before the text that it follows.
    FinBeforeText,
    /// RCV.NXT does not step over the FIN.
    FinNotCounted,
    /// A FIN that is lost is not sent again.
    FinNotRepeated,
    /// After a timeout nothing is sent again.
    NothingRepeated,
    /// Duplicate ACKs tell of no loss.
    NoFastRetransmit,
    /// What is sent again is not what was sent.
    TextShifted,
    /// The urgent pointer names the last urgent byte, not the one after it.
    UrgentShifted,
    /// What does not fill a segment leaves in spite of the cork.
    CorkIgnored,
    /// The cork holds it back for ever.
    CorkEndless,
    /// The timeout is not doubled.
    NoBackoff,
    /// A peer that hears nothing is never given up.
    NeverGivesUp,
    /// The user timeout ends nothing.
    UserTimeoutIgnored,
    /// A peer that is gone without a word is not asked whether it lives.
    KeepAliveSilent,
    /// A peer that answers no probe is probed for ever.
    KeepAliveEndless,
    /// A closed window is not probed.
    NoPersist,
    /// Every sliver of window is used.
    SillySender,
    /// Reading does not tell the peer of the room that there is again.
    NoWindowUpdate,
    /// Every byte read is told of.
    SillyReceiver,
    /// A window that was promised is taken back.
    WindowTakenBack,
    /// The peer's MSS is not heeded.
    MssIgnored,
    /// SACK blocks are sent to a peer that did not ask for them.
    SackUninvited,
    /// Unread text is lost without a word.
    UnreadLost,
    /// Text for nobody is taken and acknowledged.
    LateTextTaken,
    /// The linger time ends nothing.
    LingerEndless,
    /// A connection that nobody holds any more waits as long as one that somebody does.
    OrphanEndless,
    /// There is no TIME-WAIT.
    TimeWaitSkipped,
    /// A FIN is not acknowledged again in TIME-WAIT.
    TimeWaitSilent,
    /// A FIN does not begin the wait anew.
    TimeWaitNotRestarted,
    /// A reset ends TIME-WAIT.
    TimeWaitAssassinated,
    /// Any SYN ends TIME-WAIT.
    TimeWaitReopened,
    /// An unreachable ends an open connection.
    UnreachableEnds,
    /// An ICMP error is believed whatever it quotes.
    QuoteUnchecked,
    /// What was sent again is never thought lost once more.
    LostAgainUnseen,
    /// Nothing is waited for that may have been overtaken.
    ReorderingIgnored,
    /// The tail is asked for again and again.
    ProbesEndless,
    /// A repair that was needless is not taken back.
    UndoNever,
    /// Every repair is thought needless.
    UndoAlways,
    /// During a repair the flight does not come down.
    ReductionUnlimited,
    /// What was sent again is measured.
    KarnIgnored,
    /// A thousand times too much leaves in its turn.
    PaceWrong,
    /// What the peer has dropped again is still thought to have arrived.
    MarksKept,
    /// Any acknowledgment shows that a timeout was none.
    FrtoGullible,
    /// Reports of what was not sent again count.
    ForeignDuplicates,
    /// A repair has no end.
    RecoveryEndless,
    /// More duplicates count than were in flight.
    DuplicatesUnbounded,
    /// The probe of a tail does not heed the window.
    ProbeBeyondWindow,
    /// The controller does not hear of losses.
    LossUntold,
    /// A lost tail is not asked for.
    TailForgotten,
}

#[cfg(carrick_faults)]
impl Fault {
    /// Every kind.
    pub const ALL: [Self; 80] = [
        Self::AnyAckOpens,
        Self::NoSimultaneousOpen,
        Self::SynWindowScaled,
        Self::IsnConstant,
        Self::SynAckNotRepeated,
        Self::HalfOpenResetIgnored,
        Self::BacklogUnbounded,
        Self::CookieUnchecked,
        Self::CookieNeverOld,
        Self::CookieMssIgnored,
        Self::HalfOpenUnlimited,
        Self::ParkedForgotten,
        Self::SourceUnlimited,
        Self::RateUnlimited,
        Self::ReopenedLow,
        Self::ResetAnswered,
        Self::PawsOff,
        Self::ResetInWindow,
        Self::ResetIgnored,
        Self::SynEnds,
        Self::ChallengesUnlimited,
        Self::OldAckRefused,
        Self::FutureAckTaken,
        Self::FinAckedByText,
        Self::WindowUpdateIgnored,
        Self::StaleWindowTaken,
        Self::AckForAck,
        Self::DelayedAckForgotten,
        Self::SecondSegmentWaits,
        Self::OrderIgnored,
        Self::DuplicateUntrue,
        Self::MemoryIgnored,
        Self::FinBeforeText,
        Self::FinNotCounted,
        Self::FinNotRepeated,
        Self::NothingRepeated,
        Self::NoFastRetransmit,
        Self::TextShifted,
        Self::UrgentShifted,
        Self::CorkIgnored,
        Self::CorkEndless,
        Self::NoBackoff,
        Self::NeverGivesUp,
        Self::UserTimeoutIgnored,
        Self::KeepAliveSilent,
        Self::KeepAliveEndless,
        Self::NoPersist,
        Self::SillySender,
        Self::NoWindowUpdate,
        Self::SillyReceiver,
        Self::WindowTakenBack,
        Self::MssIgnored,
        Self::SackUninvited,
        Self::UnreadLost,
        Self::LateTextTaken,
        Self::LingerEndless,
        Self::OrphanEndless,
        Self::TimeWaitSkipped,
        Self::TimeWaitSilent,
        Self::TimeWaitNotRestarted,
        Self::TimeWaitAssassinated,
        Self::TimeWaitReopened,
        Self::UnreachableEnds,
        Self::QuoteUnchecked,
        Self::LostAgainUnseen,
        Self::ReorderingIgnored,
        Self::ProbesEndless,
        Self::UndoNever,
        Self::UndoAlways,
        Self::ReductionUnlimited,
        Self::KarnIgnored,
        Self::PaceWrong,
        Self::MarksKept,
        Self::FrtoGullible,
        Self::ForeignDuplicates,
        Self::RecoveryEndless,
        Self::DuplicatesUnbounded,
        Self::ProbeBeyondWindow,
        Self::LossUntold,
        Self::TailForgotten,
    ];
}
