//! From the cradle to TIME-WAIT: crossing opens and closes, old duplicates, two sides out of step, odd addresses.

use crate::common::*;
use crate::stage::{Stage, Variant};
use carrick_core::{
    Checksum, Cidr, Connection, ConnectionError, ConnectionId, Cx, DiscardReason, Dispatch, Endpoint,
    EndpointConfig, Event, Frame, Input, Instant, ListenAddr, ListenConfig, Taken, TcpState,
};
use carrick_covers::covers;
use carrick_sim::{Host, HostConfig, Scene, Span, seg};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

#[test]
fn must_10_two_syns_that_cross_make_one_connection() {
    let mut s = Scene::connecting();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    assert_eq!(s.state(), TcpState::SynReceived);
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Established);
    assert_eq!(s.host().endpoint().connections(), 1);
    covers!("MUST-10");
}

#[test]
fn must_11_syn_received_knows_where_it_came_from() {
    let mut s = Scene::listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().rst().seq(1));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Listen);
    assert!(!s.accept());
    let mut s = Scene::connecting();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().rst().seq(1));
    assert_eq!(s.error(), Some(ConnectionError::Refused));
    assert!(s.events().contains(&Event::Closed));
    covers!("MUST-11");
}

#[test]
fn must_12_an_end_and_a_reset_are_never_taken_for_one_another() {
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).len(3));
    s.inject(seg().fin().seq(4).ack(1));
    assert_eq!(s.read().len(), 3);
    assert!(s.at_end() && s.error().is_none());
    let mut s = Scene::established();
    s.inject(seg().seq(1).ack(1).len(3));
    s.inject(seg().rst().seq(4));
    assert_eq!(s.read().len(), 3);
    assert!(!s.at_end());
    assert_eq!(s.error(), Some(ConnectionError::Reset));
    covers!("MUST-12");
}

#[test]
fn must_42_a_port_can_be_listened_on_while_a_connection_opens_from_it() {
    let mut s = Scene::connecting();
    let port = s.local().port().try_into().ok();
    let config = ListenConfig { backlog: 4, ..ListenConfig::default() };
    let listener =
        s.host_mut().listen(ListenAddr { address: None, port }, config).expect("a record of its own");
    s.inject(seg().syn().seq(7).ports(41_000, s.local().port()));
    let answer = s.take().expect("a SYN,ACK");
    let iss = answer.segment().expect("a segment").tcp.seq.get().wrapping_sub(1_000_000);
    s.inject(seg().seq(8).ack(iss.wrapping_add(1)).ports(41_000, s.local().port()).no_ts());
    s.inject(seg().syn().seq(0).ack(1));
    assert_eq!(s.state(), TcpState::Established);
    assert!(s.host_mut().accept(listener).is_some());
    covers!("MUST-42");
}

#[test]
fn shld_2_a_reset_may_carry_text() {
    for text in [1, 10, 5000] {
        let mut s = Scene::established();
        s.inject(seg().rst().seq(1).len(text));
        s.expect_nothing();
        assert_eq!((s.error(), s.read().len()), (Some(ConnectionError::Reset), 0));
    }
    covers!("SHLD-2");
}

#[test]
fn t_lif_4_nothing_but_time_ends_time_wait() {
    for situation in ["TW", "TWr", "TW+ts", "TWr+ts"] {
        let mut stage = Stage::new(situation, Variant::all(situation)[0]);
        let Stage { una, nxt, rcv, edge, .. } = stage;
        let s = &mut stage.scene;
        // TIME-WAIT began 10 ms ago.
        let ends = s.now() + (240_000 - 10).ms();
        for seq in [0, 1, rcv - 1, rcv, rcv + 1, edge, edge + 1, 1 << 31] {
            for ack in [0, 1, una, nxt, nxt + 1] {
                s.inject(seg().rst().seq(seq));
                s.inject(seg().rst().seq(seq).ack(ack));
                s.inject(seg().seq(seq).ack(ack));
                s.inject(seg().seq(seq).ack(ack).len(100));
                s.inject(seg().syn().seq(seq).ack(ack));
            }
        }
        assert!(sent(s).len() <= 10, "{situation}");
        assert_eq!(s.state(), TcpState::TimeWait);
        s.advance(ends.since(s.now()) - 1.ms());
        assert_eq!(s.state(), TcpState::TimeWait);
        s.advance(2.ms());
        assert_eq!(s.state(), TcpState::Closed, "{situation}");
    }
    covers!("T-LIF-4");
}

#[test]
fn t_lif_8_closes_and_opens_that_cross() {
    // Simultaneous close.
    let mut s = Scene::established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(1));
    s.expect(seg().seq(2).ack(2));
    s.inject(seg().seq(2).ack(2));
    assert_eq!(s.state(), TcpState::TimeWait);
    // Simultaneous open in which the peer's SYN,ACK is lost, ours is, and an ACK alone completes it.
    let mut s = Scene::connecting();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.inject(seg().seq(1).ack(1));
    s.expect_nothing();
    assert_eq!(s.state(), TcpState::Established);
    // Then an old SYN,ACK draws an ACK and no more.
    s.inject(seg().syn().seq(0).ack(1));
    s.expect(seg().seq(1).ack(1));
    s.expect_nothing();
    covers!("T-LIF-8");
}

