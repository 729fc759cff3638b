//! Programs written for `tokio::net` and moved to carrick: what changed is what the guide says, and they do the same.

mod common;

use carrick::device::Tun;
use carrick_examples::link;
use carrick_examples::moving;
use common::inside;
use similar::{ChangeTag, TextDiff};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: Duration = Duration::from_secs(60);
const GUIDE: &str = include_str!("../../crates/carrick/guides/moving.md");

/// The lines that differ: imports, and then those of each place together.
fn changes(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut places = vec![Vec::new()];
    for ops in diff.grouped_ops(0) {
        let changes = ops.iter().flat_map(|op| diff.iter_changes(op));
        let (imports, others): (Vec<_>, Vec<_>) =
            changes.partition(|change| change.value().starts_with("use "));
        places[0].extend(imports);
        places.push(others);
    }
    // What goes before what comes instead, wherever it is sorted in.
    places[0].sort_by_key(|change| change.tag() == ChangeTag::Insert);
    let sign = |tag| if tag == ChangeTag::Delete { '-' } else { '+' };
    let texts = places.into_iter().filter(|place| !place.is_empty()).map(|place| {
        place.iter().map(|change| format!("{}{}", sign(change.tag()), change.value())).collect::<String>()
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_guide_shows_what_changed() {
    for (before, after) in [
        (include_str!("../src/moving/tokio/http.rs"), include_str!("../src/moving/carrick/http.rs")),
        (include_str!("../src/moving/tokio/chat.rs"), include_str!("../src/moving/carrick/chat.rs")),
        (include_str!("../src/moving/tokio/proxy.rs"), include_str!("../src/moving/carrick/proxy.rs")),
    ] {
        let changes = format!("```diff\n{}```\n", changes(before, after));
        assert!(GUIDE.contains(&changes), "the guide is to show:\n{changes}");
    }
}

/// Polls what serves for ever, beside clients that end.
async fn beside(serving: impl Future<Output = io::Result<()>>, clients: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        ended = serving => panic!("{ended:?}"),
        () = clients => {}
    }
}

/// The same clients for both: the program on the kernel's sockets, and on a stack across a TUN interface.
fn both<B, A, C>(
    test: &str,
    before: impl FnOnce(SocketAddr) -> B,
    after: impl FnOnce(carrick::Stack, SocketAddr) -> A,
    clients: impl Fn(SocketAddr) -> C,
) where
    B: Future<Output = io::Result<()>>,
    A: Future<Output = io::Result<()>>,
    C: Future<Output = ()>,
{
    inside(test, &[], LIMIT, async {
        let tun = link::tun(Tun::builder()).expect("a TUN interface");
        let near = SocketAddr::new(link::NEAR_V4, 8000);
        beside(before(near), clients(near)).await;
        let stack = link::far(tun).expect("a stack");
        let far = SocketAddr::new(link::FAR_V4, 8000);
        beside(after(stack.clone(), far), clients(far)).await;
        stack.shutdown().await;
    });
}

#[test]
fn an_http_server_with_keep_alive() {
    both(
        "an_http_server_with_keep_alive",
        moving::tokio::http::serve,
        |stack, address| async move { moving::carrick::http::serve(&stack, address).await },
        async |server| {
            let mut stream = TcpStream::connect(server).await.expect("a connection");
            let me = stream.local_addr().expect("connected");
            for path in ["/one", "/two", "/three"] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: carrick.example\r\n\r\n");
                stream.write_all(request.as_bytes()).await.expect("a request");
                let expected = format!("\r\n\r\n{me} asked for {path}\n");
                let mut answer = String::new();
                while !answer.ends_with(&expected) {
                    let mut piece = [0; 512];
                    let n = stream.read(&mut piece).await.expect("an answer");
                    assert_ne!(n, 0, "the connection is kept; so far: {answer}");
                    answer.push_str(std::str::from_utf8(&piece[..n]).expect("a text"));
                }
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            }
        },
    );
}

struct Person {
    hears: Lines<BufReader<OwnedReadHalf>>,
    says: OwnedWriteHalf,
    name: SocketAddr,
}

impl Person {
    async fn join(room: SocketAddr) -> Self {
        let stream = TcpStream::connect(room).await.expect("a connection");
        let name = stream.local_addr().expect("connected");
        let (from, says) = stream.into_split();
        Self { hears: BufReader::new(from).lines(), says, name }
    }

    async fn say(&mut self, line: &str) {
        self.says.write_all(format!("{line}\n").as_bytes()).await.expect("room");
    }

    async fn hear(&mut self) -> Option<String> {
        self.hears.next_line().await.expect("no error")
    }
}

#[test]
fn a_chat() {
    both(
        "a_chat",
        moving::tokio::chat::serve,
        |stack, address| async move { moving::carrick::chat::serve(&stack, address).await },
        async |room| {
            let mut ann = Person::join(room).await;
            let mut bob = Person::join(room).await;
            // Whom Ann hears came after her, and is in the room.
            bob.say("is anybody there?").await;
            assert_eq!(ann.hear().await, Some(format!("{}: is anybody there?", bob.name)));
            ann.say("so there you are").await;
            assert_eq!(bob.hear().await, Some(format!("{}: so there you are", ann.name)));
            bob.says.shutdown().await.expect("the end of what Bob says");
            assert_eq!(bob.hear().await, None, "and the room's goodbye");
        },
    );
}

#[test]
fn a_proxy() {
    let upstream = SocketAddr::new(link::NEAR_V4, 8001);
    both(
        "a_proxy",
        move |address| moving::tokio::proxy::serve(address, upstream),
        move |stack, address| async move { moving::carrick::proxy::serve(&stack, address, upstream).await },
        async |proxy| {
            // The reset may be there before the connection is told of.
            let refused = async { TcpStream::connect(proxy).await?.read(&mut [0]).await };
            let error = refused.await.expect_err("nobody is behind it");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

            let behind = TcpListener::bind(upstream).await.expect("a free port");
            let mut client = TcpStream::connect(proxy).await.expect("the proxy answers");
            let (mut server, _) = behind.accept().await.expect("the proxy connects");
            // Each direction ends by itself.
            client.write_all(b"a question").await.expect("room");
            client.shutdown().await.expect("the end of the question");
            let mut text = String::new();
            server.read_to_string(&mut text).await.expect("a question");
            assert_eq!(text, "a question");
            server.write_all(b"an answer").await.expect("room");
            drop(server);
            text.clear();
            client.read_to_string(&mut text).await.expect("an answer");
            assert_eq!(text, "an answer");

            // What breaks off behind it breaks off before it.
            let mut client = TcpStream::connect(proxy).await.expect("the proxy answers");
            let (mut server, _) = behind.accept().await.expect("the proxy connects");
            server.write_all(b"half an").await.expect("room");
            let mut half = [0; 7];
            client.read_exact(&mut half).await.expect("half an answer");
            server.set_zero_linger().expect("connected");
            drop(server);
            let error = client.read(&mut half).await.expect_err("not the end of an answer");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        },
    );
}
