//! R1, R2, the user timeout, its option, soft errors (RFC 9293 §3.8.3, §3.9.1.8, §3.10.8; RFC 5482).

use super::text_of_next;
use carrick_core::{Connection, ConnectionError, Event, UserTimeoutOption};
use carrick_covers::covers;
use carrick_sim::{Builder, Packet, Scene, Span, TcpState, seg};
use carrick_wire::{Checksum, IpHeader, Protocol, UserTimeout};
use std::time::Duration;

fn soft(s: &Scene) -> Option<ConnectionError> {
    s.connection().and_then(Connection::soft_error)
}

/// Serves timers until the connection has ended; how long each took, and after how many trouble was reported.
fn until_the_end(s: &mut Scene) -> (Vec<Duration>, Option<usize>) {
    let (mut waits, mut reported) = (Vec::new(), None);
    while let Some(wait) = s.advance_to_next_timer() {
        waits.push(wait);
        if s.events().contains(&Event::SoftError) {
            assert_eq!(reported.replace(waits.len()), None, "one report");
        }
        if s.state() == TcpState::Closed {
            break;
        }
        while s.take().is_some() {}
    }
    (waits, reported)
}

#[test]
fn must_20_first_a_report_then_the_end() {
    let mut s = Scene::established();
    s.send(b"anybody?");
    let begin = s.now();
    while soft(&s).is_none() {
        s.advance_to_next_timer();
    }
    assert_eq!(std::iter::from_fn(|| s.take()).count(), 4, "the text and three repetitions");
    assert_eq!(s.events(), [Event::SoftError]);
    assert_eq!(soft(&s), Some(ConnectionError::TimedOut));
    assert_eq!(s.state(), TcpState::Established);
    covers!("SHLD-10", "SHLD-9");
    let (waits, again) = until_the_end(&mut s);
    assert_eq!((waits.len(), again), (13, None));
    assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::TimedOut)));
    assert!(s.now().since(begin) > 100.secs());
    covers!("MUST-20", "SHLD-11");

    // An answer takes the report back.
    let mut s = Scene::established();
    s.send(b"anybody?");
    for _ in 0..4 {
        s.advance_to_next_timer();
    }
    assert!(soft(&s).is_some());
    s.inject(seg().seq(1).ack(9));
    assert_eq!(soft(&s), None);
}

#[test]
fn must_21_the_application_says_how_long() {
    let mut s = Scene::established();
    s.with("user timeout 10 s", |c, cx| c.set_user_timeout(cx, Some(10.secs())));
    s.send(b"anybody?");
    let (waits, _) = until_the_end(&mut s);
    assert_eq!(waits.iter().sum::<Duration>(), 10.secs());
    assert_eq!(s.error(), Some(ConnectionError::TimedOut));
    assert_eq!(s.connection().and_then(Connection::user_timeout), Some(10.secs()));

    // Longer than fifteen repetitions last, and then without end.
    let mut s = Scene::builder().config(|c| c.user_timeout = Some((24 * 3600).secs())).established();
    s.send(b"anybody?");
    let (waits, _) = until_the_end(&mut s);
    assert_eq!(waits.iter().sum::<Duration>(), (24 * 3600).secs());
    let mut s = Scene::builder().config(|c| c.retries = 255).established();
    s.send(b"anybody?");
    s.advance((400 * 24 * 3600).secs());
    assert_eq!(s.state(), TcpState::Established);
    covers!("MUST-21");
}

#[test]
fn a_user_timeout_of_nothing_is_none() {
    let whole = until_the_end(&mut {
        let mut s = Scene::established();
        s.send(b"anybody?");
        s
    });
    for set_later in [false, true] {
        let zero = Some(Duration::ZERO);
        let mut s = Scene::builder().config(|c| c.user_timeout = zero).established();
        if set_later {
            s = Scene::established();
            s.with("user timeout 0", |c, cx| c.set_user_timeout(cx, zero));
        }
        assert_eq!(s.connection().and_then(Connection::user_timeout), None);
        s.send(b"anybody?");
        assert_eq!(until_the_end(&mut s), whole);
    }
    let mut s = Scene::builder().config(|c| c.user_timeout = Some(Duration::ZERO)).connecting();
    s.advance(179.secs());
    assert_eq!(s.state(), TcpState::SynSent);
}

