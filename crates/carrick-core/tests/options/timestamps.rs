//! Timestamps (RFC 7323 §3, §4.3, §5.2, §5.4).

use crate::common::*;
use carrick_core::{ConnectionError, Event, TcpState};
use carrick_covers::covers;
use carrick_sim::{Builder, Packet, Scene, Span, seg};
use carrick_wire::Timestamps;

fn ts(packet: &Packet) -> Option<Timestamps> {
    packet.segment().expect("a segment").tcp.options.timestamps
}

fn last_ts(s: &mut Scene) -> Timestamps {
    let last = sent(s).pop().expect("something was sent");
    ts(&last).expect("with timestamps")
}

fn with() -> Builder {
    Scene::builder().timestamps(true)
}

#[test]
fn ts_1_unless_both_offer_them_none_is_sent() {
    for (ours, theirs) in [(true, false), (false, true)] {
        for accepted in [false, true] {
            let builder = with().timestamps(theirs).config(|config| config.timestamps = ours);
            let mut s = if accepted { builder.accepted() } else { builder.established() };
            s.send([7; 3000]);
            s.inject(seg().seq(1).ack(1).len(100));
            s.finish();
            s.abort();
            assert!(sent(&mut s).iter().all(|packet| ts(packet).is_none()));
        }
    }
    covers!("TS-1");
}

#[test]
fn ts_2_once_agreed_on_they_are_on_every_segment() {
    for accepted in [false, true] {
        let mut s = if accepted { with().accepted() } else { with().established() };
        s.send([7; 3000]);
        s.inject(seg().seq(101).ack(1).len(100));
        s.inject(seg().seq(1).ack(1).len(100));
        s.inject(seg().syn().seq(70_000));
        s.advance(3.secs());
        s.inject(seg().seq(201).ack(3001));
        s.finish();
        s.inject(seg().fin().seq(201).ack(3002));
        s.inject(seg().fin().seq(201).ack(3002));
        assert_eq!(s.state(), TcpState::TimeWait);
        s.close();
        s.inject(seg().fin().seq(201).ack(3002));
        let packets = sent(&mut s);
        assert!(packets.len() >= 9 && packets.iter().all(|packet| ts(packet).is_some()));
    }
    covers!("TS-2");
}

#[test]
fn ts_3_a_segment_that_lacks_them_is_dropped_and_the_connection_lives() {
    let mut s = with().established();
    for seg in
        [seg().seq(1).ack(1).len(5), seg().seq(1).ack(1), seg().fin().seq(1).ack(1), seg().seq(9).ack(7)]
    {
        s.inject(seg.no_ts());
        s.expect_nothing();
    }
    assert_eq!((s.state(), s.read().len()), (TcpState::Established, 0));
    s.inject(seg().seq(1).ack(1).len(5));
    s.expect(seg().seq(1).ack(6));
    // In SYN-RECEIVED and TIME-WAIT the same.
    let mut s = with().listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1).no_ts());
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::SynReceived);
    covers!("TS-3");
}

/// What has none proves nothing, and changes nothing that those that have one are measured by.
#[test]
fn segments_that_lack_them_are_taken_where_that_is_wanted() {
    let mut s = with().config(|config| config.tolerate_missing_timestamps = true).established();
    s.advance(10.ms());
    s.inject(seg().seq(1).ack(1).len(5));
    s.expect(seg().seq(1).ack(6));
    s.advance(10.ms());
    s.inject(seg().seq(6).ack(1).len(5).no_ts());
    s.expect(seg().seq(1).ack(11));
    assert_eq!(s.read().len(), 10);
    // A number out of the window is no better for it.
    s.inject(seg().seq(1).ack(1).len(5).no_ts());
    s.expect(seg().seq(1).ack(11));
    assert_eq!(s.read().len(), 0);
    s.inject(seg().fin().seq(11).ack(1).no_ts());
    s.expect(seg().seq(1).ack(12));
    assert_eq!(s.state(), TcpState::CloseWait);
}

