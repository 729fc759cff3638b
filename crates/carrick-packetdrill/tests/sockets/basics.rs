//! Opening, moving bytes, closing.

use crate::peer::{ACK, FIN_ACK, PSH_ACK, RST, SYN, SYN_ACK, World, families};
use carrick_packetdrill::errno::Errno;
use carrick_packetdrill::sockets::{Family, How, Waiting};
use carrick_wire::TcpOptions;

#[test]
fn a_server_accepts_reads_writes_and_closes() {
    for mut world in families() {
        let fd = world.accepted();
        world.send((PSH_ACK, 1, 1, 100));
        world.expect((ACK, 1, 101, 0));
        assert_eq!(world.read(fd, 1000).unwrap().bytes.len(), 100);
        assert_eq!(world.write(fd, 50), Ok(50));
        world.expect((PSH_ACK, 1, 101, 50));
        world.send((FIN_ACK, 101, 51, 0));
        world.expect((ACK, 51, 102, 0));
        assert_eq!(world.read(fd, 1000).unwrap().bytes.len(), 0);
        world.close(fd);
        world.expect((FIN_ACK, 51, 102, 0));
        world.send((ACK, 102, 52, 0));
        assert_eq!(world.read(fd, 1), Err(Errno::EBADF));
        // Nobody knows the connection any more.
        world.send((ACK, 102, 52, 0));
        world.expect((RST, 52, 0, 0));
    }
}

#[test]
fn a_client_that_does_not_block_connects() {
    let mut world = World::new(&[]);
    let fd = world.socket();
    world.nonblocking(fd);
    assert_eq!(world.connect(fd), Err(Errno::EINPROGRESS));
    let syn = world.expect((SYN, 0, 0, 0));
    let options = (syn.options.mss, syn.options.sack_permitted, syn.options.timestamps.is_some());
    assert_eq!(options, (Some(1460), true, true));
    world.local.set_port(syn.src_port);
    assert_eq!(world.connect(fd), Err(Errno::EALREADY));
    assert_eq!(world.machine.with(|sockets| sockets.peer_address(fd)), Err(Errno::ENOTCONN));
    assert_eq!(world.write(fd, 1), Err(Errno::EAGAIN));
    world.inject((SYN_ACK, 0, 1, 0), 5000, TcpOptions { mss: Some(1000), ..TcpOptions::default() });
    world.expect((ACK, 1, 1, 0));
    assert_eq!(world.connect(fd), Ok(()));
    assert_eq!(world.connect(fd), Err(Errno::EISCONN));
    let remote = world.remote;
    assert_eq!(world.machine.with(|sockets| sockets.peer_address(fd)), Ok(remote));
    assert_eq!(world.write(fd, 3), Ok(3));
    world.expect((PSH_ACK, 1, 1, 3));
}

#[test]
fn settings_of_the_namespace_shape_the_handshake() {
    let without = [("ipv4.tcp_timestamps", "0"), ("ipv4.tcp_sack", "0"), ("ipv4.tcp_window_scaling", "0")];
    let mut world = World::new(&without);
    let fd = world.socket();
    world.nonblocking(fd);
    assert_eq!(world.connect(fd), Err(Errno::EINPROGRESS));
    let syn = world.expect((SYN, 0, 0, 0));
    assert_eq!(syn.options, TcpOptions { mss: Some(1460), ..TcpOptions::default() });

    let mut world = World::new(&[("ipv4.tcp_rmem", "4096\t540000\t15728640")]);
    let fd = world.socket();
    world.nonblocking(fd);
    assert_eq!(world.connect(fd), Err(Errno::EINPROGRESS));
    assert_eq!(world.expect((SYN, 0, 0, 0)).options.window_scale, Some(8));
}

#[test]
fn shut_for_reading_a_socket_still_reads_what_comes() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.machine.with(|sockets| sockets.shutdown(fd, How::Read)).unwrap();
    assert_eq!(world.read(fd, 10).unwrap().bytes.len(), 0);
    world.send((ACK, 1, 1, 500));
    world.expect((ACK, 1, 501, 0));
    assert_eq!(world.read(fd, 1000).unwrap().bytes.len(), 500);
    assert_eq!(world.write(fd, 10), Ok(10));
}

#[test]
fn shut_for_writing_a_socket_sends_a_fin_and_breaks_the_pipe() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.machine.with(|sockets| sockets.shutdown(fd, How::Write)).unwrap();
    world.expect((FIN_ACK, 1, 1, 0));
    assert_eq!(world.write(fd, 10), Err(Errno::EPIPE));
    world.send((ACK, 1, 2, 5));
    world.expect((ACK, 2, 6, 0));
    assert_eq!(world.read(fd, 10).unwrap().bytes.len(), 5);
}

