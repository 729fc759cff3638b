//! A proxy: whoever connects talks to another server through it.

use std::io;
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Serves for as long as it is polled.
///
/// # Errors
/// What binding or accepting says.
pub async fn serve(address: SocketAddr, upstream: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (client, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = relay(client, upstream).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn relay(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let mut server = match TcpStream::connect(upstream).await {
        Ok(server) => server,
        Err(error) => {
            // The client is to see that it failed, not an empty answer.
            client.set_zero_linger()?;
            return Err(error);
        }
    };
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
