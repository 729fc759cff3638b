//! Options: what they say, and what they do.

use crate::peer::{ACK, FIN_ACK, PSH_ACK, RST, SYN, SYN_ACK, World, write};
use carrick_packetdrill::errno::Errno;
use carrick_packetdrill::info;
use carrick_packetdrill::sockets::Waiting;
use carrick_wire::TcpOptions;
use libc::{SOL_SOCKET, SOL_TCP};

#[test]
fn what_is_set_is_told() {
    let mut world = World::new(&[]);
    let fd = world.socket();
    for (level, name, value) in [
        (SOL_SOCKET, libc::SO_REUSEADDR, 1),
        (SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (SOL_TCP, libc::TCP_NODELAY, 1),
        (SOL_TCP, libc::TCP_CORK, 1),
        (SOL_TCP, libc::TCP_MAXSEG, 1100),
        (SOL_TCP, libc::TCP_KEEPIDLE, 5),
        (SOL_TCP, libc::TCP_KEEPINTVL, 6),
        (SOL_TCP, libc::TCP_KEEPCNT, 7),
        (SOL_TCP, libc::TCP_USER_TIMEOUT, 3000),
        (SOL_TCP, libc::TCP_LINGER2, 8),
        (SOL_TCP, libc::TCP_SYNCNT, 2),
        (SOL_TCP, libc::TCP_NOTSENT_LOWAT, 4000),
        (SOL_TCP, libc::TCP_INQ, 1),
        (libc::SOL_IP, libc::IP_TOS, 4),
        (libc::SOL_IP, libc::IP_TTL, 9),
    ] {
        assert_eq!(world.set(fd, level, name, value), Ok(()), "{level} {name}");
        assert_eq!(world.get(fd, level, name), Ok(value), "{level} {name}");
    }
}

#[test]
fn values_out_of_range_and_unknown_options_are_refused() {
    let mut world = World::new(&[]);
    let fd = world.socket();
    for (name, value) in [
        (libc::TCP_MAXSEG, 87),
        (libc::TCP_KEEPIDLE, 0),
        (libc::TCP_KEEPCNT, 128),
        (libc::TCP_USER_TIMEOUT, -1),
        (libc::TCP_SYNCNT, 0),
        (libc::TCP_INQ, 2),
    ] {
        assert_eq!(world.set(fd, SOL_TCP, name, value), Err(Errno::EINVAL), "{name} {value}");
    }
    let short = world.machine.with(|sockets| sockets.set_option(fd, SOL_TCP, libc::TCP_NODELAY, &[1]));
    assert_eq!(short, Err(Errno::EINVAL));
    assert_eq!(world.set(fd, SOL_TCP, 9999, 1), Err(Errno::ENOPROTOOPT));
    assert_eq!(world.get(fd, SOL_TCP, 9999), Err(Errno::ENOPROTOOPT));
    let other = world.machine.with(|sockets| sockets.set_option(fd, SOL_TCP, libc::TCP_CONGESTION, b"bbr"));
    assert_eq!(other, Err(Errno::ENOENT));
}

#[test]
fn buffers_are_doubled_as_linux_does() {
    let mut world = World::new(&[("core.wmem_max", "100000"), ("core.rmem_max", "100000")]);
    let fd = world.socket();
    for name in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        world.set(fd, SOL_SOCKET, name, 21_000).unwrap();
        assert_eq!(world.get(fd, SOL_SOCKET, name), Ok(42_000));
        world.set(fd, SOL_SOCKET, name, 1_000_000).unwrap();
        assert_eq!(world.get(fd, SOL_SOCKET, name), Ok(200_000));
    }
    world.set(fd, SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
    assert_eq!(world.get(fd, SOL_SOCKET, libc::SO_SNDBUF), Ok(4608));
    // Below zero is more than anything; whoever may force a size is not held to the greatest, nor takes zero for it.
    for (name, forced, least) in
        [(libc::SO_SNDBUF, libc::SO_SNDBUFFORCE, 4608), (libc::SO_RCVBUF, libc::SO_RCVBUFFORCE, 2304)]
    {
        for (option, value, told) in
            [(name, -1, 200_000), (forced, 1_000_000, 2_000_000), (forced, -1, least)]
        {
            world.set(fd, SOL_SOCKET, option, value).unwrap();
            assert_eq!(world.get(fd, SOL_SOCKET, name), Ok(told));
        }
    }
}

#[test]
fn a_controller_that_is_named_is_the_one_that_works() {
    let name = |world: &World, fd| {
        let name = world.machine.with(|sockets| sockets.option(fd, SOL_TCP, libc::TCP_CONGESTION)).unwrap();
        String::from_utf8(name).unwrap().trim_end_matches('\0').to_owned()
    };
    let set = |world: &World, fd, name: &str| {
        world.machine.with(|sockets| sockets.set_option(fd, SOL_TCP, libc::TCP_CONGESTION, name.as_bytes()))
    };
    let mut world = World::new(&[("ipv4.tcp_congestion_control", "bbr")]);
    let fd = world.accepted();
    assert_eq!(name(&world, fd), "cubic");
    assert_eq!(set(&world, fd, "cubic"), Ok(()));
    assert_eq!(set(&world, fd, "reno"), Err(Errno::EOPNOTSUPP));
    assert_eq!(name(&world, fd), "cubic");
    let fd = world.socket();
    assert_eq!(set(&world, fd, "reno"), Ok(()));
    assert_eq!(name(&world, fd), "reno");
}

#[test]
fn a_greatest_segment_holds_both_ways_also_where_it_was_set_on_a_listener() {
    let mut world = World::new(&[]);
    let listener = world.listener();
    world.set(listener, SOL_TCP, libc::TCP_MAXSEG, 1100).unwrap();
    world.inject((SYN, 0, 0, 0), 20_000, TcpOptions { mss: Some(1300), ..TcpOptions::default() });
    assert_eq!(world.expect((SYN_ACK, 0, 1, 0)).options.mss, Some(1100));
    world.send((ACK, 1, 1, 0));
    let fd = world.accept(listener).unwrap();
    assert_eq!(world.get(fd, SOL_TCP, libc::TCP_MAXSEG), Ok(1100));
    world.write(fd, 2200).unwrap();
    world.expect((ACK, 1, 1, 1100));
    world.expect((PSH_ACK, 1101, 1, 1100));
}

#[test]
fn a_cork_holds_until_it_is_drawn() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.set(fd, SOL_TCP, libc::TCP_CORK, 1).unwrap();
    world.write(fd, 40).unwrap();
    world.sleep(50);
    world.write(fd, 40).unwrap();
    world.expect_quiet();
    world.set(fd, SOL_TCP, libc::TCP_CORK, 0).unwrap();
    world.expect((PSH_ACK, 1, 1, 80));
    world.send((ACK, 1, 81, 0));
    // What a cork holds TCP_NODELAY sends once, and holds the next.
    world.set(fd, SOL_TCP, libc::TCP_CORK, 1).unwrap();
    world.write(fd, 40).unwrap();
    world.set(fd, SOL_TCP, libc::TCP_NODELAY, 1).unwrap();
    world.expect((PSH_ACK, 81, 1, 40));
    world.write(fd, 40).unwrap();
    world.expect_quiet();
}

