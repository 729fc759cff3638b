//! Flows that share a bottleneck: what the report says is what happened.

use carrick_core::{ConnectionConfig, ConnectionError};
use carrick_sim::{
    Aqm, Blackouts, Bottleneck, CoDel, Flow, LinkConfig, Network, PacketKind, PathMtu, QueueLimit, Span,
};
use std::io::{self, Write};
use std::time::Duration;

const RATE: u64 = 10_000_000;

/// 10 Mbit/s and a round trip of 20 ms, with a queue of that.
fn path() -> LinkConfig {
    let queue = QueueLimit::bdp(RATE, 20.ms(), 1.0);
    let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(RATE) });
    LinkConfig { bottleneck, ..LinkConfig::delayed(10.ms()) }
}

fn network(flows: impl IntoIterator<Item = Flow>) -> Network {
    Network { flows: flows.into_iter().collect(), ..Network::new(7, path()) }
}

#[test]
fn a_short_flow_takes_its_round_trips_and_its_bits() {
    for (v6, header) in [(false, 52), (true, 72)] {
        let mut network = network([Flow { at: 5.secs(), access: 15.ms(), ..Flow::of(10_000) }]);
        network.v6 = v6;
        let report = network.run(60.secs()).unwrap();
        let flow = &report.flows[0];
        assert_eq!((flow.delivered, flow.sent, flow.resent, flow.needless), (10_000, 10_000, 0, 0));
        let nanos = |bytes: u64| (bytes * 8 * 1_000_000_000).div_ceil(RATE).ns();
        // SYN and SYN,ACK are 60 or 80 bytes and cross once each; the ACK goes before the text.
        let connected = 50.ms() + 2 * nanos(header + 8);
        assert_eq!(flow.connected.map(|took| took.as_micros()), Some(connected.as_micros()));
        let packets = 10_000u64.div_ceil(1500 - header);
        let completed = connected + 25.ms() + nanos(10_000 + (packets + 1) * header);
        let took = flow.completed.unwrap();
        assert!(took >= completed && took < completed + 10.us(), "{took:?}, not {completed:?}");
        assert_eq!(report.finished.since(carrick_sim::at(5.secs())), took);
    }
}

#[test]
fn an_endless_flow_fills_the_path_and_the_report_agrees_with_itself() {
    let mut network = network([Flow::endless()]);
    (network.sample, network.packets) = (10.ms(), true);
    let report = network.run(20.secs()).unwrap();
    let flow = &report.flows[0];
    let capacity = RATE as f64 * 1448.0 / 1500.0;
    assert!(report.goodput() > 0.8 * capacity && report.goodput() <= capacity, "{}", report.goodput());
    assert!((flow.goodput() - report.goodput()).abs() < 1.0);
    assert_eq!(report.queues.len(), 2000);
    let most = report.queues.iter().map(|sample| sample.there.bytes).max().unwrap();
    assert!(report.there.overflowed > 0 && (23_500..=25_000).contains(&most), "{most} bytes waited");
    assert!(flow.resent > 0 && flow.resent <= flow.sent - flow.delivered);
    let noted = |wanted| flow.packets.iter().filter(move |note| note.kind == wanted);
    let fresh: u64 = noted(PacketKind::Sent).map(|note| note.to - note.from).sum();
    assert_eq!(fresh + flow.resent, flow.sent, "each either repeats or does not");
    let acknowledged: u64 = noted(PacketKind::Acknowledged).map(|note| note.to - note.from).sum();
    assert!(acknowledged <= flow.delivered && acknowledged > flow.delivered * 9 / 10);
    let last = flow.samples.last().unwrap();
    assert!(last.congestion_window > 10_000 && last.rtt.is_some_and(|rtt| rtt >= 20.ms()));
}

#[test]
fn it_is_the_same_each_time_watched_or_not() {
    let flows = (0..5u64).map(|n| Flow { at: (n * 50).ms(), access: n.ms(), ..Flow::of(200_000) });
    let mut network = network(flows);
    network.there = LinkConfig { loss: 10_000, reorder: 10_000, reorder_by: 5.ms(), ..path() };
    let report = network.run(60.secs()).unwrap();
    assert!(report.flows.iter().all(|flow| flow.delivered == 200_000 && flow.completed.is_some()));
    assert_eq!(network.run(60.secs()).unwrap(), report);
    network.watched = true;
    assert_eq!(network.run(60.secs()).unwrap(), report);
    network.seed = 8;
    assert_ne!(network.run(60.secs()).unwrap(), report);
}

