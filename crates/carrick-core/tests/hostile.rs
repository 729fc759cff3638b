//! A peer that sends anything at all: numbers around every edge, all flags, any window, lying acknowledgments,
//! while the application does anything at all and memory is short. The oracles look at every step; besides,
//! what is read is what was sent at that place, whoever waits for something has a timer, and when the peer
//! falls silent and the application has gone everything ends and nothing is held.

use carrick_core::TcpState;
use carrick_sim::{Offload, Rng, Scene, Seg, Span, seg};
use carrick_wire::TcpFlags;

/// The peer's byte at a place, counted from its ISN.
const fn byte(place: u32) -> u8 {
    (place ^ (place >> 8) ^ (place >> 16)) as u8
}

fn scene(rng: &mut Rng) -> Scene {
    let edge = |rng: &mut Rng| 0u32.wrapping_sub(rng.below(3000) as u32);
    let (ours, theirs) = (edge(rng), edge(rng));
    let mut builder = Scene::builder()
        .seed(rng.bits())
        .isn(ours, theirs)
        .timestamps(rng.chance(500_000))
        .sack(rng.chance(500_000))
        .window(rng.pick(&[0, 1, 100, 1460, 5000, 65_535]))
        .mtu(rng.pick(&[1500, 576, 9000]))
        .offload(rng.pick(&[Offload::Cut, Offload::Whole]))
        .budget(rng.pick(&[64 << 20, 64 << 10, 20 << 10]));
    if rng.chance(500_000) {
        builder = builder.window_scale(rng.pick(&[0, 1, 7, 14, 200]));
    }
    if rng.chance(300_000) {
        builder = builder.mss(rng.pick(&[0, 1, 100, 536, 65_535]));
    }
    let buffer = rng.pick(&[3000, 40_000, 512 << 10]);
    builder = builder.config(|config| {
        config.receive_buffer = buffer;
        config.send_buffer = buffer;
    });
    match rng.below(8) {
        0 => builder.listening(),
        1 => builder.connecting(),
        2 | 3 => builder.accepted(),
        _ => builder.established(),
    }
}

/// SND.UNA, SND.NXT, RCV.NXT and the right edge, relative.
fn numbers(s: &Scene, isn: (u32, u32)) -> [u32; 4] {
    let numbers = s.connection().and_then(|connection| connection.sequence_numbers());
    numbers.map_or([0, 1, 1, 65_536], |[una, nxt, rcv, edge]| {
        let ours = |seq: carrick_wire::SeqNum| seq.get().wrapping_sub(isn.0);
        let theirs = |seq: carrick_wire::SeqNum| seq.get().wrapping_sub(isn.1);
        [ours(una), ours(nxt), theirs(rcv), theirs(edge)]
    })
}

fn near(rng: &mut Rng, places: &[u32]) -> u32 {
    let place = rng.pick(places);
    match rng.below(10) {
        0..=5 => place,
        6 => place.wrapping_add(1),
        7 => place.wrapping_sub(1),
        8 => place.wrapping_add(rng.below(4000) as u32).wrapping_sub(2000),
        // Not farther: the oracle that watches acknowledgments sees half the circle.
        _ => place.wrapping_add(rng.pick(&[
            1 << 20,
            1 << 29,
            0u32.wrapping_sub(1 << 20),
            0u32.wrapping_sub(1 << 30),
        ])),
    }
}

fn segment(rng: &mut Rng, forge: bool, [una, nxt, rcv, edge]: [u32; 4]) -> Seg {
    let seq = near(rng, &[rcv, rcv, rcv, rcv, edge, rcv.wrapping_add(500), 0]);
    let mut flags = match rng.below(40) {
        0 => TcpFlags::RST,
        1 => TcpFlags::SYN,
        2 => TcpFlags::FIN,
        3 => TcpFlags::from_bits(rng.bits() as u16),
        _ => TcpFlags::EMPTY,
    };
    if !rng.chance(20_000) {
        flags |= TcpFlags::ACK;
    }
    let len = match rng.below(8) {
        0..=2 => 0,
        3 => 1,
        4 => rng.below(100) as u32,
        5 => edge.wrapping_sub(seq).min(30_000),
        6 => rng.below(30_000) as u32,
        _ => 1460,
    };
    let mut seg = seg().seq(seq).ack(near(rng, &[una, nxt, nxt, nxt, una.wrapping_add(700)]));
    if flags.contains(TcpFlags::SYN) {
        // Always of the same number, so that places stay what they are.
        seg = seg.seq(0);
    } else {
        seg = seg.data((0..len).map(|i| byte(seq.wrapping_add(i))).collect::<Vec<u8>>());
    }
    if rng.chance(300_000) {
        seg = seg.window(rng.pick(&[0, 0, 1, 50, 1460, 65_535]));
    }
    if forge && rng.chance(30_000) && !flags.contains(TcpFlags::SYN) {
        seg = seg.ts(rng.bits() as u32, rng.bits() as u32);
    }
    if rng.chance(50_000) {
        seg = seg.sack(&[(una.wrapping_add(100), una.wrapping_add(200)), (nxt, nxt.wrapping_add(5000))]);
    }
    seg.flags(flags)
}

