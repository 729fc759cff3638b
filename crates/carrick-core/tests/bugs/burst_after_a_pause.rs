//! The first frame after a pause left by the window from before it, with up to 64 KiB: the controller was told of the pause
//! when that had gone (RFC 5681 §4.1, RFC 7661 §4.4.3).

use carrick_sim::{Offload, Scene, Span, seg};

/// Bytes that leave at once.
fn burst(s: &mut Scene) -> usize {
    std::iter::from_fn(|| s.take()).map(|packet| packet.segment().unwrap().payload.len()).sum()
}

#[test]
fn what_leaves_first_after_a_pause_obeys_the_window_that_it_leaves() {
    for offload in [Offload::Whole, Offload::Cut] {
        let mut s = Scene::builder().mss(1000).offload(offload).config(|c| c.pacing = false).established();
        s.send(vec![1; 30_000]);
        assert_eq!(burst(&mut s), 10_000);
        s.inject(seg().seq(1).ack(10_001));
        assert_eq!(burst(&mut s), 20_000);
        s.inject(seg().seq(1).ack(30_001));
        s.advance(299.secs());
        assert_eq!(s.connection().unwrap().tcp_info().unwrap().congestion_window, 40_000);
        // Beyond five minutes half of it is given up.
        s.advance(2.secs());
        s.send(vec![1; 50_000]);
        assert_eq!(burst(&mut s), 20_000, "{offload:?}");
    }
}
