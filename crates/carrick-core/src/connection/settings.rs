//! What the application may change during a connection, and what it may ask about it (RFC 9293 §3.9.1).
//!
//! Settings are shared by all connections of a listener or a socket; a change makes a private copy.

use super::timers::Timer;
use super::{Connection, State};
use crate::{ConnectionConfig, ConnectionError, Cx, Event, Instant, KeepAlive, UserTimeoutOption};
use alloc::sync::Arc;
use core::num::NonZeroU8;
use core::time::Duration;

impl Connection {
    fn settings(&mut self) -> &mut ConnectionConfig {
        Arc::make_mut(&mut self.config)
    }

    /// Probes a silent peer, or ceases to (RFC 9293 §3.8.4). Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use carrick_core::KeepAlive;
    ///
    /// connection.set_keep_alive(cx, Some(KeepAlive::default()));
    /// assert_eq!(connection.keep_alive(), Some(KeepAlive::default()));
    /// # });
    /// ```
    pub fn set_keep_alive(&mut self, cx: &Cx, keep_alive: Option<KeepAlive>) {
        let now = self.advance_clock(cx).now;
        self.settings().keep_alive = keep_alive;
        self.hear();
        self.rearm(now);
    }

    /// When a silent peer is probed, if it is.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.keep_alive(), None, "by default nobody is asked");
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub fn keep_alive(&self) -> Option<KeepAlive> {
        self.config.keep_alive
    }

    /// Sets how long what we send may wait for its acknowledgment; see [`ConnectionConfig::user_timeout`].
    /// Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use std::time::Duration;
    ///
    /// connection.set_user_timeout(cx, Some(Duration::from_secs(30)));
    /// assert_eq!(connection.user_timeout(), Some(Duration::from_secs(30)));
    /// # });
    /// ```
    pub fn set_user_timeout(&mut self, cx: &Cx, timeout: Option<Duration>) {
        let now = self.advance_clock(cx).now;
        self.settings().user_timeout = timeout;
        self.rearm(now);
    }

    /// Sets what the peer is told of our patience, with the next segment, and whether its own counts
    /// (RFC 5482). Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use carrick_core::UserTimeoutOption;
    /// use std::time::Duration;
    ///
    /// let option = UserTimeoutOption { advertise: Duration::from_secs(600), ..UserTimeoutOption::default() };
    /// connection.set_user_timeout_option(cx, Some(option));
    /// # });
    /// ```
    pub fn set_user_timeout_option(&mut self, cx: &Cx, option: Option<UserTimeoutOption>) {
        let now = self.advance_clock(cx).now;
        self.settings().user_timeout_option = option;
        if let State::Open(open) = &mut self.state {
            open.timeout_due = true;
        }
        self.rearm(now);
    }

    /// How long what we send may wait for its acknowledgment: what the application has set, else what was
    /// agreed on with the peer (RFC 5482), else none.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.user_timeout(), None, "the number of retransmissions decides");
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub fn user_timeout(&self) -> Option<Duration> {
        let set = self.config.user_timeout.filter(|timeout| !timeout.is_zero());
        set.or_else(|| self.agreed_timeout(self.config.user_timeout_option?))
    }

    #[cold]
    fn agreed_timeout(&self, option: UserTimeoutOption) -> Option<Duration> {
        let State::Open(open) = &self.state else { return None };
        Some(option.adopt(open.remote_timeout?, open.snd.rtt.rto()))
    }

    /// How long the peer wishes us to wait for its acknowledgments, if it has said so (RFC 5482) and our
    /// settings listen to that.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.peer_user_timeout(), None, "the peer has not said");
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub fn peer_user_timeout(&self) -> Option<Duration> {
        let State::Open(open) = &self.state else { return None };
        open.remote_timeout.map(|timeout| Duration::from_secs(timeout.seconds().into()))
    }

