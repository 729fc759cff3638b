//! The situations that rows begin in.
//!
//! | code | state |
//! |---|---|
//! | `CL` | no listener, no connection; `CLx`: a connection that was aborted and is still held |
//! | `LI` | a listener |
//! | `SS` | SYN-SENT |
//! | `SR` | SYN-RECEIVED out of LISTEN: a record of the endpoint's; `SRa` out of an active open |
//! | `ES` .. `LA` | the states with data |
//! | `TW` | TIME-WAIT while the application holds the stream; `TWr`: a record of the endpoint's |
//!
//! | addition | what happened before |
//! |---|---|
//! | `+p` `+a` | only as opened by the peer, by us (else both) |
//! | `+ts` `+nots` | only with timestamps, only without (else both) |
//! | `+nowin` | there is no receive buffer at all |
//! | `+text` | 5 bytes arrived that nobody has read |
//! | `+gap` | 10 bytes arrived behind a gap of 10 |
//! | `+zw` | our receive window is full and closed |
//! | `+old` | the peer's window was never above 8, and 20 bytes of ours are acknowledged |
//! | `+out` | 10 bytes of ours are sent and not acknowledged |
//! | `+held` | the peer's window is closed, and 10 bytes of ours wait |
//! | `+gone` | the application has let go of the stream |
//! | `+uto` | the user timeout is 150 ms, less than any retransmission timeout |
//! | `+msl` | the maximum segment lifetime is 50 ms |
//! | `+1337` | resets are taken in TIME-WAIT, as RFC 9293 has it and RFC 1337 advises against |

use carrick_core::TcpState;
use carrick_sim::{Scene, Seg, Span, seg};
use std::time::Duration;

/// The receive buffer and with it the first window.
pub(crate) const WINDOW: u32 = 4000;

/// How a row is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub(crate) v6: bool,
    pub(crate) timestamps: bool,
    pub(crate) passive: bool,
    pub(crate) isn: (u32, u32),
}

/// A scene and the numbers in it, relative to ISS and IRS.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) isn: (u32, u32),
    pub(crate) una: u32,
    pub(crate) nxt: u32,
    pub(crate) rcv: u32,
    pub(crate) edge: u32,
    /// The window field of the peer's segments, if it is not the usual one.
    window: Option<u16>,
}

impl Variant {
    /// All that a situation is to be played in.
    pub(crate) fn all(situation: &str) -> Vec<Self> {
        let mut all = Vec::new();
        let has = |addition: &str| situation.split('+').any(|part| part == addition);
        for isn in [(1_000_000, 2_000_000), (0u32.wrapping_sub(6), 0u32.wrapping_sub(3))] {
            for (v6, timestamps, passive) in [
                (false, false, false),
                (false, true, false),
                (true, false, false),
                (true, true, false),
                (false, false, true),
                (false, true, true),
                (true, false, true),
                (true, true, true),
            ] {
                let origin_fits = !(passive && has("a") || !passive && has("p"));
                let options_fit = !(timestamps && has("nots") || !timestamps && has("ts"));
                let record = situation.starts_with("TWr") && !passive;
                if origin_fits && options_fit && !record {
                    all.push(Self { v6, timestamps, passive, isn });
                }
            }
        }
        all
    }
}

impl Stage {
    pub(crate) fn new(situation: &'static str, variant: Variant) -> Self {
        let Variant { v6, timestamps, passive, isn } = variant;
        let has = |addition: &str| situation.split('+').any(|part| part == addition);
        let state = situation.split('+').next().unwrap_or_default();
        let mut builder = Scene::builder().timestamps(timestamps).isn(isn.0, isn.1).config(|config| {
            // When an ACK of text leaves is not the table's business.
            config.delayed_ack = Duration::ZERO;
            config.receive_buffer = if has("nowin") { 0 } else { WINDOW };
            if has("uto") {
                config.user_timeout = Some(150.ms());
                // A record of the endpoint's counts its SYN,ACKs.
                config.syn_retries = 0;
            }
        });
        if v6 {
            builder = builder.v6();
        }
        if has("old") {
            builder = builder.window(8);
        }
        if has("msl") {
            builder = builder.endpoint(|config| config.msl = 50.ms());
        }
        if has("1337") {
            builder = builder.endpoint(|config| config.rfc1337 = false);
        }
        let none = |scene| Self { scene, isn, una: 0, nxt: 0, rcv: 0, edge: 0, window: None };
        match state {
            "CL" => return none(builder.build()),
            "CLx" => {
                let mut stage = none(builder.established());
                stage.scene.abort();
                stage.settled();
                return stage;
            }
            "LI" => return none(builder.listening()),
            "SS" => {
                return Self { nxt: 1, ..none(builder.connecting()) };
            }
            "SR" => {
                let mut stage = Self { nxt: 1, rcv: 1, edge: 1 + WINDOW, ..none(builder.listening()) };
                stage.scene.inject(seg().syn().seq(0));
                stage.scene.expect(seg().syn().seq(0).ack(1));
                stage.settled();
                return stage;
            }
            "SRa" => {
                let mut stage = Self { nxt: 1, rcv: 1, edge: 1 + WINDOW, ..none(builder.connecting()) };
                stage.scene.inject(seg().syn().seq(0));
                stage.scene.expect(seg().syn().seq(0).ack(1));
                if has("finish") {
                    stage.scene.finish();
                }
                stage.settled();
                return stage;
            }
            _ => {}
        }
        let scene = if passive { builder.accepted() } else { builder.established() };
        let mut stage = Self { scene, isn, una: 1, nxt: 1, rcv: 1, edge: 1 + WINDOW, window: None };
        stage.open(&has);
        stage.close(&state[..2]);
        if has("gone") || state == "TWr" {
            stage.scene.close();
        }
        stage.settled();
        stage.check(state);
        stage
    }

