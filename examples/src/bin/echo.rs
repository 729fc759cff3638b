//! An echo server on carrick.
//!
//! ```text
//! cargo run -p carrick-examples --bin echo -- bash -c 'echo hello | nc -N 192.0.2.2 7'
//! cargo run -p carrick-examples --bin echo -- --memory
//! ```

use carrick::device::Tun;
use carrick::{TcpListener, TcpStream};
use carrick_examples::{link, namespace, pattern, shell};
use clap::Parser;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Echoes what it receives, on 192.0.2.2 and 2001:db8::2 in a network namespace of its own.
#[derive(Parser)]
struct Arguments {
    /// Talk to itself through memory; needs no privilege and no TUN.
    #[arg(long, conflicts_with = "command")]
    memory: bool,
    /// The port to listen on.
    #[arg(long, default_value_t = 7)]
    port: u16,
    /// A command to run inside; the server ends with it. Default: serve until Ctrl-C.
    #[arg(trailing_var_arg = true)]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before the runtime: a process with threads cannot enter a user namespace.
    if !arguments.memory
        && let Err(missing) = namespace::enter()
    {
        eprintln!("{missing}\nor try it in memory: --memory");
        return ExitCode::from(3);
    }
    let run =
        async { if arguments.memory { in_memory(arguments.port).await } else { on_tun(&arguments).await } };
    tokio::runtime::Runtime::new().and_then(|runtime| runtime.block_on(run)).unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

async fn on_tun(arguments: &Arguments) -> io::Result<ExitCode> {
    let stack = link::far(link::tun(Tun::builder())?)?;
    for address in [link::FAR_V4, link::FAR_V6] {
        tokio::spawn(serve(TcpListener::bind(&stack, (address, arguments.port)).await?));
    }
    println!("echo on {} and {}, port {}", link::FAR_V4, link::FAR_V6, arguments.port);
    shell::run_or_wait(&arguments.command).await
}

/// Accepts until the stack ends.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(async move {
            match echo(stream).await {
                Ok(bytes) => println!("{peer}: {bytes} bytes"),
                Err(error) => println!("{peer}: {error}"),
            }
        });
    }
}

/// Sends back everything, then ends its own direction too.
async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    let (mut reader, mut writer) = stream.split();
    let bytes = tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await?;
    Ok(bytes)
}

/// Sends a megabyte to its own server and compares what comes back.
async fn in_memory(port: u16) -> io::Result<ExitCode> {
    const LENGTH: usize = 1 << 20;
    let (near, far) = link::in_memory()?;
    let server = tokio::spawn(serve(TcpListener::bind(&far, (link::FAR_V4, port)).await?));
    let (mut reader, mut writer) = TcpStream::connect(&near, (link::FAR_V4, port)).await?.into_split();
    let sender = tokio::spawn(async move {
        let mut sent = 0;
        while sent < LENGTH {
            sent += writer.write(pattern::from(sent as u64, (LENGTH - sent) as u64)).await?;
        }
        writer.shutdown().await
    });
    let mut echoed = Vec::new();
    reader.read_to_end(&mut echoed).await?;
    sender.await??;
    server.abort();
    near.shutdown().await;
    let mut expected = Vec::with_capacity(LENGTH);
    while expected.len() < LENGTH {
        expected.extend_from_slice(pattern::from(expected.len() as u64, (LENGTH - expected.len()) as u64));
    }
    if echoed != expected {
        println!("{} bytes came back, and not the same", echoed.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("{LENGTH} bytes came back as they were sent");
    Ok(ExitCode::SUCCESS)
}