#[test]
fn more_to_come_is_waited_for() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    let more = Waiting { more: true, ..Waiting::default() };
    assert_eq!(write(&world.machine, fd, 100, more), Ok(100));
    world.expect_quiet();
    world.write(fd, 50).unwrap();
    world.expect((PSH_ACK, 1, 1, 150));
}

#[test]
fn lingering_for_no_time_resets() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    let zero = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
    world.machine.with(|sockets| sockets.set_option(fd, SOL_SOCKET, libc::SO_LINGER, &zero)).unwrap();
    world.close(fd);
    world.expect((RST | ACK, 1, 1, 0));
}

#[test]
fn lingering_waits_for_as_long_as_it_says() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    let two = [1i32.to_ne_bytes(), 2i32.to_ne_bytes()].concat();
    world.machine.with(|sockets| sockets.set_option(fd, SOL_SOCKET, libc::SO_LINGER, &two)).unwrap();
    world.write(fd, 10).unwrap();
    let began = world.now();
    world.close(fd);
    assert_eq!(world.now().since(began).as_millis(), 2000);
    world.expect((PSH_ACK, 1, 1, 10));
    world.expect((FIN_ACK, 11, 1, 0));
}

#[test]
fn keep_alive_probes_a_silent_peer() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    for (level, name, value) in [
        (SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (SOL_TCP, libc::TCP_KEEPIDLE, 5),
        (SOL_TCP, libc::TCP_KEEPINTVL, 2),
        (SOL_TCP, libc::TCP_KEEPCNT, 2),
    ] {
        world.set(fd, level, name, value).unwrap();
    }
    let began = world.now();
    for after in [5, 7] {
        let (at, line, _) = world.next().unwrap();
        assert_eq!((at.since(began).as_secs(), line), (after, (ACK, 0, 1, 0)));
    }
    assert!(world.next().is_none(), "given up without a word");
    assert_eq!(world.now().since(began).as_secs(), 9);
    assert_eq!(world.get(fd, SOL_SOCKET, libc::SO_ERROR), Ok(Errno::ETIMEDOUT.0));
}

