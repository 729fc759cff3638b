//! TLS on both sides with tokio-rustls, under a certificate made for this run, on two stacks in memory.
//!
//! ```text
//! cargo run -p carrick-examples --bin tls
//! ```

use carrick::{TcpListener, TcpStream};
use carrick_examples::{link, tls};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (near, far) = link::in_memory()?;
    let identity = tls::Identity::generate("carrick.test")?;
    let (acceptor, connector) =
        (TlsAcceptor::from(identity.server(&[])?), TlsConnector::from(identity.client(&[])?));

    let listener = TcpListener::bind(&far, (link::FAR_V4, 443)).await?;
    let server = tokio::spawn(async move {
        let (stream, _peer) = listener.accept().await?;
        let (mut from, mut to) = tokio::io::split(acceptor.accept(stream).await?);
        tokio::io::copy(&mut from, &mut to).await?;
        // TLS ends with a word of its own, before TCP does: who misses it was cut off.
        to.shutdown().await
    });

    let stream = TcpStream::connect(&near, (link::FAR_V4, 443)).await?;
    let mut stream = connector.connect(identity.name(), stream).await?;
    println!("{:?}", stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite()));
    stream.write_all(b"hello, in private").await?;
    stream.shutdown().await?;
    let mut echo = String::new();
    stream.read_to_string(&mut echo).await?;
    println!("{echo}");
    assert_eq!(echo, "hello, in private");
    server.await?
}
