//! Sockets as POSIX and Linux have them, over [`Net`]: descriptors, calls, errors, in virtual time.
//!
//! Every call that may have to wait gives [`Poll::Pending`] then, and is to be made again when something has happened;
//! who waits, and how time passes meanwhile, is [`machine`](crate::machine)'s business. `O_NONBLOCK` is known here, so
//! that a call on such a descriptor is never pending.

mod io;
mod lent;
mod options;
mod poll;

pub use io::{Progress, Received, Waiting};
pub use options::Options;
pub use poll::{Interest, PollFd};

use crate::errno::{Errno, Result};
use crate::flags::Flags;
use crate::net::{Cell, Net};
use crate::sysctl::{self, Settings, Source};
use carrick_core::{ConnectionError, ConnectionId, Instant, ListenAddr, ListenConfig, ListenerId, TcpState};
use lent::Lent;
use poll::Epoll;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::task::Poll;
use std::time::Duration;

/// A descriptor. Who asks for a new one brings its number, for the number must be one of the process's.
pub type Fd = i32;

/// The calls and what they act on.
#[derive(Debug)]
pub struct Sockets {
    source: Source,
    flags: Flags,
    seed: [u8; 32],
    net: Option<Net>,
    /// What time it is before there is a host.
    now: Instant,
    files: BTreeMap<Fd, File>,
}

#[derive(Debug)]
enum File {
    Socket(Box<Socket>),
    Epoll(Epoll),
}

/// The family of a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`, IPv4-mapped addresses included.
    V6,
}

#[derive(Debug)]
struct Socket {
    family: Family,
    role: Role,
    nonblocking: bool,
    options: Options,
    /// What the namespace said when the socket was made, listened or connected.
    settings: Settings,
    /// Where it is bound; an unspecified address means any.
    bound: Option<SocketAddr>,
    /// Where `bind` bound it, which outlasts an attempt to connect that fails.
    asked: Option<SocketAddr>,
    /// The port is kept at the endpoint.
    reserved: Option<ListenAddr>,
    shut_read: bool,
    shut_write: bool,
    /// What waits to be reported though there is no connection.
    error: Option<Errno>,
    /// SO_SNDBUF as `getsockopt` tells it.
    send_buffer: u32,
    /// A writer, or who waits to be one, has found no room (`SOCK_NOSPACE`).
    no_space: bool,
    /// Since when that has kept text from being sent, and how long it had before (`TCP_CHRONO_SNDBUF_LIMITED`).
    starved: Option<Instant>,
    starved_for: Duration,
    /// Counts what [`Cell::news`] does not: room to write.
    news: u64,
    /// Buffers lent for sending.
    lent: Lent,
    /// Where in the stream the last unit of writing begins.
    last_unit: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Idle,
    Listening(ListenerId),
    /// `told` says that the error with which the connection ended has been reported.
    Stream {
        id: ConnectionId,
        active: bool,
        told: bool,
        connected: bool,
    },
}

/// How a side is shut down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// `SHUT_RD`.
    Read,
    /// `SHUT_WR`.
    Write,
    /// `SHUT_RDWR`.
    Both,
}

impl Sockets {
    /// Nothing open yet. Settings are read when a socket is made, for scripts set them after the library is loaded.
    #[must_use]
    pub fn new(source: Source, flags: Flags, seed: [u8; 32], now: Instant) -> Self {
        Self { source, flags, seed, net: None, now, files: BTreeMap::new() }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.net.as_ref().map_or(self.now, Net::now)
    }

    /// The time is `now`; see [`Net::advance`].
    pub fn advance(&mut self, now: Instant) {
        match &mut self.net {
            Some(net) => net.advance(now),
            None => self.now = self.now.max(now),
        }
        self.offer_space();
    }