/// On a path that removes them a connection opens and closes too.
#[test]
fn segments_that_lack_them_complete_a_handshake_and_restart_time_wait() {
    let tolerant = || with().config(|config| config.tolerate_missing_timestamps = true);
    let mut s = tolerant().listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1).no_ts());
    assert!(s.accept());
    assert_eq!(s.state(), TcpState::Established);

    for released in [false, true] {
        let mut s = tolerant().established();
        s.finish();
        s.expect(seg().fin().seq(1).ack(1));
        s.inject(seg().fin().seq(1).ack(2).no_ts());
        s.expect(seg().seq(2).ack(2));
        if released {
            s.close();
        }
        s.advance(1.secs());
        s.inject(seg().fin().seq(1).ack(2).no_ts());
        s.expect(seg().seq(2).ack(2));
    }
}

#[test]
fn ts_4_where_they_were_not_agreed_on_the_option_means_nothing() {
    let mut s = Scene::established();
    for (i, val) in [5, 4, 0, u32::MAX, 1 << 31].into_iter().enumerate() {
        let at = i as u32;
        s.inject(seg().seq(1 + at).ack(1).len(1).ts(val, 99));
        s.expect(seg().seq(1).ack(2 + at).no_ts());
    }
    assert_eq!(s.read().len(), 5);
    covers!("TS-4");
}

#[test]
fn ts_5_the_echo_means_something_only_with_an_ack() {
    let mut s = with().build();
    s.connect();
    assert_eq!(last_ts(&mut s).ecr, 0);
    // Whatever a SYN echoes, nothing is made of it.
    let after = |ecr| {
        let mut s = with().connecting();
        s.inject(seg().syn().seq(0).ts(500, ecr));
        assert_eq!(last_ts(&mut s).ecr, 500);
        digest(&s)
    };
    assert_eq!(after(0), after(12_345));
    covers!("TS-5");
}

#[test]
fn ts_6_what_is_echoed_is_the_oldest_that_is_not_acknowledged() {
    let mut s = with().established();
    // A gap: the echo stays that of the last segment in order.
    s.inject(seg().seq(1).ack(1).len(100).ts(5000, 0));
    assert_eq!(last_ts(&mut s).ecr, 5000);
    s.inject(seg().seq(201).ack(1).len(100).ts(5010, 0));
    assert_eq!(last_ts(&mut s).ecr, 5000);
    s.inject(seg().seq(301).ack(1).len(100).ts(5020, 0));
    assert_eq!(last_ts(&mut s).ecr, 5000);
    // What fills it, older than what came before it, is echoed itself.
    s.inject(seg().seq(101).ack(1).len(100).ts(5005, 0));
    assert_eq!(last_ts(&mut s).ecr, 5005);
    // Nothing older than TS.Recent takes its place, and nothing that does not reach Last.ACK.sent.
    s.inject(seg().seq(401).ack(1).len(1).ts(5005, 0));
    assert_eq!(last_ts(&mut s).ecr, 5005);
    s.inject(seg().seq(500).ack(1).len(1).ts(6000, 0));
    assert_eq!(last_ts(&mut s).ecr, 5005);
    // The SYN,ACK of a simultaneous open is newer than the SYN.
    let mut s = with().connecting();
    s.inject(seg().syn().seq(0).ts(500, 0));
    assert_eq!(last_ts(&mut s).ecr, 500);
    s.inject(seg().syn().seq(0).ack(1).ts(600, 0));
    assert_eq!(last_ts(&mut s).ecr, 600);
    covers!("TS-6");
}

