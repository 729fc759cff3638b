//! What a stack has counted, with the names of RFC 4022 where there are any.

use carrick_core::TcpState;
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What a stack has counted since it was built: [`Stack::counters`](crate::Stack::counters).
///
/// [`iter`](Self::iter) gives all of it by name, for an exporter; [`Display`](fmt::Display) is a table of what is not
/// zero.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (_server, stack) = stacks()?;
/// let refused = carrick::TcpStream::connect(&stack, "192.0.2.1:9").await;
/// assert!(refused.is_err());
///
/// let counters = stack.counters();
/// assert_eq!((counters.tcp.active_opens, counters.tcp.attempt_fails), (1, 1));
/// for (name, value) in counters.iter() {
///     println!("carrick_{name} {value}");
/// }
/// assert!(counters.to_string().contains("tcpAttemptFails"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Counters {
    /// The conversations and their segments, as RFC 4022 defines them.
    pub tcp: TcpCounters,
    /// Packets received and what became of them.
    pub endpoint: carrick_core::Counters,
    /// Packets that the device failed to send and that count as lost on the way.
    pub device_lost: u64,
    /// What the device received and could make nothing of: an offload header at odds with its packet.
    pub device_refused: u64,
    /// Packets that the device received one by one and that were put together with the one before them, which
    /// they followed in its stream. `endpoint` counts what came of it as one packet.
    pub merged: u64,
    /// Connections given up because of a defect of this library. Please report any.
    pub internal_errors: u64,
}

impl Counters {
    /// All counters by names that stay the same: RFC 4022's (`tcpInSegs`), the fields' names (`frames`,
    /// `device_lost`), and for each reason what was discarded for it (`discarded_bad_checksum`,
    /// `malformed_ipv4_checksum`). All but `tcpCurrEstab` and the settings `tcpRto…` only grow.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// let of = |name| stack.counters().iter().find(|(other, _)| *other == name).map(|(_, value)| value);
    /// assert_eq!(of("tcpCurrEstab"), Some(0));
    /// assert_eq!(of("discarded_bad_checksum"), Some(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let device = [
            ("device_lost", self.device_lost),
            ("device_refused", self.device_refused),
            ("merged", self.merged),
            ("internal_errors", self.internal_errors),
        ];
        self.tcp.iter().chain(device).chain(self.endpoint.iter())
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.iter().filter(|(_, value)| *value != 0) {
            writeln!(f, "{name:<40} {value:>12}")?;
        }
        Ok(())
    }
}

/// The scalars of RFC 4022's tcp group, for one stack.
///
/// Segments are those on the wire: a super-segment counts as all that it stands for.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, stack) = stacks()?;
/// let tcp = stack.counters().tcp;
/// println!("{} of {} segments were sent again", tcp.retrans_segs, tcp.out_segs + tcp.retrans_segs);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TcpCounters {
    /// How the retransmission timeout is found: 5, by RFC 2988 and its successor RFC 6298 (`tcpRtoAlgorithm`).
    pub rto_algorithm: u64,
    /// The least retransmission timeout of the stack's own settings (`tcpRtoMin`, in milliseconds there).
    pub rto_min: Duration,
    /// The greatest (`tcpRtoMax`, in milliseconds there).
    pub rto_max: Duration,
    /// Connections that this side asked for: from CLOSED to SYN-SENT (`tcpActiveOpens`).
    pub active_opens: u64,
    /// Connections that peers asked for: from LISTEN to SYN-RECEIVED (`tcpPassiveOpens`). A SYN that a cookie answers
    /// counts when the cookie comes back.
    pub passive_opens: u64,
    /// Attempts that failed: from SYN-SENT or SYN-RECEIVED to CLOSED, or from SYN-RECEIVED to LISTEN
    /// (`tcpAttemptFails`).
    pub attempt_fails: u64,
    /// Connections that were reset, by either side, or given up: from ESTABLISHED or CLOSE-WAIT to CLOSED
    /// (`tcpEstabResets`).
    pub estab_resets: u64,
    /// Connections in ESTABLISHED or CLOSE-WAIT now (`tcpCurrEstab`).
    pub curr_estab: u64,
    /// Segments received, those in error included (`tcpInSegs`).
    pub in_segs: u64,
    /// Segments sent, without those that held nothing but what had been sent before (`tcpOutSegs`). What the device
    /// lost then counts as sent.
    pub out_segs: u64,
    /// Segments sent that held something that had been sent before, a SYN or a FIN included (`tcpRetransSegs`).
    pub retrans_segs: u64,
    /// Segments received in error, by their checksum or the lengths in their header (`tcpInErrs`).
    pub in_errs: u64,
    /// Segments sent with RST (`tcpOutRsts`).
    pub out_rsts: u64,
}

impl TcpCounters {
    /// By RFC 4022's names, durations in milliseconds.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, stack) = stacks()?;
    /// assert!(stack.counters().tcp.iter().any(|counter| counter == ("tcpRtoMin", 200)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        [
            ("tcpRtoAlgorithm", self.rto_algorithm),
            ("tcpRtoMin", millis(self.rto_min)),
            ("tcpRtoMax", millis(self.rto_max)),
            ("tcpActiveOpens", self.active_opens),
            ("tcpPassiveOpens", self.passive_opens),
            ("tcpAttemptFails", self.attempt_fails),
            ("tcpEstabResets", self.estab_resets),
            ("tcpCurrEstab", self.curr_estab),
            ("tcpInSegs", self.in_segs),
            ("tcpOutSegs", self.out_segs),
            ("tcpRetransSegs", self.retrans_segs),
            ("tcpInErrs", self.in_errs),
            ("tcpOutRsts", self.out_rsts),
        ]
        .into_iter()
    }
}

