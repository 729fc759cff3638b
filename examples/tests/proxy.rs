//! A proxy that dials before it answers, and what the kernel's TCP hears of it.

mod common;

use carrick::device::Tun;
use carrick_examples::{link, proxy};
use common::inside;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const LIMIT: Duration = Duration::from_secs(30);

/// How the target is reached, by its last number.
#[derive(Clone)]
struct Dial {
    dials: Arc<AtomicUsize>,
    /// For those that take their time.
    patience: Arc<Semaphore>,
    echo: u16,
}

const SLOW: u8 = 30;

impl Dial {
    async fn dial(self, target: SocketAddr) -> io::Result<TcpStream> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        let (host, local): (u8, IpAddr) = match target.ip() {
            IpAddr::V4(address) => (address.octets()[3], Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(address) => (address.octets()[15], Ipv6Addr::LOCALHOST.into()),
        };
        match host {
            20 => return Err(ErrorKind::HostUnreachable.into()),
            21 => return Err(ErrorKind::NetworkUnreachable.into()),
            22 => return Err(ErrorKind::PermissionDenied.into()),
            SLOW => self.patience.acquire().await.expect("not closed").forget(),
            _ => {}
        }
        // Port 7 is where the echo server really is; on others nobody listens.
        TcpStream::connect((local, if target.port() == 7 { self.echo } else { 9 })).await
    }
}

fn target(v6: bool, host: u8, port: u16) -> SocketAddr {
    let address: IpAddr = if v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, host.into()).into()
    } else {
        Ipv4Addr::new(203, 0, 113, host).into()
    };
    SocketAddr::new(address, port)
}

async fn start() -> (Dial, carrick::Stack) {
    let [v4, v6] = ["203.0.113.1/24", "2001:db8:9::1/64"].map(|text| text.parse().expect("an address"));
    let tun = link::tun(Tun::builder().host(v4).host(v6)).expect("a TUN interface");
    let (stack, requests) = proxy::gateway(tun).expect("a stack");
    let echo = TcpListener::bind("[::]:0").await.expect("a port");
    let port = echo.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    let dial = Dial { dials: Arc::default(), patience: Arc::new(Semaphore::new(0)), echo: port };
    let dialler = dial.clone();
    tokio::spawn(proxy::serve(requests, move |target| dialler.clone().dial(target)));
    (dial, stack)
}

/// Says something, ends its direction, and hears the echo to its end.
async fn exchange(mut stream: TcpStream) {
    stream.write_all(b"through the proxy").await.expect("no error");
    stream.shutdown().await.expect("no error");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("no error");
    assert_eq!(text, "through the proxy");
}

#[test]
fn who_asks_for_a_dead_target_is_refused() {
    inside("who_asks_for_a_dead_target_is_refused", &[], LIMIT, async {
        let (dial, stack) = start().await;
        for v6 in [false, true] {
            exchange(TcpStream::connect(target(v6, 7, 7)).await.expect("a connection")).await;
            let error = async |host, port| {
                TcpStream::connect(target(v6, host, port)).await.expect_err("it is dead").raw_os_error()
            };
            let [refused, host, network, denied] = [111, 113, 101, 13];
            assert_eq!(error(7, 9).await, Some(refused));
            assert_eq!(error(20, 7).await, Some(host));
            assert_eq!(error(21, 7).await, Some(network));
            // Of "administratively prohibited" the kernel makes two things.
            assert_eq!(error(22, 7).await, Some(if v6 { denied } else { host }));
        }
        assert_eq!(dial.dials.load(Ordering::SeqCst), 10);
        stack.shutdown().await;
    });
}

#[test]
fn slow_targets_keep_nobody_else_waiting() {
    inside("slow_targets_keep_nobody_else_waiting", &[], LIMIT, async {
        const SLOW_ONES: usize = 200;
        let (dial, stack) = start().await;
        let mut slow = JoinSet::new();
        for n in 0..SLOW_ONES {
            slow.spawn(async move {
                let stream = TcpStream::connect(target(n % 2 == 0, SLOW, 7)).await.expect("a connection");
                exchange(stream).await;
            });
        }
        while dial.dials.load(Ordering::SeqCst) < SLOW_ONES {
            tokio::task::yield_now().await;
        }
        assert!(slow.try_join_next().is_none(), "nobody is connected before the target is");
        exchange(TcpStream::connect(target(false, 7, 7)).await.expect("a connection")).await;
        dial.patience.add_permits(SLOW_ONES);
        while let Some(done) = slow.join_next().await {
            done.expect("an exchange");
        }
        stack.shutdown().await;
    });
}