#[test]
fn the_user_timeout_counts_from_the_last_progress_and_a_closed_window_too() {
    let timeout = || Scene::builder().config(|c| c.user_timeout = Some(10.secs())).established();
    let mut s = timeout();
    s.advance(100.secs());
    s.send([1; 100]);
    for i in 1..5u32 {
        s.advance(9.secs());
        s.inject(seg().seq(1).ack(1 + 10 * i));
        while s.take().is_some() {}
    }
    assert_eq!(s.state(), TcpState::Established);
    let (waits, _) = until_the_end(&mut s);
    assert_eq!(waits.iter().sum::<Duration>(), 10.secs());

    // The peer answers each probe, and reads nothing.
    let mut s = timeout();
    s.inject(seg().seq(1).ack(1).window(0));
    s.send(b"data");
    let begin = s.now();
    while s.state() == TcpState::Established {
        s.advance_to_next_timer().expect("a timer");
        while s.take().is_some() {}
        s.inject(seg().seq(1).ack(1).window(0));
    }
    assert_eq!(s.now().since(begin), 10.secs());
    assert_eq!(s.error(), Some(ConnectionError::TimedOut));

    // A SYN as well (the application may give up sooner than R2).
    let mut s = Scene::builder().config(|c| c.user_timeout = Some(10.secs())).connecting();
    let (waits, _) = until_the_end(&mut s);
    assert_eq!((waits.iter().sum(), s.error()), (10.secs(), Some(ConnectionError::TimedOut)));
}

#[test]
fn must_22_and_23_a_syn_has_the_same_thresholds_and_three_minutes() {
    let mut s = Scene::connecting();
    s.advance(179.secs());
    assert_eq!(s.state(), TcpState::SynSent);
    let times = std::iter::from_fn(|| s.take()).count();
    assert_eq!(times, 7, "repeated after 1, 2, 4, .. 64 s");
    assert_eq!(s.events(), [Event::SoftError]);
    covers!("MUST-23");
    let (_, again) = until_the_end(&mut s);
    assert_eq!((again, s.error()), (None, Some(ConnectionError::TimedOut)));
    covers!("MUST-22");
}

/// An ICMP unreachable of that code, about the last packet of ours.
fn unreachable(s: &Scene, code: u8, quoted: &Packet) -> Packet {
    let quote = &quoted.bytes[..28];
    let mut icmp = vec![3, code, 0, 0, 0, 0, 0, 0];
    icmp.extend_from_slice(quote);
    let mut sum = Checksum::new();
    sum.add(&icmp);
    icmp[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let header = IpHeader {
        payload_len: icmp.len(),
        ..IpHeader::new(s.remote().ip(), s.local().ip(), Protocol::ICMP)
    };
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes).expect("one family");
    bytes.extend_from_slice(&icmp);
    Packet::new(bytes)
}

#[test]
fn must_47_soft_errors_are_reported_and_become_the_reason() {
    let mut s = Scene::established();
    s.send(b"data");
    let sent = s.take().expect("text");
    let error = unreachable(&s, 1, &sent);
    s.inject_packet(&error);
    assert_eq!(s.events(), [Event::SoftError]);
    assert_eq!(soft(&s), Some(ConnectionError::HostUnreachable));
    assert_eq!(s.state(), TcpState::Established);
    covers!("MUST-47");
    let (_, reported) = until_the_end(&mut s);
    assert_eq!(reported, None, "R1 has nothing to add");
    assert_eq!(s.error(), Some(ConnectionError::HostUnreachable));
    covers!("SHLD-25");

    let mut s = Scene::builder().config(|c| c.report_soft_errors = false).established();
    s.send(b"data");
    let sent = s.take().expect("text");
    let error = unreachable(&s, 1, &sent);
    s.inject_packet(&error);
    let (_, reported) = until_the_end(&mut s);
    assert_eq!(reported, None);
    assert_eq!(s.error(), Some(ConnectionError::HostUnreachable));
    covers!("SHLD-20");
}

