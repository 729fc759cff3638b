//! A transparent proxy on carrick, as tun2socks is one.
//!
//! In a network namespace of its own, all that is sent to 203.0.113.0/24 goes through a TUN interface to carrick, which
//! takes connections to any address. Each is dialled before it is answered, here with the kernel's sockets: 203.0.113.7
//! is 127.0.0.7. There is an echo server on port 7 of each of them, and nothing on others:
//!
//! ```text
//! cargo run -p carrick-examples --bin proxy -- bash -c 'exec 3<>/dev/tcp/203.0.113.7/7; echo hello >&3; head -1 <&3'
//! cargo run -p carrick-examples --bin proxy -- bash -c 'exec 3<>/dev/tcp/203.0.113.7/9'
//! ```

use carrick::device::Tun;
use carrick_examples::{link, namespace, proxy, shell};
use clap::Parser;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use tokio::net::{TcpListener, TcpStream};

/// Dials what is asked for in 203.0.113.0/24 before it answers.
#[derive(Parser)]
struct Arguments {
    /// A command to run inside; the proxy ends with it. Default: serve until Ctrl-C.
    #[arg(trailing_var_arg = true)]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before the runtime: a process with threads cannot enter a user namespace.
    if let Err(missing) = namespace::enter() {
        eprintln!("{missing}");
        return ExitCode::from(3);
    }
    let runtime = tokio::runtime::Runtime::new();
    runtime.and_then(|runtime| runtime.block_on(run(&arguments))).unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

async fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let near = "203.0.113.1/24".parse().map_err(io::Error::other)?;
    let (_stack, requests) = proxy::gateway(link::tun(Tun::builder().host(near))?)?;
    tokio::spawn(proxy::serve(requests, dial));
    tokio::spawn(echo(TcpListener::bind("0.0.0.0:7").await?));
    println!("203.0.113.0/24 is 127.0.0.0/24 behind a proxy");
    shell::run_or_wait(&arguments.command).await
}

/// What a real one would dial on another interface.
async fn dial(target: SocketAddr) -> io::Result<TcpStream> {
    let IpAddr::V4(address) = target.ip() else { return Err(io::ErrorKind::NetworkUnreachable.into()) };
    let [.., host] = address.octets();
    println!("dialling {target}");
    TcpStream::connect((Ipv4Addr::new(127, 0, 0, host), target.port())).await
}

/// Somebody to talk to.
async fn echo(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _peer) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await
        });
    }
}
