//! Load: web servers on carrick under `ab` and `wrk`, a client on carrick, and a thousand connections at once each way.
//!
//! No error, no stall: nothing without progress for a second. The same program serves on the kernel's loopback too, for
//! comparison; `--nocapture` shows the figures. `CARRICK_SOAK=1` asks ten times as often.

mod common;

use axum::serve::Listener;
use carrick::device::{Tun, TunBuilder};
use carrick::{Stack, TcpListener, TcpStream};
use carrick_examples::tls::Identity;
use carrick_examples::{link, pattern, web};
use common::{inside, is_set};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener as KernelListener, TcpSocket, TcpStream as KernelStream};
use tokio::process::Command;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

const LIMIT: Duration = Duration::from_secs(500);
const STALL: Duration = Duration::from_secs(1);
/// Connections at a time.
const WIDTH: usize = 64;
/// The kernel alone: its loopback.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// So many requests, or ten times as many.
fn requests(usually: usize) -> usize {
    if is_set("CARRICK_SOAK") { 10 * usually } else { usually }
}

/// carrick's stack, on the other side of a TUN interface from the kernel's.
fn stack() -> Stack {
    on(Tun::builder())
}

fn on(kind: TunBuilder) -> Stack {
    link::far(link::tun(kind).expect("a TUN interface")).expect("a stack")
}

/// The web server on both: on carrick's two addresses, and on the kernel's loopback.
async fn serve(stack: &Stack) {
    for address in [link::FAR_V4, link::FAR_V6] {
        let listener = TcpListener::bind(stack, (address, 80)).await.expect("a free port");
        tokio::spawn(web::serve(listener));
    }
    tokio::spawn(web::serve(KernelListener::bind(LOOPBACK).await.expect("a free port")));
}

/// Nothing is left of what went on, and nothing broke.
async fn all_gone(stack: &Stack) {
    let gone = async {
        while stack.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), gone)
        .await
        .unwrap_or_else(|_| panic!("{} connections are left", stack.connections()));
    let counters = stack.counters();
    assert_eq!((counters.internal_errors, counters.device_lost), (0, 0), "{counters:?}");
}

async fn run(mut command: Command) -> String {
    let output = command.kill_on_drop(true).stdin(Stdio::null()).output().await.expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

/// What a run has found.
struct Found {
    per_second: f64,
    /// How long the slowest answer took.
    longest: Duration,
}

/// Asks by `ab`; every request is answered in full.
async fn ab(count: usize, options: &[&str], server: &str) -> Found {
    let mut ab = Command::new("ab");
    ab.args(["-q", "-n", &count.to_string(), "-c", &WIDTH.to_string()]).args(options);
    ab.arg(format!("{server}/bytes/100"));
    let text = run(ab).await;
    let figure = |label: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label));
        let figure = line.and_then(|line| line.split_whitespace().next());
        figure.unwrap_or_else(|| panic!("no {label} in {text}")).parse::<f64>().expect("a number")
    };
    assert_eq!((figure("Complete requests:"), figure("Failed requests:")), (count as f64, 0.0), "{text}");
    assert_eq!(figure("HTML transferred:"), count as f64 * 100.0, "{text}");
    assert!(!text.contains("Non-2xx"), "{text}");
    if options.contains(&"-k") {
        assert_eq!(figure("Keep-Alive requests:"), count as f64, "{text}");
    }
    let longest = Duration::from_secs_f64(figure("100%") / 1000.0);
    Found { per_second: figure("Requests per second:"), longest }
}

/// Asks by `wrk` for a second; every request is answered well.
async fn wrk(server: &str) -> Found {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{WIDTH}"), "-d1s", &format!("{server}/bytes/100")]);
    let text = run(wrk).await;
    let figure = |label: &str, column: usize| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label));
        let figure = line.and_then(|line| line.split_whitespace().nth(column));
        figure.unwrap_or_else(|| panic!("no {label} in {text}"))
    };
    assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    let longest = figure("Latency", 2);
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let seconds = units.into_iter().find_map(|(unit, scale)| {
        longest.strip_suffix(unit)?.parse::<f64>().ok().map(|number| number * scale)
    });
    let longest = Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("stalled: {text}")));
    let per_second = figure("Requests/sec:", 0).parse().expect("a number");
    assert!(per_second > 0.0, "{text}");
    Found { per_second, longest }
}