#[test]
fn tcp_info_is_laid_out_as_linux_has_it() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.write(fd, 2500).unwrap();
    let bytes = world.machine.with(|sockets| sockets.option(fd, SOL_TCP, libc::TCP_INFO)).unwrap();
    assert_eq!(bytes.len(), info::LENGTH);
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(bytes[0], 1, "ESTABLISHED");
    assert_eq!((word(16), word(24), word(80)), (1000, 3, 10), "MSS, unacknowledged segments, cwnd");
    let long = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(
        (long(104), long(200), long(208)),
        (u64::MAX, 2500, 0),
        "not paced, bytes sent, and sent again"
    );
    assert_eq!(
        (word(136), word(140), word(192)),
        (3, 1, 1),
        "sent, received with the ACK of our SYN, delivered with that"
    );
    let listener = world.socket();
    world.machine.with(|sockets| sockets.listen(listener, 1)).unwrap();
    let bytes = world.machine.with(|sockets| sockets.option(listener, SOL_TCP, libc::TCP_INFO)).unwrap();
    assert_eq!((bytes[0], bytes.len()), (10, info::LENGTH));
}

#[test]
fn memory_is_told_in_nine_words() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.send((ACK, 1, 1, 30));
    world.write(fd, 70).unwrap();
    let bytes = world.machine.with(|sockets| sockets.option(fd, SOL_SOCKET, libc::SO_MEMINFO)).unwrap();
    let words: Vec<_> = bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
    assert_eq!((words.len(), words[0], words[5]), (9, 30, 70));
}

#[test]
fn how_much_is_left_is_told_with_what_is_read() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.set(fd, SOL_TCP, libc::TCP_INQ, 1).unwrap();
    world.send((ACK, 1, 1, 100));
    assert_eq!(world.read(fd, 40).unwrap().left, Some(60));
    world.send((FIN_ACK, 101, 1, 0));
    assert_eq!(world.read(fd, 60).unwrap().left, Some(1), "the end counts as one");
}

#[test]
fn lent_buffers_are_given_back_when_their_text_is_acknowledged() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    let lend = Waiting { lend: true, ..Waiting::default() };
    let returned = |world: &World| world.machine.with(|sockets| sockets.next_returned(fd));
    // Who has not said so lends nothing.
    assert_eq!(write(&world.machine, fd, 10, lend), Ok(10));
    world.send((ACK, 1, 11, 0));
    assert_eq!(returned(&world), Err(Errno::EAGAIN));
    world.set(fd, SOL_SOCKET, libc::SO_ZEROCOPY, 1).unwrap();
    world.set(fd, SOL_TCP, libc::TCP_NODELAY, 1).unwrap();
    for _ in 0..3 {
        assert_eq!(write(&world.machine, fd, 100, lend), Ok(100));
    }
    assert_eq!(write(&world.machine, fd, 0, lend), Ok(0));
    world.send((ACK, 1, 211, 0));
    assert_eq!(returned(&world), Ok((0, 1)), "calls that follow each other are told together");
    assert_eq!(returned(&world), Err(Errno::EAGAIN));
    world.send((ACK, 1, 310, 0));
    assert_eq!(returned(&world), Err(Errno::EAGAIN), "a byte is still out");
    // Of a connection that is over nothing is kept.
    world.send((RST, 1, 0, 0));
    assert_eq!(returned(&world), Ok((2, 2)));
}
