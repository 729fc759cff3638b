//! Seen: a waker that panics, left by `TcpListener::accept` or `TcpStream::closed`, took the device task with it; and
//! when a second one panicked while that ended, the process.

use crate::common::*;
use crate::wakers::Probe;
use carrick::TcpStream;
use carrick::device::memory::MemoryConfig;
use std::task::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn t_asy_6_wakers_of_those_who_wait_together_panic() {
    let mut c = connected(MemoryConfig::default()).await;
    let (accepting, waker) = Probe::new(|| panic!("planted: the waker of an accept panics"));
    let (closing, closed_waker) = Probe::new(|| panic!("planted: the waker of a wait for the end panics"));
    {
        let mut accept = Box::pin(c.listener.accept());
        assert!(accept.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let mut closed = Box::pin(c.accepted.closed());
        assert!(closed.as_mut().poll(&mut Context::from_waker(&closed_waker)).is_pending());
        let second = within(5, TcpStream::connect(&c.client, SERVER)).await.unwrap();
        c.connected.write_all(b"x").await.unwrap();
        settle().await;
        assert_eq!((accepting.count(), closing.count()), (1, 1));
        drop(second);
    }
    // The device task goes on.
    c.accepted.write_all(b"y").await.unwrap();
    assert_eq!(within(5, c.connected.read(&mut [0; 1])).await.unwrap(), 1);
}
