//! ICMP errors about our segments: which are believed, and what they do.

use crate::common::{assert_dropped, error, icmp};
use carrick_core::{ConnectionError, DiscardReason, TcpState};
use carrick_covers::covers;
use carrick_sim::{Scene, Span, seg};
use carrick_wire::{Protocol, TcpFlags};

/// ESTABLISHED with 1,000 bytes in flight from number 1 on, and the packet that carries them.
fn in_flight(v6: bool) -> (Scene, Vec<u8>) {
    let mut s = if v6 { Scene::builder().v6().established() } else { Scene::established() };
    s.send([7; 1000]);
    let packet = s.take().unwrap().bytes.to_vec();
    (s, packet)
}

fn connecting(v6: bool) -> (Scene, Vec<u8>) {
    let mut s = if v6 { Scene::builder().v6().build() } else { Scene::builder().build() };
    s.connect();
    let syn = s.take().unwrap().bytes.to_vec();
    (s, syn)
}

fn soft_error(s: &Scene) -> Option<ConnectionError> {
    s.connection().and_then(|connection| connection.soft_error())
}

/// `packet` with another sequence number.
fn with_seq(packet: &[u8], seq: u32) -> Vec<u8> {
    let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let mut packet = packet.to_vec();
    packet[at + 4..at + 8].copy_from_slice(&seq.to_be_bytes());
    packet
}

#[test]
fn t_icm_1_icv_2_the_quoted_number_must_be_in_flight() {
    let iss = 1_000_000u32;
    for v6 in [false, true] {
        let kind = if v6 { 1 } else { 3 };
        let (base, packet) = in_flight(v6);
        drop(base);
        for seq in [0, 1, 2, 500, 999, 1000, 1001, 1002, u32::MAX, 1 << 31, 1001 + (1 << 31)] {
            let (mut s, _) = in_flight(v6);
            let quoted = with_seq(&packet, iss.wrapping_add(seq));
            // Ports were chosen by the same seed, so the quote is of this connection.
            s.inject_bytes(error(&s, kind, 0, 0, &quoted));
            let believed = (1..1001).contains(&seq);
            assert_eq!(soft_error(&s).is_some(), believed, "{seq}");
            let ignored = s.host().endpoint().counters().discarded(DiscardReason::IcmpIgnored);
            assert_eq!(ignored, u64::from(!believed));
        }
        // Before the handshake is done, exactly the SYN's.
        for seq in [u32::MAX, 0, 1] {
            let (mut s, syn) = connecting(v6);
            let quoted = with_seq(&syn, iss.wrapping_add(seq));
            s.inject_bytes(error(&s, kind, 0, 0, &quoted));
            assert_eq!(soft_error(&s).is_some(), seq == 0, "{seq}");
        }
    }
    covers!("T-ICM-1", "ICV-2");
}

#[test]
fn icv_1_icv_8_must_54_the_quote_must_name_one_of_our_segments() {
    for v6 in [false, true] {
        let (mut s, packet) = in_flight(v6);
        let kind = if v6 { 1 } else { 3 };
        let at = if v6 { 40 } else { 20 };
        let mut forged = Vec::new();
        let mut change = |byte: usize, to: u8| {
            let mut packet = packet.clone();
            packet[byte] = to;
            forged.push(packet);
        };
        change(at, packet[at] ^ 1); // our port
        change(at + 3, packet[at + 3] ^ 1); // the peer's
        change(if v6 { 23 } else { 15 }, 99); // our address
        change(if v6 { 39 } else { 19 }, 99); // the peer's
        change(if v6 { 6 } else { 9 }, Protocol::UDP.0);
        for quoted in forged {
            let message = error(&s, kind, 0, 0, &quoted);
            assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
        }
        assert_eq!(soft_error(&s), None);
        // Sent to another address of ours than the quoted packet came from.
        let router = s.remote().ip();
        let elsewhere = icmp(router, router, kind, 0, 0, &packet[..at + 8]);
        s.inject_bytes(elsewhere);
        assert_eq!(soft_error(&s), None);
        s.inject_bytes(error(&s, kind, 0, 0, &packet));
        assert_eq!(soft_error(&s), Some(ConnectionError::NetworkUnreachable));
        // It ends when something is acknowledged.
        s.inject(seg().seq(1).ack(1001));
        assert_eq!(soft_error(&s), None);
    }
    covers!("ICV-1", "ICV-8", "MUST-54");
}

