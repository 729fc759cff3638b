//! hyper on both sides: a server, and hyper-util's pooled client, on two stacks in memory.
//!
//! ```text
//! cargo run -p carrick-examples --bin fetch
//! ```

use carrick::{HttpConnector, HttpInfo, TcpListener};
use carrick_examples::link;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (near, far) = link::in_memory()?;
    let listener = TcpListener::bind(&far, (link::FAR_V4, 80)).await?;
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(serving);
        }
    });

    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new(&near));
    for text in ["hello", "and once more, on the same connection"] {
        let request = Request::post(format!("http://{}/", link::FAR_V4)).body(Full::<Bytes>::from(text))?;
        let response = client.request(request).await?;
        let from = response.extensions().get::<HttpInfo>().ok_or("the connector tells")?.local_addr();
        let answer = response.into_body().collect().await?.to_bytes();
        println!("{from}: {}", String::from_utf8_lossy(&answer));
        assert_eq!(answer.len(), text.len());
    }
    Ok(())
}

/// Gives back in capitals what was sent.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::from(body.to_ascii_uppercase())))
}
