//! A bad link around any device (feature `sim`): it delays, loses, repeats, reorders, corrupts and marks packets, and
//! has a rate, a queue, a policer, an MTU and dark times of its own, each way by a [`LinkConfig`], as a seed says.
//!
//! In front of a TUN, with the kernel behind it, it makes a real path bad in real time. In memory, on tokio's paused
//! clock and a current-thread runtime, it makes a test of a protocol over real TCP that is over in milliseconds and the
//! same each time:
//!
//! ```
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use carrick::device::impaired::{LinkConfig, stacks};
//! use carrick::{TcpListener, TcpStream};
//! use std::time::Duration;
//!
//! # /*
//! #[tokio::test(start_paused = true)]
//! # */
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> std::io::Result<()> { my_protocol_survives().await }
//! async fn my_protocol_survives() -> std::io::Result<()> {
//!     let bad = LinkConfig { loss: 50_000, ..LinkConfig::delayed(Duration::from_millis(20)) }; // 5 %
//!     let (server, client, _link) = stacks(&bad, 7)?;
//!     let listener = TcpListener::bind(&server, "192.0.2.1:7").await?;
//!     tokio::spawn(async move { my_server(listener.accept().await?.0).await });
//!     let answer = my_client(TcpStream::connect(&client, "192.0.2.1:7").await?).await?;
//!     assert_eq!(answer, "HELLO");
//!     Ok(())
//! }
//! # async fn my_server(mut stream: TcpStream) -> std::io::Result<()> {
//! #     let mut text = String::new();
//! #     stream.read_to_string(&mut text).await?;
//! #     stream.write_all(text.to_uppercase().as_bytes()).await
//! # }
//! # async fn my_client(mut stream: TcpStream) -> std::io::Result<String> {
//! #     stream.write_all(b"hello").await?;
//! #     stream.shutdown().await?;
//! #     let mut text = String::new();
//! #     stream.read_to_string(&mut text).await?;
//! #     Ok(text)
//! # }
//! ```
//!
//! `start_paused` needs tokio's feature `test-util`. There is [a guide](crate::guide::bad_link) to tests of this kind.
//!
//! # What is the same each time
//!
//! All of it, each packet and each time, if all chance comes from seeds (the link's, and
//! [`seed_for_tests`](crate::StackBuilder::seed_for_tests) for each stack), the runtime has one thread, and its clock
//! was paused before it started (`start_paused`). With several threads, or in real time, the link still draws the same
//! numbers, but for packets that leave when the threads please.
//!
//! # Packets, not super-segments
//!
//! To its stack the device is plain: every packet fits the MTU and has finished checksums, so that a loss is the loss
//! of one packet and a changed byte is noticed. What the device behind it can do is not used on the way out. What that
//! receives as a super-segment is cut into packets before any of them sets out.
//!
//! Where the device behind completes checksums, what was corrupted on the way out is
//! [refused](LinkCounters::refused) instead of sent: nobody behind it would notice. What was corrupted on the way in is
//! for the stack to discard.
//!
//! # Time
//!
//! No packet arrives early. On a clock that runs, on Linux, it arrives some tens of microseconds after it was due, if a
//! processor is free; what is due within 50 µs may come together. That takes a wake-up for each packet, or each 50 µs.
//!
//! A paused clock moves in whole milliseconds, as tokio's timers do: no packet is then a whole millisecond late, and
//! those due within the same millisecond come together, in order. On other systems the same timers serve in real time
//! too, and a packet may be two milliseconds late; so it is in a program that aborts on panics, and in a runtime
//! without I/O driver. What tokio says of that, once for each direction, is a panic that is caught.
//!
//! The stack is told when a packet was due, so that it takes those that come together for as far apart as they were. So
//! the rate of a [`Bottleneck`] is exact, though packets may come in heaps, and its queue is as long as it would be.
//!
//! # A real path
//!
//! A DSL line, with the kernel (behind a TUN) or another stack on the far side of it:
//!
//! ```
//! use carrick::device::impaired::{Aqm, Bottleneck, CoDel, LinkConfig, PathMtu, QueueLimit, pair};
//! use std::time::Duration;
//!
//! let line = |rate| LinkConfig {
//!     bottleneck: Some(Bottleneck {
//!         queue: QueueLimit::Packets(200),
//!         aqm: Aqm::CoDel(CoDel::default()),
//!         ..Bottleneck::new(rate)
//!     }),
//!     mtu: Some(PathMtu::told(1492)),
//!     ..LinkConfig::delayed(Duration::from_millis(15))
//! };
//! let (device, _other) = pair(&LinkConfig::default(), 7);
//! let link = device.control();
//! link.set_outward(line(10_000_000));
//! link.set_inward(line(50_000_000));
//! ```
//!
//! What a [`PathMtu`]'s router has to say goes back over the other direction's link. A kernel that checks where packets
//! come from believes it only if it would reach the router's address through the same interface.
//!
//! # What does not fit
//!
//! Sending never has to wait. What is under way in a direction is bounded by [`LinkConfig::capacity`], and a packet
//! beyond that is dropped and counted, as by a router; so is what the device behind does not take in time. What that
//! fails to send, and what it receives and can make nothing of, is counted as [`LinkCounters::refused`].
//!
//! The stack sees the link, not the device behind it: until that ends,
//! [`device_status`](crate::Stack::device_status) and [`counters`](crate::Stack::counters) say nothing of how it fares.

