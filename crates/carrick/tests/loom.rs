//! Every interleaving of the hand-overs in `src/kernel.rs`, which this file includes with loom's locks and
//! atomics in place of the real ones. For each there is a variant with the crucial step left out, which must be
//! caught: so the model can see what it is there to see.

#[path = "../src/kernel.rs"]
#[allow(dead_code, reason = "the models use what they need of it")]
mod kernel;

/// What `src/sync.rs` is to the crate.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }
        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no model panics under a lock")
        }
    }
}

use kernel::{AcceptQueue, Popped, Retiring, Seldom, Signal, Word};
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Wake, Waker};
use sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

/// Runs a model that must fail.
fn must_fail(what: &str, model: impl Fn() + Sync + Send + 'static) {
    let result = catch_unwind(AssertUnwindSafe(|| loom::model(model)));
    assert!(result.is_err(), "loom did not notice: {what}");
}

/// A waker that counts.
#[derive(Default)]
struct Wakes(std::sync::atomic::AtomicUsize);

impl Wake for Wakes {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Wakes {
    fn any(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed) > 0
    }
}

/// The device task looks for work and goes to sleep, while `streams` leave work for it: once all have, it is
/// awake, or has been woken, or has seen everything.
fn wake_up(streams: usize, look_again: bool) {
    let signal = Arc::new(Signal::new());
    let work = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..streams)
        .map(|_| {
            let (signal, work) = (signal.clone(), work.clone());
            thread::spawn(move || {
                work.fetch_add(1, Ordering::AcqRel);
                signal.raise();
            })
        })
        .collect();
    let wakes = std::sync::Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut asleep = false;
    signal.lower();
    let seen = work.load(Ordering::Acquire);
    if seen < streams {
        signal.register(&waker);
        asleep = !(look_again && signal.is_raised());
    }
    for thread in threads {
        thread.join().expect("the stream's thread ends");
    }
    assert!(!asleep || wakes.any(), "it sleeps, has seen {seen} of {streams}, and nobody wakes it");
}

#[test]
fn t_asy_4_the_device_task_misses_no_wake_up() {
    loom::model(|| wake_up(1, true));
    // With two streams there are millions of orders; those with up to three forced switches are enough to
    // find a fault and take a second.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| wake_up(2, true));
    carrick_covers::covers!("T-ASY-4");
}

#[test]
fn t_asy_4_without_the_last_look_a_wake_up_is_lost() {
    must_fail("a lost wake-up", || wake_up(1, false));
}

/// A cell as `cell.rs` has it: what can be read and who waits for it are under one lock.
#[derive(Default)]
struct Reading {
    bytes: usize,
    waker: Option<Waker>,
}

/// A stream reads while the device task delivers.
fn read(one_hold: bool) {
    let cell = Arc::new(Mutex::new(Reading::default()));
    let device = {
        let cell = cell.clone();
        thread::spawn(move || {
            let waker = {
                let mut state = cell.lock();
                state.bytes += 1;
                state.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        })
    };
    let wakes = std::sync::Arc::new(Wakes::default());
    let mut asleep = false;
    {
        let mut state = cell.lock();
        if state.bytes == 0 {
            if !one_hold {
                drop(state);
                state = cell.lock();
            }
            state.waker = Some(wakes.clone().into());
            asleep = true;
        }
    }
    device.join().expect("the device's thread ends");
    assert!(!asleep || wakes.any(), "bytes are there, the reader sleeps, and nobody wakes it");
}

#[test]
fn t_asy_4_a_reader_misses_no_bytes() {
    loom::model(|| read(true));
    carrick_covers::covers!("T-ASY-4");
}

#[test]
fn t_asy_4_with_the_lock_dropped_between_it_would() {
    must_fail("a lost wake-up", || read(false));
}

/// The endpoint's table with one connection, and what became of a segment for it.
struct Table {
    connection: bool,
}

/// Takes the endpoint's lock as `Shared::net` does.
fn net<'a>(
    net: &'a Mutex<Table>,
    retiring: &Retiring<()>,
    hear_first: bool,
) -> loom::sync::MutexGuard<'a, Table> {
    let mut table = net.lock();
    if hear_first {
        retiring.take(|()| table.connection = false);
    }
    table
}

