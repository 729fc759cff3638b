//! Opening: what the SYNs agree on.
//!
//! RFC 9293 §3.5 and §3.7.1, RFC 7323 §2.2 and §3.2, RFC 2018 §2, RFC 3168 §6.1.1. Half-open records of the endpoint
//! and connections that open actively or simultaneously use these same functions, so that the rules stand once.

use crate::recv::is_before;
use crate::{ConnectionConfig, EcnPolicy, Instant, Segment};
use carrick_wire::{
    Mss, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps, Window, WindowScale, WireWindow,
};
use core::net::IpAddr;

/// What the peer's SYN told us, as far as our configuration wants it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Peer {
    pub(crate) irs: SeqNum,
    /// TS.Recent, if timestamps are in use.
    pub(crate) ts_recent: Option<u32>,
    pub(crate) mss: Mss,
    /// The window of the SYN, never scaled.
    pub(crate) window: WireWindow,
    /// The peer's shift, if scaling is in use.
    pub(crate) scale: Option<WindowScale>,
    pub(crate) sack: bool,
    /// ECN is agreed on.
    pub(crate) ecn: bool,
}

impl Peer {
    pub(crate) fn of(segment: &Segment<'_>, local: IpAddr, config: &ConnectionConfig) -> Self {
        let options = &segment.options;
        let default = if local.is_ipv4() { Mss::DEFAULT_V4 } else { Mss::DEFAULT_V6 };
        Self {
            irs: segment.seq,
            ts_recent: options.timestamps.filter(|_| config.timestamps).map(|ts| ts.val),
            mss: options.mss.map_or(default, Mss::clamped),
            window: segment.window,
            scale: options.window_scale.filter(|_| config.window_scale).map(WindowScale::clamped),
            sack: options.sack_permitted && config.sack,
            ecn: ecn_setup(segment)
                && match config.ecn {
                    EcnPolicy::Off => false,
                    EcnPolicy::Accept => !segment.has(TcpFlags::ACK),
                    EcnPolicy::Ask => true,
                },
        }
    }

    /// The same SYN has come once more. Options and ECN flags that it no longer carries are off, since a peer whose
    /// SYN was lost may try again without them (RFC 7323 §2.3, WS-8; RFC 3168 §6.1.1.1). The latest timestamp is the
    /// one to echo (RFC 7323 §4.3); nothing else of it counts.
    pub(crate) fn repeated(&mut self, segment: &Segment<'_>) {
        let options = &segment.options;
        let latest = |recent, val| if is_before(val, recent) { recent } else { val };
        self.ts_recent = self.ts_recent.zip(options.timestamps).map(|(recent, ts)| latest(recent, ts.val));
        self.scale = self.scale.filter(|_| options.window_scale.is_some());
        self.sack &= options.sack_permitted;
        self.ecn &= ecn_setup(segment);
    }

    /// Flags of our SYN,ACK: it agrees to ECN only where the SYN has asked for it (RFC 3168 §6.1.1).
    pub(crate) fn syn_ack_flags(&self) -> TcpFlags {
        let ece = if self.ecn { TcpFlags::ECE } else { TcpFlags::EMPTY };
        TcpFlags::SYN | TcpFlags::ACK | ece
    }
}

/// So many SYNs ask for ECN; later ones do not, in case that is why there was no answer (RFC 3168 §6.1.1.1).
const ECN_SYNS: u8 = 2;

/// Whether our SYN asks for ECN once it has been repeated so often.
pub(crate) fn asks_for_ecn(config: &ConnectionConfig, retries: u8) -> bool {
    config.ecn == EcnPolicy::Ask && retries < ECN_SYNS
}

/// Whether a SYN asks for ECN, or a SYN,ACK agrees to it (RFC 3168 §6.1.1). A SYN,ACK with both flags only sends ours
/// back. The bit next to them is accurate ECN's, and reserved for all who do not speak it.
pub(crate) fn ecn_setup(segment: &Segment<'_>) -> bool {
    segment.has(TcpFlags::ECE) && segment.has(TcpFlags::CWR) != segment.has(TcpFlags::ACK)
}

/// The MSS that we advertise (RFC 9293 §3.7.1): what of the MTU the fixed headers leave.
pub(crate) fn local_mss(local: IpAddr, mtu: u16) -> u16 {
    let headers = if local.is_ipv4() { 40 } else { 60 };
    mtu.saturating_sub(headers).max(Mss::FLOOR)
}

