//! `poll` and `epoll`.

use super::{Fd, File, Role, Sockets};
use crate::errno::{Errno, Result};
use crate::net::Net;
use carrick_core::{Connection, TcpState};
use std::collections::BTreeMap;
use std::task::Poll;

const IN: u32 = libc::EPOLLIN as u32 | libc::EPOLLRDNORM as u32;
const OUT: u32 = libc::EPOLLOUT as u32 | libc::EPOLLWRNORM as u32;
const HUP: u32 = libc::EPOLLHUP as u32;
const ERR: u32 = libc::EPOLLERR as u32;
const RDHUP: u32 = libc::EPOLLRDHUP as u32;
const EDGE: u32 = libc::EPOLLET as u32;
const ONCE: u32 = libc::EPOLLONESHOT as u32;
const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
/// What says how to tell rather than of what.
const MANNER: u32 = EDGE | ONCE | EXCLUSIVE | libc::EPOLLWAKEUP as u32;
/// All that may be asked for exclusively.
const EXCLUSIVELY: u32 = libc::EPOLLIN as u32 | libc::EPOLLOUT as u32 | ERR | HUP | MANNER & !ONCE;

/// What `poll` is asked of a descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PollFd {
    /// The descriptor; a negative one is passed over.
    pub fd: Fd,
    /// `POLL*` that are asked for.
    pub events: i16,
    /// Those that hold, once `poll` is ready.
    pub revents: i16,
}

/// What an epoll descriptor watches.
#[derive(Debug, Default)]
pub(super) struct Epoll {
    items: BTreeMap<Fd, Interest>,
    /// In which order descriptors were added or changed, and reported.
    order: Vec<Fd>,
}

/// What is asked of one descriptor (`struct epoll_event`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interest {
    /// `EPOLL*`.
    pub events: u32,
    /// What the application gets back.
    pub data: u64,
    /// The news that were seen last, if something is not to be told anew; none if it is.
    seen: Option<u64>,
}

impl Interest {
    /// Interest in these events, and in ends and errors, with the application's own number.
    #[must_use]
    pub const fn new(events: u32, data: u64) -> Self {
        Self { events: events | ERR | HUP, data, seen: None }
    }
}

impl Epoll {
    pub(super) fn forget(&mut self, fd: Fd) {
        self.items.remove(&fd);
        self.order.retain(|other| *other != fd);
    }
}

/// Whether the peer may send no more than a segment (`tcp_epollin_ready()`).
fn is_window_used_up(connection: &Connection) -> bool {
    connection.tcp_info().is_some_and(|info| info.receive_window <= info.receive_mss.into())
}

impl Sockets {
    /// What holds for a descriptor (`EPOLL*`), and its news.
    fn readiness(&mut self, fd: Fd) -> Option<(u32, u64)> {
        let socket = self.socket_ref(fd).ok()?;
        let (id, told) = match socket.role {
            Role::Idle => {
                let error = if socket.error.is_some() { ERR } else { 0 };
                return Some((OUT | HUP | error, socket.news));
            }
            Role::Listening(id) => {
                let net = self.net.as_ref();
                let waiting = net.map_or(0, |net| net.waiting(id));
                return Some((if waiting > 0 { IN } else { 0 }, net.map_or(0, Net::arrivals)));
            }
            Role::Stream { id, told, .. } => (id, told),
        };
        let low_water = socket.options.receive_low_water();
        let (shut_read, shut_write, own_news) = (socket.shut_read, socket.shut_write, socket.news);
        let returned = socket.lent.has_returned();
        let Some(cell) = self.cell(id) else { return Some((IN | OUT | HUP | RDHUP, own_news)) };
        let connection = &cell.connection;
        let news = own_news + cell.news;
        let state = connection.state();
        let ended = shut_read || connection.receive_closed();
        let mut events = 0;
        if state == TcpState::Closed || (ended && (shut_write || connection.send_closed())) {
            events |= HUP;
        }
        if ended {
            events |= IN | RDHUP;
        }
        if !matches!(state, TcpState::SynSent | TcpState::SynReceived) {
            let readable = connection.readable_len();
            // A peer that may send no further segment cannot bring more.
            if readable >= low_water || readable > 0 && is_window_used_up(connection) {
                events |= IN;
            }
            if shut_write || connection.send_closed() || self.is_writable(fd, id) {
                events |= OUT;
            } else if let Ok(socket) = self.socket_mut(fd) {
                socket.no_space = true;
            }
        }
        if returned || !told && self.pending_error(id).is_some() {
            events |= ERR;
        }
        Some((events, news))
    }

