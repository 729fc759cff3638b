//! Seen: a device that takes nothing. With the queue of replies full, SYN,ACKs that were due stayed due, and
//! `poll_timeout` named a time that had passed: a driver would have spun until the device took something. Besides,
//! echo replies that waited there were not counted as memory; a SYN,ACK of an accepted request that found it full counted
//! as sent again when it left for the first time, and the reset of a refused one as sent although it was lost.

use carrick_core::{Cx, Endpoint, Frame, ParkedId, Rate, Refusal};
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

/// An endpoint with a parked SYN, and as many replies as it keeps.
fn full_with_a_request(s: &Scene) -> (Endpoint, ParkedId) {
    let mut endpoint = s.host().endpoint().clone();
    let cx = Cx::new(s.now());
    let _ = endpoint.handle_frame(&cx, s.packet(&seg().syn().seq(0).ports(1000, 80)).frame());
    let parked = endpoint.poll_parked().expect("it is parked").id;
    let stray = s.packet(&seg().ack(1).seq(0).ports(1000, 81));
    for _ in 0..REPLIES {
        let _ = endpoint.handle_frame(&cx, stray.frame());
    }
    (endpoint, parked)
}

fn parking() -> Scene {
    Scene::builder()
        .listener(|listener| listener.park = true)
        .endpoint(|endpoint| endpoint.resets = Rate::UNLIMITED)
        .listening()
}

#[test]
fn a_syn_ack_that_found_no_place_is_sent_for_the_first_time_later() {
    let s = parking();
    let (mut endpoint, parked) = full_with_a_request(&s);
    assert!(endpoint.accept_parked(&Cx::new(s.now()), parked));
    assert_eq!(drain(&mut endpoint, &Cx::new(s.now())), REPLIES);
    let mut now = s.now();
    for sent_before in [0, 1, 1] {
        now = endpoint.poll_timeout().expect("it is due").max(now);
        let cx = Cx::new(now);
        endpoint.handle_timeout(&cx);
        let transmit = endpoint.poll_transmit(&cx).expect("a SYN,ACK");
        assert_eq!(transmit.sent_before(), sent_before);
        transmit.sent(carrick_core::Taken::All);
    }
}

#[test]
fn a_reset_that_finds_no_place_is_not_counted() {
    let s = parking();
    let (mut endpoint, parked) = full_with_a_request(&s);
    let before = endpoint.counters().resets;
    assert!(endpoint.refuse_parked(&Cx::new(s.now()), parked, Refusal::Reset));
    assert_eq!(endpoint.counters().resets, before);
    assert_eq!(drain(&mut endpoint, &Cx::new(s.now())), REPLIES);
}
