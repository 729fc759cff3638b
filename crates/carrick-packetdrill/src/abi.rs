//! The table of functions that packetdrill asks a shared library for, and `getsockopt`.
//!
//! All of the crate's unsafe code is here: it turns the C arguments of [`Table`]'s functions into safe ones and back,
//! sets `errno`, and does nothing else. The tool looks up [`packetdrill_interface_init`].
//!
//! The tool asks `TCP_INFO` and the like not through the table but through the C library, on descriptors that this
//! library gave it. Loaded with `LD_PRELOAD` as well, [`getsockopt`] answers those, and passes all others on.
#![allow(unsafe_code, reason = "a C interface; every use says why it is sound")]

use crate::errno::{Errno, Result};
use crate::flags::Flags;
use crate::machine::Machine;
use crate::sockets::{Family, Fd, How, Interest, PollFd, Progress, Sockets, Waiting};
use crate::sysctl::Source;
use carrick_core::Instant;
use libc::{
    c_char, c_int, c_short, c_uint, c_ulong, c_void, iovec, msghdr, off64_t, pollfd, size_t, sockaddr,
};
use libc::{sockaddr_in, sockaddr_in6, socklen_t, ssize_t, timeval};
use std::ffi::CStr;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::slice;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

/// The one machine of the process.
static MACHINE: OnceLock<Machine> = OnceLock::new();

/// The clock's origin as the tool sees it, in seconds: a plausible date.
const EPOCH: i64 = 1_700_000_000;
/// So many buffers a call takes (`IOV_MAX`).
const MOST_BUFFERS: usize = 1024;
/// What time it is when the library is loaded; not zero, for clocks that begin there look unset.
const START: Instant = Instant::from_nanos(1_000_000_000_000);
/// Secrets come of this, so that each run is like the other.
const SEED: [u8; 32] = [0x5e; 32];

type User = *mut c_void;

