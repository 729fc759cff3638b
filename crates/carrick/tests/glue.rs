//! What joins carrick to hyper-util, axum and tonic, on two stacks in memory. The examples' tests have the kernel on the
//! other side.
#![cfg(all(feature = "axum", feature = "hyper", feature = "tonic"))]
#![allow(missing_docs, reason = "tests")]

use axum::serve::Listener;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{Cidr, ConnectionConfig, HttpConnector, HttpInfo, Stack, TcpIncoming, TcpListener, TcpStream};
use futures_core::Stream;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::time::Duration;
use tonic::transport::server::Connected;
use tower_service::Service;

const V4: &str = "192.0.2.1";
const V6: &str = "2001:db8::1";

/// A server's stack and a client's.
fn stacks() -> (Stack, Stack) {
    let (left, right) = pair(MemoryConfig::default());
    let address = |text: &str| text.parse::<Cidr>().expect("an address");
    let near =
        Stack::builder().address(address("192.0.2.1/24")).address(address("2001:db8::1/64")).device(left);
    let far =
        Stack::builder().address(address("192.0.2.2/24")).address(address("2001:db8::2/64")).device(right);
    (near.build().expect("a stack"), far.build().expect("a stack"))
}

async fn connect(connector: &mut HttpConnector, uri: &str) -> io::Result<TokioIo<TcpStream>> {
    poll_fn(|cx| connector.poll_ready(cx)).await?;
    connector.call(uri.parse().expect("an address")).await
}

#[tokio::test(start_paused = true)]
async fn the_connector_finds_host_and_port() {
    let (server, client) = stacks();
    let mut connector = HttpConnector::new(&client);
    connector.enforce_http(false);
    for (uri, host, port) in [
        ("http://192.0.2.1", V4, 80),
        ("http://192.0.2.1:8080/path?query", V4, 8080),
        ("http://user:secret@192.0.2.1:81/", V4, 81),
        ("https://192.0.2.1/", V4, 443),
        ("http://[2001:db8::1]/", V6, 80),
        ("https://[2001:db8::1]:8443/", V6, 8443),
    ] {
        let listener = TcpListener::bind(&server, (host, port)).await.expect("a free port");
        let stream = connect(&mut connector, uri).await.expect("a connection").into_inner();
        let (accepted, peer) = listener.accept().await.expect("a connection");
        assert_eq!(stream.local_addr().expect("connected"), peer, "{uri}");

        let mut extensions = http::Extensions::new();
        stream.connected().get_extras(&mut extensions);
        let info = extensions.get::<HttpInfo>().expect("the addresses");
        assert_eq!((info.local_addr(), info.remote_addr()), (peer, accepted.local_addr().expect("accepted")));
        let info = accepted.connect_info();
        assert_eq!((info.local_addr(), info.remote_addr()), (accepted.local_addr().ok(), Some(peer)));
    }
}

#[tokio::test]
async fn the_connector_asks_the_resolver() {
    // The one name that every system knows, of an address that no packet may go to: it was found, and refused.
    let (_server, client) = stacks();
    let error =
        connect(&mut HttpConnector::new(&client), "http://localhost/").await.expect_err("no such packet");
    assert_eq!(error.to_string(), "invalid destination address");
}

#[tokio::test(start_paused = true)]
async fn the_connector_says_what_it_cannot_do() {
    let (_server, client) = stacks();
    let mut connector = HttpConnector::new(&client);
    for (uri, kind) in [
        ("https://192.0.2.1/", ErrorKind::InvalidInput),
        ("/path", ErrorKind::InvalidInput),
        ("192.0.2.1:80", ErrorKind::InvalidInput),
        ("http://192.0.2.1/", ErrorKind::ConnectionRefused),
        ("http://[2001:db8::1]:1/", ErrorKind::ConnectionRefused),
        ("http://192.0.2.1:0/", ErrorKind::InvalidInput),
    ] {
        let error = connect(&mut connector, uri).await.expect_err(uri);
        assert_eq!(error.kind(), kind, "{uri}: {error}");
    }
    client.abort();
    let error = connect(&mut connector, "http://192.0.2.1/").await.expect_err("the stack has ended");
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
}

#[tokio::test(start_paused = true)]
async fn the_connector_has_settings_of_its_own() {
    let (server, client) = stacks();
    let _listener = TcpListener::bind(&server, (V4, 80)).await.expect("a free port");
    let mut connector = HttpConnector::new(&client);
    let plain = connector.clone();
    connector.set_nodelay(true);
    for (mut connector, expected) in [(plain, false), (connector.clone(), true)] {
        let stream = connect(&mut connector, "http://192.0.2.1/").await.expect("a connection");
        assert_eq!(stream.inner().nodelay().expect("connected"), expected);
    }
    let linger = Some(Duration::from_secs(3));
    connector.set_connection_config(ConnectionConfig { linger, ..ConnectionConfig::default() });
    let stream = connect(&mut connector, "http://192.0.2.1/").await.expect("a connection");
    assert_eq!(stream.inner().linger().expect("connected"), linger);
}

#[tokio::test(start_paused = true)]
async fn axum_waits_when_the_stack_has_ended() {
    let (server, client) = stacks();
    let mut listener = TcpListener::bind(&server, (V4, 80)).await.expect("a free port");
    assert_eq!(Listener::local_addr(&listener).expect("bound").port(), 80);
    let stream = TcpStream::connect(&client, (V4, 80)).await.expect("a connection");
    let (_, peer) = Listener::accept(&mut listener).await;
    assert_eq!(peer, stream.local_addr().expect("connected"));

    // A future that waits lets the clock go on; one that spins would stop it, and this test.
    let mut accept = tokio::spawn(async move {
        let _ = Listener::accept(&mut listener).await;
    });
    server.abort();
    let waited = tokio::time::timeout(Duration::from_secs(3600), &mut accept).await;
    assert!(waited.is_err(), "there is nothing to accept");
    accept.abort();
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_connections_ends_after_its_error() {
    let (server, client) = stacks();
    let listener = TcpListener::bind(&server, (V4, 80)).await.expect("a free port");
    let mut incoming = TcpIncoming::from(listener);
    let mut next = async || poll_fn(|cx| Pin::new(&mut incoming).poll_next(cx)).await;
    for _ in 0..3 {
        let stream = TcpStream::connect(&client, (V4, 80)).await.expect("a connection");
        let accepted = next().await.expect("a connection").expect("a connection");
        assert_eq!(accepted.peer_addr().expect("accepted"), stream.local_addr().expect("connected"));
    }
    server.abort();
    assert_eq!(next().await.expect("an error").expect_err("an error").kind(), ErrorKind::ConnectionAborted);
    assert!(next().await.is_none() && next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stack_says_why_it_has_ended() {
    let (server, client) = stacks();
    let waiting =
        [server.clone(), client.clone()].map(|stack| tokio::spawn(async move { stack.ended().await }));
    tokio::task::yield_now().await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    server.abort();
    client.shutdown().await;
    let [aborted, shut_down] = waiting;
    assert_eq!(aborted.await.expect("no panic").kind(), ErrorKind::ConnectionAborted);
    assert_eq!(shut_down.await.expect("no panic").kind(), ErrorKind::BrokenPipe);
    assert_eq!(server.ended().await.kind(), ErrorKind::ConnectionAborted);
}