    /// Says what [`close`](Self::close) does with text that is not acknowledged; see
    /// [`ConnectionConfig::linger`].
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use std::time::Duration;
    ///
    /// connection.set_linger(Some(Duration::ZERO));
    /// connection.close(cx); // with a reset
    /// # });
    /// ```
    pub fn set_linger(&mut self, linger: Option<Duration>) {
        self.settings().linger = linger;
    }

    /// What [`close`](Self::close) does with text that is not acknowledged.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.linger(), None);
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub fn linger(&self) -> Option<Duration> {
        self.config.linger
    }

    /// Says how long FIN-WAIT-2 may last once the application has let go of the stream; see
    /// [`ConnectionConfig::fin_wait_2`]. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use std::time::Duration;
    ///
    /// connection.set_fin_wait_2(cx, Duration::from_secs(10));
    /// connection.close(cx); // a peer that acknowledges, and keeps its side open, has ten seconds
    /// # });
    /// ```
    pub fn set_fin_wait_2(&mut self, cx: &Cx, limit: Duration) {
        let now = self.advance_clock(cx).now;
        self.settings().fin_wait_2 = limit;
        self.rearm(now);
    }

    /// Limits how much may be written and not sent yet; see [`ConnectionConfig::notsent_lowat`]. Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.set_notsent_lowat(cx, Some(16 << 10));
    /// assert_eq!(connection.notsent_lowat(), Some(16 << 10));
    /// # });
    /// ```
    pub fn set_notsent_lowat(&mut self, cx: &Cx, most: Option<u32>) {
        self.advance_clock(cx);
        self.settings().notsent_lowat = most;
        self.offer_room();
    }

    /// How much may be written and not sent yet, if that is limited.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.notsent_lowat(), None);
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub fn notsent_lowat(&self) -> Option<u32> {
        self.config.notsent_lowat
    }

