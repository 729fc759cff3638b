//! The board against a vector with an entry for each byte, and what of RFC 8985, RFC 9937 and the rate sampler cannot
//! be seen from outside.

use super::board::{Board, Cause, Delivery, MOST};
use super::prr::Prr;
use super::rate::Meter;
use super::*;
use alloc::vec;
use alloc::vec::Vec;
use carrick_covers::covers;
use proptest::prelude::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + ms(millis)
}

fn board() -> Board {
    Board::new(Meter::new(0, Instant::ZERO))
}

fn cause(now: Instant) -> Cause {
    Cause { now, min_rtt: 0, echo: None, ts_offset: 0 }
}

/// `n` segments of ten bytes, one at each time.
fn sent(n: u64, apart: u64) -> Board {
    let mut board = board();
    for i in 0..n {
        board.on_sent(10 * i, 10 * i + 10, at(i * apart), 10);
    }
    board
}

fn sack(board: &mut Board, left: u64, right: u64, now: Instant) -> Delivery {
    let mut delivery = board.delivery();
    board.on_sack(left, right, &cause(now), &mut delivery);
    delivery
}

/// The latest sent of it: when, and whether more than once.
fn newest(delivery: &Delivery) -> Option<(Instant, bool)> {
    delivery.newest.map(|newest| (newest.at, newest.again))
}

#[test]
fn rack_3_each_transmission_has_its_time_and_a_repetition_stays_one() {
    let mut board = sent(4, 1);
    sack(&mut board, 30, 40, at(100));
    let detected = board.detect(at(100), Duration::ZERO, Instant::NEVER);
    assert_eq!((detected.bytes, board.lost(), board.pipe()), (30, 30, 0));
    board.on_sent(0, 10, at(100), 10);
    assert_eq!((board.lost(), board.pipe(), board.first_is_resent()), (20, 10, true));
    // Its time is the new one: what was sent before it says nothing of it.
    assert_eq!(board.detect(at(500), Duration::ZERO, Instant::NEVER).bytes, 0);
    // Delivered, it is one that was sent again, for ever.
    let mut delivery = board.delivery();
    board.on_ack(10, &cause(at(200)), &mut delivery);
    assert!(delivery.ambiguous && delivery.oldest.is_none());
    assert_eq!((delivery.repaired, newest(&delivery)), (10, Some((at(100), true))));
    covers!("RACK-3");
}

#[test]
fn rack_5_a_stretch_ack_measures_the_latest_sent_and_a_doubtful_one_nothing() {
    let mut board = sent(4, 5);
    let mut delivery = board.delivery();
    board.on_ack(30, &cause(at(100)), &mut delivery);
    // The third was sent at 10 ms: its round trip is 90 ms, so what was sent at 15 is lost... when that is over.
    assert_eq!(newest(&delivery), Some((at(10), false)));
    board.on_sent(40, 50, at(20), 10);
    let waits = |board: &Board| board.clone().detect(at(0), Duration::ZERO, Instant::NEVER).at;
    sack(&mut board, 40, 50, at(105));
    assert_eq!(waits(&board), Some(at(15 + 85)));
    // Sent again at 110 ms, acknowledged sooner than the least round trip: that was the original.
    board.lose_first(10);
    board.on_sent(30, 40, at(110), 10);
    board.on_sent(50, 60, at(112), 10);
    let early = Cause { min_rtt: 80_000_000, ..cause(at(120)) };
    let mut delivery = board.delivery();
    board.on_sack(30, 40, &early, &mut delivery);
    assert_eq!(delivery.repaired, 10);
    // An echo of an older copy says the same; one of the last copy does not.
    for (echo, believed) in [(109, false), (110, true)] {
        let mut board = board.clone();
        board.on_sent(60, 70, at(115), 10);
        board.lose_all();
        board.on_sent(50, 60, at(110), 10);
        let stamped = Cause { echo: Some(echo), ..cause(at(300)) };
        let mut delivery = board.delivery();
        board.on_sack(50, 60, &stamped, &mut delivery);
        board.on_sent(60, 70, at(110), 10);
        let before = board.clone().detect(at(0), Duration::ZERO, Instant::NEVER);
        assert_eq!((before.bytes, stamped.is_older(at(110))), (0, !believed));
    }
    covers!("RACK-5");
}

