//! One conversation, drawn from the packets that were really there: a handshake, a question, a half-close, an answer to
//! the side that has said its last, and the close.
//!
//! Packets are let in to the stack one by one, so that both sides can be asked for their states after each. The kernel is
//! asked through `/proc/net/tcp`; it deals with a packet before the write to the TUN device returns.

use crate::tap::{Segment, Tap};
use crate::{Link, Near, differs, kernel};
use carrick::{Stack, TcpListener, TcpState, TcpStream};
use carrick_examples::rungs::{self, Part, Rungs};
use carrick_examples::{link, pattern};
use carrick_wire::{SeqNum, TcpFlags};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener as KernelListener, TcpStream as KernelStream};

const QUESTION: u64 = 100;
const ANSWER: u64 = 500;
/// The drawing's left and right side.
const FAR: usize = 0;
const NEAR: usize = 1;

/// Plays and draws it.
pub(crate) async fn play(link: &Link) -> io::Result<String> {
    let mut play = Play::new(link).await?;
    link.tap.step(true);
    let drawn = play.all().await;
    link.tap.step(false);
    if let Near::Stack(_, tap) = &link.near {
        tap.step(false);
    }
    drawn.map(|()| play.rungs.draw())
}

struct Play<'a> {
    tap: &'a Tap,
    far: FarEnd<'a>,
    near: NearEnd<'a>,
    stack: &'a Stack,
    to: SocketAddr,
    rungs: Rungs,
    began: Instant,
    states: [TcpState; 2],
    /// Each side's initial sequence number, once its SYN has been seen.
    initial: [SeqNum; 2],
    /// What each side has acknowledged, from the other's initial sequence number on.
    acknowledged: [u64; 2],
}

impl<'a> Play<'a> {
    async fn new(link: &'a Link) -> io::Result<Self> {
        let near = NearEnd::listen(&link.near).await?;
        let to = near.local_addr()?;
        let mut names = link.names();
        names.reverse();
        let title = format!("One conversation between {} and {}, packet by packet", names[FAR], names[NEAR]);
        Ok(Self {
            tap: &link.tap,
            far: FarEnd::Closed,
            near,
            stack: &link.far,
            to,
            rungs: Rungs::new(&title, names),
            began: Instant::now(),
            states: [TcpState::Closed; 2],
            initial: [SeqNum::new(0); 2],
            acknowledged: [0; 2],
        })
    }

    async fn all(&mut self) -> io::Result<()> {
        self.note(NEAR, "listens", Instant::now())?;
        let at = Instant::now();
        self.far = FarEnd::Connecting(Box::pin(TcpStream::connect(self.stack, self.to)));
        self.note(FAR, "connects", at)?;
        self.until(|play| play.states == [TcpState::Established; 2]).await?;
        self.near.accept().await?;

        let at = Instant::now();
        self.far.stream()?.write_all(&pattern::piece(0, QUESTION)).await?;
        self.note(FAR, "asks", at)?;
        self.until(|play| play.acknowledged[NEAR] > QUESTION).await?;
        expect(self.near.stream()?, 0, QUESTION).await?;

        let at = Instant::now();
        self.far.stream()?.shutdown().await?;
        self.note(FAR, "has no more to ask", at)?;
        self.until(|play| play.states[FAR] == TcpState::FinWait2).await?;
        expect_end(self.near.stream()?).await?;

        for (part, does) in (0..).zip(["answers", "has more to say"]) {
            let at = Instant::now();
            self.near.stream()?.write_all(&pattern::piece(part * ANSWER, ANSWER)).await?;
            self.note(NEAR, does, at)?;
            self.until(|play| play.acknowledged[FAR] > (part + 1) * ANSWER).await?;
            expect(self.far.stream()?, part * ANSWER, ANSWER).await?;
        }

        let at = Instant::now();
        self.near.stream()?.shutdown().await?;
        self.note(NEAR, "closes too", at)?;
        self.until(|play| play.states == [TcpState::TimeWait, TcpState::Closed]).await?;
        expect_end(self.far.stream()?).await
    }

    /// What one side has just done. What the other knows of it comes with a packet.
    fn note(&mut self, side: usize, what: &str, at: Instant) -> io::Result<()> {
        self.states[side] = if side == FAR { self.far.state()? } else { self.near.state()? };
        self.rungs.note(&self.time(at), self.states, side, what);
        Ok(())
    }

    /// Lets packets in until something holds.
    async fn until(&mut self, holds: impl Fn(&Self) -> bool) -> io::Result<()> {
        loop {
            // What has been seen belongs to one step: a packet that came in, and what the stack said to it.
            while let Some(segment) = self.tap.seen() {
                self.line(segment).await?;
            }
            if holds(self) {
                return Ok(());
            }
            let segment = self.tap.next().await;
            self.line(segment).await?;
        }
    }

