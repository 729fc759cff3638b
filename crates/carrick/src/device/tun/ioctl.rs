//! Nearly all `unsafe` code of this crate: four requests to the TUN driver and the loan of a descriptor.
//!
//! `rustix` has no safe form of a driver's own ioctls, and `tokio-tun` lends its descriptor only as a number.
#![allow(unsafe_code, reason = "the TUN driver's ioctls have no safe wrapper; each use says why it is sound")]

use rustix::fs::{self, Mode, OFlags};
use rustix::ioctl::{self, Getter, IntegerSetter, Setter, Updater, opcode};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// TUNSETIFF: makes or takes an interface; reads and writes a struct ifreq (linux/if_tun.h).
const SET_INTERFACE: ioctl::Opcode = opcode::write::<u32>(b'T', 202);
/// TUNSETVNETHDRSZ: how long the header before each packet is; reads an `int`.
const SET_HEADER_LEN: ioctl::Opcode = opcode::write::<u32>(b'T', 216);
/// TUNSETOFFLOAD: which unfinished packets the kernel may hand over; an integer by value.
const SET_OFFLOAD: ioctl::Opcode = opcode::write::<u32>(b'T', 208);
/// TUNGETIFF: name and flags of the interface behind a descriptor. Its number claims an `unsigned int`,
/// what it writes is a struct ifreq.
const GET_INTERFACE: ioctl::Opcode = opcode::read::<u32>(b'T', 210);

/// struct ifreq with its flags; the union behind the name holds two pointers and 8 bytes.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 2 * size_of::<usize>() + 6],
}

/// What kind of device a descriptor leads to.
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) flags: u16,
}

/// A duplicate of a tokio-tun device's descriptor: the same attachment, closed with the last of the two.
pub(super) fn duplicate(tun: &tokio_tun::Tun) -> io::Result<OwnedFd> {
    // SAFETY: `tun` owns the descriptor and keeps it open while it is borrowed, that is, during this call.
    let fd = unsafe { BorrowedFd::borrow_raw(tun.as_raw_fd()) };
    fd.try_clone_to_owned()
}

/// Opens an interface of the kind that `flags` say and with this name, at most 15 bytes; a `%d` in it is replaced.
pub(super) fn open(name: &str, flags: u16) -> io::Result<OwnedFd> {
    let fd = fs::open("/dev/net/tun", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| super::at("opening /dev/net/tun", error))?;
    let mut wanted = InterfaceRequest { name: [0; 16], flags, rest: [0; _] };
    wanted.name.iter_mut().zip(name.bytes().take(15)).for_each(|(to, byte)| *to = byte);
    // SAFETY: TUNSETIFF reads and writes a struct ifreq, which `InterfaceRequest` is; any bytes make a valid one.
    let request = unsafe { Updater::<SET_INTERFACE, InterfaceRequest>::new(&mut wanted) };
    // SAFETY: as above.
    unsafe { ioctl::ioctl(&fd, request) }
        .map_err(|error| super::at(format_args!("creating interface {name}"), error))?;
    Ok(fd)
}

/// Says how long the header before each packet is.
pub(super) fn set_header_len(fd: &OwnedFd, len: i32) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads an `int`, whatever its value.
    let request = unsafe { Setter::<SET_HEADER_LEN, i32>::new(len) };
    // SAFETY: as above.
    unsafe { ioctl::ioctl(fd, request) }.map_err(io::Error::from)
}

/// Says which unfinished packets the kernel may hand over; with 0 all are finished and no larger than the MTU.
pub(super) fn set_offloads(fd: &OwnedFd, which: u32) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes an integer, by value. The driver neither reads nor writes memory of ours.
    let request = unsafe { IntegerSetter::<SET_OFFLOAD>::new_usize(which as usize) };
    // SAFETY: as above; on a descriptor that is no TUN the kernel answers with an error.
    unsafe { ioctl::ioctl(fd, request) }.map_err(io::Error::from)
}

/// Name and flags of the interface behind the descriptor.
pub(super) fn interface(fd: &OwnedFd) -> io::Result<Interface> {
    // SAFETY: TUNGETIFF writes a struct ifreq, which `InterfaceRequest` has room for. All bytes of it are
    // plain integers, and the kernel fills the whole struct before it copies it out.
    let request = unsafe { Getter::<GET_INTERFACE, InterfaceRequest>::new() };
    // SAFETY: as above.
    let answer = unsafe { ioctl::ioctl(fd, request) }?;
    let InterfaceRequest { name, flags, rest: _ } = answer;
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(Interface { name: String::from_utf8_lossy(name).into_owned(), flags })
}
