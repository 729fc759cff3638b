//! `struct tcp_info` as Linux lays it out, filled from what carrick knows. What it does not know is zero;
//! `docs/conformance.md` lists which fields that are.

use crate::net::Cell;
use carrick_core::{Instant, RecoveryState, TcpState};
use std::time::Duration;

/// The length of the structure in Linux 6.18, in bytes.
pub const LENGTH: usize = 280;

/// `TCPI_OPT_*`.
const TIMESTAMPS: u8 = 1;
const SACK: u8 = 2;
const WINDOW_SCALE: u8 = 4;
const ECN: u8 = 8;
/// What Linux begins with: so many duplicates tell of a loss (RFC 5681 §3.2).
const REORDERING: u32 = 3;
/// Linux's slow-start threshold before there is one.
const NO_THRESHOLD: u32 = 0x7fff_ffff;

/// Linux's number of a state.
const fn state_number(state: TcpState) -> u8 {
    match state {
        TcpState::Established => 1,
        TcpState::SynSent => 2,
        TcpState::SynReceived => 3,
        TcpState::FinWait1 => 4,
        TcpState::FinWait2 => 5,
        TcpState::CloseWait => 8,
        TcpState::LastAck => 9,
        TcpState::Listen => 10,
        TcpState::Closing => 11,
        // What waits in TIME-WAIT is kept apart from the socket, which is closed.
        TcpState::TimeWait | TcpState::Closed => 7,
    }
}

/// Linux's number of what is being repaired (`TCP_CA_*`).
const fn recovery_number(recovery: RecoveryState) -> u8 {
    match recovery {
        RecoveryState::Open => 0,
        RecoveryState::Disorder => 1,
        RecoveryState::Reduced => 2,
        RecoveryState::Recovery => 3,
        RecoveryState::Loss => 4,
    }
}

/// The structure, field by field at its place.
struct Layout([u8; LENGTH]);

impl Layout {
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(place) = self.0.get_mut(at..at + N) {
            place.copy_from_slice(&bytes);
        }
    }

    fn byte(&mut self, at: usize, value: u8) {
        self.put(at, [value]);
    }

    fn word(&mut self, at: usize, value: u32) {
        self.put(at, value.to_ne_bytes());
    }

    fn long(&mut self, at: usize, value: u64) {
        self.put(at, value.to_ne_bytes());
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn long_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// The structure for a connection; for a socket without one only the state is in it. How long it has been `starved` for
/// want of room to write is not the connection's to know, whose send buffer is larger than Linux's would be.
#[must_use]
pub fn tcp_info(cell: Option<&Cell>, listening: bool, starved: Duration, now: Instant) -> Vec<u8> {
    let mut to = Layout([0; LENGTH]);
    let state = match cell {
        Some(cell) => cell.connection.state(),
        None if listening => TcpState::Listen,
        None => TcpState::Closed,
    };
    to.byte(0, state_number(state));
    let Some((cell, info)) = cell.and_then(|cell| Some((cell, cell.connection.tcp_info_at(now)?))) else {
        return to.0.to_vec();
    };
    let mss = u32::from(info.send_mss).max(1);
    let scaled = info.send_window_scale > 0 || info.receive_window_scale > 0;
    let options = [(info.timestamps, TIMESTAMPS), (info.sack, SACK), (scaled, WINDOW_SCALE), (info.ecn, ECN)];
    let options = options.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum();
    to.byte(1, recovery_number(info.recovery));
    to.byte(2, info.timeouts);
    to.byte(3, info.keep_alive_probes.max(info.window_probes));
    to.byte(4, info.backoff);
    to.byte(5, options);
    to.byte(7, info.delivery_rate_app_limited.into());
    to.byte(6, (info.send_window_scale & 15) | (info.receive_window_scale << 4));
    to.word(8, micros(info.rto));
    to.word(16, mss);
    // Linux counts segments; and what is lost as such until it has arrived, sent again or not.
    to.word(24, (info.in_flight + info.sacked + info.lost).div_ceil(mss));
    to.word(28, info.sacked.div_ceil(mss));
    to.word(32, (info.lost + info.resent).div_ceil(mss));
    to.word(36, info.resent.div_ceil(mss));
    to.word(52, millis(now.since(cell.heard)));
    to.word(60, info.path_mtu.into());
    to.word(68, micros(info.rtt.unwrap_or_default()));
    to.word(72, micros(info.rtt_variation.unwrap_or_default()));
    to.word(76, info.slow_start_threshold.map_or(NO_THRESHOLD, |threshold| threshold / mss));
    to.word(80, info.congestion_window / mss);
    to.word(84, info.receive_mss.into());
    to.word(88, info.reordering_distance.div_ceil(mss).max(REORDERING));
    to.word(100, info.retransmitted);
    to.long(104, info.pacing_rate.unwrap_or(u64::MAX));
    to.long(112, u64::MAX);
    to.long(120, info.bytes_acknowledged);
    to.long(128, info.bytes_received);
    to.word(136, info.segments_sent);
    to.word(140, info.segments_received);
    to.word(144, u32::try_from(info.unsent).unwrap_or(u32::MAX));
    to.word(148, info.min_rtt.map_or(u32::MAX, micros));
    to.long(160, info.delivery_rate.unwrap_or(0));
    to.long(168, long_micros(info.busy_time));
    to.long(176, long_micros(info.rwnd_limited));
    to.long(184, long_micros(starved));
    // The SYN counts too.
    to.word(192, u32::try_from(info.delivered.div_ceil(mss.into()) + 1).unwrap_or(u32::MAX));
    let under_way = info.unacknowledged.saturating_sub(info.unsent) as u64;
    to.long(200, info.bytes_acknowledged + under_way + info.bytes_retransmitted);
    to.long(208, info.bytes_retransmitted);
    to.word(216, info.duplicate_reports);
    to.word(220, info.reorderings);
    to.word(228, info.send_window);
    to.word(232, info.receive_window);
    to.0.to_vec()
}