/// The table, in the tool's order: a pointer that every function gets, and 32 functions.
#[repr(C)]
#[derive(Debug)]
#[rustfmt::skip]
pub struct Table {
    user: User,
    free: unsafe extern "C" fn(User),
    socket: unsafe extern "C" fn(User, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(User, c_int, *const sockaddr, socklen_t) -> c_int,
    listen: unsafe extern "C" fn(User, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(User, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    connect: unsafe extern "C" fn(User, c_int, *const sockaddr, socklen_t) -> c_int,
    read: unsafe extern "C" fn(User, c_int, *mut c_void, size_t) -> ssize_t,
    readv: unsafe extern "C" fn(User, c_int, *const iovec, c_int) -> ssize_t,
    recv: unsafe extern "C" fn(User, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    recvfrom: unsafe extern "C" fn(User, c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t,
    recvmsg: unsafe extern "C" fn(User, c_int, *mut msghdr, c_int) -> ssize_t,
    write: unsafe extern "C" fn(User, c_int, *const c_void, size_t) -> ssize_t,
    writev: unsafe extern "C" fn(User, c_int, *const iovec, c_int) -> ssize_t,
    send: unsafe extern "C" fn(User, c_int, *const c_void, size_t, c_int) -> ssize_t,
    sendto: unsafe extern "C" fn(User, c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t,
    sendmsg: unsafe extern "C" fn(User, c_int, *const msghdr, c_int) -> ssize_t,
    fcntl: unsafe extern "C" fn(User, c_int, c_int, c_ulong) -> c_int,
    ioctl: unsafe extern "C" fn(User, c_int, c_ulong, *mut c_int) -> c_int,
    close: unsafe extern "C" fn(User, c_int) -> c_int,
    shutdown: unsafe extern "C" fn(User, c_int, c_int) -> c_int,
    getsockopt: unsafe extern "C" fn(User, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    setsockopt: unsafe extern "C" fn(User, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    poll: unsafe extern "C" fn(User, *mut pollfd, c_ulong, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(User, *const c_void, size_t) -> c_int,
    netdev_receive: unsafe extern "C" fn(User, *mut c_void, *mut size_t, *mut i64) -> c_int,
    usleep: unsafe extern "C" fn(User, c_uint) -> c_int,
    gettimeofday: unsafe extern "C" fn(User, *mut timeval, *mut c_void) -> c_int,
    epoll_create: unsafe extern "C" fn(User, c_int) -> c_int,
    epoll_ctl: unsafe extern "C" fn(User, c_int, c_int, c_int, *mut libc::epoll_event) -> c_int,
    epoll_wait: unsafe extern "C" fn(User, c_int, *mut libc::epoll_event, c_int, c_int) -> c_int,
    pipe: unsafe extern "C" fn(User, *mut c_int) -> c_int,
    splice: unsafe extern "C" fn(User, c_int, *mut off64_t, c_int, *mut off64_t, size_t, c_uint) -> ssize_t,
}

const _: () = assert!(size_of::<Table>() == 33 * size_of::<usize>(), "the tool's table has 33 words");

/// What the tool calls once, before anything else: fills its table. `flags` is the text of `--so_flags`, or null.
///
/// # Safety
/// `flags` is null or a C string; `table` is the tool's table of 33 words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, table: *mut Table) {
    // SAFETY: null or a C string, as the tool promises.
    let text = (!flags.is_null()).then(|| unsafe { CStr::from_ptr(flags) }.to_string_lossy());
    let flags = Flags::parse(&text.unwrap_or_default()).unwrap_or_else(|error| {
        eprintln!("carrick: {error}");
        std::process::exit(1);
    });
    MACHINE.get_or_init(|| Machine::new(Sockets::new(Source::default(), flags, SEED, START)));
    let filled = Table {
        user: std::ptr::null_mut(),
        free,
        socket,
        bind,
        listen,
        accept,
        connect,
        read,
        readv,
        recv,
        recvfrom,
        recvmsg,
        write,
        writev,
        send,
        sendto,
        sendmsg,
        fcntl,
        ioctl,
        close,
        shutdown,
        getsockopt: table_getsockopt,
        setsockopt,
        poll,
        netdev_send,
        netdev_receive,
        usleep,
        gettimeofday,
        epoll_create,
        epoll_ctl,
        epoll_wait,
        pipe,
        splice,
    };
    // SAFETY: the tool hands its own table, which has this size.
    unsafe { table.write(filled) };
}

fn machine() -> Result<&'static Machine> {
    MACHINE.get().ok_or(Errno::EBADF)
}

fn set_errno(error: Errno) {
    // SAFETY: the C library's own pointer to the calling thread's errno.
    unsafe { *libc::__errno_location() = error.0 };
}

/// A call's result as C has it.
fn int(result: Result<c_int>) -> c_int {
    result.unwrap_or_else(|error| {
        set_errno(error);
        -1
    })
}

fn done(result: Result<()>) -> c_int {
    int(result.map(|()| 0))
}

fn size(result: Result<usize>) -> ssize_t {
    match result.map(|size| ssize_t::try_from(size).unwrap_or(ssize_t::MAX)) {
        Ok(size) => size,
        Err(error) => {
            set_errno(error);
            -1
        }
    }
}

/// A descriptor of the process's, so that the tool's closing it at the end succeeds and nobody else gets its number.
fn new_fd() -> Result<Fd> {
    // SAFETY: takes two numbers and makes a descriptor.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::ENFILE)));
    }
    Ok(fd)
}

fn close_fd(fd: Fd) {
    // SAFETY: a descriptor that `new_fd` made, and that the sockets layer has just forgotten.
    unsafe { libc::close(fd) };
}

/// # Safety
/// `address` is null or points at `len` bytes.
unsafe fn address_of(address: *const sockaddr, len: socklen_t) -> Result<SocketAddr> {
    if address.is_null() {
        return Err(Errno::EFAULT);
    }
    let len = len as usize;
    if len < size_of::<libc::sa_family_t>() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: long enough for the family, and read unaligned.
    let family = unsafe { address.cast::<libc::sa_family_t>().read_unaligned() };
    match c_int::from(family) {
        libc::AF_INET if len >= size_of::<sockaddr_in>() => {
            // SAFETY: long enough for this type, of which any bytes are a value.
            let v4 = unsafe { address.cast::<sockaddr_in>().read_unaligned() };
            let ip = u32::from_be(v4.sin_addr.s_addr).into();
            Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if len >= size_of::<sockaddr_in6>() => {
            // SAFETY: as above.
            let v6 = unsafe { address.cast::<sockaddr_in6>().read_unaligned() };
            Ok(SocketAddrV6::new(v6.sin6_addr.s6_addr.into(), u16::from_be(v6.sin6_port), 0, 0).into())
        }
        libc::AF_INET | libc::AF_INET6 => Err(Errno::EINVAL),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Writes an address as far as there is room, and how long it is.
///
/// # Safety
/// `to` and `len` are null, or `len` points at a length and `to` at so many bytes.
unsafe fn put_address(address: SocketAddr, to: *mut sockaddr, len: *mut socklen_t) {
    if to.is_null() || len.is_null() {
        return;
    }
    // SAFETY: all zeros are a value of these types.
    let (mut v4, mut v6): (sockaddr_in, sockaddr_in6) = unsafe { std::mem::zeroed() };
    let (from, size) = match address {
        SocketAddr::V4(address) => {
            v4.sin_family = libc::AF_INET as libc::sa_family_t;
            v4.sin_port = address.port().to_be();
            v4.sin_addr.s_addr = u32::from(*address.ip()).to_be();
            ((&raw const v4).cast::<u8>(), size_of::<sockaddr_in>())
        }
        SocketAddr::V6(address) => {
            v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            v6.sin6_port = address.port().to_be();
            v6.sin6_addr.s6_addr = address.ip().octets();
            ((&raw const v6).cast::<u8>(), size_of::<sockaddr_in6>())
        }
    };
    // SAFETY: `len` is readable and writable, `to` has so much room, and `from` is one of the two above.
    unsafe {
        let room = (*len as usize).min(size);
        std::ptr::copy_nonoverlapping(from, to.cast::<u8>(), room);
        *len = socklen_t::try_from(size).unwrap_or(0);
    }
}

unsafe extern "C" fn free(_: User) {}

unsafe extern "C" fn socket(_: User, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let open = || {
        let family = match domain {
            libc::AF_INET => Family::V4,
            libc::AF_INET6 => Family::V6,
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        if kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != libc::SOCK_STREAM {
            return Err(Errno::ESOCKTNOSUPPORT);
        }
        if protocol != 0 && protocol != libc::IPPROTO_TCP {
            return Err(Errno::EPROTONOSUPPORT);
        }
        let fd = new_fd()?;
        machine()?.with(|sockets| sockets.socket(fd, family, kind & libc::SOCK_NONBLOCK != 0));
        Ok(fd)
    };
    int(open())
}

unsafe extern "C" fn bind(_: User, fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the tool's own address and its length.
    let address = unsafe { address_of(address, len) };
    done(address.and_then(|address| machine()?.with(|sockets| sockets.bind(fd, address))))
}

unsafe extern "C" fn listen(_: User, fd: c_int, backlog: c_int) -> c_int {
    done(machine().and_then(|machine| machine.with(|sockets| sockets.listen(fd, backlog))))
}

unsafe extern "C" fn accept(_: User, fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
    let accept = || {
        let machine = machine()?;
        machine.call(
            |sockets| sockets.read_deadline(fd),
            move |sockets, late| match sockets.may_accept(fd) {
                Poll::Pending if late => Poll::Ready(Err(Errno::EAGAIN)),
                ready => ready,
            },
        )?;
        let new = new_fd()?;
        let peer = machine.with(|sockets| sockets.accept(fd, new, false)).inspect_err(|_| close_fd(new))?;
        // SAFETY: as the tool gave them, room and its length.
        unsafe { put_address(peer, address, len) };
        Ok(new)
    };
    int(accept())
}

unsafe extern "C" fn connect(_: User, fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the tool's own address and its length.
    let address = unsafe { address_of(address, len) };
    let connect = |address| {
        let mut first = true;
        machine()?.call(
            |sockets| sockets.write_deadline(fd),
            move |sockets, late| match sockets.connect(fd, address, std::mem::take(&mut first)) {
                Poll::Pending if late => Poll::Ready(Err(Errno::EINPROGRESS)),
                ready => ready,
            },
        )
    };
    done(address.and_then(connect))
}

fn waiting(flags: c_int) -> Result<Waiting> {
    let known = libc::MSG_DONTWAIT
        | libc::MSG_WAITALL
        | libc::MSG_PEEK
        | libc::MSG_MORE
        | libc::MSG_NOSIGNAL
        | libc::MSG_TRUNC
        | libc::MSG_EOR
        | libc::MSG_ZEROCOPY
        // TCP passes over these.
        | libc::MSG_CONFIRM
        | libc::MSG_DONTROUTE
        | libc::MSG_CMSG_CLOEXEC;
    if flags & !known != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let has = |flag| flags & flag != 0;
    Ok(Waiting {
        never: has(libc::MSG_DONTWAIT),
        all: has(libc::MSG_WAITALL),
        peek: has(libc::MSG_PEEK),
        more: has(libc::MSG_MORE),
        lend: has(libc::MSG_ZEROCOPY),
    })
}

/// Reads into buffers of the tool's, and says what `TCP_CM_INQ` tells.
///
/// # Safety
/// Each buffer is writable for its length, or null.
unsafe fn read_into(fd: Fd, buffers: &[iovec], flags: c_int) -> Result<(usize, Option<usize>)> {
    if flags & libc::MSG_OOB != 0 {
        // No urgent byte is ever kept apart.
        return Err(Errno::EINVAL);
    }
    if flags & libc::MSG_ERRQUEUE != 0 {
        // Who has no room for a message does not hear what it says.
        return machine()?.with(|sockets| sockets.next_returned(fd)).map(|_| (0, None));
    }
    let how = waiting(flags)?;
    let len = length_of(buffers)?;
    // What is thrown away is written nowhere.
    let thrown_away = flags & libc::MSG_TRUNC != 0;
    if !thrown_away && buffers.iter().any(|buffer| buffer.iov_base.is_null() && buffer.iov_len > 0) {
        return Err(Errno::EFAULT);
    }
    let mut sofar = Vec::new();
    let received = machine()?.call(
        |sockets| sockets.read_deadline(fd),
        move |sockets, late| {
            let how = Waiting { never: how.never || late, ..how };
            sockets.read(fd, len, how, &mut sofar)
        },
    )?;
    let mut rest = if thrown_away { &[][..] } else { &received.bytes[..] };
    for buffer in buffers.iter().filter(|buffer| !buffer.iov_base.is_null()) {
        let (now, later) = rest.split_at(rest.len().min(buffer.iov_len));
        // SAFETY: the buffer is writable for `iov_len` bytes, of which these are no more.
        unsafe { std::ptr::copy_nonoverlapping(now.as_ptr(), buffer.iov_base.cast::<u8>(), now.len()) };
        rest = later;
    }
    Ok((received.bytes.len(), received.left))
}

/// How long all of these are together; what no process can have is refused.
fn length_of(buffers: &[iovec]) -> Result<usize> {
    let len = buffers.iter().try_fold(0_usize, |sum, buffer| sum.checked_add(buffer.iov_len));
    len.filter(|len| isize::try_from(*len).is_ok()).ok_or(Errno::EINVAL)
}

fn buffer(at: *const c_void, len: size_t) -> iovec {
    iovec { iov_base: at.cast_mut(), iov_len: len }
}

/// # Safety
/// `buffers` points at `count` of them, or there are none.
unsafe fn buffers<'a>(buffers: *const iovec, count: usize, too_many: Errno) -> Result<&'a [iovec]> {
    match (buffers.is_null(), count) {
        (_, 0) => Ok(&[]),
        (_, count) if count > MOST_BUFFERS => Err(too_many),
        (true, _) => Err(Errno::EFAULT),
        // SAFETY: so many, as the caller says.
        (false, _) => Ok(unsafe { slice::from_raw_parts(buffers, count) }),
    }
}

/// What `read` and `readv` do: as `recv`, but who asks for nothing gets it at once.
///
/// # Safety
/// As [`read_into`].
unsafe fn read_some(fd: Fd, buffers: &[iovec]) -> Result<usize> {
    if length_of(buffers)? == 0 {
        return if machine()?.with(|sockets| sockets.owns(fd)) { Ok(0) } else { Err(Errno::EBADF) };
    }
    // SAFETY: passed on.
    unsafe { read_into(fd, buffers, 0) }.map(|(len, _)| len)
}

unsafe extern "C" fn read(_: User, fd: c_int, to: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the tool's buffer and its length.
    size(unsafe { read_some(fd, &[buffer(to, len)]) })
}

unsafe extern "C" fn readv(_: User, fd: c_int, to: *const iovec, count: c_int) -> ssize_t {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL);
    // SAFETY: the tool's buffers, so many, and their lengths.
    size(count.and_then(|count| unsafe { read_some(fd, buffers(to, count, Errno::EINVAL)?) }))
}

unsafe extern "C" fn recv(_: User, fd: c_int, to: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the tool's buffer and its length.
    size(unsafe { read_into(fd, &[buffer(to, len)], flags) }.map(|(len, _)| len))
}

unsafe extern "C" fn recvfrom(
    user: User,
    fd: c_int,
    to: *mut c_void,
    len: size_t,
    flags: c_int,
    _: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: passed on as they came.
    let read = unsafe { recv(user, fd, to, len, flags) };
    if read >= 0 && !address_len.is_null() {
        // A stream's peer is known: TCP fills no address in.
        // SAFETY: the tool's own length.
        unsafe { *address_len = 0 };
    }
    read
}

unsafe extern "C" fn recvmsg(_: User, fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    if message.is_null() {
        return size(Err(Errno::EFAULT));
    }
    // SAFETY: not null, and the tool's own.
    let message = unsafe { &mut *message };
    if flags & libc::MSG_ERRQUEUE != 0 {
        // SAFETY: the control buffer of the tool's message, if there is one.
        return size(unsafe { tell_returned(fd, message) }.map(|()| 0));
    }
    // SAFETY: the tool's buffers, so many, and their lengths.
    let read = unsafe {
        buffers(message.msg_iov, message.msg_iovlen, Errno::EMSGSIZE).and_then(|to| read_into(fd, to, flags))
    };
    size(read.map(|(len, left)| {
        (message.msg_namelen, message.msg_flags) = (0, 0);
        // SAFETY: the control buffer of the tool's message, if there is one.
        message.msg_controllen = left.map_or(0, |left| unsafe { put_inq(message, left) });
        len
    }))
}

/// Puts `TCP_CM_INQ` into a message's control buffer, if there is room; gives how much of it is filled.
///
/// # Safety
/// As [`put_control`].
unsafe fn put_inq(message: &mut msghdr, left: usize) -> usize {
    let left = c_int::try_from(left).unwrap_or(c_int::MAX);
    // SAFETY: passed on.
    unsafe { put_control(message, libc::SOL_TCP, libc::TCP_CM_INQ, &left.to_ne_bytes()) }
}

/// Tells of buffers that were lent and are free, as Linux does: `struct sock_extended_err`, and room for the address of
/// an offender that there is not.
///
/// # Safety
/// As [`put_control`].
unsafe fn tell_returned(fd: Fd, message: &mut msghdr) -> Result<()> {
    /// `SO_EE_ORIGIN_ZEROCOPY` and `SO_EE_CODE_ZEROCOPY_COPIED`.
    const ORIGIN_AND_CODE: [u8; 4] = [5, 0, 1, 0];
    let machine = machine()?;
    let family = machine.with(|sockets| sockets.family(fd))?;
    let (first, last) = machine.with(|sockets| sockets.next_returned(fd))?;
    let (level, kind, offender) = match family {
        Family::V4 => (libc::SOL_IP, libc::IP_RECVERR, size_of::<sockaddr_in>()),
        Family::V6 => (libc::SOL_IPV6, libc::IPV6_RECVERR, size_of::<sockaddr_in6>()),
    };
    let mut data = [[0; 4], ORIGIN_AND_CODE, first.to_ne_bytes(), last.to_ne_bytes()].concat();
    data.resize(data.len() + offender, 0);
    (message.msg_namelen, message.msg_flags) = (0, libc::MSG_ERRQUEUE);
    // SAFETY: passed on.
    message.msg_controllen = unsafe { put_control(message, level, kind, &data) };
    Ok(())
}

/// Puts one control message into a message's control buffer, and gives how much of it is filled; without room it says
/// that something is missing.
///
/// # Safety
/// The control buffer is null, or writable for its length and aligned as control messages are.
unsafe fn put_control(message: &mut msghdr, level: c_int, kind: c_int, data: &[u8]) -> usize {
    let len = c_uint::try_from(data.len()).unwrap_or(0);
    // SAFETY: arithmetic.
    let (whole, space) = unsafe { (libc::CMSG_LEN(len), libc::CMSG_SPACE(len)) };
    if message.msg_control.is_null() || message.msg_controllen < whole as usize {
        message.msg_flags |= libc::MSG_CTRUNC;
        return 0;
    }
    // SAFETY: there is room for one message with so many bytes, as has just been seen.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(message);
        (*control).cmsg_level = level;
        (*control).cmsg_type = kind;
        (*control).cmsg_len = whole as usize;
        std::ptr::copy_nonoverlapping(data.as_ptr(), libc::CMSG_DATA(control), data.len());
    }
    message.msg_controllen.min(space as usize)
}

/// Writes from buffers of the tool's.
///
/// # Safety
/// Each buffer is readable for its length, or null.
unsafe fn write_from(fd: Fd, buffers: &[iovec], flags: c_int) -> Result<usize> {
    let how = waiting(flags)?;
    length_of(buffers)?;
    let mut data = Vec::new();
    for buffer in buffers.iter().filter(|buffer| buffer.iov_len > 0) {
        if buffer.iov_base.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: readable for its length.
        data.extend_from_slice(unsafe {
            slice::from_raw_parts(buffer.iov_base.cast::<u8>(), buffer.iov_len)
        });
    }
    let mut progress = Progress::default();
    machine()?.call(
        |sockets| sockets.write_deadline(fd),
        move |sockets, late| {
            let how = Waiting { never: how.never || late, ..how };
            sockets.write(fd, &data, how, &mut progress)
        },
    )
}

unsafe extern "C" fn write(_: User, fd: c_int, from: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the tool's buffer and its length.
    size(unsafe { write_from(fd, &[buffer(from, len)], 0) })
}

unsafe extern "C" fn writev(_: User, fd: c_int, from: *const iovec, count: c_int) -> ssize_t {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL);
    // SAFETY: the tool's buffers, so many, and their lengths.
    size(count.and_then(|count| unsafe { write_from(fd, buffers(from, count, Errno::EINVAL)?, 0) }))
}

unsafe extern "C" fn send(_: User, fd: c_int, from: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the tool's buffer and its length.
    size(unsafe { write_from(fd, &[buffer(from, len)], flags) })
}

unsafe extern "C" fn sendto(
    _: User,
    fd: c_int,
    from: *const c_void,
    len: size_t,
    flags: c_int,
    _: *const sockaddr,
    _: socklen_t,
) -> ssize_t {
    // A stream's peer is known: TCP passes over the address.
    // SAFETY: the tool's buffer and its length.
    size(unsafe { write_from(fd, &[buffer(from, len)], flags) })
}

unsafe extern "C" fn sendmsg(_: User, fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    if message.is_null() {
        return size(Err(Errno::EFAULT));
    }
    // SAFETY: not null, and the tool's own.
    let message = unsafe { &*message };
    // SAFETY: the tool's buffers, so many, and their lengths.
    size(unsafe {
        buffers(message.msg_iov, message.msg_iovlen, Errno::EMSGSIZE)
            .and_then(|from| write_from(fd, from, flags))
    })
}

unsafe extern "C" fn fcntl(_: User, fd: c_int, command: c_int, argument: c_ulong) -> c_int {
    let flags = || match command {
        libc::F_GETFL => {
            let nonblocking = machine()?.with(|sockets| sockets.nonblocking(fd))?;
            Ok(libc::O_RDWR | if nonblocking { libc::O_NONBLOCK } else { 0 })
        }
        libc::F_SETFL => {
            let nonblocking = argument & libc::O_NONBLOCK as c_ulong != 0;
            machine()?.with(|sockets| sockets.set_nonblocking(fd, nonblocking)).map(|()| 0)
        }
        _ => Err(Errno::EINVAL),
    };
    int(flags())
}

unsafe extern "C" fn ioctl(_: User, fd: c_int, request: c_ulong, value: *mut c_int) -> c_int {
    /// `SIOCOUTQNSD`.
    const UNSENT: c_ulong = 0x894b;
    let ask = || {
        if value.is_null() {
            return Err(Errno::EFAULT);
        }
        let machine = machine()?;
        let amount = match request {
            libc::FIONREAD => machine.with(|sockets| sockets.readable(fd))?,
            libc::TIOCOUTQ => machine.with(|sockets| sockets.unacknowledged(fd))?,
            UNSENT => machine.with(|sockets| sockets.unsent(fd))?,
            libc::FIONBIO => {
                // SAFETY: not null, and an int for this request.
                let nonblocking = unsafe { *value } != 0;
                return machine.with(|sockets| sockets.set_nonblocking(fd, nonblocking));
            }
            _ => return Err(Errno::EINVAL),
        };
        // SAFETY: not null, and an int for these requests.
        unsafe { *value = c_int::try_from(amount).unwrap_or(c_int::MAX) };
        Ok(())
    };
    done(ask())
}

unsafe extern "C" fn close(_: User, fd: c_int) -> c_int {
    let close = || {
        let machine = machine()?;
        let lingering = machine.with(|sockets| sockets.close(fd))?;
        close_fd(fd);
        if let Some((id, deadline)) = lingering {
            machine.call(
                |_| Some(deadline),
                move |sockets, late| {
                    if late || !sockets.lingers(id) { Poll::Ready(()) } else { Poll::Pending }
                },
            );
        }
        Ok(())
    };
    done(close())
}

unsafe extern "C" fn shutdown(_: User, fd: c_int, how: c_int) -> c_int {
    let how = match how {
        libc::SHUT_RD => Ok(How::Read),
        libc::SHUT_WR => Ok(How::Write),
        libc::SHUT_RDWR => Ok(How::Both),
        _ => Err(Errno::EINVAL),
    };
    done(how.and_then(|how| machine()?.with(|sockets| sockets.shutdown(fd, how))))
}

/// An option's length; Linux has it as an `int`.
fn length(len: socklen_t) -> Result<usize> {
    c_int::try_from(len).map_err(|_| Errno::EINVAL).map(|_| len as usize)
}

unsafe extern "C" fn table_getsockopt(
    _: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let get = || {
        if value.is_null() || len.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: not null, and a length.
        let room = length(unsafe { *len })?;
        let found = machine()?.with(|sockets| sockets.option(fd, level, name))?;
        // SAFETY: not null; room for `len` bytes, as the tool says.
        unsafe {
            let room = found.len().min(room);
            std::ptr::copy_nonoverlapping(found.as_ptr(), value.cast::<u8>(), room);
            *len = socklen_t::try_from(room).unwrap_or(0);
        }
        Ok(())
    };
    done(get())
}

unsafe extern "C" fn setsockopt(
    _: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    let value = match (value.is_null(), length(len)) {
        (_, Err(error)) => Err(error),
        (_, Ok(0)) => Ok(&[][..]),
        (true, _) => Err(Errno::EFAULT),
        // SAFETY: so many bytes, as the tool says.
        (false, Ok(len)) => Ok(unsafe { slice::from_raw_parts(value.cast::<u8>(), len) }),
    };
    done(value.and_then(|value| machine()?.with(|sockets| sockets.set_option(fd, level, name, value))))
}

/// When a wait of so many milliseconds ends; a negative one never does.
fn deadline(now: Instant, millis: c_int) -> Option<Instant> {
    u64::try_from(millis).ok().map(|millis| now + Duration::from_millis(millis))
}

unsafe extern "C" fn poll(_: User, fds: *mut pollfd, count: c_ulong, timeout: c_int) -> c_int {
    let poll = || {
        if fds.is_null() && count > 0 {
            return Err(Errno::EFAULT);
        }
        let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
        // SAFETY: so many, as the tool says; none where there are none.
        let fds = if count == 0 { &mut [][..] } else { unsafe { slice::from_raw_parts_mut(fds, count) } };
        let ask = |asked: &pollfd| PollFd { fd: asked.fd, events: asked.events, revents: 0 };
        let mut asked: Vec<_> = fds.iter().map(ask).collect();
        let (ready, answers) = machine()?.call(
            |sockets| deadline(sockets.now(), timeout),
            move |sockets, late| match sockets.poll(&mut asked) {
                Poll::Ready(ready) => Poll::Ready((ready, asked.clone())),
                Poll::Pending if late => Poll::Ready((0, asked.clone())),
                Poll::Pending => Poll::Pending,
            },
        );
        for (to, from) in fds.iter_mut().zip(answers) {
            to.revents = from.revents as c_short;
        }
        Ok(c_int::try_from(ready).unwrap_or(c_int::MAX))
    };
    int(poll())
}

unsafe extern "C" fn netdev_send(_: User, packet: *const c_void, len: size_t) -> c_int {
    let inject = || {
        if packet.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the tool's packet and its length.
        machine()?.inject(unsafe { slice::from_raw_parts(packet.cast::<u8>(), len) });
        Ok(())
    };
    done(inject())
}

unsafe extern "C" fn netdev_receive(_: User, to: *mut c_void, len: *mut size_t, time: *mut i64) -> c_int {
    let receive = || {
        if to.is_null() || len.is_null() || time.is_null() {
            return Err(Errno::EFAULT);
        }
        let machine = machine()?;
        let (at, packet) = machine.emitted().unwrap_or_else(|| {
            eprintln!("carrick: a packet is awaited, and no timer is set that could send one");
            (machine.now(), Vec::new())
        });
        // SAFETY: not null; room for `len` bytes, as the tool says.
        unsafe {
            let room = packet.len().min(*len);
            std::ptr::copy_nonoverlapping(packet.as_ptr(), to.cast::<u8>(), room);
            *len = room;
            *time = EPOCH * 1_000_000 + micros(at);
        }
        Ok(())
    };
    done(receive())
}

fn micros(at: Instant) -> i64 {
    i64::try_from(at.as_nanos() / 1000).unwrap_or(i64::MAX)
}

unsafe extern "C" fn usleep(_: User, micros: c_uint) -> c_int {
    done(machine().map(|machine| machine.sleep(Duration::from_micros(micros.into()))))
}

unsafe extern "C" fn gettimeofday(_: User, to: *mut timeval, _: *mut c_void) -> c_int {
    let look = || {
        if to.is_null() {
            return Err(Errno::EFAULT);
        }
        let now = micros(machine()?.now());
        let time = timeval { tv_sec: EPOCH + now / 1_000_000, tv_usec: now % 1_000_000 };
        // SAFETY: not null, and a `timeval`.
        unsafe { to.write(time) };
        Ok(())
    };
    done(look())
}

unsafe extern "C" fn epoll_create(_: User, size: c_int) -> c_int {
    let create = || {
        if size <= 0 {
            return Err(Errno::EINVAL);
        }
        let fd = new_fd()?;
        machine()?.with(|sockets| sockets.epoll_create(fd));
        Ok(fd)
    };
    int(create())
}

unsafe extern "C" fn epoll_ctl(
    _: User,
    epoll: c_int,
    what: c_int,
    fd: c_int,
    event: *mut libc::epoll_event,
) -> c_int {
    let control = || {
        // SAFETY: null, or one event of the tool's.
        let event = (!event.is_null()).then(|| unsafe { event.read_unaligned() });
        let interest = event.map(|event| Interest::new(event.events, event.u64)).ok_or(Errno::EFAULT);
        machine()?.with(|sockets| match what {
            libc::EPOLL_CTL_ADD => sockets.epoll_add(epoll, fd, interest?),
            libc::EPOLL_CTL_MOD => sockets.epoll_modify(epoll, fd, interest?),
            libc::EPOLL_CTL_DEL => sockets.epoll_delete(epoll, fd),
            _ => Err(Errno::EINVAL),
        })
    };
    done(control())
}

unsafe extern "C" fn epoll_wait(
    _: User,
    epoll: c_int,
    events: *mut libc::epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    let wait = || {
        let most = usize::try_from(most).ok().filter(|most| *most > 0).ok_or(Errno::EINVAL)?;
        if events.is_null() {
            return Err(Errno::EFAULT);
        }
        let found = machine()?.call(
            |sockets| deadline(sockets.now(), timeout),
            move |sockets, late| match sockets.epoll_wait(epoll, most) {
                Poll::Pending if late => Poll::Ready(Ok(Vec::new())),
                ready => ready,
            },
        )?;
        for (at, (events_found, data)) in found.iter().enumerate() {
            let event = libc::epoll_event { events: *events_found, u64: *data };
            // SAFETY: room for `most` events, and no more were found.
            unsafe { events.add(at).write_unaligned(event) };
        }
        Ok(c_int::try_from(found.len()).unwrap_or(c_int::MAX))
    };
    int(wait())
}

unsafe extern "C" fn pipe(_: User, _: *mut c_int) -> c_int {
    done(Err(Errno::ENOSYS))
}

unsafe extern "C" fn splice(
    _: User,
    _: c_int,
    _: *mut off64_t,
    _: c_int,
    _: *mut off64_t,
    _: size_t,
    _: c_uint,
) -> ssize_t {
    size(Err(Errno::ENOSYS))
}

/// `getsockopt` for the whole process: ours for our descriptors, the kernel's for all others.
///
/// # Safety
/// As for `getsockopt(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let ours = MACHINE.get().is_some_and(|machine| machine.with(|sockets| sockets.owns(fd)));
    if ours {
        // SAFETY: passed on as they came.
        return unsafe { table_getsockopt(std::ptr::null_mut(), fd, level, name, value, len) };
    }
    // SAFETY: the system call itself, with the caller's arguments.
    let result = unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) };
    c_int::try_from(result).unwrap_or(-1)
}
