//! From handshake to data: what an open connection starts with.

use super::handshake::{self, Peer};
use super::{Connection, Open, Opening, State};
use crate::ecn::Echo;
use crate::recv::Receiver;
use crate::recv::tuning::Tuning;
use crate::send::Sender;
use crate::state::Phase;
use crate::{Event, Instant, Segment};
use carrick_wire::WindowScale;
use core::net::IpAddr;

/// Option bytes of every segment with timestamps: NOP, NOP and the option.
const TIMESTAMPS_LEN: u16 = 12;

impl Open {
    /// Text of a full-sized segment: the peer's MSS or what the path's MTU leaves, less options (RFC 9293 §3.7.1).
    /// At least 48 bytes, since an MSS below its floor is raised to that.
    pub(super) fn segment_size(&self, local: IpAddr, mtu: u16, extra_options: u16) -> u16 {
        let options =
            extra_options.saturating_add(if self.rcv.ts_recent.is_some() { TIMESTAMPS_LEN } else { 0 });
        let mss = self.snd.peer_mss.min(handshake::local_mss(local, mtu));
        mss.saturating_sub(options).max(48)
    }
}

impl Connection {
    /// Our SYN is acknowledged by `segment` and the peer's has come: ESTABLISHED, or FIN-WAIT-1 if the
    /// application has closed meanwhile. The caller sets the send window.
    pub(super) fn establish(&mut self, opening: &Opening, peer: Peer, now: Instant) {
        let unscaled = (WindowScale::ZERO, WindowScale::ZERO);
        let (snd_scale, rcv_scale) =
            peer.scale.map_or(unscaled, |scale| (scale, handshake::local_scale(&self.config)));
        let mss = handshake::offered_mss(&self.config, self.tuple.local, self.link.least_mtu);

        let mut rcv = Receiver::new(
            peer.irs,
            u32::from(handshake::initial_window(&self.config).get()),
            rcv_scale,
            mss,
            now,
            Tuning::new(
                self.config.receive_buffer,
                self.config.tune_receive_buffer,
                handshake::ts_clock(now, self.link.ts_offset),
            ),
        );
        rcv.sack = peer.sack || fault!(self.config, SackUninvited);
        if peer.ecn {
            rcv.echo = Echo::Quiet;
        }
        rcv.ts_recent = peer.ts_recent.map(|recent| (recent, now));

        let mut snd =
            Sender::new(opening.iss, self.config.limit_segment(peer.mss.get()), snd_scale, &self.config);
        // Who has sent a SYN without asking may have to echo marks, and must not ask for any (RFC 3168 §6.1.1).
        snd.ecn.on = peer.ecn && (opening.passive || handshake::asks_for_ecn(&self.config, opening.retries));
        snd.sack = peer.sack;
        snd.rtt = opening.rtt;
        snd.born = handshake::ts_clock(opening.sent_at.unwrap_or(now), self.link.ts_offset);
        // Karn's rule (RFC 6298 §3).
        if let (false, Some(sent_at)) = (opening.again, opening.sent_at) {
            snd.rtt.sample(now.since(sent_at), 1, now);
        }
        snd.rtt.on_established(opening.retries > 0);

        let phase = Phase::Established;
        let phase = if opening.finish { phase.on_close() } else { phase };
        snd.fin = opening.finish;
        let timeout_due = self.config.user_timeout_option.is_some();
        let mut open = Open { phase, snd, rcv, remote_timeout: None, timeout_due };
        let segment_size = u32::from(open.segment_size(self.tuple.local, self.path.mtu, 0));
        open.snd.congestion.get_mut().on_start(segment_size);
        if opening.retries > 1 {
            open.snd.congestion.get_mut().on_handshake_loss();
        }
        self.moved = now;
        self.state = State::Open(open.into());
        self.note(Event::Connected);
        self.note(Event::Writable);
    }

    /// Takes the window of the segment that completed the handshake. `scaled` says that it is no SYN.
    pub(super) fn set_first_window(&mut self, segment: &Segment<'_>, scaled: bool) {
        let State::Open(open) = &mut self.state else { return };
        let scaled = scaled || fault!(self.config, SynWindowScaled);
        let scale = if scaled { open.snd.scale } else { WindowScale::ZERO };
        open.snd.set_window(segment.last_seq(), segment.ack, segment.window.scaled(scale));
    }
}
