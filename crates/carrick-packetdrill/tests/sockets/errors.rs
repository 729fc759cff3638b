//! What calls that cannot be done say.

use crate::peer::{ACK, FIN_ACK, RST, SYN, SYN_ACK, World};
use carrick_packetdrill::errno::Errno;
use carrick_packetdrill::sockets::How;
use carrick_wire::TcpOptions;
use std::task::Poll;

const UNKNOWN: i32 = 99;

#[test]
fn a_descriptor_must_be_one() {
    let world = World::new(&[]);
    assert_eq!(world.read(UNKNOWN, 1), Err(Errno::EBADF));
    assert_eq!(world.write(UNKNOWN, 1), Err(Errno::EBADF));
    assert_eq!(world.connect(UNKNOWN), Err(Errno::EBADF));
    assert_eq!(world.set(UNKNOWN, libc::SOL_TCP, libc::TCP_NODELAY, 1), Err(Errno::EBADF));
    assert_eq!(world.machine.with(|sockets| sockets.close(UNKNOWN)), Err(Errno::EBADF));
    world.machine.with(|sockets| {
        sockets.epoll_create(5);
        assert_eq!(sockets.readable(5), Err(Errno::ENOTSOCK));
    });
}

#[test]
fn a_socket_that_is_not_connected_neither_reads_nor_writes() {
    let mut world = World::new(&[]);
    let fd = world.socket();
    assert_eq!(world.read(fd, 1), Err(Errno::ENOTCONN));
    assert_eq!(world.write(fd, 1), Err(Errno::EPIPE));
    let shut = world.machine.with(|sockets| sockets.shutdown(fd, How::Both));
    assert_eq!(shut, Err(Errno::ENOTCONN));
    assert_eq!(world.accept(fd), Err(Errno::EINVAL));
}

#[test]
fn a_refused_attempt_can_be_repeated() {
    let mut world = World::new(&[]);
    let fd = world.socket();
    world.nonblocking(fd);
    for _ in 0..2 {
        assert_eq!(world.connect(fd), Err(Errno::EINPROGRESS));
        let syn = world.expect((SYN, 0, 0, 0));
        world.local.set_port(syn.src_port);
        world.send((RST | ACK, 0, 1, 0));
        assert_eq!(world.connect(fd), Err(Errno::ECONNREFUSED));
    }
}

#[test]
fn shutting_down_ends_a_call_that_waits_for_an_answer() {
    let mut world = World::new(&[]);
    let (fd, remote) = (world.socket(), world.remote);
    let connect = |first| world.machine.with(|sockets| sockets.connect(fd, remote, first));
    assert_eq!(connect(true), Poll::Pending);
    world.machine.with(|sockets| sockets.shutdown(fd, How::Write)).unwrap();
    assert_eq!(connect(false), Poll::Ready(Err(Errno::ECONNRESET)));
    world.expect((SYN, 0, 0, 0));
    world.expect_quiet();
    assert_eq!(world.get(fd, libc::SOL_SOCKET, libc::SO_ERROR), Ok(0));
}

#[test]
fn a_reset_is_told_once() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.send((RST, 1, 0, 0));
    assert_eq!(world.get(fd, libc::SOL_SOCKET, libc::SO_ERROR), Ok(Errno::ECONNRESET.0));
    assert_eq!(world.get(fd, libc::SOL_SOCKET, libc::SO_ERROR), Ok(0));
    assert_eq!(world.read(fd, 1).unwrap().bytes.len(), 0);
    assert_eq!(world.write(fd, 1), Err(Errno::EPIPE));
}

#[test]
fn a_reset_behind_a_fin_breaks_the_pipe() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.send((FIN_ACK, 1, 1, 0));
    world.expect((ACK, 1, 2, 0));
    world.send((RST, 2, 0, 0));
    assert_eq!(world.get(fd, libc::SOL_SOCKET, libc::SO_ERROR), Ok(Errno::EPIPE.0));
}

#[test]
fn what_came_before_a_reset_is_lost_with_it_or_read_before() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.send((ACK, 1, 1, 10));
    world.expect((ACK, 1, 11, 0));
    world.send((RST, 11, 0, 0));
    assert_eq!(world.read(fd, 100).unwrap().bytes.len(), 10);
    assert_eq!(world.read(fd, 100), Err(Errno::ECONNRESET));
}

#[test]
fn an_address_is_taken_once() {
    let mut world = World::new(&[]);
    let (one, other, local) = (world.socket(), world.socket(), world.local);
    world.machine.with(|sockets| {
        sockets.bind(one, local).unwrap();
        assert_eq!(sockets.bind(one, local), Err(Errno::EINVAL));
        assert_eq!(sockets.bind(other, local), Err(Errno::EADDRINUSE));
        sockets.close(one).unwrap();
        assert_eq!(sockets.bind(other, local), Ok(()));
    });
}

#[test]
fn a_silent_peer_times_an_attempt_out() {
    let mut world = World::new(&[("ipv4.tcp_syn_retries", "1")]);
    let fd = world.socket();
    let began = world.now();
    // Nobody can answer meanwhile: the call itself lets the time pass.
    assert_eq!(world.connect(fd), Err(Errno::ETIMEDOUT));
    assert_eq!(world.now().since(began).as_secs(), 3);
    for _ in 0..2 {
        world.expect((SYN, 0, 0, 0));
    }
    world.expect_quiet();
}

#[test]
fn a_connection_that_was_reset_before_it_was_accepted_tells_so() {
    let mut world = World::new(&[]);
    let listener = world.listener();
    world.inject((SYN, 0, 0, 0), 1000, TcpOptions::default());
    world.expect((SYN_ACK, 0, 1, 0));
    world.send((ACK, 1, 1, 0));
    world.send((RST, 1, 0, 0));
    let fd = world.accept(listener).unwrap();
    assert_eq!(world.read(fd, 1), Err(Errno::ECONNRESET));
}
