//! A chat: what one says, all others hear.

use carrick::{Stack, TcpListener, TcpStream};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::broadcast;

type Line = (SocketAddr, String);

/// Serves for as long as it is polled.
///
/// # Errors
/// What binding or accepting says.
pub async fn serve(stack: &Stack, address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(stack, address).await?;
    let (room, _) = broadcast::channel(64);
    loop {
        let (stream, peer) = listener.accept().await?;
        let (room, heard) = (room.clone(), room.subscribe());
        tokio::spawn(async move {
            if let Err(error) = talk(stream, peer, room, heard).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn talk(
    mut stream: TcpStream,
    peer: SocketAddr,
    room: broadcast::Sender<Line>,
    mut heard: broadcast::Receiver<Line>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (from, mut to) = stream.split();
    let mut said = BufReader::new(from).lines();
    loop {
        tokio::select! {
            line = said.next_line() => match line? {
                Some(line) => drop(room.send((peer, line))),
                None => return to.shutdown().await,
            },
            line = heard.recv() => match line {
                Ok((who, _)) if who == peer => {}
                Ok((who, line)) => to.write_all(format!("{who}: {line}\n").as_bytes()).await?,
                Err(_) => to.write_all(b"(you were too slow, and missed some)\n").await?,
            },
        }
    }
}
