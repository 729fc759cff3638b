//! The path MTU of one connection: found, believed with care, raised again; a link that changes.

use crate::common::{assert_dropped, too_big};
use carrick_core::{Cidr, DiscardReason, TcpState};
use carrick_covers::covers;
use carrick_sim::{Builder, Offload, Scene, Span, pattern, seg};

pub(super) fn builder(v6: bool) -> Builder {
    if v6 { Scene::builder().v6() } else { Scene::builder() }
}

/// What was sent since the last time: sequence number, text, bytes of the packet.
pub(super) fn flight(s: &mut Scene) -> Vec<(u32, usize, usize)> {
    let mut all = Vec::new();
    while let Some(packet) = s.take() {
        let segment = packet.segment().unwrap();
        let seq = segment.tcp.seq.distance_from(carrick_wire::SeqNum::new(1_000_000));
        all.push((seq, segment.payload.len(), packet.bytes.len()));
    }
    all
}

/// Sends text, looks at the flight, and gives it and its first packet.
fn first_flight(s: &mut Scene, len: usize) -> (Vec<u8>, u32) {
    s.send(pattern(0, len));
    let first = s.take().unwrap().bytes.to_vec();
    let rest = flight(s);
    let end = rest.last().map_or(0, |(seq, len, _)| seq + *len as u32);
    (first, end)
}

pub(super) fn path_mtu(s: &Scene) -> u16 {
    s.connection().unwrap().path_mtu()
}

#[test]
fn pmtu_1_pmtu_2_the_size_follows_the_path() {
    for (v6, offload) in [(false, Offload::Cut), (false, Offload::Whole), (true, Offload::Cut)] {
        let headers = if v6 { 72 } else { 52 };
        let mut s = builder(v6).timestamps(true).offload(offload).established();
        s.send(pattern(0, 60_000));
        let first = s.take().unwrap();
        if offload == Offload::Cut {
            assert_eq!(first.bytes.len(), 1500, "the link's MTU");
        } else {
            assert_eq!(first.segment_size.unwrap().get(), 1448);
        }
        let sent = flight(&mut s);
        assert!(offload == Offload::Whole || sent.iter().all(|(.., size)| *size == 1500));
        // PMTU-10, 11: one segment, and once that is acknowledged the congestion window as it was.
        s.inject_bytes(too_big(&s, 1400, &first.bytes));
        assert_eq!(path_mtu(&s), 1400);
        assert_eq!(flight(&mut s), [(1, 1400 - headers, 1400)]);
        let in_flight = |s: &Scene| {
            let [una, nxt, ..] = s.connection().unwrap().sequence_numbers().unwrap();
            nxt.distance_from(una)
        };
        let before = in_flight(&s);
        s.inject(seg().seq(1).ack(1 + 1400 - headers as u32));
        let again = flight(&mut s);
        if offload == Offload::Cut {
            assert!(again.iter().all(|(_, len, size)| *size <= 1400 && *len <= 1400 - headers), "PMTU-12");
        }
        let text: usize = again.iter().map(|(_, len, _)| len).sum();
        assert!(text >= before as usize - 1400, "{text} of {before}");
        assert!(in_flight(&s) + 1400 > before);
    }
    covers!("PMTU-1", "PMTU-2", "PMTU-10", "PMTU-11", "PMTU-12", "V4-16");
}

#[test]
fn pmtu_9_icv_5_one_retransmission_for_each_real_decrease() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let (first, _) = first_flight(&mut s, 60_000);
        for _ in 0..20 {
            s.inject_bytes(too_big(&s, 1400, &first));
        }
        assert_eq!(flight(&mut s).len(), 1, "the first full segment: at once, and once");
        let ignored = s.host().endpoint().counters().discarded(DiscardReason::IcmpIgnored);
        assert_eq!(ignored, 19);
    }
    covers!("PMTU-9");
}

#[test]
fn pmtu_3_an_old_router_does_not_say() {
    let mut s = Scene::established();
    let (first, _) = first_flight(&mut s, 20_000);
    s.inject_bytes(too_big(&s, 0, &first));
    assert_eq!(flight(&mut s), [(1, 536, 576)]);
    covers!("PMTU-3");
}

