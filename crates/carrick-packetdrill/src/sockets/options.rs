//! Socket options.

use super::{Fd, Role, Sockets, some_time};
use crate::controller::{NAMES, controller};
use crate::errno::{Errno, Result};
use crate::info;
use crate::sysctl::Settings;
use carrick_core::{Connection, ConnectionConfig, Cx, KeepAlive};
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

/// Linux's least send buffer, as `getsockopt` tells it.
const LEAST_SEND_BUFFER: u32 = 4608;
/// Linux's least receive buffer, as `getsockopt` tells it.
const LEAST_RECEIVE_BUFFER: u32 = 2304;
/// The segment size of an unconnected socket that nobody has asked for (RFC 9293 §3.7.1).
const DEFAULT_MSS: u32 = 536;
/// The time to live that stands for the namespace's.
const NAMESPACE_TTL: i32 = -1;
/// The longest TCP_LINGER2, in seconds (`TCP_FIN_TIMEOUT_MAX`).
const MOST_LINGER2: i32 = 120;

/// What is set on a socket.
#[derive(Clone, Debug)]
pub struct Options {
    /// SO_REUSEADDR.
    pub(super) reuse_address: bool,
    /// SO_LINGER.
    pub(super) linger: Option<Duration>,
    /// SO_SNDBUF, doubled.
    pub(super) send_buffer: Option<u32>,
    /// SO_RCVTIMEO.
    pub(super) receive_timeout: Option<Duration>,
    /// SO_SNDTIMEO.
    pub(super) send_timeout: Option<Duration>,
    /// TCP_CORK.
    pub(super) cork: bool,
    /// SO_ZEROCOPY.
    pub(super) lends: bool,
    /// TCP_INQ.
    pub(super) inq: bool,
    /// TCP_NOTSENT_LOWAT; 0 is the namespace's.
    pub(super) notsent_lowat: u32,
    /// SO_RCVBUF, doubled.
    receive_buffer: Option<u32>,
    no_delay: bool,
    max_segment: Option<u16>,
    keep_alive: bool,
    keep_idle: u32,
    keep_interval: u32,
    keep_count: u8,
    /// TCP_USER_TIMEOUT.
    user_timeout: Duration,
    /// TCP_LINGER2 as set.
    linger2: i32,
    syn_count: Option<u8>,
    congestion: String,
    tos: u8,
    ttl: Option<NonZeroU8>,
    /// Options that change nothing here but are remembered.
    reuse_port: bool,
    priority: i32,
    mark: i32,
    oob_inline: bool,
    receive_low_water: i32,
    pmtu_discover: i32,
    free_bind: bool,
}

impl Options {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            reuse_address: false,
            linger: None,
            send_buffer: None,
            receive_timeout: None,
            send_timeout: None,
            cork: false,
            lends: false,
            inq: false,
            notsent_lowat: 0,
            receive_buffer: None,
            no_delay: false,
            max_segment: None,
            keep_alive: false,
            keep_idle: settings.keep_alive_time,
            keep_interval: settings.keep_alive_interval,
            keep_count: settings.keep_alive_probes,
            user_timeout: Duration::ZERO,
            linger2: 0,
            syn_count: None,
            congestion: settings.congestion.clone(),
            tos: 0,
            ttl: None,
            reuse_port: false,
            priority: 0,
            mark: 0,
            oob_inline: false,
            receive_low_water: 1,
            pmtu_discover: libc::IP_PMTUDISC_WANT,
            free_bind: false,
        }
    }

    /// Settings of a connection that begins with these options.
    pub(super) fn connection(&self, settings: &Settings) -> ConnectionConfig {
        let base = &settings.connection;
        ConnectionConfig {
            // Linux counts the overhead of buffers too, which is taken to be half.
            receive_buffer: self.receive_buffer.map_or(base.receive_buffer, |buffer| buffer / 2),
            nodelay: self.no_delay,
            push_bursts: true,
            tolerate_missing_timestamps: true,
            max_segment: self.max_segment.and_then(NonZeroU16::new),
            keep_alive: self.keep_alive_config(),
            user_timeout: some_time(self.user_timeout),
            syn_retries: self.syn_count.unwrap_or(base.syn_retries),
            linger: self.core_linger(),
            dscp: self.tos >> 2,
            hop_limit: self.ttl.or(base.hop_limit),
            fin_wait_2: self.fin_wait_2(settings),
            congestion: Some(controller(&self.congestion, settings.restarts)),
            ..base.clone()
        }
    }

    fn fin_wait_2(&self, settings: &Settings) -> Duration {
        match self.linger2 {
            0 => settings.connection.fin_wait_2,
            seconds => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        }
    }

    fn keep_alive_config(&self) -> Option<KeepAlive> {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        self.keep_alive.then(|| KeepAlive {
            idle: seconds(self.keep_idle),
            interval: seconds(self.keep_interval),
            retries: self.keep_count,
        })
    }

    /// SO_RCVLOWAT: what a reader waits for, in bytes.
    pub(super) fn receive_low_water(&self) -> usize {
        usize::try_from(self.receive_low_water).unwrap_or(usize::MAX)
    }

    /// The core gives undelivered text up after a time; Linux only ceases to wait for it.
    fn core_linger(&self) -> Option<Duration> {
        self.linger.filter(Duration::is_zero)
    }
}

