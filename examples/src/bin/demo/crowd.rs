//! Many connections at once: all open before the first says a word, then a question and an answer on each.

use crate::summary::grouped;
use crate::{Link, Near, differs, kernel};
use carrick::{TcpListener, TcpStream};
use carrick_examples::{link, pattern};
use futures_util::future::try_join_all;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};

const CONNECTIONS: u64 = 1000;
/// Bytes of each question and of each answer.
const LENGTH: u64 = 4 << 10;

/// What was seen.
pub(crate) struct Crowd {
    /// How many were open at once.
    pub(crate) count: u64,
    /// From the first SYN to the last accept.
    pub(crate) opened_in: Duration,
    /// What the stack's connections held while nobody had said anything, and while every question waited to be read.
    pub(crate) held: [usize; 2],
    /// Questions, answers and closing.
    pub(crate) served_in: Duration,
}

impl Crowd {
    pub(crate) fn line(&self) -> String {
        let [opened_in, served_in] = [self.opened_in, self.served_in].map(|time| time.as_secs_f64() * 1e3);
        let (count, length) = (grouped(self.count), grouped(LENGTH));
        let few = if self.count < CONNECTIONS { " (this process may have no more sockets)" } else { "" };
        format!(
            "{count} connections{few}, all open after {opened_in:.0} ms; on each {length} bytes asked and {length} answered, \
             all right, and closed: {served_in:.0} ms"
        )
    }
}

pub(crate) async fn gather(link: &Link) -> io::Result<Crowd> {
    match &link.near {
        Near::Kernel => {
            // Some are in use already.
            let count = CONNECTIONS.min(kernel::sockets().saturating_sub(64));
            gather_from(link, count, tokio::net::TcpStream::connect).await
        }
        Near::Stack(stack, _) => {
            gather_from(link, CONNECTIONS, async |to: SocketAddr| TcpStream::connect(stack, to).await).await
        }
    }
}

async fn gather_from<S: AsyncRead + AsyncWrite + Unpin>(
    link: &Link,
    count: u64,
    connect: impl AsyncFn(SocketAddr) -> io::Result<S>,
) -> io::Result<Crowd> {
    let stack = &link.far;
    let listener = TcpListener::bind(stack, (link::FAR_V4, 0)).await?;
    let to = listener.local_addr()?;
    let before = stack.connections();
    let start = Instant::now();
    let accept = async {
        let mut accepted = Vec::new();
        while (accepted.len() as u64) < count {
            accepted.push(listener.accept().await?.0);
        }
        Ok(accepted)
    };
    let (mut askers, mut servers) = tokio::try_join!(try_join_all((0..count).map(|_| connect(to))), accept)?;
    let opened_in = start.elapsed();
    if (stack.connections() - before) as u64 != count {
        return Err(differs("the number of open connections"));
    }
    let idle = stack.memory_used();

    let start = Instant::now();
    let ask =
        askers.iter_mut().zip(0..).map(async |(asker, number)| asker.write_all(&question(number)).await);
    tokio::try_join!(try_join_all(ask), try_join_all(servers.iter().map(all_there)))?;
    let asked = stack.memory_used();

    let serve = servers.iter_mut().map(serve);
    let hear = askers.iter_mut().zip(0..).map(|(asker, number)| hear(asker, number));
    tokio::try_join!(try_join_all(serve), try_join_all(hear))?;
    try_join_all(servers.iter().map(TcpStream::closed)).await?;
    Ok(Crowd { count, opened_in, held: [idle, asked], served_in: start.elapsed() })
}

/// Waits until the whole question has arrived.
async fn all_there(stream: &TcpStream) -> io::Result<()> {
    let there = || match stream.tcp_info()?.unread as u64 {
        LENGTH => Ok(()),
        _ => Err(io::ErrorKind::WouldBlock.into()),
    };
    stream.async_io(Interest::READABLE, there).await
}

/// Reads a question, answers it, and closes when the asker does.
async fn serve(stream: &mut TcpStream) -> io::Result<()> {
    let mut asked = vec![0; LENGTH as usize];
    stream.read_exact(&mut asked).await?;
    let number = asked.first_chunk().map(|number| u64::from_le_bytes(*number)).unwrap_or_default();
    if asked != question(number) {
        return Err(differs("a question"));
    }
    stream.write_all(&answer(number)).await?;
    end(&mut *stream).await?;
    stream.shutdown().await
}

async fn hear(mut asker: impl AsyncRead + AsyncWrite + Unpin, number: u64) -> io::Result<()> {
    let mut heard = vec![0; LENGTH as usize];
    asker.read_exact(&mut heard).await?;
    if heard != answer(number) {
        return Err(differs("an answer"));
    }
    asker.shutdown().await?;
    end(asker).await
}

/// The other side has closed.
async fn end(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    if stream.read(&mut [0]).await? == 0 { Ok(()) } else { Err(differs("the end of a stream")) }
}

/// Its number, and something of its own.
fn question(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend(pattern::piece(number * 7919, LENGTH - bytes.len() as u64));
    bytes
}

fn answer(number: u64) -> Vec<u8> {
    pattern::piece(number * 7919 + LENGTH, LENGTH)
}
