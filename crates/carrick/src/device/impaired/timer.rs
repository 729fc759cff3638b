//! What wakes a way of a bad link when something is due: tokio's sleep, and beside it, where time is real and the
//! system is Linux, a timer that is exact.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
#[cfg(target_os = "linux")]
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is made when it is first needed, and anew in another runtime.
#[derive(Default)]
pub(super) struct Timer {
    /// Whose drivers wake us.
    runtime: Option<Id>,
    sleep: Option<Pin<Box<Sleep>>>,
    #[cfg(target_os = "linux")]
    exact: exact::Exact,
}

impl Timer {
    /// Ready when the time has come; never, if there is none.
    pub(super) fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        self.settle_down();
        #[cfg(target_os = "linux")]
        if let Some(now) = exact::running_clock() {
            if at <= now {
                return Poll::Ready(());
            }
            if self.exact.wake_at(at, now, cx) {
                return self.poll_later(at, cx);
            }
        }
        self.poll_sleep(at, |deadline| deadline == at, cx)
    }

    /// Sleeps until `at`, unless the end of the sleep is right as it is.
    fn poll_sleep(
        &mut self,
        at: Instant,
        is_right: impl Fn(Instant) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if !is_right(sleep.deadline()) {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx)
    }

    /// Leaves a runtime that somebody else is in now: it may have ended, or may not be run any more.
    fn settle_down(&mut self) {
        let Ok(handle) = Handle::try_current() else { return };
        let here = Some(handle.id());
        if self.runtime != here {
            *self = Self { runtime: here, ..Self::default() };
        }
    }

    /// A sleep that ends some time after the exact timer, for a clock that is paused before that has fired. It is not
    /// moved with every packet, and ends late enough that a processor need not be told to wake for both.
    #[cfg(target_os = "linux")]
    fn poll_later(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        const LATER: Duration = Duration::from_millis(20);
        let Some(later) = at.checked_add(LATER) else { return Poll::Pending };
        self.poll_sleep(later, |deadline| deadline <= later && deadline >= at + LATER / 2, cx)
    }
}

/// Linux's timerfd, on the descriptors' side of tokio's drivers.
#[cfg(target_os = "linux")]
mod exact {
    use crate::device::fd::registered;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::os::fd::OwnedFd;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::task::{Context, Poll};
    use std::time::Duration;
    use tokio::io::unix::AsyncFd;
    use tokio::time::Instant;

    /// Least time from one wake-up to the next, and so the most that a packet is late on purpose. What comes more often
    /// is taken together: a gigabit per second in full packets makes 83,000 of them.
    const BETWEEN: Duration = Duration::from_micros(50);

    /// The time by tokio's clock, if that runs. A paused one says the same twice.
    pub(super) fn running_clock() -> Option<Instant> {
        let before = Instant::now();
        // Real time passes, however coarsely.
        let _ = std::time::Instant::now();
        Some(Instant::now()).filter(|&now| now != before)
    }

    #[derive(Default)]
    pub(super) enum Exact {
        #[default]
        Unmade,
        Made {
            fd: AsyncFd<OwnedFd>,
            /// When it fires, unless it has.
            set_for: Option<Instant>,
            /// When it was seen to have fired.
            fired: Option<Instant>,
        },
        Unavailable,
    }

    impl Exact {
        /// Has the task woken soon after `at`, which is after `now`. False if it cannot.
        pub(super) fn wake_at(&mut self, at: Instant, now: Instant, cx: &mut Context<'_>) -> bool {
            if let Self::Unmade = self {
                *self = make().map_or(Self::Unavailable, |fd| Self::Made { fd, set_for: None, fired: None });
            }
            let Self::Made { fd, set_for, fired } = self else { return false };
            // What has fired need not be read: it is forgotten here, and by the kernel when the timer is set again.
            // In this order, for what fires after that must not be forgotten.
            while let Poll::Ready(event) = fd.poll_read_ready(cx) {
                let Ok(mut event) = event else {
                    // The runtime is ending.
                    *self = Self::Unavailable;
                    return false;
                };
                event.clear_ready();
                (*set_for, *fired) = (None, Some(now));
            }
            let when = fired.map_or(at, |fired| at.max(fired + BETWEEN));
            if *set_for != Some(when) {
                // Relative, since tokio's clock may have been paused and then be behind the system's.
                *set_for = set(fd.get_ref(), when - now).then_some(when);
            }
            set_for.is_some()
        }
    }

    fn make() -> Option<AsyncFd<OwnedFd>> {
        // tokio says of no runtime whether it waits for descriptors, and panics if it does not.
        if cfg!(not(panic = "unwind")) {
            return None;
        }
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
        catch_unwind(AssertUnwindSafe(|| registered(fd))).ok()?.ok()
    }

    fn set(fd: &OwnedFd, after: Duration) -> bool {
        let Ok(after) = Timespec::try_from(after) else { return false };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never, it_value: after };
        timerfd_settime(fd, TimerfdTimerFlags::empty(), &once).is_ok()
    }
}