mod carrier;
mod timer;
mod wire;

use super::memory::{self, MemoryConfig, MemoryDevice};
use super::{Capabilities, Device, Inbox, Meta, Packet};
use crate::Stack;
use bytes::BytesMut;
use carrick_core::{Cidr, Instant};
use carrick_sim::{Link, Packet as Carried, Rng};
use carrier::Carrier;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use timer::Timer;
use tokio::runtime::Handle;

pub use carrick_sim::{
    Aqm, Blackouts, Bottleneck, Bursts, CoDel, LinkConfig, LinkCounters, PathMtu, Policer, QueueLimit, Router,
};

/// A device behind a bad link.
///
/// A task of its own, which the first call of [`poll_recv`](Device::poll_recv) starts, moves what is under way to the
/// device behind. It ends with that device, or when the `Impaired` has been dropped and all that was under way has
/// arrived. An end of the device behind travels behind the packets that came before it.
///
/// # Examples
/// ```
/// use carrick::device::Device;
/// use carrick::device::impaired::{Impaired, LinkConfig};
/// use carrick::device::memory::{MemoryConfig, pair};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (device, _other_end) = pair(MemoryConfig::plain(1500));
/// let bad = Impaired::new(device, &LinkConfig { loss: 10_000, ..LinkConfig::default() }, 7);
/// println!("{}", bad.description());
/// # }
/// ```
pub struct Impaired {
    ways: Arc<Ways>,
    capabilities: Capabilities,
    description: String,
    /// Until somebody receives.
    carrier: Mutex<Option<Carrier>>,
    /// Until the next packet arrives.
    timer: Mutex<Timer>,
}

impl Impaired {
    /// Puts a link with the same settings both ways before `device`. All that happens on it depends on `seed`.
    ///
    /// # Examples
    /// Between a stack and the kernel (Linux):
    /// ```no_run
    /// use carrick::Stack;
    /// use carrick::device::Tun;
    /// use carrick::device::impaired::{Impaired, LinkConfig};
    /// use std::time::Duration;
    ///
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// let tun = Tun::builder().host("192.0.2.1/24".parse()?).build()?;
    /// let bad = LinkConfig { loss: 10_000, ..LinkConfig::delayed(Duration::from_millis(20)) };
    /// let device = Impaired::new(tun, &bad, 7);
    /// let stack = Stack::builder().address("192.0.2.2/24".parse()?).device(device).build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn new(device: impl Device, both_ways: &LinkConfig, seed: u64) -> Self {
        Self::asymmetric(device, both_ways.clone(), both_ways.clone(), seed)
    }

    /// As [`new`](Self::new), with different settings for what is sent (`outward`) and received (`inward`).
    ///
    /// # Examples
    /// ```
    /// use carrick::device::Device;
    /// use carrick::device::impaired::{Impaired, LinkConfig};
    /// use carrick::device::memory::{MemoryConfig, pair};
    /// use std::time::Duration;
    ///
    /// let (left, _right) = pair(MemoryConfig::plain(1500));
    /// // Up is slow, and down loses 1 %.
    /// let (up, down) = (LinkConfig::delayed(Duration::from_millis(80)), LinkConfig { loss: 10_000, ..LinkConfig::default() });
    /// let device = Impaired::asymmetric(left, up, down, 7);
    /// assert!(device.description().ends_with("behind a bad link"));
    /// ```
    #[must_use]
    pub fn asymmetric(device: impl Device, outward: LinkConfig, inward: LinkConfig, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let behind = device.capabilities();
        let ways = Arc::new(Ways {
            origin: tokio::time::Instant::now(),
            outward: Way::new(Link::new(outward, rng.fork())),
            inward: Way::new(Link::new(inward, rng.fork())),
        });
        Self {
            capabilities: Capabilities::plain(behind.mtu),
            description: format!("{} behind a bad link", device.description()),
            carrier: Mutex::new(Some(Carrier::new(Box::new(device), Arc::clone(&ways)))),
            timer: Mutex::default(),
            ways,
        }
    }

    /// Something to change the link with, and to ask what it has done, once the device is the stack's.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use carrick::Stack;
    /// use carrick::device::impaired::{Impaired, LinkConfig};
    /// use carrick::device::memory::{MemoryConfig, pair};
    ///
    /// let (left, _right) = pair(MemoryConfig::plain(1500));
    /// let device = Impaired::new(left, &LinkConfig::default(), 7);
    /// let link = device.control();
    /// let stack = Stack::builder().address("192.0.2.1/24".parse()?).device(device).build()?;
    /// link.set_outward(LinkConfig { loss: 10_000, ..LinkConfig::default() });
    /// # let _ = stack;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn control(&self) -> LinkControl {
        LinkControl(Arc::clone(&self.ways))
    }
}

