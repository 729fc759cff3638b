//! Reading and writing.

use super::{Fd, Role, Socket, Sockets};
use crate::errno::{Errno, Result};
use carrick_core::{Connection, ConnectionId, Instant, SendError, TcpState};
use std::task::Poll;

/// What reading asks for beside the bytes (`MSG_*`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Waiting {
    /// `MSG_DONTWAIT`: as if the descriptor did not block.
    pub never: bool,
    /// `MSG_WAITALL`: wait until all is there that was asked for.
    pub all: bool,
    /// `MSG_PEEK`: what is read stays to be read.
    pub peek: bool,
    /// `MSG_MORE`: more will be written; the end may wait for it.
    pub more: bool,
    /// `MSG_ZEROCOPY`: the buffer is lent, and its owner told when it is free, if SO_ZEROCOPY is set.
    pub lend: bool,
}

/// What was read, and what `TCP_CM_INQ` says of the rest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Received {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many more can be read, if the socket asks for that (`TCP_INQ`); the end of the stream counts as one.
    pub left: Option<usize>,
}

/// How far a call that writes has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Bytes written.
    pub done: usize,
    /// It waits for room, and goes on when it is woken (`sk_stream_wait_memory()`), not with the first byte of it.
    waits: bool,
}

/// The smallest writing unit's share of a segment's overhead in the send buffer (`MAX_TCP_HEADER` and what Linux keeps
/// for each buffer), for the growth of send buffers.
const OVERHEAD: u32 = 640;
/// What Linux keeps for each buffer beside its bytes.
const BUFFER_HEAD: u32 = 256;
/// The longest writing unit: what a super-segment holds.
const LONGEST_UNIT: u32 = 65_535 - 320;
/// The segment size of peers that do not say one (RFC 9293 §3.7.1).
const DEFAULT_MSS: u32 = 536;

impl Sockets {
    fn stream(&self, fd: Fd) -> Result<(ConnectionId, bool)> {
        let socket = self.socket_ref(fd)?;
        match socket.role {
            Role::Stream { id, .. } => Ok((id, socket.nonblocking)),
            Role::Idle | Role::Listening(_) => Err(Errno::ENOTCONN),
        }
    }

    fn state(&self, id: ConnectionId) -> TcpState {
        self.cell(id).map_or(TcpState::Closed, |cell| cell.connection.state())
    }

