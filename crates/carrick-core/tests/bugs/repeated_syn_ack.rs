//! The peer's SYN came twice, and so our SYN,ACK left twice without its timer. The ACK was taken as the answer to the
//! first: a round trip of 5 ms was measured as 955 ms (Karn's rule, RFC 6298 §3), and text was repeated after 2.9 s.

use crate::support::*;
use carrick_core::ListenConfig;
use carrick_sim::Span;
use carrick_wire::TcpOptions;

#[test]
fn a_syn_ack_that_left_twice_measures_nothing() {
    for repeated in [false, true] {
        let (mut node, _) = Node::listening(config(), ListenConfig::default());
        let request = syn(addr(CLIENT), addr(HTTP), 5000, TcpOptions::default());
        let mut now = start();
        node.receive(now, &request);
        if repeated {
            now += 950.ms();
            node.receive(now, &request);
        }
        let iss = node.replies().pop().unwrap().tcp.seq.get();
        now += 5.ms();
        assert_eq!(node.receive(now, &completing(iss, b"")), Seen::Opened);
        let id = node.opened[0].1;
        node.act(now, id, |connection, cx| connection.send(cx, b"hello"));
        let due = node.cells[&id].poll_timeout().unwrap();
        // Without a measurement the first timeout of all (RFC 6298 §2.1).
        let rto = if repeated { 1.secs() } else { 205.ms() };
        assert_eq!(due, now + rto, "repeated: {repeated}");
    }
}
