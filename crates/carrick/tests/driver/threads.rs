//! Many tasks on several threads, in real time: what interleavings do that a paused clock on one thread cannot.

use crate::common::{SERVER, check_counters, read_pattern, stacks, within, write_pattern};
use carrick::device::memory::MemoryConfig;
use carrick::{TcpListener, TcpStream};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

const ROUNDS: usize = 4;
const CONNECTIONS: u64 = 32;

/// Both ends write and read at once; every fourth connection is dropped by one end in the middle.
async fn storm(config: MemoryConfig) {
    let (server, client) = stacks(config);
    let listener = TcpListener::bind(&server, SERVER).await.unwrap();
    for _ in 0..ROUNDS {
        let mut tasks = JoinSet::new();
        for i in 0..CONNECTIONS {
            let connecting = TcpStream::connect(&client, SERVER);
            let (connected, accepted) = tokio::join!(connecting, listener.accept());
            let len = 100_000 + i * 7_919;
            let dropped = i % 4 == 3;
            for (stream, drops) in [(connected.unwrap(), dropped), (accepted.unwrap().0, false)] {
                tasks.spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    let writing = tokio::spawn(async move {
                        let part = if drops { len / 2 } else { len };
                        write_pattern(&mut write, part).await?;
                        if !drops {
                            write.shutdown().await?;
                        }
                        Ok::<_, std::io::Error>(())
                    });
                    if drops {
                        // Unread text makes the drop a reset, no text a FIN: the other end sees either.
                        let _ = writing.await.unwrap();
                        return;
                    }
                    let read = read_pattern(&mut read).await;
                    let written = writing.await.unwrap();
                    if !dropped {
                        written.unwrap();
                        assert_eq!(read.unwrap(), len);
                    }
                });
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    }
    drop(listener);
    client.shutdown().await;
    server.shutdown().await;
    for stack in [&server, &client] {
        check_counters(stack);
        assert_eq!(stack.memory_used(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t_asy_10_a_storm_on_four_threads() {
    within(60, storm(MemoryConfig::default())).await;
    carrick_covers::covers!("T-ASY-10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t_asy_10_a_storm_of_small_packets_through_a_small_ring() {
    within(60, storm(MemoryConfig::plain(1500).ring_bytes(20_000))).await;
}

#[tokio::test(start_paused = true)]
async fn t_asy_10_the_same_on_one_thread_and_a_paused_clock() {
    within(600, storm(MemoryConfig::default())).await;
    carrick_covers::covers!("T-ASY-10");
}
