//! Loss recovery over a path of 100 ms: by time where SACK was agreed on (RFC 8985), by duplicates where it was not, in
//! proportion (RFC 9937), and taken back where it was needless (RFC 5682, RFC 3522, RFC 2883).
//!
//! Segments of 1,000 bytes, an initial window of ten and half of it after a loss, so that numbers can be counted on
//! fingers: segment n begins at 1000 n + 1.

mod edges;
mod frto;
#[path = "../../../../fuzz/src/recovery.rs"]
#[allow(unreachable_pub, reason = "the fuzz target is another crate")]
mod operations;
mod positions;
mod prr;
mod rack;
mod random;
mod rare;
mod rate;
mod sack;
mod tlp;

use carrick_core::congestion::NewReno;
use carrick_core::{EcnPolicy, RecoveryState, TcpInfo};
use carrick_covers::covers;
use carrick_sim::{Builder, Scene, Seg, Span, pattern, seg};
use std::time::Duration;

const SMSS: usize = 1000;

/// With SACK.
fn builder() -> Builder {
    plain().sack(true)
}

/// Without.
fn plain() -> Builder {
    Scene::builder().mss(1000).config(|config| config.congestion = Some(Box::new(NewReno::default())))
}

/// ESTABLISHED, after a handshake that took so long.
fn over(builder: Builder, rtt: Duration) -> Scene {
    let mut s = builder.connecting();
    s.advance(rtt);
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s
}

/// ESTABLISHED over 100 ms, so many segments are out, and `more` are written beyond.
fn out(builder: Builder, segments: u32, more: usize) -> Scene {
    let mut s = over(builder, 100.ms());
    write(&mut s, 0, segments as usize + more);
    expect_segments(&mut s, 0..segments);
    s.expect_nothing();
    s
}

/// The same as [`out`], with marks (RFC 3168).
fn out_with_ecn(segments: u32, more: usize) -> Scene {
    let mut s = builder().config(|config| config.ecn = EcnPolicy::Ask).build();
    s.connect();
    s.expect(seg().syn().ece().cwr().seq(0));
    s.advance(100.ms());
    s.inject(seg().syn().ece().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    write(&mut s, 0, segments as usize + more);
    assert_eq!(taken(&mut s).len() as u32, segments);
    s
}

/// Writes so many segments, of which the first has this number.
fn write(s: &mut Scene, first: usize, segments: usize) {
    s.send(pattern((first * SMSS) as u64, segments * SMSS));
}

const fn start(segment: u32) -> u32 {
    1000 * segment + 1
}

/// Segments with exactly the text that stands there.
#[track_caller]
fn expect_segments(s: &mut Scene, segments: impl IntoIterator<Item = u32>) {
    for n in segments {
        s.expect(seg().seq(start(n)).ack(1).data(pattern(u64::from(n) * 1000, SMSS)));
    }
}

/// Up to that segment all has arrived.
fn ack(segment: u32) -> Seg {
    seg().seq(1).ack(start(segment))
}

/// And from the first of each of these to before the last.
fn sack(segment: u32, ranges: &[(u32, u32)]) -> Seg {
    let blocks: Vec<_> = ranges.iter().map(|(from, to)| (start(*from), start(*to))).collect();
    ack(segment).sack(&blocks)
}

fn info(s: &Scene) -> TcpInfo {
    s.connection().expect("a connection").tcp_info().expect("an open one")
}

/// Where the segments begin that have been sent since, in segments.
fn taken(s: &mut Scene) -> Vec<u32> {
    let mut starts = Vec::new();
    while let Some(packet) = s.take() {
        let segment = packet.segment().expect("a segment");
        if !segment.payload.is_empty() {
            starts.push((segment.tcp.seq.get().wrapping_sub(1_000_001)) / 1000);
        }
    }
    starts
}