    /// When the stack has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.net.as_ref().and_then(Net::poll_timeout)
    }

    fn net(&mut self) -> &mut Net {
        let Self { source, flags, seed, net, now, .. } = self;
        net.get_or_insert_with(|| {
            let mut net = Net::new(sysctl::endpoint(source, flags), *seed, *now);
            net.set_least_burst(sysctl::least_burst(source));
            net
        })
    }

    /// A packet arrives.
    pub fn receive(&mut self, packet: &[u8]) {
        self.net().receive(packet);
        self.offer_space();
    }

    /// The next packet that was sent, and when.
    pub fn next_packet(&mut self) -> Option<(Instant, Vec<u8>)> {
        self.net.as_mut()?.next_packet()
    }

    /// Whether a packet waits to be taken.
    #[must_use]
    pub fn has_packets(&self) -> bool {
        self.net.as_ref().is_some_and(Net::has_packets)
    }

    /// Whether the descriptor is one of these.
    #[must_use]
    pub fn owns(&self, fd: Fd) -> bool {
        self.files.contains_key(&fd)
    }

    fn socket_mut(&mut self, fd: Fd) -> Result<&mut Socket> {
        match self.files.get_mut(&fd) {
            Some(File::Socket(socket)) => Ok(socket),
            Some(File::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    fn socket_ref(&self, fd: Fd) -> Result<&Socket> {
        match self.files.get(&fd) {
            Some(File::Socket(socket)) => Ok(socket),
            Some(File::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    fn cell(&self, id: ConnectionId) -> Option<&Cell> {
        self.net.as_ref().and_then(|net| net.cell(id))
    }

    /// `socket`, the descriptor being `fd`.
    pub fn socket(&mut self, fd: Fd, family: Family, nonblocking: bool) {
        self.net();
        let settings = Settings::read(&self.source, &self.flags);
        let socket = Socket {
            family,
            role: Role::Idle,
            nonblocking,
            options: Options::new(&settings),
            bound: None,
            asked: None,
            reserved: None,
            shut_read: false,
            shut_write: false,
            error: None,
            send_buffer: settings.send.default,
            settings,
            no_space: false,
            starved: None,
            starved_for: Duration::ZERO,
            news: 0,
            last_unit: 0,
            lent: Lent::default(),
        };
        self.files.insert(fd, File::Socket(Box::new(socket)));
    }

    /// `bind`.
    ///
    /// # Errors
    /// As `bind(2)`.
    pub fn bind(&mut self, fd: Fd, address: SocketAddr) -> Result<()> {
        let socket = self.socket_ref(fd)?;
        let mut address = socket.inward(address)?;
        if socket.bound.is_some() || socket.role != Role::Idle {
            return Err(Errno::EINVAL);
        }
        let shared = socket.options.reuse_address;
        if address.port() == 0 {
            address.set_port(self.net().free_port(&address).ok_or(Errno::EADDRINUSE)?);
        }
        let local = listen_address(address);
        // Linux asks who has such a connection for SO_REUSEADDR, too.
        if !shared && self.net().has_connections(local) {
            return Err(Errno::EADDRINUSE);
        }
        self.net().reserve(local, shared)?;
        let socket = self.socket_mut(fd)?;
        (socket.bound, socket.asked) = (Some(address), Some(address));
        socket.reserved = Some(local);
        Ok(())
    }

    fn unreserve(&mut self, fd: Fd) {
        if let Some(local) = self.socket_mut(fd).ok().and_then(|socket| socket.reserved.take()) {
            self.net().unreserve(local);
        }
    }

    /// `listen`. So many connections may wait, and one more, as on Linux.
    ///
    /// # Errors
    /// As `listen(2)`.
    pub fn listen(&mut self, fd: Fd, backlog: i32) -> Result<()> {
        let socket = self.socket_ref(fd)?;
        match socket.role {
            Role::Idle => {}
            Role::Listening(_) => return Ok(()),
            Role::Stream { .. } => return Err(Errno::EINVAL),
        }
        if socket.bound.is_none() {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
            let port = self.net().free_port(&any).ok_or(Errno::EADDRINUSE)?;
            self.socket_mut(fd)?.bound = Some(SocketAddr::new(any.ip(), port));
        }
        self.unreserve(fd);
        let settings = Settings::read(&self.source, &self.flags);
        let socket = self.socket_mut(fd)?;
        let asked = u32::try_from(backlog).unwrap_or(u32::MAX);
        let backlog = asked.min(settings.most_backlog).saturating_add(1);
        socket.settings = settings;
        let connection = socket.options.connection(&socket.settings);
        let local = socket.bound.map(listen_address).ok_or(Errno::EINVAL)?;
        let id = self.net().listen(local, ListenConfig { backlog, connection, ..ListenConfig::default() })?;
        self.socket_mut(fd)?.role = Role::Listening(id);
        Ok(())
    }

    /// Whether `accept` would have something, and what it would be.
    ///
    /// # Errors
    /// As `accept(2)`; EAGAIN for a descriptor that does not block.
    pub fn may_accept(&self, fd: Fd) -> Poll<Result<()>> {
        let listening = self.socket_ref(fd).and_then(|socket| match socket.role {
            Role::Listening(id) => Ok((socket.nonblocking, id)),
            _ => Err(Errno::EINVAL),
        });
        let (nonblocking, id) = match listening {
            Ok(listening) => listening,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let waiting = self.net.as_ref().map_or(0, |net| net.waiting(id));
        match (waiting, nonblocking) {
            (0, true) => Poll::Ready(Err(Errno::EAGAIN)),
            (0, false) => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    /// `accept4`, once [`may_accept`](Self::may_accept) is ready: the connection becomes descriptor `new`. Gives the
    /// peer's address.
    ///
    /// # Errors
    /// As `accept(2)`.
    pub fn accept(&mut self, fd: Fd, new: Fd, nonblocking: bool) -> Result<SocketAddr> {
        let Role::Listening(listener) = self.socket_ref(fd)?.role else { return Err(Errno::EINVAL) };
        let id = self.net().accept(listener).ok_or(Errno::EAGAIN)?;
        let ends = self.cell(id).map(|cell| (cell.connection.local_addr(), cell.connection.remote_addr()));
        let (local, remote) = ends.ok_or(Errno::ECONNABORTED)?;
        let parent = self.socket_ref(fd)?;
        let socket = Socket {
            family: parent.family,
            role: Role::Stream { id, active: false, told: false, connected: true },
            nonblocking,
            options: parent.options.clone(),
            settings: parent.settings.clone(),
            bound: Some(local),
            asked: None,
            reserved: None,
            shut_read: false,
            shut_write: false,
            error: None,
            send_buffer: parent.send_buffer,
            no_space: false,
            starved: None,
            starved_for: Duration::ZERO,
            news: 0,
            last_unit: 0,
            lent: Lent::default(),
        };
        let remote = socket.outward(remote);
        self.files.insert(new, File::Socket(Box::new(socket)));
        self.apply_options(new);
        self.grow_send_buffer(new);
        Ok(remote)
    }

    /// `connect`: what it does at once, and again while it is pending. `first` says that it is the call itself, and not
    /// one that goes on waiting.
    ///
    /// # Errors
    /// As `connect(2)`.
    pub fn connect(&mut self, fd: Fd, address: SocketAddr, first: bool) -> Poll<Result<()>> {
        match self.try_connect(fd, address, first) {
            Ok(None) => Poll::Pending,
            Ok(Some(())) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn try_connect(&mut self, fd: Fd, address: SocketAddr, first: bool) -> Result<Option<()>> {
        let socket = self.socket_ref(fd)?;
        let remote = socket.inward(address)?;
        let nonblocking = socket.nonblocking;
        if let Role::Stream { id, connected, .. } = socket.role {
            let state = self.cell(id).map_or(TcpState::Closed, |cell| cell.connection.state());
            if matches!(state, TcpState::SynSent | TcpState::SynReceived) {
                return match (first, nonblocking) {
                    (true, true) => Err(Errno::EALREADY),
                    _ => Ok(None),
                };
            }
            if let Some(error) = self.take_error(fd) {
                self.forget(fd);
                return Err(error);
            }
            if connected && first {
                return Err(Errno::EISCONN);
            }
            if !connected && is_over(state) {
                // Why has been told by another call.
                self.forget(fd);
                return Err(Errno::ECONNABORTED);
            }
            if let Ok(Socket { role: Role::Stream { connected, .. }, .. }) = self.socket_mut(fd) {
                *connected = true;
            }
            return Ok(Some(()));
        }
        if socket.role != Role::Idle {
            return Err(Errno::EISCONN);
        }
        if !first {
            // Somebody has given up meanwhile what this waits for.
            return Err(self.take_error(fd).unwrap_or(Errno::ECONNABORTED));
        }
        let local = socket.bound;
        self.unreserve(fd);
        let settings = Settings::read(&self.source, &self.flags);
        let socket = self.socket_mut(fd)?;
        socket.settings = settings;
        let config = socket.options.connection(&socket.settings);
        let id = self.net().connect(local, remote, config)?;
        let local = self.cell(id).map(|cell| cell.connection.local_addr());
        let socket = self.socket_mut(fd)?;
        socket.role = Role::Stream { id, active: true, told: false, connected: false };
        // What is left of an earlier attempt is not this one's.
        socket.error = None;
        socket.bound = local;
        self.apply_options(fd);
        if nonblocking { Err(Errno::EINPROGRESS) } else { Ok(None) }
    }

    /// The connection attempt has failed and `connect` has said so: the socket may be used for another.
    fn forget(&mut self, fd: Fd) {
        let Ok(socket) = self.socket_mut(fd) else { return };
        let Role::Stream { id, active: true, connected: false, .. } = socket.role else { return };
        socket.role = Role::Idle;
        (socket.shut_read, socket.shut_write) = (false, false);
        socket.bound = socket.asked;
        let (asked, shared) = (socket.asked.map(listen_address), socket.options.reuse_address);
        self.net().release(id);
        if let Some(local) = asked
            && self.net().reserve(local, shared).is_ok()
            && let Ok(socket) = self.socket_mut(fd)
        {
            socket.reserved = Some(local);
        }
    }

    /// The error that waits to be reported, once (`SO_ERROR`).
    fn take_error(&mut self, fd: Fd) -> Option<Errno> {
        if let Some(error) = self.socket_mut(fd).ok()?.error.take() {
            return Some(error);
        }
        let Role::Stream { id, told, .. } = self.socket_ref(fd).ok()?.role else { return None };
        let error = self.pending_error(id).filter(|_| !told)?;
        if let Ok(Socket { role: Role::Stream { told, .. }, .. }) = self.socket_mut(fd) {
            *told = true;
        }
        Some(error)
    }

    fn pending_error(&self, id: ConnectionId) -> Option<Errno> {
        let cell = self.cell(id)?;
        let error = cell.connection.error().filter(|error| *error != ConnectionError::Aborted)?;
        // A reset behind the peer's FIN says that nobody hears what is written (tcp_reset()).
        let behind_fin = error == ConnectionError::Reset && cell.reset_behind_fin();
        Some(if behind_fin { Errno::EPIPE } else { error.into() })
    }

    /// `shutdown`.
    ///
    /// # Errors
    /// As `shutdown(2)`.
    pub fn shutdown(&mut self, fd: Fd, how: How) -> Result<()> {
        let socket = self.socket_ref(fd)?;
        match socket.role {
            Role::Idle => Err(Errno::ENOTCONN),
            Role::Listening(id) => {
                if how != How::Write {
                    self.socket_mut(fd)?.role = Role::Idle;
                    self.net().unlisten(id);
                }
                Ok(())
            }
            Role::Stream { id, .. } => {
                let state = self.cell(id).map_or(TcpState::Closed, |cell| cell.connection.state());
                if is_over(state) {
                    return Err(Errno::ENOTCONN);
                }
                if state == TcpState::SynSent {
                    self.give_up(fd, id)?;
                    return Ok(());
                }
                let socket = self.socket_mut(fd)?;
                if let Role::Stream { connected, .. } = &mut socket.role {
                    *connected = true;
                }
                socket.shut_read |= how != How::Write;
                socket.shut_write |= how != How::Read;
                if how != How::Read {
                    self.net().act(id, carrick_core::Connection::finish);
                }
                Ok(())
            }
        }
    }

    /// Ends an attempt that nobody has answered. The socket may be used for another, and says once that it was reset.
    fn give_up(&mut self, fd: Fd, id: ConnectionId) -> Result<()> {
        self.net().act(id, carrick_core::Connection::close);
        self.forget(fd);
        self.socket_mut(fd)?.error = Some(Errno::ECONNRESET);
        Ok(())
    }

    /// `close`; gives the end of a wait that SO_LINGER asks for, during which [`lingers`](Self::lingers) tells whether
    /// it goes on. The descriptor's number is the caller's to close.
    ///
    /// # Errors
    /// EBADF.
    pub fn close(&mut self, fd: Fd) -> Result<Option<(ConnectionId, Instant)>> {
        if !self.files.contains_key(&fd) {
            return Err(Errno::EBADF);
        }
        self.unreserve(fd);
        for file in self.files.values_mut() {
            if let File::Epoll(epoll) = file {
                epoll.forget(fd);
            }
        }
        let now = self.now();
        let Some(File::Socket(socket)) = self.files.remove(&fd) else { return Ok(None) };
        match socket.role {
            Role::Idle => Ok(None),
            Role::Listening(id) => {
                self.net().unlisten(id);
                Ok(None)
            }
            Role::Stream { id, .. } => {
                let linger = socket.options.linger.filter(|wait| !wait.is_zero());
                self.net().act(id, carrick_core::Connection::close);
                self.net().release(id);
                Ok(linger.map(|wait| (id, now + wait)))
            }
        }
    }

    /// Whether a connection that was closed still has something to deliver.
    #[must_use]
    pub fn lingers(&self, id: ConnectionId) -> bool {
        let waits = [TcpState::FinWait1, TcpState::Closing, TcpState::LastAck];
        self.cell(id).is_some_and(|cell| waits.contains(&cell.connection.state()))
    }

    /// `getsockname`.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK.
    pub fn local_address(&self, fd: Fd) -> Result<SocketAddr> {
        let socket = self.socket_ref(fd)?;
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        Ok(socket.outward(socket.bound.unwrap_or(any)))
    }

    /// `getpeername`.
    ///
    /// # Errors
    /// As `getpeername(2)`.
    pub fn peer_address(&self, fd: Fd) -> Result<SocketAddr> {
        let socket = self.socket_ref(fd)?;
        let Role::Stream { id, .. } = socket.role else { return Err(Errno::ENOTCONN) };
        let cell = self.cell(id).filter(|cell| cell.opened).ok_or(Errno::ENOTCONN)?;
        Ok(socket.outward(cell.connection.remote_addr()))
    }

    /// Whether calls on the descriptor never wait (`O_NONBLOCK`).
    ///
    /// # Errors
    /// EBADF, ENOTSOCK.
    pub fn nonblocking(&self, fd: Fd) -> Result<bool> {
        Ok(self.socket_ref(fd)?.nonblocking)
    }

    /// Says whether calls on the descriptor may wait.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK.
    pub fn set_nonblocking(&mut self, fd: Fd, nonblocking: bool) -> Result<()> {
        self.socket_mut(fd)?.nonblocking = nonblocking;
        Ok(())
    }
}

impl Socket {
    /// An address of the application's, as the stack has it.
    fn inward(&self, address: SocketAddr) -> Result<SocketAddr> {
        match (self.family, address) {
            (Family::V4, SocketAddr::V4(_)) => Ok(address),
            (Family::V4, SocketAddr::V6(_)) => Err(Errno::EAFNOSUPPORT),
            (Family::V6, SocketAddr::V6(v6)) => {
                let ip = v6.ip().to_ipv4_mapped().map_or(IpAddr::V6(*v6.ip()), IpAddr::V4);
                Ok(SocketAddr::new(ip, v6.port()))
            }
            (Family::V6, SocketAddr::V4(_)) => Err(Errno::EINVAL),
        }
    }

    /// An address of the stack's, as the application is told it.
    fn outward(&self, address: SocketAddr) -> SocketAddr {
        match (self.family, address.ip()) {
            (Family::V6, IpAddr::V4(v4)) if v4.is_unspecified() => {
                SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port())
            }
            (Family::V6, IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
            _ => address,
        }
    }
}

/// Whether a socket is closed for Linux, which keeps what waits in TIME-WAIT apart from it.
const fn is_over(state: TcpState) -> bool {
    matches!(state, TcpState::Closed | TcpState::TimeWait)
}

/// What a listener on that address listens on.
fn listen_address(address: SocketAddr) -> ListenAddr {
    let ip = Some(address.ip()).filter(|ip| !ip.is_unspecified());
    ListenAddr { address: ip, port: NonZeroU16::new(address.port()) }
}

/// A time-out of an option, zero being none.
fn some_time(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
}
