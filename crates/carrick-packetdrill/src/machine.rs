//! Whose turn it is, and how time passes: calls that wait, on two threads, in virtual time.
//!
//! The tool plays its script on one thread, the *main* one. A call that the script expects to last is made on a second
//! thread, while the main one goes on to inject packets and to let time pass. Time passes only here:
//!
//! * each look at the clock takes a microsecond, since the tool waits by looking at it;
//! * sleeping, and waiting for a packet, go from timer to timer, and stamp packets with the time at which they left;
//! * what makes the second thread's call ready stops everything until that thread has taken the result and looked at
//!   the clock, so that its call ends when it should and not whenever the thread is scheduled;
//! * sleeping, for which the tool gives up its lock, ends when the second thread sleeps as well: what it has to note of
//!   its call for the script is noted then;
//! * a call that must wait on the main thread, where nobody could do anything for it, goes from timer to timer itself.

use crate::sockets::Sockets;
use carrick_core::Instant;
use rustix::thread::{Pid, gettid};
use std::fs;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, ThreadId};
use std::time::Duration;

/// How long a look at the clock takes.
const LOOK: Duration = Duration::from_micros(1);
/// How long, in real time, one thread waits for the other to do what it does at once unless it is in trouble.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long, in real time, nothing happens before a waiting call with a deadline takes it that nobody will let time
/// pass. The tool waits a second for such a call, and then gives up.
const ABANDONED: Duration = Duration::from_millis(400);

/// Sockets, a clock, and who waits.
#[derive(Debug)]
pub struct Machine {
    main: ThreadId,
    inner: Mutex<Inner>,
    bell: Condvar,
}

#[derive(Debug)]
struct Inner {
    sockets: Sockets,
    waiting: Option<Waiting>,
    /// The second thread has a result and has not looked at the clock since.
    handing_over: bool,
    /// The second thread, where it may not have noted its result yet.
    noting: Option<Pid>,
    /// Changes with everything that the main thread does.
    moves: u64,
}

/// Tries a call again.
type Attempt = dyn FnMut(&mut Sockets, bool) -> bool + Send;

/// A call of the second thread's that waits.
struct Waiting {
    /// Tries again, saying whether it is late; gives whether the call is done.
    attempt: Box<Attempt>,
    deadline: Option<Instant>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine whose main thread is the one that calls.
    #[must_use]
    pub fn new(sockets: Sockets) -> Self {
        let inner = Inner { sockets, waiting: None, handing_over: false, noting: None, moves: 0 };
        Self { main: thread::current().id(), inner: Mutex::new(inner), bell: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_main() {
            inner.moves += 1;
        }
        inner
    }

    fn is_main(&self) -> bool {
        thread::current().id() == self.main
    }

    /// A call that never waits.
    pub fn with<T>(&self, act: impl FnOnce(&mut Sockets) -> T) -> T {
        let mut inner = self.lock();
        let result = act(&mut inner.sockets);
        drop(self.hand_over(inner));
        result
    }

    /// A call that may wait: `attempt` is made until it is ready. At the time that `deadline` gives it is told that it
    /// is late, and must be ready then.
    pub fn call<T: Send + 'static>(
        &self,
        deadline: impl FnOnce(&Sockets) -> Option<Instant>,
        mut attempt: impl FnMut(&mut Sockets, bool) -> Poll<T> + Send + 'static,
    ) -> T {
        let mut inner = self.lock();
        let deadline = deadline(&inner.sockets);
        let late = deadline.is_some_and(|at| at <= inner.sockets.now());
        if let Poll::Ready(result) = attempt(&mut inner.sockets, late) {
            drop(self.hand_over(inner));
            return result;
        }
        if self.is_main() {
            self.wait_here(inner, deadline, attempt)
        } else {
            self.wait_aside(inner, deadline, attempt)
        }
    }