#[test]
fn rack_6_of_what_left_together_the_highest_counts_and_a_later_call_more_than_a_higher_number() {
    // One burst: the highest end of what has arrived makes all below it older.
    let mut board = board();
    board.on_sent(0, 50, at(0), 10);
    sack(&mut board, 20, 30, at(100));
    assert_eq!(board.detect(at(100), Duration::ZERO, Instant::NEVER).bytes, 20);
    // The same time, and another call: the order of sending decides, though numbers say otherwise.
    let mut board = sent(5, 0);
    board.lose_first(10);
    board.on_sent(0, 10, at(0), 10);
    sack(&mut board, 0, 10, at(100));
    assert_eq!(board.detect(at(100), Duration::ZERO, Instant::NEVER).bytes, 40);
    covers!("RACK-6");
}

/// Seen: what left at one time was one range although something had been sent again in between, and so what was sent
/// after the repetition counted as sent before it.
#[test]
fn rack_6_what_leaves_after_a_repetition_is_newer_also_at_the_same_time() {
    let mut board = sent(2, 0);
    board.lose_first(10);
    board.on_sent(0, 10, at(0), 10);
    board.on_sent(20, 30, at(0), 10);
    sack(&mut board, 0, 10, at(100));
    assert_eq!(board.detect(at(100), Duration::ZERO, Instant::NEVER).bytes, 10);
    assert!(board.is_lost(10) && !board.is_lost(20));
    // What leaves without anything in between is one range.
    let mut board = sent(1, 0);
    (1..=3).for_each(|n| board.on_sent(10 * n, 10 * n + 10, at(5), 10));
    sack(&mut board, 30, 40, at(100));
    assert_eq!(board.detect(at(100), Duration::ZERO, Instant::NEVER).bytes, 30);
    covers!("RACK-6");
}

/// A repetition that is SACKed while another is missing comes with the echo of what came in order before both.
#[test]
fn rack_3_an_echo_tells_nothing_of_what_is_not_acknowledged_in_order() {
    let mut board = sent(4, 1);
    sack(&mut board, 10, 20, at(100));
    sack(&mut board, 30, 40, at(101));
    board.detect(at(200), Duration::ZERO, Instant::NEVER);
    board.on_sent(0, 10, at(200), 10);
    board.on_sent(20, 30, at(200), 10);
    // The first repetition is lost, the second arrives.
    let echoes = Cause { echo: Some(0), ..cause(at(300)) };
    let mut delivery = board.delivery();
    board.on_sack(10, 40, &echoes, &mut delivery);
    assert_eq!((delivery.repaired, delivery.needless), (10, 0));
    // The original was late after all.
    let mut delivery = board.delivery();
    board.on_ack(40, &echoes, &mut delivery);
    assert_eq!((delivery.repaired, delivery.needless), (10, 10));
    covers!("RACK-3");
}

#[test]
fn rate_1_a_burst_counts_as_in_flight_when_its_last_left() {
    let mut board = board();
    for i in 0..10 {
        board.on_sent(100 * i, 100 * i + 100, at(0), 10);
    }
    let mut delivery = board.delivery();
    board.on_ack(1000, &cause(at(50)), &mut delivery);
    let rate = board.meter.measure(&delivery, at(50), 0).expect("something was delivered");
    let sample = board.meter.sample(&rate, &delivery, at(50), 0, 0);
    assert_eq!((sample.tx_in_flight, sample.delivered), (1000, 1000));
}

/// Whatever of it is in the queue, and whatever in the tree.
#[test]
fn t_ccx_5_a_board_takes_no_more_memory_than_was_kept_for_it() {
    for n in [1, 5, 33, 1025] {
        let mut board = sent(n, 1);
        let most = Board::most_memory(10 * n as usize, 10);
        let check = |board: &Board, i: u64| assert!(board.memory() <= most, "{i} of {n}: {}", board.memory());
        check(&board, 0);
        for i in (1..n).step_by(2) {
            sack(&mut board, 10 * i, 10 * i + 10, at(2000));
            check(&board, i);
        }
        board.lose_all();
        for i in (0..n).step_by(2) {
            check(&board, i);
            board.on_sent(10 * i, 10 * i + 10, at(9000 + i), 10);
        }
        check(&board, n);
        assert_eq!(board.check(), Ok(()));
    }
}