/// The application ends a connection while a segment for it is dispatched.
fn retire(hear_first: bool) {
    struct World {
        net: Mutex<Table>,
        /// Whether the connection has ended.
        cell: Mutex<bool>,
        retiring: Retiring<()>,
        taken: AtomicBool,
    }
    let world = Arc::new(World {
        net: Mutex::new(Table { connection: true }),
        cell: Mutex::new(false),
        retiring: Retiring::new(),
        taken: AtomicBool::new(false),
    });
    let application = {
        let world = world.clone();
        thread::spawn(move || {
            {
                let mut ended = world.cell.lock();
                world.retiring.push(());
                *ended = true;
            }
            // Never under the cell's lock.
            let mut table = net(&world.net, &world.retiring, hear_first);
            world.retiring.take(|()| table.connection = false);
        })
    };
    let dispatch = || {
        let found = net(&world.net, &world.retiring, hear_first).connection;
        if !found {
            // Answered by the endpoint: nobody is there.
            return true;
        }
        let ended = world.cell.lock();
        if !*ended {
            world.taken.store(true, Ordering::Relaxed);
        }
        !*ended
    };
    if !dispatch() {
        assert!(dispatch(), "a segment handed back meets the same ended connection again");
    }
    application.join().expect("the application's thread ends");
    assert!(!net(&world.net, &world.retiring, true).connection);
}

#[test]
fn a_segment_handed_back_is_dispatched_once_more_and_no_more() {
    loom::model(|| retire(true));
}

#[test]
fn unless_the_endpoint_hears_first_of_what_ended() {
    must_fail("a segment handed back twice", || retire(false));
}

/// A handshake completes while its listener ends. Counts what became of the connection.
fn listener_ends(refuse_when_closed: bool) {
    struct World {
        /// Whether the endpoint has the listener.
        net: Mutex<bool>,
        queue: AcceptQueue<u8>,
        opened: AtomicUsize,
        ended: AtomicUsize,
    }
    let world = Arc::new(World {
        net: Mutex::new(true),
        queue: AcceptQueue::new(),
        opened: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
    });
    let device = {
        let world = world.clone();
        thread::spawn(move || {
            let listening = *world.net.lock();
            if !listening {
                // The SYN's last ACK meets nobody: reset by the endpoint.
                return;
            }
            world.opened.fetch_add(1, Ordering::Relaxed);
            match world.queue.push(7) {
                Ok(waker) => drop(waker),
                // The listener ended between the two steps: aborted here.
                Err(_) if refuse_when_closed => {
                    world.ended.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {}
            }
        })
    };
    *world.net.lock() = false;
    let (unaccepted, waker) = world.queue.close();
    world.ended.fetch_add(unaccepted.len(), Ordering::Relaxed);
    drop(waker);
    device.join().expect("the device's thread ends");
    assert_eq!(world.queue.pop(None), Popped::Closed);
    assert_eq!(
        world.opened.load(Ordering::Relaxed),
        world.ended.load(Ordering::Relaxed),
        "an opened connection that nobody accepts is aborted, once"
    );
}

#[test]
fn t_lif_15_a_connection_opened_while_its_listener_ends() {
    loom::model(|| listener_ends(true));
}

#[test]
fn t_lif_15_would_be_forgotten_by_who_ignores_the_refusal() {
    must_fail("a connection that nobody owns", || listener_ends(false));
}

/// A listener is born while a SYN arrives: from the moment `listen` has returned no SYN meets a reset.
#[test]
fn t_lif_15_a_syn_after_bind_is_never_refused() {
    loom::model(|| {
        let net = Arc::new(Mutex::new(false));
        let bound = Arc::new(AtomicBool::new(false));
        let application = {
            let (net, bound) = (net.clone(), bound.clone());
            thread::spawn(move || {
                *net.lock() = true;
                bound.store(true, Ordering::Release);
            })
        };
        let bound_before = bound.load(Ordering::Acquire);
        let found = *net.lock();
        assert!(found || !bound_before, "a SYN met a reset although bind had returned");
        application.join().expect("the application's thread ends");
    });
}

/// An acceptor waits while a connection is pushed, and while the listener ends.
fn accept(push: bool) {
    let queue = Arc::new(AcceptQueue::new());
    let device = {
        let queue = queue.clone();
        thread::spawn(move || {
            let waker = if push { queue.push(7).expect("it is open") } else { queue.close().1 };
            if let Some(waker) = waker {
                waker.wake();
            }
        })
    };
    let popped = block_on(poll_fn(|cx| match queue.pop(Some(cx.waker())) {
        Popped::Empty => Poll::Pending,
        popped => Poll::Ready(popped),
    }));
    assert_eq!(popped, if push { Popped::Item(7, false) } else { Popped::Closed });
    device.join().expect("the device's thread ends");
}

#[test]
fn t_asy_4_an_acceptor_misses_no_connection() {
    loom::model(|| accept(true));
    carrick_covers::covers!("T-ASY-4");
}

#[test]
fn t_asy_4_an_acceptor_is_told_of_the_end() {
    loom::model(|| accept(false));
}

/// tokio's `Notify`, as far as the streams use it: who has begun to listen hears of every later call.
#[derive(Default)]
struct Bell(Mutex<Rung>);

#[derive(Default)]
struct Rung {
    times: usize,
    waiters: Vec<Waker>,
}

impl Bell {
    /// `Notify::notified`.
    fn begin(&self) -> usize {
        self.0.lock().times
    }

    /// Polls what `Notify::notified` gave: true if it has been rung since, else the waker is kept.
    fn rung_since(&self, begun: usize, waker: Waker) -> bool {
        let mut rung = self.0.lock();
        let since = rung.times != begun;
        if !since {
            rung.waiters.push(waker);
        }
        since
    }

    /// `Notify::notify_waiters`.
    fn ring(&self) {
        let waiters = {
            let mut rung = self.0.lock();
            rung.times += 1;
            std::mem::take(&mut rung.waiters)
        };
        waiters.into_iter().for_each(Waker::wake);
    }
}

/// What `watch` leaves out.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Without {
    Nothing,
    /// Who waits listens only once it has looked.
    ListeningFirst,
    /// The device task looks who watches before it delivers, in a hold of the lock by itself.
    OneHold,
}