// The user timeout option.

fn option(advertise: Duration) -> Builder {
    Scene::builder().config(|c| {
        c.user_timeout_option = Some(UserTimeoutOption { advertise, ..UserTimeoutOption::default() })
    })
}

fn offered(packet: Option<Packet>) -> Option<u32> {
    packet.expect("a packet").segment().expect("a segment").tcp.options.user_timeout.map(UserTimeout::seconds)
}

/// A segment of the peer's with a user timeout.
fn wish(s: &Scene, raw: u16) -> Packet {
    with_timeout(s.packet(&seg().seq(1).ack(1)), raw)
}

/// The packet with a user timeout option of that value as its only option.
fn with_timeout(packet: Packet, raw: u16) -> Packet {
    let mut bytes = packet.bytes.to_vec();
    let tcp_len = usize::from(bytes[32] >> 4) * 4;
    bytes.splice(20 + tcp_len.., [28, 4, (raw >> 8) as u8, raw as u8]);
    bytes[32] += 1 << 4;
    let len = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes[10..12].fill(0);
    let mut sum = Checksum::new();
    sum.add(&bytes[..20]);
    let sum = sum.finish().to_be_bytes();
    bytes[10..12].copy_from_slice(&sum);
    bytes[36..38].fill(0);
    let (src, dst) =
        ([bytes[12], bytes[13], bytes[14], bytes[15]], [bytes[16], bytes[17], bytes[18], bytes[19]]);
    let mut sum = Checksum::pseudo_header(src.into(), dst.into(), Protocol::TCP, bytes.len() - 20);
    sum.add(&bytes[20..]);
    let sum = sum.finish().to_be_bytes();
    bytes[36..38].copy_from_slice(&sum);
    Packet::new(bytes)
}

#[test]
fn utopt_1_and_2_the_value_on_the_wire() {
    for (raw, seconds) in [(1, 1), (100, 100), (0x7fff, 32_767), (0x8001, 60), (0xffff, 32_767 * 60)] {
        assert_eq!(UserTimeout::from_raw(raw).map(UserTimeout::seconds), Some(seconds));
    }
    for zero in [0, 0x8000] {
        assert_eq!(UserTimeout::from_raw(zero), None);
        let mut s = option(300.secs()).established();
        let odd = wish(&s, zero);
        s.inject_packet(&odd);
        assert_eq!(s.connection().and_then(Connection::peer_user_timeout), None);
        assert_eq!(s.connection().and_then(Connection::user_timeout), None);
    }
    // Less than a second is not sent as zero.
    let mut s = option(1.ms()).build();
    s.connect();
    assert_eq!(offered(s.take()), Some(1));
    covers!("UTOPT-1", "UTOPT-2");
}

#[test]
fn utopt_3_and_4_what_is_adopted_lies_within_the_limits() {
    for (advertise, raw, adopted) in [
        (300, 1000, 1000),
        (300, 200, 300),
        (10, 1, 100),
        (10, 100, 100),
        (10, 101, 101),
        (300, 0xffff, 3600),
        (7200, 1, 3600),
    ] {
        let mut s = option(Duration::from_secs(advertise)).established();
        assert_eq!(s.connection().and_then(Connection::user_timeout), None);
        let wish = wish(&s, raw);
        s.inject_packet(&wish);
        assert_eq!(s.connection().and_then(Connection::user_timeout), Some(Duration::from_secs(adopted)));
        s.send(b"anybody?");
        let (waits, _) = until_the_end(&mut s);
        assert_eq!(waits.iter().sum::<Duration>(), Duration::from_secs(adopted));
    }
    // A limit below what the RFC allows does not count.
    let low = UserTimeoutOption { advertise: 1.secs(), limit: 1.secs() };
    let mut s = Scene::builder().config(|c| c.user_timeout_option = Some(low)).established();
    let wish = wish(&s, 5);
    s.inject_packet(&wish);
    assert_eq!(s.connection().and_then(Connection::user_timeout), Some(100.secs()));
    covers!("UTOPT-3", "UTOPT-4");
}