/// A great flight leaves no room behind for a stream that goes on with little in flight.
#[test]
fn t_ccx_5_a_board_gives_back_what_a_great_flight_took() {
    let mut board = sent(4000, 1);
    for n in 1..4000 {
        board.on_ack(10 * n, &cause(at(9000)), &mut Delivery::default());
        let most = Board::most_memory(10 * (4000 - n as usize).max(64), 10);
        assert!(board.memory() <= most, "{} with {} in flight", board.memory(), 4000 - n);
    }
}

/// What the peer has dropped is cut no finer than it was sent, and found as fast.
#[test]
fn t_snd_3_blocks_after_reneging_make_no_crumbs() {
    let mut board = board();
    board.on_sent(0, 146_000, at(0), 1460);
    sack(&mut board, 1460, 146_000, at(100));
    board.on_ack(1460, &cause(at(101)), &mut Delivery::default());
    assert!(board.has_reneged());
    board.on_reneging();
    for i in 0..30_000 {
        sack(&mut board, 1461 + 2 * i, 1462 + 2 * i, at(102));
    }
    assert!(board.memory() <= Board::most_memory(146_000, 1460), "{}", board.memory());
    assert_eq!(board.check(), Ok(()));
    // Small segments are no reason to walk far.
    let mut board = self::board();
    for i in 0..1000 {
        board.on_sent(10 * i, 10 * i + 10, at(i), 10);
    }
    board.lose_all();
    assert!(board.first_lost().is_some_and(|(start, end)| start == 0 && (10..=1000).contains(&end)));
    covers!("T-SND-3");
}

#[test]
fn rack_7_only_what_was_sent_once_tells_of_reordering() {
    let mut board = sent(3, 0);
    assert_eq!(sack(&mut board, 10, 20, at(10)).overtaken, 0);
    assert_eq!(sack(&mut board, 20, 30, at(10)).overtaken, 0);
    let mut once = board.clone();
    let delivery = sack(&mut once, 0, 10, at(20));
    assert_eq!((delivery.overtaken, delivery.late), (30, ms(10)));
    board.lose_first(10);
    board.on_sent(0, 10, at(15), 10);
    assert_eq!(sack(&mut board, 0, 10, at(20)).overtaken, 0);
    covers!("RACK-7");
}

#[test]
fn rack_8_to_11_the_window_for_what_may_have_been_overtaken() {
    let mut reordering = Reordering::new();
    let (least, srtt) = (Some(ms(40)), Some(ms(100)));
    assert_eq!(reordering.window(true, least, srtt), Duration::ZERO);
    assert_eq!(reordering.window(false, least, srtt), ms(10));
    reordering.seen = true;
    assert_eq!(reordering.window(true, least, srtt), ms(10));
    for quarters in 2..=300u64 {
        reordering.widen();
        assert_eq!(reordering.window(true, least, srtt), ms((10 * quarters).min(100)));
    }
    for recovered in 1..=16 {
        assert_eq!(reordering.window(true, least, srtt), ms(100), "{recovered}");
        reordering.on_recovered();
    }
    assert_eq!(reordering.window(true, least, srtt), ms(10));
    reordering.on_recovered();
    assert_eq!(reordering.window(true, least, srtt), ms(10));
    // Two quarters: kept as long as something comes for which one would not have waited.
    reordering.widen();
    for late in [ms(11), ms(10)] {
        for _ in 0..20 {
            reordering.on_overtaken(ms(11), least);
            reordering.on_recovered();
        }
        assert_eq!(reordering.window(true, least, srtt), ms(20));
        for _ in 0..16 {
            reordering.on_overtaken(late, least);
            reordering.on_recovered();
        }
        assert_eq!(reordering.window(true, least, srtt), if late > ms(10) { ms(20) } else { ms(10) });
    }
    // Without a report of a duplicate nothing is wider.
    reordering.on_overtaken(ms(90), least);
    assert_eq!(reordering.window(true, least, srtt), ms(10));
    covers!("RACK-9", "RACK-10", "RACK-11");
}

