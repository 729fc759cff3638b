//! What people run on top of tokio's streams, on carrick's, with the kernel on the other side of a TUN interface: hyper,
//! axum, TLS, codecs, gRPC.
//!
//! A stall is no progress for a second while there is something to move.

mod common;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path};
use axum::http::{Request, Response, StatusCode, Version};
use axum::routing::get;
use axum::serve::{Listener, ListenerExt};
use bytes::Bytes;
use carrick::device::Tun;
use carrick::{HttpConnector, HttpInfo, Stack, TcpIncoming, TcpListener, TcpStream};
use carrick_examples::meter::Tally;
use carrick_examples::tls::Identity;
use carrick_examples::{link, pattern, web};
use common::inside;
use futures_util::{Sink, SinkExt, Stream, StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{
    Connect, HttpConnector as KernelConnector, HttpInfo as KernelInfo,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener as KernelListener, TcpStream as KernelStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Told;
use tonic_health::pb::health_client::HealthClient;

const LIMIT: Duration = Duration::from_secs(60);
const STALL: Duration = Duration::from_secs(1);
const MEBIBYTE: u64 = 1 << 20;
const LARGE: u64 = 16 * MEBIBYTE;
/// Both families' addresses of the kernel and of carrick.
const FAMILIES: [(IpAddr, IpAddr); 2] = [(link::NEAR_V4, link::FAR_V4), (link::NEAR_V6, link::FAR_V6)];
const NAME: &str = "carrick.test";
const ALPN: [&str; 2] = ["h2", "http/1.1"];

/// carrick's stack, on the other side of a TUN interface from the kernel's.
fn stack() -> Stack {
    link::far(link::tun(Tun::builder()).expect("a TUN interface")).expect("a stack")
}

/// Who listens.
#[derive(Clone, Copy, Debug)]
enum Side {
    Kernel,
    Carrick,
}

/// Something is done within a second.
async fn soon<T>(what: &str, done: impl Future<Output = T>) -> T {
    timeout(STALL, done).await.unwrap_or_else(|_| panic!("stalled: {what}"))
}

/// Every connection is gone, none left hanging.
async fn all_gone(stack: &Stack) {
    let gone = async {
        while stack.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.expect("connections that nobody holds");
}

// HTTP.

/// The examples' web server, and bodies of unknown length.
fn app() -> Router {
    web::app().route("/chunks/{count}", get(async |Path(count): Path<u64>| chunked(count)))
}

/// So many bytes of the pattern, in pieces and without saying how many.
fn chunked(count: u64) -> Body {
    Body::from_stream(stream::unfold(0, move |offset| async move {
        let piece = (offset < count).then(|| pattern::from(offset, (count - offset).min(10_007)))?;
        Some((Ok::<_, io::Error>(piece), offset + piece.len() as u64))
    }))
}

/// So many bytes of the pattern, and their number.
fn sized(count: u64) -> Body {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < count {
        bytes.extend_from_slice(pattern::from(bytes.len() as u64, count - bytes.len() as u64));
    }
    Body::from(bytes)
}

/// hyper's server as hyper's documentation has it, for either version of HTTP.
async fn serve_hyper(mut listener: impl Listener) {
    loop {
        let (stream, _) = listener.accept().await;
        tokio::spawn(serve_connection(stream));
    }
}

async fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = TowerToHyperService::new(app());
    let http = auto::Builder::new(TokioExecutor::new());
    // Clients that break off are an error here.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// A response's length and digest, its end within a second from the last byte.
async fn receive(response: Response<hyper::body::Incoming>) -> (u64, String) {
    assert_eq!(response.status(), StatusCode::OK);
    let (mut body, mut tally) = (response.into_body(), Tally::default());
    while let Some(frame) = soon("a body", body.frame()).await {
        if let Ok(data) = frame.expect("a whole body").into_data() {
            tally.take(&data);
        }
    }
    (tally.bytes(), tally.digest())
}

fn request(base: &str, path: &str, body: Option<Body>) -> Request<Body> {
    let method = if body.is_some() { "POST" } else { "GET" };
    let request = Request::builder().method(method).uri(format!("{base}{path}"));
    request.body(body.unwrap_or_default()).expect("a request")
}

/// A pooled client talks to a server that serves `app`: many small requests, large ones, broken ones.
///
/// `local` says which connection a response came over, `version` what both should have agreed on.
async fn talk<C>(
    client: Client<C, Body>,
    base: &str,
    version: Version,
    local: fn(&Response<hyper::body::Incoming>) -> SocketAddr,
) where
    C: Connect + Clone + Send + Sync + 'static,
{
    let mut connections = BTreeSet::new();
    for length in 0..50 {
        let response = soon("a request", client.request(request(base, &format!("/bytes/{length}"), None)));
        let response = response.await.expect("an answer");
        assert_eq!(response.version(), version);
        connections.insert(local(&response));
        assert_eq!(receive(response).await.0, length);
    }
    // The pool may not have a connection back yet when the next request comes.
    assert!(connections.len() < 10, "{connections:?}");

    let mut together = JoinSet::new();
    for _ in 0..64 {
        let (client, request) = (client.clone(), request(base, "/bytes/100000", None));
        together.spawn(async move { receive(client.request(request).await.expect("an answer")).await });
    }
    while let Some(done) = together.join_next().await {
        assert_eq!(done.expect("no panic"), (100_000, pattern::digest(100_000)));
    }

    let whole = (LARGE, pattern::digest(LARGE));
    let down = async |path: &str| {
        let response = client.request(request(base, &format!("{path}/{LARGE}"), None)).await;
        assert_eq!(receive(response.expect("an answer")).await, whole);
    };
    let up = async |body| {
        let response = client.request(request(base, "/upload", Some(body))).await.expect("an answer");
        let answer = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(answer, format!("{LARGE} {}\n", whole.1));
    };
    tokio::join!(down("/bytes"), up(sized(LARGE)), down("/chunks"), up(chunked(LARGE)));

    // A client that has enough, and one whose own body fails.
    let response = client.request(request(base, &format!("/bytes/{}", 1_u64 << 40), None)).await;
    let mut body = response.expect("an answer").into_body();
    soon("a body", body.frame()).await.expect("a piece").expect("a piece");
    drop(body);
    let pieces = (0..100).map(|_| Ok(Bytes::from_static(&[7; 10_000])));
    let broken = stream::iter(pieces.chain([Err(io::Error::other("broken"))]));
    let response = client.request(request(base, "/upload", Some(Body::from_stream(broken)))).await;
    let answer = response.map(|response| response.status());
    // HTTP/2 has a word for it, and the server may get to answer.
    assert!(!matches!(answer, Ok(StatusCode::OK)), "{answer:?}");

    let last = client.request(request(base, "/bytes/10", None)).await.expect("an answer");
    assert_eq!(receive(last).await.0, 10);
}

fn ours(response: &Response<hyper::body::Incoming>) -> SocketAddr {
    response.extensions().get::<HttpInfo>().expect("the connector tells").local_addr()
}

fn kernels(response: &Response<hyper::body::Incoming>) -> SocketAddr {
    response.extensions().get::<KernelInfo>().expect("the connector tells").local_addr()
}

fn base(scheme: &str, server: SocketAddr) -> String {
    format!("{scheme}://{server}")
}

fn pool<C: Connect + Clone + Send + Sync + 'static>(connector: C, version: Version) -> Client<C, Body> {
    Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build(connector)
}

#[test]
fn hyper_client_asks_axum_on_the_kernel() {
    inside("hyper_client_asks_axum_on_the_kernel", &[], LIMIT, async {
        let stack = stack();
        for (near, _) in FAMILIES {
            let listener = KernelListener::bind((near, 0)).await.expect("a port");
            let base = base("http", listener.local_addr().expect("bound"));
            tokio::spawn(async { axum::serve(listener, app()).await });
            talk(pool(HttpConnector::new(&stack), Version::HTTP_11), &base, Version::HTTP_11, ours).await;
            all_gone(&stack).await;
        }
    });
}

#[test]
fn hyper_client_asks_hyper_on_the_kernel_by_http_2() {
    inside("hyper_client_asks_hyper_on_the_kernel_by_http_2", &[], LIMIT, async {
        let stack = stack();
        for (near, _) in FAMILIES {
            let listener = KernelListener::bind((near, 0)).await.expect("a port");
            let base = base("http", listener.local_addr().expect("bound"));
            tokio::spawn(serve_hyper(listener));
            let mut connector = HttpConnector::new(&stack);
            connector.set_nodelay(true);
            talk(pool(connector, Version::HTTP_2), &base, Version::HTTP_2, ours).await;
            all_gone(&stack).await;
        }
    });
}

#[test]
fn hyper_client_on_the_kernel_asks_axum() {
    inside("hyper_client_on_the_kernel_asks_axum", &[], LIMIT, async {
        let stack = stack();
        for (_, far) in FAMILIES {
            let listener = TcpListener::bind(&stack, (far, 80)).await.expect("a port");
            tokio::spawn(async { axum::serve(listener, app()).await });
            let client = pool(KernelConnector::new(), Version::HTTP_11);
            talk(client, &base("http", (far, 80).into()), Version::HTTP_11, kernels).await;
            all_gone(&stack).await;
        }
    });
}

#[test]
fn hyper_client_on_the_kernel_asks_hyper() {
    inside("hyper_client_on_the_kernel_asks_hyper", &[], LIMIT, async {
        let stack = stack();
        for (_, far) in FAMILIES {
            let listener = TcpListener::bind(&stack, (far, 80)).await.expect("a port");
            tokio::spawn(serve_hyper(listener));
            for version in [Version::HTTP_11, Version::HTTP_2] {
                let client = pool(KernelConnector::new(), version);
                talk(client, &base("http", (far, 80).into()), version, kernels).await;
                all_gone(&stack).await;
            }
        }
    });
}

#[test]
fn axum_tells_handlers_who_asks() {
    inside("axum_tells_handlers_who_asks", &[], LIMIT, async {
        let stack = stack();
        let tell = async |ConnectInfo(info): ConnectInfo<HttpInfo>| {
            format!("{} {}", info.remote_addr(), info.local_addr())
        };
        let app = Router::new().route("/", get(tell)).into_make_service_with_connect_info::<HttpInfo>();
        let plain = TcpListener::bind(&stack, (link::FAR_V4, 80)).await.expect("a port");
        let tapped = TcpListener::bind(&stack, (link::FAR_V4, 81)).await.expect("a port");
        tokio::spawn({
            let app = app.clone();
            async { axum::serve(plain, app).await }
        });
        let tapped = tapped.tap_io(|stream| stream.set_nodelay(true).expect("it can be set"));
        tokio::spawn(async { axum::serve(tapped, app).await });
        for port in [80, 81] {
            let server = SocketAddr::new(link::FAR_V4, port);
            let client = pool(KernelConnector::new(), Version::HTTP_11);
            let response =
                client.request(request(&base("http", server), "/", None)).await.expect("an answer");
            let local = kernels(&response);
            let answer = response.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(answer, format!("{local} {server}"));
        }
    });
}

// TLS.

trait Io: AsyncRead + AsyncWrite + Unpin + Send + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Debug> Io for T {}

/// A connection between the two sides, the server's end first.
async fn connection(stack: &Stack, listens: Side) -> (Box<dyn Io>, Box<dyn Io>) {
    match listens {
        Side::Carrick => {
            let listener = TcpListener::bind(stack, (link::FAR_V4, 7)).await.expect("a port");
            let client = KernelStream::connect((link::FAR_V4, 7)).await.expect("a connection");
            (Box::new(listener.accept().await.expect("a connection").0), Box::new(client))
        }
        Side::Kernel => {
            let listener = KernelListener::bind((link::NEAR_V4, 0)).await.expect("a port");
            let to = listener.local_addr().expect("bound");
            let client = TcpStream::connect(stack, to).await.expect("a connection");
            (Box::new(listener.accept().await.expect("a connection").0), Box::new(client))
        }
    }
}

async fn serve_tls(mut listener: impl Listener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await;
        let acceptor = acceptor.clone();
        tokio::spawn(
            async move { serve_connection(acceptor.accept(stream).await.expect("a handshake")).await },
        );
    }
}

#[test]
fn hyper_client_asks_the_kernel_under_tls() {
    inside("hyper_client_asks_the_kernel_under_tls", &[], LIMIT, async {
        let (stack, identity) = (stack(), Identity::generate(NAME).expect("a certificate"));
        let listener = KernelListener::bind((link::NEAR_V4, 0)).await.expect("a port");
        let base = base("https", listener.local_addr().expect("bound"));
        tokio::spawn(serve_tls(listener, TlsAcceptor::from(identity.server(&ALPN).expect("settings"))));
        let mut connector = HttpConnector::new(&stack);
        connector.enforce_http(false);
        let tls = || {
            let config = Arc::unwrap_or_clone(identity.client(&[]).expect("settings"));
            let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
            builder.with_server_name_resolver(FixedServerNameResolver::new(identity.name()))
        };
        let older = tls().enable_http1().wrap_connector(connector.clone());
        talk(pool(older, Version::HTTP_11), &base, Version::HTTP_11, ours).await;
        // Agreed on by ALPN, not known beforehand.
        let either = tls().enable_all_versions().wrap_connector(connector);
        talk(pool(either, Version::HTTP_11), &base, Version::HTTP_2, ours).await;
        all_gone(&stack).await;
    });
}

#[test]
fn curl_asks_under_tls() {
    inside("curl_asks_under_tls", &["curl"], LIMIT, async {
        let (stack, identity) = (stack(), Identity::generate(NAME).expect("a certificate"));
        let trusted = std::env::temp_dir().join(format!("carrick-{}.pem", std::process::id()));
        std::fs::write(&trusted, identity.pem()).expect("a file for the certificate");
        let fetched = trusted.with_extension("bytes");
        let acceptor = TlsAcceptor::from(identity.server(&ALPN).expect("settings"));
        for (_, far) in FAMILIES {
            let listener = TcpListener::bind(&stack, (far, 443)).await.expect("a port");
            tokio::spawn(serve_tls(listener, acceptor.clone()));
            for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
                let curl = || {
                    let mut curl = Command::new("curl");
                    curl.args([
                        "--silent",
                        "--show-error",
                        "--fail",
                        "--speed-limit",
                        "1",
                        "--speed-time",
                        "1",
                    ]);
                    curl.arg("--cacert").arg(&trusted).args([
                        "--resolve",
                        &format!("{NAME}:443:{far}"),
                        option,
                    ]);
                    curl.kill_on_drop(true).stdin(Stdio::null());
                    curl
                };
                let (mut down, mut up) = (curl(), curl());
                down.args(["--write-out", "%{http_version}", "--output"]).arg(&fetched);
                assert_eq!(
                    successful(down.arg(format!("https://{NAME}/bytes/{LARGE}")).output().await),
                    version
                );
                up.arg("--upload-file").arg(&fetched).arg(format!("https://{NAME}/upload"));
                assert_eq!(successful(up.output().await), format!("{LARGE} {}\n", pattern::digest(LARGE)));
            }
        }
        std::fs::remove_file(fetched).expect("the file");
        std::fs::remove_file(trusted).expect("the file");
        all_gone(&stack).await;
    });
}

