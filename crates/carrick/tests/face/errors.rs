//! Every way in which a call can fail, made to happen: the kind, and the number that the system's sockets would give.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, MemoryDevice, pair};
use carrick::device::{Capabilities, Device, Inbox, Meta, Packet};
use carrick::{KeepAlive, Stack, TcpListener, TcpSocket, TcpStream};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The kind, and on Linux the number.
#[track_caller]
fn check(error: &io::Error, kind: ErrorKind, number: i32) {
    assert_eq!(error.kind(), kind, "{error}");
    if cfg!(target_os = "linux") {
        assert_eq!(error.raw_os_error(), Some(number), "{error}");
        assert!(error.to_string().ends_with(&format!("(os error {number})")), "{error}");
    }
}

/// A link that can be cut, without either end noticing.
#[derive(Default)]
struct Cut(AtomicBool);

impl Fault for Cut {
    fn on_send(&self, _: &Packet<'_>) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(ErrorKind::NetworkDown.into()) } else { Ok(()) }
    }
}

async fn cuttable() -> (Connected, Arc<Cut>) {
    let (a, b) = pair(MemoryConfig::default());
    let cut = Arc::new(Cut::default());
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Faulty { device: b, fault: Arc::clone(&cut) }).build().unwrap();
    (connect(server, client).await, cut)
}

#[tokio::test(start_paused = true)]
async fn refused() {
    let (_server, client) = stacks(MemoryConfig::default());
    let error = within(1, TcpStream::connect(&client, SERVER)).await.unwrap_err();
    check(&error, ErrorKind::ConnectionRefused, 111);
}

#[tokio::test(start_paused = true)]
async fn reset() {
    let mut c = connected(MemoryConfig::default()).await;
    c.accepted.set_zero_linger().unwrap();
    drop(c.accepted);
    settle().await;
    check(&c.connected.read(&mut [0]).await.unwrap_err(), ErrorKind::ConnectionReset, 104);
    check(&c.connected.write(&[0]).await.unwrap_err(), ErrorKind::ConnectionReset, 104);
    check(&c.connected.closed().await.unwrap_err(), ErrorKind::ConnectionReset, 104);
    check(&c.connected.peek(&mut [0]).await.unwrap_err(), ErrorKind::ConnectionReset, 104);
    check(&c.connected.try_read(&mut [0]).unwrap_err(), ErrorKind::ConnectionReset, 104);
    check(&c.connected.try_write(&[0]).unwrap_err(), ErrorKind::ConnectionReset, 104);
    check(&c.connected.read_chunk(1).await.unwrap_err(), ErrorKind::ConnectionReset, 104);
    check(&c.connected.take_error().unwrap().unwrap(), ErrorKind::ConnectionReset, 104);
    check(&c.connected.tcp_info().unwrap_err(), ErrorKind::NotConnected, 107);
}

#[tokio::test(start_paused = true)]
async fn timed_out() {
    // A SYN that nobody answers.
    let (_server, client) = stacks(MemoryConfig::default());
    let error = within(300, TcpStream::connect(&client, "192.0.2.77:1")).await.unwrap_err();
    check(&error, ErrorKind::TimedOut, 110);
    // A SYN, with less patience.
    let socket = TcpSocket::new_v4(&client).unwrap();
    socket.set_user_timeout(Some(Duration::from_secs(2))).unwrap();
    let error = within(4, socket.connect(addr("192.0.2.77:1"))).await.unwrap_err();
    check(&error, ErrorKind::TimedOut, 110);
    // Text that nobody acknowledges: by the default, by the user timeout, by keep-alive without text.
    for patience in [1200, 5, 30] {
        let (mut c, cut) = cuttable().await;
        cut.0.store(true, Ordering::Relaxed);
        match patience {
            1200 => c.connected.write_all(b"anybody?").await.unwrap(),
            5 => {
                c.connected.set_user_timeout(Some(Duration::from_secs(4))).unwrap();
                c.connected.write_all(b"anybody?").await.unwrap();
            }
            _ => {
                let second = Duration::from_secs(1);
                let keep_alive = KeepAlive { idle: second * 10, interval: second * 5, retries: 3 };
                c.connected.set_keep_alive(Some(keep_alive)).unwrap();
            }
        }
        let began = tokio::time::Instant::now();
        let error = within(patience, c.connected.read(&mut [0])).await.unwrap_err();
        check(&error, ErrorKind::TimedOut, 110);
        assert!(began.elapsed() > Duration::from_secs(patience / 3), "{:?}", began.elapsed());
        check(&c.connected.write(b"x").await.unwrap_err(), ErrorKind::TimedOut, 110);
    }
}