#[test]
fn rack_12_lost_when_the_time_is_over_and_not_twice() {
    let mut board = sent(2, 5);
    sack(&mut board, 10, 20, at(105));
    let wait = ms(25);
    let early = board.detect(at(124) + Duration::from_nanos(999_999), wait, Instant::NEVER);
    assert_eq!((early.bytes, early.at), (0, Some(at(125))));
    assert_eq!(board.detect(at(125), wait, Instant::NEVER).bytes, 10);
    let again = board.detect(at(1000), wait, Instant::NEVER);
    assert_eq!((again.bytes, again.at, board.lost()), (0, None, 10));
    covers!("RACK-12");
}

#[test]
fn tlp_1_a_probe_is_forgotten_when_a_repair_begins() {
    for kind in [Kind::Loss, Kind::Timeout(Frto::Off)] {
        let mut recovery = Recovery::new(0, Instant::ZERO);
        assert_eq!(recovery.probe, Probe::None);
        recovery.board.on_sent(0, 10, at(0), 10);
        recovery.probe = Probe::Sent { end: 10, again: true };
        recovery.pto = Some(at(1));
        recovery.begin(kind, at(0), 0, None);
        assert_eq!((recovery.probe, recovery.pto), (Probe::None, None));
    }
    covers!("TLP-1");
}

#[test]
fn prr_5_to_10_the_numbers_of_the_rfc() {
    // RecoverFS ten, ssthresh seven: seven are sent as ten are delivered, evenly.
    let mut prr = Prr::new(10_000);
    let (mut pipe, mut out) = (9000, 0);
    for n in 1..=10 {
        let count = prr.on_ack(1000, pipe, 7000, true, false, 1000) - pipe;
        prr.on_sent(count);
        out += count;
        pipe += count;
        assert!(pipe <= 7000 || out == 700 * n, "{n}: {out}");
        pipe -= 1000;
    }
    assert_eq!((out, pipe), (7000, 6000));
    // Below the threshold: what was delivered and not sent, with a segment more if that is safe, and never above it.
    for (safe, more) in [(false, 0), (true, 1000)] {
        let mut prr = Prr::new(20_000);
        assert_eq!(prr.on_ack(3000, 2000, 10_000, safe, true, 1000), 2000 + 3000 + more);
        prr.on_sent(3000);
        assert_eq!(prr.on_ack(1000, 9900, 10_000, safe, true, 1000), 10_000);
        assert_eq!(prr.on_ack(1000, 10_000, 10_000, safe, true, 1000), 10_000);
    }
    // Nothing was delivered: the first repetition goes, and only that.
    let mut prr = Prr::new(10_000);
    assert!(prr.is_new());
    assert_eq!(prr.on_ack(0, 10_000, 5000, false, true, 1000), 11_000);
    prr.on_sent(1000);
    assert_eq!(prr.on_ack(0, 10_000, 5000, false, true, 1000), 10_000);
    // More was sent than is due: nothing goes, and nothing wraps.
    prr.on_sent(u32::MAX);
    assert_eq!(prr.on_ack(u32::MAX, 6000, 5000, false, true, 1000), 6000);
    covers!("PRR-5", "PRR-6", "PRR-8", "PRR-9", "PRR-10");
}

#[test]
fn t_snd_3_ten_thousand_holes_cost_an_ack_little_more_than_a_hundred() {
    // Every second of so many segments has arrived; then those between, the highest first, one at a time.
    let visits = |holes: u64| {
        let mut board = sent(2 * holes, 0);
        for hole in 0..holes {
            sack(&mut board, 20 * hole + 10, 20 * hole + 20, at(100));
        }
        board.visits.set(0);
        let count = 50;
        for hole in (holes - count..holes).rev() {
            let mut delivery = board.delivery();
            // All that is known is said once more in three blocks, and one segment is new.
            for (left, right) in [(20 * hole, 20 * hole + 20), (10, 20), (20 * hole + 10, 20 * holes)] {
                board.on_sack(left, right, &cause(at(100)), &mut delivery);
            }
            assert_eq!(delivery.bytes, 10, "{hole} of {holes}");
            board.detect(at(100), ms(100), Instant::NEVER);
        }
        board.visits.get() / count
    };
    let (few, many) = (visits(100), visits(10_000));
    assert!(many <= 2 * few, "{few} {many}");
    covers!("T-SND-3");
}