/// An option's value as the application gave it.
struct Value<'a>(&'a [u8]);

impl Value<'_> {
    fn int(&self) -> Result<i32> {
        match self.0 {
            [a, b, c, d, ..] => Ok(i32::from_ne_bytes([*a, *b, *c, *d])),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Options of IP take a byte too.
    fn int_or_byte(&self) -> Result<i32> {
        match self.0 {
            [byte] => Ok((*byte).into()),
            _ => self.int(),
        }
    }

    fn flag(&self) -> Result<bool> {
        Ok(self.int()? != 0)
    }

    fn within(&self, low: i32, high: i32) -> Result<i32> {
        let value = self.int()?;
        if (low..=high).contains(&value) { Ok(value) } else { Err(Errno::EINVAL) }
    }

    /// A buffer's size, doubled. Linux takes what is below zero for more than there is to be had.
    fn buffer(&self, forced: bool, most: u32) -> Result<u32> {
        let asked = self.int()?;
        let asked = if forced { asked.max(0).cast_unsigned() } else { asked.cast_unsigned().min(most) };
        Ok(asked.min(i32::MAX.cast_unsigned() / 2) * 2)
    }

    /// `struct timeval`; zero is no limit.
    fn time(&self) -> Result<Option<Duration>> {
        let number = |at: usize| {
            let bytes = self.0.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map(i64::from_ne_bytes).ok_or(Errno::EINVAL)
        };
        let (seconds, micros) = (number(0)?, number(8)?);
        let micros = u64::try_from(micros).ok().filter(|micros| *micros < 1_000_000).ok_or(Errno::EDOM)?;
        // Linux takes negative seconds for none at all.
        let seconds = u64::try_from(seconds).unwrap_or(0);
        Ok(some_time(Duration::from_secs(seconds) + Duration::from_micros(micros)))
    }
}

fn ints(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn time(value: Option<Duration>) -> Vec<u8> {
    let value = value.unwrap_or_default();
    let seconds = i64::try_from(value.as_secs()).unwrap_or(i64::MAX);
    [seconds.to_ne_bytes(), i64::from(value.subsec_micros()).to_ne_bytes()].concat()
}

fn int(value: u32) -> i32 {
    // Linux hands out the bits, too.
    value.cast_signed()
}

impl Sockets {
    /// `setsockopt`.
    ///
    /// # Errors
    /// As `setsockopt(2)`; ENOPROTOOPT for what is not known here.
    pub fn set_option(&mut self, fd: Fd, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let value = Value(value);
        self.socket_ref(fd)?;
        match level {
            libc::SOL_SOCKET => self.set_socket_option(fd, name, &value)?,
            libc::SOL_TCP => self.set_tcp_option(fd, name, &value)?,
            libc::SOL_IP | libc::SOL_IPV6 => self.set_ip_option(fd, level, name, &value)?,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        // What comes of a listener is as the listener is then.
        let socket = self.socket_ref(fd)?;
        if let Role::Listening(id) = socket.role {
            let connection = socket.options.connection(&socket.settings);
            self.net().set_listener_connection(id, connection);
        }
        Ok(())
    }

    fn set_socket_option(&mut self, fd: Fd, name: i32, value: &Value<'_>) -> Result<()> {
        let socket = self.socket_mut(fd)?;
        let options = &mut socket.options;
        match name {
            libc::SO_REUSEADDR => options.reuse_address = value.flag()?,
            libc::SO_REUSEPORT => options.reuse_port = value.flag()?,
            libc::SO_KEEPALIVE => {
                options.keep_alive = value.flag()?;
                self.apply_keep_alive(fd);
            }
            libc::SO_LINGER => {
                let [on, seconds] = [value.int()?, Value(value.0.get(4..).unwrap_or_default()).int()?];
                let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                options.linger = (on != 0).then_some(seconds);
                let linger = options.core_linger();
                self.tell(fd, |connection, _| connection.set_linger(linger));
            }
            libc::SO_SNDBUF | libc::SO_SNDBUFFORCE => {
                let forced = name == libc::SO_SNDBUFFORCE;
                let size = value.buffer(forced, socket.settings.most_send)?.max(LEAST_SEND_BUFFER);
                options.send_buffer = Some(size);
                socket.send_buffer = size;
            }
            libc::SO_RCVBUF | libc::SO_RCVBUFFORCE => {
                let forced = name == libc::SO_RCVBUFFORCE;
                let size = value.buffer(forced, socket.settings.most_receive)?;
                options.receive_buffer = Some(size.max(LEAST_RECEIVE_BUFFER));
            }
            libc::SO_RCVTIMEO => options.receive_timeout = value.time()?,
            libc::SO_SNDTIMEO => options.send_timeout = value.time()?,
            libc::SO_RCVLOWAT => {
                // Linux takes what is below zero for all that there can be, which is half of the buffer.
                let asked = value.int()?;
                let buffer = options.receive_buffer.unwrap_or(socket.settings.receive.max);
                let most = i32::try_from(buffer / 2).unwrap_or(i32::MAX);
                options.receive_low_water = if asked < 0 { most } else { asked.min(most).max(1) };
            }
            libc::SO_PRIORITY => options.priority = value.int()?,
            libc::SO_MARK => options.mark = value.int()?,
            libc::SO_OOBINLINE => options.oob_inline = value.flag()?,
            libc::SO_ZEROCOPY => options.lends = value.flag()?,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn set_tcp_option(&mut self, fd: Fd, name: i32, value: &Value<'_>) -> Result<()> {
        let streaming = matches!(self.socket_ref(fd)?.role, Role::Stream { .. });
        if name == libc::TCP_CONGESTION {
            let text: Vec<u8> = value.0.iter().copied().take_while(|byte| *byte != 0).collect();
            let name = String::from_utf8(text).map_err(|_| Errno::ENOENT)?;
            if !NAMES.contains(&name.as_str()) {
                return Err(Errno::ENOENT);
            }
            let socket = self.socket_mut(fd)?;
            // A connection keeps what it has begun with.
            if streaming && socket.options.congestion != name {
                return Err(Errno::EOPNOTSUPP);
            }
            socket.options.congestion = name;
            return Ok(());
        }
        let super::Socket { options, settings, .. } = self.socket_mut(fd)?;
        match name {
            libc::TCP_NODELAY => {
                let on = value.flag()?;
                options.no_delay = on;
                let cork = options.cork;
                self.tell(fd, |connection, cx| {
                    connection.set_nodelay(cx, on);
                    if on && cork {
                        // It sends what a cork has held back, once.
                        connection.set_cork(cx, false);
                    }
                });
                self.tell(fd, |connection, cx| connection.set_cork(cx, cork));
            }
            libc::TCP_CORK => {
                let on = value.flag()?;
                options.cork = on;
                self.tell(fd, |connection, cx| connection.set_cork(cx, on));
            }
            libc::TCP_MAXSEG => {
                let size = value.int()?;
                if size != 0 && !(88..=32_767).contains(&size) {
                    return Err(Errno::EINVAL);
                }
                options.max_segment = u16::try_from(size).ok().filter(|size| *size > 0);
            }
            libc::TCP_KEEPIDLE => {
                options.keep_idle = value.within(1, 32_767)?.cast_unsigned();
                self.apply_keep_alive(fd);
            }
            libc::TCP_KEEPINTVL => {
                options.keep_interval = value.within(1, 32_767)?.cast_unsigned();
                self.apply_keep_alive(fd);
            }
            libc::TCP_KEEPCNT => {
                options.keep_count = u8::try_from(value.within(1, 127)?).unwrap_or(u8::MAX);
                self.apply_keep_alive(fd);
            }
            libc::TCP_USER_TIMEOUT => {
                let millis = u64::try_from(value.int()?).map_err(|_| Errno::EINVAL)?;
                let timeout = Duration::from_millis(millis);
                options.user_timeout = timeout;
                self.tell(fd, |connection, cx| connection.set_user_timeout(cx, some_time(timeout)));
            }
            libc::TCP_LINGER2 => {
                options.linger2 = value.int()?.clamp(-1, MOST_LINGER2);
                let limit = options.fin_wait_2(settings);
                self.tell(fd, |connection, cx| connection.set_fin_wait_2(cx, limit));
            }
            libc::TCP_SYNCNT => options.syn_count = u8::try_from(value.within(1, 127)?).ok(),
            libc::TCP_QUICKACK => {
                let on = value.flag()?;
                self.tell(fd, |connection, cx| connection.set_quickack(cx, on));
            }
            libc::TCP_NOTSENT_LOWAT => {
                options.notsent_lowat = value.int()?.cast_unsigned();
                self.offer_space();
            }
            libc::TCP_INQ => options.inq = value.within(0, 1)? == 1,
            // A listener that waits for text before it wakes anybody is not here.
            libc::TCP_DEFER_ACCEPT if !streaming && value.int()? == 0 => {}
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn set_ip_option(&mut self, fd: Fd, level: i32, name: i32, value: &Value<'_>) -> Result<()> {
        let super::Socket { family, options, settings, .. } = self.socket_mut(fd)?;
        if level == libc::SOL_IPV6 && *family == super::Family::V4 {
            return Err(Errno::ENOPROTOOPT);
        }
        match (level, name) {
            (libc::SOL_IP, libc::IP_TOS) | (libc::SOL_IPV6, libc::IPV6_TCLASS) => {
                let asked = value.int_or_byte()?;
                if level == libc::SOL_IPV6 && !(-1..=255).contains(&asked) {
                    return Err(Errno::EINVAL);
                }
                let asked = if level == libc::SOL_IPV6 { asked.max(0) } else { asked };
                // The lower two bits are TCP's own (RFC 3168).
                let tos = u8::try_from(asked & 0xfc).unwrap_or(0);
                options.tos = tos;
                self.tell(fd, |connection, _| connection.set_dscp(tos >> 2));
            }
            (libc::SOL_IP, libc::IP_TTL) | (libc::SOL_IPV6, libc::IPV6_UNICAST_HOPS) => {
                let asked = value.int_or_byte()?;
                let ttl = u8::try_from(asked).ok().and_then(NonZeroU8::new);
                if ttl.is_none() && asked != NAMESPACE_TTL {
                    return Err(Errno::EINVAL);
                }
                options.ttl = ttl;
                let ttl = ttl.or(settings.connection.hop_limit);
                self.tell(fd, |connection, _| ttl.into_iter().for_each(|ttl| connection.set_hop_limit(ttl)));
            }
            (libc::SOL_IP, libc::IP_MTU_DISCOVER) => options.pmtu_discover = value.int_or_byte()?,
            (libc::SOL_IP, libc::IP_FREEBIND) => options.free_bind = value.int_or_byte()? != 0,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// Does something to the connection of a descriptor, if it has one.
    fn tell(&mut self, fd: Fd, act: impl FnOnce(&mut Connection, &Cx)) {
        if let Ok(Role::Stream { id, .. }) = self.socket_ref(fd).map(|socket| socket.role) {
            self.net().act(id, act);
        }
    }

    fn apply_keep_alive(&mut self, fd: Fd) {
        let Ok(socket) = self.socket_ref(fd) else { return };
        let keep_alive = socket.options.keep_alive_config();
        self.tell(fd, |connection, cx| connection.set_keep_alive(cx, keep_alive));
    }

    /// What can be changed while a connection lasts, and was set before it began.
    pub(super) fn apply_options(&mut self, fd: Fd) {
        let Ok(socket) = self.socket_ref(fd) else { return };
        let cork = socket.options.cork;
        self.tell(fd, |connection, cx| connection.set_cork(cx, cork));
    }

    /// `getsockopt`: the value's bytes.
    ///
    /// # Errors
    /// As `getsockopt(2)`; ENOPROTOOPT for what is not known here.
    pub fn option(&mut self, fd: Fd, level: i32, name: i32) -> Result<Vec<u8>> {
        match level {
            libc::SOL_SOCKET => self.socket_option(fd, name),
            libc::SOL_TCP => self.tcp_option(fd, name),
            libc::SOL_IP | libc::SOL_IPV6 => self.ip_option(fd, level, name),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn socket_option(&mut self, fd: Fd, name: i32) -> Result<Vec<u8>> {
        if name == libc::SO_ERROR {
            self.socket_ref(fd)?;
            return Ok(ints(&[self.take_error(fd).map_or(0, |error| error.0)]));
        }
        if name == libc::SO_MEMINFO {
            return Ok(self.memory_info(fd)?.iter().flat_map(|word| word.to_ne_bytes()).collect());
        }
        let socket = self.socket_ref(fd)?;
        let options = &socket.options;
        Ok(ints(&[match name {
            libc::SO_REUSEADDR => options.reuse_address.into(),
            libc::SO_REUSEPORT => options.reuse_port.into(),
            libc::SO_KEEPALIVE => options.keep_alive.into(),
            libc::SO_LINGER => {
                let seconds =
                    options.linger.map_or(0, |wait| i32::try_from(wait.as_secs()).unwrap_or(i32::MAX));
                return Ok(ints(&[options.linger.is_some().into(), seconds]));
            }
            libc::SO_SNDBUF => int(socket.send_buffer),
            libc::SO_RCVBUF => int(options.receive_buffer.unwrap_or(socket.settings.receive.default)),
            libc::SO_RCVTIMEO => return Ok(time(options.receive_timeout)),
            libc::SO_SNDTIMEO => return Ok(time(options.send_timeout)),
            libc::SO_RCVLOWAT => options.receive_low_water,
            libc::SO_PRIORITY => options.priority,
            libc::SO_MARK => options.mark,
            libc::SO_OOBINLINE => options.oob_inline.into(),
            libc::SO_ZEROCOPY => options.lends.into(),
            libc::SO_TYPE => libc::SOCK_STREAM,
            libc::SO_PROTOCOL => libc::IPPROTO_TCP,
            libc::SO_DOMAIN => match socket.family {
                super::Family::V4 => libc::AF_INET,
                super::Family::V6 => libc::AF_INET6,
            },
            libc::SO_ACCEPTCONN => matches!(socket.role, Role::Listening(_)).into(),
            _ => return Err(Errno::ENOPROTOOPT),
        }]))
    }

    fn tcp_option(&self, fd: Fd, name: i32) -> Result<Vec<u8>> {
        let socket = self.socket_ref(fd)?;
        let options = &socket.options;
        let cell = match socket.role {
            Role::Stream { id, .. } => self.cell(id),
            Role::Idle | Role::Listening(_) => None,
        };
        Ok(ints(&[match name {
            libc::TCP_NODELAY => options.no_delay.into(),
            libc::TCP_CORK => options.cork.into(),
            libc::TCP_MAXSEG => {
                let send = cell.and_then(|cell| cell.connection.tcp_info()).map(|info| info.send_mss.into());
                int(send.or(options.max_segment.map(u32::from)).unwrap_or(DEFAULT_MSS))
            }
            libc::TCP_KEEPIDLE => int(options.keep_idle),
            libc::TCP_KEEPINTVL => int(options.keep_interval),
            libc::TCP_KEEPCNT => options.keep_count.into(),
            libc::TCP_USER_TIMEOUT => i32::try_from(options.user_timeout.as_millis()).unwrap_or(i32::MAX),
            libc::TCP_LINGER2 => match options.linger2 {
                0 => i32::try_from(socket.settings.connection.fin_wait_2.as_secs()).unwrap_or(i32::MAX),
                seconds => seconds,
            },
            libc::TCP_SYNCNT => options.syn_count.unwrap_or(socket.settings.connection.syn_retries).into(),
            libc::TCP_QUICKACK => cell.is_none_or(|cell| cell.connection.quickack()).into(),
            libc::TCP_NOTSENT_LOWAT => int(options.notsent_lowat),
            libc::TCP_INQ => options.inq.into(),
            libc::TCP_DEFER_ACCEPT => 0,
            libc::TCP_CONGESTION => {
                let mut name = options.congestion.clone().into_bytes();
                name.resize(16, 0);
                return Ok(name);
            }
            libc::TCP_INFO => {
                let listening = matches!(socket.role, Role::Listening(_));
                let now = self.now();
                let starved =
                    socket.starved_for + socket.starved.map_or(Duration::ZERO, |since| now.since(since));
                return Ok(info::tcp_info(cell, listening, starved, now));
            }
            // Neither controller has anything to tell.
            libc::TCP_CC_INFO => return Ok(Vec::new()),
            _ => return Err(Errno::ENOPROTOOPT),
        }]))
    }

    fn ip_option(&self, fd: Fd, level: i32, name: i32) -> Result<Vec<u8>> {
        let super::Socket { family, options, settings, .. } = self.socket_ref(fd)?;
        if level == libc::SOL_IPV6 && *family == super::Family::V4 {
            return Err(Errno::ENOPROTOOPT);
        }
        Ok(ints(&[match (level, name) {
            (libc::SOL_IP, libc::IP_TOS) | (libc::SOL_IPV6, libc::IPV6_TCLASS) => options.tos.into(),
            (libc::SOL_IP, libc::IP_TTL) | (libc::SOL_IPV6, libc::IPV6_UNICAST_HOPS) => {
                options.ttl.or(settings.connection.hop_limit).map_or(0, |ttl| ttl.get().into())
            }
            (libc::SOL_IP, libc::IP_MTU_DISCOVER) => options.pmtu_discover,
            (libc::SOL_IP, libc::IP_FREEBIND) => options.free_bind.into(),
            _ => return Err(Errno::ENOPROTOOPT),
        }]))
    }

    /// Linux's nine words about memory (`SK_MEMINFO_*`). Bytes that wait to be read or to be acknowledged, and limits;
    /// what has no likeness here is zero.
    fn memory_info(&self, fd: Fd) -> Result<[u32; 9]> {
        let socket = self.socket_ref(fd)?;
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let receive_buffer = socket.options.receive_buffer.unwrap_or(socket.settings.receive.default);
        let (read, queued) = match socket.role {
            Role::Stream { id, .. } => self.cell(id).map_or((0, 0), |cell| {
                (size(cell.connection.readable_len()), size(cell.connection.unacknowledged()))
            }),
            Role::Idle | Role::Listening(_) => (0, 0),
        };
        Ok([read, receive_buffer, 0, socket.send_buffer, 0, queued, 0, 0, 0])
    }
}