#[test]
fn utopt_5_what_the_application_has_set_stays() {
    let mut s = option(300.secs()).established();
    s.with("user timeout 10 s", |c, cx| c.set_user_timeout(cx, Some(10.secs())));
    let packet = wish(&s, 1000);
    s.inject_packet(&packet);
    assert_eq!(s.connection().and_then(Connection::user_timeout), Some(10.secs()));
    assert_eq!(s.connection().and_then(Connection::peer_user_timeout), Some(1000.secs()), "it is told");
    covers!("UTOPT-5");
    // Who has not asked for the option is not moved by it either.
    let mut s = Scene::established();
    let packet = wish(&s, 1000);
    s.inject_packet(&packet);
    assert_eq!(s.connection().and_then(Connection::peer_user_timeout), None);
}

#[test]
fn utopt_6_sent_in_the_syn_in_the_first_segment_and_after_a_change() {
    let mut s = option(300.secs()).timestamps(true).sack(true).build();
    s.connect();
    assert_eq!(offered(s.take()), Some(300));
    s.inject(seg().syn().seq(0).ack(1));
    assert_eq!(offered(s.take()), Some(300));
    s.send([1; 3000]);
    for _ in 0..3 {
        assert_eq!(offered(s.take()), None);
    }
    let change = UserTimeoutOption { advertise: 400.secs(), ..UserTimeoutOption::default() };
    s.with("advertise 400 s", |c, cx| c.set_user_timeout_option(cx, Some(change)));
    s.expect_nothing();
    s.inject(seg().seq(1).ack(3001));
    s.send([1; 3000]);
    // All that a super-segment is cut into carries it; what follows does not.
    while let Some(packet) = s.take() {
        assert_eq!(offered(Some(packet)), Some(400));
    }
    s.inject(seg().seq(1).ack(6001));
    s.send([1; 10]);
    assert_eq!(offered(s.take()), None);
    // And by a passive opener, in its SYN,ACK.
    let mut s = option(300.secs()).listening();
    s.inject(seg().syn().seq(0));
    assert_eq!(offered(s.take()), Some(300));
    // Not unless asked for.
    let mut s = Scene::builder().build();
    s.connect();
    assert_eq!(offered(s.take()), None);
    covers!("UTOPT-6");
}

#[test]
fn utopt_7_keep_alive_waits_for_the_user_timeout() {
    let mut s = option(300.secs()).established();
    let wish = wish(&s, 1000);
    s.inject_packet(&wish);
    let often = carrick_core::KeepAlive { idle: 60.secs(), ..carrick_core::KeepAlive::default() };
    s.with("keep-alive", |c, cx| c.set_keep_alive(cx, Some(often)));
    assert_eq!(s.advance_to_next_timer(), Some(1000.secs()));
    assert_eq!(text_of_next(&mut s), 0);
    covers!("UTOPT-7");
}

#[test]
fn utopt_8_a_handshake_has_its_own_patience() {
    let mut s = option(300.secs()).connecting();
    // The other side of a simultaneous open wishes for one second.
    let syn = with_timeout(s.packet(&seg().syn().seq(0).bare()), 1);
    s.inject_packet(&syn);
    assert_eq!(s.state(), TcpState::SynReceived);
    while s.take().is_some() {}
    assert_eq!(s.connection().and_then(Connection::user_timeout), None);
    let (waits, _) = until_the_end(&mut s);
    assert!(waits.iter().sum::<Duration>() >= 180.secs(), "{waits:?}");
    covers!("UTOPT-8");
}