/// Type, code and what it says, for all that are hints.
fn soft(v6: bool) -> Vec<(u8, u8, ConnectionError)> {
    use ConnectionError::{HostUnreachable as Host, NetworkUnreachable as Net, Protocol, Refused};
    if v6 {
        vec![
            (1, 0, Net),
            (1, 1, Refused),
            (1, 2, Net),
            (1, 3, Host),
            (1, 4, Refused),
            (1, 5, Host),
            (1, 6, Host),
            (3, 0, Host),
            (3, 1, Host),
            (4, 0, Protocol),
            (4, 1, Protocol),
            (4, 2, Protocol),
            (99, 0, Protocol),
            (127, 9, Protocol),
        ]
    } else {
        let mut all: Vec<_> = [0, 6, 8, 9, 11].map(|code| (3, code, Net)).to_vec();
        all.extend([1, 5, 7, 10, 12, 13, 14, 15].map(|code| (3, code, Host)));
        all.extend([(3, 2, Refused), (3, 3, Refused), (11, 0, Host), (11, 1, Host), (12, 0, Protocol)]);
        all
    }
}

#[test]
fn t_icm_2_icv_3_icmp_15_on_a_synchronized_connection_all_are_hints() {
    for v6 in [false, true] {
        for (kind, code, says) in soft(v6) {
            let (mut s, packet) = in_flight(v6);
            s.inject_bytes(error(&s, kind, code, 0, &packet));
            assert_eq!((s.state(), s.error()), (TcpState::Established, None), "{kind}/{code}");
            assert_eq!(soft_error(&s), Some(says), "{kind}/{code}");
            // It goes on retransmitting, and being acknowledged.
            s.advance_to_next_timer();
            s.expect(seg().seq(1).ack(1).len(1000));
            s.inject(seg().seq(1).ack(1001));
            assert_eq!((s.state(), soft_error(&s)), (TcpState::Established, None));
        }
    }
    covers!("T-ICM-2", "ICV-3", "ICMP-14", "ICMP-15", "MUST-56");
}

#[test]
fn shld_25_a_hint_becomes_the_final_error() {
    for v6 in [false, true] {
        for (kind, code, says) in soft(v6) {
            let (mut s, packet) = in_flight(v6);
            s.inject_bytes(error(&s, kind, code, 0, &packet));
            s.advance(3600.secs());
            assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(says)), "{kind}/{code}");
            // An attempt survives all but the hard ones, which say that somebody is there and refuses.
            let (mut s, syn) = connecting(v6);
            s.inject_bytes(error(&s, kind, code, 0, &syn));
            if says == ConnectionError::Refused {
                assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(says)), "{kind}/{code}");
                continue;
            }
            assert_eq!((s.state(), soft_error(&s)), (TcpState::SynSent, Some(says)));
            s.advance(1.secs());
            s.expect(seg().syn().seq(0));
            s.advance(3600.secs());
            assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(says)), "{kind}/{code}");
        }
        // Without any hint the wait was simply too long.
        let (mut s, _) = connecting(v6);
        s.advance(3600.secs());
        assert_eq!(s.error(), Some(ConnectionError::TimedOut));
    }
    covers!("SHLD-25", "SHLD-26", "ICV-4", "ICMP-11", "MUST-56");
}

#[test]
fn icv_4_hard_errors_fail_opens_of_every_kind() {
    for v6 in [false, true] {
        let hard: &[(u8, u8)] = if v6 { &[(1, 1), (1, 4)] } else { &[(3, 2), (3, 3)] };
        for &(kind, code) in hard {
            // A simultaneous open.
            let (mut s, _) = connecting(v6);
            s.inject(seg().syn().seq(0));
            let syn_ack = s.take().unwrap().bytes.to_vec();
            assert_eq!(s.state(), TcpState::SynReceived);
            s.inject_bytes(error(&s, kind, code, 0, &syn_ack));
            assert_eq!((s.state(), s.error()), (TcpState::Closed, Some(ConnectionError::Refused)));
            // A passive one goes back to LISTEN without a word; soft errors leave it.
            let mut s = if v6 { Scene::builder().v6().listening() } else { Scene::listening() };
            s.inject(seg().syn().seq(0));
            let syn_ack = s.take().unwrap().bytes.to_vec();
            let soft = error(&s, kind, 0, 0, &syn_ack);
            assert_dropped(&mut s, &soft, DiscardReason::IcmpIgnored);
            let stale = error(&s, kind, code, 0, &with_seq(&syn_ack, 5));
            assert_dropped(&mut s, &stale, DiscardReason::IcmpIgnored);
            assert_eq!(s.state(), TcpState::SynReceived);
            s.inject_bytes(error(&s, kind, code, 0, &syn_ack));
            assert_eq!(s.state(), TcpState::Listen);
            s.expect_nothing();
        }
    }
    covers!("ICV-4", "SHLD-26");
}

