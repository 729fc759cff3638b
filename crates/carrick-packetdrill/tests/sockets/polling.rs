//! `poll` and `epoll`.

use crate::peer::{ACK, FIN_ACK, PSH_ACK, RST, SYN, SYN_ACK, World};
use carrick_packetdrill::errno::Errno;
use carrick_packetdrill::sockets::{Fd, Interest, PollFd};
use carrick_wire::TcpOptions;
use std::task::Poll;

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
const EDGE: u32 = libc::EPOLLET as u32;
const ONCE: u32 = libc::EPOLLONESHOT as u32;

fn poll(world: &World, fd: Fd, events: i16) -> i16 {
    let mut fds = [PollFd { fd, events, revents: 0 }];
    let _ = world.machine.with(|sockets| sockets.poll(&mut fds));
    fds[0].revents
}

fn wait(world: &World, epoll: Fd) -> Vec<(u32, u64)> {
    match world.machine.with(|sockets| sockets.epoll_wait(epoll, 10)) {
        Poll::Ready(found) => found.unwrap(),
        Poll::Pending => Vec::new(),
    }
}

#[test]
fn poll_tells_what_holds() {
    let mut world = World::new(&[]);
    let listener = world.listener();
    assert_eq!(poll(&world, listener, libc::POLLIN), 0);
    world.inject((SYN, 0, 0, 0), 20_000, TcpOptions::default());
    world.expect((SYN_ACK, 0, 1, 0));
    world.send((ACK, 1, 1, 0));
    assert_eq!(poll(&world, listener, libc::POLLIN), libc::POLLIN);
    let fd = world.accept(listener).unwrap();
    let both = libc::POLLIN | libc::POLLOUT;
    assert_eq!(poll(&world, fd, both), libc::POLLOUT);
    world.send((ACK, 1, 1, 10));
    assert_eq!(poll(&world, fd, both), both);
    world.read(fd, 10).unwrap();
    world.send((FIN_ACK, 11, 1, 0));
    assert_eq!(poll(&world, fd, libc::POLLIN | libc::POLLRDHUP), libc::POLLIN | libc::POLLRDHUP);
    world.send((RST, 12, 0, 0));
    let after = poll(&world, fd, 0);
    assert_eq!(after, libc::POLLERR | libc::POLLHUP);
    assert_eq!(poll(&world, 99, libc::POLLIN), libc::POLLNVAL);
    assert_eq!(poll(&world, -1, libc::POLLIN), 0);
}

#[test]
fn a_socket_that_was_never_connected_hangs_up() {
    let mut world = World::new(&[]);
    let fd = world.socket();
    assert_eq!(poll(&world, fd, libc::POLLOUT), libc::POLLOUT | libc::POLLHUP);
}

#[test]
fn an_edge_is_told_once_and_anew_with_more() {
    let mut world = World::new(&[]);
    let (fd, epoll) = (world.accepted(), world.fd());
    world.machine.with(|sockets| sockets.epoll_create(epoll));
    let interest = Interest::new(IN | OUT | EDGE, 7);
    world.machine.with(|sockets| sockets.epoll_add(epoll, fd, interest)).unwrap();
    assert_eq!(wait(&world, epoll), [(OUT, 7)]);
    assert_eq!(wait(&world, epoll), []);
    for at in 0..2 {
        world.send((PSH_ACK, 1 + at * 100, 1, 100));
        assert_eq!(wait(&world, epoll), [(IN | OUT, 7)]);
        assert_eq!(wait(&world, epoll), []);
    }
    world.read(fd, 10).unwrap();
    assert_eq!(wait(&world, epoll), [], "reading is no news");
}

#[test]
fn a_level_is_told_as_long_as_it_holds() {
    let mut world = World::new(&[]);
    let (fd, epoll) = (world.accepted(), world.fd());
    world.machine.with(|sockets| sockets.epoll_create(epoll));
    world.machine.with(|sockets| sockets.epoll_add(epoll, fd, Interest::new(IN, 1))).unwrap();
    assert_eq!(wait(&world, epoll), []);
    world.send((ACK, 1, 1, 10));
    for _ in 0..3 {
        assert_eq!(wait(&world, epoll), [(IN, 1)]);
    }
    world.read(fd, 10).unwrap();
    assert_eq!(wait(&world, epoll), []);
}

#[test]
fn once_is_once_until_it_is_asked_for_anew() {
    let mut world = World::new(&[]);
    let (fd, epoll) = (world.accepted(), world.fd());
    world.machine.with(|sockets| sockets.epoll_create(epoll));
    let interest = Interest::new(OUT | ONCE, 1);
    world.machine.with(|sockets| sockets.epoll_add(epoll, fd, interest)).unwrap();
    assert_eq!(wait(&world, epoll), [(OUT, 1)]);
    assert_eq!(wait(&world, epoll), []);
    world.machine.with(|sockets| sockets.epoll_modify(epoll, fd, interest)).unwrap();
    assert_eq!(wait(&world, epoll), [(OUT, 1)]);
}

#[test]
fn a_full_buffer_is_no_room_until_a_third_is_free() {
    let mut world = World::new(&[]);
    let (fd, epoll) = (world.accepted(), world.fd());
    world.set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 5000).unwrap();
    world.nonblocking(fd);
    let written = u32::try_from(world.write(fd, 100_000).unwrap()).unwrap();
    assert!((10_000..30_000).contains(&written), "{written}");
    assert_eq!(world.write(fd, 1), Err(Errno::EAGAIN));
    world.machine.with(|sockets| sockets.epoll_create(epoll));
    world.machine.with(|sockets| sockets.epoll_add(epoll, fd, Interest::new(OUT | EDGE, 1))).unwrap();
    assert_eq!(wait(&world, epoll), []);
    world.send((ACK, 1, written - 8000, 0));
    assert_eq!(wait(&world, epoll), [], "8,001 of 10,000 bytes are still taken");
    world.send((ACK, 1, written - 5000, 0));
    assert_eq!(wait(&world, epoll), [(OUT, 1)]);
}

#[test]
fn descriptors_are_added_once_and_forgotten_when_they_are_closed() {
    let mut world = World::new(&[]);
    let (fd, epoll) = (world.accepted(), world.fd());
    world.machine.with(|sockets| {
        sockets.epoll_create(epoll);
        let interest = Interest::new(OUT, 1);
        assert_eq!(sockets.epoll_modify(epoll, fd, interest), Err(Errno::ENOENT));
        assert_eq!(sockets.epoll_add(epoll, fd, interest), Ok(()));
        assert_eq!(sockets.epoll_add(epoll, fd, interest), Err(Errno::EEXIST));
        assert_eq!(sockets.epoll_add(fd, epoll, interest), Err(Errno::ENOTSOCK));
        assert_eq!(sockets.epoll_delete(epoll, fd), Ok(()));
        assert_eq!(sockets.epoll_delete(epoll, fd), Err(Errno::ENOENT));
        assert_eq!(sockets.epoll_add(epoll, fd, interest), Ok(()));
        sockets.close(fd).unwrap();
    });
    assert_eq!(wait(&world, epoll), []);
}
