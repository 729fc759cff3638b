//! The kernel's TCP behind a bad link, in real time.

mod common;

use carrick::TcpListener;
use carrick::device::impaired::{Impaired, LinkConfig};
use carrick::device::{Tun, TunBuilder};
use carrick_examples::meter::Tally;
use carrick_examples::{link, pattern};
use common::inside;
use std::time::Duration;
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
