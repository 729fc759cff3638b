//! A small web server: patterned bytes of any length down, anything up.

use crate::pattern;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, put};
use axum::serve::Listener;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// `GET /`, `GET /bytes/{count}`, `PUT` or `POST /upload`.
pub fn app() -> Router {
    Router::new()
        .route("/", get(async || Html(INDEX)))
        .route(
            "/bytes/{count}",
            get(async |Path(count): Path<u64>| Body::new(Patterned { offset: 0, end: count })),
        )
        .route("/upload", put(upload).post(upload))
}

/// Serves for as long as it is polled, on carrick or on the kernel.
///
/// # Errors
/// As [`axum::serve()`]: none in practice.
pub async fn serve<L: Listener<Addr: Debug>>(listener: L) -> io::Result<()> {
    axum::serve(listener, app()).await
}

const INDEX: &str = "<!doctype html><title>carrick</title><h1>carrick</h1>\
    <p>This page came through a TCP stack that lives in a process.\
    <ul><li><a href=/bytes/1048576>/bytes/1048576</a>: as many bytes as you ask for\
    <li>/upload: PUT or POST anything, and be told its length and SHA-256</ul>\n";

/// Answers with the length of what was sent and its SHA-256.
async fn upload(mut body: Body) -> Result<String, (StatusCode, String)> {
    let (mut length, mut digest) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
        if let Some(data) = frame.data_ref() {
            length += data.len() as u64;
            digest.update(data);
        }
    }
    Ok(format!("{length} {}\n", pattern::hex(digest)))
}

/// A body of patterned bytes, made by reference.
struct Patterned {
    offset: u64,
    end: u64,
}

impl hyper::body::Body for Patterned {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let piece = pattern::from(self.offset, self.end - self.offset);
        self.offset += piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.offset == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.offset)
    }
}