/// The MSS that a SYN of ours tells: at most what the application asks for.
pub(crate) fn offered_mss(config: &ConnectionConfig, local: IpAddr, mtu: u16) -> u16 {
    config.limit_segment(local_mss(local, mtu))
}

/// The window of our SYN, never scaled.
pub(crate) fn initial_window(config: &ConnectionConfig) -> WireWindow {
    WireWindow::new(u16::try_from(config.receive_buffer).unwrap_or(u16::MAX))
}

/// An empty ACK in SYN-RECEIVED: what a segment that cannot be used is told.
pub(crate) fn ack(config: &ConnectionConfig, iss: SeqNum, peer: &Peer, ts_now: u32) -> TcpHeader {
    let timestamps = peer.ts_recent.map(|ecr| Timestamps { val: ts_now, ecr });
    TcpHeader {
        seq: iss + 1,
        ack: peer.irs + 1,
        flags: TcpFlags::ACK,
        window: first_window(config, peer),
        options: TcpOptions { timestamps, ..TcpOptions::default() },
        ..TcpHeader::default()
    }
}

/// The window of our SYN,ACK once more, as segments without SYN carry it: scaled, if `peer` scales.
fn first_window(config: &ConnectionConfig, peer: &Peer) -> WireWindow {
    let scale = peer.scale.map_or(WindowScale::ZERO, |_| local_scale(config));
    Window::new(u32::from(initial_window(config).get())).to_wire(scale)
}

/// The least shift with which a window field can offer the whole receive buffer.
pub(crate) fn local_scale(config: &ConnectionConfig) -> WindowScale {
    let bits = u32::BITS.saturating_sub(config.receive_buffer.leading_zeros());
    let shift = bits.saturating_sub(u16::BITS);
    let exact = config.receive_buffer.checked_shr(shift).unwrap_or(0) < u32::from(u16::MAX);
    let shift = if exact { shift } else { shift.saturating_add(1) };
    WindowScale::clamped(u8::try_from(shift).unwrap_or(u8::MAX))
}

/// Options of our SYN, or of our SYN,ACK in answer to `peer`, which carries only what the SYN offered.
pub(crate) fn syn_options(
    config: &ConnectionConfig,
    mss: u16,
    ts_now: u32,
    peer: Option<&Peer>,
) -> TcpOptions {
    let offers_scale = peer.map_or(config.window_scale, |peer| peer.scale.is_some());
    let ecr = peer.map_or(config.timestamps.then_some(0), |peer| peer.ts_recent);
    TcpOptions {
        mss: Some(mss),
        window_scale: offers_scale.then(|| local_scale(config).get()),
        sack_permitted: peer.map_or(config.sack, |peer| peer.sack),
        timestamps: ecr.map(|ecr| Timestamps { val: ts_now, ecr }),
        user_timeout: config.user_timeout_option.and_then(|option| option.advertised()),
        ..TcpOptions::default()
    }
}

/// A connection's clock for timestamps: milliseconds, shifted by a keyed amount (RFC 7323 §5.4).
pub(crate) fn ts_clock(now: Instant, offset: u32) -> u32 {
    let millis = now.as_millis() & u64::from(u32::MAX);
    u32::try_from(millis).unwrap_or(0).wrapping_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_the_least_that_can_offer_the_buffer() {
        for (buffer, shift) in [
            (1000, 0),
            (65_534, 0),
            (65_536, 1),
            (131_000, 1),
            (512 << 10, 4),
            (1 << 20, 5),
            ((1 << 30) - 1, 14),
        ] {
            let config = ConnectionConfig { receive_buffer: buffer, ..ConnectionConfig::default() };
            let scale = local_scale(&config).get();
            assert_eq!(scale, shift, "{buffer}");
            assert!(u64::from(buffer) <= u64::from(u16::MAX) << scale || shift == 14);
        }
    }

    #[test]
    fn mss_1_is_the_mtu_less_the_fixed_headers() {
        let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!((local_mss(v4, 1500), local_mss(v6, 1500)), (1460, 1440));
        assert_eq!((local_mss(v4, 65_535), local_mss(v6, 65_535)), (65_495, 65_475));
    }
}
