//! Sockets before they connect or listen: what is bound, what is set.

use crate::common::*;
use carrick::congestion::{Acked, Controller, Instant, NewReno};
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{ConnectionConfig, KeepAlive, TcpListener, TcpSocket, TcpStream};
use std::io::ErrorKind;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_bound_port_is_nobody_elses() {
    let (server, client) = stacks(MemoryConfig::default());
    let bind = |at: &str| {
        let socket = TcpSocket::new_v4(&server).unwrap();
        socket.bind(addr(at)).map(|()| socket)
    };
    let first = bind("192.0.2.1:80").unwrap();
    assert_eq!(first.local_addr().unwrap(), addr("192.0.2.1:80"));
    assert_eq!(bind("192.0.2.1:80").unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(TcpListener::bind(&server, SERVER).await.unwrap_err().kind(), ErrorKind::AddrInUse);
    // What is dropped is free; what listens is not.
    drop(first);
    let listener = bind("192.0.2.1:80").unwrap().listen(8).unwrap();
    assert_eq!(bind("192.0.2.1:80").unwrap_err().kind(), ErrorKind::AddrInUse);
    let _stream = within(5, TcpStream::connect(&client, SERVER)).await.unwrap();
    within(1, listener.accept()).await.unwrap();
    drop(listener);
    // The connections that are left are nobody's hindrance.
    bind("192.0.2.1:80").unwrap().listen(8).unwrap();

    // Any port, and each only once.
    let (a, b) = (bind("0.0.0.0:0").unwrap(), bind("0.0.0.0:0").unwrap());
    let (a, b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
    assert!(a.port() >= 1024 && b.port() >= 1024 && a != b);
    let unbound = TcpSocket::new_v6(&server).unwrap();
    assert_eq!(unbound.local_addr().unwrap(), addr("[::]:0"));
    assert!(unbound.listen(1).unwrap().local_addr().unwrap().port() >= 1024);
}

#[tokio::test(start_paused = true)]
async fn the_port_of_a_live_connection_is_not_handed_out() {
    let (server, client) = stacks(MemoryConfig::default());
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    let mut streams = Vec::new();
    for at in ["0.0.0.0:0", "192.0.2.2:0"].repeat(10) {
        let socket = TcpSocket::new_v4(&client).unwrap();
        socket.bind(addr(at)).unwrap();
        let bound = socket.local_addr().unwrap().port();
        let stream = within(5, socket.connect(addr(SERVER))).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().port(), bound);
        streams.push((stream, within(5, listener.accept()).await.unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_share_an_address_get_ports_of_their_own() {
    let (server, _client) = stacks(MemoryConfig::default());
    let bind = || {
        let socket = TcpSocket::new_v4(&server).unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr("0.0.0.0:0")).unwrap();
        socket
    };
    let (a, b) = (bind(), bind());
    assert_ne!(a.local_addr().unwrap(), b.local_addr().unwrap());
    // A port that is named can be shared still.
    let c = TcpSocket::new_v4(&server).unwrap();
    c.set_reuseaddr(true).unwrap();
    c.bind(a.local_addr().unwrap()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_bound() {
    let (server, client) = stacks(MemoryConfig::default());
    let v4 = TcpSocket::new_v4(&server).unwrap();
    assert_eq!(v4.bind(addr("[2001:db8::1]:80")).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(v4.bind(addr("203.0.113.1:80")).unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    v4.bind(addr("192.0.2.1:80")).unwrap();
    assert_eq!(v4.bind(addr("192.0.2.1:81")).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(v4.connect(addr("[2001:db8::2]:80")).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let again = TcpSocket::new_v4(&server).unwrap();
    again.bind(addr("192.0.2.1:80")).expect("the one that failed has given it back");
    client.abort();
    let late = TcpSocket::new_v4(&client).unwrap();
    assert_eq!(late.bind(addr("192.0.2.2:1")).unwrap_err().kind(), ErrorKind::ConnectionAborted);
}

#[tokio::test(start_paused = true)]
async fn one_port_for_connections_to_several_peers() {
    let (server, client) = stacks(MemoryConfig::default());
    let one = TcpListener::bind(&server, "192.0.2.1:81").await.unwrap();
    let two = TcpListener::bind(&server, "192.0.2.1:82").await.unwrap();
    let bind = || {
        let socket = TcpSocket::new_v4(&client).unwrap();
        assert!(!socket.reuseaddr().unwrap());
        socket.set_reuseaddr(true).unwrap();
        assert!(socket.reuseaddr().unwrap());
        socket.bind(addr("192.0.2.2:5000")).unwrap();
        socket
    };
    let (a, b, listening, late) = (bind(), bind(), bind(), bind());
    let selfish = TcpSocket::new_v4(&client).unwrap();
    assert_eq!(selfish.bind(addr("192.0.2.2:5000")).unwrap_err().kind(), ErrorKind::AddrInUse);
    let _a = within(5, a.connect(addr("192.0.2.1:81"))).await.unwrap();
    let _b = within(5, b.connect(addr("192.0.2.1:82"))).await.unwrap();
    for listener in [&one, &two] {
        assert_eq!(within(1, listener.accept()).await.unwrap().1, addr("192.0.2.2:5000"));
    }
    let _listener = listening.listen(8).unwrap();
    // The same pair once more.
    let error = late.connect(addr("192.0.2.1:81")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let other = TcpSocket::new_v4(&client).unwrap();
    assert_eq!(other.set_reuseport(true).unwrap_err().kind(), ErrorKind::Unsupported);
    other.set_reuseport(false).unwrap();
    assert!(!other.reuseport().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_set_holds_for_the_connection_and_for_all_that_are_accepted() {
    let (server, client) = stacks(MemoryConfig::default());
    let keep_alive = KeepAlive { idle: Duration::from_secs(10), ..KeepAlive::default() };
    let set = |socket: TcpSocket| {
        assert!(!socket.keepalive().unwrap() && !socket.nodelay().unwrap());
        socket.set_keepalive(true).unwrap();
        assert_eq!(socket.keep_alive().unwrap(), Some(KeepAlive::default()));
        socket.set_keep_alive(Some(keep_alive)).unwrap();
        socket.set_keepalive(true).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_zero_linger().unwrap();
        socket.set_ttl(9).unwrap();
        socket.set_tos_v4(0xbb).unwrap();
        socket.set_user_timeout(Some(Duration::from_secs(77))).unwrap();
        socket.set_notsent_lowat(Some(5000)).unwrap();
        socket.set_congestion(Some(Box::new(NewReno::default()))).unwrap();
        socket.set_send_buffer_size(100_000).unwrap();
        socket.set_recv_buffer_size(20_000).unwrap();
        assert_eq!(socket.set_ttl(0).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(socket.set_tos(256).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!((socket.tos().unwrap(), socket.tclass_v6().unwrap()), (0xb8, 0xb8));
        assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
        assert_eq!(
            (socket.user_timeout().unwrap(), socket.notsent_lowat().unwrap()),
            (Some(Duration::from_secs(77)), Some(5000))
        );
        assert!(socket.take_error().unwrap().is_none() && socket.keepalive().unwrap());
        socket
    };
    let listening = set(TcpSocket::new_v4(&server).unwrap());
    listening.bind(addr(SERVER)).unwrap();
    let listener = listening.listen(8).unwrap();
    assert_eq!(listener.ttl().unwrap(), 9);
    let connecting = set(TcpSocket::new_v4(&client).unwrap());
    let (accepted, connected) = tokio::join!(listener.accept(), connecting.connect(addr(SERVER)));
    let streams = [accepted.unwrap().0, connected.unwrap()];
    for stream in &streams {
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.keep_alive().unwrap(), Some(keep_alive));
        assert_eq!(stream.linger().unwrap(), Some(Duration::ZERO));
        assert_eq!((stream.ttl().unwrap(), stream.tos().unwrap()), (9, 0xb8));
        assert_eq!(stream.user_timeout().unwrap(), Some(Duration::from_secs(77)));
        assert_eq!(stream.notsent_lowat().unwrap(), Some(5000));
        assert_eq!(stream.tcp_info().unwrap().receive_window, 20_000);
    }
    // Nobody reads: what the peer's window takes, and then what may be unsent.
    let mut written = 0;
    let mut turned_away = 0;
    while turned_away < 3 {
        match streams[0].try_write(&[1; 3000]) {
            Ok(n) => (written, turned_away) = (written + n, 0),
            Err(_) => {
                turned_away += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    assert_eq!(written, 25_001, "the window, a byte that probes it, and what may be unsent");
}

#[tokio::test(start_paused = true)]
async fn buffers_are_as_large_as_asked_for_within_reason() {
    let (server, _client) = stacks(MemoryConfig::default());
    let socket = TcpSocket::new_v4(&server).unwrap();
    for (size, becomes) in [(0, 2048), (1 << 20, 1 << 20), (u32::MAX, (1 << 30) - 1)] {
        socket.set_recv_buffer_size(size).unwrap();
        socket.set_send_buffer_size(size).unwrap();
        assert_eq!(socket.recv_buffer_size().unwrap(), becomes);
        assert_eq!(socket.send_buffer_size().unwrap(), becomes);
    }
    socket.set_user_timeout(Some(Duration::ZERO)).unwrap();
    assert_eq!(socket.user_timeout().unwrap(), None);
    let mut config = socket.connection_config();
    assert_eq!(config.send_buffer, (1 << 30) - 1);
    config.nodelay = true;
    socket.set_connection_config(config);
    assert!(socket.nodelay().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_listeners_ttl_is_for_connections_to_come() {
    let c = connected(MemoryConfig::default()).await;
    assert_eq!(c.listener.ttl().unwrap(), 64);
    c.listener.set_ttl(5).unwrap();
    assert_eq!(c.listener.ttl().unwrap(), 5);
    assert_eq!(c.listener.set_ttl(300).unwrap_err().kind(), ErrorKind::InvalidInput);
    let (second, _other) = tokio::join!(c.listener.accept(), TcpStream::connect(&c.client, SERVER));
    assert_eq!((c.accepted.ttl().unwrap(), second.unwrap().0.ttl().unwrap()), (64, 5));
    let _closed = poll_once(&mut Box::pin(c.server.shutdown())).await;
    assert_eq!(c.listener.ttl().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_one() {
    let (server, client) = stacks(MemoryConfig::default());
    let socket = TcpSocket::new_v4(&server).unwrap();
    socket.bind(addr(SERVER)).unwrap();
    let listener = socket.listen(0).unwrap();
    let first = within(5, TcpStream::connect(&client, SERVER)).await.unwrap();
    let mut second = Box::pin(TcpStream::connect(&client, SERVER));
    assert!(poll_once(&mut second).await.is_pending());
    settle().await;
    let accepted = within(1, listener.accept()).await.unwrap();
    assert_eq!(accepted.1, first.local_addr().unwrap());
    within(60, second).await.unwrap();
}

/// Three segments, whatever happens.
#[derive(Clone, Debug, Default)]
struct Three(u32);

impl Controller for Three {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
    fn window(&self) -> u32 {
        self.0 * 3
    }
    fn on_start(&mut self, mss: u32) {
        self.0 = mss;
    }
    fn on_ack(&mut self, _: Acked) {}
    fn on_loss(&mut self, _: Instant, _: u32) {}
    fn on_timeout(&mut self, _: Instant, _: u32, _: bool) {}
    fn digest(&self, _: &mut dyn std::hash::Hasher) {}
}

/// A controller is chosen for a stack, for a listener's connections or for one socket, and each has a copy.
#[tokio::test(start_paused = true)]
async fn a_controller_for_a_stack_a_listener_and_a_socket() {
    let (a, b) = pair(MemoryConfig::default());
    let three = || Some(Box::new(Three::default()) as Box<dyn Controller>);
    let server = builder(1).device(a).build().unwrap();
    let config = ConnectionConfig { congestion: three(), ..ConnectionConfig::default() };
    let client = builder(2).connection_config(config).device(b).build().unwrap();
    let window = |stream: &TcpStream| stream.tcp_info().unwrap().congestion_window / 1448;

    let plain = TcpListener::bind(&server, SERVER).await.unwrap();
    let (accepted, connected) = tokio::join!(plain.accept(), TcpStream::connect(&client, SERVER));
    assert_eq!([window(&accepted.unwrap().0), window(&connected.unwrap())], [10, 3], "the stack's");

    let socket = TcpSocket::new_v4(&server).unwrap();
    socket.set_congestion(three()).unwrap();
    socket.bind(addr("192.0.2.1:81")).unwrap();
    let chosen = socket.listen(8).unwrap();
    let socket = TcpSocket::new_v4(&client).unwrap();
    assert_eq!(socket.connection_config().congestion.map(|three| three.window()), Some(0));
    socket.set_congestion(None).unwrap();
    let (accepted, connected) = tokio::join!(chosen.accept(), socket.connect(addr("192.0.2.1:81")));
    assert_eq!([window(&accepted.unwrap().0), window(&connected.unwrap())], [3, 10], "the sockets'");
}

#[tokio::test(start_paused = true)]
async fn a_congestion_controller_of_ones_own() {
    let (server, client) = stacks(MemoryConfig::default());
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    let socket = TcpSocket::new_v4(&client).unwrap();
    socket.set_congestion(Some(Box::new(Three::default()))).unwrap();
    let mut stream = within(1, socket.connect(addr(SERVER))).await.unwrap();
    let (mut accepted, _) = within(1, listener.accept()).await.unwrap();
    let reading = tokio::spawn(async move { read_pattern(&mut accepted).await.unwrap() });
    write_pattern(&mut stream, 200_000).await.unwrap();
    let info = stream.tcp_info().unwrap();
    assert_eq!((info.congestion_window, info.slow_start_threshold), (3 * 1448, None));
    drop(stream);
    assert_eq!(within(60, reading).await.unwrap(), 200_000);
}
