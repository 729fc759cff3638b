//! An HTTP/1.1 server with keep-alive, on hyper.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Serves for as long as it is polled.
///
/// # Errors
/// What binding or accepting says.
pub async fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service_fn(async |request| answer(peer, &request)));
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

fn answer(peer: SocketAddr, request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = format!("{peer} asked for {}\n", request.uri().path());
    Ok(Response::new(Full::from(text)))
}
