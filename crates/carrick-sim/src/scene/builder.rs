//! Settings of a [`Scene`], and the situations that it can begin in.

use super::Scene;
use crate::packet::Offload;
use crate::segment::seg;
use carrick_core::{ConnectionConfig, EndpointConfig, ListenConfig, TcpState};

/// Settings of a [`Scene`].
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) v6: bool,
    pub(super) mtu: u16,
    pub(super) offload: Offload,
    pub(super) isn: (u32, u32),
    pub(super) window: u16,
    pub(super) mss: Option<u16>,
    pub(super) window_scale: Option<u8>,
    pub(super) timestamps: bool,
    pub(super) sack: bool,
    pub(super) connection: ConnectionConfig,
    pub(super) endpoint: EndpointConfig,
    pub(super) backlog: u32,
    pub(super) listen: ListenConfig,
    pub(super) budget: usize,
    pub(super) seed: u64,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            v6: false,
            mtu: 1500,
            offload: Offload::Cut,
            isn: (1_000_000, 2_000_000),
            window: 65_535,
            mss: None,
            window_scale: None,
            timestamps: false,
            sack: false,
            // Windows in scripts are easier to follow where they do not depend on what came before.
            connection: ConnectionConfig {
                receive_buffer: 1000 << 10,
                tune_receive_buffer: false,
                send_buffer: 512 << 10,
                tune_send_buffer: false,
                ..ConnectionConfig::default()
            },
            endpoint: EndpointConfig::default(),
            backlog: 16,
            listen: ListenConfig::default(),
            budget: 64 << 20,
            seed: 1,
        }
    }

    /// Over IPv6. Default: IPv4.
    #[must_use]
    pub fn v6(mut self) -> Self {
        self.v6 = true;
        self
    }

    /// MTU of the link. Default 1,500.
    #[must_use]
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// Whether our device carries super-segments whole. Default: it cuts them.
    #[must_use]
    pub fn offload(mut self, offload: Offload) -> Self {
        self.offload = offload;
        self
    }

    /// ISS and IRS, pinned. Default 1,000,000 and 2,000,000.
    #[must_use]
    pub fn isn(mut self, ours: u32, theirs: u32) -> Self {
        self.isn = (ours, theirs);
        self
    }

    /// The window field that the peer's segments carry. Default 65,535.
    #[must_use]
    pub fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    /// The MSS option of the peer's SYN, or none. Default: what the MTU allows.
    #[must_use]
    pub fn mss(mut self, mss: impl Into<Option<u16>>) -> Self {
        self.mss = Some(mss.into().unwrap_or(0));
        self
    }

    /// The peer offers, or agrees to, window scaling with this shift. Default: it does not.
    #[must_use]
    pub fn window_scale(mut self, shift: u8) -> Self {
        self.window_scale = Some(shift);
        self
    }

    /// Whether the peer offers, or agrees to, timestamps. Default: no.
    #[must_use]
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Whether the peer offers, or agrees to, SACK. Default: no.
    #[must_use]
    pub fn sack(mut self, sack: bool) -> Self {
        self.sack = sack;
        self
    }

    /// Changes the settings of our connections. Default: buffers of 1,000 KiB (received) and 512 KiB, which do not tune
    /// themselves; all else as in [`ConnectionConfig::default`].
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut ConnectionConfig)) -> Self {
        change(&mut self.connection);
        self
    }

    /// Changes the settings of our endpoint.
    #[must_use]
    pub fn endpoint(mut self, change: impl FnOnce(&mut EndpointConfig)) -> Self {
        change(&mut self.endpoint);
        self
    }

    /// Changes the settings of our listener, but for its backlog and its connections, which are set elsewhere.
    #[must_use]
    pub fn listener(mut self, change: impl FnOnce(&mut ListenConfig)) -> Self {
        change(&mut self.listen);
        self
    }

    /// How many connections may wait to be accepted. Default 16.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Most bytes that our connections may hold together. Default 64 MiB.
    #[must_use]
    pub fn budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// Our seed. Default 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A scene in which nothing has happened yet.
    #[must_use]
    pub fn build(self) -> Scene {
        Scene::new(self)
    }

    /// A scene with a listener on port 80.
    #[must_use]
    pub fn listening(self) -> Scene {
        let mut scene = self.build();
        scene.listen();
        scene
    }

    /// A scene in which we have sent a SYN, and the script has seen it.
    #[must_use]
    #[track_caller]
    pub fn connecting(self) -> Scene {
        let mut scene = self.build();
        scene.connect();
        scene.expect(seg().syn().seq(0));
        scene
    }

    /// A scene in ESTABLISHED, which we opened.
    #[must_use]
    #[track_caller]
    pub fn established(self) -> Scene {
        let mut scene = self.connecting();
        scene.inject(seg().syn().seq(0).ack(1));
        scene.expect(seg().seq(1).ack(1));
        assert_eq!(scene.state(), TcpState::Established);
        scene.events();
        scene
    }

    /// A scene in ESTABLISHED, which the peer opened and we accepted.
    #[must_use]
    #[track_caller]
    pub fn accepted(self) -> Scene {
        let mut scene = self.listening();
        scene.inject(seg().syn().seq(0));
        scene.expect(seg().syn().seq(0).ack(1));
        scene.inject(seg().seq(1).ack(1));
        assert!(scene.accept(), "nothing to accept\n{}", scene.transcript());
        assert_eq!(scene.state(), TcpState::Established);
        scene.events();
        scene
    }
}
