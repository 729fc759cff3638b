//! A web server on carrick, with axum.
//!
//! ```text
//! cargo run --release -p carrick-examples --bin http -- curl http://192.0.2.2/bytes/1073741824 -o /dev/null
//! cargo run --release -p carrick-examples --bin http -- curl -T big-file http://192.0.2.2/upload
//! cargo run -p carrick-examples --bin http -- --memory
//! ```

use carrick::device::Tun;
use carrick::{TcpListener, TcpStream};
use carrick_examples::{link, namespace, pattern, shell, web};
use clap::Parser;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Serves HTTP on 192.0.2.2 and 2001:db8::2 in a network namespace of its own.
#[derive(Parser)]
struct Arguments {
    /// Talk to itself through memory; needs no privilege and no TUN.
    #[arg(long, conflicts_with = "command")]
    memory: bool,
    /// The port to listen on.
    #[arg(long, default_value_t = 80)]
    port: u16,
    /// Largest packet of the TUN interface, in bytes: 1,280 to 65,535.
    #[arg(long, default_value_t = 1500)]
    mtu: u16,
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
    let stack = link::far(link::tun(Tun::builder().mtu(arguments.mtu))?)?;
    for address in [link::FAR_V4, link::FAR_V6] {
        tokio::spawn(web::serve(TcpListener::bind(&stack, (address, arguments.port)).await?));
    }
    if arguments.command.is_empty() {
        println!("http on {} and {}, port {}", link::FAR_V4, link::FAR_V6, arguments.port);
    }
    shell::run_or_wait(&arguments.command).await
}

/// Fetches a megabyte from its own server and compares it.
async fn in_memory(port: u16) -> io::Result<ExitCode> {
    const LENGTH: u64 = 1 << 20;
    let (near, far) = link::in_memory()?;
    let server = tokio::spawn(web::serve(TcpListener::bind(&far, (link::FAR_V4, port)).await?));
    let mut stream = TcpStream::connect(&near, (link::FAR_V4, port)).await?;
    let request =
        format!("GET /bytes/{LENGTH} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", link::FAR_V4);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    server.abort();
    let end =
        answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |blank| blank + 4);
    let (head, body) = answer.split_at(end);
    print!("{}", String::from_utf8_lossy(head));
    if !head.starts_with(b"HTTP/1.1 200 ")
        || pattern::hex(Sha256::new_with_prefix(body)) != pattern::digest(LENGTH)
    {
        println!("{} bytes of body, and not the right ones", body.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("{LENGTH} bytes of body, as they were sent");
    Ok(ExitCode::SUCCESS)
}
