//! Every packet has one counted outcome.

use carrick_wire::ParseError;

/// Why a packet was dropped, or answered without being used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DiscardReason {
    /// The bytes are no valid packet.
    Malformed(ParseError),
    /// The TCP checksum is wrong.
    BadChecksum,
    /// The source or destination cannot be on this link (RFC 1122 §3.2.1.3, RFC 6890).
    Martian,
    /// The destination is not ours.
    NotOurs,
    /// Our own address came back as a source.
    OwnSource,
    /// A fragment, and reassembly is switched off.
    Fragment,
    /// A protocol that nobody here speaks.
    UnknownProtocol,
    /// Port 0.
    PortZero,
    /// An ICMP message that asks for nothing and concerns nobody here.
    IcmpIgnored,
    /// A reset for a connection that does not exist.
    StrayReset,
    /// A SYN for which there is no room (half-open records, backlog, memory).
    NoRoom,
    /// A segment that its state has no use for (for example without ACK, RFC 9293 §3.10.7.4).
    Unexpected,
    /// Wholly outside the receive window.
    OutOfWindow,
    /// An older timestamp than one already seen (PAWS, RFC 7323 §5).
    OldTimestamp,
    /// Timestamps were agreed on and are missing (RFC 7323 §3.2).
    MissingTimestamp,
    /// It acknowledges what was never sent, or far too long ago (RFC 5961 §5).
    BadAck,
    /// A reset inside the window, but not at its edge (RFC 5961 §3).
    InexactReset,
    /// A SYN on a synchronized connection (RFC 5961 §4).
    UnexpectedSyn,
    /// In the window, but there is no memory to keep it.
    NoMemory,
    /// Out of order, and there are as many holes as may be.
    TooManyRanges,
    /// The connection that it was for has just ended.
    Gone,
    /// A reply was due, and the queue of replies is full.
    ReplyQueueFull,
    /// A reply was due, and enough of its kind have been sent lately.
    RateLimited,
    /// A fragment that is here already.
    FragmentDuplicate,
    /// A fragment that overlaps with another, or of a packet that was given up for that (RFC 5722 §4).
    FragmentOverlap,
    /// A fragment for which there is no room.
    FragmentLimit,
    /// A SYN from an address that has as many connections as it may.
    SourceLimit,
}

impl DiscardReason {
    /// How many kinds there are, each [`ParseError`] being one.
    pub const COUNT: usize = Self::OTHERS + ParseError::COUNT;
    const OTHERS: usize = 26;
    const OTHER_NAMES: [&'static str; Self::OTHERS] = [
        "discarded_bad_checksum",
        "discarded_martian",
        "discarded_not_ours",
        "discarded_own_source",
        "discarded_fragment",
        "discarded_unknown_protocol",
        "discarded_port_zero",
        "discarded_icmp_ignored",
        "discarded_stray_reset",
        "discarded_no_room",
        "discarded_unexpected",
        "discarded_out_of_window",
        "discarded_old_timestamp",
        "discarded_missing_timestamp",
        "discarded_bad_ack",
        "discarded_inexact_reset",
        "discarded_unexpected_syn",
        "discarded_no_memory",
        "discarded_too_many_ranges",
        "discarded_gone",
        "discarded_reply_queue_full",
        "discarded_rate_limited",
        "discarded_fragment_duplicate",
        "discarded_fragment_overlap",
        "discarded_fragment_limit",
        "discarded_source_limit",
    ];

