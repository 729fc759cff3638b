//! Initial sequence numbers (RFC 9293 §3.4.1, RFC 6528).

use crate::support::*;
use carrick_core::{ConnectionConfig, Cx, Endpoint, Instant};
use carrick_covers::covers;
use carrick_sim::Span;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// The ISN of a connection from port 5000 to `remote`, at that time.
fn isn(seed: [u8; 32], remote: &str, now: Instant) -> u32 {
    let mut endpoint = Endpoint::new(Arc::new(config()), seed);
    let local = Some(addr("192.0.2.2:5000"));
    let connection = Arc::new(ConnectionConfig::default());
    let (_, mut connection) = endpoint.connect(&Cx::new(now), local, addr(remote), connection).unwrap();
    let transmit = connection.poll_transmit(&Cx::new(now), NonZeroUsize::MAX).unwrap();
    let header = transmit.header();
    u32::from_be_bytes(header[24..28].try_into().unwrap())
}

const ONE: &str = "203.0.113.1:80";
const OTHER: &str = "203.0.113.1:81";

#[test]
fn isn_1_the_clock_ticks_every_four_microseconds_and_the_secret_moves_it() {
    let seed = [1; 32];
    let first = isn(seed, ONE, start());
    assert_eq!(isn(seed, ONE, start() + 1.secs()).wrapping_sub(first), 250_000);
    assert_eq!(isn(seed, ONE, start() + std::time::Duration::from_micros(4)).wrapping_sub(first), 1);
    assert_eq!(isn(seed, ONE, start() + std::time::Duration::from_micros(3)), first);
    // It wraps after 4.77 hours.
    assert_eq!(isn(seed, ONE, start() + std::time::Duration::from_micros(4 << 32)), first);
    covers!("MUST-8", "ISN-1");
}

#[test]
fn must_9_tuples_have_no_fixed_distance() {
    let distance = |seed: u8| isn([seed; 32], ONE, start()).wrapping_sub(isn([seed; 32], OTHER, start()));
    let distances: std::collections::BTreeSet<u32> = (0..50).map(distance).collect();
    assert_eq!(distances.len(), 50);
    let numbers: std::collections::BTreeSet<u32> =
        (0..50).map(|seed| isn([seed; 32], ONE, start())).collect();
    assert_eq!(numbers.len(), 50);
    covers!("MUST-9");
}

#[test]
fn isn_2_the_secret_has_128_bits() {
    let base = isn([0; 32], ONE, start());
    let matters = |bit: usize| {
        let mut seed = [0; 32];
        seed[bit / 8] ^= 1 << (bit % 8);
        isn(seed, ONE, start()) != base
    };
    assert_eq!((0..256).filter(|bit| matters(*bit)).count(), 128);
    covers!("ISN-2");
}

#[test]
fn isn_3_and_4_the_secret_stays_so_a_tuple_rises() {
    let mut endpoint = Node::new(config(), 9);
    let mut previous = None;
    // Attempts over a month, none longer than half a turn of the clock after the one before.
    for n in 0..500u64 {
        let now = start() + (n * 7000).secs();
        let local = Some(addr("192.0.2.2:5000"));
        let settings = Arc::new(ConnectionConfig::default());
        let (id, connection) = endpoint.endpoint.connect(&Cx::new(now), local, addr(ONE), settings).unwrap();
        endpoint.cells.insert(id, connection);
        let number =
            endpoint.act(now, id, |connection, cx| connection.abort(cx)).map(|()| isn([9; 32], ONE, now));
        if let (Some(before), Some(number)) = (previous, number) {
            let ahead = number.wrapping_sub(before);
            assert_eq!(ahead, 7000 * 250_000);
        }
        previous = number;
        endpoint.sent.clear();
    }
    covers!("ISN-3", "ISN-4");
}

#[test]
fn isn_5_the_same_clock_and_secret_give_the_same_number() {
    assert_eq!(isn([4; 32], ONE, start()), isn([4; 32], ONE, start()));
    assert_ne!(isn([4; 32], ONE, start()), isn([5; 32], ONE, start()));
    assert_ne!(isn([4; 32], ONE, start()), isn([4; 32], ONE, start() + 1.ms()));
    covers!("ISN-5");
}
