//! Requests to the kernel's routing socket that need no answer but yes or no (rtnetlink(7), Linux only).

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;

/// RTM_NEWLINK: changes an interface.
pub const NEW_LINK: u16 = 16;
/// IFF_UP: the interface is up.
pub const UP: u32 = 1;

/// NLM_F_REQUEST, NLM_F_ACK.
const WITH_ANSWER: u16 = 5;
/// Bytes of struct nlmsghdr.
const HEADER: usize = 16;

/// Sends a request of that kind in the calling thread's network namespace; `flags` come on top of the usual ones.
///
/// # Errors
/// What the kernel said.
pub fn request(kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
    // struct nlmsghdr: length, type, flags, sequence number, port.
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((WITH_ANSWER | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);

    let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    net::sendto(&socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0_u8; 1024];
    let (length, _) = net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // struct nlmsgerr follows the header: 0, or an error number negated.
    let code = answer[..length].get(HEADER..).and_then(|rest| rest.first_chunk());
    match code.map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The body of a request about interface `index`, with these of its flags set: struct ifinfomsg.
#[must_use]
pub fn link(index: u32, flags: u32) -> Vec<u8> {
    // Family and device type unspecified, index, flags, which flags change.
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body
}

/// Appends an attribute, of a multiple of 4 bytes.
pub fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    debug_assert_eq!(value.len() % 4, 0, "attributes are aligned");
    body.extend(u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}