#[test]
fn must_55_icv_7_icmp_16_icmp_17_source_quench_and_redirects_do_nothing() {
    for v6 in [false, true] {
        let (mut s, packet) = in_flight(v6);
        // Source quench, redirects, neighbour discovery, multicast listeners, and what nobody knows.
        let none: &[u8] =
            if v6 { &[130, 131, 132, 133, 134, 135, 136, 137, 143, 200, 255] } else { &[4, 5, 9, 10, 200] };
        for &kind in none {
            for code in 0..4 {
                let message = error(&s, kind, code, 0xcb00_71fe, &packet);
                assert_dropped(&mut s, &message, DiscardReason::IcmpIgnored);
            }
        }
        assert_eq!(soft_error(&s), None);
        assert_eq!(s.state(), TcpState::Established);
    }
    covers!("MUST-55", "ICV-7", "ICMP-2", "ICMP-16", "ICMP-17", "ICMP-22", "T-ICM-2");
}

#[test]
fn t_icm_6_icmp_12_icmp_13_quotes_are_read_with_care() {
    for v6 in [false, true] {
        let (mut s, packet) = in_flight(v6);
        let router = if v6 { "2001:db8:f::1".parse().unwrap() } else { [203, 0, 113, 254].into() };
        let (ours, kind) = (s.local().ip(), if v6 { 1 } else { 3 });
        let least = if v6 { 48 } else { 28 };
        // Cut at any byte.
        for len in 0..least {
            let digest = s.host().digest(s.now());
            s.inject_bytes(icmp(router, ours, kind, 0, 0, &packet[..len]));
            s.expect_nothing();
            assert_eq!(s.host().digest(s.now()), digest, "{len}");
        }
        // Any byte changed: nothing but a hint about this connection can come of it.
        for at in 0..least {
            for bit in 0..8 {
                let mut quoted = packet[..least].to_vec();
                quoted[at] ^= 1 << bit;
                s.inject_bytes(icmp(router, ours, kind, 0, 0, &quoted));
                assert_eq!((s.state(), s.error()), (TcpState::Established, None));
            }
        }
        s.inject(seg().seq(1).ack(1001));
        // Behind options, or extension headers, as a router far away may see them.
        s.send([8; 1000]);
        let packet = s.take().unwrap().bytes.to_vec();
        let mut quoted = packet[..least].to_vec();
        if v6 {
            quoted.splice(40..40, [6, 0, 1, 4, 0, 0, 0, 0]);
            quoted[6] = Protocol::DESTINATION_OPTIONS.0;
        } else {
            quoted.splice(20..20, [1; 8]);
            quoted[0] = 0x47;
        }
        let len = u16::from_be_bytes(if v6 { [packet[4], packet[5]] } else { [packet[2], packet[3]] }) + 8;
        let field = if v6 { 4 } else { 2 };
        quoted[field..field + 2].copy_from_slice(&len.to_be_bytes());
        assert_eq!(soft_error(&s), None);
        s.inject_bytes(icmp(router, ours, kind, 0, 0, &quoted));
        assert_eq!(soft_error(&s), Some(ConnectionError::NetworkUnreachable));
    }
    covers!("T-ICM-6", "ICMP-12", "ICMP-13");
}

#[test]
fn errors_about_connections_of_any_address_find_them() {
    // Whose an error is its tuple decides, not the list of addresses.
    let mut s = Scene::builder().endpoint(|endpoint| endpoint.any_address = true).listening();
    let away = "198.51.100.77".parse().unwrap();
    let syn = s.packet(&seg().syn().seq(0).mss(1460)).bytes.to_vec();
    let retarget = |bytes: &[u8], src: std::net::IpAddr, dst: std::net::IpAddr| {
        let view = carrick_wire::IpView::parse(bytes).unwrap();
        let mut tcp = view.payload().to_vec();
        tcp[16..18].fill(0);
        let mut sum = carrick_wire::Checksum::pseudo_header(src, dst, Protocol::TCP, tcp.len());
        sum.add(&tcp);
        tcp[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        crate::common::ip(src, dst, Protocol::TCP, &tcp)
    };
    let peer = s.remote().ip();
    s.inject_bytes(retarget(&syn, peer, away));
    let syn_ack = s.take().expect("a listener for any address takes it");
    assert!(syn_ack.segment().unwrap().has(TcpFlags::SYN));
    assert_eq!(s.host().endpoint().half_open(), 1);
    let router = [203, 0, 113, 254].into();
    s.inject_bytes(icmp(router, away, 3, 3, 0, &syn_ack.bytes[..28]));
    assert_eq!(s.host().endpoint().half_open(), 0);
    // Everything else to that address stays unanswered.
    let echo = crate::common::echo(peer, away, b"?");
    assert_dropped(&mut s, &echo, DiscardReason::NotOurs);
}