fn successful(output: io::Result<std::process::Output>) -> String {
    let output = output.expect("it starts");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_end_of_tls_is_told_from_being_cut_off() {
    inside("the_end_of_tls_is_told_from_being_cut_off", &[], LIMIT, async {
        let (stack, identity) = (stack(), Identity::generate(NAME).expect("a certificate"));
        let acceptor = TlsAcceptor::from(identity.server(&[]).expect("settings"));
        let connector = TlsConnector::from(identity.client(&[]).expect("settings"));
        for listens in [Side::Kernel, Side::Carrick] {
            for (properly, server_speaks) in [(true, true), (true, false), (false, true), (false, false)] {
                let (accepted, connected) = connection(&stack, listens).await;
                let (accepted, connected) =
                    tokio::join!(acceptor.accept(accepted), connector.connect(identity.name(), connected));
                let mut ends: [Box<dyn Io>; 2] =
                    [Box::new(accepted.expect("a handshake")), Box::new(connected.expect("a handshake"))];
                if server_speaks {
                    ends.reverse();
                }
                let [mut listens, mut speaks] = ends;
                // Behind the tickets that a server sends: dropped with those unread, a stream is reset.
                listens.write_all(b"hello").await.expect("a write");
                listens.flush().await.expect("a write");
                speaks.read_exact(&mut [0; 5]).await.expect("a greeting");
                speaks.write_all(b"goodbye").await.expect("a write");
                speaks.flush().await.expect("a write");
                if properly {
                    speaks.shutdown().await.expect("an end");
                }
                drop(speaks);
                let mut heard = Vec::new();
                let end = soon("the end", listens.read_to_end(&mut heard)).await;
                assert_eq!(heard, b"goodbye");
                match properly {
                    true => assert_eq!(end.expect("a proper end"), heard.len()),
                    false => assert_eq!(end.expect_err("cut off").kind(), io::ErrorKind::UnexpectedEof),
                }
            }
        }
        all_gone(&stack).await;
    });
}

// Codecs.

/// Around the sizes of segments, chunks and buffers, headers of frames counted or not.
fn lengths() -> Vec<usize> {
    let edges =
        [0_usize, 512, 1220, 1440, 1448, 1460, 2048, 4096, 8192, 16_384, 32_768, 65_483, 65_535, 1 << 20];
    edges.into_iter().flat_map(|edge| edge.saturating_sub(5)..=edge + 5).collect()
}

/// Sends every frame, has it echoed, compares.
async fn echo<C, I, O, E>((server, client): (Box<dyn Io>, Box<dyn Io>), codec: fn() -> C, frames: Vec<I>)
where
    Framed<Box<dyn Io>, C>: Stream<Item = Result<O, E>> + Sink<I, Error = E>,
    I: Clone,
    O: PartialEq<I> + Into<I>,
    E: Debug,
{
    let (to, from) = Framed::new(server, codec()).split();
    let echoing = from.map_ok(Into::into).forward(to);
    let (mut to, mut from) = Framed::new(client, codec()).split();
    let sending = async {
        for frame in &frames {
            to.feed(frame.clone()).await.expect("a frame");
        }
        to.close().await.expect("an end");
    };
    let receiving = async {
        for (number, frame) in frames.iter().enumerate() {
            let echoed = soon("a frame", from.next()).await.expect("a frame").expect("a frame");
            assert!(echoed == *frame, "frame {number} has changed");
        }
        assert!(soon("the end", from.next()).await.is_none());
    };
    let (echoed, (), ()) = tokio::join!(echoing, sending, receiving);
    echoed.expect("every frame");
}

#[test]
fn codecs_frame_every_length() {
    inside("codecs_frame_every_length", &[], LIMIT, async {
        let stack = stack();
        let bytes = |length: usize| {
            let whole = (0..length).map(|at| pattern::from(at as u64, 1)[0]);
            whole.collect::<Bytes>()
        };
        let text = |length: usize| {
            (0..length).map(|at| char::from(b'a' + pattern::from(at as u64, 1)[0] % 26)).collect::<String>()
        };
        for listens in [Side::Kernel, Side::Carrick] {
            let frames: Vec<Bytes> = lengths().into_iter().map(bytes).collect();
            echo(connection(&stack, listens).await, LengthDelimitedCodec::new, frames).await;
            let lines: Vec<String> = lengths().into_iter().map(text).collect();
            echo(connection(&stack, listens).await, LinesCodec::new, lines).await;
        }
        all_gone(&stack).await;
    });
}

// gRPC.

/// A health service that says who asks, and the handle that changes what it says.
macro_rules! health {
    ($remote:expr) => {{
        let (reporter, service) = tonic_health::server::health_reporter();
        let check = move |request: tonic::Request<()>| {
            assert_eq!(request.remote_addr().expect("a connection's address").ip(), $remote);
            Ok(request)
        };
        (reporter, InterceptedService::new(service, check))
    }};
}

/// Asks once, many at once, and watches for a while.
async fn ask(channel: Channel, reporter: tonic_health::server::HealthReporter) {
    let client = HealthClient::new(channel);
    let mut together = JoinSet::new();
    for number in 0..100 {
        let service = format!("service {number}");
        reporter.set_service_status(&service, ServingStatus::Serving).await;
        let mut client = client.clone();
        together.spawn(async move { client.check(HealthCheckRequest { service }).await });
    }
    while let Some(answer) = together.join_next().await {
        assert_eq!(answer.expect("no panic").expect("an answer").into_inner().status(), Told::Serving);
    }
    let request = HealthCheckRequest { service: "service 1".into() };
    let mut watch = client.clone().watch(request).await.expect("an answer").into_inner();
    for (now, next) in [
        (Told::Serving, ServingStatus::NotServing),
        (Told::NotServing, ServingStatus::Unknown),
        (Told::Unknown, ServingStatus::Serving),
    ] {
        let told = soon("what is watched", watch.message()).await.expect("a message").expect("a message");
        assert_eq!(told.status(), now);
        reporter.set_service_status("service 1", next).await;
    }
    let unknown = HealthCheckRequest { service: "no such".into() };
    let error = client.clone().check(unknown).await.expect_err("there is none");
    assert_eq!(error.code(), tonic::Code::NotFound);
}

#[test]
fn tonic_client_asks_the_kernel() {
    inside("tonic_client_asks_the_kernel", &[], LIMIT, async {
        let stack = stack();
        let listener = KernelListener::bind((link::NEAR_V4, 0)).await.expect("a port");
        let server = base("http", listener.local_addr().expect("bound"));
        let (reporter, service) = health!(link::FAR_V4);
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        let endpoint = Endpoint::try_from(server).expect("an address");
        let mut connector = HttpConnector::new(&stack);
        connector.set_nodelay(true);
        let channel = endpoint.connect_with_connector(connector).await.expect("a connection");
        ask(channel, reporter).await;
        all_gone(&stack).await;
    });
}

#[test]
fn tonic_client_on_the_kernel_asks() {
    inside("tonic_client_on_the_kernel_asks", &[], LIMIT, async {
        let stack = stack();
        let listener = TcpListener::bind(&stack, (link::FAR_V4, 50051)).await.expect("a port");
        let (reporter, service) = health!(link::NEAR_V4);
        let server = tokio::spawn(
            Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)),
        );
        let endpoint = Endpoint::try_from(base("http", (link::FAR_V4, 50051).into())).expect("an address");
        ask(endpoint.connect().await.expect("a connection"), reporter).await;
        all_gone(&stack).await;
        stack.abort();
        // The stream of connections ends, and the server with it.
        soon("the server's end", server).await.expect("no panic").expect("an end");
    });
}
