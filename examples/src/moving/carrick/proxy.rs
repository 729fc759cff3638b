//! A proxy: whoever connects talks to another server through it.

use carrick::{Stack, TcpListener, TcpStream};
use std::io;
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;

/// Serves for as long as it is polled.
///
/// # Errors
/// What binding or accepting says.
pub async fn serve(stack: &Stack, address: SocketAddr, upstream: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(stack, address).await?;
    loop {
        let (client, peer) = listener.accept().await?;
        let stack = stack.clone();
        tokio::spawn(async move {
            if let Err(error) = relay(&stack, client, upstream).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn relay(stack: &Stack, mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let relayed = async {
        let mut server = TcpStream::connect(stack, upstream).await?;
        copy_bidirectional(&mut client, &mut server).await
    };
    if let Err(error) = relayed.await {
        // The client is to see that it failed, not an end like any other.
        client.set_zero_linger()?;
        return Err(error);
    }
    Ok(())
}