    /// `recvmsg`: up to `len` bytes; none is the end of the stream. `sofar` holds what earlier calls of the same wait
    /// have read.
    pub fn read(&mut self, fd: Fd, len: usize, how: Waiting, sofar: &mut Vec<u8>) -> Poll<Result<Received>> {
        match self.try_read(fd, len, how, sofar) {
            Ok(Some(received)) => Poll::Ready(Ok(received)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn try_read(
        &mut self,
        fd: Fd,
        len: usize,
        how: Waiting,
        sofar: &mut Vec<u8>,
    ) -> Result<Option<Received>> {
        let (id, nonblocking) = self.stream(fd).map_err(|error| self.take_error(fd).unwrap_or(error))?;
        if how.peek {
            sofar.clear();
        }
        let wanted = len - sofar.len();
        let something = self.cell(id).is_some_and(|cell| cell.connection.readable_len() > 0);
        if let Some(cell) = self.cell(id)
            && wanted > 0
            && cell.connection.readable_len() > 0
        {
            let taken = self.net().act(id, |connection, cx| {
                let mut taken = Vec::new();
                for part in connection.readable() {
                    let room = wanted - taken.len();
                    taken.extend_from_slice(&part[..part.len().min(room)]);
                }
                if !how.peek {
                    connection.consume(cx, taken.len());
                }
                taken
            });
            sofar.extend(taken.unwrap_or_default());
        }
        // Who asks for nothing waits for something all the same.
        let enough = if how.all { len } else { len.min(self.socket_ref(fd)?.options.receive_low_water()) };
        let done = if len == 0 { something } else { sofar.len() >= enough };
        if done || !sofar.is_empty() && self.nothing_will_come(fd, id) {
            return Ok(Some(self.received(fd, id, std::mem::take(sofar))));
        }
        if let Some(error) = self.take_error(fd) {
            return Err(error);
        }
        if self.nothing_will_come(fd, id) {
            return Ok(Some(self.received(fd, id, Vec::new())));
        }
        match nonblocking || how.never {
            true if sofar.is_empty() => Err(Errno::EAGAIN),
            true => Ok(Some(self.received(fd, id, std::mem::take(sofar)))),
            false => Ok(None),
        }
    }

    fn nothing_will_come(&self, fd: Fd, id: ConnectionId) -> bool {
        let shut = self.socket_ref(fd).is_ok_and(|socket| socket.shut_read);
        shut || self.cell(id).is_none_or(|cell| cell.connection.receive_closed())
    }

    fn received(&self, fd: Fd, id: ConnectionId, bytes: Vec<u8>) -> Received {
        let asks = self.socket_ref(fd).is_ok_and(|socket| socket.options.inq);
        let left = asks.then(|| {
            let left = self.cell(id).map_or(0, |cell| cell.connection.readable_len());
            if left == 0 { usize::from(self.nothing_will_come(fd, id)) } else { left }
        });
        Received { bytes, left }
    }

    /// `sendmsg`: gives how much was written. `progress` is what earlier calls of the same wait have done.
    pub fn write(
        &mut self,
        fd: Fd,
        data: &[u8],
        how: Waiting,
        progress: &mut Progress,
    ) -> Poll<Result<usize>> {
        match self.try_write(fd, data, how, progress) {
            Ok(true) => Poll::Ready(Ok(progress.done)),
            Ok(false) => Poll::Pending,
            Err(_) if progress.done > 0 => Poll::Ready(Ok(progress.done)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn try_write(&mut self, fd: Fd, data: &[u8], how: Waiting, progress: &mut Progress) -> Result<bool> {
        let (id, nonblocking) = self.stream(fd).map_err(|error| match error {
            Errno::ENOTCONN => self.take_error(fd).unwrap_or(Errno::EPIPE),
            error => error,
        })?;
        let blocks = !(nonblocking || how.never);
        if let Some(error) = self.take_error(fd) {
            return Err(error);
        }
        if self.socket_ref(fd)?.shut_write {
            return Err(Errno::EPIPE);
        }
        if matches!(self.state(id), TcpState::SynSent | TcpState::SynReceived) {
            return if blocks { Ok(false) } else { Err(Errno::EAGAIN) };
        }
        if progress.waits && blocks && self.socket_ref(fd)?.no_space {
            return Ok(false);
        }
        while progress.done < data.len() {
            let unit = self.unit(fd, id)?;
            if unit == 0 {
                self.socket_mut(fd)?.no_space = true;
                self.note_starved(fd, id);
                progress.waits = true;
                if !blocks {
                    self.note_lent(fd, id, how, progress.done);
                }
                return if blocks { Ok(false) } else { Err(Errno::EAGAIN) };
            }
            let end = data.len().min(progress.done.saturating_add(unit));
            let part = &data[progress.done..end];
            let taken = self.net().act(id, |connection, cx| {
                if how.more { connection.send_more(cx, part) } else { connection.send(cx, part) }
            });
            progress.done += taken.unwrap_or(Err(SendError::Finished)).map_err(|_| Errno::EPIPE)?;
        }
        self.note_lent(fd, id, how, progress.done);
        Ok(true)
    }

    fn note_lent(&mut self, fd: Fd, id: ConnectionId, how: Waiting, written: usize) {
        let Some(connection) = self.cell(id).map(|cell| &cell.connection) else { return };
        let acknowledged = connection.tcp_info().map_or(0, |info| info.bytes_acknowledged);
        let end = acknowledged + connection.unacknowledged() as u64;
        if let Ok(socket) = self.socket_mut(fd)
            && socket.options.lends
            && how.lend
            && written > 0
        {
            socket.lent.lend(end);
        }
    }

    /// How much may be written at once. Linux fills buffers of as many segments as may leave together, half of the
    /// peer's window at most, and asks only for a new buffer whether there is room: for one that has been begun, and
    /// not sent, there is. So writing goes beyond SO_SNDBUF, and beyond TCP_NOTSENT_LOWAT, by up to a buffer.
    fn unit(&mut self, fd: Fd, id: ConnectionId) -> Result<usize> {
        let socket = self.socket_ref(fd)?;
        let cell = self.cell(id).ok_or(Errno::EPIPE)?;
        let info = cell.connection.tcp_info();
        let mss = info.as_ref().map_or(DEFAULT_MSS, |info| info.send_mss.into());
        let half = if cell.max_window > DEFAULT_MSS { cell.max_window / 2 } else { cell.max_window };
        let goal = LONGEST_UNIT.min(half.max(1));
        let unit = (goal - goal % mss.max(1)).max(mss).into();
        let (queued, unsent) = (cell.connection.unacknowledged(), cell.connection.unsent());
        let written = info.map_or(0, |info| info.bytes_acknowledged) + queued as u64;
        // Of a buffer that has been sent in part the rest is one.
        let start = socket.last_unit.max(written - unsent as u64);
        let begun = written - start;
        let room = if (1..unit).contains(&begun) {
            unit - begun
        } else if queued < socket.send_buffer as usize && unsent < socket.notsent_lowat() {
            self.socket_mut(fd)?.last_unit = written;
            unit
        } else {
            0
        };
        Ok(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Whether a writer that waits is woken: a third of the buffer is free, and of what may wait unsent half.
    pub(super) fn is_writable(&self, fd: Fd, id: ConnectionId) -> bool {
        let (Ok(socket), Some(cell)) = (self.socket_ref(fd), self.cell(id)) else { return true };
        let queued = cell.connection.unacknowledged();
        let free = (socket.send_buffer as usize).saturating_sub(queued);
        free >= queued / 2 && cell.connection.unsent().saturating_mul(2) < socket.notsent_lowat()
    }

    /// Tells who waits for room of it.
    pub(super) fn offer_space(&mut self) {
        self.return_buffers();
        let waiting = self.files.iter().filter_map(|(fd, file)| match file {
            super::File::Socket(socket) if socket.no_space => Some(*fd),
            _ => None,
        });
        for fd in waiting.collect::<Vec<_>>() {
            let Ok((id, _)) = self.stream(fd) else { continue };
            self.grow_send_buffer(fd);
            if self.is_writable(fd, id)
                && let Ok(socket) = self.socket_mut(fd)
            {
                socket.no_space = false;
                socket.news += 1;
            }
            self.note_starved(fd, id);
        }
    }

    /// Whether a writer without room is what a sender waits for, who has sent all and might send more.
    fn note_starved(&mut self, fd: Fd, id: ConnectionId) {
        let now = self.now();
        let info = self.cell(id).and_then(|cell| cell.connection.tcp_info());
        let idle = info.is_some_and(|info| info.unsent == 0 && info.in_flight < info.congestion_window);
        let Ok(socket) = self.socket_mut(fd) else { return };
        if idle && socket.no_space {
            socket.starved.get_or_insert(now);
        } else if let Some(since) = socket.starved.take() {
            socket.starved_for += now.since(since);
        }
    }

    /// A send buffer that nobody has set grows with the congestion window, to twice what that lets be in flight,
    /// overhead included.
    pub(super) fn grow_send_buffer(&mut self, fd: Fd) {
        let Ok((id, _)) = self.stream(fd) else { return };
        let Some(info) = self.cell(id).and_then(|cell| cell.connection.tcp_info()) else { return };
        let Ok(socket) = self.socket_mut(fd) else { return };
        let mss = u32::from(info.send_mss).max(1);
        if socket.options.send_buffer.is_some() || info.in_flight >= info.congestion_window {
            return;
        }
        let each = (mss + OVERHEAD).next_power_of_two() + BUFFER_HEAD;
        let segments = (info.congestion_window / mss).max(10);
        let wanted = each.saturating_mul(segments).saturating_mul(2).min(socket.settings.send.max);
        socket.send_buffer = socket.send_buffer.max(wanted);
    }

    /// `SIOCINQ`: how many bytes can be read.
    ///
    /// # Errors
    /// EINVAL for a listener.
    pub fn readable(&self, fd: Fd) -> Result<usize> {
        match self.socket_ref(fd)?.role {
            Role::Listening(_) => Err(Errno::EINVAL),
            Role::Idle => Ok(0),
            Role::Stream { id, .. } => Ok(self.cell(id).map_or(0, |cell| cell.connection.readable_len())),
        }
    }

    /// `SIOCOUTQ`: how many bytes wait for their acknowledgment, sent or not; a FIN counts as one.
    ///
    /// # Errors
    /// EINVAL for a listener.
    pub fn unacknowledged(&self, fd: Fd) -> Result<usize> {
        let socket = self.socket_ref(fd)?;
        match socket.role {
            Role::Listening(_) => Err(Errno::EINVAL),
            Role::Idle => Ok(0),
            Role::Stream { id, .. } => {
                let finishes = socket.shut_write && !acknowledged_fin(self.state(id));
                let text = self.cell(id).map_or(0, |cell| cell.connection.unacknowledged());
                Ok(text + usize::from(finishes))
            }
        }
    }

    /// `SIOCOUTQNSD`: how many bytes have never been sent; a FIN counts as one.
    ///
    /// # Errors
    /// EINVAL for a listener.
    pub fn unsent(&self, fd: Fd) -> Result<usize> {
        let socket = self.socket_ref(fd)?;
        match socket.role {
            Role::Listening(_) => Err(Errno::EINVAL),
            Role::Idle => Ok(0),
            Role::Stream { id, .. } => {
                let waits =
                    socket.shut_write && self.cell(id).is_some_and(|cell| !has_sent_fin(&cell.connection));
                let text = self.cell(id).map_or(0, |cell| cell.connection.unsent());
                Ok(text + usize::from(waits))
            }
        }
    }

    /// When a read that begins now gives up (`SO_RCVTIMEO`).
    #[must_use]
    pub fn read_deadline(&self, fd: Fd) -> Option<Instant> {
        let wait = self.socket_ref(fd).ok()?.options.receive_timeout?;
        Some(self.now() + wait)
    }

    /// When a write or connect that begins now gives up (`SO_SNDTIMEO`).
    #[must_use]
    pub fn write_deadline(&self, fd: Fd) -> Option<Instant> {
        let wait = self.socket_ref(fd).ok()?.options.send_timeout?;
        Some(self.now() + wait)
    }
}

/// Whether a FIN that was sent has been acknowledged in this state, or never will be.
const fn acknowledged_fin(state: TcpState) -> bool {
    matches!(state, TcpState::FinWait2 | TcpState::TimeWait | TcpState::Closed)
}

/// Whether the FIN that ends what was written has been sent once, or never will be.
fn has_sent_fin(connection: &Connection) -> bool {
    let Some([una, nxt, ..]) = connection.sequence_numbers() else { return true };
    // It has the number behind all text.
    acknowledged_fin(connection.state()) || nxt.distance_from(una) as usize > connection.unacknowledged()
}

impl Socket {
    fn notsent_lowat(&self) -> usize {
        let set = self.options.notsent_lowat;
        (if set == 0 { self.settings.notsent_lowat } else { set }) as usize
    }
}
