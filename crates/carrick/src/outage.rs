//! Whether a device takes packets, and since when it does not.
//!
//! An outage is like a cut cable: packets are lost, TCP sends them again, and nobody is told. So it has to be seen by
//! those who look after the stack. What it costs while there is none: one look at a flag for each packet that has been
//! taken.

use crate::error::Failure;
use crate::kernel::Seldom;
use crate::watch::{Watch, tells};
use carrick_core::ConnectionError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

/// An outage that lasts so long is worth a warning.
const WORTH_A_WARNING: Duration = Duration::from_millis(500);
/// At most once in so long there is a warning, and another one when that outage is over.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);
/// Failures must go on for this part of a limit. TCP doubles the time between its attempts, so whoever has something to
/// send tries again in the last two thirds of any time that is not short of its first timeout.
const PART_OF_LIMIT: u32 = 3;
/// Failures that went on for some time tell of an outage for so many times as long, and for this long at least: by then
/// whoever has something to send has tried again.
const BELIEVED: u32 = 4;
const LEAST_BELIEVED: Duration = Duration::from_secs(4);

/// Whether a stack's device takes packets: [`Stack::device_status`](crate::Stack::device_status).
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, stack) = stacks()?;
/// use carrick::DeviceStatus;
///
/// match stack.device_status() {
///     DeviceStatus::Up => println!("the device works"),
///     DeviceStatus::Down(outage) => println!("nothing moves since {:?}: {:?}", outage.since.elapsed(), outage.error),
///     _ => println!("it has ended"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DeviceStatus {
    /// It took the last packet that it was offered, or has not been offered any, or had no room and has some now that
    /// nothing waits for it; or it failed for some, and has not been offered others for so long that they tell nothing
    /// of now: four times as long as it failed, and at least 4 s.
    Up,
    /// It has taken none of the last packets that it was offered. Streams wait meanwhile, as for a peer behind a cut
    /// cable.
    Down(Outage),
    /// It has ended or failed for good, or the stack has ended.
    Ended,
}

/// Since when a device takes no packets, and what it says.
///
/// # Examples
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, stack) = stacks()?;
/// if let carrick::DeviceStatus::Down(outage) = stack.device_status() {
///     println!("{} packets lost in {:?}", outage.lost, outage.since.elapsed());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Outage {
    /// When it first did not take a packet.
    pub since: Instant,
    /// What it said last; none if it says that it has no room, and packets wait for it.
    pub error: Option<io::ErrorKind>,
    /// Packets that were lost, since it failed for each of them.
    pub lost: u64,
}

/// An outage, and what is remembered of it.
struct Down {
    outage: Outage,
    /// When it failed for a packet for the last time.
    failed: Instant,
    /// Since when packets wait for room, if the last one does.
    waits: Option<Instant>,
    /// There was a warning.
    told: bool,
}

impl Down {
    /// Whether it is still to be believed: after a failure, and silence, nobody knows.
    fn is_believed(&self, now: Instant) -> bool {
        let since = self.outage.since;
        let failing = self.failed - since;
        self.waits.is_some() || now - since < failing.saturating_mul(BELIEVED).max(LEAST_BELIEVED)
    }

    fn has_lasted(&self, limit: Duration, now: Instant) -> bool {
        match self.waits {
            Some(began) => now - began >= limit,
            // Nobody may have anything to send: silence after a failure is no outage.
            None => {
                let since = self.outage.since;
                now - since >= limit && self.failed - since >= limit / PART_OF_LIMIT
            }
        }
    }
}

/// The outage of a device, if there is one.
pub(crate) struct Outages {
    now: Seldom<Down>,
    /// There is something in it that the device task has not looked at.
    news: AtomicBool,
}

impl Outages {
    pub(crate) fn new() -> Self {
        Self { now: Seldom::new(), news: AtomicBool::new(false) }
    }

    pub(crate) fn now(&self) -> Option<Outage> {
        let now = Instant::now();
        self.now
            .with(|down| down.as_ref().filter(|down| down.is_believed(now)).map(|down| down.outage.clone()))
    }