    /// Whether the next segment in order is acknowledged at once, however small it is: so it is at the beginning, after
    /// idleness, after trouble, and after [`set_quickack`](Self::set_quickack).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// println!("answers at once: {}", connection.quickack());
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub fn quickack(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.rcv.acks.is_quick())
    }

    /// Acknowledges the next 16 segments at once, and what waits now (true), or leaves ACKs to ride on text of
    /// our own (false). Like Linux's `TCP_QUICKACK` it lasts until the conversation teaches otherwise.
    /// Afterwards, drain.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.set_quickack(cx, true);
    /// assert!(connection.quickack());
    /// # });
    /// ```
    pub fn set_quickack(&mut self, cx: &Cx, quick: bool) {
        self.advance_clock(cx);
        let State::Open(open) = &mut self.state else { return };
        open.rcv.acks.set(quick);
        if quick && open.rcv.acks.owes() {
            self.acks_due = self.acks_due.max(1);
        }
    }

    /// Sets the differentiated services code point of what is sent from now on: 0 to 63, more counts as 63
    /// (RFC 9293 §3.9.1.9).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.set_dscp(46); // expedited forwarding
    /// assert_eq!(connection.dscp(), 46);
    /// # let _ = cx;
    /// # });
    /// ```
    pub fn set_dscp(&mut self, dscp: u8) {
        self.link.dscp = dscp.min(63);
    }

    /// The differentiated services code point of what is sent, 0 to 63.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.dscp(), 0);
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.link.dscp
    }

    /// The differentiated services code point of the last segment that was received (RFC 9293 MAY-9).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.received_dscp(), 0);
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn received_dscp(&self) -> u8 {
        self.received_dscp
    }

    /// Sets the time to live of what is sent from now on (RFC 9293 §3.9.2).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// connection.set_hop_limit(255.try_into().expect("not zero"));
    /// assert_eq!(connection.hop_limit(), 255);
    /// # let _ = cx;
    /// # });
    /// ```
    pub const fn set_hop_limit(&mut self, hop_limit: NonZeroU8) {
        self.link.hop_limit = hop_limit.get();
    }

    /// The time to live of what is sent, 1 to 255.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.hop_limit(), 64);
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        self.link.hop_limit
    }

    /// Whether the peer has said that it sends no more, or nothing more can come.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert!(!connection.receive_closed());
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub const fn receive_closed(&self) -> bool {
        match &self.state {
            State::SynSent(_) | State::SynReceived(..) => false,
            State::Open(open) => !open.phase.receives(),
            State::TimeWait(_) | State::Closed(_) => true,
        }
    }

    /// Whether the application has said that it sends no more, or nothing more can be sent.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert!(!connection.send_closed());
    /// connection.finish(cx);
    /// assert!(connection.send_closed());
    /// # });
    /// ```
    #[must_use]
    pub fn send_closed(&self) -> bool {
        self.may_send().is_err()
    }

    /// How many bytes are to be read until the end of the urgent text that the peer has announced; none when
    /// that has been read (RFC 9293 §3.8.5). Urgent text is read in line, like any other.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert_eq!(connection.urgent_len(), None, "the peer marks nothing");
    /// # let _ = cx;
    /// # });
    /// ```
    #[must_use]
    pub fn urgent_len(&self) -> Option<usize> {
        let more_may_come = matches!(&self.state, State::Open(open) if open.phase.receives());
        let urgent = usize::try_from(self.urgent_unread).unwrap_or(usize::MAX);
        let urgent = if more_may_come { urgent } else { urgent.min(self.received.len()) };
        (urgent > 0).then_some(urgent)
    }

    /// When bytes were last moved: text received in order, text or a FIN acknowledged, or the first of what waits
    /// now written.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert!(connection.last_progress() <= cx.now);
    /// # });
    /// ```
    #[must_use]
    pub fn last_progress(&self) -> Instant {
        match &self.state {
            State::Open(open) => self.moved.max(open.rcv.heard),
            _ => self.moved,
        }
    }

    /// Gives the connection up because memory has run out: the peer gets a reset, the application
    /// [`ConnectionError::OutOfMemory`] and nothing of what it had not read. Afterwards, drain.
    ///
    /// Meant for the connection that [`is_stuck`](Self::is_stuck) and has made no
    /// [progress](Self::last_progress) for longest.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use carrick_core::ConnectionError;
    ///
    /// connection.abort_for_memory(cx);
    /// assert_eq!(connection.error(), Some(ConnectionError::OutOfMemory));
    /// # });
    /// ```
    pub fn abort_for_memory(&mut self, cx: &Cx) {
        let unread = !self.received.is_empty();
        self.abort_with(cx, ConnectionError::OutOfMemory);
        if let (State::Closed(closed), true) = (&mut self.state, unread) {
            // It had ended before, but its stream has not.
            closed.error = Some(ConnectionError::OutOfMemory);
        }
    }

    /// Whether the connection holds memory that others need and has made no progress for a while: a minute if
    /// three quarters of the budget are used, 20 s at the limit; a quarter of that once the application has let go
    /// (RFC 9293 §3.8.6.1, RFC 6429 §4).
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// assert!(!connection.is_stuck(cx), "there is memory enough");
    /// # });
    /// ```
    #[must_use]
    pub fn is_stuck(&self, cx: &Cx) -> bool {
        // Nobody would miss an orphan.
        let patience = cx.memory.pressure.patience().map(|p| if self.released { p / 4 } else { p });
        patience.is_some_and(|patience| self.memory() > 0 && cx.now.since(self.last_progress()) >= patience)
    }

    /// Something came that an honest peer of this connection would send: it lives.
    pub(super) fn hear(&mut self) {
        self.keep_alive_probes = 0;
        self.keep_alive_due = false;
        self.timers.stop(Timer::KeepAlive);
    }

    /// Notes what gives reason to doubt without ending anything (RFC 9293 MUST-47).
    pub(super) fn note_soft_error(&mut self, error: ConnectionError) {
        self.soft_error = Some(error);
        if self.config.report_soft_errors {
            self.note(Event::SoftError);
        }
    }
}
