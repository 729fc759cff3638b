//! A transparent proxy: whoever connects through it to any address hears what became of the connection to there.

use carrick::device::Device;
use carrick::{ListenAddr, Refusal, RequestListener, Stack};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream as KernelStream;

/// A stack that takes connections to any address, and their requests.
///
/// # Errors
/// As [`StackBuilder::build`](carrick::StackBuilder::build).
pub fn gateway(device: impl Device) -> io::Result<(Stack, RequestListener)> {
    let [v4, v6] = ["192.0.2.2/24", "2001:db8::2/64"].map(|text| text.parse().expect("an address"));
    let stack = Stack::builder().address(v4).address(v6).any_address(true).device(device).build()?;
    let requests = RequestListener::bind_any(&stack, ListenAddr { address: None, port: None })?;
    Ok((stack, requests))
}

/// Dials the original destination of each request with `dial`, and answers the request when that is done: accepts it and
/// copies both ways, each direction ending by itself, or rejects it with the same error. Ends when the stack does.
///
/// # Errors
/// Why the stack has ended.
pub async fn serve<D, F>(requests: RequestListener, dial: D) -> io::Result<()>
where
    D: Fn(SocketAddr) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<KernelStream>> + Send,
{
    loop {
        let request = requests.accept_request().await?;
        let dial = dial.clone();
        tokio::spawn(async move {
            let dialled = tokio::select! {
                dialled = dial(request.local_addr()) => dialled,
                () = request.gone() => return Ok(()),
            };
            match dialled {
                Ok(mut upstream) => {
                    let mut stream = request.accept().await?;
                    if copy_bidirectional(&mut stream, &mut upstream).await.is_err() {
                        // What breaks off on one side is not to look like its end on the other.
                        stream.set_zero_linger()?;
                        upstream.set_zero_linger()?;
                    }
                }
                Err(error) => request.reject(refusal(&error)),
            }
            io::Result::Ok(())
        });
    }
}

/// What the peer is told, for what the dial came to.
fn refusal(error: &io::Error) -> Refusal {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Refusal::Reset,
        ErrorKind::NetworkUnreachable => Refusal::NetworkUnreachable,
        ErrorKind::PermissionDenied => Refusal::Prohibited,
        _ => Refusal::HostUnreachable,
    }
}