/// Whoever waits for the peer has a timer.
fn nobody_waits_for_ever(s: &Scene) {
    let Some(connection) = s.connection() else { return };
    let opens_or_ends =
        matches!(connection.state(), TcpState::SynSent | TcpState::SynReceived | TcpState::TimeWait);
    let waits = opens_or_ends || owes(s);
    assert!(!waits || connection.poll_timeout().is_some(), "{} without a timer", connection.state());
}

/// The peer comes to its senses: it acknowledges all, and its text fills every hole.
fn reconcile(s: &mut Scene, isn: (u32, u32)) {
    for _ in 0..1000 {
        let [una, nxt, rcv, edge] = numbers(s, isn);
        let len = edge.wrapping_sub(rcv).min(1460);
        let text: Vec<u8> = (0..len).map(|i| byte(rcv.wrapping_add(i))).collect();
        let packet = s.packet(&seg().seq(rcv).ack(nxt).window(65_535).data(text));
        s.inject_packet(&packet);
        while s.take().is_some() {}
        if len == 0 && !owes(s) {
            break;
        }
        if numbers(s, isn)[..2] == [una, nxt] {
            s.advance_to_next_timer();
        }
    }
    assert!(!owes(s), "stalled\n{}", s.transcript());
}

/// Whether there is text or a FIN of ours that the peer has not acknowledged.
fn owes(s: &Scene) -> bool {
    s.connection().is_some_and(|connection| match connection.state() {
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => true,
        TcpState::Established | TcpState::CloseWait => connection.unacknowledged() > 0,
        _ => false,
    })
}

fn play(seed: u64) {
    let mut rng = Rng::new(seed);
    // The scene draws its ISNs first.
    let mut twin = rng.clone();
    let edge = |rng: &mut Rng| 0u32.wrapping_sub(rng.below(3000) as u32);
    let isn = (edge(&mut twin), edge(&mut twin));
    let mut s = scene(&mut rng);
    let mut read = 1u32;
    let mut met = false;
    // A forged timestamp that passes every check may shut the real peer out (RFC 7323 §5.3).
    let forge = rng.chance(500_000);
    for _ in 0..rng.below(120) {
        let there = s.connection().is_some() || s.accept();
        met |= there;
        if met && s.state() == TcpState::Closed && rng.chance(300_000) {
            // A second life would have the same pinned ISS, which the oracles do not allow.
            break;
        }
        match rng.below(27) {
            0..=13 => {
                let seg = segment(&mut rng, forge, numbers(&s, isn));
                let packet = s.packet(&seg);
                let syn = packet.segment().is_some_and(|view| view.has(TcpFlags::SYN));
                if !(syn && met && s.state() == TcpState::Closed) {
                    s.inject_packet(&packet);
                }
            }
            14 | 15 if there => {
                let _ = s.try_send(&vec![7; rng.size(0, 20_000)]);
            }
            16 | 17 if there => {
                for seen in s.read_up_to(rng.size(0, 60_000)) {
                    assert_eq!(seen, byte(read), "at {read}, seed {seed}");
                    read = read.wrapping_add(1);
                }
            }
            18 => s.advance(rng.pick(&[1.ms(), 100.ms(), 5.secs(), 70.secs()])),
            19 | 20 => {
                s.advance_to_next_timer();
            }
            21 if there && rng.chance(200_000) => s.finish(),
            22 if there && rng.chance(50_000) => s.close(),
            23 if there && rng.chance(50_000) => s.abort(),
            24 if there => {
                let _ = s.try_send_urgent(&vec![7; rng.size(0, 3000)]);
            }
            25 if there => s.set_cork(rng.chance(500_000)),
            26 if there => s.set_nodelay(rng.chance(500_000)),
            _ => {}
        }
        while s.take().is_some() {}
        nobody_waits_for_ever(&s);
    }
    if !forge && s.connection().is_some_and(|connection| connection.sequence_numbers().is_some()) {
        reconcile(&mut s, isn);
        for seen in s.read() {
            assert_eq!(seen, byte(read), "at {read}, seed {seed}");
            read = read.wrapping_add(1);
        }
    }
    while s.accept() && s.connection().is_some() {
        s.close();
    }
    if s.connection().is_some() {
        s.close();
    }
    s.unlisten();
    s.advance(7200.secs());
    assert_eq!(s.host().connections(), 0, "seed {seed}\n{}", s.transcript());
    assert_eq!(s.host().used(), 0);
    let endpoint = s.host().endpoint();
    assert_eq!((endpoint.half_open(), endpoint.time_wait()), (0, 0));
}

#[test]
fn a_hostile_peer_gets_nowhere() {
    let runs = std::env::var("CARRICK_HOSTILE").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let from = std::env::var("CARRICK_HOSTILE_FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in from..from + runs {
        let done = std::panic::catch_unwind(|| play(seed));
        if let Err(panic) = done {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
