//! A chat in lines of text with a codec of tokio-util's: what one says, the others hear.
//!
//! ```text
//! cargo run -p carrick-examples --bin chat
//! ```

use carrick::{TcpListener, TcpStream};
use carrick_examples::link;
use futures_util::{SinkExt, StreamExt};
use std::error::Error;
use std::net::SocketAddr;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::codec::{Framed, LinesCodec};

/// Longest line, in bytes; who sends a longer one is not heard any further.
const LONGEST: usize = 1000;

type Lines = Framed<TcpStream, LinesCodec>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (near, far) = link::in_memory()?;
    let listener = TcpListener::bind(&far, (link::FAR_V4, 6667)).await?;
    tokio::spawn(async move {
        let room = broadcast::channel(100).0;
        while let Ok((stream, peer)) = listener.accept().await {
            tokio::spawn(member(lines(stream), peer, room.clone()));
        }
    });

    let mut members = Vec::new();
    for _ in 0..3 {
        let mut member = lines(TcpStream::connect(&near, (link::FAR_V4, 6667)).await?);
        println!("{}", member.next().await.ok_or("nobody is there")??);
        members.push(member);
    }
    members[0].send("hello, everybody").await?;
    for member in &mut members[1..] {
        let heard = member.next().await.ok_or("the chat is over")??;
        println!("{} hears {heard}", member.get_ref().local_addr()?);
        assert!(heard.ends_with("hello, everybody"));
    }
    Ok(())
}

fn lines(stream: TcpStream) -> Lines {
    Framed::new(stream, LinesCodec::new_with_max_length(LONGEST))
}

/// Tells the room what one member says, and the member what the others say.
async fn member(
    mut lines: Lines,
    peer: SocketAddr,
    room: broadcast::Sender<(SocketAddr, String)>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut others = room.subscribe();
    lines.send(format!("welcome, {peer}")).await?;
    loop {
        tokio::select! {
            said = lines.next() => match said {
                Some(line) => {
                    let _how_many_hear = room.send((peer, line?));
                }
                None => return Ok(()),
            },
            heard = others.recv() => match heard {
                Ok((who, line)) if who != peer => lines.send(format!("{who}: {line}")).await?,
                // One's own words; or too many, of which the oldest are missed.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}