    /// Lets time pass until the call is ready, for nothing else can happen meanwhile.
    fn wait_here<'a, T>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut Sockets, bool) -> Poll<T>,
    ) -> T {
        loop {
            let next = inner.next();
            let next = [next, deadline].into_iter().flatten().min();
            let late = match next {
                Some(next) => {
                    inner = self.pass(inner, next);
                    deadline.is_some_and(|at| at <= inner.sockets.now())
                }
                None => {
                    eprintln!("carrick: a call waits for what can never happen");
                    true
                }
            };
            if let Poll::Ready(result) = attempt(&mut inner.sockets, late) {
                return result;
            }
            assert!(!late, "a call that is late must end");
        }
    }

    /// Waits while the main thread goes on.
    fn wait_aside<T: Send + 'static>(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut Sockets, bool) -> Poll<T> + Send + 'static,
    ) -> T {
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        let attempt = move |sockets: &mut Sockets, late: bool| match attempt(sockets, late) {
            Poll::Ready(result) => {
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                true
            }
            Poll::Pending => false,
        };
        inner.waiting = Some(Waiting { attempt: Box::new(attempt), deadline });
        loop {
            if let Some(result) = result.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return result;
            }
            let moves = inner.moves;
            inner = match deadline {
                None => self.bell.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let woken = self.bell.wait_timeout(inner, ABANDONED);
                    let (mut inner, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() && inner.moves == moves && inner.waiting.is_some() {
                        inner.run_until(at);
                    }
                    inner
                }
            };
        }
    }

    /// If the waiting call is ready now, lets it end before anything else happens.
    fn hand_over<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        if self.is_main() && inner.try_waiting() {
            inner.handing_over = true;
            self.bell.notify_all();
            while inner.handing_over {
                let woken = self.bell.wait_timeout(inner, PATIENCE);
                let (guard, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
                inner = guard;
                if timeout.timed_out() {
                    eprintln!("carrick: a call has ended, and its thread does not go on");
                    inner.handing_over = false;
                }
            }
        }
        inner
    }

    /// Time passes until `until`, from timer to timer.
    fn pass<'a>(&'a self, mut inner: MutexGuard<'a, Inner>, until: Instant) -> MutexGuard<'a, Inner> {
        while let Some(next) = inner.next().filter(|next| *next < until) {
            inner.sockets.advance(next);
            inner = self.hand_over(inner);
        }
        inner.sockets.advance(until);
        self.hand_over(inner)
    }

    /// `usleep`.
    pub fn sleep(&self, duration: Duration) {
        let mut inner = self.lock();
        if let Some(second) = inner.noting.take_if(|_| self.is_main()) {
            drop(inner);
            wait_asleep(second);
            inner = self.lock();
        }
        let until = inner.sockets.now() + duration;
        drop(self.pass(inner, until));
    }

    /// `gettimeofday`.
    pub fn now(&self) -> Instant {
        let mut inner = self.lock();
        if !self.is_main() && inner.handing_over {
            // What follows is this thread's, at this very moment.
            inner.handing_over = false;
            inner.noting = Some(gettid());
            self.bell.notify_all();
            return inner.sockets.now();
        }
        let until = inner.sockets.now() + LOOK;
        self.pass(inner, until).sockets.now()
    }

    /// A packet arrives.
    pub fn inject(&self, packet: &[u8]) {
        let mut inner = self.lock();
        inner.sockets.receive(packet);
        drop(self.hand_over(inner));
    }

    /// Whether a call of the second thread's waits.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.lock().waiting.is_some()
    }

    /// The next packet that the stack sends, and when; none if there will never be one.
    pub fn emitted(&self) -> Option<(Instant, Vec<u8>)> {
        let mut inner = self.lock();
        loop {
            if let Some(packet) = inner.sockets.next_packet() {
                return Some(packet);
            }
            let next = inner.next()?;
            inner = self.pass(inner, next);
        }
    }
}

impl Inner {
    /// When something happens by itself next.
    fn next(&self) -> Option<Instant> {
        let deadline = self.waiting.as_ref().and_then(|waiting| waiting.deadline);
        [self.sockets.poll_timeout(), deadline].into_iter().flatten().min()
    }

    /// Whether there was a waiting call, and is done now.
    fn try_waiting(&mut self) -> bool {
        let Some(mut waiting) = self.waiting.take() else { return false };
        let late = waiting.deadline.is_some_and(|at| at <= self.sockets.now());
        let done = (waiting.attempt)(&mut self.sockets, late);
        if !done {
            self.waiting = Some(waiting);
        }
        done
    }

    /// Time passes until the waiting call is ready, at the latest until its deadline.
    fn run_until(&mut self, deadline: Instant) {
        while !self.try_waiting() {
            match self.next() {
                Some(next) => self.sockets.advance(next.min(deadline)),
                None => return,
            }
        }
    }
}

/// Waits until a thread of this process sleeps, which is what the state S says; the tool looks for the same.
fn wait_asleep(thread: Pid) {
    let stat = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    let began = std::time::Instant::now();
    while began.elapsed() < PATIENCE {
        // A thread that has ended has none.
        let awake = fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") S "));
        if !awake {
            return;
        }
        thread::yield_now();
    }
    eprintln!("carrick: a call has ended, and its thread does not come to rest");
}