    /// Its name as a counter, such as `discarded_bad_checksum` or `malformed_ipv4_checksum`; it stays the same.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::DiscardReason::NotOurs.name(), "discarded_not_ours");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::names().nth(self.index()).unwrap_or_default()
    }

    /// The names of all, in the order of [`index`](Self::index).
    fn names() -> impl Iterator<Item = &'static str> {
        Self::OTHER_NAMES.into_iter().chain(ParseError::NAMES)
    }

    /// A dense number below [`COUNT`](Self::COUNT), for arrays of counters.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::DiscardReason;
    ///
    /// let mut table = [0; DiscardReason::COUNT];
    /// table[DiscardReason::NotOurs.index()] += 1;
    /// ```
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::BadChecksum => 0,
            Self::Martian => 1,
            Self::NotOurs => 2,
            Self::OwnSource => 3,
            Self::Fragment => 4,
            Self::UnknownProtocol => 5,
            Self::PortZero => 6,
            Self::IcmpIgnored => 7,
            Self::StrayReset => 8,
            Self::NoRoom => 9,
            Self::Unexpected => 10,
            Self::OutOfWindow => 11,
            Self::OldTimestamp => 12,
            Self::MissingTimestamp => 13,
            Self::BadAck => 14,
            Self::InexactReset => 15,
            Self::UnexpectedSyn => 16,
            Self::NoMemory => 17,
            Self::TooManyRanges => 18,
            Self::Gone => 19,
            Self::ReplyQueueFull => 20,
            Self::RateLimited => 21,
            Self::FragmentDuplicate => 22,
            Self::FragmentOverlap => 23,
            Self::FragmentLimit => 24,
            Self::SourceLimit => 25,
            Self::Malformed(error) => Self::OTHERS.saturating_add(error.index()),
        }
    }
}

/// What an endpoint has counted since it was made.
///
/// # Examples
/// ```
/// let counters = carrick_core::Counters::default();
/// for (name, count) in counters.iter().filter(|(_, count)| *count > 0) {
///     println!("{name}: {count}");
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counters {
    /// Frames handed in. Equals the sum of `to_connections`, `answered`, `held` and all discards here.
    pub frames: u64,
    /// Frames that were for a connection. What became of them is in `accepted` and the discards of
    /// connections, once the driver has said so with
    /// [`Endpoint::record_outcome`](crate::Endpoint::record_outcome).
    pub to_connections: u64,
    /// Of those, frames that the connection used.
    pub accepted: u64,
    /// Frames that the endpoint answered or absorbed itself: handshakes, resets, echo, TIME-WAIT.
    pub answered: u64,
    /// Frames held for later: fragments, parked SYNs.
    pub held: u64,
    /// TCP segments received for us, those in error included; a super-segment counts as the segments that it stands for
    /// (RFC 4022 `tcpInSegs`).
    pub in_segments: u64,
    /// Of those, segments in error: a wrong checksum, or a header whose lengths do not agree (RFC 4022 `tcpInErrs`).
    pub in_errors: u64,
    /// Passive handshakes completed (RFC 4022 counts in `tcpPassiveOpens` also those that were not).
    pub passive_opens: u64,
    /// Passive handshakes begun: from LISTEN to SYN-RECEIVED (RFC 4022 `tcpPassiveOpens`). A SYN that a cookie answers
    /// begins none until the cookie comes back.
    pub passive_opens_begun: u64,
    /// Connections that this side asked for (RFC 4022 `tcpActiveOpens`).
    pub active_opens: u64,
    /// Resets sent by the endpoint: to strangers, and to those who may not connect. With the connections' own
    /// they are RFC 4022's `tcpOutRsts`.
    pub resets: u64,
    /// SYNs with a window scale above 14, which counts as 14 (RFC 7323 §2.3).
    pub excess_scales: u64,
    /// SYNs that came to nothing: their handshake was reset or given up, or nobody accepted them while they were
    /// parked.
    pub half_open_failed: u64,
    /// Of those, handshakes that had been begun: from SYN-RECEIVED back to LISTEN. With the connections' own they are
    /// RFC 4022's `tcpAttemptFails`.
    pub passive_opens_failed: u64,
    /// SYN,ACKs sent that were cookies.
    pub syn_cookies_sent: u64,
    /// Connections opened by a cookie.
    pub syn_cookies_accepted: u64,
    /// ACKs that came while cookies were outstanding and were none, or too old.
    pub syn_cookies_refused: u64,
    /// TIME-WAIT records that had to go before their time, the oldest first.
    pub time_wait_recycled: u64,
    discards: [u64; DiscardReason::COUNT],
    connection_discards: [u64; DiscardReason::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            frames: 0,
            to_connections: 0,
            accepted: 0,
            answered: 0,
            held: 0,
            in_segments: 0,
            in_errors: 0,
            passive_opens: 0,
            passive_opens_begun: 0,
            active_opens: 0,
            resets: 0,
            excess_scales: 0,
            half_open_failed: 0,
            passive_opens_failed: 0,
            syn_cookies_sent: 0,
            syn_cookies_accepted: 0,
            syn_cookies_refused: 0,
            time_wait_recycled: 0,
            discards: [0; DiscardReason::COUNT],
            connection_discards: [0; DiscardReason::COUNT],
        }
    }
}

