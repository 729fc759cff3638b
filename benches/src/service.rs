//! Services on tokio: the application behind a stack, the same for each of them.

use crate::session::{Job, STACK, Work, chunk};
use crate::tun::Link;
use carrick::device::Tun;
use carrick_core::Cidr;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// How long tasks may take to notice that their connection is gone.
const ENDING: Duration = Duration::from_millis(500);

/// Which runtime a contestant runs on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Workers {
    /// All on the calling thread.
    Current,
    /// So many threads.
    Threads(usize),
}

impl Workers {
    fn runtime(self) -> io::Result<Runtime> {
        match self {
            Self::Current => Builder::new_current_thread().enable_all().build(),
            Self::Threads(threads) => {
                Builder::new_multi_thread().worker_threads(threads).thread_name(STACK).enable_all().build()
            }
        }
    }
}

/// Runs what a contestant is on a runtime, until it fails or the job is over.
///
/// # Errors
/// Whatever `serve` says.
pub fn run<F: Future<Output = io::Result<()>> + Send + 'static>(
    job: &Arc<Job>,
    workers: Workers,
    serve: impl FnOnce(Arc<Job>) -> F,
) -> io::Result<()> {
    let runtime = workers.runtime()?;
    let serving = serve(Arc::clone(job));
    let outcome = runtime.block_on(async {
        // A task, so that it runs where the contestant's other tasks do.
        tokio::spawn(serving).await.map_err(io::Error::other)?
    });
    runtime.shutdown_timeout(ENDING);
    outcome
}

/// Accepts connections and serves each with a task, until the job is over.
///
/// # Errors
/// Accepting failed.
pub async fn serve<S, F>(job: Arc<Job>, mut accept: impl FnMut() -> F) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<S>>,
{
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            stream = accept() => { tasks.spawn(one(stream?, Arc::clone(&job))); }
            () = job.over() => break,
        }
    }
    // Resets have reached them, or soon will.
    let ended = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(ENDING, ended).await;
    Ok(())
}

async fn one(mut stream: impl AsyncRead + AsyncWrite + Unpin, job: Arc<Job>) -> io::Result<()> {
    let mut buffer = chunk();
    loop {
        match job.work {
            Work::Receive => match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                bytes => job.received(bytes),
            },
            Work::Send => stream.write_all(&buffer).await?,
            Work::Echo => match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                bytes => stream.write_all(&buffer[..bytes]).await?,
            },
        }
    }
}

/// carrick on a TUN.
///
/// # Errors
/// The interface cannot be had, or is not of the kind that was asked for.
pub fn carrick(job: &Arc<Job>, workers: Workers, mtu: u16, offload: bool) -> io::Result<()> {
    run(job, workers, move |job| async move {
        let Link { near, far, prefix } = Link::next(job.family);
        let host = Cidr::new(near, prefix);
        let tun = Tun::builder().host(host).mtu(mtu).offload(offload).build()?;
        if tun.is_offloading() != offload {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel does not offload"));
        }
        let stack = carrick::Stack::builder().address(Cidr::new(far, prefix)).device(tun).build()?;
        let listener = carrick::TcpListener::bind(&stack, (far, 0)).await?;
        job.ready(listener.local_addr()?);
        let listener = &listener;
        serve(job, || async { Ok(listener.accept().await?.0) }).await
    })
}

/// The kernel's own TCP over its loopback, which also segments and leaves checksums out.
///
/// # Errors
/// What the kernel said.
pub fn loopback(job: &Arc<Job>, workers: Workers) -> io::Result<()> {
    run(job, workers, |job| async {
        let listener = tokio::net::TcpListener::bind((job.family.loopback(), 0)).await?;
        // What is accepted inherits it.
        rustix::net::sockopt::set_tcp_congestion(&listener, "cubic")?;
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        job.ready(listener.local_addr()?);
        let listener = &listener;
        serve(job, || async { Ok(listener.accept().await?.0) }).await
    })
}