/// A cell as `cell.rs` has it: what can be read, and the list of those who watch, if anybody ever has.
#[derive(Default)]
struct Watched {
    bytes: usize,
    watchers: Option<Arc<Bell>>,
}

/// `waiters` wait on one stream by `TcpStream::wait` while the device task delivers: all of them learn of it.
fn watch(waiters: usize, without: Without) {
    let cell = Arc::new(Mutex::new(Watched::default()));
    let waiting: Vec<_> = (0..waiters)
        .map(|_| {
            let cell = cell.clone();
            thread::spawn(move || {
                let there = || cell.lock().bytes > 0;
                let wakes = std::sync::Arc::new(Wakes::default());
                let watchers = cell.lock().watchers.get_or_insert_default().clone();
                let before = watchers.begin();
                if there() {
                    return None;
                }
                let begun = if without == Without::ListeningFirst { watchers.begin() } else { before };
                let awake = watchers.rung_since(begun, wakes.clone().into());
                (!awake).then_some(wakes)
            })
        })
        .collect();
    let early = (without == Without::OneHold).then(|| cell.lock().watchers.clone());
    let watchers = {
        let mut state = cell.lock();
        state.bytes += 1;
        early.unwrap_or_else(|| state.watchers.clone())
    };
    if let Some(watchers) = watchers {
        watchers.ring();
    }
    for waiter in waiting {
        let asleep = waiter.join().expect("the waiter's thread ends");
        assert!(
            asleep.is_none_or(|wakes| wakes.any()),
            "bytes are there, a watcher sleeps, and nobody wakes it"
        );
    }
}

#[test]
fn t_asy_5_every_watcher_of_a_stream_is_told() {
    loom::model(|| watch(1, Without::Nothing));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| watch(2, Without::Nothing));
    carrick_covers::covers!("T-ASY-5");
}

#[test]
fn t_asy_5_who_looks_before_listening_is_not() {
    must_fail("a watcher that is never told", || watch(1, Without::ListeningFirst));
}

#[test]
fn t_asy_5_nor_who_begins_to_watch_between_two_holds() {
    must_fail("a watcher that is never told", || watch(1, Without::OneHold));
}

/// `Word` whose giver looks whether it is wanted, and gives it, in two holds of the lock.
struct Hasty(Mutex<(Option<u8>, bool)>);

impl Hasty {
    fn new() -> Self {
        Self(Mutex::new((None, false)))
    }

    fn give(&self, word: u8) -> Result<(), u8> {
        if self.0.lock().1 {
            return Err(word);
        }
        self.0.lock().0 = Some(word);
        Ok(())
    }

    fn take(&self) -> Option<u8> {
        let mut inner = self.0.lock();
        inner.1 = true;
        inner.0.take()
    }
}

