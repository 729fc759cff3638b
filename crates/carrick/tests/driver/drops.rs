//! Who may go first: streams, listeners, stacks, runtimes.

use crate::common::*;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{TcpListener, TcpStream};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

#[tokio::test(start_paused = true)]
async fn t_asy_2_unsent_data_is_still_delivered() {
    let mut c = connected(MemoryConfig::default()).await;
    // As much as is taken before anybody reads.
    let len = 100_000;
    within(5, write_pattern(&mut c.connected, len)).await.unwrap();
    drop(c.connected);
    assert_eq!(within(60, read_pattern(&mut c.accepted)).await.unwrap(), len);
    drop(c.accepted);
    within(60, c.client.shutdown()).await;
    assert_eq!(c.client.memory_used(), 0);
    carrick_covers::covers!("T-ASY-2");
}

#[tokio::test(start_paused = true)]
async fn t_asy_2_unread_data_means_reset() {
    let mut c = connected(MemoryConfig::default()).await;
    c.connected.write_all(b"never read").await.unwrap();
    settle().await;
    drop(c.accepted);
    let error = within(5, c.connected.read(&mut [0; 10])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    settle().await;
    assert_eq!((c.server.memory_used(), c.server.connections()), (0, 0));
    carrick_covers::covers!("T-ASY-2");
}

#[tokio::test(start_paused = true)]
async fn t_asy_2_data_after_the_reader_is_gone_means_reset() {
    let mut c = connected(MemoryConfig::default()).await;
    drop(c.accepted);
    assert_eq!(within(5, c.connected.read(&mut [0; 10])).await.unwrap(), 0, "a FIN at first");
    c.connected.write_all(b"to nobody").await.unwrap();
    settle().await;
    let error = c.connected.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(c.connected.write_all(b"more").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn t_asy_11_the_error_is_not_lost_between_the_halves() {
    let c = connected(MemoryConfig::default()).await;
    let (mut read, mut write) = c.accepted.into_split();
    write.write_all(b"never read").await.unwrap();
    settle().await;
    drop(c.connected);
    for _ in 0..3 {
        let reading = within(5, read.read(&mut [0; 10])).await.unwrap_err();
        let writing = within(5, write.write(b"x")).await.unwrap_err();
        assert_eq!(
            (reading.kind(), writing.kind()),
            (ErrorKind::ConnectionReset, ErrorKind::ConnectionReset)
        );
    }
    let stream = read.reunite(write).unwrap();
    assert_eq!(stream.closed().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    carrick_covers::covers!("T-ASY-11");
}

#[tokio::test(start_paused = true)]
async fn bytes_before_an_error_can_be_read() {
    let mut c = connected(MemoryConfig::default()).await;
    c.accepted.write_all(b"never read").await.unwrap();
    c.connected.write_all(b"last words").await.unwrap();
    settle().await;
    drop(c.connected);
    settle().await;
    let mut words = [0; 10];
    c.accepted.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"last words");
    assert_eq!(c.accepted.read(&mut words).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn owned_halves_close_one_direction_each() {
    let c = connected(MemoryConfig::default()).await;
    let (mut read, write) = c.connected.into_split();
    let (other, _other_write) = connected(MemoryConfig::default()).await.connected.into_split();
    let error = other.reunite(write).expect_err("halves of two streams");
    drop(error.1);
    let mut accepted = c.accepted;
    assert_eq!(within(5, accepted.read(&mut [0; 1])).await.unwrap(), 0, "dropping the write half sends FIN");
    accepted.write_all(b"fine").await.unwrap();
    let mut buf = [0; 4];
    within(5, read.read_exact(&mut buf)).await.unwrap();
    assert_eq!(&buf, b"fine");
}

#[tokio::test(start_paused = true)]
async fn t_asy_3_abort_ends_everything_at_once() {
    let mut c = connected(MemoryConfig::default()).await;
    let connecting = tokio::spawn({
        let server = c.server.clone();
        async move { TcpStream::connect(&server, "192.0.2.77:1").await }
    });
    settle().await;
    c.server.abort();
    assert_eq!(c.accepted.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(c.accepted.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(c.listener.accept().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(connecting.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionAborted);
    let late = TcpListener::bind(&c.server, SERVER).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ConnectionAborted);
    assert_eq!(
        within(1, c.connected.read(&mut [0; 1])).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    within(1, c.server.shutdown()).await;
    drop(c.accepted);
    assert_eq!(c.server.memory_used(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_refuses_what_is_new_and_waits_for_what_is_old() {
    let mut c = connected(MemoryConfig::default()).await;
    write_pattern(&mut c.accepted, 300_000).await.unwrap();
    let server = c.server.clone();
    let shutdown = tokio::spawn(async move { server.shutdown().await });
    settle().await;
    assert_eq!(c.listener.accept().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(TcpListener::bind(&c.server, "192.0.2.1:81").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(!shutdown.is_finished(), "not everything has been delivered");
    assert_eq!(within(60, read_pattern(&mut c.connected)).await.unwrap(), 300_000);
    drop(c.connected);
    within(60, shutdown).await.unwrap();
}

struct Nothing;
impl Fault for Nothing {
    fn on_send(&self, _: &carrick::device::Packet<'_>) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_3_streams_outlive_their_stack_and_the_task_outlives_nobody() {
    let (a, b) = pair(MemoryConfig::default());
    let alive = Arc::new(Nothing);
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(Faulty { device: b, fault: Arc::clone(&alive) }).build().unwrap();
    let mut c = connect(server, client).await;
    drop((c.server, c.client, c.listener));
    c.connected.write_all(b"still here").await.unwrap();
    let mut buf = [0; 10];
    within(5, c.accepted.read_exact(&mut buf)).await.unwrap();
    c.accepted.write_all(&[7; 1000]).await.unwrap();
    settle().await;
    // The last words of a stream that is dropped, and its FIN, still leave.
    let reader = tokio::spawn(async move { read_all(&mut c.accepted).await });
    let len = 400_000;
    let mut all = vec![0; 1000];
    c.connected.read_exact(&mut all).await.unwrap();
    write_pattern(&mut c.connected, len).await.unwrap();
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(c.connected);
    assert_eq!(within(60, reader).await.unwrap().unwrap().len() as u64, len);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1, "the device is dropped, although TIME-WAIT has not passed");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn t_asy_3_the_runtime_goes_first() {
    let (driving, asking) = (runtime(), runtime());
    let mut c = driving.block_on(connected(MemoryConfig::default()));
    let waiting = std::thread::spawn(move || {
        let mut connected = c.connected;
        asking.block_on(async move { connected.read(&mut [0; 1]).await })
    });
    drop(driving);
    // Whether it began to wait before or after, it is told.
    assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    let asking = runtime();
    asking.block_on(async {
        assert_eq!(c.accepted.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(c.accepted.shutdown().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(c.accepted.closed().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(c.listener.accept().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let late = TcpStream::connect(&c.client, SERVER).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::BrokenPipe);
        c.server.shutdown().await;
    });
    drop(asking);
    // What is left is dropped without any runtime.
}

#[test]
fn t_asy_3_every_order_of_dropping() {
    for order in 0..120 {
        let runtime = runtime();
        let (accepted, connected, listener, server, client) = runtime.block_on(async {
            let mut c = connected(MemoryConfig::default()).await;
            c.connected.write_all(&[1; 100_000]).await.unwrap();
            (c.accepted, c.connected, c.listener, c.server, c.client)
        });
        let mut runtime = Some(runtime);
        let mut things: Vec<Box<dyn FnOnce()>> = vec![
            Box::new(move || drop(accepted)),
            Box::new(move || drop(connected)),
            Box::new(move || drop(listener)),
            Box::new(move || drop((server, client))),
            Box::new(move || drop(runtime.take())),
        ];
        let mut order = order;
        while !things.is_empty() {
            let thing = things.remove(order % things.len());
            order /= things.len() + 1;
            thing();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_9_a_panic_in_a_task_that_holds_a_stream() {
    let mut c = connected(MemoryConfig::default()).await;
    let (second, other) = tokio::join!(c.listener.accept(), TcpStream::connect(&c.client, SERVER));
    let (mut second, mut other) = (second.unwrap().0, other.unwrap());
    let accepted = c.accepted;
    let task = tokio::spawn(async move {
        let _held = accepted;
        panic!("planted: a task's own affair");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(within(5, c.connected.read(&mut [0; 1])).await.unwrap(), 0);
    other.write_all(b"on we go").await.unwrap();
    let mut buf = [0; 8];
    within(5, second.read_exact(&mut buf)).await.unwrap();
    carrick_covers::covers!("T-ASY-9");
}