#[test]
fn pmtu_4_pmtu_5_icv_6_floors() {
    for (floor, least) in [(552, 552), (0, 128), (68, 128), (300, 300), (9000, 576)] {
        let mut s = Scene::builder().endpoint(|endpoint| endpoint.min_path_mtu = floor).established();
        let (first, _) = first_flight(&mut s, 20_000);
        s.inject_bytes(too_big(&s, 20, &first));
        // Less than every host takes is only believed when the segment times out.
        if least < 576 {
            assert_eq!((path_mtu(&s), flight(&mut s).len()), (1500, 0));
            s.advance_to_next_timer();
        }
        assert_eq!(path_mtu(&s), least);
        assert_eq!(flight(&mut s), [(1, usize::from(least) - 40, usize::from(least))]);
    }
    let mut s = builder(true).established();
    let (first, _) = first_flight(&mut s, 20_000);
    for mtu in [0, 20, 68, 1000, 1279] {
        let message = too_big(&s, mtu, &first);
        assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
    }
    s.inject_bytes(too_big(&s, 1280, &first));
    assert_eq!(flight(&mut s), [(1, 1220, 1280)]);
    covers!("PMTU-4", "PMTU-5", "ICV-6");
}

/// The peer's MSS, or a router's word, or both, at the least that is taken of them: how many packets a megabyte is.
#[test]
fn t_snd_5_a_megabyte_is_a_bounded_number_of_packets_at_any_floor() {
    const MEGABYTE: u64 = 1_000_000;
    // The least text of a full packet, by our own settings: MSS-5, and ICV-6 with 40 bytes of headers.
    for (v6, mss, floor, least) in [
        (false, Some(1), None, 48),
        (true, Some(1), None, 48),
        (false, None, Some(552), 512),
        (false, None, Some(0), 88),
        (true, None, Some(0), 1220),
        (false, Some(1), Some(0), 48),
    ] {
        let mut builder = builder(v6);
        if let Some(mss) = mss {
            builder = builder.mss(mss);
        }
        builder = builder.endpoint(|endpoint| endpoint.min_path_mtu = floor.unwrap_or(552));
        let mut s = builder.established();
        let mut written = 0;
        let (mut packets, mut acked) = (0u64, 1u32);
        while u64::from(acked) <= MEGABYTE {
            let more = (MEGABYTE - written).min(20_000);
            written += s.try_send(&pattern(written, more as usize)).unwrap_or(0) as u64;
            let Some(first) = s.take() else {
                // It is another packet's turn later.
                assert!(s.advance_to_next_timer().is_some(), "stalled at {acked}, {v6} {mss:?} {floor:?}");
                continue;
            };
            let others: Vec<_> = std::iter::from_fn(|| s.take()).collect();
            packets += 1 + others.len() as u64;
            if floor.is_some() && path_mtu(&s) == 1500 {
                // It is silent until the size that it says is believed, if need be for the segment's timeout.
                let said = if v6 { 1280 } else { 20 };
                s.inject_bytes(too_big(&s, said, &first.bytes));
                if path_mtu(&s) == 1500 {
                    s.advance_to_next_timer();
                }
                assert!(path_mtu(&s) < 1500);
                continue;
            }
            for packet in [first].iter().chain(&others) {
                let segment = packet.segment().unwrap();
                let end = segment.tcp.seq + segment.payload.len() as u32;
                acked = acked.max(end.distance_from(carrick_wire::SeqNum::new(1_000_000)));
            }
            s.inject(seg().seq(1).ack(acked));
        }
        // The last of each piece that was written may be short, and the first flight went out twice.
        let most = MEGABYTE / least + written / 20_000 + 20;
        println!("{packets} packets, {v6} {mss:?} {floor:?}: at most {most}");
        assert!(packets <= most, "{packets} packets, {v6} {mss:?} {floor:?}: at most {most}");
    }
    covers!("T-SND-5");
}

#[test]
fn t_icm_4_pmtu_6_nothing_raises_it() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let (first, _) = first_flight(&mut s, 20_000);
        for mtu in [1500, 1501, 9000, 65_535, 65_536, u32::MAX] {
            // In IPv4 the field has 16 bits.
            let mtu = if v6 { mtu } else { mtu & 0xffff };
            if mtu > 1000 {
                let message = too_big(&s, mtu, &first);
                assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
            }
        }
        s.inject_bytes(too_big(&s, 1300, &first));
        for mtu in [1300, 1301, 1499, 1500, 9000] {
            let message = too_big(&s, mtu, &first);
            s.take();
            assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
        }
        assert_eq!(path_mtu(&s), 1300);
    }
    covers!("PMTU-6", "ICV-6");
}

