//! Seen: the digest of an endpoint said of a half-open record whom it is with and of a TIME-WAIT record when it ends, no
//! more, so situations that go on differently looked the same to whoever compares or explores them.

use carrick_sim::{Scene, Span, seg};
use std::hash::{DefaultHasher, Hasher};

fn digest(s: &Scene) -> u64 {
    let mut hasher = DefaultHasher::new();
    s.host().endpoint().digest(s.now(), &mut hasher);
    hasher.finish()
}

#[test]
fn what_the_syn_said_is_part_of_it() {
    let half_open = |window| {
        let mut s = Scene::listening();
        s.inject(seg().syn().seq(0).window(window));
        digest(&s)
    };
    assert_eq!(half_open(100), half_open(100));
    assert_ne!(half_open(100), half_open(200));
}

#[test]
fn the_answers_that_time_wait_has_given_are_part_of_it() {
    let time_wait = |answers: u32| {
        let mut s = Scene::builder().accepted();
        s.finish();
        s.inject(seg().fin().seq(1).ack(2));
        s.close();
        for _ in 0..answers {
            s.inject(seg().seq(0).ack(2).len(1));
        }
        s.advance(1.secs());
        digest(&s)
    };
    assert_eq!(time_wait(1), time_wait(1));
    assert_ne!(time_wait(1), time_wait(2));
}
