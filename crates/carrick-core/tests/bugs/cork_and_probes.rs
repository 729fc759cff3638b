//! Seen: taking the cork out stopped the timer that probes a closed window too, which then began anew. An application
//! that corked every message, and sent one more often than a probe was due, never probed: had the peer's window update
//! been lost, nothing went until the send buffer was full.

use carrick_sim::{Scene, Span, seg};

#[test]
fn corking_each_message_puts_no_probe_off() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).window(0));
    for message in 0..30 {
        s.set_cork(true);
        s.send([7; 10]);
        s.set_cork(false);
        s.advance(100.ms());
        if let Some(packet) = s.take() {
            assert_eq!(packet.segment().unwrap().payload.len(), 1, "a probe");
            assert!(message >= 1);
            return;
        }
    }
    panic!("three seconds without a probe");
}