#[test]
fn t_icm_3_icv_5_while_acknowledgments_come_a_smaller_size_is_held() {
    for v6 in [false, true] {
        let headers = if v6 { 60 } else { 40 };
        let mss = 1500 - headers;
        let open = || {
            let mut s = builder(v6).established();
            s.send(pattern(0, 4 * mss));
            let first = s.take().unwrap().bytes.to_vec();
            flight(&mut s);
            (s, first)
        };
        // Larger than anything sent: a lie.
        let mut s = builder(v6).established();
        s.send([1; 1300]);
        let small = s.take().unwrap().bytes.to_vec();
        let message = too_big(&s, 1450, &small);
        assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);

        // A full segment has been acknowledged: smaller sizes wait for a timeout of what they quote.
        let (mut s, _) = open();
        s.inject(seg().seq(1).ack(1 + mss as u32));
        s.send(pattern(0, 20_000));
        let quoted = s.take().unwrap().bytes.to_vec();
        flight(&mut s);
        s.inject_bytes(too_big(&s, 1400, &quoted));
        assert_eq!((path_mtu(&s), flight(&mut s).len()), (1500, 0), "held");
        // Acknowledged: it was forged, and is forgotten. A timeout later changes nothing.
        s.inject(seg().seq(1).ack(1 + 5 * mss as u32));
        flight(&mut s);
        s.advance_to_next_timer();
        assert_eq!(path_mtu(&s), 1500, "forgotten");
        assert!(flight(&mut s).iter().all(|(.., size)| *size == 1500));

        // Timed out: it was true.
        let (mut s, _) = open();
        s.inject(seg().seq(1).ack(1 + mss as u32));
        s.send(pattern(0, 20_000));
        let quoted = s.take().unwrap().bytes.to_vec();
        flight(&mut s);
        s.inject_bytes(too_big(&s, 1400, &quoted));
        s.inject_bytes(too_big(&s, 1300, &quoted));
        s.advance_to_next_timer();
        assert_eq!(path_mtu(&s), 1300, "the smallest of them");
        let sent = flight(&mut s);
        assert_eq!(sent.iter().map(|(.., size)| *size).collect::<Vec<_>>(), [1300]);
    }
    covers!("ICV-5", "PMTU-14");
}

#[test]
fn t_icm_3_whatever_is_said_packets_per_megabyte_are_bounded() {
    for v6 in [false, true] {
        for mtu in (0..=1500).step_by(7) {
            let mut s = builder(v6).established();
            let (first, _) = first_flight(&mut s, 14_000);
            s.inject_bytes(too_big(&s, mtu, &first));
            s.advance_to_next_timer();
            let sent = flight(&mut s);
            let least = if v6 { 1220 } else { 512 };
            assert!(!sent.is_empty() && sent.iter().all(|(_, len, _)| *len >= least), "{mtu}: {sent:?}");
        }
    }
    covers!("T-ICM-3");
}

#[test]
fn pmtu_14_forged_reports_change_nothing() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let (first, end) = first_flight(&mut s, 20_000);
        let at = if v6 { 40 } else { 20 };
        let with = |at: usize, bytes: &[u8]| {
            let mut quoted = first.clone();
            quoted[at..at + bytes.len()].copy_from_slice(bytes);
            quoted
        };
        let seq = |seq: u32| with(at + 4, &(1_000_000 + seq).to_be_bytes());
        for quoted in [with(at, &[0, 1]), with(at + 2, &[0, 1]), seq(0), seq(end), seq(end + 1)] {
            let message = too_big(&s, 1300, &quoted);
            assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
        }
        let mut bad_sum = too_big(&s, 1300, &first);
        *bad_sum.last_mut().unwrap() ^= 1;
        s.inject_bytes(bad_sum);
        assert_eq!((path_mtu(&s), flight(&mut s).len()), (1500, 0));
        s.inject_bytes(too_big(&s, 1300, &seq(end - 1)));
        assert_eq!(path_mtu(&s), 1300);
        // In other states nothing is too big.
        let mut s = builder(v6).build();
        s.connect();
        let syn = s.take().unwrap().bytes.to_vec();
        let message = too_big(&s, 1280, &syn);
        assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
        assert_eq!(s.state(), TcpState::SynSent);
    }
    covers!("PMTU-14");
}

/// Sends 6,000 bytes from number `next` on, all acknowledged, and says how large the packets were at most.
pub(super) fn send(s: &mut Scene, mut next: u32) -> usize {
    s.send(pattern(0, 6000));
    let end = next + 6000;
    let mut largest = 0;
    while next < end {
        for (seq, len, size) in flight(s) {
            next = next.max(seq + len as u32);
            largest = largest.max(size);
        }
        s.inject(seg().seq(1).ack(next));
    }
    largest
}

#[test]
fn pmtu_7_ten_minutes_later_it_is_tried_again() {
    for v6 in [false, true] {
        let headers = if v6 { 60 } else { 40 };
        let mut s = builder(v6).established();
        assert_eq!(send(&mut s, 1), 1500);
        s.send(pattern(0, 6000));
        let first = s.take().unwrap().bytes.to_vec();
        flight(&mut s);
        // The full size was acknowledged before: it takes a timeout, then the ten minutes begin.
        s.inject_bytes(too_big(&s, 1400, &first));
        s.advance_to_next_timer();
        let began = s.now();
        assert_eq!(flight(&mut s), [(6001, 1400 - headers, 1400)]);
        s.inject(seg().seq(1).ack(12_001));
        let mut next = 12_001u32;
        let mut send = |s: &mut Scene| {
            next += 6000;
            send(s, next - 6000)
        };
        for minute in 0..10u64 {
            s.advance((began + (minute * 60).secs()).since(s.now()));
            assert_eq!(send(&mut s), 1400, "after {minute} minutes");
        }
        s.advance((began + 599_999.ms()).since(s.now()));
        assert_eq!(send(&mut s), 1400);
        s.advance(1.ms());
        assert_eq!(send(&mut s), 1500, "after ten");
    }
    covers!("PMTU-7");
}