#[test]
fn ts_7_the_clock_ticks_each_millisecond_and_may_wrap() {
    let mut s = with().established();
    s.send([7; 10]);
    let first = last_ts(&mut s).val;
    s.inject(seg().seq(1).ack(11));
    s.advance(1234.ms());
    s.send([7; 10]);
    assert_eq!(last_ts(&mut s).val.wrapping_sub(first), 1234);
    s.inject(seg().seq(1).ack(21));
    // To the last tick before the wrap, and over it in the middle of a transfer.
    let now = first.wrapping_add(1234);
    let to_the_wrap = u64::from(u32::MAX - now);
    s.advance(to_the_wrap.ms());
    let mut acked = 21;
    let mut seen = Vec::new();
    for _ in 0..10 {
        s.send([7; 10]);
        let packet = s.take().expect("text");
        seen.push(ts(&packet).expect("with timestamps").val);
        acked += 10;
        s.advance(1.ms());
        s.inject(seg().seq(1).ack(acked));
        s.expect_nothing();
    }
    assert_eq!(seen[..3], [u32::MAX, 0, 1]);
    assert_eq!(s.connection().expect("alive").unacknowledged(), 0);
    covers!("TS-7");
}

#[test]
fn ts_8_each_tuple_has_a_clock_of_its_own_that_goes_on() {
    let first_val = |seed: u64, v6: bool, wait: u64| {
        let mut builder = with().seed(seed);
        if v6 {
            builder = builder.v6();
        }
        let mut s = builder.listening();
        s.advance(wait.ms());
        s.inject(seg().syn().seq(0));
        let first = last_ts(&mut s).val;
        // Another port of the same peer's.
        s.inject(seg().syn().seq(0).ports(40_001, 80));
        let other = last_ts(&mut s).val;
        (first, other)
    };
    let (a, b) = first_val(1, false, 0);
    // The same tuple, later: greater by just that.
    assert_eq!(first_val(1, false, 500), (a.wrapping_add(500), b.wrapping_add(500)));
    let differences: std::collections::BTreeSet<u32> =
        (1..20).map(|seed| first_val(seed, false, 0)).map(|(a, b)| a.wrapping_sub(b)).collect();
    assert_eq!(differences.len(), 19, "no two seeds relate two tuples alike");
    assert!(differences.iter().all(|difference| *difference > 1000));
    covers!("TS-8");
}

#[test]
fn ts_9_a_reset_echoes_what_it_answers() {
    // A stranger's segment, with ACK and without.
    let mut s = Scene::builder().listening();
    s.inject(seg().seq(5).ack(9).len(3).ts(777, 888));
    s.expect(seg().rst().seq(9).ts(0, 777));
    let mut s = Scene::builder().build();
    let syn = s.packet(&seg().syn().seq(5).ts(777, 0));
    s.inject_packet(&syn);
    let reset = s.take().expect("a reset");
    assert_eq!(ts(&reset), Some(Timestamps { val: 0, ecr: 777 }));
    // In SYN-SENT and SYN-RECEIVED.
    let mut s = with().connecting();
    s.inject(seg().seq(5).ack(70).ts(777, 0));
    s.expect(seg().rst().seq(70).ts(0, 777));
    let mut s = with().listening();
    s.inject(seg().syn().seq(0).ts(500, 0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().seq(1).ack(70).ts(777, 0));
    s.expect(seg().rst().seq(70).ts(0, 777));
    // The application's own abort has ordinary ones.
    let mut s = with().established();
    s.inject(seg().seq(1).ack(1).ts(9000, 0).len(1));
    sent(&mut s);
    s.abort();
    let reset = s.take().expect("a reset");
    assert_eq!(ts(&reset).map(|ts| ts.ecr), Some(9000));
    covers!("TS-9");
}

#[test]
fn ts_10_a_reset_is_believed_whatever_its_timestamp() {
    for reset in [seg().rst().seq(1).ts(1, 0), seg().rst().seq(1).no_ts()] {
        let mut s = with().established();
        s.inject(reset);
        assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::Reset)));
        assert!(s.events().contains(&Event::Closed));
    }
    // And nothing is taken from one that is not believed.
    let mut s = with().established();
    s.inject(seg().rst().seq(2).ts(u32::MAX >> 2, 0));
    assert!(last_ts(&mut s).ecr < 10_000);
    covers!("TS-10");
}