/// A router that has no way to go: it answers each packet with an ICMP error of that code.
struct Unreachable {
    code: u8,
    answers: Mutex<(Vec<Vec<u8>>, Option<Waker>)>,
}

impl Device for Unreachable {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(1500)
    }
    fn description(&self) -> String {
        "no way".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let mut answers = self.answers.lock().unwrap();
        let Some(answer) = answers.0.pop() else {
            answers.1 = Some(cx.waker().clone());
            return Poll::Pending;
        };
        inbox.buffer()[..answer.len()].copy_from_slice(&answer);
        let _ = inbox.received(answer.len(), Meta::default());
        Poll::Ready(Ok(()))
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        let sum = |bytes: &[u8]| {
            let sum: u32 = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
            (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
        };
        let quote = &packet.header[..28];
        let mut icmp = vec![3, self.code, 0, 0, 0, 0, 0, 0];
        icmp.extend_from_slice(quote);
        let checksum = sum(&icmp);
        icmp[2..4].copy_from_slice(&checksum);
        let mut ip = vec![0x45, 0, 0, 20 + icmp.len() as u8, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 254];
        ip.extend_from_slice(&quote[12..16]);
        let checksum = sum(&ip);
        ip[10..12].copy_from_slice(&checksum);
        ip.append(&mut icmp);
        let mut answers = self.answers.lock().unwrap();
        answers.0.push(ip);
        answers.1.take().into_iter().for_each(Waker::wake);
        Ok(())
    }
    fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn unreachable() {
    // Net, host, port: the first two may pass, and are the reason given when the attempt has failed.
    let kinds = [
        (0, ErrorKind::NetworkUnreachable, 101),
        (1, ErrorKind::HostUnreachable, 113),
        (3, ErrorKind::ConnectionRefused, 111),
    ];
    for (code, kind, number) in kinds {
        let device = Unreachable { code, answers: Mutex::default() };
        let stack = builder(2).device(device).build().unwrap();
        let error = within(300, TcpStream::connect(&stack, "203.0.113.1:1")).await.unwrap_err();
        check(&error, kind, number);
    }
}

#[tokio::test(start_paused = true)]
async fn in_use_not_available_and_invalid() {
    let (server, client) = stacks(MemoryConfig::default());
    let _listener = TcpListener::bind(&server, SERVER).await.unwrap();
    check(&TcpListener::bind(&server, SERVER).await.unwrap_err(), ErrorKind::AddrInUse, 98);
    let error = TcpListener::bind(&server, "203.0.113.1:1").await.unwrap_err();
    check(&error, ErrorKind::AddrNotAvailable, 99);
    // No address of that family.
    let (a, _b) = pair(MemoryConfig::default());
    let v4 = Stack::builder().address("192.0.2.9/24".parse().unwrap()).device(a).build().unwrap();
    let error = TcpStream::connect(&v4, "[2001:db8::1]:1").await.unwrap_err();
    check(&error, ErrorKind::AddrNotAvailable, 99);
    for nowhere in ["192.0.2.1:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "192.0.2.255:1"] {
        let error = TcpStream::connect(&client, nowhere).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{nowhere}");
    }
    let none: &[std::net::SocketAddr] = &[];
    assert_eq!(TcpStream::connect(&client, none).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(TcpListener::bind(&client, none).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn broken_pipe() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.shutdown().await.unwrap();
    c.connected.shutdown().await.expect("once more is no error");
    check(&c.connected.write(b"x").await.unwrap_err(), ErrorKind::BrokenPipe, 32);
    check(&c.connected.try_write(b"x").unwrap_err(), ErrorKind::BrokenPipe, 32);
    // Reading goes on.
    c.accepted.write_all(b"y").await.unwrap();
    assert_eq!(within(1, c.connected.read(&mut [0; 9])).await.unwrap(), 1);
    // The peer lets go: what is written then is answered with a reset.
    let mut c = connected(MemoryConfig::default()).await;
    drop(c.accepted);
    settle().await;
    c.connected.write_all(b"too late").await.unwrap();
    settle().await;
    check(&c.connected.write(b"x").await.unwrap_err(), ErrorKind::ConnectionReset, 104);
}

/// What every call says when its stack is aborted, or shut down.
#[tokio::test(start_paused = true)]
async fn interrupted() {
    for abort in [true, false] {
        let mut c = connected(MemoryConfig::default()).await;
        let own = TcpListener::bind(&c.client, "192.0.2.2:9").await.unwrap();
        let client = c.client.clone();
        let connecting =
            tokio::spawn(async move { TcpStream::connect(&client, "192.0.2.77:1").await.map(drop) });
        let accepting = tokio::spawn(async move { own.accept().await.map(drop) });
        settle().await;
        let ending = if abort {
            c.client.abort();
            None
        } else {
            let client = c.client.clone();
            Some(tokio::spawn(async move { client.shutdown().await }))
        };
        settle().await;
        let kind = if abort { ErrorKind::ConnectionAborted } else { ErrorKind::BrokenPipe };
        let new = TcpStream::connect(&c.client, SERVER).await.unwrap_err();
        assert_eq!(new.kind(), kind);
        assert_eq!(TcpListener::bind(&c.client, "192.0.2.2:8").await.unwrap_err().kind(), kind);
        assert_eq!(within(1, accepting).await.unwrap().unwrap_err().kind(), kind);
        assert_eq!(c.connected.write(b"x").await.unwrap_err().kind(), kind);
        let ended = within(1, connecting).await.unwrap().unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::ConnectionAborted);
        if abort {
            assert_eq!(c.connected.read(&mut [0]).await.unwrap_err().kind(), kind);
            assert_eq!(new.to_string(), "the stack was aborted");
            let error = within(1, c.accepted.read(&mut [0])).await.unwrap_err();
            check(&error, ErrorKind::ConnectionReset, 104);
        } else {
            // As if it had been dropped: the peer reads the end, and so does this side when the peer closes.
            assert_eq!(within(1, c.accepted.read(&mut [0])).await.unwrap(), 0);
            drop(c.accepted);
            assert_eq!(within(1, c.connected.read(&mut [0])).await.unwrap(), 0);
            within(1, ending.unwrap()).await.unwrap();
            assert_eq!(c.connected.read(&mut [0]).await.unwrap(), 0, "an end that was seen stays");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_ends_is_named() {
    let (a, b): (MemoryDevice, MemoryDevice) = pair(MemoryConfig::default());
    let stack = builder(1).device(a).build().unwrap();
    drop(b);
    settle().await;
    let error = TcpStream::connect(&stack, "192.0.2.2:1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert!(error.to_string().starts_with("the stack's device failed: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_differs_from_linux() {
    let mut c = connected(MemoryConfig::default()).await;
    let peer = c.connected.local_addr().unwrap();
    c.connected.set_zero_linger().unwrap();
    drop(c.connected);
    settle().await;
    check(&c.accepted.read(&mut [0; 1]).await.unwrap_err(), ErrorKind::ConnectionReset, 104);
    c.accepted.shutdown().await.unwrap();
    assert_eq!(c.accepted.peer_addr().unwrap(), peer);

    let socket = TcpSocket::new_v4(&c.client).unwrap();
    let error = socket.bind(addr("[2001:db8::2]:80")).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, None));
    let error = socket.connect(addr("[2001:db8::1]:80")).await.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, None));

    // A listener on any address gets IPv4 as IPv4, and nobody connects to an address that maps it.
    let listener = TcpListener::bind(&c.server, "[::]:81").await.unwrap();
    let _stream = within(5, TcpStream::connect(&c.client, "192.0.2.1:81")).await.unwrap();
    assert!(within(5, listener.accept()).await.unwrap().1.is_ipv4());
    let error = within(5, TcpStream::connect(&c.client, "[::ffff:192.0.2.1]:81")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);

    // The attempt that is under way is ended; what comes later finds no stack.
    let mut connecting = Box::pin(TcpStream::connect(&c.client, "192.0.2.99:80"));
    assert!(poll_once(&mut connecting).await.is_pending());
    let mut shutdown = Box::pin(c.client.shutdown());
    let _closes = poll_once(&mut shutdown).await;
    check(&within(5, connecting).await.unwrap_err(), ErrorKind::ConnectionAborted, 103);
    let late = TcpStream::connect(&c.client, SERVER).await.unwrap_err();
    assert_eq!((late.kind(), late.raw_os_error()), (ErrorKind::BrokenPipe, None));
}
