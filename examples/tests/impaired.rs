//! The kernel's TCP behind a bad link, in real time.

mod common;

use carrick::TcpListener;
use carrick::device::impaired::{Bottleneck, Impaired, LinkConfig, PathMtu, QueueLimit};
use carrick::device::{Tun, TunBuilder};
use carrick_examples::meter::Tally;
use carrick_examples::{link, pattern};
use common::inside;
use std::time::Duration;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MEBIBYTE: u64 = 1 << 20;
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_kernel_behind_a_bad_link() {
    inside("the_kernel_behind_a_bad_link", &[], LIMIT, bulk_each_way(Tun::builder()));
}

#[test]
fn the_kernel_behind_a_bad_link_in_small_packets() {
    let plain = Tun::builder().offload(false);
    inside("the_kernel_behind_a_bad_link_in_small_packets", &[], LIMIT, bulk_each_way(plain));
}

/// A mebibyte each way at once over each family, 20 ms away, with some of everything.
async fn bulk_each_way(kind: TunBuilder) {
    let bad = LinkConfig {
        loss: 10_000,
        duplicate: 5_000,
        reorder: 5_000,
        reorder_by: Duration::from_millis(5),
        corrupt: 5_000,
        ..LinkConfig::delayed(Duration::from_millis(20))
    };
    let device = Impaired::new(link::tun(kind).expect("a TUN interface"), &bad, 7);
    let control = device.control();
    let stack = link::far(device).expect("a stack");
    let family = |address| {
        let stack = &stack;
        async move {
            let listener = TcpListener::bind(stack, (address, 7)).await.expect("a free port");
            let connecting = tokio::net::TcpStream::connect((address, 7));
            let (near, far) = tokio::join!(connecting, listener.accept());
            let (near, far) = (near.expect("a connection"), far.expect("a connection").0);
            // None where a SYN,ACK was lost: nobody knows which one was answered.
            let rtt = far.tcp_info().expect("open").rtt;
            assert!(rtt.is_none_or(|rtt| rtt >= Duration::from_millis(40)), "{rtt:?}");
            tokio::join!(exchange(near.into_split()), exchange(far.into_split()));
        }
    };
    tokio::join!(family(link::FAR_V4), family(link::FAR_V6));
    stack.shutdown().await;
    for way in [control.outward(), control.inward()] {
        // Acknowledgments besides.
        assert!(way.sent > 2 * MEBIBYTE / 1448, "{control:?}");
        assert!(way.lost > 0 && way.duplicated > 0 && way.corrupted > 0 && way.dropped == 0, "{control:?}");
    }
}

/// Sends and receives a mebibyte of the pattern at once.
async fn exchange((mut from, mut to): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin)) {
    let sending = async {
        let mut sent = 0;
        while sent < MEBIBYTE {
            let piece = pattern::from(sent, MEBIBYTE - sent);
            to.write_all(piece).await.expect("no error");
            sent += piece.len() as u64;
        }
        to.shutdown().await.expect("no error");
    };
    let receiving = async {
        let mut tally = Tally::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match from.read(&mut buffer).await.expect("no error") {
                0 => return tally,
                length => tally.take(&buffer[..length]),
            }
        }
    };
    let (received, ()) = tokio::join!(receiving, sending);
    assert_eq!((received.bytes(), received.digest()), (MEBIBYTE, pattern::digest(MEBIBYTE)));
}

#[test]
fn the_kernel_behind_a_bottleneck() {
    inside("the_kernel_behind_a_bottleneck", &[], LIMIT, one_way_and_the_other());
}

/// A second's worth of bytes each way, one after the other, over 20 Mbit/s, 20 ms and an MTU of which a router tells.
async fn one_way_and_the_other() {
    const RATE: u64 = 20_000_000;
    const LEN: u64 = RATE / 8;
    // Room for all that may be under way: whose recovery is better is not what this is about.
    let queue = QueueLimit::Bytes(LEN as usize);
    let path = LinkConfig {
        bottleneck: Some(Bottleneck { queue, ..Bottleneck::new(RATE) }),
        mtu: Some(PathMtu::told(1400)),
        ..LinkConfig::delayed(Duration::from_millis(10))
    };
    let device = Impaired::new(link::tun(Tun::builder()).expect("a TUN interface"), &path, 7);
    let control = device.control();
    let stack = link::far(device).expect("a stack");
    let listener = TcpListener::bind(&stack, (link::FAR_V4, 7)).await.expect("a free port");
    let connecting = tokio::net::TcpStream::connect((link::FAR_V4, 7));
    let (near, far) = tokio::join!(connecting, listener.accept());
    let (near, far) = (near.expect("a connection"), far.expect("a connection").0);
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let to_carrick = timed(&mut near_write, &mut far_read, LEN).await;
    let to_kernel = timed(&mut far_write, &mut near_read, LEN).await;
    for took in [to_carrick, to_kernel] {
        // Headers of 52 bytes for 1,348 of text, and some for the beginning; a busy machine takes longer.
        let share = LEN as f64 * 8.0 / RATE as f64 / took.as_secs_f64();
        assert!((0.6..1348.0 / 1400.0).contains(&share), "{share} of the rate, {control:?}");
    }
    for way in [control.outward(), control.inward()] {
        assert!(way.too_big > 0 && way.gone() == way.too_big, "{control:?}");
        assert!(way.longest_wait > Duration::from_millis(5), "{control:?}");
    }
}

/// How long it takes to send that much.
async fn timed(
    to: &mut (impl AsyncWrite + Unpin),
    from: &mut (impl AsyncRead + Unpin),
    len: u64,
) -> Duration {
    let began = Instant::now();
    let sending = async {
        let mut sent = 0;
        while sent < len {
            let piece = pattern::from(sent, len - sent);
            to.write_all(piece).await.expect("no error");
            sent += piece.len() as u64;
        }
    };
    let receiving = async {
        let mut tally = Tally::default();
        let mut buffer = vec![0; 64 << 10];
        while tally.bytes() < len {
            let length = from.read(&mut buffer).await.expect("no error");
            assert!(length > 0, "the end too soon");
            tally.take(&buffer[..length]);
        }
        assert_eq!(tally.digest(), pattern::digest(len));
    };
    tokio::join!(sending, receiving);
    began.elapsed()
}