    /// What streams are told of an outage that is worth a warning.
    pub(crate) fn soft_error(&self) -> Option<ConnectionError> {
        let since = self.now()?.since;
        (since.elapsed() >= WORTH_A_WARNING).then_some(ConnectionError::NetworkUnreachable)
    }

    /// A packet has not been taken, for an error or for want of room.
    #[cold]
    pub(crate) fn refused(&self, error: Option<io::ErrorKind>) {
        let now = Instant::now();
        self.now.with(|down| {
            if down.is_none() || error.is_some() {
                self.news.store(true, Ordering::Relaxed);
            }
            let down = down.get_or_insert_with(|| Down {
                outage: Outage { since: now, error: None, lost: 0 },
                failed: now,
                waits: None,
                told: false,
            });
            down.outage.error = error;
            if error.is_some() {
                down.outage.lost += 1;
                down.failed = now;
                down.waits = None;
            } else if down.waits.is_none() {
                down.waits = Some(now);
                self.news.store(true, Ordering::Relaxed);
            }
        });
    }

    /// A packet has been taken.
    #[inline]
    pub(crate) fn taken(&self, watch: &Arc<Watch>) {
        if self.are_any() {
            self.over(watch, |_| true);
        }
    }

    /// There is room, and nothing that needs it.
    #[inline]
    pub(crate) fn nothing_waits(&self, watch: &Arc<Watch>) {
        if self.are_any() {
            self.over(watch, |down| down.waits.is_some());
        }
    }

    #[cold]
    fn over(&self, watch: &Arc<Watch>, if_so: impl FnOnce(&mut Down) -> bool) {
        let Some(Down { outage, told, .. }) = self.now.with(|down| down.take_if(if_so)) else { return };
        if told && tells(Level::WARN) {
            let (lasted, lost) = (outage.since.elapsed(), outage.lost);
            watch.later(move || {
                tracing::warn!(target: "carrick::device", ?lasted, lost, "the device takes packets again");
            });
        }
    }

    /// Whether the device task should look at it, because there is something new.
    #[inline]
    pub(crate) fn take_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn are_any(&self) -> bool {
        self.now.is_there()
    }

    /// Warns when it is time, and says when to look again. `warned` is when there was a warning, of any outage.
    pub(crate) fn look(
        &self,
        limit: Option<Duration>,
        warned: &mut Option<Instant>,
        watch: &Arc<Watch>,
    ) -> Result<Option<Instant>, Failure> {
        let now = Instant::now();
        self.now.with(|down| {
            let Some(down) = down else { return Ok(None) };
            if let Some(limit) = limit.filter(|limit| down.has_lasted(*limit, now)) {
                return Err(Failure::Device(
                    io::ErrorKind::NetworkDown,
                    format!("it has taken no packet for {limit:?}"),
                ));
            }
            let Outage { since, error, lost } = down.outage;
            let worth_it = since + WORTH_A_WARNING;
            let warning = warned.map_or(worth_it, |warned| worth_it.max(warned + BETWEEN_WARNINGS));
            // Else it is the next failure that counts, which is news.
            let warning = Some(warning).filter(|at| !down.told && (*at > now || down.is_believed(now)));
            if warning.is_some_and(|at| now >= at) {
                (down.told, *warned) = (true, Some(now));
                if tells(Level::WARN) {
                    let lasted = now - since;
                    watch.later(move || {
                        let error = error.map(tracing::field::display);
                        tracing::warn!(
                            target: "carrick::device", ?lasted, lost, error, "the device takes no packets"
                        );
                    });
                }
            }
            let end = limit.and_then(|limit| down.waits.unwrap_or(since).checked_add(limit));
            // Past its end it is the next failure that counts, which is news.
            let end = end.filter(|end| *end > now);
            let warning = warning.filter(|_| !down.told);
            Ok([warning, end].into_iter().flatten().min())
        })
    }
}