impl Counters {
    /// How many packets were discarded for `reason`, by the endpoint or by a connection.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::{Counters, DiscardReason};
    ///
    /// assert_eq!(Counters::default().discarded(DiscardReason::NotOurs), 0);
    /// ```
    #[must_use]
    pub fn discarded(&self, reason: DiscardReason) -> u64 {
        let at = |counts: &[u64]| counts.get(reason.index()).copied().unwrap_or(0);
        at(&self.discards).saturating_add(at(&self.connection_discards))
    }

    /// How many packets the endpoint itself discarded. With `to_connections`, `answered` and `held` it
    /// makes up `frames`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Counters::default().discarded_by_endpoint(), 0);
    /// ```
    #[must_use]
    pub fn discarded_by_endpoint(&self) -> u64 {
        sum(&self.discards)
    }

    /// How many packets connections discarded, or answered without using them. With `accepted` it makes up
    /// `to_connections`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(carrick_core::Counters::default().discarded_by_connections(), 0);
    /// ```
    #[must_use]
    pub fn discarded_by_connections(&self) -> u64 {
        sum(&self.connection_discards)
    }

    /// All of them by names that stay the same: the fields', and for each reason what was
    /// [discarded](Self::discarded) for it.
    ///
    /// # Examples
    /// ```
    /// let counters = carrick_core::Counters::default();
    /// assert!(counters.iter().any(|(name, count)| name == "frames" && count == 0));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let fields = [
            ("frames", self.frames),
            ("to_connections", self.to_connections),
            ("accepted", self.accepted),
            ("answered", self.answered),
            ("held", self.held),
            ("in_segments", self.in_segments),
            ("in_errors", self.in_errors),
            ("active_opens", self.active_opens),
            ("passive_opens", self.passive_opens),
            ("passive_opens_begun", self.passive_opens_begun),
            ("passive_opens_failed", self.passive_opens_failed),
            ("half_open_failed", self.half_open_failed),
            ("resets", self.resets),
            ("excess_scales", self.excess_scales),
            ("syn_cookies_sent", self.syn_cookies_sent),
            ("syn_cookies_accepted", self.syn_cookies_accepted),
            ("syn_cookies_refused", self.syn_cookies_refused),
            ("time_wait_recycled", self.time_wait_recycled),
        ];
        let both = self.discards.iter().zip(&self.connection_discards);
        let counts = both.map(|(here, there)| here.saturating_add(*there));
        fields.into_iter().chain(DiscardReason::names().zip(counts))
    }

    pub(crate) fn discard(&mut self, reason: DiscardReason) {
        if let Some(counter) = self.discards.get_mut(reason.index()) {
            bump(counter);
        }
    }

    pub(crate) fn connection_discard(&mut self, reason: DiscardReason) {
        if let Some(counter) = self.connection_discards.get_mut(reason.index()) {
            bump(counter);
        }
    }
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
}

pub(crate) fn bump(counter: &mut u64) {
    add(counter, 1);
}

pub(crate) fn add(counter: &mut u64, more: u64) {
    *counter = counter.saturating_add(more);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_each_reason_has_its_own() {
        let mut counters = Counters::default();
        counters.discard(DiscardReason::BadChecksum);
        counters.connection_discard(DiscardReason::BadChecksum);
        counters.discard(DiscardReason::Malformed(ParseError::IcmpQuoteInvalid));
        let names: BTreeSet<_> = counters.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), counters.iter().count());
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        );
        assert_eq!(DiscardReason::names().count(), DiscardReason::COUNT);
        let of = |name| counters.iter().find(|(other, _)| *other == name).map(|(_, count)| count);
        assert_eq!(DiscardReason::BadChecksum.name(), "discarded_bad_checksum");
        assert_eq!(of("discarded_bad_checksum"), Some(2));
        assert_eq!(DiscardReason::SourceLimit.name(), "discarded_source_limit");
        assert_eq!(of("malformed_icmp_quote_invalid"), Some(1));
        assert_eq!(of("malformed_truncated"), Some(0));
    }
}
