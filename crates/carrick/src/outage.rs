//! Whether a device takes packets, and since when it does not.
//!
//! An outage is like a cut cable: packets are lost, TCP sends them again, and nobody is told. So it has to be seen by those
//! who look after the stack. What it costs while there is none: one look at a flag for each packet that has been taken.

use crate::error::Failure;
use crate::watch::{Watch, tells};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

/// An outage that lasts so long is worth a warning.
const WORTH_A_WARNING: Duration = Duration::from_millis(500);

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
    /// It took the last packet that it was offered, or has not been offered any.
    Up,
    /// It has taken none of the last packets that it was offered. Streams wait meanwhile, as for a peer behind a cut cable.
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
    /// There was a warning.
    told: bool,
}

/// The outage of a device, if there is one.
#[derive(Default)]
pub(crate) struct Outages {
    /// There is one.
    any: AtomicBool,
    /// One has begun of which the device task has not heard.
    news: AtomicBool,
    now: Mutex<Option<Outage>>,
}

impl Outages {
    pub(crate) fn now(&self) -> Option<Outage> {
        self.now.lock().clone()
    }

    /// A packet has not been taken, for an error or for want of room.
    #[cold]
    pub(crate) fn refused(&self, error: Option<io::ErrorKind>) {
        let mut now = self.now.lock();
        let outage = now.get_or_insert_with(|| {
            self.any.store(true, Ordering::Relaxed);
            self.news.store(true, Ordering::Relaxed);
            Outage { since: Instant::now(), error: None, lost: 0, told: false }
        });
        outage.error = error;
        outage.lost += u64::from(error.is_some());
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
            self.over(watch, |outage| outage.error.is_none());
        }
    }

    #[cold]
    fn over(&self, watch: &Arc<Watch>, if_so: impl FnOnce(&mut Outage) -> bool) {
        let Some(outage) = self.now.lock().take_if(if_so) else { return };
        self.any.store(false, Ordering::Relaxed);
        let Outage { since, lost, told, .. } = outage;
        if told && tells(Level::WARN) {
            let lasted = since.elapsed();
            watch.later(move || {
                tracing::warn!(target: "carrick::device", ?lasted, lost, "the device takes packets again");
            });
        }
    }

    /// Whether the device task should look at it, because it has just begun.
    #[inline]
    pub(crate) fn take_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn are_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Warns when it is time, and says when to look again.
    pub(crate) fn look(
        &self,
        limit: Option<Duration>,
        watch: &Arc<Watch>,
    ) -> Result<Option<Instant>, Failure> {
        let mut now = self.now.lock();
        let Some(outage) = &mut *now else { return Ok(None) };
        let lasted = outage.since.elapsed();
        if let Some(limit) = limit.filter(|limit| lasted >= *limit) {
            return Err(Failure::Device(
                io::ErrorKind::NetworkDown,
                format!("it has taken no packet for {limit:?}"),
            ));
        }
        if lasted >= WORTH_A_WARNING && !outage.told {
            outage.told = true;
            if tells(Level::WARN) {
                let Outage { error, lost, .. } = *outage;
                watch.later(move || {
                    let error = error.map(tracing::field::display);
                    tracing::warn!(target: "carrick::device", ?lasted, lost, error, "the device takes no packets");
                });
            }
        }
        let warning = (!outage.told).then_some(WORTH_A_WARNING);
        let next = [warning, limit].into_iter().flatten().min();
        Ok(next.and_then(|after| outage.since.checked_add(after)))
    }
}