#[test]
fn t_snd_3_holes_beyond_the_bound_are_forgotten_and_what_is_delivered_stays_exact() {
    let holes = MOST as u64;
    let mut board = sent(2 * holes, 0);
    let (mut delivered, mut memory) = (0, 0);
    for hole in 0..holes {
        delivered += sack(&mut board, 20 * hole + 10, 20 * hole + 20, at(100)).bytes;
        assert!(board.count() <= MOST, "{} after {hole}", board.count());
        if hole == holes / 2 {
            memory = board.memory();
        }
    }
    assert_eq!(board.check(), Ok(()));
    // What left at one time was two ranges, being longer than one may be, and each block made two more.
    assert_eq!((board.count(), delivered, board.sacked()), (MOST, 10 * (MOST as u32 / 2 - 1), delivered));
    assert!(memory > 0 && board.memory() <= memory, "{} bytes, {memory} before", board.memory());
    // A hole that is filled makes room for a block.
    let late = 20 * holes - 100;
    assert_eq!(sack(&mut board, late, late + 10, at(100)).bytes, 0);
    assert_eq!(sack(&mut board, 20, 30, at(100)).bytes, 10);
    assert_eq!(sack(&mut board, late, late + 10, at(100)).bytes, 10);
    delivered += 20;
    // The rest in order.
    for una in (0..=20 * holes).step_by(1000) {
        let mut delivery = board.delivery();
        board.on_ack(una, &cause(at(200)), &mut delivery);
        delivered += delivery.bytes;
    }
    let mut delivery = board.delivery();
    board.on_ack(20 * holes, &cause(at(200)), &mut delivery);
    assert_eq!((u64::from(delivered + delivery.bytes), board.pipe()), (20 * holes, 0));
    assert_eq!(board.check(), Ok(()));
    covers!("T-SND-3");
}

#[test]
fn rack_4_the_least_round_trip_is_that_of_the_last_minutes() {
    let mut rtt = rtt::Rtt::new(ms(200), Duration::from_secs(120));
    for (seconds, sample, least) in [(0, 10, 10), (100, 50, 10), (299, 40, 10), (301, 60, 60), (302, 55, 55)]
    {
        rtt.sample(ms(sample), 1, at(seconds * 1000));
        assert_eq!(rtt.least(), Some(ms(least)), "{seconds}");
    }
    covers!("RACK-4");
}

proptest! {
    /// Bytes count as often as they were sent again, and no crumbs of reports make it grow.
    #[test]
    fn t_ccx_5_reports_count_where_something_was_sent_again(
        ops in prop::collection::vec((any::<bool>(), 0u64..300, 1u64..40), 1..120),
    ) {
        let (mut recovery, mut model) = (Recovery::new(0, Instant::ZERO), vec![0u32; 400]);
        recovery.begin(Kind::Loss, Instant::ZERO, 0, None);
        let undo = recovery.undo.as_mut().expect("it has begun");
        let mut full = false;
        for (again, start, len) in ops {
            let bytes = model[start as usize..(start + len) as usize].iter_mut();
            let capacity = undo.repeated.capacity();
            if again {
                undo.on_sent_again(start, start + len, Instant::ZERO, MOST_REPEATED);
                bytes.for_each(|byte| *byte += 1);
            } else {
                // Once for each time that it was sent again, but for what there was no room to remember.
                let counted = bytes.map(core::mem::take).sum::<u32>();
                let parted = |(first, last): &&(u64, u64)| *first < start && start + len < *last;
                let parts = undo.repeated.len() + undo.repeated.iter().filter(parted).count();
                let known = undo.on_duplicate(start, start + len);
                prop_assert!(known == counted || full && known < counted);
                prop_assert_eq!(undo.repeated.capacity(), capacity);
                full |= parts > capacity;
            }
        }
    }
}

