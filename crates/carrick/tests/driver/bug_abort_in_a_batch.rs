//! Seen: `Stack::abort` from another thread, between two packets of one connection in one batch, made the
//! device task panic in debug builds: a stack that fails retires its connections without telling the endpoint, so
//! the second packet met the same cell twice.

use crate::common::*;
use carrick::Stack;
use carrick::device::memory::{MemoryConfig, pair};
use carrick::device::{Capabilities, Collected, Device, Inbox, Meta, Packet};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A device that has the stack aborted between two packets of one batch.
struct Aborting<D> {
    device: D,
    stack: Arc<Mutex<Option<Stack>>>,
    survived: Arc<AtomicBool>,
}

impl<D: Device> Device for Aborting<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }
    fn description(&self) -> String {
        "aborting".to_owned()
    }
    fn poll_recv(&self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Poll<io::Result<()>> {
        let stack = self.stack.lock().unwrap().take();
        let Some(stack) = stack else { return self.device.poll_recv(cx, inbox) };
        let mut collected = Collected::default();
        let result = collected.collect(|inbox| self.device.poll_recv(cx, inbox));
        let frames = collected.frames;
        if frames.is_empty() {
            *self.stack.lock().unwrap() = Some(stack);
            return result;
        }
        let mut deliver = || {
            for (frame, checksum, segment_size) in &frames {
                let meta = Meta { checksum: *checksum, segment_size: *segment_size, received_at: None };
                let _ = inbox.received_frame(frame.clone(), meta);
            }
        };
        deliver();
        std::thread::spawn(move || stack.abort()).join().unwrap();
        deliver();
        self.survived.store(true, Ordering::Relaxed);
        result
    }
    fn send(&self, packet: &Packet<'_>) -> io::Result<()> {
        self.device.send(packet)
    }
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn t_asy_3_abort_in_the_middle_of_a_batch() {
    let (a, b) = pair(MemoryConfig::default());
    let stack = Arc::new(Mutex::new(None));
    let survived = Arc::new(AtomicBool::new(false));
    let aborting = Aborting { device: b, stack: Arc::clone(&stack), survived: Arc::clone(&survived) };
    let server = builder(1).device(a).build().unwrap();
    let client = builder(2).device(aborting).build().unwrap();
    let mut c = connect(server, client.clone()).await;
    *stack.lock().unwrap() = Some(client.clone());
    c.accepted.write_all(b"x").await.unwrap();
    let error = within(5, c.connected.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert!(survived.load(Ordering::Relaxed), "the device task panicked");
    check_counters(&client);
}