/// Measures the kernel on its loopback, then carrick across the TUN, on a port 8,000 below.
///
/// No answer takes longer than a second, or twice the kernel's slowest where the machine has other things to do.
async fn compare(what: &str, scheme: &str, port: u16, measure: impl AsyncFn(&str) -> Found) {
    let kernel = measure(&format!("{scheme}://{}", SocketAddr::new(LOOPBACK.ip(), port + 8000))).await;
    let carrick = measure(&format!("{scheme}://{}", SocketAddr::new(link::FAR_V4, port))).await;
    println!(
        "{what}: {:.0}/s, at most {:?}; the kernel's loopback {:.0}/s, at most {:?}; ratio {:.2}",
        carrick.per_second,
        carrick.longest,
        kernel.per_second,
        kernel.longest,
        carrick.per_second / kernel.per_second
    );
    assert!(carrick.longest < STALL.max(2 * kernel.longest), "{what}: stalled");
}

#[test]
fn ab_with_64_connections() {
    inside("ab_with_64_connections", &["ab"], LIMIT, async {
        let stack = stack();
        serve(&stack).await;
        let count = requests(50_000);
        compare("kept alive", "http", 80, async |server| ab(count, &["-k"], server).await).await;
        compare("a connection each", "http", 80, async |server| ab(count, &[], server).await).await;
        all_gone(&stack).await;
    });
}

#[test]
fn ab_with_64_connections_in_small_packets() {
    inside("ab_with_64_connections_in_small_packets", &["ab"], LIMIT, async {
        let stack = on(Tun::builder().offload(false));
        serve(&stack).await;
        for address in [link::FAR_V4, link::FAR_V6] {
            let server = format!("http://{}", SocketAddr::new(address, 80));
            for options in [&["-k"][..], &[]] {
                assert!(ab(requests(5000), options, &server).await.longest < STALL, "{server} {options:?}");
            }
        }
        all_gone(&stack).await;
    });
}

#[test]
fn wrk_with_64_connections() {
    inside("wrk_with_64_connections", &["wrk"], LIMIT, async {
        let stack = stack();
        serve(&stack).await;
        compare("wrk", "http", 80, wrk).await;
        all_gone(&stack).await;
    });
}

#[test]
fn ab_under_tls() {
    inside("ab_under_tls", &["ab"], LIMIT, async {
        let (stack, identity) = (stack(), Identity::generate("carrick.test").expect("a certificate"));
        let acceptor = TlsAcceptor::from(identity.server(&[]).expect("settings"));
        let listener = TcpListener::bind(&stack, (link::FAR_V4, 443)).await.expect("a free port");
        tokio::spawn(serve_tls(listener, acceptor.clone()));
        let listener = KernelListener::bind((LOOPBACK.ip(), 8443)).await.expect("a free port");
        tokio::spawn(serve_tls(listener, acceptor));
        let kept = async |server: &str| ab(requests(20_000), &["-k"], server).await;
        compare("TLS, kept alive", "https", 443, kept).await;
        let each = async |server: &str| ab(requests(1000), &[], server).await;
        compare("TLS, a connection each", "https", 443, each).await;
        all_gone(&stack).await;
    });
}

async fn serve_tls(mut listener: impl Listener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // What goes wrong here, the client sees and says.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = TowerToHyperService::new(web::app());
            let http = auto::Builder::new(TokioExecutor::new());
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// One HTTP/1.1 connection, by hand.
struct Connection<S>(BufStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S) -> Self {
        Self(BufStream::new(stream))
    }

    /// A request and its answer's body, each step within a second.
    async fn ask(&mut self, request: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("{request} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
        soon(self.0.write_all(head.as_bytes())).await;
        for piece in body.chunks(16 << 10) {
            soon(self.0.write_all(piece)).await;
        }
        soon(self.0.flush()).await;
        let (mut line, mut length) = (String::new(), 0);
        soon(self.0.read_line(&mut line)).await;
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        while line != "\r\n" {
            line.clear();
            assert_ne!(soon(self.0.read_line(&mut line)).await, 0, "the head of an answer");
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim_end().parse().expect("a number");
            }
        }
        let mut answer = vec![0; length];
        soon(self.0.read_exact(&mut answer)).await;
        answer
    }
}

