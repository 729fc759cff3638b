//! Seen: an ACK without text, sent while urgent text was on its way, carried the distance of the mark from SND.UNA,
//! though its own number was SND.NXT: the peer took what was written later for urgent. A FIN alone did the same, and
//! named a byte behind the end of the stream.

use carrick_sim::{Scene, seg};

#[test]
fn an_ack_behind_the_urgent_text_has_no_pointer() {
    let mut s = Scene::established();
    s.send_urgent(b"abc");
    s.expect(seg().urg(3).psh().seq(1).ack(1).data(b"abc"));
    s.inject(seg().seq(1).ack(1).len(10));
    s.expect(seg().flags(carrick_wire::TcpFlags::ACK).seq(4).ack(11));
    s.finish();
    s.expect(seg().flags(carrick_wire::TcpFlags::ACK | carrick_wire::TcpFlags::FIN).seq(4).ack(11));
}

/// Part of the urgent text has left: the pointer of an ACK counts from the ACK's own number.
#[test]
fn an_ack_in_the_middle_points_to_the_same_byte() {
    let mut s = Scene::builder().window(1000).established();
    s.send_urgent([7; 1500]);
    s.expect(seg().urg(1500).seq(1).ack(1).len(1000));
    s.inject(seg().seq(1).ack(1).len(10));
    s.expect(seg().urg(500).seq(1001).ack(11));
    s.expect_nothing();
}