    fn open(&mut self, has: &impl Fn(&str) -> bool) {
        if has("text") {
            self.peer(seg().seq(self.rcv).len(5));
            self.rcv += 5;
        }
        if has("gap") {
            let seq = self.rcv + 10;
            self.peer(seg().seq(seq).len(10));
        }
        if has("zw") {
            for len in [1400, 1400, 1200] {
                self.peer(seg().seq(self.rcv).len(len));
                self.rcv += len as u32;
            }
        }
        if has("old") {
            for len in [8, 8, 4] {
                self.scene.send(vec![7; len]);
                self.nxt += len as u32;
                self.una = self.nxt;
                self.peer(seg().seq(self.rcv));
            }
        }
        if has("held") {
            self.window = Some(0);
            self.peer(seg().seq(self.rcv));
            self.scene.send([7; 10]);
        }
        if has("out") {
            self.scene.send([7; 10]);
            self.nxt += 10;
        }
        self.drain();
    }

    fn close(&mut self, state: &str) {
        match state {
            "ES" => {}
            "F1" => self.finish(),
            "F2" => {
                self.finish();
                self.una = self.nxt;
                self.peer(seg().seq(self.rcv));
            }
            "CW" => self.peer_fin(),
            "CG" => {
                self.finish();
                self.peer_fin();
            }
            "LA" => {
                self.peer_fin();
                self.finish();
            }
            "TW" => {
                self.finish();
                self.una = self.nxt;
                self.peer_fin();
            }
            other => panic!("no state: {other}"),
        }
    }

    fn finish(&mut self) {
        self.scene.finish();
        self.nxt += 1;
    }

    fn peer_fin(&mut self) {
        self.peer(seg().seq(self.rcv).fin());
        self.rcv += 1;
    }

    /// The peer sends its next segment.
    fn peer(&mut self, seg: Seg) {
        let seg = seg.ack(self.una);
        self.scene.inject(match self.window {
            Some(window) => seg.window(window),
            None => seg,
        });
    }

    fn drain(&mut self) {
        while self.scene.take().is_some() {}
    }

    /// What has happened so far does not count.
    fn settled(&mut self) {
        self.scene.advance(10.ms());
        self.drain();
        self.scene.events();
    }

    /// The scene is where the numbers say it is.
    fn check(&self, state: &str) {
        let seen = self.scene.state();
        assert_eq!(code(seen), &state[..2], "{state}\n{}", self.scene.transcript());
        let Some([una, nxt, rcv, edge]) = self.scene.connection().and_then(|c| c.sequence_numbers()) else {
            return;
        };
        let ours = |seq: carrick_wire::SeqNum| seq.get().wrapping_sub(self.isn.0);
        let theirs = |seq: carrick_wire::SeqNum| seq.get().wrapping_sub(self.isn.1);
        let edge = theirs(edge).max(theirs(rcv));
        assert_eq!(
            [ours(una), ours(nxt), theirs(rcv), edge],
            [self.una, self.nxt, self.rcv, self.edge.max(self.rcv)],
            "{state}\n{}",
            self.scene.transcript()
        );
    }
}

/// The page's code of a state.
pub(crate) fn code(state: TcpState) -> &'static str {
    match state {
        TcpState::Closed => "CL",
        TcpState::Listen => "LI",
        TcpState::SynSent => "SS",
        TcpState::SynReceived => "SR",
        TcpState::Established => "ES",
        TcpState::FinWait1 => "F1",
        TcpState::FinWait2 => "F2",
        TcpState::CloseWait => "CW",
        TcpState::Closing => "CG",
        TcpState::LastAck => "LA",
        TcpState::TimeWait => "TW",
    }
}