/// Two devices joined in memory by a link with the same settings both ways, MTU 1,500: what one sends the other
/// receives.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use carrick::Stack;
/// use carrick::device::impaired::{LinkConfig, pair};
///
/// let (left, right) = pair(&LinkConfig { loss: 10_000, ..LinkConfig::default() }, 7);
/// let near = Stack::builder().address("192.0.2.1/24".parse()?).device(left).build()?;
/// let far = Stack::builder().address("192.0.2.2/24".parse()?).device(right).build()?;
/// # let _ = (near, far);
/// # Ok(()) }
/// ```
#[must_use]
pub fn pair(both_ways: &LinkConfig, seed: u64) -> (Impaired, MemoryDevice) {
    let (left, right) = memory::pair(MemoryConfig::plain(1500));
    (Impaired::new(left, both_ways, seed), right)
}

/// Two stacks joined by such a [`pair`], the server's first, and what changes the link: outward is from server to
/// client. The server has the addresses 192.0.2.1 and 2001:db8::1, the client 192.0.2.2 and 2001:db8::2, and all their
/// randomness comes from `seed`, so that they are for tests alone.
///
/// # Errors
/// As [`StackBuilder::build`](crate::StackBuilder::build).
///
/// # Panics
/// As [`StackBuilder::build`](crate::StackBuilder::build).
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> std::io::Result<()> {
/// use carrick::device::impaired::{LinkConfig, stacks};
/// use carrick::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// let (server, client, _link) = stacks(&LinkConfig::delayed(Duration::from_millis(20)), 7)?;
/// let listener = TcpListener::bind(&server, "192.0.2.1:80").await?;
/// let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&client, "192.0.2.1:80"));
/// assert_eq!(accepted?.1, connected?.local_addr()?);
/// # Ok(()) }
/// ```
pub fn stacks(both_ways: &LinkConfig, seed: u64) -> io::Result<(Stack, Stack, LinkControl)> {
    let (left, right) = pair(both_ways, seed);
    let control = left.control();
    let mut rng = Rng::new(!seed);
    let mut builder = |host: u8| {
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into());
        Stack::builder()
            .address(Cidr::new(Ipv4Addr::new(192, 0, 2, host).into(), 24))
            .address(Cidr::new(v6.into(), 64))
            .seed_for_tests(rng.seed())
    };
    Ok((builder(1).device(left).build()?, builder(2).device(right).build()?, control))
}

/// Changes a link while it is in use, and tells what it has done. Cloning it is cheap; it keeps nothing running.
///
/// # Examples
/// A path that is interrupted for a minute:
/// ```
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use carrick::device::impaired::{LinkConfig, stacks};
/// use carrick::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> std::io::Result<()> {
/// let (server, client, link) = stacks(&LinkConfig::default(), 7)?;
/// let listener = TcpListener::bind(&server, "192.0.2.1:7").await?;
/// let mut stream = TcpStream::connect(&client, "192.0.2.1:7").await?;
/// let mut accepted = listener.accept().await?.0;
///
/// let dead = LinkConfig { loss: 1_000_000, ..LinkConfig::default() };
/// link.set_outward(dead.clone());
/// link.set_inward(dead);
/// stream.write_all(b"are you there?").await?;
/// tokio::time::sleep(Duration::from_secs(60)).await;
/// assert!(link.inward().lost > 1, "it was sent again and again");
/// link.set_outward(LinkConfig::default());
/// link.set_inward(LinkConfig::default());
/// let mut text = [0; 14];
/// accepted.read_exact(&mut text).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct LinkControl(Arc<Ways>);

