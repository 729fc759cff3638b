//! T-ASY-3: who may go first, with halves, sockets, queued and half-open connections.

use crate::common::*;
use carrick::device::Packet;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{TcpListener, TcpSocket, TcpStream};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Drops something, the runtime perhaps.
type Thing = Box<dyn FnOnce(&mut Option<Runtime>)>;

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![vec![]];
    for thing in 0..n {
        orders = orders
            .into_iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, thing);
                    order
                })
            })
            .collect();
    }
    orders
}

/// Loses the last ACK of a handshake, so that the other side's record stays half open.
#[derive(Default)]
struct LosesAcks(AtomicBool);

impl Fault for LosesAcks {
    fn on_send(&self, packet: &Packet<'_>) -> io::Result<()> {
        let flags = packet.header[20 + 13];
        if self.0.load(Ordering::Relaxed) && flags == 0x10 {
            Err(ErrorKind::NetworkDown.into())
        } else {
            Ok(())
        }
    }
}

#[test]
fn t_asy_3_every_order_of_dropping_one_sides_things() {
    // The other stack and its runtime stay, and see what becomes of the peers' connections.
    for order in orders(6) {
        let other = runtime();
        let one = runtime();
        let (a, b) = pair(MemoryConfig::default());
        let fault = Arc::new(LosesAcks::default());
        let client = other.block_on(async {
            let device = Faulty { device: b, fault: Arc::clone(&fault) };
            builder(2).device(device).build().unwrap()
        });
        let server = one.block_on(async { builder(1).device(a).build().unwrap() });
        // Both runtimes go on a bit, in turn.
        let turn = |runtimes: &[&Runtime]| {
            for _ in 0..6 {
                for runtime in runtimes {
                    runtime.block_on(async {
                        for _ in 0..6 {
                            tokio::task::yield_now().await;
                        }
                    });
                }
            }
        };
        let connect = || {
            let client = client.clone();
            other.spawn(async move { TcpStream::connect(&client, SERVER).await })
        };
        let listener = one.block_on(TcpListener::bind(&server, SERVER)).unwrap();
        let (split, queued) = (connect(), connect());
        turn(&[&other, &one]);
        let (stream, _) = one.block_on(listener.accept()).unwrap();
        let mut peers = vec![split, queued];
        fault.0.store(true, Ordering::Relaxed);
        peers.push(connect());
        turn(&[&other, &one]);
        fault.0.store(false, Ordering::Relaxed);
        let socket = one.block_on(async { TcpSocket::new_v4(&server) }).unwrap();
        socket.bind(addr("192.0.2.1:9")).unwrap();
        let (read, write) = stream.into_split();

        let mut one = Some(one);
        let mut things: Vec<Option<Thing>> = vec![
            Some(Box::new(move |_| drop(read))),
            Some(Box::new(move |_| drop(write))),
            Some(Box::new(move |_| drop(listener))),
            Some(Box::new(move |_| drop(socket))),
            Some(Box::new(move |_| drop(server))),
            Some(Box::new(|runtime| drop(runtime.take()))),
        ];
        for thing in order {
            (things[thing].take().unwrap())(&mut one);
            let running: Vec<_> = [Some(&other), one.as_ref()].into_iter().flatten().collect();
            turn(&running);
        }
        // All that was open towards it comes to an end: by FIN, by reset, or because the link is gone.
        other.block_on(async {
            for peer in peers {
                if let Ok(mut stream) = peer.await.unwrap() {
                    let mut byte = [0];
                    let _end = within(1, stream.read(&mut byte)).await;
                    let _error = stream.write(b"x").await;
                }
            }
            client.abort();
            within(1, client.shutdown()).await;
            assert_eq!(client.memory_used(), 0);
        });
    }
    carrick_covers::covers!("T-ASY-3");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_goes_resets_whom_it_has_not_accepted() {
    let (a, b) = pair(MemoryConfig::default());
    let fault = Arc::new(LosesAcks::default());
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Faulty { device: b, fault: Arc::clone(&fault) }).build().unwrap();
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    let mut queued = within(1, TcpStream::connect(&client, SERVER)).await.unwrap();
    queued.write_all(b"for nobody").await.unwrap();
    fault.0.store(true, Ordering::Relaxed);
    let mut half_open = within(1, TcpStream::connect(&client, SERVER)).await.unwrap();
    fault.0.store(false, Ordering::Relaxed);
    settle().await;
    assert_eq!((server.connections(), client.connections()), (1, 2));
    drop(listener);
    for stream in [&mut queued, &mut half_open] {
        let error = within(1, stream.read(&mut [0])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!((server.connections(), server.memory_used()), (0, 0));
    // The port is free at once.
    TcpListener::bind(&server, SERVER).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn halves_and_sockets_keep_their_stack_alive() {
    let c = connected(MemoryConfig::default()).await;
    let socket = TcpSocket::new_v4(&c.client).unwrap();
    let (mut read, write) = c.connected.into_split();
    drop((c.client, write));
    let mut accepted = c.accepted;
    accepted.write_all(b"still there").await.unwrap();
    let mut buf = [0; 11];
    within(1, read.read_exact(&mut buf)).await.unwrap();
    drop((read, accepted));
    settle().await;
    let stream = within(1, socket.connect(addr(SERVER))).await.unwrap();
    assert_eq!(within(1, c.listener.accept()).await.unwrap().1, stream.local_addr().unwrap());
}
