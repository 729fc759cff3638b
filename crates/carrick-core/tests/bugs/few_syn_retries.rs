//! A passive opener repeats its SYN,ACK twice less often than a SYN is; with `syn_retries` of 1 or 2 that was never, though
//! it had been told to try again. A lost SYN,ACK was then forgotten after a second.

use carrick_sim::{Scene, seg};

#[test]
fn a_syn_ack_is_repeated_if_a_syn_would_be() {
    for (syn_retries, repetitions) in [(0, 0), (1, 1), (2, 1), (3, 1), (4, 2), (7, 5)] {
        let mut s = Scene::builder().config(|config| config.syn_retries = syn_retries).listening();
        s.inject(seg().syn().seq(0));
        s.expect(seg().syn().seq(0).ack(1));
        let mut sent = 0;
        while s.host().endpoint().half_open() > 0 {
            s.advance_to_next_timer().expect("a timer");
            if s.take().is_some() {
                sent += 1;
            }
        }
        assert_eq!(sent, repetitions, "{syn_retries}");
    }
}
