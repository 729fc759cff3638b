//! T-ASY-12: a defect of our own, planted, inside one connection.

use crate::device::memory::{MemoryConfig, pair};
use crate::{Stack, TcpListener, TcpStream};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn stacks() -> (Stack, Stack) {
    let (a, b) = pair(MemoryConfig::default());
    let server = Stack::builder().address("192.0.2.1/24".parse().unwrap()).device(a).build().unwrap();
    let client = Stack::builder().address("192.0.2.2/24".parse().unwrap()).device(b).build().unwrap();
    (server, client)
}

/// A panic that the device task runs into (`by_packet`), or the application's own call.
async fn contained(by_packet: bool) {
    let (server, client) = stacks();
    let listener = TcpListener::bind(&server, "192.0.2.1:80").await.unwrap();
    let (accepted, broken) = tokio::join!(listener.accept(), TcpStream::connect(&client, "192.0.2.1:80"));
    let (mut accepted, mut broken) = (accepted.unwrap().0, broken.unwrap());
    let (other, second) = tokio::join!(listener.accept(), TcpStream::connect(&client, "192.0.2.1:80"));
    let (mut other, mut second) = (other.unwrap().0, second.unwrap());
    accepted.write_all(b"something to hold").await.unwrap();
    settle().await;
    assert!(client.memory_used() > 0);

    broken.plant_panic();
    if by_packet {
        accepted.write_all(b"the packet that breaks it").await.unwrap();
        settle().await;
    } else {
        let _ = broken.write(b"the write that breaks it").await;
    }
    for _ in 0..2 {
        assert_eq!(broken.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(broken.write(b"x").await.unwrap_err().kind(), ErrorKind::Other);
    }
    assert_eq!(broken.shutdown().await.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(broken.closed().await.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(broken.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(client.counters().internal_errors, 1);
    assert_eq!((client.connections(), client.memory_used()), (1, 0), "its state is thrown away");

    // The peer learns of it with its next segment; everybody else goes on.
    accepted.write_all(b"anybody there?").await.unwrap();
    settle().await;
    assert_eq!(accepted.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    second.write_all(b"fine").await.unwrap();
    let mut buf = [0; 4];
    other.read_exact(&mut buf).await.unwrap();
    drop((broken, second, other, accepted));
    client.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn t_asy_12_a_panic_on_a_packet_is_contained() {
    contained(true).await;
    carrick_covers::covers!("T-ASY-12");
}

#[tokio::test(start_paused = true)]
async fn t_asy_12_a_panic_in_a_call_is_contained() {
    contained(false).await;
}

#[tokio::test(start_paused = true)]
async fn t_asy_12_a_waiting_reader_is_told() {
    let (server, client) = stacks();
    let listener = TcpListener::bind(&server, "192.0.2.1:80").await.unwrap();
    let (accepted, broken) = tokio::join!(listener.accept(), TcpStream::connect(&client, "192.0.2.1:80"));
    let (mut accepted, mut broken) = (accepted.unwrap().0, broken.unwrap());
    broken.plant_panic();
    let writing = async {
        settle().await;
        accepted.write_all(b"x").await.unwrap();
    };
    let (read, ()) = {
        let mut byte = [0];
        tokio::join!(async move { broken.read(&mut byte).await }, writing)
    };
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Other);
    carrick_covers::covers!("T-ASY-12");
}
