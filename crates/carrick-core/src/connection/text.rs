//! What the application writes and reads (RFC 9293 §3.10.2, §3.10.3), and how it wants the one sent.

use super::{Closed, Connection, Push, State, timers};
use crate::{Cx, Pressure, SendError};
use bytes::Bytes;
use core::time::Duration;

/// A writer that was turned away for want of memory is told to try again after this long.
const ROOM_RETRY: Duration = Duration::from_millis(100);
/// A send buffer that follows the congestion window is at least so large, in bytes, if it may be.
const LEAST_TUNED: u32 = 128 << 10;

impl Connection {
    /// Writes: takes as many bytes as there is room for and says how many (RFC 9293 §3.10.2). Afterwards,
    /// drain.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if not a byte fits; [`Event::Writable`](crate::Event::Writable) follows when there is room
    /// again.
    /// [`SendError::Finished`] after [`finish`](Self::finish) or [`close`](Self::close);
    /// [`SendError::Closed`] if the connection has ended.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.send(cx, b"hello"), Ok(5));
    /// assert_eq!(connection.unacknowledged(), 5);
    /// # });
    /// ```
    pub fn send(&mut self, cx: &Cx, data: &[u8]) -> Result<usize, SendError> {
        self.push = Push::Yes;
        self.write(cx, data)
    }

    /// Writes as [`send`](Self::send) does, when more is about to follow (RFC 9293 MAY-15, Linux's `MSG_MORE`): the end
    /// that does not fill a segment waits for it, until the peer acknowledges something or
    /// [`set_nodelay`](Self::set_nodelay) asks for haste, for 200 ms at most, and then leaves without PSH. Afterwards,
    /// drain.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.send_more(cx, b"HTTP/1.1 200 OK\r\n\r\n")?; // waits for the body
    /// connection.send(cx, b"hello")?; // one segment for both
    /// assert_eq!(connection.unsent(), 24);
    /// # Ok::<(), carrick_core::SendError>(())
    /// # });
    /// ```
    pub fn send_more(&mut self, cx: &Cx, data: &[u8]) -> Result<usize, SendError> {
        if !data.is_empty() {
            self.push = Push::Waits;
        }
        self.write(cx, data)
    }

    fn write(&mut self, cx: &Cx, data: &[u8]) -> Result<usize, SendError> {
        let cx = self.advance_clock(cx);
        self.may_send()?;
        let taken = self.take_room(&cx, data.len());
        if taken == 0 && !data.is_empty() {
            return Err(SendError::Full);
        }
        if taken > 0 {
            self.note_waiting(cx.now);
        }
        if let State::Open(open) = &mut self.state {
            open.snd.restart(cx.now);
            open.snd.note_idleness(self.to_send.len());
        }
        self.to_send.push(data.get(..taken).unwrap_or_default());
        self.rearm(cx.now);
        Ok(taken)
    }

    /// Whether [`send`](Self::send) would say anything but [`SendError::Full`]; if not,
    /// [`Event::Writable`](crate::Event::Writable) follows as after that. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert!(connection.ask_room(cx), "nothing has been written yet");
    /// # });
    /// ```
    pub fn ask_room(&mut self, cx: &Cx) -> bool {
        let cx = self.advance_clock(cx);
        self.may_send().is_err() || self.take_room(&cx, 1) > 0
    }

    /// Why nothing can be written any more.
    pub(super) fn may_send(&self) -> Result<(), SendError> {
        match &self.state {
            State::SynSent(opening) | State::SynReceived(opening, _) if opening.finish => {
                Err(SendError::Finished)
            }
            State::SynSent(_) | State::SynReceived(..) => Ok(()),
            State::Open(open) if open.phase.sends() => Ok(()),
            State::Closed(Closed { error: Some(error), .. }) => Err((*error).into()),
            State::Open(_) | State::TimeWait(_) | State::Closed(_) => Err(SendError::Finished),
        }
    }

    /// What it may still cost to remember how the text that there is, and `more`, was sent.
    fn recovery_room(&self, more: usize) -> usize {
        let State::Open(open) = &self.state else { return 0 };
        let mss = open.segment_size(self.tuple.local, self.path.mtu, 0);
        open.snd.most_memory(self.to_send.len().saturating_add(more), mss.into())
    }

