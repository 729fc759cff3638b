//! Calls that wait, on a second thread, while the first lets packets arrive and time pass.

use crate::peer::{ACK, PSH_ACK, SYN, SYN_ACK, World, connect, read, write};
use carrick_core::Instant;
use carrick_packetdrill::errno::Errno;
use carrick_packetdrill::machine::Machine;
use carrick_packetdrill::sockets::Waiting;
use carrick_wire::TcpOptions;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};

/// Makes a call on a second thread, and gives what it said and when it ended, as the tool finds that out. The
/// call has begun to wait when this returns.
fn aside<T: Send + 'static>(
    world: &World,
    call: impl FnOnce(&Machine) -> T + Send + 'static,
) -> JoinHandle<(T, Instant)> {
    let machine = Arc::clone(&world.machine);
    let begins = Arc::new(Barrier::new(2));
    let begun = Arc::clone(&begins);
    let handle = thread::spawn(move || {
        begun.wait();
        let result = call(&machine);
        (result, machine.now())
    });
    begins.wait();
    while !world.machine.has_waiting() && !handle.is_finished() {
        thread::yield_now();
    }
    handle
}

#[test]
fn a_read_ends_when_text_arrives_however_far_time_goes_on() {
    for _ in 0..20 {
        let mut world = World::new(&[]);
        let fd = world.accepted();
        let reader = aside(&world, move |machine| read(machine, fd, 100, Waiting::default()));
        world.sleep(100);
        let arrives = world.now();
        world.send((PSH_ACK, 1, 1, 10));
        world.sleep(10_000);
        let (received, ended) = reader.join().unwrap();
        assert_eq!(received.unwrap().bytes.len(), 10);
        assert_eq!(ended, arrives);
    }
}

/// Seen: what the tool had to do with an accepted socket came now before, now after the next line of the script.
#[test]
fn time_goes_on_when_the_second_thread_has_noted_its_result() {
    let noted = Arc::new(AtomicU32::new(0));
    let noting = Arc::clone(&noted);
    let mut world = World::new(&[]);
    let fd = world.accepted();
    let begins = Arc::new(Barrier::new(2));
    let (begun, machine) = (Arc::clone(&begins), Arc::clone(&world.machine));
    let reader = thread::spawn(move || {
        begun.wait();
        assert_eq!(read(&machine, fd, 100, Waiting::default()).unwrap().bytes.len(), 10);
        machine.now();
        while noting.fetch_add(1, Ordering::Relaxed) < 10_000_000 {}
        thread::park();
    });
    begins.wait();
    while !world.machine.has_waiting() {
        thread::yield_now();
    }
    world.send((PSH_ACK, 1, 1, 10));
    world.sleep(1);
    assert!(noted.load(Ordering::Relaxed) > 10_000_000);
    reader.thread().unpark();
    reader.join().unwrap();
}

#[test]
fn a_connect_ends_with_the_handshake() {
    let mut world = World::new(&[]);
    let (fd, remote) = (world.socket(), world.remote);
    let connecting = aside(&world, move |machine| connect(machine, fd, remote));
    let syn = world.expect((SYN, 0, 0, 0));
    world.local.set_port(syn.src_port);
    world.sleep(30);
    let arrives = world.now();
    world.inject((SYN_ACK, 0, 1, 0), 5000, TcpOptions::default());
    world.sleep(1000);
    assert_eq!(connecting.join().unwrap(), (Ok(()), arrives));
}

#[test]
fn a_connect_that_nobody_answers_ends_when_the_timer_does() {
    let mut world = World::new(&[("ipv4.tcp_syn_retries", "1")]);
    let (fd, remote) = (world.socket(), world.remote);
    let connecting = aside(&world, move |machine| connect(machine, fd, remote));
    let began = world.now();
    world.sleep(60_000);
    let (result, ended) = connecting.join().unwrap();
    assert_eq!((result, ended.since(began).as_secs()), (Err(Errno::ETIMEDOUT), 3));
}

#[test]
fn a_write_waits_for_room() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    world.set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 5000).unwrap();
    let writing = aside(&world, move |machine| write(machine, fd, 40_000, Waiting::default()));
    let mut acknowledged = 1;
    while let Some((_, (_, seq, _, len), _)) = world.next() {
        acknowledged = acknowledged.max(seq + u32::try_from(len).unwrap());
        if seq + u32::try_from(len).unwrap() == 40_001 {
            break;
        }
        world.send((ACK, 1, acknowledged, 0));
    }
    let (written, _) = writing.join().unwrap();
    assert_eq!(written, Ok(40_000));
}

#[test]
fn a_time_limit_ends_a_read() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    let half: Vec<u8> = [0i64.to_ne_bytes(), 500_000i64.to_ne_bytes()].concat();
    let set =
        world.machine.with(|sockets| sockets.set_option(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &half));
    set.unwrap();
    let began = world.now();
    let reader = aside(&world, move |machine| read(machine, fd, 100, Waiting::default()));
    world.sleep(10_000);
    let (result, ended) = reader.join().unwrap();
    assert_eq!((result, ended.since(began).as_millis()), (Err(Errno::EAGAIN), 500));
    // On the main thread the same call lets the time pass itself.
    let began = world.now();
    assert_eq!(world.read(fd, 100), Err(Errno::EAGAIN));
    assert_eq!(world.now().since(began).as_millis(), 500);
}

#[test]
fn waiting_for_all_ends_with_all_or_the_end() {
    let mut world = World::new(&[]);
    let fd = world.accepted();
    let all = Waiting { all: true, ..Waiting::default() };
    let reader = aside(&world, move |machine| read(machine, fd, 20, all));
    world.send((ACK, 1, 1, 10));
    world.sleep(100);
    let arrives = world.now();
    world.send((ACK, 11, 1, 15));
    world.sleep(100);
    let (received, ended) = reader.join().unwrap();
    assert_eq!((received.unwrap().bytes.len(), ended), (20, arrives));
}
