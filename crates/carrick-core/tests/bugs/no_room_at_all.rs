//! Seen: a device that never has room. A SYN that could not leave started no timer, so an attempt never ended; nor did a
//! connection whose text, or whose end, was written when nothing was under way: its persist timer ran, and counted nothing.

use crate::support::*;
use carrick_core::{
    Connection, ConnectionConfig, ConnectionError, Cx, Endpoint, Instant, ListenConfig, Taken, TcpState,
};
use carrick_sim::Span;
use carrick_wire::TcpOptions;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Looks at what is due, and sends nothing of it.
fn refused(connection: &mut Connection, now: Instant) -> bool {
    connection.poll_transmit(&Cx::new(now), NonZeroUsize::MAX).is_some()
}

fn taken(connection: &mut Connection, now: Instant) {
    connection.poll_transmit(&Cx::new(now), NonZeroUsize::MAX).expect("something is due").sent(Taken::All);
}

/// When it ended, from `now` on, and how often a timer ran before.
fn wait_for_the_end(connection: &mut Connection, mut now: Instant) -> (Instant, usize) {
    let mut timers = 0;
    while connection.state() != TcpState::Closed {
        assert!(refused(connection, now), "it stays due");
        let next = connection.poll_timeout().expect("a timer runs");
        assert!(next > now);
        now = next;
        connection.handle_timeout(&Cx::new(now));
        timers += 1;
        assert!(timers < 100, "it never ends");
    }
    (now, timers)
}

fn connecting(config: ConnectionConfig) -> Box<Connection> {
    let endpoint_config = Arc::new(crate::support::config());
    let mut endpoint = Endpoint::new(endpoint_config, [7; 32]);
    endpoint.connect(&Cx::new(start()), None, addr(CLIENT), Arc::new(config)).unwrap().1
}

fn established(connection: ConnectionConfig) -> Box<Connection> {
    let listen = ListenConfig { connection, ..ListenConfig::default() };
    let (mut node, _) = Node::listening(config(), listen);
    let options = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
    node.handshake(start(), addr(CLIENT), addr(HTTP), options);
    let (_, id) = node.opened[0];
    node.cells.remove(&id).unwrap()
}

#[test]
fn an_attempt_whose_syn_never_leaves_ends_as_one_that_nobody_answers() {
    for user_timeout in [None, Some(5.secs())] {
        let config = ConnectionConfig { syn_retries: 2, user_timeout, ..ConnectionConfig::default() };
        let (mut silent, mut stuck) = (connecting(config.clone()), connecting(config));
        let mut now = start();
        taken(&mut silent, now);
        while silent.state() != TcpState::Closed {
            now = silent.poll_timeout().unwrap();
            silent.handle_timeout(&Cx::new(now));
            if silent.state() != TcpState::Closed {
                taken(&mut silent, now);
            }
        }
        let (end, _) = wait_for_the_end(&mut stuck, start());
        assert_eq!(end, now, "{user_timeout:?}");
        assert_eq!(stuck.error(), Some(ConnectionError::TimedOut));
    }
}

#[test]
fn a_syn_that_waited_for_room_gets_its_full_time_once_it_leaves() {
    let mut connection = connecting(ConnectionConfig::default());
    let later = start() + 900.ms();
    assert!(refused(&mut connection, later));
    taken(&mut connection, later);
    assert_eq!(connection.poll_timeout(), Some(later + 1.secs()));
}

#[test]
fn text_or_an_end_that_never_leaves_ends_the_connection_in_its_time() {
    let silent = {
        let mut connection = established(ConnectionConfig { retries: 4, ..ConnectionConfig::default() });
        let mut now = start();
        connection.send(&Cx::new(now), b"hello").unwrap();
        taken(&mut connection, now);
        while connection.state() != TcpState::Closed {
            now = connection.poll_timeout().unwrap();
            connection.handle_timeout(&Cx::new(now));
        }
        now
    };
    for finishes in [false, true] {
        let mut connection = established(ConnectionConfig { retries: 4, ..ConnectionConfig::default() });
        let cx = Cx::new(start());
        if finishes {
            connection.finish(&cx);
        } else {
            connection.send(&cx, b"hello").unwrap();
        }
        let (end, timers) = wait_for_the_end(&mut connection, start());
        assert_eq!((end, timers), (silent, 5), "finishes: {finishes}");
        assert_eq!(connection.error(), Some(ConnectionError::TimedOut));
    }
}

#[test]
fn text_that_waited_for_room_leaves_whole_and_gets_its_full_time() {
    let mut connection = established(ConnectionConfig::default());
    let mut now = start();
    connection.send(&Cx::new(now), &[7; 1000]).unwrap();
    for _ in 0..3 {
        assert!(refused(&mut connection, now));
        now = connection.poll_timeout().unwrap();
        connection.handle_timeout(&Cx::new(now));
    }
    now += 10.ms();
    let transmit = connection.poll_transmit(&Cx::new(now), NonZeroUsize::MAX).unwrap();
    assert_eq!((transmit.payload_len(), transmit.sent_before()), (1000, 0));
    transmit.sent(Taken::All);
    let info = connection.tcp_info().unwrap();
    assert_eq!(connection.poll_timeout(), Some(now + info.rto));
}

/// What does not leave for a rule of TCP is not held against anybody.
#[test]
fn what_we_hold_back_ourselves_counts_for_nothing() {
    let mut connection = established(ConnectionConfig::default());
    let mut now = start();
    connection.send_more(&Cx::new(now), b"hello").unwrap();
    assert!(!refused(&mut connection, now));
    now = connection.poll_timeout().unwrap();
    connection.handle_timeout(&Cx::new(now));
    assert_eq!(connection.tcp_info().unwrap().timeouts, 0);
    taken(&mut connection, now);
}
