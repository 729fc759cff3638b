//! Seen: a device that takes nothing. With the queue of replies full, SYN,ACKs that were due stayed due, and
//! `poll_timeout` named a time that had passed: a driver would have spun until the device took something. Besides,
//! echo replies that waited there were not counted as memory.

use carrick_core::{Cx, Endpoint, Frame, Rate};
use carrick_sim::{Scene, Span, seg};
use carrick_wire::{Checksum, icmp};

const REPLIES: usize = 256;

fn drain(endpoint: &mut Endpoint, cx: &Cx) -> usize {
    let mut sent = 0;
    while let Some(transmit) = endpoint.poll_transmit(cx) {
        transmit.sent(carrick_core::Taken::All);
        sent += 1;
    }
    sent
}

#[test]
fn o_3_a_full_reply_queue_leaves_no_deadline_in_the_past() {
    let s = Scene::listening();
    let mut endpoint = s.host().endpoint().clone();
    let cx = Cx::new(s.now());
    for port in 1000..1000 + REPLIES as u16 {
        let packet = s.packet(&seg().syn().seq(0).ports(port, 80));
        let _ = endpoint.handle_frame(&cx, packet.frame());
    }
    assert_eq!(endpoint.half_open(), REPLIES);
    let later = Cx::new(s.now() + 1.secs());
    endpoint.handle_timeout(&later);
    assert!(endpoint.poll_timeout().is_none_or(|at| at > later.now), "still due");
    assert_eq!(drain(&mut endpoint, &later), REPLIES);
    assert!(endpoint.poll_timeout().is_some_and(|at| at <= later.now), "the repetitions are due");
    endpoint.handle_timeout(&later);
    assert_eq!(drain(&mut endpoint, &later), REPLIES);
    assert!(endpoint.poll_timeout().is_some_and(|at| at > later.now));
}

#[test]
fn o_4_echo_replies_that_wait_are_counted() {
    let s = Scene::builder().endpoint(|endpoint| endpoint.echo_replies = Rate::UNLIMITED).listening();
    let mut endpoint = s.host().endpoint().clone();
    let cx = Cx::new(s.now());
    let to = icmp::Envelope { src: s.remote().ip(), dst: s.local().ip(), hop_limit: 64 };
    let mut request = [0; 1500];
    let len = icmp::emit_echo_reply(&mut request, to, 1, 1, &[7; 1400]).expect("it fits");
    // A reply made a request.
    let message = &mut request[20..len];
    message[0] = 8;
    message[2..4].fill(0);
    let mut sum = Checksum::new();
    sum.add(message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    for _ in 0..2 * REPLIES {
        let _ = endpoint.handle_frame(&cx, Frame::new(&request[..len]));
    }
    assert!(endpoint.memory() > REPLIES * 1300, "{} bytes", endpoint.memory());
    assert_eq!(drain(&mut endpoint, &cx), REPLIES);
    assert!(endpoint.memory() < 1300);
}
