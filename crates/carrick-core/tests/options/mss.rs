//! The maximum segment size (RFC 9293 §3.7.1, RFC 6691).

use crate::common::*;
use carrick_covers::covers;
use carrick_sim::{Builder, Packet, Scene, Span, seg};
use carrick_wire::icmp::{Envelope, emit_packet_too_big};

fn mss_of(packet: &Packet) -> Option<u16> {
    packet.segment().expect("a segment").tcp.options.mss
}

fn families() -> [(Builder, u16); 2] {
    [(Scene::builder(), 40), (Scene::builder().v6(), 60)]
}

#[test]
fn mss_1_we_say_what_the_mtu_leaves_on_every_syn() {
    for (builder, headers) in families() {
        // 576 and 1280 leave exactly what would be taken for granted: it is said all the same (MAY-3).
        for mtu in [576, 1280, 1500, 9000, 65_535] {
            if mtu < 1280 && headers == 60 {
                continue;
            }
            let expected = Some(mtu - headers);
            let mut s = builder.clone().mtu(mtu).build();
            s.connect();
            assert_eq!(mss_of(&s.take().expect("a SYN")), expected);
            let mut s = builder.clone().mtu(mtu).listening();
            s.inject(seg().syn().seq(0).bare());
            assert_eq!(mss_of(&s.take().expect("a SYN,ACK")), expected);
        }
    }
    covers!("MSS-1", "MUST-67", "SHLD-5", "MAY-3");
}

/// The text of the first full segment.
fn first_segment(s: &mut Scene) -> usize {
    s.send([7; 12_000]);
    s.take().expect("text").segment().expect("a segment").payload.len()
}

#[test]
fn must_14_the_peers_value_bounds_our_segments() {
    for (builder, headers) in families() {
        for mss in [700, 1000, 1500 - headers] {
            let mut s = builder.clone().mss(mss).established();
            assert_eq!(first_segment(&mut s), usize::from(mss));
            let mut s = builder.clone().mss(mss).accepted();
            assert_eq!(first_segment(&mut s), usize::from(mss));
        }
    }
    covers!("MUST-14");
}

#[test]
fn must_15_without_the_option_536_or_1220() {
    for (builder, headers) in families() {
        let expected = if headers == 40 { 536 } else { 1220 };
        let mut s = builder.clone().mss(None).established();
        assert_eq!(first_segment(&mut s), expected);
        let mut s = builder.mss(None).accepted();
        assert_eq!(first_segment(&mut s), expected);
    }
    covers!("MUST-15", "MSS-3");
}

#[test]
fn mss_2_options_come_out_of_the_segment_and_not_out_of_the_value() {
    for (builder, headers) in families() {
        let mut s = builder.timestamps(true).connecting();
        s.inject(seg().syn().seq(0).ack(1));
        s.expect(seg().seq(1).ack(1));
        assert_eq!(first_segment(&mut s), usize::from(1500 - headers - 12));
    }
    covers!("MSS-2");
}

/// A router says that packets above `mtu` do not fit.
fn too_big(s: &Scene, sent: &Packet, mtu: u16) -> Packet {
    let to = Envelope { src: s.remote().ip(), dst: s.local().ip(), hop_limit: 64 };
    let mut bytes = vec![0; 1500];
    let len = emit_packet_too_big(&mut bytes, to, u32::from(mtu), &sent.bytes).expect("it fits");
    bytes.truncate(len);
    Packet::new(bytes)
}

#[test]
fn mss_4_the_path_changes_neither_what_we_say_nor_the_peers_bound() {
    for (builder, headers) in families() {
        let mut s = builder.mss(1300).established();
        s.send([7; 12_000]);
        let first = s.take().expect("text");
        assert_eq!(first.segment().expect("a segment").payload.len(), 1300);
        sent(&mut s);
        s.inject_packet(&too_big(&s, &first, 1290));
        s.advance(5.secs());
        for packet in sent(&mut s) {
            assert!(packet.segment().expect("a segment").payload.len() <= 1300);
        }
        let (now, remote) = (s.now(), s.remote());
        s.host_mut().connect(now, None, remote, Default::default()).expect("a second connection");
        s.check();
        let syn = sent(&mut s).into_iter().find(|packet| mss_of(packet).is_some());
        assert_eq!(mss_of(&syn.expect("a SYN")), Some(1500 - headers));
    }
    covers!("MSS-4");
}

#[test]
fn mss_5_a_tiny_value_is_raised_and_no_storm_follows() {
    for (builder, headers) in families() {
        for mss in (0..=100).chain([65_535]) {
            for timestamps in [false, true] {
                let mut s = builder.clone().timestamps(timestamps).listening();
                s.inject(seg().syn().seq(0).mss(mss));
                s.expect(seg().syn().seq(0).ack(1));
                s.inject(seg().seq(1).ack(1));
                assert!(s.accept());
                s.send([7; 10_000]);
                let (mut packets, mut acked) = (0, 1);
                while acked < 10_001 {
                    let sent = sent(&mut s);
                    assert!(!sent.is_empty(), "stalled at {acked} with MSS {mss}");
                    for packet in sent {
                        let view = packet.segment().expect("a segment");
                        assert!(packet.bytes.len() <= 1500);
                        acked += view.payload.len() as u32;
                        packets += 1;
                    }
                    s.inject(seg().seq(1).ack(acked));
                }
                // At least 48 bytes of text in each.
                assert!(packets <= 10_000 / 48 + 5, "{packets} packets with MSS {mss}, {headers}");
            }
        }
    }
    covers!("MSS-5", "T-MAL-9");
}

#[test]
fn mss_6_the_greatest_value_leaves_it_to_the_path() {
    let mut s = Scene::builder().v6().mss(65_535).established();
    assert_eq!(first_segment(&mut s), 1440);
    let mut s = Scene::builder().v6().mtu(9000).mss(65_535).accepted();
    assert_eq!(first_segment(&mut s), 8940);
    covers!("MSS-6");
}
