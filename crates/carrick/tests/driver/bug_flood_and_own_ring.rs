//! Seen: while the device had ever more to read, packets of a stack to one of its own addresses were never
//! taken from their ring, since the device used up the whole turn's share: such connections stood still.

use crate::common::*;
use crate::devices::Flooding;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::{TcpListener, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn t_fld_11_a_flood_does_not_starve_a_stack_that_talks_to_itself() {
    let (_a, b) = pair(MemoryConfig::default());
    let stack = builder(2).device(Flooding(b)).build().unwrap();
    let own = "192.0.2.2:80";
    let listener = TcpListener::bind(&stack, own).await.unwrap();
    let talk = async {
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(&stack, own));
        let (mut accepted, mut connected) = (accepted.unwrap().0, connected.unwrap());
        connected.write_all(b"to myself").await.unwrap();
        accepted.read_exact(&mut [0; 9]).await.unwrap();
    };
    let mut talk = Box::pin(talk);
    let mut turns = 0;
    while poll_once(&mut talk).await.is_pending() {
        tokio::task::yield_now().await;
        turns += 1;
        assert!(turns < 10_000, "stalled");
    }
}
