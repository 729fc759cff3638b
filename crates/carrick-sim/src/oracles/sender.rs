//! The sender agrees with itself, and sends no more than its windows allow (O-12, CC-1).

use super::{Broken, Oracle};
use carrick_core::{Connection, TcpInfo};

/// A board of at most so many ranges is walked after every step, a longer one after every sixty-fourth.
const MOST_RANGES: usize = 200;
pub(crate) const SELDOM: u32 = 64;

/// After the step of that number.
pub(crate) fn check_state(connection: &Connection, step: u32) -> Result<(), Broken> {
    let most = if step.is_multiple_of(SELDOM) { usize::MAX } else { MOST_RANGES };
    connection.check_sender(most).map_err(|what| {
        let info = connection.tcp_info();
        (Oracle::O12, format!("{what}: {info:?}"))
    })
}

/// What a connection looks like before something leaves.
pub(crate) struct Leaving {
    info: TcpInfo,
    /// It is a probe: of a tail (RFC 8985 §7.3), of a closed window, or what a timeout sends again.
    probing: bool,
}

impl Leaving {
    /// Nothing if the connection has nothing to send.
    pub(crate) fn of(connection: &Connection) -> Option<Self> {
        let busy = connection.unacknowledged() > 0;
        let info = connection.tcp_info().filter(|_| busy)?;
        Some(Self { info, probing: connection.is_probing() })
    }

    /// Text has left. Probes are a segment at most; all else fits the congestion window, which during a repair is what
    /// RFC 9937 has made of it, and the peer's. Limited transmit (RFC 3042) is no exception: what duplicates stand for
    /// is in flight no more. A FIN makes no congestion.
    pub(crate) fn check(&self, connection: &Connection, overdrawn: bool) -> Result<(), Broken> {
        let Some(after) = connection.tcp_info() else { return Ok(()) };
        let before = &self.info;
        let mss = u32::from(before.send_mss.max(after.send_mss));
        let broken = |what: &str| {
            let figures = |it: &TcpInfo| {
                let TcpInfo { congestion_window, in_flight, sacked, lost, unsent, send_window, .. } = it;
                format!(
                    "cwnd {congestion_window}, {in_flight} in flight, {sacked} SACKed, {lost} lost, {unsent} unsent, \
                     {} outstanding, window {send_window}, {:?}",
                    it.unacknowledged - unsent,
                    it.recovery
                )
            };
            Err((Oracle::O12, format!("{what}: from {} to {}", figures(before), figures(&after))))
        };
        let new = before.unsent.saturating_sub(after.unsent);
        if self.probing {
            return if new > mss as usize { broken("a probe of more than a segment") } else { Ok(()) };
        }
        let window = if overdrawn { mss } else { before.congestion_window.max(after.congestion_window) };
        let least = if before.in_flight == 0 { mss } else { 0 };
        if after.in_flight > window.max(least).saturating_add(1) {
            return broken("more in flight than the congestion window");
        }
        if new > 0 && after.unacknowledged - after.unsent > after.send_window as usize {
            return broken("new text beyond the peer's window");
        }
        Ok(())
    }
}