impl LinkControl {
    /// Changes what happens to packets that are sent from now on.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::impaired::{LinkConfig, pair};
    ///
    /// let (left, _right) = pair(&LinkConfig::default(), 7);
    /// let link = left.control();
    /// link.set_outward(LinkConfig { loss: 50_000, ..LinkConfig::default() }); // 5 %
    /// ```
    pub fn set_outward(&self, config: LinkConfig) {
        self.0.outward.set(config);
    }

    /// Changes what happens to packets that are received from now on.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::impaired::{LinkConfig, pair};
    ///
    /// let (left, _right) = pair(&LinkConfig::default(), 7);
    /// let link = left.control();
    /// link.set_inward(LinkConfig { reorder: 50_000, ..LinkConfig::default() }); // 5 %
    /// ```
    pub fn set_inward(&self, config: LinkConfig) {
        self.0.inward.set(config);
    }

    /// What has happened to packets that were sent.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::impaired::{LinkConfig, pair};
    ///
    /// let (left, _right) = pair(&LinkConfig::default(), 7);
    /// let link = left.control();
    /// assert_eq!(link.outward().sent, 0, "nobody has sent anything yet");
    /// ```
    #[must_use]
    pub fn outward(&self) -> LinkCounters {
        self.0.outward.state.lock().link.counters()
    }

    /// What has happened to packets that were received.
    ///
    /// # Examples
    /// ```
    /// use carrick::device::impaired::{LinkConfig, pair};
    ///
    /// let (left, _right) = pair(&LinkConfig::default(), 7);
    /// let link = left.control();
    /// assert_eq!((link.inward().lost, link.inward().refused), (0, 0));
    /// ```
    #[must_use]
    pub fn inward(&self) -> LinkCounters {
        self.0.inward.state.lock().link.counters()
    }
}

impl fmt::Debug for LinkControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outward, inward) = (self.outward(), self.inward());
        f.debug_struct("LinkControl").field("outward", &outward).field("inward", &inward).finish()
    }
}

impl Device for Impaired {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        if let Some(carrier) = self.carrier.lock().take() {
            Handle::try_current().map_err(io::Error::other)?.spawn(carrier);
        }
        let mut delivered = false;
        let mut now = self.ways.now();
        loop {
            match self.ways.inward.next(now, cx.waker()) {
                Next::Arrived(due, packet) => {
                    delivered = true;
                    let checksum = packet.checksum;
                    let received_at = self.ways.tokio_instant(due);
                    let meta = Meta { checksum, segment_size: None, received_at };
                    if inbox.received_frame(packet.bytes, meta).is_break() {
                        return Poll::Ready(Ok(()));
                    }
                }
                _ if delivered => return Poll::Ready(Ok(())),
                Next::Ended => return Poll::Ready(Err(self.ways.inward.take_error())),
                Next::Nothing => return Poll::Pending,
                Next::Due(at) => {
                    ready!(self.timer.lock().poll_until(self.ways.tokio_instant(at), cx));
                    now = self.ways.now();
                }
            }
        }
    }

    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        if packet.segment_size.is_some() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut whole = BytesMut::new();
        packet.copy_to(&mut whole);
        self.ways.send_outward(self.ways.now(), Carried::new(whole));
        Ok(())
    }

    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Impaired {
    fn drop(&mut self) {
        self.ways.outward.end(None);
        self.ways.inward.abandon();
    }
}

impl fmt::Debug for Impaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impaired").field("description", &self.description).finish_non_exhaustive()
    }
}

/// Both directions, and since when time is counted.
struct Ways {
    origin: tokio::time::Instant,
    outward: Way,
    inward: Way,
}

impl Ways {
    fn now(&self) -> Instant {
        self.instant(tokio::time::Instant::now())
    }

    fn send_outward(&self, now: Instant, packet: Carried) {
        for answer in self.outward.push(now, packet) {
            self.inward.push(now, answer);
        }
    }

    fn send_inward(&self, now: Instant, packet: Carried) {
        for answer in self.inward.push(now, packet) {
            self.outward.push(now, answer);
        }
    }

    fn instant(&self, at: tokio::time::Instant) -> Instant {
        Instant::ZERO + at.saturating_duration_since(self.origin)
    }

    /// None if that is too far off ever to come.
    fn tokio_instant(&self, at: Instant) -> Option<tokio::time::Instant> {
        if at == Instant::NEVER { None } else { self.origin.checked_add(at.since(Instant::ZERO)) }
    }
}