    async fn line(&mut self, segment: Segment) -> io::Result<()> {
        let Segment { ours, seq, ack, flags, payload, .. } = segment;
        let [from, to] = if ours { [FAR, NEAR] } else { [NEAR, FAR] };
        if flags.contains(TcpFlags::SYN) {
            self.initial[from] = seq;
        }
        let relative = |number: SeqNum, side: usize| number.distance_from(self.initial[side]);
        let ack = if flags.contains(TcpFlags::ACK) { relative(ack, to) } else { 0 };
        let what = rungs::describe(flags, relative(seq, from), ack, payload);
        self.acknowledged[from] = self.acknowledged[from].max(ack.into());
        // The sender of what comes in may have gone on since: its state is the one before.
        self.states[FAR] = self.far.state()?;
        if ours {
            self.near.arrived().await;
            self.states[NEAR] = self.near.state()?;
        }
        self.rungs.segment(&self.time(segment.at), self.states, from, &what, Part::Whole);
        Ok(())
    }

    fn time(&self, at: Instant) -> String {
        format!("{:.3} ms", at.saturating_duration_since(self.began).as_secs_f64() * 1e3)
    }
}

/// The stack that is shown.
enum FarEnd<'a> {
    Closed,
    Connecting(Pin<Box<dyn Future<Output = io::Result<TcpStream>> + 'a>>),
    Connected(TcpStream),
}

impl FarEnd<'_> {
    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        match self {
            Self::Connected(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn state(&mut self) -> io::Result<TcpState> {
        if let Self::Connecting(attempt) = self
            && let Poll::Ready(stream) = attempt.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            *self = Self::Connected(stream?);
        }
        Ok(match self {
            Self::Closed => TcpState::Closed,
            // An attempt that is under way has no other.
            Self::Connecting(_) => TcpState::SynSent,
            Self::Connected(stream) => stream.state(),
        })
    }
}

/// Whom it talks to.
enum NearEnd<'a> {
    Kernel { listener: Option<KernelListener>, stream: Option<KernelStream>, local: SocketAddr },
    Stack { stack: &'a Stack, tap: &'a Tap, listener: TcpListener, stream: Option<TcpStream> },
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl<'a> NearEnd<'a> {
    async fn listen(near: &'a Near) -> io::Result<Self> {
        match near {
            Near::Kernel => {
                let listener = KernelListener::bind((link::NEAR_V4, 0)).await?;
                let local = listener.local_addr()?;
                Ok(Self::Kernel { listener: Some(listener), stream: None, local })
            }
            Near::Stack(stack, tap) => {
                let listener = TcpListener::bind(stack, (link::NEAR_V4, 0)).await?;
                tap.step(true);
                Ok(Self::Stack { stack, tap, listener, stream: None })
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Kernel { local, .. } => Ok(*local),
            Self::Stack { listener, .. } => listener.local_addr(),
        }
    }

    /// The handshake is complete. There will be no other, so whatever is said of the port from here on is the
    /// connection's.
    async fn accept(&mut self) -> io::Result<()> {
        if let Self::Kernel { listener, stream, .. } = self
            && let Some(listener) = listener.take()
        {
            *stream = Some(listener.accept().await?.0);
        }
        Ok(())
    }

    fn stream(&mut self) -> io::Result<&mut dyn Duplex> {
        let stream = match self {
            Self::Kernel { stream, .. } => stream.as_mut().map(|stream| stream as &mut dyn Duplex),
            Self::Stack { stream, .. } => stream.as_mut().map(|stream| stream as &mut dyn Duplex),
        };
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What was sent to it has been dealt with.
    async fn arrived(&self) {
        if let Self::Stack { tap, .. } = self {
            while tap.next().await.ours {}
        }
    }

    fn state(&mut self) -> io::Result<TcpState> {
        match self {
            Self::Kernel { local, .. } => kernel::state(*local),
            Self::Stack { stack, listener, stream, .. } => {
                if stream.is_none()
                    && let Poll::Ready(accepted) =
                        listener.poll_accept(&mut Context::from_waker(Waker::noop()))
                {
                    *stream = Some(accepted?.0);
                }
                Ok(match stream {
                    Some(stream) => stream.state(),
                    None if stack.half_open() > 0 => TcpState::SynReceived,
                    None => TcpState::Listen,
                })
            }
        }
    }
}

async fn expect(from: &mut (dyn Duplex + '_), offset: u64, len: u64) -> io::Result<()> {
    let mut read = vec![0; len as usize];
    from.read_exact(&mut read).await?;
    if read == pattern::piece(offset, len) {
        Ok(())
    } else {
        Err(differs("what was said in the conversation"))
    }
}

async fn expect_end(from: &mut (dyn Duplex + '_)) -> io::Result<()> {
    let mut more = [0];
    if from.read(&mut more).await? == 0 { Ok(()) } else { Err(differs("the end of the conversation")) }
}