#[test]
fn t_ccx_5_what_is_sent_again_in_many_places_takes_bounded_memory() {
    for (outstanding, mss, places) in [(200_000, 10, MOST_REPEATED), (40_000, 1000, 64), (1000, 1000, 32)] {
        let mut recovery = Recovery::new(0, Instant::ZERO);
        recovery.begin(Kind::Loss, Instant::ZERO, 0, None);
        let undo = recovery.undo.as_mut().expect("it has begun");
        for n in 0..10_000 {
            undo.on_sent_again(20 * n, 20 * n + 10, Instant::ZERO, Recovery::places(outstanding, mss));
        }
        assert_eq!((undo.repeated.len(), undo.bytes), (places, 100_000));
        assert_eq!(undo.on_duplicate(0, 10), 10);
        assert!(recovery.memory() <= Recovery::most_memory(outstanding, mss), "{outstanding} of {mss}");
    }
}

#[test]
fn frto_11_after_a_timeout_that_was_none_the_next_sample_counts_in_full() {
    for (sample, srtt, rttvar) in [(300, 300, 150), (80, 102, 50)] {
        let mut rtt = rtt::Rtt::new(ms(200), Duration::from_secs(120));
        rtt.sample(ms(100), 1, at(0));
        rtt.back_off();
        rtt.on_spurious_timeout();
        assert_eq!(rtt.backoff(), 1);
        rtt.sample(ms(sample), 1, at(1000));
        assert_eq!((rtt.srtt(), rtt.rttvar()), (Some(ms(srtt)), Some(ms(rttvar))));
        assert_eq!(rtt.rto(), ms(srtt + 4 * rttvar));
        // And the one after it as always.
        rtt.sample(ms(srtt), 1, at(2000));
        assert_eq!((rtt.srtt(), rtt.rttvar()), (Some(ms(srtt)), Some(ms(rttvar) * 3 / 4)));
    }
    covers!("FRTO-11");
}

/// One number, as the model knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Byte {
    Sent,
    Lost,
    Sacked,
}

#[derive(Clone, Debug)]
enum Op {
    Send(u8),
    /// What is lost first, so many segments.
    Again(u8),
    Sack(u16, u16),
    Ack(u16),
    Detect(u16),
    LoseFirst,
    LoseAll,
    Timeout(u16),
    Renege,
    Forgive,
    Wait(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => any::<u8>().prop_map(Op::Send),
        4 => any::<u8>().prop_map(Op::Again),
        8 => any::<(u16, u16)>().prop_map(|(left, right)| Op::Sack(left, right)),
        4 => any::<u16>().prop_map(Op::Ack),
        4 => any::<u16>().prop_map(Op::Detect),
        1 => Just(Op::LoseFirst),
        1 => Just(Op::LoseAll),
        1 => any::<u16>().prop_map(Op::Timeout),
        1 => Just(Op::Renege),
        1 => Just(Op::Forgive),
        4 => any::<u8>().prop_map(Op::Wait),
    ]
}

const MSS: u32 = 10;

/// The board and its model, of which `bytes[0]` is `una`.
struct Both {
    board: Board,
    bytes: Vec<Byte>,
    now: Instant,
}

impl Both {
    fn count(&self, what: Byte) -> u32 {
        self.bytes.iter().filter(|byte| **byte == what).count() as u32
    }