async fn soon<T>(step: impl Future<Output = io::Result<T>>) -> T {
    timeout(STALL, step).await.expect("progress within a second").expect("no error")
}

#[test]
fn a_client_with_64_connections() {
    inside("a_client_with_64_connections", &[], LIMIT, async {
        let stack = stack();
        let listener = KernelListener::bind((link::NEAR_V4, 80)).await.expect("a free port");
        tokio::spawn(web::serve(listener));
        for each in [1, 1000] {
            let (count, start) = (requests(50_000), Instant::now());
            let mut clients = JoinSet::new();
            for _ in 0..WIDTH {
                let stack = stack.clone();
                clients.spawn(async move {
                    for _ in 0..count.div_ceil(WIDTH * each) {
                        let stream =
                            TcpStream::connect(&stack, (link::NEAR_V4, 80)).await.expect("a connection");
                        let mut connection = Connection::new(stream);
                        for _ in 0..each {
                            assert_eq!(connection.ask("GET /bytes/100", &[]).await, pattern::from(0, 100));
                        }
                    }
                });
            }
            while let Some(done) = clients.join_next().await {
                done.expect("no error, no stall");
            }
            let rate = count as f64 / start.elapsed().as_secs_f64();
            println!("{each} requests on each connection: {rate:.0}/s from carrick to the kernel");
        }
        all_gone(&stack).await;
    });
}

#[test]
fn uploads_on_64_connections() {
    inside("uploads_on_64_connections", &[], LIMIT, async {
        let stack = stack();
        serve(&stack).await;
        let mut clients = JoinSet::new();
        for number in 0..WIDTH {
            clients.spawn(async move {
                let stream = KernelStream::connect((link::FAR_V4, 80)).await.expect("a connection");
                let mut connection = Connection::new(stream);
                for length in (number..).step_by(20_011).map(|length| length % 400_000).take(requests(20)) {
                    let mut body = Vec::new();
                    while body.len() < length {
                        let piece = pattern::from(body.len() as u64, (length - body.len()) as u64);
                        body.extend_from_slice(piece);
                    }
                    let answer = connection.ask("POST /upload", &body).await;
                    let expected = format!("{length} {}\n", pattern::digest(length as u64));
                    assert_eq!(String::from_utf8_lossy(&answer), expected);
                }
            });
        }
        while let Some(done) = clients.join_next().await {
            done.expect("no error, no stall, no difference");
        }
        all_gone(&stack).await;
    });
}

#[test]
fn a_thousand_connections_at_once() {
    inside("a_thousand_connections_at_once", &[], LIMIT, async {
        let mut files = getrlimit(Resource::Nofile);
        files.current = files.maximum;
        setrlimit(Resource::Nofile, files).expect("as many files as are permitted");
        let stack = stack();
        serve(&stack).await;
        thousand(|| KernelStream::connect((link::FAR_V4, 80))).await;
        all_gone(&stack).await;

        // More than the 128 that a listener of the kernel usually keeps until they are accepted, or it forgets some.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((link::NEAR_V4, 80).into()).expect("a free port");
        tokio::spawn(web::serve(socket.listen(1024).expect("a listener")));
        thousand(|| {
            let stack = stack.clone();
            async move { TcpStream::connect(&stack, (link::NEAR_V4, 80)).await }
        })
        .await;
        all_gone(&stack).await;
    });
}

/// Opens them all, asks on every one of them, 64 at a time, and closes none before the last has its answers.
async fn thousand<C, S>(connect: impl Fn() -> C)
where
    C: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    const COUNT: usize = 1000;
    let (all, turns) = (Arc::new(Barrier::new(COUNT)), Arc::new(Semaphore::new(WIDTH)));
    let mut clients = JoinSet::new();
    for _ in 0..COUNT {
        let (connecting, all, turns) = (connect(), Arc::clone(&all), Arc::clone(&turns));
        clients.spawn(async move {
            let mut connection = Connection::new(connecting.await.expect("a connection"));
            all.wait().await;
            for _ in 0..requests(10) {
                let _turn = turns.acquire().await;
                assert_eq!(connection.ask("GET /bytes/100", &[]).await, pattern::from(0, 100));
            }
            all.wait().await;
        });
    }
    while let Some(done) = clients.join_next().await {
        done.expect("no error, no stall");
    }
}
