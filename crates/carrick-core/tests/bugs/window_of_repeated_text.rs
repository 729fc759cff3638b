//! Seen: the peer sent its text again, with a newer acknowledgment and a smaller window. By WL1 alone the segment
//! was too old to say anything of the window, so SND.UNA moved on, the old window moved with it, and more was
//! sent than the peer had room for. A newer acknowledgment is a newer segment, whatever its number.

use carrick_sim::{Scene, seg};

#[test]
fn a_newer_acknowledgment_brings_its_window_whatever_its_number() {
    let mut s = Scene::established();
    s.send([1; 1000]);
    s.expect(seg().seq(1).ack(1).len(1000));
    s.inject(seg().seq(101).ack(1).window(4000).len(10));
    s.expect(seg().seq(1001).ack(1));
    s.inject(seg().seq(1).ack(1001).window(1460).len(100));
    s.expect(seg().seq(1001).ack(111));
    s.send([2; 5000]);
    s.expect(seg().seq(1001).ack(111).len(1460));
    s.expect_nothing();
}