const NOW: Cx = Cx::new(Instant::ZERO);

/// Lets a connection talk to itself through packets that never leave the stack.
fn to_itself(endpoint: &mut Endpoint, id: ConnectionId, connection: &mut Connection) -> usize {
    for packets in 0.. {
        let mut due = Vec::new();
        while let Some(transmit) = connection.poll_transmit(&NOW, NonZeroUsize::MAX) {
            due.push(transmit.header().to_vec());
            transmit.sent(Taken::All);
        }
        if due.is_empty() {
            return packets;
        }
        assert!(packets < 10, "a loop");
        for packet in due {
            let frame = Frame::new(&packet).with_checksum(Checksum::Verified).looped();
            match endpoint.handle_frame(&NOW, frame) {
                Dispatch::Existing(to, input @ Input::Segment(_)) if to == id => {
                    let outcome = connection.handle_input(&NOW, input);
                    endpoint.record_outcome(outcome);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    unreachable!("the loop ends by itself")
}

/// A connection from a port to itself is a simultaneous open with oneself.
#[test]
fn t_mal_15_a_connection_to_its_own_port() {
    let own: SocketAddr = "192.0.2.2:7".parse().expect("an address");
    let addresses = vec![Cidr::new(own.ip(), 24)];
    let config = EndpointConfig { addresses, ..EndpointConfig::default() };
    let mut endpoint = Endpoint::new(Arc::new(config), [1; 32]);
    let (id, mut connection) = endpoint.connect(&NOW, Some(own), own, Arc::default()).expect("it may");
    to_itself(&mut endpoint, id, &mut connection);
    assert_eq!(connection.state(), TcpState::Established);
    connection.finish(&NOW);
    to_itself(&mut endpoint, id, &mut connection);
    assert_eq!(connection.state(), TcpState::TimeWait);

    // From a link such a packet is forged, and a listener does not answer it.
    let mut s = Scene::listening();
    for syn in [seg().syn().seq(0), seg().syn().seq(0).ack(1)] {
        let packet = s.packet(&syn.ports(80, 80));
        let mut bytes = packet.bytes.to_vec();
        bytes.copy_within(16..20, 12);
        let packet = rebuilt(&bytes[..20], &bytes[20..]);
        s.inject_packet(&packet);
        s.expect_nothing();
    }
    assert_eq!(counters(&s).discarded(DiscardReason::OwnSource), 2);
    assert_eq!(s.state(), TcpState::Listen);
    covers!("T-MAL-15", "T-LIF-8");
}

#[test]
fn t_mal_14_port_0_is_nobodys() {
    for mut s in [Scene::listening(), Scene::established(), Scene::builder().v6().listening()] {
        let before = digest(&s);
        for (n, (src, dst)) in [(0, 80), (40_000, 0), (0, 0)].into_iter().enumerate() {
            for seg in [seg().syn().seq(0), seg().seq(1).ack(1), seg().rst().seq(1)] {
                let packet = s.packet(&seg.ports(src, dst));
                s.inject_packet(&packet);
                s.expect_nothing();
            }
            assert_eq!(counters(&s).discarded(DiscardReason::PortZero), 3 * (n as u64 + 1));
        }
        assert_eq!(digest(&s), before);
    }
    covers!("T-MAL-14");
}

#[test]
fn t_lif_9_nothing_of_an_earlier_incarnation_is_delivered() {
    for timestamps in [false, true] {
        // The first incarnation: we accept, the peer sends, we close first.
        let mut s = Scene::builder().timestamps(timestamps).accepted();
        let old_text = s.packet(&seg().seq(1).ack(1).data(b"old text"));
        let old_fin = s.packet(&seg().fin().seq(9).ack(2));
        let old_ack = s.packet(&seg().seq(1).ack(1));
        let old_syn = s.packet(&seg().syn().seq(0));
        s.inject_packet(&old_text);
        assert_eq!(s.read().len(), 8);
        s.finish();
        s.inject_packet(&old_fin);
        assert_eq!(s.state(), TcpState::TimeWait);
        s.close();
        sent(&mut s);
        // An old SYN opens nothing. The next incarnation opens out of TIME-WAIT, a second later.
        s.advance(1.secs());
        if !timestamps {
            s.inject_packet(&old_syn);
            s.expect_nothing();
        }
        s.inject(seg().syn().seq(100));
        let answer = s.take().expect("a SYN,ACK");
        let iss = answer.segment().expect("a segment").tcp.seq.get().wrapping_sub(1_000_000);
        s.inject(seg().seq(101).ack(iss + 1));
        assert!(s.accept());
        sent(&mut s);
        for old in [&old_text, &old_fin, &old_ack, &old_syn, &old_text] {
            s.inject_packet(old);
        }
        assert_eq!((s.state(), s.read().len()), (TcpState::Established, 0));
        sent(&mut s);
        s.inject(seg().seq(101).ack(iss + 1).data(b"new"));
        s.expect(seg().seq(iss + 1).ack(104));
        assert_eq!(s.read(), b"new");
    }
    covers!("T-LIF-9");
}

/// Two hosts whose ideas of the conversation differ answer each other's ACKs for a while, and stop.
#[test]
fn t_lif_10_two_sides_out_of_step_fall_silent() {
    let address = |n: u8| Cidr::new([192, 0, 2, n].into(), 24);
    let host = |n: u8| {
        let endpoint = EndpointConfig { addresses: vec![address(n)], ..EndpointConfig::default() };
        Host::new(HostConfig::new(endpoint, u64::from(n)))
    };
    let (mut a, mut b) = (host(1), host(2));
    let mut now = Instant::ZERO;
    let config = ListenConfig { backlog: 4, ..ListenConfig::default() };
    let listener = b.listen(ListenAddr { address: None, port: 80.try_into().ok() }, config).expect("free");
    let remote = SocketAddr::new(address(2).address, 80);
    let from_a = a.connect(now, None, remote, Arc::default()).expect("free");
    let exchange = |a: &mut Host, b: &mut Host, now: Instant| -> usize {
        let mut count = 0;
        loop {
            let (to_b, to_a) = (a.take_packets(), b.take_packets());
            if to_b.is_empty() && to_a.is_empty() {
                return count;
            }
            count += to_b.len() + to_a.len();
            assert!(count < 10_000, "for ever");
            to_b.iter().for_each(|packet| b.receive(now, packet));
            to_a.iter().for_each(|packet| a.receive(now, packet));
        }
    };
    exchange(&mut a, &mut b, now);
    let from_b = b.accept(listener).expect("established");
    let numbers = |host: &Host, id| host.connection(id).and_then(Connection::sequence_numbers).expect("open");
    // Each is given text that the other never sent, so that each acknowledges what the other does not know.
    let forge = |host: &mut Host, id: ConnectionId, now: Instant| {
        let [una, _, rcv, _] = numbers(host, id);
        let tuple = *host.connection(id).expect("alive").tuple();
        let timestamps = carrick_wire::Timestamps { val: 0, ecr: 0 };
        let tcp = carrick_wire::TcpHeader {
            src_port: tuple.remote_port,
            dst_port: tuple.local_port,
            seq: rcv,
            ack: una,
            flags: carrick_wire::TcpFlags::ACK,
            window: carrick_wire::WireWindow::new(1000),
            options: carrick_wire::TcpOptions { timestamps: Some(timestamps), ..Default::default() },
            ..Default::default()
        };
        let mut segment = vec![0; tcp.header_len()];
        tcp.emit(&mut segment).expect("it fits");
        segment.extend_from_slice(&[7; 500]);
        let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0];
        for address in [tuple.remote, tuple.local] {
            let std::net::IpAddr::V4(v4) = address else { panic!("IPv4") };
            ip.extend(v4.octets());
        }
        // The peer's clock is not known here; a timestamp far ahead of it passes.
        for ahead in [0u32, 1 << 30, 1 << 31, 3 << 30] {
            let mut segment = segment.clone();
            let at = segment.len() - 500 - 12;
            let place = segment[at..].windows(2).position(|pair| pair == [8, 10]).expect("the option") + at;
            segment[place + 2..place + 6].copy_from_slice(&ahead.to_be_bytes());
            host.receive(now, &rebuilt(&ip, &segment));
        }
        assert!(numbers(host, id)[2] != rcv, "the forged text was taken");
    };
    forge(&mut a, from_a, now);
    forge(&mut b, from_b, now);
    let mut packets = exchange(&mut a, &mut b, now);
    for _ in 0..600 {
        now += 1.secs();
        for host in [&mut a, &mut b] {
            if host.poll_timeout().is_some_and(|due| due <= now) {
                host.expire(now);
            }
        }
        packets += exchange(&mut a, &mut b, now);
    }
    // Ten answers each in the first moment, and then nobody has anything to say.
    assert!(packets <= 40, "{packets} packets in ten minutes");
    assert!(packets >= 2, "they did disagree");
    covers!("T-LIF-10", "CHAL-8");
}

#[test]
fn t_seq_4_a_clock_that_has_wrapped_while_nothing_was_said() {
    for days in [25, 50, 500u64] {
        let mut s = Scene::builder().timestamps(true).established();
        s.advance((days * 24 * 3600).secs());
        s.inject(seg().seq(1).ack(1).len(100));
        s.expect(seg().seq(1).ack(101));
        s.send([7; 100]);
        s.expect(seg().seq(1).ack(101).len(100));
        s.inject(seg().seq(101).ack(101));
        assert_eq!(s.connection().expect("alive").unacknowledged(), 0);
    }
    covers!("T-SEQ-4");
}
