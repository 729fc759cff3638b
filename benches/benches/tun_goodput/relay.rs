//! A plain copier between two offloading TUNs, with the kernel's TCP at both ends: what passing packets on costs.

use carrick_benches::session::{self, FAR, Job, Work};
use carrick_benches::tun::{self, Link};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const PORT: u16 = 5001;
const MTU: u16 = 1500;
const BURST: usize = 64;
const TICK: Duration = Duration::from_millis(2);

pub(crate) fn relay(job: &Arc<Job>) -> io::Result<()> {
    let link = Link::next(job.family);
    let near = tun::open(link, MTU, true)?;
    // The server's kernel is another one as far as addresses go: a namespace that its thread makes.
    let (opened, opens) = mpsc::sync_channel(1);
    let server = {
        let job = Arc::clone(job);
        thread::Builder::new().name(FAR.into()).spawn(move || {
            let listening = tun::leave_network().and_then(|()| {
                let fd = tun::open(link.reversed(), MTU, true)?;
                let listener = TcpListener::bind((link.far, PORT))?;
                rustix::net::sockopt::set_tcp_congestion(&listener, "cubic")?;
                rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
                listener.set_nonblocking(true)?;
                Ok((fd, listener))
            });
            match listening {
                Ok((fd, listener)) => {
                    opened.send(Ok(fd)).expect("somebody waits");
                    serve(&job, &listener)
                }
                Err(error) => opened.send(Err(error)).map_err(io::Error::other),
            }
        })?
    };
    let far = opens.recv().map_err(io::Error::other)??;
    job.ready(SocketAddr::from((link.far, PORT)));
    let mut packet = vec![0; usize::from(u16::MAX) + 10];
    while !job.is_over() {
        let mut fds = [PollFd::new(&near, PollFlags::IN), PollFd::new(&far, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 }))?;
        let [from_near, from_far] = fds.map(|fd| !fd.revents().is_empty());
        if from_near {
            pass_on(&near, &far, &mut packet)?;
        }
        if from_far {
            pass_on(&far, &near, &mut packet)?;
        }
    }
    server.join().map_err(|_| io::Error::other("the far kernel's thread panicked"))?
}

fn pass_on(from: &OwnedFd, to: &OwnedFd, packet: &mut [u8]) -> io::Result<()> {
    for _ in 0..BURST {
        match rustix::io::read(from, &mut *packet) {
            // What the other end does not take is lost.
            Ok(length) => drop(rustix::io::write(to, &packet[..length])),
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Serves each connection with a thread of the same name, which ends with its connection.
fn serve(job: &Arc<Job>, listener: &TcpListener) -> io::Result<()> {
    while !job.is_over() {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                // Resets may be lost when all ends at once.
                stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                stream.set_write_timeout(Some(Duration::from_secs(1)))?;
                let job = Arc::clone(job);
                thread::Builder::new().name(FAR.into()).spawn(move || one(stream, &job))?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(TICK),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn one(mut stream: TcpStream, job: &Job) -> io::Result<()> {
    match job.work {
        Work::Receive => session::receive(stream, job),
        Work::Send => session::send(stream),
        Work::Echo => {
            let mut buffer = session::chunk();
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    bytes => stream.write_all(&buffer[..bytes])?,
                }
            }
        }
    }
}
