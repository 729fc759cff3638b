//! What a connection can tell of itself, as Linux's `TCP_INFO` does.

use super::{Connection, State};
use crate::{ConnectionError, Instant, TcpState};
use core::time::Duration;

/// What a sender is repairing, as Linux tells the states of its congestion avoidance apart.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum RecoveryState {
    /// Nothing is amiss.
    #[default]
    Open,
    /// Duplicate acknowledgments or SACK blocks have come, too few to tell a loss (RFC 5681 §3.2).
    Disorder,
    /// The window was reduced for a router's mark (RFC 3168 §6.1.2), and what was outstanding then still is.
    Reduced,
    /// A loss was found by duplicates and is being repaired (RFC 6582, RFC 6675).
    Recovery,
    /// The retransmission timer has expired, and nothing has been acknowledged since (RFC 6298 §5).
    Loss,
}

/// How a connection is doing: [`Connection::tcp_info`].
///
/// Everything in it is known; what this stack does not keep is not there. Counts are since the connection was made,
/// without what a listener did of the handshake.
///
/// # Examples
/// ```
/// use carrick_core::TcpInfo;
///
/// fn describe(info: &TcpInfo) -> String {
///     let rtt = info.rtt.map_or("unknown".into(), |rtt| format!("{rtt:?}"));
///     format!("{}: round trip {rtt}, {} of {} bytes in flight", info.state, info.in_flight, info.congestion_window)
/// }
/// # let mut scene = carrick_sim::Scene::established();
/// # let info = scene.connection().unwrap().tcp_info().unwrap();
/// # assert!(describe(&info).starts_with("ESTABLISHED: round trip "));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state by its RFC name.
    pub state: TcpState,
    /// Whether timestamps were agreed on (RFC 7323 §3).
    pub timestamps: bool,
    /// Whether selective acknowledgments were agreed on (RFC 2018).
    pub sack: bool,
    /// Whether we send ECN-capable packets, as agreed with the peer (RFC 3168).
    pub ecn: bool,
    /// By how many bits the windows that the peer sends are shifted (RFC 7323 §2); 0 where that was not agreed on.
    pub send_window_scale: u8,
    /// By how many bits the windows that we send are shifted.
    pub receive_window_scale: u8,
    /// Text of the largest segment that we send, in bytes: what the peer takes and the path carries, less options.
    pub send_mss: u16,
    /// The MSS that we told the peer, in bytes.
    pub receive_mss: u16,
    /// The largest packet that the path is believed to carry, in bytes.
    pub path_mtu: u16,
    /// The retransmission timeout as it is now, backed off (RFC 6298).
    pub rto: Duration,
    /// The smoothed round-trip time (SRTT); none before the first measurement.
    pub rtt: Option<Duration>,
    /// Its variation (RTTVAR); none before the first measurement.
    pub rtt_variation: Option<Duration>,
    /// The least round-trip time that was measured; none before the first measurement.
    pub min_rtt: Option<Duration>,
    /// How often the retransmission timeout has been doubled since the last measurement (RFC 6298 §5.5).
    pub backoff: u8,
    /// What is being repaired.
    pub recovery: RecoveryState,
    /// Bytes that may be in flight (cwnd): what the congestion controller lets, at least a segment; while a loss is
    /// repaired or a mark obeyed, what the way down to that has come to (RFC 9937 §6.2).
    pub congestion_window: u32,
    /// The slow-start threshold in bytes (ssthresh); none before the first loss, or if the controller has none.
    pub slow_start_threshold: Option<u32>,
    /// Bytes that the peer is ready to take beyond SND.UNA (SND.WND).
    pub send_window: u32,
    /// Bytes that the peer may still send (RCV.WND).
    pub receive_window: u32,
    /// Bytes believed to be under way, a FIN counted as one: what was sent and not acknowledged, less `sacked` and
    /// `lost`.
    pub in_flight: u32,
    /// Of those, bytes that were sent again, as probes too (RFC 8985 §7).
    pub resent: u32,
    /// Bytes not acknowledged that the peer has said to have (RFC 2018), as far as that is remembered.
    pub sacked: u32,
    /// Bytes believed to be lost and not sent again yet.
    pub lost: u32,
    /// Bytes written and not acknowledged, sent or not.
    pub unacknowledged: usize,
    /// Bytes written and never sent.
    pub unsent: usize,
    /// Bytes received in order and not read.
    pub unread: usize,
    /// Bytes that the peer has acknowledged since the connection was made.
    pub bytes_acknowledged: u64,
    /// Bytes received in order since the connection was made.
    pub bytes_received: u64,
    /// Bytes that the peer has, in order or not; a FIN counts as one. Less than before if it drops what it had out of
    /// order (RFC 2018 §8).
    pub delivered: u64,
    /// Bytes sent again; a FIN counts as one.
    pub bytes_retransmitted: u64,
    /// Segments sent again since the connection was established, modulo 2^32.
    pub retransmitted: u32,
    /// Segments sent, modulo 2^32; a super-segment counts as what it is cut into, with those after it.
    pub segments_sent: u32,
    /// Segments received, modulo 2^32, also those that were not acceptable.
    pub segments_received: u32,
    /// Reports of duplicates that the peer has sent (D-SACK, RFC 2883), modulo 2^32.
    pub duplicate_reports: u32,
    /// Acknowledgments that showed that segments overtook each other on their way (RFC 8985 §6.2, step 4), modulo 2^32.
    pub reorderings: u32,
    /// How far they did at most: bytes from the first of what came late to the last of what was there before it; 0 if
    /// none did.
    pub reordering_distance: u32,
    /// How fast the peer got what we sent, in bytes per second (draft-ietf-ccwg-bbr §4.1), measured with every
    /// acknowledgment; a rate that is less because the application was slower does not count. None before the first
    /// measurement, and while nothing is in flight.
    pub delivery_rate: Option<u64>,
    /// Whether that rate is the application's rather than the path's.
    pub delivery_rate_app_limited: bool,
    /// How fast we send at most, in bytes per second ([`ConnectionConfig::pacing`](crate::ConnectionConfig::pacing));
    /// none before the first round trip is measured, or if nothing is paced.
    pub pacing_rate: Option<u64>,
    /// Timeouts in a row without an answer.
    pub timeouts: u8,
    /// Probes sent since the peer's window closed (RFC 9293 §3.8.6.1).
    pub window_probes: u8,
    /// Keep-alive probes in a row without an answer.
    pub keep_alive_probes: u8,
    /// What the network has said of our segments without ending the connection.
    pub soft_error: Option<ConnectionError>,
    /// How long something was to be sent or under way, in all, to a millisecond and up to 49 days.
    pub busy_time: Duration,
    /// Of that, how long the peer's window was what kept text from being sent.
    pub rwnd_limited: Duration,
    /// Of that, how long all that was written had been sent, and more waited for room in the send buffer
    /// ([`ConnectionConfig::send_buffer`](crate::ConnectionConfig::send_buffer)).
    pub sndbuf_limited: Duration,
}

