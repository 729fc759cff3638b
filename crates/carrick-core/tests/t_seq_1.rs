//! T-SEQ-1: the same script gives the same exchange at any initial sequence numbers, with the seam of the number
//! circle at every place of it, on both sides.

use carrick_covers::covers;
use carrick_sim::{Builder, Scene, Span, TcpState, pattern, seg};

/// ISNs on and around the seam, and far from it.
fn numbers() -> Vec<u32> {
    let before_the_seam = (0..=20).map(|k| 0u32.wrapping_sub(k));
    before_the_seam.chain([1 << 31, (1 << 31) - 1, 12_345]).collect()
}

/// Plays the script at all pairs of ISNs and compares the transcripts, which show relative numbers.
fn same_everywhere(script: impl Fn(Builder) -> Scene) {
    let play = |ours, theirs| script(Scene::builder().isn(ours, theirs)).transcript();
    // Ports and timestamps hang on keyed hashes of the seed, not on the ISNs.
    let expected = play(1000, 2000);
    for ours in numbers() {
        assert_eq!(play(ours, 2000), expected, "ISS {ours}");
        assert_eq!(play(1000, ours), expected, "IRS {ours}");
        assert_eq!(play(ours, ours.wrapping_add(3)), expected, "ISS {ours}, IRS three after it");
    }
}

#[test]
fn t_seq_1_text_both_ways_and_close() {
    same_everywhere(|builder| {
        let mut s = builder.sack(true).timestamps(true).window_scale(2).established();
        for i in 0..6u32 {
            s.send(pattern(0, 3));
            s.inject(seg().seq(1 + 4 * i).ack(1 + 3 * i).len(4));
            s.advance(1.ms());
        }
        assert_eq!(s.read().len(), 24);
        s.finish();
        s.inject(seg().fin().seq(25).ack(20));
        assert_eq!(s.state(), TcpState::TimeWait);
        s.inject(seg().fin().seq(25).ack(20));
        s.advance(240.secs());
        assert_eq!(s.state(), TcpState::Closed);
        s
    });
    covers!("T-SEQ-1");
}

#[test]
fn t_seq_1_holes_blocks_and_timeouts() {
    same_everywhere(|builder| {
        let mut s = builder.sack(true).listening();
        s.inject(seg().syn().seq(0));
        s.inject(seg().seq(1).ack(1));
        assert!(s.accept());
        for part in [3, 1, 5, 0, 4, 2] {
            s.inject(seg().seq(1 + 7 * part).ack(1).len(7));
        }
        assert_eq!(s.read().len(), 42);
        s.send(pattern(0, 30));
        s.advance(3.secs());
        s.inject(seg().seq(43).ack(11).sack(&[(21, 31)]));
        s.advance(3.secs());
        s.inject(seg().seq(43).ack(31));
        s.finish();
        s.inject(seg().seq(43).ack(32));
        assert_eq!(s.state(), TcpState::FinWait2);
        s
    });
    covers!("T-SEQ-1");
}

#[test]
fn t_seq_1_windows_resets_and_challenges() {
    same_everywhere(|builder| {
        let mut s = builder.window(10).config(|c| c.receive_buffer = 3000).established();
        s.send(pattern(0, 25));
        s.inject(seg().seq(1).ack(11).window(0));
        s.advance(5.secs());
        s.inject(seg().seq(1).ack(11).window(500));
        s.inject(seg().seq(1).ack(26).len(1460));
        s.inject(seg().seq(1461).ack(26).len(1460));
        s.inject(seg().seq(2921).ack(26).len(1460));
        assert_eq!(s.read().len(), 3000);
        s.inject(seg().rst().seq(3002));
        s.inject(seg().syn().seq(2990));
        s.inject(seg().seq(3001).ack(40));
        s.inject(seg().rst().seq(3001));
        assert_eq!(s.state(), TcpState::Closed);
        s
    });
    covers!("T-SEQ-1");
}

#[test]
fn t_seq_1_the_digest_does_not_hang_on_the_numbers() {
    let digest = |ours, theirs| {
        let mut s = Scene::builder().sack(true).isn(ours, theirs).established();
        s.send(pattern(0, 30));
        s.inject(seg().seq(8).ack(4).len(7));
        s.inject(seg().seq(1).ack(11).len(7));
        s.host().digest(s.now())
    };
    let expected = digest(1000, 2000);
    for number in numbers() {
        assert_eq!(digest(number, 2000), expected, "ISS {number}");
        assert_eq!(digest(1000, number), expected, "IRS {number}");
    }
    covers!("T-SEQ-1");
}