#[test]
fn closing_with_unread_bytes_resets() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.send((ACK, 1, 1, 5));
    world.expect((ACK, 1, 6, 0));
    world.close(fd);
    world.expect((RST | ACK, 1, 6, 0));
}

#[test]
fn closing_a_listener_resets_who_waits_there() {
    let mut world = World::new(&[]);
    let listener = world.listener();
    world.inject((SYN, 0, 0, 0), 1000, TcpOptions::default());
    world.expect((SYN_ACK, 0, 1, 0));
    world.send((ACK, 1, 1, 0));
    world.close(listener);
    world.expect((RST | ACK, 1, 1, 0));
    world.inject((SYN, 5000, 0, 0), 1000, TcpOptions::default());
    let (_, (flags, ..), _) = world.next().unwrap();
    assert_eq!(flags, RST | ACK);
}

#[test]
fn peeking_leaves_what_it_saw() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.send((ACK, 1, 1, 30));
    let peek = Waiting { peek: true, ..Waiting::default() };
    assert_eq!(crate::peer::read(&world.machine, fd, 10, peek).unwrap().bytes.len(), 10);
    assert_eq!(world.read(fd, 100).unwrap().bytes.len(), 30);
}

#[test]
fn bytes_that_can_be_read_and_were_not_acknowledged_are_counted() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.send((ACK, 1, 1, 30));
    world.write(fd, 70).unwrap();
    let counts = |sockets: &mut carrick_packetdrill::sockets::Sockets| {
        (sockets.readable(fd), sockets.unacknowledged(fd), sockets.unsent(fd))
    };
    assert_eq!(world.machine.with(counts), (Ok(30), Ok(70), Ok(0)));
    let listener = world.socket();
    world.machine.with(|sockets| sockets.listen(listener, 0)).unwrap();
    assert_eq!(world.machine.with(|sockets| sockets.readable(listener)), Err(Errno::EINVAL));
}

#[test]
fn an_address_of_the_other_family_is_refused() {
    let world = World::new(&[]);
    let (v4, v6) = ("192.0.2.1:80".parse().unwrap(), "[2001:db8::1]:80".parse().unwrap());
    world.machine.with(|sockets| {
        sockets.socket(50, Family::V4, false);
        sockets.socket(51, Family::V6, false);
        assert_eq!(sockets.bind(50, v6), Err(Errno::EAFNOSUPPORT));
        assert_eq!(sockets.bind(51, v4), Err(Errno::EINVAL));
        assert_eq!(sockets.bind(50, v4), Err(Errno::EADDRNOTAVAIL));
    });
}

#[test]
fn an_ipv6_socket_speaks_ipv4_by_mapped_addresses() {
    let mut world = World::new(&[]);
    let mapped = "[::ffff:192.168.0.1]:8080".parse().unwrap();
    world.machine.with(|sockets| {
        sockets.socket(50, Family::V6, false);
        sockets.bind(50, mapped).unwrap();
        sockets.listen(50, 1).unwrap();
        assert_eq!(sockets.local_address(50), Ok(mapped));
    });
    world.inject((SYN, 0, 0, 0), 1000, TcpOptions::default());
    world.expect((SYN_ACK, 0, 1, 0));
    world.send((ACK, 1, 1, 0));
    let peer = world.machine.with(|sockets| sockets.accept(50, 51, false));
    assert_eq!(peer, Ok("[::ffff:192.0.2.1]:50000".parse().unwrap()));
}

#[test]
fn a_large_packet_comes_whole_and_leaves_in_segments() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.send((ACK, 1, 1, 30_000));
    world.expect((ACK, 1, 30_001, 0));
    assert_eq!(world.read(fd, 60_000).unwrap().bytes.len(), 30_000);
    world.write(fd, 3500).unwrap();
    for at in 0..3 {
        world.expect((ACK, 1 + at * 1000, 30_001, 1000));
    }
    world.expect((PSH_ACK, 3001, 30_001, 500));
}

/// What the pacing rate lets leave at a time is a number of segments; PSH shows it.
#[test]
fn a_tail_is_no_part_of_a_burst_that_has_its_segments() {
    let mut world = World::new(&[]);
    let listener = world.listener();
    let options = TcpOptions { mss: Some(1000), ..TcpOptions::default() };
    world.inject((SYN, 0, 0, 0), 20_000, options);
    world.expect((SYN_ACK, 0, 1, 0));
    world.sleep(100);
    world.send((ACK, 1, 1, 0));
    let fd = world.accept(listener).unwrap();
    assert_eq!(world.write(fd, 2050), Ok(2050));
    world.expect((ACK, 1, 1, 1000));
    world.expect((PSH_ACK, 1001, 1, 1000));
    world.sleep(100);
    world.send((ACK, 1, 2001, 0));
    world.expect((PSH_ACK, 2001, 1, 50));
}
