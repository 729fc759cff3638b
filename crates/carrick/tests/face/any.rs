//! Listeners on any address and any port.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{ListenAddr, Stack, TcpListener, TcpSocket, TcpStream};
use std::io::ErrorKind;
use std::num::NonZeroU16;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn gateway() -> (Stack, Stack) {
    let (a, b) = pair(MemoryConfig::default());
    (builder(1).any_address(true).device(a).build().unwrap(), builder(2).device(b).build().unwrap())
}

fn listen(stack: &Stack, address: Option<&str>, port: u16) -> TcpListener {
    let address = address.map(|text| text.parse().unwrap());
    TcpListener::bind_any(stack, ListenAddr { address, port: NonZeroU16::new(port) }).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_original_destination_is_the_local_address() {
    let (server, client) = gateway();
    let listener = listen(&server, None, 0);
    assert_eq!(listener.local_addr().unwrap(), addr("0.0.0.0:0"));
    for target in ["203.0.113.7:443", "192.0.2.1:22", "[2001:db8:9::1]:53"] {
        let (accepted, connected) =
            within(5, async { tokio::join!(listener.accept(), TcpStream::connect(&client, target)) }).await;
        let ((mut accepted, peer), mut connected) = (accepted.unwrap(), connected.unwrap());
        assert_eq!(accepted.local_addr().unwrap(), addr(target));
        assert_eq!(peer, connected.local_addr().unwrap());
        accepted.write_all(b"hi").await.unwrap();
        within(1, connected.read_exact(&mut [0; 2])).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_most_exact_listener_gets_it() {
    let (server, client) = gateway();
    let listeners = [
        (listen(&server, Some("192.0.2.1"), 80), "192.0.2.1:80"),
        (listen(&server, Some("192.0.2.1"), 0), "192.0.2.1:81"),
        (listen(&server, None, 80), "203.0.113.1:80"),
        (listen(&server, None, 0), "203.0.113.1:81"),
    ];
    for (listener, target) in &listeners {
        let _stream = within(5, TcpStream::connect(&client, target)).await.unwrap();
        let (accepted, _) = within(1, listener.accept()).await.unwrap();
        assert_eq!(accepted.local_addr().unwrap(), addr(target));
    }
    let taken = TcpListener::bind_any(&server, ListenAddr { address: None, port: None }).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

#[tokio::test(start_paused = true)]
async fn without_the_switch_any_is_any_of_ones_own() {
    let (server, client) = stacks(MemoryConfig::default());
    let elsewhere = ListenAddr { address: Some([203, 0, 113, 1].into()), port: None };
    let error = TcpListener::bind_any(&server, elsewhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    let listener = listen(&server, None, 0);
    let connecting = TcpSocket::new_v4(&client).unwrap();
    connecting.set_user_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let error = within(9, connecting.connect(addr("203.0.113.1:1"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let _stream = within(5, TcpStream::connect(&client, "192.0.2.1:777")).await.unwrap();
    assert_eq!(within(1, listener.accept()).await.unwrap().0.local_addr().unwrap(), addr("192.0.2.1:777"));
}