/// How connections began and ended, as far as the endpoint does not know. Touched twice in a connection's life.
#[derive(Default)]
pub(crate) struct Lives {
    pub(crate) established: AtomicUsize,
    pub(crate) attempt_fails: AtomicU64,
    pub(crate) estab_resets: AtomicU64,
}

impl Lives {
    /// A connection's state was `before` when it was last looked at and is `now`; if it is closed, from `from`.
    pub(crate) fn changed(&self, before: TcpState, from: TcpState, now: TcpState) {
        let is_current = |state| matches!(state, TcpState::Established | TcpState::CloseWait);
        if !is_current(before) && is_current(now) {
            self.established.fetch_add(1, Ordering::Relaxed);
        } else if is_current(before) && !is_current(now) {
            self.established.fetch_sub(1, Ordering::Relaxed);
        }
        if now == TcpState::Closed && matches!(from, TcpState::SynSent | TcpState::SynReceived) {
            self.attempt_fails.fetch_add(1, Ordering::Relaxed);
        } else if now == TcpState::Closed && is_current(from) {
            self.estab_resets.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// In so many places segments that leave are counted, so that threads that send do not wait for each other.
const STRIPES: usize = 8;

/// The segments that have left, counted by each thread for itself.
#[derive(Default)]
pub(crate) struct Departures([Stripe; STRIPES]);

/// Alone in its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Stripe {
    segments: AtomicU64,
    again: AtomicU64,
    resets: AtomicU64,
}

/// What one packet, or several, count as.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Departed {
    /// Those that hold something new, or nothing.
    pub(crate) segments: u64,
    /// Those that hold something that had been sent before.
    pub(crate) again: u64,
    pub(crate) resets: u64,
}

impl Departed {
    /// One segment with nothing old in it.
    pub(crate) const ONE: Self = Self { segments: 1, again: 0, resets: 0 };

    /// `len` bytes of text in segments of `size`, with a FIN or SYN behind or before it perhaps, so that they take
    /// `seqs` sequence numbers, the first `old` of which had been sent before.
    pub(crate) fn new(len: usize, size: usize, seqs: usize, old: usize, reset: bool) -> Self {
        let segments = len.div_ceil(size.max(1)).max(1);
        let (again, only_old) = match old {
            0 => (0, 0),
            old if old >= seqs => (segments, segments),
            // The last one holds something new.
            old => (old.div_ceil(size.max(1)).min(segments), (old / size.max(1)).min(segments - 1)),
        };
        Self {
            segments: (segments - only_old) as u64,
            again: again as u64,
            resets: if reset { segments as u64 } else { 0 },
        }
    }
}

impl Departures {
    #[inline]
    pub(crate) fn add(&self, departed: Departed) {
        thread_local!(static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) });
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        if STRIPE.get() == usize::MAX {
            STRIPE.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        let Some(stripe) = self.0.get(STRIPE.get()) else { return };
        stripe.segments.fetch_add(departed.segments, Ordering::Relaxed);
        if departed.again > 0 {
            stripe.again.fetch_add(departed.again, Ordering::Relaxed);
        }
        if departed.resets > 0 {
            stripe.resets.fetch_add(departed.resets, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self) -> Departed {
        let sum = |of: fn(&Stripe) -> &AtomicU64| {
            self.0.iter().map(|stripe| of(stripe).load(Ordering::Relaxed)).sum()
        };
        Departed {
            segments: sum(|stripe| &stripe.segments),
            again: sum(|stripe| &stripe.again),
            resets: sum(|stripe| &stripe.resets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departed(len: usize, size: usize, seqs: usize, old: usize) -> (u64, u64) {
        let Departed { segments, again, .. } = Departed::new(len, size, seqs, old, false);
        (segments, again)
    }

    #[test]
    fn segments_with_something_new_and_with_something_old() {
        assert_eq!(departed(0, 0, 0, 0), (1, 0), "an ACK");
        assert_eq!(departed(0, 0, 1, 0), (1, 0), "a SYN");
        assert_eq!(departed(0, 0, 1, 1), (0, 1), "a SYN again");
        assert_eq!(departed(3000, 1000, 3000, 0), (3, 0));
        assert_eq!(departed(3000, 1000, 3000, 3000), (0, 3));
        assert_eq!(departed(2001, 1000, 2001, 2001), (0, 3));
        // The second holds both, and counts twice.
        assert_eq!(departed(3000, 1000, 3000, 1500), (2, 2));
        assert_eq!(departed(3000, 1000, 3000, 2000), (1, 2));
        // All text is old, and the FIN with the last segment new.
        assert_eq!(departed(2000, 1000, 2001, 2000), (1, 2));
        assert_eq!(departed(2000, 1000, 2001, 2001), (0, 2));
        assert_eq!(Departed::new(0, 0, 0, 0, true), Departed { segments: 1, again: 0, resets: 1 });
    }
}
