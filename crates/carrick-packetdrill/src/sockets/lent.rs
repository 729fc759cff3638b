//! Buffers that are lent for sending (`MSG_ZEROCOPY`), and when they are given back.
//!
//! Here bytes are copied, as Linux does too where a device must touch them; that is what the notifications say. They
//! come all the same when the text has been acknowledged.

use super::{Fd, File, Role, Sockets};
use crate::errno::{Errno, Result};
use std::collections::VecDeque;

/// Calls that have lent buffers, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Lent {
    next: u32,
    /// Calls by number, and where in the stream their text ends.
    under_way: VecDeque<(u32, u64)>,
    /// Runs of calls whose buffers are free, first and last.
    returned: VecDeque<(u32, u32)>,
}

impl Lent {
    pub(super) fn lend(&mut self, end: u64) {
        self.under_way.push_back((self.next, end));
        self.next = self.next.wrapping_add(1);
    }

    pub(super) fn has_returned(&self) -> bool {
        !self.returned.is_empty()
    }

    /// The peer has acknowledged so many bytes; whether there is something new to tell.
    fn acknowledge(&mut self, acknowledged: u64) -> bool {
        let mut news = false;
        while let Some((id, _)) = self.under_way.pop_front_if(|(_, end)| *end <= acknowledged) {
            news = true;
            match self.returned.back_mut() {
                Some((_, last)) if last.wrapping_add(1) == id => *last = id,
                _ => self.returned.push_back((id, id)),
            }
        }
        news
    }
}

impl Sockets {
    /// Gives buffers back whose text has been acknowledged.
    pub(super) fn return_buffers(&mut self) {
        let net = self.net.as_ref();
        for file in self.files.values_mut() {
            let File::Socket(socket) = file else { continue };
            let Role::Stream { id, .. } = socket.role else { continue };
            let info = net.and_then(|net| net.cell(id)).and_then(|cell| cell.connection.tcp_info());
            // Nothing is kept of a connection that is over.
            let acknowledged = info.map_or(u64::MAX, |info| info.bytes_acknowledged);
            socket.news += u64::from(socket.lent.acknowledge(acknowledged));
        }
    }

    /// The next run of calls whose buffers have been given back (`MSG_ERRQUEUE`).
    ///
    /// # Errors
    /// EAGAIN if there is none; EBADF, ENOTSOCK.
    pub fn next_returned(&mut self, fd: Fd) -> Result<(u32, u32)> {
        self.socket_mut(fd)?.lent.returned.pop_front().ok_or(Errno::EAGAIN)
    }

    /// The family of a socket.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK.
    pub fn family(&self, fd: Fd) -> Result<super::Family> {
        Ok(self.socket_ref(fd)?.family)
    }
}
