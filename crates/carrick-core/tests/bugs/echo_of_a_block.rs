//! With timestamps the block that reports a repetition told nothing of what had been sent before it: its echo, which is of
//! what came in order last (RFC 7323 §4.3), was taken for a sign that the original had arrived (RFC 8985 §6.2, step 2). So the
//! probe of a lost tail (§7) found nothing, and the tail waited for the retransmission timer.

use carrick_sim::{Scene, Span, pattern, seg};

#[test]
fn a_probe_that_is_reported_finds_the_tail_lost() {
    let mut s = Scene::builder().mss(1000).sack(true).timestamps(true).connecting();
    s.advance(100.ms());
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.send(pattern(0, 4 * 988));
    let first = s.take().expect("text").segment().expect("a segment").tcp.options.timestamps;
    let echo = first.expect("a timestamp").val;
    let text = |n: u32| seg().seq(1 + 988 * n).ack(1).data(pattern(u64::from(988 * n), 988));
    for n in 1..4 {
        s.expect(text(n));
    }
    s.advance(100.ms());
    s.inject(seg().seq(1).ack(989));
    s.advance(200.ms());
    s.expect(text(3));
    s.advance(100.ms());
    s.inject(seg().seq(1).ack(989).sack(&[(2965, 3953)]).ts(1500, echo));
    s.expect(text(1));
}