#[test]
fn many_flows_share_what_there_is() {
    let mut network = network((0..8).map(|_| Flow::endless()));
    let aqm = Aqm::CoDel(CoDel { ecn: true, ..CoDel::default() });
    network.there.bottleneck = Some(Bottleneck { aqm, ..Bottleneck::new(RATE) });
    for flow in &mut network.flows {
        flow.sender.ecn = carrick_core::EcnPolicy::Ask;
    }
    network.sample = 10.ms();
    let report = network.run(30.secs()).unwrap();
    let capacity = RATE as f64 * 1448.0 / 1500.0;
    assert!(report.goodput() > 0.9 * capacity, "{}", report.goodput());
    assert!(report.fairness() > 0.8, "{}", report.fairness());
    assert!(report.there.marked > 0);
    // It is CoDel that keeps the queue short: without it there are 1,000 packets, 1.2 s.
    let mut waits: Vec<_> = report.queues.iter().map(|sample| sample.there.bytes).collect();
    waits.sort_unstable();
    let median = Duration::from_secs_f64(waits[waits.len() / 2] as f64 * 8.0 / RATE as f64);
    assert!(median < 30.ms(), "{median:?}");
}

#[test]
fn paths_that_are_narrow_or_dark_for_a_while_hold_nobody_up_for_long() {
    let mut network = network([Flow::of(1_000_000)]);
    network.there.mtu = Some(PathMtu::told(1400));
    let report = network.run(60.secs()).unwrap();
    assert!(report.flows[0].completed.is_some() && report.there.too_big > 0);
    network.there = LinkConfig { blackouts: Blackouts::At(vec![300.ms()..800.ms()]), ..path() };
    let report = network.run(60.secs()).unwrap();
    let took = report.flows[0].completed.unwrap();
    assert!(report.there.blacked_out > 0 && took > 1.secs() && took < 5.secs(), "{took:?}");
}

#[test]
fn who_reaches_nobody_ends_with_an_error() {
    let flow = Flow::endless();
    let sender = ConnectionConfig { syn_retries: 1, ..flow.sender.clone() };
    let mut network = network([Flow { sender, ..flow }]);
    network.there.loss = 1_000_000;
    let report = network.run(60.secs()).unwrap();
    assert_eq!(report.flows[0].error, Some(ConnectionError::TimedOut));
    assert!(report.finished < carrick_sim::at(10.secs()));
    assert_eq!((report.flows[0].goodput(), report.fairness()), (0.0, 1.0));
}

#[test]
fn a_capture_has_each_packet_once_and_a_writer_that_fails_is_heard_of() {
    let network = network([Flow::of(100_000)]);
    let mut file = Vec::new();
    let report = network.capture(60.secs(), &mut file).unwrap();
    assert_eq!(report, network.run(60.secs()).unwrap());
    let (mut at, mut packets, mut last) = (0, [0; 2], 0);
    while at < file.len() {
        let field = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let (kind, len) = (field(at), field(at + 4) as usize);
        if kind == 6 {
            let time = u64::from(field(at + 12)) << 32 | u64::from(field(at + 16));
            assert!(time >= last);
            last = time;
            packets[field(at + len - 12) as usize - 1] += 1;
        }
        at += len;
    }
    // What was under way when the last byte had been read has not come back.
    assert_eq!(packets[1], report.there.sent);
    assert!(packets[0] > report.back.sent / 2 && packets[0] < report.back.sent);

    struct Full;
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > 1000 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert_eq!(network.capture(60.secs(), Full).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

/// However much comes at once, and whether or not a read takes all there is.
#[test]
fn a_slow_receiver_reads_no_more_than_it_may() {
    for reads in [2_000_u32, 100_000] {
        let bottleneck = Some(Bottleneck::new(10_000_000));
        let link = LinkConfig { bottleneck, ..LinkConfig::delayed(10.ms()) };
        let flows = vec![Flow { reads: Some(reads), ..Flow::endless() }];
        let network = Network { flows, sample: 100.ms(), ..Network::new(7, link) };
        let flow = network.run(10.secs()).unwrap().flows.remove(0);
        assert!(flow.delivered <= 100 * u64::from(reads), "{} of {reads}", flow.delivered);
        // What the path carries, or what is read.
        let least = (98 * u64::from(reads)).min(9_000_000 / 8 * 9);
        assert!(flow.delivered >= least, "{} of {reads}", flow.delivered);
        let samples: Vec<_> = flow.samples.iter().map(|sample| sample.delivered).collect();
        let most = samples.windows(2).map(|two| two[1] - two[0]).max().unwrap();
        assert!(most <= 2 * u64::from(reads), "{most} in 100 ms");
    }
}