#[test]
fn pmtu_19_without_discovery_packets_are_small() {
    let local = |text: &str| vec![text.parse::<Cidr>().unwrap()];
    for (v6, addresses, size) in [
        (false, local("192.0.2.2/24"), 1500), // the peer is on the link
        (false, local("192.0.2.2/32"), 576),
        (true, local("2001:db8::2/64"), 1280),
        (true, local("2001:db8::2/128"), 1280),
    ] {
        let mut s = builder(v6)
            .endpoint(|endpoint| {
                endpoint.path_mtu_discovery = false;
                endpoint.addresses = addresses;
            })
            .established();
        s.send(pattern(0, 5000));
        assert_eq!(flight(&mut s)[0].2, size);
        s.advance(700.secs());
        assert!(flight(&mut s).iter().all(|(.., bytes)| *bytes <= size));
    }
    covers!("PMTU-19");
}

#[test]
fn tun_4_a_link_that_changes() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let send = |s: &mut Scene| {
            let [_, nxt, ..] = s.connection().unwrap().sequence_numbers().unwrap();
            s.send(pattern(0, 6000));
            let sent = flight(s);
            let end = nxt.distance_from(carrick_wire::SeqNum::new(1_000_000)) + 6000;
            s.inject(seg().seq(1).ack(end));
            sent.iter().map(|(.., size)| *size).max().unwrap()
        };
        assert_eq!(send(&mut s), 1500);
        for mtu in [1300, 1500, 1280, 9000, 1400] {
            let now = s.now();
            s.host_mut().set_mtu(now, mtu);
            // The peer's MSS is what it was.
            assert_eq!(send(&mut s), usize::from(mtu.min(1500)), "{mtu}");
            assert_eq!(s.host().endpoint().mtu(), mtu);
        }
        // What is in flight when the link becomes smaller leaves in smaller pieces when it is sent again.
        s.send(pattern(0, 6000));
        flight(&mut s);
        let now = s.now();
        s.host_mut().set_mtu(now, 1290);
        s.advance_to_next_timer();
        assert!(flight(&mut s).iter().all(|(.., size)| *size == 1290));
    }
    covers!("TUN-4");
}

/// Seen: a path that was smaller than the link stayed so for good, where the link had been smaller still meanwhile.
#[test]
fn a_link_that_was_smaller_for_a_while_leaves_no_size_for_good() {
    for v6 in [false, true] {
        let mut s = builder(v6).established();
        let (first, end) = first_flight(&mut s, 20_000);
        s.inject_bytes(too_big(&s, 1400, &first));
        flight(&mut s);
        s.inject(seg().seq(1).ack(end));
        flight(&mut s);
        s.inject(seg().seq(1).ack(20_001));
        for (link, path) in [(1300, 1300), (1500, 1400)] {
            let now = s.now();
            s.host_mut().set_mtu(now, link);
            assert_eq!(path_mtu(&s), path, "what is known of the path goes on to hold");
        }
        assert_eq!(send(&mut s, 20_001), 1400);
        s.advance(600.secs());
        assert_eq!(send(&mut s, 26_001), 1500, "ten minutes later");
    }
    covers!("PMTU-7", "TUN-4");
}

#[test]
fn shld_6_the_least_mtu_is_advertised() {
    for (v6, headers) in [(false, 40), (true, 60)] {
        let mut s = builder(v6).build();
        for mtu in [1280, 1500, 1400] {
            let now = s.now();
            s.host_mut().set_mtu(now, mtu);
        }
        s.connect();
        s.expect(seg().syn().seq(0).mss(1280 - headers));
        let mut s = builder(v6).listening();
        for mtu in [1280, 1500] {
            let now = s.now();
            s.host_mut().set_mtu(now, mtu);
        }
        s.inject(seg().syn().seq(0));
        s.expect(seg().syn().seq(0).ack(1).mss(1280 - headers));
        // What we send may be as large as the link takes now.
        s.inject(seg().seq(1).ack(1));
        assert!(s.accept());
        s.send(pattern(0, 5000));
        assert_eq!(flight(&mut s)[0].2, 1500);
    }
    covers!("SHLD-6");
}