    fn play(&mut self, op: &Op) {
        let Self { board, bytes, now } = self;
        let (una, nxt) = (board.una, board.nxt);
        let place = |n: u16| u64::from(n) % (nxt - una + 1);
        match *op {
            Op::Wait(millis) => *now += ms(millis.into()),
            Op::Send(len) => {
                let len = u64::from(len % 64) + 1;
                board.on_sent(nxt, nxt + len, *now, MSS);
                bytes.extend((0..len).map(|_| Byte::Sent));
            }
            Op::Again(len) => {
                let Some((start, end)) = board.first_lost() else { return };
                let end = end.min(start + u64::from(len % 32) + 1);
                board.on_sent(start, end, *now, MSS);
                for at in start - una..end - una {
                    assert_eq!(bytes[at as usize], Byte::Lost);
                    bytes[at as usize] = Byte::Sent;
                }
            }
            Op::Sack(left, right) => {
                let (left, right) = (una + place(left), una + place(right));
                if left <= una || left >= right {
                    return;
                }
                let before = self.count(Byte::Sacked);
                let Self { board, bytes, now } = self;
                let delivery = sack(board, left, right, *now);
                // Which whole segments lie in it only the ranges know: of the model's bytes no other may have changed,
                // none may be taken back, and what changed is what it says.
                let mut changed = 0;
                for (i, byte) in bytes.iter_mut().enumerate() {
                    let inside = (left - una..right - una).contains(&(i as u64));
                    let sacked = board.is_sacked(una + i as u64);
                    assert!(sacked || *byte != Byte::Sacked);
                    if sacked && *byte != Byte::Sacked {
                        assert!(inside, "{i} is not in {left}..{right}");
                        *byte = Byte::Sacked;
                        changed += 1;
                    }
                }
                assert_eq!((changed, before + changed), (delivery.bytes, board.sacked()));
            }
            Op::Ack(len) => {
                let len = place(len);
                let new = bytes.drain(..len as usize).filter(|byte| *byte != Byte::Sacked).count();
                let mut delivery = board.delivery();
                board.on_ack(una + len, &cause(*now), &mut delivery);
                assert_eq!(delivery.bytes as usize, new);
                if board.has_reneged() {
                    self.renege();
                }
            }
            Op::Detect(wait) => {
                let detected = board.detect(*now, ms(u64::from(wait) % 200), Instant::NEVER);
                assert!(detected.at.is_none_or(|at| at > *now));
                self.adopt(Some(detected.bytes));
            }
            Op::LoseFirst => {
                board.lose_first(MSS);
                self.adopt(None);
            }
            Op::LoseAll => {
                board.lose_all();
                for byte in bytes.iter_mut().filter(|byte| **byte == Byte::Sent) {
                    *byte = Byte::Lost;
                }
            }
            Op::Timeout(wait) => {
                board.on_timeout(*now, ms(20), ms(u64::from(wait) % 200), MSS);
                self.adopt(None);
            }
            Op::Renege => self.renege(),
            Op::Forgive => {
                board.forgive();
                for byte in bytes.iter_mut().filter(|byte| **byte == Byte::Lost) {
                    *byte = Byte::Sent;
                }
            }
        }
    }

    fn renege(&mut self) {
        self.board.on_reneging();
        for byte in self.bytes.iter_mut().filter(|byte| **byte == Byte::Sacked) {
            *byte = Byte::Lost;
        }
    }

    /// What the board newly thinks lost: so many bytes, and of what was under way only, but for what stands first.
    fn adopt(&mut self, expected: Option<u32>) {
        let mut changed = 0;
        for (i, byte) in self.bytes.iter_mut().enumerate() {
            let lost = self.board.is_lost(self.board.una + i as u64);
            assert!(lost || *byte != Byte::Lost);
            if lost && *byte != Byte::Lost {
                assert!(*byte == Byte::Sent || i < MSS as usize, "{i}");
                *byte = Byte::Lost;
                changed += 1;
            }
        }
        assert!(expected.is_none_or(|expected| expected == changed), "{expected:?} {changed}");
    }

    fn check(&self) {
        let Self { board, bytes, .. } = self;
        assert_eq!(board.check(), Ok(()));
        assert_eq!(board.nxt - board.una, bytes.len() as u64);
        assert_eq!(board.sacked(), self.count(Byte::Sacked));
        assert_eq!(board.lost(), self.count(Byte::Lost));
        assert_eq!(board.pipe(), self.count(Byte::Sent));
        let first = bytes.iter().position(|byte| *byte == Byte::Lost).map(|i| board.una + i as u64);
        assert_eq!(board.first_lost().map(|(start, _)| start), first);
        if board.is_orderly() {
            assert_eq!((board.sacked(), board.lost(), board.resent()), (0, 0, 0));
            let found = board.clone().detect(Instant::NEVER, Duration::ZERO, Instant::NEVER);
            assert_eq!((found.bytes, found.at), (0, None), "there is nothing to be found");
        }
    }
}

proptest! {
    #[test]
    fn the_board_agrees_with_a_vector_of_bytes(ops in prop::collection::vec(op(), 1..150)) {
        let mut both = Both { board: board(), bytes: Vec::new(), now: Instant::ZERO };
        for op in &ops {
            both.play(op);
            both.check();
        }
    }
}
