//! A bad link on a clock that runs: packets come when they are due, and its timers survive what may happen to them.
#![cfg(feature = "sim")]
#![allow(missing_docs, reason = "tests")]

use carrick::device::impaired::{Bottleneck, LinkConfig, pair};
use carrick::device::memory::MemoryDevice;
use carrick::device::{Collected, Device, Packet};
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const MS: Duration = Duration::from_millis(1);

fn send(device: &impl Device, len: usize) {
    device.send(&Packet::new(&vec![7; len], &[], None)).unwrap();
}

/// Waits until something comes.
async fn receive(device: &impl Device, into: &mut Collected) {
    poll_fn(|cx| into.collect(|inbox| device.poll_recv(cx, inbox))).await.unwrap();
}

/// Looks once, so that the device has its timer running.
async fn nothing_yet(device: &impl Device) {
    let mut received = Collected::default();
    poll_fn(|cx| {
        assert!(received.collect(|inbox| device.poll_recv(cx, inbox)).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Lets others run until that is so.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Sends what arrives at intervals of 100 µs, until five arrive one by one within a millisecond. In that time there is one
/// tick of tokio's. A machine with much to do may need some attempts.
#[cfg(target_os = "linux")]
async fn one_by_one(from: &impl Device, to: &impl Device) {
    let began = Instant::now();
    loop {
        (0..50).for_each(|_| send(from, 1000));
        let (mut received, mut arrivals) = (Collected::default(), Vec::new());
        while received.frames.len() < 50 {
            receive(to, &mut received).await;
            arrivals.push(Instant::now());
        }
        if arrivals.windows(5).any(|five| five[4] - five[0] < MS) {
            return;
        }
        let times: Vec<_> = arrivals.iter().map(|&at| at - began).collect();
        assert!(began.elapsed() < Duration::from_secs(30), "{times:?}");
    }
}

/// Seen: on a path of 1 ms and 100 Mbit/s packets came eight at a time, and a round trip was three milliseconds.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn packets_that_are_due_one_by_one_come_one_by_one() {
    let rate = Bottleneck::new(80_000_000);
    let (left, right) = pair(&LinkConfig { bottleneck: Some(rate), ..LinkConfig::default() }, 1);
    one_by_one(&right, &left).await;
    one_by_one(&left, &right).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_they_do_where_threads_share_the_work() {
    let rate = Bottleneck::new(80_000_000);
    let (left, right) = pair(&LinkConfig { bottleneck: Some(rate), ..LinkConfig::default() }, 1);
    tokio::spawn(async move {
        one_by_one(&right, &left).await;
        one_by_one(&left, &right).await;
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn no_packet_is_early() {
    for micros in [50, 300, 999, 1000, 2345] {
        let delay = Duration::from_micros(micros);
        let (left, right) = pair(&LinkConfig::delayed(delay), 1);
        nothing_yet(&left).await;
        for _ in 0..5 {
            let (mut there, mut back) = (Collected::default(), Collected::default());
            let began = Instant::now();
            send(&left, 40);
            receive(&right, &mut there).await;
            assert!(began.elapsed() >= delay, "{:?} of {delay:?}", began.elapsed());
            let turned = Instant::now();
            send(&right, 40);
            receive(&left, &mut back).await;
            assert!(turned.elapsed() >= delay, "{:?} of {delay:?}", turned.elapsed());
        }
    }
}

/// A clock may be paused while a packet is under way. It still comes before what happens long after it.
#[tokio::test]
async fn a_clock_that_is_paused_meanwhile_moves_to_the_next_packet() {
    let (left, right) = pair(&LinkConfig::delayed(Duration::from_secs(20)), 1);
    let link = left.control();
    let began = tokio::time::Instant::now();
    send(&left, 40);
    send(&right, 40);
    nothing_yet(&left).await;
    until(|| link.inward().sent == 1).await;
    nothing_yet(&left).await;
    tokio::time::pause();
    let (mut there, mut back) = (Collected::default(), Collected::default());
    let both = async { tokio::join!(receive(&right, &mut there), receive(&left, &mut back)) };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("before it, on the paused clock");
    // What there was of real time, and how much later than the packet the clock's next stop may be.
    assert!(began.elapsed().as_millis().abs_diff(20_000) < 1000, "{:?}", began.elapsed());
}

fn runtime(with_io: bool) -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time();
    if with_io {
        builder.enable_io();
    }
    builder.build().unwrap()
}

/// Two packets each way, one after the other.
async fn to_and_fro(left: &impl Device, right: &MemoryDevice) {
    for _ in 0..2 {
        let (mut there, mut back) = (Collected::default(), Collected::default());
        send(left, 40);
        send(right, 40);
        tokio::join!(receive(right, &mut there), receive(left, &mut back));
    }
}

/// tokio panics where somebody waits for a descriptor in such a runtime; that is caught.
#[test]
fn a_runtime_without_io_will_do() {
    let (left, right) = pair(&LinkConfig::delayed(3 * MS), 1);
    runtime(false).block_on(to_and_fro(&left, &right));
}

#[test]
fn a_link_whose_runtime_is_no_more_is_read_in_another() {
    for (first, second) in [(true, true), (true, false), (false, true)] {
        for goes in [true, false] {
            let (left, right) = pair(&LinkConfig::delayed(50 * MS), 1);
            let link = left.control();
            let before = runtime(first);
            before.block_on(async {
                nothing_yet(&left).await;
                send(&right, 40);
                until(|| link.inward().sent == 1).await;
                nothing_yet(&left).await;
            });
            // Or nobody drives it.
            let kept = (!goes).then_some(before);
            runtime(second).block_on(receive(&left, &mut Collected::default()));
            drop((kept, right));
        }
    }
}

#[test]
fn a_device_that_has_ended_in_one_runtime_does_not_hold_another() {
    let (left, right) = pair(&LinkConfig::delayed(MS), 1);
    runtime(true).block_on(to_and_fro(&left, &right));
    // What carried the packets has ended with the runtime.
    let mut received = Collected::default();
    let end = runtime(true).block_on(poll_fn(|cx| received.collect(|inbox| left.poll_recv(cx, inbox))));
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}