impl Connection {
    /// How the connection is doing, as of the last call that told it the time; none before it is established and after
    /// it is over, TIME-WAIT included.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// let info = connection.tcp_info().expect("it is established");
    /// assert_eq!((info.timeouts, info.in_flight), (0, 0));
    /// # });
    /// ```
    #[must_use]
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        self.tcp_info_at(self.clock)
    }

    /// The same, its [`busy_time`](TcpInfo::busy_time) and parts of that counted up to `now`.
    ///
    /// # Examples
    /// ```
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// use std::time::Duration;
    ///
    /// connection.send(cx, b"nobody answers")?;
    /// let later = cx.now + Duration::from_millis(70);
    /// assert_eq!(connection.tcp_info_at(later).map(|info| info.busy_time), Some(Duration::from_millis(70)));
    /// # Ok::<(), carrick_core::SendError>(())
    /// # });
    /// ```
    #[must_use]
    pub fn tcp_info_at(&self, now: Instant) -> Option<TcpInfo> {
        let State::Open(open) = &self.state else { return None };
        let [busy_time, rwnd_limited, sndbuf_limited] = open.snd.busy_times(now.max(self.clock));
        let (snd, rcv) = (&open.snd, &open.rcv);
        let tally = snd.tally();
        let send_mss = open.segment_size(self.tuple.local, self.path.mtu, 0);
        Some(TcpInfo {
            state: self.state(),
            timestamps: rcv.ts_recent.is_some(),
            sack: rcv.sack,
            ecn: snd.ecn.on,
            send_window_scale: snd.scale.get(),
            receive_window_scale: rcv.scale.get(),
            send_mss,
            receive_mss: rcv.mss,
            path_mtu: self.path.mtu,
            rto: snd.rtt.rto(),
            rtt: snd.rtt.srtt(),
            rtt_variation: snd.rtt.rttvar(),
            min_rtt: snd.rtt.least(),
            backoff: snd.rtt.backoff(),
            recovery: snd.recovery(),
            congestion_window: snd.congestion_window(send_mss.into()),
            slow_start_threshold: snd.congestion.get().threshold(),
            send_window: snd.wnd,
            receive_window: rcv.window(),
            in_flight: snd.in_flight(),
            resent: snd.resent(),
            sacked: snd.sacked(),
            lost: snd.lost(),
            unacknowledged: self.to_send.len(),
            unsent: self.unsent(),
            unread: self.received.len(),
            bytes_acknowledged: self.to_send.taken(),
            bytes_received: rcv.text_received(),
            delivered: snd.delivered(self.to_send.taken()),
            bytes_retransmitted: tally.bytes_again,
            retransmitted: self.sent_again,
            segments_sent: self.segments_sent,
            segments_received: self.segments_received,
            duplicate_reports: tally.duplicates,
            reorderings: tally.reorderings,
            reordering_distance: tally.overtaken,
            delivery_rate: snd.delivery_rate().per_second(),
            delivery_rate_app_limited: snd.delivery_rate().is_app_limited(),
            pacing_rate: snd.pacing_rate(send_mss.into()),
            timeouts: snd.retries,
            window_probes: snd.probes,
            keep_alive_probes: self.keep_alive_probes,
            soft_error: self.soft_error,
            busy_time,
            rwnd_limited,
            sndbuf_limited,
        })
    }
}
