//! Seen: a device without room held back the ACK of the peer's FIN, the connection left its TIME-WAIT record behind
//! before that, and the ACK was never sent. A record answers only what comes again, so the peer had to repeat its FIN,
//! and waited in vain where the stack had ended meanwhile, which TIME-WAIT does not keep it from.

use carrick_core::{
    Checksum, Cidr, Connection, ConnectionConfig, ConnectionId, Cx, Dispatch, Endpoint, EndpointConfig,
    EndpointEvent, Frame, Input, Instant, ListenAddr, ListenConfig, Taken, TcpState,
};
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;

struct Host {
    endpoint: Endpoint,
    connection: Option<(ConnectionId, Box<Connection>)>,
}

impl Host {
    fn new(n: u8) -> Self {
        let addresses = vec![Cidr::new([192, 0, 2, n].into(), 24)];
        let config = EndpointConfig { addresses, ..EndpointConfig::default() };
        Self { endpoint: Endpoint::new(Arc::new(config), [n; 32]), connection: None }
    }

    fn connection(&mut self) -> &mut Connection {
        &mut self.connection.as_mut().expect("there").1
    }

    /// Lets everything that is due leave.
    fn packets(&mut self, cx: &Cx) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(cx) {
            packets.push(transmit.header().to_vec());
            transmit.sent(Taken::All);
        }
        if let Some((_, connection)) = &mut self.connection {
            while let Some(transmit) = connection.poll_transmit(cx, NonZeroUsize::MAX) {
                packets.push(transmit.header().to_vec());
                transmit.sent(Taken::All);
            }
        }
        packets
    }

    fn receive(&mut self, cx: &Cx, packets: Vec<Vec<u8>>) {
        for packet in packets {
            let frame = Frame::new(&packet).with_checksum(Checksum::Verified);
            let outcome = match self.endpoint.handle_frame(cx, frame) {
                Dispatch::Existing(_, input) => self.connection().handle_input(cx, input),
                Dispatch::Opened(_, id, connection, segment) => {
                    self.connection = Some((id, connection));
                    self.connection().handle_input(cx, Input::Segment(segment))
                }
                _ => continue,
            };
            self.endpoint.record_outcome(outcome);
        }
    }
}

#[test]
fn the_last_ack_leaves_before_the_record_takes_over() {
    let cx = Cx::new(Instant::from_nanos(1_000));
    let (mut client, mut server) = (Host::new(1), Host::new(2));
    let port_80 = ListenAddr { address: None, port: NonZeroU16::new(80) };
    server.endpoint.listen(port_80, ListenConfig::default()).expect("free");
    let to = "192.0.2.2:80".parse().expect("an address");
    let config = Arc::new(ConnectionConfig::default());
    client.connection = Some(client.endpoint.connect(&cx, None, to, config).expect("free"));
    for _ in 0..3 {
        server.receive(&cx, client.packets(&cx));
        client.receive(&cx, server.packets(&cx));
    }
    client.connection().close(&cx);
    server.receive(&cx, client.packets(&cx));
    server.connection().close(&cx);
    client.receive(&cx, server.packets(&cx));
    // The ACK of the FIN is due, and the device has no room: nobody takes it.
    assert_eq!(client.connection().state(), TcpState::TimeWait);
    assert!(client.connection().poll_transmit(&cx, NonZeroUsize::MAX).is_some());
    assert_eq!(client.connection().poll_endpoint_event(), None);
    // There is room again.
    server.receive(&cx, client.packets(&cx));
    let event = client.connection().poll_endpoint_event();
    assert!(matches!(event, Some(EndpointEvent::TimeWait(_))), "{event:?}");
    assert_eq!(server.connection().state(), TcpState::Closed);
}
