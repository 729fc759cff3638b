//! When a writer may write: room asked for without writing, and the limit of what is not sent yet.

use carrick_core::{Event, SendError};
use carrick_sim::{Scene, pattern, seg};

fn ask(s: &mut Scene) -> bool {
    s.with("ask for room", |connection, cx| connection.ask_room(cx))
}

#[test]
fn who_asks_for_room_is_told_of_it_without_having_written() {
    let mut s = Scene::builder().mss(1000).window(0).config(|c| c.send_buffer = 4000).established();
    s.inject(seg().seq(1).ack(1).window(0));
    s.events();
    assert!(ask(&mut s));
    s.send([1; 4000]);
    // The write took all: nobody was turned away, so nobody is told unless he asks.
    assert!(!ask(&mut s));
    s.inject(seg().seq(1).ack(1).window(1000));
    assert_eq!(s.take().unwrap().segment().unwrap().payload.len(), 1000);
    s.events();
    s.inject(seg().seq(1).ack(1001).window(0));
    assert_eq!(s.events(), [Event::Writable]);
    assert!(ask(&mut s));
}

#[test]
fn asking_at_the_end_is_no_waiting() {
    let mut s = Scene::established();
    s.finish();
    assert!(ask(&mut s), "a write would fail, which is no waiting");
    let mut s = Scene::established();
    s.inject(seg().rst().seq(1));
    s.with("ask for room", |connection, cx| assert!(connection.ask_room(cx) && connection.send_closed()));
}

#[test]
fn no_more_is_taken_than_may_be_unsent() {
    let builder = Scene::builder().mss(1000).window(3000).config(|c| c.notsent_lowat = Some(2000));
    let mut s = builder.established();
    s.events();
    // 3,000 bytes leave as the window allows, in as many steps as the limit asks for; 2,000 stay.
    let mut written = 0;
    loop {
        match s.try_send(&[1; 10_000]) {
            Ok(n) => written += n,
            Err(error) => {
                assert_eq!(error, SendError::Full);
                break;
            }
        }
    }
    assert_eq!(written, 5000);
    let unsent =
        |s: &mut Scene| s.with("look", |connection, _| (connection.unsent(), connection.send_room()));
    assert_eq!(unsent(&mut s), (2000, 0));
    s.events();
    while s.take().is_some() {}
    // Half of the limit is free, and that is by sending, not by acknowledgment alone.
    s.inject(seg().seq(1).ack(1001).window(3000));
    assert_eq!(unsent(&mut s), (1000, 1000));
    assert_eq!(s.events(), [Event::Writable]);
    // Without the limit the buffer counts again, and who waits is told.
    assert_eq!(s.try_send(&[1; 10_000]), Ok(1000));
    s.events();
    s.with("lift the limit", |connection, cx| connection.set_notsent_lowat(cx, None));
    assert_eq!(s.events(), [Event::Writable]);
    assert_eq!(s.with("ask", |connection, _| connection.notsent_lowat()), None);
    assert_eq!(s.try_send(&[1; 10_000]), Ok(10_000));
}

#[test]
fn a_limit_of_nothing_is_a_byte() {
    let mut s = Scene::builder().window(0).config(|c| c.notsent_lowat = Some(0)).established();
    s.inject(seg().seq(1).ack(1).window(0));
    assert_eq!(s.try_send(b"ab"), Ok(1));
    assert_eq!(s.try_send(b"b"), Err(SendError::Full));
}

/// All that a stack holds counts, here text that has come and is not read.
#[test]
fn a_buffer_that_tunes_itself_takes_less_where_memory_is_short() {
    const BUDGET: usize = 4 << 20;
    let builder = Scene::builder().mss(1000).window_scale(4).budget(BUDGET).config(|c| {
        (c.send_buffer, c.tune_send_buffer) = (16 << 20, true);
        c.receive_buffer = 4 << 20;
    });
    let mut s = builder.established();
    let info = |s: &Scene| s.connection().unwrap().tcp_info().unwrap();
    let (mut sent, mut come) = (0, 0);
    let text = pattern(0, 4 << 20);
    // How much is taken of all that there is, and the window then. Meanwhile so much of the budget is used by what is unread.
    let mut taken_at = |s: &mut Scene, percent: usize| {
        while s.host().used() * 100 < percent * BUDGET {
            s.inject(seg().seq(1 + come as u32).ack(1 + sent).data(pattern(come, 1000)));
            come += 1000;
            while s.take().is_some() {}
        }
        let (window, taken) = (info(s).congestion_window as usize, s.try_send(&text).unwrap());
        for rounds in 0.. {
            while let Some(packet) = s.take() {
                sent += packet.segment().unwrap().payload.len() as u32;
            }
            if info(s).unacknowledged == 0 {
                break;
            }
            assert!(rounds < 1000, "{}", s.transcript());
            s.inject(seg().ack(1 + sent));
        }
        (taken, window.min(65_535 << 4))
    };
    for _ in 0..2 {
        taken_at(&mut s, 0);
    }
    for (percent, times) in [(0, 2), (60, 1), (80, 0)] {
        let (taken, window) = taken_at(&mut s, percent);
        assert!(window > 128 << 10, "{window}");
        assert_eq!(taken, (times * window).max(128 << 10), "{percent} % used, a window of {window}");
    }
}