    /// Most bytes written and not acknowledged, at present: twice what can be under way, so that the application can
    /// write the next window while one is; where memory is scarce less of that, or none.
    pub(super) fn send_limit(&self, pressure: Pressure) -> u32 {
        let most = self.config.send_buffer;
        if !self.config.tune_send_buffer {
            return most;
        }
        let window = match &self.state {
            State::Open(open) => open.snd.congestion.get().window().min(open.snd.max_wnd),
            _ => 0,
        };
        let wanted = match pressure {
            Pressure::None => window.saturating_mul(2),
            Pressure::Low => window,
            Pressure::High | Pressure::Limit => 0,
        };
        wanted.max(LEAST_TUNED).min(most)
    }

    pub(super) fn send_room_under(&self, pressure: Pressure) -> usize {
        self.send_room_within(self.send_limit(pressure))
    }

    /// The same where no more than `limit` bytes may be queued.
    pub(super) fn send_room_within(&self, limit: u32) -> usize {
        let room = (limit as usize).saturating_sub(self.to_send.len());
        let Some(most) = self.config.notsent_lowat else { return room };
        room.min((most.max(1) as usize).saturating_sub(self.unsent()))
    }

    /// How many of `len` bytes there is room for. Whoever gets less than all is told when there is more.
    fn take_room(&mut self, cx: &Cx, len: usize) -> usize {
        let wanted = len.min(self.send_room_under(cx.memory.pressure));
        // The reserve is for text that arrives: were it spent on writing, two hosts full of text for each other
        // could not take any of it.
        let taken = self.to_send.fits(wanted, cx.memory.room.saturating_sub(self.recovery_room(wanted)));
        if taken < wanted {
            // Perhaps no acknowledgment will ever tell that others have given memory back.
            self.timers.set(timers::Timer::Room, cx.now + ROOM_RETRY);
        }
        self.wants_room |= taken < len;
        if taken == 0
            && let State::Open(open) = &mut self.state
        {
            open.snd.note_limit(self.to_send.len(), self.wants_room, cx.now);
        }
        taken
    }

    /// Writes as [`send`](Self::send) does, and marks all that has been written so far as urgent
    /// (RFC 9293 §3.8.5): segments carry the urgent pointer until the peer has acknowledged it, and say so even
    /// while its window is closed. The bytes stay in the stream, in their place. They do not wait for Nagle's
    /// rule or a cork, and leave one segment at a time.
    ///
    /// Discouraged: implementations disagree about where the pointer points, middleboxes clear it, and new
    /// protocols are not to use it (RFC 6093 §5). It exists for old ones, such as telnet.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.send_urgent(cx, &[0xff]), Ok(1));
    /// # });
    /// ```
    pub fn send_urgent(&mut self, cx: &Cx, data: &[u8]) -> Result<usize, SendError> {
        let taken = self.send(cx, data)?;
        if taken > 0 {
            self.urgent = u32::try_from(self.to_send.len()).unwrap_or(u32::MAX);
            if matches!(self.state, State::Open(_)) {
                // If no text may leave, the pointer does by itself.
                self.acks_due = self.acks_due.max(1);
            }
        }
        Ok(taken)
    }

    /// Whether Nagle's rule is off ([`ConnectionConfig::nodelay`](crate::ConnectionConfig::nodelay)).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert!(!connection.nodelay(), "Nagle's rule is on by default");
    /// # });
    /// ```
    #[must_use]
    pub const fn nodelay(&self) -> bool {
        self.nodelay
    }

    /// Switches Nagle's rule off or on (RFC 9293 §3.7.4). Off, what it has held back leaves. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.set_nodelay(cx, true);
    /// assert!(connection.nodelay());
    /// # });
    /// ```
    pub fn set_nodelay(&mut self, cx: &Cx, nodelay: bool) {
        let cx = self.advance_clock(cx);
        self.nodelay = nodelay;
        if nodelay {
            self.wait_no_more();
        }
        self.rearm(cx.now);
    }

    /// Whether partial segments are held back ([`set_cork`](Self::set_cork)).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert!(!connection.corked());
    /// # });
    /// ```
    #[must_use]
    pub const fn corked(&self) -> bool {
        self.corked
    }

