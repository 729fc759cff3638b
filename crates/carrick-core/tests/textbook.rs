//! The conversation that the teaching material tells, number for number: ISS 100 against ISS 2000, 100 bytes one
//! way and 500 the other, then the four-way close; once with us as the client, once as the server, and once
//! with data still flowing after the first FIN.
//!
//! Numbers are absolute here, so the segments are read raw.

use carrick_core::Instant;
use carrick_sim::{Scene, Span, TcpState, seg};
use carrick_wire::TcpFlags;

const CLIENT: u32 = 100;
const SERVER: u32 = 2000;
const MSL: u64 = 120;

/// Sequence number, acknowledgment and length of our next segment, and its flags as tcpdump prints them.
#[track_caller]
fn ours(s: &mut Scene) -> (u32, u32, usize, String) {
    let packet = s.take().unwrap_or_else(|| panic!("nothing was sent\n{}", s.transcript()));
    let segment = packet.segment().expect("a TCP segment");
    let tcp = segment.tcp;
    assert!(tcp.flags.contains(TcpFlags::ACK) || tcp.ack.get() == 0);
    (tcp.seq.get(), tcp.ack.get(), segment.payload.len(), tcp.flags.to_string())
}

fn says(seq: u32, ack: u32, len: usize, flags: &str) -> (u32, u32, usize, String) {
    (seq, ack, len, flags.to_string())
}

/// Handshake and both texts, seen from the client, who is real.
fn client() -> Scene {
    let mut s = Scene::builder().isn(CLIENT, SERVER).build();
    s.connect();
    assert_eq!(ours(&mut s), says(100, 0, 0, "[S]"));
    assert_eq!(s.state(), TcpState::SynSent);
    s.inject(seg().syn().seq(0).ack(1));
    assert_eq!(ours(&mut s), says(101, 2001, 0, "[.]"));
    assert_eq!(s.state(), TcpState::Established);
    s.send([b'q'; 100]);
    assert_eq!(ours(&mut s), says(101, 2001, 100, "[P.]"));
    s.inject(seg().psh().seq(1).ack(101).len(500));
    assert_eq!(ours(&mut s), says(201, 2501, 0, "[.]"));
    assert_eq!(s.read().len(), 500);
    s
}

/// The same, seen from the server, who is real.
fn server() -> Scene {
    let mut s = Scene::builder().isn(SERVER, CLIENT).listening();
    s.inject(seg().syn().seq(0));
    assert_eq!(ours(&mut s), says(2000, 101, 0, "[S.]"));
    assert_eq!(s.state(), TcpState::SynReceived);
    s.inject(seg().seq(1).ack(1));
    assert!(s.accept());
    assert_eq!(s.state(), TcpState::Established);
    s.inject(seg().psh().seq(1).ack(1).len(100));
    // The acknowledgment of the question may travel with the answer or before it.
    assert_eq!(ours(&mut s), says(2001, 201, 0, "[.]"));
    assert_eq!(s.read().len(), 100);
    s.send([b'a'; 500]);
    assert_eq!(ours(&mut s), says(2001, 201, 500, "[P.]"));
    s.inject(seg().seq(101).ack(501));
    s.expect_nothing();
    s
}

#[test]
fn the_client_closes_first() {
    let mut s = client();
    s.finish();
    assert_eq!(ours(&mut s), says(201, 2501, 0, "[F.]"));
    assert_eq!(s.state(), TcpState::FinWait1);
    s.inject(seg().seq(501).ack(102));
    assert_eq!(s.state(), TcpState::FinWait2);
    s.inject(seg().fin().seq(501).ack(102));
    assert_eq!(ours(&mut s), says(202, 2502, 0, "[.]"));
    assert_eq!(s.state(), TcpState::TimeWait);
    s.expect_nothing();
    s.advance((2 * MSL).secs() - 1.ns());
    assert_eq!(s.state(), TcpState::TimeWait);
    s.advance(1.ns());
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.error(), None);
    assert!(s.now() > Instant::ZERO);
}

#[test]
fn the_server_closes_second() {
    let mut s = server();
    s.inject(seg().fin().seq(101).ack(501));
    assert_eq!(ours(&mut s), says(2501, 202, 0, "[.]"));
    assert_eq!(s.state(), TcpState::CloseWait);
    assert!(s.at_end());
    s.finish();
    assert_eq!(ours(&mut s), says(2501, 202, 0, "[F.]"));
    assert_eq!(s.state(), TcpState::LastAck);
    s.inject(seg().seq(102).ack(502));
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.error(), None);
    s.expect_nothing();
}

#[test]
fn the_client_closes_its_half_and_the_server_goes_on_talking() {
    let mut s = client();
    s.finish();
    assert_eq!(ours(&mut s), says(201, 2501, 0, "[F.]"));
    s.inject(seg().seq(501).ack(102));
    assert_eq!(s.state(), TcpState::FinWait2);
    for i in 0..3 {
        s.inject(seg().psh().seq(501 + 300 * i).ack(102).len(300));
        assert_eq!(ours(&mut s), says(202, 2801 + 300 * i, 0, "[.]"));
        assert_eq!(s.read().len(), 300);
        s.advance(3600.secs());
        assert_eq!(s.state(), TcpState::FinWait2);
    }
    s.inject(seg().fin().seq(1401).ack(102));
    assert_eq!(ours(&mut s), says(202, 3402, 0, "[.]"));
    assert_eq!(s.state(), TcpState::TimeWait);
    assert!(s.at_end());
}

#[test]
fn the_server_goes_on_talking_after_the_clients_fin() {
    let mut s = server();
    s.inject(seg().fin().seq(101).ack(501));
    assert_eq!(ours(&mut s), says(2501, 202, 0, "[.]"));
    for i in 0..3 {
        s.send([b'm'; 300]);
        assert_eq!(ours(&mut s), says(2501 + 300 * i, 202, 300, "[P.]"));
        s.inject(seg().seq(102).ack(801 + 300 * i));
        assert_eq!(s.state(), TcpState::CloseWait);
    }
    s.finish();
    assert_eq!(ours(&mut s), says(3401, 202, 0, "[F.]"));
    s.inject(seg().seq(102).ack(1402));
    assert_eq!(s.state(), TcpState::Closed);
    assert_eq!(s.error(), None);
}
