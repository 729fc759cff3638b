//! The settings of the namespace that a script runs in, as Linux names them.
//!
//! A script sets them with `sysctl` before, and sometimes between, its calls; whoever opens a socket, listens or
//! connects reads them anew. What cannot be read has Linux's default.

use crate::controller::{CUBIC, NAMES};
use crate::flags::Flags;
use carrick_core::{ConnectionConfig, EcnPolicy, EndpointConfig, SynCookies};
use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

/// Where settings come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Files below this directory: `/proc/sys`.
    Files(PathBuf),
    /// These, by their names below `net.`, such as `ipv4.tcp_sack`; for tests.
    Given(BTreeMap<String, String>),
}

impl Default for Source {
    fn default() -> Self {
        Self::Files("/proc/sys".into())
    }
}

impl Source {
    fn text(&self, name: &str) -> Option<String> {
        match self {
            Self::Files(root) => std::fs::read_to_string(root.join("net").join(name.replace('.', "/"))).ok(),
            Self::Given(values) => values.get(name).cloned(),
        }
    }

    fn numbers(&self, name: &str) -> Vec<u64> {
        let text = self.text(name).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.numbers(name).first().copied().unwrap_or(default)
    }

    fn flag(&self, name: &str) -> bool {
        self.number(name, 1) != 0
    }

    fn seconds(&self, name: &str, default: u64) -> Duration {
        Duration::from_secs(self.number(name, default))
    }

    fn byte(&self, name: &str, default: u8) -> u8 {
        u8::try_from(self.number(name, default.into())).unwrap_or(u8::MAX)
    }
}

/// A buffer's size: default and greatest, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Buffer {
    /// What a socket begins with.
    pub default: u32,
    /// What it may grow to by itself.
    pub max: u32,
}

/// What the namespace says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Settings of new connections, as far as they come from the namespace.
    pub connection: ConnectionConfig,
    /// `tcp_rmem`. A connection's own buffer is of the greatest size: it takes memory only as bytes arrive.
    pub receive: Buffer,
    /// `tcp_wmem`.
    pub send: Buffer,
    /// The most that SO_SNDBUF may ask for, before it is doubled (`core.wmem_max`).
    pub most_send: u32,
    /// The most that SO_RCVBUF may ask for, before it is doubled (`core.rmem_max`).
    pub most_receive: u32,
    /// The name of the congestion controller; where the namespace has one that is not here, CUBIC's.
    pub congestion: String,
    /// `tcp_slow_start_after_idle`.
    pub restarts: bool,
    /// Default of TCP_KEEPIDLE, in seconds.
    pub keep_alive_time: u32,
    /// Default of TCP_KEEPINTVL, in seconds.
    pub keep_alive_interval: u32,
    /// Default of TCP_KEEPCNT.
    pub keep_alive_probes: u8,
    /// `tcp_notsent_lowat`: writers wait beyond so many bytes not sent.
    pub notsent_lowat: u32,
    /// The most that `listen` may ask for (`core.somaxconn`).
    pub most_backlog: u32,
}

impl Settings {
    /// Reads what a new socket needs.
    #[must_use]
    pub fn read(source: &Source, flags: &Flags) -> Self {
        let buffer = |name, default, max| match source.numbers(name)[..] {
            [_, default, max] => Buffer { default: clamp(default), max: clamp(max) },
            _ => Buffer { default, max },
        };
        let receive = buffer("ipv4.tcp_rmem", 131_072, 6 << 20);
        let send = buffer("ipv4.tcp_wmem", 16_384, 4 << 20);
        let text = source.text("ipv4.tcp_congestion_control");
        let named = text.as_deref().map(str::trim).filter(|name| NAMES.contains(name)).unwrap_or(CUBIC);
        let connection = ConnectionConfig {
            receive_buffer: receive.max,
            tune_receive_buffer: false,
            send_buffer: u32::MAX,
            tune_send_buffer: false,
            window_scale: source.flag("ipv4.tcp_window_scaling"),
            // In Linux that is the business of a queueing discipline, or of controllers that ask for it.
            pacing: false,
            timestamps: source.flag("ipv4.tcp_timestamps"),
            sack: source.flag("ipv4.tcp_sack"),
            ecn: match source.number("ipv4.tcp_ecn", 2) {
                0 => EcnPolicy::Off,
                1 => EcnPolicy::Ask,
                _ => EcnPolicy::Accept,
            },
            syn_retries: source.byte("ipv4.tcp_syn_retries", 6),
            retries: source.byte("ipv4.tcp_retries2", 15),
            fin_wait_2: source.seconds("ipv4.tcp_fin_timeout", 60),
            min_rto: Duration::from_micros(source.number("ipv4.tcp_rto_min_us", 200_000)),
            max_rto: Duration::from_millis(source.number("ipv4.tcp_rto_max_ms", 120_000)),
            hop_limit: NonZeroU8::new(source.byte("ipv4.ip_default_ttl", 64)),
            ..ConnectionConfig::default()
        };
        Self {
            connection,
            receive,
            send,
            most_send: clamp(source.number("core.wmem_max", 212_992)),
            most_receive: clamp(source.number("core.rmem_max", 212_992)),
            congestion: flags.congestion.clone().unwrap_or_else(|| named.to_owned()),
            restarts: source.flag("ipv4.tcp_slow_start_after_idle"),
            keep_alive_time: clamp(source.number("ipv4.tcp_keepalive_time", 7200)),
            keep_alive_interval: clamp(source.number("ipv4.tcp_keepalive_intvl", 75)),
            keep_alive_probes: source.byte("ipv4.tcp_keepalive_probes", 9),
            notsent_lowat: clamp(source.number("ipv4.tcp_notsent_lowat", u32::MAX.into())),
            most_backlog: clamp(source.number("core.somaxconn", 4096)),
        }
    }
}

/// Settings of the endpoint; they hold from the first call on.
#[must_use]
pub fn endpoint(source: &Source, flags: &Flags) -> EndpointConfig {
    EndpointConfig {
        addresses: flags.local.clone(),
        mtu: flags.mtu,
        path_mtu_discovery: source.number("ipv4.ip_no_pmtu_disc", 0) == 0,
        hop_limit: source.byte("ipv4.ip_default_ttl", 64),
        // Linux waits 60 s in TIME-WAIT, whatever the namespace says.
        msl: Duration::from_secs(30),
        rfc1337: source.number("ipv4.tcp_rfc1337", 0) != 0,
        syn_cookies: match source.number("ipv4.tcp_syncookies", 1) {
            0 => SynCookies::Never,
            1 => SynCookies::BeyondLimit,
            _ => SynCookies::Always,
        },
        ..EndpointConfig::default()
    }
}

/// Segments that a packet stands for at least, where there are as many.
#[must_use]
pub fn least_burst(source: &Source) -> u32 {
    clamp(source.number("ipv4.tcp_min_tso_segs", 2))
}

fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