    /// While corked only full segments leave, or what a smaller window leaves of them, and the end of what is written
    /// waits for more, for 200 ms at most; uncorked, or finished, it leaves at once. Off by default. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.set_cork(cx, true);
    /// connection.send(cx, b"a line, ")?;
    /// connection.send(cx, b"and its end")?;
    /// connection.set_cork(cx, false); // both leave, in one segment
    /// # Ok::<(), carrick_core::SendError>(())
    /// # });
    /// ```
    pub fn set_cork(&mut self, cx: &Cx, corked: bool) {
        let cx = self.advance_clock(cx);
        if let (State::Open(open), true, false) = (&mut self.state, self.corked, corked) {
            open.snd.force_partial(self.to_send.len());
        }
        self.corked = corked;
        self.rearm(cx.now);
    }

    /// What was to wait for more waits no longer.
    pub(crate) fn wait_no_more(&mut self) {
        if self.push == Push::Waits {
            self.push = Push::No;
        }
    }

    /// Whether the end of what was written waits for more.
    pub(super) const fn holds_back(&self) -> bool {
        self.corked || matches!(self.push, Push::Waits)
    }

    /// The bytes that can be read, in order. Then [`consume`](Self::consume) them.
    ///
    /// # Examples
    /// ```
    /// # let mut scene = carrick_sim::Scene::established();
    /// # scene.inject(carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # scene.expect(carrick_sim::seg().ack(6));
    /// # scene.with("", |connection, cx| {
    /// let text: Vec<u8> = connection.readable().flatten().copied().collect();
    /// assert_eq!(text, b"hello");
    /// connection.consume(cx, text.len());
    /// # });
    /// ```
    pub fn readable(&self) -> impl Iterator<Item = &[u8]> {
        self.received.iter()
    }

    /// How many bytes can be read.
    ///
    /// # Examples
    /// ```
    /// # let mut scene = carrick_sim::Scene::established();
    /// # scene.inject(carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # scene.expect(carrick_sim::seg().ack(6));
    /// # scene.with("", |connection, cx| {
    /// assert_eq!(connection.readable_len(), 5);
    /// # });
    /// ```
    #[must_use]
    pub const fn readable_len(&self) -> usize {
        self.received.len()
    }

    /// Whether the peer has closed its side and every byte before that has been read.
    ///
    /// # Examples
    /// ```
    /// # let mut scene = carrick_sim::Scene::established();
    /// # scene.inject(carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # scene.expect(carrick_sim::seg().ack(6));
    /// # scene.with("", |connection, cx| {
    /// assert!(!connection.at_end(), "the peer may have more to say");
    /// # });
    /// ```
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.received.is_empty()
            && match &self.state {
                State::SynSent(_) | State::SynReceived(..) => false,
                State::Open(open) => !open.phase.receives(),
                State::TimeWait(_) => true,
                State::Closed(closed) => closed.error.is_none(),
            }
    }

    /// Forgets the first `n` readable bytes (at most all): they have been read. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # let mut scene = carrick_sim::Scene::established();
    /// # scene.inject(carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # scene.expect(carrick_sim::seg().ack(6));
    /// # scene.with("", |connection, cx| {
    /// connection.consume(cx, 2);
    /// assert_eq!(connection.readable().next(), Some(&b"llo"[..]));
    /// # });
    /// ```
    pub fn consume(&mut self, cx: &Cx, n: usize) {
        self.advance_clock(cx);
        self.received.advance(n);
        self.note_read(n);
    }

    /// Reads up to `max` bytes as one buffer, without copying: what lies in a row. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # let mut scene = carrick_sim::Scene::established();
    /// # scene.inject(carrick_sim::seg().seq(1).ack(1).data("hello"));
    /// # scene.expect(carrick_sim::seg().ack(6));
    /// # scene.with("", |connection, cx| {
    /// let chunk = connection.take_chunk(cx, 1024).expect("there is text");
    /// assert_eq!(&chunk[..], b"hello");
    /// # });
    /// ```
    pub fn take_chunk(&mut self, cx: &Cx, max: usize) -> Option<Bytes> {
        self.advance_clock(cx);
        let chunk = self.received.take(max);
        self.note_read(chunk.as_ref().map_or(0, Bytes::len));
        chunk
    }

    fn note_read(&mut self, n: usize) {
        self.urgent_unread = self.urgent_unread.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
        self.has_read = true;
    }
}