    /// `poll`, as far as it does not wait: how many descriptors have something.
    pub fn poll(&mut self, fds: &mut [PollFd]) -> Poll<usize> {
        let mut count = 0;
        for asked in fds {
            let holds = match self.readiness(asked.fd) {
                Some((holds, _)) => holds & (u32::from(asked.events.cast_unsigned()) | HUP | ERR),
                None if asked.fd < 0 => 0,
                None => libc::POLLNVAL as u32,
            };
            asked.revents = i16::try_from(holds).unwrap_or(0);
            count += usize::from(holds != 0);
        }
        if count > 0 { Poll::Ready(count) } else { Poll::Pending }
    }

    /// `epoll_create`, the descriptor being `fd`.
    pub fn epoll_create(&mut self, fd: Fd) {
        self.files.insert(fd, File::Epoll(Epoll::default()));
    }

    fn epoll_mut(&mut self, epoll: Fd) -> Result<&mut Epoll> {
        match self.files.get_mut(&epoll) {
            Some(File::Epoll(epoll)) => Ok(epoll),
            Some(File::Socket(_)) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        }
    }

    /// A descriptor does not watch itself. Linux lets one watch another of its kind, too.
    fn may_watch(&self, epoll: Fd, fd: Fd) -> Result<()> {
        if epoll == fd && self.files.contains_key(&fd) {
            return Err(Errno::EINVAL);
        }
        self.socket_ref(fd).map(|_| ())
    }

    /// `EPOLL_CTL_ADD`.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn epoll_add(&mut self, epoll: Fd, fd: Fd, interest: Interest) -> Result<()> {
        self.may_watch(epoll, fd)?;
        if interest.events & EXCLUSIVE != 0 && interest.events & !EXCLUSIVELY != 0 {
            return Err(Errno::EINVAL);
        }
        let epoll = self.epoll_mut(epoll)?;
        if epoll.items.contains_key(&fd) {
            return Err(Errno::EEXIST);
        }
        epoll.items.insert(fd, interest);
        epoll.order.push(fd);
        Ok(())
    }

    /// `EPOLL_CTL_MOD`: what holds is told anew.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn epoll_modify(&mut self, epoll: Fd, fd: Fd, interest: Interest) -> Result<()> {
        self.may_watch(epoll, fd)?;
        let item = self.epoll_mut(epoll)?.items.get_mut(&fd).ok_or(Errno::ENOENT)?;
        if (item.events | interest.events) & EXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        *item = interest;
        Ok(())
    }

    /// `EPOLL_CTL_DEL`.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn epoll_delete(&mut self, epoll: Fd, fd: Fd) -> Result<()> {
        self.may_watch(epoll, fd)?;
        let epoll = self.epoll_mut(epoll)?;
        if !epoll.items.contains_key(&fd) {
            return Err(Errno::ENOENT);
        }
        epoll.forget(fd);
        Ok(())
    }

    /// `epoll_wait`, as far as it does not wait: up to `most` pairs of what holds and the application's number.
    ///
    /// # Errors
    /// As `epoll_wait(2)`.
    pub fn epoll_wait(&mut self, epoll: Fd, most: usize) -> Poll<Result<Vec<(u32, u64)>>> {
        let order = match self.epoll_mut(epoll) {
            Ok(epoll) => epoll.order.clone(),
            Err(error) => return Poll::Ready(Err(error)),
        };
        let mut found = Vec::new();
        for fd in order {
            if found.len() == most {
                break;
            }
            let Some((holds, news)) = self.readiness(fd) else { continue };
            let Ok(epoll) = self.epoll_mut(epoll) else { break };
            let Some(item) = epoll.items.get_mut(&fd) else { continue };
            let holds = holds & item.events;
            let old = item.events & EDGE != 0 && item.seen == Some(news);
            if holds == 0 || old {
                continue;
            }
            item.seen = Some(news);
            if item.events & ONCE != 0 {
                // Nothing more until it is asked for anew.
                item.events &= MANNER;
            }
            found.push((holds, item.data));
            // Who has been told goes behind those who have not.
            epoll.order.retain(|other| *other != fd);
            epoll.order.push(fd);
        }
        if found.is_empty() { Poll::Pending } else { Poll::Ready(Ok(found)) }
    }
}