/// The handshake of a request completes, and its listener ends, while whoever has the request lets go of it.
macro_rules! request_is_dropped {
    ($kind:ty) => {
        || {
            let word = Arc::new(<$kind>::new());
            let released = Arc::new(AtomicUsize::new(0));
            let device = {
                let (word, released) = (word.clone(), released.clone());
                thread::spawn(move || {
                    if word.give(7).is_err() {
                        released.fetch_add(1, Ordering::Relaxed);
                    }
                })
            };
            if word.take().is_some() {
                released.fetch_add(1, Ordering::Relaxed);
            }
            device.join().expect("the device's thread ends");
            assert_eq!(released.load(Ordering::Relaxed), 1, "a connection that nobody has is reset, once");
        }
    };
}

#[test]
fn t_lif_15_a_connection_of_a_request_that_is_dropped() {
    loom::model(request_is_dropped!(Word<u8>));
}

#[test]
fn t_lif_15_would_be_forgotten_with_the_look_and_the_word_apart() {
    must_fail("a connection that nobody owns", request_is_dropped!(Hasty));
}

/// The handshake of a request completes while its listener ends: one of the two is heard.
#[test]
fn t_lif_15_one_end_of_a_request_is_heard() {
    loom::model(|| {
        let word = Arc::new(Word::new());
        let device = {
            let word = word.clone();
            thread::spawn(move || word.give(7).is_ok())
        };
        let closed = word.give(8).is_ok();
        let opened = device.join().expect("the device's thread ends");
        assert!(closed != opened, "both were heard, or neither");
        assert_eq!(word.take(), Some(if opened { 7 } else { 8 }));
        assert_eq!((word.take(), word.give(9)), (None, Err(9)));
    });
}

/// Whoever has the request waits by `Held::changed` while the device task says what has become of it.
fn request_ends(listens_first: bool) {
    let held = Arc::new((Word::new(), Bell::default()));
    let device = {
        let held = held.clone();
        thread::spawn(move || {
            held.0.give(7).expect("nobody has said anything");
            held.1.ring();
        })
    };
    let wakes = std::sync::Arc::new(Wakes::default());
    let before = held.1.begin();
    let mut asleep = false;
    if !held.0.is_settled() {
        let begun = if listens_first { before } else { held.1.begin() };
        asleep = !held.1.rung_since(begun, wakes.clone().into());
    }
    device.join().expect("the device's thread ends");
    assert!(!asleep || wakes.any(), "it is decided, whoever asked sleeps, and nobody wakes it");
}

#[test]
fn t_asy_4_whoever_holds_a_request_hears_what_becomes_of_it() {
    loom::model(|| request_ends(true));
    carrick_covers::covers!("T-ASY-4");
}

#[test]
fn t_asy_4_unless_it_listens_after_it_has_looked() {
    must_fail("a lost wake-up", || request_ends(false));
}

/// `Seldom` with the flag set after the lock has been given up.
struct Late {
    any: AtomicBool,
    inner: Mutex<Option<()>>,
}

impl Late {
    fn new() -> Self {
        Self { any: AtomicBool::new(false), inner: Mutex::new(None) }
    }

    fn is_there(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    fn with(&self, f: impl FnOnce(&mut Option<()>)) {
        let there = {
            let mut inner = self.inner.lock();
            f(&mut inner);
            inner.is_some()
        };
        self.any.store(there, Ordering::Relaxed);
    }
}

/// An outage ends on one thread while another one meets the next: the flag says what there is.
macro_rules! outage_ends_and_begins {
    ($kind:ty) => {
        || {
            let outage = Arc::new(<$kind>::new());
            outage.with(|outage| *outage = Some(()));
            let begins = {
                let outage = outage.clone();
                thread::spawn(move || outage.with(|outage| *outage = Some(())))
            };
            outage.with(|outage| *outage = None);
            begins.join().expect("the other thread ends");
            let flag = outage.is_there();
            outage.with(|outage| assert_eq!(flag, outage.is_some(), "the flag and what there is"));
        }
    };
}

#[test]
fn t_dev_3_the_flag_of_an_outage_is_right() {
    loom::model(outage_ends_and_begins!(Seldom<()>));
}

#[test]
fn t_dev_3_unless_it_is_set_after_the_lock() {
    must_fail("a flag that contradicts what there is", outage_ends_and_begins!(Late));
}