/// One direction. Whoever takes packets out has a timer until the next arrives, and is woken if another comes before
/// it.
struct Way {
    state: Mutex<State>,
}

struct State {
    link: Link,
    taker: Option<Waker>,
    /// No more packets will set out.
    ended: bool,
    /// Nobody takes any out.
    abandoned: bool,
    error: Option<io::Error>,
}

/// What there is to take out of a [`Way`]. The waker has been left where that is nothing.
enum Next {
    /// A packet, and since when it has been there.
    Arrived(Instant, Carried),
    /// Nothing before that time.
    Due(Instant),
    Nothing,
    /// And nothing will come.
    Ended,
}

impl Way {
    const fn new(link: Link) -> Self {
        let state = State { link, taker: None, ended: false, abandoned: false, error: None };
        Self { state: Mutex::new(state) }
    }

    /// A packet sets out; what a router says to its sender, for the other way. To that nobody says anything.
    fn push(&self, now: Instant, packet: Carried) -> Vec<Carried> {
        let mut state = self.state.lock();
        if state.ended || state.abandoned {
            return Vec::new();
        }
        let before = state.link.next_arrival();
        state.link.send(now, packet);
        let answers = std::iter::from_fn(|| state.link.take_answer()).collect();
        let sooner = state.link.next_arrival().is_some_and(|next| before.is_none_or(|before| next < before));
        let taker = if sooner { state.taker.take() } else { None };
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
        answers
    }

    /// What is under way may now arrive sooner.
    fn set(&self, config: LinkConfig) {
        let mut state = self.state.lock();
        state.link.set(config);
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
    }

    fn note_refused(&self) {
        self.state.lock().link.note_refused();
    }

    fn next(&self, now: Instant, waker: &Waker) -> Next {
        let mut state = self.state.lock();
        if let Some((due, packet)) = state.link.receive_due(now) {
            return Next::Arrived(due, packet);
        }
        let due = state.link.next_arrival();
        if due.is_none() && state.ended {
            return Next::Ended;
        }
        let old = state.leave(waker);
        drop(state);
        drop(old);
        due.map_or(Next::Nothing, Next::Due)
    }

    /// Whether nothing more will set out; if something may, leaves the waker for that end too.
    fn has_ended(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        let old = if state.ended { None } else { state.leave(waker) };
        let ended = state.ended;
        drop(state);
        drop(old);
        ended
    }

    /// Nothing more sets out, for that reason; what is under way arrives.
    fn end(&self, error: Option<io::Error>) {
        let taker = {
            let mut state = self.state.lock();
            if !state.ended {
                state.ended = true;
                state.error = error;
            }
            state.taker.take()
        };
        if let Some(taker) = taker {
            taker.wake();
        }
    }

    /// Why nothing will come, for whoever has seen the [end](Next::Ended) and tells of it.
    fn take_error(&self) -> io::Error {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the other end of the link is gone");
        self.state.lock().error.take().unwrap_or_else(gone)
    }

    /// Nobody takes out anything more.
    fn abandon(&self) {
        let mut state = self.state.lock();
        state.abandoned = true;
        while state.link.receive(Instant::NEVER).is_some() {}
        let taker = state.taker.take();
        drop(state);
        drop(taker);
    }
}

impl State {
    /// Gives the waker that was there before, to be dropped under no lock.
    fn leave(&mut self, waker: &Waker) -> Option<Waker> {
        if self.taker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            None
        } else {
            self.taker.replace(waker.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrick_sim::{Span, at};

    /// Seen: a packet was said to have arrived when its turn had come to be sent, if the one before it had been lost.
    #[test]
    fn a_packet_arrives_when_its_last_bit_does() {
        let config = LinkConfig {
            bottleneck: Some(Bottleneck::new(8_000_000)),
            blackouts: Blackouts::At(vec![1500.us()..2500.us()]),
            ..LinkConfig::default()
        };
        let way = Way::new(Link::new(config, Rng::new(1)));
        for _ in 0..3 {
            way.push(Instant::ZERO, Carried::new(vec![7; 1000]));
        }
        let arrived = |now| match way.next(at(now), Waker::noop()) {
            Next::Arrived(due, _) => Some(due),
            _ => None,
        };
        assert_eq!(arrived(1200.us()), Some(at(1.ms())));
        assert_eq!(arrived(1200.us()), None);
        assert_eq!(arrived(3500.us()), Some(at(3.ms())), "the second went in the dark");
        assert_eq!(arrived(3500.us()), None);
    }
}
